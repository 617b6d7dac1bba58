//! What clients read before anything else: the metadata of the authorization
//! server (RFC 8414). That of a protected resource is the gateway's to serve.

use bailiwick_core::json::{Json, Object};

use super::client::{AuthMethod, GrantType};
use super::details::TYPES;
use super::introspection::SIGNING_ALGORITHM;
use super::pkce::METHOD;

/// The endpoints, below the issuer.
pub mod path {
    /// Where a person's browser is sent.
    pub const AUTHORIZE: &str = "/authorize";
    /// Token endpoint.
    pub const TOKEN: &str = "/token";
    /// Where a principal has the grant made that it is to sign.
    pub const PREPARE: &str = "/prepare";
    /// Dynamic registration (RFC 7591).
    pub const REGISTER: &str = "/register";
    /// Introspection (RFC 7662).
    pub const INTROSPECT: &str = "/introspect";
    /// Revocation (RFC 7009).
    pub const REVOKE: &str = "/revoke";
    /// The keys that tokens are signed with.
    pub const JWKS: &str = "/jwks";
    /// The status lists, and their list.
    pub const STATUS_LISTS: &str = "/statuslists";
    /// The authorization server's metadata (RFC 8414 §3).
    pub const METADATA: &str = "/.well-known/oauth-authorization-server";
    /// The same document, where OpenID clients look (RFC 8414 §5).
    pub const OPENID: &str = "/.well-known/openid-configuration";
}

/// The algorithms that signatures of clients and instances may have. Ed25519
/// has two names (RFC 8037, RFC 9864).
pub const SIGNING_ALGORITHMS: [&str; 3] = ["ES256", "Ed25519", "EdDSA"];

fn texts<'t>(list: impl IntoIterator<Item = &'t str>) -> Vec<Json> {
    list.into_iter().map(Json::from).collect()
}

/// The authorization server's metadata. `issuer` goes in letter by letter: a
/// client compares it with where it looked (RFC 8414 §3.3).
#[must_use]
pub fn authorization_server(issuer: &str) -> Json {
    let at = |path: &str| format!("{issuer}{path}");
    let grants = GrantType::ALL.map(GrantType::as_str);
    let methods = AuthMethod::ALL.map(AuthMethod::as_str);
    let keyed = [AuthMethod::PrivateKeyJwt.as_str()];
    Object::new()
        .with("issuer", issuer)
        .with("aat_issuer", true)
        .with("authorization_endpoint", at(path::AUTHORIZE))
        .with("token_endpoint", at(path::TOKEN))
        .with("registration_endpoint", at(path::REGISTER))
        .with("introspection_endpoint", at(path::INTROSPECT))
        .with("revocation_endpoint", at(path::REVOKE))
        .with("bailiwick_grant_preparation_endpoint", at(path::PREPARE))
        .with("jwks_uri", at(path::JWKS))
        .with("status_list_aggregation_endpoint", at(path::STATUS_LISTS))
        .with("response_types_supported", texts(["code"]))
        .with("response_modes_supported", texts(["query"]))
        .with("grant_types_supported", texts(grants))
        .with("code_challenge_methods_supported", texts([METHOD]))
        .with("token_endpoint_auth_methods_supported", texts(methods))
        .with("token_endpoint_auth_signing_alg_values_supported", texts(SIGNING_ALGORITHMS))
        .with("revocation_endpoint_auth_methods_supported", texts(methods))
        .with("revocation_endpoint_auth_signing_alg_values_supported", texts(SIGNING_ALGORITHMS))
        .with("introspection_endpoint_auth_methods_supported", texts(keyed))
        .with("introspection_endpoint_auth_signing_alg_values_supported", texts(SIGNING_ALGORITHMS))
        .with("introspection_signing_alg_values_supported", texts([SIGNING_ALGORITHM]))
        .with("dpop_signing_alg_values_supported", texts(SIGNING_ALGORITHMS))
        .with("authorization_details_types_supported", texts(TYPES))
        .with("authorization_response_iss_parameter_supported", true)
        .with("client_id_metadata_document_supported", true)
        .with("request_parameter_supported", false)
        .with("request_uri_parameter_supported", false)
        .into()
}

#[cfg(test)]
mod tests {
    use bailiwick_core::limits::JsonLimits;

    use super::*;

    fn file(text: &str) -> Json {
        Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap()
    }

    #[test]
    fn the_authorization_servers_document_is_the_one_on_record() {
        let expected = file(include_str!("snapshots/authorization-server.json"));
        assert_eq!(authorization_server("https://as.example"), expected);
    }
}
