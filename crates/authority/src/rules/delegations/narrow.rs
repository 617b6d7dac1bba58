//! Narrowing: what a person takes away from a grant before signing it. A
//! narrowed grant is a new statement; nothing in it is wider than before.

use std::collections::BTreeSet;

use bailiwick_core::accountable::BudgetMember;
use bailiwick_core::grant::{Request, Statement};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;

use super::Options;

/// What the person leaves of a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// The shorthands that stay.
    pub requested: BTreeSet<String>,
    /// The tools that stay.
    pub tools: BTreeSet<String>,
    /// Minutes from the begin, if it is to end earlier.
    pub minutes: Option<i64>,
    /// How deep at most.
    pub max_depth: Option<u64>,
    /// Calls in all at most.
    pub max_calls: Option<u64>,
}

/// Why a narrowing is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NarrowError {
    /// Something is in it that the statement does not have.
    #[error("a grant can only be narrowed here, and `{member}` would be wider")]
    Wider {
        /// Which part.
        member: &'static str,
    },
    /// A number that is none.
    #[error("minutes, calls and hops are whole numbers")]
    Form,
    /// Nothing is left.
    #[error("nothing would be left to allow")]
    Nothing,
}

impl NarrowError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Wider { .. } => "narrowing-wider",
            Self::Form => "narrowing-malformed",
            Self::Nothing => "narrowing-nothing",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Wider { .. } => "ask the client to ask for more, or leave it as it is",
            Self::Form => "write a whole number, or leave it as it is",
            Self::Nothing => "leave at least one tool, or refuse the whole",
        }
    }
}

/// The request and options that a narrowed statement is prepared from.
///
/// # Errors
/// [`NarrowError`].
pub fn narrow(
    statement: &Statement,
    narrowing: &Narrowing,
) -> Result<(Request, Options), NarrowError> {
    let wider = |member| NarrowError::Wider { member };
    let Narrowing { requested, tools, minutes, max_depth, max_calls } = narrowing;
    if requested.iter().any(|r| !statement.requested.contains(r)) {
        return Err(wider("requested"));
    }
    if tools.iter().any(|t| statement.tools.member(t).is_none()) {
        return Err(wider("tools"));
    }
    let kept: Vec<String> =
        statement.requested.iter().filter(|r| requested.contains(*r)).cloned().collect();
    if kept.is_empty() || tools.is_empty() {
        return Err(NarrowError::Nothing);
    }
    let not_after = match minutes {
        None => statement.not_after,
        Some(minutes) => {
            let end = statement.not_before.saturating_add(minutes.saturating_mul(60));
            if *minutes <= 0 {
                return Err(NarrowError::Nothing);
            }
            if end > statement.not_after {
                return Err(wider("window"));
            }
            end
        }
    };
    let depth = max_depth.unwrap_or(statement.max_depth);
    if depth > statement.max_depth {
        return Err(wider("max_depth"));
    }
    let request = Request {
        principal: statement.principal.clone(),
        agent: statement.agent.clone(),
        scope: kept,
        expires_at: Timestamp::from_seconds(not_after),
        purpose: statement.purpose.clone(),
        workflow: Some(statement.workflow.clone()),
    };
    let options = Options {
        starts: None,
        max_depth: Some(depth),
        budget: budget(statement, tools, *max_calls)?,
        // What a dropped shorthand alone brought is gone anyway; what is
        // unticked goes even if a shorthand that stays has it.
        withheld: statement
            .tools
            .iter()
            .map(|(tool, _)| tool.to_owned())
            .filter(|tool| !tools.contains(tool))
            .collect(),
    };
    Ok((request, options))
}

/// The statement's budget with fewer calls; what concerns tools that are gone
/// goes with them.
fn budget(
    statement: &Statement,
    tools: &BTreeSet<String>,
    max_calls: Option<u64>,
) -> Result<Object, NarrowError> {
    let mut budget = Object::new();
    for (member, value) in statement.budget.iter() {
        let tool = BudgetMember::parse(member).and_then(|m| m.counted.tool());
        if tool.is_none_or(|tool| tools.contains(tool)) {
            budget.insert(member, value.clone());
        }
    }
    if let Some(calls) = max_calls {
        let limit = budget.member("max_calls").and_then(Json::as_number);
        let limit = limit.and_then(|n| n.as_plain_integer());
        if limit.is_some_and(|limit| i64::try_from(calls).unwrap_or(i64::MAX) > limit) {
            return Err(NarrowError::Wider { member: "max_calls" });
        }
        if calls == 0 {
            return Err(NarrowError::Nothing);
        }
        budget.insert("max_calls", calls);
    }
    Ok(budget)
}

