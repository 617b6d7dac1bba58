//! The ledger from outside: what an auditor with the command, a copy of the
//! data dir and a checkpoint finds; who may read it; and what never stands in
//! it.

use std::fs;
use std::path::{Path, PathBuf};

use bailiwick_core::crypto::from_base64url;
use bailiwick_testkit::http::Request;
use bailiwick_testkit::world::{PRINCIPAL, RUNNER, command, copy, files};
use bailiwick_testkit::{Answer, Setup, World};
use bailiwick_tlog::{RightEdge, SeedSigner};
use serde_json::{Value, json};

use crate::EXE;

fn ticket() -> Value {
    json!({"ticket_id": 8821})
}

/// A world with some calls in its ledger.
fn lived() -> World {
    let world = World::new(EXE);
    let chain = world.chain();
    world.assert_allowed(&world.call(&chain, "get_ticket", ticket()), "ok");
    let other = json!({"ticket_id": 9000});
    world.assert_denied(&world.call(&chain, "get_ticket", other), "argument-not-delegated");
    world
}

/// A copy of the data dir under another name.
fn copied(world: &World, name: &str) -> PathBuf {
    let to = world.base.path().join(name);
    copy(&world.data, &to);
    to
}

/// What `audit verify` says of a data dir.
fn audit(world: &World, data: &Path, more: &[&str]) -> (i32, Value) {
    let args = [&["audit", "verify"], more].concat();
    let answer = world.run_on(data, &args);
    (answer.status, answer.json())
}

fn codes(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|f| f["code"].as_str().unwrap()).collect()
}

fn database(data: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(data.join("state.db")).unwrap()
}

pub(crate) fn leaves(data: &Path) -> Vec<Vec<u8>> {
    let database = database(data);
    let mut query = database.prepare("SELECT leaf FROM entries ORDER BY idx").unwrap();
    query.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Replaces tiles and checkpoint by those that `leaves` imply, signed with the
/// log's own key: what a dishonest operator can do.
fn rebuild_tiles(data: &Path, leaves: &[Vec<u8>]) {
    let ledger = data.join("ledger");
    let old = fs::read_to_string(ledger.join("checkpoint")).unwrap();
    let origin = old.lines().next().unwrap();
    let jwk: Value =
        serde_json::from_str(&fs::read_to_string(data.join("keys/log.jwk")).unwrap()).unwrap();
    let seed = from_base64url(jwk["d"].as_str().unwrap()).unwrap();
    let signer = SeedSigner::new(origin, &seed.try_into().unwrap()).unwrap();
    fs::remove_dir_all(ledger.join("tile")).unwrap();
    let plan = RightEdge::empty().append(leaves).unwrap();
    for file in plan.files() {
        let path = ledger.join(file.id.to_string());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &file.bytes).unwrap();
    }
    let note = signer.sign(&plan.checkpoint(origin).unwrap()).unwrap().to_string();
    fs::write(ledger.join("checkpoint"), &note).unwrap();
    let sql = "UPDATE checkpoint SET size = ?1, note = ?2";
    database(data).execute(sql, (i64::try_from(leaves.len()).unwrap(), note.as_bytes())).unwrap();
}

