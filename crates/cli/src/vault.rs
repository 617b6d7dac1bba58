//! The vault as the gateway asks it: the store's sealed credentials, their
//! key, and the references that some of them are.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bailiwick_core::ids::{PrincipalId, ServerName};
use bailiwick_core::time::Timestamp;
use bailiwick_gateway::ports::{Credential, Opened, Secret, Vault, VaultFault};
use bailiwick_store::{Store, StoreError, VaultKey, VaultPlace, VaultRow};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::datadir::DataDir;
use crate::error::CliError;
use crate::host;
use crate::keyfile;

pub(crate) mod account;
pub(crate) mod environment;
pub(crate) mod form;
mod source;
mod token;

use bailiwick_authority::rules::vault::ENVIRONMENT;
use form::{Form, Source};
use source::fault;

/// The vault's key, and the one that takes its place.
const KEY: &str = "vault.jwk";
const NEXT: &str = "vault.next.jwk";

/// How long what was read of the vault is kept.
const AGE: Duration = Duration::from_millis(500);
/// Seconds for which what a file said is good, and a command.
const FILE_SECONDS: i64 = 1;
const EXEC_SECONDS: i64 = 60;
/// Seconds for which a token is good that does not say so, and at most.
const TOKEN_SECONDS: i64 = 300;
const MAX_TOKEN_SECONDS: i64 = 24 * 3600;
/// Seconds before its end from which on a token is not used any more.
const LEEWAY_SECONDS: i64 = 60;
/// Places that are remembered.
const MAX_PLACES: usize = 10_000;

fn key_path(dir: &Path, name: &str) -> PathBuf {
    dir.join("keys").join(name)
}

fn read_key(path: &Path) -> Result<VaultKey, CliError> {
    Ok(VaultKey::new(*keyfile::own(keyfile::read_seed(path))?))
}

/// The key that a row was sealed with: a replacement may be under way.
fn key_of(dir: &Path, row: &VaultRow) -> Result<VaultKey, CliError> {
    for name in [KEY, NEXT] {
        let path = key_path(dir, name);
        if path.exists() {
            let key = read_key(&path)?;
            if key.id() == row.key {
                return Ok(key);
            }
        }
    }
    Err(key_missing())
}

fn key_missing() -> CliError {
    CliError::environment(
        "vault-key-missing",
        format!("what is in the vault was not sealed with `keys/{KEY}`"),
        "restore the folder `keys` from the backup of this data dir, or remove what it sealed with `bailiwick vault remove`",
    )
}

/// The vault's key for what is put there, made if there is none. Nobody else
/// replaces it meanwhile: the caller holds the claim `vault`.
pub(crate) fn key(data: &DataDir) -> Result<VaultKey, CliError> {
    settle(data)?;
    let path = key_path(&data.dir, KEY);
    let rows = data.authority.vault()?;
    if rows.is_empty() && !path.exists() {
        keyfile::create_key(&path)?;
        sync(&data.dir)?;
    }
    // Nothing is sealed with one key beside what another one sealed.
    if !path.exists() {
        return Err(key_missing());
    }
    let key = read_key(&path)?;
    if rows.iter().any(|row| row.key != key.id()) { Err(key_missing()) } else { Ok(key) }
}

/// Ends a replacement that was cut off: the key that sealed what is in the
/// vault stays.
fn settle(data: &DataDir) -> Result<(), CliError> {
    let next = key_path(&data.dir, NEXT);
    if !next.exists() {
        return Ok(());
    }
    let id = read_key(&next)?.id().to_owned();
    if data.authority.vault()?.iter().any(|row| row.key == id) {
        take(&data.dir)
    } else {
        fs::remove_file(&next).map_err(|e| CliError::file(&next, "remove", &e))
    }
}

/// Puts the next key in force.
fn take(dir: &Path) -> Result<(), CliError> {
    let (path, next) = (key_path(dir, KEY), key_path(dir, NEXT));
    fs::rename(&next, &path).map_err(|e| CliError::file(&path, "replace", &e))?;
    sync(dir)
}

fn sync(dir: &Path) -> Result<(), CliError> {
    let keys = dir.join("keys");
    let synced = fs::File::open(&keys).and_then(|f| f.sync_all());
    synced.map_err(|e| CliError::file(&keys, "write", &e))
}

