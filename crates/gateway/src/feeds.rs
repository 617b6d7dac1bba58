//! What is said to a caller on one stream, in order, and what of it is kept for
//! a client whose connection breaks (MCP 2025-11-25, "Resumability and
//! Redelivery").
//!
//! The gateway keeps its own events; the ids of a tool server stay on its
//! side. What is sent again is what was sent, or would have been: it passed the
//! table of methods, the caller's scope and the search for secrets. A feed is
//! found only within its session, which only the session's key opens. Nothing
//! is written to disk: a session ends with the process.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use bailiwick_core::time::Timestamp;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::watch;

use crate::sse;

mod kept;

pub(crate) use kept::{About, Feeds, Kept, LastId, Rest};

/// Bytes that may wait for a slow reader, if there are several events.
const MAX_WAITING_BYTES: usize = 32 << 20;

/// Room for kept events, of all sessions together.
#[derive(Debug)]
pub(crate) struct Room {
    used: AtomicUsize,
    most: usize,
    most_of_one: usize,
    events_of_one: usize,
}

impl Room {
    /// Room for so many bytes in all and of one feed, and for so many events of
    /// one.
    pub(crate) fn new((most, most_of_one): (usize, usize), events_of_one: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), most, most_of_one, events_of_one })
    }

    fn is_exceeded(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.most
    }
}

/// One stream of events to one caller.
#[derive(Debug)]
pub(crate) struct Feed {
    log: Mutex<Log>,
    changed: watch::Sender<()>,
    room: Arc<Room>,
}

#[derive(Debug, Default)]
struct Log {
    /// A feed without a name cannot be resumed, and its events have no ids.
    name: Option<String>,
    events: VecDeque<Event>,
    /// The number of the next event.
    next: u64,
    /// The number of the first event that no reader took.
    unread: u64,
    /// The call's answer.
    last_word: Option<LastWord>,
    bytes: usize,
    /// How many of them are in the room for all.
    counted: usize,
    /// The reader of now; an earlier one ends.
    reader: Option<u64>,
    readers: u64,
    /// This reader ends once it has read all, and its client comes back.
    released: Option<u64>,
    over: bool,
    idle_since: Option<Timestamp>,
}

#[derive(Debug)]
struct Event {
    number: u64,
    /// Empty, if it only tells the client from where to go on.
    data: Vec<u8>,
}

/// A call's answer, of which something stays until somebody takes it.
#[derive(Debug)]
struct LastWord {
    number: u64,
    /// What is said in its place when it is too large to be kept.
    brief: Vec<u8>,
}

impl Log {
    /// Bytes that are kept for a client that may come back. What a reader is
    /// about to take is not: somebody else's slow reader takes no room here.
    fn kept(&self) -> usize {
        if self.name.is_some() && self.reader.is_none() {
            return self.bytes;
        }
        let waits = self.events.iter().rev().take_while(|event| event.number >= self.unread);
        self.bytes.saturating_sub(waits.map(|event| event.data.len()).sum())
    }

    /// The call's answer, if nobody took it.
    fn last_word(&self) -> Option<&LastWord> {
        self.last_word.as_ref().filter(|word| word.number >= self.unread)
    }

    /// The number of the first event that is still there, or comes.
    fn first(&self) -> u64 {
        self.events.front().map_or(self.next, |event| event.number)
    }

    fn written(&self, event: &Event) -> Vec<u8> {
        match &self.name {
            Some(name) => sse::numbered(&format!("{name}.{}", event.number), &event.data),
            None => sse::event(&event.data),
        }
    }
}

