//! Checking a whole data dir, or a copy of one, against its trust anchors.
//!
//! Nothing that lies in the data dir is trusted: the log's key, the makers'
//! keys and an earlier checkpoint come from the auditor. The data dir is only
//! read. Everything is checked, and what does not hold is reported with the
//! first entry that it concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bailiwick_core::crypto::{PublicKey, sha256};
use bailiwick_core::ids::{EntryId, OrgId};
use bailiwick_core::json::Json;
use bailiwick_core::ledger::{Entry, Kind, MakerPosition};
use bailiwick_core::time::Timestamp;
use bailiwick_tlog::{
    AuditError, Hash, KnownRoot, LogKey, ReadError, SignedCheckpoint, TILE_WIDTH, TileId,
    audit as audit_tree, leaf_hash,
};

use crate::error::StoreError;
use crate::ledger::LedgerFiles;
use crate::rebuild::{row_in_body, row_in_texts};
use crate::rows::StoredEntry;
use crate::seal::PlaintextKey;
use crate::tx::ERASED;

mod leftovers;
mod projection;
mod staging;

use projection::Projection;
use staging::Staging;

/// Findings kept; the first ones matter.
const MAX_FINDINGS: usize = 100;

const MISSING_ROW: &str = "the database does not have it";

/// What an auditor brings along.
pub struct AuditInput<'a> {
    /// The data dir, or a copy of it; with `files_only` also a copy of its
    /// folder `ledger` alone.
    pub dir: &'a Path,
    /// The organisation.
    pub org: OrgId,
    /// The log's key; its name is the log's origin.
    pub log_key: &'a LogKey,
    /// The trusted makers' keys; may refuse by the entry's time.
    pub makers: &'a dyn Fn(&str, Timestamp) -> Option<PublicKey>,
    /// A checkpoint kept elsewhere, which the log must continue.
    pub since: Option<&'a SignedCheckpoint>,
    /// The plaintext key, to check that the texts still are those committed
    /// to; without it they are not looked at.
    pub plaintext_key: Option<PlaintextKey>,
    /// Look at the ledger's files only, not at the database.
    pub files_only: bool,
}

impl AuditInput<'_> {
    /// The folder of the checkpoint and the tiles.
    fn ledger(&self) -> PathBuf {
        let below = self.dir.join("ledger");
        // Whoever holds only tiles may keep them wherever they like.
        if self.files_only && !below.is_dir() { self.dir.to_owned() } else { below }
    }
}

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A stable code.
    pub code: &'static str,
    /// The index of the first entry concerned, where one is.
    pub index: Option<u64>,
    /// What does not hold.
    pub detail: String,
}

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Entries in the published tree.
    pub size: u64,
    /// Its root.
    pub root: Option<Hash>,
    /// Entries of the database that are not in the tree yet.
    pub pending: u64,
    /// Tile files compared with what the entries imply.
    pub tiles: u64,
    /// Tile files of a larger tree that was never published.
    pub unpublished: u64,
    /// Entries by maker.
    pub makers: BTreeMap<String, u64>,
    /// Records of texts compared with what was committed to.
    pub texts: u64,
    /// The size of the earlier checkpoint that the log continues.
    pub since: Option<u64>,
    /// What does not hold, by index; empty when all does.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether everything holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.findings.is_empty()
    }

    /// The first entry that something is wrong with.
    #[must_use]
    pub fn first_bad_entry(&self) -> Option<u64> {
        self.findings.iter().filter_map(|f| f.index).min()
    }

    fn add(&mut self, code: &'static str, index: Option<u64>, detail: impl Into<String>) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { code, index, detail: detail.into() });
        }
    }
}

