//! The Ed25519 operations that the work cannot do without, and nothing else.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};

use crate::Failure;

/// Signatures with the keys and messages of a real presentation.
pub(crate) struct Bare {
    signed: Vec<([u8; 32], Vec<u8>, Vec<u8>)>,
}

impl Bare {
    /// Takes (key, compact JWS) pairs apart.
    pub(crate) fn of<'a>(
        tokens: impl IntoIterator<Item = ([u8; 32], &'a str)>,
    ) -> Result<Self, Failure> {
        let signed = tokens
            .into_iter()
            .map(|(key, token)| {
                let (input, signature) = token.rsplit_once('.')?;
                let signature = bailiwick_core::crypto::from_base64url(signature)?;
                Some((key, input.as_bytes().to_vec(), signature))
            })
            .collect::<Option<Vec<_>>>()
            .ok_or("not a compact JWS")?;
        Ok(Self { signed })
    }

    /// Verifies them one after the other.
    pub(crate) fn verify(&self) -> bool {
        self.signed.iter().all(|(key, message, signature)| {
            UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
        })
    }

    /// Signs the last message again.
    pub(crate) fn sign(&self, pair: &Ed25519KeyPair) -> bool {
        self.signed.last().is_some_and(|(_, message, _)| pair.sign(message).as_ref().len() == 64)
    }
}
