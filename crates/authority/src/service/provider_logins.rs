//! People who log in at an identity provider.

use bailiwick_core::crypto::Digest;
use bailiwick_core::grant::Login;
use bailiwick_core::ids::{Alias, PrincipalId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_evidence::trust::IdTokenKey;
use bailiwick_store::{
    Credential, CredentialKind, Filter, MAX_RESULTS, Status, StoreError, Ticket, Tx, View,
};

use super::Authority;
use super::people::{MAX_CEREMONIES, begin_session, person, rows};
use crate::people::oidc::{Begun, LoggedIn, OidcError, ProviderConfig};
use crate::people::sessions::{Method, Secret, Session};
use crate::refusal::Refusal;
use crate::rules::logins::{self, Facts, KeptLogin};
use crate::rules::principals::Known;
use crate::rules::provider_keys;

const KIND: &str = "provider-login";
/// Seconds for which a login may be under way: a person may have to find a
/// second factor.
const SECONDS: i64 = 600;
/// Logins that one person may have under way beside that of signing in.
const MAX_OWN: u64 = 100;

/// Where a login leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// Into a session, and to this page.
    Page(String),
    /// To one more login of this person, who is signed in.
    Link {
        /// Whose it becomes.
        person: Alias,
    },
    /// To the grant of a request that waits for its person.
    Sign {
        /// The hash of the request's secret.
        request: Digest,
        /// Whose it is.
        person: Alias,
    },
}

/// A login by which somebody is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnLogin {
    /// The credential's id.
    pub id: String,
    /// Where, and as whom.
    pub login: Login,
    /// Whether it counts.
    pub status: Status,
    /// When it was added.
    pub added: Timestamp,
}

impl Authority {
    /// Keeps a login that the browser with `secret` began.
    ///
    /// # Errors
    /// [`Refusal::Busy`] beyond what may be under way at once.
    pub fn provider_begun(
        &self,
        secret: &Secret,
        begun: &Begun,
        then: &Then,
    ) -> Result<(), Refusal> {
        let object = Object::new().with("begun", begun.to_json());
        let (family, most, object) = match then {
            Then::Page(next) => (String::new(), MAX_CEREMONIES, object.with("next", next.as_str())),
            Then::Link { person } => (person.to_string(), MAX_OWN, object.with("link", person)),
            Then::Sign { request, person } => (
                person.to_string(),
                MAX_OWN,
                object.with("request", *request).with("person", person),
            ),
        };
        let (key, value) = (secret.hash(), Json::from(object).canonical());
        self.transact(move |_, tx, moment| {
            if tx.tickets_of(KIND, &family, moment.now())? >= most {
                return Err(Refusal::Busy);
            }
            let expires = moment.now().plus_seconds(SECONDS);
            tx.keep_ticket(&Ticket { kind: KIND, key, family, value, expires })?;
            Ok(())
        })
    }

    /// Takes the login that the browser with `secret` began: it is over with
    /// its first answer, right or wrong.
    ///
    /// # Errors
    /// [`OidcError::State`].
    pub fn provider_taken(&self, secret: &Secret) -> Result<(Begun, Then), Refusal> {
        let key = secret.hash();
        let taken =
            self.transact(move |_, tx, moment| Ok(tx.take_ticket(KIND, &key, moment.now())?))?;
        Ok(taken.as_ref().and_then(read).ok_or(OidcError::State)?)
    }

    /// A person logged in at `provider`: begins a session of the principal that
    /// is known by this login, or of a new one where the operator says so.
    ///
    /// # Errors
    /// [`Refusal::Oidc`]: whoever may not sign in hears the same as one who is
    /// not known.
    pub fn provider_login(
        &self,
        provider: &ProviderConfig,
        logged_in: &LoggedIn,
    ) -> Result<Secret, Refusal> {
        let (provider, logged_in) = (provider.clone(), logged_in.clone());
        self.transact(move |cx, tx, moment| {
            let login = login_of(&provider, &logged_in);
            let found = tx.credential_by_lookup(CredentialKind::Login, &logins::lookup(&login))?;
            let (alias, credential) = match found {
                Some(found) => {
                    let alias = signing_in(tx, &provider, &logged_in, &found)?;
                    let facts = Facts::of(&logged_in);
                    let plan = logins::restate(moment, &cx.installation, &found, &login, &facts)?;
                    cx.write(tx, plan)?;
                    (alias, Some(found.row.id))
                }
                None => {
                    let id = logins::new_name(&provider, &logged_in)?;
                    let same_name = cx.principal(tx, &id)?;
                    let known = Known { same_name: same_name.as_deref(), ..Known::default() };
                    let plan = logins::provision(
                        moment,
                        &cx.installation,
                        &provider,
                        &logged_in,
                        &id,
                        known,
                    )?;
                    (cx.write(tx, plan)?.alias, None)
                }
            };
            let begun = Session::begin_remembered(
                alias,
                Method::OpenId,
                logged_in.authenticated,
                moment.now(),
            );
            let session = Session { credential, ..begun };
            begin_session(tx, moment, &session)
        })
    }

