//! Tool servers that are programs: started here, spoken to on their standard
//! streams.
//!
//! The command is what an operator gave to this process, never what a
//! catalogue, a workflow or a caller says: who can write those could otherwise
//! start programs on the gateway's host.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bailiwick_core::ids::ServerName;
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::mcp_methods::Era;

use super::child::Child;
use super::{Failure, Outgoing, Reading, Received, Source};
pub use crate::credential::Secret;
use crate::pins;
use crate::ports::ToolServer;
use crate::relay::Events;

/// Processes of one program at once: one a session, and one for what has none.
const MAX_CHILDREN: usize = 32;

/// Bytes of one page of a listing.
const MAX_LISTING_BYTES: usize = 16 << 20;

/// A program that is a tool server.
#[derive(Clone, Debug)]
pub struct Program {
    /// The command, found by the `PATH` in `environment`.
    pub command: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// All of its environment but the secrets; nothing is inherited.
    pub environment: Vec<(OsString, OsString)>,
    /// Variables that no answer of the program may show.
    pub secrets: Vec<(OsString, Secret)>,
    /// Whether some of them are the gateway's own credentials: then all callers are
    /// one to what the program reaches.
    pub has_account: bool,
    /// Where it runs; by default where this process does.
    pub directory: Option<PathBuf>,
}

/// The programs of this process.
#[derive(Debug)]
pub(super) struct Programs {
    of: HashMap<ServerName, Running>,
    reading: Reading,
}

#[derive(Debug)]
struct Running {
    program: Program,
    children: Mutex<Children>,
}

/// A process for each session, so that requests of two callers cannot meet,
/// and one for requests that stand for themselves.
#[derive(Debug, Default)]
struct Children {
    stateless: Option<Arc<Child>>,
    sessions: HashMap<String, Arc<Child>>,
    minted: u64,
}

impl Running {
    fn children(&self) -> MutexGuard<'_, Children> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Programs {
    pub(super) fn new(programs: Vec<(ServerName, Program)>, reading: Reading) -> Self {
        let running = |program| Running { program, children: Mutex::default() };
        Self { of: programs.into_iter().map(|(n, p)| (n, running(p))).collect(), reading }
    }

    pub(super) fn has(&self, server: &ServerName) -> bool {
        self.of.contains_key(server)
    }

    pub(super) fn have_account(&self, server: &ServerName) -> bool {
        self.of.get(server).is_some_and(|running| running.program.has_account)
    }

    fn start(&self, server: &ServerName, running: &Running) -> Result<Arc<Child>, Failure> {
        match Child::start(&running.program, server, self.reading) {
            Ok(child) => Ok(Arc::new(child)),
            Err(error) => {
                tracing::error!(%server, %error, "cannot start the program");
                Err(Failure::Unreachable)
            }
        }
    }

    /// The process that a message is for, and the session that it opens.
    fn child(&self, outgoing: &Outgoing<'_>) -> Result<(Arc<Child>, Option<String>), Failure> {
        let name = &outgoing.server.name;
        let running = self.of.get(name).ok_or(Failure::Unreachable)?;
        let mut children = running.children();
        children.sessions.retain(|_, child| !child.is_over());
        match (outgoing.era, outgoing.session) {
            (Era::Sessions, Some(session)) => {
                let child = children.sessions.get(session).ok_or(Failure::SessionEnded)?;
                Ok((Arc::clone(child), None))
            }
            (Era::Sessions, None) if outgoing.method == Some("initialize") => {
                if children.sessions.len() >= MAX_CHILDREN {
                    return Err(Failure::Unreachable);
                }
                let child = self.start(name, running)?;
                children.minted = children.minted.saturating_add(1);
                // It names a process to the gateway, and to nobody else.
                let session = format!("program-{}", children.minted);
                children.sessions.insert(session.clone(), Arc::clone(&child));
                Ok((child, Some(session)))
            }
            (Era::Sessions, None) => Err(Failure::SessionEnded),
            (Era::Stateless, _) => match &children.stateless {
                Some(child) if !child.is_over() => Ok((Arc::clone(child), None)),
                _ => {
                    let child = self.start(name, running)?;
                    children.stateless = Some(Arc::clone(&child));
                    Ok((child, None))
                }
            },
        }
    }

    pub(super) async fn exchange(
        &self,
        outgoing: Outgoing<'_>,
        id: &Json,
        events: &mut Events,
    ) -> Result<Received, Failure> {
        let (child, session) = self.child(&outgoing)?;
        let token = self.param(&outgoing.body, |params| {
            params.member("_meta")?.as_object()?.member("progressToken").cloned()
        });
        let answer = child.ask(outgoing.body, id, token, events).await;
        if let (Err(_), Some(session)) = (&answer, &session) {
            self.end(&outgoing.server.name, session);
        }
        let (message, bytes) = answer?;
        Ok(Received { message, bytes, session, streamed: false })
    }

