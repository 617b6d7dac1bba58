//! RFC 8725, one rule at a time, and what RFC 7515 and 7517 leave to us.

use super::*;
use crate::crypto::{SigningKey, base64url, fresh_p256, from_base64url};

const TYPE: &str = "test+jwt";
const MAX: usize = 8192;

fn ed(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32]).unwrap()
}

fn header() -> Object {
    Object::new().with("typ", TYPE)
}

fn claims() -> Json {
    Object::new().with("iss", "me").with("n", 1u64).into()
}

fn typed() -> HeaderRules<'static> {
    HeaderRules::typed(&[TYPE])
}

fn read(text: &str, rules: &HeaderRules<'_>, key: &dyn Verifier) -> Result<Object, JoseError> {
    Jws::parse(text, MAX)?.check_header(rules)?.verify(key)
}

/// Signs header and payload as they are written.
fn raw(header: &str, payload: &str, signer: &dyn JwsSigner) -> String {
    let input = format!("{}.{}", base64url(header.as_bytes()), base64url(payload.as_bytes()));
    let signature = base64url(&signer.sign_jws(input.as_bytes()).unwrap());
    format!("{input}.{signature}")
}

#[track_caller]
fn refused_header(header: &str, parameter: &'static str) {
    let key = ed(1);
    let text = raw(header, "{}", &key);
    let refusal = read(&text, &typed(), &key.verifying_key());
    assert_eq!(refusal, Err(JoseError::Header { parameter }), "{header}");
}

#[test]
fn what_is_signed_here_is_read_here_under_its_own_key_only() {
    let (ed_key, es_key) = (ed(1), fresh_p256());
    let signers: [&dyn JwsSigner; 2] = [&ed_key, &es_key];
    for signer in signers {
        let text = sign(TYPE, Some("k1"), &claims(), signer).unwrap();
        let jws = Jws::parse(&text, MAX).unwrap();
        assert_eq!(jws.claim_hint("iss").as_deref(), Some("me"));
        let jws = jws.check_header(&typed()).unwrap();
        assert_eq!((jws.kid(), jws.typ()), (Some("k1"), Some(TYPE)));
        let key = signer.verifying_key();
        assert_eq!(Json::from(jws.verify(&key).unwrap()), claims());
        assert!(jws.verify(&ed(2).verifying_key()).is_err());
        assert!(jws.verify(&fresh_p256().verifying_key()).is_err());
    }
}

#[test]
fn a_key_of_another_kind_refuses_the_algorithm_before_the_signature() {
    let text = sign(TYPE, None, &claims(), &ed(1)).unwrap();
    let other = fresh_p256().verifying_key();
    assert_eq!(read(&text, &typed(), &other), Err(JoseError::Algorithm));
    let text = sign(TYPE, None, &claims(), &fresh_p256()).unwrap();
    assert_eq!(read(&text, &typed(), &ed(1).verifying_key()), Err(JoseError::Algorithm));
}

