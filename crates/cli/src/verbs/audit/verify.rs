//! `audit verify`: whether a ledger holds. Nothing is signed, published or
//! written: what is judged stays as it was found, also on read-only media.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bailiwick_core::crypto::PublicKey;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_evidence::Trust;
use bailiwick_store::{AuditInput, PlaintextKey, Report, StoreError};
use bailiwick_tlog::SignedCheckpoint;

use crate::args::VerifyArgs;
use crate::datadir::{no_data_dir, own_trust, plaintext_key};
use crate::error::{CliError, ended};
use crate::host;
use crate::keyfile;
use crate::output::Output;
use crate::verbs::evidence::read_checkpoint;

/// What is verified, and by whose keys.
struct Examined {
    /// The ledger's files only, or a data dir with its state and texts.
    files_only: bool,
    /// Whether the texts beside the ledger could be compared.
    texts: bool,
    trust_given: bool,
}

pub(super) fn run(args: &VerifyArgs, dir: &Path, out: Output) -> Result<ExitCode, CliError> {
    let since = args.since.as_deref().map(read_checkpoint).transpose()?;
    let trust = match &args.trust {
        Some(path) => Some(
            Trust::parse(&keyfile::read(path)?)
                .map_err(|e| CliError::usage(e.code(), e.to_string(), e.remedy()))?,
        ),
        None => None,
    };
    let (examined, report) = match &args.ledger {
        Some(ledger) => files(ledger, trust.as_ref(), since.as_ref())?,
        None => data_dir(dir, trust, since.as_ref())?,
    };
    let holds = report.holds();
    out.result(report_json(&report, &examined), report_text(&report, &examined));
    if holds && since.is_none() && !examined.files_only {
        out.next(&["bailiwick audit checkpoint --save FILE   # keep it elsewhere; verify later with --since FILE"]);
    }
    Ok(ended(holds))
}

/// Checkpoint and tiles, as an outsider has them.
fn files(
    ledger: &Path,
    trust: Option<&Trust>,
    since: Option<&SignedCheckpoint>,
) -> Result<(Examined, Report), CliError> {
    let trust = trust.ok_or_else(|| {
        CliError::usage(
            "no-trust-file",
            "without a trust file nothing can be verified: a ledger never brings its own keys",
            "pass --trust FILE; the operator writes one with `bailiwick keys trust`, compare its fingerprint",
        )
    })?;
    if !ledger.is_dir() {
        return Err(CliError::usage(
            "no-ledger",
            format!("`{}` is no folder", ledger.display()),
            "pass the folder that holds `checkpoint` and `tile`, such as a copy of a data dir's `ledger`",
        ));
    }
    let report = audit(ledger, trust, since, None, true)?;
    Ok((Examined { files_only: true, texts: false, trust_given: true }, report))
}

/// A data dir, or a copy of one.
fn data_dir(
    dir: &Path,
    trust: Option<Trust>,
    since: Option<&SignedCheckpoint>,
) -> Result<(Examined, Report), CliError> {
    let keys = dir.join("keys");
    if !dir.join("state.db").exists() && !keys.is_dir() {
        return Err(no_data_dir(dir));
    }
    let trust_given = trust.is_some();
    let trust = match trust {
        Some(trust) => trust,
        None if keys.is_dir() => own_trust(dir)?,
        None => return Err(no_data_dir(dir)),
    };
    // A copy that was made for an auditor need not have any key.
    let plaintext = match keys.join("plaintext.jwk").exists() {
        true => Some(plaintext_key(dir)?),
        false => None,
    };
    let texts = plaintext.is_some();
    let mut report = audit(dir, &trust, since, plaintext.clone(), false)?;
    if report.findings.iter().any(|f| matches!(f.code, "store-missing" | "store-read-only"))
        && dir.join("state.db").exists()
    {
        // The engine makes files beside a database with a write-ahead log.
        // Where it cannot, a copy is looked at.
        let copy = Copy::of(dir)?;
        report = audit(&copy.0, &trust, since, plaintext, false)?;
    }
    Ok((Examined { files_only: false, texts, trust_given }, report))
}

