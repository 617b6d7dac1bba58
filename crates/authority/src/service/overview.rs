//! How the installation stands, for people who look at it: every count stops at
//! a bound.

use std::fmt;

use bailiwick_core::ids::AgentId;
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Filter, PinStatus, StoreError, StoredEntry};

use super::people::SignedIn;
use super::{Authority, InboxQuery};
use crate::refusal::Refusal;

/// What is counted stops here.
const MOST: u32 = 100;

/// A count that may have stopped at a bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounded {
    /// How many were counted.
    pub count: usize,
    /// Whether there are more.
    pub is_more: bool,
}

impl Bounded {
    /// Of a list that has at most one more than the bound.
    fn of(found: usize) -> Self {
        let most = usize::try_from(MOST).unwrap_or(usize::MAX);
        Self { count: found.min(most), is_more: found > most }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.count == 0
    }
}

impl fmt::Display for Bounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.is_more { "more than " } else { "" };
        write!(f, "{more}{}", self.count)
    }
}

/// How the installation stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// Entries on record.
    pub size: u64,
    /// Entries under the published checkpoint; `None` while nothing is published.
    pub tree: Option<u64>,
    /// When the newest of them was made.
    pub covered: Option<Timestamp>,
    /// Processes that decide calls now.
    pub lives: usize,
    /// Stops in force.
    pub stops: Bounded,
    /// How old the knowledge of revocations was at the newest decision,
    /// milliseconds.
    pub staleness_ms: Option<i64>,
    /// Other trust domains, with when their last word on revocations was heard.
    pub domains: Vec<(String, Timestamp)>,
}

/// What waits for somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Calls that the person may see and that wait for somebody.
    pub approvals: Bounded,
    /// Requests of agents that the person may see.
    pub requests: Bounded,
    /// Tools whose definition nobody accepted, or that were withdrawn.
    pub tools: Bounded,
    /// Active agents without an active instance.
    pub idle: Vec<AgentId>,
}

/// How old the knowledge of revocations was that a decision was made with.
fn staleness(entry: &StoredEntry) -> Option<i64> {
    let leaf = Json::parse(&entry.leaf, &JsonLimits::DEFAULT).ok()?;
    let body = leaf.as_object()?.member("body")?.as_object()?;
    body.member("staleness_ms")?.as_number()?.as_plain_integer()
}

impl Authority {
    /// How the installation stands.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn overview(&self) -> Result<Overview, Refusal> {
        let store = self.store();
        let tree = store.checkpoint()?.map(|checkpoint| checkpoint.unverified().size());
        let newest = Filter { kind: Some(Kind::ActionDecided), limit: 1, ..Filter::default() };
        let (size, covered, newest) = store.read(|view| {
            let covered = match tree.and_then(|tree| tree.checked_sub(1)) {
                Some(last) => view.entry(last)?.map(|entry| entry.time),
                None => None,
            };
            Ok::<_, StoreError>((view.log_size()?, covered, view.query(&newest)?))
        })?;
        let domains = self.trust_domains()?;
        Ok(Overview {
            size,
            tree,
            covered,
            lives: store.lives()?,
            stops: Bounded::of(self.stops(false, MOST + 1)?.len()),
            staleness_ms: newest.first().and_then(staleness),
            domains: domains.into_iter().map(|known| (known.domain.name, known.as_of)).collect(),
        })
    }

    /// What waits for somebody, as far as `who` may see it.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn waiting_for(&self, who: &SignedIn) -> Result<Waiting, Refusal> {
        let calls = InboxQuery { limit: MOST, ..InboxQuery::default() };
        let calls = self.inbox(Some(who), &calls)?;
        let requests = self.requests(Some(who), false, MOST + 1)?;
        let (tools, idle) = self.read(|view| {
            let mut tools = 0usize;
            for server in view.tool_servers()? {
                let withdrawn = view.pins(&server.name)?;
                let withdrawn = withdrawn.iter().filter(|pin| pin.status == PinStatus::Changed);
                let waiting = view.candidates(&server.name)?.len();
                tools = tools.saturating_add(waiting).saturating_add(withdrawn.count());
            }
            Ok((tools, view.idle_agents(MOST)?))
        })?;
        Ok(Waiting {
            approvals: Bounded { count: calls.calls.len(), is_more: calls.next.is_some() },
            requests: Bounded::of(requests.len()),
            tools: Bounded::of(tools),
            idle,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_says_when_it_stopped() {
        assert_eq!(Bounded::of(7).to_string(), "7");
        assert_eq!(Bounded::of(100).to_string(), "100");
        assert_eq!(Bounded::of(101).to_string(), "more than 100");
        assert!(Bounded::of(0).is_none());
    }
}
