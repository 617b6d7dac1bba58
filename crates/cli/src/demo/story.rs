//! The story, line by line, and what each line must come to.

use std::path::Path;
use std::time::Duration;

use bailiwick_core::json::{Json, Object};
use bailiwick_demo::desk::{
    CUSTOMER_OF_TICKET_8821, ORDER_OF_TICKET_8821, ORDER_OF_TICKET_9000, read_refusals,
};

use crate::error::CliError;
use crate::host;

use super::agents::{Agent, Files};
use super::people::{self, OWNER, PRINCIPAL, SERVER, arg};
use super::processes::{must, run};
use super::record::{Asked, line};
use super::stage::{Stage, mark};

/// The protocol with sessions, and the one in which each request stands alone.
const SESSIONS: &str = "2025-11-25";
const STATELESS: &str = "2026-07-28";

fn ticket(number: u64) -> Object {
    Object::new().with("ticket_id", number)
}

fn order(number: i64) -> Object {
    Object::new().with("order_id", number)
}

fn refund(number: i64) -> Object {
    order(number).with("amount_cents", 500u64).with("reason", "late")
}

impl Stage {
    pub(super) fn story(&mut self) -> Result<(), CliError> {
        let files = Files::of(&self.cast.runner);
        self.delegate("15m", &["ticket:8821", "orders:read"], &files.chain)?;
        let mut runner = Agent::start(&files, &self.cast.url, SESSIONS)?;
        let shown = [
            "complete_task",
            "get_order",
            "get_ticket",
            "list_orders",
            "note_context",
            "note_progress",
            "request_authority",
            "run_begin",
        ];
        self.connected(people::RUNNER, &mut runner, &shown)?;
        self.call(&mut runner, "the agent reads its ticket", "get_ticket", &ticket(8821), "allow")?;
        let customer = Object::new().with("customer_id", CUSTOMER_OF_TICKET_8821);
        self.call(&mut runner, "and that customer's orders", "list_orders", &customer, "allow")?;
        self.call(
            &mut runner,
            "another customer's ticket",
            "get_ticket",
            &ticket(9000),
            "argument-not-delegated",
        )?;
        self.call(
            &mut runner,
            "a refund nobody delegated",
            "refund_order",
            &refund(ORDER_OF_TICKET_8821),
            "tool-not-delegated",
        )?;
        self.refund(&files)?;
        let mut reader = self.sub_agent(&files)?;
        self.thieves(&files)?;
        self.outsiders(&files)?;
        self.bypass()?;
        self.revoke(&files)?;
        self.call(&mut runner, "the agent's next call", "get_ticket", &ticket(8821), "revoked")?;
        self.call(
            &mut reader,
            "and its sub-agent's",
            "get_order",
            &order(ORDER_OF_TICKET_8821),
            "revoked",
        )
    }

    /// A refund that was delegated waits for a person all the same, and happens
    /// once.
    fn refund(&mut self, runner: &Files) -> Result<(), CliError> {
        let files = Files { chain: arg(&runner.home.join("refund.json")), ..runner.clone() };
        self.out.say("");
        let scope = format!("refund:{ORDER_OF_TICKET_8821}");
        self.delegate("10m", &[&scope], &files.chain)?;
        let asked = refund(ORDER_OF_TICKET_8821);
        let tool = "refund_order";
        let waits = "approval-required";
        self.connect_and_call("a refund that was delegated", &files, tool, &asked, &[], waits)?;
        self.approve(people::RUNNER)?;
        self.connect_and_call("the same call again", &files, tool, &asked, &[], "allow")?;
        self.approved = self.played.last().map(|played| played.id.clone());
        self.connect_and_call("and a second refund of it", &files, tool, &asked, &[], waits)
    }

    /// The owner looks at what waits of an agent, and signs.
    pub(super) fn approve(&mut self, agent: &str) -> Result<(), CliError> {
        let (data, owner) = (arg(&self.cast.data), self.cast.owner.clone());
        let listed = must(&owner, &["approvals", "list", "--data-dir", &data])?;
        let waiting = listed.object.member("approvals").and_then(Json::as_array);
        let mut waiting = waiting.unwrap_or_default().iter().filter_map(Json::as_object);
        let its = waiting.find(|a| a.member("agent").and_then(Json::as_str) == Some(agent));
        let id = its.and_then(|a| a.member("approval")?.as_str());
        let id = id.unwrap_or_default().to_owned();
        let key = arg(&owner.join("approver.json"));
        let approve = ["approvals", "approve", &id, "--key", &key, "--data-dir", &data];
        let answer = run(&owner, &approve)?;
        let ok = answer.status == 0 && answer.text("state") == "approved";
        self.count(ok);
        let title = "its owner reads the call and signs its digest";
        self.out.result(
            Object::new()
                .with("event", "approval")
                .with("approval", id.as_str())
                .with("as_expected", ok)
                .with("action_digest", answer.text("action_digest")),
            line(ok, title, &format!("{OWNER}, with an approver key"), "refund_order", "approved"),
        );
        Ok(())
    }

