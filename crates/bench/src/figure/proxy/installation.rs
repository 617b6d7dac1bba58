//! An authority and gateway of its own, set up by the commands that anyone
//! uses.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bailiwick_testkit::http::Request;
use bailiwick_testkit::present::{Call, Chain, Holder, SERVER};
use bailiwick_testkit::world::{command, free_port};
use bailiwick_testkit::{Answer, Daemon};
use serde_json::json;

use crate::Failure;
use crate::server::echo::TOOL;

const PRINCIPAL: &str = "user:142";
const OWNER: &str = "user:owner";
const AGENT: &str = "agent:caller";
const SCOPE: &str = "text:echo";

const WORKFLOW: &str = r#"
workflow: echo
version: "1"
owner: user:owner
purpose: Measure what a call costs.
agents: [agent:caller]
level: bounded
window_seconds: 3600
max_depth: 3
budget: {max_calls: 1000000000}
tool_servers:
  support-desk:
    tools:
      echo: {risk: low, effect: read, idempotent: true, data: [text]}
shorthands:
  "text:echo":
    tools:
      support-desk/echo:
        text: {constraint_type: length, min: 1, max: 2000}
"#;

/// It serves until it is dropped.
pub(crate) struct Installation {
    pub(crate) address: SocketAddr,
    serve: Daemon,
    chain: Chain,
    holder: Holder,
}

impl Installation {
    /// Sets everything up below `folder`, with a tool server at `upstream`.
    pub(crate) fn set_up(program: &Path, folder: &Path, upstream: &str) -> Result<Self, Failure> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let cli = Cli { program: program.to_owned(), folder: folder.to_owned() };
        cli.run(&["init", "--yes", "--listen", &address.to_string()])?;
        let serve = cli.serve()?;
        std::fs::write(folder.join("workflow.yaml"), WORKFLOW)?;
        cli.run(&["principal", "add", PRINCIPAL, "--key", "principal.json"])?;
        cli.run(&["principal", "add", OWNER, "--key", "owner.json"])?;
        cli.run(&["agent", "add", AGENT, "--owner", OWNER])?;
        cli.run(&["workflow", "publish", "workflow.yaml"])?;
        cli.run(&["tool-server", "add", SERVER, "--url", upstream])?;
        cli.run(&["tool-server", "pin", SERVER])?;
        let of_agent = ["--agent", AGENT, "--owner", OWNER];
        let made = ["--key", "key.json", "--out", "enrolment.json"];
        cli.run(&[&["instance", "new"], &of_agent[..], &made].concat())?;
        cli.run(&["instance", "enrol", "enrolment.json"])?;
        let granted = ["--agent", AGENT, "--scope", SCOPE, "--purpose", "measure"];
        let signed = ["--key", "principal.json", "--for", "1h", "--out", "chain.json"];
        cli.run(&[&["delegate"], &granted[..], &signed].concat())?;
        let chain = Chain::read(&folder.join("chain.json"));
        Ok(Self { address, serve, chain, holder: Holder::read(folder) })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.serve.pid()
    }

    /// A call with the chain and a fresh proof.
    pub(crate) fn call(&self, text: &str) -> Request {
        Call::new(&self.chain, &self.holder.key, TOOL, json!({"text": text})).request()
    }
}

/// The command line on one data dir.
struct Cli {
    program: PathBuf,
    folder: PathBuf,
}

impl Cli {
    fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = command(&self.program, &self.folder);
        command.args(["--json", "--data-dir", "authority"]).args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Result<(), Failure> {
        let answer = Answer::of(&mut self.command(args));
        if answer.status == 0 {
            return Ok(());
        }
        Err(format!("`bailiwick {}` failed: {}{}", args.join(" "), answer.out, answer.err).into())
    }

    fn serve(&self) -> Result<Daemon, Failure> {
        let log = self.folder.join("serve.log");
        Ok(Daemon::start(&mut self.command(&["serve"]), &log)?)
    }
}
