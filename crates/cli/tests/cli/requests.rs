//! Asking for more authority: the request, the person who grants it as themselves,
//! and the call that passes then.

use std::fs;
use std::path::Path;

use bailiwick_testkit::World;
use bailiwick_testkit::http::{Request, Response};
use bailiwick_testkit::present::{Call, Chain, signed};
use bailiwick_testkit::world::{OWNER, PRINCIPAL, PURPOSE, command, private};
use serde_json::{Value, json};

use crate::EXE;
use crate::connect::{Spoken, npm};

/// What an agent is answered when it asks with this chain.
fn ask(world: &World, chain: &Chain, arguments: Value) -> Response {
    world.call(chain, "request_authority", arguments)
}

fn answered(response: &Response) -> Value {
    let result = response.json()["result"].clone();
    assert_eq!(result["isError"], false, "{}", response.text());
    assert_eq!(result["resultType"], "complete");
    result["structuredContent"].clone()
}

fn wants(world: &World, chain: &Chain, scope: &[&str]) -> String {
    let arguments = json!({"scope": scope, "reason": "Reason-Canary: the order is linked"});
    let answer = answered(&ask(world, chain, arguments));
    assert_eq!(answer["status"], "pending", "{answer}");
    answer["request"].as_str().unwrap().to_owned()
}

fn stands(world: &World, chain: &Chain, id: &str) -> Value {
    answered(&ask(world, chain, json!({"request": id})))
}

/// The chain that a granted request brought.
fn taken(world: &World, chain: &Chain, id: &str) -> Chain {
    let response = ask(world, chain, json!({"request": id}));
    assert_eq!(answered(&response)["status"], "granted", "{}", response.text());
    let file = response.json()["result"]["_meta"]["io.bailiwick/delegation"].clone();
    let path = world.base.path().join(format!("taken-{id}.json"));
    private(&path, &file.to_string());
    Chain::read(&path)
}

/// The refusal's code, and why, as only the caller hears it.
fn refused(response: &Response) -> (String, Value) {
    let data = response.json()["error"]["data"].clone();
    (data["code"].as_str().unwrap_or_default().to_owned(), data["why"]["code"].clone())
}

fn order(world: &World, chain: &Chain) -> Response {
    world.call(chain, "get_order", json!({"order_id": 10072}))
}

fn grant(world: &World, id: &str, more: &[&str]) -> Value {
    let key = world.principal_key();
    world.ok(&[&["requests", "grant", id, "--key", &key], more].concat())
}

/// Lets everybody do everything, and these people grant these shorthands.
fn ceilings(world: &World, rules: &[(&str, &str)]) {
    let all = "may_do: [{workflow: '*', scope: '*', max_risk: critical}]";
    let mut text = format!("rules:\n- {{who: {{everybody: true}}, {all}}}\n");
    for (who, scope) in rules {
        let may = format!("may_grant: [{{workflow: '*', scope: {scope}, max_risk: critical}}]");
        text.push_str(&format!("- {{who: {{principals: ['{who}']}}, {may}}}\n"));
    }
    let file = world.path("entitlements.yaml");
    fs::write(&file, text).unwrap();
    world.ok(&["entitlements", "publish", &file]);
}

