//! The agent's side: presents a chain with proofs by the instance's holder key.

use bailiwick_core::aat::make::{ProofFor, Seen, prove_unchecked};
use bailiwick_core::crypto::{Digest, SigningKey};
use bailiwick_core::dpop;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::{ChainLimits, JsonLimits};
use bailiwick_demo::agent::{MessageHeaders, PresentError, Presentation, Presenter};
use rmcp::model::JsonObject;

use crate::chainfile::ChainFile;
use crate::error::CliError;
use crate::host;

/// Signs calls and messages for one chain.
pub(crate) struct ChainPresenter {
    chain: ChainFile,
    leaf_jti: String,
    leaf_hash: Digest,
    key: SigningKey,
}

impl ChainPresenter {
    /// `key` need not be the leaf's holder: what a gateway says to that is
    /// its own matter (and part of the demonstration).
    pub(crate) fn new(chain: ChainFile, key: SigningKey) -> Result<Self, CliError> {
        let seen = Seen::parse(chain.leaf(), &ChainLimits::DEFAULT)?;
        Ok(Self { leaf_jti: seen.jti, leaf_hash: seen.hash, chain, key })
    }
}

fn strict(arguments: &JsonObject) -> Result<Object, PresentError> {
    let text = serde_json::to_vec(arguments).map_err(|e| PresentError::new(e.to_string()))?;
    match Json::parse(&text, &JsonLimits::DEFAULT) {
        Ok(Json::Object(o)) => Ok(o),
        Ok(_) => Err(PresentError::new("arguments are no object")),
        Err(e) => Err(PresentError::new(e.to_string())),
    }
}

impl Presenter for ChainPresenter {
    fn for_call(
        &self,
        tool_id: &str,
        arguments: &JsonObject,
    ) -> Result<Presentation, PresentError> {
        let arguments = strict(arguments)?;
        let jti = host::fresh_id().map_err(|e| PresentError::new(e.message))?;
        let audience = Some(self.chain.audience.as_str()).filter(|a| !a.is_empty());
        let proof = ProofFor {
            jti: &jti,
            now: host::now(),
            tool: tool_id,
            arguments: &arguments,
            audience,
            nonce: None,
        };
        let aat_pop = prove_unchecked(&self.leaf_jti, self.leaf_hash, &proof, &self.key);
        Ok(Presentation { aat_chain: self.chain.chain.clone(), aat_pop })
    }

    fn for_message(&self, method: &str, url: &str) -> Result<MessageHeaders, PresentError> {
        let jti = host::fresh_id().map_err(|e| PresentError::new(e.message))?;
        let leaf = self.chain.leaf();
        Ok(MessageHeaders {
            aat_chain: self.chain.chain.join(","),
            dpop: dpop::prove(&self.key, &jti, host::now(), method, url, leaf),
        })
    }
}
