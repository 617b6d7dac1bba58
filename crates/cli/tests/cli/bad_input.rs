//! Bad input through the real gateway, the real store and a real tool server:
//! what the caller is told, what the ledger keeps, and that nothing reached
//! the tool. Presentations here are signed with the installation's own keys
//! wherever an attacker could have had them.

use std::time::Duration;

use bailiwick_core::aat::{TOKEN_TYPE, jws};
use bailiwick_core::crypto::{Signer as _, SigningKey, base64url};
use bailiwick_core::json::{Json, Object};
use bailiwick_demo::desk::ORDER_OF_TICKET_8821;
use bailiwick_testkit::World;
use bailiwick_testkit::http::{Request, Response};
use bailiwick_testkit::present::{Call, Chain, fresh_key, now, object, seen};
use bailiwick_testkit::world::{READER, RUNNER};
use serde_json::{Value, json};

use crate::EXE;

fn ticket() -> Value {
    json!({"ticket_id": 8821})
}

/// Refused before anybody was identified, with the protocol's own code.
fn assert_malformed(world: &World, answer: &Response, status: u16, code: i64, reason: &str) {
    let json = answer.json();
    assert_eq!(answer.status, status, "{reason}: {}", answer.text());
    assert_eq!(json["error"]["code"], code, "{reason}: {json}");
    let data = &json["error"]["data"];
    assert!(data["remedy"].as_str().is_some_and(|r| !r.is_empty()), "{json}");
    let record = world.recorded(data["decision_id"].as_str().unwrap());
    assert_eq!(record["decision"], "deny", "{record}");
    assert_eq!(record["reason"], reason, "{record}");
    assert_eq!(record["record"]["stage"], "boundary", "{record}");
}

fn assert_nothing_executed(world: &World) {
    let executed = world.executed();
    assert!(executed.is_empty(), "the desk executed {executed:?}");
}

/// A token with any header, signed all the same.
fn token(header: &Value, claims: &Object, signer: &SigningKey) -> String {
    let payload = base64url(Json::from(claims.clone()).canonical().as_bytes());
    let input = format!("{}.{payload}", base64url(header.to_string().as_bytes()));
    format!("{input}.{}", base64url(&signer.sign(input.as_bytes())))
}

