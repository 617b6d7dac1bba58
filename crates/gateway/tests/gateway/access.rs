//! Callers that know OAuth: access tokens, bound to a key or to nobody.

use bailiwick_core::aat::jws::Compact;
use bailiwick_core::access;
use bailiwick_core::accountable::Authority;
use bailiwick_core::crypto::{Digest, Signer as _};
use bailiwick_core::dpop;
use bailiwick_core::ids::{GrantId, PrincipalId};
use bailiwick_core::json::Object;
use bailiwick_core::limits::ChainLimits;
use bailiwick_gateway::Config;
use bailiwick_gateway::ports::Host as _;
use serde_json::{Value, json};

use crate::support::{ISSUER, Plan, Raw, World, body, headers, key, random_id, send};

const CLIENT: &str = "client-1";

/// A token for `resource`, bound to key `holder` or to nobody.
pub(crate) fn token(
    world: &World,
    holder: Option<u8>,
    resource: &str,
    shorthands: &[&str],
) -> String {
    let authority = Authority { client: Some(CLIENT.into()), ..world.authority() };
    token_of(world, holder, resource, shorthands, &authority)
}

fn token_of(
    world: &World,
    holder: Option<u8>,
    resource: &str,
    shorthands: &[&str],
    authority: &Authority,
) -> String {
    let thumbprint = match holder {
        Some(n) => key(n).public_key().thumbprint(),
        None => access::bearer_thumbprint(CLIENT),
    };
    world.registry.enrol(thumbprint, world.hop(9, "agent:support-runner"));
    let content = access::Content {
        jti: random_id(world.host.as_ref()),
        now: world.host.now(),
        exp: world.host.now().seconds() + 300,
        nbf: None,
        key: holder.map(|n| key(n).public_key().thumbprint()),
        scope: world.scope(shorthands),
        shorthands: shorthands.iter().map(|s| (*s).to_owned()).collect(),
        aud: resource.to_owned(),
        budget: Object::new(),
        status: None,
    };
    let (claims, limits) = (authority.to_claims(), ChainLimits::DEFAULT);
    access::issue(ISSUER, &content, &claims, &world.issuer, &limits).unwrap()
}

fn proof(world: &World, token: &str, by: u8) -> String {
    proof_with(world, token, by, None)
}

fn proof_with(world: &World, token: &str, by: u8, nonce: Option<&str>) -> String {
    let (jti, url) = (random_id(world.host.as_ref()), world.url());
    let (now, token) = (world.host.now(), Some(token));
    let occasion = dpop::Occasion { jti: &jti, now, method: "POST", uri: &url, token, nonce };
    occasion.prove(&key(by)).unwrap()
}

