//! The way to HTTP APIs: the one request that was checked, and its answer.

use std::time::Duration;

use bailiwick_policy::api::Outgoing;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use url::Url;

use super::{Failure, Upstream, failure};
use crate::ports::ToolServer;

/// Headers of an answer that reach the caller. None of them can make a browser
/// or a proxy take the answer for the gateway's own word.
const PASSED: [HeaderName; 7] = [
    header::CONTENT_DISPOSITION,
    header::CONTENT_LANGUAGE,
    header::CONTENT_TYPE,
    header::ETAG,
    header::LAST_MODIFIED,
    header::LINK,
    header::RETRY_AFTER,
];

/// An API's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Upstream {
    /// Sends a request and waits for the whole answer.
    pub(crate) async fn api(
        &self,
        server: &ToolServer,
        outgoing: &Outgoing,
        limit: Duration,
    ) -> Result<Answer, Failure> {
        let work = async {
            let answer = self.ask(server, outgoing).await?;
            self.whole(answer, server).await
        };
        tokio::time::timeout(limit, work).await.unwrap_or(Err(Failure::TimedOut))
    }

    async fn ask(
        &self,
        server: &ToolServer,
        outgoing: &Outgoing,
    ) -> Result<super::Answer, Failure> {
        let unsent = || Failure::Unreachable;
        let url = target(&server.url, outgoing).ok_or_else(unsent)?;
        let method = Method::from_bytes(outgoing.verb.as_str().as_bytes()).map_err(|_| unsent())?;
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, */*;q=0.1"));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for (name, value) in &outgoing.headers {
            let value = HeaderValue::from_str(value).map_err(|_| unsent())?;
            headers.insert(HeaderName::from_static(name), value);
        }
        if outgoing.body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let body = outgoing.body.clone().unwrap_or_default();
        self.send_to(method, server, url, headers, body).await
    }

    async fn whole(&self, answer: super::Answer, server: &ToolServer) -> Result<Answer, Failure> {
        let super::Answer { mut response, credential } = answer;
        let status = response.status();
        // SECURITY: nobody is sent elsewhere, here or at the caller.
        if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
            return Err(Failure::Status(status.as_u16()));
        }
        let packed = response.headers().get(header::CONTENT_ENCODING);
        if packed.is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(Failure::Garbage { bytes: 0 });
        }
        let mut headers = HeaderMap::new();
        for name in PASSED {
            if let Some(value) = response.headers().get(&name) {
                headers.insert(name, value.clone());
            }
        }
        let (mut body, mut bytes) = (Vec::new(), 0usize);
        while let Some(piece) = response.chunk().await.map_err(|e| failure(&e))? {
            bytes = bytes.saturating_add(piece.len());
            if bytes > self.reading.max_bytes {
                return Err(Failure::TooLarge { bytes });
            }
            body.extend_from_slice(&piece);
        }
        // SECURITY: agents never hold tool credentials (DESIGN rule 5).
        let shown = |text: &[u8]| credential.iter().any(|c| c.is_shown_by(text));
        if shown(&body) || headers.values().any(|value| shown(value.as_bytes())) {
            tracing::error!(server = %server.name, "the API's answer holds its credential");
            return Err(Failure::Leak { bytes });
        }
        Ok(Answer { status, headers, body })
    }
}

/// The URL below the API's base. `None`, if another one would come of it.
fn target(base: &Url, outgoing: &Outgoing) -> Option<Url> {
    if base.query().is_some() || base.fragment().is_some() {
        return None;
    }
    let mut text = base.as_str().trim_end_matches('/').to_owned();
    text.push_str(&outgoing.path);
    if let Some(query) = &outgoing.query {
        text.push('?');
        text.push_str(query);
    }
    // INVARIANT: what is canonical is not respelled.
    Url::parse(&text).ok().filter(|url| url.as_str() == text)
}

#[cfg(test)]
mod tests {
    use bailiwick_policy::api::Verb;

    use super::*;

    #[test]
    fn the_target_lies_below_the_base_as_it_was_checked() {
        let to = |base: &str, path: &str| {
            let (verb, query) = (Verb::Get, Some("q=a%26b".to_owned()));
            let (headers, body) = (Vec::new(), None);
            let outgoing = Outgoing { verb, path: path.to_owned(), query, headers, body };
            target(&Url::parse(base).unwrap(), &outgoing).map(String::from)
        };
        let whole = |url: &str| Some(url.to_owned());
        assert_eq!(to("http://h:1/v1/", "/a%2Fb"), whole("http://h:1/v1/a%2Fb?q=a%26b"));
        assert_eq!(to("http://h:1", "/a"), whole("http://h:1/a?q=a%26b"));
        assert_eq!(to("http://h:1/v1?key=x", "/a"), None);
        assert_eq!(to("http://h:1/v1", "/../admin"), None);
        assert_eq!(to("http://h:1/v1", "/%2e%2e/admin"), None);
    }
}