#[test]
fn a_flipped_byte_anywhere_in_a_copied_data_dir_is_found() {
    let mut world = lived();
    world.stop_serve();
    let (status, report) = audit(&world, &world.data, &[]);
    assert_eq!((status, &report["holds"]), (0, &json!(true)), "{report}");
    let size = report["entries"].as_u64().unwrap();
    assert!(size > 10, "{report}");

    // The files in force: the checkpoint and the tiles of its size.
    let mut tried = 0;
    let all = files(&world.data.join("ledger"));
    let in_force = |p: &PathBuf| {
        p.ends_with("checkpoint") || p.file_name().is_some_and(|n| *n == *size.to_string())
    };
    for file in all.iter().filter(|p| in_force(p)) {
        let name = file.strip_prefix(&world.data).unwrap();
        let length = fs::metadata(file).unwrap().len();
        for at in [0, length / 3, length / 2, length - 2] {
            let data = copied(&world, &format!("flipped-{tried}"));
            let mut bytes = fs::read(data.join(name)).unwrap();
            bytes[usize::try_from(at).unwrap()] ^= 1;
            fs::write(data.join(name), bytes).unwrap();
            let (status, report) = audit(&world, &data, &[]);
            assert_eq!(status, 1, "byte {at} of {}: {report}", name.display());
            assert_eq!(report["holds"], false);
            assert!(!codes(&report).is_empty(), "{report}");
            fs::remove_dir_all(&data).unwrap();
            tried += 1;
        }
    }
    assert!(tried >= 12, "checkpoint, hashes and entries: {tried}");

    // The state: an entry's leaf, a column beside it, a text, a key of a text.
    let flip = |sql: &str| {
        let data = copied(&world, "edited");
        let changed = database(&data).execute(sql, []).unwrap();
        assert!(changed > 0, "{sql}");
        let (status, report) = audit(&world, &data, &[]);
        assert_eq!(status, 1, "{sql}: {report}");
        fs::remove_dir_all(&data).unwrap();
        report
    };
    let report = flip(
        "UPDATE entries SET leaf = CAST(REPLACE(CAST(leaf AS TEXT), '\"allow\"', '\"alloW\"') AS BLOB)
         WHERE decision = 'allow'",
    );
    let index = report["first_bad_entry"].as_u64().unwrap();
    assert_eq!(world.ok(&["audit", "show", &index.to_string()])["decision"], "allow");
    flip("UPDATE entries SET decision = 'allow', reason = NULL WHERE decision = 'deny'");
    flip("UPDATE entries SET time = time + 1 WHERE idx = 3");
    flip("UPDATE sealed SET ciphertext = zeroblob(length(ciphertext)) WHERE rowid = 5");
    flip("UPDATE sealed SET key = zeroblob(length(key)) WHERE rowid = 5");
    flip("DELETE FROM sealed WHERE rowid = 5");
    // And what is projected from them.
    flip("UPDATE agents SET status = 'suspended'");
    flip("UPDATE instances SET holder = zeroblob(32) WHERE rowid = 1");
    flip("UPDATE actions SET outcome = 'unknown'");
    flip("UPDATE tool_servers SET url = 'http://127.0.0.1:9/mcp'");
    flip("DELETE FROM entries WHERE idx = (SELECT MAX(idx) FROM entries)");
}

#[test]
fn an_edit_is_found_also_when_every_tile_was_made_anew() {
    let mut world = lived();
    world.ok(&["audit", "checkpoint", "--save", &world.path("kept")]);
    world.stop_serve();
    let rewritten = |name: &str, edit: &dyn Fn(&str) -> String| {
        let data = copied(&world, name);
        let mut all = leaves(&data);
        let at = all.iter().position(|l| String::from_utf8_lossy(l).contains("\"deny\"")).unwrap();
        all[at] = edit(&String::from_utf8(all[at].clone()).unwrap()).into_bytes();
        let sql = "UPDATE entries SET leaf = ?1 WHERE idx = ?2";
        database(&data).execute(sql, (&all[at], i64::try_from(at).unwrap())).unwrap();
        rebuild_tiles(&data, &all);
        (data, at)
    };
    let (data, at) = rewritten("edited", &|l| l.replace("\"deny\"", "\"allow\""));
    let (status, report) = audit(&world, &data, &[]);
    assert_eq!(status, 1);
    assert_eq!(report["first_bad_entry"], at, "{report}");
    assert!(codes(&report).contains(&"entry-bad-signature"), "{report}");
    let kept = world.path("kept");
    let (status, report) = audit(&world, &data, &["--since", &kept]);
    assert_eq!(status, 1);
    assert!(codes(&report).contains(&"tlog-root-differs"), "{report}");
    // The tiles made anew from the true entries are the same tiles.
    let (data, _) = rewritten("same", &str::to_owned);
    assert_eq!(audit(&world, &data, &["--since", &kept]).0, 0);
}

