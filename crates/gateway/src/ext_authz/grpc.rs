//! The gRPC form: `envoy.service.auth.v3.Authorization/Check`.
//!
//! The tool server is named by the route's `context_extensions`, which only
//! Envoy's configuration writes. What Envoy could not tell us truly is refused:
//! in the forms that are text it joins doubled headers with commas and writes
//! `!` for bytes that are not UTF-8, and forwards them as they were.

use std::time::Duration;

use axum::Router;
use axum::extract::{self, DefaultBodyLimit, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::ids::{EntryId, ServerName};
use bytes::Bytes;
use envoy_types::ext_authz::v3::pb::{
    Authorization, AuthorizationServer, CheckRequest, CheckResponse, DeniedHttpResponse,
    HeaderAppendAction, HeaderValue as EnvoyValue, HeaderValueOption, HttpResponse, HttpStatus,
    OkHttpResponse,
};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest;
use envoy_types::pb::google::rpc;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use tonic::{Code, Request, Status};

use super::{Envoyed, PARTIAL, TAKEN, Told, check, denied, is_unclear, odd};
use crate::gateway::Gateway;
use crate::wire::DECISION;

/// Member of `context_extensions` that names the tool server.
const TOOL_SERVER: &str = "tool_server";

/// Headers of one request at most.
const MAX_HEADERS: usize = 256;

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
        let told = match envoyed(server.clone(), asked.unwrap_or_default()) {
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

/// The request that Envoy asks about.
fn envoyed(server: ServerName, http: HttpRequest) -> Result<Envoyed, Denial> {
    let headers = headers(&http)?;
    let body = body(&http, &headers)?;
    if !http.query.is_empty() || !http.fragment.is_empty() || http.path.contains('#') {
        return Err(odd("path"));
    }
    let (path, query) = match http.path.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (http.path, None),
    };
    Ok(Envoyed { server, method: http.method, path, query, headers, body })
}

fn headers(http: &HttpRequest) -> Result<HeaderMap, Denial> {
    let raw = http.header_map.as_ref().map(|map| map.headers.as_slice()).unwrap_or_default();
    if !http.headers.is_empty() && !raw.is_empty() {
        return Err(odd("headers"));
    }
    if http.headers.len().max(raw.len()) > MAX_HEADERS {
        return Err(Denial::new(Reason::RequestTooLarge));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &http.headers {
        if is_unclear(name, value) {
            return Err(odd(name));
        }
        put(&mut headers, http, name, value.as_bytes())?;
    }
    for EnvoyValue { key, value, raw_value } in raw {
        if !value.is_empty() {
            return Err(odd(key));
        }
        put(&mut headers, http, key, raw_value)?;
    }
    Ok(headers)
}

/// Adds a header. Those of HTTP/2 itself say what the question says anyway.
fn put(
    headers: &mut HeaderMap,
    http: &HttpRequest,
    name: &str,
    value: &[u8],
) -> Result<(), Denial> {
    match name {
        ":method" if value == http.method.as_bytes() => return Ok(()),
        ":path" if value == http.path.as_bytes() => return Ok(()),
        ":authority" | ":protocol" | ":scheme" => return Ok(()),
        _ => {}
    }
    let read = (HeaderName::from_lowercase(name.as_bytes()), HeaderValue::from_bytes(value));
    let (Ok(name), Ok(value)) = read else { return Err(odd(name)) };
    headers.try_append(name, value).map(|_| ()).map_err(|_| Denial::new(Reason::RequestTooLarge))
}

/// SECURITY: the whole body, byte for byte. What says that there is more than
/// was shown denies.
fn body(http: &HttpRequest, headers: &HeaderMap) -> Result<Bytes, Denial> {
    let body = match (http.raw_body.is_empty(), http.body.is_empty()) {
        (true, true) => Bytes::new(),
        (false, true) => Bytes::copy_from_slice(&http.raw_body),
        // In text `!` may stand for a byte that is not UTF-8.
        (true, false) if !http.body.contains('!') => Bytes::copy_from_slice(http.body.as_bytes()),
        _ => return Err(odd("body")),
    };
    let length = i64::try_from(body.len()).unwrap_or(i64::MAX);
    let mut announced = headers.get_all(header::CONTENT_LENGTH).iter();
    let agrees = announced.all(|n| n.as_bytes() == length.to_string().as_bytes());
    let unseen = body.is_empty()
        && headers.contains_key(header::TRANSFER_ENCODING)
        && !headers.contains_key(PARTIAL);
    if http.size > length || !agrees || unseen {
        return Err(odd(PARTIAL));
    }
    Ok(body)
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
