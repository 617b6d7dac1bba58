//! Who takes part, and how they are set up: by the commands that anyone uses.

use std::path::{Path, PathBuf};

use crate::error::CliError;
use crate::keyfile;
use crate::output::Output;

use super::processes::{Server, free_port, home, must};

/// The workflow that the demo publishes: as shipped, and a refund may be approved
/// with a key in a file, since the play has no screen.
const WORKFLOW: &str = include_str!("../../../../workflows/support-tickets.yaml");

const APPROVALS: &str = "\napprovals: {by: [workflow-owner], key_max_risk: high}\n";
/// Beside the guardrails that every installation begins with.
const REFUNDS: &str = r#"@id("refunds")
@reason("a person looks at every refund")
@approval
forbid (principal, action, resource == Tool::"mcp:support-desk:tools/refund_order");
"#;

pub(super) const PRINCIPAL: &str = "user:142";
pub(super) const OWNER: &str = "user:owner";
pub(super) const RUNNER: &str = "agent:support-runner";
pub(super) const READER: &str = "agent:order-reader";
pub(super) const BILLING: &str = "agent:billing-specialist";
pub(super) const SERVER: &str = "support-desk";

/// Everybody, with the folders they live in.
pub(super) struct Cast {
    pub(super) data: PathBuf,
    pub(super) owner: PathBuf,
    pub(super) principal: PathBuf,
    pub(super) runner: PathBuf,
    pub(super) reader: PathBuf,
    pub(super) billing: PathBuf,
    pub(super) thief: PathBuf,
    pub(super) stranger: PathBuf,
    pub(super) desk: Server,
    pub(super) serve: Server,
    /// The gateway's endpoint of the support desk.
    pub(super) url: String,
    /// The support desk's own endpoint.
    pub(super) desk_url: String,
    pub(super) desk_database: PathBuf,
}

/// A path as an argument.
pub(super) fn arg(path: &Path) -> String {
    path.display().to_string()
}

/// Sets everything up; `base` is absolute.
pub(super) fn assemble(base: &Path, out: Output) -> Result<Cast, CliError> {
    let data = base.join("authority");
    let d = arg(&data);
    let listen = format!("127.0.0.1:{}", free_port()?);
    must(base, &["init", "--yes", "--listen", &listen, "--data-dir", &d])?;
    out.say("authority initialised: keys, ledger and admin credential made here");
    // Before anything is decided: a gateway that runs looks for another policy only now and then.
    let policy = base.join("policy");
    must(base, &["policy", "show", "--out", &arg(&policy), "--data-dir", &d])?;
    keyfile::write_new(&policy.join("refunds.cedar"), REFUNDS)?;
    must(base, &["policy", "publish", &arg(&policy), "--data-dir", &d])?;

    let desk_home = home(base, "support-desk")?;
    let credential = desk_home.join("gateway.credential");
    let secret: [u8; 32] = crate::host::random()?;
    keyfile::write_new(&credential, &bailiwick_core::crypto::base64url(&secret))?;
    let desk_database = desk_home.join("desk.db");
    let desk = Server::start(
        "the support desk",
        &desk_home,
        &desk_home.join("desk.log"),
        &["demo", "desk", "--database", &arg(&desk_database), "--credential", &arg(&credential)],
    )?;
    let desk_url = desk.said("url");
    out.say(format!("support desk (its own process) at {desk_url}"));

    let serve = Server::start(
        "serve",
        base,
        &base.join("serve.log"),
        &["serve", "--listen", &listen, "--data-dir", &d],
    )?;
    let public_url = serve.said("public_url");
    out.say(format!("authority and gateway at {public_url}"));

    let principal = home(base, "user-142")?;
    let owner = home(base, "owner")?;
    must(
        base,
        &[
            "principal",
            "add",
            PRINCIPAL,
            "--key",
            &arg(&principal.join("key.json")),
            "--data-dir",
            &d,
        ],
    )?;
    must(
        base,
        &["principal", "add", OWNER, "--key", &arg(&owner.join("key.json")), "--data-dir", &d],
    )?;
    for agent in [RUNNER, READER, BILLING] {
        must(base, &["agent", "add", agent, "--owner", OWNER, "--data-dir", &d])?;
    }
    let workflow = base.join("support-tickets.yaml");
    // In the second act the refund question goes to an agent of its own.
    let agents = format!("  - {READER}\n");
    let text = WORKFLOW.replace(&agents, &format!("{agents}  - {BILLING}\n"));
    keyfile::write_new(&workflow, &format!("{text}{APPROVALS}"))?;
    must(base, &["workflow", "publish", &arg(&workflow), "--data-dir", &d])?;
    must(
        base,
        &[
            "tool-server",
            "add",
            SERVER,
            "--url",
            &desk_url,
            "--credential",
            &arg(&credential),
            "--data-dir",
            &d,
        ],
    )?;
    must(base, &["tool-server", "pin", SERVER, "--data-dir", &d])?;
    out.say("principal, owner, three agents, workflow and pinned tools registered");
    let approver = arg(&owner.join("approver.json"));
    let new = ["approvals", "key", "new", "--for", OWNER, "--out", &approver];
    must(&owner, &[&new[..], &["--data-dir", &d]].concat())?;
    out.say("policy: every refund waits for a person; the owner enrolled an approver key");

    let runner = instance(base, "support-runner", RUNNER, &public_url, Some(&d))?;
    let reader = instance(base, "order-reader", READER, &public_url, Some(&d))?;
    let billing = instance(base, "billing-specialist", BILLING, &public_url, Some(&d))?;
    // These two make keys as well, but nobody enrols them.
    let thief = instance(base, "thief", RUNNER, &public_url, None)?;
    let stranger = instance(base, "stranger", READER, &public_url, None)?;
    out.say("three instances enrolled, each with keys that never left its folder\n");
    let url = format!("{public_url}/mcp/{SERVER}");
    Ok(Cast {
        data,
        owner,
        principal,
        runner,
        reader,
        billing,
        thief,
        stranger,
        desk,
        serve,
        url,
        desk_url,
        desk_database,
    })
}

/// An instance's folder with its keys; enrolled when a data dir is given.
fn instance(
    base: &Path,
    name: &str,
    agent: &str,
    authority: &str,
    enrol_at: Option<&str>,
) -> Result<PathBuf, CliError> {
    let folder = home(base, name)?;
    let document = arg(&folder.join("enrolment.json"));
    must(
        &folder,
        &[
            "instance",
            "new",
            "--agent",
            agent,
            "--owner",
            OWNER,
            "--authority",
            authority,
            "--key",
            &arg(&folder.join("key.json")),
            "--out",
            &document,
        ],
    )?;
    if let Some(data) = enrol_at {
        must(base, &["instance", "enrol", &document, "--data-dir", data])?;
    }
    Ok(folder)
}
