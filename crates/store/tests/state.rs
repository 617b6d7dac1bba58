//! The state: entries, their projections, guards and texts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::sync::Arc;

use bailiwick_core::crypto::{Signer as _, sha256};
use bailiwick_core::ids::PrincipalId;
use bailiwick_core::ledger::{Entry, Kind};
use bailiwick_core::time::Timestamp;
use bailiwick_store::{
    Change, Charge, Charged, Filter, Place, Policy, Row, Spent, Status, Store, StoreError, Subject,
    Tx,
};
use support::*;

fn filter() -> Filter {
    Filter { limit: 100, ..Filter::default() }
}

#[test]
fn entries_have_contiguous_indexes_and_their_makers_signature_and_sequence() {
    let f = fixture();
    for i in 0..5u64 {
        let appended = append(&f.store, event(Kind::ActionDecided)).unwrap();
        assert_eq!(appended.index, i);
    }
    let entries = f.store.read(|v| v.tail(0, 100)).unwrap();
    let public = key().public_key();
    let mut prev = bailiwick_core::ledger::MakerPosition::START;
    for (i, stored) in entries.iter().enumerate() {
        let entry = Entry::open(&stored.leaf, &|m, _| (m == MAKER).then_some(public)).unwrap();
        assert_eq!((stored.index, entry.position), (i as u64, prev));
        assert_eq!(stored.leaf_hash, bailiwick_tlog::leaf_hash(&stored.leaf));
        prev.seq += 1;
        prev.prev = sha256(&stored.leaf);
    }
    assert_eq!(f.store.read(|v| v.maker_position(MAKER)).unwrap(), prev);
}

