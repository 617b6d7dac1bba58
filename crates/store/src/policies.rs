//! Reading the organisation's policy.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::EntryId;

use crate::columns::parsed;
use crate::error::StoreError;
use crate::rows::{Place, Policy, Stored};
use crate::view::View;

/// In the order of the log, which a clock cannot change. `CROSS` keeps the engine
/// from going through the log instead, backwards until a publication comes.
const PUBLISHED: &str = "policies t CROSS JOIN entries e ON e.org = t.org AND e.id = t.entry";

impl View<'_> {
    /// The entry of the last publication for a place, whatever it published.
    ///
    /// # Errors
    /// [`StoreError::Fault`], as for every read here.
    pub fn policy_version(&self, place: Place) -> Result<Option<EntryId>, StoreError> {
        let sql = format!(
            "SELECT t.entry FROM {PUBLISHED}
             WHERE t.org = ?1 AND t.place = ?2 ORDER BY e.idx DESC LIMIT 1"
        );
        self.one(&sql, (self.org_text(), place.as_str()), |r| parsed(r, 0))
    }

    /// The last publication for a place, whatever it published.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn policy(&self, place: Place) -> Result<Option<Stored<Policy>>, StoreError> {
        let from =
            format!("{PUBLISHED} WHERE t.org = ?1 AND t.place = ?2 ORDER BY e.idx DESC LIMIT 1");
        self.record(&from, (self.org_text(), place.as_str()))
    }

    /// The first publication of a bundle, whatever for.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn policy_by_digest(&self, digest: &Digest) -> Result<Option<Stored<Policy>>, StoreError> {
        let from = format!("{PUBLISHED} WHERE t.org = ?1 AND t.digest = ?2 ORDER BY e.idx LIMIT 1");
        self.record(&from, (self.org_text(), digest.bytes().as_slice()))
    }

    /// Publications without their documents, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn policies(&self, limit: u32) -> Result<Vec<Stored<Policy>>, StoreError> {
        let sql = format!(
            "SELECT t.place, t.digest, '', t.published, t.entry FROM {PUBLISHED}
             WHERE t.org = ?1 ORDER BY e.idx DESC LIMIT ?2"
        );
        self.many(&sql, (self.org_text(), limit), |r| crate::columns::Record::stored(r, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each call may ask; the log has millions of entries.
    #[test]
    fn what_is_published_is_found_without_going_through_the_log() {
        let c = crate::connection::scratch().unwrap();
        let sql = format!(
            "EXPLAIN QUERY PLAN SELECT t.entry FROM {PUBLISHED}
             WHERE t.org = ?1 AND t.place = ?2 ORDER BY e.idx DESC LIMIT 1"
        );
        let mut query = c.prepare(&sql).unwrap();
        let plan: Vec<String> =
            query.query_map(["o", "enforced"], |r| r.get(3)).unwrap().map(Result::unwrap).collect();
        assert!(plan[0].contains(" t "), "{plan:?}");
        assert!(plan[1].contains(" e USING INDEX entries_id (org=? AND id=?)"), "{plan:?}");
    }
}
