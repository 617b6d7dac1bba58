//! `call`: one call through the gateway, as an agent would make it.

use std::process::ExitCode;
use std::sync::Arc;

use bailiwick_core::aat::make::Seen;
use bailiwick_core::crypto::Signer as _;
use bailiwick_core::ids::ApprovalId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::{ChainLimits, JsonLimits};
use bailiwick_demo::agent::{
    AgentClient, AgentError, CallOutcome, Connection, Denial, DirectCaller, Era, Outcome,
    Presentation, Presenter, RecordingPresenter,
};

use rmcp::model::JsonObject;

use crate::address;
use crate::args::CallArgs;
use crate::chainfile::ChainFile;
use crate::error::{Class, CliError, ended};
use crate::keyfile::{self, InstanceKeys};
use crate::output::{Output, one_line};
use crate::presenter::ChainPresenter;
use crate::web::{self, Found};

use super::parse;

mod api;
mod lines;

/// The protocol version with sessions.
const SESSIONS: &str = "2025-11-25";

/// Answers are larger than requests.
const ANSWER_LIMITS: JsonLimits =
    JsonLimits { max_bytes: 64 << 20, max_depth: 96, max_values: 5_000_000 };

pub(super) fn run(args: &CallArgs, out: Output) -> Result<ExitCode, CliError> {
    super::serve::runtime()?.block_on(call(args, out))
}

