//! The vault: what is in it is encrypted, and bound to its place.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use bailiwick_core::ids::{Alias, EntryId, ServerName};
use bailiwick_store::{MAX_VAULT_BYTES, StoreError, VaultKey, VaultPlace};
use rusqlite::Connection;
use support::*;

const SECRET: &[u8] = b"canary-of-the-vault-0001";

fn place(server: &str, principal: Option<&str>) -> VaultPlace {
    let principal = principal.map(|p| Alias::parse(p).unwrap());
    VaultPlace { server: ServerName::parse(server).unwrap(), principal }
}

fn alias(n: u8) -> String {
    Alias::mint(NOW, [n; 10]).to_string()
}

fn put(f: &Fixture, place: &VaultPlace, secret: &[u8], key: &VaultKey) -> EntryId {
    let entry = EntryId::mint(NOW, bytes());
    let (p, e, s, k) = (place.clone(), entry.clone(), secret.to_vec(), key.clone());
    f.store.write(move |tx| tx.vault_put(&p, "bearer", &e, &s, &k)).wait().unwrap();
    entry
}

#[test]
fn a_credential_comes_back_with_its_key_and_is_nowhere_in_the_files() {
    let f = fixture();
    let key = VaultKey::new([5; 32]);
    let (own, theirs) = (place("desk", None), place("desk", Some(&alias(1))));
    let entry = put(&f, &own, SECRET, &key);
    put(&f, &theirs, b"another-secret-of-theirs", &key);
    let (row, opened) = f.store.read(|v| v.vault_open(&own, &key)).unwrap().unwrap();
    assert_eq!((row.kind.as_str(), &row.entry, opened.as_slice()), ("bearer", &entry, SECRET));
    let listed = f.store.read(|v| v.vault()).unwrap();
    assert_eq!(listed.iter().map(|r| &r.place).collect::<Vec<_>>(), [&own, &theirs]);
    assert!(f.store.read(|v| v.vault_open(&place("other", None), &key)).unwrap().is_none());
    for file in std::fs::read_dir(&f.path).unwrap() {
        let file = file.unwrap().path();
        if file.is_file() {
            let bytes = std::fs::read(&file).unwrap();
            assert!(!bytes.windows(SECRET.len()).any(|w| w == SECRET), "{}", file.display());
        }
    }
    let gone = own.clone();
    let taken = f.store.write(move |tx| tx.vault_take(&gone)).wait().unwrap().unwrap();
    assert!(f.store.read(|v| v.vault_open(&own, &key)).unwrap().is_none());
    assert_eq!(taken.open(&key).unwrap().as_slice(), SECRET);
    assert!(taken.open(&VaultKey::new([6; 32])).is_err());
    assert!(f.store.read(|v| v.vault_open(&theirs, &key)).unwrap().is_some());
}

#[test]
fn a_row_that_was_moved_changed_or_sealed_by_another_key_does_not_open() {
    let f = fixture();
    let key = VaultKey::new([5; 32]);
    let own = place("desk", None);
    put(&f, &own, SECRET, &key);
    let refused = |place: &VaultPlace, key: &VaultKey| {
        let opened = f.store.read(|v| v.vault_open(place, key));
        assert!(matches!(opened, Err(StoreError::VaultSealed { .. })), "{opened:?}");
    };
    refused(&own, &VaultKey::new([6; 32]));
    let db = Connection::open(f.path.join("state.db")).unwrap();
    let (one, two) = (alias(1), alias(2));
    for change in [
        "UPDATE vault SET server = 'mail'".to_owned(),
        format!("UPDATE vault SET server = 'desk', principal = '{one}'"),
        format!("UPDATE vault SET principal = '{two}'"),
        "UPDATE vault SET principal = '', kind = 'basic'".to_owned(),
        "UPDATE vault SET kind = 'bearer', entry = '01890a5d-ac96-774b-bcce-b302099a8057'"
            .to_owned(),
    ] {
        db.execute(&change, []).unwrap();
        let row = f.store.read(|v| v.vault()).unwrap().remove(0);
        refused(&row.place, &key);
    }
    put(&f, &own, SECRET, &key);
    db.execute("UPDATE vault SET sealed = zeroblob(4)", []).unwrap();
    refused(&own, &key);
}

