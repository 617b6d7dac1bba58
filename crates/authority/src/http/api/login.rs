//! A program's own login.

use bailiwick_core::json::{Json, Object};

use super::{Answer, Call, malformed, me as person, stranger, unavailable};
use crate::Login;
use crate::http::problem::Problem;
use crate::oauth::pkce;
use crate::people::sessions::Secret;

fn whose(login: &Login) -> Object {
    let roles: Vec<Json> = login.person.roles.iter().map(|r| Json::from(r.as_str())).collect();
    Object::new()
        .with("principal", login.person.id.as_str())
        .with("roles", roles)
        .with("expires_at", login.until.to_string())
}

pub(super) fn redeem(call: &Call<'_>, _: Option<&Login>) -> Result<Answer, Problem> {
    let code = Secret::parse(call.required("code")?);
    let code = code.ok_or_else(|| malformed("`code` is not of a login"))?;
    let verifier = call.required("code_verifier")?;
    if !pkce::is_verifier(verifier) {
        return Err(malformed("`code_verifier` is not 43 to 128 unreserved characters"));
    }
    let (secret, login) =
        call.authority.login_redeem(&code, verifier, &call.proof).map_err(|e| Problem::from(&e))?;
    let body = whose(&login).with("token", secret.reveal()).with("token_type", "DPoP");
    Ok(Answer::created(body))
}

pub(super) fn end(call: &Call<'_>, _: Option<&Login>) -> Result<Answer, Problem> {
    let secret = call.secret.as_ref().ok_or_else(stranger)?;
    call.authority.login_end(secret).map_err(|_| unavailable())?;
    Ok(Answer::done())
}

pub(super) fn me(_: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    Ok(Answer::ok(whose(person(login)?)))
}

/// A login is added in a browser, where the provider can ask its person: a
/// program could only be told that somebody logged in.
pub(super) fn logins(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let person = &person(login)?.person;
    let own = call.authority.logins(&person.principal.alias).map_err(|e| Problem::from(&e))?;
    let own = own.iter().map(|own| {
        let object = Object::new()
            .with("login", own.id.as_str())
            .with("issuer", own.login.issuer.as_str())
            .with("subject", own.login.subject.as_str())
            .with("status", own.status.as_str())
            .with("added", own.added.to_string());
        Json::from(object)
    });
    let issuer = &call.authority.installation().issuer;
    let offers = call.providers.iter().filter(|provider| provider.speaks_for(&person.id));
    let offers = offers.map(|provider| {
        let object = Object::new()
            .with("provider", provider.name.as_str())
            .with("label", provider.label.as_str())
            .with("add_at", format!("{issuer}/account/logins/{}", provider.name));
        Json::from(object)
    });
    let body = Object::new().with("logins", own.collect::<Vec<_>>());
    Ok(Answer::ok(body.with("providers", offers.collect::<Vec<_>>())))
}
