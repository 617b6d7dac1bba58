//! An HTTP API behind a gateway, for callers that know no chain and no proof:
//! what they ask becomes an operation and arguments, these are proved, and the
//! request that is sent is written from them. It decides nothing.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_demo::agent::Presentation;
use bailiwick_policy::api::{Incoming, Operation, Undescribed, matching};
use bailiwick_policy::catalogue::Definition;

use super::way::sensitive;
use super::{ANSWERS, Fault, REQUESTS, Way, is_media, whole};
use crate::host;

/// What passes of an answer's headers. `WWW-Authenticate` does not: there is
/// nobody to log in.
const ANSWERED: [HeaderName; 14] = [
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_LANGUAGE,
    header::CONTENT_SECURITY_POLICY,
    header::CONTENT_TYPE,
    header::ETAG,
    header::LAST_MODIFIED,
    header::LINK,
    header::RETRY_AFTER,
    header::X_CONTENT_TYPE_OPTIONS,
    DECISION,
    FAILED,
    OUTCOME,
    HeaderName::from_static("x-request-id"),
];
/// The decision behind an answer.
pub(crate) const DECISION: HeaderName = HeaderName::from_static("bailiwick-decision");
/// Why an allowed call has no answer of the API.
pub(crate) const FAILED: HeaderName = HeaderName::from_static("bailiwick-failed");
/// What became of an allowed call.
pub(crate) const OUTCOME: HeaderName = HeaderName::from_static("bailiwick-outcome");

/// Seconds after which a request that nothing known describes has the
/// operations read again.
const STALE_SECONDS: i64 = 2;

/// One API of a gateway.
pub(crate) struct Api {
    way: Way,
    known: Mutex<Option<Known>>,
}

/// Its operations that the delegation covers, as they were read.
#[derive(Clone)]
struct Known {
    operations: Arc<Vec<Operation>>,
    at: Timestamp,
}

/// Why there are no operations.
pub(crate) enum NoList {
    /// The gateway says no.
    Denied(Response<Body>),
    /// There is no answer of a gateway.
    Fault(Fault),
}

impl From<Fault> for NoList {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Why a call was not sent.
pub(crate) enum NoCall {
    /// No request of the operation has such arguments.
    Undescribed(Undescribed),
    /// There is no answer of a gateway.
    Fault(Fault),
}

impl From<Fault> for NoCall {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Api {
    /// The way's URL is the API's endpoint, `…/http/SERVER`.
    pub(crate) fn new(way: Way) -> Self {
        Self { way, known: Mutex::default() }
    }

    /// The tool server's name.
    pub(crate) fn server(&self) -> &bailiwick_core::ids::ServerName {
        &self.way.server
    }

    /// The operations that the delegation covers, asked of the gateway.
    pub(crate) async fn operations(&self) -> Result<Arc<Vec<Operation>>, NoList> {
        let mut headers = HeaderMap::new();
        let at = host::now();
        self.way.prove(&mut headers, &Method::GET, &self.way.presenter.moment())?;
        let answer = self.way.send(Method::GET, headers, Vec::new()).await?;
        if answer.status() != StatusCode::OK {
            return Err(NoList::Denied(answer));
        }
        let stranger = || Fault::Stranger("it lists no operations".to_owned());
        if !is_media(&answer, "application/json") {
            return Err(stranger().into());
        }
        let body = whole(answer.into_body()).await?;
        let listed = Json::parse(&body, &ANSWERS).map_err(|_| stranger())?;
        let listed = listed.as_object().and_then(|o| o.member("operations")?.as_array());
        // A definition of a kind that this program does not know is left out.
        let read = |item| Definition::of_operation(item).ok().and_then(|d| Operation::of(&d));
        let operations = listed.ok_or_else(stranger)?.iter().filter_map(read).collect();
        let operations = Arc::new(operations);
        let known = Known { operations: Arc::clone(&operations), at };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(operations)
    }

    fn known(&self) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Calls an operation with chain and proof.
    pub(crate) async fn call(
        &self,
        operation: &Operation,
        arguments: &Object,
    ) -> Result<Response<Body>, NoCall> {
        let outgoing = operation.request(arguments).map_err(NoCall::Undescribed)?;
        let tool = format!("http:{}:{}", self.way.server, operation.name());
        let moment = self.way.presenter.moment();
        let shown = moment.for_call(&tool, arguments).map_err(|e| Fault::Own(e.message))?;
        let Presentation { aat_chain, aat_pop } = shown;
        let mut headers = HeaderMap::new();
        headers.insert("aat-chain", sensitive(&aat_chain.join(","))?);
        headers.insert("aat-pop", sensitive(&aat_pop)?);
        for (name, value) in &outgoing.headers {
            let value = HeaderValue::from_str(value)
                .map_err(|_| Fault::Own(format!("`{name}` cannot stand in a header")))?;
            headers.insert(*name, value);
        }
        if outgoing.body.is_some() {
            let json = HeaderValue::from_static("application/json");
            headers.insert(header::CONTENT_TYPE, json);
        }
        let query = outgoing.query.map(|query| format!("?{query}")).unwrap_or_default();
        let url = format!("{}{}{query}", self.way.url, outgoing.path);
        let verb = outgoing.verb.as_str().parse();
        let verb = verb.map_err(|_| Fault::Own("the method cannot be sent".to_owned()))?;
        let body = outgoing.body.unwrap_or_default();
        Ok(self.way.send_to(&url, verb, headers, body).await?)
    }

