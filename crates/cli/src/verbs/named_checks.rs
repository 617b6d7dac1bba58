//! Named checks of workflows that the server's configuration does not have.

use bailiwick_policy::Workflow;
use bailiwick_policy::checklist::Backing;

use crate::config::Config;
use crate::error::CliError;

/// The checks that a workflow names and that are not configured here, each once.
pub(super) fn unknown(workflow: &Workflow, config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    for criterion in &workflow.checklist.completion {
        if let Backing::NamedCheck { check } = &criterion.by
            && !config.check.iter().any(|known| known.name == *check)
            && !found.contains(check)
        {
            found.push(check.clone());
        }
    }
    found
}

/// What is said of them.
pub(super) fn missing(workflow: &Workflow, config: &Config) -> Option<CliError> {
    let unknown = unknown(workflow, config);
    if unknown.is_empty() {
        return None;
    }
    let listed = |names: &[String]| {
        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    let known: Vec<String> = config.check.iter().map(|known| known.name.clone()).collect();
    let known = match known.as_slice() {
        [] => "none".to_owned(),
        known => listed(known),
    };
    Some(CliError::usage(
        "check-not-configured",
        format!(
            "workflow `{}` names {}, and the server's configuration has no such check; it has {known}",
            workflow.id,
            listed(&unknown)
        ),
        "add a [[check]] of this name to bailiwick.toml, or mend the name in the workflow",
    ))
}
