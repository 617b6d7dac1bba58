//! `serve` with TLS: what it starts with, and what it takes up while it runs.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_testkit::present::now;
use bailiwick_testkit::world::{command, free_port, private};
use bailiwick_testkit::{Answer, Daemon};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use self::certificates::Key;
use crate::EXE;

#[path = "../../../gateway/tests/gateway/support/certificates.rs"]
mod certificates;

const DAY: (i64, i64) = (-60, 86_400);

struct Home {
    base: tempfile::TempDir,
    data: PathBuf,
}

impl Home {
    /// An installation with a certificate for localhost.
    fn new() -> Self {
        let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let base = tempfile::tempdir().unwrap();
        let data = base.path().join("bailiwick-data");
        let port = free_port();
        let (listen, url) = (format!("127.0.0.1:{port}"), format!("https://localhost:{port}"));
        let mut init = command(Path::new(EXE), base.path());
        init.args(["init", "--yes", "--listen", &listen, "--public-url", &url]);
        let answer = Answer::of(&mut init);
        assert_eq!(answer.status, 0, "{}", answer.err);
        let home = Self { base, data };
        home.set("tls.certificate", "\"gate.pem\"");
        home.set("tls.key", "\"gate.key\"");
        home.present(2, "localhost", DAY);
        home
    }

    fn set(&self, option: &str, value: &str) {
        let file = self.data.join("bailiwick.toml");
        let text = fs::read_to_string(&file).unwrap();
        let line = format!("{option} = ");
        assert!(text.contains(&line), "{text}");
        let lines = text.lines().map(|l| match l.starts_with(&line) {
            true => format!("{line}{value}\n"),
            false => format!("{l}\n"),
        });
        fs::write(&file, lines.collect::<String>()).unwrap();
    }

    /// Writes a certificate and its key.
    fn present(&self, key: u8, host: &str, window: (i64, i64)) {
        let key = Key::new(key);
        private(&self.data.join("gate.key"), &key.pem());
        private(&self.data.join("gate.pem"), &certificates::server(host, &key, now(), window));
    }

    fn serve(&self) -> Daemon {
        let mut serve = command(Path::new(EXE), self.base.path());
        Daemon::start(serve.args(["--json", "serve"]), &self.base.path().join("log")).unwrap()
    }

    fn refused(&self, args: &[&str]) -> (i32, String) {
        let answer = Answer::of(command(Path::new(EXE), self.base.path()).args(args));
        (answer.status, answer.code())
    }
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

fn connect(serve: &Daemon) -> Stream {
    let address: SocketAddr = serve.said["listening"].as_str().unwrap().parse().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(certificates::authority(now()))).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    StreamOwned::new(connection, socket)
}

fn healthy(stream: &mut Stream) {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"ok\n") {
        let mut piece = [0; 1024];
        let n = stream.read(&mut piece).unwrap();
        assert_ne!(n, 0, "it is closed");
        answer.extend_from_slice(&piece[..n]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

fn presented(serve: &Daemon) -> Vec<u8> {
    let mut stream = connect(serve);
    healthy(&mut stream);
    stream.conn.peer_certificates().unwrap()[0].to_vec()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_renewed_certificate_is_taken_up_while_serve_runs_and_a_bad_one_is_not() {
    let home = Home::new();
    let serve = home.serve();
    let first = presented(&serve);
    let mut open = connect(&serve);
    healthy(&mut open);

    home.present(3, "localhost", DAY);
    until("the file is noticed", || presented(&serve) != first);
    let second = presented(&serve);
    healthy(&mut open);

    // Each bad pair of files is told once, and changes nothing.
    for (n, code) in [
        "tls-certificate-not-valid",
        "tls-certificate-name",
        "tls-key-mismatch",
        "tls-certificate-malformed",
        "key-permissions",
    ]
    .into_iter()
    .enumerate()
    {
        let (key, certificate) = (home.data.join("gate.key"), home.data.join("gate.pem"));
        match n {
            0 => home.present(4, "localhost", (-120, -60)),
            1 => home.present(4, "other.example", DAY),
            2 => {
                home.present(4, "localhost", DAY);
                private(&key, &Key::new(5).pem());
            }
            3 => private(&certificate, "-----BEGIN"),
            _ => fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap(),
        }
        until(code, || serve.errors().contains(code));
        assert_eq!(presented(&serve), second, "{code}");
        healthy(&mut open);
    }
    let log = serve.errors();
    assert!(!log.contains("PRIVATE KEY"), "{log}");

    // SIGHUP ends nothing.
    home.present(6, "localhost", DAY);
    serve.signal("HUP");
    until("the files are taken up again", || presented(&serve) != second);
    healthy(&mut open);
    let log = serve.errors();
    assert!(!log.contains("stopping"), "{log}");
    assert!(serve.stop().success());
}

#[test]
fn serve_does_not_start_with_a_certificate_that_cannot_be_served() {
    let home = Home::new();
    let serve = ["--json", "serve"];
    fs::remove_file(home.data.join("gate.pem")).unwrap();
    assert_eq!(home.refused(&serve), (3, "file".to_owned()));
    home.present(2, "localhost", (-120, -60));
    assert_eq!(home.refused(&serve), (3, "tls-certificate-not-valid".to_owned()));
    home.present(2, "other.example", DAY);
    assert_eq!(home.refused(&serve), (3, "tls-certificate-name".to_owned()));
    home.present(2, "localhost", DAY);
    private(&home.data.join("gate.key"), &Key::new(9).pem());
    assert_eq!(home.refused(&serve), (3, "tls-key-mismatch".to_owned()));
    home.present(2, "localhost", DAY);
    let open = fs::Permissions::from_mode(0o604);
    fs::set_permissions(home.data.join("gate.key"), open).unwrap();
    assert_eq!(home.refused(&serve), (3, "key-permissions".to_owned()));
    home.present(2, "localhost", DAY);
    home.set("tls.key", "\"\"");
    assert_eq!(home.refused(&serve), (2, "config-out-of-range".to_owned()));
    // Without TLS, and with an https name, only what a proxy needs is served.
    home.set("tls.certificate", "\"\"");
    let open = ["--json", "serve", "--listen", "0.0.0.0:0"];
    assert_eq!(home.refused(&open), (2, "listening-in-the-clear".to_owned()));
    home.set("behind_proxy", "true");
    let mut command = command(Path::new(EXE), home.base.path());
    let serve = Daemon::start(command.args(open), &home.base.path().join("log")).unwrap();
    assert_eq!(serve.said["warnings"][0]["code"], "listening-in-the-clear");
    assert!(serve.stop().success());
}
