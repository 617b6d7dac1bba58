//! The list of RFC 9449 §4.3, one thing changed at a time, and both edges of
//! the window.

use super::*;
use crate::crypto::{SigningKey, fresh_p256};

const NOW: i64 = 1_800_000_000;
const URI: &str = "https://gateway.example/mcp/desk";
const LEAF: &str = "header.payload.signature";

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32]).unwrap()
}

fn header() -> Object {
    Object::new().with("alg", "Ed25519").with("jwk", key(1).public_key().to_jwk()).with("typ", TYPE)
}

fn claims() -> Object {
    Object::new()
        .with("ath", access_token_hash(LEAF))
        .with("htm", "POST")
        .with("htu", URI)
        .with("iat", NOW)
        .with("jti", "one")
}

/// Signs header and claims as they are written.
fn signed_text(header: &str, claims: &str, signer: &SigningKey) -> String {
    let input = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    let signature = base64url(&signer.sign(input.as_bytes()));
    format!("{input}.{signature}")
}

fn signed(header: &Object, claims: &Object) -> String {
    let text = |o: &Object| Json::from(o.clone()).canonical();
    signed_text(&text(header), &text(claims), &key(1))
}

fn judged(proof: &str) -> Result<Accepted, Denial> {
    judged_at(proof, NOW, URI)
}

fn judged_at(proof: &str, now: i64, uri: &str) -> Result<Accepted, Denial> {
    let request = Request { proof, method: "POST", uri };
    Unproved::parse(&request)?.verify(
        &key(1).public_key(),
        LEAF,
        Timestamp::from_seconds(now),
        &ChainLimits::DEFAULT,
    )
}

/// The proof is invalid, and this is what is wrong with it.
#[track_caller]
fn refused(proof: &str, subject: &str) {
    let expected = Denial::new(Reason::ProofInvalid).about(subject);
    assert_eq!(judged(proof).unwrap_err(), expected, "{proof}");
}

fn with_header(name: &str, value: impl Into<Json>) -> String {
    signed(&header().with(name, value), &claims())
}

fn with_claim(name: &str, value: impl Into<Json>) -> String {
    signed(&header(), &claims().with(name, value))
}

#[test]
fn a_proof_as_this_crate_makes_it_is_accepted() {
    let proof = prove(&key(1), "one", Timestamp::from_seconds(NOW), "POST", URI, LEAF);
    let accepted = Accepted { jti: "one".to_owned(), iat: NOW };
    assert_eq!(judged(&proof), Ok(accepted.clone()));
    assert_eq!(judged(&signed(&header(), &claims())), Ok(accepted));
}

#[test]
fn both_names_of_ed25519_are_accepted_and_no_other_algorithm() {
    assert!(judged(&with_header("alg", "EdDSA")).is_ok());
    for alg in [
        "none", "None", "HS256", "HS512", "ES256", "ES256K", "RS256", "PS256", "Ed448", "ed25519",
        "EDDSA", "Ed25519 ", "",
    ] {
        refused(&with_header("alg", alg), "alg");
    }
    refused(&with_header("alg", Json::Null), "alg");
    refused(&with_header("alg", vec![Json::from("Ed25519")]), "alg");
    let mut without = header();
    without.remove("alg");
    refused(&signed(&without, &claims()), "alg");
}

#[test]
fn an_unsigned_proof_is_refused_under_every_algorithm() {
    for alg in ["Ed25519", "EdDSA"] {
        let proof = with_header("alg", alg);
        let (input, _) = proof.rsplit_once('.').unwrap();
        for signature in [String::new(), base64url(&[0; 64]), base64url(&[0; 63])] {
            refused(&format!("{input}.{signature}"), "signature");
        }
    }
    // HS256 with the public key as the secret would be the classic confusion.
    refused(&with_header("alg", "HS256"), "alg");
}

#[test]
fn the_type_is_exact() {
    for typ in ["DPoP+jwt", "dpop+JWT", "application/dpop+jwt", "aat-pop+jwt", "jwt", ""] {
        refused(&with_header("typ", typ), "typ");
    }
    let mut without = header();
    without.remove("typ");
    refused(&signed(&without, &claims()), "typ");
}

