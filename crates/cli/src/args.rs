//! The command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

mod a2a;
mod agents;
mod approvals;
mod autonomy;
mod catalogue;
mod connecting;
mod delegations;
mod ledger;
mod metrics;
mod peers;
mod people;
mod policy;
mod requests;
mod run_of;
mod running;
mod runs;
mod setup;
mod standings;
mod stops;
mod svid;
mod vault;
mod webhook;
mod workflow;
mod workflows;
pub(crate) use a2a::{A2aAddArgs, A2aVerb};
pub(crate) use agents::{AgentVerb, InstanceVerb};
pub(crate) use approvals::{ApprovalsVerb, ApproverKeyVerb, ListArgs};
pub(crate) use autonomy::AutonomyVerb;
pub(crate) use catalogue::{CatalogueVerb, LearnArgs};
pub(crate) use connecting::PeersArgs;
pub(crate) use delegations::{AttenuateArgs, DelegateArgs};
pub(crate) use ledger::{AuditVerb, ConfigVerb, EvidenceVerb, KeysVerb, QueryArgs, VerifyArgs};
pub(crate) use metrics::{Expect, FailureVerb, MetricsAbout, MetricsArgs, MetricsVerb};
pub(crate) use peers::HandoffVerb;
pub(crate) use people::{ClientVerb, DelegationVerb, GrantVerb, PasskeyVerb, PrincipalVerb};
pub(crate) use policy::PolicyVerb;
pub(crate) use requests::RequestsVerb;
pub(crate) use run_of::{ReportFormat, RunCallsArgs, RunVerb};
pub(crate) use running::{Isolation, Network, PlaceArgs, RunArgs, RunDoorArgs};
pub(crate) use runs::{ReviewArgs, RunsListArgs, RunsVerb, Verdict};
pub(crate) use setup::{DemoArgs, DemoPart, InitArgs, LoginArgs, ServeArgs};
pub(crate) use standings::{StandingArgs, StandingVerb};
pub(crate) use stops::{ResumeArgs, StopArgs, StopsVerb};
pub(crate) use svid::SvidArgs;
pub(crate) use vault::{SecretArgs, SetArgs, VaultVerb};
pub(crate) use webhook::WebhookVerb;
pub(crate) use workflow::{InitWorkflowArgs, WorkflowVerb};
pub(crate) use workflows::{EntitlementsVerb, ScopeVerb, TaskVerb};

/// Accountable authority for AI agents: who authorised what, decided at the
/// tool boundary, provable afterwards.
#[derive(Debug, Parser)]
#[command(
    name = "bailiwick",
    version,
    about,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Exit status: 0 done; 1 refused, denied or does not verify; 2 wrong usage, or a file or URL that was named cannot be used; 3 the installation's files, the store or the network; 4 nothing by that name.\n\nStart with `bailiwick demo`, or set up your own:\n  bailiwick init --yes\n  bailiwick principal add user:142\n  bailiwick serve"
)]
pub(crate) struct Args {
    /// One JSON object per line instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Where state, keys and ledger live [default: bailiwick-data].
    #[arg(long, global = true, value_name = "DIR", env = "BAILIWICK_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Act at the authority with this URL, over its API, as who signed in there with `login`,
    /// instead of on a data dir: agent, approvals, autonomy, client, principal, grant, delegation, failure, handoff, instance invite, metrics, peers, requests, revoke, runs (as `run check` and so on), stop, stops, resume.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) at: Option<String>,
    /// Where logins are kept [default: ~/.config/bailiwick].
    #[arg(long, global = true, value_name = "DIR", env = "BAILIWICK_LOGINS", hide = true)]
    pub(crate) logins: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Verbs that act on a data dir or on files alone: they refuse `--at`, so their help
/// does not offer it.
const HERE_ONLY: [&str; 29] = [
    "a2a",
    "attenuate",
    "audit",
    "call",
    "catalogue",
    "completions",
    "config",
    "connect",
    "delegate",
    "demo",
    "doctor",
    "entitlements",
    "evidence",
    "import",
    "init",
    "inspect",
    "keys",
    "login",
    "logout",
    "policy",
    "scope",
    "serve",
    "task",
    "tool-server",
    "vault",
    "webhook",
    "whoami",
    "workflow",
    "wrap",
];

impl Args {
    /// The command line, with each verb's help as it is.
    pub(crate) fn shown() -> clap::Command {
        HERE_ONLY.into_iter().fold(<Self as clap::CommandFactory>::command(), |command, verb| {
            let at = clap::Arg::new("at").long("at").value_name("URL");
            command.mut_subcommand(verb, |verb| verb.arg(at.global(true).hide(true)))
        })
    }

