//! What was granted, and taking it back.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{GrantId, PrincipalId};
use bailiwick_core::json::{Json, Object};
use bailiwick_store::{Grant, StoreError, Stored};

use super::views::{grant_json, root_json};
use super::{Answer, Call, may, me};
use crate::http::problem::Problem;
use crate::people::roles::Deed;
use crate::refusal::Refusal;
use crate::{DelegationRef, Login, Target};

/// Grants in one answer at most.
const MOST: u32 = 200;
const REASON: &str = "taken-back";

fn unknown(id: &str) -> Problem {
    Problem::from(&Refusal::unknown("grant", id))
}

pub(super) fn list(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let login = me(login)?;
    let alias = match call.query("principal")? {
        Some(name) if name != login.person.id.as_str() => {
            // SECURITY: whoever may not see others' does not learn who is here.
            if !may(login, Deed::SeeActivity) {
                return Err(Problem::from(&Refusal::unknown("principal", name)));
            }
            let id = Call::read(name, PrincipalId::parse)?;
            call.authority.principal(&id).map_err(|e| Problem::from(&e))?.row.alias
        }
        _ => login.person.principal.alias.clone(),
    };
    let now = call.authority.host().now();
    let grants = call.authority.store().read(|view| {
        let found = view.grants_of_principal(&alias, MOST)?;
        found
            .iter()
            .map(|grant| Ok(Json::from(grant_json(view, grant, now)?)))
            .collect::<Result<Vec<_>, StoreError>>()
    });
    let grants = grants.map_err(|e| Problem::from(&Refusal::from(e)))?;
    Ok(Answer::ok(Object::new().with("grants", grants)))
}

/// A grant that the person may see.
fn visible(call: &Call<'_>, login: &Login, deed: Deed) -> Result<Stored<Grant>, Problem> {
    let text = call.path("id");
    let id = GrantId::parse(text).map_err(|_| unknown(text))?;
    let found = call.authority.store().read(|view| view.grant(&id));
    let found = found.map_err(|e| Problem::from(&Refusal::from(e)))?;
    let own =
        |grant: &Stored<Grant>| grant.principal == login.person.principal.alias || may(login, deed);
    found.filter(own).ok_or_else(|| unknown(text))
}

pub(super) fn show(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let grant = visible(call, me(login)?, Deed::SeeActivity)?;
    let now = call.authority.host().now();
    let of = grant.principal.clone();
    let read = call.authority.store().read(|view| {
        let roots = view.delegations_of_grant(&grant.id)?;
        let roots: Vec<Json> = roots
            .iter()
            .map(|root| Ok(root_json(view, root, &grant, now)?.into()))
            .collect::<Result<_, StoreError>>()?;
        let texts = view.grant_texts(&grant.id)?;
        Ok::<_, StoreError>((grant_json(view, &grant, now)?, roots, texts))
    });
    let (grant, roots, texts) = read.map_err(|e| Problem::from(&Refusal::from(e)))?;
    let json = |text: &str| Json::parse(text.as_bytes(), &Default::default()).ok();
    let (statement, signature) = match texts {
        Some((statement, signature)) => (json(&statement), json(&signature)),
        None => (None, None),
    };
    // An `id_token` says more of a person than that they signed.
    let own = of == me(login)?.person.principal.alias;
    let signature = signature.filter(|_| own);
    let body = grant.with("roots", roots).with("statement", statement).with("signature", signature);
    Ok(Answer::ok(body))
}

pub(super) fn revoke(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let login = me(login)?;
    let grant = visible(call, login, Deed::RevokeAny)?;
    take_back(call, login, &Target::Grant(grant.row.id))
}

pub(super) fn revoke_root(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let login = me(login)?;
    let text = call.path("root");
    let unknown = || Problem::from(&Refusal::unknown("delegation", text));
    let root = Digest::from_text(text).ok_or_else(unknown)?;
    let found = call.authority.store().read(|view| view.delegation(&root));
    let found = found.map_err(|e| Problem::from(&Refusal::from(e)))?;
    found
        .filter(|chain| {
            chain.grant.principal == login.person.principal.alias || may(login, Deed::RevokeAny)
        })
        .ok_or_else(unknown)?;
    take_back(call, login, &Target::Delegation(DelegationRef::Hash(root)))
}

fn take_back(call: &Call<'_>, login: &Login, target: &Target) -> Result<Answer, Problem> {
    let taken = call.authority.revoke_in_session(target, REASON, &login.person);
    taken.map_err(|e| Problem::from(&e))?;
    Ok(Answer::done())
}
