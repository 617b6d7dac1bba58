//! Whoever signs about waiting calls, as they are on record.

use bailiwick_core::approval::{ApprovalError, Registered, Signed, Verdict};
use bailiwick_core::crypto::{Digest, Thumbprint, from_base64url};
use bailiwick_core::grant::Passkey;
use bailiwick_core::ids::{Alias, PrincipalId};
use bailiwick_core::jose::{SetKey as _, ThirdPartyKey, VerifyingKey};
use bailiwick_core::time::Timestamp;
use bailiwick_core::webauthn::RelyingParty;
use bailiwick_policy::approvers::{Barred, Decider, Voice};
use bailiwick_store::{Credential, CredentialKind, Tx, View};

use super::Inner;
use super::approvals::{Sayer, relying_party};
use super::passkeys::Used;
use super::people::{person, rows};
use crate::ceilings::groups_of;
use crate::people::passkeys::PasskeyError;
use crate::people::roles::Role;
use crate::refusal::Refusal;
use crate::rules::approvers::{key_of, may_sign};
use crate::rules::credentials::KeptPasskey;

/// What a person enrolled that may sign verdicts at `now`.
pub(super) struct Signers {
    pub(super) credentials: Vec<Credential>,
    pub(super) passkeys: Vec<Passkey>,
    pub(super) keys: Vec<VerifyingKey>,
}

impl Signers {
    pub(super) fn read(view: &View<'_>, alias: &Alias, now: Timestamp) -> Result<Self, Refusal> {
        let mut credentials = rows(view.credentials_of(alias)?);
        credentials.retain(|credential| may_sign(credential, now));
        let passkeys = credentials.iter().filter_map(passkey_of).collect();
        let keys = credentials.iter().filter_map(key_of).collect();
        Ok(Self { credentials, passkeys, keys })
    }

    /// The credential that made this signature.
    fn signer(&self, signed: &Signed) -> Option<&Credential> {
        match signed.by() {
            Signed::Passkey(assertion) => self.credentials.iter().find(|c| {
                passkey_of(c).is_some_and(|p| p.credential_id == assertion.credential_id)
            }),
            Signed::Key(_) | Signed::Batch(_) => {
                self.credentials.iter().find(|c| key_of(c).is_some_and(|own| signed.is_by(&own)))
            }
        }
    }
}

fn passkey_of(credential: &Credential) -> Option<Passkey> {
    let kept = KeptPasskey::of(credential)?;
    Some(Passkey {
        credential_id: from_base64url(&kept.id)?,
        key: ThirdPartyKey::from_jwk(&kept.jwk).ok()?,
    })
}

pub(super) fn has_role(view: &View<'_>, alias: &Alias) -> Result<bool, Refusal> {
    Ok(view.roles_of(alias)?.iter().any(|role| role == Role::Approver.as_str()))
}

/// Somebody who signs now: active, with what is on record about them.
pub(super) struct Signer {
    alias: Alias,
    who: PrincipalId,
    has_role: bool,
    groups: std::collections::BTreeSet<String>,
    signers: Signers,
    party: Option<RelyingParty>,
}

impl Signer {
    /// # Errors
    /// [`Refusal::PrincipalInactive`]; [`Refusal::Barred`] for a key that nobody
    /// enrolled.
    pub(super) fn read(
        cx: &Inner,
        view: &View<'_>,
        sayer: Sayer,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let alias = match sayer {
            Sayer::Person(alias) => alias,
            Sayer::Key(key) => owner_of(view, &key)?,
        };
        let (_, who) = person(view, &alias)?.ok_or(Refusal::PrincipalInactive)?;
        Ok(Self {
            who,
            has_role: has_role(view, &alias)?,
            groups: groups_of(view, &alias)?,
            signers: Signers::read(view, &alias, now)?,
            party: relying_party(&cx.installation.issuer),
            alias,
        })
    }

    pub(super) const fn alias(&self) -> &Alias {
        &self.alias
    }

    /// As the rules about approvals take it.
    pub(super) fn voice<'a>(&'a self, verdict: Verdict, signed: &'a Signed) -> Voice<'a> {
        Voice {
            who: Decider { id: &self.who, has_role: self.has_role, groups: &self.groups },
            verdict,
            signed,
            registered: self.registered(),
        }
    }

    /// What may sign in their name now.
    pub(super) fn registered(&self) -> Registered<'_> {
        Registered {
            passkeys: &self.signers.passkeys,
            keys: &self.signers.keys,
            relying_party: self.party.as_ref(),
        }
    }

    /// With what they signed.
    ///
    /// # Errors
    /// [`ApprovalError::NotRegistered`].
    pub(super) fn credential(&self, signed: &Signed) -> Result<&Credential, Refusal> {
        let found = self.signers.signer(signed);
        Ok(found.ok_or(ApprovalError::NotRegistered)?)
    }

    /// Counts a passkey's use over `challenge`: one that was copied signs
    /// nothing.
    ///
    /// # Errors
    /// [`Refusal::Passkey`].
    pub(super) fn count(
        &self,
        tx: &mut Tx<'_>,
        signed: &Signed,
        challenge: &Digest,
        credential: &Credential,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let (Signed::Passkey(assertion), Some(party)) = (signed.by(), &self.party) else {
            return Ok(());
        };
        let Some(passkey) = passkey_of(credential) else { return Ok(()) };
        let asserted = assertion
            .verify(challenge.bytes(), &passkey.key, party)
            .map_err(ApprovalError::Assertion)?;
        let used = Used::read(tx, credential, now)?;
        if !asserted.follows(used.counter) {
            return Err(PasskeyError::Counter.into());
        }
        Used::keep(tx, credential, asserted.counter, now)
    }
}

/// Whose approver key it is.
fn owner_of(view: &View<'_>, key: &Thumbprint) -> Result<Alias, Refusal> {
    let lookup = Digest::from_array(*key.bytes());
    let found = view.credential_by_lookup(CredentialKind::Approver, &lookup)?;
    // Whoever shows an unknown key hears what one hears whose workflow names nobody like them.
    found.map(|credential| credential.principal.clone()).ok_or(Refusal::Barred(Barred::NotNamed))
}
