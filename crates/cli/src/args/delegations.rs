//! Arguments about granting and narrowing.

use std::path::PathBuf;

use clap::Args as ClapArgs;

#[derive(Debug, ClapArgs)]
pub(crate) struct DelegateArgs {
    /// The principal's key file.
    #[arg(long)]
    pub(crate) key: PathBuf,
    /// A request `{principal, agent, scope, expiresAt, purpose}` as JSON; `-` reads standard input.
    #[arg(long, conflicts_with_all = ["agent", "scope", "lasts", "purpose"])]
    pub(crate) request: Option<PathBuf>,
    /// The agent.
    #[arg(long, required_unless_present = "request")]
    pub(crate) agent: Option<String>,
    /// Shorthands of the workflow.
    #[arg(long)]
    pub(crate) scope: Vec<String>,
    /// How long, such as `15m`, `90s`, `2h`.
    #[arg(long = "for", value_name = "DURATION", default_value = "15m")]
    pub(crate) lasts: String,
    /// What for.
    #[arg(long)]
    pub(crate) purpose: Option<String>,
    /// The workflow, where more than one could serve.
    #[arg(long)]
    pub(crate) workflow: Option<String>,
    /// The task, if it was minted before.
    #[arg(long)]
    pub(crate) task: Option<String>,
    /// The instance, where the agent has more than one.
    #[arg(long)]
    pub(crate) instance: Option<String>,
    /// How deep the agent may delegate further [default: as deep as the workflow lets].
    #[arg(long)]
    pub(crate) max_depth: Option<u64>,
    /// Budget members such as `max_calls=20`, or per clock hour `per/3600/max_calls=20`.
    #[arg(long, value_name = "MEMBER=NUMBER")]
    pub(crate) budget: Vec<String>,
    /// The authority's public URL, to grant over the network without its data dir.
    #[arg(long, value_name = "URL", conflicts_with = "instance")]
    pub(crate) authority: Option<String>,
    /// With --authority: the instance's enrolment document, where the agent has more than one.
    #[arg(long, value_name = "FILE", requires = "authority")]
    pub(crate) to: Option<PathBuf>,
    /// Where to write the chain.
    #[arg(long)]
    pub(crate) out: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct AttenuateArgs {
    /// The chain to derive from.
    #[arg(long)]
    pub(crate) chain: PathBuf,
    /// The key file of the instance that holds it.
    #[arg(long)]
    pub(crate) key: PathBuf,
    /// The next holder's enrolment document.
    #[arg(long)]
    pub(crate) to: PathBuf,
    /// Tools to keep [default: all].
    #[arg(long)]
    pub(crate) tool: Vec<String>,
    /// Arguments to fix, `NAME=VALUE` (JSON value, or text), in every kept tool that has them.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) argument: Vec<String>,
    /// A whole `tools` map as JSON instead.
    #[arg(long, conflicts_with_all = ["tool", "argument"])]
    pub(crate) tools: Option<PathBuf>,
    /// How long at most.
    #[arg(long = "for", value_name = "DURATION")]
    pub(crate) lasts: Option<String>,
    /// Budget members such as `max_calls=1`, or per clock hour `per/3600/max_calls=1`.
    #[arg(long, value_name = "MEMBER=NUMBER")]
    pub(crate) budget: Vec<String>,
    /// Let the next holder delegate further, up to the parent's depth.
    #[arg(long)]
    pub(crate) further: bool,
    /// Where to write the child chain.
    #[arg(long)]
    pub(crate) out: PathBuf,
}
