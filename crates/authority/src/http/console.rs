//! The console over HTTP: login, consent, and a person's own pages.
//!
//! Handlers read a request, ask the service and fill a view; the rules are
//! elsewhere. A request that changes something must come from a page of ours
//! (`Origin`, `Sec-Fetch-Site`) and carry the session's CSRF token.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Router, middleware};
use bailiwick_core::ids::ServerName;
use bailiwick_core::json::Json;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::stop::StopTarget;
use bailiwick_store::VaultTaken;

use super::limits::{Rate, RateLimiter};
use crate::console::assets::Asset;
use crate::console::{Frame, Person, Section, Text, headers};
use crate::oauth::client::{ClientId, ClientMetadata, Source};
use crate::oauth::error::OAuthError;
use crate::people::accounts::{AccountConfig, AccountError, TokenSite, Tokens};
use crate::people::oidc::{ProviderConfig, Providers};
use crate::people::passkeys::{PasskeyError, Passkeys};
use crate::people::roles::{Deed, require};
use crate::people::sessions::{Cookie, Cookies, Secret, check_origin};
use crate::refusal::Refusal;
use crate::{Authority, SignedIn};

mod account;
mod accounts;
mod activity;
mod approvals;
mod catalogue;
mod confirm;
mod consent;
mod door;
mod failure;
mod failures;
mod figures;
mod form;
mod inbox;
mod ledger;
mod lineage;
mod overview;
mod pages;
mod peers;
mod people;
mod policy;
mod programs;
mod provider;
mod requests;
mod routes;
mod runs;
mod settings;
mod standings;
mod stops;
mod take_back;
mod views;
mod visit;
mod workflows;

use failure::Failure;
use form::Form;
use visit::{Asked, Visit};

pub use routes::{Route, routes};
pub use settings::Setting;

/// Bytes of a form or of a script's request at most.
const MAX_BODY: usize = 128 * 1024;

/// A future that is handed over a trait object.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where the metadata of clients comes from: the registry, and for clients
/// whose id is a URL the document there.
pub trait Clients: Send + Sync {
    /// The client's metadata; `None` when nobody knows the client.
    fn metadata<'a>(
        &'a self,
        id: &'a ClientId,
    ) -> Later<'a, Result<Option<ClientMetadata>, OAuthError>>;
}

/// The clients that the registry has, and no other.
#[derive(Clone, Debug)]
pub struct RecordedClients(pub Authority);

impl Clients for RecordedClients {
    fn metadata<'a>(
        &'a self,
        id: &'a ClientId,
    ) -> Later<'a, Result<Option<ClientMetadata>, OAuthError>> {
        let (authority, id) = (self.0.clone(), id.as_str().to_owned());
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || {
                authority.store().read(|view| view.client(&id))
            });
            let unavailable = || OAuthError::unavailable("state-unavailable");
            let found = read.await.map_err(|_| unavailable())?.map_err(|_| unavailable())?;
            let Some(client) = found else { return Ok(None) };
            let json = Json::parse(client.metadata.as_bytes(), &JsonLimits::DEFAULT);
            let json = json.map_err(|_| unavailable())?;
            let metadata = json.as_object().ok_or_else(unavailable)?;
            ClientMetadata::parse(metadata, Source::Operator).map(Some)
        })
    }
}

/// Where people's own accounts at tool servers are configured and kept. What a
/// credential looks like inside the vault is the composition root's business.
pub trait Accounts: Send + Sync {
    /// Whether accounts can be connected at this tool server.
    fn offers(&self, server: &ServerName) -> bool;

    /// How, as of now.
    ///
    /// # Errors
    /// [`AccountError::NotOffered`], [`AccountError::Config`].
    fn config(&self, server: &ServerName) -> Result<AccountConfig, AccountError>;

