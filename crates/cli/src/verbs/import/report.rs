//! What `import` says: by name which credentials it found and where each goes,
//! and the commands that come next. No credential stands in any of it.

use std::path::{Path, PathBuf};

use bailiwick_core::json::{Json, Object};

use super::plan::{Lot, Plan};
use crate::args::ImportArgs;
use crate::client_config::{Found, How, Use, Value};
use crate::output::{Output, one_line};

/// How far the credentials are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was done.
    Proposed,
    /// All are in files.
    Filed,
    /// What the vault takes is there.
    Moved,
}

const STILL: &str =
    "The file that you named still holds the credentials: remove them there once this works.";

/// What `--yes` would do.
pub(super) fn proposal(plans: &[Plan], args: &ImportArgs, out: Output) {
    let head = format!("found {} tool servers; nothing was changed", plans.len());
    tell(plans, &args.out, head, Stage::Proposed, out);
    let (file, folder) = (args.file.display().to_string(), args.out.display().to_string());
    out.next(&[&format!("bailiwick import {} --out {} --yes", word(&file), word(&folder))]);
}

/// Where there is no data dir.
pub(super) fn commands(plans: &[Plan], folder: &Path, out: Output) {
    let head = format!("read {} tool servers into {}", plans.len(), folder.display());
    tell(plans, folder, head, Stage::Filed, out);
    let mut next = vec!["bailiwick init --yes".to_owned()];
    for plan in plans {
        next.extend(moving(plan, folder));
        next.push(learn(plan, folder));
    }
    next.push(publish(folder));
    out.next(&next.iter().map(String::as_str).collect::<Vec<_>>());
}

/// What was moved.
pub(super) fn done(plans: &[Plan], folder: &Path, out: Output) {
    let head = format!("read {} tool servers into {}", plans.len(), folder.display());
    tell(plans, folder, head, Stage::Moved, out);
    let mut next: Vec<String> = plans.iter().map(|plan| learn(plan, folder)).collect();
    next.push(publish(folder));
    out.next(&next.iter().map(String::as_str).collect::<Vec<_>>());
}

fn publish(folder: &Path) -> String {
    let file = path(folder.join("NAME.yaml"));
    format!("bailiwick workflow publish {file}   # each, once you rated its tools")
}

fn tell(plans: &[Plan], folder: &Path, head: String, stage: Stage, out: Output) {
    let (mut lines, mut list) = (vec![head], Vec::new());
    let done = stage != Stage::Proposed;
    for plan in plans {
        let server = &plan.server;
        let how = match &server.how {
            How::Url(url) => format!("at {url}"),
            How::Program { command, .. } => format!("the program {command}"),
        };
        lines.push(format!("  {} ({}), {}", server.name, one_line(&server.was), one_line(&how)));
        for (found, lot) in plan.lots() {
            let (place, name) = (found.place.as_str(), one_line(&found.name));
            let goes = goes(found, lot, stage);
            lines.push(format!("    credential in the {place}: {name}, {goes}"));
        }
        let said = Object::new()
            .with("tool_server", &server.name)
            .with("was", server.was.as_str())
            .with("credentials", plan.lots().map(|(f, l)| json(f, l, stage)).collect::<Vec<_>>());
        let before = if stage == Stage::Filed { moving(plan, folder) } else { Vec::new() };
        let before: Vec<Json> = before.into_iter().map(Json::from).collect();
        let said = match done {
            true => said.with("before", before).with("next", learn(plan, folder)),
            false => said,
        };
        list.push(Json::from(said));
    }
    if done {
        lines.push(STILL.to_owned());
    }
    let said = Object::new()
        .with("done", done)
        .with("folder", done.then(|| folder.display().to_string()))
        .with("tool_servers", list);
    out.result(said, lines.join("\n"));
}

