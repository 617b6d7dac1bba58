//! Taking back, and what owners do to agents: each asks first.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{AgentId, GrantId};
use bailiwick_store::{Status, StoreError};

use super::views::grant_line;
use super::{Failure, Inner, Me, Visit, page, see};
use crate::console::{ConfirmPage, Section, Text};
use crate::people::roles::Deed;
use crate::{DelegationRef, Target};

/// The reason code of what a person takes back in the console.
const REASON: &str = "taken-back";

/// The grant's purpose or id, if this person may take it back.
fn own_grant(cx: &Inner, me: &Me, id: &GrantId) -> Result<(Text, Text), Failure> {
    let now = cx.authority.host().now();
    let found = cx.authority.store().read(|view| {
        let Some(grant) = view.grant(id)? else { return Ok(None) };
        if grant.principal != me.person.principal.alias && !me.may(Deed::RevokeAny) {
            return Ok(None);
        }
        let (line, _) = grant_line(view, &grant, now)?;
        Ok::<_, StoreError>(Some((line.purpose.unwrap_or(Text::of(id.as_str())), line.agent)))
    })?;
    found.ok_or(Failure::NotFound)
}

pub(super) async fn ask_grant(Path(id): Path<String>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let id = GrantId::parse(&id).map_err(|_| Failure::NotFound)?;
            let (what, agent) = own_grant(cx, me, &id)?;
            let template = ConfirmPage {
                frame: cx.frame(Some(me), Some(Section::Grants)),
                title: "Take this grant back?".to_owned(),
                what,
                consequences: vec![
                    format!("{agent} may no longer act under it, within a second."),
                    "What it passed on to other agents ends too, and calls under way are cut off."
                        .to_owned(),
                    "What was done so far stays done, and stays in the ledger.".to_owned(),
                ],
                action: format!("/grants/{id}/revoke"),
                button: "Take it back".to_owned(),
                back: format!("/grants/{id}"),
                is_final: true,
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

pub(super) async fn grant(Path(id): Path<String>, visit: Visit) -> Response {
    visit
        .change(move |cx, me, _| {
            let id = GrantId::parse(&id).map_err(|_| Failure::NotFound)?;
            cx.authority.revoke_in_session(&Target::Grant(id.clone()), REASON, &me.person)?;
            Ok(see(&format!("/grants/{id}")))
        })
        .await
}

/// The grant of a root.
fn grant_of(cx: &Inner, root: &Digest) -> Result<GrantId, Failure> {
    let found = cx.authority.store().read(|view| view.delegation(root))?;
    Ok(found.ok_or(Failure::NotFound)?.grant.row.id)
}

pub(super) async fn ask_root(Path(root): Path<String>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let root = Digest::from_text(&root).ok_or(Failure::NotFound)?;
            let grant = grant_of(cx, &root)?;
            let (what, agent) = own_grant(cx, me, &grant)?;
            let template = ConfirmPage {
                frame: cx.frame(Some(me), Some(Section::Grants)),
                title: "Take this delegation back?".to_owned(),
                what,
                consequences: vec![
                    format!("{agent} may no longer use this one, within a second."),
                    "The grant stays: another delegation may be issued under it.".to_owned(),
                ],
                action: format!("/delegations/{root}/revoke"),
                button: "Take it back".to_owned(),
                back: format!("/grants/{grant}"),
                is_final: true,
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

pub(super) async fn root(Path(root): Path<String>, visit: Visit) -> Response {
    visit
        .change(move |cx, me, _| {
            let root = Digest::from_text(&root).ok_or(Failure::NotFound)?;
            let grant = grant_of(cx, &root)?;
            let target = Target::Delegation(DelegationRef::Hash(root));
            cx.authority.revoke_in_session(&target, REASON, &me.person)?;
            Ok(see(&format!("/grants/{grant}")))
        })
        .await
}

/// What may be done to an agent.
struct Verb {
    status: Status,
    deed: Deed,
    title: &'static str,
    button: &'static str,
    consequence: &'static str,
}

fn verb(text: &str) -> Result<Verb, Failure> {
    Ok(match text {
        "suspend" => Verb {
            status: Status::Suspended,
            deed: Deed::PauseAgents,
            title: "Suspend this agent?",
            button: "Suspend it",
            consequence: "None of its instances can act until it is resumed.",
        },
        "resume" => Verb {
            status: Status::Active,
            deed: Deed::PauseAgents,
            title: "Resume this agent?",
            button: "Resume it",
            consequence: "Its instances can act again under what stands.",
        },
        "retire" => Verb {
            status: Status::Retired,
            deed: Deed::RetireAgents,
            title: "Retire this agent?",
            button: "Retire it",
            consequence: "None of its instances can ever act again. Its history stays.",
        },
        _ => return Err(Failure::NotFound),
    })
}

pub(super) async fn ask_agent(Path((id, text)): Path<(String, String)>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let verb = verb(&text)?;
            me.require(verb.deed)?;
            let id = AgentId::parse(&id).map_err(|_| Failure::NotFound)?;
            let found = cx.authority.store().read(|view| view.agent(&id))?;
            found.ok_or(Failure::NotFound)?;
            let template = ConfirmPage {
                frame: cx.frame(Some(me), Some(Section::Agents)),
                title: verb.title.to_owned(),
                what: Text::of(id.as_str()),
                consequences: vec![verb.consequence.to_owned()],
                action: format!("/agents/{id}/{text}"),
                button: verb.button.to_owned(),
                back: format!("/agents/{id}"),
                is_final: verb.status == Status::Retired,
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

pub(super) async fn agent(Path((id, text)): Path<(String, String)>, visit: Visit) -> Response {
    visit
        .change(move |cx, me, _| {
            let verb = verb(&text)?;
            me.require(verb.deed)?;
            let id = AgentId::parse(&id).map_err(|_| Failure::NotFound)?;
            cx.authority.by(&me.person).agent_status(&id, verb.status)?;
            Ok(see(&format!("/agents/{id}")))
        })
        .await
}