#[test]
fn what_the_principal_grants_passes_under_a_sibling_root_and_its_evidence_verifies() {
    let world = World::new(EXE);
    let chain = world.delegate(&["ticket:8821"], &[]);
    world.assert_denied(&order(&world, &chain), "tool-not-delegated");
    let id = wants(&world, &chain, &["orders:read"]);
    // The same again is the same, whatever is said about it.
    let again = json!({"scope": ["orders:read"], "reason": "please"});
    assert_eq!(answered(&ask(&world, &chain, again))["request"], id.as_str());
    let listed = world.ok(&["requests", "list"]);
    assert_eq!((&listed["count"], &listed["requests"][0]["request"]), (&json!(1), &json!(id)));
    let shown = world.ok(&["requests", "show", &id]);
    assert_eq!(shown["scope"], json!(["orders:read"]), "{shown}");
    assert_eq!(shown["purpose"], PURPOSE);
    // Asking changes nothing.
    world.assert_denied(&order(&world, &chain), "tool-not-delegated");

    let granted = grant(&world, &id, &[]);
    let sibling = taken(&world, &chain, &id);
    assert_eq!(taken(&world, &chain, &id).tokens, sibling.tokens, "one root while it is fresh");
    let decision = world.assert_allowed(&order(&world, &sibling), "ok");
    world.assert_denied(&order(&world, &chain), "tool-not-delegated");
    world.assert_denied(
        &world.call(&sibling, "get_ticket", json!({"ticket_id": 8821})),
        "tool-not-delegated",
    );
    let (grant, first) = (granted["grant"].as_str().unwrap(), &shown["under"]);
    let statement = world.ok(&["grant", "show", grant])["statement"].clone();
    assert_eq!(statement["request"], id.as_str(), "{statement}");
    let under = world.ok(&["grant", "show", first.as_str().unwrap()])["statement"].clone();
    assert_eq!((&statement["task"], &statement["max_depth"]), (&under["task"], &json!(0)));
    assert!(statement["not_after"].as_i64() <= under["not_after"].as_i64());

    let (bundle, trust) = (world.path("evidence.json"), world.path("trust.json"));
    world.ok(&["evidence", "get", &decision, "-o", &bundle]);
    world.ok(&["keys", "trust", "-o", &trust]);
    let nowhere = world.base.path().join("nowhere");
    let verified = world.run_on(&nowhere, &["evidence", "verify", &bundle, "--trust", &trust]);
    assert_eq!(verified.status, 0, "{}{}", verified.out, verified.err);
    // The ledger names neither what was asked for nor why.
    let kinds = world.ok(&["audit", "query"]).to_string();
    assert!(!kinds.contains("Reason-Canary"), "{kinds}");
    assert_eq!(world.ok(&["audit", "verify"])["holds"], true);

    // What was granted is taken back like any grant.
    world.ok(&["revoke", "grant", grant, "--reason", "done"]);
    world.assert_denied(&order(&world, &sibling), "grant-not-standing");
    assert_eq!(stands(&world, &chain, &id)["status"], "ended");
}

#[test]
fn a_request_is_granted_in_part_and_never_in_more() {
    let world = World::new(EXE);
    let chain = world.delegate(&["ticket:8821"], &["--for", "30m"]);
    let id = wants(&world, &chain, &["orders:read", "ticket:9000"]);
    let key = world.principal_key();
    let attempt = |more: &[&str]| {
        world.run(&[&["requests", "grant", &id, "--key", &key], more].concat()).code()
    };
    assert_eq!(attempt(&["--scope", "refund:4711"]), "request-wider");
    // 15 minutes were asked for, where nothing else was said.
    assert_eq!(attempt(&["--for", "20m"]), "request-wider");
    let granted = grant(&world, &id, &["--scope", "ticket:9000", "--for", "2m"]);
    assert_eq!(granted["scope"], json!(["ticket:9000"]), "{granted}");
    let sibling = taken(&world, &chain, &id);
    world.assert_allowed(&world.call(&sibling, "get_ticket", json!({"ticket_id": 9000})), "ok");
    world.assert_denied(&order(&world, &sibling), "tool-not-delegated");
    let statement = world.ok(&["grant", "show", granted["grant"].as_str().unwrap()]);
    let statement = &statement["statement"];
    let window =
        statement["not_after"].as_i64().unwrap() - statement["not_before"].as_i64().unwrap();
    assert!(window <= 120, "{statement}");
    assert_eq!(attempt(&[]), "request-settled");
}

