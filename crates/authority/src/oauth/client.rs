//! Clients: who may ask for authority, and how they prove who they are.
//!
//! A client's metadata comes from dynamic registration (RFC 7591), from a
//! Client ID Metadata Document, or from the operator. The same rules hold for
//! all: no shared secrets, exact redirect URIs, grant types that we offer.

use std::collections::BTreeSet;

use bailiwick_core::json::{Json, Object};
use url::Url;

use super::details::{TYPES, parse_scope};
use super::error::{Code, OAuthError};
use super::redirect::{ApplicationType, RedirectUri};

// Named, so that this file can be compiled apart from its crate (fuzz/src/oauth.rs).
#[path = "client/id.rs"]
mod id;
#[path = "client/keys.rs"]
mod keys;
pub use id::{ClientId, DocumentUrl};
pub use keys::ClientKeys;

const MAX_REDIRECT_URIS: usize = 16;
const MAX_NAME_CHARS: usize = 120;
const MAX_URL_BYTES: usize = 2048;

/// Where metadata come from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// Anybody, by dynamic registration.
    Dynamic,
    /// The document at this URL.
    Document(&'a DocumentUrl),
    /// The operator.
    Operator,
}

/// How a client authenticates at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthMethod {
    /// Not at all: a public client.
    None,
    /// By an assertion signed with its own key (RFC 7523).
    PrivateKeyJwt,
}

impl AuthMethod {
    /// Every method.
    pub const ALL: [Self; 2] = [Self::None, Self::PrivateKeyJwt];

    /// Its name in metadata.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }
}

/// A grant type that is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GrantType {
    /// A person's consent in the browser.
    AuthorizationCode,
    /// A principal's own signed grant (RFC 7523 §2.1).
    JwtBearer,
    /// The next access token.
    RefreshToken,
    /// RFC 8693.
    TokenExchange,
}

impl GrantType {
    /// Every grant type.
    pub const ALL: [Self; 4] =
        [Self::AuthorizationCode, Self::JwtBearer, Self::RefreshToken, Self::TokenExchange];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::JwtBearer => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            Self::RefreshToken => "refresh_token",
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|g| g.as_str() == text)
    }
}

/// What a client is, in so far as it matters here. Members that are not
/// understood are left out (RFC 7591 §2).
#[derive(Clone, Debug, PartialEq)]
pub struct ClientMetadata {
    /// A name for people; nobody vouches for it.
    pub name: Option<String>,
    /// Its home page.
    pub uri: Option<String>,
    /// Where the browser may be sent.
    pub redirect_uris: Vec<RedirectUri>,
    /// Native or web.
    pub application_type: ApplicationType,
    /// How it authenticates.
    pub auth_method: AuthMethod,
    /// Its keys; there are some if, and only if, it authenticates.
    pub keys: Option<ClientKeys>,
    /// What it may use.
    pub grant_types: BTreeSet<GrantType>,
    /// Shorthands to which it restricts itself; empty for no restriction.
    pub scope: Vec<String>,
    /// Whether it asks for DPoP-bound tokens only (RFC 9449 §5.2).
    pub dpop_bound: bool,
    /// Its software's name and version, as it says.
    pub software: Option<String>,
}

fn bad(member: &str, what: &str) -> OAuthError {
    let text = format!("`{member}` {what}");
    OAuthError::new(Code::InvalidClientMetadata, "client-metadata-invalid", text)
}

