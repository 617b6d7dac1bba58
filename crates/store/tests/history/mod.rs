//! The history of `docs/metrics-fixture.md`, table by table, through the store.

use bailiwick_core::crypto::{Digest, Signer as _};
use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::{
    ActionId, AgentId, Alias, ApprovalId, EntryId, GrantId, InstanceId, PrincipalId, RunId, TaskId,
};
use bailiwick_core::ledger::{Event, Kind, Subjects};
use bailiwick_core::time::Timestamp;
use bailiwick_store::{
    Agent, Approval, ApprovalState, Delegation, Grant, Principal, ReviewVerdict, Row, Run,
    RunReview, RunSpent, RunState, Said, Status, Subject, Task, TokenForm, Tx, Verdict, Workflow,
};

use crate::support::{Fixture, MAKER, NOW, bytes, digest, event, fixture, key};

/// 2026-01-01 and 2026-01-02.
pub(crate) const D1: Timestamp = NOW;
pub(crate) const D2: Timestamp = Timestamp::from_millis(1_767_312_000_000);
/// The texts whose digests are the versions.
pub(crate) const V1: &str = "version 1";
pub(crate) const V2: &str = "version 2";

const RUNNER: &str = "agent:runner";
const HELPER: &str = "agent:helper";

pub(crate) struct History {
    pub(crate) fixture: Fixture,
    pub(crate) alice: Alias,
    pub(crate) bob: Alias,
    /// T1 to T10.
    pub(crate) tasks: Vec<TaskId>,
    instance: InstanceId,
}

/// `D1` or `D2` and a time of the day.
fn at(day: Timestamp, hour: i64, minute: i64, second: i64) -> Timestamp {
    day.plus_seconds(hour * 3_600 + minute * 60 + second)
}

fn tool(letter: char) -> String {
    let name = match letter {
        'G' => "get_ticket",
        'N' => "add_note",
        _ => "refund_order",
    };
    format!("mcp:desk:tools/{name}")
}

impl History {
    fn put(&self, kind: Kind, time: Timestamp, subjects: Subjects, row: Option<Row>) -> EntryId {
        let id = EntryId::mint(time, bytes());
        let event = Event { id, time, subjects, ..event(kind) };
        self.write(event, row)
    }

