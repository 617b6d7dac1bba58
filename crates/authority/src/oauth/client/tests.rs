use bailiwick_core::limits::JsonLimits;

use super::*;

const KEY: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w","kid":"a"}]}"#;

fn object(text: &str) -> Object {
    match Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap() {
        Json::Object(object) => object,
        other => panic!("{other}"),
    }
}

fn dynamic(members: &str) -> Result<ClientMetadata, OAuthError> {
    let text = format!(r#"{{"redirect_uris":["http://127.0.0.1/cb"]{members}}}"#);
    ClientMetadata::parse(&object(&text), Source::Dynamic)
}

#[test]
fn what_an_mcp_client_registers_is_accepted_and_answered_as_registered() {
    let metadata = dynamic(
        r#","client_name":"MCP Inspector","client_uri":"https://example.com/inspector",
        "grant_types":["authorization_code","refresh_token"],"response_types":["code"],
        "token_endpoint_auth_method":"none","logo_uri":"https://x.example/logo","x":{"y":1}"#,
    )
    .unwrap();
    assert_eq!(metadata.application_type, ApplicationType::Native);
    assert_eq!(
        Json::from(metadata.to_json()).canonical(),
        r#"{"application_type":"native","client_name":"MCP Inspector","#.to_owned()
            + r#""client_uri":"https://example.com/inspector","dpop_bound_access_tokens":false,"#
            + r#""grant_types":["authorization_code","refresh_token"],"#
            + r#""redirect_uris":["http://127.0.0.1/cb"],"response_types":["code"],"#
            + r#""token_endpoint_auth_method":"none"}"#
    );
    let again = ClientMetadata::parse(&metadata.to_json(), Source::Operator).unwrap();
    assert_eq!(again, metadata);
}

#[test]
fn a_client_says_little_and_is_public() {
    let metadata = dynamic("").unwrap();
    assert_eq!(metadata.auth_method, AuthMethod::None);
    assert_eq!(metadata.grant_types, BTreeSet::from([GrantType::AuthorizationCode]));
    assert_eq!(metadata.permits(GrantType::AuthorizationCode), Ok(()));
    let error = metadata.permits(GrantType::TokenExchange).unwrap_err();
    assert_eq!(error.code, Code::UnauthorizedClient);
}

#[test]
fn a_client_with_a_key_authenticates_with_it() {
    let metadata = dynamic(&format!(
        r#","jwks":{KEY},"token_endpoint_auth_method":"private_key_jwt",
        "token_endpoint_auth_signing_alg":"ES256","dpop_bound_access_tokens":true,
        "scope":"orders:read","software_id":"s","software_version":"1",
        "authorization_details_types":["urn:bailiwick:delegation"],
        "grant_types":["urn:ietf:params:oauth:grant-type:token-exchange"]"#
    ))
    .unwrap();
    assert_eq!(metadata.auth_method, AuthMethod::PrivateKeyJwt);
    assert!(metadata.dpop_bound && metadata.keys.is_some());
    assert_eq!(metadata.software.as_deref(), Some("s 1"));
    assert_eq!(
        dynamic(&format!(r#","jwks":{KEY}"#)).unwrap().auth_method,
        AuthMethod::PrivateKeyJwt
    );
    // A public client's keys prove nothing and are not kept.
    let public = format!(r#","jwks":{KEY},"token_endpoint_auth_method":"none""#);
    assert_eq!(dynamic(&public).unwrap().keys, None);
}

#[test]
fn shared_secrets_are_refused_wherever_they_come_from() {
    let url = DocumentUrl::parse("https://c.example/client.json", false).unwrap();
    for source in [Source::Dynamic, Source::Operator, Source::Document(&url)] {
        for secret in [
            r#""client_secret":"x""#,
            r#""client_secret_expires_at":0"#,
            r#""token_endpoint_auth_method":"client_secret_basic""#,
            r#""token_endpoint_auth_method":"client_secret_post""#,
            r#""token_endpoint_auth_method":"client_secret_jwt""#,
        ] {
            let text = format!(
                r#"{{"client_id":"https://c.example/client.json",
                "redirect_uris":["https://c.example/cb"],{secret}}}"#
            );
            let error = ClientMetadata::parse(&object(&text), source).unwrap_err();
            assert_eq!(error.code, Code::InvalidClientMetadata, "{secret}");
        }
    }
}

#[test]
fn each_member_that_is_not_acceptable_is_named() {
    for (members, named) in [
        (r#","jwks_uri":"https://c.example/jwks""#, "jwks_uri"),
        (r#","software_statement":"x""#, "software_statement"),
        (r#","token_endpoint_auth_method":"private_key_jwt""#, "jwks"),
        (r#","token_endpoint_auth_method":1"#, "token_endpoint_auth_method"),
        (r#","token_endpoint_auth_signing_alg":"none""#, "token_endpoint_auth_signing_alg"),
        (r#","token_endpoint_auth_signing_alg":"HS256""#, "token_endpoint_auth_signing_alg"),
        (r#","grant_types":["client_credentials"]"#, "grant_types"),
        (r#","grant_types":["implicit"]"#, "grant_types"),
        (r#","grant_types":["password"]"#, "grant_types"),
        (r#","grant_types":[]"#, "grant_types"),
        (r#","grant_types":["refresh_token"]"#, "grant_types"),
        (r#","grant_types":["urn:ietf:params:oauth:grant-type:jwt-bearer"]"#, "grant_types"),
        (r#","grant_types":"authorization_code""#, "grant_types"),
        (r#","response_types":["token"]"#, "response_types"),
        (r#","response_types":["code id_token"]"#, "response_types"),
        (r#","response_types":[]"#, "response_types"),
        (r#","application_type":"service""#, "application_type"),
        (r#","scope":["a"]"#, "scope"),
        (r#","scope":"é""#, "scope"),
        (r#","client_name":"a\u202eb""#, "client_name"),
        (r#","client_name":"a\u0007b""#, "client_name"),
        (r#","client_name":1"#, "client_name"),
        (r#","client_uri":"javascript:alert(1)""#, "client_uri"),
        (r#","dpop_bound_access_tokens":"yes""#, "dpop_bound_access_tokens"),
        (r#","authorization_details_types":["x"]"#, "authorization_details_types"),
    ] {
        let error = dynamic(members).unwrap_err();
        assert_eq!(error.code, Code::InvalidClientMetadata, "{members}");
        assert!(error.description.contains(&format!("`{named}`")), "{members}: {error}");
    }
    let long = format!(r#","client_name":"{}""#, "x".repeat(121));
    assert!(dynamic(&long).is_err());
}

#[test]
fn redirect_uris_are_there_few_and_fit_the_kind_of_client() {
    let parse = |text: &str| ClientMetadata::parse(&object(text), Source::Dynamic);
    let error = parse(r#"{"redirect_uris":[]}"#).unwrap_err();
    assert_eq!((error.code, error.reason), (Code::InvalidRedirectUri, "redirect-uri-missing"));
    assert_eq!(parse("{}").unwrap_err().code, Code::InvalidRedirectUri);
    let error = parse(r#"{"redirect_uris":["http://c.example/cb"]}"#).unwrap_err();
    assert_eq!(error.code, Code::InvalidRedirectUri);
    let error = dynamic(r#","application_type":"web""#).unwrap_err();
    assert_eq!(error.reason, "redirect-uri-not-web");
    assert!(dynamic(r#","application_type":"native""#).is_ok());
    let many = vec![r#""https://c.example/cb""#; 17].join(",");
    assert!(parse(&format!(r#"{{"redirect_uris":[{many}]}}"#)).is_err());
    // A service needs none.
    let service = format!(
        r#"{{"jwks":{KEY},"grant_types":["urn:ietf:params:oauth:grant-type:token-exchange"]}}"#
    );
    assert!(parse(&service).unwrap().redirect_uris.is_empty());
}

#[test]
fn a_document_speaks_only_for_its_own_url() {
    let url = DocumentUrl::parse("https://c.example/client.json", false).unwrap();
    let parse = |id: &str| {
        let text = format!(r#"{{"client_id":"{id}","redirect_uris":["https://c.example/cb"]}}"#);
        ClientMetadata::parse(&object(&text), Source::Document(&url))
    };
    assert_eq!(parse(url.as_str()).unwrap().auth_method, AuthMethod::None);
    assert_eq!((url.host(), url.client_id().is_url()), ("c.example", true));
    for other in ["https://c.example/client.json#", "https://c.example/Client.json", ""] {
        let error = parse(other).unwrap_err();
        assert!(error.description.contains("`client_id`"), "{other}");
    }
    let nothing = object(r#"{"redirect_uris":["https://c.example/cb"]}"#);
    assert!(ClientMetadata::parse(&nothing, Source::Document(&url)).is_err());
}

#[test]
fn a_document_url_is_https_with_a_path_and_in_its_normal_form() {
    for good in
        ["https://c.example/client.json", "https://c.example:8443/a/b", "https://c.example/a?b=c"]
    {
        assert!(DocumentUrl::parse(good, false).is_ok(), "{good}");
    }
    for bad in [
        "http://c.example/client.json",
        "http://127.0.0.1/client.json",
        "https://c.example",
        "https://c.example/",
        "https://c.example/client.json#",
        "https://c.example/client.json#f",
        "https://u@c.example/client.json",
        "https://u:p@c.example/client.json",
        "https://c.example/a/../client.json",
        "https://c.example/./client.json",
        "https://c.example/a/%2e%2e/client.json",
        "https://c.example:443/client.json",
        "https://C.example/client.json",
        "https://c.example\\client.json",
        "https://c.example/cl\tient.json",
        "https:c.example/client.json",
        "ftp://c.example/client.json",
        "client.json",
    ] {
        let error = DocumentUrl::parse(bad, false).unwrap_err();
        assert_eq!(error.reason, "client-url-unacceptable", "{bad}");
    }
    assert!(DocumentUrl::parse(&format!("https://c.example/{}", "x".repeat(2048)), false).is_err());
    // For tests, where the operator says so; and only this very machine.
    assert!(DocumentUrl::parse("http://127.0.0.1:9/client.json", true).is_ok());
    assert!(DocumentUrl::parse("http://c.example/client.json", true).is_err());
}

#[test]
fn a_client_id_is_visible_text_of_a_bounded_size() {
    assert_eq!(ClientId::parse("abc").unwrap().as_str(), "abc");
    for bad in ["", "a b", "a\nb", "é", "a\"b", &"x".repeat(2049)] {
        let error = ClientId::parse(bad).unwrap_err();
        assert_eq!((error.code, error.status()), (Code::InvalidClient, 401), "{bad}");
    }
}

#[test]
fn the_browser_is_sent_only_where_the_client_is_registered() {
    let metadata = dynamic("").unwrap();
    let asked = "http://127.0.0.1:5000/cb";
    assert_eq!(metadata.redirect_for(Some(asked)).unwrap(), asked);
    assert_eq!(metadata.redirect_for(None).unwrap(), "http://127.0.0.1/cb");
    let error = metadata.redirect_for(Some("http://127.0.0.1:5000/evil")).unwrap_err();
    assert_eq!(error.reason, "redirect-uri-unregistered");
    let two = object(r#"{"redirect_uris":["https://c.example/1","https://c.example/2"]}"#);
    let two = ClientMetadata::parse(&two, Source::Dynamic).unwrap();
    assert_eq!(two.redirect_for(None).unwrap_err().reason, "redirect-uri-missing");
}