#[cfg(test)]
mod tests {
    use bailiwick_core::crypto::sha256;
    use bailiwick_core::ids::{AgentId, GrantId, OrgId, PrincipalId, TaskId, WorkflowId};

    use super::*;

    fn statement() -> Statement {
        let now = Timestamp::from_seconds(1_800_000_000);
        let any = || Object::new();
        Statement {
            id: GrantId::mint(now, [1; 10]),
            org: OrgId::parse("default").unwrap(),
            principal_issuer: "http://localhost:4000".into(),
            principal: PrincipalId::parse("user:142").unwrap(),
            agent: AgentId::parse("agent:support-runner").unwrap(),
            task: TaskId::mint(now, [2; 10]),
            purpose: "resolve".into(),
            workflow: WorkflowId::parse("support-tickets").unwrap(),
            workflow_digest: sha256(b"w"),
            requested: vec!["ticket:1".into(), "orders:read".into()],
            tools: Object::new().with("mcp:d:tools/a", any()).with("mcp:d:tools/b", any()),
            not_before: now.seconds(),
            not_after: now.seconds() + 3600,
            max_depth: 2,
            budget: Object::new()
                .with("max_calls", 100u64)
                .with("max_calls/mcp:d:tools/b", 5u64)
                .with("sum/mcp:d:tools/b/cents", 900u64)
                .with("per/60/max_calls/mcp:d:tools/b", 2u64)
                .with("per/3600/max_calls", 20u64),
            audience: vec!["http://localhost:4000/mcp".into()],
            salt: [3; 32],
            request: None,
        }
    }

    fn all() -> Narrowing {
        let texts = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect();
        Narrowing {
            requested: texts(&["ticket:1", "orders:read"]),
            tools: texts(&["mcp:d:tools/a", "mcp:d:tools/b"]),
            ..Narrowing::default()
        }
    }

    #[test]
    fn leaving_everything_changes_nothing_but_the_ids() {
        let (request, options) = narrow(&statement(), &all()).unwrap();
        assert_eq!(request.scope, statement().requested);
        assert_eq!(request.expires_at.seconds(), statement().not_after);
        assert_eq!(options.budget, statement().budget);
        assert_eq!(options.max_depth, Some(2));
        assert!(options.withheld.is_empty());
    }

    #[test]
    fn what_is_unticked_is_withheld_and_its_budget_goes_with_it() {
        let mut less = all();
        less.tools.remove("mcp:d:tools/b");
        less.requested.remove("orders:read");
        (less.minutes, less.max_depth, less.max_calls) = (Some(15), Some(0), Some(10));
        let (request, options) = narrow(&statement(), &less).unwrap();
        assert_eq!(request.scope, ["ticket:1"]);
        assert_eq!(request.expires_at.seconds(), statement().not_before + 900);
        assert_eq!(options.max_depth, Some(0));
        let left = Object::new().with("max_calls", 10u64).with("per/3600/max_calls", 20u64);
        assert_eq!(options.budget, left);
        assert_eq!(Vec::from_iter(&options.withheld), ["mcp:d:tools/b"]);
    }

    #[test]
    fn nothing_can_be_added() {
        let refused = |change: fn(&mut Narrowing)| {
            let mut more = all();
            change(&mut more);
            narrow(&statement(), &more).unwrap_err()
        };
        let wider = |member| NarrowError::Wider { member };
        assert_eq!(refused(|n| _ = n.requested.insert("refund:1".into())), wider("requested"));
        assert_eq!(refused(|n| _ = n.tools.insert("mcp:d:tools/c".into())), wider("tools"));
        assert_eq!(refused(|n| n.minutes = Some(61)), wider("window"));
        assert_eq!(refused(|n| n.minutes = Some(i64::MAX)), wider("window"));
        assert_eq!(refused(|n| n.max_depth = Some(3)), wider("max_depth"));
        assert_eq!(refused(|n| n.max_calls = Some(101)), wider("max_calls"));
        assert_eq!(refused(|n| n.max_calls = Some(u64::MAX)), wider("max_calls"));
    }

    #[test]
    fn a_grant_of_nothing_is_no_grant() {
        let refused = |change: fn(&mut Narrowing)| {
            let mut less = all();
            change(&mut less);
            narrow(&statement(), &less).unwrap_err()
        };
        assert_eq!(refused(|n| n.requested.clear()), NarrowError::Nothing);
        assert_eq!(refused(|n| n.tools.clear()), NarrowError::Nothing);
        assert_eq!(refused(|n| n.minutes = Some(0)), NarrowError::Nothing);
        assert_eq!(refused(|n| n.max_calls = Some(0)), NarrowError::Nothing);
    }
}
