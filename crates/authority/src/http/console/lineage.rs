//! Who has a task: the delegations of one task across agents.

use std::collections::BTreeMap;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::crypto::{Digest, Thumbprint};
use bailiwick_core::ids::{AgentId, TaskId};
use bailiwick_core::stop::StopTarget;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Delegation, Derived, Grant, StoreError, Stored, Subject, Task, View};

use super::views::grant_line;
use super::{Failure, Inner, Me, Visit, page};
use crate::ListedHandoff;
use crate::console::{
    GrantLine, HopBy, HopLine, HopStanding, Moment, Section, Standing, TaskPage, Text, ToolCard,
    Tree,
};
use crate::http::standing;
use crate::people::roles::Deed;

/// Grants and roots of one task that are listed at most.
const MAX_ROOTS: u32 = 50;
/// Handoffs of one task that are listed at most.
const MAX_HANDOFFS: u32 = 100;
/// Derived tokens that are listed at most, of all roots together.
const MAX_DERIVED: u32 = 100;
/// Hops that are looked up between a handoff and what is listed.
const MAX_BETWEEN: usize = 16;

pub(super) async fn task(Path(id): Path<String>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let id = TaskId::parse(&id).map_err(|_| Failure::NotFound)?;
            let found = cx.authority.store().read(|view| view.task(&id))?;
            let task = found.filter(|task| {
                task.principal == me.person.principal.alias || me.may(Deed::SeeActivity)
            });
            let task = task.ok_or(Failure::NotFound)?;
            Ok(page(StatusCode::OK, &task_page(cx, me, &task)?))
        })
        .await
}

fn task_page(cx: &Inner, me: &Me, task: &Stored<Task>) -> Result<TaskPage, Failure> {
    let now = cx.authority.host().now();
    let limit = MAX_HANDOFFS.saturating_add(1);
    let mut handoffs = cx.authority.handoffs(Some(&me.person), Some(&task.id), limit)?;
    let most = usize::try_from(MAX_HANDOFFS).unwrap_or(usize::MAX);
    let is_cut = handoffs.len() > most;
    handoffs.truncate(most);
    let (principal, grants, known) = cx.authority.store().read(|view| {
        let principal = view.principal_by_alias(&task.principal)?.and_then(|p| p.row.id);
        let mut grants = Vec::new();
        let mut known = Known { is_cut, ..Known::default() };
        let most = usize::try_from(MAX_ROOTS).unwrap_or(usize::MAX);
        for grant in view.grants_of_task(&task.id)?.into_iter().take(most) {
            let (line, statement) = grant_line(view, &grant, now)?;
            let tools = statement.and_then(|s| ToolCard::list(&s.tools, None)).unwrap_or_default();
            let scope = tools.into_iter().map(|tool| tool.name).collect();
            known.scopes.insert(line.id.clone(), scope);
            grants.push((line, grant));
        }
        known.read(view, task, &grants, handoffs, now)?;
        Ok::<_, StoreError>((principal, grants, known))
    })?;
    let is_own = task.principal == me.person.principal.alias;
    let can_revoke = is_own || me.may(Deed::RevokeAny);
    let hops = known.list(&mut Ends { cx, me, can_revoke, agents: BTreeMap::new() })?;
    let principal = principal.map(|id| Text::of(id.as_str()));
    let erased = Text::of("erased");
    let target = StopTarget::Task(task.id.clone());
    let may_stop = cx.authority.may_stop(&me.person, &target)?;
    let section = if is_own { Section::Grants } else { Section::Peers };
    let grants: Vec<GrantLine> = grants.into_iter().map(|(line, _)| line).collect();
    Ok(TaskPage {
        frame: cx.frame(Some(me), Some(section)),
        task: task.id.to_string(),
        purpose: grants.iter().find_map(|grant| grant.purpose.clone()),
        workflow: Text::of(task.workflow.as_str()),
        agent: Text::of(task.agent.as_str()),
        created: Moment::of(task.created),
        grants,
        tree: Tree::of(principal.as_ref().unwrap_or(&erased), &hops),
        principal,
        hops,
        is_cut: known.is_cut,
        stop: may_stop.then(|| format!("/stop?target={target}")),
    })
}

/// One delegation, before it has its place.
struct Hop {
    parent: Option<Digest>,
    /// What it comes under if its parent is not known.
    root: Digest,
    holder: Option<(AgentId, Text)>,
    by: HopBy,
    since: Timestamp,
    until: Option<Timestamp>,
    standing: HopStanding,
    handoff: Option<String>,
    /// The grant of a root.
    grant: Option<String>,
}

