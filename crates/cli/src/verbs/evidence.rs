//! `evidence`: bundles, and their verification by anyone.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{ActionId, EntryId, GrantId, InstanceId, OrgId, TaskId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Disclosure, Event, Kind, Subjects};
use bailiwick_core::time::Timestamp;
use bailiwick_evidence::run::MAX_REPORT_BYTES;
use bailiwick_evidence::{
    Located, Source, SourceError, Subject, Trust, assemble, is_report, verify_report, verify_with,
};
use bailiwick_store::{Filter, StoreError, StoredEntry, View};
use bailiwick_tlog::{InclusionProof, SignedCheckpoint, TreeReader};

use crate::args::EvidenceVerb;
use crate::bundle_dir;
use crate::datadir::DataDir;
use crate::error::{CliError, ended};
use crate::host;
use crate::keyfile;
use crate::output::Output;

/// Bundles and reports are larger than other files.
const MAX_BUNDLE: u64 = MAX_REPORT_BYTES as u64;

pub(super) fn run(verb: EvidenceVerb, dir: &Path, out: Output) -> Result<ExitCode, CliError> {
    match verb {
        EvidenceVerb::Get { action, output } => {
            get(&ActionId::parse(&action)?, &output, dir, out)?;
            Ok(ExitCode::SUCCESS)
        }
        EvidenceVerb::Verify { file, trust, kept, policies } => {
            let Some(trust) = trust else {
                return Err(CliError::usage(
                    "no-trust-file",
                    "without a trust file nothing can be verified: a bundle never brings its own keys",
                    "pass --trust FILE; the operator writes one with `bailiwick keys trust`, compare its fingerprint",
                ));
            };
            offline(&file, &trust, &kept, &policies, out)
        }
    }
}

fn get(action: &ActionId, output: &Path, dir: &Path, out: Output) -> Result<(), CliError> {
    let data = DataDir::open(dir)?;
    note_reading(&data, action)?;
    data.sequence()?;
    let bundle = assemble(&Ledger { data: &data }, action)?;
    keyfile::write_new(output, &bundle.to_text())?;
    let object = Object::new()
        .with("bundle", output.display().to_string())
        .with("action", action)
        .with("digest", bundle.digest());
    out.result(object, format!("wrote the evidence of {action} to {}", output.display()));
    out.next(&[
        "bailiwick keys trust -o trust.json   # once; compare its fingerprint",
        &format!("bailiwick evidence verify {} --trust trust.json", output.display()),
    ]);
    Ok(())
}

/// A bundle opens texts: that somebody read them goes into the ledger.
pub(super) fn note_reading(data: &DataDir, action: &ActionId) -> Result<(), CliError> {
    let installation = data.authority.installation();
    let org = &installation.org;
    note(data, plaintext_read(action, org, host::now(), host::random()?))
}

/// Writes an entry in the gateway's name: texts lie beside its decisions.
pub(super) fn note(data: &DataDir, event: Event) -> Result<(), CliError> {
    let maker = data.gateway.now();
    data.store()
        .write(move |tx| -> Result<(), StoreError> {
            tx.append(&maker.id, &*maker.key, event).map(|_| ())
        })
        .wait()?;
    Ok(())
}

/// The entry of a reading.
pub(crate) fn plaintext_read(
    action: &ActionId,
    org: &OrgId,
    now: Timestamp,
    random: [u8; 10],
) -> Event {
    Event {
        id: EntryId::mint(now, random),
        org: org.clone(),
        time: now,
        kind: Kind::PlaintextRead,
        subjects: Subjects { action: Some(action.to_string()), ..Subjects::default() },
        body: Object::new().with("by", "operator"),
        disclosures: Vec::new(),
    }
}

fn offline(
    file: &Path,
    trust: &Path,
    kept: &[PathBuf],
    policies: &[PathBuf],
    out: Output,
) -> Result<ExitCode, CliError> {
    let trust = Trust::parse(&keyfile::read(trust)?)
        .map_err(|e| CliError::usage(e.code(), e.to_string(), e.remedy()))?;
    let kept = kept.iter().map(|path| read_checkpoint(path)).collect::<Result<Vec<_>, _>>()?;
    let bundle = keyfile::read_up_to(file, MAX_BUNDLE)?;
    if is_report(&bundle) {
        let verdict = verify_report(&bundle, &trust, &kept);
        out.result(verdict.to_json(), verdict.report());
        return Ok(ended(verdict.holds()));
    }
    let policies =
        policies.iter().map(|folder| bundle_dir::read(folder)).collect::<Result<Vec<_>, _>>()?;
    let verdict = verify_with(&bundle, &trust, &kept, &policies);
    let object = match verdict.to_json() {
        Json::Object(o) => o,
        other => Object::new().with("verdict", other),
    };
    out.result(object, verdict.report().trim_end());
    Ok(ended(verdict.holds()))
}

