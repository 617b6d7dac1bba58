//! OAuth clients.

use bailiwick_core::ids::AgentId;
use bailiwick_store::{Client, Status, Stored};

use super::Authority;
use super::registry::revoked_of;
use crate::refusal::Refusal;
use crate::rules::clients::{self, NewClient};

impl Authority {
    /// Registers a client whose metadata was validated.
    ///
    /// # Errors
    /// See [`clients::register`].
    pub fn client_register(&self, new: NewClient) -> Result<Client, Refusal> {
        self.commit(move |cx, tx, moment| {
            let known = tx.client(&new.id)?;
            clients::register(moment, &cx.installation, new, known.as_deref())
        })
    }

    /// Maps a client to an agent.
    ///
    /// # Errors
    /// See [`clients::map`].
    pub fn client_map(&self, client: &str, agent: &AgentId) -> Result<Client, Refusal> {
        let (name, id) = (client.to_owned(), agent.clone());
        self.commit(move |cx, tx, moment| {
            let client = tx.client(&name)?;
            let agent = tx.agent(&id)?;
            let owner = match &agent {
                Some(agent) => tx.principal_by_alias(&agent.owner)?,
                None => None,
            };
            let target = clients::Target {
                id: &id,
                agent: agent.as_deref(),
                owner: owner.as_deref(),
                revoked: revoked_of(tx, &id, owner.as_deref())?,
            };
            clients::map(moment, &cx.installation, &name, client.as_deref(), target)
        })
    }

    /// Suspends, resumes or retires a client.
    ///
    /// # Errors
    /// See [`clients::change`].
    pub fn client_status(&self, client: &str, status: Status) -> Result<Client, Refusal> {
        let name = client.to_owned();
        self.commit(move |cx, tx, moment| {
            let client = tx.client(&name)?;
            clients::change(moment, &cx.installation, &name, client.as_deref(), status)
        })
    }

    /// One client.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn client(&self, id: &str) -> Result<Stored<Client>, Refusal> {
        self.read(|view| view.client(id))?.ok_or_else(|| Refusal::unknown("client", id))
    }

    /// Every client, by id.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn clients(&self) -> Result<Vec<Stored<Client>>, Refusal> {
        self.read(|view| view.clients())
    }
}
