//! Which policies can matter to a call. A policy whose head names an agent, a
//! tool or a tool server is satisfied only where that one is concerned, and
//! Cedar evaluates nothing else of it where the head does not hold, so it can
//! neither decide nor fail there. Policies are shelved by what their heads name;
//! a call looks at the shelves of its own agent, tool and tool server.

use cedar_policy::{EntityUid, Policy, PrincipalConstraint, ResourceConstraint};

/// What the head of a policy names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    agent: Option<EntityUid>,
    resource: Option<EntityUid>,
}

impl Key {
    /// The head names nobody and nothing.
    pub(super) const ANY: Self = Self { agent: None, resource: None };

    /// The shelf of a policy.
    pub(super) fn of(policy: &Policy) -> Self {
        // INVARIANT: an agent has no parents, a tool has its tool server and no
        // other, so `in` holds for the named entity itself and for a tool of a
        // named tool server. `request::of` builds the entities so.
        let agent = match policy.principal_constraint() {
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
            PrincipalConstraint::In(uid)
            | PrincipalConstraint::Eq(uid)
            | PrincipalConstraint::IsIn(_, uid) => Some(uid),
        };
        let resource = match policy.resource_constraint() {
            ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
            ResourceConstraint::In(uid)
            | ResourceConstraint::Eq(uid)
            | ResourceConstraint::IsIn(_, uid) => Some(uid),
        };
        Self { agent, resource }
    }

    /// The shelves that concern a call.
    pub(super) fn concerning(
        agent: &EntityUid,
        tool: &EntityUid,
        server: &EntityUid,
    ) -> impl Iterator<Item = Self> {
        let agents = [None, Some(agent.clone())];
        let resources = [None, Some(tool.clone()), Some(server.clone())];
        agents.into_iter().flat_map(move |agent| {
            resources.clone().map(|resource| Self { agent: agent.clone(), resource })
        })
    }
}
