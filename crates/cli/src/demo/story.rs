//! The story, line by line, and what each line must come to.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bailiwick_core::json::{Json, Object};
use bailiwick_demo::desk::{
    CUSTOMER_OF_TICKET_8821, ORDER_OF_TICKET_8821, ORDER_OF_TICKET_9000, read_call_log,
    read_refusals,
};

use crate::error::CliError;
use crate::host;
use crate::output::Output;

use super::people::{self, Cast, PRINCIPAL, SERVER, arg};
use super::processes::{Answer, must, run};

/// One line of the story and what it must come to.
struct Scene<'a> {
    title: &'a str,
    args: Vec<String>,
    /// `allow`, or the reason code that the ledger must show.
    expected: &'a str,
}

struct Stage {
    cast: Cast,
    out: Output,
    played: u32,
    surprises: u32,
    /// The first allowed action, for the evidence.
    evidence: Option<String>,
}

/// Plays the demo; `dir` is where its data goes.
pub(super) fn play(dir: Option<&Path>, keep: bool, out: Output) -> Result<ExitCode, CliError> {
    let base = base(dir)?;
    // Caught from now on: whoever stops the demo stops its servers as well.
    let runtime = crate::verbs::runtime()?;
    let stop = {
        let _inside = runtime.enter();
        crate::verbs::stop_signal()
    };
    out.say(format!("playing in {}\n", base.display()));
    let cast = people::assemble(&base, out)?;
    let mut stage = Stage { cast, out, played: 0, surprises: 0, evidence: None };
    stage.story()?;
    stage.aftermath(&base)?;
    let ok = stage.surprises == 0;
    let d = arg(&stage.cast.data);
    out.result(
        Object::new()
            .with("event", "end")
            .with("ok", ok)
            .with("scenes", u64::from(stage.played))
            .with("surprises", u64::from(stage.surprises))
            .with("data", arg(&base))
            .with("url", stage.cast.url.as_str()),
        format!(
            "\n{} of {} lines came out as expected; everything is in {}",
            stage.played.saturating_sub(stage.surprises),
            stage.played,
            base.display(),
        ),
    );
    if keep {
        out.say(format!(
            "\nstill serving: gateway {}, support desk {}\nCtrl-C stops everything",
            stage.cast.url, stage.cast.desk_url,
        ));
        runtime.block_on(stop);
    }
    stage.cast.serve.stop()?;
    stage.cast.desk.stop()?;
    out.next(&[
        &format!("bailiwick audit query --data-dir {d}"),
        &format!("bailiwick audit verify --data-dir {d}"),
        &format!(
            "bailiwick evidence verify {} --trust {}",
            arg(&base.join("evidence.json")),
            arg(&base.join("trust.json"))
        ),
        &format!("rm -r {}", base.display()),
    ]);
    Ok(ExitCode::from(u8::from(!ok)))
}

/// A new absolute folder.
fn base(dir: Option<&Path>) -> Result<PathBuf, CliError> {
    let path = match dir {
        Some(dir) => std::path::absolute(dir).map_err(|e| CliError::file(dir, "resolve", &e))?,
        None => std::env::temp_dir().join(format!("bailiwick-demo-{}", host::fresh_id()?)),
    };
    if path.join("authority").exists() {
        return Err(CliError::usage(
            "demo-dir-used",
            format!("`{}` holds an earlier demo", path.display()),
            "choose another --data-dir, or remove it",
        ));
    }
    bailiwick_store::create_private_dir(&path)
        .map_err(|e| CliError::environment(e.code(), e.to_string(), e.remedy()))?;
    Ok(path)
}

