//! People's own accounts at tool servers: which there are, and consents on
//! their way.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{Alias, EntryId, ServerName};
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{
    Filter, IdentityMode, Status, StoreError, StoredEntry, Subject, Ticket, VaultKey, VaultPlace,
    VaultRow, VaultTaken, View,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Authority;
use crate::people::accounts::{self, AccountError, Site};
use crate::people::sessions::Secret;
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::rules::vault;

const KIND: &str = "account-consent";
/// Seconds for which a consent may be under way.
const SECONDS: i64 = 600;
/// Consents that one person may have under way.
const MAX_OWN: u64 = 100;
/// Entries that are read to say since when an account is connected.
const MAX_ENTRIES: u32 = 500;
/// The reason code of an account whose server does not renew it any more.
pub(crate) const LAPSED: &str = "lapsed";
/// The reason code of an account that its person connects anew.
const RECONNECTED: &str = "reconnected";

/// A consent on its way: who began it, in which session, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountBegun {
    /// At which tool server.
    pub server: ServerName,
    /// Who.
    pub person: Alias,
    /// The hash of their session's secret.
    pub session: Digest,
    /// Where they were sent.
    pub site: Site,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    server: String,
    person: String,
    session: String,
    site: Site,
}

impl AccountBegun {
    fn to_text(&self) -> Option<String> {
        serde_json::to_string(&Kept {
            server: self.server.to_string(),
            person: self.person.to_string(),
            session: self.session.to_string(),
            site: self.site.clone(),
        })
        .ok()
    }

    fn parse(text: &str) -> Option<Self> {
        let kept: Kept = serde_json::from_str(text).ok()?;
        Some(Self {
            server: ServerName::parse(&kept.server).ok()?,
            person: Alias::parse(&kept.person).ok()?,
            session: Digest::from_text(&kept.session)?,
            site: kept.site,
        })
    }
}

/// A tool server that knows people by their own account, and whether this
/// person has one there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAccount {
    /// The tool server.
    pub server: ServerName,
    /// Its URL.
    pub url: String,
    /// The kind of credential, if there is one: `account` came by consent.
    pub kind: Option<String>,
    /// When it came.
    pub since: Option<Timestamp>,
    /// When the last one ended because its server did not renew it.
    pub lapsed: Option<Timestamp>,
}

