//! Evidence over a complete synthetic ledger.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]
#![allow(unreachable_pub, reason = "modules of one test binary")]

mod holds;
mod mutations;
mod tampering;
mod world;
