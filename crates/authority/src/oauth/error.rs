//! What an OAuth endpoint answers when it does not do what it was asked.
//!
//! One error has three parts: the `code` that the standards define and clients
//! act on, a `reason` of our own that is stable and goes into the ledger, and a
//! `description` for the person who reads the client's log. The description
//! names the part of the request that could not be granted; it never carries a
//! secret, and only the characters that RFC 6749 §5.2 allows.

use bailiwick_core::json::{Json, Object};
use url::form_urlencoded::Serializer;

/// Characters of a description at most.
const MAX_DESCRIPTION: usize = 300;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $status:literal, $remedy:literal;)*) => {
        /// An error code of the standards, in alphabetical order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The code on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text,)* }
            }

            /// The HTTP status of a direct answer.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Code::$variant => $status,)* }
            }

            /// What to do about it.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Code::$variant => $remedy,)* }
            }
        }
    };
}

codes! {
    /// The person or the authority refused (RFC 6749 §4.1.2.1).
    AccessDenied = "access_denied", 400, "ask for less, or ask the person again";
    /// The person must be asked for consent, and must not be (OpenID Connect
    /// Core §3.1.2.6).
    ConsentRequired = "consent_required", 400, "send the request without `prompt=none`";
    /// The login is too old or too weak for what is asked (RFC 9470 §3).
    InsufficientUserAuthentication = "insufficient_user_authentication", 400,
        "have the person log in again, then repeat the request";
    /// The person must do something and must not be asked (OpenID Connect Core
    /// §3.1.2.6).
    InteractionRequired = "interaction_required", 400, "send the request without `prompt=none`";
    /// Authorization details that are malformed, unknown or beyond what may be
    /// granted (RFC 9396 §5).
    InvalidAuthorizationDetails = "invalid_authorization_details", 400,
        "send details of a published type, within what was granted";
    /// The client did not prove who it is (RFC 6749 §5.2).
    InvalidClient = "invalid_client", 401,
        "authenticate with the method and key that the client is registered with";
    /// Client metadata that is not acceptable (RFC 7591 §3.2.2).
    InvalidClientMetadata = "invalid_client_metadata", 400, "correct the named member";
    /// A missing, malformed or stale DPoP proof (RFC 9449 §5).
    InvalidDpopProof = "invalid_dpop_proof", 400, "make a fresh proof for this very request";
    /// A code, refresh token or assertion that does not hold (RFC 6749 §5.2).
    InvalidGrant = "invalid_grant", 400, "begin the authorization anew";
    /// A redirect URI that may not be registered (RFC 7591 §3.2.2).
    InvalidRedirectUri = "invalid_redirect_uri", 400,
        "register https, loopback or reverse-domain redirect URIs, without fragments";
    /// A request that is not well-formed (RFC 6749 §5.2).
    InvalidRequest = "invalid_request", 400, "correct the named parameter";
    /// A scope that is unknown or may not be granted (RFC 6749 §5.2).
    InvalidScope = "invalid_scope", 400, "ask for shorthands that the workflow publishes";
    /// A resource that is none of ours (RFC 8707 §2).
    InvalidTarget = "invalid_target", 400, "name a resource of this installation's gateway";
    /// An access token that does not hold (RFC 6750 §3.1).
    InvalidToken = "invalid_token", 401, "obtain a new access token";
    /// The person must log in and must not be asked to (OpenID Connect Core
    /// §3.1.2.6).
    LoginRequired = "login_required", 400, "send the request without `prompt=none`";
    /// A request object (RFC 9101 §7).
    RequestNotSupported = "request_not_supported", 400, "send plain parameters";
    /// A reference to a request object (RFC 9101 §7).
    RequestUriNotSupported = "request_uri_not_supported", 400, "send plain parameters";
    /// Our fault (RFC 6749 §4.1.2.1).
    ServerError = "server_error", 500, "try again; if it stays, ask the operator";
    /// Not now (RFC 6749 §4.1.2.1).
    TemporarilyUnavailable = "temporarily_unavailable", 503, "try again after a while";
    /// The client may not use this grant type (RFC 6749 §5.2).
    UnauthorizedClient = "unauthorized_client", 400,
        "register the client for it, and have it mapped to a registered agent";
    /// A grant type that is not offered (RFC 6749 §5.2).
    UnsupportedGrantType = "unsupported_grant_type", 400, "use a grant type of the metadata";
    /// A response type that is not offered (RFC 6749 §4.1.2.1).
    UnsupportedResponseType = "unsupported_response_type", 400, "use `response_type=code`";
    /// A token that cannot be revoked here (RFC 7009 §2.2.1).
    UnsupportedTokenType = "unsupported_token_type", 400, "revoke a token of this authority";
    /// The proof needs a nonce of ours (RFC 9449 §8).
    UseDpopNonce = "use_dpop_nonce", 400, "repeat the request with the nonce of `DPoP-Nonce`";
}

