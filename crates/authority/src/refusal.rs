//! Refusals: why the authority did not do what it was asked, each with a
//! stable code and what to do about it.

use bailiwick_core::aat::make::MakeError;
use bailiwick_core::approval::ApprovalError;
use bailiwick_core::approval::standing::TermsError;
use bailiwick_core::crypto::KeyError;
use bailiwick_core::denial::Denial;
use bailiwick_core::enrolment::EnrolmentError;
use bailiwick_core::grant::GrantError;
use bailiwick_core::ids::{AgentId, InstanceId, PrincipalId, ServerName, ToolId, WorkflowId};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::approvers::Barred;
use bailiwick_policy::autonomy::RaiseError;
use bailiwick_policy::bundle::BundleProblem;
use bailiwick_policy::entitlements::Exceeded;
use bailiwick_policy::expand::{ExpandError, nearest};
use bailiwick_policy::workflow::Problem;
use bailiwick_store::StoreError;

use crate::federation::FederationError;
use crate::people::accounts::AccountError;
use crate::people::oidc::OidcError;
use crate::people::passkeys::PasskeyError;
use crate::people::roles::NotYourRole;
use crate::people::sessions::SessionError;
use crate::rules::checks::CheckError;
use crate::rules::delegations::NarrowError;
use crate::rules::failures::FailureError;
use crate::rules::handoffs::HandoffRefusal;
use crate::rules::requests::RequestError;
use crate::rules::runs::RunError;
use crate::rules::suggestions::SuggestionError;

mod told;

