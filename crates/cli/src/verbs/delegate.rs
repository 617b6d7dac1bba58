//! `delegate`: the principal signs a grant, the authority issues the root.

use std::path::Path;

use bailiwick_authority::rules::delegations::Options;
use bailiwick_authority::{Named, PrepareOptions};
use bailiwick_core::grant::Request;
use bailiwick_core::ids::{AgentId, InstanceId, TaskId, WorkflowId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;

use crate::address;
use crate::args::DelegateArgs;
use crate::chainfile::ChainFile;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::host;
use crate::keyfile::{self, PrincipalKey, Reserved};
use crate::output::{Output, one_line};
use crate::web;

use super::{delegate_remote, parse};

pub(super) fn run(args: &DelegateArgs, dir: &Path, out: Output) -> Result<(), CliError> {
    let authority = args.authority.as_deref().map(address::authority).transpose()?;
    let key = PrincipalKey::read(&args.key)?;
    let request = request(args, &key)?;
    // SECURITY: only whose key it is can grant; the operator's rights to the
    // data dir do not help (the authority checks the signature again).
    if request.principal != key.id {
        return Err(CliError::refused(
            "not-your-grant",
            format!("the request is `{}`'s, the key is `{}`'s", request.principal, key.id),
            "sign with the key of the principal who grants",
        ));
    }
    if let Some(authority) = authority {
        return delegate_remote::run(args, &authority, &key, &request, out);
    }
    let data = DataDir::open(dir)?;
    // Before anything is granted: a grant whose chain nobody holds helps nobody.
    let place = Reserved::new(&args.out)?;
    let task = args.task.as_deref().map(TaskId::parse).transpose()?;
    let options = Options {
        starts: None,
        max_depth: args.max_depth,
        budget: parse::budget(&args.budget)?,
        ..Options::default()
    };
    let named = |name: &dyn std::fmt::Display| Some(name.to_string());
    data.authority.check_names(
        None,
        &Named {
            workflow: request.workflow.as_ref().and_then(|id| named(id)),
            agent: named(&request.agent),
            tool: None,
        },
    )?;
    let prepared =
        data.authority.prepare(&request, &PrepareOptions { options, task, request: None })?;
    let signed = prepared.statement.sign_request(&*key.key).map_err(web::signing)?;
    let instance = args.instance.as_deref().map(InstanceId::parse).transpose()?;
    let issued = data.authority.submit(&prepared, &signed, instance.as_ref())?;
    let chain = ChainFile { chain: vec![issued.token], audience: data.config.audience() };
    place.write(&Json::Object(chain.to_json()).canonical())?;
    let statement = &prepared.statement;
    let object = Object::new()
        .with("chain", args.out.display().to_string())
        .with("root", issued.root)
        .with("grant", &issued.grant)
        .with("grant_digest", issued.grant_digest)
        .with("task", &issued.task)
        .with("agent", &issued.agent)
        .with("instance", &issued.instance)
        .with("tools", statement.tools.clone())
        .with("not_after", Timestamp::from_seconds(statement.not_after).to_string());
    let tools: Vec<&str> = statement.tools.iter().map(|(tool, _)| tool).collect();
    let text = format!(
        "{} delegates to {} for \"{}\"\n  task      {}\n  grant     {} (signed with {}'s own key)\n  instance  {}\n  until     {}\n  tools     {}\n  chain     {}",
        statement.principal,
        statement.agent,
        one_line(&statement.purpose),
        issued.task,
        issued.grant,
        statement.principal,
        issued.instance,
        Timestamp::from_seconds(statement.not_after),
        tools.join("\n            "),
        args.out.display(),
    );
    out.result(object, text);
    let server = tools.iter().find_map(|tool| tool.strip_prefix("mcp:")?.split(':').next());
    out.next(&[
        &format!("bailiwick inspect {}", args.out.display()),
        &format!(
            "bailiwick call --url {}/mcp/{} --chain {} --key INSTANCE.key   # lists what is permitted; add TOOL NAME=VALUE",
            data.config.public_url(),
            server.unwrap_or("SERVER"),
            args.out.display()
        ),
    ]);
    Ok(())
}

fn request(args: &DelegateArgs, key: &PrincipalKey) -> Result<Request, CliError> {
    if let Some(path) = &args.request {
        let bytes = if path.as_os_str() == "-" {
            use std::io::Read as _;
            let mut bytes = Vec::new();
            std::io::stdin()
                .take(1 << 20)
                .read_to_end(&mut bytes)
                .map_err(|e| CliError::file(path, "read", &e))?;
            bytes
        } else {
            keyfile::read(path)?
        };
        return Ok(Request::from_json(&keyfile::json(path, &bytes)?)?);
    }
    let missing = |what: &str| {
        CliError::usage(
            "argument-missing",
            format!("--{what} is missing"),
            "pass it, or a whole request with --request",
        )
    };
    if args.scope.is_empty() {
        return Err(missing("scope"));
    }
    let seconds = parse::seconds(&args.lasts)?;
    Ok(Request {
        principal: key.id.clone(),
        agent: AgentId::parse(args.agent.as_deref().ok_or_else(|| missing("agent"))?)?,
        scope: args.scope.clone(),
        expires_at: host::now().plus_seconds(seconds),
        purpose: args.purpose.clone().ok_or_else(|| missing("purpose"))?,
        workflow: args.workflow.as_deref().map(WorkflowId::parse).transpose()?,
    })
}
