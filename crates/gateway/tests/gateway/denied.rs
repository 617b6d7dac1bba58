//! What stages 2 to 5 refuse: the reason in the record, the text on the wire,
//! and nothing at the tool server.

use std::sync::Arc;

use crate::support::{Holder, OWN, Plan, Raw, World, key, object, strict};
use bailiwick_core::aat::make;
use bailiwick_core::crypto::Signer as _;
use bailiwick_core::denial::{Reason, Stage};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Event;
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_demo::agent::{Era, Presentation};
use bailiwick_gateway::ports::Host as _;
use bailiwick_gateway::testing::Fault;
use serde_json::{Value, json};

const STRANGER: &str = r#"{"code":"not-authenticated","reason":"the caller is not authenticated","remedy":"present a current delegation for this gateway with a fresh proof by its key; the operator sees the reason under the decision id"}"#;

/// Refused as a stranger: one text, whatever was wrong. Whoever shows nothing,
/// or nothing that can be read, is also told by HTTP where to ask.
pub(crate) fn is_stranger(raw: &Raw) {
    let json = raw.json();
    assert!(matches!(raw.status, 200 | 401), "{}", raw.text);
    assert_eq!((&json["error"]["code"], &json["id"]), (&json!(-32041), &json!(7)), "{}", raw.text);
    assert_eq!(json["error"]["message"], "the caller is not authenticated");
    let mut data = json["error"]["data"].clone();
    assert!(data["decision_id"].is_string());
    data.as_object_mut().unwrap().remove("decision_id");
    assert_eq!(data, serde_json::from_str::<Value>(STRANGER).unwrap());
}

pub(crate) fn is_denied(raw: &Raw, code: &str) {
    let json = raw.json();
    assert_eq!(
        (raw.status, &json["error"]["code"], &json["id"]),
        (200, &json!(-32040), &json!(7)),
        "{}",
        raw.text
    );
    assert_eq!(json["error"]["data"]["code"], code);
    assert!(json["error"]["data"]["remedy"].as_str().is_some_and(|r| !r.is_empty()));
}

fn last_denial(world: &World) -> (String, bool) {
    let event = world.journal.denials().pop().unwrap();
    (event.subjects.reason.unwrap(), event.subjects.agent.is_some())
}

/// Calls `get_ticket` 8821 with what `change` makes of a good presentation.
pub(crate) async fn ticket(world: &World, holder: &Holder) -> Raw {
    let arguments = json!({"ticket_id": 8821});
    world
        .call("get_ticket", arguments.clone(), Some(&holder.present("get_ticket", &arguments)))
        .await
}

fn disclosed(event: &Event, field: &str) -> Option<Json> {
    let found = event.disclosures.iter().find(|(name, _)| name == field);
    found.map(|(_, disclosure)| disclosure.value.clone())
}

pub(crate) fn nothing_happened(world: &World) {
    assert!(world.tap.of("tools/call").is_empty());
    assert!(world.journal.decisions().is_empty());
    assert!(world.desk.call_log().unwrap().is_empty());
}

