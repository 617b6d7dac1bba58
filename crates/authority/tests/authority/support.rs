//! A small world: one installation on a real store in a temporary folder, a
//! clock that tests move, keys of everybody.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use bailiwick_authority::host::Host;
use bailiwick_authority::keyring::KeyRing;
use bailiwick_authority::rules::agents::Provenance;
use bailiwick_authority::rules::delegations::{Issued, Prepared};
use bailiwick_authority::standing::StandingReader;
use bailiwick_authority::{Authority, Installation, Keys, Maker, PrepareOptions, Refusal};
use bailiwick_core::aat::make::{self, Content, ProofFor, Seen};
use bailiwick_core::aat::verify::{
    Anchors, Call, Context, ProofPolicy, Unverified, Verified, verify,
};
use bailiwick_core::accountable::{Accountable, Inputs, Registry};
use bailiwick_core::crypto::{P256SigningKey, Signer, SigningKey, sha256};
use bailiwick_core::denial::Denial;
use bailiwick_core::enrolment::{IdentitySigningKey, Statement};
use bailiwick_core::grant::Request;
use bailiwick_core::ids::{AgentId, InstanceId, OrgId, PrincipalId, uuid_v7};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::{ChainLimits, JsonLimits};
use bailiwick_core::time::Timestamp;
use bailiwick_store::{AuditInput, Instance, Options, PlaintextKey, Store, audit};
use bailiwick_svid::SvidAuthority;
use bailiwick_tlog::{LogKey, SeedSigner};

pub(crate) const URL: &str = "http://localhost:4000";
pub(crate) const GET_ORDER: &str = "mcp:support-desk:tools/get_order";
pub(crate) const WORKFLOW: &str = include_str!("../../../../workflows/support-tickets.yaml");

pub(crate) struct TestHost {
    now: AtomicI64,
    drawn: AtomicU64,
}

impl TestHost {
    pub(crate) fn advance(&self, millis: i64) {
        self.now.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Host for TestHost {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }
    fn fill(&self, out: &mut [u8]) -> bool {
        for chunk in out.chunks_mut(32) {
            let n = self.drawn.fetch_add(1, Ordering::SeqCst);
            let bytes = sha256(&n.to_be_bytes());
            chunk.copy_from_slice(&bytes.bytes()[..chunk.len()]);
        }
        true
    }
}

pub(crate) fn key(seed: u8) -> Arc<SigningKey> {
    Arc::new(SigningKey::from_seed(&[seed; 32]).unwrap())
}

pub(crate) fn json(text: &str) -> Json {
    Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap()
}

pub(crate) fn principal(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}

pub(crate) fn agent(name: &str) -> AgentId {
    AgentId::parse(name).unwrap()
}

pub(crate) struct World {
    dir: tempfile::TempDir,
    pub(crate) host: Arc<TestHost>,
    pub(crate) authority: Authority,
    pub(crate) anchors: Anchors,
    /// The identity keys of what was enrolled, by the seed of the holder key.
    identities: Mutex<BTreeMap<u8, Vec<u8>>>,
}

/// Everybody's seeds: issuer 1, authority 2, gateway 3, log 4, snapshots 6.
pub(crate) fn installation() -> Installation {
    Installation {
        org: OrgId::parse("default").unwrap(),
        trust_domain: "example.test".into(),
        issuer: URL.into(),
        issuer_key: key(1).public_key(),
        makers: vec![Maker::authority(key(2).public_key()), Maker::gateway(key(3).public_key())],
        log_key: LogKey::new("localhost:4000/log", *key(4).public_key().as_bytes()).unwrap(),
        ring: KeyRing::default(),
        max_root_seconds: 3600,
        new_key_seconds: 86_400,
        limits: ChainLimits::DEFAULT,
    }
}

/// A key that signs SVIDs, with its certificate.
pub(crate) fn svid_authority() -> Arc<SvidAuthority> {
    svid_authority_of(identity())
}

pub(crate) fn svid_authority_of(key: IdentitySigningKey) -> Arc<SvidAuthority> {
    let now = Timestamp::from_seconds(1_700_000_000);
    let made = SvidAuthority::certificate_for(&key, "example.test", now, [1; 16]).unwrap();
    Arc::new(SvidAuthority::new(key, made, Vec::new()).unwrap())
}

pub(crate) fn keys() -> Keys {
    Keys {
        issuer: key(1),
        maker: key(2),
        identity: Arc::new(identity()),
        snapshot: key(6),
        svid: svid_authority(),
    }
}

impl World {
    /// An installation whose log has not begun.
    pub(crate) fn bare() -> Self {
        Self::of(installation())
    }

