//! Other trust domains.

use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::{Alias, ToolId};
use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::time::Timestamp;

/// Another trust domain whose agents may be handed tasks, as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustDomain {
    /// Its name.
    pub name: String,
    /// Who speaks for it: the `iss` of its identity tokens.
    pub issuer: String,
    /// The principal that answers here for dealings with it.
    pub owner: Alias,
    /// The tools that its agents may be handed.
    pub tools: Vec<ToolId>,
    /// The highest guarantee that it may give.
    pub max_guarantee: Guarantee,
}

/// A configured trust domain with what it last said.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownDomain {
    /// The domain.
    pub domain: TrustDomain,
    /// The keys of its identity tokens by `kid`, of its last bundle.
    pub keys: Vec<(String, VerifyingKey)>,
    /// The sequence number of that bundle.
    pub sequence: u64,
    /// When it made its last word on whom it revoked, seconds.
    pub issued: i64,
    /// Until when that word is known to be its last.
    pub as_of: Timestamp,
    /// SPIFFE IDs of agents and instances that it no longer stands behind.
    pub revoked: Vec<String>,
}

impl KnownDomain {
    /// Whether it stands behind the agent and the instance of these SPIFFE IDs, as
    /// far as is known.
    #[must_use]
    pub fn stands_behind(&self, agent: &str, instance: &str) -> (bool, bool) {
        let is_listed = |id: &str| self.revoked.iter().any(|revoked| revoked == id);
        (!is_listed(agent), !is_listed(instance))
    }
}
