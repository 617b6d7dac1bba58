//! The ordered grades that policy weighs (DESIGN §2). Each enum is ordered
//! from the weakest to the strongest, or from the least to the most.

use std::fmt;
use std::str::FromStr;

use bailiwick_core::json::Json;

pub use bailiwick_core::guarantee::{Assurance, Guarantee, Isolation};

/// A text that names no grade.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {expected}")]
pub struct GradeError {
    /// The texts that are understood.
    pub expected: &'static str,
}

macro_rules! grade {
    ($(#[$doc:meta])* $type:ident, $expected:literal { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $($(#[$vdoc])* $variant,)* }

        impl $type {
            /// Every grade, in order.
            pub const ALL: &'static [$type] = &[$($type::$variant,)*];

            /// Its name in files, records and on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($type::$variant => $text,)* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = GradeError;
            fn from_str(text: &str) -> Result<Self, GradeError> {
                match text { $($text => Ok($type::$variant),)* _ => Err(GradeError { expected: $expected }) }
            }
        }

        impl From<$type> for Json {
            fn from(v: $type) -> Json {
                Json::from(v.as_str())
            }
        }
    };
}

grade!(
    /// How much harm an action can do.
    Risk, "`low`, `medium`, `high`, `critical`" {
        /// Nothing that matters if it goes wrong.
        Low = "low",
        /// Easily noticed and put right.
        Medium = "medium",
        /// Costly, or hard to undo.
        High = "high",
        /// Ruinous; a person decides every time.
        Critical = "critical",
    }
);
grade!(
    /// Whether an action changes anything: our rating, never the server's hint.
    Effect, "`read`, `write`" {
        /// Reads data only.
        Read = "read",
        /// Has a side effect.
        Write = "write",
    }
);
grade!(
    /// What a tool server may ask of an agent's client while a call of it runs
    /// (MCP 2025-11-25).
    Question, "`elicitation`, `roots`, `sampling`" {
        /// Its user.
        Elicitation = "elicitation",
        /// Which folders it works in.
        Roots = "roots",
        /// Its model.
        Sampling = "sampling",
    }
);
grade!(
    /// How far a workflow lets agents act without a person.
    Level, "`manual`, `supervised`, `bounded`, `autonomous`" {
        /// A person approves every effect.
        Manual = "manual",
        /// A person approves effects of medium risk and above.
        Supervised = "supervised",
        /// Free within scope, window and budget.
        Bounded = "bounded",
        /// As bounded, with the complete checklist behind it.
        Autonomous = "autonomous",
    }
);
grade!(
    /// By whose account a tool server knows the callers behind the gateway.
    UpstreamIdentity, "`shared`, `principal`" {
        /// One account for everybody: to the tool server all principals are one.
        Shared = "shared",
        /// The principal's own, by that principal's consent there.
        Principal = "principal",
    }
);
grade!(
    /// Whose signature a grant carries (DESIGN rule 9).
    Consent, "`attested`, `signed`" {
        /// None of the principal's: an administrator attests it.
        Attested = "attested",
        /// The principal's own signature over the grant's digest.
        Signed = "signed",
    }
);
grade!(
    /// How much a piece of evidence for a completion criterion is worth.
    EvidenceGrade, "`self_report`, `self_check`, `observed`, `independent`, `human`" {
        /// The agent says so.
        SelfReport = "self_report",
        /// The agent says that it checked.
        SelfCheck = "self_check",
        /// The ledger has the outcome of a call that did it.
        Observed = "observed",
        /// Somebody else looked: a read through the gateway on the owner's
        /// authority, or a check of the server's configuration.
        Independent = "independent",
        /// A person looked.
        Human = "human",
    }
);
grade!(
    /// Whether a workflow's calls must belong to a run.
    Runs, "`optional`, `required`" {
        /// A call may stand alone.
        Optional = "optional",
        /// A call outside of an open run is denied.
        Required = "required",
    }
);
grade!(
    /// Whether a call belongs to a run.
    RunState, "`none`, `open`, `undeclared`" {
        /// To none that is open.
        None = "none",
        /// To an open run of its task.
        Open = "open",
        /// To one that noted context from a source that its workflow does not list.
        Undeclared = "undeclared",
    }
);
grade!(
    /// Whether a workflow lists what a call reads from. It is asked only of a
    /// workflow that lists its data sources.
    Source, "`undeclared`, `declared`" {
        /// The tool server, or a class of its data, is not on the list.
        Undeclared = "undeclared",
        /// Both are.
        Declared = "declared",
    }
);
grade!(
    /// What is measured of a workflow's runs.
    Measure, "`task_success_rate`, `human_correction_rate`, `escalation_rate`, `blocked_call_rate`, `iterations_per_task`, `cost_per_success`" {
        /// Completed and accepted runs, of those that ended.
        TaskSuccessRate = "task_success_rate",
        /// Runs that a person corrected or rejected, of those that ended.
        HumanCorrectionRate = "human_correction_rate",
        /// Runs in which a call waited for a person, of those that ended.
        EscalationRate = "escalation_rate",
        /// Denied calls, of all.
        BlockedCallRate = "blocked_call_rate",
        /// Iterations of a completed task, on average.
        IterationsPerTask = "iterations_per_task",
        /// What a successful run cost, in the currency of the installation, on
        /// average.
        CostPerSuccess = "cost_per_success",
    }
);

impl Measure {
    /// Whether more of it is better, so that a target is a least value.
    #[must_use]
    pub const fn more_is_better(self) -> bool {
        matches!(self, Self::TaskSuccessRate)
    }

    /// Whether it is a share of something, from 0 to 1.
    #[must_use]
    pub const fn is_rate(self) -> bool {
        !matches!(self, Self::IterationsPerTask | Self::CostPerSuccess)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grade_reads_back_and_only_in_its_own_spelling() {
        for risk in Risk::ALL {
            assert_eq!(risk.as_str().parse(), Ok(*risk));
        }
        for level in Level::ALL {
            assert_eq!(level.as_str().parse(), Ok(*level));
        }
        for bad in ["Low", "", " low", "none"] {
            assert!(bad.parse::<Risk>().is_err(), "{bad}");
        }
    }

    #[test]
    fn grades_are_ordered_from_weak_to_strong() {
        assert!(Risk::Low < Risk::Critical && Level::Manual < Level::Autonomous);
        assert!(Assurance::None < Assurance::Token && Assurance::Request < Assurance::Arguments);
        assert!(Guarantee::Key < Guarantee::Jwt && Guarantee::Mtls < Guarantee::Attested);
        assert!(Consent::Attested < Consent::Signed);
        assert!(EvidenceGrade::SelfReport < EvidenceGrade::SelfCheck);
        assert!(EvidenceGrade::SelfCheck < EvidenceGrade::Observed);
        assert!(EvidenceGrade::Observed < EvidenceGrade::Independent);
        assert!(EvidenceGrade::Independent < EvidenceGrade::Human);
    }
}