impl Feed {
    pub(crate) fn new(room: &Arc<Room>) -> Arc<Self> {
        let changed = watch::Sender::new(());
        Arc::new(Self { log: Mutex::default(), changed, room: Arc::clone(room) })
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event; false, if nobody can read it any more.
    pub(crate) fn push(&self, data: Vec<u8>) -> bool {
        let mut log = self.log();
        let deserted = log.name.is_none() && log.readers > 0 && log.reader.is_none();
        if log.over || deserted {
            return false;
        }
        self.add(&mut log, data);
        drop(log);
        self.changed.send_modify(|()| {});
        true
    }

    fn add(&self, log: &mut Log, data: Vec<u8>) {
        log.bytes = log.bytes.saturating_add(data.len());
        let number = log.next;
        log.next = number.saturating_add(1);
        log.events.push_back(Event { number, data });
        self.trim(log);
    }

    /// Brings the room for all up to date.
    fn count(&self, log: &mut Log) {
        let kept = log.kept();
        self.room.used.fetch_add(kept, Ordering::Relaxed);
        self.room.used.fetch_sub(log.counted, Ordering::Relaxed);
        log.counted = kept;
    }

    /// Lets events go that are beyond the bounds. What a reader is about to
    /// take goes last.
    fn trim(&self, log: &mut Log) {
        self.count(log);
        while let Some(front) = log.events.front() {
            let taken = front.number < log.unread;
            let crowded = log.events.len() > self.room.events_of_one
                || (log.bytes > MAX_WAITING_BYTES && log.events.len() > 1);
            let full = log.bytes > self.room.most_of_one || self.room.is_exceeded();
            let goes = match &log.name {
                None => taken,
                Some(_) => full && (taken || log.reader.is_none()),
            };
            if !goes && !crowded {
                return;
            }
            if log.last_word().is_some_and(|word| word.number == log.first()) {
                return self.shorten(log);
            }
            self.drop_first(log);
        }
    }

    fn drop_first(&self, log: &mut Log) {
        if let Some(event) = log.events.pop_front() {
            log.bytes = log.bytes.saturating_sub(event.data.len());
            self.count(log);
        }
    }

    /// Keeps of an answer only that there was one.
    fn shorten(&self, log: &mut Log) {
        if let (Some(answer), Some(word)) = (log.events.front_mut(), &log.last_word)
            && answer.data.len() > word.brief.len()
        {
            answer.data.clone_from(&word.brief);
            log.bytes = answer.data.len();
            self.count(log);
        }
    }

    /// Begins a stream whose answer is still to come: the client learns from
    /// where it can go on.
    pub(crate) fn prime(&self) {
        let mut log = self.log();
        if log.name.is_some() && log.next == 0 && !log.over {
            self.add(&mut log, Vec::new());
            drop(log);
            self.changed.send_modify(|()| {});
        }
    }

    /// Closes the connection to a client that can come back: the tool server
    /// closed its own and goes on working.
    pub(crate) fn release(&self) {
        let mut log = self.log();
        if log.name.is_some() && log.next > 0 {
            log.released = log.reader;
            drop(log);
            self.changed.send_modify(|()| {});
        }
    }

    /// Ends the feed with a call's answer; false, if the answer is not to be
    /// one of a stream: nothing was said before, and it need not be. `brief` is
    /// kept in its place if nobody reads it and it is too large.
    pub(crate) fn answer(&self, message: &[u8], brief: &[u8], streamed: bool) -> bool {
        self.end(self.log(), message, brief, streamed)
    }

    fn end(
        &self,
        mut log: MutexGuard<'_, Log>,
        message: &[u8],
        brief: &[u8],
        streamed: bool,
    ) -> bool {
        let streams = (streamed || log.next > 0) && !log.over;
        if streams {
            log.last_word = Some(LastWord { number: log.next, brief: brief.to_vec() });
            self.add(&mut log, message.to_vec());
        }
        log.over = true;
        drop(log);
        self.changed.send_modify(|()| {});
        streams
    }

    /// The same for a call whose authority was taken back: what nobody read
    /// yet is not shown any more.
    pub(crate) fn withhold(&self, message: &[u8]) -> bool {
        let mut log = self.log();
        while !log.events.is_empty() {
            self.drop_first(&mut log);
        }
        // Under the same guard: nothing comes between.
        self.end(log, message, message, false)
    }

    /// Nothing more comes for now.
    pub(crate) fn finish(&self) {
        self.log().over = true;
        self.changed.send_modify(|()| {});
    }

    /// It goes on.
    fn reopen(&self) {
        self.log().over = false;
    }

    /// Ends it for whoever reads it: what was not read is not shown any more.
    fn cut(&self) {
        let mut log = self.log();
        while !log.events.is_empty() {
            self.drop_first(&mut log);
        }
        log.last_word = None;
        log.reader = None;
        log.over = true;
        drop(log);
        self.changed.send_modify(|()| {});
    }

    /// Whether somebody reads what is said already, and has not read it all.
    fn is_being_read_out(&self) -> bool {
        let log = self.log();
        log.over && log.reader.is_some() && log.unread < log.next
    }

    /// Whether it came to its end.
    pub(crate) fn is_over(&self) -> bool {
        self.log().over
    }

    /// Whether anything was said.
    pub(crate) fn has_begun(&self) -> bool {
        self.log().next > 0
    }

    /// Waits for the first event.
    pub(crate) async fn began(&self) {
        let mut changed = self.changed.subscribe();
        while self.log().next == 0 {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    fn is_deserted(&self) -> bool {
        let log = self.log();
        log.name.is_none() && log.reader.is_none()
    }

    /// Waits until a feed that cannot be resumed has no reader.
    pub(crate) async fn deserted(&self) {
        let mut changed = self.changed.subscribe();
        while !self.is_deserted() {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// A reader of what comes after an event, or of what nobody read; nothing,
    /// if events after that one are gone or it never was. An answer that nobody
    /// took comes also when what was said before it is gone.
    pub(crate) fn read(self: &Arc<Self>, after: Option<u64>) -> Option<Reader> {
        let Some(last) = after else { return Some(self.follow()) };
        let log = self.log();
        let at = last.saturating_add(1);
        if last >= log.next || (at < log.first() && log.last_word().is_none()) {
            return None;
        }
        let at = at.max(log.first());
        Some(self.attach(log, at))
    }

    /// A reader of what nobody read.
    pub(crate) fn follow(self: &Arc<Self>) -> Reader {
        let log = self.log();
        let at = log.unread;
        self.attach(log, at)
    }

    /// An earlier reader ends: no event goes out on two connections.
    fn attach(self: &Arc<Self>, mut log: MutexGuard<'_, Log>, at: u64) -> Reader {
        let changed = self.changed.subscribe();
        log.unread = at;
        let generation = log.readers;
        log.readers = generation.saturating_add(1);
        log.reader = Some(generation);
        log.idle_since = None;
        self.count(&mut log);
        drop(log);
        self.changed.send_modify(|()| {});
        Reader { feed: Arc::clone(self), generation, at, changed }
    }

    /// Whether nobody reads it and nothing more comes.
    fn is_idle(&self) -> bool {
        let log = self.log();
        log.reader.is_none() && log.over
    }

    /// Whether nobody came back for too long.
    fn is_stale(&self, now: Timestamp, kept_seconds: i64) -> bool {
        let mut log = self.log();
        if log.reader.is_some() {
            return false;
        }
        let since = *log.idle_since.get_or_insert(now);
        since.plus_seconds(kept_seconds) <= now
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.room.used.fetch_sub(self.log().counted, Ordering::Relaxed);
    }
}

/// One connection's view of a feed.
pub(crate) struct Reader {
    feed: Arc<Feed>,
    generation: u64,
    at: u64,
    changed: watch::Receiver<()>,
}

enum Taken {
    Event(Vec<u8>),
    Nothing,
    End,
}

impl Reader {
    fn take(&mut self) -> Taken {
        let mut log = self.feed.log();
        if log.reader != Some(self.generation) {
            return Taken::End;
        }
        let skipped = self.at.saturating_sub(log.first());
        let found = usize::try_from(skipped).ok().and_then(|i| log.events.get(i));
        let Some(event) = found else {
            let ends = log.over || log.released == Some(self.generation);
            return if ends { Taken::End } else { Taken::Nothing };
        };
        let text = log.written(event);
        self.at = event.number.saturating_add(1);
        log.unread = log.unread.max(self.at);
        self.feed.trim(&mut log);
        Taken::Event(text)
    }

    /// Whether something is there for it.
    pub(crate) fn has_more(&self) -> bool {
        self.at < self.feed.log().next
    }

    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.take() {
                Taken::Event(text) => return Some(text),
                Taken::End => return None,
                Taken::Nothing => self.changed.changed().await.ok()?,
            }
        }
    }

    /// The body of an answer.
    pub(crate) fn body(self) -> Body {
        Body::from_stream(stream::unfold(self, |mut reader| async move {
            let text = reader.next().await?;
            Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), reader))
        }))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut log = self.feed.log();
        if log.reader == Some(self.generation) {
            log.reader = None;
            self.feed.trim(&mut log);
        }
        drop(log);
        self.feed.changed.send_modify(|()| {});
    }
}

#[cfg(test)]
mod tests;
