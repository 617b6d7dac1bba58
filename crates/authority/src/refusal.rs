//! Refusals: why the authority did not do what it was asked, each with a
//! stable code and what to do about it.

use std::borrow::Cow;

use bailiwick_core::aat::make::MakeError;
use bailiwick_core::crypto::KeyError;
use bailiwick_core::denial::Denial;
use bailiwick_core::enrolment::EnrolmentError;
use bailiwick_core::grant::GrantError;
use bailiwick_core::ids::{AgentId, InstanceId, PrincipalId, ServerName, ToolId, WorkflowId};
use bailiwick_policy::entitlements::Exceeded;
use bailiwick_policy::expand::ExpandError;
use bailiwick_policy::workflow::Problem;
use bailiwick_store::StoreError;

use crate::people::oidc::OidcError;
use crate::people::passkeys::PasskeyError;
use crate::people::roles::NotYourRole;
use crate::people::sessions::SessionError;
use crate::rules::delegations::NarrowError;

/// Why a request was refused. Nothing was written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The agent is suspended or retired, or its owner is.
    #[error("`{agent}` is not active, or nobody active owns it")]
    AgentInactive {
        /// Which one.
        agent: AgentId,
    },
    /// Not among the workflow's agents.
    #[error("workflow `{workflow}` does not list `{agent}`")]
    AgentNotInWorkflow {
        /// The agent.
        agent: AgentId,
        /// The workflow.
        workflow: WorkflowId,
    },
    /// What is retired does not come back.
    #[error("`{name}` is retired for good")]
    AlreadyRetired {
        /// Its name.
        name: String,
    },
    /// Another definition waits than the one that was looked at.
    #[error("`{tool}` has another definition by now than the one that was shown")]
    DefinitionMoved {
        /// Which tool.
        tool: ToolId,
    },
    /// A kept definition that is not what it was.
    #[error("the definition of `{tool}` that is on record cannot be read")]
    DefinitionUnreadable {
        /// Which tool.
        tool: ToolId,
    },
    /// As many logins are under way as this installation takes at once.
    #[error("too many logins are under way")]
    Busy,
    /// What only people have.
    #[error("`{id}` is a service: only people have passkeys and roles")]
    NotAPerson {
        /// Whose.
        id: PrincipalId,
    },
    /// The last owner of the installation cannot lose that role.
    #[error("nobody would be left who answers for this installation")]
    LastOwner,
    /// A narrowing that is none.
    #[error(transparent)]
    Narrow(#[from] NarrowError),
    /// Roles do not reach.
    #[error(transparent)]
    NotYourRole(#[from] NotYourRole),
    /// A login at an identity provider that was not taken.
    #[error(transparent)]
    Oidc(#[from] OidcError),
    /// A passkey that was not taken.
    #[error(transparent)]
    Passkey(#[from] PasskeyError),
    /// A browser's request that is not taken as the person's.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A one-time link or a page that has ended.
    #[error("this {what} was used before, or its time is over")]
    TicketGone {
        /// What.
        what: &'static str,
    },
    /// The log has begun already.
    #[error("this data dir holds an installation already")]
    AlreadyInitialised,
    /// A budget that is not understood.
    #[error("the budget's member `{member}` is not understood or not a non-negative integer")]
    BudgetInvalid {
        /// Which member.
        member: String,
    },
    /// A budget beyond the workflow's ceiling.
    #[error("the budget's member `{member}` is beyond the workflow's ceiling")]
    BudgetTooLarge {
        /// Which member.
        member: String,
    },
    /// A token that does not follow the one before it.
    #[error("the tokens do not form one chain from a root that was issued here")]
    ChainIncomplete,
    /// The clock is behind the last durable entry.
    #[error("the clock is behind the last durable entry")]
    ClockBehind,
    /// A credential that is no reference.
    #[error("a tool server's credential is a reference of the form `file:PATH`")]
    CredentialForm,
    /// Deeper than the workflow allows.
    #[error("the depth {asked} is beyond the workflow's {max}")]
    DepthTooLarge {
        /// What was asked for.
        asked: u64,
        /// The workflow's.
        max: u64,
    },
    /// A statement that does not hold.
    #[error(transparent)]
    Enrolment(#[from] EnrolmentError),
    /// Made too long ago, or ahead of our clock.
    #[error("the enrolment was made at another time than now: at most {max_minutes} minutes apart")]
    EnrolmentNotFresh {
        /// The bound.
        max_minutes: i64,
    },
    /// Meant for another authority.
    #[error("the enrolment is meant for another authority, expected `{expected}`")]
    EnrolmentOtherAudience {
        /// Ours.
        expected: String,
    },
    /// The statement names another owner than the registry.
    #[error("the enrolment names another owner than the one on record for `{agent}`")]
    EnrolmentOtherOwner {
        /// The agent.
        agent: AgentId,
    },
    /// Something of this name exists.
    #[error("the {what} `{name}` exists already")]
    Exists {
        /// What.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A scope that does not expand.
    #[error(transparent)]
    Expand(#[from] ExpandError),
    /// A grant that cannot be read or whose signature does not hold.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The grant was submitted before.
    #[error("this grant was submitted before")]
    GrantUsed,
    /// The installation's names are wrong.
    #[error("`{member}` is not acceptable: expected {expected}")]
    Installation {
        /// Which.
        member: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// More than one instance could be meant.
    #[error("`{agent}` has {} active instances", instances.len())]
    InstanceAmbiguous {
        /// The agent.
        agent: AgentId,
        /// Their ids.
        instances: Vec<InstanceId>,
    },
    /// No active instance.
    #[error("`{agent}` has no active instance to delegate to")]
    InstanceMissing {
        /// The agent.
        agent: AgentId,
    },
    /// The named instance is another agent's or not active.
    #[error("instance `{instance}` is not an active instance of `{agent}`")]
    InstanceUnsuitable {
        /// The instance.
        instance: InstanceId,
        /// The agent.
        agent: AgentId,
    },
    /// A public key that is not acceptable.
    #[error("the public key is not acceptable: {0}")]
    Key(#[from] KeyError),
    /// A request for an identity token that is not acceptable.
    #[error("the request for an identity token is not acceptable: {what}")]
    IdentityRequest {
        /// What is wrong.
        what: &'static str,
    },
    /// The key serves somebody else already.
    #[error("the key is already the {whose}'s")]
    KeyTaken {
        /// Whose.
        whose: &'static str,
    },
    /// A listing that is no answer to `tools/list` or `prompts/list`.
    #[error("the listing has no array `{member}`")]
    ListingForm {
        /// The member that is missing.
        member: &'static str,
    },
    /// A token that cannot be made.
    #[error(transparent)]
    Make(#[from] MakeError),
    /// No random bytes.
    #[error("the system gave no random bytes")]
    NoEntropy,
    /// No workflow, no delegation.
    #[error("no published workflow lets `{agent}` do all of this{}", listed(candidates))]
    NoWorkflow {
        /// The agent.
        agent: AgentId,
        /// Those that list the agent.
        candidates: Vec<WorkflowId>,
    },
    /// A tool that is not for callers who prove no key.
    #[error("`{tool}` is not listed for clients that prove no key")]
    NotForBearer {
        /// Which.
        tool: String,
    },
    /// A tool server of which the grant holds no tool.
    #[error("the grant reaches no tool of `{server}`")]
    NothingThere {
        /// Which.
        server: ServerName,
    },
    /// Somebody else's delegation.
    #[error("the principal may take back its own grants and agents only")]
    NotYours,
    /// A text that cannot be read as a token.
    #[error("the token cannot be read: {0}")]
    Token(Denial),
    /// An owner who would end or stop their own account in the console.
    #[error("this is your own account")]
    NotYourself,
    /// Agents that would stay where they are.
    #[error("the agents are this principal's already")]
    SamePrincipal,
    /// The log has not begun.
    #[error("this data dir holds no installation yet")]
    NotInitialised,
    /// The grant was not prepared here, or too long ago.
    #[error(
        "the grant was not prepared by this authority, or {max_minutes} minutes have passed since"
    )]
    PreparedUnknown {
        /// How long a preparation holds.
        max_minutes: i64,
    },
    /// The principal has no key of its own that could have signed.
    #[error("the principal has no signing key of its own")]
    NoSigningKey,
    /// A principal that is not active.
    #[error("the principal is not active")]
    PrincipalInactive,
    /// The end of an account without a reason in words, or with a long one.
    #[error("the end of an account needs a reason in words, of at most 500 bytes")]
    ReasonMissing,
    /// A reason that is no code.
    #[error("a reason is a code of lower-case letters, digits and `-`")]
    ReasonForm,
    /// A revocation statement that is not acceptable.
    #[error("the signed revocation is not acceptable: {what}")]
    RevocationStatement {
        /// What is wrong.
        what: &'static str,
    },
    /// What is asked for rests on something revoked.
    #[error("the {kind} was revoked")]
    Revoked {
        /// Which kind of thing.
        kind: &'static str,
    },
    /// Somebody who may still grant.
    #[error("`{name}` is active")]
    StillActive {
        /// The name.
        name: String,
    },
    /// The state changed between preparation and submission.
    #[error("the grant's `{member}` is no longer what the rules would grant")]
    StatementChanged {
        /// The member that differs.
        member: String,
    },
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The task is another principal's, agent's or workflow's, or has another
    /// purpose.
    #[error("the task has another {member} than the request")]
    TaskMismatch {
        /// What differs.
        member: &'static str,
    },
    /// No such thing.
    #[error("there is no {what} `{name}`")]
    Unknown {
        /// What.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A tool server's URL.
    #[error("the URL `{url}` {fault}")]
    Url {
        /// The URL, without what follows the path.
        url: String,
        /// What is wrong.
        fault: &'static str,
    },
    /// A key cannot have been compromised at a time that is to come.
    #[error("the time since when the key is compromised lies in the future")]
    SinceInFuture,
    /// A document of entitlements with problems.
    #[error("the entitlements have {} problem(s); the first: {}", .0.len(), first(.0))]
    EntitlementsInvalid(Vec<Problem>),
    /// More than the principal may do or grant.
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
    /// The window is empty, in the past or too far ahead.
    #[error("the time window is empty or has passed")]
    WindowInvalid,
    /// The window is longer than the workflow allows.
    #[error("the time window has {asked} seconds; the workflow allows {max}")]
    WindowTooLong {
        /// What was asked for, seconds.
        asked: i64,
        /// The workflow's, seconds.
        max: i64,
    },
    /// More than one workflow could serve.
    #[error("more than one workflow could serve: `{}`", names(workflows))]
    WorkflowAmbiguous {
        /// Their names.
        workflows: Vec<WorkflowId>,
    },
    /// A workflow file with problems.
    #[error("the workflow file has {} problem(s); the first: {}", .0.len(), first(.0))]
    WorkflowInvalid(Vec<Problem>),
}

fn names(workflows: &[WorkflowId]) -> String {
    workflows.iter().map(WorkflowId::as_str).collect::<Vec<_>>().join("`, `")
}

fn listed(candidates: &[WorkflowId]) -> String {
    if candidates.is_empty() {
        return String::new();
    }
    format!(" (`{}` list it, but not this scope)", names(candidates))
}

fn first(problems: &[Problem]) -> String {
    problems.first().map(ToString::to_string).unwrap_or_default()
}

impl Refusal {
    pub(crate) fn unknown(what: &'static str, name: impl ToString) -> Self {
        Self::Unknown { what, name: name.to_string() }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
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
            Self::InstanceAmbiguous { .. } => "instance-ambiguous",
            Self::InstanceMissing { .. } => "instance-missing",
            Self::InstanceUnsuitable { .. } => "instance-unsuitable",
            Self::Key(_) => "key-unacceptable",
            Self::IdentityRequest { .. } => "identity-request-unacceptable",
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
            Self::NotInitialised => "not-initialised",
            Self::NotForBearer { .. } => "not-for-bearer",
            Self::NothingThere { .. } => "nothing-there",
            Self::NotYours => "not-yours",
            Self::NotYourself => "not-yourself",
            Self::PreparedUnknown { .. } => "grant-not-prepared",
            Self::NoSigningKey => "no-signing-key",
            Self::PrincipalInactive => "principal-inactive",
            Self::ReasonForm => "reason-malformed",
            Self::ReasonMissing => "reason-empty",
            Self::RevocationStatement { .. } => "revocation-statement-invalid",
            Self::Revoked { .. } => "revoked",
            Self::SamePrincipal => "same-principal",
            Self::SinceInFuture => "since-in-future",
            Self::StillActive { .. } => "still-active",
            Self::StatementChanged { .. } => "grant-outdated",
            Self::Store(e) => e.code(),
            Self::TaskMismatch { .. } => "task-mismatch",
            Self::Token(d) => d.reason.code(),
            Self::Unknown { .. } => "unknown-name",
            Self::Url { .. } => "url-unacceptable",
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
            Self::AgentInactive { .. } => "ask the agent's owner, or resume it",
            Self::AgentNotInWorkflow { .. } => "ask the workflow's owner to list the agent",
            Self::AlreadyInitialised => "use it as it is, or name another data dir",
            Self::AlreadyRetired { .. } => "register a new one under another name",
            Self::BudgetInvalid { .. } => {
                "use `max_calls`, `max_calls/TOOL` or `sum/TOOL/ARGUMENT` with an integer"
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
            Self::KeyTaken { .. } => "make a key of its own for every principal and instance",
            Self::ListingForm { .. } => "pass the tool server's answer as it was received",
            Self::Make(e) => e.remedy(),
            Self::DefinitionMoved { .. } => "look at the one that waits now",
            Self::DefinitionUnreadable { .. } => {
                "read the definitions again with `bailiwick tool-server pin`"
            }
            Self::Busy => "try again in a few minutes",
            Self::NotAPerson { .. } => "name a person; a service signs requests with its key",
            Self::LastOwner => "make somebody else an owner first",
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
            Self::NotInitialised => "run `bailiwick init` first",
            Self::NotForBearer { .. } => "prove a key with DPoP",
            Self::NothingThere { .. } => "name a tool server that the grant reaches",
            Self::NotYours => "ask the operator, or the principal whose delegation it is",
            Self::NotYourself => "ask another owner",
            Self::PreparedUnknown { .. } => "prepare the grant again, then sign and submit it",
            Self::NoSigningKey => "sign with a passkey in the console, or at the identity provider",
            Self::PrincipalInactive => "ask the operator",
            Self::ReasonForm => "write for example `finished` or `key-compromised`",
            Self::ReasonMissing => "say in a few words why the person leaves",
            Self::RevocationStatement { .. } => {
                "sign the revocation again with the principal's registered key"
            }
            Self::Revoked { .. } => "use another one: what was revoked does not come back",
            Self::SamePrincipal => "name somebody else",
            Self::SinceInFuture => "name the earliest time at which somebody else may have had it",
            Self::StillActive { .. } => "suspend or retire it first",
            Self::StatementChanged { .. } => "prepare the grant again and look at what changed",
            Self::Store(e) => e.remedy(),
            Self::TaskMismatch { .. } => "use the task for what it was made, or make a new one",
            Self::Token(d) => d.reason.remedy(),
            Self::Unknown { .. } => "check the name, or add it first",
            Self::Url { .. } => {
                "use https, or http on this machine, without credentials in the URL"
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
