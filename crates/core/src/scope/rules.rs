//! The rules for one tool's arguments.

use std::cmp::Ordering;

use super::denial::{ScopeDenial, ScopeError, Widening};
use crate::constraint::{Constraint, Dialect};
use crate::json::{Json, Object};

/// The key that stands for every argument not named (§3.3). It names none.
const STAR: &str = "*";

/// One named argument.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedArgument {
    name: String,
    constraint: Constraint,
    optional: bool,
}

impl NamedArgument {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its value must satisfy.
    #[must_use]
    pub fn constraint(&self) -> &Constraint {
        &self.constraint
    }

    /// Whether it may be absent. Present, even as null, it must satisfy the
    /// constraint.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.optional
    }
}

/// One tool's map, normalised: named arguments, and whether others may be
/// there. A closed map names at least one argument, because the wire form `{}`
/// means an open map.
#[derive(Clone, Debug, PartialEq)]
pub struct ArgumentRules {
    /// Ordered by name, none twice, none called `*`.
    named: Vec<NamedArgument>,
    open: bool,
}

impl ArgumentRules {
    /// Any arguments: `{"*": {"constraint_type": "wildcard"}}`.
    #[must_use]
    pub const fn any() -> Self {
        Self { named: Vec::new(), open: true }
    }

    /// No arguments. The draft's map cannot say this directly, since `{}`
    /// means any arguments; it is written as one optional argument that no
    /// value satisfies.
    #[must_use]
    pub fn none() -> Self {
        let named = super::nothing().map(|constraint| NamedArgument {
            name: "bailiwick:no-arguments".to_owned(),
            constraint,
            optional: true,
        });
        Self { named: named.into_iter().collect(), open: false }
    }

    /// A map of `(name, constraint, optional)`; with `open` other arguments
    /// are free.
    ///
    /// # Errors
    /// If a name stands there twice or is `*`, or if a closed map names
    /// nothing (see [`ArgumentRules::none`]).
    pub fn new(
        arguments: impl IntoIterator<Item = (String, Constraint, bool)>,
        open: bool,
    ) -> Result<Self, ScopeError> {
        let named = arguments
            .into_iter()
            .map(|(name, constraint, optional)| NamedArgument { name, constraint, optional })
            .collect();
        Self::ordered(named, open)
    }

    fn ordered(mut named: Vec<NamedArgument>, open: bool) -> Result<Self, ScopeError> {
        named.sort_by(|a, b| a.name.cmp(&b.name));
        for pair in named.windows(2) {
            if let [a, b] = pair
                && a.name == b.name
            {
                return Err(ScopeError::ArgumentTwice { argument: a.name.clone() });
            }
        }
        if named.iter().any(|a| a.name == STAR) {
            return Err(ScopeError::ArgumentCalledStar);
        }
        // SECURITY: a closed map without names would be written as `{}`, which
        // means the opposite.
        if named.is_empty() && !open {
            return Err(ScopeError::NothingNamed);
        }
        Ok(Self { named, open })
    }

    pub(super) fn read(
        tool: &str,
        map: &Object,
        dialect: Dialect,
        max_depth: usize,
    ) -> Result<Self, ScopeError> {
        if map.is_empty() {
            return Ok(Self::any());
        }
        let mut named = Vec::with_capacity(map.len());
        let mut open = false;
        for (name, entry) in map.iter() {
            if name == STAR {
                // Anything beside `constraint_type`, also `optional`, is refused.
                let plain = Constraint::parse(entry, dialect, max_depth)
                    .is_ok_and(|constraint| constraint.is_wildcard());
                if !plain {
                    return Err(ScopeError::StarNotWildcard { tool: tool.to_owned() });
                }
                open = true;
            } else {
                let (constraint, optional) = Constraint::parse_entry(entry, dialect, max_depth)
                    .map_err(|error| ScopeError::Constraint {
                        tool: tool.to_owned(),
                        argument: name.to_owned(),
                        error,
                    })?;
                named.push(NamedArgument { name: name.to_owned(), constraint, optional });
            }
        }
        Self::ordered(named, open)
    }

    /// The named arguments, ordered by name.
    pub fn named(&self) -> impl ExactSizeIterator<Item = &NamedArgument> {
        self.named.iter()
    }

    /// The rule for an argument that is named.
    #[must_use]
    pub fn argument(&self, name: &str) -> Option<&NamedArgument> {
        let at = self.named.binary_search_by(|a| a.name.as_str().cmp(name)).ok()?;
        self.named.get(at)
    }

