//! How many calls of one instance are under way: one that waits for a slow
//! tool must not take every place from the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bailiwick_core::crypto::Thumbprint;

/// Calls under way, by the key that proved them.
#[derive(Debug)]
pub(crate) struct Busy {
    most: usize,
    under_way: Mutex<HashMap<Thumbprint, usize>>,
}

/// A call's place among those of its key; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    busy: Arc<Busy>,
    key: Thumbprint,
}

impl Busy {
    /// At most so many for each key.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, under_way: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Thumbprint, usize>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more call of `key`, if there is one.
    pub(crate) fn enter(self: &Arc<Self>, key: Thumbprint) -> Option<Place> {
        let mut under_way = self.lock();
        let count = under_way.entry(key).or_default();
        if *count >= self.most {
            return None;
        }
        *count = count.saturating_add(1);
        drop(under_way);
        Some(Place { busy: Arc::clone(self), key })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.busy.lock();
        if let Some(count) = under_way.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                under_way.remove(&self.key);
            }
        }
    }
}
