//! The laws of signed chains, over random derivations.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use super::generated::{
    Asked, any_derivations, asked, chain, holder, honest, lowest, presented, twins,
};
use super::*;
use crate::crypto::from_base64url;
use crate::dpop;

/// Runs `law` on as many cases as `PROPTEST_CASES` says. Unlike the macro, this
/// lets a law count what it saw, so that it cannot hold for want of cases.
fn for_all<S: Strategy>(cases: S, law: impl Fn(S::Value) -> Result<(), TestCaseError>) -> u32 {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let count = runner.config().cases;
    runner.run(&cases, law).unwrap_or_else(|e| panic!("{e}"));
    count
}

/// A verdict, and what the call is charged.
fn permitted(tokens: &[String], asked: &Asked) -> Option<(Verified<Accountable>, Vec<Charge>)> {
    let verified = presented(tokens, asked).examined().ok()?;
    let (tool, arguments) = (verified.tool(), verified.arguments());
    let now = verified.now();
    let charges = Charge::of(verified.chain(), verified.facts(), tool, arguments, now).ok()?;
    Some((verified, charges))
}

#[test]
fn adding_a_link_never_adds_a_permitted_call() {
    let (kept, taken) = (Cell::new(0), Cell::new(0));
    let cases =
        for_all((any_derivations(), prop::collection::vec(asked(), 4)), |(changes, calls)| {
            let tokens = chain(&changes);
            for call in &calls {
                let mut above = permitted(&tokens[..1], call);
                for length in 2..=tokens.len() {
                    let here = permitted(&tokens[..length], call);
                    if let Some((verified, charges)) = &here {
                        kept.set(kept.get() + 1);
                        let Some((above, above_charges)) = &above else {
                            prop_assert!(false, "link {length} adds {call:?}: {changes:#?}");
                            return Ok(());
                        };
                        // Nor does it lengthen the time or the budget.
                        prop_assert!(verified.chain().expires() <= above.chain().expires());
                        for charge in above_charges {
                            prop_assert!(charges.contains(charge), "{charge:?} is not charged");
                        }
                        for new in charges.iter().filter(|c| !above_charges.contains(c)) {
                            let mut same = above_charges.iter().filter(|c| c.member == new.member);
                            prop_assert!(same.all(|c| new.limit <= c.limit), "{new:?}");
                        }
                    } else if above.is_some() {
                        taken.set(taken.get() + 1);
                    }
                    above = here;
                }
            }
            Ok(())
        });
    // Of the eight or so links under calls in a case, enough are of either kind.
    assert!(kept.get() > cases / 2 && taken.get() > cases / 4, "{kept:?} {taken:?}");
}

/// Counters as a ledger keeps them.
#[derive(Default)]
struct Counters(std::collections::HashMap<(Digest, String), i64>);

impl Counters {
    /// Charges all or nothing; whether it went through.
    fn charge(&mut self, charges: &[Charge]) -> bool {
        let mut after = self.0.clone();
        for charge in charges {
            let spent = after.entry((charge.account, charge.counter.clone())).or_default();
            *spent += charge.amount;
            if *spent > charge.limit {
                return false;
            }
        }
        self.0 = after;
        true
    }
}

#[test]
fn what_passed_under_a_derived_token_in_its_windows_passes_under_every_token_above() {
    let (passed, spent) = (Cell::new(0), Cell::new(0));
    let cases =
        for_all((any_derivations(), prop::collection::vec(asked(), 12)), |(changes, calls)| {
            let tokens = chain(&changes);
            for length in 2..=tokens.len() {
                let (mut below, mut above) = (Counters::default(), Counters::default());
                for call in &calls {
                    let Some((_, charges)) = permitted(&tokens[..length], call) else { continue };
                    if !below.charge(&charges) {
                        spent.set(spent.get() + 1);
                        continue;
                    }
                    passed.set(passed.get() + 1);
                    let over = permitted(&tokens[..length - 1], call);
                    let fits = over.is_some_and(|(_, charges)| above.charge(&charges));
                    prop_assert!(fits, "link {length} adds {call:?}: {changes:#?}");
                }
            }
            Ok(())
        });
    // The law says something only where budgets ran out and calls passed.
    assert!(passed.get() > cases && spent.get() > cases, "{passed:?} {spent:?}");
}

