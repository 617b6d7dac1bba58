//! Logging in at an identity provider over HTTP: what a browser meets when it
//! comes back with what it was sent for, and with anything else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::{get, post};
use bailiwick_authority::http::provider::Network;
use bailiwick_authority::people::oidc::ProviderConfig;
use bailiwick_authority::people::sessions::{FRESH_SECONDS, Secret};
use bailiwick_core::crypto::P256SigningKey;
use bailiwick_core::jose::{self, JwsSigner as _};
use bailiwick_core::json::{Json, Object};

use crate::console::{Answer, Served};
use crate::support::{principal, provider_key};

const PERSON: &str = "user:142";

/// An identity provider whose `id_token`s are what the test says.
struct Site {
    served: Served,
    issuer: String,
    key: Arc<P256SigningKey>,
    token: Arc<Mutex<String>>,
}

fn answer(object: Object) -> ([(&'static str, &'static str); 1], String) {
    ([("content-type", "application/json")], Json::from(object).canonical())
}

impl Site {
    fn start() -> Self {
        let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let (key, token) = (Arc::new(provider_key()), Arc::new(Mutex::new(String::new())));
        let at = |path: &str| format!("{issuer}{path}");
        let texts = |text: &str| vec![Json::from(text)];
        let metadata = Object::new()
            .with("issuer", issuer.as_str())
            .with("authorization_endpoint", at("/authorize"))
            .with("token_endpoint", at("/token"))
            .with("jwks_uri", at("/jwks"))
            .with("response_types_supported", texts("code"))
            .with("subject_types_supported", texts("public"))
            .with("id_token_signing_alg_values_supported", texts("ES256"))
            .with("authorization_response_iss_parameter_supported", true);
        let jwk = key.verifying_key().to_jwk().with("kid", "k1");
        let told = Arc::clone(&token);
        let exchanged = move || async move {
            let token = told.lock().unwrap().clone();
            answer(
                Object::new()
                    .with("access_token", "opaque")
                    .with("token_type", "Bearer")
                    .with("id_token", token),
            )
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(|| async { answer(metadata) }))
            .route(
                "/jwks",
                get(|| async { answer(Object::new().with("keys", vec![Json::from(jwk)])) }),
            )
            .route("/token", post(exchanged));
        runtime.spawn(async move { axum::serve(listener, router).await });
        let config = ProviderConfig {
            issuer: issuer.clone(),
            network: Network::Inside,
            ..crate::logins::provider("user:*", false)
        };
        let dead = ProviderConfig {
            name: "dead".to_owned(),
            issuer: "http://127.0.0.1:9".to_owned(),
            ..config.clone()
        };
        let served = Served::with(runtime, vec![config.clone(), dead]);
        let known = served.world.authority.login_add(&principal(PERSON), &config, "00u142");
        known.unwrap();
        Self { served, issuer, key, token }
    }

    /// A browser goes to the provider; gives its cookies' secret and what it
    /// was sent with.
    fn leave(&self, path: &str, session: Option<&Secret>) -> (String, HashMap<String, String>) {
        let left = self.served.get(path, session);
        assert_eq!(left.status, 303, "{}", left.body);
        assert!(left.location().starts_with(&format!("{}/authorize?", self.issuer)));
        let url = url::Url::parse(left.location()).unwrap();
        (cookie(&left, "bailiwick-login"), url.query_pairs().into_owned().collect())
    }

    /// The provider will tell this of who logged in.
    fn tell(&self, nonce: &str, edit: impl FnOnce(&mut Object)) {
        let now = self.served.now().seconds();
        let mut claims = Object::new()
            .with("iss", self.issuer.as_str())
            .with("aud", "bailiwick")
            .with("sub", "00u142")
            .with("nonce", nonce)
            .with("iat", now)
            .with("exp", now + 300)
            .with("auth_time", now);
        edit(&mut claims);
        let token = jose::sign("JWT", Some("k1"), &claims.into(), &*self.key).unwrap();
        *self.token.lock().unwrap() = token;
    }

    fn back(&self, query: &[(&str, &str)], cookies: &str) -> Answer {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(query);
        let path = format!("/login/callback?{}", text.finish());
        let headers = [("Cookie", cookies.to_owned()), ("Sec-Fetch-Site", "cross-site".to_owned())];
        self.served.send("GET", &path, &headers, "")
    }

