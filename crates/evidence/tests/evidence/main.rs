//! Evidence over a complete synthetic ledger.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "identity keys are random, and a differing report is written for a person"
)]
#![allow(unreachable_pub, reason = "modules of one test binary")]

mod approvals;
mod handed;
mod holds;
mod ledger;
mod moved;
mod mutations;
mod organisation;
mod retained;
mod runs;
mod signed;
mod tampering;
mod world;
