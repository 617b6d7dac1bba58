//! The authorization request (RFC 6749 §4.1.1 as OAuth 2.1 tightened it): what
//! a client asks a person for, through the browser.
//!
//! It is read in two steps, because what may be answered where depends on the
//! client: [`Opening`] says whose metadata is needed, and
//! [`AuthorizationRequest::parse`] judges the rest against it. An error about
//! client or redirect URI is shown to the person; any other goes back to the
//! client by redirect.

use bailiwick_core::crypto::Thumbprint;
use bailiwick_core::ids::ServerName;
use bailiwick_core::json::{Json, Object};

use super::client::{ClientId, ClientMetadata, GrantType};
use super::details::{AuthorizationDetails, DelegationDetails, parse_scope};
use super::error::{Code, OAuthError};
use super::parameters::Parameters;
use super::pkce::Challenge;
use super::resource::Resource;

mod stored;

const MAX_STATE_BYTES: usize = 2048;

/// Which client asks, and where it wants the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The client, as it says.
    pub client: ClientId,
    /// The redirect URI, as it says.
    pub redirect_uri: Option<String>,
}

/// What `prompt` asks for (OpenID Connect Core §3.1.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Ask the person nothing.
    pub none: bool,
    /// Have the person log in again.
    pub login: bool,
    /// Ask for consent again.
    pub consent: bool,
    /// Let the person choose who to be.
    pub select_account: bool,
}

/// A well-formed request of a known client.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthorizationRequest {
    /// The client.
    pub client: ClientId,
    /// Where the browser goes with the answer.
    pub redirect_uri: String,
    /// The client's own value, which goes back unchanged.
    pub state: Option<String>,
    /// What the code is bound to.
    pub challenge: Challenge,
    /// Where the token is to be used.
    pub resource: Option<Resource>,
    /// Shorthands asked for, from `scope` or from the details; may be empty.
    pub scope: Vec<String>,
    /// The delegation asked for; its `scope` is the one above.
    pub delegation: DelegationDetails,
    /// The key that the token is to be bound to (RFC 9449 §10).
    pub dpop_jkt: Option<Thumbprint>,
    /// What to ask the person.
    pub prompt: Prompt,
    /// How old the login may be, in seconds.
    pub max_age_seconds: Option<i64>,
}

/// What a request is judged against.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The installation's issuer.
    pub issuer: &'a str,
    /// The tool servers behind the gateway.
    pub servers: &'a [ServerName],
}

/// Why a request goes no further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// To be shown to the person: the redirect URI is not known to be the
    /// client's (RFC 6749 §4.1.2.1).
    #[error(transparent)]
    Shown(OAuthError),
    /// To be sent to the client by redirect.
    #[error("{error}")]
    Redirected {
        /// What is wrong.
        error: OAuthError,
        /// The client's redirect URI.
        redirect_uri: String,
        /// The client's state.
        state: Option<String>,
    },
}

impl RequestError {
    /// What is wrong.
    #[must_use]
    pub fn error(&self) -> &OAuthError {
        match self {
            Self::Shown(error) | Self::Redirected { error, .. } => error,
        }
    }

    /// Where the browser goes, if it may.
    #[must_use]
    pub fn location(&self, issuer: &str) -> Option<String> {
        match self {
            Self::Shown(_) => None,
            Self::Redirected { error, redirect_uri, state } => {
                Some(error.location(redirect_uri, state.as_deref(), issuer))
            }
        }
    }
}

impl Opening {
    /// Reads client and redirect URI.
    ///
    /// # Errors
    /// To be shown to the person, never redirected.
    pub fn read(parameters: &Parameters) -> Result<Self, OAuthError> {
        let client = ClientId::parse(parameters.one("client_id")?.unwrap_or_default())?;
        let redirect_uri = parameters.one("redirect_uri")?.map(str::to_owned);
        Ok(Self { client, redirect_uri })
    }
}

impl AuthorizationRequest {
    /// Reads the request of the client that `opening` names, whose metadata
    /// `client` is.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn parse(
        parameters: &Parameters,
        opening: &Opening,
        client: &ClientMetadata,
        context: &Context<'_>,
    ) -> Result<Self, RequestError> {
        let redirect_uri =
            client.redirect_for(opening.redirect_uri.as_deref()).map_err(RequestError::Shown)?;
        // From here on the answer may go to the client; with its state, if
        // that is one.
        let state = parameters.one("state").ok().flatten().filter(|s| is_state(s));
        Self::read(parameters, opening, client, context, &redirect_uri, state).map_err(|error| {
            RequestError::Redirected { error, redirect_uri, state: state.map(str::to_owned) }
        })
    }

    fn read(
        parameters: &Parameters,
        opening: &Opening,
        client: &ClientMetadata,
        context: &Context<'_>,
        redirect_uri: &str,
        state: Option<&str>,
    ) -> Result<Self, OAuthError> {
        parameters.once_each()?;
        if parameters.first("state") != state {
            let text = "`state` is too long or holds characters that it may not";
            return Err(OAuthError::request("state-malformed", text));
        }
        refuse_request_objects(parameters)?;
        match parameters.required("response_type")? {
            "code" => {}
            _ => {
                let text = "only `response_type=code` is offered";
                return Err(OAuthError::new(Code::UnsupportedResponseType, "response-type", text));
            }
        }
        if !matches!(parameters.first("response_mode"), None | Some("query")) {
            let text = "only `response_mode=query` is offered";
            return Err(OAuthError::request("response-mode", text));
        }
        client.permits(GrantType::AuthorizationCode)?;
        let challenge = Challenge::parse(
            parameters.first("code_challenge"),
            parameters.first("code_challenge_method"),
        )?;
        let mut delegation = delegation(parameters)?;
        let scope = scope(parameters, &delegation, client)?;
        delegation.scope.clone_from(&scope);
        Ok(Self {
            client: opening.client.clone(),
            redirect_uri: redirect_uri.to_owned(),
            state: state.map(str::to_owned),
            challenge,
            resource: resource(parameters, context)?,
            scope,
            delegation,
            dpop_jkt: dpop_jkt(parameters)?,
            prompt: Prompt::read(parameters)?,
            max_age_seconds: max_age(parameters)?,
        })
    }

    /// Where the browser goes with `code`.
    #[must_use]
    pub fn code_location(&self, code: &str, issuer: &str) -> String {
        super::error::code_location(&self.redirect_uri, code, self.state.as_deref(), issuer)
    }

    /// Where the browser goes with `error`.
    #[must_use]
    pub fn error_location(&self, error: &OAuthError, issuer: &str) -> String {
        error.location(&self.redirect_uri, self.state.as_deref(), issuer)
    }
}