    fn good<'a>(&'a self, sent: &'a HashMap<String, String>) -> [(&'static str, &'a str); 3] {
        [("code", "c"), ("state", &sent["state"]), ("iss", &self.issuer)]
    }
}

/// The value of a cookie that an answer sets; empty if it does not.
fn cookie(answer: &Answer, name: &str) -> String {
    let set = answer.head.lines().filter_map(|line| {
        let (header, value) = line.split_once(": ")?;
        let value = header.eq_ignore_ascii_case("set-cookie").then_some(value)?;
        value.strip_prefix(&format!("{name}="))?.split(';').next()
    });
    set.map(str::to_owned).find(|value| !value.is_empty()).unwrap_or_default()
}

fn refused(answer: &Answer, code: &str) {
    assert!(answer.status >= 400, "{}", answer.status);
    assert!(answer.body.contains(&format!("<code>{code}</code>")), "{code}: {}", answer.body);
    assert!(answer.body.contains("What to do:"));
    assert_eq!(cookie(answer, "bailiwick"), "", "{code}");
}

#[test]
fn a_browser_that_comes_back_with_its_own_answer_is_signed_in_and_goes_where_it_wanted() {
    let site = Site::start();
    let page = site.served.get("/login?next=/agents", None);
    assert!(page.body.contains("/login/provider/acme?next=%2Fagents"), "{}", page.body);
    let (secret, sent) = site.leave("/login/provider/acme?next=%2Fagents", None);
    site.tell(&sent["nonce"], |_| {});
    let answer = site.back(&site.good(&sent), &format!("bailiwick-login={secret}"));
    assert_eq!((answer.status, answer.location()), (303, "/agents"), "{}", answer.body);
    let session = Secret::parse(&cookie(&answer, "bailiwick")).unwrap();
    let me = site.served.world.authority.session(&session).unwrap().unwrap();
    assert_eq!(me.id, principal(PERSON));
    assert!(answer.head.contains("HttpOnly") && answer.head.contains("SameSite=Lax"));
    // Somewhere else is not where anybody goes after a login.
    let (secret, sent) = site.leave("/login/provider/acme?next=//evil.example", None);
    site.tell(&sent["nonce"], |_| {});
    let answer = site.back(&site.good(&sent), &format!("bailiwick-login={secret}"));
    assert_eq!(answer.location(), "/");
    // Who is signed in already proves it anew.
    let (_, sent) = site.leave("/login/provider/acme", Some(&session));
    assert_eq!((sent["prompt"].as_str(), sent["max_age"].as_str()), ("login", "0"));
}

#[test]
fn an_answer_is_taken_once_and_from_the_browser_that_began_only() {
    let site = Site::start();
    let (secret, sent) = site.leave("/login/provider/acme", None);
    let (other, theirs) = site.leave("/login/provider/acme", None);
    site.tell(&sent["nonce"], |_| {});
    refused(&site.back(&site.good(&sent), ""), "login-state-unknown");
    let cookie_of = |secret: &str| format!("bailiwick-login={secret}");
    refused(&site.back(&site.good(&sent), &cookie_of(&other)), "login-state-unknown");
    let answer = site.back(&site.good(&sent), &cookie_of(&secret));
    assert_eq!(answer.status, 303, "{}", answer.body);
    // The other browser's own login is not ended by an answer that is not its.
    site.tell(&theirs["nonce"], |_| {});
    let answer = site.back(&site.good(&theirs), &cookie_of(&other));
    assert_eq!(answer.status, 303, "{}", answer.body);
    refused(&site.back(&site.good(&sent), &cookie_of(&secret)), "login-state-unknown");
    // Whose login failed is asked for an account, whatever the provider remembers.
    let headers = [("Cookie", cookie_of(&secret))];
    let begun = site.served.send("GET", "/login/provider/acme", &headers, "");
    assert!(begun.location().contains("prompt=login"), "{}", begun.location());
    // Not even its begin is somebody else's to make.
    let headers = [("Sec-Fetch-Site", "cross-site".to_owned())];
    let begun = site.served.send("GET", "/login/provider/acme", &headers, "");
    refused(&begun, "cross-site");
    assert_eq!(site.served.get("/login/provider/nobody", None).status, 404);
    // After ten minutes nobody is waiting any more.
    let (secret, sent) = site.leave("/login/provider/acme", None);
    site.served.world.host.advance(601_000);
    site.tell(&sent["nonce"], |_| {});
    refused(&site.back(&site.good(&sent), &cookie_of(&secret)), "login-state-unknown");
}

