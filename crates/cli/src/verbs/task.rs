//! `task`: pieces of work under a workflow.

use std::path::Path;

use bailiwick_core::ids::{AgentId, PrincipalId, WorkflowId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_store::{Filter, StoreError};

use crate::args::TaskVerb;
use crate::datadir::{DataDir, or_none};
use crate::error::CliError;
use crate::output::Output;

pub(super) fn run(verb: TaskVerb, dir: &Path, out: Output) -> Result<(), CliError> {
    let data = DataDir::open(dir)?;
    match verb {
        TaskVerb::New { workflow, agent, principal, purpose } => {
            let task = data.authority.task_new(
                &PrincipalId::parse(&principal)?,
                &AgentId::parse(&agent)?,
                &WorkflowId::parse(&workflow)?,
                &purpose,
            )?;
            out.result(
                Object::new()
                    .with("task", &task.id)
                    .with("workflow", &task.workflow)
                    .with("agent", &task.agent),
                format!("task {} under {} for {}", task.id, task.workflow, task.agent),
            );
            out.next(&[&format!("bailiwick delegate --task {} …", task.id)]);
        }
        TaskVerb::List => {
            let filter = Filter { kind: Some(Kind::TaskCreated), limit: 1000, ..Filter::default() };
            let rows = data.store().read(|v| -> Result<_, StoreError> { v.query(&filter) })?;
            let member = |t: &Option<String>| t.clone().unwrap_or_default();
            let list: Vec<Json> = rows
                .iter()
                .map(|e| {
                    Object::new()
                        .with("task", e.subjects.task.clone())
                        .with("workflow", e.subjects.workflow.clone())
                        .with("agent", e.subjects.agent.clone())
                        .with("created", e.time.to_string())
                        .into()
                })
                .collect();
            let text: Vec<String> = rows
                .iter()
                .map(|e| {
                    format!(
                        "{}  {}  {}  {}",
                        member(&e.subjects.task),
                        e.time,
                        member(&e.subjects.workflow),
                        member(&e.subjects.agent),
                    )
                })
                .collect();
            out.result(Object::new().with("tasks", list), or_none(&text, "no task yet"));
        }
    }
    Ok(())
}
