//! Speaking of runs: the authority keeps them. That every call belongs to its task's
//! open run needs no word of the agent's.

use bailiwick_core::accountable::Unavailable;
use bailiwick_core::crypto::Digest;
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::ids::{EntryId, RunId, TaskId, ToolId};
use bailiwick_core::json::Object;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::run::{Said, Verb};
use futures_util::future::BoxFuture;

use super::{Answered, Asker, Refused};
use crate::gateway::Gateway;

/// The run to which a call belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRun {
    /// Its id.
    pub run: RunId,
    /// Whether it noted context from a source that its workflow does not list.
    pub undeclared: bool,
}

/// That somebody announced a call because of a run that is over: a step that undoes it,
/// or a check of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    /// The entry that says so.
    pub entry: EntryId,
    /// The run, to which the call does not belong.
    pub run: RunId,
}

/// Why a word about a run was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunRefusal {
    /// It does not stand as it is; nothing of it was written.
    #[error("{text}")]
    Refused {
        /// Why, a stable code.
        code: &'static str,
        /// In a sentence, for the caller alone.
        text: String,
        /// What to do about it.
        remedy: String,
    },
    /// The task has no such open run.
    #[error("the task has no such open run")]
    Unknown,
    /// It cannot be read or written.
    #[error("runs cannot be read or written now")]
    Unavailable,
}

impl RunRefusal {
    fn denial(&self) -> Denial {
        match self {
            Self::Refused { code, .. } => Denial::new(Reason::RunRefused).about(*code),
            Self::Unknown => Denial::new(Reason::RunUnknown),
            Self::Unavailable => Denial::new(Reason::RunUnavailable),
        }
    }

    fn why(&self) -> Option<Object> {
        let Self::Refused { code, text, remedy } = self else { return None };
        Some(super::why(code, text, remedy))
    }
}

/// Keeps runs.
pub trait Runs: Send + Sync {
    /// The run of a task that is open at `now`: asked once for each call.
    ///
    /// # Errors
    /// When it cannot be read: the call is denied.
    fn of_task(&self, task: &TaskId, now: Timestamp) -> Result<Option<OpenRun>, Unavailable>;

    /// The errand that waits at `now` for exactly this call of the delegation whose
    /// root's token hash is `root`: asked once for each call that the gateway makes.
    ///
    /// # Errors
    /// When it cannot be read: the call is denied.
    fn errand(
        &self,
        root: &Digest,
        call: (&ToolId, &Object),
        now: Timestamp,
    ) -> Result<Option<Errand>, Unavailable>;

    /// Takes what an agent says of its run, and answers. Nobody is heard for whom the
    /// identity stage does not answer.
    fn say<'a>(&'a self, asker: Asker, said: Said) -> BoxFuture<'a, Result<Object, RunRefusal>>;
}

/// Passes on what is said.
pub(super) async fn say(
    gateway: &Gateway,
    asker: Option<Asker>,
    verb: Verb,
    arguments: &Object,
) -> Result<Answered, Refused> {
    let said = async {
        let said = Said::parse(verb, arguments).map_err(|malformed| RunRefusal::Refused {
            code: "run-malformed",
            text: malformed.to_string(),
            remedy: format!("send what the definition of `{}` describes", verb.tool()),
        })?;
        let asker = asker.ok_or(RunRefusal::Unavailable)?;
        gateway.ports.runs.say(asker, said).await
    };
    match said.await {
        Ok(answer) => Ok(Answered { answer, delegation: None }),
        Err(refusal) => Err(Refused { denial: refusal.denial(), why: refusal.why() }),
    }
}
