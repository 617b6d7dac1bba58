//! Grants: what a principal consented to, carrying the principal's own
//! signature over its digest (DESIGN rule 9).

use crate::aat::jws::{Compact, sign};
use crate::crypto::{Digest, PublicKey, Signer, base64url, from_base64url, sha256};
use crate::denial::Denial;
use crate::ids::{AgentId, GrantId, OrgId, PrincipalId, RequestId, TaskId, WorkflowId};
use crate::jose::JoseError;
use crate::json::{Json, Object};
use crate::limits::JsonLimits;
use crate::time::Timestamp;
use crate::webauthn::AssertionError;

mod assertion;
mod proof;
pub use crate::id_token::{IdTokenIssuer, IdTokenProblem, MAX_LOGIN_AGE_SECONDS};
pub use assertion::AssertionClaims;
pub use proof::{Login, Moment, Passkey, Proof, Registered, SignedBy};

/// The `typ` of a grant signed with a principal's key.
pub const TYPE: &str = "bailiwick-grant+jwt";

/// Everything that is consented to; its digest is signed.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// The grant's id.
    pub id: GrantId,
    /// The organisation.
    pub org: OrgId,
    /// Who issued the principal's identity: the authority's URI for local ones.
    pub principal_issuer: String,
    /// The principal.
    pub principal: PrincipalId,
    /// The agent that may act.
    pub agent: AgentId,
    /// The task.
    pub task: TaskId,
    /// The purpose, in the principal's words.
    pub purpose: String,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The version's digest.
    pub workflow_digest: Digest,
    /// What was asked for: shorthands such as `ticket:8821`.
    pub requested: Vec<String>,
    /// What they stand for: the `tools` map.
    pub tools: Object,
    /// Begin of the window, seconds.
    pub not_before: i64,
    /// End of the window, seconds.
    pub not_after: i64,
    /// How deep it may be delegated further.
    pub max_depth: u64,
    /// Budget members; empty for none.
    pub budget: Object,
    /// The gateways where it may be used.
    pub audience: Vec<String>,
    /// 32 random bytes.
    pub salt: [u8; 32],
    /// The agent's request that it answers, if it answers one. Then the task is
    /// one that is under way, whoever granted it first.
    pub request: Option<RequestId>,
}

/// A grant that cannot be read or does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// A member is missing or malformed.
    #[error("the grant's member `{member}` is missing or malformed")]
    Member {
        /// Which one.
        member: &'static str,
    },
    /// The signed text is not a grant of this form.
    #[error("the signed grant is malformed: {0}")]
    Form(Denial),
    /// The signature does not hold under the principal's key.
    #[error("the principal's signature over the grant does not hold")]
    Signature,
    /// The signature is over another statement.
    #[error("the signature is over another grant than the one presented")]
    OtherStatement,
    /// What signed is not registered for this principal.
    #[error("the grant was signed with something that is not registered for this principal")]
    NotRegistered,
    /// The signed request is refused.
    #[error("the signed grant is refused: {0}")]
    Jws(JoseError),
    /// The passkey's assertion is refused.
    #[error("the passkey's signature over the grant is refused: {0}")]
    Assertion(AssertionError),
    /// The login's `id_token` is refused.
    #[error("the login that signed the grant is refused: {0}")]
    IdToken(IdTokenProblem),
}

impl GrantError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Member { .. } | Self::Form(_) => "grant-malformed",
            Self::Signature => "grant-signature-invalid",
            Self::OtherStatement => "grant-other-statement",
            Self::NotRegistered => "grant-signer-not-registered",
            Self::Jws(e) => e.code(),
            Self::Assertion(e) => e.code(),
            Self::IdToken(e) => e.code(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Member { .. } | Self::Form(_) => "prepare the grant with `bailiwick delegate`",
            Self::Signature => "sign with the principal's own registered key",
            Self::OtherStatement => "sign the statement that the authority prepared, unchanged",
            Self::NotRegistered => {
                "sign with a key, passkey or login that this principal registered"
            }
            Self::Jws(e) => e.remedy(),
            Self::Assertion(e) => e.remedy(),
            Self::IdToken(e) => e.remedy(),
        }
    }
}

