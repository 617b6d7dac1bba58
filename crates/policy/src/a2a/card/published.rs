//! The card that the gateway publishes for an agent behind it.

use bailiwick_core::json::{Json, Object};

use super::Accepted;
use crate::a2a::{VERSION, handoff};

/// The name of the gateway's security scheme in a card.
const SCHEME: &str = "bailiwick";

/// Where and how the gateway takes calls of an agent.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The front's address, of both bindings.
    pub url: &'a str,
    /// Where clients learn of the authorization server (RFC 8414).
    pub metadata: Option<&'a str>,
    /// Whether push notifications may go to any host.
    pub pushes: bool,
}

/// The accepted card with the gateway in front: its address in both bindings, its
/// way to prove who calls, no capability that it does not pass on, and no extended
/// card, which nobody accepted.
#[must_use]
pub fn published(accepted: &Accepted, place: &Place<'_>) -> Object {
    let mut card = accepted.card.members().clone();
    let interface = |binding: &str| -> Json {
        Object::new()
            .with("url", place.url)
            .with("protocolBinding", binding)
            .with("protocolVersion", VERSION)
            .into()
    };
    card.insert("supportedInterfaces", vec![interface("JSONRPC"), interface("HTTP+JSON")]);
    let mut capabilities =
        card.member("capabilities").and_then(Json::as_object).cloned().unwrap_or_default();
    capabilities.insert("extendedAgentCard", false);
    let asked = capabilities.member("pushNotifications").and_then(Json::as_bool);
    capabilities.insert("pushNotifications", asked == Some(true) && place.pushes);
    let listed = capabilities.member("extensions").and_then(Json::as_array).unwrap_or_default();
    let is_ours = |e: &&Json| {
        e.as_object().and_then(|e| e.member("uri")?.as_str()) == Some(handoff::EXTENSION)
    };
    let mut extensions: Vec<Json> = listed.iter().filter(|e| !is_ours(e)).cloned().collect();
    extensions.push(
        Object::new()
            .with("uri", handoff::EXTENSION)
            .with(
                "description",
                "A task is handed over by a signed offer in the message's metadata.",
            )
            .into(),
    );
    capabilities.insert("extensions", extensions);
    card.insert("capabilities", capabilities);
    card.insert("securitySchemes", Object::new().with(SCHEME, scheme(place)));
    let named = Object::new().with(SCHEME, Object::new());
    card.insert("securityRequirements", vec![Json::from(Object::new().with("schemes", named))]);
    let skills = card.member("skills").and_then(Json::as_array).unwrap_or_default();
    let skills = skills.iter().filter_map(Json::as_object).map(|skill| {
        let mut skill = skill.clone();
        skill.remove("securityRequirements");
        Json::from(skill)
    });
    let skills: Vec<Json> = skills.collect();
    card.insert("skills", skills);
    card
}

/// An access token that is bound to a key (RFC 9449), or a delegation's chain.
fn scheme(place: &Place<'_>) -> Json {
    let mut http = Object::new()
        .with("description", "An access token for this agent with a DPoP proof, or a chain of delegation tokens in AAT-Chain with a proof over the request in AAT-PoP.")
        .with("scheme", "DPoP");
    if let Some(metadata) = place.metadata {
        http.insert("bearerFormat", format!("JWT of {metadata}"));
    }
    Object::new().with("httpAuthSecurityScheme", http).into()
}