/// The tool server's name at the end of the endpoint's URL.
pub(super) fn server_of(url: &str) -> &str {
    url.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

/// Whether an endpoint is that of an HTTP API, `…/http/SERVER`.
pub(super) fn is_api(url: &str) -> bool {
    reqwest::Url::parse(url.trim()).is_ok_and(|url| url.path().starts_with("/http/"))
}

/// Whether an endpoint is that of an agent, `…/a2a/NAME`.
pub(super) fn is_agent(url: &str) -> bool {
    reqwest::Url::parse(url.trim()).is_ok_and(|url| url.path().starts_with("/a2a/"))
}

/// Why there is nothing to show for a call.
enum Stop {
    /// The other side refused the caller before it could ask for a tool.
    Denied(Denial),
    /// It did not come to that.
    Failed(CliError),
}

impl From<CliError> for Stop {
    fn from(e: CliError) -> Self {
        Self::Failed(e)
    }
}

async fn call(args: &CallArgs, out: Output) -> Result<ExitCode, CliError> {
    match ask(args, out).await {
        Ok(code) => Ok(code),
        Err(Stop::Denied(denial)) => Ok(refused(&Outcome::<()>::Denied(denial), out)),
        Err(Stop::Failed(e)) => Err(e),
    }
}

async fn ask(args: &CallArgs, out: Output) -> Result<ExitCode, Stop> {
    address::endpoint(&args.url)?;
    if is_api(&args.url) {
        return Ok(api::ask(args, out).await?);
    }
    let recorder = match (&args.chain, &args.key) {
        (Some(file), Some(key)) => {
            let keys = InstanceKeys::read(key)?;
            let chain = ChainFile::read(file)?;
            warn(&args.url, &chain, &keys, out)?;
            let mut presenter = ChainPresenter::new(chain, keys.holder)?;
            // A session of the older protocol is bound to the root that opened
            // it, and ends with it.
            if args.stdin && args.protocol != SESSIONS {
                presenter = presenter.following(file);
            }
            Some(Arc::new(RecordingPresenter::new(presenter)))
        }
        _ => None,
    };
    if args.stdin {
        let client = connect(args, recorder).await?;
        return lines::serve(client, out).await.map_err(Stop::Failed);
    }
    let Some(tool) = &args.tool else {
        let client = connect(args, recorder).await?;
        let code = list(&client, out).await;
        client.close().await;
        return Ok(code);
    };
    let arguments = arguments(args)?;
    let mut protocol = None;
    let outcome = if args.direct || args.presentation.is_some() || recorder.is_none() {
        let presentation = presentation(args, recorder.as_deref(), tool, &arguments)?;
        let caller = DirectCaller::new(&args.url)
            .map_err(|e| CliError::environment("http-client", e.to_string(), "check the URL"))?;
        caller.call_tool(tool, &arguments, presentation.as_ref()).await
    } else {
        let client = connect(args, recorder.clone()).await?;
        protocol = client.protocol_version();
        let outcome = client.call_tool(tool, arguments).await;
        client.close().await;
        outcome
    };
    if let (Some(path), Some(last)) = (&args.save_presentation, recorder.and_then(|r| r.last())) {
        let text = serde_json::to_string(&last)
            .map_err(|e| CliError::environment("presentation", e.to_string(), "try again"))?;
        keyfile::write_new(path, &text)?;
    }
    let code = show(&outcome, protocol, out);
    if let Some(id) = decision_id(&outcome).filter(|_| code == ExitCode::SUCCESS) {
        out.next(&[
            &format!("bailiwick audit show {id}"),
            &format!("bailiwick evidence get {id} -o evidence.json"),
        ]);
    }
    Ok(code)
}

/// What this side can see before anything is sent: a gateway tells a stranger
/// nothing.
pub(super) fn warn(
    url: &str,
    chain: &ChainFile,
    keys: &InstanceKeys,
    out: Output,
) -> Result<(), CliError> {
    let gateway = chain.audience.trim_end_matches("/mcp");
    if !gateway.is_empty() && !url.starts_with(&format!("{gateway}/")) {
        out.note(&format!("the chain is for {gateway}; `{url}` has another name"));
    }
    let leaf = Seen::parse(chain.leaf(), &ChainLimits::DEFAULT)?;
    if leaf.holder != keys.holder.public_key() {
        out.note("the key is not the one that the chain's last token names");
    }
    Ok(())
}

async fn connect(
    args: &CallArgs,
    presenter: Option<Arc<RecordingPresenter<ChainPresenter>>>,
) -> Result<AgentClient, Stop> {
    let presenter: Arc<dyn Presenter> = presenter.ok_or_else(|| {
        CliError::usage("no-chain", "connecting needs --chain and --key", "pass both")
    })?;
    let era = if args.protocol == SESSIONS { Era::Sessions } else { Era::Stateless };
    let connection = Connection::new(&args.url, server_of(&args.url), era).presenting(presenter);
    match connection.connect().await {
        Ok(client) => {
            // The definitions say which arguments go into headers too.
            if era == Era::Stateless && (args.stdin || args.tool.is_some()) {
                client.learn().await;
            }
            Ok(client)
        }
        Err(AgentError::Denied(denial)) => Err(Stop::Denied(denial)),
        Err(other) => Err(Stop::Failed(not_connected(&args.url, &other).await)),
    }
}

/// Why there is no connection, by what answers at the URL.
async fn not_connected(url: &str, e: &AgentError) -> CliError {
    let error =
        |text: String, remedy: String| CliError::environment("cannot-connect", text, remedy);
    let origin = address::origin(url);
    let endpoint = format!("the endpoint is {origin}/mcp/SERVER, as `tool-server list` names it");
    match web::look(url).await {
        Found::Nobody { why } => error(
            format!("`{origin}` cannot be reached: {why}"),
            "check host and port, and that `bailiwick serve` runs there".to_owned(),
        ),
        Found::Stranger { answered } => error(
            format!("what answers at `{url}` is no Bailiwick gateway: {answered}"),
            "check host and port; `bailiwick config show` there has the right `public_url`"
                .to_owned(),
        ),
        Found::Bailiwick { answered } if !url.starts_with(&format!("{origin}/mcp/")) => {
            error(format!("`{url}` is no tool server's endpoint: {answered}"), endpoint)
        }
        Found::Bailiwick { .. } => error(e.to_string(), endpoint),
    }
}

fn arguments(args: &CallArgs) -> Result<JsonObject, CliError> {
    let text = Json::from(parse::arguments(&args.arguments)?).canonical();
    serde_json::from_str(&text)
        .map_err(|e| CliError::usage("argument-malformed", e.to_string(), "check the arguments"))
}

/// What a direct call presents: a kept presentation, a fresh one, or nothing.
fn presentation(
    args: &CallArgs,
    presenter: Option<&RecordingPresenter<ChainPresenter>>,
    tool: &str,
    arguments: &JsonObject,
) -> Result<Option<Presentation>, CliError> {
    if let Some(path) = &args.presentation {
        let kept = serde_json::from_slice(&keyfile::read(path)?).map_err(|_| {
            CliError::usage(
                "presentation-malformed",
                "the file holds no presentation",
                "pass a file that --save-presentation wrote",
            )
        })?;
        return Ok(Some(kept));
    }
    let Some(presenter) = presenter else { return Ok(None) };
    let tool_id = format!("mcp:{}:tools/{tool}", server_of(&args.url));
    presenter
        .for_call(&tool_id, arguments)
        .map(Some)
        .map_err(|e| CliError::usage("presentation", e.to_string(), "check chain and key"))
}

async fn list(client: &AgentClient, out: Output) -> ExitCode {
    let tools = match client.list_tools().await {
        Ok(tools) => tools,
        Err(AgentError::Denied(denial)) => return refused(&Outcome::<()>::Denied(denial), out),
        Err(other) => {
            return refused(&Outcome::<()>::Transport { reason: other.to_string() }, out);
        }
    };
    let names: Vec<Json> = tools.iter().map(|t| Json::from(t.name.to_string())).collect();
    let mut text = String::from("the delegation permits\n");
    for tool in &tools {
        let description = tool.description.as_deref().unwrap_or_default();
        text.push_str(&format!("  {:<18} {description}\n", tool.name));
    }
    let object = Object::new().with("protocol", client.protocol_version()).with("tools", names);
    out.result(object, text.trim_end());
    ExitCode::SUCCESS
}

/// The answer as strict JSON.
fn answer(outcome: &CallOutcome) -> Option<Json> {
    let result = match outcome {
        Outcome::Allowed(result) | Outcome::ToolError(result) => result,
        _ => return None,
    };
    Json::parse(&serde_json::to_vec(result).ok()?, &ANSWER_LIMITS).ok()
}

/// The decision that an answer names.
fn decision_id(outcome: &CallOutcome) -> Option<String> {
    let answer = answer(outcome)?;
    let meta = answer.as_object()?.member("_meta")?.as_object()?;
    let decision = meta.member("io.bailiwick/decision")?.as_object()?;
    decision.member("id")?.as_str().map(str::to_owned)
}

fn show(outcome: &CallOutcome, protocol: Option<String>, out: Output) -> ExitCode {
    let failed = matches!(outcome, Outcome::ToolError(_));
    let Some(answer) = answer(outcome) else { return refused(outcome, out) };
    let member = |name: &str| answer.as_object().and_then(|o| o.member(name));
    let content: Vec<&str> = member("content")
        .and_then(Json::as_array)
        .unwrap_or_default()
        .iter()
        .filter_map(|c| c.as_object()?.member("text")?.as_str())
        .collect();
    let text = format!(
        "allowed{}\n{}",
        if failed { "; the tool answered with an error" } else { "" },
        quoted(&content.join("\n")),
    );
    let object = Object::new()
        .with("decision", "allow")
        .with("decision_id", decision_id(outcome))
        .with("protocol", protocol)
        .with("tool_error", failed)
        .with("result", answer.clone());
    out.result(object, text);
    ExitCode::SUCCESS
}

/// A tool's own text, set apart from what this program says.
fn quoted(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// What a denial says besides, as it is shown.
fn told<'d>(name: &'d str, value: &serde_json::Value) -> Option<(&'d str, Json)> {
    let json = Json::parse(value.to_string().as_bytes(), &JsonLimits::DEFAULT).ok()?;
    Some((name, json))
}

/// What comes next for a call that waits for a person.
fn next_of_waiting(approval: &str, out: Output) {
    // It comes from the other side, and goes into a command.
    if ApprovalId::parse(approval).is_ok() {
        out.next(&[&format!(
            "bailiwick approvals show {approval}   # then the same call again, once it is approved"
        )]);
    }
}

fn refused<T>(outcome: &Outcome<T>, out: Output) -> ExitCode {
    // Only a denial means that nothing was done.
    let (decision, code, message, remedy, id) = match outcome {
        Outcome::Denied(d) => {
            let id = d.decision_id.clone();
            (Some("deny"), d.code.clone(), d.reason.clone(), d.remedy.clone(), id)
        }
        Outcome::RpcError { code, message, decision_id } => {
            let decision = decision_id.as_ref().map(|_| "allow");
            let remedy = "find out what happened before calling again";
            let code = format!("rpc{code}");
            (decision, code, message.clone(), remedy.to_owned(), decision_id.clone())
        }
        Outcome::Transport { reason } => {
            let remedy = "check that the server runs, and what the ledger says of the call";
            (None, "transport".to_owned(), reason.clone(), remedy.to_owned(), None)
        }
        _ => Default::default(),
    };
    let mut object = Object::new()
        .with("decision", decision)
        .with("code", code.as_str())
        .with("message", message.as_str())
        .with("remedy", remedy.as_str())
        .with("decision_id", id.clone());
    let retry_at = match outcome {
        Outcome::Denied(d) => d.retry_at.as_deref(),
        _ => None,
    };
    if let Some(at) = retry_at {
        object.insert("retry_at", at);
    }
    let more = match outcome {
        Outcome::Denied(d) => d.more.iter().filter_map(|(name, value)| told(name, value)).collect(),
        _ => Vec::new(),
    };
    for (name, value) in &more {
        object.insert(*name, value.clone());
    }
    let what = match decision {
        Some("deny") => "denied",
        Some(_) => "allowed, and the call failed",
        None => "failed",
    };
    let mut text = format!("{what}: {} [{code}]", one_line(&message));
    if !remedy.is_empty() {
        text.push_str(&format!("\n  try: {}", one_line(&remedy)));
    }
    if let Some(at) = retry_at {
        text.push_str(&format!("\n  again from {}", one_line(at)));
    }
    // A call that waits for a person is told in words; a program reads `approval`.
    let waits = more.iter().find(|(name, _)| *name == "approval").and_then(|(_, of)| {
        let of = of.as_object()?;
        let member = |name: &str| of.member(name).and_then(Json::as_str);
        let (id, until) = (member("id")?.to_owned(), member("expires_at").unwrap_or_default());
        text.push_str(&format!("\n  approval {}", one_line(&id)));
        text.push_str(&format!("\n  waits until {}", one_line(until)));
        if let Some(url) = member("url") {
            text.push_str(&format!("\n  page {}", one_line(url)));
        }
        Some(id)
    });
    for (name, value) in &more {
        if waits.is_some() && matches!(*name, "approval" | "retry_after") {
            continue;
        }
        text.push_str(&format!("\n  {name} {}", one_line(&value.canonical())));
    }
    if let Some(id) = id {
        text.push_str(&format!("\n  decision {}", one_line(&id)));
    }
    out.result(object, text);
    if let Some(id) = waits {
        next_of_waiting(&id, out);
    }
    match outcome {
        Outcome::Transport { .. } => Class::Environment.exit_code(),
        _ => ended(false),
    }
}
