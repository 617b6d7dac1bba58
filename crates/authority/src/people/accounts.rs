//! A person's own account at a tool server: OAuth 2.1 authorization code with
//! PKCE, in which the person consents at the tool server's authorization
//! server and the tokens come to the vault.
//!
//! SECURITY: a consent is begun and finished by one session of one person, for
//! one tool server. State and PKCE verifier are derived from a secret that the
//! browser keeps; what is kept here is taken away with the first answer. Each
//! tool server has a callback of its own, and where its authorization server
//! names itself in the answer (RFC 9207) that must be the one asked, so that an
//! answer of another server is never taken (RFC 9700 §4.4). Tokens are renewed
//! and revoked only where they were given out.

use std::time::Duration;

use oauth2::basic::{BasicClient, BasicErrorResponseType, BasicTokenResponse, BasicTokenType};
use oauth2::{
    AsyncHttpClient as _, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    EndpointNotSet, EndpointSet, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken,
    RequestTokenError, Scope, TokenResponse as _, TokenUrl,
};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use url::Url;
use zeroize::Zeroizing;

use crate::http::provider::{ProviderHttp, ProviderHttpError};
use crate::people::oidc::Callback;
use crate::people::sessions::Secret;

mod config;
mod discovery;
mod error;

pub use config::{AccountConfig, Endpoints};
pub use error::AccountError;

/// The vault's kind of a credential that came by consent.
pub const KIND: &str = "account";
/// Where its value came from.
pub const SOURCE: &str = "consent";

/// Longest `code` that is taken from a redirect.
const MAX_CODE_BYTES: usize = 4096;
/// Longest token that is kept.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// Where tokens come from and go back to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSite {
    /// The authorization server's issuer identifier, where it is known.
    pub issuer: Option<String>,
    /// Its token endpoint.
    pub token: String,
    /// Where it takes tokens back (RFC 7009), if it does.
    pub revocation: Option<String>,
    /// Our client there.
    pub client_id: String,
    /// For which resource (RFC 8707): the tool server.
    pub resource: String,
}

/// An authorization server as it was found when a consent began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Where the person is sent.
    pub authorization: String,
    /// Whether it says that it names itself in every answer (RFC 9207).
    pub sends_issuer: bool,
    /// Where the code is exchanged.
    pub tokens: TokenSite,
}

/// The tokens of one person's consent.
#[derive(Clone)]
pub struct Tokens {
    /// What the tool server is shown.
    pub access: Zeroizing<String>,
    /// With what the next one is fetched.
    pub refresh: Option<Zeroizing<String>>,
    /// For how long the access token is good, if that is said.
    pub lasts: Option<Duration>,
}

impl std::fmt::Debug for Tokens {
    /// Without the tokens.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("lasts", &self.lasts).finish_non_exhaustive()
    }
}

/// Whether `state` is that of the consent which the browser with `secret`
/// began, in constant time.
#[must_use]
pub fn is_state(secret: &Secret, state: &str) -> bool {
    self::state(secret).as_bytes().ct_eq(state.as_bytes()).into()
}

fn state(secret: &Secret) -> String {
    secret.derived("bailiwick-account-state-v1")
}

fn verifier(secret: &Secret) -> PkceCodeVerifier {
    PkceCodeVerifier::new(secret.derived("bailiwick-account-pkce-v1"))
}

type TokenClient = oauth2::Client<
    oauth2::basic::BasicErrorResponse,
    BasicTokenResponse,
    oauth2::basic::BasicTokenIntrospectionResponse,
    oauth2::StandardRevocableToken,
    oauth2::basic::BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

