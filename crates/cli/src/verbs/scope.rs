//! `scope explain`: what a shorthand stands for.

use std::path::Path;

use bailiwick_core::json::Object;
use bailiwick_policy::Workflow;
use bailiwick_policy::expand::{Expansion, expand};

use crate::args::ScopeVerb;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::output::Output;

pub(super) fn run(verb: ScopeVerb, dir: &Path, out: Output) -> Result<(), CliError> {
    let ScopeVerb::Explain { shorthands, file, workflow } = verb;
    let workflows = match file {
        Some(path) => vec![super::workflow::read(&path)?],
        None => DataDir::open(dir)?.workflows(workflow.as_deref())?,
    };
    if workflows.is_empty() {
        return Err(CliError::refused(
            "no-workflow",
            "no workflow is published here",
            "publish one with `bailiwick workflow publish FILE`, or pass --file",
        ));
    }
    let expansion = first_that_knows(&workflows, &shorthands)?;
    let object = match expansion.to_json() {
        bailiwick_core::json::Json::Object(o) => o,
        other => Object::new().with("expansion", other),
    };
    out.result(object, expansion.explain().trim_end());
    Ok(())
}

fn first_that_knows(workflows: &[Workflow], shorthands: &[String]) -> Result<Expansion, CliError> {
    let mut problem = None;
    for workflow in workflows {
        match expand(workflow, shorthands) {
            Ok(expansion) => return Ok(expansion),
            Err(e) => problem = Some(CliError::refused(e.code(), e.to_string(), e.remedy())),
        }
    }
    Err(problem.unwrap_or_else(|| {
        CliError::refused("no-workflow", "no workflow knows this", "see `bailiwick workflow list`")
    }))
}
