//! The machine side over HTTP: metadata, registration, tokens, introspection,
//! revocation, keys and status lists.
//!
//! Handlers read a request, ask the service and write the answer; errors are
//! written in one place ([`answer::refused`]).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bailiwick_core::denial::Reason;
use bailiwick_core::dpop::{self, Moment, Nonces, Possession, Supplied};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;

use super::documents::DocumentClients;
use super::limits::{Rate, RateLimiter};
use crate::keyring::AnyKey;
use crate::oauth::assertion::Unverified;
use crate::oauth::client::ClientId;
use crate::oauth::error::{Code, OAuthError};
use crate::oauth::introspection::{Answer, Form};
use crate::oauth::metadata::{self, path};
use crate::oauth::parameters::{MAX_BYTES, Parameters};
use crate::oauth::revocation;
use crate::oauth::signed_grant::PrepareForm;
use crate::oauth::token::{Presented, TokenForm};
use crate::{Authority, PublishedKey, Statuses};

use uncounted::Uncounted;

mod answer;
mod register;
mod uncounted;

/// Callers that are remembered at once.
const MAX_CALLERS: usize = 10_000;

/// What an operator chooses.
#[derive(Clone, Debug)]
pub struct Options {
    /// Requests of one address.
    pub per_address: Rate,
    /// Requests of one client.
    pub per_client: Rate,
    /// Registrations of one address.
    pub registrations: Rate,
    /// Refusals to known clients that get an entry of their own.
    pub recorded: Rate,
    /// Whether DPoP proofs at the token endpoint must carry our nonce.
    pub require_nonce: bool,
    /// The resources that a client serves, which may introspect their tokens.
    pub serves: BTreeMap<String, Vec<String>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            per_address: Rate { burst: 600, per_minute: 6000 },
            per_client: Rate { burst: 600, per_minute: 6000 },
            registrations: Rate { burst: 10, per_minute: 10 },
            recorded: Rate { burst: 20, per_minute: 60 },
            require_nonce: false,
            serves: BTreeMap::new(),
        }
    }
}

/// The machine side of one authority; clones share everything.
#[derive(Clone)]
pub struct Machine(Arc<Inner>);

struct Inner {
    authority: Authority,
    issuer: String,
    documents: Arc<DocumentClients>,
    options: Options,
    addresses: RateLimiter<IpAddr>,
    clients: RateLimiter<String>,
    registrations: RateLimiter<IpAddr>,
    recorded: RateLimiter<String>,
    nonces: Supplied,
    statuses: Mutex<Statuses>,
    /// Refusals that no entry tells of yet.
    uncounted: Uncounted,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl Machine {
    /// The machine side of `authority`; `secret` are 32 random bytes of this
    /// process, from which nonces are made.
    #[must_use]
    pub fn new(
        authority: Authority,
        documents: Arc<DocumentClients>,
        options: Options,
        secret: [u8; 32],
    ) -> Self {
        let now = authority.host().now();
        Self(Arc::new(Inner {
            addresses: RateLimiter::new(options.per_address, MAX_CALLERS, now),
            clients: RateLimiter::new(options.per_client, MAX_CALLERS, now),
            registrations: RateLimiter::new(options.registrations, MAX_CALLERS, now),
            recorded: RateLimiter::new(options.recorded, MAX_CALLERS, now),
            nonces: Supplied::new(secret),
            statuses: Mutex::new(Statuses::default()),
            uncounted: Uncounted::default(),
            issuer: authority.installation().issuer.clone(),
            authority,
            documents,
            options,
        }))
    }
}

/// The endpoints of the metadata, but for `/authorize`, which is the console's.
pub fn machine_router(machine: Machine) -> Router {
    Router::new()
        .route(path::METADATA, get(server_metadata))
        .route(path::OPENID, get(server_metadata))
        .route(path::JWKS, get(keys))
        .route(path::STATUS_LISTS, get(status_lists))
        .route("/statuslists/{list}", get(status_list))
        .route(path::TOKEN, post(token))
        .route(path::PREPARE, post(prepare))
        .route(path::REGISTER, post(register::register))
        .route(path::INTROSPECT, post(introspect))
        .route(path::REVOKE, post(revoke))
        .layer(DefaultBodyLimit::max(MAX_BYTES))
        .with_state(machine)
}

impl Machine {
    /// An error as an answer. One that has no entry of its own, because nobody
    /// known asked or asked too often, is counted instead.
    fn refused(&self, error: &OAuthError) -> Response {
        // A nonce that is to be used first refuses nothing.
        let counts = !error.recorded && error.code != Code::UseDpopNonce && error.status() < 500;
        if counts && self.0.uncounted.add(self.0.now()) {
            let machine = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(uncounted::PAUSE).await;
                let told = tokio::task::spawn_blocking(move || machine.tell_uncounted()).await;
                if told.is_err() {
                    tracing::error!("a count of refusals was lost");
                }
            });
        }
        answer::refused(error)
    }

    /// Writes the count of refusals without an entry of their own, if there
    /// are some. It is written a while after the first of them by itself; at
    /// the end of the process somebody has to ask.
    pub fn tell_uncounted(&self) {
        let Some((count, since)) = self.0.uncounted.take() else { return };
        if let Err(e) = self.0.authority.refusals_counted(count, since) {
            tracing::error!(count, code = e.code(), "a count of refusals could not be recorded");
            self.0.uncounted.put_back(count, since);
        }
    }
}

