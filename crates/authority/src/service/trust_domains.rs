//! Other trust domains: which are configured, what they said last, and our own word
//! for them.

use std::collections::BTreeSet;

use bailiwick_core::crypto::Thumbprint;
use bailiwick_core::ids::{AgentId, InstanceId};
use bailiwick_core::ledger::Kind;
use bailiwick_core::peer::domain::{Bundle, MAX_REVOKED, Revocations};
use bailiwick_core::stop::StopTarget;
use bailiwick_core::time::Timestamp;
use bailiwick_core::wit::instance_spiffe_id;
use bailiwick_evidence::trust::IdentityIssuer;
use bailiwick_store::{
    Agent, Filter, KnownDomain, MAX_RESULTS, Status, StoreError, Subject, TrustDomain, View,
};

use super::{Authority, Inner, revoked};
use crate::federation::{DomainConfig, FederationError, NAMED_SECONDS};
use crate::refusal::Refusal;
use crate::rules::trust_domains;

impl Authority {
    /// Takes up which trust domains are configured. From then on all others count
    /// for nothing.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] for an owner or a tool that is not registered.
    pub fn federate(&self, configured: &[DomainConfig]) -> Result<(), Refusal> {
        let configured = configured.to_vec();
        self.transact(move |cx, tx, _| {
            let all = resolved(cx, tx, &configured)?;
            Ok(tx.configure_trust_domains(&all)?)
        })
    }

    /// Whether these trust domains could be configured.
    ///
    /// # Errors
    /// As [`Authority::federate`].
    pub fn check_federation(&self, configured: &[DomainConfig]) -> Result<(), Refusal> {
        let cx = self.now();
        self.0.store.read(|view| resolved(&cx, view, configured)).map(drop)
    }

    /// Every configured trust domain with what it said last.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn trust_domains(&self) -> Result<Vec<KnownDomain>, Refusal> {
        self.read(|view| view.trust_domains())
    }

    /// Takes up the bundle of a trust domain; gives the seconds after which to look
    /// again.
    ///
    /// # Errors
    /// [`Refusal::Federation`].
    pub fn domain_bundle(&self, name: &str, bytes: &[u8]) -> Result<i64, Refusal> {
        let bundle = Bundle::read(bytes).map_err(FederationError::from)?;
        let (name, seconds) = (name.to_owned(), bundle.refresh_seconds);
        self.transact(move |_, tx, _| {
            if tx.take_bundle(&name, &bundle.keys, bundle.sequence)? {
                Ok(seconds)
            } else {
                Err(FederationError::Older.into())
            }
        })
    }

    /// Takes up a trust domain's word on whom it revoked, which was asked for at
    /// `asked`.
    ///
    /// # Errors
    /// [`Refusal::Federation`].
    pub fn domain_revocations(
        &self,
        name: &str,
        bytes: &[u8],
        asked: Timestamp,
    ) -> Result<(), Refusal> {
        let unknown = || Refusal::unknown("trust domain", name);
        let domain = self.read(|view| view.trust_domain(name))?.ok_or_else(unknown)?;
        let said = std::str::from_utf8(bytes).unwrap_or_default().trim();
        let of = (name, domain.domain.issuer.as_str());
        let word = Revocations::verify(said, of, &domain.keys, asked.seconds())
            .map_err(FederationError::from)?;
        // SECURITY: what it said is as old as it says, and never newer than the
        // question: a clock ahead of ours makes nothing fresher.
        let as_of = Timestamp::from_seconds(word.issued_at).min(asked);
        let name = name.to_owned();
        self.transact(move |_, tx, _| {
            let revoked: Vec<String> = word.revoked.into_iter().collect();
            if tx.take_revoked(&name, &revoked, word.issued_at, as_of)? {
                Ok(())
            } else {
                Err(FederationError::Older.into())
            }
        })
    }

    /// Our own word for other trust domains: agents that are not active, and
    /// instances that ended lately, signed with the key of identity tokens.
    ///
    /// # Errors
    /// [`Refusal::Federation`] when there are more than it can name.
    pub fn revocations_word(&self) -> Result<String, Refusal> {
        let (cx, now) = (self.now(), self.0.host.now());
        let word = Revocations {
            issuer: cx.installation.issuer.clone(),
            trust_domain: cx.installation.trust_domain.clone(),
            issued_at: now.seconds(),
            revoked: self.read(|view| ended(&cx, view, now))?,
        };
        let signer = &*cx.keys.identity;
        let kid: Thumbprint = signer.public_key().thumbprint();
        Ok(word.sign(&kid.to_string(), signer).map_err(FederationError::from)?)
    }
}

