//! Principals, and what the ledger says of one.

use bailiwick_core::ids::PrincipalId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_store::{Filter, Principal, Status, StoreError, Stored};

use super::views::{entry_json, status_of};
use super::{Answer, Call, malformed, may, me};
use crate::Login;
use crate::http::problem::Problem;
use crate::people::roles::{Deed, Role};
use crate::refusal::Refusal;
use crate::rules::life::Administrator;

/// The largest number that every JSON reader keeps (RFC 7493 §2.2).
const LARGEST: u64 = (1 << 53) - 1;
/// Entries in one answer at most, and where nothing is said.
const MOST: u32 = 200;
const USUAL: u32 = 50;

fn refused(refusal: Refusal) -> Problem {
    Problem::from(&refusal)
}

fn failed(error: StoreError) -> Problem {
    refused(error.into())
}

fn principal_json(principal: &Principal, roles: &[String]) -> Object {
    let roles: Vec<Json> = roles.iter().map(|r| Json::from(r.as_str())).collect();
    Object::new()
        .with("principal", principal.id.as_ref().map(|id| id.as_str()))
        .with("alias", &principal.alias)
        .with("status", principal.status.as_str())
        .with("has_key", principal.jwk.is_some())
        .with("roles", roles)
}

pub(super) fn list(call: &Call<'_>, _: Option<&Login>) -> Result<Answer, Problem> {
    let people = call.authority.store().read(|view| {
        let found: Vec<Stored<Principal>> = view.principals()?;
        found
            .iter()
            .map(|p| Ok(Json::from(principal_json(p, &view.roles_of(&p.alias)?))))
            .collect::<Result<Vec<_>, StoreError>>()
    });
    Ok(Answer::ok(Object::new().with("principals", people.map_err(failed)?)))
}

pub(super) fn add(call: &Call<'_>, _: Option<&Login>) -> Result<Answer, Problem> {
    let id = Call::read(call.required("principal")?, PrincipalId::parse)?;
    let jwk = match call.body.member("jwk") {
        None => None,
        Some(Json::Object(jwk)) => Some(jwk),
        Some(_) => return Err(malformed("`jwk` is no object")),
    };
    let added = call.authority.principal_add(&id, jwk).map_err(refused)?;
    Ok(Answer::created(principal_json(&added, &[])))
}

fn named(call: &Call<'_>) -> Result<PrincipalId, Problem> {
    let text = call.path("id");
    PrincipalId::parse(text).map_err(|_| refused(Refusal::unknown("principal", text)))
}

pub(super) fn link(call: &Call<'_>, _: Option<&Login>) -> Result<Answer, Problem> {
    let id = named(call)?;
    let secret = call.authority.enrolment_link(&id).map_err(refused)?;
    let issuer = &call.authority.installation().issuer;
    let link = format!("{issuer}/enrol/{}", secret.reveal());
    Ok(Answer::created(Object::new().with("principal", &id).with("enrolment_link", link)))
}

pub(super) fn status(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let status = status_of(call)?;
    if status == Status::Retired {
        let detail = "an account does not end here";
        let remedy = "offboard the person: `/principals/{id}/offboard`";
        return Err(Problem::new(422, "offboard-instead", detail, remedy));
    }
    let by = Administrator::SignedIn(me(login)?.person.principal.alias.clone());
    call.authority.principal_status_by(&named(call)?, status, &by).map_err(refused)?;
    Ok(Answer::done())
}

pub(super) fn offboard(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let id = named(call)?;
    let heir = call.optional("agents_to")?;
    let heir = heir.map(|text| Call::read(text, PrincipalId::parse)).transpose()?;
    let by = Administrator::SignedIn(me(login)?.person.principal.alias.clone());
    let reason = call.required("reason")?;
    let left = call.authority.offboard(&id, heir.as_ref(), &by, reason).map_err(refused)?;
    let answer = Answer::ok(left.to_json(&id));
    drop(call.accounts.end(left.taken));
    Ok(answer)
}

pub(super) fn role(call: &Call<'_>, _: Option<&Login>) -> Result<Answer, Problem> {
    let role: Role = Call::read(call.required("role")?, str::parse)?;
    let Some(Json::Bool(held)) = call.body.member("held") else {
        return Err(malformed("`held` is missing or not a boolean"));
    };
    call.authority.role_change(&named(call)?, role, *held).map_err(refused)?;
    Ok(Answer::done())
}

pub(super) fn activity(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let login = me(login)?;
    let text = |name: &str| Ok::<_, Problem>(call.query(name)?.map(str::to_owned));
    let number = |name: &str| match call.query(name)? {
        None => Ok(None),
        Some(text) => match text.parse::<u64>() {
            Ok(number) if number <= LARGEST => Ok(Some(number)),
            _ => Err(malformed(format!("`{name}` is no whole number up to 2^53 - 1"))),
        },
    };
    let kind = match call.query("kind")? {
        None => None,
        Some(text) => Some(Kind::parse(text).ok_or_else(|| malformed("`kind` is no kind"))?),
    };
    let limit = match number("limit")? {
        None => USUAL,
        Some(limit) => u32::try_from(limit)
            .ok()
            .filter(|limit| (1..=MOST).contains(limit))
            .ok_or_else(|| malformed(format!("`limit` is from 1 to {MOST}")))?,
    };
    let own_only = !may(login, Deed::SeeActivity);
    let filter = Filter {
        // SECURITY: without the role only what concerns the person.
        principal: own_only.then(|| login.person.principal.alias.to_string()),
        agent: text("agent")?,
        task: text("task")?,
        tool: text("tool")?,
        decision: text("decision")?,
        kind,
        before: number("before")?,
        limit,
        ..Filter::default()
    };
    let entries = call.authority.store().read(|view| view.query(&filter)).map_err(failed)?;
    let entries: Vec<Json> = entries.iter().map(|entry| entry_json(entry).into()).collect();
    Ok(Answer::ok(Object::new().with("entries", entries)))
}