#[test]
fn critical_parameters_and_other_places_of_keys_are_refused() {
    for crit in [vec![Json::from("exp")], vec![Json::from("b64")], vec![]] {
        refused(&with_header("crit", crit), "crit");
    }
    refused(&with_header("crit", Json::Null), "crit");
    refused(&with_header("b64", false), "b64");
    refused(&with_header("jku", "https://evil.example/keys"), "jku");
    refused(&with_header("x5u", "https://evil.example/chain"), "x5u");
    refused(&with_header("x5c", vec![Json::from("AA")]), "x5c");
    // A hint that says nothing about the key's place is let be.
    assert!(judged(&with_header("kid", "other")).is_ok());
}

#[test]
fn the_key_is_public_complete_and_the_leafs() {
    let jwk = key(1).public_key().to_jwk();
    for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        refused(&with_header("jwk", jwk.clone().with(private, "AA")), "jwk");
        refused(&with_header("jwk", jwk.clone().with(private, Json::Null)), "jwk");
    }
    for (member, value) in [("kty", "EC"), ("crv", "P-256"), ("crv", "X25519"), ("x", "AA")] {
        refused(&with_header("jwk", jwk.clone().with(member, value)), "jwk");
    }
    for member in ["kty", "crv", "x"] {
        let mut partial = jwk.clone();
        partial.remove(member);
        refused(&with_header("jwk", partial), "jwk");
    }
    refused(&with_header("jwk", base64url(key(1).public_key().as_bytes())), "jwk");
    // The point whose signatures hold for every message.
    let mut weak = [0; 32];
    weak[0] = 1;
    refused(&with_header("jwk", jwk.with("x", base64url(&weak))), "jwk");
    let mut without = header();
    without.remove("jwk");
    refused(&signed(&without, &claims()), "jwk");
    // Another's key, with its own good signature and with the leaf's.
    let other = header().with("jwk", key(2).public_key().to_jwk());
    let text = |o: &Object| Json::from(o.clone()).canonical();
    refused(&signed_text(&text(&other), &text(&claims()), &key(2)), "jwk");
    refused(&signed(&other, &claims()), "jwk");
    // The leaf's key, with another's signature.
    refused(&signed_text(&text(&header()), &text(&claims()), &key(2)), "signature");
}