/// An error of an OAuth endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {description}", code.as_str())]
pub struct OAuthError {
    /// The standard's code.
    pub code: Code,
    /// Our own stable code, for the ledger and for tests.
    pub reason: &'static str,
    /// Which part was not granted, and why; fit for the wire.
    pub description: String,
    /// The value of `DPoP-Nonce`, if the answer carries one.
    pub nonce: Option<String>,
    /// Seconds after which to try again; the answer's status is then 429 where
    /// the caller is to blame, 503 where we are.
    pub retry_after_seconds: Option<u32>,
    /// Whether the refusal has an entry of its own.
    pub recorded: bool,
}

/// `text` with the characters of RFC 6749 §5.2 only, cut to a bound.
fn safe(text: &str) -> String {
    text.chars()
        .take(MAX_DESCRIPTION)
        .map(|c| match c {
            '"' => '\'',
            '\\' => '/',
            ' '..='~' => c,
            _ => '?',
        })
        .collect()
}

impl OAuthError {
    /// An error; `description` is made fit for the wire.
    #[must_use]
    pub fn new(code: Code, reason: &'static str, description: impl AsRef<str>) -> Self {
        let description = safe(description.as_ref());
        Self { code, reason, description, nonce: None, retry_after_seconds: None, recorded: false }
    }

    /// `invalid_request` about one parameter.
    #[must_use]
    pub fn request(reason: &'static str, description: impl AsRef<str>) -> Self {
        Self::new(Code::InvalidRequest, reason, description)
    }

    /// The proof must be made again with `nonce` (RFC 9449 §8).
    #[must_use]
    pub fn use_nonce(nonce: impl Into<String>) -> Self {
        let text = "the proof must carry the nonce of the DPoP-Nonce header";
        Self { nonce: Some(nonce.into()), ..Self::new(Code::UseDpopNonce, "dpop-nonce", text) }
    }

    /// Too many requests: to be tried again after `seconds`.
    #[must_use]
    pub fn rate_limited(seconds: u32) -> Self {
        let text = "too many requests";
        let error = Self::new(Code::TemporarilyUnavailable, "rate-limited", text);
        Self { retry_after_seconds: Some(seconds.max(1)), ..error }
    }

    /// Something of ours failed; the caller learns no more than that.
    #[must_use]
    pub fn server(reason: &'static str) -> Self {
        Self::new(Code::ServerError, reason, "the authority could not do it")
    }

    /// Something of ours is away for now.
    #[must_use]
    pub fn unavailable(reason: &'static str) -> Self {
        let text = "the authority cannot do it at the moment";
        let error = Self::new(Code::TemporarilyUnavailable, reason, text);
        Self { retry_after_seconds: Some(1), ..error }
    }

    /// The same error with a nonce to be used next.
    #[must_use]
    pub fn with_nonce(self, nonce: impl Into<String>) -> Self {
        Self { nonce: Some(nonce.into()), ..self }
    }

