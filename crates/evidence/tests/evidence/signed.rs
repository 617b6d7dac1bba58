//! How a principal signed its grant, and every way in which a signature is
//! not this principal's over this grant.

use bailiwick_core::crypto::{Signer, base64url, sha256};
use bailiwick_core::grant::{Login, Proof, SignedBy};
use bailiwick_core::ids::{EntryId, PrincipalId};
use bailiwick_core::jose::{JwsSigner, ThirdPartyKey, sign};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Disclosure, Event, Kind};
use bailiwick_core::webauthn::Assertion;
use bailiwick_evidence::trust::{Approvers, IdTokenKey, Role, Trust, Validity};
use bailiwick_evidence::{AssembleError, Check, Verdict, assemble, verify};

use crate::world::{Plan, START, Story, action, at, key, plan, seed};

const CREDENTIAL: &str = "018f0000-0000-7000-8000-000000000001";
const RP_ID: &str = "console.example";
const PAGE: &str = "https://console.example";
const PROVIDER: &str = "https://login.example";
const CLIENT: &str = "console";
/// The seeds of a passkey, an identity provider and a service.
const PASSKEY: u8 = 20;
const LOGIN: u8 = 21;
const SERVICE: u8 = 22;

fn trust() -> Trust {
    let approvers = Approvers { rp_id: RP_ID.into(), origins: vec![PAGE.into()] };
    let provider = IdTokenKey {
        issuer: PROVIDER.into(),
        client_id: CLIENT.into(),
        key: ThirdPartyKey::Own(key(LOGIN).verifying_key()),
        validity: Validity::ALWAYS,
    };
    Trust { approvers: Some(approvers), id_tokens: vec![provider], ..crate::world::trust() }
}

fn assertion(seed: u8, digest: &[u8; 32]) -> Assertion {
    let client_data = format!(
        r#"{{"type":"webauthn.get","challenge":"{}","origin":"{PAGE}"}}"#,
        base64url(digest)
    );
    let mut data = sha256(RP_ID.as_bytes()).bytes().to_vec();
    data.extend([0x05, 0, 0, 0, 1]);
    let mut signed = data.clone();
    signed.extend_from_slice(sha256(client_data.as_bytes()).bytes());
    Assertion {
        credential_id: b"a passkey".to_vec(),
        authenticator_data: data,
        client_data_json: client_data.into_bytes(),
        signature: key(seed).sign(&signed).to_vec(),
    }
}

fn login() -> Login {
    Login { issuer: PROVIDER.into(), subject: "00u142".into() }
}

fn id_token(plan: &Plan, seconds: i64) -> Proof {
    let claims = Object::new()
        .with("iss", PROVIDER)
        .with("aud", CLIENT)
        .with("sub", "00u142")
        .with("nonce", plan.statement.digest())
        .with("iat", START + seconds)
        .with("auth_time", START + seconds)
        .with("exp", START + seconds + 300);
    let token = sign("JWT", None, &claims.into(), &key(LOGIN)).unwrap();
    Proof::IdToken { token, key: ThirdPartyKey::Own(key(LOGIN).verifying_key()) }
}

/// A story whose grant is signed by `proof`, with the credential `added`
/// registered before it.
fn story(plan: &Plan, how: SignedBy, proof: &Proof, added: Option<Object>) -> Story {
    let mut story = plan.story();
    *story.value(Kind::GrantRecorded, 0, "signature") = proof.to_text().unwrap().into();
    story.body(Kind::GrantRecorded, 0, "signed_by", how.as_str());
    let Some(body) = added else { return story };
    story.body(Kind::GrantRecorded, 0, "credential", CREDENTIAL);
    // Who has a credential needs no signing key of its own.
    for member in ["jwk", "thumbprint"] {
        story.event(Kind::PrincipalAdded, 0).body.remove(member);
    }
    let is_login = body.member("credential_kind") == Some(&Json::from("login"));
    let mut event = Event {
        id: EntryId::mint(at(4), [0x33; 10]),
        time: at(4),
        kind: Kind::CredentialAdded,
        subjects: story.event(Kind::PrincipalAdded, 0).subjects.clone(),
        body: body.with("credential", CREDENTIAL),
        ..story.event(Kind::PrincipalAdded, 0).clone()
    };
    event.disclosures.clear();
    if is_login {
        let disclosure = Disclosure { salt: [0x33; 32], value: login().to_json() };
        event.disclosures.push(("login".into(), disclosure));
    }
    let place = story.place(Kind::GrantRecorded);
    story.events.insert(place, (Role::Authority, event));
    story
}

fn passkey() -> Object {
    Object::new()
        .with("credential_kind", "passkey")
        .with("lookup", sha256(b"a passkey"))
        .with("jwk", key(PASSKEY).verifying_key().to_jwk())
}

fn registered_login() -> Object {
    let lookup = sha256(login().to_json().canonical().as_bytes());
    Object::new().with("credential_kind", "login").with("lookup", lookup)
}

