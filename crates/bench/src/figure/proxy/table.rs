//! The figure as a table for people and as JSON.

use std::fmt;

use serde::Serialize;

use crate::Failure;
use crate::load::Turn;
use crate::machine::Machine;
use crate::measure::{median, percentile, sorted};

/// The figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) figure: &'static str,
    pub(crate) about: &'static str,
    pub(crate) machine: Machine,
    /// Where the ledger lies.
    pub(crate) file_system: String,
    pub(crate) rounds: u32,
    pub(crate) calls: u32,
    /// From the start of the gateway's process until it says that it serves.
    pub(crate) start_ms: f64,
    /// Its memory before the first call.
    pub(crate) rest_mib: f64,
    pub(crate) loads: Vec<Load>,
}

/// All sides at one concurrency.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Load {
    concurrency: usize,
    sides: Vec<Served>,
}

/// One side: medians over the rounds, but for CPU time, which is that of all
/// rounds by their calls, and memory, which is that after the last round.
#[derive(Clone, Debug, Serialize)]
struct Served {
    name: &'static str,
    p50_ms: f64,
    p99_ms: f64,
    per_s: f64,
    cpu_us: f64,
    rss_mib: f64,
    /// Median, over the rounds, of this side's p50 by that of the direct call.
    p50_to_direct: f64,
    /// The same by that of the bare reverse proxy.
    p50_to_bare: f64,
}

/// One side's rounds while they are taken.
#[derive(Debug)]
pub(crate) struct Rounds {
    name: &'static str,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    per_s: Vec<f64>,
    calls: usize,
    pub(crate) cpu_us: f64,
    pub(crate) rss_mib: f64,
}

impl Rounds {
    pub(crate) fn new(name: &'static str) -> Self {
        let (p50_ms, p99_ms, per_s) = (Vec::new(), Vec::new(), Vec::new());
        Self { name, p50_ms, p99_ms, per_s, calls: 0, cpu_us: 0.0, rss_mib: 0.0 }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    pub(crate) fn add(&mut self, turn: &Turn) {
        let latencies = &turn.latencies_ms;
        self.p50_ms.push(percentile(latencies, 50));
        self.p99_ms.push(percentile(latencies, 99));
        self.per_s.push(latencies.len() as f64 / turn.seconds);
        self.calls += latencies.len();
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    fn served(&self, direct: &Self, bare: &Self) -> Served {
        let middle = |values: &[f64]| median(&sorted(values.to_vec()));
        let to = |other: &Self| {
            let ratios = self.p50_ms.iter().zip(&other.p50_ms).map(|(a, b)| a / b);
            median(&sorted(ratios.collect()))
        };
        Served {
            name: self.name,
            p50_ms: middle(&self.p50_ms),
            p99_ms: middle(&self.p99_ms),
            per_s: middle(&self.per_s),
            cpu_us: self.cpu_us / self.calls as f64,
            rss_mib: self.rss_mib,
            p50_to_direct: to(direct),
            p50_to_bare: to(bare),
        }
    }
}

impl Load {
    /// The first side is the direct call, the second the bare reverse proxy.
    pub(crate) fn of(concurrency: usize, rounds: &[Rounds]) -> Result<Self, Failure> {
        let [direct, bare, ..] = rounds else { return Err("no sides to compare with".into()) };
        Ok(Self { concurrency, sides: rounds.iter().map(|r| r.served(direct, bare)).collect() })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.figure, self.about)?;
        write!(
            f,
            "{}; ledger on {}; medians of {} rounds of {} calls",
            self.machine, self.file_system, self.rounds, self.calls
        )?;
        for load in &self.loads {
            write!(f, "\n\n{load}")?;
        }
        write!(
            f,
            "\n\nbailiwick serves {:.0} ms after it is started, with {:.0} MiB at rest",
            self.start_ms, self.rest_mib
        )
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.sides.iter().map(|s| s.name.len()).max().unwrap_or(0);
        writeln!(f, "{} at a time", self.concurrency)?;
        write!(
            f,
            "  {:width$}  {:>7}  {:>7}  {:>7}  {:>8}  {:>7}  {:>13}  {:>11}",
            "", "p50 ms", "p99 ms", "per s", "CPU µs", "RSS MiB", "p50 to direct", "p50 to bare"
        )?;
        for s in &self.sides {
            write!(
                f,
                "\n  {:width$}  {:>7.3}  {:>7.3}  {:>7.0}  {:>8.0}  {:>7.0}  {:>13.2}  {:>11.2}",
                s.name,
                s.p50_ms,
                s.p99_ms,
                s.per_s,
                s.cpu_us,
                s.rss_mib,
                s.p50_to_direct,
                s.p50_to_bare
            )?;
        }
        Ok(())
    }
}
