//! The claims of a token, read strictly after its signature held (§3.2, §3.3).

use crate::constraint::Dialect;
use crate::crypto::{Digest, PublicKey, Thumbprint};
use crate::denial::{Denial, Reason};
use crate::json::{Json, Object};
use crate::limits::ChainLimits;
use crate::scope::{Scope, ScopeError};

use super::DETAILS_TYPE;

/// How strictly what the draft leaves open is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strictness {
    /// Which constraint types are understood.
    pub dialect: Dialect,
    /// Whether the token entry may have members besides `type` and `tools`,
    /// which no rule attenuates (chapter 16).
    pub extra_entry_members: bool,
}

/// Who may use a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Whoever has this key: a delegation token's `cnf.jwk`.
    Key(PublicKey),
    /// Whoever has the key of this thumbprint: an access token's `cnf.jkt`.
    Bound(Thumbprint),
    /// Whoever has the token; the thumbprint stands for its client.
    Bearer(Thumbprint),
}

impl Holder {
    /// The key, where the token says it whole.
    #[must_use]
    pub const fn key(&self) -> Option<&PublicKey> {
        match self {
            Self::Key(key) => Some(key),
            Self::Bound(_) | Self::Bearer(_) => None,
        }
    }

    /// The key's thumbprint, or what stands for it.
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        match self {
            Self::Key(key) => key.thumbprint(),
            Self::Bound(thumbprint) | Self::Bearer(thumbprint) => *thumbprint,
        }
    }
}

/// The claims of one token that passed its own checks.
#[derive(Clone, Debug)]
pub struct Claims {
    /// `jti`, not empty.
    pub jti: String,
    /// `iat`, seconds.
    pub iat: i64,
    /// `exp`, seconds.
    pub exp: i64,
    /// `cnf`: who may use it.
    pub holder: Holder,
    /// `aud`, as a list; `None` when absent.
    pub aud: Option<Vec<String>>,
    /// `del_depth`.
    pub depth: u64,
    /// `del_max_depth`.
    pub max_depth: u64,
    /// The tools and constraints of the token's entry; `None` without entry.
    pub scope: Option<Scope>,
    /// All claims as read, for profiles.
    pub all: Object,
}

/// Labels of the draft's steps, which differ between root and child.
#[derive(Clone, Copy, Debug)]
pub struct Labels {
    jti: &'static str,
    dates: &'static str,
    depth: &'static str,
    max_depth: &'static str,
    holder: &'static str,
    details: &'static str,
    entries: &'static str,
    constraints: &'static str,
    iss: &'static str,
}

impl Labels {
    pub(super) const ROOT: Self = Self {
        jti: "3j",
        dates: "3b",
        depth: "3c",
        max_depth: "3i",
        holder: "3l",
        details: "3m",
        entries: "3m",
        constraints: "3n",
        iss: "3k",
    };
    pub(super) const CHILD: Self = Self {
        jti: "4b1",
        dates: "4b5",
        depth: "4b4",
        max_depth: "4b4",
        holder: "4b2",
        details: "4b3",
        entries: "4n",
        constraints: "4o",
        iss: "4b5",
    };
}

fn malformed(claim: &'static str, step: &'static str) -> Denial {
    Denial::new(Reason::ClaimsMalformed).at_step(step).about(claim)
}

fn integer(claims: &Object, name: &str) -> Option<i64> {
    claims.member(name)?.as_number()?.as_plain_integer()
}

fn depth(claims: &Object, name: &str) -> Option<u64> {
    u64::try_from(integer(claims, name)?).ok()
}

/// A first reading that only fails on form; the caller runs it in two halves
/// so that the draft's order of steps shows in the labels.
#[derive(Debug)]
pub(super) struct Reading {
    claims: Object,
    labels: Labels,
}

impl Reading {
    pub(super) fn new(claims: Object, labels: Labels) -> Self {
        Self { claims, labels }
    }

    pub(super) fn jti(&self) -> Result<String, Denial> {
        match self.claims.member("jti").and_then(Json::as_str) {
            Some(jti) if !jti.is_empty() => Ok(jti.to_owned()),
            _ => Err(malformed("jti", self.labels.jti)),
        }
    }

