//! Months of an installation: people, agents and tools registered by the product's
//! own rules; delegations and calls as rows with their signed entries, a thousand
//! in one transaction.

use std::collections::VecDeque;
use std::sync::Arc;

use bailiwick_authority::people::roles::Role;
use bailiwick_authority::rules::agents::Provenance;
use bailiwick_authority::rules::clients::NewClient;
use bailiwick_authority::rules::tool_servers::NewServer;
use bailiwick_authority::{Maker, PrepareOptions};
use bailiwick_core::crypto::{Signer as _, SigningKey, Thumbprint, sha256};
use bailiwick_core::enrolment::Statement;
use bailiwick_core::grant::Request;
use bailiwick_core::guarantee::{Guarantee, Isolation};
use bailiwick_core::ids::{
    ActionId, AgentId, ApprovalId, EntryId, GrantId, InstanceId, PrincipalId, RunId, ServerName,
    TaskId, ToolId, WorkflowId,
};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Event, Kind, Subjects};
use bailiwick_core::stop::StopTarget;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Bundle;
use bailiwick_policy::catalogue::DefinitionKind;
use bailiwick_store::{
    Approval, ApprovalState, ClientSource, Delegation, IdentityMode, Pending, Place, Row,
    StoreError, TokenForm,
};
use bailiwick_testkit::present::now;

use super::site::{OWNER, Site, identity, key};
use crate::Failure;

mod runs;
use runs::Attempts;

const WORKFLOW: &str = include_str!("../../../../../workflows/support-tickets.yaml");
const AGENT: &str = "agent:support-runner";
/// People, agents, clients and tools.
const REGISTERED: u32 = 300;
/// People who granted.
const GRANTING: u8 = 50;
/// Grants.
const GRANTS: u32 = 500;
/// Calls that wait.
const WAITING: u32 = 2_000;
/// Seconds that are filled in: thirty days.
const SPAN: i64 = 30 * 86_400;
/// Entries in one transaction, and transactions that wait for the writer.
const TOGETHER: usize = 1_000;
const AHEAD: usize = 4;

/// What was filled in, one of each, for the pages that show one.
#[derive(Clone, Debug)]
pub(super) struct Filled {
    pub(super) size: u64,
    pub(super) principal: String,
    pub(super) alias: String,
    pub(super) agent: String,
    pub(super) tool: String,
    pub(super) grant: String,
    pub(super) task: String,
    pub(super) approval: String,
    pub(super) stop: String,
    /// An ordinary one, and one of a tenth of all calls.
    pub(super) run: String,
    pub(super) huge_run: String,
    pub(super) failure: String,
    pub(super) action: String,
    pub(super) bundle: String,
    /// A day in the middle.
    pub(super) since: String,
    pub(super) until: String,
}

/// A grant as delegations and calls name it.
struct Granted {
    grant: GrantId,
    task: TaskId,
    alias: String,
}

pub(super) fn fill(site: &Site, delegations: u32, entries: u32) -> Result<Filled, Failure> {
    site.set_back(SPAN);
    let bundle = register(site)?;
    let (holder, instance) = enrol(site)?;
    let granted = (0..GRANTS).map(|nth| grant(site, nth)).collect::<Result<Vec<_>, _>>()?;
    let mut writing = Writing::new(site)?;
    // Both at once, as months would have written them.
    let steps = u64::from(delegations.max(entries));
    // Whether one of `part` falls on this step, so that both are spread evenly.
    let falls = |part: u32, step: u64| {
        let until = |steps_done: u64| u64::from(part) * steps_done / steps;
        until(step + 1) > until(step)
    };
    let mut action = None;
    let begin = now().plus_seconds(-SPAN);
    let version = site.authority.workflow(&WorkflowId::parse("support-tickets")?)?.0.row.digest;
    let mut attempts =
        Attempts::begin(&mut writing, &granted, (instance, version), (begin, entries))?;
    for step in 0..steps {
        let at = now().plus_seconds(-SPAN + i64::try_from(step * SPAN.unsigned_abs() / steps)?);
        if falls(delegations, step) {
            let under = granted.get(usize::try_from(step)? % granted.len());
            writing.delegation(step, at, under.ok_or("there are grants")?, holder)?;
        }
        if falls(entries, step) {
            let (nth, run) = attempts.of(&mut writing, step, at, &granted)?;
            let under = granted.get(nth).ok_or("there are grants")?;
            action = Some(writing.call((step, at), under, &mut attempts, run)?);
        }
    }
    let approval = writing.waiting(site, granted.first().ok_or("there are grants")?)?;
    writing.end()?;
    site.set_back(0);
    site.authority.roll_up_calls()?;
    let target = StopTarget::Agent(agent(7)?);
    let stop = site.authority.stop(&target, "it reports nonsense")?.stop;
    site.publish()?;
    let first = granted.first().ok_or("there are grants")?;
    let minute = |days: i64| {
        now().plus_seconds(-days * 86_400).to_string().get(..16).unwrap_or_default().to_owned()
    };
    Ok(Filled {
        size: site.size()?,
        principal: granting(0),
        alias: first.alias.clone(),
        agent: AGENT.to_owned(),
        tool: tool(3),
        grant: first.grant.to_string(),
        task: first.task.to_string(),
        approval,
        stop: stop.to_string(),
        run: attempts.ended.ok_or("a run ended")?.to_string(),
        huge_run: attempts.huge.to_string(),
        failure: attempts.failure.ok_or("there are failures")?.to_string(),
        action: action.ok_or("there are calls")?,
        bundle,
        since: minute(15),
        until: minute(14),
    })
}

