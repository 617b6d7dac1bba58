//! A line of the story, held against what the ledger says of it.

use std::time::Duration;

use bailiwick_core::json::{Json, Object};

use crate::error::CliError;
use crate::table::operation;

use super::people::arg;
use super::processes::{Answer, run};
use super::stage::{Stage, mark};

/// A line that the gateway decided.
pub(super) struct Played {
    /// The decision's id, which the agent was told.
    pub(super) id: String,
    pub(super) expected: String,
    /// What a caller that was not authenticated claimed to want; sealed beside
    /// the ledger, since it is no fact.
    pub(super) claimed: Option<String>,
}

/// How an agent asked.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// What happens, for people.
    pub(super) title: &'a str,
    /// The tool.
    pub(super) tool: &'a str,
    /// The protocol version.
    pub(super) protocol: &'a str,
    /// One request without a client, as an attacker sends it.
    pub(super) direct: bool,
    /// `allow`, or the reason code that the ledger must show.
    pub(super) expected: &'a str,
}

fn text(object: &Object, member: &str) -> String {
    object.member(member).and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// The action that a stranger claimed to want.
fn claimed(record: &Object) -> Option<String> {
    let claimed = record.member("plaintext")?.as_object()?.member("claimed")?.as_object()?;
    claimed.member("action")?.as_str().map(str::to_owned)
}

impl Stage {
    /// Compares the answer and the ledger with what was expected.
    pub(super) fn judge(&mut self, asked: Asked<'_>, answer: &Answer) -> Result<(), CliError> {
        let id = answer.text("decision_id");
        let record = self.recorded(&id)?;
        let (decision, reason) = (text(&record, "decision"), text(&record, "reason"));
        let came_to = if decision == "allow" { "allow" } else { reason.as_str() };
        let told = if decision == "allow" { answer.status == 0 } else { answer.status == 1 };
        let ok = came_to == asked.expected && told;
        self.count(ok);
        let claimed = claimed(&record);
        let agent = text(&record, "agent");
        let (who, tool) = match (agent.is_empty(), &claimed) {
            (true, claimed) => (
                "a caller that the gateway did not authenticate, and told only that".to_owned(),
                claimed.as_deref().map_or(asked.tool, operation).to_owned(),
            ),
            (false, _) => (
                format!(
                    "{agent} for {}, task {}",
                    text(&record, "principal_id"),
                    text(&record, "task")
                ),
                operation(&text(&record, "tool")).to_owned(),
            ),
        };
        self.out.result(
            Object::new()
                .with("event", "action")
                .with("title", asked.title)
                .with("protocol", asked.protocol)
                .with("direct", asked.direct)
                .with("expected", asked.expected)
                .with("as_expected", ok)
                .with("told", answer.text("code"))
                .with("claimed", claimed.clone())
                .with("record", record.clone()),
            line(
                ok,
                asked.title,
                &who,
                &tool,
                &verdict(&decision, &reason, &text(&record, "outcome")),
            ),
        );
        self.played.push(Played { id, expected: asked.expected.to_owned(), claimed });
        Ok(())
    }

    /// What the ledger says of an action. The outcome follows the decision, so
    /// it is asked for again for a moment.
    fn recorded(&self, id: &str) -> Result<Object, CliError> {
        let data = arg(&self.cast.data);
        let show = |more: &[&str]| -> Result<Object, CliError> {
            let args = [&["audit", "show", id, "--data-dir", &data], more].concat();
            Ok(run(&self.cast.data, &args)?.object)
        };
        let mut record = show(&[])?;
        for _ in 0..50 {
            if text(&record, "decision") != "allow" || record.member("outcome").is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
            record = show(&[])?;
        }
        let stranger = !text(&record, "decision").is_empty() && text(&record, "agent").is_empty();
        if stranger { show(&["--plaintext"]) } else { Ok(record) }
    }
}

fn verdict(decision: &str, reason: &str, outcome: &str) -> String {
    match (reason.is_empty(), outcome.is_empty()) {
        (false, _) => format!("{decision} ({reason})"),
        (true, false) => format!("{decision}, outcome {outcome}"),
        (true, true) => decision.to_owned(),
    }
}

/// One line of the story, and one about who acts.
pub(super) fn line(ok: bool, title: &str, who: &str, tool: &str, verdict: &str) -> String {
    let who = if who.is_empty() { String::new() } else { format!("\n    {who}") };
    format!("{} {title:<43} {tool:<16} {verdict}{who}", mark(ok))
}
