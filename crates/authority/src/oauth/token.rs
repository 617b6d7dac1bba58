//! The token endpoint's form (RFC 6749 §4.1.3, §6; RFC 8693 §2.1): what a client
//! asks to have in exchange for what.

use bailiwick_core::crypto::PublicKey;
use bailiwick_core::json::Json;
use bailiwick_core::limits::JsonLimits;

use super::client::{ClientId, GrantType};
use super::details::{AuthorizationDetails, parse_scope};
use super::error::{Code, OAuthError};
use super::parameters::Parameters;
use super::resource::Resource;
use super::signed_grant::{self, SignedGrantForm};

/// The only way in which a client authenticates (RFC 7523 §2.2).
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Bytes of a code, refresh token or assertion at most.
const MAX_SECRET_BYTES: usize = 16 * 1024;
/// Bytes of a subject or actor token at most: a whole token of ours.
const MAX_TOKEN_BYTES: usize = 64 * 1024;
const REQ_CNF: JsonLimits = JsonLimits { max_bytes: 2048, max_depth: 4, max_values: 32 };

/// What a form says about who sends it.
#[derive(Clone, PartialEq, Eq)]
pub struct Presented {
    /// `client_id`, if it is said.
    pub client: Option<ClientId>,
    /// `client_assertion`, if there is one.
    pub assertion: Option<String>,
}

impl std::fmt::Debug for Presented {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presented").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Presented {
    /// As [`Presented::read`], at the token endpoint: a signed grant says by
    /// itself who sends it (RFC 7521 §4.1).
    ///
    /// # Errors
    /// As [`Presented::read`]; `invalid_grant` for an assertion that names
    /// nobody.
    pub fn at_token_endpoint(parameters: &Parameters) -> Result<Self, OAuthError> {
        let says = |name: &str| parameters.first(name).is_some();
        let silent = !["client_id", "client_assertion", "client_assertion_type", "client_secret"]
            .into_iter()
            .any(says);
        let signed = parameters.first("grant_type") == Some(GrantType::JwtBearer.as_str());
        match parameters.first("assertion") {
            Some(assertion) if silent && signed => {
                let client = Some(signed_grant::claimed(assertion)?);
                Ok(Self { client, assertion: None })
            }
            _ => Self::read(parameters),
        }
    }

    /// Reads the parameters that identify and authenticate a client, at any
    /// endpoint.
    ///
    /// # Errors
    /// `invalid_client` for a secret, a method that is not offered, or a
    /// request that says nothing.
    pub fn read(parameters: &Parameters) -> Result<Self, OAuthError> {
        let bad = |reason, text: &str| OAuthError::new(Code::InvalidClient, reason, text);
        parameters.once_each()?;
        if parameters.first("client_secret").is_some() {
            let text = "there are no client secrets here; use `private_key_jwt`";
            return Err(bad("client-secret", text));
        }
        let client = parameters.first("client_id").map(ClientId::parse).transpose()?;
        let kind = parameters.first("client_assertion_type");
        let assertion = parameters.first("client_assertion").map(str::to_owned);
        match (kind, &assertion) {
            (None, None) if client.is_none() => {
                return Err(bad(
                    "client-missing",
                    "the request does not say which client sends it",
                ));
            }
            (None, None) => {}
            (Some(ASSERTION_TYPE), Some(assertion)) if assertion.len() <= MAX_SECRET_BYTES => {}
            (Some(ASSERTION_TYPE), Some(_)) => {
                return Err(bad("client-assertion-too-large", "`client_assertion` is too large"));
            }
            (Some(ASSERTION_TYPE), None) | (None, Some(_)) => {
                let text = "`client_assertion` and its type come together";
                return Err(bad("client-assertion-half", text));
            }
            (Some(_), _) => {
                return Err(bad("client-assertion-type", "`client_assertion_type` is not offered"));
            }
        }
        Ok(Self { client, assertion })
    }
}

/// What kind of token an exchange is given or asked for (RFC 8693 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenType {
    /// An access token for one resource.
    AccessToken,
    /// A delegation token of the draft that DESIGN §6 names.
    Delegation,
    /// A grant on record, named by its id: the principal's signed word that its
    /// agent may act while the principal is absent.
    Grant,
    /// An OpenID Connect identity token.
    IdToken,
    /// Any JWT: a service's, an instance's identity token.
    Jwt,
}

