//! Exact figures: what is counted, without quotients. Quotients are for display and
//! for statistics, and are made where they are needed.

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Those of them that are so; never more than `of`.
    pub hits: u64,
    /// All. Zero: there is no rate, and it is not zero either.
    pub of: u64,
}

impl Rate {
    /// The quotient, for display; `None` without data.
    #[must_use]
    pub fn value(self) -> Option<f64> {
        (self.of > 0).then(|| float(self.hits.into()) / float(self.of.into()))
    }
}

/// Numbers by their count, sum and sum of squares: mean and variance without
/// the numbers themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// How many.
    pub n: u64,
    /// Their sum.
    pub sum: u128,
    /// The sum of their squares.
    pub squares: u128,
}

impl Sample {
    /// The mean, for display; `None` without data.
    #[must_use]
    pub fn mean(self) -> Option<f64> {
        (self.n > 0).then(|| float(self.sum) / float(self.n.into()))
    }

    /// The variance (with n − 1 degrees of freedom); `None` with fewer than two.
    #[must_use]
    pub fn variance(self) -> Option<f64> {
        if self.n < 2 {
            return None;
        }
        // n·Σx² − (Σx)² is exact as long as it fits, and never negative.
        let n = u128::from(self.n);
        let exact = n
            .checked_mul(self.squares)
            .zip(self.sum.checked_mul(self.sum))
            .map(|(a, b)| float(a.saturating_sub(b)));
        let scaled = exact.unwrap_or_else(|| {
            (float(n) * float(self.squares) - float(self.sum) * float(self.sum)).max(0.0)
        });
        Some(scaled / (float(n) * (float(n) - 1.0)))
    }
}

/// The nearest float.
const fn float(value: u128) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_data_there_is_no_figure() {
        assert_eq!(Rate::default().value(), None);
        assert_eq!(Rate { hits: 0, of: 4 }.value(), Some(0.0));
        assert_eq!(Sample::default().mean(), None);
        let one = Sample { n: 1, sum: 7, squares: 49 };
        assert_eq!((one.mean(), one.variance()), (Some(7.0), None));
        let three = Sample { n: 3, sum: 9, squares: 29 };
        assert_eq!((three.mean(), three.variance()), (Some(3.0), Some(1.0)));
    }
}
