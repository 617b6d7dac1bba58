//! Member names, of which the usual ones cost no allocation.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, Visitor};

/// A member name as it was read or set.
#[derive(Clone)]
pub(super) enum Name {
    /// One of [`usual`].
    Usual(&'static str),
    /// Any other.
    Other(String),
}

impl Name {
    pub(super) fn new(name: impl AsRef<str> + Into<String>) -> Self {
        usual(name.as_ref()).map_or_else(|| Self::Other(name.into()), Self::Usual)
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Usual(name) => name,
            Self::Other(name) => name,
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

macro_rules! usual {
    ($($name:literal)*) => {
        /// The names that stand in nearly every token, proof and entry. Which names
        /// are here decides nothing but what reading them costs.
        fn usual(name: &str) -> Option<&'static str> {
            match name { $($name => Some($name),)* _ => None }
        }
    };
}

usual! {
    // RFC 7515, 7517, 7519
    "alg" "typ" "kid" "jwk" "kty" "crv" "x"
    "iss" "sub" "aud" "exp" "nbf" "iat" "jti" "cnf" "act" "nonce"
    // draft -02
    "authorization_details" "type" "tools" "del_depth" "del_max_depth" "par_hash"
    "aat_id" "aat_hash" "aat_tool" "aat_aud" "hta"
    "constraint_type" "optional" "value" "values" "min" "max" "constraints"
    // the accountable profile
    "id" "digest" "max_calls"
    "urn:bailiwick:claim:task" "urn:bailiwick:claim:purpose" "urn:bailiwick:claim:workflow"
    "urn:bailiwick:claim:grant" "urn:bailiwick:claim:budget"
    // entries
    "v" "org" "time" "kind" "maker" "seq" "prev" "body" "commits" "sig" "salt" "row"
    "principal" "agent" "instance" "task" "grant" "delegation" "action" "tool" "decision"
    "reason" "workflow_digest" "grant_digest" "root" "pin" "guarantee" "audience"
}

/// Reads a name.
pub(super) struct Reading;

impl<'de> DeserializeSeed<'de> for Reading {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Name, D::Error> {
        d.deserialize_str(self)
    }
}

impl Visitor<'_> for Reading {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Name, E> {
        Ok(Name::new(name))
    }
}
