//! The installation's own keys on disk, and how one takes the place of
//! another.
//!
//! The key ring is the point at which a replacement happens: before it is
//! written the old key is in force, from then on the new one, whose file is
//! moved into place by whoever comes first.

use std::fs;
use std::path::{Path, PathBuf};

use bailiwick_authority::keyring::{AnyKey, KeyRing, Purpose};
use bailiwick_core::crypto::{Digest, Signer as _, sha256};
use bailiwick_svid::{IssueError, SvidAuthority};

use crate::error::CliError;
use crate::host;
use crate::keyfile;

const RING: &str = "keyring.json";

/// The file of a key in force.
const fn file_name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::AuthorityMaker => "authority.jwk",
        Purpose::GatewayMaker => "gateway.jwk",
        Purpose::Identity => "identity.jwk",
        Purpose::Issuer => "issuer.jwk",
        Purpose::Snapshot => "snapshot.jwk",
        Purpose::Svid => "svid.jwk",
    }
}

/// The file of a key in force.
fn present(dir: &Path, purpose: Purpose) -> PathBuf {
    dir.join("keys").join(file_name(purpose))
}

/// The file of a key that is to come.
fn next(dir: &Path, purpose: Purpose) -> PathBuf {
    present(dir, purpose).with_extension("next.jwk")
}

/// The public half of a key file.
fn public(purpose: Purpose, path: &Path) -> Result<AnyKey, CliError> {
    Ok(match purpose {
        Purpose::Identity | Purpose::Svid => {
            AnyKey::P256(keyfile::own(keyfile::read_identity(path))?.public_key())
        }
        _ => AnyKey::Ed25519(keyfile::own(keyfile::read_key(path))?.public_key()),
    })
}

/// The key ring's bytes; that of an installation whose keys were never
/// replaced is not written.
pub(crate) fn ring_bytes(dir: &Path) -> Result<Vec<u8>, CliError> {
    let path = dir.join("keys").join(RING);
    if path.exists() {
        return Ok(keyfile::own(keyfile::read_private(&path))?.to_vec());
    }
    Ok(KeyRing::default().to_json().canonical().into_bytes())
}

/// The hash of [`ring_bytes`].
pub(crate) fn ring_digest(dir: &Path) -> Result<Digest, CliError> {
    Ok(sha256(&ring_bytes(dir)?))
}

/// Makes the key that is to come; one of an earlier attempt that was never in
/// force goes.
pub(crate) fn prepare(dir: &Path, purpose: Purpose) -> Result<AnyKey, CliError> {
    let path = next(dir, purpose);
    if path.exists() {
        fs::remove_file(&path).map_err(|e| CliError::file(&path, "remove", &e))?;
    }
    keyfile::create(file_name(purpose), &path)?;
    sync(&dir.join("keys"))?;
    public(purpose, &path)
}

/// Removes a key that was made and will not come.
pub(crate) fn discard(dir: &Path, purpose: Purpose) {
    // One that stays is removed by the next attempt.
    let _ = fs::remove_file(next(dir, purpose));
}

/// Writes the key ring, whole or not at all.
pub(crate) fn write_ring(dir: &Path, ring: &KeyRing) -> Result<(), CliError> {
    let keys = dir.join("keys");
    let (path, fresh) = (keys.join(RING), keys.join("keyring.next.json"));
    if fresh.exists() {
        fs::remove_file(&fresh).map_err(|e| CliError::file(&fresh, "remove", &e))?;
    }
    keyfile::write_new(&fresh, &ring.to_json().canonical())?;
    fs::rename(&fresh, &path).map_err(|e| CliError::file(&path, "replace", &e))?;
    sync(&keys)
}

/// Moves the files of keys that the ring put in force into place. The private
/// key that was there is gone then.
pub(crate) fn settle(dir: &Path, ring: &KeyRing) -> Result<(), CliError> {
    for purpose in Purpose::ALL {
        let Some(wanted) = ring.present(purpose) else { continue };
        let (path, next) = (present(dir, purpose), next(dir, purpose));
        if public(purpose, &path)? == wanted {
            continue;
        }
        // Another process may be doing the same.
        if next.exists() && public(purpose, &next).is_ok_and(|key| key == wanted) {
            let _ = fs::rename(&next, &path);
            sync(&dir.join("keys"))?;
        }
        if public(purpose, &path)? != wanted {
            return Err(CliError::environment(
                "keyring-mismatch",
                format!("`{}` is not the key that `keys/{RING}` names", path.display()),
                "restore the folder `keys` from one backup",
            ));
        }
    }
    Ok(())
}

/// The certificate of an SVID key: public, named by its key.
fn certificate(dir: &Path, key: &AnyKey) -> PathBuf {
    dir.join("keys").join(format!("svid-{}.crt", key.kid()))
}

