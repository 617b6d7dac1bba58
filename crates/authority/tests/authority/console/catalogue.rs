//! The catalogue's pages: what is seen, and who may accept it.

use bailiwick_authority::people::roles::Role;
use bailiwick_authority::rules::tool_servers::NewServer;
use bailiwick_core::ids::ServerName;
use bailiwick_policy::catalogue::DefinitionKind;
use bailiwick_store::IdentityMode;

use super::Served;
use crate::support::{json, principal};

const PAGE: &str = "/catalogue/tool?id=mcp%3Adesk%3Atools%2Fget";
const TOOL: (&str, &str) = ("tool", "mcp:desk:tools/get");

fn served() -> Served {
    let served = Served::start();
    let a = &served.world.authority;
    let name = ServerName::parse("desk").unwrap();
    a.tool_server_add(NewServer {
        name: name.clone(),
        url: "http://127.0.0.1:9/mcp".into(),
        credential: None,
        identity_mode: IdentityMode::Shared,
        replace: false,
    })
    .unwrap();
    for description in ["Reads.", "Reads <b>all</b>\\u202e."] {
        let listing = format!(
            r#"{{"tools":[{{"name":"get","description":"{description}","inputSchema":{{}}}}]}}"#
        );
        a.pin(&name, DefinitionKind::Tool, &json(&listing), &[]).unwrap();
    }
    served
}

#[test]
fn what_waits_is_shown_with_what_cannot_be_seen_written_out() {
    let served = served();
    let owner = served.sign_in("user:owner");
    let list = served.get("/catalogue", Some(&owner));
    assert_eq!(list.status, 200, "{}", list.body);
    assert!(list.body.contains("mcp:desk:tools/get") && list.body.contains("changed"));
    let page = served.get(PAGE, Some(&owner));
    assert_eq!(page.status, 200, "{}", page.body);
    for part in
        ["hidden-bidi", "changed-after-acceptance", "\\u{202e}", "data-place=\"description\""]
    {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    assert!(!page.body.contains('\u{202e}') && !page.body.contains("<b>all"));
}

#[test]
fn only_owners_and_operators_decide_and_only_about_what_was_shown() {
    let served = served();
    let (owner, other) = (served.sign_in("user:owner"), served.sign_in("user:142"));
    assert_eq!(served.get("/catalogue", Some(&other)).status, 403);
    let a = &served.world.authority;
    a.role_change(&principal("user:142"), Role::Auditor, true).unwrap();
    let page = served.get(PAGE, Some(&other));
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("Accept this definition"));
    let digest = served.get(PAGE, Some(&owner)).input("digest");
    let refused = served.post("/catalogue/accept", &other, &[TOOL, ("digest", &digest)]);
    assert_eq!(refused.status, 403);
    assert_eq!(served.post("/catalogue/quarantine", &other, &[TOOL]).status, 403);
    assert_eq!(served.count("tool.pinned"), 1);

    a.role_change(&principal("user:142"), Role::Operator, true).unwrap();
    let wrong = "A".repeat(43);
    let moved = served.post("/catalogue/accept", &other, &[TOOL, ("digest", &wrong)]);
    assert_eq!(moved.status, 422, "{}", moved.body);
    assert!(moved.body.contains("definition-moved"));
    let done = served.post("/catalogue/accept", &other, &[TOOL, ("digest", &digest)]);
    assert_eq!((done.status, done.location()), (303, PAGE));
    assert_eq!(served.count("tool.pinned"), 2);
    assert_eq!(served.post("/catalogue/quarantine", &owner, &[TOOL]).status, 303);
    assert_eq!(served.count("tool.quarantined"), 1);
    assert!(served.get(PAGE, Some(&owner)).body.contains("quarantined"));
}

#[test]
fn a_tool_says_which_workflows_list_it_and_at_what_risk() {
    let served = Served::start();
    let a = &served.world.authority;
    let name = ServerName::parse("support-desk").unwrap();
    a.tool_server_add(NewServer {
        name: name.clone(),
        url: "http://127.0.0.1:9/mcp".into(),
        credential: None,
        identity_mode: IdentityMode::Shared,
        replace: false,
    })
    .unwrap();
    let listing = r#"{"tools":[
        {"name":"refund_order","description":"Pays back.","inputSchema":{}},
        {"name":"unlisted","description":"Nobody lists it.","inputSchema":{}}]}"#;
    a.pin(&name, DefinitionKind::Tool, &json(listing), &[]).unwrap();
    let stricter = crate::support::WORKFLOW
        .replace("workflow: support-tickets", "workflow: back-office")
        .replace("refund_order:     {risk: high", "refund_order:     {risk: critical");
    a.workflow_publish(&stricter).unwrap();
    let owner = served.sign_in("user:owner");
    let text = |path: &str, css: &str| -> Vec<String> {
        let page = served.get(path, Some(&owner));
        assert_eq!(page.status, 200, "{}", page.body);
        let html = scraper::Html::parse_document(&page.body);
        let found = scraper::Selector::parse(css).unwrap();
        html.select(&found).map(|e| e.text().collect::<String>().trim().to_owned()).collect()
    };
    assert_eq!(text("/catalogue", ".risk"), ["critical risk"], "the highest of them");
    assert_eq!(text("/catalogue", ".row-side > .sub"), ["in no workflow"]);
    let page = "/catalogue/tool?id=mcp:support-desk:tools/refund_order";
    assert_eq!(text(page, "tbody th"), ["back-office", "support-tickets"]);
    assert_eq!(text(page, ".risk"), ["critical risk", "high risk"]);
    let unlisted = "/catalogue/tool?id=mcp:support-desk:tools/unlisted";
    assert_eq!(text(unlisted, ".empty").len(), 1);
}
