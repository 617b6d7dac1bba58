//! `run`: an agent's program, with a sidecar that holds its keys and its
//! delegation. The program itself holds neither: it is given an endpoint, and
//! what keeps it from the rest of the host is said and recorded.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::aat::make::Seen;
use bailiwick_core::crypto::Signer as _;
use bailiwick_core::grant::Request;
use bailiwick_core::ids::{GrantId, ServerName, ToolId, WorkflowId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::ChainLimits;
use bailiwick_gateway::group::Group;
use bailiwick_workload::{Admits, Root};
use rustix::process::Signal;
use tokio::process::Child;
use zeroize::Zeroizing;

use super::connect::Renewing;
use super::delegate_remote::{self, Terms};
use super::svid::{AuthorityIssuer, WorkloadApi};
use super::{identity, me, parse, serve};
use crate::args::{Network, RunArgs};
use crate::bridge::{Door, Side, Way};
use crate::error::CliError;
use crate::host;
use crate::keyfile::{self, InstanceKeys, PrincipalKey};
use crate::lives::{self, Life};
use crate::output::{Output, one_line};
use crate::presenter::ChainPresenter;

mod covers;
pub(super) mod door;
mod environment;
mod listening;
mod place;
mod site;
mod word;

use environment::Environment;
use listening::Listening;
use place::{Isolation, Place};
use site::Site;
use word::Word;

/// The file that names the endpoints, as MCP clients read them.
const SERVERS: &str = "mcp.json";
/// The SPIFFE Workload API's socket, beside it.
const WORKLOAD_API: &str = "workload.sock";
/// How long a program that was told to stop may take.
const GRACE: Duration = Duration::from_secs(10);

pub(super) fn run(
    args: &RunArgs,
    dir: &Path,
    logins: Option<&Path>,
    out: Output,
) -> Result<ExitCode, CliError> {
    // SECURITY: a program of the same user cannot read this process's memory.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let (isolation, warning) = place::choose(&args.place)?;
    if let Some(warning) = &warning {
        out.warn(warning);
    }
    let environment = Environment::new(std::env::vars_os(), &args.place.env)?;
    serve::init_logs("warn");
    let site = Site::find(args, dir)?;
    let hidden = site.hidden(args, dir, logins)?;
    let place = Place {
        isolation: &isolation,
        args: &args.place,
        sidecar: dir,
        hidden: hidden.clone(),
        environment: Vec::new(),
        command: &args.command,
    };
    if let Some(warning) = place.check()? {
        out.warn(&warning);
    }
    let runtime = serve::runtime()?;
    let entered = runtime.enter();
    // From here on: what is enrolled and granted for the run ends with it.
    let stop = serve::end_signal();
    drop(entered);
    let mut sidecar = Sidecar::enrol(site, isolation, logins)?;
    let presenter = sidecar.delegated(args, logins)?;
    let run = Run { args, environment, hidden, out };
    sidecar.attend(&runtime, stop, presenter, &run)
}

/// What was asked for.
struct Run<'a> {
    args: &'a RunArgs,
    environment: Environment,
    hidden: Vec<PathBuf>,
    out: Output,
}

/// An instance that is enrolled while this lives. No file holds its keys.
struct Sidecar {
    site: Site,
    isolation: Isolation,
    /// The keys as a file would have them: those that sign and those that renew
    /// are read from it.
    fresh: Json,
    keys: InstanceKeys,
    ending: Ending,
}

/// What ends an instance with this process.
enum Ending {
    /// At the data dir, with what was granted for it.
    Here(Life),
    /// At an authority elsewhere. A grant ends with its window.
    There(Word),
}

impl Drop for Sidecar {
    /// The instance ends with its process, and so does what was granted for it.
    fn drop(&mut self) {
        match (&self.ending, &self.site.data) {
            (Ending::Here(life), Some(data)) => life.end(data),
            (Ending::There(word), _) => word.bring(),
            (Ending::Here(_), None) => {}
        }
    }
}

fn keys(fresh: &Json) -> Result<InstanceKeys, CliError> {
    InstanceKeys::from_json(fresh)
        .ok_or_else(|| CliError::environment("key", "the keys cannot be made", "try again"))
}

impl Sidecar {
    fn enrol(site: Site, isolation: Isolation, logins: Option<&Path>) -> Result<Self, CliError> {
        let fresh = InstanceKeys::fresh(&site.agent)?;
        let own = keys(&fresh)?;
        let stated = isolation.recorded();
        let ending = match &site.data {
            Some(data) => {
                lives::tend(data)?;
                Ending::Here(Life::begin(data, &own.instance)?)
            }
            None => {
                let logins = super::login::folder(logins).ok();
                logins.iter().try_for_each(|logins| word::tend(logins, &site.authority))?;
                Ending::There(Word::give(logins.as_deref(), &site.authority, &own)?)
            }
        };
        let invite = match (&site.invite, &site.data) {
            (None, Some(data)) => {
                Zeroizing::new(data.authority.instance_invite(&site.agent)?.reveal())
            }
            (given, _) => given.clone().unwrap_or_default(),
        };
        let sidecar = Self { site, isolation, fresh, keys: own, ending };
        let Site { authority, agent, owner, .. } = &sidecar.site;
        identity::enrol(authority, &invite, agent, owner, &sidecar.keys, stated)?;
        Ok(sidecar)
    }