    /// Whether arguments that are not named are free.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The map as it stands in a token.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut map: Object = self
            .named
            .iter()
            .map(|a| {
                let mut entry = a.constraint.to_object();
                if a.optional {
                    entry.insert("optional", true);
                }
                (a.name.clone(), Json::Object(entry))
            })
            .collect();
        if self.open {
            map.insert(STAR, Constraint::wildcard().to_json());
        }
        Json::Object(map)
    }

    pub(super) fn check(&self, tool: &str, arguments: &Object) -> Result<(), ScopeDenial> {
        for (name, value) in arguments.iter() {
            if !value.is_admissible() {
                return Err(ScopeDenial::NumberInadmissible {
                    tool: tool.to_owned(),
                    argument: name.to_owned(),
                });
            }
        }
        let mut required_present = 0_usize;
        for (name, value) in arguments.iter() {
            match self.argument(name) {
                Some(rule) if !rule.constraint.permits(value) => {
                    return Err(ScopeDenial::ArgumentNotPermitted {
                        tool: tool.to_owned(),
                        argument: name.to_owned(),
                        constraint_type: rule.constraint.type_name(),
                    });
                }
                Some(rule) => required_present += usize::from(!rule.optional),
                None if self.open => {}
                None => {
                    return Err(ScopeDenial::ArgumentNotNamed {
                        tool: tool.to_owned(),
                        argument: name.to_owned(),
                    });
                }
            }
        }
        // Names are unique on both sides, so counting is enough.
        if required_present == self.named.iter().filter(|a| !a.optional).count() {
            return Ok(());
        }
        let missing = self
            .named
            .iter()
            .find(|a| !a.optional && arguments.member(&a.name).is_none())
            .map(|a| a.name.clone());
        Err(ScopeDenial::ArgumentMissing {
            tool: tool.to_owned(),
            argument: missing.unwrap_or_default(),
        })
    }

    /// What makes `child` wider than this map, by the key rules of §4.5; of
    /// several things one with the lowest step.
    pub(super) fn widening<'c>(&'c self, child: &'c Self) -> Option<(Step, &'c str)> {
        let mut first: Option<(Step, &str)> = None;
        let mut note = |step: Step, argument: &'c str| {
            if first.is_none_or(|(s, _)| step < s) {
                first = Some((step, argument));
            }
        };
        if child.open && !self.open {
            note(Step::Opened, STAR);
        }
        for (parent, child_argument) in Side::by_side(&self.named, &child.named) {
            match (parent, child_argument) {
                (None, Some(c)) => {
                    // Where the parent is open its wildcard covers anything.
                    if !self.open {
                        note(Step::ArgumentAdded, &c.name);
                    }
                }
                (Some(p), None) => {
                    if !p.optional {
                        note(Step::RequiredDropped, &p.name);
                    } else if child.open {
                        note(Step::FreedByStar, &p.name);
                    }
                }
                (Some(p), Some(c)) => {
                    if c.optional && !p.optional {
                        note(Step::MadeOptional, &c.name);
                    }
                    if !p.constraint.covers(&c.constraint) {
                        note(Step::ConstraintWider, &c.name);
                    }
                }
                (None, None) => {}
            }
        }
        first
    }

    /// See [`Scope::meet`](super::Scope::meet).
    pub(super) fn meet(&self, other: &Self) -> Option<Self> {
        let mut named = Vec::with_capacity(self.named.len().max(other.named.len()));
        for sides in Side::by_side(&self.named, &other.named) {
            match sides {
                (Some(a), Some(b)) => {
                    let narrower = if a.constraint.covers(&b.constraint) {
                        &b.constraint
                    } else if b.constraint.covers(&a.constraint) {
                        &a.constraint
                    } else {
                        return None;
                    };
                    named.push(NamedArgument {
                        name: a.name.clone(),
                        constraint: narrower.clone(),
                        optional: a.optional && b.optional,
                    });
                }
                (Some(one), None) if other.open => named.push(one.clone()),
                (None, Some(one)) if self.open => named.push(one.clone()),
                // Forbidden on the other side: the argument goes if it may.
                (Some(one), None) | (None, Some(one)) if one.optional => {}
                _ => return None,
            }
        }
        let met = Self::ordered(named, self.open && other.open).ok()?;
        // INVARIANT: what is granted is covered by both sides; the rules above
        // say so, and this makes it independent of them.
        (self.widening(&met).is_none() && other.widening(&met).is_none()).then_some(met)
    }
}

/// Walks two ordered lists of names together.
struct Side<'a> {
    left: std::iter::Peekable<std::slice::Iter<'a, NamedArgument>>,
    right: std::iter::Peekable<std::slice::Iter<'a, NamedArgument>>,
}

impl<'a> Side<'a> {
    fn by_side(left: &'a [NamedArgument], right: &'a [NamedArgument]) -> Self {
        Self { left: left.iter().peekable(), right: right.iter().peekable() }
    }
}

impl<'a> Iterator for Side<'a> {
    type Item = (Option<&'a NamedArgument>, Option<&'a NamedArgument>);

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.left.peek(), self.right.peek()) {
            (Some(l), Some(r)) => l.name.cmp(&r.name),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        Some(match order {
            Ordering::Less => (self.left.next(), None),
            Ordering::Equal => (self.left.next(), self.right.next()),
            Ordering::Greater => (None, self.right.next()),
        })
    }
}

/// The ways to widen, in the order of the steps of §8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    ToolAdded,
    ArgumentAdded,
    RequiredDropped,
    FreedByStar,
    Opened,
    MadeOptional,
    ConstraintWider,
}

impl Step {
    pub(super) fn widening(self, tool: &str, argument: &str) -> Widening {
        let (tool, argument) = (tool.to_owned(), argument.to_owned());
        match self {
            Self::ToolAdded => Widening::ToolAdded { tool },
            Self::ArgumentAdded => Widening::ArgumentAdded { tool, argument },
            Self::RequiredDropped => Widening::RequiredDropped { tool, argument },
            Self::FreedByStar => Widening::FreedByStar { tool, argument },
            Self::Opened => Widening::Opened { tool },
            Self::MadeOptional => Widening::MadeOptional { tool, argument },
            Self::ConstraintWider => Widening::ConstraintWider { tool, argument },
        }
    }
}
