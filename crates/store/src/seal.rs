//! The texts behind commitments: one record per entry, under a key of its own
//! that is wrapped by the data dir's key, so that erasing one record is exact.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use bailiwick_core::ids::{EntryId, OrgId};
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Disclosure;
use bailiwick_core::limits::JsonLimits;
use zeroize::Zeroizing;

use crate::error::StoreError;

/// Bytes of one record's text at most.
pub const MAX_PLAINTEXT_BYTES: usize = 16 << 20;

const LIMITS: JsonLimits =
    JsonLimits { max_bytes: MAX_PLAINTEXT_BYTES, max_depth: 72, max_values: 4_000_000 };

const KEY_DOMAIN: &str = "bailiwick-record-key-v1";
const TEXT_DOMAIN: &str = "bailiwick-record-text-v1";

/// Random bytes, handed in by the composition root.
pub trait Entropy: Send + Sync {
    /// Fills `out`; `false` when the source gave nothing, and then nothing is
    /// written.
    fn fill(&self, out: &mut [u8]) -> bool;
}

impl<F: Fn(&mut [u8]) -> bool + Send + Sync> Entropy for F {
    fn fill(&self, out: &mut [u8]) -> bool {
        self(out)
    }
}

/// The key that wraps every record's key. It stays in `keys/plaintext.key`.
#[derive(Clone)]
pub struct PlaintextKey(Arc<Zeroizing<[u8; 32]>>);

impl PlaintextKey {
    /// Wraps 32 random bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl std::fmt::Debug for PlaintextKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlaintextKey")
    }
}

/// A sealed record: the wrapped key (nonce first) and the encrypted text.
pub(crate) struct SealedRecord {
    pub(crate) key: Vec<u8>,
    pub(crate) ciphertext: Vec<u8>,
}

pub(crate) fn random<const N: usize>(entropy: &dyn Entropy) -> Result<[u8; N], StoreError> {
    let mut out = [0; N];
    if entropy.fill(&mut out) { Ok(out) } else { Err(StoreError::Entropy) }
}

fn aead(key: &[u8; 32]) -> Option<LessSafeKey> {
    Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?))
}

fn associated(domain: &str, org: &OrgId, entry: &EntryId) -> Aad<Vec<u8>> {
    Aad::from(format!("{domain}\n{org}\n{entry}").into_bytes())
}

/// Encrypts the texts that `entry` commits to, as one JSON object.
pub(crate) fn seal(
    key: &PlaintextKey,
    entropy: &dyn Entropy,
    org: &OrgId,
    entry: &EntryId,
    texts: &[(String, String)],
) -> Result<SealedRecord, StoreError> {
    let mut ciphertext = object_of(texts);
    if ciphertext.len() > MAX_PLAINTEXT_BYTES {
        return Err(StoreError::Value { what: "length of the entry's texts" });
    }
    let unsealed = || StoreError::Plaintext { entry: entry.to_string() };
    let record_key = Zeroizing::new(random::<32>(entropy)?);
    let nonce = random::<NONCE_LEN>(entropy)?;
    // The record's key encrypts one text only, so its nonce may be constant.
    aead(&record_key)
        .and_then(|k| {
            k.seal_in_place_append_tag(
                Nonce::assume_unique_for_key([0; NONCE_LEN]),
                associated(TEXT_DOMAIN, org, entry),
                &mut ciphertext,
            )
            .ok()
        })
        .ok_or_else(unsealed)?;
    // Random nonces under one wrapping key: fewer than 2^32 records.
    let mut wrapped = record_key.to_vec();
    aead(&key.0)
        .and_then(|k| {
            k.seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                associated(KEY_DOMAIN, org, entry),
                &mut wrapped,
            )
            .ok()
        })
        .ok_or_else(unsealed)?;
    let mut key = nonce.to_vec();
    key.append(&mut wrapped);
    Ok(SealedRecord { key, ciphertext })
}

/// The JSON object with these texts, which are JSON, as members.
fn object_of(texts: &[(String, String)]) -> Vec<u8> {
    let mut object = String::from("{");
    for (i, (field, text)) in texts.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        object.push_str(comma);
        object.push_str(&Json::from(field.as_str()).canonical());
        object.push(':');
        object.push_str(text);
    }
    object.push('}');
    object.into_bytes()
}

/// Decrypts what [`seal`] made.
pub(crate) fn open(
    key: &PlaintextKey,
    org: &OrgId,
    entry: &EntryId,
    mut record: SealedRecord,
) -> Result<Vec<(String, Disclosure)>, StoreError> {
    let unreadable = || StoreError::Plaintext { entry: entry.to_string() };
    let (nonce, wrapped) =
        record.key.split_first_chunk_mut::<NONCE_LEN>().ok_or_else(unreadable)?;
    let record_key = aead(&key.0)
        .and_then(|k| {
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let bytes = k.open_in_place(nonce, associated(KEY_DOMAIN, org, entry), wrapped).ok()?;
            <[u8; 32]>::try_from(&*bytes).ok().map(Zeroizing::new)
        })
        .ok_or_else(unreadable)?;
    let text = aead(&record_key)
        .and_then(|k| {
            let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
            let aad = associated(TEXT_DOMAIN, org, entry);
            let text = k.open_in_place(nonce, aad, &mut record.ciphertext).ok()?;
            Json::parse(text, &LIMITS).ok()
        })
        .ok_or_else(unreadable)?;
    let mut fields: Vec<(String, Disclosure)> = text
        .as_object()
        .and_then(|o| {
            o.iter().map(|(field, d)| Some((field.to_owned(), Disclosure::from_json(d)?))).collect()
        })
        .ok_or_else(unreadable)?;
    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(fields)
}
