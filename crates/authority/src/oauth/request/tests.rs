use bailiwick_core::limits::JsonLimits;

use super::*;
use crate::oauth::client::Source;

const ISSUER: &str = "https://as.example";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn client(members: &str) -> ClientMetadata {
    let text =
        format!(r#"{{"redirect_uris":["https://c.example/cb","http://127.0.0.1/cb"]{members}}}"#);
    let json = Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap();
    ClientMetadata::parse(json.as_object().unwrap(), Source::Dynamic).unwrap()
}

/// The parameters of a good request, some of them changed: an empty value takes
/// a parameter out.
fn query(changes: &[(&str, &str)]) -> String {
    let mut pairs = vec![
        ("response_type", "code"),
        ("client_id", "c1"),
        ("redirect_uri", "https://c.example/cb"),
        ("state", "s"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("resource", "https://as.example/mcp/support-desk"),
        ("scope", "orders:read ticket:8821"),
    ];
    for (name, value) in changes {
        pairs.retain(|(n, _)| n != name);
        pairs.push((name, value));
    }
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn parse_for(client: &ClientMetadata, query: &str) -> Result<AuthorizationRequest, RequestError> {
    let parameters = Parameters::parse(query).map_err(RequestError::Shown)?;
    let opening = Opening::read(&parameters).map_err(RequestError::Shown)?;
    let servers = [ServerName::parse("support-desk").unwrap()];
    let context = Context { issuer: ISSUER, servers: &servers };
    AuthorizationRequest::parse(&parameters, &opening, client, &context)
}

fn parse(changes: &[(&str, &str)]) -> Result<AuthorizationRequest, RequestError> {
    parse_for(&client(""), &query(changes))
}

/// The error that goes back to the client.
fn redirected(changes: &[(&str, &str)]) -> OAuthError {
    let error = parse(changes).unwrap_err();
    let location = error.location(ISSUER).expect("redirected");
    assert!(location.starts_with("https://c.example/cb?error="), "{location}");
    assert!(location.contains("iss=https%3A%2F%2Fas.example"), "{location}");
    error.error().clone()
}

/// The error that is shown.
fn shown(query: &str) -> OAuthError {
    let error = parse_for(&client(""), query).unwrap_err();
    assert_eq!(error.location(ISSUER), None, "{query}");
    error.error().clone()
}

#[test]
fn a_good_request_is_read_and_kept_and_read_again() {
    let details = r#"[{"type":"urn:bailiwick:delegation","purpose":"p","expires_in":900}]"#;
    let request = parse(&[
        ("authorization_details", details),
        ("dpop_jkt", CHALLENGE),
        ("prompt", "login consent"),
        ("max_age", "300"),
        ("nonce", "ignored"),
        ("redirect_uri", "http://127.0.0.1:5000/cb"),
    ])
    .unwrap();
    assert_eq!(request.scope, ["orders:read", "ticket:8821"]);
    assert_eq!(request.delegation.scope, request.scope);
    assert_eq!(request.delegation.purpose.as_deref(), Some("p"));
    assert_eq!(request.max_age_seconds, Some(300));
    assert!(request.prompt.login && request.prompt.consent && !request.prompt.none);
    let json = request.to_json(ISSUER);
    assert_eq!(AuthorizationRequest::from_json(&json, ISSUER), Some(request.clone()));
    let Json::Object(changed) = json else { panic!() };
    let changed = changed.with("extra", true).into();
    assert_eq!(AuthorizationRequest::from_json(&changed, ISSUER), None);
    assert_eq!(
        request.code_location("c", ISSUER),
        "http://127.0.0.1:5000/cb?code=c&iss=https%3A%2F%2Fas.example&state=s"
    );
    let denied = OAuthError::new(Code::AccessDenied, "person", "no");
    assert!(request.error_location(&denied, ISSUER).contains("error=access_denied"));
}

#[test]
fn an_error_about_client_or_redirect_uri_is_never_redirected() {
    assert_eq!(shown(&query(&[("client_id", "")])).code, Code::InvalidClient);
    assert_eq!(shown(&query(&[("client_id", "a b")])).code, Code::InvalidClient);
    assert_eq!(shown(&query(&[("redirect_uri", "")])).reason, "redirect-uri-missing");
    for evil in ["https://evil.example/cb", "https://c.example/cb/x", "https://c.example/cb#x"] {
        let error = shown(&query(&[("redirect_uri", evil)]));
        assert_eq!(error.reason, "redirect-uri-unregistered", "{evil}");
    }
    let twice = query(&[]) + "&redirect_uri=https%3A%2F%2Fevil.example";
    assert_eq!(shown(&twice).reason, "parameter-repeated");
    let twice = query(&[]) + "&client_id=c2";
    assert_eq!(shown(&twice).reason, "parameter-repeated");
    assert_eq!(shown("client_id=%ff").reason, "parameter-not-utf8");
}

#[test]
fn other_errors_go_back_to_the_client() {
    let good = "https://as.example/mcp/support-desk";
    let jwt = "eyJ";
    for (change, code, reason) in [
        (("response_type", ""), Code::InvalidRequest, "parameter-missing"),
        (("response_type", "token"), Code::UnsupportedResponseType, "response-type"),
        (("response_type", "code token"), Code::UnsupportedResponseType, "response-type"),
        (("response_mode", "fragment"), Code::InvalidRequest, "response-mode"),
        (("request", jwt), Code::RequestNotSupported, "request-object"),
        (("request_uri", good), Code::RequestUriNotSupported, "request-object"),
        (("code_challenge", ""), Code::InvalidRequest, "pkce-missing"),
        (("code_challenge_method", ""), Code::InvalidRequest, "pkce-method"),
        (("code_challenge_method", "plain"), Code::InvalidRequest, "pkce-method"),
        (("code_challenge", "x"), Code::InvalidRequest, "pkce-challenge-malformed"),
        (("scope", "a\u{1}b"), Code::InvalidScope, "scope-malformed"),
        (("resource", "https://evil.example/mcp"), Code::InvalidTarget, "resource-unknown"),
        (("resource", "https://as.example/mcp/other"), Code::InvalidTarget, "resource-unknown"),
        (("authorization_details", "{}"), Code::InvalidAuthorizationDetails, "details-malformed"),
        (
            ("authorization_details", r#"[{"type":"attenuating_agent_token","tools":{}}]"#),
            Code::InvalidAuthorizationDetails,
            "details-not-here",
        ),
        (
            (
                "authorization_details",
                r#"[{"type":"urn:bailiwick:delegation","scope":["orders:read"]}]"#,
            ),
            Code::InvalidScope,
            "scope-twice",
        ),
        (("dpop_jkt", "x"), Code::InvalidRequest, "dpop-jkt-malformed"),
        (("prompt", "none login"), Code::InvalidRequest, "prompt"),
        (("prompt", "create"), Code::InvalidRequest, "prompt"),
        (("max_age", "-1"), Code::InvalidRequest, "max-age"),
        (("max_age", "1h"), Code::InvalidRequest, "max-age"),
        (("max_age", "99999999999"), Code::InvalidRequest, "max-age"),
    ] {
        let error = redirected(&[change]);
        assert_eq!((error.code, error.reason), (code, reason), "{change:?}");
    }
    let twice = query(&[]) + "&scope=x";
    let error = parse_for(&client(""), &twice).unwrap_err();
    assert!(error.location(ISSUER).is_some());
    assert_eq!(error.error().reason, "parameter-repeated");
}

#[test]
fn a_state_that_may_not_be_one_does_not_go_back() {
    for bad in ["s\u{1}", "é", &"x".repeat(2049)] {
        let error = parse(&[("state", bad)]).unwrap_err();
        assert_eq!(error.error().reason, "state-malformed");
        assert!(!error.location(ISSUER).unwrap().contains("state="), "{bad}");
    }
    let twice = query(&[("response_type", "token")]) + "&state=other";
    let error = parse_for(&client(""), &twice).unwrap_err();
    assert!(!error.location(ISSUER).unwrap().contains("state="));
}

#[test]
fn a_client_asks_only_for_what_it_is_registered_for() {
    let restricted = client(r#","scope":"orders:read""#);
    let error = parse_for(&restricted, &query(&[])).unwrap_err();
    assert_eq!(error.error().reason, "scope-not-registered");
    assert!(parse_for(&restricted, &query(&[("scope", "orders:read")])).is_ok());
    let key = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w"}]}"#;
    let exchange = format!(
        r#","jwks":{key},"grant_types":["urn:ietf:params:oauth:grant-type:token-exchange"]"#
    );
    let error = parse_for(&client(&exchange), &query(&[])).unwrap_err();
    assert_eq!(error.error().code, Code::UnauthorizedClient);
}

#[test]
fn the_same_scope_may_stand_in_both_places() {
    let details = r#"[{"type":"urn:bailiwick:delegation","scope":["ticket:8821","orders:read"]}]"#;
    assert_eq!(parse(&[("authorization_details", details)]).unwrap().scope.len(), 2);
    let alone = [("authorization_details", details), ("scope", "")];
    assert_eq!(parse(&alone).unwrap().scope.len(), 2);
    assert!(parse(&[("scope", "")]).unwrap().scope.is_empty());
}
