//! Forms as browsers send them.

use std::collections::BTreeSet;

/// Rows of one part of a list: as many as are read, and as fit into a page's weight.
pub(super) const ROWS: usize = 100;

/// A part of a list, and where the next one begins.
pub(super) struct Part<T> {
    pub(super) rows: Vec<T>,
    pub(super) next: Option<usize>,
}

impl<T> Part<T> {
    /// The part that an address's `from` names; a place that is none is the
    /// beginning.
    pub(super) fn of(all: Vec<T>, query: &str) -> Self {
        let from = Form::parse(query.as_bytes()).number("from").ok().flatten().unwrap_or(0usize);
        let end = from.saturating_add(ROWS);
        let next = (all.len() > end).then_some(end);
        Self { rows: all.into_iter().skip(from).take(ROWS).collect(), next }
    }
}

/// The fields of a form, in order.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn parse(body: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(body).into_owned().collect())
    }

    /// The first value of a field; empty when there is none.
    pub(super) fn first(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// Every value of a field.
    pub(super) fn all(&self, name: &str) -> BTreeSet<String> {
        self.0.iter().filter(|(n, _)| n == name).map(|(_, value)| value.clone()).collect()
    }

    /// A number; `None` when the field is empty, an error when it is none.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, ()> {
        match self.first(name).trim() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| ()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_list_are_the_whole_list() {
        let all: Vec<usize> = (0..250).collect();
        let (mut seen, mut query) = (Vec::new(), String::new());
        loop {
            let part = Part::of(all.clone(), &query);
            assert!(part.rows.len() <= ROWS);
            seen.extend(part.rows);
            match part.next {
                Some(next) => query = format!("from={next}"),
                None => break,
            }
        }
        assert_eq!(seen, all);
        assert_eq!(Part::of(all.clone(), "from=-1").rows.first(), Some(&0));
        assert!(Part::of(all, "from=99999999999").rows.is_empty());
    }
}