    /// The same under other names.
    pub(crate) fn of(installation: Installation) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host =
            Arc::new(TestHost { now: AtomicI64::new(1_767_225_600_000), drawn: AtomicU64::new(0) });
        let counter = AtomicU64::new(0);
        let entropy = move |out: &mut [u8]| {
            for chunk in out.chunks_mut(32) {
                let n = counter.fetch_add(1, Ordering::SeqCst);
                let bytes = sha256(format!("store {n}").as_bytes());
                chunk.copy_from_slice(&bytes.bytes()[..chunk.len()]);
            }
            true
        };
        let options = Options::new(
            OrgId::parse("default").unwrap(),
            PlaintextKey::new([5; 32]),
            Arc::new(entropy),
        );
        let store = Store::open(dir.path(), options).unwrap();
        let host_port: Arc<dyn Host> = Arc::clone(&host) as _;
        let authority = Authority::new(store, host_port, installation, keys()).unwrap();
        let anchors = Anchors::new(vec![(URL.to_owned(), key(1).public_key())]).unwrap();
        Self { dir, host, authority, anchors, identities: Mutex::default() }
    }

    /// What an audit finds wrong with all of it, once it is published.
    pub(crate) fn findings(&self) -> Vec<String> {
        let installation = self.authority.installation();
        let signer = SeedSigner::new(installation.log_key.name(), &[4; 32]).unwrap();
        self.authority.store().sequence(&signer).unwrap();
        let makers = |id: &str, _| {
            let known = installation.makers.iter().find(|maker| maker.id == id);
            known.map(|maker| maker.key)
        };
        let report = audit(&AuditInput {
            dir: self.dir.path(),
            org: installation.org.clone(),
            log_key: &installation.log_key,
            makers: &makers,
            since: None,
            plaintext_key: Some(PlaintextKey::new([5; 32])),
            files_only: false,
        });
        let findings = report.unwrap().findings;
        findings.into_iter().map(|found| format!("{}: {}", found.code, found.detail)).collect()
    }

    /// The support desk: owner, user 142, the workflow, two agents with an
    /// instance each (keys 21 and 22).
    pub(crate) fn desk() -> Self {
        Self::desk_under(WORKFLOW)
    }

    /// The same under another version of the workflow.
    pub(crate) fn desk_under(workflow: &str) -> Self {
        let world = Self::bare();
        let a = &world.authority;
        a.init().unwrap();
        for (name, seed) in [("user:owner", 10), ("user:142", 11), ("user:143", 12)] {
            a.principal_add(&principal(name), Some(&key(seed).public_key().to_jwk())).unwrap();
        }
        a.workflow_publish(workflow).unwrap();
        for (name, seed) in [("agent:support-runner", 21), ("agent:order-reader", 22)] {
            let owner = principal("user:owner");
            a.agent_add(&agent(name), &owner, Provenance::default()).unwrap();
            world.enrol(name, seed).unwrap();
        }
        world
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.host.now()
    }

    pub(crate) fn statement(
        &self,
        name: &str,
        seed: u8,
        identity: &IdentitySigningKey,
    ) -> Statement {
        Statement {
            instance: InstanceId::mint(self.now(), [seed; 10]),
            agent: agent(name),
            owner: principal("user:owner"),
            audience: URL.into(),
            made_at: self.now(),
            holder: key(seed).public_key(),
            identity: identity.public_key(),
            isolation: bailiwick_core::guarantee::Isolation::Unstated,
        }
    }

    pub(crate) fn enrol(&self, name: &str, seed: u8) -> Result<Instance, Refusal> {
        let document = identity_document();
        let identity = IdentitySigningKey::from_pkcs8(&document).unwrap();
        self.identities.lock().unwrap().insert(seed, document);
        let statement = self.statement(name, seed, &identity);
        self.authority.instance_enrol(&statement.sign(&*key(seed), &identity).unwrap())
    }

    /// The identity key of the instance with this holder key.
    pub(crate) fn identity_of(&self, seed: u8) -> IdentitySigningKey {
        IdentitySigningKey::from_pkcs8(&self.identities.lock().unwrap()[&seed]).unwrap()
    }

    /// Gives the identity key of one instance to another holder key.
    pub(crate) fn keep_identity(&self, seed: u8, of: u8) {
        let mut kept = self.identities.lock().unwrap();
        let document = kept[&of].clone();
        kept.insert(seed, document);
    }

    /// The request of the seed example, for `minutes` from now.
    pub(crate) fn request(&self, scope: &[&str], minutes: i64) -> Request {
        Request {
            principal: principal("user:142"),
            agent: agent("agent:support-runner"),
            scope: scope.iter().map(|s| (*s).to_owned()).collect(),
            expires_at: self.now().plus_seconds(minutes * 60),
            purpose: "resolve support ticket".into(),
            workflow: None,
        }
    }

