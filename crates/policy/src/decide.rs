//! Stage 4: policy. A total, pure function of its input.
//!
//! The built-in rules look at the workflow's level, our rating of the tool,
//! what possession was proved, how sure we are of the chain's weakest peer and
//! whose signature the grant carries. The organisation's bundle is
//! one voice more ([`Policies`](crate::in_force::Policies)); all are combined
//! alike: a denial wins, then a call for approval, then an allow; without any
//! allow the answer is deny.

use std::borrow::Cow;

use bailiwick_core::accountable::Facts;
use bailiwick_core::ids::{AgentId, PrincipalId, TaskId, ToolId, WorkflowId};
use bailiwick_core::json::Object;
use bailiwick_core::scope::{ArgumentRules, NamedArgument};
use bailiwick_core::time::Timestamp;

use crate::catalogue::{Personal, Rating};
use crate::grades::{
    Assurance, Consent, Effect, Guarantee, Isolation, Level, Risk, RunState, Runs, Source,
    UpstreamIdentity,
};

/// Everything that policy looks at.
#[derive(Clone, Debug)]
pub struct PolicyInput<'a> {
    /// The acting agent.
    pub agent: &'a AgentId,
    /// The tool.
    pub tool: &'a ToolId,
    /// Our rating of it; none, if the workflow does not catalogue it.
    pub rating: Option<&'a Rating>,
    /// The workflow's level in force: what it states, as far as its checklist and
    /// its record carry it.
    pub level: Level,
    /// Whether the workflow lists what the call reads from; none, if it has no
    /// list of data sources.
    pub source: Option<Source>,
    /// Whether the workflow's calls must belong to a run.
    pub runs: Runs,
    /// Whether this one does.
    pub run: RunState,
    /// What possession was proved for this call.
    pub assurance: Assurance,
    /// The guarantee of the chain's weakest hop.
    pub guarantee: Guarantee,
    /// The isolation of the chain's weakest hop.
    pub isolation: Isolation,
    /// Whose signature the grant carries.
    pub consent: Consent,
    /// By whose account the tool server will know the call.
    pub upstream: Upstream,
    /// What the built-in rules do not look at.
    pub call: CallFacts<'a>,
}

/// By whose account a tool server will know a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// The principal's own, or none: it is shown no credential.
    Apart,
    /// One for everybody, and the delegation fixes the argument that says whose
    /// data are meant.
    Bound,
    /// One for everybody: it cannot keep one principal's data from another.
    Shared,
}

impl Upstream {
    /// All, from the one that tells principals apart to the one that cannot.
    pub const ALL: &'static [Self] = &[Self::Apart, Self::Bound, Self::Shared];

    /// Its name, as decisions retain it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apart => "apart",
            Self::Bound => "bound",
            Self::Shared => "shared",
        }
    }

    /// Reads its name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|u| u.as_str() == text)
    }

    /// What follows from the account that the gateway shows, our rating of the
    /// tool, and the delegation's rules for its arguments.
    #[must_use]
    pub fn of(
        identity: Option<UpstreamIdentity>,
        rating: &Rating,
        rules: Option<&ArgumentRules>,
    ) -> Self {
        if identity != Some(UpstreamIdentity::Shared) || rating.personal == Personal::No {
            return Self::Apart;
        }
        let Personal::ByArgument(name) = &rating.personal else { return Self::Shared };
        // A range or a length keeps nobody to what is theirs.
        let fixes = |argument: &NamedArgument| {
            let fixed = ["exact", "one_of", "path_under", "url_within"];
            !argument.is_optional() && fixed.contains(&argument.constraint().type_name())
        };
        match rules.and_then(|rules| rules.argument(name)) {
            Some(argument) if fixes(argument) => Self::Bound,
            _ => Self::Shared,
        }
    }
}

/// What only an organisation's policy asks of a call.
#[derive(Clone, Copy, Debug)]
pub struct CallFacts<'a> {
    /// On whose authority.
    pub principal: &'a PrincipalId,
    /// The task.
    pub task: &'a TaskId,
    /// Its workflow.
    pub workflow: &'a WorkflowId,
    /// The arguments, as they were proved and will be forwarded.
    pub arguments: &'a Object,
    /// Instances in the chain, the caller's included.
    pub hops: usize,
    /// Age of what was known of revocations, milliseconds.
    pub staleness_ms: i64,
    /// The time of the decision.
    pub now: Timestamp,
}

