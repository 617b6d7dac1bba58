//! The service: reads the state, calls the rule, writes the plan.
//!
//! A changing verb does all three inside one transaction of the store, so the
//! rule sees the state that it changes. Methods wait until the write is
//! durable: call them off an async executor's threads.

use std::sync::{Arc, PoisonError, RwLock};

use bailiwick_core::ids::{Alias, EntryId, PrincipalId};
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_evidence::Trust;
use bailiwick_store::{Store, StoreError, Stored, Subject, Tx, View};

use crate::bundles::Bundles;
use crate::ceilings::Ceilings;
use crate::follower::{RevocationFollower, StoreFeed};
use crate::host::{Host, Moment};
use crate::installation::{Installation, Keys};
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::rules;
use crate::standing::{OVERLAP_MS, StandingReader};
use crate::workflows::Parsed;

mod accounts;
mod approvals;
mod approver_keys;
mod autonomy;
mod catalogue;
mod checks;
mod clients;
mod consent;
mod definitions;
mod delegations;
mod denying;
mod entitlements;
mod erasure;
mod explanations;
mod failures;
mod fatigue;
mod handoffs;
mod identities;
mod inbox;
mod introspection;
mod keys;
mod life;
mod logins;
mod metrics;
mod names;
mod overview;
mod passkeys;
mod peers;
mod people;
mod places;
mod policies;
mod provider_logins;
mod registry;
mod requests;
mod revocations;
mod rollbacks;
mod run_reports;
mod runs;
mod scrape;
mod signers;
mod standings;
mod statuses;
mod stops;
mod tokens;
mod trust_bundle;
mod trust_domains;
mod vault;
mod webhooks;
mod workflow_pages;
mod workflows;

pub use accounts::{AccountBegun, OwnAccount};
pub use approvals::{ListedApproval, Sayer, ShownApproval, ShownVerdict, relying_party, spoken};
pub use approver_keys::OwnApproverKey;
pub use autonomy::{Judged, ShownAutonomy, ShownChange, WaitingSignature, level_in_force};
pub use checks::{CheckTaken, Checked, DueCheck, NamedResult, RunChecks};
pub use consent::{Asking, ConsentError, Origin};
pub use definitions::{Catalogued, Ratings, ToolState};
pub use delegations::PrepareOptions;
pub use denying::{Denying, suggestion};
pub use erasure::{Erased, Erasure};
pub use explanations::{Explanation, Flip, MAX_REPLAYED, Replay, SaidBundle, SaidPolicy, SaidWord};
pub use failures::{
    Classification, FailurePage, Kept, ListedFailure, Resolution, ShownFailure, trend_json,
};
pub use fatigue::{ApproverHours, Fatigue};
pub use handoffs::{Flow, Known, ListedHandoff, ShownHandoff, Trail};
pub use inbox::{InboxPage, InboxQuery};
pub use keys::{Ended, PublishedKey};
pub use life::{Recovered, Removed};
pub use logins::{LOGIN_SECONDS, Login};
pub use metrics::{
    Comparison, Metrics, MetricsBy, MetricsByError, UnusedScope, figures_of, line_json,
};
pub use names::Named;
pub use overview::{Bounded, Overview, Waiting};
pub use passkeys::OwnPasskey;
pub use peers::{PeerAgent, Peers};
pub use people::{Invited, SignedIn};
pub use provider_logins::{OwnLogin, Then};
pub use requests::{Granter, Lesser, ListedRequest, RequestAnswer, ShownRequest, Taken};
pub use revocations::{DelegationRef, Target};
pub use rollbacks::{Undo, UndoHow};
pub(crate) use runs::named as named_context;
pub use runs::{ListedRun, RunsPage, SeenRun, ShownReview, ShownRun, wants_review};
pub use scrape::Scrape;
pub use standings::{ShownSignature, ShownStanding, standing_voices};
pub use statuses::Statuses;
pub use stops::{ListedStop, Resuming, ShownResumption, Stopping};
pub use tokens::TokenAnswer;
pub use vault::NewCredential;
pub use webhooks::Due;
pub use workflow_pages::ListedWorkflow;
pub use workflows::Publication;

/// The authority over one data dir; clones share everything, but for whom they
/// act.
#[derive(Clone)]
pub struct Authority(Arc<Shared>, Option<Alias>);

struct Shared {
    store: Store,
    host: Arc<dyn Host>,
    /// Replaced whole when keys are: whoever took it sees keys of one moment.
    inner: RwLock<Arc<Inner>>,
}

