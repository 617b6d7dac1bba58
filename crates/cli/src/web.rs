//! Requests to an authority over the network, by whoever has a key there.
//! Answers are bounded; an error that the authority tells becomes ours.

use std::time::Duration;

use bailiwick_authority::oauth::parameters;
use bailiwick_core::crypto::base64url;
use bailiwick_core::jose::{self, JwsSigner};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use reqwest::Method;

use crate::error::CliError;
use crate::host;
use crate::verbs::runtime;

/// An answer has a statement or a root, and what is said beside it; lists have
/// more.
const MAX_ANSWER: usize = 4 << 20;
const PATIENCE: Duration = Duration::from_secs(10);
/// Seconds for which an assertion is good.
const ASSERTION_SECONDS: i64 = 60;

/// What an authority answered.
struct Answered {
    status: u16,
    nonce: Option<String>,
    body: Object,
}

/// One request.
pub(crate) struct Sent<'a> {
    pub(crate) method: Method,
    /// The whole address.
    pub(crate) url: &'a str,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The body and its media type.
    pub(crate) body: Option<(&'static str, String)>,
}

/// One request of our own API; a problem (RFC 9457) becomes an error.
pub(crate) fn api(sent: &Sent<'_>) -> Result<Object, CliError> {
    read(send(sent)?, "title", "detail")
}

/// One JSON body, posted.
pub(crate) fn json(authority: &str, path: &str, body: &Json) -> Result<Object, CliError> {
    let (url, body) = (format!("{authority}{path}"), Some(("application/json", body.canonical())));
    api(&Sent { method: Method::POST, url: &url, headers: Vec::new(), body })
}

/// Makes a DPoP proof with the nonce that was asked for, if one was.
type Prove<'p> = dyn Fn(Option<&str>) -> Result<String, CliError> + 'p;

/// One form; the standard's error (RFC 6749 §5.2) becomes ours. `proof` makes
/// a DPoP proof with the nonce that the authority asks for, if it does
/// (RFC 9449 §8).
pub(crate) fn form(
    authority: &str,
    path: &str,
    pairs: &[(&str, &str)],
    proof: Option<&Prove<'_>>,
) -> Result<Object, CliError> {
    let ask = |nonce: Option<&str>| {
        let body = parameters::encode(pairs);
        let proof = proof.map(|make| make(nonce)).transpose()?;
        let url = format!("{authority}{path}");
        let headers = proof.map(|proof| ("dpop", proof)).into_iter().collect();
        let body = Some(("application/x-www-form-urlencoded", body));
        send(&Sent { method: Method::POST, url: &url, headers, body })
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
pub(crate) fn client_assertion(
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
pub(crate) fn signing(error: bailiwick_core::crypto::KeyError) -> CliError {
    CliError::environment("key", error.to_string(), "try again")
}

/// An answer that is not what was asked for.
pub(crate) fn unexpected(what: &str) -> CliError {
    CliError::refused(
        "answer-unexpected",
        format!("the authority's answer is not what was asked for: {what}"),
        "check that this is the authority's URL; nothing was signed or kept",
    )
}

fn read(answered: Answered, code: &str, text: &str) -> Result<Object, CliError> {
    let Answered { status, body, .. } = answered;
    if (200..300).contains(&status) {
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

fn send(sent: &Sent<'_>) -> Result<Answered, CliError> {
    let away = |e: reqwest::Error| {
        let text = format!("`{}` cannot be reached: {}", sent.url, e.without_url());
        CliError::environment("authority-away", text, "check the URL and that it serves")
    };
    let (status, nonce, bytes) = runtime()?.block_on(async {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .no_proxy()
            .build()
            .map_err(away)?;
        let mut request = client.request(sent.method.clone(), sent.url);
        for (name, value) in &sent.headers {
            request = request.header(*name, value);
        }
        if let Some((kind, body)) = &sent.body {
            request = request.header("content-type", *kind).body(body.clone());
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
    let limits = JsonLimits { max_bytes: MAX_ANSWER, max_values: 200_000, ..JsonLimits::DEFAULT };
    let body = match Json::parse(&bytes, &limits) {
        Ok(Json::Object(body)) => body,
        _ if bytes.is_empty() || !(200..300).contains(&status) => Object::new(),
        _ => return Err(unexpected("it is no JSON object")),
    };
    Ok(Answered { status, nonce, body })
}