async fn call(world: &World, tool: &str, arguments: Value, more: &[(&'static str, String)]) -> Raw {
    let mut with = headers(tool);
    with.extend(more.iter().cloned());
    send("POST", &world.url(), &with, body(tool, &arguments, None).to_string()).await
}

fn bound(world: &World, token: &str, by: u8) -> [(&'static str, String); 2] {
    [("authorization", format!("DPoP {token}")), ("dpop", proof(world, token, by))]
}

#[tokio::test]
async fn a_bound_token_reads_and_the_record_says_what_was_proved() {
    let world = World::new().await;
    let token = token(&world, Some(7), &world.url(), &["ticket:8821"]);
    let shown = bound(&world, &token, 7);
    let raw = call(&world, "get_ticket", json!({"ticket_id": 8821}), &shown).await;
    assert!(raw.json()["result"].is_object(), "{}", raw.text);
    let event = world.journal.decisions().remove(0).event;
    assert_eq!(event.body.member("assurance").unwrap().as_str(), Some("token"));
    // The same proof again, and one by another key.
    let again = call(&world, "get_ticket", json!({"ticket_id": 8821}), &shown).await;
    assert!(again.json()["error"].is_object());
    let theirs = bound(&world, &token, 8);
    let stolen = call(&world, "get_ticket", json!({"ticket_id": 8821}), &theirs).await;
    assert_eq!((stolen.status, stolen.code().as_str()), (401, "not-authenticated"));
    assert_eq!(world.denial_codes(), ["proof-replayed", "proof-invalid"]);
    // Outside its scope.
    let shown = bound(&world, &token, 7);
    let other = call(&world, "get_ticket", json!({"ticket_id": 9000}), &shown).await;
    assert_eq!(other.code(), "argument-not-delegated");
    assert_eq!(other.status, 403);
    assert_eq!(world.desk.call_log().unwrap().len(), 1);
}

#[tokio::test]
async fn what_needs_more_than_a_tokens_key_is_denied_by_policy() {
    let world = World::new().await;
    let token = token(&world, Some(7), &world.url(), &["refund:10072"]);
    let shown = bound(&world, &token, 7);
    let refund = json!({"order_id": 10072, "amount_cents": 1, "reason": "x"});
    let raw = call(&world, "refund_order", refund, &shown).await;
    assert_eq!(raw.code(), "assurance-too-low");
    assert!(world.desk.call_log().unwrap().is_empty());
}

#[tokio::test]
async fn a_bearer_reaches_nothing_that_the_workflow_does_not_list_for_it() {
    let world = World::new().await;
    let token = token(&world, None, &world.url(), &["ticket:8821"]);
    let shown = [("authorization", format!("Bearer {token}"))];
    let raw = call(&world, "get_ticket", json!({"ticket_id": 8821}), &shown).await;
    assert_eq!((raw.status, raw.code().as_str()), (200, "assurance-too-low"));
    // Nor is it taken with a proof, or a bound one without.
    let with_proof = bound(&world, &token, 7);
    let raw = call(&world, "get_ticket", json!({"ticket_id": 8821}), &with_proof).await;
    assert_eq!(raw.status, 401);
    assert!(world.desk.call_log().unwrap().is_empty());
}

#[tokio::test]
async fn a_token_for_another_tool_server_or_the_whole_gateway_is_refused() {
    let world = World::new().await;
    for resource in [format!("{}/other", world.audience()), world.audience()] {
        let token = token(&world, Some(7), &resource, &["ticket:8821"]);
        let shown = bound(&world, &token, 7);
        let raw = call(&world, "get_ticket", json!({"ticket_id": 8821}), &shown).await;
        assert_eq!((raw.status, raw.code().as_str()), (401, "not-authenticated"), "{resource}");
        let challenge = raw.headers["www-authenticate"].to_str().unwrap();
        assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{challenge}");
    }
    assert!(world.denial_codes().iter().all(|code| code == "audience-mismatch"));
}

#[tokio::test]
async fn whoever_shows_nothing_is_told_where_to_ask() {
    let world = World::new().await;
    let raw = call(&world, "get_ticket", json!({"ticket_id": 8821}), &[]).await;
    assert_eq!(raw.status, 401);
    let all: Vec<_> = raw.headers.get_all("www-authenticate").iter().collect();
    let metadata = format!(
        "resource_metadata=\"{}/.well-known/oauth-protected-resource/mcp/support-desk\"",
        world.base
    );
    assert_eq!(all[0].to_str().unwrap(), format!("Bearer {metadata}"));
    assert!(all[1].to_str().unwrap().starts_with("DPoP algs=\"ES256 "));
}

fn challenge(raw: &Raw) -> Option<String> {
    let all: Vec<_> = raw.headers.get_all("www-authenticate").iter().collect();
    assert!(all.len() <= 1, "{all:?}");
    all.first().map(|value| value.to_str().unwrap().to_owned())
}

/// RFC 6750 §3.1, RFC 9449 §7.1, MCP authorization "Scope Challenge Handling".
#[tokio::test]
async fn a_call_that_more_scope_would_cover_is_told_which() {
    let world = World::new().await;
    let metadata = format!(
        "resource_metadata=\"{}/.well-known/oauth-protected-resource/mcp/support-desk\"",
        world.base
    );
    let token = token(&world, Some(7), &world.url(), &["ticket:8821"]);
    for (tool, arguments, scope, code) in [
        ("get_ticket", json!({"ticket_id": 9000}), "ticket:9000", "argument-not-delegated"),
        ("get_order", json!({"order_id": 10072}), "order:10072:read", "tool-not-delegated"),
        ("list_orders", json!({"customer_id": 7}), "orders:read", "tool-not-delegated"),
        ("search_customers", json!({"query": "x"}), "customers:search", "tool-not-delegated"),
    ] {
        let shown = bound(&world, &token, 7);
        let raw = call(&world, tool, arguments, &shown).await;
        assert_eq!((raw.status, raw.code().as_str()), (403, code), "{tool}: {}", raw.text);
        assert_eq!(raw.json()["error"]["code"], -32040, "the JSON-RPC error stays");
        let expected = format!("DPoP error=\"insufficient_scope\", scope=\"{scope}\", {metadata}");
        assert_eq!(challenge(&raw), Some(expected));
    }
    assert!(world.desk.call_log().unwrap().is_empty());
}

#[tokio::test]
async fn a_denial_that_more_scope_would_not_cure_is_no_challenge() {
    let world = World::new().await;
    let bound_token = token(&world, Some(7), &world.url(), &["ticket:8821"]);
    let refund = json!({"order_id": 10072, "amount_cents": 1, "reason": "x"});
    for (tool, arguments, code) in [
        // Policy would refuse a client that proves its token only.
        ("refund_order", refund, "tool-not-delegated"),
        ("add_note", json!({"ticket_id": 8821, "text": "x"}), "tool-not-delegated"),
        // No shorthand permits it.
        ("drop_tables", json!({}), "tool-not-delegated"),
        ("get_ticket", json!({"ticket_id": "x y"}), "argument-not-delegated"),
    ] {
        let shown = bound(&world, &bound_token, 7);
        let raw = call(&world, tool, arguments, &shown).await;
        assert_eq!((raw.status, raw.code().as_str()), (200, code), "{tool}: {}", raw.text);
        assert_eq!(challenge(&raw), None, "{tool}");
    }
    // A bearer gets what is listed for bearers, whatever its scope.
    let bearer = token(&world, None, &world.url(), &["ticket:8821"]);
    let shown = [("authorization", format!("Bearer {bearer}"))];
    let raw = call(&world, "get_order", json!({"order_id": 10072}), &shown).await;
    assert_eq!((raw.status, raw.code().as_str()), (200, "tool-not-delegated"));
    assert_eq!(challenge(&raw), None);
    // Whoever is not authenticated learns nothing of scopes.
    let stolen = bound(&world, &bound_token, 8);
    let raw = call(&world, "get_order", json!({"order_id": 10072}), &stolen).await;
    assert_eq!(raw.status, 401);
    assert!(!format!("{:?}", raw.headers).contains("insufficient_scope"));
}

#[tokio::test]
async fn where_nonces_are_asked_for_a_proof_without_one_is_told_so() {
    let config = Box::new(|config: &mut Config| config.require_dpop_nonce = true);
    let world = World::with(Plan { config, ..Plan::default() }).await;
    let token = token(&world, Some(7), &world.url(), &["ticket:8821"]);
    let ticket = || json!({"ticket_id": 8821});
    let shown = |by: u8, nonce: Option<&str>| {
        let authorization = ("authorization", format!("DPoP {token}"));
        [authorization, ("dpop", proof_with(&world, &token, by, nonce))]
    };
    let raw = call(&world, "get_ticket", ticket(), &shown(7, None)).await;
    assert_eq!((raw.status, raw.code().as_str()), (401, "not-authenticated"));
    let challenges: Vec<_> = raw.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(challenges.len(), 1);
    assert!(challenges[0].to_str().unwrap().starts_with("DPoP error=\"use_dpop_nonce\", algs="));
    let nonce = raw.headers["dpop-nonce"].to_str().unwrap().to_owned();
    let old = call(&world, "get_ticket", ticket(), &shown(7, Some("a-nonce-of-somebody"))).await;
    assert_eq!(old.status, 401);
    // Somebody without the key is not told what is missing.
    let theirs = call(&world, "get_ticket", ticket(), &shown(8, None)).await;
    let challenge = theirs.headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{challenge}");
    let raw = call(&world, "get_ticket", ticket(), &shown(7, Some(&nonce))).await;
    assert!(raw.json()["result"].is_object(), "{}", raw.text);
    assert!(raw.headers.contains_key("dpop-nonce"));
    assert_eq!(world.denial_codes(), ["proof-nonce", "proof-nonce", "proof-invalid"]);
    assert_eq!(world.desk.call_log().unwrap().len(), 1);
}

/// A message of protocol 2025-11-25, in a session or to open one.
async fn in_session(world: &World, token: &str, by: u8, id: Option<&str>, body: &Value) -> Raw {
    let mut headers = vec![
        ("accept", "application/json, text/event-stream".to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    headers.extend(bound(world, token, by));
    if let Some(id) = id {
        headers.push(("mcp-session-id", id.to_owned()));
        headers.push(("mcp-protocol-version", "2025-11-25".to_owned()));
    }
    send("POST", &world.url(), &headers, body.to_string()).await
}

/// A client that was given more asks under another grant than before: its
/// session is with the person and the client, each call with its own grant.
#[tokio::test]
async fn a_session_goes_on_under_the_next_grant_of_its_person_and_under_nobody_elses() {
    let world = World::new().await;
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "0"},
    }});
    let called = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "get_ticket", "arguments": {"ticket_id": 8821},
    }});
    let url = world.url();
    let own = Authority { client: Some(CLIENT.into()), ..world.authority() };
    let of = |holder: u8, authority: &Authority| {
        token_of(&world, Some(holder), &url, &["ticket:8821"], authority)
    };
    let opened = in_session(&world, &of(7, &own), 7, None, &initialize).await;
    let id = opened.headers["mcp-session-id"].to_str().unwrap().to_owned();
    let next = Authority {
        grant: GrantId::mint(world.host.now(), [8; 10]),
        grant_digest: Digest::from_array([8; 32]),
        ..own.clone()
    };
    world.stand_grant_of(&next, false);
    for authority in [&own, &next, &own, &next] {
        let raw = in_session(&world, &of(7, authority), 7, Some(&id), &called).await;
        assert!(raw.json()["result"].is_object(), "{}", raw.text);
    }
    // Another person of the same client, another client of the person, another key.
    let person = PrincipalId::parse("user:143").unwrap();
    let theirs = Authority { principal: person, ..own.clone() };
    let client = Authority { client: Some("client-2".into()), ..own.clone() };
    for (holder, authority) in [(7, &theirs), (7, &client), (8, &own)] {
        let raw = in_session(&world, &of(holder, authority), holder, Some(&id), &called).await;
        assert_eq!(raw.code(), "not-authenticated");
        assert_eq!(world.denial_codes().pop().unwrap(), "session-mismatch");
    }
    assert_eq!(world.desk.call_log().unwrap().len(), 4);
    // It ends with what it was used under last, not with what it began under.
    let last = of(7, &next);
    for token in [&of(7, &own), &last] {
        let raw = in_session(&world, token, 7, Some(&id), &called).await;
        assert!(raw.json()["result"].is_object(), "{}", raw.text);
    }
    world.registry.revoke_token(Compact::parse(&last).unwrap().hash());
    world.gateway.tend_once();
    let raw = in_session(&world, &of(7, &own), 7, Some(&id), &called).await;
    assert_eq!(raw.status, 404, "{}", raw.text);
}