#[test]
fn a_tail_cut_off_is_found_by_a_checkpoint_kept_elsewhere() {
    let mut world = lived();
    world.stop_serve();
    let older = copied(&world, "older");
    world.start_serve();
    let chain = world.chain();
    world.assert_allowed(&world.call(&chain, "get_ticket", ticket()), "ok");
    let saved = world.ok(&["audit", "checkpoint", "--save", &world.path("kept")]);
    let kept = world.path("kept");
    assert!(saved["checkpoint"].as_str().unwrap().contains("/ledger/"), "{saved}");
    world.stop_serve();
    // By itself yesterday's state is without fault.
    assert_eq!(audit(&world, &older, &[]).0, 0);
    let (status, report) = audit(&world, &older, &["--since", &kept]);
    assert_eq!(status, 1);
    assert!(codes(&report).contains(&"tlog-shrunk"), "{report}");
    // The true ledger continues what was kept, and still does as it grows.
    let (status, report) = audit(&world, &world.data, &["--since", &kept]);
    assert_eq!((status, &report["consistent_since"]), (0, &saved["entries"]), "{report}");
    world.start_serve();
    world.assert_allowed(&world.call(&chain, "get_ticket", ticket()), "ok");
    world.ok(&["audit", "checkpoint"]);
    let (status, report) = audit(&world, &world.data, &["--since", &kept]);
    assert_eq!(status, 0, "{report}");
    assert!(report["entries"].as_u64() > report["consistent_since"].as_u64(), "{report}");
    // A checkpoint file is not written over.
    assert_eq!(world.run(&["audit", "checkpoint", "--save", &kept]).status, 3);
}

/// Everything in a data dir that is kept, by name.
fn kept(data: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let passing = |p: &PathBuf| p.extension().is_some_and(|e| e == "db-shm" || e == "db-wal");
    let all = files(data).into_iter().filter(|p| !passing(p));
    all.map(|p| (p.clone(), fs::read(&p).unwrap())).collect()
}

#[test]
fn verification_signs_and_publishes_nothing() {
    let mut world = lived();
    world.stop_serve();
    // Durable, and not yet under a checkpoint.
    world.ok(&["principal", "add", "user:late", "--key", &world.path("late.json")]);
    let before = kept(&world.data);
    let (status, report) = audit(&world, &world.data, &[]);
    assert_eq!((status, &report["pending"]), (0, &json!(1)), "{report}");
    assert!(kept(&world.data) == before, "the data dir changed");
    // The same of one that does not hold.
    let data = copied(&world, "edited");
    database(&data).execute("UPDATE entries SET decision = 'allow'", []).unwrap();
    let before = kept(&data);
    assert_eq!(audit(&world, &data, &[]).0, 1);
    assert!(kept(&data) == before, "the edited data dir changed");
}

/// Runs the binary so that modes bind, also for root.
fn bound_by_modes(args: &[&str]) -> Answer {
    let mut command = std::process::Command::new("setpriv");
    let root = std::process::Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if root {
        command.arg("--bounding-set=-dac_override,-dac_read_search,-fowner");
    }
    Answer::of(command.arg(EXE).args(args))
}

fn modes(change: &str, data: &Path) {
    let status = std::process::Command::new("chmod").args(["-R", change]).arg(data).status();
    assert!(status.unwrap().success(), "the modes are set");
}

#[test]
fn a_read_only_copy_is_verified_as_well() {
    let mut world = lived();
    // Killed: what is newest lies in the write-ahead log.
    world.kill_serve();
    let killed = copied(&world, "killed");
    let _ = fs::remove_file(killed.join("state.db-shm"));
    assert!(fs::metadata(killed.join("state.db-wal")).unwrap().len() > 0);
    world.start_serve();
    world.stop_serve();
    let stopped = copied(&world, "stopped");
    for data in [killed, stopped] {
        let path = data.display().to_string();
        let edited = copied(&world, "edited");
        modes("a-w", &data);
        let denied = bound_by_modes(&["--json", "principal", "list", "--data-dir", &path]);
        assert_eq!(denied.status, 3, "it can be written: {}{}", denied.out, denied.err);
        let answer = bound_by_modes(&["--json", "audit", "verify", "--data-dir", &path]);
        modes("u+w", &data);
        assert_eq!(answer.status, 0, "{}{}", answer.out, answer.err);
        let report = answer.json();
        assert_eq!(report["examined"], "data-dir");
        assert!(report["texts"].as_u64() > Some(10), "{report}");
        // Nor does a read-only one that was edited pass.
        database(&edited).execute("UPDATE sealed SET key = zeroblob(60)", []).unwrap();
        let path = edited.display().to_string();
        modes("a-w", &edited);
        let answer = bound_by_modes(&["--json", "audit", "verify", "--data-dir", &path]);
        modes("u+w", &edited);
        assert_eq!(answer.status, 1, "{}{}", answer.out, answer.err);
        fs::remove_dir_all(&edited).unwrap();
    }
}

