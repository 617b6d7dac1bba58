//! Builds the fuzz targets and runs each for a while.
//!
//! Neither a nightly toolchain nor cargo-fuzz is needed: stable rustc passes LLVM's coverage
//! instrumentation on, and the crate libfuzzer-sys brings libFuzzer. Address sanitizing, which
//! would need nightly, finds little where unsafe code is forbidden.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use crate::repository::{Trouble, host, root};

/// What cargo-fuzz passes, without the sanitizer.
const RUSTFLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

const DEFAULT_SECONDS: u64 = 10;

/// Runs `fuzz` with these arguments; prints `fuzz: N passed, M failed`.
///
/// # Errors
/// When the targets cannot be built or started.
pub(crate) fn run(arguments: &[&str]) -> Result<bool, Trouble> {
    let (time, asked) = read(arguments)?;
    let targets = targets()?;
    let chosen: Vec<String> = if asked.is_empty() { targets.clone() } else { asked };
    for name in &chosen {
        if !targets.contains(name) {
            let expected = "the name of a file in fuzz/targets";
            return Err(Trouble::Argument { argument: name.clone(), expected });
        }
    }
    let binaries = build()?;
    let queue = Mutex::new(chosen.into_iter());
    let (mut passed, mut failed) = (0u32, 0u32);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let outcomes = std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..workers).map(|_| scope.spawn(|| work(&queue, &binaries, time))).collect();
        workers.into_iter().filter_map(|w| w.join().ok()).flatten().collect::<Vec<_>>()
    });
    for outcome in outcomes {
        if outcome? {
            passed += 1;
        } else {
            failed += 1;
        }
    }
    println!("fuzz: {passed} passed, {failed} failed");
    Ok(failed == 0)
}

/// Gives `fuzz/` the workspace's lock file, without what it does not use.
///
/// # Errors
/// When the file cannot be written, or cargo refuses it.
pub(crate) fn lock() -> Result<bool, Trouble> {
    let root = root()?;
    let copied = root.join("fuzz/Cargo.lock");
    std::fs::copy(root.join("Cargo.lock"), &copied)
        .map_err(|source| Trouble::File { path: "fuzz/Cargo.lock".to_owned(), source })?;
    let arguments = ["metadata", "--format-version", "1", "--manifest-path", "fuzz/Cargo.toml"];
    crate::repository::run(Command::new("cargo").current_dir(&root).args(arguments))?;
    println!("wrote fuzz/Cargo.lock");
    Ok(true)
}

fn work<I: Iterator<Item = String>>(
    queue: &Mutex<I>,
    binaries: &Path,
    time: Duration,
) -> Vec<Result<bool, Trouble>> {
    let next = || queue.lock().ok().and_then(|mut queue| queue.next());
    std::iter::from_fn(next).map(|name| fuzz(&name, binaries, time)).collect()
}

fn read(arguments: &[&str]) -> Result<(Duration, Vec<String>), Trouble> {
    let (mut seconds, mut names) = (DEFAULT_SECONDS, Vec::new());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if *argument == "--seconds" {
            let value = rest.next().copied().unwrap_or_default();
            let trouble = || Trouble::Argument {
                argument: value.to_owned(),
                expected: "seconds, at least 1",
            };
            seconds = value.parse().ok().filter(|s| *s > 0).ok_or_else(trouble)?;
        } else {
            names.push((*argument).to_owned());
        }
    }
    Ok((Duration::from_secs(seconds), names))
}

/// The targets: the files in `fuzz/targets`.
fn targets() -> Result<Vec<String>, Trouble> {
    let folder = root()?.join("fuzz/targets");
    let trouble = |source| Trouble::File { path: "fuzz/targets".to_owned(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(trouble)? {
        let name = entry.map_err(trouble)?.file_name();
        names.extend(name.to_string_lossy().strip_suffix(".rs").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Builds every target; says where they are.
fn build() -> Result<PathBuf, Trouble> {
    let host = host()?;
    let root = root()?;
    let folder = root.join("fuzz");
    let products = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), PathBuf::from)
        .join("fuzz");
    let mut command = Command::new("cargo");
    // The flags are for the targets only: with a triple, build scripts do without them.
    command
        .args(["build", "--release", "--locked", "--bins", "--target", &host])
        .current_dir(&folder)
        .env("RUSTFLAGS", RUSTFLAGS)
        .env("CARGO_TARGET_DIR", &products)
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    let line = format!("{command:?}");
    let status =
        command.status().map_err(|source| Trouble::Start { command: line.clone(), source })?;
    if !status.success() {
        return Err(Trouble::Failed { command: line, status, stderr: "see above".to_owned() });
    }
    Ok(products.join(host).join("release"))
}

/// Runs one target; true if nothing broke it.
fn fuzz(name: &str, binaries: &Path, time: Duration) -> Result<bool, Trouble> {
    let folder = |kind: &str| -> Result<PathBuf, Trouble> {
        let path = root()?.join("fuzz").join(kind).join(name);
        std::fs::create_dir_all(&path).map_err(|source| Trouble::File {
            path: path.to_string_lossy().into_owned(),
            source,
        })?;
        Ok(path)
    };
    let (corpus, artifacts) = (folder("corpus")?, folder("artifacts")?);
    let mut command = Command::new(binaries.join(name));
    command
        .arg(format!("-max_total_time={}", time.as_secs()))
        .arg("-timeout=10")
        .arg("-rss_limit_mb=2048")
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg("-print_final_stats=1")
        .arg(&corpus)
        .env("BAILIWICK_FUZZ_SEEDS", &corpus)
        .stdin(Stdio::null());
    let line = format!("{command:?}");
    let output = command.output().map_err(|source| Trouble::Start { command: line, source })?;
    let log = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        let runs = log
            .lines()
            .find_map(|l| l.strip_prefix("stat::number_of_executed_units:"))
            .unwrap_or("an unknown number of")
            .trim();
        println!("ok   fuzz {name}: {runs} inputs");
        return Ok(true);
    }
    let tail: Vec<&str> = log.lines().rev().take(40).collect();
    println!("FAIL fuzz {name}: the input is kept in fuzz/artifacts/{name}");
    for line in tail.into_iter().rev() {
        println!("     {line}");
    }
    println!("     again: {} FILE", binaries.join(name).display());
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_names_are_read_in_any_order() {
        let (time, names) = read(&["json", "--seconds", "3", "dpop"]).unwrap();
        assert_eq!((time.as_secs(), names.len()), (3, 2));
        assert!(read(&["--seconds", "0"]).is_err());
        assert!(read(&["--seconds"]).is_err());
    }

    #[test]
    fn every_target_is_in_the_manifest() {
        let manifest = std::fs::read_to_string(root().unwrap().join("fuzz/Cargo.toml")).unwrap();
        for name in targets().unwrap() {
            let path = format!("path = \"targets/{name}.rs\"");
            assert!(manifest.contains(&path), "{name} has no [[bin]]");
        }
    }
}
