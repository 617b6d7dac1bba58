use bailiwick_core::ids::ServerName;

use super::*;
use crate::http::provider::Network;

const ISSUER: &str = "https://as.example";

fn config() -> AccountConfig {
    AccountConfig {
        server: ServerName::parse("mail").unwrap(),
        client_id: "bailiwick".to_owned(),
        client_secret: None,
        issuer: Some(ISSUER.to_owned()),
        endpoints: None,
        scopes: vec!["mail.read".to_owned()],
        network: Network::Public,
    }
}

fn site() -> Site {
    Site {
        authorization: "https://as.example/authorize?tenant=1".to_owned(),
        sends_issuer: true,
        tokens: TokenSite {
            issuer: Some(ISSUER.to_owned()),
            token: "https://as.example/token".to_owned(),
            revocation: None,
            client_id: "bailiwick".to_owned(),
            resource: "https://mail.example/mcp".to_owned(),
        },
    }
}

fn secret(byte: u8) -> Secret {
    Secret::parse(&bailiwick_core::crypto::base64url(&[byte; 32])).unwrap()
}

fn answer(secret: &Secret) -> Callback {
    Callback {
        code: Some("the-code".to_owned()),
        state: Some(state(secret)),
        iss: Some(ISSUER.to_owned()),
        error: None,
    }
}

const BACK: &str = "https://bailiwick.example/accounts/mail/callback";

#[test]
fn a_person_is_sent_with_pkce_state_resource_and_our_callback() {
    let url = site().begin(&config(), &secret(1), BACK).unwrap();
    let of = |name: &str| {
        let mut found = url.query_pairs().filter(|(n, _)| n == name);
        let value = found.next().unwrap().1.into_owned();
        assert!(found.next().is_none(), "{name} once");
        value
    };
    assert_eq!((of("tenant").as_str(), of("response_type").as_str()), ("1", "code"));
    assert_eq!((of("code_challenge_method").as_str(), of("redirect_uri").as_str()), ("S256", BACK));
    assert_eq!(of("resource"), "https://mail.example/mcp");
    assert_eq!((of("scope"), of("state")), ("mail.read".to_owned(), state(&secret(1))));
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier(&secret(1)));
    assert_eq!(of("code_challenge"), challenge.as_str());
    assert_ne!(of("state"), of("code_challenge"));
}

#[test]
fn an_answer_of_another_browser_or_server_is_not_taken() {
    let (mine, other) = (secret(1), secret(2));
    assert_eq!(site().code(&mine, &answer(&mine)), Ok("the-code"));
    assert_eq!(site().code(&mine, &answer(&other)), Err(AccountError::State));
    assert_eq!(site().code(&mine, &Callback::default()), Err(AccountError::State));
    for iss in [None, Some("https://as.example/"), Some("https://evil.example")] {
        let callback = Callback { iss: iss.map(str::to_owned), ..answer(&mine) };
        assert_eq!(site().code(&mine, &callback), Err(AccountError::MixUp), "{iss:?}");
    }
    // Also when it brings an error: another server's text is not shown.
    let callback = Callback {
        iss: Some("https://evil.example".to_owned()),
        error: Some("access_denied".to_owned()),
        ..answer(&mine)
    };
    assert_eq!(site().code(&mine, &callback), Err(AccountError::MixUp));
    // Who does not announce that it names itself may leave it out, and no more.
    let silent = Site { sends_issuer: false, ..site() };
    let without = Callback { iss: None, ..answer(&mine) };
    assert_eq!(silent.code(&mine, &without), Ok("the-code"));
    let wrong = Callback { iss: Some("https://evil.example".to_owned()), ..answer(&mine) };
    assert_eq!(silent.code(&mine, &wrong), Err(AccountError::MixUp));
    let mut unknown = silent;
    unknown.tokens.issuer = None;
    assert_eq!(unknown.code(&mine, &answer(&mine)), Err(AccountError::MixUp));
}

