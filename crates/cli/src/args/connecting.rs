//! Arguments about other agents.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args as ClapArgs;

/// How `connect` deals with other agents.
#[derive(Debug, ClapArgs)]
pub(crate) struct PeersArgs {
    /// Offer the client tools to deal with other agents, beside the tool server's: `whoami`,
    /// `verify_peer`, `handoff_offer`, `handoff_status`, `handoff_accept`, `handoff_return`. A chain
    /// is not needed then: what is taken over from a peer is presented. The other options about
    /// peers imply it.
    #[arg(long)]
    pub(crate) peers: bool,
    /// Another agent and where it is reached: `agent:NAME=URL`, or its SPIFFE ID in place of the name.
    #[arg(long = "peer", value_name = "AGENT=URL")]
    pub(crate) known: Vec<String>,
    /// Let other agents hand over to this one, at this address; on loopback, unless with --peer-tls.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) peer_listen: Option<SocketAddr>,
    /// Deal with peers over mutual TLS, by X.509-SVIDs of the authority: their URLs are `https://…`,
    /// and --peer-listen may name an address that others reach.
    #[arg(long)]
    pub(crate) peer_tls: bool,
    /// Offer the same as JSON over HTTP on this Unix socket, for a program that speaks no MCP.
    #[arg(long, value_name = "PATH")]
    pub(crate) peer_api: Option<PathBuf>,
    /// Foreign trust domains whose agents are believed, a JSON list of
    /// `{trust_domain, issuer, jwks, max_guarantee, authority?}` [default: none].
    #[arg(long = "trust", value_name = "FILE")]
    pub(crate) foreign: Option<PathBuf>,
}

impl PeersArgs {
    /// Whether other agents are dealt with.
    pub(crate) fn are_asked_for(&self) -> bool {
        self.peers
            || !self.known.is_empty()
            || self.peer_listen.is_some()
            || self.peer_api.is_some()
            || self.peer_tls
            || self.foreign.is_some()
    }
}