/// Why a request was refused. Nothing was written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// A verdict whose signature does not hold.
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    /// A waiting call that is settled.
    #[error("the call does not wait any more: {how}")]
    ApprovalSettled {
        /// `approved`, `denied`, `spent`, `void` or `expired`.
        how: &'static str,
    },
    /// As many approver keys as one person may have.
    #[error("a person has at most {max} approver keys")]
    ApproverKeys {
        /// How many.
        max: usize,
    },
    /// A handshake or handoff that is not recorded.
    #[error(transparent)]
    Handoff(#[from] HandoffRefusal),
    /// An agent of another trust domain, which is not registered here.
    #[error("`{agent}` is an agent of another trust domain")]
    AgentElsewhere {
        /// Which.
        agent: AgentId,
    },
    /// Another trust domain's word that is not taken.
    #[error(transparent)]
    Federation(#[from] FederationError),
    /// A workflow's autonomy that is not changed so.
    #[error(transparent)]
    Raise(#[from] RaiseError),
    /// A run of which there is no report.
    #[error(transparent)]
    Report(#[from] bailiwick_evidence::ReportError),
    /// A check of a run that is not taken up, or something that is not undone.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// A failure that is not classified or resolved so.
    #[error(transparent)]
    Failure(#[from] FailureError),
    /// A request for more authority that is none, or is not decided so.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Something that is said of a run and does not stand.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Somebody who may not decide, or not so.
    #[error(transparent)]
    Barred(#[from] Barred),
    /// Somebody who decided already.
    #[error("you have decided on this call already")]
    SaidBefore,
    /// Terms that nobody may sign.
    #[error(transparent)]
    StandingTerms(#[from] TermsError),
    /// Terms that do not cover the call because of which they are signed, or are
    /// others than those of the standing approval with this id.
    #[error("the standing approval does not cover the call that waits")]
    StandingElsewhere,
    /// Terms that outlive what the call rests on.
    #[error("the delegation ends at {most}, and no standing approval under it lasts longer")]
    StandingTooLong {
        /// When it ends.
        most: Timestamp,
    },
    /// As many standing approvals as may last at once for one tool of a delegation.
    #[error("{max} standing approvals for this tool under this delegation last already")]
    StandingTooMany {
        /// How many.
        max: usize,
    },
    /// A standing approval that lets nothing pass any more.
    #[error("the standing approval counts no more: {how}")]
    StandingOver {
        /// `revoked`, `expired` or `used_up`.
        how: &'static str,
    },
    /// Words that are too many.
    #[error("what is added in words has at most {max} characters")]
    NoteTooLong {
        /// How many.
        max: usize,
    },
    /// A suggestion that is none.
    #[error(transparent)]
    Suggestion(#[from] SuggestionError),
    /// An account at a tool server that was not connected.
    #[error(transparent)]
    Account(#[from] AccountError),
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
    /// The log was begun under another URL than the configured one.
    #[error("this data dir was begun as `{begun}`, and `public_url` says `{said}` now")]
    IssuerMoved {
        /// The URL with which the log was begun.
        begun: String,
        /// What is configured.
        said: String,
    },
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
    /// Something that an instance signed and that is not acceptable.
    #[error("the instance's request is not acceptable: {what}")]
    IdentityRequest {
        /// What is wrong.
        what: &'static str,
    },
    /// A request for SVIDs whose certificate request is not acceptable.
    #[error("the certificate request is not acceptable: {what}")]
    SvidRequest {
        /// What is wrong.
        what: String,
    },
    /// SVIDs that cannot be made.
    #[error("the SVIDs cannot be made: {what}")]
    SvidIssue {
        /// Why.
        what: String,
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
    /// Variables for a tool server that is no program.
    #[error("only a program has an environment, and this tool server is reached by a URL")]
    NotAProgram,
    /// Something else than variables for a tool server that is a program.
    #[error("a program gets its secrets in its environment, which is one for everybody")]
    ProgramCredential,
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
    /// What is asked for comes under a stop.
    #[error("`{what}` is stopped")]
    Stopped {
        /// What.
        what: String,
    },
    /// A stop without a reason in words, or with a long one.
    #[error("a stop needs a reason in words, of at most {max} characters")]
    StopReason {
        /// How many.
        max: usize,
    },
    /// Somebody who may not stop this.
    #[error("you may stop your own tasks, agents and workflows only")]
    NotYoursToStop,
    /// A stop that ended before.
    #[error("the stop ended already")]
    StopEnded,
    /// A signature that counts no more, or for too long.
    #[error("the resumption must count from now on, for at most {max} seconds")]
    ResumptionTime {
        /// How long at most, seconds.
        max: i64,
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
        /// Names that are known and look like it, nearest first.
        near: Vec<String>,
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
    /// A bundle of policies that was published and is not what it was.
    #[error("the published policy does not read as what was published ({} problem(s))", .0.len())]
    PolicyInvalid(Vec<BundleProblem>),
    /// A document of entitlements with problems.
    #[error("the entitlements have {} problem(s); the first: {}", .0.len(), first(.0))]
    EntitlementsInvalid(Vec<Problem>),
    /// More than the principal may do or grant.
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
    /// A voucher whose own passkey or login is as new as what it would vouch for.
    #[error("what you are signed in with is too new to vouch for others{}", until(*from))]
    VoucherTooNew {
        /// From when on it is not, where it is known.
        from: Option<Timestamp>,
    },
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

fn until(from: Option<Timestamp>) -> String {
    from.map(|from| format!(" until {from}")).unwrap_or_default()
}

fn first(problems: &[Problem]) -> String {
    problems.first().map(ToString::to_string).unwrap_or_default()
}

impl Refusal {
    pub(crate) fn unknown(what: &'static str, name: impl ToString) -> Self {
        Self::Unknown { what, name: name.to_string(), near: Vec::new() }
    }

    /// No such thing among `known`: those that look like it are told. Only for
    /// whoever may read all of them.
    pub(crate) fn unknown_among<'k>(
        what: &'static str,
        name: impl ToString,
        known: impl Iterator<Item = &'k str>,
    ) -> Self {
        let name = name.to_string();
        let near = nearest(&name, known).into_iter().map(str::to_owned).collect();
        Self::Unknown { what, name, near }
    }
}
