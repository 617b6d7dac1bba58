//! `tool-server`: where tools are reached, and what they were when pinned.

use std::path::Path;
use std::sync::Arc;

use bailiwick_authority::rules::pins::Pinned;
use bailiwick_authority::rules::tool_servers::NewServer;
use bailiwick_core::ids::ServerName;
use bailiwick_core::json::{Json, Object};
use bailiwick_gateway::ports::{Catalogue as _, VaultFault};
use bailiwick_policy::catalogue::DefinitionKind;
use bailiwick_store::{IdentityMode, Subject};

use super::wrap;
use crate::address;
use crate::args::{ProgramArgs, ToolServerVerb, WhoseAccount};
use crate::datadir::{DataDir, or_none};
use crate::error::CliError;
use crate::keyfile;
use crate::output::Output;
use crate::ports::StoreCatalogue;
use crate::table::{table, table_or};
use crate::vault::environment;

pub(super) fn run(verb: ToolServerVerb, dir: &Path, out: Output) -> Result<(), CliError> {
    let data = DataDir::open(dir)?;
    match verb {
        ToolServerVerb::Add { name, url, credential, upstream_identity } => {
            add(&data, &name, url, credential, upstream_identity, out)
        }
        ToolServerVerb::Identity { name, upstream_identity } => {
            identity(&data, &ServerName::parse(&name)?, upstream_identity, out)
        }
        ToolServerVerb::Pin { name, accept, program } => {
            pin(&data, &ServerName::parse(&name)?, &accept, &program, out)
        }
        ToolServerVerb::List => list(&data, out),
    }
}

fn add(
    data: &DataDir,
    name: &str,
    url: String,
    credential: Option<std::path::PathBuf>,
    upstream_identity: WhoseAccount,
    out: Output,
) -> Result<(), CliError> {
    let url = address::tool_server(&url)?;
    let credential = credential.as_deref().map(reference).transpose()?;
    let server = data.authority.tool_server_add(NewServer {
        name: ServerName::parse(name)?,
        url,
        credential,
        identity_mode: mode(upstream_identity),
        replace: false,
    })?;
    out.result(
        Object::new()
            .with("tool_server", &server.name)
            .with("url", server.url.as_str())
            .with("upstream_identity", server.identity_mode.as_str()),
        format!("catalogued {} at {}", server.name, server.url),
    );
    let is_program = server.url.starts_with("stdio:");
    let command = if is_program { " -- COMMAND   # the program, as it is started" } else { "" };
    out.next(&[&format!("bailiwick tool-server pin {}{command}", server.name)]);
    Ok(())
}

pub(super) const fn mode(whose: WhoseAccount) -> IdentityMode {
    match whose {
        WhoseAccount::Principal => IdentityMode::Principal,
        WhoseAccount::Shared => IdentityMode::Shared,
    }
}

/// The same tool server, known by another account.
fn identity(
    data: &DataDir,
    name: &ServerName,
    whose: WhoseAccount,
    out: Output,
) -> Result<(), CliError> {
    let known = data.authority.tool_servers()?.into_iter().find(|s| s.row.name == *name);
    let known = known.ok_or_else(|| {
        CliError::not_found(
            "not-found",
            format!("no tool server `{name}`"),
            "add it with `bailiwick tool-server add`",
        )
    })?;
    let changed = data.authority.tool_server_add(NewServer {
        name: name.clone(),
        url: known.row.url,
        credential: known.row.credential,
        identity_mode: mode(whose),
        replace: true,
    })?;
    let whose = changed.identity_mode.as_str();
    out.result(
        Object::new().with("tool_server", name).with("upstream_identity", whose),
        format!("{name} is known by the account: {whose}"),
    );
    let next = match changed.identity_mode {
        IdentityMode::Principal => {
            format!("bailiwick vault set {name} --help   # one for each principal")
        }
        IdentityMode::Shared => {
            "bailiwick workflow check FILE   # its tools say `personal` or `resource`".to_owned()
        }
    };
    out.next(&[&next]);
    Ok(())
}

/// The reference to a credential's file, which must be readable by this user
/// only, and absolute: `serve` may run elsewhere.
pub(super) fn reference(path: &Path) -> Result<String, CliError> {
    keyfile::read_private(path)?;
    let path = std::path::absolute(path).map_err(|e| CliError::file(path, "resolve", &e))?;
    Ok(format!("file:{}", path.display()))
}

