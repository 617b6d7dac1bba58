//! A provider on this machine that answers truthfully, and then with one lie
//! at a time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use bailiwick_core::crypto::{P256SigningKey, base64url, sha256};
use bailiwick_core::jose::{self, JwsSigner};

use super::*;
use crate::host::Host;
use crate::http::provider::{Network, ProviderHttpError};

const NOW: i64 = 1_795_000_000;
const CLIENT: &str = "bailiwick";
const REDIRECT: &str = "http://localhost:7417/login/callback";

struct Clock(AtomicI64);

impl Clock {
    fn new() -> Self {
        Self(AtomicI64::new(NOW))
    }

    fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Host for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::SeqCst))
    }

    fn fill(&self, out: &mut [u8]) -> bool {
        aws_lc_rs::rand::fill(out).is_ok()
    }
}

fn now() -> Timestamp {
    Timestamp::from_seconds(NOW)
}

/// The secret of one browser.
fn browser(seed: u8) -> Secret {
    Secret::parse(&base64url(&[seed; 32])).unwrap()
}

/// What the provider says.
struct Told {
    issuer: String,
    iss_parameter: bool,
    keys: Vec<Object>,
    claims: Object,
    token_status: StatusCode,
    /// How often its metadata was asked for.
    discovered: usize,
    /// The header's `kid`.
    kid: &'static str,
    /// The last request for a token.
    asked: String,
    key: P256SigningKey,
}

type Shared = Arc<Mutex<Told>>;

struct World {
    issuer: String,
    told: Shared,
}

fn key() -> P256SigningKey {
    let document =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .unwrap();
    P256SigningKey::from_pkcs8(document.as_ref()).unwrap()
}

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

async fn metadata(State(told): State<Shared>) -> ([(&'static str, &'static str); 1], String) {
    let mut told = told.lock().unwrap();
    told.discovered += 1;
    let at = |path: &str| format!("{}{path}", told.issuer);
    let text = |text: &str| vec![Json::from(text)];
    let metadata = Object::new()
        .with("issuer", told.issuer.as_str())
        .with("authorization_endpoint", at("/authorize"))
        .with("token_endpoint", at("/token"))
        .with("jwks_uri", at("/jwks"))
        .with("response_types_supported", text("code"))
        .with("subject_types_supported", text("public"))
        .with("id_token_signing_alg_values_supported", text("ES256"))
        .with("authorization_response_iss_parameter_supported", told.iss_parameter);
    (JSON, Json::from(metadata).canonical())
}

async fn keys(State(told): State<Shared>) -> ([(&'static str, &'static str); 1], String) {
    let keys: Vec<Json> = told.lock().unwrap().keys.iter().cloned().map(Json::from).collect();
    (JSON, Json::from(Object::new().with("keys", keys)).canonical())
}

