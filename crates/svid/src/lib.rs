//! X.509-SVIDs (SPIFFE X509-SVID): the certificate request of a sidecar, the
//! certificates of an authority, and whose a chain of somebody else is.
//!
//! Everything is a function of its arguments: times and serial numbers are
//! passed in. Only ECDSA's own nonces are drawn by the library.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests fail by panicking"))]

mod authority;
mod id;
mod request;
mod signer;
mod verify;

pub use authority::{IssueError, Leaf, SvidAuthority, key_of, serial};
pub use id::SpiffeId;
pub use request::{MAX_REQUEST_BYTES, RequestError, request, requested_key};
pub use verify::{Anchors, ChainError, MAX_CERTIFICATE_BYTES, MAX_CHAIN, Peer, Usage, peek, split};
