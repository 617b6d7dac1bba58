//! How far workflows' agents may act without a person.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{Alias, WorkflowId};
use bailiwick_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// One change of a workflow's autonomy; the newest counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Autonomy {
    /// The workflow.
    pub workflow: WorkflowId,
    /// Its number among the workflow's, from 1.
    pub n: u32,
    /// The highest level from now on: `manual`, `supervised`, `bounded` or
    /// `autonomous`.
    pub level: String,
    /// The version that was raised to it; none, if it was lowered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Digest>,
    /// Why, a code: `raised`, `error-budget`, `person` or `published`.
    pub cause: String,
    /// When.
    pub changed: Timestamp,
}

/// What one person signed so that a workflow's autonomy is raised. The signature
/// itself is committed to in the entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutonomySignature {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The digest of what was signed.
    pub statement: Digest,
    /// Who.
    pub principal: Alias,
    /// The id of the credential that signed.
    pub credential: String,
    /// How it was signed: `passkey` or `key`.
    pub grade: String,
    /// The end of the window that the figures are of.
    pub until: Timestamp,
    /// When.
    pub signed: Timestamp,
    /// Until when it counts.
    pub expires: Timestamp,
}