impl TokenType {
    /// Every type.
    pub const ALL: [Self; 5] =
        [Self::AccessToken, Self::Delegation, Self::Grant, Self::IdToken, Self::Jwt];

    /// Its URI.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "urn:ietf:params:oauth:token-type:access_token",
            Self::Delegation => "urn:bailiwick:token-type:delegation",
            Self::Grant => "urn:bailiwick:token-type:grant",
            Self::IdToken => "urn:ietf:params:oauth:token-type:id_token",
            Self::Jwt => "urn:ietf:params:oauth:token-type:jwt",
        }
    }

    /// Reads the URI.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == text)
    }
}

/// A token with the type that it is said to have; its own `typ` decides.
#[derive(Clone, PartialEq, Eq)]
pub struct TypedToken {
    /// The type as it is said.
    pub kind: TokenType,
    /// The token.
    pub token: String,
}

impl std::fmt::Debug for TypedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TypedToken").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// A token exchange (RFC 8693 §2.1).
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeForm {
    /// On whose behalf.
    pub subject: TypedToken,
    /// Who is to act.
    pub actor: TypedToken,
    /// What is asked for.
    pub requested: TokenType,
    /// Where it is to be used; the gateway as a whole, if nothing is said and
    /// a delegation is asked for.
    pub resource: Option<Resource>,
    /// Shorthands.
    pub scope: Vec<String>,
    /// Further narrowing.
    pub details: AuthorizationDetails,
    /// The holder key of the delegation (RFC 9201 §4.2, draft -02 §6.1).
    pub holder: Option<PublicKey>,
}

/// What the form asks for.
#[derive(Clone, PartialEq)]
pub enum TokenForm {
    /// A code from the authorization endpoint.
    AuthorizationCode {
        /// The code.
        code: String,
        /// The redirect URI of the authorization request, if it is repeated.
        redirect_uri: Option<String>,
        /// The PKCE verifier.
        verifier: Option<String>,
        /// The resource, if it is repeated.
        resource: Option<Resource>,
    },
    /// The next access token.
    RefreshToken {
        /// The refresh token.
        token: String,
        /// Shorthands, if fewer than before.
        scope: Vec<String>,
        /// The resource, if it is repeated.
        resource: Option<Resource>,
    },
    /// A grant that its principal signed.
    SignedGrant(Box<SignedGrantForm>),
    /// A token exchange.
    TokenExchange(Box<ExchangeForm>),
}

impl std::fmt::Debug for TokenForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TokenForm").field(&self.grant_type().as_str()).finish()
    }
}

impl TokenForm {
    /// Reads the form. Who sends it is read apart ([`Presented::read`]).
    ///
    /// # Errors
    /// The error of the first parameter that is missing or malformed.
    pub fn read(parameters: &Parameters, issuer: &str) -> Result<Self, OAuthError> {
        parameters.once_each()?;
        let grant = parameters.required("grant_type")?;
        if grant == "client_credentials" {
            let text = "a client has no authority of its own: a principal grants it; \
                        use `authorization_code` or a token exchange";
            let code = Code::UnsupportedGrantType;
            return Err(OAuthError::new(code, "client-credentials", text));
        }
        let Some(grant) = GrantType::parse(grant) else {
            let text = "the `grant_type` is not offered";
            return Err(OAuthError::new(Code::UnsupportedGrantType, "grant-type-unknown", text));
        };
        let resource = || Resource::one_of(issuer, parameters);
        let scope = || parse_scope(parameters.first("scope").unwrap_or_default());
        let text = |name| parameters.first(name).map(str::to_owned);
        match grant {
            GrantType::AuthorizationCode => Ok(Self::AuthorizationCode {
                code: bounded(parameters, "code", MAX_SECRET_BYTES)?,
                redirect_uri: text("redirect_uri"),
                verifier: text("code_verifier"),
                resource: resource()?,
            }),
            GrantType::JwtBearer => Ok(Self::SignedGrant(Box::new(signed_grant::read(
                parameters,
                holder(parameters)?,
            )?))),
            GrantType::RefreshToken => Ok(Self::RefreshToken {
                token: bounded(parameters, "refresh_token", MAX_SECRET_BYTES)?,
                scope: scope()?,
                resource: resource()?,
            }),
            GrantType::TokenExchange => {
                Ok(Self::TokenExchange(Box::new(exchange(parameters, issuer)?)))
            }
        }
    }

