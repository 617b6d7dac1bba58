//! Child processes of the demo: each is this binary with other arguments.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;

use crate::error::CliError;

/// How long a server may take to say where it listens.
pub(super) const START: Duration = Duration::from_secs(30);
/// How long a server may take to stop before it is killed.
const STOP: Duration = Duration::from_secs(15);

pub(super) const LIMITS: JsonLimits =
    JsonLimits { max_bytes: 64 << 20, max_depth: 96, max_values: 5_000_000 };

pub(super) fn failed(what: &str, why: impl std::fmt::Display) -> CliError {
    CliError::environment("demo-process", format!("{what}: {why}"), "run `bailiwick doctor`")
}

/// This binary with a clean environment: participants know what they are told.
pub(super) fn command(home: &Path) -> Result<Command, CliError> {
    let exe = std::env::current_exe().map_err(|e| failed("cannot find this program", e))?;
    let mut command = Command::new(exe);
    command.env_clear().current_dir(home).stdin(Stdio::null());
    Ok(command)
}

/// What a finished command said: its exit status and its last JSON object.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: i32,
    pub(super) object: Object,
}

impl Answer {
    pub(super) fn text(&self, member: &str) -> String {
        self.object.member(member).and_then(Json::as_str).unwrap_or_default().to_owned()
    }
}

/// Runs one command with `--json` to its end.
pub(super) fn run(home: &Path, args: &[&str]) -> Result<Answer, CliError> {
    let output = command(home)?
        .arg("--json")
        .args(args)
        .stderr(Stdio::piped())
        .output()
        .map_err(|e| failed("cannot start a participant", e))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let object = text
        .lines()
        .rev()
        .find_map(|line| match Json::parse(line.as_bytes(), &LIMITS) {
            Ok(Json::Object(o)) => Some(o),
            _ => None,
        })
        .ok_or_else(|| {
            let stderr = String::from_utf8_lossy(&output.stderr);
            failed(&format!("`{}` said nothing", args.join(" ")), stderr.trim())
        })?;
    Ok(Answer { status: output.status.code().unwrap_or(-1), object })
}

/// Runs a command that must succeed.
pub(super) fn must(home: &Path, args: &[&str]) -> Result<Answer, CliError> {
    let answer = run(home, args)?;
    if answer.status == 0 {
        return Ok(answer);
    }
    let why = Json::Object(answer.object).canonical();
    Err(failed(&format!("`{}` ended with status {}", args.join(" "), answer.status), why))
}

/// The lines of a program's output. They are read to the end, so that it never
/// blocks on a full pipe.
pub(super) fn lines(output: ChildStdout) -> Receiver<String> {
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    receive
}

/// A server that runs until it is dropped.
pub(super) struct Server {
    name: &'static str,
    child: Child,
    /// What it said when it began to listen.
    pub(super) listening: Object,
}

impl Server {
    /// Starts a server and waits until it says `{"event":"listening",…}`.
    pub(super) fn start(
        name: &'static str,
        home: &Path,
        log: &Path,
        args: &[&str],
    ) -> Result<Self, CliError> {
        let log_file = std::fs::File::create(log).map_err(|e| CliError::file(log, "create", &e))?;
        let mut child = command(home)?
            .arg("--json")
            .args(args)
            .stdout(Stdio::piped())
            .stderr(log_file)
            .spawn()
            .map_err(|e| failed(&format!("cannot start {name}"), e))?;
        let stdout = child.stdout.take().ok_or_else(|| failed(name, "it has no output"))?;
        let receive = lines(stdout);
        let mut server = Self { name, child, listening: Object::new() };
        loop {
            let line = receive.recv_timeout(START).map_err(|_| {
                let log = std::fs::read_to_string(log).unwrap_or_default();
                failed(&format!("{name} did not start"), log.trim())
            })?;
            if let Ok(Json::Object(o)) = Json::parse(line.as_bytes(), &LIMITS)
                && o.member("event").and_then(Json::as_str) == Some("listening")
            {
                server.listening = o;
                return Ok(server);
            }
        }
    }

    /// A member of what it said.
    pub(super) fn said(&self, member: &str) -> String {
        self.listening.member(member).and_then(Json::as_str).unwrap_or_default().to_owned()
    }

    /// Asks it to stop (SIGTERM) and waits until it drained.
    pub(super) fn stop(&mut self) -> Result<(), CliError> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        if !sent.is_ok_and(|s| s.success()) {
            let _ = self.child.kill();
        }
        let deadline = std::time::Instant::now() + STOP;
        while std::time::Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => std::thread::sleep(Duration::from_millis(20)),
                Err(e) => return Err(failed(self.name, e)),
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        Err(failed(self.name, "it did not stop when asked, and was killed"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.stop();
        }
    }
}

/// A free port on loopback, below the range from which the system takes ports for connections:
/// none of those gets it before it is used.
pub(super) fn free_port() -> Result<u16, CliError> {
    const TRIES: usize = 64;
    for _ in 0..TRIES {
        let random: [u8; 2] = crate::host::random()?;
        let port = 10_240 + u16::from_be_bytes(random) % 21_760;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(failed("no free port", "each that was tried is in use"))
}

/// A folder for one participant, readable by its owner only.
pub(super) fn home(base: &Path, name: &str) -> Result<PathBuf, CliError> {
    let path = base.join(name);
    bailiwick_store::create_private_dir(&path)
        .map_err(|e| CliError::environment(e.code(), e.to_string(), e.remedy()))?;
    Ok(path)
}
