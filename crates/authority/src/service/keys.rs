//! The authority's own keys: published, replaced, given up.

use std::collections::BTreeSet;
use std::sync::Arc;

use bailiwick_core::aat::verify::Anchors;
use bailiwick_core::crypto::{Digest, PublicKey, Signer};
use bailiwick_core::enrolment::IdentitySigningKey;
use bailiwick_core::ids::{GrantId, InstanceId};
use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::time::Timestamp;
use bailiwick_evidence::trust::Role;
use bailiwick_store::{StoreError, Subject};

use super::Authority;
use crate::installation::{Installation, Keys};
use crate::keyring::{AnyKey, Purpose};
use crate::refusal::Refusal;
use crate::rules::keys::{Change, change, revoke_roots};

/// Roots revoked in one transaction.
const BATCH: u32 = 500;

/// Names listed of what must be reissued; the counts say how many there are.
const LISTED: usize = 1_000;

/// Milliseconds in which a process may still have signed with a key that was
/// replaced.
const TAKE_UP_MS: i64 = 5_000;

/// A public key and when what it signed is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedKey {
    /// What it is for.
    pub purpose: Purpose,
    /// The key.
    pub key: AnyKey,
    /// Since when; since the log began, if nothing is said.
    pub from: Option<Timestamp>,
    /// Until when, exclusive; nothing for a key that is in force.
    pub until: Option<Timestamp>,
    /// Whether it was given up as compromised.
    pub compromised: bool,
}

impl PublishedKey {
    /// `present`, `former` or `compromised`.
    #[must_use]
    pub const fn state(&self) -> &'static str {
        match (self.until, self.compromised) {
            (None, _) => "present",
            (Some(_), false) => "former",
            (Some(_), true) => "compromised",
        }
    }
}

/// What ended with a compromised issuer's key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Roots that were revoked.
    pub roots: u64,
    /// Grants that stand and lost a root: reissue them, without a person.
    pub grants: BTreeSet<GrantId>,
    /// Instances that held one: they need a new root.
    pub instances: BTreeSet<InstanceId>,
    /// Whether there are more grants or instances than were listed.
    pub more: bool,
}

impl Authority {
    /// Takes up other keys, and names of the same installation. What is under
    /// way goes on with those that it began with.
    ///
    /// # Errors
    /// As [`Authority::new`], and [`Refusal::Installation`] for another name.
    pub fn rekey(&self, installation: Installation, keys: Keys) -> Result<(), Refusal> {
        let present = self.now();
        if installation.org != present.installation.org
            || installation.issuer != present.installation.issuer
        {
            return Err(Refusal::Installation {
                member: "public_url",
                expected: "the URL with which the log was begun",
            });
        }
        self.set(present.with(installation, keys)?);
        Ok(())
    }

    /// The key that signs the identity tokens of instances.
    #[must_use]
    pub fn identity_key(&self) -> Arc<IdentitySigningKey> {
        Arc::clone(&self.now().keys.identity)
    }

    /// The key that signs snapshots of the revocations.
    #[must_use]
    pub fn snapshot_key(&self) -> Arc<dyn Signer + Send + Sync> {
        Arc::clone(&self.now().keys.snapshot)
    }

    /// Every key of this installation that can be replaced, present and former.
    #[must_use]
    pub fn all_keys(&self) -> Vec<PublishedKey> {
        self.now().all_keys()
    }

    /// The keys whose signatures others are to accept at this moment (RFC 7517):
    /// of roots and access tokens, identity tokens and revocation snapshots. The SVID
    /// key signs certificates alone: it stands in the trust bundle.
    #[must_use]
    pub fn public_keys(&self) -> Vec<PublishedKey> {
        let now = self.0.host.now();
        let published = |p: Purpose| {
            !matches!(p, Purpose::AuthorityMaker | Purpose::GatewayMaker | Purpose::Svid)
        };
        let mut keys = self.all_keys();
        keys.retain(|k| published(k.purpose) && k.until.is_none_or(|t| now < t));
        keys
    }

    /// The issuer's keys whose roots are accepted at this moment.
    ///
    /// # Errors
    /// [`Refusal::Installation`] when one of them serves two issuers.
    pub fn anchors(&self) -> Result<Anchors, Refusal> {
        let issuer = &self.now().installation.issuer;
        let pairs = self.public_keys().into_iter().filter(|k| k.purpose == Purpose::Issuer);
        let pairs = pairs.filter_map(|k| Some((issuer.clone(), k.key.ed25519()?))).collect();
        Anchors::new(pairs).map_err(|_| Refusal::Installation {
            member: "keys",
            expected: "a key of its own for every issuer",
        })
    }

    /// The key of a gateway by its maker's name, while its entries are accepted.
    #[must_use]
    pub fn gateway_key(&self, maker: &str) -> Option<PublicKey> {
        let trust = crate::rules::trust::export(&self.now().installation, None);
        let found = trust.maker_at(maker, self.0.host.now())?;
        (found.role == Role::Gateway).then_some(found.key)
    }

