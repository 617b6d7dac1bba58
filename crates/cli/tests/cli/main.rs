//! The binary, as people, agents and auditors use it: real processes on
//! loopback. One program, because a program per file is linked once per file.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod a2a;
mod a2a_attacks;
mod accounts;
mod apis;
mod approvals;
mod approvals_people;
mod autonomy;
mod bad_input;
mod bad_tools;
mod catalogue;
mod checklists;
mod checks;
mod checks_hostile;
mod client;
mod clients;
mod command_line;
mod concurrency;
mod connect;
mod crash;
mod crash_approvals;
mod demo;
mod entitlements;
mod errands;
mod evidence;
mod faults;
mod first;
mod grants;
mod huge_run;
mod inbox;
mod installation;
mod instances;
mod keys;
mod learning;
mod ledger;
mod login;
mod narrowing;
mod oidc;
mod own_accounts;
mod peers;
mod policy;
mod privacy;
mod records;
mod report;
mod requests;
mod revocation;
mod run;
mod runs;
mod scraped;
mod services;
mod shown;
mod standings;
mod statuses;
mod stock_clients;
mod stops;
mod strangers;
mod suites;
mod svid;
mod svid_clients;
mod terminal;
mod tls;
mod vault;
mod visits;
mod webhooks;
mod wrap;

/// The binary under test.
const EXE: &str = env!("CARGO_BIN_EXE_bailiwick");
