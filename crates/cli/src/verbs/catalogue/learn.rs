//! `catalogue learn`: from a tool server that nobody described to pins and a
//! first workflow.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_authority::console::Text;
use bailiwick_authority::rules::agents::Provenance;
use bailiwick_authority::rules::pins::{Pinned, kept};
use bailiwick_authority::rules::tool_servers::NewServer;
use bailiwick_authority::{Catalogued, ToolState};
use bailiwick_core::ids::{AgentId, PrincipalId, ServerName};
use bailiwick_core::json::{Json, Object};
use bailiwick_gateway::ports::{Credential, ToolServer, UpstreamIdentity};
use bailiwick_gateway::stdio;
use bailiwick_policy::api::openapi::{self, LeftOut};
use bailiwick_policy::catalogue::{Definition, DefinitionKind};
use bailiwick_policy::grades::Level;
use bailiwick_store::IdentityMode;

use crate::address;
use crate::args::LearnArgs;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::keyfile::{self, Reserved};
use crate::output::Output;
use crate::ports::StoreCatalogue;
use crate::proposal::{self, Listed, Proposal};
use crate::vault::environment;
use crate::verbs::{me, serve, tool_server, wrap};

/// Variables that a program needs to be found and to run.
const INHERITED: [&str; 3] = ["PATH", "HOME", "LANG"];
/// For each answer of a program; the first may wait for a download.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was read of a tool server.
struct Found {
    /// `stdio:NAME` for a program.
    url: String,
    credential: Option<String>,
    listings: Vec<(DefinitionKind, Json)>,
    has_resources: bool,
    /// What cannot become a tool, and why.
    left_out: Vec<LeftOut>,
}

pub(super) fn run(
    data: &DataDir,
    args: &LearnArgs,
    logins: Option<&Path>,
    out: Output,
) -> Result<(), CliError> {
    let name = ServerName::parse(&args.name)?;
    let owner = match &args.owner {
        Some(owner) => PrincipalId::parse(owner)?,
        None => me::known(data, logins).map_or_else(|| PrincipalId::parse("user:owner"), Ok)?,
    };
    let agent = match &args.agent {
        Some(agent) => AgentId::parse(agent)?,
        None => AgentId::parse(&format!("agent:{name}-runner"))?,
    };
    // Nothing is done for which there is no place.
    let file = args.out.as_deref().map(Reserved::new).transpose()?;
    let found = match (&args.url, &args.openapi) {
        (Some(url), Some(file)) => by_file(url, file, args)?,
        (Some(url), None) => by_url(data, &name, url, args)?,
        (None, _) => by_program(data, &name, args)?,
    };
    catalogue(data, &name, &found)?;
    let mut pinned = Vec::new();
    for (kind, listing) in &found.listings {
        pinned.extend(data.authority.pin(&name, *kind, listing, &[])?);
    }
    let malformed = pinned.iter().filter(|p| matches!(p, Pinned::Malformed { .. })).count();
    let learned = Learned::read(data, name, malformed, found)?;
    learned.are_pinned(&args.reads)?;
    // No workflow can be written for what nobody accepted.
    if learned.pinned.is_empty() {
        learned.tell(None, None, out);
        return Ok(());
    }
    let listed = Listed {
        server: &learned.server,
        pinned: &learned.pinned,
        waiting: learned.waiting.iter().map(|tool| tool.tool.operation()).collect(),
        has_resources: learned.found.has_resources,
        reads: &args.reads,
    };
    let proposal = proposal::workflow(&listed, &owner, &agent);
    if let Some(file) = file {
        file.write(&proposal.text)?;
    }
    if args.publish {
        publish(data, &proposal, &owner, &agent)?;
    }
    learned.tell(Some(&proposal), Some(args), out);
    Ok(())
}

/// Registers the agent under its owner, unless it is there, and publishes the workflow.
fn publish(
    data: &DataDir,
    proposal: &Proposal,
    owner: &PrincipalId,
    agent: &AgentId,
) -> Result<(), CliError> {
    if proposal.shorthands.is_empty() {
        return Err(CliError::refused(
            "nothing-to-publish",
            "no shorthand could be proposed for these tools",
            "write them in the file of --out, then `bailiwick workflow publish` it",
        ));
    }
    if !data.authority.agents()?.iter().any(|known| known.id == *agent) {
        data.authority.agent_add(agent, owner, Provenance::default())?;
    }
    data.authority.workflow_publish(&proposal.text)?;
    Ok(())
}

/// A tool server as it stands in the catalogue now.
struct Learned {
    server: ServerName,
    pinned: Vec<Definition>,
    waiting: Vec<Catalogued>,
    malformed: usize,
    found: Found,
}

impl Learned {
    fn read(
        data: &DataDir,
        server: ServerName,
        malformed: usize,
        found: Found,
    ) -> Result<Self, CliError> {
        let (mut pinned, mut waiting) = (Vec::new(), Vec::new());
        for tool in data.authority.catalogued()? {
            if tool.tool.server() != server.as_str() {
                continue;
            }
            match &tool.pin {
                Some(pin) if tool.state() == ToolState::Pinned => {
                    pinned.push(kept(&tool.tool, &pin.definition)?);
                }
                _ => waiting.push(tool),
            }
        }
        Ok(Self { server, pinned, waiting, malformed, found })
    }

