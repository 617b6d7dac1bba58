//! Ports that live in memory, for tests and benchmarks: nothing here is
//! durable, and a journal can be told to fail.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bailiwick_core::accountable::{GrantStanding, Hop, Question, Registry, Standing, Unavailable};
use bailiwick_core::crypto::{Digest, Thumbprint, sha256};
use bailiwick_core::ids::{GrantId, PrincipalId, ServerName};
use bailiwick_core::time::Timestamp;
use futures_util::future::BoxFuture;

use crate::ports::{Credential, Host, Opened, Vault, VaultFault};

mod catalogue;
mod journal;

pub use catalogue::MemoryCatalogue;
pub use journal::{Fault, MemoryJournal};

mod holds;
mod peers;
mod requests;
mod runs;
pub use holds::MemoryHolds;
pub use peers::MemoryPeers;
pub use requests::MemoryRequests;
pub use runs::MemoryRuns;

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
    stop: Option<String>,
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

    /// Stops this, or nothing any more.
    pub fn set_stop(&self, stop: Option<&str>) {
        lock(&self.standings).stop = stop.map(str::to_owned);
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
            stop: s.stop.clone(),
            exceeds: None,
            revocations_as_of: Timestamp::from_millis(now.millis().saturating_sub(s.stale_ms)),
            last_durable: s.last_durable.unwrap_or(Timestamp::from_millis(0)),
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
    /// Whoever else waits for it must have had a chance to come.
    pause: Mutex<Duration>,
}

impl MemoryVault {
    /// An empty vault.
    #[must_use]
    pub fn new(host: Arc<dyn Host>) -> Self {
        let (held, fault) = (Mutex::default(), Mutex::default());
        let pause = Mutex::new(Duration::from_millis(20));
        Self { host, held, fault, opened: AtomicU64::new(0), pause }
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

    /// How long it takes to open something.
    pub fn set_pause(&self, pause: Duration) {
        *lock(&self.pause) = pause;
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
            let pause = *lock(&self.pause);
            tokio::time::sleep(pause).await;
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
