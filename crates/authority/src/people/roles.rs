//! Roles: one table of who may do what in the console and the API, read by one
//! function.

use std::fmt;
use std::str::FromStr;

/// A person's part in running the installation. Whoever is signed in may see
/// and take back what is their own without any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Answers for the installation: people, roles, and everything below.
    Owner,
    /// Keeps it running: registers, suspends, revokes.
    Operator,
    /// Decides on calls that wait for a person.
    Approver,
    /// Reads everything that is recorded, changes nothing.
    Auditor,
    /// Builds agents and clients: sees what is registered.
    Developer,
}

/// A text that names no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a role: expected `owner`, `operator`, `approver`, `auditor` or `developer`")]
pub struct RoleError;

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] =
        [Self::Owner, Self::Operator, Self::Approver, Self::Auditor, Self::Developer];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Auditor => "auditor",
            Self::Developer => "developer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = RoleError;
    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(RoleError)
    }
}

/// What a signed-in person may want to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deed {
    /// See and take back one's own grants, agents, passkeys and entries.
    TendOwn,
    /// See every agent and instance.
    SeeAgents,
    /// Register agents, and invite instances of any.
    AddAgents,
    /// Suspend or resume any agent.
    PauseAgents,
    /// Retire any agent, for good.
    RetireAgents,
    /// Give any agent to another owner.
    TransferAgents,
    /// See registered clients.
    SeeClients,
    /// Map clients to agents, and unmap them.
    MapClients,
    /// See tool servers, and what their tools are.
    SeeCatalogue,
    /// Accept a tool's definition, or withdraw it.
    TendCatalogue,
    /// Read every entry of the ledger.
    SeeActivity,
    /// See how well agents work, and runs without their texts.
    SeeFigures,
    /// Read the organisation's policy.
    SeePolicy,
    /// Read the installation's limits and public keys.
    SeeSettings,
    /// Take back anybody's grants and delegations.
    RevokeAny,
    /// Decide on calls that wait for a person.
    Approve,
    /// Stop anybody's agent, task or workflow.
    Stop,
    /// Stop everything.
    StopEverything,
    /// Sign that a stop ends.
    Resume,
    /// Invite people, end their access, give and take roles.
    TendPeople,
    /// See what failed, and why.
    SeeFailures,
    /// Say what kind of failure it is, and resolve it.
    TendFailures,
}

impl Deed {
    /// Every deed.
    pub const ALL: [Self; 22] = [
        Self::TendOwn,
        Self::SeeAgents,
        Self::AddAgents,
        Self::PauseAgents,
        Self::RetireAgents,
        Self::TransferAgents,
        Self::SeeClients,
        Self::MapClients,
        Self::SeeCatalogue,
        Self::TendCatalogue,
        Self::SeeActivity,
        Self::SeeFigures,
        Self::SeePolicy,
        Self::SeeSettings,
        Self::RevokeAny,
        Self::Approve,
        Self::Stop,
        Self::StopEverything,
        Self::Resume,
        Self::TendPeople,
        Self::SeeFailures,
        Self::TendFailures,
    ];

    /// Who may, beside nobody else: the table. `None` is everybody signed in.
    const fn allowed(self) -> Option<&'static [Role]> {
        use Role::{Approver, Auditor, Developer, Operator, Owner};
        match self {
            Self::TendOwn => None,
            Self::SeeAgents | Self::SeeCatalogue | Self::SeePolicy => {
                Some(&[Owner, Operator, Approver, Auditor, Developer])
            }
            Self::AddAgents
            | Self::PauseAgents
            | Self::MapClients
            | Self::TendCatalogue
            | Self::RevokeAny
            | Self::StopEverything => Some(&[Owner, Operator]),
            Self::Stop => Some(&[Owner, Operator, Approver]),
            Self::RetireAgents | Self::TransferAgents | Self::Resume | Self::TendPeople => {
                Some(&[Owner])
            }
            Self::SeeFailures => Some(&[Owner, Operator, Auditor, Developer]),
            Self::TendFailures => Some(&[Owner, Operator, Developer]),
            Self::SeeClients | Self::SeeFigures | Self::SeeSettings => {
                Some(&[Owner, Operator, Auditor, Developer])
            }
            Self::SeeActivity => Some(&[Owner, Operator, Auditor]),
            Self::Approve => Some(&[Approver]),
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::TendOwn => "see what is your own",
            Self::SeeAgents => "see the agents of others",
            Self::AddAgents => "register agents or invite their instances",
            Self::PauseAgents => "suspend or resume agents",
            Self::RetireAgents => "retire agents",
            Self::TransferAgents => "give agents to another owner",
            Self::SeeClients => "see registered clients",
            Self::MapClients => "map clients to agents",
            Self::SeeCatalogue => "see what the tools are",
            Self::TendCatalogue => "accept what tools are",
            Self::SeeActivity => "read the activity of others",
            Self::SeeFigures => "see how well agents work",
            Self::SeePolicy => "read the organisation's policy",
            Self::SeeSettings => "read the installation's settings",
            Self::RevokeAny => "take back what others granted",
            Self::Approve => "decide on waiting calls",
            Self::Stop => "stop what is not your own",
            Self::StopEverything => "stop everything",
            Self::Resume => "resume what was stopped",
            Self::TendPeople => "invite people or change their roles",
            Self::SeeFailures => "see what failed",
            Self::TendFailures => "classify or resolve failures",
        }
    }
}

