//! The third act: work that somebody can inspect. A workflow without a checklist
//! does nothing by itself; what a person refused becomes a rule; and the same ticket
//! is worked once more as a run, of which a report answers the four questions.

use std::path::Path;
use std::time::Duration;

use bailiwick_core::json::{Json, Object};

use crate::error::CliError;
use crate::keyfile;

use super::agents::Files;
use super::people::{OWNER, PRINCIPAL, READER, RUNNER, arg};
use super::processes::{Answer, must, run};
use super::record::{Asked, Played, line};
use super::stage::{Stage, mark};

const STATELESS: &str = "2026-07-28";

/// What the owner makes of a refund that was refused.
const SECOND_REFUNDS: &str = r#"@id("late-is-no-reason")
@reason("nobody is refunded because something was late")
forbid (principal, action, resource == Tool::"mcp:support-desk:tools/refund_order")
when { context.arguments.texts.hasTag("reason") && context.arguments.texts.getTag("reason") == "late" };
"#;

/// How often it is looked for what the authority finds by itself, every 100 ms.
const LOOKS: usize = 100;

impl Stage {
    pub(super) fn third_act(&mut self, base: &Path) -> Result<(), CliError> {
        self.out.say("\nthird act: work that somebody can inspect\n");
        self.incomplete(base)?;
        self.learned(base)?;
        self.worked(base)
    }

    /// A workflow whose checklist lacks something is `manual`, whatever it says.
    fn incomplete(&mut self, base: &Path) -> Result<(), CliError> {
        let d = arg(&self.cast.data);
        let text = keyfile::read(&base.join("support-tickets.yaml"))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let draft = without(&text, "completion:", "review:");
        let draft = draft.replacen("workflow: support-tickets", "workflow: support-drafts", 1);
        let file = base.join("support-drafts.yaml");
        keyfile::write_new(&file, &draft)?;
        let checked = must(base, &["workflow", "check", &arg(&file)])?;
        let (says, supports) = (checked.text("level"), checked.text("supports"));
        let ok = says == "bounded" && supports == "manual";
        self.told(
            ok,
            "a checklist without completion criteria",
            &format!("it says {says}, and supports {supports}"),
        );
        must(base, &["workflow", "publish", &arg(&file), "--data-dir", &d])?;
        let chain = arg(&self.cast.runner.join("draft.json"));
        self.grant(RUNNER, "support-drafts", &["ticket:8821:note"], &chain)?;
        let files = Files { chain, ..Files::of(&self.cast.runner) };
        let note = note("A note under a draft.");
        self.calls("so a note waits for a person", &files, "add_note", &note, "approval-required")
    }

    /// What a person refused is found, classified, made a rule, and held by a case.
    fn learned(&mut self, base: &Path) -> Result<(), CliError> {
        self.out.say("");
        let (d, owner) = (arg(&self.cast.data), self.cast.owner.clone());
        let listed = must(&owner, &["approvals", "list", "--data-dir", &d])?;
        let refund = first(&listed, "approvals", |a| text(a, "tool").ends_with("refund_order"));
        let id = refund.map(|a| text(&a, "approval").to_owned()).unwrap_or_default();
        let key = arg(&owner.join("approver.json"));
        let deny = ["approvals", "deny", &id, "--key", &key, "--note", "refunded already"];
        must(&owner, &[&deny[..], &["--data-dir", &d]].concat())?;
        self.told(true, "the owner refuses the second refund", "and says why");
        let failure = self.found(&d)?;
        self.told(
            text(&failure, "suggested") == "human_process"
                || !text(&failure, "suggested").is_empty(),
            "which is found as a failure",
            &format!("{}, suggested: {}", text(&failure, "what"), text(&failure, "suggested")),
        );
        let id = text(&failure, "failure").to_owned();
        let note = "a rule is missing";
        let say = ["failure", "classify", &id, "--class", "permission_model", "--note", note];
        must(&owner, &[&say[..], &["--data-dir", &d]].concat())?;
        let policy = base.join("policy");
        let cases = arg(&policy.join("cases.yaml"));
        let keep = ["failure", "regression", &id, "--expect", "deny", "--out", &cases];
        must(&owner, &[&keep[..], &["--data-dir", &d]].concat())?;
        let before = run(&owner, &["policy", "test", &arg(&policy)])?;
        self.told(
            before.status == 1,
            "the owner classifies it; the decision as a case",
            "fails under the policy in force",
        );
        keyfile::write_new(&policy.join("late.cedar"), SECOND_REFUNDS)?;
        let after = run(&owner, &["policy", "test", &arg(&policy)])?;
        must(&owner, &["policy", "publish", &arg(&policy), "--data-dir", &d])?;
        self.told(after.status == 0, "a rule more, and the case holds", "published");
        let link = "https://git.example.com/policy/pull/12";
        let resolve = ["failure", "resolve", &id, "--cases", &cases, "--link", link];
        let resolved = run(&owner, &[&resolve[..], &["--data-dir", &d]].concat())?;
        self.told(resolved.status == 0, "so the failure is resolved", "with its regression");
        Ok(())
    }