/// Gives the vault another key; gives how many credentials were sealed anew.
pub(crate) fn rotate(data: &DataDir) -> Result<usize, CliError> {
    let old = key(data)?;
    let next = key_path(&data.dir, NEXT);
    keyfile::create_key(&next)?;
    sync(&data.dir)?;
    // If this fails, whether it was done is seen from the rows, next time.
    let sealed = data.authority.vault_rekey(&old, &read_key(&next)?)?;
    take(&data.dir)?;
    Ok(sealed)
}

/// Reads what a row holds.
pub(crate) fn read(data: &DataDir, row: &VaultRow) -> Result<Form, CliError> {
    let key = key_of(&data.dir, row)?;
    let opened = data.store().read(|v| v.vault_open(&row.place, &key))?;
    opened.and_then(|(_, bytes)| Form::parse(&bytes)).ok_or_else(|| {
        CliError::environment(
            "vault-form",
            format!("the credential for `{}` cannot be understood", row.place.server),
            "set it again",
        )
    })
}

/// A tool server, and a principal or the gateway itself.
type Place = (ServerName, Option<PrincipalId>);

/// When a version was read, and which it was.
type Read = (Instant, Option<String>);

/// The vault of a data dir.
pub(crate) struct StoreVault {
    store: Store,
    dir: PathBuf,
    issuer: String,
    renewer: account::Renewer,
    versions: Mutex<HashMap<Place, Read>>,
}

/// What is held at a place.
enum Held {
    Sealed(VaultRow),
    /// The file that the catalogue names: a bearer token.
    Catalogued(String),
}

impl Held {
    fn version(&self) -> String {
        match self {
            Self::Sealed(row) => row.entry.to_string(),
            Self::Catalogued(reference) => reference.clone(),
        }
    }
}

impl StoreVault {
    pub(crate) fn new(data: &DataDir) -> Self {
        Self {
            store: data.store().clone(),
            dir: data.dir.clone(),
            issuer: data.config.public_url(),
            renewer: account::Renewer::new(data),
            versions: Mutex::default(),
        }
    }

    fn held(
        &self,
        server: &ServerName,
        principal: Option<&PrincipalId>,
    ) -> Result<Option<Held>, VaultFault> {
        let found = self.store.read(|view| -> Result<_, StoreError> {
            let alias = match principal {
                None => None,
                Some(id) => match view.principal(&self.issuer, id)? {
                    Some(known) => Some(known.row.alias),
                    None => return Ok(None),
                },
            };
            let place = VaultPlace { server: server.clone(), principal: alias };
            match view.vault_row(&place)? {
                // It is in the program's environment: no call carries it.
                Some(row) if row.kind == ENVIRONMENT => return Ok(None),
                Some(row) => return Ok(Some(Held::Sealed(row))),
                None => {}
            }
            if principal.is_some() {
                return Ok(None);
            }
            let catalogued = view.tool_server(server)?.and_then(|s| s.row.credential);
            Ok(catalogued.map(Held::Catalogued))
        });
        found.map_err(|e| {
            tracing::error!(code = e.code(), error = %e, "the vault cannot be read");
            fault("vault-unreadable")
        })
    }

    fn form(&self, held: &Held) -> Result<Form, VaultFault> {
        let row = match held {
            Held::Catalogued(reference) => {
                let path = reference.strip_prefix("file:").ok_or(fault("vault-unreadable"))?;
                return Ok(Form::Bearer { secret: Source::File(path.to_owned()) });
            }
            Held::Sealed(row) => row,
        };
        let key = key_of(&self.dir, row).map_err(|e| {
            tracing::error!(code = %e.code, remedy = %e.remedy, "{}", e.message);
            fault("vault-key")
        })?;
        let opened = self.store.read(|v| v.vault_open(&row.place, &key)).map_err(|e| {
            tracing::error!(code = e.code(), error = %e, "a credential cannot be opened");
            fault("vault-sealed")
        })?;
        let (_, bytes) = opened.ok_or(fault("vault-unreadable"))?;
        Form::parse(&bytes).ok_or(fault("vault-unreadable"))
    }
}

