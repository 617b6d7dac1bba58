//! Lives: a process that decides calls notes itself in the data dir, locked for as long as it
//! lives, and every call that it allows names it until the outcome is there. So whoever looks
//! knows which open calls nobody will complete any more, however many processes work beside.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bailiwick_core::crypto::base64url;

use crate::error::StoreError;
use crate::files::create_private_dir;
use crate::rows::OpenAction;
use crate::seal;
use crate::store::Store;

/// The folder of the notes, in the data dir.
const FOLDER: &str = "lives";
/// How a whole note is named; one that is being made is named otherwise.
const ENDING: &str = "gateway";

/// The life of a process that decides calls; over when dropped, or when the process ends, however
/// it ends.
#[derive(Debug)]
pub(crate) struct Life {
    path: PathBuf,
    _file: File,
}

impl Drop for Life {
    fn drop(&mut self) {
        // One that stays is removed by whoever finds it unlocked.
        let _ = fs::remove_file(&self.path);
    }
}

impl Store {
    /// Begins the life in which this handle and its clones decide calls.
    pub(crate) fn begin_life(&self) -> Result<Life, StoreError> {
        let failed = |e: std::io::Error| StoreError::io("note a life", &e);
        let folder = self.dir().join(FOLDER);
        create_private_dir(&folder)?;
        let id = base64url(&seal::random::<16>(&*self.context().entropy)?);
        let (new, path) =
            (folder.join(format!("{id}.new")), folder.join(format!("{id}.{ENDING}")));
        let mut file = OpenOptions::new();
        let file = file.write(true).create_new(true).mode(0o600).open(&new).map_err(failed)?;
        file.lock().map_err(failed)?;
        fs::rename(&new, &path).map_err(failed)?;
        let life = Life { path, _file: file };
        match self.context().life.set(id) {
            Ok(()) => Ok(life),
            Err(_) => Err(StoreError::AlreadyRunning { role: ENDING.to_owned() }),
        }
    }

    /// Allowed calls without an outcome of processes that live no more. Those that name no life,
    /// from a version of before, are not among them.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn abandoned_actions(&self) -> Result<Vec<OpenAction>, StoreError> {
        // INVARIANT: the calls are read before the lives. A life is noted before its first call, so
        // a call found here whose life is not found after it has nobody.
        let mut open = self.read(|v| v.unfinished_actions())?;
        let living = living(&self.dir().join(FOLDER))?;
        open.retain(|action| action.life.as_ref().is_some_and(|life| !living.contains(life)));
        Ok(open)
    }
}

/// The lives of which a process still holds the note; the notes of others are removed.
fn living(folder: &Path) -> Result<BTreeSet<String>, StoreError> {
    let failed = |e: std::io::Error| StoreError::io("look for lives", &e);
    let notes = match fs::read_dir(folder) {
        Ok(notes) => notes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(e) => return Err(failed(e)),
    };
    let mut living = BTreeSet::new();
    for note in notes {
        let path = note.map_err(failed)?.path();
        let id = path.file_stem().and_then(|id| id.to_str());
        let (Some(id), true) = (id, path.extension().is_some_and(|e| e == ENDING)) else {
            continue;
        };
        let file = match OpenOptions::new().read(true).open(&path) {
            Ok(file) => file,
            // It ended in good order meanwhile.
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) => return Err(failed(e)),
        };
        // Shared: two that look at once do not take each other for the process itself.
        match file.try_lock_shared() {
            Ok(()) => drop(fs::remove_file(&path)),
            Err(TryLockError::WouldBlock) => {
                living.insert(id.to_owned());
            }
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
    }
    Ok(living)
}