    pub(super) fn dates(&self) -> Result<(i64, i64), Denial> {
        let iat =
            integer(&self.claims, "iat").ok_or_else(|| malformed("iat", self.labels.dates))?;
        let exp =
            integer(&self.claims, "exp").ok_or_else(|| malformed("exp", self.labels.dates))?;
        Ok((iat, exp))
    }

    pub(super) fn depth(&self) -> Result<u64, Denial> {
        depth(&self.claims, "del_depth").ok_or_else(|| malformed("del_depth", self.labels.depth))
    }

    pub(super) fn max_depth(&self) -> Result<u64, Denial> {
        depth(&self.claims, "del_max_depth")
            .ok_or_else(|| malformed("del_max_depth", self.labels.max_depth))
    }

    pub(super) fn par_hash(&self) -> Option<&Json> {
        self.claims.member("par_hash")
    }

    pub(super) fn parent_hash(&self) -> Result<Option<Digest>, Denial> {
        match self.par_hash().and_then(Json::as_str) {
            Some(text) => Ok(Digest::from_text(text)),
            None => Err(malformed("par_hash", "4b5")),
        }
    }

    pub(super) fn iss(&self) -> Result<&str, Denial> {
        self.claims
            .member("iss")
            .and_then(Json::as_str)
            .ok_or_else(|| malformed("iss", self.labels.iss))
    }

    pub(super) fn holder(&self) -> Result<PublicKey, Denial> {
        self.claims
            .member("cnf")
            .and_then(Json::as_object)
            .and_then(|cnf| cnf.member("jwk")?.as_object())
            .and_then(|jwk| PublicKey::from_jwk(jwk).ok())
            .ok_or_else(|| malformed("cnf", self.labels.holder))
    }

    pub(super) fn aud(&self) -> Result<Option<Vec<String>>, Denial> {
        let bad = || malformed("aud", "6c");
        match self.claims.member("aud") {
            None => Ok(None),
            Some(Json::String(one)) => Ok(Some(vec![one.clone()])),
            Some(Json::Array(list)) => list
                .iter()
                .map(|a| a.as_str().map(str::to_owned).ok_or_else(bad))
                .collect::<Result<_, _>>()
                .map(Some),
            Some(_) => Err(bad()),
        }
    }

    /// Whether `authorization_details` is an array at all (3m, 4b3).
    pub(super) fn details(&self) -> Result<&[Json], Denial> {
        self.claims
            .member("authorization_details")
            .and_then(Json::as_array)
            .ok_or_else(|| malformed("authorization_details", self.labels.details))
    }

    /// The token's entry (3m, 4n) and its constraints (3n, 4o).
    pub(super) fn scope(
        &self,
        limits: &ChainLimits,
        strictness: Strictness,
    ) -> Result<Option<Scope>, Denial> {
        let bad = || malformed("authorization_details", self.labels.entries);
        let mut found = None;
        for element in self.details()? {
            // Elements that are no objects or have no type: unclear in the
            // draft, refused here (chapter 16).
            let element = element.as_object().ok_or_else(bad)?;
            let kind = element.member("type").and_then(Json::as_str).ok_or_else(bad)?;
            if kind != DETAILS_TYPE {
                continue;
            }
            if found.replace(element).is_some() {
                return Err(bad());
            }
        }
        let Some(entry) = found else { return Ok(None) };
        if !strictness.extra_entry_members && entry.len() != 2 {
            return Err(bad());
        }
        let tools = entry.member("tools").and_then(Json::as_object).ok_or_else(bad)?;
        if tools.iter().any(|(_, map)| map.as_object().is_none()) {
            return Err(bad());
        }
        Scope::parse(tools, strictness.dialect, limits.max_constraint_depth).map(Some).map_err(
            |e: ScopeError| {
                Denial::new(Reason::ConstraintInvalid)
                    .at_step(self.labels.constraints)
                    .about(e.code())
            },
        )
    }

    /// All claims, for profiles.
    pub(super) fn into_all(self) -> Object {
        self.claims
    }
}
