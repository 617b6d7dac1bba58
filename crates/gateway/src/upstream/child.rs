//! A child process that speaks MCP: one message a line on its standard
//! streams (MCP 2025-11-25 and 2026-07-28, "stdio").

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bailiwick_core::ids::ServerName;
use bailiwick_core::json::{Json, Object};
use tokio::io::{AsyncRead, AsyncWriteExt as _};
use tokio::process::{ChildStdin, Command};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::stdio::Program;
use super::{Failure, Reading, Source};
use crate::group::Group;
use crate::lines::{Lines, TooLong};
use crate::relay::{BUFFERED, Events};
use crate::rpc::{self, Message};

/// How long a child may take to end by itself once its input is closed.
const GRACE: Duration = Duration::from_secs(2);
/// How long what a child said before it ended may take to arrive.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A child under way. It ends when this is dropped, with all that it started.
#[derive(Debug)]
pub(super) struct Child {
    to: mpsc::Sender<Vec<u8>>,
    desk: Arc<Desk>,
    /// Cancelled when no process of it is left.
    gone: CancellationToken,
}

/// Who waits for what.
#[derive(Debug)]
struct Desk {
    state: Mutex<State>,
    over: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<String, Waiter>,
    streams: Vec<Stream>,
    over: bool,
}

#[derive(Debug)]
struct Waiter {
    answer: oneshot::Sender<Result<(Object, usize), Failure>>,
    events: mpsc::Sender<Message>,
    /// The token that progress of this request names.
    token: Option<Json>,
}

/// The common stream, or what `subscriptions/listen` with this id opened.
#[derive(Debug)]
struct Stream {
    id: Option<Json>,
    to: mpsc::Sender<Message>,
}

/// A request's place among those that wait. Dropped before the answer, it
/// tells the child that nobody waits any more.
struct Place<'a> {
    child: &'a Child,
    id: &'a Json,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.child.desk.state().waiting.remove(&self.id.canonical()).is_some() {
            let params = Object::new().with("requestId", self.id.clone());
            let notice = rpc::compose(None, "notifications/cancelled", Some(&params));
            let _ = self.child.to.try_send(rpc::text(&notice));
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.desk.over.cancel();
    }
}

