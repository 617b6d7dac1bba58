//! Logins at an identity provider: who is known by them, for whom a provider
//! may speak, and what a login signs.

use bailiwick_authority::http::provider::Network;
use bailiwick_authority::people::oidc::{LoggedIn, Namespace, ProviderConfig};
use bailiwick_authority::people::sessions::{Method, Secret};
use bailiwick_authority::{Refusal, SignedIn};
use bailiwick_core::crypto::{Digest, P256SigningKey, sha256};
use bailiwick_core::grant::{Login, Proof};
use bailiwick_core::jose::{self, JwsSigner as _, ThirdPartyKey};
use bailiwick_core::json::{Json, Object};
use bailiwick_store::{Filter, Status, StoredEntry};

use crate::people::request;
use crate::support::{World, code, principal, provider_key};

const ISSUER: &str = "https://login.acme.example";
const CLIENT: &str = "bailiwick";
/// Well known by its login since [`known`].
const PERSON: &str = "user:142";
const SUBJECT: &str = "00u142";

pub(crate) fn provider(principals: &str, provision: bool) -> ProviderConfig {
    ProviderConfig {
        name: "acme".to_owned(),
        label: "Acme".to_owned(),
        issuer: ISSUER.to_owned(),
        client_id: CLIENT.to_owned(),
        client_secret: None,
        scopes: Vec::new(),
        groups_claim: Some("groups".to_owned()),
        claims: Vec::new(),
        network: Network::Public,
        principals: Some(Namespace::parse(principals).unwrap()),
        provision,
        name_claim: "sub".to_owned(),
    }
}

fn everyone() -> ProviderConfig {
    provider("user:*", false)
}

fn known() -> World {
    let world = World::desk();
    world.authority.login_add(&principal(PERSON), &everyone(), SUBJECT).unwrap();
    world
}

/// An `id_token` by `key` of a login just now.
fn id_token(world: &World, subject: &str, nonce: &str, key: &P256SigningKey) -> String {
    let now = world.now().seconds();
    let claims = Object::new()
        .with("iss", ISSUER)
        .with("aud", CLIENT)
        .with("sub", subject)
        .with("nonce", nonce)
        .with("iat", now)
        .with("exp", now + 300)
        .with("auth_time", now);
    jose::sign("JWT", Some("k1"), &claims.into(), key).unwrap()
}

fn third_party(key: &P256SigningKey) -> ThirdPartyKey {
    ThirdPartyKey::Own(key.verifying_key())
}

fn logged_in_with(world: &World, subject: &str, nonce: &str, key: &P256SigningKey) -> LoggedIn {
    let token = id_token(world, subject, nonce, key);
    LoggedIn {
        subject: subject.to_owned(),
        name: Some(subject.to_owned()),
        groups: vec!["support".to_owned()],
        claims: Vec::new(),
        authenticated: Some(world.now()),
        proof: Proof::IdToken { token, key: third_party(key) },
        keys: vec![third_party(key)],
    }
}

fn logged_in(world: &World, subject: &str) -> LoggedIn {
    logged_in_with(world, subject, "any", &provider_key())
}

fn person(world: &World, session: &Secret) -> SignedIn {
    world.authority.session(session).unwrap().unwrap()
}

fn entries(world: &World, kind: &str) -> Vec<StoredEntry> {
    let filter = Filter { limit: 1000, ..Filter::default() };
    let mut entries = world.authority.store().read(|view| view.query(&filter)).unwrap();
    entries.retain(|e| e.kind == kind);
    entries
}

#[test]
fn who_is_known_by_a_login_is_signed_in_as_the_principal_behind_it() {
    let world = known();
    let a = &world.authority;
    let session = a.provider_login(&everyone(), &logged_in(&world, SUBJECT)).unwrap();
    let me = person(&world, &session);
    assert_eq!((me.id, me.session.method), (principal(PERSON), Method::OpenId));
    assert!(me.session.check_fresh(world.now()).is_ok() && me.roles.is_empty());
    // A login that the provider remembers from yesterday proves nothing anew.
    let yesterday = world.now().plus_seconds(-86_400);
    for authenticated in [Some(yesterday), None] {
        let remembered = LoggedIn { authenticated, ..logged_in(&world, SUBJECT) };
        let session = a.provider_login(&everyone(), &remembered).unwrap();
        assert!(person(&world, &session).session.check_fresh(world.now()).is_err());
    }
}

