//! The rules of the OAuth 2.1 authorization server: values in, values out.
//!
//! What arrives at an endpoint is read into a type of its own, and whatever
//! cannot be read or granted is one [`OAuthError`](error::OAuthError), which
//! names the part that stood in the way. Nothing here knows HTTP, the store or
//! the clock.

pub mod assertion;
pub mod client;
pub mod code;
pub mod details;
pub mod error;
pub mod exchange;
pub mod introspection;
pub mod metadata;
pub mod parameters;
pub mod pkce;
pub mod redirect;
pub mod request;
pub mod resource;
pub mod revocation;
pub mod signed_grant;
pub mod status_list;
pub mod token;
