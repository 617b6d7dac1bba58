//! The gateway against a real tool server, with ports in memory. One program,
//! because a program per file is compiled and linked once per file.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::type_complexity,
    reason = "tests fail by panicking, and some write files or measure time"
)]

mod access;
mod allowed;
mod api;
mod approvals;
mod authzen;
mod boundary;
mod broker;
mod checklists;
mod denied;
mod entries;
mod ext_authz;
mod ext_authz_grpc;
mod ext_authz_mcp;
mod heads;
mod layer;
mod pages;
mod policies;
mod questions;
mod records;
mod requests;
mod resumed;
mod runs;
mod sessions;
mod standing;
mod stdio;
mod stops;
mod support;
mod tasks;
mod tls;
mod upstream;
mod waiting;
