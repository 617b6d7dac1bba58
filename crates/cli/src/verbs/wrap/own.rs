//! What `wrap` presents when no chain is named: a delegation to an instance that is made for it
//! on this data dir, under a grant of the person's own or one that stands. Both end with it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_authority::rules::delegations::{Issued, Options};
use bailiwick_authority::{Authority, PrepareOptions, Refusal};
use bailiwick_core::crypto::SigningKey;
use bailiwick_core::grant::Request;
use bailiwick_core::guarantee::Isolation;
use bailiwick_core::ids::{AgentId, GrantId, InstanceId, PrincipalId, ServerName, WorkflowId};
use bailiwick_policy::Workflow;
use bailiwick_policy::expand::expand_parts;
use bailiwick_policy::grades::Risk;

use crate::args::OwnArgs;
use crate::chainfile::ChainFile;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::host;
use crate::keyfile::InstanceKeys;
use crate::lives::Life;
use crate::presenter::ChainPresenter;
use crate::verbs::instance::enrolment;
use crate::verbs::{me, parse, renew};
use crate::web;

/// An instance of this process. It is retired, and what was granted for it revoked, when this is
/// dropped.
pub(super) struct Own {
    data: Arc<DataDir>,
    life: Life,
    instance: InstanceId,
}

/// An instance, its key, and its first root.
type Delegated = (Own, SigningKey, Issued);

impl Drop for Own {
    fn drop(&mut self) {
        self.life.end(&self.data);
    }
}

impl Own {
    /// Delegates to an instance made for this process; gives it, and what it presents.
    pub(super) fn delegated(
        data: &Arc<DataDir>,
        server: &ServerName,
        args: &OwnArgs,
        logins: Option<&Path>,
    ) -> Result<(Self, Arc<ChainPresenter>), CliError> {
        let (own, holder, issued) = match (&args.grant, &args.task) {
            (Some(grant), _) => Self::under(data, &GrantId::parse(grant)?)?,
            (None, Some(task)) => Self::granted(data, server, task, args, logins)?,
            (None, None) => {
                return Err(CliError::usage(
                    "no-key",
                    "neither a delegation nor a task is named",
                    "pass --task 'what for', --grant ID, or --agent-dir DIR with instance.key and chain.json",
                ));
            }
        };
        let presenter = own.presenting(holder, issued)?;
        Ok((own, presenter))
    }

    /// A root under a grant that stands.
    fn under(data: &Arc<DataDir>, grant: &GrantId) -> Result<Delegated, CliError> {
        let agent = data.authority.grant(grant)?.agent.clone();
        let (own, holder) = Self::enrol(data, &agent)?;
        let issued = data.authority.reissue(grant, Some(&own.instance))?;
        Ok((own, holder, issued))
    }

    /// A grant that the person signs now, and its first root.
    fn granted(
        data: &Arc<DataDir>,
        server: &ServerName,
        task: &str,
        args: &OwnArgs,
        logins: Option<&Path>,
    ) -> Result<Delegated, CliError> {
        let key = me::key(args.principal_key.as_deref(), logins)?;
        let workflow = workflow(data, server, args.workflow.as_deref())?;
        let agent = agent(&workflow, args.agent.as_deref())?;
        let scope = match args.scope.as_slice() {
            [] => rated_low(&workflow, server)?,
            named => named.to_vec(),
        };
        let seconds = match &args.lasts {
            Some(lasts) => parse::seconds(lasts)?,
            None => i64::try_from(workflow.window_seconds).unwrap_or(i64::MAX),
        };
        let request = Request {
            principal: key.id.clone(),
            agent: agent.clone(),
            scope,
            expires_at: host::now().plus_seconds(seconds),
            purpose: task.to_owned(),
            workflow: Some(workflow.id.clone()),
        };
        let budget = parse::budget(&args.budget)?;
        let options = Options { max_depth: Some(0), budget, ..Options::default() };
        let prepared = data
            .authority
            .prepare(&request, &PrepareOptions { options, ..PrepareOptions::default() })?;
        let signed = prepared.statement.sign_request(&*key.key).map_err(web::signing)?;
        let (mut own, holder) = Self::enrol(data, &agent)?;
        own.life.granted(&prepared.statement.id)?;
        let issued = data.authority.submit(&prepared, &signed, Some(&own.instance))?;
        Ok((own, holder, issued))
    }

    /// Makes the keys, which no file holds, and enrols them.
    fn enrol(data: &Arc<DataDir>, agent: &AgentId) -> Result<(Self, SigningKey), CliError> {
        let keys = InstanceKeys::from_json(&InstanceKeys::fresh(agent)?)
            .ok_or_else(|| CliError::environment("key", "the keys cannot be made", "try again"))?;
        let owner = owner(data, agent)?;
        // Nothing keeps the client, which runs as the same user, from the principal's key.
        let stated = Isolation::None;
        let document = enrolment(&keys, agent, &owner, &data.config.public_url(), stated)?;
        let life = Life::begin(data, &keys.instance)?;
        let InstanceKeys { instance, holder, .. } = keys;
        let own = Self { data: Arc::clone(data), life, instance };
        data.authority.instance_enrol(&document)?;
        Ok((own, holder))
    }

