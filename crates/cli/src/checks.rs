//! Named checks beside `serve`: programs of the server's configuration that say
//! whether a criterion of a run's workflow holds.
//!
//! The ledger is the queue: a run that is claimed is checked once, one run after the
//! other. What was under way when the process ended leaves its criterion open;
//! somebody asks again.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_authority::http::NamedChecks;
use bailiwick_authority::rules::checks::{CheckError, Verdict};
use bailiwick_authority::{Authority, CheckTaken, DueCheck, NamedResult, Refusal};
use bailiwick_core::ids::RunId;
use tokio::sync::mpsc;

use crate::config::check::CheckOptions;
use crate::datadir::DataDir;

mod made;
mod place;

use made::made;

/// How often it is looked for runs that were claimed.
const LOOK: Duration = Duration::from_millis(500);
/// Runs that people may have asked for and that wait.
const MAX_ASKED: usize = 64;
/// How often it is looked whether a run's last call has its outcome.
const AGAIN: Duration = Duration::from_millis(500);
/// How often at most.
const MAX_AGAIN: u32 = 60;

/// Takes what people ask for.
pub(crate) struct Asked(mpsc::Sender<RunId>);

impl NamedChecks for Asked {
    fn ask(&self, run: RunId) -> bool {
        self.0.try_send(run).is_ok()
    }
}

/// Begins to make the checks that are configured.
pub(crate) fn start(data: &DataDir) -> Result<(Asked, tokio::task::JoinHandle<()>), Refusal> {
    let (sender, asked) = mpsc::channel(MAX_ASKED);
    let configured: Arc<[CheckOptions]> = data.config.check.clone().into();
    let worker = Worker { authority: data.authority.clone(), configured };
    // What was claimed before is not checked by itself: perhaps it was, or somebody
    // stopped it.
    let after = data.authority.log_size()?.saturating_sub(1);
    Ok((Asked(sender), tokio::spawn(worker.tend(asked, after))))
}

/// Makes the named checks of a run in this process, those of criteria that are not
/// met; gives what was taken up.
pub(crate) async fn check_now(data: &DataDir, run: &RunId) -> Result<Vec<CheckTaken>, Refusal> {
    let configured: Arc<[CheckOptions]> = data.config.check.clone().into();
    Worker { authority: data.authority.clone(), configured }.check(run, false).await
}

struct Worker {
    authority: Authority,
    configured: Arc<[CheckOptions]>,
}

impl Worker {
    async fn tend(self, mut asked: mpsc::Receiver<RunId>, mut after: u64) {
        loop {
            tokio::select! {
                run = asked.recv() => match run {
                    Some(run) => self.tell(&run, self.check(&run, false).await),
                    None => return,
                },
                () = tokio::time::sleep(LOOK) => {}
            }
            let look = move |authority: &Authority| authority.claimed_runs_since(after);
            match self.with(look).await {
                Ok(claimed) => {
                    for (index, run) in claimed {
                        after = index;
                        self.tell(&run, self.check(&run, true).await);
                    }
                }
                Err(refusal) => {
                    tracing::warn!(code = refusal.code(), "runs cannot be looked up: {refusal}");
                }
            }
        }
    }

    fn tell(&self, run: &RunId, checked: Result<Vec<CheckTaken>, Refusal>) {
        match checked {
            Ok(taken) => {
                for check in taken {
                    let (criterion, verdict) = (check.criterion.as_str(), check.verdict.as_str());
                    match &check.why {
                        None => tracing::info!(%run, criterion, verdict, "a run was checked"),
                        Some(why) => {
                            tracing::warn!(%run, criterion, why, "a run's check was not made");
                        }
                    }
                }
            }
            Err(refusal) => {
                tracing::warn!(%run, code = refusal.code(), "a run is not checked: {refusal}");
            }
        }
    }

    /// Makes the named checks of a run, `all` of them or those of criteria that are not
    /// met.
    async fn check(&self, run: &RunId, all: bool) -> Result<Vec<CheckTaken>, Refusal> {
        let id = run.clone();
        let checks = self.with(move |authority| authority.run_checks(None, &id)).await?;
        let mut taken = Vec::new();
        for due in checks.due {
            if let DueCheck::Named { criterion, check, finding } = due
                && (all || finding != "met")
            {
                taken.push(self.one(run, criterion, check).await?);
            }
        }
        Ok(taken)
    }

    async fn one(
        &self,
        run: &RunId,
        criterion: String,
        check: String,
    ) -> Result<CheckTaken, Refusal> {
        let (input, seen) = self.input(run, &criterion).await?;
        let configured = self.configured.iter().find(|options| options.name == check);
        let (verdict, output) = match configured {
            Some(options) => made(options, &input).await,
            None => (Verdict::NotRun, format!("no check `{check}` is configured here")),
        };
        let (id, result) = (run.clone(), NamedResult { criterion, check, verdict, output, seen });
        self.with(move |authority| authority.record_named_check(&id, &result)).await
    }

    /// What the check is told, and the last entry by then, once the run's last call has its outcome.
    async fn input(&self, run: &RunId, criterion: &str) -> Result<(made::Input, u64), Refusal> {
        let mut tries = 0;
        loop {
            let (id, asked) = (run.clone(), criterion.to_owned());
            let told = self.with(move |authority| authority.check_input(&id, &asked)).await;
            match told {
                Err(Refusal::Check(CheckError::UnderWay)) if tries < MAX_AGAIN => {
                    tries += 1;
                    tokio::time::sleep(AGAIN).await;
                }
                told => return told.map(|(told, seen)| (made::Input(told), seen)),
            }
        }
    }

    /// Runs blocking work of the authority.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Authority) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let authority = self.authority.clone();
        let done = tokio::task::spawn_blocking(move || work(&authority)).await;
        done.unwrap_or(Err(Refusal::Busy))
    }
}
