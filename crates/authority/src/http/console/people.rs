//! Other people: an owner lets them in again, stops them, ends their account.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::ids::{Alias, PrincipalId};
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Principal, Status, StoreError, Stored, Subject, View};

use super::confirm::{Question, Verb};
use super::form::Part;
use super::views::agent_line;
use super::{Failure, Inner, Me, Visit, page, see};
use crate::console::{
    HeirChoice, LinkPage, Moment, OffboardPage, PasskeyLine, PeoplePage, PersonLine, PersonPage,
    Section, Text,
};
use crate::people::roles::Deed;
use crate::refusal::Refusal;
use crate::rules::life::Administrator;

/// People who may take over on one page at most.
const MAX_PEOPLE: usize = 500;
/// Grants that are counted.
const MAX_GRANTS: u32 = 1000;

fn person_line(view: &View<'_>, found: &Principal) -> Result<PersonLine, StoreError> {
    let alias = &found.alias;
    let subject = [Subject::Principal { alias: alias.clone() }];
    let credentials = view.credentials_of(alias)?;
    Ok(PersonLine {
        name: found.id.as_ref().map(|id| Text::of(id.as_str())),
        path: format!("/people/{alias}"),
        roles: view.roles_of(alias)?,
        passkeys: credentials.iter().filter(|c| crate::rules::credentials::stands(c)).count(),
        agents: view.agents_of_owner(alias)?.len(),
        status: found.status,
        revoked: view.is_revoked(&subject)?.is_some(),
    })
}

pub(super) async fn list(visit: Visit) -> Response {
    let query = visit.query().to_owned();
    visit
        .read(move |cx, me| {
            me.require(Deed::TendPeople)?;
            let (mut people, next) = cx.authority.store().read(|view| {
                let mut found = view.principals()?;
                found.sort_by_key(|p| (p.status == Status::Retired, p.row.id.clone()));
                let part = Part::of(found, &query);
                let lines = part.rows.iter().map(|p| person_line(view, p));
                Ok::<_, StoreError>((lines.collect::<Result<Vec<_>, _>>()?, part.next))
            })?;
            people.sort_by_key(|p| !p.is_open());
            let frame = cx.frame(Some(me), Some(Section::People));
            Ok(page(StatusCode::OK, &PeoplePage { frame, people, next }))
        })
        .await
}

/// The principal of a page's address, for whoever may tend people.
fn found(cx: &Inner, me: &Me, alias: &str) -> Result<Stored<Principal>, Failure> {
    me.require(Deed::TendPeople)?;
    let alias = Alias::parse(alias).map_err(|_| Failure::NotFound)?;
    let found = cx.authority.store().read(|view| view.principal_by_alias(&alias))?;
    found.ok_or(Failure::NotFound)
}

/// The same with its name, which is needed to do anything to it.
fn named(cx: &Inner, me: &Me, alias: &str) -> Result<(Principal, PrincipalId), Failure> {
    let found = found(cx, me, alias)?.row;
    let id = found.id.clone().ok_or(Failure::NotFound)?;
    Ok((found, id))
}

fn open_grants(view: &View<'_>, alias: &Alias, now: Timestamp) -> Result<usize, StoreError> {
    let subject = [Subject::Principal { alias: alias.clone() }];
    if view.is_revoked(&subject)?.is_some() {
        return Ok(0);
    }
    let grants = view.grants_of_principal(alias, MAX_GRANTS)?;
    Ok(grants.iter().filter(|grant| grant.expires > now).count())
}

pub(super) async fn person(Path(alias): Path<String>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let principal = found(cx, me, &alias)?;
            let (alias, now) = (&principal.alias, cx.authority.host().now());
            let (person, grants, agents) = cx.authority.store().read(|view| {
                let agents = view.agents_of_owner(alias)?;
                let agents = agents.iter().map(|agent| agent_line(view, agent));
                let agents = agents.collect::<Result<Vec<_>, StoreError>>()?;
                let line = person_line(view, &principal)?;
                Ok::<_, StoreError>((line, open_grants(view, alias, now)?, agents))
            })?;
            let passkeys = cx.authority.passkeys(alias)?;
            let template = PersonPage {
                frame: cx.frame(Some(me), Some(Section::People)),
                person,
                alias: alias.to_string(),
                is_self: *alias == me.person.principal.alias,
                grants,
                passkeys: passkeys.iter().map(PasskeyLine::of).collect(),
                agents,
                workflows: cx.authority.workflows_of_owner(alias)?,
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

/// What gives or ends a whole account is asked for by somebody who just
/// proved who they are.
fn is_fresh(cx: &Inner, me: &Me) -> Result<(), Refusal> {
    Ok(me.person.session.check_fresh(cx.authority.host().now())?)
}

fn by(me: &Me) -> Administrator {
    Administrator::SignedIn(me.person.principal.alias.clone())
}

pub(super) async fn ask_link(Path(alias): Path<String>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let (_, id) = named(cx, me, &alias)?;
            if is_fresh(cx, me).is_err() {
                return Ok(see(&format!("/login?next=/people/{alias}/link&again=1")));
            }
            let question = Question {
                title: "Make a new passkey link?",
                what: Text::of(id.as_str()),
                consequences: vec![
                    format!("Whoever opens it first becomes {}.", Text::of(id.as_str())),
                    "Links that were made before end. Passkeys that are lost stay until they are removed."
                        .to_owned(),
                    "The ledger says that you made it, and they see that on their own page.".to_owned(),
                ],
                action: format!("/people/{alias}/link"),
                button: "Make the link",
                back: format!("/people/{alias}"),
                is_final: false,
            };
            Ok(question.page(cx, me, Section::People))
        })
        .await
}

