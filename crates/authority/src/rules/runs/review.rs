//! What people say of a run that has ended.

use std::collections::BTreeSet;

use bailiwick_core::crypto::KeyError;
use bailiwick_core::ids::{Alias, PrincipalId, RunId};
use bailiwick_core::jose::{self, HeaderRules, Jws, JwsSigner, VerifyingKey};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_policy::Workflow;
use bailiwick_policy::checklist::{Backing, Reviewer};
use bailiwick_policy::grades::EvidenceGrade;
use bailiwick_store::{ReviewVerdict, Row, Run, RunEvidence, RunReview, RunState};

use super::{MAX_REVIEW_CHARS, RunError, step};
use crate::host::Moment;
use crate::installation::Installation;
use crate::people::roles::Role;
use crate::plan::Plan;
use crate::refusal::Refusal;

/// The `typ` of a review that is signed with a principal's own key.
const REVIEW_TYPE: &str = "bailiwick-run-review+jwt";
const MAX_SIGNED_BYTES: usize = 64 * 1024;

/// What somebody says of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reviewing {
    /// The verdict.
    pub verdict: ReviewVerdict,
    /// Of which criteria; `None`: of those that a review shows, and of those of which
    /// a review said something before.
    pub criteria: Option<Vec<String>>,
    /// What was put right, or is wrong.
    pub what: Option<String>,
    /// Why.
    pub why: Option<String>,
}

impl Reviewing {
    fn check(&self, workflow: &Workflow) -> Result<(), RunError> {
        for (member, text) in [("what", &self.what), ("why", &self.why)] {
            let long = text.as_ref().is_some_and(|t| t.chars().count() > MAX_REVIEW_CHARS);
            let empty = text.as_ref().is_some_and(|t| t.trim().is_empty());
            // Nobody learns from a no without words.
            let missing = text.is_none() && self.verdict != ReviewVerdict::Accepted;
            if long || empty || missing {
                return Err(RunError::ReviewWords { member });
            }
        }
        let mut seen = BTreeSet::new();
        for id in self.criteria.iter().flatten() {
            if !workflow.checklist.completion.iter().any(|c| c.id == *id) {
                return Err(RunError::unknown_criterion(id, workflow));
            }
            if !seen.insert(id) {
                return Err(RunError::CriterionTwice { criterion: id.clone() });
            }
        }
        Ok(())
    }

    /// The evidence that the review is. `known` is what there is already.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn evidence(
        &self,
        run: &Run,
        workflow: &Workflow,
        known: &[RunEvidence],
        (reviewer, moment): (&Alias, &Moment<'_>),
    ) -> Result<Vec<RunEvidence>, RunError> {
        self.check(workflow)?;
        let human = EvidenceGrade::Human.as_str();
        let spoken = |id: &str| known.iter().any(|e| e.criterion == id && e.grade == human);
        let ids: Vec<&str> = match &self.criteria {
            Some(ids) => ids.iter().map(String::as_str).collect(),
            None => {
                let all = workflow.checklist.completion.iter();
                all.filter(|c| c.by == Backing::Review || spoken(&c.id))
                    .map(|c| c.id.as_str())
                    .collect()
            }
        };
        let last = known.iter().map(|e| e.n).max().unwrap_or(0);
        let one = |(id, n): (&str, u32)| RunEvidence {
            run: run.id.clone(),
            n,
            criterion: id.to_owned(),
            grade: human.to_owned(),
            holds: self.verdict != ReviewVerdict::Rejected,
            action: None,
            by: reviewer.to_string(),
            made: moment.now(),
            seen: None,
        };
        Ok(ids.into_iter().zip(last.saturating_add(1)..).map(one).collect())
    }

    /// What is signed. `before`: how many reviews the run has, so that an old word is
    /// not said again over a newer one.
    fn to_json(&self, run: &RunId, before: usize) -> Object {
        let before = u64::try_from(before).unwrap_or(u64::MAX);
        let mut o = Object::new()
            .with("run", run)
            .with("verdict", self.verdict.as_str())
            .with("reviews", before);
        if let Some(criteria) = &self.criteria {
            let criteria: Vec<Json> = criteria.iter().map(|c| Json::from(c.as_str())).collect();
            o.insert("criteria", criteria);
        }
        for (name, text) in [("what", &self.what), ("why", &self.why)] {
            if let Some(text) = text {
                o.insert(name, text.as_str());
            }
        }
        o
    }

