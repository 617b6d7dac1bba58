//! What figures say: how sure they are, whether a change made them better, and whether
//! they meet a workflow's targets. `docs/metrics.md` defines the figures.

use std::collections::BTreeMap;

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::figures::{Rate, Sample};
use bailiwick_core::json::{Json, Object};

use crate::checklist::{Bound, Evaluation, Measure};

pub mod statistics;

use statistics::{
    Interval, MINIMUM, mean_interval, newcombe, power_n_means, power_n_rates, welch, wilson,
};

/// The confidence where nobody asks for another, percent.
pub const CONFIDENCE_PERCENT: u8 = 95;

/// The figures of a span by which a workflow is measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Ended runs.
    pub runs: u64,
    /// Completed tasks, of those with an ended run.
    pub success: Rate,
    /// Corrected or rejected runs, of those reviewed.
    pub correction: Rate,
    /// Runs with a call that needed a person, of those that ended.
    pub escalation: Rate,
    /// Denied calls, of those decided.
    pub blocked: Rate,
    /// Iterations of completed tasks.
    pub iterations: Sample,
    /// Cost of successful runs in millionths, by currency.
    pub cost: BTreeMap<String, Sample>,
}

/// A figure with what it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measured {
    /// So many of so many.
    Rate(Rate),
    /// A mean of whole numbers.
    Mean {
        /// The numbers.
        of: Sample,
        /// How many of them make one unit: a million where they are millionths.
        unit: u32,
    },
}

impl Measured {
    /// How many there are below the line.
    #[must_use]
    pub const fn size(self) -> u64 {
        match self {
            Self::Rate(rate) => rate.of,
            Self::Mean { of, .. } => of.n,
        }
    }

    /// The quotient in units, for display; `None` without data.
    #[must_use]
    pub fn value(self) -> Option<f64> {
        match self {
            Self::Rate(rate) => rate.value(),
            Self::Mean { of, unit } => Some(of.mean()? / f64::from(unit)),
        }
    }

    /// Where the true value lies, in units; `None` with too few.
    #[must_use]
    pub fn interval(self, confidence_percent: u8) -> Option<Interval> {
        match self {
            Self::Rate(rate) => wilson(rate, confidence_percent),
            Self::Mean { of, unit } => {
                Some(mean_interval(of, confidence_percent)?.divided(f64::from(unit)))
            }
        }
    }
}

impl Figures {
    /// The figure that a measure names. `None` for a cost in several currencies: there
    /// is no mean of these.
    #[must_use]
    pub fn measured(&self, measure: Measure) -> Option<Measured> {
        Some(match measure {
            Measure::TaskSuccessRate => Measured::Rate(self.success),
            Measure::HumanCorrectionRate => Measured::Rate(self.correction),
            Measure::EscalationRate => Measured::Rate(self.escalation),
            Measure::BlockedCallRate => Measured::Rate(self.blocked),
            Measure::IterationsPerTask => Measured::Mean { of: self.iterations, unit: 1 },
            Measure::CostPerSuccess => {
                let mut all = self.cost.values();
                let one = all.next().copied().unwrap_or_default();
                if all.next().is_some() {
                    return None;
                }
                Measured::Mean { of: one, unit: 1_000_000 }
            }
        })
    }

    /// The exact numbers. Sums of squares are texts: they may be larger than what JSON
    /// readers keep.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let rate = |rate: Rate| Object::new().with("hits", rate.hits).with("of", rate.of);
        let sample = |s: &Sample| {
            Object::new()
                .with("n", s.n)
                .with("sum", s.sum.to_string())
                .with("squares", s.squares.to_string())
        };
        let cost: Object =
            self.cost.iter().map(|(unit, s)| (unit.clone(), Json::from(sample(s)))).collect();
        Object::new()
            .with("v", 1u64)
            .with("runs", self.runs)
            .with(Measure::TaskSuccessRate.as_str(), rate(self.success))
            .with(Measure::HumanCorrectionRate.as_str(), rate(self.correction))
            .with(Measure::EscalationRate.as_str(), rate(self.escalation))
            .with(Measure::BlockedCallRate.as_str(), rate(self.blocked))
            .with(Measure::IterationsPerTask.as_str(), sample(&self.iterations))
            .with(Measure::CostPerSuccess.as_str(), cost)
    }

    /// SHA-256 of the canonical form of [`Figures::to_json`]: what people sign.
    #[must_use]
    pub fn digest(&self) -> Digest {
        sha256(Json::from(self.to_json()).canonical().as_bytes())
    }
}

/// Whether a target is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The whole interval lies within the bound.
    Met,
    /// The value itself does not.
    Missed,
    /// The value does, but not the whole interval: it may be luck.
    Unsure,
    /// Nothing stands below the line, or a mean of one.
    NoData,
    /// The cost is in several currencies.
    SeveralCurrencies,
}

impl Standing {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::Unsure => "unsure",
            Self::NoData => "no-data",
            Self::SeveralCurrencies => "several-currencies",
        }
    }
}

