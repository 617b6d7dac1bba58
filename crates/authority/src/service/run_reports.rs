//! Reports of runs: their entries gathered, with their proofs.

use std::collections::BTreeMap;

use bailiwick_core::ids::{EntryId, RunId};
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_evidence::bundle::{Fields, Receipt};
use bailiwick_evidence::run::{Count, LISTED_CALLS, MAX_ENTRIES};
use bailiwick_evidence::{ReportError, ReportFile};
use bailiwick_store::{Store, StoredEntry, View};
use bailiwick_tlog::{TlogProof, TreeReader};

use super::Authority;
use super::checks::Ground;
use super::people::SignedIn;
use crate::refusal::Refusal;
use crate::rules::checks::CheckError;
use crate::rules::requests::texts_read;

/// What a report is made of, before there are proofs.
#[derive(Default)]
struct Gathered {
    /// By their index.
    entries: BTreeMap<u64, StoredEntry>,
    disclosures: Vec<(EntryId, Fields)>,
    stated: Vec<Count>,
}

impl Gathered {
    /// Everything that a report of the run is made of.
    fn of(view: &View<'_>, ground: &Ground) -> Result<Self, Refusal> {
        let id = &ground.run.id;
        let mut gathered = Self::default();
        let most = u32::try_from(MAX_ENTRIES).unwrap_or(u32::MAX);
        for entry in view.told_of_run(id, most.saturating_add(1))? {
            gathered.told(view, entry)?;
        }
        let counts = view.run_calls(id)?;
        let all = counts.iter().map(|count| count.calls).fold(0, u64::saturating_add);
        let listed = u32::try_from(LISTED_CALLS).unwrap_or(u32::MAX);
        for entry in view.decisions_of_run(id, false, listed)? {
            gathered.call(view, entry)?;
        }
        for entry in view.decisions_of_run(id, true, listed)? {
            gathered.call(view, entry)?;
        }
        gathered.ends(view, id)?;
        for place in view.evidence_places(id)? {
            if let Some(action) = &place.action
                && let Some(call) = view.action(action)?
            {
                gathered.call(view, call.decided)?;
            }
        }
        gathered.workflow(view, ground)?;
        // Where every call is listed, nothing needs to be stated.
        if all > gathered.decisions(id) {
            let count = |c: bailiwick_store::RunCalls| Count {
                tool: c.tool,
                decision: c.decision,
                reason: c.reason,
                calls: c.calls,
            };
            gathered.stated = counts.into_iter().map(count).collect();
        }
        Ok(gathered)
    }

    fn decisions(&self, id: &RunId) -> u64 {
        let decided = self.entries.values().filter(|entry| {
            entry.kind == Kind::ActionDecided.as_str()
                && entry.subjects.run.as_deref() == Some(id.as_str())
        });
        u64::try_from(decided.count()).unwrap_or(u64::MAX)
    }

    fn add(&mut self, entry: StoredEntry) {
        self.entries.insert(entry.index, entry);
    }

    /// An entry of the run that is no call, with the texts that a report shows.
    fn told(&mut self, view: &View<'_>, entry: StoredEntry) -> Result<(), Refusal> {
        let shown: &[&str] = match Kind::parse(&entry.kind) {
            Some(Kind::RunStarted) => &["goal", "instruction_sha256"],
            Some(Kind::RunContext) => &["items"],
            Some(Kind::RunReviewed) => &["what", "why"],
            _ => &[],
        };
        self.disclose(view, &entry, shown)?;
        self.add(entry);
        Ok(())
    }

    fn disclose(
        &mut self,
        view: &View<'_>,
        entry: &StoredEntry,
        shown: &[&str],
    ) -> Result<(), Refusal> {
        if shown.is_empty() || self.entries.contains_key(&entry.index) {
            return Ok(());
        }
        let mut texts = view.read_plaintext(&entry.id)?.unwrap_or_default();
        texts.retain(|(field, _)| shown.contains(&field.as_str()));
        if !texts.is_empty() {
            self.disclosures.push((entry.id.clone(), texts));
        }
        Ok(())
    }

    /// A decision, with its outcome and the people because of whom it was allowed.
    fn call(&mut self, view: &View<'_>, decided: StoredEntry) -> Result<(), Refusal> {
        if self.entries.contains_key(&decided.index) {
            return Ok(());
        }
        for id in said(&decided) {
            if let Some(entry) = view.entry_by_id(&id)? {
                self.add(entry);
            }
        }
        let action = decided.subjects.action.as_deref().and_then(|id| id.parse().ok());
        if let Some(action) = action
            && let Some(completed) = view.action(&action)?.and_then(|call| call.completed)
        {
            self.add(completed);
        }
        self.add(decided);
        Ok(())
    }

