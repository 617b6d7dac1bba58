//! The HTTP side: thin handlers over the rules.

pub mod console;
pub mod fetch;
pub mod idempotency;
pub mod limits;
pub mod nonces;
pub mod problem;
