//! Each way to sign, and each way to mistake one signature for another.

use super::super::tests::statement;
use super::*;
use crate::crypto::{P256SigningKey, SigningKey, fresh_p256};
use crate::grant::{IdTokenProblem as Problem, MAX_LOGIN_AGE_SECONDS};
use crate::ids::PrincipalId;
use crate::webauthn::AssertionError;
use crate::webauthn::tests::{Passkey as Device, relying_party};

const NOW: i64 = 1_704_067_500;
const MOMENT: Moment = Moment { signed_at: Timestamp::from_seconds(NOW), skew_seconds: 30 };
const ISSUER: &str = "https://login.example";
const CLIENT: &str = "bailiwick-console";
const SUBJECT: &str = "00u142";

fn ed(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32]).unwrap()
}

/// A provider with its key, and what one person registered.
struct World {
    provider: P256SigningKey,
    device: Device,
    keys: Vec<VerifyingKey>,
    logins: Vec<Login>,
}

impl World {
    fn new() -> Self {
        Self {
            provider: fresh_p256(),
            device: Device::P256(fresh_p256()),
            keys: vec![ed(1).verifying_key()],
            logins: vec![Login { issuer: ISSUER.to_owned(), subject: SUBJECT.to_owned() }],
        }
    }

    fn provider_key(&self) -> ThirdPartyKey {
        ThirdPartyKey::Own(self.provider.verifying_key())
    }

    fn login(&self, claims: Object) -> Proof {
        let token = jose::sign("JWT", Some("k"), &claims.into(), &self.provider).unwrap();
        Proof::IdToken { token, key: self.provider_key() }
    }

    fn judge(
        &self,
        statement: &Statement,
        proof: &Proof,
        moment: &Moment,
    ) -> Result<SignedBy, GrantError> {
        let registered = Registered {
            keys: &self.keys,
            passkeys: &[Passkey { credential_id: b"credential".to_vec(), key: self.device.key() }],
            logins: &self.logins,
            relying_party: Some(&relying_party()),
            issuers: &[IdTokenIssuer {
                issuer: ISSUER,
                client_id: CLIENT,
                keys: &[self.provider_key()],
            }],
        };
        statement.verify_proof(proof, &registered, moment)
    }

    fn judged(&self, proof: &Proof) -> Result<SignedBy, GrantError> {
        self.judge(&statement(), proof, &MOMENT)
    }

    /// A login with one claim changed is refused for this reason.
    #[track_caller]
    fn refuses(&self, claim: &str, value: impl Into<Json>, problem: Problem) {
        let proof = self.login(claims().with(claim, value));
        assert_eq!(self.judged(&proof), Err(GrantError::IdToken(problem)), "{claim}");
    }
}

fn claims() -> Object {
    Object::new()
        .with("iss", ISSUER)
        .with("aud", CLIENT)
        .with("sub", SUBJECT)
        .with("nonce", statement().digest())
        .with("iat", NOW - 5)
        .with("auth_time", NOW - 10)
        .with("exp", NOW + 300)
}

#[test]
fn every_way_to_sign_holds_over_its_own_grant_and_no_other() {
    let world = World::new();
    let mut wider = statement();
    wider.not_after += 1;
    let passkey = world.device.assert(statement().digest().bytes());
    for (proof, how, refusal) in [
        (Proof::Request(statement().sign(&ed(1))), SignedBy::Key, GrantError::OtherStatement),
        (
            Proof::Passkey(passkey),
            SignedBy::Passkey,
            GrantError::Assertion(AssertionError::Challenge),
        ),
        (world.login(claims()), SignedBy::IdToken, GrantError::IdToken(Problem::Nonce)),
    ] {
        assert_eq!(world.judged(&proof), Ok(how));
        assert_eq!(world.judge(&wider, &proof, &MOMENT), Err(refusal));
        let kept = proof.to_text().unwrap();
        assert_eq!(Proof::from_text(Some(&kept)), Ok(proof));
    }
}

#[test]
fn an_older_signed_text_reads_as_it_is() {
    let text = statement().sign(&ed(1));
    let proof = Proof::from_text(Some(&text)).unwrap();
    assert_eq!(proof, Proof::Request(text.clone()));
    assert_eq!(proof.to_text(), Some(text));
}

#[test]
fn a_grant_that_nobody_signed_says_that_it_is_attested() {
    let proof = Proof::from_text(None).unwrap();
    assert_eq!(proof.to_text(), None);
    let how = World::new().judged(&proof).unwrap();
    assert!(how == SignedBy::Attested && !how.is_the_principals());
}

