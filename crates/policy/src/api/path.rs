//! Paths: templates of a description, and how requests are held against them.

use bailiwick_core::json::Object;

use super::text::{decoded, encoded};
use super::value::Kind;
use super::{MAX_TARGET_BYTES, Undescribed};

/// Punctuation that may stand in a path as it is (RFC 3986 §3.3). `;` may not:
/// some servers cut a segment there.
const PUNCTUATION: &[u8] = b"!$&'()*+,=:@";

/// A path with parameters in place of whole segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// Decoded. Empty only as the last one: a slash at the end.
    Literal(String),
    Parameter(String),
}

impl Template {
    /// Reads `/orders/{id}/notes`. `None`, if a parameter is only a part of a
    /// segment or stands there twice, or a literal could not be requested.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('/').filter(|_| text.len() <= MAX_TARGET_BYTES)?;
        let parts: Vec<&str> = rest.split('/').collect();
        let mut segments = Vec::with_capacity(parts.len());
        for (at, part) in parts.iter().enumerate() {
            let last = at + 1 == parts.len();
            let segment = match part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
                Some(name) if !name.is_empty() && !name.contains(['{', '}']) => {
                    let segment = Segment::Parameter(name.to_owned());
                    if segments.contains(&segment) {
                        return None;
                    }
                    segment
                }
                Some(_) => return None,
                None if part.is_empty() && last => Segment::Literal(String::new()),
                None => Segment::Literal(decoded(part, PUNCTUATION).filter(|t| is_segment(t))?),
            };
            segments.push(segment);
        }
        Some(Self { text: text.to_owned(), segments })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its parameters, in order.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Parameter(name) => Some(name.as_str()),
            Segment::Literal(_) => None,
        })
    }

    /// Whether a server that reads paths freely could take the decoded `path`
    /// for one of this template: letter case counts for nothing.
    pub(super) fn may_take(&self, path: &[String]) -> bool {
        self.segments.len() == path.len()
            && self.segments.iter().zip(path).all(|(segment, part)| match segment {
                Segment::Literal(text) => text.to_lowercase() == part.to_lowercase(),
                Segment::Parameter(_) => true,
            })
    }

    /// Whether the decoded `path` is one of this template.
    pub(super) fn takes(&self, path: &[String]) -> bool {
        self.segments.len() == path.len()
            && self.segments.iter().zip(path).all(|(segment, part)| match segment {
                Segment::Literal(text) => text == part,
                Segment::Parameter(_) => !part.is_empty(),
            })
    }

    /// Whether a path of this template could also be one of `other`, and which
    /// of the two a server means is its own affair: `other` is not more
    /// general wherever the two differ.
    pub(super) fn yields_to(&self, other: &Self) -> bool {
        let mut all_more_literal = true;
        let mut differ = false;
        if self.segments.len() != other.segments.len() {
            return false;
        }
        for pair in self.segments.iter().zip(&other.segments) {
            match pair {
                (Segment::Literal(a), Segment::Literal(b)) => {
                    if a.to_lowercase() != b.to_lowercase() {
                        return false;
                    }
                    // Two spellings of one path.
                    all_more_literal &= a == b;
                }
                (Segment::Literal(_), Segment::Parameter(_)) => differ = true,
                (Segment::Parameter(_), Segment::Literal(_)) => all_more_literal = false,
                (Segment::Parameter(_), Segment::Parameter(_)) => {}
            }
        }
        !(differ && all_more_literal)
    }

    /// The texts of the parameters in a decoded path.
    pub(super) fn texts<'a>(
        &'a self,
        path: &'a [String],
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.segments.iter().zip(path).filter_map(|(segment, part)| match segment {
            Segment::Parameter(name) => Some((name.as_str(), part.as_str())),
            Segment::Literal(_) => None,
        })
    }

    /// The path for these arguments, and its decoded segments.
    pub(super) fn filled(
        &self,
        arguments: &Object,
        kind: impl Fn(&str) -> Option<Kind>,
    ) -> Result<(String, Vec<String>), Undescribed> {
        let mut path = String::new();
        let mut decoded = Vec::with_capacity(self.segments.len());
        for segment in &self.segments {
            let text = match segment {
                Segment::Literal(text) => text.clone(),
                Segment::Parameter(name) => {
                    let missing = || Undescribed::Missing { name: name.clone() };
                    let value = arguments.member(name).ok_or_else(missing)?;
                    let text = kind(name).and_then(|kind| kind.spelled(value));
                    text.filter(|text| is_segment(text))
                        .ok_or_else(|| Undescribed::Value { name: name.clone() })?
                }
            };
            path.push('/');
            encoded(&text, &mut path);
            decoded.push(text);
        }
        Ok((path, decoded))
    }
}

/// The decoded segments of a path; an empty one only at the end.
pub(super) fn segments(path: &str) -> Result<Vec<String>, Undescribed> {
    let spelling = || Undescribed::PathSpelling;
    let rest = path.strip_prefix('/').filter(|_| path.len() <= MAX_TARGET_BYTES);
    let parts: Vec<&str> = rest.ok_or_else(spelling)?.split('/').collect();
    let last = parts.len().saturating_sub(1);
    let read = |(at, part): (usize, &&str)| {
        if part.is_empty() && at == last {
            return Ok(String::new());
        }
        decoded(part, PUNCTUATION).filter(|text| is_segment(text)).ok_or_else(spelling)
    };
    parts.iter().enumerate().map(read).collect()
}

/// SECURITY: a segment that a server could take for more or fewer than one
/// (`/`, `\`, `..`), for something encoded twice, or for a shorter one (`;`).
fn is_segment(text: &str) -> bool {
    let twice = text
        .as_bytes()
        .windows(3)
        .any(|w| matches!(w, [b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()));
    !text.is_empty() && text != "." && text != ".." && !text.contains(['/', '\\', ';']) && !twice
}