    /// Has a delegation, and renews it.
    fn delegated(
        &mut self,
        args: &RunArgs,
        logins: Option<&Path>,
    ) -> Result<Arc<ChainPresenter>, CliError> {
        let (grant, scope) = match &args.grant {
            Some(grant) => (GrantId::parse(grant)?, args.scope.clone()),
            None => {
                let key = me::key(args.key.as_deref(), logins)?;
                (self.grant(args, &key)?, Vec::new())
            }
        };
        let renewing = Renewing {
            authority: self.site.authority.clone(),
            grant,
            scope,
            keys: keys(&self.fresh)?,
            proving: keys(&self.fresh)?,
        };
        renewing.start()
    }

    /// The principal's own signature over a grant for this run.
    fn grant(&mut self, args: &RunArgs, key: &PrincipalKey) -> Result<GrantId, CliError> {
        let missing =
            || CliError::usage("argument-missing", "who grants what?", "pass --task and --scope");
        let request = Request {
            principal: key.id.clone(),
            agent: self.site.agent.clone(),
            scope: args.scope.clone(),
            expires_at: host::now().plus_seconds(parse::seconds(&args.lasts)?),
            purpose: args.task.clone().ok_or_else(missing)?,
            workflow: args.workflow.as_deref().map(WorkflowId::parse).transpose()?,
        };
        let terms = Terms { task: None, max_depth: Some(args.max_depth), budget: &args.budget };
        let holder = self.keys.holder.public_key().to_jwk();
        let authority = &self.site.authority;
        let prepared = delegate_remote::prepare(authority, key, &request, &terms)?;
        let id = prepared.statement.id.clone();
        if let Ending::Here(life) = &mut self.ending {
            life.granted(&id)?;
        }
        delegate_remote::submit(authority, key, prepared, Some(holder))?;
        Ok(id)
    }

    /// Writes down the endpoints where the program finds them; gives the variables
    /// that name them.
    fn hand_over(
        &self,
        side: &Side,
        port: u16,
        folder: &Path,
    ) -> Result<Vec<(OsString, OsString)>, CliError> {
        let mut told = Object::new();
        let mut urls = Vec::new();
        for (server, path) in side.paths() {
            let url = format!("http://127.0.0.1:{port}{path}");
            let endpoint = Object::new().with("type", "http").with("url", url.as_str());
            told.insert(server.as_str(), endpoint);
            urls.push(url);
        }
        let file = folder.join(SERVERS);
        let text = Json::from(Object::new().with("mcpServers", told)).canonical();
        keyfile::write_new(&file, &text)?;
        if let Isolation::User { uid, gid, .. } = &self.isolation {
            std::os::unix::fs::chown(&file, Some(*uid), Some(*gid))
                .map_err(|e| CliError::file(&file, "give away", &e))?;
        }
        let seen = Place::seen(&self.isolation, folder).join(SERVERS);
        let mut given = vec![("BAILIWICK_MCP_CONFIG".into(), seen.into())];
        if let [url] = urls.as_slice() {
            given.push(("BAILIWICK_MCP_URL".into(), url.into()));
        }
        Ok(given)
    }

    /// The SPIFFE Workload API for the program, with what says which process it is and
    /// the socket's name there.
    async fn workload_api(&self, folder: &Path) -> Result<(WorkloadApi, Root, String), CliError> {
        let authority = self.site.authority.clone();
        let issuer = AuthorityIssuer::new(authority, keys(&self.fresh)?, None);
        let file = folder.join(WORKLOAD_API);
        let api = WorkloadApi::begin(issuer, &file).await?;
        let own = rustix::process::geteuid().as_raw();
        let uid = match &self.isolation {
            Isolation::User { uid, gid, .. } => {
                std::os::unix::fs::chown(&file, Some(*uid), Some(*gid))
                    .map_err(|e| CliError::file(&file, "give away", &e))?;
                *uid
            }
            Isolation::Namespaces | Isolation::None => own,
        };
        let root = Root::default();
        let api = api.admitting(Admits::Descendants { root: root.clone(), uid });
        let seen = Place::seen(&self.isolation, folder).join(WORKLOAD_API);
        Ok((api, root, format!("unix://{}", seen.display())))
    }

