//! Instances that live as long as one process on this host: those of `run` and `wrap`. A note in
//! the data dir says which they are and what was granted for them. What a killed process left is
//! ended by whoever finds its note, and so are the calls that a killed gateway had under way.

use bailiwick_authority::{Refusal, Target};
use bailiwick_core::ids::{GrantId, InstanceId};
use bailiwick_store::{LIVES, Note, Notes};

use crate::datadir::DataDir;
use crate::error::CliError;

/// The kind of note of an instance.
const KIND: &str = "life";

/// The life of an instance, noted.
pub(crate) struct Life {
    noted: Noted,
    note: Note,
}

/// What a note says.
struct Noted {
    instance: InstanceId,
    grants: Vec<GrantId>,
}

impl Noted {
    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let instance = InstanceId::parse(lines.next()?).ok()?;
        // A line that was cut off names nothing that was granted.
        let grants = lines.filter_map(|line| GrantId::parse(line).ok()).collect();
        Some(Self { instance, grants })
    }

    /// Ends the instance and what was granted for it. What is not there, or ended before, is over.
    fn end(&self, data: &DataDir, why: &str) -> Result<(), CliError> {
        // The keys may have been replaced while the process ran.
        data.take_up_keys()?;
        over(data.authority.instance_retire(&self.instance))?;
        for grant in &self.grants {
            let target = Target::Grant(grant.clone());
            over(data.authority.revoke(&target, "withdrawn-by-operator", Some(why)))?;
        }
        Ok(())
    }
}

fn over<T>(ended: Result<T, Refusal>) -> Result<(), CliError> {
    match ended {
        Ok(_) | Err(Refusal::Unknown { .. }) => Ok(()),
        Err(other) => Err(other.into()),
    }
}

impl Life {
    /// Notes the instance, before it is enrolled.
    pub(crate) fn begin(data: &DataDir, instance: &InstanceId) -> Result<Self, CliError> {
        let (folder, line) = (data.dir.join(LIVES), format!("{instance}\n"));
        let note = Note::leave(&folder, instance.as_str(), KIND, &line)?;
        Ok(Self { noted: Noted { instance: instance.clone(), grants: Vec::new() }, note })
    }

    /// Notes a grant for the instance, before it is signed.
    pub(crate) fn granted(&mut self, grant: &GrantId) -> Result<(), CliError> {
        self.note.add(&format!("{grant}\n"))?;
        self.noted.grants.push(grant.clone());
        Ok(())
    }

    /// Ends it in good order.
    pub(crate) fn end(&self, data: &DataDir) {
        match self.noted.end(data, "the run ended") {
            Ok(()) => self.note.remove(),
            // The note stays, and whoever finds it tries again.
            Err(e) => tracing::warn!(code = %e.code, "the instance still stands: {}", e.message),
        }
    }
}

/// What killed processes left, and is over now.
pub(crate) struct Left {
    /// Instances that were retired, with what was granted for them.
    pub(crate) instances: usize,
    /// Calls that a gateway had under way; their outcome is recorded as unknown.
    pub(crate) calls: usize,
}

/// Ends what killed processes left. What a process that lives has under way stays.
pub(crate) fn tend(data: &DataDir) -> Result<Left, CliError> {
    let abandoned = data.store().abandoned_actions()?;
    let calls = if abandoned.is_empty() { 0 } else { data.journal().close(abandoned)? };
    let left = Notes::find(&data.dir.join(LIVES), KIND)?.left;
    let instances = left.len();
    for note in left {
        match note.text().as_deref().and_then(Noted::read) {
            Some(noted) => noted.end(data, "the run was killed")?,
            None => tracing::warn!("a note of an instance cannot be read"),
        }
        note.remove()?;
    }
    Ok(Left { instances, calls })
}