impl ClientMetadata {
    /// Reads metadata.
    ///
    /// # Errors
    /// `invalid_client_metadata` or `invalid_redirect_uri` names the member.
    pub fn parse(metadata: &Object, source: Source<'_>) -> Result<Self, OAuthError> {
        refuse_secrets(metadata)?;
        if let Source::Document(url) = source
            && metadata.member("client_id").and_then(Json::as_str) != Some(url.as_str())
        {
            // Otherwise anybody could publish somebody else's document.
            return Err(bad("client_id", "is not the URL of the document"));
        }
        for unsupported in ["jwks_uri", "software_statement"] {
            if metadata.member(unsupported).is_some() {
                return Err(bad(unsupported, "is not supported; send `jwks`"));
            }
        }
        let keys = match metadata.member("jwks") {
            None => None,
            Some(jwks) => Some(ClientKeys::parse(jwks)?),
        };
        let auth_method = auth_method(metadata, keys.is_some())?;
        let grant_types = grant_types(metadata)?;
        let redirect_uris = redirect_uris(metadata)?;
        let uses_browser = grant_types.contains(&GrantType::AuthorizationCode);
        if uses_browser && redirect_uris.is_empty() {
            let text = "`redirect_uris` must hold at least one URI";
            return Err(OAuthError::new(Code::InvalidRedirectUri, "redirect-uri-missing", text));
        }
        response_types(metadata, uses_browser)?;
        Ok(Self {
            name: label(metadata, "client_name")?,
            uri: home_page(metadata)?,
            application_type: application_type(metadata, &redirect_uris)?,
            redirect_uris,
            auth_method,
            keys: keys.filter(|_| auth_method == AuthMethod::PrivateKeyJwt),
            grant_types,
            scope: scope(metadata)?,
            dpop_bound: flag(metadata, "dpop_bound_access_tokens")?,
            software: software(metadata)?,
        })
    }

    /// The metadata as registered (RFC 7591 §3.2.1), without the id.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let texts = |list: Vec<&str>| list.into_iter().map(Json::from).collect::<Vec<_>>();
        let redirects = self.redirect_uris.iter().map(RedirectUri::as_str).collect();
        let grants = self.grant_types.iter().map(|g| g.as_str()).collect();
        let uses_browser = self.grant_types.contains(&GrantType::AuthorizationCode);
        let responses = if uses_browser { vec!["code"] } else { vec![] };
        let mut object = Object::new()
            .with("redirect_uris", texts(redirects))
            .with("application_type", self.application_type.as_str())
            .with("token_endpoint_auth_method", self.auth_method.as_str())
            .with("grant_types", texts(grants))
            .with("response_types", texts(responses))
            .with("dpop_bound_access_tokens", self.dpop_bound);
        if !self.scope.is_empty() {
            object.insert("scope", self.scope.join(" "));
        }
        if let Some(keys) = &self.keys {
            object.insert("jwks", keys.to_json());
        }
        let labels = [
            ("client_name", &self.name),
            ("client_uri", &self.uri),
            ("software_id", &self.software),
        ];
        for (member, label) in labels {
            if let Some(label) = label {
                object.insert(member, label.as_str());
            }
        }
        object
    }

    /// The registered redirect URI that a request meets: the one asked for, or
    /// the only one (OAuth 2.1 §4.1.1). Gives the URI to send the browser to.
    ///
    /// # Errors
    /// `invalid_request`; it is shown, never redirected.
    pub fn redirect_for(&self, asked: Option<&str>) -> Result<String, OAuthError> {
        match (asked, self.redirect_uris.as_slice()) {
            (Some(asked), registered) if registered.iter().any(|r| r.meets(asked)) => {
                Ok(asked.to_owned())
            }
            (None, [only]) => Ok(only.as_str().to_owned()),
            (None, _) => {
                let text = "the parameter `redirect_uri` is missing";
                Err(OAuthError::request("redirect-uri-missing", text))
            }
            (Some(_), _) => {
                let text = "`redirect_uri` is not registered for this client";
                Err(OAuthError::request("redirect-uri-unregistered", text))
            }
        }
    }

    /// A party that is known by its own name and key, and is registered for
    /// nothing else.
    #[must_use]
    pub fn of_key(name: &str, keys: ClientKeys, grant: GrantType) -> Self {
        Self {
            name: Some(name.to_owned()),
            uri: None,
            redirect_uris: Vec::new(),
            application_type: ApplicationType::Web,
            auth_method: AuthMethod::PrivateKeyJwt,
            keys: Some(keys),
            grant_types: BTreeSet::from([grant]),
            scope: Vec::new(),
            dpop_bound: false,
            software: None,
        }
    }

    /// Whether the client may use `grant`.
    ///
    /// # Errors
    /// `unauthorized_client`.
    pub fn permits(&self, grant: GrantType) -> Result<(), OAuthError> {
        if self.grant_types.contains(&grant) {
            return Ok(());
        }
        let text = format!("the client is not registered for `{}`", grant.as_str());
        Err(OAuthError::new(Code::UnauthorizedClient, "grant-type-not-registered", text))
    }
}

