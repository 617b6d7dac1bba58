//! A figure as a table for people and as JSON.

use std::fmt;

use serde::Serialize;

use crate::machine::Machine;
use crate::measure::Timing;

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) figure: &'static str,
    /// What is compared, in a sentence or two.
    pub(crate) about: &'static str,
    pub(crate) machine: Machine,
    pub(crate) comparisons: Vec<Comparison>,
}

/// One table: sides that ran in turns.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Comparison {
    pub(crate) title: String,
    /// The side that ratios refer to.
    pub(crate) against: &'static str,
    pub(crate) timings: Vec<Timing>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.figure, self.about)?;
        write!(f, "{}", self.machine)?;
        for comparison in &self.comparisons {
            write!(f, "\n\n{comparison}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.timings.iter().map(|t| t.name.len()).max().unwrap_or(0).max(4);
        writeln!(f, "{} (ratio to: {})", self.title, self.against)?;
        write!(
            f,
            "  {:width$}  {:>9}  {:>9}  {:>9}  {:>9}  {:>6}",
            "", "min µs", "median µs", "max µs", "per s", "ratio"
        )?;
        for t in &self.timings {
            write!(
                f,
                "\n  {:width$}  {:>9.2}  {:>9.2}  {:>9.2}  {:>9.0}  {:>6.3}",
                t.name, t.min_us, t.median_us, t.max_us, t.per_s, t.ratio
            )?;
        }
        Ok(())
    }
}
