//! Taking back, and what owners do to agents: each asks first.

use axum::extract::Path;
use axum::response::Response;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{AgentId, GrantId};
use bailiwick_store::{Status, StoreError};

use super::confirm::{Question, Verb};
use super::views::grant_line;
use super::{Failure, Inner, Me, Visit, see};
use crate::console::{Section, Text};
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
            let question = Question {
                title: "Take this grant back?",
                what,
                consequences: vec![
                    format!("{agent} may no longer act under it, within a second."),
                    "What it passed on to other agents ends too, and calls under way are cut off."
                        .to_owned(),
                    "What was done so far stays done, and stays in the ledger.".to_owned(),
                ],
                action: format!("/grants/{id}/revoke"),
                button: "Take it back",
                back: format!("/grants/{id}"),
                is_final: true,
            };
            Ok(question.page(cx, me, Section::Grants))
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
            let question = Question {
                title: "Take this delegation back?",
                what,
                consequences: vec![
                    format!("{agent} may no longer use this one, within a second."),
                    "The grant stays: another delegation may be issued under it.".to_owned(),
                ],
                action: format!("/delegations/{root}/revoke"),
                button: "Take it back",
                back: format!("/grants/{grant}"),
                is_final: true,
            };
            Ok(question.page(cx, me, Section::Grants))
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

/// What may be done to an agent, and what it takes.
fn verb(text: &str) -> Result<(Deed, Verb), Failure> {
    Ok(match text {
        "suspend" => (
            Deed::PauseAgents,
            Verb {
                status: Status::Suspended,
                title: "Suspend this agent?",
                button: "Suspend it",
                consequence: "None of its instances can act until it is resumed.",
            },
        ),
        "resume" => (
            Deed::PauseAgents,
            Verb {
                status: Status::Active,
                title: "Resume this agent?",
                button: "Resume it",
                consequence: "Its instances can act again under what stands.",
            },
        ),
        "retire" => (
            Deed::RetireAgents,
            Verb {
                status: Status::Retired,
                title: "Retire this agent?",
                button: "Retire it",
                consequence: "None of its instances can ever act again. Its history stays.",
            },
        ),
        _ => return Err(Failure::NotFound),
    })
}

/// What is asked for, by somebody who may do it.
fn allowed(me: &Me, id: &str, text: &str) -> Result<(AgentId, Verb), Failure> {
    let (deed, verb) = verb(text)?;
    me.require(deed)?;
    Ok((AgentId::parse(id).map_err(|_| Failure::NotFound)?, verb))
}

pub(super) async fn ask_agent(Path((id, text)): Path<(String, String)>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let (id, verb) = allowed(me, &id, &text)?;
            let found = cx.authority.store().read(|view| view.agent(&id))?;
            found.ok_or(Failure::NotFound)?;
            let (what, back) = (Text::of(id.as_str()), format!("/agents/{id}"));
            Ok(verb.question(what, back, &text).page(cx, me, Section::Agents))
        })
        .await
}

pub(super) async fn agent(Path((id, text)): Path<(String, String)>, visit: Visit) -> Response {
    visit
        .change(move |cx, me, _| {
            let (id, verb) = allowed(me, &id, &text)?;
            cx.authority.by(&me.person).agent_status(&id, verb.status)?;
            Ok(see(&format!("/agents/{id}")))
        })
        .await
}
