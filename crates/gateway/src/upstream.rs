//! The one HTTP client towards tool servers, and what may come back.
//!
//! It follows no redirect, uses no proxy, sends only headers made here, and
//! reads answers up to a bound. Nothing of the caller's request but the
//! checked message reaches a tool server.

use std::time::Duration;

use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_policy::mcp_methods::Era;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::config::Config;
use crate::ports::{Pin, ToolServer};
use crate::relay::Events;
use crate::rpc::Message;
use crate::sse;
use crate::stages::evidence::Outcome;
use crate::wire::{DENIED, NOT_AUTHENTICATED};

/// A request to a tool server.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) server: &'a ToolServer,
    pub(crate) era: Era,
    /// The body's method; none for an answer to the server.
    pub(crate) method: Option<&'a str>,
    /// What `Mcp-Name` repeats.
    pub(crate) name: Option<&'a str>,
    /// `Mcp-Param-…`, from the pinned schema and the checked arguments.
    pub(crate) params: Vec<(HeaderName, HeaderValue)>,
    pub(crate) session: Option<&'a str>,
    pub(crate) body: Vec<u8>,
}

/// An answer with the right id.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) message: Object,
    pub(crate) bytes: usize,
    pub(crate) session: Option<String>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection: nothing was sent.
    Unreachable,
    /// The delegation ended before the call could leave.
    Late,
    /// The tool server does not know the session.
    SessionEnded,
    /// No answer in time.
    TimedOut,
    /// The connection broke after the request left.
    Broken,
    /// Larger than allowed.
    TooLarge {
        /// What had been read.
        bytes: usize,
    },
    /// Holds the gateway's own credential.
    Leak {
        /// What had been read.
        bytes: usize,
    },
    /// Not an answer of the protocol.
    Garbage {
        /// What had been read.
        bytes: usize,
    },
    /// An HTTP status that is no answer.
    Status(u16),
}

impl Failure {
    /// What it means for a call.
    pub(crate) fn outcome(self) -> Outcome {
        match self {
            Self::Unreachable | Self::Late | Self::SessionEnded => Outcome::NotExecuted,
            Self::TimedOut => Outcome::Timeout,
            Self::Broken => Outcome::Unknown,
            Self::TooLarge { .. } | Self::Leak { .. } | Self::Garbage { .. } | Self::Status(_) => {
                Outcome::Error
            }
        }
    }

    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::TooLarge { bytes } | Self::Leak { bytes } | Self::Garbage { bytes } => bytes,
            _ => 0,
        }
    }

    /// Code, sentence and remedy.
    pub(crate) fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Unreachable => (
                "upstream-unavailable",
                "the tool server cannot be reached; the call was not executed",
                "try again later",
            ),
            Self::Late => (
                "upstream-not-called",
                "the delegation ran out before the call could be sent",
                "ask for a new delegation",
            ),
            Self::SessionEnded => (
                "upstream-session-ended",
                "the tool server ended the session; the call was not executed",
                "open a session and call again",
            ),
            Self::TimedOut => (
                "upstream-timeout",
                "the tool server did not answer in time; the call may have had its effect",
                "find out what happened before calling again",
            ),
            Self::Broken => (
                "upstream-broken",
                "the connection to the tool server broke; the call may have had its effect",
                "find out what happened before calling again",
            ),
            Self::TooLarge { .. } => (
                "upstream-too-large",
                "the tool server's answer is larger than allowed",
                "ask for less at once",
            ),
            Self::Leak { .. } => (
                "upstream-leak",
                "the tool server's answer holds a secret of the gateway and is withheld",
                "tell the tool server's owner, and change its credential",
            ),
            Self::Garbage { .. } => (
                "upstream-garbage",
                "the tool server's answer does not follow the protocol",
                "tell the tool server's owner",
            ),
            Self::Status(_) => (
                "upstream-status",
                "the tool server refused the gateway or failed",
                "tell the tool server's owner",
            ),
        }
    }
}

/// The HTTP client.
#[derive(Debug)]
pub(crate) struct Upstream {
    http: reqwest::Client,
    max_bytes: usize,
    json: JsonLimits,
}