    /// Answers a request of a client whose path below the API is `path`.
    pub(super) async fn answer(&self, path: &str, request: Request) -> Response<Body> {
        let (head, body) = request.into_parts();
        let Ok(body) = axum::body::to_bytes(body, REQUESTS.max_bytes).await else {
            let why = "the request is larger than a gateway takes";
            return problem(StatusCode::PAYLOAD_TOO_LARGE, "request-too-large", why, "send less");
        };
        let asked = Asked { head: &head, path, body: &body };
        match self.pass(&asked).await {
            Ok(answer) => passed(answer),
            Err(Stop::Denied(answer)) => passed(answer),
            Err(Stop::Undescribed(why)) => {
                let status = match why {
                    Undescribed::Path => StatusCode::NOT_FOUND,
                    Undescribed::Method => StatusCode::METHOD_NOT_ALLOWED,
                    _ => StatusCode::BAD_REQUEST,
                };
                let remedy = "ask for an operation that the delegation covers, as it is described: `bailiwick call --url` lists them";
                problem(status, why.code(), &why.to_string(), remedy)
            }
            Err(Stop::Fault(fault)) => {
                let status = match fault {
                    Fault::Own(_) => StatusCode::INTERNAL_SERVER_ERROR,
                    Fault::Away(_) | Fault::Stranger(_) => StatusCode::BAD_GATEWAY,
                };
                let (code, reason, remedy) = fault.words();
                tracing::error!(code, "{reason}");
                problem(status, code, &reason, remedy)
            }
        }
    }

    async fn pass(&self, asked: &Asked<'_>) -> Result<Response<Body>, Stop> {
        let known = self.known();
        let at = known.as_ref().map(|known| known.at);
        if let Some(known) = known {
            match asked.of(&known.operations) {
                Ok((operation, arguments)) => return Ok(self.call(operation, &arguments).await?),
                Err(why) => {
                    // The delegation may cover more by now, or be another one.
                    let age = at
                        .map_or(i64::MAX, |at| host::now().seconds().saturating_sub(at.seconds()));
                    if age < STALE_SECONDS {
                        return Err(Stop::Undescribed(why));
                    }
                }
            }
        }
        let operations = self.operations().await?;
        let (operation, arguments) = asked.of(&operations).map_err(Stop::Undescribed)?;
        Ok(self.call(operation, &arguments).await?)
    }
}

/// A request of a client.
struct Asked<'a> {
    head: &'a axum::http::request::Parts,
    path: &'a str,
    body: &'a Bytes,
}

impl Asked<'_> {
    fn of<'o>(&self, operations: &'o [Operation]) -> Result<(&'o Operation, Object), Undescribed> {
        let headers: Vec<(&str, &[u8])> =
            self.head.headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        let incoming = Incoming {
            method: self.head.method.as_str(),
            path: self.path,
            query: self.head.uri.query(),
            headers: &headers,
            body: self.body,
            limits: &REQUESTS,
        };
        let all = operations.iter().map(|operation| (operation, ()));
        matching(all, &incoming).map(|(operation, (), arguments)| (operation, arguments))
    }
}

/// Why a client's request has no answer of the API.
enum Stop {
    Denied(Response<Body>),
    Undescribed(Undescribed),
    Fault(Fault),
}

impl From<NoList> for Stop {
    fn from(no: NoList) -> Self {
        match no {
            NoList::Denied(answer) => Self::Denied(answer),
            NoList::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl From<NoCall> for Stop {
    fn from(no: NoCall) -> Self {
        match no {
            NoCall::Undescribed(why) => Self::Undescribed(why),
            NoCall::Fault(fault) => Self::Fault(fault),
        }
    }
}

fn passed(mut answer: Response<Body>) -> Response<Body> {
    let headers = std::mem::take(answer.headers_mut());
    let passes = headers.into_iter().filter_map(|(name, value)| Some((name?, value)));
    answer.headers_mut().extend(passes.filter(|(name, _)| ANSWERED.contains(name)));
    answer
}

/// Problem details (RFC 9457), as a gateway tells them.
fn problem(status: StatusCode, code: &str, detail: &str, remedy: &str) -> Response<Body> {
    let body = Object::new()
        .with("type", format!("urn:bailiwick:problem:{code}"))
        .with("title", code)
        .with("status", u64::from(status.as_u16()))
        .with("detail", detail)
        .with("code", code)
        .with("remedy", remedy);
    let media = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, media, Json::from(body).canonical()).into_response()
}
