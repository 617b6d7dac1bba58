//! Taking turns: every side of a comparison runs once in each round.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Failure;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    rounds: u32,
    slice: Duration,
}

impl Plan {
    pub(crate) fn new(rounds: u32, slice_us: u32) -> Self {
        Self { rounds, slice: Duration::from_micros(slice_us.into()) }
    }
}

/// One side: a name and the work, which reports whether the verdict was the
/// expected one.
pub(crate) struct Side<'a> {
    name: String,
    pieces: u32,
    work: Box<dyn FnMut() -> bool + 'a>,
}

impl<'a> Side<'a> {
    /// One run of `work` does one piece.
    pub(crate) fn new(name: impl Into<String>, work: impl FnMut() -> bool + 'a) -> Self {
        Self::of(name, 1, work)
    }

    /// One run of `work` does as many `pieces`; a timing is that of one piece.
    pub(crate) fn of(
        name: impl Into<String>,
        pieces: u32,
        work: impl FnMut() -> bool + 'a,
    ) -> Self {
        Self { name: name.into(), pieces, work: Box::new(work) }
    }
}

/// Microseconds for one piece of work.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Timing {
    pub(crate) name: String,
    pub(crate) min_us: f64,
    pub(crate) median_us: f64,
    pub(crate) max_us: f64,
    /// Pieces of work in a second, by the median.
    pub(crate) per_s: f64,
    /// Median, over the rounds, of this side's time by that of the side that
    /// the comparison names.
    pub(crate) ratio: f64,
}

/// Measures all sides in turns. Ratios are taken within each round, against
/// the side called `against`, and their median is reported: what slows a
/// whole round down leaves them alone.
///
/// # Errors
/// When a side does not give its expected verdict.
pub(crate) fn turns(
    plan: &Plan,
    sides: &mut [Side<'_>],
    against: &str,
) -> Result<Vec<Timing>, Failure> {
    let mut times: Vec<u32> = Vec::with_capacity(sides.len());
    for side in sides.iter_mut() {
        times.push(calibrate(side, plan.slice)?);
    }
    let mut taken = vec![Vec::new(); sides.len()];
    for _ in 0..plan.rounds {
        for ((side, &times), taken) in sides.iter_mut().zip(&times).zip(&mut taken) {
            taken.push(slice(side, times)? / f64::from(side.pieces));
        }
    }
    let base = sides
        .iter()
        .position(|side| side.name == against)
        .and_then(|at| taken.get(at).cloned())
        .ok_or("no side to compare with")?;
    Ok(sides
        .iter()
        .zip(taken)
        .map(|(side, taken)| {
            let ratios = taken.iter().zip(&base).map(|(t, b)| t / b).collect();
            let sorted = sorted(taken);
            let median_us = median(&sorted);
            Timing {
                name: side.name.clone(),
                min_us: sorted.first().copied().unwrap_or_default(),
                median_us,
                max_us: sorted.last().copied().unwrap_or_default(),
                per_s: 1e6 / median_us,
                ratio: median(&self::sorted(ratios)),
            }
        })
        .collect())
}

/// How often a side runs in one slice.
fn calibrate(side: &mut Side<'_>, length: Duration) -> Result<u32, Failure> {
    let wanted = length.as_secs_f64() * 1e6;
    // The first runs warm caches and lazily made tables up.
    slice(side, 20)?;
    let each = slice(side, 20)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small positive count"
    )]
    Ok((wanted / each).ceil().clamp(1.0, 1e6) as u32)
}

/// Microseconds for one run, over `times` runs.
fn slice(side: &mut Side<'_>, times: u32) -> Result<f64, Failure> {
    let start = Instant::now();
    for _ in 0..times {
        if !(side.work)() {
            return Err(format!("{}: not the expected verdict", side.name).into());
        }
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(times))
}

pub(crate) fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

pub(crate) fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle).copied().unwrap_or_default();
    if sorted.len() % 2 == 1 {
        return upper;
    }
    let lower = middle.checked_sub(1).and_then(|m| sorted.get(m)).copied().unwrap_or(upper);
    f64::midpoint(lower, upper)
}

/// The smallest value that at least `percent` of all do not exceed.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).or(sorted.last()).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        for (percent, value) in [(0, 1.0), (1, 1.0), (50, 50.0), (99, 99.0), (100, 100.0)] {
            assert_eq!(percentile(&hundred, percent).to_bits(), f64::to_bits(value), "{percent}");
        }
        assert_eq!(percentile(&[1.0, 2.0, 7.0], 50).to_bits(), 2.0_f64.to_bits());
        assert_eq!(percentile(&[1.0, 2.0, 7.0], 99).to_bits(), 7.0_f64.to_bits());
        assert_eq!(percentile(&[], 99).to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn the_median_of_an_even_number_of_values_lies_between_the_middle_two() {
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]).to_bits(), 3.0_f64.to_bits());
        assert_eq!(median(&[1.0, 2.0, 4.0]).to_bits(), 2.0_f64.to_bits());
    }

    #[test]
    fn a_side_with_another_verdict_fails_the_figure() {
        let plan = Plan::new(1, 1);
        let mut sides = [Side::new("liar", || false)];
        assert!(turns(&plan, &mut sides, "liar").is_err());
    }
}
