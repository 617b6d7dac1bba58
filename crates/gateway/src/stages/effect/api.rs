//! Stage 6 for an HTTP API: the request is made of the arguments that were
//! checked, proved and recorded, and of nothing else.

use axum::response::Response;
use bailiwick_core::crypto::sha256;
use bailiwick_core::ids::EntryId;
use bailiwick_core::ledger::Subjects;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::permit::Permit;

use super::super::evidence::{Finished, Outcome};
use super::{Recorded, time_left};
use crate::gateway::Gateway;
use crate::upstream::Failure;
use crate::upstream::api::Answer;
use crate::wire;

/// What a call came to.
pub(crate) struct Completed {
    pub(crate) response: Response,
    pub(crate) finished: Finished,
    pub(crate) entry: EntryId,
    pub(crate) subjects: Subjects,
}

/// Calls the API.
pub(crate) async fn call(gateway: &Gateway, recorded: Recorded<Permit>) -> Completed {
    let started = gateway.ports.host.now();
    let answer = send(gateway, &recorded, started).await;
    let duration_ms = gateway.ports.host.now().millis_since(started).max(0);
    let decision = recorded.entry.as_str();
    let (response, finished) = match answer {
        Ok(answer) => {
            let is_error = answer.status.is_client_error() || answer.status.is_server_error();
            let finished = Finished {
                outcome: if is_error { Outcome::Error } else { Outcome::Ok },
                duration_ms,
                bytes: answer.body.len(),
                is_error,
                result: Some(sha256(&answer.body)),
                reported: None,
                answers: Vec::new(),
            };
            (wire::api_answer(answer, finished.outcome, decision), finished)
        }
        Err(failure) => {
            let finished = Finished {
                outcome: failure.outcome(),
                duration_ms,
                bytes: failure.bytes(),
                is_error: true,
                result: None,
                reported: None,
                answers: Vec::new(),
            };
            (wire::api_failed(failure, decision), finished)
        }
    };
    Completed { response, finished, entry: recorded.entry, subjects: recorded.subjects }
}

async fn send(
    gateway: &Gateway,
    recorded: &Recorded<Permit>,
    now: Timestamp,
) -> Result<Answer, Failure> {
    let call = &recorded.call;
    let operation = call.pin.as_ref().and_then(|pin| pin.operation.as_ref());
    let outgoing = operation.and_then(|o| o.request(&call.request.call.arguments).ok());
    // Stage 3 has just made it; without it nothing is sent.
    let outgoing = outgoing.ok_or(Failure::Unreachable)?;
    let limit = time_left(gateway, recorded, now)?;
    let first = gateway.upstream.api(&call.server, &outgoing, limit).await;
    // Again only where a second call changes nothing more, as a person rated
    // it, and within the time that is left.
    let again = matches!(first, Err(Failure::Broken | Failure::Unreachable))
        && call.ground.rating.idempotent;
    if !again {
        return first;
    }
    match time_left(gateway, recorded, gateway.ports.host.now()) {
        Ok(left) => match gateway.upstream.api(&call.server, &outgoing, left.min(limit)).await {
            // That the second did not get there says nothing of the first.
            Err(Failure::Unreachable) => first,
            second => second,
        },
        Err(_) => first,
    }
}
