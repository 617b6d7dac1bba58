//! A catalogue in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bailiwick_core::accountable::Unavailable;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::ServerName;
use bailiwick_policy::grades::Level;
use bailiwick_policy::{Bundle, Policies, Workflow};

use super::lock;
use crate::ports::{Catalogue, PinMismatch, ToolServer};

struct Shelves {
    policies: Arc<Policies>,
    policies_unavailable: bool,
    workflows: HashMap<Digest, Arc<Workflow>>,
    servers: HashMap<ServerName, Arc<ToolServer>>,
    mismatches: Vec<PinMismatch>,
    /// The level to which every workflow's record lowered it.
    lowered: Option<Level>,
    autonomy_unavailable: bool,
    unavailable: bool,
}

impl Default for Shelves {
    /// Empty, under the shipped guardrails.
    fn default() -> Self {
        let enforced = Bundle::guardrails().ok().map(Arc::new);
        Self {
            policies: Arc::new(Policies { enforced, candidate: None }),
            policies_unavailable: false,
            workflows: HashMap::new(),
            servers: HashMap::new(),
            mismatches: Vec::new(),
            lowered: None,
            autonomy_unavailable: false,
            unavailable: false,
        }
    }
}

/// A catalogue in memory; the shipped guardrails are in force.
#[derive(Default)]
pub struct MemoryCatalogue {
    shelves: Mutex<Shelves>,
}

impl MemoryCatalogue {
    /// Puts policies in force.
    pub fn enforce(&self, policies: Policies) {
        lock(&self.shelves).policies = Arc::new(policies);
    }

    /// Makes the policy alone unreadable, or readable again.
    pub fn set_policies_unavailable(&self, unavailable: bool) {
        lock(&self.shelves).policies_unavailable = unavailable;
    }

    /// Makes the level in force alone unreadable, or readable again.
    pub fn set_autonomy_unavailable(&self, unavailable: bool) {
        lock(&self.shelves).autonomy_unavailable = unavailable;
    }

    /// Publishes a workflow and gives its digest.
    pub fn publish(&self, workflow: Workflow) -> Digest {
        let digest = workflow.digest();
        lock(&self.shelves).workflows.insert(digest, Arc::new(workflow));
        digest
    }

    /// Lowers the level in force of every workflow, as its record would.
    pub fn lower(&self, to: Level) {
        lock(&self.shelves).lowered = Some(to);
    }

    /// Puts a tool server up, or replaces it.
    pub fn put(&self, server: ToolServer) {
        lock(&self.shelves).servers.insert(server.name.clone(), Arc::new(server));
    }

    /// Makes it unreadable, or readable again.
    pub fn set_unavailable(&self, unavailable: bool) {
        lock(&self.shelves).unavailable = unavailable;
    }

    fn shelves(&self) -> Result<MutexGuard<'_, Shelves>, Unavailable> {
        let shelves = lock(&self.shelves);
        if shelves.unavailable { Err(Unavailable) } else { Ok(shelves) }
    }

    /// The mismatches that were reported.
    #[must_use]
    pub fn mismatches(&self) -> Vec<PinMismatch> {
        lock(&self.shelves).mismatches.clone()
    }
}

impl Catalogue for MemoryCatalogue {
    fn policies(&self) -> Result<Arc<Policies>, Unavailable> {
        let shelves = self.shelves()?;
        if shelves.policies_unavailable {
            return Err(Unavailable);
        }
        Ok(Arc::clone(&shelves.policies))
    }

    fn workflow(&self, digest: &Digest) -> Result<Option<Arc<Workflow>>, Unavailable> {
        Ok(self.shelves()?.workflows.get(digest).cloned())
    }

    fn autonomy(&self, workflow: &Workflow) -> Result<Level, Unavailable> {
        let shelves = self.shelves()?;
        if shelves.autonomy_unavailable {
            return Err(Unavailable);
        }
        let permitted = workflow.permitted_level();
        Ok(shelves.lowered.map_or(permitted, |to| permitted.min(to)))
    }

    fn server(&self, name: &ServerName) -> Result<Option<Arc<ToolServer>>, Unavailable> {
        Ok(self.shelves()?.servers.get(name).cloned())
    }

    fn servers(&self) -> Result<Vec<Arc<ToolServer>>, Unavailable> {
        Ok(self.shelves()?.servers.values().cloned().collect())
    }

    fn pin_mismatch(&self, mismatch: PinMismatch) {
        lock(&self.shelves).mismatches.push(mismatch);
    }
}
