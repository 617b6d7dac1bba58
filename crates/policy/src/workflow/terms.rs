//! Whether the terms of a grant stay within the workflow.

use bailiwick_core::ids::{AgentId, WorkflowId};

use super::Workflow;

/// What a grant asks for beside its scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The agent that is to act.
    pub agent: AgentId,
    /// How long, in seconds.
    pub window_seconds: u64,
    /// How often the delegation may be passed on.
    pub max_depth: u64,
    /// How many calls; none asks for as many as the workflow allows.
    pub max_calls: Option<u64>,
}

/// Why terms go beyond the workflow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// The agent is not listed.
    #[error("workflow `{workflow}` does not list `{agent}`")]
    Agent {
        /// The workflow.
        workflow: WorkflowId,
        /// The agent.
        agent: AgentId,
    },
    /// A number beyond its ceiling, or zero where that grants nothing.
    #[error("{what} must be from {min} to {max} under workflow `{workflow}`, found {found}")]
    Ceiling {
        /// The workflow.
        workflow: WorkflowId,
        /// Which number.
        what: &'static str,
        /// The least.
        min: u64,
        /// The ceiling.
        max: u64,
        /// What was asked for.
        found: u64,
    },
}

impl TermsError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Agent { .. } => "workflow-agent-not-listed",
            Self::Ceiling { .. } => "workflow-ceiling-exceeded",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Agent { .. } => {
                "choose an agent that the workflow lists, or ask its owner to list this one"
            }
            Self::Ceiling { .. } => "ask for less, or ask the workflow's owner for another version",
        }
    }
}

impl Workflow {
    /// The terms that a grant gets: as asked, with the workflow's own ceiling
    /// where none was asked for.
    ///
    /// # Errors
    /// If the agent is not listed, or a number lies outside its bounds.
    pub fn terms(&self, asked: &Terms) -> Result<Terms, TermsError> {
        if !self.permits_agent(&asked.agent) {
            let (workflow, agent) = (self.id.clone(), asked.agent.clone());
            return Err(TermsError::Agent { workflow, agent });
        }
        self.within("the window in seconds", 1, self.window_seconds, asked.window_seconds)?;
        self.within("the depth", 0, self.max_depth, asked.max_depth)?;
        if let Some(calls) = asked.max_calls {
            let ceiling = self.budget.max_calls().unwrap_or(u64::MAX);
            self.within("the number of calls", 1, ceiling, calls)?;
        }
        Ok(Terms { max_calls: asked.max_calls.or(self.budget.max_calls()), ..asked.clone() })
    }

    fn within(&self, what: &'static str, min: u64, max: u64, found: u64) -> Result<(), TermsError> {
        if (min..=max).contains(&found) {
            return Ok(());
        }
        Err(TermsError::Ceiling { workflow: self.id.clone(), what, min, max, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Terms {
        Terms {
            agent: AgentId::parse("agent:support-runner").unwrap(),
            window_seconds: 900,
            max_depth: 2,
            max_calls: None,
        }
    }

    fn bundled() -> Workflow {
        Workflow::parse(include_str!("../../../../workflows/support-tickets.yaml")).unwrap()
    }

    #[test]
    fn a_grant_without_a_budget_gets_the_workflows_ceiling() {
        let workflow = bundled();
        assert_eq!(workflow.terms(&asked()).unwrap().max_calls, Some(500));
        let few = Terms { max_calls: Some(3), ..asked() };
        assert_eq!(workflow.terms(&few).unwrap(), few);
    }

    #[test]
    fn terms_beyond_the_workflow_are_refused() {
        let workflow = bundled();
        for (terms, code) in [
            (
                Terms { agent: AgentId::parse("agent:x").unwrap(), ..asked() },
                "workflow-agent-not-listed",
            ),
            (Terms { window_seconds: 0, ..asked() }, "workflow-ceiling-exceeded"),
            (Terms { window_seconds: 3601, ..asked() }, "workflow-ceiling-exceeded"),
            (Terms { max_depth: 4, ..asked() }, "workflow-ceiling-exceeded"),
            (Terms { max_calls: Some(501), ..asked() }, "workflow-ceiling-exceeded"),
            (Terms { max_calls: Some(0), ..asked() }, "workflow-ceiling-exceeded"),
        ] {
            assert_eq!(workflow.terms(&terms).unwrap_err().code(), code, "{terms:?}");
        }
        assert!(workflow.terms(&Terms { window_seconds: 3600, max_depth: 3, ..asked() }).is_ok());
    }
}
