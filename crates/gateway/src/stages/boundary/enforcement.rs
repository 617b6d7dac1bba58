//! Who makes an allowed call, and whom whoever asks takes its caller for.

use bailiwick_core::accountable::Facts;

/// Who makes a call that is allowed (DESIGN §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Enforcement {
    /// This gateway.
    Gateway,
    /// Another enforcement point, which may say for whom it asks.
    External(Option<Claimed>),
}

/// Whom an enforcement point takes the caller for. It is no fact: chain and
/// proof say who calls, and must agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// The agent that acts.
    Agent(String),
    /// The principal on whose authority it acts.
    Principal(String),
}

impl Enforcement {
    /// Its name in records.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::External(_) => "external",
        }
    }
}

impl Claimed {
    /// Whether these are the facts.
    pub(crate) fn agrees(&self, facts: &Facts) -> bool {
        match self {
            Self::Agent(id) => facts.caller().is_some_and(|hop| hop.agent.as_str() == id),
            Self::Principal(id) => facts.authority.principal.as_str() == id,
        }
    }
}
