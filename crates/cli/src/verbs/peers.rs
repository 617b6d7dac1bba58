//! `peers` and `handoff`: who is here, who met whom, who handed what to whom.

use std::path::Path;
use std::process::ExitCode;

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{HandoffId, TaskId};
use bailiwick_core::json::{Json, Object};
use bailiwick_evidence::{Trust, verify_handoff};

use super::place::{Place, text};
use crate::args::HandoffVerb;
use crate::error::{CliError, ended};
use crate::keyfile;
use crate::output::{Output, one_line};
use crate::table::{NONE, table};

/// Shown at most.
const MOST: u32 = 200;
const MAX_FILE: u64 = 512 << 10;

/// The agents of this trust domain as peers.
pub(super) fn peers(place: &Place, out: Output) -> Result<(), CliError> {
    let answer = match place {
        Place::Here(data) => data.authority.peers()?.to_json(),
        Place::At(login) => Place::get(login, "/peers")?,
    };
    let agents = answer.member("agents").and_then(Json::as_array).unwrap_or_default();
    let rows: Vec<Vec<String>> = agents
        .iter()
        .filter_map(Json::as_object)
        .map(|agent| {
            let number = |name: &str| agent.member(name).map_or_else(String::new, Json::canonical);
            let last = match text(agent, "last_handshake") {
                "" => NONE,
                last => last,
            };
            vec![
                one_line(text(agent, "spiffe_id")),
                text(agent, "status").to_owned(),
                number("instances"),
                number("handed"),
                number("taken"),
                number("refused"),
                last.to_owned(),
            ]
        })
        .collect();
    let said = match rows.is_empty() {
        true => "no agent is registered".to_owned(),
        false => table(
            &[
                "identity",
                "status",
                "instances",
                "handed on",
                "taken over",
                "turned away",
                "last handshake",
            ],
            &rows,
        ),
    };
    out.result(answer, said);
    out.next(&["bailiwick handoff list"]);
    Ok(())
}

/// What is verified offline needs no place.
pub(super) fn handoff(
    verb: &HandoffVerb,
    place: impl FnOnce() -> Result<Place, CliError>,
    out: Output,
) -> Result<ExitCode, CliError> {
    match verb {
        HandoffVerb::List { task } => list(&place()?, task.as_deref(), out)?,
        HandoffVerb::Show { id, out: file } => {
            show(&place()?, id, file.as_deref(), out)?;
        }
        HandoffVerb::Verify { file, trust } => return verify(file, trust.as_deref(), out),
    }
    Ok(ExitCode::SUCCESS)
}

fn list(place: &Place, task: Option<&str>, out: Output) -> Result<(), CliError> {
    let task = task.map(TaskId::parse).transpose()?;
    let found = match place {
        Place::Here(data) => {
            let found = data.authority.handoffs(None, task.as_ref(), MOST)?;
            found.iter().map(|listed| listed.to_json().into()).collect()
        }
        Place::At(login) => {
            let query = task.map_or_else(String::new, |task| format!("?task={task}"));
            Place::list_of(login, &format!("/handoffs{query}"), "handoffs")?
        }
    };
    let rows: Vec<Vec<String>> = found
        .iter()
        .filter_map(Json::as_object)
        .map(|h| {
            let revoked = h.member("revoked") == Some(&Json::Bool(true));
            vec![
                text(h, "handoff").to_owned(),
                if revoked { "revoked".to_owned() } else { text(h, "status").to_owned() },
                one_line(text(h, "from_agent")),
                one_line(text(h, "to_agent")),
                text(h, "guarantee").to_owned(),
                text(h, "task").to_owned(),
                text(h, "offered_at").to_owned(),
            ]
        })
        .collect();
    let said = match rows.is_empty() {
        true => "no agent handed a task to another".to_owned(),
        false => table(&["handoff", "status", "from", "to", "guarantee", "task", "offered"], &rows),
    };
    out.result(Object::new().with("handoffs", found), said);
    out.next(&["bailiwick handoff show HANDOFF_ID"]);
    Ok(())
}

/// The name of a handoff: its id, or a hash.
fn checked(named: &str) -> Result<&str, CliError> {
    if HandoffId::parse(named).is_ok() || Digest::from_text(named).is_some() {
        return Ok(named);
    }
    Err(CliError::usage(
        "handoff-name",
        "a handoff is named by its id, or by the hash of its offer",
        "take it from `bailiwick handoff list`",
    ))
}

