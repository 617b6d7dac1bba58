//! The organisation's policy as it is published: read once per publication,
//! looked at again by the calls themselves, and swapped between two of them.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bailiwick_core::accountable::Unavailable;
use bailiwick_core::ids::EntryId;
use bailiwick_policy::{Bundle, Policies};
use bailiwick_store::{Place, Policy, Store, StoreError};

use crate::ports::{CATALOGUE_AGE, unavailable};

/// How old what is known may be while another call reads it anew.
const MAX_AGE: Duration = Duration::from_secs(10);

/// What was published last, parsed.
struct Kept {
    looked: Instant,
    /// The entries that published it.
    versions: [Option<EntryId>; 2],
    policies: Arc<Policies>,
}

/// The policy of a data dir.
pub(crate) struct PublishedPolicies {
    store: Store,
    kept: RwLock<Option<Kept>>,
    /// Held by whoever looks.
    looking: Mutex<()>,
}

impl PublishedPolicies {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, kept: RwLock::default(), looking: Mutex::default() }
    }

    /// What is published now.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was published.
    pub(crate) fn now(&self) -> Result<Arc<Policies>, Unavailable> {
        if let Some(policies) = self.known(CATALOGUE_AGE) {
            return Ok(policies);
        }
        // One call looks; those beside it need not wait for a large bundle.
        let _looking = match self.looking.try_lock() {
            Ok(looking) => looking,
            Err(_) => {
                if let Some(policies) = self.known(MAX_AGE) {
                    return Ok(policies);
                }
                self.looking.lock().unwrap_or_else(PoisonError::into_inner)
            }
        };
        match self.known(CATALOGUE_AGE) {
            Some(policies) => Ok(policies),
            None => self.look(),
        }
    }

    /// What is kept of it, if it is not older than that.
    fn known(&self, age: Duration) -> Option<Arc<Policies>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|k| k.looked.elapsed() < age).map(|k| Arc::clone(&k.policies))
    }

    /// Looks whether another policy was published, and takes it up if so.
    fn look(&self) -> Result<Arc<Policies>, Unavailable> {
        let looked = Instant::now();
        let places = [Place::Enforced, Place::Candidate];
        let read = self.store.read(|view| -> Result<_, StoreError> {
            let versions = [view.policy_version(places[0])?, view.policy_version(places[1])?];
            {
                let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
                if let Some(kept) = kept.as_ref().filter(|k| k.versions == versions) {
                    return Ok((versions, Some(Arc::clone(&kept.policies)), [None, None]));
                }
            }
            Ok((versions, None, [view.policy(places[0])?, view.policy(places[1])?]))
        });
        let (versions, same, [enforced, candidate]) = read.map_err(unavailable)?;
        let policies = match same {
            Some(policies) => policies,
            None => {
                let enforced = enforced.map(|row| read_policy(&row)).transpose()?.flatten();
                // One that is only tried must not stop what is in force.
                let candidate = candidate.and_then(|row| read_policy(&row).ok().flatten());
                let digest = enforced.as_ref().map(|bundle| bundle.digest().to_string());
                tracing::info!(policy = digest, "a policy is in force");
                Arc::new(Policies {
                    enforced: enforced.map(Arc::new),
                    candidate: candidate.map(Arc::new),
                })
            }
        };
        let kept = Kept { looked, versions, policies: Arc::clone(&policies) };
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        Ok(policies)
    }
}

/// A bundle from its row; one that is not what was published is told of.
fn read_policy(row: &Policy) -> Result<Option<Bundle>, Unavailable> {
    bailiwick_authority::rules::policies::read(row).map_err(|e| {
        tracing::error!(code = e.code(), error = %e, place = row.place.as_str(), "a policy cannot be read");
        Unavailable
    })
}
