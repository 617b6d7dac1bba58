//! Logging in at an OpenID Connect provider: authorization code with PKCE,
//! state and nonce.
//!
//! The provider is pinned by its issuer identifier in the configuration:
//! discovery must state exactly that, the answer's `iss` must be it (RFC 9207,
//! against mix-up), and the `id_token` is verified by the core's own strict
//! reader under the provider's published keys. For a grant the `nonce` is the
//! grant's digest and the login must be fresh, so that the `id_token` is the
//! principal's signature (DESIGN §3.9).

use bailiwick_core::crypto::Digest;
use bailiwick_core::grant::Proof;
use bailiwick_core::id_token::{self, Expected, IdTokenProblem};
use bailiwick_core::jose::{JwkSet, ThirdPartyKey};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClaimName, CoreClaimType,
    CoreClient, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode,
    CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{
    AdditionalProviderMetadata, AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    DiscoveryError, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, ProviderMetadata,
    RedirectUrl, RequestTokenError, Scope, TokenResponse as _,
};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use url::Url;

use crate::http::provider::ProviderHttp;
use crate::people::sessions::Secret;

mod config;
mod error;
mod providers;
#[cfg(test)]
mod tests;

pub use config::{Namespace, ProviderConfig};
pub use error::OidcError;
pub use providers::Providers;

/// Seconds that the provider's clock may differ.
const SKEW_SECONDS: i64 = 60;
/// A person is in a few dozen groups, and some are in a thousand.
const MAX_GROUPS: usize = 1024;
const MAX_CLAIM_BYTES: usize = 256;
/// Longest `code` or `iss` that is taken from a redirect.
const MAX_PARAMETER_BYTES: usize = 4096;

/// What of a provider's metadata the library does not read (RFC 9207 §3).
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Extra {
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for Extra {}

type Metadata = ProviderMetadata<
    Extra,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// A provider whose metadata and keys are known, as of one moment.
#[derive(Clone, Debug)]
pub struct Provider {
    config: ProviderConfig,
    redirect_uri: RedirectUrl,
    metadata: Metadata,
    keys: JwkSet<ThirdPartyKey>,
}

/// What a login is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be signed in.
    SignIn,
    /// To prove again who one is: the provider must ask the person now,
    /// whatever it remembers.
    Again,
    /// To sign the grant with this digest, asked just as freshly.
    SignGrant {
        /// The statement's digest.
        digest: Digest,
    },
}

/// A login on its way. Whatever of it is secret (state, nonce, PKCE verifier)
/// is derived from the secret that the browser keeps in a cookie, so that the
/// server keeps none, and no other browser can finish it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The provider's issuer identifier.
    pub issuer: String,
    /// What for.
    pub purpose: Purpose,
    /// When it began, seconds.
    pub at: i64,
}

impl Begun {
    /// The form in which it is kept.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let object = Object::new().with("issuer", self.issuer.as_str()).with("at", self.at);
        match self.purpose {
            Purpose::SignIn => object.with("purpose", "sign-in"),
            Purpose::Again => object.with("purpose", "again"),
            Purpose::SignGrant { digest } => {
                object.with("purpose", "sign-grant").with("digest", digest)
            }
        }
        .into()
    }

    /// Reads what [`Begun::to_json`] writes.
    #[must_use]
    pub fn from_json(json: &Json) -> Option<Self> {
        let o = json.as_object()?;
        let text = |name: &str| o.member(name)?.as_str();
        Some(Self {
            issuer: text("issuer")?.to_owned(),
            at: o.member("at")?.as_number()?.as_plain_integer()?,
            purpose: match text("purpose")? {
                "sign-in" => Purpose::SignIn,
                "again" => Purpose::Again,
                "sign-grant" => Purpose::SignGrant { digest: Digest::from_text(text("digest")?)? },
                _ => return None,
            },
        })
    }

    /// Whether `state` is that of the login which the browser with `secret`
    /// began, in constant time.
    #[must_use]
    pub fn is_state(secret: &Secret, state: &str) -> bool {
        Self::state(secret).as_bytes().ct_eq(state.as_bytes()).into()
    }

    fn state(secret: &Secret) -> String {
        secret.derived("bailiwick-openid-state-v1")
    }

    fn verifier(secret: &Secret) -> PkceCodeVerifier {
        PkceCodeVerifier::new(secret.derived("bailiwick-openid-pkce-v1"))
    }

    fn nonce(&self, secret: &Secret) -> String {
        match self.purpose {
            Purpose::SignIn | Purpose::Again => secret.derived("bailiwick-openid-nonce-v1"),
            Purpose::SignGrant { digest } => digest.to_string(),
        }
    }

    /// Whether the provider must ask the person now.
    const fn is_fresh(&self) -> bool {
        !matches!(self.purpose, Purpose::SignIn)
    }
}

/// What the browser brought back, each parameter at most once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Callback {
    /// `code`.
    pub code: Option<String>,
    /// `state`.
    pub state: Option<String>,
    /// `iss` (RFC 9207).
    pub iss: Option<String>,
    /// `error`.
    pub error: Option<String>,
}

