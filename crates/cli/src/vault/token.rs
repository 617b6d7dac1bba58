//! Tokens that an authorization server gives out for a tool server.

use std::time::Duration;

use bailiwick_authority::http::provider::{Network, ProviderHttp, ProviderHttpError};
use bailiwick_gateway::ports::VaultFault;
use oauth2::basic::{BasicClient, BasicTokenType};
use oauth2::{ClientId, ClientSecret, RequestTokenError, Scope, TokenResponse as _, TokenUrl};
use zeroize::Zeroizing;

use super::source::fault;

/// What is asked for.
pub(super) struct Asked<'a> {
    pub(super) token_url: &'a str,
    pub(super) client_id: &'a str,
    pub(super) client_secret: &'a str,
    pub(super) scopes: &'a [String],
    pub(super) resource: Option<&'a str>,
    pub(super) inside: bool,
}

/// A token, and for how long it is good.
pub(super) struct Token {
    pub(super) access: Zeroizing<String>,
    pub(super) lasts: Option<Duration>,
}

/// Asks for a token with the client's own credentials (RFC 6749 §4.4), through
/// the client that connects to no address of another kind than the operator
/// allowed, and follows no redirect.
pub(super) async fn client_credentials(asked: &Asked<'_>) -> Result<Token, VaultFault> {
    let url = TokenUrl::new(asked.token_url.to_owned()).map_err(|_| fault("token-url"))?;
    let client = BasicClient::new(ClientId::new(asked.client_id.to_owned()))
        .set_client_secret(ClientSecret::new(asked.client_secret.to_owned()))
        .set_token_uri(url);
    let mut request = client.exchange_client_credentials();
    for scope in asked.scopes {
        request = request.add_scope(Scope::new(scope.clone()));
    }
    if let Some(resource) = asked.resource {
        request = request.add_extra_param("resource", resource);
    }
    let network = if asked.inside { Network::Inside } else { Network::Public };
    let http = ProviderHttp { network };
    // SECURITY: what the server answered is not repeated anywhere: it may hold
    // what it was sent.
    let token = request.request_async(&http).await.map_err(|error| match error {
        RequestTokenError::ServerResponse(_) => fault("token-refused"),
        RequestTokenError::Request(ProviderHttpError::Address) => fault("token-address"),
        RequestTokenError::Request(ProviderHttpError::Clear) => fault("token-url"),
        RequestTokenError::Request(_) => fault("token-unreachable"),
        _ => fault("token-malformed"),
    })?;
    if *token.token_type() != BasicTokenType::Bearer {
        return Err(fault("token-malformed"));
    }
    let access = Zeroizing::new(token.access_token().secret().clone());
    Ok(Token { access, lasts: token.expires_in() })
}
