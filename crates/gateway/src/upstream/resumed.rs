//! Answers that come as events. A tool server may close such a stream before
//! it has answered, or the connection breaks: in a session the rest is asked
//! for by the id of the last event (MCP 2025-11-25, "Resumability and
//! Redelivery"). The request itself is never sent twice.

use std::time::Duration;

use bailiwick_core::json::{Json, Object};
use http::Method;

use super::{Answer, Failure, Upstream, failure, is_media};
use crate::ports::ToolServer;
use crate::relay::Events;
use crate::rpc::Message;
use crate::sse;

/// Bounds on the pause before a stream is resumed, and the pause of a tool
/// server that names none, milliseconds.
const PAUSE_MS: (u64, u64, u64) = (50, 5_000, 1_000);

/// Times that a stream is resumed in a row without another event.
const MAX_IN_VAIN: usize = 5;

/// What one connection came to.
enum Ended {
    Answered(Object),
    /// Without the answer.
    Early(Failure),
}

impl Upstream {
    /// Reads events until the answer; other messages go to `events`.
    pub(super) async fn receive_events(
        &self,
        mut answer: Answer,
        (server, session): (&ToolServer, Option<&str>),
        id: &Json,
        events: &mut Events,
    ) -> Result<(Object, usize), Failure> {
        let mut reader = sse::Reader::new(self.reading.max_bytes);
        let (mut bytes, mut in_vain) = (0usize, 0usize);
        let mut last: Option<String> = None;
        loop {
            let early = match self
                .one_connection(&mut answer, (server, id), &mut reader, &mut bytes, events)
                .await?
            {
                Ended::Answered(message) => return Ok((message, bytes)),
                Ended::Early(failure) => failure,
            };
            let (Some(session), Some(from)) = (session, reader.last_id()) else {
                return Err(early);
            };
            in_vain = if last.as_deref() == Some(from) { in_vain.saturating_add(1) } else { 0 };
            if in_vain >= MAX_IN_VAIN {
                return Err(early);
            }
            let from = from.to_owned();
            if in_vain == 0 {
                events.closed();
            }
            let (least, most, usual) = PAUSE_MS;
            let pause = reader.retry_ms().unwrap_or(usual).clamp(least, most);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            // Whatever becomes of this, the request had left before.
            if let Ok(resumed) = self.bare(Method::GET, server, session, Some(&from)).await {
                let is_stream = is_media(resumed.response.headers(), "text/event-stream");
                if !resumed.response.status().is_success() || !is_stream {
                    return Err(early);
                }
                answer = resumed;
                reader.reconnect();
            }
            last = Some(from);
        }
    }

    async fn one_connection(
        &self,
        answer: &mut Answer,
        (server, id): (&ToolServer, &Json),
        reader: &mut sse::Reader,
        bytes: &mut usize,
        events: &mut Events,
    ) -> Result<Ended, Failure> {
        let Answer { response, credential } = answer;
        loop {
            let piece = match response.chunk().await {
                Ok(Some(piece)) => piece,
                Ok(None) => return Ok(Ended::Early(Failure::Broken)),
                Err(error) => return Ok(Ended::Early(failure(&error))),
            };
            *bytes = bytes.saturating_add(piece.len());
            if *bytes > self.reading.max_bytes {
                return Err(Failure::TooLarge { bytes: *bytes });
            }
            let data = reader.feed(&piece).map_err(|_| Failure::TooLarge { bytes: *bytes })?;
            for data in data {
                let shown = credential.as_ref();
                match self.reading.message(&data, &server.name, shown, *bytes)? {
                    Message::Response { id: answered, message } if answered == *id => {
                        return Ok(Ended::Answered(message));
                    }
                    Message::Response { .. } => return Err(Failure::Garbage { bytes: *bytes }),
                    other => events.take(other),
                }
            }
        }
    }
}
