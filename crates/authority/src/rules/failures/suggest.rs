//! What kind of failure it may be, by rules that say why; a person decides.

use bailiwick_core::denial::{Reason, Stage};
use bailiwick_store::{Failure, FailureClass, FailureKind};

/// A class with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// The class.
    pub class: FailureClass,
    /// Why, in a sentence for people.
    pub why: &'static str,
}

const fn so(class: FailureClass, why: &'static str) -> Suggestion {
    Suggestion { class, why }
}

/// Reasons of denials whose class is not that of their stage.
const BY_REASON: &[(&[&str], Suggestion)] = &[
    (
        &[
            "argument-missing",
            "argument-unnamed",
            "arguments-invalid",
            "number-inadmissible",
            "param-header-mismatch",
        ],
        so(
            FailureClass::ToolContract,
            "the arguments are not those that the tool takes: its description does not say what it needs",
        ),
    ),
    (
        &[
            "tool-changed",
            "tool-not-catalogued",
            "task-not-declared",
            "task-not-listed",
            "task-unknown",
            "agent-card-refused",
        ],
        so(
            FailureClass::ToolContract,
            "the tool is not what was accepted, or is called in a way that it does not offer",
        ),
    ),
    (
        &["source-undeclared"],
        so(
            FailureClass::RetrievalLayer,
            "the agent looked where its workflow does not list a source: it finds its data elsewhere than it should",
        ),
    ),
    (
        &[
            "run-required",
            "run-refused",
            "run-unknown",
            "run-ended",
            "request-flood",
            "approval-flood",
            "agent-loop",
            "too-many-calls",
            "answer-unasked",
        ],
        so(
            FailureClass::Prompt,
            "the agent does not keep to how it is to work: that stands in its instructions",
        ),
    ),
    (
        &[
            "revoked",
            "stopped",
            "grant-not-standing",
            "revocation-stale",
            "policy-unavailable",
            "policy-error",
        ],
        so(
            FailureClass::HumanProcess,
            "people or the operator ended it, or what they run was not there; the agent did nothing wrong",
        ),
    ),
];

/// The class that the rules suggest.
#[must_use]
pub fn suggest(what: FailureKind, reason: &str) -> Suggestion {
    match what {
        FailureKind::BlockedCall => blocked(reason),
        FailureKind::BudgetEnd => so(
            FailureClass::Prompt,
            "the budget was spent before the work was done: look for calls that were repeated; more budget is for review",
        ),
        FailureKind::Timeout => {
            so(FailureClass::ToolContract, "the tool takes longer than its rating says that it may")
        }
        FailureKind::DeniedApproval => so(
            FailureClass::Prompt,
            "a person refused what the agent wanted to do: it should not have asked for it",
        ),
        FailureKind::Correction => so(
            FailureClass::EvaluationSuite,
            "a person had to put the run right: a criterion that would have shown it is missing or too weak",
        ),
        FailureKind::Rejection => so(
            FailureClass::EvaluationSuite,
            "a person found the run to be of no use: a criterion that would have shown it is missing or too weak",
        ),
        FailureKind::UnmetCriterion => so(
            FailureClass::Prompt,
            "the agent said that it is done without what its workflow asks for",
        ),
        FailureKind::AbandonedRun => {
            so(FailureClass::Prompt, "the agent stopped without saying that it is done or why not")
        }
        FailureKind::PeerRefusal => so(
            FailureClass::HumanProcess,
            "who works with whom is set up by people, and is not, or not so",
        ),
    }
}

fn blocked(reason: &str) -> Suggestion {
    let by_reason = BY_REASON.iter().find(|(reasons, _)| reasons.contains(&reason));
    if let Some((_, suggestion)) = by_reason {
        return *suggestion;
    }
    match Reason::parse(reason).map(Reason::stage) {
        Some(Stage::Authority | Stage::Policy) => so(
            FailureClass::PermissionModel,
            "the call is beyond what was granted or what policy allows: either it should not be made, or its review is missing",
        ),
        Some(Stage::Approval) => so(
            FailureClass::HumanProcess,
            "the call needed a person, and nobody decided so that it could be made",
        ),
        Some(Stage::Boundary | Stage::Identity | Stage::Effect) | None => so(
            FailureClass::ToolContract,
            "the call did not come to a decision about what it may do: a program or a connection is at fault",
        ),
    }
}

