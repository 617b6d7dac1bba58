//! Token Status List (draft-ietf-oauth-status-list): whether a root was taken
//! back, told to third parties that cannot follow our revocations.
//!
//! Lists of every size are read, one bit a token is written. A list is stale
//! by its own `exp` and `ttl`, whatever a cache says.

use std::io::{Read as _, Write as _};

use bailiwick_core::aat::jws::{Compact, sign};
use bailiwick_core::crypto::{PublicKey, Signer, base64url, from_base64url};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

/// The `typ` of a list.
pub const TYPE: &str = "statuslist+jwt";
/// Its media type.
pub const MEDIA_TYPE: &str = "application/statuslist+jwt";

/// Places in one list of ours: of one bit each, it has 128 KiB.
pub const PLACES: u32 = 1 << 20;

/// Bytes of a decompressed list at most: 2^23 tokens of one bit.
pub const MAX_BYTES: usize = 1 << 20;
/// Bytes of a list's token at most: what does not compress, in base64url twice.
const MAX_TOKEN_BYTES: usize = 2 << 20;

/// How many bits a status has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// Valid or not.
    One,
    /// Also suspended, and one of the application's own.
    Two,
    /// Sixteen statuses.
    Four,
    /// 256 statuses.
    Eight,
}

impl Bits {
    /// The number.
    #[must_use]
    pub const fn count(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
            Self::Eight => 8,
        }
    }

    /// Reads the number.
    #[must_use]
    pub const fn from_count(count: i64) -> Option<Self> {
        match count {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            4 => Some(Self::Four),
            8 => Some(Self::Eight),
            _ => None,
        }
    }

    const fn per_byte(self) -> usize {
        8 / self.count() as usize
    }
}

/// What a status says (draft §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 0.
    Valid,
    /// 1: for good.
    Invalid,
    /// 2: for now.
    Suspended,
    /// Any other: of the application's own, or reserved. Not valid.
    Other(u8),
}

/// Why a list or a status in it is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatusListError {
    /// Not a signed list of this form.
    #[error("the status list is malformed: `{member}`")]
    Form {
        /// The member.
        member: &'static str,
    },
    /// The signature does not hold.
    #[error("the status list's signature does not hold")]
    Signature,
    /// It is another list.
    #[error("the status list's `sub` is another URI than the one that it was fetched from")]
    OtherList,
    /// It was made in the future, is over, or was kept too long.
    #[error("the status list is stale")]
    Stale,
    /// It does not decompress, or to too much.
    #[error("the status list's bytes do not decompress within bounds")]
    Compression,
    /// The index is not in it.
    #[error("the index {index} is beyond the status list")]
    OutOfRange {
        /// Which.
        index: u64,
    },
}

impl StatusListError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Form { .. } => "status-list-malformed",
            Self::Signature => "status-list-signature-invalid",
            Self::OtherList => "status-list-other",
            Self::Stale => "status-list-stale",
            Self::Compression => "status-list-compression",
            Self::OutOfRange { .. } => "status-list-index",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Stale => "fetch the list again",
            Self::OutOfRange { .. } => "take the token for invalid",
            _ => "ask who publishes the list",
        }
    }
}

/// The statuses of many tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusList {
    bits: Bits,
    bytes: Vec<u8>,
}

impl StatusList {
    /// A list of one bit for each of `tokens` tokens, all valid.
    #[must_use]
    pub fn valid(tokens: usize) -> Self {
        Self { bits: Bits::One, bytes: vec![0; tokens.div_ceil(8).min(MAX_BYTES)] }
    }

    /// How many statuses it holds.
    #[must_use]
    pub fn len(&self) -> u64 {
        (self.bytes.len() as u64).saturating_mul(self.bits.per_byte() as u64)
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Says that the token at `index` is invalid, in a list of one bit.
    ///
    /// # Errors
    /// [`StatusListError::OutOfRange`].
    pub fn invalidate(&mut self, index: u64) -> Result<(), StatusListError> {
        let out = StatusListError::OutOfRange { index };
        let at = usize::try_from(index / 8).map_err(|_| out.clone())?;
        let byte = self.bytes.get_mut(at).filter(|_| self.bits == Bits::One).ok_or(out)?;
        *byte |= 1 << (index % 8);
        Ok(())
    }

    /// The status at `index` (draft §4.1: least significant bits first).
    ///
    /// # Errors
    /// [`StatusListError::OutOfRange`]: the token is to be rejected (§8.3).
    pub fn status(&self, index: u64) -> Result<Status, StatusListError> {
        let out = StatusListError::OutOfRange { index };
        let per_byte = self.bits.per_byte() as u64;
        let at = usize::try_from(index / per_byte).map_err(|_| out.clone())?;
        let byte = *self.bytes.get(at).ok_or(out)?;
        let count = u32::from(self.bits.count());
        let shift = u32::try_from(index % per_byte).unwrap_or(0).saturating_mul(count);
        let mask = u8::MAX.checked_shr(8_u32.saturating_sub(count)).unwrap_or(u8::MAX);
        Ok(match byte.checked_shr(shift).unwrap_or(0) & mask {
            0 => Status::Valid,
            1 => Status::Invalid,
            2 => Status::Suspended,
            other => Status::Other(other),
        })
    }

    /// The member `status_list` (draft §4.2).
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        // A vector takes every byte.
        let _ = encoder.write_all(&self.bytes);
        let compressed = encoder.finish().unwrap_or_default();
        Object::new()
            .with("bits", u64::from(self.bits.count()))
            .with("lst", base64url(&compressed))
            .into()
    }

