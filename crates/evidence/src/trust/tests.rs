use super::*;
use bailiwick_core::crypto::{Signer, SigningKey};

fn public(seed: u8) -> PublicKey {
    SigningKey::from_seed(&[seed; 32]).unwrap().public_key()
}

/// RFC 7515 §A.3.1.
fn provider_key() -> ThirdPartyKey {
    let jwk = Object::new()
        .with("kty", "EC")
        .with("crv", "P-256")
        .with("x", "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU")
        .with("y", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    ThirdPartyKey::from_jwk(&jwk).unwrap()
}

fn trust() -> Trust {
    Trust {
        org: OrgId::parse("default").unwrap(),
        issuers: vec![IssuerKey {
            uri: "http://localhost:4000".into(),
            key: public(1),
            validity: Validity::ALWAYS,
        }],
        log: LogKey::new("localhost/log", *public(2).as_bytes()).unwrap(),
        makers: vec![
            Maker {
                id: "authority:a".into(),
                key: public(3),
                role: Role::Authority,
                validity: Validity {
                    not_before: Some(Timestamp::from_seconds(1_000)),
                    not_after: Some(Timestamp::from_seconds(2_000)),
                },
            },
            Maker {
                id: "gateway:g".into(),
                key: public(4),
                role: Role::Gateway,
                validity: Validity::ALWAYS,
            },
        ],
        witnesses: vec![WitnessKey::new("witness.example/w", *public(5).as_bytes()).unwrap()],
        quorum: 1,
        audiences: vec!["http://localhost:4000/mcp".into()],
        approvers: Some(Approvers {
            rp_id: "localhost".into(),
            origins: vec!["http://localhost:4000".into()],
        }),
        id_tokens: vec![IdTokenKey {
            issuer: "https://login.example".into(),
            client_id: "console".into(),
            key: provider_key(),
            validity: Validity {
                not_before: None,
                not_after: Some(Timestamp::from_seconds(3_000)),
            },
        }],
        identities: vec![IdentityIssuer {
            issuer: "http://localhost:4000".into(),
            trust_domain: "localhost".into(),
            key: identity_key(),
            validity: Validity::default(),
        }],
    }
}

/// The key of RFC 7517 §A.1.
fn identity_key() -> bailiwick_core::crypto::P256PublicKey {
    let jwk = Object::new()
        .with("kty", "EC")
        .with("crv", "P-256")
        .with("x", "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4")
        .with("y", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM");
    bailiwick_core::crypto::P256PublicKey::from_jwk(&jwk).unwrap()
}

fn text(trust: &Trust) -> String {
    trust.to_json().canonical()
}

#[test]
fn a_trust_file_reads_back_and_its_fingerprint_is_of_its_content() {
    let trust = trust();
    let read = Trust::parse(text(&trust).as_bytes()).unwrap();
    assert_eq!(read, trust);
    let print = trust.fingerprint();
    assert_eq!(print.len(), 16 * 5 - 1);
    assert!(trust.has_fingerprint(&print.to_uppercase().replace('-', " ")));
    assert!(!trust.has_fingerprint(&print[..print.len() - 1]));
    assert!(!trust.has_fingerprint(""));
    let mut other = trust.clone();
    other.quorum = 0;
    assert!(!other.has_fingerprint(&print));
    // White space and member order do not matter, content does.
    let spaced = text(&trust).replace(",\"", ", \"");
    assert_eq!(Trust::parse(spaced.as_bytes()).unwrap().fingerprint(), print);
}

#[test]
fn unknown_missing_and_malformed_members_are_refused_by_name() {
    let good = text(&trust());
    for (from, to, member) in [
        ("\"quorum\":1", "\"quorum\":1,\"more\":1", "more"),
        ("\"quorum\":1,", "", "quorum"),
        ("\"quorum\":1", "\"quorum\":2", "quorum"),
        ("\"quorum\":1", "\"quorum\":-1", "quorum"),
        ("\"role\":\"gateway\"", "\"role\":\"admin\"", "makers[1].role"),
        ("\"role\":\"gateway\"", "\"role\":\"gateway\",\"x\":1", "makers[1].x"),
        ("\"v\":1", "\"v\":2", "v"),
        ("bailiwick-trust", "bailiwick-evidence", "kind"),
        ("\"origin\":\"localhost/log\"", "\"origin\":\"other/log\"", "log.origin"),
        ("1970-01-01T00:33:20.000Z", "1970-01-01T00:03:20.000Z", "makers[0].not_after"),
        ("1970-01-01T00:33:20.000Z", "later", "makers[0].not_after"),
        ("\"kty\":\"OKP\"", "\"d\":\"AA\",\"kty\":\"OKP\"", "issuers[0].jwk"),
        ("\"kty\":\"OKP\"", "\"kid\":\"AA\",\"kty\":\"OKP\"", "issuers[0].jwk"),
    ] {
        assert!(good.contains(from), "{from}");
        let bad = good.replacen(from, to, 1);
        let expected = TrustError::Member { member: member.to_owned() };
        assert_eq!(Trust::parse(bad.as_bytes()), Err(expected), "{to}");
    }
    assert!(matches!(Trust::parse(b"{\"v\":1,\"v\":1}"), Err(TrustError::Json(_))));
}

#[test]
fn one_name_or_one_key_for_two_makers_at_a_time_is_ambiguous() {
    let mut two = trust();
    two.makers[1].key = public(3);
    assert!(matches!(two.check(), Err(TrustError::Ambiguous { .. })));
    let mut rotated = trust();
    rotated.makers[1].id = "authority:a".into();
    assert!(matches!(rotated.check(), Err(TrustError::Ambiguous { .. })));
    rotated.makers[1].validity.not_before = Some(Timestamp::from_seconds(2_000));
    assert_eq!(rotated.check(), Ok(()));
    let key_at = |s| rotated.maker_at("authority:a", Timestamp::from_seconds(s)).map(|m| m.key);
    assert_eq!(key_at(999), None);
    assert_eq!(key_at(1_999), Some(public(3)));
    assert_eq!(key_at(2_000), Some(public(4)));
    let mut shared = trust();
    shared.issuers.push(IssuerKey { uri: "https://other".into(), ..shared.issuers[0].clone() });
    assert!(matches!(shared.check(), Err(TrustError::Ambiguous { .. })));
}

#[test]
fn a_file_from_before_there_were_logins_still_reads() {
    let mut older = trust();
    older.id_tokens.clear();
    assert!(!text(&older).contains("id_tokens"));
    assert_eq!(Trust::parse(text(&older).as_bytes()), Ok(older));
}

#[test]
fn a_providers_key_is_public_and_written_in_one_way() {
    let good = text(&trust());
    for (from, to) in [
        (r#""kty":"EC""#, r#""d":"AA","kty":"EC""#),
        (r#""kty":"EC""#, r#""kid":"k","kty":"EC""#),
        (r#""crv":"P-256""#, r#""crv":"P-384""#),
        (r#"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"#, "AAAA"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        let refusal = Trust::parse(bad.as_bytes()).unwrap_err();
        assert_eq!(refusal, TrustError::Member { member: "id_tokens[0].jwk".into() }, "{to}");
    }
    let bad = good.replacen(r#""client_id":"#, r#""client":"#, 1);
    assert!(Trust::parse(bad.as_bytes()).is_err());
}