#[tokio::test]
async fn whoever_is_not_authenticated_learns_nothing_else() {
    let world = World::new().await;
    let now = world.host.now();
    let root =
        |change: &dyn Fn(&mut make::Content)| world.issue(1, &["ticket:8821"], |c| change(c));
    let stale = |holder: Holder, seconds: i64| {
        let arguments = strict(r#"{"ticket_id":8821}"#).as_object().unwrap().clone();
        let at = now.plus_seconds(seconds);
        let aat_pop = holder.proof("mcp:support-desk:tools/get_ticket", &arguments, |p| p.now = at);
        Presentation { aat_chain: holder.chain, aat_pop }
    };
    let of = |holder: &Holder| holder.present("get_ticket", &json!({"ticket_id": 8821}));
    let good = world.holder(1, vec![root(&|_| ())]);
    let tampered = {
        let (input, signature) = good.leaf().rsplit_once('.').unwrap();
        let other = if signature.starts_with('A') { "B" } else { "A" };
        format!("{input}.{other}{}", &signature[1..])
    };
    let arguments = |id: u64| Object::new().with("ticket_id", id);
    let tool = "mcp:support-desk:tools/get_ticket";
    let cases: Vec<(&str, Option<Presentation>)> = vec![
        ("presentation-missing", None),
        (
            "presentation-malformed",
            Some(Presentation { aat_chain: vec!["x".into()], aat_pop: "y".into() }),
        ),
        ("chain-empty", Some(Presentation { aat_chain: vec![], aat_pop: of(&good).aat_pop })),
        (
            "chain-too-large",
            Some(Presentation { aat_chain: vec!["x".into(); 10], aat_pop: "y".into() }),
        ),
        (
            "token-too-large",
            Some(Presentation { aat_chain: vec!["x".repeat(70_000)], aat_pop: "y".into() }),
        ),
        (
            "token-id-repeated",
            Some(Presentation {
                aat_chain: vec![good.leaf().into(); 2],
                aat_pop: of(&good).aat_pop,
            }),
        ),
        (
            "signature-invalid",
            Some(Presentation { aat_chain: vec![tampered], aat_pop: of(&good).aat_pop }),
        ),
        (
            "token-expired",
            Some({
                world.host.step(-1_000_000);
                let old = root(&|_| ());
                world.host.step(1_000_000);
                of(&world.holder(1, vec![old]))
            }),
        ),
        (
            "token-not-yet-valid",
            Some(of(&world.holder(1, vec![root(&|c| c.nbf = Some(now.seconds() + 100))]))),
        ),
        (
            "audience-mismatch",
            Some(
                of(&world.holder(1, vec![root(&|c| c.aud = vec!["http://elsewhere/mcp".into()])])),
            ),
        ),
        ("audience-mismatch", Some(of(&world.holder(1, vec![root(&|c| c.aud = vec![])])))),
        // The thief has the chain, not the key.
        (
            "proof-invalid",
            Some(of(&Holder { key: key(66), ..world.holder(1, vec![root(&|_| ())]) })),
        ),
        (
            "proof-other-audience",
            Some(of(&Holder {
                audience: "http://elsewhere/mcp".into(),
                ..world.holder(1, vec![root(&|_| ())])
            })),
        ),
        (
            "proof-other-tool",
            Some(Presentation {
                aat_pop: good.proof("mcp:support-desk:tools/get_order", &arguments(8821), |_| ()),
                ..of(&good)
            }),
        ),
        (
            "proof-other-arguments",
            Some(Presentation { aat_pop: good.proof(tool, &arguments(9000), |_| ()), ..of(&good) }),
        ),
        (
            "proof-other-arguments",
            Some(Presentation {
                aat_pop: good.proof(tool, &Object::new().with("ticket_id", "8821"), |_| ()),
                ..of(&good)
            }),
        ),
        ("proof-not-fresh", Some(stale(world.holder(1, vec![root(&|_| ())]), -40))),
        ("proof-not-fresh", Some(stale(world.holder(1, vec![root(&|_| ())]), 40))),
        (
            "key-not-enrolled",
            Some(of(&world.holder(50, vec![world.issue(50, &["ticket:8821"], |_| ())]))),
        ),
        (
            "agent-mismatch",
            Some(of(&world.holder(2, vec![world.issue(2, &["ticket:8821"], |_| ())]))),
        ),
    ];
    let mut shapes = std::collections::HashSet::new();
    for (reason, presentation) in cases {
        let raw = world.call("get_ticket", json!({"ticket_id": 8821}), presentation.as_ref()).await;
        is_stranger(&raw);
        // The status may say that there was nothing to read, which the caller
        // knows; beyond that there is one answer.
        let read = Reason::parse(reason).unwrap().stage() != Stage::Boundary;
        assert!(!read || raw.status == 200, "{reason}: {}", raw.status);
        shapes.insert(format!("{:?}", raw.shape().1));
        assert_eq!(last_denial(&world), (reason.to_owned(), false));
        let event = world.journal.denials().pop().unwrap();
        assert_eq!(event.id.as_str(), raw.json()["error"]["data"]["decision_id"]);
        assert!(
            event.body.iter().all(|(n, _)| ["stage", "step", "token"].contains(&n)),
            "{reason}"
        );
    }
    assert_eq!(shapes.len(), 1);
    nothing_happened(&world);
}

#[tokio::test]
async fn the_registry_refuses_what_does_not_stand() {
    let world = World::new().await;
    let runner = world.runner();
    let refused = async |reason: &str| {
        is_stranger(&ticket(&world, &runner).await);
        assert_eq!(last_denial(&world).0, reason);
    };
    let mut hop = world.hop(1, "agent:support-runner");
    hop.instance_active = false;
    world.registry.enrol(key(1).public_key().thumbprint(), hop.clone());
    refused("instance-inactive").await;
    (hop.instance_active, hop.owner) = (true, None);
    world.registry.enrol(key(1).public_key().thumbprint(), hop);
    refused("agent-inactive").await;
    world.enrol(1, "agent:support-runner");
    world.registry.set_principal_inactive(true);
    refused("principal-inactive").await;
    world.registry.set_principal_inactive(false);
    world.registry.set_unavailable(true);
    refused("state-unavailable").await;
    world.registry.set_unavailable(false);
    world.registry.set_stale_ms(11_000);
    refused("revocation-stale").await;
    world.registry.set_stale_ms(0);
    // The clock was stepped back behind the last durable entry.
    world.registry.set_last_durable(world.host.now().plus_seconds(3600));
    refused("clock-behind").await;
    world.registry.set_last_durable(world.host.now().plus_seconds(-1));
    nothing_happened(&world);
    assert!(ticket(&world, &runner).await.json()["result"].is_object());
}

#[tokio::test]
async fn a_known_caller_is_told_what_its_delegation_does_not_cover() {
    let world = World::new().await;
    let runner = world.runner();
    let policies = world.holder(1, vec![world.issue(1, &["policies:read"], |_| ())]);
    let cases = [
        ("get_ticket", json!({"ticket_id": 9000}), "argument-not-delegated"),
        ("get_ticket", json!({}), "argument-missing"),
        ("get_ticket", json!({"ticket_id": 8821, "bcc": "x"}), "argument-unnamed"),
        (
            "refund_order",
            json!({"order_id": 1, "amount_cents": 1, "reason": "x"}),
            "tool-not-delegated",
        ),
        ("no_such_tool", json!({}), "tool-not-delegated"),
        ("list_orders", json!({"customer_id": 1.5}), "arguments-invalid"),
        ("list_orders", json!({"customer_id": 9_007_199_254_740_993_u64}), "number-inadmissible"),
    ];
    for (name, arguments, code) in cases {
        let raw =
            world.call(name, arguments.clone(), Some(&runner.present(name, &arguments))).await;
        is_denied(&raw, code);
        let event = world.journal.denials().pop().unwrap();
        let s = &event.subjects;
        assert_eq!(s.reason.as_deref(), Some(code));
        assert_eq!(s.agent.as_deref(), Some("agent:support-runner"));
        assert_eq!(s.principal.as_deref(), Some("alias"));
        assert!(s.task.is_some() && s.grant.is_some() && s.delegation.is_some());
        let tool = format!("mcp:support-desk:tools/{name}");
        let committed = disclosed(&event, "tool");
        if name == "no_such_tool" {
            assert_eq!((s.tool.as_deref(), committed), (None, Some(tool.into())));
        } else {
            assert_eq!((s.tool.as_deref(), committed), (Some(tool.as_str()), None));
        }
        assert!(disclosed(&event, "arguments").is_some());
    }
    let raw = ticket(&world, &policies).await;
    is_denied(&raw, "tool-not-delegated");
    nothing_happened(&world);
}

#[tokio::test]
async fn a_sub_agent_is_held_to_its_narrower_delegation_and_cannot_widen_it() {
    let world = World::new().await;
    let runner = world.runner();
    let derive = |change: &dyn Fn(&mut make::Content)| {
        let mut content = world.content(2, world.scope(&["order:1:read"]));
        content.exp -= 60;
        change(&mut content);
        make::derive(runner.leaf(), &content, &key(1), &ChainLimits::DEFAULT)
    };
    let child = derive(&|_| ()).unwrap();
    let sub = world.holder(2, vec![runner.leaf().to_owned(), child]);
    let call = async |holder: &Holder, id: u64| {
        let arguments = json!({"order_id": id});
        world
            .call("get_order", arguments.clone(), Some(&holder.present("get_order", &arguments)))
            .await
    };
    assert!(call(&sub, 1).await.json()["error"].is_null());
    let event = world.journal.decisions().remove(0).event;
    assert_eq!(event.subjects.agent.as_deref(), Some("agent:order-reader"));
    assert_eq!(event.body.member("hops").unwrap().as_array().unwrap().len(), 2);
    is_denied(&call(&sub, 2).await, "argument-not-delegated");
    // An honest tool refuses to widen; a forged child is refused at the gate.
    let wide = world.scope(&["tickets:note"]);
    assert!(derive(&|c| c.scope = wide.clone()).is_err());
    let mut content = world.content(2, wide.clone());
    content.exp -= 60;
    let seen = make::Seen::parse(runner.leaf(), &ChainLimits::DEFAULT).unwrap();
    let forged = bailiwick_core::aat::jws::sign(
        "aat+jwt",
        None,
        &Object::new()
            .with("jti", content.jti.as_str())
            .with("iss", key(1).public_key().thumbprint().to_uri())
            .with("iat", content.now.seconds())
            .with("exp", content.exp)
            .with("cnf", Object::new().with("jwk", content.holder.to_jwk()))
            .with("del_depth", 1u64)
            .with("del_max_depth", 1u64)
            .with("par_hash", seen.hash)
            .with("aud", world.audience())
            .with(
                "authorization_details",
                vec![
                    Object::new()
                        .with("type", "attenuating_agent_token")
                        .with("tools", wide.to_json())
                        .into(),
                ],
            )
            .into(),
        &key(1),
    );
    let widened = world.holder(2, vec![runner.leaf().to_owned(), forged]);
    is_stranger(&call(&widened, 1).await);
    assert_eq!(last_denial(&world).0, "authority-widened");
    assert_eq!(world.tap.of("tools/call").len(), 1);
}

#[tokio::test]
async fn a_proof_works_once() {
    let world = World::new().await;
    let runner = world.runner();
    let arguments = json!({"ticket_id": 8821});
    let captured = runner.present("get_ticket", &arguments);
    assert!(
        world.call("get_ticket", arguments.clone(), Some(&captured)).await.json()["result"]
            .is_object()
    );
    let raw = world.call("get_ticket", arguments, Some(&captured)).await;
    is_stranger(&raw);
    // Possession was proved once, by somebody: the record names the chain.
    assert_eq!(last_denial(&world), ("proof-replayed".to_owned(), true));
    assert_eq!(world.tap.of("tools/call").len(), 1);
}

#[tokio::test]
async fn of_many_calls_at_once_with_one_proof_one_passes() {
    let world = Arc::new(World::new().await);
    let arguments = json!({"ticket_id": 8821});
    let captured = world.runner().present("get_ticket", &arguments);
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (world, arguments, captured) = (world.clone(), arguments.clone(), captured.clone());
            tokio::spawn(async move { world.call("get_ticket", arguments, Some(&captured)).await })
        })
        .collect();
    let mut passed = 0;
    for call in calls {
        passed += usize::from(call.await.unwrap().json()["result"].is_object());
    }
    assert_eq!(passed, 1);
    assert_eq!(world.desk.call_log().unwrap().len(), 1);
}