/// What became of one target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Which measure.
    pub measure: Measure,
    /// What it must reach.
    pub bound: Bound,
    /// The value, in units; for display.
    pub value: Option<f64>,
    /// Where the true value lies; for display.
    pub interval: Option<Interval>,
    /// Whether the target is met.
    pub standing: Standing,
}

/// Whether figures meet a workflow's targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// Ended runs that there are.
    pub runs: u64,
    /// Ended runs that there must be.
    pub minimum_runs: u64,
    /// Each target, by measure.
    pub targets: Vec<Target>,
    /// The digest of the figures.
    pub figures: Digest,
}

impl Evaluated {
    /// Enough runs, at least one target, and every target met.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.runs >= self.minimum_runs
            && !self.targets.is_empty()
            && self.targets.iter().all(|target| target.standing == Standing::Met)
    }
}

/// Whether figures meet the targets of an evaluation, with its confidence and from its
/// least number of runs on. A target is met if the whole interval lies within its bound.
#[must_use]
pub fn evaluate(evaluation: &Evaluation, figures: &Figures) -> Evaluated {
    let confidence = evaluation.confidence_percent;
    let target = |(measure, bound): (&Measure, &Bound)| {
        let measured = figures.measured(*measure);
        let value = measured.and_then(Measured::value);
        let interval = measured.and_then(|m| m.interval(confidence));
        let standing = match (measured, value, interval) {
            (None, ..) => Standing::SeveralCurrencies,
            (_, Some(value), _) if !within(*bound, value) => Standing::Missed,
            (_, Some(_), Some(i)) if within(*bound, i.low) && within(*bound, i.high) => {
                Standing::Met
            }
            (_, Some(_), Some(_)) => Standing::Unsure,
            _ => Standing::NoData,
        };
        Target { measure: *measure, bound: *bound, value, interval, standing }
    };
    Evaluated {
        runs: figures.runs,
        minimum_runs: evaluation.minimum_runs.into(),
        targets: evaluation.targets.iter().map(target).collect(),
        figures: figures.digest(),
    }
}

fn within(bound: Bound, value: f64) -> bool {
    match bound {
        Bound::AtLeast(least) => value * 1e6 >= statistics::float(least),
        Bound::AtMost(most) => value * 1e6 <= statistics::float(most),
    }
}

/// What a change made of a measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is better, with the confidence that was asked for.
    Better,
    /// It is worse.
    Worse,
    /// The figures do not say.
    CannotTell {
        /// About how many more are needed on the smaller side, if what was seen is
        /// what there is; `None` where no difference was seen or nothing is known.
        more: Option<u64>,
    },
}

impl Verdict {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::CannotTell { .. } => "cannot-tell",
        }
    }
}

/// A measure before and after a change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// Which.
    pub measure: Measure,
    /// Before; `None` for a cost in several currencies.
    pub before: Option<Measured>,
    /// After.
    pub after: Option<Measured>,
    /// After less before, in units.
    pub difference: Option<f64>,
    /// Where the true difference lies.
    pub interval: Option<Interval>,
    /// What it says.
    pub verdict: Verdict,
}

/// The six, before and after a change. Costs are compared where both sides have one
/// currency, the same.
#[must_use]
pub fn compare(before: &Figures, after: &Figures, confidence_percent: u8) -> Vec<Compared> {
    let alike = before.cost.keys().eq(after.cost.keys());
    let each = |measure: &Measure| {
        let of = |figures: &Figures| {
            figures.measured(*measure).filter(|_| *measure != Measure::CostPerSuccess || alike)
        };
        compare_one(*measure, of(before), of(after), confidence_percent)
    };
    Measure::ALL.iter().map(each).collect()
}

fn compare_one(
    measure: Measure,
    before: Option<Measured>,
    after: Option<Measured>,
    confidence: u8,
) -> Compared {
    let (interval, enough) = match (before, after) {
        (Some(Measured::Rate(b)), Some(Measured::Rate(a))) => {
            (newcombe(b, a, confidence), power_n_rates(b, a, confidence))
        }
        (Some(Measured::Mean { of: b, unit }), Some(Measured::Mean { of: a, .. })) => {
            let interval = welch(b, a, confidence).map(|w| w.interval.divided(f64::from(unit)));
            (interval, power_n_means(b, a, confidence))
        }
        _ => (None, None),
    };
    let values = before.and_then(Measured::value).zip(after.and_then(Measured::value));
    let size = before.map_or(0, Measured::size).min(after.map_or(0, Measured::size));
    let up = interval.filter(|i| size >= MINIMUM && (i.low > 0.0 || i.high < 0.0));
    let verdict = match up {
        Some(i) if (i.low > 0.0) == measure.more_is_better() => Verdict::Better,
        Some(_) => Verdict::Worse,
        None => {
            // What is seen in fewer than the minimum is no ground for a number below it.
            let needed = enough.map(|n| n.max(MINIMUM));
            let more = needed.map(|n| n.saturating_sub(size).max(1));
            Verdict::CannotTell { more }
        }
    };
    let difference = values.map(|(b, a)| a - b);
    Compared { measure, before, after, difference, interval, verdict }
}
