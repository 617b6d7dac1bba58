//! Durable entries: the store beside bare SQLite.

use std::path::Path;
use std::sync::Arc;

use bailiwick_core::crypto::{SigningKey, sha256};
use bailiwick_core::ids::{Alias, EntryId, GrantId, InstanceId, OrgId, TaskId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Disclosure, Event, Kind, MakerPosition, Subjects};
use bailiwick_store::{Options, PlaintextKey, Store, StoreError};
use bailiwick_testkit::present::now;
use rusqlite::Connection;

use crate::Failure;
use crate::fixture::{AUDIENCE, Presentation, TOOL, arguments, key};
use crate::machine::Machine;
use crate::measure::{Plan, Side, turns};
use crate::place::Place;
use crate::report::{Comparison, Report};

const BARE: &str = "bare SQLite, the leaf's bytes alone";
const MAKER: &str = "gateway:1";

const ABOUT: &str = "one entry, durable (fsync) before it is acknowledged: an `action.decided` \
with its texts. `bailiwick` is handed so many units of work at once and all are awaited; each is \
signed by its maker, chained, indexed for queries, its texts encrypted beside it. Bare SQLite \
(WAL, synchronous=FULL) inserts the bytes of the same leaf under a primary key, so many in one \
transaction. `sealed` only makes and signs the entry.";

pub(crate) fn report(plan: &Plan, place: &Place) -> Result<Report, Failure> {
    let mut comparisons = Vec::new();
    for together in [1, 16, 256] {
        comparisons.push(comparison(plan, place, together)?);
    }
    Ok(Report { figure: "ledger", about: ABOUT, machine: Machine::here(), comparisons })
}

fn comparison(plan: &Plan, place: &Place, together: u32) -> Result<Comparison, Failure> {
    let folder = place.folder()?;
    let entries = Entries::new()?;
    let leaf = entries.leaf()?;
    let store = Store::open(&folder.path().join("data"), options()?)?;
    let mut bare = Bare::open(&folder.path().join("bare.db"))?;
    let mut sides = [
        Side::of(BARE, together, || bare.insert(&leaf, together).is_ok()),
        Side::of("bailiwick", together, || entries.append(&store, together).is_ok()),
        Side::of("sealed, kept nowhere", together, || {
            (0..together).all(|_| entries.leaf().is_ok())
        }),
    ];
    let timings = turns(plan, &mut sides, BARE)?;
    let (bytes, texts) = (leaf.len(), entries.texts());
    let title = format!(
        "{together} at a time, on {}; leaf of {bytes} bytes, texts of {texts}",
        place.file_system()
    );
    Ok(Comparison { title, against: BARE, timings })
}

fn options() -> Result<Options, Failure> {
    let entropy = |out: &mut [u8]| getrandom::fill(out).is_ok();
    let org = OrgId::parse("default")?;
    Ok(Options::new(org, PlaintextKey::new([5; 32]), Arc::new(entropy)))
}

/// Ten random bytes for an id.
fn random() -> [u8; 10] {
    let mut bytes = [0; 10];
    // Without entropy ids repeat, and then the store refuses the entry.
    let _ = getrandom::fill(&mut bytes);
    bytes
}

/// SQLite and nothing else.
struct Bare {
    connection: Connection,
    next: i64,
}

impl Bare {
    fn open(file: &Path) -> Result<Self, Failure> {
        let connection = Connection::open(file)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             CREATE TABLE leaves (idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL) STRICT;",
        )?;
        Ok(Self { connection, next: 0 })
    }

    fn insert(&mut self, leaf: &[u8], times: u32) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let sql = "INSERT INTO leaves (idx, leaf) VALUES (?1, ?2)";
            let mut insert = transaction.prepare_cached(sql)?;
            for _ in 0..times {
                insert.execute((self.next, leaf))?;
                self.next += 1;
            }
        }
        transaction.commit()
    }
}

/// Decisions of the kind that the gateway records, each with fresh ids.
struct Entries {
    template: Event,
    signer: Arc<SigningKey>,
}

impl Entries {
    fn new() -> Result<Self, Failure> {
        Ok(Self { template: decision()?, signer: Arc::new(key(7)?) })
    }

    fn fresh(&self) -> Event {
        let time = now();
        let mut event = self.template.clone();
        event.id = EntryId::mint(time, random());
        event.time = time;
        event.subjects.action = Some(event.id.to_string());
        event
    }

    /// The bytes of one entry, signed.
    fn leaf(&self) -> Result<Vec<u8>, Failure> {
        Ok(self.fresh().seal(MAKER, MakerPosition::START, &*self.signer)?.bytes)
    }

    /// Bytes of the texts that one entry commits to.
    fn texts(&self) -> usize {
        self.template.disclosures.iter().map(|(_, d)| d.to_json().canonical().len()).sum()
    }

    /// Hands in so many entries at once and waits for all.
    fn append(&self, store: &Store, times: u32) -> Result<(), StoreError> {
        let unit = |_| {
            let (event, signer) = (self.fresh(), Arc::clone(&self.signer));
            store.write(move |tx| tx.append(MAKER, &*signer, event))
        };
        let handed_in: Vec<_> = (0..times).map(unit).collect();
        handed_in.into_iter().try_for_each(|pending| pending.wait().map(|_| ()))
    }
}

/// An allowed call with all that its entry says and commits to.
fn decision() -> Result<Event, Failure> {
    let presented = Presentation::accountable(1)?;
    let time = now();
    let instance = InstanceId::mint(time, random());
    let digest = |text: &str| sha256(text.as_bytes()).to_string();
    let texts = |items: &[String]| items.iter().map(|t| Json::from(t.as_str())).collect::<Vec<_>>();
    let subjects = Subjects {
        principal: Some(Alias::mint(time, random()).to_string()),
        agent: Some("agent:support-runner".to_owned()),
        instance: Some(instance.to_string()),
        workflow: Some("support-tickets".to_owned()),
        task: Some(TaskId::mint(time, random()).to_string()),
        grant: Some(GrantId::mint(time, random()).to_string()),
        delegation: Some(digest("delegation")),
        tool: Some(TOOL.to_owned()),
        decision: Some("allow".to_owned()),
        ..Subjects::default()
    };
    let disclosures = [
        ("arguments", Json::from(arguments())),
        ("action", Json::from(stated(&digest).with("arguments", arguments()))),
        ("chain", Json::Array(texts(&presented.tokens))),
        ("proof", Json::from(presented.proof.as_str())),
        ("inputs", Json::from(stated(&digest).with("standing", stated(&digest)))),
    ];
    Ok(Event {
        id: EntryId::mint(time, random()),
        org: OrgId::parse("default")?,
        time,
        kind: Kind::ActionDecided,
        subjects,
        body: stated(&digest).with("instance", &instance).with("action_digest", digest("action")),
        disclosures: disclosures
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Disclosure { salt: [9; 32], value }))
            .collect(),
    })
}

/// Members as a decision has them.
fn stated(digest: &dyn Fn(&str) -> String) -> Object {
    Object::new()
        .with("server", "support-desk")
        .with("pin", digest("pin"))
        .with("root", digest("root"))
        .with("assurance", "arguments")
        .with("guarantee", "key")
        .with("not_after", 1_800_000_840_i64)
        .with("staleness_ms", 12_u64)
        .with("workflow_digest", digest("workflow"))
        .with("grant_digest", digest("grant"))
        .with("audience", AUDIENCE)
        .with("enforcement", "gateway")
        .with("rule", "level-bounded")
        .with("risk", "low")
}