/// No shared secrets, whoever brings them.
fn refuse_secrets(metadata: &Object) -> Result<(), OAuthError> {
    for secret in ["client_secret", "client_secret_expires_at"] {
        if metadata.member(secret).is_some() {
            return Err(bad(secret, "is refused: there are no client secrets here"));
        }
    }
    Ok(())
}

fn auth_method(metadata: &Object, has_keys: bool) -> Result<AuthMethod, OAuthError> {
    const MEMBER: &str = "token_endpoint_auth_method";
    let method = match metadata.member(MEMBER) {
        // RFC 7591 §2 would mean a secret; §3.2.1 lets us choose otherwise.
        None if has_keys => AuthMethod::PrivateKeyJwt,
        None => AuthMethod::None,
        Some(method) => {
            let known = AuthMethod::ALL.into_iter().find(|m| method.as_str() == Some(m.as_str()));
            known.ok_or_else(|| bad(MEMBER, "must be `none` or `private_key_jwt`"))?
        }
    };
    if method == AuthMethod::PrivateKeyJwt && !has_keys {
        return Err(bad("jwks", "is missing: `private_key_jwt` needs a key"));
    }
    let algorithm = metadata.member("token_endpoint_auth_signing_alg");
    if let Some(algorithm) = algorithm
        && !matches!(algorithm.as_str(), Some("ES256" | "EdDSA" | "Ed25519"))
    {
        return Err(bad("token_endpoint_auth_signing_alg", "must be `ES256` or `Ed25519`"));
    }
    Ok(method)
}

fn grant_types(metadata: &Object) -> Result<BTreeSet<GrantType>, OAuthError> {
    const MEMBER: &str = "grant_types";
    let Some(list) = texts(metadata, MEMBER, 8)? else {
        return Ok(BTreeSet::from([GrantType::AuthorizationCode]));
    };
    let mut types = BTreeSet::new();
    for text in list {
        // A grant is signed by a principal in its own name, not by a client.
        let offered = GrantType::parse(text).filter(|g| *g != GrantType::JwtBearer);
        let Some(grant) = offered else {
            let text: String = text.chars().take(64).collect();
            return Err(bad(MEMBER, &format!("holds `{text}`, which is not offered")));
        };
        types.insert(grant);
    }
    if types.is_empty() {
        return Err(bad(MEMBER, "is empty"));
    }
    let begins = |g: &GrantType| *g != GrantType::RefreshToken;
    if !types.iter().any(begins) {
        return Err(bad(MEMBER, "holds `refresh_token` only, which nothing precedes"));
    }
    Ok(types)
}

fn response_types(metadata: &Object, uses_browser: bool) -> Result<(), OAuthError> {
    let Some(list) = texts(metadata, "response_types", 8)? else { return Ok(()) };
    // RFC 7591 §2.1: both lists must agree.
    if list.iter().any(|t| *t != "code") || (uses_browser && list.is_empty()) {
        return Err(bad("response_types", "must be `code`"));
    }
    Ok(())
}

fn redirect_uris(metadata: &Object) -> Result<Vec<RedirectUri>, OAuthError> {
    let list = texts(metadata, "redirect_uris", MAX_REDIRECT_URIS)?.unwrap_or_default();
    list.into_iter().map(RedirectUri::parse).collect()
}

