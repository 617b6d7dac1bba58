//! `a2a`: agents that are called through the gateway, by their signed cards.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bailiwick_authority::console::Text;
use bailiwick_authority::rules::pins::Pinned;
use bailiwick_authority::rules::tool_servers::NewServer;
use bailiwick_core::ids::{AgentId, ServerName};
use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_gateway::ports::{ToolServer, UpstreamIdentity};
use bailiwick_policy::a2a::Operation;
use bailiwick_policy::a2a::card::{Accepted, CARD};
use bailiwick_policy::catalogue::{Definition, DefinitionKind};
use bailiwick_store::PinStatus;

use super::{serve, tool_server};
use crate::address;
use crate::args::{A2aAddArgs, A2aVerb};
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::keyfile;
use crate::output::Output;
use crate::ports::{StoreCatalogue, signers};

pub(super) fn run(verb: A2aVerb, dir: &Path, out: Output) -> Result<(), CliError> {
    let data = DataDir::open(dir)?;
    match verb {
        A2aVerb::Add(args) => add(&data, &args, out),
        A2aVerb::Show { name } => show(&data, &ServerName::parse(&name)?, out),
    }
}

/// The card as it is pinned, with its state.
fn accepted(data: &DataDir, name: &ServerName) -> Result<Option<(Accepted, PinStatus)>, CliError> {
    let pins = data.authority.pins(name)?;
    let pin = pins.into_iter().find(|pin| pin.tool.operation() == CARD);
    Ok(pin.and_then(|pin| {
        let kept = Json::parse(pin.definition.as_bytes(), &JsonLimits::DEFAULT).ok()?;
        let accepted = Accepted::of(&Definition::of_kept(&kept).ok()?)?;
        Some((accepted, pin.status))
    }))
}

fn key(path: &Path) -> Result<VerifyingKey, CliError> {
    let bytes = keyfile::own(keyfile::read(path))?;
    let jwk = Json::parse(&bytes, &JsonLimits::DEFAULT).ok();
    let key = jwk.and_then(|jwk| VerifyingKey::from_jwk(jwk.as_object()?).ok());
    key.ok_or_else(|| {
        CliError::usage(
            "key-unreadable",
            format!("`{}` is no public key", path.display()),
            "pass a public JWK on P-256 or Ed25519, without private members",
        )
    })
}

/// SECURITY: an agent behind the gateway that is the gateway would be called in
/// circles.
fn is_elsewhere(data: &DataDir, url: &url::Url) -> Result<(), CliError> {
    let own: Option<url::Url> = data.config.public_url().parse().ok();
    if own.is_some_and(|own| own.origin() == url.origin()) {
        return Err(CliError::refused(
            "agent-is-this-gateway",
            format!("`{url}` is this gateway itself"),
            "pass the address of the agent's own card",
        ));
    }
    Ok(())
}