#[test]
fn a_refusal_is_told_with_its_words_and_needs_the_persons_own_key() {
    let world = World::new(EXE);
    let chain = world.delegate(&["ticket:8821"], &[]);
    let id = wants(&world, &chain, &["refund:4711"]);
    let refuse =
        |key: &str| world.run(&["requests", "refuse", &id, "--key", key, "--note", "not this one"]);
    let keyless = world.run(&["requests", "refuse", &id]);
    assert_eq!(keyless.code(), "argument-missing");
    // Another's name with one's own key; and somebody who may not see it.
    let forged = as_principal(&world, "forged.json");
    assert_eq!(refuse(&forged).code(), "request-refusal-unsigned");
    assert_eq!(refuse(&world.path("owner/key.json")).code(), "unknown-name");
    assert_eq!(refuse(&world.principal_key()).json()["state"], "refused");
    let answer = stands(&world, &chain, &id);
    assert_eq!((&answer["status"], &answer["note"]), (&json!("refused"), &json!("not this one")));
    let late = world.run(&["requests", "grant", &id, "--key", &world.principal_key()]);
    assert_eq!(late.code(), "request-settled");
    let all = world.ok(&["requests", "list", "--all"]);
    assert_eq!(all["requests"][0]["state"], "refused", "{all}");
    assert_eq!(world.ok(&["requests", "show", &id])["decided_by"], PRINCIPAL);
}

/// A key file that claims to be the principal's and holds the instance's key.
fn as_principal(world: &World, name: &str) -> String {
    let file: Value =
        serde_json::from_str(&fs::read_to_string(world.runner.key_file()).unwrap()).unwrap();
    let forged = json!({"principal": PRINCIPAL, "key": file["holder"]});
    let path = world.base.path().join(name);
    private(&path, &forged.to_string());
    path.display().to_string()
}

#[test]
fn an_agent_grants_nothing_to_itself() {
    let world = World::new(EXE);
    let chain = world.delegate(&["ticket:8821"], &[]);
    let id = wants(&world, &chain, &["orders:read"]);
    // With its own key file, with its key under the principal's name, with chain and
    // proof at the people's API, and with no person behind it at all.
    let own = world.run(&["requests", "grant", &id, "--key", &world.runner.key_file()]);
    assert_eq!(own.code(), "key-file-malformed");
    let forged = as_principal(&world, "forged.json");
    let forged = world.run(&["requests", "grant", &id, "--key", &forged]);
    assert_eq!(forged.code(), "grant-signature-invalid");
    for path in ["prepare", "grant", "refuse"] {
        let path = format!("/api/v1/requests/{id}/{path}");
        let url = format!("{}{path}", world.public_url);
        let request = Request::post(path, "{}").with("content-type", "application/json");
        let request = signed(request, &chain, &world.runner.key, "POST", &url);
        assert_eq!(request.send(world.address).unwrap().status, 401, "{url}");
    }
    // A console form without a session, whatever the agent presents.
    let form = Request::post(format!("/requests/{id}/grant"), "scope=orders%3Aread")
        .with("content-type", "application/x-www-form-urlencoded");
    let form = signed(form, &chain, &world.runner.key, "POST", &world.public_url);
    assert!(![200, 201, 204].contains(&form.send(world.address).unwrap().status));
    assert_eq!(stands(&world, &chain, &id)["status"], "pending");
    world.assert_denied(&order(&world, &chain), "tool-not-delegated");
}