/// Everything that is known of a task's delegations.
#[derive(Default)]
struct Known {
    hops: BTreeMap<Digest, Hop>,
    /// The tools of each grant.
    scopes: BTreeMap<String, Vec<Text>>,
    is_cut: bool,
}

impl Known {
    fn read(
        &mut self,
        view: &View<'_>,
        task: &Stored<Task>,
        grants: &[(GrantLine, Stored<Grant>)],
        handoffs: Vec<ListedHandoff>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut roots = view.delegations_of_task(&task.id, MAX_ROOTS.saturating_add(1))?;
        let most = usize::try_from(MAX_ROOTS).unwrap_or(usize::MAX);
        self.is_cut |= roots.len() > most;
        roots.truncate(most);
        for root in &roots {
            let grant = grants.iter().find(|(_, grant)| grant.id == root.grant);
            if let Some((_, grant)) = grant {
                self.hops.insert(root.root, root_hop(view, root, grant, now)?);
            }
        }
        for listed in handoffs {
            let parent = listed.handoff.parent;
            let hop = handed_hop(view, &listed, now)?;
            self.hops.insert(listed.handoff.row.leaf, hop);
            self.read_between(view, parent, now)?;
        }
        let mut left = MAX_DERIVED;
        for root in &roots {
            let found = view.derived_under(&root.root, left.saturating_add(1))?;
            self.is_cut |= found.len() > usize::try_from(left).unwrap_or(usize::MAX);
            for derived in found {
                if left > 0 && !self.hops.contains_key(&derived.token) {
                    self.hops.insert(derived.token, derived_hop(view, &derived, now)?);
                    left = left.saturating_sub(1);
                }
            }
        }
        Ok(())
    }

    /// What is between a handoff and what is known.
    fn read_between(
        &mut self,
        view: &View<'_>,
        from: Digest,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut token = from;
        for _ in 0..MAX_BETWEEN {
            if self.hops.contains_key(&token) {
                break;
            }
            let Some(derived) = view.derived(&token)? else { break };
            self.hops.insert(token, derived_hop(view, &derived, now)?);
            token = derived.parent;
        }
        Ok(())
    }

    /// Parents first, each followed by what comes under it.
    fn list(&self, ends: &mut Ends<'_>) -> Result<Vec<HopLine>, Failure> {
        let mut below: BTreeMap<Option<Digest>, Vec<(Timestamp, Digest)>> = BTreeMap::new();
        for (token, hop) in &self.hops {
            below.entry(self.above(hop)).or_default().push((hop.since, *token));
        }
        for children in below.values_mut() {
            // The stack gives the last one first.
            children.sort_unstable_by(|a, b| b.cmp(a));
        }
        let begin = below.get(&None).into_iter().flatten();
        let mut stack: Vec<(Digest, Option<usize>)> = begin.map(|(_, t)| (*t, None)).collect();
        let mut lines: Vec<HopLine> = Vec::new();
        while let Some((token, parent)) = stack.pop() {
            let Some(hop) = self.hops.get(&token) else { continue };
            let above = parent.and_then(|at| lines.get(at)).map(|line| line.standing);
            let standing = above.map_or(hop.standing, |above| hop.standing.under(above));
            let at = lines.len();
            lines.push(self.line(&token, hop, (parent, standing), ends)?);
            let children = below.get(&Some(token)).into_iter().flatten();
            stack.extend(children.map(|(_, child)| (*child, Some(at))));
        }
        HopLine::nest(&mut lines);
        Ok(lines)
    }

    /// What a hop is listed under.
    fn above(&self, hop: &Hop) -> Option<Digest> {
        let parent = hop.parent?;
        Some(if self.hops.contains_key(&parent) { parent } else { hop.root })
    }

    fn line(
        &self,
        token: &Digest,
        hop: &Hop,
        (parent, standing): (Option<usize>, HopStanding),
        ends: &mut Ends<'_>,
    ) -> Result<HopLine, Failure> {
        let scope = hop.grant.as_ref().and_then(|grant| self.scopes.get(grant));
        Ok(HopLine {
            parent,
            token: token.to_string(),
            holder: hop
                .holder
                .as_ref()
                .map(|(agent, instance)| (Text::of(agent.as_str()), instance.clone())),
            by: hop.by,
            since: Moment::of(hop.since),
            until: hop.until.map(Moment::of),
            standing,
            scope: scope.cloned().unwrap_or_default(),
            is_remote: hop.parent.is_some_and(|parent| !self.hops.contains_key(&parent)),
            handoff: hop.handoff.clone(),
            ends: ends.of(token, hop, standing)?,
            closes: 0,
            has_children: false,
        })
    }
}

