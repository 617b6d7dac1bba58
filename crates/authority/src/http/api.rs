//! The JSON API under `/api/v1`: what the console offers, for programs of a
//! signed-in person.
//!
//! One table of routes ([`routes::ROUTES`]) makes the router and the OpenAPI
//! document, so that neither has what the other has not. Every call comes with
//! a login's secret and a DPoP proof by its key (RFC 9449); cookies are not
//! looked at, so a page of another site can do nothing here. Errors are problem
//! details (RFC 9457). A call that creates something may carry an
//! `Idempotency-Key`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{ConnectInfo, RawPathParams, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, any, get};
use bailiwick_core::dpop::{self, Nonces, Possession};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;

use super::console::{Accounts, NoAccounts};
use super::idempotency::{Admission, Idempotency};
use super::limits::{Rate, RateLimiter};
use super::problem::{MEDIA_TYPE, Problem};
use crate::people::oidc::ProviderConfig;
use crate::people::roles::{Deed, require};
use crate::people::sessions::Secret;
use crate::refusal::Refusal;
use crate::{Authority, Login};

mod agents;
mod approvals;
mod autonomy;
mod clients;
mod failures;
mod grants;
mod inbox;
mod login;
mod metrics;
mod openapi;
mod peers;
mod people;
mod requests;
mod routes;
mod run_checks;
mod runs;
mod standings;
mod stops;
#[cfg(test)]
mod tests;
mod views;

use routes::{Access, ROUTES, Route};
pub use run_checks::NamedChecks;
use run_checks::NoChecks;

/// Bytes of a body at most.
const MAX_BODY: usize = 64 * 1024;
const BODY: JsonLimits = JsonLimits { max_bytes: MAX_BODY, max_depth: 12, max_values: 1000 };
/// How long a caller may take to send a body.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Answers of creating calls that are remembered.
const MAX_ANSWERS: usize = 4096;
/// Callers that are remembered at once.
const MAX_CALLERS: usize = 10_000;

/// The API of one authority; clones share everything.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    authority: Authority,
    issuer: String,
    answers: Arc<Idempotency<Answer>>,
    addresses: RateLimiter<IpAddr>,
    people: RateLimiter<String>,
    providers: Vec<ProviderConfig>,
    accounts: Arc<dyn Accounts>,
    checks: Arc<dyn NamedChecks>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("issuer", &self.0.issuer).finish_non_exhaustive()
    }
}

impl Api {
    /// The API of `authority`; `providers` are those of its console, `rate` is
    /// that of one address, and of one person.
    #[must_use]
    pub fn new(authority: Authority, providers: Vec<ProviderConfig>, rate: Rate) -> Self {
        let now = authority.host().now();
        let issuer = authority.installation().issuer.clone();
        Self(Arc::new(Inner {
            issuer,
            authority,
            providers,
            answers: Idempotency::new(MAX_ANSWERS),
            addresses: RateLimiter::new(rate, MAX_CALLERS, now),
            people: RateLimiter::new(rate, MAX_CALLERS, now),
            accounts: Arc::new(NoAccounts),
            checks: Arc::new(NoChecks),
        }))
    }

    /// The same, where people have accounts at tool servers that end with them.
    /// To be called before it is cloned; afterwards it changes nothing.
    #[must_use]
    pub fn with_accounts(mut self, accounts: Arc<dyn Accounts>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.accounts = accounts;
        }
        self
    }

    /// The same, where named checks of runs are made. To be called before it is
    /// cloned; afterwards it changes nothing.
    #[must_use]
    pub fn with_checks(mut self, checks: Arc<dyn NamedChecks>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.checks = checks;
        }
        self
    }
}