#[test]
fn two_stores_on_one_data_dir_share_one_sequence() {
    let f = fixture();
    let other = reopen(&f.path);
    let threads: Vec<_> = [f.store.clone(), other]
        .into_iter()
        .map(|store| {
            std::thread::spawn(move || {
                for _ in 0..20 {
                    append(&store, event(Kind::ActionDecided)).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
    let entries = f.store.read(|v| v.tail(0, 100)).unwrap();
    let places: Vec<_> = entries.iter().map(|e| (e.index, e.seq)).collect();
    assert_eq!(places, (0..40).map(|i| (i, i)).collect::<Vec<_>>());
}

#[test]
fn a_unit_that_fails_leaves_nothing_and_does_not_disturb_the_others() {
    let f = fixture();
    let good = f.store.write(|tx: &mut Tx<'_>| tx.append(MAKER, &key(), event(Kind::Revoked)));
    let bad = f.store.write(|tx: &mut Tx<'_>| {
        tx.append(MAKER, &key(), event(Kind::Revoked))?;
        Err::<(), _>(StoreError::Overloaded)
    });
    let panics = f.store.write(|tx: &mut Tx<'_>| -> Result<(), StoreError> {
        tx.append(MAKER, &key(), event(Kind::Revoked))?;
        tx.savepoint(|_| panic!("on purpose"))
    });
    let also_good = f.store.write(|tx: &mut Tx<'_>| tx.append(MAKER, &key(), event(Kind::Revoked)));
    assert_eq!(good.wait().unwrap().index, 0);
    assert_eq!(bad.wait(), Err(StoreError::Overloaded));
    assert_eq!(panics.wait(), Err(StoreError::Interrupted));
    assert_eq!(also_good.wait().unwrap().index, 1);
    assert_eq!(f.store.read(|v| v.log_size()).unwrap(), 2);
}

#[test]
fn an_outcome_can_be_awaited() {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let f = fixture();
    let mut pending = std::pin::pin!(
        f.store.write(|tx: &mut Tx<'_>| { tx.append(MAKER, &key(), event(Kind::Revoked)) })
    );
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut cx = std::task::Context::from_waker(&waker);
    let appended = loop {
        match std::future::Future::poll(pending.as_mut(), &mut cx) {
            std::task::Poll::Ready(done) => break done.unwrap(),
            std::task::Poll::Pending => std::thread::park(),
        }
    };
    assert_eq!(appended.index, 0);
}

#[test]
fn each_record_is_read_back_with_the_entry_that_wrote_it() {
    let f = fixture();
    let w = world(&f.store);
    f.store
        .read(|v| -> Result<(), StoreError> {
            let holder = v.instance_by_holder(&w.instance.holder)?.unwrap();
            assert_eq!(holder.instance.row, w.instance);
            assert_eq!(holder.instance.entry, w.entries[2].entry);
            assert_eq!(holder.agent.id, w.agent);
            assert_eq!(holder.owner.alias, w.alias);
            let id = PrincipalId::parse("user:142").unwrap();
            assert_eq!(v.principal("local", &id)?.unwrap().alias, w.alias);
            assert!(v.principal("elsewhere", &id)?.is_none());
            let chain = v.delegation(&w.delegation.root)?.unwrap();
            assert_eq!(chain.task.row, w.task);
            assert_eq!(chain.grant.expires, w.grant.expires);
            assert_eq!(chain.principal.alias, w.alias);
            assert_eq!(v.delegation_token(&w.delegation.root)?.unwrap(), "a.b.c");
            let texts = v.grant_texts(&w.grant.id)?.unwrap();
            assert_eq!(texts, ("the statement".into(), "the proof".into()));
            assert_eq!(v.derived(&w.derived.token)?.unwrap().row, w.derived);
            assert_eq!(v.workflow(&w.workflow.id)?.unwrap().row, w.workflow);
            assert_eq!(v.pins(&w.server)?.len(), 1);
            assert_eq!(v.pin(&w.tool)?.unwrap().digest, digest("definition"));
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_record_is_not_added_twice_and_needs_what_it_refers_to() {
    let f = fixture();
    let w = world(&f.store);
    let before = f.store.read(|v| v.log_size()).unwrap();
    let mut twin = w.instance.clone();
    twin.id = bailiwick_core::ids::InstanceId::mint(NOW, bytes());
    let error = record(&f.store, Kind::InstanceEnrolled, Row::Instance(twin.clone())).unwrap_err();
    assert_eq!(error, StoreError::Conflict { what: "instance or holder key" });
    twin.holder = bailiwick_core::crypto::Thumbprint::from_array([9; 32]);
    twin.agent = "agent:nobody".parse().unwrap();
    let error = record(&f.store, Kind::InstanceEnrolled, Row::Instance(twin)).unwrap_err();
    assert_eq!(error.code(), "no-such-record");
    let row = Row::AgentStatus { agent: "agent:nobody".parse().unwrap(), status: Status::Retired };
    assert_eq!(record(&f.store, Kind::AgentChanged, row).unwrap_err().code(), "no-such-record");
    assert_eq!(f.store.read(|v| v.log_size()).unwrap(), before);
}

#[test]
fn a_new_workflow_version_becomes_the_current_one_and_the_old_stays() {
    let f = fixture();
    let w = world(&f.store);
    let mut next = w.workflow.clone();
    next.digest = digest("second");
    record(&f.store, Kind::WorkflowPublished, Row::Workflow(next.clone())).unwrap();
    f.store
        .read(|v| -> Result<(), StoreError> {
            assert_eq!(v.workflow(&next.id)?.unwrap().digest, next.digest);
            assert!(v.workflow_version(&next.id, &w.workflow.digest)?.is_some());
            assert_eq!(v.workflows()?.len(), 1);
            Ok(())
        })
        .unwrap();
}

#[test]
fn revocations_are_numbered_without_gaps_and_followed() {
    let f = fixture();
    let w = world(&f.store);
    let barred = Subject::HolderKey { holder: w.instance.holder, root: w.delegation.root };
    let other_root = Subject::HolderKey { holder: w.instance.holder, root: digest("other") };
    let subjects = [
        Subject::Delegation { token: w.delegation.root },
        barred.clone(),
        Subject::Task { id: w.task.id.clone() },
    ];
    for subject in &subjects {
        let row = Row::Revocation { subject: subject.clone(), reason: "asked".into() };
        record(&f.store, Kind::Revoked, row.clone()).unwrap();
        assert_eq!(record(&f.store, Kind::Revoked, row).unwrap_err().code(), "already-exists");
    }
    let first = f.store.read(|v| v.revocations_since(0, 2)).unwrap();
    assert_eq!((first.rows.len(), first.upto, first.more), (2, 2, true));
    let rest = f.store.read(|v| v.revocations_since(first.upto, 2)).unwrap();
    assert_eq!((rest.rows.len(), rest.upto, rest.more), (1, 3, false));
    let last = Change::Revoked { subject: subjects[2].clone(), reason: "asked".into() };
    assert_eq!(rest.rows[0].change, last);
    let none = f.store.read(|v| v.revocations_since(3, 2)).unwrap();
    assert_eq!((none.rows.len(), none.upto, none.more), (0, 3, false));
    let hit = f.store.read(|v| v.is_revoked(&[other_root.clone(), barred])).unwrap().unwrap();
    assert_eq!(hit.seq, 2);
    assert!(f.store.read(|v| v.is_revoked(&[other_root])).unwrap().is_none());
}

#[test]
fn the_state_can_be_rebuilt_from_entries_and_texts() {
    let f = fixture();
    let w = world(&f.store);
    let revoke = Row::Revocation {
        subject: Subject::Instance { id: w.instance.id.clone() },
        reason: "lost".into(),
    };
    record(&f.store, Kind::Revoked, revoke).unwrap();
    let status = Row::InstanceStatus { instance: w.instance.id.clone(), status: Status::Retired };
    record(&f.store, Kind::AgentChanged, status).unwrap();
    let dump = || {
        f.store
            .read(|v| -> Result<_, StoreError> {
                Ok((
                    v.instance_by_holder(&w.instance.holder)?,
                    v.revocations_since(0, 100)?,
                    v.delegation(&w.delegation.root)?,
                    v.pins(&w.server)?,
                    v.workflows()?,
                    v.derived_of(&w.delegation.root)?,
                ))
            })
            .unwrap()
    };
    let before = dump();
    assert_eq!(before.0.as_ref().unwrap().instance.status, Status::Retired);
    // Damage both projections, behind the store's back.
    let raw = rusqlite::Connection::open(f.path.join("state.db")).unwrap();
    raw.execute("DELETE FROM revocations", []).unwrap();
    raw.execute("UPDATE instances SET status = 'active'", []).unwrap();
    assert_ne!(dump(), before);
    let rebuilt = f.store.write(|tx: &mut Tx<'_>| tx.rebuild()).wait().unwrap();
    assert_eq!((rebuilt.rows, rebuilt.erased), (12, 0));
    assert_eq!(dump(), before);
    // Also once a text was erased: revocations stand in the leaves.
    let principal = w.entries[0].entry.clone();
    erase(&f.store, &[principal]).unwrap();
    raw.execute("DELETE FROM revocations", []).unwrap();
    let rebuilt = f.store.write(|tx: &mut Tx<'_>| tx.rebuild()).wait().unwrap();
    assert_eq!((rebuilt.rows, rebuilt.erased), (11, 1));
    assert_eq!(dump().1, before.1);
    assert_eq!(dump().0.unwrap().owner.id, None);
}

#[test]
fn a_proof_is_spent_once_per_audience_also_after_a_restart() {
    let f = fixture();
    let spend = |store: &Store, audience: &'static str, jti: &str, expires: Timestamp| {
        let jti = digest(jti);
        store.write(move |tx: &mut Tx<'_>| tx.spend_proof(audience, &jti, expires)).wait().unwrap()
    };
    let soon = NOW.plus_seconds(60);
    assert_eq!(spend(&f.store, "a", "1", soon), Spent::Fresh);
    assert_eq!(spend(&f.store, "a", "1", soon), Spent::Already);
    assert_eq!(spend(&f.store, "b", "1", soon), Spent::Fresh);
    let again = reopen(&f.path);
    assert_eq!(spend(&again, "a", "1", soon), Spent::Already);
    // Forgetting is bounded, and what was forgotten stays refused even if the
    // clock is stepped back afterwards.
    let purge = |limit| {
        let late = NOW.plus_seconds(61);
        again.write(move |tx: &mut Tx<'_>| tx.purge_expired(late, limit)).wait().unwrap()
    };
    assert_eq!((purge(1), purge(9), purge(9)), (1, 1, 0));
    assert_eq!(spend(&again, "a", "1", soon), Spent::Already);
    assert_eq!(spend(&again, "a", "2", NOW.plus_seconds(90)), Spent::Fresh);
}

#[test]
fn a_proof_whose_unit_failed_is_not_spent() {
    let f = fixture();
    let failing = f.store.write(|tx: &mut Tx<'_>| {
        assert_eq!(tx.spend_proof("a", &digest("1"), NOW)?, Spent::Fresh);
        Err::<(), _>(StoreError::Overloaded)
    });
    assert!(failing.wait().is_err());
    let spent = f.store.write(|tx: &mut Tx<'_>| tx.spend_proof("a", &digest("1"), NOW)).wait();
    assert_eq!(spent, Ok(Spent::Fresh));
}

#[test]
fn a_chain_is_charged_as_a_whole_or_not_at_all() {
    let f = fixture();
    let charge = |account: &str, amount, limit| Charge {
        account: digest(account),
        counter: "calls".into(),
        amount,
        limit,
        expires: NOW.plus_seconds(60),
    };
    let charged =
        |charges: Vec<Charge>| f.store.write(move |tx: &mut Tx<'_>| tx.charge(&charges)).wait();
    assert_eq!(
        charged(vec![charge("root", 1, 3), charge("left", 1, 2)]),
        Ok(Charged::All(vec![1, 1]))
    );
    // Siblings share their parent's budget.
    assert_eq!(
        charged(vec![charge("root", 1, 3), charge("right", 1, 5)]),
        Ok(Charged::All(vec![2, 1]))
    );
    assert_eq!(
        charged(vec![charge("root", 1, 3), charge("left", 2, 2)]),
        Ok(Charged::Exceeded { which: 1, spent: 1 })
    );
    // The refused charge took nothing from the root.
    assert_eq!(
        charged(vec![charge("root", 1, 3), charge("right", 1, 5)]),
        Ok(Charged::All(vec![3, 2]))
    );
    assert_eq!(charged(vec![charge("root", 1, 3)]), Ok(Charged::Exceeded { which: 0, spent: 3 }));
    assert_eq!(
        charged(vec![charge("big", i64::MAX, i64::MAX), charge("big", 1, i64::MAX)]),
        Ok(Charged::Exceeded { which: 1, spent: i64::MAX })
    );
    assert_eq!(charged(vec![charge("root", -1, 3)]).unwrap_err().code(), "value-out-of-range");
}

#[test]
fn a_budget_is_kept_until_the_last_end_that_anybody_named() {
    let f = fixture();
    let charge = |seconds: i64| {
        let charge = Charge {
            account: digest("grant"),
            counter: "calls".into(),
            amount: 1,
            limit: 10,
            expires: NOW.plus_seconds(seconds),
        };
        f.store.write(move |tx: &mut Tx<'_>| tx.charge(&[charge])).wait()
    };
    let purge = |seconds: i64| {
        let now = NOW.plus_seconds(seconds);
        f.store.write(move |tx: &mut Tx<'_>| tx.purge_expired(now, 100)).wait().unwrap()
    };
    // A root of the grant ends; one that was issued again lives longer.
    assert_eq!(charge(10), Ok(Charged::All(vec![1])));
    assert_eq!(charge(60), Ok(Charged::All(vec![2])));
    assert_eq!(charge(10), Ok(Charged::All(vec![3])));
    assert_eq!(purge(11), 0);
    assert_eq!(charge(60), Ok(Charged::All(vec![4])));
    assert_eq!(purge(61), 1);
    assert_eq!(charge(60).unwrap_err().code(), "value-out-of-range");
}

#[test]
fn a_window_is_counted_over_restarts_and_one_that_was_forgotten_never_opens_again() {
    let f = fixture();
    // The counter of the window [0, 60), kept a while after it.
    let charge = |start: i64, expires: i64| Charge {
        account: digest("grant"),
        counter: format!("per/60/max_calls@{}", NOW.seconds() + start),
        amount: 1,
        limit: 2,
        expires: NOW.plus_seconds(expires),
    };
    let charged = |store: &Store, start: i64, expires: i64| {
        let charge = charge(start, expires);
        store.write(move |tx: &mut Tx<'_>| tx.charge(&[charge])).wait()
    };
    let purge = |store: &Store, seconds: i64| {
        let now = NOW.plus_seconds(seconds);
        store.write(move |tx: &mut Tx<'_>| tx.purge_expired(now, 100)).wait().unwrap()
    };
    assert_eq!(charged(&f.store, 0, 120), Ok(Charged::All(vec![1])));
    assert_eq!(purge(&f.store, 59), 0);
    let again = reopen(&f.path);
    assert_eq!(charged(&again, 0, 120), Ok(Charged::All(vec![2])));
    assert_eq!(charged(&again, 0, 120), Ok(Charged::Exceeded { which: 0, spent: 2 }));
    // The next window starts from nothing; the clock steps back into the first.
    assert_eq!(charged(&again, 60, 180), Ok(Charged::All(vec![1])));
    assert_eq!(charged(&again, 0, 120), Ok(Charged::Exceeded { which: 0, spent: 2 }));
    // Also when the first was forgotten meanwhile.
    assert_eq!(purge(&again, 121), 1);
    assert_eq!(charged(&again, 0, 120).unwrap_err().code(), "value-out-of-range");
    assert_eq!(charged(&again, 60, 180), Ok(Charged::All(vec![2])));
    // What the ledger is rebuilt into says nothing of guards.
    again.write(|tx: &mut Tx<'_>| tx.rebuild()).wait().unwrap();
    assert_eq!(charged(&again, 60, 180), Ok(Charged::Exceeded { which: 0, spent: 2 }));
}

#[test]
fn an_allowed_call_has_exactly_one_outcome_and_open_ones_are_found_after_a_restart() {
    let f = fixture();
    let (done, open, denied) = (action(), action(), action());
    append(&f.store, decided(&done, "allow")).unwrap();
    append(&f.store, decided(&open, "allow")).unwrap();
    append(&f.store, decided(&denied, "deny")).unwrap();
    append(&f.store, completed(&done, "ok")).unwrap();
    for closed in [&done, &denied, &action()] {
        let error = append(&f.store, completed(closed, "ok")).unwrap_err();
        assert_eq!(error.code(), "action-not-open");
    }
    assert_eq!(append(&f.store, decided(&open, "allow")).unwrap_err().code(), "already-exists");
    let path = f.path.clone();
    let store = reopen(&path);
    let unfinished = store.read(|v| v.unfinished_actions()).unwrap();
    assert_eq!(unfinished.len(), 1);
    assert_eq!((&unfinished[0].action, unfinished[0].decided), (&open, 1));
    append(&store, completed(&open, "unknown")).unwrap();
    assert!(store.read(|v| v.unfinished_actions()).unwrap().is_empty());
    let found = store.read(|v| v.action(&open)).unwrap().unwrap();
    assert_eq!(found.completed.unwrap().subjects.reason.as_deref(), Some("unknown"));
}

#[test]
fn the_ledger_answers_by_each_member_and_by_time() {
    let f = fixture();
    let ids: Vec<_> = (0..6).map(|_| action()).collect();
    for (i, id) in ids.iter().enumerate() {
        let mut e = decided(id, if i % 2 == 0 { "allow" } else { "deny" });
        e.time = NOW.plus_seconds(i as i64);
        e.subjects.principal = Some(format!("alias-{}", i % 3));
        e.subjects.task = Some(format!("task-{i}"));
        e.subjects.tool = Some("mcp:d:tools/x".into());
        append(&f.store, e).unwrap();
    }
    let last = f.store.read(|v| v.last_time()).unwrap();
    assert_eq!(last, Some(NOW.plus_seconds(5)));
    append(&f.store, completed(&ids[0], "ok")).unwrap();
    // A later entry with an earlier time does not turn the clock rule back.
    assert_eq!(f.store.read(|v| v.last_time()).unwrap(), last);
    let count = |filter: Filter| f.store.read(|v| v.query(&filter)).unwrap().len();
    let text = |s: &str| Some(s.to_owned());
    assert_eq!(count(filter()), 7);
    assert_eq!(count(Filter { principal: text("alias-1"), ..filter() }), 2);
    assert_eq!(count(Filter { agent: text("agent:runner"), ..filter() }), 6);
    assert_eq!(count(Filter { task: text("task-3"), ..filter() }), 1);
    assert_eq!(count(Filter { tool: text("mcp:d:tools/x"), ..filter() }), 6);
    assert_eq!(count(Filter { decision: text("deny"), ..filter() }), 3);
    assert_eq!(count(Filter { kind: Some(Kind::ActionCompleted), ..filter() }), 1);
    let since = Some(NOW.plus_seconds(2));
    assert_eq!(count(Filter { since, until: Some(NOW.plus_seconds(4)), ..filter() }), 2);
    assert_eq!(count(Filter { limit: 2, ..filter() }), 2);
    let newest = f.store.read(|v| v.query(&Filter { before: Some(3), ..filter() })).unwrap();
    assert_eq!(newest.iter().map(|e| e.index).collect::<Vec<_>>(), [2, 1, 0]);
    let both = Filter { decision: text("allow"), principal: text("alias-0"), ..filter() };
    let actions = f.store.read(|v| v.actions(&both)).unwrap();
    assert_eq!(actions.len(), 1);
    assert!(actions[0].completed.is_some());
    let id = actions[0].decided.id.clone();
    assert_eq!(f.store.read(|v| v.entry_by_id(&id)).unwrap().unwrap().index, 0);
    assert_eq!(f.store.read(|v| v.entries_of_action(&ids[0])).unwrap().len(), 2);
}

#[test]
fn texts_are_encrypted_bound_to_their_entry_and_erasable_without_a_trace() {
    let f = fixture();
    let secret = "customer 4711 lost her parcel";
    let appended = append(&f.store, secret_event(secret)).unwrap();
    let other = append(&f.store, secret_event("another text")).unwrap();
    let on_disk = |needle: &str| {
        ["state.db", "state.db-wal"].iter().any(|name| {
            let bytes = std::fs::read(f.path.join(name)).unwrap_or_default();
            bytes.windows(needle.len()).any(|w| w == needle.as_bytes())
        })
    };
    let id = appended.entry.clone();
    let read = || f.store.read(|v| v.read_plaintext(&id));
    let texts = read().unwrap().unwrap();
    assert_eq!(texts[0].1.value.as_str(), Some(secret));
    let leaf = f.store.read(|v| v.entry_by_id(&id)).unwrap().unwrap().leaf;
    let public = key().public_key();
    let entry = Entry::open(&leaf, &|_, _| Some(public)).unwrap();
    assert!(entry.discloses("purpose", &texts[0].1));
    assert!(!on_disk(secret));
    // A record moved to another entry does not open there.
    let raw = rusqlite::Connection::open(f.path.join("state.db")).unwrap();
    raw.execute_batch("PRAGMA secure_delete = ON").unwrap();
    let (k, text): (Vec<u8>, Vec<u8>) = raw
        .query_row("SELECT key, ciphertext FROM sealed WHERE entry = ?1", [id.as_str()], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })
        .unwrap();
    raw.execute(
        "UPDATE sealed SET key = ?2, ciphertext = ?3 WHERE entry = ?1",
        (other.entry.as_str(), &k, &text),
    )
    .unwrap();
    let error = f.store.read(|v| v.read_plaintext(&other.entry)).unwrap_err();
    assert_eq!(error.code(), "plaintext-unreadable");
    raw.execute("DELETE FROM sealed WHERE entry = ?1", [other.entry.as_str()]).unwrap();
    drop(raw);
    // Nor with another key.
    let mut options = options();
    options.plaintext_key = bailiwick_store::PlaintextKey::new([6; 32]);
    let stranger = Store::open(&f.path, options).unwrap();
    assert!(stranger.read(|v| v.read_plaintext(&id)).is_err());
    drop(stranger);
    // Erased: neither the key nor the text is left in any file.
    erase(&f.store, std::slice::from_ref(&id)).unwrap();
    assert_eq!(read(), Ok(None));
    assert!(f.store.read(|v| v.is_erased(&id)).unwrap());
    // Emptied with the next group at the latest.
    append(&f.store, event(Kind::PlaintextRead)).unwrap();
    for needle in [&k[..], &text[..]] {
        for name in ["state.db", "state.db-wal"] {
            let bytes = std::fs::read(f.path.join(name)).unwrap();
            assert!(!bytes.windows(needle.len()).any(|w| w == needle), "{name}");
        }
    }
}

#[test]
fn a_planted_trigger_does_not_make_a_proof_fresh_again() {
    let f = fixture();
    let raw = rusqlite::Connection::open(f.path.join("state.db")).unwrap();
    raw.execute_batch(
        "CREATE TRIGGER again AFTER INSERT ON spent_proofs BEGIN DELETE FROM spent_proofs; END",
    )
    .unwrap();
    drop(raw);
    let store = reopen(&f.path);
    let spend = || store.write(|tx: &mut Tx<'_>| tx.spend_proof("a", &digest("1"), NOW)).wait();
    assert_eq!(spend(), Ok(Spent::Fresh));
    assert_eq!(spend(), Ok(Spent::Already));
}

#[test]
fn one_job_on_a_data_dir_is_done_by_one_process() {
    let f = fixture();
    let claim = f.store.claim("serve").unwrap();
    let other = reopen(&f.path);
    assert_eq!(other.claim("serve").unwrap_err().code(), "already-running");
    drop(claim);
    assert!(other.claim("serve").is_ok());
}

#[test]
fn another_organisation_sees_nothing_of_ours() {
    let f = fixture();
    world(&f.store);
    let mut options = options();
    options.org = "other".parse().unwrap();
    let other = Store::open(&f.path, options).unwrap();
    assert_eq!(other.read(|v| v.log_size()).unwrap(), 0);
    assert!(other.read(|v| v.agents()).unwrap().is_empty());
    let ours = event(Kind::Revoked);
    let error = append(&other, ours).unwrap_err();
    assert_eq!(error.code(), "value-out-of-range");
}

#[test]
fn a_search_by_time_gives_the_newest_entries() {
    let f = fixture();
    f.store
        .write(|tx: &mut Tx<'_>| {
            for i in 0..300 {
                let mut e = decided(&action(), "allow");
                e.time = NOW.plus_seconds(i);
                tx.append(MAKER, &key(), e)?;
            }
            Ok::<_, StoreError>(())
        })
        .wait()
        .unwrap();
    let newest = |filter: &Filter| -> Vec<u64> {
        let found = f.store.read(|v| v.query(filter)).unwrap();
        found.iter().map(|e| e.index).collect()
    };
    let since = Some(NOW.plus_seconds(1));
    let until = Some(NOW.plus_seconds(299));
    let agent = Some("agent:runner".to_owned());
    for filter in [
        Filter { since, until, limit: 3, ..Filter::default() },
        Filter { since, until, agent, limit: 3, ..Filter::default() },
    ] {
        assert_eq!(newest(&filter), [298, 297, 296]);
    }
}

#[test]
fn the_last_publication_of_a_policy_counts_also_after_a_rebuild() {
    let f = fixture();
    let publish = |place: Place, text: &str| {
        let digest = (!text.is_empty()).then(|| digest(text));
        let policy = Policy { place, digest, document: text.to_owned(), published: NOW };
        let kind = match place {
            Place::Enforced => Kind::PolicyPublished,
            Place::Candidate => Kind::PolicyCandidate,
        };
        record(&f.store, kind, Row::Policy(policy)).unwrap().entry
    };
    let none = f.store.read(|v| v.policy_version(Place::Enforced)).unwrap();
    assert_eq!(none, None);
    let first = publish(Place::Enforced, "one");
    publish(Place::Candidate, "two");
    publish(Place::Enforced, "two");
    let last = publish(Place::Enforced, "one");
    let cleared = publish(Place::Candidate, "");
    let check = || {
        f.store
            .read(|v| -> Result<(), StoreError> {
                assert_eq!(v.policy_version(Place::Enforced)?, Some(last.clone()));
                assert_eq!(v.policy(Place::Enforced)?.unwrap().document, "one");
                assert_eq!(v.policy_version(Place::Candidate)?, Some(cleared.clone()));
                assert_eq!(v.policy(Place::Candidate)?.unwrap().digest, None);
                assert_eq!(v.policy_by_digest(&digest("one"))?.unwrap().entry, first);
                assert!(v.policy_by_digest(&digest("three"))?.is_none());
                let history = v.policies(10)?;
                assert_eq!(history.len(), 5);
                assert_eq!((&history[0].entry, &history[4].entry), (&cleared, &first));
                assert!(history.iter().all(|p| p.document.is_empty()));
                assert_eq!(v.policies(2)?.len(), 2);
                Ok(())
            })
            .unwrap();
    };
    check();
    f.store.write(|tx: &mut Tx<'_>| tx.rebuild()).wait().unwrap();
    check();
}
