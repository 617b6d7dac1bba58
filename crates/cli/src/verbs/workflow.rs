//! `workflow`: check, publish, list.

use std::path::Path;

use bailiwick_core::json::{Json, Object};
use bailiwick_policy::Workflow;
use bailiwick_policy::workflow::Problem;

use crate::args::WorkflowVerb;
use crate::datadir::DataDir;
use crate::error::{CliError, listed};
use crate::keyfile;
use crate::output::Output;

/// Reads a workflow file; all its problems make one error.
pub(super) fn read(path: &Path) -> Result<Workflow, CliError> {
    parse(&text(path)?, path)
}

fn text(path: &Path) -> Result<String, CliError> {
    String::from_utf8(keyfile::read(path)?).map_err(|_| {
        CliError::usage("workflow-not-utf8", "the file is not UTF-8", "save it as UTF-8")
    })
}

fn parse(text: &str, path: &Path) -> Result<Workflow, CliError> {
    Workflow::parse(text).map_err(|problems| invalid(path, "workflow", &problems))
}

/// A file with problems, each on a line with what to do about it. The error has
/// the first one's code.
pub(super) fn invalid(path: &Path, what: &str, problems: &[Problem]) -> CliError {
    let code = problems.first().map_or("workflow-malformed", Problem::code);
    let lines = listed(problems, code);
    CliError::usage(
        code,
        format!("`{}` is no valid {what}:\n  {lines}", path.display()),
        "mend the file and check it again",
    )
}

pub(super) fn run(verb: WorkflowVerb, dir: &Path, out: Output) -> Result<(), CliError> {
    match verb {
        WorkflowVerb::Check { file } => {
            let w = read(&file)?;
            let shorthands: Vec<Json> =
                w.shorthands.iter().map(|s| Json::from(s.template())).collect();
            let object = Object::new()
                .with("workflow", &w.id)
                .with("digest", w.digest())
                .with("owner", &w.owner)
                .with("level", w.level.as_str())
                .with("shorthands", shorthands);
            let names: Vec<&str> = w.shorthands.iter().map(|s| s.template()).collect();
            let text = format!(
                "workflow {} is valid\n  digest      {}\n  owner       {}\n  level       {}\n  shorthands  {}",
                w.id,
                w.digest(),
                w.owner,
                w.level.as_str(),
                names.join(", "),
            );
            out.result(object, text);
            out.next(&[&format!("bailiwick workflow publish {}", file.display())]);
            Ok(())
        }
        WorkflowVerb::Publish { file } => {
            let text = text(&file)?;
            parse(&text, &file)?;
            DataDir::open(dir)?.publish(&text, out)
        }
        WorkflowVerb::List => DataDir::open(dir)?.list_workflows(out),
    }
}
