//! Streams of a tool server's messages that stay open: the common stream of a
//! session (`GET`) and `subscriptions/listen`. They pass events through the
//! table of methods and end with the session, the delegation, a revocation, or
//! the gateway.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::ids::ServerName;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::mcp_methods::Era;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio_util::sync::CancellationToken;

use crate::feeds::{About, Feed, Kept, LastId, Reader};
use crate::gateway::Gateway;
use crate::messages::{Visit, outgoing};
use crate::ports::ToolServer;
use crate::questions::{Asks, Wants, wants};
use crate::relay::{Events, Route};
use crate::rpc::{self, Message};
use crate::sessions::{Lease, Session};
use crate::stages::Stopped;
use crate::stages::boundary::{MessageRequest, Presentation};
use crate::stand::{CHECK_EVERY, Stand};
use crate::tasks::Own;
use crate::upstream::{Failure, Source};
use crate::wire;

/// What a stream hangs on.
struct Lifeline {
    server: Arc<ToolServer>,
    session: Option<Arc<Session>>,
    lease: Lease,
    ended: CancellationToken,
    /// Where the id of the tool server's last event is kept.
    last: LastId,
}

impl Lifeline {
    /// Whether something else fills the feed now, or has ended it.
    fn is_replaced(&self) -> bool {
        let goes_on = |session: &Arc<Session>| !session.ended.is_cancelled();
        self.ended.is_cancelled() && self.session.as_ref().is_some_and(goes_on)
    }
}

/// Why a session has no common stream for a caller.
enum NoStream {
    /// The tool server offers none.
    None,
    /// The session is over.
    Ended,
    /// Events after the last one that was read are not there any more.
    Gone,
}

