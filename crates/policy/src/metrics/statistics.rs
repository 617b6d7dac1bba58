//! Intervals: Wilson's for rates and Student's for means, Newcombe's and Welch's for
//! their differences. All of them two-sided.

use bailiwick_core::figures::{Rate, Sample};

/// How many each side of a comparison must have to say anything.
pub const MINIMUM: u64 = 10;

/// The chance of seeing a difference that is there, for [`power_n_rates`]: the 80 %
/// quantile of the normal distribution.
const POWER_Z: f64 = 0.841_621_233_572_914_3;

/// From where to where, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The least.
    pub low: f64,
    /// The most.
    pub high: f64,
}

impl Interval {
    /// In another unit.
    #[must_use]
    pub fn divided(self, unit: f64) -> Self {
        Self { low: self.low / unit, high: self.high / unit }
    }
}

/// The nearest float.
pub(super) const fn float(value: u64) -> f64 {
    value as f64
}

/// The half that lies outside on one side: 0.025 for 95 %.
fn tail(confidence_percent: u8) -> f64 {
    (1.0 - f64::from(confidence_percent.clamp(1, 99)) / 100.0) / 2.0
}

/// Wilson's score interval of a rate, without continuity correction (Wilson 1927;
/// method 3 of Newcombe, Statistics in Medicine 17 (1998) 857). `None` without data.
#[must_use]
pub fn wilson(rate: Rate, confidence_percent: u8) -> Option<Interval> {
    let p = rate.value()?;
    let n = float(rate.of);
    let z = -normal_quantile(tail(confidence_percent));
    let z2 = z * z;
    let centre = (2.0 * n).mul_add(p, z2);
    let spread = z * 4.0f64.mul_add(n * p * (1.0 - p), z2).sqrt();
    let whole = 2.0 * (n + z2);
    // At the ends the interval begins and ends there exactly.
    let low = if rate.hits == 0 { 0.0 } else { (centre - spread) / whole };
    let high = if rate.hits == rate.of { 1.0 } else { (centre + spread) / whole };
    Some(Interval { low, high })
}

/// Newcombe's hybrid score interval of `after` − `before` (method 10 of Newcombe,
/// Statistics in Medicine 17 (1998) 873). `None` without data on one side.
#[must_use]
pub fn newcombe(before: Rate, after: Rate, confidence_percent: u8) -> Option<Interval> {
    let (b, a) = (before.value()?, after.value()?);
    let (ib, ia) = (wilson(before, confidence_percent)?, wilson(after, confidence_percent)?);
    let low = (a - b) - (a - ia.low).hypot(ib.high - b);
    let high = (a - b) + (ia.high - a).hypot(b - ib.low);
    Some(Interval { low, high })
}

/// Student's interval of a mean. `None` with fewer than two.
#[must_use]
pub fn mean_interval(sample: Sample, confidence_percent: u8) -> Option<Interval> {
    let (mean, variance) = (sample.mean()?, sample.variance()?);
    let n = float(sample.n);
    let half = t_quantile(tail(confidence_percent), n - 1.0) * (variance / n).sqrt();
    Some(Interval { low: mean - half, high: mean + half })
}

/// Welch's comparison of two means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Welch {
    /// Where `after` − `before` lies.
    pub interval: Interval,
    /// Degrees of freedom, by Welch and Satterthwaite.
    pub degrees: f64,
    /// The statistic; infinite where nothing varies.
    pub t: f64,
}

/// Welch's interval of `after` − `before`. `None` with fewer than two on one side.
#[must_use]
pub fn welch(before: Sample, after: Sample, confidence_percent: u8) -> Option<Welch> {
    let difference = after.mean()? - before.mean()?;
    let (nb, na) = (float(before.n), float(after.n));
    let (vb, va) = (before.variance()? / nb, after.variance()? / na);
    let error = (vb + va).sqrt();
    let spread = vb * vb / (nb - 1.0) + va * va / (na - 1.0);
    // Where nothing varies on either side, the difference is what it is.
    let degrees = if spread > 0.0 { (vb + va) * (vb + va) / spread } else { nb + na - 2.0 };
    let half = t_quantile(tail(confidence_percent), degrees) * error;
    let interval = Interval { low: difference - half, high: difference + half };
    Some(Welch { interval, degrees, t: difference / error })
}

