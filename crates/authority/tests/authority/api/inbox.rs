//! The inbox over the API: who sees which calls, how they are found, and who
//! reads the figures.

use std::collections::BTreeSet;

use super::*;
use bailiwick_authority::Due;
use bailiwick_authority::webhooks::{Event as Told, Secret as Signing};
use bailiwick_core::ids::{
    ApprovalId, EntryId, InstanceId, ServerName, TaskId, ToolId, WorkflowId,
};
use bailiwick_core::json::Object;
use bailiwick_core::ledger::{Event, Kind, Subjects};
use bailiwick_store::{Approval, ApprovalState, Row, Said, StoreError, Verdict};

use crate::support::{WORKFLOW, World, installation};

/// A call that waits.
fn held(world: &World, seed: u8, of: &str, tool: &str, risk: &str) -> Approval {
    let (store, now) = (world.authority.store(), world.now());
    let workflow = WorkflowId::parse("support-tickets").unwrap();
    let version = store.read(|view| view.workflow(&workflow)).unwrap().unwrap().row.digest;
    Approval {
        id: ApprovalId::mint(now, [seed; 10]),
        state: ApprovalState::Pending,
        action: sha256(b"action"),
        policy: sha256(b"policy"),
        rule: "policy:ask-first".into(),
        risk: risk.into(),
        server: ServerName::parse("support-desk").unwrap(),
        tool: ToolId::parse(tool).unwrap(),
        principal: world.authority.principal(&principal(of)).unwrap().row.alias,
        agent: agent("agent:support-runner"),
        instance: Some(InstanceId::mint(now, [5; 10])),
        workflow,
        workflow_digest: version,
        task: TaskId::mint(now, [seed; 10]),
        root: sha256(b"root"),
        leaf: sha256(b"leaf"),
        needed: 1,
        asked: now,
        expires: now.plus_seconds(600),
        settled: None,
    }
}

/// An entry about it with its row, as a gateway or an authority writes it.
fn record(world: &World, kind: Kind, seed: u8, about: &ApprovalId, row: Row) {
    let now = world.now();
    let decision = (kind == Kind::ActionDecided).then(|| "approval_required".to_owned());
    let event = Event {
        id: EntryId::mint(now, [seed; 10]),
        org: installation().org,
        time: now,
        kind,
        subjects: Subjects { decision, ..Subjects::default() },
        body: Object::new().with("approval", about),
        disclosures: Vec::new(),
    };
    let maker = installation().makers[1].id.clone();
    let done = world.authority.store().write(move |tx| -> Result<(), StoreError> {
        tx.record(&maker, &*key(3), event, &row).map(drop)
    });
    done.wait().unwrap();
}

/// A call that waits from now on.
pub(crate) fn waits(world: &World, seed: u8, of: &str, tool: &str, risk: &str) -> String {
    let held = held(world, seed, of, tool, risk);
    let id = held.id.clone();
    record(world, Kind::ActionDecided, seed, &id, Row::Approval(Box::new(held)));
    id.to_string()
}

const GET: &str = "mcp:support-desk:tools/get_ticket";
const REFUND: &str = "mcp:support-desk:tools/refund_order";