fn granting(nth: u8) -> String {
    format!("user:granting-{nth}")
}

fn agent(nth: u32) -> Result<AgentId, Failure> {
    Ok(AgentId::parse(&format!("agent:worker-{nth}"))?)
}

fn tool(nth: u32) -> String {
    format!("mcp:support-desk:tools/tool_{nth}")
}

fn signing(nth: u8) -> Result<Arc<SigningKey>, Failure> {
    key(100 + nth)
}

/// Everybody and everything; gives the digest of the policy in force.
fn register(site: &Site) -> Result<String, Failure> {
    let a = &site.authority;
    a.init()?;
    let owner = PrincipalId::parse(OWNER)?;
    a.principal_add(&owner, None)?;
    a.role_change(&owner, Role::Owner, true)?;
    a.workflow_publish(&WORKFLOW.replace("window_seconds: 3600", "window_seconds: 7776000"))?;
    a.agent_add(&AgentId::parse(AGENT)?, &owner, Provenance::default())?;
    for nth in 0..GRANTING {
        let jwk = signing(nth)?.public_key().to_jwk();
        a.principal_add(&PrincipalId::parse(&granting(nth))?, Some(&jwk))?;
    }
    let server = ServerName::parse("support-desk")?;
    a.tool_server_add(NewServer {
        name: server.clone(),
        url: "http://127.0.0.1:9/mcp".into(),
        credential: None,
        identity_mode: IdentityMode::Shared,
        replace: false,
    })?;
    let mut tools = Vec::new();
    for nth in 0..REGISTERED {
        a.principal_add(&PrincipalId::parse(&format!("user:person-{nth}"))?, None)?;
        a.agent_add(&agent(nth)?, &owner, Provenance::default())?;
        a.client_register(NewClient {
            id: format!("client-{nth}"),
            source: ClientSource::Configured,
            name: format!("Client {nth}"),
            metadata: r#"{"redirect_uris":["http://127.0.0.1/callback"]}"#.to_owned(),
        })?;
        let tool = Object::new()
            .with("name", format!("tool_{nth}"))
            .with("description", "Reads what its arguments name.")
            .with("inputSchema", Object::new().with("type", "object"));
        tools.push(Json::from(tool));
    }
    let listing = Object::new().with("tools", tools).into();
    a.pin(&server, DefinitionKind::Tool, &listing, &[])?;
    let bundle = Bundle::guardrails().map_err(|_| "the guardrails are valid")?;
    let digest = bundle.digest().to_string();
    a.policy_publish(Place::Enforced, bundle)?;
    Ok(digest)
}

/// Enrols the agent's instance; gives its holder key and id.
fn enrol(site: &Site) -> Result<(Thumbprint, InstanceId), Failure> {
    let (holder, identity) = (key(21)?, identity()?);
    let statement = Statement {
        instance: InstanceId::mint(now(), [7; 10]),
        agent: AgentId::parse(AGENT)?,
        owner: PrincipalId::parse(OWNER)?,
        audience: site.url(),
        made_at: now().plus_seconds(-SPAN),
        holder: holder.public_key(),
        identity: identity.public_key(),
        isolation: Isolation::Unstated,
    };
    site.authority.instance_enrol(&statement.sign(&*holder, &identity)?)?;
    Ok((holder.public_key().thumbprint(), statement.instance))
}

