//! HTTP APIs: operations as tools, and requests as calls.
//!
//! An OpenAPI file is read once, by a person who catalogues an API
//! ([`openapi::read`]); what comes of it are self-contained definitions that
//! are pinned like those of any tool. An [`Operation`] is such a definition,
//! understood. It turns a request into arguments ([`Operation::arguments`])
//! and arguments into the one request that they stand for
//! ([`Operation::request`]): each is the other's inverse. What the definition
//! does not describe is refused, and so is every second way of writing what it
//! does: what is checked is what is sent, also for a server that reads
//! requests more freely than this module.

use bailiwick_core::json::{Json, JsonError, Object};
use bailiwick_core::limits::JsonLimits;

mod operation;
mod path;
mod text;
mod value;

pub mod openapi;

pub use operation::{Operation, is_json, matching};
pub use path::Template;

use crate::mcp_methods::is_reserved;

/// Headers that may be parameters. Every other header of a request has no
/// effect: it is not sent on.
pub const HEADER_PARAMETERS: [&str; 4] = ["idempotency-key", "if-match", "if-none-match", "prefer"];

/// Headers by which a caller asks a server to read the request as another one.
const OVERRIDES: [&str; 7] = [
    "x-forwarded-prefix",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
];

/// Every header that [`Incoming::headers`] is searched for.
pub const HEADERS_READ: [&str; 13] = [
    "content-encoding",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "prefer",
    "x-forwarded-prefix",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
];

/// Bytes of a path, and of a query.
const MAX_TARGET_BYTES: usize = 8 * 1024;

/// The HTTP methods that an operation can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// `DELETE`
    Delete,
    /// `GET`
    Get,
    /// `PATCH`
    Patch,
    /// `POST`
    Post,
    /// `PUT`
    Put,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Delete, Self::Get, Self::Patch, Self::Post, Self::Put];

    /// As requests name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }

    /// Reads a method; it is case-sensitive (RFC 9110 §9.1).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == text)
    }
}

/// A request as it came.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The method.
    pub method: &'a str,
    /// The path below the API's base, as written.
    pub path: &'a str,
    /// The query as written, without its question mark.
    pub query: Option<&'a str>,
    /// The headers, names in lower case; only those of
    /// [`HEADER_PARAMETERS`], `content-type`, `content-encoding` and the ones
    /// that would make it another request are looked at.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The whole body.
    pub body: &'a [u8],
    /// Bounds on the body's JSON.
    pub limits: &'a JsonLimits,
}

/// The one request that arguments stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The method.
    pub verb: Verb,
    /// The path below the API's base, percent-encoded.
    pub path: String,
    /// The query, percent-encoded.
    pub query: Option<String>,
    /// Header parameters.
    pub headers: Vec<(&'static str, String)>,
    /// The body, JSON.
    pub body: Option<Vec<u8>>,
}

/// Why a request is none that the API's description has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undescribed {
    /// No operation has this path.
    #[error("no accepted operation has this path")]
    Path,
    /// No operation has this method there.
    #[error("no accepted operation has this method on this path")]
    Method,
    /// The path is not written in its canonical form.
    #[error("the path is not written canonically")]
    PathSpelling,
    /// The query is not written in its canonical form.
    #[error("the query is not written canonically")]
    QuerySpelling,
    /// A parameter that the operation does not have.
    #[error("the operation has no parameter `{name}`")]
    Unknown {
        /// Its name, shortened.
        name: String,
    },
    /// A parameter stands there twice.
    #[error("the parameter `{name}` stands there more than once")]
    Twice {
        /// Its name.
        name: String,
    },
    /// A parameter that must be there is not.
    #[error("the parameter `{name}` is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A parameter's value is not one of its kind, canonically written.
    #[error("the value of `{name}` is not of its kind, written canonically")]
    Value {
        /// Its name.
        name: String,
    },
    /// A header that asks for another request than this one.
    #[error("the header `{name}` would make it another request")]
    Override {
        /// The header.
        name: &'static str,
    },
    /// The body is not JSON, or says that it is packed.
    #[error("the body must be application/json in UTF-8, not packed")]
    BodyType,
    /// The operation takes no body.
    #[error("the operation takes no body")]
    BodyUnexpected,
    /// The operation needs a body.
    #[error("the operation needs a body")]
    BodyMissing,
    /// The body is no object, where its members are arguments.
    #[error("the body must be a JSON object")]
    BodyForm,
    /// The body is not strict JSON.
    #[error("the body is not strict JSON: {0}")]
    Body(JsonError),
    /// A number in it changes when another parser reads it.
    #[error("`{name}` holds a number that a double does not keep")]
    Number {
        /// The argument.
        name: String,
    },
    /// An argument is called `$input` or `$state`.
    #[error("an argument has a reserved name")]
    Reserved,
}

impl Undescribed {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Path => "api-path-unknown",
            Self::Method => "api-method-unknown",
            Self::PathSpelling => "api-path-spelling",
            Self::QuerySpelling => "api-query-spelling",
            Self::Unknown { .. } => "api-parameter-unknown",
            Self::Twice { .. } => "api-parameter-twice",
            Self::Missing { .. } => "api-parameter-missing",
            Self::Value { .. } => "api-value-spelling",
            Self::Override { .. } => "api-override",
            Self::BodyType => "api-body-type",
            Self::BodyUnexpected => "api-body-unexpected",
            Self::BodyMissing => "api-body-missing",
            Self::BodyForm => "api-body-form",
            Self::Body(_) => "api-body-malformed",
            Self::Number { .. } => "api-number-inexact",
            Self::Reserved => "api-argument-reserved",
        }
    }
}

/// What a name in a message may show of a request.
fn shown(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}

/// Whether arguments can be arguments of a call at all.
fn check(arguments: &Object) -> Result<(), Undescribed> {
    for (name, value) in arguments.iter() {
        if is_reserved(name) {
            return Err(Undescribed::Reserved);
        }
        if !value.is_admissible() {
            return Err(Undescribed::Number { name: shown(name) });
        }
    }
    Ok(())
}

/// The strict JSON of a body.
fn body(bytes: &[u8], limits: &JsonLimits) -> Result<Json, Undescribed> {
    Json::parse(bytes, limits).map_err(Undescribed::Body)
}

#[cfg(test)]
mod tests;
