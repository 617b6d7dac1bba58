//! The second act: the agent hands a refund question to another agent, which has
//! its own process, keys and identity. Both prove who they are first, over
//! mutual TLS; somebody else at the same address is turned away.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::Receiver;

use bailiwick_core::json::{Json, Object};
use bailiwick_demo::desk::ORDER_OF_TICKET_9000;

use crate::error::CliError;

use super::agents::Files;
use super::people::{BILLING, PRINCIPAL, READER, RUNNER, arg};
use super::processes::{Answer, LIMITS, START, command, failed, free_port, lines, must, run};
use super::record::{Asked, Played, line};
use super::stage::{Stage, mark};

/// What the proofs look at afterwards.
pub(super) struct Handed {
    /// The handoff, as its two sides name it.
    id: String,
    /// The refund that the other agent made.
    action: String,
}

/// An agent behind `bailiwick connect`, spoken to as MCP clients do.
struct Connected {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    asked: u64,
}

impl Connected {
    fn start(files: &Files, url: &str, more: &[&str]) -> Result<Self, CliError> {
        let mut child = command(&files.home)?
            .args(["connect", url, "--key", &files.key, "--peers", "--peer-tls"])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| failed("cannot start an agent", e))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(failed("an agent", "it has no pipes"));
        };
        let mut agent = Self { child, stdin, lines: lines(stdout), asked: 0 };
        let client = Object::new().with("name", "demo").with("version", "1");
        let hello = Object::new()
            .with("protocolVersion", "2025-11-25")
            .with("capabilities", Object::new())
            .with("clientInfo", client);
        let id = agent.send("initialize", hello)?;
        agent.wait(id)?;
        let done = Object::new().with("jsonrpc", "2.0").with("method", "notifications/initialized");
        agent.write(done)?;
        Ok(agent)
    }

    fn write(&mut self, message: Object) -> Result<(), CliError> {
        writeln!(self.stdin, "{}", Json::from(message).canonical())
            .and_then(|()| self.stdin.flush())
            .map_err(|e| failed("an agent does not listen", e))
    }

    fn send(&mut self, method: &str, params: Object) -> Result<u64, CliError> {
        self.asked = self.asked.saturating_add(1);
        let message = Object::new()
            .with("jsonrpc", "2.0")
            .with("id", self.asked)
            .with("method", method)
            .with("params", params);
        self.write(message)?;
        Ok(self.asked)
    }

    /// The answer to a request; what is said uninvited stands between.
    fn wait(&self, id: u64) -> Result<Object, CliError> {
        loop {
            let line =
                self.lines.recv_timeout(START).map_err(|e| failed("an agent went silent", e))?;
            let Ok(Json::Object(said)) = Json::parse(line.as_bytes(), &LIMITS) else { continue };
            if said.member("id") == Some(&Json::from(id)) {
                return Ok(said);
            }
        }
    }

    fn begin(&mut self, tool: &str, arguments: Object) -> Result<u64, CliError> {
        self.send("tools/call", Object::new().with("name", tool).with("arguments", arguments))
    }

    fn call(&mut self, tool: &str, arguments: Object) -> Result<Object, CliError> {
        let id = self.begin(tool, arguments)?;
        self.wait(id)
    }

    /// What one of its own tools answers, and whether it refused.
    fn own(&mut self, tool: &str, arguments: Object) -> Result<(Object, bool), CliError> {
        let answer = self.call(tool, arguments)?;
        let result = answer.member("result").and_then(Json::as_object);
        let refused = result.and_then(|r| r.member("isError")) == Some(&Json::Bool(true));
        let content = result.and_then(|r| r.member("structuredContent")?.as_object());
        match content {
            Some(content) => Ok((content.clone(), refused)),
            None => Err(failed(&format!("`{tool}`"), Json::from(answer).canonical())),
        }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(o: &Object, member: &str) -> String {
    o.member(member).and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// The decision that a tool's result names.
fn decision(answer: &Object) -> String {
    let decision = answer.member("result").and_then(|r| {
        r.as_object()?.member("_meta")?.as_object()?.member("io.bailiwick/decision")?.as_object()
    });
    decision.map(|d| text(d, "id")).unwrap_or_default()
}

/// An answer as the story judges it.
fn judged(answer: &Object) -> Answer {
    let failed = answer.member("error").is_some();
    Answer {
        status: i32::from(failed),
        object: Object::new().with("decision_id", decision(answer)),
    }
}

fn claim(statement: &str, decision: &str) -> Vec<Json> {
    vec![Object::new().with("statement", statement).with("decision", decision).into()]
}

/// The grade of the first claim of what a peer says.
fn first_grade(said: &Object) -> String {
    let claims = said.member("peer_says").and_then(|s| s.as_object()?.member("claims")?.as_array());
    let first = claims.and_then(|c| c.first()?.as_object());
    first.map(|claim| text(claim, "grade")).unwrap_or_default()
}

impl Stage {
    /// The agent hands the refund question over.
    pub(super) fn second_act(&mut self) -> Result<(), CliError> {
        self.out
            .say("\nthe second act: another ticket, and a refund that is billing's to decide\n");
        let own = Files::of(&self.cast.runner);
        let files = Files { chain: arg(&own.home.join("second.json")), ..own };
        let refund = format!("refund:{ORDER_OF_TICKET_9000}");
        self.delegate("20m", &["ticket:9000", "orders:read", &refund], &files.chain)?;
        let at = format!("127.0.0.1:{}", free_port()?);
        let peer = format!("{BILLING}=https://{at}");
        let more = ["--chain", &files.chain, "--peer", &peer];
        let mut runner = Connected::start(&files, &self.cast.url, &more)?;
        let arguments = Object::new().with("ticket_id", 9000u64);
        let seen = runner.call("get_ticket", arguments)?;
        self.judge(over("the agent reads the ticket", "get_ticket"), &judged(&seen))?;
        self.impostor(&mut runner, &at)?;
        let billing = Files::of(&self.cast.billing);
        let listen = ["--peer-listen", &at];
        let mut billing = Connected::start(&billing, &self.cast.url, &listen)?;
        self.meet(&mut runner)?;
        let id = self.hand_over(&mut runner, &mut billing, &decision(&seen))?;
        let action = self.refund_by(&mut billing)?;
        self.give_back(&mut runner, &mut billing, &id, &action)?;
        self.handed = Some(Handed { id, action });
        Ok(())
    }

    /// Somebody else listens where the billing agent should.
    fn impostor(&mut self, runner: &mut Connected, at: &str) -> Result<(), CliError> {
        let files = Files::of(&self.cast.reader);
        let listen = ["--peer-listen", at];
        let _impostor = Connected::start(&files, &self.cast.url, &listen)?;
        let (said, refused) = runner.own("verify_peer", Object::new().with("agent", BILLING))?;
        let error = said.member("error").and_then(Json::as_object);
        let code = error.map(|e| text(e, "code")).unwrap_or_default();
        let ok = refused && !code.is_empty() && code != "peer-away";
        self.count(ok);
        let title = "another agent answers at billing's address";
        let who =
            format!("{READER}, with an identity of its own, and not the one that was asked for");
        self.out.result(
            Object::new()
                .with("event", "peer")
                .with("title", title)
                .with("code", code.as_str())
                .with("as_expected", ok),
            line(ok, title, &who, "verify_peer", &format!("refused ({code})")),
        );
        Ok(())
    }

    fn meet(&mut self, runner: &mut Connected) -> Result<(), CliError> {
        let (met, refused) = runner.own("verify_peer", Object::new().with("agent", BILLING))?;
        let (spiffe_id, guarantee) = (text(&met, "spiffe_id"), text(&met, "guarantee"));
        let ok = !refused && guarantee == "mtls";
        self.count(ok);
        let title = "both agents prove who they are";
        self.out.result(
            Object::new()
                .with("event", "peer")
                .with("title", title)
                .with("spiffe_id", spiffe_id.as_str())
                .with("guarantee", guarantee.as_str())
                .with("as_expected", ok),
            line(ok, title, &spiffe_id, "verify_peer", &format!("known (guarantee {guarantee})")),
        );
        Ok(())
    }

    fn hand_over(
        &mut self,
        runner: &mut Connected,
        billing: &mut Connected,
        seen: &str,
    ) -> Result<String, CliError> {
        let tools: Vec<Json> = ["get_order", "refund_order"].map(Json::from).to_vec();
        let order = Object::new().with("order_id", ORDER_OF_TICKET_9000);
        let asked = Object::new()
            .with("agent", BILLING)
            .with("purpose", "is a refund due? if so, make it")
            .with("tools", tools)
            .with("arguments", order)
            .with("claims", claim("ticket 9000 asks for a refund", seen))
            .with("wait_seconds", 0u64);
        let (given, refused) = runner.own("handoff_offer", asked)?;
        let id = text(&given, "handoff");
        let (listed, _) = billing.own("handoff_accept", Object::new())?;
        let offers = listed.member("offers").and_then(Json::as_array).unwrap_or_default();
        let offer = offers.first().and_then(Json::as_object).cloned().unwrap_or_default();
        let grade = first_grade(&offer);
        let accept = Object::new().with("handoff", id.as_str());
        let (taken, not_taken) = billing.own("handoff_accept", accept)?;
        let ok =
            !refused && !not_taken && text(&taken, "status") == "accepted" && grade == "proven";
        self.count(ok);
        let title = "the refund question is handed over, and taken";
        self.out.result(
            Object::new()
                .with("event", "handoff")
                .with("title", title)
                .with("handoff", id.as_str())
                .with("claim", grade.as_str())
                .with("as_expected", ok),
            line(
                ok,
                title,
                &format!(
                    "{RUNNER} to {BILLING}: one order, and a claim that the ledger has {grade}"
                ),
                "handoff_offer",
                &text(&taken, "status"),
            ),
        );
        Ok(id)
    }

    /// The other agent acts, within the child and for the same principal.
    fn refund_by(&mut self, billing: &mut Connected) -> Result<String, CliError> {
        let order = || Object::new().with("order_id", ORDER_OF_TICKET_9000);
        let seen = billing.call("get_order", order())?;
        let title = format!("{BILLING} looks the order up");
        self.judge(over(&title, "get_order"), &judged(&seen))?;
        let refund = order().with("amount_cents", 500u64).with("reason", "late");
        let waits = billing.begin("refund_order", refund)?;
        self.held()?;
        self.approve(BILLING)?;
        let made = billing.wait(waits)?;
        self.judge(over("the refund waited, and is made", "refund_order"), &judged(&made))?;
        Ok(decision(&made))
    }

    /// The call that waits is in the ledger already: a line of the story as well.
    fn held(&mut self) -> Result<(), CliError> {
        let data = arg(&self.cast.data);
        let query = ["audit", "query", "--decision", "approval_required", "--data-dir", &data];
        let known = |id: &str, played: &[Played]| played.iter().any(|p| p.id == id);
        for _ in 0..100 {
            let answer = must(&self.cast.data, &query)?;
            let found = answer.object.member("actions").and_then(Json::as_array);
            let found = found.unwrap_or_default().iter().filter_map(Json::as_object);
            let fresh = found.map(|a| text(a, "action")).find(|id| !known(id, &self.played));
            if let Some(id) = fresh {
                let object = Object::new().with("decision_id", id);
                let asked = Asked {
                    expected: "approval-required",
                    ..over("and its refund waits for a person", "refund_order")
                };
                return self.judge(asked, &Answer { status: 1, object });
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Err(failed("the refund", "it does not wait for a person"))
    }

    fn give_back(
        &mut self,
        runner: &mut Connected,
        billing: &mut Connected,
        id: &str,
        action: &str,
    ) -> Result<(), CliError> {
        let back = Object::new()
            .with("handoff", id)
            .with("status", "done")
            .with("claims", claim("the refund was made", action));
        let (_, refused) = billing.own("handoff_return", back)?;
        let ask = Object::new().with("handoff", id).with("wait_seconds", 10u64);
        let (stands, _) = runner.own("handoff_status", ask)?;
        let grade = first_grade(&stands);
        let ok = !refused && text(&stands, "status") == "returned" && grade == "proven";
        self.count(ok);
        let title = "what came of it comes back";
        self.out.result(
            Object::new()
                .with("event", "handoff")
                .with("title", title)
                .with("handoff", id)
                .with("claim", grade.as_str())
                .with("as_expected", ok),
            line(
                ok,
                title,
                &format!("{BILLING}: \"the refund was made\", which the ledger has {grade}"),
                "handoff_return",
                &text(&stands, "status"),
            ),
        );
        Ok(())
    }

    /// The evidence of the refund shows both planes; and anybody verifies the
    /// handoff itself.
    pub(super) fn check_handoff(&self, base: &Path, d: &str) -> Result<bool, CliError> {
        let Some(handed) = &self.handed else { return Ok(false) };
        let (bundle, file) = (arg(&base.join("handed.json")), arg(&base.join("handoff.json")));
        let trust = arg(&base.join("trust.json"));
        must(
            &self.cast.data,
            &["evidence", "get", &handed.action, "-o", &bundle, "--data-dir", d],
        )?;
        let evidence = run(&self.cast.thief, &["evidence", "verify", &bundle, "--trust", &trust])?;
        let authority = evidence
            .object
            .member("proven")
            .and_then(|p| p.as_object()?.member("authority")?.as_object());
        let last = authority.and_then(|a| a.member("hops")?.as_array()?.last()?.as_object());
        let (by, sure) = match last {
            Some(hop) => (text(hop, "handoff"), text(hop, "guarantee")),
            None => Default::default(),
        };
        let show = ["handoff", "show", &handed.id, "--out", &file, "--data-dir", d];
        let id = must(&self.cast.data, &show)?.text("handoff");
        let verified = run(&self.cast.thief, &["handoff", "verify", &file, "--trust", &trust])?;
        let ok = evidence.status == 0
            && by == id
            && sure == "mtls"
            && verified.status == 0
            && verified.text("principal") == PRINCIPAL;
        self.out.result(
            Object::new()
                .with("event", "evidence")
                .with("as_expected", ok)
                .with("handoff", id)
                .with("guarantee", sure.as_str())
                .with("report", evidence.object.clone()),
            format!(
                "{} evidence of the other agent's refund verified offline: {PRINCIPAL} to {RUNNER} to {BILLING}, by a handoff that both signed (guarantee {sure})",
                mark(ok),
            ),
        );
        Ok(ok)
    }
}

/// A line over an open connection, which must be allowed.
const fn over<'a>(title: &'a str, tool: &'a str) -> Asked<'a> {
    Asked { title, tool, protocol: "2025-11-25", direct: false, expected: "allow" }
}
