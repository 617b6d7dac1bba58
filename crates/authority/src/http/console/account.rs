//! One's own passkeys and logins.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::json::Object;
use bailiwick_core::ledger::Kind;
use bailiwick_store::{Filter, Status, StoreError, StoredEntry, View};

use super::confirm::Question;
use super::door::{ceremony, label, member};
use super::provider::linking;
use super::views::entry_line;
use super::{Failure, Inner, Visit, json, page, see, with_cookie};
use crate::console::{LoginLine, Moment, PasskeyLine, PasskeysPage, Section, Text};
use crate::people::sessions::Cookie;
use crate::refusal::Refusal;
use crate::{OwnLogin, SignedIn};

/// Entries about the account on its page.
const LATEST: usize = 12;

/// What others, or the person, did to the account: so that nobody is given a
/// way in unseen.
fn history(view: &View<'_>, person: &SignedIn) -> Result<Vec<StoredEntry>, StoreError> {
    let kinds = [
        Kind::PrincipalInvited,
        Kind::CredentialAdded,
        Kind::CredentialChanged,
        Kind::RoleChanged,
        Kind::PrincipalChanged,
    ];
    let mut found = Vec::new();
    for kind in kinds {
        let filter = Filter {
            principal: Some(person.principal.alias.to_string()),
            kind: Some(kind),
            limit: u32::try_from(LATEST).unwrap_or(u32::MAX),
            ..Filter::default()
        };
        found.extend(view.query(&filter)?);
    }
    Ok(found)
}

/// A login that counts, by the name of its provider while that is configured.
fn login_line(cx: &Inner, own: &OwnLogin) -> Option<LoginLine> {
    let provider = cx.providers.of_issuer(&own.login.issuer);
    (own.status == Status::Active).then(|| LoginLine {
        provider: Text::of(provider.map_or(&own.login.issuer, |config| &config.label)),
        subject: Text::of(&own.login.subject),
        added: Moment::of(own.added),
    })
}

pub(super) async fn passkeys(visit: Visit) -> Response {
    visit
        .read(|cx, me| {
            let alias = &me.person.principal.alias;
            let own = cx.authority.passkeys(alias)?;
            let logins = cx.authority.logins(alias)?;
            let mut entries = cx.authority.store().read(|view| history(view, &me.person))?;
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.index));
            entries.truncate(LATEST);
            let template = PasskeysPage {
                frame: cx.frame(Some(me), Some(Section::Account)),
                passkeys: own.iter().map(PasskeyLine::of).collect(),
                logins: logins.iter().filter_map(|own| login_line(cx, own)).collect(),
                providers: linking(cx, me),
                entries: entries.iter().map(entry_line).collect(),
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

/// Every session and every command line, this one too.
pub(super) async fn sign_out_everywhere(visit: Visit) -> Response {
    visit
        .change(|cx, me, _| {
            cx.authority.sessions_end(&me.person.principal.alias)?;
            Ok(with_cookie(see("/login"), &cx.cookies.clear(Cookie::Session)))
        })
        .await
}

pub(super) async fn begin(visit: Visit) -> Response {
    visit
        .script_signed_in(|cx, me, _, _| {
            // Whoever sits down at an open session must not add a key of theirs.
            me.person.session.check_fresh(cx.authority.host().now()).map_err(Refusal::from)?;
            let (alias, name) = (&me.person.principal.alias, me.person.id.as_str());
            let (ceremony, options) = cx.authority.passkey_begin(cx.passkeys()?, alias, name)?;
            Ok(with_cookie(json(options), &cx.cookies.set(Cookie::Ceremony, &ceremony)))
        })
        .await
}

pub(super) async fn finish(visit: Visit) -> Response {
    visit
        .script_signed_in(|cx, me, asked, sent| {
            let (ceremony, made) = (ceremony(cx, asked)?, member(sent, "credential")?);
            let alias = &me.person.principal.alias;
            let party = cx.passkeys()?;
            cx.authority.passkey_finish(party, alias, &ceremony, made, label(sent)?)?;
            let response = json(Object::new().with("location", "/account"));
            Ok(with_cookie(response, &cx.cookies.clear(Cookie::Ceremony)))
        })
        .await
}

pub(super) async fn ask_remove(Path(id): Path<String>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let own = cx.authority.passkeys(&me.person.principal.alias)?;
            let found = own.iter().find(|p| p.id == id).ok_or(Failure::NotFound)?;
            let question = Question {
                title: "Remove this passkey?",
                what: Text::of(&found.label),
                consequences: vec![
                    "Nobody can sign in or sign a grant with it any more.".to_owned(),
                    "What was granted with it stays as it is.".to_owned(),
                    "You are signed out everywhere but here.".to_owned(),
                ],
                action: format!("/account/passkeys/{id}/remove"),
                button: "Remove it",
                back: "/account".to_owned(),
                is_final: true,
            };
            Ok(question.page(cx, me, Section::Account))
        })
        .await
}

pub(super) async fn remove(Path(id): Path<String>, visit: Visit) -> Response {
    visit
        .change(move |cx, me, _| {
            cx.authority.passkey_remove(&me.person.principal.alias, &id, &me.secret)?;
            Ok(see("/account"))
        })
        .await
}
