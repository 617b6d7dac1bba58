//! Attacks on agents behind the gateway and by them, one named test each.

use bailiwick_testkit::http::Request;
use bailiwick_testkit::world::{RUNNER, Setup};
use serde_json::{Value, json};

use crate::a2a::{AGENT, Billing, SECRET, message, reason, start};

/// With a card that is compared before every call.
fn watched() -> Setup {
    Setup { config: vec![("pin_check_seconds", "1".to_owned())], ..Setup::default() }
}

/// What a call comes to once the agent shows this card.
fn after(billing: &Billing, card: &str) -> Value {
    let (chain, runner) = (billing.chain(RUNNER), &billing.world.runner);
    let hello = || billing.ask(&chain, runner, "SendMessage", message("hello", json!({})));
    assert!(hello()["result"].is_object(), "the accepted card is in force");
    billing.show(card);
    std::thread::sleep(std::time::Duration::from_millis(1_300));
    hello()
}

fn refused_card(card: &str, code: &str) {
    let billing = Billing::new(&watched());
    let answer = after(&billing, card);
    assert_eq!(reason(&answer), "agent-card-refused", "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains(code), "{answer}");
    // Nobody can accept what does not count; the ledger says why.
    let listed = billing.world.ok(&["catalogue", "list", "billing"]);
    assert_eq!(listed["tools"][0]["waiting"], Value::Null, "{listed}");
    let refused = billing.world.run(&billing.add(&["--accept"]));
    assert_eq!(refused.status, 1);
    assert!(refused.out.contains(code), "{}", refused.out);
    assert_eq!(billing.world.ok(&["audit", "verify"])["holds"], true);
    // The agent is back: so are calls.
    billing.show("good");
    std::thread::sleep(std::time::Duration::from_millis(1_300));
    let (chain, runner) = (billing.chain(RUNNER), &billing.world.runner);
    let hello = billing.ask(&chain, runner, "SendMessage", message("hello", json!({})));
    assert!(hello["result"].is_object(), "{hello}");
}

#[test]
fn an_impostor_with_a_copied_card_is_not_catalogued_and_never_called() {
    let billing = Billing::new(&Setup::default());
    let world = &billing.world;
    // The very bytes of the true card, at the impostor's address.
    let card = |base: &str| {
        let address = base.strip_prefix("http://").unwrap().parse().unwrap();
        Request::bare("GET", "/.well-known/agent-card.json").send(address).unwrap().text()
    };
    let true_card = card(&billing.base);
    let (impostor, base) = start(&billing.holder.key_file());
    let address = base.strip_prefix("http://").unwrap().parse().unwrap();
    let put = Request::post("/card", true_card);
    assert_eq!(put.send(address).unwrap().status, 204);
    let url = format!("{base}/.well-known/agent-card.json");
    let refused = world.run(&["a2a", "add", "billing-2", "--url", &url, "--agent", AGENT]);
    assert_eq!(refused.status, 1, "{}", refused.out);
    assert!(refused.out.contains("card-elsewhere"), "{}", refused.out);
    // Nor does it take the place of the true one.
    let replaced = world.run(&["a2a", "add", "billing", "--url", &url, "--agent", AGENT]);
    assert_eq!(replaced.status, 1, "{}", replaced.out);
    drop(impostor);
}

#[test]
fn a_card_for_another_address_ends_the_calls() {
    refused_card("elsewhere", "card-elsewhere");
}

#[test]
fn a_card_signed_by_another_key_ends_the_calls() {
    refused_card("other-key", "card-signer-unknown");
}

#[test]
fn an_unsigned_card_ends_the_calls() {
    refused_card("unsigned", "card-unsigned");
}

#[test]
fn keys_that_a_card_names_itself_are_never_fetched() {
    let billing = Billing::new(&watched());
    let answer = after(&billing, "jku");
    assert_eq!(reason(&answer), "agent-card-refused", "{answer}");
    let heard = billing.heard();
    assert!(heard.iter().all(|said| said["event"] != "keys-fetched"), "{heard:?}");
}

/// A card that counts and that nobody accepted waits for a person.
fn quarantined(card: &str, flags: &Value) -> Billing {
    let billing = Billing::new(&watched());
    let answer = after(&billing, card);
    assert_eq!(reason(&answer), "tool-changed", "{answer}");
    let world = &billing.world;
    let listed = world.ok(&["catalogue", "list", "billing"]);
    assert_eq!(listed["tools"][0]["state"], "changed", "{listed}");
    assert_eq!(&listed["tools"][0]["flags"], flags, "{listed}");
    let refused = world.run(&billing.add(&[]));
    assert_eq!(refused.status, 1, "{}", refused.out);
    assert!(refused.out.contains("pin-refused"), "{}", refused.out);
    billing
}

#[test]
fn a_card_with_weaker_security_is_quarantined_and_says_so() {
    quarantined("weaker", &json!(["changed-after-acceptance", "weaker-security"]));
}

#[test]
fn a_card_whose_way_in_was_stripped_is_quarantined_though_its_signature_holds() {
    quarantined("stripped", &json!(["changed-after-acceptance", "weaker-security"]));
}

#[test]
fn a_replayed_card_of_before_is_quarantined_after_a_newer_one_was_accepted() {
    let billing = quarantined("newer", &json!(["changed-after-acceptance"]));
    let world = &billing.world;
    // A person looks and accepts the newer one; then somebody shows the older.
    let listed = world.ok(&["catalogue", "list", "billing"]);
    let digest = listed["tools"][0]["waiting"].as_str().unwrap();
    world.ok(&["catalogue", "accept", "a2a:billing:card", digest]);
    std::thread::sleep(std::time::Duration::from_millis(1_300));
    let answer = after(&billing, "good");
    assert_eq!(reason(&answer), "tool-changed", "{answer}");
}

#[test]
fn a_downgrade_to_an_older_version_is_refused_in_both_bindings() {
    let billing = Billing::new(&Setup::default());
    let (chain, runner) = (billing.chain(RUNNER), &billing.world.runner);
    let asked = || billing.request(&chain, runner, "SendMessage", message("hello", json!({})));
    for request in [
        asked().without("a2a-version"),
        asked().with("a2a-version", ""),
        asked().with("a2a-version", "0.3"),
        asked().with("a2a-version", "2.0"),
        asked().with("a2a-version", "1.0,0.3"),
    ] {
        let answer = billing.send(&request).json();
        assert_eq!(answer["error"]["code"], -32009, "{answer}");
        let mut http = Request::bare("GET", "/a2a/billing/tasks/x");
        http.headers = request.headers;
        let answer = billing.send(&http);
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["error"]["details"][0]["reason"], "VERSION_NOT_SUPPORTED");
    }
    // Two of them are none.
    let two = billing.send(&asked().and("a2a-version", "0.3"));
    assert!(two.json()["error"].is_object());
    assert_eq!(billing.heard(), Vec::<Value>::new());
}

