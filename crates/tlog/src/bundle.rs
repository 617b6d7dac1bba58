//! Entry bundles: entries with two-byte lengths (tlog-tiles, "Log entries").

use thiserror::Error;

use crate::tile::TILE_WIDTH;

/// The largest entry we write, in bytes. The format allows 65535; the distance leaves room for a
/// maker's signature around the largest payload.
pub const MAX_ENTRY_BYTES: usize = 60 * 1024;

/// Writes entries as a bundle.
///
/// # Errors
/// [`EntryError::TooLarge`] for an entry of more than [`MAX_ENTRY_BYTES`], and
/// [`EntryError::Count`] for more than 256 entries.
pub fn encode_bundle<E: AsRef<[u8]>>(entries: &[E]) -> Result<Vec<u8>, EntryError> {
    if entries.len() > usize::from(TILE_WIDTH) {
        return Err(EntryError::Count { found: entries.len(), expected: usize::from(TILE_WIDTH) });
    }
    let mut bytes = Vec::new();
    for entry in entries {
        push_entry(&mut bytes, entry.as_ref())?;
    }
    Ok(bytes)
}

pub(crate) fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), EntryError> {
    let length = u16::try_from(entry.len())
        .ok()
        .filter(|_| entry.len() <= MAX_ENTRY_BYTES)
        .ok_or(EntryError::TooLarge { found: entry.len() })?;
    bundle.extend(length.to_be_bytes());
    bundle.extend(entry);
    Ok(())
}

/// Reads a bundle of exactly `width` entries with nothing after them.
///
/// # Errors
/// [`EntryError::Truncated`] when the bytes end early and [`EntryError::Trailing`] when something
/// follows the last entry.
pub fn decode_bundle(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, EntryError> {
    let (entries, rest) = decode_prefix(bytes, width)?;
    if rest.is_empty() { Ok(entries) } else { Err(EntryError::Trailing { found: rest.len() }) }
}

/// Reads the first `width` entries and gives back what follows them.
pub(crate) fn decode_prefix(bytes: &[u8], width: u16) -> Result<(Vec<&[u8]>, &[u8]), EntryError> {
    let mut entries = Vec::with_capacity(usize::from(width));
    let mut rest = bytes;
    for index in 0..width {
        let truncated = EntryError::Truncated { index };
        let (length, after) = rest.split_first_chunk::<2>().ok_or(truncated.clone())?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or(truncated)?;
        entries.push(entry);
        rest = after;
    }
    Ok((entries, rest))
}

/// An entry cannot be written, or a bundle cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EntryError {
    /// More entries than asked for or than a bundle holds.
    #[error("found {found} entries, expected at most {expected}")]
    Count {
        /// How many there are.
        found: usize,
        /// How many there may be.
        expected: usize,
    },
    /// The log would grow beyond 2^63 - 1 entries.
    #[error("the log cannot hold more than 2^63 - 1 entries")]
    Full,
    /// An entry is too long to be written.
    #[error("the entry has {found} bytes, expected at most {MAX_ENTRY_BYTES}")]
    TooLarge {
        /// Its length in bytes.
        found: usize,
    },
    /// Bytes follow the last entry.
    #[error("{found} bytes follow the last entry of the bundle")]
    Trailing {
        /// How many bytes.
        found: usize,
    },
    /// The bundle ends within an entry.
    #[error("the bundle ends within its entry {index}")]
    Truncated {
        /// Which entry of the bundle, from 0.
        index: u16,
    },
}

impl EntryError {
    /// A stable kebab-case code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Count { .. } => "tlog-bundle-count",
            Self::Full => "tlog-full",
            Self::TooLarge { .. } => "tlog-entry-too-large",
            Self::Trailing { .. } => "tlog-bundle-trailing",
            Self::Truncated { .. } => "tlog-bundle-truncated",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Count { .. } => "write at most 256 entries to one bundle",
            Self::Full => "start a new log with a new origin",
            Self::TooLarge { .. } => "commit to large values by digest instead of recording them",
            Self::Trailing { .. } | Self::Truncated { .. } => {
                "restore the ledger folder from a copy that verifies"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_lengths_and_entries() {
        let bytes = encode_bundle(&[&b"ab"[..], b"", b"c"]).unwrap();
        assert_eq!(bytes, b"\x00\x02ab\x00\x00\x00\x01c");
        assert_eq!(decode_bundle(&bytes, 3).unwrap(), [&b"ab"[..], b"", b"c"]);
    }

    #[test]
    fn a_bundle_of_another_width_is_refused() {
        let bytes = encode_bundle(&[b"ab", b"cd"]).unwrap();
        assert_eq!(decode_bundle(&bytes, 1), Err(EntryError::Trailing { found: 4 }));
        assert_eq!(decode_bundle(&bytes, 3), Err(EntryError::Truncated { index: 2 }));
        for cut in 0..bytes.len() {
            assert_eq!(
                decode_bundle(&bytes[..cut], 2).unwrap_err().code(),
                "tlog-bundle-truncated"
            );
        }
    }

    #[test]
    fn entries_are_limited_to_60_kib_and_256_a_bundle() {
        let largest = vec![7; MAX_ENTRY_BYTES];
        let bytes = encode_bundle(&[&largest]).unwrap();
        assert_eq!(decode_bundle(&bytes, 1).unwrap(), [&largest[..]]);
        let error = encode_bundle(&[vec![7; MAX_ENTRY_BYTES + 1]]).unwrap_err();
        assert_eq!(error, EntryError::TooLarge { found: MAX_ENTRY_BYTES + 1 });
        assert_eq!(error.code(), "tlog-entry-too-large");
        assert_eq!(encode_bundle(&[b""; 257]).unwrap_err().code(), "tlog-bundle-count");
    }
}
