//! Entitlements at the command line and at the gateway.

use bailiwick_testkit::World;
use bailiwick_testkit::world::{PURPOSE, RUNNER};
use serde_json::json;

use crate::EXE;

#[test]
fn what_principals_may_is_published_shown_and_counts_at_each_call() {
    let world = World::new(EXE);
    let file = world.path("entitlements.yaml");
    let write = |scope: &str| {
        let allowed = format!("[{{workflow: '*', scope: {scope}, max_risk: high}}]");
        let text = format!(
            "rules: [{{who: {{everybody: true}}, may_do: {allowed}, may_grant: {allowed}}}]\n"
        );
        std::fs::write(&file, text).unwrap();
    };
    assert!(world.ok(&["entitlements", "show"])["published"].is_null());
    let chain = world.chain();
    let call = || world.call(&chain, "get_ticket", json!({"ticket_id": 8821}));
    world.assert_allowed(&call(), "ok");

    write("['ticket:{id}', 'orders:read']");
    let digest = world.ok(&["entitlements", "check", &file])["digest"].clone();
    let published = world.ok(&["entitlements", "publish", &file]);
    assert_eq!((&published["digest"], &published["changed"]), (&digest, &json!(true)));
    assert_eq!(world.ok(&["entitlements", "publish", &file])["changed"], false);
    assert_eq!(world.ok(&["entitlements", "show"])["digest"], digest);
    world.assert_allowed(&call(), "ok");
    let key = world.principal_key();
    let refused = world.run(&[
        "delegate",
        "--agent",
        RUNNER,
        "--purpose",
        PURPOSE,
        "--key",
        &key,
        "--out",
        &world.path("refused.json"),
        "--scope",
        "refund:4711",
    ]);
    assert_eq!((refused.status, refused.code().as_str()), (1, "entitlement-scope"));

    write("['ticket:{id}']");
    world.ok(&["entitlements", "publish", &file]);
    world.assert_denied(&call(), "entitlement-exceeded");
    write("'*'");
    world.ok(&["entitlements", "publish", &file]);
    world.assert_allowed(&call(), "ok");

    std::fs::write(&file, "rules: [{who: {}}]\n").unwrap();
    let refused = world.run(&["entitlements", "publish", &file]);
    assert_eq!((refused.status, refused.code().as_str()), (2, "workflow-value-unknown"));
    let report = world.ok(&["audit", "verify"]);
    assert_eq!(report["holds"], true, "{report}");
}
