//! The figures as tables for people and as JSON.

use std::fmt;

use serde::Serialize;

use crate::load::Turn;
use crate::machine::Machine;
use crate::measure::{median, percentile, sorted};

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(super) figure: &'static str,
    pub(super) about: &'static str,
    pub(super) machine: Machine,
    /// Where the ledger lies.
    pub(super) file_system: String,
    pub(super) tables: Vec<Table>,
    /// What else is to be said of the run.
    pub(super) notes: Vec<String>,
}

/// Sides that ran in turns.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Table {
    pub(super) title: String,
    pub(super) sides: Vec<Side>,
}

/// One side: medians over the rounds, but for CPU time, which is that of all
/// rounds by their requests, and memory, which is that after the last round.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Side {
    pub(super) name: String,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) per_s: f64,
    /// CPU time of one request in the process that serves.
    pub(super) cpu_us: f64,
    /// Requests that one core can serve in a second.
    pub(super) per_core_s: f64,
    pub(super) rss_mib: f64,
}

/// One side's rounds while they are taken.
#[derive(Debug)]
pub(super) struct Rounds {
    name: String,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    per_s: Vec<f64>,
    requests: usize,
    pub(super) cpu_us: f64,
    pub(super) rss_mib: f64,
}

impl Rounds {
    pub(super) fn new(name: impl Into<String>) -> Self {
        let (p50_ms, p99_ms, per_s) = (Vec::new(), Vec::new(), Vec::new());
        let name = name.into();
        Self { name, p50_ms, p99_ms, per_s, requests: 0, cpu_us: 0.0, rss_mib: 0.0 }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    pub(super) fn add(&mut self, turn: &Turn) {
        let latencies = &turn.latencies_ms;
        self.p50_ms.push(percentile(latencies, 50));
        self.p99_ms.push(percentile(latencies, 99));
        self.per_s.push(latencies.len() as f64 / turn.seconds);
        self.requests += latencies.len();
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    pub(super) fn side(&self) -> Side {
        let middle = |values: &[f64]| median(&sorted(values.to_vec()));
        let cpu_us = self.cpu_us / self.requests as f64;
        Side {
            name: self.name.clone(),
            p50_ms: middle(&self.p50_ms),
            p99_ms: middle(&self.p99_ms),
            per_s: middle(&self.per_s),
            cpu_us,
            per_core_s: 1e6 / cpu_us,
            rss_mib: self.rss_mib,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.figure, self.about)?;
        write!(f, "{}; ledger on {}", self.machine, self.file_system)?;
        for table in &self.tables {
            write!(f, "\n\n{table}")?;
        }
        for (n, note) in self.notes.iter().enumerate() {
            write!(f, "{}{note}", if n == 0 { "\n\n" } else { "\n" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.sides.iter().map(|s| s.name.len()).max().unwrap_or(0);
        writeln!(f, "{}", self.title)?;
        write!(
            f,
            "  {:width$}  {:>8}  {:>8}  {:>7}  {:>7}  {:>10}  {:>7}",
            "", "p50 ms", "p99 ms", "per s", "CPU µs", "per core s", "RSS MiB"
        )?;
        for s in &self.sides {
            write!(
                f,
                "\n  {:width$}  {:>8.3}  {:>8.3}  {:>7.0}  {:>7.0}  {:>10.0}  {:>7.0}",
                s.name, s.p50_ms, s.p99_ms, s.per_s, s.cpu_us, s.per_core_s, s.rss_mib
            )?;
        }
        Ok(())
    }
}