#[test]
fn an_outsider_verifies_with_tiles_trust_file_and_checkpoint_alone() {
    let mut world = lived();
    let (trust, since) = (world.path("trust.json"), world.path("kept"));
    world.ok(&["keys", "trust", "-o", &trust]);
    world.ok(&["audit", "checkpoint", "--save", &since]);
    let chain = world.chain();
    world.assert_allowed(&world.call(&chain, "get_ticket", ticket()), "ok");
    world.stop_serve();
    // Elsewhere: no key, no configuration, no state.
    let away = tempfile::tempdir().unwrap();
    let tiles = away.path().join("tiles");
    copy(&world.data.join("ledger"), &tiles);
    let at = |path: &Path, trust: &str| {
        let mut outside = command(Path::new(EXE), away.path());
        outside.args(["--json", "audit", "verify", "--ledger"]).arg(path);
        Answer::of(outside.args(["--trust", trust, "--since", &since]))
    };
    let holds = at(&tiles, &trust);
    assert_eq!(holds.status, 0, "{}{}", holds.out, holds.err);
    let report = holds.json();
    assert_eq!((&report["examined"], &report["trust"]), (&json!("ledger"), &json!("file")));
    assert!(report["entries"].as_u64() > report["consistent_since"].as_u64(), "{report}");
    assert_eq!(report["makers"].as_object().unwrap().len(), 2, "{report}");
    assert_eq!(files(away.path()), files(&tiles), "nothing was written");
    // Somebody else's keys, a folder that is none, one without a checkpoint.
    let other = World::new(EXE);
    let theirs = other.path("trust.json");
    other.ok(&["keys", "trust", "-o", &theirs]);
    assert_eq!(at(&tiles, &theirs).status, 1);
    let none = at(&away.path().join("none"), &trust);
    assert_eq!((none.status, none.code().as_str()), (2, "no-ledger"));
    let empty = away.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert_eq!(codes(&at(&empty, &trust).json()), ["checkpoint-missing"]);
    // A copy of the data dir that brings no key is judged by the trust file.
    let keyless = copied(&world, "keyless");
    fs::remove_dir_all(keyless.join("keys")).unwrap();
    let (status, report) = audit(&world, &keyless, &["--trust", &trust]);
    assert_eq!((status, &report["texts"]), (0, &json!(0)), "{report}");
    assert_eq!(world.run_on(&keyless, &["audit", "verify"]).code(), "no-data-dir");
    // A byte of an entry, and tiles that go back behind the checkpoint.
    let entries = files(&tiles.join("tile/entries")).pop().unwrap();
    let mut bytes = fs::read(&entries).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&entries, bytes).unwrap();
    let found = at(&tiles, &trust);
    assert_eq!(found.status, 1, "{}", found.out);
    assert!(!codes(&found.json()).is_empty(), "{}", found.out);
}

#[test]
fn the_trust_file_says_whose_ledger_it_is() {
    let world = lived();
    let trust = world.path("trust.json");
    let made = world.ok(&["keys", "trust", "-o", &trust]);
    assert!(made["fingerprint"].as_str().is_some_and(|f| f.len() > 40), "{made}");
    let (status, report) = audit(&world, &world.data, &["--trust", &trust]);
    assert_eq!((status, &report["trust"]), (0, &json!("file")), "{report}");
    let other = World::new(EXE);
    let theirs = other.path("trust.json");
    other.ok(&["keys", "trust", "-o", &theirs]);
    let (status, report) = audit(&world, &world.data, &["--trust", &theirs]);
    assert_eq!(status, 1, "{report}");
}

