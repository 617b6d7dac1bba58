//! The bundled support desk (a real MCP server) and an agent's MCP client, for the demo and the tests.
//!
//! [`desk`] is a tool server like any other: it knows nothing of delegations and accepts whoever holds its
//! one credential, which is the gateway's. [`agent`] is what runs on an agent's side: a plain MCP client
//! whose HTTP layer adds the presentation that the gateway asks for.
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

pub mod agent;
pub mod desk;
