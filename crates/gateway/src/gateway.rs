//! The gateway: its state, the path of a call through the stages, and the end.

use std::future::Future;
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bailiwick_core::aat::verify::Anchors;
use bailiwick_core::accountable::Ended;
use bailiwick_core::crypto::base64url;
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::dpop::Supplied;
use bailiwick_core::ids::ServerName;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::permit::Permit;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::Broker;
use crate::busy::{Busy, Place};
use crate::config::{Config, StateKey};
use crate::delivery::{Delivery, Reply, Running};
use crate::external::Awaited;
use crate::feeds::{About, Feed, Room};
use crate::pins::Pins;
use crate::ports::{Ports, Recheck, ToolServer};
use crate::questions::Asks;
use crate::relay::{Events, Route};
use crate::schema::Schemas;
use crate::sessions::{Session, Sessions};
use crate::stages::boundary::{CallRequest, Enforcement, Form};
use crate::stages::effect::{Completed, Recorded};
use crate::stages::evidence;
use crate::stages::{Stopped, approval, authority, effect, identity, policy};
use crate::stand::{CHECK_EVERY, Stand};
use crate::strangers::Strangers;
use crate::tasks::Tasks;
use crate::upstream::stdio::Program;
use crate::upstream::{Reading, Upstream};

mod denials;
mod suppressed;

/// The longest pause before a finished call's entry is tried again.
const COMPLETE_PAUSE: Duration = Duration::from_secs(5);

/// How long a gateway that stops waits for credentials that are being renewed:
/// longer than a command or a request for a token may take.
const RENEWALS: Duration = Duration::from_secs(20);

/// How often open sessions are looked at: once in so many looks at who reads.
const TEND_EVERY: u32 = 10;

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The HTTP client cannot be made.
    #[error("cannot make the HTTP client for tool servers: {source}")]
    Client {
        /// What it said.
        #[from]
        source: reqwest::Error,
    },
}

impl GatewayError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Client { .. } => "gateway-client",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Client { .. } => "install the process's TLS provider before the gateway starts",
        }
    }
}

/// The enforcement point in front of tool servers; cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

/// Its state; made by [`Gateway::new`].
pub struct Inner {
    pub(crate) config: Config,
    pub(crate) audience: String,
    /// Whose roots are accepted now; at first what the configuration says.
    anchors: RwLock<Arc<Anchors>>,
    pub(crate) ports: Ports,
    pub(crate) upstream: Upstream,
    pub(crate) broker: Arc<Broker>,
    pub(crate) sessions: Sessions,
    /// Room for events that are kept.
    pub(crate) room: Arc<Room>,
    pub(crate) pins: Pins,
    pub(crate) schemas: Schemas,
    /// Seals what clients keep of calls that wait.
    pub(crate) state_key: StateKey,
    /// Nonces for proofs, where they are asked for.
    nonces: Option<Supplied>,
    strangers: Strangers,
    /// Calls that other enforcement points make.
    pub(crate) awaited: Awaited,
    /// Calls that may be under way at once.
    calls: Arc<Semaphore>,
    pub(crate) busy: Arc<Busy>,
    /// Calls that go on as tasks.
    pub(crate) tasks: Tasks,
    /// Everything that must end before the process does.
    pub(crate) tracker: TaskTracker,
    /// Cancelled when the gateway stops: streams end.
    pub(crate) stopping: CancellationToken,
}

impl Inner {
    /// Whose roots are accepted at this moment.
    pub(crate) fn anchors(&self) -> Arc<Anchors> {
        Arc::clone(&self.anchors.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The nonces that are accepted now, where they are asked for.
    pub(crate) fn accepted_nonces(&self, now: Timestamp) -> Option<[String; 2]> {
        self.nonces.as_ref().map(|nonces| nonces.accepted(now))
    }

    /// The nonce to be used now, where one is asked for.
    pub(crate) fn nonce(&self) -> Option<String> {
        self.nonces.as_ref().map(|nonces| nonces.current(self.ports.host.now()))
    }
}

impl Deref for Gateway {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("audience", &self.audience).finish_non_exhaustive()
    }
}

impl Gateway {
    /// A gateway over `ports`. The process's TLS provider must be installed.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub fn new(config: Config, ports: Ports) -> Result<Self, GatewayError> {
        Self::with_programs(config, ports, Vec::new())
    }