#[test]
fn batches_old_methods_doubled_members_and_second_spellings_are_refused() {
    let billing = Billing::new(&Setup::default());
    let (chain, runner) = (billing.chain(RUNNER), &billing.world.runner);
    let asked = billing.request(&chain, runner, "SendMessage", message("hello", json!({})));
    let body = String::from_utf8(asked.body.clone()).unwrap();
    for (changed, code) in [
        (format!("[{body}]"), -32600),
        (body.replace("\"id\":7,", ""), -32600),
        (body.replace("SendMessage", "message/send"), -32601),
        (body.replace("\"id\":7", "\"id\":7,\"id\":7"), -32700),
        (body.replace("\"messageId\"", "\"task_id\":\"x\",\"messageId\""), -32602),
        (body.replace("ROLE_USER", "ROLE_AGENT"), -32602),
        (body.replace("\"params\":{", "\"params\":{\"tenant\":\"x\","), -32602),
    ] {
        assert_ne!(changed, body);
        let request = Request { body: changed.clone().into_bytes(), ..asked.clone() };
        let answer = billing.send(&request).json();
        assert_eq!(answer["error"]["code"], code, "{changed} {answer}");
    }
    // A handoff that is not of its form.
    let metadata = json!({"metadata": {"https://bailiwick.dev/a2a/handoff/v1": {"offer": "x"}}});
    let answer = billing.ask(&chain, runner, "SendMessage", message("hello", metadata));
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    assert_eq!(billing.heard(), Vec::<Value>::new());
}

