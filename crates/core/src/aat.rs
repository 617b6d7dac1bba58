//! Attenuating agent tokens, draft-niyikiza-oauth-attenuating-agent-tokens-02.
//!
//! Tokens, chains and proofs of possession: framing ([`jws`]), claims
//! ([`claims`]), making ([`make`]) and the algorithm of the draft's section 8
//! ([`verify`](mod@verify)). Step labels in comments and denials are the draft's.

pub mod claims;
pub mod jws;
pub mod make;
pub mod verify;

/// The `typ` of a token.
pub const TOKEN_TYPE: &str = "aat+jwt";
/// The `typ` of a proof of possession.
pub const PROOF_TYPE: &str = "aat-pop+jwt";
/// The `type` of the entry in `authorization_details`.
pub const DETAILS_TYPE: &str = "attenuating_agent_token";