    fn write(&self, event: Event, row: Option<Row>) -> EntryId {
        let write = move |tx: &mut Tx<'_>| match &row {
            Some(row) => tx.record(MAKER, &key(), event, row),
            None => tx.append(MAKER, &key(), event),
        };
        self.fixture.store.write(write).wait().unwrap().entry
    }

    fn registered(&self) {
        let none = Subjects::default;
        for (alias, name) in [(&self.alice, "user:alice"), (&self.bob, "user:bob")] {
            let principal = Principal {
                alias: alias.clone(),
                issuer: Some("local".into()),
                id: Some(PrincipalId::parse(name).unwrap()),
                jwk: Some("{}".into()),
                status: Status::Active,
            };
            self.put(Kind::PrincipalAdded, D1, none(), Some(Row::Principal(principal)));
        }
        for id in [RUNNER, HELPER] {
            let agent = Agent {
                id: AgentId::parse(id).unwrap(),
                owner: self.alice.clone(),
                status: Status::Active,
                publisher: None,
                version: None,
                artifact: None,
            };
            self.put(Kind::AgentAdded, D1, none(), Some(Row::Agent(agent)));
        }
        for version in [V1, V2] {
            let workflow = Workflow {
                id: "support".parse().unwrap(),
                digest: digest(version),
                document: "owner: ops".into(),
                published: D1,
            };
            self.put(Kind::WorkflowPublished, D1, none(), Some(Row::Workflow(workflow)));
        }
        // T5 and T9, T4 are the helper's.
        let versions = [V1, V1, V1, V1, V1, V2, V2, V2, V2, V2];
        for (n, (id, version)) in self.tasks.iter().zip(versions).enumerate() {
            let helper = matches!(n, 3 | 4 | 8);
            let task = Task {
                id: id.clone(),
                workflow: "support".parse().unwrap(),
                workflow_digest: digest(version),
                agent: AgentId::parse(if helper { HELPER } else { RUNNER }).unwrap(),
                principal: self.alice.clone(),
                created: D1,
            };
            self.put(Kind::TaskCreated, D1, none(), Some(Row::Task(task)));
        }
    }

    fn roots(&self) {
        for (n, root, issued, seconds, ends) in [
            (0, "root 1", D1, 900, at(D1, 1, 0, 0)),
            (1, "root 2", at(D1, 1, 0, 0), 3_600, at(D1, 2, 0, 0)),
            (4, "root 5", D2, 1_800, at(D2, 48, 0, 0)),
        ] {
            let task: &TaskId = &self.tasks[n];
            let agent = AgentId::parse(if n == 4 { HELPER } else { RUNNER }).unwrap();
            let grant = Grant {
                id: GrantId::mint(issued, bytes()),
                digest: digest(&format!("grant of {root}")),
                task: task.clone(),
                agent: agent.clone(),
                principal: self.alice.clone(),
                attested: false,
                starts: issued,
                expires: ends,
                statement: "the statement".into(),
                proof: "the proof".into(),
                account: None,
            };
            let delegation = Delegation {
                root: digest(root),
                grant: grant.id.clone(),
                task: task.clone(),
                agent,
                holder: key().public_key().thumbprint(),
                issued,
                expires: issued.plus_seconds(seconds),
                form: TokenForm::Aat,
                client: None,
                status_index: None,
                guarantee: Guarantee::Key,
                token: "a.b.c".into(),
            };
            let subjects =
                Subjects { delegation: Some(digest(root).to_string()), ..Subjects::default() };
            self.put(Kind::GrantRecorded, issued, Subjects::default(), Some(Row::Grant(grant)));
            self.put(Kind::DelegationIssued, issued, subjects, Some(Row::Delegation(delegation)));
        }
        let token = digest("root 2");
        let subjects = Subjects { task: Some(self.tasks[1].to_string()), ..Subjects::default() };
        let revoked =
            Row::Revocation { subject: Subject::Delegation { token }, reason: "asked".into() };
        self.put(Kind::Revoked, at(D1, 1, 10, 0), subjects, Some(revoked));
    }

    /// One row of the table of runs with its calls; gives its id.
    fn run(&self, run: &RunRow<'_>) -> RunId {
        let (day, hour) = run.ended;
        let started = at(day, hour - 1, 0, 0);
        let ended = at(day, hour, 0, 0);
        let id = RunId::mint(started, bytes());
        let task = &self.tasks[run.task - 1];
        let row = Run {
            id: id.clone(),
            state: RunState::Open,
            task: task.clone(),
            attempt: 1,
            workflow: "support".parse().unwrap(),
            workflow_digest: digest(run.version),
            agent: AgentId::parse(run.agent).unwrap(),
            instance: self.instance.clone(),
            principal: self.alice.clone(),
            grant: GrantId::mint(started, bytes()),
            root: digest("root"),
            goal: digest("goal"),
            instructed: false,
            started,
            deadline: ended.plus_seconds(3_600),
            ended: None,
            complete: None,
            review: None,
            spent: RunSpent::default(),
        };
        let about = || Subjects { run: Some(id.to_string()), ..Subjects::default() };
        self.put(Kind::RunStarted, started, about(), Some(Row::Run(Box::new(row))));
        for (n, (letter, decision, reason)) in run.calls.iter().enumerate() {
            let second = i64::try_from(n).unwrap();
            let time = started.plus_seconds(second);
            self.call(time, Some(run), Some(&id), *letter, decision, *reason);
        }
        let more = RunSpent {
            iterations: run.iterations,
            cost_micros: run.cost.map_or(0, |(micros, _)| micros),
            currency: run.cost.map(|(_, currency)| currency.to_owned()),
            ..RunSpent::default()
        };
        let deadline = ended.plus_seconds(3_600);
        let progress = Row::RunProgress { run: id.clone(), more, deadline };
        self.put(Kind::RunProgress, started.plus_seconds(60), about(), Some(progress));
        if let Some((state, complete)) = run.how {
            let kind = match state {
                RunState::Claimed => Kind::RunClaimed,
                _ => Kind::RunAbandoned,
            };
            let end = Row::RunEnded {
                run: id.clone(),
                state,
                complete,
                pending: false,
                evidence: Vec::new(),
            };
            self.put(kind, ended, about(), Some(end));
        }
        if let Some(verdict) = run.review {
            let review = RunReview {
                run: id.clone(),
                n: 1,
                verdict,
                reviewer: self.alice.clone(),
                made: ended.plus_seconds(600),
            };
            let complete = run.how.is_some_and(|(_, c)| c) && verdict != ReviewVerdict::Rejected;
            let row = Row::RunReviewed { review, complete, evidence: Vec::new() };
            self.put(Kind::RunReviewed, ended.plus_seconds(600), about(), Some(row));
        }
        id
    }

    fn call(
        &self,
        time: Timestamp,
        of: Option<&RunRow<'_>>,
        run: Option<&RunId>,
        letter: char,
        decision: &str,
        reason: Option<&str>,
    ) {
        let mut event = event(Kind::ActionDecided);
        event.id = EntryId::mint(time, bytes());
        event.time = time;
        event.subjects = Subjects {
            action: Some(ActionId::mint(time, bytes()).to_string()),
            decision: Some(decision.to_owned()),
            reason: reason.map(str::to_owned),
            ..Subjects::default()
        };
        if let Some(of) = of {
            event.subjects.workflow = Some("support".to_owned());
            event.subjects.agent = Some(of.agent.to_owned());
            event.subjects.task = Some(self.tasks[of.task - 1].to_string());
            event.subjects.run = run.map(ToString::to_string);
            event.subjects.tool = Some(tool(letter));
            event.body.insert("workflow_digest", digest(of.version));
        }
        self.write(event, None);
    }

    fn held(
        &self,
        run: &RunRow<'_>,
        letter: char,
        asked: Timestamp,
        said: Option<(Timestamp, Said, &Alias)>,
        spent: bool,
    ) {
        let id = ApprovalId::mint(asked, bytes());
        let unlike = |what: &str| -> Digest { digest(&format!("{what} of {id}")) };
        let approval = Approval {
            id: id.clone(),
            state: ApprovalState::Pending,
            action: unlike("action"),
            policy: digest("policy"),
            rule: "autonomy".into(),
            risk: "high".into(),
            server: "desk".parse().unwrap(),
            tool: tool(letter).parse().unwrap(),
            principal: self.alice.clone(),
            agent: AgentId::parse(run.agent).unwrap(),
            instance: Some(self.instance.clone()),
            workflow: "support".parse().unwrap(),
            workflow_digest: digest(run.version),
            task: self.tasks[run.task - 1].clone(),
            root: digest("root"),
            leaf: digest("leaf"),
            needed: 1,
            asked,
            expires: asked.plus_seconds(3_600),
            settled: None,
        };
        let row = Row::Approval(Box::new(approval));
        // The question stands in the call's entry; here it has one that counts no call.
        self.put(Kind::AuthorityRequested, asked, Subjects::default(), Some(row));
        if let Some((said, verdict, approver)) = said {
            let row = Row::Verdict(Verdict {
                approval: id.clone(),
                approver: approver.clone(),
                verdict,
                grade: "key".into(),
                credential: "c".into(),
                signed: "s".into(),
                said,
            });
            self.put(Kind::ApprovalDecided, said, Subjects::default(), Some(row));
        }
        if spent {
            let row = Row::ApprovalState { approval: id, state: ApprovalState::Spent };
            self.put(Kind::ApprovalVoided, asked, Subjects::default(), Some(row));
        }
    }
}

