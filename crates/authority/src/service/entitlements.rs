//! Entitlements in force.

use std::sync::Arc;

use bailiwick_policy::Entitlements;
use bailiwick_store::{self as store, Stored};

use super::Authority;
use crate::ceilings::Ceilings;
use crate::refusal::Refusal;
use crate::rules::entitlements::{Published, publish};

impl Authority {
    /// Puts a document in force: it bounds every grant, and every call under
    /// those that were made before, from this moment on.
    ///
    /// # Errors
    /// [`Refusal::EntitlementsInvalid`].
    pub fn entitlements_publish(&self, document: &str) -> Result<Published, Refusal> {
        let entitlements = Entitlements::parse(document).map_err(Refusal::EntitlementsInvalid)?;
        let document = document.to_owned();
        self.commit(move |cx, tx, moment| {
            let current = tx.entitlements()?;
            publish(moment, &cx.installation, &entitlements, &document, current.as_deref())
        })
    }

    /// The document in force; `None`: whatever the workflows allow.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn entitlements(&self) -> Result<Option<Stored<store::Entitlements>>, Refusal> {
        self.read(|view| view.entitlements())
    }

    /// Ceilings in force, for whoever records calls.
    #[must_use]
    pub fn ceilings(&self) -> Arc<Ceilings> {
        Arc::clone(&self.now().ceilings)
    }
}
