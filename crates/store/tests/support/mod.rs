//! What the tests share: a data dir, a clock that is a number, random bytes
//! from a counter, and one of each record.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bailiwick_core::crypto::{Digest, Signer as _, SigningKey, sha256};
use bailiwick_core::ids::{
    ActionId, AgentId, Alias, EntryId, GrantId, InstanceId, OrgId, PrincipalId, ServerName, TaskId,
    ToolId, WorkflowId,
};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Disclosure, Event, Kind, Subjects};
use bailiwick_core::time::Timestamp;
use bailiwick_store::{
    Agent, Appended, AuditInput, Delegation, Derived, Entropy, Faults, Grant, IdentityMode,
    Injected, Instance, Options, Pin, PinStatus, PlaintextKey, Principal, Report, Row, Status,
    Step, Store, StoreError, Task, TokenForm, ToolServer, Tx, Workflow, audit,
};
use bailiwick_tlog::SeedSigner;

pub const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
pub const MAKER: &str = "authority:1";

static COUNTER: AtomicU64 = AtomicU64::new(1);

/// Bytes that never repeat in one process, nor between two.
pub fn bytes<const N: usize>() -> [u8; N] {
    let n = COUNTER.fetch_add(1, Ordering::Relaxed);
    let digest = sha256(format!("{}-{n}", std::process::id()).as_bytes());
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(digest.bytes()) {
        *to = *from;
    }
    out
}

pub fn entropy() -> Arc<dyn Entropy> {
    Arc::new(|out: &mut [u8]| {
        for chunk in out.chunks_mut(32) {
            chunk.copy_from_slice(&bytes::<32>()[..chunk.len()]);
        }
        true
    })
}

pub fn org() -> OrgId {
    OrgId::parse("default").unwrap()
}

pub fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32]).unwrap()
}

pub fn digest(text: &str) -> Digest {
    sha256(text.as_bytes())
}

pub fn options() -> Options {
    Options::new(org(), PlaintextKey::new([5; 32]), entropy())
}

/// Faults that a test sets while the store runs.
#[derive(Default)]
pub struct Script(pub Mutex<Vec<(Step, Injected)>>);

impl Script {
    /// Fails once at each of these steps.
    pub fn set(&self, faults: &[(Step, Injected)]) {
        *self.0.lock().unwrap() = faults.to_vec();
    }
}

impl Faults for Script {
    fn at(&self, step: Step) -> Option<Injected> {
        let mut faults = self.0.lock().unwrap();
        let at = faults.iter().position(|(s, _)| *s == step)?;
        Some(faults.remove(at).1)
    }
}

pub struct Fixture {
    _dir: tempfile::TempDir,
    pub path: PathBuf,
    pub store: Store,
    pub script: Arc<Script>,
}

pub fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let script = Arc::new(Script::default());
    let options = Options { faults: script.clone(), ..options() };
    let store = Store::open(&path, options).unwrap();
    Fixture { _dir: dir, path, store, script }
}

pub fn reopen(path: &Path) -> Store {
    Store::open(path, options()).unwrap()
}

/// Sequences what is there and audits the whole.
pub fn audited(path: &Path) -> Report {
    let log = SeedSigner::new("example.com/log", &[3; 32]).unwrap();
    reopen(path).sequence(&log).unwrap();
    let public = key().public_key();
    audit(&AuditInput {
        dir: path,
        org: org(),
        log_key: log.key(),
        makers: &|maker, _| (maker == MAKER).then_some(public),
        since: None,
        plaintext_key: None,
        files_only: false,
    })
    .unwrap()
}

pub fn event(kind: Kind) -> Event {
    Event {
        id: EntryId::mint(NOW, bytes()),
        org: org(),
        time: NOW,
        kind,
        subjects: Subjects::default(),
        body: Object::new(),
        disclosures: Vec::new(),
    }
}

pub fn secret_event(secret: &str) -> Event {
    let disclosure = Disclosure { salt: bytes(), value: Json::from(secret) };
    Event { disclosures: vec![("purpose".into(), disclosure)], ..event(Kind::TaskCreated) }
}

pub fn decided(action: &ActionId, decision: &str) -> Event {
    let subjects = Subjects {
        action: Some(action.to_string()),
        decision: Some(decision.to_owned()),
        agent: Some("agent:runner".to_owned()),
        ..Subjects::default()
    };
    Event { subjects, ..event(Kind::ActionDecided) }
}

pub fn completed(action: &ActionId, outcome: &str) -> Event {
    let subjects = Subjects {
        action: Some(action.to_string()),
        reason: Some(outcome.to_owned()),
        ..Subjects::default()
    };
    Event { subjects, ..event(Kind::ActionCompleted) }
}

pub fn action() -> ActionId {
    ActionId::mint(NOW, bytes())
}