impl Stage {
    fn story(&mut self) -> Result<(), CliError> {
        let runner = Files::of(&self.cast.runner);
        let reader = Files::of(&self.cast.reader);
        self.delegate("15m", &runner.chain)?;
        let customer = format!("customer_id={CUSTOMER_OF_TICKET_8821}");
        let order = format!("order_id={ORDER_OF_TICKET_8821}");
        let other = format!("order_id={ORDER_OF_TICKET_9000}");

        self.call(
            "the agent reads its ticket",
            &runner,
            &["get_ticket", "ticket_id=8821"],
            "allow",
        )?;
        self.call("and that customer's orders", &runner, &["list_orders", &customer], "allow")?;
        self.call(
            "another customer's ticket",
            &runner,
            &["get_ticket", "ticket_id=9000"],
            "argument-not-delegated",
        )?;
        self.call(
            "a refund nobody delegated",
            &runner,
            &["refund_order", &order, "amount_cents=500", "reason=late"],
            "tool-not-delegated",
        )?;

        self.sub_agent(&runner, &reader, &order, &other)?;
        self.thieves(&runner)?;
        self.outsiders(&runner)?;

        must(
            &self.cast.principal,
            &[
                "revoke",
                "delegation",
                "--chain",
                &runner.chain,
                "--reason",
                "ticket resolved",
                "--key",
                &arg(&self.cast.principal.join("key.json")),
                "--data-dir",
                &arg(&self.cast.data),
            ],
        )?;
        self.out.say(format!("\n{PRINCIPAL} revokes the delegation\n"));
        self.call(
            "the agent after the revocation",
            &runner,
            &["get_ticket", "ticket_id=8821"],
            "revoked",
        )?;
        self.call("its sub-agent as well", &reader, &["get_order", &order], "revoked")
    }

    fn sub_agent(
        &mut self,
        runner: &Files,
        reader: &Files,
        order: &str,
        other: &str,
    ) -> Result<(), CliError> {
        let tool = format!("mcp:{SERVER}:tools/get_order");
        must(
            &self.cast.runner,
            &[
                "attenuate",
                "--chain",
                &runner.chain,
                "--key",
                &runner.key,
                "--to",
                &reader.document,
                "--tool",
                &tool,
                "--argument",
                order,
                "--further",
                "--out",
                &reader.chain,
            ],
        )?;
        self.out
            .say("\nthe agent derives a narrower delegation for a sub-agent, offline: one order\n");
        self.call("the sub-agent reads that order", reader, &["get_order", order], "allow")?;
        self.call("another order", reader, &["get_order", other], "argument-not-delegated")?;
        let widened = arg(&self.cast.reader.join("widened.json"));
        must(
            &self.cast.reader,
            &[
                "demo",
                "widen",
                "--chain",
                &reader.chain,
                "--key",
                &reader.key,
                "--tool",
                &format!("mcp:{SERVER}:tools/refund_order"),
                "--out",
                &widened,
            ],
        )?;
        let widened = Files { chain: widened, ..reader.clone() };
        self.call(
            "it signs itself a wider one",
            &widened,
            &["refund_order", order, "amount_cents=500", "reason=x"],
            "authority-widened",
        )
    }

    fn thieves(&mut self, runner: &Files) -> Result<(), CliError> {
        self.out.say("");
        let thief = Files::of(&self.cast.thief);
        let stolen = Files { chain: runner.chain.clone(), ..thief };
        self.call(
            "a thief with the stolen chain, not the key",
            &stolen,
            &["get_ticket", "ticket_id=8821"],
            "proof-invalid",
        )?;
        let captured = arg(&self.cast.thief.join("captured.json"));
        self.call(
            "a call whose proof somebody captures",
            runner,
            &["get_ticket", "ticket_id=8821", "--save-presentation", &captured],
            "allow",
        )?;
        self.call(
            "the captured proof again",
            runner,
            &["get_ticket", "ticket_id=8821", "--presentation", &captured],
            "proof-replayed",
        )?;
        self.call(
            "and for other arguments",
            runner,
            &["get_ticket", "ticket_id=9000", "--presentation", &captured],
            "proof-other-arguments",
        )
    }

    fn outsiders(&mut self, runner: &Files) -> Result<(), CliError> {
        let stranger = Files::of(&self.cast.stranger);
        must(
            &self.cast.runner,
            &[
                "attenuate",
                "--chain",
                &runner.chain,
                "--key",
                &runner.key,
                "--to",
                &stranger.document,
                "--out",
                &stranger.chain,
            ],
        )?;
        self.call(
            "a key that nobody enrolled",
            &stranger,
            &["get_ticket", "ticket_id=8821"],
            "key-not-enrolled",
        )?;
        let short = arg(&self.cast.runner.join("short.json"));
        self.delegate("2s", &short)?;
        std::thread::sleep(Duration::from_millis(2100));
        let expired = Files { chain: short, ..runner.clone() };
        self.call(
            "a delegation that has run out",
            &expired,
            &["get_ticket", "ticket_id=8821"],
            "token-expired",
        )?;
        self.bypass()
    }

