//! Secrets that lie where a program in namespaces can look, and what is put over them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{self, Path, PathBuf};

use crate::error::CliError;

/// What is put over secrets, by their real places.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Covers {
    /// Folders that are shown empty. What the host puts into them later is not seen either.
    pub(super) folders: BTreeSet<PathBuf>,
    /// Files that are shown empty by themselves, since something in their folder must be seen.
    pub(super) files: BTreeSet<PathBuf>,
    /// Those of which a new file in their place is seen: the kernel takes the cover away with the
    /// old one.
    exposed: BTreeSet<PathBuf>,
}

impl Covers {
    /// `secrets` by any of their names, `shown` what the program sees, and `needed` what it must
    /// see of that.
    pub(super) fn new(secrets: &[PathBuf], shown: &[&Path], needed: &[&Path]) -> Self {
        let is_seen = |path: &Path| shown.iter().any(|shown| path.starts_with(shown));
        let is_needed = |folder: &Path| needed.iter().any(|needed| needed.starts_with(folder));
        let mut covers = Self::default();
        for secret in secrets {
            let Ok(real) = fs::canonicalize(secret) else { continue };
            if real.is_dir() {
                if is_seen(&real) {
                    covers.folders.insert(real);
                }
                continue;
            }
            // SECURITY: a link may lead there, and be set to another file meanwhile.
            let named = path::absolute(secret).ok();
            let named = named.and_then(|path| fs::canonicalize(path.parent()?).ok());
            let folders = named.into_iter().chain(real.parent().map(Path::to_owned));
            for folder in folders.filter(|folder| is_seen(folder)) {
                if is_needed(&folder) {
                    covers.exposed.insert(secret.clone());
                } else {
                    covers.folders.insert(folder);
                }
            }
            if is_seen(&real) {
                covers.files.insert(real);
            }
        }
        // What lies in a folder that is covered is covered with it.
        let folders = covers.folders.clone();
        let is_under = |path: &Path| folders.iter().any(|f| path != f && path.starts_with(f));
        covers.folders.retain(|path| !is_under(path));
        covers.files.retain(|path| !is_under(path));
        covers
    }

    /// What is not covered for good.
    pub(super) fn warning(&self) -> Option<CliError> {
        let exposed: Vec<String> =
            self.exposed.iter().map(|path| format!("`{}`", path.display())).collect();
        if exposed.is_empty() {
            return None;
        }
        Some(CliError::usage(
            "secret-in-view",
            format!(
                "the program is shown the folder of {}: what is there now is hidden, but a new file in its place would be seen",
                exposed.join(", ")
            ),
            "keep it in a folder of its own, or start the program in another one",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(paths: &[&Path]) -> BTreeSet<PathBuf> {
        paths.iter().map(|path| path.to_path_buf()).collect()
    }

    #[test]
    fn a_secret_takes_its_folder_along_unless_something_in_it_must_be_seen() {
        let base = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(base.path()).unwrap();
        let at = |name: &str| base.join(name);
        for folder in ["work/keys/old", "work/data/keys", "elsewhere"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        let files = ["work/own", "work/keys/old/token", "work/data/keys/a", "elsewhere/token"];
        for file in files {
            fs::write(at(file), "secret").unwrap();
        }
        std::os::unix::fs::symlink("old/token", at("work/keys/token")).unwrap();
        std::os::unix::fs::symlink(at("elsewhere/token"), at("work/link")).unwrap();
        let work = at("work");
        let covers = |secrets: &[&str]| {
            let secrets: Vec<PathBuf> = secrets.iter().map(|name| at(name)).collect();
            Covers::new(&secrets, &[&work], &[&work])
        };
        // Not there, and not seen.
        assert_eq!(covers(&["work/none", "elsewhere/token"]), Covers::default());
        // A folder is covered as such, with all that lies in it.
        let data = covers(&["work/data", "work/data/keys/a"]);
        assert_eq!((data.folders, data.files), (set(&[&at("work/data")]), set(&[])));
        // The folder of the name, in which the link may be set anew, and with it that of the file.
        let linked = covers(&["work/keys/token"]);
        assert!(linked.warning().is_none());
        assert_eq!((linked.folders, linked.files), (set(&[&at("work/keys")]), set(&[])));
        // In a folder that must be seen a file is covered alone, and that is told.
        let own = covers(&["work/own", "work/link"]);
        let told = own.warning().unwrap().message;
        assert!(told.contains("work/own") && told.contains("work/link"), "{told}");
        assert_eq!((own.folders, own.files), (set(&[]), set(&[&at("work/own")])));
    }
}