/// The key that signs SVIDs with its certificate, and those of keys before it.
///
/// An installation from before there were SVIDs gets its key here; whoever comes
/// first makes it.
pub(crate) fn svid(
    dir: &Path,
    trust_domain: &str,
    ring: &KeyRing,
) -> Result<SvidAuthority, CliError> {
    let path = present(dir, Purpose::Svid);
    if !path.exists() && ring.present(Purpose::Svid).is_none() {
        begin_svid(dir, &path)?;
    }
    let key = keyfile::own(keyfile::read_identity(&path))?;
    let unmade = |e: IssueError| {
        CliError::environment("svid-certificate", e.to_string(), "restore the folder `keys`")
    };
    let public = AnyKey::P256(key.public_key());
    let file = certificate(dir, &public);
    if !file.exists() {
        let made = SvidAuthority::certificate_for(&key, trust_domain, host::now(), host::random()?);
        bailiwick_store::write_durably(&file, &made.map_err(unmade)?)?;
    }
    let former = ring.former(Purpose::Svid, public).map(|f| certificate(dir, &f.key));
    let former: Vec<_> = former.filter_map(|file| keyfile::read(&file).ok()).collect();
    let own = keyfile::own(keyfile::read(&file))?;
    SvidAuthority::new(key, own, former).map_err(unmade)
}

/// Makes the first key, whole or not at all.
fn begin_svid(dir: &Path, path: &Path) -> Result<(), CliError> {
    let fresh = dir.join("keys").join(format!("svid-{}.new", host::fresh_id()?));
    keyfile::create(file_name(Purpose::Svid), &fresh)?;
    // A link never replaces: where another process was first, its key counts.
    let linked = fs::hard_link(&fresh, path);
    fs::remove_file(&fresh).map_err(|e| CliError::file(&fresh, "remove", &e))?;
    match linked {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(CliError::file(path, "create", &e))
        }
        _ => sync(&dir.join("keys")),
    }
}

fn sync(folder: &Path) -> Result<(), CliError> {
    let synced = fs::File::open(folder).and_then(|f| f.sync_all());
    synced.map_err(|e| CliError::file(folder, "write", &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiwick_core::time::Timestamp;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("keys")).unwrap();
        for purpose in Purpose::ALL {
            let path = present(dir.path(), purpose);
            keyfile::create(file_name(purpose), &path).unwrap();
        }
        dir
    }

    fn at(s: i64) -> Timestamp {
        Timestamp::from_seconds(s)
    }

    #[test]
    fn a_replacement_that_was_cut_off_goes_on_from_the_key_ring() {
        let dir = folder();
        let dir = dir.path();
        for purpose in Purpose::ALL {
            let old = public(purpose, &present(dir, purpose)).unwrap();
            let mut ring = KeyRing::parse(&ring_bytes(dir).unwrap()).unwrap();
            // Cut off before the ring was written: the old one is in force, and
            // what was made goes.
            let lost = prepare(dir, purpose).unwrap();
            settle(dir, &ring).unwrap();
            assert_eq!(public(purpose, &present(dir, purpose)).unwrap(), old);
            let new = prepare(dir, purpose).unwrap();
            assert!(new != lost && new != old);
            // Cut off after it: the new one is, for whoever comes first.
            ring.replace(purpose, (old, new), at(1), at(2), false).unwrap();
            write_ring(dir, &ring).unwrap();
            settle(dir, &KeyRing::parse(&ring_bytes(dir).unwrap()).unwrap()).unwrap();
            settle(dir, &ring).unwrap();
            assert_eq!(public(purpose, &present(dir, purpose)).unwrap(), new);
            assert!(!next(dir, purpose).exists());
        }
    }

    #[test]
    fn the_certificate_of_an_svid_key_stays_and_outlives_the_key() {
        let dir = folder();
        let dir = dir.path();
        fs::remove_file(present(dir, Purpose::Svid)).unwrap();
        let domain = "desk.example";
        let mut ring = KeyRing::default();
        let first = svid(dir, domain, &ring).unwrap();
        let again = svid(dir, domain, &ring).unwrap();
        let key = first.public_key();
        assert_eq!(first.certificate(&key).unwrap(), again.certificate(&key).unwrap());
        let new = prepare(dir, Purpose::Svid).unwrap();
        ring.replace(Purpose::Svid, (AnyKey::P256(key), new), at(1), at(2), false).unwrap();
        write_ring(dir, &ring).unwrap();
        settle(dir, &ring).unwrap();
        let second = svid(dir, domain, &ring).unwrap();
        assert_eq!(AnyKey::P256(second.public_key()), new);
        assert_eq!(second.certificate(&key), first.certificate(&key));
        // A key that the ring names is not made anew when it is lost.
        fs::remove_file(present(dir, Purpose::Svid)).unwrap();
        assert!(svid(dir, domain, &ring).is_err());
    }

    #[test]
    fn a_key_that_the_ring_does_not_name_is_not_used() {
        let dir = folder();
        let dir = dir.path();
        let old = public(Purpose::Issuer, &present(dir, Purpose::Issuer)).unwrap();
        let new = prepare(dir, Purpose::Issuer).unwrap();
        let mut ring = KeyRing::default();
        ring.replace(Purpose::Issuer, (old, new), at(1), at(2), false).unwrap();
        fs::remove_file(next(dir, Purpose::Issuer)).unwrap();
        assert_eq!(settle(dir, &ring).unwrap_err().code, "keyring-mismatch");
    }
}
