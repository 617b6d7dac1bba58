//! `requests`: what agents ask for that they lack.

use std::path::Path;

use bailiwick_authority::rules::delegations::Prepared;
use bailiwick_authority::rules::requests::sign_refusal;
use bailiwick_authority::{Granter, Lesser};
use bailiwick_core::grant::Statement;
use bailiwick_core::ids::RequestId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;

use super::parse;
use super::place::{Place, text};
use crate::args::RequestsVerb;
use crate::error::CliError;
use crate::keyfile::PrincipalKey;
use crate::output::{Output, one_line};
use crate::table::table;
use crate::web;

/// Shown at most.
const MOST: u32 = 200;

impl Place {
    fn requests(&self, all: bool) -> Result<Vec<Json>, CliError> {
        match self {
            Self::Here(data) => {
                let found = data.authority.requests(None, all, MOST)?;
                Ok(found.iter().map(|listed| listed.to_json().into()).collect())
            }
            Self::At(login) => {
                let path = if all { "/requests?all=true" } else { "/requests" };
                Self::list_of(login, path, "requests")
            }
        }
    }

    fn request(&self, id: &RequestId) -> Result<Object, CliError> {
        match self {
            Self::Here(data) => Ok(data.authority.request_read(None, id)?.to_json()),
            Self::At(login) => Self::get(login, &format!("/requests/{id}")),
        }
    }

    fn prepare(
        &self,
        id: &RequestId,
        key: &PrincipalKey,
        lesser: &Lesser,
    ) -> Result<Prepared, CliError> {
        match self {
            Self::Here(data) => {
                let granter = Granter::Key(key.id.clone());
                Ok(data.authority.request_prepare(&granter, id, lesser)?)
            }
            Self::At(login) => {
                let mut body = Object::new();
                if !lesser.scope.is_empty() {
                    let scope: Vec<Json> =
                        lesser.scope.iter().map(|s| Json::from(s.as_str())).collect();
                    body.insert("scope", scope);
                }
                if let Some(seconds) = lesser.seconds {
                    body.insert("seconds", seconds);
                }
                let answer = Self::post(login, &format!("/requests/{id}/prepare"), body)?;
                Ok(Prepared::from_json(&answer.into())?)
            }
        }
    }

    fn grant(&self, id: &RequestId, prepared: &Prepared, signed: &str) -> Result<(), CliError> {
        match self {
            Self::Here(data) => {
                data.authority.request_grant(prepared, signed)?;
            }
            Self::At(login) => {
                let body = Object::new()
                    .with("statement", prepared.statement.to_json())
                    .with("seal", prepared.seal.as_str())
                    .with("signed", signed);
                Self::post(login, &format!("/requests/{id}/grant"), body)?;
            }
        }
        Ok(())
    }
}

pub(super) fn run(
    verb: RequestsVerb,
    at: Option<&str>,
    dir: &Path,
    logins: Option<&Path>,
    out: Output,
) -> Result<(), CliError> {
    let place = Place::open(at, dir, logins)?;
    match verb {
        RequestsVerb::List { all } => list(&place, all, out),
        RequestsVerb::Show { id } => show(&place, &RequestId::parse(&id)?, out),
        RequestsVerb::Grant { id, key, scope, lasts } => {
            let seconds = match lasts {
                None => None,
                Some(lasts) => u64::try_from(parse::seconds(&lasts)?).ok(),
            };
            let lesser = Lesser { scope, seconds };
            grant(&place, &RequestId::parse(&id)?, &PrincipalKey::read(&key)?, &lesser, out)
        }
        RequestsVerb::Refuse { id, key, note } => {
            refuse(&place, &RequestId::parse(&id)?, key.as_deref(), note.as_deref(), out)
        }
    }
}

fn texts(object: &Object, name: &str) -> Vec<String> {
    let list = object.member(name).and_then(Json::as_array).unwrap_or_default();
    list.iter().filter_map(Json::as_str).map(str::to_owned).collect()
}

fn list(place: &Place, all: bool, out: Output) -> Result<(), CliError> {
    let found = place.requests(all)?;
    let columns = ["request", "agent", "workflow", "principal", "state", "expires"];
    let rows: Vec<Vec<String>> = found
        .iter()
        .filter_map(Json::as_object)
        .map(|o| columns.iter().map(|name| one_line(text(o, name)).to_string()).collect())
        .collect();
    let shown = match rows.as_slice() {
        [] => "no agent asks for more authority".to_owned(),
        rows => table(&columns, rows),
    };
    let first = found.first().and_then(Json::as_object).map(|o| text(o, "request").to_owned());
    let object = Object::new().with("count", found.len() as u64).with("requests", found);
    out.result(object, shown);
    if let Some(id) = first {
        out.next(&[&format!("bailiwick requests show {id}")]);
    }
    Ok(())
}