#[test]
fn one_sees_ones_own_calls_those_one_decides_and_with_a_role_all() {
    let served = Served::start();
    let a = &served.world.authority;
    // Who answers for the workflow has no role.
    a.workflow_publish(&WORKFLOW.replace("owner: user:owner", "owner: user:143")).unwrap();
    let first = waits(&served.world, 1, "user:142", GET, "low");
    let second = waits(&served.world, 2, "user:143", REFUND, "high");
    let (me, named) = (served.log_in("user:142", 80), served.log_in("user:143", 81));
    let owner = served.log_in("user:owner", 82);
    let found = |who: &Program, query: &str| -> Vec<String> {
        let answer = served.get(who, &format!("/api/v1/approvals{query}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let all = answer.json()["approvals"].as_array().unwrap().clone();
        all.iter().map(|call| call["approval"].as_str().unwrap().to_owned()).collect()
    };
    let both = [first.clone(), second.clone()];
    assert_eq!(found(&me, ""), std::slice::from_ref(&first));
    assert_eq!(found(&named, ""), both, "the workflow's owner decides on both");
    assert_eq!(found(&owner, ""), both, "an owner reads everything");
    // A later version that names somebody else changes nothing about those that wait.
    a.workflow_publish(&WORKFLOW.replace("version: \"1\"", "version: \"2\"")).unwrap();
    assert_eq!(found(&named, ""), both);
    // Searching finds nothing that one does not see.
    for query in ["?search=refund", "?risk=high", "?all=true&search=refund"] {
        assert!(found(&me, query).is_empty(), "{query}");
        assert_eq!(found(&named, query), std::slice::from_ref(&second), "{query}");
    }
    let seen = served.get(&me, &format!("/api/v1/approvals/{second}"));
    assert_eq!(refused(&seen), (404, "unknown-name".to_owned()));

    // In parts, and what is malformed is told.
    let part = served.get(&named, "/api/v1/approvals?limit=1").json();
    let next = part["next"].as_str().unwrap().to_owned();
    let rest = found(&named, &format!("?limit=1&after={next}"));
    assert_eq!(rest, std::slice::from_ref(&second));
    for query in ["?limit=0", "?limit=201", "?after=x", "?risk=huge", "?all=1", "?agent=a&agent=b"]
    {
        let answer = served.get(&named, &format!("/api/v1/approvals{query}"));
        assert_eq!(refused(&answer), (400, "request-malformed".to_owned()), "{query}");
    }
}

#[test]
fn figures_about_people_are_for_those_who_read_everything() {
    let served = Served::start();
    let (me, owner) = (served.log_in("user:142", 80), served.log_in("user:owner", 81));
    waits(&served.world, 1, "user:142", GET, "low");
    let path = "/api/v1/approvals/metrics";
    assert_eq!(refused(&served.get(&me, path)), (403, "role-missing".to_owned()));
    let figures = served.get(&owner, path).json();
    assert_eq!((&figures["asked"], &figures["over"]), (&json!(1), &json!(0)), "{figures}");
    assert_eq!(figures["expired_share"], Value::Null);
    served.world.host.advance(601_000);
    let figures = served.get(&owner, &format!("{path}?hours=1")).json();
    assert_eq!(figures["expired_share"], "1.0000", "{figures}");
    for bad in ["?hours=0", "?hours=2209", "?hours=x"] {
        let answer = served.get(&owner, &format!("{path}{bad}"));
        assert_eq!(refused(&answer), (400, "request-malformed".to_owned()), "{bad}");
    }
}

#[test]
fn what_comes_with_a_denial_comes_with_no_approval() {
    let served = Served::start();
    let me = served.log_in("user:142", 80);
    let id = waits(&served.world, 1, "user:142", GET, "low");
    let path = format!("/api/v1/approvals/{id}/verdicts");
    for more in [json!({"revoke": true}), json!({"suggestion": {"ticket_id": 1}})] {
        let mut body = json!({"verdict": "approve", "signed": "x"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = served.post(&me, &path, &body);
        assert_eq!(refused(&answer), (400, "request-malformed".to_owned()), "{body}");
    }
    let odd = json!({"verdict": "deny", "signed": "x", "revoke": "yes"});
    assert_eq!(refused(&served.post(&me, &path, &odd)).0, 400);
}

#[test]
fn a_webhook_hears_of_the_question_and_of_what_settled_it_once() {
    let served = Served::start();
    let a = &served.world.authority;
    let secrets = [Signing::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()];
    let told = |name: &str, events: &BTreeSet<Told>| -> Vec<String> {
        a.webhook_look(name, events).unwrap();
        let due = a.webhook_due(name, &secrets).unwrap();
        let of = |due: &Due| {
            let body: Value = serde_json::from_str(&due.message.body).unwrap();
            body["type"].as_str().unwrap().to_owned()
        };
        let all = due.iter().map(of).collect();
        a.webhook_sent(name, due.into_iter().map(|due| (due, Ok(()))).collect()).unwrap();
        all
    };
    let both: BTreeSet<Told> = Told::ALL.into();
    let settled = [Told::ApprovalSettled].into();
    waits(&served.world, 1, "user:142", GET, "low");
    assert!(told("chat", &both).is_empty(), "what was before is not told");
    assert!(told("pager", &settled).is_empty());

    // Two must agree: the first settles nothing.
    let question = Approval { needed: 2, ..held(&served.world, 2, "user:142", REFUND, "high") };
    let row = Row::Approval(Box::new(question.clone()));
    record(&served.world, Kind::ActionDecided, 2, &question.id, row);
    assert_eq!(told("chat", &both), ["approval.requested"]);
    for (seed, name) in [(3, "user:143"), (4, "user:owner")] {
        served.world.host.advance(1_000);
        let verdict = Verdict {
            approval: question.id.clone(),
            approver: a.principal(&principal(name)).unwrap().row.alias,
            verdict: Said::Approve,
            grade: "key".into(),
            credential: "credential".into(),
            signed: "signed".into(),
            said: served.now(),
        };
        record(&served.world, Kind::ApprovalDecided, seed, &question.id, Row::Verdict(verdict));
        let expected: &[&str] = if name == "user:owner" { &["approval.settled"] } else { &[] };
        assert_eq!(told("chat", &both), expected, "{name}");
    }
    // That it becomes void later is no news; that an open question does, is.
    let void = |approval: &ApprovalId| Row::ApprovalState {
        approval: approval.clone(),
        state: ApprovalState::Void,
    };
    record(&served.world, Kind::ApprovalVoided, 5, &question.id, void(&question.id));
    assert!(told("chat", &both).is_empty());
    let open = held(&served.world, 6, "user:142", GET, "low");
    record(&served.world, Kind::ActionDecided, 6, &open.id, Row::Approval(Box::new(open.clone())));
    record(&served.world, Kind::ApprovalVoided, 7, &open.id, void(&open.id));
    assert_eq!(told("chat", &both).len(), 2);
    assert_eq!(told("pager", &settled), ["approval.settled"; 2], "only what it asked for");
}