impl Statement {
    /// The JSON form.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let list =
            |texts: &[String]| texts.iter().map(|t| Json::from(t.as_str())).collect::<Vec<_>>();
        let statement = Object::new()
            .with("v", 1u64)
            .with("id", &self.id)
            .with("org", &self.org)
            .with(
                "principal",
                Object::new()
                    .with("issuer", self.principal_issuer.as_str())
                    .with("subject", &self.principal),
            )
            .with("agent", &self.agent)
            .with("task", &self.task)
            .with("purpose", self.purpose.as_str())
            .with(
                "workflow",
                Object::new().with("id", &self.workflow).with("digest", self.workflow_digest),
            )
            .with("requested", list(&self.requested))
            .with("tools", self.tools.clone())
            .with("not_before", self.not_before)
            .with("not_after", self.not_after)
            .with("max_depth", self.max_depth)
            .with("budget", self.budget.clone())
            .with("audience", list(&self.audience))
            .with("salt", base64url(&self.salt));
        match &self.request {
            Some(request) => statement.with("request", request).into(),
            None => statement.into(),
        }
    }

    /// SHA-256 of the canonical form: what a principal signs.
    #[must_use]
    pub fn digest(&self) -> Digest {
        sha256(self.to_json().canonical().as_bytes())
    }

    /// Reads the JSON form; members that are not a statement's are refused,
    /// because they would be signed without being shown.
    ///
    /// # Errors
    /// [`GrantError::Member`].
    pub fn from_json(json: &Json) -> Result<Self, GrantError> {
        let statement = Self::read(json)?;
        if statement.to_json() != *json {
            return Err(GrantError::Member { member: "(unknown)" });
        }
        Ok(statement)
    }

    fn read(json: &Json) -> Result<Self, GrantError> {
        let bad = |member: &'static str| GrantError::Member { member };
        let o = json.as_object().ok_or(bad("v"))?;
        let text =
            |member: &'static str| o.member(member).and_then(Json::as_str).ok_or(bad(member));
        let inner = |member: &'static str, name: &str| {
            o.member(member).and_then(|m| m.as_object()?.member(name)?.as_str()).ok_or(bad(member))
        };
        let integer = |member: &'static str| {
            o.member(member).and_then(|m| m.as_number()?.as_plain_integer()).ok_or(bad(member))
        };
        let object = |member: &'static str| {
            o.member(member).and_then(Json::as_object).cloned().ok_or(bad(member))
        };
        let list = |member: &'static str| {
            o.member(member)
                .and_then(Json::as_array)
                .and_then(|a| a.iter().map(|t| t.as_str().map(str::to_owned)).collect())
                .ok_or(bad(member))
        };
        Ok(Self {
            id: GrantId::parse(text("id")?).map_err(|_| bad("id"))?,
            org: OrgId::parse(text("org")?).map_err(|_| bad("org"))?,
            principal_issuer: inner("principal", "issuer")?.to_owned(),
            principal: PrincipalId::parse(inner("principal", "subject")?)
                .map_err(|_| bad("principal"))?,
            agent: AgentId::parse(text("agent")?).map_err(|_| bad("agent"))?,
            task: TaskId::parse(text("task")?).map_err(|_| bad("task"))?,
            purpose: text("purpose")?.to_owned(),
            workflow: WorkflowId::parse(inner("workflow", "id")?).map_err(|_| bad("workflow"))?,
            workflow_digest: Digest::from_text(inner("workflow", "digest")?)
                .ok_or(bad("workflow"))?,
            requested: list("requested")?,
            tools: object("tools")?,
            not_before: integer("not_before")?,
            not_after: integer("not_after")?,
            max_depth: u64::try_from(integer("max_depth")?).map_err(|_| bad("max_depth"))?,
            budget: object("budget")?,
            audience: list("audience")?,
            salt: from_base64url(text("salt")?)
                .and_then(|s| s.try_into().ok())
                .ok_or(bad("salt"))?,
            request: match o.member("request") {
                None => None,
                Some(_) => {
                    let id = RequestId::parse(text("request")?);
                    Some(id.map_err(|_| bad("request"))?)
                }
            },
        })
    }

    /// Signs the digest with the principal's own key: a compact JWS whose
    /// payload is `{digest, grant}`.
    #[must_use]
    pub fn sign(&self, signer: &dyn Signer) -> String {
        let payload = Object::new().with("digest", self.digest()).with("grant", &self.id);
        sign(TYPE, None, &payload.into(), signer)
    }

    /// Whether `signed` is the signature of `key` over this statement.
    ///
    /// # Errors
    /// See [`GrantError`].
    pub fn verify(&self, signed: &str, key: &PublicKey) -> Result<(), GrantError> {
        let jws = Compact::parse(signed).map_err(GrantError::Form)?;
        jws.check_header(TYPE).map_err(GrantError::Form)?;
        if !jws.verify(key) {
            return Err(GrantError::Signature);
        }
        let payload = jws.claims(&JsonLimits::DEFAULT).map_err(GrantError::Form)?;
        let expected = Object::new().with("digest", self.digest()).with("grant", &self.id);
        if payload != expected {
            return Err(GrantError::OtherStatement);
        }
        Ok(())
    }
}

/// A request for a delegation in the shape of the seed example:
/// `{principal, agent, scope, expiresAt, purpose}`; `workflow` may be added
/// where more than one could serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who grants.
    pub principal: PrincipalId,
    /// Who may act.
    pub agent: AgentId,
    /// Shorthands of the workflow.
    pub scope: Vec<String>,
    /// Until when.
    pub expires_at: Timestamp,
    /// What for.
    pub purpose: String,
    /// Under which workflow, if it must be said.
    pub workflow: Option<WorkflowId>,
}

