//! A sidecar's SPIFFE side: SVIDs with fresh keys that rotate ([`Rotation`]), the
//! Workload API on a Unix socket ([`serve`]) and whom it answers ([`Admits`]),
//! the same API of somebody else ([`Client`]), and TLS between peers ([`tls`]).
//!
//! What an authority issues comes in by [`Issuer`]; the clock is passed in. The
//! sockets and `/proc` are this crate's own.

mod api;
mod attest;
mod authority;
mod client;
mod limits;
mod material;
mod messages;
mod rotation;
pub mod tls;

pub use api::{Listening, serve};
pub use attest::{Admits, Caller, NotAdmitted, Root};
pub use client::{Client, ClientError};
pub use material::{Bundle, Issued, Key, Material, MaterialError};
pub use rotation::{Current, Issuer, Rotation, Unissued};
