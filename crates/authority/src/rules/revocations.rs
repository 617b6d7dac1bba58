//! Taking back: one entry and one row for everything that ends.

use bailiwick_core::aat::jws::Compact;
use bailiwick_core::crypto::KeyError;
use bailiwick_core::ids::{Alias, ApprovalId, EntryId, PrincipalId};
use bailiwick_core::jose::{self, HeaderRules, Jws, JwsSigner, VerifyingKey};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Kind, Subjects};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Principal, Revocation, Row, Subject};

use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::principals::signing_key;

/// The `typ` of a revocation signed with a principal's key.
pub const TYPE: &str = "bailiwick-revocation+jwt";

/// Minutes between the making of a signed revocation and its arrival.
pub const FRESH_MINUTES: i64 = 10;

/// Bytes of a signed revocation at most.
const MAX_SIGNED_BYTES: usize = 4096;

/// Characters of a reason's code at most.
const MAX_REASON: usize = 64;

/// What a principal signs to take something back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// At which authority: its URI.
    pub audience: String,
    /// Who takes back.
    pub principal: PrincipalId,
    /// What.
    pub subject: Subject,
    /// Why, as a code.
    pub reason: String,
    /// When it was made.
    pub made_at: Timestamp,
}

impl Statement {
    /// The JSON form.
    #[must_use]
    pub fn to_json(&self) -> Json {
        Object::new()
            .with("v", 1u64)
            .with("aud", self.audience.as_str())
            .with("principal", &self.principal)
            .with("subject", subject_json(&self.subject))
            .with("reason", self.reason.as_str())
            .with("made_at", self.made_at.to_string())
            .into()
    }

    /// Signs it with the principal's own key.
    ///
    /// # Errors
    /// [`KeyError`] when the library refuses to sign.
    pub fn sign(&self, signer: &dyn JwsSigner) -> Result<String, KeyError> {
        jose::sign(TYPE, None, &self.to_json(), signer)
    }

    /// Reads a signed revocation without checking its signature: to learn whose
    /// key is to be asked.
    ///
    /// # Errors
    /// [`Refusal::RevocationStatement`].
    pub fn read(signed: &str) -> Result<Self, Refusal> {
        let malformed = || Refusal::RevocationStatement { what: "it is malformed" };
        let jws = Compact::parse(signed).map_err(|_| malformed())?;
        let claims = jws.claims(&JsonLimits::DEFAULT).map_err(|_| malformed())?;
        let text = |name| claims.member(name).and_then(Json::as_str).ok_or_else(malformed);
        let statement = Self {
            audience: text("aud")?.to_owned(),
            principal: PrincipalId::parse(text("principal")?).map_err(|_| malformed())?,
            subject: claims
                .member("subject")
                .and_then(|s| serde_json::from_str(&s.canonical()).ok())
                .ok_or_else(malformed)?,
            reason: text("reason")?.to_owned(),
            made_at: text("made_at")?.parse().map_err(|_| malformed())?,
        };
        // What is not understood is not acted on.
        if statement.to_json() != Json::Object(claims) {
            return Err(malformed());
        }
        Ok(statement)
    }

    fn check(
        &self,
        signed: &str,
        key: &VerifyingKey,
        issuer: &str,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let bad = |what| Err(Refusal::RevocationStatement { what });
        const RULES: HeaderRules<'_> = HeaderRules::typed(&[TYPE]);
        let holds = Jws::parse(signed, MAX_SIGNED_BYTES)
            .and_then(|jws| jws.check_header(&RULES)?.verify(key));
        if holds.is_err() {
            return bad("the signature does not hold under the principal's key");
        }
        if self.audience != issuer {
            return bad("it is meant for another authority");
        }
        if now.millis_since(self.made_at).abs() > FRESH_MINUTES * 60_000 {
            return bad("it was made at another time than now");
        }
        Ok(())
    }
}

/// A subject as JSON, the form in which entries and statements carry it.
#[must_use]
pub fn subject_json(subject: &Subject) -> Json {
    let object = Object::new().with("kind", subject.kind());
    let key = subject.key();
    match subject {
        Subject::Delegation { .. } => object.with("token", key),
        Subject::HolderKey { root, .. } => object.with("holder", key).with("root", *root),
        Subject::Principal { .. } => object.with("alias", key),
        Subject::ToolServer { .. } => object.with("name", key),
        _ => object.with("id", key),
    }
    .into()
}

/// What is to be taken back, as the state knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// What was named.
    pub subject: Subject,
    /// The holder key that ends with a derived delegation, so that its holder
    /// cannot derive the same again under another `jti`.
    pub bars: Option<Subject>,
    /// Who and what the entry is about.
    pub about: Subjects,
    /// The principal who may take it back beside the operator.
    pub author: Option<Alias>,
}