/// In plain words, control characters escaped.
fn described(shown: &Object) -> String {
    let of = |name| one_line(text(shown, name)).to_string();
    let seconds = shown.member("seconds").map(Json::canonical).unwrap_or_default();
    let scope: Vec<String> =
        texts(shown, "scope").iter().map(|s| one_line(s).to_string()).collect();
    let mut words = format!(
        "{agent} asks for more, for {principal}'s task\n  scope      {scope}\n  reason     {reason}\n  for        {seconds} seconds\n  purpose    {purpose}\n  workflow   {workflow}\n  task       {task}\n  state      {state}\n  until      {expires}",
        agent = of("agent"),
        principal = of("principal"),
        scope = scope.join("\n             "),
        reason = of("reason"),
        purpose = of("purpose"),
        workflow = of("workflow"),
        task = of("task"),
        state = of("state"),
        expires = of("expires"),
    );
    if !of("decided_by").is_empty() {
        words.push_str(&format!("\n  decided by {} {}", of("decided_by"), of("note")));
    }
    words
}

fn show(place: &Place, id: &RequestId, out: Output) -> Result<(), CliError> {
    let shown = place.request(id)?;
    let words = described(&shown);
    let waits = text(&shown, "state") == "pending";
    out.result(shown, words);
    if waits {
        out.next(&[
            &format!("bailiwick requests grant {id} --key FILE   # all of it; --scope and --for grant less"),
            &format!("bailiwick requests refuse {id} --key FILE --note 'why'"),
        ]);
    }
    Ok(())
}

/// SECURITY: what is signed is an answer to this request, as oneself, with no more
/// than was shown, whatever the authority prepared.
fn is_answer(
    statement: &Statement,
    id: &RequestId,
    key: &PrincipalKey,
    shown: &Object,
    lesser: &Lesser,
) -> Result<(), CliError> {
    let asked = |what: &str, holds: bool| match holds {
        true => Ok(()),
        false => Err(web::unexpected(&format!("it is a grant with another {what}"))),
    };
    let seconds = shown.member("seconds").and_then(|s| s.as_number()?.as_plain_integer());
    let wanted = lesser.seconds.and_then(|s| i64::try_from(s).ok()).or(seconds).unwrap_or(0);
    let scope = if lesser.scope.is_empty() { texts(shown, "scope") } else { lesser.scope.clone() };
    asked("request", statement.request.as_ref() == Some(id))?;
    asked("principal", statement.principal == key.id)?;
    asked("agent", statement.agent.as_str() == text(shown, "agent"))?;
    asked("task", statement.task.as_str() == text(shown, "task"))?;
    asked("workflow", statement.workflow.as_str() == text(shown, "workflow"))?;
    asked("scope", statement.requested.iter().all(|s| scope.contains(s)))?;
    asked("depth", statement.max_depth == 0)?;
    asked("end", statement.not_after.saturating_sub(statement.not_before) <= wanted)
}

fn grant(
    place: &Place,
    id: &RequestId,
    key: &PrincipalKey,
    lesser: &Lesser,
    out: Output,
) -> Result<(), CliError> {
    let shown = place.request(id)?;
    let prepared = place.prepare(id, key, lesser)?;
    let statement = &prepared.statement;
    is_answer(statement, id, key, &shown, lesser)?;
    let signed = statement.sign_request(&*key.key).map_err(web::signing)?;
    place.grant(id, &prepared, &signed)?;
    let until = Timestamp::from_seconds(statement.not_after);
    let scope: Vec<Json> = statement.requested.iter().map(|s| Json::from(s.as_str())).collect();
    let object = Object::new()
        .with("request", id)
        .with("grant", &statement.id)
        .with("principal", &statement.principal)
        .with("task", &statement.task)
        .with("scope", scope)
        .with("not_after", until.to_string());
    let words = format!(
        "{}\n{} grants it as themselves\n  scope      {}\n  until      {until}\n  grant      {}\nthe agent gets it when it asks again",
        described(&shown),
        statement.principal,
        one_line(&statement.requested.join(" ")),
        statement.id,
    );
    out.result(object, words);
    out.next(&[&format!("bailiwick revoke grant {} --reason 'why'", statement.id)]);
    Ok(())
}

fn refuse(
    place: &Place,
    id: &RequestId,
    key: Option<&Path>,
    note: Option<&str>,
    out: Output,
) -> Result<(), CliError> {
    match (place, key) {
        (Place::Here(data), Some(key)) => {
            // SECURITY: known by the key that signs, not by the rights to the data dir.
            let key = PrincipalKey::read(key)?;
            let signed = sign_refusal(id, &*key.key).map_err(web::signing)?;
            let granter = Granter::Key(key.id);
            data.authority.request_refuse(&granter, id, Some(&signed), note)?;
        }
        (Place::Here(_), None) => {
            return Err(CliError::usage(
                "argument-missing",
                "who refuses?",
                "pass --key FILE, or sign in and use --at",
            ));
        }
        (Place::At(login), _) => {
            let body = match note {
                Some(note) => Object::new().with("note", note),
                None => Object::new(),
            };
            Place::post(login, &format!("/requests/{id}/refuse"), body)?;
        }
    }
    let done = "refused: the agent is told when it asks again";
    out.result(Object::new().with("request", id).with("state", "refused"), done);
    out.next(&["bailiwick requests list"]);
    Ok(())
}
