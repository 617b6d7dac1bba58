//! Workflows: their checklists, how far their agents may act, lowering and raising
//! that, and what changed between versions.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::approval::{ApprovalError, Signed};
use bailiwick_core::autonomy::{MAX_RAISE_SECONDS, Raise};
use bailiwick_core::crypto::{Digest, base64url};
use bailiwick_core::ids::WorkflowId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::stop::StopTarget;
use bailiwick_core::time::Timestamp;
use bailiwick_core::webauthn::Assertion;
use bailiwick_policy::checklist::Measure;
use bailiwick_policy::grades::Level;
use bailiwick_policy::workflow::Difference;
use bailiwick_store::StoreError;

use super::door::member;
use super::{Failure, Form, Inner, Me, Visit, json, page, see};
use crate::console::{
    AutonomyLine, ChangeLine, Moment, Raising, Section, Text, VersionLine, WaitingLine,
    WorkflowChangesPage, WorkflowPage, WorkflowsPage,
};
use crate::people::roles::Deed;
use crate::refusal::Refusal;
use crate::rules::autonomy::{ERROR_BUDGET, PERSON, PUBLISHED};
use crate::{Publication, Sayer, ShownAutonomy, ShownChange};

mod checklist;
pub(super) use checklist::backing;
use checklist::{
    criteria, evaluation, items, limits, line, review, rollback, sources, targets, tools,
};

/// Characters of one side of a change at most.
const MAX_SIDE: usize = 400;
/// Versions in the list at most.
const MAX_VERSIONS: usize = 50;
/// Changes between two versions that are shown at most.
const MAX_CHANGES: usize = 500;

fn id(text: &str) -> Result<WorkflowId, Failure> {
    WorkflowId::parse(text).map_err(|_| Failure::NotFound)
}

fn path(id: &WorkflowId) -> String {
    format!("/workflows/{id}")
}

