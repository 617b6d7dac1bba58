//! Evidence bundles: everything that proves one action, in one file that
//! anyone can verify offline against a trust file of their own (DESIGN §2,
//! `evidence`).
//!
//! [`verify`](verify::verify) is pure and needs neither store nor network:
//! bytes, trust and kept checkpoints in, a [`Verdict`](verdict::Verdict) out.
//! [`assemble`](assemble::assemble) makes a bundle from whatever holds the
//! ledger, through the narrow port [`Source`](assemble::Source).
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests fail by panicking"
    )
)]

pub mod assemble;
pub mod bundle;
pub mod check;
pub mod handoff;
mod read;
mod report;
pub mod retained;
pub mod run;
pub mod subject;
pub mod trust;
pub mod verdict;
pub mod verify;

pub use assemble::{AssembleError, Located, Source, SourceError, assemble};
pub use bundle::Bundle;
pub use check::{Check, Failure};
pub use handoff::{HandoffFault, HandoffProof, verify_handoff};
pub use run::{ReportError, ReportFile, RunReport, is_report, verify_report};
pub use subject::Subject;
pub use trust::Trust;
pub use verdict::Verdict;
pub use verify::{verify, verify_with};
