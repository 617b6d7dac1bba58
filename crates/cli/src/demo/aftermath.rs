//! After the story: what the ledger answers for each call, and the proofs.

use std::path::Path;

use bailiwick_core::json::{Json, Object};
use bailiwick_demo::desk::read_call_log;

use crate::error::CliError;
use crate::table::{ACTION_COLUMNS, action_row, operation, table};

use super::people::{OWNER, arg};
use super::processes::{must, run};
use super::record::Played;
use super::stage::{Stage, mark};

/// The row of one action.
struct Row {
    cells: Vec<String>,
    object: Json,
    complete: bool,
    /// Whether a line of the story is it.
    played: bool,
    /// Whether it is a tool call, not another message.
    call: bool,
}

impl Stage {
    /// Who did what, from the ledger; then the proofs, offline.
    pub(super) fn aftermath(&mut self, base: &Path) -> Result<(), CliError> {
        let d = arg(&self.cast.data);
        let checks = [
            self.check_table(&d)?,
            self.check_calls(&d)?,
            self.check_ledger(&d)?,
            self.check_evidence(base, &d)?,
            self.check_approval(base, &d)?,
            self.check_handoff(base, &d)?,
        ];
        for ok in checks {
            self.count(ok);
        }
        Ok(())
    }

    /// What the ledger has of every action, strangers' included.
    fn check_table(&self, d: &str) -> Result<bool, CliError> {
        let answer =
            must(&self.cast.data, &["audit", "query", "--limit", "1000", "--data-dir", d])?;
        let actions = answer.object.member("actions").and_then(Json::as_array).unwrap_or_default();
        let rows: Vec<Row> =
            actions.iter().filter_map(Json::as_object).map(|a| row(a, &self.played)).collect();
        let found = |played: &Played| {
            actions.iter().filter_map(Json::as_object).any(|action| answers(action, played))
        };
        // A call that is no line of the story would be somebody else's.
        let ok = !rows.is_empty()
            && rows.iter().all(|row| row.complete && (row.played || !row.call))
            && self.played.iter().all(found);
        let cells: Vec<Vec<String>> =
            rows.iter().filter(|row| row.played).map(|row| row.cells.clone()).collect();
        let others = rows.len().saturating_sub(cells.len());
        let others = match others {
            0 => String::new(),
            1 => "besides, one message that is no call was denied: an agent's goodbye after the revocation\n".to_owned(),
            n => format!("besides, {n} messages that are no calls were denied: agents' goodbyes after the revocation\n"),
        };
        let objects: Vec<Json> = rows.into_iter().map(|row| row.object).collect();
        self.out.result(
            Object::new().with("event", "table").with("as_expected", ok).with("rows", objects),
            format!(
                "\n{} the ledger answers for each call\n\n{}\n\n* what a caller that was not authenticated claimed to want\n{others}",
                mark(ok),
                table(&ACTION_COLUMNS, &cells),
            ),
        );
        Ok(ok)
    }

    /// The tool's own call log agrees with the ledger.
    fn check_calls(&self, d: &str) -> Result<bool, CliError> {
        let answer =
            must(&self.cast.data, &["audit", "query", "--decision", "allow", "--data-dir", d])?;
        let allowed =
            answer.object.member("actions").and_then(Json::as_array).map_or(0, <[Json]>::len);
        let executed = read_call_log(&self.cast.desk_database).map(|c| c.len()).unwrap_or(0);
        let ok = allowed == executed && executed > 0;
        self.out.result(
            Object::new()
                .with("event", "call_log")
                .with("allowed", allowed as u64)
                .with("executed", executed as u64)
                .with("as_expected", ok),
            format!(
                "{} the support desk executed {executed} calls; the ledger allowed {allowed}",
                mark(ok)
            ),
        );
        Ok(ok)
    }

    fn check_ledger(&self, d: &str) -> Result<bool, CliError> {
        let answer = run(&self.cast.data, &["audit", "verify", "--data-dir", d])?;
        let ok = answer.status == 0;
        self.out.result(
            Object::new()
                .with("event", "audit")
                .with("as_expected", ok)
                .with("report", answer.object.clone()),
            format!(
                "{} ledger verified: {} entries, every signature, sequence and hash",
                mark(ok),
                answer.object.member("entries").map(Json::canonical).unwrap_or_default(),
            ),
        );
        Ok(ok)
    }