#[test]
fn nobody_is_signed_in_by_a_login_that_is_not_registered_was_taken_away_or_is_a_suspended_ones() {
    let world = known();
    let a = &world.authority;
    let log_in = |subject: &str| a.provider_login(&everyone(), &logged_in(&world, subject));
    let size = world.log_size();
    assert_eq!(code(log_in("00u143")), "login-unknown");
    // The same subject at another provider is somebody else.
    let other = ProviderConfig { issuer: "https://evil.example".to_owned(), ..everyone() };
    let refused = a.provider_login(&other, &logged_in(&world, SUBJECT));
    assert_eq!(code(refused), "login-unknown");
    assert_eq!(world.log_size(), size);
    a.principal_status(&principal(PERSON), Status::Suspended).unwrap();
    assert_eq!(code(log_in(SUBJECT)), "login-unknown");
    a.principal_status(&principal(PERSON), Status::Active).unwrap();
    let session = log_in(SUBJECT).unwrap();
    let login = Login { issuer: ISSUER.to_owned(), subject: SUBJECT.to_owned() };
    a.login_remove(&principal(PERSON), &login).unwrap();
    assert!(a.session(&session).unwrap().is_none());
    assert_eq!(code(log_in(SUBJECT)), "login-unknown");
    a.login_add(&principal(PERSON), &everyone(), SUBJECT).unwrap();
    assert!(log_in(SUBJECT).is_ok());
    assert_eq!(entries(&world, "credential.added").len(), 1);
}

#[test]
fn a_login_that_was_one_principals_is_never_anothers() {
    let world = known();
    let a = &world.authority;
    let taken = a.login_add(&principal("user:143"), &everyone(), SUBJECT);
    assert_eq!(code(taken), "login-taken");
    let login = Login { issuer: ISSUER.to_owned(), subject: SUBJECT.to_owned() };
    let not_theirs = a.login_remove(&principal("user:143"), &login);
    assert_eq!(code(not_theirs), "unknown-name");
    a.login_remove(&principal(PERSON), &login).unwrap();
    let taken = a.login_add(&principal("user:143"), &everyone(), SUBJECT);
    assert_eq!(code(taken), "login-taken");
}