    /// Nobody rates what is not there, or what nobody accepted yet.
    fn are_pinned(&self, rated: &[String]) -> Result<(), CliError> {
        let tools = || self.pinned.iter().filter(|tool| tool.kind() != DefinitionKind::Prompt);
        let Some(stray) = rated.iter().find(|name| !tools().any(|tool| tool.name() == *name))
        else {
            return Ok(());
        };
        let names: Vec<&str> = tools().map(Definition::name).collect();
        Err(CliError::not_found(
            "not-found",
            format!("`{stray}` is no accepted tool of {}", self.server),
            format!("rate one of these: {}", names.join(", ")),
        ))
    }

    /// Says what was learned, and what comes next.
    fn tell(&self, proposal: Option<&Proposal>, args: Option<&LearnArgs>, out: Output) {
        let Self { server, pinned, waiting, malformed, found } = self;
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let mut summary = format!(
            "learned {server}: {} pinned, {} waiting for a person, {malformed} malformed",
            pinned.len(),
            waiting.len()
        );
        for LeftOut { operation, why } in &found.left_out {
            let operation = Text::of(operation);
            summary.push_str(&format!("\n  left out: {operation}: {why}"));
        }
        let left_out = found.left_out.iter().map(|left| {
            Object::new().with("operation", left.operation.as_str()).with("why", left.why).into()
        });
        let names = waiting.iter().map(|tool| tool.tool.operation().into());
        let shorthands = proposal.map(|p| p.shorthands.as_slice()).unwrap_or_default();
        let published = args.is_some_and(|args| args.publish);
        let said = Object::new()
            .with("tool_server", server)
            .with("pinned", count(pinned.len()))
            .with("waiting", names.collect::<Vec<Json>>())
            .with("malformed", count(*malformed))
            .with("left_out", left_out.collect::<Vec<Json>>())
            .with("shorthands", shorthands.iter().map(|s| s.as_str().into()).collect::<Vec<Json>>())
            .with("workflow", proposal.map(|p| p.text.as_str()))
            .with("level", proposal.map(|_| Level::Manual))
            .with("published", published);
        let file = args.and_then(|args| args.out.as_deref());
        let text = match (proposal, file) {
            (None, _) => {
                format!("{summary}\nno workflow is proposed until a definition is accepted")
            }
            (Some(_), Some(path)) => {
                format!("{summary}\nproposed workflow in {}", path.display())
            }
            (Some(_), None) if published => summary,
            (Some(proposal), None) => format!("{summary}\n\n{}", proposal.text),
        };
        let text = if published {
            format!(
                "{text}\npublished workflow {server}, level manual: reads rated low pass, every effect needs a person"
            )
        } else {
            text
        };
        out.result(said, text);
        let steps = self.next(proposal, args);
        out.next(&steps.iter().map(String::as_str).collect::<Vec<_>>());
    }

    fn next(&self, proposal: Option<&Proposal>, args: Option<&LearnArgs>) -> Vec<String> {
        let mut next = Vec::new();
        if !self.waiting.is_empty() {
            next.push("bailiwick catalogue diff            # what waits for a person".to_owned());
        }
        next.extend(self.waiting.iter().filter_map(super::accepting));
        let (Some(proposal), Some(args)) = (proposal, args) else {
            next.push(format!("bailiwick catalogue learn {} …   # the same again", self.server));
            return next;
        };
        let file = args.out.as_deref().map(|file| file.display().to_string());
        if args.publish {
            if self.found.url.starts_with("stdio:") {
                let server = &self.server;
                next.push(format!("bailiwick wrap --server {server} --task 'what for' -- COMMAND"));
            }
        } else {
            let shown = file.as_deref().unwrap_or("FILE");
            next.push(format!(
                "bailiwick workflow check '{shown}'      # once you rated the tools"
            ));
            next.push(format!(
                "bailiwick workflow publish '{shown}'    # its owner and agent are registered first"
            ));
        }
        // What nobody rated is nothing to delegate yet.
        let rated = |shorthand: &&String| {
            args.reads.iter().any(|tool| **shorthand == format!("{}:{tool}", self.server))
        };
        if let Some(rated) = proposal.shorthands.iter().find(rated) {
            let explain = format!("bailiwick scope explain '{rated}'");
            match file {
                _ if args.publish => next.push(explain),
                Some(file) => next.push(format!("{explain} --file '{file}'")),
                None => {}
            }
        }
        next
    }
}

/// Puts the tool server into the catalogue, unless it is there as it is.
fn catalogue(data: &DataDir, name: &ServerName, found: &Found) -> Result<(), CliError> {
    let known = data.authority.tool_servers()?;
    let same = known.iter().any(|s| {
        s.name == *name
            && s.url == found.url
            && (s.credential == found.credential || found.credential.is_none())
    });
    if !same {
        data.authority.tool_server_add(NewServer {
            name: name.clone(),
            url: found.url.clone(),
            credential: found.credential.clone(),
            identity_mode: IdentityMode::Shared,
            replace: false,
        })?;
    }
    Ok(())
}

