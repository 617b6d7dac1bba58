//! The kinds of entry, covering the whole life of an authority.

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// What an entry says happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $($(#[$doc])* $variant,)* }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)*];

            /// Its name in the entry.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Kind::$variant => $text,)* }
            }

            /// Reads the name.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Kind::$variant),)* _ => None }
            }
        }
    };
}

kinds! {
    /// A call was allowed, denied, or needs approval.
    ActionDecided = "action.decided",
    /// What became of an allowed call.
    ActionCompleted = "action.completed",
    /// An agent was registered.
    AgentAdded = "agent.added",
    /// An agent was suspended, resumed or retired, or moved to another owner.
    AgentChanged = "agent.changed",
    /// Somebody said what may become of a call that waits.
    ApprovalDecided = "approval.decided",
    /// A question to people counts no more: it would be another one now.
    ApprovalVoided = "approval.voided",
    /// Somebody granted, as themselves, what an agent had asked for, or a part of it.
    AuthorityGranted = "authority.granted",
    /// Somebody refused what an agent had asked for.
    AuthorityRefused = "authority.refused",
    /// An agent asked for authority that it lacks.
    AuthorityRequested = "authority.requested",
    /// Somebody known asked for authority and was refused.
    AuthorizationRefused = "authorization.refused",
    /// A workflow's autonomy was lowered.
    AutonomyLowered = "autonomy.lowered",
    /// A workflow's autonomy was raised by one level: everybody who must signed it.
    AutonomyRaised = "autonomy.raised",
    /// Somebody who must signed that a workflow's autonomy is raised; others must too.
    AutonomySigned = "autonomy.signed",
    /// Somebody set out to check a run by a call.
    CheckStarted = "check.started",
    /// An OAuth client was mapped to an agent or to none any more, suspended,
    /// resumed or retired.
    ClientChanged = "client.changed",
    /// An OAuth client became known.
    ClientRegistered = "client.registered",
    /// A principal's passkey, login or key was added.
    CredentialAdded = "credential.added",
    /// A principal's passkey, login or key was suspended or removed.
    CredentialChanged = "credential.changed",
    /// An owner vouched for somebody else's passkey or approver key.
    CredentialTrusted = "credential.trusted",
    /// The authority issued a root.
    DelegationIssued = "delegation.issued",
    /// A derived token was seen for the first time.
    DelegationSeen = "delegation.seen",
    /// Denials without an entry of their own, counted together: of callers that
    /// were not known, beyond a bound, and those that could not be written.
    DenialsSuppressed = "denials.suppressed",
    /// What principals may do and grant at most was published.
    EntitlementsPublished = "entitlements.published",
    /// A person said what kind of failure it was.
    FailureClassified = "failure.classified",
    /// Something went wrong from which something may be learned.
    FailureDetected = "failure.detected",
    /// A failure was mended, or a person said that there is nothing to mend.
    FailureResolved = "failure.resolved",
    /// A principal's signed grant.
    GrantRecorded = "grant.recorded",
    /// The taker took a handoff over: it acts from here on.
    HandoffAccepted = "handoff.accepted",
    /// An agent offered a task to another.
    HandoffOffered = "handoff.offered",
    /// The taker did not take a handoff over.
    HandoffRejected = "handoff.rejected",
    /// The taker said how it went.
    HandoffReturned = "handoff.returned",
    /// An instance got an identity token.
    IdentityIssued = "identity.issued",
    /// An instance was retired.
    InstanceChanged = "instance.changed",
    /// An instance's two keys were enrolled.
    InstanceEnrolled = "instance.enrolled",
    /// A one-time token was made by which an instance enrols itself.
    InstanceInvited = "instance.invited",
    /// A key of the installation was exchanged or given up.
    KeyChanged = "key.changed",
    /// The log begins: its origin, key and first makers.
    LogStarted = "log.started",
    /// Two agents proved to each other who they are.
    PeerHandshake = "peer.handshake",
    /// An agent turned somebody away who did not prove to be who they said.
    PeerRefused = "peer.refused",
    /// The text behind a commitment was erased.
    PlaintextErased = "plaintext.erased",
    /// Somebody read the text behind a commitment.
    PlaintextRead = "plaintext.read",
    /// A bundle of policies is evaluated beside the one in force, or none is
    /// any more.
    PolicyCandidate = "policy.candidate",
    /// A bundle of policies was put in force.
    PolicyPublished = "policy.published",
    /// A principal was registered with its signing key.
    PrincipalAdded = "principal.added",
    /// A principal was suspended, resumed or retired.
    PrincipalChanged = "principal.changed",
    /// A one-time link was made by which a principal enrols a passkey.
    PrincipalInvited = "principal.invited",
    /// An identity provider's key signed a grant for the first time, or is no
    /// longer published.
    ProviderKeyChanged = "provider.key_changed",
    /// Somebody who may agreed that a stop ends; others must agree too.
    ResumeSigned = "resume.signed",
    /// A stop ended: enough people signed that it does.
    Resumed = "resumed",
    /// Something was revoked.
    Revoked = "revoked",
    /// A principal was given a role or lost it.
    RoleChanged = "role.changed",
    /// A step of a workflow's rollback plan was started from a run.
    RollbackStarted = "rollback.started",
    /// A run simply stopped: nothing came of it within its bound.
    RunAbandoned = "run.abandoned",
    /// A check of a run's completion was made, by whoever is not the run's agent.
    RunChecked = "run.checked",
    /// An agent said that its run is complete, and why; what follows was derived.
    RunClaimed = "run.claimed",
    /// Context that a run used: digests, sources and labels.
    RunContext = "run.context",
    /// Iterations of a run, its model calls and what they cost.
    RunProgress = "run.progress",
    /// A person accepted, corrected or rejected a run.
    RunReviewed = "run.reviewed",
    /// An agent started a run, with its goal.
    RunStarted = "run.started",
    /// Somebody signed that calls like one that waits may be made again.
    StandingApproved = "standing.approved",
    /// A standing approval was taken back.
    StandingRevoked = "standing.revoked",
    /// An agent, a task, a workflow or everything was stopped.
    Stopped = "stopped",
    /// A task was minted.
    TaskCreated = "task.created",
    /// A tool's definition was pinned.
    ToolPinned = "tool.pinned",
    /// A tool's definition is not the pinned one, or a tool is new.
    ToolChanged = "tool.changed",
    /// A person withdrew a tool's pin: calls are denied until it is accepted again.
    ToolQuarantined = "tool.quarantined",
    /// A tool server was catalogued.
    ToolServerAdded = "tool_server.added",
    /// A handshake rests on a key of another trust domain for the first time.
    TrustDomainKeyUsed = "trust_domain.key_used",
    /// A tool server's credential was put into the vault.
    VaultCredentialSet = "vault.credential_set",
    /// A tool server's credential was removed from the vault.
    VaultCredentialRemoved = "vault.credential_removed",
    /// The vault's key was replaced, and everything in it sealed anew.
    VaultKeyChanged = "vault.key_changed",
    /// A workflow version was published.
    WorkflowPublished = "workflow.published",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(*kind));
        }
        assert_eq!(Kind::parse("Action.Decided"), None);
    }
}