/// How many on each side show the difference that was seen, with a power of 80 %.
/// `None` without data or difference.
#[must_use]
pub fn power_n_rates(before: Rate, after: Rate, confidence_percent: u8) -> Option<u64> {
    let (b, a) = (before.value()?, after.value()?);
    power_n(a - b, a.mul_add(1.0 - a, b * (1.0 - b)), confidence_percent)
}

/// Likewise for means. With a single one on a side its variance is not known: `None`.
#[must_use]
pub fn power_n_means(before: Sample, after: Sample, confidence_percent: u8) -> Option<u64> {
    let difference = after.mean()? - before.mean()?;
    power_n(difference, before.variance()? + after.variance()?, confidence_percent)
}

fn power_n(difference: f64, variance: f64, confidence_percent: u8) -> Option<u64> {
    if difference == 0.0 {
        return None;
    }
    let z = POWER_Z - normal_quantile(tail(confidence_percent));
    let n = (z * z * variance / (difference * difference)).ceil();
    // Beyond this nobody waits for it.
    (n < 1e9).then_some(n as u64)
}

/// The quantile of the standard normal distribution for 0 < p < 1, to 7 digits
/// (Wichura's PPND7: AS 241, Applied Statistics 37 (1988) 477).
#[must_use]
pub fn normal_quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        let above =
            ((59.109_374_720 * r + 159.291_132_02) * r + 50.434_271_938) * r + 3.387_132_717_9;
        let below = ((67.187_563_600 * r + 78.757_757_664) * r + 17.895_169_469) * r + 1.0;
        return q * above / below;
    }
    let r = (-p.min(1.0 - p).ln()).sqrt();
    let value = if r <= 5.0 {
        let r = r - 1.6;
        let above =
            ((0.170_238_211_03 * r + 1.306_728_481_6) * r + 2.756_815_390_0) * r + 1.423_437_277_7;
        let below = (0.120_211_329_75 * r + 0.737_001_642_50) * r + 1.0;
        above / below
    } else {
        let r = r - 5.0;
        let above = ((0.017_337_203_997 * r + 0.428_682_943_37) * r + 3.081_226_386_0) * r
            + 6.657_905_115_0;
        let below = (0.012_258_202_635 * r + 0.241_978_942_25) * r + 1.0;
        above / below
    };
    if q < 0.0 { -value } else { value }
}

/// How far out the upper tail of Student's distribution is `tail`, for 0 < `tail` < 0.5:
/// the root of the tail's incomplete beta function, found by halving.
#[must_use]
pub fn t_quantile(tail: f64, degrees: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if beta(middle, degrees / 2.0, 0.5) < 2.0 * tail { low = middle } else { high = middle }
    }
    let x = f64::midpoint(low, high);
    (degrees * (1.0 - x) / x).sqrt()
}

/// The regularized incomplete beta function (DLMF 8.17), by its continued fraction
/// (8.17.22) and Lentz's method.
fn beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges fast on this side only.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta(1.0 - x, b, a);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    let tiny = 1e-300;
    let near = |value: f64| if value.abs() < tiny { tiny } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / near(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for m in 1..=500 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut step = 1.0;
        for term in [even, odd] {
            d = 1.0 / near(term.mul_add(d, 1.0));
            c = near(1.0 + term / c);
            step = c * d;
            fraction *= step;
        }
        if (step - 1.0).abs() < 1e-15 {
            break;
        }
    }
    front * fraction / a
}

/// The logarithm of the gamma function for positive numbers: Stirling's series
/// (DLMF 5.11.1) from 10 on, by the recurrence below.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut product) = (x, 1.0);
    while x < 10.0 {
        product *= x;
        x += 1.0;
    }
    let r = 1.0 / (x * x);
    let series = (((1.0 / 1_188.0 * -r + 1.0 / 1_680.0) * -r + 1.0 / 1_260.0) * -r + 1.0 / 360.0)
        * -r
        + 1.0 / 12.0;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series / x - product.ln()
}
