//! The vault of tool servers' credentials. What a credential looks like inside
//! is the gateway's business: here it is bytes.

use bailiwick_core::ids::{PrincipalId, ServerName};
use bailiwick_store::{Subject, Tx, VaultKey, VaultPlace, VaultRow, VaultTaken};
use zeroize::Zeroizing;

use super::{Authority, Inner};
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::rules::vault;

/// A credential to put into the vault.
pub struct NewCredential {
    /// For which tool server.
    pub server: ServerName,
    /// Whose; `None` for the gateway's own.
    pub principal: Option<PrincipalId>,
    /// What sort it is, a code.
    pub kind: &'static str,
    /// Where its value comes from, a code.
    pub source: &'static str,
    /// What is sealed.
    pub sealed: Zeroizing<Vec<u8>>,
}

fn place(
    cx: &Inner,
    tx: &Tx<'_>,
    server: &ServerName,
    principal: Option<&PrincipalId>,
) -> Result<VaultPlace, Refusal> {
    let principal = match principal {
        Some(id) => {
            let found = cx.principal(tx, id)?;
            Some(found.ok_or_else(|| Refusal::unknown("principal", id))?.row.alias)
        }
        None => None,
    };
    Ok(VaultPlace { server: server.clone(), principal })
}

impl Authority {
    /// Puts a credential into the vault; gives the one that was there before.
    ///
    /// # Errors
    /// See [`vault::set`]; [`Refusal::Store`].
    pub fn vault_set(
        &self,
        new: NewCredential,
        key: &VaultKey,
    ) -> Result<Option<VaultTaken>, Refusal> {
        let key = key.clone();
        self.transact(move |cx, tx, moment| {
            let server = tx.tool_server(&new.server)?;
            let subject = [Subject::ToolServer { name: new.server.clone() }];
            let found = new.principal.as_ref().map(|id| cx.principal(tx, id)).transpose()?;
            let found = found.flatten();
            let principal = found.as_ref().map(|p| p.row.alias.clone());
            let place = VaultPlace { server: new.server.clone(), principal };
            let replaced = tx.vault_take(&place)?;
            let known = vault::Known {
                server: server.as_deref(),
                revoked: tx.is_revoked(&subject)?.is_some(),
                principal: new.principal.as_ref().map(|id| (id.as_str(), found.as_deref())),
                replaced: replaced.is_some(),
            };
            let what = (new.kind, new.source);
            let plan = vault::set(moment, &cx.installation, &place, what, known)?;
            let entry = cx.write(tx, plan)?;
            tx.vault_put(&place, new.kind, &entry, &new.sealed, &key)?;
            Ok(replaced)
        })
    }

    /// Takes one out: it is nowhere but in what is given.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] when there is none, or no such principal.
    pub fn vault_remove(
        &self,
        server: &ServerName,
        principal: Option<&PrincipalId>,
    ) -> Result<VaultTaken, Refusal> {
        let (server, principal) = (server.clone(), principal.cloned());
        self.transact(move |cx, tx, moment| {
            let place = place(cx, tx, &server, principal.as_ref())?;
            let taken = tx.vault_take(&place)?;
            let taken =
                taken.ok_or_else(|| Refusal::unknown("credential in the vault for", &server))?;
            let step = vault::remove(moment, &cx.installation, &place, "removed")?;
            cx.write(tx, Plan::one(step, taken))
        })
    }

    /// Seals everything anew under another key; gives how many there were.
    ///
    /// # Errors
    /// [`Refusal::Store`]: then all is as it was.
    pub fn vault_rekey(&self, old: &VaultKey, new: &VaultKey) -> Result<usize, Refusal> {
        let (old, new) = (old.clone(), new.clone());
        self.transact(move |cx, tx, moment| {
            let credentials = tx.vault_rekey(&old, &new)?;
            cx.write(tx, vault::rekeyed(moment, &cx.installation, credentials)?)
        })
    }

    /// What is in the vault, without any value.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn vault(&self) -> Result<Vec<VaultRow>, Refusal> {
        self.read(|view| view.vault())
    }
}
