//! The end of consent: the person signs what was shown.
//!
//! With a passkey, or by a fresh login at their identity provider whose `nonce`
//! is the digest (DESIGN §3.9). Either way the same happens: the page is used
//! up, everything is checked again against the state of that moment, task and
//! grant are recorded, and the client gets its code.

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::grant::{self, GrantError, IdTokenIssuer, Proof, Registered};
use bailiwick_core::ids::Alias;
use bailiwick_core::jose::{SetKey as _, ThirdPartyKey};
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_core::webauthn::{Assertion, RelyingParty};
use bailiwick_policy::grades::Risk;
use bailiwick_store::{Credential, Subject, Task, Ticket, Tx};

use super::super::delegations::State;
use super::super::passkeys::{Used, passkeys_of};
use super::super::people::SignedIn;
use super::super::provider_logins::{login_of, own_login, provider_keys};
use super::super::requests::Answered;
use super::super::{Authority, Inner};
use super::{Asker, ConsentError, KIND, Kept, find, gone, highest_risk};
use crate::host::Moment;
use crate::oauth::code::{self, IssuedCode};
use crate::people::oidc::{LoggedIn, OidcError, ProviderConfig};
use crate::people::passkeys::{PasskeyError, Passkeys};
use crate::people::sessions::Secret;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::credentials::KeptPasskey;
use crate::rules::delegations::{self, Prepared, Submission};
use crate::rules::logins::{self, Facts};
use crate::rules::provider_keys;

/// A request whose page is used up, with the state that its grant rests on.
struct Taken {
    kept: Kept,
    prepared: Prepared,
    state: State,
    task: Option<Task>,
    answered: Option<Answered>,
}

/// What the person signed with.
struct Signed<'a> {
    proof: &'a Proof,
    registered: Registered<'a>,
    credential: &'a str,
}

impl Taken {
    /// Takes the request under the secret with this hash, if it is `person`'s
    /// and its statement has this digest: what was shown is what is signed.
    fn take(
        cx: &Inner,
        tx: &mut Tx<'_>,
        moment: &Moment<'_>,
        key: &Digest,
        person: &Alias,
        digest: &Digest,
    ) -> Result<Self, Refusal> {
        let mut kept = find(cx, tx, key, person, moment)?;
        let prepared = kept.prepared.take().filter(|p| p.statement.digest() == *digest);
        let prepared = prepared.ok_or_else(gone)?;
        tx.take_ticket(KIND, key, moment.now())?;
        let statement = &prepared.statement;
        let (principal, agent) = (&statement.principal, &statement.agent);
        let mut state = State::read(cx, tx, principal, agent, &statement.workflow)?;
        state.also_revoked(tx, &[Subject::Task { id: statement.task.clone() }])?;
        let answered = Answered::of(tx, statement)?;
        if let Some(answered) = &answered {
            state.also_revoked(tx, &[Subject::Grant { id: answered.request.grant.clone() }])?;
        }
        let task = tx.task(&statement.task)?.map(|stored| stored.row);
        Ok(Self { kept, prepared, state, task, answered })
    }

    /// Records task and grant, and makes the code; gives where the browser
    /// goes.
    fn record(
        &self,
        cx: &Inner,
        tx: &mut Tx<'_>,
        moment: &Moment<'_>,
        signed: &Signed<'_>,
    ) -> Result<String, Refusal> {
        let statement = &self.prepared.statement;
        let submission = Submission {
            prepared: &self.prepared,
            proof: signed.proof,
            registered: signed.registered,
            credential: Some(signed.credential),
            parties: self.state.parties(),
            workflow: &self.state.workflow,
            task: self.task.as_ref(),
            grant_exists: tx.grant(&statement.id)?.is_some(),
            instances: &[],
            instance: None,
            status_index: None,
            answers: self.answered.as_ref().map(Answered::rule),
        };
        let plan = delegations::record(moment, &cx.installation, &cx.keys, submission)?;
        cx.write(tx, plan)?;
        let request = match &self.kept.asker {
            Asker::Client(request) => request,
            // The agent gets its root when it asks again.
            Asker::Agent(id) => return Ok(format!("/requests/{id}")),
        };
        let code = Secret::mint(moment)?;
        let issuer = &cx.installation.issuer;
        tx.keep_ticket(&Ticket {
            kind: code::KIND,
            key: code.hash(),
            family: statement.id.to_string(),
            value: IssuedCode::of(request, &statement.id).to_json(issuer).canonical(),
            expires: moment.now().plus_seconds(code::SECONDS),
        })?;
        Ok(request.code_location(&code.reveal(), issuer))
    }
}