struct Inner {
    store: Store,
    host: Arc<dyn Host>,
    installation: Arc<Installation>,
    keys: Keys,
    maker: String,
    parsed: Arc<Parsed>,
    ceilings: Arc<Ceilings>,
    bundles: Arc<Bundles>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("issuer", &self.now().installation.issuer)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// The authority of `installation` on `store`.
    ///
    /// # Errors
    /// [`Refusal::Installation`] when names or keys are not acceptable or the
    /// private keys are not the installation's.
    pub fn new(
        store: Store,
        host: Arc<dyn Host>,
        installation: Installation,
        keys: Keys,
    ) -> Result<Self, Refusal> {
        if *store.org() != installation.org {
            return Err(Refusal::Installation {
                member: "org",
                expected: "the organisation of the store",
            });
        }
        let ceilings = Arc::default();
        let inner = Inner::new(store.clone(), Arc::clone(&host), ceilings, installation, keys)?;
        Ok(Self(Arc::new(Shared { store, host, inner: RwLock::new(Arc::new(inner)) }), None))
    }

    /// The same for somebody who is signed in: every entry of what is changed
    /// through it names them as `session_of`.
    #[must_use]
    pub fn by(&self, person: &SignedIn) -> Self {
        Self(Arc::clone(&self.0), Some(person.principal.alias.clone()))
    }

    /// Installation and keys as of now.
    fn now(&self) -> Arc<Inner> {
        Arc::clone(&self.0.inner.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, inner: Inner) {
        *self.0.inner.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(inner);
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Time and randomness.
    pub(crate) fn host(&self) -> &dyn Host {
        &*self.0.host
    }

    /// The installation, with the keys as of now.
    #[must_use]
    pub fn installation(&self) -> Arc<Installation> {
        Arc::clone(&self.now().installation)
    }

    /// Begins the log of a new installation.
    ///
    /// # Errors
    /// [`Refusal::AlreadyInitialised`].
    pub fn init(&self) -> Result<(), Refusal> {
        self.commit(|cx, tx, moment| rules::init::init(moment, &cx.installation, tx.log_size()?))
    }

    /// When the log began.
    ///
    /// # Errors
    /// [`Refusal::NotInitialised`]; [`Refusal::IssuerMoved`] when the log was
    /// begun under another URL than this authority has.
    pub fn started(&self) -> Result<Timestamp, Refusal> {
        let first = self.0.store.read(|view| view.entry(0))?;
        let first = first.filter(|e| e.kind == Kind::LogStarted.as_str());
        let first = first.ok_or(Refusal::NotInitialised)?;
        let leaf = Json::parse(&first.leaf, &JsonLimits::DEFAULT).ok();
        let issuer = leaf.as_ref().and_then(|leaf| {
            let body = leaf.as_object()?.member("body")?.as_object()?;
            body.member("issuer")?.as_object()?.member("uri")?.as_str()
        });
        let said = self.now().installation.issuer.clone();
        if issuer != Some(said.as_str()) {
            let begun = issuer.unwrap_or("another URL").to_owned();
            return Err(Refusal::IssuerMoved { begun, said });
        }
        Ok(first.time)
    }

    /// The trust file: what an auditor keeps.
    ///
    /// # Errors
    /// As [`Authority::started`].
    pub fn trust(&self) -> Result<Trust, Refusal> {
        let (inner, since) = (self.now(), Some(self.started()?));
        let mut trust = rules::trust::export(&inner.installation, since);
        if let Some(present) = inner.identity_key() {
            trust.identities = rules::trust::identities(&inner.installation, present, since);
        }
        trust.identities.extend(self.read(trust_domains::used_keys)?);
        trust.id_tokens = self.read(provider_logins::provider_keys)?;
        Ok(trust)
    }

    /// Revocations of this authority as a feed.
    #[must_use]
    pub fn feed(&self) -> StoreFeed {
        StoreFeed::new(self.0.store.clone(), Arc::clone(&self.0.host))
    }

    /// The registry as verification asks it; revocations from `follower`, or
    /// read with every call.
    #[must_use]
    pub fn registry(&self, follower: Option<Arc<RevocationFollower>>) -> StandingReader {
        let (store, host) = (self.0.store.clone(), Arc::clone(&self.0.host));
        let inner = self.now();
        let ceilings = Arc::clone(&inner.ceilings);
        StandingReader::new(store, host, &inner.installation.issuer, follower, ceilings)
    }

    /// Runs a rule and writes its plan, all in one transaction.
    fn commit<T: Send + 'static>(
        &self,
        rule: impl FnOnce(&Inner, &Tx<'_>, &Moment<'_>) -> Result<Plan<T>, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let person = self.1.clone();
        self.transact(move |cx, tx, moment| {
            let mut plan = rule(cx, tx, moment)?;
            if let Some(person) = &person {
                for step in &mut plan.steps {
                    step.event.body.insert("session_of", person);
                }
            }
            cx.write(tx, plan)
        })
    }

    /// Runs `work` in one transaction, with the clock checked. For what is more
    /// than a plan: tickets change with the entries, or not at all.
    fn transact<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner, &mut Tx<'_>, &Moment<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let shared = self.clone();
        self.0
            .store
            .write(move |tx| {
                // The keys of the moment at which the writer comes to it.
                let cx = shared.now();
                let moment = Moment::of(&*cx.host);
                // Fail closed: a clock that was stepped back would make entries
                // and windows of the past.
                let ahead = |last: Timestamp| last.millis_since(moment.now()) > OVERLAP_MS;
                if tx.last_time()?.is_some_and(ahead) {
                    return Err(Refusal::ClockBehind);
                }
                work(&cx, tx, &moment)
            })
            .wait()
    }

