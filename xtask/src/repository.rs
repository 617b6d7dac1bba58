//! The checkout: its files, and what its tools say about it.

use std::path::{Path, PathBuf};
use std::process::Command;

use bailiwick_core::json::{Json, JsonError};
use bailiwick_core::limits::JsonLimits;

/// Why a chore could not be done at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// A file or folder.
    #[error("`{path}`: {source}")]
    File {
        /// Which one.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A tool could not be started.
    #[error("`{command}` did not start: {source}")]
    Start {
        /// The command line.
        command: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A tool failed.
    #[error("`{command}` failed ({status}):\n{stderr}")]
    Failed {
        /// The command line.
        command: String,
        /// Its exit status.
        status: std::process::ExitStatus,
        /// What it printed.
        stderr: String,
    },
    /// Something is not the JSON that it should be.
    #[error("`{what}` is not the JSON expected: {source}")]
    Json {
        /// Where it came from.
        what: String,
        /// Why.
        source: JsonError,
    },
    /// Something was expected and is not there.
    #[error("`{place}` lacks {what}")]
    Missing {
        /// Where.
        place: String,
        /// What.
        what: &'static str,
    },
    /// An argument of the command line.
    #[error("`{argument}` is not understood; expected {expected}")]
    Argument {
        /// As given.
        argument: String,
        /// What would be.
        expected: &'static str,
    },
}

/// Bounds on what tools and vector files say: far larger than a token, and finite.
pub(crate) const LARGE: JsonLimits =
    JsonLimits { max_bytes: 256 << 20, max_depth: 96, max_values: 20_000_000 };

/// A file that git tracks or would track, as text.
#[derive(Clone, Debug)]
pub(crate) struct TextFile {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

/// The checkout.
#[derive(Debug)]
pub(crate) struct Repository {
    root: PathBuf,
    files: Vec<TextFile>,
}

impl Repository {
    /// Reads every text file that is tracked, or new and not ignored.
    ///
    /// # Errors
    /// When git or the file system refuses.
    pub(crate) fn open() -> Result<Self, Trouble> {
        let root = root()?;
        let listed = run(Command::new("git").current_dir(&root).args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            "--deduplicate",
        ]))?;
        let mut files = Vec::new();
        for path in listed.split('\0').filter(|p| !p.is_empty()) {
            let full = root.join(path);
            // A file removed but not yet committed is listed all the same.
            if !full.is_file() {
                continue;
            }
            let bytes = std::fs::read(&full)
                .map_err(|source| Trouble::File { path: path.to_owned(), source })?;
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(TextFile { path: path.to_owned(), text });
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { root, files })
    }

    /// The root folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Every text file.
    pub(crate) fn files(&self) -> &[TextFile] {
        &self.files
    }

    /// The text of one file.
    ///
    /// # Errors
    /// [`Trouble::Missing`].
    pub(crate) fn text(&self, path: &str) -> Result<&str, Trouble> {
        self.files
            .iter()
            .find(|f| f.path == path)
            .map(|f| f.text.as_str())
            .ok_or(Trouble::Missing { place: path.to_owned(), what: "the file itself" })
    }

    /// What a command prints, run at the root.
    ///
    /// # Errors
    /// When it does not start or fails.
    pub(crate) fn output(&self, program: &str, arguments: &[&str]) -> Result<String, Trouble> {
        run(Command::new(program).current_dir(&self.root).args(arguments))
    }

    /// `cargo metadata` with these further arguments.
    ///
    /// # Errors
    /// When cargo fails.
    pub(crate) fn metadata(&self, arguments: &[&str]) -> Result<Json, Trouble> {
        let mut all = vec!["metadata", "--format-version", "1", "--locked"];
        all.extend(arguments);
        let text = self.output("cargo", &all)?;
        Json::parse(text.as_bytes(), &LARGE)
            .map_err(|source| Trouble::Json { what: "cargo metadata".to_owned(), source })
    }
}

/// The root of the checkout that we are in.
///
/// # Errors
/// When this is no checkout.
pub(crate) fn root() -> Result<PathBuf, Trouble> {
    let top = run(Command::new("git").args(["rev-parse", "--show-toplevel"]))?;
    Ok(PathBuf::from(top.trim_end()))
}

/// The triple for which rustc builds here.
///
/// # Errors
/// When rustc does not answer.
pub(crate) fn host() -> Result<String, Trouble> {
    let text = run(Command::new("rustc").arg("-vV"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or(Trouble::Missing { place: "rustc -vV".to_owned(), what: "its host" })
}

/// What a command prints.
///
/// # Errors
/// When it does not start or fails.
pub(crate) fn run(command: &mut Command) -> Result<String, Trouble> {
    let line = format!("{command:?}");
    let output =
        command.output().map_err(|source| Trouble::Start { command: line.clone(), source })?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Trouble::Failed { command: line, status: output.status, stderr });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
