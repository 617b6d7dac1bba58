//! Passkeys: made, used to sign in and to sign grants; what is no person's own
//! is refused.

use bailiwick_authority::oauth::client::ClientId;
use bailiwick_authority::oauth::details::DelegationDetails;
use bailiwick_authority::oauth::pkce::Challenge;
use bailiwick_authority::oauth::request::{AuthorizationRequest, Prompt};
use bailiwick_authority::people::passkeys::Passkeys;
use bailiwick_authority::people::sessions::Secret;
use bailiwick_authority::rules::clients::NewClient;
use bailiwick_authority::rules::delegations::Narrowing;
use bailiwick_authority::{ConsentError, Refusal, SignedIn};
use bailiwick_core::crypto::base64url;
use bailiwick_core::grant::Proof;
use bailiwick_core::json::Json;
use bailiwick_store::{ClientSource, Filter, Status};

use crate::authenticator::Authenticator;
use crate::support::{URL, World, agent, principal};

pub(crate) fn party() -> Passkeys {
    Passkeys::of(URL).unwrap()
}

/// A passkey of this person and the session that its making began.
pub(crate) fn enrol(world: &World, name: &str, passkey: &mut Authenticator) -> Secret {
    let a = &world.authority;
    let link = a.enrolment_link(&principal(name)).unwrap();
    let (ceremony, options) = a.enrolment_begin(&party(), &link).unwrap();
    let made = passkey.make(&options);
    a.enrolment_finish(&party(), &link, &ceremony, &made, "Work laptop").unwrap()
}

pub(crate) fn log_in(world: &World, passkey: &Authenticator) -> Result<Secret, Refusal> {
    let (ceremony, options) = world.authority.login_begin(&party())?;
    let answer = passkey.log_in(&options);
    world.authority.login_finish(&party(), &ceremony, &answer)
}

fn person(world: &World, session: &Secret) -> SignedIn {
    world.authority.session(session).unwrap().unwrap()
}

fn count(world: &World, kind: &str) -> usize {
    let filter = Filter { limit: 1000, ..Filter::default() };
    let entries = world.authority.store().read(|view| view.query(&filter)).unwrap();
    entries.iter().filter(|e| e.kind == kind).count()
}

fn passkey() -> Authenticator {
    Authenticator::new(URL)
}

/// What a mapped client asks, with everything said.
pub(crate) fn request(world: &World) -> AuthorizationRequest {
    let a = &world.authority;
    if a.client("client-1").is_err() {
        let metadata = r#"{"grant_types":["authorization_code"],"redirect_uris":["http://127.0.0.1/callback"],"response_types":["code"],"token_endpoint_auth_method":"none"}"#;
        let (id, source) = ("client-1".to_owned(), ClientSource::Configured);
        let (name, metadata) = ("Desk assistant".to_owned(), metadata.to_owned());
        a.client_register(NewClient { id, source, name, metadata }).unwrap();
        a.client_map("client-1", &agent("agent:support-runner")).unwrap();
    }
    asks("client-1", &["ticket:8821", "refund:17"])
}

/// A request of this client for these shorthands, with everything said.
pub(crate) fn asks(client: &str, scope: &[&str]) -> AuthorizationRequest {
    let scope: Vec<String> = scope.iter().map(|s| (*s).to_owned()).collect();
    AuthorizationRequest {
        client: ClientId::parse(client).unwrap(),
        redirect_uri: "http://127.0.0.1/callback".into(),
        state: Some("s".into()),
        challenge: Challenge::of("a-code-verifier-that-nobody-else-knows-012345"),
        resource: None,
        scope: scope.clone(),
        delegation: DelegationDetails {
            purpose: Some("Resolve it".into()),
            scope,
            ..DelegationDetails::default()
        },
        dpop_jkt: None,
        prompt: Prompt::default(),
        max_age_seconds: None,
    }
}

fn digest(world: &World, page: &Secret, person: &SignedIn) -> String {
    let asking = world.authority.consent(page, person).unwrap();
    base64url(asking.prepared.unwrap().statement.digest().bytes())
}

fn code_of(error: &ConsentError) -> &'static str {
    match error {
        ConsentError::Refused(refusal) => refusal.code(),
        ConsentError::ClientUnmapped { .. } => "client-unmapped",
        ConsentError::ToClient { error } => error.code(),
    }
}

