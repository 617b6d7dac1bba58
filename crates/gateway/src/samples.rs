//! Values for unit tests.

use bailiwick_core::accountable::Authority;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{AgentId, GrantId, PrincipalId, ServerName, TaskId, WorkflowId};
use bailiwick_core::time::Timestamp;

use crate::ports::Recheck;

/// What some call rests on.
pub(crate) fn recheck() -> Recheck {
    let at = Timestamp::from_seconds(1_700_000_000);
    Recheck {
        authority: Authority {
            principal: PrincipalId::parse("user:1").unwrap(),
            agent: AgentId::parse("agent:a").unwrap(),
            client: None,
            task: TaskId::mint(at, [1; 10]),
            purpose: "p".into(),
            workflow: WorkflowId::parse("w").unwrap(),
            workflow_digest: Digest::from_array([1; 32]),
            grant: GrantId::mint(at, [1; 10]),
            grant_digest: Digest::from_array([1; 32]),
        },
        tokens: Vec::new(),
        holders: Vec::new(),
        server: ServerName::parse("d").unwrap(),
    }
}
