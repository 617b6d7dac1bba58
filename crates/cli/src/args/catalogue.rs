//! The catalogue's verbs.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::ProgramArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum CatalogueVerb {
    /// List the tools; those that wait for a person come first.
    List {
        /// Only of this tool server.
        server: Option<String>,
    },
    /// Show what a tool is, and what is suspicious about it.
    #[command(
        after_help = "Example:\n  bailiwick catalogue show mcp:support-desk:tools/get_ticket"
    )]
    Show {
        /// The tool.
        tool: String,
    },
    /// Show what waits for a person beside what was accepted, member by member.
    Diff {
        /// The tool [default: all that wait].
        tool: Option<String>,
    },
    /// Accept a definition that you looked at; the ledger says that the operator did.
    #[command(
        after_help = "The digest is the one that `diff` shows: if another definition waits by then, nothing is accepted. The digest of the accepted definition dismisses the one that waits.\n\nExample:\n  bailiwick catalogue accept mcp:support-desk:tools/get_ticket DIGEST"
    )]
    Accept {
        /// The tool.
        tool: String,
        /// The digest of the definition.
        #[arg(allow_hyphen_values = true)]
        digest: String,
    },
    /// Read what a tool server offers, pin it, and propose a first workflow.
    #[command(
        after_help = "Definitions with a suspicious sign are not pinned and wait for a person. The workflow is only proposed: every tool counts as one that writes, of high risk, until somebody rates it.\nA program gets PATH, HOME and LANG of this environment, what the vault holds for it, and what --env and --secret name. A server by URL that is catalogued already is shown what the vault holds.\n\nExamples:\n  bailiwick catalogue learn support-desk --url http://localhost:9000/mcp \\\n      --credential desk.credential --out desk.yaml\n  bailiwick catalogue learn orders --openapi orders.openapi.yaml \\\n      --url https://orders.example.com/v1 --credential orders.credential --out orders.yaml\n  bailiwick catalogue learn memory --out memory.yaml -- npx -y @modelcontextprotocol/server-memory\n  bailiwick catalogue learn files --reads read_text_file --publish -- \\\n      npx -y @modelcontextprotocol/server-filesystem /srv/files"
    )]
    Learn(Box<LearnArgs>),
    /// Withdraw a tool: calls are denied until its definition is accepted again.
    Quarantine {
        /// The tool.
        tool: String,
        /// Why, as a code.
        #[arg(long, default_value = "withdrawn")]
        reason: String,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LearnArgs {
    /// The name that the tool server gets here.
    pub(crate) name: String,
    /// Its MCP endpoint, or the base URL of an HTTP API.
    #[arg(long, conflicts_with = "command", required_unless_present = "command")]
    pub(crate) url: Option<String>,
    /// The OpenAPI file (3.0 or 3.1, JSON or YAML) of the HTTP API that it is.
    #[arg(long, requires = "url", value_name = "FILE")]
    pub(crate) openapi: Option<PathBuf>,
    /// The file that holds the gateway's credential for it.
    #[arg(long, requires = "url")]
    pub(crate) credential: Option<PathBuf>,
    /// The workflow's owner [default: the person of `init --me`, else user:owner].
    #[arg(long)]
    pub(crate) owner: Option<String>,
    /// The agent that may use it [default: agent:NAME-runner].
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// Rate this tool yourself: it only reads, at low risk.
    #[arg(long, value_name = "TOOL")]
    pub(crate) reads: Vec<String>,
    /// Publish the workflow at once, and register its agent under its owner.
    #[arg(long)]
    pub(crate) publish: bool,
    /// Where to write the proposed workflow, instead of printing it.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) program: ProgramArgs,
}