#[test]
fn actions_are_found_by_every_filter() {
    let world = lived();
    let narrow = world.delegate(&["orders:read"], &[]);
    let order = json!({"order_id": bailiwick_demo::desk::ORDER_OF_TICKET_8821});
    let last = world.assert_allowed(&world.call(&narrow, "get_order", order), "ok");
    let last = world.recorded(&last);
    let count = |args: &[&str]| {
        let answer = world.ok(&[&["audit", "query"], args].concat());
        answer["actions"].as_array().unwrap().len()
    };
    let task = last["task"].as_str().unwrap();
    let time = last["time"].as_str().unwrap();
    assert_eq!(count(&[]), 3);
    assert_eq!(count(&["--principal", PRINCIPAL]), 3);
    assert_eq!(count(&["--principal", last["principal"].as_str().unwrap()]), 3);
    assert_eq!(count(&["--principal", "user:owner"]), 0);
    assert_eq!(count(&["--agent", RUNNER]), 3);
    assert_eq!(count(&["--agent", "agent:order-reader"]), 0);
    assert_eq!(count(&["--task", task]), 1);
    assert_eq!(count(&["--tool", "mcp:support-desk:tools/get_ticket"]), 2);
    assert_eq!(count(&["--decision", "allow"]), 2);
    assert_eq!(count(&["--decision", "deny"]), 1);
    assert_eq!(count(&["--from", time]), 1);
    assert_eq!(count(&["--until", time]), 2);
    assert_eq!(count(&["--limit", "1"]), 1);
    assert_eq!(count(&["--decision", "allow", "--task", task]), 1);
    for args in [&["--from", "yesterday"][..], &["--decision", "maybe"]] {
        assert_eq!(world.run(&[&["audit", "query"], args].concat()).status, 2, "{args:?}");
    }
    let unknown = world.run(&["audit", "query", "--principal", "user:nobody"]);
    assert_eq!(unknown.status, 4, "{}", unknown.out);
}

#[test]
fn tiles_are_served_to_auditors_as_they_lie_on_disk() {
    let mut world = lived();
    let admin = fs::read_to_string(world.data.join("keys/admin.credential")).unwrap();
    world.stop_serve();
    world.start_serve();
    let get = |path: &str, credential: Option<&str>| {
        let mut request = Request::bare("GET", path);
        if let Some(credential) = credential {
            request = request.with("authorization", &format!("Bearer {credential}"));
        }
        request.send(world.address).unwrap()
    };
    let size = world.ok(&["audit", "verify"])["entries"].to_string();
    let names = [
        "checkpoint".to_owned(),
        format!("tile/0/000.p/{size}"),
        format!("tile/entries/000.p/{size}"),
    ];
    for name in &names {
        let path = format!("/ledger/{name}");
        let file = fs::read(world.data.join("ledger").join(name)).unwrap();
        let answer = get(&path, Some(admin.trim()));
        assert_eq!((answer.status, &answer.body), (200, &file), "{name}");
        for guess in [None, Some(""), Some("x"), Some(&admin.trim()[1..])] {
            let answer = get(&path, guess);
            assert_eq!(answer.status, 401, "{name} with {guess:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            assert!(!answer.text().contains("ledger/"), "{}", answer.text());
        }
    }
    // Nothing else of the data dir, whoever asks.
    for path in [
        "/ledger/../keys/issuer.jwk",
        "/ledger/..%2fkeys%2fissuer.jwk",
        "/ledger/%2e%2e/keys/issuer.jwk",
        "/ledger/tile/../../keys/issuer.jwk",
        "/ledger//etc/passwd",
        "/ledger/tile/0/999",
        "/ledger/state.db",
    ] {
        let answer = get(path, Some(admin.trim()));
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
}

#[test]
fn a_published_ledger_is_read_without_a_credential() {
    let config = vec![("publish_ledger", "true".to_owned())];
    let world = World::with(EXE, &Setup { config, ..Setup::default() });
    let answer = Request::bare("GET", "/ledger/checkpoint").send(world.address).unwrap();
    assert_eq!(answer.status, 200);
}
