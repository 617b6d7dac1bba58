//! A person's own accounts at tool servers.

use askama::Template;

use super::{Frame, Moment, Text};

/// A tool server that knows people by their own accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountLine {
    /// Its name, as it stands in addresses.
    pub server: String,
    /// Where it is.
    pub host: Text,
    /// Whether there is an account of theirs.
    pub connected: bool,
    /// Whether somebody else put it there for them.
    pub given: bool,
    /// Since when.
    pub since: Option<Moment>,
    /// When the last one ended because its server did not renew it.
    pub lapsed: Option<Moment>,
    /// Where connecting begins, if it can be.
    pub connect: Option<String>,
}

/// `/accounts`
#[derive(Clone, Debug, Template)]
#[template(path = "accounts.html")]
pub struct AccountsPage {
    /// The frame.
    pub frame: Frame,
    /// The tool servers.
    pub accounts: Vec<AccountLine>,
    /// Whether the tool server could not be told that an account was
    /// disconnected.
    pub untold: bool,
}
