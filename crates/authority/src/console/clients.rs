//! Registered OAuth clients.

use askama::Template;

use super::{Frame, Moment, Text};

/// One client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientLine {
    /// Its id.
    pub id: Text,
    /// The name that it gives itself.
    pub name: Text,
    /// Where it comes from: `registered`, or the host of its metadata document.
    pub origin: Text,
    /// Where it may be redirected to.
    pub redirects: Vec<Text>,
    /// When it was first known.
    pub since: Option<Moment>,
    /// The agent that it is mapped to.
    pub agent: Option<Text>,
    /// The command that maps it.
    pub command: Text,
}

/// `/clients`
#[derive(Clone, Debug, Template)]
#[template(path = "clients.html")]
pub struct ClientsPage {
    /// The frame.
    pub frame: Frame,
    /// Clients, unmapped ones first.
    pub clients: Vec<ClientLine>,
    /// Where the next part of the list begins.
    pub next: Option<usize>,
    /// The URL that clients are pointed to.
    pub endpoint: String,
}
