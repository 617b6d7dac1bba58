//! Looking into a file: what a token, chain, grant, enrolment or other document
//! says, for people. No signature is checked here and nothing secret is shown.

use bailiwick_core::aat::jws::Compact;
use bailiwick_core::aat::{PROOF_TYPE, TOKEN_TYPE};
use bailiwick_core::accountable::{BUDGET, GRANT, PURPOSE, TASK, WORKFLOW};
use bailiwick_core::crypto::{PublicKey, from_base64url};
use bailiwick_core::enrolment;
use bailiwick_core::grant;
use bailiwick_core::json::{Json, JsonError, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_evidence::Trust;

use crate::rules::delegations::Prepared;
use crate::rules::revocations;

/// Bytes of a file at most.
pub const MAX_BYTES: usize = 8 << 20;

/// Levels and values of a file; the larger kinds are bundles.
const LIMITS: JsonLimits = JsonLimits { max_bytes: MAX_BYTES, ..JsonLimits::DEFAULT };

/// A file that is nothing we know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// Larger than [`MAX_BYTES`].
    #[error("the file has {bytes} bytes; at most {MAX_BYTES} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not strict JSON.
    #[error("the file is not strict JSON: {0}")]
    Json(JsonError),
    /// Neither tokens nor a known document.
    #[error("the file is no token, chain, grant, enrolment or other document of ours")]
    Unknown,
}

impl InspectError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "file-too-large",
            Self::Json(e) => e.code(),
            Self::Unknown => "file-unknown",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        "name a file with compact tokens (root first) or a JSON document of this program"
    }
}

/// Says what `bytes` holds.
///
/// # Errors
/// See [`InspectError`].
pub fn inspect(bytes: &[u8]) -> Result<Json, InspectError> {
    if bytes.len() > MAX_BYTES {
        return Err(InspectError::TooLarge { bytes: bytes.len() });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| InspectError::Json(JsonError::NotUtf8))?;
    let text = text.trim();
    if text.starts_with(['{', '[', '"']) {
        let json = Json::parse(text.as_bytes(), &LIMITS).map_err(InspectError::Json)?;
        return document(&json).ok_or(InspectError::Unknown);
    }
    let tokens: Vec<&str> =
        text.split(|c: char| c == ',' || c.is_whitespace()).filter(|t| !t.is_empty()).collect();
    chain(&tokens).ok_or(InspectError::Unknown)
}

fn kind(name: &str) -> Object {
    Object::new().with("kind", name)
}

fn document(json: &Json) -> Option<Json> {
    match json {
        Json::String(token) => chain(&[token]),
        Json::Array(tokens) => chain(&tokens.iter().map(Json::as_str).collect::<Option<Vec<_>>>()?),
        Json::Object(o) => object(json, o),
        _ => None,
    }
}

fn object(json: &Json, o: &Object) -> Option<Json> {
    let text = |name: &str| o.member(name).and_then(Json::as_str);
    if text("kty").is_some() {
        return Some(key(o));
    }
    if o.member("payload").is_some() && o.member("signatures").is_some() {
        return enrolment(json, o);
    }
    if let Ok(prepared) = Prepared::from_json(json) {
        let found = kind("prepared grant")
            .with("digest", prepared.statement.digest())
            .with("statement", statement(&prepared.statement));
        return Some(found.into());
    }
    if let Ok(found) = grant::Statement::from_json(json) {
        let object = kind("grant statement").with("digest", found.digest());
        return Some(object.with("statement", statement(&found)).into());
    }
    if let Ok(request) = grant::Request::from_json(json) {
        let object = kind("delegation request").with("principal", &request.principal);
        return Some(object.with("request", json.clone()).into());
    }
    if let Ok(trust) = Trust::parse(json.canonical().as_bytes()) {
        let object = kind("trust file").with("fingerprint", trust.fingerprint());
        return Some(object.with("trust", trust.to_json()).into());
    }
    if text("kind") == Some("bailiwick-evidence") {
        let object = kind("evidence bundle").with("note", "see `bailiwick evidence verify`");
        return Some(object.with("action", o.member("action")?.clone()).into());
    }
    // A presentation, or the answer of `delegate`.
    if let Some(tokens) = o.member("aat_chain").and_then(Json::as_array) {
        let tokens: Vec<&str> = tokens.iter().map(Json::as_str).collect::<Option<_>>()?;
        let mut found = kind("presentation").with("chain", chain(&tokens)?);
        if let Some(proof) = text("aat_pop") {
            found.insert("proof", chain(&[proof])?);
        }
        return Some(found.into());
    }
    text("token").and_then(|token| chain(&[token]))
}

