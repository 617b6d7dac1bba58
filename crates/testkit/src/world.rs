//! An installation of real processes on loopback: authority and gateway, the
//! support desk, a principal, agents and instances. It is set up by the
//! commands that anyone uses.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use bailiwick_core::crypto::SigningKey;
use bailiwick_demo::desk::{LoggedCall, read_call_log};
use serde_json::{Value, json};

use crate::http::Response;
use crate::present::{
    Call, Chain, Holder, PRESENTATION, SERVER, SESSIONS, in_session, key_file, signed,
};
use crate::process::{Answer, Daemon};

/// The principal who grants.
pub const PRINCIPAL: &str = "user:142";
/// The owner of the agents.
pub const OWNER: &str = "user:owner";
/// The agent.
pub const RUNNER: &str = "agent:support-runner";
/// Its sub-agent.
pub const READER: &str = "agent:order-reader";
/// The purpose of every delegation.
pub const PURPOSE: &str = "resolve support ticket of Mrs Purpose-Canary";

const WORKFLOW: &str = include_str!("../../../workflows/support-tickets.yaml");

/// What differs from the ordinary.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Options of `bailiwick.toml` by name, as TOML values.
    pub config: Vec<(&'static str, String)>,
    /// How the desk misbehaves from the start.
    pub quirk: Option<&'static str>,
    /// Another trust domain than the usual one.
    pub trust_domain: Option<&'static str>,
}

/// An installation that serves.
#[derive(Debug)]
pub struct World {
    exe: PathBuf,
    /// Everything lies below this folder, which goes when the world goes.
    pub base: tempfile::TempDir,
    /// The data dir.
    pub data: PathBuf,
    /// The gateway's name.
    pub public_url: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Authority and gateway, while they run.
    pub serve: Option<Daemon>,
    /// The support desk, while it runs.
    pub desk: Option<Daemon>,
    /// The desk's own endpoint.
    pub desk_url: String,
    /// Holds the first delegation.
    pub runner: Holder,
    /// A sub-agent.
    pub reader: Holder,
}

