//! Persistence by guarantee: SQLite state, the staged ledger, tiles on disk.
//!
//! One data dir holds `state.db` and the folder `ledger/`. [`Store::write`]
//! hands a unit of work to the writer thread: entries, the rows that are their
//! projections, spent proofs and budgets change together or not at all, and
//! the outcome arrives only once it is durable (WAL, `synchronous = FULL`;
//! units that wait are committed together). [`Store::read`] gives a consistent
//! snapshot. SQL is named nowhere outside this crate.
//!
//! Nothing here reads a clock or draws randomness: times come with the events,
//! random bytes from [`Entropy`].
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests fail by panicking"
    )
)]

mod apply;
mod approvals;
mod audit;
mod autonomy;
mod calls;
mod columns;
mod connection;
mod errands;
mod error;
mod failures;
mod fatigue;
mod fault;
mod files;
mod handoffs;
mod inbox;
mod ledger;
mod lineage;
mod lives;
mod metrics;
mod notes;
mod overview;
mod peers;
mod pending;
mod people;
mod policies;
mod query;
mod rebuild;
mod registry;
mod requests;
mod rollup;
mod rows;
mod run_facts;
mod runs;
mod seal;
mod standings;
mod stops;
mod store;
mod tickets;
mod trust_domains;
mod tx;
mod unreviewed;
mod vault;
mod view;
mod webhooks;
mod writer;

pub use approvals::MAX_APPROVALS;
pub use audit::{AuditInput, Finding, Report, audit};
pub use autonomy::PATIENCE_SECONDS as RUN_PATIENCE_SECONDS;
pub use connection::schema_version;
pub use error::{Fault, StoreError};
pub use failures::{FAILURE_WINDOW, FailureFilter, MAX_FAILURES};
pub use fatigue::{Asked, Hours, Quick};
pub use fault::{Faults, Injected, NoFaults, Step};
pub use files::{create_private_dir, create_secret, read_secret, write_durably};
pub use handoffs::MAX_HANDOFFS;
pub use inbox::{ApprovalFilter, Place as ApprovalPlace, Visible};
pub use ledger::{CheckpointSigner, LedgerFiles, Sequenced};
pub use lineage::HandoffCursor;
pub use lives::LIVES;
pub use metrics::{
    ApproverLoad, Blocked, CostFigures, HistogramRow, IterationFigures, Latency, MetricFilter,
    RefusedPeers, RunOutcomes, Spread, UsedScope,
};
pub use notes::{Left, Note, Notes};
pub use overview::CallsOfHour;
pub use peers::{PEER_TASK_SECONDS, PeerSeen, PeerTask};
pub use pending::Pending;
pub use query::{Filter, Found, MAX_RESULTS, SEARCH_WINDOW};
pub use rebuild::Rebuilt;
pub use requests::MAX_REQUESTS;
pub use rows::{
    Action, Agent, Appended, Approval, ApprovalState, AuthorityRequest, Autonomy,
    AutonomySignature, Candidate, Chain, Change, Charge, Charged, Client, ClientHolder,
    ClientSource, ContextKind, Credential, CredentialKind, Delegation, Derived, Entitlements,
    Errand, ErrandCall, ErrandKind, Failure, FailureClass, FailureClassified, FailureKind,
    FailureResolved, FailureSeen, FailureState, FailureTrend, Grant, Handoff, HandoffState,
    Handshake, Holder, IdentityMode, Instance, KnownDomain, Notice, OpenAction, Pin, PinStatus,
    Place, Policy, Principal, Regression, RequestState, Resumption, ReviewVerdict, Revocation,
    Revocations, Row, Run, RunCalls, RunContext, RunErrand, RunEvidence, RunReview, RunSpent,
    RunState, Said, Spent, Standing, StandingApproved, StandingSignature, StandingState, Status,
    Stop, StoppedBy, Stored, StoredEntry, Subject, Task, TokenForm, ToolServer, TrustDomain,
    UnknownText, Verdict, Workflow,
};
pub use run_facts::{EvidencePlace, LastCall, LastOk, RunCall};
pub use runs::{MAX_RUNS, RunFilter};
pub use seal::{Entropy, MAX_PLAINTEXT_BYTES, PlaintextKey};
pub use stops::MAX_STOPS;
pub use store::{Claim, Joined, Options, Store};
pub use tickets::{MAX_TICKET_BYTES, Ticket};
pub use tx::Tx;
pub use vault::{MAX_VAULT_BYTES, Unsealed, VaultKey, VaultPlace, VaultRow, VaultTaken};
pub use view::View;
pub use webhooks::{Delivery, Noticed, Tried, WebhookState};
