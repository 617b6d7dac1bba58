//! Requests to an authority over the network, by whoever has a key there.

use std::time::Duration;

use bailiwick_authority::oauth::parameters;
use bailiwick_core::crypto::base64url;
use bailiwick_core::jose::{self, JwsSigner};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;

use crate::error::CliError;
use crate::host;

/// An answer has at most a statement, or a root, and what is said beside it.
const MAX_ANSWER: usize = 512 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);
/// Seconds for which an assertion is good.
const ASSERTION_SECONDS: i64 = 60;

/// What an authority answered.
struct Answered {
    status: u16,
    nonce: Option<String>,
    body: Object,
}

/// One JSON request; a problem (RFC 9457) becomes an error.
pub(super) fn json(authority: &str, path: &str, body: &Json) -> Result<Object, CliError> {
    let answered = post(authority, path, "application/json", body.canonical(), None)?;
    read(answered, "title", "detail")
}

/// One form; the standard's error (RFC 6749 §5.2) becomes ours. `proof` makes
/// a DPoP proof with the nonce that the authority asks for, if it does
/// (RFC 9449 §8).
pub(super) fn form(
    authority: &str,
    path: &str,
    pairs: &[(&str, &str)],
    proof: Option<&dyn Fn(Option<&str>) -> Result<String, CliError>>,
) -> Result<Object, CliError> {
    let ask = |nonce: Option<&str>| {
        let body = parameters::encode(pairs);
        let proof = proof.map(|make| make(nonce)).transpose()?;
        post(authority, path, "application/x-www-form-urlencoded", body, proof)
    };
    let mut answered = ask(None)?;
    let error = answered.body.member("error").and_then(Json::as_str);
    if let (Some("use_dpop_nonce"), Some(nonce)) = (error, answered.nonce.clone()) {
        answered = ask(Some(&nonce))?;
    }
    read(answered, "error", "error_description")
}

/// The claims of an assertion by `name`, for the authority alone, once
/// (RFC 7523 §3).
pub(super) fn client_assertion(
    authority: &str,
    name: &str,
    signer: &dyn JwsSigner,
) -> Result<String, CliError> {
    let now = host::now();
    let claims = Object::new()
        .with("iss", name)
        .with("sub", name)
        .with("aud", authority)
        .with("iat", now.seconds())
        .with("exp", now.plus_seconds(ASSERTION_SECONDS).seconds())
        .with("jti", base64url(&host::random::<16>()?));
    jose::sign("client-authentication+jwt", None, &claims.into(), signer).map_err(signing)
}

/// A key that does not sign.
pub(super) fn signing(error: bailiwick_core::crypto::KeyError) -> CliError {
    CliError::environment("key", error.to_string(), "try again")
}

/// An answer that is not what was asked for.
pub(super) fn unexpected(what: &str) -> CliError {
    CliError::refused(
        "answer-unexpected",
        format!("the authority's answer is not what was asked for: {what}"),
        "check that this is the authority's URL; nothing was signed or kept",
    )
}

fn read(answered: Answered, code: &str, text: &str) -> Result<Object, CliError> {
    let Answered { status, body, .. } = answered;
    if (200..300).contains(&status) && !body.is_empty() {
        return Ok(body);
    }
    let said = |name: &str| body.member(name).and_then(Json::as_str);
    let message =
        said(text).map_or_else(|| format!("the authority answered {status}"), str::to_owned);
    let remedy =
        said("remedy").unwrap_or("check the request, and that this is the authority's URL");
    let code = said(code).unwrap_or("authority-refused");
    // Not now is not no.
    if status == 429 || status >= 500 {
        return Err(CliError::environment(code, message, "try again after a while"));
    }
    Err(CliError::refused(code, message, remedy))
}

fn post(
    authority: &str,
    path: &str,
    kind: &str,
    body: String,
    proof: Option<String>,
) -> Result<Answered, CliError> {
    let away = |e: reqwest::Error| {
        let text = format!("`{authority}` cannot be reached: {}", e.without_url());
        CliError::environment("authority-away", text, "check the URL and that it serves")
    };
    let (status, nonce, bytes) = super::runtime()?.block_on(async {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .no_proxy()
            .build()
            .map_err(away)?;
        let mut request =
            client.post(format!("{authority}{path}")).header("content-type", kind).body(body);
        if let Some(proof) = proof {
            request = request.header("dpop", proof);
        }
        let mut answer = request.send().await.map_err(away)?;
        let nonce = answer.headers().get("dpop-nonce").and_then(|v| v.to_str().ok());
        let nonce = nonce.map(str::to_owned);
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(away)? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > MAX_ANSWER {
                break;
            }
        }
        Ok::<_, CliError>((answer.status().as_u16(), nonce, bytes))
    })?;
    let limits = JsonLimits { max_bytes: MAX_ANSWER, max_values: 20_000, ..JsonLimits::DEFAULT };
    let body = match Json::parse(&bytes, &limits) {
        Ok(Json::Object(body)) => body,
        _ => Object::new(),
    };
    Ok(Answered { status, nonce, body })
}
