//! Clients' metadata, from registration or from a document, and the URLs of such documents: what
//! is kept reads as the same client again, and no secret is ever in it.
//!
//! Input: metadata; or a `client_id` that is a URL, and the document found there.
#![no_main]

use bailiwick_core::json::Json;
use bailiwick_fuzz::oauth::client::{AuthMethod, ClientId, ClientMetadata, DocumentUrl, Source};
use bailiwick_fuzz::{JSON, fields, joined, public_key, seed};
use libfuzzer_sys::fuzz_target;
use url::Url;

fn seeds() -> Vec<Vec<u8>> {
    let jwk = Json::from(public_key(1).to_jwk()).canonical();
    let keyed = format!(
        r#"{{"jwks":{{"keys":[{jwk}]}},"redirect_uris":["https://c.example/cb"],"scope":"orders:read","token_endpoint_auth_method":"private_key_jwt"}}"#
    );
    let id = "https://c.example/client.json";
    let document = format!(r#"{{"client_id":"{id}","redirect_uris":["https://c.example/cb"]}}"#);
    vec![
        br#"{"application_type":"native","client_name":"Desk","client_uri":"https://c.example/","redirect_uris":["http://127.0.0.1/cb","com.example.app:/cb"],"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"token_endpoint_auth_method":"none","dpop_bound_access_tokens":true,"software_id":"desk","software_version":"2"}"#.to_vec(),
        br#"{"grant_types":["urn:ietf:params:oauth:grant-type:token-exchange"]}"#.to_vec(),
        br#"{"redirect_uris":["https://c.example/cb"],"client_secret":"s"}"#.to_vec(),
        keyed.into_bytes(),
        joined(&[id, &document]),
        joined(&["https://c.example/../client.json", &document]),
    ]
}

fn check(text: &str, source: Source<'_>) {
    let Ok(json) = Json::parse(text.as_bytes(), &JSON) else { return };
    let Some(object) = json.as_object() else { return };
    let Ok(client) = ClientMetadata::parse(object, source) else { return };
    assert!(object.member("client_secret").is_none(), "a secret is accepted");
    assert_eq!(client.keys.is_some(), client.auth_method == AuthMethod::PrivateKeyJwt);
    let kept = client.to_json();
    let again = ClientMetadata::parse(&kept, Source::Operator).expect("what is kept can be read");
    assert_eq!(again, client);
    // A browser is sent to a registered URI only.
    for asked in client.redirect_uris.iter().map(|uri| uri.as_str()) {
        assert_eq!(client.redirect_for(Some(asked)).as_deref(), Ok(asked));
    }
    assert!(client.redirect_for(Some("https://evil.example/cb")).is_err() || text.contains("evil"));
}

fuzz_target!(
    init: seed(seeds()),
    |data: &[u8]| {
        let Some(fields) = fields(data) else { return };
        match fields.as_slice() {
            [metadata] => check(metadata, Source::Dynamic),
            [id, document] => {
                let _ = ClientId::parse(id);
                let Ok(url) = DocumentUrl::parse(id, false) else { return };
                // What is fetched is what was named.
                let fetched: &Url = url.url();
                assert_eq!((fetched.as_str(), fetched.scheme()), (*id, "https"));
                assert!(!url.host().is_empty() && fetched.username().is_empty());
                check(document, Source::Document(&url));
            }
            _ => {}
        }
    }
);