async fn token(
    State(told): State<Shared>,
    body: String,
) -> (StatusCode, [(&'static str, &'static str); 1], String) {
    let mut told = told.lock().unwrap();
    told.asked = body;
    if told.token_status != StatusCode::OK {
        return (told.token_status, JSON, r#"{"error":"invalid_grant"}"#.to_owned());
    }
    let token = jose::sign("JWT", Some(told.kid), &told.claims.clone().into(), &told.key).unwrap();
    let answer = Object::new()
        .with("access_token", "opaque")
        .with("token_type", "Bearer")
        .with("expires_in", 300u64)
        .with("id_token", token);
    (StatusCode::OK, JSON, Json::from(answer).canonical())
}

impl World {
    async fn new() -> Self {
        let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let key = key();
        let claims = Object::new()
            .with("iss", issuer.as_str())
            .with("aud", CLIENT)
            .with("sub", "00u142")
            .with("iat", NOW)
            .with("exp", NOW + 300)
            .with("auth_time", NOW)
            .with("department", "sales")
            .with("groups", vec![Json::from("support"), Json::from("on-call")]);
        let told = Arc::new(Mutex::new(Told {
            issuer: issuer.clone(),
            iss_parameter: true,
            keys: vec![jwk(&key, "k1")],
            claims,
            token_status: StatusCode::OK,
            discovered: 0,
            kid: "k1",
            asked: String::new(),
            key,
        }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks", get(keys))
            .route("/token", post(token))
            .with_state(told.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { issuer, told }
    }

    fn config(&self) -> ProviderConfig {
        ProviderConfig {
            name: "acme".to_owned(),
            label: "Acme".to_owned(),
            issuer: self.issuer.clone(),
            client_id: CLIENT.to_owned(),
            client_secret: None,
            scopes: vec!["profile".to_owned()],
            groups_claim: Some("groups".to_owned()),
            claims: vec!["department".to_owned(), "site".to_owned()],
            network: Network::Inside,
            principals: Some(Namespace::parse("user:acme-*").unwrap()),
            provision: false,
            name_claim: "sub".to_owned(),
        }
    }

    async fn provider(&self) -> Provider {
        Provider::discover(self.config(), REDIRECT).await.unwrap()
    }

    fn tell(&self, edit: impl FnOnce(&mut Told)) {
        edit(&mut self.told.lock().unwrap());
    }

    fn discovered(&self) -> usize {
        self.told.lock().unwrap().discovered
    }

    /// The provider answers as it should to a browser that came by `url`.
    fn answer(&self, url: &Url) -> Callback {
        let sent = query(url);
        self.tell(|t| t.claims.insert("nonce", sent["nonce"].as_str()));
        Callback {
            code: Some("code".to_owned()),
            state: Some(sent["state"].clone()),
            iss: Some(self.issuer.clone()),
            error: None,
        }
    }

    async fn log_in(&self, purpose: Purpose) -> Result<LoggedIn, OidcError> {
        let provider = self.provider().await;
        let (url, begun) = provider.begin(&browser(1), purpose, now());
        let callback = self.answer(&url);
        finish(&provider, &begun, &callback).await
    }

    /// A login whose `id_token` has one claim changed.
    async fn with_claim(&self, claim: &str, value: impl Into<Json>) -> Result<(), OidcError> {
        let provider = self.provider().await;
        let (url, begun) = provider.begin(&browser(1), Purpose::SignIn, now());
        let callback = self.answer(&url);
        self.tell(|t| t.claims.insert(claim, value));
        finish(&provider, &begun, &callback).await.map(drop)
    }
}

async fn finish(
    provider: &Provider,
    begun: &Begun,
    callback: &Callback,
) -> Result<LoggedIn, OidcError> {
    let token = provider.exchange(begun, &browser(1), callback).await?;
    provider.read(&token, begun, &browser(1), now())
}

fn jwk(key: &P256SigningKey, kid: &str) -> Object {
    key.verifying_key().to_jwk().with("kid", kid).with("use", "sig")
}

fn query(url: &Url) -> HashMap<String, String> {
    url.query_pairs().into_owned().collect()
}

#[tokio::test]
async fn a_person_logs_in_with_code_pkce_state_and_nonce() {
    let world = World::new().await;
    let provider = world.provider().await;
    let (url, begun) = provider.begin(&browser(1), Purpose::SignIn, now());
    assert!(url.as_str().starts_with(&format!("{}/authorize?", world.issuer)));
    let sent = query(&url);
    let has = |name: &str, value: &str| assert_eq!(sent.get(name).unwrap(), value, "{name}");
    has("response_type", "code");
    has("client_id", CLIENT);
    has("redirect_uri", REDIRECT);
    has("code_challenge_method", "S256");
    assert!(sent["scope"].split(' ').any(|s| s == "openid"));
    assert!(!sent.contains_key("max_age") && !sent.contains_key("prompt"));
    let callback = world.answer(&url);
    // What is kept between the two requests is all that is needed.
    let begun = Begun::from_json(&begun.to_json()).unwrap();
    let person = finish(&provider, &begun, &callback).await.unwrap();
    assert_eq!((person.subject.as_str(), person.name.as_deref()), ("00u142", Some("00u142")));
    assert_eq!(person.groups, ["on-call", "support"]);
    assert_eq!(person.claims, [("department".to_owned(), "sales".to_owned())]);
    assert_eq!(person.authenticated, Some(now()));
    let asked = world.told.lock().unwrap().asked.clone();
    let asked: HashMap<String, String> =
        url::form_urlencoded::parse(asked.as_bytes()).into_owned().collect();
    assert_eq!(
        (asked["grant_type"].as_str(), asked["code"].as_str()),
        ("authorization_code", "code")
    );
    let challenge = sha256(asked["code_verifier"].as_bytes()).to_string();
    assert_eq!(sent["code_challenge"], challenge);
}

#[tokio::test]
async fn nothing_of_a_login_can_be_made_without_the_browsers_secret() {
    let world = World::new().await;
    let provider = world.provider().await;
    let (url, begun) = provider.begin(&browser(1), Purpose::SignIn, now());
    let (other, _) = provider.begin(&browser(2), Purpose::SignIn, now());
    let (sent, others) = (query(&url), query(&other));
    for name in ["state", "nonce", "code_challenge"] {
        assert_ne!(sent[name], others[name], "{name}");
        assert!(!begun.to_json().canonical().contains(&sent[name]), "{name}");
    }
    assert_ne!(sent["state"], sent["nonce"]);
    // Another browser's state, or a code brought to another browser.
    let callback = world.answer(&url);
    let refusal = provider.exchange(&begun, &browser(2), &callback).await;
    assert_eq!(refusal, Err(OidcError::State));
    assert_eq!(world.told.lock().unwrap().asked, "");
}

#[tokio::test]
async fn a_login_for_a_grant_is_asked_for_now_and_carries_its_digest() {
    let world = World::new().await;
    let digest = sha256(b"a grant");
    let provider = world.provider().await;
    let purpose = Purpose::SignGrant { digest };
    let (url, begun) = provider.begin(&browser(1), purpose, now());
    let sent = query(&url);
    assert_eq!(sent["nonce"], digest.to_string());
    assert_eq!((sent["max_age"].as_str(), sent["prompt"].as_str()), ("0", "login"));
    let callback = world.answer(&url);
    let person = finish(&provider, &begun, &callback).await.unwrap();
    assert!(matches!(person.proof, Proof::IdToken { .. }));
    // A login that the provider remembers is none, however short ago it was.
    for ago in [3600, SKEW_SECONDS + 1] {
        world.tell(|t| t.claims.insert("auth_time", NOW - ago));
        for purpose in [purpose, Purpose::Again] {
            let refusal = world.log_in(purpose).await.unwrap_err();
            assert_eq!(refusal, OidcError::IdToken(IdTokenProblem::NotFresh), "{ago}");
        }
        assert!(world.log_in(Purpose::SignIn).await.is_ok());
    }
    // A provider that does not say when it asked is not believed.
    world.tell(|t| drop(t.claims.remove("auth_time")));
    assert!(world.log_in(purpose).await.is_err());
    assert_eq!(world.log_in(Purpose::SignIn).await.unwrap().authenticated, None);
}

#[tokio::test]
async fn an_answer_that_was_not_asked_for_is_refused() {
    let world = World::new().await;
    let provider = world.provider().await;
    let (url, begun) = provider.begin(&browser(1), Purpose::SignIn, now());
    let good = world.answer(&url);
    let judged = async |callback: Callback| finish(&provider, &begun, &callback).await.map(drop);
    assert_eq!(judged(good.clone()).await, Ok(()));
    for state in [None, Some(String::new()), Some("another".to_owned())] {
        assert_eq!(judged(Callback { state, ..good.clone() }).await, Err(OidcError::State));
    }
    for code in [None, Some(String::new()), Some("x".repeat(4097))] {
        assert_eq!(judged(Callback { code, ..good.clone() }).await, Err(OidcError::Answer));
    }
}

#[tokio::test]
async fn an_answer_of_another_provider_is_refused_before_anything_is_sent() {
    let world = World::new().await;
    let provider = world.provider().await;
    let (url, begun) = provider.begin(&browser(1), Purpose::SignIn, now());
    let good = world.answer(&url);
    // Announced, so that it must be there; and it must be the very issuer.
    for iss in [None, Some("https://evil.example".to_owned()), Some(format!("{}/", world.issuer))] {
        let callback = Callback { iss, error: Some("access_denied".into()), ..good.clone() };
        assert_eq!(finish(&provider, &begun, &callback).await, Err(OidcError::MixUp));
    }
    let elsewhere = Begun { issuer: "https://evil.example".to_owned(), ..begun.clone() };
    assert_eq!(finish(&provider, &elsewhere, &good).await, Err(OidcError::MixUp));
    assert_eq!(world.told.lock().unwrap().asked, "");
    // Where it is not announced it may be absent, but not wrong.
    world.tell(|t| t.iss_parameter = false);
    let provider = world.provider().await;
    let callback = Callback { iss: None, ..good.clone() };
    assert!(finish(&provider, &begun, &callback).await.is_ok());
    let callback = Callback { iss: Some("https://evil.example".into()), ..good };
    assert_eq!(finish(&provider, &begun, &callback).await, Err(OidcError::MixUp));
}

#[tokio::test]
async fn a_refusal_of_the_provider_is_told_in_its_code_only() {
    let world = World::new().await;
    let provider = world.provider().await;
    let (url, begun) = provider.begin(&browser(1), Purpose::SignIn, now());
    for (error, code) in [
        ("access_denied", "access_denied"),
        ("<script>alert(1)</script>", "unknown"),
        (&"x".repeat(65), "unknown"),
    ] {
        let callback = Callback { error: Some(error.to_owned()), ..world.answer(&url) };
        let refusal = finish(&provider, &begun, &callback).await;
        assert_eq!(refusal, Err(OidcError::Refused { code: code.to_owned() }));
    }
    world.tell(|t| t.token_status = StatusCode::BAD_REQUEST);
    assert_eq!(world.log_in(Purpose::SignIn).await, Err(OidcError::Exchange));
}

#[tokio::test]
async fn an_id_token_that_is_not_for_this_login_is_refused() {
    use IdTokenProblem as P;
    for (claim, value, problem) in [
        ("nonce", Json::from("another"), P::Nonce),
        ("iss", "https://evil.example".into(), P::Issuer),
        ("aud", "another".into(), P::Audience),
        ("aud", vec![Json::from(CLIENT), "another".into()].into(), P::Audience),
        ("azp", "another".into(), P::Audience),
        ("exp", (NOW - 60).into(), P::NotFresh),
        ("iat", (NOW - 3600).into(), P::NotFresh),
        ("iat", (NOW + 61).into(), P::NotFresh),
        ("sub", "".into(), P::Subject),
    ] {
        let world = World::new().await;
        let refusal = world.with_claim(claim, value.clone()).await;
        assert_eq!(refusal, Err(OidcError::IdToken(problem)), "{claim} {value}");
    }
}

#[tokio::test]
async fn an_id_token_by_another_key_or_under_another_algorithm_is_refused() {
    let world = World::new().await;
    let provider = world.provider().await;
    let (url, begun) = provider.begin(&browser(1), Purpose::SignIn, now());
    let callback = world.answer(&url);
    world.tell(|t| t.key = key());
    let refusal = finish(&provider, &begun, &callback).await.unwrap_err();
    assert_eq!(refusal.code(), "jws-signature-invalid");
    // The provider's public key is no shared secret, and no algorithm is none.
    for (header, code) in [
        (r#"{"alg":"none"}"#, "jws-algorithm-unacceptable"),
        (r#"{"alg":"HS256","kid":"k1"}"#, "jws-algorithm-unacceptable"),
        (r#"{"alg":"RS256","kid":"k1"}"#, "jws-algorithm-unacceptable"),
    ] {
        let claims = world.told.lock().unwrap().claims.clone();
        let claims = base64url(Json::from(claims).canonical().as_bytes());
        let token = format!("{}.{claims}.AAAA", base64url(header.as_bytes()));
        let refusal = provider.read(&token, &begun, &browser(1), now()).unwrap_err();
        assert_eq!(refusal.code(), code, "{header}");
    }
}

#[tokio::test]
async fn groups_and_claims_of_another_form_are_refused() {
    let world = World::new().await;
    let malformed = |claim: &str| Err(OidcError::Claim { claim: claim.to_owned() });
    for groups in [
        Json::from("support"),
        vec![Json::from(1u64)].into(),
        vec![Json::from("")].into(),
        vec![Json::from("x".repeat(257))].into(),
        vec![Json::from("x"); 1025].into(),
    ] {
        assert_eq!(world.with_claim("groups", groups).await, malformed("groups"));
    }
    world.tell(|t| drop(t.claims.remove("groups")));
    assert_eq!(world.with_claim("department", 7u64).await, malformed("department"));
    world.tell(|t| drop(t.claims.remove("department")));
    let person = world.log_in(Purpose::SignIn).await.unwrap();
    assert!(person.groups.is_empty() && person.claims.is_empty());
}

#[tokio::test]
async fn metadata_of_another_issuer_or_without_usable_keys_is_refused() {
    let world = World::new().await;
    let discovered = async || Provider::discover(world.config(), REDIRECT).await.map(drop);
    let mut private = world.told.lock().unwrap().keys[0].clone();
    private.insert("d", "AA");
    for keys in [Vec::new(), vec![private]] {
        world.tell(|t| t.keys = keys);
        let refusal = discovered().await.unwrap_err();
        assert_eq!(refusal.code(), "provider-metadata-invalid");
    }
    world.tell(|t| t.issuer = "https://evil.example".to_owned());
    let other = OidcError::Metadata { problem: "it states another issuer" };
    assert_eq!(discovered().await, Err(other));
    let refusal = Provider::discover(world.config(), "nowhere").await.unwrap_err();
    assert_eq!(refusal.code(), "provider-config-invalid");
}

#[tokio::test]
async fn a_dead_provider_is_a_clear_error_and_asked_again_only_after_a_pause() {
    let world = World::new().await;
    // Nothing inside is reached where the operator did not say so.
    let config = ProviderConfig { network: Network::Public, ..world.config() };
    let refusal = Provider::discover(config, REDIRECT).await.unwrap_err();
    assert_eq!(refusal, OidcError::Unreachable(ProviderHttpError::Address));
    assert!(refusal.remedy().contains("inside"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let config = ProviderConfig { issuer: issuer.clone(), ..world.config() };
    let (providers, clock) = (Providers::new("http://localhost:7417", vec![config]), Clock::new());
    let refusal = providers.current(&issuer, clock.now()).await.unwrap_err();
    assert_eq!(refusal, OidcError::Unreachable(ProviderHttpError::Unreachable));
    assert_eq!(refusal.code(), "provider-unreachable");
    assert!(refusal.to_string().contains("does not answer") && !refusal.remedy().is_empty());
    // It answers now, but it was asked a moment ago.
    world.tell(|t| t.issuer = "https://evil.example".to_owned());
    let providers = Providers::new("http://localhost:7417", vec![world.config()]);
    assert!(providers.current(&world.issuer, clock.now()).await.is_err());
    world.tell(|t| t.issuer = world.issuer.clone());
    assert!(providers.current(&world.issuer, clock.now()).await.is_err());
    assert_eq!(world.discovered(), 1);
    clock.advance(11);
    assert!(providers.current(&world.issuer, clock.now()).await.is_ok());
    assert_eq!(world.discovered(), 2);
}

#[tokio::test]
async fn metadata_and_keys_are_kept_and_an_unknown_key_is_one_more_question() {
    let world = World::new().await;
    let (providers, clock) =
        (Providers::new("http://localhost:7417", vec![world.config()]), Clock::new());
    let log_in = async || {
        let provider = providers.current(&world.issuer, clock.now()).await?;
        let (url, begun) = provider.begin(&browser(1), Purpose::SignIn, clock.now());
        let callback = world.answer(&url);
        world.tell(|t| {
            let now = clock.now().seconds();
            for (claim, time) in [("iat", now), ("exp", now + 300), ("auth_time", now)] {
                t.claims.insert(claim, time);
            }
        });
        providers.finish(&begun, &browser(1), &callback, &clock).await.map(drop)
    };
    for _ in 0..3 {
        assert_eq!(log_in().await, Ok(()));
    }
    assert_eq!(world.discovered(), 1);
    // The provider changes its key.
    clock.advance(60);
    let newer = key();
    world.tell(|t| (t.keys, t.key, t.kid) = (vec![jwk(&newer, "k2")], newer, "k2"));
    assert_eq!(log_in().await, Ok(()));
    assert_eq!(world.discovered(), 2);
    // A token that names a key of nobody does not make us ask on and on.
    world.tell(|t| t.kid = "k3");
    for _ in 0..3 {
        assert_eq!(log_in().await.unwrap_err().code(), "jws-key-unknown");
    }
    assert_eq!(world.discovered(), 2);
    clock.advance(11);
    assert_eq!(log_in().await.unwrap_err().code(), "jws-key-unknown");
    assert_eq!(world.discovered(), 3);
    // Nothing is used for ever.
    world.tell(|t| t.kid = "k2");
    clock.advance(3600);
    assert_eq!(log_in().await, Ok(()));
    assert_eq!(world.discovered(), 4);
}

#[tokio::test]
async fn a_client_secret_goes_where_the_provider_takes_it_and_is_not_shown() {
    let world = World::new().await;
    let secret = zeroize::Zeroizing::new("the-secret".to_owned());
    let config = ProviderConfig { client_secret: Some(secret), ..world.config() };
    assert!(!format!("{config:?}").contains("the-"), "{config:?}");
    let callback = Callback { code: Some("the-code".into()), ..Callback::default() };
    assert!(!format!("{callback:?} {:?}", browser(1)).contains("the-"));
    let provider = Provider::discover(config, REDIRECT).await.unwrap();
    let (url, begun) = provider.begin(&browser(1), Purpose::SignIn, now());
    assert!(!url.as_str().contains("the-secret"));
    let callback = world.answer(&url);
    finish(&provider, &begun, &callback).await.unwrap();
    // By the header, where a provider says nothing else.
    assert!(!world.told.lock().unwrap().asked.contains("the-secret"));
}