    /// Round the gateway: the tool server itself must refuse, and log it.
    fn bypass(&mut self) -> Result<(), CliError> {
        let refusals = |path: &Path| read_refusals(path).map(|r| r.len()).unwrap_or(0);
        let before = refusals(&self.cast.desk_database);
        let url = self.cast.desk_url.clone();
        let answer = run(
            &self.cast.thief,
            &["call", "--url", &url, "--direct", "get_ticket", "ticket_id=8821"],
        )?;
        let refused = answer.status == 1 && refusals(&self.cast.desk_database) > before;
        self.played = self.played.saturating_add(1);
        self.surprises = self.surprises.saturating_add(u32::from(!refused));
        self.out.result(
            Object::new()
                .with("event", "bypass")
                .with("title", "a direct call round the gateway")
                .with("refused_by", "tool server")
                .with("as_expected", refused),
            line(
                refused,
                "a direct call round the gateway",
                "",
                "get_ticket",
                "refused",
                "by the tool server itself",
                "",
            ),
        );
        Ok(())
    }

    /// The principal signs a grant with its own key.
    fn delegate(&mut self, lasts: &str, chain: &str) -> Result<(), CliError> {
        let request = self.cast.principal.join(format!("request-{lasts}.json"));
        let seconds = if lasts == "2s" { 2 } else { 900 };
        let expires = host::now().plus_seconds(seconds).to_string();
        // The shape of a delegation request, as anyone may write it.
        let text = Object::new()
            .with("principal", PRINCIPAL)
            .with("agent", people::RUNNER)
            .with("scope", vec![Json::from("ticket:8821"), Json::from("orders:read")])
            .with("expiresAt", expires)
            .with("purpose", "resolve support ticket");
        crate::keyfile::write_new(&request, &Json::Object(text.clone()).canonical())?;
        must(
            &self.cast.principal,
            &[
                "delegate",
                "--request",
                &arg(&request),
                "--key",
                &arg(&self.cast.principal.join("key.json")),
                "--out",
                chain,
                "--data-dir",
                &arg(&self.cast.data),
            ],
        )?;
        if seconds > 2 {
            self.out.result(
                Object::new().with("event", "delegation").with("request", text),
                format!(
                    "{PRINCIPAL} signs with its own key: {} may use [\"ticket:8821\", \"orders:read\"] for {lasts}, to \"resolve support ticket\"\n",
                    people::RUNNER
                ),
            );
        }
        Ok(())
    }

    fn call(
        &mut self,
        title: &str,
        who: &Files,
        words: &[&str],
        expected: &str,
    ) -> Result<(), CliError> {
        let mut args: Vec<String> =
            ["call", "--url", &self.cast.url, "--chain", &who.chain, "--key", &who.key, "--direct"]
                .map(str::to_owned)
                .to_vec();
        args.extend(words.iter().map(|w| (*w).to_owned()));
        let scene = Scene { title, args, expected };
        let args: Vec<&str> = scene.args.iter().map(String::as_str).collect();
        let answer = run(&who.home, &args)?;
        self.judge(&scene, words.first().copied().unwrap_or_default(), &answer)
    }

    /// Compares the answer and the ledger with what was expected.
    fn judge(&mut self, scene: &Scene<'_>, tool: &str, answer: &Answer) -> Result<(), CliError> {
        let id = answer.text("decision_id");
        let recorded = self.recorded(&id)?;
        let text = |member: &str| {
            recorded.member(member).and_then(Json::as_str).unwrap_or_default().to_owned()
        };
        let decision = text("decision");
        let reason = text("reason");
        let came_to = if decision == "allow" { "allow" } else { reason.as_str() };
        let told = if decision == "allow" { answer.status == 0 } else { answer.status == 1 };
        let ok = came_to == scene.expected && told;
        self.played = self.played.saturating_add(1);
        self.surprises = self.surprises.saturating_add(u32::from(!ok));
        if decision == "allow" && self.evidence.is_none() {
            self.evidence = Some(id.clone());
        }
        let who = match text("agent") {
            agent if agent.is_empty() => {
                "a caller that the gateway did not authenticate, and told only that".to_owned()
            }
            agent => format!("{agent} for {}, task {}", text("principal_id"), text("task")),
        };
        self.out.result(
            Object::new()
                .with("event", "action")
                .with("title", scene.title)
                .with("expected", scene.expected)
                .with("as_expected", ok)
                .with("told", answer.text("code"))
                .with("record", recorded.clone()),
            line(ok, scene.title, &who, tool, &decision, &reason, &text("outcome")),
        );
        Ok(())
    }

