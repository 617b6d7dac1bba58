//! Chain and proof as they come with a message: in `_meta` or in headers.

use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::json::{Json, Object};
use http::HeaderMap;

use crate::config::Config;

/// Member of `params._meta` that carries a call's chain and proof.
pub const PRESENTATION: &str = "io.bailiwick/presentation";

/// Chain and proof of a call, or chain and DPoP proof of another message.
#[derive(Clone, Debug)]
pub struct Presentation {
    /// Token texts, root first.
    pub chain: Vec<String>,
    /// The proof.
    pub proof: String,
}

/// Takes our member out of `_meta`, and with it everything that no
/// specification gives a meaning: `_meta` is neither proved nor recorded, so
/// nothing else may reach a tool server in it. An empty `_meta` goes whole.
pub(super) fn take_presentation(params: Option<&mut Object>) -> Option<Json> {
    let params = params?;
    let meta = params.remove("_meta")?;
    let Json::Object(mut meta) = meta else {
        params.insert("_meta", meta);
        return None;
    };
    let presentation = meta.remove(PRESENTATION);
    let meta: Object = meta
        .iter()
        .filter(|(name, value)| passes(name, value))
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect();
    if !meta.is_empty() {
        params.insert("_meta", meta);
    }
    presentation
}

/// Bytes of a member of `_meta` that passes.
const MAX_META_BYTES: usize = 4096;

/// Members of `_meta` that the protocol and its trace context define, in the
/// form that they define. Baggage and trace state do not pass: they are free
/// text.
fn passes(name: &str, value: &Json) -> bool {
    match (name, value) {
        ("io.modelcontextprotocol/protocolVersion", Json::String(_)) => true,
        (
            "io.modelcontextprotocol/clientCapabilities" | "io.modelcontextprotocol/clientInfo",
            Json::Object(o),
        ) => Json::from(o.clone()).canonical().len() <= MAX_META_BYTES,
        ("progressToken", Json::String(token)) => token.len() <= 128,
        ("progressToken", Json::Number(_)) => true,
        ("traceparent", Json::String(trace)) => {
            trace.len() == 55 && trace.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
        }
        _ => false,
    }
}

fn split_chain(config: &Config, text: &str) -> Result<Vec<String>, Denial> {
    let chain: Vec<String> = text.split(',').map(|t| t.trim().to_owned()).collect();
    bounded(config, chain)
}

/// No chain can have more tokens than the deepest delegation.
fn bounded(config: &Config, chain: Vec<String>) -> Result<Vec<String>, Denial> {
    let most = usize::try_from(config.chain.max_delegation_depth).unwrap_or(0).saturating_add(1);
    if chain.len() > most { Err(Denial::new(Reason::ChainTooLarge)) } else { Ok(chain) }
}

pub(super) fn of_call(
    config: &Config,
    in_body: Option<Json>,
    headers: &HeaderMap,
) -> Result<Presentation, Denial> {
    let value = |name| headers.get(name).and_then(|v| v.to_str().ok());
    let malformed = || Denial::new(Reason::PresentationMalformed);
    match (in_body, value("aat-chain"), value("aat-pop")) {
        (None, None, None) => Err(Denial::new(Reason::PresentationMissing)),
        (None, Some(chain), Some(proof)) => {
            if chain.len().saturating_add(proof.len()) > config.max_call_header_bytes {
                return Err(Denial::new(Reason::ChainTooLarge));
            }
            Ok(Presentation { chain: split_chain(config, chain)?, proof: proof.to_owned() })
        }
        (Some(Json::Object(o)), None, None) if o.len() == 2 => {
            let chain = o.member("aat_chain").and_then(Json::as_array).ok_or_else(malformed)?;
            let proof = o.member("aat_pop").and_then(Json::as_str).ok_or_else(malformed)?;
            let chain: Option<Vec<String>> =
                chain.iter().map(|t| t.as_str().map(str::to_owned)).collect();
            let chain = bounded(config, chain.ok_or_else(malformed)?)?;
            Ok(Presentation { chain, proof: proof.to_owned() })
        }
        // Both forms at once, or half of one.
        _ => Err(malformed()),
    }
}

/// Chain and DPoP proof of a message that is not a call.
pub(crate) fn of_message(config: &Config, headers: &HeaderMap) -> Result<Presentation, Denial> {
    let value = |name| headers.get(name).and_then(|v| v.to_str().ok());
    match (value("aat-chain"), value("dpop")) {
        (Some(chain), Some(proof)) => {
            if chain.len().saturating_add(proof.len()) > config.max_message_header_bytes {
                return Err(Denial::new(Reason::ChainTooLarge));
            }
            Ok(Presentation { chain: split_chain(config, chain)?, proof: proof.to_owned() })
        }
        _ => Err(Denial::new(Reason::PresentationMissing)),
    }
}
