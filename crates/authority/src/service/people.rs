//! People: enrolment, login, sessions, roles.

use bailiwick_core::ids::{Alias, PrincipalId};
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{
    Credential, CredentialKind, Principal, Status, Stored, Subject, Ticket, Tx, View,
};

use super::life::is_service;
use super::life::other_owners;
use super::passkeys::{Used, add};
use super::{Authority, revoked};
use crate::host::Moment;
use crate::people::passkeys::{Begun, CEREMONY_SECONDS, PasskeyError, Passkeys};
use crate::people::roles::Role;
use crate::people::sessions::{Method, Secret, Session};
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::credentials::{self, KeptPasskey};
use crate::rules::roles;

/// Logins that strangers may have under way at once. Beyond it, the next one
/// waits until some are over.
pub(super) const MAX_CEREMONIES: u64 = 10_000;

pub(super) const SESSION: &str = "session";
pub(super) const LINK: &str = "enrolment";
pub(super) const CEREMONY: &str = "ceremony";

/// A signed-in person.
#[derive(Clone, Debug, PartialEq)]
pub struct SignedIn {
    /// The principal.
    pub principal: Principal,
    /// Its name.
    pub id: PrincipalId,
    /// Its roles.
    pub roles: Vec<Role>,
    /// The session.
    pub session: Session,
}

/// Whom an enrolment link is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invited {
    /// Who.
    pub id: PrincipalId,
    /// Its alias.
    pub alias: Alias,
    /// Until when.
    pub until: Timestamp,
}

pub(super) fn parsed(text: &str) -> Option<Json> {
    Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).ok()
}

/// A person who may sign in: known, active, not revoked.
pub(super) fn person(
    view: &View<'_>,
    alias: &Alias,
) -> Result<Option<(Principal, PrincipalId)>, Refusal> {
    let subject = [Subject::Principal { alias: alias.clone() }];
    let Some(found) = view.principal_by_alias(alias)? else { return Ok(None) };
    if found.status != Status::Active || revoked(view, &subject)?.is_some() {
        return Ok(None);
    }
    let id = found.id.clone();
    Ok(id.map(|id| (found.row, id)))
}

/// The person of a session, with the roles of now, if they may sign in.
pub(super) fn signed_in(view: &View<'_>, session: Session) -> Result<Option<SignedIn>, Refusal> {
    let Some((principal, id)) = person(view, &session.principal)? else { return Ok(None) };
    let roles = view.roles_of(&session.principal)?;
    let roles = roles.iter().filter_map(|role| role.parse().ok()).collect();
    Ok(Some(SignedIn { principal, id, roles, session }))
}

pub(super) fn rows(found: Vec<Stored<Credential>>) -> Vec<Credential> {
    found.into_iter().map(|stored| stored.row).collect()
}

impl Authority {
    /// Whom a link is for, while it may be used.
    ///
    /// # Errors
    /// [`Refusal::TicketGone`].
    pub fn invited(&self, link: &Secret) -> Result<Invited, Refusal> {
        let now = self.0.host.now();
        self.0.store.read(|view| invited(view, link, now))
    }

    /// Begins making the passkey of whom the link is for.
    ///
    /// # Errors
    /// [`Refusal::TicketGone`], [`Refusal::Passkey`].
    pub fn enrolment_begin(
        &self,
        party: &Passkeys,
        link: &Secret,
    ) -> Result<(Secret, Json), Refusal> {
        let invited = self.invited(link)?;
        self.passkey_begin(party, &invited.alias, invited.id.as_str())
    }