impl Child {
    /// Starts the program with nothing in its environment but what it lists.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn start(
        program: &Program,
        server: &ServerName,
        reading: Reading,
    ) -> std::io::Result<Self> {
        let mut command = Command::new(&program.command);
        command.args(&program.arguments).env_clear();
        command.envs(program.environment.iter().map(|(name, value)| (name, value)));
        command.envs(program.secrets.iter().map(|(name, secret)| (name, secret.as_str())));
        if let Some(directory) = &program.directory {
            command.current_dir(directory);
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .process_group(0)
            .spawn()?;
        let gone = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let input = process.stdin.take().ok_or_else(gone)?;
        let output = process.stdout.take().ok_or_else(gone)?;
        let group = Group::of(process)?;
        let over = CancellationToken::new();
        let desk = Arc::new(Desk { state: Mutex::default(), over: over.clone() });
        let (to, lines) = mpsc::channel(BUFFERED);
        tokio::spawn(write(input, lines, over.clone()));
        let reader = Reader {
            desk: Arc::clone(&desk),
            to: to.downgrade(),
            server: server.clone(),
            program: program.clone(),
            reading,
        };
        tokio::spawn(reader.run(output));
        let name = server.clone();
        let gone = CancellationToken::new();
        let told = gone.clone().drop_guard();
        tokio::spawn(async move {
            let by_itself = tokio::select! {
                () = group.exited() => {
                    tokio::time::sleep(LAST_WORDS).await;
                    true
                }
                () = over.cancelled() => {
                    let _ = tokio::time::timeout(GRACE, group.exited()).await;
                    false
                }
            };
            over.cancel();
            let status = group.end().await.ok();
            if by_itself {
                tracing::warn!(server = %name, ?status, "the program ended");
            }
            drop(told);
        });
        Ok(Self { to, desk, gone })
    }

    /// Ends it, and waits until no process of it is left.
    pub(super) async fn end(&self) {
        self.desk.over.cancel();
        self.gone.cancelled().await;
    }

    /// Whether it ended.
    pub(super) fn is_over(&self) -> bool {
        self.desk.state().over || self.desk.over.is_cancelled()
    }

    /// Sends a request and waits for its answer, with the answer's size.
    pub(super) async fn ask(
        &self,
        body: Vec<u8>,
        id: &Json,
        token: Option<Json>,
        events: &mut Events,
    ) -> Result<(Object, usize), Failure> {
        let (answer, mut answered) = oneshot::channel();
        let (to, mut arriving) = mpsc::channel(BUFFERED);
        {
            let mut state = self.desk.state();
            // Two requests under one id could be given each other's answers.
            if state.over || state.waiting.contains_key(&id.canonical()) {
                return Err(Failure::Unreachable);
            }
            state.waiting.insert(id.canonical(), Waiter { answer, events: to, token });
        }
        let _place = Place { child: self, id };
        self.send(body).await?;
        loop {
            tokio::select! {
                biased;
                Some(message) = arriving.recv() => events.take(message),
                answer = &mut answered => {
                    while let Ok(message) = arriving.try_recv() {
                        events.take(message);
                    }
                    // Without a word: it ended, and what it did is not known.
                    return answer.unwrap_or(Err(Failure::Broken));
                }
            }
        }
    }

    /// Sends a message that has no answer.
    pub(super) async fn send(&self, body: Vec<u8>) -> Result<(), Failure> {
        self.to.send(body).await.map_err(|_| Failure::Unreachable)
    }

    /// The caller gave this request up.
    pub(super) fn cancelled(&self, id: &Json) {
        if let Some(waiter) = self.desk.state().waiting.remove(&id.canonical()) {
            let _ = waiter.answer.send(Err(Failure::Cancelled));
        }
    }

    /// What the child says of itself, or what belongs to the listening request
    /// `id`.
    pub(super) fn stream(&self, id: Option<Json>) -> Source {
        let (to, messages) = mpsc::channel(BUFFERED);
        let mut state = self.desk.state();
        state.streams.retain(|stream| !stream.to.is_closed());
        if !state.over {
            state.streams.push(Stream { id, to });
        }
        Source::Program(messages)
    }
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing more will come.
    fn close(&self, failure: Failure) {
        let mut state = self.state();
        state.over = true;
        state.streams.clear();
        for (_, waiter) in state.waiting.drain() {
            let _ = waiter.answer.send(Err(failure));
        }
    }
}

