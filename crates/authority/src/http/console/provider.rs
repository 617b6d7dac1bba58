//! Logging in at an identity provider: to be signed in, to sign a grant, or to
//! be known by one more login.
//!
//! A login is begun by following a link, not by a form: the policy of our pages
//! lets forms lead to ourselves only. It changes nothing but the browser's own
//! cookie.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query};
use axum::http::HeaderMap;
use axum::response::Response;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::Alias;
use serde::Deserialize;

use super::consent::secret as request_secret;
use super::{Asked, Failure, Inner, Me, Visit, see, with_cookie};
use crate::Then;
use crate::console::{Provider, Text};
use crate::host::Moment;
use crate::oauth::parameters::Parameters;
use crate::people::oidc::{Begun, Callback, LoggedIn, OidcError, ProviderConfig, Purpose};
use crate::people::sessions::{Cookie, Secret, SessionError, local_path};
use crate::refusal::Refusal;
use crate::rules::logins;

#[derive(Default, Deserialize)]
pub(super) struct BeginQuery {
    #[serde(default)]
    next: String,
}

/// The providers as the login page offers them.
pub(super) fn offered(cx: &Inner, next: &str) -> Vec<Provider> {
    let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    let button = |config: &ProviderConfig| Provider {
        name: Text::of(&config.label),
        path: format!("/login/provider/{}?next={next}", config.name),
    };
    cx.providers.configs().map(button).collect()
}

/// The providers at which this person could sign the grant of a page.
pub(super) fn signing(cx: &Inner, me: &Me, page: &str) -> Result<Vec<Provider>, Failure> {
    let known = cx.authority.logins(&me.person.principal.alias)?;
    let active = |issuer: &str| {
        known
            .iter()
            .any(|own| own.status == bailiwick_store::Status::Active && own.login.issuer == issuer)
    };
    let theirs = |c: &&ProviderConfig| active(&c.issuer) && c.speaks_for(&me.person.id);
    let button = |config: &ProviderConfig| Provider {
        name: Text::of(&config.label),
        path: format!("{page}/provider/{}", config.name),
    };
    Ok(cx.providers.configs().filter(theirs).map(button).collect())
}

/// Begins a login at the provider of this name.
pub(super) async fn begin(
    Path(name): Path<String>,
    query: Result<Query<BeginQuery>, QueryRejection>,
    visit: Visit,
) -> Response {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    let opened = visit.open(move |cx, asked| {
        check_site(&asked.headers)?;
        let config = cx.providers.named(&name).ok_or(Failure::NotFound)?;
        // Whoever is signed in already comes to prove it again. And whose login
        // led to no session may want another account than the one that the
        // provider remembers.
        let tried = cx.secret(Cookie::Ceremony, &asked.headers).is_some();
        let again = tried || cx.me(&asked.headers)?.is_some();
        let purpose = if again { Purpose::Again } else { Purpose::SignIn };
        let next = local_path(&query.next).unwrap_or("/").to_owned();
        Ok((config.issuer.clone(), purpose, Then::Page(next)))
    });
    let opened = opened.await;
    visit.leave(opened).await
}

/// The providers at which this person could add a login of theirs.
pub(super) fn linking(cx: &Inner, me: &Me) -> Vec<Provider> {
    let is_fresh = me.person.session.check_fresh(cx.authority.host().now()).is_ok();
    let button = |config: &ProviderConfig| Provider {
        name: Text::of(&config.label),
        path: match is_fresh {
            true => format!("/account/logins/{}", config.name),
            // The provider's answer comes from another site, and may begin nothing.
            false => "/login?next=/account".to_owned(),
        },
    };
    cx.providers.configs().filter(|c| c.speaks_for(&me.person.id)).map(button).collect()
}

