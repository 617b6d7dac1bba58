//! Runs, kept by the authority in this process.

use std::time::Duration;

use bailiwick_authority::rules::requests::Asker as Who;
use bailiwick_authority::rules::runs::RunError;
use bailiwick_authority::{Authority, Refusal};
use bailiwick_core::accountable::Unavailable;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{Alias, TaskId, ToolId};
use bailiwick_core::json::Object;
use bailiwick_core::time::Timestamp;
use bailiwick_gateway::ports::{Asker, Errand, OpenRun, RunRefusal, Runs};
use bailiwick_policy::run::{ItemKind, Said, Word};
use bailiwick_store::StoreError;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

/// How often it is looked for outcomes that are on their way, and how long between.
const OUTCOME_LOOKS: u32 = 40;
const OUTCOME_PAUSE: Duration = Duration::from_millis(50);

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

    fn errand(
        &self,
        root: &Digest,
        (tool, arguments): (&ToolId, &Object),
        now: Timestamp,
    ) -> Result<Option<Errand>, Unavailable> {
        let errand = self.0.awaited_errand((root, tool), arguments, now).map_err(|refusal| {
            tracing::error!(code = refusal.code(), "errands cannot be read");
            Unavailable
        })?;
        Ok(errand.map(|(entry, run)| Errand { entry, run }))
    }

    fn say<'a>(&'a self, asker: Asker, said: Said) -> BoxFuture<'a, Result<Object, RunRefusal>> {
        let authority = self.0.clone();
        async move {
            if rests_on_calls(&said.word) {
                outcomes_of(&authority, &asker.task).await;
            }
            let said = tokio::task::spawn_blocking(move || say(&authority, asker, &said)).await;
            said.unwrap_or(Err(RunRefusal::Unavailable))
        }
        .boxed()
    }
}

/// Whether what was said is about what became of calls.
fn rests_on_calls(word: &Word) -> bool {
    match word {
        Word::Complete { .. } => true,
        Word::Context { items } => items.iter().any(|item| item.kind == ItemKind::ToolOutput),
        Word::Begin { .. } | Word::Progress { .. } => false,
    }
}

/// Waits for the outcomes of calls that were answered a moment ago: an answer is given
/// before its outcome is durable. What takes longer goes on, and leaves open what it
/// may change.
async fn outcomes_of(authority: &Authority, task: &TaskId) {
    for _ in 0..OUTCOME_LOOKS {
        let (store, task) = (authority.store().clone(), task.clone());
        let looked = tokio::task::spawn_blocking(move || {
            store.read(|view| -> Result<bool, StoreError> {
                let Some(run) = view.open_run(&task)? else { return Ok(false) };
                Ok(view.last_calls_of_run(&run.id)?.iter().any(|call| call.over.is_none()))
            })
        });
        match looked.await {
            Ok(Ok(true)) => tokio::time::sleep(OUTCOME_PAUSE).await,
            _ => return,
        }
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
