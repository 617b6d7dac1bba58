//! One's own accounts at tool servers: connected by consent at the tool
//! server's authorization server, and disconnected again.
//!
//! Connecting is begun by following a link, as a login at a provider is.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::ServerName;
use url::{Url, form_urlencoded};

use super::confirm::Question;
use super::provider::{answer, check_site};
use super::{Failure, Inner, Me, Visit, page, see, with_cookie};
use crate::console::{AccountLine, AccountsPage, Moment, Section, Text};
use crate::people::accounts::{self, AccountConfig, AccountError, Tokens};
use crate::people::oidc::Callback;
use crate::people::sessions::{Cookie, Secret};
use crate::refusal::Refusal;
use crate::{AccountBegun, OwnAccount, host};

const PAGE: &str = "/accounts";
/// What follows it where a tool server could not be told.
const UNTOLD: &str = "untold";

fn line(cx: &Inner, me: &Me, own: &OwnAccount) -> AccountLine {
    let is_fresh = me.person.session.check_fresh(cx.authority.host().now()).is_ok();
    let host = Url::parse(&own.url).ok().and_then(|url| url.host_str().map(str::to_owned));
    AccountLine {
        server: own.server.to_string(),
        host: Text::of(host.unwrap_or_default()),
        connected: own.kind.is_some(),
        given: own.kind.as_deref().is_some_and(|kind| kind != accounts::KIND),
        since: own.since.map(Moment::of),
        lapsed: own.lapsed.map(Moment::of),
        connect: cx.accounts.offers(&own.server).then(|| match is_fresh {
            true => format!("{PAGE}/{}/connect", own.server),
            // The answer comes from another site, and may begin nothing.
            false => format!("/login?next={PAGE}"),
        }),
    }
}

pub(super) async fn list(visit: Visit) -> Response {
    let untold = form_urlencoded::parse(visit.query().as_bytes()).any(|(name, _)| name == UNTOLD);
    visit
        .read(move |cx, me| {
            let own = cx.authority.accounts(&me.person.principal.alias)?;
            let frame = cx.frame(Some(me), Some(Section::Accounts));
            let accounts = own.iter().map(|own| line(cx, me, own)).collect();
            Ok(page(StatusCode::OK, &AccountsPage { frame, accounts, untold }))
        })
        .await
}

/// The tool server of an address, if this person may have an account there.
fn own(cx: &Inner, me: &Me, server: &str) -> Result<OwnAccount, Failure> {
    let own = cx.authority.accounts(&me.person.principal.alias)?;
    own.into_iter().find(|own| own.server.as_str() == server).ok_or(Failure::NotFound)
}

fn redirect_uri(cx: &Inner, server: &ServerName) -> String {
    format!("{}{PAGE}/{server}/callback", cx.authority.installation().issuer)
}

/// Sends the browser to the tool server's authorization server.
pub(super) async fn connect(Path(server): Path<String>, visit: Visit) -> Response {
    let opened = visit.open(move |cx, asked| {
        check_site(&asked.headers)?;
        let me = cx.me(&asked.headers)?.ok_or(Failure::NotSignedIn)?;
        // Whoever sits down at an open session must not connect an account of
        // theirs to it.
        me.person.session.check_fresh(cx.authority.host().now()).map_err(Refusal::from)?;
        let own = own(cx, &me, &server)?;
        let config = cx.accounts.config(&own.server).map_err(Refusal::from)?;
        Ok((me.person.principal.alias, me.secret.hash(), own, config))
    });
    let (person, session, own, config) = match opened.await {
        Ok(opened) => opened,
        Err(failure) => return visit.fail(failure).await,
    };
    let site = match config.discover(&own.url).await {
        Ok(site) => site,
        Err(error) => return visit.fail(Refusal::from(error).into()).await,
    };
    visit
        .run(move |cx, _| {
            let secret = Secret::mint(&host::Moment::of(cx.authority.host()))?;
            let back = redirect_uri(cx, &own.server);
            let url = site.begin(&config, &secret, &back).map_err(Refusal::from)?;
            let begun = AccountBegun { server: own.server, person, session, site };
            cx.authority.account_begun(&secret, &begun)?;
            Ok(with_cookie(see(url.as_str()), &cx.cookies.set(Cookie::Ceremony, &secret)))
        })
        .await
}

/// What a callback needs before the authorization server is asked.
struct Taken {
    begun: AccountBegun,
    config: AccountConfig,
    secret: Secret,
    back: String,
}

