//! A reverse proxy that does nothing else: what any process in between costs.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, header};

use crate::Failure;

/// Headers that concern one connection (RFC 9110 §7.6.1), and the host's name.
const HOP: [header::HeaderName; 4] =
    [header::CONNECTION, header::HOST, header::TRANSFER_ENCODING, header::UPGRADE];

struct Target {
    base: String,
    client: reqwest::Client,
}

/// Forwards everything to `to` until the process is killed.
pub(crate) fn run(to: String) -> Result<(), Failure> {
    // The client is made ready for TLS also where it speaks none.
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| "a TLS provider is installed already")?;
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
        .pool_max_idle_per_host(64)
        .build()?;
    let target = Arc::new(Target { base: to, client });
    super::run(Router::new().fallback(forward).with_state(target))
}

async fn forward(State(target): State<Arc<Target>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
    let sent = target
        .client
        .request(parts.method, format!("{}{path}", target.base))
        .headers(without_hop(parts.headers))
        .body(reqwest::Body::wrap_stream(body.into_data_stream()))
        .send()
        .await;
    let Ok(answer) = sent else { return StatusCode::BAD_GATEWAY.into_response() };
    let (parts, body) = http::Response::<reqwest::Body>::from(answer).into_parts();
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = parts.status;
    *response.headers_mut() = without_hop(parts.headers);
    response
}

fn without_hop(mut headers: HeaderMap) -> HeaderMap {
    for name in &HOP {
        headers.remove(name);
    }
    headers
}
