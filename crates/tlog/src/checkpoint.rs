//! Checkpoints (tlog-checkpoint).

use std::fmt;

use thiserror::Error;

use crate::decimal;
use crate::hash::{Hash, empty_root};
use crate::key::{LogKey, MAX_NAME_BYTES, name_is_valid};
use crate::note::{Note, NoteError, NoteSignature};

/// The largest tree a checkpoint may state, 2^63 - 1 entries: a proof then has at most 63 hashes.
pub const MAX_TREE_SIZE: u64 = i64::MAX.cast_unsigned();

/// A log's origin, size and root. Shown as the note text that is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
}

impl Checkpoint {
    /// A checkpoint to sign. We write no extension lines.
    ///
    /// # Errors
    /// [`CheckpointError::Origin`] when `origin` is empty, longer than 255 bytes, or holds a space
    /// or `+`; [`CheckpointError::Size`] when `size` is above [`MAX_TREE_SIZE`];
    /// [`CheckpointError::Root`] when `size` is 0 and `root` not that of the empty tree.
    pub fn new(origin: &str, size: u64, root: Hash) -> Result<Self, CheckpointError> {
        if !name_is_valid(origin) {
            return Err(CheckpointError::Origin);
        }
        if size > MAX_TREE_SIZE {
            return Err(CheckpointError::Size);
        }
        if size == 0 && root != empty_root() {
            return Err(CheckpointError::Root);
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }

    /// Reads the note text: exactly the three lines, each ended by a newline.
    fn parse_text(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').unwrap_or(text).split('\n');
        let mut line = || lines.next().filter(|line| !line.is_empty());
        let origin = line().ok_or(CheckpointError::Lines)?;
        let size = line().ok_or(CheckpointError::Lines)?;
        let root = line().ok_or(CheckpointError::Lines)?;
        if lines.next().is_some() {
            return Err(CheckpointError::Extension);
        }
        // Clients must not assume that an origin follows the recommended form.
        if origin.len() > MAX_NAME_BYTES {
            return Err(CheckpointError::Origin);
        }
        let size = decimal::parse(size, MAX_TREE_SIZE).ok_or(CheckpointError::Size)?;
        let root = Hash::from_base64(root).map_err(|_| CheckpointError::Root)?;
        if size == 0 && root != empty_root() {
            return Err(CheckpointError::Root);
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }

    /// The identity of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Number of entries.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree over these entries.
    #[must_use]
    pub const fn root(&self) -> &Hash {
        &self.root
    }

    /// Signs with a key that stays with the caller: `sign` gets the bytes and gives the Ed25519
    /// signature, or `None` when it cannot. The signature is verified before it is used, so that a
    /// wrong private key cannot publish a checkpoint that nobody can verify.
    ///
    /// # Errors
    /// [`SignError`] when the key's name is not the origin, `sign` gives nothing, or what it gives
    /// does not verify under `key`.
    pub fn sign_with(
        &self,
        key: &LogKey,
        sign: impl FnOnce(&[u8]) -> Option<[u8; 64]>,
    ) -> Result<SignedCheckpoint, SignError> {
        if key.name() != self.origin {
            return Err(SignError::Name);
        }
        let text = self.to_string();
        let signature = sign(text.as_bytes()).ok_or(SignError::Refused)?;
        if !key.verify(text.as_bytes(), &signature) {
            return Err(SignError::WrongKey);
        }
        let signature =
            NoteSignature { name: key.name().to_owned(), id: key.id(), bytes: signature.to_vec() };
        Ok(SignedCheckpoint { checkpoint: self.clone(), note: Note::new(text, signature) })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)
    }
}

/// A checkpoint with signature lines, none of them verified. Shown as the bytes of the file
/// `checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) note: Note,
}