/// A key, its private members left out.
fn key(jwk: &Object) -> Json {
    const PUBLIC: [&str; 8] = ["kty", "crv", "x", "y", "alg", "use", "kid", "typ"];
    let is_private = jwk.iter().any(|(name, _)| ["d", "k", "p", "q"].contains(&name));
    let public: Object = jwk
        .iter()
        .filter(|(name, _)| PUBLIC.contains(name))
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect();
    let mut found = kind(if is_private { "private key (not shown)" } else { "public key" });
    if let Ok(key) = PublicKey::from_jwk(&public) {
        found.insert("thumbprint", key.thumbprint().to_string());
    }
    found.with("public", public).into()
}

fn enrolment(json: &Json, o: &Object) -> Option<Json> {
    let payload = from_base64url(o.member("payload")?.as_str()?)?;
    let payload = Json::parse(&payload, &LIMITS).ok()?;
    let holds = match enrolment::Statement::verify(json) {
        Ok(_) => "both hold",
        Err(e) => e.code(),
    };
    let found = kind("enrolment")
        .with("digest", enrolment::Statement::digest(json))
        .with("signatures", holds)
        .with("statement", payload);
    Some(found.into())
}

fn statement(found: &grant::Statement) -> Json {
    let mut json = found.to_json();
    if let Json::Object(o) = &mut json {
        for member in ["not_before", "not_after"] {
            times(o, member);
        }
    }
    json
}

/// Shows a NumericDate as a time.
fn times(o: &mut Object, member: &str) {
    let seconds = o.member(member).and_then(Json::as_number).and_then(|n| n.as_plain_integer());
    if let Some(seconds) = seconds {
        o.insert(member, Timestamp::from_seconds(seconds).to_string());
    }
}

fn chain(tokens: &[&str]) -> Option<Json> {
    let mut found = tokens.iter().map(|token| one(token)).collect::<Option<Vec<_>>>()?;
    if found.len() == 1 {
        return found.pop();
    }
    if found.is_empty() {
        return None;
    }
    let object = kind("chain").with("signatures", "not checked").with("tokens", found);
    Some(object.into())
}

fn one(token: &str) -> Option<Json> {
    let jws = Compact::parse(token).ok()?;
    let header = from_base64url(token.split('.').next()?)?;
    let header = Json::parse(&header, &LIMITS).ok()?;
    let claims = jws.claims(&LIMITS).ok()?;
    let typ = header.as_object()?.member("typ")?.as_str()?;
    let name = match typ {
        TOKEN_TYPE if claims.member("par_hash").is_some() => "derived delegation",
        TOKEN_TYPE => "root delegation",
        PROOF_TYPE => "proof of possession",
        grant::TYPE => "signed grant",
        revocations::TYPE => "signed revocation",
        "dpop+jwt" => "DPoP proof",
        _ => "signed document",
    };
    let mut found = kind(name)
        .with("hash", jws.hash())
        .with("signature", "not checked")
        .with("header", header.clone());
    if typ == TOKEN_TYPE {
        found.insert("summary", summary(&claims));
    }
    let mut claims = claims;
    for member in ["iat", "nbf", "exp"] {
        times(&mut claims, member);
    }
    Some(found.with("claims", claims).into())
}

/// What a person looks for first in a delegation.
fn summary(claims: &Object) -> Object {
    let mut summary = Object::new();
    let names = [
        ("principal", "sub"),
        ("task", TASK),
        ("purpose", PURPOSE),
        ("workflow", WORKFLOW),
        ("grant", GRANT),
        ("budget", BUDGET),
        ("audience", "aud"),
        ("begins", "nbf"),
        ("ends", "exp"),
        ("depth", "del_depth"),
        ("max_depth", "del_max_depth"),
    ];
    let inner = |claim: &str, name: &str| {
        claims.member(claim).and_then(|c| c.as_object()?.member(name)).cloned()
    };
    if let Some(agent) = inner("act", "sub") {
        summary.insert("agent", agent);
    }
    for (name, claim) in names {
        if let Some(value) = claims.member(claim) {
            summary.insert(name, value.clone());
        }
    }
    times(&mut summary, "begins");
    times(&mut summary, "ends");
    let holder = inner("cnf", "jwk");
    let holder = holder.as_ref().and_then(Json::as_object).map(PublicKey::from_jwk);
    if let Some(Ok(holder)) = holder {
        summary.insert("holder", holder.thumbprint().to_string());
    }
    let tools = claims
        .member("authorization_details")
        .and_then(|d| d.as_array()?.first()?.as_object()?.member("tools"));
    if let Some(tools) = tools {
        summary.insert("tools", tools.clone());
    }
    summary
}
