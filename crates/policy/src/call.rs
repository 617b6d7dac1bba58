//! One call as policy looks at it, by itself: written down in a file, or read
//! back from a record.

use bailiwick_core::ids::{AgentId, PrincipalId, TaskId, ToolId, WorkflowId};
use bailiwick_core::json::Object;
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
