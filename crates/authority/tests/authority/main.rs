//! The service against a real store in a temporary folder; what is issued is
//! judged by the verifier that gateways use.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests fail by panicking and may use the machine's randomness"
)]

mod api;
mod authenticator;
mod autonomy;
mod catalogue;
mod console;
mod delegations;
mod entitlements;
mod entries;
mod entries_runs;
mod erasure;
mod failures;
mod feed;
#[path = "../../../core/tests/entries/golden.rs"]
mod golden;
mod handoffs;
mod identities;
mod inspecting;
mod keys;
mod life;
mod logins;
mod machine;
mod people;
mod policies;
mod providers;
mod registry;
mod requests;
mod revocations;
mod run_evidence;
mod runs;
mod stops;
mod support;
mod svids;
mod vault;
