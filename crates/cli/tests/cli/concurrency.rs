//! Many at once: a budget is spent once, a proof is used once, and no answer
//! reaches another client.

use std::sync::Barrier;

use bailiwick_core::crypto::Signer as _;
use bailiwick_testkit::World;
use bailiwick_testkit::http::Response;
use bailiwick_testkit::present::{Call, Chain, SESSIONS, in_session, signed};
use serde_json::{Value, json};

use crate::EXE;
pub(crate) const CROWD: usize = 20;

fn ticket() -> Value {
    json!({"ticket_id": 8821})
}

/// Sends all calls at the same moment.
pub(crate) fn at_once(world: &World, calls: &[Call]) -> Vec<Response> {
    let gate = Barrier::new(calls.len());
    std::thread::scope(|scope| {
        let callers: Vec<_> = calls
            .iter()
            .map(|call| {
                let gate = &gate;
                scope.spawn(move || {
                    let request = call.request();
                    gate.wait();
                    request.send(world.address).unwrap()
                })
            })
            .collect();
        callers.into_iter().map(|c| c.join().unwrap()).collect()
    })
}

/// Exactly `passed` answers are allowed, the others denied for `reason`.
fn assert_passed(world: &World, answers: &[Response], passed: usize, reason: Option<&str>) {
    let (allowed, denied): (Vec<_>, Vec<_>) =
        answers.iter().partition(|a| a.json()["result"].is_object());
    assert_eq!(
        allowed.len(),
        passed,
        "{:?}",
        answers.iter().map(Response::text).collect::<Vec<_>>()
    );
    for answer in denied {
        match reason {
            Some(reason) => world.assert_denied(answer, reason),
            None => world.assert_not_authenticated(answer, "proof-replayed"),
        };
    }
    assert_eq!(world.executed().len(), passed);
    let recorded = world.ok(&["audit", "query", "--decision", "allow"]);
    assert_eq!(recorded["actions"].as_array().unwrap().len(), passed);
}

fn calls(world: &World, chain: &Chain) -> Vec<Call> {
    let call = || Call::new(chain, &world.runner.key, "get_ticket", ticket());
    std::iter::repeat_with(call).take(CROWD).collect()
}

#[test]
fn of_twenty_calls_at_once_on_a_budget_of_one_exactly_one_passes() {
    let world = World::new(EXE);
    let chain = world.delegate(&["ticket:8821"], &["--budget", "max_calls=1"]);
    let answers = at_once(&world, &calls(&world, &chain));
    assert_passed(&world, &answers, 1, Some("budget-spent"));
}

#[test]
fn siblings_at_once_cannot_overspend_their_parent() {
    let world = World::new(EXE);
    let chain = world.delegate(&["ticket:8821"], &["--budget", "max_calls=5"]);
    let mut all = calls(&world, &chain);
    // Each child has a budget of its own that is as large as the parent's.
    for _ in 0..CROWD {
        let child = world.reader.key.public_key();
        let child = chain.child(&world.runner.key, &child, |_| {});
        all.push(Call::new(&child, &world.reader.key, "get_ticket", ticket()));
    }
    let answers = at_once(&world, &all);
    assert_passed(&world, &answers, 5, Some("budget-spent"));
}

#[test]
fn of_twenty_siblings_calls_at_once_a_window_lets_its_number_through_also_after_a_restart() {
    let mut world = World::new(EXE);
    // Of a year, so that no edge of a window falls into the test.
    let budget = "per/31536000/max_calls=5";
    let chain = world.delegate(&["ticket:8821"], &["--budget", budget]);
    let mut all = calls(&world, &chain);
    for _ in 0..CROWD {
        let child = world.reader.key.public_key();
        let child = chain.child(&world.runner.key, &child, |_| {});
        all.push(Call::new(&child, &world.reader.key, "get_ticket", ticket()));
    }
    let answers = at_once(&world, &all);
    // The year ends after the grant: waiting is of no use.
    assert_passed(&world, &answers, 5, Some("budget-spent"));
    world.kill_serve();
    world.start_serve();
    let late = Call::new(&chain, &world.runner.key, "get_ticket", ticket());
    world.assert_denied(&late.request().send(world.address).unwrap(), "budget-spent");
}

