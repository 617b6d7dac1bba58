//! Problem details (RFC 9457): errors of our own API.

use bailiwick_core::json::{Json, Object};
use bailiwick_policy::autonomy::RaiseError;

use super::idempotency::IdempotencyError;
use crate::refusal::Refusal;
use crate::rules::checks::CheckError;
use crate::rules::failures::FailureError;
use crate::rules::handoffs::HandoffRefusal;
use crate::rules::requests::RequestError;
use crate::rules::runs::RunError;

/// The media type.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: &'static str,
    /// What is wrong, in a sentence.
    pub detail: String,
    /// What to do about it.
    pub remedy: String,
    /// The entry that records it, if one does.
    pub entry: Option<String>,
    /// Seconds after which it may be tried again: the header `Retry-After`.
    pub retry_after_seconds: Option<u32>,
}

impl Problem {
    /// One that no entry records.
    #[must_use]
    pub fn new(
        status: u16,
        code: &'static str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (detail, remedy) = (detail.into(), remedy.into());
        Self { status, code, detail, remedy, entry: None, retry_after_seconds: None }
    }

    /// The body. The `type` is a name, not an address: nothing needs to be
    /// fetched to understand it.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let object = Object::new()
            .with("type", format!("urn:bailiwick:problem:{}", self.code))
            .with("title", self.code)
            .with("status", u64::from(self.status))
            .with("detail", self.detail.as_str())
            .with("remedy", self.remedy.as_str());
        match &self.entry {
            Some(entry) => object.with("instance", format!("urn:uuid:{entry}")).into(),
            None => object.into(),
        }
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        let status = match refusal {
            Refusal::Unknown { .. } => 404,
            Refusal::Exists { .. }
            | Refusal::GrantUsed
            | Refusal::KeyTaken { .. }
            | Refusal::AlreadyInitialised
            | Refusal::AlreadyRetired { .. }
            | Refusal::DefinitionMoved { .. }
            | Refusal::StatementChanged { .. }
            | Refusal::StillActive { .. }
            | Refusal::StopEnded => 409,
            Refusal::NotYours
            | Refusal::Check(CheckError::NotYours)
            | Refusal::NotYoursToStop
            | Refusal::NotYourRole(_)
            | Refusal::Session(_)
            | Refusal::VoucherTooNew { .. } => 403,
            Refusal::TicketGone { .. } => 410,
            Refusal::Raise(RaiseError::Signer) | Refusal::Run(RunError::NotReviewer) => 403,
            Refusal::Raise(RaiseError::OtherFigures | RaiseError::Changed)
            | Refusal::Run(RunError::NotEnded)
            | Refusal::Check(
                CheckError::RunOpen
                | CheckError::UnderWay
                | CheckError::NotPublished
                | CheckError::TakenUp,
            )
            | Refusal::Failure(FailureError::Settled)
            | Refusal::Request(RequestError::Settled { .. })
            | Refusal::Handoff(HandoffRefusal::Settled { .. } | HandoffRefusal::Repeated) => 409,
            Refusal::Handoff(HandoffRefusal::Policy { .. }) => 403,
            Refusal::Handoff(HandoffRefusal::Flood) => 429,
            Refusal::Handoff(HandoffRefusal::DomainStale { .. })
            | Refusal::Federation(_)
            | Refusal::Busy
            | Refusal::ClockBehind
            | Refusal::NoEntropy
            | Refusal::NotInitialised
            | Refusal::Stopped { .. } => 503,
            Refusal::Store(_) | Refusal::SvidIssue { .. } => 500,
            _ => 422,
        };
        // What failed inside is for the log, not for the caller.
        let detail = match refusal {
            Refusal::Store(_) => "the authority could not do it".to_owned(),
            other => other.to_string(),
        };
        Self::new(status, refusal.code(), detail, refusal.remedy())
    }
}

impl From<&IdempotencyError> for Problem {
    fn from(error: &IdempotencyError) -> Self {
        Self::new(error.status(), error.code(), error.to_string(), error.remedy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_members_of_rfc_9457_and_a_remedy() {
        let refusal = Refusal::unknown("agent", "agent:x");
        let mut problem = Problem::from(&refusal);
        problem.entry = Some("018cc251-f400-7000-8000-000000000000".into());
        assert_eq!(
            problem.to_json().canonical(),
            r#"{"detail":"there is no agent `agent:x`","#.to_owned()
                + r#""instance":"urn:uuid:018cc251-f400-7000-8000-000000000000","#
                + r#""remedy":"check the name, or add it first","status":404,"#
                + r#""title":"unknown-name","type":"urn:bailiwick:problem:unknown-name"}"#
        );
        assert_eq!(Problem::from(&Refusal::NotYours).status, 403);
        assert_eq!(Problem::from(&Refusal::GrantUsed).status, 409);
        assert_eq!(Problem::from(&Refusal::ClockBehind).status, 503);
        assert_eq!(Problem::from(&Refusal::WindowInvalid).status, 422);
    }
}
