//! The stop button in the console: a page that asks why, what is stopped, and
//! the page on which owners resume it.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::approval::{ApprovalError, Signed};
use bailiwick_core::crypto::base64url;
use bailiwick_core::ids::{PrincipalId, StopId};
use bailiwick_core::json::Object;
use bailiwick_core::stop::StopTarget;
use bailiwick_core::time::Timestamp;
use bailiwick_core::webauthn::Assertion;
use url::form_urlencoded;

use super::door::member;
use super::{Failure, Inner, Me, Visit, json, page, see};
use crate::console::{
    Moment, ResumedLine, Resuming, Section, StopLine, StopPage, StopShownPage, StopsPage, Text,
};
use crate::people::roles::Deed;
use crate::refusal::Refusal;
use crate::{ListedStop, Sayer};

/// Stops in the list at most.
const MOST: u32 = 200;
/// Stops that ended, below it.
const LATEST: usize = 20;
/// Seconds from the page to the end of what is signed on it: less than what is
/// taken.
const SIGNED_SECONDS: i64 = 540;

fn line(listed: &ListedStop) -> StopLine {
    StopLine {
        id: listed.stop.id.to_string(),
        target: Text::of(listed.stop.target.to_string()),
        reason: listed.reason.as_ref().map(|(reason, _)| Text::of(reason)),
        by: Text::of(listed.by()),
        at: Moment::of(listed.stop.stopped),
        stands: listed.stop.resumed.is_none(),
    }
}

fn target(text: &str) -> Result<StopTarget, Failure> {
    StopTarget::parse(text.trim()).map_err(|_| Failure::NotFound)
}

pub(super) async fn ask(visit: Visit) -> Response {
    let query = visit.query().to_owned();
    visit
        .read(move |cx, me| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            let asked = pairs.find(|(name, _)| name == "target").map(|(_, value)| value);
            let target = target(&asked.unwrap_or_default())?;
            // SECURITY: what one may not stop is not admitted to exist.
            if !cx.authority.may_stop(&me.person, &target)? {
                return Err(Failure::NotFound);
            }
            let template = StopPage {
                frame: cx.frame(Some(me), Some(Section::Stops)),
                everything: target == StopTarget::Everything,
                target: Text::of(target.to_string()),
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

pub(super) async fn stop(visit: Visit) -> Response {
    visit
        .change(move |cx, me, form| {
            let target = target(form.first("target"))?;
            let made = cx.authority.stop_in_session(&me.person, &target, form.first("reason"))?;
            Ok(see(&format!("/stops/{}", made.stop)))
        })
        .await
}

pub(super) async fn list(visit: Visit) -> Response {
    visit
        .read(|cx, me| {
            let all = cx.authority.stops_for(&me.person, true, MOST)?;
            let (standing, ended): (Vec<_>, Vec<_>) =
                all.iter().map(line).partition(|line| line.stands);
            let template = StopsPage {
                frame: cx.frame(Some(me), Some(Section::Stops)),
                standing,
                ended: ended.into_iter().take(LATEST).collect(),
                can_stop: me.may(Deed::Stop),
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

fn id(text: &str) -> Result<StopId, Failure> {
    StopId::parse(text).map_err(|_| Failure::NotFound)
}

pub(super) async fn show(Path(text): Path<String>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let listed = cx.authority.stop_shown(Some(&me.person), &id(&text)?)?;
            let name = |id: Option<&PrincipalId>| {
                Text::of(id.map_or("somebody whose name was erased", |id| id.as_str()))
            };
            let signed = listed.signed.iter().map(|signed| ResumedLine {
                who: name(signed.principal.as_ref()),
                grade: Text::of(&signed.grade),
                at: Moment::of(signed.signed),
                until: Moment::of(signed.expires),
            });
            let template = StopShownPage {
                frame: cx.frame(Some(me), Some(Section::Stops)),
                line: line(&listed),
                reason_digest: listed.stop.reason.to_string(),
                resumed: listed
                    .stop
                    .resumed
                    .map(|at| (name(listed.resumed_by.as_ref()), Moment::of(at))),
                needed: listed.needed,
                signed: signed.collect(),
                resuming: resuming(cx, me, &listed)?,
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

fn resuming(cx: &Inner, me: &Me, listed: &ListedStop) -> Result<Resuming, Failure> {
    if let Err(refusal) = me.require(Deed::Resume) {
        return Ok(Resuming::Not(format!("Owners resume what is stopped: {refusal}.")));
    }
    let Ok(party) = cx.passkeys.as_ref() else {
        return Ok(Resuming::Not("Passkeys need this console on localhost or https.".to_owned()));
    };
    let credentials = cx.authority.signing_passkeys(&me.person.principal.alias)?;
    if credentials.is_empty() {
        return Ok(Resuming::Not(
            "None of your passkeys may sign yet: a new one counts after a day, or when another \
             owner vouches for it."
                .to_owned(),
        ));
    }
    let now = Timestamp::from_seconds(cx.authority.host().now().seconds());
    let expires = now.plus_seconds(SIGNED_SECONDS);
    Ok(Resuming::Passkey {
        credentials: credentials.join(" "),
        relying_party: party.relying_party().to_owned(),
        challenge: base64url(listed.resumption(expires).digest().bytes()),
        expires: expires.seconds(),
    })
}

pub(super) async fn resume(Path(text): Path<String>, visit: Visit) -> Response {
    visit
        .script_signed_in(move |cx, me, _, sent| {
            let id = id(&text)?;
            let expires = sent.as_object().and_then(|o| o.member("expires")?.as_str());
            let expires: i64 =
                expires.and_then(|text| text.parse().ok()).ok_or(Failure::NotFound)?;
            let assertion = Assertion::from_browser(member(sent, "credential")?);
            let assertion = assertion.map_err(ApprovalError::Assertion).map_err(Refusal::from)?;
            let sayer = Sayer::Person(me.person.principal.alias.clone());
            let signed = Signed::Passkey(assertion);
            cx.authority.resume(sayer, &id, Timestamp::from_seconds(expires), signed)?;
            Ok(json(Object::new().with("location", format!("/stops/{id}"))))
        })
        .await
}