    pub(crate) fn prepare(&self, request: &Request) -> Result<Prepared, Refusal> {
        self.authority.prepare(request, &PrepareOptions::default())
    }

    /// Prepares, signs with user 142's key, submits.
    pub(crate) fn delegate(&self) -> Issued {
        let request = self.request(&["ticket:8821", "orders:read"], 15);
        let prepared = self.prepare(&request).unwrap();
        let signed = prepared.statement.sign(&*key(11));
        self.authority.submit(&prepared, &signed, None).unwrap()
    }

    pub(crate) fn registry(&self) -> StandingReader {
        self.authority.registry(None)
    }

    /// A child of `parent` for the key of `to`, signed by the key of `from`.
    pub(crate) fn derive(&self, parent: &str, from: u8, to: u8) -> String {
        let seen = Seen::parse(parent, &ChainLimits::DEFAULT).unwrap();
        let content = Content {
            jti: self.jti(),
            now: self.now(),
            exp: seen.exp,
            nbf: None,
            holder: key(to).public_key(),
            scope: seen.scope,
            max_depth: seen.max_depth,
            aud: vec![],
            budget: Object::new(),
        };
        make::derive(parent, &content, &*key(from), &ChainLimits::DEFAULT).unwrap()
    }

    pub(crate) fn jti(&self) -> String {
        let mut random = [0; 10];
        self.host.fill(&mut random);
        uuid_v7(self.now(), random)
    }

    /// A call with a fresh proof by the key of `holder`, as a gateway judges it.
    pub(crate) fn call(&self, chain: &[&str], holder: u8) -> Result<Verified<Accountable>, Denial> {
        self.call_at(&self.registry(), chain, holder)
    }

    pub(crate) fn call_at(
        &self,
        registry: &dyn Registry,
        chain: &[&str],
        holder: u8,
    ) -> Result<Verified<Accountable>, Denial> {
        let arguments = Object::new().with("order_id", 1u64);
        let audience = format!("{URL}/mcp");
        let jti = self.jti();
        let proof = ProofFor {
            jti: &jti,
            now: self.now(),
            tool: GET_ORDER,
            arguments: &arguments,
            audience: Some(&audience),
            nonce: None,
        };
        let proof =
            make::prove(chain.last().unwrap(), &proof, &*key(holder), &ChainLimits::DEFAULT)
                .unwrap();
        let context = Context {
            now: self.now(),
            anchors: &self.anchors,
            audiences: &[audience],
            require_chain_audience: true,
            proof: ProofPolicy { require_audience: true, ..ProofPolicy::default() },
            limits: &ChainLimits::DEFAULT,
        };
        let call = Call { tool: GET_ORDER, arguments: &arguments };
        let inputs = Inputs { registry, staleness_bound: 10 };
        let unverified = Unverified::parse(chain, &ChainLimits::DEFAULT)?;
        verify::<Accountable>(&unverified, &proof, &call, &context, inputs)
    }

    /// The code of the denial of such a call; `allow` if there is none.
    pub(crate) fn verdict(&self, chain: &[&str], holder: u8) -> &'static str {
        match self.call(chain, holder) {
            Ok(_) => "allow",
            Err(denial) => denial.reason.code(),
        }
    }

    /// The kinds of all entries, in order.
    pub(crate) fn kinds(&self) -> Vec<String> {
        let read = self.authority.store().read(|view| view.tail(0, 1000));
        let entries: Result<_, bailiwick_store::StoreError> = read;
        entries.unwrap().into_iter().map(|e| e.kind).collect()
    }

    pub(crate) fn log_size(&self) -> u64 {
        let read: Result<_, bailiwick_store::StoreError> =
            self.authority.store().read(|view| view.log_size());
        read.unwrap()
    }
}

/// A fresh key on P-256, as PKCS #8.
pub(crate) fn identity_document() -> Vec<u8> {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    document.as_ref().to_vec()
}

pub(crate) fn identity() -> IdentitySigningKey {
    IdentitySigningKey::from_pkcs8(&identity_document()).unwrap()
}

/// The key of an identity provider.
pub(crate) fn provider_key() -> P256SigningKey {
    P256SigningKey::from_pkcs8(&identity_document()).unwrap()
}

/// The code of a refusal.
pub(crate) fn code<T: std::fmt::Debug>(outcome: Result<T, Refusal>) -> &'static str {
    let refusal = outcome.unwrap_err();
    assert!(!refusal.remedy().is_empty() && !refusal.to_string().is_empty());
    refusal.code()
}