#[test]
fn a_refusal_is_told_in_plain_words_only() {
    let mine = secret(1);
    let refused = |error: &str| {
        let callback = Callback { code: None, error: Some(error.to_owned()), ..answer(&mine) };
        site().code(&mine, &callback).unwrap_err()
    };
    assert_eq!(refused("access_denied"), AccountError::Refused { code: "access_denied".into() });
    assert_eq!(refused("<b>call 555</b>"), AccountError::Refused { code: "unknown".into() });
    let none = Callback { code: Some(String::new()), ..answer(&mine) };
    assert_eq!(site().code(&mine, &none), Err(AccountError::Answer));
}

#[tokio::test]
async fn tokens_are_handled_only_where_todays_configuration_says() {
    let tokens = Tokens {
        access: Zeroizing::new("access".to_owned()),
        refresh: Some(Zeroizing::new("refresh".to_owned())),
        lasts: None,
    };
    assert!(!format!("{tokens:?}").contains("access\""));
    let other = TokenSite { issuer: Some("https://old.example".to_owned()), ..site().tokens };
    assert_eq!(other.renew(&config(), "refresh").await.unwrap_err(), AccountError::Moved);
    assert_eq!(other.revoke(&config(), &tokens).await, Err(AccountError::Moved));
    let other = TokenSite { client_id: "someone".to_owned(), ..site().tokens };
    assert_eq!(other.renew(&config(), "refresh").await.unwrap_err(), AccountError::Moved);
    let endpoints = Endpoints {
        authorization: "https://as.example/authorize".to_owned(),
        token: "https://as.example/other".to_owned(),
        revocation: None,
    };
    let config = AccountConfig { endpoints: Some(endpoints), ..config() };
    assert_eq!(site().tokens.renew(&config, "r").await.unwrap_err(), AccountError::Moved);
}

#[test]
fn tokens_are_given_back_only_where_todays_configuration_says() {
    let at = |revocation: Option<&str>| AccountConfig {
        endpoints: Some(Endpoints {
            authorization: "https://as.example/authorize".to_owned(),
            token: "https://as.example/token".to_owned(),
            revocation: revocation.map(str::to_owned),
        }),
        ..config()
    };
    let of = |revocation: Option<&str>| TokenSite {
        revocation: revocation.map(str::to_owned),
        ..site().tokens
    };
    let (here, there) = (Some("https://as.example/revoke"), Some("https://old.example/revoke"));
    for (config, site) in [(here, there), (None, there)] {
        assert_eq!(at(config).check_site(&of(site)), Err(AccountError::Moved), "{site:?}");
    }
    // One that was added since is nowhere that anything would be sent.
    for (config, site) in [(here, here), (here, None), (None, None)] {
        assert_eq!(at(config).check_site(&of(site)), Ok(()), "{site:?}");
    }
}

#[test]
fn a_configuration_that_would_send_the_secret_anywhere_is_refused() {
    config().check(true).unwrap();
    let member = |config: &AccountConfig, has_secret| match config.check(has_secret) {
        Err(AccountError::Config { member, .. }) => member,
        other => panic!("{other:?}"),
    };
    let open = AccountConfig { issuer: None, ..config() };
    open.check(false).unwrap();
    assert_eq!(member(&open, true), "issuer");
    for issuer in ["http://as.example", "https://u:p@as.example", "https://as.example?x", "x"] {
        let config = AccountConfig { issuer: Some(issuer.to_owned()), ..config() };
        assert_eq!(member(&config, false), "issuer", "{issuer}");
    }
    let inside = AccountConfig { network: Network::Inside, ..config() };
    assert!(inside.place("http://127.0.0.1:8080/a").is_some());
    assert!(inside.place("http://10.0.0.1/a").is_none(), "in the clear over a network");
    let bad = AccountConfig { scopes: vec!["two words".to_owned()], ..config() };
    assert_eq!(member(&bad, false), "scopes");
    let bad = AccountConfig { client_id: String::new(), ..config() };
    assert_eq!(member(&bad, false), "client_id");
    let endpoints = Endpoints {
        authorization: "javascript:alert(1)".to_owned(),
        token: "https://as.example/t".to_owned(),
        revocation: None,
    };
    let bad = AccountConfig { endpoints: Some(endpoints), ..config() };
    assert_eq!(member(&bad, false), "authorization_url");
}
