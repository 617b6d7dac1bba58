//! Who may say that calls are the same again.

use bailiwick_core::approval::Grade;
use bailiwick_core::approval::standing::Terms;
use bailiwick_core::time::Timestamp;

use super::{Approvals, Barred, Held, Lost, Unsettled, Voice};
use crate::grades::Risk;

/// The witness that as many people as are needed signed the same terms, with
/// signatures that hold and rights that they have now, and that these last.
///
/// ```compile_fail,E0451
/// use bailiwick_policy::approvers::StandingApproved;
/// fn forge(real: StandingApproved) -> StandingApproved {
///     StandingApproved { terms: real.terms().clone(), grade: real.grade() }
/// }
/// ```
#[derive(Debug)]
pub struct StandingApproved {
    terms: Terms,
    grade: Grade,
}

impl StandingApproved {
    /// What was approved.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The weakest signature among those that counted.
    #[must_use]
    pub const fn grade(&self) -> Grade {
        self.grade
    }
}

impl Approvals {
    /// Whether a call of this risk may be approved again and again.
    ///
    /// # Errors
    /// [`Barred::StandingTooRisky`].
    pub fn may_stand(held: &Held<'_>) -> Result<(), Barred> {
        match held.risk {
            Risk::Critical => Err(Barred::StandingTooRisky),
            Risk::Low | Risk::Medium | Risk::High => Ok(()),
        }
    }

    /// Whether `voice` counts for `terms`, and how it was signed: when it is
    /// given, and again whenever they are used.
    ///
    /// # Errors
    /// [`Lost`].
    pub fn counts_standing(
        &self,
        terms: &Terms,
        held: &Held<'_>,
        voice: &Voice<'_>,
    ) -> Result<Grade, Lost> {
        Self::may_stand(held)?;
        self.may_decide(&voice.who, held)?;
        let grade = terms.verify(voice.signed, &voice.registered)?;
        self.may_approve_by(grade, held)?;
        Ok(grade)
    }

    /// Whether enough people signed `terms`, and they last at `now`. The only
    /// maker of [`StandingApproved`].
    ///
    /// # Errors
    /// [`Unsettled`].
    pub fn settle_standing(
        &self,
        terms: &Terms,
        held: &Held<'_>,
        voices: &[Voice<'_>],
        now: Timestamp,
    ) -> Result<StandingApproved, Unsettled> {
        if !terms.lasts(now) {
            return Err(Unsettled::Expired);
        }
        let grade = self.agreed(voices, |voice| self.counts_standing(terms, held, voice))?;
        Ok(StandingApproved { terms: terms.clone(), grade })
    }
}

#[cfg(test)]
mod tests;
