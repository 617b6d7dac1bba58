//! Arguments of `run`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

use super::RunVerb;

#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct RunArgs {
    /// Instead of a program: what is done with an attempt at a task.
    #[command(subcommand)]
    pub(crate) of: Option<RunVerb>,
    /// The agent that the command is [default: the only one registered].
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// The workflow, where more than one could serve.
    #[arg(long)]
    pub(crate) workflow: Option<String>,
    /// The task: what for, in words.
    #[arg(long, value_name = "PURPOSE", required_unless_present = "grant")]
    pub(crate) task: Option<String>,
    /// The key file of the principal who grants it [default: yours, of `init --me`].
    #[arg(long)]
    pub(crate) key: Option<PathBuf>,
    /// Shorthands of the workflow.
    #[arg(long, required_unless_present = "grant")]
    pub(crate) scope: Vec<String>,
    /// How long, such as `15m`, `90s`, `2h`.
    #[arg(long = "for", value_name = "DURATION", default_value = "1h")]
    pub(crate) lasts: String,
    /// How deep the agent may delegate further.
    #[arg(long, default_value_t = 0)]
    pub(crate) max_depth: u64,
    /// Budget members such as `max_calls=20`, or per clock hour `per/3600/max_calls=20`.
    #[arg(long, value_name = "MEMBER=NUMBER")]
    pub(crate) budget: Vec<String>,
    /// A grant that stands, instead of one for this run.
    #[arg(long, value_name = "ID", conflicts_with_all = ["task", "key", "workflow", "budget"])]
    pub(crate) grant: Option<String>,
    /// The authority's public URL [default: that of the data dir].
    #[arg(long, value_name = "URL", requires_all = ["invite", "owner", "agent"])]
    pub(crate) authority: Option<String>,
    /// With --authority: a file with a one-time enrolment token, of `instance invite`.
    #[arg(long, value_name = "FILE", requires = "authority")]
    pub(crate) invite: Option<PathBuf>,
    /// With --authority: the agent's owner.
    #[arg(long, requires = "authority")]
    pub(crate) owner: Option<String>,
    /// Give the program the SPIFFE Workload API, and it alone: its socket is in SPIFFE_ENDPOINT_SOCKET.
    #[arg(long)]
    pub(crate) workload_api: bool,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// The agent's program and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// Where the agent's program runs, and what it sees there.
#[derive(Debug, ClapArgs)]
pub(crate) struct PlaceArgs {
    /// What keeps the program from the sidecar: `auto` takes namespaces where the host allows them.
    #[arg(long, value_enum, default_value_t = Isolation::Auto)]
    pub(crate) isolation: Isolation,
    /// Run the program as this user of the host, which only root can.
    #[arg(long, value_name = "NAME", conflicts_with = "isolation")]
    pub(crate) user: Option<String>,
    /// What the program reaches: the host's network, or the gateway alone.
    #[arg(long, value_enum, default_value_t = Network::Host)]
    pub(crate) network: Network,
    /// A further file or folder that the program may read.
    #[arg(long, value_name = "PATH")]
    pub(crate) read: Vec<PathBuf>,
    /// A further file or folder that the program may change; the folder it starts in it always may.
    #[arg(long, value_name = "PATH")]
    pub(crate) write: Vec<PathBuf>,
    /// A variable of the program's environment: `NAME` to pass it on, or `NAME=VALUE` for what is no secret.
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Isolation {
    Auto,
    Namespaces,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Network {
    Host,
    Gateway,
}

/// Inside the program's own network, where the sidecar is reached by a socket
/// file: passes connections on to it.
#[derive(Debug, ClapArgs)]
pub(crate) struct RunDoorArgs {
    /// The sidecar's socket.
    #[arg(long)]
    pub(crate) socket: PathBuf,
    /// The port to listen on.
    #[arg(long)]
    pub(crate) port: u16,
    /// What is run beside.
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}
