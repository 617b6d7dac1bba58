//! What a refusal is told by: its code, and what to do about it.

use std::borrow::Cow;

use bailiwick_core::ids::InstanceId;

use super::Refusal;

impl Refusal {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Approval(e) => e.code(),
            Self::ApprovalSettled { .. } => "approval-settled",
            Self::ApproverKeys { .. } => "approver-keys-too-many",
            Self::Barred(e) => e.code(),
            Self::Handoff(e) => e.code(),
            Self::AgentElsewhere { .. } => "agent-elsewhere",
            Self::Federation(e) => e.code(),
            Self::Raise(e) => e.code(),
            Self::Check(e) => e.code(),
            Self::Report(e) => e.code(),
            Self::Failure(e) => e.code(),
            Self::Request(e) => e.code(),
            Self::Run(e) => e.code(),
            Self::SaidBefore => "approval-said-before",
            Self::StandingTerms(e) => e.code(),
            Self::StandingElsewhere => "standing-elsewhere",
            Self::StandingTooLong { .. } => "standing-too-long",
            Self::StandingOver { .. } => "standing-over",
            Self::StandingTooMany { .. } => "standing-too-many",
            Self::NoteTooLong { .. } => "note-too-long",
            Self::Account(e) => e.code(),
            Self::AgentInactive { .. } => "agent-inactive",
            Self::AgentNotInWorkflow { .. } => "agent-not-in-workflow",
            Self::AlreadyInitialised => "already-initialised",
            Self::AlreadyRetired { .. } => "already-retired",
            Self::BudgetInvalid { .. } => "budget-invalid",
            Self::BudgetTooLarge { .. } => "budget-too-large",
            Self::ChainIncomplete => "chain-incomplete",
            Self::ClockBehind => "clock-behind",
            Self::CredentialForm => "credential-not-a-reference",
            Self::DepthTooLarge { .. } => "depth-too-large",
            Self::Enrolment(e) => e.code(),
            Self::EnrolmentNotFresh { .. } => "enrolment-not-fresh",
            Self::EnrolmentOtherAudience { .. } => "enrolment-other-audience",
            Self::EnrolmentOtherOwner { .. } => "enrolment-other-owner",
            Self::EntitlementsInvalid(_) => "entitlements-invalid",
            Self::Exceeded(e) => e.code(),
            Self::Exists { .. } => "already-exists",
            Self::Expand(e) => e.code(),
            Self::Grant(e) => e.code(),
            Self::GrantUsed => "grant-used",
            Self::Installation { .. } => "installation-invalid",
            Self::IssuerMoved { .. } => "public-url-moved",
            Self::InstanceAmbiguous { .. } => "instance-ambiguous",
            Self::InstanceMissing { .. } => "instance-missing",
            Self::InstanceUnsuitable { .. } => "instance-unsuitable",
            Self::Key(_) => "key-unacceptable",
            Self::IdentityRequest { .. } => "identity-request-unacceptable",
            Self::SvidRequest { .. } => "svid-request-unacceptable",
            Self::SvidIssue { .. } => "svid-not-issued",
            Self::KeyTaken { .. } => "key-taken",
            Self::ListingForm { .. } => "listing-malformed",
            Self::Make(e) => e.code(),
            Self::DefinitionMoved { .. } => "definition-moved",
            Self::DefinitionUnreadable { .. } => "definition-unreadable",
            Self::Busy => "busy",
            Self::NotAPerson { .. } => "not-a-person",
            Self::LastOwner => "last-owner",
            Self::Narrow(e) => e.code(),
            Self::NotYourRole(e) => e.code(),
            Self::Oidc(e) => e.code(),
            Self::Passkey(e) => e.code(),
            Self::Session(e) => e.code(),
            Self::TicketGone { .. } => "link-used-or-expired",
            Self::NoEntropy => "no-entropy",
            Self::NoWorkflow { .. } => "no-workflow",
            Self::NotAProgram => "not-a-program",
            Self::NotInitialised => "not-initialised",
            Self::NotForBearer { .. } => "not-for-bearer",
            Self::NothingThere { .. } => "nothing-there",
            Self::NotYours => "not-yours",
            Self::NotYourself => "not-yourself",
            Self::PolicyInvalid(_) => "policy-unreadable",
            Self::PreparedUnknown { .. } => "grant-not-prepared",
            Self::NoSigningKey => "no-signing-key",
            Self::PrincipalInactive => "principal-inactive",
            Self::ProgramCredential => "program-credential",
            Self::ReasonForm => "reason-malformed",
            Self::ReasonMissing => "reason-empty",
            Self::RevocationStatement { .. } => "revocation-statement-invalid",
            Self::Revoked { .. } => "revoked",
            Self::SamePrincipal => "same-principal",
            Self::SinceInFuture => "since-in-future",
            Self::StillActive { .. } => "still-active",
            Self::Stopped { .. } => "stopped",
            Self::StopReason { .. } => "stop-reason-missing",
            Self::NotYoursToStop => "not-yours-to-stop",
            Self::StopEnded => "stop-ended",
            Self::ResumptionTime { .. } => "resumption-time",
            Self::StatementChanged { .. } => "grant-outdated",
            Self::Store(e) => e.code(),
            Self::Suggestion(e) => e.code(),
            Self::TaskMismatch { .. } => "task-mismatch",
            Self::Token(d) => d.reason.code(),
            Self::Unknown { .. } => "unknown-name",
            Self::Url { .. } => "url-unacceptable",
            Self::VoucherTooNew { .. } => "voucher-too-new",
            Self::WindowInvalid => "window-invalid",
            Self::WindowTooLong { .. } => "window-too-long",
            Self::WorkflowAmbiguous { .. } => "workflow-ambiguous",
            Self::WorkflowInvalid(_) => "workflow-invalid",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Approval(e) => e.remedy(),
            Self::ApprovalSettled { .. } => "nothing: the agent is told when it asks again",
            Self::ApproverKeys { .. } => "remove one that is not used any more",
            Self::Barred(e) => e.remedy(),
            Self::Handoff(e) => e.remedy(),
            Self::AgentElsewhere { .. } => {
                "write `agent:NAME`; name its trust domain under `[[federates_with]]`"
            }
            Self::Federation(e) => e.remedy(),
            Self::Raise(e) => e.remedy(),
            Self::Check(e) => e.remedy(),
            Self::Report(e) => e.remedy(),
            Self::Failure(e) => e.remedy(),
            Self::Request(e) => e.remedy(),
            Self::Run(e) => e.remedy(),
            Self::SaidBefore => "ask another approver, or revoke the delegation",
            Self::StandingTerms(e) => e.remedy(),
            Self::StandingElsewhere => "load the waiting call again, and sign terms that cover it",
            Self::StandingTooLong { .. } => "let it end earlier",
            Self::StandingOver { .. } => "approve the next call that waits",
            Self::StandingTooMany { .. } => "take one back that is not needed any more",
            Self::NoteTooLong { .. } => "say it in fewer words",
            Self::Suggestion(e) => e.remedy(),
            Self::Account(e) => e.remedy(),
            Self::AgentInactive { .. } => "ask the agent's owner, or resume it",
            Self::AgentNotInWorkflow { .. } => "ask the workflow's owner to list the agent",
            Self::AlreadyInitialised => "use it as it is, or name another data dir",
            Self::AlreadyRetired { .. } => "register a new one under another name",
            Self::BudgetInvalid { .. } => {
                "use `max_calls`, `max_calls/TOOL` or `sum/TOOL/ARGUMENT` with an integer, with `per/SECONDS/` before it for each window of 1 to 31536000 seconds"
            }
            Self::BudgetTooLarge { .. } => "ask for less",
            Self::ChainIncomplete => "pass the whole chain, root first",
            Self::ClockBehind => "mend the clock, then try again",
            Self::CredentialForm => {
                "write the credential into a file of mode 600 and name that file"
            }
            Self::DepthTooLarge { .. } => "ask for a smaller depth",
            Self::Enrolment(e) => e.remedy(),
            Self::EnrolmentNotFresh { .. } => {
                "check the clocks, and make the enrolment again on the instance's host"
            }
            Self::EnrolmentOtherAudience { .. } => "make the enrolment for this authority's URL",
            Self::EnrolmentOtherOwner { .. } => "make the enrolment with the agent's present owner",
            Self::EntitlementsInvalid(problems) => {
                return Cow::Owned(problems.first().map_or_else(
                    || "publish the entitlements again".to_owned(),
                    |p| p.remedy.clone(),
                ));
            }
            Self::Exceeded(e) => e.remedy(),
            Self::Exists { .. } => "choose another name, or change the one that exists",
            Self::Expand(e) => return Cow::Owned(e.remedy()),
            Self::Grant(e) => e.remedy(),
            Self::GrantUsed => "prepare a new grant",
            Self::IssuerMoved { begun, .. } => {
                return format!(
                    "set `public_url = \"{begun}\"` in `bailiwick.toml`: grants, delegations and proofs name it for good; for another URL make a data dir of its own with `bailiwick init`"
                )
                .into();
            }
            Self::Installation { .. } => "correct it in `bailiwick.toml` or on the command line",
            Self::InstanceAmbiguous { instances, .. } => {
                let list: Vec<_> = instances.iter().map(InstanceId::as_str).collect();
                return Cow::Owned(format!("name one of `{}`", list.join("`, `")));
            }
            Self::InstanceMissing { .. } => "enrol an instance of the agent first",
            Self::InstanceUnsuitable { .. } => "name an active instance of that very agent",
            Self::Key(_) => "send a public Ed25519 key as a JWK, without private members",
            Self::IdentityRequest { .. } => {
                "sign a fresh request with the identity key that the instance enrolled"
            }
            Self::SvidRequest { .. } => {
                "send a PKCS#10 request for a fresh P-256 key, signed with that key, as base64url"
            }
            Self::SvidIssue { .. } => {
                "check the trust domain and the clock; `bailiwick doctor` says more"
            }
            Self::KeyTaken { .. } => "make a key of its own for every principal and instance",
            Self::ListingForm { .. } => "pass the tool server's answer as it was received",
            Self::Make(e) => e.remedy(),
            Self::DefinitionMoved { .. } => "look at the one that waits now",
            Self::DefinitionUnreadable { .. } => {
                "read the definitions again with `bailiwick tool-server pin`"
            }
            Self::Busy => "try again in a few minutes",
            Self::NotAPerson { .. } => "name a person; a service signs requests with its key",
            Self::LastOwner => "make somebody else an owner who can sign in first",
            Self::Narrow(e) => e.remedy(),
            Self::NotYourRole(e) => e.remedy(),
            Self::Oidc(e) => e.remedy(),
            Self::Passkey(e) => e.remedy(),
            Self::Session(e) => e.remedy(),
            Self::TicketGone { .. } => "begin again, or ask for a new link",
            Self::NoEntropy => "check the system's random number source, then try again",
            Self::NoWorkflow { .. } => {
                "publish a workflow that lists the agent and all shorthands, or ask for less"
            }
            Self::NotAProgram => "set what it is shown instead: see `bailiwick vault set --help`",
            Self::NotInitialised => "run `bailiwick init` first",
            Self::NotForBearer { .. } => "prove a key with DPoP",
            Self::NothingThere { .. } => "name a tool server that the grant reaches",
            Self::NotYours => "ask the operator, or the principal whose delegation it is",
            Self::NotYourself => "ask another owner",
            Self::PolicyInvalid(_) => {
                "publish a bundle again with `bailiwick policy publish`, and run `bailiwick audit verify`"
            }
            Self::PreparedUnknown { .. } => "prepare the grant again, then sign and submit it",
            Self::NoSigningKey => "sign with a passkey in the console, or at the identity provider",
            Self::PrincipalInactive => "ask the operator",
            Self::ProgramCredential => {
                "name the variable, as in `bailiwick vault set NAME --env TOKEN`"
            }
            Self::ReasonForm => "write for example `finished` or `key-compromised`",
            Self::ReasonMissing => "say in a few words why the person leaves",
            Self::RevocationStatement { .. } => {
                "sign the revocation again with the principal's registered key"
            }
            Self::Revoked { .. } => "use another one: what was revoked does not come back",
            Self::SamePrincipal => "name somebody else",
            Self::SinceInFuture => "name the earliest time at which somebody else may have had it",
            Self::Stopped { .. } => {
                "ask an owner to resume it; `bailiwick stops list` says why it was stopped"
            }
            Self::StopReason { .. } => "say in a few words why it is stopped",
            Self::NotYoursToStop => "ask an owner, operator or approver of this installation",
            Self::StopEnded => "nothing: `bailiwick stops list --all` shows who resumed it",
            Self::ResumptionTime { .. } => "check the clocks, and sign again",
            Self::StillActive { .. } => "suspend or retire it first",
            Self::StatementChanged { .. } => "prepare the grant again and look at what changed",
            Self::Store(e) => e.remedy(),
            Self::TaskMismatch { .. } => "use the task for what it was made, or make a new one",
            Self::Token(d) => d.reason.remedy(),
            Self::Unknown { what, near, .. } => return unknown(what, near),
            Self::Url { .. } => {
                "use https, or http on this machine, without credentials in the URL"
            }
            Self::VoucherTooNew { .. } => {
                "sign in with a passkey or login that is older than `approvals.new_key_hours`, ask another owner, or wait"
            }
            Self::WindowInvalid => "choose an end in the future, after the begin",
            Self::WindowTooLong { .. } => "choose an earlier end",
            Self::WorkflowAmbiguous { .. } => "name the workflow in the request",
            Self::WorkflowInvalid(problems) => {
                return Cow::Owned(problems.first().map(|p| p.remedy.clone()).unwrap_or_default());
            }
        })
    }
}

/// What to do where a name is nobody's.
fn unknown(what: &str, near: &[String]) -> Cow<'static, str> {
    if !near.is_empty() {
        return Cow::Owned(format!("did you mean `{}`?", near.join("` or `")));
    }
    // What is made by what happens cannot be added.
    Cow::Borrowed(match what {
        "action" | "entry" => "look it up with `bailiwick audit query`",
        "approval" => "`bailiwick approvals list --all` lists them",
        "failure" => "`bailiwick failure list --all` lists them",
        "run" => "`bailiwick run list` lists them",
        "stop" => "`bailiwick stops list --all` lists them",
        _ => "check the name, or add it first",
    })
}
