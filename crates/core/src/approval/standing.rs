//! Standing approvals: "the same again", within bounds that a person signed.
//!
//! A standing approval is a statement over root, tool, pin, what the arguments
//! may be, how often and in which time, under one policy and for one of its
//! rules. It adds no authority: the delegation's own bounds are looked at
//! before it, and it satisfies stage 5 only.

use super::{ApprovalError, Grade, Registered, Signable, Signed, Verdict};
use crate::constraint::{Constraint, Dialect};
use crate::crypto::{Digest, KeyError, sha256};
use crate::ids::{StandingId, ToolId};
use crate::jose::JwsSigner;
use crate::json::{Json, Object};
use crate::limits::ChainLimits;
use crate::scope::{ArgumentRules, Scope, ScopeError};
use crate::time::Timestamp;

#[cfg(test)]
mod tests;

/// The `typ` of a standing approval signed with an approver's key.
pub const TYPE: &str = "bailiwick-standing+jwt";
/// Calls that one standing approval lets pass at most.
pub const MAX_COUNT: u64 = 100;
/// Seconds that one standing approval may last at most.
pub const MAX_SECONDS: i64 = 86_400;

const MEMBERS: [&str; 12] = [
    "v",
    "standing",
    "verdict",
    "root",
    "tool",
    "pin",
    "constraints",
    "count",
    "from",
    "until",
    "policy",
    "rule",
];

/// Terms that nobody may sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// Not of the documented form.
    #[error("`{member}` of the standing approval is missing or malformed")]
    Malformed {
        /// Which.
        member: &'static str,
    },
    /// The constraints do not read, or permit arguments that they do not name.
    #[error("the constraints do not name every argument that may be given")]
    Open,
    /// A constraint is refused.
    #[error("the constraints are refused: {0}")]
    Constraints(#[from] ScopeError),
    /// Too often.
    #[error("a standing approval is for 1 to {MAX_COUNT} calls, not {count}")]
    Count {
        /// How often it was to count.
        count: u64,
    },
    /// It ends before it begins, or lasts too long.
    #[error("a standing approval lasts {MAX_SECONDS} seconds at most and ends after it begins")]
    Window,
}

impl TermsError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "standing-malformed",
            Self::Open => "standing-open",
            Self::Constraints(_) => "standing-constraints",
            Self::Count { .. } => "standing-count",
            Self::Window => "standing-window",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "make it with `bailiwick approvals standing approve`",
            Self::Open => "name every argument and what it may be",
            Self::Constraints(_) => "write each constraint as docs/constraints.md shows",
            Self::Count { .. } => "let it count for fewer calls",
            Self::Window => "let it end within a day",
        }
    }
}

/// What a standing approval lets pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// Its id.
    pub id: StandingId,
    /// Under which root, by its token hash.
    pub root: Digest,
    /// The definition that the tool must have.
    pub pin: Option<Digest>,
    /// How many calls.
    pub count: u64,
    /// From when, seconds.
    pub from: Timestamp,
    /// Until when, seconds.
    pub until: Timestamp,
    /// The version of the policy that asked: see [`super::policy_version`].
    pub policy: Digest,
    /// The rule that asked.
    pub rule: String,
    tool: ToolId,
    /// One tool with closed rules.
    permitted: Scope,
}

/// A call that is to pass by a standing approval.
#[derive(Clone, Copy, Debug)]
pub struct Use<'a> {
    /// Its root's token hash.
    pub root: Digest,
    /// The tool.
    pub tool: &'a str,
    /// The tool's definition, as catalogued.
    pub pin: Option<Digest>,
    /// The arguments as forwarded.
    pub arguments: &'a Object,
    /// The version of the policy that asks.
    pub policy: Digest,
    /// The rule that asks.
    pub rule: &'a str,
}

/// Bounds in which a call is the same again.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// What each argument may be.
    pub arguments: ArgumentRules,
    /// How many calls.
    pub count: u64,
    /// From when; whole seconds count.
    pub from: Timestamp,
    /// Until when; whole seconds count.
    pub until: Timestamp,
}

/// Rules for exactly these arguments and no others.
///
/// # Errors
/// When an argument's name or number cannot stand in a constraint.
pub fn exactly(arguments: &Object) -> Result<ArgumentRules, ScopeError> {
    if arguments.is_empty() {
        return Ok(ArgumentRules::none());
    }
    let mut named = Vec::with_capacity(arguments.len());
    for (name, value) in arguments.iter() {
        let constraint = match value {
            // `exact` takes no arrays and objects.
            Json::Array(_) | Json::Object(_) => Constraint::one_of([value.clone()]),
            _ => Constraint::exact(value.clone()),
        };
        let constraint = constraint.map_err(|error| ScopeError::Constraint {
            tool: String::new(),
            argument: name.to_owned(),
            error,
        })?;
        named.push((name.to_owned(), constraint, false));
    }
    ArgumentRules::new(named, false)
}

impl Terms {
    /// Terms under which calls like `call` are the same again.
    ///
    /// # Errors
    /// See [`TermsError`].
    pub fn new(
        id: StandingId,
        tool: ToolId,
        call: &Use<'_>,
        bounds: Bounds,
    ) -> Result<Self, TermsError> {
        let Bounds { arguments, count, from, until } = bounds;
        if arguments.is_open() {
            return Err(TermsError::Open);
        }
        let permitted = Scope::from_entries([(tool.as_str().to_owned(), arguments)])?;
        let whole = |at: Timestamp| Timestamp::from_seconds(at.seconds());
        let terms = Self {
            id,
            root: call.root,
            pin: call.pin,
            count,
            from: whole(from),
            until: whole(until),
            policy: call.policy,
            rule: call.rule.to_owned(),
            tool,
            permitted,
        };
        terms.bounded()
    }

