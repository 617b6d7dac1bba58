//! What a workload has: SVIDs for a key that was made for them, and the bundle of
//! its trust domain.

use aws_lc_rs::encoding::{AsBigEndian as _, EcPrivateKeyBin};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use bailiwick_core::crypto::{P256SigningKey, base64url};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_svid::{Anchors, MAX_CHAIN, SpiffeId, Usage, key_of, split};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::limits;

/// Material that does not hold together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MaterialError {
    /// The library makes no key.
    #[error("a key cannot be made")]
    Key,
    /// What was issued is not for the key that asked, or cannot be read.
    #[error("what was issued cannot be used: {what}")]
    Unusable {
        /// Which part.
        what: &'static str,
    },
}

/// A fresh P-256 key; its bytes are cleared when it goes.
///
/// SECURITY: it is for one set of SVIDs, and never an instance's enrolled
/// identity key: whoever is handed it can be this instance to peers until they
/// end, and can ask the authority for nothing.
pub struct Key {
    pkcs8: Zeroizing<Vec<u8>>,
    signing: P256SigningKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.signing.fmt(f)
    }
}

impl Key {
    /// Makes one.
    ///
    /// # Errors
    /// [`MaterialError::Key`].
    pub fn fresh() -> Result<Self, MaterialError> {
        let failed = |_| MaterialError::Key;
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
        // The library's own copy clears itself.
        let document = pair.to_pkcs8v1().map_err(failed)?;
        Self::of(document.as_ref())
    }

    fn of(pkcs8: &[u8]) -> Result<Self, MaterialError> {
        let signing = P256SigningKey::from_pkcs8(pkcs8).map_err(|_| MaterialError::Key)?;
        Ok(Self { pkcs8: Zeroizing::new(pkcs8.to_vec()), signing })
    }

    /// The certificate request for it.
    ///
    /// # Errors
    /// [`MaterialError::Key`].
    pub fn request(&self) -> Result<Vec<u8>, MaterialError> {
        bailiwick_svid::request(&self.signing).map_err(|_| MaterialError::Key)
    }

    /// PKCS#8, DER.
    #[must_use]
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// A private JWK (RFC 7518 §6.2.2).
    pub(crate) fn jwk(&self) -> Result<String, MaterialError> {
        let failed = |_| MaterialError::Key;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.pkcs8);
        let pair = pair.map_err(|_| MaterialError::Key)?;
        let secret: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().map_err(failed)?;
        let jwk = self.signing.public_key().to_jwk().with("alg", "ES256");
        Ok(Json::from(jwk.with("d", base64url(secret.as_ref()))).canonical())
    }
}

/// The keys that speak for a trust domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Grows with each change.
    pub sequence: u64,
    /// X.509 authorities, DER.
    pub x509: Vec<Vec<u8>>,
    /// The JWK set for WIT-SVIDs.
    pub wit: String,
}

impl Bundle {
    /// Reads a bundle document (SPIFFE Trust Domain and Bundle §4). Keys of uses
    /// that are not known here are passed over; of `x5c` only the first counts.
    ///
    /// # Errors
    /// [`MaterialError::Unusable`].
    pub fn read(document: &Object) -> Result<Self, MaterialError> {
        let bad = || MaterialError::Unusable { what: "the trust bundle" };
        let keys = document.member("keys").and_then(Json::as_array).ok_or_else(bad)?;
        if keys.len() > limits::KEYS {
            return Err(bad());
        }
        let sequence = document
            .member("spiffe_sequence")
            .and_then(|n| u64::try_from(n.as_number()?.as_plain_integer()?).ok())
            .unwrap_or_default();
        let (mut x509, mut wit) = (Vec::new(), Vec::new());
        for key in keys {
            let key = key.as_object().ok_or_else(bad)?;
            match key.member("use").and_then(Json::as_str) {
                Some("x509-svid") => {
                    let first = key.member("x5c").and_then(|c| c.as_array()?.first()?.as_str());
                    let der = first.and_then(|text| STANDARD.decode(text).ok()).ok_or_else(bad)?;
                    x509.push(der);
                }
                Some("wit-svid") => wit.push(Json::from(key.clone())),
                _ => {}
            }
        }
        let wit = Json::from(Object::new().with("keys", wit)).canonical();
        Ok(Self { sequence, x509, wit })
    }
}

