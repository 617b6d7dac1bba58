use bailiwick_core::crypto::{Signer as _, SigningKey};
use bailiwick_core::limits::JsonLimits;

use super::*;
use crate::samples::recheck;

const AT: i64 = 1_700_000_000;

fn now() -> Timestamp {
    Timestamp::from_seconds(AT)
}

fn object(text: &str) -> Object {
    let json = Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap();
    json.as_object().unwrap().clone()
}

fn own(key: u8, root: u8) -> Own {
    let owner = Owner {
        server: ServerName::parse("d").unwrap(),
        key: SigningKey::from_seed(&[key; 32]).unwrap().public_key().thumbprint(),
        root: Digest::from_array([root; 32]),
    };
    Own::new(owner, None)
}

/// Starts a task of this key under the id that the tool server gave.
fn start(tasks: &Tasks, own: &Own, era: Era, id: &str) -> Option<Arc<Task>> {
    let allowance = Allowance { ttl_ms: 60_000, seat: tasks.seat(own.owner.key)? };
    tasks.open(Started {
        handle: Handle { id: id.to_owned(), ttl_ms: None },
        allowance,
        era,
        own: own.clone(),
        recheck: recheck(),
        decided: EntryId::mint(now(), [1; 10]),
        action_digest: None,
        subjects: Subjects::default(),
        started_at: now(),
        until: now().plus_seconds(900),
        listed: BTreeSet::from([Question::Elicitation]),
    })
}

fn outcome(finished: Option<Finished>) -> Option<(Outcome, bool, usize)> {
    finished.map(|f| (f.outcome, f.result.is_some(), f.answers.len()))
}

#[test]
fn a_task_is_found_by_its_own_delegation_until_its_time_is_over() {
    let tasks = Tasks::new((8, 8));
    let mine = own(1, 1);
    let task = start(&tasks, &mine, Era::Stateless, "t").unwrap();
    assert!(Arc::ptr_eq(&tasks.find(&mine, "t", now()).unwrap(), &task));
    for other in [own(1, 2), own(2, 1)] {
        assert!(tasks.find(&other, "t", now()).is_none());
    }
    assert!(tasks.find(&mine, "T", now()).is_none() && tasks.find(&mine, "", now()).is_none());
    assert!(tasks.find(&mine, "t", now().plus_seconds(59)).is_some());
    assert!(tasks.find(&mine, "t", now().plus_seconds(60)).is_none());
    // The same id again would be two calls under one name.
    assert!(start(&tasks, &own(2, 2), Era::Stateless, "t").is_none());
    assert_eq!(tasks.take_over(|_| true).len(), 1);
    assert!(start(&tasks, &own(2, 2), Era::Stateless, "t").is_some());
}