impl Upstream {
    pub(crate) fn new(config: &Config) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            // SECURITY: the credential is for the catalogued address only.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(config.connect_timeout)
            .tcp_nodelay(true)
            .pool_max_idle_per_host(64)
            .build()?;
        Ok(Self { http, max_bytes: config.max_response_bytes, json: config.response_json() })
    }

    fn headers(outgoing: &Outgoing<'_>) -> Option<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(
            header::ACCEPT,
            HeaderValue::from_static("application/json, text/event-stream"),
        );
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(credential) = &outgoing.server.credential {
            let mut value = HeaderValue::from_str(credential.authorization().as_str()).ok()?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        if outgoing.method != Some("initialize") {
            let version = HeaderValue::from_static(outgoing.era.version());
            headers.insert(HeaderName::from_static("mcp-protocol-version"), version);
        }
        match outgoing.era {
            Era::Sessions => {
                if let Some(session) = outgoing.session {
                    let value = HeaderValue::from_str(session).ok()?;
                    headers.insert(HeaderName::from_static("mcp-session-id"), value);
                }
            }
            Era::Stateless => {
                if let Some(method) = outgoing.method {
                    let value = HeaderValue::from_str(method).ok()?;
                    headers.insert(HeaderName::from_static("mcp-method"), value);
                }
                if let Some(name) = outgoing.name {
                    headers.insert(HeaderName::from_static("mcp-name"), encoded(name)?);
                }
                headers.extend(outgoing.params.iter().cloned());
            }
        }
        Some(headers)
    }

    /// Sends a request and waits for its answer; other messages of the server
    /// go to `events` on the way.
    pub(crate) async fn exchange(
        &self,
        outgoing: Outgoing<'_>,
        id: &Json,
        limit: Duration,
        events: &mut Events,
    ) -> Result<Received, Failure> {
        let sent_in_session = outgoing.session.is_some();
        let server = outgoing.server;
        let work = async {
            let response = self.post(outgoing).await?;
            self.receive(response, server, id, sent_in_session, events).await
        };
        tokio::time::timeout(limit, work).await.unwrap_or(Err(Failure::TimedOut))
    }

    /// Sends a notification, or an answer to the server.
    pub(crate) async fn notify(
        &self,
        outgoing: Outgoing<'_>,
        limit: Duration,
    ) -> Result<(), Failure> {
        let in_session = outgoing.session.is_some();
        match tokio::time::timeout(limit, self.post(outgoing)).await {
            Err(_) => Err(Failure::TimedOut),
            Ok(Err(failure)) => Err(failure),
            Ok(Ok(response)) if response.status().is_success() => Ok(()),
            Ok(Ok(response)) if response.status() == StatusCode::NOT_FOUND && in_session => {
                Err(Failure::SessionEnded)
            }
            Ok(Ok(response)) => Err(Failure::Status(response.status().as_u16())),
        }
    }

    /// Sends a POST and returns once the answer's headers are there.
    pub(crate) async fn post(&self, outgoing: Outgoing<'_>) -> Result<reqwest::Response, Failure> {
        let headers = Self::headers(&outgoing).ok_or(Failure::Unreachable)?;
        self.http
            .post(outgoing.server.url.clone())
            .headers(headers)
            .body(outgoing.body)
            .send()
            .await
            .map_err(|error| failure(&error))
    }

    /// Opens the common stream of a session, or ends the session.
    pub(crate) async fn bare(
        &self,
        verb: http::Method,
        server: &ToolServer,
        session: &str,
    ) -> Result<reqwest::Response, Failure> {
        let outgoing = Outgoing {
            server,
            era: Era::Sessions,
            method: None,
            name: None,
            params: Vec::new(),
            session: Some(session),
            body: Vec::new(),
        };
        let mut headers = Self::headers(&outgoing).ok_or(Failure::Unreachable)?;
        headers.remove(header::CONTENT_TYPE);
        self.http
            .request(verb, server.url.clone())
            .headers(headers)
            .send()
            .await
            .map_err(|error| failure(&error))
    }

    async fn receive(
        &self,
        mut response: reqwest::Response,
        server: &ToolServer,
        id: &Json,
        sent_in_session: bool,
        events: &mut Events,
    ) -> Result<Received, Failure> {
        let status = response.status();
        if status == StatusCode::NOT_FOUND && sent_in_session {
            return Err(Failure::SessionEnded);
        }
        let session = response
            .headers()
            .get("mcp-session-id")
            .and_then(|v| v.to_str().ok())
            .map(str::to_owned);
        let mut bytes = 0usize;
        if is_media(response.headers(), "text/event-stream") && status.is_success() {
            let mut reader = sse::Reader::new(self.max_bytes);
            while let Some(piece) = response.chunk().await.map_err(|e| failure(&e))? {
                bytes = bytes.saturating_add(piece.len());
                if bytes > self.max_bytes {
                    return Err(Failure::TooLarge { bytes });
                }
                let data = reader.feed(&piece).map_err(|_| Failure::TooLarge { bytes })?;
                for data in data {
                    let message = self.message(&data, server, bytes)?;
                    match message {
                        Message::Response { id: answered, message } if answered == *id => {
                            return Ok(Received { message, bytes, session });
                        }
                        Message::Response { .. } => return Err(Failure::Garbage { bytes }),
                        other => events.take(other),
                    }
                }
            }
            // The stream ended without the answer.
            return Err(Failure::Broken);
        }
        if !is_media(response.headers(), "application/json") {
            return Err(if status.is_success() {
                Failure::Garbage { bytes }
            } else {
                Failure::Status(status.as_u16())
            });
        }
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|e| failure(&e))? {
            bytes = bytes.saturating_add(piece.len());
            if bytes > self.max_bytes {
                return Err(Failure::TooLarge { bytes });
            }
            body.extend_from_slice(&piece);
        }
        match self.message(&body, server, bytes) {
            Ok(Message::Response { id: answered, message }) if answered == *id => {
                Ok(Received { message, bytes, session })
            }
            Err(leak @ Failure::Leak { .. }) => Err(leak),
            _ if !status.is_success() => Err(Failure::Status(status.as_u16())),
            _ => Err(Failure::Garbage { bytes }),
        }
    }

    /// One message of a tool server, read as strictly as one of a client, of
    /// an answer of which `bytes` were read.
    ///
    /// # Errors
    /// [`Failure::Leak`], [`Failure::Garbage`].
    pub(crate) fn message(
        &self,
        text: &[u8],
        server: &ToolServer,
        bytes: usize,
    ) -> Result<Message, Failure> {
        // SECURITY: agents never hold tool credentials (DESIGN rule 5), also
        // not because a tool server echoes what it was sent.
        if server.credential.as_ref().is_some_and(|secret| secret.is_shown_by(text)) {
            tracing::error!(server = %server.name, "the tool server's answer holds its credential");
            return Err(Failure::Leak { bytes });
        }
        let json = Json::parse(text, &self.json).map_err(|_| Failure::Garbage { bytes })?;
        match Message::read(json) {
            // SECURITY: a denial is the gateway's word only. A tool server that
            // forged one could make an agent repeat what was done.
            Ok(Message::Response { message, .. }) if is_denial(&message) => {
                tracing::error!(server = %server.name, "the tool server answers with a denial");
                Err(Failure::Garbage { bytes })
            }
            Ok(message) => Ok(message),
            Err(_) => Err(Failure::Garbage { bytes }),
        }
    }

    pub(crate) fn max_bytes(&self) -> usize {
        self.max_bytes
    }
}