    pub(super) async fn notify(&self, outgoing: Outgoing<'_>) -> Result<(), Failure> {
        let (child, _) = self.child(&outgoing)?;
        let cancelled = (outgoing.method == Some("notifications/cancelled"))
            .then(|| self.param(&outgoing.body, |params| params.member("requestId").cloned()))
            .flatten();
        child.send(outgoing.body).await?;
        if let Some(id) = cancelled {
            child.cancelled(&id);
        }
        Ok(())
    }

    /// A part of the parameters of a message that was composed here.
    fn param(&self, body: &[u8], of: impl Fn(&Object) -> Option<Json>) -> Option<Json> {
        let message = Json::parse(body, &self.reading.json).ok()?;
        of(message.as_object()?.member("params")?.as_object()?)
    }

    pub(super) async fn listen(&self, outgoing: Outgoing<'_>) -> Result<Source, Failure> {
        let (child, _) = self.child(&outgoing)?;
        let message = Json::parse(&outgoing.body, &self.reading.json).ok();
        let id = message.as_ref().and_then(|m| m.as_object()?.member("id").cloned());
        let stream = child.stream(id);
        child.send(outgoing.body).await?;
        Ok(stream)
    }

    pub(super) fn common(&self, server: &ServerName, session: &str) -> Result<Source, Failure> {
        let running = self.of.get(server).ok_or(Failure::Unreachable)?;
        let children = running.children();
        let child = children.sessions.get(session).filter(|child| !child.is_over());
        Ok(child.ok_or(Failure::SessionEnded)?.stream(None))
    }

    /// Ends every program with all that it started, and waits for that.
    pub(super) async fn end_all(&self) {
        let mut ending = Vec::new();
        for running in self.of.values() {
            let children = std::mem::take(&mut *running.children());
            ending.extend(children.stateless);
            ending.extend(children.sessions.into_values());
        }
        futures_util::future::join_all(ending.iter().map(|child| child.end())).await;
    }

    pub(super) fn end(&self, server: &ServerName, session: &str) {
        if let Some(running) = self.of.get(server) {
            running.children().sessions.remove(session);
        }
    }
}

/// What a program offers, each item as the program wrote it.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Items of `tools/list`.
    pub tools: Vec<Json>,
    /// Items of `prompts/list`.
    pub prompts: Vec<Json>,
    /// Items of `resources/list`.
    pub resources: Vec<Json>,
    /// Items of `resources/templates/list`.
    pub resource_templates: Vec<Json>,
}

/// Why a program's listing could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It does not start.
    #[error("cannot start `{command}`: {source}")]
    Start {
        /// The command.
        command: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// It offers no list of anything, or does not speak the protocol.
    #[error("{message}")]
    Answer {
        /// The stable code.
        code: &'static str,
        /// What happened.
        message: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// There is no HTTP client, which the listing does not use but the way to
    /// tool servers has.
    #[error("cannot make the HTTP client for tool servers: {source}")]
    Client {
        /// What it said.
        #[from]
        source: reqwest::Error,
    },
}

impl ProgramError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Start { .. } => "program-start",
            Self::Answer { code, .. } => code,
            Self::Client { .. } => "program-client",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Start { .. } => "check the command, and that PATH leads to it",
            Self::Answer { remedy, .. } => remedy,
            Self::Client { .. } => "install the process's TLS provider before the gateway starts",
        }
    }
}

/// Starts a program, reads what it offers as the gateway reads it when it
/// compares pins, and ends it. A kind that it does not offer is empty. No
/// single answer may take longer than `limit`.
///
/// # Errors
/// [`ProgramError`].
pub async fn list(
    program: &Program,
    name: &ServerName,
    limit: Duration,
) -> Result<Listing, ProgramError> {
    let reading = Reading::new(MAX_LISTING_BYTES);
    let programs = vec![(name.clone(), program.clone())];
    let upstream = super::Upstream::new(reading, limit, programs, None)?;
    let server = ToolServer::program(name.clone());
    let kinds = [
        ("tools/list", "tools"),
        ("prompts/list", "prompts"),
        ("resources/list", "resources"),
        ("resources/templates/list", "resourceTemplates"),
    ];
    let mut listed = Vec::new();
    let mut none = None;
    for found in pins::list_each(&upstream, limit, &server, kinds).await {
        match found {
            Ok(found) => {
                listed.push(found);
                continue;
            }
            // An error is how a server says that it has no such list.
            Err(failure @ Failure::Garbage { .. }) => none = Some(failure),
            Err(failure) => {
                // What a person must be told is why it does not start at all.
                Child::start(program, name, reading).map_err(|source| ProgramError::Start {
                    command: program.command.to_string_lossy().into_owned(),
                    source,
                })?;
                return Err(answer(failure));
            }
        }
        listed.push(Vec::new());
    }
    if let Some(failure) = none
        && listed.iter().all(Vec::is_empty)
    {
        return Err(answer(failure));
    }
    let mut listed = listed.into_iter();
    let mut next = || listed.next().unwrap_or_default();
    Ok(Listing { tools: next(), prompts: next(), resources: next(), resource_templates: next() })
}

fn answer(failure: Failure) -> ProgramError {
    let (code, message, remedy) = failure.words();
    ProgramError::Answer { code, message, remedy }
}
