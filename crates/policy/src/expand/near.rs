//! Names that look alike, for remedies.

/// The candidates that look most like `given`, nearest first, at most three.
#[must_use]
pub fn nearest<'c>(given: &str, candidates: impl Iterator<Item = &'c str>) -> Vec<&'c str> {
    let mut ranked: Vec<(usize, &str)> = candidates
        .filter_map(|candidate| {
            let head = |text: &str| text.split(':').next().map(str::to_owned);
            // `ticket:8821x` is meant for `ticket:{id}`, whatever the distance.
            if given.contains(':') && candidate.contains('{') && head(given) == head(candidate) {
                return Some((0, candidate));
            }
            let allowed = candidate.chars().count().min(given.chars().count()) / 3 + 1;
            let distance = distance(given, candidate, allowed)?;
            Some((distance, candidate))
        })
        .collect();
    ranked.sort();
    ranked.into_iter().take(3).map(|(_, candidate)| candidate).collect()
}

/// The Levenshtein distance, if it is at most `max`.
fn distance(a: &str, b: &str, max: usize) -> Option<usize> {
    const LONGEST: usize = 256;
    let b: Vec<char> = b.chars().take(LONGEST).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(LONGEST).enumerate() {
        let mut previous = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (cb, above) in b.iter().zip(row.iter().skip(1)) {
            let substituted = previous + usize::from(ca != *cb);
            left = substituted.min(left + 1).min(above + 1);
            previous = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().filter(|d| *d <= max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_its_name() {
        let names = ["orders:read", "ticket:{id}", "tickets:note"];
        assert_eq!(nearest("order:read", names.into_iter()), ["orders:read"]);
        assert_eq!(nearest("ticket:x!", names.into_iter()), ["ticket:{id}"]);
        assert_eq!(nearest("something:else", names.into_iter()), Vec::<&str>::new());
        assert_eq!(nearest("", names.into_iter()), Vec::<&str>::new());
    }

    #[test]
    fn the_distance_counts_edits() {
        for (a, b, d) in [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("ab", "ba", 2)] {
            assert_eq!(distance(a, b, 9), Some(d), "{a} {b}");
            assert_eq!(distance(b, a, 9), Some(d), "{b} {a}");
        }
        assert_eq!(distance("kitten", "sitting", 2), None);
    }
}
