//! The ledger's files: entries become leaves of the tree, under a signed
//! checkpoint, at the paths of C2SP tlog-tiles below `ledger/`.
//!
//! A run writes tiles durably, then signs the checkpoint and keeps it in the
//! database, then publishes it as the file `checkpoint`. Whatever of this a
//! crash cuts off, the next run does again with the same bytes. A checkpoint
//! is only ever signed for a tree that continues the last one signed.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use bailiwick_tlog::{
    Checkpoint, ConsistencyProof, LogKey, ReadError, RightEdge, SeedSigner, SignError,
    SignedCheckpoint, TileId, TileKind, TileSource, TlogProof, TreeReader, VerifiedCheckpoint,
};

use crate::apply::execute;
use crate::error::StoreError;
use crate::fault::{Injected, Step};
use crate::files::{create_private_dir, sync_dir, write_beside, write_durably};
use crate::store::{Store, lock_file};
use crate::tx::{Tx, signed};
use crate::view::View;

/// Entries in one step of sequencing, so that memory stays bounded.
const BATCH: u32 = 1_024;

/// Bytes of the file `checkpoint` at most.
const MAX_CHECKPOINT_BYTES: u64 = 64 * 1024;

/// Signs checkpoints with the log's key, which may stay elsewhere.
pub trait CheckpointSigner: Send + Sync {
    /// The log's public key; its name is the log's origin.
    fn key(&self) -> &LogKey;
    /// Signs a checkpoint of this log. The same checkpoint must give the same
    /// signature (Ed25519 does).
    ///
    /// # Errors
    /// [`SignError`].
    fn sign(&self, checkpoint: &Checkpoint) -> Result<SignedCheckpoint, SignError>;
}

impl CheckpointSigner for SeedSigner {
    fn key(&self) -> &LogKey {
        Self::key(self)
    }

    fn sign(&self, checkpoint: &Checkpoint) -> Result<SignedCheckpoint, SignError> {
        Self::sign(self, checkpoint)
    }
}

/// What a sequencing run did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequenced {
    /// Entries that became leaves in this run.
    pub added: u64,
    /// The published checkpoint; `None` while the log is empty.
    pub checkpoint: Option<SignedCheckpoint>,
}

/// The files of a ledger, read by the standard's paths only.
#[derive(Clone, Debug)]
pub struct LedgerFiles {
    dir: PathBuf,
}

impl LedgerFiles {
    /// The files below the folder `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The file at a path of the standard, `checkpoint` or a tile's; `None`
    /// for any other path and when there is no such file. A partial tile that
    /// a full one has replaced is not made up from it: a client falls back.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, StoreError> {
        // SECURITY: only paths that read back as themselves, so none leaves
        // the folder.
        if path == "checkpoint" {
            return self.file(path, MAX_CHECKPOINT_BYTES);
        }
        match TileId::parse(path) {
            Ok(id) => self.tile(id),
            Err(_) => Ok(None),
        }
    }

    /// The published checkpoint, unverified; `None` while there is none.
    ///
    /// # Errors
    /// [`StoreError::Ledger`] when it does not read as one, or
    /// [`StoreError::Fault`].
    pub fn checkpoint(&self) -> Result<Option<SignedCheckpoint>, StoreError> {
        let Some(bytes) = self.read("checkpoint")? else {
            return Ok(None);
        };
        let checkpoint = SignedCheckpoint::parse(&bytes)
            .map_err(|e| StoreError::Ledger { code: e.code(), detail: e.to_string() })?;
        Ok(Some(checkpoint))
    }

    #[expect(clippy::disallowed_methods, reason = "the store is who reads files")]
    fn file(&self, path: &str, max: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let during = "read the ledger";
        let file = match fs::File::open(self.dir.join(path)) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(StoreError::io(during, &e)),
        };
        let mut bytes = Vec::new();
        // One more than allowed, so that an oversized file reads as malformed.
        file.take(max + 1).read_to_end(&mut bytes).map_err(|e| StoreError::io(during, &e))?;
        Ok(Some(bytes))
    }
}

impl TileSource for LedgerFiles {
    type Error = StoreError;

    fn tile(&self, id: TileId) -> Result<Option<Vec<u8>>, StoreError> {
        let item = match id.kind() {
            TileKind::Entries => u64::from(u16::MAX) + 2,
            TileKind::Hashes { .. } => 32,
        };
        self.file(&id.to_string(), item * u64::from(id.width()))
    }
}

pub(crate) fn unreadable(error: &ReadError<StoreError>) -> StoreError {
    match error {
        ReadError::Source { error, .. } => error.clone(),
        other => StoreError::Ledger { code: other.code(), detail: other.to_string() },
    }
}

