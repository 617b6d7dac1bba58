//! ECDSA on P-256 with SHA-256 (`ES256`, RFC 7518 §3.4), by aws-lc-rs.

// tidy(pure): the library draws the nonce of an ES256 signature; no decision depends on it
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair,
    KeyPair, ParsedPublicKey, UnparsedPublicKey,
};

use zeroize::Zeroizing;

use super::{KeyError, PRIVATE_MEMBERS, Thumbprint, array_from_base64url, base64url, sha256};
use crate::json::{Json, Object};

/// A P-256 public key for ES256; its point lies on the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct P256PublicKey {
    x: [u8; 32],
    y: [u8; 32],
}

impl P256PublicKey {
    /// Accepts the coordinates of a point, big-endian.
    ///
    /// # Errors
    /// [`KeyError::OffCurve`] when the point does not lie on the curve.
    pub fn from_coordinates(x: [u8; 32], y: [u8; 32]) -> Result<Self, KeyError> {
        let key = Self { x, y };
        // SECURITY: a point beside the curve lies on a weaker one.
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.point())
            .map_err(|_| KeyError::OffCurve)?;
        Ok(key)
    }

    /// Reads a public EC JWK on P-256 (RFC 7518 §6.2.1); private members are
    /// refused, other members are ignored.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_jwk(jwk: &Object) -> Result<Self, KeyError> {
        if jwk.iter().any(|(name, _)| PRIVATE_MEMBERS.contains(&name)) {
            return Err(KeyError::Private);
        }
        let text = |name| jwk.member(name).and_then(Json::as_str);
        if (text("kty"), text("crv")) != (Some("EC"), Some("P-256")) {
            return Err(KeyError::Unsupported);
        }
        let coordinate = |name| text(name).and_then(array_from_base64url).ok_or(KeyError::Encoding);
        Self::from_coordinates(coordinate("x")?, coordinate("y")?)
    }

    /// The public JWK with its required members only.
    #[must_use]
    pub fn to_jwk(&self) -> Object {
        Object::new()
            .with("crv", "P-256")
            .with("kty", "EC")
            .with("x", base64url(&self.x))
            .with("y", base64url(&self.y))
    }

    /// The RFC 7638 thumbprint.
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        // The required members in their order are the canonical form.
        Thumbprint(sha256(Json::from(self.to_jwk()).canonical().as_bytes()).0)
    }

    /// Whether an ES256 signature (`r || s`, 64 bytes) over `message` holds.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.point())
            .verify(message, signature)
            .is_ok()
    }

    /// Whether an ECDSA signature in DER (`SEQUENCE { r, s }`), as WebAuthn
    /// has it (WebAuthn L3 §6.5.5), over `message` holds.
    #[must_use]
    pub fn verify_der(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.point())
            .verify(message, signature)
            .is_ok()
    }

    /// The uncompressed point (SEC 1 §2.3.3).
    #[must_use]
    pub fn point(&self) -> [u8; 65] {
        let mut point = [4; 65];
        for (to, from) in point.iter_mut().skip(1).zip(self.x.iter().chain(&self.y)) {
            *to = *from;
        }
        point
    }
}

/// A private ES256 key, from PKCS#8.
pub struct P256SigningKey {
    pair: EcdsaKeyPair,
    public: P256PublicKey,
}

impl std::fmt::Debug for P256SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "P256SigningKey({})", self.public.thumbprint())
    }
}

impl P256SigningKey {
    /// Reads a PKCS#8 document.
    ///
    /// # Errors
    /// [`KeyError::Encoding`].
    pub fn from_pkcs8(document: &[u8]) -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document)
            .map_err(|_| KeyError::Encoding)?;
        let [4, rest @ ..] = pair.public_key().as_ref() else { return Err(KeyError::Encoding) };
        let (x, y) = rest.split_at_checked(32).ok_or(KeyError::Encoding)?;
        let coordinate = |bytes: &[u8]| bytes.try_into().map_err(|_| KeyError::Encoding);
        let public = P256PublicKey::from_coordinates(coordinate(x)?, coordinate(y)?)?;
        Ok(Self { pair, public })
    }

    /// Reads a private EC JWK on P-256 (RFC 7518 §6.2.2), whose public part must
    /// be that of its private one.
    ///
    /// # Errors
    /// As [`P256PublicKey::from_jwk`]; [`KeyError::Encoding`] for `d`.
    pub fn from_jwk(jwk: &Object) -> Result<Self, KeyError> {
        let (secret, public): (Vec<_>, Vec<_>) = jwk.iter().partition(|(name, _)| *name == "d");
        let public = public.into_iter().map(|(name, value)| (name.to_owned(), value.clone()));
        let public = P256PublicKey::from_jwk(&public.collect())?;
        let secret = secret.first().and_then(|(_, d)| array_from_base64url::<32>(d.as_str()?));
        let secret = Zeroizing::new(secret.ok_or(KeyError::Encoding)?);
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &*secret,
            &public.point(),
        );
        Ok(Self { pair: pair.map_err(|_| KeyError::Encoding)?, public })
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> P256PublicKey {
        self.public
    }

    /// An ES256 signature over `message`. The library draws the nonce itself.
    ///
    /// # Errors
    /// [`KeyError::Encoding`] when the library refuses.
    #[expect(
        clippy::disallowed_methods,
        reason = "the library draws the nonce of an ES256 signature; no decision depends on it"
    )]
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self
            .pair
            // tidy(pure): see above
            .sign(&SystemRandom::new(), message)
            .map_err(|_| KeyError::Encoding)?;
        Ok(signature.as_ref().to_vec())
    }
}