/// An HTTP API, as its file describes it; nobody is asked.
fn by_file(url: &str, file: &Path, args: &LearnArgs) -> Result<Found, CliError> {
    let url = address::tool_server(url)?;
    if url.starts_with("stdio:") || url.contains(['?', '#']) {
        return Err(CliError::usage(
            "tool-server-url",
            "the base of an HTTP API is a URL without query",
            "pass the URL that the paths of the file are below",
        ));
    }
    let text = String::from_utf8(keyfile::own(keyfile::read(file))?).map_err(|_| {
        CliError::usage(
            "openapi-unreadable",
            format!("`{}` is not UTF-8", file.display()),
            "pass the API's OpenAPI file",
        )
    })?;
    let described = openapi::read(&text)
        .map_err(|e| CliError::usage(e.code(), format!("`{}`: {e}", file.display()), e.remedy()))?;
    Ok(Found {
        url,
        credential: args.credential.as_deref().map(tool_server::reference).transpose()?,
        listings: vec![(DefinitionKind::Operation, described.listing)],
        has_resources: false,
        left_out: described.left_out,
    })
}

fn by_url(
    data: &DataDir,
    name: &ServerName,
    url: &str,
    args: &LearnArgs,
) -> Result<Found, CliError> {
    let url = address::tool_server(url)?;
    let reference = args.credential.as_deref().map(tool_server::reference).transpose()?;
    let credential = match &args.credential {
        None => None,
        Some(path) => {
            let bytes = keyfile::read_private(path)?;
            let text = std::str::from_utf8(&bytes).map_err(|_| {
                CliError::usage(
                    "credential-unreadable",
                    format!("`{}` is no text", path.display()),
                    "pass the file that holds the credential",
                )
            })?;
            let credential = Credential::bearer(text.trim());
            Some(credential.ok_or_else(|| {
                CliError::usage(
                    "credential-unreadable",
                    format!("`{}` holds what no header can", path.display()),
                    "pass the file that holds the credential, one line of plain characters",
                )
            })?)
        }
    };
    let parsed = url.parse().map_err(|_| {
        CliError::usage("tool-server-url", "the tool server's URL cannot be read", "check it")
    })?;
    let identity = UpstreamIdentity::Shared;
    let server = ToolServer::new(name.clone(), parsed, identity, BTreeMap::new(), false);
    let server = match credential {
        Some(credential) => server.shown(credential),
        None => server,
    };
    let catalogue = StoreCatalogue::new(data.store().clone(), data.gateway.clone());
    let gateway = serve::gateway(data, Arc::new(catalogue))?;
    let runtime = serve::runtime()?;
    let mut server = Arc::new(server);
    // SECURITY: what is held for a tool server goes to its own address only.
    let is_known = data.authority.tool_servers()?.iter().any(|s| s.name == *name && s.url == url);
    if args.credential.is_none() && is_known {
        server =
            runtime.block_on(gateway.with_own_credential(server)).map_err(tool_server::not_had)?;
    }
    let (tools, prompts, resources) = runtime.block_on(async {
        let tools = gateway.definitions(&server, DefinitionKind::Tool).await;
        // A server without prompts or resources is no fault.
        let prompts = gateway.definitions(&server, DefinitionKind::Prompt).await.ok();
        (tools, prompts, gateway.has_resources(&server).await)
    });
    let tools =
        tools.map_err(|e| CliError::environment(e.code, format!("`{url}`: {e}"), e.remedy))?;
    let mut listings = vec![(DefinitionKind::Tool, tools)];
    listings.extend(prompts.map(|prompts| (DefinitionKind::Prompt, prompts)));
    let (credential, left_out) = (reference, Vec::new());
    Ok(Found { url, credential, listings, has_resources: resources, left_out })
}

fn by_program(data: &DataDir, name: &ServerName, args: &LearnArgs) -> Result<Found, CliError> {
    let runtime = serve::runtime()?;
    let held = runtime.block_on(environment::of(data, name))?;
    let program = wrap::program(&args.program, &INHERITED, held)?;
    let listing = runtime.block_on(stdio::list(&program, name, PATIENCE));
    let listing = listing.map_err(|e| match e.code() {
        "upstream-timeout" => CliError::environment(
            "program-silent",
            format!("the program did not answer within {} seconds", PATIENCE.as_secs()),
            "start it once by itself: what it downloads may take longer; it gets PATH, HOME, LANG and what --env names, such as HTTPS_PROXY",
        ),
        code => CliError::environment(code, e.to_string(), e.remedy()),
    })?;
    Ok(Found {
        url: format!("stdio:{name}"),
        credential: None,
        listings: vec![
            (DefinitionKind::Tool, Object::new().with("tools", listing.tools).into()),
            (DefinitionKind::Prompt, Object::new().with("prompts", listing.prompts).into()),
        ],
        left_out: Vec::new(),
        has_resources: !listing.resources.is_empty() || !listing.resource_templates.is_empty(),
    })
}
