//! Ports that live in memory, for tests and benchmarks: nothing here is
//! durable, and a journal can be told to fail.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bailiwick_core::accountable::{GrantStanding, Hop, Question, Registry, Standing, Unavailable};
use bailiwick_core::crypto::{Digest, Thumbprint, sha256};
use bailiwick_core::ids::{ApprovalId, GrantId, PrincipalId, ServerName};
use bailiwick_core::ledger::Event;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::{Bundle, Policies, Workflow};
use futures_util::future::BoxFuture;

use crate::ports::{
    Catalogue, Credential, DecisionRecord, Derivation, Durable, Host, Journal, Opened, PinMismatch,
    RecordRefusal, Spend, ToolServer, Vault, VaultFault,
};

mod holds;
pub use holds::MemoryHolds;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The system's clock, moved by an offset, and its random generator.
#[derive(Debug, Default)]
pub struct SystemHost {
    offset_ms: AtomicI64,
}

impl SystemHost {
    /// Moves the clock by `millis`, which may be negative.
    pub fn step(&self, millis: i64) {
        self.offset_ms.fetch_add(millis, Ordering::SeqCst);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a composition root of its own: tests and benchmarks have no other clock and entropy"
)]
impl Host for SystemHost {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(millis.saturating_add(self.offset_ms.load(Ordering::SeqCst)))
    }

    fn fill(&self, bytes: &mut [u8]) {
        if getrandom::fill(bytes).is_err() {
            std::process::abort();
        }
    }
}

/// A clock that stands still and bytes that are the same in every run, for
/// texts that must not differ.
#[derive(Debug)]
pub struct FixedHost {
    now: Timestamp,
    drawn: AtomicU64,
}

impl FixedHost {
    /// The time is `now` for good.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { now, drawn: AtomicU64::new(0) }
    }
}

impl Host for FixedHost {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let n = self.drawn.fetch_add(1, Ordering::SeqCst);
            let drawn = sha256(&n.to_be_bytes());
            for (byte, random) in chunk.iter_mut().zip(drawn.bytes()) {
                *byte = *random;
            }
        }
    }
}

#[derive(Debug, Default)]
struct Standings {
    hops: HashMap<Thumbprint, Hop>,
    grants: HashMap<GrantId, GrantStanding>,
    revoked_tokens: HashSet<Digest>,
    revoked_holders: HashSet<Thumbprint>,
    unavailable: bool,
    stale_ms: i64,
    last_durable: Option<Timestamp>,
    principal_inactive: bool,
}

/// A registry in memory.
pub struct MemoryRegistry {
    host: Arc<dyn Host>,
    standings: Mutex<Standings>,
}

impl MemoryRegistry {
    /// An empty registry.
    #[must_use]
    pub fn new(host: Arc<dyn Host>) -> Self {
        Self { host, standings: Mutex::default() }
    }

    /// Enrols an instance's holder key.
    pub fn enrol(&self, key: Thumbprint, hop: Hop) {
        lock(&self.standings).hops.insert(key, hop);
    }

    /// Forgets a holder key.
    pub fn forget(&self, key: Thumbprint) {
        lock(&self.standings).hops.remove(&key);
    }

    /// Puts a grant on record.
    pub fn grant(&self, id: GrantId, grant: GrantStanding) {
        lock(&self.standings).grants.insert(id, grant);
    }

    /// Revokes a token with its descendants.
    pub fn revoke_token(&self, token: Digest) {
        lock(&self.standings).revoked_tokens.insert(token);
    }

    /// Revokes a holder key.
    pub fn revoke_holder(&self, key: Thumbprint) {
        lock(&self.standings).revoked_holders.insert(key);
    }

    /// Makes it unreadable, or readable again.
    pub fn set_unavailable(&self, unavailable: bool) {
        lock(&self.standings).unavailable = unavailable;
    }

    /// Lets what is known of revocations be this old.
    pub fn set_stale_ms(&self, millis: i64) {
        lock(&self.standings).stale_ms = millis;
    }

    /// The time of the last durable entry.
    pub fn set_last_durable(&self, at: Timestamp) {
        lock(&self.standings).last_durable = Some(at);
    }

    /// Suspends the one principal there is.
    pub fn set_principal_inactive(&self, inactive: bool) {
        lock(&self.standings).principal_inactive = inactive;
    }
}

