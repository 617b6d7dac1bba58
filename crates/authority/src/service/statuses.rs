//! The status list of roots, for third parties (Token Status List).

use bailiwick_core::time::Timestamp;

use super::Authority;
use super::tokens::STATUS_PLACES;
use crate::oauth::status_list::StatusList;
use crate::refusal::Refusal;

/// Seconds for which a published list may be kept.
const TTL_SECONDS: i64 = 30;
/// Seconds after which it is over.
const LIFETIME_SECONDS: i64 = 300;
/// Seconds for which the same signed text is given out.
const SIGNED_SECONDS: i64 = 10;
/// Revocations read at once.
const PIECE: u32 = 1000;

/// The list as it was last made: what was revoked since is added to it.
#[derive(Debug)]
pub struct Statuses {
    list: StatusList,
    upto: u64,
    signed: Option<(Timestamp, String)>,
}

impl Default for Statuses {
    fn default() -> Self {
        let places = usize::try_from(STATUS_PLACES).unwrap_or(usize::MAX);
        Self { list: StatusList::valid(places), upto: 0, signed: None }
    }
}

impl Authority {
    /// The signed list of this moment.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn status_list(&self, kept: &mut Statuses) -> Result<String, Refusal> {
        let cx = self.now();
        let changed = cx.store.read(|view| {
            let mut changed = false;
            loop {
                let news = view.revocations_since(kept.upto, PIECE)?;
                for revocation in &news.rows {
                    for index in view.status_indices(&revocation.subject)? {
                        // A place beyond the list is none that was given out.
                        changed |= kept.list.invalidate(u64::from(index)).is_ok();
                    }
                }
                kept.upto = news.upto;
                if !news.more {
                    return Ok::<_, bailiwick_store::StoreError>(changed);
                }
            }
        })?;
        let now = cx.host.now();
        if let Some((made, text)) = &kept.signed
            && !changed
            && (0..SIGNED_SECONDS * 1000).contains(&now.millis_since(*made))
        {
            return Ok(text.clone());
        }
        let uri = cx.installation.status_list();
        let text = kept.list.sign(&uri, now, LIFETIME_SECONDS, TTL_SECONDS, &*cx.keys.issuer);
        kept.signed = Some((now, text.clone()));
        Ok(text)
    }
}
