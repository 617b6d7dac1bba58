//! How a peer is reached. A transport opens an exchange with one peer and says
//! what the connection proves; the messages are the same over each.

use std::time::Duration;

use bailiwick_core::peer::Channel;
use futures_util::future::BoxFuture;
use reqwest::Url;

use crate::error::{PeerError, Who};

/// Bytes of an answer at most.
pub(crate) const MAX_ANSWER: usize = 64 << 10;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// A way to peers.
pub trait Transport: Send + Sync {
    /// Opens an exchange with the peer at `url`, which has no path.
    ///
    /// # Errors
    /// [`PeerError::Away`], [`PeerError::NotLoopback`].
    fn open<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Box<dyn Exchange>, PeerError>>;
}

/// An exchange with one peer.
pub trait Exchange: Send + Sync {
    /// What the connection proves. The handshake is bound to it.
    fn channel(&self) -> &Channel;

    /// Posts one JSON body to a path of the peer.
    ///
    /// # Errors
    /// [`PeerError::Away`].
    fn post<'a>(&'a self, path: &'a str, body: Vec<u8>)
    -> BoxFuture<'a, Result<Answer, PeerError>>;
}

/// Plain HTTP within this machine: it proves nothing, and the guarantee is
/// `key`.
#[derive(Clone, Debug)]
pub struct Loopback {
    http: reqwest::Client,
}

impl Loopback {
    /// A way to peers on this machine.
    ///
    /// # Errors
    /// [`PeerError::Away`] when no HTTP client can be made.
    pub fn new() -> Result<Self, PeerError> {
        Ok(Self { http: client(Who::Peer, PATIENCE)? })
    }
}

/// This crate's HTTP client: it follows no redirect and uses no proxy, because
/// what it sends is for the one whom the URL names.
pub(crate) fn client(who: Who, patience: Duration) -> Result<reqwest::Client, PeerError> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(patience)
        .no_proxy()
        .build()
        .map_err(|e| PeerError::Away { who, why: e.to_string() })
}

/// The last cause of an error, which says what a person can act on.
fn cause(e: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = e;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Sends a request and reads a bounded answer.
pub(crate) async fn send(
    who: Who,
    request: reqwest::RequestBuilder,
    max_bytes: usize,
) -> Result<Answer, PeerError> {
    let away = |e: reqwest::Error| PeerError::Away { who, why: cause(&e) };
    let mut response = request.send().await.map_err(away)?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(away)? {
        if body.len().saturating_add(piece.len()) > max_bytes {
            return Err(PeerError::Unexpected { who, what: "it is too large" });
        }
        body.extend_from_slice(&piece);
    }
    Ok(Answer { status, body })
}

/// SECURITY: on this machine only, by address or as `localhost`. What goes over
/// it can be read and replaced by whoever is on the way.
fn is_loopback(url: &Url) -> bool {
    let local = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    local && url.scheme() == "http" && url.username().is_empty() && url.password().is_none()
}

impl Transport for Loopback {
    fn open<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Box<dyn Exchange>, PeerError>> {
        Box::pin(async move {
            let elsewhere = || PeerError::NotLoopback { url: url.to_owned() };
            let base = Url::parse(url).ok().filter(is_loopback).ok_or_else(elsewhere)?;
            let exchange = Plain { http: self.http.clone(), base, channel: Channel::Unbound };
            Ok(Box::new(exchange) as Box<dyn Exchange>)
        })
    }
}

struct Plain {
    http: reqwest::Client,
    base: Url,
    channel: Channel,
}

impl Exchange for Plain {
    fn channel(&self) -> &Channel {
        &self.channel
    }

    fn post<'a>(
        &'a self,
        path: &'a str,
        body: Vec<u8>,
    ) -> BoxFuture<'a, Result<Answer, PeerError>> {
        Box::pin(async move {
            let elsewhere = |_| PeerError::NotLoopback { url: self.base.to_string() };
            let url = self.base.join(path).map_err(elsewhere)?;
            let json = (reqwest::header::CONTENT_TYPE, "application/json");
            let request = self.http.post(url).header(json.0, json.1).body(body);
            send(Who::Peer, request, MAX_ANSWER).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_reaches_this_machine_only() {
        let local = |text: &str| Url::parse(text).is_ok_and(|url| is_loopback(&url));
        for url in ["http://127.0.0.1:7001", "http://[::1]:7001", "http://localhost:7001"] {
            assert!(local(url), "{url}");
        }
        for url in [
            "http://192.0.2.7:7001",
            "http://peer.example",
            "https://127.0.0.1:7001",
            "http://localhost.evil.example",
            "http://a@127.0.0.1:7001",
            "http://[::ffff:192.0.2.7]",
        ] {
            assert!(!local(url), "{url}");
        }
    }
}
