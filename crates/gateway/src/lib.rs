//! The data plane: the stages every action passes before it reaches a tool.
//!
//! [`Gateway`] is the enforcement point for MCP over streamable HTTP, protocol
//! 2025-11-25 (sessions) and 2026-07-28 (stateless), as a proxy of messages:
//! what is forwarded is the serialisation of what was parsed, checked and
//! recorded. What it needs from the rest of the system are the traits of
//! [`ports`]; [`http::router`] is its HTTP side.
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

mod a2a;
mod api;
mod approvals;
mod authzen;
mod broker;
mod busy;
pub mod config;
mod credential;
mod definitions;
mod delivery;
mod ext_authz;
mod external;
mod feeds;
mod gateway;
pub mod group;
mod heads;
mod holds;
pub mod http;
pub mod layer;
pub mod lines;
mod listing;
mod messages;
pub mod own;
pub mod peers;
mod pins;
pub mod ports;
mod questions;
mod relay;
mod request_state;
pub mod rpc;
#[cfg(test)]
mod samples;
mod schema;
mod serve;
mod sessions;
pub mod sse;
pub mod stages;
mod stand;
mod step_up;
mod strangers;
mod streams;
mod tasks;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
mod upstream;
mod visits;
mod wire;

pub use config::Config;
pub use definitions::ListError;
pub use ext_authz::{grpc_router as ext_authz_grpc_router, router as ext_authz_router};
pub use gateway::{Gateway, GatewayError};
pub use http::router;
pub use serve::{Bounds, Speaks, serve};
pub use tls::{Tls, TlsError};
pub use upstream::{headers, stdio};
