//! Processes: commands that end, and servers that serve until they are stopped.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(60);

/// What a command came to.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its exit status; -1 for a signal.
    pub status: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Answer {
    /// Runs a command to its end.
    #[must_use]
    pub fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().expect("the program starts");
        Self {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).expect("output is UTF-8"),
            err: String::from_utf8(output.stderr).expect("errors are UTF-8"),
        }
    }

    /// The last line of standard output as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let line = self.out.lines().last().unwrap_or_default();
        serde_json::from_str(line)
            .unwrap_or_else(|e| panic!("no JSON ({e}): {}\n{}", self.out, self.err))
    }

    /// The code of an error in the `--json` shape.
    #[must_use]
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// A server that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    /// What it said when it began to listen.
    pub said: Value,
    /// Where its standard error goes.
    pub log: PathBuf,
}

impl Daemon {
    /// Starts a server and waits until it says `{"event":"listening",…}`.
    /// Its standard error is added to the file `log`.
    ///
    /// # Errors
    /// What it wrote to standard output and error when it ended instead.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self, String> {
        Self::start_until("listening", command, log)
    }

    /// Starts a server and waits until it says an event of this name.
    ///
    /// # Errors
    /// What it wrote to standard output and error when it ended instead.
    pub fn start_until(event: &str, command: &mut Command, log: &Path) -> Result<Self, String> {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(log);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file.expect("the log opens"))
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let (send, receive) = std::sync::mpsc::channel();
        // Reads to the end, so that the server never blocks on a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        let mut daemon = Self { child, said: Value::Null, log: log.to_owned() };
        let deadline = Instant::now() + START;
        let mut lines = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = receive.recv_timeout(left) else {
                return Err(format!("{lines}{}", daemon.errors()));
            };
            let said: Value = serde_json::from_str(&line).unwrap_or_default();
            if said["event"] == event {
                daemon.said = said;
                return Ok(daemon);
            }
            lines.push_str(&line);
            lines.push('\n');
        }
    }

    /// What it wrote to standard error.
    #[must_use]
    pub fn errors(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(sent.is_ok_and(|s| s.success()), "the signal was sent");
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Asks it to stop (SIGTERM) and waits.
    #[must_use]
    pub fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended()
    }

    /// Waits until it ends, at most half a minute.
    #[must_use]
    pub fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().expect("its state can be asked") {
                return status;
            }
            assert!(Instant::now() < deadline, "it did not stop: {}", self.errors());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
