//! The control plane: who may act for whom, granted, issued, taken back.
//!
//! [`rules`] are pure: values in, a [`Plan`](plan::Plan) out (the entries to
//! append, the rows to write, what to answer), or a typed [`Refusal`].
//! [`Authority`] reads the current state, calls the rule and writes the plan,
//! all in one transaction of the store, so that a rule never decides on a state
//! that somebody else is changing. Time and randomness come from a
//! [`Host`](host::Host) that the composition root hands in.
//!
//! [`standing`] answers the gateway's question "does all of this still hold?",
//! with revocations from a [`follower`] that remote gateways can run as well.
//!
//! Deliberately absent: any way to grant in somebody else's name. An
//! administrator registers, suspends and revokes; a grant needs the principal's
//! own signature (DESIGN rule 9), and there is no `attested` variant here.
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

mod bundles;
pub mod ceilings;
pub mod completion;
pub mod console;
pub mod federation;
pub mod feed;
pub mod follower;
pub mod host;
pub mod http;
pub mod inspect;
pub mod installation;
pub mod keyring;
pub mod oauth;
pub mod people;
pub mod plan;
pub mod refusal;
pub mod rules;
mod service;
pub mod standing;
pub mod webhooks;
mod workflows;

pub use installation::{Installation, Keys, Maker};
pub use refusal::Refusal;
pub use service::{
    AccountBegun, ApproverHours, Asking, Authority, Bounded, Catalogued, CheckTaken, Checked,
    Classification, Comparison, ConsentError, DelegationRef, Denying, Due, DueCheck, Ended, Erased,
    Erasure, Explanation, FailurePage, Fatigue, Flip, Flow, Granter, InboxPage, InboxQuery,
    Invited, Judged, Kept, Known, LOGIN_SECONDS, Lesser, ListedApproval, ListedFailure,
    ListedHandoff, ListedRequest, ListedRun, ListedStop, ListedWorkflow, Login, MAX_REPLAYED,
    Metrics, MetricsBy, MetricsByError, Named, NamedResult, NewCredential, Origin, Overview,
    OwnAccount, OwnApproverKey, OwnLogin, OwnPasskey, PeerAgent, Peers, PrepareOptions,
    Publication, PublishedKey, Ratings, Recovered, Removed, Replay, RequestAnswer, Resolution,
    Resuming, RunChecks, RunsPage, SaidBundle, SaidPolicy, SaidWord, Sayer, Scrape, SeenRun,
    ShownApproval, ShownAutonomy, ShownChange, ShownFailure, ShownHandoff, ShownRequest,
    ShownResumption, ShownReview, ShownRun, ShownSignature, ShownStanding, ShownVerdict, SignedIn,
    Statuses, Stopping, Taken, Target, Then, TokenAnswer, ToolState, Trail, Undo, UndoHow,
    UnusedScope, Waiting, WaitingSignature, figures_of, level_in_force, line_json, relying_party,
    spoken, standing_voices, suggestion, trend_json, wants_review,
};
