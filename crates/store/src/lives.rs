//! Lives: a process that decides calls leaves a note in the data dir for as long as it lives, and
//! every call that it allows names it until the outcome is there. So whoever looks knows which open
//! calls nobody will complete any more, however many processes work beside.

use bailiwick_core::crypto::base64url;

use crate::error::StoreError;
use crate::notes::{Note, Notes};
use crate::rows::OpenAction;
use crate::seal;
use crate::store::Store;

/// The folder of the notes, in the data dir.
pub const LIVES: &str = "lives";
/// The kind of note that a gateway leaves.
const KIND: &str = "gateway";

/// The life of a process that decides calls; over when dropped, or when the process ends, however
/// it ends.
#[derive(Debug)]
pub(crate) struct Life(Note);

impl Drop for Life {
    fn drop(&mut self) {
        self.0.remove();
    }
}

impl Store {
    /// Begins the life in which this handle and its clones decide calls.
    pub(crate) fn begin_life(&self) -> Result<Life, StoreError> {
        let id = base64url(&seal::random::<16>(&*self.context().entropy)?);
        let life = Life(Note::leave(&self.dir().join(LIVES), &id, KIND, "")?);
        match self.context().life.set(id) {
            Ok(()) => Ok(life),
            Err(_) => Err(StoreError::AlreadyRunning { role: KIND.to_owned() }),
        }
    }

    /// How many processes decide calls now.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn lives(&self) -> Result<usize, StoreError> {
        Ok(Notes::find(&self.dir().join(LIVES), KIND)?.held.len())
    }

    /// Allowed calls without an outcome of processes that live no more. Those that name no life,
    /// from a version of before, are not among them.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn abandoned_actions(&self) -> Result<Vec<OpenAction>, StoreError> {
        // INVARIANT: the calls are read before the lives. A life is noted before its first call, so
        // a call found here whose life is not found after it has nobody.
        let mut open = self.read(|v| v.unfinished_actions())?;
        let Notes { held, left } = Notes::find(&self.dir().join(LIVES), KIND)?;
        left.into_iter().try_for_each(crate::notes::Left::remove)?;
        open.retain(|action| action.life.as_ref().is_some_and(|life| !held.contains(life)));
        Ok(open)
    }
}
