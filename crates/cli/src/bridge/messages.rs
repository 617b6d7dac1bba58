//! Messages of a client: with chain and proof to the gateway.

use axum::body::Body;
use axum::http::{HeaderValue, Method, Response, StatusCode};
use bailiwick_core::json::{Json, Object};
use bailiwick_gateway::rpc;
use bailiwick_policy::mcp_methods::Era;

use super::siblings::asks_for_more;
use super::way::stated_version;
use super::{Bridge, Fault, session_ended};
use crate::presenter::Moment;

fn no_chain() -> Fault {
    Fault::Own("there is no chain to present".to_owned())
}

impl Bridge {
    /// Sends a request and passes its answer on.
    pub(super) async fn request(
        self: &std::sync::Arc<Self>,
        id: &Json,
        method: &str,
        params: Option<Object>,
    ) -> Result<(), Fault> {
        let params = params.as_ref();
        if self.answers_itself(id, method, params).await {
            return Ok(());
        }
        let asks = asks_for_more(method, params);
        if stated_version(params).is_some() {
            let mut chains = self.way.chains(asks);
            while let Some(moment) = chains.next() {
                let compose = || {
                    let (mut headers, body) =
                        self.way.compose(Some(id), method, params, &moment)?;
                    if method == "tools/call" {
                        headers.extend(self.mirrored(params));
                    }
                    Ok((headers, body))
                };
                let response = self.way.send_until_decided(compose).await?;
                if let Some(response) = chains.judge(response).await? {
                    return self.relay(response, Some(id), None).await;
                }
            }
            return Err(no_chain());
        }
        if method == "initialize" {
            return self.initialize(id, params).await;
        }
        let mut chains = self.way.chains(asks);
        while let Some(moment) = chains.next() {
            let (response, session) = self.in_session(id, method, params, &moment).await?;
            if let Some(response) = chains.judge(response).await? {
                let within = session.as_ref().map(|session| (session, &moment));
                return self.relay(response, Some(id), within).await;
            }
        }
        Err(no_chain())
    }

    /// Sends a request in the session of a chain's root, which is opened anew once
    /// where it is gone.
    async fn in_session(
        &self,
        id: &Json,
        method: &str,
        params: Option<&Object>,
        moment: &Moment<'_>,
    ) -> Result<(Response<Body>, Option<HeaderValue>), Fault> {
        let mut again = false;
        loop {
            let session = self.ensure(moment).await?;
            let compose = || {
                let (mut headers, body) = self.way.compose(Some(id), method, params, moment)?;
                if let Some(session) = &session {
                    headers.insert("mcp-session-id", session.clone());
                }
                Ok((headers, body))
            };
            let response = self.way.send_until_decided(compose).await?;
            // Nothing was done: the session was gone before.
            if let Some(session) = session.as_ref().filter(|_| session_ended(&response) && !again) {
                self.forget(session).await;
                again = true;
                continue;
            }
            return Ok((response, session));
        }
    }

    /// Delivers the client's answer to a question of the tool server. It belongs
    /// to the session that the question came in, and to no other.
    pub(super) async fn reply(&self, message: Object) {
        let sent = async {
            let moment = self.way.presenter.moment();
            let Some(session) = self.open_session().await else { return Ok(None) };
            let version = Some(Era::Sessions.version());
            let mut headers = self.way.headers(&Method::POST, version, Some(&moment))?;
            headers.insert("mcp-session-id", session);
            self.way.send(Method::POST, headers, rpc::text(&message.into())).await.map(Some)
        };
        match sent.await {
            Ok(Some(response)) if response.status() == StatusCode::ACCEPTED => {}
            Ok(response) => {
                let status = response.map(|r| r.status().as_u16());
                tracing::warn!(status, "an answer was not taken");
            }
            Err(fault) => tracing::warn!(?fault, "an answer was not delivered"),
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
        // Nobody hears it before there is a chain; what opens a session then says it.
        if !self.way.presenter.has_chain() {
            return;
        }
        let sent = async {
            let moment = self.way.presenter.moment();
            let session = match stated_version(params.as_ref()) {
                Some(_) => None,
                None => self.ensure(&moment).await?,
            };
            let (mut headers, body) = self.way.compose(None, method, params.as_ref(), &moment)?;
            if let Some(session) = session {
                headers.insert("mcp-session-id", session);
            }
            self.way.send(Method::POST, headers, body).await
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