#[test]
fn whoever_presents_nothing_learns_the_same_of_every_agent() {
    let billing = Billing::new(&Setup::default());
    let (chain, runner) = (billing.chain(RUNNER), &billing.world.runner);
    let asked = billing.request(&chain, runner, "SendMessage", message("hello", json!({})));
    let bare = asked.without("aat-chain").without("aat-pop");
    let mut said = Vec::new();
    for path in ["/a2a/billing", "/a2a/nobody"] {
        let answer = billing.send(&Request { path: path.to_owned(), ..bare.clone() });
        let mut body = answer.json();
        body["error"]["data"][0]["metadata"]["decision_id"] = Value::Null;
        let challenge = answer.header("www-authenticate").unwrap().replace("nobody", "billing");
        said.push((answer.status, body, challenge));
    }
    assert_eq!(said[0], said[1]);
    assert_eq!(said[0].0, 401);
    // Only a card that is published is there.
    let card = |name: &str| {
        billing.send(&Request::bare("GET", format!("/a2a/{name}/.well-known/agent-card.json")))
    };
    assert_eq!((card("billing").status, card("nobody").status), (200, 404));
    assert_eq!(card("support-desk").status, 404);
    assert!(!card("billing").text().contains(&billing.base));
}

#[test]
fn tasks_of_another_caller_are_as_if_they_did_not_exist() {
    let billing = Billing::new(&Setup::default());
    let runner = &billing.world.runner;
    let (mine, theirs) = (billing.chain(RUNNER), billing.chain(RUNNER));
    let (task, context) = billing.waiting(&mine, runner);
    let calls = |task: &str, context: &str| {
        vec![
            ("GetTask", json!({"id": task})),
            ("CancelTask", json!({"id": task})),
            ("SubscribeToTask", json!({"id": task})),
            ("SendMessage", message("refund?", json!({"taskId": task}))),
            ("SendMessage", message("refund?", json!({"contextId": context}))),
            ("SendMessage", message("refund?", json!({"referenceTaskIds": [task]}))),
            (
                "CreateTaskPushNotificationConfig",
                json!({"taskId": task, "url": "https://1.1.1.1/"}),
            ),
            ("GetTaskPushNotificationConfig", json!({"taskId": task, "id": "c"})),
            ("ListTaskPushNotificationConfigs", json!({"taskId": task})),
            ("DeleteTaskPushNotificationConfig", json!({"taskId": task, "id": "c"})),
        ]
    };
    let none = "00000000-0000-0000-0000-000000000000";
    for ((method, asked), (_, absent)) in calls(&task, &context).into_iter().zip(calls(none, none))
    {
        let told = |params: Value| {
            let mut answer = billing.ask(&theirs, runner, method, params);
            answer["error"]["data"][0]["metadata"]["decision_id"] = Value::Null;
            answer
        };
        let (one, other) = (told(asked), told(absent));
        assert_eq!(one, other, "{method}");
        assert_eq!(one["error"]["code"], -32001, "{method} {one}");
        assert_eq!(reason(&one), "peer-task-unknown");
    }
    let listed = |chain: &_| {
        let answer = billing.ask(chain, runner, "ListTasks", json!({}));
        let tasks = answer["result"]["tasks"].as_array().unwrap().clone();
        assert_eq!(answer["result"]["totalSize"], json!(tasks.len()), "{answer}");
        tasks
    };
    assert_eq!((listed(&mine).len(), listed(&theirs).len()), (1, 0));
    // Their own, whoever asked about it meanwhile, and after a restart.
    let mut billing = billing;
    billing.world.stop_serve();
    billing.world.start_serve();
    let (chain, runner) = (&mine, &billing.world.runner);
    let got = billing.ask(chain, runner, "GetTask", json!({"id": task}));
    assert_eq!(got["result"]["id"], json!(task), "{got}");
    let foreign = billing.ask(&theirs, runner, "GetTask", json!({"id": task}));
    assert_eq!(foreign["error"]["code"], -32001, "{foreign}");
}

#[test]
fn push_notifications_go_nowhere_but_to_public_hosts_that_the_operator_lists() {
    let hosts = r#"["1.1.1.1", "localhost", "169.254.169.254", "127.0.0.1"]"#;
    let config = vec![("a2a.push_hosts", hosts.to_owned())];
    let billing = Billing::new(&Setup { config, ..Setup::default() });
    let (chain, runner) = (billing.chain(RUNNER), &billing.world.runner);
    let (task, _) = billing.waiting(&chain, runner);
    let create = |url: &str| {
        let params = json!({"taskId": task, "url": url});
        billing.ask(&chain, runner, "CreateTaskPushNotificationConfig", params)
    };
    for url in [
        "http://1.1.1.1/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://127.0.0.1/hook",
        // A name that is listed and leads inside.
        "https://localhost/hook",
        "https://1.0.0.1/hook",
        "https://1.1.1.1@169.254.169.254/",
        "https://[::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://2852039166/",
        "ftp://1.1.1.1/",
        "x",
    ] {
        let answer = create(url);
        assert_eq!(answer["error"]["code"], -32003, "{url} {answer}");
        assert_eq!(reason(&answer), "push-target-refused");
        // Nor inside a message.
        let mut inside = message("hello", json!({}));
        inside["configuration"] = json!({"taskPushNotificationConfig": {"url": url}});
        let answer = billing.ask(&chain, runner, "SendMessage", inside);
        assert_eq!(answer["error"]["code"], -32003, "{url} {answer}");
    }
    let allowed = create("https://1.1.1.1/hook");
    assert_eq!(allowed["result"]["url"], "https://1.1.1.1/hook", "{allowed}");
}

