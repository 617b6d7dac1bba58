//! One's own passkeys.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use bailiwick_core::json::Object;

use super::door::{ceremony, label, member};
use super::{Asked, Console, Failure, json, page, see, with_cookie};
use crate::console::{ConfirmPage, Moment, PasskeyLine, PasskeysPage, Section, Text};
use crate::people::sessions::Cookie;
use crate::refusal::Refusal;

pub(super) async fn passkeys(
    State(console): State<Console>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    console
        .read(Asked::new(headers, &uri), |cx, me| {
            let own = cx.authority.passkeys(&me.person.principal.alias)?;
            let line = |passkey: &crate::OwnPasskey| PasskeyLine {
                id: passkey.id.clone(),
                label: Text::of(&passkey.label),
                added: Moment::of(passkey.added),
                used: passkey.used.map(Moment::of),
            };
            let template = PasskeysPage {
                frame: cx.frame(Some(me), Some(Section::Account)),
                passkeys: own.iter().map(line).collect(),
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

pub(super) async fn begin(
    State(console): State<Console>,
    headers: HeaderMap,
    uri: Uri,
    body: Bytes,
) -> Response {
    console
        .script_signed_in(Asked::new(headers, &uri), body, |cx, me, _, _| {
            // Whoever sits down at an open session must not add a key of theirs.
            me.person.session.check_fresh(cx.authority.host().now()).map_err(Refusal::from)?;
            let (alias, name) = (&me.person.principal.alias, me.person.id.as_str());
            let (ceremony, options) = cx.authority.passkey_begin(cx.passkeys()?, alias, name)?;
            Ok(with_cookie(json(options), &cx.cookies.set(Cookie::Ceremony, &ceremony)))
        })
        .await
}

pub(super) async fn finish(
    State(console): State<Console>,
    headers: HeaderMap,
    uri: Uri,
    body: Bytes,
) -> Response {
    console
        .script_signed_in(Asked::new(headers, &uri), body, |cx, me, asked, sent| {
            let (ceremony, made) = (ceremony(cx, asked)?, member(sent, "credential")?);
            let alias = &me.person.principal.alias;
            let party = cx.passkeys()?;
            cx.authority.passkey_finish(party, alias, &ceremony, made, label(sent)?)?;
            let response = json(Object::new().with("location", "/account"));
            Ok(with_cookie(response, &cx.cookies.clear(Cookie::Ceremony)))
        })
        .await
}

pub(super) async fn ask_remove(
    State(console): State<Console>,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    console
        .read(Asked::new(headers, &uri), move |cx, me| {
            let own = cx.authority.passkeys(&me.person.principal.alias)?;
            let found = own.iter().find(|p| p.id == id).ok_or(Failure::NotFound)?;
            let template = ConfirmPage {
                frame: cx.frame(Some(me), Some(Section::Account)),
                title: "Remove this passkey?".to_owned(),
                what: Text::of(&found.label),
                consequences: vec![
                    "Nobody can sign in or sign a grant with it any more.".to_owned(),
                    "What was granted with it stays as it is.".to_owned(),
                ],
                action: format!("/account/passkeys/{id}/remove"),
                button: "Remove it".to_owned(),
                back: "/account".to_owned(),
                is_final: true,
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

pub(super) async fn remove(
    State(console): State<Console>,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    body: String,
) -> Response {
    console
        .change(Asked::new(headers, &uri), body, move |cx, me, _| {
            cx.authority.passkey_remove(&me.person.principal.alias, &id)?;
            Ok(see("/account"))
        })
        .await
}