/// RFC 6749 §A.5, bounded.
fn is_state(text: &str) -> bool {
    text.len() <= MAX_STATE_BYTES && text.bytes().all(|b| (b' '..=b'~').contains(&b))
}

/// A request object would say something else than the parameters beside it
/// (RFC 9101 §6.3).
fn refuse_request_objects(parameters: &Parameters) -> Result<(), OAuthError> {
    let refused =
        [("request", Code::RequestNotSupported), ("request_uri", Code::RequestUriNotSupported)];
    match refused.into_iter().find(|(name, _)| parameters.first(name).is_some()) {
        None => Ok(()),
        Some((name, code)) => {
            let text = format!("the parameter `{name}` is not supported");
            Err(OAuthError::new(code, "request-object", text))
        }
    }
}

fn delegation(parameters: &Parameters) -> Result<DelegationDetails, OAuthError> {
    let Some(text) = parameters.first("authorization_details") else {
        return Ok(DelegationDetails::default());
    };
    let details = AuthorizationDetails::parse(text)?;
    if details.narrowing.is_some() {
        // A person is asked in the words of a workflow.
        let text = "`attenuating_agent_token` details narrow a token exchange only";
        let code = Code::InvalidAuthorizationDetails;
        return Err(OAuthError::new(code, "details-not-here", text));
    }
    Ok(details.delegation.unwrap_or_default())
}

/// The shorthands: those of `scope`, of the details, or of both when they are
/// the same, so that nobody has to guess which of two requests is meant.
fn scope(
    parameters: &Parameters,
    delegation: &DelegationDetails,
    client: &ClientMetadata,
) -> Result<Vec<String>, OAuthError> {
    let bad = |reason, text: &str| Err(OAuthError::new(Code::InvalidScope, reason, text));
    let plain = parse_scope(parameters.first("scope").unwrap_or_default())?;
    let detailed = delegation.scope.clone();
    let same = plain.len() == detailed.len() && plain.iter().all(|s| detailed.contains(s));
    let scope = match (plain.is_empty(), detailed.is_empty()) {
        (_, true) => plain,
        (true, false) => detailed,
        (false, false) if same => detailed,
        _ => {
            return bad(
                "scope-twice",
                "`scope` and `authorization_details` ask for different things",
            );
        }
    };
    let beyond = |s: &&String| !client.scope.is_empty() && !client.scope.contains(s);
    if let Some(shorthand) = scope.iter().find(beyond) {
        let text = format!("the client is not registered for `{shorthand}`");
        return bad("scope-not-registered", &text);
    }
    Ok(scope)
}

fn resource(
    parameters: &Parameters,
    context: &Context<'_>,
) -> Result<Option<Resource>, OAuthError> {
    let resource = Resource::one_of(context.issuer, parameters)?;
    let server = resource.as_ref().and_then(Resource::server);
    if server.is_some_and(|server| !context.servers.contains(server)) {
        let text = "`resource` names a tool server that is not there";
        return Err(OAuthError::new(Code::InvalidTarget, "resource-unknown", text));
    }
    Ok(resource)
}

fn dpop_jkt(parameters: &Parameters) -> Result<Option<Thumbprint>, OAuthError> {
    let Some(text) = parameters.first("dpop_jkt") else { return Ok(None) };
    let thumbprint = Thumbprint::from_text(text).ok_or_else(|| {
        OAuthError::request("dpop-jkt-malformed", "`dpop_jkt` is no SHA-256 thumbprint")
    })?;
    Ok(Some(thumbprint))
}

impl Prompt {
    fn read(parameters: &Parameters) -> Result<Self, OAuthError> {
        let mut prompt = Self::default();
        for word in parameters.first("prompt").unwrap_or_default().split_ascii_whitespace() {
            match word {
                "none" => prompt.none = true,
                "login" => prompt.login = true,
                "consent" => prompt.consent = true,
                "select_account" => prompt.select_account = true,
                _ => return Err(OAuthError::request("prompt", "`prompt` holds an unknown word")),
            }
        }
        if prompt.none && (prompt.login || prompt.consent || prompt.select_account) {
            return Err(OAuthError::request("prompt", "`prompt=none` must stand alone"));
        }
        Ok(prompt)
    }
}

fn max_age(parameters: &Parameters) -> Result<Option<i64>, OAuthError> {
    let Some(text) = parameters.first("max_age") else { return Ok(None) };
    let digits = text.len() <= 10 && text.bytes().all(|b| b.is_ascii_digit());
    let seconds = text.parse().ok().filter(|_| digits);
    let bad = || OAuthError::request("max-age", "`max_age` must be a number of seconds");
    seconds.ok_or_else(bad).map(Some)
}

#[cfg(test)]
mod tests;