/// SECURITY: taken once, by the session that began it, at the callback of the
/// tool server that it was begun for.
fn taken(
    cx: &Inner,
    headers: &axum::http::HeaderMap,
    server: &str,
    answer: &Callback,
) -> Result<Taken, Failure> {
    let state = || Failure::from(Refusal::from(AccountError::State));
    let me = cx.me(headers)?.ok_or(Failure::NotSignedIn)?;
    let secret = cx.secret(Cookie::Ceremony, headers).ok_or_else(state)?;
    // Another site can send the browser here; it cannot end a consent with it.
    if !accounts::is_state(&secret, answer.state.as_deref().unwrap_or_default()) {
        return Err(state());
    }
    let begun = cx.authority.account_taken(&secret)?;
    if begun.session != me.secret.hash() || begun.person != me.person.principal.alias {
        return Err(state());
    }
    if begun.server.as_str() != server {
        return Err(Refusal::from(AccountError::MixUp).into());
    }
    let config = cx.accounts.config(&begun.server).map_err(Refusal::from)?;
    let back = redirect_uri(cx, &begun.server);
    Ok(Taken { begun, config, secret, back })
}

/// The authorization server sends the browser back.
pub(super) async fn callback(Path(server): Path<String>, mut visit: Visit) -> Response {
    let Ok(answer) = answer(visit.query()) else {
        return visit.fail(Refusal::from(AccountError::Answer).into()).await;
    };
    // The answer is used up: there is nothing to come back to.
    visit.asked.path = PAGE.to_owned();
    let given = answer.clone();
    let opened = visit.open(move |cx, asked| taken(cx, &asked.headers, &server, &given)).await;
    let Taken { begun, config, secret, back } = match opened {
        Ok(taken) => taken,
        Err(failure) => return visit.fail(failure).await,
    };
    let code = match begun.site.code(&secret, &answer) {
        Ok(code) => code,
        Err(error) => return visit.fail(Refusal::from(error).into()).await,
    };
    if let Err(failure) = end_before(&visit, &begun).await {
        return visit.fail(failure).await;
    }
    let tokens = match begun.site.exchange(&config, &secret, &back, code).await {
        Ok(tokens) => tokens,
        Err(error) => return visit.fail(Refusal::from(error).into()).await,
    };
    let clear = visit.console.0.cookies.clear(Cookie::Ceremony);
    let response = visit.run(move |cx, asked| keep(cx, &asked.headers, &begun, &tokens)).await;
    with_cookie(response, &clear)
}

/// Ends the consent that this one takes the place of, before there is another:
/// where the authorization server knows one consent per person and client, to end
/// the old one later would end the new one.
async fn end_before(visit: &Visit, begun: &AccountBegun) -> Result<(), Failure> {
    let (person, server) = (begun.person.clone(), begun.server.clone());
    let ending = visit.open(move |cx, _| {
        let replaced = cx.authority.account_replaced(&person, &server)?;
        Ok(replaced.map(|taken| cx.accounts.end(vec![taken])))
    });
    if let Some(ending) = ending.await? {
        ending.await;
    }
    Ok(())
}

fn keep(
    cx: &Inner,
    headers: &axum::http::HeaderMap,
    begun: &AccountBegun,
    tokens: &Tokens,
) -> Result<Response, Failure> {
    // The person may have signed out while the authorization server was asked,
    // and the tool server may have been taken away.
    let me = cx.me(headers)?.ok_or(Failure::NotSignedIn)?;
    let session: Digest = me.secret.hash();
    if session != begun.session {
        return Err(Refusal::from(AccountError::State).into());
    }
    own(cx, &me, begun.server.as_str())?;
    cx.accounts.keep(&me.person, &begun.server, &begun.site.tokens, tokens)?;
    Ok(see(PAGE))
}

pub(super) async fn ask_disconnect(Path(server): Path<String>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let own = own(cx, me, &server)?;
            let question = Question {
                title: "Disconnect this account?",
                what: Text::of(own.server.as_str()),
                consequences: vec![
                    "Every call of an agent that acts for you is denied there from now on."
                        .to_owned(),
                    "What is kept of the account here is destroyed.".to_owned(),
                    "The tool server is told that the access ends, if it takes such word."
                        .to_owned(),
                ],
                action: format!("{PAGE}/{}/disconnect", own.server),
                button: "Disconnect",
                back: PAGE.to_owned(),
                is_final: false,
            };
            Ok(question.page(cx, me, Section::Accounts))
        })
        .await
}

/// Takes the account out of the vault first, and then tells its server.
pub(super) async fn disconnect(Path(server): Path<String>, visit: Visit) -> Response {
    let (tell, told) = tokio::sync::oneshot::channel();
    let response = visit
        .change(move |cx, me, _| {
            let own = own(cx, me, &server)?;
            let authority = cx.authority.by(&me.person);
            let taken = authority.vault_remove(&own.server, Some(&me.person.id))?;
            let _ = tell.send(cx.accounts.end(vec![taken]));
            Ok(see(PAGE))
        })
        .await;
    // Where it was refused, nobody is told anything.
    let Ok(ending) = told.await else { return response };
    if ending.await.is_empty() { response } else { see(&format!("{PAGE}?{UNTOLD}=1")) }
}
