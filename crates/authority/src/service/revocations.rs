//! Taking back.

use bailiwick_core::aat::make::Seen;
use bailiwick_core::crypto::{Digest, Thumbprint};
use bailiwick_core::ids::{
    AgentId, Alias, GrantId, InstanceId, PrincipalId, ServerName, TaskId, WorkflowId,
};
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Subjects;
use bailiwick_core::limits::ChainLimits;
use bailiwick_store::{Chain, Grant, Stored, Subject, View};

use super::{Authority, Inner, SignedIn};
use crate::people::roles::{Deed, require};
use crate::refusal::Refusal;
use crate::rules::revocations::{By, Resolved, Statement, Taken, revoke};

/// What is to be taken back, as people name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An agent.
    Agent(AgentId),
    /// A token, root or derived, with all its descendants.
    Delegation(DelegationRef),
    /// A grant: its roots end, and no other is issued.
    Grant(GrantId),
    /// A holder key under one root.
    HolderKey {
        /// The key's thumbprint.
        holder: Thumbprint,
        /// The root's token hash.
        root: Digest,
    },
    /// An instance.
    Instance(InstanceId),
    /// A principal.
    Principal(PrincipalId),
    /// A task.
    Task(TaskId),
    /// A tool server.
    ToolServer(ServerName),
    /// A workflow, all versions.
    Workflow(WorkflowId),
}

/// A token, by hash or by text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DelegationRef {
    /// The token hash of a root, or of a derived token that was seen.
    Hash(Digest),
    /// Compact tokens, root first; the last one is meant. A root, or a token
    /// whose parent was seen, may stand alone.
    Tokens(Vec<String>),
}

impl Authority {
    /// Takes something back, as the operator. `reason` is a code.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::ChainIncomplete`], and see [`revoke`].
    pub fn revoke(
        &self,
        target: &Target,
        reason: &str,
        detail: Option<&str>,
    ) -> Result<Taken, Refusal> {
        let (target, reason) = (target.clone(), reason.to_owned());
        let detail = detail.map(str::to_owned);
        self.commit(move |cx, tx, moment| {
            let resolved = resolve(cx, tx, &target)?;
            let already = already(tx, &resolved)?;
            let detail = detail.as_deref();
            let by = By::Operator;
            revoke(moment, &cx.installation, &resolved, &reason, detail, by, &already)
        })
    }

    /// Takes something back for somebody who is signed in: their own, or what
    /// their role lets them.
    ///
    /// # Errors
    /// [`Refusal::NotYours`], and as [`Authority::revoke`].
    pub fn revoke_in_session(
        &self,
        target: &Target,
        reason: &str,
        person: &SignedIn,
    ) -> Result<Taken, Refusal> {
        let any = require(&person.roles, Deed::RevokeAny).is_ok();
        let (target, reason) = (target.clone(), reason.to_owned());
        let alias = person.principal.alias.clone();
        self.commit(move |cx, tx, moment| {
            let resolved = resolve(cx, tx, &target)?;
            let already = already(tx, &resolved)?;
            let by = By::Session { principal: &alias, any };
            revoke(moment, &cx.installation, &resolved, &reason, None, by, &already)
        })
    }

