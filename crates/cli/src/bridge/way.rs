//! One way to one tool server of a gateway: what is sent on it carries chain
//! and proof.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use bailiwick_core::ids::ServerName;
use bailiwick_core::json::{Json, Object};
use bailiwick_demo::agent::{MessageHeaders, PRESENTATION_META_KEY, Presentation};
use bailiwick_gateway::stages::effect::DECISION as CALL_DECISION;
use bailiwick_gateway::{headers, rpc};
use bailiwick_policy::mcp_methods::{self, Era, OWN_QUESTION, Sender, Shape, is_own_state};

use super::door::Door;
use super::{ANSWERS, Fault, is_media, whole};
use crate::presenter::{ChainPresenter, Moment};

/// Seconds between two times that a waiting call is sent, at most.
const MAX_PAUSE: u64 = 30;

/// Member of `_meta` that says which version a message of the stateless
/// protocol speaks.
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// The version that a message states itself; none in sessions.
pub(super) fn stated_version(params: Option<&Object>) -> Option<&str> {
    params?.member("_meta")?.as_object()?.member(VERSION)?.as_str()
}

pub(super) fn sensitive(text: &str) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Fault::Own("the chain cannot stand in a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A tool server at a gateway, and what is presented there.
pub(crate) struct Way {
    pub(crate) door: Arc<Door>,
    pub(crate) url: String,
    pub(crate) server: ServerName,
    pub(crate) presenter: Arc<ChainPresenter>,
}

/// What is known of a call that waits for people.
struct Waits {
    approval: String,
    url: Option<String>,
    pause: Duration,
}

/// Whether an answer says that the call waits for people.
async fn waiting(
    response: axum::http::Response<Body>,
) -> Result<(axum::http::Response<Body>, Option<Waits>), Fault> {
    if !is_media(&response, "application/json") {
        return Ok((response, None));
    }
    let (head, body) = response.into_parts();
    let bytes = whole(body).await?;
    let answer = Json::parse(&bytes, &ANSWERS).ok();
    let waits = answer.as_ref().and_then(Json::as_object).and_then(waits);
    Ok((axum::http::Response::from_parts(head, Body::from(bytes)), waits))
}

/// What an answer says of a call that waits, in each form that a gateway gives it: a denial, or
/// a question to the client's user, which nobody has to see here.
///
/// SECURITY: a tool server's word that a call waits would have it made again and again. The
/// gateway takes that out of results, and marks a tool server's errors with the decision.
fn waits(answer: &Object) -> Option<Waits> {
    let told = match answer.member("error") {
        Some(error) => {
            let data = error.as_object()?.member("data")?.as_object()?;
            let own = data.member(CALL_DECISION).is_none();
            let asked = data.member("code")?.as_str()? == "approval-required";
            let approval = data.member("approval").filter(|_| own && asked)?.as_object()?;
            approval.clone().with("retry_after", data.member("retry_after").cloned())
        }
        None => {
            let result = answer.member("result")?.as_object()?;
            result.member("requestState")?.as_str().filter(|state| is_own_state(state))?;
            result.member("_meta")?.as_object()?.member(OWN_QUESTION)?.as_object()?.clone()
        }
    };
    let seconds = told.member("retry_after")?.as_number()?.as_plain_integer()?;
    Some(Waits {
        approval: told.member("id")?.as_str()?.to_owned(),
        url: told.member("url").and_then(Json::as_str).map(str::to_owned),
        pause: Duration::from_secs(u64::try_from(seconds).ok()?.clamp(1, MAX_PAUSE)),
    })
}

impl Way {
    /// Sends one request and gives the answer once its head is there.
    pub(super) async fn send(
        &self,
        verb: Method,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<axum::http::Response<Body>, Fault> {
        self.send_to(&self.url, verb, headers, body).await
    }

    /// Sends a call until people have decided about it, where it waits for them:
    /// the same call, under the same chain, with a fresh proof each time. What
    /// else is answered is passed on as it is.
    pub(super) async fn send_until_decided(
        &self,
        compose: impl Fn() -> Result<(HeaderMap, Vec<u8>), Fault>,
    ) -> Result<axum::http::Response<Body>, Fault> {
        let mut first: Option<Waits> = None;
        loop {
            let (headers, body) = compose()?;
            let response = self.send(Method::POST, headers, body).await?;
            let (response, waits) = waiting(response).await?;
            let Some(waits) = waits else { return Ok(response) };
            let pause = waits.pause;
            match &first {
                // Nobody decided in time, and people would be asked anew.
                Some(before) if before.approval != waits.approval => return Ok(response),
                Some(_) => {}
                None => {
                    let (approval, url) = (waits.approval.as_str(), waits.url.as_deref());
                    tracing::info!(approval, url, "the call waits for a person");
                    first = Some(waits);
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// The same, to another URL of the gateway.
    pub(super) async fn send_to(
        &self,
        url: &str,
        verb: Method,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<axum::http::Response<Body>, Fault> {
        let mut request = axum::http::Request::new(Bytes::from(body));
        *request.method_mut() = verb;
        *request.uri_mut() =
            url.parse().map_err(|_| Fault::Own("the URL cannot be used".to_owned()))?;
        *request.headers_mut() = headers;
        self.door.send(&self.server, request).await.map_err(Fault::Away)
    }

    /// Adds chain and proof for a message that is no call to its headers.
    pub(super) fn prove(
        &self,
        headers: &mut HeaderMap,
        verb: &Method,
        moment: &Moment<'_>,
    ) -> Result<(), Fault> {
        self.prove_at(&self.url, headers, verb, moment)
    }

    /// The same for another URL of the gateway.
    pub(super) fn prove_at(
        &self,
        url: &str,
        headers: &mut HeaderMap,
        verb: &Method,
        moment: &Moment<'_>,
    ) -> Result<(), Fault> {
        let MessageHeaders { aat_chain, dpop } =
            moment.for_message(verb.as_str(), url).map_err(|e| Fault::Own(e.message))?;
        headers.insert("aat-chain", sensitive(&aat_chain)?);
        headers.insert("dpop", sensitive(&dpop)?);
        Ok(())
    }

    /// Headers of every message; with chain and proof unless the body has them.
    pub(super) fn headers(
        &self,
        verb: &Method,
        version: Option<&str>,
        moment: Option<&Moment<'_>>,
    ) -> Result<HeaderMap, Fault> {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::ACCEPT,
            HeaderValue::from_static("application/json, text/event-stream"),
        );
        if *verb == Method::POST {
            let json = HeaderValue::from_static("application/json");
            headers.insert(header::CONTENT_TYPE, json);
        }
        if let Some(version) = version.and_then(|v| HeaderValue::from_str(v).ok()) {
            headers.insert("mcp-protocol-version", version);
        }
        if let Some(moment) = moment {
            self.prove(&mut headers, verb, moment)?;
        }
        Ok(headers)
    }

    /// Head and body of one message.
    pub(super) fn compose(
        &self,
        id: Option<&Json>,
        method: &str,
        params: Option<&Object>,
        moment: &Moment<'_>,
    ) -> Result<(HeaderMap, Vec<u8>), Fault> {
        let stated = stated_version(params);
        let era = if stated.is_some() { Era::Stateless } else { Era::Sessions };
        let version = stated.or((method != "initialize").then_some(Era::Sessions.version()));
        let presented = match id {
            Some(_) => self.presented(era, method, params, moment)?,
            None => None,
        };
        let proof = presented.is_none().then_some(moment);
        let mut all = self.headers(&Method::POST, version, proof)?;
        if let Some(repeated) =
            headers::repeated(era, Some(method), headers::name_of(method, params))
        {
            all.extend(repeated);
        }
        let message = rpc::compose(id, method, presented.as_ref().or(params));
        Ok((all, rpc::text(&message)))
    }

    /// The parameters of a call with chain and proof; none, if it is no call
    /// that can be made: the gateway says why.
    pub(super) fn presented(
        &self,
        era: Era,
        method: &str,
        params: Option<&Object>,
        moment: &Moment<'_>,
    ) -> Result<Option<Object>, Fault> {
        let empty = Object::new();
        let params = params.unwrap_or(&empty);
        let call = mcp_methods::method(method, era, Sender::Client, Shape::Request)
            .and_then(|method| method.call(&self.server, params).ok());
        let Some(call) = call else { return Ok(None) };
        let Presentation { aat_chain, aat_pop } = moment
            .for_call(call.tool.as_str(), &call.arguments)
            .map_err(|e| Fault::Own(e.message))?;
        let chain: Vec<Json> = aat_chain.iter().map(|t| Json::from(t.as_str())).collect();
        let presentation = Object::new().with("aat_chain", chain).with("aat_pop", aat_pop.as_str());
        let meta = params.member("_meta").and_then(Json::as_object).cloned().unwrap_or_default();
        let mut params = params.clone();
        params.insert("_meta", meta.with(PRESENTATION_META_KEY, presentation));
        Ok(Some(params))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Waits> {
        let answer = Json::parse(text.as_bytes(), &ANSWERS).unwrap();
        waits(answer.as_object().unwrap())
    }

    #[test]
    fn a_waiting_call_is_known_in_each_form() {
        for answer in [
            r#"{"error":{"code":-32040,"message":"m","data":{"code":"approval-required","retry_after":2,"approval":{"id":"a","url":"u"}}}}"#,
            r#"{"error":{"code":-32042,"message":"m","data":{"elicitations":[],"code":"approval-required","retry_after":2,"approval":{"id":"a","url":"u"}}}}"#,
            r#"{"result":{"resultType":"input_required","requestState":"bailiwick-approval.x","_meta":{"io.bailiwick/approval":{"id":"a","url":"u","retry_after":2}}}}"#,
        ] {
            let waits = read(answer).unwrap();
            assert_eq!((waits.approval.as_str(), waits.url.as_deref()), ("a", Some("u")));
            assert_eq!(waits.pause, Duration::from_secs(2));
        }
    }

    #[test]
    fn what_a_tool_server_says_has_no_call_made_again() {
        for answer in [
            // As the gateway passes a tool server's error on.
            r#"{"error":{"code":-32040,"message":"m","data":{"code":"approval-required","retry_after":1,"approval":{"id":"a"},"io.bailiwick/decision":{"id":"d"}}}}"#,
            r#"{"result":{"resultType":"input_required","requestState":"s","_meta":{"io.bailiwick/approval":{"id":"a","retry_after":1}}}}"#,
            r#"{"result":{"resultType":"input_required","requestState":"bailiwick-approval.x"}}"#,
            r#"{"error":{"code":-32040,"message":"m","data":{"code":"approval-denied","approval":{"id":"a"},"retry_after":1}}}"#,
        ] {
            assert!(read(answer).is_none(), "{answer}");
        }
    }
}