#[test]
fn somebody_else_grants_as_themselves_within_their_own_ceiling() {
    let world = World::new(EXE);
    let chain = world.delegate(&["ticket:8821"], &[]);
    let owner = world.path("owner/key.json");
    let id = wants(&world, &chain, &["orders:read", "refund:4711"]);
    let attempt = |key: &str, more: &[&str]| {
        world.run(&[&["requests", "grant", &id, "--key", key], more].concat())
    };
    // Nobody said what the owner may grant, so the request is the principal's.
    assert_eq!(attempt(&owner, &[]).code(), "unknown-name");
    ceilings(&world, &[(OWNER, "['orders:read']"), (PRINCIPAL, "['ticket:{id}']")]);
    assert_eq!(attempt(&owner, &[]).code(), "entitlement-scope");
    assert_eq!(attempt(&world.principal_key(), &[]).code(), "entitlement-scope");
    let granted = attempt(&owner, &["--scope", "orders:read"]).json();
    assert_eq!(granted["principal"], OWNER, "{granted}");
    let sibling = taken(&world, &chain, &id);
    let decision = world.assert_allowed(&order(&world, &sibling), "ok");
    // Of the same task, on the authority of who signed.
    let statement = world.ok(&["grant", "show", granted["grant"].as_str().unwrap()]);
    let statement = &statement["statement"];
    let under = world.ok(&["requests", "show", &id])["under"].as_str().unwrap().to_owned();
    let first = world.ok(&["grant", "show", &under])["statement"].clone();
    assert_eq!(statement["principal"]["subject"], OWNER);
    assert_eq!(
        (&statement["task"], first["principal"]["subject"].as_str()),
        (&first["task"], Some(PRINCIPAL))
    );
    let (bundle, trust) = (world.path("evidence.json"), world.path("trust.json"));
    world.ok(&["evidence", "get", &decision, "-o", &bundle]);
    world.ok(&["keys", "trust", "-o", &trust]);
    let verified = world.run(&["evidence", "verify", &bundle, "--trust", &trust]);
    assert_eq!(verified.status, 0, "{}{}", verified.out, verified.err);
    assert!(verified.out.contains(OWNER), "{}", verified.out);
    // It ends with what its granter may do, whatever the first principal may.
    ceilings(&world, &[]);
    world.ok(&["principal", "suspend", OWNER]);
    assert!(order(&world, &sibling).json()["error"].is_object());
}

#[test]
fn a_request_is_one_instances_for_one_task() {
    let world = World::new(EXE);
    let chain = world.delegate(&["ticket:8821"], &[]);
    let other = world.delegate(&["ticket:8821"], &[]);
    let id = wants(&world, &chain, &["orders:read"]);
    grant(&world, &id, &[]);
    // Another task of the same instance; the same task, another key.
    let poll = json!({"request": id});
    assert_eq!(refused(&ask(&world, &other, poll.clone())).0, "request-unknown");
    let child = world.attenuate(&chain, &world.runner, &world.reader, &[]);
    let by_reader = |arguments: &Value| {
        world.send(&Call::new(&child, &world.reader.key, "request_authority", arguments.clone()))
    };
    assert_eq!(refused(&by_reader(&poll)).0, "request-unknown");
    // Who was delegated a part asks who has the whole.
    let more = json!({"scope": ["orders:read"], "reason": "me too"});
    let (code, why) = refused(&by_reader(&more));
    assert_eq!((code.as_str(), why), ("request-refused", json!("request-not-the-tasks")));
    // Somebody without the key, and a proof that was used.
    let stranger = Call::new(&chain, &world.reader.key, "request_authority", poll.clone());
    assert_eq!(world.send(&stranger).json()["error"]["code"], -32041);
    let call = Call::new(&chain, &world.runner.key, "request_authority", poll.clone());
    assert!(world.send(&call).json()["result"].is_object());
    assert_eq!(world.send(&call).json()["error"]["code"], -32041);
    // The same over HTTP, for agents that speak no MCP.
    let url = format!("{}/access/v1/requests", world.public_url);
    let post = |body: &Value| {
        Request::post("/access/v1/requests", body.to_string())
            .with("content-type", "application/json")
    };
    assert_eq!(post(&poll).send(world.address).unwrap().status, 401);
    let known = signed(post(&poll), &chain, &world.runner.key, "POST", &url);
    let known = known.send(world.address).unwrap().json();
    assert_eq!((&known["status"], &known["granted_by"]), (&json!("granted"), &json!(PRINCIPAL)));
    assert!(known["delegation"]["aat_chain"][0].is_string(), "{known}");
    let others = signed(post(&poll), &other, &world.runner.key, "POST", &url);
    let others = others.send(world.address).unwrap();
    assert_eq!((others.status, others.json()["code"].clone()), (404, json!("request-unknown")));
}