fn pin(
    data: &DataDir,
    name: &ServerName,
    accept: &[String],
    program: &ProgramArgs,
    out: Output,
) -> Result<(), CliError> {
    let catalogue = StoreCatalogue::new(data.store().clone(), data.gateway.clone());
    let server = catalogue
        .server(name)
        .map_err(|_| {
            CliError::environment(
                "catalogue-unreadable",
                "the catalogue cannot be read",
                "run `bailiwick doctor`",
            )
        })?
        .ok_or_else(|| {
            CliError::not_found(
                "not-found",
                format!("no tool server `{name}`"),
                "add it with `bailiwick tool-server add`",
            )
        })?;
    if server.card().is_some() {
        return Err(CliError::usage(
            "described-by-card",
            format!("`{name}` is an agent: it has a card"),
            "read its card again with `bailiwick a2a add`",
        ));
    }
    if server.is_api() {
        return Err(CliError::usage(
            "described-by-file",
            format!("`{name}` is an HTTP API: it lists nothing"),
            "read its file again with `bailiwick catalogue learn NAME --openapi FILE --url URL`",
        ));
    }
    let runtime = super::serve::runtime()?;
    let programs = match (server.url.scheme(), program.command.is_empty()) {
        ("stdio", false) => {
            let held = runtime.block_on(environment::of(data, name))?;
            vec![(name.clone(), wrap::program(program, &["PATH"], held)?)]
        }
        ("stdio", true) => return Err(wrap::no_command()),
        (_, true) => Vec::new(),
        (_, false) => {
            return Err(CliError::usage(
                "not-a-program",
                format!("`{name}` is reached at {}", server.url),
                "leave the command out, or add it with --url stdio:NAME",
            ));
        }
    };
    // A program lives no longer than the runtime that started it.
    let _entered = runtime.enter();
    let gateway = super::serve::gateway_with(data, Arc::new(catalogue), programs)?;
    let server = runtime.block_on(gateway.with_own_credential(server)).map_err(not_had)?;
    let mut lines = Vec::new();
    let mut items = Vec::new();
    let mut refused = false;
    for kind in [DefinitionKind::Tool, DefinitionKind::Prompt] {
        let listing = runtime.block_on(gateway.definitions(&server, kind));
        let listing = match (listing, kind) {
            (Ok(listing), _) => listing,
            // A server without prompts is no fault.
            (Err(_), DefinitionKind::Prompt) => continue,
            (Err(e), _) => {
                return Err(CliError::environment(e.code, e.to_string(), e.remedy));
            }
        };
        for pinned in data.authority.pin(name, kind, &listing, accept)? {
            refused |= pinned.is_refused();
            lines.push(line(&pinned));
            items.push(Json::from(
                Object::new().with("tool", tool(&pinned)).with("result", pinned.code()),
            ));
        }
    }
    out.result(
        Object::new().with("tool_server", name).with("pins", items).with("refused", refused),
        or_none(&lines, "the server lists no tool"),
    );
    if refused {
        return Err(CliError::refused(
            "pin-refused",
            "some definitions need a person's eye and were not pinned",
            "look at them with `bailiwick catalogue diff`, then accept each",
        ));
    }
    out.next(&[
        "bailiwick delegate --help   # once a workflow is published and an instance enrolled",
    ]);
    Ok(())
}

/// The credential of a tool server whose definitions are read.
pub(super) fn not_had(fault: VaultFault) -> CliError {
    CliError::environment(
        "credential-unreadable",
        format!("the tool server's credential cannot be had ({})", fault.code),
        "run `bailiwick doctor`, which says what to do",
    )
}

fn tool(pinned: &Pinned) -> String {
    match pinned {
        Pinned::New { tool, .. }
        | Pinned::Unchanged { tool }
        | Pinned::Changed { tool, .. }
        | Pinned::Suspicious { tool, .. }
        | Pinned::Quarantined { tool } => tool.to_string(),
        Pinned::Malformed { item, .. } => format!("item {item}"),
    }
}

fn line(pinned: &Pinned) -> String {
    let detail = match pinned {
        Pinned::New { digest, .. } => digest.to_string(),
        Pinned::Changed { found, .. } => format!("now {found}"),
        Pinned::Suspicious { flags, .. } => flags
            .iter()
            .map(|f| format!("{} in {}", f.suspicion.as_str(), f.place))
            .collect::<Vec<_>>()
            .join(", "),
        Pinned::Unchanged { .. } | Pinned::Quarantined { .. } | Pinned::Malformed { .. } => {
            String::new()
        }
    };
    format!("{:<20} {:<50} {detail}", pinned.code(), tool(pinned))
}

fn list(data: &DataDir, out: Output) -> Result<(), CliError> {
    let rows = data.authority.tool_servers()?;
    let subject = |name: &ServerName| Subject::ToolServer { name: name.clone() };
    let subjects: Vec<_> = rows.iter().map(|s| (subject(&s.name), s.status.as_str())).collect();
    let mut lines = Vec::new();
    let mut pinned = Vec::new();
    let mut servers = Vec::new();
    for (server, state) in rows.iter().zip(data.states(&subjects)?) {
        let mut pins = Vec::new();
        for pin in data.authority.pins(&server.name)? {
            let (tool, digest) = (pin.tool.to_string(), pin.digest.to_string());
            pinned.push(vec![tool, pin.status.as_str().to_owned(), digest]);
            pins.push(Json::from(
                Object::new()
                    .with("tool", &pin.tool)
                    .with("status", pin.status.as_str())
                    .with("digest", pin.digest),
            ));
        }
        let count = pins.len().to_string();
        let whose = server.identity_mode.as_str().to_owned();
        lines.push(vec![
            server.name.to_string(),
            state.to_owned(),
            count,
            whose.clone(),
            server.url.clone(),
        ]);
        servers.push(Json::from(
            Object::new()
                .with("tool_server", &server.name)
                .with("url", server.url.as_str())
                .with("upstream_identity", whose)
                .with("status", state)
                .with("pins", pins),
        ));
    }
    let heads = ["tool server", "status", "pins", "account", "url"];
    let mut text = table_or(&heads, &lines, "no tool server is catalogued");
    if !pinned.is_empty() {
        text.push_str(&format!("\n\n{}", table(&["tool", "status", "digest"], &pinned)));
    }
    out.result(Object::new().with("tool_servers", servers), text);
    Ok(())
}
