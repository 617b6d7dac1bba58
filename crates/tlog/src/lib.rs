//! Pure tiled-log maths: hashes, tiles, checkpoints, proofs and the append plan as data.
//!
//! The formats are those of C2SP: [tlog-tiles](https://c2sp.org/tlog-tiles),
//! [signed-note](https://c2sp.org/signed-note), [tlog-checkpoint](https://c2sp.org/tlog-checkpoint),
//! [tlog-cosignature](https://c2sp.org/tlog-cosignature) and
//! [tlog-proof](https://c2sp.org/tlog-proof); the tree is that of RFC 6962 and RFC 9162. There is
//! no format of our own here, and no I/O, clock or randomness: tiles are read through a
//! [`TileSource`], an append is a list of files to write ([`AppendPlan`]), and the log's private key
//! may stay with the caller ([`Checkpoint::sign_with`]).
//!
//! A writer keeps a [`RightEdge`], appends to it, writes the plan's files durably, and only then
//! publishes the plan's checkpoint. A reader parses a [`SignedCheckpoint`], verifies it to a
//! [`VerifiedCheckpoint`], and checks an [`InclusionProof`] or [`ConsistencyProof`] against its
//! root, or recomputes everything with [`audit`].
//!
//! # Why not the crates `tlog_tiles` and `signed_note`
//!
//! They are ports of the Go code and sound in what they compute, and the tests here use them as
//! independent oracles. They are not linked into the product because they bring a second Ed25519
//! library, a second SHA-256 and older `base64` and `thiserror`, because they assert and index
//! where a short read or a corrupt tile should be an error, and because their note parser takes
//! key ids with a sign or missing digits and ignores a second signature by the same key without
//! verifying it.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests fail by panicking"
    )
)]

mod append;
mod audit;
mod bundle;
mod checkpoint;
mod cosignature;
mod decimal;
mod hash;
mod key;
mod note;
mod proof;
mod proof_text;
mod reader;
mod tile;
mod tree;

pub use append::{AppendPlan, RightEdge, TileFile};
pub use audit::{AuditError, AuditReport, KnownRoot, audit, audit_leftover};
pub use bundle::{EntryError, MAX_ENTRY_BYTES, decode_bundle, encode_bundle};
pub use checkpoint::{
    Checkpoint, CheckpointError, MAX_TREE_SIZE, SignError, SignedCheckpoint, VerifiedCheckpoint,
};
pub use cosignature::{Cosignature, Verdict};
pub use hash::{Hash, HashError, empty_root, leaf_hash, node_hash};
pub use key::{KeyError, LogKey, SeedSigner, WitnessKey};
pub use note::{MAX_NOTE_BYTES, MAX_SIGNATURES, NoteError};
pub use proof::{ConsistencyProof, InclusionProof, MAX_PROOF_HASHES, ProofError};
pub use proof_text::{MAX_EXTRA_BYTES, TlogProof, TlogProofError};
pub use reader::{ReadError, TileSource, TreeReader};
pub use tile::{TILE_WIDTH, TileError, TileId, TileKind};
pub use tree::TreeHasher;