/// Whether an answer has one of the error codes that are the gateway's own.
fn is_denial(message: &Object) -> bool {
    message
        .member("error")
        .and_then(|e| e.as_object()?.member("code")?.as_number()?.as_plain_integer())
        .is_some_and(|code| code == DENIED || code == NOT_AUTHENTICATED)
}

pub(crate) fn is_media(headers: &HeaderMap, media_type: &str) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.split(';').next())
        .is_some_and(|v| v.trim().eq_ignore_ascii_case(media_type))
        // Nothing here unpacks: a packed answer is not read.
        && headers
            .get(header::CONTENT_ENCODING)
            .is_none_or(|v| v.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn failure(error: &reqwest::Error) -> Failure {
    if error.is_connect() || error.is_builder() {
        Failure::Unreachable
    } else if error.is_timeout() {
        Failure::TimedOut
    } else {
        Failure::Broken
    }
}

/// A header value, in base64 where it is not plain.
fn encoded(text: &str) -> Option<HeaderValue> {
    let plain = text.bytes().all(|b| (0x21..=0x7e).contains(&b) || b == b' ')
        && text.trim() == text
        && !text.starts_with("=?base64?");
    if plain {
        return HeaderValue::from_str(text).ok();
    }
    HeaderValue::from_str(&format!("=?base64?{}?=", base64(text.as_bytes()))).ok()
}

/// Standard base64 with padding, from the core's URL-safe form.
fn base64(bytes: &[u8]) -> String {
    let mut text: String = bailiwick_core::crypto::base64url(bytes)
        .chars()
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            c => c,
        })
        .collect();
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// `Mcp-Param-…` for the arguments whose pinned schema asks for it
/// (2026-07-28): rebuilt from what was checked, never taken from the caller.
pub(crate) fn param_headers(pin: &Pin, arguments: &Object) -> Vec<(HeaderName, HeaderValue)> {
    let properties = pin
        .schema
        .as_ref()
        .and_then(Json::as_object)
        .and_then(|schema| schema.member("properties")?.as_object());
    let Some(properties) = properties else { return Vec::new() };
    let header = |(name, property): (&str, &Json)| {
        let asked = property.as_object()?.member("x-mcp-header")?.as_str()?;
        let value = match arguments.member(name)? {
            Json::String(text) => encoded(text)?,
            scalar @ (Json::Bool(_) | Json::Number(_)) => {
                HeaderValue::from_str(&scalar.canonical()).ok()?
            }
            _ => return None,
        };
        let name = format!("mcp-param-{}", asked.to_ascii_lowercase());
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
    };
    properties.iter().filter_map(header).collect()
}