#[test]
fn a_passkey_made_by_a_link_signs_its_person_in() {
    let world = World::desk();
    let mut key = passkey();
    let first = enrol(&world, "user:142", &mut key);
    assert_eq!(person(&world, &first).id, principal("user:142"));
    assert_eq!(count(&world, "credential.added"), 1);
    key.counter = 1;
    let again = log_in(&world, &key).unwrap();
    assert_ne!(again.reveal(), first.reveal());
    assert_eq!(person(&world, &again).id, principal("user:142"));
    let own = world.authority.passkeys(&person(&world, &again).principal.alias).unwrap();
    assert_eq!((own.len(), own[0].label.as_str()), (1, "Work laptop"));
    assert_eq!(own[0].used, Some(world.now()));
}

#[test]
fn a_ceremony_is_over_with_its_first_answer() {
    let world = World::desk();
    let mut key = passkey();
    enrol(&world, "user:142", &mut key);
    let (ceremony, options) = world.authority.login_begin(&party()).unwrap();
    let answer = key.log_in(&options);
    world.authority.login_finish(&party(), &ceremony, &answer).unwrap();
    let replayed = world.authority.login_finish(&party(), &ceremony, &answer).unwrap_err();
    assert_eq!(replayed.code(), "link-used-or-expired");
    // An answer to one challenge fits no other.
    let (other, _) = world.authority.login_begin(&party()).unwrap();
    let refused = world.authority.login_finish(&party(), &other, &answer).unwrap_err();
    assert_eq!(refused.code(), "passkey-invalid");
    // Nor does one that comes late.
    let (late, options) = world.authority.login_begin(&party()).unwrap();
    let answer = key.log_in(&options);
    world.host.advance(5 * 60 * 1000);
    let refused = world.authority.login_finish(&party(), &late, &answer).unwrap_err();
    assert_eq!(refused.code(), "link-used-or-expired");
}

#[test]
fn an_unknown_unverified_or_foreign_passkey_signs_nobody_in() {
    let world = World::desk();
    let mut key = passkey();
    enrol(&world, "user:142", &mut key);
    key.is_verified = false;
    assert_eq!(log_in(&world, &key).unwrap_err().code(), "passkey-invalid");
    key.is_verified = true;
    key.origin = "http://localhost:4001".into();
    assert_eq!(log_in(&world, &key).unwrap_err().code(), "passkey-invalid");
    key.origin = URL.into();
    let mut stranger = passkey();
    let (_, options) = world.authority.login_begin(&party()).unwrap();
    stranger.make(&with_user(&options));
    assert_eq!(log_in(&world, &stranger).unwrap_err().code(), "passkey-unknown");
    let a = &world.authority;
    a.principal_status(&principal("user:142"), Status::Suspended).unwrap();
    assert_eq!(log_in(&world, &key).unwrap_err().code(), "passkey-unknown");
}

/// Registration options with some user, from a login's.
fn with_user(options: &Json) -> Json {
    use bailiwick_core::json::Object;
    let mut inner =
        options.as_object().unwrap().member("publicKey").unwrap().as_object().unwrap().clone();
    inner.insert("user", Object::new().with("id", base64url(&[9; 16])));
    Object::new().with("publicKey", inner).into()
}

#[test]
fn a_counter_that_goes_back_is_refused_and_recorded() {
    let world = World::desk();
    let mut key = passkey();
    enrol(&world, "user:142", &mut key);
    key.counter = 7;
    let session = log_in(&world, &key).unwrap();
    for counter in [7, 3] {
        key.counter = counter;
        assert_eq!(log_in(&world, &key).unwrap_err().code(), "passkey-counter");
    }
    assert_eq!(count(&world, "authorization.refused"), 2);
    // The same counter counts for grants.
    let me = person(&world, &session);
    let page = world.authority.consent_begin(&me, &request(&world)).unwrap();
    let assertion = key.sign(&digest(&world, &page, &me));
    let refused = world.authority.consent_sign(&party(), &page, &me, &assertion).unwrap_err();
    assert_eq!(code_of(&refused), "passkey-counter");
    assert_eq!(count(&world, "grant.recorded"), 0);
    key.counter = 8;
    let assertion = key.sign(&digest(&world, &page, &me));
    world.authority.consent_sign(&party(), &page, &me, &assertion).unwrap();
    key.counter = 8;
    assert_eq!(log_in(&world, &key).unwrap_err().code(), "passkey-counter");
}

