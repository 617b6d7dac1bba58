//! Crashes of a call that people approved, at every step of it: it is sent once at
//! most. Whatever the moment, an approval is spent if and only if there is an
//! allow, no tool ran more often than it was allowed, and the same call passes once
//! afterwards or asks anew. Wiring: the binary serving, the support desk.

use std::time::Duration;

use bailiwick_testkit::World;
use bailiwick_testkit::present::{Call, Chain};
use bailiwick_testkit::world::OWNER;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::EXE;
use crate::approvals::{ask_first, is_allowed, is_asked, key};
use crate::crash::{actions, assert_ledger_holds, wait_until};

/// Every call takes a person.
const ASK: &str = r#"
@id("all")
@reason("the rules decide")
permit (principal, action, resource);
@id("ask-first")
@reason("a person looks at this")
@approval
forbid (principal, action, resource);
"#;

/// A moment for what cannot be watched: where it is too short, the kill comes a step
/// earlier, which another test is about.
const A_MOMENT: Duration = Duration::from_millis(400);

struct Crashing {
    world: World,
    chain: Chain,
    owner: String,
    call: (&'static str, Value),
}

impl Crashing {
    fn new(tool: &'static str, arguments: Value) -> Self {
        let mut world = World::new(EXE);
        ask_first(&mut world, ASK);
        let (owner, _) = key(&world, OWNER, "owner-approver.json");
        let chain = world.delegate(&["reports:read", "ticket:8821"], &[]);
        Self { world, chain, owner, call: (tool, arguments) }
    }

    fn tickets() -> Self {
        Self::new("get_ticket", json!({"ticket_id": 8821}))
    }

    fn request(&self) -> Call {
        Call::new(&self.chain, &self.world.runner.key, self.call.0, self.call.1.clone())
    }

    fn asks(&self) -> String {
        is_asked(&self.world.send(&self.request()))
    }

    fn approve(&self, id: &str) {
        self.world.ok(&["approvals", "approve", id, "--key", &self.owner]);
    }

    /// A question that was approved.
    fn approved(&self) -> String {
        let id = self.asks();
        self.approve(&id);
        id
    }

    /// What stands in the state, whoever serves it.
    fn state(&self) -> Connection {
        let state = Connection::open(self.world.data.join("state.db")).unwrap();
        state.busy_timeout(Duration::from_secs(5)).unwrap();
        state
    }

    /// The call goes out, and the gateway is killed once `then` returns.
    fn killed_after(&mut self, then: impl FnOnce(&World)) {
        let call = self.request();
        let address = self.world.address;
        std::thread::scope(|scope| {
            let caller = scope.spawn(move || call.request().send(address));
            then(&self.world);
            self.world.kill_serve();
            // Whether it heard anything is a matter of luck.
            let _ = caller.join().unwrap();
        });
    }

    /// What must hold after every restart.
    fn holds(&self) {
        let world = &self.world;
        let executed = world.executed().len();
        let allowed = actions(world, "allow");
        assert!(executed <= allowed.len(), "{executed} executed, {} allowed", allowed.len());
        // A caller has its answer before the outcome is written.
        let told = |action: &Value| action["outcome"].is_string();
        wait_until("each allow has an outcome", || actions(world, "allow").iter().all(told));
        assert_eq!(self.in_state("spent").len(), allowed.len(), "{allowed:?}");
        assert_ledger_holds(world);
    }

    fn in_state(&self, state: &str) -> Vec<String> {
        let all = self.world.ok(&["approvals", "list", "--all"]);
        let all = all["approvals"].as_array().unwrap().clone();
        let those = all.iter().filter(|approval| approval["state"] == state);
        those.map(|approval| approval["approval"].as_str().unwrap().to_owned()).collect()
    }

    /// It serves again: the approval was used, and nothing is sent for it again.
    fn is_spent(&mut self, id: &str, outcome: &str) {
        self.world.start_serve();
        self.holds();
        assert_eq!(self.in_state("spent"), [id]);
        assert_eq!(actions(&self.world, "allow")[0]["outcome"], outcome);
        assert_ne!(self.asks(), id, "another use is another question");
        assert!(self.world.executed().len() <= 1);
    }

