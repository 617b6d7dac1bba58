//! The People page, as an owner goes through it.

use bailiwick_store::Status;
use bailiwick_testkit::browser::Browser;

use crate::consent::enrol;
use crate::site::{Site, principal};

/// Pictures by day and by night, on a desk and on a phone.
async fn pictures(browser: &Browser, name: &str) {
    for (width, is_dark) in [(390, false), (390, true), (1280, true), (1280, false)] {
        browser.show_as(width, is_dark).await;
        let wide = "return document.documentElement.scrollWidth <= window.innerWidth";
        assert_eq!(browser.script(wide).await, true, "{name} is wider than {width}");
        let when = if is_dark { "night" } else { "day" };
        browser.picture(&format!("{name}-{width}-{when}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_lets_a_person_in_again_and_offboards_them() {
    let (site, browser) = (Site::start().await, Browser::start().await);
    enrol(&browser, &site, "user:owner").await;
    browser.click("nav a[href='/people']").await;
    browser.arrive("/people").await;
    assert!(browser.text("main").await.contains("user:142"));
    pictures(&browser, "people").await;
    let alias = site.ask(|a| a.principal(&principal("user:142")).unwrap().row.alias).await;
    browser.click(&format!("a[href='/people/{alias}']")).await;
    assert!(browser.text("h1").await.contains("user:142"));
    pictures(&browser, "person").await;

    browser.click(&format!("a[href='/people/{alias}/link']")).await;
    browser.arrive("/link").await;
    browser.click("main form button.danger").await;
    let link = browser.text("[data-link]").await;
    assert!(link.starts_with(&format!("{}/enrol/", site.url)), "{link}");
    pictures(&browser, "link").await;
    browser.click("main .button").await;

    browser.click(&format!("a[href='/people/{alias}/offboard']")).await;
    browser.fill("#reason", "Left the company").await;
    pictures(&browser, "offboard").await;
    browser.click("main form button.danger").await;
    browser.arrive(&format!("/people/{alias}")).await;
    assert_eq!(browser.text(".head .badge").await, "left");
    pictures(&browser, "left").await;
    let status = site.ask(|a| a.principal(&principal("user:142")).unwrap().row.status).await;
    assert_eq!(status, Status::Retired);
    // The link has ended with the account.
    browser.open(&link).await;
    assert!(browser.text("main").await.contains("link-used-or-expired"));

    browser.open(&format!("{}/account", site.url)).await;
    assert!(browser.text("main").await.contains("What happened to your account"));
    pictures(&browser, "account").await;
}
