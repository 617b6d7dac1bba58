//! The pure heart of Bailiwick: delegation tokens, constraints, possession,
//! verification and ledger entries.
//!
//! Nothing here reads a clock, draws randomness or does I/O: time, entropy,
//! registry and revocations are values passed in, so the same inputs give the
//! same decision on any machine.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::print_stdout,
        reason = "tests fail by panicking"
    )
)]

pub mod aat;
pub mod access;
pub mod accountable;
pub mod address;
pub mod approval;
pub mod autonomy;
pub mod constraint;
pub mod crypto;
pub mod denial;
pub mod dpop;
pub mod enrolment;
pub mod figures;
pub mod grant;
pub mod guarantee;
pub mod id_token;
pub mod ids;
pub mod jose;
pub mod json;
pub mod ledger;
pub mod limits;
pub mod peer;
pub mod scope;
pub mod stop;
pub mod time;
pub mod webauthn;
pub mod wit;