impl Authority {
    /// The person's passkey signed the statement: records task and grant, and
    /// makes the code. Gives where the browser goes.
    ///
    /// # Errors
    /// [`Refusal::Session`] when the login is too old for the risk, and
    /// whatever stands in the way of the grant.
    pub fn consent_sign(
        &self,
        party: &Passkeys,
        secret: &Secret,
        person: &SignedIn,
        assertion: &Json,
    ) -> Result<String, ConsentError> {
        let asking = self.consent(secret, person)?;
        let prepared = asking.prepared.ok_or_else(gone)?;
        let assertion = Assertion::from_browser(assertion)
            .map_err(GrantError::Assertion)
            .map_err(Refusal::from)?;
        let party = RelyingParty {
            id: party.relying_party().to_owned(),
            origins: vec![self.installation().issuer.clone()],
        };
        let alias = person.principal.alias.clone();
        let (key, person) = (secret.hash(), person.clone());
        let signed = self.transact(move |cx, tx, moment| {
            let (alias, digest) = (&person.principal.alias, prepared.statement.digest());
            let taken = Taken::take(cx, tx, moment, &key, alias, &digest)?;
            if highest_risk(&taken.state.workflow, &prepared.statement.tools) > Risk::Low {
                person.session.check_fresh(moment.now())?;
            }
            let passkeys = passkeys_of(tx, alias)?;
            let signer = signer(&passkeys, &assertion)?;
            // The counter is judged as well: a copied passkey signs nothing.
            let asserted = assertion
                .verify(digest.bytes(), &signer.passkey.key, &party)
                .map_err(GrantError::Assertion)?;
            let used = Used::read(tx, signer.credential, moment.now())?;
            if !asserted.follows(used.counter) {
                return Err(PasskeyError::Counter.into());
            }
            Used::keep(tx, signer.credential, asserted.counter, moment.now())?;
            let signed = Signed {
                proof: &Proof::Passkey(assertion),
                registered: Registered {
                    passkeys: std::slice::from_ref(&signer.passkey),
                    relying_party: Some(&party),
                    ..Registered::NOTHING
                },
                credential: &signer.credential.id,
            };
            taken.record(cx, tx, moment, &signed)
        });
        if matches!(&signed, Err(Refusal::Passkey(PasskeyError::Counter))) {
            self.passkey_suspected(&alias)?;
        }
        Ok(signed?)
    }

    /// The person logged in at `provider` to sign the statement with this
    /// digest: records the provider's key, task and grant, and makes the code.
    /// Gives where the browser goes. The login is a fresh one, so no other
    /// proof of who they are is asked, whatever the risk.
    ///
    /// # Errors
    /// [`OidcError::NotTheirs`] when it is not this person's login, and
    /// whatever stands in the way of the grant. That it was refused is an
    /// entry.
    pub fn consent_sign_login(
        &self,
        provider: &ProviderConfig,
        request: &Digest,
        digest: &Digest,
        person: &SignedIn,
        logged_in: &LoggedIn,
    ) -> Result<String, Refusal> {
        let (provider, logged_in) = (provider.clone(), logged_in.clone());
        let (request, digest, signer) = (*request, *digest, person.clone());
        let signed = self.transact(move |cx, tx, moment| {
            let alias = &signer.principal.alias;
            let login = login_of(&provider, &logged_in);
            let credential = own_login(tx, alias, &signer.id, &provider, &login)?;
            // What the provider says of the person now bounds this very grant.
            let facts = Facts::of(&logged_in);
            let plan = logins::restate(moment, &cx.installation, &credential, &login, &facts)?;
            cx.write(tx, plan)?;
            let taken = Taken::take(cx, tx, moment, &request, alias, &digest)?;
            let Proof::IdToken { key, .. } = &logged_in.proof else {
                return Err(GrantError::NotRegistered.into());
            };
            let keys = provider_keys(tx)?;
            let (published, installation) = (&logged_in.keys, &cx.installation);
            let plan = provider_keys::used(moment, installation, &provider, key, published, &keys)?;
            cx.write(tx, plan)?;
            let issuer = IdTokenIssuer {
                issuer: &provider.issuer,
                client_id: &provider.client_id,
                keys: &logged_in.keys,
            };
            let signed = Signed {
                proof: &logged_in.proof,
                registered: Registered {
                    logins: std::slice::from_ref(&login),
                    issuers: std::slice::from_ref(&issuer),
                    ..Registered::NOTHING
                },
                credential: &credential.id,
            };
            taken.record(cx, tx, moment, &signed)
        });
        if let Err(Refusal::Oidc(error)) = &signed {
            self.login_refused(&person.principal.alias, error)?;
        }
        signed
    }

    /// Records that somebody known did not sign: their login at the provider
    /// was not taken as a signature.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn login_refused(&self, alias: &Alias, error: &OidcError) -> Result<(), Refusal> {
        let (alias, code) = (alias.to_string(), error.code());
        self.commit(move |cx, _, moment| {
            let step = Step::new(moment, &cx.installation.org, Kind::AuthorizationRefused)?
                .about(|s| {
                    s.principal = Some(alias);
                    s.reason = Some(code.to_owned());
                })
                .with("by", "authority");
            Ok(Plan::one(step, ()))
        })
    }
}

/// The registered passkey that an assertion names.
struct Signer<'a> {
    credential: &'a Credential,
    passkey: grant::Passkey,
}

fn signer<'a>(passkeys: &'a [Credential], assertion: &Assertion) -> Result<Signer<'a>, Refusal> {
    let lookup = sha256(&assertion.credential_id);
    let not_registered = || Refusal::from(GrantError::NotRegistered);
    let credential = passkeys.iter().find(|c| c.lookup == lookup).ok_or_else(not_registered)?;
    let kept = KeptPasskey::of(credential).ok_or_else(not_registered)?;
    let key = ThirdPartyKey::from_jwk(&kept.jwk).map_err(|_| not_registered())?;
    let credential_id = assertion.credential_id.clone();
    Ok(Signer { credential, passkey: grant::Passkey { credential_id, key } })
}
