use bailiwick_core::crypto::{PublicKey, Signer as _, SigningKey};
use bailiwick_core::jose::sign_with;
use bailiwick_core::limits::JsonLimits;

use super::*;
use crate::a2a::handoff;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

fn public(seed: u8) -> VerifyingKey {
    let public: PublicKey = key(seed).public_key();
    public.into()
}

fn json(text: &str) -> Json {
    Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap()
}

const CARD: &str = r#"{"name":"Billing","description":"Answers refund questions, für alle.",
    "version":"1.0","supportedInterfaces":[{"url":"https://peer.example/rpc",
    "protocolBinding":"JSONRPC","protocolVersion":"1.0"}],"capabilities":{"streaming":false},
    "securitySchemes":{"oauth":{"httpAuthSecurityScheme":{"scheme":"Bearer"}}},
    "securityRequirements":[{"schemes":{"oauth":{"list":[]}}}],
    "defaultInputModes":["text/plain"],"skills":[]}"#;

/// `text` with a signature by `seed` over it.
fn signed_as(text: &str, header: Object, seed: u8) -> Json {
    let Json::Object(mut card) = json(text) else { panic!() };
    let read = messages::CARD.read(&card, Unknown::Dropped).unwrap();
    let compact = sign_with(header, &signed_form(&read), &key(seed)).unwrap();
    let mut parts = compact.split('.');
    let (protected, signature) = (parts.next().unwrap(), parts.nth(1).unwrap());
    let one = Object::new().with("protected", protected).with("signature", signature);
    card.insert("signatures", vec![Json::from(one)]);
    card.into()
}

fn header() -> Object {
    Object::new().with("typ", "JOSE").with("kid", "k")
}

fn signed(text: &str, seed: u8) -> Json {
    signed_as(text, header(), seed)
}

fn read(card: &Json, keys: &[VerifyingKey], at: &str) -> Result<Card, &'static str> {
    let card = Presented::read(card).and_then(|p| p.verify(keys));
    card.and_then(|c| c.at(&Url::parse(at).unwrap())).map_err(|e| e.code())
}

const AT: &str = "https://peer.example/.well-known/agent-card.json";

#[test]
fn a_card_counts_under_a_registered_key_at_its_catalogued_address() {
    let card = read(&signed(CARD, 1), &[public(2), public(1)], AT).unwrap();
    assert_eq!(card.interface().url.as_str(), "https://peer.example/rpc");
}

#[test]
fn an_unsigned_card_or_one_by_another_key_counts_for_nothing() {
    assert_eq!(read(&json(CARD), &[public(1)], AT), Err("card-unsigned"));
    assert_eq!(read(&signed(CARD, 2), &[public(1)], AT), Err("card-signer-unknown"));
    assert_eq!(read(&signed(CARD, 1), &[], AT), Err("card-signer-unknown"));
}

#[test]
fn a_header_of_another_kind_of_token_or_without_a_key_id_counts_for_nothing() {
    for header in [
        Object::new().with("typ", "JWT").with("kid", "k"),
        Object::new().with("typ", "JOSE"),
        header().with("crit", vec![Json::from("b64")]),
    ] {
        let card = signed_as(CARD, header, 1);
        assert_eq!(read(&card, &[public(1)], AT), Err("card-signer-unknown"));
    }
}

#[test]
fn an_address_of_keys_inside_a_card_is_ignored() {
    let card = signed_as(CARD, header().with("jku", "https://evil.example/keys"), 2);
    assert_eq!(read(&card, &[public(1)], AT), Err("card-signer-unknown"));
    assert!(read(&card, &[public(2)], AT).is_ok());
}

#[test]
fn a_copied_card_leads_nowhere_else_than_to_its_owner() {
    let card = signed(CARD, 1);
    for at in
        ["https://evil.example/card", "http://peer.example/card", "https://peer.example:8443/"]
    {
        assert_eq!(read(&card, &[public(1)], at), Err("card-elsewhere"), "{at}");
    }
}

