//! What clients on gRPC's C core (Python, Ruby, PHP, C++) send for the host of a
//! Unix socket: its path, percent-encoded, such as `tmp%2Fworkload.sock`. That is
//! no authority of a URI (RFC 3986 §3.2), and our HTTP/2 library resets the stream.
//! Nobody here looks at the authority, so that each `%` in it becomes a `-` on its
//! way in: of the same length, so that nothing else of the connection changes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The client's preface (RFC 9113 §3.4).
const PREFACE: usize = 24;
/// Of a frame (RFC 9113 §4.1).
const HEAD: usize = 9;
/// What a frame may have unless more is agreed on, which it is not here.
const LARGEST: usize = 16_384;
/// The type of frames that open a stream.
const HEADERS: u8 = 1;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// `:authority` in the static table (RFC 7541 appendix A).
const AUTHORITY: usize = 1;

/// A connection whose client names its authority in its own way.
#[derive(Debug)]
pub(crate) struct AnyAuthority<S> {
    inner: S,
    /// Bytes that came and are not a whole frame yet.
    coming: Vec<u8>,
    /// Bytes that may go on, from `gone`.
    ready: Vec<u8>,
    gone: usize,
    begun: bool,
    /// A frame was too large: the library ends such a connection.
    passing: bool,
}

impl<S> AnyAuthority<S> {
    pub(crate) fn new(inner: S) -> Self {
        let (coming, ready) = (Vec::new(), Vec::new());
        Self { inner, coming, ready, gone: 0, begun: false, passing: false }
    }

    /// Moves what is whole from `coming` to `ready`.
    fn advance(&mut self) {
        if !self.begun && self.coming.len() >= PREFACE {
            self.begun = true;
            self.ready.extend(self.coming.drain(..PREFACE));
        }
        while self.begun && !self.passing {
            let &[a, b, c, kind, flags, ..] = self.coming.as_slice() else { break };
            let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            if length > LARGEST {
                self.passing = true;
                break;
            }
            let whole = HEAD.saturating_add(length);
            if self.coming.len() < whole {
                break;
            }
            let from = self.ready.len();
            self.ready.extend(self.coming.drain(..whole));
            if kind == HEADERS
                && let Some(payload) = self.ready.get_mut(from.saturating_add(HEAD)..)
            {
                // What cannot be followed goes on as it came.
                let _ = soften(payload, flags);
            }
        }
        if self.passing {
            self.ready.append(&mut self.coming);
        }
    }
}

/// Replaces `%` in literal values of `:authority` in a block of fields.
fn soften(payload: &mut [u8], flags: u8) -> Option<()> {
    let before = usize::from(flags & PADDED != 0) + if flags & PRIORITY != 0 { 5 } else { 0 };
    let padding = if flags & PADDED != 0 { usize::from(*payload.first()?) } else { 0 };
    let end = payload.len().checked_sub(padding)?;
    let mut block = payload.get_mut(before..end)?;
    while let Some(first) = block.first().copied() {
        // RFC 7541 §6: how many bits of the first byte belong to the number, and
        // whether a literal follows.
        let (bits, literal) = match first {
            0x80.. => (7, false),
            0x40.. => (6, true),
            0x20.. => (5, false),
            _ => (4, true),
        };
        let (name, used) = number(block, bits)?;
        block = block.get_mut(used..)?;
        if !literal {
            continue;
        }
        let mut is_authority = name == AUTHORITY;
        if name == 0 {
            let (length, used) = number(block, 7)?;
            let (spelled, rest) = block.get_mut(used..)?.split_at_mut_checked(length)?;
            is_authority = spelled == b":authority";
            block = rest;
        }
        let coded = block.first()? & 0x80 != 0;
        let (length, used) = number(block, 7)?;
        block = block.get_mut(used..)?;
        let (value, rest) = block.split_at_mut_checked(length)?;
        if is_authority && !coded {
            value.iter_mut().filter(|byte| **byte == b'%').for_each(|byte| *byte = b'-');
        }
        block = rest;
    }
    Some(())
}

