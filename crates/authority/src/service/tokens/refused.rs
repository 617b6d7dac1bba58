//! Refusals of the rules as a client hears them, and as the ledger has them.

use bailiwick_store::StoreError;

use super::*;

impl From<StoreError> for OAuthError {
    fn from(_: StoreError) -> Self {
        // What failed inside is for the log.
        Self::unavailable("store")
    }
}

/// Seconds after which a client asks again about what is stopped.
const STOPPED_SECONDS: u32 = 30;

/// What a client hears of a refusal.
pub(in crate::service) fn oauth(refusal: Refusal) -> OAuthError {
    let code = match &refusal {
        Refusal::Store(_) | Refusal::NoEntropy | Refusal::ClockBehind | Refusal::NotInitialised => {
            return OAuthError::unavailable(refusal.code());
        }
        Refusal::Installation { .. } => return OAuthError::server(refusal.code()),
        // It goes on some time: nobody must give up what they hold for it.
        Refusal::Stopped { .. } => Code::TemporarilyUnavailable,
        Refusal::NothingThere { .. } => Code::InvalidTarget,
        Refusal::Expand(_) => Code::InvalidScope,
        Refusal::NotForBearer { .. } => Code::InvalidDpopProof,
        Refusal::AgentNotInWorkflow { .. } => Code::UnauthorizedClient,
        _ => Code::InvalidGrant,
    };
    let part = match &refusal {
        Refusal::Exceeded(_) => "beyond the principal's ceiling: ",
        _ => "",
    };
    let error =
        OAuthError::new(code, refusal.code(), format!("{part}{refusal}; {}", refusal.remedy()));
    match refusal {
        Refusal::Stopped { .. } => {
            OAuthError { retry_after_seconds: Some(STOPPED_SECONDS), ..error }
        }
        _ => error,
    }
}

/// What a principal hears of a grant that cannot be prepared as it was asked
/// for: the part of its request that stood in the way.
pub(super) fn unprepared(refusal: Refusal) -> OAuthError {
    let error = oauth(refusal);
    match error.code {
        Code::InvalidGrant | Code::UnauthorizedClient => {
            OAuthError { code: Code::InvalidAuthorizationDetails, ..error }
        }
        _ => error,
    }
}

/// The entry of a refusal to a client that is known.
pub(super) fn entry(
    cx: &Inner,
    moment: &Moment<'_>,
    known: &KnownClient,
    error: &OAuthError,
) -> Result<Step, Refusal> {
    let client = &known.client;
    Step::new(moment, &cx.installation.org, Kind::AuthorizationRefused)?
        .about(|s| {
            s.principal = known.principal.as_ref().map(ToString::to_string);
            s.agent = client.agent.as_ref().map(ToString::to_string);
            s.instance = client.instance.as_ref().map(ToString::to_string);
            s.reason = Some(error.reason.to_owned());
        })
        .with("by", "authority")
        .with("error", error.code.as_str())
        .commit(moment, "client", client.id.as_str())
}
