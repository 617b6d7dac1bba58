//! Parsed workflow versions, kept by digest: a version never changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_core::crypto::Digest;
use bailiwick_policy::Workflow;
use bailiwick_store as store;

use crate::refusal::Refusal;

/// Versions kept at most; what was dropped is parsed again.
const MAX_KEPT: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Parsed(Mutex<BTreeMap<[u8; 32], Arc<Workflow>>>);

impl Parsed {
    /// The version that `row` holds.
    pub(crate) fn of(&self, row: &store::Workflow) -> Result<Arc<Workflow>, Refusal> {
        let key = *row.digest.bytes();
        {
            let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(workflow) = kept.get(&key) {
                return Ok(Arc::clone(workflow));
            }
        }
        let workflow = Arc::new(Workflow::parse(&row.document).map_err(Refusal::WorkflowInvalid)?);
        // What was published under a digest must still be what it names.
        if workflow.digest() != Digest::from_array(key) {
            return Err(Refusal::unknown("workflow version", row.digest));
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            kept.pop_first();
        }
        kept.insert(key, Arc::clone(&workflow));
        Ok(workflow)
    }
}