    /// The failure that the refusal is, once the authority has found it.
    fn found(&self, d: &str) -> Result<Object, CliError> {
        for _ in 0..LOOKS {
            let listed = must(&self.cast.owner, &["failure", "list", "--data-dir", d])?;
            let denied = |f: &Object| text(f, "what") == "denied_approval";
            if let Some(found) = first(&listed, "failures", denied) {
                return Ok(found);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(Object::new())
    }

    /// The ticket again, as a run: goal, context, calls, and what shows that it is
    /// complete.
    fn worked(&mut self, base: &Path) -> Result<(), CliError> {
        self.out.say("");
        let d = arg(&self.cast.data);
        let chain = arg(&self.cast.runner.join("run.json"));
        self.grant(RUNNER, "support-tickets", &["ticket:8821", "ticket:8821:note"], &chain)?;
        let files = Files { chain, ..Files::of(&self.cast.runner) };
        let goal = "tell the customer of ticket 8821 what happens next";
        let begun = self.says(&files, "run_begin", &Object::new().with("goal", goal))?;
        let id = text(&begun, "run").to_owned();
        self.told(!id.is_empty(), "the agent begins a run, with its goal", &id);
        let item = |kind: &str, source: &str| {
            let digest = bailiwick_core::crypto::sha256(source.as_bytes());
            Object::new().with("kind", kind).with("sha256", digest).with("source", source)
        };
        let items: Vec<Json> = vec![
            item("prompt", "customer-message").into(),
            item("document", "a forum on the web").into(),
        ];
        let noted = self.says(&files, "note_context", &Object::new().with("items", items))?;
        let undeclared = noted.member("undeclared").and_then(Json::as_array);
        self.told(
            undeclared.is_some_and(|n| n.len() == 1),
            "it notes its context by digest",
            "one source is not of the checklist: undeclared",
        );
        let ticket = Object::new().with("ticket_id", 8821u64);
        self.calls("it reads the ticket", &files, "get_ticket", &ticket, "allow")?;
        let note = note("A replacement is on its way.");
        self.calls("and writes the note", &files, "add_note", &note, "allow")?;
        let model = Object::new()
            .with("model", "some-model")
            .with("input_tokens", 900u64)
            .with("output_tokens", 120u64)
            .with("cost_micros", 4_200u64);
        let took = Object::new()
            .with("iterations", 3u64)
            .with("model_calls", vec![Json::from(model)])
            .with("currency", "EUR");
        self.says(&files, "note_progress", &took)?;
        let claim =
            Object::new().with("criterion", "note-written").with("statement", "The note says so.");
        let claims = Object::new().with("claims", vec![Json::from(claim)]);
        let claimed = self.says(&files, "complete_task", &claims)?;
        self.told(
            claimed.member("complete") == Some(&Json::Bool(false)),
            "it says that it is done",
            "which is not believed: nobody else looked yet",
        );
        self.looked_at(&id, &d)?;
        self.reported(base, &id, &d)
    }

    /// Another agent reads the ticket on the owner's authority.
    fn looked_at(&mut self, id: &str, d: &str) -> Result<(), CliError> {
        let chain = arg(&self.cast.reader.join("check.json"));
        self.grant_of(OWNER, READER, "support-tickets", &["ticket:8821"], &chain)?;
        let key = Files::of(&self.cast.reader).key;
        let check = ["run", "check", id, "--chain", &chain, "--key", &key, "--data-dir", d];
        let checked = must(&self.cast.reader, &check)?;
        if let Some(made) = first(&checked, "made", |_| true) {
            // A call like every other: the ledger must have it too.
            let (id, expected) = (text(&made, "action").to_owned(), "allow".to_owned());
            self.played.push(Played { id, expected, claimed: None });
        }
        self.told(
            checked.object.member("complete") == Some(&Json::Bool(true)),
            "the owner's agent reads the ticket back",
            "now the run counts as complete",
        );
        Ok(())
    }

    /// The report answers the four questions, and verifies without us.
    fn reported(&mut self, base: &Path, id: &str, d: &str) -> Result<(), CliError> {
        let (report, trust) =
            (arg(&base.join("run.json")), arg(&self.cast.thief.join("trust.json")));
        let (page, text) = (arg(&base.join("run.html")), base.join("run.md"));
        for (format, file) in [("json", &report), ("html", &page), ("md", &arg(&text))] {
            let get = ["run", "report", id, "--format", format, "-o", file, "--data-dir", d];
            must(&self.cast.data, &get)?;
        }
        must(&self.cast.data, &["keys", "trust", "-o", &trust, "--data-dir", d])?;
        let verified = run(&self.cast.thief, &["evidence", "verify", &report, "--trust", &trust])?;
        let text = keyfile::read(&text)?;
        let answers = answers(&String::from_utf8_lossy(&text));
        let ok = verified.status == 0 && answers.len() == 4;
        self.count(ok);
        self.out.result(
            Object::new()
                .with("event", "report")
                .with("run", id)
                .with("as_expected", ok)
                .with("report", verified.object),
            format!(
                "{} the report of the run, verified offline: {report} (to read: {page})\n\n{}",
                mark(ok),
                answers.join("\n"),
            ),
        );
        Ok(())
    }

    /// A grant of `user:142` for this workflow, signed with their own key.
    fn grant(
        &self,
        agent: &str,
        workflow: &str,
        scope: &[&str],
        chain: &str,
    ) -> Result<(), CliError> {
        self.grant_of(PRINCIPAL, agent, workflow, scope, chain)
    }

    fn grant_of(
        &self,
        who: &str,
        agent: &str,
        workflow: &str,
        scope: &[&str],
        chain: &str,
    ) -> Result<(), CliError> {
        let home = if who == OWNER { &self.cast.owner } else { &self.cast.principal };
        let (key, d) = (arg(&home.join("key.json")), arg(&self.cast.data));
        let mut args = vec!["delegate", "--key", &key, "--agent", agent, "--workflow", workflow];
        for shorthand in scope {
            args.extend(["--scope", shorthand]);
        }
        let rest = ["--for", "10m", "--purpose", "resolve support ticket", "--out", chain];
        args.extend(rest);
        args.extend(["--data-dir", &d]);
        must(home, &args).map(drop)
    }

    /// An agent says something of its run, by one of the gateway's own tools.
    fn says(&self, who: &Files, tool: &str, arguments: &Object) -> Result<Object, CliError> {
        let answer = self.asked(who, tool, arguments)?;
        let result = answer.object.member("result").and_then(Json::as_object);
        let said = result.and_then(|r| r.member("structuredContent")?.as_object().cloned());
        Ok(said.unwrap_or_default())
    }

    fn calls(
        &mut self,
        title: &str,
        who: &Files,
        tool: &str,
        arguments: &Object,
        expected: &str,
    ) -> Result<(), CliError> {
        let answer = self.asked(who, tool, arguments)?;
        self.judge(Asked { title, tool, protocol: STATELESS, direct: false, expected }, &answer)
    }

    fn asked(&self, who: &Files, tool: &str, arguments: &Object) -> Result<Answer, CliError> {
        let words: Vec<String> = arguments
            .iter()
            .map(|(name, value)| match value {
                Json::String(text) => format!("{name}={text}"),
                other => format!("{name}={}", other.canonical()),
            })
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let call = ["call", "--url", &self.cast.url, "--chain", &who.chain, "--key", &who.key];
        run(&who.home, &[&call[..], &["--protocol", STATELESS, tool], &words].concat())
    }

    /// A line that no call is.
    fn told(&mut self, ok: bool, title: &str, verdict: &str) {
        self.count(ok);
        self.out.result(
            Object::new()
                .with("event", "work")
                .with("title", title)
                .with("verdict", verdict)
                .with("as_expected", ok),
            line(ok, title, "", "", verdict),
        );
    }
}

fn note(text: &str) -> Object {
    Object::new().with("ticket_id", 8821u64).with("text", text)
}

fn text<'o>(object: &'o Object, name: &str) -> &'o str {
    object.member(name).and_then(Json::as_str).unwrap_or_default()
}

