//! What principals may do and grant at most: their *ceiling*.
//!
//! The organisation publishes one document of rules. A rule says of whom it
//! speaks (principals, groups, claims of their login: all that it names must
//! fit) and allows workflows, in whole or by shorthand, up to a risk, a window
//! and a depth. *May do* and *may grant* are kept apart: a grant has to be
//! inside both, and what was granted is honoured while it is inside *may do*.
//!
//! Without a document everything is allowed that the workflows allow. With one
//! everything else is closed: who is in no rule may nothing.
//!
//! A grant is judged as a whole. One that reaches beyond the present ceiling in
//! any part is not honoured in the others either: its principal grants anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::ids::{PrincipalId, ToolId, WorkflowId};
use bailiwick_core::json::{Json, Object};

use crate::expand::Part;
use crate::grades::Risk;
use crate::workflow::{self, Problem};

/// The document that the organisation published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entitlements {
    pub(crate) rules: Vec<Rule>,
}

/// One rule: of whom it speaks and what it allows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) principals: BTreeSet<PrincipalId>,
    pub(crate) groups: BTreeSet<String>,
    pub(crate) claims: BTreeMap<String, String>,
    pub(crate) may_do: Vec<Allowance>,
    pub(crate) may_grant: Vec<Allowance>,
}

/// A part of a ceiling. All of it has to fit at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The workflow; any, if none is named.
    pub workflow: Option<WorkflowId>,
    /// Shorthands, as published (`ticket:{id}`) or with values (`ticket:8821`);
    /// all, if none is named.
    pub scope: Option<BTreeSet<String>>,
    /// The highest risk of a tool.
    pub max_risk: Risk,
    /// The longest window of a grant, seconds.
    pub max_window_seconds: u64,
    /// How often a delegation may be passed on.
    pub max_depth: u64,
}

/// Who is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who<'a> {
    /// The principal.
    pub principal: &'a PrincipalId,
    /// The groups that its login stated last.
    pub groups: &'a BTreeSet<String>,
    /// Text claims that its login stated last.
    pub claims: &'a BTreeMap<String, String>,
}

/// A grant, as far as a ceiling bounds it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Under which workflow.
    pub workflow: &'a WorkflowId,
    /// The scope, by the shorthands that were asked for.
    pub parts: &'a [Part],
    /// From begin to end, seconds.
    pub window_seconds: u64,
    /// How often it may be passed on.
    pub max_depth: u64,
}

/// Which half of a ceiling a grant exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Half {
    /// What the principal may do itself.
    MayDo,
    /// What the principal may grant.
    MayGrant,
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MayDo => "do",
            Self::MayGrant => "grant",
        })
    }
}

/// The part of a grant that is beyond the principal's ceiling.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    /// The workflow.
    #[error("the principal may {half} nothing under workflow `{workflow}`")]
    Workflow {
        /// Which half.
        half: Half,
        /// The workflow.
        workflow: WorkflowId,
    },
    /// A shorthand.
    #[error("the principal may not {half} `{shorthand}`")]
    Scope {
        /// Which half.
        half: Half,
        /// The shorthand as asked for.
        shorthand: String,
    },
    /// The risk of a tool.
    #[error("the principal may {half} up to {max} risk in `{shorthand}`, and `{tool}` has {risk}")]
    Risk {
        /// Which half.
        half: Half,
        /// The shorthand as asked for.
        shorthand: String,
        /// The tool.
        tool: ToolId,
        /// Its risk.
        risk: Risk,
        /// The ceiling.
        max: Risk,
    },
    /// The window.
    #[error("the principal may {half} `{shorthand}` for {max} seconds, and {asked} are asked for")]
    Window {
        /// Which half.
        half: Half,
        /// The shorthand as asked for.
        shorthand: String,
        /// What is asked for.
        asked: u64,
        /// The ceiling.
        max: u64,
    },
    /// The depth.
    #[error("the principal may {half} `{shorthand}` with depth {max}, and {asked} is asked for")]
    Depth {
        /// Which half.
        half: Half,
        /// The shorthand as asked for.
        shorthand: String,
        /// What is asked for.
        asked: u64,
        /// The ceiling.
        max: u64,
    },
}

impl Exceeded {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Workflow { .. } => "entitlement-workflow",
            Self::Scope { .. } => "entitlement-scope",
            Self::Risk { .. } => "entitlement-risk",
            Self::Window { .. } => "entitlement-window",
            Self::Depth { .. } => "entitlement-depth",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Workflow { .. } | Self::Scope { .. } | Self::Risk { .. } => {
                "ask for less, or ask whoever publishes the entitlements"
            }
            Self::Window { .. } => "choose an earlier end",
            Self::Depth { .. } => "ask for a smaller depth",
        }
    }
}

/// What one principal may do and grant at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceiling(Option<Halves>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Halves {
    may_do: Vec<Allowance>,
    may_grant: Vec<Allowance>,
}

