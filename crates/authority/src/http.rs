//! The HTTP side: thin handlers over the rules.

pub mod api;
pub mod console;
pub mod documents;
pub mod federation;
pub mod fetch;
pub mod idempotency;
pub mod instances;
pub mod limits;
pub mod machine;
pub mod peers;
pub mod problem;
pub mod provider;
mod standing;
pub mod webhooks;

pub use api::{Api, NamedChecks, api_router};
pub use console::{Console, console_router};
pub use machine::{Machine, machine_router};