    /// The stable code of what stood in the way.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.reason
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        self.code.remedy()
    }

    /// The HTTP status of a direct answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        if self.reason == "rate-limited" { 429 } else { self.code.status() }
    }

    /// The body of a direct answer (RFC 6749 §5.2).
    #[must_use]
    pub fn to_json(&self) -> Json {
        Object::new()
            .with("error", self.code.as_str())
            .with("error_description", self.description.as_str())
            .into()
    }

    /// Where the browser is sent with this error (RFC 6749 §4.1.2.1, RFC 9207).
    ///
    /// SECURITY: only for a redirect URI that is the client's own.
    #[must_use]
    pub fn location(&self, redirect_uri: &str, state: Option<&str>, issuer: &str) -> String {
        let mut pairs = vec![
            ("error", self.code.as_str()),
            ("error_description", self.description.as_str()),
            ("iss", issuer),
        ];
        pairs.extend(state.map(|state| ("state", state)));
        with_query(redirect_uri, &pairs)
    }
}

/// Where the browser is sent with a code (RFC 6749 §4.1.2, RFC 9207).
#[must_use]
pub fn code_location(redirect_uri: &str, code: &str, state: Option<&str>, issuer: &str) -> String {
    let mut pairs = vec![("code", code), ("iss", issuer)];
    pairs.extend(state.map(|state| ("state", state)));
    with_query(redirect_uri, &pairs)
}

/// `uri` with `pairs` after its own query, which is kept (RFC 6749 §3.1.2).
fn with_query(uri: &str, pairs: &[(&str, &str)]) -> String {
    let query = Serializer::new(String::new()).extend_pairs(pairs).finish();
    let separator = match uri.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    format!("{uri}{separator}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_spelled_as_in_the_standards_and_have_a_remedy() {
        let texts: Vec<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        assert!(texts.is_sorted(), "{texts:?}");
        for code in Code::ALL {
            let plain = |b: u8| b.is_ascii_lowercase() || b == b'_';
            assert!(code.as_str().bytes().all(plain));
            assert!((400..=503).contains(&code.status()) && !code.remedy().is_empty());
        }
        for (code, status) in [
            (Code::InvalidClient, 401),
            (Code::InvalidToken, 401),
            (Code::InvalidGrant, 400),
            (Code::UseDpopNonce, 400),
            (Code::ServerError, 500),
            (Code::TemporarilyUnavailable, 503),
        ] {
            assert_eq!(code.status(), status);
        }
    }

    #[test]
    fn a_description_holds_only_what_rfc_6749_allows_and_is_bounded() {
        let error = OAuthError::request("r", "a \"b\" \\ \u{202e}\r\nSet-Cookie: é");
        assert_eq!(error.description, "a 'b' / ???Set-Cookie: ?");
        let long = OAuthError::request("r", "x".repeat(5000));
        assert_eq!(long.description.len(), MAX_DESCRIPTION);
    }

    #[test]
    fn the_body_says_code_and_description() {
        let error = OAuthError::new(Code::InvalidScope, "scope-unknown", "no `ticket:x`");
        assert_eq!(
            error.to_json().canonical(),
            r#"{"error":"invalid_scope","error_description":"no `ticket:x`"}"#
        );
        assert_eq!((error.code(), error.status()), ("scope-unknown", 400));
    }

    #[test]
    fn a_caller_who_asks_too_often_is_told_when_to_come_back() {
        let error = OAuthError::rate_limited(0);
        assert_eq!((error.status(), error.retry_after_seconds), (429, Some(1)));
        assert_eq!(OAuthError::unavailable("store").status(), 503);
        assert_eq!(OAuthError::use_nonce("n").nonce.as_deref(), Some("n"));
    }

    #[test]
    fn a_redirect_carries_state_and_issuer_and_keeps_the_query() {
        let error = OAuthError::new(Code::AccessDenied, "person", "the person said no");
        assert_eq!(
            error.location("https://c.example/cb?a=b", Some("s&t"), "https://as.example"),
            "https://c.example/cb?a=b&error=access_denied&\
             error_description=the+person+said+no&iss=https%3A%2F%2Fas.example&state=s%26t"
        );
        assert_eq!(
            code_location("http://127.0.0.1:9/cb", "c", None, "https://as.example"),
            "http://127.0.0.1:9/cb?code=c&iss=https%3A%2F%2Fas.example"
        );
        assert_eq!(
            code_location("com.example.app:/cb?", "c", None, "i"),
            "com.example.app:/cb?code=c&iss=i"
        );
    }
}