    /// The time, by this authority's clock.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.0.host.now()
    }

    /// Records that a key is replaced or given up; gives until when the old one
    /// is accepted. The caller then puts the new one in its place.
    ///
    /// # Errors
    /// See [`change`].
    pub fn key_changed(&self, what: Change) -> Result<Timestamp, Refusal> {
        self.commit(move |cx, _, moment| change(moment, &cx.installation, &what))
    }

    /// Revokes every root that was issued while a compromised key was in force
    /// and has not ended, and says what has to be reissued. Call it when the
    /// key is replaced already; calling it again does no harm.
    ///
    /// # Errors
    /// [`Refusal::Store`]; what was revoked by then stays revoked.
    pub fn end_roots(
        &self,
        from: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<Ended, Refusal> {
        let mut ended = Ended::default();
        let mut after: Option<Digest> = None;
        let last = until.map(|t| Timestamp::from_millis(t.millis().saturating_add(TAKE_UP_MS)));
        loop {
            let now = self.0.host.now();
            let page = self.read(|view| view.live_delegations(after.as_ref(), now, BATCH))?;
            let Some(end) = page.last() else { return Ok(ended) };
            after = Some(end.root);
            let issued = |t: Timestamp| from.is_none_or(|f| f <= t) && last.is_none_or(|l| t < l);
            let roots: Vec<_> = page.into_iter().filter(|d| issued(d.issued)).collect();
            let revoked = self.commit(move |cx, tx, moment| {
                let mut fresh = Vec::new();
                for root in roots {
                    let subject = [Subject::Delegation { token: root.root }];
                    if tx.is_revoked(&subject)?.is_none() {
                        fresh.push(root);
                    }
                }
                let plan = revoke_roots(moment, &cx.installation, &fresh)?;
                Ok(plan.map(|()| fresh))
            })?;
            for root in revoked {
                ended.roots += 1;
                let standing = self.read(|view| -> Result<_, StoreError> {
                    let grant = view.grant(&root.grant)?.filter(|g| now < g.expires);
                    let over = view.is_revoked(&[Subject::Grant { id: root.grant.clone() }])?;
                    let holder = view.instance_by_holder(&root.holder)?;
                    Ok((grant.is_some() && over.is_none(), holder.map(|h| h.instance.row.id)))
                })?;
                let full = |len: usize| len >= LISTED;
                ended.more |= full(ended.grants.len()) || full(ended.instances.len());
                if standing.0 && !full(ended.grants.len()) {
                    ended.grants.insert(root.grant.clone());
                }
                if !full(ended.instances.len()) {
                    ended.instances.extend(standing.1);
                }
            }
        }
    }
}

impl super::Inner {
    /// Every key that can be replaced, present and former.
    pub(super) fn all_keys(&self) -> Vec<PublishedKey> {
        let (installation, ring) = (&self.installation, &self.installation.ring);
        let mut all = Vec::new();
        for purpose in Purpose::ALL {
            let Some(present) = self.present(purpose) else { continue };
            all.push(PublishedKey {
                purpose,
                key: present,
                from: installation.ring.from(purpose, &present),
                until: None,
                compromised: false,
            });
            all.extend(ring.former(purpose, present).map(|f| PublishedKey {
                purpose,
                key: f.key,
                from: f.from,
                until: Some(f.until),
                compromised: f.compromised,
            }));
        }
        all
    }

    /// The keys by `kid` whose identity tokens are accepted at `now`.
    pub(super) fn identity_keys(&self, now: Timestamp) -> Vec<(String, VerifyingKey)> {
        let Some(present) = self.present(Purpose::Identity) else { return Vec::new() };
        let former = self.installation.ring.former(Purpose::Identity, present);
        let former = former.filter(|f| now < f.until).map(|f| f.key);
        let p256 = |key: AnyKey| match key {
            AnyKey::P256(p256) => Some((key.kid(), VerifyingKey::P256(p256))),
            AnyKey::Ed25519(_) => None,
        };
        std::iter::once(present).chain(former).filter_map(p256).collect()
    }

    /// The key that signs identity tokens now.
    pub(super) fn identity_key(&self) -> Option<AnyKey> {
        self.present(Purpose::Identity)
    }

    /// The key in force for `purpose`.
    fn present(&self, purpose: Purpose) -> Option<AnyKey> {
        let i = &self.installation;
        let maker = |role| i.makers.iter().find(|m| m.role == role).map(|m| m.key);
        Some(match purpose {
            Purpose::AuthorityMaker => AnyKey::Ed25519(maker(Role::Authority)?),
            Purpose::GatewayMaker => AnyKey::Ed25519(maker(Role::Gateway)?),
            Purpose::Identity => AnyKey::P256(self.keys.identity.public_key()),
            Purpose::Issuer => AnyKey::Ed25519(i.issuer_key),
            Purpose::Snapshot => AnyKey::Ed25519(self.keys.snapshot.public_key()),
            Purpose::Svid => AnyKey::P256(self.keys.svid.public_key()),
        })
    }
}