    /// Reads the member `status_list`.
    ///
    /// # Errors
    /// [`StatusListError::Form`], [`StatusListError::Compression`].
    pub fn from_json(json: &Json) -> Result<Self, StatusListError> {
        let bad = |member| StatusListError::Form { member };
        let object = json.as_object().ok_or(bad("status_list"))?;
        let bits = object
            .member("bits")
            .and_then(|b| Bits::from_count(b.as_number()?.as_plain_integer()?))
            .ok_or(bad("bits"))?;
        let compressed =
            object.member("lst").and_then(|l| from_base64url(l.as_str()?)).ok_or(bad("lst"))?;
        // SECURITY: a few bytes may stand for gigabytes; reading stops one
        // byte beyond what is allowed.
        let mut bytes = Vec::new();
        let bound = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
        let mut decoder = ZlibDecoder::new(compressed.as_slice()).take(bound);
        decoder.read_to_end(&mut bytes).map_err(|_| StatusListError::Compression)?;
        if bytes.len() > MAX_BYTES {
            return Err(StatusListError::Compression);
        }
        Ok(Self { bits, bytes })
    }

    /// The signed list (draft §5.1).
    #[must_use]
    pub fn sign(
        &self,
        uri: &str,
        now: Timestamp,
        lifetime_seconds: i64,
        ttl_seconds: i64,
        signer: &dyn Signer,
    ) -> String {
        let claims = Object::new()
            .with("sub", uri)
            .with("iat", now.seconds())
            .with("exp", now.plus_seconds(lifetime_seconds).seconds())
            .with("ttl", ttl_seconds)
            .with("status_list", self.to_json());
        let kid = signer.public_key().thumbprint().to_string();
        sign(TYPE, Some(&kid), &claims.into(), signer)
    }

    /// Reads a signed list that was fetched from `uri` at `fetched`, by the key
    /// that its issuer is known by.
    ///
    /// # Errors
    /// See [`StatusListError`]; fail closed on each.
    pub fn verify(
        token: &str,
        uri: &str,
        key: &PublicKey,
        fetched: Timestamp,
        now: Timestamp,
    ) -> Result<Self, StatusListError> {
        const SKEW_SECONDS: i64 = 60;
        let bad = |member| StatusListError::Form { member };
        if token.len() > MAX_TOKEN_BYTES {
            return Err(bad("token"));
        }
        let jws = Compact::parse(token).map_err(|_| bad("token"))?;
        jws.check_header(TYPE).map_err(|_| bad("typ"))?;
        if !jws.verify(key) {
            return Err(StatusListError::Signature);
        }
        let limits = JsonLimits { max_bytes: MAX_TOKEN_BYTES, ..JsonLimits::DEFAULT };
        let claims = jws.claims(&limits).map_err(|_| bad("claims"))?;
        // §8.3: the list is about the very URI that the token names.
        if claims.member("sub").and_then(Json::as_str) != Some(uri) {
            return Err(StatusListError::OtherList);
        }
        let number = |name: &'static str| match claims.member(name) {
            None => Ok(None),
            Some(n) => n.as_number().and_then(|n| n.as_plain_integer()).map(Some).ok_or(bad(name)),
        };
        let iat = number("iat")?.ok_or(bad("iat"))?;
        let (exp, ttl) = (number("exp")?, number("ttl")?);
        let late = exp.is_some_and(|exp| now.seconds() >= exp)
            || ttl.is_some_and(|ttl| now.seconds() > fetched.seconds().saturating_add(ttl));
        if late || iat > now.seconds().saturating_add(SKEW_SECONDS) {
            return Err(StatusListError::Stale);
        }
        Self::from_json(claims.member("status_list").ok_or(bad("status_list"))?)
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_core::crypto::SigningKey;

    use super::*;