    /// Registers by which login at `provider` a principal is known.
    ///
    /// # Errors
    /// See [`logins::add`]; [`Refusal::Unknown`].
    pub fn login_add(
        &self,
        id: &PrincipalId,
        provider: &ProviderConfig,
        subject: &str,
    ) -> Result<Credential, Refusal> {
        let (id, provider, subject) = (id.clone(), provider.clone(), subject.to_owned());
        self.commit(move |cx, tx, moment| {
            let found = cx.principal(tx, &id)?.ok_or_else(|| Refusal::unknown("principal", &id))?;
            let login = Login { issuer: provider.issuer.clone(), subject: subject.clone() };
            let lookup = logins::lookup(&login);
            let existing = tx.credential_by_lookup(CredentialKind::Login, &lookup)?;
            let (facts, existing) = (Facts::default(), existing.as_deref());
            let installation = &cx.installation;
            logins::add(moment, installation, &found, &provider, &subject, &facts, existing)
        })
    }

    /// Adds the login that a signed-in person just proved to be theirs: from now
    /// on they are known by it too. A refusal has an entry as well.
    ///
    /// # Errors
    /// See [`logins::link`]; [`Refusal::PrincipalInactive`].
    pub fn login_link(
        &self,
        alias: &Alias,
        provider: &ProviderConfig,
        logged_in: &LoggedIn,
    ) -> Result<Credential, Refusal> {
        let (whose, provider, logged_in) = (alias.clone(), provider.clone(), logged_in.clone());
        let linked = self.commit(move |cx, tx, moment| {
            let (principal, _) = person(tx, &whose)?.ok_or(Refusal::PrincipalInactive)?;
            let lookup = logins::lookup(&login_of(&provider, &logged_in));
            let existing = tx.credential_by_lookup(CredentialKind::Login, &lookup)?;
            let (own, existing) = (rows(tx.credentials_of(&whose)?), existing.as_deref());
            let installation = &cx.installation;
            logins::link(moment, installation, &principal, &provider, &logged_in, &own, existing)
        });
        if let Err(Refusal::Oidc(error)) = &linked {
            self.login_refused(alias, error)?;
        }
        linked
    }

    /// Takes a login away from a principal, and ends its sessions.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn login_remove(&self, id: &PrincipalId, login: &Login) -> Result<(), Refusal> {
        let (id, login) = (id.clone(), login.clone());
        let alias = self.commit(move |cx, tx, moment| {
            let found = cx.principal(tx, &id)?.ok_or_else(|| Refusal::unknown("principal", &id))?;
            let lookup = logins::lookup(&login);
            let credential = tx
                .credential_by_lookup(CredentialKind::Login, &lookup)?
                .filter(|c| c.principal == found.alias)
                .ok_or_else(|| Refusal::unknown("login", &login.subject))?;
            let plan = logins::status(moment, &cx.installation, &credential, Status::Retired)?;
            Ok(plan.map(|row| row.principal))
        })?;
        self.sessions_end(&alias).map(drop)
    }

    /// The logins by which a principal is or was known.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn logins(&self, alias: &Alias) -> Result<Vec<OwnLogin>, Refusal> {
        let found = self.read(|view| view.credentials_of(alias))?;
        let own = found.into_iter().filter_map(|stored| {
            let Credential { id, status, added, .. } = &stored.row;
            let (id, status, added) = (id.clone(), *status, *added);
            Some(OwnLogin { id, login: KeptLogin::of(&stored.row)?.login, status, added })
        });
        Ok(own.collect())
    }
}

fn read(ticket: &Ticket) -> Option<(Begun, Then)> {
    let json = Json::parse(ticket.value.as_bytes(), &JsonLimits::DEFAULT).ok()?;
    let o = json.as_object()?;
    let begun = Begun::from_json(o.member("begun")?)?;
    let alias = |member: &Json| Alias::parse(member.as_str()?).ok();
    let then = match (o.member("next"), o.member("link")) {
        (Some(next), _) => Then::Page(next.as_str()?.to_owned()),
        (None, Some(person)) => Then::Link { person: alias(person)? },
        (None, None) => Then::Sign {
            request: Digest::from_text(o.member("request")?.as_str()?)?,
            person: alias(o.member("person")?)?,
        },
    };
    Some((begun, then))
}

pub(super) fn login_of(provider: &ProviderConfig, logged_in: &LoggedIn) -> Login {
    Login { issuer: provider.issuer.clone(), subject: logged_in.subject.clone() }
}

/// The principal behind a login that is on record, if it may sign in.
fn signing_in(
    tx: &Tx<'_>,
    provider: &ProviderConfig,
    logged_in: &LoggedIn,
    credential: &Credential,
) -> Result<Alias, Refusal> {
    let unknown = || Refusal::from(logins::unknown(provider, logged_in));
    if credential.status != Status::Active {
        return Err(unknown());
    }
    let (principal, id) = person(tx, &credential.principal)?.ok_or_else(unknown)?;
    logins::check_namespace(provider, Some(&id))?;
    Ok(principal.alias)
}

/// Keys of providers that signed grants.
pub(super) fn provider_keys(view: &View<'_>) -> Result<Vec<IdTokenKey>, StoreError> {
    let kind = Some(Kind::ProviderKeyChanged);
    let mut entries = view.query(&Filter { kind, limit: MAX_RESULTS, ..Filter::default() })?;
    entries.reverse();
    Ok(provider_keys::read(&entries))
}

/// Whether the login is this person's, and counts: gives the credential.
pub(super) fn own_login(
    tx: &Tx<'_>,
    alias: &Alias,
    id: &PrincipalId,
    provider: &ProviderConfig,
    login: &Login,
) -> Result<Credential, Refusal> {
    logins::check_namespace(provider, Some(id))?;
    let found = tx.credential_by_lookup(CredentialKind::Login, &logins::lookup(login))?;
    let found = found.filter(|c| c.principal == *alias && c.status == Status::Active);
    Ok(found.ok_or(OidcError::NotTheirs)?.row)
}