#[test]
fn a_grant_is_signed_by_its_own_persons_passkey_over_its_own_digest_only() {
    let world = World::desk();
    let (mut mine, mut other) = (passkey(), passkey());
    let me = enrol(&world, "user:142", &mut mine);
    let them = enrol(&world, "user:143", &mut other);
    let (me, them) = (person(&world, &me), person(&world, &them));
    let a = &world.authority;
    let page = a.consent_begin(&me, &request(&world)).unwrap();
    let theirs = a.consent_begin(&them, &request(&world)).unwrap();
    let digest_of_mine = digest(&world, &page, &me);
    let refuse = |assertion: Json, code: &str| {
        let refused = a.consent_sign(&party(), &page, &me, &assertion).unwrap_err();
        assert_eq!(code_of(&refused), code);
    };
    refuse(other.sign(&digest_of_mine), "grant-signer-not-registered");
    refuse(mine.sign(&digest(&world, &theirs, &them)), "assertion-other-digest");
    mine.is_verified = false;
    refuse(mine.sign(&digest_of_mine), "assertion-person-not-verified");
    mine.is_verified = true;
    mine.origin = "http://localhost:4001".into();
    refuse(mine.sign(&digest_of_mine), "assertion-origin-not-allowed");
    mine.origin = URL.into();
    // Somebody else's page is nobody's.
    let assertion = mine.sign(&digest_of_mine);
    let refused = a.consent_sign(&party(), &page, &them, &assertion).unwrap_err();
    assert_eq!(code_of(&refused), "link-used-or-expired");
    assert_eq!(count(&world, "grant.recorded"), 0);

    let location = a.consent_sign(&party(), &page, &me, &assertion).unwrap();
    assert!(location.starts_with("http://127.0.0.1/callback?code="), "{location}");
    assert!(
        location.contains("&state=s") && location.contains("iss=http%3A%2F%2Flocalhost%3A4000")
    );
    let grants = a.store().read(|view| view.grants_of_principal(&me.principal.alias, 9)).unwrap();
    let (_, proof) = a.grant_texts(&grants[0].id).unwrap().unwrap();
    assert!(matches!(Proof::from_text(Some(&proof)), Ok(Proof::Passkey(_))));
    // Once.
    let again = a.consent_sign(&party(), &page, &me, &assertion).unwrap_err();
    assert_eq!(code_of(&again), "link-used-or-expired");
    assert_eq!(count(&world, "grant.recorded"), 1);
}

#[test]
fn what_was_narrowed_is_signed_narrowed_and_the_page_before_signs_nothing() {
    let world = World::desk();
    let mut key = passkey();
    let session = enrol(&world, "user:142", &mut key);
    let (me, a) = (person(&world, &session), &world.authority);
    let page = a.consent_begin(&me, &request(&world)).unwrap();
    let wide = key.sign(&digest(&world, &page, &me));
    let narrowing = Narrowing {
        requested: ["ticket:8821".to_owned(), "refund:17".to_owned()].into(),
        tools: ["mcp:support-desk:tools/get_ticket".to_owned()].into(),
        minutes: Some(5),
        max_depth: Some(0),
        max_calls: Some(2),
    };
    let narrowed = a.consent_narrow(&page, &me, &narrowing).unwrap();
    let gone = a.consent_sign(&party(), &page, &me, &wide).unwrap_err();
    assert_eq!(code_of(&gone), "link-used-or-expired");
    let swapped = a.consent_sign(&party(), &narrowed, &me, &wide).unwrap_err();
    assert_eq!(code_of(&swapped), "assertion-other-digest");
    let statement = a.consent(&narrowed, &me).unwrap().prepared.unwrap().statement;
    assert_eq!(statement.requested, ["ticket:8821"]);
    assert_eq!((statement.tools.len(), statement.max_depth), (1, 0));
    let assertion = key.sign(&base64url(statement.digest().bytes()));
    a.consent_sign(&party(), &narrowed, &me, &assertion).unwrap();
    // A root under it can do no more than that.
    let grants = a.store().read(|view| view.grants_of_principal(&me.principal.alias, 9)).unwrap();
    let issued = a.reissue(&grants[0].id, None).unwrap();
    assert_eq!(issued.tools.len(), 1);
    assert!(issued.tools.member("mcp:support-desk:tools/get_ticket").is_some());
}

