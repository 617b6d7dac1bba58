//! An agent behind a gateway, for clients of A2A that know no chain and no proof:
//! what they ask becomes an operation and arguments, these are proved, and the
//! request goes on as it came. It decides nothing.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, Method, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use bailiwick_core::json::{Json, Object};
use bailiwick_demo::agent::Presentation;
use bailiwick_policy::a2a::Asked;

use super::way::sensitive;
use super::{ANSWERS, Fault, REQUESTS, Way, whole};

/// Where an agent's card is, below its endpoint.
const CARD: &str = "/.well-known/agent-card.json";
/// What passes of a client's headers. Credentials do not: the delegation is what
/// is presented.
const ASKED: [HeaderName; 5] = [
    header::ACCEPT,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    HeaderName::from_static("a2a-extensions"),
    HeaderName::from_static("a2a-version"),
];
/// What passes of an answer's. `WWW-Authenticate` does not: there is nobody to log
/// in.
const ANSWERED: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    header::RETRY_AFTER,
    header::X_CONTENT_TYPE_OPTIONS,
    super::DECISION,
];

/// One agent at a gateway.
pub(crate) struct Peer(Way);

fn only(given: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let passes = given.iter().filter(|(name, _)| names.contains(name));
    passes.map(|(name, value)| (name.clone(), value.clone())).collect()
}

impl Peer {
    /// The way's URL is the agent's endpoint, `…/a2a/NAME`.
    pub(crate) const fn new(way: Way) -> Self {
        Self(way)
    }

    /// The agent's name.
    pub(crate) const fn server(&self) -> &bailiwick_core::ids::ServerName {
        &self.0.server
    }

    /// Answers a request of a client whose path below the agent is `path`; `own`
    /// is the address that the client reached.
    pub(super) async fn answer(&self, path: &str, own: &str, request: Request) -> Response<Body> {
        let answered = match (request.method(), path) {
            (&Method::GET, CARD) => self.card(own).await,
            _ => self.pass(path, request).await,
        };
        answered.unwrap_or_else(|fault| {
            let status = match fault {
                Fault::Own(_) => StatusCode::INTERNAL_SERVER_ERROR,
                Fault::Away(_) | Fault::Stranger(_) => StatusCode::BAD_GATEWAY,
            };
            let (code, reason, remedy) = fault.words();
            tracing::error!(code, "{reason}");
            let told = Object::new().with("code", code).with("reason", reason);
            let body = Object::new().with("error", told.with("remedy", remedy));
            let media = [(header::CONTENT_TYPE, "application/json")];
            (status, media, Json::from(body).canonical()).into_response()
        })
    }

    /// The card with this address in it. The gateway's signature is over another, and
    /// goes.
    async fn card(&self, own: &str) -> Result<Response<Body>, Fault> {
        let url = format!("{}{CARD}", self.0.url);
        let answer = self.0.send_to(&url, Method::GET, HeaderMap::new(), Vec::new()).await?;
        if answer.status() != StatusCode::OK {
            return Ok(answer.status().into_response());
        }
        let stranger = || Fault::Stranger("it shows no card".to_owned());
        let body = whole(answer.into_body()).await?;
        let Ok(Json::Object(mut card)) = Json::parse(&body, &ANSWERS) else {
            return Err(stranger());
        };
        card.remove("signatures");
        card.remove("securitySchemes");
        card.remove("securityRequirements");
        let listed = card.member("supportedInterfaces").and_then(Json::as_array);
        let here = |interface: &Object| Json::from(interface.clone().with("url", own));
        let interfaces: Vec<Json> =
            listed.ok_or_else(stranger)?.iter().filter_map(Json::as_object).map(here).collect();
        card.insert("supportedInterfaces", interfaces);
        let media = [(header::CONTENT_TYPE, "application/json")];
        Ok((media, Json::from(card).canonical()).into_response())
    }

    /// Sends what came, with chain and proof; what is no request of A2A goes
    /// without, for the gateway to say so.
    async fn pass(&self, path: &str, request: Request) -> Result<Response<Body>, Fault> {
        let (head, body) = request.into_parts();
        let Ok(body) = axum::body::to_bytes(body, REQUESTS.max_bytes).await else {
            return Ok(StatusCode::PAYLOAD_TOO_LARGE.into_response());
        };
        let mut headers = only(&head.headers, &ASKED);
        let query = head.uri.query();
        if let Some(asked) = asked(head.method.as_str(), path, query, &body) {
            let tool = format!("a2a:{}:{}", self.0.server, asked.operation.name());
            let moment = self.0.presenter.moment();
            let shown = moment.for_call(&tool, &asked.arguments);
            let Presentation { aat_chain, aat_pop } = shown.map_err(|e| Fault::Own(e.message))?;
            headers.insert("aat-chain", sensitive(&aat_chain.join(","))?);
            headers.insert("aat-pop", sensitive(&aat_pop)?);
        }
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let url = format!("{}{path}{query}", self.0.url);
        let answer = self.0.send_to(&url, head.method, headers, body.to_vec()).await?;
        let (head, body) = answer.into_parts();
        let mut passed = Response::new(body);
        *passed.status_mut() = head.status;
        *passed.headers_mut() = only(&head.headers, &ANSWERED);
        Ok(passed)
    }
}

/// What a request of either binding asks for, as the gateway will read it.
fn asked(method: &str, path: &str, query: Option<&str>, body: &[u8]) -> Option<Asked> {
    let json = match body {
        [] => None,
        bytes => Some(Json::parse(bytes, &REQUESTS).ok()?),
    };
    let object = json.as_ref().and_then(Json::as_object);
    if path.is_empty() {
        let message = object?;
        let params = message.member("params").and_then(Json::as_object);
        return Asked::of_rpc(message.member("method")?.as_str()?, params).ok();
    }
    Asked::of_http(method, path, query, object).ok()
}