#[test]
fn what_is_no_request_is_refused_by_name_and_a_flood_is_bounded() {
    let world = World::new(EXE);
    let chain = world.delegate(&["ticket:8821"], &[]);
    let reason = "r".repeat(1_001);
    for (arguments, why) in [
        (json!({"scope": ["tools:everything"], "reason": "r"}), "scope-shorthand-unknown"),
        (json!({"scope": ["ticket:x"], "reason": "r"}), "scope-parameter-invalid"),
        (json!({"scope": [], "reason": "r"}), "request-malformed"),
        (json!({"scope": ["orders:read", "orders:read"], "reason": "r"}), "request-malformed"),
        (json!({"scope": ["orders:read"], "reason": " "}), "request-malformed"),
        (json!({"scope": ["orders:read"], "reason": reason}), "request-malformed"),
        (json!({"scope": ["orders:read"], "reason": "r", "seconds": 1}), "request-malformed"),
        (json!({"scope": ["orders:read"], "reason": "r", "seconds": 999999}), "window-too-long"),
        (
            json!({"scope": ["orders:read"], "reason": "r", "principal": "user:me"}),
            "request-malformed",
        ),
        (json!({"scope": "orders:read", "reason": "r"}), "request-malformed"),
        (json!({"request": "no id"}), "request-malformed"),
    ] {
        let response = ask(&world, &chain, arguments.clone());
        let (code, found) = refused(&response);
        assert_eq!((code.as_str(), found), ("request-refused", json!(why)), "{arguments}");
        world.assert_denied(&response, "request-refused");
    }
    for n in 1..=5 {
        wants(&world, &chain, &[&format!("ticket:{n}")]);
    }
    let sixth = ask(&world, &chain, json!({"scope": ["ticket:6"], "reason": "r"}));
    world.assert_denied(&sixth, "request-flood");
    // What waits already is answered all the same.
    wants(&world, &chain, &["ticket:5"]);
    assert_eq!(world.ok(&["requests", "list"])["count"], 5);
}

#[test]
fn more_authority_is_no_new_budget() {
    let world = World::new(EXE);
    let chain = world.delegate(&["ticket:8821"], &["--budget", "max_calls=3"]);
    let ticket = || world.call(&chain, "get_ticket", json!({"ticket_id": 8821}));
    world.assert_allowed(&ticket(), "ok");
    world.assert_allowed(&ticket(), "ok");
    let id = wants(&world, &chain, &["orders:read"]);
    let granted = grant(&world, &id, &[]);
    let statement = world.ok(&["grant", "show", granted["grant"].as_str().unwrap()]);
    assert_eq!(statement["statement"]["budget"]["max_calls"], 3, "{statement}");
    let sibling = taken(&world, &chain, &id);
    world.assert_allowed(&order(&world, &sibling), "ok");
    // Three calls were granted to the task, whatever they are made under.
    world.assert_denied(&order(&world, &sibling), "budget-spent");
    world.assert_denied(&ticket(), "budget-spent");
}

fn connect_line(world: &World, chain: &Chain) -> Vec<String> {
    let (url, chain, key) = (world.endpoint(), chain.path(), world.runner.key_file());
    let line = [EXE, "connect", &url, "--chain", &chain, "--key", &key];
    line.map(str::to_owned).to_vec()
}