    fn sub_agent(&mut self, runner: &Files) -> Result<Agent, CliError> {
        let files = Files::of(&self.cast.reader);
        let tool = format!("mcp:{SERVER}:tools/get_order");
        let one = format!("order_id={ORDER_OF_TICKET_8821}");
        self.attenuate(runner, &files, &["--tool", &tool, "--argument", &one, "--further"])?;
        self.out
            .say("\nthe agent derives a narrower delegation for a sub-agent, offline: one order\n");
        let mut reader = Agent::start(&files, &self.cast.url, STATELESS)?;
        self.connected(people::READER, &mut reader, &["get_order"])?;
        self.call(
            &mut reader,
            "the sub-agent reads that order",
            "get_order",
            &order(ORDER_OF_TICKET_8821),
            "allow",
        )?;
        self.call(
            &mut reader,
            "another order",
            "get_order",
            &order(ORDER_OF_TICKET_9000),
            "argument-not-delegated",
        )?;
        let widened = arg(&files.home.join("widened.json"));
        let refunds = format!("mcp:{SERVER}:tools/refund_order");
        let widen = ["demo", "widen", "--chain", &files.chain, "--key", &files.key, "--tool"];
        must(&files.home, &[&widen[..], &[&refunds, "--out", &widened]].concat())?;
        let widened = Files { chain: widened, ..files };
        self.attack(
            "it signs itself a wider one",
            &widened,
            "refund_order",
            &refund(ORDER_OF_TICKET_8821),
            &[],
            "authority-widened",
        )?;
        Ok(reader)
    }

    fn thieves(&mut self, runner: &Files) -> Result<(), CliError> {
        self.out.say("");
        let stolen = Files { chain: runner.chain.clone(), ..Files::of(&self.cast.thief) };
        self.attack(
            "a thief with the stolen chain, not the key",
            &stolen,
            "get_ticket",
            &ticket(8821),
            &[],
            "proof-invalid",
        )?;
        let captured = arg(&self.cast.thief.join("captured.json"));
        self.connect_and_call(
            "a call whose proof somebody captures",
            runner,
            "get_ticket",
            &ticket(8821),
            &["--save-presentation", &captured],
            "allow",
        )?;
        let replay = ["--presentation", &captured];
        self.attack(
            "the captured proof again",
            &stolen,
            "get_ticket",
            &ticket(8821),
            &replay,
            "proof-replayed",
        )?;
        self.attack(
            "and for other arguments",
            &stolen,
            "get_ticket",
            &ticket(9000),
            &replay,
            "proof-other-arguments",
        )
    }

    /// Whom the gateway does not know, or no longer, does not even get to
    /// connect.
    fn outsiders(&mut self, runner: &Files) -> Result<(), CliError> {
        let stranger = Files::of(&self.cast.stranger);
        self.attenuate(runner, &stranger, &[])?;
        self.connect_and_call(
            "a key that nobody enrolled connects",
            &stranger,
            "get_ticket",
            &ticket(8821),
            &[],
            "key-not-enrolled",
        )?;
        let short = arg(&runner.home.join("short.json"));
        self.delegate("2s", &["ticket:8821", "orders:read"], &short)?;
        std::thread::sleep(Duration::from_millis(2100));
        let expired = Files { chain: short, ..runner.clone() };
        self.connect_and_call(
            "and a delegation that has run out",
            &expired,
            "get_ticket",
            &ticket(8821),
            &[],
            "token-expired",
        )
    }

    /// Round the gateway: the tool server itself must refuse, and log it.
    fn bypass(&mut self) -> Result<(), CliError> {
        let title = "a direct call round the gateway";
        let refusals = |path: &Path| read_refusals(path).map(|r| r.len()).unwrap_or(0);
        let before = refusals(&self.cast.desk_database);
        let url = self.cast.desk_url.clone();
        let answer = run(
            &self.cast.thief,
            &["call", "--url", &url, "--direct", "get_ticket", "ticket_id=8821"],
        )?;
        let refused = answer.status == 1 && refusals(&self.cast.desk_database) > before;
        self.count(refused);
        self.out.result(
            Object::new()
                .with("event", "bypass")
                .with("title", title)
                .with("refused_by", "tool server")
                .with("as_expected", refused),
            line(refused, title, "", "get_ticket", "refused by the tool server itself"),
        );
        Ok(())
    }