    /// What the ledger says of an action. The outcome follows the decision, so
    /// it is asked for again for a moment.
    fn recorded(&self, id: &str) -> Result<Object, CliError> {
        let mut answer = Object::new();
        for _ in 0..50 {
            let args = ["audit", "show", id, "--data-dir", &arg(&self.cast.data)];
            answer = run(&self.cast.data, &args)?.object;
            let text = |m: &str| answer.member(m).and_then(Json::as_str);
            if text("decision") != Some("allow") || text("outcome").is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(answer)
    }

    /// Who did what, from the ledger; then the proofs, offline.
    fn aftermath(&mut self, base: &Path) -> Result<(), CliError> {
        let d = arg(&self.cast.data);
        let checks = [
            self.check_table(&d)?,
            self.check_calls(&d)?,
            self.check_ledger(&d)?,
            self.check_evidence(base, &d)?,
        ];
        for ok in checks {
            self.played = self.played.saturating_add(1);
            self.surprises = self.surprises.saturating_add(u32::from(!ok));
        }
        Ok(())
    }

    fn check_table(&self, d: &str) -> Result<bool, CliError> {
        let answer =
            must(&self.cast.data, &["audit", "query", "--principal", PRINCIPAL, "--data-dir", d])?;
        let actions = answer.object.member("actions").and_then(Json::as_array).unwrap_or_default();
        self.out
            .say(format!("\nthe ledger answers for {} calls of {PRINCIPAL}'s task", actions.len()));
        let complete = actions.iter().all(|a| {
            a.as_object().is_some_and(|a| {
                ["principal_id", "agent", "task", "tool", "decision", "outcome"]
                    .iter()
                    .all(|m| a.member(m).and_then(Json::as_str).is_some_and(|t| !t.is_empty()))
            })
        });
        Ok(!actions.is_empty() && complete)
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
        let Some(action) = &self.evidence else { return Ok(false) };
        let (bundle, trust) = (arg(&base.join("evidence.json")), arg(&base.join("trust.json")));
        must(&self.cast.data, &["evidence", "get", action, "-o", &bundle, "--data-dir", d])?;
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

/// The files of one instance.
#[derive(Clone)]
struct Files {
    home: PathBuf,
    chain: String,
    key: String,
    document: String,
}

impl Files {
    fn of(home: &Path) -> Self {
        Self {
            home: home.to_owned(),
            chain: arg(&home.join("chain.json")),
            key: arg(&home.join("key.json")),
            document: arg(&home.join("enrolment.json")),
        }
    }
}

/// A member of what the verdict proved.
fn proved(verdict: &Object, member: &str) -> String {
    verdict
        .member("proven")
        .and_then(|p| p.as_object()?.member("authority")?.as_object()?.member(member)?.as_str())
        .unwrap_or_default()
        .to_owned()
}

fn mark(ok: bool) -> &'static str {
    if ok { "✓" } else { "✗ NOT AS EXPECTED:" }
}

fn line(
    ok: bool,
    title: &str,
    who: &str,
    tool: &str,
    decision: &str,
    reason: &str,
    outcome: &str,
) -> String {
    let verdict = match (reason.is_empty(), outcome.is_empty()) {
        (false, _) => format!("{decision} ({reason})"),
        (true, false) => format!("{decision}, outcome {outcome}"),
        (true, true) => decision.to_owned(),
    };
    let who = if who.is_empty() { String::new() } else { format!("\n    {who}") };
    format!("{} {title:<42} {tool:<13} {verdict}{who}", mark(ok))
}
