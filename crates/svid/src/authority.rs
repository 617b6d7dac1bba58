//! The authority's certificates: its own, and those of instances.

use bailiwick_core::crypto::{P256PublicKey, P256SigningKey};
use bailiwick_core::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose, SanType, SerialNumber,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use crate::SpiffeId;
use crate::id::is_trust_domain;
use crate::request::point;
use crate::signer::{Private, Public};

/// Seconds by which a certificate begins before it was made: clocks differ.
const BACK_SECONDS: i64 = 30;

/// Seconds that the authority's own certificate lives: ten years. It ends by
/// being replaced.
const AUTHORITY_SECONDS: i64 = 10 * 365 * 86_400;

/// A certificate that cannot be made or taken up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The library refused.
    #[error("the certificate cannot be made: {0}")]
    Library(#[from] rcgen::Error),
    /// A name that no certificate can carry, or a time beyond the calendar.
    #[error("the certificate's `{member}` cannot be written")]
    Member {
        /// Which one.
        member: &'static str,
    },
    /// The stored certificate is not of this key.
    #[error("the stored certificate is not the one of the SVID key")]
    OtherKey,
}

/// What a certificate of an instance says.
#[derive(Clone, Copy, Debug)]
pub struct Leaf<'a> {
    /// Its only name.
    pub spiffe_id: &'a SpiffeId,
    /// The key that it is for.
    pub key: &'a P256PublicKey,
    /// Now; it begins slightly before.
    pub now: Timestamp,
    /// Its end.
    pub not_after: Timestamp,
    /// Random.
    pub serial: [u8; 16],
}

/// The key that signs SVIDs, with its certificate and those of keys before it.
pub struct SvidAuthority {
    key: P256SigningKey,
    certificate: Vec<u8>,
    former: Vec<(P256PublicKey, Vec<u8>)>,
}

impl std::fmt::Debug for SvidAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SvidAuthority({})", self.key.public_key().thumbprint())
    }
}

impl SvidAuthority {
    /// The authority of a key whose certificate was made before. Former
    /// certificates that cannot be read are left out.
    ///
    /// # Errors
    /// [`IssueError::OtherKey`].
    pub fn new(
        key: P256SigningKey,
        certificate: Vec<u8>,
        former: Vec<Vec<u8>>,
    ) -> Result<Self, IssueError> {
        if key_of(&certificate) != Some(key.public_key()) {
            return Err(IssueError::OtherKey);
        }
        let former = former.into_iter().filter_map(|der| Some((key_of(&der)?, der))).collect();
        Ok(Self { key, certificate, former })
    }

    /// The certificate of a key that begins to sign for a trust domain.
    ///
    /// # Errors
    /// See [`IssueError`].
    pub fn certificate_for(
        key: &P256SigningKey,
        trust_domain: &str,
        now: Timestamp,
        serial: [u8; 16],
    ) -> Result<Vec<u8>, IssueError> {
        if !is_trust_domain(trust_domain) {
            return Err(IssueError::Member { member: "trust domain" });
        }
        let mut params = of_key(&key.public_key());
        params.serial_number = Some(SerialNumber::from_slice(&self::serial(serial)));
        (params.not_before, params.not_after) = window(now, now.plus_seconds(AUTHORITY_SECONDS))?;
        params.subject_alt_names = vec![uri(&format!("spiffe://{trust_domain}"))?];
        // Nobody below it signs for anybody else.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(params.self_signed(&Private::of(key))?.der().to_vec())
    }

    /// The key in force.
    #[must_use]
    pub fn public_key(&self) -> P256PublicKey {
        self.key.public_key()
    }

    /// The certificate of a key, in force or former.
    #[must_use]
    pub fn certificate(&self, key: &P256PublicKey) -> Option<&[u8]> {
        if *key == self.public_key() {
            return Some(&self.certificate);
        }
        self.former.iter().find(|(k, _)| k == key).map(|(_, der)| der.as_slice())
    }

    /// Issues a certificate; its content is the authority's alone.
    ///
    /// # Errors
    /// See [`IssueError`].
    pub fn issue(&self, leaf: &Leaf<'_>) -> Result<Vec<u8>, IssueError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.serial_number = Some(SerialNumber::from_slice(&serial(leaf.serial)));
        (params.not_before, params.not_after) = window(leaf.now, leaf.not_after)?;
        params.subject_alt_names = vec![uri(leaf.spiffe_id.as_str())?];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let own = of_key(&self.public_key());
        let issuer = Issuer::from_params(&own, Private::of(&self.key));
        Ok(params.signed_by(&Public::of(leaf.key), &issuer)?.der().to_vec())
    }
}

/// What is the same of an authority in its own certificate and as an issuer: a
/// subject that no other key has.
fn of_key(key: &P256PublicKey) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Bailiwick");
    name.push(DnType::CommonName, format!("svid {}", key.thumbprint()));
    params.distinguished_name = name;
    params
}

/// A serial number of 16 octets, positive and never zero (RFC 5280 §4.1.2.2).
#[must_use]
pub fn serial(random: [u8; 16]) -> [u8; 16] {
    let [first, rest @ ..] = random;
    let mut serial = [(first & 0x7f) | 0x40; 16];
    for (to, from) in serial.iter_mut().skip(1).zip(rest) {
        *to = from;
    }
    serial
}

fn uri(text: &str) -> Result<SanType, IssueError> {
    let text = text.try_into().map_err(|_| IssueError::Member { member: "SPIFFE ID" })?;
    Ok(SanType::URI(text))
}

type Date = time::OffsetDateTime;

fn window(now: Timestamp, end: Timestamp) -> Result<(Date, Date), IssueError> {
    let date = |t: Timestamp| {
        Date::from_unix_timestamp(t.seconds()).map_err(|_| IssueError::Member { member: "time" })
    };
    Ok((date(now.plus_seconds(-BACK_SECONDS))?, date(end)?))
}

/// The P-256 key of a certificate.
#[must_use]
pub fn key_of(certificate: &[u8]) -> Option<P256PublicKey> {
    let (rest, parsed) = X509Certificate::from_der(certificate).ok()?;
    rest.is_empty().then(|| point(&parsed.public_key().subject_public_key.data))?
}