    fn revoke(&mut self, runner: &Files) -> Result<(), CliError> {
        let key = arg(&self.cast.principal.join("key.json"));
        let revoke = ["revoke", "delegation", "--chain", &runner.chain, "--key", &key];
        let more = ["--reason", "ticket resolved", "--data-dir", &arg(&self.cast.data)];
        must(&self.cast.principal, &[&revoke[..], &more].concat())?;
        self.out.say(format!(
            "\n{PRINCIPAL} revokes the delegation; both agents are still connected\n"
        ));
        Ok(())
    }

    /// The principal signs a grant with its own key.
    pub(super) fn delegate(
        &mut self,
        lasts: &str,
        scope: &[&str],
        chain: &str,
    ) -> Result<(), CliError> {
        let request = self.cast.principal.join(format!("request-{lasts}.json"));
        let seconds = match lasts {
            "2s" => 2,
            "10m" => 600,
            _ => 900,
        };
        let scope_text = scope.join("\", \"");
        let expires = host::now().plus_seconds(seconds).to_string();
        // The shape of a delegation request, as anyone may write it.
        let text = Object::new()
            .with("principal", PRINCIPAL)
            .with("agent", people::RUNNER)
            .with("scope", scope.iter().map(|s| Json::from(*s)).collect::<Vec<_>>())
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
                    "{PRINCIPAL} signs with its own key: {} may use [\"{scope_text}\"] for {lasts}, to \"resolve support ticket\"\n",
                    people::RUNNER
                ),
            );
        }
        Ok(())
    }

    /// Derives a delegation with the holder's own command.
    fn attenuate(&self, from: &Files, to: &Files, more: &[&str]) -> Result<(), CliError> {
        let derive = ["attenuate", "--chain", &from.chain, "--key", &from.key];
        let next = ["--to", &to.document, "--out", &to.chain];
        must(&from.home, &[&derive[..], &next, more].concat())?;
        Ok(())
    }

    /// What an agent that connected is shown.
    fn connected(&mut self, who: &str, agent: &mut Agent, tools: &[&str]) -> Result<(), CliError> {
        let mut shown = agent.tools()?;
        shown.sort();
        let ok = shown == tools;
        self.count(ok);
        let names: Vec<Json> = shown.iter().map(|t| Json::from(t.as_str())).collect();
        self.out.result(
            Object::new()
                .with("event", "listing")
                .with("agent", who)
                .with("protocol", agent.protocol.as_str())
                .with("tools", names)
                .with("as_expected", ok),
            format!(
                "{} {who} connects (MCP {}) and is shown {}",
                mark(ok),
                agent.protocol,
                shown.join(", ")
            ),
        );
        Ok(())
    }

    /// An agent calls over its open connection.
    fn call(
        &mut self,
        agent: &mut Agent,
        title: &str,
        tool: &str,
        arguments: &Object,
        expected: &str,
    ) -> Result<(), CliError> {
        let answer = agent.call(tool, arguments)?;
        let protocol = agent.protocol.clone();
        let asked = Asked { title, tool, protocol: &protocol, direct: false, expected };
        self.judge(asked, &answer)
    }

    /// Another client connects and calls.
    fn connect_and_call(
        &mut self,
        title: &str,
        who: &Files,
        tool: &str,
        arguments: &Object,
        more: &[&str],
        expected: &str,
    ) -> Result<(), CliError> {
        let asked = Asked { title, tool, protocol: STATELESS, direct: false, expected };
        self.once(asked, who, arguments, more)
    }

    /// One request without a client: whoever is not what they claim does not
    /// care to connect first.
    fn attack(
        &mut self,
        title: &str,
        who: &Files,
        tool: &str,
        arguments: &Object,
        more: &[&str],
        expected: &str,
    ) -> Result<(), CliError> {
        let asked = Asked { title, tool, protocol: STATELESS, direct: true, expected };
        self.once(asked, who, arguments, &[&["--direct"], more].concat())
    }

    fn once(
        &mut self,
        asked: Asked<'_>,
        who: &Files,
        arguments: &Object,
        more: &[&str],
    ) -> Result<(), CliError> {
        let words: Vec<String> =
            arguments.iter().map(|(name, value)| format!("{name}={}", value.canonical())).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let call = ["call", "--url", &self.cast.url, "--chain", &who.chain, "--key", &who.key];
        let args = [&call[..], &["--protocol", asked.protocol], more, &[asked.tool], &words];
        let answer = run(&who.home, &args.concat())?;
        self.judge(asked, &answer)
    }
}