    /// Puts the tokens of this person's consent into the vault.
    ///
    /// # Errors
    /// [`Refusal`]: then nothing is kept.
    fn keep(
        &self,
        person: &SignedIn,
        server: &ServerName,
        site: &TokenSite,
        tokens: &Tokens,
    ) -> Result<(), Refusal>;

    /// Tells the authorization servers that consents which were taken out of the
    /// vault ended (RFC 7009); gives the tool servers where nobody could be told.
    /// It begins with this call, and goes on when what it gives is dropped. To be
    /// called inside a runtime.
    fn end(&self, taken: Vec<VaultTaken>) -> Later<'static, Vec<ServerName>>;
}

/// Of an installation where no accounts can be connected.
#[derive(Clone, Copy, Debug)]
pub struct NoAccounts;

impl Accounts for NoAccounts {
    fn offers(&self, _: &ServerName) -> bool {
        false
    }

    fn config(&self, _: &ServerName) -> Result<AccountConfig, AccountError> {
        Err(AccountError::NotOffered)
    }

    fn keep(&self, _: &SignedIn, _: &ServerName, _: &TokenSite, _: &Tokens) -> Result<(), Refusal> {
        Err(AccountError::NotOffered.into())
    }

    fn end(&self, taken: Vec<VaultTaken>) -> Later<'static, Vec<ServerName>> {
        Box::pin(async move { taken.into_iter().map(|taken| taken.row.place.server).collect() })
    }
}

/// The console of one authority; clones share everything.
#[derive(Clone)]
pub struct Console(Arc<Inner>);

struct Inner {
    authority: Authority,
    clients: Arc<dyn Clients>,
    providers: Providers,
    accounts: Arc<dyn Accounts>,
    passkeys: Result<Passkeys, PasskeyError>,
    cookies: Cookies,
    host: String,
    /// The configuration in force, for people to read.
    settings: Vec<Setting>,
    /// Logins that one address begins and ends: each keeps something.
    doors: RateLimiter<IpAddr>,
}

const LOGINS: Rate = Rate { burst: 600, per_minute: 600 };
const MAX_CALLERS: usize = 10_000;

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console").field("host", &self.0.host).finish_non_exhaustive()
    }
}

impl Console {
    /// The console of `authority`; `providers` are offered at login.
    #[must_use]
    pub fn new(
        authority: Authority,
        clients: Arc<dyn Clients>,
        providers: Vec<ProviderConfig>,
    ) -> Self {
        let installation = authority.installation();
        let issuer = &installation.issuer;
        let host = issuer.split_once("://").map_or(issuer.as_str(), |(_, host)| host).to_owned();
        let providers = Providers::new(issuer, providers);
        let (passkeys, cookies) = (Passkeys::of(issuer), Cookies::of(issuer));
        let doors = RateLimiter::new(LOGINS, MAX_CALLERS, authority.host().now());
        let accounts = Arc::new(NoAccounts);
        Self(Arc::new(Inner {
            authority,
            clients,
            providers,
            accounts,
            passkeys,
            cookies,
            host,
            settings: Vec::new(),
            doors,
        }))
    }

    /// The same, where people connect their own accounts at tool servers. To be
    /// called before it is cloned; afterwards it changes nothing.
    #[must_use]
    pub fn with_accounts(mut self, accounts: Arc<dyn Accounts>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.accounts = accounts;
        }
        self
    }

    /// The same, which shows this configuration on its page of settings. To be
    /// called before it is cloned; afterwards it changes nothing.
    #[must_use]
    pub fn with_settings(mut self, settings: Vec<Setting>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.settings = settings;
        }
        self
    }
}

/// The console's pages and what their forms and script call.
pub fn console_router(console: Console) -> Router {
    let doors =
        routes::doors().route_layer(middleware::from_fn_with_state(console.clone(), door::admit));
    Router::new()
        .merge(doors)
        .merge(routes::pages_and_forms())
        .fallback(nowhere)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(console)
}

/// A person with the secret of their session.
struct Me {
    person: SignedIn,
    secret: Secret,
}

