//! A grant that its principal signs by request (RFC 7523 §2.1, DESIGN rule 9):
//! what services send, and whoever else has a registered key.
//!
//! In two steps, so that what is signed is what the rules made. The principal
//! has the grant prepared: the authority expands the scope, mints the ids and
//! seals the statement. Then it signs the statement's digest as an assertion
//! and presents it at the token endpoint beside the statement. Nothing is kept
//! in between.

use bailiwick_core::crypto::PublicKey;
use bailiwick_core::grant::{Request, TYPE};
use bailiwick_core::ids::PrincipalId;
use bailiwick_core::jose::{Acceptable, HeaderRules, Jws};
use bailiwick_core::json::Json;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;

use super::client::ClientId;
use super::details::{AuthorizationDetails, DelegationDetails, parse_scope};
use super::error::{Code, OAuthError};
use super::parameters::Parameters;
use super::token::bounded;
use crate::rules::delegations::Prepared;

/// Bytes of an assertion at most: it carries a digest, not the grant.
const MAX_ASSERTION_BYTES: usize = 4096;
/// Room for a statement with everything that a workflow can expand to.
const PREPARED: JsonLimits =
    JsonLimits { max_bytes: 256 * 1024, max_depth: 96, max_values: 20_000 };

/// What the token endpoint gets.
#[derive(Clone, PartialEq)]
pub struct SignedGrantForm {
    /// The principal's signature over the grant's digest.
    pub assertion: String,
    /// The statement as it was prepared, with its seal.
    pub prepared: Prepared,
    /// The holder key of the instance that is to act, where the agent has
    /// several.
    pub holder: Option<PublicKey>,
}

fn bad(reason: &'static str, text: impl AsRef<str>) -> OAuthError {
    OAuthError::new(Code::InvalidGrant, reason, text)
}

/// Frames the assertion. Nothing in it is trusted.
///
/// # Errors
/// `invalid_grant` (RFC 7521 §4.1.1).
pub fn framed(assertion: &str) -> Result<Acceptable<'_>, OAuthError> {
    const RULES: HeaderRules<'_> = HeaderRules::typed(&[TYPE]);
    Jws::parse(assertion, MAX_ASSERTION_BYTES)
        .and_then(|jws| jws.check_header(&RULES))
        .map_err(|e| bad("assertion-malformed", format!("`assertion`: {e}")))
}

/// Whose it claims to be.
///
/// # Errors
/// `invalid_grant`.
pub fn claimed(assertion: &str) -> Result<ClientId, OAuthError> {
    let named = framed(assertion)?.claim_hint("sub");
    let named = named.and_then(|sub| PrincipalId::parse(&sub).ok());
    let named = named.ok_or_else(|| {
        bad("assertion-malformed", "`sub` of `assertion` is missing or names no principal")
    })?;
    ClientId::parse(named.as_str())
}

pub(super) fn read(
    parameters: &Parameters,
    holder: Option<PublicKey>,
) -> Result<SignedGrantForm, OAuthError> {
    let assertion = bounded(parameters, "assertion", MAX_ASSERTION_BYTES)?;
    let text = parameters.required("prepared")?;
    let malformed = |what: String| {
        let text = format!("`prepared` must be the answer of the preparation, unchanged: {what}");
        OAuthError::request("prepared-malformed", text)
    };
    let json = Json::parse(text.as_bytes(), &PREPARED).map_err(|e| malformed(e.to_string()))?;
    let prepared = Prepared::from_json(&json).map_err(|e| malformed(e.to_string()))?;
    // What was prepared says everything; a second word could contradict it.
    for other in ["scope", "authorization_details", "resource", "audience"] {
        if parameters.first(other).is_some() {
            let text = format!("`{other}` was settled when the grant was prepared");
            return Err(OAuthError::request("prepared-and-more", text));
        }
    }
    Ok(SignedGrantForm { assertion, prepared, holder })
}

/// What a principal asks to have prepared.
#[derive(Clone, Debug, PartialEq)]
pub struct PrepareForm(DelegationDetails);