pub(super) async fn link(Path(alias): Path<String>, visit: Visit) -> Response {
    visit
        .change(move |cx, me, _| {
            let (_, id) = named(cx, me, &alias)?;
            is_fresh(cx, me)?;
            let secret = cx.authority.enrolment_link_by(&id, &by(me))?;
            let until = cx.authority.invited(&secret)?.until;
            let issuer = &cx.authority.installation().issuer;
            let template = LinkPage {
                frame: cx.frame(Some(me), Some(Section::People)),
                name: Text::of(id.as_str()),
                path: format!("/people/{alias}"),
                link: format!("{issuer}/enrol/{}", secret.reveal()),
                until: Moment::of(until),
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

/// What may be done to an account for a while.
fn verb(text: &str) -> Result<Verb, Failure> {
    Ok(match text {
        "suspend" => Verb {
            status: Status::Suspended,
            title: "Suspend this account?",
            button: "Suspend it",
            consequence: "Nothing they granted works, they cannot sign in, and their agents cannot act until the account is resumed.",
        },
        "resume" => Verb {
            status: Status::Active,
            title: "Resume this account?",
            button: "Resume it",
            consequence: "What they granted works again while it lasts, and so do their agents.",
        },
        _ => return Err(Failure::NotFound),
    })
}

pub(super) async fn ask_status(
    Path((alias, text)): Path<(String, String)>,
    visit: Visit,
) -> Response {
    visit
        .read(move |cx, me| {
            let (_, id) = named(cx, me, &alias)?;
            let (what, back) = (Text::of(id.as_str()), format!("/people/{alias}"));
            Ok(verb(&text)?.question(what, back, &text).page(cx, me, Section::People))
        })
        .await
}

pub(super) async fn status(Path((alias, text)): Path<(String, String)>, visit: Visit) -> Response {
    visit
        .change(move |cx, me, _| {
            let verb = verb(&text)?;
            let (_, id) = named(cx, me, &alias)?;
            cx.authority.principal_status_by(&id, verb.status, &by(me))?;
            Ok(see(&format!("/people/{alias}")))
        })
        .await
}

pub(super) async fn ask_offboard(Path(alias): Path<String>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let (leaving, id) = named(cx, me, &alias)?;
            if is_fresh(cx, me).is_err() {
                return Ok(see(&format!("/login?next=/people/{alias}/offboard&again=1")));
            }
            let now = cx.authority.host().now();
            let (grants, agents, mut others) = cx.authority.store().read(|view| {
                let grants = open_grants(view, &leaving.alias, now)?;
                Ok::<_, StoreError>((
                    grants,
                    view.agents_of_owner(&leaving.alias)?,
                    view.principals()?,
                ))
            })?;
            others.retain(|p| p.status == Status::Active && p.alias != leaving.alias);
            others.sort_by_key(|p| p.row.id.clone());
            let agents = agents.iter().filter(|agent| agent.status != Status::Retired);
            let heirs = others.iter().take(MAX_PEOPLE).filter_map(|p| {
                let name = Text::of(p.id.as_ref()?.as_str());
                Some(HeirChoice { alias: p.alias.to_string(), name })
            });
            let template = OffboardPage {
                frame: cx.frame(Some(me), Some(Section::People)),
                name: Text::of(id.as_str()),
                path: format!("/people/{alias}"),
                grants,
                agents: agents.map(|agent| Text::of(agent.id.as_str())).collect(),
                heirs: heirs.collect(),
                workflows: cx.authority.workflows_of_owner(&leaving.alias)?,
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

pub(super) async fn offboard(Path(alias): Path<String>, visit: Visit) -> Response {
    visit
        .change(move |cx, me, form| {
            let (_, id) = named(cx, me, &alias)?;
            is_fresh(cx, me)?;
            let to = match form.first("agents_to") {
                "" => None,
                heir => Some(named(cx, me, heir)?.1),
            };
            let left = cx.authority.offboard(&id, to.as_ref(), &by(me), form.first("reason"))?;
            drop(cx.accounts.end(left.taken));
            Ok(see(&format!("/people/{alias}")))
        })
        .await
}