/// Where a credential goes, in words.
fn goes(found: &Found, lot: &Lot, stage: Stage) -> String {
    let file = &found.file;
    match (lot, stage) {
        (Lot::Vault, Stage::Moved) => format!("now in the vault ({})", kind(found)),
        (Lot::Vault, Stage::Proposed) => format!("would go into the vault ({})", kind(found)),
        (Lot::Vault, Stage::Filed) => format!("now in credentials/{file}, for the vault"),
        (Lot::File { why }, Stage::Proposed) => format!("would go to a file: {why}"),
        (Lot::File { why }, _) => format!("now in credentials/{file}: {why}"),
    }
}

const fn kind(found: &Found) -> &'static str {
    match found.usage {
        Use::Bearer => "bearer",
        Use::Basic { .. } => "basic",
        Use::Header => "header",
        Use::Variable => "environment",
        Use::Nothing => "none",
    }
}

fn json(found: &Found, lot: &Lot, stage: Stage) -> Json {
    let is_filed = stage == Stage::Filed || matches!(lot, Lot::File { .. });
    let why = match lot {
        Lot::Vault => None,
        Lot::File { why } => Some(why.as_str()),
    };
    Object::new()
        .with("place", found.place.as_str())
        .with("name", found.name.as_str())
        .with("kind", kind(found))
        .with("kept", if is_filed { "file" } else { "vault" })
        .with("file", is_filed.then_some(found.file.as_str()))
        .with("why", why)
        .into()
}

/// The commands that catalogue a tool server and put its credentials from their
/// files into the vault.
fn moving(plan: &Plan, folder: &Path) -> Vec<String> {
    let name = &plan.server.name;
    let mut all = Vec::new();
    for (found, _) in plan.lots().filter(|(_, lot)| **lot == Lot::Vault) {
        if all.is_empty() {
            let url = match &plan.server.how {
                How::Url(url) => word(url),
                How::Program { .. } => format!("stdio:{name}"),
            };
            all.push(format!("bailiwick tool-server add {name} --url {url}"));
        }
        let shown = match &found.usage {
            Use::Basic { user } => format!("--basic {}", word(user)),
            Use::Header => format!("--header {}", word(&found.name)),
            Use::Variable => format!("--env {}", word(&found.name)),
            Use::Bearer | Use::Nothing => "--bearer".to_owned(),
        };
        let file = file(folder, &found.file);
        all.push(format!("bailiwick vault set {name} {shown} --secret-file {file}"));
    }
    all
}

/// The command that reads what the server offers and proposes a workflow, as
/// it is typed into a shell. What is in the vault needs no word; other credentials
/// of a program are named by their files.
fn learn(plan: &Plan, folder: &Path) -> String {
    let proposed = path(folder.join(format!("{}.yaml", plan.server.name)));
    let name = &plan.server.name;
    let (command, arguments, environment) = match &plan.server.how {
        How::Url(url) => {
            return format!(
                "bailiwick catalogue learn {name} --url {} --out {proposed}",
                word(url)
            );
        }
        How::Program { command, arguments, environment } => (command, arguments, environment),
    };
    let shell = |value: &Value| match value {
        Value::Plain(text) => word(text),
        Value::Kept(kept) => format!("\"$(cat {})\"", file(folder, kept)),
    };
    let is_held = |value: &Value| match value {
        Value::Plain(_) => false,
        Value::Kept(kept) => plan.lots().any(|(f, lot)| f.file == *kept && *lot == Lot::Vault),
    };
    let (mut before, mut passed) = (String::new(), String::new());
    for (variable, value) in environment.iter().filter(|(_, value)| !is_held(value)) {
        before.push_str(&format!("{}={} ", variable, shell(value)));
        passed.push_str(&format!(" --env {}", word(variable)));
    }
    let mut all = vec![word(command)];
    all.extend(arguments.iter().map(shell));
    let command = all.join(" ");
    format!("{before}bailiwick catalogue learn {name}{passed} --out {proposed} -- {command}")
}

fn file(folder: &Path, name: &str) -> String {
    path(folder.join("credentials").join(name))
}

fn path(path: PathBuf) -> String {
    word(&path.display().to_string())
}

/// A text as one word of a shell.
fn word(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/@%+,=".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
