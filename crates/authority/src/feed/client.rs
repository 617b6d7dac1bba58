//! The gateway's side: following an authority elsewhere.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::crypto::{PublicKey, Signer};
use futures_util::StreamExt as _;
use http::header;

use super::{PATH, STREAM_PATH, proof, signed};
use crate::follower::{Batch, FeedError, RevocationFollower};
use crate::host::Host;

/// Without a sign of life for this long a stream is given up.
pub const SILENCE: Duration = Duration::from_secs(3);

/// Milliseconds between our clock and the signed heartbeat (DESIGN §8).
pub const MAX_CLOCK_MS: i64 = 5_000;

/// How long a connection or a batch may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two attempts: at first, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Who is followed, and who follows.
#[derive(Clone)]
pub struct Subscription {
    /// The authority's URI, without a slash at its end.
    pub issuer: String,
    /// Its snapshot keys.
    pub keys: Vec<PublicKey>,
    /// The gateway's maker name.
    pub maker: String,
    /// The gateway's maker key.
    pub key: Arc<dyn Signer + Send + Sync>,
    /// An HTTP client that follows no redirects.
    pub http: reqwest::Client,
    /// The clock.
    pub host: Arc<dyn Host>,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription")
            .field("issuer", &self.issuer)
            .field("maker", &self.maker)
            .finish_non_exhaustive()
    }
}

fn unavailable(detail: impl ToString) -> FeedError {
    FeedError::Unavailable { detail: detail.to_string() }
}

impl Subscription {
    /// Follows for ever: what arrives is known to `follower` at once, and a
    /// stream that ends or fails is taken up again where it was.
    ///
    /// A feed that does not continue what was seen is an error each time: the
    /// follower's knowledge grows old, and past the staleness bound every call
    /// is denied.
    pub async fn follow(&self, follower: &RevocationFollower) {
        let mut pause = AGAIN.0;
        loop {
            let before = follower.as_of();
            let error = match self.stream(follower).await {
                Ok(()) => unavailable("the stream ended"),
                Err(error) => error,
            };
            tracing::warn!(code = error.code(), %error, "revocations are followed anew");
            pause = if follower.as_of() > before { AGAIN.0 } else { (pause * 2).min(AGAIN.1) };
            tokio::time::sleep(pause).await;
        }
    }

    /// Asks for one batch and hands it to `follower`.
    ///
    /// # Errors
    /// See [`FeedError`].
    pub async fn ask(&self, follower: &RevocationFollower) -> Result<usize, FeedError> {
        let after = follower.position();
        let request = self.request(PATH, &format!("?after={after}")).timeout(PATIENCE);
        let answer = request.send().await.map_err(unavailable)?;
        let answer = accepted(answer)?;
        let mut body = Vec::new();
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = pieces.next().await {
            body.extend_from_slice(&piece.map_err(unavailable)?);
            bounded(&body)?;
        }
        self.take(follower, after, &body)
    }

    fn request(&self, path: &str, query: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.issuer);
        let proof = proof::make(&self.maker, &url, self.host.now(), &*self.key);
        self.http.get(url + query).header(header::AUTHORIZATION, proof)
    }

    /// Follows one stream until it ends.
    async fn stream(&self, follower: &RevocationFollower) -> Result<(), FeedError> {
        let mut after = follower.position();
        let request = self.request(STREAM_PATH, "").header("last-event-id", after.to_string());
        let answer = tokio::time::timeout(PATIENCE, request.send()).await;
        let answer = accepted(answer.map_err(unavailable)?.map_err(unavailable)?)?;
        let mut pieces = answer.bytes_stream();
        let mut events = Events::default();
        loop {
            let piece = tokio::time::timeout(SILENCE, pieces.next()).await;
            let Some(piece) = piece.map_err(|_| FeedError::Silent)? else { return Ok(()) };
            events.feed(&piece.map_err(unavailable)?)?;
            while let Some(data) = events.whole() {
                self.take(follower, after, &data)?;
                after = follower.position();
            }
        }
    }

    /// Verifies a batch and lets the follower know it.
    fn take(
        &self,
        follower: &RevocationFollower,
        after: u64,
        bytes: &[u8],
    ) -> Result<usize, FeedError> {
        let batch = signed::open(&self.issuer, after, bytes, &self.keys)?;
        self.check_clock(&batch)?;
        follower.accept(batch)
    }

    /// SECURITY: an old batch that somebody kept is no sign of life.
    fn check_clock(&self, batch: &Batch) -> Result<(), FeedError> {
        let behind = self.host.now().millis_since(batch.as_of);
        if behind.abs() > MAX_CLOCK_MS {
            return Err(FeedError::Stale { as_of: batch.as_of });
        }
        Ok(())
    }
}

fn accepted(answer: reqwest::Response) -> Result<reqwest::Response, FeedError> {
    let status = answer.status();
    if status == reqwest::StatusCode::OK {
        return Ok(answer);
    }
    Err(unavailable(format!("the authority answered {status}")))
}

fn bounded(bytes: &[u8]) -> Result<(), FeedError> {
    if bytes.len() > signed::MAX_BYTES {
        return Err(FeedError::Forged { what: "it is too large" });
    }
    Ok(())
}

/// Server-sent events as this authority writes them: the data of each.
#[derive(Default)]
struct Events {
    bytes: Vec<u8>,
}

impl Events {
    fn feed(&mut self, piece: &[u8]) -> Result<(), FeedError> {
        self.bytes.extend_from_slice(piece);
        bounded(&self.bytes)
    }

    /// The data of the next whole event.
    fn whole(&mut self) -> Option<Vec<u8>> {
        let end = self.bytes.windows(2).position(|w| w == b"\n\n")?;
        let rest = self.bytes.split_off(end.saturating_add(2));
        let event = std::mem::replace(&mut self.bytes, rest);
        let mut lines = event.split(|b| *b == b'\n');
        let data = lines.find_map(|l| l.strip_prefix(b"data: "));
        Some(data.unwrap_or_default().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_whole_however_they_are_cut() {
        let text = b"id: 1\ndata: {\"a\":1}\n\nid: 2\ndata: {}\n\n: comment\n\nid: 3\nda";
        for size in 1..text.len() {
            let mut events = Events::default();
            let mut found = Vec::new();
            for piece in text.chunks(size) {
                events.feed(piece).unwrap();
                while let Some(data) = events.whole() {
                    found.push(String::from_utf8(data).unwrap());
                }
            }
            assert_eq!(found, ["{\"a\":1}", "{}", ""]);
        }
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut events = Events::default();
        events.feed(&vec![b'x'; signed::MAX_BYTES]).unwrap();
        assert_eq!(events.feed(b"x").unwrap_err().code(), "feed-forged");
    }
}
