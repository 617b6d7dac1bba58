//! Definitions against their pins.
//!
//! What a tool server says its tools are is compared with what a person
//! accepted: at start, on every listing that passes, when the server says that
//! its list changed, and before a call when the last comparison is older than
//! the bound. A tool whose definition differs is not called until it matches
//! again. One that nobody pinned is never called; it is reported for a person
//! to look at.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bailiwick_core::crypto::Digest;
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::ids::ServerName;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::a2a::card::CARD;
use bailiwick_policy::catalogue::{Definition, DefinitionKind};
use bailiwick_policy::mcp_methods::Era;

use crate::gateway::Inner;
use crate::ports::{Pin, PinMismatch, ToolServer};
use crate::relay::Events;
use crate::rpc;
use crate::upstream::{Failure, Outgoing, Received, Upstream};

mod card;

pub(crate) use card::{NoCard, fetch};

/// Pages and items of one listing.
const MAX_PAGES: usize = 50;
const MAX_ITEMS: usize = 2_000;

/// What is known of every tool server's definitions.
#[derive(Default)]
pub(crate) struct Pins {
    servers: Mutex<HashMap<ServerName, Arc<Watched>>>,
}

#[derive(Default)]
struct Watched {
    state: Mutex<State>,
    /// One comparison at a time.
    checking: tokio::sync::Mutex<Link>,
}

#[derive(Default)]
struct State {
    checked: Option<Timestamp>,
    /// Digests by operation, as last seen.
    found: HashMap<String, Digest>,
    /// Why an agent's card counted for nothing.
    refused: Option<&'static str>,
    reported: HashSet<(String, Option<Digest>, Option<Digest>)>,
}

/// How the gateway itself talks to a tool server.
#[derive(Default)]
enum Link {
    #[default]
    Unknown,
    Stateless,
    Session(Option<String>),
}

/// The operation that a definition belongs to.
fn operation(kind: DefinitionKind, name: &str) -> String {
    match kind {
        DefinitionKind::Tool => format!("tools/{name}"),
        DefinitionKind::Prompt => format!("prompts/{name}"),
        DefinitionKind::Card | DefinitionKind::Operation => name.to_owned(),
    }
}

fn read(kind: DefinitionKind, item: &Json) -> Option<Definition> {
    Definition::read(kind, item).ok()
}

impl Watched {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_fresh(&self, now: Timestamp, bound_seconds: i64) -> bool {
        self.state().checked.is_some_and(|at| {
            let age = now.millis_since(at);
            // A clock that was stepped back makes nothing fresh.
            (0..=bound_seconds.saturating_mul(1000)).contains(&age)
        })
    }
}

impl Pins {
    fn watched(&self, name: &ServerName) -> Arc<Watched> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(servers.entry(name.clone()).or_default())
    }

    /// The tool server says that a list changed.
    pub(crate) fn doubt(&self, name: &ServerName) {
        self.watched(name).state().checked = None;
    }

    /// Whether the definition is the pinned one, on an answer not older than
    /// the bound.
    ///
    /// # Errors
    /// [`Reason::ToolChanged`], or [`Reason::UpstreamUnavailable`] when the
    /// tool server cannot be asked.
    pub(crate) async fn ensure(
        &self,
        gateway: &Inner,
        server: &ToolServer,
        operation: &str,
        pin: &Pin,
        bound_seconds: i64,
    ) -> Result<(), Denial> {
        let watched = self.watched(&server.name);
        if !watched.is_fresh(gateway.ports.host.now(), bound_seconds) {
            let mut link = watched.checking.lock().await;
            if !watched.is_fresh(gateway.ports.host.now(), bound_seconds) {
                compare(gateway, server, &watched, &mut link).await.map_err(|failure| {
                    tracing::warn!(?failure, server = %server.name, "cannot list definitions");
                    Denial::new(Reason::UpstreamUnavailable).about(server.name.as_str())
                })?;
            }
        }
        let found = watched.state().found.get(operation).copied();
        if found == Some(pin.digest) {
            Ok(())
        } else {
            Err(Denial::new(Reason::ToolChanged).about(operation))
        }
    }

    /// Compares all pins of a tool server now.
    ///
    /// # Errors
    /// [`Failure`] when it cannot be asked.
    pub(crate) async fn check(&self, gateway: &Inner, server: &ToolServer) -> Result<(), Failure> {
        if let (Some(pin), Some(accepted)) = (server.pins.get(CARD), server.card()) {
            return self.check_card(gateway, server, accepted, pin.digest).await;
        }
        let watched = self.watched(&server.name);
        let mut link = watched.checking.lock().await;
        compare(gateway, server, &watched, &mut link).await
    }

    /// Takes note of a definition in a listing that passes; true, if it is the
    /// pinned one.
    pub(crate) fn observe(
        &self,
        gateway: &Inner,
        server: &ToolServer,
        kind: DefinitionKind,
        item: &Json,
    ) -> bool {
        let Some(definition) = read(kind, item) else { return false };
        let operation = operation(kind, definition.name());
        let pin = server.pins.get(&operation);
        let digest = definition.digest();
        let watched = self.watched(&server.name);
        let mut state = watched.state();
        if let Some(pin) = pin {
            state.found.insert(operation.clone(), digest);
            if digest == pin.digest {
                return true;
            }
        }
        let mismatch = state.mismatch(server, &operation, pin, Some(&definition));
        drop(state);
        mismatch.into_iter().for_each(|m| gateway.ports.catalogue.pin_mismatch(m));
        false
    }
}

