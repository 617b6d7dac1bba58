//! What shows a failure: one entry, looked at by itself.

use bailiwick_core::ids::RunId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Kind, Subjects};
use bailiwick_store::{FailureKind, ReviewVerdict, Row, RunState};

/// An entry as it is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// What happened.
    pub kind: Kind,
    /// Who or what it is about.
    pub subjects: &'a Subjects,
    /// The kind's own members.
    pub body: &'a Object,
    /// The row that it wrote, if that stands in the leaf.
    pub row: Option<&'a Row>,
}

/// A failure that an entry shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detected {
    /// What it is.
    pub what: FailureKind,
    /// The code of a denial or a refusal; else the same as `what`.
    pub reason: String,
    /// What equal ones have in common.
    pub fold: String,
}

/// What an entry shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shows {
    /// A failure.
    Failure(Detected),
    /// A run that was claimed counts as complete by now.
    MetLater(RunId),
}

/// What the entry shows, if anything.
///
/// A call of somebody whom nobody knows is no agent's failure, and a call that was
/// denied because a person had said so is the person's word, which has an entry of its
/// own.
#[must_use]
pub fn detect(seen: &Seen<'_>) -> Option<Shows> {
    let subjects = seen.subjects;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let place = subjects.run.as_ref().or(subjects.task.as_ref());
    match (seen.kind, seen.row) {
        (Kind::ActionDecided, _) if subjects.decision.as_deref() == Some("deny") => {
            let task = subjects.task.as_ref()?;
            let reason = text(&subjects.reason);
            let what = match reason.as_str() {
                "approval-denied" => return None,
                "budget-spent" | "budget-window-spent" => FailureKind::BudgetEnd,
                _ => FailureKind::BlockedCall,
            };
            Some(failure(what, &reason, &[task, &text(&subjects.tool), &reason]))
        }
        (Kind::ActionCompleted, _) if subjects.reason.as_deref() == Some("timeout") => {
            let tool = text(&subjects.tool);
            Some(failure(FailureKind::Timeout, "timeout", &[subjects.task.as_ref()?, &tool]))
        }
        (Kind::ApprovalDecided, _)
            if seen.body.member("verdict").and_then(Json::as_str) == Some("deny") =>
        {
            let tool = text(&subjects.tool);
            let what = FailureKind::DeniedApproval;
            Some(failure(what, what.as_str(), &[subjects.task.as_ref()?, &tool]))
        }
        (_, Some(Row::RunEnded { run, state: RunState::Abandoned, .. })) => {
            Some(of_run(FailureKind::AbandonedRun, run))
        }
        (_, Some(Row::RunEnded { run, state: RunState::Claimed, complete: false, .. })) => {
            Some(of_run(FailureKind::UnmetCriterion, run))
        }
        (_, Some(Row::RunComplete { run, complete: true, .. })) => {
            Some(Shows::MetLater(run.clone()))
        }
        (_, Some(Row::RunReviewed { review, complete, .. })) => match review.verdict {
            ReviewVerdict::Corrected => Some(of_run(FailureKind::Correction, &review.run)),
            ReviewVerdict::Rejected => Some(of_run(FailureKind::Rejection, &review.run)),
            ReviewVerdict::Accepted if *complete => Some(Shows::MetLater(review.run.clone())),
            ReviewVerdict::Accepted => None,
        },
        (Kind::PeerRefused, _) => {
            let (agent, reason) = (subjects.agent.as_ref()?, text(&subjects.reason));
            Some(failure(FailureKind::PeerRefusal, &reason, &[agent, &reason]))
        }
        (Kind::HandoffRejected, _) => {
            let reason = Kind::HandoffRejected.as_str();
            let agent = text(&subjects.agent);
            Some(failure(FailureKind::PeerRefusal, reason, &[place?, &agent, reason]))
        }
        _ => None,
    }
}

fn of_run(what: FailureKind, run: &RunId) -> Shows {
    failure(what, what.as_str(), &[run.as_str()])
}

fn failure(what: FailureKind, reason: &str, parts: &[&str]) -> Shows {
    // None of the parts holds the sign: ids, tool ids and codes.
    let fold = format!("{}|{}", what.as_str(), parts.join("|"));
    Shows::Failure(Detected { what, reason: reason.to_owned(), fold })
}

/// What the fold of a run's failure of a kind is.
#[must_use]
pub(crate) fn fold_of_run(what: FailureKind, run: &RunId) -> String {
    format!("{}|{run}", what.as_str())
}

/// What further failures of a task are folded into.
#[must_use]
pub(crate) fn fold_of_more(task: &str) -> String {
    format!("more|{task}")
}

#[cfg(test)]
mod tests {
    use bailiwick_core::ids::Alias;
    use bailiwick_core::time::Timestamp;
    use bailiwick_store::RunReview;

    use super::*;