/// `/api/v1/…` and `/openapi.json`.
pub fn api_router(api: Api) -> Router {
    let described = get(|| async {
        let kind = [(header::CONTENT_TYPE, "application/vnd.oai.openapi+json;version=3.1")];
        secured((kind, openapi::document().canonical()).into_response())
    });
    let elsewhere = ["/api/v1", "/api/v1/", "/api/v1/{*rest}"].into_iter();
    let router = elsewhere.fold(Router::new(), |router, path| router.route(path, any(nowhere)));
    let mut paths: BTreeMap<&str, Vec<&'static Route>> = BTreeMap::new();
    for route in ROUTES {
        paths.entry(route.path).or_default().push(route);
    }
    paths.into_iter().fold(router.route("/openapi.json", described), |router, (path, routes)| {
        let methods: Vec<&str> =
            routes.iter().map(|route| if route.is_read() { "GET, HEAD" } else { "POST" }).collect();
        let allow = methods.join(", ");
        let served = routes
            .iter()
            .fold(MethodRouter::new(), |methods, route| served(methods, api.clone(), route));
        router.route(path, served.fallback(move || async move { other_method(&allow) }))
    })
}

fn served(methods: MethodRouter, api: Api, route: &'static Route) -> MethodRouter {
    let filter = if route.is_read() { MethodFilter::GET } else { MethodFilter::POST };
    methods.on(
        filter,
        move |path: Result<RawPathParams, RawPathParamsRejection>, request: Request| async move {
            let read = |path: RawPathParams| {
                path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
            };
            let answered = match path {
                Ok(path) => answer(&api, route, read(path), request).await,
                Err(_) => Err(malformed("the path is not UTF-8")),
            };
            answered.map_or_else(|problem| refused(&problem), Answer::response)
        },
    )
}

/// The description says what there is, so a stranger may learn what is not.
async fn nowhere() -> Response {
    let (detail, remedy) = ("the API has no such path", "see `/openapi.json` for what it has");
    refused(&Problem::new(404, "not-found", detail, remedy))
}

/// RFC 9110 §15.5.6: with the methods that there are.
fn other_method(allow: &str) -> Response {
    let (detail, remedy) = (format!("this path takes {allow}"), "call it with one of these");
    let mut response = refused(&Problem::new(405, "method-not-allowed", detail, remedy));
    if let Ok(allow) = HeaderValue::from_str(allow) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// What a handler is asked.
struct Call<'a> {
    authority: &'a Authority,
    providers: &'a [ProviderConfig],
    accounts: &'a dyn Accounts,
    checks: &'a dyn NamedChecks,
    path: Vec<(String, String)>,
    query: Vec<(String, String)>,
    body: Object,
    /// A verified proof, also where nobody is signed in yet.
    proof: Possession,
    secret: Option<Secret>,
}

/// What is answered.
#[derive(Clone, Debug)]
struct Answer {
    status: StatusCode,
    body: Option<Json>,
}

impl Answer {
    fn ok(body: impl Into<Json>) -> Self {
        Self { status: StatusCode::OK, body: Some(body.into()) }
    }

    fn created(body: impl Into<Json>) -> Self {
        Self { status: StatusCode::CREATED, body: Some(body.into()) }
    }

    const fn done() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: None }
    }

    fn response(self) -> Response {
        let kind = [(header::CONTENT_TYPE, "application/json")];
        secured(match self.body {
            Some(body) => (self.status, kind, body.canonical()).into_response(),
            None => self.status.into_response(),
        })
    }
}