impl<'a> CallFacts<'a> {
    /// From what the accountable profile established.
    #[must_use]
    pub fn new(facts: &'a Facts, arguments: &'a Object, now: Timestamp) -> Self {
        Self {
            principal: &facts.authority.principal,
            task: &facts.authority.task,
            workflow: &facts.authority.workflow,
            arguments,
            hops: facts.hops.len(),
            staleness_ms: facts.staleness_ms,
            now,
        }
    }
}

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident = $id:literal, $denial:literal, $text:literal;)*) => {
        /// A built-in rule.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule { $(#[doc = $text] $variant,)* }

        impl Rule {
            /// Every rule, in the order in which they are asked.
            pub const ALL: &'static [Rule] = &[$(Rule::$variant,)*];

            /// The stable id.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Rule::$variant => $id,)* }
            }

            /// The code of the denial that follows, for the wire and the
            /// ledger (`bailiwick_core::denial::Reason`); `approval-required`
            /// for a rule that asks for approval, empty for one that allows.
            #[must_use]
            pub const fn denial_code(self) -> &'static str {
                match self { $(Rule::$variant => $denial,)* }
            }

            /// What it says, in one sentence.
            #[must_use]
            pub const fn explanation(self) -> &'static str {
                match self { $(Rule::$variant => $text,)* }
            }
        }
    };
}

rules! {
    Uncatalogued = "uncatalogued", "tool-not-catalogued",
        "a tool that the workflow does not catalogue is never called";
    NoAssurance = "no-assurance", "assurance-too-low",
        "a call without any proof of possession is allowed only for a tool that the workflow lists for bearer tokens";
    AssuranceFloor = "assurance-floor", "assurance-too-low",
        "reads of low or medium risk need proof of the token's key, low-risk effects need a signature over the request, and everything else needs proof over the arguments";
    GuaranteeFloor = "guarantee-floor", "policy-denied",
        "an action of critical risk needs every hop of the chain to be known by more than an enrolled key";
    AttestedGrant = "attested-grant", "attested-grant-capped",
        "a grant without the principal's own signature reaches low risk only";
    UndeclaredSource = "undeclared-source", "source-undeclared",
        "a read from a tool server, or of a class of data, that the workflow's data sources do not list is never made";
    OutsideRun = "outside-run", "run-required",
        "a workflow that requires runs has no call outside of an open run of its task";
    CriticalRisk = "critical-risk", "approval-required",
        "an action of critical risk needs a person's approval at every level";
    UnisolatedEffect = "unisolated-effect", "approval-required",
        "an effect of high risk by a program that nothing keeps from its keys needs a person's approval";
    ManualEffect = "manual-effect", "approval-required",
        "at level manual every effect needs a person's approval";
    ManualRead = "manual-read", "approval-required",
        "at level manual a read of high risk needs a person's approval";
    SupervisedEffect = "supervised-effect", "approval-required",
        "at level supervised an effect of medium risk or above needs a person's approval";
    SharedIdentity = "shared-identity", "approval-required",
        "a tool server that knows all principals by one account is called without a person only with a tool whose data are nobody's own, or whose argument the delegation fixes to the principal's";
    WithinLevel = "within-level", "",
        "the workflow's level lets agents do this within scope, window and budget";
}

/// One rule's word on a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does not concern this call.
    Silent,
    /// It lets the call pass.
    Allow(Finding),
    /// It asks for a person.
    Approval(Finding),
    /// It forbids the call. A guardrail that cannot be evaluated says this.
    Deny(Finding),
}

/// Which rule spoke, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's stable id.
    pub rule: Cow<'static, str>,
    /// One sentence that a person understands, without argument values.
    pub reason: Cow<'static, str>,
    /// The code of the denial; empty for an allow.
    pub denial_code: &'static str,
}

impl From<Rule> for Finding {
    fn from(rule: Rule) -> Self {
        Self {
            rule: Cow::Borrowed(rule.id()),
            reason: Cow::Borrowed(rule.explanation()),
            denial_code: rule.denial_code(),
        }
    }
}

/// The answer of stage 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyDecision {
    /// Policy lets the call pass.
    Allow(Finding),
    /// Policy forbids the call.
    Deny(Finding),
    /// A person has to decide.
    ApprovalRequired(Finding),
}

impl PolicyDecision {
    /// The rule that settled it and why.
    #[must_use]
    pub fn finding(&self) -> &Finding {
        match self {
            Self::Allow(f) | Self::Deny(f) | Self::ApprovalRequired(f) => f,
        }
    }

    /// `allow`, `deny` or `approval_required`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Allow(_) => "allow",
            Self::Deny(_) => "deny",
            Self::ApprovalRequired(_) => "approval_required",
        }
    }
}

