//! A workflow's autonomy over the API: whoever may not see the workflow is told nothing.

use bailiwick_authority::people::roles::Role;
use bailiwick_policy::grades::Level;

use super::Served;
use crate::support::principal;

const PATH: &str = "/api/v1/workflows/support-tickets/autonomy";

#[test]
fn a_workflows_autonomy_is_shown_to_whoever_may_see_the_workflow() {
    let served = Served::start();
    let a = &served.world.authority;
    let workflow = "support-tickets".parse().unwrap();
    a.lower_autonomy(None, &workflow, Level::Manual, "it guesses").unwrap();
    let stranger = served.log_in("user:142", 90);
    let answer = served.get(&stranger, PATH);
    assert_eq!(answer.status, 404, "{}", answer.text());
    assert!(!answer.text().contains("guesses"));
    let owner = served.log_in("user:owner", 91);
    let shown = served.get(&owner, PATH).json();
    assert_eq!(shown["changes"][0]["reason"], "it guesses", "{shown}");
    assert!(shown["figures"].is_object());
    assert!(shown["until"].as_str().unwrap().ends_with('Z'), "{shown}");
    assert_eq!(shown["change_count"], 1);
    // An approver may sign, and so sees what is signed; who wrote it sees no figures.
    a.role_change(&principal("user:142"), Role::Approver, true).unwrap();
    assert!(served.get(&stranger, PATH).json()["figures"].is_object());
    let text = crate::support::WORKFLOW.replace("version: \"1\"", "version: \"2\"");
    a.workflow_publish_by(&text, Some(&principal("user:142"))).unwrap();
    assert!(served.get(&stranger, PATH).json()["figures"].is_null());
}
