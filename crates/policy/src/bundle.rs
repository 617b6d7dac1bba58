//! The organisation's policy: a bundle of Cedar policies (DESIGN §6), read,
//! validated and asked about one action.
//!
//! A bundle is refused as a whole when anything in it is wrong ([`Bundle::parse`]);
//! its name is the digest of its text ([`Bundle::digest`]). It is asked beside
//! the built-in rules ([`Policies`](crate::in_force::Policies)), and the strictest
//! word wins. A
//! policy that cannot be evaluated denies.
//!
//! A policy states an `@id` and a `@reason`. A `forbid` with `@approval` asks for
//! a person where it applies, instead of denying.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use cedar_policy::{AuthorizationError, Authorizer, Decision, PolicySet};

use crate::decide::{Finding, PolicyInput, Verdict};
use crate::limits::{MAX_BUNDLE_BYTES, MAX_BUNDLE_DOCUMENT_BYTES, MAX_BUNDLE_FILES};

mod handoff;
mod problem;
mod read;
mod request;
mod scan;
mod slice;

pub use problem::{BundleProblem, BundleProblemCode};
pub use request::RequestError;

use slice::Key;

/// The schema that every bundle is validated against.
pub const SCHEMA: &str = include_str!("../../../docs/policy.cedarschema");

/// The file of the shipped guardrails, with its name.
const GUARDRAILS: (&str, &str) =
    ("guardrails.cedar", include_str!("../../../policies/guardrails/guardrails.cedar"));

/// What is told of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its `@id`.
    pub id: String,
    /// Its `@reason`.
    pub reason: String,
    /// What it does where it applies: `permit`, `forbid` or `approval`.
    pub does: Does,
    /// The file it stands in.
    pub file: String,
    /// The line on which it begins, from 1.
    pub line: usize,
}

/// What a policy does where it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Does {
    /// Asks for a person.
    Approval,
    /// Denies.
    Forbid,
    /// Allows.
    Permit,
}

impl Does {
    /// Its name in records and output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approval => "approval",
            Self::Forbid => "forbid",
            Self::Permit => "permit",
        }
    }
}

/// Policies whose heads name the same agent and tool, or none.
#[derive(Clone, Debug, Default)]
struct Shelf {
    /// Permits, and forbids that deny.
    rules: PolicySet,
    /// Forbids that ask for a person.
    approvals: PolicySet,
}

/// One version of an organisation's policy, valid.
#[derive(Clone, Debug)]
pub struct Bundle {
    files: BTreeMap<String, String>,
    digest: Digest,
    about: BTreeMap<String, About>,
    shelves: HashMap<Key, Shelf>,
    /// Policies about handoffs, which no call is asked of.
    handoffs: PolicySet,
}

/// What a bundle says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// The call may pass.
    Allow,
    /// A person has to decide.
    ApprovalRequired,
    /// The call is forbidden.
    Deny,
}

impl Answer {
    /// `allow`, `approval_required` or `deny`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::ApprovalRequired => "approval_required",
            Self::Deny => "deny",
        }
    }
}

/// A bundle's answer with its grounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// The answer.
    pub answer: Answer,
    /// Ids of the policies that settled it, in order; empty where no policy
    /// permits the call.
    pub determining: BTreeSet<String>,
    /// Ids of the policies that could not be evaluated, in order. Not empty:
    /// the answer is a denial.
    pub errors: BTreeSet<String>,
}

impl Evaluation {
    /// Ids of the policies behind the answer: those that failed, or those that
    /// settled it.
    #[must_use]
    pub fn grounds(&self) -> &BTreeSet<String> {
        if self.errors.is_empty() { &self.determining } else { &self.errors }
    }
}

