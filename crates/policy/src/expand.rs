//! From the shorthands of a request to a scope.
//!
//! The result permits exactly what the shorthands permit together: where two
//! of them reach the same tool, their rules are combined only if one map can
//! say the same as both ([`merge`]); otherwise the request is refused.

use bailiwick_core::constraint::Dialect;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{ToolId, WorkflowId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::scope::{ArgumentRules, Scope};

use crate::catalogue::Rating;
use crate::limits::{MAX_CONSTRAINT_DEPTH, MAX_SHORTHAND_BYTES, MAX_SHORTHANDS_ASKED};
use crate::workflow::{Fit, Workflow, fill};

mod explain;
mod merge;
mod near;

pub use explain::describe;
pub use near::nearest;

/// Why shorthands do not expand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// No shorthand was asked for, or too many.
    #[error("a scope needs 1 to {max} shorthands, found {found}")]
    Count {
        /// How many there were.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// The workflow has no such shorthand.
    #[error("workflow `{workflow}` has no shorthand `{given}`")]
    UnknownShorthand {
        /// The workflow.
        workflow: WorkflowId,
        /// What was asked for, escaped and shortened.
        given: String,
        /// The published ones that look most alike.
        near: Vec<String>,
    },
    /// A parameter's value has not the declared form.
    #[error("`{given}` does not fit `{template}`: `{{{parameter}}}` must be {expected}")]
    BadParameter {
        /// What was asked for, escaped and shortened.
        given: String,
        /// The shorthand that it is nearest to.
        template: String,
        /// The parameter.
        parameter: String,
        /// The form.
        expected: &'static str,
    },
    /// With these values a constraint is not well-formed.
    #[error("`{given}` gives no well-formed rule for `{tool}`: {reason}")]
    BadRule {
        /// What was asked for, escaped and shortened.
        given: String,
        /// The tool.
        tool: ToolId,
        /// What is wrong.
        reason: String,
    },
    /// Rules for one tool that no single map can express.
    #[error("`{first}` and `{second}` permit `{tool}` in ways that one delegation cannot express")]
    Conflict {
        /// The tool.
        tool: ToolId,
        /// One of the shorthands.
        first: String,
        /// The other.
        second: String,
    },
}

impl ExpandError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Count { .. } => "scope-count",
            Self::UnknownShorthand { .. } => "scope-shorthand-unknown",
            Self::BadParameter { .. } => "scope-parameter-invalid",
            Self::BadRule { .. } => "scope-rule-invalid",
            Self::Conflict { .. } => "scope-conflict",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Count { .. } => "name the shorthands that the task needs, each once".to_owned(),
            Self::UnknownShorthand { near, .. } if near.is_empty() => {
                "use a shorthand that the workflow publishes".to_owned()
            }
            Self::UnknownShorthand { near, .. } => {
                format!("did you mean `{}`?", near.join("`, `"))
            }
            Self::BadParameter { template, .. } => {
                format!("write the value in that form in `{template}`")
            }
            Self::BadRule { .. } => "ask for other values, or ask the workflow's owner".to_owned(),
            Self::Conflict { .. } => "ask for two delegations, one with each shorthand".to_owned(),
        }
    }
}

/// What one shorthand of the request stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The text as asked for.
    pub shorthand: String,
    /// The published shorthand that it fits.
    pub template: String,
    /// The tools, ordered by id.
    pub tools: Vec<ToolRules>,
}

/// One tool of a part.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolRules {
    /// The tool.
    pub tool: ToolId,
    /// Our rating.
    pub rating: Rating,
    /// What its arguments must satisfy.
    pub rules: ArgumentRules,
}

/// What a request's shorthands stand for under one version of a workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct Expansion {
    /// The workflow.
    pub workflow: WorkflowId,
    /// Its version, by digest.
    pub workflow_digest: Digest,
    /// The parts, in the order asked for.
    pub parts: Vec<Part>,
    /// All parts together: the `tools` of the delegation.
    pub scope: Scope,
}

/// Expands `shorthands` under `workflow`. The same text twice counts once.
///
/// # Errors
/// The first thing that stands in the way.
pub fn expand(workflow: &Workflow, shorthands: &[String]) -> Result<Expansion, ExpandError> {
    let parts = expand_parts(workflow, shorthands)?;
    Ok(Expansion {
        workflow: workflow.id.clone(),
        workflow_digest: workflow.digest(),
        scope: merge::scope(&parts)?,
        parts,
    })
}

