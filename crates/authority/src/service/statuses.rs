//! The status lists of roots and access tokens, for third parties (Token Status
//! List).

use std::collections::BTreeMap;

use bailiwick_core::time::Timestamp;
use bailiwick_store::Change;

use super::Authority;
use super::places::newest_list;
use crate::oauth::status_list::{PLACES, StatusList};
use crate::refusal::Refusal;

/// Seconds for which a published list may be kept.
const TTL_SECONDS: i64 = 30;
/// Seconds after which it is over.
const LIFETIME_SECONDS: i64 = 300;
/// Seconds for which the same signed text is given out.
const SIGNED_SECONDS: i64 = 10;
/// Revocations read at once.
const PIECE: u32 = 1000;

/// The lists as they were last made: what was revoked since is added to them.
#[derive(Debug, Default)]
pub struct Statuses {
    lists: BTreeMap<u32, Kept>,
    upto: u64,
}

#[derive(Debug)]
struct Kept {
    list: StatusList,
    signed: Option<(Timestamp, String)>,
}

impl Default for Kept {
    fn default() -> Self {
        let places = usize::try_from(PLACES).unwrap_or(usize::MAX);
        Self { list: StatusList::valid(places), signed: None }
    }
}

impl Statuses {
    fn invalidate(&mut self, place: u32) {
        let kept = self.lists.entry(place / PLACES).or_default();
        // A place is inside its list.
        if kept.list.invalidate(u64::from(place % PLACES)).is_ok() {
            kept.signed = None;
        }
    }
}

impl Authority {
    /// The signed list `list` of this moment, the first being 0; none, if there
    /// are not so many.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn status_list(
        &self,
        statuses: &mut Statuses,
        list: u32,
    ) -> Result<Option<String>, Refusal> {
        let cx = self.now();
        let newest = cx.store.read(|view| {
            loop {
                let news = view.revocations_since(statuses.upto, PIECE)?;
                for notice in &news.rows {
                    // The lists say what is over for good; a stop is not.
                    let Change::Revoked { subject, .. } = &notice.change else { continue };
                    for place in view.status_indices(subject)? {
                        statuses.invalidate(place);
                    }
                }
                statuses.upto = news.upto;
                if !news.more {
                    return newest_list(view);
                }
            }
        })?;
        if list > newest {
            return Ok(None);
        }
        let kept = statuses.lists.entry(list).or_default();
        let now = cx.host.now();
        if let Some((made, text)) = &kept.signed
            && (0..SIGNED_SECONDS * 1000).contains(&now.millis_since(*made))
        {
            return Ok(Some(text.clone()));
        }
        let uri = cx.installation.status_list(list);
        let text = kept.list.sign(&uri, now, LIFETIME_SECONDS, TTL_SECONDS, &*cx.keys.issuer);
        kept.signed = Some((now, text.clone()));
        Ok(Some(text))
    }

    /// Where the status lists are published, oldest first.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn status_lists(&self) -> Result<Vec<String>, Refusal> {
        let cx = self.now();
        let newest = cx.store.read(newest_list)?;
        Ok((0..=newest).map(|list| cx.installation.status_list(list)).collect())
    }
}