/// The answer's parameters, from those that were sent.
type Query<'a> = dyn Fn(&HashMap<String, String>) -> Vec<(&'static str, String)> + 'a;

#[test]
fn whatever_else_comes_back_gets_a_page_and_no_session() {
    let site = Site::start();
    let judged = |query: &Query<'_>, edit: &dyn Fn(&mut Object)| {
        let (secret, sent) = site.leave("/login/provider/acme", None);
        site.tell(&sent["nonce"], edit);
        let pairs = query(&sent);
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (*n, v.as_str())).collect();
        site.back(&pairs, &format!("bailiwick-login={secret}"))
    };
    let good = |sent: &HashMap<String, String>| {
        site.good(sent).into_iter().map(|(n, v)| (n, v.to_owned())).collect::<Vec<_>>()
    };
    let with = |name: &'static str, value: &'static str| {
        move |sent: &HashMap<String, String>| {
            let mut pairs = good(sent);
            pairs.retain(|(n, _)| *n != name);
            pairs.push((name, value.to_owned()));
            pairs
        }
    };
    let as_it_is = |_: &mut Object| {};
    refused(&judged(&with("iss", "https://evil.example"), &as_it_is), "login-other-provider");
    refused(&judged(&with("error", "access_denied"), &as_it_is), "login-refused");
    refused(&judged(&with("state", "x"), &as_it_is), "login-state-unknown");
    refused(&judged(&with("code", ""), &as_it_is), "login-answer-malformed");
    let twice = |sent: &HashMap<String, String>| {
        let mut pairs = good(sent);
        pairs.push(("code", "another".to_owned()));
        pairs
    };
    refused(&judged(&twice, &as_it_is), "login-answer-malformed");
    for (claim, value, code) in [
        ("nonce", Json::from("another"), "id-token-other-digest"),
        ("aud", "another".into(), "id-token-other-client"),
        ("iss", "https://evil.example".into(), "id-token-issuer-untrusted"),
        ("exp", 1u64.into(), "id-token-not-fresh"),
        ("sub", "00u999".into(), "login-unknown"),
    ] {
        refused(&judged(&good, &|claims| claims.insert(claim, value.clone())), code);
    }
    // A provider that is not there.
    let dead = site.served.get("/login/provider/dead", None);
    refused(&dead, "provider-unreachable");
    assert_eq!((dead.status, site.served.count("principal.added")), (502, 3));
}

#[test]
fn what_a_page_shows_is_signed_by_a_login_that_was_asked_for_it() {
    let site = Site::start();
    let me = site.served.sign_in(PERSON);
    let page = site.served.asking(&me);
    let shown = site.served.get(&page, Some(&me)).body;
    let html = scraper::Html::parse_document(&shown);
    let text = |selector: &str| {
        let selector = scraper::Selector::parse(selector).unwrap();
        let found = html.select(&selector).next().expect("it is on the page");
        (found.text().collect::<String>(), found.attr("href").unwrap_or_default().to_owned())
    };
    let (digest, _) = text("[data-field='digest']");
    let (button, path) = text("[data-sign-at]");
    assert!(button.contains("Acme"), "{button}");
    let session = format!("bailiwick={}", me.reveal());
    // A login of an hour ago is no signature, and that it was tried is known.
    let (secret, sent) = site.leave(&path, Some(&me));
    assert_eq!(sent["nonce"], digest);
    assert_eq!((sent["prompt"].as_str(), sent["max_age"].as_str()), ("login", "0"));
    let hour_ago = site.served.now().seconds() - 3600;
    site.tell(&digest, |claims| claims.insert("auth_time", hour_ago));
    let cookies = format!("{session}; bailiwick-login={secret}");
    refused(&site.back(&site.good(&sent), &cookies), "id-token-not-fresh");
    assert_eq!(site.served.count("authorization.refused"), 1);
    // Without the session of the person the grant is nobody's.
    let (secret, sent) = site.leave(&path, Some(&me));
    site.tell(&digest, |_| {});
    let answer = site.back(&site.good(&sent), &format!("bailiwick-login={secret}"));
    assert!(answer.location().starts_with("/login"), "{}", answer.head);
    assert_eq!(site.served.count("grant.recorded"), 0);
    let (secret, sent) = site.leave(&path, Some(&me));
    let cookies = format!("{session}; bailiwick-login={secret}");
    let answer = site.back(&site.good(&sent), &cookies);
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert!(answer.location().starts_with("http://127.0.0.1:5151/callback?code="));
    assert_eq!(site.served.count("grant.recorded"), 1);
    // Who is known by no login there has nothing to sign with.
    let other = site.served.sign_in("user:143");
    let page = site.served.asking(&other);
    assert!(!site.served.get(&page, Some(&other)).body.contains("data-sign-at"));
    let begun = site.served.get(&format!("{page}/provider/acme"), Some(&other));
    refused(&begun, "login-not-theirs");
    assert!(site.served.get(&path, None).location().starts_with("/login?"));
}

