//! The vault: credentials of tool servers, encrypted at rest.
//!
//! SECURITY: a row is bound to its organisation, tool server, principal, kind
//! and entry by associated data. Whoever can write the database can remove a
//! credential, but cannot make one principal's serve another or another tool
//! server's.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use bailiwick_core::crypto::{Digest, base64url, sha256};
use bailiwick_core::ids::{Alias, EntryId, OrgId, ServerName};
use zeroize::Zeroizing;

use crate::apply::execute;
use crate::columns::parsed;
use crate::error::StoreError;
use crate::seal::random;
use crate::tx::Tx;
use crate::view::View;

/// Bytes of one credential at most, before it is sealed.
pub const MAX_VAULT_BYTES: usize = 64 << 10;

const DOMAIN: &str = "bailiwick-vault-v1";
const KEY_ID_DOMAIN: &[u8] = b"bailiwick-vault-key-id-v1";

/// The key of the vault. It stays in `keys/vault.jwk` and seals nothing else.
#[derive(Clone)]
pub struct VaultKey {
    bytes: Arc<Zeroizing<[u8; 32]>>,
    id: String,
}

impl VaultKey {
    /// Wraps 32 random bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        let bytes = Zeroizing::new(bytes);
        let named = Zeroizing::new([KEY_ID_DOMAIN, &bytes[..]].concat());
        // Of a random key: nobody finds the key from it.
        let id = base64url(sha256(&named).bytes().first_chunk::<12>().map_or(&[][..], |c| c));
        Self { bytes: Arc::new(bytes), id }
    }

    /// Its name beside what it sealed.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    fn aead(&self) -> Option<LessSafeKey> {
        Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.bytes[..]).ok()?))
    }
}

impl std::fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VaultKey")
    }
}

/// Whose credential, and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VaultPlace {
    /// The tool server.
    pub server: ServerName,
    /// The principal; `None` for the gateway's own.
    pub principal: Option<Alias>,
}

impl VaultPlace {
    fn principal_text(&self) -> &str {
        self.principal.as_ref().map_or("", Alias::as_str)
    }
}

/// That a credential is there, without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultRow {
    /// Whose, and where.
    pub place: VaultPlace,
    /// What kind of credential, such as `bearer`.
    pub kind: String,
    /// The entry that says it was put there.
    pub entry: EntryId,
    /// The key that sealed it.
    pub key: String,
    /// Of the sealed bytes: another one whenever something else is sealed there.
    pub seal: Digest,
}

/// A row, and the credential that was sealed in it.
pub type Unsealed = (VaultRow, Zeroizing<Vec<u8>>);

/// What was taken out of the vault, sealed as it lay there. It is nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct VaultTaken {
    /// Where it lay.
    pub row: VaultRow,
    org: OrgId,
    sealed: Vec<u8>,
}

impl VaultTaken {
    /// The credential.
    ///
    /// # Errors
    /// [`StoreError::VaultSealed`] when the key is another one, or when it is not
    /// what was sealed.
    pub fn open(&self, key: &VaultKey) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        open(&self.org, &self.row, self.sealed.clone(), key)
    }
}

impl std::fmt::Debug for VaultTaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VaultTaken").field("place", &self.row.place).finish_non_exhaustive()
    }
}

fn associated(org: &OrgId, place: &VaultPlace, kind: &str, entry: &EntryId) -> Aad<Vec<u8>> {
    // No part can hold the separator: they are names and a kind of ours.
    let server = place.server.as_str();
    let parts = [DOMAIN, org.as_str(), server, place.principal_text(), kind, entry.as_str()];
    Aad::from(parts.join("\n").into_bytes())
}

/// The row as it is bound, and its nonce and ciphertext.
type Read = (VaultRow, Vec<u8>);

const COLUMNS: &str = "server, principal, kind, entry, key, sealed";

fn row(r: &rusqlite::Row<'_>) -> crate::columns::Read<Read> {
    let principal: String = r.get(1)?;
    let sealed: Vec<u8> = r.get(5)?;
    let row = VaultRow {
        place: VaultPlace {
            server: parsed(r, 0)?,
            principal: if principal.is_empty() { None } else { Some(parsed(r, 1)?) },
        },
        kind: r.get(2)?,
        entry: parsed(r, 3)?,
        key: r.get(4)?,
        seal: sha256(&sealed),
    };
    Ok((row, sealed))
}

impl View<'_> {
    /// Everything that is in the vault, by tool server and principal.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn vault(&self) -> Result<Vec<VaultRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM vault WHERE org = ?1 ORDER BY server, principal");
        self.many(&sql, [self.org_text()], |r| Ok(row(r)?.0))
    }

    /// Whether there is a credential at a place.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn vault_row(&self, place: &VaultPlace) -> Result<Option<VaultRow>, StoreError> {
        Ok(self.vault_sealed(place)?.map(|(row, _)| row))
    }

    fn vault_sealed(&self, place: &VaultPlace) -> Result<Option<Read>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM vault WHERE org = ?1 AND server = ?2 AND principal = ?3"
        );
        self.one(&sql, (self.org_text(), place.server.as_str(), place.principal_text()), row)
    }

    /// The credential at a place.
    ///
    /// # Errors
    /// [`StoreError::VaultSealed`] when the key is another one, or when the row
    /// is not what was sealed; [`StoreError::Fault`].
    pub fn vault_open(
        &self,
        place: &VaultPlace,
        key: &VaultKey,
    ) -> Result<Option<Unsealed>, StoreError> {
        let Some((row, sealed)) = self.vault_sealed(place)? else { return Ok(None) };
        let opened = open(self.org(), &row, sealed, key)?;
        Ok(Some((row, opened)))
    }
}

