//! This side: an instance with its keys, the identity that its authority gives
//! it, and whom it believes.

use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_core::aat::make::Seen;
use bailiwick_core::crypto::{P256SigningKey, Signer as _, SigningKey, Thumbprint};
use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::{AgentId, InstanceId};
use bailiwick_core::jose::Jws;
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::peer::{Anchor, Own};
use bailiwick_core::time::Timestamp;
use bailiwick_core::wit::{self, Identity};

use crate::anchors::Foreign;
use crate::authority::{Authority, Told};
use crate::error::{PeerError, Who};
use crate::{Host, Transport, random};

/// Seconds that the clocks of authority and instance may differ.
const SKEW_SECONDS: i64 = 30;
const MAX_LIFETIME_SECONDS: i64 = 3_600;
/// The shortest rest of an identity token that a handshake is begun with.
const LEAST_REST_SECONDS: i64 = 45;
/// Refusals that are told in one minute at most.
const TOLD_PER_MINUTE: u32 = 6;
const MAX_WIT_BYTES: usize = 4_096;

/// An instance's keys; they never leave the process.
pub struct Keys {
    /// The enrolled instance.
    pub instance: InstanceId,
    /// Holds delegations; signs offers, answers and what comes back.
    pub holder: SigningKey,
    /// The key of its identity token.
    pub identity: P256SigningKey,
}

impl Keys {
    /// The thumbprint of the holder key.
    #[must_use]
    pub fn holder_thumbprint(&self) -> Thumbprint {
        self.holder.public_key().thumbprint()
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("instance", &self.instance).finish_non_exhaustive()
    }
}

/// Who this instance is for some minutes, and whom it believes.
pub struct Credentials {
    /// Its SPIFFE ID.
    pub spiffe_id: String,
    /// Its agent.
    pub agent: AgentId,
    /// Its trust domain.
    pub trust_domain: String,
    /// When its identity token ends, seconds.
    pub expires_at: i64,
    pub(crate) wit: String,
    pub(crate) anchors: Vec<Anchor>,
    pub(crate) roots: bailiwick_core::aat::verify::Anchors,
    renew_at: i64,
}

impl Credentials {
    /// Whether somebody with this SPIFFE ID is of the own trust domain.
    pub(crate) fn is_own(&self, spiffe_id: &str) -> bool {
        let path = spiffe_id.strip_prefix("spiffe://");
        path.and_then(|path| path.split('/').next()) == Some(self.trust_domain.as_str())
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("spiffe_id", &self.spiffe_id).finish_non_exhaustive()
    }
}

/// How many refusals were told in this minute.
#[derive(Debug, Default)]
struct Minute {
    began: i64,
    told: u32,
}

