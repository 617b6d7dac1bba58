//! Keys of identity providers that signed grants: in the ledger, so that the
//! trust file can name them long after their provider forgot them.

use bailiwick_core::jose::{SetKey as _, ThirdPartyKey};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_evidence::trust::{IdTokenKey, Validity};
use bailiwick_store::StoredEntry;

use crate::host::Moment;
use crate::installation::Installation;
use crate::people::oidc::ProviderConfig;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;

const ACTIVE: &str = "active";
const RETIRED: &str = "retired";

/// The keys that `provider.key_changed` entries tell of, oldest entry first,
/// each with the time for which it was seen.
#[must_use]
pub fn read(entries: &[StoredEntry]) -> Vec<IdTokenKey> {
    let mut keys: Vec<IdTokenKey> = Vec::new();
    for entry in entries {
        let Some((key, status)) = of_leaf(entry) else { continue };
        let open = keys.iter_mut().find(|k| {
            k.validity.not_after.is_none()
                && (&k.issuer, &k.client_id, &k.key) == (&key.issuer, &key.client_id, &key.key)
        });
        match (open, status) {
            (None, ACTIVE) => keys.push(key),
            (Some(open), RETIRED) => open.validity.not_after = Some(entry.time),
            _ => {}
        }
    }
    keys
}

fn of_leaf(entry: &StoredEntry) -> Option<(IdTokenKey, &'static str)> {
    let leaf = Json::parse(&entry.leaf, &JsonLimits::DEFAULT).ok()?;
    let body = leaf.as_object()?.member("body")?.as_object()?;
    let text = |name: &str| body.member(name)?.as_str();
    let status = [ACTIVE, RETIRED].into_iter().find(|s| text("status") == Some(s))?;
    let key = IdTokenKey {
        issuer: text("issuer")?.to_owned(),
        client_id: text("client_id")?.to_owned(),
        key: ThirdPartyKey::from_jwk(body.member("jwk")?.as_object()?).ok()?,
        validity: Validity { not_before: Some(entry.time), not_after: None },
    };
    Some((key, status))
}

/// Records that a grant is signed with `used`, if that is not on record, and
/// which recorded keys the provider no longer publishes.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn used(
    moment: &Moment<'_>,
    installation: &Installation,
    provider: &ProviderConfig,
    used: &ThirdPartyKey,
    published: &[ThirdPartyKey],
    recorded: &[IdTokenKey],
) -> Result<Plan<()>, Refusal> {
    let open: Vec<&ThirdPartyKey> = recorded
        .iter()
        .filter(|k| k.issuer == provider.issuer && k.client_id == provider.client_id)
        .filter(|k| k.validity.not_after.is_none())
        .map(|k| &k.key)
        .collect();
    let mut plan = Plan::nothing(());
    let gone = open.iter().filter(|key| !published.contains(key)).map(|key| (*key, RETIRED));
    let new = Some((used, ACTIVE)).filter(|_| !open.contains(&used));
    for (key, status) in gone.chain(new) {
        let jwk: Object = key.to_jwk();
        plan.steps.push(
            Step::new(moment, &installation.org, Kind::ProviderKeyChanged)?
                .with("issuer", provider.issuer.as_str())
                .with("client_id", provider.client_id.as_str())
                .with("jwk", jwk)
                .with("status", status),
        );
    }
    Ok(plan)
}
