//! Revocations for gateways elsewhere: a signed, sequenced stream with a
//! heartbeat.
//!
//! One form is used throughout ([`signed`]): some rows, and a *head*, a JWS by
//! the snapshot key that names where they begin and end, their digest, and the
//! time until when everything is known. A batch without rows is the heartbeat.
//! The authority serves it ([`server`]) at two paths:
//!
//! - `GET /revocations?after=SEQ`: one batch.
//! - `GET /revocations/stream`: server-sent events, each a batch whose `id` is
//!   the number to go on from (`Last-Event-ID`, or `?after=SEQ`): at once when
//!   something is revoked, and every second.
//!
//! A gateway shows who it is with its maker's key ([`proof`]): there is no
//! secret to hand out, and what is shown is of no use elsewhere or later. Its
//! side ([`client`]) feeds a [`RevocationFollower`](crate::follower).

pub mod client;
pub mod proof;
pub mod server;
pub mod signed;

/// The path of one batch.
pub const PATH: &str = "/revocations";
/// The path of the stream.
pub const STREAM_PATH: &str = "/revocations/stream";
