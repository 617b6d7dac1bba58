//! Other agents: tools beside the tool server's, by which a client deals with
//! them. What a peer says reaches the client as data, marked as the peer's words;
//! nothing here acts on it, and no listing takes anything from it.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bailiwick_core::ids::{AgentId, ServerName};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_gateway::rpc;
use bailiwick_peer::{
    Handed, Host, Instance, Keys, Limits, Loopback, Mutual, PeerError, Taken, Taker, Transport,
};
use bailiwick_workload::tls::Party;
use tokio::net::TcpListener;

use super::Bridge;
use super::way::stated_version;
use crate::args::PeersArgs;
use crate::error::CliError;
use crate::host;
use crate::keyfile::{self, InstanceKeys};
use crate::presenter::ChainPresenter;

mod api;
mod asked;
mod operations;
mod results;
mod tools;

pub(crate) use api::serve as serve_api;
use results::Results;

/// Handoffs that are remembered, in each direction.
const MAX_REMEMBERED: usize = 64;
/// Listings under way that are remembered.
const MAX_LISTINGS: usize = 64;
/// Connections of other agents at once.
const CONNECTIONS: usize = 128;

/// The machine, for the library.
struct Machine;

impl Host for Machine {
    fn now(&self) -> Timestamp {
        host::now()
    }

    fn fill(&self, out: &mut [u8]) -> bool {
        getrandom::fill(out).is_ok()
    }
}

/// Why an operation did not happen.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) remedy: String,
}

impl Told {
    fn new(code: &str, message: impl Into<String>, remedy: &str) -> Self {
        Self { code: code.to_owned(), message: message.into(), remedy: remedy.to_owned() }
    }

    fn to_json(&self) -> Object {
        Object::new()
            .with("code", self.code.as_str())
            .with("message", self.message.as_str())
            .with("remedy", self.remedy.as_str())
    }
}

impl From<PeerError> for Told {
    fn from(e: PeerError) -> Self {
        Self::new(e.code(), e.to_string(), e.remedy())
    }
}

impl From<CliError> for Told {
    fn from(e: CliError) -> Self {
        Self { code: e.code, message: e.message, remedy: e.remedy }
    }
}

/// Dealing with other agents, for one client.
pub(crate) struct Peers {
    instance: Arc<Instance>,
    taker: Option<Taker>,
    /// Where other agents are reached, by name or SPIFFE ID.
    known: BTreeMap<String, String>,
    presenter: Arc<ChainPresenter>,
    server: ServerName,
    results: Mutex<Results>,
    handed: Mutex<Vec<Handed>>,
    taken: Mutex<Vec<Taken>>,
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn library(e: PeerError) -> CliError {
    CliError::environment(e.code(), e.to_string(), e.remedy())
}

impl Peers {
    /// What `args` ask for; `keys` are the instance's, enrolled at `authority`.
    /// With a `party` peers are reached over mutual TLS too.
    pub(crate) fn new(
        args: &PeersArgs,
        authority: &str,
        keys: InstanceKeys,
        presenter: &Arc<ChainPresenter>,
        server: &ServerName,
        party: Option<&Arc<Party>>,
    ) -> Result<Arc<Self>, CliError> {
        let foreign = match &args.foreign {
            Some(file) => bailiwick_peer::read_anchors(&keyfile::read(file)?).map_err(|e| {
                let told = format!("`{}`: {e}", file.display());
                CliError::usage(e.code(), told, e.remedy())
            })?,
            None => Vec::new(),
        };
        let InstanceKeys { instance, holder, identity } = keys;
        let keys = Keys { instance, holder, identity };
        let authority = bailiwick_peer::Authority::new(authority).map_err(library)?;
        let transport: Arc<dyn Transport> = match party {
            Some(party) => Arc::new(Mutual::new(Arc::clone(party)).map_err(library)?),
            None => Arc::new(Loopback::new().map_err(library)?),
        };
        let instance = Instance::new(keys, authority, foreign, transport, Arc::new(Machine));
        let taker = args.peer_listen.map(|_| Taker::new(Arc::clone(&instance), Limits::default()));
        Ok(Arc::new(Self {
            instance,
            taker,
            known: args.known.iter().map(|peer| known(peer)).collect::<Result<_, _>>()?,
            presenter: Arc::clone(presenter),
            server: server.clone(),
            results: Mutex::default(),
            handed: Mutex::default(),
            taken: Mutex::default(),
        }))
    }

    /// Lets other agents in at `listener`, over mutual TLS with a `party`.
    pub(crate) async fn serve(&self, listener: TcpListener, party: Option<Arc<Party>>) {
        let Some(router) = self.taker.as_ref().map(Taker::router) else { return };
        let Some(party) = party else {
            let bounds = bailiwick_gateway::Bounds::new(CONNECTIONS);
            let never = std::future::pending();
            return bailiwick_gateway::serve(listener, router, bounds, None, never).await;
        };
        let served = bailiwick_peer::serve_mutual(listener, router, party, Arc::new(Machine)).await;
        if let Err(e) = served {
            tracing::error!(code = e.code(), "other agents are not let in: {e}");
        }
    }
}

/// `agent:NAME=URL`, or a SPIFFE ID in place of the name.
fn known(text: &str) -> Result<(String, String), CliError> {
    let wrong = || {
        CliError::usage(
            "peer-malformed",
            format!("`{text}` is not AGENT=URL"),
            "write --peer agent:billing-specialist=http://127.0.0.1:7002",
        )
    };
    let (agent, url) = text.split_once('=').ok_or_else(wrong)?;
    if AgentId::parse(agent).is_err() && !agent.starts_with("spiffe://") {
        return Err(wrong());
    }
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(wrong());
    }
    Ok((agent.to_owned(), url.to_owned()))
}

