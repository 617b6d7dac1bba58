//! The gateway's own tools, and the same over HTTP: what agents say to the authority
//! through the door that they use anyway.
//!
//! | tool, at every tool server of MCP | `POST`, with `AAT-Chain` and `DPoP` |
//! |---|---|
//! | `request_authority` | `/access/v1/requests` |
//! | `run_begin` | `/runs/v1/begin` |
//! | `note_context` | `/runs/v1/context` |
//! | `note_progress` | `/runs/v1/progress` |
//! | `complete_task` | `/runs/v1/complete` |
//!
//! They need no scope and reach no tool server: whoever shows a chain that stands,
//! and proves its key, is answered. A tool server's own tool of such a name cannot be
//! reached through this gateway; the names of the tools about runs are taken only
//! where the task's workflow has runs and catalogues no such tool.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, post};
use bailiwick_core::aat::verify::Chain;
use bailiwick_core::accountable::Facts;
use bailiwick_core::crypto::{Digest, Thumbprint};
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::ids::{AgentId, GrantId, InstanceId, ServerName, TaskId};
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::Workflow;
use bailiwick_policy::mcp_methods::Era;
use bailiwick_policy::run::{Verb, is_offered};
use http::StatusCode;

use crate::gateway::Gateway;
use crate::http::read;
use crate::rpc;
use crate::stages::authority;
use crate::stages::boundary::{self, CallRequest, Enforcement, Form, Malformed, Speech};
use crate::stages::identity::{Caller, attended, identify_asking, identify_message};
use crate::stages::{Known, Stopped};
use crate::wire;

pub(crate) mod requests;
pub(crate) mod runs;

/// Member of a result's `_meta` with what was granted, as chain files have it.
pub const DELEGATION: &str = "io.bailiwick/delegation";
/// The tool server under whose name questions over HTTP stand in the record.
const OWN: &str = "bailiwick";

/// One of the gateway's own tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// Asks for authority that the delegation lacks.
    RequestAuthority,
    /// Speaks of a run.
    Run(Verb),
}

impl Own {
    /// Every one, in the order of listings.
    pub const ALL: [Self; 5] = [
        Self::RequestAuthority,
        Self::Run(Verb::Begin),
        Self::Run(Verb::Context),
        Self::Run(Verb::Progress),
        Self::Run(Verb::Complete),
    ];

    /// Its name as a tool.
    #[must_use]
    pub const fn tool(self) -> &'static str {
        match self {
            Self::RequestAuthority => "request_authority",
            Self::Run(verb) => verb.tool(),
        }
    }

    /// Where it is asked over HTTP.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::RequestAuthority => "/access/v1/requests",
            Self::Run(Verb::Begin) => "/runs/v1/begin",
            Self::Run(Verb::Context) => "/runs/v1/context",
            Self::Run(Verb::Progress) => "/runs/v1/progress",
            Self::Run(Verb::Complete) => "/runs/v1/complete",
        }
    }

    /// The one whose tool has this name.
    #[must_use]
    pub fn named(tool: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.tool() == tool)
    }

    /// The one that is asked at this path.
    #[must_use]
    pub fn at_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.path() == path)
    }

    /// Whether its name is the gateway's at a tool server, under a workflow.
    pub(crate) fn is_ours(self, workflow: &Workflow, server: &ServerName) -> bool {
        match self {
            Self::RequestAuthority => true,
            Self::Run(verb) => is_offered(workflow, server.as_str(), verb),
        }
    }

    /// The tool as listings have it.
    pub(crate) fn definition(self, workflow: &Workflow) -> Json {
        match self {
            Self::RequestAuthority => requests::definition(workflow),
            Self::Run(verb) => verb.definition(workflow),
        }
    }
}

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

/// What an agent is answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// For the agent.
    pub answer: Object,
    /// What it presents from now on, if it was granted: a chain file's members.
    pub delegation: Option<Object>,
}

/// Why there is no answer: the denial, and words for the caller alone.
pub(crate) struct Refused {
    denial: Denial,
    why: Option<Object>,
}

/// What [`Refused`] tells the caller alone; the record has the code.
pub(crate) fn why(code: &str, text: &str, remedy: &str) -> Object {
    Object::new().with("code", code).with("reason", text).with("remedy", remedy)
}

/// Every path of [`Own`].
pub(crate) fn router() -> Router<Gateway> {
    let paths = Own::ALL.into_iter().map(Own::path);
    paths
        .fold(Router::new(), |router, path| router.route(path, post(over_http)))
        .route("/runs/v1/{*rest}", any(nowhere))
        .layer(DefaultBodyLimit::disable())
}