/// A number and the bytes that it takes (RFC 7541 §5.1).
fn number(bytes: &[u8], bits: u32) -> Option<(usize, usize)> {
    let most = (1usize << bits) - 1;
    let mut value = usize::from(*bytes.first()?) & most;
    if value < most {
        return Some((value, 1));
    }
    for (n, byte) in bytes.iter().enumerate().skip(1).take(3) {
        let shift = u32::try_from(n - 1).ok()? * 7;
        value = value.checked_add(usize::from(byte & 0x7f) << shift)?;
        if byte & 0x80 == 0 {
            return Some((value, n + 1));
        }
    }
    None
}

impl<S: AsyncRead + Unpin> AsyncRead for AnyAuthority<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let left = this.ready.get(this.gone..).unwrap_or_default();
            if !left.is_empty() {
                let now = left.get(..to.remaining().min(left.len())).unwrap_or_default();
                to.put_slice(now);
                this.gone = this.gone.saturating_add(now.len());
                return Poll::Ready(Ok(()));
            }
            this.ready.clear();
            this.gone = 0;
            let mut chunk = [0; 4096];
            let mut buffer = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                // The end: what is not whole stays so.
                to.put_slice(&[]);
                return Poll::Ready(Ok(()));
            }
            this.coming.extend_from_slice(buffer.filled());
            this.advance();
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AnyAuthority<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, 1], payload].concat()
    }

    async fn through(bytes: &[u8]) -> Vec<u8> {
        let mut read = Vec::new();
        AnyAuthority::new(bytes).read_to_end(&mut read).await.unwrap();
        read
    }

    /// `:method` POST, fields with names of their own, and the authority in both forms.
    fn block(authority: &str) -> Vec<u8> {
        let mut block = vec![0x83, 0x40, 1, b'a', 2, b'%', b'A', 0x41];
        block.push(u8::try_from(authority.len()).unwrap());
        block.extend(authority.as_bytes());
        block.extend([0x10, 1, b'b', 1, b'%', 0x40, 10]);
        block.extend(b":authority");
        block.push(u8::try_from(authority.len()).unwrap());
        block.extend(authority.as_bytes());
        block
    }

    #[tokio::test]
    async fn only_the_authority_of_a_request_changes_and_only_its_percents() {
        let preface = [b'P'; PREFACE];
        for (flags, before, after) in
            [(4, &[][..], &[][..]), (0x24, &[1; 5], &[]), (0x0c, &[2], b"%%")]
        {
            let sent = |authority: &str| {
                let payload = [before, &block(authority), after].concat();
                let data = frame(0, 0, b"\x41\x02%%");
                [preface.as_slice(), &data, &frame(HEADERS, flags, &payload), &data].concat()
            };
            // The name by its number, and spelled out as the C core does.
            let came = through(&sent("tmp%2Fapi.sock")).await;
            assert_eq!(came, sent("tmp-2Fapi.sock"), "{flags:#x}");
            assert_eq!(through(&sent("localhost")).await, sent("localhost"));
        }
    }

    #[tokio::test]
    async fn what_cannot_be_followed_goes_on_as_it_came() {
        let preface = [b'P'; PREFACE];
        for payload in [&[0x41, 0xff][..], &[0x41, 0x7f, 0xff, 0xff, 0xff, 0xff], &[0x41, 9, b'%']]
        {
            let sent = [preface.as_slice(), &frame(HEADERS, 4, payload)].concat();
            assert_eq!(through(&sent).await, sent);
        }
        let large = [preface.as_slice(), &[0xff, 0, 0, 1, 4, 0, 0, 0, 1], &[b'%'; 300]].concat();
        assert_eq!(through(&large).await, large);
        assert_eq!(through(b"PRI").await, b"", "less than a preface is no request");
    }
}
