use super::*;

use bailiwick_core::ids::{AgentId, ServerName};

fn entry(n: u8) -> EntryId {
    EntryId::mint(Timestamp::from_seconds(i64::from(n)), [n; 10])
}

fn row(seq: u64, name: &str) -> Notice {
    let subject = Subject::Agent { id: AgentId::parse(name).unwrap() };
    notice(seq, Change::Revoked { subject, reason: "finished".into() })
}

fn notice(seq: u64, change: Change) -> Notice {
    Notice {
        seq,
        change,
        time: Timestamp::from_seconds(1),
        entry: entry(u8::try_from(seq).unwrap()),
    }
}

#[derive(Default)]
struct Script(Mutex<Vec<Result<Batch, FeedError>>>);

impl RevocationFeed for Script {
    fn since(&self, _: u64) -> Result<Batch, FeedError> {
        self.0.lock().unwrap().remove(0)
    }
}

fn batch(previous: Option<EntryId>, rows: Vec<Notice>, next: u64, at: i64) -> Batch {
    Batch { previous, rows, next, more: false, as_of: Timestamp::from_seconds(at) }
}

fn follow(script: Vec<Result<Batch, FeedError>>) -> Result<RevocationFollower, FeedError> {
    RevocationFollower::start(Arc::new(Script(Mutex::new(script))))
}

fn agent(name: &str) -> [Subject; 1] {
    [Subject::Agent { id: AgentId::parse(name).unwrap() }]
}

#[test]
fn what_is_revoked_is_known_after_a_poll_and_stays_known() {
    let follower = follow(vec![
        Ok(batch(None, vec![row(1, "agent:a")], 1, 10)),
        Ok(batch(Some(entry(1)), vec![row(2, "agent:b")], 2, 20)),
        Ok(batch(Some(entry(2)), vec![], 2, 30)),
    ])
    .unwrap();
    assert!(follower.look(&agent("agent:b")).0.is_none());
    assert_eq!(follower.poll(), Ok(1));
    assert_eq!(follower.poll(), Ok(0));
    for name in ["agent:a", "agent:b"] {
        assert!(follower.look(&agent(name)).0.is_some());
    }
    // Another kind of the same name is another subject.
    let server = [Subject::ToolServer { name: ServerName::parse("a").unwrap() }];
    assert!(follower.look(&server).0.is_none());
    assert_eq!(follower.as_of(), Timestamp::from_seconds(30));
}

#[test]
fn a_gap_is_an_error_and_the_heartbeat_stays_behind() {
    let follower = follow(vec![
        Ok(batch(None, vec![row(1, "agent:a")], 1, 10)),
        Ok(batch(Some(entry(1)), vec![row(3, "agent:c")], 3, 20)),
        Ok(batch(Some(entry(1)), vec![], 3, 20)),
    ])
    .unwrap();
    assert_eq!(follower.poll(), Err(FeedError::Gap { expected: 2, found: 3 }));
    assert_eq!(follower.poll(), Err(FeedError::Gap { expected: 1, found: 3 }));
    assert_eq!(follower.as_of(), Timestamp::from_seconds(10));
    assert!(follower.look(&agent("agent:a")).0.is_some());
}

#[test]
fn a_feed_that_was_set_back_or_exchanged_is_not_followed() {
    for previous in [None, Some(entry(9))] {
        let follower = follow(vec![
            Ok(batch(None, vec![row(1, "agent:a")], 1, 10)),
            Ok(batch(previous, vec![], 1, 20)),
        ])
        .unwrap();
        assert_eq!(follower.poll(), Err(FeedError::OtherFeed { seq: 1 }));
        assert_eq!(follower.as_of(), Timestamp::from_seconds(10));
    }
}

#[test]
fn a_long_feed_is_current_only_at_its_end() {
    let first = Batch { more: true, ..batch(None, vec![row(1, "agent:a")], 1, 10) };
    let second = Err(FeedError::Unavailable { detail: "x".into() });
    assert!(follow(vec![Ok(first.clone()), second]).is_err());
    let rest = batch(Some(entry(1)), vec![row(2, "agent:b")], 2, 11);
    let follower = follow(vec![Ok(first), Ok(rest)]).unwrap();
    assert_eq!(follower.as_of(), Timestamp::from_seconds(11));
}

#[test]
fn without_a_first_answer_nothing_is_followed() {
    let error = FeedError::Unavailable { detail: "down".into() };
    assert_eq!(follow(vec![Err(error.clone())]).unwrap_err(), error);
}

#[test]
fn a_stop_is_known_until_the_notice_that_it_ended() {
    let target: StopTarget = "workflow:support".parse().unwrap();
    let stop = bailiwick_core::ids::StopId::mint(Timestamp::from_seconds(1), [1; 10]);
    let stopped = Change::Stopped { stop: stop.clone(), target: target.clone() };
    let resumed = Change::Resumed { stop, target: target.clone() };
    let follower = follow(vec![
        Ok(batch(None, vec![notice(1, stopped)], 1, 10)),
        Ok(batch(Some(entry(1)), vec![notice(2, resumed)], 2, 11)),
    ])
    .unwrap();
    let asked = [StopTarget::Everything, target.clone()];
    assert_eq!(follower.stopped(&asked), Some(target));
    assert_eq!(follower.stopped(&[StopTarget::Everything]), None);
    follower.poll().unwrap();
    assert_eq!(follower.stopped(&asked), None);
}
