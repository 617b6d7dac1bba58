//! TLS between peers who show their SVIDs: 1.3 only, both sides, every chain
//! judged against the bundle of its own trust domain.

use std::sync::{Arc, PoisonError, RwLock};

use bailiwick_core::time::Timestamp;
use bailiwick_svid::{Anchors, ChainError, Peer, Usage};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, ConnectionCommon, DigitallySignedStruct, DistinguishedName,
    Error, OtherError, PeerIncompatible, ServerConfig, SideData, SignatureScheme, version,
};

use crate::material::Material;
use crate::rotation::{Current, Rotation};

/// The exporter's label (RFC 9266 §4); its context is empty.
const CHANNEL_BINDING: &[u8] = b"EXPORTER-Channel-Binding";

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Who. From `not_after` on the connection proves nobody any more.
    pub peer: Peer,
    /// What only the two ends of this very connection know (RFC 9266).
    pub channel_binding: [u8; 32],
}

impl Facts {
    /// Whether the peer is still known by its SVID.
    #[must_use]
    pub fn stands(&self, now: Timestamp) -> bool {
        now < self.peer.not_after
    }
}

/// A connection that proves nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// No handshake was made, or the peer showed nothing.
    #[error("the peer showed no certificate")]
    NoCertificate,
    /// It is not acceptable, or not any more.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The library gives no exporter.
    #[error("the connection has no exporter")]
    NoExporter,
}

/// One side of connections: its own SVIDs as they rotate, and the bundles that it
/// knows.
pub struct Party {
    rotation: Rotation,
    /// Of other trust domains, apart from one's own.
    foreign: RwLock<Anchors>,
    now: fn() -> Timestamp,
    provider: Arc<CryptoProvider>,
}

impl std::fmt::Debug for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Party").field("rotation", &self.rotation).finish_non_exhaustive()
    }
}

impl Party {
    /// A side that shows what `rotation` has; `now` is the clock.
    #[must_use]
    pub fn new(rotation: Rotation, now: fn() -> Timestamp) -> Arc<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let foreign = RwLock::new(Anchors::default());
        Arc::new(Self { rotation, foreign, now, provider })
    }

    /// Takes up the bundle of another trust domain in the place of the one before;
    /// none at all ends the trust in it. One's own comes with the SVIDs.
    ///
    /// # Errors
    /// [`ChainError::Malformed`], or [`ChainError::TrustDomain`] for one's own.
    pub fn federate(&self, trust_domain: &str, bundle: &[Vec<u8>]) -> Result<(), ChainError> {
        if self.material().is_some_and(|m| m.spiffe_id().trust_domain() == trust_domain) {
            return Err(ChainError::TrustDomain);
        }
        let mut foreign = self.foreign.write().unwrap_or_else(PoisonError::into_inner);
        foreign.set(trust_domain, bundle)
    }

    /// Configuration for whoever is connected to. No session is resumed: an SVID is
    /// shown with every connection.
    ///
    /// # Errors
    /// What the library says.
    pub fn server(self: &Arc<Self>) -> Result<ServerConfig, Error> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&version::TLS13])?;
        let mut config = builder
            .with_client_cert_verifier(Arc::new(Side(Arc::clone(self))))
            .with_cert_resolver(Arc::new(Side(Arc::clone(self))));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// Configuration for whoever connects. The name that is connected to is not
    /// looked at: who it is, is told by [`Self::facts`] and must be compared.
    ///
    /// # Errors
    /// What the library says.
    pub fn client(self: &Arc<Self>) -> Result<ClientConfig, Error> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&version::TLS13])?;
        let mut config = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Side(Arc::clone(self))))
            .with_client_cert_resolver(Arc::new(Side(Arc::clone(self))));
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        Ok(config)
    }

    /// Who is at the other end, judged once more against the bundles as of now.
    ///
    /// # Errors
    /// See [`FactsError`].
    pub fn facts<S: SideData>(
        &self,
        connection: &ConnectionCommon<S>,
        peer_is: Usage,
    ) -> Result<Facts, FactsError> {
        let chain = connection.peer_certificates().unwrap_or_default();
        let (leaf, rest) = chain.split_first().ok_or(FactsError::NoCertificate)?;
        let peer = self.judge(leaf, rest, peer_is)?;
        let channel_binding = connection
            .export_keying_material([0; 32], CHANNEL_BINDING, Some(b""))
            .map_err(|_| FactsError::NoExporter)?;
        Ok(Facts { peer, channel_binding })
    }

    fn material(&self) -> Option<Arc<Material>> {
        match self.rotation.now() {
            Current::Some(material) => Some(material),
            Current::Refused(_) => None,
        }
    }

    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        usage: Usage,
    ) -> Result<Peer, ChainError> {
        let mut anchors = self.foreign.read().unwrap_or_else(PoisonError::into_inner).clone();
        let material = self.material().ok_or(ChainError::TrustDomain)?;
        anchors.set(material.spiffe_id().trust_domain(), &material.bundle().x509)?;
        anchors.verify(leaf, rest, usage, (self.now)())
    }

    /// What is shown now; nothing once it has run out.
    fn shown(&self) -> Option<Arc<CertifiedKey>> {
        let material = self.material().filter(|m| (self.now)() < m.not_after())?;
        let chain = material.chain().iter().map(|der| CertificateDer::from(der.clone())).collect();
        let key = PrivatePkcs8KeyDer::from(material.key().pkcs8().to_vec());
        let key = self.provider.key_provider.load_private_key(PrivateKeyDer::Pkcs8(key)).ok()?;
        Some(Arc::new(CertifiedKey::new(chain, key)))
    }
}

/// A party, as the library asks it.
#[derive(Debug)]
struct Side(Arc<Party>);

fn refused(error: ChainError) -> Error {
    let why = match error {
        ChainError::Time => CertificateError::Expired,
        ChainError::TrustDomain | ChainError::Signature => CertificateError::UnknownIssuer,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    };
    Error::InvalidCertificate(why)
}

impl Side {
    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.0.provider.signature_verification_algorithms.supported_schemes()
    }
}

const TLS13_ONLY: Error = Error::PeerIncompatible(PeerIncompatible::Tls13RequiredForQuic);

impl ServerCertVerifier for Side {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0.judge(leaf, rest, Usage::Server).map_err(refused)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(TLS13_ONLY)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for Side {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.judge(leaf, rest, Usage::Client).map_err(refused)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(TLS13_ONLY)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ResolvesServerCert for Side {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.shown()
    }
}

impl rustls::client::ResolvesClientCert for Side {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.shown()
    }

    fn has_certs(&self) -> bool {
        true
    }
}