impl std::fmt::Debug for Callback {
    /// Without the code and the state.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Callback");
        shown.field("iss", &self.iss).field("error", &self.error).finish_non_exhaustive()
    }
}

/// A person who logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedIn {
    /// `sub` at the provider; with its issuer identifier it is who they are.
    pub subject: String,
    /// The claim that a new principal's name is made of, if it is there.
    pub name: Option<String>,
    /// The person's groups, in order, if a claim for them is configured.
    pub groups: Vec<String>,
    /// The configured text claims that are there.
    pub claims: Vec<(String, String)>,
    /// When the person was asked last; without it the login is not known to be
    /// fresh.
    pub authenticated: Option<Timestamp>,
    /// The `id_token` with the key that verified it: what is kept of a login
    /// that signs a grant.
    pub proof: Proof,
    /// Every key that the provider published then.
    pub keys: Vec<ThirdPartyKey>,
}

impl Provider {
    /// Reads a provider's metadata and keys.
    ///
    /// # Errors
    /// [`OidcError::Config`], [`OidcError::Unreachable`], [`OidcError::Metadata`].
    pub async fn discover(config: ProviderConfig, redirect_uri: &str) -> Result<Self, OidcError> {
        let http = ProviderHttp { network: config.network };
        let bad = |member, expected| OidcError::Config { member, expected };
        let issuer = IssuerUrl::new(config.issuer.clone()).map_err(|_| bad("issuer", "a URL"))?;
        let redirect_uri =
            RedirectUrl::new(redirect_uri.to_owned()).map_err(|_| bad("public_url", "a URL"))?;
        let metadata =
            Metadata::discover_async(issuer, &http).await.map_err(|error| match error {
                DiscoveryError::Request(error) => OidcError::Unreachable(error),
                DiscoveryError::Validation(_) => {
                    OidcError::Metadata { problem: "it states another issuer" }
                }
                _ => OidcError::Metadata { problem: "it is malformed" },
            })?;
        // The library compares the issuer as well; here the exact text counts.
        if metadata.issuer().as_str() != config.issuer {
            return Err(OidcError::Metadata { problem: "it states another issuer" });
        }
        if metadata.token_endpoint().is_none() {
            return Err(OidcError::Metadata { problem: "it has no token endpoint" });
        }
        let bad_keys = OidcError::Metadata { problem: "its keys cannot be used" };
        let keys = serde_json::to_vec(metadata.jwks()).map_err(|_| bad_keys.clone())?;
        let keys = JwkSet::parse(&keys).map_err(|_| bad_keys.clone())?;
        if keys.is_empty() {
            return Err(bad_keys);
        }
        Ok(Self { config, redirect_uri, metadata, keys })
    }

    /// The provider as configured.
    #[must_use]
    pub fn config(&self) -> &ProviderConfig {
        &self.config
    }

