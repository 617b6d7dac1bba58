//! The witness that stage 4 let a verified call pass.
//!
//! A [`Permit`] has no public constructor: [`rule`] makes it, of a call that
//! core verified under the accountable profile and of nothing else.
//!
//! ```compile_fail
//! use bailiwick_policy::permit::Permit;
//! fn forge(real: Permit) -> Permit {
//!     Permit { case: real.case }
//! }
//! ```

use bailiwick_core::aat::verify::Verified;
use bailiwick_core::accountable::Accountable;
use bailiwick_core::approval::standing::Use;
use bailiwick_core::crypto::Digest;
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::guarantee::Assurance;
use bailiwick_core::ids::ToolId;

use crate::approvers::{Approved, StandingApproved};
use crate::catalogue::Rating;
use crate::decide::{CallFacts, Finding, PolicyDecision, PolicyInput, Upstream};
use crate::grades::{Consent, Level, RunState, Source, UpstreamIdentity};
use crate::in_force::{Heard, Policies};
use crate::workflow::Workflow;

/// What stage 4 looked at and said; the same whatever the answer.
#[derive(Debug)]
pub struct Case {
    verified: Verified<Accountable>,
    rating: Rating,
    level: Level,
    assurance: Assurance,
    finding: Finding,
    heard: Heard,
}

impl Case {
    /// The verified call.
    #[must_use]
    pub fn verified(&self) -> &Verified<Accountable> {
        &self.verified
    }

    /// Our rating of the tool.
    #[must_use]
    pub fn rating(&self) -> &Rating {
        &self.rating
    }

    /// The level in force.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// What possession was proved.
    #[must_use]
    pub const fn assurance(&self) -> Assurance {
        self.assurance
    }

    /// The rule that settled it.
    #[must_use]
    pub fn finding(&self) -> &Finding {
        &self.finding
    }

    /// What the organisation's bundles said.
    #[must_use]
    pub fn heard(&self) -> &Heard {
        &self.heard
    }
}

/// A verified call that policy lets pass.
#[derive(Debug)]
pub struct Permit {
    case: Case,
}

impl Permit {
    /// What was looked at.
    #[must_use]
    pub fn case(&self) -> &Case {
        &self.case
    }
}

/// A verified call that needs a person's decision.
#[derive(Debug)]
pub struct Ask {
    case: Case,
}

impl Ask {
    /// What was looked at.
    #[must_use]
    pub fn case(&self) -> &Case {
        &self.case
    }

    /// Lets the call pass: people approved the action with this digest, asked by
    /// the same rule of the same policy. An approval of anything else gives the
    /// question back.
    ///
    /// # Errors
    /// `self`, as it was.
    pub fn approve(
        self,
        approved: &Approved,
        action: &Digest,
        policy: &Digest,
    ) -> Result<Permit, Box<Self>> {
        let question = approved.question();
        let same = question.action == *action
            && question.policy == *policy
            && question.rule == self.case.finding.rule.as_ref();
        if same { Ok(Permit { case: self.case }) } else { Err(Box::new(self)) }
    }

    /// What a standing approval must cover to let this call pass: the verified
    /// call's own root, tool and arguments. `pin` is the tool's definition as
    /// catalogued, `policy` the version of the policy that asks.
    #[must_use]
    pub fn as_use(&self, pin: Option<Digest>, policy: Digest) -> Use<'_> {
        let verified = &self.case.verified;
        Use {
            root: verified.chain().root_hash(),
            tool: verified.tool(),
            pin,
            arguments: verified.arguments(),
            policy,
            rule: self.case.finding.rule.as_ref(),
        }
    }

    /// Lets the call pass as the same again: people signed terms that cover it. A
    /// call that they do not cover gives the question back.
    ///
    /// # Errors
    /// `self`, as it was.
    pub fn approve_again(
        self,
        approved: &StandingApproved,
        pin: Option<Digest>,
        policy: Digest,
    ) -> Result<Permit, Box<Self>> {
        match approved.terms().covers(&self.as_use(pin, policy)) {
            true => Ok(Permit { case: self.case }),
            false => Err(Box::new(self)),
        }
    }
}

/// A verified call that policy forbids.
#[derive(Debug)]
pub struct Refusal {
    verified: Verified<Accountable>,
    denial: Denial,
    finding: Option<Finding>,
    heard: Heard,
}

impl Refusal {
    /// The verified call.
    #[must_use]
    pub fn verified(&self) -> &Verified<Accountable> {
        &self.verified
    }

    /// Why.
    #[must_use]
    pub fn denial(&self) -> &Denial {
        &self.denial
    }

