//! SVIDs of instances: what the authority issues, as OpenSSL and a peer see it,
//! and whom the Workload API of a run answers. Wiring: the binary serving, its
//! sidecars, OpenSSL.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_core::time::Timestamp;
use bailiwick_testkit::http::Request;
use bailiwick_testkit::world::{OWNER, RUNNER, command, free_port};
use bailiwick_testkit::{Answer, Daemon, World};
use bailiwick_workload::tls::Party;
use bailiwick_workload::{Client, Current};
use serde_json::Value;

use crate::EXE;

/// An instance that joined over the network, in a folder of its own.
pub(crate) struct Joined {
    pub(crate) home: PathBuf,
    pub(crate) spiffe_id: String,
    authority: String,
}

impl Joined {
    pub(crate) fn new(world: &World, name: &str) -> Self {
        let home = world.base.path().join(name);
        std::fs::create_dir(&home).unwrap();
        let invited = world.ok(&["instance", "invite", "--agent", RUNNER]);
        let token = invited["enrolment_token"].as_str().unwrap();
        let url = world.public_url.clone();
        let mut join = command(Path::new(EXE), &home);
        join.args(["--json", "instance", "join", "--authority", &url, "--token", token]);
        join.args(["--agent", RUNNER, "--owner", OWNER, "--key", "instance.key"]);
        let joined = Answer::of(&mut join).json();
        let spiffe_id = joined["spiffe_id"].as_str().unwrap().to_owned();
        Self { home, spiffe_id, authority: url }
    }

    pub(crate) fn trust_domain(&self) -> &str {
        self.spiffe_id.strip_prefix("spiffe://").unwrap().split('/').next().unwrap()
    }

    fn line(&self, more: &[&str]) -> Command {
        let mut line = command(Path::new(EXE), &self.home);
        line.args(["--json", "instance", "svid", "--authority", &self.authority]);
        line.args(["--key", "instance.key"]).args(more);
        line
    }

    /// Its SVIDs as files in a folder.
    fn svid(&self, folder: &str) -> PathBuf {
        let answer = Answer::of(&mut self.line(&["--out", folder]));
        assert_eq!(answer.status, 0, "{}{}", answer.out, answer.err);
        assert_eq!(answer.json()["spiffe_id"], self.spiffe_id.as_str());
        self.home.join(folder)
    }

    /// Serves the Workload API; gives the daemon and its endpoint.
    pub(crate) fn serve(&self, lifetime: &str) -> (Daemon, String) {
        let mut line = self.line(&["--serve", "api/workload.sock", "--lifetime", lifetime]);
        let daemon = Daemon::start(&mut line, &self.home.join("svid.log")).unwrap();
        let endpoint = daemon.said["endpoint"].as_str().unwrap().to_owned();
        (daemon, endpoint)
    }
}

fn openssl(args: &[&str], folder: &Path) -> String {
    let done = Command::new("openssl").args(args).current_dir(folder).output().unwrap();
    let out = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{args:?}: {out}{}", String::from_utf8_lossy(&done.stderr));
    out
}

fn bundle(world: &World) -> Value {
    Request::bare("GET", "/spiffe/bundle.json").send(world.address).unwrap().json()
}

fn used(bundle: &Value, purpose: &str) -> Vec<Value> {
    let keys = bundle["keys"].as_array().unwrap().iter();
    keys.filter(|k| k["use"] == purpose).cloned().collect()
}

fn verifies(folder: &Path, svid: &Path) {
    let svid = svid.display().to_string();
    for purpose in ["sslserver", "sslclient"] {
        let done = openssl(
            &["verify", "-x509_strict", "-CAfile", "bundle.pem", "-purpose", purpose, &svid],
            folder,
        );
        assert!(done.contains("OK"), "{done}");
    }
}

