//! Whose chain this is (X509-SVID §5).

use bailiwick_core::crypto::P256PublicKey;
use bailiwick_core::time::Timestamp;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;

use crate::SpiffeId;
use crate::id::is_trust_domain;
use crate::request::point;

/// Certificates of a chain at most.
pub const MAX_CHAIN: usize = 4;
/// Bytes of one certificate at most.
pub const MAX_CERTIFICATE_BYTES: usize = 16 << 10;
/// Anchors of one trust domain at most.
const MAX_ANCHORS: usize = 64;

/// A chain that is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Not certificates within their limits.
    #[error("the chain does not hold 1 to {MAX_CHAIN} certificates")]
    Malformed,
    /// Not exactly one name, or one that is no SPIFFE ID of a workload.
    #[error("the certificate does not name exactly one workload by its SPIFFE ID")]
    Name,
    /// It may sign for others, or may not be used on both sides of a connection.
    #[error("the certificate is not for a workload: CA, key usage or extended key usage")]
    Usage,
    /// Of a trust domain whose bundle is not known here.
    #[error("no bundle of the certificate's trust domain is known")]
    TrustDomain,
    /// It has run out or has not begun.
    #[error("the certificate has run out or has not begun")]
    Time,
    /// Nobody of its trust domain's bundle signed it.
    #[error("the certificate is not signed by an authority of its trust domain")]
    Signature,
}

impl ChainError {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "svid-chain-malformed",
            Self::Name => "svid-name-invalid",
            Self::Usage => "svid-usage-invalid",
            Self::TrustDomain => "svid-trust-domain-unknown",
            Self::Time => "svid-time-invalid",
            Self::Signature => "svid-not-signed",
        }
    }
}

/// On which side of a connection a chain is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// By who connected.
    Client,
    /// By who was connected to.
    Server,
}

/// Whose a chain is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// The key, if it is one on P-256.
    pub key: Option<P256PublicKey>,
    /// The end of its certificate: nobody is known by it from then on.
    pub not_after: Timestamp,
}

/// The X.509 authorities of trust domains, each apart from the others.
#[derive(Clone, Debug, Default)]
pub struct Anchors(Vec<(String, Vec<CertificateDer<'static>>)>);

impl Anchors {
    /// Puts the certificates of a trust domain in the place of those before.
    /// None at all: the trust domain is trusted no more.
    ///
    /// # Errors
    /// [`ChainError::Malformed`]; nothing changes then.
    pub fn set(&mut self, trust_domain: &str, certificates: &[Vec<u8>]) -> Result<(), ChainError> {
        if !is_trust_domain(trust_domain) || certificates.len() > MAX_ANCHORS {
            return Err(ChainError::Malformed);
        }
        let ders: Vec<_> =
            certificates.iter().map(|der| CertificateDer::from(der.clone())).collect();
        if ders.iter().any(|der| anchor_from_trusted_cert(der).is_err()) {
            return Err(ChainError::Malformed);
        }
        self.0.retain(|(domain, _)| domain != trust_domain);
        if !ders.is_empty() {
            self.0.push((trust_domain.to_owned(), ders));
        }
        Ok(())
    }

    /// Verifies a chain, leaf first, against the bundle of the leaf's own trust
    /// domain and no other.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub fn verify(
        &self,
        leaf: &[u8],
        intermediates: &[CertificateDer<'_>],
        usage: Usage,
        now: Timestamp,
    ) -> Result<Peer, ChainError> {
        let within = |der: &[u8]| der.len() <= MAX_CERTIFICATE_BYTES;
        if intermediates.len() >= MAX_CHAIN
            || !within(leaf)
            || !intermediates.iter().all(|der| within(der))
        {
            return Err(ChainError::Malformed);
        }
        let peer = read(leaf)?;
        let domain = peer.spiffe_id.trust_domain();
        let (_, ders) =
            self.0.iter().find(|(known, _)| known == domain).ok_or(ChainError::TrustDomain)?;
        let anchors: Vec<TrustAnchor<'_>> =
            ders.iter().filter_map(|der| anchor_from_trusted_cert(der).ok()).collect();
        let seconds = u64::try_from(now.seconds()).map_err(|_| ChainError::Time)?;
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let der = CertificateDer::from(leaf);
        let certificate = EndEntityCert::try_from(&der).map_err(|_| ChainError::Malformed)?;
        let usage = match usage {
            Usage::Client => KeyUsage::client_auth(),
            Usage::Server => KeyUsage::server_auth(),
        };
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        certificate
            .verify_for_usage(algorithms, &anchors, intermediates, time, usage, None, None)
            .map_err(|e| match e {
                webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. } => {
                    ChainError::Time
                }
                _ => ChainError::Signature,
            })?;
        if now >= peer.not_after {
            return Err(ChainError::Time);
        }
        Ok(peer)
    }
}

/// Reads a leaf: exactly one URI that is the SPIFFE ID of a workload, no right to
/// sign for others, usable on both sides (X509-SVID §2, §4, §5.2).
fn read(leaf: &[u8]) -> Result<Peer, ChainError> {
    let (rest, certificate) = X509Certificate::from_der(leaf).map_err(|_| ChainError::Malformed)?;
    if !rest.is_empty() {
        return Err(ChainError::Malformed);
    }
    let mut uris = Vec::new();
    let mut signs_data = false;
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => {
                uris.extend(names.general_names.iter().filter_map(|name| match name {
                    GeneralName::URI(uri) => Some(*uri),
                    _ => None,
                }));
            }
            ParsedExtension::BasicConstraints(basic) if basic.ca => return Err(ChainError::Usage),
            ParsedExtension::KeyUsage(usage) => {
                if usage.key_cert_sign() || usage.crl_sign() {
                    return Err(ChainError::Usage);
                }
                signs_data |= usage.digital_signature();
            }
            ParsedExtension::ExtendedKeyUsage(usage)
                if !(usage.server_auth && usage.client_auth) =>
            {
                return Err(ChainError::Usage);
            }
            _ => {}
        }
    }
    if !signs_data {
        return Err(ChainError::Usage);
    }
    let [uri] = uris.as_slice() else { return Err(ChainError::Name) };
    let spiffe_id = SpiffeId::parse(uri).ok_or(ChainError::Name)?;
    let key = point(&certificate.public_key().subject_public_key.data);
    let not_after = Timestamp::from_seconds(certificate.validity().not_after.timestamp());
    Ok(Peer { spiffe_id, key, not_after })
}

/// The certificates of DER texts one after another, as the Workload API has
/// chains and bundles.
///
/// # Errors
/// [`ChainError::Malformed`] for anything but whole certificates, `most` of them
/// at most.
pub fn split(bytes: &[u8], most: usize) -> Result<Vec<Vec<u8>>, ChainError> {
    let mut rest = bytes;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (after, _) = X509Certificate::from_der(rest).map_err(|_| ChainError::Malformed)?;
        let length = rest.len().checked_sub(after.len()).ok_or(ChainError::Malformed)?;
        let der = rest.get(..length).ok_or(ChainError::Malformed)?;
        if found.len() >= most || length > MAX_CERTIFICATE_BYTES {
            return Err(ChainError::Malformed);
        }
        found.push(der.to_vec());
        rest = after;
    }
    Ok(found)
}

/// What a leaf says of itself. Nothing is proved by that: it is for an SVID of
/// one's own.
#[must_use]
pub fn peek(leaf: &[u8]) -> Option<Peer> {
    read(leaf).ok()
}
