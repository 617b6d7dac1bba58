//! The messages of the Workload API (SPIFFE Workload API, `workload.proto`):
//! numbers and kinds of the fields are the standard's.

use std::collections::HashMap;

use prost::Message;

/// A request without parameters that are looked at.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Nothing {}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct X509SvidResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) svids: Vec<X509Svid>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(crate) crl: Vec<Vec<u8>>,
    /// By the SPIFFE ID of the trust domain.
    #[prost(map = "string, bytes", tag = "3")]
    pub(crate) federated_bundles: HashMap<String, Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct X509Svid {
    #[prost(string, tag = "1")]
    pub(crate) spiffe_id: String,
    /// DER, leaf first.
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) x509_svid: Vec<u8>,
    /// PKCS#8, DER.
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) x509_svid_key: Vec<u8>,
    /// DER.
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) bundle: Vec<u8>,
    #[prost(string, tag = "5")]
    pub(crate) hint: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct X509BundlesResponse {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(crate) crl: Vec<Vec<u8>>,
    #[prost(map = "string, bytes", tag = "2")]
    pub(crate) bundles: HashMap<String, Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct WitSvidRequest {
    /// Empty: all.
    #[prost(string, tag = "1")]
    pub(crate) spiffe_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct WitSvidResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) svids: Vec<WitSvid>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct WitSvid {
    #[prost(string, tag = "1")]
    pub(crate) spiffe_id: String,
    /// Compact JWS.
    #[prost(string, tag = "2")]
    pub(crate) wit_svid: String,
    /// A private JWK.
    #[prost(string, tag = "3")]
    pub(crate) wit_svid_key: String,
    #[prost(string, tag = "4")]
    pub(crate) hint: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct WitBundlesResponse {
    /// A JWK set by the SPIFFE ID of the trust domain.
    #[prost(map = "string, bytes", tag = "1")]
    pub(crate) bundles: HashMap<String, Vec<u8>>,
}