fn add(data: &DataDir, args: &A2aAddArgs, out: Output) -> Result<(), CliError> {
    let name = ServerName::parse(&args.name)?;
    let agent = AgentId::parse(&args.agent)?;
    let url = address::tool_server(&args.url)?;
    let at: url::Url = url.parse().map_err(|_| {
        CliError::usage("tool-server-url", "the address of the card cannot be read", "check it")
    })?;
    is_elsewhere(data, &at)?;
    let of_instances = data.store().read(|view| signers(view, &agent))?.ok_or_else(|| {
        CliError::not_found(
            "not-found",
            format!("`{agent}` is no active agent"),
            format!("register it: bailiwick agent add {agent} --owner user:NAME"),
        )
    })?;
    let before = accepted(data, &name)?.filter(|(before, _)| before.agent == agent);
    let named = match args.key.as_slice() {
        [] => before.map(|(before, _)| before.keys).unwrap_or_default(),
        paths => paths.iter().map(|path| key(path)).collect::<Result<_, _>>()?,
    };
    let keys: Vec<VerifyingKey> = named.iter().chain(&of_instances).copied().collect();
    let catalogue = StoreCatalogue::new(data.store().clone(), data.gateway.clone());
    let gateway = serve::gateway(data, Arc::new(catalogue))?;
    let identity = UpstreamIdentity::Shared;
    let server = ToolServer::new(name.clone(), at, identity, BTreeMap::new(), false);
    let fetched = serve::runtime()?.block_on(gateway.agent_card(&server, &keys));
    let card = fetched.map_err(|e| match e.code {
        code if code.starts_with("card-") => CliError::refused(code, e.to_string(), e.remedy),
        code => CliError::environment(code, e.to_string(), e.remedy),
    })?;
    catalogued(data, &name, url, args)?;
    let listing = Object::new().with("cards", vec![card.definition(&agent, &named)]);
    let accept: &[String] = if args.accept { &[CARD.to_owned()] } else { &[] };
    let pinned = data.authority.pin(&name, DefinitionKind::Card, &listing.into(), accept)?;
    let result = pinned.first().map_or("definition-malformed", Pinned::code);
    let refused = pinned.iter().any(Pinned::is_refused) || pinned.is_empty();
    let said = Object::new()
        .with("agent", &agent)
        .with("tool_server", &name)
        .with("result", result)
        .with("url", front(data, &name));
    let text = format!("{name} is {agent}, {result}; callers reach it at {}", front(data, &name));
    out.result(said, text);
    if refused {
        return Err(CliError::refused(
            "pin-refused",
            format!("the card of {name} needs a person's eye ({result}) and is not in force"),
            format!(
                "look at it with `bailiwick catalogue diff a2a:{name}:{CARD}`, then run this again with --accept"
            ),
        ));
    }
    out.next(&[
        &format!("bailiwick a2a show {name}"),
        "bailiwick workflow publish FILE   # its tool_servers rate the agent's operations under `a2a`",
    ]);
    Ok(())
}

/// Puts the agent into the catalogue, unless it is there as it is.
fn catalogued(
    data: &DataDir,
    name: &ServerName,
    url: String,
    args: &A2aAddArgs,
) -> Result<(), CliError> {
    let credential = args.credential.as_deref().map(tool_server::reference).transpose()?;
    let known = data.authority.tool_servers()?;
    let same = known.iter().any(|s| {
        s.name == *name && s.url == url && (credential.is_none() || s.credential == credential)
    });
    if same {
        return Ok(());
    }
    let identity_mode = tool_server::mode(args.upstream_identity);
    let name = name.clone();
    data.authority.tool_server_add(NewServer {
        name,
        url,
        credential,
        identity_mode,
        replace: false,
    })?;
    Ok(())
}

fn front(data: &DataDir, name: &ServerName) -> String {
    format!("{}/a2a/{name}", data.config.public_url())
}

fn show(data: &DataDir, name: &ServerName, out: Output) -> Result<(), CliError> {
    let (accepted, status) = accepted(data, name)?.ok_or_else(|| {
        CliError::not_found(
            "not-found",
            format!("no agent `{name}` is catalogued"),
            "add it with `bailiwick a2a add`",
        )
    })?;
    // There is one card, and it is published.
    let offered = Operation::ALL.into_iter().filter(|o| *o != Operation::GetExtendedAgentCard);
    let tools: Vec<String> =
        offered.map(|operation| format!("a2a:{name}:{}", operation.name())).collect();
    let card = accepted.card.members();
    let text = |member: &str| {
        Text::of(card.member(member).and_then(Json::as_str).unwrap_or_default()).to_string()
    };
    let lines = [
        format!("{name}: {} ({})", text("name"), accepted.agent),
        format!("  {}", text("description")),
        format!("  card          {}", status.as_str()),
        format!("  called at     {}", accepted.card.interface().url),
        format!("  callers come  {}", front(data, name)),
        format!("  its card here {}/.well-known/agent-card.json", front(data, name)),
    ];
    let tools_text = tools.iter().map(|tool| format!("  {tool}"));
    let lines: Vec<String> = lines.into_iter().chain(tools_text).collect();
    let tools: Vec<Json> = tools.into_iter().map(Json::from).collect();
    let said = Object::new()
        .with("tool_server", name)
        .with("agent", &accepted.agent)
        .with("status", status.as_str())
        .with("called_at", accepted.card.interface().url.as_str())
        .with("url", front(data, name))
        .with("tools", tools)
        .with("card", card.clone());
    out.result(said, lines.join("\n"));
    Ok(())
}
