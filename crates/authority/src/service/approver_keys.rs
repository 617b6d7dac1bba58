//! Keys in files with which people sign verdicts, and who vouches for what is new.

use bailiwick_core::ids::PrincipalId;
use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::json::Object;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Credential, CredentialKind, Stored};

use super::Authority;
use super::people::{person, rows};
use crate::people::sessions::Session;
use crate::refusal::Refusal;
use crate::rules::approvers::{self, Voucher, key_of};

/// An approver key as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnApproverKey {
    /// The credential's id.
    pub id: String,
    /// Its name.
    pub label: String,
    /// The key's thumbprint.
    pub thumbprint: String,
    /// When it was added.
    pub added: Timestamp,
    /// From when on it may sign verdicts.
    pub trusted: Option<Timestamp>,
}

impl Authority {
    /// Enrols a key in a file with which `id` signs verdicts.
    ///
    /// # Errors
    /// See [`approvers::add_key`].
    pub fn approver_key_add(
        &self,
        id: &PrincipalId,
        key: &VerifyingKey,
        name: &str,
    ) -> Result<Credential, Refusal> {
        let (id, key, name) = (id.clone(), *key, name.to_owned());
        self.commit(move |cx, tx, moment| {
            let principal = cx.principal(tx, &id)?;
            let principal = principal.ok_or_else(|| Refusal::unknown("principal", &id))?;
            let existing = rows(tx.credentials_of(&principal.alias)?);
            let lookup = approvers::lookup(&key);
            let taken = tx.credential_by_lookup(CredentialKind::Approver, &lookup)?.is_some();
            let is_first = !tx.has_signers()?;
            let installation = &cx.installation;
            let known = (taken, is_first);
            approvers::add_key(moment, installation, &principal, &key, &name, &existing, known)
        })
    }

    /// The approver keys of a person that were not given up.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn approver_keys(&self, id: &PrincipalId) -> Result<Vec<OwnApproverKey>, Refusal> {
        let principal = self.principal(id)?;
        let found = self.read(|view| view.credentials_of(&principal.alias))?;
        let own = |credential: Stored<Credential>| {
            let key = key_of(&credential)?;
            let active = credential.status == bailiwick_store::Status::Active;
            active.then(|| OwnApproverKey {
                id: credential.id.clone(),
                label: credential.label.clone(),
                thumbprint: key.thumbprint().to_string(),
                added: credential.added,
                trusted: credential.trusted,
            })
        };
        Ok(found.into_iter().filter_map(own).collect())
    }

    /// An owner, signed in, vouches for somebody else's passkey or approver key.
    ///
    /// # Errors
    /// See [`approvers::vouch`]; [`Refusal::NotYourRole`] is the caller's.
    pub fn credential_vouch(&self, session: &Session, credential: &str) -> Result<(), Refusal> {
        let (session, id) = (session.clone(), credential.to_owned());
        self.commit(move |cx, tx, moment| {
            let owner = person(tx, &session.principal)?;
            let (owner, _) = owner.ok_or(Refusal::PrincipalInactive)?;
            let found = tx.credential(&id)?;
            let found = found.ok_or_else(|| Refusal::unknown("passkey or approver key", &id))?;
            let with = match &session.credential {
                Some(id) => tx.credential(id)?.map(|stored| stored.row),
                None => None,
            };
            let first = tx.first_signer()?;
            let voucher = Voucher {
                owner: &owner,
                credential: with.as_ref(),
                is_first: first.is_some() && first == session.credential,
            };
            approvers::vouch(moment, &cx.installation, &found, voucher)
        })
    }
}

impl OwnApproverKey {
    /// As its owner sees it.
    #[must_use]
    pub fn to_json(&self) -> Object {
        Object::new()
            .with("credential", self.id.as_str())
            .with("name", self.label.as_str())
            .with("thumbprint", self.thumbprint.as_str())
            .with("added", self.added.to_string())
            .with("trusted", self.trusted.map(|at| at.to_string()))
    }
}