fn service() -> Object {
    let key = key(SERVICE).verifying_key();
    Object::new()
        .with("credential_kind", "service")
        .with("lookup", key.thumbprint())
        .with("jwk", key.to_jwk())
}

fn by_passkey(plan: &Plan) -> Story {
    let proof = Proof::Passkey(assertion(PASSKEY, plan.statement.digest().bytes()));
    story(plan, SignedBy::Passkey, &proof, Some(passkey()))
}

fn by_login(plan: &Plan) -> Story {
    story(plan, SignedBy::IdToken, &id_token(plan, 4), Some(registered_login()))
}

/// A plan whose principal is a service.
fn of_a_service() -> Plan {
    let mut plan = plan();
    plan.statement.principal = PrincipalId::parse("service:billing").unwrap();
    plan.claims = |c| c.principal = PrincipalId::parse("service:billing").unwrap();
    plan
}

fn by_service(plan: &Plan) -> Story {
    let proof = Proof::Request(plan.statement.sign_request(&key(SERVICE)).unwrap());
    let mut story = story(plan, SignedBy::Service, &proof, Some(service()));
    let who = story.value(Kind::PrincipalAdded, 0, "principal");
    *who = who.as_object().unwrap().clone().with("id", "service:billing").into();
    story
}

fn verdict(story: &Story, trust: &Trust) -> Verdict {
    verify(story.seal().text().as_bytes(), trust, &[])
}

