//! An installation in this process, with its console on a port of this machine.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use bailiwick_authority::host::Host;
use bailiwick_authority::http::console::{Console, RecordedClients, console_router};
use bailiwick_authority::keyring::KeyRing;
use bailiwick_authority::people::sessions::{Method, Secret, Session};
use bailiwick_authority::{Authority, Installation, Keys, Maker};
use bailiwick_core::crypto::{Signer as _, SigningKey, base64url};
use bailiwick_core::enrolment::IdentitySigningKey;
use bailiwick_core::ids::{OrgId, PrincipalId};
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Options, PlaintextKey, Store, StoreError, Ticket};
use bailiwick_svid::SvidAuthority;
use bailiwick_testkit::present::now;
use bailiwick_tlog::{LogKey, SeedSigner};

use crate::Failure;

/// Who looks at the pages.
pub(super) const OWNER: &str = "user:owner";
const ORIGIN: &str = "localhost/log";

/// A clock that can be set back while months are filled in.
#[derive(Debug, Default)]
struct Clock(AtomicI64);

impl Host for Clock {
    fn now(&self) -> Timestamp {
        now().plus_seconds(self.0.load(Ordering::Relaxed))
    }
    fn fill(&self, out: &mut [u8]) -> bool {
        getrandom::fill(out).is_ok()
    }
}

/// The installation.
pub(super) struct Site {
    pub(super) authority: Authority,
    clock: Arc<Clock>,
    address: SocketAddr,
}

pub(super) fn key(seed: u8) -> Result<Arc<SigningKey>, Failure> {
    Ok(Arc::new(SigningKey::from_seed(&[seed; 32])?))
}

/// A fresh key on P-256.
pub(super) fn identity() -> Result<IdentitySigningKey, Failure> {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
    let document = document.map_err(|_| "a key on P-256 can be made")?;
    Ok(IdentitySigningKey::from_pkcs8(document.as_ref())?)
}

impl Site {
    /// Nobody is registered yet.
    pub(super) fn start(dir: &Path, runtime: &tokio::runtime::Runtime) -> Result<Self, Failure> {
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let (authority, clock) = authority(dir, &url(address))?;
        let clients = Arc::new(RecordedClients(authority.clone()));
        let console = Console::new(authority.clone(), clients, Vec::new());
        runtime.spawn(async move { axum::serve(listener, console_router(console)).await });
        Ok(Self { authority, clock, address })
    }

    /// The public URL.
    pub(super) fn url(&self) -> String {
        url(self.address)
    }

    /// Sets the clock so many seconds back; 0: the time that it is.
    pub(super) fn set_back(&self, seconds: i64) {
        self.clock.0.store(-seconds, Ordering::Relaxed);
    }

    /// Entries on record.
    pub(super) fn size(&self) -> Result<u64, Failure> {
        Ok(self.authority.store().read(|view| view.log_size()).map_err(|e: StoreError| e)?)
    }

    /// Publishes a checkpoint over everything.
    pub(super) fn publish(&self) -> Result<(), Failure> {
        self.authority.store().sequence(&SeedSigner::new(ORIGIN, &[4; 32])?)?;
        Ok(())
    }

    /// The owner's session; what the cookie holds.
    pub(super) fn session(&self) -> Result<String, Failure> {
        let alias = self.authority.principal(&PrincipalId::parse(OWNER)?)?.row.alias;
        let text = base64url(&[42; 32]);
        let secret = Secret::parse(&text).ok_or("32 bytes are a secret")?;
        let session = Session::begin(alias, Method::Passkey, now());
        let ticket = Ticket {
            kind: "session",
            key: secret.hash(),
            family: session.principal.to_string(),
            value: session.to_json().canonical(),
            expires: session.expires(),
        };
        self.authority
            .store()
            .write(move |tx| -> Result<(), StoreError> { tx.keep_ticket(&ticket) })
            .wait()?;
        Ok(text)
    }

    /// Status and body of a page.
    pub(super) fn get(&self, path: &str, session: &str) -> Result<(u16, String), Failure> {
        let mut stream = TcpStream::connect(self.address)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: bailiwick={session}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("an answer has a head")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.ok_or("an answer has a status")?, body.to_owned()))
    }
}

fn url(address: SocketAddr) -> String {
    format!("http://localhost:{}", address.port())
}

fn authority(dir: &Path, url: &str) -> Result<(Authority, Arc<Clock>), Failure> {
    let org = OrgId::parse("default")?;
    let entropy = |out: &mut [u8]| getrandom::fill(out).is_ok();
    let options = Options::new(org.clone(), PlaintextKey::new([5; 32]), Arc::new(entropy));
    let store = Store::open(dir, options)?;
    let (maker, gateway) = (key(2)?, key(3)?);
    let installation = Installation {
        org,
        trust_domain: "example.test".into(),
        issuer: url.to_owned(),
        issuer_key: key(1)?.public_key(),
        makers: vec![Maker::authority(maker.public_key()), Maker::gateway(gateway.public_key())],
        log_key: LogKey::new(ORIGIN, *key(4)?.public_key().as_bytes())?,
        ring: KeyRing::default(),
        max_root_seconds: 3600,
        new_key_seconds: 86_400,
        limits: ChainLimits::DEFAULT,
    };
    let svid = identity()?;
    let domain = &installation.trust_domain;
    let made = SvidAuthority::certificate_for(&svid, domain, now(), [1; 16])?;
    let keys = Keys {
        issuer: key(1)?,
        maker,
        identity: Arc::new(identity()?),
        snapshot: key(5)?,
        svid: Arc::new(SvidAuthority::new(svid, made, Vec::new())?),
    };
    let clock = Arc::new(Clock::default());
    let host: Arc<dyn Host> = Arc::clone(&clock) as _;
    Ok((Authority::new(store, host, installation, keys)?, clock))
}
