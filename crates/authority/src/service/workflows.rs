//! Versions of a workflow: which were published, and what each said.

use std::collections::BTreeSet;
use std::sync::Arc;

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{Alias, EntryId, PrincipalId, ToolId, WorkflowId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_policy::autonomy::in_force;
use bailiwick_policy::grades::Level;
use bailiwick_store::{self as store, Filter, MAX_RESULTS, StoreError, Stored, StoredEntry, View};

use super::Authority;
use crate::refusal::Refusal;
use crate::rules::autonomy::{RAISED, standing};

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
    /// Who wrote it or published it, as far as that is known and not erased; without
    /// anybody it is its owner.
    pub authors: Vec<PrincipalId>,
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
            let mut found = Vec::new();
            for entry in publications(view, id)? {
                let mut names = Vec::new();
                for alias in said_by(&entry) {
                    names.extend(view.principal_by_alias(&alias)?.and_then(|p| p.row.id));
                }
                found.push((entry, names));
            }
            Ok::<_, StoreError>(found)
        })?;
        let mut history = Vec::with_capacity(entries.len());
        for (entry, authors) in entries {
            let Some(digest) = published(&entry) else { continue };
            let (_, workflow) = self.workflow_at(id, Some(&digest))?;
            let is_current = entry.id == current.entry;
            let StoredEntry { id: entry, index, time, .. } = entry;
            history.push(Publication { entry, index, time, workflow, authors, is_current });
        }
        Ok(history)
    }

    /// Other workflows that were lowered below this one's level, under which one of its
    /// agents has one of its tools, each with its level in force.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn lowered_alike(&self, workflow: &Workflow) -> Result<Vec<(WorkflowId, Level)>, Refusal> {
        let cx = self.now();
        self.0.store.read(|view| {
            let level = |of: &Workflow| -> Result<(Level, bool), Refusal> {
                let last = view.autonomy(&of.id)?.map(|last| last.row);
                let lowered = last.as_ref().is_some_and(|last| last.cause != RAISED);
                Ok((in_force(of, standing(last.as_ref()).as_ref()), lowered))
            };
            let (own, _) = level(workflow)?;
            let mut alike = Vec::new();
            for version in view.workflows()? {
                let Ok(other) = cx.parsed.of(&version) else { continue };
                let (level, lowered) = level(&other)?;
                if other.id != workflow.id && lowered && level < own && share(workflow, &other) {
                    alike.push((other.id.clone(), level));
                }
            }
            Ok(alike)
        })
    }
}

/// Whether an agent of both has a tool of both.
fn share(one: &Workflow, other: &Workflow) -> bool {
    let tools: BTreeSet<ToolId> = other.catalogue.tools().map(|(tool, _)| tool).collect();
    one.agents.iter().any(|agent| other.agents.contains(agent))
        && one.catalogue.tools().any(|(tool, _)| tools.contains(&tool))
}

/// Every publication of a workflow, newest first.
fn publications(view: &View<'_>, id: &WorkflowId) -> Result<Vec<StoredEntry>, StoreError> {
    let mut found: Vec<StoredEntry> = Vec::new();
    let kind = Some(Kind::WorkflowPublished);
    let mut filter = Filter { kind, limit: MAX_RESULTS, ..Filter::default() };
    // People publish: this walks the index of publications, not the ledger.
    loop {
        let page = view.query(&filter)?;
        let Some(last) = page.last() else { return Ok(found) };
        filter.before = Some(last.index);
        let of = |e: &StoredEntry| e.subjects.workflow.as_deref() == Some(id.as_str());
        found.extend(page.into_iter().filter(of));
    }
}

/// Everybody who is named as having written or published a version, whenever that was.
///
/// SECURITY: publishing it again under another name takes nobody's part in it away.
pub(super) fn authors(
    view: &View<'_>,
    id: &WorkflowId,
    version: &Digest,
) -> Result<BTreeSet<Alias>, StoreError> {
    let all = publications(view, id)?;
    let of = all.iter().filter(|entry| published(entry).as_ref() == Some(version));
    Ok(of.flat_map(said_by).collect())
}

/// Who wrote or published it, as the entry says.
fn said_by(entry: &StoredEntry) -> BTreeSet<Alias> {
    let body = body(entry);
    let of = |name: &str| Alias::parse(body.as_ref()?.member(name)?.as_str()?).ok();
    ["author", "session_of"].into_iter().filter_map(of).collect()
}

fn body(entry: &StoredEntry) -> Option<Object> {
    let leaf = Json::parse(&entry.leaf, &JsonLimits::DEFAULT).ok()?;
    leaf.as_object()?.member("body")?.as_object().cloned()
}

/// The digest that a publication's entry names.
fn published(entry: &StoredEntry) -> Option<Digest> {
    Digest::from_text(body(entry)?.member("digest")?.as_str()?)
}
