//! Asking for more: the one tool that is the gateway's own, and the same over
//! HTTP.
//!
//! - the tool `request_authority`, beside the tools of every tool server of MCP
//! - `POST /access/v1/requests`, with `AAT-Chain` and `DPoP` as for messages
//!
//! Asking needs no scope and changes nothing: whoever shows a chain that stands,
//! and proves its key, is answered; people decide. A tool server's own tool of
//! that name cannot be reached through this gateway.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bailiwick_core::aat::verify::Chain;
use bailiwick_core::accountable::Facts;
use bailiwick_core::crypto::{Digest, Thumbprint};
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::ids::{AgentId, GrantId, InstanceId, RequestId, ServerName, TaskId};
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::Workflow;
use bailiwick_policy::mcp_methods::Era;
use futures_util::future::BoxFuture;
use http::StatusCode;

use crate::gateway::Gateway;
use crate::http::read;
use crate::rpc;
use crate::stages::boundary::{self, CallRequest, Enforcement, Form, Malformed, Speech};
use crate::stages::identity::{Caller, identify_asking, identify_message};
use crate::stages::{Known, Stopped};
use crate::wire;

/// The tool's name, at every tool server.
pub const TOOL: &str = "request_authority";
/// Its operation, as tool ids have it.
const OPERATION: &str = "tools/request_authority";
/// Member of a result's `_meta` with what was granted, as chain files have it.
pub const DELEGATION: &str = "io.bailiwick/delegation";
/// Where it is asked over HTTP.
pub const PATH: &str = "/access/v1/requests";
/// The tool server under whose name questions over HTTP stand in the record.
const OWN: &str = "bailiwick";

/// Who asks, as chain and proof say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The alias of the principal on whose authority it acts.
    pub principal: String,
    /// The agent that holds the leaf.
    pub agent: AgentId,
    /// The instance.
    pub instance: InstanceId,
    /// Its holder key.
    pub holder: Thumbprint,
    /// The task.
    pub task: TaskId,
    /// The grant behind the root.
    pub grant: GrantId,
    /// The root's token hash.
    pub root: Digest,
    /// The leaf's token hash.
    pub leaf: Digest,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asking {
    /// For authority.
    More {
        /// Shorthands of the task's workflow.
        scope: Vec<String>,
        /// Why, in the agent's words.
        reason: String,
        /// For how long at most.
        seconds: Option<u64>,
    },
    /// Where an earlier request stands.
    Stands(RequestId),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// For the agent: `request`, `status` and what belongs to it.
    pub answer: Object,
    /// What it presents from now on, if it was granted: a chain file's members.
    pub delegation: Option<Object>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestRefusal {
    /// The task asks too often.
    #[error("the task asks for more authority too often")]
    Flood,
    /// Nobody could grant it.
    #[error("{text}")]
    Refused {
        /// Why, a stable code.
        code: &'static str,
        /// In a sentence, for the caller alone.
        text: String,
        /// What to do about it.
        remedy: String,
    },
    /// It is not this instance's, or not for this task.
    #[error("this instance has no such request for this task")]
    Unknown,
    /// It cannot be read or written.
    #[error("requests cannot be read or written now")]
    Unavailable,
}

impl RequestRefusal {
    fn denial(&self) -> Denial {
        match self {
            Self::Flood => Denial::new(Reason::RequestFlood),
            Self::Refused { code, .. } => Denial::new(Reason::RequestRefused).about(*code),
            Self::Unknown => Denial::new(Reason::RequestUnknown),
            Self::Unavailable => Denial::new(Reason::RequestUnavailable),
        }
    }

    /// The words of a refusal; the record has the code alone.
    fn why(&self) -> Option<Object> {
        let Self::Refused { code, text, remedy } = self else { return None };
        let why = Object::new().with("code", *code).with("reason", text.as_str());
        Some(why.with("remedy", remedy.as_str()))
    }
}

/// Keeps requests for more authority.
pub trait Requests: Send + Sync {
    /// Writes a request, or says where one stands. Nobody is asked for whom the
    /// identity stage does not answer.
    fn ask<'a>(
        &'a self,
        asker: Asker,
        asking: Asking,
    ) -> BoxFuture<'a, Result<Answered, RequestRefusal>>;
}

/// `POST /access/v1/requests`
pub(crate) fn router() -> Router<Gateway> {
    Router::new().route(PATH, post(over_http)).layer(DefaultBodyLimit::disable())
}