#[test]
fn a_summed_argument_stays_within_its_budget_however_it_is_cut() {
    let world = World::new(EXE);
    let order = bailiwick_demo::desk::ORDER_OF_TICKET_8821;
    let scope = format!("refund:{order}");
    let sum = "sum/mcp:support-desk:tools/refund_order/amount_cents=1000";
    let chain = world.delegate(&[&scope], &["--budget", sum]);
    let arguments = json!({"order_id": order, "amount_cents": 400, "reason": "late"});
    let call = || Call::new(&chain, &world.runner.key, "refund_order", arguments.clone());
    let all: Vec<Call> = std::iter::repeat_with(call).take(8).collect();
    let answers = at_once(&world, &all);
    assert_passed(&world, &answers, 2, Some("budget-spent"));
}

#[test]
fn of_twenty_copies_of_a_call_sent_at_once_exactly_one_passes() {
    let world = World::new(EXE);
    let chain = world.chain();
    let call = Call::new(&chain, &world.runner.key, "get_ticket", ticket());
    let answers = at_once(&world, &vec![call; CROWD]);
    assert_passed(&world, &answers, 1, None);
}

#[test]
fn a_session_is_of_no_use_to_anybody_else() {
    let world = World::new(EXE);
    let chain = world.chain();
    let (runner, reader) = (&world.runner, &world.reader);
    let child = world.attenuate(&chain, runner, reader, &[]);
    let other = world.chain();
    let url = world.endpoint();
    let mine = world.open_session(&chain, &runner.key).unwrap();
    let theirs = world.open_session(&child, &reader.key).unwrap();
    assert_ne!(mine, theirs);
    let call = |chain: &Chain, session: &str, key| {
        world.send_in(session, &Call::new(chain, key, "get_ticket", ticket()))
    };
    world.assert_allowed(&call(&chain, &mine, &runner.key), "ok");
    world.assert_allowed(&call(&child, &theirs, &reader.key), "ok");
    // The sub-agent in the agent's session, the agent in its own under another
    // delegation, and anybody in a session that never was.
    let swapped = call(&child, &mine, &reader.key);
    world.assert_not_authenticated(&swapped, "session-mismatch");
    let swapped = call(&other, &mine, &runner.key);
    world.assert_not_authenticated(&swapped, "session-mismatch");
    let guessed = call(&chain, "0000", &runner.key);
    assert_eq!(guessed.status, 404, "{}", guessed.text());
    // Nor can it be listened to or closed.
    for method in ["GET", "DELETE"] {
        let request = bailiwick_testkit::http::Request::bare(method, "/mcp/support-desk")
            .with("accept", "text/event-stream")
            .with("mcp-protocol-version", SESSIONS)
            .with("mcp-session-id", &mine);
        let bare = request.send(world.address).unwrap();
        assert_eq!(bare.status, 401, "{method}: {}", bare.text());
        let stolen = signed(request, &child, &reader.key, method, &url);
        let answer = stolen.send(world.address).unwrap();
        assert!(matches!(answer.status, 401 | 404), "{method}: {}", answer.text());
    }
    world.assert_allowed(&call(&chain, &mine, &runner.key), "ok");
    assert_eq!(world.executed().len(), 3);
    // A proof for opening one is good once.
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let ping = signed(in_session(Some(&mine), &hello), &chain, &runner.key, "POST", &url);
    assert_eq!(ping.send(world.address).unwrap().json()["result"], json!({}));
    let again = ping.send(world.address).unwrap();
    assert_eq!(again.json()["error"]["code"], -32041, "{}", again.text());
}

#[test]
fn no_answer_crosses_to_another_client() {
    let world = World::new(EXE);
    let chain = world.chain();
    let orders: Vec<i64> = (1001..1081).flat_map(bailiwick_demo::desk::orders_of).collect();
    let orders = &orders;
    std::thread::scope(|scope| {
        for client in 0..CROWD {
            let (world, chain) = (&world, &chain);
            scope.spawn(move || {
                // Two clients of the same key and chain have two sessions; all
                // use the same request id.
                let session = world.open_session(chain, &world.runner.key).unwrap();
                for round in 0..5 {
                    let order = orders[client * 5 + round];
                    let arguments = json!({"order_id": order});
                    let call = Call::new(chain, &world.runner.key, "get_order", arguments);
                    let answer = world.send_in(&session, &call);
                    let json = answer.json();
                    let text = json["result"]["content"][0]["text"].as_str().unwrap_or_default();
                    let mine = text.contains(&order.to_string());
                    assert!(mine, "asked for {order}, got {}", answer.text());
                }
            });
        }
    });
    assert_eq!(world.executed().len(), CROWD * 5);
}
