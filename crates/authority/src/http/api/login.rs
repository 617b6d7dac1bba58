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