pub fn append(store: &Store, event: Event) -> Result<Appended, StoreError> {
    store.write(move |tx: &mut Tx<'_>| tx.append(MAKER, &key(), event)).wait()
}

pub fn erase(store: &Store, entries: &[EntryId]) -> Result<Appended, StoreError> {
    let entries = entries.to_vec();
    let erased =
        move |tx: &mut Tx<'_>| tx.erase(MAKER, &key(), event(Kind::PlaintextErased), &entries);
    store.write(erased).wait()
}

pub fn record(store: &Store, kind: Kind, row: Row) -> Result<Appended, StoreError> {
    store.write(move |tx: &mut Tx<'_>| tx.record(MAKER, &key(), event(kind), &row)).wait()
}

/// One of each record, fitting together.
pub struct World {
    pub alias: Alias,
    pub agent: AgentId,
    pub instance: Instance,
    pub workflow: Workflow,
    pub server: ServerName,
    pub tool: ToolId,
    pub task: Task,
    pub grant: Grant,
    pub delegation: Delegation,
    pub derived: Derived,
    pub entries: Vec<Appended>,
}

pub fn world(store: &Store) -> World {
    let alias = Alias::mint(NOW, bytes());
    let agent = AgentId::parse("agent:runner").unwrap();
    let holder = key().public_key().thumbprint();
    let later = NOW.plus_seconds(900);
    let instance = Instance {
        id: InstanceId::mint(NOW, bytes()),
        agent: agent.clone(),
        holder,
        holder_jwk: "{\"kty\":\"OKP\"}".into(),
        identity_jwk: "{\"kty\":\"EC\"}".into(),
        statement: "signed statement".into(),
        status: Status::Active,
    };
    let workflow = Workflow {
        id: WorkflowId::parse("support").unwrap(),
        digest: digest("workflow"),
        document: "owner: ops".into(),
        published: NOW,
    };
    let server = ServerName::parse("desk").unwrap();
    let tool = ToolId::parse("mcp:desk:tools/get_ticket").unwrap();
    let task = Task {
        id: TaskId::mint(NOW, bytes()),
        workflow: workflow.id.clone(),
        workflow_digest: workflow.digest,
        agent: agent.clone(),
        principal: alias.clone(),
        created: NOW,
    };
    let grant = Grant {
        id: GrantId::mint(NOW, bytes()),
        digest: digest("grant"),
        task: task.id.clone(),
        agent: agent.clone(),
        principal: alias.clone(),
        attested: false,
        starts: NOW,
        expires: later,
        statement: "the statement".into(),
        proof: "the proof".into(),
        account: None,
    };
    let delegation = Delegation {
        root: digest("root"),
        grant: grant.id.clone(),
        task: task.id.clone(),
        agent: agent.clone(),
        holder,
        issued: NOW,
        expires: later,
        form: TokenForm::Aat,
        client: None,
        status_index: None,
        guarantee: bailiwick_core::guarantee::Guarantee::Key,
        token: "a.b.c".into(),
    };
    let derived = Derived {
        token: digest("derived"),
        parent: delegation.root,
        root: delegation.root,
        depth: 1,
        holder,
        seen: NOW,
        expires: later,
    };
    let rows = [
        (
            Kind::PrincipalAdded,
            Row::Principal(Principal {
                alias: alias.clone(),
                issuer: Some("local".into()),
                id: Some(PrincipalId::parse("user:142").unwrap()),
                jwk: Some("{}".into()),
                status: Status::Active,
            }),
        ),
        (
            Kind::AgentAdded,
            Row::Agent(Agent {
                id: agent.clone(),
                owner: alias.clone(),
                status: Status::Active,
                publisher: Some("acme".into()),
                version: None,
                artifact: Some(digest("artifact")),
            }),
        ),
        (Kind::InstanceEnrolled, Row::Instance(instance.clone())),
        (Kind::WorkflowPublished, Row::Workflow(workflow.clone())),
        (
            Kind::ToolServerAdded,
            Row::ToolServer(ToolServer {
                name: server.clone(),
                url: "http://127.0.0.1:1/mcp".into(),
                credential: Some("env:DESK".into()),
                identity_mode: IdentityMode::Shared,
                status: Status::Active,
            }),
        ),
        (
            Kind::ToolPinned,
            Row::Pin(Pin {
                tool: tool.clone(),
                digest: digest("definition"),
                definition: "{\"name\":\"get_ticket\"}".into(),
                status: PinStatus::Pinned,
                pinned: NOW,
            }),
        ),
        (Kind::TaskCreated, Row::Task(task.clone())),
        (Kind::GrantRecorded, Row::Grant(grant.clone())),
        (Kind::DelegationIssued, Row::Delegation(delegation.clone())),
        (Kind::DelegationSeen, Row::Derived(derived.clone())),
    ];
    let entries = rows.into_iter().map(|(kind, row)| record(store, kind, row).unwrap()).collect();
    World {
        alias,
        agent,
        instance,
        workflow,
        server,
        tool,
        task,
        grant,
        delegation,
        derived,
        entries,
    }
}
