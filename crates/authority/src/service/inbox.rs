//! The inbox: calls that wait for people, found by what they are about. Who may
//! see which of them is decided once for a page, not once for a row.

use std::collections::{BTreeSet, HashMap};

use bailiwick_core::ids::{Alias, ApprovalId, PrincipalId, ToolId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_policy::approvers::{Approvals, Decider, Held};
use bailiwick_policy::grades::Risk;
use bailiwick_store::{
    Approval, ApprovalFilter, ApprovalPlace, ApprovalState, Stored, View, Visible,
};

use super::approvals::{ListedApproval, found, name_of, workflow_of};
use super::people::SignedIn;
use super::{Authority, Inner};
use crate::ceilings::groups_of;
use crate::people::roles::{Deed, require};
use crate::refusal::Refusal;

/// What somebody looks for.
#[derive(Clone, Debug, Default)]
pub struct InboxQuery {
    /// Calls of every state, newest first, instead of those that wait.
    pub all: bool,
    /// The agent.
    pub agent: Option<String>,
    /// The tool id.
    pub tool: Option<String>,
    /// The task.
    pub task: Option<String>,
    /// The workflow.
    pub workflow: Option<String>,
    /// The tool's risk.
    pub risk: Option<Risk>,
    /// Words, each of which stands in a name.
    pub search: Option<String>,
    /// Only what comes after this place.
    pub after: Option<ApprovalPlace>,
    /// How many at most.
    pub limit: u32,
}

/// A part of the inbox.
#[derive(Clone, Debug, PartialEq)]
pub struct InboxPage {
    /// Calls, in order.
    pub calls: Vec<ListedApproval>,
    /// Where the next part begins; `None` at the end.
    pub next: Option<ApprovalPlace>,
}

impl InboxPage {
    /// As the API and the command line have it.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let calls: Vec<Json> = self.calls.iter().map(|call| call.to_json().into()).collect();
        let next = self.next.as_ref().map(ToString::to_string);
        Object::new().with("approvals", calls).with("next", next)
    }
}

/// A call as lists have it.
pub(super) fn listed(
    approval: Stored<Approval>,
    principal: Option<PrincipalId>,
    now: Timestamp,
) -> ListedApproval {
    let state = match approval.state {
        ApprovalState::Pending | ApprovalState::Approved if approval.expires <= now => "expired",
        state => state.as_str(),
    };
    ListedApproval { approval, principal, state }
}

/// Whether somebody may see every call.
fn sees_all(who: &SignedIn) -> bool {
    let by_role = |deed| require(&who.roles, deed).is_ok();
    by_role(Deed::SeeActivity) || by_role(Deed::Approve)
}

/// Whether a workflow names somebody among those who decide on this tool.
///
/// SECURITY: separation of duties does not matter here: whoever is the principal
/// of a call sees it as their own, and may not decide on it all the same.
fn is_named(workflow: &Workflow, tool: &ToolId, who: &Decider<'_>) -> bool {
    let about = Held {
        principal: &workflow.owner,
        workflow_owner: &workflow.owner,
        tool_owner: workflow.tool_owner(tool),
        risk: Risk::Critical,
    };
    Approvals { separate: false, ..workflow.approvals() }.may_decide(who, &about).is_ok()
}

/// What somebody may see; `None`: everything. One question for each tool and
/// version of a workflow, however many calls there are.
fn visible(
    cx: &Inner,
    view: &View<'_>,
    who: &SignedIn,
    waiting_at: Option<Timestamp>,
) -> Result<Option<Visible>, Refusal> {
    if sees_all(who) {
        return Ok(None);
    }
    let alias = &who.principal.alias;
    let groups = groups_of(view, alias)?;
    let decider = Decider { id: &who.id, has_role: false, groups: &groups };
    let mut of = BTreeSet::new();
    for (workflow, digest, tool) in view.tools_of_approvals(waiting_at)? {
        let Some(version) = view.workflow_version(&workflow, &digest)? else { continue };
        if is_named(&*cx.parsed.of(&version)?, &tool, &decider) {
            of.insert((digest, tool));
        }
    }
    Ok(Some(Visible { own: alias.clone(), of }))
}

/// Whether somebody may see this call.
pub(super) fn may_see(
    cx: &Inner,
    view: &View<'_>,
    who: &SignedIn,
    held: &Approval,
) -> Result<bool, Refusal> {
    if sees_all(who) || held.principal == who.principal.alias {
        return Ok(true);
    }
    let groups = groups_of(view, &who.principal.alias)?;
    let decider = Decider { id: &who.id, has_role: false, groups: &groups };
    Ok(is_named(&*workflow_of(cx, view, held)?, &held.tool, &decider))
}

impl Authority {
    /// A call as lists have it, for somebody who may see it: nothing of its text
    /// is read.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], also for what one may not see.
    pub fn approval_listed(
        &self,
        who: &SignedIn,
        id: &ApprovalId,
    ) -> Result<ListedApproval, Refusal> {
        let (cx, now) = (self.now(), self.0.host.now());
        self.0.store.read(|view| {
            let approval = found(view, id)?;
            if !may_see(&cx, view, who, &approval)? {
                return Err(Refusal::unknown("approval", id));
            }
            let name = name_of(view, &approval.principal)?;
            Ok(listed(approval, name, now))
        })
    }

    /// Calls that wait for people, those that end first first; with `all` those
    /// of every state, newest first. For somebody who is signed in those of
    /// their own agents, those that they may decide on, and all with a role for
    /// it; `None` is whoever has the data dir.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn inbox(&self, who: Option<&SignedIn>, query: &InboxQuery) -> Result<InboxPage, Refusal> {
        let (cx, now) = (self.now(), self.0.host.now());
        let waiting_at = (!query.all).then_some(now);
        self.0.store.read(|view| {
            let visible = match who {
                Some(who) => visible(&cx, view, who, waiting_at)?,
                None => None,
            };
            let filter = ApprovalFilter {
                waiting_at,
                agent: query.agent.clone(),
                tool: query.tool.clone(),
                task: query.task.clone(),
                workflow: query.workflow.clone(),
                risk: query.risk.map(|risk| risk.as_str().to_owned()),
                search: query.search.clone(),
                visible,
                after: query.after.clone(),
                limit: query.limit.saturating_add(1),
            };
            let mut found = view.find_approvals(&filter)?;
            let most = usize::try_from(query.limit).unwrap_or(usize::MAX);
            let more = found.len() > most;
            found.truncate(most);
            let next = found.last().filter(|_| more).map(|last| filter.place(last));
            let mut names: HashMap<Alias, Option<PrincipalId>> = HashMap::new();
            let mut calls = Vec::with_capacity(found.len());
            for approval in found {
                let name = match names.get(&approval.principal) {
                    Some(name) => name.clone(),
                    None => {
                        let name = name_of(view, &approval.principal)?;
                        names.insert(approval.principal.clone(), name.clone());
                        name
                    }
                };
                calls.push(listed(approval, name, now));
            }
            Ok(InboxPage { calls, next })
        })
    }
}
