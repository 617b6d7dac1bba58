//! Further chains of the same task: what an agent asked for and people granted.
//!
//! A call goes under the first chain; where that does not cover it, it is tried
//! once under each further one. What is granted is taken up without the client.

use std::collections::VecDeque;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Response, header};
use bailiwick_core::json::{Json, Object};
use bailiwick_gateway::own::{DELEGATION, Own};

use super::way::Way;
use super::{ANSWERS, Fault, is_media, whole};
use crate::chainfile::ChainFile;
use crate::presenter::Moment;

/// Codes of a call that another delegation might cover.
const BEYOND: [&str; 4] =
    ["tool-not-delegated", "argument-not-delegated", "argument-missing", "argument-unnamed"];

/// Whether a message asks for more authority.
pub(super) fn asks_for_more(method: &str, params: Option<&Object>) -> bool {
    let name = params.and_then(|p| p.member("name")?.as_str());
    method == "tools/call" && name == Some(Own::RequestAuthority.tool())
}

/// An answer with its message, if it is one message.
async fn read(response: Response<Body>) -> Result<(Response<Body>, Option<Object>), Fault> {
    if !is_media(&response, "application/json") {
        return Ok((response, None));
    }
    let (head, body) = response.into_parts();
    let bytes = whole(body).await?;
    let message = Json::parse(&bytes, &ANSWERS).ok().and_then(|m| m.as_object().cloned());
    Ok((Response::from_parts(head, Body::from(bytes)), message))
}

/// Whether an answer says that the delegation does not cover the call. Nothing was
/// done then.
async fn beyond(response: Response<Body>) -> Result<(Response<Body>, bool), Fault> {
    let (response, message) = read(response).await?;
    let code = message.as_ref().and_then(|message| {
        message.member("error")?.as_object()?.member("data")?.as_object()?.member("code")?.as_str()
    });
    let is_beyond = code.is_some_and(|code| BEYOND.contains(&code));
    Ok((response, is_beyond))
}

fn chain_of(delegation: Option<&Json>) -> Option<ChainFile> {
    ChainFile::of_json(delegation?.as_object()?)
}

/// The chains under which a call is tried: the first, and where that does not cover
/// it, each further one once.
pub(super) struct Chains<'w> {
    way: &'w Way,
    /// Whether the call asks for more: then the first chain is the only one.
    asks: bool,
    /// What the first chain was answered.
    denied: Option<Response<Body>>,
    next: VecDeque<Moment<'w>>,
}

impl<'w> Chains<'w> {
    /// The next one to try.
    pub(super) fn next(&mut self) -> Option<Moment<'w>> {
        self.next.pop_front()
    }

    /// The answer for the client; nothing, while there is another chain to try.
    pub(super) async fn judge(
        &mut self,
        response: Response<Body>,
    ) -> Result<Option<Response<Body>>, Fault> {
        if self.asks {
            return self.way.learn(response).await.map(Some);
        }
        if !self.way.presenter.has_asked() {
            return Ok(Some(response));
        }
        let (response, is_beyond) = beyond(response).await?;
        if !is_beyond {
            return Ok(Some(response));
        }
        if self.denied.is_none() {
            self.way.follow().await;
            self.next.extend(self.way.presenter.siblings());
            self.denied = Some(response);
        }
        Ok(if self.next.is_empty() { self.denied.take() } else { None })
    }
}

impl Way {
    /// The chains under which a call is tried.
    pub(super) fn chains(&self, asks: bool) -> Chains<'_> {
        Chains { way: self, asks, denied: None, next: VecDeque::from([self.presenter.moment()]) }
    }

    /// Remembers what the gateway answered a request for more authority.
    async fn learn(&self, response: Response<Body>) -> Result<Response<Body>, Fault> {
        let (response, message) = read(response).await?;
        let result = message.as_ref().and_then(|m| m.member("result")?.as_object());
        if let Some(result) = result {
            let answer = result.member("structuredContent").and_then(Json::as_object);
            let meta = result.member("_meta").and_then(Json::as_object);
            let chain = chain_of(meta.and_then(|meta| meta.member(DELEGATION)));
            if let Some(answer) = answer {
                self.note(answer, chain);
            }
        }
        Ok(response)
    }

    fn note(&self, answer: &Object, chain: Option<ChainFile>) {
        let text = |name: &str| answer.member(name).and_then(Json::as_str);
        let (Some(id), Some(status)) = (text("request"), text("status")) else { return };
        let noted = self.presenter.answered(id, status, chain);
        match noted {
            Ok(true) => tracing::info!(request = id, "what was granted is taken up"),
            Ok(false) => {}
            Err(e) => {
                tracing::warn!(request = id, code = %e.code, "what was granted cannot be used")
            }
        }
    }

    /// Asks where the requests of this task stand, and takes up what was granted.
    async fn follow(&self) {
        for id in self.presenter.to_ask() {
            match self.stands(&id).await {
                Ok(Some(answer)) => {
                    let chain = chain_of(answer.member("delegation"));
                    self.note(&answer, chain);
                }
                Ok(None) => self.presenter.forget(&id),
                Err(fault) => tracing::debug!(?fault, "a request was not asked about"),
            }
        }
    }

    /// Where one request stands; nothing, when the gateway knows it no more.
    async fn stands(&self, id: &str) -> Result<Option<Object>, Fault> {
        let base = self.url.rsplit_once("/mcp/").map_or(self.url.as_str(), |(base, _)| base);
        let url = format!("{base}{}", Own::RequestAuthority.path());
        let moment = self.presenter.moment();
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json.clone());
        headers.insert(header::ACCEPT, json);
        self.prove_at(&url, &mut headers, &Method::POST, &moment)?;
        let body = Json::from(Object::new().with("request", id)).canonical().into_bytes();
        let response = self.send_to(&url, Method::POST, headers, body).await?;
        let found = response.status().is_success();
        let (_, message) = read(response).await?;
        Ok(message.filter(|_| found))
    }
}
