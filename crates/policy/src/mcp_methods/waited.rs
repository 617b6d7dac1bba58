//! What a client sends back when it tries again a call that waits for a person.
//!
//! The gateway itself answers such a call with `input_required` (2026-07-28).
//! What comes back with the next try is for the gateway and no part of the call:
//! nobody signs it, it is held against no delegation, and no tool server sees it.

use bailiwick_core::json::{Json, Object};

/// How the gateway's own `requestState` begins; no tool server's that begins so
/// is passed on.
pub const OWN_STATE: &str = "bailiwick-approval.";

/// The name of the gateway's one question in `inputRequests`.
pub const OWN_QUESTION: &str = "io.bailiwick/approval";

/// What came back with a call that waited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waited {
    /// The state, as whoever sent it has it: nothing is known of it yet.
    pub state: String,
    /// The client's user would not open the page of the approval.
    pub declined: bool,
}

/// Whether a `requestState` is the gateway's own.
#[must_use]
pub fn is_own_state(state: &str) -> bool {
    state.starts_with(OWN_STATE)
}

/// Whether a call's parameters carry the gateway's own state.
pub(super) fn waits(params: &Object) -> bool {
    params.member("requestState").and_then(Json::as_str).is_some_and(is_own_state)
}

/// Takes out of a call's parameters what is the gateway's: its state, and all
/// answers, since a call that waits has asked nothing else.
#[must_use]
pub fn take_waited(params: &mut Object) -> Option<Waited> {
    if !waits(params) {
        return None;
    }
    let state = params.remove("requestState")?.as_str()?.to_owned();
    let answers = params.remove("inputResponses");
    let action = answers.as_ref().and_then(|answers| {
        answers.as_object()?.member(OWN_QUESTION)?.as_object()?.member("action")?.as_str()
    });
    let declined = matches!(action, Some("decline" | "cancel"));
    Some(Waited { state, declined })
}