/// Answers at a path beside those about runs.
async fn nowhere() -> Response {
    wire::nothing_here(
        "the paths are those of docs/runs.md: `/runs/v1/begin`, `context`, `progress` and `complete`",
    )
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

/// Whether the caller is one that is answered: the agent that has the task, by its
/// own chain. Who has an access token asks its authorization server instead.
pub(crate) fn may_ask(form: Form, caller: &Caller) -> bool {
    let facts = caller.present.facts();
    form == Form::Chain && facts.caller().is_some_and(|hop| hop.agent == facts.authority.agent)
}

impl CallRequest {
    /// The own tool that it may be a call of, by its name.
    pub(crate) fn own(&self) -> Option<Own> {
        let here = matches!(self.speech, Speech::Mcp { .. })
            && self.enforcement == Enforcement::Gateway
            && self.presentation.form == Form::Chain;
        Own::named(self.call.tool.operation().strip_prefix("tools/")?).filter(|_| here)
    }
}

impl Gateway {
    /// Whether a call of a tool of that name is one of the gateway's own tool, which
    /// may depend on the workflow. Nothing is spent: on either way the whole call is
    /// verified again.
    pub(crate) fn is_own(&self, request: &CallRequest, own: Own) -> bool {
        if own == Own::RequestAuthority {
            return true;
        }
        let Ok((present, _)) = attended(self, request, self.ports.host.now()) else { return false };
        let digest = present.facts().authority.workflow_digest;
        let workflow = authority::workflow(self, &digest);
        workflow.is_ok_and(|workflow| own.is_ours(&workflow, &request.server))
    }

    /// Answers a call of one of the gateway's own tools.
    pub(crate) async fn answer_own(&self, request: Box<CallRequest>, own: Own) -> Response {
        let now = self.ports.host.now();
        let request = Arc::new(*request);
        let stopped = match identify_asking(self, &request, now).await {
            Ok(caller) => match self.ask_own(own, &caller, &request.call.arguments).await {
                Ok(answered) => return result(&request, answered),
                Err(Refused { denial, why }) => {
                    let mut stopped = Stopped::known(denial, caller.present);
                    let entry = self.record_denied_call(&request, &mut stopped, now).await;
                    let (id, denial) = (Some(&request.id), &stopped.denial);
                    return wire::request_refused(id, denial, entry.as_str(), why);
                }
            },
            Err(stopped) => stopped,
        };
        self.deny_call(&request, stopped, now).await
    }

    async fn ask_own(
        &self,
        own: Own,
        caller: &Caller,
        arguments: &Object,
    ) -> Result<Answered, Refused> {
        let known: &dyn Known = &caller.present;
        let asker = asker(known.chain(), known.facts());
        match own {
            Own::RequestAuthority => requests::ask(self, asker, arguments).await,
            Own::Run(verb) => runs::say(self, asker, verb, arguments).await,
        }
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

/// Answers a request at one of the paths of [`Own`], for a caller in the same
/// process.
pub async fn answer(gateway: &Gateway, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let known = Own::at_path(parts.uri.path()).zip(ServerName::parse(OWN).ok());
    let Some((own, server)) = known else { return StatusCode::NOT_FOUND.into_response() };
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
            let entry = gateway.deny_malformed(&server, &malformed).await;
            let metadata = gateway.metadata_url(OWN);
            return wire::malformed_question(&malformed, entry.as_str(), &metadata);
        }
    };
    let now = gateway.ports.host.now();
    let presentation = match boundary::of_message(config, &parts.headers) {
        Ok(presentation) if presentation.form == Form::Chain => presentation,
        other => {
            let denial = other.err().unwrap_or_else(|| Denial::new(Reason::PresentationMissing));
            let entry = gateway.deny_question(&server, own.tool(), &denial).await;
            return wire::challenge(&denial, entry.as_str(), &gateway.metadata_url(OWN));
        }
    };
    let uri = format!("{}{}", config.public_url, own.path());
    let at = ("POST", Some(uri.as_str()));
    let identified = identify_message(gateway, &server, &presentation, at, None, now).await;
    let (stopped, why) = match identified {
        Ok(caller) => match gateway.ask_own(own, &caller, &arguments).await {
            Ok(Answered { answer, delegation }) => {
                let answer = match delegation {
                    Some(delegation) => answer.with("delegation", delegation),
                    None => answer,
                };
                return wire::json(StatusCode::OK, &answer.into());
            }
            Err(Refused { denial, why }) => (Stopped::known(denial, caller.present), why),
        },
        Err(stopped) => (stopped, None),
    };
    let entry = gateway.deny_message(&server, own.tool(), &presentation, &stopped, now).await;
    wire::refused_question(&stopped.denial, entry.as_str(), &gateway.metadata_url(OWN), why)
}