impl Inner {
    fn now(&self) -> Timestamp {
        self.authority.host().now()
    }
}

/// Whom a request came from, as the connection says: a header could say
/// anything.
fn address(request: &Request) -> IpAddr {
    let info = request.extensions().get::<ConnectInfo<SocketAddr>>();
    info.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| address.ip())
}

async fn server_metadata(State(machine): State<Machine>) -> Response {
    answer::public(&metadata::authorization_server(&machine.0.issuer), "application/json")
}

/// The keys whose signatures others are to accept.
async fn keys(State(machine): State<Machine>) -> Response {
    let jwk = |published: PublishedKey| {
        let alg = match published.key {
            AnyKey::Ed25519(_) => "Ed25519",
            AnyKey::P256(_) => "ES256",
        };
        let kid = published.key.kid();
        Json::from(published.key.to_jwk().with("kid", kid).with("alg", alg).with("use", "sig"))
    };
    let keys: Vec<Json> = machine.0.authority.public_keys().into_iter().map(jwk).collect();
    let set = Object::new().with("keys", keys);
    answer::public(&set.into(), "application/jwk-set+json")
}

async fn status_lists(State(machine): State<Machine>) -> Response {
    let lists = blocking(move || {
        machine.0.authority.status_lists().map_err(|_| OAuthError::unavailable("store"))
    });
    match lists.await {
        Ok(lists) => {
            let lists: Vec<Json> = lists.into_iter().map(Json::from).collect();
            let body = Object::new().with("status_lists", lists);
            answer::public(&body.into(), "application/json")
        }
        Err(error) => answer::refused(&error),
    }
}

async fn status_list(State(machine): State<Machine>, Path(name): Path<String>) -> Response {
    // One name for a list: without zeros in front.
    let number = name.parse::<u32>().ok().filter(|number| number.to_string() == name);
    let Some(list) = number.and_then(|number| number.checked_sub(1)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let made = blocking(move || {
        let mut kept = machine.0.statuses.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let made = machine.0.authority.status_list(&mut kept, list);
        made.map_err(|_| OAuthError::unavailable("store"))
    });
    match made.await {
        Ok(Some(text)) => answer::status_list(text),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => answer::refused(&error),
    }
}

async fn token(State(machine): State<Machine>, request: Request) -> Response {
    let nonce = machine.0.options.require_nonce.then(|| machine.0.nonces.current(machine.0.now()));
    let answered = grant(&machine, request).await;
    let mut response = match answered {
        Ok(body) => answer::private(&body),
        Err(error) => machine.refused(&error),
    };
    // A new nonce may come with any answer (RFC 9449 §8.2).
    if let Some(nonce) = nonce {
        answer::with_nonce(&mut response, &nonce);
    }
    response
}

async fn grant(machine: &Machine, request: Request) -> Result<Json, OAuthError> {
    let cx = &machine.0;
    let address = address(&request);
    let (headers, parameters) = form(cx, request).await?;
    let presented = Presented::at_token_endpoint(&parameters)?;
    let client = caller(cx, address, &presented).await?;
    let form = TokenForm::read(&parameters, &cx.issuer)?;
    let proof = proof(cx, &headers)?;
    let recorded = cx.recorded.admit(client, cx.now()).is_ok();
    let authority = cx.authority.clone();
    let answered =
        blocking(move || authority.token(&presented, &form, proof.as_ref(), recorded)).await?;
    Ok(answered.to_json())
}

/// The grant that a principal is to sign, as the rules make it.
async fn prepare(State(machine): State<Machine>, request: Request) -> Response {
    let answered = async {
        let cx = &machine.0;
        let address = address(&request);
        let (_, parameters) = form(cx, request).await?;
        let presented = Presented::read(&parameters)?;
        let client = caller(cx, address, &presented).await?;
        let form = PrepareForm::read(&parameters)?;
        let recorded = cx.recorded.admit(client, cx.now()).is_ok();
        let authority = cx.authority.clone();
        blocking(move || authority.prepare_signed(&presented, &form, recorded)).await
    };
    match answered.await {
        Ok(prepared) => answer::private(&prepared.to_json()),
        Err(error) => machine.refused(&error),
    }
}

async fn introspect(State(machine): State<Machine>, request: Request) -> Response {
    let answered = async {
        let cx = &machine.0;
        let address = address(&request);
        let (headers, parameters) = form(cx, request).await?;
        let accept = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok());
        let wanted = Form::of_accept(&accept.collect::<Vec<_>>().join(","));
        let presented = Presented::read(&parameters)?;
        caller(cx, address, &presented).await?;
        let (token, _) = revocation::token(&parameters)?;
        let (authority, serves) = (cx.authority.clone(), cx.options.serves.clone());
        blocking(move || {
            let of = |client: &str| serves.get(client).cloned().unwrap_or_default();
            authority.introspect(&presented, &token, &of, wanted)
        })
        .await
    };
    match answered.await {
        Ok(Answer::Json(body)) => answer::private(&body),
        Ok(Answer::Signed(token)) => answer::introspection(token),
        Err(error) => machine.refused(&error),
    }
}

