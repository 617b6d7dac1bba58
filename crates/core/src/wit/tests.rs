//! WIMSE workload credentials, the WPT draft and WIT-SVID, one rule at a time.

use super::*;
use crate::crypto::{SigningKey, base64url, fresh_p256};
use crate::jose::JwsSigner;

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://authority.example";
const DOMAIN: &str = "example.org";
const ENDPOINT: &str = "https://authority.example/token";

struct World {
    authority: P256SigningKey,
    instance: P256SigningKey,
    keys: Vec<(String, VerifyingKey)>,
}

impl World {
    fn new() -> Self {
        let authority = fresh_p256();
        let other = SigningKey::from_seed(&[1; 32]).unwrap();
        let keys = vec![
            ("ca-1".to_owned(), authority.verifying_key()),
            ("ed".to_owned(), other.verifying_key()),
        ];
        Self { authority, instance: fresh_p256(), keys }
    }

    fn claims(&self) -> Object {
        let jwk = self.instance.public_key().to_jwk().with("alg", "ES256");
        Object::new()
            .with("iss", ISSUER)
            .with("sub", "spiffe://example.org/agent/runner/0190-a")
            .with("cnf", Object::new().with("jwk", jwk))
            .with("iat", NOW)
            .with("exp", NOW + 3600)
            .with("jti", "w1")
    }

    fn token(&self, claims: &Object) -> String {
        jose::sign(TYPE, Some("ca-1"), &claims.clone().into(), &self.authority).unwrap()
    }

    fn judged(&self, token: &str, now: i64) -> Result<Identity, WitError> {
        let expected = Expected {
            issuer: ISSUER,
            trust_domain: DOMAIN,
            keys: &self.keys,
            now: Timestamp::from_seconds(now),
            skew_seconds: 30,
            max_lifetime_seconds: 3600,
        };
        Identity::verify(token, &expected)
    }

    #[track_caller]
    fn refuses(&self, claim: &str, value: impl Into<Json>, error: WitError) {
        let token = self.token(&self.claims().with(claim, value));
        assert_eq!(self.judged(&token, NOW), Err(error), "{claim}");
    }

    fn proof_claims(&self, token: &str) -> Object {
        Object::new()
            .with("aud", ENDPOINT)
            .with("exp", NOW + 60)
            .with("jti", "p1")
            .with("wth", sha256(token.as_bytes()))
    }

    fn proved(&self, claims: &Object) -> Result<Proof, WitError> {
        let proof = jose::sign(PROOF_TYPE, None, &claims.clone().into(), &self.instance).unwrap();
        self.proof_judged(&proof, NOW)
    }

    fn proof_judged(&self, proof: &str, now: i64) -> Result<Proof, WitError> {
        let token = self.token(&self.claims());
        let identity = self.judged(&token, NOW).unwrap();
        // ECDSA signs the same claims differently each time, so the token is
        // the one that the proof's maker saw only by its claims.
        let expected = ProofExpected {
            audience: ENDPOINT,
            now: Timestamp::from_seconds(now),
            skew_seconds: 30,
            max_lifetime_seconds: 120,
        };
        identity.verify_proof(TOKEN_TEXT, proof, &expected)
    }
}

/// What proofs in these tests are made for: a proof covers the token's text.
const TOKEN_TEXT: &str = "an.identity.token";

#[test]
fn what_is_issued_here_is_read_here() {
    let world = World::new();
    let identity = Identity {
        issuer: ISSUER.to_owned(),
        spiffe_id: "spiffe://example.org/agent/runner/0190-a".to_owned(),
        key: world.instance.public_key(),
        issued_at: NOW,
        expires_at: NOW + 3600,
        jti: "w1".to_owned(),
        isolation: Isolation::Unstated,
    };
    let token = identity.issue("ca-1", &world.authority).unwrap();
    assert_eq!(world.judged(&token, NOW), Ok(identity.clone()));
    let proof = prove(&world.instance, &token, ENDPOINT, NOW + 60, "p1").unwrap();
    let expected = ProofExpected {
        audience: ENDPOINT,
        now: Timestamp::from_seconds(NOW),
        skew_seconds: 30,
        max_lifetime_seconds: 120,
    };
    let accepted = Proof { jti: "p1".to_owned(), expires_at: NOW + 60 };
    assert_eq!(identity.verify_proof(&token, &proof, &expected), Ok(accepted));
}