/// A checkpoint that somebody kept.
pub(super) fn read_checkpoint(path: &Path) -> Result<SignedCheckpoint, CliError> {
    SignedCheckpoint::parse(&keyfile::read(path)?).map_err(|e| {
        CliError::usage(
            e.code(),
            format!("`{}`: {e}", path.display()),
            "pass a file that `audit checkpoint --save` wrote",
        )
    })
}

/// The data dir as a source of bundles.
struct Ledger<'a> {
    data: &'a DataDir,
}

fn boxed(e: StoreError) -> SourceError {
    Box::new(e)
}

fn located(entry: StoredEntry) -> Located {
    Located { index: entry.index, bytes: entry.leaf }
}

/// The entries of a kind and subject, by index wherever the state has one.
fn find(
    view: &View<'_>,
    kind: Kind,
    subject: Subject,
    value: &str,
) -> Result<Vec<StoredEntry>, StoreError> {
    let by_id = |entry: Option<EntryId>| -> Result<Vec<StoredEntry>, StoreError> {
        let found = entry.map(|id| view.entry_by_id(&id)).transpose()?.flatten();
        Ok(found.into_iter().filter(|e| e.kind == kind.as_str()).collect())
    };
    match (kind, subject) {
        (_, Subject::Action) => {
            let Ok(action) = ActionId::parse(value) else { return Ok(Vec::new()) };
            let entries = view.entries_of_action(&action)?;
            return Ok(entries.into_iter().filter(|e| e.kind == kind.as_str()).collect());
        }
        (Kind::GrantRecorded, Subject::Grant) => {
            let Ok(id) = GrantId::parse(value) else { return Ok(Vec::new()) };
            return by_id(view.grant(&id)?.map(|g| g.entry));
        }
        (Kind::DelegationIssued, Subject::Delegation) => {
            let Some(root) = Digest::from_text(value) else { return Ok(Vec::new()) };
            return by_id(view.delegation(&root)?.map(|c| c.delegation.entry));
        }
        (Kind::InstanceEnrolled, Subject::Instance) => {
            let Ok(id) = InstanceId::parse(value) else { return Ok(Vec::new()) };
            return by_id(view.instance(&id)?.map(|i| i.entry));
        }
        (Kind::TaskCreated, Subject::Task) => {
            let Ok(id) = TaskId::parse(value) else { return Ok(Vec::new()) };
            return by_id(view.task(&id)?.map(|t| t.entry));
        }
        _ => {}
    }
    let set = |wanted: Subject| (subject == wanted).then(|| value.to_owned());
    let filter = Filter {
        principal: set(Subject::Principal),
        agent: set(Subject::Agent),
        task: set(Subject::Task),
        tool: set(Subject::Tool),
        kind: Some(kind),
        limit: bailiwick_store::MAX_RESULTS,
        ..Filter::default()
    };
    let mut entries = view.query(&filter)?;
    entries.retain(|e| subject.of(&e.subjects) == Some(value));
    entries.sort_by_key(|e| e.index);
    Ok(entries)
}

impl Source for Ledger<'_> {
    fn checkpoint(&self) -> Result<SignedCheckpoint, SourceError> {
        let checkpoint = self.data.store().checkpoint().map_err(boxed)?;
        checkpoint.ok_or_else(|| SourceError::from("no checkpoint is published yet"))
    }

    fn entries(
        &self,
        kind: Kind,
        subject: Subject,
        value: &str,
    ) -> Result<Vec<Located>, SourceError> {
        let entries =
            self.data.store().read(|view| find(view, kind, subject, value)).map_err(boxed)?;
        Ok(entries.into_iter().map(located).collect())
    }

    fn policies(&self) -> Result<Vec<Located>, SourceError> {
        let read = |view: &View<'_>| -> Result<Vec<StoredEntry>, StoreError> {
            let mut found = Vec::new();
            for row in view.policies(bailiwick_store::MAX_RESULTS)? {
                found.extend(view.entry_by_id(&row.entry)?);
            }
            Ok(found)
        };
        let mut entries = self.data.store().read(read).map_err(boxed)?;
        entries.retain(|entry| entry.kind == Kind::PolicyPublished.as_str());
        entries.reverse();
        Ok(entries.into_iter().map(located).collect())
    }

    fn disclosure(&self, entry: &EntryId, field: &str) -> Result<Option<Disclosure>, SourceError> {
        let texts = self.data.store().read(|view| view.read_plaintext(entry)).map_err(boxed)?;
        Ok(texts.unwrap_or_default().into_iter().find(|(f, _)| f == field).map(|(_, d)| d))
    }

    fn inclusion_proof(&self, index: u64, size: u64) -> Result<InclusionProof, SourceError> {
        let files = self.data.store().ledger();
        TreeReader::new(&files, size)
            .inclusion_proof(index)
            .map_err(|e| SourceError::from(e.to_string()))
    }
}
