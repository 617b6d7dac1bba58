//! `audit`: read and verify the ledger.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use bailiwick_authority::Erasure;
use bailiwick_core::ids::{ActionId, Alias, EntryId, PrincipalId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Action, Filter, StoreError, StoredEntry};

use crate::args::{AuditVerb, QueryArgs};
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::keyfile;
use crate::output::{Output, pretty};
use crate::table::{ACTION_COLUMNS, action_row, table};

use super::evidence::note_reading;

mod verify;

pub(super) fn run(verb: AuditVerb, dir: &Path, out: Output) -> Result<ExitCode, CliError> {
    let open = || DataDir::open(dir);
    match verb {
        // It needs no data dir, and opening one writes.
        AuditVerb::Verify(args) => return verify::run(&args, dir, out),
        AuditVerb::Tail { lines, follow } => tail(&open()?, lines, follow, out)?,
        AuditVerb::Query(args) => query(&open()?, &args, out)?,
        AuditVerb::Show { id, plaintext } => show(&open()?, &id, plaintext, out)?,
        AuditVerb::Erase { what, yes } => erase(&open()?, &what, yes, out)?,
        AuditVerb::Checkpoint { save } => checkpoint(&open()?, save.as_deref(), out)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn entry_line(e: &StoredEntry) -> String {
    let s = &e.subjects;
    let parts = [&s.agent, &s.tool, &s.decision, &s.reason];
    let about: Vec<&str> = parts.into_iter().filter_map(Option::as_deref).collect();
    format!("{:>6}  {}  {:<22} {}", e.index, e.time, e.kind, about.join("  "))
}

fn entry_json(e: &StoredEntry) -> Object {
    match Json::parse(&e.leaf, &JsonLimits::DEFAULT) {
        Ok(Json::Object(o)) => o.with("index", e.index),
        _ => Object::new().with("index", e.index),
    }
}

fn tail(data: &DataDir, lines: u64, follow: bool, out: Output) -> Result<(), CliError> {
    let size = data.store().read(|v| -> Result<_, StoreError> { v.log_size() })?;
    let mut from = size.saturating_sub(lines);
    loop {
        let entries = data.store().read(|v| v.tail(from, 1000))?;
        for e in &entries {
            out.result(entry_json(e), entry_line(e));
            from = e.index.saturating_add(1);
        }
        if entries.is_empty() {
            if !follow {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(250));
        }
    }
}

/// A principal's alias from its name; an alias is taken as it is.
fn alias(data: &DataDir, text: &str) -> Result<String, CliError> {
    match PrincipalId::parse(text) {
        Ok(id) => Ok(data.authority.principal(&id)?.row.alias.to_string()),
        // What is neither is told as the name that it was meant to be.
        Err(e) => Alias::parse(text).map(|alias| alias.to_string()).map_err(|_| e.into()),
    }
}

/// A principal's name from its alias, unless it was erased.
fn name(data: &DataDir, alias: Option<&str>) -> Result<Option<String>, CliError> {
    let Some(alias) = alias.and_then(|a| Alias::parse(a).ok()) else { return Ok(None) };
    let row = data.store().read(|v| v.principal_by_alias(&alias))?;
    Ok(row.and_then(|p| p.row.id.map(|id| id.to_string())))
}

pub(super) fn time(text: Option<&str>) -> Result<Option<Timestamp>, CliError> {
    text.map(|t| {
        t.parse().map_err(|_| {
            CliError::usage(
                "time-malformed",
                format!("`{t}` is no time"),
                "write 2026-11-24T05:00:00Z",
            )
        })
    })
    .transpose()
}

/// What became of an action: its outcome, or why nothing left.
fn outcome(action: &Action) -> String {
    match (&action.completed, action.decided.subjects.decision.as_deref()) {
        (Some(completed), _) => completed.subjects.reason.clone().unwrap_or_default(),
        (None, Some("allow")) => "unknown".to_owned(),
        (None, _) => "not_executed".to_owned(),
    }
}

fn action_json(data: &DataDir, action: &Action) -> Result<Object, CliError> {
    let s = &action.decided.subjects;
    let reason = s.decision.as_deref().filter(|d| *d != "allow").and(s.reason.clone());
    let mut object = Object::new()
        .with("action", s.action.clone())
        .with("time", action.decided.time.to_string())
        .with("index", action.decided.index)
        .with("entry", &action.decided.id)
        .with("decision", s.decision.clone());
    let members = [
        ("principal", s.principal.clone()),
        ("principal_id", name(data, s.principal.as_deref())?),
        ("agent", s.agent.clone()),
        ("instance", s.instance.clone()),
        ("workflow", s.workflow.clone()),
        ("task", s.task.clone()),
        ("run", s.run.clone()),
        ("grant", s.grant.clone()),
        ("delegation", s.delegation.clone()),
        ("tool", s.tool.clone()),
        ("reason", reason),
    ];
    for (member, value) in members {
        if let Some(value) = value {
            object.insert(member, value);
        }
    }
    if action.completed.is_some() || s.decision.as_deref() != Some("allow") {
        object.insert("outcome", outcome(action));
    }
    Ok(object)
}

fn query(data: &DataDir, args: &QueryArgs, out: Output) -> Result<(), CliError> {
    let filter = Filter {
        principal: args.principal.as_deref().map(|p| alias(data, p)).transpose()?,
        agent: args.agent.as_deref().map(agent_name),
        task: args.task.as_deref().map(|t| task_id(data, t)).transpose()?,
        tool: args.tool.as_deref().map(|t| tool_id(data, t)).transpose()?,
        decision: args.decision.clone(),
        since: time(args.from.as_deref())?,
        until: time(args.until.as_deref())?,
        limit: args.limit,
        ..Filter::default()
    };
    let mut actions = data.store().read(|v| v.actions(&filter))?;
    actions.sort_by_key(|a| a.decided.index);
    let mut list = Vec::with_capacity(actions.len());
    let mut rows = Vec::with_capacity(actions.len());
    for action in &actions {
        let object = action_json(data, action)?;
        let mut row = vec![action.decided.time.to_string()];
        row.extend(action_row(&object, &outcome(action)));
        row.push(action.decided.subjects.action.clone().unwrap_or_default());
        rows.push(row);
        list.push(Json::from(object));
    }
    let text = if rows.is_empty() {
        "no action fits".to_owned()
    } else {
        table(&[&["time"], &ACTION_COLUMNS[..], &["action"]].concat(), &rows)
    };
    out.result(Object::new().with("actions", list), text);
    if !rows.is_empty() {
        out.next(&[
            "bailiwick audit show ACTION",
            "bailiwick evidence get ACTION -o evidence.json",
        ]);
    }
    Ok(())
}

/// The agent, also without its prefix, as the table shows it.
fn agent_name(text: &str) -> String {
    if text.contains(':') { text.to_owned() } else { format!("agent:{text}") }
}

/// The task, also by the end of its id, as the table shows it.
fn task_id(data: &DataDir, text: &str) -> Result<String, CliError> {
    let end = text.trim_start_matches('…');
    let filter = Filter {
        kind: Some(Kind::TaskCreated),
        limit: bailiwick_store::MAX_RESULTS,
        ..Filter::default()
    };
    let made = data.store().read(|v| v.query(&filter))?;
    let mut found = made.iter().filter_map(|e| e.subjects.task.as_deref());
    let mut found = found.by_ref().filter(|id| id.ends_with(end));
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id.to_owned()),
        (None, _) => Err(no_such("task", text)),
        (Some(_), Some(_)) => Err(ambiguous("task", text)),
    }
}

