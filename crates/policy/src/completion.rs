//! When a run counts as complete: derived from what the ledger has, never from
//! what its agent believes.
//!
//! Each criterion of the workflow is asked by itself:
//!
//! 1. Evidence below the least grade of the criterion's backing is too weak.
//! 2. Evidence that says *yes* and is older than the end of the last change to
//!    what it proves is stale. Evidence that says *no* never is: that something
//!    changed since does not make it good, only newer evidence does. So nobody
//!    gets rid of a finding by changing something.
//! 3. Of what is left the highest grade counts, and of that the newest: a person's
//!    *no* outweighs a check's *yes*.
//!
//! A call is over with its outcome's entry. A receipt stands at its outcome, so
//! that a call never makes its own receipt stale, but every later call does of a
//! tool that the criterion is changed by. That is also the same tool: a later call
//! that went well brings a receipt of its own, and one that did not leaves open
//! what it changed.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use bailiwick_core::ids::{ActionId, ToolId};
use bailiwick_core::json::{Json, Object};

use crate::checklist::Criterion;
use crate::grades::EvidenceGrade;

/// Who says so, where another enforcement point than the gateway made a call.
pub const REPORTED: &str = "reported by an external enforcement point";

/// The grade of a call's receipt: what another enforcement point says became of a call
/// is a word, which whoever asked for the decision can say.
#[must_use]
pub fn of_receipt(grade: EvidenceGrade, is_external: bool) -> EvidenceGrade {
    match (is_external, grade) {
        // SECURITY: the decision point does not know who reports.
        (true, EvidenceGrade::Observed | EvidenceGrade::Independent) => EvidenceGrade::SelfCheck,
        (_, grade) => grade,
    }
}

/// Something that speaks for or against a criterion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The criterion's id.
    pub criterion: String,
    /// How strong it is.
    pub grade: EvidenceGrade,
    /// Whether it says that the criterion is met.
    pub holds: bool,
    /// The call whose receipt it is.
    pub action: Option<ActionId>,
    /// Who says so: an agent, `check:NAME`, or a person's alias.
    pub by: String,
    /// Its index in the ledger: of the entry, or for an observed call of its
    /// outcome.
    pub at: u64,
}

/// A call that may have changed something: an allowed one, whatever became of it,
/// unless it was not executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The tool.
    pub tool: ToolId,
    /// The index in the ledger by which it was over, that of its outcome.
    /// `u64::MAX` while it goes on: nothing that was seen yet was seen after it.
    pub at: u64,
}

/// What was found of one criterion. `by` is an index into the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is met.
    Met {
        /// How strongly that is shown.
        grade: EvidenceGrade,
        /// By which evidence.
        by: usize,
    },
    /// The newest of the strongest evidence says that it is not met.
    Contradicted {
        /// How strongly that is shown.
        grade: EvidenceGrade,
        /// By which evidence.
        by: usize,
    },
    /// It was met, and something changed since.
    Stale {
        /// How strongly it was shown.
        grade: EvidenceGrade,
        /// By which evidence.
        by: usize,
    },
    /// What speaks for it is below what the workflow asks for.
    TooWeak {
        /// The strongest that there is.
        best: EvidenceGrade,
        /// The least that suffices.
        least: EvidenceGrade,
    },
    /// Nothing speaks for it.
    Missing,
}

impl Finding {
    /// Its name in records and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Met { .. } => "met",
            Self::Contradicted { .. } => "contradicted",
            Self::Stale { .. } => "stale",
            Self::TooWeak { .. } => "too_weak",
            Self::Missing => "missing",
        }
    }

    /// Whether the criterion is met.
    #[must_use]
    pub const fn is_met(self) -> bool {
        matches!(self, Self::Met { .. })
    }

    /// The evidence that decided it, as an index into what was given.
    #[must_use]
    pub const fn by(self) -> Option<usize> {
        match self {
            Self::Met { by, .. } | Self::Contradicted { by, .. } | Self::Stale { by, .. } => {
                Some(by)
            }
            Self::TooWeak { .. } | Self::Missing => None,
        }
    }

    /// The grade of the evidence that there is at best.
    #[must_use]
    pub const fn grade(self) -> Option<EvidenceGrade> {
        match self {
            Self::Met { grade, .. }
            | Self::Contradicted { grade, .. }
            | Self::Stale { grade, .. } => Some(grade),
            Self::TooWeak { best, .. } => Some(best),
            Self::Missing => None,
        }
    }
}

/// Why a run counts as complete, or what it lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// Each criterion's id with what was found, in the workflow's order.
    pub criteria: Vec<(String, Finding)>,
}