/// A row of the table of runs, with its calls: tool, decision, reason.
struct RunRow<'a> {
    task: usize,
    version: &'a str,
    agent: &'a str,
    ended: (Timestamp, i64),
    how: Option<(RunState, bool)>,
    review: Option<ReviewVerdict>,
    iterations: u64,
    cost: Option<(u64, &'a str)>,
    calls: Vec<(char, &'a str, Option<&'a str>)>,
}

const COMPLETE: Option<(RunState, bool)> = Some((RunState::Claimed, true));
const INCOMPLETE: Option<(RunState, bool)> = Some((RunState::Claimed, false));
const ABANDONED: Option<(RunState, bool)> = Some((RunState::Abandoned, false));

/// `G allow` and the like, so many of each.
fn calls<'a>(
    of: &[(char, &'a str, Option<&'a str>, usize)],
) -> Vec<(char, &'a str, Option<&'a str>)> {
    let each = |(tool, decision, reason, n): &(char, &'a str, Option<&'a str>, usize)| {
        std::iter::repeat_n((*tool, *decision, *reason), *n)
    };
    of.iter().flat_map(each).collect()
}

fn table() -> Vec<RunRow<'static>> {
    use ReviewVerdict::{Accepted, Corrected, Rejected};
    let row = |task, version, agent, ended, how, review, iterations, cost, calls| RunRow {
        task,
        version,
        agent,
        ended,
        how,
        review,
        iterations,
        cost,
        calls,
    };
    let usd = |micros| Some((micros, "USD"));
    let eur = |micros| Some((micros, "EUR"));
    let (allow, deny, held) = ("allow", "deny", "approval_required");
    let g = |n| ('G', allow, None, n);
    let n1 = ('N', allow, None, 1);
    let beyond = Some("argument-not-delegated");
    vec![
        row(
            1,
            V1,
            RUNNER,
            (D1, 1),
            COMPLETE,
            Some(Accepted),
            4,
            usd(1_200_000),
            calls(&[g(2), n1]),
        ),
        row(
            2,
            V1,
            RUNNER,
            (D1, 2),
            INCOMPLETE,
            Some(Rejected),
            10,
            usd(3_000_000),
            calls(&[g(2), ('F', deny, beyond, 3)]),
        ),
        row(
            2,
            V1,
            RUNNER,
            (D1, 3),
            COMPLETE,
            Some(Corrected),
            6,
            usd(2_000_000),
            calls(&[g(1), ('F', held, None, 1), ('F', allow, None, 1)]),
        ),
        row(
            3,
            V1,
            RUNNER,
            (D1, 4),
            ABANDONED,
            None,
            3,
            usd(500_000),
            calls(&[g(2), ('N', deny, Some("budget-spent"), 1)]),
        ),
        row(4, V1, HELPER, (D1, 5), COMPLETE, None, 0, None, calls(&[g(2), n1])),
        row(
            5,
            V1,
            HELPER,
            (D2, 1),
            COMPLETE,
            Some(Accepted),
            5,
            eur(900_000),
            calls(&[g(1), ('N', held, None, 2), n1]),
        ),
        row(6, V2, RUNNER, (D2, 2), COMPLETE, Some(Accepted), 3, usd(800_000), calls(&[g(2), n1])),
        row(7, V2, RUNNER, (D2, 3), COMPLETE, None, 2, usd(600_000), calls(&[g(2)])),
        row(
            8,
            V2,
            RUNNER,
            (D2, 4),
            COMPLETE,
            Some(Accepted),
            4,
            usd(1_000_000),
            calls(&[g(1), ('F', deny, Some("tool-not-delegated"), 1), n1]),
        ),
        row(
            9,
            V2,
            HELPER,
            (D2, 5),
            INCOMPLETE,
            None,
            7,
            eur(400_000),
            calls(&[g(3), ('N', deny, beyond, 1)]),
        ),
        row(9, V2, HELPER, (D2, 6), ABANDONED, None, 1, None, calls(&[('N', held, None, 1)])),
        row(10, V2, RUNNER, (D2, 8), None, None, 2, usd(100_000), calls(&[g(3)])),
    ]
}

