//! Limits of the Workload API, in one place. They are counts.

use std::time::Duration;

/// Connections at once: a program has one or a few.
pub(crate) const CONNECTIONS: usize = 64;
/// Streams at once on one connection.
pub(crate) const STREAMS: u32 = 16;
/// Bytes of a request's headers.
pub(crate) const HEADER_BYTES: u32 = 8 << 10;
/// Bytes of a request's message: all requests that are answered are nearly empty.
pub(crate) const REQUEST_BYTES: usize = 16 << 10;
/// Bytes of an answer that our client takes.
pub(crate) const ANSWER_BYTES: usize = 1 << 20;
/// How long somebody who gets nothing may stay connected.
pub(crate) const DENIED: Duration = Duration::from_secs(10);
/// Certificates of a trust domain's bundle.
pub(crate) const BUNDLE: usize = 64;
/// Keys of a bundle document.
pub(crate) const KEYS: usize = 256;
