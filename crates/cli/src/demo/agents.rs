//! Agents: processes that hold an MCP connection to the gateway and know only
//! URLs, keys and files.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use bailiwick_core::json::{Json, Object};

use crate::error::CliError;

use super::people::arg;
use super::processes::{Answer, LIMITS, START, command, failed, lines};

/// How long an agent may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// The files of one instance.
#[derive(Clone)]
pub(super) struct Files {
    pub(super) home: PathBuf,
    pub(super) chain: String,
    pub(super) key: String,
    pub(super) document: String,
}

impl Files {
    pub(super) fn of(home: &Path) -> Self {
        Self {
            home: home.to_owned(),
            chain: arg(&home.join("chain.json")),
            key: arg(&home.join("key.json")),
            document: arg(&home.join("enrolment.json")),
        }
    }
}

/// An agent with an open connection.
pub(super) struct Agent {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    /// The protocol version that client and gateway agreed on.
    pub(super) protocol: String,
}

impl Agent {
    /// Starts an agent, which connects at once.
    pub(super) fn start(files: &Files, url: &str, protocol: &str) -> Result<Self, CliError> {
        let mut child = command(&files.home)?
            .args(["--json", "call", "--url", url, "--chain", &files.chain, "--key", &files.key])
            .args(["--protocol", protocol, "--stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| failed("cannot start an agent", e))?;
        let stdout = child.stdout.take().ok_or_else(|| failed("an agent", "it has no output"))?;
        let lines = lines(stdout);
        let stdin = child.stdin.take();
        let mut agent = Self { child, stdin, lines, protocol: String::new() };
        let said = agent.next()?;
        match said.member("protocol").and_then(Json::as_str) {
            Some(agreed) => agent.protocol = agreed.to_owned(),
            None => {
                return Err(failed("an agent did not connect", Json::Object(said).canonical()));
            }
        }
        Ok(agent)
    }

    /// The tools that it is shown.
    pub(super) fn tools(&mut self) -> Result<Vec<String>, CliError> {
        let answer = self.ask(Object::new())?;
        let tools = answer.object.member("tools").and_then(Json::as_array).unwrap_or_default();
        Ok(tools.iter().filter_map(Json::as_str).map(str::to_owned).collect())
    }

    /// Calls a tool.
    pub(super) fn call(&mut self, tool: &str, arguments: &Object) -> Result<Answer, CliError> {
        self.ask(Object::new().with("tool", tool).with("arguments", arguments.clone()))
    }

    fn ask(&mut self, line: Object) -> Result<Answer, CliError> {
        let text = Json::Object(line).canonical();
        let stdin = self.stdin.as_mut().ok_or_else(|| failed("an agent", "it has no input"))?;
        writeln!(stdin, "{text}").map_err(|e| failed("an agent does not listen", e))?;
        let object = self.next()?;
        let denied = object.member("decision").and_then(Json::as_str) == Some("deny");
        Ok(Answer { status: i32::from(denied), object })
    }

    /// Its next line.
    fn next(&self) -> Result<Object, CliError> {
        let line = self.lines.recv_timeout(START).map_err(|e| failed("an agent went silent", e))?;
        match Json::parse(line.as_bytes(), &LIMITS) {
            Ok(Json::Object(o)) => Ok(o),
            _ => Err(failed("an agent said", line)),
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // The end of its input is the end of its work.
        self.stdin = None;
        let deadline = Instant::now() + GOODBYE;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