/// The scope of [`expand`] alone.
///
/// # Errors
/// As [`expand`].
pub fn expand_scope(workflow: &Workflow, shorthands: &[String]) -> Result<Scope, ExpandError> {
    merge::scope(&expand_parts(workflow, shorthands)?)
}

/// The parts of [`expand`] alone.
///
/// # Errors
/// As [`expand`].
pub fn expand_parts(workflow: &Workflow, shorthands: &[String]) -> Result<Vec<Part>, ExpandError> {
    if shorthands.is_empty() || shorthands.len() > MAX_SHORTHANDS_ASKED {
        let (found, max) = (shorthands.len(), MAX_SHORTHANDS_ASKED);
        return Err(ExpandError::Count { found, max });
    }
    let mut parts: Vec<Part> = Vec::new();
    for text in shorthands {
        if !parts.iter().any(|part| part.shorthand == *text) {
            parts.push(part(workflow, text)?);
        }
    }
    Ok(parts)
}

fn part(workflow: &Workflow, text: &str) -> Result<Part, ExpandError> {
    let given = explain::shown(text);
    let mut bad = None;
    for shorthand in &workflow.shorthands {
        if text.len() > MAX_SHORTHAND_BYTES {
            break;
        }
        let values = match shorthand.fit(text) {
            Fit::No => continue,
            Fit::BadValue { parameter, expected, constrained } => {
                bad.get_or_insert(ExpandError::BadParameter {
                    given: given.clone(),
                    template: shorthand.template().to_owned(),
                    parameter,
                    expected: if constrained {
                        "a value that the workflow's constraint on it permits"
                    } else {
                        expected
                    },
                });
                continue;
            }
            Fit::Yes(values) => values,
        };
        let mut tools = Vec::new();
        for (tool, map) in shorthand.argument_maps() {
            let rule = |reason: String| ExpandError::BadRule {
                given: given.clone(),
                tool: tool.clone(),
                reason,
            };
            let filled = fill(&Json::Object(map.clone()), &values);
            let one = Object::new().with(tool.as_str(), filled);
            let scope = Scope::parse(&one, Dialect::Extended, MAX_CONSTRAINT_DEPTH)
                .map_err(|e| rule(e.to_string()))?;
            let rules = scope.rules(tool.as_str()).cloned();
            let rating = workflow.catalogue.rating(tool).cloned();
            // Publishing checked both; without either there is no rule.
            let (Some(rules), Some(rating)) = (rules, rating) else {
                return Err(rule("the tool is not in the workflow's catalogue".to_owned()));
            };
            tools.push(ToolRules { tool: tool.clone(), rating, rules });
        }
        return Ok(Part {
            shorthand: text.to_owned(),
            template: shorthand.template().to_owned(),
            tools,
        });
    }
    Err(bad.unwrap_or_else(|| ExpandError::UnknownShorthand {
        workflow: workflow.id.clone(),
        near: nearest(text, workflow.shorthands.iter().map(|s| s.template()))
            .into_iter()
            .map(str::to_owned)
            .collect(),
        given,
    }))
}

impl Expansion {
    /// The expansion as JSON.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let parts: Vec<Json> = self.parts.iter().map(Part::to_json).collect();
        Object::new()
            .with("workflow", &self.workflow)
            .with("workflow_digest", self.workflow_digest)
            .with("parts", parts)
            .with("tools", self.scope.to_json())
            .into()
    }

    /// The expansion in plain words.
    #[must_use]
    pub fn explain(&self) -> String {
        explain::expansion(self)
    }
}

impl Part {
    fn to_json(&self) -> Json {
        let tools: Object = self
            .tools
            .iter()
            .map(|t| {
                let data: Vec<Json> =
                    t.rating.data.iter().map(|d| Json::from(d.as_str())).collect();
                let object = Object::new()
                    .with("risk", t.rating.risk)
                    .with("effect", t.rating.effect)
                    .with("data", data)
                    .with("arguments", t.rules.to_json());
                (t.tool.to_string(), object.into())
            })
            .collect();
        Object::new()
            .with("shorthand", self.shorthand.as_str())
            .with("template", self.template.as_str())
            .with("tools", tools)
            .into()
    }
}

#[cfg(test)]
mod tests;