/// A person's own: nothing keeps it, nothing renders it.
fn secured(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The one place where a problem becomes an answer.
fn refused(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    tracing::info!(code = problem.code, status = problem.status, "the API refused");
    let kind = [(header::CONTENT_TYPE, MEDIA_TYPE)];
    let mut response = (status, kind, problem.to_json().canonical()).into_response();
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        let challenge = "DPoP error=\"invalid_token\", algs=\"ES256 Ed25519 EdDSA\"";
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if let Some(seconds) = problem.retry_after_seconds {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    secured(response)
}

/// Whoever is not authenticated learns only that.
fn stranger() -> Problem {
    let detail = "the call is not authenticated";
    let remedy = "sign in with `bailiwick login`, and prove the key that you signed in with";
    Problem::new(401, "not-authenticated", detail, remedy)
}

fn malformed(detail: impl Into<String>) -> Problem {
    let remedy = "send what `/openapi.json` describes";
    Problem::new(400, "request-malformed", detail, remedy)
}

fn too_often(seconds: u32) -> Problem {
    let problem = Problem::new(429, "rate-limited", "too many calls", "wait, then go on slower");
    Problem { retry_after_seconds: Some(seconds), ..problem }
}

fn unavailable() -> Problem {
    Problem::new(
        500,
        "task-failed",
        "the authority could not do it",
        "try again; tell the operator",
    )
}

async fn answer(
    api: &Api,
    route: &'static Route,
    path: Vec<(String, String)>,
    request: Request,
) -> Result<Answer, Problem> {
    let cx = &api.0;
    let now = cx.authority.host().now();
    let connected = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address =
        connected.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| address.ip());
    cx.addresses.admit(address, now).map_err(too_often)?;
    let (parts, body) = request.into_parts();
    let proof = proof_of(&parts.headers)?;
    let token = token_of(&parts.headers);
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    let query = url::form_urlencoded::parse(query).into_owned().collect();
    let sent = if route.is_read() { Vec::new() } else { read(&parts.headers, body).await? };
    let key = idempotency_key(route, &parts.headers)?;
    let uri = format!("{}{}", cx.issuer, parts.uri.path());
    let (api, method) = (api.clone(), parts.method);
    let work = move || {
        let asked = Asked { route, method, uri, path, query, sent, proof, token, key };
        asked.answer(&api.0)
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| unavailable())?
}

/// One `DPoP` header, as text.
fn proof_of(headers: &HeaderMap) -> Result<String, Problem> {
    let mut values = headers.get_all("dpop").iter();
    match (values.next().map(|v| v.to_str()), values.next()) {
        (Some(Ok(proof)), None) => Ok(proof.to_owned()),
        _ => Err(stranger()),
    }
}

fn token_of(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("dpop").then(|| token.trim().to_owned())
}

fn idempotency_key(route: &Route, headers: &HeaderMap) -> Result<Option<String>, Problem> {
    const KEY: HeaderName = HeaderName::from_static("idempotency-key");
    let mut values = headers.get_all(KEY).iter();
    let Some(value) = values.next().filter(|_| route.creates) else { return Ok(None) };
    match (value.to_str(), values.next()) {
        (Ok(key), None) => Ok(Some(key.to_owned())),
        _ => Err(Problem::from(&super::idempotency::IdempotencyError::Malformed)),
    }
}

async fn read(headers: &HeaderMap, body: axum::body::Body) -> Result<Vec<u8>, Problem> {
    let broken = |_| malformed("the body did not arrive whole, or is too large");
    let late = |_| malformed("the body took too long");
    let work = axum::body::to_bytes(body, MAX_BODY);
    let bytes = tokio::time::timeout(BODY_TIME, work).await.map_err(late)?.map_err(broken)?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let kind = kind.map(|k| k.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    if !bytes.is_empty() && kind.as_deref() != Some("application/json") {
        let (detail, remedy) = ("the body must be `application/json`", "say so in `Content-Type`");
        return Err(Problem::new(415, "content-type", detail, remedy));
    }
    Ok(bytes.to_vec())
}

/// A call as it came, read but not believed.
struct Asked {
    route: &'static Route,
    method: Method,
    uri: String,
    path: Vec<(String, String)>,
    query: Vec<(String, String)>,
    sent: Vec<u8>,
    proof: String,
    token: Option<String>,
    key: Option<String>,
}

impl Asked {
    fn answer(self, cx: &Inner) -> Result<Answer, Problem> {
        let (login, proof) = self.caller(cx)?;
        let body = self.body()?;
        let (authority, caller) = match &login {
            Some((_, login)) => {
                let person = &login.person;
                let name = person.principal.alias.to_string();
                cx.people.admit(name.clone(), cx.authority.host().now()).map_err(too_often)?;
                if let Access::Deed(deed) = self.route.access {
                    require(&person.roles, deed).map_err(|e| Problem::from(&Refusal::from(e)))?;
                }
                if self.route.fresh {
                    let fresh = person.session.check_fresh(cx.authority.host().now());
                    fresh.map_err(|e| Problem::from(&Refusal::from(e)))?;
                }
                (cx.authority.by(person), name)
            }
            None => (cx.authority.clone(), String::new()),
        };
        // What the key stands for is the whole request.
        let request = [self.route.id.as_bytes(), self.uri.as_bytes(), &self.sent].join(&b'\n');
        let place = match &self.key {
            None => None,
            Some(key) => {
                let now = cx.authority.host().now();
                match cx.answers.begin(&caller, key, &request, now) {
                    Ok(Admission::Again(answer)) => return Ok(answer),
                    Ok(Admission::First(place)) => Some(place),
                    Err(error) => return Err(Problem::from(&error)),
                }
            }
        };
        let (secret, login) =
            login.map_or((None, None), |(secret, login)| (Some(secret), Some(login)));
        let call = Call {
            authority: &authority,
            providers: &cx.providers,
            accounts: &*cx.accounts,
            checks: &*cx.checks,
            path: self.path,
            query: self.query,
            body,
            proof,
            secret,
        };
        let answer = (self.route.run)(&call, login.as_ref())?;
        if let Some(place) = place {
            place.answer(answer.clone());
        }
        Ok(answer)
    }

    /// Who calls. Where the route is for everybody, only the proof must hold.
    fn caller(&self, cx: &Inner) -> Result<(Option<(Secret, Login)>, Possession), Problem> {
        let window_seconds = cx.authority.installation().limits.pop_window;
        let now = cx.authority.host().now();
        let moment = dpop::Moment { now, window_seconds, nonces: Nonces::NotAsked };
        let request =
            dpop::Request { proof: &self.proof, method: self.method.as_str(), uri: &self.uri };
        let (login, proof) = match self.route.access {
            Access::Anyone => {
                (None, dpop::verify_for_key(&request, &moment).map_err(|_| stranger())?)
            }
            Access::SignedIn | Access::Deed(_) => {
                let text = self.token.as_deref().ok_or_else(stranger)?;
                let secret = Secret::parse(text).ok_or_else(stranger)?;
                let login = cx.authority.login(&secret).map_err(|e| Problem::from(&e))?;
                let login = login.ok_or_else(stranger)?;
                let proof = dpop::verify_bound(&request, &login.key, text, &moment);
                (Some((secret, login)), proof.map_err(|_| stranger())?)
            }
        };
        // A read that comes again changes nothing. Where nobody is signed in, what is
        // redeemed is good for once, and strangers make no rows.
        let is_new = self.route.is_read()
            || login.is_none()
            || cx.authority.login_proof(&proof, window_seconds).map_err(|e| Problem::from(&e))?;
        if is_new { Ok((login, proof)) } else { Err(stranger()) }
    }

    fn body(&self) -> Result<Object, Problem> {
        let schema = self.route.body;
        if self.sent.is_empty() {
            return if schema.is_none() {
                Ok(Object::new())
            } else {
                Err(malformed("a body is missing"))
            };
        }
        let json = Json::parse(&self.sent, &BODY)
            .map_err(|e| malformed(format!("the body is not strict JSON: {e}")))?;
        let Json::Object(object) = json else { return Err(malformed("the body is no object")) };
        let known = schema.map(openapi::members).unwrap_or_default();
        if let Some((name, _)) = object.iter().find(|(name, _)| !known.contains(name)) {
            return Err(malformed(format!("the member `{}` is not known", name.escape_debug())));
        }
        Ok(object)
    }
}

impl Call<'_> {
    /// A path parameter.
    fn path(&self, name: &str) -> &str {
        self.path.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// A query parameter that is there once.
    fn query(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.query.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
        match (values.next(), values.next()) {
            (found, None) => Ok(found),
            _ => Err(malformed(format!("`{name}` is there twice"))),
        }
    }

    /// A member of the body that is a text.
    fn optional(&self, name: &str) -> Result<Option<&str>, Problem> {
        match self.body.member(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(_) => Err(malformed(format!("`{name}` is no text"))),
        }
    }

    fn required(&self, name: &str) -> Result<&str, Problem> {
        self.optional(name)?.ok_or_else(|| malformed(format!("`{name}` is missing")))
    }

    /// Reads an id; one that is no id names nothing.
    fn read<T, E: std::fmt::Display>(
        text: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, Problem> {
        read(text).map_err(|e| malformed(e.to_string()))
    }
}

/// The person of a route that is for whoever is signed in.
fn me(login: Option<&Login>) -> Result<&Login, Problem> {
    login.ok_or_else(stranger)
}

fn may(login: &Login, deed: Deed) -> bool {
    require(&login.person.roles, deed).is_ok()
}
