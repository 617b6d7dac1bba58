//! OpenID AuthZEN Authorization API 1.0: decisions for enforcement points that
//! make the call themselves.
//!
//! - `POST /access/v1/evaluation`, `POST /access/v1/evaluations`
//! - `GET /.well-known/authzen-configuration`
//! - `POST /access/v1/outcome`, which is ours: what became of an allowed call
//!
//! The resource is a tool (`{"type": "tool", "id": TOOL ID}`), the action is
//! `call` with the arguments as `properties.arguments`, the subject is the
//! acting `agent` or its `principal`. Chain and proof stand in the context, as
//! the draft's presentation object. Without them nothing is allowed (DESIGN
//! §6); a denial is HTTP 200 with `decision: false`, as the standard wants it.

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use bailiwick_core::crypto::Digest;
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::ids::{EntryId, ToolId};
use bailiwick_core::json::{Json, Object};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::external::{Report, Ruled};
use crate::gateway::Gateway;
use crate::http::read;
use crate::stages::boundary::{
    self, CallRequest, Claimed, Malformed, PRESENTATION, check_headers, of_body,
};
use crate::stages::evidence::Outcome;
use crate::wire;

mod request;
use request::{Asked, Unreadable, batch};

const EVALUATION: &str = "/access/v1/evaluation";
const EVALUATIONS: &str = "/access/v1/evaluations";
const OUTCOME: &str = "/access/v1/outcome";
const CONFIGURATION: &str = "/.well-known/authzen-configuration";

/// Longest `X-Request-ID` that is echoed.
const MAX_REQUEST_ID_BYTES: usize = 256;

/// The decision API's endpoints.
pub(crate) fn router() -> Router<Gateway> {
    Router::new()
        .route(EVALUATION, post(evaluation))
        .route(EVALUATIONS, post(evaluations))
        .route(OUTCOME, post(outcome))
        .route(CONFIGURATION, get(configuration))
        .layer(DefaultBodyLimit::disable())
}

/// The decision point's metadata (§9).
async fn configuration(State(gateway): State<Gateway>) -> Response {
    let base = gateway.config.public_url.as_str();
    let body = Object::new()
        .with("policy_decision_point", base)
        .with("access_evaluation_endpoint", format!("{base}{EVALUATION}"))
        .with("access_evaluations_endpoint", format!("{base}{EVALUATIONS}"))
        .with("bailiwick_outcome_endpoint", format!("{base}{OUTCOME}"))
        .with("bailiwick_audience", gateway.audience.as_str());
    wire::json(StatusCode::OK, &body.into())
}

async fn evaluation(State(gateway): State<Gateway>, request: Request) -> Response {
    answered(&gateway, request, async |gateway, body| {
        let asked = Asked::read(&body, None).map_err(Refused::Unreadable)?;
        Ok(evaluate(gateway, asked).await?.into())
    })
    .await
}

async fn evaluations(State(gateway): State<Gateway>, request: Request) -> Response {
    answered(&gateway, request, async |gateway, body| {
        let Some((items, semantics)) = batch(&body).map_err(Refused::Unreadable)? else {
            let asked = Asked::read(&body, None).map_err(Refused::Unreadable)?;
            return Ok(evaluate(gateway, asked).await?.into());
        };
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            let answer = match item.and_then(|item| Asked::read(item, Some(&body))) {
                Ok(asked) => evaluate(gateway, asked).await?,
                // One that cannot be read is that item's error.
                Err(unreadable) => no(unreadable.to_json(StatusCode::BAD_REQUEST)),
            };
            let last = semantics.ends_with(answer.member("decision") == Some(&Json::Bool(true)));
            answers.push(Json::from(answer));
            if last {
                break;
            }
        }
        Ok(Object::new().with("evaluations", answers).into())
    })
    .await
}

/// What became of a call that was allowed here.
async fn outcome(State(gateway): State<Gateway>, request: Request) -> Response {
    answered(&gateway, request, async |gateway, body| {
        let (entry, report) = reported(&body).map_err(Refused::Unreadable)?;
        if !gateway.awaited.report(&entry, report) {
            return Err(Refused::NotAwaited);
        }
        Ok(Object::new().with("decision_id", &entry).with("recorded", true).into())
    })
    .await
}

/// Why there is no decision.
enum Refused {
    /// The request is not one of the standard's.
    Unreadable(Unreadable),
    /// As many decisions are under way as this gateway takes at once.
    Busy,
    /// No outcome of that decision is waited for.
    NotAwaited,
}

impl Refused {
    fn response(&self) -> Response {
        match self {
            Self::Unreadable(unreadable) => {
                let status = StatusCode::BAD_REQUEST;
                wire::json(status, &unreadable.to_json(status).into())
            }
            Self::Busy => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                let error =
                    problem(status, "busy", "too many decisions are under way", "try again");
                wire::json(status, &error.into())
            }
            Self::NotAwaited => {
                let status = StatusCode::NOT_FOUND;
                let text = "no outcome of this decision is waited for";
                let remedy = "report each allowed call once, before the time for calls has run out";
                wire::json(status, &problem(status, "outcome-not-awaited", text, remedy).into())
            }
        }
    }
}

fn problem(status: StatusCode, code: &str, reason: &str, remedy: &str) -> Object {
    Object::new()
        .with("status", u64::from(status.as_u16()))
        .with("code", code)
        .with("reason", reason)
        .with("remedy", remedy)
}