    /// Takes the first passkey, which uses up the link, and signs the person in.
    ///
    /// # Errors
    /// [`Refusal::TicketGone`], [`Refusal::Passkey`].
    pub fn enrolment_finish(
        &self,
        party: &Passkeys,
        link: &Secret,
        ceremony: &Secret,
        made: &Json,
        label: &str,
    ) -> Result<Secret, Refusal> {
        let invited = self.invited(link)?;
        let enrolled = self.passkey_made(party, &invited.alias, ceremony, made)?;
        let (link, label) = (link.clone(), label.to_owned());
        self.transact(move |cx, tx, moment| {
            let gone = Refusal::TicketGone { what: "link" };
            let ticket = tx.take_ticket(LINK, &link.hash(), moment.now())?.ok_or(gone)?;
            if ticket.family != invited.alias.as_str() {
                return Err(Refusal::TicketGone { what: "link" });
            }
            let made = add(cx, tx, moment, &invited.alias, &enrolled, &label)?;
            let session = Session::begin(invited.alias, Method::Passkey, moment.now())
                .with_credential(made.id);
            begin_session(tx, moment, &session)
        })
    }

    /// Begins a login of whoever comes.
    ///
    /// # Errors
    /// [`Refusal::Passkey`], [`Refusal::Store`].
    pub fn login_begin(&self, party: &Passkeys) -> Result<(Secret, Json), Refusal> {
        self.ceremony(String::new(), party.begin_login()?)
    }

    /// Finishes a login and begins a session.
    ///
    /// # Errors
    /// [`Refusal::TicketGone`], [`Refusal::Passkey`]; whoever may not sign in
    /// hears the same as one who is not known.
    pub fn login_finish(
        &self,
        party: &Passkeys,
        ceremony: &Secret,
        answer: &Json,
    ) -> Result<Secret, Refusal> {
        // A ceremony is over with its first answer, right or wrong.
        let ticket = self.take_ceremony(ceremony)?;
        if !ticket.family.is_empty() {
            return Err(Refusal::TicketGone { what: "page" });
        }
        let (alias, id) = party.identify(answer)?;
        let lookup = credentials::lookup(&id)?;
        let (party, answer) = (party.clone(), answer.clone());
        let person_of = alias.clone();
        let signed_in = self.transact(move |_, tx, moment| {
            let unknown = || Refusal::from(PasskeyError::Unknown);
            let found = tx.credential_by_lookup(CredentialKind::Passkey, &lookup)?;
            let found = found.filter(|c| c.principal == alias && credentials::stands(c));
            let credential = found.ok_or_else(unknown)?.row;
            person(tx, &alias)?.ok_or_else(unknown)?;
            let passkey = KeptPasskey::of(&credential).ok_or_else(unknown)?;
            let used = Used::read(tx, &credential, moment.now())?;
            let done = party.finish_login(&answer, &ticket.value, &passkey.kept, used.counter)?;
            Used::keep(tx, &credential, done.counter, moment.now())?;
            let session =
                Session::begin(alias, Method::Passkey, moment.now()).with_credential(credential.id);
            begin_session(tx, moment, &session)
        });
        if matches!(&signed_in, Err(Refusal::Passkey(PasskeyError::Counter))) {
            self.passkey_suspected(&person_of)?;
        }
        signed_in
    }

    /// Records that a passkey signed whose counter had gone back. Only whoever
    /// has the key or a copy of it gets this far.
    pub(super) fn passkey_suspected(&self, alias: &Alias) -> Result<(), Refusal> {
        let alias = alias.to_string();
        self.commit(move |cx, _, moment| {
            let step = Step::new(moment, &cx.installation.org, Kind::AuthorizationRefused)?
                .about(|s| {
                    s.principal = Some(alias);
                    s.reason = Some(PasskeyError::Counter.code().to_owned());
                })
                .with("by", "authority");
            Ok(Plan::one(step, ()))
        })
    }

    /// The person of a session that still stands.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn session(&self, secret: &Secret) -> Result<Option<SignedIn>, Refusal> {
        let (key, now) = (secret.hash(), self.0.host.now());
        let found = self.0.store.read(|view| -> Result<_, Refusal> {
            let Some(ticket) = view.ticket(SESSION, &key, now)? else { return Ok(None) };
            let session = parsed(&ticket.value).as_ref().and_then(Session::from_json);
            let Some(session) = session.filter(|s| s.check(now).is_ok()) else { return Ok(None) };
            signed_in(view, session)
        })?;
        if let Some(touched) = found.as_ref().and_then(|person| person.session.touched(now)) {
            let secret = secret.clone();
            self.transact(move |_, tx, moment| {
                // Not if it was ended meanwhile.
                if tx.ticket(SESSION, &secret.hash(), moment.now())?.is_some() {
                    keep_session(tx, &secret, &touched)?;
                }
                Ok(())
            })?;
        }
        Ok(found)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn session_end(&self, secret: &Secret) -> Result<(), Refusal> {
        let key = secret.hash();
        self.transact(move |_, tx, moment| {
            tx.take_ticket(SESSION, &key, moment.now())?;
            Ok(())
        })
    }