/// The whole history.
pub(crate) fn history() -> History {
    let fixture = fixture();
    let tasks = (0..10).map(|_| TaskId::mint(D1, bytes())).collect();
    let h = History {
        fixture,
        alice: Alias::mint(D1, bytes()),
        bob: Alias::mint(D1, bytes()),
        tasks,
        instance: InstanceId::mint(D1, bytes()),
    };
    h.registered();
    h.roots();
    let runs = table();
    for run in &runs {
        h.run(run);
    }
    let (alice, bob) = (&h.alice, &h.bob);
    let asked = at(D1, 2, 0, 0);
    h.held(&runs[2], 'F', asked, Some((at(D1, 2, 1, 0), Said::Approve, alice)), true);
    h.held(&runs[5], 'N', D2, Some((at(D2, 0, 0, 30), Said::Approve, alice)), true);
    let denied = Some((at(D2, 0, 20, 0), Said::Deny, bob));
    h.held(&runs[5], 'N', at(D2, 0, 10, 0), denied, false);
    h.held(&runs[10], 'N', at(D2, 5, 0, 0), None, false);
    let task = Subject::Task { id: h.tasks[0].clone() };
    let subjects = Subjects { task: Some(h.tasks[0].to_string()), ..Subjects::default() };
    let revoked = Timestamp::from_millis(at(D2, 10, 0, 0).millis() - 1_500);
    let row = Row::Revocation { subject: task, reason: "asked".into() };
    h.put(Kind::Revoked, revoked, subjects, Some(row));
    for second in [0, 1] {
        let time = at(D2, 10, 0, second);
        h.call(time, Some(&runs[0]), None, 'F', "deny", Some("revoked"));
    }
    h.call(at(D2, 11, 0, 0), None, None, 'G', "deny", Some("signature-invalid"));
    for (day, code) in
        [(D1, "peer-unregistered"), (D1, "peer-unregistered"), (D2, "peer-other-agent")]
    {
        let subjects = Subjects { reason: Some(code.to_owned()), ..Subjects::default() };
        h.put(Kind::PeerRefused, day, subjects, None);
    }
    h.put(Kind::HandoffRejected, D2, Subjects::default(), None);
    h
}
