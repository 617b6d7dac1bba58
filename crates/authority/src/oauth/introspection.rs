//! Introspection (RFC 7662): what a token is worth, told to who may know, as
//! JSON or signed (RFC 9701).

use bailiwick_core::aat::jws::sign;
use bailiwick_core::crypto::{Signer, Thumbprint};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;

use super::client::ClientId;

/// The `typ` of a signed answer (RFC 9701 §5): no other reader of tokens takes
/// it.
pub const TYPE: &str = "token-introspection+jwt";
/// Its media type (RFC 9701 §4).
pub const MEDIA_TYPE: &str = "application/token-introspection+jwt";
/// What signed answers are signed with: the key of the issuer.
pub const SIGNING_ALGORITHM: &str = "Ed25519";

/// The form that a caller wants its answer in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// JSON (RFC 7662 §2.2).
    Json,
    /// A signed JWT (RFC 9701).
    Signed,
}

impl Form {
    /// What the header `Accept` asks for: signed where its media type is named
    /// and JSON, if that is named too, is not liked better (RFC 9110 §12.5.1).
    /// A wildcard never means the signed form.
    #[must_use]
    pub fn of_accept(accept: &str) -> Self {
        let liking = |kind: &str| {
            accept.split(',').find_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let named = parts.next()?.eq_ignore_ascii_case(kind);
                let weight = parts.find_map(|p| p.strip_prefix("q=").or(p.strip_prefix("Q=")));
                // A weight that does not read is none.
                let weight = weight.map_or(1.0, |q| q.parse().unwrap_or(0.0));
                named.then_some(weight)
            })
        };
        match (liking(MEDIA_TYPE), liking("application/json")) {
            (Some(signed), json) if signed > 0.0_f32 && signed >= json.unwrap_or(0.0) => {
                Self::Signed
            }
            _ => Self::Json,
        }
    }
}

/// The answer in its form.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// RFC 7662.
    Json(Json),
    /// RFC 9701, compact.
    Signed(String),
}

/// The signed form of `answer`, for `caller` alone. It has neither `sub` nor
/// `exp`, so that nobody takes it for an access token (RFC 9701 §5, §8.1).
#[must_use]
pub fn signed(
    issuer: &str,
    caller: &Caller,
    answer: Json,
    now: Timestamp,
    signer: &dyn Signer,
) -> String {
    let claims = Object::new()
        .with("iss", issuer)
        .with("aud", caller.client.as_str())
        .with("iat", now.seconds())
        .with("token_introspection", answer);
    let kid = signer.public_key().thumbprint().to_string();
    sign(TYPE, Some(&kid), &claims.into(), signer)
}

/// What is known of a token that was issued here.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenState {
    /// Whether it holds: signature, standing, nothing revoked.
    pub holds: bool,
    /// Its `jti`.
    pub jti: String,
    /// Its client; a delegation token has none.
    pub client: Option<ClientId>,
    /// On whose behalf.
    pub subject: String,
    /// Which agent acts.
    pub actor: String,
    /// Where it may be used.
    pub audience: Vec<String>,
    /// When it was issued.
    pub issued: Timestamp,
    /// From when it holds, if that was said.
    pub not_before: Option<Timestamp>,
    /// When it ends.
    pub expires: Timestamp,
    /// Shorthands.
    pub scope: Vec<String>,
    /// Its `authorization_details`, as granted.
    pub details: Json,
    /// The key that it is bound to; none for a bearer token.
    pub key: Option<Thumbprint>,
}

/// Who asks, authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The client.
    pub client: ClientId,
    /// The resources that it serves, as the operator registered it.
    pub resources: Vec<String>,
}

impl Caller {
    /// A token's own client may ask about it, and who serves all that it is
    /// for; a token for several is not for each of them to know.
    fn may_know(&self, token: &TokenState) -> bool {
        let serves =
            !token.audience.is_empty() && token.audience.iter().all(|a| self.resources.contains(a));
        token.client.as_ref() == Some(&self.client) || serves
    }
}