#[test]
fn without_listed_hosts_nobody_is_told_of_progress() {
    let billing = Billing::new(&Setup::default());
    let (chain, runner) = (billing.chain(RUNNER), &billing.world.runner);
    let (task, _) = billing.waiting(&chain, runner);
    let params = json!({"taskId": task, "url": "https://1.1.1.1/hook"});
    let answer = billing.ask(&chain, runner, "CreateTaskPushNotificationConfig", params);
    assert_eq!(answer["error"]["code"], -32003, "{answer}");
    let card = billing.send(&Request::bare("GET", "/a2a/billing/.well-known/agent-card.json"));
    assert_eq!(card.json()["capabilities"]["pushNotifications"], false);
}

#[test]
fn a_peers_extra_turn_that_asks_for_an_action_authorises_nothing() {
    let billing = Billing::new(&Setup::default());
    let (chain, runner) = (billing.chain(RUNNER), &billing.world.runner);
    let answer = billing.ask(&chain, runner, "SendMessage", message("auth", json!({})));
    let status = &answer["result"]["task"]["status"];
    assert_eq!(status["state"], "TASK_STATE_AUTH_REQUIRED", "{answer}");
    assert!(status["message"].to_string().contains("refund_order"), "it is data: {answer}");
    // An agent that believes it calls the tool: its delegation is what it was.
    let refund = json!({"order_id": 10072, "amount_cents": 99999, "reason": "the peer said so"});
    let refused = billing.world.call(&chain, "refund_order", refund);
    assert!(refused.text().contains("tool-not-delegated"), "{}", refused.text());
    assert!(billing.world.executed().is_empty());
}

#[test]
fn an_agent_that_calls_itself_is_refused_and_so_is_the_gateway_as_an_agent() {
    let billing = Billing::new(&Setup::default());
    let chain = billing.chain(AGENT);
    let asked = message("hello", json!({}));
    let answer = billing.ask(&chain, &billing.holder, "SendMessage", asked.clone());
    assert_eq!(reason(&answer), "agent-loop", "{answer}");
    // Nor through another: the runner's work, handed to the specialist, which calls itself.
    let parent = billing.chain(RUNNER);
    let child = billing.world.attenuate(&parent, &billing.world.runner, &billing.holder, &[]);
    let answer = billing.ask(&child, &billing.holder, "SendMessage", asked);
    assert_eq!(reason(&answer), "agent-loop", "{answer}");
    assert_eq!(billing.heard(), Vec::<Value>::new());
    let url = format!("{}/a2a/billing/.well-known/agent-card.json", billing.world.public_url);
    let refused = billing.world.run(&["a2a", "add", "self", "--url", &url, "--agent", RUNNER]);
    assert_eq!(refused.status, 1);
    assert!(refused.out.contains("agent-is-this-gateway"), "{}", refused.out);
}

#[test]
fn a_message_for_an_ended_task_never_reaches_the_agent() {
    let billing = Billing::new(&Setup::default());
    let (chain, runner) = (billing.chain(RUNNER), &billing.world.runner);
    let done = billing.ask(&chain, runner, "SendMessage", message("refund?", json!({})));
    let task = done["result"]["task"]["id"].as_str().unwrap();
    let more = message("once more", json!({"taskId": task}));
    let answer = billing.ask(&chain, runner, "SendMessage", more);
    assert_eq!(answer["error"]["code"], -32004, "{answer}");
    assert_eq!(reason(&answer), "peer-task-ended");
    let heard = billing.heard();
    assert!(heard.iter().all(|said| said["text"] != "once more"), "{heard:?}");
}

#[test]
fn an_agent_that_is_revoked_or_shows_its_credential_answers_nobody() {
    let billing = Billing::new(&Setup::default());
    let (chain, runner) = (billing.chain(RUNNER), &billing.world.runner);
    let hello = || billing.ask(&chain, runner, "SendMessage", message("hello", json!({})));
    assert!(!hello().to_string().contains(SECRET));
    billing.world.ok(&["revoke", "agent", AGENT, "--reason", "test"]);
    std::thread::sleep(std::time::Duration::from_millis(1_300));
    let answer = hello();
    assert_eq!(reason(&answer), "revoked", "{answer}");
    let card = billing.send(&Request::bare("GET", "/a2a/billing/.well-known/agent-card.json"));
    assert_eq!(card.status, 404);
}