impl Entitlements {
    /// Reads the document (YAML, as strictly as a workflow).
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the file.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        workflow::read_entitlements(text)
    }

    /// What the document says, as JSON: every default written out. It is
    /// itself such a document.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let texts = |set: &BTreeSet<String>| -> Vec<Json> {
            set.iter().map(|t| Json::from(t.as_str())).collect()
        };
        let allowances = |list: &[Allowance]| -> Vec<Json> {
            let one = |a: &Allowance| -> Json {
                let workflow = a.workflow.as_ref().map_or("*", |w| w.as_str());
                let scope = a.scope.as_ref().map_or_else(|| vec![Json::from("*")], texts);
                Object::new()
                    .with("workflow", workflow)
                    .with("scope", scope)
                    .with("max_risk", a.max_risk)
                    .with("max_window_seconds", a.max_window_seconds)
                    .with("max_depth", a.max_depth)
                    .into()
            };
            list.iter().map(one).collect()
        };
        let rule = |rule: &Rule| -> Json {
            let mut who = Object::new();
            if !rule.principals.is_empty() {
                who.insert(
                    "principals",
                    rule.principals.iter().map(Json::from).collect::<Vec<_>>(),
                );
            }
            if !rule.groups.is_empty() {
                who.insert("groups", texts(&rule.groups));
            }
            if !rule.claims.is_empty() {
                let claims = rule.claims.iter().map(|(n, v)| (n.clone(), Json::from(v.as_str())));
                who.insert("claims", claims.collect::<Object>());
            }
            if who.is_empty() {
                who.insert("everybody", true);
            }
            Object::new()
                .with("who", who)
                .with("may_do", allowances(&rule.may_do))
                .with("may_grant", allowances(&rule.may_grant))
                .into()
        };
        Object::new().with("rules", self.rules.iter().map(rule).collect::<Vec<_>>()).into()
    }

    /// SHA-256 over the canonical form (RFC 8785): the name of this version.
    #[must_use]
    pub fn digest(&self) -> Digest {
        sha256(self.to_json().canonical().as_bytes())
    }

    /// The ceiling of somebody: all allowances of the rules that speak of them.
    #[must_use]
    pub fn ceiling(&self, who: &Who<'_>) -> Ceiling {
        let mut halves = Halves::default();
        for rule in self.rules.iter().filter(|rule| rule.speaks_of(who)) {
            halves.may_do.extend(rule.may_do.iter().cloned());
            halves.may_grant.extend(rule.may_grant.iter().cloned());
        }
        Ceiling(Some(halves))
    }
}

impl Rule {
    /// All kinds that the rule names must fit, each by one of its values; of
    /// claims, every one.
    fn speaks_of(&self, who: &Who<'_>) -> bool {
        (self.principals.is_empty() || self.principals.contains(who.principal))
            && (self.groups.is_empty() || !self.groups.is_disjoint(who.groups))
            && self.claims.iter().all(|(name, value)| who.claims.get(name) == Some(value))
    }
}

impl Ceiling {
    /// No document was published: whatever the workflows allow.
    #[must_use]
    pub const fn of_workflows() -> Self {
        Self(None)
    }

    /// Nothing at all.
    #[must_use]
    pub const fn nothing() -> Self {
        Self(Some(Halves { may_do: Vec::new(), may_grant: Vec::new() }))
    }

    /// Whether the principal may make this grant: it has to be inside both
    /// halves, because nobody grants what they may not do.
    ///
    /// # Errors
    /// [`Exceeded`], with the first part that is beyond.
    pub fn permits_grant(&self, asked: &Asked<'_>) -> Result<(), Exceeded> {
        let Some(halves) = &self.0 else { return Ok(()) };
        within(&halves.may_grant, Half::MayGrant, asked)?;
        within(&halves.may_do, Half::MayDo, asked)
    }

    /// Whether a grant that was made is still honoured.
    ///
    /// # Errors
    /// [`Exceeded`], with the first part that is beyond.
    pub fn honours(&self, asked: &Asked<'_>) -> Result<(), Exceeded> {
        let Some(halves) = &self.0 else { return Ok(()) };
        within(&halves.may_do, Half::MayDo, asked)
    }
}

/// Every part of the grant has to fit one allowance whole. What is named is
/// the first member that no allowance is left for.
fn within(allowances: &[Allowance], half: Half, asked: &Asked<'_>) -> Result<(), Exceeded> {
    let fits = |a: &&Allowance| a.workflow.as_ref().is_none_or(|w| w == asked.workflow);
    let here: Vec<&Allowance> = allowances.iter().filter(fits).collect();
    if here.is_empty() {
        return Err(Exceeded::Workflow { half, workflow: asked.workflow.clone() });
    }
    for part in asked.parts {
        let shorthand = || part.shorthand.clone();
        let lists = |a: &&Allowance| {
            let named =
                |s: &BTreeSet<String>| s.contains(&part.shorthand) || s.contains(&part.template);
            a.scope.as_ref().is_none_or(named)
        };
        let mut left: Vec<&Allowance> = here.iter().copied().filter(lists).collect();
        if left.is_empty() {
            return Err(Exceeded::Scope { half, shorthand: shorthand() });
        }
        if let Some(riskiest) = part.tools.iter().max_by_key(|t| t.rating.risk) {
            let risk = riskiest.rating.risk;
            let max = left.iter().map(|a| a.max_risk).max().unwrap_or(Risk::Low);
            left.retain(|a| risk <= a.max_risk);
            if left.is_empty() {
                let tool = riskiest.tool.clone();
                return Err(Exceeded::Risk { half, shorthand: shorthand(), tool, risk, max });
            }
        }
        let max = left.iter().map(|a| a.max_window_seconds).max().unwrap_or(0);
        left.retain(|a| asked.window_seconds <= a.max_window_seconds);
        if left.is_empty() {
            let asked = asked.window_seconds;
            return Err(Exceeded::Window { half, shorthand: shorthand(), asked, max });
        }
        let max = left.iter().map(|a| a.max_depth).max().unwrap_or(0);
        left.retain(|a| asked.max_depth <= a.max_depth);
        if left.is_empty() {
            let asked = asked.max_depth;
            return Err(Exceeded::Depth { half, shorthand: shorthand(), asked, max });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
