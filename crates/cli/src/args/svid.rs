//! Arguments of `instance svid`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

#[derive(Debug, ClapArgs)]
pub(crate) struct SvidArgs {
    /// The authority's public URL.
    #[arg(long, required_unless_present = "spiffe_socket")]
    pub(crate) authority: Option<String>,
    /// The instance's key file.
    #[arg(long, required_unless_present = "spiffe_socket")]
    pub(crate) key: Option<PathBuf>,
    /// Take the SVID of a Workload API that somebody else serves, such as SPIRE's agent.
    #[arg(long, value_name = "unix:///SOCKET", requires = "trust_domain", conflicts_with_all = ["authority", "key", "lifetime"])]
    pub(crate) spiffe_socket: Option<String>,
    /// With --spiffe-socket: the trust domain whose SVID it is.
    #[arg(long, value_name = "NAME")]
    pub(crate) trust_domain: Option<String>,
    /// Write `svid.pem`, `svid.key`, `bundle.pem` and `svid.jwt` into this folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Serve the SPIFFE Workload API on this socket until stopped, to processes of your user; its
    /// folder is for you alone.
    #[arg(long, value_name = "SOCKET", conflicts_with = "out")]
    pub(crate) serve: Option<PathBuf>,
    /// How long each SVID lives, such as `2m` [default: 10m, which is the most].
    #[arg(long, value_name = "DURATION")]
    pub(crate) lifetime: Option<String>,
}
