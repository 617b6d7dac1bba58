//! Approvals for more than one call, with a passkey: many at once, and the same
//! again.

use bailiwick_core::crypto::{Thumbprint, sha256};
use bailiwick_core::ids::{ApprovalId, EntryId, GrantId};
use bailiwick_core::json::Object;
use bailiwick_core::ledger::{Event, Kind, Subjects};
use bailiwick_store::{ApprovalState, Delegation, Grant, Row, StoreError, TokenForm};
use bailiwick_testkit::browser::Browser;

use crate::approvals::{random, settles, state, waits};
use crate::consent::enrol;
use crate::site::{Site, key, now};

#[tokio::test(flavor = "multi_thread")]
async fn one_touch_approves_the_calls_that_were_ticked_and_no_other() {
    let (site, browser) = (Site::start().await, Browser::start().await);
    enrol(&browser, &site, "user:owner").await;
    let mut ids = Vec::new();
    for note in ["torn \u{202e}lias", "wet", "late"] {
        ids.push(site.ask(move |a| waits(a, note)).await);
    }
    browser.open(&format!("{}/approvals", site.url)).await;
    for id in &ids[..2] {
        browser.click(&format!("input[name=id][value='{id}']")).await;
    }
    browser.picture("approvals-ticked").await;
    browser.click("form[action='/approvals/batch'] button").await;
    browser.arrive("/approvals/batch").await;
    // Each call in full, hidden characters written out.
    let page = browser.text("main").await;
    assert!(page.contains("torn \\u{202e}lias") && page.contains("\"wet\""), "{page}");
    assert!(!page.contains("\"late\""), "{page}");
    assert_eq!(browser.count("[data-call]").await, 2);
    browser.picture("approvals-batch").await;
    browser.click("[data-approvals] button").await;
    // The list has them among what is over.
    browser.text("#settled").await;
    for (n, id) in ids.iter().enumerate() {
        let of = id.clone();
        let approved = site.ask(move |a| state(a, &of)).await.state == ApprovalState::Approved;
        assert_eq!(approved, n < 2);
        let of = id.clone();
        assert_eq!(site.ask(move |a| settles(a, &of)).await, n < 2);
    }
}

/// The delegation under which the waiting call is made.
fn delegated(authority: &bailiwick_authority::Authority, id: &ApprovalId) {
    let held = state(authority, id);
    let (grant, expires) = (GrantId::mint(now(), random()), now().plus_seconds(7200));
    let granted = Grant {
        id: grant.clone(),
        digest: sha256(b"grant"),
        task: held.task.clone(),
        agent: held.agent.clone(),
        principal: held.principal.clone(),
        attested: false,
        account: None,
        starts: now(),
        expires,
        statement: String::new(),
        proof: String::new(),
    };
    let issued = Delegation {
        root: held.root,
        grant,
        task: held.task,
        agent: held.agent,
        holder: Thumbprint::from_array([7; 32]),
        issued: now(),
        expires,
        form: TokenForm::default(),
        client: None,
        status_index: None,
        guarantee: bailiwick_core::guarantee::Guarantee::Key,
        token: String::new(),
    };
    let rows = [
        (Kind::GrantRecorded, Row::Grant(granted)),
        (Kind::DelegationIssued, Row::Delegation(issued)),
    ];
    for (kind, row) in rows {
        let event = Event {
            id: EntryId::mint(now(), random()),
            org: authority.installation().org.clone(),
            time: now(),
            kind,
            subjects: Subjects::default(),
            body: Object::new(),
            disclosures: Vec::new(),
        };
        let maker = authority.installation().makers[1].id.clone();
        let written = authority.store().write(move |tx| -> Result<(), StoreError> {
            tx.record(&maker, &*key(3), event, &row).map(drop)
        });
        written.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_again_is_signed_shown_and_taken_back() {
    let (site, browser) = (Site::start().await, Browser::start().await);
    enrol(&browser, &site, "user:owner").await;
    let id = site.ask(|a| waits(a, "broken")).await;
    let of = id.clone();
    site.ask(move |a| delegated(a, &of)).await;
    browser.open(&format!("{}/approvals/{id}", site.url)).await;
    browser.click(&format!("a[href='/approvals/{id}/standing']")).await;
    browser.arrive(&format!("/approvals/{id}/standing")).await;
    // Nothing can be signed before it was shown.
    assert_eq!(browser.count("[data-terms]").await, 0);
    browser.fill("input[name='may.reason']", "torn, wet").await;
    browser.fill("input[name=minutes]", "200").await;
    browser.click("form.card button").await;
    assert!(browser.text("[role=alert]:not([hidden])").await.contains("lasts longer"));
    browser.fill("input[name=minutes]", "30").await;
    browser.click("form.card button").await;
    let bound = browser.text("[data-bound=reason]").await;
    assert!(bound.contains("one_of") && bound.contains("broken"), "{bound}");
    browser.picture("standing-new").await;
    browser.click("[data-terms] button").await;
    let page = browser.text("main .badge.good").await;
    assert!(page.contains("active"), "{page}");
    browser.picture("standing").await;
    let shown = site.ask(|a| a.standings(None, false, 9).unwrap()).await;
    assert_eq!((shown.len(), shown[0].state), (1, "active"));
    assert!(shown[0].terms.is_some());
    browser.open(&format!("{}/approvals", site.url)).await;
    assert!(browser.text("main").await.contains("used 0 of 5"));
    browser.picture("approvals-standing").await;
    let standing = shown[0].standing.id.clone();
    browser.open(&format!("{}/standing-approvals/{standing}/revoke", site.url)).await;
    browser.click("button.danger").await;
    assert!(browser.text("main .badge.bad").await.contains("revoked"));
    assert!(site.ask(|a| a.standings(None, false, 9).unwrap()).await.is_empty());
}
