//! A sealed and sequenced ledger in memory, as a source of evidence.

use std::collections::BTreeMap;

use bailiwick_core::crypto::Signer;
use bailiwick_core::ids::EntryId;
use bailiwick_core::ledger::{Disclosure, Kind, Subjects};
use bailiwick_evidence::{
    Bundle, Located, Source, SourceError, Subject, Verdict, assemble, verify,
};
use bailiwick_tlog::{InclusionProof, RightEdge, SeedSigner, SignedCheckpoint, TileId, TreeReader};

use crate::world::{ORIGIN, action, key, seed, trust, witness_key};

/// A sealed and sequenced ledger.
pub struct Ledger {
    pub leaves: Vec<(Kind, Subjects, Vec<u8>)>,
    pub values: BTreeMap<(EntryId, String), Disclosure>,
    pub checkpoint: SignedCheckpoint,
    tiles: BTreeMap<TileId, Vec<u8>>,
}

impl Ledger {
    pub fn new(
        leaves: Vec<(Kind, Subjects, Vec<u8>)>,
        values: BTreeMap<(EntryId, String), Disclosure>,
        log_seed: u8,
    ) -> Self {
        let edge = RightEdge::empty();
        let plan = edge.append(leaves.iter().map(|(_, _, bytes)| bytes)).unwrap();
        let tiles = plan.files().iter().map(|f| (f.id, f.bytes.clone())).collect();
        let signer = SeedSigner::new(ORIGIN, &[log_seed; 32]).unwrap();
        let checkpoint = signer.sign(&plan.checkpoint(ORIGIN).unwrap()).unwrap();
        Self { leaves, values, checkpoint, tiles }
    }

    /// A witness cosigns the checkpoint.
    pub fn cosign(&mut self, seed: u8) {
        let message = self.checkpoint.cosignature_message(1_795_000_100);
        let signature = key(seed).sign(&message);
        self.checkpoint
            .add_cosignature(&witness_key(seed::WITNESS), 1_795_000_100, signature)
            .unwrap();
    }

    pub fn bundle(&self) -> Bundle {
        assemble(self, &action()).unwrap()
    }

    pub fn text(&self) -> String {
        self.bundle().to_text()
    }

    pub fn verdict(&self) -> Verdict {
        verify(self.text().as_bytes(), &trust(), &[])
    }
}

impl Source for Ledger {
    fn checkpoint(&self) -> Result<SignedCheckpoint, SourceError> {
        Ok(self.checkpoint.clone())
    }

    fn entries(
        &self,
        kind: Kind,
        subject: Subject,
        value: &str,
    ) -> Result<Vec<Located>, SourceError> {
        Ok(self
            .leaves
            .iter()
            .zip(0..)
            .filter(|((k, subjects, _), _)| *k == kind && subject.of(subjects) == Some(value))
            .map(|((_, _, bytes), index)| Located { index, bytes: bytes.clone() })
            .collect())
    }

    fn policies(&self) -> Result<Vec<Located>, SourceError> {
        let entries = self.leaves.iter().zip(0..);
        Ok(entries
            .filter(|((kind, _, _), _)| *kind == Kind::PolicyPublished)
            .map(|((_, _, bytes), index)| Located { index, bytes: bytes.clone() })
            .collect())
    }

    fn disclosure(&self, entry: &EntryId, field: &str) -> Result<Option<Disclosure>, SourceError> {
        Ok(self.values.get(&(entry.clone(), field.to_owned())).cloned())
    }

    fn inclusion_proof(&self, index: u64, size: u64) -> Result<InclusionProof, SourceError> {
        Ok(TreeReader::new(&self.tiles, size).inclusion_proof(index)?)
    }
}
