//! Who may hand what to whom: the workflow, and beside it the organisation's
//! bundle. The strictest word counts.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bailiwick_core::guarantee::{Grade, Guarantee};
use bailiwick_core::ids::{AgentId, PrincipalId, TaskId, WorkflowId};
use bailiwick_core::time::Timestamp;

use crate::decide::Finding;
use crate::in_force::Policies;
use crate::workflow::Workflow;

/// Everything that policy looks at.
#[derive(Clone, Debug)]
pub struct HandoffInput<'a> {
    /// Who hands over.
    pub from: &'a AgentId,
    /// Who is to take over.
    pub to: &'a AgentId,
    /// On whose authority the task is done.
    pub principal: &'a PrincipalId,
    /// The task.
    pub task: &'a TaskId,
    /// Its workflow.
    pub workflow: &'a WorkflowId,
    /// How sure the giver is of the taker.
    pub guarantee: Guarantee,
    /// Instances in the chain, the taker's included.
    pub hops: usize,
    /// The labels of the context.
    pub labels: &'a BTreeSet<String>,
    /// The worst grade among the claims.
    pub claims: Option<Grade>,
    /// Now.
    pub now: Timestamp,
}

const fn denied(rule: &'static str, reason: &'static str, code: &'static str) -> Finding {
    Finding { rule: Cow::Borrowed(rule), reason: Cow::Borrowed(reason), denial_code: code }
}

/// Whether a handoff may be; what denies it otherwise.
///
/// # Errors
/// The finding that denies it.
pub fn permits(
    policies: &Policies,
    workflow: &Workflow,
    input: &HandoffInput<'_>,
) -> Result<(), Finding> {
    if !workflow.permits_agent(input.to) {
        return Err(denied(
            "reach",
            "the workflow does not list the agent that is to take over",
            "handoff-reach",
        ));
    }
    let Some(bundle) = &policies.enforced else {
        return Err(denied("policy", "the organisation has published no policy", "no-policy"));
    };
    bundle.permits_handoff(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Bundle;

    const WORKFLOW: &str = include_str!("../../../workflows/support-tickets.yaml");

    fn bundle(text: &str) -> Result<Policies, String> {
        let files = [("a.cedar".to_owned(), text.to_owned())];
        let problems = |p: Vec<crate::bundle::BundleProblem>| format!("{p:?}");
        Bundle::parse(files).map(Policies::enforcing).map_err(problems)
    }

    struct Case {
        workflow: Workflow,
        ids: (AgentId, AgentId, PrincipalId, TaskId, WorkflowId),
        labels: BTreeSet<String>,
    }

    impl Case {
        fn new() -> Self {
            let workflow = Workflow::parse(WORKFLOW).unwrap();
            let ids = (
                AgentId::parse("agent:support-runner").unwrap(),
                AgentId::parse("agent:order-reader").unwrap(),
                PrincipalId::parse("user:142").unwrap(),
                TaskId::mint(Timestamp::from_seconds(1), [1; 10]),
                WorkflowId::parse("support-tickets").unwrap(),
            );
            Self { workflow, ids, labels: BTreeSet::from(["customer".to_owned()]) }
        }

        fn input(&self) -> HandoffInput<'_> {
            HandoffInput {
                from: &self.ids.0,
                to: &self.ids.1,
                principal: &self.ids.2,
                task: &self.ids.3,
                workflow: &self.ids.4,
                guarantee: Guarantee::Jwt,
                hops: 2,
                labels: &self.labels,
                claims: Some(Grade::Signed),
                now: Timestamp::from_seconds(1_800_000_000),
            }
        }

        fn judged(&self, policies: &Policies) -> Result<(), String> {
            permits(policies, &self.workflow, &self.input()).map_err(|f| f.rule.into_owned())
        }
    }

    #[test]
    fn the_workflow_says_who_is_reached_at_all() {
        let mut case = Case::new();
        let all = bundle("@id(\"all\") @reason(\"r\") permit (principal, action, resource);");
        let all = all.unwrap();
        assert_eq!(case.judged(&all), Ok(()));
        assert_eq!(case.judged(&Policies::default()), Err("policy".to_owned()));
        case.ids.1 = AgentId::parse("agent:order-reader2").unwrap();
        assert_eq!(case.judged(&all), Err("reach".to_owned()));
    }

    #[test]
    fn policies_about_handoffs_read_agents_guarantee_labels_and_grades() {
        let case = Case::new();
        let permit = "@id(\"p\") @reason(\"r\") permit (principal == Agent::\"agent:support-runner\", \
                      action == Action::\"handoff\", resource);";
        let forbid = |when: &str| {
            format!(
                "{permit} @id(\"f\") @reason(\"r\") forbid (principal, action == \
                 Action::\"handoff\", resource) when {{ {when} }};"
            )
        };
        let judged = |text: &str| case.judged(&bundle(text).unwrap());
        assert_eq!(judged(permit), Ok(()));
        for when in [
            "context.guarantee == Guarantee::\"jwt\"",
            "context.labels.contains(\"customer\")",
            "context.claims == Grade::\"signed\"",
            "context.workflow == Workflow::\"support-tickets\" && context.hops > 1",
            "resource == Agent::\"agent:order-reader\"",
        ] {
            assert_eq!(judged(&forbid(when)), Err("policy:f".to_owned()), "{when}");
        }
        assert_eq!(judged(&forbid("context.labels.contains(\"medical\")")), Ok(()));
        // A bundle that speaks of handoffs must permit them.
        let other = permit.replace("support-runner", "other");
        assert_eq!(judged(&other), Err("policy".to_owned()));
        // What cannot be evaluated denies.
        let overflow = forbid("context.hops * 9223372036854775807 > 1");
        assert_eq!(judged(&overflow), Err("policy".to_owned()));
    }

    #[test]
    fn policies_about_calls_say_nothing_of_handoffs_and_the_other_way_round() {
        let case = Case::new();
        let none = "@id(\"none\") @reason(\"r\") forbid (principal, action, resource);";
        assert_eq!(case.judged(&bundle(none).unwrap()), Ok(()));
        let wrong = "@id(\"x\") @reason(\"r\") forbid (principal, action == Action::\"handoff\", \
                     resource) when { context.assurance == Assurance::\"none\" };";
        assert!(bundle(wrong).unwrap_err().contains("assurance"));
        let asks = "@id(\"x\") @reason(\"r\") @approval forbid (principal, action == \
                    Action::\"handoff\", resource);";
        assert!(bundle(asks).unwrap_err().contains("nobody is asked"));
    }
}