#[test]
fn a_person_adds_a_login_of_their_own_and_is_known_by_it() {
    let world = known();
    let session = world.authority.provider_login(&everyone(), &logged_in(&world, SUBJECT));
    let me = person(&world, &session.unwrap());
    let a = world.authority.by(&me);
    let alias = me.principal.alias;
    let elsewhere =
        ProviderConfig { issuer: "https://id.example".to_owned(), ..provider("user:1*", false) };
    let added = a.login_link(&alias, &elsewhere, &logged_in(&world, "somebody-elsewhere")).unwrap();
    assert_eq!(added.principal, alias);
    let session = a.provider_login(&elsewhere, &logged_in(&world, "somebody-elsewhere")).unwrap();
    assert_eq!(person(&world, &session).id, principal(PERSON));
    let entry = &entries(&world, "credential.added")[0];
    let leaf = String::from_utf8_lossy(&entry.leaf).into_owned();
    assert_eq!(entry.subjects.principal.as_deref(), Some(alias.as_str()));
    assert!(leaf.contains(&format!(r#""session_of":"{alias}""#)), "{leaf}");
    // Who somebody is elsewhere is committed to, not written.
    assert!(!leaf.contains("id.example") && !leaf.contains("somebody-elsewhere"), "{leaf}");
    let size = world.log_size();
    a.login_link(&alias, &elsewhere, &logged_in(&world, "somebody-elsewhere")).unwrap();
    assert_eq!(world.log_size(), size, "the same again writes nothing");
}

#[test]
fn a_login_that_is_not_a_persons_to_add_is_refused_and_that_is_recorded() {
    let world = known();
    let a = &world.authority;
    let other = a.principal(&principal("user:143")).unwrap().row.alias;
    let own = a.principal(&principal(PERSON)).unwrap().row.alias;
    let link = |who, config: &ProviderConfig, subject: &str| {
        code(a.login_link(who, config, &logged_in(&world, subject)))
    };
    assert_eq!(link(&other, &everyone(), SUBJECT), "login-taken", "somebody else's");
    let narrower = provider("user:acme-*", false);
    assert_eq!(link(&other, &narrower, "00u143"), "login-outside-namespace");
    let login = Login { issuer: ISSUER.to_owned(), subject: SUBJECT.to_owned() };
    a.login_remove(&principal(PERSON), &login).unwrap();
    // What an operator took away is theirs to give back, not the person's.
    assert_eq!(link(&own, &everyone(), SUBJECT), "login-taken", "taken away");
    assert_eq!(link(&other, &everyone(), SUBJECT), "login-taken", "was somebody else's");
    let refusals = entries(&world, "authorization.refused");
    assert_eq!(refusals.len(), 4);
    assert!(refusals.iter().all(|e| e.subjects.reason.is_some() && e.subjects.principal.is_some()));
    for n in 0..20 {
        a.login_link(&other, &everyone(), &logged_in(&world, &format!("s{n}"))).unwrap();
    }
    assert_eq!(link(&other, &everyone(), "s20"), "logins-too-many");
    a.principal_status(&principal("user:143"), Status::Suspended).unwrap();
    assert_eq!(link(&other, &everyone(), "s21"), "principal-inactive");
}

#[test]
fn a_provider_speaks_for_nobody_outside_its_namespace() {
    let world = known();
    let a = &world.authority;
    let narrower = provider("user:acme-*", false);
    let added = a.login_add(&principal("user:143"), &narrower, "00u143");
    assert_eq!(code(added), "login-outside-namespace");
    // Also who was registered when the namespace was wider.
    let refused = a.provider_login(&narrower, &logged_in(&world, SUBJECT));
    assert_eq!(code(refused), "login-outside-namespace");
    let nobody = ProviderConfig { principals: None, ..everyone() };
    let refused = a.provider_login(&nobody, &logged_in(&world, SUBJECT));
    assert_eq!(code(refused), "login-outside-namespace");
}

#[test]
fn a_person_who_comes_for_the_first_time_is_registered_once_under_a_name_that_nobody_has() {
    let world = World::desk();
    let a = &world.authority;
    let open = provider("user:acme-*", true);
    let session = a.provider_login(&open, &logged_in(&world, "7")).unwrap();
    let first = person(&world, &session);
    assert_eq!(first.id, principal("user:acme-7"));
    let again = a.provider_login(&open, &logged_in(&world, "7")).unwrap();
    assert_eq!(person(&world, &again).principal.alias, first.principal.alias);
    assert_eq!(entries(&world, "credential.added").len(), 1);
    // Another person who brings the same name is not the same person.
    let named = ProviderConfig { name_claim: "preferred_username".to_owned(), ..open.clone() };
    let namesake = LoggedIn { name: Some("7".to_owned()), ..logged_in(&world, "8") };
    assert_eq!(code(a.provider_login(&named, &namesake)), "login-name-taken");
    // And who changes the name stays who they are.
    let renamed = LoggedIn { name: Some("owner".to_owned()), ..logged_in(&world, "7") };
    let session = a.provider_login(&named, &renamed).unwrap();
    assert_eq!(person(&world, &session).id, principal("user:acme-7"));
    let size = world.log_size();
    for name in [None, Some("a b".to_owned()), Some(String::new()), Some("x".repeat(200))] {
        let unusable = LoggedIn { name, ..logged_in(&world, "9") };
        assert_eq!(code(a.provider_login(&named, &unusable)), "login-name-unusable");
    }
    assert_eq!(world.log_size(), size);
}

#[test]
fn groups_are_what_the_login_stated_last_and_bound_what_is_granted() {
    let world = known();
    let a = &world.authority;
    a.entitlements_publish(
        "rules: [{who: {groups: [support]}, \
         may_do: [{workflow: '*', scope: '*', max_risk: critical}], \
         may_grant: [{workflow: '*', scope: '*', max_risk: critical}]}]",
    )
    .unwrap();
    let prepared = || world.prepare(&world.request(&["ticket:8821"], 15));
    assert_eq!(code(prepared()), "entitlement-workflow");
    a.provider_login(&everyone(), &logged_in(&world, SUBJECT)).unwrap();
    assert!(prepared().is_ok());
    // The same again is no entry; another answer is one.
    a.provider_login(&everyone(), &logged_in(&world, SUBJECT)).unwrap();
    assert_eq!(entries(&world, "credential.changed").len(), 1);
    let left = LoggedIn { groups: Vec::new(), ..logged_in(&world, SUBJECT) };
    a.provider_login(&everyone(), &left).unwrap();
    assert_eq!(entries(&world, "credential.changed").len(), 2);
    assert_eq!(code(prepared()), "entitlement-workflow");
    // No group's name is in the ledger in the clear.
    for entry in entries(&world, "credential.changed") {
        assert!(!String::from_utf8(entry.leaf).unwrap().contains("support"));
    }
}

/// A signed-in person, their request's page, and what is signed.
struct Page {
    me: SignedIn,
    secret: Secret,
    digest: Digest,
}

fn page(world: &World) -> Page {
    let a = &world.authority;
    let session = a.provider_login(&everyone(), &logged_in(world, SUBJECT)).unwrap();
    let me = person(world, &session);
    let secret = a.consent_begin(&me, &request(world)).unwrap();
    let digest = a.consent(&secret, &me).unwrap().prepared.unwrap().statement.digest();
    Page { me, secret, digest }
}

fn sign(world: &World, page: &Page, login: &LoggedIn) -> Result<String, Refusal> {
    let Page { me, secret, digest } = page;
    world.authority.consent_sign_login(&everyone(), &secret.hash(), digest, me, login)
}

#[test]
fn a_fresh_login_with_the_grants_digest_signs_it_whatever_its_risk() {
    let world = known();
    let (a, key, me) = (&world.authority, provider_key(), page(&world).me);
    // Long after the login that began the session, for a tool that may refund.
    world.host.advance(20 * 60 * 1000);
    assert!(me.session.check_fresh(world.now()).is_err());
    let secret = a.consent_begin(&me, &request(&world)).unwrap();
    let digest = a.consent(&secret, &me).unwrap().prepared.unwrap().statement.digest();
    let shown = Page { me, secret, digest };
    let login = logged_in_with(&world, SUBJECT, &digest.to_string(), &key);
    let location = sign(&world, &shown, &login).unwrap();
    assert!(location.starts_with("http://127.0.0.1/callback?code="), "{location}");
    let recorded = entries(&world, "grant.recorded");
    let leaf = String::from_utf8(recorded[0].leaf.clone()).unwrap();
    assert!(leaf.contains(r#""signed_by":"id_token""#), "{leaf}");
    // The page is used up.
    assert_eq!(code(sign(&world, &shown, &login)), "link-used-or-expired");
    // The trust file vouches for the provider's key from then on.
    let trust = world.authority.trust().unwrap();
    let named: Vec<_> = trust.id_tokens.iter().map(|k| (k.issuer.as_str(), &k.key)).collect();
    assert_eq!(named, [(ISSUER, &third_party(&key))]);
    assert!(trust.id_tokens[0].validity.contains(recorded[0].time));
}

#[test]
fn a_login_signs_nothing_but_the_grant_that_was_shown_to_its_own_person() {
    let world = known();
    let a = &world.authority;
    a.login_add(&principal("user:143"), &everyone(), "00u143").unwrap();
    let key = provider_key();
    let shown = page(&world);
    let nonce = shown.digest.to_string();
    let granted = || entries(&world, "grant.recorded").len();
    // Another person's login, and one that nobody is known by.
    for subject in ["00u143", "00u144"] {
        let other = logged_in_with(&world, subject, &nonce, &key);
        assert_eq!(code(sign(&world, &shown, &other)), "login-not-theirs");
    }
    assert_eq!(entries(&world, "authorization.refused").len(), 2);
    // A login with another nonce, another person's token, another key.
    let other = logged_in_with(&world, SUBJECT, "another", &key);
    assert_eq!(code(sign(&world, &shown, &other)), "id-token-other-digest");
    let theirs = logged_in_with(&world, "00u143", &nonce, &key);
    let lent = LoggedIn { subject: SUBJECT.to_owned(), ..theirs };
    assert_eq!(code(sign(&world, &shown, &lent)), "id-token-other-person");
    let good = logged_in_with(&world, SUBJECT, &nonce, &key);
    let unknown = LoggedIn { keys: vec![third_party(&provider_key())], ..good.clone() };
    assert_eq!(code(sign(&world, &shown, &unknown)), "id-token-key-unknown");
    // Another grant than the one that the login was begun for.
    let changed =
        Page { digest: sha256(b"another"), secret: shown.secret.clone(), me: shown.me.clone() };
    assert_eq!(code(sign(&world, &changed, &good)), "link-used-or-expired");
    // Another person's page.
    let session = a.provider_login(&everyone(), &logged_in(&world, "00u143")).unwrap();
    let other = Page { me: person(&world, &session), ..page(&world) };
    assert_eq!(code(sign(&world, &other, &good)), "login-not-theirs");
    // A provider that may not speak for this principal any more.
    let narrower = provider("user:acme-*", false);
    let (request, me) = (shown.secret.hash(), &shown.me);
    let refused = a.consent_sign_login(&narrower, &request, &shown.digest, me, &good);
    assert_eq!(code(refused), "login-outside-namespace");
    assert_eq!((granted(), world.authority.trust().unwrap().id_tokens.len()), (0, 0));
    assert!(sign(&world, &shown, &good).is_ok());
}

#[test]
fn a_key_that_the_provider_no_longer_publishes_is_trusted_until_then_only() {
    let world = known();
    let (first, second) = (provider_key(), provider_key());
    let mut times = Vec::new();
    for key in [&first, &first, &second] {
        let shown = page(&world);
        let login = logged_in_with(&world, SUBJECT, &shown.digest.to_string(), key);
        sign(&world, &shown, &login).unwrap();
        times.push(world.now());
        world.host.advance(1000);
    }
    assert_eq!(entries(&world, "provider.key_changed").len(), 3);
    let trust = world.authority.trust().unwrap();
    assert_eq!(trust.check(), Ok(()));
    let [old, new] = trust.id_tokens.as_slice() else { panic!("{:?}", trust.id_tokens) };
    assert_eq!((&old.key, &new.key), (&third_party(&first), &third_party(&second)));
    assert!(times[..2].iter().all(|time| old.validity.contains(*time)));
    assert!(!old.validity.contains(times[2]) && new.validity.contains(times[2]));
    assert!(!new.validity.contains(times[1]));
    // The file says so, and reads back.
    let text = trust.to_json().canonical();
    assert_eq!(bailiwick_evidence::Trust::parse(text.as_bytes()), Ok(trust));
}

#[test]
fn a_login_in_the_ledger_can_be_opened_and_the_registry_made_again() {
    let world = known();
    world.authority.provider_login(&everyone(), &logged_in(&world, SUBJECT)).unwrap();
    let alias = world.authority.principal(&principal(PERSON)).unwrap().row.alias;
    let before = world.authority.logins(&alias).unwrap();
    assert_eq!(before[0].login.subject, SUBJECT);
    let added = entries(&world, "credential.added").remove(0);
    let read = world.authority.store().read(|view| view.read_plaintext(&added.id)).unwrap();
    let (_, login) = read.unwrap().into_iter().find(|(field, _)| field == "login").unwrap();
    assert_eq!(login.value, before[0].login.to_json());
    let leaf = Json::parse(&added.leaf, &Default::default()).unwrap();
    assert!(!leaf.canonical().contains(SUBJECT) && !leaf.canonical().contains(ISSUER));
    world.authority.store().write(|tx| tx.rebuild()).wait().unwrap();
    assert_eq!(world.authority.logins(&alias).unwrap(), before);
}
