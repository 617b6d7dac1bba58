//! Notes: a small file says something about a process and is locked by it. Whoever finds one
//! that nobody holds knows that the process is gone, however it ended.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::StoreError;
use crate::files::create_private_dir;

/// Bytes of a note at most.
const MAX_NOTE: u64 = 16 << 10;

fn failed(during: &'static str) -> impl Fn(std::io::Error) -> StoreError {
    move |e| StoreError::io(during, &e)
}

/// A note that is held by this process. Dropped, it lies there for whoever looks.
#[derive(Debug)]
pub struct Note {
    path: PathBuf,
    file: File,
}

impl Note {
    /// Leaves the note `name.kind` in `folder`, which is made if it is not there; it is durable,
    /// and never seen without its lines or its lock.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn leave(folder: &Path, name: &str, kind: &str, text: &str) -> Result<Self, StoreError> {
        let failed = failed("leave a note");
        create_private_dir(folder)?;
        let (new, path) =
            (folder.join(format!("{name}.new")), folder.join(format!("{name}.{kind}")));
        let mut file = OpenOptions::new();
        let file = file.append(true).create_new(true).mode(0o600).open(&new);
        let mut note = Self { path, file: file.map_err(&failed)? };
        note.file.lock().map_err(&failed)?;
        note.add(text)?;
        fs::rename(&new, &note.path).map_err(&failed)?;
        Ok(note)
    }

    /// Adds to what it says.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn add(&mut self, text: &str) -> Result<(), StoreError> {
        let added = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_all());
        added.map_err(failed("write a note"))
    }

    /// Removes it: what it says is over.
    pub fn remove(&self) {
        // One that stays is found unlocked, and is over again.
        let _ = fs::remove_file(&self.path);
    }
}

/// A note of a process that is gone. It is held by whoever found it.
#[derive(Debug)]
pub struct Left {
    path: PathBuf,
    file: File,
}

impl Left {
    /// What it says; none where it cannot be read.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let mut text = String::new();
        let read = (&self.file).take(MAX_NOTE).read_to_string(&mut text);
        read.ok().map(|_| text)
    }

    /// Removes it: what it says is over.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn remove(self) -> Result<(), StoreError> {
        match fs::remove_file(&self.path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(failed("remove a note")(e)),
            _ => Ok(()),
        }
    }
}

/// The notes of a kind.
#[derive(Debug, Default)]
pub struct Notes {
    /// Names of those that somebody holds: a process that lives, or who just found one.
    pub held: Vec<String>,
    /// Those that processes left which are gone.
    pub left: Vec<Left>,
}

impl Notes {
    /// Those in `folder`, which need not be there.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn find(folder: &Path, kind: &str) -> Result<Self, StoreError> {
        let failed = failed("look for notes");
        let listed = match fs::read_dir(folder) {
            Ok(listed) => listed,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(failed(e)),
        };
        let mut notes = Self::default();
        for item in listed {
            let path = item.map_err(&failed)?.path();
            let name = path.file_stem().and_then(|name| name.to_str()).map(str::to_owned);
            let (Some(name), true) = (name, path.extension().is_some_and(|e| e == kind)) else {
                continue;
            };
            let file = match OpenOptions::new().read(true).open(&path) {
                Ok(file) => file,
                // It ended in good order meanwhile.
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) => return Err(failed(e)),
            };
            match file.try_lock() {
                Ok(()) => notes.left.push(Left { path, file }),
                Err(TryLockError::WouldBlock) => notes.held.push(name),
                Err(TryLockError::Error(e)) => return Err(failed(e)),
            }
        }
        Ok(notes)
    }
}