/// The first item of a list that fits.
fn first(answer: &Answer, list: &str, fits: impl Fn(&Object) -> bool) -> Option<Object> {
    let list = answer.object.member(list).and_then(Json::as_array)?;
    list.iter().filter_map(Json::as_object).find(|object| fits(object)).cloned()
}

/// The four questions of a report with what it answers first: up to its next heading.
fn answers(report: &str) -> Vec<String> {
    let sections = report.split("\n## ").filter(|section| {
        let heading = section.lines().next().unwrap_or_default();
        heading.ends_with('?')
    });
    let short = |section: &str| {
        let mut lines = section.split("\n### ").next().unwrap_or_default().lines();
        let heading = lines.next().unwrap_or_default();
        let said = lines.filter(|line| !line.is_empty() && !line.starts_with("|---"));
        said.fold(format!("  {heading}\n"), |text, line| format!("{text}    {line}\n"))
    };
    sections.map(short).collect()
}

/// A YAML text without the block that begins at the line `from`, up to the line `to`.
fn without(text: &str, from: &str, to: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for line in text.lines() {
        inside = (inside || line.starts_with(from)) && !line.starts_with(to);
        if !inside {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{answers, without};

    #[test]
    fn the_questions_are_shown_with_what_is_answered_first() {
        let text = "# Run\n\nx\n\n## What goal?\n\n> it\n\n### More\n\ny\n\n## Costs\n\nz\n";
        assert_eq!(answers(text), ["  What goal?\n    > it\n"]);
    }

    #[test]
    fn a_block_is_left_out_and_nothing_else() {
        let text = "a: 1\nb:\n  - x\n\nc: 2\nd: 3\n";
        assert_eq!(without(text, "b:", "c:"), "a: 1\nc: 2\nd: 3\n");
        assert_eq!(without(text, "z:", "c:"), text);
    }
}
