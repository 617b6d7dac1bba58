//! Messages of a client: with chain and proof to the gateway.

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use bailiwick_core::json::{Json, Object};
use bailiwick_demo::agent::{MessageHeaders, PRESENTATION_META_KEY, Presentation};
use bailiwick_gateway::{headers, rpc};
use bailiwick_policy::mcp_methods::{self, Era, Sender, Shape};

use super::{Bridge, Fault, session_ended};
use crate::presenter::Moment;

/// Member of `_meta` that says which version a message of the stateless
/// protocol speaks.
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// The version that a message states itself; none in sessions.
pub(super) fn stated_version(params: Option<&Object>) -> Option<&str> {
    params?.member("_meta")?.as_object()?.member(VERSION)?.as_str()
}

fn sensitive(text: &str) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Fault::Own("the chain cannot stand in a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

impl Bridge {
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
            let MessageHeaders { aat_chain, dpop } =
                moment.for_message(verb.as_str(), &self.url).map_err(|e| Fault::Own(e.message))?;
            headers.insert("aat-chain", sensitive(&aat_chain)?);
            headers.insert("dpop", sensitive(&dpop)?);
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
    fn presented(
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

    /// Sends a request and passes its answer on.
    pub(super) async fn request(
        self: &std::sync::Arc<Self>,
        id: &Json,
        method: &str,
        params: Option<Object>,
    ) -> Result<(), Fault> {
        let params = params.as_ref();
        if stated_version(params).is_some() {
            let (headers, body) =
                self.compose(Some(id), method, params, &self.presenter.moment())?;
            let response = self.send(Method::POST, headers, body).await?;
            return self.relay(response, Some(id)).await;
        }
        if method == "initialize" {
            return self.initialize(id, params).await;
        }
        let mut again = false;
        loop {
            let moment = self.presenter.moment();
            let session = self.ensure(&moment).await?;
            let (mut headers, body) = self.compose(Some(id), method, params, &moment)?;
            if let Some(session) = &session {
                headers.insert("mcp-session-id", session.clone());
            }
            let response = self.send(Method::POST, headers, body).await?;
            // Nothing was done: the session was gone before.
            if let Some(session) = session.filter(|_| session_ended(&response) && !again) {
                self.forget(&session).await;
                again = true;
                continue;
            }
            return self.relay(response, Some(id)).await;
        }
    }

    /// Delivers a notification; what became of it nobody waits for.
    pub(super) async fn notification(
        self: &std::sync::Arc<Self>,
        method: &str,
        params: Option<Object>,
    ) {
        if method == "notifications/cancelled" {
            let id = params.as_ref().and_then(|p| p.member("requestId")).map(Json::canonical);
            let stateless = id.and_then(|id| self.under_way().remove(&id));
            if let Some(request) = stateless {
                request.abort();
                return;
            }
        }
        let sent = async {
            let moment = self.presenter.moment();
            let session = match stated_version(params.as_ref()) {
                Some(_) => None,
                None => self.ensure(&moment).await?,
            };
            let (mut headers, body) = self.compose(None, method, params.as_ref(), &moment)?;
            if let Some(session) = session {
                headers.insert("mcp-session-id", session);
            }
            self.send(Method::POST, headers, body).await
        };
        match sent.await {
            Ok(response) if response.status() == StatusCode::ACCEPTED => {}
            Ok(response) => tracing::warn!(method, status = %response.status(), "not delivered"),
            Err(fault) => tracing::warn!(method, ?fault, "not delivered"),
        }
        if method == "notifications/initialized" {
            self.begin_events();
        }
    }
}
