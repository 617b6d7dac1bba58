//! Stage 1: bytes to a well-formed request.
//!
//! Sizes, strict JSON, one JSON-RPC message, a row in the table of methods,
//! headers that agree with the body (2026-07-28), and a presentation that is
//! framed as the binding says. Nothing is trusted yet and nothing is looked
//! up, so what is refused here says nothing about the catalogue.

use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::ids::{ServerName, ToolId};
use bailiwick_core::json::{Json, JsonError, Object};
use bailiwick_policy::mcp_methods::{
    self, Call, Era, Method, Sender, Shape, TaskWish, Treatment, Waited,
};
use http::{HeaderMap, StatusCode};

use crate::config::Config;
use crate::headers::{PARAM, decoded, name_of};
use crate::rpc::Message;

// By their paths, because a fuzz target includes this file by its own.
#[path = "boundary/enforcement.rs"]
mod enforcement;
#[path = "boundary/peer.rs"]
mod peer;
#[path = "boundary/presentation.rs"]
mod presentation;

pub(crate) use enforcement::{Claimed, Enforcement};
pub(crate) use peer::Spoken;
pub use presentation::{Form, PRESENTATION, Presentation};
pub(crate) use presentation::{of_body, of_call, of_message};

use presentation::take_presentation;

const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(crate) const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// Headers that mean something here: one value each.
const SINGLE: [&str; 12] = [
    "a2a-version",
    "aat-chain",
    "aat-pop",
    "authorization",
    "content-encoding",
    "content-type",
    "dpop",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
];

/// A well-formed call.
#[derive(Clone, Debug)]
pub struct CallRequest {
    pub(crate) server: ServerName,
    pub(crate) era: Era,
    pub(crate) id: Json,
    pub(crate) speech: Speech,
    pub(crate) call: Call,
    pub(crate) presentation: Presentation,
    pub(crate) session: Option<String>,
    pub(crate) accepts_events: bool,
    pub(crate) enforcement: Enforcement,
    /// Its `Mcp-Param-…` headers, by their names in lower case; none, where
    /// the protocol has no such headers.
    pub(crate) stated: Option<Vec<(String, String)>>,
    /// Whether its client can follow it as a task.
    pub(crate) wish: Option<TaskWish>,
    /// What its client kept of an earlier try that had to wait.
    pub(crate) waited: Option<Waited>,
}

/// How a call is said to its tool server.
#[derive(Clone, Debug)]
pub(crate) enum Speech {
    /// A message of MCP.
    Mcp {
        /// Its row in the table of methods.
        method: &'static Method,
        /// As forwarded: the presentation was taken out.
        params: Object,
    },
    /// A request to an HTTP API. What is sent is made of the arguments.
    Http {
        /// Method and URL of the request, which a DPoP proof names.
        asked: Option<(&'static str, String)>,
    },
    /// A request to an agent that speaks A2A.
    Peer(Box<Spoken>),
}

/// Any other well-formed message of a client.
#[derive(Clone, Debug)]
pub struct MessageRequest {
    pub(crate) server: ServerName,
    pub(crate) era: Era,
    /// None for a notification.
    pub(crate) id: Option<Json>,
    pub(crate) method: &'static Method,
    pub(crate) params: Option<Object>,
    pub(crate) presentation: Presentation,
    pub(crate) session: Option<String>,
    pub(crate) accepts_events: bool,
}

/// A well-formed answer of a client to a question of the tool server
/// (2025-11-25).
#[derive(Clone, Debug)]
pub struct AnswerRequest {
    pub(crate) server: ServerName,
    pub(crate) id: Json,
    /// The whole message.
    pub(crate) message: Object,
    pub(crate) presentation: Presentation,
    pub(crate) session: String,
}

/// What a body may be.
#[derive(Clone, Debug)]
pub enum WellFormed {
    /// An action.
    Call(Box<CallRequest>),
    /// Anything else.
    Message(Box<MessageRequest>),
    /// The answer to a question of the tool server.
    Answer(Box<AnswerRequest>),
}

/// A request that is not well-formed, with the answer of the protocol.
#[derive(Clone, Debug)]
pub struct Malformed {
    pub(crate) denial: Denial,
    pub(crate) id: Option<Json>,
    pub(crate) status: StatusCode,
    /// The JSON-RPC code and message; they depend on the bytes alone.
    pub(crate) code: i64,
    pub(crate) message: &'static str,
    /// Version that was asked for and is not spoken, and those that are.
    pub(crate) requested: Option<(String, &'static [Era])>,
    /// The action's name in the record.
    pub(crate) action: Option<String>,
}

impl Malformed {
    pub(crate) fn new(
        reason: Reason,
        status: StatusCode,
        code: i64,
        message: &'static str,
    ) -> Self {
        let denial = Denial::new(reason);
        Self { denial, id: None, status, code, message, requested: None, action: None }
    }

