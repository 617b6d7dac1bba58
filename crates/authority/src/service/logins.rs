//! Programs that act for a person at the API: a command line that the person
//! let in from a page of the console.
//!
//! The program makes a key and a code verifier, the person agrees in the
//! browser, and the program redeems the code with both (RFC 7636, RFC 9449). It
//! gets a secret that works only together with proofs by that key, never as a
//! cookie, and only as long as the person may sign in.

use bailiwick_core::crypto::{Thumbprint, sha256};
use bailiwick_core::dpop::Possession;
use bailiwick_core::ids::Alias;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Ticket, Tx, View};

use super::people::{CEREMONY, SESSION, keep, parsed, signed_in};
use super::{Authority, SignedIn};
use crate::oauth::pkce::Challenge;
use crate::people::sessions::{ABSOLUTE_SECONDS, Secret, Session};
use crate::refusal::Refusal;

/// Seconds for which a login of a program lasts at most: it ends no later than
/// the session in which the person agreed could have lasted.
pub const LOGIN_SECONDS: i64 = ABSOLUTE_SECONDS;
/// Seconds in which the program must come for it.
const CODE_SECONDS: i64 = 60;

const CODE: &str = "login-code";
/// Also what ends with a person's other sessions.
pub(super) const LOGIN: &str = "login";
const PROOF: &str = "login-proof";

/// A program's login that stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Login {
    /// For whom it acts.
    pub person: SignedIn,
    /// The key that it must prove.
    pub key: Thumbprint,
    /// Until when.
    pub until: Timestamp,
}

/// What is kept of a login and of its code.
struct Kept {
    session: Session,
    key: Thumbprint,
    challenge: Option<Challenge>,
}

impl Kept {
    fn text(&self) -> String {
        let object = Object::new()
            .with("session", self.session.to_json())
            .with("key", self.key)
            .with("challenge", self.challenge.map(|c| c.to_string()));
        Json::from(object).canonical()
    }

    fn read(text: &str) -> Option<Self> {
        let json = parsed(text)?;
        let o = json.as_object()?;
        Some(Self {
            session: Session::from_json(o.member("session")?)?,
            key: Thumbprint::from_text(o.member("key")?.as_str()?)?,
            challenge: o.member("challenge")?.as_str().and_then(Challenge::from_text),
        })
    }
}

fn gone() -> Refusal {
    Refusal::TicketGone { what: "login" }
}

/// The login behind a ticket, as its person stands now.
fn login(view: &View<'_>, ticket: &Ticket) -> Result<Option<Login>, Refusal> {
    let Some(kept) = Kept::read(&ticket.value) else { return Ok(None) };
    let person = signed_in(view, kept.session)?;
    Ok(person.map(|person| Login { person, key: kept.key, until: ticket.expires }))
}

impl Authority {
    /// The code with which the program that made `challenge` and holds `key`
    /// fetches its login: the person agreed.
    ///
    /// # Errors
    /// [`Refusal::NoEntropy`], [`Refusal::Store`].
    pub fn login_code(
        &self,
        person: &SignedIn,
        challenge: Challenge,
        key: Thumbprint,
    ) -> Result<Secret, Refusal> {
        let session = person.session.clone();
        self.transact(move |_, tx, moment| {
            let code = Secret::mint(moment)?;
            let family = session.principal.to_string();
            let value = Kept { session, key, challenge: Some(challenge) }.text();
            keep(tx, CODE, &code, &family, &value, moment.now().plus_seconds(CODE_SECONDS))?;
            Ok(code)
        })
    }

    /// Redeems a code. It is used up by the attempt, right or wrong.
    ///
    /// # Errors
    /// [`Refusal::TicketGone`], whatever did not fit.
    pub fn login_redeem(
        &self,
        code: &Secret,
        verifier: &str,
        proof: &Possession,
    ) -> Result<(Secret, Login), Refusal> {
        let (code, key, verifier) = (code.hash(), proof.thumbprint, verifier.to_owned());
        // One transaction: what ends a person's sessions in between finds the
        // code or the login. A code that was tried is used up whatever follows.
        let redeemed = self.transact(move |_, tx, moment| {
            let Some(ticket) = tx.take_ticket(CODE, &code, moment.now())? else { return Ok(None) };
            let fits = |kept: &Kept| {
                kept.key == key && kept.challenge.is_some_and(|c| c.verify(Some(&verifier)).is_ok())
            };
            let Some(kept) = Kept::read(&ticket.value).filter(fits) else { return Ok(None) };
            let secret = Secret::mint(moment)?;
            let until = moment.now().plus_seconds(LOGIN_SECONDS);
            // No longer than the session in which the person agreed.
            let until = until.min(kept.session.started.plus_seconds(ABSOLUTE_SECONDS));
            let value = Kept { challenge: None, ..kept };
            keep(tx, LOGIN, &secret, &ticket.family, &value.text(), until)?;
            let Some(kept) = tx.ticket(LOGIN, &secret.hash(), moment.now())? else {
                return Ok(None);
            };
            Ok(login(tx, &kept)?.map(|login| (secret, login)))
        })?;
        redeemed.ok_or_else(gone)
    }

    /// The login with this secret, if it stands and its person may sign in.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn login(&self, secret: &Secret) -> Result<Option<Login>, Refusal> {
        let now = self.0.host.now();
        self.0.store.read(|view| match view.ticket(LOGIN, &secret.hash(), now)? {
            Some(ticket) => login(view, &ticket),
            None => Ok(None),
        })
    }

    /// Spends a proof that came with a changing call; `false` for one that was
    /// spent before. `window_seconds` is how long it could come again.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn login_proof(&self, proof: &Possession, window_seconds: i64) -> Result<bool, Refusal> {
        let key = sha256(format!("{}\n{}", proof.thumbprint, proof.jti).as_bytes());
        let expires = Timestamp::from_seconds(proof.iat).plus_seconds(window_seconds + 1);
        self.transact(move |_, tx, moment| {
            if tx.ticket(PROOF, &key, moment.now())?.is_some() {
                return Ok(false);
            }
            let (family, value) = (String::new(), String::new());
            tx.keep_ticket(&Ticket { kind: PROOF, key, family, value, expires })?;
            Ok(true)
        })
    }

    /// Ends a login.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn login_end(&self, secret: &Secret) -> Result<(), Refusal> {
        let key = secret.hash();
        self.transact(move |_, tx, moment| {
            tx.take_ticket(LOGIN, &key, moment.now())?;
            Ok(())
        })
    }

    /// Ends every session and login of a person, for example when a device is
    /// lost; gives how many.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn sessions_end(&self, alias: &Alias) -> Result<usize, Refusal> {
        let alias = alias.clone();
        self.transact(move |_, tx, _| end_sessions(tx, &alias))
    }
}

/// Ends a person's sessions and logins, and ceremonies that one of them began;
/// gives how many there were.
pub(super) fn end_sessions(tx: &mut Tx<'_>, alias: &Alias) -> Result<usize, Refusal> {
    tx.drop_tickets(CEREMONY, alias.as_str())?;
    let mut ended = 0;
    for kind in [SESSION, LOGIN, CODE] {
        ended += tx.drop_tickets(kind, alias.as_str())?;
    }
    Ok(ended)
}
