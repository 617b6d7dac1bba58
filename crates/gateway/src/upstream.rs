//! The way to tool servers, and what may come back: one HTTP client, and
//! programs on their standard streams.
//!
//! The client follows no redirect, uses no proxy, sends only headers made
//! here, and reads answers up to a bound. Nothing of the caller's request but
//! the checked message reaches a tool server.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::ids::ServerName;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_policy::mcp_methods::Era;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::broker::Broker;
use crate::credential::Credential;
use crate::ports::{ToolServer, UpstreamIdentity};
use crate::relay::Events;
use crate::rpc::Message;
use crate::stages::evidence::Outcome;
use crate::wire::{DENIED, NOT_AUTHENTICATED};

pub(crate) mod api;
mod child;
pub mod headers;
pub(crate) mod peer;
mod resumed;
mod source;
pub mod stdio;

pub(crate) use headers::param_headers;
pub(crate) use source::Source;
use stdio::{Program, Programs};

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
    /// It came as an event of a stream.
    pub(crate) streamed: bool,
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
    /// The connection broke after the request left, or the program ended.
    Broken,
    /// The caller gave the request up.
    Cancelled,
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
    /// Asks the agent's client what the workflow does not list.
    Asks {
        /// What had been read.
        bytes: usize,
    },
    /// Would go on as a task.
    Detached {
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
            // What goes on out of sight ends out of sight.
            Self::Broken | Self::Cancelled | Self::Detached { .. } => Outcome::Unknown,
            Self::TooLarge { .. }
            | Self::Leak { .. }
            | Self::Asks { .. }
            | Self::Garbage { .. }
            | Self::Status(_) => Outcome::Error,
        }
    }

    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::TooLarge { bytes }
            | Self::Leak { bytes }
            | Self::Asks { bytes }
            | Self::Detached { bytes }
            | Self::Garbage { bytes } => bytes,
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
            Self::Cancelled => (
                "upstream-cancelled",
                "the call was cancelled while the tool worked; it may have had its effect",
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
            Self::Asks { .. } => (
                "upstream-asks",
                "the tool server asks for what its workflow does not let it ask; the question is withheld",
                "have the workflow's owner list it under the tool server's `questions`",
            ),
            Self::Detached { .. } => (
                "upstream-detached",
                "the tool server goes on with the call as a task, which is not offered here; it may have its effect",
                "find out what happened before calling again",
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

/// How answers are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    max_bytes: usize,
    json: JsonLimits,
}

impl Reading {
    /// As many values as the bytes can hold.
    pub(crate) fn new(max_bytes: usize) -> Self {
        let max_depth = JsonLimits::DEFAULT.max_depth;
        Self { max_bytes, json: JsonLimits { max_bytes, max_depth, max_values: 2_000_000 } }
    }

    /// One message of a tool server, read as strictly as one of a client, of
    /// an answer of which `bytes` were read. It may show none of `secrets`.
    ///
    /// # Errors
    /// [`Failure::Leak`], [`Failure::Garbage`].
    fn message(
        &self,
        text: &[u8],
        server: &ServerName,
        credential: Option<&Credential>,
        bytes: usize,
    ) -> Result<Message, Failure> {
        // SECURITY: agents never hold tool credentials (DESIGN rule 5), also
        // not because a tool server echoes what it was sent.
        if credential.is_some_and(|credential| credential.is_shown_by(text)) {
            tracing::error!(%server, "the tool server's answer holds its credential");
            return Err(Failure::Leak { bytes });
        }
        let json = Json::parse(text, &self.json).map_err(|_| Failure::Garbage { bytes })?;
        match Message::read(json) {
            // SECURITY: a denial is the gateway's word only. A tool server that
            // forged one could make an agent repeat what was done.
            Ok(Message::Response { message, .. }) if is_denial(&message) => {
                tracing::error!(%server, "the tool server answers with a denial");
                Err(Failure::Garbage { bytes })
            }
            Ok(message) => Ok(message),
            Err(_) => Err(Failure::Garbage { bytes }),
        }
    }
}

/// An answer whose head is there, and the credential that it answers: what it
/// may not show.
struct Answer {
    response: reqwest::Response,
    credential: Option<Credential>,
}

/// The way to tool servers.
pub(crate) struct Upstream {
    http: reqwest::Client,
    broker: Option<Arc<Broker>>,
    programs: Programs,
    reading: Reading,
}

impl Upstream {
    /// A way to tool servers, of which those in `programs` are started here.
    pub(crate) fn new(
        reading: Reading,
        connect_timeout: Duration,
        programs: Vec<(ServerName, Program)>,
        broker: Option<Arc<Broker>>,
    ) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            // SECURITY: the credential is for the catalogued address only.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(connect_timeout)
            .tcp_nodelay(true)
            .pool_max_idle_per_host(64)
            .build()?;
        Ok(Self { http, broker, programs: Programs::new(programs, reading), reading })
    }

    /// Whether a tool server is a program that is started here.
    pub(crate) fn is_program(&self, server: &ToolServer) -> bool {
        self.programs.has(&server.name)
    }

    /// By whose account a tool server knows a call: a program that was given
    /// credentials of the gateway's has one environment, and one account, for all.
    pub(crate) fn shown_identity(&self, server: &ToolServer) -> Option<UpstreamIdentity> {
        let by_program = || self.programs.have_account(&server.name);
        server.shown_identity().or_else(|| by_program().then_some(UpstreamIdentity::Shared))
    }

    /// Ends the programs that were started here.
    pub(crate) async fn end_programs(&self) {
        self.programs.end_all().await;
    }

    fn headers(outgoing: &Outgoing<'_>) -> Option<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(
            header::ACCEPT,
            HeaderValue::from_static("application/json, text/event-stream"),
        );
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
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
                headers.extend(headers::repeated(outgoing.era, outgoing.method, outgoing.name)?);
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
        if self.is_program(outgoing.server) {
            let work = self.programs.exchange(outgoing, id, events);
            return tokio::time::timeout(limit, work).await.unwrap_or(Err(Failure::TimedOut));
        }
        let (server, session) = (outgoing.server, outgoing.session);
        let work = async {
            let answer = self.post(outgoing).await?;
            self.receive(answer, (server, session), id, events).await
        };
        tokio::time::timeout(limit, work).await.unwrap_or(Err(Failure::TimedOut))
    }

    /// Sends a notification, or an answer to the server.
    pub(crate) async fn notify(
        &self,
        outgoing: Outgoing<'_>,
        limit: Duration,
    ) -> Result<(), Failure> {
        if self.is_program(outgoing.server) {
            let work = self.programs.notify(outgoing);
            return tokio::time::timeout(limit, work).await.unwrap_or(Err(Failure::TimedOut));
        }
        let in_session = outgoing.session.is_some();
        match tokio::time::timeout(limit, self.post(outgoing)).await {
            Err(_) => Err(Failure::TimedOut),
            Ok(Err(failure)) => Err(failure),
            Ok(Ok(answer)) if answer.response.status().is_success() => Ok(()),
            Ok(Ok(answer)) if answer.response.status() == StatusCode::NOT_FOUND && in_session => {
                Err(Failure::SessionEnded)
            }
            Ok(Ok(answer)) => Err(Failure::Status(answer.response.status().as_u16())),
        }
    }

    /// Sends a POST and returns once the answer's headers are there.
    async fn post(&self, outgoing: Outgoing<'_>) -> Result<Answer, Failure> {
        let headers = Self::headers(&outgoing).ok_or(Failure::Unreachable)?;
        self.send(Method::POST, outgoing.server, headers, outgoing.body).await
    }

    async fn send(
        &self,
        verb: Method,
        server: &ToolServer,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Answer, Failure> {
        self.send_to(verb, server, server.url.clone(), headers, body).await
    }

    /// Sends a request with the credential that the broker set. One that the
    /// tool server refuses (401: nothing was done) is renewed, once.
    async fn send_to(
        &self,
        verb: Method,
        server: &ToolServer,
        url: url::Url,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Answer, Failure> {
        let body = bytes::Bytes::from(body);
        let sent = async |credential: Option<&Credential>| {
            let mut headers = headers.clone();
            headers.extend(credential.map(Credential::to_header));
            let request = self.http.request(verb.clone(), url.clone()).headers(headers);
            request.body(body.clone()).send().await.map_err(|error| failure(&error))
        };
        let carried = server.carried.as_ref();
        let credential = carried.map(|c| c.credential.clone());
        let response = sent(credential.as_ref()).await?;
        if response.status() == StatusCode::UNAUTHORIZED
            && let (Some(carried), Some(broker)) = (carried, &self.broker)
            && carried.credential.is_renewable()
            && let Some(renewed) = broker.renew(carried).await
        {
            let response = sent(Some(&renewed)).await?;
            return Ok(Answer { response, credential: Some(renewed) });
        }
        Ok(Answer { response, credential })
    }

    /// Sends a request whose answer is a stream.
    pub(crate) async fn listen(&self, outgoing: Outgoing<'_>) -> Result<Source, Failure> {
        if self.is_program(outgoing.server) {
            return self.programs.listen(outgoing).await;
        }
        Source::http(self.post(outgoing).await?, self.reading)
    }

    /// Opens the common stream of a session; with `after`, from after that
    /// event, or anew where the tool server does not know it any more.
    pub(crate) async fn common(
        &self,
        server: &ToolServer,
        session: &str,
        after: Option<&str>,
    ) -> Result<Source, Failure> {
        if self.is_program(server) {
            return self.programs.common(&server.name, session);
        }
        let mut answer = self.bare(Method::GET, server, session, after).await?;
        if after.is_some() && answer.response.status() == StatusCode::BAD_REQUEST {
            answer = self.bare(Method::GET, server, session, None).await?;
        }
        if answer.response.status() == StatusCode::NOT_FOUND {
            return Err(Failure::SessionEnded);
        }
        Source::http(answer, self.reading)
    }

    /// Ends a session.
    pub(crate) async fn end(&self, server: &ToolServer, session: &str) -> Result<(), Failure> {
        if self.is_program(server) {
            self.programs.end(&server.name, session);
            return Ok(());
        }
        self.bare(Method::DELETE, server, session, None).await.map(drop)
    }

    /// A request of a session without a body; with `after`, for what came on a
    /// stream after that event.
    async fn bare(
        &self,
        verb: Method,
        server: &ToolServer,
        session: &str,
        after: Option<&str>,
    ) -> Result<Answer, Failure> {
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
        if let Some(after) = after {
            let after = HeaderValue::from_str(after).map_err(|_| Failure::Unreachable)?;
            headers.insert("last-event-id", after);
        }
        self.send(verb, server, headers, Vec::new()).await
    }

    async fn receive(
        &self,
        answer: Answer,
        (server, sent_in): (&ToolServer, Option<&str>),
        id: &Json,
        events: &mut Events,
    ) -> Result<Received, Failure> {
        let status = answer.response.status();
        if status == StatusCode::NOT_FOUND && sent_in.is_some() {
            return Err(Failure::SessionEnded);
        }
        let session = answer
            .response
            .headers()
            .get("mcp-session-id")
            .and_then(|v| v.to_str().ok())
            .map(str::to_owned);
        if is_media(answer.response.headers(), "text/event-stream") && status.is_success() {
            events.opened();
            let (message, bytes) =
                self.receive_events(answer, (server, sent_in), id, events).await?;
            return Ok(Received { message, bytes, session, streamed: true });
        }
        let Answer { mut response, credential } = answer;
        let read = |text: &[u8], bytes| {
            self.reading.message(text, &server.name, credential.as_ref(), bytes)
        };
        let mut bytes = 0usize;
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
            if bytes > self.reading.max_bytes {
                return Err(Failure::TooLarge { bytes });
            }
            body.extend_from_slice(&piece);
        }
        match read(&body, bytes) {
            Ok(Message::Response { id: answered, message }) if answered == *id => {
                Ok(Received { message, bytes, session, streamed: false })
            }
            Err(leak @ Failure::Leak { .. }) => Err(leak),
            _ if !status.is_success() => Err(Failure::Status(status.as_u16())),
            _ => Err(Failure::Garbage { bytes }),
        }
    }
}

/// Whether an answer has one of the error codes that are the gateway's own.
fn is_denial(message: &Object) -> bool {
    message
        .member("error")
        .and_then(|e| e.as_object()?.member("code")?.as_number()?.as_plain_integer())
        .is_some_and(|code| code == DENIED || code == NOT_AUTHENTICATED)
}

fn is_media(headers: &HeaderMap, media_type: &str) -> bool {
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
