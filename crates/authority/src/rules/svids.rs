//! SVIDs (SPIFFE X509-SVID, WIT-SVID): an instance asks with its identity key and
//! shows a certificate request by a fresh key; certificate and token are for the
//! fresh key, and short.

use bailiwick_core::crypto::{P256PublicKey, from_base64url};
use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_svid::{Leaf, MAX_REQUEST_BYTES, SpiffeId, requested_key};

use super::identities::{self, Known, LIFETIME_SECONDS, Subject};
use crate::host::Moment;
use crate::installation::{Installation, Keys};
use crate::plan::Plan;
use crate::refusal::Refusal;

/// The `typ` of a request for SVIDs, signed by the identity key.
pub const REQUEST_TYPE: &str = "bailiwick-svid-request+jwt";

/// Seconds that SVIDs may be asked to live: at most as long as identity tokens.
pub const LIFETIMES: std::ops::RangeInclusive<i64> = 10..=LIFETIME_SECONDS;

/// What a request asks for, its proof of possession checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The fresh key.
    pub key: P256PublicKey,
    /// Seconds that the SVIDs are to live.
    pub seconds: i64,
}

impl Asked {
    /// Reads `{…, csr, lifetime}`: base64url of a PKCS#10 request, and seconds.
    ///
    /// # Errors
    /// [`Refusal::SvidRequest`].
    pub fn read(claims: &Object) -> Result<Self, Refusal> {
        let bad = |what: &str| Refusal::SvidRequest { what: what.to_owned() };
        let csr =
            claims.member("csr").and_then(Json::as_str).ok_or_else(|| bad("there is none"))?;
        // Four letters for three bytes.
        let fits = csr.len() <= MAX_REQUEST_BYTES.saturating_mul(4) / 3 + 3;
        let der = fits.then(|| from_base64url(csr)).flatten();
        let der = der.ok_or_else(|| bad("it is no base64url within its length"))?;
        let key = requested_key(&der).map_err(|e| bad(&e.to_string()))?;
        let seconds = match claims.member("lifetime") {
            None => LIFETIME_SECONDS,
            Some(asked) => asked
                .as_number()
                .and_then(|n| n.as_plain_integer())
                .filter(|n| LIFETIMES.contains(n))
                .ok_or_else(|| bad("its `lifetime` is not 10 to 600 seconds"))?,
        };
        Ok(Self { key, seconds })
    }
}

/// SVIDs as they are handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedSvids {
    /// The identity token for the fresh key, which is the WIT-SVID.
    pub identity: identities::Issued,
    /// Certificates, DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// Seconds that both live.
    pub seconds: i64,
}

/// Issues SVIDs for the fresh key, to an active instance of an active agent.
///
/// # Errors
/// Those of [`identities::issue`], and [`Refusal::SvidIssue`].
pub fn issue(
    moment: &Moment<'_>,
    installation: &Installation,
    keys: &Keys,
    known: Known<'_>,
    asked: &Asked,
) -> Result<Plan<IssuedSvids>, Refusal> {
    // SECURITY: the key of an SVID is handed to programs. One that is enrolled
    // would be a credential here.
    let own = identities::identity_key(known.instance)?;
    if own == VerifyingKey::P256(asked.key) {
        let what = "it is for the enrolled identity key; make a fresh one".to_owned();
        return Err(Refusal::SvidRequest { what });
    }
    let subject = Subject { key: asked.key, seconds: asked.seconds };
    let mut plan = identities::issue_to(moment, installation, keys, known, subject)?;
    let serial: [u8; 16] = moment.random()?;
    let unmade = |what: String| Refusal::SvidIssue { what };
    let text = plan.outcome.spiffe_id.as_str();
    let spiffe_id =
        SpiffeId::parse(text).ok_or_else(|| unmade(format!("`{text}` is no SPIFFE ID")))?;
    let not_after: Timestamp = plan.outcome.expires;
    let leaf =
        Leaf { spiffe_id: &spiffe_id, key: &asked.key, now: moment.now(), not_after, serial };
    let certificate = keys.svid.issue(&leaf).map_err(|e| unmade(e.to_string()))?;
    let authority = VerifyingKey::P256(keys.svid.public_key()).thumbprint();
    let serial: String =
        bailiwick_svid::serial(serial).iter().map(|byte| format!("{byte:02x}")).collect();
    for step in &mut plan.steps {
        let x509 = Object::new().with("authority", authority).with("serial", serial.as_str());
        step.event.body.insert("x509", x509);
    }
    let seconds = asked.seconds;
    Ok(plan.map(|identity| IssuedSvids { identity, chain: vec![certificate], seconds }))
}

/// The claims of a request, for whoever makes one: those of
/// [`identities::request_claims`] and what is asked for.
#[must_use]
pub fn request_claims(mut claims: Json, csr: &[u8], lifetime: Option<i64>) -> Json {
    if let Json::Object(claims) = &mut claims {
        claims.insert("csr", bailiwick_core::crypto::base64url(csr));
        if let Some(seconds) = lifetime {
            claims.insert("lifetime", seconds);
        }
    }
    claims
}
