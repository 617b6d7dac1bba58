//! The page on which a person decides on a call that waits for them.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::approval::{Signed, Verdict};
use bailiwick_core::crypto::base64url;
use bailiwick_core::ids::{ApprovalId, ToolId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::webauthn::Assertion;
use bailiwick_policy::catalogue::Rating;
use bailiwick_policy::grades::{Effect, Risk};
use bailiwick_policy::mcp_methods::is_reserved;

use super::door::member;
use super::{Failure, Inner, Me, Visit, json, page};
use crate::console::{
    ApprovalLine, ApprovalPage, ApprovalRevokePage, ArgumentLine, Deciding, EarlierLine, Moment,
    SaidLine, Section, Text, ToolFacts, Undoing,
};
use crate::people::roles::Deed;
use crate::refusal::Refusal;
use crate::{Denying, ListedApproval, Sayer, ShownApproval};

pub(super) fn name(id: Option<&bailiwick_core::ids::PrincipalId>) -> Text {
    Text::of(id.map_or("somebody whose name was erased", |id| id.as_str()))
}

pub(super) fn line(listed: &ListedApproval) -> ApprovalLine {
    let a = &listed.approval;
    ApprovalLine {
        id: a.id.to_string(),
        agent: Text::of(a.agent.as_str()),
        principal: name(listed.principal.as_ref()),
        tool: Text::of(a.tool.as_str()),
        risk: Text::of(&a.risk),
        state: listed.state,
        until: Moment::of(a.expires),
    }
}

pub(super) fn id(text: &str) -> Result<ApprovalId, Failure> {
    ApprovalId::parse(text).map_err(|_| Failure::NotFound)
}

pub(super) async fn show(Path(text): Path<String>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let shown = cx.authority.approval_read(Some(&me.person), &id(&text)?)?;
            Ok(page(StatusCode::OK, &view(cx, me, &shown)?))
        })
        .await
}

pub(super) fn arguments(shown: &ShownApproval) -> Option<Vec<ArgumentLine>> {
    let of = |action: &Json| action.as_object()?.member("arguments")?.as_object().cloned();
    let now = of(shown.action.as_ref()?)?;
    let before = shown.approved_before.as_ref().and_then(of);
    let value = |json: &Json| Text::of(json.canonical());
    let line = |(name, json): (&str, &Json)| ArgumentLine {
        name: Text::of(name),
        value: value(json),
        before: before.as_ref().and_then(|before| match before.member(name) {
            Some(same) if same == json => None,
            Some(other) => Some(value(other)),
            None => Some(Text::of("not there")),
        }),
    };
    Some(now.iter().map(line).collect())
}

/// The arguments without what the protocol adds.
fn asked_arguments(shown: &ShownApproval) -> Option<Object> {
    let arguments = shown.action.as_ref()?.as_object()?.member("arguments")?.as_object()?;
    let own = arguments.iter().filter(|(name, _)| !is_reserved(name));
    Some(own.map(|(name, value)| (name.to_owned(), value.clone())).collect())
}

fn undoing(rating: Option<&Rating>) -> Undoing {
    let words = match rating.map(|rating| (rating.effect, rating.risk)) {
        None => "nobody rated the tool: take it that it cannot be undone",
        Some((Effect::Read, _)) => "it changes nothing; what was read stays read",
        Some((_, Risk::Low)) => "nothing that matters if it goes wrong",
        Some((_, Risk::Medium)) => "easily noticed and put right",
        Some((_, Risk::High)) => "costly, or hard to undo",
        Some((_, Risk::Critical)) => "ruinous if it goes wrong",
    };
    Undoing { words, idempotent: rating.is_some_and(|rating| rating.idempotent) }
}

/// Whether this person may take back the delegation under which it was asked.
fn may_revoke(me: &Me, shown: &ShownApproval) -> bool {
    shown.listed.approval.principal == me.person.principal.alias || me.may(Deed::RevokeAny)
}

/// Says how a call stands.
fn mark_of(listed: &ListedApproval, said: usize) -> String {
    format!("{} {said}", listed.state)
}

pub(super) async fn mark(Path(text): Path<String>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let id = id(&text)?;
            let listed = cx.authority.approval_listed(&me.person, &id)?;
            let said = cx.authority.store().read(|view| view.verdicts(&id))?.len();
            Ok(json(Object::new().with("mark", mark_of(&listed, said))))
        })
        .await
}