/// Checks a data dir: the checkpoint's signature, the root and every tile
/// recomputed from the entries, every entry's form and maker's signature,
/// every maker's sequence, the database's rows against the entries, and
/// continuity from a checkpoint kept elsewhere.
///
/// # Errors
/// [`StoreError`] when it cannot be read at all; what was read and does not
/// hold is in the report.
pub fn audit(input: &AuditInput<'_>) -> Result<Report, StoreError> {
    let files = LedgerFiles::new(&input.ledger());
    let mut audit = Audit {
        input,
        report: Report::default(),
        positions: BTreeMap::new(),
        staging: None,
        projection: None,
        gone: BTreeMap::new(),
        erased: BTreeSet::new(),
    };
    // Read before the database, so that the rows cover the tree even while a
    // service goes on appending.
    let checkpoint = audit.checkpoint(&files)?;
    if !input.files_only {
        match Staging::open(input) {
            Ok(staging) => {
                audit.staging = Some(staging);
                audit.projection = Some(Projection::new()?);
            }
            Err(e) => audit.report.add(e.code(), None, e.to_string()),
        }
    }
    if let Some(checkpoint) = checkpoint {
        audit.tree(&files, &checkpoint)?;
    }
    audit.leftovers(&files)?;
    audit.rest_of_staging();
    audit.maker_positions();
    audit.erasures();
    audit.state();
    let mut report = audit.report;
    // Stable: findings about the same entry stay in the order they were made.
    report.findings.sort_by_key(|f| f.index.unwrap_or(u64::MAX));
    Ok(report)
}

struct Audit<'a, 'i> {
    input: &'a AuditInput<'i>,
    report: Report,
    positions: BTreeMap<String, MakerPosition>,
    staging: Option<Staging>,
    projection: Option<Projection>,
    /// Entries whose texts are marked as erased, with their index.
    gone: BTreeMap<EntryId, u64>,
    /// Entries that some `plaintext.erased` names.
    erased: BTreeSet<String>,
}

