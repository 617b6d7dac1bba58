//! Scopes: which tools a delegation reaches, with which arguments.
//!
//! A [`Scope`] is the `tools` map of a token (draft -02 §3.3), read and
//! normalised. The world is closed: a tool that is not in the map is denied,
//! an argument that the tool's map does not name is denied unless the map is
//! open (`"*"`), and a named argument must be present unless it is optional.

use crate::constraint::{Constraint, Dialect};
use crate::json::{Json, Object};

mod denial;
mod rules;

pub use denial::{ScopeDenial, ScopeError, Widening};
pub use rules::{ArgumentRules, NamedArgument};

use rules::Step;

/// A set of tools with the rules for their arguments.
///
/// The tools stand in the order of their identifiers, whatever order they were
/// read in. Identifiers are compared byte for byte: no normalisation, case
/// folding or percent decoding (§3.3.1).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope {
    /// Ordered by identifier, none twice.
    tools: Vec<(String, ArgumentRules)>,
}

impl Scope {
    /// The scope that permits nothing.
    #[must_use]
    pub const fn empty() -> Self {
        Self { tools: Vec::new() }
    }

    /// Reads a `tools` map (steps 3m, 3n, 4n, 4o).
    ///
    /// # Errors
    /// If the value of a tool is not an object, found before anything else
    /// ([`ScopeError::is_structural`]: steps 3m and 4n), or a constraint is not
    /// well-formed (steps 3n and 4o).
    pub fn parse(
        tools: &Object,
        dialect: Dialect,
        max_constraint_depth: usize,
    ) -> Result<Self, ScopeError> {
        let mut maps = Vec::with_capacity(tools.len());
        for (tool, map) in tools.iter() {
            let map = map
                .as_object()
                .ok_or_else(|| ScopeError::ArgumentsNotAnObject { tool: tool.to_owned() })?;
            maps.push((tool, map));
        }
        let mut tools = Vec::with_capacity(maps.len());
        for (tool, map) in maps {
            let rules = ArgumentRules::read(tool, map, dialect, max_constraint_depth)?;
            tools.push((tool.to_owned(), rules));
        }
        Self::from_entries(tools)
    }

    /// A scope of these tools.
    ///
    /// # Errors
    /// If a tool stands there twice.
    pub fn from_entries(
        entries: impl IntoIterator<Item = (String, ArgumentRules)>,
    ) -> Result<Self, ScopeError> {
        let mut tools: Vec<_> = entries.into_iter().collect();
        tools.sort_by(|a, b| a.0.cmp(&b.0));
        for pair in tools.windows(2) {
            if let [(a, _), (b, _)] = pair
                && a == b
            {
                return Err(ScopeError::ToolTwice { tool: a.clone() });
            }
        }
        Ok(Self { tools })
    }

    /// Whether a call of `tool` with `arguments` is inside the scope (step 6b):
    /// the tool is there, every number is admissible, each argument satisfies
    /// its constraint and each required argument is present.
    ///
    /// # Errors
    /// The first thing that is not so.
    pub fn permits(&self, tool: &str, arguments: &Object) -> Result<(), ScopeDenial> {
        self.rules(tool)
            .ok_or_else(|| ScopeDenial::ToolNotInScope { tool: tool.to_owned() })?
            .check(tool, arguments)
    }

    /// Whether `child` may stand under this scope in a derived token (step 4p).
    ///
    /// # Errors
    /// What is wider; of several things one with the lowest step.
    pub fn covers(&self, child: &Self) -> Result<(), Widening> {
        let mut first: Option<(Step, &str, &str)> = None;
        for (tool, rules) in &child.tools {
            let found = match self.rules(tool) {
                None => Some((Step::ToolAdded, "")),
                Some(parent) => parent.widening(rules),
            };
            if let Some((step, argument)) = found
                && first.is_none_or(|(s, ..)| step < s)
            {
                first = Some((step, tool, argument));
            }
        }
        match first {
            None => Ok(()),
            Some((step, tool, argument)) => Err(step.widening(tool, argument)),
        }
    }

    /// The largest scope we can name that both scopes cover; what an issuer
    /// grants of a request.
    ///
    /// It is conservative. A tool is kept only if both have it and, argument by
    /// argument, the constraint of one covers that of the other (the narrower
    /// one is taken); constraints that merely overlap are not combined, because
    /// no type of the draft could stand for the combination under both. So:
    /// `a.covers(a.meet(b))` and `b.covers(a.meet(b))`, always.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        let tools = self
            .tools
            .iter()
            .filter_map(|(tool, rules)| Some((tool.clone(), rules.meet(other.rules(tool)?)?)))
            .collect();
        Self { tools }
    }

    /// The rules for `tool`.
    #[must_use]
    pub fn rules(&self, tool: &str) -> Option<&ArgumentRules> {
        let at = self.tools.binary_search_by(|(t, _)| t.as_str().cmp(tool)).ok()?;
        self.tools.get(at).map(|(_, rules)| rules)
    }

    /// The tools with their rules, ordered by identifier.
    pub fn tools(&self) -> impl ExactSizeIterator<Item = (&str, &ArgumentRules)> {
        self.tools.iter().map(|(tool, rules)| (tool.as_str(), rules))
    }

    /// Whether there is no tool, so that nothing is permitted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    /// The `tools` map.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let map = self.tools.iter().map(|(t, rules)| (t.clone(), rules.to_json())).collect();
        Json::Object(map)
    }
}

/// A constraint that no value satisfies: a range between two equal exclusive
/// bounds.
fn nothing() -> Option<Constraint> {
    let json = Object::new()
        .with("constraint_type", "range")
        .with("min", 0_u64)
        .with("max", 0_u64)
        .with("min_inclusive", false)
        .with("max_inclusive", false);
    Constraint::parse(&Json::Object(json), Dialect::Core, 1).ok()
}