async fn revoke(State(machine): State<Machine>, request: Request) -> Response {
    let answered = async {
        let cx = &machine.0;
        let address = address(&request);
        let (_, parameters) = form(cx, request).await?;
        let presented = Presented::read(&parameters)?;
        caller(cx, address, &presented).await?;
        let (token, _) = revocation::token(&parameters)?;
        let authority = cx.authority.clone();
        blocking(move || authority.revoke_token(&presented, &token)).await
    };
    match answered.await {
        Ok(()) => answer::empty(),
        Err(error) => machine.refused(&error),
    }
}

/// Reads a form, if its address does not ask too often.
async fn form(cx: &Inner, request: Request) -> Result<(HeaderMap, Parameters), OAuthError> {
    cx.addresses.admit(address(&request), cx.now()).map_err(OAuthError::rate_limited)?;
    // RFC 6749 §3.2: parameters in the query would end in logs.
    if request.uri().query().is_some() {
        let text = "parameters belong in the body, not in the query";
        return Err(OAuthError::request("parameters-in-query", text));
    }
    let (parts, body) = request.into_parts();
    // Secrets of clients are not accepted in any way.
    if parts.headers.contains_key(header::AUTHORIZATION) {
        let text = "there are no client secrets here; use `private_key_jwt`";
        return Err(OAuthError::new(Code::InvalidClient, "client-secret", text));
    }
    answer::content_type(&parts.headers, "application/x-www-form-urlencoded")?;
    let body = answer::read(body, MAX_BYTES).await?;
    let text = std::str::from_utf8(&body)
        .map_err(|_| OAuthError::request("parameter-not-utf8", "the form is not UTF-8"))?;
    Ok((parts.headers, Parameters::parse(text)?))
}

/// The client that a request says it comes from, if it does not ask too often;
/// one whose id is a URL has its document looked at.
///
/// The name is only claimed. So it counts by address: nobody elsewhere makes
/// somebody wait by using their name. Gives both, for what else is bounded so.
async fn caller(cx: &Inner, address: IpAddr, presented: &Presented) -> Result<String, OAuthError> {
    let claimed = match &presented.assertion {
        Some(assertion) => Some(Unverified::parse(assertion)?.client().clone()),
        None => None,
    };
    let id: Option<ClientId> = presented.client.clone().or(claimed);
    let id = id.ok_or_else(|| {
        let text = "the request does not say which client sends it";
        OAuthError::new(Code::InvalidClient, "client-missing", text)
    })?;
    let name = format!("{address} {}", id.as_str());
    cx.clients.admit(name.clone(), cx.now()).map_err(OAuthError::rate_limited)?;
    if id.is_url() {
        cx.documents.refresh(&id).await?;
    }
    Ok(name)
}

/// The DPoP proof, if there is one; of two, neither counts (RFC 9449 §4.3).
fn proof(cx: &Inner, headers: &HeaderMap) -> Result<Option<Possession>, OAuthError> {
    let bad = |reason, text: &str| OAuthError::new(Code::InvalidDpopProof, reason, text);
    let mut values = headers.get_all("dpop").iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad("dpop-several", "there must be one `DPoP` header"));
    }
    let proof = value.to_str().map_err(|_| bad("dpop-malformed", "the proof is no text"))?;
    let now = cx.now();
    let accepted = cx.nonces.accepted(now);
    let nonces = if cx.options.require_nonce { Nonces::OneOf(&accepted) } else { Nonces::NotAsked };
    let uri = format!("{}{}", &cx.issuer, path::TOKEN);
    let request = dpop::Request { proof, method: "POST", uri: &uri };
    let window_seconds = cx.authority.installation().limits.pop_window;
    let moment = Moment { now, window_seconds, nonces };
    match dpop::verify_for_key(&request, &moment) {
        Ok(possession) => Ok(Some(possession)),
        Err(denial) if denial.reason == Reason::ProofNonce => {
            Err(OAuthError::use_nonce(cx.nonces.current(now)))
        }
        Err(denial) => {
            let text = format!("the DPoP proof does not hold: {denial}");
            Err(bad(denial.reason.code(), &text))
        }
    }
}

/// Runs what waits for the disk off the executor's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OAuthError> + Send + 'static,
) -> Result<T, OAuthError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| OAuthError::server("task-failed"))?
}