fn unopened(place: &VaultPlace) -> StoreError {
    StoreError::VaultSealed { server: place.server.to_string() }
}

fn open(
    org: &OrgId,
    row: &VaultRow,
    sealed: Vec<u8>,
    key: &VaultKey,
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let mut sealed = Zeroizing::new(sealed);
    let opened = sealed.split_first_chunk_mut::<NONCE_LEN>().and_then(|(nonce, text)| {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let aad = associated(org, &row.place, &row.kind, &row.entry);
        let text = key.aead()?.open_in_place(nonce, aad, text).ok()?;
        Some(Zeroizing::new(text.to_vec()))
    });
    opened.ok_or_else(|| unopened(&row.place))
}

impl Tx<'_> {
    /// Seals a credential, in place of the one that was there.
    ///
    /// # Errors
    /// [`StoreError::Value`] when it is too large, [`StoreError::Entropy`],
    /// [`StoreError::Fault`].
    pub fn vault_put(
        &mut self,
        place: &VaultPlace,
        kind: &str,
        entry: &EntryId,
        secret: &[u8],
        key: &VaultKey,
    ) -> Result<(), StoreError> {
        if secret.len() > MAX_VAULT_BYTES {
            return Err(StoreError::Value { what: "length of the credential" });
        }
        // Random nonces under one key: fewer than 2^32 credentials.
        let nonce = random::<NONCE_LEN>(&*self.view.cx.entropy)?;
        let mut text = Vec::with_capacity(secret.len().saturating_add(16));
        text.extend_from_slice(secret);
        let aad = associated(self.view.org(), place, kind, entry);
        key.aead()
            .and_then(|k| {
                let nonce = Nonce::assume_unique_for_key(nonce);
                k.seal_in_place_append_tag(nonce, aad, &mut text).ok()
            })
            .ok_or_else(|| unopened(place))?;
        let mut sealed = nonce.to_vec();
        sealed.append(&mut text);
        let sql = "INSERT INTO vault (org, server, principal, kind, entry, key, sealed)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                   ON CONFLICT (org, server, principal) DO UPDATE
                   SET kind = excluded.kind, entry = excluded.entry,
                       key = excluded.key, sealed = excluded.sealed";
        let params = (
            self.view.org().as_str(),
            place.server.as_str(),
            place.principal_text(),
            kind,
            entry.as_str(),
            key.id(),
            &sealed,
        );
        execute(self.view.c, sql, params, "credential").map(|_| ())
    }

    /// Takes out what is at a place, if there is anything.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn vault_take(&mut self, place: &VaultPlace) -> Result<Option<VaultTaken>, StoreError> {
        let Some((row, sealed)) = self.view.vault_sealed(place)? else { return Ok(None) };
        let sql = "DELETE FROM vault WHERE org = ?1 AND server = ?2 AND principal = ?3";
        let params = (self.view.org().as_str(), place.server.as_str(), place.principal_text());
        execute(self.view.c, sql, params, "credential")?;
        Ok(Some(VaultTaken { row, org: self.view.org().clone(), sealed }))
    }

    /// Removes what a row says, if it is still that and was not sealed anew;
    /// false, if not.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn vault_remove_same(&mut self, row: &VaultRow) -> Result<bool, StoreError> {
        if self.view.vault_row(&row.place)?.as_ref() != Some(row) {
            return Ok(false);
        }
        Ok(self.vault_take(&row.place)?.is_some())
    }

    /// Takes out all that a principal has.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn vault_take_of(&mut self, principal: &Alias) -> Result<Vec<VaultTaken>, StoreError> {
        let of = |row: &VaultRow| row.place.principal.as_ref() == Some(principal);
        let rows: Vec<_> = self.view.vault()?.into_iter().filter(of).collect();
        let mut taken = Vec::with_capacity(rows.len());
        for row in rows {
            taken.extend(self.vault_take(&row.place)?);
        }
        Ok(taken)
    }

    /// Seals everything anew under another key; gives how many there were.
    ///
    /// # Errors
    /// As [`View::vault_open`] and [`Tx::vault_put`].
    pub fn vault_rekey(&mut self, old: &VaultKey, new: &VaultKey) -> Result<usize, StoreError> {
        let rows = self.view.vault()?;
        for row in &rows {
            let Some((_, secret)) = self.view.vault_open(&row.place, old)? else { continue };
            self.vault_put(&row.place, &row.kind, &row.entry, &secret, new)?;
        }
        Ok(rows.len())
    }
}
