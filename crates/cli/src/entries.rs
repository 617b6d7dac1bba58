//! What is written by the composition root itself, byte for byte: derived
//! tokens as the journal notes them, a tool that changed, a reading of texts.
//! Fixed clock, key and random bytes; the store is a real one.

#[path = "../../core/tests/entries/golden.rs"]
mod golden;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bailiwick_core::crypto::{Signer as _, SigningKey, sha256};
use bailiwick_core::ids::{ActionId, AgentId, ApprovalId, EntryId, InstanceId, OrgId, ServerName};
use bailiwick_core::json::Object;
use bailiwick_core::ledger::{Event, Kind, Subjects};
use bailiwick_core::time::Timestamp;
use bailiwick_gateway::ports::{Derivation, Journal as _, PinMismatch};
use bailiwick_store::{Options, PlaintextKey, Store, StoreError};

use crate::ports::{CurrentMaker, Maker, StoreJournal, note_derived, tool_changed, voided};
use crate::verbs::evidence::plaintext_read;
use crate::verbs::policy::replayed;
use golden::Golden;

fn key() -> SigningKey {
    SigningKey::from_seed(&[3; 32]).unwrap()
}

fn maker() -> Maker {
    Maker { id: "gateway:golden".into(), key: Arc::new(key()) }
}

fn org() -> OrgId {
    OrgId::parse("default").unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_seconds(1_767_225_660)
}

fn store(dir: &tempfile::TempDir) -> Store {
    let drawn = AtomicU64::new(0);
    let entropy = move |out: &mut [u8]| {
        for chunk in out.chunks_mut(32) {
            let n = drawn.fetch_add(1, Ordering::SeqCst);
            chunk.copy_from_slice(&sha256(&n.to_be_bytes()).bytes()[..chunk.len()]);
        }
        true
    };
    let key = PlaintextKey::new([5; 32]);
    Store::open(dir.path(), Options::new(org(), key, Arc::new(entropy))).unwrap()
}

/// A denial, with a child and a grandchild of one root.
fn denial(action: u8) -> (Event, Vec<Derivation>) {
    let id = EntryId::mint(now(), [action; 10]);
    let derivation = |n: u8, depth: u32, agent: &str, seconds: i64| Derivation {
        token: sha256(&[n]),
        parent: sha256(&[n - 1]),
        root: sha256(&[1]),
        depth,
        holder: SigningKey::from_seed(&[n; 32]).unwrap().public_key().thumbprint(),
        agent: AgentId::parse(agent).unwrap(),
        instance: InstanceId::mint(now(), [n; 10]),
        expires: Timestamp::from_seconds(1_767_226_200 - seconds),
    };
    let derived = vec![derivation(2, 1, "agent:reader", 0), derivation(3, 2, "agent:runner", 60)];
    let subjects = Subjects {
        principal: Some("018cc251-f400-4000-8000-000000000001".into()),
        agent: Some("agent:runner".into()),
        instance: Some(derived[1].instance.to_string()),
        workflow: Some("tickets".into()),
        task: Some("018cc251-f400-7000-8000-000000000002".into()),
        grant: Some("018cc251-f400-7000-8000-000000000003".into()),
        delegation: Some(derived[1].token.to_string()),
        action: Some(ActionId::parse(id.as_str()).unwrap().to_string()),
        tool: Some("mcp:desk:tools/get_ticket".into()),
        decision: Some("deny".into()),
        reason: Some("argument-not-delegated".into()),
        ..Subjects::default()
    };
    let event = Event {
        id,
        org: org(),
        time: now(),
        kind: Kind::ActionDecided,
        subjects,
        body: Object::new(),
        disclosures: Vec::new(),
    };
    (event, derived)
}

/// The entries of a kind, as they lie in the store.
fn written(store: &Store, kind: Kind) -> Vec<Golden> {
    let entries = store.read(|view| -> Result<_, StoreError> { view.tail(0, 1000) }).unwrap();
    entries
        .into_iter()
        .filter(|e| e.kind == kind.as_str())
        .map(|entry| Golden {
            kind: entry.kind,
            maker: entry.maker,
            key: key().public_key().to_jwk(),
            leaf: String::from_utf8(entry.leaf).unwrap(),
            disclosures: Vec::new(),
        })
        .collect()
}

#[test]
fn the_composition_root_writes_the_golden_entries() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let (event, mut derived) = denial(1);
    derived.truncate(1);
    store
        .write(move |tx| note_derived(tx, &maker(), &event, &derived, &|| Ok([7; 10])))
        .wait()
        .unwrap();
    let mismatch = PinMismatch {
        server: ServerName::parse("desk").unwrap(),
        operation: "tools/get_ticket".into(),
        pinned: Some(sha256(b"pinned")),
        found: Some(sha256(b"found")),
        definition: None,
        why: None,
    };
    let changed = tool_changed(&mismatch, &org(), now(), [8; 10]);
    let read = ActionId::mint(now(), [1; 10]);
    let read = plaintext_read(&read, &org(), now(), [9; 10]);
    let replay = replayed(sha256(b"bundle"), &org(), now(), [10; 10]);
    let question = ApprovalId::mint(now(), [2; 10]);
    let void = voided(&question, &denial(1).0, [11; 10]);
    for event in [changed, read, replay, void] {
        let maker = maker();
        store
            .write(move |tx| -> Result<(), StoreError> {
                tx.append(&maker.id, &*maker.key, event).map(|_| ())
            })
            .wait()
            .unwrap();
    }
    for kind in [Kind::DelegationSeen, Kind::ToolChanged, Kind::PlaintextRead, Kind::ApprovalVoided]
    {
        golden::check(kind.as_str(), &written(&store, kind)[0]);
    }
    golden::check("plaintext.read+replay", &written(&store, Kind::PlaintextRead)[1]);
}

#[test]
fn a_derived_token_gets_one_entry_with_its_own_end_however_often_it_is_denied() {
    let dir = tempfile::tempdir().unwrap();
    let journal = StoreJournal {
        store: store(&dir),
        maker: CurrentMaker::new(maker()),
        issuer: "http://x".into(),
        ceilings: Arc::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for action in 1..4 {
        let (event, derived) = denial(action);
        runtime.block_on(journal.record_denial(event, derived)).unwrap();
    }
    assert_eq!(written(&journal.store, Kind::ActionDecided).len(), 3);
    let seen = written(&journal.store, Kind::DelegationSeen);
    assert_eq!(seen.len(), 2);
    let (_, derived) = denial(1);
    for (entry, derived) in seen.iter().zip(&derived) {
        let row = journal.store.read(|view| view.derived(&derived.token)).unwrap().unwrap().row;
        assert_eq!(row.expires, derived.expires);
        assert_eq!(
            (row.parent, row.root, row.depth),
            (derived.parent, derived.root, derived.depth)
        );
        // The entry names who holds that token, not who called.
        assert!(entry.leaf.contains(&format!("\"agent\":\"{}\"", derived.agent)), "{}", entry.leaf);
    }
    assert_ne!(derived[0].expires, derived[1].expires);
}
