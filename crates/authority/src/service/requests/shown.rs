//! Requests as people and agents are shown them.

use std::sync::Arc;

use bailiwick_core::ids::{GrantId, PrincipalId, RequestId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_store::{AuthorityRequest, Stored};

/// Seconds after which it is worth asking again whether somebody decided.
const RETRY_SECONDS: u64 = 5;

/// A request in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedRequest {
    /// The request.
    pub request: Stored<AuthorityRequest>,
    /// On whose authority the agent acted; `None` once erased.
    pub principal: Option<PrincipalId>,
    /// Where it stands now: as its row says, or `expired`.
    pub state: &'static str,
}

/// A request with all that people are shown before they decide.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownRequest {
    /// The request.
    pub listed: ListedRequest,
    /// The shorthands that it asks for; `None` once erased.
    pub scope: Option<Vec<String>>,
    /// Why, in the agent's words; `None` once erased.
    pub reason: Option<String>,
    /// What the task is for; `None` once erased.
    pub purpose: Option<String>,
    /// The workflow's version.
    pub workflow: Arc<Workflow>,
    /// Who granted or refused, if anybody did.
    pub decided_by: Option<PrincipalId>,
    /// What they added in words.
    pub note: Option<String>,
}

/// What an agent is answered.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestAnswer {
    /// The request.
    pub request: RequestId,
    /// `pending`, `granted`, `refused`, `expired`, or `ended`: what was granted
    /// does not stand any more.
    pub state: &'static str,
    /// Until when somebody may decide.
    pub expires: Timestamp,
    /// Where people see it.
    pub url: String,
    /// What whoever refused added in words.
    pub note: Option<String>,
    /// What was granted.
    pub taken: Option<Taken>,
}

/// What was granted, to be presented by the instance that asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// The chain: one root, worth nothing without the instance's key.
    pub root: String,
    /// The gateway's audience.
    pub audience: String,
    /// The grant.
    pub grant: GrantId,
    /// Who granted.
    pub principal: PrincipalId,
    /// Shorthands.
    pub scope: Vec<String>,
    /// The end of the root.
    pub not_after: Timestamp,
}

impl RequestAnswer {
    /// As the agent gets it, but for what it presents.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let mut answer = Object::new()
            .with("request", &self.request)
            .with("status", self.state)
            .with("url", self.url.as_str());
        if self.state == "pending" {
            answer.insert("expires_at", self.expires.to_string());
            answer.insert("retry_after", RETRY_SECONDS);
        }
        if let Some(note) = &self.note {
            answer.insert("note", note.as_str());
        }
        if let Some(taken) = &self.taken {
            let scope: Vec<Json> = taken.scope.iter().map(|s| s.as_str().into()).collect();
            answer.insert("granted_by", &taken.principal);
            answer.insert("scope", scope);
            answer.insert("not_after", taken.not_after.to_string());
        }
        answer
    }
}

impl Taken {
    /// What the instance presents from now on, as a chain file has it.
    #[must_use]
    pub fn to_json(&self) -> Object {
        Object::new()
            .with("aat_chain", vec![Json::from(self.root.as_str())])
            .with("audience", self.audience.as_str())
            .with("grant", &self.grant)
            .with("not_after", self.not_after.to_string())
    }
}

impl ListedRequest {
    /// As lists have it.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let r = &self.request;
        Object::new()
            .with("request", &r.id)
            .with("state", self.state)
            .with("principal", self.principal.as_ref())
            .with("agent", &r.agent)
            .with("workflow", &r.workflow)
            .with("task", &r.task)
            .with("seconds", r.seconds)
            .with("asked", r.asked.to_string())
            .with("expires", r.expires.to_string())
            .with("grant", r.granted.as_ref())
    }
}

impl ShownRequest {
    /// As it is shown to somebody who is to decide.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let r = &self.listed.request;
        let scope = self
            .scope
            .as_ref()
            .map(|scope| Json::Array(scope.iter().map(|s| s.as_str().into()).collect()));
        self.listed
            .to_json()
            .with("scope", scope)
            .with("reason", self.reason.as_deref())
            .with("purpose", self.purpose.as_deref())
            .with("instance", &r.instance)
            .with("under", &r.grant)
            .with("workflow_version", self.workflow.version.as_str())
            .with("entry", &r.entry)
            .with("decided_by", self.decided_by.as_ref())
            .with("note", self.note.as_deref())
    }
}