impl Bundle {
    /// Reads a bundle from its files: names, as `payments/refunds.cedar`, and
    /// texts.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the files.
    pub fn parse(
        files: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Vec<BundleProblem>> {
        let files: BTreeMap<String, String> = files.into_iter().collect();
        let bytes = files.values().map(String::len).fold(0usize, usize::saturating_add);
        let whole = |code| Err(vec![BundleProblem::of_bundle(code)]);
        if files.is_empty() {
            return whole(BundleProblemCode::Empty);
        }
        if files.len() > MAX_BUNDLE_FILES || bytes > MAX_BUNDLE_BYTES {
            return whole(BundleProblemCode::TooLarge);
        }
        let document = document(&files).canonical();
        if document.len() > MAX_BUNDLE_DOCUMENT_BYTES {
            return whole(BundleProblemCode::TooLarge);
        }
        let policies = read::policies(&files)?;
        let mut about = BTreeMap::new();
        let mut shelves: HashMap<Key, Shelf> = HashMap::new();
        let mut handoffs = PolicySet::new();
        for (told, policy) in policies {
            if handoff::is_about(&policy) {
                if handoffs.add(policy).is_err() {
                    return whole(BundleProblemCode::IdRepeated);
                }
                about.insert(told.id.clone(), told);
                continue;
            }
            let shelf = shelves.entry(Key::of(&policy)).or_default();
            let set =
                if told.does == Does::Approval { &mut shelf.approvals } else { &mut shelf.rules };
            // Ids are unique: `read` has seen to it.
            if set.add(policy).is_err() {
                return whole(BundleProblemCode::IdRepeated);
            }
            about.insert(told.id.clone(), told);
        }
        let digest = sha256(document.as_bytes());
        Ok(Self { files, digest, about, shelves, handoffs })
    }

    /// Reads a bundle from the form in which the ledger keeps it.
    ///
    /// # Errors
    /// As [`Bundle::parse`]; a text that is no such document has one problem.
    pub fn from_document(text: &str) -> Result<Self, Vec<BundleProblem>> {
        let limits = JsonLimits {
            max_bytes: MAX_BUNDLE_DOCUMENT_BYTES,
            max_values: MAX_BUNDLE_FILES.saturating_add(8),
            ..JsonLimits::DEFAULT
        };
        let json = Json::parse(text.as_bytes(), &limits).ok();
        Self::from_json(json.as_ref())
    }

    /// Reads a bundle from a document that was read as JSON.
    ///
    /// # Errors
    /// As [`Bundle::from_document`].
    pub fn from_json(document: Option<&Json>) -> Result<Self, Vec<BundleProblem>> {
        let files = document
            .and_then(Json::as_object)
            .filter(|o| {
                o.len() == 2 && o.member("schema").and_then(Json::as_str) == Some(SCHEMA_VERSION)
            })
            .and_then(|o| o.member("files")?.as_object())
            .and_then(|files| {
                files
                    .iter()
                    .map(|(name, text)| Some((name.to_owned(), text.as_str()?.to_owned())))
                    .collect::<Option<Vec<_>>>()
            });
        match files {
            Some(files) => Self::parse(files),
            None => Err(vec![BundleProblem::of_bundle(BundleProblemCode::Document)]),
        }
    }

    /// The guardrails that come with this release; `bailiwick init` publishes
    /// them.
    ///
    /// # Errors
    /// Never: a test reads them.
    pub fn guardrails() -> Result<Self, Vec<BundleProblem>> {
        Self::parse([(GUARDRAILS.0.to_owned(), GUARDRAILS.1.to_owned())])
    }

    /// What the bundle says, as JSON: the text of every file, and the version
    /// of the schema.
    #[must_use]
    pub fn to_json(&self) -> Json {
        document(&self.files)
    }

    /// SHA-256 over the canonical form of [`Bundle::to_json`]: the name of this
    /// version.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The files, by name.
    #[must_use]
    pub const fn files(&self) -> &BTreeMap<String, String> {
        &self.files
    }

    /// Every policy, by id.
    pub fn policies(&self) -> impl ExactSizeIterator<Item = &About> {
        self.about.values()
    }

    /// How many policies are asked about every call, because their heads name
    /// neither an agent nor a tool or tool server.
    #[must_use]
    pub fn unscoped(&self) -> usize {
        let shelf = self.shelves.get(&Key::ANY);
        shelf.map_or(0, |s| s.rules.num_of_policies().saturating_add(s.approvals.num_of_policies()))
    }

    /// The same bundle with every policy asked about every call. It answers
    /// alike and slower: tests and figures compare with it.
    #[must_use]
    pub fn unsliced(&self) -> Self {
        let mut all = Shelf::default();
        for shelf in self.shelves.values() {
            for (into, from) in
                [(&mut all.rules, &shelf.rules), (&mut all.approvals, &shelf.approvals)]
            {
                for policy in from.policies() {
                    // Ids are unique over the bundle.
                    let _ = into.add(policy.clone());
                }
            }
        }
        Self { shelves: HashMap::from([(Key::ANY, all)]), ..self.clone() }
    }

    /// Asks the bundle.
    ///
    /// # Errors
    /// When the call cannot be said in Cedar: it has no rating.
    pub fn evaluate(&self, input: &PolicyInput<'_>) -> Result<Evaluation, RequestError> {
        let asked = request::of(input)?;
        let authorizer = Authorizer::new();
        let (mut permits, mut errors) = (BTreeSet::new(), BTreeSet::new());
        let (mut forbids, mut approvals) = (BTreeSet::new(), BTreeSet::new());
        let mut ask = |set: &PolicySet, refusing: &mut BTreeSet<String>| {
            if set.is_empty() {
                return;
            }
            let response = authorizer.is_authorized(&asked.request, set, &asked.entities);
            let reasons = response.diagnostics().reason().map(ToString::to_string);
            match response.decision() {
                Decision::Allow => permits.extend(reasons),
                Decision::Deny => refusing.extend(reasons),
            }
            let failed = response.diagnostics().errors();
            errors.extend(
                failed
                    .map(|AuthorizationError::PolicyEvaluationError(e)| e.policy_id().to_string()),
            );
        };
        for key in Key::concerning(&asked.agent, &asked.tool, &asked.server) {
            if let Some(shelf) = self.shelves.get(&key) {
                ask(&shelf.rules, &mut forbids);
                ask(&shelf.approvals, &mut approvals);
            }
        }
        let (answer, determining) = if !errors.is_empty() {
            (Answer::Deny, BTreeSet::new())
        } else if !forbids.is_empty() {
            (Answer::Deny, forbids)
        } else if permits.is_empty() {
            (Answer::Deny, BTreeSet::new())
        } else if !approvals.is_empty() {
            (Answer::ApprovalRequired, approvals)
        } else {
            (Answer::Allow, permits)
        };
        Ok(Evaluation { answer, determining, errors })
    }

    /// Asks the bundle: what it said, and its word among the rules'. A call
    /// that cannot be put to it is denied.
    #[must_use]
    pub fn ask(&self, input: &PolicyInput<'_>) -> (Evaluation, Verdict) {
        match self.evaluate(input) {
            Ok(evaluation) => {
                let verdict = self.verdict(&evaluation);
                (evaluation, verdict)
            }
            Err(_) => {
                let (determining, errors) = (BTreeSet::new(), BTreeSet::new());
                let verdict = Verdict::Deny(Finding {
                    rule: Cow::Borrowed("policy"),
                    reason: Cow::Borrowed("the call cannot be put to the organisation's policy"),
                    denial_code: "policy-error",
                });
                (Evaluation { answer: Answer::Deny, determining, errors }, verdict)
            }
        }
    }

    /// One policy, by id.
    #[must_use]
    pub fn policy(&self, id: &str) -> Option<&About> {
        self.about.get(id)
    }

    /// An evaluation as one rule's word.
    fn verdict(&self, evaluation: &Evaluation) -> Verdict {
        let failed = evaluation.errors.first();
        if let Some(id) = failed {
            return Verdict::Deny(finding(id, "a policy could not be evaluated", "policy-error"));
        }
        let Some(about) = evaluation.determining.first().and_then(|id| self.about.get(id)) else {
            return Verdict::Deny(Finding {
                rule: Cow::Borrowed("policy"),
                reason: Cow::Borrowed("no policy of the organisation permits this call"),
                denial_code: "no-policy",
            });
        };
        match evaluation.answer {
            Answer::Allow => Verdict::Allow(finding(&about.id, &about.reason, "")),
            Answer::ApprovalRequired => {
                Verdict::Approval(finding(&about.id, &about.reason, "approval-required"))
            }
            Answer::Deny => Verdict::Deny(finding(&about.id, &about.reason, "policy-denied")),
        }
    }
}

/// The version of [`SCHEMA`], in every document.
const SCHEMA_VERSION: &str = "1";

fn document(files: &BTreeMap<String, String>) -> Json {
    let files: Object =
        files.iter().map(|(name, text)| (name.clone(), Json::from(text.as_str()))).collect();
    Object::new().with("schema", SCHEMA_VERSION).with("files", files).into()
}

fn finding(id: &str, reason: &str, denial_code: &'static str) -> Finding {
    Finding {
        rule: Cow::Owned(format!("policy:{id}")),
        reason: Cow::Owned(reason.to_owned()),
        denial_code,
    }
}

#[cfg(test)]
mod tests;