#[test]
fn a_service_signs_with_a_key_of_either_kind() {
    let es = fresh_p256();
    let world = World { keys: vec![ed(2).verifying_key(), es.verifying_key()], ..World::new() };
    let mut statement = statement();
    statement.principal = PrincipalId::parse("service:billing").unwrap();
    let signers: [&dyn JwsSigner; 2] = [&es, &ed(2)];
    for signer in signers {
        let proof = Proof::Request(statement.sign_request(signer).unwrap());
        assert_eq!(world.judge(&statement, &proof, &MOMENT), Ok(SignedBy::Service));
    }
    let (es, ed) = (fresh_p256(), ed(3));
    let strangers: [&dyn JwsSigner; 2] = [&es, &ed];
    for stranger in strangers {
        let proof = Proof::Request(statement.sign_request(stranger).unwrap());
        assert_eq!(world.judge(&statement, &proof, &MOMENT), Err(GrantError::Signature));
    }
}

#[test]
fn a_signed_request_of_another_type_or_with_a_key_inside_is_none() {
    let world = World::new();
    let payload = Json::from(statement().request());
    for (header, parameter) in [
        (Object::new().with("typ", "bailiwick-enrolment+jwt"), "typ"),
        (Object::new().with("typ", "JWT"), "typ"),
        (Object::new(), "typ"),
        (Object::new().with("typ", TYPE).with("jwk", ed(1).verifying_key().to_jwk()), "jwk"),
    ] {
        let jws = jose::sign_with(header, &payload, &ed(1)).unwrap();
        let refusal = GrantError::Jws(JoseError::Header { parameter });
        assert_eq!(world.judged(&Proof::Request(jws)), Err(refusal));
    }
    let es = statement().sign_request(&fresh_p256()).unwrap();
    assert_eq!(world.judged(&Proof::Request(es)), Err(GrantError::NotRegistered));
    let more = Json::from(statement().request().with("note", "wider"));
    let jws = jose::sign(TYPE, None, &more, &ed(1)).unwrap();
    assert_eq!(world.judged(&Proof::Request(jws)), Err(GrantError::OtherStatement));
}

#[test]
fn a_passkey_that_this_principal_did_not_register_signs_nothing() {
    let world = World::new();
    let digest = *statement().digest().bytes();
    let mut unknown = world.device.assert(&digest);
    unknown.credential_id = b"another".to_vec();
    assert_eq!(world.judged(&Proof::Passkey(unknown)), Err(GrantError::NotRegistered));
    // Another device that claims this credential's id.
    let forged = Device::P256(fresh_p256()).assert(&digest);
    let refusal = GrantError::Assertion(AssertionError::Signature);
    assert_eq!(world.judged(&Proof::Passkey(forged)), Err(refusal));
    // No relying party, no passkeys.
    let passkeys = [Passkey { credential_id: b"credential".to_vec(), key: world.device.key() }];
    let registered = Registered { passkeys: &passkeys, ..Registered::NOTHING };
    let proof = Proof::Passkey(world.device.assert(&digest));
    let refusal = statement().verify_proof(&proof, &registered, &MOMENT);
    assert_eq!(refusal, Err(GrantError::NotRegistered));
}

#[test]
fn a_login_at_another_provider_client_or_of_another_person_signs_nothing() {
    let world = World::new();
    world.refuses("iss", "https://evil.example", Problem::Issuer);
    world.refuses("iss", "https://login.example/", Problem::Issuer);
    world.refuses("aud", "another-client", Problem::Audience);
    world.refuses("aud", Vec::new(), Problem::Audience);
    let both = vec![Json::from(CLIENT), Json::from("another-client")];
    world.refuses("aud", both, Problem::Audience);
    world.refuses("azp", "another-client", Problem::Audience);
    world.refuses("sub", "00u143", Problem::Subject);
    world.refuses("sub", Json::Null, Problem::Subject);
    let alone = world.login(claims().with("aud", vec![Json::from(CLIENT)]).with("azp", CLIENT));
    assert_eq!(world.judged(&alone), Ok(SignedBy::IdToken));
}

#[test]
fn a_login_signs_the_digest_in_its_nonce_and_nothing_else() {
    let world = World::new();
    world.refuses("nonce", crate::crypto::sha256(b"another"), Problem::Nonce);
    world.refuses("nonce", "", Problem::Nonce);
    world.refuses("nonce", format!("{}=", statement().digest()), Problem::Nonce);
    let mut without = claims();
    without.remove("nonce");
    let refusal = Err(GrantError::IdToken(Problem::Nonce));
    assert_eq!(world.judged(&world.login(without)), refusal);
}