    /// What a revocation of `target` would name: what a principal signs in a
    /// [`Statement`].
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::ChainIncomplete`].
    pub fn revocation_subject(&self, target: &Target) -> Result<Subject, Refusal> {
        let inner = self.now();
        self.0.store.read(|view| Ok(resolve(&inner, view, target)?.subject))
    }

    /// Takes something back on a principal's signed statement: its own grants
    /// and delegations, its tasks, and the agents that it owns.
    ///
    /// # Errors
    /// [`Refusal::NotYours`], and as [`Authority::revoke`].
    pub fn revoke_signed(
        &self,
        target: &Target,
        signed: &str,
        detail: Option<&str>,
    ) -> Result<Taken, Refusal> {
        let statement = Statement::read(signed)?;
        let (target, signed) = (target.clone(), signed.to_owned());
        let detail = detail.map(str::to_owned);
        self.commit(move |cx, tx, moment| {
            let principal = cx.principal(tx, &statement.principal)?;
            let resolved = resolve(cx, tx, &target)?;
            let already = already(tx, &resolved)?;
            let by = By::Principal {
                statement: &statement,
                signed: &signed,
                principal: principal.as_deref(),
            };
            let (reason, detail) = (statement.reason.as_str(), detail.as_deref());
            revoke(moment, &cx.installation, &resolved, reason, detail, by, &already)
        })
    }
}

pub(super) fn already(
    view: &View<'_>,
    resolved: &Resolved,
) -> Result<Vec<bailiwick_store::Revocation>, Refusal> {
    let mut found = Vec::new();
    for subject in std::iter::once(&resolved.subject).chain(&resolved.bars) {
        found.extend(view.is_revoked(std::slice::from_ref(subject))?);
    }
    Ok(found)
}

pub(super) fn resolve(cx: &Inner, view: &View<'_>, target: &Target) -> Result<Resolved, Refusal> {
    let mut about = Subjects::default();
    let mut author = None;
    let subject = match target {
        Target::Agent(id) => {
            let agent = view.agent(id)?.ok_or_else(|| Refusal::unknown("agent", id))?;
            about.agent = Some(id.to_string());
            author = Some(agent.row.owner);
            Subject::Agent { id: id.clone() }
        }
        Target::Delegation(DelegationRef::Hash(token)) => {
            return of_hash(view, token)?.ok_or_else(|| Refusal::unknown("delegation", token));
        }
        Target::Delegation(DelegationRef::Tokens(tokens)) => {
            return of_tokens(view, tokens, &cx.installation.limits);
        }
        Target::Grant(id) => {
            let grant = view.grant(id)?.ok_or_else(|| Refusal::unknown("grant", id))?;
            author = Some(about_grant(&mut about, &grant));
            Subject::Grant { id: id.clone() }
        }
        Target::HolderKey { holder, root } => {
            let chain = view.delegation(root)?;
            let chain = chain.ok_or_else(|| Refusal::unknown("delegation", root))?;
            about.delegation = Some(root.to_string());
            author = Some(about_grant(&mut about, &chain.grant));
            Subject::HolderKey { holder: *holder, root: *root }
        }
        Target::Instance(id) => {
            let unknown = || Refusal::unknown("instance", id);
            let instance = view.instance(id)?.ok_or_else(unknown)?;
            about.instance = Some(id.to_string());
            about.agent = Some(instance.agent.to_string());
            author = view.agent(&instance.agent)?.map(|agent| agent.row.owner);
            Subject::Instance { id: id.clone() }
        }
        Target::Principal(id) => {
            let unknown = || Refusal::unknown("principal", id);
            return Ok(Resolved::principal(&cx.principal(view, id)?.ok_or_else(unknown)?.alias));
        }
        Target::Task(id) => {
            let task = view.task(id)?.ok_or_else(|| Refusal::unknown("task", id))?;
            about.task = Some(id.to_string());
            about.workflow = Some(task.workflow.to_string());
            about.agent = Some(task.agent.to_string());
            about.principal = Some(task.principal.to_string());
            author = Some(task.row.principal);
            Subject::Task { id: id.clone() }
        }
        Target::ToolServer(name) => {
            view.tool_server(name)?.ok_or_else(|| Refusal::unknown("tool server", name))?;
            Subject::ToolServer { name: name.clone() }
        }
        Target::Workflow(id) => {
            view.workflow(id)?.ok_or_else(|| Refusal::unknown("workflow", id))?;
            about.workflow = Some(id.to_string());
            Subject::Workflow { id: id.clone() }
        }
    };
    Ok(Resolved { subject, bars: None, about, author })
}

fn about_grant(about: &mut Subjects, grant: &Stored<Grant>) -> Alias {
    about.grant = Some(grant.id.to_string());
    about.task = Some(grant.task.to_string());
    about.agent = Some(grant.agent.to_string());
    about.principal = Some(grant.principal.to_string());
    grant.principal.clone()
}

/// A token under `chain`'s root. `above` are the holders of the tokens over it.
fn delegation(
    chain: &Chain,
    token: &Digest,
    derived: Option<(Thumbprint, &[Thumbprint])>,
) -> Resolved {
    let root = chain.delegation.root;
    let mut about = Subjects { delegation: Some(token.to_string()), ..Subjects::default() };
    let author = Some(about_grant(&mut about, &chain.grant));
    // A holder that also stands further up has that authority anyway: barring
    // its key would end more than was asked for, and protect nothing.
    let bars = derived
        .filter(|(holder, above)| *holder != chain.delegation.holder && !above.contains(holder))
        .map(|(holder, _)| Subject::HolderKey { holder, root });
    Resolved { subject: Subject::Delegation { token: *token }, bars, about, author }
}

/// A root, or a derived token that was seen.
fn of_hash(view: &View<'_>, token: &Digest) -> Result<Option<Resolved>, Refusal> {
    if let Some(chain) = view.delegation(token)? {
        return Ok(Some(delegation(&chain, token, None)));
    }
    let Some(seen) = view.derived(token)? else {
        return Ok(None);
    };
    let Some(chain) = view.delegation(&seen.root)? else {
        return Ok(None);
    };
    let above = holders_above(view, &seen.parent)?;
    Ok(Some(delegation(&chain, token, Some((seen.holder, &above)))))
}

/// The holders of a derived token and those over it, as far as they were seen.
fn holders_above(view: &View<'_>, token: &Digest) -> Result<Vec<Thumbprint>, Refusal> {
    let mut holders = Vec::new();
    let mut next = *token;
    while let Some(seen) = view.derived(&next)? {
        holders.push(seen.holder);
        next = seen.parent;
        if holders.len() > 64 {
            break;
        }
    }
    Ok(holders)
}

/// The last of `tokens`, which need not have been seen before.
fn of_tokens(
    view: &View<'_>,
    tokens: &[String],
    limits: &ChainLimits,
) -> Result<Resolved, Refusal> {
    let seen = tokens
        .iter()
        .map(|token| Seen::parse(token, limits).map_err(Refusal::Token))
        .collect::<Result<Vec<_>, _>>()?;
    let (Some(first), Some(last)) = (seen.first(), seen.last()) else {
        return Err(Refusal::ChainIncomplete);
    };
    let parent = |token: &Seen| {
        token.claims.member("par_hash").and_then(Json::as_str).and_then(Digest::from_text)
    };
    for pair in seen.windows(2) {
        if let [above, below] = pair
            && parent(below) != Some(above.hash)
        {
            return Err(Refusal::ChainIncomplete);
        }
    }
    if let Some(known) = of_hash(view, &last.hash)? {
        return Ok(known);
    }
    let over = parent(first).filter(|_| first.depth > 0);
    let mut above = match &over {
        Some(parent) => holders_above(view, parent)?,
        None => Vec::new(),
    };
    let mut root = None;
    for token in [Some(first.hash), over].into_iter().flatten() {
        if view.delegation(&token)?.is_some() {
            root = Some(token);
        } else if let Some(known) = view.derived(&token)? {
            root = Some(known.root);
        }
    }
    let root = root.ok_or(Refusal::ChainIncomplete)?;
    let chain = view.delegation(&root)?.ok_or(Refusal::ChainIncomplete)?;
    above.extend(seen.iter().rev().skip(1).map(|token| token.holder.thumbprint()));
    Ok(delegation(&chain, &last.hash, Some((last.holder.thumbprint(), &above))))
}
