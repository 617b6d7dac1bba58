//! The way to agents that speak A2A: their card, and one request with its answer
//! or its events.

use std::collections::VecDeque;
use std::time::Duration;

use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_policy::a2a::VERSION;
use bailiwick_policy::a2a::card::MAX_CARD_BYTES;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use url::Url;

use super::{Answer, Failure, Upstream, failure, is_media};
use crate::ports::ToolServer;
use crate::rpc::Message;
use crate::sse;

/// A card has few levels: those of an extension's parameters are the deepest.
const CARD_JSON: JsonLimits =
    JsonLimits { max_bytes: MAX_CARD_BYTES, max_depth: 64, max_values: 20_000 };

/// What an agent answers with: JSON-RPC responses to one request, one of them or as
/// many as there are events.
pub(crate) struct Answers<'a> {
    upstream: &'a Upstream,
    server: &'a ToolServer,
    id: &'a Json,
    answer: Answer,
    /// None for a single answer.
    reader: Option<sse::Reader>,
    waiting: VecDeque<Vec<u8>>,
    /// Bytes that were read.
    pub(crate) bytes: usize,
    is_over: bool,
}

impl Upstream {
    /// The card that an agent shows at its catalogued address. It is public, so
    /// nothing is shown for it.
    pub(crate) async fn card(&self, server: &ToolServer, limit: Duration) -> Result<Json, Failure> {
        let work = async {
            let request = self.http.get(server.url.clone());
            let request = request
                .header(header::ACCEPT, "application/json")
                .header(header::ACCEPT_ENCODING, "identity");
            let mut response = request.send().await.map_err(|error| failure(&error))?;
            let status = response.status();
            if !status.is_success() {
                return Err(Failure::Status(status.as_u16()));
            }
            let mut body = Vec::new();
            while let Some(piece) = response.chunk().await.map_err(|e| failure(&e))? {
                if body.len().saturating_add(piece.len()) > MAX_CARD_BYTES {
                    return Err(Failure::TooLarge { bytes: body.len() });
                }
                body.extend_from_slice(&piece);
            }
            Json::parse(&body, &CARD_JSON).map_err(|_| Failure::Garbage { bytes: body.len() })
        };
        tokio::time::timeout(limit, work).await.unwrap_or(Err(Failure::TimedOut))
    }

    /// Sends a request of JSON-RPC to `url`, an address of the catalogued origin.
    pub(crate) async fn ask_peer<'a>(
        &'a self,
        server: &'a ToolServer,
        (url, extensions): (&Url, &[String]),
        id: &'a Json,
        body: Vec<u8>,
    ) -> Result<Answers<'a>, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let both = HeaderValue::from_static("application/json, text/event-stream");
        headers.insert(header::ACCEPT, both);
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert("a2a-version", HeaderValue::from_static(VERSION));
        if !extensions.is_empty() {
            let value = HeaderValue::from_str(&extensions.join(", "));
            headers.insert("a2a-extensions", value.map_err(|_| Failure::Unreachable)?);
        }
        let answer = self.send_to(Method::POST, server, url.clone(), headers, body).await?;
        let status = answer.response.status();
        let headers = answer.response.headers();
        let reader = match status.is_success() && is_media(headers, "text/event-stream") {
            true => Some(sse::Reader::new(self.reading.max_bytes)),
            false if !is_media(headers, "application/json") => {
                return Err(match status.is_success() {
                    true => Failure::Garbage { bytes: 0 },
                    false => Failure::Status(status.as_u16()),
                });
            }
            false => None,
        };
        let (waiting, upstream) = (VecDeque::new(), self);
        Ok(Answers { upstream, server, id, answer, reader, waiting, bytes: 0, is_over: false })
    }
}

impl Answers<'_> {
    /// Whether they come as events.
    pub(crate) const fn are_events(&self) -> bool {
        self.reader.is_some()
    }

    /// The next one; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Object>, Failure> {
        if self.reader.is_none() {
            return match std::mem::replace(&mut self.is_over, true) {
                true => Ok(None),
                false => self.single().await.map(Some),
            };
        }
        loop {
            if let Some(data) = self.waiting.pop_front() {
                return self.read(&data).map(Some);
            }
            let Some(piece) = self.answer.response.chunk().await.map_err(|e| failure(&e))? else {
                return Ok(None);
            };
            self.count(piece.len())?;
            let bytes = self.bytes;
            if let Some(reader) = &mut self.reader {
                let events = reader.feed(&piece).map_err(|_| Failure::TooLarge { bytes })?;
                self.waiting.extend(events);
            }
        }
    }

    /// All events of one answer together are bounded like one answer: nobody may
    /// read them as fast as they come.
    fn count(&mut self, more: usize) -> Result<(), Failure> {
        self.bytes = self.bytes.saturating_add(more);
        if self.bytes > self.upstream.reading.max_bytes {
            return Err(Failure::TooLarge { bytes: self.bytes });
        }
        Ok(())
    }

    async fn single(&mut self) -> Result<Object, Failure> {
        let mut body = Vec::new();
        while let Some(piece) = self.answer.response.chunk().await.map_err(|e| failure(&e))? {
            self.count(piece.len())?;
            body.extend_from_slice(&piece);
        }
        let status: StatusCode = self.answer.response.status();
        match self.read(&body) {
            Err(Failure::Garbage { .. }) if !status.is_success() => {
                Err(Failure::Status(status.as_u16()))
            }
            read => read,
        }
    }

    fn read(&self, data: &[u8]) -> Result<Object, Failure> {
        let credential = self.answer.credential.as_ref();
        let reading = &self.upstream.reading;
        match reading.message(data, &self.server.name, credential, self.bytes)? {
            Message::Response { id, message } if id == *self.id => Ok(message),
            _ => Err(Failure::Garbage { bytes: self.bytes }),
        }
    }
}
