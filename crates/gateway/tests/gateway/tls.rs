//! TLS at the listener, with real clients.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bailiwick_core::time::Timestamp;
use bailiwick_gateway::ports::Host as _;
use bailiwick_gateway::{Bounds, Tls, serve};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::certificates::{self, Key};
use crate::support::install_tls_provider;

const DAY: (i64, i64) = (-60, 86_400);

fn now() -> Timestamp {
    bailiwick_gateway::testing::SystemHost::default().now()
}

struct Server {
    address: std::net::SocketAddr,
    tls: Arc<Tls>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    async fn start(bounds: Bounds) -> Self {
        install_tls_provider();
        let key = Key::new(2);
        let certificate = certificates::server("localhost", &key, now(), DAY);
        let tls = Tls::new("localhost", certificate.as_bytes(), key.pem().as_bytes(), now());
        let tls = Arc::new(tls.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/healthz", get(|| async { "ok\n" }));
        let (with, forever) = (Some(Arc::clone(&tls)), std::future::pending());
        let serving = tokio::spawn(serve(listener, router, bounds, with, forever));
        Self { address, tls, serving }
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(certificates::authority(now()))).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }
}

async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"ok\n") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "it is closed");
    }
    String::from_utf8(answer).unwrap()
}

fn presented(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn a_client_that_trusts_the_issuer_is_served_and_another_is_not() {
    let server = Server::start(Bounds::new(16)).await;
    let url = format!("https://localhost:{}/healthz", server.address.port());
    let ca = reqwest::Certificate::from_der(&certificates::authority(now())).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([ca]).build().unwrap();
    let answer = client.get(&url).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "ok\n");
    let stranger = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    assert!(stranger.get(&url).send().await.is_err());
    // Nobody is answered in the clear.
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_the_open_ones_stay_open() {
    let server = Server::start(Bounds::new(16)).await;
    let mut before = server.connect().await;
    assert!(ask(&mut before).await.starts_with("HTTP/1.1 200"));
    let key = Key::new(3);
    let certificate = certificates::server("localhost", &key, now(), DAY);
    server.tls.replace(certificate.as_bytes(), key.pem().as_bytes(), now()).unwrap();
    assert!(ask(&mut before).await.starts_with("HTTP/1.1 200"), "the open connection goes on");
    let mut after = server.connect().await;
    assert!(ask(&mut after).await.starts_with("HTTP/1.1 200"));
    assert_ne!(presented(&before), presented(&after));
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_by_name_and_the_old_certificate_stays() {
    let server = Server::start(Bounds::new(16)).await;
    let old = presented(&server.connect().await);
    let (ours, theirs) = (Key::new(3), Key::new(4));
    let good = certificates::server("localhost", &ours, now(), DAY);
    let chain = good.repeat(9);
    for (certificate, key, code) in [
        ("", ours.pem(), "tls-certificate-malformed"),
        ("no PEM", ours.pem(), "tls-certificate-malformed"),
        (&good[..good.len() / 2], ours.pem(), "tls-certificate-malformed"),
        (&certificates::pem("CERTIFICATE", b"no DER"), ours.pem(), "tls-certificate-malformed"),
        (&chain, ours.pem(), "tls-certificate-malformed"),
        (&good, String::new(), "tls-key-malformed"),
        (&good, good.clone(), "tls-key-malformed"),
        (&good, certificates::pem("PRIVATE KEY", b"no DER"), "tls-key-mismatch"),
        (&good, theirs.pem(), "tls-key-mismatch"),
        (
            &certificates::server("localhost", &ours, now(), (-120, -60)),
            ours.pem(),
            "tls-certificate-not-valid",
        ),
        (
            &certificates::server("localhost", &ours, now(), (60, 120)),
            ours.pem(),
            "tls-certificate-not-valid",
        ),
        (
            &certificates::server("other.example", &ours, now(), DAY),
            ours.pem(),
            "tls-certificate-name",
        ),
    ] {
        let refused = server.tls.replace(certificate.as_bytes(), key.as_bytes(), now());
        let error = refused.expect_err(code);
        assert_eq!(error.code(), code, "{error}");
        assert!(!error.remedy().is_empty());
        assert_eq!(presented(&server.connect().await), old, "{code}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_shake_hands_is_cut_off_and_holds_nobody_up_for_long() {
    let handshake_timeout = Duration::from_millis(300);
    let bounds = Bounds { handshakes: 1, handshake_timeout, ..Bounds::new(16) };
    let server = Server::start(bounds).await;
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    // The first bytes of a hello, and no more.
    slow.write_all(&[0x16, 3, 1, 2, 0]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let next = async { ask(&mut server.connect().await).await };
    let next = tokio::time::timeout(Duration::from_secs(5), next).await;
    assert!(next.unwrap().starts_with("HTTP/1.1 200"));
    let mut rest = Vec::new();
    let cut = tokio::time::timeout(Duration::from_secs(1), slow.read_to_end(&mut rest)).await;
    assert!(cut.is_ok(), "the slow connection is closed");
    // Those that shook hands do not count any more.
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(server.connect().await);
    }
    for stream in &mut open {
        assert!(ask(stream).await.starts_with("HTTP/1.1 200"));
    }
}