impl Resolved {
    /// A principal, with everything that it granted.
    #[must_use]
    pub fn principal(alias: &Alias) -> Self {
        let about = Subjects { principal: Some(alias.to_string()), ..Subjects::default() };
        let subject = Subject::Principal { alias: alias.clone() };
        Self { subject, bars: None, about, author: None }
    }
}

/// Who takes back.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// Somebody who denies a waiting call with a signature of their own.
    Approver {
        /// Who.
        principal: &'a Alias,
        /// Whether their role lets them take back what is not their own.
        any: bool,
        /// The call.
        approval: &'a ApprovalId,
    },
    /// The authority itself: what it sees shows that somebody else has it.
    Authority,
    /// The OAuth client that it was issued to.
    Client,
    /// The operator of this installation.
    Operator,
    /// A principal, by a signed statement.
    Principal {
        /// What [`Statement::read`] gave.
        statement: &'a Statement,
        /// The compact JWS.
        signed: &'a str,
        /// The principal on record under the statement's name.
        principal: Option<&'a Principal>,
    },
    /// Somebody who is signed in to the console.
    Session {
        /// Who.
        principal: &'a Alias,
        /// Whether their role lets them take back what is not their own.
        any: bool,
    },
}

/// What taking back came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Each subject with the entry that records it.
    pub subjects: Vec<(Subject, EntryId)>,
    /// Whether anything changed: what was revoked before stays as it was.
    pub changed: bool,
}

/// A reason stands in the ledger: it is a code and no free text.
pub(crate) fn check_reason(reason: &str) -> Result<(), Refusal> {
    let is_code = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if reason.is_empty() || reason.len() > MAX_REASON || !reason.bytes().all(is_code) {
        return Err(Refusal::ReasonForm);
    }
    Ok(())
}

/// Takes back. `already` are earlier revocations of the same subjects.
///
/// # Errors
/// [`Refusal::ReasonForm`], [`Refusal::RevocationStatement`],
/// [`Refusal::NotYours`].
pub fn revoke(
    moment: &Moment<'_>,
    installation: &Installation,
    resolved: &Resolved,
    reason: &str,
    detail: Option<&str>,
    by: By<'_>,
    already: &[Revocation],
) -> Result<Plan<Taken>, Refusal> {
    check_reason(reason)?;
    let mut key = None;
    if let By::Principal { statement, signed, principal } = by {
        let bad = |what| Refusal::RevocationStatement { what };
        let principal = principal.ok_or(bad("the principal is not registered"))?;
        // A suspended principal may still take back: that only shrinks.
        let registered = signing_key(principal)?;
        statement.check(signed, &registered, &installation.issuer, moment.now())?;
        if statement.subject != resolved.subject || statement.reason != reason {
            return Err(bad("it names another subject or reason than the request"));
        }
        if resolved.author.as_ref() != Some(&principal.alias) {
            return Err(Refusal::NotYours);
        }
        key = Some(registered.thumbprint());
    }
    let is_own = |alias| resolved.author.as_ref() == Some(alias);
    let by_whom = match by {
        By::Authority => "authority",
        By::Client => "client",
        By::Operator => "operator",
        By::Principal { .. } => "principal",
        By::Session { principal, .. } | By::Approver { principal, .. } if is_own(principal) => {
            "principal"
        }
        By::Session { any: true, .. } | By::Approver { any: true, .. } => "operator",
        By::Session { .. } | By::Approver { .. } => return Err(Refusal::NotYours),
    };
    let mut plan = Plan::nothing(Taken { subjects: Vec::new(), changed: false });
    for subject in std::iter::once(&resolved.subject).chain(&resolved.bars) {
        if let Some(earlier) = already.iter().find(|r| r.subject == *subject) {
            plan.outcome.subjects.push((subject.clone(), earlier.entry.clone()));
            continue;
        }
        let mut step = Step::new(moment, &installation.org, Kind::Revoked)?
            .about(|s| {
                *s = resolved.about.clone();
                s.reason = Some(reason.to_owned());
            })
            .with("by", by_whom)
            .row(Row::Revocation { subject: subject.clone(), reason: reason.to_owned() });
        if let By::Principal { signed, .. } = by {
            step = step.commit(moment, "statement", signed)?;
        }
        if let Some(key) = key {
            step = step.with("key", key);
        }
        if let By::Session { principal, .. } = by {
            step = step.with("session_of", principal);
        }
        if let By::Approver { principal, approval, .. } = by {
            step = step.with("approval", approval).with("approver", principal);
        }
        if let Some(detail) = detail {
            step = step.commit(moment, "detail", detail)?;
        }
        plan.outcome.subjects.push((subject.clone(), step.event.id.clone()));
        plan.outcome.changed = true;
        plan.steps.push(step);
    }
    Ok(plan)
}
