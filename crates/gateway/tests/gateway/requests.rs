//! The gateway's own tool: who is answered, and who is not.

use bailiwick_gateway::ports::{Asking, RequestRefusal};
use serde_json::{Value, json};

use crate::support::{Raw, World};

const TOOL: &str = "request_authority";

fn wanted() -> Value {
    json!({"scope": ["customers:search"], "reason": "who is it?", "seconds": 600})
}

fn code(raw: &Raw) -> Value {
    raw.json()["error"]["data"]["code"].clone()
}

#[tokio::test]
async fn whoever_proves_a_chain_asks_and_nothing_of_it_reaches_the_tool_server() {
    let world = World::new().await;
    let runner = world.runner();
    let asked = world.call(TOOL, wanted(), Some(&runner.present(TOOL, &wanted()))).await;
    assert_eq!(asked.json()["result"]["structuredContent"]["status"], "pending", "{}", asked.text);
    let (asker, asking) = world.requests.asked().remove(0);
    assert_eq!(asker.agent.as_str(), "agent:support-runner");
    assert_eq!((asker.root, asker.leaf), (runner.leaf_hash(), runner.leaf_hash()));
    assert!(matches!(asking, Asking::More { seconds: Some(600), .. }), "{asking:?}");
    // No proof, one for another tool, one for other arguments, one that was used.
    let again = runner.present(TOOL, &wanted());
    assert!(world.call(TOOL, wanted(), Some(&again)).await.json()["result"].is_object());
    let other = json!({"scope": ["orders:read"], "reason": "r"});
    for (arguments, presentation) in [
        (wanted(), None),
        (wanted(), Some(runner.present("get_ticket", &wanted()))),
        (other, Some(runner.present(TOOL, &wanted()))),
        (wanted(), Some(again)),
    ] {
        let raw = world.call(TOOL, arguments, presentation.as_ref()).await;
        assert_eq!(raw.json()["error"]["code"], -32041, "{}", raw.text);
    }
    assert_eq!(world.requests.asked().len(), 2);
    assert!(world.tap.of("tools/call").is_empty());
}

#[tokio::test]
async fn what_the_authority_says_is_told_by_its_reason() {
    let world = World::new().await;
    let runner = world.runner();
    let refused = RequestRefusal::Refused {
        code: "scope-shorthand-unknown",
        text: "there is no shorthand".into(),
        remedy: "ask for another".into(),
    };
    for (refusal, reason) in [
        (RequestRefusal::Flood, "request-flood"),
        (refused, "request-refused"),
        (RequestRefusal::Unknown, "request-unknown"),
        (RequestRefusal::Unavailable, "request-unavailable"),
    ] {
        world.requests.set_fault(Some(refusal));
        let raw = world.call(TOOL, wanted(), Some(&runner.present(TOOL, &wanted()))).await;
        assert_eq!(code(&raw), reason, "{}", raw.text);
        let why = &raw.json()["error"]["data"]["why"]["code"];
        let told = (reason == "request-refused").then_some("scope-shorthand-unknown");
        assert_eq!(why.as_str(), told);
    }
}

#[tokio::test]
async fn a_chain_that_was_taken_back_asks_for_nothing() {
    let world = World::new().await;
    let runner = world.runner();
    world.registry.revoke_token(runner.leaf_hash());
    let raw = world.call(TOOL, wanted(), Some(&runner.present(TOOL, &wanted()))).await;
    assert_eq!(code(&raw), "revoked", "{}", raw.text);
    assert!(world.requests.asked().is_empty());
}
