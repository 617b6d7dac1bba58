//! Workflows, tool servers, pins, tasks.

use std::sync::Arc;

use bailiwick_core::ids::{AgentId, PrincipalId, ServerName, TaskId, WorkflowId};
use bailiwick_core::json::Json;
use bailiwick_policy::Workflow;
use bailiwick_policy::catalogue::DefinitionKind;
use bailiwick_store::{self as store, Candidate, Pin, Stored, Subject, Task, ToolServer};

use super::{Authority, revoked};
use crate::refusal::Refusal;
use crate::rules::pins::{self, Pinned};
use crate::rules::principals::active;
use crate::rules::tasks;
use crate::rules::tool_servers::{self, NewServer};
use crate::rules::workflows::{self, Published};

impl Authority {
    /// Publishes a workflow file as the current version.
    ///
    /// # Errors
    /// [`Refusal::WorkflowInvalid`] with every problem; see
    /// [`workflows::publish`].
    pub fn workflow_publish(&self, document: &str) -> Result<Published, Refusal> {
        self.workflow_publish_by(document, None)
    }

    /// The same, saying who wrote the version: they are not the second one to sign
    /// that its autonomy is raised.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] or [`Refusal::PrincipalInactive`] for them, and as
    /// [`Authority::workflow_publish`].
    pub fn workflow_publish_by(
        &self,
        document: &str,
        author: Option<&PrincipalId>,
    ) -> Result<Published, Refusal> {
        let workflow = Workflow::parse(document).map_err(Refusal::WorkflowInvalid)?;
        let (document, author) = (document.to_owned(), author.cloned());
        self.commit(move |cx, tx, moment| {
            let author = match &author {
                Some(id) => {
                    Some(active(id.as_str(), cx.principal(tx, id)?.as_deref())?.alias.clone())
                }
                None => None,
            };
            let owner = cx.principal(tx, &workflow.owner)?;
            let current = tx.workflow(&workflow.id)?;
            let parsed = current.map(|current| cx.parsed.of(&current)).transpose()?;
            let last = tx.autonomy(&workflow.id)?.map(|last| last.row);
            let before = parsed
                .as_deref()
                .map(|workflow| workflows::Before { workflow, autonomy: last.as_ref() });
            let subject = [Subject::Workflow { id: workflow.id.clone() }];
            let revoked = revoked(tx, &subject)?.is_some();
            workflows::publish(
                moment,
                &cx.installation,
                (&workflow, &document),
                owner.as_deref(),
                author.as_ref(),
                before,
                revoked,
            )
        })
    }

    /// The current version of every workflow, by name.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn workflows(&self) -> Result<Vec<Stored<store::Workflow>>, Refusal> {
        self.read(|view| view.workflows())
    }

    /// The current version of a workflow: as published, and as understood.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn workflow(
        &self,
        id: &WorkflowId,
    ) -> Result<(Stored<store::Workflow>, Arc<Workflow>), Refusal> {
        let stored = self.read(|view| view.workflow(id))?;
        let stored = stored.ok_or_else(|| Refusal::unknown("workflow", id))?;
        let parsed = self.now().parsed.of(&stored)?;
        Ok((stored, parsed))
    }

    /// Catalogues a tool server.
    ///
    /// # Errors
    /// See [`tool_servers::add`].
    pub fn tool_server_add(&self, new: NewServer) -> Result<ToolServer, Refusal> {
        self.commit(move |cx, tx, moment| {
            let known = tx.tool_server(&new.name)?;
            let subject = [Subject::ToolServer { name: new.name.clone() }];
            let revoked = revoked(tx, &subject)?.is_some();
            tool_servers::add(moment, &cx.installation, new, known.as_deref(), revoked)
        })
    }

    /// Every tool server, by name.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn tool_servers(&self) -> Result<Vec<Stored<ToolServer>>, Refusal> {
        self.read(|view| view.tool_servers())
    }

    /// Pins the items of a `tools/list` or `prompts/list` result. Items that a
    /// person has to look at are not pinned and are named in the answer.
    ///
    /// # Errors
    /// See [`pins::pin`].
    pub fn pin(
        &self,
        server: &ServerName,
        kind: DefinitionKind,
        listing: &Json,
        accept: &[String],
    ) -> Result<Vec<Pinned>, Refusal> {
        let (server, listing, accept) = (server.clone(), listing.clone(), accept.to_vec());
        self.commit(move |cx, tx, moment| {
            let found = tx.tool_server(&server)?;
            let before: Vec<Pin> = tx.pins(&server)?.into_iter().map(|p| p.row).collect();
            let candidates: Vec<Candidate> =
                tx.candidates(&server)?.into_iter().map(|c| c.row).collect();
            let neighbours = super::definitions::neighbours(tx)?;
            let listing = pins::Listing {
                name: &server,
                server: found.as_deref(),
                kind,
                json: &listing,
                accept: &accept,
                pins: &before,
                candidates: &candidates,
                neighbours: &neighbours,
            };
            pins::pin(moment, &cx.installation, listing)
        })
    }

    /// The pins of a tool server, by tool.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn pins(&self, server: &ServerName) -> Result<Vec<Stored<Pin>>, Refusal> {
        self.read(|view| view.pins(server))
    }

    /// Mints a task under the current version of a workflow.
    ///
    /// # Errors
    /// See [`tasks::create`].
    pub fn task_new(
        &self,
        principal: &PrincipalId,
        agent: &AgentId,
        workflow: &WorkflowId,
        purpose: &str,
    ) -> Result<Task, Refusal> {
        // Parsed here, so that the writer only looks it up.
        self.workflow(workflow)?;
        let (id, agent) = (principal.clone(), agent.clone());
        let (workflow, purpose) = (workflow.clone(), purpose.to_owned());
        self.commit(move |cx, tx, moment| {
            let state = super::delegations::State::read(cx, tx, &id, &agent, &workflow)?;
            let parties = tasks::Parties {
                principal_name: id.as_str(),
                principal: state.principal.as_deref(),
                agent: state.agent.as_deref(),
                owner: state.owner.as_deref(),
                workflow: &state.workflow,
                revoked: state.revoked,
                stopped: state.stopped.as_ref(),
            };
            tasks::create(moment, &cx.installation, parties, &agent, &purpose)
        })
    }

    /// One task.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn task(&self, id: &TaskId) -> Result<Stored<Task>, Refusal> {
        self.read(|view| view.task(id))?.ok_or_else(|| Refusal::unknown("task", id))
    }
}
