//! Runs and failures of months: each grant's task is attempted again and again, and
//! one run goes on all the time.

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::ids::{
    ActionId, AgentId, FailureId, InstanceId, RunId, TaskId, ToolId, WorkflowId,
};
use bailiwick_core::ledger::{Kind, Subjects};
use bailiwick_core::time::Timestamp;
use bailiwick_store::{
    ContextKind, FailureClass, FailureKind, FailureState, ReviewVerdict, Row, Run, RunContext,
    RunEvidence, RunReview, RunSpent, RunState,
};

use super::{AGENT, GRANTS, Granted, Writing, entry_id, random};
use crate::Failure;

/// Calls of an ordinary run at most.
const CALLS: u32 = 100;
/// Of so many calls one is of the run that goes on all the time.
const OFTEN: u64 = 10;
/// Of so many denied calls one is a failure that none before was.
const FAILS: u64 = 50;

/// An ordinary run that goes on.
struct Open {
    run: Run,
    calls: u32,
}

/// What runs have in common.
pub(super) struct Attempts {
    instance: InstanceId,
    version: Digest,
    /// Calls of an ordinary run.
    calls: u32,
    /// By grant.
    open: Vec<Option<Open>>,
    begun: u64,
    /// The run of very many calls.
    pub(super) huge: RunId,
    /// An ordinary one that ended.
    pub(super) ended: Option<RunId>,
    /// A failure.
    pub(super) failure: Option<FailureId>,
}

impl Attempts {
    pub(super) fn begin(
        writing: &mut Writing<'_>,
        granted: &[Granted],
        (instance, version): (InstanceId, Digest),
        (at, entries): (Timestamp, u32),
    ) -> Result<Self, Failure> {
        let huge = RunId::mint(at, random(0, 6));
        let all = Self {
            instance,
            version,
            calls: (entries / GRANTS / 2).clamp(1, CALLS),
            open: granted.iter().map(|_| None).collect(),
            begun: 0,
            huge,
            ended: None,
            failure: None,
        };
        let first = granted.first().ok_or("there are grants")?;
        let run = all.run(all.huge.clone(), first, at)?;
        writing.run(Kind::RunStarted, at, &run, Row::Run(Box::new(run.clone())))?;
        Ok(all)
    }

    /// The version that calls are decided under.
    pub(super) const fn version(&self) -> Digest {
        self.version
    }

    fn run(&self, id: RunId, under: &Granted, at: Timestamp) -> Result<Run, Failure> {
        Ok(Run {
            id,
            state: RunState::Open,
            task: under.task.clone(),
            attempt: 1,
            workflow: WorkflowId::parse("support-tickets")?,
            workflow_digest: self.version,
            agent: AgentId::parse(AGENT)?,
            instance: self.instance.clone(),
            principal: under.alias.parse()?,
            grant: under.grant.clone(),
            root: sha256(b"root"),
            goal: sha256(b"goal"),
            instructed: true,
            started: at,
            deadline: at.plus_seconds(90 * 86_400),
            ended: None,
            complete: None,
            review: None,
            spent: RunSpent::default(),
        })
    }

    /// Which grant and which run the call of a step is of.
    pub(super) fn of(
        &mut self,
        writing: &mut Writing<'_>,
        step: u64,
        at: Timestamp,
        granted: &[Granted],
    ) -> Result<(usize, RunId), Failure> {
        let nth = usize::try_from(step)? % granted.len();
        if nth == 0 || step % OFTEN == OFTEN - 1 {
            return Ok((0, self.huge.clone()));
        }
        let under = granted.get(nth).ok_or("there are grants")?;
        let slot = self.open.get_mut(nth).ok_or("there are grants")?;
        let mut open = match slot.take() {
            Some(open) => open,
            None => {
                self.begun += 1;
                let run = self.run(RunId::mint(at, random(self.begun, 6)), under, at)?;
                writing.run(Kind::RunStarted, at, &run, Row::Run(Box::new(run.clone())))?;
                Open { run, calls: 0 }
            }
        };
        open.calls += 1;
        let id = open.run.id.clone();
        if open.calls >= self.calls {
            self.end(writing, &open.run, at)?;
            self.ended = Some(id.clone());
        } else if let Some(slot) = self.open.get_mut(nth) {
            *slot = Some(open);
        }
        Ok((nth, id))
    }