    fn subjects(reason: &str) -> Subjects {
        Subjects {
            task: Some("t".into()),
            agent: Some("agent:a".into()),
            tool: Some("mcp:desk:tools/x".into()),
            reason: Some(reason.into()),
            ..Subjects::default()
        }
    }

    fn of(kind: Kind, subjects: &Subjects, body: &Object, row: Option<&Row>) -> Option<Shows> {
        detect(&Seen { kind, subjects, body, row })
    }

    #[track_caller]
    fn what(shown: Option<Shows>) -> (FailureKind, String, String) {
        match shown {
            Some(Shows::Failure(d)) => (d.what, d.reason, d.fold),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_denied_call_of_a_task_is_one_and_a_strangers_is_none() {
        let none = Object::new();
        let mut denied = subjects("argument-not-delegated");
        denied.decision = Some("deny".into());
        let found = what(of(Kind::ActionDecided, &denied, &none, None));
        let fold = "blocked_call|t|mcp:desk:tools/x|argument-not-delegated";
        assert_eq!(found, (FailureKind::BlockedCall, "argument-not-delegated".into(), fold.into()));
        denied.reason = Some("budget-spent".into());
        assert_eq!(what(of(Kind::ActionDecided, &denied, &none, None)).0, FailureKind::BudgetEnd);
        // The person's word was the failure; and others are none at all.
        denied.reason = Some("approval-denied".into());
        assert_eq!(of(Kind::ActionDecided, &denied, &none, None), None);
        denied.reason = Some("signature-invalid".into());
        denied.task = None;
        assert_eq!(of(Kind::ActionDecided, &denied, &none, None), None);
        for decision in ["allow", "approval_required"] {
            let other = Subjects { decision: Some(decision.into()), ..subjects("revoked") };
            assert_eq!(of(Kind::ActionDecided, &other, &none, None), None);
        }
    }

    #[test]
    fn each_other_kind_is_seen_in_its_own_entry() {
        let none = Object::new();
        let found = of(Kind::ActionCompleted, &subjects("timeout"), &none, None);
        assert_eq!(what(found).0, FailureKind::Timeout);
        assert_eq!(of(Kind::ActionCompleted, &subjects("error"), &none, None), None);
        let said = |verdict: &str| {
            let body = Object::new().with("verdict", verdict);
            of(Kind::ApprovalDecided, &subjects("x"), &body, None)
        };
        assert_eq!(what(said("deny")).0, FailureKind::DeniedApproval);
        assert_eq!(said("approve"), None);
        let found = of(Kind::PeerRefused, &subjects("peer-unregistered"), &none, None);
        let (kind, reason, fold) = what(found);
        assert_eq!((kind, reason.as_str()), (FailureKind::PeerRefusal, "peer-unregistered"));
        assert_eq!(fold, "peer_refusal|agent:a|peer-unregistered");
        let found = of(Kind::HandoffRejected, &subjects("x"), &none, None);
        assert_eq!(what(found).1, "handoff.rejected");
        for kind in Kind::ALL {
            let other = of(*kind, &Subjects::default(), &none, None);
            assert_eq!(other, None, "{kind:?}");
        }
    }

    #[test]
    fn runs_fail_by_how_they_end_and_what_people_say() {
        let none = Object::new();
        let now = Timestamp::from_millis(1_767_225_600_000);
        let run = RunId::mint(now, [1; 10]);
        let ended = |state, complete| {
            let row = Row::RunEnded {
                run: run.clone(),
                state,
                complete,
                pending: false,
                evidence: Vec::new(),
            };
            of(Kind::RunClaimed, &subjects("x"), &none, Some(&row))
        };
        assert_eq!(what(ended(RunState::Abandoned, false)).0, FailureKind::AbandonedRun);
        assert_eq!(what(ended(RunState::Claimed, false)).0, FailureKind::UnmetCriterion);
        assert_eq!(ended(RunState::Claimed, true), None);
        let reviewed = |verdict, complete| {
            let review = RunReview {
                run: run.clone(),
                n: 1,
                verdict,
                reviewer: Alias::mint(now, [2; 10]),
                made: now,
            };
            let row = Row::RunReviewed { review, complete, evidence: Vec::new() };
            of(Kind::RunReviewed, &subjects("x"), &none, Some(&row))
        };
        let (kind, _, fold) = what(reviewed(ReviewVerdict::Corrected, true));
        assert_eq!(kind, FailureKind::Correction);
        assert_eq!(fold, fold_of_run(FailureKind::Correction, &run));
        assert_eq!(what(reviewed(ReviewVerdict::Rejected, false)).0, FailureKind::Rejection);
        let met = Some(Shows::MetLater(run.clone()));
        assert_eq!(reviewed(ReviewVerdict::Accepted, true), met);
        assert_eq!(reviewed(ReviewVerdict::Accepted, false), None);
        let row = Row::RunComplete {
            run: run.clone(),
            complete: true,
            pending: false,
            evidence: Vec::new(),
        };
        assert_eq!(of(Kind::RunChecked, &subjects("x"), &none, Some(&row)), met);
    }
}