    /// The grant type.
    #[must_use]
    pub const fn grant_type(&self) -> GrantType {
        match self {
            Self::AuthorizationCode { .. } => GrantType::AuthorizationCode,
            Self::RefreshToken { .. } => GrantType::RefreshToken,
            Self::SignedGrant(_) => GrantType::JwtBearer,
            Self::TokenExchange(_) => GrantType::TokenExchange,
        }
    }
}

pub(super) fn bounded(
    parameters: &Parameters,
    name: &str,
    max: usize,
) -> Result<String, OAuthError> {
    let value = parameters.required(name)?;
    if value.len() > max {
        let text = format!("the parameter `{name}` is too large");
        return Err(OAuthError::request("parameter-too-large", text));
    }
    Ok(value.to_owned())
}

fn exchange(parameters: &Parameters, issuer: &str) -> Result<ExchangeForm, OAuthError> {
    let subject = typed(parameters, "subject_token", "subject_token_type")?.ok_or_else(|| {
        OAuthError::request("subject-missing", "the parameter `subject_token` is missing")
    })?;
    // RFC 8693 leaves impersonation open (§1.1): here it is always said who
    // acts.
    let actor = typed(parameters, "actor_token", "actor_token_type")?.ok_or_else(|| {
        let text = "the parameter `actor_token` is missing: it says which agent is to act";
        OAuthError::request("actor-missing", text)
    })?;
    if actor.kind != TokenType::Jwt {
        let text = "`actor_token` must be an instance's identity token, a JWT";
        return Err(OAuthError::request("actor-type", text));
    }
    let requested = match parameters.first("requested_token_type") {
        None => TokenType::AccessToken,
        Some(text) => {
            let offered = [TokenType::AccessToken, TokenType::Delegation];
            let kind = TokenType::parse(text).filter(|kind| offered.contains(kind));
            kind.ok_or_else(|| {
                OAuthError::request("requested-type", "the `requested_token_type` is not offered")
            })?
        }
    };
    let details = match parameters.first("authorization_details") {
        None => AuthorizationDetails::default(),
        Some(text) => AuthorizationDetails::parse(text)?,
    };
    let scope = parse_scope(parameters.first("scope").unwrap_or_default())?;
    Ok(ExchangeForm {
        subject,
        actor,
        requested,
        resource: target(parameters, issuer)?,
        scope,
        details,
        holder: holder(parameters)?,
    })
}

/// A token and its type: both or neither (RFC 8693 §2.1).
fn typed(
    parameters: &Parameters,
    token: &'static str,
    kind: &'static str,
) -> Result<Option<TypedToken>, OAuthError> {
    match (parameters.first(token), parameters.first(kind)) {
        (None, None) => Ok(None),
        (Some(_), Some(text)) => {
            let kind = TokenType::parse(text).ok_or_else(|| {
                OAuthError::request("token-type-unknown", format!("the `{kind}` is not accepted"))
            })?;
            Ok(Some(TypedToken { kind, token: bounded(parameters, token, MAX_TOKEN_BYTES)? }))
        }
        _ => {
            let text = format!("`{token}` and `{kind}` come together");
            Err(OAuthError::request("token-without-type", text))
        }
    }
}

/// `resource` and `audience` name the same things here: the gateway and the
/// tool servers behind it.
fn target(parameters: &Parameters, issuer: &str) -> Result<Option<Resource>, OAuthError> {
    let mut resource = Resource::one_of(issuer, parameters)?;
    for audience in parameters.all("audience") {
        let audience = Resource::parse(issuer, audience)?;
        if resource.replace(audience.clone()).is_some_and(|earlier| earlier != audience) {
            let text = "a token is for one resource; name only one";
            return Err(OAuthError::new(Code::InvalidTarget, "resource-several", text));
        }
    }
    Ok(resource)
}

fn holder(parameters: &Parameters) -> Result<Option<PublicKey>, OAuthError> {
    let Some(text) = parameters.first("req_cnf") else { return Ok(None) };
    let key = Json::parse(text.as_bytes(), &REQ_CNF).ok().and_then(|json| {
        let cnf = json.as_object().filter(|cnf| cnf.len() == 1)?;
        PublicKey::from_jwk(cnf.member("jwk")?.as_object()?).ok()
    });
    let bad = || {
        let text = "`req_cnf` must be `{jwk}` with a public key on Ed25519";
        OAuthError::request("req-cnf-malformed", text)
    };
    key.ok_or_else(bad).map(Some)
}

#[cfg(test)]
mod tests;