#[test]
fn a_person_who_just_proved_who_they_are_adds_a_login_on_their_page() {
    let site = Site::start();
    let me = site.served.sign_in("user:143");
    let path = "/account/logins/acme";
    let page = site.served.get("/account", Some(&me)).body;
    assert!(page.contains(path) && page.contains("Add a login at Acme"), "{page}");
    let (secret, sent) = site.leave(path, Some(&me));
    // The provider is to ask whoever sits there, whatever it remembers.
    assert_eq!((sent["prompt"].as_str(), sent["max_age"].as_str()), ("login", "0"));
    site.tell(&sent["nonce"], |claims| claims.insert("sub", "00u143"));
    let cookies = format!("bailiwick={}; bailiwick-login={secret}", me.reveal());
    let answer = site.back(&site.good(&sent), &cookies);
    assert_eq!((answer.status, answer.location()), (303, "/account"), "{}", answer.body);
    let page = site.served.get("/account", Some(&me)).body;
    assert!(page.contains("as 00u143"), "{page}");
    // From now on it is a way in.
    let (secret, sent) = site.leave("/login/provider/acme", None);
    site.tell(&sent["nonce"], |claims| claims.insert("sub", "00u143"));
    let answer = site.back(&site.good(&sent), &format!("bailiwick-login={secret}"));
    let session = Secret::parse(&cookie(&answer, "bailiwick")).unwrap();
    let known = site.served.world.authority.session(&session).unwrap().unwrap();
    assert_eq!(known.id, principal("user:143"));
}

#[test]
fn nobody_else_adds_a_login_to_an_account_and_no_stale_one_is_added() {
    let site = Site::start();
    let me = site.served.sign_in("user:143");
    let path = "/account/logins/acme";
    let added = || site.served.count("credential.added");
    let before = added();
    assert!(site.served.get(path, None).location().starts_with("/login?"));
    assert_eq!(site.served.get("/account/logins/nobody", Some(&me)).status, 404);
    // Another site does not begin it.
    let cookies = format!("bailiwick={}", me.reveal());
    let headers = [("Cookie", cookies.clone()), ("Sec-Fetch-Site", "cross-site".to_owned())];
    refused(&site.served.send("GET", path, &headers, ""), "cross-site");
    // An account that is somebody's already, or a login of an hour ago: refused, recorded.
    let judged = |session: &str, edit: &dyn Fn(&mut Object)| {
        let (secret, sent) = site.leave(path, Some(&me));
        site.tell(&sent["nonce"], edit);
        site.back(&site.good(&sent), &format!("{session}; bailiwick-login={secret}"))
    };
    let hour_ago = site.served.now().seconds() - 3600;
    let fresh = |claims: &mut Object| claims.insert("sub", "00u143");
    refused(&judged(&cookies, &|_| {}), "login-taken");
    let stale = |claims: &mut Object| {
        fresh(claims);
        claims.insert("auth_time", hour_ago);
    };
    refused(&judged(&cookies, &stale), "id-token-not-fresh");
    assert_eq!(site.served.count("authorization.refused"), 2);
    // Without the session in which it began, or in another one, it is nobody's.
    assert!(judged("x=y", &fresh).location().starts_with("/login"));
    let other = site.served.sign_in(PERSON);
    let other = format!("bailiwick={}", other.reveal());
    refused(&judged(&other, &fresh), "login-state-unknown");
    // Whoever sits down at an open session adds no way in of theirs.
    site.served.world.host.advance(FRESH_SECONDS * 1000);
    refused(&site.served.get(path, Some(&me)), "authentication-not-fresh");
    let page = site.served.get("/account", Some(&me)).body;
    assert!(!page.contains(path) && page.contains("/login?next=/account"), "{page}");
    assert_eq!(added(), before);
}