    /// The same, of which the tool servers in `programs` are started here.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub fn with_programs(
        config: Config,
        ports: Ports,
        programs: Vec<(ServerName, Program)>,
    ) -> Result<Self, GatewayError> {
        let now = ports.host.now();
        let nonces = config.require_dpop_nonce.then(|| {
            let mut secret = [0; 32];
            ports.host.fill(&mut secret);
            Supplied::new(secret)
        });
        let state_key = config.state_key.clone().unwrap_or_else(|| {
            let mut key = [0; 32];
            ports.host.fill(&mut key);
            StateKey::new(key)
        });
        let reading = Reading::new(config.max_response_bytes);
        let vault = Arc::clone(&ports.vault);
        let broker =
            Arc::new(Broker::new(vault, Arc::clone(&ports.host), config.accounts_url.clone()));
        let shared = Some(Arc::clone(&broker));
        let upstream = Upstream::new(reading, config.connect_timeout, programs, shared)?;
        let inner = Inner {
            audience: config.audience(),
            anchors: RwLock::new(Arc::new(config.anchors.clone())),
            upstream,
            broker,
            sessions: Sessions::default(),
            room: Room::new(config.max_kept_bytes, config.max_kept_events),
            pins: Pins::default(),
            schemas: Schemas::default(),
            state_key,
            nonces,
            strangers: Strangers::new(config.stranger_entries, now),
            awaited: Awaited::default(),
            calls: Arc::new(Semaphore::new(config.max_calls.0.min(Semaphore::MAX_PERMITS))),
            busy: Busy::new(config.max_calls.1),
            tasks: Tasks::new(config.max_tasks),
            tracker: TaskTracker::new(),
            stopping: CancellationToken::new(),
            config,
            ports,
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Accepts the roots of these anchors from now on, and no others: after a
    /// key was replaced or given up.
    pub fn trust(&self, anchors: Anchors) {
        let mut present = self.0.anchors.write().unwrap_or_else(PoisonError::into_inner);
        if **present != anchors {
            *present = Arc::new(anchors);
        }
    }

    /// Compares every tool server's definitions with their pins, as at start.
    /// A server that cannot be asked is asked again with the first call.
    pub async fn check_pins(&self) {
        let Ok(servers) = self.ports.catalogue.servers() else { return };
        // A program that another process runs cannot be asked here.
        let here = |s: &ToolServer| s.url.scheme() != "stdio" || self.upstream.is_program(s);
        for server in servers.iter().filter(|s| !s.revoked && here(s)) {
            // One without a credential here is asked with the first call.
            let Ok(server) = &self.broker.equip_own(Arc::clone(server)).await else { continue };
            if let Err(failure) = self.pins.check(self, server).await {
                tracing::warn!(?failure, server = %server.name, "cannot list definitions");
            }
        }
    }

    /// Ends sessions that are over or whose authority was taken back, here and
    /// at their tool servers, again and again until the gateway stops.
    pub async fn tend(&self) {
        let mut tick = tokio::time::interval(CHECK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut looks = 0u32;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.stopping.cancelled() => return,
            }
            match looks.is_multiple_of(TEND_EVERY) {
                true => self.tend_once(),
                false => self.cut_readers(self.ports.host.now()),
            }
            looks = looks.wrapping_add(1);
        }
    }

    /// Cuts off who still reads of a finished call whose authority was taken
    /// back.
    fn cut_readers(&self, now: Timestamp) {
        for session in self.sessions.open_ones() {
            session.feeds.cut(|recheck| matches!(self.stand(recheck, now), Stand::Ended(_)));
        }
    }

    /// One round of [`Gateway::tend`].
    pub fn tend_once(&self) {
        let now = self.ports.host.now();
        let mut over = self.sessions.sweep(now, self.config.session_idle_seconds);
        self.cut_readers(now);
        for session in self.sessions.open_ones() {
            session.feeds.sweep(now, self.config.kept_seconds);
            if matches!(self.stand(&session.lease().recheck, now), Stand::Ended(_)) {
                self.sessions.cut(&session);
                over.push(session);
            }
        }
        self.close_all(over);
        self.lapse_tasks(now);
    }

    /// Tells the tool servers that sessions are over, without waiting.
    pub(crate) fn close_all(&self, over: Vec<Arc<Session>>) {
        for session in over {
            let (gateway, tasks) = (self.clone(), self.tasks.take_of(&session));
            self.tracker.spawn(async move {
                gateway.lapse(tasks).await;
                if session.upstream.is_none() {
                    return;
                }
                if let Ok(Some(server)) = gateway.ports.catalogue.server(&session.owner.server) {
                    let whose = &session.lease().recheck.authority.principal;
                    let Ok(server) = gateway.broker.equip(server, whose).await else { return };
                    gateway.close_upstream(&server, session.upstream.as_deref()).await;
                }
            });
        }
    }

    /// Ends open streams and sessions, waits for calls in flight, their entries
    /// and credentials on their way into the vault, and ends the programs that were
    /// started here. False, if some calls were still in flight after `limit`.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.stopping.cancel();
        self.sessions.end_all();
        self.tracker.close();
        let work = async {
            self.lapse_all().await;
            self.tracker.wait().await;
        };
        let drained = tokio::time::timeout(limit, work).await.is_ok();
        if !self.broker.settle(RENEWALS).await {
            tracing::warn!("a credential was still being renewed");
        }
        self.upstream.end_programs().await;
        self.write_suppressed().await;
        drained
    }

    /// Room for one more call under way; `None` when there is none.
    pub(crate) fn call_slot(&self) -> Option<OwnedSemaphorePermit> {
        let stopping = self.stopping.is_cancelled();
        Arc::clone(&self.calls).try_acquire_owned().ok().filter(|_| !stopping)
    }

    /// Runs a call through all stages, in a task of its own: a caller that
    /// goes away stops neither the record nor the outcome.
    pub(crate) fn start_call(
        &self,
        mut request: Box<CallRequest>,
        slot: OwnedSemaphorePermit,
    ) -> Running {
        self.number(&mut request);
        let (running, feed, done) = Running::begin(&self.room);
        let gateway = self.clone();
        self.tracker.spawn(async move {
            gateway.run_call(Arc::new(*request), feed, done).await;
            drop(slot);
        });
        running
    }

    /// A bearer proves nothing, so what is spent once is an id of ours. It keeps
    /// a record from standing for two calls; it detects no replay.
    pub(crate) fn number(&self, request: &mut CallRequest) {
        if request.presentation.form == Form::Bearer {
            let mut id = [0; 16];
            self.ports.host.fill(&mut id);
            request.presentation.proof = base64url(&id);
        }
    }

    async fn run_call(
        &self,
        request: Arc<CallRequest>,
        feed: Arc<Feed>,
        done: tokio::sync::oneshot::Sender<Reply>,
    ) {
        let now = self.ports.host.now();
        let (recorded, _place) = match self.decide(Arc::clone(&request), now).await {
            Ok(decided) => decided,
            Err(stopped) => {
                let response = self.deny_call(&request, stopped, now).await;
                let _ = done.send(Reply::Refused(Box::new(response)));
                return;
            }
        };
        let to = request.accepts_events.then(|| Arc::clone(&feed));
        let (session, recheck) = (recorded.session(), recorded.recheck());
        if let (Some(session), Some(to)) = (&session, &to) {
            let about = About::Call(Box::new(recheck.clone()));
            session.feeds.keep(self.ports.host.as_ref(), to, about);
        }
        let asking = to.clone().and_then(|to| recorded.asking(to));
        let events = Events::to(Route {
            gateway: self.clone(),
            server: Arc::clone(recorded.server()),
            era: request.era,
            session: recorded.upstream_session(),
            scope: None,
            own: recorded.own(),
            asks: asking.clone().map_or(Asks::Nobody, Asks::Call),
            to,
        });
        let (id, decision) = (request.id.clone(), recorded.entry().clone());
        let mut delivery = Delivery { id, decision, feed: Arc::clone(&feed), done: Some(done) };
        let call = effect::call(self, recorded, events);
        let completed = self.watched(call, &recheck, |ended| delivery.withhold(ended)).await;
        if completed.session_ended
            && let Some(session) = &session
        {
            self.sessions.end(session);
        }
        let finished = completed.finished(asking.map(|a| a.end()).unwrap_or_default());
        let event = match &completed.task {
            Some(task) => {
                task.add(finished.answers);
                None
            }
            None => {
                Some(evidence::completed(self, &completed.subjects, &completed.entry, &finished))
            }
        };
        let Completed { message, status, streamed, .. } = completed;
        delivery.answer(message, status, streamed);
        if let Some(session) = session.filter(|_| !feed.has_begun()) {
            session.feeds.forget(&feed);
        }
        if let Some(event) = event {
            self.complete(event).await;
        }
    }

    /// Waits for a call under way. When its authority is taken back meanwhile,
    /// `taken_back` is told why once: the call cannot be called back, but
    /// nothing more of it may be shown. Its outcome is still waited for.
    pub(crate) async fn watched<T>(
        &self,
        call: impl Future<Output = T>,
        recheck: &Recheck,
        taken_back: impl FnOnce(&Ended),
    ) -> T {
        let mut call = std::pin::pin!(call);
        let mut taken_back = Some(taken_back);
        let mut check = tokio::time::interval(CHECK_EVERY);
        // The first tick is at once, and the journal has just looked.
        check.tick().await;
        loop {
            tokio::select! {
                completed = &mut call => return completed,
                _ = check.tick(), if taken_back.is_some() => {
                    if let Stand::Ended(ended) = self.stand(recheck, self.ports.host.now())
                        && let Some(taken_back) = taken_back.take()
                    {
                        taken_back(&ended);
                    }
                }
            }
        }
    }

    /// Stages 2 to 6, up to the durable record.
    pub(crate) async fn decide(
        &self,
        request: Arc<CallRequest>,
        now: Timestamp,
    ) -> Result<(Recorded<Permit>, Place), Stopped> {
        let claimed = Arc::clone(&request);
        let identified = identity::identify(self, request, now)?;
        if let Enforcement::External(Some(claimed)) = &claimed.enforcement
            && !claimed.agrees(identified.verified.facts())
        {
            let denial = Denial::new(Reason::AgentMismatch).about("subject");
            return Err(Stopped::known(denial, identified.verified));
        }
        let Some(place) = identified.holder().and_then(|key| self.busy.enter(key)) else {
            let denial = Denial::new(Reason::TooManyCalls);
            return Err(Stopped::known(denial, identified.verified));
        };
        let covered = authority::cover(self, identified).await?;
        let judged = policy::judge(self, covered)?;
        let cleared = approval::clear(self, judged)?;
        Ok((effect::record(self, cleared).await?, place))
    }

    /// Records an outcome, however long the journal is away: as many wait as
    /// calls were under way, since none is allowed meanwhile. Only the end of
    /// the process leaves a decision without an outcome; the next start
    /// records it as `unknown`.
    pub(crate) async fn complete(&self, event: bailiwick_core::ledger::Event) {
        let mut pause = Duration::from_millis(50);
        while self.ports.journal.complete(event.clone()).await.is_err() {
            tracing::error!(entry = %event.id, "an outcome waits for the journal");
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(3).min(COMPLETE_PAUSE);
        }
    }
}
