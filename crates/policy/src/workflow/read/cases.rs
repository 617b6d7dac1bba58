//! Described calls and cases of a bundle, read as strictly as a workflow.

use std::collections::BTreeSet;

use bailiwick_core::ids::{PrincipalId, TaskId, WorkflowId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;

use super::{Code, MAX_PROBLEMS, Members, Node, Problem, Reading};
use crate::bundle::Answer;
use crate::call::Call;
use crate::cases::Case;
use crate::catalogue::{Personal, Rating};
use crate::decide::Upstream;
use crate::grades::{Assurance, Consent, Guarantee, Isolation, Level, RunState, Runs};

const CALL: &[&str] = &[
    "agent",
    "tool",
    "risk",
    "effect",
    "data",
    "idempotent",
    "bearer",
    "level",
    "source",
    "runs",
    "run",
    "assurance",
    "guarantee",
    "isolation",
    "upstream",
    "consent",
    "principal",
    "task",
    "workflow",
    "arguments",
    "hops",
    "staleness_ms",
    "time",
];

/// The time and task of a call that states none: any will do.
const SOME_TIME: i64 = 1_767_225_600;

fn ended<T>(mut reading: Reading, read: Option<T>) -> Result<T, Vec<Problem>> {
    match read {
        Some(read) if reading.problems.is_empty() => Ok(read),
        _ => {
            reading.problems.sort_by_key(|p| p.at);
            reading.problems.truncate(MAX_PROBLEMS);
            Err(reading.problems)
        }
    }
}

pub(in crate::workflow) fn call(document: &Node) -> Result<Call, Vec<Problem>> {
    let mut reading = Reading::default();
    let call = reading
        .members(document, CALL)
        .and_then(|own| reading.call(&Described { own, defaults: None }));
    ended(reading, call)
}

pub(in crate::workflow) fn cases(document: &Node) -> Result<Vec<Case>, Vec<Problem>> {
    let mut reading = Reading::default();
    let cases = reading.cases(document);
    ended(reading, cases)
}

/// A call's own members, and those that hold where it says nothing.
struct Described<'n> {
    own: Members<'n>,
    defaults: Option<&'n Members<'n>>,
}

impl<'n> Described<'n> {
    fn node(&self, name: &str) -> Option<&'n Node> {
        self.own.node(name).or_else(|| self.defaults?.node(name))
    }
}

impl Reading {
    fn cases(&mut self, document: &Node) -> Option<Vec<Case>> {
        let top = self.members(document, &["defaults", "cases"])?;
        let defaults = match top.node("defaults") {
            Some(node) => Some(self.within("defaults", |r| r.members(node, CALL))?),
            None => None,
        };
        let cases = self.field(&top, "cases", |r, node| {
            r.each(node, |r, node| r.case(node, defaults.as_ref()))
        })?;
        self.not_empty(cases.is_empty(), document.at, "case");
        Some(cases)
    }

    fn case(&mut self, node: &Node, defaults: Option<&Members<'_>>) -> Option<Case> {
        let case = self.members(node, &["name", "call", "expect", "bundle", "policies"])?;
        let name = self.field(&case, "name", Self::label);
        let call = self.field(&case, "call", |r, node| {
            let own = r.members(node, CALL)?;
            r.call(&Described { own, defaults })
        });
        let expect = self.field(&case, "expect", Self::answer);
        let bundle = match case.node("bundle") {
            Some(node) => Some(self.within("bundle", |r| r.answer(node))?),
            None => None,
        };
        let policies = match case.node("policies") {
            Some(node) => Some(self.within("policies", |r| r.set(node, Self::label))?),
            None => None,
        };
        Some(Case { name: name?, at: node.at, call: call?, expect: expect?, bundle, policies })
    }

    fn answer(&mut self, node: &Node) -> Option<Answer> {
        const ALL: [Answer; 3] = [Answer::Allow, Answer::ApprovalRequired, Answer::Deny];
        self.named(node, &ALL, Answer::as_str)
    }

    /// One of `all` by its name.
    fn named<T: Copy>(
        &mut self,
        node: &Node,
        all: &[T],
        name: impl Fn(T) -> &'static str,
    ) -> Option<T> {
        let text = self.label(node)?;
        let found = all.iter().copied().find(|one| name(*one) == text);
        if found.is_none() {
            let names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
            let message = format!("`{}` is none of them", text.escape_debug());
            let remedy = format!("choose one of `{}`", names.join("`, `"));
            self.report(Code::Value, node.at, message, remedy);
        }
        found
    }

