//! What is random in an entry.

use bailiwick_core::ids::EntryId;
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Disclosure;
use bailiwick_core::time::Timestamp;

use crate::ports::Host;

/// The id of one entry, and a source of salts for it.
pub(crate) struct Draw<'h> {
    pub(crate) id: EntryId,
    host: &'h dyn Host,
}

impl<'h> Draw<'h> {
    pub(crate) fn new(host: &'h dyn Host, now: Timestamp) -> Self {
        let mut random = [0; 10];
        host.fill(&mut random);
        Self { id: EntryId::mint(now, random), host }
    }

    /// A salt that was not given out before.
    ///
    /// SECURITY: each is drawn when it is needed, so that however many fields
    /// an entry comes to have, none gets a salt that can be guessed.
    pub(super) fn salt(&mut self) -> [u8; 32] {
        let mut salt = [0; 32];
        self.host.fill(&mut salt);
        salt
    }

    pub(super) fn disclose(&mut self, value: impl Into<Json>) -> Disclosure {
        Disclosure { salt: self.salt(), value: value.into() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::testing::FixedHost;

    #[test]
    fn however_many_salts_are_drawn_each_is_random() {
        let now = Timestamp::from_seconds(1_767_225_600);
        let host = FixedHost::at(now);
        let mut draw = Draw::new(&host, now);
        let mut salts: BTreeSet<_> = (0..100).map(|_| draw.salt()).collect();
        assert_eq!(salts.len(), 100);
        assert!(!salts.contains(&[0; 32]));
        salts.insert(draw.disclose("value").salt);
        assert_eq!(salts.len(), 101);
    }
}