#[test]
fn a_passkey_with_an_rsa_key_signs_in_and_signs_grants_too() {
    let world = World::desk();
    let mut key = Authenticator::with_rsa(URL);
    enrol(&world, "user:142", &mut key);
    key.counter = 1;
    let session = log_in(&world, &key).unwrap();
    let (me, a) = (person(&world, &session), &world.authority);
    let page = a.consent_begin(&me, &request(&world)).unwrap();
    let mut other = Authenticator::with_rsa(URL);
    let them = enrol(&world, "user:142", &mut other);
    key.counter = 2;
    let digest = digest(&world, &page, &me);
    let mut forged = key.sign(&digest);
    // The signature of one key under the name of another.
    if let (Json::Object(forged), Json::Object(by)) = (&mut forged, other.sign(&digest)) {
        forged.insert("response", by.member("response").unwrap().clone());
    }
    let refused = a.consent_sign(&party(), &page, &me, &forged).unwrap_err();
    assert_eq!(code_of(&refused), "assertion-signature-invalid");
    a.consent_sign(&party(), &page, &me, &key.sign(&digest)).unwrap();
    assert_eq!(count(&world, "grant.recorded"), 1);
    let entries = a.passkeys(&person(&world, &them).principal.alias).unwrap();
    assert_eq!(entries.len(), 2);
}

#[test]
fn a_persons_role_is_no_signature() {
    let world = World::desk();
    let mut key = passkey();
    let session = enrol(&world, "user:owner", &mut key);
    let (owner, a) = (person(&world, &session), &world.authority);
    a.role_change(&principal("user:owner"), "owner".parse().unwrap(), true).unwrap();
    // The statement's principal is whoever is signed in, whatever is asked.
    let page = a.consent_begin(&owner, &request(&world)).unwrap();
    let statement = a.consent(&page, &owner).unwrap().prepared.unwrap().statement;
    assert_eq!(statement.principal, principal("user:owner"));
}

#[test]
fn a_stale_login_signs_nothing_above_low_risk() {
    let world = World::desk();
    let mut key = passkey();
    let session = enrol(&world, "user:142", &mut key);
    world.host.advance(9 * 60 * 1000);
    let (me, a) = (person(&world, &session), &world.authority);
    let page = a.consent_begin(&me, &request(&world)).unwrap();
    let assertion = key.sign(&digest(&world, &page, &me));
    world.host.advance(60 * 1000);
    let me = person(&world, &session);
    let refused = a.consent_sign(&party(), &page, &me, &assertion).unwrap_err();
    assert_eq!(code_of(&refused), "authentication-not-fresh");
}

#[test]
fn a_second_passkey_signs_in_too_and_the_last_one_stays() {
    let world = World::desk();
    let (mut first, mut second) = (passkey(), passkey());
    let session = enrol(&world, "user:142", &mut first);
    let (me, a) = (person(&world, &session), &world.authority);
    let alias = &me.principal.alias;
    let only = a.passkeys(alias).unwrap()[0].id.clone();
    assert_eq!(a.passkey_remove(alias, &only, &session).unwrap_err().code(), "passkey-last");
    let (ceremony, options) = a.passkey_begin(&party(), alias, "user:142").unwrap();
    let made = second.make(&options);
    a.passkey_finish(&party(), alias, &ceremony, &made, "Phone").unwrap();
    // The same one is nobody else's.
    let link = a.enrolment_link(&principal("user:143")).unwrap();
    let (ceremony, options) = a.enrolment_begin(&party(), &link).unwrap();
    let made = second.make(&options);
    let taken = a.enrolment_finish(&party(), &link, &ceremony, &made, "Mine").unwrap_err();
    assert_eq!(taken.code(), "passkey-taken");
    assert!(a.invited(&link).is_ok(), "the link is used up by a passkey only");
    // Somebody else cannot remove it, its person can; then it signs nobody in.
    let other = a.principal(&principal("user:143")).unwrap().row.alias;
    assert_eq!(a.passkey_remove(&other, &only, &session).unwrap_err().code(), "passkey-unknown");
    let elsewhere = log_in(&world, &first).unwrap();
    a.passkey_remove(alias, &only, &session).unwrap();
    assert!(a.session(&session).unwrap().is_some(), "here the person stays signed in");
    assert!(a.session(&elsewhere).unwrap().is_none(), "on the lost device nobody is");
    assert_eq!(count(&world, "credential.changed"), 1);
    assert_eq!(log_in(&world, &first).unwrap_err().code(), "passkey-unknown");
}
