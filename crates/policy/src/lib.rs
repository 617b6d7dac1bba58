//! The pure decision point: workflows, scope expansion, catalogue and policy.
//!
//! Nothing here reads a clock, draws randomness or does I/O. A [`Workflow`] is
//! read from a text and never changes; [`expand`](expand::expand) turns the
//! shorthands of a request into a scope; [`decide`](decide::decide) is stage 4
//! of an action (DESIGN §4), a total function of its input. A [`Bundle`] is an
//! organisation's policy, asked beside it.
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

pub mod a2a;
pub mod api;
pub mod approvers;
pub mod autonomy;
pub mod bundle;
pub mod call;
pub mod cases;
pub mod catalogue;
pub mod checklist;
pub mod completion;
pub mod decide;
pub mod entitlements;
pub mod expand;
pub mod grades;
pub mod handoff;
pub mod in_force;
pub mod input_schema;
pub mod limits;
pub mod mcp_methods;
pub mod metrics;
pub mod permit;
pub mod run;
pub mod step_up;
pub mod workflow;

pub use bundle::Bundle;
pub use entitlements::Entitlements;
pub use in_force::Policies;
pub use workflow::Workflow;
