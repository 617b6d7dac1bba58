//! Development only: what the end-to-end tests share.
//!
//! [`world::World`] is an installation of real processes on loopback, set up by
//! the commands that anyone uses; [`present`] makes presentations, good and
//! bad; [`http`] sends bytes exactly as they were written; [`browser`] is one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::missing_panics_doc,
    reason = "tests fail by panicking, and read clocks, files and entropy"
)]

pub mod browser;
pub mod expect;
pub mod http;
pub mod present;
pub mod process;
pub mod world;

pub use present::{Call, Chain, Holder};
pub use process::{Answer, Daemon};
pub use world::{Setup, World};
