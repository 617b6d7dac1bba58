//! Whose roots are accepted.

use crate::crypto::{PublicKey, Thumbprint};

/// Issuers whose roots are accepted, with their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Anchors(Vec<(String, PublicKey)>);

/// A set of anchors that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// One key under two issuers: which of them signed would be ambiguous.
    #[error("one key is configured under two issuers; give each issuer its own key")]
    SharedKey,
}

impl Anchors {
    /// Takes (issuer, key) pairs.
    ///
    /// # Errors
    /// See [`AnchorError`].
    pub fn new(pairs: Vec<(String, PublicKey)>) -> Result<Self, AnchorError> {
        for (i, (issuer, key)) in pairs.iter().enumerate() {
            if pairs.iter().take(i).any(|(other, k)| k == key && other != issuer) {
                return Err(AnchorError::SharedKey);
            }
        }
        Ok(Self(pairs))
    }

    /// The keys to try: the one that `kid` names by thumbprint, or all.
    pub(super) fn candidates(
        &self,
        kid: Option<&str>,
    ) -> impl Iterator<Item = &(String, PublicKey)> {
        let named = kid.and_then(|kid| {
            let kid = Thumbprint::from_text(kid)?;
            self.0.iter().find(|(_, key)| key.thumbprint() == kid)
        });
        let all = if named.is_some() { &[] } else { self.0.as_slice() };
        named.into_iter().chain(all)
    }
}

/// RFC 3986 §3.1: a scheme and something behind it.
pub(super) fn is_uri(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            && !rest.is_empty()
            && !text.contains(|c: char| c.is_whitespace() || c.is_control())
    })
}