    fn invalid(id: Option<Json>) -> Self {
        let new =
            Self::new(Reason::RequestMalformed, StatusCode::BAD_REQUEST, -32600, "invalid request");
        Self { id, ..new }
    }

    fn about(mut self, subject: &str) -> Self {
        self.denial = self.denial.about(subject);
        self
    }

    fn with_id(mut self, id: Option<&Json>) -> Self {
        self.id = id.cloned();
        self
    }

    /// Refused like a caller that is not authenticated.
    fn unpresented(denial: Denial, id: Option<&Json>) -> Self {
        Self {
            denial,
            id: id.cloned(),
            status: StatusCode::UNAUTHORIZED,
            code: crate::wire::NOT_AUTHENTICATED,
            message: crate::wire::NOT_AUTHENTICATED_TEXT,
            requested: None,
            action: None,
        }
    }
}

fn mismatch(header: &str) -> Malformed {
    Malformed::new(Reason::HeaderMismatch, StatusCode::BAD_REQUEST, -32020, "header mismatch")
        .about(header)
}

/// The one value of a header, as text.
pub(crate) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Malformed> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| mismatch(name)),
        (Some(_), Some(_)) => Err(mismatch(name)),
    }
}

/// Checks that concern every request, before its body is read.
pub(crate) fn check_headers(config: &Config, headers: &HeaderMap) -> Result<(), Malformed> {
    for name in SINGLE {
        header(headers, name)?;
    }
    // SECURITY: a web page must not reach the gateway through a browser, nor
    // by a name that was rebound to this address (MCP, streamable HTTP).
    if let Some(origin) = headers.get(http::header::ORIGIN) {
        let allowed = origin.to_str().is_ok_and(|origin| {
            config.public_url == origin || config.allowed_origins.iter().any(|o| o == origin)
        });
        if !allowed || headers.get_all(http::header::ORIGIN).iter().count() > 1 {
            return Err(Malformed::new(
                Reason::OriginNotAllowed,
                StatusCode::FORBIDDEN,
                -32600,
                "origin not allowed",
            ));
        }
    }
    Ok(())
}

/// Whether the client takes `text/event-stream`.
fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    headers.get_all(http::header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).any(|v| {
        v.split(',').any(|range| {
            let range = range.split(';').next().unwrap_or_default().trim();
            range.eq_ignore_ascii_case(media_type) || range == "*/*"
        })
    })
}

/// Checks of a POST before its body is read.
pub(crate) fn check_post(headers: &HeaderMap) -> Result<(), Malformed> {
    let media = header(headers, "content-type")?.unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    let encoding = header(headers, "content-encoding")?.unwrap_or("identity");
    if !media.eq_ignore_ascii_case("application/json") || !encoding.eq_ignore_ascii_case("identity")
    {
        return Err(Malformed::new(
            Reason::RequestMalformed,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            -32600,
            "the content type must be application/json",
        ));
    }
    if !accepts(headers, "application/json") && headers.contains_key(http::header::ACCEPT) {
        return Err(Malformed::new(
            Reason::RequestMalformed,
            StatusCode::NOT_ACCEPTABLE,
            -32600,
            "the client must accept application/json",
        ));
    }
    Ok(())
}

pub(crate) fn parse_json(config: &Config, body: &[u8]) -> Result<Json, Malformed> {
    Json::parse(body, &config.request_json()).map_err(|error| {
        let reason = match error {
            JsonError::TooLarge { .. } => Reason::RequestTooLarge,
            JsonError::NotUtf8 => Reason::JsonNotUtf8,
            JsonError::DuplicateMember => Reason::JsonDuplicateMember,
            JsonError::Syntax { .. } => Reason::JsonMalformed,
        };
        Malformed::new(reason, StatusCode::BAD_REQUEST, -32700, "parse error")
    })
}

