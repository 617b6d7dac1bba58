//! Identity tokens: short-lived proof of which instance somebody is (WIMSE WIT,
//! ES256, a SPIFFE ID as subject), renewed by the instance's own identity key.

use bailiwick_core::crypto::{Digest, P256PublicKey};
use bailiwick_core::enrolment::Statement;
use bailiwick_core::ids::{InstanceId, uuid_v7};
use bailiwick_core::jose::{Acceptable, HeaderRules, Jws, VerifyingKey, numeric_date};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_core::wit::{Identity, instance_spiffe_id};
use bailiwick_store::{Agent, Instance, Principal, Status};

use crate::host::Moment;
use crate::installation::{Installation, Keys};
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::agents::acting;

/// Seconds that an identity token lives: minutes, so that an instance that was
/// taken off the registry is nobody soon, wherever its token is shown.
pub const LIFETIME_SECONDS: i64 = 600;

/// The `typ` of a request for an identity token, signed by the identity key.
pub const REQUEST_TYPE: &str = "bailiwick-identity-request+jwt";

/// The `typ` of an instance's word that it is over, signed by the identity key.
pub const RETIREMENT_TYPE: &str = "bailiwick-instance-retirement+jwt";

/// Seconds between the making of a request and its arrival.
pub const FRESH_SECONDS: i64 = 60;

const MAX_REQUEST_BYTES: usize = 4096;

/// An instance with what it rests on.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The instance.
    pub instance: &'a Instance,
    /// Its agent.
    pub agent: Option<&'a Agent>,
    /// The agent's owner.
    pub owner: Option<&'a Principal>,
    /// The kind of what was revoked of the three.
    pub revoked: Option<&'static str>,
}

/// An identity token as it is handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The instance.
    pub instance: InstanceId,
    /// Its SPIFFE ID.
    pub spiffe_id: String,
    /// The token, compact.
    pub token: String,
    /// Its end.
    pub expires: Timestamp,
}

impl Issued {
    /// The answer as JSON, token included.
    #[must_use]
    pub fn to_json(&self) -> Json {
        Object::new()
            .with("instance", &self.instance)
            .with("spiffe_id", self.spiffe_id.as_str())
            .with("identity_token", self.token.as_str())
            .with("expires_at", self.expires.to_string())
            .with("expires_in", LIFETIME_SECONDS)
            .into()
    }
}

/// Whom an identity token is for, beside the instance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject {
    /// The key whose holder it names.
    pub(super) key: P256PublicKey,
    /// Seconds that it lives.
    pub(super) seconds: i64,
}

/// Issues an identity token to an active instance of an active agent, for its
/// enrolled identity key.
///
/// # Errors
/// [`Refusal::InstanceUnsuitable`], [`Refusal::AgentInactive`],
/// [`Refusal::Revoked`], [`Refusal::Key`].
pub fn issue(
    moment: &Moment<'_>,
    installation: &Installation,
    keys: &Keys,
    known: Known<'_>,
) -> Result<Plan<Issued>, Refusal> {
    let VerifyingKey::P256(key) = identity_key(known.instance)? else {
        return Err(bailiwick_core::crypto::KeyError::Unsupported.into());
    };
    issue_to(moment, installation, keys, known, Subject { key, seconds: LIFETIME_SECONDS })
}

/// The same for a key and a time that the caller has judged.
pub(super) fn issue_to(
    moment: &Moment<'_>,
    installation: &Installation,
    keys: &Keys,
    known: Known<'_>,
    subject: Subject,
) -> Result<Plan<Issued>, Refusal> {
    let Known { instance, agent, owner, revoked } = known;
    let agent = acting(&instance.agent, agent, owner)?;
    if instance.status != Status::Active {
        let (instance, agent) = (instance.id.clone(), agent.id.clone());
        return Err(Refusal::InstanceUnsuitable { instance, agent });
    }
    if let Some(kind) = revoked {
        return Err(Refusal::Revoked { kind });
    }
    let Subject { key, seconds } = subject;
    let now = moment.now();
    let expires = now.plus_seconds(seconds);
    let identity = Identity {
        issuer: installation.issuer.clone(),
        spiffe_id: instance_spiffe_id(&installation.trust_domain, &agent.id, &instance.id),
        key,
        issued_at: now.seconds(),
        expires_at: expires.seconds(),
        jti: uuid_v7(now, moment.random()?),
        // The host said so under both enrolled keys; nobody can say it for another.
        isolation: Statement::recorded_isolation(&instance.statement),
    };
    let signer = &*keys.identity;
    let kid = VerifyingKey::P256(signer.public_key()).thumbprint().to_string();
    let token = identity.issue(&kid, signer)?;
    let issued = Issued {
        instance: instance.id.clone(),
        spiffe_id: identity.spiffe_id.clone(),
        token,
        expires: Timestamp::from_seconds(expires.seconds()),
    };
    let step = Step::new(moment, &installation.org, Kind::IdentityIssued)?
        .about(|s| {
            s.agent = Some(agent.id.to_string());
            s.instance = Some(instance.id.to_string());
        })
        .with("instance", &instance.id)
        .with("agent", &agent.id)
        .with("spiffe_id", issued.spiffe_id.as_str())
        .with("key", VerifyingKey::P256(key).thumbprint())
        .with("jti", identity.jti.as_str())
        .with("not_after", identity.expires_at);
    Ok(Plan::one(step, issued))
}