    /// Reads the process's own command line.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let mut shown = Self::shown();
        let matches = shown.try_get_matches_from_mut(std::env::args_os())?;
        <Self as clap::FromArgMatches>::from_arg_matches(&matches).map_err(|e| e.format(&mut shown))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Play the support-ticket case on real parts and verify what it left.
    #[command(
        after_help = "Without --data-dir it plays in a temporary folder and says where.\n\nExamples:\n  bailiwick demo\n  bailiwick demo --keep --data-dir ./demo-data\n  bailiwick --json demo | jq ."
    )]
    Demo(DemoArgs),
    /// Set up a data dir: keys, configuration, ledger, admin credential.
    #[command(
        after_help = "Examples:\n  bailiwick init --yes\n  bailiwick init --yes --me user:ana\n  bailiwick init --data-dir /var/lib/bailiwick --public-url https://gate.example.com"
    )]
    Init(InitArgs),
    /// Run authority and gateway.
    #[command(
        after_help = "Examples:\n  bailiwick serve\n  bailiwick serve --listen 127.0.0.1:7417\n\nBeyond loopback it needs TLS: tls.certificate and tls.key in bailiwick.toml, which are taken up when they change. It warns when its port is not that of a localhost public_url."
    )]
    Serve(ServeArgs),
    /// Sign in at an authority, so that --at works there.
    #[command(
        after_help = "Example:\n  bailiwick login https://gate.example.com\n  bailiwick --at https://gate.example.com grant list"
    )]
    Login(LoginArgs),
    /// Sign out at an authority.
    Logout {
        /// Its URL.
        authority: String,
    },
    /// Who is signed in at an authority.
    Whoami {
        /// Its URL.
        authority: String,
    },
    /// Principals: humans and services on whose authority agents act.
    #[command(subcommand)]
    Principal(PrincipalVerb),
    /// Registered agents and their owners.
    #[command(subcommand)]
    Agent(AgentVerb),
    /// Running instances: their two keys and their enrolment.
    #[command(subcommand)]
    Instance(InstanceVerb),
    /// OAuth clients, and which agent each of them is.
    #[command(subcommand)]
    Client(ClientVerb),
    /// Workflows: the checklists under which tasks run.
    #[command(subcommand)]
    Workflow(WorkflowVerb),
    /// What principals may do and grant at most.
    #[command(subcommand)]
    Entitlements(EntitlementsVerb),
    /// The organisation's policy: Cedar policies that every call is put to.
    #[command(
        subcommand,
        after_help = "A bundle is a folder of .cedar files. It is asked beside the built-in rules, and the strictest word counts; without one every call is denied.\n\nStart from the guardrails that `init` published:\n  bailiwick policy show --out guardrails\n  bailiwick policy check guardrails\n  bailiwick policy candidate guardrails\n  bailiwick policy publish guardrails"
    )]
    Policy(PolicyVerb),
    /// Scope shorthands of a workflow.
    #[command(subcommand)]
    Scope(ScopeVerb),
    /// Tool servers and the pins of their tools.
    #[command(subcommand)]
    ToolServer(ToolServerVerb),
    /// Agents that are called through the gateway, by their signed cards.
    #[command(subcommand)]
    A2a(A2aVerb),
    /// Credentials of tool servers, encrypted; agents never hold them.
    #[command(subcommand)]
    Vault(VaultVerb),
    /// What the tools say they are: look, accept, withdraw.
    #[command(subcommand)]
    Catalogue(CatalogueVerb),
    /// Read an MCP client's configuration: tool servers to protect, and the credentials in it.
    #[command(
        after_help = "Reads the mcpServers of Claude, Cursor and others, and the servers of VS Code, as strict JSON. Nothing is started or reached, and the file is not changed. Without --yes it says what it would do. With it the tool servers that have credentials are catalogued, what they are shown and what programs get in their environment goes into the vault, and the folder holds the same configuration with references, and files of mode 0600 for what no vault holds. Where there is no data dir the credentials go to such files, and the commands that move them are printed.\n\nExamples:\n  bailiwick import ~/.cursor/mcp.json\n  bailiwick import ~/.cursor/mcp.json --out protected --yes"
    )]
    Import(ImportArgs),
    /// Tasks: pieces of work under a workflow.
    #[command(subcommand)]
    Task(TaskVerb),
    /// Sign a grant with the principal's key and get the delegation.
    #[command(
        after_help = "Examples:\n  bailiwick delegate --request request.json --key alice.key --out chain.json\n  bailiwick delegate --agent agent:support-runner --scope ticket:8821 --scope orders:read \\\n      --for 15m --purpose 'resolve support ticket' --key alice.key --out chain.json\n  bailiwick delegate --authority https://gate.example.com --agent agent:support-runner \\\n      --scope orders:read --for 50m --purpose 'settle invoices' --key service.key --out chain.json"
    )]
    Delegate(DelegateArgs),
    /// What principals granted.
    #[command(subcommand)]
    Grant(GrantVerb),
    /// Roots issued under a grant.
    #[command(subcommand)]
    Delegation(DelegationVerb),
    /// Calls that wait for a person: look, approve, deny.
    #[command(
        subcommand,
        after_help = "A verdict is signed with your approver key, never with the data dir's own credential.\n\nExamples:\n  bailiwick approvals key new --for user:ana --out ana-approver.key\n  bailiwick approvals list\n  bailiwick approvals show 01a217df-3963-7cc4-85ff-4548a0f38598\n  bailiwick approvals approve 01a217df-3963-7cc4-85ff-4548a0f38598 --key ana-approver.key\n  bailiwick --at https://gate.example.com approvals deny 01a217df-3963-7cc4-85ff-4548a0f38598 \\\n      --key ana-approver.key --note 'the order was refunded already'"
    )]
    Approvals(ApprovalsVerb),
    /// What agents ask for that they lack; grant it as yourself, or refuse.
    #[command(
        subcommand,
        after_help = "A grant is signed with your own key and reaches no further than you may grant yourself.\n\nExamples:\n  bailiwick requests list\n  bailiwick requests show 01a217df-3963-7cc4-85ff-4548a0f38598\n  bailiwick requests grant 01a217df-3963-7cc4-85ff-4548a0f38598 --key ana.key --for 10m\n  bailiwick --at https://gate.example.com requests refuse 01a217df-3963-7cc4-85ff-4548a0f38598 \\\n      --note 'not for this ticket'"
    )]
    Requests(RequestsVerb),
    /// Runs, attempts of agents at tasks: look, and review those that have ended.
    #[command(
        subcommand,
        after_help = "Each verb is also one of `run`: `bailiwick run show ID`. A review is signed with your own key; the\nrun's workflow names who reviews.\n\nExamples:\n  bailiwick runs list --workflow support-tickets --state claimed\n  bailiwick runs show 01a217df-3963-7cc4-85ff-4548a0f38598\n  bailiwick runs review 01a217df-3963-7cc4-85ff-4548a0f38598 --verdict accepted --key ana.key\n  bailiwick --at https://gate.example.com runs review 01a217df-3963-7cc4-85ff-4548a0f38598 \\\n      --verdict corrected --what 'the tone' --why 'the customer complained'"
    )]
    Runs(RunVerb),
    /// Webhooks: who is told that calls wait for a person.
    #[command(
        subcommand,
        after_help = "They are [[webhook]] tables in bailiwick.toml, and `serve` sends. A message is signed (Standard Webhooks) and says what waits and where to look; it decides nothing.\n\nExamples:\n  bailiwick webhook list\n  bailiwick webhook test chat"
    )]
    Webhook(WebhookVerb),
    /// Derive a narrower delegation for another instance, offline.
    #[command(
        after_help = "Examples:\n  bailiwick attenuate --chain chain.json --key runner.key --to reader.enrol.json \\\n      --tool mcp:support-desk:tools/get_order --argument order_id=10072 --out child.json"
    )]
    Attenuate(AttenuateArgs),
    /// Call a tool through the gateway with a chain and a fresh proof.
    #[command(
        after_help = "Examples:\n  bailiwick call --url http://localhost:7417/mcp/support-desk --chain chain.json --key runner.key \\\n      get_ticket ticket_id=8821\n  echo '{\"tool\": \"get_ticket\", \"arguments\": {\"ticket_id\": 8821}}' | \\\n      bailiwick call --url http://localhost:7417/mcp/support-desk --chain chain.json \\\n      --key runner.key --stdin\n  bailiwick call --url http://localhost:7417/http/orders --chain chain.json --key runner.key \\\n      getOrder id=10072"
    )]
    Call(CallArgs),
    /// Stand in for a gateway's tool server on standard input and output, for an unchanged MCP client.
    #[command(
        after_help = "A client starts it as its server's command. It holds the instance's keys, puts chain and proof on every\nmessage and renews the delegation; denials come back as the gateway gives them. Logs go to standard error.\n\nExamples:\n  bailiwick connect https://gate.example.com/mcp/support-desk --key runner.key --chain chain.json\n  bailiwick connect https://gate.example.com/mcp/support-desk --agent-dir runner --grant GRANT\n  bailiwick connect https://gate.example.com/mcp/support-desk --agent-dir runner \\\n      --listen 127.0.0.1:0\n  bailiwick connect https://gate.example.com/http/orders --agent-dir runner --listen 127.0.0.1:0\n  bailiwick connect https://gate.example.com/mcp/support-desk --agent-dir runner \\\n      --peer agent:billing-specialist=http://127.0.0.1:7002\n  bailiwick connect https://gate.example.com/mcp/support-desk --key billing.key \\\n      --peer-listen 127.0.0.1:7002"
    )]
    Connect(ConnectArgs),
    /// Stand between an MCP client and a tool server that is a program: what is not allowed never reaches it.
    #[command(
        after_help = "A client starts it as its server's command, in front of the command that it had. Authority and gateway\nare those of the data dir, also beside `serve` and other wraps. With --task the person of `init --me` grants what\nis rated low to an instance that ends with this command. The program gets PATH, what the vault\nholds for it and what --env and --secret name, nothing else; it ends with this command, with all that it started. Logs go to standard error.\n\nExamples:\n  bailiwick wrap --task 'read my notes' -- npx -y @modelcontextprotocol/server-filesystem /srv/files\n  bailiwick wrap --server files --key runner.key --chain chain.json -- npx -y \\\n      @modelcontextprotocol/server-filesystem /srv/files\n  bailiwick vault set issues --env GITHUB_TOKEN --secret-file issues.token\n  bailiwick wrap --server issues --agent-dir runner -- issue-server --stdio"
    )]
    Wrap(WrapArgs),
    /// Start an agent's program with a sidecar that holds its keys and its delegation.
    #[command(
        after_help = "The program gets an MCP endpoint in BAILIWICK_MCP_URL, and a file that names all of them in\nBAILIWICK_MCP_CONFIG. Its environment is otherwise PATH, terminal and language, and what --env names. Its\ninstance is made for this run and ends with it; its status is that of the program.\n\nAttempts at tasks, which are runs too, are checked, undone and reported with `run check`, `run rollback` and `run report`.\n\nExamples:\n  bailiwick run --workflow support-tickets --task 'resolve ticket 8821' --scope ticket:8821 \\\n      --key alice.key -- python agent.py\n  bailiwick run --authority https://gate.example.com --agent agent:support-runner \\\n      --owner user:owner --invite token --grant GRANT --network gateway -- ./agent"
    )]
    Run(RunArgs),
    /// Passes connections on to a sidecar; used by `run` itself.
    #[command(hide = true)]
    RunDoor(RunDoorArgs),
    /// Take authority back, for good; to pause an agent or a principal, suspend it.
    #[command(
        after_help = "Examples:\n  bailiwick revoke delegation --chain chain.json --reason 'case closed'\n  bailiwick revoke holder-key THUMBPRINT --root HASH --reason 'sub-agent misbehaves'\n  bailiwick revoke agent agent:support-runner --reason 'key on a stolen laptop'"
    )]
    Revoke(RevokeArgs),
    /// Stop an agent, a task, a workflow or everything, at once, until an owner resumes it.
    #[command(
        after_help = "Nothing of it passes from the answer on: calls, streams, new delegations and renewals. What was revoked is gone\nfor good; what is stopped goes on where it was once an owner has signed (`bailiwick resume`).\n\nExamples:\n  bailiwick stop agent:support-runner --reason 'refunds what nobody asked for'\n  bailiwick stop task:01a217df-3963-7cc4-85ff-4548a0f38598 --reason 'wrong customer'\n  bailiwick stop workflow:support-tickets --reason 'the desk reports nonsense'\n  bailiwick --at https://gate.example.com stop everything --reason 'we are under attack'"
    )]
    Stop(StopArgs),
    /// What is stopped, why and by whom.
    #[command(
        subcommand,
        after_help = "Examples:\n  bailiwick stops list\n  bailiwick stops show 01a217df-3963-7cc4-85ff-4548a0f38598"
    )]
    Stops(StopsVerb),
    /// Sign, as an owner, that a stop ends; for everything two owners sign.
    #[command(
        after_help = "It is signed with your approver key, never with the data dir's own credential, and a new key counts after a day\nor when another owner vouches for it (`bailiwick approvals key new`, `bailiwick approvals vouch`).\n\nExamples:\n  bailiwick resume 01a217df-3963-7cc4-85ff-4548a0f38598 --key ana-approver.key\n  bailiwick --at https://gate.example.com resume 01a217df-3963-7cc4-85ff-4548a0f38598 \\\n      --key ana-approver.key"
    )]
    Resume(ResumeArgs),
    /// How far a workflow's agents may act without a person.
    #[command(
        subcommand,
        after_help = "The least is in force of what the version says, what its checklist supports, and what happened since. More failed\nruns than the error budget has lower it by themselves; it is raised by one level when the figures meet the evaluation\ntargets and two people sign exactly these figures: the workflow's owner, and an owner, operator or approver who did not\nwrite the version.\n\nExamples:\n  bailiwick autonomy show support-tickets\n  bailiwick autonomy lower support-tickets --to manual --reason 'wrong refunds'\n  bailiwick autonomy raise support-tickets --key ana-approver.key"
    )]
    Autonomy(AutonomyVerb),
    /// How well agents work: success, corrections, iterations, cost, escalations, blocked calls.
    #[command(
        disable_version_flag = true,
        after_help = "Each figure is defined in docs/metrics.md. Without data there is no figure, which is not the same as zero.\n\nExamples:\n  bailiwick metrics --since 7d\n  bailiwick metrics --workflow support-tickets --by version\n  bailiwick metrics compare --workflow support-tickets --before DIGEST --after DIGEST\n  bailiwick metrics unused --workflow support-tickets"
    )]
    Metrics(Box<MetricsArgs>),
    /// What went wrong, what kind it is, and what keeps it from coming back.
    #[command(
        subcommand,
        after_help = "`serve` looks for failures in the ledger; people say what kind they are and resolve them.\n\nExamples:\n  bailiwick failure list\n  bailiwick failure show 01a217df-3963-7cc4-85ff-4548a0f38598\n  bailiwick failure trends"
    )]
    Failure(FailureVerb),
    /// The agents of this trust domain as peers: who met whom, who was turned away.
    #[command(
        after_help = "Examples:\n  bailiwick peers\n  bailiwick --at https://gate.example.com peers --json"
    )]
    Peers,
    /// Tasks that one agent handed to another.
    #[command(
        subcommand,
        after_help = "Examples:\n  bailiwick handoff list --task 01a217df-3963-7cc4-85ff-4548a0f38598\n  bailiwick handoff show 01a217df-3963-7cc4-85ff-4548a0f38598 --out handoff.json\n  bailiwick handoff verify handoff.json --trust trust.json"
    )]
    Handoff(HandoffVerb),
    /// Show what is in a chain, token, grant or enrolment file.
    Inspect(InspectArgs),
    /// Read and verify the ledger.
    #[command(subcommand)]
    Audit(AuditVerb),
    /// Evidence for one action, verifiable offline by anyone.
    #[command(subcommand)]
    Evidence(EvidenceVerb),
    /// Keys and trust.
    #[command(subcommand)]
    Keys(KeysVerb),
    /// The configuration in force.
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Check that this installation is as it should be.
    Doctor,
    /// Shell completions.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// By whose account a tool server knows the callers behind the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum WhoseAccount {
    /// The principal's own.
    Principal,
    /// One for everybody.
    Shared,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ToolServerVerb {
    /// Catalogue a tool server.
    Add {
        /// Its name.
        name: String,
        /// Its MCP endpoint; `stdio:NAME` for a program that `wrap` runs.
        #[arg(long)]
        url: String,
        /// The file that holds the gateway's credential for it, a bearer token; for other kinds,
        /// see `bailiwick vault set`.
        #[arg(long)]
        credential: Option<PathBuf>,
        /// By whose account it knows the callers behind the gateway.
        #[arg(long, value_name = "WHOSE", default_value = "shared")]
        upstream_identity: WhoseAccount,
    },
    /// Change by whose account a tool server knows the callers behind the gateway.
    #[command(
        after_help = "principal: each call carries the credential of its own principal, from the vault; without one it is denied.\nshared: all calls carry the gateway's one credential. Then a tool needs a person's approval unless its workflow says `personal: false` or names the `resource` argument that the delegation fixes.\n\nExample:\n  bailiwick tool-server identity mail principal"
    )]
    Identity {
        /// The tool server.
        name: String,
        /// By whose account.
        #[arg(value_name = "WHOSE")]
        upstream_identity: WhoseAccount,
    },
    /// Read the tools' definitions and pin them.
    #[command(
        after_help = "Examples:\n  bailiwick tool-server pin support-desk\n  bailiwick tool-server pin files -- npx -y @modelcontextprotocol/server-filesystem /srv/files"
    )]
    Pin {
        /// The tool server.
        name: String,
        /// Tools whose suspicious definition somebody has read and accepts.
        #[arg(long)]
        accept: Vec<String>,
        #[command(flatten)]
        program: ProgramArgs,
    },
    /// List tool servers and pins.
    List,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ImportArgs {
    /// The client's configuration.
    pub(crate) file: PathBuf,
    /// The folder to make.
    #[arg(long, default_value = "bailiwick-import")]
    pub(crate) out: PathBuf,
    /// Do it: catalogue the tool servers that have credentials, and move these into the vault.
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CallArgs {
    /// The tool server's endpoint at the gateway: `…/mcp/SERVER`, or `…/http/SERVER` for an HTTP API.
    #[arg(long)]
    pub(crate) url: String,
    /// The chain; without one nothing is presented.
    #[arg(long, requires = "key")]
    pub(crate) chain: Option<PathBuf>,
    /// The instance's key file.
    #[arg(long)]
    pub(crate) key: Option<PathBuf>,
    /// The protocol version.
    #[arg(long, default_value = "2026-07-28", value_parser = ["2025-11-25", "2026-07-28"])]
    pub(crate) protocol: String,
    /// One request without the protocol's opening, as a drill would send it.
    #[arg(long)]
    pub(crate) direct: bool,
    /// Keep the presentation that was sent, for drills.
    #[arg(long, value_name = "FILE")]
    pub(crate) save_presentation: Option<PathBuf>,
    /// Send this presentation as it is instead of making one (implies --direct).
    #[arg(long, value_name = "FILE")]
    pub(crate) presentation: Option<PathBuf>,
    /// Keep one connection and read calls from standard input, a line each:
    /// `{"tool": NAME, "arguments": {…}}`, or `{}` to list the tools. A chain file that is renewed
    /// meanwhile is taken up.
    #[arg(long, requires = "chain", conflicts_with_all = ["direct", "save_presentation", "presentation", "tool"])]
    pub(crate) stdin: bool,
    /// The tool or operation; without one, those that the delegation permits are listed.
    pub(crate) tool: Option<String>,
    /// Arguments, `NAME=VALUE` (JSON value, or text).
    pub(crate) arguments: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ConnectArgs {
    /// The tool server's endpoint at the gateway: `…/mcp/SERVER`, or `…/http/SERVER` for an HTTP API,
    /// with --listen.
    pub(crate) url: String,
    /// Stand in over HTTP on this loopback address instead, port 0 for a free one, and print the
    /// endpoint that the client is given.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<std::net::SocketAddr>,
    /// Serve the SPIFFE Workload API on this socket besides, to processes of your user; its folder
    /// is for you alone.
    #[arg(long, value_name = "SOCKET")]
    pub(crate) workload_api: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) authority: AuthorityArgs,
    #[command(flatten)]
    pub(crate) peers: PeersArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct WrapArgs {
    /// The tool server's name in the catalogue [default: the only one that is a program].
    #[arg(long)]
    pub(crate) server: Option<String>,
    /// The folder with the instance's `instance.key` and `chain.json`.
    #[arg(long, value_name = "DIR")]
    pub(crate) agent_dir: Option<PathBuf>,
    /// The instance's key file.
    #[arg(long)]
    pub(crate) key: Option<PathBuf>,
    /// The chain; a file that is renewed is taken up.
    #[arg(long)]
    pub(crate) chain: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) own: OwnArgs,
    #[command(flatten)]
    pub(crate) program: ProgramArgs,
}

/// What `wrap` presents when no chain is named: a delegation to an instance that is made for it
/// and ends with it.
#[derive(Debug, ClapArgs)]
pub(crate) struct OwnArgs {
    /// The task, in words: you grant it, and the instance is made for it and ends with it.
    #[arg(long, value_name = "PURPOSE", conflicts_with_all = ["chain", "agent_dir", "key"])]
    pub(crate) task: Option<String>,
    /// A grant that stands, instead of one for this task; the instance is made all the same.
    #[arg(long, value_name = "ID", conflicts_with_all = ["chain", "agent_dir", "key", "task"])]
    pub(crate) grant: Option<String>,
    /// With --task: the workflow [default: the only one that catalogues the tool server].
    #[arg(long, requires = "task")]
    pub(crate) workflow: Option<String>,
    /// With --task: the agent that the client is [default: the only one of the workflow].
    #[arg(long, requires = "task")]
    pub(crate) agent: Option<String>,
    /// With --task: shorthands of the workflow [default: those whose tools are all rated low].
    #[arg(long, requires = "task")]
    pub(crate) scope: Vec<String>,
    /// With --task: how long, such as `15m` [default: as long as the workflow lets].
    #[arg(long = "for", value_name = "DURATION", requires = "task")]
    pub(crate) lasts: Option<String>,
    /// With --task: budget members such as `max_calls=20`.
    #[arg(long, value_name = "MEMBER=NUMBER", requires = "task")]
    pub(crate) budget: Vec<String>,
    /// With --task: the key file of the principal who grants [default: yours, of `init --me`].
    #[arg(long, value_name = "FILE", requires = "task")]
    pub(crate) principal_key: Option<PathBuf>,
}

/// A program that is a tool server.
#[derive(Debug, ClapArgs)]
pub(crate) struct ProgramArgs {
    /// A variable of the program's environment: `NAME=VALUE` for what is no secret, or `NAME` to
    /// pass it on. Secrets are better kept in the vault: `bailiwick vault set SERVER --env NAME`.
    #[arg(long, value_name = "NAME[=VALUE]", requires = "command")]
    pub(crate) env: Vec<String>,
    /// A variable that is passed on, and that no answer of the program may show.
    #[arg(long, value_name = "NAME", requires = "command")]
    pub(crate) secret: Vec<String>,
    /// The program and its arguments.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<std::ffi::OsString>,
}

/// Whose authority a stand-in presents.
#[derive(Debug, ClapArgs)]
pub(crate) struct AuthorityArgs {
    /// The folder with the instance's `instance.key` and `chain.json`.
    #[arg(long, value_name = "DIR")]
    pub(crate) agent_dir: Option<PathBuf>,
    /// The instance's key file.
    #[arg(long)]
    pub(crate) key: Option<PathBuf>,
    /// The chain; a file that is renewed is taken up.
    #[arg(long, conflicts_with = "grant")]
    pub(crate) chain: Option<PathBuf>,
    /// A grant that stands, under which roots are obtained and renewed here.
    #[arg(long, value_name = "ID")]
    pub(crate) grant: Option<String>,
    /// The public URL of the instance's own authority [default: the endpoint's].
    #[arg(long, value_name = "URL")]
    pub(crate) authority: Option<String>,
    /// With --grant: a part of its scope.
    #[arg(long, requires = "grant")]
    pub(crate) scope: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RevokeArgs {
    /// What: `delegation`, `holder-key` (under one root; everywhere: `instance`), `grant`, `instance`, `agent`, `principal`, `task`, `workflow`, `tool-server`.
    #[arg(value_parser = ["delegation", "holder-key", "grant", "instance", "agent", "principal", "task", "workflow", "tool-server"])]
    pub(crate) kind: String,
    /// Which one; for a delegation the token hash, for a holder key its thumbprint, or use --chain.
    #[arg(allow_hyphen_values = true)]
    pub(crate) id: Option<String>,
    /// The chain whose last token, or its holder's key, is meant.
    #[arg(long, conflicts_with_all = ["id", "root"])]
    pub(crate) chain: Option<PathBuf>,
    /// The root's token hash under which a holder key is revoked.
    #[arg(long, value_name = "HASH", allow_hyphen_values = true)]
    pub(crate) root: Option<String>,
    /// The principal's key, to revoke as that principal rather than as operator.
    #[arg(long)]
    pub(crate) key: Option<PathBuf>,
    /// Why.
    #[arg(long)]
    pub(crate) reason: String,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct InspectArgs {
    /// The file; `-` reads standard input.
    pub(crate) file: PathBuf,
}

#[cfg(test)]
mod tests;