#[tokio::test]
async fn a_spent_budget_denies_and_siblings_cannot_overspend() {
    let world = World::new().await;
    let root =
        world.issue(1, &["ticket:8821"], |c| c.budget = Object::new().with("max_calls", 2u64));
    let holder = world.holder(1, vec![root]);
    for _ in 0..2 {
        assert!(ticket(&world, &holder).await.json()["result"].is_object());
    }
    is_denied(&ticket(&world, &holder).await, "budget-spent");
    assert_eq!(last_denial(&world), ("budget-spent".to_owned(), true));
    assert_eq!(world.tap.of("tools/call").len(), 2);
}

#[tokio::test]
async fn a_window_that_is_spent_says_when_it_opens_again() {
    let world = World::new().await;
    // A window whose end is a while away, so that the test stays within it.
    let now = world.host.now().seconds();
    let seconds = (300..600).find(|s| now % s < s / 2).unwrap();
    let member = format!("per/{seconds}/max_calls");
    let root =
        world.issue(1, &["ticket:8821"], |c| c.budget = Object::new().with(member.as_str(), 2u64));
    let holder = world.holder(1, vec![root]);
    for _ in 0..2 {
        assert!(ticket(&world, &holder).await.json()["result"].is_object());
    }
    let denied = ticket(&world, &holder).await;
    is_denied(&denied, "budget-window-spent");
    let opens = Timestamp::from_seconds(now - now % seconds + seconds).to_string();
    let data = &denied.json()["error"]["data"];
    assert_eq!(data["retry_at"], opens);
    assert!(data["reason"].as_str().unwrap().contains(&member), "{data}");
    assert_eq!(last_denial(&world), ("budget-window-spent".to_owned(), true));
    assert_eq!(world.tap.of("tools/call").len(), 2);
    // Where waiting is of no use, nobody is told to wait.
    let none = Object::new().with(member.as_str(), 0u64);
    let root = world.issue(1, &["ticket:8821"], |c| c.budget = none);
    let denied = ticket(&world, &world.holder(1, vec![root])).await;
    is_denied(&denied, "budget-spent");
    assert_eq!(denied.json()["error"]["data"]["retry_at"], Value::Null);
}