impl Audit<'_, '_> {
    fn checkpoint(&mut self, files: &LedgerFiles) -> Result<Option<SignedCheckpoint>, StoreError> {
        match files.checkpoint() {
            Ok(Some(checkpoint)) => Ok(Some(checkpoint)),
            Ok(None) => {
                if self.input.since.is_some() || self.input.files_only {
                    self.report.add("checkpoint-missing", None, "no checkpoint is published");
                }
                Ok(None)
            }
            Err(StoreError::Ledger { code, detail }) => {
                self.report.add(code, None, format!("the published checkpoint: {detail}"));
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    fn tree(
        &mut self,
        files: &LedgerFiles,
        checkpoint: &SignedCheckpoint,
    ) -> Result<(), StoreError> {
        let key = self.input.log_key;
        // Unverified, it still says how many entries to look at.
        if let Err(e) = checkpoint.verify(key.name(), key) {
            self.report.add(e.code(), None, format!("the published checkpoint: {e}"));
        }
        let current = known(checkpoint);
        self.report.size = current.size;
        self.report.root = Some(current.root);
        let mut earlier = Vec::new();
        if let Some(since) = self.input.since {
            match since.verify(key.name(), key) {
                Ok(since) => {
                    earlier.push(known(since.signed()));
                    self.report.since = Some(since.size());
                }
                Err(e) => self.report.add(e.code(), None, format!("the kept checkpoint: {e}")),
            }
        }
        if let Some(shrunk) = earlier.iter().find(|e| e.size > current.size) {
            let detail =
                AuditError::<StoreError>::Shrunk { found: current.size, known: shrunk.size };
            self.report.add(detail.code(), Some(current.size), detail.to_string());
            earlier.clear();
        }
        let audited =
            audit_tree(files, current, &earlier, |index, leaf| self.tree_leaf(index, leaf));
        match audited {
            Ok(found) => self.report.tiles += found.tiles,
            Err(AuditError::Read(ReadError::Source { error, .. })) => return Err(error),
            Err(error) => self.report.add(error.code(), first_of(&error), error.to_string()),
        }
        Ok(())
    }

    /// One entry of the tree, and the database's row for it.
    fn tree_leaf(&mut self, index: u64, leaf: &[u8]) {
        let row = match self.staging.as_mut().map(Staging::next) {
            None => None,
            Some(Ok(Some(row))) if row.index == index => Some(row),
            Some(Ok(_)) => {
                self.report.add("staging-missing", Some(index), MISSING_ROW);
                // The rows after a gap would all be reported.
                self.staging = None;
                None
            }
            Some(Err(e)) => {
                self.report.add(e.code(), Some(index), e.to_string());
                self.staging = None;
                None
            }
        };
        if row.as_ref().is_some_and(|row| row.leaf != leaf) {
            let detail = "the database has other bytes for it than the tree";
            self.report.add("staging-differs", Some(index), detail);
        }
        self.leaf(index, leaf, row.as_ref());
    }

    /// One entry's form, signature, place in its maker's sequence, and row.
    fn leaf(&mut self, index: u64, leaf: &[u8], row: Option<&StoredEntry>) {
        let entry = match Entry::open(leaf, self.input.makers) {
            Ok(entry) => entry,
            Err(e) => return self.report.add(e.code(), Some(index), e.to_string()),
        };
        if entry.org != self.input.org {
            let detail = format!("it is of the organisation `{}`", entry.org);
            self.report.add("entry-of-another-organisation", Some(index), detail);
        }
        let expected = self.positions.get(&entry.maker).copied().unwrap_or(MakerPosition::START);
        if entry.position != expected {
            let detail = format!(
                "maker `{}`: found number {}, expected {} after the entry before it",
                entry.maker, entry.position.seq, expected.seq
            );
            self.report.add("maker-sequence-broken", Some(index), detail);
        }
        let next = MakerPosition { seq: entry.position.seq.saturating_add(1), prev: sha256(leaf) };
        *self.report.makers.entry(entry.maker.clone()).or_default() += 1;
        self.positions.insert(entry.maker.clone(), next);
        if entry.kind == Kind::PlaintextErased {
            let ids = entry.body.member(ERASED).and_then(Json::as_array).unwrap_or_default();
            self.erased.extend(ids.iter().filter_map(Json::as_str).map(str::to_owned));
        }
        if let Some(row) = row.filter(|row| row.leaf == leaf) {
            self.row(row, &entry);
        }
    }

    /// A row's columns and texts against its entry.
    fn row(&mut self, row: &StoredEntry, entry: &Entry) {
        let index = Some(row.index);
        let same = row.id == entry.id
            && row.time == entry.time
            && row.kind == entry.kind.as_str()
            && row.maker == entry.maker
            && row.seq == entry.position.seq
            && row.subjects == entry.subjects
            && row.leaf_hash == leaf_hash(&row.leaf);
        if !same {
            let detail = "the database's columns are not what the entry says";
            self.report.add("columns-differ", index, detail);
        }
        let Some(staging) = &self.staging else {
            return;
        };
        let cx = staging.context();
        if let Some(projection) = &self.projection {
            let run_seq = projection.run_seq(cx, entry);
            // Those of before have no number, and count.
            if entry.run_seq.is_some_and(|found| Some(found) != run_seq) {
                let detail = "its number in its run is not the next one after the entry before it";
                self.report.add("run-sequence-broken", index, detail);
            }
            projection.action(cx, row.index, entry);
            if let Some(made) = row_in_body(&entry.body) {
                projection.row(cx, &made, entry);
            }
        }
        if self.input.plaintext_key.is_none() {
            return;
        }
        match staging.view().read_plaintext(&row.id) {
            Ok(Some(texts)) => {
                self.report.texts += 1;
                if let (Some(projection), Some(made)) = (&self.projection, row_in_texts(&texts)) {
                    projection.row(cx, &made, entry);
                }
                let all = texts.len() == entry.commits.len()
                    && texts.iter().all(|(field, d)| entry.discloses(field, d));
                if !all {
                    let detail = "the texts are not those that it commits to";
                    self.report.add("texts-differ", index, detail);
                }
            }
            Ok(None) => match staging.view().is_erased(&row.id) {
                Ok(false) if !entry.commits.is_empty() => {
                    let detail = "its texts are gone without being erased";
                    self.report.add("texts-missing", index, detail);
                }
                Ok(true) => {
                    self.gone.insert(entry.id.clone(), row.index);
                }
                Ok(false) => {}
                Err(e) => self.report.add(e.code(), index, e.to_string()),
            },
            Err(e) => self.report.add(e.code(), index, e.to_string()),
        }
    }

    /// Texts that went have an entry that says so.
    fn erasures(&mut self) {
        let gone = std::mem::take(&mut self.gone);
        for (id, index) in gone {
            if !self.erased.contains(id.as_str()) {
                let detail = "its texts were erased, and no entry says so";
                self.report.add("erased-unrecorded", Some(index), detail);
            }
        }
    }

    /// Entries that the database has beyond the tree.
    fn rest_of_staging(&mut self) {
        // After a broken tree the entries between are unknown: a sequence
        // cannot be followed across them.
        if self.report.findings.iter().any(|f| f.code.starts_with("tlog-")) {
            return;
        }
        let mut index = self.report.size;
        while let Some(next) = self.staging.as_mut().map(Staging::next) {
            match next {
                Ok(None) => return,
                Ok(Some(row)) if row.index == index => {
                    self.leaf(index, &row.leaf, Some(&row));
                    self.report.pending += 1;
                    index += 1;
                }
                Ok(Some(_)) => {
                    return self.report.add("staging-missing", Some(index), MISSING_ROW);
                }
                Err(e) => return self.report.add(e.code(), Some(index), e.to_string()),
            }
        }
    }

    /// Where the database believes each maker to be.
    fn maker_positions(&mut self) {
        if !self.report.holds() {
            return;
        }
        let Some(staging) = &self.staging else { return };
        for (maker, position) in &self.positions {
            match staging.view().maker_position(maker) {
                Ok(found) if found == *position => {}
                Ok(found) => {
                    let detail = format!(
                        "maker `{maker}`: the database expects number {} next, the entries {}",
                        found.seq, position.seq
                    );
                    return self.report.add("maker-position-differs", None, detail);
                }
                Err(e) => return self.report.add(e.code(), None, e.to_string()),
            }
        }
    }

    /// The database's other tables, against what the entries make of them,
    /// and the checkpoint that it keeps.
    fn state(&mut self) {
        if !self.report.holds() {
            return;
        }
        let (Some(staging), Some(projection)) = (&self.staging, &self.projection) else {
            return;
        };
        match projection.compare(staging, self.input.plaintext_key.is_some()) {
            Ok(None) => {}
            Ok(Some(detail)) => self.report.add("state-differs", None, detail),
            Err(e) => self.report.add(e.code(), None, e.to_string()),
        }
        let view = staging.view();
        match view.failures_upto().and_then(|upto| Ok((upto, view.log_size()?))) {
            // Else nothing would be noticed until the ledger is so long.
            Ok((Some(upto), size)) if upto > size => {
                let detail = format!("failures were looked for up to entry {upto} of {size}");
                self.report.add("failures-ahead", None, detail);
            }
            Ok(_) => {}
            Err(e) => return self.report.add(e.code(), None, e.to_string()),
        }
        let key = self.input.log_key;
        let kept = match staging.view().kept_checkpoint() {
            Ok(None) if self.report.size == 0 => return,
            Ok(kept) => kept
                .and_then(|note| SignedCheckpoint::parse(&note).ok()?.verify(key.name(), key).ok()),
            Err(e) => return self.report.add(e.code(), None, e.to_string()),
        };
        let continues = kept.is_some_and(|kept| {
            let root = self.report.root;
            kept.size() > self.report.size
                || kept.size() == self.report.size && Some(*kept.root()) == root
        });
        if !continues {
            let detail = "the database keeps another checkpoint than the published one";
            self.report.add("state-differs", None, detail);
        }
    }
}

fn known(checkpoint: &SignedCheckpoint) -> KnownRoot {
    let checkpoint = checkpoint.unverified();
    KnownRoot { size: checkpoint.size(), root: *checkpoint.root() }
}

/// The first entry that a finding about tiles may concern.
fn first_of(error: &AuditError<StoreError>) -> Option<u64> {
    let below = |tile: &TileId| {
        let width = u64::from(TILE_WIDTH);
        match tile.kind() {
            bailiwick_tlog::TileKind::Entries => tile.index().checked_mul(width),
            bailiwick_tlog::TileKind::Hashes { level } => {
                tile.index().checked_mul(width.checked_pow(u32::from(level) + 1)?)
            }
        }
    };
    match error {
        AuditError::Read(ReadError::EntryDiffers { index }) => Some(*index),
        AuditError::Read(
            ReadError::Bundle { tile, .. }
            | ReadError::Length { tile, .. }
            | ReadError::Missing { tile },
        )
        | AuditError::TileDiffers { tile } => below(tile),
        _ => None,
    }
}