fn broken(code: &'static str, detail: impl Into<String>) -> StoreError {
    StoreError::Ledger { code, detail: detail.into() }
}

impl View<'_> {
    /// The last checkpoint that was signed, as its note's bytes.
    pub(crate) fn kept_checkpoint(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT note FROM checkpoint WHERE org = ?1";
        self.one(sql, [self.cx.org.as_str()], |r| r.get(0))
    }
}

impl Tx<'_> {
    /// Keeps a checkpoint in place of the one of `old_size`.
    fn keep_checkpoint(&self, old_size: u64, size: u64, note: &str) -> Result<(), StoreError> {
        let org = self.view.cx.org.as_str();
        let (old_size, size) = (signed(old_size)?, signed(size)?);
        let kept = if self.view.kept_checkpoint()?.is_some() {
            execute(
                self.view.c,
                "UPDATE checkpoint SET size = ?3, note = ?4 WHERE org = ?1 AND size = ?2",
                (org, old_size, size, note.as_bytes()),
                "checkpoint",
            )?
        } else {
            execute(
                self.view.c,
                "INSERT INTO checkpoint (org, size, note) VALUES (?1, ?2, ?3)",
                (org, size, note.as_bytes()),
                "checkpoint",
            )?
        };
        if kept == 1 {
            Ok(())
        } else {
            Err(broken("ledger-moved", "another process moved the checkpoint"))
        }
    }
}

/// Counts the files of one run and lets tests cut it off at any of them.
struct Steps<'s> {
    store: &'s Store,
    done: u64,
}

impl Steps<'_> {
    fn at(&self, step: Step) -> Result<(), StoreError> {
        match self.store.context().faults.at(step) {
            Some(Injected::Fail(fault)) => Err(StoreError::Fault {
                fault,
                during: "write the ledger",
                detail: "injected".to_owned(),
            }),
            Some(Injected::Crash) => Err(StoreError::Interrupted),
            _ => Ok(()),
        }
    }

    fn around(&mut self, write: impl FnOnce() -> Result<(), StoreError>) -> Result<(), StoreError> {
        let n = self.done;
        self.done += 1;
        self.at(Step::BeforeFile(n))?;
        write()?;
        self.at(Step::AfterFile(n))
    }
}

impl Store {
    /// The ledger's files.
    #[must_use]
    pub fn ledger(&self) -> LedgerFiles {
        LedgerFiles::new(&self.dir().join("ledger"))
    }

