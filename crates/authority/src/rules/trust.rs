//! The trust file of this installation: what an auditor keeps.

use bailiwick_core::crypto::PublicKey;
use bailiwick_core::time::Timestamp;
use bailiwick_evidence::Trust;
use bailiwick_evidence::trust::{Approvers, IdentityIssuer, IssuerKey, Maker, Role, Validity};

use url::Url;

use crate::installation::Installation;
use crate::keyring::{AnyKey, Purpose};
use crate::rules::keys::MAKER_OVERLAP_SECONDS;

/// Where people use their passkeys: the console, at the issuer's own name.
fn approvers(issuer: &str) -> Option<Approvers> {
    let rp_id = Url::parse(issuer).ok()?.host_str()?.to_owned();
    Some(Approvers { rp_id, origins: vec![issuer.to_owned()] })
}

/// The trust file: every key that signed roots or entries, each with the time
/// for which it is accepted. `since` is when the log began: no key is valid
/// before.
#[must_use]
pub fn export(installation: &Installation, since: Option<Timestamp>) -> Trust {
    let ring = &installation.ring;
    let begin = |purpose: Purpose, from: Option<Timestamp>| match (purpose, from) {
        (_, None) => since,
        (Purpose::AuthorityMaker | Purpose::GatewayMaker, Some(from)) => {
            since.max(Some(from.plus_seconds(-MAKER_OVERLAP_SECONDS)))
        }
        (_, from) => from,
    };
    let present = |purpose: Purpose, key: PublicKey| Validity {
        not_before: begin(purpose, ring.from(purpose, &AnyKey::Ed25519(key))),
        not_after: None,
    };
    let former = |purpose: Purpose, key: PublicKey| {
        ring.former(purpose, AnyKey::Ed25519(key)).filter_map(move |f| {
            let validity = f.validity(since)?;
            let not_before = begin(purpose, f.from);
            Some((f.key.ed25519()?, Validity { not_before, ..validity }))
        })
    };
    let uri = &installation.issuer;
    let key = installation.issuer_key;
    let mut issuers =
        vec![IssuerKey { uri: uri.clone(), key, validity: present(Purpose::Issuer, key) }];
    let older = former(Purpose::Issuer, key);
    issuers.extend(older.map(|(key, validity)| IssuerKey { uri: uri.clone(), key, validity }));
    let mut makers = Vec::new();
    let mut older = Vec::new();
    for maker in &installation.makers {
        let purpose = purpose_of(maker.role);
        makers.push(Maker {
            id: maker.id.clone(),
            key: maker.key,
            role: maker.role,
            validity: present(purpose, maker.key),
        });
        older.extend(former(purpose, maker.key).map(|(key, validity)| {
            let crate::installation::Maker { id, key, role } = match maker.role {
                Role::Authority => crate::installation::Maker::authority(key),
                Role::Gateway => crate::installation::Maker::gateway(key),
            };
            Maker { id, key, role, validity }
        }));
    }
    makers.extend(older);
    Trust {
        org: installation.org.clone(),
        issuers,
        log: installation.log_key.clone(),
        makers,
        witnesses: Vec::new(),
        quorum: 0,
        audiences: vec![installation.audience()],
        approvers: approvers(&installation.issuer),
        id_tokens: Vec::new(),
        identities: Vec::new(),
    }
}

/// Keys that signed identity tokens, each with its time; `present` is the one in
/// force.
#[must_use]
pub fn identities(
    installation: &Installation,
    present: AnyKey,
    since: Option<Timestamp>,
) -> Vec<IdentityIssuer> {
    let ring = &installation.ring;
    let of = |key: AnyKey, validity: Validity| match key {
        AnyKey::P256(key) => Some(IdentityIssuer {
            issuer: installation.issuer.clone(),
            trust_domain: installation.trust_domain.clone(),
            key,
            validity,
        }),
        AnyKey::Ed25519(_) => None,
    };
    let begin = |from: Option<Timestamp>| from.or(since);
    let now =
        Validity { not_before: begin(ring.from(Purpose::Identity, &present)), not_after: None };
    let former = ring.former(Purpose::Identity, present).filter_map(|f| {
        let validity = f.validity(since)?;
        of(f.key, Validity { not_before: begin(f.from), ..validity })
    });
    of(present, now).into_iter().chain(former).collect()
}

const fn purpose_of(role: Role) -> Purpose {
    match role {
        Role::Authority => Purpose::AuthorityMaker,
        Role::Gateway => Purpose::GatewayMaker,
    }
}
