//! `task`: pieces of work under a workflow.

use std::path::Path;

use bailiwick_core::ids::{AgentId, Alias, PrincipalId, TaskId, WorkflowId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_store::{Filter, StoreError, Subject};

use crate::args::TaskVerb;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::output::Output;
use crate::table::{NONE, table_or};

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
            let subjects: Vec<_> = rows
                .iter()
                .map(|e| {
                    let task = TaskId::parse(e.subjects.task.as_deref().unwrap_or_default())?;
                    Ok((Subject::Task { id: task }, "open"))
                })
                .collect::<Result<_, CliError>>()?;
            let mut list = Vec::with_capacity(rows.len());
            let mut lines = Vec::with_capacity(rows.len());
            for (e, state) in rows.iter().zip(data.states(&subjects)?) {
                let alias = e.subjects.principal.as_deref();
                let principal = match alias.and_then(|a| Alias::parse(a).ok()) {
                    Some(alias) => data.name(&alias)?,
                    None => None,
                };
                let member = |t: &Option<String>| t.clone().unwrap_or_else(|| NONE.to_owned());
                lines.push(vec![
                    member(&e.subjects.task),
                    principal.clone().unwrap_or_else(|| "(erased)".to_owned()),
                    member(&e.subjects.agent),
                    member(&e.subjects.workflow),
                    state.to_owned(),
                    e.time.to_string(),
                ]);
                list.push(Json::from(
                    Object::new()
                        .with("task", e.subjects.task.clone())
                        .with("principal", principal)
                        .with("agent", e.subjects.agent.clone())
                        .with("workflow", e.subjects.workflow.clone())
                        .with("status", state)
                        .with("created", e.time.to_string()),
                ));
            }
            let heads = ["task", "principal", "agent", "workflow", "status", "created"];
            let text = table_or(&heads, &lines, "no task yet");
            out.result(Object::new().with("tasks", list), text);
        }
    }
    Ok(())
}
