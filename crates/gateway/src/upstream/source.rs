//! Streams of a tool server that stay open.

use super::{Answer, Failure, Reading, is_media};
use crate::credential::Credential;
use crate::ports::ToolServer;
use crate::rpc::Message;
use crate::sse;

/// Messages of a tool server that come as long as it likes.
pub(crate) enum Source {
    /// Events of an HTTP answer.
    Http {
        response: Box<reqwest::Response>,
        reader: Box<sse::Reader>,
        reading: Reading,
        credential: Option<Credential>,
    },
    /// What a program says of itself.
    Program(tokio::sync::mpsc::Receiver<Message>),
}

impl Source {
    pub(super) fn http(answer: Answer, reading: Reading) -> Result<Self, Failure> {
        let Answer { response, credential } = answer;
        if !response.status().is_success() || !is_media(response.headers(), "text/event-stream") {
            return Err(Failure::Status(response.status().as_u16()));
        }
        let reader = Box::new(sse::Reader::new(reading.max_bytes));
        Ok(Self::Http { response: Box::new(response), reader, reading, credential })
    }

    /// The id of the last event that had one.
    pub(crate) fn last_id(&self) -> Option<&str> {
        match self {
            Self::Http { reader, .. } => reader.last_id(),
            Self::Program(_) => None,
        }
    }

    /// What came next, perhaps nothing; `None` at the end, and when it cannot
    /// be read.
    pub(crate) async fn next(&mut self, server: &ToolServer) -> Option<Vec<Message>> {
        match self {
            Self::Program(messages) => Some(vec![messages.recv().await?]),
            Self::Http { response, reader, reading, credential } => {
                let piece = response.chunk().await.ok()??;
                let shown = credential.as_ref();
                let read =
                    |data: Vec<u8>| reading.message(&data, &server.name, shown, data.len()).ok();
                reader.feed(&piece).ok()?.into_iter().map(read).collect()
            }
        }
    }
}
