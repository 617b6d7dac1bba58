//! Stage 5: a person's decision, where one is required. Nobody can give one
//! yet, so a call that needs one is denied.

use bailiwick_core::denial::{Denial, Reason};
use bailiwick_policy::permit::Permit;

use super::Stopped;
use super::authority::Covering;
use super::policy::{Judged, Word};

/// A call that nothing stands against any more, not yet recorded.
#[derive(Debug)]
pub struct Cleared {
    pub(crate) call: Covering,
    pub(crate) permit: Permit,
}

/// Passes permits on.
pub(crate) fn clear(judged: Judged) -> Result<Cleared, Stopped> {
    let Judged { call, word } = judged;
    match word {
        Word::Permit(permit) => Ok(Cleared { call, permit }),
        Word::Ask(ask) => {
            let finding = Some(ask.case().finding().clone());
            let heard = Some(ask.case().heard().clone());
            let denial =
                Denial::new(Reason::ApprovalUnavailable).about(ask.case().finding().rule.as_ref());
            let stopped = Stopped::known(denial, ask).on(call.ground);
            Err(Stopped { finding, heard, approval_required: true, ..stopped })
        }
    }
}
