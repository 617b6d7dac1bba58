//! The desk as its callers see it: real server, real client, loopback, both protocol eras.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::time::Duration;

use bailiwick_demo::{
    agent::{AgentError, Connection, DirectCaller, Era, Outcome},
    desk::{
        self, CUSTOMER_OF_TICKET_8821, ORDER_OF_TICKET_8821, Quirk, REFUND_POLICY_URI,
        REPLY_PROMPT, orders_of,
    },
};
use serde_json::{Value, json};
use support::{CREDENTIAL, arguments, desk, desk_with, ticket, to_desk};

#[tokio::test]
async fn every_kind_of_call_works_in_both_eras_and_is_logged_as_it_came() {
    for era in Era::ALL {
        let desk = desk().await;
        let client = to_desk(&desk, era).connect().await.unwrap();
        assert_eq!(client.protocol_version().as_deref(), Some(era.version()));

        let names: Vec<_> = client
            .list_tools()
            .await
            .unwrap()
            .into_iter()
            .map(|tool| tool.name.into_owned())
            .collect();
        let expected = [
            "add_note",
            "get_order",
            "get_ticket",
            "list_orders",
            "refund_order",
            "search_customers",
            "slow_report",
        ];
        assert_eq!(names, expected);
        assert_eq!(client.list_resources().await.unwrap()[0].uri, REFUND_POLICY_URI);
        assert_eq!(client.list_prompts().await.unwrap()[0].name, REPLY_PROMPT);

        let result = client.call_tool("get_ticket", ticket(8821)).await.allowed().unwrap();
        let value = result.structured_content.unwrap();
        assert_eq!(value["customer_id"], CUSTOMER_OF_TICKET_8821);
        assert_eq!(value["order_id"], ORDER_OF_TICKET_8821);

        let customer = arguments(json!({"customer_id": CUSTOMER_OF_TICKET_8821}));
        let result = client.call_tool("list_orders", customer).await.allowed().unwrap();
        let orders = result.structured_content.unwrap();
        let ids: Vec<_> = orders["orders"]
            .as_array()
            .unwrap()
            .iter()
            .map(|order| order["order_id"].as_i64().unwrap())
            .collect();
        assert_eq!(ids, orders_of(CUSTOMER_OF_TICKET_8821));

        assert!(client.read_resource(REFUND_POLICY_URI).await.allowed().is_some());
        let ticket_id = arguments(json!({"ticket_id": "8821"}));
        assert!(client.get_prompt(REPLY_PROMPT, ticket_id).await.allowed().is_some());
        client.close().await;

        let log = desk.desk.call_log().unwrap();
        let tools: Vec<_> = log.iter().map(|call| call.tool.as_str()).collect();
        assert_eq!(
            tools,
            ["get_ticket", "list_orders", "resources/read", "prompts/reply_to_ticket"]
        );
        assert_eq!(log[0].arguments, r#"{"ticket_id":8821}"#);
        assert!(log.iter().all(|call| call.protocol == era.version() && call.outcome.as_deref() == Some("ok")));
        assert!(log.iter().all(|call| call.time.ends_with('Z') && call.time.len() == 24));
        assert_eq!(desk::read_call_log(&desk.dir.path().join("desk.db")).unwrap(), log);
    }
}

#[tokio::test]
async fn writing_tools_write_and_the_tool_s_own_no_is_told_from_a_bad_request() {
    let desk = desk().await;
    let client = to_desk(&desk, Era::Stateless).connect().await.unwrap();
    let note = arguments(json!({"ticket_id": 8821, "text": "called back"}));
    assert!(client.call_tool("add_note", note).await.allowed().is_some());
    let read = client.call_tool("get_ticket", ticket(8821)).await.allowed().unwrap();
    assert_eq!(read.structured_content.unwrap()["notes"], json!(["called back"]));
    let refund = |cents: Value| {
        arguments(
            json!({"order_id": ORDER_OF_TICKET_8821, "amount_cents": cents, "reason": "damaged"}),
        )
    };
    assert!(client.call_tool("refund_order", refund(json!(100))).await.allowed().is_some());
    assert!(matches!(
        client.call_tool("refund_order", refund(json!(9_999_999))).await,
        Outcome::ToolError(_)
    ));
    assert!(matches!(client.call_tool("get_ticket", ticket(1)).await, Outcome::ToolError(_)));
    let found = client
        .call_tool("search_customers", arguments(json!({"query": "@customers.example"})))
        .await;
    assert_eq!(
        found.allowed().unwrap().structured_content.unwrap()["customers"].as_array().unwrap().len(),
        20
    );

    let logged = desk.desk.call_log().unwrap().len();
    for bad in [
        ("get_ticket", json!({"ticket_id": "8821"})),
        ("get_ticket", json!({"ticket_id": 8821, "also": 9000})),
        ("get_ticket", json!({})),
        ("refund_order", json!({"order_id": 1, "amount_cents": -5, "reason": "x"})),
        ("refund_order", json!({"order_id": 1, "amount_cents": 1.5, "reason": "x"})),
        ("add_note", json!({"ticket_id": 8821, "text": ""})),
        ("slow_report", json!({"seconds": 601})),
        ("drop_tables", json!({})),
    ] {
        let outcome = client.call_tool(bad.0, arguments(bad.1.clone())).await;
        assert!(matches!(outcome, Outcome::RpcError { code: -32602, .. }), "{bad:?}: {outcome:?}");
    }
    assert_eq!(desk.desk.call_log().unwrap().len(), logged, "what is refused was not executed");
}

#[tokio::test]
async fn without_the_credential_nothing_is_served_and_the_refusal_is_logged() {
    let desk = desk().await;
    for era in Era::ALL {
        for bearer in
            [None, Some("another-credential-987654"), Some(&CREDENTIAL[..CREDENTIAL.len() - 1])]
        {
            let mut connection = Connection::new(desk.desk.url(), "desk", era);
            if let Some(bearer) = bearer {
                connection = connection.with_bearer(bearer);
            }
            let error = connection.connect().await.err().unwrap();
            assert!(
                matches!(&error, AgentError::Denied(denial) if denial.code == "not-authenticated"),
                "{error}"
            );
        }
    }
    let around = DirectCaller::new(desk.desk.url())
        .unwrap()
        .call_tool("get_ticket", &ticket(8821), None)
        .await;
    assert_eq!(around.denied().unwrap().code, "not-authenticated");
    assert!(desk.desk.call_log().unwrap().is_empty());
    let reasons: Vec<_> =
        desk.desk.refusals().unwrap().into_iter().map(|refusal| refusal.reason).collect();
    assert_eq!(reasons, ["missing", "wrong", "wrong", "missing", "wrong", "wrong", "missing"]);
    assert_eq!(desk::read_refusals(&desk.dir.path().join("desk.db")).unwrap().len(), 7);
}

#[tokio::test]
async fn a_refusal_is_a_401_with_a_challenge_and_no_hint() {
    let desk = desk().await;
    let response =
        reqwest::Client::new().post(desk.desk.url()).bearer_auth("wrong").send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(response.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer "));
    assert_eq!(response.text().await.unwrap(), "unauthorized\n");
}

#[tokio::test]
async fn a_slow_call_is_in_the_log_before_it_ends() {
    let desk = desk().await;
    let client = to_desk(&desk, Era::Stateless).connect().await.unwrap();
    let call = tokio::spawn(async move {
        client.call_tool("slow_report", arguments(json!({"seconds": 1}))).await
    });
    let running = async {
        loop {
            if let [call] = &desk.desk.call_log().unwrap()[..] {
                return call.clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let seen = tokio::time::timeout(Duration::from_millis(900), running).await.unwrap();
    assert_eq!((seen.tool.as_str(), seen.outcome), ("slow_report", None));
    assert!(call.await.unwrap().allowed().is_some());
    assert_eq!(desk.desk.call_log().unwrap()[0].outcome.as_deref(), Some("ok"));
}

#[tokio::test]
async fn a_tool_definition_changes_while_the_desk_runs() {
    let desk = desk().await;
    let client = to_desk(&desk, Era::Sessions).connect().await.unwrap();
    let before = client.list_tools().await.unwrap();
    desk.desk.set_quirk("changed-description".parse().unwrap());
    let after = client.list_tools().await.unwrap();
    assert_ne!(before, after);
    desk.desk.set_quirk(Quirk::None);
    assert_eq!(client.list_tools().await.unwrap(), before);
}

#[tokio::test]
async fn garbage_and_huge_answers_reach_the_client_as_transport_errors_after_the_call_was_executed()
{
    for era in Era::ALL {
        let desk = desk().await;
        let client =
            to_desk(&desk, era).with_timeout(Duration::from_secs(20)).connect().await.unwrap();
        for (at, quirk) in ["garbage-answer", "huge-answer"].into_iter().enumerate() {
            desk.desk.set_quirk(quirk.parse().unwrap());
            let outcome = client.call_tool("get_ticket", ticket(8821)).await;
            assert!(
                matches!(&outcome, Outcome::Transport { reason } if !reason.contains("timed out")),
                "{outcome:?}"
            );
            let log = desk.desk.call_log().unwrap();
            assert_eq!(
                (log.len(), log[at].outcome.as_deref()),
                (at + 1, Some("ok")),
                "{era:?} {quirk}"
            );
        }
        desk.desk.set_quirk(Quirk::None);
        assert!(client.call_tool("get_ticket", ticket(8821)).await.allowed().is_some());
    }
    assert!("sudden-silence".parse::<Quirk>().is_err());
}

#[tokio::test]
async fn the_desk_answers_stateless_calls_as_event_streams_when_asked_to() {
    let desk = desk_with(|config| config.json_response = false).await;
    let client = to_desk(&desk, Era::Stateless).connect().await.unwrap();
    assert!(client.call_tool("get_ticket", ticket(8821)).await.allowed().is_some());
}

#[tokio::test]
async fn shutting_down_ends_open_sessions_and_frees_the_port_and_the_data_stay() {
    let desk = desk().await;
    let client = to_desk(&desk, Era::Sessions).connect().await.unwrap();
    let note = arguments(json!({"ticket_id": 9000, "text": "kept"}));
    assert!(client.call_tool("add_note", note).await.allowed().is_some());
    let port = desk.desk.addr().port();
    let dir = desk.dir;
    tokio::time::timeout(Duration::from_secs(3), desk.desk.shutdown())
        .await
        .expect("drains at once");
    let mut config =
        desk::DeskConfig::new(dir.path().join("desk.db"), dir.path().join("desk.credential"));
    config.port = port;
    let again = support::TestDesk { desk: desk::serve(config).await.unwrap(), dir };
    let client = to_desk(&again, Era::Stateless).connect().await.unwrap();
    let read = client.call_tool("get_ticket", ticket(9000)).await.allowed().unwrap();
    assert_eq!(read.structured_content.unwrap()["notes"], json!(["kept"]));
}

#[tokio::test]
async fn a_call_does_not_wait_for_delayed_acknowledgements() {
    let desk = desk().await;
    for era in Era::ALL {
        let client = to_desk(&desk, era).connect().await.unwrap();
        let mut fastest = Duration::MAX;
        for _ in 0..10 {
            let start = std::time::Instant::now();
            assert!(client.call_tool("get_ticket", ticket(8821)).await.allowed().is_some());
            fastest = fastest.min(start.elapsed());
        }
        assert!(fastest < Duration::from_millis(30), "{era:?}: {fastest:?}");
    }
}