async fn write(mut input: ChildStdin, mut lines: mpsc::Receiver<Vec<u8>>, over: CancellationToken) {
    let work = async {
        while let Some(mut line) = lines.recv().await {
            line.push(b'\n');
            if input.write_all(&line).await.is_err() || input.flush().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = over.cancelled() => {}
    }
}

struct Reader {
    desk: Arc<Desk>,
    to: mpsc::WeakSender<Vec<u8>>,
    server: ServerName,
    program: Program,
    reading: Reading,
}

impl Reader {
    async fn run(self, output: impl AsyncRead + Unpin) {
        let failure = tokio::select! {
            failure = self.read(output) => failure,
            () = self.desk.over.cancelled() => Failure::Broken,
        };
        self.desk.close(failure);
        self.desk.over.cancel();
    }

    /// Takes lines until the end; gives what it means for those who wait.
    async fn read(&self, output: impl AsyncRead + Unpin) -> Failure {
        let mut lines = Lines::new(output, self.reading.max_bytes);
        loop {
            match lines.next().await {
                Ok(Some(line)) => self.take(&line),
                Ok(None) => return Failure::Broken,
                Err(TooLong { bytes }) => return Failure::TooLarge { bytes },
            }
        }
    }

    fn take(&self, line: &[u8]) {
        let text = line.trim_ascii();
        // Programs that greet on their output are common, and harmless.
        if !text.starts_with(b"{") {
            return;
        }
        let secrets = self.program.secrets.as_slice();
        let shown = |text: &[u8]| secrets.iter().any(|(_, secret)| secret.is_shown_by(text));
        let bytes = line.len();
        // SECURITY: an answer that shows a secret is withheld from who asked.
        let read = if shown(text) {
            tracing::error!(server = %self.server, "the program's answer holds a secret");
            Err(Failure::Leak { bytes })
        } else {
            self.reading.message(text, &self.server, None, bytes)
        };
        match read {
            Ok(Message::Response { id, message }) => self.answer(&id, Ok((message, bytes))),
            Ok(message) => self.route(message),
            Err(failure) => self.unreadable(text, failure),
        }
    }

    fn answer(&self, id: &Json, answer: Result<(Object, usize), Failure>) {
        let mut state = self.desk.state();
        if let Some(waiter) = state.waiting.remove(&id.canonical()) {
            let _ = waiter.answer.send(answer);
        } else if let Ok((message, _)) = answer
            && let Some(stream) = state.streams.iter().find(|s| s.id.as_ref() == Some(id))
        {
            let _ = stream.to.try_send(Message::Response { id: id.clone(), message });
        }
    }

    /// Fails the request that it answers, where that can be told; else all,
    /// since it may be the answer to any.
    fn unreadable(&self, text: &[u8], failure: Failure) {
        let answered = Json::parse(text, &self.reading.json).ok();
        let answered = answered.as_ref().and_then(Json::as_object);
        match answered.map(|message| message.member("id")) {
            Some(Some(id)) => self.answer(id, Err(failure)),
            Some(None) => {}
            None => {
                for (_, waiter) in self.desk.state().waiting.drain() {
                    let _ = waiter.answer.send(Err(failure));
                }
            }
        }
    }

    /// Who does not read fast enough misses what is dropped here, as with HTTP.
    fn route(&self, message: Message) {
        let mut state = self.desk.state();
        let params = match &message {
            Message::Notification { method, params } => Some((method.as_str(), params.as_ref())),
            _ => None,
        };
        let member = |name: &str| params.and_then(|(_, p)| p?.member(name).cloned());
        if params.is_some_and(|(method, _)| method == "notifications/progress") {
            let token = member("progressToken");
            let waiter = state.waiting.values().find(|w| w.token.is_some() && w.token == token);
            if let Some(waiter) = waiter {
                let _ = waiter.events.try_send(message);
            }
            return;
        }
        if let Message::Request { id, method, .. } = &message {
            // A program does not say which request its question belongs to, so
            // that it is passed on only where there is no doubt.
            let mut waiting = state.waiting.values();
            match (waiting.next(), waiting.next()) {
                (Some(only), None) => {
                    let _ = only.events.try_send(message);
                }
                _ => {
                    drop(state);
                    self.refuse(id, method);
                }
            }
            return;
        }
        let subscription = member("_meta").and_then(|meta| {
            meta.as_object()?.member("io.modelcontextprotocol/subscriptionId").cloned()
        });
        state.streams.retain(|stream| !stream.to.is_closed());
        if state.streams.is_empty() {
            if let Some(waiter) = state.waiting.values().next() {
                let _ = waiter.events.try_send(message);
            }
            return;
        }
        for stream in &state.streams {
            if subscription.is_none() || stream.id == subscription {
                let _ = stream.to.try_send(message.clone());
            }
        }
    }

    /// Answers a question that belongs to nobody's request, or to one of several.
    fn refuse(&self, id: &Json, method: &str) {
        let answer = if method == "ping" {
            rpc::result(id, Object::new())
        } else {
            rpc::error(Some(id), -32601, "this client does not offer that", Object::new())
        };
        if let Some(to) = self.to.upgrade() {
            let _ = to.try_send(rpc::text(&answer));
        }
    }
}
