//! Workflows in the console: what is in force and why, what is missing, lowering, and
//! what changed between versions.

use bailiwick_authority::people::roles::Role;
use bailiwick_core::ids::WorkflowId;
use bailiwick_policy::grades::Level;

use super::Served;
use crate::support::{WORKFLOW, principal};

const PAGE: &str = "/workflows/support-tickets";

fn id() -> WorkflowId {
    WorkflowId::parse("support-tickets").unwrap()
}

fn item(page: &str, member: &str) -> String {
    let html = scraper::Html::parse_document(page);
    let found = scraper::Selector::parse(&format!("[data-member='{member}']")).unwrap();
    html.select(&found).next().unwrap().text().collect()
}

#[test]
fn an_incomplete_checklist_visibly_caps_autonomy() {
    let served = Served::start();
    let owner = served.sign_in("user:owner");
    let page = served.get(PAGE, Some(&owner)).body;
    assert!(page.contains("aria-label=\"Level in force: bounded\""));
    assert!(item(&page, "rollback").contains("there"));
    let (head, tail) = WORKFLOW.split_once("rollback:").unwrap();
    let (_, tail) = tail.split_once("evaluation:").unwrap();
    let without = format!("{head}evaluation:{tail}");
    served.world.authority.workflow_publish(&without).unwrap();
    let page = served.get(PAGE, Some(&owner)).body;
    assert!(page.contains("aria-label=\"Level in force: manual; the version says bounded\""));
    assert!(page.contains("its checklist supports manual at most"));
    let item = item(&page, "rollback");
    assert!(item.contains("missing: manual at most") && item.contains("no step that undoes"));
    let list = served.get("/workflows", Some(&owner)).body;
    assert!(list.contains("1 missing") && list.contains("step capped"));
}

#[test]
fn whoever_may_stop_it_lowers_it_with_a_reason_and_nobody_else() {
    let served = Served::start();
    let a = &served.world.authority;
    for (name, role) in [("user:op", Role::Operator), ("user:dev", Role::Developer)] {
        a.principal_add(&principal(name), None).unwrap();
        a.role_change(&principal(name), role, true).unwrap();
    }
    let (op, dev) = (served.sign_in("user:op"), served.sign_in("user:dev"));
    let path = format!("{PAGE}/lower");
    let fields = [("level", "supervised"), ("reason", "it <i>guesses</i>")];
    assert_eq!(served.post(&path, &dev, &fields).status, 422);
    assert!(!served.get(PAGE, Some(&dev)).body.contains("/lower\""));
    assert_eq!(served.post(&path, &op, &[("level", "supervised"), ("reason", " ")]).status, 422);
    assert_eq!(served.post(&path, &op, &[("level", "autonomous"), ("reason", "x")]).status, 422);
    assert_eq!(a.autonomy(&id()).unwrap().level, Level::Bounded);
    assert_eq!(served.post(&path, &op, &fields).status, 303);
    assert_eq!(a.autonomy(&id()).unwrap().level, Level::Supervised);
    let page = served.get(PAGE, Some(&dev)).body;
    assert!(page.contains("it &#60;i&#62;guesses&#60;/i&#62;") && page.contains("by user:op"));
    assert!(page.contains("Level in force: supervised; the version says bounded"));
}

#[test]
fn versions_are_compared_and_what_widens_is_said() {
    let served = Served::start();
    let owner = served.sign_in("user:owner");
    let wider = WORKFLOW.replace("max_calls: 500", "max_calls: 900");
    served.world.authority.workflow_publish(&wider).unwrap();
    let page = served.get(PAGE, Some(&owner)).body;
    let html = scraper::Html::parse_document(&page);
    let links = scraper::Selector::parse("a[href*='/changes?']").unwrap();
    let link = html.select(&links).next().unwrap().attr("href").unwrap().to_owned();
    let page = served.get(&link, Some(&owner)).body;
    assert!(
        page.contains("budget &#62; max_calls") || page.contains("budget > max_calls"),
        "{page}"
    );
    assert!(page.contains("<code>500</code>") && page.contains("<code>900</code>"));
    assert!(page.contains("1 of 1 changes let agents do more"));
    for bad in ["", "?from=x&to=y", "?from=&to="] {
        assert_eq!(served.get(&format!("{PAGE}/changes{bad}"), Some(&owner)).status, 404);
    }
}

#[test]
fn without_a_role_a_person_sees_the_workflows_that_they_answer_for() {
    let served = Served::start();
    let a = &served.world.authority;
    let (stranger, owner) = (served.sign_in("user:143"), served.sign_in("user:owner"));
    assert!(served.get("/workflows", Some(&stranger)).body.contains("You answer for no workflow."));
    assert_eq!(served.get(PAGE, Some(&stranger)).status, 404);
    a.principal_add(&principal("user:second"), None).unwrap();
    a.role_change(&principal("user:second"), Role::Owner, true).unwrap();
    let theirs = WORKFLOW.replace("owner: user:owner", "owner: user:143");
    a.workflow_publish(&theirs).unwrap();
    let page = served.get(PAGE, Some(&stranger));
    assert_eq!(page.status, 200);
    assert!(page.body.contains("/lower\""));
    assert_eq!(served.get(PAGE, Some(&owner)).status, 200);
    assert_eq!(served.get("/workflows/nothing", Some(&owner)).status, 404);
}

#[test]
fn a_raise_that_the_page_did_not_state_is_not_taken() {
    let served = Served::start();
    let owner = served.sign_in("user:owner");
    for body in ["{}", r#"{"terms":"{}"}"#, r#"{"terms":"nothing","credential":{}}"#] {
        let answer = served.script(&format!("{PAGE}/raise"), Some(&owner), body);
        assert!((400..500).contains(&answer.status), "{body}: {}", answer.status);
    }
    // The bundled version says `bounded`, which is in force: nothing is to be raised.
    assert!(served.get(PAGE, Some(&owner)).body.contains("It is not raised further"));
}