pub(super) fn identity_key(instance: &Instance) -> Result<VerifyingKey, Refusal> {
    let json = Json::parse(instance.identity_jwk.as_bytes(), &JsonLimits::DEFAULT);
    let json = json.map_err(|_| bailiwick_core::crypto::KeyError::Encoding)?;
    let jwk = json.as_object().ok_or(bailiwick_core::crypto::KeyError::Encoding)?;
    Ok(VerifyingKey::from_jwk(jwk)?)
}

/// A request that was read and not yet checked.
#[derive(Debug)]
pub struct Request<'t> {
    jws: Acceptable<'t>,
    /// Who it says it is from.
    pub instance: InstanceId,
}

/// A request that held; its `jti` is to be spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fresh {
    /// SHA-256 over instance and `jti`.
    pub key: Digest,
    /// When it would be too old anyway.
    pub expires: Timestamp,
    /// What it says, all of it.
    pub claims: Object,
}

impl<'t> Request<'t> {
    /// Reads `{iss: INSTANCE, aud: ISSUER, iat, jti}`, signed ES256, of the type
    /// `typ`: one request is not taken for another.
    ///
    /// # Errors
    /// [`Refusal::IdentityRequest`].
    pub fn read(text: &'t str, typ: &'static str) -> Result<Self, Refusal> {
        let (jws, instance) = read(text, &HeaderRules::typed(&[typ]))?;
        Ok(Self { jws, instance })
    }

    /// Checks the request against the instance that it names.
    ///
    /// # Errors
    /// [`Refusal::IdentityRequest`].
    pub fn check(
        &self,
        instance: &Instance,
        issuer: &str,
        now: Timestamp,
    ) -> Result<Fresh, Refusal> {
        let bad = |what| Refusal::IdentityRequest { what };
        let claims = signed(&self.jws, instance, issuer)?;
        let text = |name: &str| claims.member(name).and_then(Json::as_str);
        let iat = numeric_date(&claims, "iat").map_err(|_| bad("it is malformed"))?;
        if now.seconds().saturating_sub(iat).saturating_abs() > FRESH_SECONDS {
            return Err(bad("it was made at another time than now"));
        }
        let jti = text("jti").filter(|j| !j.is_empty() && j.len() <= 128);
        let jti = jti.ok_or_else(|| bad("it is malformed"))?;
        let key = bailiwick_core::crypto::sha256(format!("{} {jti}", instance.id).as_bytes());
        let expires = Timestamp::from_seconds(iat).plus_seconds(FRESH_SECONDS.saturating_add(2));
        Ok(Fresh { key, expires, claims })
    }
}

/// Reads what an instance signed ES256: `iss` is itself.
fn read<'t>(
    text: &'t str,
    rules: &HeaderRules<'_>,
) -> Result<(Acceptable<'t>, InstanceId), Refusal> {
    let malformed = || Refusal::IdentityRequest { what: "it is malformed" };
    let jws = Jws::parse(text, MAX_REQUEST_BYTES).map_err(|_| malformed())?;
    let jws = jws.check_header(rules).map_err(|_| malformed())?;
    let issuer = jws.claim_hint("iss").ok_or_else(malformed)?;
    let instance = InstanceId::parse(&issuer).map_err(|_| malformed())?;
    Ok((jws, instance))
}

/// What it says, to this authority.
fn signed(jws: &Acceptable<'_>, instance: &Instance, issuer: &str) -> Result<Object, Refusal> {
    let bad = |what| Refusal::IdentityRequest { what };
    let claims = jws
        .verify(&identity_key(instance)?)
        .map_err(|_| bad("the signature does not hold under the instance's identity key"))?;
    let text = |name: &str| claims.member(name).and_then(Json::as_str);
    if text("iss") != Some(instance.id.as_str()) {
        return Err(bad("it names another instance"));
    }
    if text("aud") != Some(issuer) {
        return Err(bad("it is meant for another authority"));
    }
    Ok(claims)
}

/// An instance's word that it is over, made while it lived and kept until then.
///
/// SECURITY: it ends its instance and does nothing else. So anybody may bring it, at any time and
/// as often as they like.
#[derive(Debug)]
pub struct Retirement<'t> {
    jws: Acceptable<'t>,
    /// Who it says it is from.
    pub instance: InstanceId,
}

impl<'t> Retirement<'t> {
    /// Reads `{iss: INSTANCE, aud: ISSUER}`, signed ES256.
    ///
    /// # Errors
    /// [`Refusal::IdentityRequest`].
    pub fn read(text: &'t str) -> Result<Self, Refusal> {
        const RULES: HeaderRules<'_> = HeaderRules::typed(&[RETIREMENT_TYPE]);
        let (jws, instance) = read(text, &RULES)?;
        Ok(Self { jws, instance })
    }

    /// Checks it against the instance that it names.
    ///
    /// # Errors
    /// [`Refusal::IdentityRequest`].
    pub fn check(&self, instance: &Instance, issuer: &str) -> Result<(), Refusal> {
        signed(&self.jws, instance, issuer).map(drop)
    }
}

/// The claims of such a word, for the instance.
#[must_use]
pub fn retirement_claims(instance: &InstanceId, issuer: &str) -> Json {
    Object::new().with("iss", instance).with("aud", issuer).into()
}

/// The claims of a request, for whoever makes one.
#[must_use]
pub fn request_claims(instance: &InstanceId, issuer: &str, now: Timestamp, jti: &str) -> Json {
    Object::new()
        .with("iss", instance)
        .with("aud", issuer)
        .with("iat", now.seconds())
        .with("jti", jti)
        .into()
}