#[test]
fn every_flipped_member_ends_the_signature() {
    let Json::Object(card) = signed(CARD, 1) else { panic!() };
    for (member, value) in [
        ("name", Json::from("Billing2")),
        ("description", Json::from("x")),
        ("capabilities", Object::new().with("streaming", true).into()),
        ("securitySchemes", Object::new().into()),
        ("skills", json(r#"[{"id":"x"}]"#)),
    ] {
        let changed = card.clone().with(member, value);
        let found = read(&changed.into(), &[public(1)], AT);
        assert_eq!(found, Err("card-signer-unknown"), "{member}");
    }
}

#[test]
fn what_is_empty_is_outside_the_signature_and_inside_the_pin() {
    let Json::Object(card) = signed(CARD, 1) else { panic!() };
    let agent = AgentId::parse("agent:billing").unwrap();
    let plain = read(&card.clone().into(), &[public(1)], AT).unwrap();
    let pin = |card: &Card| Definition::of_card(&card.definition(&agent, &[])).unwrap();
    // Nobody has to prove anything: an empty way in beside the others, or none. A
    // requirement without scopes is empty for the libraries, and not signed.
    for open in [r#"[{"schemes":{"oauth":{"list":[]}}},{}]"#, "[]"] {
        let open = card.clone().with("securityRequirements", json(open));
        let open = read(&open.into(), &[public(1)], AT).unwrap();
        assert_ne!(pin(&plain).digest(), pin(&open).digest());
        assert!(is_weaker(&pin(&plain), &pin(&open)));
    }
}

#[test]
fn a_card_that_asks_less_of_callers_is_weaker() {
    let agent = AgentId::parse("agent:billing").unwrap();
    let pin = |text: &str| {
        let card = read(&signed(text, 1), &[public(1)], AT).unwrap();
        Definition::of_card(&card.definition(&agent, &[])).unwrap()
    };
    let before = pin(CARD);
    for (from, to, weaker) in [
        (
            r#""securityRequirements":[{"schemes":{"oauth":{"list":[]}}}]"#,
            r#""securityRequirements":[]"#,
            true,
        ),
        (r#""scheme":"Bearer""#, r#""scheme":"Basic""#, true),
        ("\"version\":\"1.0\"", "\"version\":\"1.1\"", false),
    ] {
        let changed = CARD.replace(from, to);
        assert_ne!(changed, CARD);
        assert_eq!(is_weaker(&before, &pin(&changed)), weaker, "{to}");
    }
}

#[test]
fn only_a_json_rpc_interface_of_this_version_is_called() {
    for (from, to) in [
        ("JSONRPC", "GRPC"),
        (r#""protocolVersion":"1.0""#, r#""protocolVersion":"0.3""#),
        (r#","protocolVersion":"1.0""#, ""),
    ] {
        let card = signed(&CARD.replacen(from, to, 1), 1);
        assert_eq!(read(&card, &[public(1)], AT), Err("card-interface-missing"), "{to}");
    }
}

#[test]
fn a_published_card_names_the_gateway_and_nothing_of_the_agents_own_way_in() {
    let agent = AgentId::parse("agent:billing").unwrap();
    let card = read(&signed(CARD, 1), &[public(1)], AT).unwrap();
    let pin = Definition::of_card(&card.definition(&agent, &[public(1)])).unwrap();
    let accepted = Accepted::of(&pin).unwrap();
    assert_eq!((&accepted.agent, accepted.keys.len()), (&agent, 1));
    let place = Place { url: "https://gate.example/a2a/billing", metadata: None, pushes: false };
    let ours = published(&accepted, &place);
    let text = Json::from(ours.clone()).canonical();
    assert!(!text.contains("peer.example") && !text.contains("oauth"), "{text}");
    assert!(text.contains(handoff::EXTENSION) && text.contains("https://gate.example/a2a/billing"));
    // It is a card.
    assert_eq!(messages::CARD.read(&ours, Unknown::Refused).map(|_| ()), Ok(()));
}