#[test]
fn there_is_room_for_so_many_and_one_on_record_gives_way() {
    let tasks = Tasks::new((3, 2));
    let (mine, other) = (own(1, 1), own(2, 1));
    let first = start(&tasks, &mine, Era::Sessions, "1").unwrap();
    assert!(start(&tasks, &mine, Era::Sessions, "2").is_some());
    assert!(start(&tasks, &mine, Era::Sessions, "3").is_none(), "its own bound");
    assert!(start(&tasks, &other, Era::Sessions, "4").is_some());
    assert!(start(&tasks, &other, Era::Sessions, "5").is_none(), "the bound of all");
    let answer = object(r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#);
    assert!(first.ended(&answer, 1, now()).is_some());
    drop(first);
    assert!(start(&tasks, &mine, Era::Sessions, "6").is_some());
    assert!(tasks.find(&mine, "1", now()).is_none() && tasks.find(&mine, "2", now()).is_some());
    drop(tasks.take_over(|_| true));
    assert!(start(&tasks, &other, Era::Sessions, "7").is_some());
}

#[test]
fn the_outcome_is_seen_where_the_era_says_it_and_once() {
    let tasks = Tasks::new((99, 99));
    let saw = |era, id: &str, said: &[&str]| {
        let task = start(&tasks, &own(1, 1), era, id).unwrap();
        let seen: Vec<_> =
            said.iter().map(|said| outcome(task.saw(&object(said), 1, now()).unwrap())).collect();
        (task, seen)
    };
    let ok = Some((Outcome::Ok, true, 0));
    let error = Some((Outcome::Error, true, 0));
    let unknown = Some((Outcome::Unknown, false, 0));
    // 2026-07-28: with the status.
    let completed =
        r#"{"resultType":"complete","taskId":"a","status":"completed","result":{"content":[]}}"#;
    let working = r#"{"resultType":"complete","taskId":"a","status":"working"}"#;
    let (task, seen) = saw(Era::Stateless, "a", &[working, completed, completed, working]);
    assert_eq!(seen, [None, ok, None, None]);
    assert_eq!(outcome(task.lapsed(now()).0), None);
    assert!(!task.lapsed(now()).1, "it is not at work any more");
    let failed = r#"{"taskId":"b","status":"failed","error":{"code":-32603,"message":"x"}}"#;
    assert_eq!(saw(Era::Stateless, "b", &[failed]).1, [error]);
    let erring = r#"{"taskId":"c","status":"completed","result":{"isError":true}}"#;
    assert_eq!(saw(Era::Stateless, "c", &[erring]).1, [error]);
    let cancelled = r#"{"taskId":"d","status":"cancelled"}"#;
    assert_eq!(saw(Era::Stateless, "d", &[cancelled]).1, [unknown]);
    // 2025-11-25: the result comes apart from the status, or never.
    let done = r#"{"taskId":"e","status":"completed"}"#;
    let (task, seen) = saw(Era::Sessions, "e", &[done]);
    assert_eq!(seen, [None]);
    let answer = object(r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#);
    assert_eq!(outcome(task.ended(&answer, 1, now())), ok);
    assert_eq!(outcome(task.ended(&answer, 1, now())), None);
    for (id, status, expected) in [
        ("f", "completed", (Outcome::Ok, false)),
        ("g", "failed", (Outcome::Error, false)),
        ("h", "working", (Outcome::Unknown, true)),
        ("i", "input_required", (Outcome::Unknown, true)),
    ] {
        let said = format!(r#"{{"taskId":"{id}","status":"{status}"}}"#);
        let (task, _) = saw(Era::Sessions, id, &[&said]);
        let (finished, at_work) = task.lapsed(now());
        assert_eq!((finished.unwrap().outcome, at_work), expected, "{id}");
    }
    // An error is a task's end only if it failed; before it may be about the request.
    let error = object(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"x"}}"#);
    let (task, _) = saw(Era::Sessions, "j", &[]);
    assert_eq!(outcome(task.ended(&error, 1, now())), None);
    task.saw(&object(r#"{"taskId":"j","status":"failed"}"#), 1, now()).unwrap();
    assert_eq!(task.ended(&error, 1, now()).unwrap().outcome, Outcome::Error);
}

#[test]
fn what_a_tool_server_makes_up_about_a_task_is_not_believed() {
    let tasks = Tasks::new((9, 9));
    let task = start(&tasks, &own(1, 1), Era::Stateless, "t").unwrap();
    for (said, expected) in [
        (r#"{"taskId":"u","status":"working"}"#, Distrust::Garbage),
        (r#"{"status":"working"}"#, Distrust::Garbage),
        (r#"{"taskId":"t"}"#, Distrust::Garbage),
        (r#"{"taskId":"t","status":"done"}"#, Distrust::Garbage),
        (r#"{"resultType":"task","taskId":"t","status":"working"}"#, Distrust::Garbage),
        (r#"{"resultType":"input_required","taskId":"t","status":"working"}"#, Distrust::Garbage),
        (r#"{"taskId":"t","status":"completed"}"#, Distrust::Garbage),
        (r#"{"taskId":"t","status":"failed","error":"x"}"#, Distrust::Garbage),
        (r#"{"taskId":"t","status":"input_required","inputRequests":[]}"#, Distrust::Garbage),
        (
            r#"{"taskId":"t","status":"input_required","inputRequests":{"a":{"method":"sampling/createMessage"}}}"#,
            Distrust::Asks,
        ),
        (
            r#"{"taskId":"t","status":"input_required","inputRequests":{"a":{"method":"tools/call"}}}"#,
            Distrust::Asks,
        ),
        (
            r#"{"taskId":"t","status":"completed","result":{"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create"}}}}"#,
            Distrust::Asks,
        ),
        (
            r#"{"taskId":"t","status":"completed","result":{"resultType":"task","taskId":"u"}}"#,
            Distrust::Asks,
        ),
        (
            r#"{"taskId":"t","status":"failed","error":{"code":-32042,"message":"x"}}"#,
            Distrust::Asks,
        ),
    ] {
        assert_eq!(task.saw(&object(said), 1, now()).err(), Some(expected), "{said}");
    }
    assert_eq!(outcome(task.lapsed(now()).0), Some((Outcome::Unknown, false, 0)));
}

#[test]
fn only_what_was_asked_is_answered_and_that_is_recorded() {
    let tasks = Tasks::new((9, 9));
    let task = start(&tasks, &own(1, 1), Era::Stateless, "t").unwrap();
    let asked = r#"{"taskId":"t","status":"input_required","inputRequests":{"name":{"method":"elicitation/create"}}}"#;
    assert!(task.saw(&object(asked), 1, now()).is_ok());
    let mut params = object(
        r#"{"taskId":"t","inputResponses":{"name":{"action":"accept"},"other":{"action":"accept"}}}"#,
    );
    let answers = task.narrow(&mut params);
    let sent = params.member("inputResponses").unwrap().canonical();
    assert_eq!((answers.len(), sent.as_str()), (1, r#"{"name":{"action":"accept"}}"#));
    task.add(answers);
    let ended = r#"{"taskId":"t","status":"completed","result":{}}"#;
    let finished = task.saw(&object(ended), 1, now()).unwrap();
    assert_eq!(outcome(finished), Some((Outcome::Ok, true, 1)));
    // Nothing is asked any more.
    let mut late = object(r#"{"taskId":"t","inputResponses":{"name":{"action":"accept"}}}"#);
    assert!(task.narrow(&mut late).is_empty());
    assert_eq!(late.member("inputResponses").unwrap().canonical(), "{}");
}

#[test]
fn a_caller_is_told_no_longer_time_than_there_is() {
    let tasks = Tasks::new((9, 9));
    for (era, given, told) in [
        (Era::Sessions, r#"{"ttl":null}"#, r#"{"ttl":60000}"#),
        (Era::Sessions, r#"{"ttl":60001}"#, r#"{"ttl":60000}"#),
        (Era::Sessions, r#"{"ttl":5}"#, r#"{"ttl":5}"#),
        (Era::Stateless, r#"{"ttlMs":null}"#, r#"{"ttlMs":60000}"#),
        (Era::Stateless, r#"{"ttl":1}"#, r#"{"ttl":1}"#),
    ] {
        let task = start(&tasks, &own(1, 1), era, given).unwrap();
        let mut said = object(given);
        task.limit_ttl(&mut said);
        assert_eq!(Json::from(said).canonical(), told);
    }
}

#[test]
fn a_handle_is_what_the_era_says() {
    for (era, text, is) in [
        (Era::Sessions, r#"{"result":{"task":{"taskId":"a"}}}"#, true),
        (Era::Sessions, r#"{"result":{"resultType":"task","taskId":"a"}}"#, false),
        (Era::Stateless, r#"{"result":{"resultType":"task","taskId":"a"}}"#, true),
        (Era::Stateless, r#"{"result":{"task":{"taskId":"a"}}}"#, false),
        (Era::Stateless, r#"{"result":{"resultType":"task","taskId":""}}"#, false),
        (Era::Sessions, r#"{"result":{"task":{"taskId":7}}}"#, false),
    ] {
        assert_eq!(Handle::read(&object(text), era).is_some(), is, "{text}");
    }
    let long = format!(r#"{{"result":{{"task":{{"taskId":"{}"}}}}}}"#, "a".repeat(257));
    assert!(Handle::read(&object(&long), Era::Sessions).is_none());
}