    const URI: &str = "https://as.example/statuslists/1";
    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32]).unwrap()
    }

    fn list(bits: u64, lst: &str) -> Result<StatusList, StatusListError> {
        StatusList::from_json(&Object::new().with("bits", bits).with("lst", lst).into())
    }

    fn statuses(list: &StatusList) -> Vec<Status> {
        (0..list.len()).map(|i| list.status(i).unwrap()).collect()
    }

    #[test]
    fn the_drafts_example_of_one_bit_reads() {
        let list = list(1, "eNrbuRgAAhcBXQ").unwrap();
        assert_eq!(list.bytes, [0xb9, 0xa3]);
        let bits: Vec<u8> =
            statuses(&list).into_iter().map(|s| u8::from(s == Status::Invalid)).collect();
        assert_eq!(bits, [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]);
    }

    #[test]
    fn the_drafts_example_of_two_bits_reads() {
        let list = list(2, "eNo76fITAAPfAgc").unwrap();
        assert_eq!(list.bytes, [0xc9, 0x44, 0xf9]);
        use Status::{Invalid as I, Other, Suspended as S, Valid as V};
        let expected = [I, S, V, Other(3), V, I, V, I, I, S, Other(3), Other(3)];
        assert_eq!(statuses(&list), expected);
    }

    #[test]
    fn four_and_eight_bits_read_least_significant_first() {
        let written = |bits: Bits, bytes: &[u8]| {
            StatusList::from_json(&StatusList { bits, bytes: bytes.to_vec() }.to_json()).unwrap()
        };
        use Status::{Invalid, Other, Suspended, Valid};
        assert_eq!(
            statuses(&written(Bits::Four, &[0x21, 0xc0])),
            [Invalid, Suspended, Valid, Other(12)]
        );
        assert_eq!(
            statuses(&written(Bits::Eight, &[0, 1, 2, 255])),
            [Valid, Invalid, Suspended, Other(255)]
        );
    }

    #[test]
    fn a_list_is_written_signed_and_read_again() {
        let mut list = StatusList::valid(1_000_000);
        for index in [0, 1993, 999_999] {
            list.invalidate(index).unwrap();
        }
        let token = list.sign(URI, NOW, 3600, 60, &key(1));
        let read = StatusList::verify(&token, URI, &key(1).public_key(), NOW, NOW).unwrap();
        assert_eq!(read, list);
        for (index, status) in [(1992, Status::Valid), (1993, Status::Invalid)] {
            assert_eq!(read.status(index), Ok(status));
        }
        assert!(token.len() < 4096);
    }

    #[test]
    fn an_index_beyond_the_list_is_refused() {
        let mut list = StatusList::valid(8);
        let code = |e: StatusListError| e.code();
        assert_eq!(list.status(8).map_err(code), Err("status-list-index"));
        assert_eq!(list.status(u64::MAX).map_err(code), Err("status-list-index"));
        assert_eq!(list.invalidate(8).map_err(code), Err("status-list-index"));
        assert!(StatusList::valid(0).is_empty());
    }

    #[test]
    fn a_list_of_another_uri_key_or_kind_is_refused() {
        let list = StatusList::valid(8);
        let token = list.sign(URI, NOW, 3600, 60, &key(1));
        let own = key(1).public_key();
        let verify = |token: &str, uri: &str, key: &PublicKey| {
            StatusList::verify(token, uri, key, NOW, NOW).unwrap_err().code()
        };
        assert_eq!(verify(&token, "https://as.example/statuslists/2", &own), "status-list-other");
        assert_eq!(verify(&token, URI, &key(2).public_key()), "status-list-signature-invalid");
        let claims = Object::new().with("sub", URI).with("iat", NOW.seconds());
        let other = sign("at+jwt", None, &claims.clone().into(), &key(1));
        assert_eq!(verify(&other, URI, &own), "status-list-malformed");
        let empty = sign(TYPE, None, &claims.into(), &key(1));
        assert_eq!(verify(&empty, URI, &own), "status-list-malformed");
        assert_eq!(verify("a.b", URI, &own), "status-list-malformed");
    }

    #[test]
    fn a_stale_list_is_refused_whatever_a_cache_says() {
        let token = StatusList::valid(8).sign(URI, NOW, 3600, 60, &key(1));
        let own = key(1).public_key();
        let at = |fetched: i64, now: i64| {
            let (fetched, now) = (NOW.plus_seconds(fetched), NOW.plus_seconds(now));
            StatusList::verify(&token, URI, &own, fetched, now).map_err(|e| e.code())
        };
        assert!(at(0, 60).is_ok());
        assert_eq!(at(0, 61), Err("status-list-stale"));
        assert!(at(3590, 3599).is_ok());
        assert_eq!(at(3600, 3600), Err("status-list-stale"));
        assert_eq!(at(-120, -120), Err("status-list-stale"));
    }

    #[test]
    fn a_bomb_and_broken_bytes_are_refused() {
        let bomb = StatusList { bits: Bits::One, bytes: vec![0; MAX_BYTES + 1] };
        let error = StatusList::from_json(&bomb.to_json()).unwrap_err();
        assert_eq!(error.code(), "status-list-compression");
        assert!(!error.remedy().is_empty());
        let code = |r: Result<StatusList, StatusListError>| r.unwrap_err().code();
        assert_eq!(code(list(1, "AAAA")), "status-list-compression");
        assert_eq!(code(list(1, "eNrbuRgAAhcBXQ==")), "status-list-malformed");
        assert_eq!(code(list(3, "eNrbuRgAAhcBXQ")), "status-list-malformed");
        assert_eq!(code(StatusList::from_json(&Json::Null)), "status-list-malformed");
        // A stream that was cut off.
        assert_eq!(code(list(1, "eNrbuRg")), "status-list-compression");
    }
}
