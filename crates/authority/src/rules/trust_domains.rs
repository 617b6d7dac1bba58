//! Keys of other trust domains that signed what was relied on: in the ledger, so that
//! the trust file can name them long after their domain forgot them.

use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_evidence::trust::{IdentityIssuer, Validity};
use bailiwick_store::{StoredEntry, TrustDomain};

use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::Step;
use crate::refusal::Refusal;

/// The keys that `trust_domain.key_used` entries tell of, each from then on.
#[must_use]
pub fn read(entries: &[StoredEntry]) -> Vec<IdentityIssuer> {
    entries.iter().filter_map(of_leaf).collect()
}

fn of_leaf(entry: &StoredEntry) -> Option<IdentityIssuer> {
    let leaf = Json::parse(&entry.leaf, &JsonLimits::DEFAULT).ok()?;
    let body = leaf.as_object()?.member("body")?.as_object()?;
    let text = |name: &str| Some(body.member(name)?.as_str()?.to_owned());
    let VerifyingKey::P256(key) = VerifyingKey::from_jwk(body.member("jwk")?.as_object()?).ok()?
    else {
        return None;
    };
    Some(IdentityIssuer {
        issuer: text("issuer")?,
        trust_domain: text("trust_domain")?,
        key,
        validity: Validity { not_before: Some(entry.time), not_after: None },
    })
}

/// Records that a handshake rests on this key of `domain`, unless that is on record.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn used(
    moment: &Moment<'_>,
    installation: &Installation,
    domain: &TrustDomain,
    key: &VerifyingKey,
    recorded: &[IdentityIssuer],
) -> Result<Option<Step>, Refusal> {
    let is_known = recorded.iter().any(|known| {
        VerifyingKey::P256(known.key) == *key
            && known.trust_domain == domain.name
            && known.issuer == domain.issuer
    });
    if is_known {
        return Ok(None);
    }
    let step = Step::new(moment, &installation.org, Kind::TrustDomainKeyUsed)?
        .with("trust_domain", domain.name.as_str())
        .with("issuer", domain.issuer.as_str())
        .with("jwk", key.to_jwk());
    Ok(Some(step))
}
