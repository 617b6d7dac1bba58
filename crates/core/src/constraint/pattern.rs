//! `pattern`: strings that match a glob.
//!
//! | | |
//! |---|---|
//! | members | `glob`: string, required, 1 to 127 characters to match and any number of stars between them |
//! | check | the value is a string and the glob matches all of it |
//! | covers | the same type by simulation (below); `exact` and `one_of` when every value is permitted |
//! | cost | check: linear in the value, whatever the glob; covers: linear in the child's glob |
//!
//! The language: a character stands for itself, `?` for one character but `/`,
//! `*` for any run of characters but `/`, `**` for any run; `\` before `*`,
//! `?` or `\` takes their meaning away. Characters are Unicode scalar values,
//! nothing is normalised or folded.
//!
//! A glob is an automaton whose state *i* means "the first *i* characters have
//! been matched"; stars are loops on states. The set of states fits a `u128`,
//! so there is no backtracking.
//!
//! **Soundness of covers.** The child's glob is read as a word, and a set *S*
//! of parent states is kept such that for every text the child's glob matches
//! so far, the parent reaches at least *S*. A literal steps *S* by itself. `?`
//! steps *S* by a letter that stands nowhere in the parent: each other letter
//! but `/` reaches at least as many states, since stepping is monotone. A loop
//! replaces *S* by the largest subset *T* that stepping by every letter of the
//! loop leads to a superset of *T*: after any run of such letters the parent
//! still reaches *T*. If the accepting state is in *S* at the end, the parent
//! accepts every text of the child. The rule may miss an inclusion; it never
//! claims a false one.

use super::ConstraintError;
use super::parse::Members;
use crate::json::{Json, Object};

/// Characters to match, so that states fit 128 bits.
const MOST_UNITS: usize = 127;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pattern {
    glob: String,
    units: Vec<Unit>,
    /// For each literal, the states it leads on from; ordered.
    literals: Vec<(char, u128)>,
    /// The states that `?` leads on from.
    any: u128,
    /// The states with a `*`.
    segment_loops: u128,
    /// The states with a `**`.
    full_loops: u128,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    Literal(char),
    Any,
}

/// A letter as the parent sees it.
#[derive(Clone, Copy)]
enum Letter {
    This(char),
    /// Not `/`, and nowhere in the glob.
    Fresh,
}

fn bit(state: usize) -> u128 {
    1_u128.checked_shl(u32::try_from(state).unwrap_or(u32::MAX)).unwrap_or(0)
}

impl Pattern {
    pub(super) fn read(members: &Members<'_>) -> Result<Self, ConstraintError> {
        const EXPECTED: &str = "a non-empty glob of `?`, `*`, `**`, at most 127 characters to match, and `\\` only before `*`, `?` or `\\`";
        let glob = members.text("glob")?;
        Self::compile(glob).ok_or_else(|| members.invalid("glob", EXPECTED))
    }

    fn compile(glob: &str) -> Option<Self> {
        let mut pattern = Self {
            glob: glob.to_owned(),
            units: Vec::new(),
            literals: Vec::new(),
            any: 0,
            segment_loops: 0,
            full_loops: 0,
        };
        if glob.is_empty() {
            return None;
        }
        let mut chars = glob.chars().peekable();
        while let Some(c) = chars.next() {
            let here = bit(pattern.units.len());
            let unit = match c {
                '*' => {
                    if chars.next_if_eq(&'*').is_some() {
                        pattern.full_loops |= here;
                    } else {
                        pattern.segment_loops |= here;
                    }
                    // Three in a row would be a guess.
                    if chars.peek() == Some(&'*') {
                        return None;
                    }
                    continue;
                }
                '?' => Unit::Any,
                '\\' => Unit::Literal(chars.next().filter(|c| matches!(c, '*' | '?' | '\\'))?),
                c => Unit::Literal(c),
            };
            if pattern.units.len() == MOST_UNITS {
                return None;
            }
            match unit {
                Unit::Any => pattern.any |= here,
                Unit::Literal(c) => match pattern.literals.binary_search_by_key(&c, |l| l.0) {
                    Ok(at) => pattern.literals.get_mut(at)?.1 |= here,
                    Err(at) => pattern.literals.insert(at, (c, here)),
                },
            }
            pattern.units.push(unit);
        }
        // `?*` and `*?` are one language; with stars first, covers sees it.
        for state in (1..=pattern.units.len()).rev() {
            if pattern.segment_loops & bit(state) != 0
                && pattern.any & bit(state.saturating_sub(1)) != 0
            {
                pattern.segment_loops &= !bit(state);
                pattern.segment_loops |= bit(state.saturating_sub(1));
            }
        }
        Some(pattern)
    }

    fn step(&self, states: u128, letter: Letter) -> u128 {
        let (leads_on, stays) = match letter {
            Letter::Fresh => (self.any, self.segment_loops | self.full_loops),
            Letter::This(c) => {
                let literal = self
                    .literals
                    .binary_search_by_key(&c, |l| l.0)
                    .ok()
                    .and_then(|at| self.literals.get(at))
                    .map_or(0, |l| l.1);
                if c == '/' {
                    (literal, self.full_loops)
                } else {
                    (literal | self.any, self.segment_loops | self.full_loops)
                }
            }
        };
        ((states & leads_on) << 1) | (states & stays)
    }

    fn accepts(&self, states: u128) -> bool {
        states & bit(self.units.len()) != 0
    }

    pub(super) fn permits(&self, value: &Json) -> bool {
        let Some(text) = value.as_str() else { return false };
        let mut states = 1;
        for c in text.chars() {
            states = self.step(states, Letter::This(c));
            if states == 0 {
                return false;
            }
        }
        self.accepts(states)
    }

    pub(super) fn covers(&self, child: &Self) -> bool {
        let mut states = 1;
        for (state, unit) in child.units.iter().map(Some).chain([None]).enumerate() {
            let full = child.full_loops & bit(state) != 0;
            if full || child.segment_loops & bit(state) != 0 {
                states = self.outlasting(states, full);
            }
            states = match unit {
                Some(Unit::Literal(c)) => self.step(states, Letter::This(*c)),
                Some(Unit::Any) => self.step(states, Letter::Fresh),
                None => states,
            };
            if states == 0 {
                return false;
            }
        }
        self.accepts(states)
    }

    /// The largest subset that every run of letters, with `/` or without,
    /// leads to a superset of. What a loop of the parent feeds stays; the rest
    /// goes within as many rounds as letters were read since the child's last
    /// loop, and never more than 128.
    fn outlasting(&self, mut states: u128, with_slash: bool) -> u128 {
        loop {
            let mut kept = states & self.step(states, Letter::Fresh);
            if with_slash {
                kept &= self.step(states, Letter::This('/'));
            }
            if kept == states {
                return states;
            }
            states = kept;
        }
    }

    pub(super) fn write(&self, object: Object) -> Object {
        object.with("glob", self.glob.as_str())
    }
}