#[track_caller]
fn holds(story: &Story, how: SignedBy) {
    let verdict = verdict(story, &trust());
    let proven = match &verdict.result {
        Ok(proven) => proven,
        Err(failure) => panic!("{failure:?}"),
    };
    assert_eq!(proven.authority.as_ref().unwrap().signed_by, how);
    let report = verdict.report();
    assert!(report.contains(&format!("\n  signed      {}\n", how.as_str())), "{report}");
    let json = verdict.to_json().canonical();
    assert!(json.contains(&format!(r#""signed":"{}""#, how.as_str())), "{json}");
}

#[track_caller]
fn refused(story: &Story, trust: &Trust, found: &str) {
    let failure = verdict(story, trust).result.unwrap_err();
    assert_eq!(failure.check, Check::Grant, "{failure:?}");
    assert!(failure.found.contains(found), "{failure:?}");
}

#[test]
fn a_grant_signed_with_a_passkey_a_login_or_a_services_key_is_proved_offline() {
    holds(&by_passkey(&plan()), SignedBy::Passkey);
    holds(&by_login(&plan()), SignedBy::IdToken);
    holds(&by_service(&of_a_service()), SignedBy::Service);
    holds(&plan().story(), SignedBy::Key);
}

#[test]
fn the_bundle_has_the_credentials_registration_and_fails_without_it() {
    let bundle = by_passkey(&plan()).seal().bundle();
    assert!(bundle.receipts.iter().any(|r| r.name == Kind::CredentialAdded));
    let mut without = bundle;
    without.receipts.retain(|r| r.name != Kind::CredentialAdded);
    let failure = verify(without.to_text().as_bytes(), &trust(), &[]).result.unwrap_err();
    assert_eq!(failure.check, Check::Grant);
    assert!(failure.found.contains("no receipt `credential.added`"));
    // A ledger that has none gives no bundle.
    let mut story = by_passkey(&plan());
    story.events.retain(|(_, e)| e.kind != Kind::CredentialAdded);
    let refusal = assemble(&story.seal(), &action()).unwrap_err();
    assert!(matches!(refusal, AssembleError::NotFound { kind: "credential.added", .. }));
}

#[test]
fn a_passkey_counts_only_on_the_trusted_pages() {
    let story = by_passkey(&plan());
    let mut elsewhere = trust();
    elsewhere.approvers.as_mut().unwrap().origins = vec!["https://other.example".into()];
    refused(&story, &elsewhere, "origin that is not allowed");
    elsewhere.approvers.as_mut().unwrap().rp_id = "other.example".into();
    elsewhere.approvers.as_mut().unwrap().origins = vec![PAGE.into()];
    refused(&story, &elsewhere, "another relying party");
    refused(&story, &Trust { approvers: None, ..trust() }, "not registered");
}

#[test]
fn a_login_counts_only_under_a_trusted_providers_key_of_that_time() {
    let story = by_login(&plan());
    refused(&story, &Trust { id_tokens: Vec::new(), ..trust() }, "not registered");
    let with = |edit: fn(&mut IdTokenKey)| {
        let mut trust = trust();
        edit(&mut trust.id_tokens[0]);
        trust
    };
    refused(&story, &with(|k| k.issuer = "https://other.example".into()), "not registered");
    refused(&story, &with(|k| k.client_id = "another".into()), "another client");
    let stranger = |k: &mut IdTokenKey| {
        k.key = ThirdPartyKey::Own(key(seed::STRANGER).verifying_key());
    };
    refused(&story, &with(stranger), "none of the provider's known keys");
    let retired = |k: &mut IdTokenKey| k.validity.not_after = Some(at(5));
    refused(&story, &with(retired), "not registered");
    holds(&story, SignedBy::IdToken);
}

#[test]
fn a_login_long_before_the_grant_is_no_signature() {
    let plan = plan();
    let old = story(&plan, SignedBy::IdToken, &id_token(&plan, -700), Some(registered_login()));
    refused(&old, &trust(), "fresh login");
}

#[test]
fn a_signature_over_another_grant_is_refused() {
    let (mut other, plan) = (plan(), plan());
    other.statement.max_depth = 1;
    let digest = other.statement.digest();
    let proof = Proof::Passkey(assertion(PASSKEY, digest.bytes()));
    let told = story(&plan, SignedBy::Passkey, &proof, Some(passkey()));
    refused(&told, &trust(), "another digest");
    let told = story(&plan, SignedBy::IdToken, &id_token(&other, 4), Some(registered_login()));
    refused(&told, &trust(), "nonce is not the one");
}

#[test]
fn only_the_credential_that_the_entry_names_may_have_signed() {
    let plan = plan();
    let digest = plan.statement.digest();
    // Another device's signature.
    let proof = Proof::Passkey(assertion(seed::STRANGER, digest.bytes()));
    let told = story(&plan, SignedBy::Passkey, &proof, Some(passkey()));
    refused(&told, &trust(), "does not hold under the registered key");
    // Another credential id than the registered one.
    let mut wrong = assertion(PASSKEY, digest.bytes());
    wrong.credential_id = b"another".to_vec();
    let told = story(&plan, SignedBy::Passkey, &Proof::Passkey(wrong), Some(passkey()));
    refused(&told, &trust(), "another passkey");
    // A passkey's assertion beside a registered login, and the reverse.
    let proof = Proof::Passkey(assertion(PASSKEY, digest.bytes()));
    let told = story(&plan, SignedBy::Passkey, &proof, Some(registered_login()));
    refused(&told, &trust(), "not registered");
    let told = story(&plan, SignedBy::IdToken, &id_token(&plan, 4), Some(passkey()));
    refused(&told, &trust(), "not registered");
    // An assertion where the entry names no credential.
    let told = story(&plan, SignedBy::Passkey, &proof, None);
    refused(&told, &trust(), "not registered");
    // The key of registration does not sign for a credential.
    let proof = Proof::Request(plan.statement.sign(&key(seed::PRINCIPAL)));
    let told = story(&plan, SignedBy::Key, &proof, Some(passkey()));
    refused(&told, &trust(), "not registered");
}

#[test]
fn somebody_elses_or_a_later_credential_is_refused() {
    let mut told = by_passkey(&plan());
    let owner = told.event(Kind::PrincipalAdded, 1).subjects.principal.clone();
    told.event(Kind::CredentialAdded, 0).subjects.principal = owner;
    let refusal = assemble(&told.seal(), &action()).unwrap_err();
    assert!(matches!(refusal, AssembleError::NotFound { .. }));
    // Registered after the grant.
    let mut told = by_passkey(&plan());
    let place = told.place(Kind::CredentialAdded);
    told.events.swap(place, place + 1);
    refused(&told, &trust(), "not in this order");
}

#[test]
fn a_registration_that_contradicts_itself_is_refused() {
    let plan = plan();
    let proof = Proof::Passkey(assertion(PASSKEY, plan.statement.digest().bytes()));
    for (member, value, found) in [
        ("credential_kind", Json::from("password"), "unknown kind"),
        ("lookup", "x".into(), "`body.lookup`"),
        ("lookup", Json::from(sha256(b"another")), "another passkey"),
        ("jwk", Object::new().into(), "key is not usable"),
        ("jwk", Json::Null, "key is not usable"),
    ] {
        let told = story(&plan, SignedBy::Passkey, &proof, Some(passkey().with(member, value)));
        refused(&told, &trust(), found);
    }
    let mut told = by_login(&plan);
    told.body(Kind::CredentialAdded, 0, "lookup", sha256(b"another"));
    refused(&told, &trust(), "the disclosed login differs");
    let mut told = by_service(&of_a_service());
    told.body(Kind::CredentialAdded, 0, "lookup", sha256(b"another"));
    refused(&told, &trust(), "the credential's key differs");
}

#[test]
fn what_the_entry_says_about_the_signature_must_be_true() {
    let mut told = by_passkey(&plan());
    told.body(Kind::GrantRecorded, 0, "signed_by", "id_token");
    refused(&told, &trust(), "how the grant was signed differs");
    let mut told = by_passkey(&plan());
    *told.value(Kind::GrantRecorded, 0, "signature") = r#"{"passkey":{}}"#.into();
    refused(&told, &trust(), "`assertion` is missing");
    // Without a key of its own and without a credential nobody signed.
    let mut told = plan().story();
    for member in ["jwk", "thumbprint"] {
        told.event(Kind::PrincipalAdded, 0).body.remove(member);
    }
    refused(&told, &trust(), "not registered");
}