    /// Begins a login of the browser that keeps `secret`: where it goes, and
    /// what the server keeps.
    #[must_use]
    pub fn begin(&self, secret: &Secret, purpose: Purpose, now: Timestamp) -> (Url, Begun) {
        let begun = Begun { issuer: self.config.issuer.clone(), purpose, at: now.seconds() };
        let client = self.client();
        let (state, nonce) = (Begun::state(secret), begun.nonce(secret));
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&Begun::verifier(secret));
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                move || CsrfToken::new(state),
                move || Nonce::new(nonce),
            )
            .set_pkce_challenge(challenge)
            .set_redirect_uri(std::borrow::Cow::Borrowed(&self.redirect_uri))
            .add_scopes(self.config.scopes.iter().cloned().map(Scope::new));
        if begun.is_fresh() {
            request =
                request.set_max_age(std::time::Duration::ZERO).add_prompt(CoreAuthPrompt::Login);
        }
        let (url, _, _) = request.url();
        (url, begun)
    }

    /// Exchanges what the browser brought back for the `id_token`, not yet
    /// verified. `begun` must be taken away from where it was kept before, so
    /// that it serves once.
    ///
    /// # Errors
    /// See [`OidcError`].
    pub async fn exchange(
        &self,
        begun: &Begun,
        secret: &Secret,
        callback: &Callback,
    ) -> Result<String, OidcError> {
        let code = self.code(begun, secret, callback)?;
        let client = self.client();
        let exchange = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|_| OidcError::Metadata { problem: "it has no token endpoint" })?
            .set_pkce_verifier(Begun::verifier(secret))
            .set_redirect_uri(std::borrow::Cow::Borrowed(&self.redirect_uri));
        let http = ProviderHttp { network: self.config.network };
        let answer = exchange.request_async(&http).await.map_err(|error| match error {
            RequestTokenError::Request(error) => OidcError::Unreachable(error),
            _ => OidcError::Exchange,
        })?;
        Ok(answer.id_token().ok_or(OidcError::Answer)?.to_string())
    }

    /// The code of an answer that belongs to this login, at this provider.
    fn code<'c>(
        &self,
        begun: &Begun,
        secret: &Secret,
        callback: &'c Callback,
    ) -> Result<&'c str, OidcError> {
        let given = callback.state.as_deref().unwrap_or_default();
        if !bool::from(Begun::state(secret).as_bytes().ct_eq(given.as_bytes())) {
            return Err(OidcError::State);
        }
        if begun.issuer != self.config.issuer {
            return Err(OidcError::MixUp);
        }
        // SECURITY: checked before anything else of the answer is used, also
        // before its error is shown (RFC 9207 §2.4).
        let announced = self.metadata.additional_metadata();
        match callback.iss.as_deref() {
            Some(iss) if iss == self.config.issuer => {}
            None if !announced.authorization_response_iss_parameter_supported => {}
            _ => return Err(OidcError::MixUp),
        }
        if let Some(error) = &callback.error {
            // RFC 6749 §4.1.2.1: a code of a few characters, shown to a person.
            let plain = |b: u8| b.is_ascii_lowercase() || b == b'_';
            let is_plain = error.len() <= 64 && error.bytes().all(plain);
            let code = if is_plain { error.clone() } else { "unknown".to_owned() };
            return Err(OidcError::Refused { code });
        }
        callback
            .code
            .as_deref()
            .filter(|code| (1..=MAX_PARAMETER_BYTES).contains(&code.len()))
            .ok_or(OidcError::Answer)
    }

    /// Verifies the `id_token` of a login: who it was.
    ///
    /// # Errors
    /// [`OidcError::IdToken`], [`OidcError::Claim`].
    pub fn read(
        &self,
        token: &str,
        begun: &Begun,
        secret: &Secret,
        now: Timestamp,
    ) -> Result<LoggedIn, OidcError> {
        let jws = id_token::parse(token)?;
        let (claims, key) = self.keys.verify(&jws).map_err(IdTokenProblem::from)?;
        let expected = Expected {
            issuer: &self.config.issuer,
            client_id: &self.config.client_id,
            nonce: &begun.nonce(secret),
            now,
            skew_seconds: SKEW_SECONDS,
            fresh: begun.is_fresh(),
        };
        let identity = id_token::read(&claims, &expected)?;
        // Asked for this very login, and not a little while before.
        let asked = |time: i64| time >= begun.at.saturating_sub(SKEW_SECONDS);
        if begun.is_fresh() && !identity.auth_time.is_some_and(asked) {
            return Err(IdTokenProblem::NotFresh.into());
        }
        let text = |name: &str| claims.member(name).and_then(Json::as_str).map(str::to_owned);
        Ok(LoggedIn {
            name: text(&self.config.name_claim),
            groups: self.groups(&claims)?,
            claims: self.claims(&claims)?,
            subject: identity.subject,
            authenticated: identity.auth_time.map(Timestamp::from_seconds),
            proof: Proof::IdToken { token: token.to_owned(), key: key.clone() },
            keys: self.keys.iter().map(|(_, key)| key.clone()).collect(),
        })
    }

    /// The groups: none where no claim is configured or the token has none. A
    /// claim of another form is refused rather than guessed at.
    fn groups(&self, claims: &Object) -> Result<Vec<String>, OidcError> {
        let Some(claim) = &self.config.groups_claim else { return Ok(Vec::new()) };
        let Some(value) = claims.member(claim) else { return Ok(Vec::new()) };
        let bad = || OidcError::Claim { claim: claim.clone() };
        let list = value.as_array().filter(|l| l.len() <= MAX_GROUPS).ok_or_else(bad)?;
        let mut groups: Vec<String> = list
            .iter()
            .map(|group| short_text(group).map(str::to_owned).ok_or_else(bad))
            .collect::<Result<_, _>>()?;
        // Providers list them in any order; the same groups are the same.
        groups.sort_unstable();
        groups.dedup();
        Ok(groups)
    }

    fn claims(&self, claims: &Object) -> Result<Vec<(String, String)>, OidcError> {
        let mut found = Vec::new();
        for claim in &self.config.claims {
            let Some(value) = claims.member(claim) else { continue };
            let bad = || OidcError::Claim { claim: claim.clone() };
            found.push((claim.clone(), short_text(value).ok_or_else(bad)?.to_owned()));
        }
        Ok(found)
    }

    fn client(
        &self,
    ) -> CoreClient<
        openidconnect::EndpointSet,
        openidconnect::EndpointNotSet,
        openidconnect::EndpointNotSet,
        openidconnect::EndpointNotSet,
        openidconnect::EndpointMaybeSet,
        openidconnect::EndpointMaybeSet,
    > {
        let secret = self.config.client_secret.as_ref();
        // Absent means basic (OpenID Connect Discovery §3).
        let methods = self.metadata.token_endpoint_auth_methods_supported();
        let basic = methods.is_none_or(|m| m.contains(&CoreClientAuthMethod::ClientSecretBasic));
        CoreClient::from_provider_metadata(
            self.metadata.clone(),
            ClientId::new(self.config.client_id.clone()),
            secret.map(|secret| ClientSecret::new(secret.to_string())),
        )
        .set_auth_type(if basic { AuthType::BasicAuth } else { AuthType::RequestBody })
    }
}

fn short_text(value: &Json) -> Option<&str> {
    value.as_str().filter(|text| (1..=MAX_CLAIM_BYTES).contains(&text.len()))
}
