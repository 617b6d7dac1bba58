//! The person on this machine: a principal whose key lies among its logins.

use std::path::{Path, PathBuf};

use bailiwick_core::ids::PrincipalId;

use super::login;
use crate::datadir::DataDir;
use crate::error::{Class, CliError};
use crate::keyfile::{Algorithm, PrincipalKey};

/// The key's file, among the logins.
const FILE: &str = "principal.key";

fn file(logins: Option<&Path>) -> Result<PathBuf, CliError> {
    Ok(login::folder(logins)?.join(FILE))
}

/// The key with which a grant is signed: the one that was named, or this person's.
///
/// SECURITY: a grant has an author (DESIGN rule 9). It is the person's own key, outside of the
/// data dir, and the authority checks its signature as any other's.
pub(super) fn key(named: Option<&Path>, logins: Option<&Path>) -> Result<PrincipalKey, CliError> {
    if let Some(named) = named {
        return PrincipalKey::read(named);
    }
    let file = file(logins)?;
    if !file.exists() {
        return Err(CliError::usage(
            "no-principal-key",
            "there is no key of yours to sign a grant with",
            "make one with `bailiwick init --yes --me user:NAME`, or name a principal's key file",
        ));
    }
    PrincipalKey::read(&file)
}

/// This person, if they are registered here.
pub(super) fn known(data: &DataDir, logins: Option<&Path>) -> Option<PrincipalId> {
    let key = PrincipalKey::read(&file(logins).ok()?).ok()?;
    data.authority.principal(&key.id).is_ok().then_some(key.id)
}

/// What a new data dir needs to know its person by.
pub(super) struct Me {
    key: PrincipalKey,
    file: PathBuf,
}

impl Me {
    /// The key that is there, or a new one. Nothing is replaced.
    pub(super) fn new(id: &PrincipalId, logins: Option<&Path>) -> Result<Self, CliError> {
        let file = file(logins)?;
        if !file.exists() {
            if let Some(folder) = file.parent() {
                bailiwick_store::create_private_dir(folder)?;
            }
            let key = PrincipalKey::create(&file, id, Algorithm::Ed25519)?;
            return Ok(Self { key, file });
        }
        let key = PrincipalKey::read(&file)?;
        if key.id != *id {
            return Err(CliError::new(
                Class::Refused,
                "not-your-key",
                format!("`{}` is the key of `{}`", file.display(), key.id),
                format!("be `{}` here too, or keep other logins with --logins DIR", key.id),
            ));
        }
        Ok(Self { key, file })
    }

    /// Registers the person; gives where the key is.
    pub(super) fn register(&self, data: &DataDir) -> Result<&Path, CliError> {
        data.authority.principal_add(&self.key.id, Some(&self.key.jwk()))?;
        Ok(&self.file)
    }
}
