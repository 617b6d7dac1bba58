//! An answer on its way to a caller of an agent: whole, or event by event.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::response::Response;
use bailiwick_core::accountable::Ended;
use bailiwick_core::ids::EntryId;
use bailiwick_core::json::{Json, Object};
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use tokio::sync::{mpsc, oneshot};

use crate::rpc;
use crate::sse;
use crate::streams::events_response;
use crate::wire::DECISION;
use crate::wire::peer::{Binding, Told, answer, result};

/// Where a caller is. What it does not read is bounded by what one answer may be.
pub(crate) struct Reply {
    binding: Binding,
    id: Json,
    decision: EntryId,
    state: Mutex<State>,
}

enum State {
    /// It has heard nothing.
    Waiting(oneshot::Sender<Response>),
    /// It reads events.
    Reading(mpsc::UnboundedSender<Bytes>),
    /// It has heard the last.
    Over,
}

impl Reply {
    pub(crate) fn new(
        binding: Binding,
        id: Json,
        decision: EntryId,
        done: oneshot::Sender<Response>,
    ) -> Self {
        Self { binding, id, decision, state: Mutex::new(State::Waiting(done)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn named(&self, mut response: Response) -> Response {
        if let Ok(value) = HeaderValue::from_str(self.decision.as_str()) {
            response.headers_mut().insert(DECISION, value);
        }
        response
    }

    fn finish(&self, response: impl FnOnce() -> Response, event: impl FnOnce() -> Option<Vec<u8>>) {
        match std::mem::replace(&mut *self.state(), State::Over) {
            // A caller that went away hears nothing.
            State::Waiting(done) => {
                let _ = done.send(self.named(response()));
            }
            State::Reading(events) => {
                let _ = event().map(|event| events.send(event.into()));
            }
            State::Over => {}
        }
    }

    /// The whole answer.
    pub(crate) fn answer(&self, whole: Object) {
        let body = result(self.binding, &self.id, whole);
        self.finish(|| answer(StatusCode::OK, self.binding, &body), || None);
    }

    /// One event more.
    pub(crate) fn event(&self, one: Object) {
        let body = result(self.binding, &self.id, one);
        let event = Bytes::from(sse::event(&rpc::text(&body)));
        let mut state = self.state();
        let begun = match std::mem::replace(&mut *state, State::Over) {
            State::Over => return,
            State::Reading(events) => events,
            State::Waiting(done) => {
                let (events, read) = mpsc::unbounded_channel::<Bytes>();
                let body = futures_util::stream::unfold(read, async |mut read| {
                    Some((Ok::<_, Infallible>(read.recv().await?), read))
                });
                let _ = done.send(self.named(events_response(Body::from_stream(body))));
                events
            }
        };
        let _ = begun.send(event);
        *state = State::Reading(begun);
    }

    /// An error is the last that is heard.
    pub(crate) fn fail(&self, told: &Told) {
        let response = || told.response(self.binding, &self.id);
        self.finish(response, || Some(told.event(self.binding, &self.id)));
    }

    /// Nothing of the call may be shown any more.
    pub(crate) fn withhold(&self, ended: &Ended) {
        self.fail(&Told::withheld(ended, self.decision.as_str()));
    }

    /// There is nothing more; a stream without events is one all the same.
    pub(crate) fn end(&self) {
        self.finish(|| events_response(Body::empty()), || None);
    }
}