fn claims(of: &Object) -> String {
    let claims = of.member("claims").and_then(Json::as_array).unwrap_or_default();
    let line = |claim: &Object| {
        format!(
            "\n    [{}] {}\n      by {}",
            text(claim, "grade"),
            one_line(text(claim, "statement")),
            one_line(text(claim, "speaker"))
        )
    };
    claims.iter().filter_map(Json::as_object).map(line).collect()
}

fn described(h: &Object) -> String {
    let mut said = format!(
        "{}: {}{}\n  from       {}\n  to         {}\n  task       {}\n  purpose    {}\n  guarantee  {}\n  delegation {}\n  offered    {}, until {}",
        text(h, "handoff"),
        text(h, "status"),
        if h.member("revoked") == Some(&Json::Bool(true)) { ", and revoked since" } else { "" },
        one_line(text(h, "from")),
        one_line(text(h, "to")),
        text(h, "task"),
        one_line(text(h, "purpose")),
        text(h, "guarantee"),
        text(h, "delegation"),
        text(h, "offered_at"),
        text(h, "expires_at"),
    );
    if !text(h, "reason").is_empty() {
        said.push_str(&format!("\n  turned down because {}", one_line(text(h, "reason"))));
    }
    let told = claims(h);
    if !told.is_empty() {
        said.push_str("\n  told");
        said.push_str(&told);
    }
    if let Some(back) = h.member("returned").and_then(Json::as_object) {
        said.push_str(&format!("\n  came back {}, {}", text(back, "status"), text(back, "at")));
        said.push_str(&claims(back));
    }
    said
}

fn show(place: &Place, named: &str, file: Option<&Path>, out: Output) -> Result<(), CliError> {
    let named = checked(named)?;
    if let Some(file) = file {
        let Place::Here(data) = place else {
            return Err(CliError::usage(
                "handoff-file-remote",
                "what both sides signed is written out on the authority's data dir only",
                "run it with --data-dir on the authority's host",
            ));
        };
        let id = data.authority.handoff_named(named)?;
        let json = data.authority.handoff_file(&id)?;
        keyfile::write_new(file, &json.canonical())?;
        out.result(
            Object::new().with("handoff", &id).with("file", file.display().to_string()),
            format!("wrote everything that both sides signed to {}", file.display()),
        );
        out.next(&[
            "bailiwick keys trust -o trust.json   # once; compare its fingerprint",
            &format!("bailiwick handoff verify {} --trust trust.json", file.display()),
        ]);
        return Ok(());
    }
    let shown = match place {
        Place::Here(data) => {
            let id = data.authority.handoff_named(named)?;
            data.authority.handoff_read(None, &id)?.to_json()
        }
        Place::At(login) => Place::get(login, &format!("/handoffs/{named}"))?,
    };
    let id = text(&shown, "handoff").to_owned();
    let (said, task) = (described(&shown), text(&shown, "task").to_owned());
    out.result(shown, said);
    out.next(&[
        &format!("bailiwick handoff show {id} --out handoff.json"),
        &format!("bailiwick handoff list --task {task}"),
    ]);
    Ok(())
}

/// Verifies what two agents signed, offline.
fn verify(file: &Path, trust: Option<&Path>, out: Output) -> Result<ExitCode, CliError> {
    let Some(trust) = trust else {
        return Err(CliError::usage(
            "no-trust-file",
            "without a trust file nothing can be verified: a handoff never brings its own keys",
            "pass --trust FILE; the operator writes one with `bailiwick keys trust`, compare its fingerprint",
        ));
    };
    let trust = Trust::parse(&keyfile::read(trust)?)
        .map_err(|e| CliError::usage(e.code(), e.to_string(), e.remedy()))?;
    let bytes = keyfile::read_up_to(file, MAX_FILE)?;
    let verdict = verify_handoff(&bytes, &trust);
    let (object, said) = match &verdict {
        Ok(proof) => {
            let o = proof.to_json();
            let said = format!(
                "holds: {} handed task {} to {}\n  for        {}\n  purpose    {}\n  guarantee  {}\n  answer     {}",
                one_line(text(&o, "from")),
                text(&o, "task"),
                one_line(text(&o, "to")),
                text(&o, "principal"),
                one_line(text(&o, "purpose")),
                text(&o, "guarantee"),
                match text(&o, "answer") {
                    "" => "none yet",
                    answer => answer,
                },
            );
            (o, said)
        }
        Err(fault) => {
            let object = Object::new()
                .with("holds", false)
                .with("code", fault.code())
                .with("found", fault.to_string())
                .with("remedy", fault.remedy());
            (object, format!("does not hold: {fault}\n  {}", fault.remedy()))
        }
    };
    out.result(object.with("trust", trust.fingerprint()), said);
    Ok(ended(verdict.is_ok()))
}
