//! One call as policy looks at it, by itself: written down in a file, or read
//! back from a record.

use bailiwick_core::ids::{AgentId, PrincipalId, TaskId, ToolId, WorkflowId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;

use crate::catalogue::Rating;
use crate::decide::{CallFacts, PolicyInput, Upstream};
use crate::grades::{Assurance, Consent, Guarantee, Isolation, Level, RunState, Runs, Source};
use crate::workflow::{Problem, read_call};

/// What a [`PolicyInput`] borrows, owned.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The acting agent.
    pub agent: AgentId,
    /// The tool.
    pub tool: ToolId,
    /// Our rating of it.
    pub rating: Rating,
    /// The workflow's level in force.
    pub level: Level,
    /// Whether the workflow lists what the call reads from; none without a list.
    pub source: Option<Source>,
    /// Whether the workflow's calls must belong to a run.
    pub runs: Runs,
    /// Whether this one does.
    pub run: RunState,
    /// What possession was proved.
    pub assurance: Assurance,
    /// The guarantee of the chain's weakest hop.
    pub guarantee: Guarantee,
    /// The isolation of the chain's weakest hop.
    pub isolation: Isolation,
    /// Whether the tool server tells this principal from others.
    pub upstream: Upstream,
    /// Whose signature the grant carries.
    pub consent: Consent,
    /// On whose authority.
    pub principal: PrincipalId,
    /// The task.
    pub task: TaskId,
    /// Its workflow.
    pub workflow: WorkflowId,
    /// The arguments.
    pub arguments: Object,
    /// Instances in the chain, the caller's included.
    pub hops: usize,
    /// Age of what was known of revocations, milliseconds.
    pub staleness_ms: i64,
    /// The time of the decision.
    pub now: Timestamp,
}

impl Call {
    /// Reads a described call, as `docs/policy.md` has it.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        read_call(text)
    }

    /// The call as [`Call::parse`] reads it: everything that policy looks at.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let rating = &self.rating;
        let data: Vec<Json> = rating.data.iter().map(|class| class.as_str().into()).collect();
        let mut call = Object::new()
            .with("agent", &self.agent)
            .with("tool", &self.tool)
            .with("risk", rating.risk.as_str())
            .with("effect", rating.effect.as_str())
            .with("data", data)
            .with("idempotent", rating.idempotent)
            .with("bearer", rating.bearer)
            .with("level", self.level.as_str())
            .with("runs", self.runs.as_str())
            .with("run", self.run.as_str())
            .with("assurance", self.assurance.as_str())
            .with("guarantee", self.guarantee.as_str())
            .with("isolation", self.isolation.as_str())
            .with("upstream", self.upstream.as_str())
            .with("consent", self.consent.as_str())
            .with("principal", &self.principal)
            .with("task", &self.task)
            .with("workflow", &self.workflow)
            .with("arguments", self.arguments.clone())
            .with("hops", u64::try_from(self.hops).unwrap_or(u64::MAX))
            .with("staleness_ms", self.staleness_ms)
            .with("time", self.now.to_string());
        if let Some(source) = self.source {
            call.insert("source", source.as_str());
        }
        call
    }

    /// The call as policy looks at it.
    #[must_use]
    pub fn input(&self) -> PolicyInput<'_> {
        PolicyInput {
            agent: &self.agent,
            tool: &self.tool,
            rating: Some(&self.rating),
            level: self.level,
            source: self.source,
            runs: self.runs,
            run: self.run,
            assurance: self.assurance,
            guarantee: self.guarantee,
            isolation: self.isolation,
            upstream: self.upstream,
            consent: self.consent,
            call: CallFacts {
                principal: &self.principal,
                task: &self.task,
                workflow: &self.workflow,
                arguments: &self.arguments,
                hops: self.hops,
                staleness_ms: self.staleness_ms,
                now: self.now,
            },
        }
    }
}
