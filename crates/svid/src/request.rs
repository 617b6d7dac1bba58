//! Certificate requests (PKCS#10, RFC 2986): a proof of possession of a fresh
//! key, and nothing else. What a request asks for besides is not looked at.

use bailiwick_core::crypto::{P256PublicKey, P256SigningKey};
use rcgen::{CertificateParams, DistinguishedName};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ECDSA_WITH_SHA256,
};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Version;

use crate::IssueError;
use crate::signer::Private;

/// Bytes of a request at most: one for a P-256 key has about 200.
pub const MAX_REQUEST_BYTES: usize = 1024;

/// `ecdsa-with-SHA256`, and the tag of the signature (RFC 5758 §3.2).
const ALGORITHM: &[u8] =
    &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02, 0x03];

/// A request that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not a PKCS#10 document within its size.
    #[error("the certificate request is no PKCS#10 document of at most {MAX_REQUEST_BYTES} bytes")]
    Malformed,
    /// For a key of another kind.
    #[error("the certificate request is for another key than ECDSA on P-256 with SHA-256")]
    Key,
    /// Whoever made it does not have the key.
    #[error("the certificate request is not signed with its own key")]
    Signature,
}

/// A request for `key`. It names nobody: the authority knows who asks.
///
/// # Errors
/// [`IssueError`] when the library refuses to sign.
pub fn request(key: &P256SigningKey) -> Result<Vec<u8>, IssueError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let made = params.serialize_request(&Private::of(key))?;
    Ok(made.der().to_vec())
}

/// The key of a request that its own key signed.
///
/// SECURITY: subject, names and extensions that it asks for are not read any
/// further: a certificate's content is the authority's alone.
///
/// # Errors
/// See [`RequestError`].
pub fn requested_key(der: &[u8]) -> Result<P256PublicKey, RequestError> {
    if der.len() > MAX_REQUEST_BYTES {
        return Err(RequestError::Malformed);
    }
    let (rest, request) =
        X509CertificationRequest::from_der(der).map_err(|_| RequestError::Malformed)?;
    let info = &request.certification_request_info;
    // The last of them: a signature that ends in zero bits could count them as unused.
    if !rest.is_empty()
        || info.version != X509Version::V1
        || request.signature_value.unused_bits != 0
    {
        return Err(RequestError::Malformed);
    }
    let spki = &info.subject_pki;
    let curve = spki.algorithm.parameters.as_ref().and_then(|p| p.as_oid().ok());
    if spki.algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY
        || curve != Some(OID_EC_P256)
        || request.signature_algorithm.algorithm != OID_SIG_ECDSA_WITH_SHA256
    {
        return Err(RequestError::Key);
    }
    // What is outside of the signature has one form: the reader takes others too.
    let after = (2..=4).find_map(|head| der.get(head..)?.strip_prefix(info.raw));
    if !after.is_some_and(|after| after.starts_with(ALGORITHM)) {
        return Err(RequestError::Malformed);
    }
    let key = point(&spki.subject_public_key.data).ok_or(RequestError::Key)?;
    if !key.verify_der(info.raw, &request.signature_value.data) {
        return Err(RequestError::Signature);
    }
    Ok(key)
}

/// An uncompressed point (SEC 1 §2.3.3).
pub(crate) fn point(bytes: &[u8]) -> Option<P256PublicKey> {
    let [4, rest @ ..] = bytes else { return None };
    let (x, y) = rest.split_at_checked(32)?;
    P256PublicKey::from_coordinates(x.try_into().ok()?, y.try_into().ok()?).ok()
}