/// The person's roles do not reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("your role does not let you {}", deed.words())]
pub struct NotYourRole {
    /// What was wanted.
    pub deed: Deed,
}

impl NotYourRole {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "role-missing"
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        "ask an owner of this installation for the role"
    }
}

/// Whether a signed-in person with these roles may do `deed`. The only place
/// where roles are looked at.
///
/// # Errors
/// [`NotYourRole`].
pub fn require(roles: &[Role], deed: Deed) -> Result<(), NotYourRole> {
    match deed.allowed() {
        None => Ok(()),
        Some(allowed) if roles.iter().any(|role| allowed.contains(role)) => Ok(()),
        Some(_) => Err(NotYourRole { deed }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_read_back_and_nothing_else_is_one() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
        }
        for bad in ["", "Owner", "admin", "root", "owner "] {
            assert_eq!(bad.parse::<Role>(), Err(RoleError), "{bad}");
        }
    }

    #[test]
    fn without_a_role_a_person_reaches_only_what_is_their_own() {
        for deed in Deed::ALL {
            assert_eq!(require(&[], deed).is_ok(), deed == Deed::TendOwn, "{deed:?}");
        }
        let refused = require(&[Role::Developer], Deed::MapClients).unwrap_err();
        assert_eq!(refused.code(), "role-missing");
        assert_eq!(refused.to_string(), "your role does not let you map clients to agents");
    }

    #[test]
    fn an_auditor_changes_nothing_and_an_owner_does_not_approve_by_that_role() {
        let changing = [
            Deed::AddAgents,
            Deed::PauseAgents,
            Deed::RetireAgents,
            Deed::TransferAgents,
            Deed::MapClients,
            Deed::TendCatalogue,
            Deed::RevokeAny,
            Deed::Approve,
            Deed::Stop,
            Deed::StopEverything,
            Deed::Resume,
            Deed::TendPeople,
        ];
        for deed in changing {
            assert!(require(&[Role::Auditor], deed).is_err(), "{deed:?}");
            assert!(require(&[Role::Developer], deed).is_err(), "{deed:?}");
        }
        assert!(require(&[Role::Auditor], Deed::TendFailures).is_err());
        assert!(require(&[Role::Approver], Deed::SeeFailures).is_err());
        assert!(require(&[Role::Developer], Deed::TendFailures).is_ok());
        assert!(require(&[Role::Owner], Deed::Approve).is_err());
        assert!(require(&[Role::Operator], Deed::RetireAgents).is_err());
        assert!(require(&[Role::Operator], Deed::TransferAgents).is_err());
        assert!(require(&[Role::Owner, Role::Approver], Deed::Approve).is_ok());
    }

    #[test]
    fn to_stop_is_wider_than_to_resume() {
        for role in [Role::Owner, Role::Operator, Role::Approver] {
            assert!(require(&[role], Deed::Stop).is_ok(), "{role}");
            assert_eq!(require(&[role], Deed::StopEverything).is_ok(), role != Role::Approver);
            assert_eq!(require(&[role], Deed::Resume).is_ok(), role == Role::Owner);
        }
    }
}
