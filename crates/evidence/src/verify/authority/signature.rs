//! The principal's own signature over the grant: under the key that it was
//! registered with, or under a credential whose registration is in the log.

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::grant::{
    IdTokenIssuer, Login, Moment, Passkey, Proof, Registered, SignedBy, Statement,
};
use bailiwick_core::jose::{SetKey as _, ThirdPartyKey, VerifyingKey};
use bailiwick_core::json::Json;
use bailiwick_core::webauthn::RelyingParty;

use super::super::receipts::Opened;
use super::super::{Case, agree};
use super::Principal;
use crate::check::{Check, Failure, ensure};
use crate::subject::Subject;
use crate::trust::Trust;

const CHECK: Check = Check::Grant;

/// Seconds that the provider's clock may differ from the authority's.
const SKEW_SECONDS: i64 = 60;

/// What a registered credential is.
enum Credential {
    Login(Login),
    Passkey { lookup: Digest, key: ThirdPartyKey },
    Service(VerifyingKey),
}

/// Verifies the disclosed signature of the grant's entry.
pub(super) fn verify(
    case: &Case<'_>,
    of: &Opened,
    statement: &Statement,
    principal: &Principal,
) -> Result<SignedBy, Failure> {
    let fail = |found: String| Failure::new(CHECK, found);
    let proof = Proof::from_text(Some(of.value_text(CHECK, "signature")?))
        .map_err(|e| fail(e.to_string()))?;
    let credential = credential(case, of, principal)?;
    // Only what the entry names may have signed, and the key that the
    // principal was registered with where it names nothing.
    let (mut keys, mut passkeys, mut logins) = (Vec::new(), Vec::new(), Vec::new());
    match credential {
        None => keys.extend(principal.key),
        Some(Credential::Service(key)) => keys.push(key),
        Some(Credential::Login(login)) => logins.push(login),
        Some(Credential::Passkey { lookup, key }) => {
            if let Proof::Passkey(assertion) = &proof {
                let credential_id = assertion.credential_id.clone();
                ensure(sha256(&credential_id) == lookup, CHECK, || {
                    "the assertion is of another passkey than the registered one".to_owned()
                })?;
                passkeys.push(Passkey { credential_id, key });
            }
        }
    }
    let signed_at = of.entry.time;
    let providers = providers(case.trust, signed_at);
    let issuers: Vec<IdTokenIssuer<'_>> = providers
        .iter()
        .map(|(issuer, client_id, keys)| IdTokenIssuer { issuer, client_id, keys })
        .collect();
    let relying_party = case
        .trust
        .approvers
        .as_ref()
        .map(|a| RelyingParty { id: a.rp_id.clone(), origins: a.origins.clone() });
    let registered = Registered {
        keys: &keys,
        passkeys: &passkeys,
        logins: &logins,
        relying_party: relying_party.as_ref(),
        issuers: &issuers,
    };
    let moment = Moment { signed_at, skew_seconds: SKEW_SECONDS };
    let signed_by =
        statement.verify_proof(&proof, &registered, &moment).map_err(|e| fail(e.to_string()))?;
    if let Some(stated) = of.body("signed_by") {
        agree(CHECK, stated.as_str() == Some(signed_by.as_str()), "how the grant was signed")?;
    }
    Ok(signed_by)
}

/// The credential that the grant's entry names, which is this principal's and
/// was registered before.
fn credential(
    case: &Case<'_>,
    of: &Opened,
    principal: &Principal,
) -> Result<Option<Credential>, Failure> {
    let Some(id) = of.body("credential") else { return Ok(None) };
    let id =
        id.as_str().ok_or_else(|| Failure::new(CHECK, "`body.credential` is not an identifier"))?;
    let added = case.receipts.credential(CHECK, id)?;
    agree(
        CHECK,
        added.subject(CHECK, Subject::Principal)? == principal.alias,
        "whose the credential is",
    )?;
    ensure(principal.index < added.index && added.index < of.index, CHECK, || {
        "principal, credential and grant are not in this order in the log".to_owned()
    })?;
    let lookup = added.digest(CHECK, "lookup")?;
    let unusable = || Failure::new(CHECK, "the credential's key is not usable");
    let jwk = || added.body("jwk").and_then(Json::as_object).ok_or_else(unusable);
    match added.text(CHECK, "credential_kind")? {
        "passkey" => {
            let key = ThirdPartyKey::from_jwk(jwk()?).map_err(|_| unusable())?;
            Ok(Some(Credential::Passkey { lookup, key }))
        }
        "service" => {
            let key = VerifyingKey::from_jwk(jwk()?).map_err(|_| unusable())?;
            agree(CHECK, key.thumbprint().bytes() == lookup.bytes(), "the credential's key")?;
            Ok(Some(Credential::Service(key)))
        }
        "login" => {
            let value = added.value("login")?;
            let login = Login::from_json(value).ok_or_else(|| {
                Failure::new(CHECK, "the disclosed `login` is not {issuer, subject}")
            })?;
            agree(CHECK, sha256(value.canonical().as_bytes()) == lookup, "the disclosed login")?;
            Ok(Some(Credential::Login(login)))
        }
        _ => Err(Failure::new(CHECK, "the credential is of an unknown kind")),
    }
}

/// The trusted keys of each provider and client, as of `time`.
fn providers(
    trust: &Trust,
    time: bailiwick_core::time::Timestamp,
) -> Vec<(&str, &str, Vec<ThirdPartyKey>)> {
    let mut providers: Vec<(&str, &str, Vec<ThirdPartyKey>)> = Vec::new();
    for entry in trust.id_tokens.iter().filter(|k| k.validity.contains(time)) {
        let (issuer, client) = (entry.issuer.as_str(), entry.client_id.as_str());
        match providers.iter_mut().find(|(i, c, _)| (*i, *c) == (issuer, client)) {
            Some((_, _, keys)) => keys.push(entry.key.clone()),
            None => providers.push((issuer, client, vec![entry.key.clone()])),
        }
    }
    providers
}