impl Registry for MemoryRegistry {
    fn standing(&self, question: &Question<'_>) -> Result<Standing, Unavailable> {
        let s = lock(&self.standings);
        if s.unavailable {
            return Err(Unavailable);
        }
        let now = self.host.now();
        let delegation = question.tokens.iter().any(|t| s.revoked_tokens.contains(t));
        let holder = question.holders.iter().any(|h| s.revoked_holders.contains(h));
        let revoked = match (delegation, holder) {
            (true, _) => Some("delegation".to_owned()),
            (false, true) => Some("holder".to_owned()),
            (false, false) => None,
        };
        Ok(Standing {
            hops: question.holders.iter().map(|h| s.hops.get(h).cloned()).collect(),
            principal_active: !s.principal_inactive,
            principal_alias: Some("alias".to_owned()),
            grant: s.grants.get(&question.authority.grant).cloned(),
            revoked,
            exceeds: None,
            revocations_as_of: Timestamp::from_millis(now.millis().saturating_sub(s.stale_ms)),
            last_durable: s.last_durable.unwrap_or(Timestamp::from_millis(0)),
        })
    }
}

/// What a journal is told to do wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Allows are not recorded.
    Record,
    /// Allows are recorded, and the answer says that they were not.
    RecordedButUnknown,
    /// Outcomes are not recorded.
    Complete,
    /// Denials are not recorded.
    Denial,
}

#[derive(Debug, Default)]
struct Written {
    decisions: Vec<DecisionRecord>,
    denials: Vec<Event>,
    derived: Vec<Derivation>,
    completed: Vec<Event>,
    spent: HashSet<(String, Digest)>,
    counters: HashMap<(Digest, String), i64>,
    approvals: HashSet<ApprovalId>,
    fault: Fault,
}

/// A journal in memory that spends proofs, charges budgets and asks about
/// revocations as the real one does.
pub struct MemoryJournal {
    registry: Arc<dyn Registry + Send + Sync>,
    written: Mutex<Written>,
    /// How long a write takes.
    latency: Duration,
}

impl MemoryJournal {
    /// An empty journal that asks `registry` again.
    #[must_use]
    pub fn new(registry: Arc<dyn Registry + Send + Sync>, latency: Duration) -> Self {
        Self { registry, written: Mutex::default(), latency }
    }

    /// Fails like this from now on.
    pub fn set_fault(&self, fault: Fault) {
        lock(&self.written).fault = fault;
    }

    /// The allows.
    #[must_use]
    pub fn decisions(&self) -> Vec<DecisionRecord> {
        lock(&self.written).decisions.clone()
    }

    /// The denials, and counts of denials.
    #[must_use]
    pub fn denials(&self) -> Vec<Event> {
        lock(&self.written).denials.clone()
    }

    /// The derived tokens that came with allows and denials, again each time.
    #[must_use]
    pub fn derived(&self) -> Vec<Derivation> {
        lock(&self.written).derived.clone()
    }

    /// The outcomes.
    #[must_use]
    pub fn completed(&self) -> Vec<Event> {
        lock(&self.written).completed.clone()
    }

    pub(crate) fn has_spent(&self, approval: &ApprovalId) -> bool {
        lock(&self.written).approvals.contains(approval)
    }

    /// A denial that comes with what waits because of it.
    pub(crate) fn note(&self, event: Event, derived: &[Derivation]) {
        let mut written = lock(&self.written);
        written.denials.push(event);
        written.derived.extend_from_slice(derived);
    }

    async fn wait(&self) {
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
    }

    fn write(&self, record: DecisionRecord) -> Result<Durable, RecordRefusal> {
        let standing = self
            .registry
            .standing(&record.recheck.question())
            .map_err(|Unavailable| RecordRefusal::Unavailable)?;
        if let Some(kind) = standing.revoked {
            return Err(RecordRefusal::Revoked { kind });
        }
        let mut written = lock(&self.written);
        if written.fault == Fault::Record {
            return Err(RecordRefusal::Unavailable);
        }
        let spend = (record.spend.audience.clone(), record.spend.key);
        if written.spent.contains(&spend) {
            return Err(RecordRefusal::Replayed);
        }
        if let Some(used) = &record.used
            && written.approvals.contains(&used.question.id)
        {
            return Err(RecordRefusal::ApprovalSpent);
        }
        let counted = |written: &Written, account: Digest, counter: &str| {
            written.counters.get(&(account, counter.to_owned())).copied().unwrap_or(0)
        };
        for charge in &record.charges {
            let sum =
                counted(&written, charge.account, &charge.counter).saturating_add(charge.amount);
            if sum > charge.limit {
                return Err(RecordRefusal::spent(charge));
            }
        }
        for charge in &record.charges {
            let counter =
                written.counters.entry((charge.account, charge.counter.clone())).or_default();
            *counter = counter.saturating_add(charge.amount);
        }
        written.spent.insert(spend);
        written.approvals.extend(record.used.iter().map(|used| used.question.id.clone()));
        let entry = record.event.id.clone();
        written.derived.extend(record.derived.iter().cloned());
        written.decisions.push(record);
        if written.fault == Fault::RecordedButUnknown {
            return Err(RecordRefusal::Unavailable);
        }
        Ok(Durable { entry })
    }
}