/// Reads the body, asks, and echoes the request's id (§10.1).
async fn answered(
    gateway: &Gateway,
    request: Request,
    work: impl AsyncFnOnce(&Gateway, Object) -> Result<Json, Refused>,
) -> Response {
    let (parts, body) = request.into_parts();
    let mut response = match object(gateway, &parts.headers, body).await {
        Ok(body) => match work(gateway, body).await {
            Ok(answer) => wire::json(StatusCode::OK, &answer),
            Err(refused) => refused.response(),
        },
        Err(response) => *response,
    };
    let id = parts.headers.get("x-request-id").filter(|id| id.len() <= MAX_REQUEST_ID_BYTES);
    if let Some(id) = id {
        response.headers_mut().insert("x-request-id", id.clone());
    }
    response
}

async fn object(
    gateway: &Gateway,
    headers: &HeaderMap,
    body: Body,
) -> Result<Object, Box<Response>> {
    let json = HeaderValue::from_static("application/json");
    let media = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    let unreadable = |what| Box::new(Refused::Unreadable(Unreadable(what)).response());
    if !media.eq_ignore_ascii_case(json.to_str().unwrap_or_default()) {
        return Err(unreadable("the content type must be application/json"));
    }
    let of = |malformed: Malformed| {
        let status = match malformed.status {
            StatusCode::FORBIDDEN | StatusCode::PAYLOAD_TOO_LARGE => malformed.status,
            _ => StatusCode::BAD_REQUEST,
        };
        let wire = malformed.denial.reason;
        let body = problem(status, wire.code(), wire.message(), wire.remedy());
        Box::new(wire::json(status, &body.into()))
    };
    check_headers(&gateway.config, headers).map_err(of)?;
    let (max, limit) = (gateway.config.max_request_bytes, gateway.config.body_timeout);
    let bytes = read(body, headers, max, limit).await.map_err(of)?;
    match boundary::parse_json(&gateway.config, &bytes).map_err(of)? {
        Json::Object(object) => Ok(object),
        _ => Err(unreadable("the body must be a JSON object")),
    }
}

/// `decision: false` with its reason.
fn no(context: Object) -> Object {
    Object::new().with("decision", false).with("context", context)
}

/// One decision.
async fn evaluate(gateway: &Gateway, asked: Asked) -> Result<Object, Refused> {
    let (entry, verdict) = match call(gateway, &asked) {
        Ok(request) => {
            let slot = gateway.call_slot().ok_or(Refused::Busy)?;
            let Ruled { entry, verdict } = gateway.rule(request, slot).await;
            (Some(entry), verdict.map(|granted| granted.digest))
        }
        Err(denial) => {
            let entry = match asked.server() {
                Some(server) => {
                    Some(gateway.deny_question(&server, &asked.resource_id, &denial).await)
                }
                // What is about no tool of anybody leaves nothing.
                None => None,
            };
            (entry, Err(denial))
        }
    };
    Ok(match verdict {
        Ok(action_digest) => {
            let context = Object::new()
                .with("decision_id", entry.as_ref())
                .with("action_digest", action_digest)
                .with("enforcement", "external");
            Object::new().with("decision", true).with("context", context)
        }
        Err(denial) => {
            let told = denial.on_the_wire();
            let mut context = Object::new();
            if let Some(entry) = &entry {
                context.insert("decision_id", entry);
            }
            context.insert("code", told.code);
            context.insert("reason", told.message);
            context.insert("remedy", told.remedy);
            if let Some(retry_at) = told.retry_at {
                context.insert("retry_at", retry_at.to_string());
            }
            if let Some(waits) = &told.waits {
                context.insert("approval", waits.to_json());
            }
            if let Some(suggestion) = told.suggestion {
                context.insert("suggestion", *suggestion);
            }
            no(context)
        }
    })
}

/// The call that is asked about, with what proves who makes it.
fn call(gateway: &Gateway, asked: &Asked) -> Result<CallRequest, Denial> {
    let unknown = || Denial::new(Reason::RequestMalformed);
    let claimed = match asked.subject_type.as_str() {
        "agent" => Claimed::Agent(asked.subject_id.clone()),
        "principal" => Claimed::Principal(asked.subject_id.clone()),
        _ => return Err(unknown().about("subject.type")),
    };
    if asked.action != "call" {
        return Err(unknown().about("action.name"));
    }
    let tool = ToolId::parse(&asked.resource_id).ok().filter(|_| asked.resource_type == "tool");
    let tool = tool.ok_or_else(|| unknown().about("resource"))?;
    let shown = asked.presentation.as_ref();
    let shown = shown.ok_or_else(|| Denial::new(Reason::PresentationMissing))?;
    let presentation = of_body(&gateway.config, shown)?;
    CallRequest::external(&tool, asked.arguments.clone(), presentation, claimed)
}

/// `{"decision_id": …, "outcome": …, "result"?: {"sha256": …, "bytes": …}}`
fn reported(body: &Object) -> Result<(EntryId, Report), Unreadable> {
    let text = |name: &str| body.member(name).and_then(Json::as_str);
    let entry = text("decision_id").and_then(|id| EntryId::parse(id).ok());
    let entry = entry.ok_or(Unreadable("`decision_id` must be the id of a decision"))?;
    let outcome = text("outcome").and_then(Outcome::parse);
    let outcome = outcome.ok_or(Unreadable(
        "`outcome` must be `ok`, `error`, `timeout`, `not_executed` or `unknown`",
    ))?;
    let result = match body.member("result") {
        None => None,
        Some(result) => Some(result_of(result).ok_or(Unreadable(
            "`result` must be an object with `sha256` (base64url) and `bytes`",
        ))?),
    };
    Ok((entry, Report { outcome, result }))
}

fn result_of(result: &Json) -> Option<(Digest, usize)> {
    let result = result.as_object()?;
    let digest = Digest::from_text(result.member("sha256")?.as_str()?)?;
    let bytes = result.member("bytes")?.as_number()?.as_plain_integer()?;
    Some((digest, usize::try_from(bytes).ok()?))
}