fn application_type(
    metadata: &Object,
    redirect_uris: &[RedirectUri],
) -> Result<ApplicationType, OAuthError> {
    let is_native = redirect_uris.iter().any(RedirectUri::is_native);
    match metadata.member("application_type").map(Json::as_str) {
        // OpenID Connect would mean `web`; what the redirect URIs say is more.
        None if is_native => Ok(ApplicationType::Native),
        None => Ok(ApplicationType::Web),
        Some(Some("native")) => Ok(ApplicationType::Native),
        Some(Some("web")) if !is_native => Ok(ApplicationType::Web),
        Some(Some("web")) => {
            let text = "a `web` client redirects to https only";
            Err(OAuthError::new(Code::InvalidRedirectUri, "redirect-uri-not-web", text))
        }
        Some(_) => Err(bad("application_type", "must be `native` or `web`")),
    }
}

fn scope(metadata: &Object) -> Result<Vec<String>, OAuthError> {
    match metadata.member("scope") {
        None => Ok(Vec::new()),
        Some(scope) => {
            let text = scope.as_str().ok_or_else(|| bad("scope", "must be a text"))?;
            parse_scope(text).map_err(|e| bad("scope", &format!("is malformed: {}", e.description)))
        }
    }
}

/// Also checks `authorization_details_types` (RFC 9396 §10).
fn flag(metadata: &Object, member: &str) -> Result<bool, OAuthError> {
    let types = texts(metadata, "authorization_details_types", 8)?.unwrap_or_default();
    if types.iter().any(|t| !TYPES.contains(t)) {
        return Err(bad("authorization_details_types", "holds a type that is unknown"));
    }
    match metadata.member(member) {
        None => Ok(false),
        Some(value) => value.as_bool().ok_or_else(|| bad(member, "must be true or false")),
    }
}

/// The texts of an array, at most `max`.
fn texts<'m>(
    metadata: &'m Object,
    member: &str,
    max: usize,
) -> Result<Option<Vec<&'m str>>, OAuthError> {
    let Some(value) = metadata.member(member) else { return Ok(None) };
    let list = value.as_array().filter(|list| list.len() <= max);
    let list = list.and_then(|list| list.iter().map(Json::as_str).collect::<Option<Vec<_>>>());
    list.map(Some).ok_or_else(|| bad(member, &format!("must be an array of at most {max} texts")))
}

/// A text that is shown to people: no characters that change how others are
/// shown.
fn label(metadata: &Object, member: &str) -> Result<Option<String>, OAuthError> {
    let Some(value) = metadata.member(member) else { return Ok(None) };
    let text = value.as_str().map(str::trim).ok_or_else(|| bad(member, "must be a text"))?;
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
    };
    if text.chars().count() > MAX_NAME_CHARS || text.chars().any(hidden) {
        return Err(bad(member, "is too long or holds characters that are not shown"));
    }
    Ok(Some(text.to_owned()).filter(|t| !t.is_empty()))
}

fn home_page(metadata: &Object) -> Result<Option<String>, OAuthError> {
    const MEMBER: &str = "client_uri";
    let Some(value) = metadata.member(MEMBER) else { return Ok(None) };
    let fits = |text: &&str| {
        text.len() <= MAX_URL_BYTES
            && text.bytes().all(|b| b.is_ascii_graphic())
            && Url::parse(text).is_ok_and(|u| matches!(u.scheme(), "https" | "http"))
    };
    let text = value.as_str().filter(fits).ok_or_else(|| bad(MEMBER, "must be a web address"))?;
    Ok(Some(text.to_owned()))
}

fn software(metadata: &Object) -> Result<Option<String>, OAuthError> {
    let id = label(metadata, "software_id")?;
    let version = label(metadata, "software_version")?;
    Ok(match (id, version) {
        (Some(id), Some(version)) => Some(format!("{id} {version}")),
        (id, version) => id.or(version),
    })
}

#[cfg(test)]
mod tests;