/// An instance of an agent.
pub struct Instance {
    pub(crate) keys: Keys,
    pub(crate) authority: Authority,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) transport: Arc<dyn Transport>,
    foreign: Vec<Foreign>,
    standing: tokio::sync::Mutex<Option<Arc<Credentials>>>,
    minute: Mutex<Minute>,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl Instance {
    /// An instance that is enrolled at `authority`. `foreign` are the other
    /// trust domains that are believed; the authority's own is by itself.
    #[must_use]
    pub fn new(
        keys: Keys,
        authority: Authority,
        foreign: Vec<Foreign>,
        transport: Arc<dyn Transport>,
        host: Arc<dyn Host>,
    ) -> Arc<Self> {
        let (standing, minute) = (tokio::sync::Mutex::default(), Mutex::default());
        Arc::new(Self { keys, authority, host, transport, foreign, standing, minute })
    }

    /// The authority.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The instance's keys.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The authority under whose root a chain is to stand: the configured one of the
    /// peer's trust domain, if the chain says so, else the own one. The chain's word
    /// only chooses among them: their keys prove it.
    pub(crate) fn authority_of(&self, chain: &[String], peer: &str) -> &Authority {
        let limits = &ChainLimits::DEFAULT;
        let root = chain.first().and_then(|root| Seen::parse(root, limits).ok());
        let issuer = root.as_ref().and_then(|root| root.claims.member("iss")?.as_str());
        let domain = peer.strip_prefix("spiffe://").and_then(|rest| rest.split('/').next());
        let of_peer = |f: &&Foreign| Some(f.anchor.trust_domain.as_str()) == domain;
        let theirs = self.foreign.iter().find(of_peer).and_then(|f| f.authority.as_ref());
        theirs.filter(|a| Some(a.url()) == issuer).unwrap_or(&self.authority)
    }

    /// This side, as a handshake has it.
    pub(crate) fn own<'a>(&'a self, credentials: &'a Credentials) -> Own<'a> {
        Own {
            spiffe_id: &credentials.spiffe_id,
            wit: &credentials.wit,
            identity: &self.keys.identity,
            holder: &self.keys.holder,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.host.now()
    }

    /// Who this instance is now. The token is renewed at half of its life, and
    /// the authority's keys are read again then, so that a key that it no longer
    /// publishes is believed for minutes only.
    ///
    /// # Errors
    /// [`PeerError::Away`], [`PeerError::Refused`], [`PeerError::Unexpected`],
    /// [`PeerError::Keys`].
    pub async fn credentials(&self) -> Result<Arc<Credentials>, PeerError> {
        let mut standing = self.standing.lock().await;
        let now = self.now().seconds();
        if let Some(known) = standing.as_ref().filter(|known| now < known.renew_at) {
            return Ok(Arc::clone(known));
        }
        match (self.renewed().await, standing.as_ref()) {
            (Ok(fresh), _) => {
                let fresh = Arc::new(fresh);
                *standing = Some(Arc::clone(&fresh));
                Ok(fresh)
            }
            // An authority that is away for a moment costs nothing.
            (Err(PeerError::Away { .. }), Some(known))
                if now.saturating_add(LEAST_REST_SECONDS) < known.expires_at =>
            {
                Ok(Arc::clone(known))
            }
            (Err(e), _) => Err(e),
        }
    }

    async fn renewed(&self) -> Result<Credentials, PeerError> {
        let now = self.now();
        let Keys { instance, identity, .. } = &self.keys;
        let jti = random(&*self.host)?;
        let token = self.authority.identity(instance, identity, now, jti).await?;
        let published = self.authority.keys().await?;
        let unexpected = |what| PeerError::Unexpected { who: Who::Authority, what };
        let domain = domain_of(&token).ok_or(unexpected("no identity token"))?;
        let expected = wit::Expected {
            issuer: self.authority.url(),
            trust_domain: &domain,
            keys: &published.identities,
            now,
            skew_seconds: SKEW_SECONDS,
            max_lifetime_seconds: MAX_LIFETIME_SECONDS,
        };
        let named = Identity::verify(&token, &expected)
            .map_err(|_| unexpected("an identity token that does not hold"))?;
        let (agent, of) = wit::read_instance_spiffe_id(&named.spiffe_id, &domain)
            .ok_or(unexpected("an identity token of no instance"))?;
        if of != *instance || named.key != identity.public_key() {
            return Err(unexpected("an identity token of another instance"));
        }
        let own = Anchor {
            trust_domain: domain.clone(),
            issuer: self.authority.url().to_owned(),
            keys: published.identities,
            max_guarantee: Guarantee::Attested,
        };
        // SECURITY: the own domain first: no configured one can speak for it.
        let foreign = self.foreign.iter().map(|foreign| &foreign.anchor);
        let foreign = foreign.filter(|a| a.trust_domain != domain).cloned();
        let half = named.expires_at.saturating_sub(named.issued_at).saturating_div(2);
        Ok(Credentials {
            spiffe_id: named.spiffe_id,
            agent,
            trust_domain: domain.clone(),
            expires_at: named.expires_at,
            wit: token,
            anchors: std::iter::once(own).chain(foreign).collect(),
            roots: published.roots,
            renew_at: named.issued_at.saturating_add(half),
        })
    }

    /// Tells the authority that somebody was refused, as well as it can be
    /// told; what comes of it nobody waits for. At most a few a minute, so that
    /// whoever is refused fills no ledger.
    pub(crate) fn tell_refused(self: &Arc<Self>, error: &PeerError, claimed: Option<String>) {
        let now = self.now();
        // Who claims to be nobody is nobody's business.
        let Some(claimed) = claimed.filter(|c| error.is_refusal() && !c.is_empty()) else { return };
        if !self.may_tell(now) {
            return;
        }
        let (side, code) = (Arc::clone(self), error.code().to_owned());
        tokio::spawn(async move {
            let Ok(jti) = random(&*side.host) else { return };
            let told = Told { code: &code, claimed: &claimed, now, jti };
            let Keys { instance, identity, .. } = &side.keys;
            if let Err(e) = side.authority.refused(instance, identity, &told).await {
                tracing::debug!(code = e.code(), "a refusal was not recorded");
            }
        });
    }

    fn may_tell(&self, now: Timestamp) -> bool {
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        let began = now.seconds().div_euclid(60);
        if minute.began != began {
            *minute = Minute { began, told: 0 };
        }
        minute.told = minute.told.saturating_add(1);
        minute.told <= TOLD_PER_MINUTE
    }
}

/// The SPIFFE ID that a token names, which nobody verified.
pub(crate) fn claimed(token: &str) -> Option<String> {
    Jws::parse(token, MAX_WIT_BYTES).ok()?.claim_hint("sub")
}

fn domain_of(token: &str) -> Option<String> {
    let subject = claimed(token)?;
    subject.strip_prefix("spiffe://")?.split('/').next().map(str::to_owned)
}
