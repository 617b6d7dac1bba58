//! Runs, kept by the authority in this process.

use bailiwick_authority::rules::requests::Asker as Who;
use bailiwick_authority::rules::runs::RunError;
use bailiwick_authority::{Authority, Refusal};
use bailiwick_core::accountable::Unavailable;
use bailiwick_core::ids::{Alias, TaskId};
use bailiwick_core::json::Object;
use bailiwick_core::time::Timestamp;
use bailiwick_gateway::ports::{Asker, OpenRun, RunRefusal, Runs};
use bailiwick_policy::run::Said;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

/// The authority keeps them.
pub(crate) struct AuthorityRuns(pub(crate) Authority);

impl Runs for AuthorityRuns {
    fn of_task(&self, task: &TaskId, now: Timestamp) -> Result<Option<OpenRun>, Unavailable> {
        let open = self.0.open_run(task, now).map_err(|refusal| {
            tracing::error!(code = refusal.code(), "runs cannot be read");
            Unavailable
        })?;
        Ok(open.map(|(run, undeclared)| OpenRun { run, undeclared }))
    }

    fn say<'a>(&'a self, asker: Asker, said: Said) -> BoxFuture<'a, Result<Object, RunRefusal>> {
        let authority = self.0.clone();
        async move {
            let said = tokio::task::spawn_blocking(move || say(&authority, asker, &said)).await;
            said.unwrap_or(Err(RunRefusal::Unavailable))
        }
        .boxed()
    }
}

fn say(authority: &Authority, asker: Asker, said: &Said) -> Result<Object, RunRefusal> {
    let Asker { principal, agent, instance, holder, task, grant, root, leaf } = asker;
    let principal = Alias::parse(&principal).map_err(|_| RunRefusal::Unavailable)?;
    let who = Who { principal, agent, instance, holder, task, grant, root, leaf };
    authority.run_said(&who, said).map_err(|refusal| match refusal {
        Refusal::Run(RunError::NoneOpen | RunError::OtherRun) => RunRefusal::Unknown,
        Refusal::Store(_) | Refusal::ClockBehind | Refusal::NoEntropy | Refusal::NotInitialised => {
            tracing::error!(code = refusal.code(), "what was said of a run was not kept");
            RunRefusal::Unavailable
        }
        refusal => RunRefusal::Refused {
            code: refusal.code(),
            text: refusal.to_string(),
            remedy: refusal.remedy().into_owned(),
        },
    })
}