/// A grant that somebody signs.
fn grant(site: &Site, nth: u32) -> Result<Granted, Failure> {
    let who = u8::try_from(nth % u32::from(GRANTING))?;
    let id = PrincipalId::parse(&granting(who))?;
    let request = Request {
        principal: id.clone(),
        agent: AgentId::parse(AGENT)?,
        scope: vec!["ticket:8821".to_owned()],
        // Half of them ended yesterday.
        expires_at: now().plus_seconds(if nth.is_multiple_of(2) { 30 * 86_400 } else { -86_400 }),
        purpose: format!("Resolve ticket {nth}: the parcel arrived broken"),
        workflow: Some(WorkflowId::parse("support-tickets")?),
    };
    let a = &site.authority;
    let prepared = a.prepare(&request, &PrepareOptions::default())?;
    let signed = prepared.statement.sign(&*signing(who)?);
    let issued = a.submit(&prepared, &signed, None)?;
    let alias = a.principal(&id)?.row.alias.to_string();
    Ok(Granted { grant: issued.grant, task: issued.task, alias })
}

/// Ten bytes that no other number has.
fn random(nth: u64, what: u8) -> [u8; 10] {
    let mut random = [what; 10];
    if let Some(part) = random.get_mut(..8) {
        part.copy_from_slice(&nth.to_be_bytes());
    }
    random
}

fn entry_id(at: Timestamp, nth: u64, what: u8) -> EntryId {
    EntryId::mint(at, random(nth, what))
}

/// Hands entries to the store in large transactions.
struct Writing<'a> {
    site: &'a Site,
    authority: String,
    gateway: String,
    numbered: u64,
    waiting: Vec<(Event, Option<Row>)>,
    handed: VecDeque<Pending<(), StoreError>>,
}

impl<'a> Writing<'a> {
    fn new(site: &'a Site) -> Result<Self, Failure> {
        Ok(Self {
            site,
            authority: Maker::authority(key(2)?.public_key()).id,
            gateway: Maker::gateway(key(3)?.public_key()).id,
            numbered: 0,
            waiting: Vec::new(),
            handed: VecDeque::new(),
        })
    }

    fn event(&self, id: EntryId, at: Timestamp, kind: Kind, subjects: Subjects) -> Event {
        let org = self.site.authority.installation().org.clone();
        Event { id, org, time: at, kind, subjects, body: Object::new(), disclosures: Vec::new() }
    }

    /// The id of an entry that is neither of a delegation nor of a call.
    fn next(&mut self, at: Timestamp) -> EntryId {
        self.numbered += 1;
        entry_id(at, self.numbered, 8)
    }

    fn delegation(
        &mut self,
        nth: u64,
        at: Timestamp,
        under: &Granted,
        holder: Thumbprint,
    ) -> Result<(), Failure> {
        let root = sha256(format!("root {nth}").as_bytes());
        let row = Delegation {
            root,
            grant: under.grant.clone(),
            task: under.task.clone(),
            agent: AgentId::parse(AGENT)?,
            holder,
            issued: at,
            // Half of them are live.
            expires: if nth.is_multiple_of(2) {
                now().plus_seconds(86_400)
            } else {
                at.plus_seconds(3_600)
            },
            form: TokenForm::Aat,
            client: None,
            status_index: None,
            guarantee: Guarantee::Key,
            token: String::new(),
        };
        let subjects = Subjects {
            principal: Some(under.alias.clone()),
            agent: Some(AGENT.to_owned()),
            task: Some(under.task.to_string()),
            grant: Some(under.grant.to_string()),
            delegation: Some(root.to_string()),
            ..Subjects::default()
        };
        let event = self.event(entry_id(at, nth, 1), at, Kind::DelegationIssued, subjects);
        self.take(event, Some(Row::Delegation(row)))
    }