    fn read<T>(&self, work: impl FnOnce(&View<'_>) -> Result<T, StoreError>) -> Result<T, Refusal> {
        Ok(self.0.store.read(work)?)
    }
}

impl Inner {
    /// Writes what a rule decided on.
    fn write<T>(&self, tx: &mut Tx<'_>, plan: Plan<T>) -> Result<T, Refusal> {
        let begins = plan.steps.first().is_some_and(|s| s.event.kind == Kind::LogStarted);
        if tx.log_size()? == 0 && !begins {
            return Err(Refusal::NotInitialised);
        }
        let failed = autonomy::failed(&plan.steps);
        for step in plan.steps {
            let (maker, key) = (&self.maker, &*self.keys.maker);
            match (&step.row, step.erases.as_slice()) {
                (Some(row), _) => tx.record(maker, key, step.event, row)?,
                (None, []) => tx.append(maker, key, step.event)?,
                (None, erases) => tx.erase(maker, key, step.event, erases)?,
            };
        }
        for run in failed {
            autonomy::after_failure(self, tx, &run)?;
        }
        Ok(plan.outcome)
    }

    fn new(
        store: Store,
        host: Arc<dyn Host>,
        ceilings: Arc<Ceilings>,
        installation: Installation,
        keys: Keys,
    ) -> Result<Self, Refusal> {
        installation.check()?;
        let own = keys.maker.public_key();
        let maker = installation.makers.iter().find(|m| m.key == own).map(|m| m.id.clone());
        let Some(maker) = maker.filter(|_| keys.issuer.public_key() == installation.issuer_key)
        else {
            return Err(Refusal::Installation {
                member: "keys",
                expected: "the private keys of the issuer and of one maker",
            });
        };
        // DESIGN rule 6: different keys for different purposes.
        let snapshot = *keys.snapshot.public_key().as_bytes();
        let makers = installation.makers.iter().map(|m| *m.key.as_bytes());
        let mut others =
            makers.chain([*installation.issuer_key.as_bytes(), *installation.log_key.public_key()]);
        if others.any(|other| other == snapshot) {
            return Err(Refusal::Installation {
                member: "keys",
                expected: "a key of its own for snapshots",
            });
        }
        if keys.svid.public_key() == keys.identity.public_key() {
            return Err(Refusal::Installation {
                member: "keys",
                expected: "a key of its own for SVIDs",
            });
        }
        let (installation, parsed) = (Arc::new(installation), ceilings.workflows());
        let bundles = Arc::default();
        Ok(Self { store, host, installation, keys, maker, parsed, ceilings, bundles })
    }

    /// The same with other keys.
    fn with(&self, installation: Installation, keys: Keys) -> Result<Self, Refusal> {
        let (store, host) = (self.store.clone(), Arc::clone(&self.host));
        Self::new(store, host, Arc::clone(&self.ceilings), installation, keys)
    }

    fn principal(
        &self,
        view: &View<'_>,
        id: &PrincipalId,
    ) -> Result<Option<Stored<bailiwick_store::Principal>>, StoreError> {
        view.principal(&self.installation.issuer, id)
    }
}

/// The kind of the first of `subjects` that was revoked.
fn revoked(view: &View<'_>, subjects: &[Subject]) -> Result<Option<&'static str>, StoreError> {
    Ok(view.is_revoked(subjects)?.map(|r| r.subject.kind()))
}

/// A text that was committed to by `entry`, if it was not erased.
fn disclosed(view: &View<'_>, entry: &EntryId, field: &str) -> Result<Option<Json>, StoreError> {
    let texts = view.read_plaintext(entry)?.unwrap_or_default();
    Ok(texts.into_iter().find(|(name, _)| name == field).map(|(_, d)| d.value))
}