#[test]
fn a_chain_that_only_narrows_permits_what_every_link_permits() {
    for_all(honest(), |changes| {
        let tokens = chain(&changes);
        for length in 1..=tokens.len() {
            let verdict = presented(&tokens[..length], &lowest()).verdict();
            prop_assert_eq!(verdict, Ok(()), "at {} of {:#?}", length, changes);
        }
        Ok(())
    });
}

const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// One change to one text of a presentation.
#[derive(Clone, Debug)]
enum Damage {
    /// A byte of what a part decodes to.
    Byte { part: Index, at: Index, mask: u8 },
    /// A character of the text.
    Letter { at: Index, to: u8 },
    /// A character less.
    Cut { at: Index },
    /// A character more.
    Put { at: Index, letter: u8 },
}

fn damage() -> impl Strategy<Value = Damage> {
    let letter = || prop::sample::select([LETTERS, b".=+/~ \n"].concat());
    prop_oneof![
        3 => (any::<Index>(), any::<Index>(), 1..=u8::MAX)
            .prop_map(|(part, at, mask)| Damage::Byte { part, at, mask }),
        3 => (any::<Index>(), letter()).prop_map(|(at, to)| Damage::Letter { at, to }),
        1 => any::<Index>().prop_map(|at| Damage::Cut { at }),
        1 => (any::<Index>(), letter()).prop_map(|(at, letter)| Damage::Put { at, letter }),
    ]
}

impl Damage {
    fn done_to(&self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        match self {
            Self::Byte { part, at, mask } => {
                let mut parts: Vec<String> = text.split('.').map(str::to_owned).collect();
                let part = &mut parts[part.index(3)];
                let mut decoded = from_base64url(part).unwrap();
                let at = at.index(decoded.len());
                decoded[at] ^= mask;
                *part = base64url(&decoded);
                return parts.join(".");
            }
            Self::Letter { at, to } => bytes[at.index(text.len())] = *to,
            Self::Cut { at } => drop(bytes.remove(at.index(text.len()))),
            Self::Put { at, letter } => bytes.insert(at.index(text.len() + 1), *letter),
        }
        String::from_utf8(bytes).unwrap()
    }
}

/// Damages one text of `presented`: a token, or the proof after the last.
fn damaged(good: &Presented, which: &Index, damage: &Damage) -> Presented {
    let mut presented = good.clone();
    let count = presented.tokens.len();
    match presented.tokens.get_mut(which.index(count + 1)) {
        Some(token) => *token = damage.done_to(token),
        None => presented.proof = damage.done_to(&presented.proof),
    }
    presented
}

#[test]
fn damage_to_any_byte_or_character_of_a_good_presentation_never_permits() {
    let damages = prop::collection::vec((any::<Index>(), damage()), 6);
    for_all((honest(), damages), |(changes, damages)| {
        let good = presented(&chain(&changes), &lowest());
        prop_assert_eq!(good.verdict(), Ok(()));
        for (i, (which, damage)) in damages.iter().enumerate() {
            let bad = damaged(&good, which, damage);
            if bad.tokens == good.tokens && bad.proof == good.proof {
                continue;
            }
            prop_assert!(bad.verdict().is_err(), "{which:?} {damage:?}");
            if i == 0 {
                prop_assert!(bad.verdict_after(&good).is_err(), "kept: {which:?} {damage:?}");
            }
        }
        Ok(())
    });
}

/// Every position, and of the letters there the next one and one that differs in
/// the highest of its six bits: whatever byte it carries is flipped once.
#[test]
fn no_character_of_a_good_presentation_can_be_another() {
    let good = Presented::good();
    assert_eq!(good.verdict(), Ok(()));
    let texts = good.tokens.len() + 1;
    for which in 0..texts {
        let text = good.tokens.get(which).unwrap_or(&good.proof);
        for (at, letter) in text.bytes().enumerate() {
            let value = LETTERS.iter().position(|l| *l == letter);
            let others = value.map_or([b'A', b'_'], |v| [LETTERS[v ^ 1], LETTERS[v ^ 32]]);
            for other in others {
                let mut changed = text.clone().into_bytes();
                changed[at] = other;
                let changed = String::from_utf8(changed).unwrap();
                let mut bad = good.clone();
                *bad.tokens.get_mut(which).unwrap_or(&mut bad.proof) = changed;
                assert!(bad.verdict().is_err(), "text {which}, character {at}: {}", other as char);
            }
        }
    }
}