    /// Serves the program's endpoint while it runs.
    fn attend(
        &self,
        runtime: &tokio::runtime::Runtime,
        stop: impl Future<Output = ()>,
        presenter: Arc<ChainPresenter>,
        run: &Run<'_>,
    ) -> Result<ExitCode, CliError> {
        let args = run.args;
        let door = Arc::new(Door::url()?);
        let ways = servers(&presenter)?.into_iter().map(|server| Way {
            door: Arc::clone(&door),
            url: format!("{}/mcp/{server}", self.site.authority),
            server,
            presenter: Arc::clone(&presenter),
        });
        let side = Side::new(ways)?;
        let folder = tempfile::Builder::new()
            .prefix("bailiwick-run-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir()
            .map_err(|e| CliError::file(&std::env::temp_dir(), "make a folder in", &e))?;
        runtime.block_on(async {
            let listening = Listening::begin(args.place.network, folder.path()).await?;
            let mut given = self.hand_over(&side, listening.port, folder.path())?;
            let workload = match args.workload_api {
                true => Some(self.workload_api(folder.path()).await?),
                false => None,
            };
            if let Some((_, _, socket)) = &workload {
                given.push(("SPIFFE_ENDPOINT_SOCKET".into(), socket.into()));
            }
            given.extend(run.environment.given.iter().cloned());
            let place = Place {
                isolation: &self.isolation,
                args: &args.place,
                sidecar: folder.path(),
                hidden: run.hidden.clone(),
                environment: given,
                command: &args.command,
            };
            let mut command = place.command()?;
            tell(self, args, &run.environment, run.out);
            let (workload, root) = workload.map(|(api, root, _)| (api, root)).unzip();
            let answering = workload.map(|api| tokio::spawn(api.serve(std::future::pending())));
            let serving = tokio::spawn(listening.serve(side));
            let child = command.spawn().map_err(|e| {
                CliError::usage(
                    "program",
                    format!("cannot start the program: {e}"),
                    "check its name and PATH",
                )
            })?;
            // From here on what descends from it is answered. It is not waited for yet.
            if let (Some(root), Some(id)) = (root, child.id()) {
                root.is(id);
            }
            let status = wait(child, stop).await;
            serving.abort();
            answering.inspect(tokio::task::JoinHandle::abort);
            Ok(ended(
                status
                    .map_err(|e| CliError::environment("program", e.to_string(), "run it again"))?,
            ))
        })
    }
}

/// The tool servers that a delegation reaches.
fn servers(presenter: &ChainPresenter) -> Result<Vec<ServerName>, CliError> {
    let moment = presenter.moment();
    let seen = Seen::parse(moment.root(), &ChainLimits::DEFAULT)?;
    let mut names: Vec<ServerName> = seen
        .scope
        .tools()
        .filter(|(tool, _)| tool.starts_with("mcp:"))
        .filter_map(|(tool, _)| ServerName::parse(ToolId::parse(tool).ok()?.server()).ok())
        .collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Err(CliError::refused(
            "nothing-to-offer",
            "the delegation reaches no tool server that speaks MCP",
            "ask for a scope of one; operations of HTTP APIs have no endpoint here yet",
        ));
    }
    Ok(names)
}

/// Waits for the program; passes a stop on to it. What it started in its process group ends with
/// it; in namespaces, where the program has no group of ours, all of them end with bubblewrap.
async fn wait(child: Child, stop: impl Future<Output = ()>) -> std::io::Result<ExitStatus> {
    let group = Group::of(child)?;
    tokio::select! {
        () = group.exited() => {}
        () = stop => {
            group.signal(Signal::TERM);
            let _ = tokio::time::timeout(GRACE, group.exited()).await;
        }
    }
    group.end().await
}

/// The program's status is this one's; a signal is 128 and its number, as
/// shells have it.
fn ended(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

fn tell(sidecar: &Sidecar, args: &RunArgs, environment: &Environment, out: Output) {
    let Sidecar { site, isolation, keys, .. } = sidecar;
    let network = match args.place.network {
        Network::Host => "host",
        Network::Gateway => "gateway",
    };
    let stripped: Vec<Json> = environment.stripped.iter().map(|n| n.as_str().into()).collect();
    let object = Object::new()
        .with("agent", &site.agent)
        .with("instance", &keys.instance)
        .with("isolation", isolation.name())
        .with("network", network)
        .with("workload_api", args.workload_api.then_some("ancestry"))
        .with("stripped", stripped);
    let workload = match args.workload_api {
        true => "  workload API for what it starts, attested by ancestry\n",
        false => "",
    };
    let text = format!(
        "{} runs as {}\n  isolation {}, network {network}\n{workload}  stripped from its environment: {}",
        site.agent,
        keys.instance,
        isolation.name(),
        one_line(&environment.told()),
    );
    out.beside(object, &text);
}
