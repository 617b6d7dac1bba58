//! Where a figure keeps its files: on a real disk, because on a file system in
//! memory a durable write costs nothing.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Failure;

/// File systems that keep nothing when the power goes.
const IN_MEMORY: [&str; 3] = ["tmpfs", "ramfs", "devtmpfs"];

/// A folder to make folders in.
pub(crate) struct Place {
    base: PathBuf,
    file_system: String,
}

impl Place {
    /// The folder asked for; otherwise `target` in the current one, otherwise
    /// `/var/tmp`.
    pub(crate) fn find(asked: Option<&Path>) -> Result<Self, Failure> {
        if let Some(asked) = asked {
            return Self::on_disk(asked);
        }
        let usual = [Path::new("target"), Path::new("/var/tmp")];
        usual
            .into_iter()
            .find_map(|folder| Self::on_disk(folder).ok())
            .ok_or_else(|| "neither ./target nor /var/tmp is on a disk; name a --dir".into())
    }

    fn on_disk(folder: &Path) -> Result<Self, Failure> {
        let shown = folder.display();
        let base = folder.canonicalize().map_err(|e| format!("{shown}: {e}"))?;
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let file_system = file_system(&mounts, &base).unwrap_or("unknown file system").to_owned();
        if IN_MEMORY.contains(&file_system.as_str()) {
            return Err(
                format!("{shown} is on {file_system}, in memory; name a --dir on a disk").into()
            );
        }
        Ok(Self { base, file_system })
    }

    /// The kind of file system.
    pub(crate) fn file_system(&self) -> &str {
        &self.file_system
    }

    /// A new folder, which goes when it is dropped.
    pub(crate) fn folder(&self) -> Result<TempDir, Failure> {
        Ok(tempfile::Builder::new().prefix("bailiwick-bench-").tempdir_in(&self.base)?)
    }
}

/// The kind of file system that `path` lies on, by the text of `mountinfo`:
/// that of the longest mount point, and of the last one mounted there.
fn file_system<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mounted = mounts.lines().filter_map(|line| {
        let (mount, rest) = line.split_once(" - ")?;
        let point = Path::new(mount.split(' ').nth(4)?);
        let kind = rest.split(' ').next()?;
        path.starts_with(point).then_some((point.components().count(), kind))
    });
    mounted.max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_and_latest_mount_tells_the_file_system() {
        let mounts = "22 1 254:0 / / rw shared:1 - ext4 /dev/vda rw\n\
                      30 22 0:26 / /tmp rw,nosuid - tmpfs tmpfs rw\n\
                      31 30 8:1 / /tmp/disk rw - btrfs /dev/sda1 rw\n\
                      32 31 8:2 / /tmp/disk rw - xfs /dev/sda2 rw\n";
        let of = |path: &str| file_system(mounts, Path::new(path));
        assert_eq!(of("/var/tmp"), Some("ext4"));
        assert_eq!(of("/tmp/a"), Some("tmpfs"));
        assert_eq!(of("/tmp/disk/a"), Some("xfs"));
        assert_eq!(of("/tmpfoo"), Some("ext4"));
    }
}
