//! `pattern`: strings that match a glob.
//!
//! | | |
//! |---|---|
//! | members | `glob`: string, required, 1 to 127 characters to match and any number of stars between them |
//! | check | the value is a string of at most 16384 bytes and the glob matches all of it |
//! | covers | the same type by simulation (below); `exact` and `one_of` when every value is permitted |
//! | cost | check: linear in the value, whatever the glob; covers: at most 127 × 128 steps on 128-bit words, usually one per character |
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
//! **Soundness of covers.** The parent covers the child when its automaton
//! *simulates* the child's: there is a relation between states, holding for the
//! two initial states, such that whatever letter leads a child state to another,
//! some transition of the related parent state on that letter leads to a related
//! state, and a state related to the child's accepting one accepts. Along any
//! text that the child accepts the parent can then keep up, so it accepts too.
//! Simulations compose, so covers is transitive. Of the letters that `?` and
//! stars read, one that stands nowhere in the parent is enough (and `/` for
//! `**`): on any other the parent can do at least as much. The rule may miss an
//! inclusion; it never claims a false one.

use super::ConstraintError;
use super::parse::Members;
use crate::json::{Json, Object};

/// Characters to match, so that states fit 128 bits.
const MOST_UNITS: usize = 127;
/// Bytes of a value, so that a thousand globs on it cost milliseconds.
const LONGEST_VALUE: usize = 16_384;

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
        // `?*` and `*?` are one language: the star goes last.
        for state in 0..pattern.units.len() {
            let here = bit(state);
            if pattern.segment_loops & here != 0 && pattern.any & here != 0 {
                pattern.segment_loops ^= here;
                pattern.segment_loops |= here << 1;
            }
        }
        Some(pattern)
    }

    /// The states that lead on by `letter`, and those that stay.
    fn transitions(&self, letter: Letter) -> (u128, u128) {
        match letter {
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
        }
    }

    pub(super) fn permits(&self, value: &Json) -> bool {
        let Some(text) = value.as_str().filter(|text| text.len() <= LONGEST_VALUE) else {
            return false;
        };
        let mut states = 1;
        for c in text.chars() {
            let (lead_on, stay) = self.transitions(Letter::This(c));
            states = ((states & lead_on) << 1) | (states & stay);
            if states == 0 {
                return false;
            }
        }
        states & bit(self.units.len()) != 0
    }

    /// The states from which `letter` can lead into `states`.
    fn before(&self, states: u128, letter: Letter) -> u128 {
        let (lead_on, stay) = self.transitions(letter);
        ((states >> 1) & lead_on) | (states & stay)
    }

    pub(super) fn covers(&self, child: &Self) -> bool {
        // The parent states that simulate the child's state, from the last on.
        let mut simulating = bit(self.units.len());
        for state in (0..=child.units.len()).rev() {
            simulating = match child.units.get(state) {
                Some(Unit::Literal(c)) => self.before(simulating, Letter::This(*c)),
                Some(Unit::Any) => self.before(simulating, Letter::Fresh),
                None => simulating,
            };
            let full = child.full_loops & bit(state) != 0;
            if full || child.segment_loops & bit(state) != 0 {
                simulating = self.looping(simulating, full);
            }
            if simulating == 0 {
                return false;
            }
        }
        simulating & 1 != 0
    }

    /// The largest subset from which every letter, with `/` or without, can
    /// lead back into it. Each round but the last removes a state.
    fn looping(&self, mut states: u128, with_slash: bool) -> u128 {
        loop {
            let mut kept = states & self.before(states, Letter::Fresh);
            if with_slash {
                kept &= self.before(states, Letter::This('/'));
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