    /// What the findings rest on, wherever in a long run it is: the last call of each
    /// tool, and the last that went well.
    fn ends(&mut self, view: &View<'_>, id: &RunId) -> Result<(), Refusal> {
        let last = view.last_calls_of_run(id)?.into_iter().filter_map(|call| call.over);
        let well = view.last_ok_calls_of_run(id)?.into_iter().map(|call| call.over);
        for over in last.chain(well).collect::<Vec<u64>>() {
            let action = view.entry(over)?.and_then(|entry| entry.subjects.action);
            let action = action.and_then(|id| id.parse().ok());
            if let Some(action) = action
                && let Some(call) = view.action(&action)?
            {
                self.call(view, call.decided)?;
            }
        }
        Ok(())
    }

    /// The version of the workflow by which the run is judged.
    fn workflow(&mut self, view: &View<'_>, ground: &Ground) -> Result<(), Refusal> {
        let run = &ground.run;
        let Some(version) = view.workflow_version(&run.workflow, &run.workflow_digest)? else {
            return Ok(());
        };
        if let Some(entry) = view.entry_by_id(&version.entry)? {
            self.disclose(view, &entry, &["document"])?;
            self.add(entry);
        }
        Ok(())
    }

    /// Every entry with its proof, under the published checkpoint.
    fn finish(self, store: &Store) -> Result<ReportFile, Refusal> {
        let late = || Refusal::from(CheckError::NotPublished);
        if self.entries.len() > MAX_ENTRIES {
            return Err(ReportError::TooLarge.into());
        }
        let checkpoint = store.checkpoint()?.ok_or_else(late)?;
        let size = checkpoint.unverified().size();
        if self.entries.keys().next_back().is_some_and(|last| *last >= size) {
            return Err(late());
        }
        let files = store.ledger();
        let mut reader = TreeReader::new(&files, size);
        let mut receipts = Vec::with_capacity(self.entries.len());
        for (index, entry) in self.entries {
            let bad = |what| Refusal::from(ReportError::Entries { what });
            let proof = reader.inclusion_proof(index).map_err(|_| bad("proof"))?;
            let proof = TlogProof::new(proof, checkpoint.clone()).map_err(|_| bad("proof"))?;
            receipts.push(Receipt {
                name: Kind::parse(&entry.kind).ok_or_else(|| bad("kind"))?,
                entry: String::from_utf8(entry.leaf).map_err(|_| bad("entry"))?,
                proof: proof.to_string(),
            });
        }
        Ok(ReportFile::new(receipts, self.disclosures, self.stated)?)
    }
}

/// The entries that a decision names because of which it was allowed.
fn said(decided: &StoredEntry) -> Vec<EntryId> {
    let leaf = Json::parse(&decided.leaf, &JsonLimits::DEFAULT).ok();
    let body = leaf.as_ref().and_then(|leaf| leaf.as_object()?.member("body")?.as_object());
    let approval = body.and_then(|body| body.member("approval")?.as_object());
    let listed = |name: &str| {
        let list = approval.and_then(|a| a.member(name)?.as_array()).unwrap_or_default();
        list.iter().filter_map(Json::as_str).filter_map(|id| id.parse().ok()).collect::<Vec<_>>()
    };
    let mut all = listed("verdicts");
    all.extend(listed("signatures"));
    all
}

impl Authority {
    /// The report of a run, as somebody who may see it gets it: that they read its
    /// texts is an entry. `None`: whoever has the data dir.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], also for what one may not see; [`Refusal::Report`];
    /// [`CheckError::NotPublished`] when an entry is not under the log's checkpoint
    /// yet.
    pub fn run_report(&self, who: Option<&SignedIn>, id: &RunId) -> Result<ReportFile, Refusal> {
        let cx = self.now();
        let (gathered, begun) = self.0.store.read(|view| -> Result<_, Refusal> {
            let ground = Ground::read(&cx, view, id)?;
            ground.readable(who)?;
            Ok((Gathered::of(view, &ground)?, ground.run.entry.clone()))
        })?;
        let file = gathered.finish(&self.0.store)?;
        let (id, by) = (id.clone(), if who.is_some() { "reader" } else { "operator" });
        self.commit(move |cx, _, moment| {
            texts_read(moment, &cx.installation, ("run", id.as_str()), &begun, by)
        })?;
        Ok(file)
    }
}
