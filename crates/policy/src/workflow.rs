//! The published workflow: the operating checklist under which tasks run.
//!
//! No workflow, no delegation. A workflow is written in YAML by people
//! ([`Workflow::parse`]), reported on as a whole when it is wrong
//! ([`Problem`]), and named by the digest of what it says
//! ([`Workflow::digest`]): comments, order and formatting do not matter.
//!
//! What is left out of its [`Checklist`] costs autonomy: the level that a
//! workflow states is in force only as far as its checklist carries it
//! ([`Workflow::permitted_level`]).

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::ids::{AgentId, PrincipalId, ToolId, WorkflowId};
use bailiwick_core::json::{Json, Object};

use crate::approvers::Approvals;
use crate::catalogue::Catalogue;
use crate::checklist::{Checklist, Missing};
use crate::grades::Level;

mod difference;
mod problem;
mod read;
mod rules;
mod shorthand;
mod terms;
mod yaml;

pub use difference::{Change, Difference};
pub use problem::{Place, Problem, ProblemCode};
pub use shorthand::{Parameter, ParameterKind, Shorthand};
pub use terms::{Terms, TermsError};

pub(crate) use rules::fill;
pub(crate) use shorthand::Fit;

/// Ceilings on what a grant under the workflow may spend: members of a budget
/// ([`BudgetMember`]). What is absent has no ceiling of its own.
///
/// [`BudgetMember`]: bailiwick_core::accountable::BudgetMember
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetCeilings {
    /// By the member's name.
    pub members: BTreeMap<String, u64>,
}

impl BudgetCeilings {
    /// The most calls in all, if that is limited.
    #[must_use]
    pub fn max_calls(&self) -> Option<u64> {
        self.members.get("max_calls").copied()
    }

    /// As members of a budget.
    #[must_use]
    pub fn to_object(&self) -> Object {
        self.members.iter().map(|(name, most)| (name.clone(), Json::from(*most))).collect()
    }
}

/// One version of a workflow, well-formed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Workflow {
    /// Its name.
    pub id: WorkflowId,
    /// A label for people; the digest is what names the version.
    pub version: String,
    /// Who answers for it.
    pub owner: PrincipalId,
    /// What it is for.
    pub purpose: String,
    /// The agents that may run tasks under it.
    pub agents: BTreeSet<AgentId>,
    /// How far agents may act without a person.
    pub level: Level,
    /// The longest window of a grant, in seconds.
    pub window_seconds: u64,
    /// How often a delegation may be passed on.
    pub max_depth: u64,
    /// Ceilings on budgets.
    pub budget: BudgetCeilings,
    /// Who decides on calls that are held for a person; absent, as
    /// [`Approvals::default`] has it.
    pub approvals: Option<Approvals>,
    /// The tool servers, their tools and our rating of each.
    pub catalogue: Catalogue,
    /// What short scope texts stand for, ordered by their text.
    pub shorthands: Vec<Shorthand>,
    /// Data sources, completion, review, rollback, evaluation and runs.
    pub checklist: Checklist,
    /// The version's name; a version never changes.
    digest: Digest,
}

/// Reads a document of entitlements with the reader of workflows.
pub(crate) fn read_entitlements(
    text: &str,
) -> Result<crate::entitlements::Entitlements, Vec<Problem>> {
    let document = yaml::parse(text).map_err(|problem| vec![problem])?;
    read::entitlements(&document)
}

/// Reads a described call with the reader of workflows.
pub(crate) fn read_call(text: &str) -> Result<crate::call::Call, Vec<Problem>> {
    let document = yaml::parse(text).map_err(|problem| vec![problem])?;
    read::call(&document)
}

/// Reads cases of a bundle with the reader of workflows.
pub(crate) fn read_cases(text: &str) -> Result<Vec<crate::cases::Case>, Vec<Problem>> {
    let document = yaml::parse(text).map_err(|problem| vec![problem])?;
    read::cases(&document)
}

