//! TLS at the listener: a certificate with its key, replaced while connections
//! stay open.
//!
//! The bytes come in as values; the composition root reads the files. What is
//! not acceptable is refused whole, and what was in use stays in use.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bailiwick_core::time::Timestamp;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{CertificateError, Error, RootCertStore, ServerConfig};

/// Certificates in a chain at most.
const MAX_CHAIN: usize = 8;

/// The one protocol that is spoken inside (RFC 7301 §6).
const HTTP_1_1: &[u8] = b"http/1.1";

/// A certificate or key that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The certificate file.
    #[error("the certificate file does not hold 1 to {MAX_CHAIN} PEM certificates")]
    Certificate,
    /// The key file.
    #[error("the key file does not hold one PEM private key")]
    Key,
    /// They do not belong together, or are of a kind that is not served.
    #[error("the certificate and the key cannot be used together: {detail}")]
    Mismatch {
        /// Why, without anything of the key.
        detail: String,
    },
    /// It is too late or too early.
    #[error("the certificate is not valid at {at}")]
    NotValid {
        /// The time that was asked about.
        at: Timestamp,
    },
    /// It speaks for another name.
    #[error("the certificate does not name `{host}`")]
    OtherName {
        /// The name under which clients come.
        host: String,
    },
    /// The process has no cryptography for TLS.
    #[error("no TLS provider is installed")]
    NoProvider,
}

impl TlsError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Certificate => "tls-certificate-malformed",
            Self::Key => "tls-key-malformed",
            Self::Mismatch { .. } => "tls-key-mismatch",
            Self::NotValid { .. } => "tls-certificate-not-valid",
            Self::OtherName { .. } => "tls-certificate-name",
            Self::NoProvider => "tls-provider-missing",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Certificate => {
                "write the server's certificate first, then its issuers, as PEM without text of other kinds"
            }
            Self::Key => {
                "write the private key as PKCS#8, SEC1 or PKCS#1 in PEM, without a passphrase"
            }
            Self::Mismatch { .. } => "use the key for which the first certificate was issued",
            Self::NotValid { .. } => "renew the certificate, or mend the clock",
            Self::OtherName { .. } => "use a certificate for the host of `public_url`",
            Self::NoProvider => "install a provider before serving; this is a fault of the program",
        }
    }
}

/// What the listener presents to clients; clones of a connection's
/// configuration outlive a replacement.
pub struct Tls {
    current: RwLock<Arc<ServerConfig>>,
    host: String,
}

impl Tls {
    /// TLS with a PEM chain and a PEM key for clients that come to `host`.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn new(
        host: &str,
        certificate: &[u8],
        key: &[u8],
        now: Timestamp,
    ) -> Result<Self, TlsError> {
        let config = configuration(host, certificate, key, now)?;
        Ok(Self { current: RwLock::new(Arc::new(config)), host: host.to_owned() })
    }

    /// Replaces certificate and key for connections from now on; those that are
    /// open go on as they are.
    ///
    /// # Errors
    /// See [`TlsError`]; what was in use stays in use.
    pub fn replace(&self, certificate: &[u8], key: &[u8], now: Timestamp) -> Result<(), TlsError> {
        let config = configuration(&self.host, certificate, key, now)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("host", &self.host).finish_non_exhaustive()
    }
}

fn configuration(
    host: &str,
    certificate: &[u8],
    key: &[u8],
    now: Timestamp,
) -> Result<ServerConfig, TlsError> {
    let mut chain = Vec::new();
    for item in CertificateDer::pem_slice_iter(certificate) {
        if chain.len() == MAX_CHAIN {
            return Err(TlsError::Certificate);
        }
        chain.push(item.map_err(|_| TlsError::Certificate)?);
    }
    let provider = CryptoProvider::get_default().ok_or(TlsError::NoProvider)?;
    check(host, &chain, now, provider)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::Key)?;
    let mismatch = |e: Error| TlsError::Mismatch { detail: e.to_string() };
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(mismatch)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(mismatch)?;
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    Ok(config)
}

/// Whether clients that trust its issuer would accept the first certificate:
/// form, time and name. Who issued it is the clients' question.
fn check(
    host: &str,
    chain: &[CertificateDer<'_>],
    now: Timestamp,
    provider: &CryptoProvider,
) -> Result<(), TlsError> {
    let (first, rest) = chain.split_first().ok_or(TlsError::Certificate)?;
    let parsed = ParsedCertificate::try_from(first).map_err(|_| TlsError::Certificate)?;
    let since_epoch = u64::try_from(now.millis()).unwrap_or_default();
    let time = UnixTime::since_unix_epoch(Duration::from_millis(since_epoch));
    // Nobody is trusted here, so the answer is always an error: the validity is
    // looked at before the issuer is.
    let verified = verify_server_cert_signed_by_trust_anchor(
        &parsed,
        &RootCertStore::empty(),
        rest,
        time,
        provider.signature_verification_algorithms.all,
    );
    if let Err(Error::InvalidCertificate(
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. },
    )) = verified
    {
        return Err(TlsError::NotValid { at: now });
    }
    let other = || TlsError::OtherName { host: host.to_owned() };
    let name = ServerName::try_from(host).map_err(|_| other())?;
    verify_server_name(&parsed, &name).map_err(|_| other())
}