/// How a failure of permissions may be mended. There is no third way: nothing that is
/// learned from a failure lets anybody do more by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fix {
    /// Grant less: what was never used.
    Narrower {
        /// The tools that grants of this workflow include and no task used.
        leave_out: Vec<String>,
    },
    /// Ask people: what to publish or to request.
    Review(&'static str),
}

/// How a failure may be mended, as far as permissions are concerned; `unused` are tools
/// that the workflow's grants included and nobody used.
#[must_use]
pub fn fix(failure: &Failure, unused: &[String]) -> Option<Fix> {
    if failure.class_so_far() != FailureClass::PermissionModel {
        return None;
    }
    if !unused.is_empty() {
        return Some(Fix::Narrower { leave_out: unused.to_vec() });
    }
    Some(Fix::Review(match Reason::parse(&failure.reason).map(Reason::stage) {
        Some(Stage::Policy) => {
            "publish a policy that the owners reviewed, and let `policy replay` say what else it changes"
        }
        _ => "let the agent ask for what it lacks; the principal grants it, or a part, or refuses",
    }))
}

#[cfg(test)]
mod tests {
    use bailiwick_core::ids::{EntryId, FailureId};
    use bailiwick_core::time::Timestamp;
    use bailiwick_store::FailureState;

    use super::*;

    const KINDS: [FailureKind; 9] = [
        FailureKind::AbandonedRun,
        FailureKind::BlockedCall,
        FailureKind::BudgetEnd,
        FailureKind::Correction,
        FailureKind::DeniedApproval,
        FailureKind::PeerRefusal,
        FailureKind::Rejection,
        FailureKind::Timeout,
        FailureKind::UnmetCriterion,
    ];

    fn failure(what: FailureKind, reason: &str, class: FailureClass) -> Failure {
        let now = Timestamp::from_millis(1_767_225_600_000);
        Failure {
            id: FailureId::mint(now, [1; 10]),
            state: FailureState::Classified,
            what,
            fold: "f".into(),
            workflow: None,
            version: None,
            agent: None,
            task: None,
            run: None,
            action: None,
            tool: None,
            reason: reason.into(),
            suggested: suggest(what, reason).class,
            class: Some(class),
            classifier: None,
            owner: None,
            regression: None,
            cases: None,
            held_before: None,
            again: None,
            source: EntryId::mint(now, [2; 10]),
            detected: now,
            classified: None,
            resolved: None,
        }
    }

    #[test]
    fn every_kind_and_every_reason_has_a_class_with_a_why() {
        for kind in KINDS {
            for reason in Reason::ALL {
                assert!(!suggest(kind, reason.code()).why.is_empty());
            }
        }
        // A reason of the table that is none would never be looked up.
        let words = ["run-ended", "run-required", "source-undeclared"];
        for reason in BY_REASON.iter().flat_map(|(reasons, _)| reasons.iter()) {
            assert!(Reason::parse(reason).is_some() || words.contains(reason), "{reason}");
        }
        for (reason, class) in [
            ("argument-not-delegated", FailureClass::PermissionModel),
            ("tool-not-delegated", FailureClass::PermissionModel),
            ("policy-denied", FailureClass::PermissionModel),
            ("arguments-invalid", FailureClass::ToolContract),
            ("tool-changed", FailureClass::ToolContract),
            ("source-undeclared", FailureClass::RetrievalLayer),
            ("run-required", FailureClass::Prompt),
            ("revoked", FailureClass::HumanProcess),
            ("approval-unavailable", FailureClass::HumanProcess),
            ("upstream-unavailable", FailureClass::ToolContract),
            ("no-such-reason", FailureClass::ToolContract),
        ] {
            assert_eq!(suggest(FailureKind::BlockedCall, reason).class, class, "{reason}");
        }
    }

    /// Whatever failed: a fix leaves something out, or goes through people.
    #[test]
    fn a_permission_is_mended_by_granting_less_or_by_review() {
        let unused = ["mcp:desk:tools/refund_order".to_owned()];
        for kind in KINDS {
            for reason in Reason::ALL {
                let failed = failure(kind, reason.code(), FailureClass::PermissionModel);
                let narrower = Fix::Narrower { leave_out: unused.to_vec() };
                assert_eq!(fix(&failed, &unused), Some(narrower));
                assert!(matches!(fix(&failed, &[]), Some(Fix::Review(_))));
                assert_eq!(fix(&failure(kind, reason.code(), FailureClass::Prompt), &unused), None);
            }
        }
    }
}