/// Reads any document with the reader of workflows.
pub(crate) fn yaml_document(
    text: &str,
    limits: &bailiwick_core::limits::JsonLimits,
) -> Result<bailiwick_core::json::Json, Problem> {
    Ok(yaml::within(text, limits)?.to_json())
}

impl Workflow {
    /// Reads a workflow file.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the file; a file that
    /// is not YAML has one problem only.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let document = yaml::parse(text).map_err(|problem| vec![problem])?;
        let mut workflow = read::workflow(&document)?;
        workflow.digest = sha256(workflow.canonical_json().as_bytes());
        Ok(workflow)
    }

    /// Whether `agent` may run tasks under this workflow.
    #[must_use]
    pub fn permits_agent(&self, agent: &AgentId) -> bool {
        self.agents.contains(agent)
    }

    /// What the workflow says, as JSON: every default written out, every short
    /// form expanded. It is itself a workflow file.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let agents: Vec<Json> = self.agents.iter().map(Json::from).collect();
        let shorthands: BTreeMap<_, _> =
            self.shorthands.iter().map(|s| (s.template(), s.to_json())).collect();
        let shorthands: Object =
            shorthands.into_iter().map(|(name, json)| (name.to_owned(), json)).collect();
        let mut object = Object::new()
            .with("workflow", &self.id)
            .with("version", self.version.as_str())
            .with("owner", &self.owner)
            .with("purpose", self.purpose.as_str())
            .with("agents", agents)
            .with("level", self.level)
            .with("window_seconds", self.window_seconds)
            .with("max_depth", self.max_depth)
            .with("tool_servers", self.catalogue.to_json())
            .with("shorthands", shorthands);
        if !self.budget.members.is_empty() {
            object.insert("budget", self.budget.to_object());
        }
        if let Some(approvals) = &self.approvals {
            object.insert("approvals", approvals.to_json());
        }
        self.checklist.insert_into(&mut object);
        object.into()
    }

    /// Who answers for `tool`: as the catalogue says, or the workflow's owner.
    #[must_use]
    pub fn tool_owner(&self, tool: &ToolId) -> &PrincipalId {
        self.catalogue.owner(tool).unwrap_or(&self.owner)
    }

    /// The rules about human decisions.
    #[must_use]
    pub fn approvals(&self) -> Approvals {
        self.approvals.clone().unwrap_or_default()
    }

    /// What the checklist lacks, and how far that caps the level.
    #[must_use]
    pub fn missing(&self) -> Vec<Missing> {
        self.checklist.missing(self)
    }

    /// The highest level that the checklist carries.
    #[must_use]
    pub fn supports(&self) -> Level {
        let caps = self.missing().into_iter().map(|missing| missing.caps);
        caps.min().unwrap_or(Level::Autonomous)
    }

    /// The level that may be in force: what the workflow states, as far as its
    /// checklist carries it.
    #[must_use]
    pub fn permitted_level(&self) -> Level {
        self.level.min(self.supports())
    }

    /// One sentence on a level that the checklist does not carry; none, if it
    /// carries the one that is stated.
    #[must_use]
    pub fn capped(&self) -> Option<String> {
        let (stated, permitted) = (self.level, self.permitted_level());
        if permitted == stated {
            return None;
        }
        let missing = self.missing().into_iter().filter(|missing| missing.caps < stated);
        let members: Vec<&str> = missing.map(|missing| missing.member).collect();
        let members = members.join(", ");
        Some(format!(
            "level {stated} is stated, {permitted} is in force at most: without {members}"
        ))
    }

    /// The canonical form (RFC 8785) of [`Workflow::to_json`].
    #[must_use]
    pub fn canonical_json(&self) -> String {
        self.to_json().canonical()
    }

    /// SHA-256 over the canonical form: the name of this version.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

#[cfg(test)]
mod tests;
