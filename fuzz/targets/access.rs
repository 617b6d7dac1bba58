//! Access tokens. The target signs the claims that the fuzzer writes with the trusted issuer's
//! key, and the proof that the fuzzer writes with the holder's: what is accepted is for this
//! audience and now, lives no longer than it may, and is bound to the key that was proved. A bound
//! token is never taken as a bearer's, nor the other way round.
//!
//! Input: claims; or claims, then a proof's header and claims, in which `$ATH` stands for the hash
//! of the token.
#![no_main]

use bailiwick_core::aat::verify::{Core, Proof, Shown, access_presence};
use bailiwick_core::access::{Content, MAX_BEARER_SECONDS, TYPE, Unverified, issue};
use bailiwick_core::constraint::Dialect;
use bailiwick_core::crypto::{Signer, SigningKey, base64url, from_base64url};
use bailiwick_core::denial::Reason;
use bailiwick_core::dpop::{Request, access_token_hash, prove};
use bailiwick_core::guarantee::Assurance;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::scope::Scope;
use bailiwick_core::time::Timestamp;
use bailiwick_fuzz::{AUDIENCE, CASES, JSON, KEYS, context, fields, joined, payload, seed, tools};
use libfuzzer_sys::fuzz_target;

const URI: &str = "https://tools.example.com/mcp/desk";
const NOW: i64 = 1_704_067_500;
const ATH: &str = "$ATH";

fn signed(header: &str, claims: &str, key: &SigningKey) -> String {
    let input = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    let signature = base64url(&key.sign(input.as_bytes()));
    format!("{input}.{signature}")
}

fn token(claims: &str) -> String {
    signed(&format!(r#"{{"alg":"Ed25519","typ":"{TYPE}"}}"#), claims, &KEYS[0])
}

fn scope() -> Scope {
    let claims = CASES.iter().find_map(|case| {
        let json = Json::parse(&payload(case.chain.first()?)?, &JSON).ok()?;
        Scope::parse(tools(&json)?, Dialect::Core, 16).ok()
    });
    claims.expect("a scope in the vectors")
}

/// The claims of a token as we issue it.
fn made(bound: bool) -> String {
    let key = bound.then(|| KEYS[1].public_key().thumbprint());
    let content = Content {
        jti: "access-1".to_owned(),
        now: Timestamp::from_seconds(NOW - 10),
        exp: NOW + 200,
        nbf: Some(NOW - 10),
        key,
        scope: scope(),
        shorthands: vec!["orders:read".to_owned()],
        aud: AUDIENCE.to_owned(),
        budget: Object::new(),
        status: Some((7, "https://auth.example.com/statuslists/1".to_owned())),
    };
    let client = Object::new().with("client_id", "client-1").with("sub", "user:7");
    let issuer = "https://auth.example.com";
    let token = issue(issuer, &content, &client, &KEYS[0], &ChainLimits::DEFAULT);
    let claims = payload(&token.expect("a token")).expect("claims");
    String::from_utf8(claims).expect("text")
}

fn seeds() -> Vec<Vec<u8>> {
    let now = Timestamp::from_seconds(NOW);
    let proof = prove(&KEYS[1], "jti-1", now, "POST", URI, "x");
    let mut parts = proof.split('.').map(|part| {
        String::from_utf8(from_base64url(part).unwrap_or_default()).unwrap_or_default()
    });
    let (header, claims) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let claims = claims.replace(&access_token_hash("x"), ATH);
    let seeds = vec![
        made(false).into_bytes(),
        made(true).into_bytes(),
        joined(&[made(true).as_str(), &header, &claims]),
        joined(&[made(false).as_str(), &header, &claims]),
    ];
    // The target reaches what it is about.
    assert_eq!(accepted(&token(&made(false)), None).map(|p| p.jti), Ok("request-1".to_owned()));
    let bound = token(&made(true));
    let proof = signed(&header, &claims.replace(ATH, &access_token_hash(&bound)), &KEYS[1]);
    assert_eq!(accepted(&bound, Some(&proof)).map(|p| p.jti), Ok("jti-1".to_owned()));
    seeds
}

/// What the front door says.
fn accepted(token: &str, proof: Option<&str>) -> Result<Proof, Reason> {
    let limits = ChainLimits::DEFAULT;
    let audiences = [AUDIENCE.to_owned()];
    let context = context(NOW, &audiences, &limits);
    let token = Unverified::parse(token, &limits).map_err(|d| d.reason)?;
    let shown = match proof {
        Some(proof) => Shown::Dpop(Request { proof, method: "POST", uri: URI }),
        None => Shown::Bearer { request: "request-1" },
    };
    let found = access_presence::<Core>(&token, shown, &context, ());
    found.map(|(_, proof)| proof).map_err(|refused| refused.denial.reason)
}

fuzz_target!(
    init: seed(seeds()),
    |data: &[u8]| {
        let Some(fields) = fields(data) else { return };
        let (claims, proof) = match fields.as_slice() {
            [claims] => (claims, None),
            [claims, header, proof] => (claims, Some((header, proof))),
            _ => return,
        };
        let token = token(claims);
        let proof = proof.map(|(header, claims)| {
            let claims = claims.replace(ATH, &access_token_hash(&token));
            (signed(header, &claims, &KEYS[1]), signed(header, &claims, &KEYS[2]))
        });
        let proved = proof.as_ref().map(|(own, _)| own.as_str());
        let Ok(found) = accepted(&token, proved) else { return };

        let claims = Json::parse(claims.as_bytes(), &JSON).expect("claims");
        let claims = claims.as_object().expect("an object");
        let text = |name: &str| claims.member(name).and_then(Json::as_str);
        let number = |name: &str| claims.member(name)?.as_number()?.as_plain_integer();
        let (iat, exp) = (number("iat").expect("iat"), number("exp").expect("exp"));
        let limits = ChainLimits::DEFAULT;
        assert!(iat <= NOW + limits.max_iat_skew && NOW < exp);
        assert!(exp - iat <= limits.max_token_lifetime);
        let for_us = match claims.member("aud") {
            Some(Json::Array(all)) => matches!(all.as_slice(), [Json::String(a)] if a == AUDIENCE),
            Some(Json::String(one)) => one == AUDIENCE,
            _ => false,
        };
        assert!(for_us, "a token for somebody else");
        assert_eq!(text("iss"), Some("https://auth.example.com"));
        assert!(text("client_id").is_some());
        let cnf = claims.member("cnf");
        if let Some((own, other)) = &proof {
            assert_eq!(found.assurance, Assurance::Token);
            let key = KEYS[1].public_key().thumbprint().to_string();
            let jkt = cnf.and_then(Json::as_object).and_then(|cnf| cnf.member("jkt")?.as_str());
            assert_eq!(jkt, Some(key.as_str()), "bound to a key that was not proved");
            assert!(accepted(&token, Some(other)).is_err(), "another key's proof");
            assert_eq!(accepted(&token, None).err(), Some(Reason::ProofInvalid));
            let proof = payload(own).and_then(|p| Json::parse(&p, &JSON).ok()).expect("a proof");
            let ath = proof.as_object().and_then(|p| p.member("ath")?.as_str());
            assert_eq!(ath, Some(access_token_hash(&token).as_str()));
        } else {
            assert_eq!(found.assurance, Assurance::None);
            assert_eq!(found.jti, "request-1");
            assert!(cnf.is_none(), "a bound token is taken as a bearer's");
            assert!(exp - iat <= MAX_BEARER_SECONDS);
        }
    }
);