    /// Gives a principal a role, or takes it.
    ///
    /// # Errors
    /// See [`roles::change`]; [`Refusal::Unknown`].
    pub fn role_change(&self, id: &PrincipalId, role: Role, held: bool) -> Result<(), Refusal> {
        if held && is_service(id) {
            return Err(Refusal::NotAPerson { id: id.clone() });
        }
        let id = id.clone();
        self.commit(move |cx, tx, moment| {
            let found = cx.principal(tx, &id)?.ok_or_else(|| Refusal::unknown("principal", &id))?;
            let holds = tx.roles_of(&found.alias)?.iter().any(|had| had == role.as_str());
            let others = other_owners(tx, &found.alias)?.len();
            let installation = &cx.installation;
            roles::change(moment, installation, &found, role, held, holds, others)
        })
    }

    /// A principal's roles.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn roles(&self, id: &PrincipalId) -> Result<Vec<Role>, Refusal> {
        let alias = self.principal(id)?.row.alias;
        let roles = self.read(|view| view.roles_of(&alias))?;
        Ok(roles.iter().filter_map(|role| role.parse().ok()).collect())
    }

    pub(super) fn ceremony(&self, family: String, begun: Begun) -> Result<(Secret, Json), Refusal> {
        let Begun { options, state } = begun;
        let secret = self.transact(move |_, tx, moment| {
            if tx.tickets_of(CEREMONY, &family, moment.now())? >= MAX_CEREMONIES {
                return Err(Refusal::Busy);
            }
            let secret = Secret::mint(moment)?;
            let expires = moment.now().plus_seconds(CEREMONY_SECONDS);
            keep(tx, CEREMONY, &secret, &family, &state, expires)?;
            Ok(secret)
        })?;
        Ok((secret, options))
    }

    pub(super) fn take_ceremony(&self, secret: &Secret) -> Result<Ticket, Refusal> {
        let key = secret.hash();
        self.transact(move |_, tx, moment| {
            let gone = Refusal::TicketGone { what: "page" };
            tx.take_ticket(CEREMONY, &key, moment.now())?.ok_or(gone)
        })
    }
}

fn invited(view: &View<'_>, link: &Secret, now: Timestamp) -> Result<Invited, Refusal> {
    let gone = || Refusal::TicketGone { what: "link" };
    let ticket = view.ticket(LINK, &link.hash(), now)?.ok_or_else(gone)?;
    let alias = Alias::parse(&ticket.family).map_err(|_| gone())?;
    let (_, id) = person(view, &alias)?.ok_or_else(gone)?;
    Ok(Invited { id, alias, until: ticket.expires })
}

pub(super) fn begin_session(
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    session: &Session,
) -> Result<Secret, Refusal> {
    // A session never takes over a secret that the browser had before.
    let secret = Secret::mint(moment)?;
    keep_session(tx, &secret, session)?;
    Ok(secret)
}

fn keep_session(tx: &mut Tx<'_>, secret: &Secret, session: &Session) -> Result<(), Refusal> {
    let (family, value) = (session.principal.to_string(), session.to_json().canonical());
    keep(tx, SESSION, secret, &family, &value, session.expires())
}

pub(super) fn keep(
    tx: &mut Tx<'_>,
    kind: &'static str,
    secret: &Secret,
    family: &str,
    value: &str,
    expires: Timestamp,
) -> Result<(), Refusal> {
    let (family, value) = (family.to_owned(), value.to_owned());
    tx.keep_ticket(&Ticket { kind, key: secret.hash(), family, value, expires })?;
    Ok(())
}
