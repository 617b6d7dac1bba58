use bailiwick_core::crypto::{Signer as _, SigningKey};
use bailiwick_core::json::Object;
use url::form_urlencoded::Serializer;

use super::*;

const ISSUER: &str = "https://as.example";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

fn form(pairs: &[(&str, &str)]) -> Parameters {
    let text = Serializer::new(String::new()).extend_pairs(pairs).finish();
    Parameters::parse(&text).unwrap()
}

fn read(pairs: &[(&str, &str)]) -> Result<TokenForm, OAuthError> {
    TokenForm::read(&form(pairs), ISSUER)
}

/// A good exchange, some parameters of it changed; an empty value takes one
/// out.
fn exchanged(changes: &[(&str, &str)]) -> Result<ExchangeForm, OAuthError> {
    let mut pairs = vec![
        ("grant_type", EXCHANGE),
        ("subject_token", "s"),
        ("subject_token_type", ACCESS),
        ("actor_token", "a"),
        ("actor_token_type", JWT),
    ];
    for (name, value) in changes {
        pairs.retain(|(n, _)| n != name);
        pairs.push((name, value));
    }
    match read(&pairs)? {
        TokenForm::TokenExchange(form) => Ok(*form),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_grant_type_is_read_with_its_parameters() {
    let code = read(&[
        ("grant_type", "authorization_code"),
        ("code", "c"),
        ("redirect_uri", "https://c.example/cb"),
        ("code_verifier", "v"),
        ("resource", "https://as.example/mcp/desk"),
    ]);
    let TokenForm::AuthorizationCode { code, redirect_uri, verifier, resource } = code.unwrap()
    else {
        panic!()
    };
    assert_eq!((code.as_str(), verifier.as_deref()), ("c", Some("v")));
    assert!(redirect_uri.is_some() && resource.is_some());
    let refresh =
        read(&[("grant_type", "refresh_token"), ("refresh_token", "r"), ("scope", "a b")]);
    assert!(matches!(&refresh, Ok(TokenForm::RefreshToken { scope, .. }) if scope.len() == 2));
    let refresh = refresh.unwrap();
    assert_eq!(refresh.grant_type(), GrantType::RefreshToken);
    // Nothing secret appears in debug output.
    let shown = format!("{refresh:?} {:?}", exchanged(&[("subject_token", "secret")]));
    assert!(!shown.contains("secret"), "{shown}");
}

/// RFC 7521 §4.1: the assertion says who sends it, unless the request does.
#[test]
fn a_signed_grant_says_by_itself_who_sends_it() {
    let key = SigningKey::from_seed(&[7; 32]).unwrap();
    let claims = Object::new().with("sub", "service:billing");
    let typ = bailiwick_core::grant::TYPE;
    let assertion = bailiwick_core::jose::sign(typ, None, &claims.into(), &key).unwrap();
    let grant = GrantType::JwtBearer.as_str();
    let pairs = [("grant_type", grant), ("assertion", assertion.as_str())];
    let who = |pairs: &[(&str, &str)]| Presented::at_token_endpoint(&form(pairs));
    assert_eq!(who(&pairs).unwrap().client.unwrap().as_str(), "service:billing");
    let said = [pairs[0], pairs[1], ("client_id", "c")];
    assert_eq!(who(&said).unwrap().client.unwrap().as_str(), "c");
    // Elsewhere, and with another grant type, it is no way to say it.
    assert_eq!(Presented::read(&form(&pairs)).unwrap_err().reason, "client-missing");
    let other = [("grant_type", "refresh_token"), pairs[1]];
    assert_eq!(who(&other).unwrap_err().reason, "client-missing");
    let secret = [pairs[0], pairs[1], ("client_secret", "s")];
    assert_eq!(who(&secret).unwrap_err().reason, "client-secret");
    for (pairs, reason) in [
        (vec![pairs[0]], "parameter-missing"),
        (vec![pairs[0], pairs[1]], "parameter-missing"),
        (vec![pairs[0], pairs[1], ("prepared", "{}")], "prepared-malformed"),
        (vec![pairs[0], pairs[1], ("prepared", "[")], "prepared-malformed"),
    ] {
        assert_eq!(read(&pairs).unwrap_err().reason, reason, "{pairs:?}");
    }
}

#[test]
fn client_credentials_are_refused_with_a_clear_text() {
    let error = read(&[("grant_type", "client_credentials")]).unwrap_err();
    assert_eq!((error.code, error.reason), (Code::UnsupportedGrantType, "client-credentials"));
    assert!(error.description.contains("a principal grants it"));
    for other in [
        "password",
        "implicit",
        "urn:ietf:params:oauth:grant-type:saml2-bearer",
        "urn:openid:params:grant-type:ciba",
    ] {
        let error = read(&[("grant_type", other)]).unwrap_err();
        assert_eq!(error.code, Code::UnsupportedGrantType, "{other}");
    }
    assert_eq!(read(&[("code", "c")]).unwrap_err().reason, "parameter-missing");
}

#[test]
fn what_is_missing_repeated_or_too_large_is_named() {
    for (grant, missing) in [("authorization_code", "code"), ("refresh_token", "refresh_token")] {
        let error = read(&[("grant_type", grant)]).unwrap_err();
        assert!(error.description.contains(&format!("`{missing}`")), "{error}");
        let long = "x".repeat(MAX_SECRET_BYTES + 1);
        let error = read(&[("grant_type", grant), (missing, &long)]).unwrap_err();
        assert_eq!(error.reason, "parameter-too-large");
    }
    let twice = form(&[("grant_type", "authorization_code"), ("code", "a"), ("code", "b")]);
    assert_eq!(TokenForm::read(&twice, ISSUER).unwrap_err().reason, "parameter-repeated");
    assert_eq!(Presented::read(&twice).unwrap_err().reason, "parameter-repeated");
}

#[test]
fn an_exchange_says_subject_actor_and_types() {
    let exchange = exchanged(&[
        ("requested_token_type", "urn:bailiwick:token-type:delegation"),
        ("audience", "https://as.example/mcp"),
        ("scope", "orders:read"),
        ("authorization_details", r#"[{"type":"attenuating_agent_token","tools":{}}]"#),
    ])
    .unwrap();
    assert_eq!(exchange.requested, TokenType::Delegation);
    assert_eq!(exchange.resource, Some(Resource::Gateway));
    assert!(exchange.details.narrowing.is_some());
    assert_eq!(exchanged(&[]).unwrap().requested, TokenType::AccessToken);
    for kind in TokenType::ALL {
        assert_eq!(TokenType::parse(kind.as_str()), Some(kind));
    }
}

#[test]
fn a_token_and_its_type_come_together() {
    for (change, reason) in [
        (("subject_token", ""), "token-without-type"),
        (("subject_token_type", ""), "token-without-type"),
        (("actor_token", ""), "token-without-type"),
        (("actor_token_type", ""), "token-without-type"),
        (("subject_token_type", "urn:ietf:params:oauth:token-type:saml2"), "token-type-unknown"),
        (("actor_token_type", ACCESS), "actor-type"),
        (("requested_token_type", JWT), "requested-type"),
        (
            ("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"),
            "requested-type",
        ),
        (("req_cnf", "{}"), "req-cnf-malformed"),
        (("req_cnf", r#"{"jwk":{"kty":"oct","k":"AA"}}"#), "req-cnf-malformed"),
    ] {
        let error = exchanged(&[change]).unwrap_err();
        assert_eq!((error.code, error.reason), (Code::InvalidRequest, reason), "{change:?}");
    }
    let neither = [("subject_token", ""), ("subject_token_type", "")];
    assert_eq!(exchanged(&neither).unwrap_err().reason, "subject-missing");
    let nobody = [("actor_token", ""), ("actor_token_type", "")];
    assert_eq!(exchanged(&nobody).unwrap_err().reason, "actor-missing");
    let long = "x".repeat(MAX_TOKEN_BYTES + 1);
    assert_eq!(exchanged(&[("subject_token", &long)]).unwrap_err().reason, "parameter-too-large");
    assert_eq!(exchanged(&[("resource", "x")]).unwrap_err().code, Code::InvalidTarget);
    let two = [("resource", "https://as.example/mcp/a"), ("audience", "https://as.example/mcp/b")];
    assert_eq!(exchanged(&two).unwrap_err().reason, "resource-several");
}

#[test]
fn a_requested_key_is_public_and_on_ed25519() {
    let key = SigningKey::from_seed(&[7; 32]).unwrap().public_key();
    let cnf = Json::from(Object::new().with("jwk", key.to_jwk())).canonical();
    assert_eq!(exchanged(&[("req_cnf", &cnf)]).unwrap().holder, Some(key));
    let private = Object::new().with("jwk", key.to_jwk().with("d", "AA"));
    let private = Json::from(private).canonical();
    assert_eq!(exchanged(&[("req_cnf", &private)]).unwrap_err().reason, "req-cnf-malformed");
}

#[test]
fn a_client_says_who_it_is_and_brings_no_secret() {
    let read = |pairs: &[(&str, &str)]| Presented::read(&form(pairs));
    assert_eq!(read(&[("client_id", "c")]).unwrap().assertion, None);
    let signed = [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", "a.b.c")];
    assert!(read(&signed).unwrap().assertion.is_some());
    let long = "x".repeat(MAX_SECRET_BYTES + 1);
    for (pairs, reason) in [
        (vec![], "client-missing"),
        (vec![("client_id", "c"), ("client_secret", "s")], "client-secret"),
        (vec![("client_id", "a b")], "client-id-malformed"),
        (vec![("client_assertion", "a.b.c")], "client-assertion-half"),
        (
            vec![("client_id", "c"), ("client_assertion_type", ASSERTION_TYPE)],
            "client-assertion-half",
        ),
        (
            vec![("client_assertion_type", "urn:x"), ("client_assertion", "a")],
            "client-assertion-type",
        ),
        (
            vec![("client_assertion_type", ASSERTION_TYPE), ("client_assertion", &long)],
            "client-assertion-too-large",
        ),
    ] {
        let error = read(&pairs).unwrap_err();
        assert_eq!((error.code, error.reason), (Code::InvalidClient, reason));
    }
}
