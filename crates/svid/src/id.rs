//! SPIFFE IDs (SPIFFE-ID §2).

/// A SPIFFE ID has at most 2048 bytes (SPIFFE-ID §2.3).
const MAX_BYTES: usize = 2048;
/// A trust domain's name has at most 255 (SPIFFE-ID §2.1).
const MAX_DOMAIN_BYTES: usize = 255;

/// The id of a workload: a trust domain and a path below it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    text: String,
    /// Bytes of the scheme and the trust domain.
    domain_end: usize,
}

const SCHEME: &str = "spiffe://";

impl SpiffeId {
    /// Reads the id of a workload: scheme and trust domain in lower case, a path
    /// of plain segments, no query, fragment, port or user.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (domain, path) = text.strip_prefix(SCHEME)?.split_once('/')?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let holds = text.len() <= MAX_BYTES
            && is_trust_domain(domain)
            && path.split('/').all(|segment| {
                !segment.is_empty()
                    && segment != "."
                    && segment != ".."
                    && segment.bytes().all(plain)
            });
        holds.then(|| Self {
            text: text.to_owned(),
            domain_end: SCHEME.len().saturating_add(domain.len()),
        })
    }

    /// The trust domain's name.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        self.text.get(SCHEME.len()..self.domain_end).unwrap_or_default()
    }

    /// The whole id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl std::fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether this is a trust domain's name.
pub(crate) fn is_trust_domain(name: &str) -> bool {
    let plain =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    (1..=MAX_DOMAIN_BYTES).contains(&name.len()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_id_of_a_workload_is_one() {
        let id = SpiffeId::parse("spiffe://desk.example/agent/runner/01").unwrap();
        assert_eq!((id.trust_domain(), id.as_str().len()), ("desk.example", 37));
        for bad in [
            "spiffe://desk.example",
            "spiffe://desk.example/",
            "spiffe://desk.example/a//b",
            "spiffe://desk.example/a/",
            "spiffe://desk.example/a/../b",
            "spiffe://Desk.example/a",
            "SPIFFE://desk.example/a",
            "spiffe://desk.example:443/a",
            "spiffe://u@desk.example/a",
            "spiffe://desk.example/a?b",
            "spiffe://desk.example/a#b",
            "spiffe://desk.example/a%2fb",
            "spiffe:///a",
            "https://desk.example/a",
            "",
        ] {
            assert_eq!(SpiffeId::parse(bad), None, "{bad}");
        }
        let long = format!("spiffe://d/{}", "a".repeat(MAX_BYTES));
        assert_eq!(SpiffeId::parse(&long), None);
    }
}