    /// The rule that settled it, if it came to the rules.
    #[must_use]
    pub fn finding(&self) -> Option<&Finding> {
        self.finding.as_ref()
    }

    /// What the organisation's bundles said, if it came to them.
    #[must_use]
    pub fn heard(&self) -> &Heard {
        &self.heard
    }
}

/// Stage 4's answer.
#[derive(Debug)]
pub enum Ruling {
    /// Let it pass.
    Permit(Permit),
    /// Ask a person.
    Ask(Ask),
    /// Deny.
    Refuse(Refusal),
}

/// What the gateway knows of a call besides its chain and its workflow.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// By whose account the tool server will know it; `None`, if it is shown no
    /// credential.
    pub identity: Option<UpstreamIdentity>,
    /// The level that the workflow's record leaves it. It lowers what the
    /// checklist carries and never raises it.
    pub in_force: Level,
    /// Whether it belongs to an open run of its task.
    pub run: RunState,
}

impl Circumstances {
    /// The level in force for calls under `workflow`.
    #[must_use]
    pub fn level(&self, workflow: &Workflow) -> Level {
        workflow.permitted_level().min(self.in_force)
    }
}

/// Decides about a verified call under `workflow`, whose digest must be the
/// one that the chain names: the caller looked it up by that digest.
#[must_use]
pub fn rule(
    verified: Verified<Accountable>,
    workflow: &Workflow,
    policies: &Policies,
    circumstances: Circumstances,
) -> Ruling {
    let assurance = verified.assurance();
    match weigh(&verified, workflow, policies, circumstances) {
        Ok((rating, decision, heard)) => {
            let (rating, level) = (rating.clone(), circumstances.level(workflow));
            let case = |verified, finding, heard| Case {
                verified,
                rating,
                level,
                assurance,
                finding,
                heard,
            };
            match decision {
                PolicyDecision::Allow(finding) => {
                    Ruling::Permit(Permit { case: case(verified, finding, heard) })
                }
                PolicyDecision::ApprovalRequired(finding) => {
                    Ruling::Ask(Ask { case: case(verified, finding, heard) })
                }
                PolicyDecision::Deny(finding) => {
                    // A code without a row in core's table still denies.
                    let reason = Reason::parse(finding.denial_code).unwrap_or(Reason::PolicyDenied);
                    let denial = Denial::new(reason).about(finding.rule.as_ref());
                    Ruling::Refuse(Refusal { verified, denial, finding: Some(finding), heard })
                }
            }
        }
        Err(denial) => {
            Ruling::Refuse(Refusal { verified, denial, finding: None, heard: Heard::default() })
        }
    }
}

fn weigh<'w>(
    verified: &Verified<Accountable>,
    workflow: &'w Workflow,
    policies: &Policies,
    circumstances: Circumstances,
) -> Result<(&'w Rating, PolicyDecision, Heard), Denial> {
    let facts = verified.facts();
    let uncatalogued = || Denial::new(Reason::ToolNotCatalogued).about(verified.tool());
    if workflow.id != facts.authority.workflow {
        return Err(Denial::new(Reason::PolicyDenied).about("workflow"));
    }
    // Every hop works on a task of this workflow, not only the caller.
    if let Some(hop) = facts.hops.iter().find(|hop| !workflow.permits_agent(&hop.agent)) {
        return Err(Denial::new(Reason::PolicyDenied).about(hop.agent.as_str()));
    }
    let caller = facts.caller().ok_or_else(|| Denial::new(Reason::KeyNotEnrolled))?;
    let tool = ToolId::parse(verified.tool()).map_err(|_| uncatalogued())?;
    let rating = workflow.catalogue.rating(&tool).ok_or_else(uncatalogued)?;
    let rules = verified.chain().scope().and_then(|scope| scope.rules(verified.tool()));
    let input = PolicyInput {
        agent: &caller.agent,
        tool: &tool,
        rating: Some(rating),
        level: circumstances.level(workflow),
        source: Source::of(workflow.checklist.data_sources.as_ref(), &tool, rating),
        runs: workflow.checklist.runs,
        run: circumstances.run,
        assurance: verified.assurance(),
        guarantee: facts.guarantee,
        isolation: facts.isolation,
        consent: if facts.grant_signed { Consent::Signed } else { Consent::Attested },
        upstream: Upstream::of(circumstances.identity, rating, rules),
        call: CallFacts::new(facts, verified.arguments(), verified.now()),
    };
    let (decision, heard) = policies.decide(&input);
    Ok((rating, decision, heard))
}