impl State {
    /// A mismatch that was not reported yet.
    fn mismatch(
        &mut self,
        server: &ToolServer,
        operation: &str,
        pin: Option<&Pin>,
        definition: Option<&Definition>,
    ) -> Option<PinMismatch> {
        let found = definition.map(Definition::digest);
        let pinned = pin.map(|pin| pin.digest);
        let key = (operation.to_owned(), pinned, found);
        if self.reported.len() >= MAX_ITEMS || !self.reported.insert(key) {
            return None;
        }
        Some(PinMismatch {
            server: server.name.clone(),
            operation: operation.to_owned(),
            pinned,
            found,
            definition: definition.map(Definition::to_json),
            why: None,
        })
    }
}

async fn compare(
    gateway: &Inner,
    server: &ToolServer,
    watched: &Watched,
    link: &mut Link,
) -> Result<(), Failure> {
    // As of before the question: a change during it is found next time.
    let at = gateway.ports.host.now();
    let asking = Asking { upstream: &gateway.upstream, limit: gateway.config.message_timeout };
    let mut definitions: HashMap<String, Option<Definition>> = HashMap::new();
    for (kind, method, member) in [
        (DefinitionKind::Tool, "tools/list", "tools"),
        (DefinitionKind::Prompt, "prompts/list", "prompts"),
    ] {
        if server.is_api() || !server.pins.keys().any(|pinned| pinned.starts_with(member)) {
            continue;
        }
        for item in list(&asking, server, link, method, member).await? {
            let Some(definition) = read(kind, &item) else { continue };
            definitions
                .entry(operation(kind, definition.name()))
                // Listed twice: which of them is called cannot be known.
                .and_modify(|d| *d = None)
                .or_insert(Some(definition));
        }
    }
    let mut mismatches = Vec::new();
    {
        let mut state = watched.state();
        state.checked = Some(at);
        state.found = definitions
            .iter()
            .filter_map(|(o, d)| Some((o.clone(), d.as_ref()?.digest())))
            .collect();
        for (operation, pin) in server.pins.iter() {
            let definition = definitions.get(operation).and_then(Option::as_ref);
            if definition.map(Definition::digest) == Some(pin.digest) {
                // Should it change again later, that is news.
                state.reported.retain(|(o, ..)| o != operation);
            } else {
                mismatches.extend(state.mismatch(server, operation, Some(pin), definition));
            }
        }
        // What is new is not called either, and somebody should look at it.
        for (operation, definition) in &definitions {
            if let (None, Some(definition)) = (server.pins.get(operation), definition) {
                mismatches.extend(state.mismatch(server, operation, None, Some(definition)));
            }
        }
    }
    for mismatch in mismatches {
        gateway.ports.catalogue.pin_mismatch(mismatch);
    }
    Ok(())
}

/// All items of a listing, without remembering how the server was asked.
pub(crate) async fn list_all(
    upstream: &Upstream,
    limit: Duration,
    server: &ToolServer,
    method: &str,
    member: &str,
) -> Result<Vec<Json>, Failure> {
    let asking = Asking { upstream, limit };
    let mut link = Link::default();
    let items = list(&asking, server, &mut link, method, member).await;
    close(&asking, server, link).await;
    items
}

/// The same for several kinds, of one session where the server keeps one.
pub(crate) async fn list_each<const N: usize>(
    upstream: &Upstream,
    limit: Duration,
    server: &ToolServer,
    kinds: [(&str, &str); N],
) -> Vec<Result<Vec<Json>, Failure>> {
    let asking = Asking { upstream, limit };
    let mut link = Link::default();
    let mut all = Vec::with_capacity(N);
    for (method, member) in kinds {
        let items = list(&asking, server, &mut link, method, member).await;
        let over = matches!(&items, Err(failure) if !matches!(failure, Failure::Garbage { .. }));
        all.push(items);
        if over {
            break;
        }
    }
    close(&asking, server, link).await;
    all
}

/// How long the gateway waits for an answer that it asks for itself, and where.
struct Asking<'a> {
    upstream: &'a Upstream,
    limit: Duration,
}

