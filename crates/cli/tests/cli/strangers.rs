//! Callers that nobody knows: they learn nothing, and cannot fill the ledger.

use std::time::Instant;

use bailiwick_testkit::World;
use bailiwick_testkit::present::{Call, fresh_key};
use serde_json::{Value, json};

use crate::EXE;

fn ticket() -> Value {
    json!({"ticket_id": 8821})
}

fn assert_nothing_executed(world: &World) {
    let executed = world.executed();
    assert!(executed.is_empty(), "the desk executed {executed:?}");
}

#[test]
fn whoever_presents_nothing_learns_the_same_of_every_tool_and_server() {
    let world = World::new(EXE);
    let chain = world.chain();
    let probe = |server: &str, tool: &str| {
        let call = Call::new(&chain, &world.runner.key, tool, ticket());
        let mut message = call.message();
        message["params"]["_meta"].as_object_mut().unwrap().remove("io.bailiwick/presentation");
        let mut request = call.with_body(message.to_string());
        request.path = format!("/mcp/{server}");
        let answer = request.send(world.address).unwrap();
        world.assert_not_authenticated(&answer, "presentation-missing");
        let mut json = answer.json();
        json["error"]["data"]["decision_id"] = Value::Null;
        (answer.status, json)
    };
    let known = probe("support-desk", "get_ticket");
    assert_eq!(known, probe("support-desk", "no_such_tool"));
    assert_eq!(known, probe("no-such-server", "get_ticket"));
    // Nor does a wrong proof for either.
    let forge = |tool: &str| {
        let call = Call::new(&chain, &fresh_key(), tool, ticket());
        let answer = world.send(&call);
        world.assert_not_authenticated(&answer, "proof-invalid");
        let mut json = answer.json();
        json["error"]["data"]["decision_id"] = Value::Null;
        (answer.status, json)
    };
    assert_eq!(forge("get_ticket"), forge("no_such_tool"));
    assert_nothing_executed(&world);
}

#[test]
fn a_flood_of_strangers_is_counted_and_a_known_caller_still_gets_through() {
    let mut world = World::new(EXE);
    let chain = world.chain();
    let report = world.ok(&["audit", "verify"]);
    let before = report["entries"].as_u64().unwrap() + report["pending"].as_u64().unwrap();
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..75 {
                    let call = Call::new(&chain, &fresh_key(), "get_ticket", ticket());
                    let json = world.send(&call).json();
                    assert_eq!(json["error"]["code"], -32041, "{json}");
                }
            });
        }
    });
    assert_nothing_executed(&world);
    // A caller that is known is answered and recorded, flood or not.
    world.assert_allowed(&world.call(&chain, "get_ticket", ticket()), "ok");
    world.stop_serve();
    let report = world.ok(&["audit", "verify"]);
    let added = report["entries"].as_u64().unwrap() - before;
    // A burst of a hundred, then twenty a second; and the known caller's own.
    let most = 100 + 20 * (started.elapsed().as_secs() + 1) + 10;
    assert!(added <= most, "{added} entries for 300 refusals of a stranger, at most {most}");
    let tail = world.run(&["audit", "tail", "-n", "400"]).out;
    let counted: u64 = tail
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap())
        .filter(|e| e["kind"] == "denials.suppressed")
        .map(|e| e["body"]["count"].as_u64().unwrap())
        .sum();
    let single = tail.matches("\"decision\":\"deny\"").count();
    assert_eq!(counted + u64::try_from(single).unwrap(), 300, "every refusal is counted once");
}