#[test]
fn rekeying_seals_everything_anew_or_nothing() {
    let f = fixture();
    let (old, new) = (VaultKey::new([5; 32]), VaultKey::new([6; 32]));
    let (own, theirs) = (place("desk", None), place("mail", Some(&alias(1))));
    put(&f, &own, SECRET, &old);
    put(&f, &theirs, SECRET, &old);
    let (o, n) = (old.clone(), new.clone());
    assert_eq!(f.store.write(move |tx| tx.vault_rekey(&o, &n)).wait().unwrap(), 2);
    for place in [&own, &theirs] {
        assert!(f.store.read(|v| v.vault_open(place, &old)).is_err());
        let (row, opened) = f.store.read(|v| v.vault_open(place, &new)).unwrap().unwrap();
        assert_eq!((row.key.as_str(), opened.as_slice()), (new.id(), SECRET));
    }
    // One that does not open: all stay as they were.
    put(&f, &own, SECRET, &old);
    let (o, n) = (new.clone(), old.clone());
    assert!(f.store.write(move |tx| tx.vault_rekey(&o, &n)).wait().is_err());
    assert!(f.store.read(|v| v.vault_open(&theirs, &new)).is_ok());
}

#[test]
fn what_a_principal_has_goes_with_the_principal() {
    let f = fixture();
    let key = VaultKey::new([5; 32]);
    let (one, two) = (alias(1), alias(2));
    for place in [
        place("desk", None),
        place("desk", Some(&one)),
        place("mail", Some(&one)),
        place("mail", Some(&two)),
    ] {
        put(&f, &place, SECRET, &key);
    }
    let gone = Alias::parse(&one).unwrap();
    let taken = f.store.write(move |tx| tx.vault_take_of(&gone)).wait().unwrap();
    assert!(taken.iter().all(|taken| taken.open(&key).unwrap().as_slice() == SECRET));
    let places: Vec<_> = taken.into_iter().map(|taken| taken.row.place).collect();
    assert_eq!(places, [place("desk", Some(&one)), place("mail", Some(&one))]);
    let left = f.store.read(|v| v.vault()).unwrap();
    assert_eq!(left.len(), 2);
}

#[test]
fn what_was_sealed_anew_meanwhile_is_not_removed_for_what_it_was() {
    let f = fixture();
    let key = VaultKey::new([5; 32]);
    let own = place("desk", Some(&alias(1)));
    let entry = put(&f, &own, SECRET, &key);
    let before = f.store.read(|v| v.vault_row(&own)).unwrap().unwrap();
    // The same credential, renewed: place, kind and entry are what they were.
    let (p, e, k) = (own.clone(), entry.clone(), key.clone());
    f.store.write(move |tx| tx.vault_put(&p, "bearer", &e, b"renewed-0001", &k)).wait().unwrap();
    let now = f.store.read(|v| v.vault_row(&own)).unwrap().unwrap();
    assert_eq!((&now.entry, &now.key), (&before.entry, &before.key));
    assert_ne!(now.seal, before.seal);
    assert!(!f.store.write(move |tx| tx.vault_remove_same(&before)).wait().unwrap());
    let (_, opened) = f.store.read(|v| v.vault_open(&own, &key)).unwrap().unwrap();
    assert_eq!(opened.as_slice(), b"renewed-0001");
    assert!(f.store.write(move |tx| tx.vault_remove_same(&now)).wait().unwrap());
    assert!(f.store.read(|v| v.vault_row(&own)).unwrap().is_none());
}

#[test]
fn what_is_too_large_is_refused() {
    let f = fixture();
    let key = VaultKey::new([5; 32]);
    let large = vec![b'x'; MAX_VAULT_BYTES + 1];
    let entry = EntryId::mint(NOW, bytes());
    let refused = f
        .store
        .write(move |tx| tx.vault_put(&place("desk", None), "bearer", &entry, &large, &key))
        .wait();
    assert!(matches!(refused, Err(StoreError::Value { .. })), "{refused:?}");
}
