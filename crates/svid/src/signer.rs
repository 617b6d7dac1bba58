//! Our ES256 keys, as the certificate library takes them.

use bailiwick_core::crypto::{P256PublicKey, P256SigningKey};
use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm, SigningKey};

/// A public key.
pub(crate) struct Public([u8; 65]);

impl Public {
    pub(crate) fn of(key: &P256PublicKey) -> Self {
        Self(key.point())
    }
}

impl PublicKeyData for Public {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

/// A private key.
pub(crate) struct Private<'k> {
    key: &'k P256SigningKey,
    public: Public,
}

impl<'k> Private<'k> {
    pub(crate) fn of(key: &'k P256SigningKey) -> Self {
        Self { key, public: Public::of(&key.public_key()) }
    }
}

impl PublicKeyData for Private<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.public.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.public.algorithm()
    }
}

impl SigningKey for Private<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let fixed = self.key.sign(message).map_err(|_| rcgen::Error::RemoteKeyError)?;
        der(&fixed).ok_or(rcgen::Error::RemoteKeyError)
    }
}

/// `SEQUENCE { r INTEGER, s INTEGER }` (RFC 3279 §2.2.3) of `r || s`.
fn der(fixed: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = fixed.split_at_checked(32).filter(|(_, s)| s.len() == 32)?;
    let body = [integer(r)?, integer(s)?].concat();
    let mut sequence = vec![0x30, u8::try_from(body.len()).ok().filter(|n| *n < 0x80)?];
    sequence.extend(body);
    Some(sequence)
}

/// The shortest form, positive.
fn integer(bytes: &[u8]) -> Option<Vec<u8>> {
    let zeros = bytes.iter().take_while(|b| **b == 0).count();
    let digits = bytes.get(zeros..)?;
    let pad = digits.first().is_none_or(|first| *first >= 0x80);
    let length = digits.len().checked_add(usize::from(pad))?;
    let mut out = vec![0x02, u8::try_from(length).ok()?];
    out.extend(pad.then_some(0));
    out.extend(digits);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_the_shortest_and_positive() {
        let mut fixed = [0; 64];
        fixed[31] = 0x7f;
        fixed[32] = 0x80;
        let mut expected = vec![0x30, 38, 0x02, 1, 0x7f, 0x02, 33, 0, 0x80];
        expected.extend([0; 31]);
        assert_eq!(der(&fixed).unwrap(), expected);
        assert_eq!(integer(&[0; 32]).unwrap(), [0x02, 1, 0]);
        assert_eq!(der(&[1; 63]), None);
    }
}
