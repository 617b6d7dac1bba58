//! Heads of requests as they arrived. The HTTP library hands on what they mean: it cuts a fragment
//! off the target, and drops a length beside a transfer encoding. Whoever stands in front of us and
//! reads such a head differently sees other requests than we do, so that it is refused by its bytes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bailiwick_core::json::{Json, Object};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a head may not say (RFC 9112 §3.2, §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `Content-Length` and `Transfer-Encoding` in one head.
    LengthAmbiguous,
    /// The target names another authority than `Host`.
    TargetAuthority,
    /// The target has a fragment.
    TargetFragment,
    /// The bytes and the request do not belong together.
    Unreadable,
}

impl Fault {
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::LengthAmbiguous => {
                ("length-ambiguous", "send `Content-Length` or `Transfer-Encoding`, not both")
            }
            Self::TargetAuthority => {
                ("target-authority", "name the same authority in the target and in `Host`")
            }
            Self::TargetFragment => ("target-fragment", "send the target without `#`"),
            Self::Unreadable => ("head-unreadable", "send one request after the other"),
        }
    }

    /// The answer; the connection ends with it.
    pub(crate) fn response(self) -> Response<Body> {
        let (code, remedy) = self.words();
        let error = Object::new().with("code", code).with("remedy", remedy);
        let body = Json::from(Object::new().with("error", error)).canonical();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        closing(&mut response);
        response
    }
}

/// Has the connection end with this answer.
pub(crate) fn closing(response: &mut Response<Body>) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}

/// What arrived on a connection and belongs to no request yet.
#[derive(Debug, Default)]
pub(crate) struct Heads(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    bytes: Vec<u8>,
    /// Bytes of the last request's body that are still to come.
    body: u64,
    /// Where the next head begins cannot be told: the connection ends with this request.
    over: bool,
}

/// How a head that is well continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another may follow.
    Open,
    /// Its body ends where only its pieces say.
    Close,
}

impl Heads {
    fn arrived(&self, bytes: &[u8]) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.over {
            return;
        }
        let skipped = usize::try_from(seen.body).unwrap_or(usize::MAX).min(bytes.len());
        seen.body -= skipped as u64;
        seen.bytes.extend_from_slice(bytes.get(skipped..).unwrap_or_default());
    }

    /// Judges the head of the request that was read from these bytes.
    pub(crate) fn judge<B>(&self, request: &Request<B>) -> Result<Next, Fault> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Empty lines before a head are skipped (RFC 9112 §2.2).
        let begin = seen.bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        seen.bytes.drain(..begin);
        let end = end_of(&seen.bytes).filter(|_| !seen.over);
        let judged = end
            .ok_or(Fault::Unreadable)
            .and_then(|end| judge(seen.bytes.get(..end).unwrap_or_default(), request));
        match (judged, end) {
            (Ok(Next::Open), Some(end)) => {
                let stated = request.headers().get(header::CONTENT_LENGTH);
                let length = stated.and_then(|v| v.to_str().ok()?.trim().parse::<u64>().ok());
                let after = (seen.bytes.len().saturating_sub(end)) as u64;
                let here = length.unwrap_or(0).min(after);
                let gone = end.saturating_add(usize::try_from(here).unwrap_or(0));
                let gone = gone.min(seen.bytes.len());
                seen.bytes.drain(..gone);
                seen.body = length.unwrap_or(0).saturating_sub(here);
            }
            _ => {
                seen.over = true;
                seen.bytes = Vec::new();
            }
        }
        judged
    }
}

/// Where a head ends: after its first empty line, whichever of the two line ends it has.
fn end_of(bytes: &[u8]) -> Option<usize> {
    let mut line = 0;
    for (at, _) in bytes.iter().enumerate().filter(|(_, b)| **b == b'\n') {
        let length = bytes.get(line..at).unwrap_or_default();
        if at > 0 && (length.is_empty() || length == b"\r") {
            return Some(at.saturating_add(1));
        }
        line = at.saturating_add(1);
    }
    None
}

fn judge<B>(head: &[u8], request: &Request<B>) -> Result<Next, Fault> {
    let mut lines = head.split(|b| *b == b'\n');
    let target = lines.next().and_then(|line| line.split(|b| *b == b' ').nth(1));
    if target.is_none_or(|target| target.contains(&b'#')) {
        return Err(Fault::TargetFragment);
    }
    let names: Vec<&[u8]> = lines.filter_map(|line| line.split(|b| *b == b':').next()).collect();
    let has = |name: &str| names.iter().any(|n| n.eq_ignore_ascii_case(name.as_bytes()));
    let coded = has(header::TRANSFER_ENCODING.as_str());
    if coded && has(header::CONTENT_LENGTH.as_str()) {
        return Err(Fault::LengthAmbiguous);
    }
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = request.uri().authority().filter(|_| request.method() != Method::CONNECT);
    if authority.is_some_and(|a| !host.is_some_and(|h| h.eq_ignore_ascii_case(a.as_str()))) {
        return Err(Fault::TargetAuthority);
    }
    Ok(if coded { Next::Close } else { Next::Open })
}

/// A connection of which what arrives is also kept for [`Heads::judge`], if somebody judges.
pub(crate) struct Watched<S> {
    stream: S,
    heads: Option<Arc<Heads>>,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, heads: Option<Arc<Heads>>) -> Self {
        Self { stream, heads }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let (Poll::Ready(Ok(())), Some(heads)) = (&read, &self.heads) {
            heads.arrived(buf.filled().get(before..).unwrap_or_default());
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