#[test]
fn connect_takes_up_what_was_granted_and_the_client_just_calls_again() {
    let world = World::new(EXE);
    let chain = world.delegate(&["ticket:8821"], &[]);
    let line = connect_line(&world, &chain);
    let mut command = command(Path::new(EXE), world.base.path());
    let mut spoken = Spoken::start(command.args(&line[1..]));
    assert!(spoken.hello()["result"].is_object());
    let listed = spoken.ask(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}));
    let tools = listed["result"]["tools"].as_array().unwrap().clone();
    let own = tools.iter().find(|tool| tool["name"] == "request_authority");
    let own = own.unwrap_or_else(|| panic!("{listed}"));
    assert!(own["description"].as_str().unwrap().contains("orders:read"), "{own}");
    let denied = spoken.call(2, "get_order", json!({"order_id": 10072}));
    assert_eq!(denied["error"]["data"]["code"], "tool-not-delegated", "{denied}");
    let wanted = json!({"scope": ["orders:read"], "reason": "the ticket names an order"});
    let asked = spoken.call(3, "request_authority", wanted);
    let id = asked["result"]["structuredContent"]["request"].as_str().unwrap().to_owned();
    let still = spoken.call(4, "get_order", json!({"order_id": 10072}));
    assert_eq!(still["error"]["data"]["code"], "tool-not-delegated", "{still}");
    grant(&world, &id, &[]);
    // The same call again, of a client that knows nothing of chains.
    for (n, tool, arguments) in [
        (5, "get_order", json!({"order_id": 10072})),
        (6, "get_ticket", json!({"ticket_id": 8821})),
        (7, "get_order", json!({"order_id": 10072})),
    ] {
        let answer = spoken.call(n, tool, arguments);
        assert_eq!(answer["result"]["isError"], false, "{tool}: {answer}");
    }
    let other = spoken.call(8, "search_customers", json!({"query": "Ann"}));
    assert_eq!(other["error"]["data"]["code"], "tool-not-delegated", "{other}");
    let (status, log) = spoken.close();
    assert_eq!(status, Some(0), "{log}");
    assert!(log.contains("taken up"), "{log}");
    assert_eq!(world.executed().len(), 3);
}

#[test]
fn unchanged_clients_of_both_protocols_ask_through_connect() {
    let world = World::new(EXE);
    let chain = world.delegate(&["ticket:8821"], &[]);
    let line = connect_line(&world, &chain);
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let calls = json!([
        {"tool": "request_authority", "arguments": {"scope": ["orders:read"], "reason": "r"}},
        {"tool": "request_authority", "arguments": {"scope": ["everything"], "reason": "r"}},
    ]);
    for era in ["sessions", "stateless"] {
        let program = npm(era, &calls, &line);
        program.expect("connected");
        let tools = program.expect("tools")["tools"].clone();
        assert!(tools.as_array().unwrap().iter().any(|t| t == "request_authority"), "{tools}");
        let asked = program.expect("result");
        assert_eq!(asked["is_error"], false, "{asked}");
        assert!(asked["text"].as_str().unwrap().contains("pending"), "{asked}");
        assert_eq!(program.expect("refused")["data"]["code"], "request-refused");
        program.expect("done");
    }
    assert_eq!(world.ok(&["requests", "list"])["count"], 1, "equal requests fold");
}

#[test]
fn what_is_stopped_asks_for_nothing_and_takes_nothing_up() {
    let world = World::new(EXE);
    let chain = world.delegate(&["ticket:8821"], &[]);
    let id = wants(&world, &chain, &["orders:read"]);
    let granted = grant(&world, &id, &[]);
    let task = world.ok(&["grant", "show", granted["grant"].as_str().unwrap()]);
    let task = task["statement"]["task"].as_str().unwrap_or_else(|| panic!("{task}")).to_owned();
    world.ok(&["stop", &format!("task:{task}"), "--reason", "it asks too much"]);
    let taken_up = ask(&world, &chain, json!({"request": id}));
    assert_eq!(refused(&taken_up).0, "stopped", "{}", taken_up.text());
    let asked = ask(&world, &chain, json!({"scope": ["ticket:9000"], "reason": "more"}));
    assert_eq!(refused(&asked).0, "stopped", "{}", asked.text());
    // What a person signs meanwhile gives nothing either.
    let other = world.delegate(&["ticket:8821"], &[]);
    let waits = wants(&world, &other, &["orders:read"]);
    world.ok(&["stop", "everything", "--reason", "drill"]);
    let key = world.principal_key();
    let signed = world.run(&["requests", "grant", &waits, "--key", &key]);
    assert_ne!(signed.status, 0, "{}", signed.out);
}