pub(super) async fn ask_revoke(Path(text): Path<String>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let shown = cx.authority.approval_read(Some(&me.person), &id(&text)?)?;
            if !may_revoke(me, &shown) {
                return Err(Refusal::NotYours.into());
            }
            let template = ApprovalRevokePage {
                frame: cx.frame(Some(me), Some(Section::Approvals)),
                line: line(&shown.listed),
                deciding: deciding(cx, me, &shown, &shown.listed.approval.tool)?,
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

fn view(cx: &Inner, me: &Me, shown: &ShownApproval) -> Result<ApprovalPage, Failure> {
    let approval = &shown.listed.approval;
    let rating = shown.workflow.catalogue.rating(&approval.tool);
    let said = shown.verdicts.iter().map(|said| SaidLine {
        approver: name(said.approver.as_ref()),
        approved: said.verdict == Verdict::Approve,
        grade: Text::of(&said.grade),
        at: Moment::of(said.said),
        note: said.note.as_ref().map(Text::of),
        suggestion: said.suggestion.as_ref().map(|arguments| Text::of(arguments.canonical())),
    });
    let earlier = cx.authority.calls_of_task(&approval.task, approval.asked)?;
    let earlier = earlier.iter().map(|entry| EarlierLine {
        tool: Text::of(entry.subjects.tool.as_deref().unwrap_or("a call")),
        at: Moment::of(entry.time),
        index: entry.index,
    });
    Ok(ApprovalPage {
        frame: cx.frame(Some(me), Some(Section::Approvals)),
        line: line(&shown.listed),
        arguments: arguments(shown),
        has_earlier: shown.approved_before.is_some(),
        facts: rating.map(ToolFacts::of),
        undoing: undoing(rating),
        suggest: asked_arguments(shown)
            .map_or_else(Text::default, |arguments| Text::of_json(&arguments.into())),
        may_revoke: may_revoke(me, shown),
        mark: mark_of(&shown.listed, shown.verdicts.len()),
        purpose: shown.purpose.as_ref().map(Text::of),
        task: approval.task.to_string(),
        workflow: Text::of(format!("{} {}", shown.workflow.id, shown.workflow.version)),
        capped: shown.workflow.capped(),
        rule: Text::of(&approval.rule),
        needed: approval.needed,
        said: said.collect(),
        earlier: earlier.collect(),
        action: approval.action.to_string(),
        root: approval.root.to_string(),
        deciding: deciding(cx, me, shown, &approval.tool)?,
    })
}

fn deciding(
    cx: &Inner,
    me: &Me,
    shown: &ShownApproval,
    tool: &ToolId,
) -> Result<Deciding, Failure> {
    if let Err(refusal) = cx.authority.may_decide(&me.person, shown, tool) {
        return Ok(Deciding::Not(format!("{refusal}: {}.", refusal.remedy())));
    }
    let Ok(party) = cx.passkeys.as_ref() else {
        return Ok(Deciding::Not("Passkeys need this console on localhost or https.".to_owned()));
    };
    let credentials = cx.authority.signing_passkeys(&me.person.principal.alias)?;
    if credentials.is_empty() {
        return Ok(Deciding::Not(
            "None of your passkeys may sign verdicts yet: a new one counts after a while, or when \
             another owner vouches for it."
                .to_owned(),
        ));
    }
    let digest = |verdict| base64url(shown.question.digest(verdict).bytes());
    Ok(Deciding::Passkey {
        credentials: credentials.join(" "),
        relying_party: party.relying_party().to_owned(),
        approve: digest(Verdict::Approve),
        deny: digest(Verdict::Deny),
    })
}

pub(super) async fn say(Path(text): Path<String>, visit: Visit) -> Response {
    visit
        .script_signed_in(move |cx, me, _, sent| {
            let id = id(&text)?;
            let of = |name: &str| sent.as_object().and_then(|o| o.member(name)?.as_str());
            let verdict = of("verdict").and_then(Verdict::parse).ok_or(Failure::NotFound)?;
            let assertion = Assertion::from_browser(member(sent, "credential")?);
            let assertion = assertion
                .map_err(bailiwick_core::approval::ApprovalError::Assertion)
                .map_err(Refusal::from)?;
            let note = of("note").map(str::trim).filter(|note| !note.is_empty());
            let sayer = Sayer::Person(me.person.principal.alias.clone());
            let signed = Signed::Passkey(assertion);
            let note = note.map(str::to_owned);
            let member = |name: &str| sent.as_object().and_then(|o| o.member(name));
            match verdict {
                Verdict::Approve => {
                    cx.authority.approval_say(sayer, &id, verdict, signed, note)?;
                }
                Verdict::Deny => {
                    let suggestion = member("suggestion").cloned();
                    let revoke = member("revoke").and_then(Json::as_bool).unwrap_or(false);
                    let denying = Denying { note, suggestion, revoke };
                    cx.authority.approval_deny(sayer, &id, signed, denying)?;
                }
            }
            Ok(json(Object::new().with("location", format!("/approvals/{id}"))))
        })
        .await
}
