//! The trust bundle: the keys by which others know our instances.

use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Authority;
use crate::keyring::{KeyRing, Purpose};

/// Seconds after which others should look again: a new key signs at once.
const REFRESH_SECONDS: i64 = 60;

impl Authority {
    /// The keys that are accepted at this moment for X.509-SVIDs and WIT-SVIDs
    /// (SPIFFE Trust Domain and Bundle §4).
    #[must_use]
    pub fn trust_bundle(&self) -> Json {
        let inner = self.now();
        let now = self.0.host.now();
        let mut keys: Vec<Json> = Vec::new();
        for published in inner.all_keys() {
            let (Some(key), true) =
                (published.key.p256(), published.until.is_none_or(|until| now < until))
            else {
                continue;
            };
            match published.purpose {
                Purpose::Svid => {
                    // One whose certificate is lost can vouch for nobody.
                    let Some(der) = inner.keys.svid.certificate(&key) else { continue };
                    let x5c: Vec<Json> = vec![STANDARD.encode(der).into()];
                    keys.push(key.to_jwk().with("use", "x509-svid").with("x5c", x5c).into());
                }
                Purpose::Identity => {
                    let jwk = key.to_jwk().with("use", "wit-svid").with("alg", "ES256");
                    keys.push(jwk.with("kid", published.key.kid()).into());
                }
                _ => {}
            }
        }
        Object::new()
            .with("keys", keys)
            .with("spiffe_sequence", bundle_sequence(&inner.installation.ring, now))
            .with("spiffe_refresh_hint", REFRESH_SECONDS)
            .into()
    }
}

/// Grows with each change: a key that came, and one that went.
fn bundle_sequence(ring: &KeyRing, now: Timestamp) -> u64 {
    let in_bundle =
        ring.all_former().iter().filter(|f| matches!(f.purpose, Purpose::Identity | Purpose::Svid));
    in_bundle.fold(1, |sequence, f| sequence + 1 + u64::from(f.until <= now))
}
