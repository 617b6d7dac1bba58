//! The verbs of the organisation's policy.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyVerb {
    /// Read and validate a bundle; says every problem with its file and line. Needs no data dir.
    #[command(after_help = "Example:\n  bailiwick policy check policies")]
    Check {
        /// The folder.
        folder: PathBuf,
    },
    /// Put a bundle in force, in place of the one before; calls that come later are put to it.
    #[command(
        after_help = "The whole bundle becomes one entry of the ledger, or nothing does. `serve` takes it up within a second; calls under way are not disturbed.\n\nExamples:\n  bailiwick policy publish policies\n  bailiwick policy publish --guardrails"
    )]
    Publish {
        /// The folder.
        #[arg(required_unless_present = "guardrails")]
        folder: Option<PathBuf>,
        /// The guardrails of this release, which `init` publishes.
        #[arg(long, conflicts_with = "folder")]
        guardrails: bool,
    },
    /// Try a bundle beside the one in force: its answers are recorded and never decide.
    #[command(
        after_help = "Examples:\n  bailiwick policy candidate policies\n  bailiwick policy candidate --clear"
    )]
    Candidate {
        /// The folder.
        #[arg(required_unless_present = "clear")]
        folder: Option<PathBuf>,
        /// End it: no bundle is tried any more.
        #[arg(long, conflicts_with = "folder")]
        clear: bool,
    },
    /// Show a bundle: its policies, or its files.
    #[command(
        after_help = "Examples:\n  bailiwick policy show\n  bailiwick policy show --out policies\n  bailiwick policy show --digest DIGEST"
    )]
    Show {
        /// One that was published earlier [default: the one in force].
        #[arg(long, allow_hyphen_values = true, conflicts_with = "candidate")]
        digest: Option<String>,
        /// The candidate.
        #[arg(long)]
        candidate: bool,
        /// Write the files into this folder, which must not be there yet.
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
    /// List what was published, newest first.
    List,
    /// Say which policies settled a decision, and why; or what a described call would get.
    #[command(
        after_help = "Examples:\n  bailiwick policy explain ACTION\n  bailiwick policy explain --call call.yaml\n  bailiwick policy explain --call call.yaml --bundle policies"
    )]
    Explain {
        /// The id of a past action.
        #[arg(required_unless_present = "call")]
        action: Option<String>,
        /// A call, described in YAML as a case describes it.
        #[arg(long, value_name = "FILE", conflicts_with = "action")]
        call: Option<PathBuf>,
        /// Put the described call to this folder's bundle [default: the one in force].
        #[arg(long, value_name = "FOLDER", requires = "call")]
        bundle: Option<PathBuf>,
    },
    /// Run the cases that lie beside a bundle as YAML. Needs no data dir.
    #[command(after_help = "Example:\n  bailiwick policy test policies")]
    Test {
        /// The folder.
        folder: PathBuf,
    },
    /// Decide past calls again under a bundle; shows which decisions would be others.
    #[command(
        after_help = "Nothing is decided anew and nothing of the calls is shown but ids; that their texts were read is recorded.\n\nExamples:\n  bailiwick policy replay policies\n  bailiwick policy replay policies --since 2026-11-01T00:00:00Z"
    )]
    Replay {
        /// The folder.
        folder: PathBuf,
        /// Only decisions from this time on (RFC 3339).
        #[arg(long)]
        since: Option<String>,
        /// Flips that are listed; the others are counted.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
}
