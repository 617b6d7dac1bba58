//! Requests to an authority over the network, by whoever has a key there.
//! Answers are bounded; an error that the authority tells becomes ours.

use std::time::Duration;

use bailiwick_authority::oauth::metadata::path;
use bailiwick_authority::oauth::{details, parameters};
use bailiwick_core::crypto::base64url;
use bailiwick_core::jose::{self, JwsSigner};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use reqwest::Method;

use crate::address::origin;
use crate::error::{Class, CliError};
use crate::host;
use crate::output::one_line;
use crate::verbs::runtime;

/// An answer has a statement or a root, and what is said beside it; lists have
/// more.
const MAX_ANSWER: usize = 4 << 20;
const PATIENCE: Duration = Duration::from_secs(10);
/// Seconds for which an assertion is good.
const ASSERTION_SECONDS: i64 = 60;

/// Codes of errors after which the authority knows nothing of a request: there
/// was nobody, or somebody else.
pub(crate) const NEVER_ASKED: [&str; 2] = ["authority-away", "not-an-authority"];

/// What an authority answered.
struct Answered {
    status: u16,
    nonce: Option<String>,
    body: Object,
    /// What it is when it is no authority's answer.
    kind: String,
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
    read(sent.url, send(sent)?, "title", "detail")
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
    let url = format!("{authority}{path}");
    let ask = |nonce: Option<&str>| {
        let body = parameters::encode(pairs);
        let proof = proof.map(|make| make(nonce)).transpose()?;
        let headers = proof.map(|proof| ("dpop", proof)).into_iter().collect();
        let body = Some(("application/x-www-form-urlencoded", body));
        send(&Sent { method: Method::POST, url: &url, headers, body })
    };
    let mut answered = ask(None)?;
    let error = answered.body.member("error").and_then(Json::as_str);
    if let (Some("use_dpop_nonce"), Some(nonce)) = (error, answered.nonce.clone()) {
        answered = ask(Some(&nonce))?;
    }
    read(&url, answered, "error", "error_description")
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

/// Something else than an authority answered.
fn stranger(url: &str, answered: &str) -> CliError {
    CliError::environment(
        "not-an-authority",
        format!("what answers at `{}` is no Bailiwick authority: {answered}", origin(url)),
        "check host and port; the right URL is the `public_url` of `bailiwick config show` there",
    )
}

fn read(url: &str, answered: Answered, code: &str, text: &str) -> Result<Object, CliError> {
    let Answered { status, body, kind, .. } = answered;
    if (200..300).contains(&status) {
        return Ok(body);
    }
    let said = |name: &str| body.member(name).and_then(Json::as_str);
    // A proxy in front of an authority may speak for it while it is away.
    if said(code).is_none() && status != 429 && status < 500 {
        return Err(stranger(url, &kind));
    }
    let text = said(text);
    // OAuth has one text for both, with our remedy at its end.
    let (message, advice) = match (text.and_then(|t| t.rsplit_once("; ")), said("remedy")) {
        (Some((message, remedy)), None) => (message.to_owned(), Some(remedy)),
        (_, remedy) => {
            let message = text.map(str::to_owned);
            (message.unwrap_or_else(|| format!("the authority answered {status}")), remedy)
        }
    };
    let code = said(code).unwrap_or("authority-refused");
    let class = Class::of_answer(status, code);
    let remedy = match class {
        Class::Environment => "try again after a while",
        _ => advice.unwrap_or("check the request, and that this is the authority's URL"),
    };
    Err(CliError::new(class, code, message, remedy))
}

/// This program's HTTP client: it follows no redirect and uses no proxy,
/// because what it sends is for the one whom the URL names.
pub(crate) fn client(patience: Duration) -> Result<reqwest::Client, CliError> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(patience)
        .no_proxy()
        .build()
        .map_err(|e| CliError::environment("http-client", e.to_string(), "try again"))
}

/// The last cause of an error, which says what a person can act on.
pub(crate) fn cause(e: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = e;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// A status and a media type in words.
pub(crate) fn described(answer: &reqwest::Response) -> String {
    let kind = answer.headers().get(reqwest::header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or("without a body");
    format!("HTTP {}, {}", answer.status(), one_line(kind))
}

/// Who is at a URL, as far as somebody without authority can see.
pub(crate) enum Found {
    Bailiwick { answered: String },
    Nobody { why: String },
    Stranger { answered: String },
}

/// Looks who is at a URL.
pub(crate) async fn look(url: &str) -> Found {
    let client = match client(PATIENCE) {
        Ok(client) => client,
        Err(e) => return Found::Nobody { why: e.message },
    };
    let answered = match client.get(url).send().await {
        Ok(answer) => described(&answer),
        Err(e) => return Found::Nobody { why: cause(&e) },
    };
    let metadata = format!("{}{}", origin(url), path::METADATA);
    let is_ours = match client.get(metadata).send().await {
        // Nobody else has this type of authorization details.
        Ok(answer) => bounded(answer)
            .await
            .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(details::TYPE)),
        Err(_) => false,
    };
    if is_ours { Found::Bailiwick { answered } } else { Found::Stranger { answered } }
}

/// Why nothing came back, or only a part.
fn away(url: &str, e: &reqwest::Error) -> CliError {
    let (at, why) = (origin(url), cause(e));
    if !e.is_connect() {
        let text = format!("`{at}` gave no whole answer: {why}");
        return CliError::environment("authority-silent", text, "try again after a while");
    }
    // The other side of a handshake that speaks no TLS.
    let is_plain = why.contains("InvalidContentType");
    let remedy = if is_plain {
        "what listens there speaks no TLS: check the port, or write http:// on this machine"
    } else {
        "check host and port, and that `bailiwick serve` runs there"
    };
    let text = format!("`{at}` cannot be reached: {why}");
    CliError::environment("authority-away", text, remedy)
}

/// An answer's body, or a little more of it than is taken.
async fn bounded(mut answer: reqwest::Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MAX_ANSWER {
            break;
        }
    }
    Ok(bytes)
}

fn send(sent: &Sent<'_>) -> Result<Answered, CliError> {
    let away = |e: reqwest::Error| away(sent.url, &e);
    let (status, nonce, kind, bytes) = runtime()?.block_on(async {
        let mut request = client(PATIENCE)?.request(sent.method.clone(), sent.url);
        for (name, value) in &sent.headers {
            request = request.header(*name, value);
        }
        if let Some((kind, body)) = &sent.body {
            request = request.header("content-type", *kind).body(body.clone());
        }
        let answer = request.send().await.map_err(away)?;
        let nonce = answer.headers().get("dpop-nonce").and_then(|v| v.to_str().ok());
        let (nonce, kind) = (nonce.map(str::to_owned), described(&answer));
        let status = answer.status().as_u16();
        Ok::<_, CliError>((status, nonce, kind, bounded(answer).await.map_err(away)?))
    })?;
    let limits = JsonLimits { max_bytes: MAX_ANSWER, max_values: 200_000, ..JsonLimits::DEFAULT };
    let body = match Json::parse(&bytes, &limits) {
        Ok(Json::Object(body)) => body,
        _ if bytes.is_empty() || !(200..300).contains(&status) => Object::new(),
        _ => return Err(stranger(sent.url, &kind)),
    };
    Ok(Answered { status, nonce, body, kind })
}