/// Begins the login that becomes one more of who is signed in.
pub(super) async fn begin_linking(Path(name): Path<String>, visit: Visit) -> Response {
    let opened = visit.open(move |cx, asked| {
        check_site(&asked.headers)?;
        let me = cx.me(&asked.headers)?.ok_or(Failure::NotSignedIn)?;
        // Whoever sits down at an open session must not add a way in of theirs.
        me.person.session.check_fresh(cx.authority.host().now()).map_err(Refusal::from)?;
        let config = cx.providers.named(&name).ok_or(Failure::NotFound)?;
        logins::check_namespace(config, Some(&me.person.id)).map_err(Refusal::from)?;
        let then = Then::Link { person: me.person.principal.alias };
        Ok((config.issuer.clone(), Purpose::Again, then))
    });
    let opened = opened.await;
    visit.leave(opened).await
}

/// Begins the login that signs the grant of a consent page.
pub(super) async fn begin_signing(
    Path((text, name)): Path<(String, String)>,
    visit: Visit,
) -> Response {
    let opened = visit.open(move |cx, asked| {
        check_site(&asked.headers)?;
        let me = cx.me(&asked.headers)?.ok_or(Failure::NotSignedIn)?;
        let secret = request_secret(&text)?;
        let asking = cx.authority.consent(&secret, &me.person)?;
        let gone = Refusal::TicketGone { what: "request" };
        let digest = asking.prepared.ok_or(gone)?.statement.digest();
        let config = cx.providers.named(&name).ok_or(Failure::NotFound)?;
        let path = format!("/consent/{text}/provider/{name}");
        if !signing(cx, &me, &format!("/consent/{text}"))?.iter().any(|p| p.path == path) {
            return Err(Refusal::from(OidcError::NotTheirs).into());
        }
        let person = me.person.principal.alias;
        let then = Then::Sign { request: secret.hash(), person };
        Ok((config.issuer.clone(), Purpose::SignGrant { digest }, then))
    });
    let opened = opened.await;
    visit.leave(opened).await
}

/// The provider sends the browser back.
pub(super) async fn callback(mut visit: Visit) -> Response {
    let answer = match answer(visit.query()) {
        Ok(answer) => answer,
        Err(error) => return visit.fail(Refusal::from(error).into()).await,
    };
    // The answer is used up: there is nothing to come back to.
    visit.asked.path = "/".to_owned();
    let state = answer.state.clone().unwrap_or_default();
    let taken = visit.open(move |cx, asked| {
        let secret = cx.secret(Cookie::Ceremony, &asked.headers);
        let secret = secret.ok_or(Refusal::from(OidcError::State))?;
        // Another site can send the browser here; it cannot end a login with it.
        if !Begun::is_state(&secret, &state) {
            return Err(Refusal::from(OidcError::State).into());
        }
        let (begun, then) = cx.authority.provider_taken(&secret)?;
        Ok((secret, begun, then))
    });
    let (secret, begun, then) = match taken.await {
        Ok(taken) => taken,
        Err(failure) => return visit.fail(failure).await,
    };
    let console = visit.console.clone();
    let host = console.0.authority.host();
    let finished = console.0.providers.finish(&begun, &secret, &answer, host).await;
    let response = visit
        .run(move |cx, asked| match (finished, then) {
            (Ok(person), Then::Page(next)) => sign_in(cx, asked, &begun, &person, &next),
            (Ok(person), Then::Sign { request, .. }) => sign(cx, asked, &begun, &request, &person),
            (Ok(person), Then::Link { person: of }) => link(cx, asked, &begun, &of, &person),
            (Err(error), Then::Sign { person, .. } | Then::Link { person }) => {
                cx.authority.login_refused(&person, &error)?;
                Err(Refusal::from(error).into())
            }
            (Err(error), Then::Page(_)) => Err(Refusal::from(error).into()),
        })
        .await;
    match response.status().is_redirection() {
        true => with_cookie(response, &console.0.cookies.clear(Cookie::Ceremony)),
        // The login is over, and its secret is worth nothing; that it is there
        // tells the next one to ask for the account.
        false => response,
    }
}

/// What the browser brought; a parameter that stands there twice is nobody's.
pub(super) fn answer(query: &str) -> Result<Callback, OidcError> {
    let parameters = Parameters::parse(query).map_err(|_| OidcError::Answer)?;
    parameters.once_each().map_err(|_| OidcError::Answer)?;
    let text = |name: &str| parameters.first(name).map(str::to_owned);
    Ok(Callback {
        code: text("code"),
        state: text("state"),
        iss: text("iss"),
        error: text("error"),
    })
}

