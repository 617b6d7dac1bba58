//! The authority of a data dir within this process, as `serve` opens it.

use std::path::Path;
use std::sync::Arc;

use bailiwick_authority::host::Host;
use bailiwick_authority::keyring::KeyRing;
use bailiwick_authority::{Authority, Installation, Keys, Maker};
use bailiwick_core::crypto::{Signer as _, SigningKey, from_base64url};
use bailiwick_core::enrolment::IdentitySigningKey;
use bailiwick_core::ids::OrgId;
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Options, PlaintextKey, Store};
use bailiwick_svid::SvidAuthority;
use bailiwick_testkit::present::key_file;
use bailiwick_tlog::LogKey;
use serde_json::Value;

use crate::Failure;

/// The clock and the entropy of this machine.
pub(super) struct Here;

impl Host for Here {
    fn now(&self) -> Timestamp {
        bailiwick_testkit::present::now()
    }
    fn fill(&self, out: &mut [u8]) -> bool {
        getrandom::fill(out).is_ok()
    }
}

/// An authority with what it was opened with.
pub(super) struct Inside {
    pub(super) authority: Authority,
    pub(super) installation: Installation,
    pub(super) keys: Keys,
}

/// Opens a data dir whose `serve` does not run.
pub(super) fn open(data: &Path, url: &str) -> Result<Inside, Failure> {
    let file = |name: &str| data.join("keys").join(name);
    let key = |name: &str| Arc::new(key_file(&file(name)));
    let member = |name: &str, member: &str| -> Result<Vec<u8>, Failure> {
        let json: Value = serde_json::from_str(&std::fs::read_to_string(file(name))?)?;
        let text = json.get(member).and_then(Value::as_str).unwrap_or_default();
        Ok(from_base64url(text).ok_or("a key file is base64url")?)
    };
    let (issuer, maker, gateway): (Arc<SigningKey>, Arc<SigningKey>, Arc<SigningKey>) =
        (key("issuer.jwk"), key("authority.jwk"), key("gateway.jwk"));
    let identity = IdentitySigningKey::from_pkcs8(&member("identity.jwk", "pkcs8")?)?;
    let plaintext: [u8; 32] =
        member("plaintext.jwk", "d")?.try_into().map_err(|_| "32 bytes make a key")?;
    let org = OrgId::parse("default")?;
    let entropy = |out: &mut [u8]| getrandom::fill(out).is_ok();
    let options = Options::new(org.clone(), PlaintextKey::new(plaintext), Arc::new(entropy));
    let installation = Installation {
        org,
        trust_domain: configured(data, "trust_domain")?,
        issuer: url.to_owned(),
        issuer_key: issuer.public_key(),
        makers: vec![Maker::authority(maker.public_key()), Maker::gateway(gateway.public_key())],
        log_key: LogKey::new("localhost/log", *key("log.jwk").public_key().as_bytes())?,
        ring: KeyRing::default(),
        max_root_seconds: 3600,
        new_key_seconds: 86_400,
        limits: ChainLimits::DEFAULT,
    };
    let svid = IdentitySigningKey::from_pkcs8(&member("svid.jwk", "pkcs8")?)?;
    let domain = &installation.trust_domain;
    let certificate = SvidAuthority::certificate_for(&svid, domain, Here.now(), [1; 16])?;
    let keys = Keys {
        issuer,
        maker,
        identity: Arc::new(identity),
        snapshot: key("snapshot.jwk"),
        svid: Arc::new(SvidAuthority::new(svid, certificate, Vec::new())?),
    };
    let store = Store::open(data, options)?;
    let authority = Authority::new(store, Arc::new(Here), installation.clone(), keys.clone())?;
    Ok(Inside { authority, installation, keys })
}

/// A text of the configuration.
fn configured(data: &Path, option: &str) -> Result<String, Failure> {
    let text = std::fs::read_to_string(data.join("bailiwick.toml"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(option)?.trim().strip_prefix('='));
    let value = value.and_then(|value| value.trim().strip_prefix('"')?.strip_suffix('"'));
    Ok(value.ok_or_else(|| format!("`{option}` is not in bailiwick.toml"))?.to_owned())
}
