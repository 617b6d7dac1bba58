//! `keys`: what others need to verify us, and replacing what we sign with.

use std::path::{Path, PathBuf};

use bailiwick_authority::keyring::{AnyKey, KeyRing, Purpose};
use bailiwick_authority::rules::keys::{Change, Why};
use bailiwick_authority::{Ended, PublishedKey};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;

use crate::args::KeysVerb;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::host;
use crate::keyfile;
use crate::keystore;
use crate::output::Output;
use crate::table::{NONE, table};

pub(super) fn run(verb: KeysVerb, dir: &Path, out: Output) -> Result<(), CliError> {
    match verb {
        KeysVerb::List => list(dir, out),
        KeysVerb::Rotate { purpose } => rotate(dir, &purpose, out),
        KeysVerb::Compromise { key, since } => compromise(dir, &key, &since, out),
        KeysVerb::Trust { output } => trust(dir, output, out),
    }
}

fn trust(dir: &Path, output: PathBuf, out: Output) -> Result<(), CliError> {
    let trust = DataDir::open(dir)?.authority.trust()?;
    keyfile::write_new(&output, &trust.to_json().canonical())?;
    let fingerprint = trust.fingerprint();
    out.result(
        Object::new()
            .with("trust", output.display().to_string())
            .with("fingerprint", fingerprint.as_str()),
        format!(
            "wrote {}\n  fingerprint {fingerprint}\ncompare the fingerprint over another channel before you rely on the file",
            output.display()
        ),
    );
    out.next(&[&format!("bailiwick evidence verify BUNDLE --trust {}", output.display())]);
    Ok(())
}

fn list(dir: &Path, out: Output) -> Result<(), CliError> {
    let data = DataDir::open(dir)?;
    let began = data.authority.started()?;
    let keys = data.authority.all_keys();
    let list = keys.iter().map(|k| -> Json {
        Object::new()
            .with("purpose", k.purpose.as_str())
            .with("kid", k.key.kid())
            .with("state", k.state())
            .with("accepted_from", k.from.unwrap_or(began).to_string())
            .with("accepted_until", k.until.map(|t| t.to_string()))
            .with("jwk", k.key.to_jwk())
            .into()
    });
    let rows: Vec<Vec<String>> = keys
        .iter()
        .map(|k| {
            let (purpose, kid, from) = (k.purpose.as_str(), k.key.kid(), k.from.unwrap_or(began));
            let until = k.until.map_or(NONE.to_owned(), |t| t.to_string());
            let texts = [purpose.to_owned(), kid.to_string(), k.state().to_owned()];
            texts.into_iter().chain([from.to_string(), until]).collect()
        })
        .collect();
    let text = table(&["purpose", "key", "state", "accepted from", "until"], &rows);
    out.result(Object::new().with("keys", list.collect::<Vec<_>>()), text);
    Ok(())
}

fn ring(dir: &Path) -> Result<KeyRing, CliError> {
    Ok(KeyRing::parse(&keystore::ring_bytes(dir)?)?)
}

fn purpose(text: &str) -> Result<Purpose, CliError> {
    Purpose::parse(text).ok_or_else(|| {
        let all: Vec<&str> = Purpose::ALL.iter().map(|p| p.as_str()).collect();
        CliError::usage(
            "purpose-unknown",
            format!("no key that can be replaced is for `{text}`"),
            format!("name one of `{}`", all.join("`, `")),
        )
    })
}

/// A key that was replaced.
struct Replaced {
    purpose: Purpose,
    old: PublishedKey,
    new: AnyKey,
    until: Timestamp,
}

/// Puts a new key in the place of the present one: made, recorded, then put in
/// force by the key ring.
fn replace(dir: &Path, data: &DataDir, purpose: Purpose, why: Why) -> Result<Replaced, CliError> {
    let mut present = data.authority.all_keys().into_iter();
    let old = present.find(|k| k.purpose == purpose && k.until.is_none());
    let old = old.ok_or_else(|| {
        CliError::environment("key", "there is no present key", "restore the folder `keys`")
    })?;
    let mut ring = ring(dir)?;
    let new = keystore::prepare(dir, purpose)?;
    let change = Change { purpose, old: old.key, new: Some(new), why };
    let until =
        data.authority.key_changed(change).inspect_err(|_| keystore::discard(dir, purpose))?;
    let compromised = why != Why::Rotated;
    ring.replace(purpose, (old.key, new), host::now(), until, compromised)?;
    keystore::write_ring(dir, &ring)?;
    keystore::settle(dir, &ring)?;
    Ok(Replaced { purpose, old, new, until })
}

