//! From an enrolment link to a signed grant, as a person goes.

use bailiwick_authority::oauth::code::IssuedCode;
use bailiwick_core::grant::{Proof, Statement};
use bailiwick_core::json::Json;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_store::Filter;
use bailiwick_testkit::browser::Browser;

use crate::site::{Site, principal};

pub(crate) const DETAILS: &str = r#"[{"type":"urn:bailiwick:delegation","workflow":"support-tickets","purpose":"Resolve ticket 8821: the parcel arrived broken","scope":["ticket:8821","orders:read","refund:17"],"expires_in":1800}]"#;

pub(crate) async fn enrol(browser: &Browser, site: &Site, name: &'static str) {
    browser.open(&site.link(name).await).await;
    browser.fill("#label", "Work laptop").await;
    browser.picture("enrol").await;
    browser.click("[data-passkey-enrol] button").await;
    browser.text(".who").await;
}

fn value<'a>(answer: &'a [(String, String)], name: &str) -> &'a str {
    answer.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
}

fn statement(text: &str) -> Statement {
    Statement::from_json(&Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_a_narrowed_grant_and_the_client_gets_a_code_for_it() {
    let (site, browser) = (Site::start().await, Browser::start().await);
    let link = site.link("user:142").await;
    browser.open(&link).await;
    browser.picture("enrol").await;
    browser.fill("#label", "Work laptop").await;
    browser.click("[data-passkey-enrol] button").await;
    browser.arrive(&format!("{}/", site.url)).await;
    assert!(browser.text(".who").await.contains("user:142"));
    browser.picture("home-empty").await;
    // The link worked once.
    browser.open(&link).await;
    assert!(browser.text("main").await.contains("link-used-or-expired"));
    browser.picture("link-gone").await;

    // Out, and in again with the passkey alone, on the way to the consent page.
    browser.click(".who form button").await;
    browser.arrive("/login").await;
    browser.open(&site.authorize("client-1", &[("authorization_details", DETAILS)])).await;
    browser.arrive("/login?next=").await;
    browser.picture("login").await;
    browser.click("[data-passkey-login] button").await;
    browser.arrive("/consent/").await;
    assert!(browser.text("h1").await.contains("agent:support-runner"));
    assert_eq!(browser.count("[data-tool]").await, 4);
    browser.picture("consent").await;

    // Refunds are unticked: signing waits until the narrower version is shown.
    assert!(browser.is_enabled("[data-sign] button").await);
    let refund = "input[value='mcp:support-desk:tools/refund_order']";
    browser.click(refund).await;
    assert!(!browser.is_enabled("[data-sign] button").await);
    browser.script("document.querySelector('.narrowing').open = true").await;
    browser.fill("#calls", "20").await;
    browser.fill("#depth", "0").await;
    browser.picture("consent-changed").await;
    let before = browser.client.current_url().await.unwrap().to_string();
    browser.click("#narrow button").await;
    browser.text(".notice.good").await;
    assert_ne!(browser.client.current_url().await.unwrap().to_string(), before);
    assert_eq!(browser.count("[data-tool]").await, 3);
    let digest =
        browser.script("return document.querySelector('[data-field=digest]').textContent").await;
    browser.picture("consent-narrowed").await;

    // An authenticator that does not know its person signs nothing.
    browser.verify_person(false).await;
    browser.click("[data-sign] button").await;
    browser.text("[data-problem]:not([hidden])").await;
    browser.verify_person(true).await;
    browser.click("[data-sign] button").await;
    browser.arrive("/callback").await;
    let answers = site.answers();
    assert_eq!(answers.len(), 1);
    assert_eq!(value(&answers[0], "state"), "the client's own");
    assert_eq!(value(&answers[0], "iss"), site.url);

    // What is on record is what the page said, signed by the passkey.
    let code = value(&answers[0], "code").to_owned();
    let (code, grant) = site
        .ask(move |a| {
            let secret = bailiwick_authority::people::sessions::Secret::parse(&code).unwrap();
            let alias = a.principal(&principal("user:142")).unwrap().row.alias;
            a.store()
                .read(|view| {
                    let now = Timestamp::from_seconds(0);
                    let ticket = view.ticket("code", &secret.hash(), now)?.unwrap();
                    let grants = view.grants_of_principal(&alias, 10)?;
                    assert_eq!(grants.len(), 1);
                    Ok::<_, bailiwick_store::StoreError>((ticket.value, grants[0].row.clone()))
                })
                .unwrap()
        })
        .await;
    let code = Json::parse(code.as_bytes(), &JsonLimits::DEFAULT).unwrap();
    let code = IssuedCode::from_json(&code, &site.url).unwrap();
    assert_eq!(code.grant, grant.id);
    assert_eq!(digest.as_str(), Some(grant.digest.to_string().as_str()));
    let id = grant.id.clone();
    let (text, proof) = site.ask(move |a| a.grant_texts(&id).unwrap().unwrap()).await;
    let statement = statement(&text);
    assert!(matches!(Proof::from_text(Some(&proof)), Ok(Proof::Passkey(_))));
    assert_eq!(statement.requested, ["ticket:8821", "orders:read"]);
    assert!(statement.tools.member("mcp:support-desk:tools/refund_order").is_none());
    assert_eq!((statement.tools.len(), statement.max_depth), (3, 0));
    assert_eq!(statement.budget.member("max_calls").unwrap().canonical(), "20");

    // The person sees it, and takes it back.
    browser.open(&format!("{}/grants", site.url)).await;
    browser.picture("grants").await;
    browser.click(".row").await;
    browser.picture("grant").await;
    browser.click("a.danger").await;
    browser.picture("confirm").await;
    browser.click("button.danger").await;
    browser.arrive(&format!("/grants/{}", grant.id)).await;
    assert!(browser.text(".head").await.contains("revoked"));
    browser.open(&format!("{}/activity", site.url)).await;
    assert!(browser.text("main").await.contains("Taken back"));
    browser.picture("activity").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_refuses_sends_the_client_away_and_nothing_is_granted() {
    let (site, browser) = (Site::start().await, Browser::start().await);
    enrol(&browser, &site, "user:142").await;
    browser.open(&site.authorize("client-1", &[("scope", "ticket:8821")])).await;
    browser.arrive("/consent/").await;
    browser.picture("choose").await;
    // A purpose is part of what is signed: without one there is no grant.
    browser.click("input[name=workflow]").await;
    browser.fill("#purpose", "Look into ticket 8821").await;
    browser.click(".stack button").await;
    browser.text("blockquote").await;
    assert_eq!(browser.text("blockquote").await, "Look into ticket 8821");
    browser.click("form[action$='/deny'] button").await;
    browser.arrive("/callback").await;
    let answers = site.answers();
    assert_eq!(value(&answers[0], "error"), "access_denied");
    assert_eq!(value(&answers[0], "state"), "the client's own");
    assert_eq!(value(&answers[0], "iss"), site.url);
    assert_eq!(value(&answers[0], "code"), "");
    let refused = site
        .ask(|a| {
            let filter = Filter { limit: 100, ..Filter::default() };
            let entries = a.store().read(|view| view.query(&filter)).unwrap();
            let has = |kind: &str| entries.iter().filter(|e| e.kind == kind).count();
            (has("authorization.refused"), has("grant.recorded"))
        })
        .await;
    assert_eq!(refused, (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_mapped_to_no_agent_gets_nothing_but_a_page_for_the_person() {
    let (site, browser) = (Site::start().await, Browser::start().await);
    enrol(&browser, &site, "user:owner").await;
    browser.open(&site.authorize("stranger", &[("scope", "ticket:8821")])).await;
    let said = browser.text("main").await;
    assert!(said.contains("client-unmapped"), "{said}");
    assert!(said.contains("bailiwick client map stranger --agent agent:NAME"), "{said}");
    browser.picture("unmapped").await;
    assert!(site.answers().is_empty());
    browser.open(&format!("{}/clients", site.url)).await;
    browser.picture("clients").await;
    browser.open(&format!("{}/agents", site.url)).await;
    browser.picture("agents").await;
    browser.click(".row").await;
    browser.picture("agent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_passkey_is_added_and_the_last_one_stays() {
    let (site, browser) = (Site::start().await, Browser::start().await);
    enrol(&browser, &site, "user:142").await;
    browser.open(&format!("{}/account", site.url)).await;
    assert!(browser.text(".rows").await.contains("your only one"));
    browser.picture("account").await;
    // The same authenticator has one for this person already.
    browser.fill("#label", "The same again").await;
    browser.click("[data-passkey-add] button").await;
    browser.text("[data-problem]:not([hidden])").await;
    assert_eq!(browser.count(".rows > li").await, 1);
}