/// What this person may end; each agent is asked about once.
struct Ends<'a> {
    cx: &'a Inner,
    me: &'a Me,
    can_revoke: bool,
    agents: BTreeMap<AgentId, bool>,
}

impl Ends<'_> {
    fn of(
        &mut self,
        token: &Digest,
        hop: &Hop,
        standing: HopStanding,
    ) -> Result<Vec<(&'static str, String)>, Failure> {
        let mut ends = Vec::new();
        if standing.is_void() || standing == HopStanding::Ended {
            return Ok(ends);
        }
        if hop.grant.is_some() && self.can_revoke {
            ends.push(("Take back", format!("/delegations/{token}/revoke")));
        }
        if let Some((agent, _)) = &hop.holder {
            let target = StopTarget::Agent(agent.clone());
            let may = match self.agents.get(agent) {
                Some(may) => *may,
                None => self.cx.authority.may_stop(&self.me.person, &target)?,
            };
            self.agents.insert(agent.clone(), may);
            if may {
                ends.push(("Stop the agent", format!("/stop?target={target}")));
            }
        }
        Ok(ends)
    }
}

fn holder_of(view: &View<'_>, holder: &Thumbprint) -> Result<Option<(AgentId, Text)>, StoreError> {
    let found = view.instance_by_holder(holder)?;
    Ok(found.map(|found| {
        let instance = found.instance.row;
        (instance.agent, Text::of(instance.id.as_str()))
    }))
}

fn root_hop(
    view: &View<'_>,
    root: &Stored<Delegation>,
    grant: &Grant,
    now: Timestamp,
) -> Result<Hop, StoreError> {
    let standing = match standing::of_root(view, root, grant, now)? {
        Standing::Active => HopStanding::Live,
        Standing::Waiting => HopStanding::NotYet,
        Standing::Ended => HopStanding::Ended,
        Standing::Revoked => HopStanding::Revoked,
        Standing::Stopped => HopStanding::Stopped,
    };
    Ok(Hop {
        parent: None,
        root: root.root,
        holder: holder_of(view, &root.holder)?,
        by: HopBy::Grant,
        since: root.issued,
        until: Some(root.expires),
        standing,
        handoff: None,
        grant: Some(root.grant.to_string()),
    })
}

fn derived_hop(
    view: &View<'_>,
    derived: &Stored<Derived>,
    now: Timestamp,
) -> Result<Hop, StoreError> {
    let holder = view.instance_by_holder(&derived.holder)?;
    let mut subjects = vec![
        Subject::Delegation { token: derived.token },
        Subject::HolderKey { holder: derived.holder, root: derived.root },
    ];
    let mut stops = Vec::new();
    if let Some(holder) = &holder {
        subjects.push(Subject::Instance { id: holder.instance.id.clone() });
        subjects.push(Subject::Agent { id: holder.instance.agent.clone() });
        stops.push(StopTarget::Agent(holder.instance.agent.clone()));
    }
    let standing = if view.is_revoked(&subjects)?.is_some() {
        HopStanding::Revoked
    } else if derived.expires <= now {
        HopStanding::Ended
    } else if view.stopped(&stops)?.is_some() {
        HopStanding::Stopped
    } else {
        HopStanding::Live
    };
    Ok(Hop {
        parent: Some(derived.parent),
        root: derived.root,
        holder: holder_of(view, &derived.holder)?,
        by: HopBy::Derived,
        since: derived.seen,
        until: Some(derived.expires),
        standing,
        handoff: None,
        grant: None,
    })
}

fn handed_hop(view: &View<'_>, listed: &ListedHandoff, now: Timestamp) -> Result<Hop, StoreError> {
    let h = &listed.handoff;
    // Its window is known once it was used.
    let until = view.derived(&h.leaf)?.map(|derived| derived.expires);
    let taker = StopTarget::Agent(h.to_agent.clone());
    let standing = match listed.state {
        "rejected" => HopStanding::Rejected,
        "expired" => HopStanding::Lapsed,
        _ if listed.revoked => HopStanding::Revoked,
        _ if until.is_some_and(|until| until <= now) => HopStanding::Ended,
        _ if view.stopped(&[taker])?.is_some() => HopStanding::Stopped,
        "returned" => HopStanding::Returned,
        "accepted" => HopStanding::Accepted,
        _ => HopStanding::Offered,
    };
    Ok(Hop {
        parent: Some(h.parent),
        root: h.root,
        holder: Some((h.to_agent.clone(), Text::of(h.to_instance.as_str()))),
        by: HopBy::Handoff(h.guarantee),
        since: h.offered,
        until,
        standing,
        handoff: Some(format!("/handoffs/{}", h.id)),
        grant: None,
    })
}