/// Decides by the built-in rules alone.
#[must_use]
pub fn decide(input: &PolicyInput<'_>) -> PolicyDecision {
    combine(Rule::verdicts(input))
}

/// A denial wins, then approval, then allow; of several, the first. Without
/// any word: deny.
pub fn combine(verdicts: impl IntoIterator<Item = Verdict>) -> PolicyDecision {
    let mut best: Option<PolicyDecision> = None;
    for verdict in verdicts {
        match (verdict, &best) {
            (Verdict::Deny(f), _) => return PolicyDecision::Deny(f),
            (Verdict::Approval(f), None | Some(PolicyDecision::Allow(_))) => {
                best = Some(PolicyDecision::ApprovalRequired(f));
            }
            (Verdict::Allow(f), None) => best = Some(PolicyDecision::Allow(f)),
            _ => {}
        }
    }
    best.unwrap_or(PolicyDecision::Deny(Finding {
        rule: Cow::Borrowed("default-deny"),
        reason: Cow::Borrowed("no rule allows this call"),
        denial_code: "no-policy",
    }))
}

impl Rule {
    /// The word of every rule, in order.
    pub(crate) fn verdicts(input: &PolicyInput<'_>) -> impl Iterator<Item = Verdict> {
        Self::ALL.iter().map(move |rule| rule.judge(input))
    }

    fn judge(self, input: &PolicyInput<'_>) -> Verdict {
        let Some(rating) = input.rating else {
            return if self == Self::Uncatalogued {
                Verdict::Deny(self.into())
            } else {
                Verdict::Silent
            };
        };
        let (risk, effect) = (rating.risk, rating.effect);
        let deny =
            |applies: bool| if applies { Verdict::Deny(self.into()) } else { Verdict::Silent };
        let ask =
            |applies: bool| if applies { Verdict::Approval(self.into()) } else { Verdict::Silent };
        match self {
            Self::Uncatalogued => Verdict::Silent,
            Self::NoAssurance => deny(input.assurance == Assurance::None && !for_bearers(rating)),
            Self::AssuranceFloor => deny(
                input.assurance < assurance_floor(risk, effect)
                    && !(input.assurance == Assurance::None && for_bearers(rating)),
            ),
            Self::GuaranteeFloor => {
                deny(risk == Risk::Critical && input.guarantee < Guarantee::Jwt)
            }
            Self::AttestedGrant => deny(input.consent < Consent::Signed && risk > Risk::Low),
            Self::UndeclaredSource => {
                deny(effect == Effect::Read && input.source == Some(Source::Undeclared))
            }
            Self::OutsideRun => deny(input.runs == Runs::Required && input.run == RunState::None),
            Self::CriticalRisk => ask(risk == Risk::Critical),
            Self::UnisolatedEffect => ask(input.isolation == Isolation::None
                && effect == Effect::Write
                && risk >= Risk::High),
            Self::ManualEffect => ask(input.level == Level::Manual && effect == Effect::Write),
            Self::ManualRead => {
                ask(input.level == Level::Manual && effect == Effect::Read && risk >= Risk::High)
            }
            Self::SupervisedEffect => ask(input.level == Level::Supervised
                && effect == Effect::Write
                && risk >= Risk::Medium),
            Self::SharedIdentity => ask(input.upstream == Upstream::Shared),
            Self::WithinLevel => match (input.level, effect) {
                (Level::Bounded | Level::Autonomous, _) | (_, Effect::Read) => {
                    Verdict::Allow(self.into())
                }
                (Level::Supervised, Effect::Write) if risk < Risk::Medium => {
                    Verdict::Allow(self.into())
                }
                (Level::Manual | Level::Supervised, Effect::Write) => Verdict::Silent,
            },
        }
    }
}

/// Whether a tool is listed for bearer tokens, and is what may be listed so
/// (DESIGN rule 1), whoever made the rating.
fn for_bearers(rating: &Rating) -> bool {
    rating.bearer && rating.risk == Risk::Low && rating.effect == Effect::Read
}

/// The least assurance for a call of this rating.
const fn assurance_floor(risk: Risk, effect: Effect) -> Assurance {
    match (risk, effect) {
        (Risk::Low | Risk::Medium, Effect::Read) => Assurance::Token,
        (Risk::Low, Effect::Write) => Assurance::Request,
        (Risk::Medium, Effect::Write) | (Risk::High | Risk::Critical, _) => Assurance::Arguments,
    }
}

#[cfg(test)]
pub(crate) mod tests;
