//! An authority and gateway of its own, set up by the commands that anyone
//! uses.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bailiwick_testkit::http::Request;
use bailiwick_testkit::present::{Call, Chain, Holder, SERVER};
use bailiwick_testkit::world::{command, free_port};
use bailiwick_testkit::{Answer, Daemon};
use serde_json::{Value, json};

use crate::Failure;
use crate::server::echo::TOOL;

/// Who grants.
pub(crate) const PRINCIPAL: &str = "user:142";
const OWNER: &str = "user:owner";
/// Who acts.
pub(crate) const AGENT: &str = "agent:caller";
/// What is granted.
pub(crate) const SCOPE: &str = "text:echo";

/// The data dir, below the folder.
const DATA: &str = "authority";

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
    pub(crate) cli: Cli,
    pub(crate) chain: Chain,
    pub(crate) holder: Holder,
    /// Whether it serves at present.
    serve: Option<Daemon>,
}

impl Installation {
    /// Sets everything up below `folder`, with a tool server at `upstream`.
    pub(crate) fn set_up(program: &Path, folder: &Path, upstream: &str) -> Result<Self, Failure> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let cli = Cli { program: program.to_owned(), folder: folder.to_owned() };
        cli.run(&["init", "--yes", "--listen", &address.to_string()])?;
        cli.without_rate()?;
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
        let holder = Holder::read(folder);
        Ok(Self { address, cli, chain, holder, serve: Some(serve) })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.serve.as_ref().map_or(0, Daemon::pid)
    }

    /// Its public name.
    pub(crate) fn url(&self) -> String {
        format!("http://localhost:{}", self.address.port())
    }

    /// Its data dir.
    pub(crate) fn data(&self) -> PathBuf {
        self.cli.folder.join(DATA)
    }

    /// Stops it in good order: everything is published.
    pub(crate) fn stop(&mut self) -> Result<(), Failure> {
        let Some(serve) = self.serve.take() else { return Ok(()) };
        let status = serve.stop();
        if status.success() { Ok(()) } else { Err(format!("serve ended with {status}").into()) }
    }

    /// Starts it again.
    pub(crate) fn start(&mut self) -> Result<(), Failure> {
        self.serve = Some(self.cli.serve()?);
        Ok(())
    }

    /// A call with the chain and a fresh proof.
    pub(crate) fn call(&self, text: &str) -> Request {
        Call::new(&self.chain, &self.holder.key, TOOL, json!({"text": text})).request()
    }
}

/// The command line on one data dir.
pub(crate) struct Cli {
    program: PathBuf,
    pub(crate) folder: PathBuf,
}

impl Cli {
    fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = command(&self.program, &self.folder);
        command.args(["--json", "--data-dir", DATA]).args(args);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Result<Answer, Failure> {
        let answer = Answer::of(&mut self.command(args));
        if answer.status == 0 {
            return Ok(answer);
        }
        Err(format!("`bailiwick {}` failed: {}{}", args.join(" "), answer.out, answer.err).into())
    }

    /// What is measured is not how often one may ask, nor how much at once.
    fn without_rate(&self) -> Result<(), Failure> {
        let file = self.folder.join(DATA).join("bailiwick.toml");
        let text = std::fs::read_to_string(&file)?;
        let ours =
            |line: &&str| ["requests_per_minute", "max_calls"].iter().any(|o| line.starts_with(o));
        let others = text.lines().filter(|line| !ours(line));
        let text: Vec<&str> = ["requests_per_minute = 1000000", "max_calls = 2048"]
            .into_iter()
            .chain(others)
            .collect();
        Ok(std::fs::write(&file, text.join("\n") + "\n")?)
    }

    fn serve(&self) -> Result<Daemon, Failure> {
        let log = self.folder.join("serve.log");
        Ok(Daemon::start(&mut self.command(&["serve"]), &log)?)
    }
}

/// The gateway's program, built beside this one.
pub(crate) fn beside(own: &Path) -> Result<PathBuf, Failure> {
    let program = own.with_file_name("bailiwick");
    if program.is_file() {
        return Ok(program);
    }
    let shown = program.display();
    Err(format!(
        "the gateway is not built: there is no {shown}; run `cargo build --release --locked`"
    )
    .into())
}

/// Starts a server that this program plays.
pub(crate) fn started(
    own: &Path,
    home: &Path,
    args: &[&str],
) -> Result<(Daemon, SocketAddr), Failure> {
    let mut command = command(own, home);
    let daemon = Daemon::start(command.args(args), &home.join("servers.log"))?;
    let address = daemon.said.get("address").and_then(Value::as_str).unwrap_or_default();
    let address = address.parse()?;
    Ok((daemon, address))
}
