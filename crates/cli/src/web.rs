//! Requests to an authority elsewhere. Answers are bounded; a problem
//! (RFC 9457) becomes an error.

use std::time::Duration;

use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;

use crate::error::CliError;
use crate::verbs::runtime;

/// An answer of the authority has a few kilobytes; lists have more.
const MAX_ANSWER: usize = 4 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// One request.
pub(crate) struct Sent<'a> {
    pub(crate) method: reqwest::Method,
    /// The whole address.
    pub(crate) url: &'a str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<&'a Json>,
}

/// Sends it; gives the answer's object, an empty one for an answer without.
pub(crate) fn send(sent: Sent<'_>) -> Result<Object, CliError> {
    let away = |e: reqwest::Error| {
        let text = format!("`{}` cannot be reached: {}", sent.url, e.without_url());
        CliError::environment("authority-away", text, "check the URL and that it serves")
    };
    let (status, bytes) = runtime()?.block_on(async {
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
        if let Some(body) = sent.body {
            request = request.header("content-type", "application/json").body(body.canonical());
        }
        let mut answer = request.send().await.map_err(away)?;
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(away)? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > MAX_ANSWER {
                break;
            }
        }
        Ok::<_, CliError>((answer.status(), bytes))
    })?;
    let limits = JsonLimits { max_bytes: MAX_ANSWER, max_values: 200_000, ..JsonLimits::DEFAULT };
    let answer = match Json::parse(&bytes, &limits) {
        Ok(Json::Object(answer)) => Some(answer),
        _ if bytes.is_empty() => Some(Object::new()),
        _ => None,
    };
    let foreign = || {
        CliError::refused(
            "authority-refused",
            format!("`{}` answered {status}", sent.url),
            "check that this is the authority's URL",
        )
    };
    let answer = answer.ok_or_else(foreign)?;
    if status.is_success() {
        return Ok(answer);
    }
    let text = |name: &str| answer.member(name).and_then(Json::as_str);
    match (text("title"), text("detail")) {
        (Some(code), Some(detail)) => {
            Err(CliError::refused(code, detail, text("remedy").unwrap_or_default()))
        }
        _ => Err(foreign()),
    }
}
