//! What a checklist lacks, and what that costs.

use bailiwick_core::json::{Json, Object};

use super::{Checklist, EvidenceGrade, Runs};
use crate::grades::{Effect, Level};
use crate::workflow::Workflow;

/// One gap in a checklist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The member of the workflow file that would fill it.
    pub member: &'static str,
    /// What is not known without it, for people.
    pub why: &'static str,
    /// The highest level without it.
    pub caps: Level,
}

impl Missing {
    /// For `--json`.
    #[must_use]
    pub fn to_json(&self) -> Json {
        Object::new()
            .with("member", self.member)
            .with("why", self.why)
            .with("caps", self.caps)
            .into()
    }
}

impl Checklist {
    /// Every gap, of the checklist of `workflow`: those that leave it at
    /// `manual` first, then those that keep it from `autonomous`. Owner, purpose
    /// and the risk of each tool are never missing: no workflow reads without
    /// them.
    #[must_use]
    pub fn missing(&self, workflow: &Workflow) -> Vec<Missing> {
        let mut missing = Vec::new();
        let mut lacks = |lacks: bool, caps: Level, member: &'static str, why: &'static str| {
            if lacks {
                missing.push(Missing { member, why, caps });
            }
        };
        let writes = workflow.catalogue.tools().any(|(_, r)| r.effect == Effect::Write);
        let targets = self.evaluation.as_ref().is_some_and(|e| !e.targets.is_empty());
        let manual = Level::Manual;
        lacks(
            self.data_sources.is_none(),
            manual,
            "data_sources",
            "nothing says where its agents may read",
        );
        lacks(
            self.completion.is_empty(),
            manual,
            "completion",
            "nothing says when a run counts as complete",
        );
        lacks(self.review.is_none(), manual, "review", "nobody is named who looks at a run");
        lacks(
            writes && self.rollback.is_empty(),
            manual,
            "rollback",
            "it has tools that write, and no step that undoes anything",
        );
        lacks(!targets, manual, "evaluation", "no target says how good its runs must be");
        lacks(
            workflow.budget.members.is_empty(),
            manual,
            "budget",
            "nothing limits what one grant may spend",
        );
        // What follows is asked of work that no person watches.
        let bounded = Level::Bounded;
        let believed = self.completion.iter().any(|c| c.by.least() < EvidenceGrade::Observed);
        lacks(
            self.runs != Runs::Required,
            bounded,
            "runs",
            "calls outside of a run are allowed, and no criterion is asked about them",
        );
        lacks(
            self.evaluation.as_ref().is_none_or(|e| e.error_budget.is_none()),
            bounded,
            "evaluation.error_budget",
            "no number of failed runs lowers the level by itself",
        );
        lacks(
            believed,
            bounded,
            "completion.by",
            "a criterion rests on the agent's own word: let a tool's outcome, a check or a person show it",
        );
        missing
    }
}