impl Completion {
    /// Whether every criterion is met. Without any criterion nothing is: nobody
    /// said when such a run is complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.criteria.is_empty() && self.criteria.iter().all(|(_, finding)| finding.is_met())
    }

    /// Whether all that is missing is others' to bring: a check by somebody else, or a
    /// person's review. What was found not to hold is not waited for.
    #[must_use]
    pub fn waits(&self, criteria: &[Criterion]) -> bool {
        let others = |id: &str| {
            let criterion = criteria.iter().find(|criterion| criterion.id == id);
            criterion.is_some_and(|c| c.by.least() >= EvidenceGrade::Independent)
        };
        let mut open = self.criteria.iter().filter(|(_, finding)| !finding.is_met()).peekable();
        open.peek().is_some()
            && open
                .all(|(id, finding)| others(id) && !matches!(finding, Finding::Contradicted { .. }))
    }

    /// Why it counts as complete, or what is missing: a sentence for each
    /// criterion, for people.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        if self.criteria.is_empty() {
            return vec!["the workflow has no completion criteria, so no run is complete".into()];
        }
        self.criteria.iter().map(|(id, finding)| sentence(id, *finding)).collect()
    }

    /// For records and `--json`: by the criterion's id.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let criteria: Vec<Json> = self
            .criteria
            .iter()
            .map(|(id, finding)| {
                let mut object =
                    Object::new().with("criterion", id.as_str()).with("finding", finding.as_str());
                if let Some(grade) = finding.grade() {
                    object.insert("grade", grade);
                }
                if let Finding::TooWeak { least, .. } = finding {
                    object.insert("least", *least);
                }
                object.into()
            })
            .collect();
        Object::new().with("complete", self.is_complete()).with("criteria", criteria).into()
    }
}

fn sentence(id: &str, finding: Finding) -> String {
    match finding {
        Finding::Met { grade, .. } => format!("`{id}` is met: {}", shown(grade)),
        Finding::Contradicted { grade, .. } => {
            format!("`{id}` is not met: {} says no", source(grade))
        }
        Finding::Stale { grade, .. } => {
            format!("`{id}` is open: {} was before the last change to it", source(grade))
        }
        Finding::TooWeak { best, least } => format!(
            "`{id}` is open: there is only {}, and the workflow asks for {}",
            source(best),
            source(least)
        ),
        Finding::Missing => format!("`{id}` is open: nothing speaks for it"),
    }
}

/// How evidence of a grade shows that something holds, for people.
#[must_use]
pub const fn shown(grade: EvidenceGrade) -> &'static str {
    match grade {
        EvidenceGrade::SelfReport => "its agent says so",
        EvidenceGrade::SelfCheck => "its agent says that it checked",
        EvidenceGrade::Observed => "the ledger has the outcome of the call",
        EvidenceGrade::Independent => "somebody other than its agent checked",
        EvidenceGrade::Human => "a person reviewed it",
    }
}

const fn source(grade: EvidenceGrade) -> &'static str {
    match grade {
        EvidenceGrade::SelfReport => "the agent's own report",
        EvidenceGrade::SelfCheck => "a check that the agent reports",
        EvidenceGrade::Observed => "an observed outcome",
        EvidenceGrade::Independent => "an independent check",
        EvidenceGrade::Human => "a person's review",
    }
}

/// What counts of a run, by the rules of this module. The order of `evidence` and
/// `changes` does not matter.
///
/// `writes`: all tools of the workflow's catalogue that write. They change every
/// criterion that does not say itself what changes it.
#[must_use]
pub fn derive(
    criteria: &[Criterion],
    writes: &BTreeSet<ToolId>,
    evidence: &[Evidence],
    changes: &[Change],
) -> Completion {
    let found = |criterion: &Criterion| {
        let tools = criterion.changed_by.as_ref().unwrap_or(writes);
        let last = changes.iter().filter(|c| tools.contains(&c.tool)).map(|c| c.at).max();
        let own: Vec<(usize, &Evidence)> =
            evidence.iter().enumerate().filter(|(_, e)| e.criterion == criterion.id).collect();
        (criterion.id.clone(), finding(criterion.by.least(), last, &own))
    };
    Completion { criteria: criteria.iter().map(found).collect() }
}

fn finding(least: EvidenceGrade, last: Option<u64>, own: &[(usize, &Evidence)]) -> Finding {
    let Some(best) = own.iter().map(|(_, e)| e.grade).max() else { return Finding::Missing };
    let strong = || own.iter().filter(|(_, e)| e.grade >= least);
    let is_stale = |e: &Evidence| e.holds && last.is_some_and(|last| last > e.at);
    match strongest(strong().filter(|(_, e)| !is_stale(e))) {
        Some((by, e)) if e.holds => Finding::Met { grade: e.grade, by: *by },
        Some((by, e)) => Finding::Contradicted { grade: e.grade, by: *by },
        None => match strongest(strong()) {
            Some((by, e)) => Finding::Stale { grade: e.grade, by: *by },
            None => Finding::TooWeak { best, least },
        },
    }
}

/// The newest of the highest grade; of equals the one that says no. The rest of
/// the order only makes the choice independent of the order that they came in.
fn strongest<'e>(
    evidence: impl Iterator<Item = &'e (usize, &'e Evidence)>,
) -> Option<&'e (usize, &'e Evidence)> {
    evidence.max_by_key(|(_, e)| {
        let action = e.action.as_ref().map(|action| action.as_str());
        (e.grade, e.at, !e.holds, Reverse(action), Reverse(e.by.as_str()))
    })
}

#[cfg(test)]
mod tests;