    /// A decided call; gives its id.
    fn call(
        &mut self,
        (nth, at): (u64, Timestamp),
        under: &Granted,
        attempts: &mut Attempts,
        run: RunId,
    ) -> Result<String, Failure> {
        let action = ActionId::mint(at, random(nth, 2)).to_string();
        let decision = match nth % 10 {
            0 => "deny",
            1 if nth % 50 == 1 => "approval_required",
            _ => "allow",
        };
        let agent = match nth % 4 {
            0 => agent(u32::try_from(nth % u64::from(REGISTERED))?)?.to_string(),
            _ => AGENT.to_owned(),
        };
        let tool = tool(u32::try_from(nth / 7 % u64::from(REGISTERED))?);
        let subjects = Subjects {
            principal: Some(under.alias.clone()),
            agent: Some(agent),
            workflow: Some("support-tickets".to_owned()),
            task: Some(under.task.to_string()),
            run: Some(run.to_string()),
            action: Some(action.clone()),
            tool: Some(tool.clone()),
            decision: Some(decision.to_owned()),
            reason: (decision == "deny").then(|| "argument-not-delegated".to_owned()),
            ..Subjects::default()
        };
        let mut event = self.event(entry_id(at, nth, 3), at, Kind::ActionDecided, subjects);
        event.body.insert("staleness_ms", 3u64);
        event.body.insert("workflow_digest", attempts.version());
        let over =
            Subjects { decision: None, reason: Some("ok".to_owned()), ..event.subjects.clone() };
        self.take(event, None)?;
        match decision {
            "allow" => {
                let id = entry_id(at, nth, 9);
                self.take(self.event(id, at, Kind::ActionCompleted, over), None)?;
            }
            "deny" => attempts.failed(self, (nth, at), (&under.task, run), (&action, &tool))?,
            _ => {}
        }
        Ok(action)
    }

    /// Calls that wait; gives the id of one.
    fn waiting(&mut self, site: &Site, under: &Granted) -> Result<String, Failure> {
        let workflow = WorkflowId::parse("support-tickets")?;
        let (version, _) = site.authority.workflow(&workflow)?;
        let mut last = String::new();
        for nth in 0..WAITING {
            let at = now();
            let id = ApprovalId::mint(at, random(nth.into(), 4));
            last = id.to_string();
            let tool = ToolId::parse(&tool(nth % REGISTERED))?;
            let row = Approval {
                id,
                state: ApprovalState::Pending,
                action: sha256(b"action"),
                policy: sha256(b"policy"),
                rule: "policy:refunds".into(),
                risk: "high".into(),
                server: ServerName::parse(tool.server())?,
                tool,
                principal: under.alias.parse()?,
                agent: AgentId::parse(AGENT)?,
                instance: None,
                workflow: workflow.clone(),
                workflow_digest: version.row.digest,
                task: under.task.clone(),
                root: sha256(b"root"),
                leaf: sha256(b"leaf"),
                needed: 1,
                asked: at,
                expires: at.plus_seconds(86_400),
                settled: None,
            };
            let decision = Some("approval_required".to_owned());
            let subjects = Subjects { decision, ..Subjects::default() };
            let id = entry_id(at, nth.into(), 5);
            let event = self.event(id, at, Kind::ActionDecided, subjects);
            self.take(event, Some(Row::Approval(Box::new(row))))?;
        }
        Ok(last)
    }

    fn take(&mut self, event: Event, row: Option<Row>) -> Result<(), Failure> {
        self.waiting.push((event, row));
        if self.waiting.len() >= TOGETHER { self.hand_in() } else { Ok(()) }
    }

    fn hand_in(&mut self) -> Result<(), Failure> {
        let entries = std::mem::take(&mut self.waiting);
        let (authority, gateway) = (self.authority.clone(), self.gateway.clone());
        let (by_authority, by_gateway) = (key(2)?, key(3)?);
        self.handed.push_back(self.site.authority.store().write(move |tx| {
            for (event, row) in entries {
                match (event.kind, &row) {
                    (Kind::ActionDecided, Some(row)) => {
                        tx.record(&gateway, &*by_gateway, event, row)?
                    }
                    (_, Some(row)) => tx.record(&authority, &*by_authority, event, row)?,
                    (_, None) => tx.append(&gateway, &*by_gateway, event)?,
                };
            }
            Ok(())
        }));
        while self.handed.len() > AHEAD {
            self.one()?;
        }
        Ok(())
    }

    fn one(&mut self) -> Result<(), Failure> {
        match self.handed.pop_front() {
            Some(pending) => Ok(pending.wait()?),
            None => Ok(()),
        }
    }

    fn end(mut self) -> Result<(), Failure> {
        self.hand_in()?;
        while !self.handed.is_empty() {
            self.one()?;
        }
        Ok(())
    }
}