impl TokenSite {
    /// The client with which tokens are asked for here.
    fn client(&self, config: &AccountConfig) -> Result<TokenClient, AccountError> {
        // SECURITY: a secret goes only where the operator said, and tokens only
        // to the client that they were given to.
        config.check_site(self)?;
        let url = TokenUrl::new(self.token.clone()).map_err(|_| BAD_TOKEN_URL)?;
        let mut client = BasicClient::new(ClientId::new(self.client_id.clone()));
        if let Some(secret) = &config.client_secret {
            client = client.set_client_secret(ClientSecret::new(secret.to_string()));
        }
        Ok(client.set_token_uri(url))
    }

    /// The next tokens (RFC 6749 §6). A refresh token that is not replaced
    /// stays.
    ///
    /// # Errors
    /// [`AccountError::Lapsed`] when the authorization server does not renew
    /// any more; any other may pass.
    pub async fn renew(
        &self,
        config: &AccountConfig,
        refresh: &str,
    ) -> Result<Tokens, AccountError> {
        let http = ProviderHttp { network: config.network };
        let client = self.client(config)?;
        let token = RefreshToken::new(refresh.to_owned());
        let request = client.exchange_refresh_token(&token);
        let request = request.add_extra_param("resource", self.resource.as_str());
        let tokens = read(request.request_async(&http).await.map_err(of_request)?)?;
        let kept = || Some(Zeroizing::new(refresh.to_owned()));
        Ok(Tokens { refresh: tokens.refresh.clone().or_else(kept), ..tokens })
    }

    /// Gives the tokens back (RFC 7009), where that is offered: false, where
    /// not.
    ///
    /// # Errors
    /// [`AccountError`]: the authorization server did not hear of it, or said
    /// no.
    pub async fn revoke(
        &self,
        config: &AccountConfig,
        tokens: &Tokens,
    ) -> Result<bool, AccountError> {
        config.check_site(self)?;
        let Some(url) = &self.revocation else { return Ok(false) };
        // The refresh token ends all that came of it (RFC 7009 §2.1).
        let (token, hint) = match &tokens.refresh {
            Some(refresh) => (refresh, "refresh_token"),
            None => (&tokens.access, "access_token"),
        };
        let mut request = http::Request::post(url.as_str())
            .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let mut members = vec![("token", token.as_str()), ("token_type_hint", hint)];
        match &config.client_secret {
            Some(secret) => {
                request = request.header(http::header::AUTHORIZATION, basic(config, secret));
            }
            None => members.push(("client_id", &self.client_id)),
        }
        let body = crate::oauth::parameters::encode(&members).into_bytes();
        let request = request.body(body).map_err(|_| BAD_TOKEN_URL)?;
        let http = ProviderHttp { network: config.network };
        let answer = http.call(request).await.map_err(AccountError::Unreachable)?;
        if answer.status().is_success() { Ok(true) } else { Err(AccountError::Exchange) }
    }
}

/// RFC 6749 §2.3.1: both are form-encoded before they are joined.
fn basic(config: &AccountConfig, secret: &str) -> String {
    use base64::Engine as _;
    let encoded =
        |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Zeroizing::new(format!("{}:{}", encoded(&config.client_id), encoded(secret)));
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair.as_bytes()))
}

const BAD_TOKEN_URL: AccountError =
    AccountError::Metadata { problem: "its token endpoint is no URL" };

