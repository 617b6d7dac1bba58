//! The authorization code: what stands behind one while a client fetches it.
//!
//! The code is 32 random bytes that only the client gets; the server keeps its
//! SHA-256 in a single-use ticket with this value.

use bailiwick_core::crypto::Thumbprint;
use bailiwick_core::ids::GrantId;
use bailiwick_core::json::{Json, Object};

use super::client::ClientId;
use super::pkce::Challenge;
use super::request::AuthorizationRequest;
use super::resource::Resource;

/// The kind of its ticket.
pub const KIND: &str = "code";

/// Seconds for which a code may be redeemed.
pub const SECONDS: i64 = 60;

/// What a code stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct IssuedCode {
    /// The client that may redeem it.
    pub client: ClientId,
    /// Where it was sent; the client must name the same.
    pub redirect_uri: String,
    /// What the client must know the verifier of.
    pub challenge: Challenge,
    /// Where the token is to be used.
    pub resource: Option<Resource>,
    /// The key that the token must be bound to, if the client said so.
    pub dpop_jkt: Option<Thumbprint>,
    /// The grant that the person signed.
    pub grant: GrantId,
}

impl IssuedCode {
    /// For the request that a person agreed to by `grant`.
    #[must_use]
    pub fn of(request: &AuthorizationRequest, grant: &GrantId) -> Self {
        Self {
            client: request.client.clone(),
            redirect_uri: request.redirect_uri.clone(),
            challenge: request.challenge,
            resource: request.resource.clone(),
            dpop_jkt: request.dpop_jkt,
            grant: grant.clone(),
        }
    }

    /// The ticket's value.
    #[must_use]
    pub fn to_json(&self, issuer: &str) -> Json {
        let mut object = Object::new()
            .with("client", self.client.as_str())
            .with("redirect_uri", self.redirect_uri.as_str())
            .with("challenge", self.challenge.to_string())
            .with("grant", &self.grant);
        if let Some(resource) = &self.resource {
            object.insert("resource", resource.uri(issuer));
        }
        if let Some(jkt) = self.dpop_jkt {
            object.insert("dpop_jkt", jkt);
        }
        object.into()
    }

    /// Reads what [`IssuedCode::to_json`] wrote; `None` for anything else.
    #[must_use]
    pub fn from_json(json: &Json, issuer: &str) -> Option<Self> {
        let o = json.as_object()?;
        let text = |name: &str| o.member(name).and_then(Json::as_str);
        let code = Self {
            client: ClientId::parse(text("client")?).ok()?,
            redirect_uri: text("redirect_uri")?.to_owned(),
            challenge: Challenge::from_text(text("challenge")?)?,
            resource: match text("resource") {
                Some(uri) => Some(Resource::parse(issuer, uri).ok()?),
                None => None,
            },
            dpop_jkt: match text("dpop_jkt") {
                Some(jkt) => Some(Thumbprint::from_text(jkt)?),
                None => None,
            },
            grant: GrantId::parse(text("grant")?).ok()?,
        };
        (code.to_json(issuer) == *json).then_some(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiwick_core::crypto::{base64url, sha256};
    use bailiwick_core::time::Timestamp;

    #[test]
    fn a_code_reads_back_whole_and_nothing_else_is_one() {
        let issuer = "http://localhost:4000";
        let challenge = Challenge::of("a-verifier-that-is-long-enough-for-the-rules-of-pkce");
        let code = IssuedCode {
            client: ClientId::parse("client-1").unwrap(),
            redirect_uri: "http://127.0.0.1/callback".into(),
            challenge,
            resource: Some(Resource::parse(issuer, "http://localhost:4000/mcp/desk").unwrap()),
            dpop_jkt: Thumbprint::from_text(&base64url(sha256(b"k").bytes())),
            grant: GrantId::mint(Timestamp::from_seconds(1), [1; 10]),
        };
        assert!(code.dpop_jkt.is_some());
        assert_eq!(IssuedCode::from_json(&code.to_json(issuer), issuer), Some(code.clone()));
        let Json::Object(more) = code.to_json(issuer) else { panic!("an object") };
        assert_eq!(IssuedCode::from_json(&more.with("more", 1u64).into(), issuer), None);
    }
}