    fn bounded(self) -> Result<Self, TermsError> {
        if self.count == 0 || self.count > MAX_COUNT {
            return Err(TermsError::Count { count: self.count });
        }
        let seconds = self.until.seconds().saturating_sub(self.from.seconds());
        if !(1..=MAX_SECONDS).contains(&seconds) {
            return Err(TermsError::Window);
        }
        Ok(self)
    }

    /// The tool.
    #[must_use]
    pub const fn tool(&self) -> &ToolId {
        &self.tool
    }

    /// What the arguments may be, as in a token.
    #[must_use]
    pub fn constraints(&self) -> Json {
        self.permitted.rules(self.tool.as_str()).map_or(Json::Null, ArgumentRules::to_json)
    }

    /// Whether `call` is the same again. Time and count are asked elsewhere.
    #[must_use]
    pub fn covers(&self, call: &Use<'_>) -> bool {
        self.root == call.root
            && self.tool.as_str() == call.tool
            && self.pin == call.pin
            && self.policy == call.policy
            && self.rule == call.rule
            && self.permitted.permits(call.tool, call.arguments).is_ok()
    }

    /// Whether it lasts at `now`.
    #[must_use]
    pub fn lasts(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }

    /// What is signed, before it is hashed.
    #[must_use]
    pub fn statement(&self) -> Json {
        Object::new()
            .with("v", 1u64)
            .with("standing", &self.id)
            .with("verdict", Verdict::Approve.as_str())
            .with("root", self.root)
            .with("tool", self.tool.as_str())
            .with("pin", self.pin)
            .with("constraints", self.constraints())
            .with("count", self.count)
            .with("from", self.from.seconds())
            .with("until", self.until.seconds())
            .with("policy", self.policy)
            .with("rule", self.rule.as_str())
            .into()
    }

    /// Reads what [`Terms::statement`] writes, and nothing more.
    ///
    /// # Errors
    /// See [`TermsError`].
    pub fn from_json(json: &Json) -> Result<Self, TermsError> {
        let bad = |member| TermsError::Malformed { member };
        let o = json.as_object().ok_or(bad("v"))?;
        if o.len() != MEMBERS.len() {
            return Err(bad("v"));
        }
        let text = |member| o.member(member).and_then(Json::as_str).ok_or(bad(member));
        let digest = |member| Digest::from_text(text(member)?).ok_or(bad(member));
        let integer = |member| {
            o.member(member).and_then(|n| n.as_number()?.as_plain_integer()).ok_or(bad(member))
        };
        if integer("v")? != 1 {
            return Err(bad("v"));
        }
        if text("verdict")? != Verdict::Approve.as_str() {
            return Err(bad("verdict"));
        }
        let tool = ToolId::parse(text("tool")?).map_err(|_| bad("tool"))?;
        let pin = match o.member("pin").ok_or(bad("pin"))? {
            Json::Null => None,
            _ => Some(digest("pin")?),
        };
        let constraints = o.member("constraints").ok_or(bad("constraints"))?;
        let tools = Object::new().with(tool.as_str(), constraints.clone());
        let depth = ChainLimits::DEFAULT.max_constraint_depth;
        let permitted = Scope::parse(&tools, Dialect::Extended, depth)?;
        // SECURITY: an empty map would mean any arguments.
        if permitted.rules(tool.as_str()).is_none_or(ArgumentRules::is_open) {
            return Err(TermsError::Open);
        }
        let count = u64::try_from(integer("count")?).map_err(|_| bad("count"))?;
        let terms = Self {
            id: StandingId::parse(text("standing")?).map_err(|_| bad("standing"))?,
            root: digest("root")?,
            pin,
            count,
            from: Timestamp::from_seconds(integer("from")?),
            until: Timestamp::from_seconds(integer("until")?),
            policy: digest("policy")?,
            rule: text("rule")?.to_owned(),
            tool,
            permitted,
        };
        let terms = terms.bounded()?;
        // What is signed is what is kept: one text for one meaning.
        if terms.statement() != *json {
            return Err(bad("constraints"));
        }
        Ok(terms)
    }

    /// SHA-256 of the statement's canonical form.
    #[must_use]
    pub fn digest(&self) -> Digest {
        sha256(self.statement().canonical().as_bytes())
    }

    /// What a signature is over.
    #[must_use]
    pub fn signable(&self) -> Signable {
        let digest = self.digest();
        let payload = Object::new().with("digest", digest).with("standing", &self.id);
        Signable::new(TYPE, digest, payload)
    }

    /// Signs with an approver's key.
    ///
    /// # Errors
    /// [`KeyError`] when the library refuses to sign.
    pub fn sign(&self, signer: &dyn JwsSigner) -> Result<String, KeyError> {
        self.signable().sign(signer)
    }

    /// Whether `signed` is an approver's signature over exactly this, and how it
    /// was made.
    ///
    /// # Errors
    /// See [`ApprovalError`].
    pub fn verify(
        &self,
        signed: &Signed,
        registered: &Registered<'_>,
    ) -> Result<Grade, ApprovalError> {
        self.signable().verify(signed, registered)
    }
}
