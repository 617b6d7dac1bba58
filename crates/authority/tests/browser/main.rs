//! People in a real browser: headless Chromium with a virtual authenticator
//! against the console over a real store. Needs `chromium` and `chromedriver`
//! (Debian: `chromium`, `chromium-driver`); fails without them. Accessibility
//! is judged by axe-core, which `npm ci` in `clients/` installs.
//!
//! With `BAILIWICK_SCREENSHOTS=DIR` every page on the way is kept as a picture.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, on a real clock and a real network"
)]

mod accessibility;
mod approvals;
mod consent;
mod ledger;
mod peers;
mod people;
mod site;
mod standings;
mod stops;
mod stored;
mod work;
