//! Instances that live as long as one process on this host: those of `run` and `wrap`. A note in
//! the data dir says which they are and what was granted for them, locked for as long as the
//! process lives. What a killed process left is ended by whoever finds the note unlocked, and so
//! are the calls that a killed gateway had under way.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bailiwick_authority::{Refusal, Target};
use bailiwick_core::ids::{GrantId, InstanceId};

use crate::datadir::DataDir;
use crate::error::CliError;

/// The folder of the notes, in the data dir.
const FOLDER: &str = "lives";
/// How a whole note is named; one that is being written is named otherwise.
const ENDING: &str = "life";
/// Bytes of a note at most.
const MAX_NOTE: u64 = 4096;

/// A note that is locked.
pub(crate) struct Life {
    instance: InstanceId,
    path: PathBuf,
    file: File,
}

/// What a note says.
struct Noted {
    instance: InstanceId,
    grants: Vec<GrantId>,
}

impl Noted {
    fn read(file: &File) -> Option<Self> {
        let mut text = String::new();
        file.take(MAX_NOTE).read_to_string(&mut text).ok()?;
        let mut lines = text.lines();
        let instance = InstanceId::parse(lines.next()?).ok()?;
        // A line that was cut off names nothing that was granted.
        let grants = lines.filter_map(|line| GrantId::parse(line).ok()).collect();
        Some(Self { instance, grants })
    }

    /// Ends the instance and what was granted for it. What is not there, or ended before, is over.
    fn end(&self, data: &DataDir, why: &str) -> Result<(), CliError> {
        // The keys may have been replaced while the process ran.
        data.take_up_keys()?;
        over(data.authority.instance_retire(&self.instance))?;
        for grant in &self.grants {
            let target = Target::Grant(grant.clone());
            over(data.authority.revoke(&target, "withdrawn-by-operator", Some(why)))?;
        }
        Ok(())
    }
}

fn over<T>(ended: Result<T, Refusal>) -> Result<(), CliError> {
    match ended {
        Ok(_) | Err(Refusal::Unknown { .. }) => Ok(()),
        Err(other) => Err(other.into()),
    }
}

impl Life {
    /// Notes the instance, before it is enrolled.
    pub(crate) fn begin(data: &DataDir, instance: &InstanceId) -> Result<Self, CliError> {
        let folder = data.dir.join(FOLDER);
        bailiwick_store::create_private_dir(&folder)?;
        let (new, path) =
            (folder.join(format!("{instance}.new")), folder.join(format!("{instance}.{ENDING}")));
        let failed = |e: std::io::Error| CliError::file(&new, "write", &e);
        let mut file = fs::OpenOptions::new();
        let file = file.read(true).append(true).create_new(true).mode(0o600).open(&new);
        let mut file = file.map_err(failed)?;
        file.lock().map_err(failed)?;
        writeln!(file, "{instance}").and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&new, &path).map_err(failed)?;
        Ok(Self { instance: instance.clone(), path, file })
    }

    /// Notes a grant for the instance, before it is signed.
    pub(crate) fn granted(&mut self, grant: &GrantId) -> Result<(), CliError> {
        writeln!(self.file, "{grant}")
            .and_then(|()| self.file.sync_all())
            .map_err(|e| CliError::file(&self.path, "write", &e))
    }

    /// Ends it in good order.
    pub(crate) fn end(&self, data: &DataDir) {
        let noted = File::open(&self.path).ok().and_then(|file| Noted::read(&file));
        let noted = noted.unwrap_or(Noted { instance: self.instance.clone(), grants: Vec::new() });
        match noted.end(data, "the run ended") {
            Ok(()) => drop(fs::remove_file(&self.path)),
            // The note stays, and whoever finds it tries again.
            Err(e) => tracing::warn!(code = %e.code, "the instance still stands: {}", e.message),
        }
    }
}

/// What killed processes left, and is over now.
pub(crate) struct Left {
    /// Instances that were retired, with what was granted for them.
    pub(crate) instances: usize,
    /// Calls that a gateway had under way; their outcome is recorded as unknown.
    pub(crate) calls: usize,
}

/// Ends what killed processes left. What a process that lives has under way stays.
pub(crate) fn tend(data: &DataDir) -> Result<Left, CliError> {
    let abandoned = data.store().abandoned_actions()?;
    let calls = if abandoned.is_empty() { 0 } else { data.journal().close(abandoned)? };
    let mut instances = 0;
    if let Ok(folder) = fs::read_dir(data.dir.join(FOLDER)) {
        for path in folder.flatten().map(|item| item.path()) {
            if path.extension().is_some_and(|ending| ending == ENDING) && end_orphan(data, &path)? {
                instances += 1;
            }
        }
    }
    Ok(Left { instances, calls })
}

fn end_orphan(data: &DataDir, path: &Path) -> Result<bool, CliError> {
    // Gone meanwhile: it ended in good order.
    let Ok(file) = File::open(path) else { return Ok(false) };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(e)) => return Err(CliError::file(path, "lock", &e)),
    }
    match Noted::read(&file) {
        Some(noted) => noted.end(data, "the run was killed")?,
        None => tracing::warn!(path = %path.display(), "a note of an instance cannot be read"),
    }
    match fs::remove_file(path) {
        // Two may look at once.
        Err(e) if e.kind() != ErrorKind::NotFound => Err(CliError::file(path, "remove", &e)),
        _ => Ok(true),
    }
}