#[test]
fn both_names_of_ed25519_are_accepted_and_no_other_algorithm() {
    let key = ed(1);
    let with = |alg: &str| raw(&format!(r#"{{"alg":"{alg}","typ":"{TYPE}"}}"#), "{}", &key);
    for alg in ["Ed25519", "EdDSA"] {
        assert!(read(&with(alg), &typed(), &key.verifying_key()).is_ok());
    }
    for alg in [
        "none", "None", "NONE", "nOnE", "HS256", "HS384", "HS512", "ES256", "RS256", "PS256",
        "ed25519", "",
    ] {
        let refusal = read(&with(alg), &typed(), &key.verifying_key());
        assert_eq!(refusal, Err(JoseError::Algorithm), "{alg}");
    }
    refused_header(&format!(r#"{{"typ":"{TYPE}"}}"#), "alg");
    refused_header(&format!(r#"{{"alg":["Ed25519"],"typ":"{TYPE}"}}"#), "alg");
}

#[test]
fn an_unsigned_token_is_refused_even_by_the_header_alone() {
    for alg in ["none", "nonE", "HS256"] {
        let header = format!(r#"{{"alg":"{alg}","typ":"{TYPE}"}}"#);
        for signature in ["", "AA"] {
            let text = format!("{}.{}.{signature}", base64url(header.as_bytes()), base64url(b"{}"));
            let jws = Jws::parse(&text, MAX).unwrap();
            assert_eq!(jws.check_header(&typed()).unwrap_err(), JoseError::Algorithm);
        }
    }
}

#[test]
fn the_type_is_one_of_those_asked_for() {
    for typ in ["TEST+jwt", "application/test+jwt", "JWT", "at+jwt", ""] {
        refused_header(&format!(r#"{{"alg":"Ed25519","typ":"{typ}"}}"#), "typ");
    }
    refused_header(r#"{"alg":"Ed25519","typ":["test+jwt"]}"#, "typ");
    refused_header(r#"{"alg":"Ed25519"}"#, "typ");
    let key = ed(1);
    let untyped = typed().or_untyped();
    let text = raw(r#"{"alg":"Ed25519"}"#, "{}", &key);
    assert!(read(&text, &untyped, &key.verifying_key()).is_ok());
    let text = raw(r#"{"alg":"Ed25519","typ":"at+jwt"}"#, "{}", &key);
    assert!(read(&text, &untyped, &key.verifying_key()).is_err());
    let text = raw(r#"{"alg":"Ed25519","typ":null}"#, "{}", &key);
    assert!(read(&text, &untyped, &key.verifying_key()).is_err());
}

#[test]
fn critical_parameters_and_addresses_of_keys_are_refused() {
    for (parameter, value) in [
        ("crit", r#"["exp"]"#),
        ("crit", "[]"),
        ("crit", "null"),
        ("b64", "false"),
        ("b64", "true"),
        ("jku", r#""https://evil.example/keys""#),
        ("x5u", r#""https://evil.example/chain""#),
        ("x5c", r#"["AA"]"#),
        ("kid", "1"),
        ("kid", r#""""#),
        ("jwk", r#"{"kty":"OKP"}"#),
        ("jwk", "null"),
    ] {
        refused_header(
            &format!(r#"{{"alg":"Ed25519","typ":"{TYPE}","{parameter}":{value}}}"#),
            parameter,
        );
    }
}

#[test]
fn a_header_or_payload_with_a_member_twice_is_refused() {
    refused_header(&format!(r#"{{"alg":"Ed25519","alg":"none","typ":"{TYPE}"}}"#), "header");
    for header in ["[]", "null", "{", "\u{feff}{}"] {
        refused_header(header, "header");
    }
    let key = ed(1);
    let header = format!(r#"{{"alg":"Ed25519","typ":"{TYPE}"}}"#);
    for payload in [r#"{"sub":"a","sub":"b"}"#, "[]", "null", "{", r#"{"a":1e999}"#] {
        let refusal = read(&raw(&header, payload, &key), &typed(), &key.verifying_key());
        assert_eq!(refusal, Err(JoseError::Claims { claim: "claims" }), "{payload}");
    }
}

#[test]
fn an_embedded_key_is_taken_only_where_it_is_asked_for_and_public() {
    let key = fresh_p256();
    let rules = typed().with_embedded_key();
    let jwk = key.verifying_key().to_jwk();
    let text = sign_with(header().with("jwk", jwk.clone()), &claims(), &key).unwrap();
    let jws = Jws::parse(&text, MAX).unwrap().check_header(&rules).unwrap();
    assert_eq!(jws.embedded_key(), Some(key.verifying_key()));
    assert!(jws.verify(&jws.embedded_key().unwrap()).is_ok());
    let refusal = read(&text, &typed(), &key.verifying_key());
    assert_eq!(refusal, Err(JoseError::Header { parameter: "jwk" }));
    let with = |jwk: Object| {
        let text = sign_with(header().with("jwk", jwk), &claims(), &key).unwrap();
        Jws::parse(&text, MAX).unwrap().check_header(&rules).map(drop)
    };
    let private = with(jwk.clone().with("d", "AA"));
    assert_eq!(private, Err(JoseError::Key(KeyError::Private)));
    assert_eq!(with(jwk.with("y", base64url(&[1; 32]))), Err(JoseError::Key(KeyError::OffCurve)));
    let without = sign(TYPE, None, &claims(), &key).unwrap();
    assert!(Jws::parse(&without, MAX).unwrap().check_header(&rules).is_err());
}

#[test]
fn framing_is_exact() {
    let good = sign(TYPE, None, &claims(), &ed(1)).unwrap();
    let (input, signature) = good.rsplit_once('.').unwrap();
    for bad in [
        String::new(),
        "x".to_owned(),
        "..".to_owned(),
        "a.b".to_owned(),
        good.replace('.', ""),
        format!("{good}="),
        format!("{good}.{good}"),
        format!(" {good}"),
        format!("{good}\n"),
        good.replacen('.', "..", 1),
        format!(".{input}.{signature}"),
        format!("{input}.{signature}."),
        good.replacen('e', "+", 1),
    ] {
        assert_eq!(Jws::parse(&bad, MAX).unwrap_err(), JoseError::Framing, "{bad}");
    }
    assert!(Jws::parse(&good, good.len()).is_ok());
    let limit = good.len() - 1;
    assert_eq!(Jws::parse(&good, limit).unwrap_err(), JoseError::TooLarge { max_bytes: limit });
}

#[test]
fn any_flipped_bit_is_refused() {
    let (ed_key, es_key) = (ed(1), fresh_p256());
    let signers: [&dyn JwsSigner; 2] = [&ed_key, &es_key];
    for signer in signers {
        let good = sign(TYPE, Some("k"), &claims(), signer).unwrap();
        let key = signer.verifying_key();
        for i in 0..good.len() {
            for bit in 0..7 {
                let mut bad = good.clone().into_bytes();
                bad[i] ^= 1 << bit;
                let Ok(bad) = String::from_utf8(bad) else { continue };
                assert!(read(&bad, &typed(), &key).is_err(), "byte {i} bit {bit}");
            }
        }
    }
}

#[test]
fn a_key_for_something_else_is_no_verifying_key() {
    let jwk = fresh_p256().verifying_key().to_jwk();
    let read = |name: &str, value: Json| VerifyingKey::from_jwk(&jwk.clone().with(name, value));
    assert!(read("use", "sig".into()).is_ok());
    assert!(read("alg", "ES256".into()).is_ok());
    assert!(read("key_ops", vec![Json::from("verify")].into()).is_ok());
    for (name, value) in [
        ("use", Json::from("enc")),
        ("use", Json::Null),
        ("alg", "ES384".into()),
        ("alg", "Ed25519".into()),
        ("alg", Json::Null),
        ("key_ops", vec![Json::from("sign")].into()),
        ("key_ops", "verify".into()),
    ] {
        assert_eq!(read(name, value.clone()), Err(KeyError::Unsupported), "{name} {value}");
    }
    assert_eq!(VerifyingKey::from_jwk(&Object::new()), Err(KeyError::Unsupported));
}

fn set(keys: Vec<Object>) -> Json {
    Object::new().with("keys", keys.into_iter().map(Json::from).collect::<Vec<_>>()).into()
}

#[test]
fn a_set_gives_the_key_that_the_header_names() {
    let (one, two) = (ed(1), fresh_p256());
    let jwk = |signer: &dyn JwsSigner, kid: &str| signer.verifying_key().to_jwk().with("kid", kid);
    let keys = set(vec![
        jwk(&one, "one"),
        jwk(&two, "two"),
        Object::new().with("kty", "oct2").with("kid", "what"),
        jwk(&ed(3), "enc").with("use", "enc"),
    ]);
    let keys = JwkSet::<VerifyingKey>::from_json(&keys).unwrap();
    assert_eq!(keys.iter().count(), 2);
    let read = |kid: Option<&str>, signer: &dyn JwsSigner| {
        let text = sign(TYPE, kid, &claims(), signer).unwrap();
        let jws = Jws::parse(&text, MAX).unwrap().check_header(&typed()).unwrap();
        keys.verify(&jws).map(|(_, key)| *key)
    };
    assert_eq!(read(Some("one"), &one), Ok(one.verifying_key()));
    assert_eq!(read(None, &two), Ok(two.verifying_key()));
    assert_eq!(read(Some("three"), &one), Err(JoseError::UnknownKey));
    assert_eq!(read(Some("enc"), &ed(3)), Err(JoseError::UnknownKey));
    assert_eq!(read(Some("two"), &one), Err(JoseError::Algorithm));
    assert_eq!(read(Some("one"), &ed(2)), Err(JoseError::Signature));
    assert_eq!(read(None, &ed(2)), Err(JoseError::Signature));
}

#[test]
fn a_set_with_a_private_malformed_or_65th_key_is_refused() {
    type Set = JwkSet<ThirdPartyKey>;
    let jwk = ed(1).verifying_key().to_jwk();
    let private = set(vec![jwk.clone().with("d", "AA")]);
    assert_eq!(Set::from_json(&private), Err(JoseError::Key(KeyError::Private)));
    let secret = set(vec![Object::new().with("kty", "oct").with("k", "AA")]);
    assert_eq!(Set::from_json(&secret), Err(JoseError::Key(KeyError::Private)));
    let broken = set(vec![jwk.clone().with("x", "AA")]);
    assert_eq!(Set::from_json(&broken), Err(JoseError::Key(KeyError::Encoding)));
    assert!(Set::from_json(&set(vec![jwk.clone(); 64])).is_ok());
    assert!(Set::from_json(&set(vec![jwk.clone(); 65])).is_err());
    let kid = |kid: Json| Set::from_json(&set(vec![jwk.clone().with("kid", kid)]));
    assert!(kid("x".repeat(256).into()).is_ok());
    for bad in [Json::from("x".repeat(257)), "".into(), 1u64.into(), Json::Null] {
        assert!(kid(bad).is_err());
    }
    for bad in ["{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[1]}"#, r#"{"keys":[],"keys":[]}"#] {
        assert!(Set::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(Set::parse(format!(r#"{{"keys":[]{}}}"#, " ".repeat(256 << 10)).as_bytes()).is_err());
    assert!(Set::parse(br#"{"keys":[]}"#).unwrap().is_empty());
}

#[test]
fn the_rs256_signature_of_rfc_7515_holds_under_a_third_partys_key_only() {
    let modulus = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    let jwk = Object::new().with("kty", "RSA").with("n", modulus).with("e", "AQAB");
    let text = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let key = ThirdPartyKey::from_jwk(&jwk).unwrap();
    assert_eq!(ThirdPartyKey::from_jwk(&key.to_jwk()), Ok(key.clone()));
    let rules = typed().or_untyped();
    assert!(read(text, &rules, &key).is_ok());
    let stated = ThirdPartyKey::from_jwk(&jwk.clone().with("alg", "PS256")).unwrap();
    assert_eq!(read(text, &rules, &stated), Err(JoseError::Algorithm));
    assert_eq!(VerifyingKey::from_jwk(&jwk), Err(KeyError::Unsupported));
    let (input, signature) = text.rsplit_once('.').unwrap();
    let mut bad = from_base64url(signature).unwrap();
    for i in 0..bad.len() {
        bad[i] ^= 0x10;
        let text = format!("{input}.{}", base64url(&bad));
        assert_eq!(read(&text, &rules, &key), Err(JoseError::Signature), "byte {i}");
        bad[i] ^= 0x10;
    }
}

#[test]
fn weak_even_short_and_private_rsa_keys_are_refused() {
    let number = |bytes: usize, first: u8, last: u8| {
        let mut n = vec![0xab; bytes];
        n[0] = first;
        n[bytes - 1] = last;
        base64url(&n)
    };
    let jwk = |n: String, e: &str| Object::new().with("kty", "RSA").with("n", n).with("e", e);
    let read = |jwk: &Object| ThirdPartyKey::from_jwk(jwk).map(drop);
    let good = jwk(number(256, 0x80, 1), "AQAB");
    assert_eq!(read(&good), Ok(()));
    assert_eq!(read(&jwk(number(1024, 0xff, 1), "AQAB")), Ok(()));
    for (bad, error) in [
        (jwk(number(256, 0x7f, 1), "AQAB"), KeyError::Unsupported),
        (jwk(number(128, 0xff, 1), "AQAB"), KeyError::Unsupported),
        (jwk(number(1025, 1, 1), "AQAB"), KeyError::Unsupported),
        (jwk(number(256, 0x80, 2), "AQAB"), KeyError::Unsupported),
        (jwk(number(257, 0, 1), "AQAB"), KeyError::Encoding),
        (jwk(number(256, 0x80, 1), "Aw"), KeyError::Unsupported),
        (jwk(number(256, 0x80, 1), "AQ"), KeyError::Unsupported),
        (jwk(number(256, 0x80, 1), "AQAA"), KeyError::Unsupported),
        (jwk(number(256, 0x80, 1), "AAEAAQ"), KeyError::Encoding),
        (jwk(number(256, 0x80, 1), "AQAAAAAAAAAB"), KeyError::Unsupported),
        (jwk(String::new(), "AQAB"), KeyError::Encoding),
        (good.clone().with("d", "AA"), KeyError::Private),
        (good.clone().with("use", "enc"), KeyError::Unsupported),
        (good.clone().with("alg", "RS512"), KeyError::Unsupported),
        (good.clone().with("alg", "RSA-OAEP"), KeyError::Unsupported),
    ] {
        assert_eq!(read(&bad), Err(error), "{}", Json::from(bad));
    }
}

#[test]
fn every_refusal_has_a_code_and_a_remedy() {
    for error in [
        JoseError::TooLarge { max_bytes: 1 },
        JoseError::Framing,
        JoseError::Header { parameter: "typ" },
        JoseError::Algorithm,
        JoseError::UnknownKey,
        JoseError::Signature,
        JoseError::Claims { claim: "iss" },
        JoseError::Key(KeyError::Private),
        JoseError::KeySet { problem: "x" },
    ] {
        assert!(error.code().starts_with("jw") && !error.remedy().is_empty());
    }
}