    /// An optional member, or what holds without it.
    fn given<T>(
        &mut self,
        call: &Described<'_>,
        name: &str,
        otherwise: impl FnOnce() -> Option<T>,
        read: impl FnOnce(&mut Self, &Node) -> Option<T>,
    ) -> Option<T> {
        match call.node(name) {
            Some(node) => self.within(name, |r| read(r, node)),
            None => otherwise(),
        }
    }

    /// A member that the call or the defaults must have.
    fn needed<T>(
        &mut self,
        call: &Described<'_>,
        name: &str,
        read: impl FnOnce(&mut Self, &Node) -> Option<T>,
    ) -> Option<T> {
        match call.node(name) {
            Some(node) => self.within(name, |r| read(r, node)),
            None => self.required(&call.own, name).and(None),
        }
    }

    /// What a call leaves out is at its strongest, so that a case says what
    /// weakens it.
    fn call(&mut self, c: &Described<'_>) -> Option<Call> {
        let now = Timestamp::from_seconds(SOME_TIME);
        let agent = self.needed(c, "agent", Self::id);
        let tool = self.needed(c, "tool", Self::id);
        let risk = self.needed(c, "risk", Self::grade);
        let effect = self.needed(c, "effect", Self::grade);
        let data = self.given(c, "data", || Some(BTreeSet::new()), |r, n| r.set(n, Self::label));
        let idempotent = self.given(c, "idempotent", || Some(false), Self::boolean);
        let bearer = self.given(c, "bearer", || Some(false), Self::boolean);
        let level = self.given(c, "level", || Some(Level::Autonomous), Self::grade);
        let source = self.given(c, "source", || Some(None), |r, n| r.grade(n).map(Some));
        let runs = self.given(c, "runs", || Some(Runs::default()), Self::grade);
        let run = self.given(c, "run", || Some(RunState::Open), Self::grade);
        let assurance = self.given(
            c,
            "assurance",
            || Some(Assurance::Arguments),
            |r, n| r.named(n, Assurance::ALL, Assurance::as_str),
        );
        let guarantee = self.given(
            c,
            "guarantee",
            || Some(Guarantee::Attested),
            |r, n| r.named(n, Guarantee::ALL, Guarantee::as_str),
        );
        let isolation = self.given(
            c,
            "isolation",
            || Some(Isolation::Namespaces),
            |r, n| r.named(n, Isolation::ALL, Isolation::as_str),
        );
        let upstream = self.given(
            c,
            "upstream",
            || Some(Upstream::Apart),
            |r, n| r.named(n, Upstream::ALL, Upstream::as_str),
        );
        let consent = self.given(c, "consent", || Some(Consent::Signed), Self::grade);
        let principal =
            self.given(c, "principal", || PrincipalId::parse("user:example").ok(), Self::id);
        let task = self.given(c, "task", || Some(TaskId::mint(now, [0; 10])), Self::id);
        let workflow = self.given(c, "workflow", || WorkflowId::parse("example").ok(), Self::id);
        let arguments = self.given(
            c,
            "arguments",
            || Some(Object::new()),
            |r, node| match node.to_json() {
                Json::Object(arguments) => Some(arguments),
                _ => r.map(node).and(None),
            },
        );
        let hops = self.given(c, "hops", || Some(1), |r, n| r.integer(n, 1, 64));
        let staleness =
            self.given(c, "staleness_ms", || Some(0), |r, n| r.integer(n, 0, 1_000_000_000));
        let time = self.given(c, "time", || Some(now), Self::id);
        Some(Call {
            agent: agent?,
            tool: tool?,
            rating: Rating {
                owner: None,
                risk: risk?,
                effect: effect?,
                data: data?,
                idempotent: idempotent?,
                timeout_seconds: None,
                bearer: bearer?,
                personal: Personal::default(),
            },
            level: level?,
            source: source?,
            runs: runs?,
            run: run?,
            assurance: assurance?,
            guarantee: guarantee?,
            isolation: isolation?,
            upstream: upstream?,
            consent: consent?,
            principal: principal?,
            task: task?,
            workflow: workflow?,
            arguments: arguments?,
            hops: usize::try_from(hops?).ok()?,
            staleness_ms: i64::try_from(staleness?).ok()?,
            now: time?,
        })
    }
}
