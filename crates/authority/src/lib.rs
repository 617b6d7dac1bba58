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
    AccountBegun, ApproverHours, Asking, Authority, Catalogued, ConsentError, DelegationRef,
    Denying, Due, Ended, Erased, Erasure, Fatigue, Flow, Granter, InboxPage, InboxQuery, Invited,
    Known, LOGIN_SECONDS, Lesser, ListedApproval, ListedHandoff, ListedRequest, ListedRun,
    ListedStop, Login, NewCredential, Origin, OwnAccount, OwnApproverKey, OwnLogin, OwnPasskey,
    PeerAgent, Peers, PrepareOptions, PublishedKey, Recovered, Removed, RequestAnswer, Resuming,
    RunsPage, Sayer, ShownApproval, ShownHandoff, ShownRequest, ShownResumption, ShownReview,
    ShownRun, ShownSignature, ShownStanding, ShownVerdict, SignedIn, Statuses, Stopping, Taken,
    Target, Then, TokenAnswer, ToolState, Trail, relying_party, spoken, standing_voices,
    suggestion,
};
pub use service::{
    CheckTaken, Checked, DueCheck, NamedResult, RunChecks, Undo, UndoHow, UndoState,
};