fn replaced_json(r: &Replaced) -> Object {
    Object::new()
        .with("purpose", r.purpose.as_str())
        .with("old", r.old.key.kid())
        .with("new", r.new.kid())
        .with("accepted_until", r.until.to_string())
}

fn rotate(dir: &Path, text: &str, out: Output) -> Result<(), CliError> {
    let purpose = purpose(text)?;
    let data = DataDir::open(dir)?;
    let _claim = data.store().claim("keys")?;
    let replaced = replace(dir, &data, purpose, Why::Rotated)?;
    out.result(
        replaced_json(&replaced),
        format!(
            "the {} key is now {}; what {} signed is accepted until {}",
            purpose.as_str(),
            replaced.new.kid(),
            replaced.old.key.kid(),
            replaced.until
        ),
    );
    out.next(next(purpose).as_slice());
    Ok(())
}

fn next(purpose: Purpose) -> Option<&'static str> {
    match purpose {
        Purpose::Issuer | Purpose::AuthorityMaker | Purpose::GatewayMaker => {
            Some("bailiwick keys trust -o trust.json   # hand it to auditors again")
        }
        Purpose::Snapshot => Some("bailiwick keys list   # hand the new key to gateways elsewhere"),
        Purpose::Svid => Some(
            "curl PUBLIC_URL/spiffe/bundle.json   # others take the new key up from there, each at its next look",
        ),
        Purpose::Identity => None,
    }
}

fn compromise(dir: &Path, key: &str, since: &str, out: Output) -> Result<(), CliError> {
    let since: Timestamp = since.parse().map_err(|_| {
        CliError::usage(
            "time-malformed",
            format!("`{since}` is no time"),
            "write it as 2026-11-26T08:00:00Z",
        )
    })?;
    let data = DataDir::open(dir)?;
    let _claim = data.store().claim("keys")?;
    let why = Why::Compromised { since };
    let former =
        data.authority.all_keys().into_iter().find(|k| k.until.is_some() && k.key.kid() == key);
    let (object, purpose, old, until) = match former {
        None => {
            let replaced = replace(dir, &data, purpose(key)?, why)?;
            (replaced_json(&replaced), replaced.purpose, replaced.old, replaced.until)
        }
        Some(old) => {
            let mut ring = ring(dir)?;
            let change = Change { purpose: old.purpose, old: old.key, new: None, why };
            let until = data.authority.key_changed(change)?;
            let until = ring.compromise(key, until).map_or(until, |f| f.until);
            keystore::write_ring(dir, &ring)?;
            let object = Object::new()
                .with("purpose", old.purpose.as_str())
                .with("old", key)
                .with("accepted_until", until.to_string());
            (object, old.purpose, old, until)
        }
    };
    data.take_up_keys()?;
    // Before an issuer's key was given up its roots ended with `until`; those
    // of the present one were issued until now.
    let ended = match purpose {
        Purpose::Issuer => data.authority.end_roots(old.from, old.until)?,
        _ => Ended::default(),
    };
    let instances: Vec<Json> = match purpose {
        Purpose::Issuer => ended.instances.iter().map(Json::from).collect(),
        // Each has an identity token or SVIDs under it.
        Purpose::Identity | Purpose::Svid => {
            let all = data.authority.instances(None)?;
            let active = all.iter().filter(|i| i.status == bailiwick_store::Status::Active);
            active.map(|i| Json::from(&i.id)).collect()
        }
        _ => Vec::new(),
    };
    let grants: Vec<Json> = ended.grants.iter().map(Json::from).collect();
    let text = format!(
        "the {} key {} is given up: what it signed is accepted before {} only\n  roots revoked       {}\n  grants to reissue   {}\n  instances to renew  {}{}",
        purpose.as_str(),
        old.key.kid(),
        until,
        ended.roots,
        grants.len(),
        instances.len(),
        if ended.more { "\n  (more than are listed)" } else { "" },
    );
    let object = object.with("since", since.to_string()).with("roots_revoked", ended.roots).with(
        "reissue",
        Object::new().with("grants", grants).with("instances", instances).with("more", ended.more),
    );
    out.result(object, text);
    let reissue =
        "bailiwick delegation reissue --grant GRANT --out chain.json   # for each that stands";
    let mut steps: Vec<&str> =
        (purpose == Purpose::Issuer).then_some(reissue).into_iter().collect();
    steps.extend(next(purpose));
    out.next(&steps);
    Ok(())
}
