//! A bundle of policies as a folder.

use std::collections::BTreeMap;
use std::path::Path;

use bailiwick_policy::Bundle;
use bailiwick_policy::bundle::BundleProblem;
use bailiwick_policy::limits::{MAX_BUNDLE_BYTES, MAX_BUNDLE_FILES};

use crate::error::{CliError, listed};
use crate::keyfile;

/// Bytes of all files of cases.
const MAX_CASES_BYTES: u64 = 8 << 20;

/// Folders within one another.
const MAX_DEPTH: usize = 8;

/// What may lie beside policies and is no part of the bundle.
const BESIDE: [&str; 3] = ["md", "txt", "cedarschema"];

/// Reads a folder; all problems make one error.
pub(crate) fn read(folder: &Path) -> Result<Bundle, CliError> {
    read_with_cases(folder).map(|(bundle, _)| bundle)
}

/// Reads a folder, and the texts of its YAML files by name: they hold cases.
pub(crate) fn read_with_cases(
    folder: &Path,
) -> Result<(Bundle, BTreeMap<String, String>), CliError> {
    let mut found = Found {
        policies: BTreeMap::new(),
        cases: BTreeMap::new(),
        left: (u64::try_from(MAX_BUNDLE_BYTES).unwrap_or(u64::MAX), MAX_CASES_BYTES),
    };
    found.walk(folder, "", MAX_DEPTH)?;
    let bundle = Bundle::parse(found.policies).map_err(|problems| invalid(folder, &problems))?;
    Ok((bundle, found.cases))
}

/// What lies in a folder.
struct Found {
    policies: BTreeMap<String, String>,
    cases: BTreeMap<String, String>,
    /// Bytes that may still come, of policies and of cases.
    left: (u64, u64),
}

impl Found {
    fn walk(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), CliError> {
        let unreadable = |e: std::io::Error| {
            CliError::usage(
                "policy-folder",
                format!("cannot read the folder `{}`: {e}", folder.display()),
                "name a folder of .cedar files",
            )
        };
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let path = entry.path();
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(stray(&path, "has a name that is not UTF-8"));
            };
            if name.starts_with('.') {
                continue;
            }
            let kind = entry.file_type().map_err(unreadable)?;
            let ending = Path::new(name).extension().and_then(|e| e.to_str()).unwrap_or_default();
            if kind.is_symlink() {
                return Err(stray(&path, "is a link, and what it leads to may change unseen"));
            } else if kind.is_dir() {
                let below = depth.checked_sub(1).ok_or_else(|| stray(&path, "lies too deep"))?;
                self.walk(&path, &format!("{prefix}{name}/"), below)?;
            } else if ["cedar", "yaml", "yml"].contains(&ending) {
                self.file(&path, format!("{prefix}{name}"), ending == "cedar")?;
            } else if !BESIDE.contains(&ending) {
                // A policy in a file with a misspelt ending would not be in force.
                return Err(stray(&path, "is no .cedar file, so it would not be read"));
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: String, is_policy: bool) -> Result<(), CliError> {
        let (files, left) = if is_policy {
            (&mut self.policies, &mut self.left.0)
        } else {
            (&mut self.cases, &mut self.left.1)
        };
        if files.len() >= MAX_BUNDLE_FILES {
            return Err(stray(path, "is one file more than a bundle may have"));
        }
        let bytes = keyfile::read_up_to(path, *left)?;
        *left = left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let text = String::from_utf8(bytes).map_err(|_| stray(path, "is not UTF-8"))?;
        files.insert(name, text);
        Ok(())
    }
}

fn stray(path: &Path, what: &str) -> CliError {
    CliError::usage(
        "policy-stray-file",
        format!("`{}` {what}", path.display()),
        "keep only .cedar files in the folder, and cases (.yaml), .md and .txt beside them",
    )
}

/// A bundle that was refused, each problem on a line.
pub(crate) fn invalid(folder: &Path, problems: &[BundleProblem]) -> CliError {
    let code = problems.first().map_or("policy-document", |p| p.code.as_str());
    let lines = listed(problems, code);
    let error = CliError::usage(
        code,
        format!("`{}` is no valid bundle:\n  {lines}", folder.display()),
        "mend the files and check them again; nothing was published",
    );
    CliError { problems: problems.iter().map(BundleProblem::to_json).collect(), ..error }
}

/// Writes a bundle's files into a new folder.
pub(crate) fn write(bundle: &Bundle, folder: &Path) -> Result<(), CliError> {
    let failed = |path: &Path, e: &std::io::Error| CliError::file(path, "write", e);
    std::fs::create_dir(folder).map_err(|e| failed(folder, &e))?;
    for (name, text) in bundle.files() {
        // INVARIANT: names of a bundle have neither `..` nor a root.
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| failed(parent, &e))?;
        }
        std::fs::write(&path, text).map_err(|e| failed(&path, &e))?;
    }
    Ok(())
}
