//! The organisation's policy in force, parsed once per publication.

use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_core::crypto::Digest;
use bailiwick_policy::{Bundle, Policies};
use bailiwick_store::{Place, View};

use crate::refusal::Refusal;
use crate::rules::policies::read;

#[derive(Debug, Default)]
pub(crate) struct Bundles(Mutex<Option<(Digest, Arc<Bundle>)>>);

impl Bundles {
    /// What decides at the moment of `view`; a candidate is not heard.
    pub(crate) fn of(&self, view: &View<'_>) -> Result<Policies, Refusal> {
        let Some(row) = view.policy(Place::Enforced)? else { return Ok(Policies::default()) };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let enforced = match (&*kept, row.digest) {
            (Some((digest, bundle)), Some(published)) if *digest == published => {
                Some(Arc::clone(bundle))
            }
            _ => read(&row)?.map(Arc::new),
        };
        *kept = enforced.as_ref().map(|bundle| (bundle.digest(), Arc::clone(bundle)));
        Ok(Policies { enforced, candidate: None })
    }
}
