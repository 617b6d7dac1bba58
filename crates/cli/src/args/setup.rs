//! Setting an installation up and running it.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

#[derive(Debug, ClapArgs)]
pub(crate) struct DemoArgs {
    /// Leave everything serving at the end, until Ctrl-C.
    #[arg(long)]
    pub(crate) keep: bool,
    /// The part of the demo that this process plays; used by the demo itself.
    #[command(subcommand)]
    pub(crate) part: Option<DemoPart>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DemoPart {
    /// Signs a child that permits more than its parent, as a rogue agent would.
    #[command(hide = true)]
    Widen {
        #[arg(long)]
        chain: PathBuf,
        #[arg(long)]
        key: PathBuf,
        #[arg(long)]
        tool: String,
        #[arg(long)]
        out: PathBuf,
    },
    /// The support desk, a real MCP server.
    #[command(hide = true)]
    Desk {
        #[arg(long)]
        database: PathBuf,
        #[arg(long)]
        credential: PathBuf,
        #[arg(long, default_value_t = 0)]
        port: u16,
        #[arg(long, default_value = "none")]
        quirk: String,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct InitArgs {
    /// Ask nothing.
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// The name under which clients reach this installation.
    #[arg(long)]
    pub(crate) public_url: Option<String>,
    /// Where `serve` will listen.
    #[arg(long)]
    pub(crate) listen: Option<String>,
    /// The SPIFFE trust domain of the agents.
    #[arg(long)]
    pub(crate) trust_domain: Option<String>,
    /// Register this person as the installation's owner and print the one-time
    /// link by which they enrol a passkey.
    #[arg(long, value_name = "user:NAME")]
    pub(crate) owner: Option<String>,
    /// Register yourself, with a key of your own among your logins, so that what `wrap` and `run`
    /// grant on this machine is signed by you.
    #[arg(long, value_name = "user:NAME", conflicts_with = "owner")]
    pub(crate) me: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ServeArgs {
    /// Where to listen; port 0 takes a free one, which a localhost public_url does not name.
    #[arg(long)]
    pub(crate) listen: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LoginArgs {
    /// The authority's public URL.
    pub(crate) authority: String,
    /// What the page calls this command line.
    #[arg(long, default_value = "bailiwick command line")]
    pub(crate) name: String,
    /// Only print the address; open nothing.
    #[arg(long)]
    pub(crate) no_browser: bool,
}