impl Authority {
    /// The tool servers that know people by their own accounts, and which of
    /// them this person has.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn accounts(&self, person: &Alias) -> Result<Vec<OwnAccount>, Refusal> {
        self.read(|view| {
            let entries = history(view, person)?;
            let mut accounts = Vec::new();
            for server in view.tool_servers()? {
                let subject = [Subject::ToolServer { name: server.name.clone() }];
                if server.identity_mode != IdentityMode::Principal
                    || server.status != Status::Active
                    || server.url.starts_with("stdio:")
                    || view.is_revoked(&subject)?.is_some()
                {
                    continue;
                }
                let place =
                    VaultPlace { server: server.name.clone(), principal: Some(person.clone()) };
                let row = view.vault_row(&place)?;
                let made = |e: &&StoredEntry| row.as_ref().is_some_and(|row| row.entry == e.id);
                let last =
                    entries.iter().find(|e| server_of(e).as_deref() == Some(place.server.as_str()));
                let lapsed = last.filter(|e| {
                    e.kind == Kind::VaultCredentialRemoved.as_str()
                        && e.subjects.reason.as_deref() == Some(LAPSED)
                });
                accounts.push(OwnAccount {
                    server: server.name.clone(),
                    url: server.url.clone(),
                    since: entries.iter().find(made).map(|e| e.time),
                    lapsed: lapsed.filter(|_| row.is_none()).map(|e| e.time),
                    kind: row.map(|row| row.kind),
                });
            }
            Ok(accounts)
        })
    }

    /// Keeps a consent that the browser with `secret` began.
    ///
    /// # Errors
    /// [`Refusal::Busy`] beyond what may be under way at once.
    pub fn account_begun(&self, secret: &Secret, begun: &AccountBegun) -> Result<(), Refusal> {
        let (key, family) = (secret.hash(), begun.person.to_string());
        let value = begun.to_text().ok_or(AccountError::Answer)?;
        self.transact(move |_, tx, moment| {
            if tx.tickets_of(KIND, &family, moment.now())? >= MAX_OWN {
                return Err(Refusal::Busy);
            }
            let expires = moment.now().plus_seconds(SECONDS);
            let (family, value) = (family.clone(), value.clone());
            tx.keep_ticket(&Ticket { kind: KIND, key, family, value, expires })?;
            Ok(())
        })
    }

    /// Takes the consent that the browser with `secret` began: it is over with
    /// its first answer, right or wrong.
    ///
    /// # Errors
    /// [`AccountError::State`].
    pub fn account_taken(&self, secret: &Secret) -> Result<AccountBegun, Refusal> {
        let key = secret.hash();
        let taken =
            self.transact(move |_, tx, moment| Ok(tx.take_ticket(KIND, &key, moment.now())?))?;
        let begun = taken.and_then(|ticket| AccountBegun::parse(&ticket.value));
        Ok(begun.ok_or(AccountError::State)?)
    }

    /// Seals renewed tokens in place of those of the same consent; false, if
    /// that is not there any more: what was taken away stays away.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn vault_renew(
        &self,
        place: &VaultPlace,
        entry: &EntryId,
        sealed: Zeroizing<Vec<u8>>,
        key: &VaultKey,
    ) -> Result<bool, Refusal> {
        let (place, entry, key) = (place.clone(), entry.clone(), key.clone());
        self.transact(move |_, tx, _| {
            let Some(row) = tx.vault_row(&place)?.filter(|row| row.entry == entry) else {
                return Ok(false);
            };
            tx.vault_put(&place, &row.kind, &row.entry, &sealed, &key)?;
            Ok(true)
        })
    }

    /// Removes a consent that its server does not renew any more; false, if
    /// what was refused is not what is there: somebody renewed it meanwhile.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn vault_lapsed(&self, refused: &VaultRow) -> Result<bool, Refusal> {
        let refused = refused.clone();
        self.transact(move |cx, tx, moment| {
            if !tx.vault_remove_same(&refused)? {
                return Ok(false);
            }
            let step = vault::remove(moment, &cx.installation, &refused.place, LAPSED)?;
            cx.write(tx, Plan::one(step, true))
        })
    }

    /// Takes out the consent that a person is about to replace, if there is
    /// one. What came otherwise stays until it is replaced.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn account_replaced(
        &self,
        person: &Alias,
        server: &ServerName,
    ) -> Result<Option<VaultTaken>, Refusal> {
        let place = VaultPlace { server: server.clone(), principal: Some(person.clone()) };
        self.transact(move |cx, tx, moment| {
            if tx.vault_row(&place)?.is_none_or(|row| row.kind != accounts::KIND) {
                return Ok(None);
            }
            let taken = tx.vault_take(&place)?;
            let step = vault::remove(moment, &cx.installation, &place, RECONNECTED)?;
            cx.write(tx, Plan::one(step, taken))
        })
    }
}

/// What became of this person's credentials, newest first.
fn history(view: &View<'_>, person: &Alias) -> Result<Vec<StoredEntry>, StoreError> {
    let mut found = Vec::new();
    for kind in [Kind::VaultCredentialSet, Kind::VaultCredentialRemoved] {
        let filter = Filter {
            principal: Some(person.to_string()),
            kind: Some(kind),
            limit: MAX_ENTRIES,
            ..Filter::default()
        };
        found.extend(view.query(&filter)?);
    }
    found.sort_by_key(|entry| std::cmp::Reverse(entry.index));
    Ok(found)
}

fn server_of(entry: &StoredEntry) -> Option<String> {
    let leaf = Json::parse(&entry.leaf, &JsonLimits::DEFAULT).ok()?;
    let body = leaf.as_object()?.member("body")?.as_object()?;
    body.member("server")?.as_str().map(str::to_owned)
}
