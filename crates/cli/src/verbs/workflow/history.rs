//! `workflow history` and `workflow show`: what was published.

use std::path::Path;

use bailiwick_core::ids::WorkflowId;
use bailiwick_core::json::{Json, Object};

use super::diff::digest;
use super::state::State;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::output::Output;
use crate::table::table;

pub(super) fn history(name: &str, dir: &Path, out: Output) -> Result<(), CliError> {
    let id = WorkflowId::parse(name)?;
    let data = DataDir::open(dir)?;
    let history = data.authority.workflow_history(&id)?;
    let shown = data.authority.autonomy(&id)?;
    let (in_force, why) = (shown.level, shown.why());
    let (mut list, mut rows) = (Vec::new(), Vec::new());
    for published in &history {
        let (state, workflow) = (State::of(&published.workflow), &published.workflow);
        let authors: Vec<String> = published.authors.iter().map(ToString::to_string).collect();
        let current = if published.is_current { "current" } else { "" };
        rows.push(vec![
            published.time.to_string(),
            workflow.version.clone(),
            state.declared.to_string(),
            state.permitted.to_string(),
            workflow.owner.to_string(),
            authors.join(", "),
            workflow.digest().to_string(),
            published.entry.to_string(),
            current.to_owned(),
        ]);
        let object = Object::new()
            .with("time", published.time.to_string())
            .with("version", workflow.version.as_str())
            .with("digest", workflow.digest())
            .with("entry", &published.entry)
            .with("index", published.index)
            .with("owner", &workflow.owner)
            .with("authors", published.authors.iter().map(Json::from).collect::<Vec<_>>())
            .with("level", state.declared)
            .with("permitted", state.permitted)
            .with("current", published.is_current);
        list.push(Json::from(object));
    }
    let heads =
        ["published", "version", "level", "at most", "owner", "author", "digest", "entry", ""];
    let object = Object::new()
        .with("workflow", &id)
        .with("in_force", in_force)
        .with("why", why.as_str())
        .with("versions", list);
    out.result(object, format!("{}\nin force: {in_force}, {why}", table(&heads, &rows).trim_end()));
    if let [newest, before, ..] = history.as_slice() {
        let (from, to) = (before.workflow.digest(), newest.workflow.digest());
        out.next(&[&format!("bailiwick workflow diff {id} {from} {to}")]);
    }
    Ok(())
}

pub(super) fn show(
    name: &str,
    version: Option<&str>,
    dir: &Path,
    out: Output,
) -> Result<(), CliError> {
    let id = WorkflowId::parse(name)?;
    let version = version.map(digest).transpose()?;
    let (stored, workflow) = DataDir::open(dir)?.authority.workflow_at(&id, version.as_ref())?;
    let state = State::of(&workflow);
    let object = Object::new()
        .with("workflow", &id)
        .with("digest", stored.digest)
        .with("published", stored.published.to_string())
        .with("entry", &stored.entry)
        .with("owner", &workflow.owner)
        .with("says", workflow.to_json())
        .with("document", stored.document.as_str());
    let text = format!(
        "workflow {id}\n  digest      {}\n  published   {}\n  entry       {}\n  owner       {}\n{}{}\n\n{}",
        stored.digest,
        stored.published,
        stored.entry,
        workflow.owner,
        state.levels(),
        state.gaps(),
        stored.document.trim_end(),
    );
    out.result(state.insert_into(object), text);
    out.next(&[&format!("bailiwick workflow history {id}")]);
    Ok(())
}
