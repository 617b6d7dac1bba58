//! `policy replay`: past decisions made again under another bundle.

use std::collections::BTreeMap;
use std::path::Path;

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{EntryId, OrgId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Event, Kind, Subjects};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_evidence::retained::{NotReplayable, Retained};
use bailiwick_policy::Policies;
use bailiwick_store::StoredEntry;

use super::count;
use crate::bundle_dir;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::host;
use crate::output::Output;

/// Entries read at a time.
const BATCH: u32 = 1_000;

/// A decision that would be another one.
struct Flip {
    action: String,
    at: Timestamp,
    agent: String,
    tool: String,
    was: String,
    would: &'static str,
    rule: String,
    sentence: String,
}

/// What a replay came to.
#[derive(Default)]
struct Tally {
    same: u64,
    flips: Vec<Flip>,
    /// All flips, listed or not, by what they were and would be.
    by_change: BTreeMap<String, u64>,
    /// All flips by the rule that settles them now.
    by_rule: BTreeMap<String, u64>,
    not_replayable: BTreeMap<NotReplayable, u64>,
}

impl Tally {
    fn take(&mut self, policies: &Policies, entry: &StoredEntry, read: Read, limit: usize) {
        let retained = match read {
            Ok(retained) => retained,
            Err(why) => {
                *self.not_replayable.entry(why).or_default() += 1;
                return;
            }
        };
        let (decision, _) = policies.decide(&retained.call.input());
        if decision.as_str() == retained.decision {
            self.same += 1;
            return;
        }
        let finding = decision.finding();
        let change = format!("{} -> {}", retained.decision, decision.as_str());
        *self.by_change.entry(change).or_default() += 1;
        *self.by_rule.entry(finding.rule.to_string()).or_default() += 1;
        if self.flips.len() < limit {
            self.flips.push(Flip {
                action: entry.subjects.action.clone().unwrap_or_default(),
                at: entry.time,
                agent: retained.call.agent.to_string(),
                tool: retained.call.tool.to_string(),
                was: retained.decision,
                would: decision.as_str(),
                rule: finding.rule.to_string(),
                sentence: finding.reason.to_string(),
            });
        }
    }

    fn flipped(&self) -> u64 {
        self.by_change.values().sum()
    }
}

type Read = Result<Retained, NotReplayable>;

pub(super) fn run(
    data: &DataDir,
    folder: &Path,
    since: Option<Timestamp>,
    limit: usize,
    out: Output,
) -> Result<(), CliError> {
    let bundle = bundle_dir::read(folder)?;
    let digest = bundle.digest();
    note_reading(data, digest)?;
    let policies = Policies::enforcing(bundle);
    let mut tally = Tally::default();
    let mut from = 0;
    loop {
        let entries = data.store().read(|view| view.tail(from, BATCH))?;
        let Some(last) = entries.last() else { break };
        from = last.index + 1;
        for entry in &entries {
            let wanted = since.is_none_or(|since| entry.time >= since);
            if wanted && entry.kind == Kind::ActionDecided.as_str() {
                tally.take(&policies, entry, retained(data, entry)?, limit);
            }
        }
    }
    report(&tally, digest, out);
    Ok(())
}

fn retained(data: &DataDir, entry: &StoredEntry) -> Result<Read, CliError> {
    let leaf = Json::parse(&entry.leaf, &JsonLimits::DEFAULT)?;
    let texts = data.store().read(|view| view.read_plaintext(&entry.id))?;
    let leaf = leaf.as_object().ok_or(NotReplayable::Partial);
    Ok(leaf.and_then(|leaf| Retained::read(leaf, &texts.unwrap_or_default())))
}

/// That texts were opened goes into the ledger, once for the whole run.
fn note_reading(data: &DataDir, digest: Digest) -> Result<(), CliError> {
    let org = data.authority.installation().org.clone();
    crate::verbs::evidence::note(data, replayed(digest, &org, host::now(), host::random()?))
}

/// The entry of a replay: no action in particular.
pub(crate) fn replayed(digest: Digest, org: &OrgId, now: Timestamp, random: [u8; 10]) -> Event {
    Event {
        id: EntryId::mint(now, random),
        org: org.clone(),
        time: now,
        kind: Kind::PlaintextRead,
        subjects: Subjects::default(),
        body: Object::new().with("by", "operator").with("replay", digest),
        disclosures: Vec::new(),
    }
}

fn counts<'a>(all: impl Iterator<Item = (&'a str, u64)>) -> Object {
    all.map(|(name, n)| (name.to_owned(), Json::from(n))).collect()
}

fn report(tally: &Tally, digest: Digest, out: Output) {
    let flips: Vec<Json> = tally.flips.iter().map(Flip::to_json).collect();
    let rules = || tally.by_rule.iter().map(|(rule, n)| (rule.as_str(), *n));
    let changes = || tally.by_change.iter().map(|(change, n)| (change.as_str(), *n));
    let without = || tally.not_replayable.iter().map(|(why, n)| (why.code(), *n));
    let (same, flipped) = (tally.same, tally.flipped());
    let object = Object::new()
        .with("bundle", digest)
        .with("replayed", same.saturating_add(flipped))
        .with("same", same)
        .with("flipped", flipped)
        .with("changes", counts(changes()))
        .with("by_rule", counts(rules()))
        .with("flips", flips)
        .with("not_replayable", counts(without()));
    let mut lines = vec![format!(
        "{} decisions were made again under {digest}: {same} are the same, {flipped} would be others",
        same.saturating_add(flipped)
    )];
    lines.extend(changes().map(|(change, n)| format!("  {n:>6}  {change}")));
    if flipped > 0 {
        lines.push("settled by".to_owned());
        lines.extend(rules().map(|(rule, n)| format!("  {n:>6}  {rule}")));
    }
    for flip in &tally.flips {
        lines.push(format!(
            "{}  {}  {} by {}: {} -> {}\n    {}: {}",
            flip.at,
            flip.action,
            flip.tool,
            flip.agent,
            flip.was,
            flip.would,
            flip.rule,
            flip.sentence
        ));
    }
    let more = flipped.saturating_sub(count(tally.flips.len()));
    if more > 0 {
        lines.push(format!("and {more} more; --limit lists them"));
    }
    for (why, n) in &tally.not_replayable {
        lines.push(format!("not replayed: {n}, {why} [{}]", why.code()));
    }
    out.result(object, lines.join("\n"));
}

impl Flip {
    fn to_json(&self) -> Json {
        Object::new()
            .with("action", self.action.as_str())
            .with("at", self.at.to_string())
            .with("agent", self.agent.as_str())
            .with("tool", self.tool.as_str())
            .with("was", self.was.as_str())
            .with("would", self.would)
            .with("rule", self.rule.as_str())
            .with("sentence", self.sentence.as_str())
            .into()
    }
}