/// Reads a POST's body.
///
/// # Errors
/// [`Malformed`].
pub(crate) fn parse(
    config: &Config,
    server: ServerName,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<WellFormed, Malformed> {
    let (id, name, params, shape) = match Message::read(parse_json(config, body)?) {
        Ok(Message::Request { id, method, params }) => (Some(id), method, params, Shape::Request),
        Ok(Message::Notification { method, params }) => (None, method, params, Shape::Notification),
        Ok(Message::Response { id, message }) => {
            return read_answer(config, server, id, message, headers);
        }
        Err(not) => return Err(Malformed::invalid(not.id)),
    };
    let id = id.as_ref();
    let era = era(&name, params.as_ref(), headers).map_err(|m| m.with_id(id))?;
    let Some(method) =
        mcp_methods::method(&name, era, Sender::Client, shape).filter(|method| method.passes())
    else {
        let status = match era {
            _ if id.is_none() => StatusCode::BAD_REQUEST,
            Era::Stateless => StatusCode::NOT_FOUND,
            Era::Sessions => StatusCode::OK,
        };
        let unknown = Malformed::new(Reason::MethodUnknown, status, -32601, "method not found");
        return Err(unknown.with_id(id));
    };
    read_message(config, server, era, method, id, params, headers).map_err(|mut m| {
        m.action.get_or_insert_with(|| method.name.to_owned());
        m.with_id(id)
    })
}

/// An answer has no method or name, and belongs to a session.
fn read_answer(
    config: &Config,
    server: ServerName,
    id: Json,
    message: Object,
    headers: &HeaderMap,
) -> Result<WellFormed, Malformed> {
    let stated = header(headers, "mcp-protocol-version")?;
    if stated.is_some_and(|stated| stated != Era::Sessions.version()) {
        return Err(Malformed::invalid(None));
    }
    for name in ["mcp-method", "mcp-name"] {
        if header(headers, name)?.is_some() {
            return Err(mismatch(name));
        }
    }
    let session = header(headers, "mcp-session-id")?.map(str::to_owned);
    let session = session.ok_or_else(|| Malformed::invalid(None).about("mcp-session-id"))?;
    let presentation =
        of_message(config, headers).map_err(|denial| Malformed::unpresented(denial, None))?;
    let answer = AnswerRequest { server, id, message, presentation, session };
    Ok(WellFormed::Answer(Box::new(answer)))
}

fn read_message(
    config: &Config,
    server: ServerName,
    era: Era,
    method: &'static Method,
    id: Option<&Json>,
    mut params: Option<Object>,
    headers: &HeaderMap,
) -> Result<WellFormed, Malformed> {
    check_agreement(era, method, params.as_ref(), headers)?;
    let session = header(headers, "mcp-session-id")?.map(str::to_owned);
    let session = match era {
        Era::Stateless => None,
        Era::Sessions if method.name == "initialize" => None,
        Era::Sessions if session.is_none() => {
            return Err(Malformed::invalid(None).about("mcp-session-id"));
        }
        Era::Sessions => session,
    };
    let accepts_events = accepts(headers, "text/event-stream");
    let in_body = take_presentation(params.as_mut());
    let (Treatment::Call(_), Some(id)) = (method.treatment, id) else {
        // A chain and proof for a call mean nothing here, but are not forwarded.
        let presentation =
            of_message(config, headers).map_err(|denial| Malformed::unpresented(denial, id))?;
        return Ok(WellFormed::Message(Box::new(MessageRequest {
            server,
            era,
            id: id.cloned(),
            method,
            params,
            presentation,
            session,
            accepts_events,
        })));
    };
    let mut params = params.unwrap_or_default();
    let waited = mcp_methods::take_waited(&mut params);
    let formed = method.call(&server, &params).and_then(|c| Ok((c, method.task_wish(&params)?)));
    let (call, wish) = formed.map_err(|error| {
        Malformed::new(Reason::RequestMalformed, StatusCode::OK, -32602, "invalid params")
            .about(error.code())
    })?;
    let presentation = of_call(config, in_body, headers).map_err(|denial| Malformed {
        action: Some(call.tool.to_string()),
        ..Malformed::unpresented(denial, Some(id))
    })?;
    Ok(WellFormed::Call(Box::new(CallRequest {
        server,
        era,
        id: id.clone(),
        speech: Speech::Mcp { method, params },
        call,
        presentation,
        session,
        accepts_events,
        enforcement: Enforcement::Gateway,
        stated: (era == Era::Stateless).then(|| stated(headers)).transpose()?,
        wish,
        waited,
    })))
}

/// `Mcp-Param-…` headers, one value each.
fn stated(headers: &HeaderMap) -> Result<Vec<(String, String)>, Malformed> {
    let names = headers.keys().map(http::HeaderName::as_str).filter(|n| n.starts_with(PARAM));
    let mut all = Vec::new();
    for name in names {
        if let Some(value) = header(headers, name)? {
            all.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(all)
}

impl CallRequest {
    /// A call that another enforcement point makes if it is allowed: the tool's
    /// operation says which request it would be here.
    ///
    /// # Errors
    /// The denial of what is no call of a tool, prompt or resource.
    pub(crate) fn external(
        tool: &ToolId,
        arguments: Object,
        presentation: Presentation,
        claimed: Claimed,
    ) -> Result<Self, Denial> {
        let malformed = || Denial::new(Reason::RequestMalformed).about(tool.as_str());
        let server = ServerName::parse(tool.server()).map_err(|_| malformed())?;
        let enforcement = Enforcement::External(Some(claimed));
        if tool.as_str().starts_with("http:") {
            let call = Call { tool: tool.clone(), arguments };
            return Ok(Self::of_api(server, call, None, presentation, enforcement));
        }
        let (name, params) = match tool.operation().split_once('/') {
            Some(("tools", name)) => {
                ("tools/call", Object::new().with("name", name).with("arguments", arguments))
            }
            Some(("prompts", name)) => {
                ("prompts/get", Object::new().with("name", name).with("arguments", arguments))
            }
            // Its only argument is a parameter by itself.
            _ if tool.operation() == "resources/read" => ("resources/read", arguments),
            _ => return Err(malformed()),
        };
        let era = Era::Stateless;
        let method = mcp_methods::method(name, era, Sender::Client, Shape::Request);
        let method = method.ok_or_else(malformed)?;
        let call = method.call(&server, &params).map_err(|_| malformed())?;
        Ok(Self {
            server,
            era,
            id: Json::Null,
            speech: Speech::Mcp { method, params },
            call,
            presentation,
            session: None,
            accepts_events: false,
            enforcement,
            stated: None,
            wish: None,
            waited: None,
        })
    }

    /// A call of an HTTP API's operation; `asked` is the request's method and
    /// URL, where a proof may name them.
    pub(crate) fn of_api(
        server: ServerName,
        call: Call,
        asked: Option<(&'static str, String)>,
        presentation: Presentation,
        enforcement: Enforcement,
    ) -> Self {
        Self {
            server,
            era: Era::Stateless,
            id: Json::Null,
            speech: Speech::Http { asked },
            call,
            presentation,
            session: None,
            accepts_events: false,
            enforcement,
            stated: None,
            wish: None,
            waited: None,
        }
    }
}

/// Which protocol the message speaks.
fn era(method: &str, params: Option<&Object>, headers: &HeaderMap) -> Result<Era, Malformed> {
    let stated = header(headers, "mcp-protocol-version")?;
    let meta = params.and_then(|p| p.member("_meta")?.as_object());
    let in_meta = meta.and_then(|m| m.member(META_VERSION));
    let in_meta = match in_meta {
        None => None,
        Some(Json::String(version)) => Some(version.as_str()),
        Some(_) => return Err(mismatch("mcp-protocol-version")),
    };
    if method == "initialize" && in_meta.is_none() {
        return match stated.map(Era::of_version) {
            None | Some(Some(Era::Sessions)) => Ok(Era::Sessions),
            Some(_) => Err(mismatch("mcp-protocol-version")),
        };
    }
    let Some(version) = in_meta.or(stated) else {
        // A session knows its version; without one nothing does.
        return if headers.contains_key("mcp-session-id") {
            Ok(Era::Sessions)
        } else {
            Err(Malformed::invalid(None).about("mcp-protocol-version"))
        };
    };
    if stated.is_some_and(|stated| stated != version) {
        return Err(mismatch("mcp-protocol-version"));
    }
    let Some(era) = Era::of_version(version) else {
        let unknown = Malformed::new(
            Reason::RequestMalformed,
            StatusCode::BAD_REQUEST,
            -32022,
            "unsupported protocol version",
        );
        // A session settles its version by `initialize`: only a stateless
        // message says its own.
        let spoken: &[Era] = match in_meta {
            Some(_) => &[Era::Stateless],
            None => &[Era::Sessions, Era::Stateless],
        };
        let requested = Some((version.chars().take(32).collect(), spoken));
        return Err(Malformed { requested, ..unknown });
    };
    if era == Era::Stateless && stated.is_none() {
        return Err(mismatch("mcp-protocol-version"));
    }
    if era == Era::Stateless {
        let complete = meta.is_some_and(|m| {
            m.member(META_VERSION).is_some()
                && m.member(META_CAPABILITIES).is_some_and(|c| c.as_object().is_some())
        });
        if !complete {
            return Err(Malformed::new(
                Reason::RequestMalformed,
                StatusCode::BAD_REQUEST,
                -32602,
                "invalid params: `_meta` must name protocol version and client capabilities",
            ));
        }
    }
    Ok(era)
}

/// `Mcp-Method` and `Mcp-Name` against the body (2026-07-28); in sessions they
/// are not required, but must not lie either.
fn check_agreement(
    era: Era,
    method: &Method,
    params: Option<&Object>,
    headers: &HeaderMap,
) -> Result<(), Malformed> {
    let required = era == Era::Stateless;
    match header(headers, "mcp-method")? {
        Some(stated) if stated == method.name => {}
        None if !required => {}
        _ => return Err(mismatch("mcp-method")),
    }
    let named = name_of(method.name, params);
    match (header(headers, "mcp-name")?, named) {
        (None, None) => Ok(()),
        (None, Some(_)) if !required => Ok(()),
        (Some(stated), Some(named)) if decoded(stated).as_deref() == Some(named) => Ok(()),
        _ => Err(mismatch("mcp-name")),
    }
}
