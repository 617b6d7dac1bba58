//! Fetching what a stranger names: the metadata document of a client.
//!
//! SECURITY: whoever names a URL makes us connect there. So: https only; the
//! name is resolved once and the connection goes to that very address; no
//! address that is not a public one; no redirect, proxy, cookie or credential;
//! 5 KB and three seconds.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

pub use bailiwick_core::address::is_public;
use http::header;
use url::{Host, Url};

use crate::oauth::client::DocumentUrl;

/// Bytes of a document at most.
pub const MAX_BYTES: usize = 5 * 1024;
/// For all of it: looking the name up, connecting, reading.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Its bytes.
    pub body: Vec<u8>,
    /// For how many seconds its server says that it may be kept.
    pub max_age_seconds: Option<i64>,
}

/// Why there is no document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// An address where nobody but the operator may have us connect.
    #[error("the document's host has no public address")]
    Address,
    /// No HTTP client can be made.
    #[error("no HTTP client can be made")]
    Client,
    /// No connection, or it broke.
    #[error("the document's server cannot be reached")]
    Unreachable,
    /// Another status than 200; redirects are not followed.
    #[error("the document's server answered {status}, expected 200")]
    Status {
        /// Which.
        status: u16,
    },
    /// Not JSON.
    #[error("the document is not served as JSON")]
    ContentType,
    /// Too large.
    #[error("the document is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// Too slow.
    #[error("the document's server took longer than three seconds")]
    TimedOut,
}

impl FetchError {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Address => "document-address",
            Self::Client => "document-client",
            Self::Unreachable => "document-unreachable",
            Self::Status { .. } => "document-status",
            Self::ContentType => "document-content-type",
            Self::TooLarge => "document-too-large",
            Self::TimedOut => "document-timeout",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Address => "publish the document on a public host",
            Self::Client => "ask the operator",
            Self::Unreachable | Self::TimedOut => "try again when its server is there",
            Self::Status { .. } => "serve the document at its own URL, without redirect",
            Self::ContentType => "serve the document as `application/json`",
            Self::TooLarge => "publish a smaller document",
        }
    }
}

/// A document on its way.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Fetched, FetchError>> + Send + 'a>>;

/// Something that fetches metadata documents.
pub trait Fetch: Send + Sync {
    /// Fetches the document at `url`.
    ///
    /// # Errors
    /// See [`FetchError`].
    fn fetch<'a>(&'a self, url: &'a DocumentUrl) -> Fetching<'a>;
}

/// The real one.
#[derive(Clone, Copy, Debug, Default)]
pub struct WebFetch {
    /// Whether this very machine may be connected to: for tests, where the
    /// operator says so in the configuration.
    pub loopback: bool,
}

impl Fetch for WebFetch {
    fn fetch<'a>(&'a self, url: &'a DocumentUrl) -> Fetching<'a> {
        Box::pin(async move {
            let work = self.get(url.url());
            tokio::time::timeout(TIMEOUT, work).await.unwrap_or(Err(FetchError::TimedOut))
        })
    }
}

impl WebFetch {
    async fn get(&self, url: &Url) -> Result<Fetched, FetchError> {
        let addresses = self.addresses(url).await?;
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .https_only(!self.loopback)
            .timeout(TIMEOUT);
        if let Some(Host::Domain(name)) = url.host() {
            // Resolved once: a second answer of the name server, made to point
            // elsewhere, is never asked for.
            builder = builder.resolve_to_addrs(name, &addresses);
        }
        let client = builder.build().map_err(|_| FetchError::Client)?;
        let request = client.get(url.clone()).header(header::ACCEPT, "application/json");
        let mut answer = request.send().await.map_err(|_| FetchError::Unreachable)?;
        let status = answer.status().as_u16();
        if status != 200 {
            return Err(FetchError::Status { status });
        }
        let text = |name| answer.headers().get(name).and_then(|v| v.to_str().ok());
        if !text(header::CONTENT_TYPE).is_some_and(is_json) {
            return Err(FetchError::ContentType);
        }
        let max_age_seconds = text(header::CACHE_CONTROL).and_then(max_age);
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|_| FetchError::Unreachable)? {
            if body.len().saturating_add(piece.len()) > MAX_BYTES {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&piece);
        }
        Ok(Fetched { body, max_age_seconds })
    }

    /// Where `url` leads: one address is enough to refuse all.
    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, FetchError> {
        let port = url.port_or_known_default().ok_or(FetchError::Unreachable)?;
        let found: Vec<SocketAddr> = match url.host() {
            Some(Host::Ipv4(ip)) => vec![(ip, port).into()],
            Some(Host::Ipv6(ip)) => vec![(ip, port).into()],
            Some(Host::Domain(name)) => tokio::net::lookup_host((name, port))
                .await
                .map_err(|_| FetchError::Unreachable)?
                .collect(),
            None => return Err(FetchError::Unreachable),
        };
        let allowed = |ip: IpAddr| is_public(ip) || (self.loopback && ip.is_loopback());
        if found.is_empty() {
            return Err(FetchError::Unreachable);
        }
        if found.iter().any(|address| !allowed(address.ip())) {
            return Err(FetchError::Address);
        }
        Ok(found)
    }
}

fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn max_age(cache_control: &str) -> Option<i64> {
    let mut directives = cache_control.split(',').map(|d| d.trim().to_ascii_lowercase());
    if directives.clone().any(|d| d == "no-store" || d == "no-cache") {
        return Some(0);
    }
    directives.find_map(|d| d.strip_prefix("max-age=")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// What the composition root does.
    fn provide() {
        let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }

    /// A server on this machine that answers every request alike.
    async fn serve(answer: String) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut request = [0; 2048];
                    let _ = stream.read(&mut request).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                    if answer.is_empty() {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                });
            }
        });
        format!("http://{address}/client.json")
    }

    async fn fetch(answer: &str, loopback: bool) -> Result<Fetched, FetchError> {
        provide();
        let url = DocumentUrl::parse(&serve(answer.to_owned()).await, true).unwrap();
        WebFetch { loopback }.fetch(&url).await
    }

    fn answer(head: &str, body: &str) -> String {
        format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n{body}")
    }

    const JSON: &str = "200 OK\r\ncontent-type: application/json; charset=utf-8";

    #[tokio::test]
    async fn a_document_is_fetched_with_how_long_it_may_be_kept() {
        let head = format!("{JSON}\r\ncache-control: public, max-age=300");
        let fetched = fetch(&answer(&head, "{}"), true).await.unwrap();
        assert_eq!((fetched.body.as_slice(), fetched.max_age_seconds), (&b"{}"[..], Some(300)));
        let head = format!("{JSON}\r\ncache-control: no-store, max-age=300");
        assert_eq!(fetch(&answer(&head, "{}"), true).await.unwrap().max_age_seconds, Some(0));
    }

    #[tokio::test]
    async fn this_machine_is_not_connected_to_unless_the_operator_says_so() {
        assert_eq!(fetch(&answer(JSON, "{}"), false).await, Err(FetchError::Address));
        for host in ["localhost", "127.0.0.1", "[::1]", "169.254.169.254", "[fd00:ec2::254]"] {
            let url = DocumentUrl::parse(&format!("https://{host}/client.json"), false).unwrap();
            assert_eq!(WebFetch::default().fetch(&url).await, Err(FetchError::Address), "{host}");
        }
        // Other private addresses stay closed even then.
        let url = DocumentUrl::parse("https://10.0.0.1/client.json", true).unwrap();
        assert_eq!(WebFetch { loopback: true }.fetch(&url).await, Err(FetchError::Address));
    }

    #[tokio::test]
    async fn redirects_other_kinds_and_large_answers_are_refused() {
        let away = answer("302 Found\r\nlocation: http://169.254.169.254/", "");
        assert_eq!(fetch(&away, true).await, Err(FetchError::Status { status: 302 }));
        let missing = answer("404 Not Found", "");
        assert_eq!(fetch(&missing, true).await, Err(FetchError::Status { status: 404 }));
        let html = answer("200 OK\r\ncontent-type: text/html", "{}");
        assert_eq!(fetch(&html, true).await, Err(FetchError::ContentType));
        let none = answer("200 OK", "{}");
        assert_eq!(fetch(&none, true).await, Err(FetchError::ContentType));
        let large = answer(JSON, &"x".repeat(MAX_BYTES + 1));
        assert_eq!(fetch(&large, true).await, Err(FetchError::TooLarge));
        assert!(fetch(&answer(JSON, &"x".repeat(MAX_BYTES)), true).await.is_ok());
        assert_eq!(fetch("nonsense", true).await, Err(FetchError::Unreachable));
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_left_after_three_seconds() {
        assert_eq!(fetch("", true).await, Err(FetchError::TimedOut));
    }

    #[tokio::test]
    async fn nobody_there_is_an_error_of_its_own() {
        provide();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/client.json", listener.local_addr().unwrap());
        drop(listener);
        let url = DocumentUrl::parse(&url, true).unwrap();
        let error = WebFetch { loopback: true }.fetch(&url).await.unwrap_err();
        assert_eq!(error, FetchError::Unreachable);
        assert!(!error.remedy().is_empty() && error.code() == "document-unreachable");
    }
}