fn no_stream(no: NoStream) -> Response {
    match no {
        NoStream::Ended => StatusCode::NOT_FOUND.into_response(),
        NoStream::None | NoStream::Gone => {
            (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")]).into_response()
        }
    }
}

/// The end of a subscription: no call, so nothing may be asked with it.
fn last_word(id: &Json, message: Object) -> Json {
    if wants(&message, std::iter::empty()) == Wants::Nothing {
        return message.into();
    }
    let (code, reason, remedy) = Failure::Asks { bytes: 0 }.words();
    wire::upstream_error(Some(id), code, reason, remedy, None)
}

/// A response of server-sent events.
pub(crate) fn events_response(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Gateway {
    /// `GET` and `DELETE` of a session.
    pub(crate) async fn session_request(
        &self,
        verb: Method,
        name: ServerName,
        headers: &HeaderMap,
        presentation: Presentation,
    ) -> Response {
        let now = self.ports.host.now();
        let text = |name| headers.get(name).and_then(|v| v.to_str().ok());
        let (session, last) = (text("mcp-session-id"), text("last-event-id"));
        let result =
            match self.visit(&name, &presentation, (verb.as_str(), None), session, now).await {
                Ok(visit) if visit.caller.session.is_none() => {
                    return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")])
                        .into_response();
                }
                Ok(visit) if verb == Method::DELETE => Ok(self.close(visit).await),
                Ok(visit) => self.stream(visit, last, now).await,
                Err(stopped) => Err(stopped),
            };
        let stopped = match result {
            Ok(response) => return response,
            Err(stopped) => stopped,
        };
        let action = format!("mcp:{name}:rpc:{}", verb.as_str().to_ascii_lowercase());
        let entry = self.deny_message(&name, &action, &presentation, &stopped, now).await;
        if stopped.session_ended {
            return StatusCode::NOT_FOUND.into_response();
        }
        wire::challenge(&stopped.denial, entry.as_str(), &self.metadata_url(name.as_str()))
    }

    /// Where the metadata of a tool server's endpoint is (RFC 9728 §3.1).
    pub(crate) fn metadata_url(&self, server: &str) -> String {
        format!("{}/.well-known/oauth-protected-resource/mcp/{server}", self.config.public_url)
    }

    async fn close(&self, visit: Visit) -> Response {
        let Some(session) = visit.caller.session else {
            return StatusCode::NOT_FOUND.into_response();
        };
        self.sessions.end(&session);
        self.lapse(self.tasks.take_of(&session)).await;
        self.close_upstream(&visit.server, session.upstream.as_deref()).await;
        StatusCode::ACCEPTED.into_response()
    }

    /// Ends a session at the tool server.
    pub(crate) async fn close_upstream(&self, server: &ToolServer, session: Option<&str>) {
        let Some(session) = session else { return };
        let work = self.upstream.end(server, session);
        if !matches!(tokio::time::timeout(self.config.message_timeout, work).await, Ok(Ok(_))) {
            tracing::debug!("the tool server's session may still be open");
        }
    }

    /// `GET`: the common stream of a session or, with the id of an event, the
    /// rest of the stream that it came on.
    async fn stream(
        &self,
        visit: Visit,
        last: Option<&str>,
        now: Timestamp,
    ) -> Result<Response, Stopped> {
        let Some(session) = visit.caller.session.clone() else {
            return Ok(StatusCode::NOT_FOUND.into_response());
        };
        let Some(last) = last else {
            return Ok(self.common(&session, &visit, None).await.unwrap_or_else(no_stream));
        };
        let unknown = || Denial::new(Reason::EventUnknown).about("last-event-id");
        // SECURITY: looked up in the caller's own session and nowhere else.
        let resumed = match session.feeds.find(last) {
            None => Err(unknown()),
            Some((Kept { feed, about: About::Call(recheck) }, number)) => {
                // The session may have gone on under another grant than the call's.
                match self.stand(&recheck, now) {
                    Stand::Stands => {
                        let reader = feed.read(Some(number));
                        reader.map(|reader| events_response(reader.body())).ok_or_else(unknown)
                    }
                    Stand::Ended(ended) => {
                        session.feeds.forget(&feed);
                        Err(ended.denial())
                    }
                    Stand::Unknown => Err(Denial::new(Reason::RevocationStale)),
                }
            }
            Some((Kept { feed, .. }, number)) => {
                match self.common(&session, &visit, Some((feed, number))).await {
                    Ok(response) => Ok(response),
                    Err(NoStream::Gone) => Err(unknown()),
                    Err(no) => Ok(no_stream(no)),
                }
            }
        };
        resumed.map_err(|denial| Stopped::known(denial, visit.caller.present))
    }

    /// The common stream of a session, from the first event that nobody read
    /// or from the one after `last`. There is one: who asks again takes it over.
    async fn common(
        &self,
        session: &Arc<Session>,
        visit: &Visit,
        last: Option<(Arc<Feed>, u64)>,
    ) -> Result<Response, NoStream> {
        let Some(upstream) = &session.upstream else { return Err(NoStream::None) };
        // Two at once would open two at the tool server.
        let _opening = session.opening.lock().await;
        let scope = visit.caller.present.chain().scope().cloned().map(Arc::new);
        let kept = session.feeds.common(scope.as_deref());
        // Events that were narrowed to another scope are not shown under this one.
        if last.as_ref().is_some_and(|(feed, _)| {
            !kept.as_ref().is_some_and(|(kept, _)| Arc::ptr_eq(kept, feed))
        }) {
            return Err(NoStream::Gone);
        }
        let after = last.map(|(_, number)| number);
        // Read first: an event that is gone opens nothing at the tool server.
        let reader = match &kept {
            Some((feed, _)) => Some(feed.read(after).ok_or(NoStream::Gone)?),
            None => None,
        };
        let reader = match (&kept, reader) {
            (Some((feed, _)), Some(reader)) if !feed.is_over() => {
                return Ok(events_response(reader.body()));
            }
            (_, reader) => reader,
        };
        let limit = self.config.message_timeout;
        let from = kept.as_ref().and_then(|(_, last)| last.get());
        let work = self.upstream.common(&visit.server, upstream, from.as_deref());
        let source = match tokio::time::timeout(limit, work).await {
            Ok(Ok(source)) => source,
            Ok(Err(Failure::SessionEnded)) => {
                self.sessions.end(session);
                return Err(NoStream::Ended);
            }
            // Legal: there is no common stream then, but what was kept of one.
            _ => {
                let rest = reader.filter(Reader::has_more);
                return rest.map(|rest| events_response(rest.body())).ok_or(NoStream::None);
            }
        };
        let filling = session.ended.child_token();
        let (feed, last) = match kept {
            Some((feed, last)) => {
                session.feeds.refill(&feed, filling.clone());
                (feed, last)
            }
            None => {
                let (feed, last) = (Feed::new(&self.room), LastId::default());
                let (filling, kept) = (filling.clone(), last.clone());
                let about = About::Common { scope: scope.clone(), filling, last: kept };
                session.feeds.keep(self.ports.host.as_ref(), &feed, about);
                (feed, last)
            }
        };
        let reader = reader.unwrap_or_else(|| feed.follow());
        let lifeline = Lifeline {
            server: Arc::clone(&visit.server),
            session: Some(Arc::clone(session)),
            lease: session.lease(),
            ended: filling,
            last,
        };
        self.pump(source, None, Era::Sessions, visit, lifeline, feed);
        Ok(events_response(reader.body()))
    }

    /// `subscriptions/listen` (2026-07-28): the answer is a stream.
    pub(crate) async fn listen(
        &self,
        request: &MessageRequest,
        id: &Json,
        visit: Visit,
    ) -> Result<Response, Stopped> {
        if !request.accepts_events {
            let denial = Denial::new(Reason::RequestMalformed).about("accept");
            return Err(Stopped::known(denial, visit.caller.present));
        }
        let limit = self.config.message_timeout;
        let sent = self.upstream.listen(outgoing(request, &visit, request.params.as_ref()));
        let failure = match tokio::time::timeout(limit, sent).await {
            Ok(Ok(source)) => {
                let lifeline = Lifeline {
                    server: Arc::clone(&visit.server),
                    session: None,
                    lease: visit.caller.lease(&visit.server.name),
                    ended: CancellationToken::new(),
                    last: LastId::default(),
                };
                let feed = Feed::new(&self.room);
                let reader = feed.follow();
                self.pump(source, Some(id.clone()), Era::Stateless, &visit, lifeline, feed);
                return Ok(events_response(reader.body()));
            }
            Ok(Err(failure)) => failure,
            Err(_) => Failure::TimedOut,
        };
        let (code, reason, remedy) = failure.words();
        Ok(wire::upstream_failed(Some(id), code, reason, remedy, None))
    }

    /// Passes events until one side, or the authority behind it, ends.
    fn pump(
        &self,
        source: Source,
        answer_to: Option<Json>,
        era: Era,
        visit: &Visit,
        lifeline: Lifeline,
        feed: Arc<Feed>,
    ) {
        let route = Events::to(Route {
            gateway: self.clone(),
            server: Arc::clone(&visit.server),
            era,
            session: visit.caller.session.as_ref().and_then(|s| s.upstream.clone()),
            scope: visit.caller.present.chain().scope().cloned().map(Arc::new),
            own: Own::of(&visit.caller, &visit.server.name),
            asks: visit.caller.session.clone().map_or(Asks::Nobody, Asks::Session),
            to: Some(Arc::clone(&feed)),
        });
        let gateway = self.clone();
        self.tracker.spawn(async move {
            gateway.pass_events(source, answer_to, route, &feed, &lifeline).await;
            if !lifeline.is_replaced() {
                feed.finish();
            }
        });
    }

    async fn pass_events(
        &self,
        mut source: Source,
        answer_to: Option<Json>,
        mut route: Events,
        feed: &Feed,
        lifeline: &Lifeline,
    ) {
        let mut check = tokio::time::interval(CHECK_EVERY);
        loop {
            let messages = tokio::select! {
                messages = source.next(&lifeline.server) => messages,
                _ = check.tick() => {
                    if self.stands(lifeline) { continue }
                    return self.end(lifeline);
                }
                () = lifeline.ended.cancelled() => return,
                () = self.stopping.cancelled() => return,
                () = feed.deserted() => return,
            };
            let Some(messages) = messages else { return };
            // SECURITY: asked again before anything is shown.
            if !messages.is_empty() && !self.stands(lifeline) {
                return self.end(lifeline);
            }
            lifeline.last.note(source.last_id());
            for message in messages {
                match message {
                    Message::Response { id, message } => {
                        if Some(&id) == answer_to.as_ref() {
                            feed.push(rpc::text(&last_word(&id, message)));
                            return;
                        }
                    }
                    message => route.take(message),
                }
            }
        }
    }

    /// What authority ended ends whole: a session with its stream.
    fn end(&self, lifeline: &Lifeline) {
        if let Some(session) = &lifeline.session {
            self.sessions.cut(session);
        }
    }

    /// Whether the chain behind a stream still stands.
    fn stands(&self, lifeline: &Lifeline) -> bool {
        let now = self.ports.host.now();
        // A session's authority may have been renewed since the stream opened.
        let renewed = lifeline.session.as_ref().map(|session| session.lease());
        let lease = renewed.as_ref().unwrap_or(&lifeline.lease);
        now < lease.expires && self.stand(&lease.recheck, now) == Stand::Stands
    }
}