fn audit(
    dir: &Path,
    trust: &Trust,
    since: Option<&SignedCheckpoint>,
    plaintext_key: Option<PlaintextKey>,
    files_only: bool,
) -> Result<Report, StoreError> {
    let makers = |id: &str, time: Timestamp| -> Option<PublicKey> {
        trust.maker_at(id, time).map(|m| m.key)
    };
    bailiwick_store::audit(&AuditInput {
        dir,
        org: trust.org.clone(),
        log_key: &trust.log,
        makers: &makers,
        since,
        plaintext_key,
        files_only,
    })
}

/// A private folder with a copy of a data dir's state and a link to its
/// ledger; it goes when it is dropped.
struct Copy(PathBuf);

impl Copy {
    fn of(dir: &Path) -> Result<Self, CliError> {
        let folder = std::env::temp_dir().join(format!("bailiwick-audit-{}", host::fresh_id()?));
        bailiwick_store::create_private_dir(&folder)?;
        let copy = Self(folder);
        for name in ["state.db", "state.db-wal"] {
            let (from, to) = (dir.join(name), copy.0.join(name));
            if from.exists() {
                std::fs::copy(&from, &to).map_err(|e| CliError::file(&to, "write", &e))?;
                private(&to)?;
            }
        }
        let (from, to) = (dir.join("ledger"), copy.0.join("ledger"));
        let from = from.canonicalize().map_err(|e| CliError::file(&from, "find", &e))?;
        std::os::unix::fs::symlink(&from, &to).map_err(|e| CliError::file(&to, "make", &e))?;
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A copied file has the modes of what was copied, which may bar writing.
fn private(path: &Path) -> Result<(), CliError> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(|e| CliError::file(path, "change", &e))
}

fn report_json(report: &Report, examined: &Examined) -> Object {
    let findings: Vec<Json> = report
        .findings
        .iter()
        .map(|f| {
            Object::new()
                .with("code", f.code)
                .with("index", f.index)
                .with("detail", f.detail.as_str())
                .into()
        })
        .collect();
    let makers: Object = report.makers.iter().map(|(id, n)| (id.clone(), Json::from(*n))).collect();
    Object::new()
        .with("holds", report.holds())
        .with("entries", report.size)
        .with("root", report.root.map(|r| r.to_base64()))
        .with("pending", report.pending)
        .with("tiles", report.tiles)
        .with("texts", report.texts)
        .with("makers", makers)
        .with("consistent_since", report.since)
        .with("first_bad_entry", report.first_bad_entry())
        .with("findings", findings)
        .with("examined", if examined.files_only { "ledger" } else { "data-dir" })
        .with("trust", if examined.trust_given { "file" } else { "own" })
        .with("witnessed", false)
}

fn report_text(report: &Report, examined: &Examined) -> String {
    let mut text = if report.holds() {
        let what = if examined.files_only { "ledger's files hold" } else { "ledger holds" };
        let texts = match examined.texts {
            true => format!(", {} texts", report.texts),
            false => String::new(),
        };
        format!(
            "the {what}: {} entries, {} tiles{texts}, {} makers\n  root {}",
            report.size,
            report.tiles,
            report.makers.len(),
            report.root.map(|r| r.to_base64()).unwrap_or_default(),
        )
    } else {
        let first =
            report.first_bad_entry().map_or("no single entry".to_owned(), |i| format!("entry {i}"));
        let findings: Vec<String> = report
            .findings
            .iter()
            .take(20)
            .map(|f| {
                let at = f.index.map(|i| format!("entry {i}: ")).unwrap_or_default();
                format!("  {at}{} [{}]", f.detail, f.code)
            })
            .collect();
        format!("THE LEDGER DOES NOT HOLD, first bad: {first}\n{}", findings.join("\n"))
    };
    if report.pending > 0 {
        text.push_str(&format!(
            "\n  {} more entries were checked that are durable and not published yet",
            report.pending
        ));
    }
    if examined.files_only {
        text.push_str("\n  looked at checkpoint, tiles, every entry and every maker's sequence, not at the state and texts beside them");
    } else if !examined.texts {
        text.push_str("\n  the texts beside the ledger were not looked at: their key is not here");
    }
    match report.since {
        Some(size) => text.push_str(&format!("\n  continues the checkpoint of {size} entries that was kept")),
        None => text.push_str(
            "\n  unwitnessed: this assumes an honest log operator, unless you pass a checkpoint kept elsewhere with --since",
        ),
    }
    if !examined.trust_given {
        text.push_str(
            "\n  verified with this data dir's own keys; an outsider passes --ledger and --trust",
        );
    }
    text
}
