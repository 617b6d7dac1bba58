//! How much people are asked, and how they answer.

use bailiwick_core::ids::PrincipalId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Asked, Quick};

use super::Authority;
use super::approvals::name_of;
use crate::refusal::Refusal;

/// What one approver said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApproverHours {
    /// Who; `None` once erased.
    pub approver: Option<PrincipalId>,
    /// Verdicts.
    pub said: u64,
    /// Verdicts in their busiest hour of the clock, UTC.
    pub busiest_hour: u64,
}

/// Figures over a span of time that ends now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fatigue {
    /// From when on.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Calls that asked, and how many of them expired.
    pub asked: Asked,
    /// Verdicts by approver, most first.
    pub approvers: Vec<ApproverHours>,
    /// The median time between question and verdict, milliseconds; `None`
    /// without a verdict.
    pub median_ms: Option<i64>,
    /// Approvals, and those that came less than a second after the question.
    pub quick: Quick,
}

/// A part of a whole; `None` of nothing.
#[expect(clippy::cast_precision_loss, reason = "a share is read by people")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl Fatigue {
    /// The share of approvals that came within a second of the question.
    #[must_use]
    pub fn quick_share(&self) -> Option<f64> {
        share(self.quick.within_second, self.quick.approvals)
    }

    /// The share of calls that nobody settled in time, among those that do not
    /// wait any more.
    #[must_use]
    pub fn expired_share(&self) -> Option<f64> {
        share(self.asked.expired, self.asked.over)
    }

    /// Verdicts of one approver in an hour, on average over the span.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate is read by people")]
    pub fn per_hour(&self, of: &ApproverHours) -> f64 {
        let hours = self.until.millis_since(self.since).max(1) as f64 / 3_600_000.0;
        of.said as f64 / hours
    }

    /// As the API and the command line have it. Shares and rates are texts with
    /// four decimals: JSON that is hashed has no fractions.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let text = |share: Option<f64>| share.map(|share| format!("{share:.4}"));
        let approvers = self.approvers.iter().map(|of| {
            Json::from(
                Object::new()
                    .with("approver", of.approver.as_ref())
                    .with("verdicts", of.said)
                    .with("per_hour", format!("{:.4}", self.per_hour(of)))
                    .with("busiest_hour", of.busiest_hour),
            )
        });
        Object::new()
            .with("since", self.since.to_string())
            .with("until", self.until.to_string())
            .with("asked", self.asked.asked)
            .with("over", self.asked.over)
            .with("expired", self.asked.expired)
            .with("expired_share", text(self.expired_share()))
            .with("approvals", self.quick.approvals)
            .with("within_second", self.quick.within_second)
            .with("within_second_share", text(self.quick_share()))
            .with("median_ms_to_decide", self.median_ms)
            .with("approvers", approvers.collect::<Vec<_>>())
    }
}

impl Authority {
    /// Figures about the last `seconds`.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn fatigue(&self, seconds: i64) -> Result<Fatigue, Refusal> {
        let now = self.0.host.now();
        let since = now.plus_seconds(seconds.max(1).saturating_neg());
        // What happens in this very moment counts as well.
        let until = Timestamp::from_millis(now.millis().saturating_add(1));
        self.0.store.read(|view| {
            let mut approvers = Vec::new();
            for hours in view.verdicts_by_approver(since..until)? {
                approvers.push(ApproverHours {
                    approver: name_of(view, &hours.approver)?,
                    said: hours.said,
                    busiest_hour: hours.busiest_hour,
                });
            }
            Ok(Fatigue {
                since,
                until,
                asked: view.asked_and_expired(since..until, now)?,
                approvers,
                median_ms: view.median_time_to_decide(since..until)?,
                quick: view.quick_approvals(since..until)?,
            })
        })
    }
}