    /// Context, cost, a claim with evidence and, of one in ten, a review.
    fn end(&self, writing: &mut Writing<'_>, run: &Run, at: Timestamp) -> Result<(), Failure> {
        let items = (1..=3_u32).map(|n| RunContext {
            run: run.id.clone(),
            n,
            kind: ContextKind::Document,
            digest: sha256(&n.to_be_bytes()),
            source: if n == 3 { "undeclared" } else { "refund-policy" }.to_owned(),
            label: "policy".to_owned(),
            declared: n < 3,
            noted: at,
        });
        let context = Row::RunContext { items: items.collect() };
        writing.run(Kind::RunContext, at, run, context)?;
        let more = RunSpent {
            iterations: 4 + self.begun % 5,
            model_calls: 9,
            input_tokens: 12_000,
            output_tokens: 900,
            cost_micros: 20_000 + self.begun % 7 * 1_000,
            currency: Some("EUR".to_owned()),
        };
        let progress = Row::RunProgress { run: run.id.clone(), more, deadline: run.deadline };
        writing.run(Kind::RunProgress, at, run, progress)?;
        let complete = !self.begun.is_multiple_of(12);
        let evidence = |n: u32, criterion: &str, grade: &str, by: &str| RunEvidence {
            run: run.id.clone(),
            n,
            criterion: criterion.to_owned(),
            grade: grade.to_owned(),
            holds: complete,
            action: None,
            by: by.to_owned(),
            made: at,
            seen: None,
        };
        let claimed = Row::RunEnded {
            run: run.id.clone(),
            state: RunState::Claimed,
            complete,
            pending: false,
            evidence: vec![
                evidence(1, "note-written", "observed", AGENT),
                evidence(2, "ticket-read-back", "independent", "check:ticket-read-back"),
            ],
        };
        writing.run(Kind::RunClaimed, at, run, claimed)?;
        if !self.begun.is_multiple_of(10) {
            return Ok(());
        }
        let verdict = match self.begun % 40 {
            0 => ReviewVerdict::Corrected,
            _ => ReviewVerdict::Accepted,
        };
        let review = RunReview {
            run: run.id.clone(),
            n: 1,
            verdict,
            reviewer: run.principal.clone(),
            made: at,
        };
        let row = Row::RunReviewed { review, complete, evidence: Vec::new() };
        writing.run(Kind::RunReviewed, at, run, row)
    }

    /// What a denied call is a failure of, once in a while.
    pub(super) fn failed(
        &mut self,
        writing: &mut Writing<'_>,
        (step, at): (u64, Timestamp),
        (task, run): (&TaskId, RunId),
        (action, tool): (&str, &str),
    ) -> Result<(), Failure> {
        if !step.is_multiple_of(10 * FAILS) {
            return Ok(());
        }
        let failure = FailureId::mint(at, random(step, 7));
        let row = bailiwick_store::Failure {
            id: failure.clone(),
            state: FailureState::Detected,
            what: FailureKind::BlockedCall,
            fold: sha256(&step.to_be_bytes()).to_string(),
            workflow: Some(WorkflowId::parse("support-tickets")?),
            version: Some(self.version.to_string()),
            agent: Some(AgentId::parse(AGENT)?),
            task: Some(task.clone()),
            run: Some(run),
            action: Some(ActionId::parse(action)?),
            tool: Some(ToolId::parse(tool)?),
            reason: "argument-not-delegated".to_owned(),
            suggested: FailureClass::Prompt,
            class: None,
            classifier: None,
            owner: None,
            regression: None,
            cases: None,
            held_before: None,
            again: None,
            source: entry_id(at, step, 3),
            detected: at,
            classified: None,
            resolved: None,
        };
        self.failure = Some(failure);
        writing.failure(at, row)
    }
}

impl Writing<'_> {
    fn run(&mut self, kind: Kind, at: Timestamp, run: &Run, row: Row) -> Result<(), Failure> {
        let subjects = Subjects {
            principal: Some(run.principal.to_string()),
            agent: Some(AGENT.to_owned()),
            workflow: Some(run.workflow.to_string()),
            task: Some(run.task.to_string()),
            run: Some(run.id.to_string()),
            ..Subjects::default()
        };
        let id = self.next(at);
        let event = self.event(id, at, kind, subjects);
        self.take(event, Some(row))
    }

    fn failure(&mut self, at: Timestamp, row: bailiwick_store::Failure) -> Result<(), Failure> {
        let id = self.next(at);
        let event = self.event(id, at, Kind::FailureDetected, Subjects::default());
        self.take(event, Some(Row::Failure(Box::new(row))))
    }
}
