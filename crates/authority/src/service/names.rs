//! Names that a question is narrowed to. A name that nobody knows is told: an
//! answer of nothing would read as good news.

use bailiwick_core::ids::{AgentId, ToolId, WorkflowId};
use bailiwick_core::time::Timestamp;
use bailiwick_store::{FailureFilter, MetricFilter, RunFilter, StoreError, View};

use super::Authority;
use super::people::SignedIn;
use crate::people::roles::{Deed, require};
use crate::refusal::Refusal;

/// What a question is narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The workflow.
    pub workflow: Option<String>,
    /// The agent.
    pub agent: Option<String>,
    /// The tool, by its id.
    pub tool: Option<String>,
}

impl From<&MetricFilter> for Named {
    fn from(filter: &MetricFilter) -> Self {
        Self {
            workflow: filter.workflow.as_ref().map(ToString::to_string),
            agent: filter.agent.as_ref().map(ToString::to_string),
            tool: filter.tool.as_ref().map(ToString::to_string),
        }
    }
}

impl From<&RunFilter> for Named {
    fn from(filter: &RunFilter) -> Self {
        Self { workflow: filter.workflow.clone(), agent: filter.agent.clone(), tool: None }
    }
}

impl From<&FailureFilter> for Named {
    fn from(filter: &FailureFilter) -> Self {
        Self { workflow: filter.workflow.clone(), agent: filter.agent.clone(), tool: None }
    }
}

impl Authority {
    /// Whether there are, or ever were, things of these names. `None`: whoever has
    /// the data dir.
    ///
    /// SECURITY: whoever may not read what there is hears nothing of names: for
    /// them an unknown one and one of others are the same.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] with the nearest names; [`Refusal::Store`].
    pub fn check_names(&self, who: Option<&SignedIn>, named: &Named) -> Result<(), Refusal> {
        if who.is_some_and(|who| require(&who.roles, Deed::SeeCatalogue).is_err()) {
            return Ok(());
        }
        let ever = MetricFilter::span(Timestamp::from_millis(0), self.metrics_span(1).until);
        self.0.store.read(|view| {
            if let Some(name) = &named.workflow {
                let is_known = match WorkflowId::parse(name) {
                    Ok(id) => view.workflow(&id)?.is_some(),
                    Err(_) => false,
                };
                among("workflow", name, is_known, || workflows(view, &ever))?;
            }
            if let Some(name) = &named.agent {
                let is_known = match AgentId::parse(name) {
                    Ok(id) => view.agent(&id)?.is_some(),
                    Err(_) => false,
                };
                among("agent", name, is_known, || agents(view, &ever))?;
            }
            if let Some(name) = &named.tool {
                let is_known = match ToolId::parse(name) {
                    Ok(id) => view.pin(&id)?.is_some(),
                    Err(_) => false,
                };
                among("tool", name, is_known, || tools(view, &ever))?;
            }
            Ok(())
        })
    }
}

/// Looks through all names only where the register has not this one.
fn among(
    what: &'static str,
    name: &str,
    is_known: bool,
    all: impl FnOnce() -> Result<Vec<String>, StoreError>,
) -> Result<(), Refusal> {
    if is_known {
        return Ok(());
    }
    let all = all()?;
    if all.iter().any(|known| known == name) {
        return Ok(());
    }
    Err(Refusal::unknown_among(what, name, all.iter().map(String::as_str)))
}

fn workflows(view: &View<'_>, ever: &MetricFilter) -> Result<Vec<String>, StoreError> {
    let mut all = view.called_workflows(ever)?;
    all.extend(view.workflows()?.into_iter().map(|found| found.id.to_string()));
    Ok(sorted(all))
}

fn agents(view: &View<'_>, ever: &MetricFilter) -> Result<Vec<String>, StoreError> {
    let mut all = view.calling_agents(ever)?;
    all.extend(view.agents()?.into_iter().map(|found| found.id.to_string()));
    Ok(sorted(all))
}

fn tools(view: &View<'_>, ever: &MetricFilter) -> Result<Vec<String>, StoreError> {
    let mut all = view.called_tools(ever)?;
    for server in view.tool_servers()? {
        all.extend(view.pins(&server.name)?.into_iter().map(|pin| pin.tool.to_string()));
        let candidates = view.candidates(&server.name)?.into_iter();
        all.extend(candidates.map(|candidate| candidate.tool.to_string()));
    }
    Ok(sorted(all))
}

fn sorted(mut all: Vec<String>) -> Vec<String> {
    all.retain(|name| !name.is_empty());
    all.sort();
    all.dedup();
    all
}
