//! What denials leave in a real data dir: no caller's words in the clear, what
//! the operator can still read, evidence of it, and derived tokens that can be
//! revoked although nothing was ever allowed under them.

use std::fs;

use bailiwick_testkit::World;
use bailiwick_testkit::present::Call;
use bailiwick_testkit::world::files;
use serde_json::{Value, json};

use crate::EXE;
const CANARY: &str = "tell alice@example.com, born 1970";

/// The id of the action that a record is about.
fn action(record: &Value) -> String {
    record["action"].as_str().unwrap().to_owned()
}

fn plaintext(world: &World, action: &str) -> Value {
    world.ok(&["audit", "show", action, "--plaintext"])["plaintext"].clone()
}

/// The evidence of `action`, as a reader without the data dir sees it.
fn proven(world: &World, action: &str) -> Value {
    let (bundle, trust) =
        (world.path(&format!("{action}.json")), world.path(&format!("trust-{action}.json")));
    world.ok(&["evidence", "get", action, "-o", &bundle]);
    world.ok(&["keys", "trust", "-o", &trust]);
    world.ok(&["evidence", "verify", &bundle, "--trust", &trust])["proven"].clone()
}

/// The leaves of one kind.
pub(crate) fn entries(world: &World, kind: &str) -> Vec<Value> {
    let database = rusqlite::Connection::open(world.data.join("state.db")).unwrap();
    let mut query =
        database.prepare("SELECT leaf FROM entries WHERE kind = ?1 ORDER BY idx").unwrap();
    let leaves = query.query_map([kind], |r| r.get::<_, Vec<u8>>(0)).unwrap();
    leaves.map(|leaf| serde_json::from_slice(&leaf.unwrap()).unwrap()).collect()
}

#[test]
fn a_name_that_a_caller_made_up_is_committed_shown_to_the_operator_and_proved() {
    let mut world = World::new(EXE);
    let chain = world.chain();
    // A known caller: a denial by scope, which evidence reaches again.
    let denied = world.call(&chain, CANARY, json!({}));
    let known = action(&world.assert_denied(&denied, "tool-not-delegated"));
    // A thief of the chain: what it asked for is kept with its arguments.
    let arguments = json!({"ticket_id": "alice-1970"});
    let thief = Call::new(&chain, &world.reader.key, CANARY, arguments.clone());
    let refused = world.send(&thief);
    let stranger = action(&world.assert_not_authenticated(&refused, "proof-invalid"));

    let shown = world.ok(&["audit", "show", &known]);
    assert!(!shown.to_string().contains("alice"), "{shown}");
    let text = plaintext(&world, &known);
    assert_eq!(text["tool"], format!("mcp:support-desk:tools/{CANARY}"));
    let text = plaintext(&world, &stranger);
    assert_eq!(text["claimed"]["action"], format!("mcp:support-desk:tools/{CANARY}"));
    assert_eq!(text["claimed"]["arguments"], arguments);

    let verdict = proven(&world, &known);
    assert_eq!(verdict["decision"]["recomputed"], true, "{verdict}");
    assert_eq!(verdict["authority"]["tool"], format!("mcp:support-desk:tools/{CANARY}"));
    let verdict = proven(&world, &stranger);
    assert_eq!(verdict["decision"]["recomputed"], true, "{verdict}");
    assert_eq!(verdict["authority"], Value::Null);

    world.stop_serve();
    let log = fs::read(world.base.path().join("serve.log")).unwrap();
    let mut places = vec![("state".to_owned(), fs::read(world.data.join("state.db")).unwrap())];
    places.push(("log".to_owned(), log));
    for file in files(&world.data.join("ledger")) {
        places.push((file.display().to_string(), fs::read(&file).unwrap()));
    }
    for (place, bytes) in places {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("alice"), "the caller's words stand in {place}");
    }
}

#[test]
fn decisions_are_reached_again_with_the_policy_rules() {
    let world = World::new(EXE);
    let chain = world.chain();
    let allowed = world.call(&chain, "get_ticket", json!({"ticket_id": 8821}));
    let allowed = world.assert_allowed(&allowed, "ok");
    let verdict = proven(&world, &allowed);
    assert_eq!(verdict["decision"]["policy_recomputed"], true, "{verdict}");
    // Stopped after the catalogue was looked up: risk and pin are on record.
    let denied = world.call(&chain, "list_orders", json!({"customer_id": 1.5}));
    let denied = action(&world.assert_denied(&denied, "arguments-invalid"));
    let shown = world.ok(&["audit", "show", &denied]);
    assert_eq!(shown["record"]["risk"], "low", "{shown}");
    assert!(shown["record"]["pin"].is_string(), "{shown}");
    assert_eq!(plaintext(&world, &denied)["inputs"]["catalogue"]["level"], "bounded");
    proven(&world, &denied);
}

#[test]
fn a_derived_token_whose_calls_are_all_denied_is_on_record_and_can_be_revoked() {
    let world = World::new(EXE);
    let chain = world.chain();
    let child = world.attenuate(&chain, &world.runner, &world.reader, &[]);
    let call = |id: u64| {
        let arguments = json!({"ticket_id": id});
        world.send(&Call::new(&child, &world.reader.key, "get_ticket", arguments))
    };
    for _ in 0..3 {
        world.assert_denied(&call(9000), "argument-not-delegated");
    }
    let seen = entries(&world, "delegation.seen");
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0]["delegation"], child.hash());
    assert_eq!(seen[0]["agent"], "agent:order-reader");
    world.ok(&["revoke", "delegation", &child.hash(), "--reason", "finished"]);
    world.assert_denied(&call(8821), "revoked");
    world.assert_allowed(&world.call(&chain, "get_ticket", json!({"ticket_id": 8821})), "ok");
    assert_eq!(entries(&world, "delegation.seen").len(), 1);
}