#[test]
fn the_key_is_named_and_is_the_issuers() {
    let world = World::new();
    let claims = Json::from(world.claims());
    let with = |kid: Option<&str>, signer: &dyn JwsSigner| {
        world.judged(&jose::sign(TYPE, kid, &claims, signer).unwrap(), NOW).map(drop)
    };
    assert_eq!(with(Some("ca-1"), &world.authority), Ok(()));
    assert_eq!(with(None, &world.authority), Err(WitError::Key));
    assert_eq!(with(Some("ca-2"), &world.authority), Err(WitError::Key));
    let forged = Err(WitError::Jws(JoseError::Signature));
    assert_eq!(with(Some("ca-1"), &world.instance), forged);
    // A key on Ed25519 is in the set, but signs no identity token.
    let ed = SigningKey::from_seed(&[1; 32]).unwrap();
    assert_eq!(with(Some("ed"), &ed), Err(WitError::Jws(JoseError::Algorithm)));
}

#[test]
fn a_token_of_another_type_is_no_identity_token() {
    let world = World::new();
    for typ in ["jwt", "JWT", "wpt+jwt", "at+jwt", "WIT+jwt"] {
        let token =
            jose::sign(typ, Some("ca-1"), &world.claims().into(), &world.authority).unwrap();
        let header = JoseError::Header { parameter: "typ" };
        assert_eq!(world.judged(&token, NOW), Err(WitError::Jws(header)), "{typ}");
    }
}

#[test]
fn issuer_and_subject_are_those_of_the_trust_domain() {
    let world = World::new();
    world.refuses("iss", "https://evil.example", WitError::Issuer);
    for subject in [
        "spiffe://evil.example/agent/runner",
        "spiffe://example.org.evil.example/agent/runner",
        "spiffe://example.org",
        "spiffe://example.org/",
        "spiffe://example.org/agent//runner",
        "spiffe://example.org/agent/../runner",
        "spiffe://example.org/agent/./runner",
        "spiffe://example.org/agent/runner/",
        "spiffe://example.org/agent/runner?x",
        "spiffe://example.org/agent/runner#x",
        "spiffe://example.org/agent/r%75nner",
        "spiffe://example.org:443/agent/runner",
        "spiffe://user@example.org/agent/runner",
        "SPIFFE://example.org/agent/runner",
        "wimse://example.org/agent/runner",
        "runner",
    ] {
        world.refuses("sub", subject, WitError::Subject);
    }
    // One identifier per credential.
    let two = vec![Json::from("spiffe://example.org/a"), Json::from("spiffe://example.org/b")];
    world.refuses("sub", two, WitError::Jws(JoseError::Claims { claim: "sub" }));
    let long = format!("spiffe://example.org/{}", "a".repeat(2048));
    world.refuses("sub", long, WitError::Jws(JoseError::Claims { claim: "sub" }));
}

#[test]
fn the_window_is_short_and_holds_at_both_edges() {
    let world = World::new();
    let token = world.token(&world.claims());
    for (now, holds) in
        [(NOW - 31, false), (NOW - 30, true), (NOW + 3629, true), (NOW + 3630, false)]
    {
        assert_eq!(world.judged(&token, now).is_ok(), holds, "{now}");
    }
    world.refuses("exp", NOW + 3601, WitError::Time);
    world.refuses("exp", NOW, WitError::Time);
    world.refuses("exp", 0i64, WitError::Time);
}

#[test]
fn every_claim_must_be_there() {
    let world = World::new();
    for claim in ["iss", "sub", "cnf", "iat", "exp", "jti"] {
        let mut claims = world.claims();
        claims.remove(claim);
        let refusal = world.judged(&world.token(&claims), NOW);
        assert_eq!(refusal, Err(WitError::Jws(JoseError::Claims { claim })));
        world.refuses(claim, Json::Null, WitError::Jws(JoseError::Claims { claim }));
    }
    world.refuses("jti", "", WitError::Jws(JoseError::Claims { claim: "jti" }));
    world.refuses("jti", "x".repeat(257), WitError::Jws(JoseError::Claims { claim: "jti" }));
}

#[test]
fn the_confirmation_is_one_public_es256_key_that_states_its_algorithm() {
    let world = World::new();
    let jwk = world.instance.public_key().to_jwk();
    let bad = WitError::Jws(JoseError::Claims { claim: "cnf" });
    let cnf = |jwk: Object| Object::new().with("jwk", jwk);
    world.refuses("cnf", cnf(jwk.clone()), bad);
    world.refuses("cnf", cnf(jwk.clone().with("alg", "ES384")), bad);
    world.refuses("cnf", cnf(jwk.clone().with("alg", "none")), bad);
    let good = jwk.with("alg", "ES256");
    world.refuses("cnf", cnf(good.clone().with("d", "AA")), bad);
    world.refuses("cnf", cnf(good.clone().with("y", base64url(&[1; 32]))), bad);
    world.refuses("cnf", cnf(good).with("jkt", "x"), bad);
    let ed = SigningKey::from_seed(&[1; 32]).unwrap().verifying_key().to_jwk();
    world.refuses("cnf", cnf(ed.with("alg", "ES256")), bad);
}

