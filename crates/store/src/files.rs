//! Files that are durable when written and readable by their owner only.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::StoreError;

/// Bytes of a secret file at most.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Makes a folder and its parents, each new one with mode 0700 and durable.
///
/// # Errors
/// [`StoreError::Fault`].
pub fn create_private_dir(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        create_private_dir(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => {}
        Err(e) => return Err(StoreError::io("make a folder", &e)),
    }
    sync_parent(path)
}

/// Makes the entries of `path`'s folder durable.
pub(crate) fn sync_parent(path: &Path) -> Result<(), StoreError> {
    let parent = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    sync_dir(parent)
}

#[expect(clippy::disallowed_methods, reason = "the store is who reads files")]
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir)
        .and_then(|d| d.sync_all())
        .map_err(|e| StoreError::io("make a folder durable", &e))
}

/// Writes a whole file so that after a crash either the old or the new one is
/// there: temporary file, fsync, rename, fsync of the folder. Mode 0600.
///
/// # Errors
/// [`StoreError::Fault`].
pub fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    write_beside(path, bytes)?;
    sync_parent(path)
}

/// [`write_durably`] without the last step, for many files in one folder.
pub(crate) fn write_beside(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let during = "write a file";
    let mut name = std::ffi::OsString::from(".tmp-");
    name.push(path.file_name().unwrap_or_default());
    let temporary = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|e| StoreError::io(during, &e))
}

/// Writes a new secret file with mode 0600; refuses to replace one.
///
/// # Errors
/// [`StoreError::Conflict`] when it exists, or [`StoreError::Fault`].
pub fn create_secret(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let during = "write a secret";
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(StoreError::Conflict { what: "secret file" });
        }
        Err(e) => return Err(StoreError::io(during, &e)),
    };
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| StoreError::io(during, &e))?;
    sync_parent(path)
}

/// Reads a secret file that only its owner can read. The check is made on the
/// opened file, so it cannot be swapped in between.
///
/// # Errors
/// [`StoreError::LoosePermissions`] when group or others have any access, or
/// [`StoreError::Fault`].
#[expect(clippy::disallowed_methods, reason = "the store is who reads files")]
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    use std::io::Read as _;
    let during = "read a secret";
    let file = File::open(path).map_err(|e| StoreError::io(during, &e))?;
    let metadata = file.metadata().map_err(|e| StoreError::io(during, &e))?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(StoreError::LoosePermissions { path: path.to_owned(), mode });
    }
    if metadata.len() > MAX_SECRET_BYTES {
        return Err(StoreError::Value { what: "length of the secret file" });
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_SECRET_BYTES).read_to_end(&mut bytes).map_err(|e| StoreError::io(during, &e))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/issuer.jwk");
        create_private_dir(path.parent().unwrap()).unwrap();
        assert_eq!(mode(&dir.path().join("a")), 0o700);
        create_secret(&path, b"secret").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(read_secret(&path).unwrap().as_slice(), b"secret");
        for loose in [0o644, 0o640, 0o604, 0o660, 0o610] {
            fs::set_permissions(&path, fs::Permissions::from_mode(loose)).unwrap();
            let error = read_secret(&path).unwrap_err();
            assert_eq!(error.code(), "loose-permissions", "{loose:o}");
            assert!(error.to_string().contains(&format!("{loose:o}")));
        }
    }

    #[test]
    fn a_secret_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.key");
        create_secret(&path, b"one").unwrap();
        assert_eq!(create_secret(&path, b"two").unwrap_err().code(), "already-exists");
        assert_eq!(read_secret(&path).unwrap().as_slice(), b"one");
    }

    #[test]
    fn a_file_is_replaced_whole_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint");
        write_durably(&path, b"a longer text").unwrap();
        write_durably(&path, b"short").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"short");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        fs::create_dir(dir.path().join("d")).unwrap();
        assert!(write_durably(&dir.path().join("missing/x"), b"").is_err());
    }
}
