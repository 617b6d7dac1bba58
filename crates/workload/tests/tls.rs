//! TLS between two parties in one process, over memory: the bytes that each side
//! writes are given to the other.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests fail by panicking and read the clock"
)]

use std::sync::Arc;

use bailiwick_core::crypto::P256SigningKey;
use bailiwick_core::time::Timestamp;
use bailiwick_svid::{Leaf, SpiffeId, SvidAuthority, Usage};
use bailiwick_workload::tls::{Facts, Party};
use bailiwick_workload::{Bundle, Current, Issued, Key, Material, Rotation};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection};
use tokio::sync::watch;

fn at(seconds: i64) -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_seconds(i64::try_from(since.as_secs()).unwrap() + seconds)
}

struct Domain {
    name: &'static str,
    authority: SvidAuthority,
    certificate: Vec<u8>,
}

impl Domain {
    fn new(name: &'static str) -> Self {
        let key = P256SigningKey::from_pkcs8(Key::fresh().unwrap().pkcs8()).unwrap();
        let certificate = SvidAuthority::certificate_for(&key, name, at(-5), [3; 16]).unwrap();
        let authority = SvidAuthority::new(key, certificate.clone(), Vec::new()).unwrap();
        Self { name, authority, certificate }
    }

    fn material(&self, agent: &str, seconds: i64) -> Material {
        let key = Key::fresh().unwrap();
        let public = bailiwick_svid::requested_key(&key.request().unwrap()).unwrap();
        let id = SpiffeId::parse(&format!("spiffe://{}/agent/{agent}/01", self.name)).unwrap();
        let not_after = at(seconds);
        let made = at(seconds.min(0) - 1);
        let leaf = Leaf { spiffe_id: &id, key: &public, now: made, not_after, serial: [5; 16] };
        let issued = Issued {
            spiffe_id: id.to_string(),
            chain: vec![self.authority.issue(&leaf).unwrap()],
            wit: None,
            seconds: 600,
            not_after,
            bundle: self.bundle(),
        };
        Material::new(key, issued).unwrap()
    }

    fn bundle(&self) -> Bundle {
        Bundle { sequence: 1, x509: vec![self.certificate.clone()], wit: String::new() }
    }

    fn party(&self, agent: &str, seconds: i64) -> (Arc<Party>, watch::Sender<Current>) {
        let (to, from) = watch::channel(Current::Some(Arc::new(self.material(agent, seconds))));
        (Party::new(Rotation::of(from), || at(0)), to)
    }
}

/// Both sides' facts, or the first error.
fn meet(client: &Arc<Party>, server: &Arc<Party>) -> Result<(Facts, Facts), String> {
    let name = ServerName::try_from("peer").unwrap();
    let mut c = ClientConnection::new(Arc::new(client.client().unwrap()), name).unwrap();
    let mut s = ServerConnection::new(Arc::new(server.server().unwrap())).unwrap();
    for _ in 0..8 {
        let mut wire = Vec::new();
        while c.wants_write() {
            c.write_tls(&mut wire).unwrap();
        }
        s.read_tls(&mut wire.as_slice()).unwrap();
        s.process_new_packets().map_err(|e| format!("server: {e}"))?;
        let mut wire = Vec::new();
        while s.wants_write() {
            s.write_tls(&mut wire).unwrap();
        }
        c.read_tls(&mut wire.as_slice()).unwrap();
        c.process_new_packets().map_err(|e| format!("client: {e}"))?;
    }
    assert!(!c.is_handshaking() && !s.is_handshaking());
    assert_eq!(c.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    let of_server = client.facts(&c, Usage::Server).map_err(|e| e.to_string())?;
    let of_client = server.facts(&s, Usage::Client).map_err(|e| e.to_string())?;
    Ok((of_server, of_client))
}

#[test]
fn two_parties_know_each_other_and_share_what_nobody_else_knows() {
    let domain = Domain::new("desk.example");
    let ((a, _to_a), (b, to_b)) = (domain.party("a", 60), domain.party("b", 60));
    let (of_b, of_a) = meet(&a, &b).unwrap();
    assert_eq!(of_b.peer.spiffe_id.as_str(), "spiffe://desk.example/agent/b/01");
    assert_eq!(of_a.peer.spiffe_id.as_str(), "spiffe://desk.example/agent/a/01");
    assert_eq!(of_a.channel_binding, of_b.channel_binding);
    assert!(of_a.stands(at(0)) && !of_a.stands(at(61)), "an SVID's end is the peer's");
    let (again, _) = meet(&a, &b).unwrap();
    assert_ne!(again.channel_binding, of_b.channel_binding, "every connection has its own");
    // What is rotated is shown with the next connection.
    to_b.send_replace(Current::Some(Arc::new(domain.material("b", 120))));
    let (rotated, _) = meet(&a, &b).unwrap();
    assert_ne!(rotated.peer.key, of_b.peer.key);
    assert!(rotated.peer.not_after > of_b.peer.not_after);
    // Who was revoked shows nothing.
    to_b.send_replace(Current::Refused("revoked".into()));
    assert!(meet(&a, &b).is_err());
}

#[test]
fn who_has_run_out_or_is_of_an_unknown_trust_domain_is_nobody() {
    let domain = Domain::new("desk.example");
    let (a, _to_a) = domain.party("a", 60);
    let (late, _to_late) = domain.party("late", -10);
    assert!(meet(&a, &late).is_err() && meet(&late, &a).is_err());
    let other = Domain::new("other.example");
    let (b, _to_b) = other.party("b", 60);
    assert!(meet(&a, &b).is_err());
    // One side's trust is not the other's.
    a.federate("other.example", &other.bundle().x509).unwrap();
    assert!(meet(&a, &b).is_err());
    b.federate("desk.example", &domain.bundle().x509).unwrap();
    let (of_b, _) = meet(&a, &b).unwrap();
    assert_eq!(of_b.peer.spiffe_id.trust_domain(), "other.example");
    // Nobody puts another bundle in the place of one's own.
    assert!(a.federate("desk.example", &other.bundle().x509).is_err());
    a.federate("other.example", &[]).unwrap();
    assert!(meet(&a, &b).is_err());
    // An impostor domain of the same name has another authority.
    let fake = Domain::new("desk.example");
    let (mallory, _to_mallory) = fake.party("a", 60);
    assert!(meet(&a, &mallory).is_err() && meet(&mallory, &a).is_err());
}

#[test]
fn a_client_without_a_certificate_and_one_of_tls_1_2_are_refused() {
    let domain = Domain::new("desk.example");
    let ((a, to_a), (b, _to_b)) = (domain.party("a", 60), domain.party("b", 60));
    to_a.send_replace(Current::Refused("revoked".into()));
    assert!(meet(&a, &b).unwrap_err().starts_with("client:"), "it knows no bundle either");
    let config = b.server().unwrap();
    assert_eq!(config.send_tls13_tickets, 0);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let old = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("peer").unwrap();
    let mut c = ClientConnection::new(Arc::new(old), name).unwrap();
    let mut s = ServerConnection::new(Arc::new(config)).unwrap();
    let mut wire = Vec::new();
    c.write_tls(&mut wire).unwrap();
    s.read_tls(&mut wire.as_slice()).unwrap();
    assert!(s.process_new_packets().is_err());
}