/// Ends a session of the gateway's own.
async fn close(asking: &Asking<'_>, server: &ToolServer, link: Link) {
    if let Link::Session(Some(session)) = link {
        let ending = asking.upstream.end(server, &session);
        let _ = tokio::time::timeout(asking.limit, ending).await;
    }
}

/// All items of a listing, asked by the gateway for itself.
async fn list(
    asking: &Asking<'_>,
    server: &ToolServer,
    link: &mut Link,
    method: &str,
    member: &str,
) -> Result<Vec<Json>, Failure> {
    // A program that knows only sessions may not survive another first message.
    if matches!(link, Link::Unknown) && asking.upstream.is_program(server) {
        *link = match open(asking, server).await {
            Err(Failure::Garbage { .. }) => Link::Stateless,
            opened => opened?,
        };
    }
    if matches!(link, Link::Unknown) {
        *link = Link::Stateless;
        match pages(asking, server, link, method, member).await {
            Err(Failure::Status(_) | Failure::Garbage { .. }) => {
                *link = open(asking, server).await?
            }
            other => {
                if other.is_err() {
                    *link = Link::Unknown;
                }
                return other;
            }
        }
    }
    match pages(asking, server, link, method, member).await {
        Err(Failure::SessionEnded) => {
            *link = Link::Unknown;
            *link = open(asking, server).await?;
            pages(asking, server, link, method, member).await
        }
        Err(failure) => {
            // Perhaps another version of the server runs now: begin anew.
            close(asking, server, std::mem::take(link)).await;
            Err(failure)
        }
        items => items,
    }
}

async fn pages(
    asking: &Asking<'_>,
    server: &ToolServer,
    link: &Link,
    method: &str,
    member: &str,
) -> Result<Vec<Json>, Failure> {
    let mut items = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let mut params = Object::new();
        if let Some(cursor) = &cursor {
            params.insert("cursor", cursor.as_str());
        }
        let received = ask(asking, server, link, method, params).await?;
        // An error is an answer, but not a listing.
        let result = received.message.member("result").and_then(Json::as_object);
        let result = result.ok_or(Failure::Garbage { bytes: received.bytes })?;
        let page = result.member(member).and_then(Json::as_array);
        items.extend(page.ok_or(Failure::Garbage { bytes: received.bytes })?.iter().cloned());
        if items.len() > MAX_ITEMS {
            return Err(Failure::TooLarge { bytes: received.bytes });
        }
        match result.member("nextCursor").and_then(Json::as_str) {
            Some(next) => cursor = Some(next.to_owned()),
            None => return Ok(items),
        }
    }
    Err(Failure::TooLarge { bytes: 0 })
}

fn client() -> Object {
    Object::new().with("name", "bailiwick-gateway").with("version", env!("CARGO_PKG_VERSION"))
}

async fn ask(
    asking: &Asking<'_>,
    server: &ToolServer,
    link: &Link,
    method: &str,
    mut params: Object,
) -> Result<Received, Failure> {
    let (era, session) = match link {
        Link::Unknown | Link::Stateless => (Era::Stateless, None),
        Link::Session(session) => (Era::Sessions, session.as_deref()),
    };
    if era == Era::Stateless {
        params.insert("_meta", own_meta(Object::new()));
    }
    let id = Json::from("bailiwick");
    let outgoing = Outgoing {
        server,
        era,
        method: Some(method),
        name: None,
        params: Vec::new(),
        session,
        body: rpc::text(&rpc::compose(Some(&id), method, Some(&params))),
    };
    let mut events = Events::none();
    asking.upstream.exchange(outgoing, &id, asking.limit, &mut events).await
}

/// `_meta` of a request of the gateway's own (2026-07-28).
pub(crate) fn own_meta(capabilities: Object) -> Object {
    Object::new()
        .with("io.modelcontextprotocol/protocolVersion", Era::Stateless.version())
        .with("io.modelcontextprotocol/clientInfo", client())
        .with("io.modelcontextprotocol/clientCapabilities", capabilities)
}

/// Opens a session of the gateway's own.
async fn open(asking: &Asking<'_>, server: &ToolServer) -> Result<Link, Failure> {
    let params = Object::new()
        .with("protocolVersion", Era::Sessions.version())
        .with("capabilities", Object::new())
        .with("clientInfo", client());
    let opened = ask(asking, server, &Link::Session(None), "initialize", params).await?;
    if opened.message.member("result").is_none() {
        close(asking, server, Link::Session(opened.session)).await;
        return Err(Failure::Garbage { bytes: opened.bytes });
    }
    let outgoing = Outgoing {
        server,
        era: Era::Sessions,
        method: Some("notifications/initialized"),
        name: None,
        params: Vec::new(),
        session: opened.session.as_deref(),
        body: rpc::text(&rpc::compose(None, "notifications/initialized", None)),
    };
    asking.upstream.notify(outgoing, asking.limit).await?;
    Ok(Link::Session(opened.session))
}
