//! `workflow diff`: what one version says otherwise than another.

use std::path::Path;

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::WorkflowId;
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::Workflow;
use bailiwick_policy::workflow::{Change, Difference};

use crate::datadir::DataDir;
use crate::error::CliError;
use crate::output::Output;

/// Characters of a value that are shown.
const SHOWN: usize = 120;

pub(super) fn run(
    what: &str,
    versions: &[String],
    dir: &Path,
    out: Output,
) -> Result<(), CliError> {
    let (before, after, file) = match versions {
        [] => {
            let after = super::read(Path::new(what))?;
            let (_, before) = DataDir::open(dir)?.authority.workflow(&after.id)?;
            ((*before).clone(), after, Some(what))
        }
        [before, after] => {
            let (id, data) = (WorkflowId::parse(what)?, DataDir::open(dir)?);
            let version = |text: &str| -> Result<Workflow, CliError> {
                let (_, workflow) = data.authority.workflow_at(&id, Some(&digest(text)?))?;
                Ok((*workflow).clone())
            };
            (version(before)?, version(after)?, None)
        }
        _ => {
            return Err(CliError::usage(
                "versions-not-two",
                "one version is compared with another",
                "give a file alone, or a name and two digests of `bailiwick workflow history NAME`",
            ));
        }
    };
    tell(&before, &after, file, out);
    Ok(())
}

pub(super) fn digest(text: &str) -> Result<Digest, CliError> {
    Digest::from_text(text).ok_or_else(|| {
        CliError::usage(
            "digest-malformed",
            format!("`{text}` is no digest"),
            "copy it from `bailiwick workflow history NAME`",
        )
    })
}

fn tell(before: &Workflow, after: &Workflow, file: Option<&str>, out: Output) {
    let found = Difference::between(before, after);
    let widening = found.changes.iter().filter(|change| change.widens).count();
    let changes: Vec<Json> = found.changes.iter().map(Change::to_json).collect();
    let (from, to) = found.permitted;
    let object = Object::new()
        .with("workflow", &after.id)
        .with("before", before.digest())
        .with("after", after.digest())
        .with("changes", changes)
        .with("permitted", Object::new().with("before", from).with("after", to))
        .with("widens", found.widens());
    let mut lines =
        vec![format!("workflow {}: {} -> {}", after.id, before.digest(), after.digest())];
    lines.extend(found.changes.iter().map(line));
    if found.changes.is_empty() {
        lines.push("nothing that it says is different".to_owned());
    }
    if from != to {
        let raised = if to > from { "  WIDENS" } else { "" };
        lines.push(format!("level in force: at most {from} -> {to}{raised}"));
    }
    lines.push(format!(
        "{} changed, {widening} of it lets agents do more or might",
        found.changes.len()
    ));
    out.result(object, lines.join("\n"));
    if let (Some(file), false) = (file, found.changes.is_empty()) {
        out.next(&[
            &format!("bailiwick workflow check '{file}'"),
            &format!("bailiwick workflow publish '{file}'"),
        ]);
    }
}

fn line(change: &Change) -> String {
    let value = |json: &Option<Json>| {
        let text = json.as_ref().map(Json::canonical).unwrap_or_default();
        match text.char_indices().nth(SHOWN) {
            Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
            None => text,
        }
    };
    let (mark, what) = match (&change.before, &change.after) {
        (None, after) => ('+', value(after)),
        (before, None) => ('-', value(before)),
        (before, after) => ('~', format!("{} -> {}", value(before), value(after))),
    };
    let widens = if change.widens { "  WIDENS" } else { "" };
    format!("  {mark} {}: {what}{widens}", change.place())
}
