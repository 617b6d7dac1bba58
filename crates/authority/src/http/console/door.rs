//! Coming in and going out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use bailiwick_core::json::{Json, Object};
use serde::Deserialize;

use super::{Asked, Console, Failure, Inner, Visit, json, page, see, with_cookie};
use crate::console::{EnrolPage, LoginPage, Moment, Text};
use crate::people::passkeys::PasskeyError;
use crate::people::sessions::{Cookie, Secret, local_path};
use crate::refusal::Refusal;

#[derive(Default, Deserialize)]
pub(super) struct LoginQuery {
    #[serde(default)]
    next: String,
    #[serde(default)]
    ended: String,
    #[serde(default)]
    again: String,
}

pub(super) async fn login(
    query: Result<Query<LoginQuery>, QueryRejection>,
    visit: Visit,
) -> Response {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    visit
        .run(move |cx, asked| {
            let had = cx.secret(Cookie::Session, &asked.headers).is_some();
            let notice = match &cx.passkeys {
                Err(e) => Some(format!("{e}: {}.", e.remedy())),
                Ok(_) if had && !query.ended.is_empty() => {
                    Some("You were signed out. Sign in to go on.".to_owned())
                }
                Ok(_) if had && !query.again.is_empty() => {
                    Some("What you asked for wants a login of the last few minutes. Sign in again to go on.".to_owned())
                }
                Ok(_) => None,
            };
            let next = local_path(&query.next).unwrap_or("/").to_owned();
            let template = LoginPage {
                frame: cx.frame(None, None),
                providers: super::provider::offered(cx, &next),
                next,
                notice,
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

/// Lets an address begin and end so many logins: each keeps something here, or
/// asks an identity provider.
pub(super) async fn admit(
    State(console): State<Console>,
    request: Request,
    next: Next,
) -> Response {
    let cx = &console.0;
    let connected = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address =
        connected.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| address.ip());
    let Err(seconds) = cx.doors.admit(address, cx.authority.host().now()) else {
        return next.run(request).await;
    };
    let asked = Asked { headers: request.headers().clone(), path: "/".to_owned() };
    let mut response = Failure::from(Refusal::Busy).page(cx, &asked);
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    response
}

pub(super) async fn login_begin(visit: Visit) -> Response {
    visit
        .script(|cx, _, _| {
            let (ceremony, options) = cx.authority.login_begin(cx.passkeys()?)?;
            Ok(with_cookie(json(options), &cx.cookies.set(Cookie::Ceremony, &ceremony)))
        })
        .await
}

pub(super) async fn login_finish(visit: Visit) -> Response {
    visit
        .script(|cx, asked, sent| {
            let ceremony = ceremony(cx, asked)?;
            let answer = member(sent, "credential")?;
            // A session that the browser had before ends: somebody may know it.
            if let Some(before) = cx.secret(Cookie::Session, &asked.headers) {
                cx.authority.session_end(&before)?;
            }
            let session = cx.authority.login_finish(cx.passkeys()?, &ceremony, answer)?;
            let next = sent.as_object().and_then(|o| o.member("next")?.as_str());
            Ok(signed_in(cx, &session, next.unwrap_or("/")))
        })
        .await
}

/// Hands out the session and says where to go.
fn signed_in(cx: &Inner, session: &Secret, next: &str) -> Response {
    let next = local_path(next).unwrap_or("/");
    let response = json(Object::new().with("location", next));
    let response = with_cookie(response, &cx.cookies.set(Cookie::Session, session));
    with_cookie(response, &cx.cookies.clear(Cookie::Ceremony))
}

pub(super) fn ceremony(cx: &Inner, asked: &Asked) -> Result<Secret, Failure> {
    let gone = Refusal::TicketGone { what: "page" };
    Ok(cx.secret(Cookie::Ceremony, &asked.headers).ok_or(gone)?)
}

pub(super) fn member<'a>(sent: &'a Json, name: &str) -> Result<&'a Json, Failure> {
    let found = sent.as_object().and_then(|o| o.member(name));
    found.ok_or(Failure::Refused(PasskeyError::Form.into()))
}

pub(super) fn label(sent: &Json) -> Result<&str, Failure> {
    member(sent, "label")?.as_str().ok_or(Failure::Refused(PasskeyError::Label.into()))
}

pub(super) async fn logout(visit: Visit) -> Response {
    visit
        .change(|cx, me, _| {
            cx.authority.session_end(&me.secret)?;
            Ok(with_cookie(see("/login"), &cx.cookies.clear(Cookie::Session)))
        })
        .await
}

fn link(secret: &str) -> Result<Secret, Failure> {
    Ok(Secret::parse(secret).ok_or(Refusal::TicketGone { what: "link" })?)
}

pub(super) async fn enrol(Path(secret): Path<String>, visit: Visit) -> Response {
    visit
        .run(move |cx, _| {
            let invited = cx.authority.invited(&link(&secret)?)?;
            cx.passkeys()?;
            let template = EnrolPage {
                frame: cx.frame(None, None),
                principal: Text::of(invited.id.as_str()),
                until: Moment::of(invited.until),
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

pub(super) async fn enrol_begin(Path(secret): Path<String>, visit: Visit) -> Response {
    visit
        .script(move |cx, _, _| {
            let link = link(&secret)?;
            let (ceremony, options) = cx.authority.enrolment_begin(cx.passkeys()?, &link)?;
            Ok(with_cookie(json(options), &cx.cookies.set(Cookie::Ceremony, &ceremony)))
        })
        .await
}

pub(super) async fn enrol_finish(Path(secret): Path<String>, visit: Visit) -> Response {
    visit
        .script(move |cx, asked, sent| {
            let (link, ceremony) = (link(&secret)?, ceremony(cx, asked)?);
            let made = member(sent, "credential")?;
            let party = cx.passkeys()?;
            let session =
                cx.authority.enrolment_finish(party, &link, &ceremony, made, label(sent)?)?;
            Ok(signed_in(cx, &session, "/"))
        })
        .await
}
