//! Erasing texts.

use bailiwick_core::ids::{ActionId, EntryId, PrincipalId};
use bailiwick_core::ledger::Subjects;
use bailiwick_store::{StoreError, View};

use super::Authority;
use crate::refusal::Refusal;
use crate::rules::erasure;

/// Whose texts go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Erasure {
    /// What was asked for and answered in one action.
    Action(ActionId),
    /// Those of one entry.
    Entry(EntryId),
    /// Everything about a principal, its name included.
    Principal(PrincipalId),
}

/// What went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erased {
    /// Entries whose texts were erased.
    pub entries: u64,
}

impl Authority {
    /// Erases texts and says so in the ledger. What is erased already is left
    /// out; interrupted, it goes on where it stopped when it is repeated.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] when there is no such entry, action or principal;
    /// [`Refusal::StillActive`] for a principal that was not suspended.
    pub fn erase(&self, what: &Erasure) -> Result<Erased, Refusal> {
        let entries = match what {
            Erasure::Action(id) => self.erase_action(id)?,
            Erasure::Entry(id) => self.erase_entry(id)?,
            Erasure::Principal(id) => self.erase_principal(id)?,
        };
        Ok(Erased { entries })
    }

    fn erase_entry(&self, id: &EntryId) -> Result<u64, Refusal> {
        let id = id.clone();
        self.commit(move |cx, tx, moment| {
            let entry = tx.entry_by_id(&id)?.ok_or_else(|| Refusal::unknown("entry", &id))?;
            let subjects = Subjects {
                principal: entry.subjects.principal,
                action: entry.subjects.action,
                ..Subjects::default()
            };
            let entries = with_texts(tx, [entry.id])?;
            erasure::erase(moment, &cx.installation, subjects, entries)
        })
    }

    fn erase_action(&self, id: &ActionId) -> Result<u64, Refusal> {
        let id = id.clone();
        self.commit(move |cx, tx, moment| {
            let found = tx.entries_of_action(&id)?;
            let first = found.first().ok_or_else(|| Refusal::unknown("action", &id))?;
            let subjects = Subjects {
                principal: first.subjects.principal.clone(),
                action: Some(id.to_string()),
                ..Subjects::default()
            };
            let entries = with_texts(tx, found.into_iter().map(|e| e.id))?;
            erasure::erase(moment, &cx.installation, subjects, entries)
        })
    }

    /// Step by step, so that other writers are not held up by a long history.
    /// The entry that registered the principal, and so its name, goes last.
    fn erase_principal(&self, id: &PrincipalId) -> Result<u64, Refusal> {
        let found = self.principal(id)?;
        let registered = found.entry.clone();
        let until = self.read(|view| view.log_size())?;
        let mut erased = self.erase_standings(id)?;
        let mut from = 0;
        loop {
            let (name, keep) = (id.clone(), registered.clone());
            let (next, count) = self.commit(move |cx, tx, moment| {
                let found = cx.principal(tx, &name)?;
                let principal = erasure::of_principal(name.as_str(), found.as_deref())?;
                let page =
                    tx.entries_with_texts(&principal.alias, from, until, erasure::MAX_ENTRIES)?;
                let next = page.last().map(|(index, _)| index.saturating_add(1));
                let mut entries: Vec<EntryId> = page.into_iter().map(|(_, id)| id).collect();
                entries.retain(|id| *id != keep);
                if next.is_none() {
                    entries = with_texts(tx, [keep])?;
                }
                let subjects = Subjects {
                    principal: Some(principal.alias.to_string()),
                    ..Subjects::default()
                };
                let plan = erasure::erase(moment, &cx.installation, subjects, entries)?;
                Ok(plan.map(|count| (next, count)))
            })?;
            erased = erased.saturating_add(count);
            match next {
                Some(index) => from = index,
                None => return Ok(erased),
            }
        }
    }
}

impl Authority {
    /// What people signed about calls on the principal's authority holds the
    /// arguments of these calls, in entries about those people.
    fn erase_standings(&self, id: &PrincipalId) -> Result<u64, Refusal> {
        let alias = self.principal(id)?.alias.clone();
        let entries = self.read(|view| {
            let entries = view.standing_entries_of(&alias)?;
            with_texts(view, entries)
        })?;
        let mut erased = 0_u64;
        let most = usize::try_from(erasure::MAX_ENTRIES).unwrap_or(usize::MAX);
        for page in entries.chunks(most) {
            let (name, page) = (id.clone(), page.to_vec());
            let count = self.commit(move |cx, tx, moment| {
                let found = cx.principal(tx, &name)?;
                let principal = erasure::of_principal(name.as_str(), found.as_deref())?;
                let subjects = Subjects {
                    principal: Some(principal.alias.to_string()),
                    ..Subjects::default()
                };
                erasure::erase(moment, &cx.installation, subjects, page)
            })?;
            erased = erased.saturating_add(count);
        }
        Ok(erased)
    }
}

fn with_texts(
    view: &View<'_>,
    entries: impl IntoIterator<Item = EntryId>,
) -> Result<Vec<EntryId>, StoreError> {
    let mut kept = Vec::new();
    for id in entries {
        if view.has_texts(&id)? {
            kept.push(id);
        }
    }
    Ok(kept)
}
