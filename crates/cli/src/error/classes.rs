//! Which class, and so which exit status, the errors of our crates and the
//! answers of an authority have.

use bailiwick_authority::Refusal;
use bailiwick_authority::follower::FeedError;
use bailiwick_authority::inspect::InspectError;
use bailiwick_authority::keyring::KeyRingError;
use bailiwick_authority::rules::runs::RunError;
use bailiwick_core::aat::make::MakeError;
use bailiwick_core::denial::Denial;
use bailiwick_core::enrolment::EnrolmentError;
use bailiwick_core::grant::GrantError;
use bailiwick_core::ids::IdError;
use bailiwick_core::json::JsonError;
use bailiwick_evidence::AssembleError;
use bailiwick_gateway::{GatewayError, TlsError};
use bailiwick_store::StoreError;

use super::{Class, CliError};

/// Errors of our crates that have `code()` and `remedy()`.
macro_rules! from_typed {
    ($($type:ty => $class:expr),* $(,)?) => {$(
        impl From<$type> for CliError {
            fn from(e: $type) -> Self {
                let class: fn(&$type) -> Class = $class;
                Self::new(class(&e), e.code(), e.to_string(), e.remedy())
            }
        }
    )*};
}

from_typed! {
    // What somebody typed, or what is in a file that they named.
    GrantError => |_| Class::Usage,
    EnrolmentError => |_| Class::Usage,
    MakeError => |_| Class::Usage,
    InspectError => |_| Class::Usage,
    // The installation and the host.
    StoreError => |_| Class::Environment,
    KeyRingError => |_| Class::Environment,
    GatewayError => |_| Class::Environment,
    FeedError => |_| Class::Environment,
    TlsError => |_| Class::Environment,
    // An answer to what was asked.
    AssembleError => |e| match e {
        AssembleError::NotFound { .. } => Class::NotFound,
        _ => Class::Refused,
    },
    Refusal => of_refusal,
}

impl From<IdError> for CliError {
    fn from(e: IdError) -> Self {
        let remedy = match e.what {
            "action id" => "copy it from `bailiwick audit query`".to_owned(),
            "approval id" => "copy it from `bailiwick approvals list`".to_owned(),
            "failure id" => "copy it from `bailiwick failure list --all`".to_owned(),
            "run id" => "copy it from `bailiwick run list`".to_owned(),
            _ => format!("write {}", e.expected),
        };
        Self::usage("id-malformed", e.to_string(), remedy)
    }
}

impl From<JsonError> for CliError {
    fn from(e: JsonError) -> Self {
        Self::usage(e.code(), e.to_string(), "check the file; it must be strict JSON")
    }
}

impl From<Denial> for CliError {
    fn from(d: Denial) -> Self {
        Self::refused(d.reason.code(), d.to_string(), d.reason.remedy())
    }
}

/// What the authority refused because it could not be understood is the
/// caller's mistake; what it could not do is the installation's.
fn of_refusal(refusal: &Refusal) -> Class {
    match refusal {
        Refusal::Unknown { .. } => Class::NotFound,
        Refusal::BudgetInvalid { .. }
        | Refusal::CredentialForm
        | Refusal::Enrolment(EnrolmentError::Member { .. })
        | Refusal::EntitlementsInvalid(_)
        | Refusal::Grant(GrantError::Member { .. })
        | Refusal::Installation { .. }
        | Refusal::IssuerMoved { .. }
        | Refusal::Key(_)
        | Refusal::NotAProgram
        | Refusal::ProgramCredential
        | Refusal::ReasonForm
        | Refusal::Run(RunError::CriterionUnknown { .. } | RunError::ReviewWords { .. })
        | Refusal::ReasonMissing
        | Refusal::Token(_)
        | Refusal::Url { .. }
        | Refusal::WorkflowInvalid(_) => Class::Usage,
        Refusal::Busy
        | Refusal::ClockBehind
        | Refusal::NoEntropy
        | Refusal::NotInitialised
        | Refusal::PolicyInvalid(_)
        | Refusal::Store(_) => Class::Environment,
        _ => Class::Refused,
    }
}

impl Class {
    /// The class of an authority's answer that is no success, by its HTTP status
    /// and its code. OAuth says 400 of nearly everything (RFC 6749 §5.2): what
    /// it calls `invalid_grant` was understood and refused.
    pub(crate) fn of_answer(status: u16, code: &str) -> Self {
        match status {
            400 if ["invalid_request", "request-malformed"].contains(&code) => Self::Usage,
            404 => Self::NotFound,
            // Not now is not no.
            429 | 500.. => Self::Environment,
            _ => Self::Refused,
        }
    }
}