/// A fresh private key, for tests.
#[cfg(test)]
pub(crate) fn fresh() -> P256SigningKey {
    let document =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .unwrap();
    P256SigningKey::from_pkcs8(document.as_ref()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515 §A.3.1.
    fn rfc_7515() -> Object {
        Object::new()
            .with("kty", "EC")
            .with("crv", "P-256")
            .with("x", "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU")
            .with("y", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")
    }

    #[test]
    fn the_signature_of_rfc_7515_holds_and_no_flipped_bit_of_it() {
        let key = P256PublicKey::from_jwk(&rfc_7515()).unwrap();
        let input = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6\
                     Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature: [u8; 64] = array_from_base64url(
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        )
        .unwrap();
        assert!(key.verify(input.as_bytes(), &signature));
        for i in 0..64 {
            let mut bad = signature;
            bad[i] ^= 1;
            assert!(!key.verify(input.as_bytes(), &bad), "byte {i}");
        }
        assert!(!key.verify(input.as_bytes(), &signature[..63]));
        assert!(!key.verify(input.as_bytes(), &[0; 64]));
    }

    #[test]
    fn a_point_beside_the_curve_is_refused() {
        let jwk = rfc_7515();
        for (x, y) in [([0; 32], [0; 32]), ([1; 32], [2; 32]), ([0xff; 32], [0xff; 32])] {
            assert_eq!(P256PublicKey::from_coordinates(x, y), Err(KeyError::OffCurve));
            let jwk = jwk.clone().with("x", base64url(&x)).with("y", base64url(&y));
            assert_eq!(P256PublicKey::from_jwk(&jwk), Err(KeyError::OffCurve));
        }
    }

    #[test]
    fn private_foreign_and_badly_encoded_keys_are_refused() {
        let good = rfc_7515();
        for private in PRIVATE_MEMBERS {
            let jwk = good.clone().with(private, "AA");
            assert_eq!(P256PublicKey::from_jwk(&jwk), Err(KeyError::Private), "{private}");
        }
        for (member, value) in [("crv", "P-384"), ("crv", "secp256k1"), ("kty", "OKP")] {
            let jwk = good.clone().with(member, value);
            assert_eq!(P256PublicKey::from_jwk(&jwk), Err(KeyError::Unsupported), "{value}");
        }
        for value in ["AA", "", "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU="] {
            let jwk = good.clone().with("x", value);
            assert_eq!(P256PublicKey::from_jwk(&jwk), Err(KeyError::Encoding), "{value}");
        }
    }

    #[test]
    fn the_thumbprint_is_over_the_required_members_in_order() {
        let key = P256PublicKey::from_jwk(&rfc_7515().with("kid", "x").with("use", "sig")).unwrap();
        let canonical = r#"{"crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
        assert_eq!(key.thumbprint().bytes(), sha256(canonical.as_bytes()).bytes());
    }

    /// RFC 7515 §A.3.1, the private part.
    const SECRET: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";

    #[test]
    fn a_private_jwk_signs_and_must_be_of_one_key() {
        let jwk = rfc_7515().with("d", SECRET);
        let key = P256SigningKey::from_jwk(&jwk).unwrap();
        assert!(key.public_key().verify(b"m", &key.sign(b"m").unwrap()));
        assert!(!format!("{key:?}").contains(SECRET));
        for d in ["", "AA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"] {
            let other = rfc_7515().with("d", d);
            assert_eq!(P256SigningKey::from_jwk(&other).unwrap_err(), KeyError::Encoding, "{d}");
        }
        assert_eq!(P256SigningKey::from_jwk(&rfc_7515()).unwrap_err(), KeyError::Encoding);
        let odd = jwk.with("k", "AA");
        assert_eq!(P256SigningKey::from_jwk(&odd).unwrap_err(), KeyError::Private);
    }

    #[test]
    fn malformed_signatures_do_not_hold_and_the_twin_with_the_other_s_does() {
        let key = fresh();
        let (public, good) = (key.public_key(), key.sign(b"m").unwrap());
        let (r, s) = good.split_at(32);
        // The order of the group; `n` and `0` are no scalars (FIPS 186-5 §6.4.2).
        const N: [u8; 32] = [
            0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63,
            0x25, 0x51,
        ];
        for bad in [
            [r, &[0; 32]].concat(),
            [&[0; 32], s].concat(),
            [r, &N].concat(),
            [&N, s].concat(),
            [r, &[0xff; 32]].concat(),
            [s, r].concat(),
            [&good[..], &[0]].concat(),
            good[..63].to_vec(),
            Vec::new(),
        ] {
            assert!(!public.verify(b"m", &bad), "{bad:?}");
        }
        // RFC 7518 §3.4 asks for no half of `s`, and libraries write either: an
        // ECDSA signature has a twin. So nothing may be told apart by the bytes
        // of a signature: proofs are spent by `jti`, tokens named by what was
        // signed.
        let mut twin = [0; 32];
        let mut borrow = 0;
        for i in (0..32).rev() {
            let difference = i16::from(N[i]) - i16::from(s[i]) - borrow;
            borrow = i16::from(difference < 0);
            twin[i] = difference.rem_euclid(256) as u8;
        }
        assert!(public.verify(b"m", &[r, &twin].concat()));
    }
}