    fn check_evidence(&self, base: &Path, d: &str) -> Result<bool, CliError> {
        let Some(first) = self.played.iter().find(|p| p.expected == "allow") else {
            return Ok(false);
        };
        let (bundle, trust) = (arg(&base.join("evidence.json")), arg(&base.join("trust.json")));
        must(&self.cast.data, &["evidence", "get", &first.id, "-o", &bundle, "--data-dir", d])?;
        let fingerprint = must(&self.cast.data, &["keys", "trust", "-o", &trust, "--data-dir", d])?
            .text("fingerprint");
        let answer = run(&self.cast.thief, &["evidence", "verify", &bundle, "--trust", &trust])?;
        let ok = answer.status == 0;
        self.out.result(
            Object::new()
                .with("event", "evidence")
                .with("as_expected", ok)
                .with("fingerprint", fingerprint.as_str())
                .with("report", answer.object.clone()),
            format!(
                "{} evidence of the first call verified offline (assurance {}, guarantee {}; trust {fingerprint})",
                mark(ok),
                proved(&answer.object, "assurance"),
                proved(&answer.object, "guarantee"),
            ),
        );
        Ok(ok)
    }
}

impl Stage {
    /// The evidence of the refund has its approver's signature.
    fn check_approval(&self, base: &Path, d: &str) -> Result<bool, CliError> {
        let Some(action) = &self.approved else { return Ok(false) };
        let (bundle, trust) = (arg(&base.join("refund.json")), arg(&base.join("trust.json")));
        must(&self.cast.data, &["evidence", "get", action, "-o", &bundle, "--data-dir", d])?;
        let answer = run(&self.cast.thief, &["evidence", "verify", &bundle, "--trust", &trust])?;
        let approvers = answer.object.member("proven").and_then(|p| {
            p.as_object()?.member("authority")?.as_object()?.member("approval")?.as_object()
        });
        let approvers = approvers.and_then(|a| a.member("approvers")?.as_array());
        let first = approvers.and_then(|a| a.first()?.as_object());
        let who = first.and_then(|a| member(a, "approver")).unwrap_or("nobody").to_owned();
        let ok = answer.status == 0 && who == OWNER;
        self.out.result(
            Object::new()
                .with("event", "evidence")
                .with("as_expected", ok)
                .with("approver", who.as_str())
                .with("report", answer.object.clone()),
            format!(
                "{} evidence of the refund verified offline, with the signature of {who} over its digest",
                mark(ok),
            ),
        );
        Ok(ok)
    }
}

fn member<'a>(action: &'a Object, name: &str) -> Option<&'a str> {
    action.member(name).and_then(Json::as_str).filter(|text| !text.is_empty())
}

/// Whether this action is that line, and came to what the line must come to.
fn answers(action: &Object, played: &Played) -> bool {
    let came_to = match member(action, "decision") {
        Some("allow") => member(action, "outcome").filter(|o| *o == "ok").map(|_| "allow"),
        _ => member(action, "reason"),
    };
    member(action, "action") == Some(played.id.as_str()) && came_to == Some(&played.expected)
}

fn row(action: &Object, played: &[Played]) -> Row {
    let outcome = member(action, "outcome").unwrap_or("unknown");
    let mut cells = action_row(action, outcome);
    let known = member(action, "agent").is_some();
    let line = played.iter().find(|p| member(action, "action") == Some(p.id.as_str()));
    let claimed = line.and_then(|p| p.claimed.as_deref());
    let requested = if known { member(action, "tool") } else { claimed };
    if let (false, Some(claimed), [_, _, _, cell, ..]) = (known, claimed, &mut cells) {
        *cell = format!("{}*", operation(claimed));
    }
    let or_stranger = |name| member(action, name).filter(|_| known).unwrap_or("not authenticated");
    let complete = !known
        || ["principal_id", "agent", "task", "tool", "decision", "outcome"]
            .iter()
            .all(|name| member(action, name).is_some());
    let object = Object::new()
        .with("action", member(action, "action"))
        .with("authenticated", known)
        .with("user", or_stranger("principal_id"))
        .with("agent", or_stranger("agent"))
        .with("task", or_stranger("task"))
        .with("requested", requested)
        .with("decision", member(action, "decision"))
        .with("reason", member(action, "reason"))
        .with("outcome", outcome);
    let call = requested.is_some_and(|tool| tool.contains(":tools/"));
    Row { cells: cells.to_vec(), object: object.into(), complete, played: line.is_some(), call }
}

/// A member of what the verdict proved.
fn proved(verdict: &Object, member: &str) -> String {
    verdict
        .member("proven")
        .and_then(|p| p.as_object()?.member("authority")?.as_object()?.member(member)?.as_str())
        .unwrap_or_default()
        .to_owned()
}
