//! One answer on its way to a caller: events before it, and once.

use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use bailiwick_core::accountable::Ended;
use bailiwick_core::ids::EntryId;
use bailiwick_core::json::Json;
use http::StatusCode;
use tokio::sync::oneshot;

use crate::feeds::{Feed, Reader, Room};
use crate::streams::events_response;
use crate::wire;

/// What a caller gets: events on the way, then an answer.
pub(crate) enum Reply {
    /// The call was not allowed.
    Refused(Box<Response>),
    /// The call was made; its answer is one JSON text.
    Answered { message: Vec<u8>, status: StatusCode },
    /// The call was made; its answer is the end of its feed.
    Streamed,
}

/// A call under way; dropping it does not stop it.
pub(crate) struct Running {
    feed: Arc<Feed>,
    /// There before the first event: what the call says waits for its caller.
    reader: Reader,
    pub(crate) reply: oneshot::Receiver<Reply>,
}

impl Running {
    /// One whose answer goes through the feed and the sender.
    pub(crate) fn begin(room: &Arc<Room>) -> (Self, Arc<Feed>, oneshot::Sender<Reply>) {
        let feed = Feed::new(room);
        let (done, reply) = oneshot::channel();
        let reader = feed.follow();
        (Self { feed: Arc::clone(&feed), reader, reply }, feed, done)
    }

    /// The answer over HTTP: JSON, or events when the tool server said something
    /// before it answered.
    pub(crate) async fn response(self) -> Response {
        let Self { feed, reader, reply } = self;
        tokio::select! {
            biased;
            reply = reply => match reply {
                Ok(Reply::Refused(response)) => *response,
                Ok(Reply::Answered { message, status }) => wire::json_bytes(status, message),
                // The events as they come, the answer, and the end.
                Ok(Reply::Streamed) => events_response(reader.body()),
                Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            },
            () = feed.began() => events_response(reader.body()),
        }
    }
}

/// The answer to an allowed call: what is said first counts.
pub(crate) struct Delivery {
    pub(crate) id: Json,
    /// The decision that it names.
    pub(crate) decision: EntryId,
    pub(crate) feed: Arc<Feed>,
    pub(crate) done: Option<oneshot::Sender<Reply>>,
}

impl Delivery {
    /// Its authority was taken back: what nobody read yet is not shown.
    pub(crate) fn withhold(&mut self, ended: &Ended) {
        let Some(done) = self.done.take() else { return };
        let message = wire::withheld(&self.id, ended, self.decision.as_str());
        let _ = done.send(match self.feed.withhold(&message) {
            true => Reply::Streamed,
            false => Reply::Answered { message, status: StatusCode::OK },
        });
    }

    /// The answer, as the end of a stream where it came as one.
    pub(crate) fn answer(&mut self, message: Vec<u8>, status: StatusCode, streamed: bool) {
        let Some(done) = self.done.take() else { return };
        let brief = wire::not_kept(&self.id, self.decision.as_str());
        let streams = self.feed.answer(&message, &brief, streamed && status == StatusCode::OK);
        let _ = done.send(match streams {
            true => Reply::Streamed,
            false => Reply::Answered { message, status },
        });
    }
}