#[test]
fn damage_to_a_chain_or_proof_of_presence_never_lets_anybody_in() {
    const URI: &str = "https://gateway.example/mcp/desk";
    let verdict = |bad: &Presented| {
        bad.judged(|p, _, context, inputs| {
            let request = dpop::Request { proof: &p.proof, method: "GET", uri: URI };
            let leaf = p.tokens.last().unwrap();
            Unverified::parse(&p.tokens, context.limits).map_err(|d| d.reason).and_then(|chain| {
                verify_presence::<Accountable>(&chain, leaf, &request, context, inputs)
                    .map(|(_, accepted)| accepted.jti)
                    .map_err(|refused| refused.denial.reason)
            })
        })
    };
    let damages = prop::collection::vec((any::<Index>(), damage()), 4);
    for_all((honest(), damages), |(changes, damages)| {
        let mut good = Presented::unproved(chain(&changes));
        let (leaf, now) = (good.tokens.last().unwrap(), Timestamp::from_seconds(NOW));
        good.proof = dpop::prove(&holder(&good.tokens), "here", now, "GET", URI, leaf);
        prop_assert_eq!(verdict(&good), Ok("here".to_owned()));
        for (which, damage) in &damages {
            let bad = damaged(&good, which, damage);
            if bad.tokens != good.tokens || bad.proof != good.proof {
                prop_assert!(verdict(&bad).is_err(), "{which:?} {damage:?}");
            }
        }
        Ok(())
    });
}

/// What a thief or a careless holder does to the order of links.
#[derive(Clone, Debug)]
enum Edit {
    Swap(Index, Index),
    Drop(Index),
    Repeat(Index, Index),
    Reverse,
    /// A link of another chain instead of this one's.
    Splice(Index),
    /// A link of another chain between these.
    Insert(Index, Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    prop_oneof![
        2 => (at(), at()).prop_map(|(a, b)| Edit::Swap(a, b)),
        2 => at().prop_map(Edit::Drop),
        1 => (at(), at()).prop_map(|(a, b)| Edit::Repeat(a, b)),
        1 => Just(Edit::Reverse),
        6 => at().prop_map(Edit::Splice),
        1 => (at(), at()).prop_map(|(a, b)| Edit::Insert(a, b)),
    ]
}

impl Edit {
    fn done_to(&self, tokens: &mut Vec<String>, others: &[String]) {
        let count = tokens.len();
        if count == 0 {
            return;
        }
        match self {
            Self::Swap(a, b) => tokens.swap(a.index(count), b.index(count)),
            Self::Drop(at) => drop(tokens.remove(at.index(count))),
            Self::Repeat(from, to) => {
                tokens.insert(to.index(count + 1), tokens[from.index(count)].clone());
            }
            Self::Reverse => tokens.reverse(),
            Self::Splice(at) => {
                let at = at.index(count.min(others.len()));
                tokens[at].clone_from(&others[at]);
            }
            Self::Insert(from, to) => {
                tokens.insert(to.index(count + 1), others[from.index(others.len())].clone());
            }
        }
    }
}

/// The other chain has the same issuer, holders and token ids, so that signatures
/// hold in the wrong place.
#[test]
fn links_that_were_moved_never_permit() {
    let spliced = Cell::new(0);
    let edits = prop::collection::vec(edit(), 1..3);
    let cases = for_all((twins(), edits), |((one, two), edits)| {
        let (whole, others) = (chain(&one), chain(&two));
        let good = presented(&whole, &lowest());
        prop_assert_eq!(good.verdict(), Ok(()));
        let mut moved = whole.clone();
        for edit in &edits {
            edit.done_to(&mut moved, &others);
        }
        if moved == whole {
            return Ok(());
        }
        // The proof that was made for the chain as it was.
        let mut bad = Presented::unproved(moved.clone());
        bad.proof.clone_from(&good.proof);
        prop_assert!(bad.verdict().is_err(), "{edits:?}");
        prop_assert!(bad.verdict_after(&good).is_err(), "kept: {edits:?}");
        // Even a fresh proof by the right holder helps only where what came out
        // is a chain that was derived.
        if !moved.is_empty() && !whole.starts_with(&moved) && !others.starts_with(&moved) {
            let verdict = presented(&moved, &lowest()).verdict();
            prop_assert!(verdict.is_err(), "{edits:?}");
            if verdict.is_err_and(|d| d.reason == Reason::ParentMismatch) {
                spliced.set(spliced.get() + 1);
            }
        }
        Ok(())
    });
    // Some were so near that only the parent's hash told them apart.
    assert!(spliced.get() > cases / 250, "{spliced:?}");
}
