//! Whom and what a workflow names that an installation does not know.

use std::collections::BTreeSet;

use bailiwick_core::json::{Json, Object};
use bailiwick_policy::Workflow;

use crate::datadir::DataDir;
use crate::error::CliError;

/// Names in a workflow that nobody registered.
#[derive(Default)]
pub(super) struct Unregistered {
    owner: Option<String>,
    agents: Vec<String>,
    pub(super) tool_servers: Vec<String>,
}

impl Unregistered {
    pub(super) fn of(workflow: &Workflow, data: &DataDir) -> Result<Self, CliError> {
        let a = &data.authority;
        let agents = a.agents()?;
        let known: BTreeSet<String> =
            a.tool_servers()?.into_iter().map(|server| server.name.to_string()).collect();
        let named: BTreeSet<String> =
            workflow.catalogue.tools().map(|(tool, _)| tool.server().to_owned()).collect();
        let unknown = workflow.agents.iter().filter(|id| !agents.iter().any(|a| a.id == **id));
        Ok(Self {
            owner: a.principal(&workflow.owner).is_err().then(|| workflow.owner.to_string()),
            agents: unknown.map(ToString::to_string).collect(),
            tool_servers: named.difference(&known).cloned().collect(),
        })
    }

    /// With what each is registered.
    pub(super) fn steps(&self) -> Vec<String> {
        let owner = self.owner.iter().map(|id| format!("bailiwick principal add {id}"));
        let agents =
            self.agents.iter().map(|id| format!("bailiwick agent add {id} --owner PRINCIPAL"));
        owner.chain(agents).chain(self.servers()).collect()
    }

    pub(super) fn servers(&self) -> impl Iterator<Item = String> {
        let add = |name| format!("bailiwick tool-server add {name} --url URL --credential FILE");
        self.tool_servers.iter().map(add)
    }

    pub(super) fn to_json(&self) -> Json {
        let texts = |all: &[String]| all.iter().map(|t| Json::from(t.as_str())).collect::<Vec<_>>();
        Object::new()
            .with("owner", self.owner.as_deref())
            .with("agents", texts(&self.agents))
            .with("tool_servers", texts(&self.tool_servers))
            .into()
    }

    /// A line each; empty, if all are known.
    pub(super) fn told(&self) -> String {
        let owner = self.owner.iter().map(|id| format!("\n  owner        {id}"));
        let agents = self.agents.iter().map(|id| format!("\n  agent        {id}"));
        let servers = self.tool_servers.iter().map(|name| format!("\n  tool server  {name}"));
        let lines: String = owner.chain(agents).chain(servers).collect();
        match lines.is_empty() {
            true => lines,
            false => format!("\nnot registered in this installation:{lines}"),
        }
    }
}
