//! The authority's readers of what OAuth clients send, compiled here as they are: its crate would
//! bring a server, a store and a browser's standards along.

#[path = "../../crates/authority/src/oauth/client.rs"]
pub mod client;
#[path = "../../crates/authority/src/oauth/details.rs"]
pub mod details;
#[path = "../../crates/authority/src/oauth/error.rs"]
pub mod error;
#[path = "../../crates/authority/src/oauth/parameters.rs"]
pub mod parameters;
#[path = "../../crates/authority/src/oauth/redirect.rs"]
pub mod redirect;
#[path = "../../crates/authority/src/oauth/resource.rs"]
pub mod resource;
#[path = "../../crates/authority/src/oauth/signed_grant.rs"]
pub mod signed_grant;
#[path = "../../crates/authority/src/oauth/status_list.rs"]
pub mod status_list;
#[path = "../../crates/authority/src/oauth/token.rs"]
pub mod token;
