//! The stop button: one click and a reason, and an owner's passkey to go on.

use bailiwick_authority::people::roles::Role;
use bailiwick_core::ids::StopId;
use bailiwick_core::stop::StopTarget;
use bailiwick_testkit::browser::Browser;

use crate::consent::enrol;
use crate::site::{Site, principal};

/// What is stopped now.
async fn stopped(site: &Site) -> Vec<String> {
    site.ask(|a| {
        let stops = a.stops(false, 10).unwrap();
        stops.iter().map(|listed| listed.stop.target.to_string()).collect()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_click_and_a_reason_stop_everything_and_a_passkey_resumes_it() {
    let (site, browser) = (Site::start().await, Browser::start().await);
    site.ask(|a| a.role_change(&principal("user:owner"), Role::Owner, true).unwrap()).await;
    enrol(&browser, &site, "user:owner").await;
    browser.open(&site.url).await;
    browser.click(".stop-all").await;
    browser.arrive("/stop?target=everything").await;
    browser.picture("stop-everything").await;
    let hostile = "it refunds\u{202e} what <b>nobody</b> asked for";
    browser.fill("#reason", hostile).await;
    browser.click("button.stop").await;
    let page = browser.text("main").await;
    assert_eq!(stopped(&site).await, ["everything"]);
    assert!(page.contains("<b>nobody</b>") && page.contains("\\u{202e}"), "{page}");
    assert!(!page.contains('\u{202e}'));
    // Every page says so, and offers no second one.
    browser.open(&site.url).await;
    assert!(browser.text(".alarm").await.contains("Everything is stopped"));
    assert_eq!(browser.count(".stop-all").await, 0);
    browser.picture("everything-stopped").await;

    browser.click(".alarm a").await;
    browser.click("main .rows a").await;
    browser.text("[data-reason]").await;
    browser.picture("stop-shown").await;
    // An authenticator that does not know its person signs nothing.
    browser.verify_person(false).await;
    browser.click("[data-verdict=resume] button").await;
    browser.text("[data-problem]:not([hidden])").await;
    assert_eq!(stopped(&site).await, ["everything"]);
    browser.verify_person(true).await;
    browser.click("[data-verdict=resume] button").await;
    browser.text("main .badge.good").await;
    assert!(stopped(&site).await.is_empty());
    assert_eq!(browser.count(".alarm").await, 0);
    browser.picture("stop-resumed").await;

    // An agent, on its page.
    browser.open(&format!("{}/agents/agent:support-runner", site.url)).await;
    browser.click("a.stop").await;
    browser.fill("#reason", "it is slow").await;
    browser.click("button.stop").await;
    browser.text("[data-reason]").await;
    assert_eq!(stopped(&site).await, ["agent:support-runner"]);
    browser.open(&format!("{}/agents/agent:support-runner", site.url)).await;
    assert!(browser.text("main .head").await.contains("stopped"));
    assert_eq!(browser.count("main a.stop").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_stop_or_resume_finds_no_way_to() {
    let (site, browser) = (Site::start().await, Browser::start().await);
    enrol(&browser, &site, "user:142").await;
    let everything: StopId =
        site.ask(|a| a.stop(&StopTarget::Everything, "a drill").unwrap().stop).await;
    browser.open(&site.url).await;
    assert_eq!(browser.count(".stop-all").await, 0);
    browser.text(".alarm").await;
    // Neither asked for by its address, nor sent as a form.
    for path in ["/stop?target=everything", "/stop?target=agent:nobody", "/stop?target=x"] {
        browser.open(&format!("{}{path}", site.url)).await;
        assert_eq!(browser.count("#reason").await, 0, "{path}");
    }
    browser.open(&format!("{}/stops/{everything}", site.url)).await;
    assert_eq!(browser.count("[data-decide]").await, 0);
    // An approver sees it, and does not resume it.
    site.ask(|a| a.role_change(&principal("user:142"), Role::Approver, true).unwrap()).await;
    browser.open(&format!("{}/stops/{everything}", site.url)).await;
    assert!(browser.text("main").await.contains("Owners resume what is stopped"));
    assert_eq!(browser.count("[data-decide]").await, 0);
    assert_eq!(stopped(&site).await, ["everything"]);
}