    /// Makes leaves of all entries that are not yet in the tree and publishes
    /// a checkpoint over them. Blocks on files: not for async threads. Runs of
    /// several processes wait for each other; a run cut off anywhere is
    /// completed by the next.
    ///
    /// # Errors
    /// [`StoreError::Ledger`] when files and database do not fit together
    /// (nothing is signed then), or [`StoreError::Fault`].
    pub fn sequence(&self, signer: &dyn CheckpointSigner) -> Result<Sequenced, StoreError> {
        let files = self.ledger();
        create_private_dir(&files.dir)?;
        let lock = lock_file(&self.dir().join("sequence.lock"))?;
        lock.lock().map_err(|e| StoreError::io("lock the ledger", &e))?;
        let mut steps = Steps { store: self, done: 0 };
        let mut last = self.last_checkpoint(&files, signer.key(), &mut steps)?;
        let mut edge = match &last {
            None => RightEdge::empty(),
            Some(last) => {
                RightEdge::read(&files, last.size(), last.root()).map_err(|e| unreadable(&e))?
            }
        };
        let start = edge.size();
        // What is appended meanwhile waits for the next run: otherwise a busy
        // log would be published for every few entries.
        let end = self.read(|v| v.log_size())?;
        if end < start {
            return Err(broken(
                "ledger-state-behind",
                format!("the checkpoint has {start} entries, the database fewer"),
            ));
        }
        while edge.size() < end {
            let from = edge.size();
            let entries = self.read(|v| v.tail(from, BATCH))?;
            if entries.is_empty() {
                break;
            }
            let plan = edge
                .append(entries.iter().map(|e| &e.leaf))
                .map_err(|e| broken(e.code(), e.to_string()))?;
            self.write_tiles(&files, &plan, &mut steps)?;
            let checkpoint = plan
                .checkpoint(signer.key().name())
                .map_err(|e| broken(e.code(), e.to_string()))?;
            let signed = signer.sign(&checkpoint).map_err(|e| broken(e.code(), e.to_string()))?;
            let verified = verify(&signed, signer.key())?;
            let note = signed.to_string();
            let kept = note.clone();
            let size = plan.size();
            steps.around(|| {
                self.write(move |tx: &mut Tx<'_>| tx.keep_checkpoint(from, size, &kept)).wait()
            })?;
            steps.around(|| write_durably(&files.dir.join("checkpoint"), note.as_bytes()))?;
            for folder in plan.replaced_folders() {
                // Only room is lost when this fails.
                let _ = fs::remove_dir_all(files.dir.join(folder));
            }
            last = Some(verified);
            edge = plan.into_edge();
        }
        Ok(Sequenced { added: edge.size() - start, checkpoint: last.map(|c| c.signed().clone()) })
    }

    /// The last checkpoint signed. Publishes it when a crash came between
    /// signing and publishing.
    fn last_checkpoint(
        &self,
        files: &LedgerFiles,
        key: &LogKey,
        steps: &mut Steps<'_>,
    ) -> Result<Option<VerifiedCheckpoint>, StoreError> {
        let published = files.checkpoint()?.map(|c| verify(&c, key)).transpose()?;
        let Some(note) = self.read(|v| v.kept_checkpoint())? else {
            return match published {
                None => Ok(None),
                Some(_) => Err(broken(
                    "ledger-state-behind",
                    "a checkpoint is published that the database does not know",
                )),
            };
        };
        let kept = SignedCheckpoint::parse(&note).map_err(|e| broken(e.code(), e.to_string()))?;
        let kept = verify(&kept, key)?;
        match &published {
            Some(p) if p.size() > kept.size() => Err(broken(
                "ledger-state-behind",
                format!(
                    "{} entries are published, the database knows of {}",
                    p.size(),
                    kept.size()
                ),
            )),
            Some(p) if p.size() == kept.size() && p.root() != kept.root() => Err(broken(
                "ledger-forked",
                format!("two roots are signed for {} entries", p.size()),
            )),
            Some(p) if p.size() == kept.size() => Ok(Some(kept)),
            _ => {
                let path = files.dir.join("checkpoint");
                steps.around(|| write_durably(&path, &note))?;
                Ok(Some(kept))
            }
        }
    }

    fn write_tiles(
        &self,
        files: &LedgerFiles,
        plan: &bailiwick_tlog::AppendPlan,
        steps: &mut Steps<'_>,
    ) -> Result<(), StoreError> {
        let mut folders = BTreeSet::new();
        for tile in plan.files() {
            let path = files.dir.join(tile.id.to_string());
            steps.around(|| {
                if let Some(folder) = path.parent() {
                    create_private_dir(folder)?;
                    folders.insert(folder.to_owned());
                }
                write_beside(&path, &tile.bytes)
            })?;
        }
        folders.iter().try_for_each(|folder| sync_dir(folder))
    }

    /// The published checkpoint, unverified; `None` while there is none.
    ///
    /// # Errors
    /// [`StoreError::Ledger`] or [`StoreError::Fault`].
    pub fn checkpoint(&self) -> Result<Option<SignedCheckpoint>, StoreError> {
        self.ledger().checkpoint()
    }

    /// Proof that the entry at `index` is in the tree of the published
    /// checkpoint, which it carries; `None` when it is not sequenced yet.
    ///
    /// # Errors
    /// [`StoreError::Ledger`] or [`StoreError::Fault`].
    pub fn inclusion(&self, index: u64) -> Result<Option<TlogProof>, StoreError> {
        let files = self.ledger();
        let Some(checkpoint) = files.checkpoint()? else {
            return Ok(None);
        };
        let size = checkpoint.unverified().size();
        if index >= size {
            return Ok(None);
        }
        let proof =
            TreeReader::new(&files, size).inclusion_proof(index).map_err(|e| unreadable(&e))?;
        let proof =
            TlogProof::new(proof, checkpoint).map_err(|e| broken(e.code(), e.to_string()))?;
        Ok(Some(proof))
    }

    /// Proof that the published tree continues the one of `old_size` entries,
    /// with the published checkpoint.
    ///
    /// # Errors
    /// [`StoreError::Ledger`] when there is no such tree, or
    /// [`StoreError::Fault`].
    pub fn consistency(
        &self,
        old_size: u64,
    ) -> Result<(ConsistencyProof, SignedCheckpoint), StoreError> {
        let files = self.ledger();
        let checkpoint = files
            .checkpoint()?
            .ok_or_else(|| broken("ledger-empty", "nothing is published yet"))?;
        let proof = TreeReader::new(&files, checkpoint.unverified().size())
            .consistency_proof(old_size)
            .map_err(|e| unreadable(&e))?;
        Ok((proof, checkpoint))
    }
}

fn verify(checkpoint: &SignedCheckpoint, key: &LogKey) -> Result<VerifiedCheckpoint, StoreError> {
    checkpoint
        .verify(key.name(), key)
        .map_err(|e| StoreError::Ledger { code: e.code(), detail: e.to_string() })
}
