//! `policy replay`: past decisions made again under another bundle.

use std::path::Path;

use bailiwick_authority::{Flip, Replay};
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{EntryId, OrgId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Event, Kind, Subjects};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Policies;

use super::count;
use crate::bundle_dir;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::host;
use crate::output::Output;

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
    let replay = data.authority.replay_since(&Policies::enforcing(bundle), since, limit)?;
    report(&replay, digest, out);
    Ok(())
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

fn report(replay: &Replay, digest: Digest, out: Output) {
    let flips: Vec<Json> = replay.flips.iter().map(listed).collect();
    let rules = || replay.by_rule.iter().map(|(rule, n)| (rule.as_str(), *n));
    let changes = || replay.by_change.iter().map(|(change, n)| (change.as_str(), *n));
    let without = || replay.not_replayable.iter().map(|(why, n)| (why.code(), *n));
    let (same, flipped) = (replay.same, replay.flipped());
    let object = Object::new()
        .with("bundle", digest)
        .with("replayed", same.saturating_add(flipped))
        .with("same", same)
        .with("approved", replay.approved)
        .with("flipped", flipped)
        .with("changes", counts(changes()))
        .with("by_rule", counts(rules()))
        .with("flips", flips)
        .with("not_replayable", counts(without()));
    let mut lines = vec![format!(
        "{} decisions were made again under {digest}: {same} are the same, {flipped} would be others",
        same.saturating_add(flipped)
    )];
    if replay.approved > 0 {
        lines.push(format!(
            "  {:>6}  of those that are the same were approved by a person, and would ask for one again",
            replay.approved
        ));
    }
    lines.extend(changes().map(|(change, n)| format!("  {n:>6}  {change}")));
    if flipped > 0 {
        lines.push("settled by".to_owned());
        lines.extend(rules().map(|(rule, n)| format!("  {n:>6}  {rule}")));
    }
    for flip in &replay.flips {
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
    let more = flipped.saturating_sub(count(replay.flips.len()));
    if more > 0 {
        lines.push(format!("and {more} more; --limit lists them"));
    }
    for (why, n) in &replay.not_replayable {
        lines.push(format!("not replayed: {n}, {why} [{}]", why.code()));
    }
    out.result(object, lines.join("\n"));
}

fn listed(flip: &Flip) -> Json {
    Object::new()
        .with("action", flip.action.as_str())
        .with("at", flip.at.to_string())
        .with("agent", flip.agent.as_str())
        .with("tool", flip.tool.as_str())
        .with("was", flip.was.as_str())
        .with("would", flip.would)
        .with("rule", flip.rule.as_str())
        .with("sentence", flip.sentence.as_str())
        .into()
}
