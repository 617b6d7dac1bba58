//! Autonomy at the command line, and at a gateway that runs.

use bailiwick_testkit::World;
use bailiwick_testkit::http::Response;
use serde_json::{Value, json};

use crate::EXE;

fn note(world: &World) -> Response {
    let chain = world.delegate(&["ticket:8821:note"], &[]);
    world.call(&chain, "add_note", json!({"ticket_id": 8821, "text": "hello"}))
}

fn shown(world: &World) -> Value {
    world.ok(&["autonomy", "show", "support-tickets"])
}

/// Another version of the bundled workflow.
fn second_version(world: &World) -> String {
    let text = include_str!("../../../../workflows/support-tickets.yaml");
    let path = world.base.path().join("second.yaml");
    std::fs::write(&path, text.replace("version: \"1\"", "version: \"2\"")).unwrap();
    path.display().to_string()
}

#[test]
fn what_is_lowered_asks_a_person_from_the_next_call_on_and_figures_are_not_talked_up() {
    let world = World::new(EXE);
    world.assert_allowed(&note(&world), "ok");
    let before = shown(&world);
    assert_eq!(
        (&before["level"], &before["why"]),
        (&json!("bounded"), &json!("as the version says"))
    );

    let lower = ["autonomy", "lower", "support-tickets", "--to", "manual", "--reason", "a drill"];
    assert_eq!(world.ok(&lower)["level"], "manual");
    let asked = note(&world).json();
    assert_eq!(asked["error"]["data"]["code"], "approval-required", "{asked}");
    let after = shown(&world);
    assert_eq!(after["level"], "manual", "{after}");
    assert_eq!(after["changes"][0]["cause"], "person");
    assert_eq!(after["changes"][0]["reason"], "a drill");
    assert_eq!(after["next"]["level"], "supervised");
    assert!(!after["unmet"].as_array().unwrap().is_empty(), "{after}");

    // Another version raises nothing, and says who wrote it.
    let file = second_version(&world);
    let published = world.ok(&["workflow", "publish", &file, "--author", "user:142"]);
    assert_eq!(published["in_force"], "manual");
    assert_eq!(published["why"], "lowered by a person");
    assert_eq!(shown(&world)["level"], "manual");
    let history = world.ok(&["workflow", "history", "support-tickets"]);
    assert_eq!(history["in_force"], "manual");
    assert_eq!(history["versions"][0]["authors"], json!(["user:142"]));

    // The owner's signature over figures that miss the targets is none.
    let key = world.base.path().join("owner-approver.json").display().to_string();
    world.ok(&["approvals", "key", "new", "--for", "user:owner", "--out", &key]);
    let refused = world.run(&["autonomy", "raise", "support-tickets", "--key", &key]);
    assert_eq!(refused.status, 1, "{}{}", refused.out, refused.err);
    let said = format!("{}{}", refused.out, refused.err);
    assert!(said.contains("autonomy-targets"), "{said}");
    assert_eq!(shown(&world)["level"], "manual");
}