/// The tool id, also by the tool's own name, as the table shows it.
fn tool_id(data: &DataDir, text: &str) -> Result<String, CliError> {
    if text.contains(':') {
        return Ok(text.to_owned());
    }
    let mut found = Vec::new();
    for server in data.authority.tool_servers()? {
        for pin in data.authority.pins(&server.name)? {
            let id = pin.tool.to_string();
            if id.rsplit(['/', ':']).next() == Some(text) {
                found.push(id);
            }
        }
    }
    match found.as_slice() {
        [id] => Ok(id.clone()),
        [] => Err(no_such("tool", text)),
        _ => Err(ambiguous("tool", text)),
    }
}

fn no_such(what: &str, text: &str) -> CliError {
    CliError::not_found(
        "unknown-name",
        format!("there is no {what} `{text}`"),
        "see `bailiwick audit query` without this filter",
    )
}

fn ambiguous(what: &str, text: &str) -> CliError {
    CliError::usage(
        "name-ambiguous",
        format!("more than one {what} could be meant by `{text}`"),
        "pass the whole id, as `--json` shows it",
    )
}

fn show(data: &DataDir, id: &str, plaintext: bool, out: Output) -> Result<(), CliError> {
    let action = match ActionId::parse(id) {
        Ok(id) => data.store().read(|v| v.action(&id))?,
        Err(_) => None,
    };
    if let Some(action) = action {
        return show_action(data, &action, plaintext, out);
    }
    let entry = match (id.parse::<u64>(), EntryId::parse(id)) {
        (Ok(index), _) => data.store().read(|v| v.entry(index))?,
        (_, Ok(id)) => data.store().read(|v| v.entry_by_id(&id))?,
        _ => None,
    };
    let Some(entry) = entry else {
        return Err(CliError::not_found(
            "not-found",
            format!("the ledger has no action or entry `{id}`"),
            "look with `bailiwick audit query` or `audit tail`",
        ));
    };
    let mut object = entry_json(&entry);
    if plaintext {
        object.insert("plaintext", texts(data, entry.id.as_str(), &entry.id)?);
    }
    let pretty = pretty(&Json::Object(object.clone()));
    out.result(object, pretty);
    Ok(())
}

