//! Witness cosignatures (tlog-cosignature, the Ed25519 kind) and what they are worth.

use std::collections::BTreeSet;

use crate::checkpoint::{SignedCheckpoint, VerifiedCheckpoint};
use crate::hash::Hash;
use crate::key::WitnessKey;
use crate::note::{NoteError, NoteSignature};

/// A witness's verified statement that, at that time, this was the largest consistent tree it had
/// seen of this log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    /// Name of the witness's key.
    pub witness: String,
    /// When the witness says it signed, in seconds since the epoch. A verifier that knows the time
    /// may refuse one from the future.
    pub time_seconds: u64,
}

/// What witnesses and kept checkpoints say about a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No known witness cosigned it: it binds only those who keep a copy.
    Unwitnessed,
    /// Known witnesses cosigned it, one entry for each distinct public key.
    Witnessed {
        /// Their statements, in the order of the keys asked for.
        cosignatures: Vec<Cosignature>,
    },
    /// The log signed another root for the same size: it shows different people different logs.
    Diverged {
        /// The size.
        size: u64,
        /// The root here.
        here: Hash,
        /// The root in the checkpoint that was kept.
        kept: Hash,
    },
    /// A line in a known witness's name and key id does not verify.
    Invalid {
        /// The witness.
        witness: String,
    },
}

impl Verdict {
    /// A stable kebab-case code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unwitnessed => "unwitnessed",
            Self::Witnessed { .. } => "witnessed",
            Self::Diverged { .. } => "diverged",
            Self::Invalid { .. } => "invalid",
        }
    }

    /// How many distinct witnesses stand behind the checkpoint.
    #[must_use]
    pub fn witnesses(&self) -> usize {
        match self {
            Self::Witnessed { cosignatures } => cosignatures.len(),
            Self::Unwitnessed | Self::Diverged { .. } | Self::Invalid { .. } => 0,
        }
    }
}

impl VerifiedCheckpoint {
    /// Judges the checkpoint by the cosignatures of `witnesses` and by checkpoints of the same log
    /// that were `kept` elsewhere (those of another origin or size say nothing here: for another
    /// size, verify a [`crate::ConsistencyProof`]). Lines by unknown keys are ignored.
    #[must_use]
    pub fn witnessed_by(&self, witnesses: &[WitnessKey], kept: &[Self]) -> Verdict {
        let other = kept
            .iter()
            .filter(|kept| kept.origin() == self.origin() && kept.size() == self.size())
            .find(|kept| kept.root() != self.root());
        if let Some(other) = other {
            return Verdict::Diverged {
                size: self.size(),
                here: *self.root(),
                kept: *other.root(),
            };
        }
        let mut counted = BTreeSet::new();
        let mut cosignatures = Vec::new();
        for key in witnesses {
            let Some(blob) = self.signed.note.signature(key.name(), key.id()) else {
                continue;
            };
            let Some(time_seconds) = verify(key, self.signed.note.text(), blob) else {
                return Verdict::Invalid { witness: key.name().to_owned() };
            };
            // SECURITY: the message does not name the witness, so one key under two names is one
            // witness.
            if counted.insert(*key.public_key()) {
                cosignatures.push(Cosignature { witness: key.name().to_owned(), time_seconds });
            }
        }
        if cosignatures.is_empty() {
            Verdict::Unwitnessed
        } else {
            Verdict::Witnessed { cosignatures }
        }
    }
}

impl SignedCheckpoint {
    /// The bytes that a witness signs for this checkpoint at a time in seconds since the epoch
    /// (tlog-cosignature, "Ed25519 signed message").
    #[must_use]
    pub fn cosignature_message(&self, time_seconds: u64) -> Vec<u8> {
        message(self.note.text(), time_seconds)
    }

    /// Adds a witness's signature over [`SignedCheckpoint::cosignature_message`]. It is not
    /// verified here; [`VerifiedCheckpoint::witnessed_by`] does that.
    ///
    /// # Errors
    /// [`NoteError`] when the witness is there already or there are too many signature lines.
    pub fn add_cosignature(
        &mut self,
        key: &WitnessKey,
        time_seconds: u64,
        signature: [u8; 64],
    ) -> Result<(), NoteError> {
        let mut bytes = time_seconds.to_be_bytes().to_vec();
        bytes.extend(signature);
        self.note.add(NoteSignature { name: key.name().to_owned(), id: key.id(), bytes })
    }
}

fn message(text: &str, time_seconds: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {time_seconds}\n{text}").into_bytes()
}

/// The time of the cosignature, when it verifies.
fn verify(key: &WitnessKey, text: &str, blob: &[u8]) -> Option<u64> {
    let (time, signature) = blob.split_first_chunk::<8>()?;
    let time = u64::from_be_bytes(*time);
    // The timestamp must not exceed 2^63 - 1.
    i64::try_from(time).ok()?;
    key.verify(&message(text, time), signature).then_some(time)
}
