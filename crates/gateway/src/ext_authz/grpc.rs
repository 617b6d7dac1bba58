//! The gRPC form: `envoy.service.auth.v3.Authorization/Check`.
//!
//! The tool server is named by the route's `context_extensions`, which only
//! Envoy's configuration writes.

use std::time::Duration;

use axum::Router;
use axum::extract::{self, DefaultBodyLimit, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::ids::{EntryId, ServerName};
use envoy_types::ext_authz::v3::pb::{
    Authorization, AuthorizationServer, CheckRequest, CheckResponse, DeniedHttpResponse,
    HeaderAppendAction, HeaderValue as EnvoyValue, HeaderValueOption, HttpResponse, HttpStatus,
    OkHttpResponse,
};
use envoy_types::pb::google::rpc;
use http::StatusCode;
use http_body_util::BodyExt as _;
use tonic::{Code, Request, Status};

use super::{Envoyed, TAKEN, Told, check, denied};
use crate::gateway::Gateway;
use crate::wire::DECISION;

/// Member of `context_extensions` that names the tool server.
const TOOL_SERVER: &str = "tool_server";

/// What a question may have beside the body: headers, and what Envoy knows of
/// the connection.
const AROUND_BODY_BYTES: usize = 512 << 10;

/// The service for Envoy, on a listener of its own that speaks HTTP/2 only.
///
/// SECURITY: gRPC says no with HTTP status 200, which the HTTP form takes for
/// yes: the two never share a listener.
pub fn router(gateway: Gateway) -> Router {
    let largest = gateway.config.max_request_bytes.saturating_add(AROUND_BODY_BYTES);
    let limit = gateway.config.body_timeout.saturating_add(gateway.config.call_timeout);
    let service = AuthorizationServer::new(Service(gateway)).max_decoding_message_size(largest);
    Router::new()
        .route_service("/envoy.service.auth.v3.Authorization/Check", service)
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(limit, within))
}

/// Answers in time or not at all: a body that trickles in holds no stream.
async fn within(State(limit): State<Duration>, request: extract::Request, next: Next) -> Response {
    let answer = tokio::time::timeout(limit, next.run(request)).await;
    answer.unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response())
}

struct Service(Gateway);

#[tonic::async_trait]
impl Authorization for Service {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<tonic::Response<CheckResponse>, Status> {
        let attributes = request.into_inner().attributes.unwrap_or_default();
        let named = attributes.context_extensions.get(TOOL_SERVER);
        let Some(server) = named.and_then(|name| ServerName::parse(name).ok()) else {
            // What is about no tool server of anybody leaves nothing.
            return Err(Status::invalid_argument(
                "`context_extensions` of the route must name the tool server as `tool_server`",
            ));
        };
        let asked = attributes.request.and_then(|request| request.http);
        let told = match Envoyed::of_grpc(server.clone(), asked.unwrap_or_default()) {
            Ok(envoyed) if envoyed.body.len() > self.0.config.max_request_bytes => {
                denied(&self.0, &server, &Denial::new(Reason::RequestTooLarge)).await
            }
            Ok(envoyed) => check(&self.0, &envoyed).await,
            Err(denial) => denied(&self.0, &server, &denial).await,
        };
        Ok(tonic::Response::new(match told {
            Told::Allowed(entry) => allow(entry.as_ref()),
            Told::Denied(response) => deny(*response).await,
        }))
    }
}

fn option(name: &str, value: &str, action: HeaderAppendAction) -> HeaderValueOption {
    let header =
        EnvoyValue { key: name.to_owned(), value: value.to_owned(), raw_value: Vec::new() };
    HeaderValueOption {
        header: Some(header),
        append_action: action.into(),
        ..HeaderValueOption::default()
    }
}

fn response(code: Code, http: HttpResponse) -> CheckResponse {
    let status = rpc::Status { code: code.into(), ..rpc::Status::default() };
    CheckResponse { status: Some(status), http_response: Some(http), ..CheckResponse::default() }
}

/// Our own headers end here. The tool server learns the decision, under which
/// it may report the outcome; the caller does not.
fn allow(entry: Option<&EntryId>) -> CheckResponse {
    let mut remove: Vec<String> = TAKEN.iter().map(|name| (*name).to_owned()).collect();
    let decision = DECISION;
    let name = decision.as_str();
    let overwrite = HeaderAppendAction::OverwriteIfExistsOrAdd;
    let headers = match entry {
        Some(entry) => vec![option(name, entry.as_str(), overwrite)],
        None => {
            remove.push(name.to_owned());
            Vec::new()
        }
    };
    let ok = OkHttpResponse { headers, headers_to_remove: remove, ..OkHttpResponse::default() };
    response(Code::Ok, HttpResponse::OkResponse(ok))
}

/// What the HTTP form answers: status, headers and body.
async fn deny(answer: Response) -> CheckResponse {
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let append = HeaderAppendAction::AppendIfExistsOrAdd;
    let headers = parts
        .headers
        .iter()
        .filter_map(|(name, value)| Some(option(name.as_str(), value.to_str().ok()?, append)));
    let code = match parts.status {
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        _ => Code::PermissionDenied,
    };
    let denied = DeniedHttpResponse {
        status: Some(HttpStatus { code: i32::from(parts.status.as_u16()) }),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    response(code, HttpResponse::DeniedResponse(denied))
}