#[test]
fn a_login_that_is_not_fresh_signs_nothing() {
    let world = World::new();
    let oldest = NOW - MAX_LOGIN_AGE_SECONDS - MOMENT.skew_seconds;
    for claim in ["iat", "auth_time"] {
        let at = |time: i64| world.judged(&world.login(claims().with(claim, time)));
        assert_eq!(at(oldest), Ok(SignedBy::IdToken));
        assert_eq!(at(NOW + 30), Ok(SignedBy::IdToken));
        world.refuses(claim, oldest - 1, Problem::NotFresh);
        world.refuses(claim, NOW + 31, Problem::NotFresh);
        world.refuses(claim, 0i64, Problem::NotFresh);
        world.refuses(claim, i64::from(u32::MAX), Problem::NotFresh);
    }
    world.refuses("exp", NOW - 30, Problem::NotFresh);
    world.refuses("exp", NOW - 5, Problem::NotFresh);
    assert_eq!(world.judged(&world.login(claims().with("exp", NOW - 4))), Ok(SignedBy::IdToken));
    for claim in ["iat", "auth_time", "exp"] {
        let jws = Problem::Jws(JoseError::Claims { claim });
        world.refuses(claim, "soon", jws);
        let mut without = claims();
        without.remove(claim);
        assert_eq!(world.judged(&world.login(without)), Err(GrantError::IdToken(jws)));
    }
}

#[test]
fn a_key_that_is_not_the_providers_verifies_nothing() {
    let world = World::new();
    let own = fresh_p256();
    let token = jose::sign("JWT", None, &claims().into(), &own).unwrap();
    let key = ThirdPartyKey::Own(own.verifying_key());
    let refusal = |problem| Err(GrantError::IdToken(problem));
    let forged = Proof::IdToken { token: token.clone(), key };
    assert_eq!(world.judged(&forged), refusal(Problem::Key));
    let forged = Proof::IdToken { token, key: world.provider_key() };
    assert_eq!(world.judged(&forged), refusal(Problem::Jws(JoseError::Signature)));
}

#[test]
fn a_token_of_another_type_is_no_id_token() {
    let world = World::new();
    for typ in ["at+jwt", "logout+jwt", "dpop+jwt", TYPE] {
        let token = jose::sign(typ, None, &claims().into(), &world.provider).unwrap();
        let proof = Proof::IdToken { token, key: world.provider_key() };
        let header = Problem::Jws(JoseError::Header { parameter: "typ" });
        assert_eq!(world.judged(&proof), Err(GrantError::IdToken(header)), "{typ}");
    }
    let token = jose::sign_with(Object::new(), &claims().into(), &world.provider).unwrap();
    let proof = Proof::IdToken { token, key: world.provider_key() };
    assert_eq!(world.judged(&proof), Ok(SignedBy::IdToken));
}

#[test]
fn somebody_without_a_login_or_at_an_unknown_provider_signs_nothing() {
    let world = World { logins: Vec::new(), ..World::new() };
    assert_eq!(world.judged(&world.login(claims())), Err(GrantError::NotRegistered));
    let elsewhere =
        Login { issuer: "https://other.example".to_owned(), subject: SUBJECT.to_owned() };
    let world = World { logins: vec![elsewhere], ..World::new() };
    assert_eq!(world.judged(&world.login(claims())), Err(GrantError::NotRegistered));
}

#[test]
fn one_kind_of_signature_is_never_read_as_another() {
    let world = World::new();
    // An id_token where a signed request is expected, and the reverse.
    let Proof::IdToken { token, .. } = world.login(claims()) else { panic!("a login") };
    let header = JoseError::Header { parameter: "typ" };
    assert_eq!(world.judged(&Proof::Request(token)), Err(GrantError::Jws(header)));
    let request = statement().sign_request(&world.provider).unwrap();
    let proof = Proof::IdToken { token: request, key: world.provider_key() };
    assert_eq!(world.judged(&proof), Err(GrantError::IdToken(Problem::Jws(header))));
}

#[test]
fn only_the_kept_forms_read_back() {
    let world = World::new();
    let kept = world.login(claims()).to_text().unwrap();
    let read = |text: &str| Proof::from_text(Some(text)).is_ok();
    assert!(read(&kept));
    for bad in [
        "{}".to_owned(),
        "{".to_owned(),
        r#"{"attested":true}"#.to_owned(),
        r#"{"passkey":{}}"#.to_owned(),
        r#"{"id_token":{}}"#.to_owned(),
        kept.replacen(r#""jwk""#, r#""d":1,"jwk""#, 1),
        kept.replacen(r#""crv":"P-256""#, r#""crv":"P-384""#, 1),
        kept.replacen('{', r#"{"passkey":{},"#, 1),
        format!("{kept}{}", " ".repeat(32 << 10)),
    ] {
        assert!(!read(&bad), "{bad}");
    }
}

#[test]
fn any_flipped_byte_of_a_kept_proof_is_refused() {
    let world = World::new();
    for proof in [
        Proof::Request(statement().sign(&ed(1))),
        Proof::Passkey(world.device.assert(statement().digest().bytes())),
        world.login(claims()),
    ] {
        let kept = proof.to_text().unwrap();
        for i in 0..kept.len() {
            let mut bad = kept.clone().into_bytes();
            bad[i] ^= 1;
            let Ok(bad) = String::from_utf8(bad) else { continue };
            let Ok(bad) = Proof::from_text(Some(&bad)) else { continue };
            assert!(world.judged(&bad).is_err(), "byte {i} of {kept}");
        }
    }
}
