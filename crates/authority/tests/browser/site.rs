//! An installation with its console on a port of this machine, and a client
//! that waits for its answer on another.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Html;
use axum::routing::get;
use bailiwick_authority::host::Host;
use bailiwick_authority::http::console::{Console, RecordedClients, console_router};
use bailiwick_authority::keyring::KeyRing;
use bailiwick_authority::oauth::pkce::Challenge;
use bailiwick_authority::people::roles::Role;
use bailiwick_authority::rules::agents::Provenance;
use bailiwick_authority::rules::clients::NewClient;
use bailiwick_authority::{Authority, Installation, Keys, Maker};
use bailiwick_core::crypto::{Signer as _, SigningKey};
use bailiwick_core::enrolment::IdentitySigningKey;
use bailiwick_core::ids::{AgentId, OrgId, PrincipalId};
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{ClientSource, Options, PlaintextKey, Store};
use bailiwick_svid::SvidAuthority;
use bailiwick_tlog::{LogKey, SeedSigner};
use tokio::net::TcpListener;

pub(crate) const VERIFIER: &str = "a-code-verifier-that-nobody-else-knows-0123456789";
const WORKFLOW: &str = include_str!("../../../../workflows/support-tickets.yaml");

/// This machine, whose clock a test may set forward.
#[derive(Default)]
struct RealHost(Arc<AtomicI64>);

impl Host for RealHost {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let real = i64::try_from(since.as_millis()).unwrap();
        Timestamp::from_millis(real + self.0.load(Ordering::SeqCst))
    }
    fn fill(&self, out: &mut [u8]) -> bool {
        SystemRandom::new().fill(out).is_ok()
    }
}

pub(crate) fn now() -> Timestamp {
    RealHost::default().now()
}

pub(crate) struct Site {
    _dir: tempfile::TempDir,
    clock: Arc<AtomicI64>,
    pub(crate) authority: Authority,
    pub(crate) url: String,
    callback: SocketAddr,
    answers: Arc<Mutex<Vec<String>>>,
}

pub(crate) fn key(seed: u8) -> Arc<SigningKey> {
    Arc::new(SigningKey::from_seed(&[seed; 32]).unwrap())
}

pub(crate) fn principal(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}

impl Site {
    /// With everything that a person may come across.
    pub(crate) async fn start() -> Self {
        Self::with(register).await
    }

    /// With an owner and a person, and nothing else.
    pub(crate) async fn bare() -> Self {
        Self::with(people).await
    }

    async fn with(setup: fn(&Authority)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::default();
        let authority = authority(dir.path(), &url, &clock);
        let console = Console::new(
            authority.clone(),
            Arc::new(RecordedClients(authority.clone())),
            Vec::new(),
        );
        tokio::spawn(async move { axum::serve(listener, console_router(console)).await });
        let answers = Arc::new(Mutex::new(Vec::new()));
        let waiting = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let callback = waiting.local_addr().unwrap();
        let client =
            Router::new().route("/callback", get(answered)).with_state(Arc::clone(&answers));
        tokio::spawn(async move { axum::serve(waiting, client).await });
        let site = Self { _dir: dir, clock, authority, url, callback, answers };
        site.ask(setup).await;
        site
    }

    /// Sets the installation's clock forward.
    pub(crate) fn later(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }

    /// Runs blocking work on the authority.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Authority) -> T + Send + 'static,
    ) -> T {
        let authority = self.authority.clone();
        tokio::task::spawn_blocking(move || work(&authority)).await.unwrap()
    }

    /// Publishes a checkpoint over everything that was recorded.
    pub(crate) async fn publish(&self) {
        self.ask(|a| {
            let signer = SeedSigner::new(a.installation().log_key.name(), &[4; 32]).unwrap();
            a.store().sequence(&signer).unwrap();
        })
        .await;
    }

    /// A fresh enrolment link for a principal.
    pub(crate) async fn link(&self, name: &'static str) -> String {
        let link = self.ask(move |a| a.enrolment_link(&principal(name)).unwrap()).await;
        format!("{}/enrol/{}", self.url, link.reveal())
    }

    /// The address that a client sends the browser to.
    pub(crate) fn authorize(&self, client: &str, pairs: &[(&str, &str)]) -> String {
        let challenge = Challenge::of(VERIFIER).to_string();
        let redirect = format!("http://{}/callback", self.callback);
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", client)
            .append_pair("redirect_uri", &redirect)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("state", "the client's own");
        for (name, value) in pairs {
            query.append_pair(name, value);
        }
        format!("{}/authorize?{}", self.url, query.finish())
    }

    /// The answers that the client got so far, as pairs.
    pub(crate) fn answers(&self) -> Vec<Vec<(String, String)>> {
        let answers = self.answers.lock().unwrap();
        answers
            .iter()
            .map(|query| url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
            .collect()
    }
}