#[tokio::test]
async fn what_was_revoked_is_denied_with_its_descendants() {
    for era in Era::ALL {
        let world = World::new().await;
        let runner = world.runner();
        let client = world.connect(era, runner.clone()).await;
        let call =
            async || client.call_tool("get_ticket", object(json!({"ticket_id": 8821}))).await;
        assert!(call().await.allowed().is_some());
        world.registry.revoke_token(runner.leaf_hash());
        assert_eq!(call().await.denied().unwrap().code, "revoked");
        let (reason, known) = last_denial(&world);
        assert_eq!((reason.as_str(), known), ("revoked", true));
        // A listing too.
        assert!(client.list_tools().await.is_err());
        client.close().await;
    }
}

#[tokio::test]
async fn a_grant_that_ended_denies() {
    let world = World::new().await;
    world.stand_grant(true);
    is_denied(&ticket(&world, &world.runner()).await, "grant-not-standing");
    assert_eq!(last_denial(&world), ("grant-not-standing".to_owned(), true));
    nothing_happened(&world);
}

#[tokio::test]
async fn what_is_revoked_between_verification_and_record_is_not_sent() {
    let latency = std::time::Duration::from_millis(500);
    let world = Arc::new(World::with(Plan { latency, ..Plan::default() }).await);
    world.gateway.check_pins().await;
    let runner = world.runner();
    let call = {
        let (world, runner) = (world.clone(), runner.clone());
        tokio::spawn(async move { ticket(&world, &runner).await })
    };
    tokio::time::sleep(latency / 2).await;
    world.registry.revoke_token(runner.leaf_hash());
    is_denied(&call.await.unwrap(), "revoked");
    nothing_happened(&world);
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_sent() {
    let world = World::new().await;
    world.journal.set_fault(Fault::Record);
    is_denied(&ticket(&world, &world.runner()).await, "record-unavailable");
    nothing_happened(&world);
    world.journal.set_fault(Fault::RecordedButUnknown);
    is_denied(&ticket(&world, &world.runner()).await, "record-unavailable");
    assert!(world.tap.of("tools/call").is_empty());
    world.journal.set_fault(Fault::None);
    assert!(ticket(&world, &world.runner()).await.json()["result"].is_object());
}

#[tokio::test]
async fn policy_has_its_word() {
    let yaml = include_str!("../../../../workflows/support-tickets.yaml");
    // At level manual every effect needs a person, and nobody can be asked.
    let manual = yaml.replace("level: bounded", "level: manual");
    let world = World::with(Plan { workflow: manual, ..Plan::default() }).await;
    let holder = world.holder(1, vec![world.issue(1, &["ticket:8821:note"], |_| ())]);
    let arguments = json!({"ticket_id": 8821, "text": "hello"});
    let raw = world
        .call("add_note", arguments.clone(), Some(&holder.present("add_note", &arguments)))
        .await;
    is_denied(&raw, "approval-required");
    let event = world.journal.denials().pop().unwrap();
    assert_eq!(event.subjects.decision.as_deref(), Some("approval_required"));
    assert_eq!(event.body.member("rule").unwrap().as_str(), Some("manual-effect"));
    nothing_happened(&world);

    // An agent that the workflow does not list.
    let one = yaml.replace("  - agent:support-runner\n", "");
    let world = World::with(Plan { workflow: one, ..Plan::default() }).await;
    is_denied(&ticket(&world, &world.runner()).await, "policy-denied");
    nothing_happened(&world);
}

#[tokio::test]
async fn a_tool_without_rating_or_pin_is_not_called() {
    let yaml = include_str!("../../../../workflows/support-tickets.yaml");
    let world = World::with(Plan { workflow: yaml.to_owned(), ..Plan::default() }).await;
    let arguments = json!({"ticket_id": 8821});
    let server = bailiwick_core::ids::ServerName::parse("support-desk").unwrap();
    let listed = {
        use bailiwick_gateway::ports::Catalogue as _;
        world.catalogue.server(&server).unwrap().unwrap()
    };
    let mut unpinned = (*listed).clone();
    std::sync::Arc::make_mut(&mut unpinned.pins).remove("tools/get_ticket");
    world.catalogue.put(unpinned);
    let runner = world.runner();
    let raw = world
        .call("get_ticket", arguments.clone(), Some(&runner.present("get_ticket", &arguments)))
        .await;
    is_denied(&raw, "tool-not-catalogued");
    // Nor shown: what nobody accepted may say anything in its description.
    let client = world.connect(Era::Stateless, world.runner()).await;
    let names: Vec<_> = client.list_tools().await.unwrap().into_iter().map(|t| t.name).collect();
    assert!(names.len() == 2 + OWN && !names.iter().any(|n| n == "get_ticket"), "{names:?}");
    client.close().await;
    let mut revoked = (*listed).clone();
    revoked.revoked = true;
    world.catalogue.put(revoked);
    is_denied(&ticket(&world, &runner).await, "revoked");
    nothing_happened(&world);
}

#[tokio::test]
async fn a_catalogue_that_cannot_be_read_denies() {
    let world = World::new().await;
    let runner = world.runner();
    world.catalogue.set_unavailable(true);
    let raw = ticket(&world, &runner).await;
    assert!(raw.json()["error"].is_object(), "{}", raw.text);
    assert_eq!(last_denial(&world).0, "state-unavailable");
    nothing_happened(&world);
    world.catalogue.set_unavailable(false);
    assert!(ticket(&world, &runner).await.json()["result"].is_object());
}

#[tokio::test]
async fn a_call_whose_delegation_ends_while_it_is_recorded_is_not_sent() {
    let latency = std::time::Duration::from_millis(1_500);
    let world = World::with(Plan { latency, ..Plan::default() }).await;
    world.gateway.check_pins().await;
    let root = world.issue(1, &["ticket:8821"], |c| c.exp = c.now.seconds() + 1);
    let raw = ticket(&world, &world.holder(1, vec![root])).await;
    assert_eq!(raw.json()["error"]["data"]["code"], "upstream-not-called", "{}", raw.text);
    assert_eq!(world.outcomes(1).await, ["not_executed"]);
    assert!(world.tap.of("tools/call").is_empty());
}

#[tokio::test]
async fn probing_without_authority_gives_one_answer_for_known_and_unknown_tools_and_servers() {
    let world = World::new().await;
    let mut shapes = std::collections::HashSet::new();
    for server in ["support-desk", "no-such-server"] {
        for name in ["get_ticket", "no_such_tool"] {
            let text = crate::support::body(name, &json!({"ticket_id": 8821}), None).to_string();
            let url = format!("{}/mcp/{server}", world.base);
            let raw =
                crate::support::send("POST", &url, &crate::support::headers(name), text).await;
            is_stranger(&raw);
            shapes.insert(format!("{:?} {:?}", raw.shape(), raw.headers.get("content-length")));
        }
    }
    assert_eq!(shapes.len(), 1);
}

#[tokio::test]
async fn refusals_of_strangers_do_not_fill_the_ledger() {
    let plan = Plan { config: Box::new(|c| c.stranger_entries = (5, 1)), ..Plan::default() };
    let world = World::with(plan).await;
    for _ in 0..50 {
        is_stranger(&world.call("get_ticket", json!({}), None).await);
    }
    assert!(world.gateway.drain(std::time::Duration::from_secs(10)).await);
    let denials = world.journal.denials();
    let single = denials.iter().filter(|e| e.subjects.reason.is_some()).count();
    assert!((5..=20).contains(&single), "{single}");
    let counted: i64 = denials
        .iter()
        .filter_map(|e| e.body.member("count")?.as_number()?.as_plain_integer())
        .sum();
    assert_eq!(single + usize::try_from(counted).unwrap(), 50);
}
