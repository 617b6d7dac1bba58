//! Sessions of protocol 2025-11-25. A client on standard streams knows none: to
//! it the connection is the session. The gateway's ends with the root that
//! opened it, so another is opened in its place, with the client's own words.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Response, StatusCode};
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::mcp_methods::Era;

use super::{Bridge, Fault, is_media, session_ended};
use crate::presenter::Moment;

/// The pause before the stream of events is opened again.
pub(super) const AGAIN: Duration = Duration::from_secs(1);
/// How often an open stream is held against the chain.
const CHECK: Duration = Duration::from_secs(2);

/// What a client's session is at the gateway.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// How the client opened it.
    opening: Option<Object>,
    open: Option<Open>,
    /// Those of further chains.
    siblings: Vec<Open>,
    count: u64,
}

#[derive(Debug)]
struct Open {
    id: HeaderValue,
    /// The root that it ends with.
    root: String,
}

impl Bridge {
    /// The client's own `initialize`.
    pub(super) async fn initialize(&self, id: &Json, params: Option<&Object>) -> Result<(), Fault> {
        let moment = self.way.presenter.moment();
        let mut session = self.session.lock().await;
        let (headers, body) = self.way.compose(Some(id), "initialize", params, &moment)?;
        let response = self.way.send(Method::POST, headers, body).await?;
        if let Some(opened) = response.headers().get("mcp-session-id") {
            session.open = Some(Open { id: opened.clone(), root: moment.root().to_owned() });
            session.opening = Some(params.cloned().unwrap_or_default());
        }
        drop(session);
        self.relay(response, Some(id), None).await
    }

    /// Keeps how the client opened its session, for one that is opened later.
    pub(super) async fn keep_opening(&self, params: Option<&Object>) {
        self.session.lock().await.opening = Some(params.cloned().unwrap_or_default());
    }

    /// The session for a message that this chain presents; none, if the client
    /// opened none.
    pub(super) async fn ensure(&self, moment: &Moment<'_>) -> Result<Option<HeaderValue>, Fault> {
        let mut session = self.session.lock().await;
        let opened = session.open.iter().chain(&session.siblings);
        if let Some(open) = opened.into_iter().find(|open| open.root == moment.root()) {
            return Ok(Some(open.id.clone()));
        }
        let Some(opening) = session.opening.clone() else { return Ok(None) };
        session.count = session.count.saturating_add(1);
        let id = Json::from(format!("bailiwick-connect-{}", session.count));
        let (headers, body) = self.way.compose(Some(&id), "initialize", Some(&opening), moment)?;
        let response = self.way.send(Method::POST, headers, body).await?;
        let Some(opened) = response.headers().get("mcp-session-id").cloned() else {
            // It was refused. The request itself is refused in the same way,
            // with the words that are meant for the client.
            tracing::warn!(status = %response.status(), "no session could be opened");
            let gone = session.open.take_if(|_| !moment.is_sibling()).map(|open| open.id);
            return Ok(Some(gone.unwrap_or_else(|| HeaderValue::from_static("none"))));
        };
        let (mut headers, body) =
            self.way.compose(None, "notifications/initialized", None, moment)?;
        headers.insert("mcp-session-id", opened.clone());
        self.way.send(Method::POST, headers, body).await?;
        let open = Open { id: opened.clone(), root: moment.root().to_owned() };
        match moment.is_sibling() {
            true => session.siblings.push(open),
            false => session.open = Some(open),
        }
        tracing::info!("opened another session at the gateway");
        Ok(Some(opened))
    }

    /// The session as it is now.
    pub(super) async fn open_session(&self) -> Option<HeaderValue> {
        self.session.lock().await.open.as_ref().map(|open| open.id.clone())
    }

    /// A session is gone at the gateway.
    pub(super) async fn forget(&self, id: &HeaderValue) {
        let mut session = self.session.lock().await;
        session.siblings.retain(|open| open.id != *id);
        if session.open.as_ref().is_some_and(|open| open.id == *id) {
            session.open = None;
        }
    }

    /// Ends the session at the gateway.
    pub(super) async fn close(&self) {
        let (first, siblings) = {
            let mut session = self.session.lock().await;
            (session.open.take(), std::mem::take(&mut session.siblings))
        };
        let moments: Vec<Moment<'_>> = self.way.presenter.siblings();
        for open in first.into_iter().chain(siblings) {
            let sibling = moments.iter().find(|moment| moment.root() == open.root);
            let own = self.way.presenter.moment();
            let verb = Method::DELETE;
            let version = Some("2025-11-25");
            let headers = self.way.headers(&verb, version, Some(sibling.unwrap_or(&own)));
            if let Ok(mut headers) = headers {
                headers.insert("mcp-session-id", open.id);
                let _ = self.way.send(verb, headers, Vec::new()).await;
            }
        }
    }

    /// Passes on what the server says of itself, from now to the end.
    pub(super) fn begin_events(self: &Arc<Self>) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.is_none() {
            let bridge = Arc::downgrade(self);
            let running = tokio::spawn(async move {
                let mut last = None;
                while let Some(bridge) = bridge.upgrade() {
                    match bridge.listen(&mut last).await {
                        Ok(true) => {}
                        Ok(false) => return,
                        Err(fault) => tracing::debug!(?fault, "the stream of events ended"),
                    }
                    drop(bridge);
                    tokio::time::sleep(AGAIN).await;
                }
            });
            *events = Some(running.abort_handle());
        }
    }

    pub(super) fn stop_events(&self) {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner).take();
        events.into_iter().for_each(|events| events.abort());
    }

    /// A stream of events of the session, from the one after `last`.
    pub(super) async fn events_after(
        &self,
        session: &HeaderValue,
        last: Option<&str>,
        moment: &Moment<'_>,
    ) -> Result<Response<Body>, Fault> {
        let version = Some(Era::Sessions.version());
        let mut headers = self.way.headers(&Method::GET, version, Some(moment))?;
        headers.insert("mcp-session-id", session.clone());
        if let Some(last) = last.and_then(|last| HeaderValue::from_str(last).ok()) {
            headers.insert("last-event-id", last);
        }
        self.way.send(Method::GET, headers, Vec::new()).await
    }

    /// One stream of events; false, if the server offers none. `last` is the
    /// session and the event that came last.
    async fn listen(&self, last: &mut Option<(HeaderValue, String)>) -> Result<bool, Fault> {
        let moment = self.way.presenter.moment();
        let Some(session) = self.ensure(&moment).await? else { return Ok(false) };
        let from = last.take().filter(|(of, _)| *of == session).map(|(_, event)| event);
        let response = self.events_after(&session, from.as_deref(), &moment).await?;
        if session_ended(&response) {
            self.forget(&session).await;
            return Ok(true);
        }
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            return Ok(false);
        }
        if !is_media(&response, "text/event-stream") {
            return Ok(true);
        }
        let renewed = async {
            while self.way.presenter.moment().root() == moment.root() {
                tokio::time::sleep(CHECK).await;
            }
        };
        let mut event = from;
        let ended = tokio::select! {
            ended = self.relay_events(response.into_body(), None, &mut event) => ended.map(drop),
            () = renewed => Ok(()),
        };
        *last = event.map(|event| (session, event));
        ended.map(|()| true)
    }
}
