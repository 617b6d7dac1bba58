//! What agents ask for that they lack: the inbox, and the page on which people
//! begin to grant it, or refuse. What is signed is shown by the consent page.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::crypto::{base64url, sha256};
use bailiwick_core::ids::RequestId;
use bailiwick_core::json::Object;

use super::{Failure, Inner, Me, Visit, json, page, see};
use crate::console::{
    AskedShorthand, Moment, RequestLine, RequestPage, RequestsPage, Section, Text,
};
use crate::refusal::Refusal;
use crate::{Granter, Lesser, ListedRequest, ShownRequest};

/// Requests in the inbox at most.
const MOST: u32 = 200;
/// Requests that are over, below it.
const LATEST: usize = 20;

fn name(id: Option<&bailiwick_core::ids::PrincipalId>) -> Text {
    Text::of(id.map_or("somebody whose name was erased", |id| id.as_str()))
}

fn line(listed: &ListedRequest) -> RequestLine {
    let r = &listed.request;
    RequestLine {
        id: r.id.to_string(),
        agent: Text::of(r.agent.as_str()),
        principal: name(listed.principal.as_ref()),
        workflow: Text::of(r.workflow.as_str()),
        state: listed.state,
        until: Moment::of(r.expires),
    }
}

fn mark_of(waiting: &[ListedRequest]) -> String {
    let ids: Vec<&str> = waiting.iter().map(|listed| listed.request.id.as_str()).collect();
    base64url(sha256(ids.join(" ").as_bytes()).bytes())
}

pub(super) async fn list(visit: Visit) -> Response {
    visit
        .read(|cx, me| {
            let waiting = cx.authority.requests(Some(&me.person), false, MOST)?;
            let all = cx.authority.requests(Some(&me.person), true, MOST)?;
            let settled = all.iter().filter(|listed| listed.state != "pending");
            let template = RequestsPage {
                frame: cx.frame(Some(me), Some(Section::Requests)),
                mark: mark_of(&waiting),
                waiting: waiting.iter().map(line).collect(),
                settled: settled.take(LATEST).map(line).collect(),
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

pub(super) async fn mark(visit: Visit) -> Response {
    visit
        .read(|cx, me| {
            let waiting = cx.authority.requests(Some(&me.person), false, MOST)?;
            Ok(json(Object::new().with("mark", mark_of(&waiting))))
        })
        .await
}

fn id(text: &str) -> Result<RequestId, Failure> {
    RequestId::parse(text).map_err(|_| Failure::NotFound)
}

pub(super) async fn show(Path(text): Path<String>, visit: Visit) -> Response {
    visit.read(move |cx, me| shown(cx, me, &id(&text)?, StatusCode::OK, None)).await
}

fn shown(
    cx: &Inner,
    me: &Me,
    id: &RequestId,
    status: StatusCode,
    notice: Option<String>,
) -> Result<Response, Failure> {
    let shown = cx.authority.request_read(Some(&me.person), id)?;
    Ok(page(status, &view(cx, me, &shown, notice)))
}

fn view(cx: &Inner, me: &Me, shown: &ShownRequest, notice: Option<String>) -> RequestPage {
    let request = &shown.listed.request;
    let minutes = request.seconds / 60;
    let asked = |s: &String| AskedShorthand { value: s.clone(), shown: Text::of(s) };
    RequestPage {
        frame: cx.frame(Some(me), Some(Section::Requests)),
        line: line(&shown.listed),
        scope: shown.scope.as_ref().map(|scope| scope.iter().map(asked).collect()),
        reason: shown.reason.as_ref().map(Text::of),
        lasts: match minutes {
            1 => "1 minute".to_owned(),
            minutes => format!("{minutes} minutes"),
        },
        shorter: [1, 5, 15, 30, 60].into_iter().filter(|m| m * 60 < request.seconds).collect(),
        purpose: shown.purpose.as_ref().map(Text::of),
        task: request.task.to_string(),
        workflow: Text::of(format!("{} {}", shown.workflow.id, shown.workflow.version)),
        decided_by: shown.decided_by.as_ref().map(|id| Text::of(id.as_str())),
        note: shown.note.as_ref().map(Text::of),
        grant: request.granted.as_ref().map(ToString::to_string),
        notice,
    }
}

/// From here on it is a grant: the consent page shows what would be signed.
pub(super) async fn grant(Path(text): Path<String>, visit: Visit) -> Response {
    visit
        .change(move |cx, me, form| {
            let id = id(&text)?;
            let bad = |()| Refusal::from(crate::rules::delegations::NarrowError::Form);
            let minutes: Option<u64> = form.number("minutes").map_err(bad)?;
            let lesser = Lesser {
                scope: form.all("scope").into_iter().collect(),
                seconds: minutes.map(|minutes| minutes.saturating_mul(60)),
            };
            match cx.authority.request_begin(&me.person, &id, &lesser) {
                Ok(secret) => Ok(see(&format!("/consent/{}", secret.reveal()))),
                Err(refusal @ (Refusal::Unknown { .. } | Refusal::Store(_))) => Err(refusal.into()),
                Err(refusal) => {
                    let notice = Some(format!("{refusal}: {}.", refusal.remedy()));
                    shown(cx, me, &id, StatusCode::UNPROCESSABLE_ENTITY, notice)
                }
            }
        })
        .await
}

pub(super) async fn refuse(Path(text): Path<String>, visit: Visit) -> Response {
    visit
        .change(move |cx, me, form| {
            let id = id(&text)?;
            let granter = Granter::Person(me.person.principal.alias.clone());
            let note = Some(form.first("note").trim()).filter(|note| !note.is_empty());
            cx.authority.by(&me.person).request_refuse(&granter, &id, None, note)?;
            Ok(see(&format!("/requests/{id}")))
        })
        .await
}