impl Me {
    fn may(&self, deed: Deed) -> bool {
        require(&self.person.roles, deed).is_ok()
    }

    fn require(&self, deed: Deed) -> Result<(), Refusal> {
        Ok(require(&self.person.roles, deed)?)
    }
}

impl Inner {
    fn secret(&self, cookie: Cookie, headers: &HeaderMap) -> Option<Secret> {
        let values = headers.get_all(header::COOKIE).iter();
        self.cookies.find(cookie, values.filter_map(|value| value.to_str().ok()))
    }

    /// Who is signed in.
    fn me(&self, headers: &HeaderMap) -> Result<Option<Me>, Refusal> {
        let Some(secret) = self.secret(Cookie::Session, headers) else { return Ok(None) };
        Ok(self.authority.session(&secret)?.map(|person| Me { person, secret }))
    }

    fn frame(&self, me: Option<&Me>, here: Option<Section>) -> Frame {
        let person = me.map(|me| Person {
            name: Text::of(me.person.id.as_str()),
            roles: me.person.roles.clone(),
            csrf: me.secret.csrf_token(),
        });
        // What cannot be read is told by whoever needs it.
        let all = self.authority.store().read(|view| view.stopped(&[StopTarget::Everything]));
        let all_stopped = all.is_ok_and(|stop| stop.is_some());
        Frame { host: self.host.clone(), person, all_stopped, here }
    }

    fn passkeys(&self) -> Result<&Passkeys, Refusal> {
        self.passkeys.as_ref().map_err(|e| e.clone().into())
    }

    /// Whether a changing request comes from a page of ours.
    fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let text = |name: &HeaderName| headers.get(name).map(|v| v.to_str().unwrap_or("?"));
        let site = HeaderName::from_static("sec-fetch-site");
        let installation = self.authority.installation();
        let issuer = &installation.issuer;
        Ok(check_origin(issuer, text(&header::ORIGIN), text(&site))?)
    }
}

const SCRIPT_JSON: JsonLimits = JsonLimits { max_bytes: MAX_BODY, max_depth: 12, max_values: 500 };

/// A rendered page with its headers.
fn page(status: StatusCode, template: &impl askama::Template) -> Response {
    let Ok(html) = template.render() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    with_headers((status, kind, html).into_response(), &headers::PAGE)
}

/// A JSON answer to the page's script.
fn json(body: impl Into<Json>) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    with_headers((kind, body.into().canonical()).into_response(), &headers::PAGE)
}

/// To another page, by GET.
fn see(location: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(location) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let moved = (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
    with_headers(moved, &headers::PAGE)
}

/// The same answer, with a cookie.
fn with_cookie(mut response: Response, cookie: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

fn with_headers(mut response: Response, headers: &[(&'static str, &'static str)]) -> Response {
    for (name, value) in headers {
        let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static(value));
        response.headers_mut().insert(name, value);
    }
    response
}

/// A page for people who lost their way; programs hear the status only.
async fn nowhere(visit: Visit) -> Response {
    let accepts = visit.asked.headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    if !accepts.is_some_and(|accepts| accepts.contains("text/html")) {
        return StatusCode::NOT_FOUND.into_response();
    }
    visit.run(|_, _| Err(Failure::NotFound)).await
}

async fn asset(Path(name): Path<String>, visit: Visit) -> Response {
    let Some(asset) = Asset::named(&name) else {
        return visit.run(|_, _| Err(Failure::NotFound)).await;
    };
    let tag = asset.etag();
    let known = visit.asked.headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    let is_known = known.is_some_and(|known| known.split(',').any(|t| t.trim() == tag));
    let tagged = [(header::ETAG, tag), (header::CONTENT_TYPE, asset.media_type.to_owned())];
    let response = if is_known {
        (StatusCode::NOT_MODIFIED, tagged).into_response()
    } else {
        (tagged, asset.bytes).into_response()
    };
    with_headers(response, &headers::ASSET)
}