    /// It serves again: nothing happened yet, and then it does, once.
    fn is_unspent(&mut self, id: &str) {
        self.world.start_serve();
        self.holds();
        assert_eq!(self.in_state("approved"), [id]);
        assert_eq!(self.world.executed().len(), 0);
        let answer = self.world.send(&self.request());
        assert!(is_allowed(&answer), "{}", answer.text());
        assert_eq!(self.world.executed().len(), 1);
        assert_ne!(self.asks(), id);
        self.holds();
    }
}

/// How many calls wait or waited in this state.
fn count(state: &Connection, of: &str) -> i64 {
    let sql = "SELECT count(*) FROM approvals WHERE state = ?1";
    state.query_row(sql, [of], |row| row.get(0)).unwrap()
}

#[test]
fn killed_when_a_call_began_to_wait_it_waits_after_the_restart() {
    let mut crashing = Crashing::tickets();
    let state = crashing.state();
    crashing.killed_after(|_| wait_until("it waits", || count(&state, "pending") == 1));
    crashing.world.start_serve();
    let pending = crashing.in_state("pending");
    let [id] = pending.as_slice() else { panic!("{pending:?}") };
    assert_eq!(crashing.asks(), *id, "nobody is asked twice");
    crashing.approve(id);
    let id = id.clone();
    crashing.world.kill_serve();
    crashing.is_unspent(&id);
}

#[test]
fn killed_before_the_use_is_written_the_approval_stands() {
    let mut crashing = Crashing::tickets();
    let id = crashing.approved();
    // Whoever holds the state's one lock keeps the gateway from writing.
    let state = crashing.state();
    state.execute_batch("BEGIN IMMEDIATE").unwrap();
    crashing.killed_after(|_| std::thread::sleep(A_MOMENT));
    state.execute_batch("ROLLBACK").unwrap();
    drop(state);
    crashing.is_unspent(&id);
}

#[test]
fn killed_when_the_use_is_written_nothing_is_sent_again() {
    let mut crashing = Crashing::tickets();
    let id = crashing.approved();
    // The desk hears nothing while it is stopped: the call is on its way.
    let state = crashing.state();
    crashing.world.desk.as_ref().unwrap().signal("STOP");
    crashing.killed_after(|_| wait_until("it is spent", || count(&state, "spent") == 1));
    crashing.world.desk.as_ref().unwrap().signal("CONT");
    drop(state);
    crashing.is_spent(&id, "unknown");
}

#[test]
fn killed_while_the_tool_works_nothing_is_sent_again() {
    let mut crashing = Crashing::new("slow_report", json!({"seconds": 2}));
    let id = crashing.approved();
    crashing.killed_after(|world| wait_until("the desk has it", || world.executed().len() == 1));
    crashing.is_spent(&id, "unknown");
    assert_eq!(crashing.world.executed().len(), 1);
}

#[test]
fn killed_before_the_outcome_is_written_nothing_is_sent_again() {
    let mut crashing = Crashing::new("slow_report", json!({"seconds": 1}));
    let id = crashing.approved();
    let state = crashing.state();
    crashing.killed_after(|world| {
        wait_until("the desk has it", || world.executed().len() == 1);
        state.execute_batch("BEGIN IMMEDIATE").unwrap();
        wait_until("the tool ended", || world.executed()[0].outcome.is_some());
        std::thread::sleep(A_MOMENT);
    });
    state.execute_batch("ROLLBACK").unwrap();
    drop(state);
    crashing.is_spent(&id, "unknown");
    assert_eq!(crashing.world.executed().len(), 1);
}

#[test]
fn whenever_an_approved_call_is_cut_off_it_was_sent_once_at_most() {
    let mut crashing = Crashing::tickets();
    for millis in [0, 2, 4, 6, 8, 11, 15, 20, 30, 60] {
        crashing.chain = crashing.world.delegate(&["ticket:8821"], &[]);
        let id = crashing.approved();
        let before = crashing.world.executed().len();
        crashing.killed_after(|_| std::thread::sleep(Duration::from_millis(millis)));
        crashing.world.start_serve();
        crashing.holds();
        let spent = crashing.in_state("spent").contains(&id);
        let ran = crashing.world.executed().len() - before;
        assert!(ran <= usize::from(spent), "after {millis} ms");
        let answer = crashing.world.send(&crashing.request());
        match spent {
            true => assert_ne!(is_asked(&answer), id, "after {millis} ms"),
            false => {
                assert!(is_allowed(&answer), "after {millis} ms: {}", answer.text());
                assert_eq!(crashing.world.executed().len(), before + 1);
            }
        }
        crashing.holds();
    }
}