impl PrepareForm {
    /// Reads the form: one delegation in `authorization_details` (RFC 9396).
    ///
    /// # Errors
    /// `invalid_authorization_details` names what is missing or not for here.
    pub fn read(parameters: &Parameters) -> Result<Self, OAuthError> {
        parameters.once_each()?;
        let refused = |text: &str| {
            OAuthError::new(Code::InvalidAuthorizationDetails, "details-incomplete", text)
        };
        let details = AuthorizationDetails::parse(parameters.required("authorization_details")?)?;
        if details.narrowing.is_some() {
            return Err(refused("a grant is asked for in the workflow's shorthands only"));
        }
        let mut delegation =
            details.delegation.ok_or_else(|| refused("no delegation is asked for"))?;
        for shorthand in parse_scope(parameters.first("scope").unwrap_or_default())? {
            if !delegation.scope.contains(&shorthand) {
                delegation.scope.push(shorthand);
            }
        }
        let missing = [
            ("agent", delegation.agent.is_none()),
            ("purpose", delegation.purpose.is_none()),
            ("scope", delegation.scope.is_empty()),
            ("expires_in", delegation.expires_in_seconds.is_none()),
        ];
        if let Some((member, _)) = missing.iter().find(|(_, missing)| *missing) {
            return Err(refused(&format!("the member `{member}` is missing")));
        }
        Ok(Self(delegation))
    }

    /// What is asked for beside the request itself.
    #[must_use]
    pub fn details(&self) -> &DelegationDetails {
        &self.0
    }

    /// The request of `principal`, at `now`.
    #[must_use]
    pub fn request(&self, principal: PrincipalId, now: Timestamp) -> Option<Request> {
        let DelegationDetails { agent, purpose, scope, workflow, expires_in_seconds, .. } = &self.0;
        Some(Request {
            principal,
            agent: agent.clone()?,
            scope: scope.clone(),
            expires_at: now.plus_seconds((*expires_in_seconds)?),
            purpose: purpose.clone()?,
            workflow: workflow.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(details: &str) -> Result<PrepareForm, OAuthError> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("authorization_details", details);
        PrepareForm::read(&Parameters::parse(&query.finish()).unwrap())
    }

    #[test]
    fn a_grant_is_prepared_from_one_whole_delegation() {
        let members = [
            (r#""agent":"agent:runner""#, "agent"),
            (r#""purpose":"p""#, "purpose"),
            (r#""scope":["orders:read"]"#, "scope"),
            (r#""expires_in":60"#, "expires_in"),
        ];
        let of = |without: &str| {
            let kept: Vec<_> =
                members.iter().filter(|(_, n)| *n != without).map(|(m, _)| *m).collect();
            format!(r#"[{{"type":"urn:bailiwick:delegation",{}}}]"#, kept.join(","))
        };
        let whole = form(&of("")).unwrap();
        let now = Timestamp::from_seconds(1000);
        let request = whole.request(PrincipalId::parse("service:billing").unwrap(), now).unwrap();
        assert_eq!(request.expires_at, Timestamp::from_seconds(1060));
        for (_, member) in members {
            let refused = form(&of(member)).unwrap_err();
            assert_eq!(refused.reason, "details-incomplete");
            assert!(refused.description.contains(member), "{}", refused.description);
        }
        assert_eq!(form("[]").unwrap_err().reason, "details-incomplete");
        let narrowed = r#"[{"type":"attenuating_agent_token","tools":{}}]"#;
        assert_eq!(form(narrowed).unwrap_err().reason, "details-incomplete");
    }

    #[test]
    fn an_assertion_names_a_principal_and_has_its_own_type() {
        use bailiwick_core::crypto::SigningKey;
        use bailiwick_core::jose::sign;
        use bailiwick_core::json::Object;
        let key = SigningKey::from_seed(&[1; 32]).unwrap();
        let of = |typ: &str, sub: &str| {
            sign(typ, None, &Object::new().with("sub", sub).into(), &key).unwrap()
        };
        let good = of(TYPE, "service:billing");
        assert_eq!(claimed(&good).unwrap().as_str(), "service:billing");
        for other in ["JWT", "client-authentication+jwt", "at+jwt", "wit+jwt"] {
            let refused = claimed(&of(other, "service:billing")).unwrap_err();
            assert_eq!(refused.code, Code::InvalidGrant, "{other}");
        }
        assert_eq!(claimed(&of(TYPE, "client-1")).unwrap_err().reason, "assertion-malformed");
        assert_eq!(claimed("a.b.c").unwrap_err().reason, "assertion-malformed");
    }
}