impl Journal for MemoryJournal {
    fn record<'a>(
        &'a self,
        record: DecisionRecord,
    ) -> BoxFuture<'a, Result<Durable, RecordRefusal>> {
        Box::pin(async move {
            self.wait().await;
            self.write(record)
        })
    }

    fn spend<'a>(&'a self, spend: Spend) -> BoxFuture<'a, Result<(), RecordRefusal>> {
        Box::pin(async move {
            self.wait().await;
            let mut written = lock(&self.written);
            if written.fault == Fault::Record {
                return Err(RecordRefusal::Unavailable);
            }
            let fresh = written.spent.insert((spend.audience, spend.key));
            if fresh { Ok(()) } else { Err(RecordRefusal::Replayed) }
        })
    }

    fn record_denial<'a>(
        &'a self,
        event: Event,
        derived: Vec<Derivation>,
    ) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            self.wait().await;
            let mut written = lock(&self.written);
            if written.fault == Fault::Denial {
                return Err(Unavailable);
            }
            written.denials.push(event);
            written.derived.extend(derived);
            Ok(())
        })
    }

    fn complete<'a>(&'a self, event: Event) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            self.wait().await;
            let mut written = lock(&self.written);
            if written.fault == Fault::Complete {
                return Err(Unavailable);
            }
            written.completed.push(event);
            Ok(())
        })
    }
}

/// A place in a vault in memory: a tool server and perhaps a principal.
type Place = (ServerName, Option<PrincipalId>);

/// What stands at one place: its version, and what opens.
#[derive(Clone)]
struct Held {
    version: u64,
    credential: Credential,
    lasts_seconds: Option<i64>,
}

/// A vault in memory.
pub struct MemoryVault {
    host: Arc<dyn Host>,
    held: Mutex<HashMap<Place, Held>>,
    fault: Mutex<Option<&'static str>>,
    opened: AtomicU64,
}

impl MemoryVault {
    /// An empty vault.
    #[must_use]
    pub fn new(host: Arc<dyn Host>) -> Self {
        Self { host, held: Mutex::default(), fault: Mutex::default(), opened: AtomicU64::new(0) }
    }

    /// Puts a credential there that stands until another one is put there.
    pub fn put(
        &self,
        server: &ServerName,
        principal: Option<&PrincipalId>,
        credential: Credential,
    ) {
        self.put_for(server, principal, credential, None);
    }

    /// Puts one there that is opened anew after so many seconds.
    pub fn put_for(
        &self,
        server: &ServerName,
        principal: Option<&PrincipalId>,
        credential: Credential,
        lasts_seconds: Option<i64>,
    ) {
        let mut held = lock(&self.held);
        let place = (server.clone(), principal.cloned());
        let version = held.get(&place).map_or(1, |h| h.version.saturating_add(1));
        held.insert(place, Held { version, credential, lasts_seconds });
    }

    /// Replaces what opens at a place, as a token that was renewed: its version
    /// stays.
    pub fn renew(
        &self,
        server: &ServerName,
        principal: Option<&PrincipalId>,
        credential: Credential,
    ) {
        if let Some(held) = lock(&self.held).get_mut(&(server.clone(), principal.cloned())) {
            held.credential = credential;
        }
    }

    /// Fails with this code, or not any more.
    pub fn set_fault(&self, code: Option<&'static str>) {
        *lock(&self.fault) = code;
    }

    /// How often something was opened.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::SeqCst)
    }

    fn held(
        &self,
        server: &ServerName,
        principal: Option<&PrincipalId>,
    ) -> Result<Option<Held>, VaultFault> {
        if let Some(code) = *lock(&self.fault) {
            return Err(VaultFault { code });
        }
        Ok(lock(&self.held).get(&(server.clone(), principal.cloned())).cloned())
    }
}

