//! What a checklist lacks, and what that costs.

use bailiwick_core::json::{Json, Object};

use super::{Bound, Checklist, Evaluation, EvidenceGrade, Measure, Runs};
use crate::grades::{Effect, Level};
use crate::limits::{AUTONOMOUS_RUNS, AUTONOMOUS_SUCCESS};
use crate::workflow::Workflow;

/// What a file to start from says where a person must write: the purpose, what must be
/// so, and how it is undone. Left in, it says nothing.
pub const PLACEHOLDERS: [&str; 3] =
    ["Say what agents do under it.", "Say what must be so.", "Say who undoes it, and how."];

fn is_placeholder(text: &str) -> bool {
    PLACEHOLDERS.contains(&text.trim())
}

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

/// The gaps of those that are there.
fn gaps<const N: usize>(
    caps: Level,
    all: [(bool, &'static str, &'static str); N],
) -> impl Iterator<Item = Missing> {
    let gap =
        move |(lacks, member, why): (bool, _, _)| lacks.then_some(Missing { member, why, caps });
    all.into_iter().filter_map(gap)
}

impl Checklist {
    /// Every gap, of the checklist of `workflow`: those that leave it at
    /// `manual` first, then those that keep it from `autonomous`. Owner and the
    /// risk of each tool are never missing: no workflow reads without them.
    #[must_use]
    pub fn missing(&self, workflow: &Workflow) -> Vec<Missing> {
        let manual = gaps(Level::Manual, self.absent(workflow));
        let unwritten = gaps(Level::Manual, self.unwritten(workflow));
        manual.chain(unwritten).chain(gaps(Level::Bounded, self.unwatched())).collect()
    }

    fn has_targets(&self) -> bool {
        self.evaluation.as_ref().is_some_and(|e| !e.targets.is_empty())
    }

    /// What is not there at all.
    fn absent(&self, workflow: &Workflow) -> [(bool, &'static str, &'static str); 6] {
        let writes = workflow.catalogue.tools().any(|(_, r)| r.effect == Effect::Write);
        [
            (self.data_sources.is_none(), "data_sources", "nothing says where its agents may read"),
            (
                self.completion.is_empty(),
                "completion",
                "nothing says when a run counts as complete",
            ),
            (self.review.is_none(), "review", "nobody is named who looks at a run"),
            (
                writes && self.rollback.is_empty(),
                "rollback",
                "it has tools that write, and no step that undoes anything",
            ),
            (!self.has_targets(), "evaluation", "no target says how good its runs must be"),
            (
                workflow.budget.members.is_empty(),
                "budget",
                "nothing limits what one grant may spend",
            ),
        ]
    }

    /// What nobody wrote in the place of a file to start from.
    fn unwritten(&self, workflow: &Workflow) -> [(bool, &'static str, &'static str); 3] {
        [
            (
                is_placeholder(&workflow.purpose),
                "purpose",
                "it is still what a new file says: write what agents do under it",
            ),
            (
                self.completion.iter().any(|c| is_placeholder(&c.says)),
                "completion.says",
                "it is still what a new file says: write what must be so",
            ),
            (
                self.rollback.iter().any(|step| is_placeholder(&step.says)),
                "rollback.says",
                "it is still what a new file says: write who undoes it, and how",
            ),
        ]
    }

    /// What is asked of work that no person watches.
    fn unwatched(&self) -> [(bool, &'static str, &'static str); 5] {
        let believed = self.completion.iter().any(|c| c.by.least() < EvidenceGrade::Observed);
        let evaluation = self.evaluation.as_ref();
        let judged = evaluation.filter(|_| self.has_targets());
        [
            (
                self.runs != Runs::Required,
                "runs",
                "calls outside of a run are allowed, and no criterion is asked about them",
            ),
            (
                evaluation.is_none_or(|e| e.error_budget.is_none()),
                "evaluation.error_budget",
                "no number of failed runs lowers the level by itself",
            ),
            (
                believed,
                "completion.by",
                "a criterion rests on the agent's own word: let a tool's outcome, a check or a person show it",
            ),
            (
                judged.is_some_and(|e| !asks_for_success(e)),
                "evaluation.targets",
                "no target asks that at least half of the tasks succeed (`task_success_rate`)",
            ),
            (
                judged.is_some_and(|e| e.minimum_runs < AUTONOMOUS_RUNS),
                "evaluation.minimum_runs",
                "figures of fewer than 20 runs say too little",
            ),
        ]
    }
}

fn asks_for_success(evaluation: &Evaluation) -> bool {
    let bound = evaluation.targets.get(&Measure::TaskSuccessRate);
    matches!(bound, Some(Bound::AtLeast(least)) if *least >= AUTONOMOUS_SUCCESS)
}