    /// Presents the root, and takes up others under the same grant after half the life of each.
    fn presenting(
        &self,
        holder: SigningKey,
        first: Issued,
    ) -> Result<Arc<ChainPresenter>, CliError> {
        let audience = self.data.config.audience();
        let chain = |issued: &Issued| ChainFile {
            chain: vec![issued.token.clone()],
            audience: audience.clone(),
        };
        let presenter = Arc::new(ChainPresenter::new(chain(&first), holder)?);
        let renewal = Renewal {
            authority: self.data.authority.clone(),
            grant: first.grant.clone(),
            instance: self.instance.clone(),
            audience: self.data.config.audience(),
            renewed: Arc::downgrade(&presenter),
        };
        let pause = lasting(&first);
        std::thread::spawn(move || renewal.run(pause));
        Ok(presenter)
    }
}

/// How long a root is used before it is replaced.
fn lasting(issued: &Issued) -> Duration {
    let seconds = issued.not_after.seconds().saturating_sub(host::now().seconds());
    renew::pause(u64::try_from(seconds).unwrap_or(0))
}

struct Renewal {
    authority: Authority,
    grant: GrantId,
    instance: InstanceId,
    audience: String,
    renewed: std::sync::Weak<ChainPresenter>,
}

impl Renewal {
    fn run(&self, mut pause: Duration) {
        loop {
            std::thread::sleep(pause);
            let Some(presenter) = self.renewed.upgrade() else { return };
            match self.authority.reissue(&self.grant, Some(&self.instance)) {
                Ok(issued) => {
                    pause = lasting(&issued);
                    let chain = vec![issued.token];
                    let audience = self.audience.clone();
                    if let Err(e) = presenter.take_up(ChainFile { chain, audience }) {
                        tracing::error!(code = %e.code, "the delegation is not taken up: {}", e.message);
                    }
                }
                // The store is busy, or its disk full for a moment.
                Err(Refusal::Store(e)) => {
                    tracing::warn!(code = e.code(), "the delegation is not renewed yet: {e}");
                    pause = renew::AGAIN;
                }
                // Calls are denied from its end on, and say so themselves.
                Err(e) => {
                    tracing::warn!(code = e.code(), "the delegation is renewed no more: {e}");
                    return;
                }
            }
        }
    }
}

/// The workflow that rates the tool server's tools.
fn workflow(
    data: &DataDir,
    server: &ServerName,
    named: Option<&str>,
) -> Result<Arc<Workflow>, CliError> {
    if let Some(named) = named {
        return Ok(data.authority.workflow(&WorkflowId::parse(named)?)?.1);
    }
    let mut fitting = Vec::new();
    for row in data.authority.workflows()? {
        let (_, workflow) = data.authority.workflow(&row.id)?;
        if workflow.catalogue.servers().any(|(name, _)| name == server) {
            fitting.push(workflow);
        }
    }
    match fitting.as_slice() {
        [only] => Ok(Arc::clone(only)),
        [] => Err(CliError::not_found(
            "not-found",
            format!("no published workflow catalogues {server}"),
            format!(
                "`bailiwick catalogue learn {server} --reads TOOL --publish -- COMMAND`, or publish yours"
            ),
        )),
        several => {
            let names: Vec<&str> = several.iter().map(|w| w.id.as_str()).collect();
            Err(CliError::usage(
                "workflow-ambiguous",
                format!("{server} is catalogued by {}", names.join(", ")),
                "name one with --workflow",
            ))
        }
    }
}

fn agent(workflow: &Workflow, named: Option<&str>) -> Result<AgentId, CliError> {
    if let Some(named) = named {
        return Ok(AgentId::parse(named)?);
    }
    let mut agents = workflow.agents.iter();
    match (agents.next(), agents.next()) {
        (Some(only), None) => Ok(only.clone()),
        _ => Err(CliError::usage(
            "agent-ambiguous",
            format!("workflow {} lists several agents", workflow.id),
            "name one with --agent",
        )),
    }
}

/// The least that makes sense unasked: shorthands without parameters, all of whose tools are this
/// server's and of low risk.
fn rated_low(workflow: &Workflow, server: &ServerName) -> Result<Vec<String>, CliError> {
    let is_low = |shorthand: &String| {
        expand_parts(workflow, std::slice::from_ref(shorthand)).is_ok_and(|parts| {
            parts
                .iter()
                .flat_map(|part| &part.tools)
                .all(|tool| tool.rating.risk == Risk::Low && tool.tool.server() == server.as_str())
        })
    };
    let plain = workflow.shorthands.iter().filter(|s| s.parameters().next().is_none());
    let found: Vec<String> = plain.map(|s| s.template().to_owned()).filter(is_low).collect();
    if found.is_empty() {
        return Err(CliError::refused(
            "nothing-rated-low",
            format!(
                "workflow {} has no shorthand that reaches only tools of low risk",
                workflow.id
            ),
            "rate them in the workflow, or name shorthands with --scope",
        ));
    }
    Ok(found)
}

fn owner(data: &DataDir, agent: &AgentId) -> Result<PrincipalId, CliError> {
    let agents = data.authority.agents()?;
    let found = agents.iter().find(|known| known.id == *agent).ok_or_else(|| {
        CliError::not_found(
            "not-found",
            format!("{agent} is not registered"),
            format!("register it with `bailiwick agent add {agent} --owner user:NAME`"),
        )
    })?;
    let name = data.name(&found.owner)?.ok_or_else(|| {
        CliError::refused(
            "owner-erased",
            format!("who owns {agent} was erased"),
            "give it to somebody with `bailiwick agent transfer`",
        )
    })?;
    Ok(PrincipalId::parse(&name)?)
}
