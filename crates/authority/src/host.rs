//! Time and randomness, handed in.

use bailiwick_core::ids::Alias;
use bailiwick_core::time::Timestamp;

use crate::refusal::Refusal;

/// What the rules need of the machine; the composition root implements it.
pub trait Host: Send + Sync {
    /// The time, UTC.
    fn now(&self) -> Timestamp;
    /// Fills `out` with random bytes; `false` when the source gave nothing.
    fn fill(&self, out: &mut [u8]) -> bool;
}

/// One moment of a host: every use sees the same time.
#[derive(Clone, Copy)]
pub struct Moment<'h> {
    host: &'h dyn Host,
    now: Timestamp,
}

impl<'h> Moment<'h> {
    /// The host's present moment.
    #[must_use]
    pub fn of(host: &'h dyn Host) -> Self {
        Self { host, now: host.now() }
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Fresh random bytes.
    ///
    /// # Errors
    /// [`Refusal::NoEntropy`].
    pub fn random<const N: usize>(&self) -> Result<[u8; N], Refusal> {
        let mut out = [0; N];
        if self.host.fill(&mut out) { Ok(out) } else { Err(Refusal::NoEntropy) }
    }

    /// A random alias (UUIDv4, RFC 9562 §5.4): unlike the other ids it gives
    /// nothing away, not even a time.
    ///
    /// # Errors
    /// [`Refusal::NoEntropy`].
    pub fn alias(&self) -> Result<Alias, Refusal> {
        let mut bytes = self.random::<16>()?;
        let [.., version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
        *version = (*version & 0x0f) | 0x40;
        *variant = (*variant & 0x3f) | 0x80;
        let mut text = String::with_capacity(36);
        for (i, byte) in bytes.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push_str(&format!("{byte:02x}"));
        }
        // A text of this form always reads.
        Alias::parse(&text).map_err(|_| Refusal::NoEntropy)
    }
}

impl std::fmt::Debug for Moment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Moment({})", self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ones;
    impl Host for Ones {
        fn now(&self) -> Timestamp {
            Timestamp::from_seconds(1)
        }
        fn fill(&self, out: &mut [u8]) -> bool {
            out.fill(0xff);
            true
        }
    }

    #[test]
    fn an_alias_is_a_random_uuid_of_version_4() {
        let alias = Moment::of(&Ones).alias().unwrap();
        assert_eq!(alias.as_str(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn without_random_bytes_nothing_is_made() {
        struct Dry;
        impl Host for Dry {
            fn now(&self) -> Timestamp {
                Timestamp::from_seconds(1)
            }
            fn fill(&self, _: &mut [u8]) -> bool {
                false
            }
        }
        assert_eq!(Moment::of(&Dry).alias().unwrap_err().code(), "no-entropy");
    }
}