#[test]
fn a_member_that_stands_twice_is_refused_wherever_it_stands() {
    let text = |o: &Object| Json::from(o.clone()).canonical();
    let (header, claims) = (text(&header()), text(&claims()));
    let doubled = |text: &str, member: &str| text.replacen('{', &format!("{{{member},"), 1);
    for member in [r#""alg":"Ed25519""#, r#""alg":"none""#, r#""\u0061lg":"none""#, r#""typ":1"#] {
        refused(&signed_text(&doubled(&header, member), &claims, &key(1)), "header");
    }
    let jwk = header.replacen(r#""crv""#, r#""x":"AA","crv""#, 1);
    refused(&signed_text(&jwk, &claims, &key(1)), "header");
    for member in [r#""jti":"two""#, r#""htm":"GET""#, r#""\u0069at":0"#, r#""x":{"y":1,"y":2}"#] {
        refused(&signed_text(&header, &doubled(&claims, member), &key(1)), "claims");
    }
}

#[test]
fn what_is_no_compact_form_no_json_or_no_object_is_refused() {
    let good = signed(&header(), &claims());
    let malformed = |text: &str| {
        let denial = judged(text).unwrap_err();
        assert_eq!(denial.reason, Reason::PresentationMalformed, "{text}");
    };
    for text in ["", "x", "..", "a.b"] {
        assert!(judged(text).is_err(), "{text}");
    }
    malformed(&good.replace('.', ""));
    malformed(&format!("{good}="));
    malformed(&format!("{good}.{good}"));
    malformed(&format!(" {good}"));
    malformed(&good.replacen('.', "..", 1));
    for text in ["[]", "null", "{", "\u{feff}{}", "{\"a\":1e999}"] {
        refused(&signed_text(text, "{}", &key(1)), "header");
    }
    let header = Json::from(header()).canonical();
    for text in ["[]", "null", "{", "{\"a\":\"\\ud800\"}"] {
        refused(&signed_text(&header, text, &key(1)), "claims");
    }
    malformed(&signed_text(&header, "", &key(1)));
    let long = with_claim("more", "x".repeat(4096));
    assert_eq!(judged(&long).unwrap_err().reason, Reason::TokenTooLarge);
}

#[test]
fn every_claim_must_be_there_filled_and_of_its_type() {
    for claim in ["ath", "htm", "htu", "iat", "jti"] {
        let mut without = claims();
        without.remove(claim);
        refused(&signed(&header(), &without), claim);
        refused(&with_claim(claim, ""), claim);
        refused(&with_claim(claim, Json::Null), claim);
        refused(&with_claim(claim, vec![Json::from("POST")]), claim);
    }
    refused(&with_claim("jti", 1u64), "jti");
    let claims = Json::from(claims()).canonical();
    for iat in ["1.8e9", "1800000000.0", "\"1800000000\"", "true", "1800000000.5"] {
        let odd = claims.replace("1800000000", iat);
        refused(&signed_text(&Json::from(header()).canonical(), &odd, &key(1)), "iat");
    }
}

#[test]
fn the_method_is_the_requests_as_it_was_written() {
    for method in ["GET", "post", "Post", " POST", "POST "] {
        refused(&with_claim("htm", method), "htm");
    }
}

#[test]
fn the_address_is_the_requests_in_every_part() {
    for other in [
        "https://gateway.example/mcp/desk?",
        "https://gateway.example/mcp/desk?a=b",
        "https://gateway.example/mcp/desk#",
        "https://gateway.example/mcp/desk#a",
        "https://gateway.example/mcp/desk/",
        "https://gateway.example/mcp/Desk",
        "https://gateway.example/mcp/des%6b",
        "https://gateway.example/mcp/./desk",
        "https://gateway.example//mcp/desk",
        "https://gateway.example/mcp",
        "https://gateway.example",
        "https://gateway.example:8443/mcp/desk",
        "https://gateway.example:80/mcp/desk",
        "https://gateway.example:/mcp/desk",
        "https://gateway.example./mcp/desk",
        "https://user@gateway.example/mcp/desk",
        "https://gateway.example\\@evil.example/mcp/desk",
        "https://gateway.example@evil.example/mcp/desk",
        "https:\\\\gateway.example\\mcp\\desk",
        "https:/gateway.example/mcp/desk",
        "https:///gateway.example/mcp/desk",
        "http://gateway.example/mcp/desk",
        "//gateway.example/mcp/desk",
        "gateway.example/mcp/desk",
        "/mcp/desk",
        " https://gateway.example/mcp/desk",
        "https://gateway.example/mcp/desk ",
        "https://g\u{430}teway.example/mcp/desk",
        "https://evil.example/mcp/desk",
    ] {
        refused(&with_claim("htu", other), "htu");
    }
}

#[test]
fn spellings_that_every_reader_takes_for_the_same_address_are_one() {
    for same in [
        "HTTPS://gateway.example/mcp/desk",
        "https://Gateway.EXAMPLE/mcp/desk",
        "https://gateway.example:443/mcp/desk",
    ] {
        let proof = with_claim("htu", same);
        assert!(judged(&proof).is_ok(), "{same}");
        // The configured address may be the one that is spelled oddly.
        assert!(judged_at(&signed(&header(), &claims()), NOW, same).is_ok(), "{same}");
    }
    for (stated, configured) in [
        ("http://localhost:80/", "http://localhost"),
        ("http://localhost:7417/mcp/a", "http://LOCALHOST:7417/mcp/a"),
        ("http://[::1]:80/mcp/a", "http://[::1]/mcp/a"),
    ] {
        assert!(judged_at(&with_claim("htu", stated), NOW, configured).is_ok(), "{stated}");
    }
    let other_port = with_claim("htu", "http://localhost:74170/mcp/a");
    assert!(judged_at(&other_port, NOW, "http://localhost:7417/mcp/a").is_err());
    let deeper = with_claim("htu", "http://localhost:7417/mcp/a:80");
    assert!(judged_at(&deeper, NOW, "http://localhost:7417/mcp/a").is_err());
}

#[test]
fn the_hash_is_that_of_the_leaf() {
    refused(&with_claim("ath", access_token_hash("another.leaf.token")), "ath");
    refused(&with_claim("ath", format!("{}=", access_token_hash(LEAF))), "ath");
    refused(&with_claim("ath", LEAF), "ath");
}

#[test]
fn the_window_holds_at_both_edges() {
    let limits = ChainLimits::DEFAULT;
    let at = |iat: i64| judged(&with_claim("iat", iat)).map(|a| a.iat);
    for inside in [NOW - limits.pop_window, NOW, NOW + limits.pop_window] {
        assert_eq!(at(inside), Ok(inside));
    }
    let stale = Denial::new(Reason::ProofNotFresh).about("DPoP");
    for outside in [
        NOW - limits.pop_window - 1,
        NOW + limits.pop_window + 1,
        0,
        -NOW,
        (1 << 53) - 1,
        1 - (1 << 53),
    ] {
        assert_eq!(at(outside), Err(stale.clone()), "{outside}");
    }
}

#[test]
fn the_window_is_that_of_the_limits() {
    let limits = ChainLimits { pop_window: 1, ..ChainLimits::DEFAULT };
    let judged = |iat: i64| {
        let proof = with_claim("iat", iat);
        let request = Request { proof: &proof, method: "POST", uri: URI };
        let now = Timestamp::from_seconds(NOW);
        Unproved::parse(&request)?.verify(&key(1).public_key(), LEAF, now, &limits)
    };
    assert!(judged(NOW + 1).is_ok() && judged(NOW - 1).is_ok());
    assert!(judged(NOW + 2).is_err() && judged(NOW - 2).is_err());
}

/// Proofs that are not a leaf's: at the token endpoint and with access tokens.
mod of_any_key {
    use super::*;

    const TOKEN: &str = "an.access.token";
    const MOMENT: Moment<'static> =
        Moment { now: Timestamp::from_seconds(NOW), window_seconds: 60, nonces: Nonces::NotAsked };
    const OCCASION: Occasion<'static> = Occasion {
        jti: "one",
        now: Timestamp::from_seconds(NOW),
        method: "POST",
        uri: URI,
        token: None,
        nonce: None,
    };

    fn request(proof: &str) -> Request<'_> {
        Request { proof, method: "POST", uri: URI }
    }

    fn for_key(proof: &str) -> Result<Possession, Denial> {
        verify_for_key(&request(proof), &MOMENT)
    }

    #[test]
    fn a_key_of_either_kind_proves_itself_at_the_token_endpoint() {
        let (ed, es) = (key(1), fresh_p256());
        let signers: [&dyn JwsSigner; 2] = [&ed, &es];
        for signer in signers {
            let expected = Possession {
                key: signer.verifying_key(),
                thumbprint: signer.verifying_key().thumbprint(),
                jti: "one".to_owned(),
                iat: NOW,
                nonce: None,
            };
            assert_eq!(for_key(&OCCASION.prove(signer).unwrap()), Ok(expected));
        }
    }

    #[test]
    fn the_algorithm_is_that_of_the_key() {
        let (ed, es) = (key(1), fresh_p256());
        let ed_jwk = Object::new().with("jwk", ed.verifying_key().to_jwk()).with("typ", TYPE);
        let proof = jose::sign_with(ed_jwk, &OCCASION.claims(), &es).unwrap();
        assert_eq!(for_key(&proof), Err(bad("alg")));
        let es_jwk = Object::new().with("jwk", es.verifying_key().to_jwk()).with("typ", TYPE);
        let proof = jose::sign_with(es_jwk.clone(), &OCCASION.claims(), &ed).unwrap();
        assert_eq!(for_key(&proof), Err(bad("alg")));
        // Another key's signature under this key.
        let proof = jose::sign_with(es_jwk, &OCCASION.claims(), &fresh_p256()).unwrap();
        assert_eq!(for_key(&proof), Err(bad("signature")));
    }

    #[test]
    fn a_private_or_off_curve_key_is_refused() {
        let es = fresh_p256();
        let jwk = es.verifying_key().to_jwk();
        for jwk in [jwk.clone().with("d", "AA"), jwk.with("y", base64url(&[7; 32]))] {
            let header = Object::new().with("jwk", jwk).with("typ", TYPE);
            let proof = jose::sign_with(header, &OCCASION.claims(), &es).unwrap();
            assert_eq!(for_key(&proof), Err(bad("jwk")));
        }
    }

    #[test]
    fn with_a_token_the_hash_and_the_bound_key_must_agree() {
        let es = fresh_p256();
        let bound_to = es.verifying_key().thumbprint();
        let judged = |proof: &str, token: &str, bound_to: &Thumbprint| {
            verify_bound(&request(proof), bound_to, token, &MOMENT).map(drop)
        };
        let good = Occasion { token: Some(TOKEN), ..OCCASION }.prove(&es).unwrap();
        assert_eq!(judged(&good, TOKEN, &bound_to), Ok(()));
        assert_eq!(judged(&good, "another.access.token", &bound_to), Err(bad("ath")));
        let other = key(1).verifying_key().thumbprint();
        assert_eq!(judged(&good, TOKEN, &other), Err(bad("jwk")));
        let without = OCCASION.prove(&es).unwrap();
        assert_eq!(judged(&without, TOKEN, &bound_to), Err(bad("ath")));
    }

    #[test]
    fn a_nonce_that_was_asked_for_must_be_one_that_was_supplied() {
        let es = fresh_p256();
        let accepted = ["n1".to_owned(), "n2".to_owned()];
        let moment = Moment { nonces: Nonces::OneOf(&accepted), ..MOMENT };
        let judged = |nonce: Option<&str>| {
            let proof = Occasion { nonce, ..OCCASION }.prove(&es).unwrap();
            verify_for_key(&request(&proof), &moment).map(|p| p.nonce)
        };
        assert_eq!(judged(Some("n2")), Ok(Some("n2".to_owned())));
        let asked = Denial::new(Reason::ProofNonce).about("DPoP");
        for nonce in [None, Some("n3"), Some("")] {
            assert_eq!(judged(nonce), Err(asked.clone()));
        }
        // Nothing is asked where nobody is known to hold the key.
        let stale = Occasion { now: Timestamp::from_seconds(NOW - 61), ..OCCASION };
        let refusal = verify_for_key(&request(&stale.prove(&es).unwrap()), &moment);
        assert_eq!(refusal.unwrap_err().reason, Reason::ProofNotFresh);
        let odd = Json::from(OCCASION.claims().as_object().unwrap().clone().with("nonce", 1u64));
        let header = Object::new().with("jwk", es.verifying_key().to_jwk()).with("typ", TYPE);
        assert_eq!(for_key(&jose::sign_with(header, &odd, &es).unwrap()), Err(bad("nonce")));
    }

    #[test]
    fn method_address_and_window_hold_here_too() {
        let es = fresh_p256();
        let judged = |occasion: Occasion<'_>| for_key(&occasion.prove(&es).unwrap()).map(drop);
        assert_eq!(judged(Occasion { method: "GET", ..OCCASION }), Err(bad("htm")));
        assert_eq!(judged(Occasion { uri: "https://evil.example/", ..OCCASION }), Err(bad("htu")));
        assert_eq!(judged(Occasion { jti: "", ..OCCASION }), Err(bad("jti")));
        for (seconds, inside) in [(-61, false), (-60, true), (60, true), (61, false)] {
            let now = Timestamp::from_seconds(NOW + seconds);
            assert_eq!(judged(Occasion { now, ..OCCASION }).is_ok(), inside, "{seconds}");
        }
    }

    #[test]
    fn any_flipped_byte_is_refused() {
        let good = OCCASION.prove(&fresh_p256()).unwrap();
        for i in 0..good.len() {
            let mut flipped = good.clone().into_bytes();
            flipped[i] ^= 1;
            let Ok(flipped) = String::from_utf8(flipped) else { continue };
            assert!(for_key(&flipped).is_err(), "byte {i}");
        }
    }
}