fn config<'c>(cx: &'c Inner, begun: &Begun) -> Result<&'c ProviderConfig, Failure> {
    let found = cx.providers.of_issuer(&begun.issuer);
    Ok(found.ok_or(Refusal::from(OidcError::MixUp))?)
}

fn sign_in(
    cx: &Inner,
    asked: &Asked,
    begun: &Begun,
    person: &LoggedIn,
    next: &str,
) -> Result<Response, Failure> {
    let session = cx.authority.provider_login(config(cx, begun)?, person)?;
    // A session that the browser had before ends: somebody may know it.
    if let Some(before) = cx.secret(Cookie::Session, &asked.headers) {
        cx.authority.session_end(&before)?;
    }
    let response = see(local_path(next).unwrap_or("/"));
    Ok(with_cookie(response, &cx.cookies.set(Cookie::Session, &session)))
}

fn link(
    cx: &Inner,
    asked: &Asked,
    begun: &Begun,
    of: &Alias,
    person: &LoggedIn,
) -> Result<Response, Failure> {
    let me = cx.me(&asked.headers)?.ok_or(Failure::NotSignedIn)?;
    // Somebody else signed in meanwhile, in the same browser.
    if me.person.principal.alias != *of {
        return Err(Refusal::from(OidcError::State).into());
    }
    cx.authority.by(&me.person).login_link(of, config(cx, begun)?, person)?;
    Ok(see("/account"))
}

fn sign(
    cx: &Inner,
    asked: &Asked,
    begun: &Begun,
    request: &Digest,
    person: &LoggedIn,
) -> Result<Response, Failure> {
    let me = cx.me(&asked.headers)?.ok_or(Failure::NotSignedIn)?;
    let Purpose::SignGrant { digest } = begun.purpose else {
        return Err(Refusal::from(OidcError::State).into());
    };
    let provider = config(cx, begun)?;
    let location =
        cx.authority.consent_sign_login(provider, request, &digest, &me.person, person)?;
    Ok(see(&location))
}

/// Another site does not begin a login in somebody's browser.
pub(super) fn check_site(headers: &HeaderMap) -> Result<(), Failure> {
    let site = headers.get("sec-fetch-site").map(|v| v.to_str().unwrap_or("?"));
    match site {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) => Err(Refusal::from(SessionError::CrossSite).into()),
    }
}

/// Where a login shall happen, what for, and where it leads.
type Opened = (String, Purpose, Then);

impl Visit {
    /// Blocking work before a provider is asked.
    pub(super) async fn open<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner, &Asked) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let inner = std::sync::Arc::clone(&self.console.0);
        let asked = Asked { headers: self.asked.headers.clone(), path: self.asked.path.clone() };
        let done = tokio::task::spawn_blocking(move || work(&inner, &asked)).await;
        done.unwrap_or(Err(Failure::NotFound))
    }

    pub(super) async fn fail(self, failure: Failure) -> Response {
        self.run(|_, _| Err(failure)).await
    }

    /// Sends the browser to the provider.
    async fn leave(self, opened: Result<Opened, Failure>) -> Response {
        let (issuer, purpose, then) = match opened {
            Ok(opened) => opened,
            Err(failure) => return self.fail(failure).await,
        };
        let cx = &self.console.0;
        let now = cx.authority.host().now();
        let provider = match cx.providers.current(&issuer, now).await {
            Ok(provider) => provider,
            Err(error) => return self.fail(Refusal::from(error).into()).await,
        };
        self.run(move |cx, _| {
            let moment = Moment::of(cx.authority.host());
            let secret = Secret::mint(&moment)?;
            let (url, begun) = provider.begin(&secret, purpose, moment.now());
            cx.authority.provider_begun(&secret, &begun, &then)?;
            Ok(with_cookie(see(url.as_str()), &cx.cookies.set(Cookie::Ceremony, &secret)))
        })
        .await
    }
}