#[test]
fn json_that_is_cut_doubled_deep_or_no_text_is_refused_before_it_is_read() {
    let world = World::new(EXE);
    let chain = world.chain();
    let call = Call::new(&chain, &world.runner.key, "get_ticket", ticket());
    let send = |body: Vec<u8>| call.with_body(body).send(world.address).unwrap();
    let text = call.message().to_string();

    let cut = text.as_bytes()[..text.len() / 2].to_vec();
    assert_malformed(&world, &send(cut), 400, -32700, "json-malformed");
    assert_malformed(&world, &send(Vec::new()), 400, -32700, "json-malformed");

    let doubled = text.replacen(r#""ticket_id":8821"#, r#""ticket_id":9000,"ticket_id":8821"#, 1);
    assert_ne!(doubled, text);
    let answer = send(doubled.into_bytes());
    assert_malformed(&world, &answer, 400, -32700, "json-duplicate-member");

    let not_utf8 = [text.as_bytes(), b"\xff"].concat();
    assert_malformed(&world, &send(not_utf8), 400, -32700, "json-not-utf8");

    let lone = text.replacen("8821", r#""\ud800""#, 1);
    assert_malformed(&world, &send(lone.into_bytes()), 400, -32700, "json-malformed");

    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let deep = text.replacen("8821", &deep, 1);
    let answer = send(deep.into_bytes());
    assert_malformed(&world, &answer, 400, -32700, "request-too-large");

    let announced = Request { announced: Some(20 << 20), ..call.with_body("{") };
    let answer = announced.send(world.address).unwrap();
    assert_malformed(&world, &answer, 413, -32600, "request-too-large");

    let padded = format!("{text}{}", " ".repeat(2 << 20));
    if let Ok(answer) = call.with_body(padded).send(world.address) {
        assert_malformed(&world, &answer, 413, -32600, "request-too-large");
    }
    assert_nothing_executed(&world);
    // The same call in good order passes: only the bytes were at fault.
    world.assert_allowed(&world.send(&call), "ok");
}

#[test]
fn messages_that_break_the_protocol_are_refused_by_the_boundary() {
    let world = World::new(EXE);
    let chain = world.chain();
    let call = Call::new(&chain, &world.runner.key, "get_ticket", ticket());
    let send = |request: Request| request.send(world.address).unwrap();

    let batch = json!([call.message(), call.message()]).to_string();
    let answer = send(call.with_body(batch));
    assert_malformed(&world, &answer, 400, -32600, "request-malformed");

    for (header, value) in [
        ("mcp-name", "list_orders"),
        ("mcp-method", "tools/list"),
        ("mcp-protocol-version", "2025-11-25"),
    ] {
        let answer = send(call.request().with(header, value));
        assert_malformed(&world, &answer, 400, -32020, "header-mismatch");
    }
    let twice = send(call.request().and("mcp-name", "get_ticket"));
    assert_malformed(&world, &twice, 400, -32020, "header-mismatch");
    let unnamed = send(call.request().without("mcp-name"));
    assert_malformed(&world, &unnamed, 400, -32020, "header-mismatch");

    for origin in ["https://evil.example", "null", "http://localhost.evil.example"] {
        let answer = send(call.request().with("origin", origin));
        assert_malformed(&world, &answer, 403, -32600, "origin-not-allowed");
    }

    let mut unknown = call.message();
    unknown["method"] = json!("tools/uninstall");
    let request = call.with_body(unknown.to_string()).with("mcp-method", "tools/uninstall");
    assert_malformed(&world, &send(request), 404, -32601, "method-unknown");

    let mut version = call.message();
    version["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("1999-01-01");
    let request = call.with_body(version.to_string()).with("mcp-protocol-version", "1999-01-01");
    assert_malformed(&world, &send(request), 400, -32022, "request-malformed");
    assert_nothing_executed(&world);
    // The gateway's own origin may call.
    let own = send(call.request().with("origin", &world.public_url));
    world.assert_allowed(&own, "ok");
}

#[test]
fn tokens_with_another_algorithm_type_or_key_are_refused() {
    let world = World::new(EXE);
    let chain = world.chain();
    let issuer = world.issuer_key();
    let claims = seen(chain.leaf()).claims;
    let refused = |tokens: Vec<String>, reason: &str| {
        let call = Call::new(&chain, &world.runner.key, "get_ticket", ticket());
        let answer = world.send(&Call { tokens, ..call });
        world.assert_not_authenticated(&answer, reason);
    };
    let header = |alg: &str, typ: &str| json!({"alg": alg, "typ": typ});
    for alg in ["none", "HS256", "EdDSA", "ES256", "ed25519"] {
        refused(vec![token(&header(alg, TOKEN_TYPE), &claims, &issuer)], "header-unacceptable");
    }
    for typ in ["JWT", "aat-pop+jwt", "AAT+JWT", "application/aat+jwt"] {
        refused(vec![token(&header("Ed25519", typ), &claims, &issuer)], "header-unacceptable");
    }
    // As these algorithms would be framed: no signature, 32 bytes of HMAC.
    let unsigned = token(&header("none", TOKEN_TYPE), &claims, &issuer);
    let input = unsigned.rsplit_once('.').unwrap().0;
    refused(vec![format!("{input}.")], "presentation-malformed");
    refused(vec![format!("{input}.{}", base64url(&[7; 32]))], "presentation-malformed");
    let critical = json!({"alg": "Ed25519", "typ": TOKEN_TYPE, "crit": ["exp"], "exp": 1});
    refused(vec![token(&critical, &claims, &issuer)], "header-unacceptable");
    // A key that the token brings along is not believed.
    let mallory = fresh_key();
    let jwk: Value =
        serde_json::from_str(&Json::from(mallory.public_key().to_jwk()).canonical()).unwrap();
    let own = json!({"alg": "Ed25519", "typ": TOKEN_TYPE, "jwk": jwk});
    refused(vec![token(&own, &claims, &mallory)], "signature-invalid");
    let named = jws::sign(TOKEN_TYPE, Some("did:key:mallory"), &claims.into(), &mallory);
    refused(vec![named], "signature-invalid");
    refused(vec!["a.b.c".to_owned()], "presentation-malformed");
    refused(vec!["x".repeat(70_000)], "token-too-large");
    refused(vec![], "chain-empty");
    assert_nothing_executed(&world);
}

#[test]
fn links_that_are_swapped_spliced_reordered_repeated_or_left_out_are_refused() {
    let world = World::new(EXE);
    let (runner, reader) = (&world.runner, &world.reader);
    let other = world.chain();
    let chain = world.chain();
    let (runner_key, reader_key) = (runner.key.public_key(), reader.key.public_key());
    let child = chain.child(&runner.key, &reader_key, |_| {});
    let grandchild = child.child(&reader.key, &runner_key, |_| {});
    let [a, b, c] = grandchild.tokens.as_slice() else { panic!("three tokens") };
    let foreign = other.child(&runner.key, &reader_key, |_| {});
    let order = json!({"order_id": ORDER_OF_TICKET_8821});
    let refused = |tokens: &[&String], reason: &str| {
        let tokens: Vec<String> = tokens.iter().map(|t| (*t).clone()).collect();
        let call = Call::new(&grandchild, &runner.key, "get_order", order.clone());
        let answer = world.send(&Call { tokens, ..call });
        world.assert_not_authenticated(&answer, reason);
    };
    refused(&[c, b, a], "signature-invalid");
    refused(&[a, c, b], "signature-invalid");
    refused(&[a, c], "signature-invalid");
    refused(&[b, c], "signature-invalid");
    refused(&[a, b, b, c], "token-id-repeated");
    refused(&[a, a], "token-id-repeated");
    let stranger = foreign.tokens.last().unwrap();
    refused(&[a, stranger], "parent-mismatch");
    refused(&[a, b, stranger], "signature-invalid");
    // A thief who signs a child of a chain that is not his.
    let stolen = chain.child(&fresh_key(), &reader_key, |_| {});
    let answer = world.send(&Call::new(&stolen, &reader.key, "get_order", order.clone()));
    world.assert_not_authenticated(&answer, "signature-invalid");
    assert_nothing_executed(&world);
    // Complete and in order it holds.
    let call = Call::new(&grandchild, &runner.key, "get_order", order);
    world.assert_allowed(&world.send(&call), "ok");
}

#[test]
fn a_child_that_takes_more_than_its_parent_is_refused() {
    let world = World::new(EXE);
    let chain = world.chain();
    let (runner, reader) = (&world.runner, &world.reader);
    let reader_key = reader.key.public_key();
    let tools = |tools: Value| {
        move |claims: &mut Object| {
            let details = json!([{"type": "attenuating_agent_token", "tools": tools}]);
            let details = object(&json!({"d": details})).member("d").unwrap().clone();
            claims.insert("authorization_details", details);
        }
    };
    let refused = |chain: Chain, reason: &str| {
        let call = Call::new(&chain, &reader.key, "get_ticket", ticket());
        world.assert_not_authenticated(&world.send(&call), reason);
    };
    let child = |edit: &dyn Fn(&mut Object)| chain.child(&runner.key, &reader_key, edit);
    let refund = "mcp:support-desk:tools/refund_order";
    let get = "mcp:support-desk:tools/get_ticket";
    refused(child(&tools(json!({refund: {}}))), "authority-widened");
    refused(child(&tools(json!({get: {}}))), "authority-widened");
    let range = json!({"constraint_type": "range", "min": 1, "max": 9999});
    refused(child(&tools(json!({get: {"ticket_id": range}}))), "authority-widened");
    let unheard = json!({"constraint_type": "unheard_of", "value": 8821});
    refused(child(&tools(json!({get: {"ticket_id": unheard}}))), "constraint-invalid");
    let exp = seen(chain.leaf()).exp;
    refused(child(&|c| c.insert("exp", exp + 1)), "child-outlives-parent");
    refused(child(&|c| c.insert("del_max_depth", 7u64)), "depth-invalid");
    refused(child(&|c| c.insert("del_depth", 2u64)), "depth-invalid");
    refused(child(&|c| c.insert("par_hash", "x")), "parent-mismatch");
    refused(child(&|c| c.insert("sub", "user:owner")), "claim-contradiction");
    // Whom, which task, which purpose, which grant: the root's word stands.
    let other = Object::new().with("sub", "agent:order-reader");
    refused(child(&|c| c.insert("act", other.clone())), "claim-contradiction");
    for claim in ["task", "purpose", "workflow", "grant"] {
        let claim = format!("urn:bailiwick:claim:{claim}");
        refused(child(&|c| c.insert(claim.as_str(), "another")), "claim-contradiction");
    }
    for claim in ["client_id", "status"] {
        refused(child(&|c| c.insert(claim, "new")), "claim-contradiction");
    }
    let budget = Object::new().with("max_calls", 1_000_000u64);
    let named = "urn:bailiwick:claim:budget";
    refused(child(&|c| c.insert(named, budget.clone())), "budget-widened");
    // Even the issuer's key does not make an unknown constraint pass.
    let unheard = json!({get: {"ticket_id": {"constraint_type": "unheard_of"}}});
    let root = chain.reissued(&world.issuer_key(), tools(unheard));
    let call = Call::new(&root, &runner.key, "get_ticket", ticket());
    world.assert_not_authenticated(&world.send(&call), "constraint-invalid");
    assert_nothing_executed(&world);
}

#[test]
fn windows_hold_at_both_edges_of_the_clock() {
    let world = World::new(EXE);
    let chain = world.chain();
    let (runner, reader) = (&world.runner, &world.reader);
    let reader_key = reader.key.public_key();
    let by_child = |edit: &dyn Fn(&mut Object)| {
        let child = chain.child(&runner.key, &reader_key, edit);
        world.send(&Call::new(&child, &reader.key, "get_ticket", ticket()))
    };
    let at = |seconds: i64| now().seconds() + seconds;
    // Tokens: `iat` at most 30 s ahead, `exp` after now.
    world.assert_allowed(&by_child(&|c| c.insert("iat", at(29))), "ok");
    let answer = by_child(&|c| c.insert("iat", at(34)));
    world.assert_not_authenticated(&answer, "token-not-yet-valid");
    world.assert_allowed(&by_child(&|c| c.insert("exp", at(5))), "ok");
    let answer = by_child(&|c| c.insert("exp", at(0)));
    world.assert_not_authenticated(&answer, "token-expired");
    world.assert_allowed(&by_child(&|c| c.insert("nbf", at(0))), "ok");
    let answer = by_child(&|c| c.insert("nbf", at(60)));
    world.assert_not_authenticated(&answer, "token-not-yet-valid");
    // Proofs: 30 s on both sides.
    let by_proof = |ahead: i64| {
        let call = Call::claiming(&chain, &runner.key, "get_ticket", ticket(), |p| p.ahead = ahead);
        world.send(&call)
    };
    world.assert_allowed(&by_proof(29), "ok");
    world.assert_allowed(&by_proof(-26), "ok");
    world.assert_not_authenticated(&by_proof(34), "proof-not-fresh");
    world.assert_not_authenticated(&by_proof(-31), "proof-not-fresh");
    // Roots, signed by the issuer itself.
    let by_root = |edit: &dyn Fn(&mut Object)| {
        let root = chain.reissued(&world.issuer_key(), edit);
        world.send(&Call::new(&root, &runner.key, "get_ticket", ticket()))
    };
    let answer = by_root(&|c| {
        c.insert("iat", at(-7200));
        c.insert("exp", at(-1));
    });
    world.assert_not_authenticated(&answer, "token-expired");
    let answer = by_root(&|c| c.insert("iat", at(60)));
    world.assert_not_authenticated(&answer, "token-not-yet-valid");
    assert_eq!(world.executed().len(), 5);
    // What the clock itself ends.
    let short = world.delegate(&["ticket:8821"], &["--for", "1s"]);
    std::thread::sleep(Duration::from_millis(1100));
    let answer = world.call(&short, "get_ticket", ticket());
    world.assert_not_authenticated(&answer, "token-expired");
    assert_eq!(world.executed().len(), 5);
}

#[test]
fn a_proof_holds_for_one_call_of_one_chain_at_one_gateway() {
    let mut world = World::new(EXE);
    let chain = world.chain();
    let key = &world.runner.key;
    let lie = |lie: &dyn Fn(&mut bailiwick_testkit::present::Claimed)| {
        world.send(&Call::claiming(&chain, key, "get_ticket", ticket(), lie))
    };
    let tool = "mcp:support-desk:tools/get_order";
    let answer = lie(&|p| p.tool = tool.to_owned());
    world.assert_not_authenticated(&answer, "proof-other-tool");
    let server = "mcp:other-desk:tools/get_ticket";
    let answer = lie(&|p| p.tool = server.to_owned());
    world.assert_not_authenticated(&answer, "proof-other-tool");
    let answer = lie(&|p| p.arguments = json!({"ticket_id": 8822}));
    world.assert_not_authenticated(&answer, "proof-other-arguments");
    let answer = lie(&|p| p.arguments = json!({"ticket_id": "8821"}));
    world.assert_not_authenticated(&answer, "proof-other-arguments");
    let answer = lie(&|p| p.audience = Some("https://other.example/mcp".to_owned()));
    world.assert_not_authenticated(&answer, "proof-other-audience");
    let answer = lie(&|p| p.audience = None);
    world.assert_not_authenticated(&answer, "proof-other-audience");
    // For another leaf, by another key.
    let other = Call::new(&world.chain(), key, "get_ticket", ticket());
    let answer = world.send(&Call { tokens: chain.tokens.clone(), ..other });
    world.assert_not_authenticated(&answer, "proof-invalid");
    let answer = world.send(&Call::new(&chain, &world.reader.key, "get_ticket", ticket()));
    world.assert_not_authenticated(&answer, "proof-invalid");
    assert_nothing_executed(&world);
    // Once, and never again: not now, and not after a restart.
    let call = Call::new(&chain, key, "get_ticket", ticket());
    world.assert_allowed(&world.send(&call), "ok");
    world.assert_not_authenticated(&world.send(&call), "proof-replayed");
    world.stop_serve();
    world.start_serve();
    world.assert_not_authenticated(&world.send(&call), "proof-replayed");
    world.kill_serve();
    world.start_serve();
    world.assert_not_authenticated(&world.send(&call), "proof-replayed");
    assert_eq!(world.executed().len(), 1);
}

#[test]
fn what_was_not_delegated_catalogued_or_enrolled_is_denied() {
    let world = World::new(EXE);
    let chain = world.chain();
    let denied = |tool: &str, arguments: Value, reason: &str| {
        world.assert_denied(&world.call(&chain, tool, arguments), reason);
    };
    denied("no_such_tool", json!({}), "tool-not-delegated");
    denied("search_customers", json!({"query": "x"}), "tool-not-delegated");
    denied("get_ticket", json!({"ticket_id": 9000}), "argument-not-delegated");
    denied("get_ticket", json!({"ticket_id": "8821"}), "argument-not-delegated");
    denied("get_ticket", json!({}), "argument-missing");
    denied("get_ticket", json!({"ticket_id": 8821, "bcc": "x"}), "argument-unnamed");
    // Another tool server's tool of the same name (shadowing).
    let call = Call::claiming(&chain, &world.runner.key, "get_ticket", ticket(), |p| {
        p.tool = "mcp:other-desk:tools/get_ticket".to_owned();
    });
    let mut request = call.request();
    request.path = "/mcp/other-desk".to_owned();
    world.assert_denied(&request.send(world.address).unwrap(), "tool-not-delegated");
    // A key that nobody enrolled, made for either agent.
    for (name, agent) in [("stranger", READER), ("double", RUNNER)] {
        let stranger = world.instance(name, agent);
        let child = world.attenuate(&chain, &world.runner, &stranger, &[]);
        let answer = world.send(&Call::new(&child, &stranger.key, "get_ticket", ticket()));
        world.assert_not_authenticated(&answer, "key-not-enrolled");
    }
    // A root for this gateway's issuer that the authority never issued.
    let forged = chain.reissued(&world.issuer_key(), |c| c.insert("jti", "forged"));
    let answer = world.call(&forged, "get_ticket", ticket());
    world.assert_not_authenticated(&answer, "principal-inactive");
    assert_nothing_executed(&world);
}