async fn answered(State(answers): State<Arc<Mutex<Vec<String>>>>, uri: Uri) -> Html<&'static str> {
    answers.lock().unwrap().push(uri.query().unwrap_or_default().to_owned());
    Html("<p id=done>the client has its answer</p>")
}

/// A fresh P-256 key.
pub(crate) fn identity_document() -> Vec<u8> {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
    document.unwrap().as_ref().to_vec()
}

fn authority(dir: &std::path::Path, url: &str, clock: &Arc<AtomicI64>) -> Authority {
    let org = || OrgId::parse("default").unwrap();
    let entropy = |out: &mut [u8]| SystemRandom::new().fill(out).is_ok();
    let options = Options::new(org(), PlaintextKey::new([5; 32]), Arc::new(entropy));
    let store = Store::open(dir, options).unwrap();
    let installation = Installation {
        org: org(),
        trust_domain: "example.test".into(),
        issuer: url.to_owned(),
        issuer_key: key(1).public_key(),
        makers: vec![Maker::authority(key(2).public_key()), Maker::gateway(key(3).public_key())],
        log_key: LogKey::new("localhost/log", *key(4).public_key().as_bytes()).unwrap(),
        max_root_seconds: 3600,
        new_key_seconds: 86_400,
        limits: ChainLimits::DEFAULT,
        ring: KeyRing::default(),
    };
    let identity = IdentitySigningKey::from_pkcs8(&identity_document()).unwrap();
    let svid = IdentitySigningKey::from_pkcs8(&identity_document()).unwrap();
    let domain = &installation.trust_domain;
    let made =
        SvidAuthority::certificate_for(&svid, domain, RealHost::default().now(), [1; 16]).unwrap();
    let keys = Keys {
        issuer: key(1),
        maker: key(2),
        identity: Arc::new(identity),
        snapshot: key(5),
        svid: Arc::new(SvidAuthority::new(svid, made, Vec::new()).unwrap()),
    };
    Authority::new(store, Arc::new(RealHost(Arc::clone(clock))), installation, keys).unwrap()
}

/// An owner and a person.
fn people(a: &Authority) {
    a.init().unwrap();
    for name in ["user:owner", "user:142"] {
        a.principal_add(&principal(name), None).unwrap();
    }
    a.role_change(&principal("user:owner"), Role::Owner, true).unwrap();
}

/// Also the workflow, an agent, a client that is mapped to it and one that is
/// not.
fn register(a: &Authority) {
    people(a);
    a.workflow_publish(WORKFLOW).unwrap();
    let agent = AgentId::parse("agent:support-runner").unwrap();
    let provenance = Provenance {
        publisher: Some("Example Support GmbH".into()),
        version: Some("2.4.1".into()),
        artifact: None,
    };
    a.agent_add(&agent, &principal("user:owner"), provenance).unwrap();
    for id in ["client-1", "stranger"] {
        a.client_register(NewClient {
            id: id.into(),
            source: ClientSource::Configured,
            name: "Desk assistant".into(),
            metadata: r#"{"application_type":"native","client_name":"Desk assistant","grant_types":["authorization_code"],"redirect_uris":["http://127.0.0.1/callback"],"response_types":["code"],"token_endpoint_auth_method":"none"}"#.into(),
        })
        .unwrap();
    }
    a.client_map("client-1", &agent).unwrap();
}