impl Request {
    /// Reads the seed shape. Unknown members are refused: a request that says
    /// more than is understood would be granted as something else.
    ///
    /// # Errors
    /// [`GrantError::Member`].
    pub fn from_json(json: &Json) -> Result<Self, GrantError> {
        const MEMBERS: [&str; 6] =
            ["principal", "agent", "scope", "expiresAt", "purpose", "workflow"];
        let bad = |member: &'static str| GrantError::Member { member };
        let o = json.as_object().ok_or(bad("principal"))?;
        if o.iter().any(|(name, _)| !MEMBERS.contains(&name)) {
            return Err(bad("(unknown)"));
        }
        let text =
            |member: &'static str| o.member(member).and_then(Json::as_str).ok_or(bad(member));
        let scope: Vec<String> = o
            .member("scope")
            .and_then(Json::as_array)
            .and_then(|a| a.iter().map(|t| t.as_str().map(str::to_owned)).collect())
            .ok_or(bad("scope"))?;
        let purpose = text("purpose")?;
        if scope.is_empty() || scope.len() > 64 {
            return Err(bad("scope"));
        }
        if purpose.trim().is_empty() || purpose.len() > 2000 {
            return Err(bad("purpose"));
        }
        let workflow = match o.member("workflow") {
            None => None,
            Some(w) => {
                Some(w.as_str().and_then(|w| WorkflowId::parse(w).ok()).ok_or(bad("workflow"))?)
            }
        };
        Ok(Self {
            principal: PrincipalId::parse(text("principal")?).map_err(|_| bad("principal"))?,
            agent: AgentId::parse(text("agent")?).map_err(|_| bad("agent"))?,
            scope,
            expires_at: text("expiresAt")?.parse().map_err(|_| bad("expiresAt"))?,
            purpose: purpose.to_owned(),
            workflow,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::crypto::SigningKey;

    pub(crate) fn statement() -> Statement {
        let now = Timestamp::from_seconds(1_704_067_500);
        Statement {
            id: GrantId::mint(now, [1; 10]),
            org: OrgId::parse("default").unwrap(),
            principal_issuer: "http://localhost:4000".into(),
            principal: PrincipalId::parse("user:142").unwrap(),
            agent: AgentId::parse("agent:support-runner").unwrap(),
            task: TaskId::mint(now, [2; 10]),
            purpose: "resolve support ticket".into(),
            workflow: WorkflowId::parse("support-tickets").unwrap(),
            workflow_digest: sha256(b"w"),
            requested: vec!["ticket:8821".into()],
            tools: Object::new(),
            not_before: 1,
            not_after: 2,
            max_depth: 2,
            budget: Object::new(),
            audience: vec!["http://localhost:4000/mcp".into()],
            salt: [3; 32],
            request: None,
        }
    }

    #[test]
    fn only_the_principals_signature_over_this_very_grant_holds() {
        let key = SigningKey::from_seed(&[1; 32]).unwrap();
        let other = SigningKey::from_seed(&[2; 32]).unwrap();
        let statement = statement();
        let signed = statement.sign(&key);
        assert_eq!(statement.verify(&signed, &key.public_key()), Ok(()));
        assert_eq!(statement.verify(&signed, &other.public_key()), Err(GrantError::Signature));
        let mut wider = statement.clone();
        wider.not_after = 3;
        assert_eq!(wider.verify(&signed, &key.public_key()), Err(GrantError::OtherStatement));
        // What it answers is signed as well.
        let request = RequestId::mint(Timestamp::from_seconds(1), [4; 10]);
        let answering = Statement { request: Some(request), ..statement.clone() };
        let refused = answering.verify(&signed, &key.public_key());
        assert_eq!(refused, Err(GrantError::OtherStatement));
        assert_eq!(Statement::from_json(&answering.to_json()), Ok(answering));
        assert_eq!(Statement::from_json(&statement.to_json()), Ok(statement));
    }

    #[test]
    fn the_seed_shape_is_a_request_and_nothing_more_is_taken_silently() {
        let read = |text: &str| {
            Request::from_json(&Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap())
        };
        let seed = r#"{"principal":"user:142","agent":"agent:support-runner",
            "scope":["ticket:8821","orders:read"],"expiresAt":"2026-11-24T05:00:00Z",
            "purpose":"resolve support ticket"}"#;
        let request = read(seed).unwrap();
        assert_eq!(request.scope, ["ticket:8821", "orders:read"]);
        for (from, to) in [
            ("\"purpose\"", "\"reason\""),
            ("\"scope\":[", "\"scope\":[],\"x\":["),
            ("user:142", "agent:142"),
            ("2026-11-24T05:00:00Z", "soon"),
            ("\"ticket:8821\"", "8821"),
        ] {
            assert!(read(&seed.replace(from, to)).is_err(), "{to}");
        }
    }
}