    /// Signs it with a principal's own key, as the word after `before` others.
    ///
    /// # Errors
    /// [`KeyError`] when the library refuses to sign.
    pub fn sign(
        &self,
        (run, before): (&RunId, usize),
        key: &dyn JwsSigner,
    ) -> Result<String, KeyError> {
        jose::sign(REVIEW_TYPE, None, &self.to_json(run, before).into(), key)
    }

    /// Whether one of `keys` signed exactly this, of exactly this run and after as many
    /// others.
    #[must_use]
    pub fn is_signed(
        &self,
        (run, before): (&RunId, usize),
        signed: &str,
        keys: &[VerifyingKey],
    ) -> bool {
        const RULES: HeaderRules<'_> = HeaderRules::typed(&[REVIEW_TYPE]);
        let jws = Jws::parse(signed, MAX_SIGNED_BYTES).and_then(|jws| jws.check_header(&RULES));
        let Ok(jws) = jws else { return false };
        let holds = |key: &VerifyingKey| {
            let said = key.accepts(jws.algorithm()).then(|| jws.verify(key));
            said.is_some_and(|said| said.is_ok_and(|said| said == self.to_json(run, before)))
        };
        keys.iter().any(holds)
    }
}

/// Whether somebody may review a run: whom its workflow names; where it names nobody,
/// its owner.
#[must_use]
pub fn may_review(
    workflow: &Workflow,
    run: &Run,
    (id, alias): (&PrincipalId, &Alias),
    roles: &[Role],
) -> bool {
    let owner = BTreeSet::from([Reviewer::Owner]);
    let by = workflow.checklist.review.as_ref().map_or(&owner, |review| &review.by);
    let granted = *alias == run.principal;
    by.iter().any(|reviewer| match reviewer {
        Reviewer::Owner => *id == workflow.owner,
        Reviewer::Principal => granted,
        Reviewer::Named(named) => named == id,
        // SECURITY: a role lets nobody review what they granted themselves.
        Reviewer::Role(role) => !granted && roles.iter().any(|r| r.as_str() == role),
    })
}

/// Records a review. `evidence` is that of `reviewing`; `derived`, whether every
/// criterion is met with it. `signed`: the reviewer's signature, where a key of theirs
/// and no session says who they are.
///
/// The outcome says whether the run counts as complete now.
///
/// # Errors
/// [`RunError::NotEnded`]; [`Refusal::NoEntropy`].
pub fn review(
    moment: &Moment<'_>,
    installation: &Installation,
    (run, reviewer, n): (&Run, &Alias, u32),
    reviewing: &Reviewing,
    signed: Option<&str>,
    (evidence, derived): (Vec<RunEvidence>, bool),
) -> Result<Plan<bool>, Refusal> {
    if run.state == RunState::Open {
        return Err(RunError::NotEnded.into());
    }
    let complete = counts(run.state, Some(reviewing.verdict), derived);
    let mut step = step(moment, installation, Kind::RunReviewed, run)?
        .with("reviewer", reviewer)
        .with("verdict", reviewing.verdict.as_str())
        .with("complete", complete);
    let texts = [("what", reviewing.what.as_deref()), ("why", reviewing.why.as_deref())];
    for (field, text) in texts.into_iter().chain([("signed", signed)]) {
        if let Some(text) = text {
            step = step.commit(moment, field, text)?;
        }
    }
    let row = Row::RunReviewed {
        review: RunReview {
            run: run.id.clone(),
            n,
            verdict: reviewing.verdict,
            reviewer: reviewer.clone(),
            made: moment.now(),
        },
        complete,
        evidence,
    };
    Ok(Plan::one(step.row(row), complete))
}

/// Whether a run counts as complete: its agent claimed it, every criterion is met, and
/// nobody's last word is that it is of no use.
#[must_use]
pub const fn counts(state: RunState, review: Option<ReviewVerdict>, derived: bool) -> bool {
    derived
        && matches!(state, RunState::Claimed)
        && !matches!(review, Some(ReviewVerdict::Rejected))
}