#[test]
fn openssl_verifies_what_is_issued_and_a_rotated_authority_stays_in_the_bundle() {
    let world = World::new(EXE);
    let joined = Joined::new(&world, "host");
    let folder = joined.svid("svid");
    verifies(&folder, &folder.join("svid.pem"));
    let text = openssl(&["x509", "-in", "svid.pem", "-noout", "-text"], &folder);
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    for expected in [
        format!("URI:{}", joined.spiffe_id),
        "CA:FALSE".to_owned(),
        "Digital Signature".to_owned(),
        "TLS Web Server Authentication, TLS Web Client Authentication".to_owned(),
        "X509v3 Key Usage: critical".to_owned(),
        "X509v3 Basic Constraints: critical".to_owned(),
    ] {
        assert!(lines.contains(&expected.as_str()), "{expected}: {text}");
    }
    assert!(!text.contains("DNS:") && lines.contains(&"Subject:"), "{text}");
    // Its end is at most ten minutes away.
    let late = Command::new("openssl")
        .args(["x509", "-in", "svid.pem", "-noout", "-checkend", "601"])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(!late.status.success(), "it lives longer than ten minutes");
    let key = openssl(&["pkey", "-in", "svid.key", "-pubout"], &folder);
    assert_eq!(key, openssl(&["x509", "-in", "svid.pem", "-noout", "-pubkey"], &folder));
    let mode = std::fs::metadata(folder.join("svid.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Every SVID is for a key of its own.
    let again = joined.svid("again");
    assert_ne!(key, openssl(&["x509", "-in", "svid.pem", "-noout", "-pubkey"], &again));

    let before = bundle(&world);
    assert_eq!((used(&before, "x509-svid").len(), used(&before, "wit-svid").len()), (1, 1));
    assert!(before["spiffe_refresh_hint"].as_i64().unwrap() > 0);
    assert!(used(&before, "x509-svid")[0]["kid"].is_null());
    let jwks = Request::bare("GET", "/jwks").send(world.address).unwrap().json();
    let x = &used(&before, "x509-svid")[0]["x"];
    assert!(!jwks["keys"].as_array().unwrap().iter().any(|k| k["x"] == *x), "{jwks}");

    world.ok(&["keys", "rotate", "svid"]);
    let until = Instant::now() + Duration::from_secs(10);
    let after = loop {
        let now = bundle(&world);
        if now["spiffe_sequence"] != before["spiffe_sequence"] {
            break now;
        }
        assert!(Instant::now() < until, "the new key is not taken up");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(after["spiffe_sequence"].as_i64() > before["spiffe_sequence"].as_i64());
    assert_eq!(used(&after, "x509-svid").len(), 2);
    let new = joined.svid("new");
    verifies(&new, &new.join("svid.pem"));
    verifies(&new, &folder.join("svid.pem"));
    assert_eq!(world.ok(&["audit", "verify"])["holds"], true);
}

#[test]
fn an_installation_of_before_gets_its_svid_key_by_itself() {
    let mut world = World::new(EXE);
    world.stop_serve();
    for file in std::fs::read_dir(world.data.join("keys")).unwrap() {
        let file = file.unwrap();
        if file.file_name().to_string_lossy().starts_with("svid") {
            std::fs::remove_file(file.path()).unwrap();
        }
    }
    assert_eq!(world.ok(&["doctor"])["ok"], true);
    world.start_serve();
    let joined = Joined::new(&world, "host");
    let folder = joined.svid("svid");
    verifies(&folder, &folder.join("svid.pem"));
}

fn now() -> Timestamp {
    bailiwick_testkit::present::now()
}

/// Two processes: OpenSSL shows the one SVID, this one the other, which it has by
/// the Workload API.
#[test]
fn two_processes_know_each_other_by_spiffe_and_share_a_channel_binding() {
    let world = World::new(EXE);
    let (a, b) = (Joined::new(&world, "a"), Joined::new(&world, "b"));
    let folder = a.svid("svid");
    let (_sidecar, endpoint) = b.serve("2m");
    let port = free_port().to_string();
    let mut server = Command::new("openssl")
        .args(["s_server", "-accept", &port, "-cert", "svid.pem", "-key", "svid.key"])
        .args(["-CAfile", "bundle.pem", "-Verify", "2", "-verify_return_error", "-naccept", "1"])
        .args(["-keymatexport", "EXPORTER-Channel-Binding", "-keymatexportlen", "32"])
        .current_dir(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.by_ref().any(|line| line == "ACCEPT"), "it does not listen");

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = Client::new(&endpoint, b.trust_domain()).unwrap();
    let rotation = runtime.block_on(client.start()).unwrap();
    let Current::Some(material) = rotation.now() else { panic!("no SVID") };
    assert_eq!(material.spiffe_id().as_str(), b.spiffe_id);
    let party = Party::new(rotation, now);
    let config = Arc::new(party.client().unwrap());
    let name = rustls::pki_types::ServerName::try_from("peer").unwrap();
    let mut connection = rustls::ClientConnection::new(config, name).unwrap();
    let mut socket = std::net::TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).unwrap();
    }
    let facts = party.facts(&connection, bailiwick_svid::Usage::Server).unwrap();
    assert_eq!(facts.peer.spiffe_id.as_str(), a.spiffe_id);
    assert!(facts.stands(now()));
    rustls::Stream::new(&mut connection, &mut socket).write_all(b"hello\n").unwrap();
    let material =
        said.by_ref().find_map(|l| Some(l.split_once("Keying material: ")?.1.to_owned()));
    let binding: String = facts.channel_binding.iter().map(|b| format!("{b:02X}")).collect();
    assert_eq!(material, Some(binding));
    connection.send_close_notify();
    let _ = connection.complete_io(&mut socket);
    drop(socket);
    let _ = server.kill();
    let _ = server.wait();
}

/// Our own client of a Workload API, in `home`.
fn fetches(home: &Path, endpoint: &str, domain: &str, out: &str) -> Answer {
    let mut line = command(Path::new(EXE), home);
    line.args(["--json", "instance", "svid", "--spiffe-socket", endpoint]);
    Answer::of(line.args(["--trust-domain", domain, "--out", out]))
}

/// A run whose program fetches its SVID and waits to be told to end.
fn run(world: &World, isolation: &[&str], domain: &str) -> (std::process::Child, PathBuf) {
    let work = world.base.path().join(format!("work{}", isolation.len()));
    std::fs::create_dir(&work).unwrap();
    let script = format!(
        "echo \"$SPIFFE_ENDPOINT_SOCKET\" > socket; ({EXE} --json instance svid --spiffe-socket \
         \"$SPIFFE_ENDPOINT_SOCKET\" --trust-domain {domain} --out got > out.json 2> err; \
         echo $? > status); until test -e go; do sleep 0.1; done"
    );
    let mut line = command(Path::new(EXE), &work);
    line.arg("--json").arg("--data-dir").arg(&world.data);
    line.args(["run", "--agent", RUNNER, "--task", "t", "--scope", "ticket:8821"]);
    line.args(["--key", &world.principal_key(), "--workload-api"]).args(isolation);
    line.args(["--", "sh", "-c", &script]).stderr(Stdio::piped());
    let running = line.spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while std::fs::read_to_string(work.join("status")).is_ok_and(|s| s.ends_with('\n')).eq(&false) {
        assert!(Instant::now() < until, "the program does not run");
        std::thread::sleep(Duration::from_millis(50));
    }
    (running, work)
}

fn ends(mut running: std::process::Child, work: &Path) -> String {
    std::fs::write(work.join("go"), "").unwrap();
    let mut err = String::new();
    running.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert!(running.wait().unwrap().success(), "{err}");
    err
}

fn read(work: &Path, name: &str) -> String {
    std::fs::read_to_string(work.join(name)).unwrap_or_default().trim().to_owned()
}

#[test]
fn only_what_run_started_gets_an_svid() {
    let world = World::new(EXE);
    let joined = Joined::new(&world, "host");
    let domain = joined.trust_domain();
    let (running, work) = run(&world, &["--isolation", "none"], domain);
    assert_eq!(read(&work, "status"), "0", "{}", read(&work, "err"));
    let got: Value = serde_json::from_str(&read(&work, "out.json")).unwrap();
    let id = got["spiffe_id"].as_str().unwrap();
    assert!(id.starts_with(&format!("spiffe://{domain}/agent/support-runner/")), "{id}");
    let socket = read(&work, "socket");
    let path = Path::new(socket.strip_prefix("unix://").unwrap()).to_owned();
    let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    // A process of the same user that the run did not start.
    let outside = fetches(&joined.home, &socket, domain, "stolen");
    assert_eq!((outside.status, outside.code().as_str()), (1, "workload-api-refused"));
    assert!(!joined.home.join("stolen").exists());
    // Another user does not even reach the socket.
    if rustix::process::geteuid().is_root() {
        let mut other = Command::new("setpriv");
        other.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--", EXE, "--json"]);
        other.args(["instance", "svid", "--spiffe-socket", &socket, "--trust-domain", domain]);
        let other = other.env("HOME", "/").current_dir("/").output().unwrap();
        assert!(!other.status.success() && !String::from_utf8_lossy(&other.stdout).contains(id));
    }
    let said = ends(running, &work);
    assert!(said.contains("\"workload_api\":\"ancestry\""), "{said}");
    assert!(!path.exists(), "the socket goes with its run");
    // In namespaces of its own the program has the same.
    let seen = Path::new(EXE).parent().unwrap().display().to_string();
    let isolated = ["--isolation", "namespaces", "--read", &seen];
    let (running, work) = run(&world, &isolated, domain);
    assert_eq!(read(&work, "status"), "0", "{}", read(&work, "err"));
    assert_eq!(read(&work, "socket"), "unix:///run/bailiwick/workload.sock");
    ends(running, &work);
}

#[test]
fn a_socket_that_others_can_reach_is_not_made() {
    let world = World::new(EXE);
    let joined = Joined::new(&world, "host");
    let open = joined.home.join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
    let refused = Answer::of(&mut joined.line(&["--serve", "open/workload.sock"]));
    assert_eq!((refused.status, refused.code().as_str()), (3, "socket-folder-open"));
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(open.join("workload.sock"), "").unwrap();
    let refused = Answer::of(&mut joined.line(&["--serve", "open/workload.sock"]));
    assert_eq!((refused.status, refused.code().as_str()), (3, "socket-exists"));
}

#[test]
fn connect_serves_the_workload_api_beside_its_tool_server() {
    let world = World::new(EXE);
    let chain = world.chain();
    let (url, key) = (world.endpoint(), world.runner.key_file());
    let file = chain.path();
    let mut line = command(Path::new(EXE), world.base.path());
    line.args(["--json", "connect", &url, "--chain", &file, "--key", &key]);
    line.args(["--listen", "127.0.0.1:0", "--workload-api", "private/workload.sock"]);
    let mut connected = line.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(connected.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let socket = world.base.path().join("private/workload.sock");
    let endpoint = format!("unix://{}", socket.display());
    let domain = Joined::new(&world, "other").trust_domain().to_owned();
    let got = fetches(world.base.path(), &endpoint, &domain, "got").json();
    let expected = format!("/agent/support-runner/{}", world.runner.instance);
    assert!(got["spiffe_id"].as_str().unwrap().ends_with(&expected), "{got}");
    // Its SVIDs are of its trust domain only.
    let none = fetches(world.base.path(), &endpoint, "other.example", "none");
    assert_eq!((none.status, none.code().as_str()), (1, "workload-api-other-domain"));
    connected.kill().unwrap();
    connected.wait().unwrap();
}