impl Vault for MemoryVault {
    fn version(
        &self,
        server: &ServerName,
        principal: Option<&PrincipalId>,
    ) -> Result<Option<String>, VaultFault> {
        Ok(self.held(server, principal)?.map(|held| held.version.to_string()))
    }

    fn open<'a>(
        &'a self,
        server: &'a ServerName,
        principal: Option<&'a PrincipalId>,
    ) -> BoxFuture<'a, Result<Option<Opened>, VaultFault>> {
        Box::pin(async move {
            // Whoever else waits for it must have had a chance to come.
            tokio::time::sleep(Duration::from_millis(20)).await;
            self.opened.fetch_add(1, Ordering::SeqCst);
            let now = self.host.now();
            Ok(self.held(server, principal)?.map(|held| Opened {
                credential: held.credential,
                version: held.version.to_string(),
                until: held.lasts_seconds.map(|seconds| now.plus_seconds(seconds)),
            }))
        })
    }
}

struct Shelves {
    policies: Arc<Policies>,
    policies_unavailable: bool,
    workflows: HashMap<Digest, Arc<Workflow>>,
    servers: HashMap<ServerName, Arc<ToolServer>>,
    mismatches: Vec<PinMismatch>,
    unavailable: bool,
}

impl Default for Shelves {
    /// Empty, under the shipped guardrails.
    fn default() -> Self {
        let enforced = Bundle::guardrails().ok().map(Arc::new);
        Self {
            policies: Arc::new(Policies { enforced, candidate: None }),
            policies_unavailable: false,
            workflows: HashMap::new(),
            servers: HashMap::new(),
            mismatches: Vec::new(),
            unavailable: false,
        }
    }
}

/// A catalogue in memory; the shipped guardrails are in force.
#[derive(Default)]
pub struct MemoryCatalogue {
    shelves: Mutex<Shelves>,
}

impl MemoryCatalogue {
    /// Puts policies in force.
    pub fn enforce(&self, policies: Policies) {
        lock(&self.shelves).policies = Arc::new(policies);
    }

    /// Makes the policy alone unreadable, or readable again.
    pub fn set_policies_unavailable(&self, unavailable: bool) {
        lock(&self.shelves).policies_unavailable = unavailable;
    }

    /// Publishes a workflow and gives its digest.
    pub fn publish(&self, workflow: Workflow) -> Digest {
        let digest = workflow.digest();
        lock(&self.shelves).workflows.insert(digest, Arc::new(workflow));
        digest
    }

    /// Puts a tool server up, or replaces it.
    pub fn put(&self, server: ToolServer) {
        lock(&self.shelves).servers.insert(server.name.clone(), Arc::new(server));
    }

    /// Makes it unreadable, or readable again.
    pub fn set_unavailable(&self, unavailable: bool) {
        lock(&self.shelves).unavailable = unavailable;
    }

    fn shelves(&self) -> Result<MutexGuard<'_, Shelves>, Unavailable> {
        let shelves = lock(&self.shelves);
        if shelves.unavailable { Err(Unavailable) } else { Ok(shelves) }
    }

    /// The mismatches that were reported.
    #[must_use]
    pub fn mismatches(&self) -> Vec<PinMismatch> {
        lock(&self.shelves).mismatches.clone()
    }
}

impl Catalogue for MemoryCatalogue {
    fn policies(&self) -> Result<Arc<Policies>, Unavailable> {
        let shelves = self.shelves()?;
        if shelves.policies_unavailable {
            return Err(Unavailable);
        }
        Ok(Arc::clone(&shelves.policies))
    }

    fn workflow(&self, digest: &Digest) -> Result<Option<Arc<Workflow>>, Unavailable> {
        Ok(self.shelves()?.workflows.get(digest).cloned())
    }

    fn server(&self, name: &ServerName) -> Result<Option<Arc<ToolServer>>, Unavailable> {
        Ok(self.shelves()?.servers.get(name).cloned())
    }

    fn servers(&self) -> Result<Vec<Arc<ToolServer>>, Unavailable> {
        Ok(self.shelves()?.servers.values().cloned().collect())
    }

    fn pin_mismatch(&self, mismatch: PinMismatch) {
        lock(&self.shelves).mismatches.push(mismatch);
    }
}