/// Peers beside a tool server, for one client on standard streams.
pub(super) struct Beside {
    peers: Arc<Peers>,
    /// Ids of first pages of listings under way.
    listings: Mutex<HashSet<String>>,
    /// The client's `initialize` was answered here.
    opened: AtomicBool,
}

impl Beside {
    pub(super) fn new(peers: Arc<Peers>) -> Self {
        Self { peers, listings: Mutex::default(), opened: AtomicBool::new(false) }
    }

    /// Looks at an answer on its way to the client: remembers what a claim can
    /// cite, and puts the own tools into the listing of tools.
    pub(super) fn passes(&self, message: &Json) -> Option<Json> {
        let o = message.as_object()?;
        // A request of the tool server may have an id of the same name.
        let id = o.member("id").filter(|_| o.member("method").is_none());
        let listed = id.is_some_and(|id| locked(&self.listings).remove(&id.canonical()));
        let result = o.member("result")?.as_object()?;
        locked(&self.peers.results).note(result);
        let tools = result.member("tools").and_then(Json::as_array).filter(|_| listed)?;
        // SECURITY: a tool server's tool of such a name is not seen, so that
        // nobody else answers for it.
        let name = |tool: &Json| tool.as_object()?.member("name")?.as_str().map(str::to_owned);
        let others = tools.iter().filter(|t| !name(t).is_some_and(|n| tools::is_own(&n)));
        let all: Vec<Json> = tools::definitions().chain(others.cloned()).collect();
        Some(o.clone().with("result", result.clone().with("tools", all)).into())
    }
}

/// What this server says of itself while there is no tool server to speak for.
fn opening() -> Object {
    let tools = Object::new().with("listChanged", true);
    let info = Object::new().with("name", "bailiwick").with("version", env!("CARGO_PKG_VERSION"));
    Object::new()
        .with("protocolVersion", bailiwick_policy::mcp_methods::Era::Sessions.version())
        .with("capabilities", Object::new().with("tools", tools))
        .with("serverInfo", info)
        .with("instructions", tools::INSTRUCTIONS)
}

fn no_chain(id: &Json) -> Json {
    let (code, reason) =
        ("no-delegation", "there is no delegation yet, so no tool server is reached");
    let data = Object::new()
        .with("code", code)
        .with("reason", reason)
        .with("remedy", "take over a task first: `handoff_accept`");
    rpc::error(Some(id), -32603, reason, data)
}

impl Bridge {
    /// Answers what is about other agents, and everything while there is no
    /// chain to present; false for what is the gateway's.
    pub(super) async fn answers_itself(
        self: &Arc<Self>,
        id: &Json,
        method: &str,
        params: Option<&Object>,
    ) -> bool {
        let Some(beside) = &self.peers else { return false };
        let has_chain = self.way.presenter.has_chain();
        let stateless = stated_version(params).is_some();
        let member = |name: &str| params.and_then(|p| p.member(name));
        let complete = |result: Object| match stateless {
            true => result.with("resultType", "complete"),
            false => result,
        };
        let own = member("name").and_then(Json::as_str).filter(|name| tools::is_own(name));
        let answer = match (method, own) {
            ("tools/call", Some(tool)) => {
                let empty = Object::new();
                let arguments = member("arguments").and_then(Json::as_object).unwrap_or(&empty);
                let leaf = self.way.presenter.leaf();
                let result = called(beside.peers.call(tool, arguments).await);
                self.say(&rpc::result(id, complete(result))).await;
                if leaf != self.way.presenter.leaf() {
                    self.tools_changed(beside).await;
                }
                return true;
            }
            ("tools/list", _) if has_chain => {
                let mut listings = locked(&beside.listings);
                if member("cursor").is_none() && listings.len() < MAX_LISTINGS {
                    listings.insert(id.canonical());
                }
                return false;
            }
            _ if has_chain => return false,
            ("tools/list", _) => {
                let tools: Vec<Json> = tools::definitions().collect();
                rpc::result(id, complete(Object::new().with("tools", tools)))
            }
            ("initialize", _) => {
                self.keep_opening(params).await;
                beside.opened.store(true, Ordering::Relaxed);
                rpc::result(id, opening())
            }
            ("ping", _) => rpc::result(id, Object::new()),
            _ => no_chain(id),
        };
        self.say(&answer).await;
        true
    }

    /// Another delegation is presented from now on. A client that was told so
    /// when it opened its session asks for the tools again.
    async fn tools_changed(self: &Arc<Self>, beside: &Beside) {
        if beside.opened.load(Ordering::Relaxed) {
            self.begin_events();
            self.say(&rpc::compose(None, "notifications/tools/list_changed", None)).await;
        }
    }
}

/// The result of a call of an own tool.
fn called(done: Result<Object, Told>) -> Object {
    let is_error = done.is_err();
    let answer = done.unwrap_or_else(|told| Object::new().with("error", told.to_json()));
    let text = Json::from(answer.clone()).canonical();
    let content = Object::new().with("type", "text").with("text", text);
    Object::new()
        .with("content", vec![Json::from(content)])
        .with("structuredContent", answer)
        .with("isError", is_error)
}
