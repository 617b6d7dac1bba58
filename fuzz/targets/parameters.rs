//! Forms and queries of OAuth clients. What stands there twice is never taken for one value, and
//! what a form asks for is read from values that stand there once.
//!
//! Input: a form (`application/x-www-form-urlencoded`).
#![no_main]

use bailiwick_fuzz::oauth::client::GrantType;
use bailiwick_fuzz::oauth::parameters::Parameters;
use bailiwick_fuzz::oauth::resource::Resource;
use bailiwick_fuzz::oauth::token::{Presented, TokenForm};
use bailiwick_fuzz::seed;
use libfuzzer_sys::fuzz_target;

const ISSUER: &str = "https://authority.example";
const NAMES: [&str; 9] = [
    "grant_type",
    "client_id",
    "client_assertion",
    "code",
    "refresh_token",
    "subject_token",
    "actor_token",
    "scope",
    "authorization_details",
];

const SEEDS: [&str; 5] = [
    "grant_type=authorization_code&client_id=c1&code=abc&code_verifier=v&redirect_uri=http%3A%2F%2F127.0.0.1%2Fcb",
    "grant_type=refresh_token&client_id=c1&refresh_token=r&scope=orders%3Aread+ticket%3A1&resource=https%3A%2F%2Fauthority.example%2Fmcp%2Fdesk",
    "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&client_id=c1&subject_token=a.b.c&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&actor_token=a.b.c&actor_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&requested_token_type=urn%3Abailiwick%3Atoken-type%3Adelegation",
    "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=a.b.c&grant_type=client_credentials",
    "a=1&a=2&resource=x&resource=y&audience=&%66=%ff&scope=",
];

fuzz_target!(
    init: seed(SEEDS),
    |data: &[u8]| {
        let Ok(text) = std::str::from_utf8(data) else { return };
        let Ok(parameters) = Parameters::parse(text) else { return };
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(data).into_owned().collect();
        let times = |name: &str| pairs.iter().filter(|(n, _)| n == name).count();
        for name in NAMES {
            let found = parameters.first(name);
            assert!(found != Some(""), "an empty value counts");
            if let Ok(one) = parameters.one(name) {
                assert!(times(name) <= 1, "one value of several is taken");
                assert_eq!(one, found);
            }
            if parameters.once_each().is_ok() {
                assert!(times(name) <= 1, "one value of several is taken");
            }
        }
        if let Ok(presented) = Presented::read(&parameters) {
            assert!(parameters.once_each().is_ok());
            assert!(presented.client.is_some() || presented.assertion.is_some());
            assert!(parameters.first("client_secret").is_none(), "a secret is accepted");
        }
        if let Ok(Some(resource)) = Resource::one_of(ISSUER, &parameters) {
            assert!(parameters.all("resource").all(|r| r == resource.uri(ISSUER)));
        }
        let Ok(form) = TokenForm::read(&parameters, ISSUER) else { return };
        assert!(parameters.once_each().is_ok());
        let grant = parameters.first("grant_type").and_then(GrantType::parse);
        assert_eq!(grant, Some(form.grant_type()));
        if let TokenForm::TokenExchange(form) = &form {
            assert_eq!(parameters.first("subject_token"), Some(form.subject.token.as_str()));
            assert_eq!(parameters.first("actor_token"), Some(form.actor.token.as_str()));
        }
        // What is logged names parameters only.
        let logged = format!("{form:?}");
        if let Some(code) = parameters.first("code").filter(|code| code.len() > 20) {
            assert!(!logged.contains(code), "a code is logged");
        }
    }
);
