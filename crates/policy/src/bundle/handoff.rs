//! One handoff, said in Cedar: as `docs/handoff.cedarschema` has it.

use std::borrow::Cow;
use std::collections::HashSet;

use bailiwick_core::guarantee::Grade;
use cedar_policy::{
    ActionConstraint, Authorizer, Context, Decision, Entities, Entity, EntityUid, Policy, Request,
    RestrictedExpression as Value,
};

use super::Bundle;
use super::request::{RequestError, grade, uid};
use crate::decide::Finding;
use crate::handoff::HandoffInput;

/// The schema's part about handoffs.
const PART: &str = include_str!("../../../../docs/handoff.cedarschema");

/// The schema that policies about handoffs are validated against.
pub(super) fn schema() -> String {
    [super::SCHEMA, PART].concat()
}

/// Whether a policy is about handoffs: its head says so.
pub(super) fn is_about(policy: &Policy) -> bool {
    matches!(policy.action_constraint(),
        ActionConstraint::Eq(action) if action.id().unescaped() == "handoff")
}

fn request(input: &HandoffInput<'_>) -> Result<(Request, Entities), RequestError> {
    let (from, to) = (uid("Agent", input.from.as_str())?, uid("Agent", input.to.as_str())?);
    let labels = input.labels.iter().cloned().map(Value::new_string);
    let context = [
        ("principal", grade("Principal", input.principal.as_str())?),
        ("task", grade("Task", input.task.as_str())?),
        ("workflow", grade("Workflow", input.workflow.as_str())?),
        ("guarantee", grade("Guarantee", input.guarantee.as_str())?),
        ("hops", Value::new_long(i64::try_from(input.hops).unwrap_or(i64::MAX))),
        ("labels", Value::new_set(labels)),
        ("claims", grade("Grade", input.claims.map_or("none", Grade::as_str))?),
        ("time", Value::new_datetime(input.now.to_string())),
    ];
    let context = context.map(|(name, value)| (name.to_owned(), value));
    let context = Context::from_pairs(context).map_err(|_| RequestError::Unsayable)?;
    let agents: HashSet<EntityUid> = HashSet::from([from.clone(), to.clone()]);
    let entities = agents.into_iter().map(|uid| Entity::new_no_attrs(uid, HashSet::new()));
    let entities = Entities::from_entities(entities, None).map_err(|_| RequestError::Unsayable)?;
    let request = Request::new(from, uid("Action", "handoff")?, to, context, None)
        .map_err(|_| RequestError::Unsayable)?;
    Ok((request, entities))
}

impl Bundle {
    /// Whether the bundle lets a handoff be. One that says nothing of handoffs
    /// leaves them to the workflow; one that does must permit.
    ///
    /// # Errors
    /// The finding that denies it.
    pub fn permits_handoff(&self, input: &HandoffInput<'_>) -> Result<(), Finding> {
        if self.handoffs.is_empty() {
            return Ok(());
        }
        let denied = |rule: String, reason: &str, code| Finding {
            rule: Cow::Owned(rule),
            reason: Cow::Owned(reason.to_owned()),
            denial_code: code,
        };
        let error = "the handoff cannot be put to the organisation's policy";
        let Ok((request, entities)) = request(input) else {
            return Err(denied("policy".to_owned(), error, "policy-error"));
        };
        let response = Authorizer::new().is_authorized(&request, &self.handoffs, &entities);
        // A policy that cannot be evaluated denies.
        if response.diagnostics().errors().next().is_some() {
            return Err(denied("policy".to_owned(), error, "policy-error"));
        }
        if response.decision() == Decision::Allow {
            return Ok(());
        }
        let id = response.diagnostics().reason().next().map(ToString::to_string);
        let told = id.as_ref().and_then(|id| self.policy(id));
        Err(match (id, told) {
            (Some(id), Some(about)) => {
                denied(format!("policy:{id}"), &about.reason, "policy-denied")
            }
            _ => denied(
                "policy".to_owned(),
                "none of the organisation's policies about handoffs permits it",
                "policy-denied",
            ),
        })
    }
}
