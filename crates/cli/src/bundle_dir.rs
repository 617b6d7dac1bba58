//! A bundle of policies as a folder.

use std::collections::BTreeMap;
use std::path::Path;

use bailiwick_policy::Bundle;
use bailiwick_policy::bundle::BundleProblem;
use bailiwick_policy::limits::{MAX_BUNDLE_BYTES, MAX_BUNDLE_FILES};

use crate::error::CliError;
use crate::keyfile;

/// Folders within one another.
const MAX_DEPTH: usize = 8;

/// What may lie beside policies and is no part of the bundle.
const BESIDE: [&str; 5] = ["yaml", "yml", "md", "txt", "cedarschema"];

/// Reads a folder; all problems make one error.
pub(crate) fn read(folder: &Path) -> Result<Bundle, CliError> {
    let mut files = BTreeMap::new();
    let mut left = u64::try_from(MAX_BUNDLE_BYTES).unwrap_or(u64::MAX);
    walk(folder, "", MAX_DEPTH, &mut left, &mut files)?;
    Bundle::parse(files).map_err(|problems| invalid(folder, &problems))
}

fn walk(
    folder: &Path,
    prefix: &str,
    depth: usize,
    left: &mut u64,
    files: &mut BTreeMap<String, String>,
) -> Result<(), CliError> {
    let unreadable = |e: std::io::Error| {
        CliError::usage(
            "policy-folder",
            format!("cannot read the folder `{}`: {e}", folder.display()),
            "name a folder of .cedar files",
        )
    };
    let stray = |path: &Path, what: &str| {
        CliError::usage(
            "policy-stray-file",
            format!("`{}` {what}", path.display()),
            "keep only .cedar files in the folder, and YAML, Markdown or text beside them",
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
        if kind.is_dir() {
            let Some(depth) = depth.checked_sub(1) else {
                return Err(stray(&path, "lies too deep"));
            };
            walk(&path, &format!("{prefix}{name}/"), depth, left, files)?;
        } else if kind.is_symlink() {
            return Err(stray(&path, "is a link, and what it leads to may change unseen"));
        } else if ending == "cedar" {
            if files.len() >= MAX_BUNDLE_FILES {
                return Err(stray(&path, "is one file more than a bundle may have"));
            }
            let bytes = keyfile::read_up_to(&path, *left)?;
            *left = left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            let text = String::from_utf8(bytes).map_err(|_| stray(&path, "is not UTF-8"))?;
            files.insert(format!("{prefix}{name}"), text);
        } else if !BESIDE.contains(&ending) {
            // A policy in a file with a misspelt ending would not be in force.
            return Err(stray(&path, "is no .cedar file, so it would not be read"));
        }
    }
    Ok(())
}

/// A bundle that was refused, each problem on a line.
pub(crate) fn invalid(folder: &Path, problems: &[BundleProblem]) -> CliError {
    let code = problems.first().map_or("policy-document", |p| p.code.as_str());
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let lines = lines.join("\n  ");
    // Its own code is shown after the message.
    let lines = lines.strip_suffix(&format!(" [{code}]")).unwrap_or(&lines);
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