pub(super) async fn list(visit: Visit) -> Response {
    visit
        .read(|cx, me| {
            let found = cx.authority.workflows_for(&me.person)?;
            let template = WorkflowsPage {
                frame: cx.frame(Some(me), Some(Section::Workflows)),
                workflows: found.iter().map(line).collect(),
                own_only: !me.may(Deed::SeeCatalogue),
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

pub(super) async fn show(Path(text): Path<String>, visit: Visit) -> Response {
    visit.read(move |cx, me| Ok(page(StatusCode::OK, &view(cx, me, &id(&text)?)?))).await
}

fn view(cx: &Inner, me: &Me, id: &WorkflowId) -> Result<WorkflowPage, Failure> {
    let listed = cx.authority.workflow_for(&me.person, id)?;
    let shown = cx.authority.autonomy(id)?;
    let workflow = &shown.workflow;
    let target = StopTarget::Workflow(id.clone());
    let may_lower = cx.authority.may_stop(&me.person, &target)?;
    let below = Level::ALL.iter().filter(|level| may_lower && **level < shown.level);
    let sees_figures = me.may(Deed::SeeFigures) || workflow.owner == me.person.id;
    let versions = cx.authority.workflow_history(id)?;
    Ok(WorkflowPage {
        frame: cx.frame(Some(me), Some(Section::Workflows)),
        version: (Text::of(&workflow.version), workflow.digest().to_string()),
        agents: workflow
            .agents
            .iter()
            .map(|agent| (Text::of(agent.as_str()), format!("/agents/{agent}")))
            .collect(),
        checklist: items(workflow, &shown.missing),
        tools: tools(workflow),
        sources: sources(workflow),
        criteria: criteria(workflow),
        review: review(workflow),
        rollback: rollback(workflow),
        limits: limits(workflow),
        targets: targets(workflow),
        evaluation: evaluation(workflow),
        figures: if sees_figures {
            super::figures::of_workflow(cx, workflow, shown.until)?
        } else {
            Vec::new()
        },
        figures_path: me.may(Deed::SeeFigures).then(|| format!("/figures?workflow={id}")),
        unmet: shown.judged.unmet.iter().map(|why| plain(why)).collect(),
        changes: changes(cx, &shown.changes)?,
        waiting: shown.waiting.iter().map(waiting_line).collect(),
        needed: shown.needed().iter().map(Text::of).collect(),
        lower: below.map(|level| level.as_str()).collect(),
        raising: raising(cx, me, &shown)?,
        stop: (may_lower && !listed.stopped).then(|| format!("/stop?target={target}")),
        runs: format!("/runs?workflow={id}"),
        versions: version_lines(id, &versions),
        line: line(&listed),
    })
}

fn waiting_line(waiting: &crate::WaitingSignature) -> WaitingLine {
    let who = waiting.principal.as_ref();
    WaitingLine {
        who: Text::of(who.map_or("somebody whose name was erased", |id| id.as_str())),
        at: Moment::of(waiting.signed),
        until: Moment::of(waiting.expires),
    }
}

/// Whoever lowered it, or everybody who signed that it is raised.
fn who(shown: &ShownChange) -> Option<String> {
    let signers: Vec<&str> = shown.signers.iter().map(|id| id.as_str()).collect();
    match signers.is_empty() {
        true => shown.principal.as_ref().map(|id| id.as_str().to_owned()),
        false => Some(signers.join(" and ")),
    }
}

fn changes(cx: &Inner, all: &[ShownChange]) -> Result<Vec<AutonomyLine>, Failure> {
    let lines = cx.authority.store().read(|view| {
        let line = |shown: &ShownChange| {
            let change = &shown.change;
            let (cause, class) = match change.cause.as_str() {
                ERROR_BUDGET => ("lowered by itself: the error budget is spent", "bad"),
                PERSON => ("lowered", "warn"),
                PUBLISHED => ("set by a new version, which raises nothing", "warn"),
                _ => ("raised", "good"),
            };
            Ok::<_, StoreError>(AutonomyLine {
                level: Text::of(&change.level),
                cause,
                class,
                who: who(shown).map(Text::of),
                reason: shown.reason.as_ref().map(|text| Text::short(text, 500)),
                at: Moment::of(change.changed),
                entry: view.entry_by_id(&change.entry)?.map(|entry| entry.index),
            })
        };
        all.iter().map(line).collect::<Result<Vec<_>, _>>()
    });
    Ok(lines?)
}

/// What people sign to raise it, as this page shows it.
fn raising(cx: &Inner, me: &Me, shown: &ShownAutonomy) -> Result<Raising, Failure> {
    let not = |why: String| Ok(Raising::Not(plain(&why)));
    let to = match &shown.next {
        Ok(to) => *to,
        Err(why) => return not(format!("It is not raised further: {why}.")),
    };
    if let Some(why) = shown.judged.unmet.first() {
        return not(format!("{to} would be next, and its runs do not carry it yet: {why}."));
    }
    let Ok(party) = cx.passkeys.as_ref() else {
        return not("Passkeys need this console on localhost or https.".to_owned());
    };
    if let Err(why) = cx.authority.may_raise(&me.person, &shown.workflow.id)? {
        return not(format!("{to} would be next. {}.", capital(&why.to_string())));
    }
    if shown.waiting.iter().any(|signed| signed.principal.as_ref() == Some(&me.person.id)) {
        let other = match shown.workflow.owner == me.person.id {
            true => "somebody else with the role owner, operator or approver, who did not write it",
            false => "its owner",
        };
        return not(format!("You signed that it is raised to {to}. Now {other} signs."));
    }
    let credentials = cx.authority.signing_passkeys(&me.person.principal.alias)?;
    if credentials.is_empty() {
        return not("None of your passkeys may sign yet: a new one counts after a day.".to_owned());
    }
    let now = Timestamp::from_seconds(cx.authority.host().now().seconds());
    let Some(raise) = shown.raise(now.plus_seconds(MAX_RAISE_SECONDS)) else {
        return not("It is not raised further.".to_owned());
    };
    Ok(Raising::Passkey {
        to: to.as_str(),
        credentials: credentials.join(" "),
        relying_party: party.relying_party().to_owned(),
        challenge: base64url(raise.digest().bytes()),
        digest: raise.digest().to_string(),
        statement: raise.statement().canonical(),
        until: Moment::of(raise.expires),
    })
}

/// A sentence that is written for a terminal, without the marks around names, and with
/// figures by the titles that they have on pages.
fn plain(text: &str) -> Text {
    let titled = Measure::ALL.iter().fold(text.to_owned(), |text, measure| {
        let title = format!("“{}”", super::figures::title(*measure));
        text.replace(&format!("`{}`", measure.as_str()), &title)
    });
    Text::of(titled.replace('`', ""))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| format!("{}{}", c.to_uppercase(), chars.as_str()))
}

fn version_lines(id: &WorkflowId, all: &[Publication]) -> Vec<VersionLine> {
    let before = all.iter().skip(1).map(Some).chain(std::iter::once(None));
    let line = |(version, before): (&Publication, Option<&Publication>)| {
        let digest = version.workflow.digest();
        VersionLine {
            digest: digest.to_string(),
            label: Text::of(&version.workflow.version),
            at: Moment::of(version.time),
            entry: version.index,
            levels: (version.workflow.level.as_str(), version.workflow.supports().as_str()),
            is_current: version.is_current,
            changes: before.map(|before| {
                let from = before.workflow.digest();
                format!("{}/changes?from={from}&to={digest}", path(id))
            }),
        }
    };
    all.iter().zip(before).take(MAX_VERSIONS).map(line).collect()
}

pub(super) async fn differences(Path(text): Path<String>, visit: Visit) -> Response {
    let query = visit.query().to_owned();
    visit
        .read(move |cx, me| {
            let (id, form) = (id(&text)?, Form::parse(query.as_bytes()));
            let digest = |name| Digest::from_text(form.first(name)).ok_or(Failure::NotFound);
            // Whoever may not see the workflow sees none of its versions.
            cx.authority.workflow_for(&me.person, &id)?;
            let (_, from) = cx.authority.workflow_at(&id, Some(&digest("from")?))?;
            let (_, to) = cx.authority.workflow_at(&id, Some(&digest("to")?))?;
            let found = Difference::between(&from, &to);
            let side = |value: &Option<Json>| {
                value.as_ref().map(|value| match value.as_str() {
                    Some(text) => Text::short(text, MAX_SIDE),
                    None => Text::short(Text::of_json(value).as_str(), MAX_SIDE),
                })
            };
            let changes = found.changes.iter().take(MAX_CHANGES).map(|change| ChangeLine {
                place: Text::of(change.place()),
                before: side(&change.before),
                after: side(&change.after),
                widens: change.widens,
            });
            let template = WorkflowChangesPage {
                frame: cx.frame(Some(me), Some(Section::Workflows)),
                path: path(&id),
                id: Text::of(id.as_str()),
                versions: [
                    (Text::of(&from.version), from.digest().to_string()),
                    (Text::of(&to.version), to.digest().to_string()),
                ],
                permitted: (found.permitted.0.as_str(), found.permitted.1.as_str()),
                changes: changes.collect(),
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

pub(super) async fn lower(Path(text): Path<String>, visit: Visit) -> Response {
    visit
        .change(move |cx, me, form| {
            let id = id(&text)?;
            let to: Level = form.first("level").parse().map_err(|_| Failure::NotFound)?;
            cx.authority.lower_autonomy(Some(&me.person), &id, to, form.first("reason"))?;
            Ok(see(&format!("{}#autonomy", path(&id))))
        })
        .await
}

/// The statement that the page showed, as its script sends it back.
fn stated(workflow: &WorkflowId, text: &str) -> Option<Raise> {
    let said = Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).ok()?;
    let said = said.as_object()?;
    let text = |name: &str| said.member(name)?.as_str().map(str::to_owned);
    let digest = |name: &str| Digest::from_text(&text(name)?);
    let time = |name: &str| {
        let number = said.member(name)?.as_number()?.as_plain_integer()?;
        Some(Timestamp::from_seconds(number))
    };
    let changes = said.member("changes")?.as_number()?.as_plain_integer()?;
    Some(Raise {
        workflow: workflow.clone(),
        version: digest("version")?,
        from: text("from")?,
        to: text("to")?,
        changes: u32::try_from(changes).ok()?,
        figures: digest("figures")?,
        until: time("until")?,
        expires: time("expires")?,
    })
}

pub(super) async fn raise(Path(text): Path<String>, visit: Visit) -> Response {
    visit
        .script_signed_in(move |cx, me, _, sent| {
            let id = id(&text)?;
            let terms = sent.as_object().and_then(|o| o.member("terms")?.as_str());
            let raise = terms.and_then(|terms| stated(&id, terms)).ok_or(Failure::NotFound)?;
            let assertion = Assertion::from_browser(member(sent, "credential")?);
            let assertion = assertion.map_err(ApprovalError::Assertion).map_err(Refusal::from)?;
            let sayer = Sayer::Person(me.person.principal.alias.clone());
            cx.authority.raise_autonomy(sayer, &id, raise, Signed::Passkey(assertion))?;
            // Without a fragment: to one, the browser would not read the page again.
            Ok(json(Object::new().with("location", path(&id))))
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_reads_back_as_what_was_shown_and_nothing_else_does() {
        let workflow = WorkflowId::parse("support").unwrap();
        let raise = Raise {
            workflow: workflow.clone(),
            version: Digest::from_array([1; 32]),
            from: "supervised".to_owned(),
            to: "bounded".to_owned(),
            changes: 4,
            figures: Digest::from_array([2; 32]),
            until: Timestamp::from_seconds(1_700_000_000),
            expires: Timestamp::from_seconds(1_700_000_600),
        };
        let shown = raise.statement().canonical();
        assert_eq!(stated(&workflow, &shown), Some(raise));
        for bad in [
            "",
            "{}",
            "[]",
            "{\"version\":1}",
            &shown.replace("\"changes\":4", "\"changes\":-4"),
            &shown.replace("1700000000", "\"soon\""),
        ] {
            assert_eq!(stated(&workflow, bad), None, "{bad}");
        }
    }
}