/// The configured trust domains, with the owner of each by alias.
fn resolved(
    cx: &Inner,
    view: &View<'_>,
    configured: &[DomainConfig],
) -> Result<Vec<TrustDomain>, Refusal> {
    let mut all = Vec::with_capacity(configured.len());
    for config in configured {
        let owner = view.principal(&cx.installation.issuer, &config.owner)?;
        // One that is suspended stays: agents act while their owner is active.
        let unknown = || Refusal::unknown("principal", &config.owner);
        let owner = owner.ok_or_else(unknown)?.row.alias;
        for tool in &config.tools {
            view.pin(tool)?.ok_or_else(|| Refusal::unknown("tool", tool))?;
        }
        all.push(TrustDomain {
            name: config.name.clone(),
            issuer: config.issuer.clone(),
            owner,
            tools: config.tools.clone(),
            max_guarantee: config.max_guarantee,
        });
    }
    Ok(all)
}

/// Whether an agent may act at all.
fn acts(view: &View<'_>, agent: &Agent) -> Result<bool, StoreError> {
    if agent.status != Status::Active {
        return Ok(false);
    }
    let owner = view.principal_by_alias(&agent.owner)?;
    let subjects = [
        Subject::Agent { id: agent.id.clone() },
        Subject::Principal { alias: agent.owner.clone() },
    ];
    let targets = [StopTarget::Everything, StopTarget::Agent(agent.id.clone())];
    Ok(owner.is_some_and(|o| o.status == Status::Active)
        && revoked(view, &subjects)?.is_none()
        && view.stopped(&targets)?.is_none())
}

/// SPIFFE IDs of agents and instances that ended.
fn ended(cx: &Inner, view: &View<'_>, now: Timestamp) -> Result<BTreeSet<String>, StoreError> {
    let domain = &cx.installation.trust_domain;
    let mut names = BTreeSet::new();
    let mut whole: BTreeSet<AgentId> = BTreeSet::new();
    for agent in view.agents()? {
        if !acts(view, &agent)? {
            names.insert(agent.id.spiffe_id(domain));
            whole.insert(agent.row.id);
        }
    }
    for kind in [Kind::InstanceChanged, Kind::Revoked] {
        let since = Some(now.plus_seconds(-NAMED_SECONDS));
        let filter = Filter { kind: Some(kind), since, limit: MAX_RESULTS, ..Filter::default() };
        for entry in view.query(&filter)? {
            let id = entry.subjects.instance.and_then(|id| id.parse::<InstanceId>().ok());
            let Some(instance) = id.map(|id| view.instance(&id)).transpose()?.flatten() else {
                continue;
            };
            if !whole.contains(&instance.agent) {
                names.insert(instance_spiffe_id(domain, &instance.agent, &instance.id));
            }
            // One more than can be said is enough to say nothing.
            if names.len() > MAX_REVOKED {
                return Ok(names);
            }
        }
    }
    Ok(names)
}

/// Keys of other trust domains on which recorded handshakes rest.
pub(super) fn used_keys(view: &View<'_>) -> Result<Vec<IdentityIssuer>, StoreError> {
    let kind = Some(Kind::TrustDomainKeyUsed);
    let mut entries = view.query(&Filter { kind, limit: MAX_RESULTS, ..Filter::default() })?;
    entries.reverse();
    Ok(trust_domains::read(&entries))
}
