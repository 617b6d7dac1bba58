//! Places in the status lists (Token Status List §4, §13.4): drawn at random, so
//! that a place says nothing of when its token was issued, and given out once.

use bailiwick_store::View;

use crate::host::Moment;
use crate::oauth::status_list::PLACES;
use crate::refusal::Refusal;

/// Tries to find a free place in a list, before the next one is begun.
const TRIES: usize = 16;

/// A place that no token had before. None when there are no more lists, after
/// some four thousand million tokens.
pub(super) fn free_place(view: &View<'_>, moment: &Moment<'_>) -> Result<Option<u32>, Refusal> {
    let random = || Ok(u32::from_be_bytes(moment.random()?));
    draw(newest_list(view)?, &random, &|place| Ok(view.status_index_taken(place)?))
}

/// The newest list; the first is 0.
pub(super) fn newest_list(view: &View<'_>) -> Result<u32, Refusal> {
    Ok(view.newest_status_index()?.unwrap_or(0) / PLACES)
}

/// Draws in the newest list, and in the next where the newest is nearly full.
fn draw(
    newest: u32,
    random: &dyn Fn() -> Result<u32, Refusal>,
    taken: &dyn Fn(u32) -> Result<bool, Refusal>,
) -> Result<Option<u32>, Refusal> {
    for list in [newest, newest.saturating_add(1)] {
        let Some(first) = list.checked_mul(PLACES) else { return Ok(None) };
        for _ in 0..TRIES {
            let place = first.saturating_add(random()? % PLACES);
            if !taken(place)? {
                return Ok(Some(place));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn drawn(newest: u32, taken: &dyn Fn(u32) -> bool) -> Option<u32> {
        let counter = Cell::new(7_u32);
        let random = || {
            counter.set(counter.get().wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
            Ok(counter.get())
        };
        draw(newest, &random, &|place| Ok(taken(place))).unwrap()
    }

    #[test]
    fn a_place_is_free_and_in_the_newest_list() {
        let place = drawn(3, &|_| false).unwrap();
        assert_eq!(place / PLACES, 3);
        let other = drawn(3, &|asked| asked == place).unwrap();
        assert!(other != place && other / PLACES == 3);
    }

    #[test]
    fn a_full_list_is_followed_by_the_next() {
        assert_eq!(drawn(0, &|place| place < PLACES).unwrap() / PLACES, 1);
        let last = u32::MAX / PLACES;
        assert_eq!(drawn(last, &|_| false).unwrap() / PLACES, last);
        assert_eq!(drawn(last, &|_| true), None);
    }
}