impl SignedCheckpoint {
    /// Reads a signed checkpoint. Writing it again gives the same bytes.
    ///
    /// # Errors
    /// [`CheckpointError`] when it is not a note, or its text is not that of a checkpoint without
    /// extension lines.
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let note = Note::parse(bytes)?;
        let checkpoint = Checkpoint::parse_text(note.text())?;
        Ok(Self { checkpoint, note })
    }

    /// Verifies that the log with `origin` signed this with `key`. Signatures by other keys are
    /// ignored; see [`VerifiedCheckpoint::witnessed_by`] for those of witnesses.
    ///
    /// # Errors
    /// [`CheckpointError::OtherOrigin`], [`CheckpointError::Unsigned`] when `key` did not sign it,
    /// or [`CheckpointError::Signature`] when its signature does not verify.
    pub fn verify(
        &self,
        origin: &str,
        key: &LogKey,
    ) -> Result<VerifiedCheckpoint, CheckpointError> {
        if self.checkpoint.origin != origin {
            return Err(CheckpointError::OtherOrigin { found: self.checkpoint.origin.clone() });
        }
        let signature =
            self.note.signature(key.name(), key.id()).ok_or(CheckpointError::Unsigned)?;
        if !key.verify(self.note.text().as_bytes(), signature) {
            return Err(CheckpointError::Signature);
        }
        Ok(VerifiedCheckpoint { signed: self.clone() })
    }

    /// What it claims, which nobody has verified yet.
    #[must_use]
    pub const fn unverified(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

/// A checkpoint that its log signed: made only by [`SignedCheckpoint::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCheckpoint {
    pub(crate) signed: SignedCheckpoint,
}

impl VerifiedCheckpoint {
    /// What the log states.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.signed.checkpoint
    }

    /// The identity of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.checkpoint().origin()
    }

    /// Number of entries.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.checkpoint().size()
    }

    /// Root of the tree over these entries.
    #[must_use]
    pub const fn root(&self) -> &Hash {
        self.checkpoint().root()
    }

    /// The checkpoint with all its signature lines, to keep or pass on.
    #[must_use]
    pub const fn signed(&self) -> &SignedCheckpoint {
        &self.signed
    }
}

/// A checkpoint cannot be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignError {
    /// The key's name is not the checkpoint's origin.
    #[error("the signing key's name is not the origin of the checkpoint")]
    Name,
    /// The signer gave no signature.
    #[error("the signer gave no signature")]
    Refused,
    /// The signature does not verify under the public key.
    #[error("the signature does not verify under the log's public key")]
    WrongKey,
}

impl SignError {
    /// A stable kebab-case code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Name => "tlog-sign-name",
            Self::Refused => "tlog-sign-refused",
            Self::WrongKey => "tlog-sign-wrong-key",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Name | Self::WrongKey => "sign with the key that belongs to this log's origin",
            Self::Refused => "make the log's signing key available and try again",
        }
    }
}

/// A checkpoint is malformed or not signed by the expected log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CheckpointError {
    /// It has extension lines, which no monitor can audit.
    #[error("the checkpoint has extension lines, expected none")]
    Extension,
    /// It has fewer than three lines, or an empty one.
    #[error("the checkpoint's text is not the three lines origin, size and root")]
    Lines,
    /// It is not a signed note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The origin is too long, or not one to write.
    #[error("an origin has 1 to {MAX_NAME_BYTES} bytes and neither spaces nor `+`")]
    Origin,
    /// It is another log's.
    #[error("the checkpoint is of another log, `{found}`")]
    OtherOrigin {
        /// Its origin.
        found: String,
    },
    /// The root is not 32 bytes in canonical base64, or not the empty tree's for size 0.
    #[error("the checkpoint's root hash is malformed")]
    Root,
    /// The log's signature does not verify.
    #[error("the log's signature on the checkpoint does not verify")]
    Signature,
    /// The size is not a canonical number up to 2^63 - 1.
    #[error("the checkpoint's size is not a number up to 2^63 - 1 without sign or leading zeros")]
    Size,
    /// The log's key did not sign it.
    #[error("no signature line is by the log's key")]
    Unsigned,
}

impl CheckpointError {
    /// A stable kebab-case code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Extension => "tlog-checkpoint-extension",
            Self::Lines => "tlog-checkpoint-lines",
            Self::Note(error) => error.code(),
            Self::Origin => "tlog-checkpoint-origin",
            Self::OtherOrigin { .. } => "tlog-checkpoint-other-origin",
            Self::Root => "tlog-checkpoint-root",
            Self::Signature => "tlog-checkpoint-signature",
            Self::Size => "tlog-checkpoint-size",
            Self::Unsigned => "tlog-checkpoint-unsigned",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Extension | Self::Lines | Self::Root | Self::Size => {
                "fetch the checkpoint again and keep it byte for byte"
            }
            Self::Note(error) => error.remedy(),
            Self::Origin => "use an origin such as `example.com/log`",
            Self::OtherOrigin { .. } | Self::Unsigned => {
                "use the checkpoint, origin and key of the same log"
            }
            Self::Signature => "keep the checkpoint as evidence and compare it with another copy",
        }
    }
}