/// A free port on loopback that stays free until somebody asks for it by number.
///
/// It lies below the range from which the system takes ports for connections and
/// for whoever asks for none in particular, so none of those gets it meanwhile;
/// and no two callers get the same one.
#[must_use]
pub fn free_port() -> u16 {
    const FIRST: u16 = 10_240;
    const LAST: u16 = 32_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        // Test programs that run beside each other begin at different places.
        let mine = u16::try_from(std::process::id().wrapping_mul(397) % 20_000).unwrap_or(0);
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + mine.wrapping_add(step) % (LAST - FIRST);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// This binary with nothing of the test's environment.
#[must_use]
pub fn command(exe: &Path, home: &Path) -> Command {
    let mut command = Command::new(exe);
    command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(home);
    command
}

fn set_options(data: &Path, options: &[(&str, String)]) {
    let file = data.join("bailiwick.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration is there");
    let lines = text.lines().map(|line| {
        let option = options.iter().find(|(n, _)| line.starts_with(&format!("{n} = ")));
        option.map_or_else(|| line.to_owned(), |(n, v)| format!("{n} = {v}"))
    });
    let text: Vec<String> = lines.collect();
    std::fs::write(&file, text.join("\n") + "\n").expect("the configuration is written");
}

impl World {
    /// An ordinary world; `exe` is `env!("CARGO_BIN_EXE_bailiwick")`.
    #[must_use]
    pub fn new(exe: &str) -> Self {
        Self::with(exe, &Setup::default())
    }

    /// A world that differs.
    #[must_use]
    pub fn with(exe: &str, setup: &Setup) -> Self {
        let base = tempfile::tempdir().expect("a folder can be made");
        let exe = PathBuf::from(exe);
        let data = base.path().join("authority");
        let home = |name: &str| {
            let home = base.path().join(name);
            std::fs::create_dir(&home).expect("a folder can be made");
            home
        };
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let public_url = format!("http://localhost:{}", address.port());
        let blank = || Holder {
            home: PathBuf::new(),
            instance: String::new(),
            key: crate::present::fresh_key(),
        };
        let desk_home = home("desk");
        home("principal");
        home("owner");
        let mut world = Self {
            exe,
            data,
            public_url,
            address,
            serve: None,
            desk: None,
            desk_url: String::new(),
            runner: blank(),
            reader: blank(),
            base,
        };
        let listen = address.to_string();
        let domain = setup.trust_domain.map(|domain| ["--trust-domain", domain]);
        let init = ["init", "--yes", "--listen", &listen];
        world.ok(&[&init[..], domain.as_ref().map_or(&[][..], |d| &d[..])].concat());
        set_options(&world.data, &setup.config);
        private(&desk_home.join("credential"), "desk-credential-canary-0123456789");
        world.start_desk(setup.quirk.unwrap_or("none"));
        world.start_serve();
        world.populate();
        world
    }

    fn populate(&mut self) {
        let base = self.base.path().to_owned();
        let path = |p: &str| base.join(p).display().to_string();
        std::fs::write(base.join("workflow.yaml"), WORKFLOW).expect("the workflow is written");
        self.ok(&["principal", "add", PRINCIPAL, "--key", &path("principal/key.json")]);
        self.ok(&["principal", "add", OWNER, "--key", &path("owner/key.json")]);
        self.ok(&["agent", "add", RUNNER, "--owner", OWNER]);
        self.ok(&["agent", "add", READER, "--owner", OWNER]);
        self.ok(&["workflow", "publish", &path("workflow.yaml")]);
        let url = self.desk_url.clone();
        let credential = path("desk/credential");
        self.ok(&["tool-server", "add", SERVER, "--url", &url, "--credential", &credential]);
        self.ok(&["tool-server", "pin", SERVER]);
        self.runner = self.instance("runner", RUNNER);
        self.reader = self.instance("reader", READER);
        self.enrol(&self.runner);
        self.enrol(&self.reader);
    }

    /// An instance with keys, not yet enrolled.
    #[must_use]
    pub fn instance(&self, name: &str, agent: &str) -> Holder {
        let home = self.base.path().join(name);
        std::fs::create_dir(&home).expect("a folder can be made");
        let (key, document) = (home.join("key.json"), home.join("enrolment.json"));
        self.ok(&[
            "instance",
            "new",
            "--agent",
            agent,
            "--owner",
            OWNER,
            "--authority",
            &self.public_url,
            "--key",
            &key.display().to_string(),
            "--out",
            &document.display().to_string(),
        ]);
        Holder::read(&home)
    }

    /// Enrols an instance.
    pub fn enrol(&self, holder: &Holder) {
        self.ok(&["instance", "enrol", &holder.document()]);
    }

    /// A file below the world's folder, as an argument.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        self.base.path().join(name).display().to_string()
    }

    /// The principal's key file.
    #[must_use]
    pub fn principal_key(&self) -> String {
        self.path("principal/key.json")
    }

    /// The key that signs roots.
    #[must_use]
    pub fn issuer_key(&self) -> SigningKey {
        key_file(&self.data.join("keys/issuer.jwk"))
    }

    /// The gateway's endpoint for the desk.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}/mcp/{SERVER}", self.public_url)
    }

    /// Starts the desk, on its old port if it had one.
    pub fn start_desk(&mut self, quirk: &str) {
        let home = self.base.path().join("desk");
        let port = self.desk_url.split(':').nth(2).and_then(|p| p.split('/').next());
        let mut command = command(&self.exe, &home);
        command
            .args(["--json", "demo", "desk", "--database", "desk.db"])
            .args(["--credential", "credential", "--quirk", quirk])
            .args(["--port", port.unwrap_or("0")]);
        let desk = Daemon::start(&mut command, &home.join("log")).expect("the desk starts");
        self.desk_url = desk.said["url"].as_str().expect("a URL").to_owned();
        self.desk = Some(desk);
    }

    /// Stops the desk.
    pub fn stop_desk(&mut self) {
        self.desk.take().expect("the desk runs").kill();
    }

    /// The command that serves this installation.
    #[must_use]
    pub fn serve_command(&self) -> Command {
        self.serve_under(&[])
    }

    /// The same, started by another program such as `env`.
    #[must_use]
    pub fn serve_under(&self, starter: &[&str]) -> Command {
        let mut command = match starter.split_first() {
            None => command(&self.exe, self.base.path()),
            Some((program, args)) => {
                let mut command = command(Path::new(program), self.base.path());
                command.args(args).arg(&self.exe);
                command
            }
        };
        command.args(["--json", "--data-dir"]).arg(&self.data).arg("serve");
        command
    }

    /// Starts authority and gateway.
    pub fn start_serve(&mut self) {
        let mut command = self.serve_command();
        self.start_serve_as(&mut command);
    }

    /// Starts authority and gateway by another command.
    pub fn start_serve_as(&mut self, command: &mut Command) {
        let log = self.base.path().join("serve.log");
        self.serve = Some(Daemon::start(command, &log).expect("serve starts"));
    }

    /// Kills authority and gateway.
    pub fn kill_serve(&mut self) {
        self.serve.take().expect("serve runs").kill();
    }

    /// Stops authority and gateway in good order.
    pub fn stop_serve(&mut self) {
        let status = self.serve.take().expect("serve runs").stop();
        assert!(status.success(), "serve ended with {status}");
    }

    /// Runs a command with `--json` on the data dir.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Answer {
        let mut command = command(&self.exe, self.base.path());
        Answer::of(command.args(["--json", "--data-dir"]).arg(&self.data).args(args))
    }

    /// Runs a command with `--json` on another data dir, such as a copy.
    #[must_use]
    pub fn run_on(&self, data: &Path, args: &[&str]) -> Answer {
        let mut command = command(&self.exe, self.base.path());
        Answer::of(command.args(["--json", "--data-dir"]).arg(data).args(args))
    }

    /// Runs a command that must succeed.
    pub fn ok(&self, args: &[&str]) -> Value {
        let answer = self.run(args);
        assert_eq!(answer.status, 0, "{args:?}: {}{}", answer.out, answer.err);
        answer.json()
    }

    /// Signs a grant with the principal's key; the chain is the runner's.
    #[must_use]
    pub fn delegate(&self, scope: &[&str], more: &[&str]) -> Chain {
        let file = self.base.path().join(format!("chain-{}.json", crate::present::fresh_id()));
        let (out, key) = (file.display().to_string(), self.principal_key());
        let mut args =
            vec!["delegate", "--agent", RUNNER, "--purpose", PURPOSE, "--key", &key, "--out", &out];
        for shorthand in scope {
            args.extend(["--scope", shorthand]);
        }
        args.extend(more);
        self.ok(&args);
        Chain::read(&file)
    }

    /// The ordinary delegation: one ticket, and reading orders.
    #[must_use]
    pub fn chain(&self) -> Chain {
        self.delegate(&["ticket:8821", "orders:read"], &[])
    }

    /// Derives a child of `chain` for `to` with the holder's own command.
    #[must_use]
    pub fn attenuate(&self, chain: &Chain, from: &Holder, to: &Holder, more: &[&str]) -> Chain {
        let file = self.base.path().join(format!("chain-{}.json", crate::present::fresh_id()));
        let (out, parent) = (file.display().to_string(), chain.path());
        let (key, document) = (from.key_file(), to.document());
        let mut args =
            vec!["attenuate", "--chain", &parent, "--key", &key, "--to", &document, "--out", &out];
        args.extend(more);
        self.ok(&args);
        Chain::read(&file)
    }

    /// Sends a call to the gateway.
    #[must_use]
    pub fn send(&self, call: &Call) -> Response {
        call.request().send(self.address).expect("the gateway answers")
    }

    /// The runner calls a tool of the ordinary kind.
    #[must_use]
    pub fn call(&self, chain: &Chain, tool: &str, arguments: Value) -> Response {
        self.send(&Call::new(chain, &self.runner.key, tool, arguments))
    }

    /// Opens a session (protocol 2025-11-25) and returns its id.
    ///
    /// # Errors
    /// The answer, when it is none.
    pub fn open_session(&self, chain: &Chain, key: &SigningKey) -> Result<String, Response> {
        let url = self.endpoint();
        let hello = json!({
            "jsonrpc": "2.0", "id": 1, "method": "initialize",
            "params": {
                "protocolVersion": SESSIONS,
                "capabilities": {},
                "clientInfo": {"name": "test", "version": "1"},
            },
        });
        let request = signed(in_session(None, &hello), chain, key, "POST", &url);
        let answer = request.send(self.address).expect("the gateway answers");
        let Some(id) = answer.header("mcp-session-id").map(str::to_owned) else {
            return Err(answer);
        };
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let request = signed(in_session(Some(&id), &ready), chain, key, "POST", &url);
        let answer = request.send(self.address).expect("the gateway answers");
        if answer.status == 202 { Ok(id) } else { Err(answer) }
    }

    /// Sends a call within a session.
    #[must_use]
    pub fn send_in(&self, session: &str, call: &Call) -> Response {
        let mut message = call.message();
        let meta = message["params"]["_meta"].as_object_mut().expect("there is a `_meta`");
        meta.retain(|name, _| name == PRESENTATION);
        in_session(Some(session), &message).send(self.address).expect("the gateway answers")
    }

    /// The calls that the desk executed, by its own log.
    #[must_use]
    pub fn executed(&self) -> Vec<LoggedCall> {
        read_call_log(&self.base.path().join("desk/desk.db")).expect("the desk keeps a log")
    }
}

/// Copies a folder with the modes of what is in it.
pub fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(status.is_ok_and(|s| s.success()), "the folder is copied");
}

/// Every file below a folder, in order.
#[must_use]
pub fn files(below: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(below).expect("the folder can be read") {
        let path = item.expect("an item").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Writes a file that only its owner reads.
pub fn private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).expect("the file is written");
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, mode).expect("the mode is set");
}