/// What an authority issued for one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Whose.
    pub spiffe_id: String,
    /// Certificates, DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// The WIT-SVID for the same key.
    pub wit: Option<String>,
    /// Seconds that it is good for.
    pub seconds: u64,
    /// The end.
    pub not_after: Timestamp,
    /// The bundle of its trust domain, at the same moment.
    pub bundle: Bundle,
}

/// SVIDs with their key, and the bundle.
#[derive(Debug)]
pub struct Material {
    spiffe_id: SpiffeId,
    chain: Vec<Vec<u8>>,
    wit: Option<String>,
    key: std::sync::Arc<Key>,
    not_after: Timestamp,
    bundle: Bundle,
}

impl Material {
    /// Puts together what was issued for `key`.
    ///
    /// # Errors
    /// [`MaterialError::Unusable`], for another key, say.
    pub fn new(key: Key, issued: Issued) -> Result<Self, MaterialError> {
        let bad = |what| MaterialError::Unusable { what };
        let leaf = issued.chain.first().and_then(|der| key_of(der));
        if leaf != Some(key.signing.public_key()) || issued.chain.len() > MAX_CHAIN {
            return Err(bad("the certificate"));
        }
        let spiffe_id = SpiffeId::parse(&issued.spiffe_id).ok_or_else(|| bad("the SPIFFE ID"))?;
        let Issued { chain, wit, not_after, bundle, .. } = issued;
        Ok(Self { spiffe_id, chain, wit, key: std::sync::Arc::new(key), not_after, bundle })
    }

    /// Puts together what a Workload API gave.
    pub(crate) fn of_parts(
        spiffe_id: &str,
        chain: &[u8],
        pkcs8: &[u8],
        bundle: &[u8],
    ) -> Result<Self, MaterialError> {
        let bad = |what| MaterialError::Unusable { what };
        let chain = split(chain, MAX_CHAIN).map_err(|_| bad("the chain"))?;
        let x509 = split(bundle, limits::BUNDLE).map_err(|_| bad("the bundle"))?;
        let key = Key::of(pkcs8).map_err(|_| bad("the key: only ECDSA on P-256 is used here"))?;
        let leaf = chain.first().and_then(|leaf| bailiwick_svid::peek(leaf));
        let leaf = leaf.ok_or_else(|| bad("the certificate"))?;
        if leaf.spiffe_id.as_str() != spiffe_id {
            return Err(bad("the SPIFFE ID"));
        }
        let bundle = Bundle { sequence: 0, x509, wit: r#"{"keys":[]}"#.to_owned() };
        let not_after = leaf.not_after;
        let seconds = 0;
        let issued = Issued {
            spiffe_id: spiffe_id.to_owned(),
            chain,
            wit: None,
            seconds,
            not_after,
            bundle,
        };
        Self::new(key, issued)
    }

    /// The same SVIDs with another bundle.
    pub(crate) fn with_bundle(&self, bundle: Bundle) -> Self {
        Self {
            spiffe_id: self.spiffe_id.clone(),
            chain: self.chain.clone(),
            wit: self.wit.clone(),
            key: std::sync::Arc::clone(&self.key),
            not_after: self.not_after,
            bundle,
        }
    }

    /// Whether an authority of its own bundle signed its certificate.
    pub(crate) fn is_vouched_for(&self) -> bool {
        let mut anchors = Anchors::default();
        let Some((leaf, rest)) = self.chain.split_first() else { return false };
        let rest: Vec<_> = rest.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        // The last second at which it is good: this asks about the signature.
        let last = self.not_after.plus_seconds(-1);
        anchors.set(self.spiffe_id.trust_domain(), &self.bundle.x509).is_ok()
            && anchors.verify(leaf, &rest, Usage::Client, last).is_ok()
    }

    /// Whose it is.
    #[must_use]
    pub fn spiffe_id(&self) -> &SpiffeId {
        &self.spiffe_id
    }

    /// Certificates, DER, leaf first.
    #[must_use]
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The WIT-SVID for the same key, if there is one.
    #[must_use]
    pub fn wit(&self) -> Option<&str> {
        self.wit.as_deref()
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// When it ends.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The bundle of its trust domain.
    #[must_use]
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }
}
