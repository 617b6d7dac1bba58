//! Versions of a workflow: which were published, and what each said.

use std::sync::Arc;

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{EntryId, WorkflowId};
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_store::{self as store, Filter, MAX_RESULTS, StoreError, Stored, StoredEntry};

use super::Authority;
use crate::refusal::Refusal;

/// One publication of a version. A version that was published again has one for
/// each time.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The entry that records it.
    pub entry: EntryId,
    /// The entry's index in the log.
    pub index: u64,
    /// When.
    pub time: Timestamp,
    /// What was published.
    pub workflow: Arc<Workflow>,
    /// Whether it is the one in force: the last publication.
    pub is_current: bool,
}

impl Authority {
    /// A version of a workflow: the one with this digest, or the current one.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn workflow_at(
        &self,
        id: &WorkflowId,
        version: Option<&Digest>,
    ) -> Result<(Stored<store::Workflow>, Arc<Workflow>), Refusal> {
        let Some(version) = version else { return self.workflow(id) };
        let stored = self.read(|view| view.workflow_version(id, version))?;
        let what = format!("{id} {version}");
        let stored = stored.ok_or_else(|| Refusal::unknown("workflow version", &what))?;
        let parsed = self.now().parsed.of(&stored)?;
        Ok((stored, parsed))
    }

    /// Every publication of a workflow, newest first.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], if there is none.
    pub fn workflow_history(&self, id: &WorkflowId) -> Result<Vec<Publication>, Refusal> {
        let (current, _) = self.workflow(id)?;
        let entries = self.read(|view| {
            let mut found: Vec<StoredEntry> = Vec::new();
            let kind = Some(Kind::WorkflowPublished);
            let mut filter = Filter { kind, limit: MAX_RESULTS, ..Filter::default() };
            // People publish: this walks the index of publications, not the ledger.
            loop {
                let page = view.query(&filter)?;
                let Some(last) = page.last() else { return Ok::<_, StoreError>(found) };
                filter.before = Some(last.index);
                let of = |e: &StoredEntry| e.subjects.workflow.as_deref() == Some(id.as_str());
                found.extend(page.into_iter().filter(of));
            }
        })?;
        let mut history = Vec::with_capacity(entries.len());
        for entry in entries {
            let Some(digest) = published(&entry) else { continue };
            let (_, workflow) = self.workflow_at(id, Some(&digest))?;
            let is_current = entry.id == current.entry;
            let StoredEntry { id: entry, index, time, .. } = entry;
            history.push(Publication { entry, index, time, workflow, is_current });
        }
        Ok(history)
    }
}

/// The digest that a publication's entry names.
fn published(entry: &StoredEntry) -> Option<Digest> {
    let leaf = Json::parse(&entry.leaf, &JsonLimits::DEFAULT).ok()?;
    let body = leaf.as_object()?.member("body").and_then(Json::as_object).cloned()?;
    Digest::from_text(body.member("digest")?.as_str()?)
}
