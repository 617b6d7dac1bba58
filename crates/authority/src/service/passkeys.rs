//! People's passkeys: making them, using them, giving them up.

use bailiwick_core::ids::Alias;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Credential, CredentialKind, Ticket, Tx, View};

use super::logins::end_sessions;
use super::people::{SESSION, parsed, person, rows};
use super::{Authority, Inner};
use crate::host::Moment;
use crate::people::passkeys::{Enrolled, Passkeys};
use crate::people::sessions::Secret;
use crate::refusal::Refusal;
use crate::rules::approvers::counts_from;
use crate::rules::credentials::{self, Beside, KeptPasskey};

/// The last counter of a passkey: no projection of the ledger, because a login
/// is no entry.
const COUNTER: &str = "passkey";
const FOREVER: Timestamp = Timestamp::from_seconds(253_402_300_799);

/// A passkey as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPasskey {
    /// The credential's id.
    pub id: String,
    /// Its name.
    pub label: String,
    /// When it was added.
    pub added: Timestamp,
    /// When it was last used.
    pub used: Option<Timestamp>,
    /// From when on it may sign verdicts.
    pub trusted: Timestamp,
    /// Its WebAuthn id, base64url.
    pub credential_id: String,
}

/// A passkey's last counter and use.
#[derive(Clone, Copy)]
pub(super) struct Used {
    pub(super) counter: u32,
    at: Option<Timestamp>,
}

impl Used {
    pub(super) fn read(
        view: &View<'_>,
        credential: &Credential,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let Some(ticket) = view.ticket(COUNTER, &credential.lookup, now)? else {
            let registered = KeptPasskey::of(credential).map(|kept| kept.registered_counter());
            return Ok(Self { counter: registered.unwrap_or(u32::MAX), at: None });
        };
        let json = parsed(&ticket.value);
        let number =
            |name: &str| json.as_ref()?.as_object()?.member(name)?.as_number()?.as_plain_integer();
        let counter = number("counter").and_then(|n| u32::try_from(n).ok());
        Ok(Self {
            // SECURITY: an unreadable counter must not become a small one.
            counter: counter.unwrap_or(u32::MAX),
            at: number("used").map(Timestamp::from_millis),
        })
    }

    pub(super) fn keep(
        tx: &mut Tx<'_>,
        credential: &Credential,
        counter: u32,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let value = Object::new().with("counter", u64::from(counter)).with("used", now.millis());
        tx.keep_ticket(&Ticket {
            kind: COUNTER,
            key: credential.lookup,
            family: credential.principal.to_string(),
            value: Json::from(value).canonical(),
            expires: FOREVER,
        })?;
        Ok(())
    }
}

/// The passkeys of a person that still prove something.
pub(super) fn passkeys_of(view: &View<'_>, alias: &Alias) -> Result<Vec<Credential>, Refusal> {
    let mut found = rows(view.credentials_of(alias)?);
    found.retain(credentials::stands);
    Ok(found)
}

pub(super) fn own_passkeys(
    view: &View<'_>,
    alias: &Alias,
    now: Timestamp,
) -> Result<Vec<OwnPasskey>, Refusal> {
    let mut own = Vec::new();
    for credential in passkeys_of(view, alias)? {
        let Some(kept) = KeptPasskey::of(&credential) else { continue };
        let used = Used::read(view, &credential, now)?;
        own.push(OwnPasskey {
            trusted: counts_from(&credential),
            id: credential.id,
            label: credential.label,
            added: credential.added,
            used: used.at,
            credential_id: kept.id,
        });
    }
    Ok(own)
}

impl Authority {
    /// Begins making another passkey for a signed-in person; gives the
    /// ceremony's secret and what the browser is asked.
    ///
    /// # Errors
    /// [`Refusal::Passkey`].
    pub fn passkey_begin(
        &self,
        party: &Passkeys,
        alias: &Alias,
        name: &str,
    ) -> Result<(Secret, Json), Refusal> {
        let existing = self.0.store.read(|view| passkeys_of(view, alias))?;
        let existing: Vec<String> =
            existing.iter().filter_map(KeptPasskey::of).map(|passkey| passkey.kept).collect();
        let begun = party.begin_enrolment(alias, name, &existing)?;
        self.ceremony(alias.to_string(), begun)
    }

    /// Takes another passkey of a signed-in person.
    ///
    /// # Errors
    /// [`Refusal::TicketGone`], [`Refusal::Passkey`].
    pub fn passkey_finish(
        &self,
        party: &Passkeys,
        alias: &Alias,
        ceremony: &Secret,
        made: &Json,
        label: &str,
    ) -> Result<Credential, Refusal> {
        let enrolled = self.passkey_made(party, alias, ceremony, made)?;
        let (alias, label) = (alias.clone(), label.to_owned());
        self.transact(move |cx, tx, moment| add(cx, tx, moment, &alias, &enrolled, &label))
    }

    pub(super) fn passkey_made(
        &self,
        party: &Passkeys,
        alias: &Alias,
        ceremony: &Secret,
        made: &Json,
    ) -> Result<Enrolled, Refusal> {
        let ticket = self.take_ceremony(ceremony)?;
        if ticket.family != alias.as_str() {
            return Err(Refusal::TicketGone { what: "page" });
        }
        Ok(party.finish_enrolment(made, &ticket.value)?)
    }

    /// A person's passkeys.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn passkeys(&self, alias: &Alias) -> Result<Vec<OwnPasskey>, Refusal> {
        let now = self.0.host.now();
        self.0.store.read(|view| own_passkeys(view, alias, now))
    }

    /// Retires a passkey of a person; never the last one. The device that has
    /// it may be gone: every session but the one in which it is done ends.
    ///
    /// # Errors
    /// [`Refusal::Passkey`].
    pub fn passkey_remove(&self, alias: &Alias, id: &str, session: &Secret) -> Result<(), Refusal> {
        let (alias, id, session) = (alias.clone(), id.to_owned(), session.hash());
        self.transact(move |cx, tx, moment| {
            let (principal, _) = person(tx, &alias)?.ok_or(Refusal::PrincipalInactive)?;
            let existing = passkeys_of(tx, &alias)?;
            let installation = &cx.installation;
            let plan =
                credentials::remove_passkey(moment, installation, &principal, &id, &existing)?;
            cx.write(tx, plan)?;
            let own = tx.ticket(SESSION, &session, moment.now())?;
            end_sessions(tx, &alias)?;
            own.map_or(Ok(()), |own| Ok(tx.keep_ticket(&own)?))
        })
    }
}

pub(super) fn add(
    cx: &Inner,
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    alias: &Alias,
    enrolled: &Enrolled,
    label: &str,
) -> Result<Credential, Refusal> {
    let (principal, _) = person(tx, alias)?.ok_or(Refusal::PrincipalInactive)?;
    let existing = rows(tx.credentials_of(alias)?);
    let lookup = credentials::lookup(&enrolled.id)?;
    let is_taken = tx.credential_by_lookup(CredentialKind::Passkey, &lookup)?.is_some();
    let beside = Beside { existing: &existing, is_taken, is_first: !tx.has_signers()? };
    let plan =
        credentials::add_passkey(moment, &cx.installation, &principal, enrolled, label, beside)?;
    cx.write(tx, plan)
}