impl Site {
    /// Where the browser that keeps `secret` is sent.
    ///
    /// # Errors
    /// [`AccountError::Metadata`].
    pub fn begin(
        &self,
        config: &AccountConfig,
        secret: &Secret,
        redirect_uri: &str,
    ) -> Result<Url, AccountError> {
        let bad = |_| AccountError::Metadata { problem: "its authorization endpoint is no URL" };
        let client = BasicClient::new(ClientId::new(self.tokens.client_id.clone()))
            .set_auth_uri(AuthUrl::new(self.authorization.clone()).map_err(bad)?)
            .set_redirect_uri(RedirectUrl::new(redirect_uri.to_owned()).map_err(bad)?);
        let state = state(secret);
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier(secret));
        let (url, _) = client
            .authorize_url(move || CsrfToken::new(state))
            .set_pkce_challenge(challenge)
            .add_scopes(config.scopes.iter().cloned().map(Scope::new))
            .add_extra_param("resource", self.tokens.resource.as_str())
            .url();
        Ok(url)
    }

    /// The tokens for the code that the browser brought back. What was kept of
    /// the consent must be taken away before, so that it serves once.
    ///
    /// # Errors
    /// See [`AccountError`].
    pub async fn exchange(
        &self,
        config: &AccountConfig,
        secret: &Secret,
        redirect_uri: &str,
        code: &str,
    ) -> Result<Tokens, AccountError> {
        let redirect = RedirectUrl::new(redirect_uri.to_owned())
            .map_err(|_| AccountError::Metadata { problem: "the callback is no URL" })?;
        let client = self.tokens.client(config)?;
        let request = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .set_pkce_verifier(verifier(secret))
            .set_redirect_uri(std::borrow::Cow::Owned(redirect))
            .add_extra_param("resource", self.tokens.resource.as_str());
        let http = ProviderHttp { network: config.network };
        let answer = request.request_async(&http).await;
        read(answer.map_err(|error| match of_request(error) {
            // A code that is not taken is no consent that ended.
            AccountError::Lapsed => AccountError::Exchange,
            other => other,
        })?)
    }

    /// The code of an answer that belongs to this consent.
    ///
    /// # Errors
    /// [`AccountError::State`], [`AccountError::MixUp`], [`AccountError::Refused`],
    /// [`AccountError::Answer`].
    pub fn code<'c>(
        &self,
        secret: &Secret,
        callback: &'c Callback,
    ) -> Result<&'c str, AccountError> {
        if !is_state(secret, callback.state.as_deref().unwrap_or_default()) {
            return Err(AccountError::State);
        }
        // SECURITY: before anything else of the answer is used (RFC 9207 §2.4).
        match (callback.iss.as_deref(), self.tokens.issuer.as_deref()) {
            (Some(given), Some(asked)) if given == asked => {}
            (None, _) if !self.sends_issuer => {}
            _ => return Err(AccountError::MixUp),
        }
        if let Some(error) = &callback.error {
            let plain = |b: u8| b.is_ascii_lowercase() || b == b'_';
            let is_plain = error.len() <= 64 && error.bytes().all(plain);
            let code = if is_plain { error.clone() } else { "unknown".to_owned() };
            return Err(AccountError::Refused { code });
        }
        let fits = |code: &&str| (1..=MAX_CODE_BYTES).contains(&code.len());
        callback.code.as_deref().filter(fits).ok_or(AccountError::Answer)
    }
}

/// SECURITY: what the authorization server said is not repeated anywhere: it
/// may hold what it was sent.
fn of_request(
    error: RequestTokenError<ProviderHttpError, oauth2::basic::BasicErrorResponse>,
) -> AccountError {
    match error {
        RequestTokenError::Request(error) => AccountError::Unreachable(error),
        RequestTokenError::ServerResponse(said)
            if *said.error() == BasicErrorResponseType::InvalidGrant =>
        {
            AccountError::Lapsed
        }
        RequestTokenError::ServerResponse(_) => AccountError::Exchange,
        _ => AccountError::Answer,
    }
}

fn read(answer: BasicTokenResponse) -> Result<Tokens, AccountError> {
    let fits = |token: &str| {
        (1..=MAX_TOKEN_BYTES).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic())
    };
    let access = Zeroizing::new(answer.access_token().secret().clone());
    let refresh = answer.refresh_token().map(|token| Zeroizing::new(token.secret().clone()));
    let is_bearer = *answer.token_type() == BasicTokenType::Bearer;
    if !is_bearer || !fits(&access) || refresh.as_ref().is_some_and(|token| !fits(token)) {
        return Err(AccountError::Answer);
    }
    Ok(Tokens { access, refresh, lasts: answer.expires_in() })
}

#[cfg(test)]
mod tests;