/// The texts beside an entry, but its row; that they were read, as `of`, is an entry.
fn texts(data: &DataDir, of: &str, entry: &EntryId) -> Result<Object, CliError> {
    note_reading(data, &ActionId::parse(of)?)?;
    let texts = data.store().read(|v| v.read_plaintext(entry))?.unwrap_or_default();
    let shown = texts.into_iter().filter(|(field, _)| field != "row");
    Ok(shown.map(|(field, disclosure)| (field, disclosure.value)).collect())
}

fn show_action(
    data: &DataDir,
    action: &Action,
    plaintext: bool,
    out: Output,
) -> Result<(), CliError> {
    let mut object = action_json(data, action)?;
    if let Ok(Json::Object(entry)) = Json::parse(&action.decided.leaf, &JsonLimits::DEFAULT)
        && let Some(body) = entry.member("body")
    {
        object.insert("record", body.clone());
    }
    if plaintext {
        let entry = &action.decided.id;
        let of = action.decided.subjects.action.as_deref().unwrap_or(entry.as_str());
        object.insert("plaintext", texts(data, of, entry)?);
    }
    let text = pretty(&Json::Object(object.clone()));
    out.result(object, text);
    Ok(())
}

fn erase(data: &DataDir, what: &str, yes: bool, out: Output) -> Result<(), CliError> {
    if !yes {
        return Err(CliError::usage(
            "not-confirmed",
            format!("the texts about `{what}` would be erased for good"),
            "get the evidence that must stay provable first, then pass --yes",
        ));
    }
    let erased = data.authority.erase(&erasure(data, what)?)?;
    let object = Object::new().with("erased", what).with("entries", erased.entries);
    let text = format!("erased the texts of {} entries; the ledger says so", erased.entries);
    out.result(object, text);
    out.next(&["bailiwick audit verify   # every entry and proof still holds"]);
    Ok(())
}

fn erasure(data: &DataDir, what: &str) -> Result<Erasure, CliError> {
    if what.contains(':') {
        return Ok(Erasure::Principal(PrincipalId::parse(what)?));
    }
    if let Ok(action) = ActionId::parse(what)
        && data.store().read(|v| v.action(&action))?.is_some()
    {
        return Ok(Erasure::Action(action));
    }
    Ok(Erasure::Entry(EntryId::parse(what)?))
}

fn checkpoint(data: &DataDir, save: Option<&Path>, out: Output) -> Result<(), CliError> {
    data.sequence()?;
    let checkpoint = data.store().checkpoint()?.ok_or_else(|| {
        CliError::environment("no-checkpoint", "nothing is published yet", "try again in a second")
    })?;
    let text = checkpoint.to_string();
    if let Some(path) = save {
        keyfile::write_new(path, &text)?;
    }
    let object = Object::new()
        .with("checkpoint", text.as_str())
        .with("entries", checkpoint.unverified().size())
        .with("saved", save.map(|p| p.display().to_string()));
    let saved = save.map(|p| format!("\nsaved to {}; keep it elsewhere", p.display()));
    out.result(object, format!("{}{}", text.trim_end(), saved.unwrap_or_default()));
    if let Some(path) = save {
        out.next(&[&format!("bailiwick audit verify --since {}", path.display())]);
    }
    Ok(())
}