fn asker(chain: &Chain, facts: &Facts) -> Option<Asker> {
    let (hop, leaf) = (facts.caller()?, chain.links().last()?);
    Some(Asker {
        principal: facts.standing.principal_alias.clone()?,
        agent: hop.agent.clone(),
        instance: hop.instance.clone(),
        holder: leaf.holder,
        task: facts.authority.task.clone(),
        grant: facts.authority.grant.clone(),
        root: chain.root_hash(),
        leaf: chain.leaf_hash(),
    })
}

/// Reads what is asked, strictly: whatever is not understood is refused.
fn asking(arguments: &Object) -> Result<Asking, RequestRefusal> {
    let bad = |member: &str| RequestRefusal::Refused {
        code: "request-malformed",
        text: format!("`{member}` is missing, malformed or not known"),
        remedy: "send `scope`, `reason` and perhaps `seconds`; or `request` alone".to_owned(),
    };
    let known = ["scope", "reason", "seconds", "request"];
    if let Some((name, _)) = arguments.iter().find(|(name, _)| !known.contains(name)) {
        let name: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
        return Err(bad(&name));
    }
    if let Some(id) = arguments.member("request") {
        let id = id.as_str().and_then(|id| RequestId::parse(id).ok());
        return match id {
            Some(id) if arguments.len() == 1 => Ok(Asking::Stands(id)),
            _ => Err(bad("request")),
        };
    }
    let scope = arguments.member("scope").and_then(Json::as_array);
    let scope = scope.and_then(|s| s.iter().map(|s| s.as_str().map(str::to_owned)).collect());
    let reason = arguments.member("reason").and_then(Json::as_str);
    let seconds = arguments.member("seconds").map(|seconds| {
        let seconds = seconds.as_number().and_then(|n| n.as_plain_integer());
        seconds.and_then(|n| u64::try_from(n).ok()).ok_or_else(|| bad("seconds"))
    });
    Ok(Asking::More {
        scope: scope.ok_or_else(|| bad("scope"))?,
        reason: reason.ok_or_else(|| bad("reason"))?.to_owned(),
        seconds: seconds.transpose()?,
    })
}

/// The tool as listings have it, with what can be asked for.
pub(crate) fn definition(workflow: &Workflow) -> Json {
    let offered: Vec<&str> = workflow.shorthands.iter().map(|s| s.template()).collect();
    let text = |kind: &str, description: &str| {
        Object::new().with("type", kind).with("description", description)
    };
    let shorthand = text("string", "a shorthand, with values for what stands in braces");
    let scope = text("array", "what you lack")
        .with("items", shorthand.with("maxLength", 200u64))
        .with("minItems", 1u64)
        .with("maxItems", 16u64);
    let properties = Object::new()
        .with("scope", scope)
        .with(
            "reason",
            text("string", "why you need it").with("minLength", 1u64).with("maxLength", 1000u64),
        )
        .with("seconds", text("integer", "for how long at most").with("minimum", 60u64))
        .with("request", text("string", "the id of an earlier request, alone: where it stands"));
    let schema = Object::new()
        .with("type", "object")
        .with("properties", properties)
        .with("additionalProperties", false);
    let annotations = Object::new()
        .with("readOnlyHint", false)
        .with("destructiveHint", false)
        .with("idempotentHint", true)
        .with("openWorldHint", false);
    let description = format!(
        "Ask a person for authority that your delegation lacks. It changes nothing by itself: \
         somebody grants all of it, a part, or refuses. Ask again with the request's id until it \
         is decided. This task's workflow offers: {}.",
        offered.join(", ")
    );
    Object::new()
        .with("name", TOOL)
        .with("title", "Ask for more authority")
        .with("description", description)
        .with("inputSchema", schema)
        .with("annotations", annotations)
        .into()
}

/// Whether the caller is one that is answered: the agent that has the task, by its
/// own chain. Who has an access token asks its authorization server instead.
pub(crate) fn may_ask(form: Form, caller: &Caller) -> bool {
    let facts = caller.present.facts();
    form == Form::Chain && facts.caller().is_some_and(|hop| hop.agent == facts.authority.agent)
}

impl CallRequest {
    /// Whether it is a call of the gateway's own tool.
    pub(crate) fn asks_for_more(&self) -> bool {
        matches!(self.speech, Speech::Mcp { .. })
            && self.enforcement == Enforcement::Gateway
            && self.presentation.form == Form::Chain
            && self.call.tool.operation() == OPERATION
    }
}

