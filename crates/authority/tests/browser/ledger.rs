//! What a browser works out by itself: that an entry is in the log, and what it
//! must not take for it; and entries that appear while somebody looks.

use bailiwick_authority::{Authority, Maker};
use bailiwick_core::crypto::Signer as _;
use bailiwick_store::StoreError;
use bailiwick_testkit::browser::Browser;

use crate::accessibility::decided;
use crate::consent::enrol;
use crate::site::{Site, key, principal};

/// A call of the owner's that a gateway records.
fn call(a: &Authority, nth: u8) -> u64 {
    let alias = a.principal(&principal("user:owner")).unwrap().row.alias.to_string();
    let maker = Maker::gateway(key(3).public_key()).id;
    let written = a.store().write(move |tx| -> Result<u64, StoreError> {
        Ok(tx.append(&maker, &*key(3), decided("deny", &alias, nth))?.index)
    });
    written.wait().unwrap()
}

/// Presses the button and waits for what comes of it.
async fn check(browser: &Browser) -> String {
    browser.script("document.querySelector('[data-proof-verdict]').hidden = true").await;
    browser.click("[data-proof-check]").await;
    let shown = "return document.querySelector('[data-proof-verdict]').hidden === false
        && !document.querySelector('[data-proof-check]').disabled";
    while browser.script(shown).await != true {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    browser.text("[data-proof-verdict]").await
}

async fn open(browser: &Browser, site: &Site, index: u64) {
    browser.open(&format!("{}/activity/{index}", site.url)).await;
    browser.text("[data-proof-check]").await;
}

/// Has the page get another answer than the server gave: `edit` changes `j`.
async fn intercept(browser: &Browser, edit: &str) {
    let script = format!(
        "const real = window.fetch;
         window.fetch = async (...asked) => {{
           const j = await (await real(...asked)).json();
           const flip = (text, at) =>
             text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
           {edit};
           return new Response(JSON.stringify(j), {{ headers: {{ 'content-type': 'application/json' }} }});
         }};"
    );
    browser.script(&script).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_checked_in_the_browser_and_nothing_else_is_taken_for_it() {
    let (site, browser) = (Site::start().await, Browser::start().await);
    enrol(&browser, &site, "user:owner").await;
    let index = site.ask(|a| (1..=9).map(|nth| call(a, nth)).next_back().unwrap()).await;
    open(&browser, &site, index).await;
    assert!(check(&browser).await.contains("not under a published checkpoint yet"));
    site.publish().await;
    let verdict = check(&browser).await;
    let steps = browser.text("[data-proof-steps]").await;
    assert!(verdict.starts_with("The entry is in the log"), "{verdict}\n{steps}");
    assert_eq!(browser.count("[data-proof-steps] > li > .badge.good").await, 5, "{steps}");
    let trust = site.ask(|a| a.trust().unwrap().fingerprint()).await;
    assert!(steps.contains(&trust), "{steps}");
    browser.picture("proof-holds").await;

    // Somebody changes one character of the leaf, and puts it back.
    let edit = "const f = document.getElementById('leaf'); window.kept ??= f.value;
        f.value = f.value.replace('\"decision\":\"deny\"', '\"decision\":\"denY\"');";
    browser.script(edit).await;
    let verdict = check(&browser).await;
    assert!(verdict.starts_with("The check fails"), "{verdict}");
    browser.picture("proof-fails").await;
    browser.script("document.getElementById('leaf').value = window.kept").await;
    assert!(check(&browser).await.starts_with("The entry is in the log"));

    // What a server that lies could send instead.
    for edit in [
        "j.leaf = j.leaf.replace('\"v\":1', '\"v\":2')",
        "j.leaf = flip(j.leaf, j.leaf.indexOf('\"sig\":\"') + 9)",
        "j.hashes[0] = flip(j.hashes[0], 5)",
        "j.hashes.pop()",
        "j.hashes.push(j.hashes[0])",
        "j.index += 1",
        "j.index = 1e9",
        "j.checkpoint = j.checkpoint.replace(/\\n([0-9]+)\\n/, (_, n) => `\\n${Number(n) + 1}\\n`)",
        "j.checkpoint = flip(j.checkpoint, j.checkpoint.indexOf('\\n', 16) + 8)",
        "j.checkpoint = flip(j.checkpoint, j.checkpoint.length - 12)",
        "j.checkpoint = j.checkpoint.split('\\n\\n')[0] + '\\n\\n'",
        "j.checkpoint = ''",
        "j.trust = j.trust.replace(/\"x\":\"[^\"]+\"/g, '\"x\":\"' + 'A'.repeat(43) + '\"')",
        "const t = JSON.parse(j.trust); t.makers = []; j.trust = JSON.stringify(t)",
        "const t = JSON.parse(j.trust); t.log.vkey = t.log.vkey.slice(0, -5) + 'AAAA='; j.trust = JSON.stringify(t)",
        "delete j.hashes",
    ] {
        open(&browser, &site, index).await;
        intercept(&browser, edit).await;
        let verdict = check(&browser).await;
        let refused = ["The check fails", "The check could not be done"];
        assert!(refused.iter().any(|said| verdict.starts_with(said)), "{edit}: {verdict}");
    }
    // The proof of another entry, whole.
    open(&browser, &site, index).await;
    intercept(
        &browser,
        &format!("Object.assign(j, await (await real('/activity/{}/proof')).json())", index - 1),
    )
    .await;
    let verdict = check(&browser).await;
    assert!(verdict.starts_with("The check fails"), "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_without_ed25519_says_what_it_could_not_check() {
    let (site, browser) = (Site::start().await, Browser::start().await);
    enrol(&browser, &site, "user:owner").await;
    let index = site.ask(|a| call(a, 1)).await;
    site.publish().await;
    open(&browser, &site, index).await;
    browser
        .script(
            "crypto.subtle.importKey = async () => {
               throw new DOMException('Unrecognized name', 'NotSupportedError');
             };",
        )
        .await;
    let verdict = check(&browser).await;
    assert!(verdict.contains("not every signature could be checked"), "{verdict}");
    let steps = browser.text("[data-proof-steps]").await;
    assert_eq!(browser.count("[data-proof-steps] .badge.warn").await, 2, "{steps}");
    assert!(steps.contains("bailiwick audit verify"), "{steps}");
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_appear_while_somebody_looks_and_not_while_they_pause() {
    let (site, browser) = (Site::start().await, Browser::start().await);
    enrol(&browser, &site, "user:owner").await;
    site.ask(|a| call(a, 1)).await;
    browser.open(&format!("{}/activity?kind=action.decided", site.url)).await;
    assert_eq!(browser.count("table.entries tbody tr").await, 1);
    let index = site.ask(|a| call(a, 2)).await;
    browser.text(&format!("tr.fresh a[href='/activity/{index}']")).await;
    assert_eq!(browser.text("[data-live-said]").await, "1 new entry.");
    assert_eq!(browser.count("table.entries tbody tr").await, 2);
    let polite = "return document.querySelector('[data-live-said]').getAttribute('aria-live')";
    assert_eq!(browser.script(polite).await, "polite");
    browser.picture("activity-live").await;

    browser.click("[data-live-pause]").await;
    assert!(browser.text("[data-live-said]").await.starts_with("Paused"));
    let asked = "return performance.getEntriesByType('resource').filter((r) => r.name.includes('mark')).length";
    let before = browser.script(asked).await;
    let index = site.ask(|a| call(a, 3)).await;
    tokio::time::sleep(std::time::Duration::from_millis(3_500)).await;
    assert_eq!(browser.script(asked).await, before, "nothing is asked for meanwhile");
    assert_eq!(browser.count("table.entries tbody tr").await, 2);
    browser.click("[data-live-pause]").await;
    browser.text(&format!("a[href='/activity/{index}']")).await;
    assert_eq!(browser.count("table.entries tbody tr").await, 3);
}