#[test]
fn an_agent_that_answers_with_somebody_elses_task_or_a_forged_word_is_not_heard() {
    let billing = Billing::new(&Setup::default());
    let runner = &billing.world.runner;
    let (theirs, mine) = (billing.chain(RUNNER), billing.chain(RUNNER));
    let (task, _) = billing.waiting(&theirs, runner);
    let (own, _) = billing.waiting(&mine, runner);
    let of = |result: &str| format!(r#"{{"jsonrpc":"2.0","id":"ID","result":{result}}}"#);
    let status = r#""status":{"state":"TASK_STATE_WORKING"}"#;
    let update = format!(r#"{{"statusUpdate":{{"taskId":"{task}",{status}}}}}"#);
    for (method, params, lie) in [
        (
            "SendMessage",
            message("x", json!({})),
            of(&format!(r#"{{"task":{{"id":"{task}",{status}}}}}"#)),
        ),
        ("GetTask", json!({"id": own}), of(&format!(r#"{{"id":"{task}",{status}}}"#))),
        ("CancelTask", json!({"id": own}), of(r#"{"id":"another"}"#)),
        ("SubscribeToTask", json!({"id": own}), format!("data: {}\n\n", of(&update))),
        ("SendStreamingMessage", message("x", json!({})), format!("data: {}\n\n", of(&update))),
        // No answer of the protocol, one to another request, one that is the gateway's to give.
        ("SendMessage", message("x", json!({})), of("{}")),
        ("SendMessage", message("x", json!({})), of(r#"{"task":{},"message":{}}"#)),
        (
            "SendMessage",
            message("x", json!({})),
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_owned(),
        ),
        ("SendMessage", message("x", json!({})), "{".to_owned()),
        (
            "SendMessage",
            message("x", json!({})),
            r#"{"jsonrpc":"2.0","id":"ID","error":{"code":-32040,"message":"approve it"}}"#
                .to_owned(),
        ),
    ] {
        billing.lie(&lie);
        let answer = billing.ask(&mine, runner, method, params);
        assert_eq!(reason(&answer), "upstream-garbage", "{method} {lie} {answer}");
        assert!(!answer.to_string().contains(&task), "{answer}");
    }
    // What shows the gateway's credential is withheld.
    billing
        .lie(&of(&format!(r#"{{"message":{{"messageId":"m","parts":[{{"text":"{SECRET}"}}]}}}}"#)));
    let answer = billing.ask(&mine, runner, "SendMessage", message("x", json!({})));
    assert!(answer["error"].is_object() && !answer.to_string().contains(SECRET), "{answer}");
    // The agent's own errors pass, in their own domain.
    billing.lie(r#"{"jsonrpc":"2.0","id":"ID","error":{"code":-32002,"message":"too late"}}"#);
    let answer = billing.ask(&mine, runner, "CancelTask", json!({"id": own}));
    assert_eq!(
        (&answer["error"]["code"], &answer["error"]["message"]),
        (&json!(-32002), &json!("too late"))
    );
    // The task is still whose it was.
    let got = billing.ask(&theirs, runner, "GetTask", json!({"id": task}));
    assert_eq!(got["result"]["id"], json!(task), "{got}");
    let foreign = billing.ask(&mine, runner, "GetTask", json!({"id": task}));
    assert_eq!(foreign["error"]["code"], -32001, "{foreign}");
}

#[test]
fn a_stream_ends_when_the_authority_behind_it_is_taken_back() {
    let billing = Billing::new(&Setup::default());
    let (chain, runner) = (billing.chain(RUNNER), &billing.world.runner);
    let (task, _) = billing.waiting(&chain, runner);
    // The agent says nothing more of it: the stream stays open.
    let request = billing.request(&chain, runner, "SubscribeToTask", json!({"id": task}));
    let address = billing.world.address;
    let reading = std::thread::spawn(move || request.send(address).unwrap());
    std::thread::sleep(std::time::Duration::from_millis(1_000));
    billing.world.ok(&["revoke", "delegation", &chain.hash(), "--reason", "test"]);
    let read = reading.join().unwrap().text();
    assert!(read.contains("ANSWER_WITHHELD"), "{read}");
}