impl Gateway {
    /// Answers a call of the gateway's own tool.
    pub(crate) async fn answer_request(&self, request: Box<CallRequest>) -> Response {
        let now = self.ports.host.now();
        let request = Arc::new(*request);
        let stopped = match identify_asking(self, &request, now).await {
            Ok(caller) => match self.ask_for_more(&caller, &request.call.arguments).await {
                Ok(answered) => return result(&request, answered),
                Err(refusal) => {
                    let why = refusal.why();
                    let mut stopped = Stopped::known(refusal.denial(), caller.present);
                    let entry = self.record_denied_call(&request, &mut stopped, now).await;
                    let (id, denial) = (Some(&request.id), &stopped.denial);
                    return wire::request_refused(id, denial, entry.as_str(), why);
                }
            },
            Err(stopped) => stopped,
        };
        self.deny_call(&request, stopped, now).await
    }

    async fn ask_for_more(
        &self,
        caller: &Caller,
        arguments: &Object,
    ) -> Result<Answered, RequestRefusal> {
        let asking = asking(arguments)?;
        let known: &dyn Known = &caller.present;
        let asker = asker(known.chain(), known.facts()).ok_or(RequestRefusal::Unavailable)?;
        self.ports.requests.ask(asker, asking).await
    }
}

/// A result of the tool.
fn result(request: &CallRequest, Answered { answer, delegation }: Answered) -> Response {
    let text = Json::from(answer.clone()).canonical();
    let content = Object::new().with("type", "text").with("text", text);
    let mut result = Object::new()
        .with("content", vec![Json::from(content)])
        .with("structuredContent", answer)
        .with("isError", false);
    if request.era == Era::Stateless {
        result.insert("resultType", "complete");
    }
    if let Some(delegation) = delegation {
        result.insert("_meta", Object::new().with(DELEGATION, delegation));
    }
    wire::json(StatusCode::OK, &rpc::result(&request.id, result))
}

async fn over_http(State(gateway): State<Gateway>, request: Request) -> Response {
    answer(&gateway, request).await
}

/// Answers a request at [`PATH`], for a caller in the same process.
pub async fn answer(gateway: &Gateway, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(own) = ServerName::parse(OWN) else { return StatusCode::NOT_FOUND.into_response() };
    let config = &gateway.config;
    let arguments = async {
        boundary::check_headers(config, &parts.headers)?;
        boundary::check_post(&parts.headers)?;
        let (max, limit) = (config.max_request_bytes, config.body_timeout);
        let body = read(body, &parts.headers, max, limit).await?;
        match boundary::parse_json(config, &body)? {
            Json::Object(arguments) => Ok(arguments),
            _ => Err(Malformed::new(
                Reason::RequestMalformed,
                StatusCode::BAD_REQUEST,
                -32600,
                "invalid request",
            )),
        }
    };
    let arguments = match arguments.await {
        Ok(arguments) => arguments,
        Err(malformed) => {
            let entry = gateway.deny_malformed(&own, &malformed).await;
            return wire::malformed(&malformed, entry.as_str(), &gateway.metadata_url(OWN));
        }
    };
    let now = gateway.ports.host.now();
    let presentation = match boundary::of_message(config, &parts.headers) {
        Ok(presentation) if presentation.form == Form::Chain => presentation,
        other => {
            let denial = other.err().unwrap_or_else(|| Denial::new(Reason::PresentationMissing));
            let entry = gateway.deny_question(&own, TOOL, &denial).await;
            return wire::challenge(&denial, entry.as_str(), &gateway.metadata_url(OWN));
        }
    };
    let uri = format!("{}{PATH}", config.public_url);
    let at = ("POST", Some(uri.as_str()));
    let (stopped, why) = match identify_message(gateway, &own, &presentation, at, None, now).await {
        Ok(caller) => match gateway.ask_for_more(&caller, &arguments).await {
            Ok(Answered { answer, delegation }) => {
                let answer = match delegation {
                    Some(delegation) => answer.with("delegation", delegation),
                    None => answer,
                };
                return wire::json(StatusCode::OK, &answer.into());
            }
            Err(refusal) => (Stopped::known(refusal.denial(), caller.present), refusal.why()),
        },
        Err(stopped) => (stopped, None),
    };
    let entry = gateway.deny_message(&own, TOOL, &presentation, &stopped, now).await;
    wire::refused_question(&stopped.denial, entry.as_str(), &gateway.metadata_url(OWN), why)
}
