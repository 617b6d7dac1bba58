//! Chain and proof as they come with a message: in `_meta` or in headers.

use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::guarantee::Assurance;
use bailiwick_core::json::{Json, Object};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use crate::config::Config;

/// Member of `params._meta` that carries a call's chain and proof.
pub const PRESENTATION: &str = "io.bailiwick/presentation";

/// What a caller presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A chain, with a proof over the call or a DPoP proof for a message.
    Chain,
    /// An access token with a DPoP proof.
    Dpop,
    /// An access token alone.
    Bearer,
}

/// What came with a message to say who calls.
#[derive(Clone, Debug)]
pub struct Presentation {
    /// What it is.
    pub form: Form,
    /// Token texts, root first; one for an access token.
    pub chain: Vec<String>,
    /// The proof; for a bearer the id that this gateway gave the request.
    pub proof: String,
}

impl Presentation {
    /// What the form can prove of a call.
    pub(crate) const fn assurance(&self) -> Assurance {
        match self.form {
            Form::Chain => Assurance::Arguments,
            Form::Dpop => Assurance::Token,
            Form::Bearer => Assurance::None,
        }
    }
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

/// Chain and proof, or access token, of a call.
pub(crate) fn of_call(
    config: &Config,
    in_body: Option<Json>,
    headers: &HeaderMap,
) -> Result<Presentation, Denial> {
    let value = |name| headers.get(name).and_then(|v| v.to_str().ok());
    let malformed = || Denial::new(Reason::PresentationMalformed);
    if let Some(authorization) = headers.get(AUTHORIZATION) {
        if in_body.is_some() || headers.contains_key("aat-chain") || headers.contains_key("aat-pop")
        {
            return Err(malformed());
        }
        return of_access_token(config, authorization, value("dpop"));
    }
    match (in_body, value("aat-chain"), value("aat-pop")) {
        (None, None, None) => Err(Denial::new(Reason::PresentationMissing)),
        (None, Some(chain), Some(proof)) => {
            if chain.len().saturating_add(proof.len()) > config.max_call_header_bytes {
                return Err(Denial::new(Reason::ChainTooLarge));
            }
            let chain = split_chain(config, chain)?;
            Ok(Presentation { form: Form::Chain, chain, proof: proof.to_owned() })
        }
        (Some(in_body), None, None) => of_body(config, &in_body),
        // Both forms at once, or half of one.
        _ => Err(malformed()),
    }
}

/// Chain and proof as the draft's presentation object.
pub(crate) fn of_body(config: &Config, in_body: &Json) -> Result<Presentation, Denial> {
    let malformed = || Denial::new(Reason::PresentationMalformed);
    let o = in_body.as_object().filter(|o| o.len() == 2).ok_or_else(malformed)?;
    let chain = o.member("aat_chain").and_then(Json::as_array).ok_or_else(malformed)?;
    let proof = o.member("aat_pop").and_then(Json::as_str).ok_or_else(malformed)?;
    let chain: Option<Vec<String>> = chain.iter().map(|t| t.as_str().map(str::to_owned)).collect();
    let chain = bounded(config, chain.ok_or_else(malformed)?)?;
    Ok(Presentation { form: Form::Chain, chain, proof: proof.to_owned() })
}

/// Chain and DPoP proof of a message that is not a call.
pub(crate) fn of_message(config: &Config, headers: &HeaderMap) -> Result<Presentation, Denial> {
    let value = |name| headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(authorization) = headers.get(AUTHORIZATION) {
        if headers.contains_key("aat-chain") {
            return Err(Denial::new(Reason::PresentationMalformed));
        }
        return of_access_token(config, authorization, value("dpop"));
    }
    match (value("aat-chain"), value("dpop")) {
        (Some(chain), Some(proof)) => {
            if chain.len().saturating_add(proof.len()) > config.max_message_header_bytes {
                return Err(Denial::new(Reason::ChainTooLarge));
            }
            let chain = split_chain(config, chain)?;
            Ok(Presentation { form: Form::Chain, chain, proof: proof.to_owned() })
        }
        _ => Err(Denial::new(Reason::PresentationMissing)),
    }
}

/// `Authorization: DPoP` with its proof, or `Authorization: Bearer` without one
/// (RFC 9449 §7.1, RFC 6750 §2.1). A token anywhere else is not looked at.
fn of_access_token(
    config: &Config,
    authorization: &HeaderValue,
    proof: Option<&str>,
) -> Result<Presentation, Denial> {
    let malformed = || Denial::new(Reason::PresentationMalformed).about("authorization");
    let value = authorization.to_str().map_err(|_| malformed())?;
    let (scheme, token) = value.split_once(' ').ok_or_else(malformed)?;
    let token = token.trim_start_matches(' ');
    let size = token.len().saturating_add(proof.map_or(0, str::len));
    if size > config.max_message_header_bytes {
        return Err(Denial::new(Reason::TokenTooLarge));
    }
    let (form, proof) = match (proof, scheme) {
        (Some(proof), dpop) if dpop.eq_ignore_ascii_case("dpop") => (Form::Dpop, proof),
        (None, bearer) if bearer.eq_ignore_ascii_case("bearer") => (Form::Bearer, ""),
        _ => return Err(malformed()),
    };
    Ok(Presentation { form, chain: vec![token.to_owned()], proof: proof.to_owned() })
}