impl Vault for StoreVault {
    fn version(
        &self,
        server: &ServerName,
        principal: Option<&PrincipalId>,
    ) -> Result<Option<String>, VaultFault> {
        let place = (server.clone(), principal.cloned());
        {
            let known = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((read, version)) = known.get(&place)
                && read.elapsed() < AGE
            {
                return Ok(version.clone());
            }
        }
        let version = self.held(server, principal)?.map(|held| held.version());
        let mut known = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_PLACES {
            known.clear();
        }
        known.insert(place, (Instant::now(), version.clone()));
        Ok(version)
    }

    fn open<'a>(
        &'a self,
        server: &'a ServerName,
        principal: Option<&'a PrincipalId>,
    ) -> BoxFuture<'a, Result<Option<Opened>, VaultFault>> {
        async move {
            let Some(held) = self.held(server, principal)? else { return Ok(None) };
            let form = self.form(&held)?;
            let form = match (form, &held) {
                (form @ Form::Account { .. }, Held::Sealed(row)) => {
                    match self.renewer.current(row, form).await? {
                        Some(form) => form,
                        None => return Ok(None),
                    }
                }
                (form, _) => form,
            };
            let (credential, until) = follow(&form).await?;
            Ok(Some(Opened { credential, version: held.version(), until }))
        }
        .boxed()
    }
}

/// Whether all of a form can be had.
pub(crate) async fn try_out(form: &Form) -> Result<(), VaultFault> {
    match form {
        Form::Environment { variables } => environment::follow(variables).await.map(drop),
        form => follow(form).await.map(drop),
    }
}

/// The credential of a form, and until when it is good.
async fn follow(form: &Form) -> Result<(Credential, Option<Timestamp>), VaultFault> {
    let asked = host::now();
    let unusable = fault("credential-unusable");
    let [from] = form.sources()[..] else { return Err(unusable) };
    let secret = source::read(from).await?;
    let credential = match form {
        // Nothing of it is a header.
        Form::Environment { .. } => None,
        Form::Bearer { .. } => Credential::bearer(&secret),
        Form::Account { until, refresh, .. } => {
            let credential = Credential::bearer(&secret).ok_or(unusable)?;
            let more = refresh.iter().map(|refresh| Secret::new(refresh.as_str()));
            let credential = credential.with_secrets(more).renewable();
            return Ok((credential, until.map(Timestamp::from_seconds)));
        }
        Form::Basic { user, .. } => Credential::basic(user, &secret),
        Form::Header { name, .. } => Credential::header(name, &secret),
        Form::ClientCredentials { token_url, client_id, scopes, resource, inside, .. } => {
            let resource = resource.as_deref();
            let inside = *inside;
            let client_secret = secret.as_str();
            let asked_for =
                token::Asked { token_url, client_id, client_secret, scopes, resource, inside };
            let token = token::client_credentials(&asked_for).await?;
            let credential = Credential::bearer(&token.access).ok_or(unusable)?;
            let credential = credential.with_secrets([Secret::new(secret.as_str())]).renewable();
            return Ok((credential, Some(asked.plus_seconds(good_seconds(token.lasts)))));
        }
    };
    let credential = credential.ok_or(unusable)?;
    Ok(match from {
        Source::Value(_) => (credential, None),
        Source::File(_) | Source::Credential(_) => {
            (credential, Some(asked.plus_seconds(FILE_SECONDS)))
        }
        Source::Exec(_) => (credential.renewable(), Some(asked.plus_seconds(EXEC_SECONDS))),
    })
}

/// For how long a token is used of which its server says how long it lasts.
pub(super) fn good_seconds(lasts: Option<Duration>) -> i64 {
    let lasts = lasts.map_or(TOKEN_SECONDS, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX));
    let lasts = lasts.min(MAX_TOKEN_SECONDS);
    // Of a short one the leeway is a tenth.
    lasts.saturating_sub(LEEWAY_SECONDS.min(lasts.checked_div(10).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_used_to_its_last_second() {
        let of = |seconds: u64| good_seconds(Some(Duration::from_secs(seconds)));
        assert_eq!((of(3600), of(60), of(10), of(0)), (3540, 54, 9, 0));
        assert_eq!(of(u64::MAX), MAX_TOKEN_SECONDS - 60);
        assert_eq!(good_seconds(None), 270);
    }
}