/// The answer. Whatever does not hold, is not known, or is not for this caller
/// to know gets exactly the same one (RFC 7662 §2.2), so that nobody learns
/// which tokens there are.
#[must_use]
pub fn answer(issuer: &str, caller: &Caller, token: Option<&TokenState>, now: Timestamp) -> Json {
    let known = token.filter(|t| {
        let begun = t.not_before.is_none_or(|begin| begin <= now);
        t.holds && begun && now < t.expires && caller.may_know(t)
    });
    let Some(token) = known else { return Object::new().with("active", false).into() };
    let audience = match token.audience.as_slice() {
        [one] => Json::from(one.as_str()),
        many => Json::Array(many.iter().map(|a| a.as_str().into()).collect()),
    };
    let mut object = Object::new()
        .with("active", true)
        .with("iss", issuer)
        .with("sub", token.subject.as_str())
        .with("aud", audience)
        .with("jti", token.jti.as_str())
        .with("iat", token.issued.seconds())
        .with("exp", token.expires.seconds())
        .with("act", Object::new().with("sub", token.actor.as_str()))
        .with("authorization_details", token.details.clone())
        .with("token_type", if token.key.is_some() { "DPoP" } else { "Bearer" });
    if let Some(client) = &token.client {
        object.insert("client_id", client.as_str());
    }
    if let Some(begin) = token.not_before {
        object.insert("nbf", begin.seconds());
    }
    if !token.scope.is_empty() {
        object.insert("scope", token.scope.join(" "));
    }
    if let Some(key) = token.key {
        object.insert("cnf", Object::new().with("jkt", key));
    }
    object.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://as.example";
    const DESK: &str = "https://as.example/mcp/desk";
    const NOW: Timestamp = Timestamp::from_seconds(1000);

    fn token() -> TokenState {
        TokenState {
            holds: true,
            jti: "j".into(),
            client: ClientId::parse("c1").ok(),
            subject: "user:142".into(),
            actor: "agent:runner".into(),
            audience: vec![DESK.into()],
            issued: NOW,
            not_before: Some(NOW),
            expires: NOW.plus_seconds(60),
            scope: vec!["orders:read".into(), "ticket:1".into()],
            details: Json::Array(vec![]),
            key: Some(Thumbprint::from_array([1; 32])),
        }
    }

    fn caller(client: &str, resources: &[&str]) -> Caller {
        let resources = resources.iter().map(|r| (*r).to_owned()).collect();
        Caller { client: ClientId::parse(client).unwrap(), resources }
    }

    fn ask(caller: &Caller, token: Option<&TokenState>) -> String {
        answer(ISSUER, caller, token, NOW).canonical()
    }

    const INACTIVE: &str = r#"{"active":false}"#;

    #[test]
    fn who_may_know_is_told_everything_that_a_resource_needs() {
        assert_eq!(
            ask(&caller("desk", &[DESK]), Some(&token())),
            r#"{"act":{"sub":"agent:runner"},"active":true,"aud":"https://as.example/mcp/desk","#
                .to_owned()
                + r#""authorization_details":[],"client_id":"c1","#
                + r#""cnf":{"jkt":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"},"exp":1060,"#
                + r#""iat":1000,"iss":"https://as.example","jti":"j","nbf":1000,"#
                + r#""scope":"orders:read ticket:1","sub":"user:142","token_type":"DPoP"}"#
        );
        assert!(ask(&caller("c1", &[]), Some(&token())).contains(r#""active":true"#));
        let bearer = TokenState { key: None, ..token() };
        assert!(ask(&caller("c1", &[]), Some(&bearer)).contains(r#""token_type":"Bearer""#));
    }

    #[test]
    fn the_signed_form_is_for_who_names_it_and_likes_nothing_better() {
        for accept in [
            MEDIA_TYPE,
            "application/json;q=0.5, application/token-introspection+jwt",
            "application/json, Application/Token-Introspection+JWT",
            "*/*, application/token-introspection+jwt;q=0.1",
        ] {
            assert_eq!(Form::of_accept(accept), Form::Signed, "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "application/*",
            "application/json",
            "application/jwt",
            "application/json, application/token-introspection+jwt;q=0.5",
            "application/token-introspection+jwt;q=0",
            "application/token-introspection+jwt;q=x",
        ] {
            assert_eq!(Form::of_accept(accept), Form::Json, "{accept}");
        }
    }

    #[test]
    fn whatever_else_is_asked_gets_the_same_answer() {
        let desk = caller("desk", &[DESK]);
        assert_eq!(ask(&desk, None), INACTIVE);
        type Change = fn(&mut TokenState);
        let changes: [Change; 4] = [
            |t| t.holds = false,
            |t| t.expires = NOW,
            |t| t.not_before = Some(NOW.plus_seconds(1)),
            |t| t.audience.clear(),
        ];
        for change in changes {
            let mut token = token();
            change(&mut token);
            assert_eq!(ask(&desk, Some(&token)), INACTIVE);
        }
    }

    #[test]
    fn a_token_is_no_oracle_for_those_whom_it_does_not_concern() {
        let other = caller("mail", &["https://as.example/mcp/mail"]);
        assert_eq!(ask(&other, Some(&token())), INACTIVE);
        assert_eq!(ask(&caller("c2", &[]), Some(&token())), INACTIVE);
        let both = TokenState {
            audience: vec![DESK.into(), "https://as.example/mcp/mail".into()],
            ..token()
        };
        assert_eq!(ask(&other, Some(&both)), INACTIVE);
    }
}