#[test]
fn a_proof_is_for_this_endpoint_and_this_token() {
    let world = World::new();
    let claims = world.proof_claims(TOKEN_TEXT);
    assert_eq!(world.proved(&claims), Ok(Proof { jti: "p1".to_owned(), expires_at: NOW + 60 }));
    for audience in ["https://authority.example/token?x", "https://evil.example/token", ISSUER] {
        let proved = world.proved(&claims.clone().with("aud", audience));
        assert_eq!(proved, Err(WitError::ProofAudience), "{audience}");
    }
    let list = vec![Json::from(ENDPOINT)];
    assert_eq!(world.proved(&claims.with("aud", list)), Err(WitError::ProofAudience));
    let other = world.proof_claims("another.identity.token");
    assert_eq!(world.proved(&other), Err(WitError::ProofToken));
    let mut without = world.proof_claims(TOKEN_TEXT);
    without.remove("wth");
    assert_eq!(world.proved(&without), Err(WitError::ProofToken));
}

#[test]
fn a_proof_that_binds_what_did_not_come_is_refused() {
    let world = World::new();
    for bound in ["ath", "tth"] {
        let claims = world.proof_claims(TOKEN_TEXT).with(bound, sha256(b"x"));
        assert_eq!(world.proved(&claims), Err(WitError::ProofOtherToken));
    }
    let other = Object::new().with("x-token", sha256(b"x"));
    let claims = world.proof_claims(TOKEN_TEXT).with("oth", other);
    assert_eq!(world.proved(&claims), Err(WitError::ProofOtherToken));
}

#[test]
fn a_proof_is_short_lived_and_has_an_id() {
    let world = World::new();
    let with =
        |claim: &str, value: Json| world.proved(&world.proof_claims(TOKEN_TEXT).with(claim, value));
    for (exp, holds) in [(-30, false), (-29, true), (150, true), (151, false)] {
        assert_eq!(with("exp", (NOW + exp).into()).is_ok(), holds, "{exp}");
    }
    assert_eq!(with("exp", (NOW + 151).into()), Err(WitError::ProofTime));
    for (claim, value) in [("exp", Json::Null), ("jti", "".into()), ("jti", Json::Null)] {
        let claim = if claim == "exp" { "exp" } else { "jti" };
        let refusal = Err(WitError::Jws(JoseError::Claims { claim }));
        assert_eq!(with(claim, value), refusal);
    }
}

#[test]
fn only_the_instances_key_makes_its_proof() {
    let world = World::new();
    let claims = Json::from(world.proof_claims(TOKEN_TEXT));
    let judged = |typ: &str, signer: &dyn JwsSigner| {
        let proof = jose::sign(typ, None, &claims, signer).unwrap();
        world.proof_judged(&proof, NOW).map(drop)
    };
    assert_eq!(judged(PROOF_TYPE, &world.instance), Ok(()));
    let forged = Err(WitError::Jws(JoseError::Signature));
    assert_eq!(judged(PROOF_TYPE, &world.authority), forged);
    let ed = SigningKey::from_seed(&[1; 32]).unwrap();
    assert_eq!(judged(PROOF_TYPE, &ed), Err(WitError::Jws(JoseError::Algorithm)));
    for typ in [TYPE, "JWT", "dpop+jwt"] {
        let header = JoseError::Header { parameter: "typ" };
        assert_eq!(judged(typ, &world.instance), Err(WitError::Jws(header)), "{typ}");
    }
}

#[test]
fn the_spiffe_id_of_an_instance_names_agent_and_instance() {
    let agent = AgentId::parse("agent:support-runner").unwrap();
    let instance = InstanceId::mint(Timestamp::from_seconds(NOW), [1; 10]);
    let id = instance_spiffe_id(DOMAIN, &agent, &instance);
    assert!(is_spiffe_id_of(&id, DOMAIN), "{id}");
    assert_eq!(read_instance_spiffe_id(&id, DOMAIN), Some((agent, instance)));
    assert_eq!(read_instance_spiffe_id(&id, "example.com"), None);
    assert_eq!(read_instance_spiffe_id(&id, "example"), None);
    for bad in ["spiffe://example.org/agent/x", "spiffe://example.org/agent/x/y", &id[1..]] {
        assert_eq!(read_instance_spiffe_id(bad, DOMAIN), None, "{bad}");
    }
}

#[test]
fn any_flipped_byte_is_refused() {
    let world = World::new();
    let token = world.token(&world.claims());
    for i in 0..token.len() {
        let mut bad = token.clone().into_bytes();
        bad[i] ^= 1;
        let Ok(bad) = String::from_utf8(bad) else { continue };
        assert!(world.judged(&bad, NOW).is_err(), "byte {i}");
    }
}
