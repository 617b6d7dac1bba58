//! The trust file of this installation: what an auditor keeps.

use bailiwick_core::time::Timestamp;
use bailiwick_evidence::Trust;
use bailiwick_evidence::trust::{IssuerKey, Maker, Validity};

use crate::installation::Installation;

/// The trust file. `since` is when the log began: no key is valid before.
#[must_use]
pub fn export(installation: &Installation, since: Option<Timestamp>) -> Trust {
    let validity = Validity { not_before: since, not_after: None };
    Trust {
        org: installation.org.clone(),
        issuers: vec![IssuerKey {
            uri: installation.issuer.clone(),
            key: installation.issuer_key,
            validity,
        }],
        log: installation.log_key.clone(),
        makers: installation
            .makers
            .iter()
            .map(|m| Maker { id: m.id.clone(), key: m.key, role: m.role, validity })
            .collect(),
        witnesses: Vec::new(),
        quorum: 0,
        audiences: vec![installation.audience()],
        approvers: None,
        id_tokens: Vec::new(),
    }
}
