//! What an agent says of its runs, read strictly, and the tools by which it says it.
//!
//! A run is one attempt at a task. Its agent begins it, notes the context that it
//! used, its iterations and calls of models, and claims that it is complete. None of
//! it is believed: [`Word`] is what was said, and rules elsewhere decide what of it
//! stands.

use bailiwick_core::crypto::{Digest, from_base64url};
use bailiwick_core::ids::{ActionId, RunId};
use bailiwick_core::json::{Json, Object};

mod offer;
pub use offer::{Verb, is_offered};

/// Characters of a goal at most.
pub const MAX_GOAL_CHARS: usize = 4_000;
/// Items of context in one note at most.
pub const MAX_ITEMS: usize = 64;
/// Characters of an item's source at most.
pub const MAX_SOURCE_CHARS: usize = 200;
/// Characters of a label, a check's name or a model's name at most.
pub const MAX_NAME_CHARS: usize = 100;
/// Calls of models in one note at most.
pub const MAX_MODEL_CALLS: usize = 64;
/// Each number of a note at most: iterations, tokens, millionths of a currency.
pub const MAX_AMOUNT: u64 = 1_000_000_000_000;
/// Claims of one run at most: as many as a workflow has criteria.
pub const MAX_CLAIMS: usize = 32;
/// Characters of a claim's statement at most.
pub const MAX_STATEMENT_CHARS: usize = 2_000;
/// Characters of a summary at most.
pub const MAX_SUMMARY_CHARS: usize = 4_000;

/// A member of what was said that is missing, too long, too large or malformed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{member}` is missing, too long, malformed or not known; expected {expected}")]
pub struct Malformed {
    /// Which one.
    pub member: String,
    /// What should stand there.
    pub expected: String,
}

/// What an item of context is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// A document.
    Document,
    /// Something remembered from earlier.
    Memory,
    /// A prompt or an instruction.
    Prompt,
    /// What a tool gave.
    ToolOutput,
}

impl ItemKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Document, Self::Memory, Self::Prompt, Self::ToolOutput];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::Memory => "memory",
            Self::Prompt => "prompt",
            Self::ToolOutput => "tool_output",
        }
    }
}

/// An item of context, as its agent states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// SHA-256 of its content.
    pub digest: Digest,
    /// Where it is from: a source that the workflow lists, the action id of a call
    /// of this run, or any other words.
    pub source: String,
    /// The agent's own label.
    pub label: Option<String>,
}

/// A call of a model, or several alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelCall {
    /// The model's name.
    pub model: String,
    /// Tokens that it read.
    pub input_tokens: u64,
    /// Tokens that it wrote.
    pub output_tokens: u64,
    /// What it cost, in millionths of the note's currency.
    pub cost_micros: u64,
}

/// What the agent brings for a criterion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backed {
    /// Nothing but its word.
    Word,
    /// A call of this run.
    Receipt(ActionId),
    /// A check that it ran itself.
    Check {
        /// What the agent calls it.
        name: String,
        /// Whether it passed.
        passed: bool,
        /// SHA-256 of what it printed.
        output: Option<Digest>,
    },
}

/// That a criterion is met, as its agent claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The criterion's id.
    pub criterion: String,
    /// Why, in the agent's words.
    pub statement: Option<String>,
    /// What it brings for it.
    pub by: Backed,
}

/// One thing that an agent says of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// It begins one.
    Begin {
        /// What it attempts, in words.
        goal: String,
        /// SHA-256 of the principal's instruction, as it was given to the agent.
        instruction: Option<Digest>,
    },
    /// It used this.
    Context {
        /// The items, at least one.
        items: Vec<Item>,
    },
    /// It took this on top.
    Progress {
        /// Rounds of its loop.
        iterations: u64,
        /// Calls of models.
        model_calls: Vec<ModelCall>,
        /// Three capital letters (ISO 4217), for what they cost.
        currency: Option<String>,
    },
    /// It is complete.
    Complete {
        /// Why, criterion by criterion.
        claims: Vec<Claim>,
        /// What was done, in words.
        summary: Option<String>,
    },
}

/// A word, and the run that it names, if it names one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The run. It must be the one that is open.
    pub run: Option<RunId>,
    /// What is said of it.
    pub word: Word,
}

impl Said {
    /// Reads the arguments of a tool, strictly: whatever is not understood is
    /// refused.
    ///
    /// # Errors
    /// [`Malformed`] names the member.
    pub fn parse(verb: Verb, arguments: &Object) -> Result<Self, Malformed> {
        let members = Members(arguments);
        let run = match arguments.member("run") {
            None => None,
            Some(run) if verb != Verb::Begin => {
                let run = run.as_str().and_then(|run| RunId::parse(run).ok());
                Some(run.ok_or_else(|| bad("run", "a run's id"))?)
            }
            Some(_) => return Err(bad("run", "no run: this begins one")),
        };
        let word = match verb {
            Verb::Begin => {
                members.only(&["goal", "instruction_sha256"])?;
                Word::Begin {
                    goal: members.text("goal", MAX_GOAL_CHARS)?,
                    instruction: members.digest("instruction_sha256")?,
                }
            }
            Verb::Context => {
                members.only(&["run", "items"])?;
                let items = members.list("items", 1, MAX_ITEMS)?;
                Word::Context { items: items.iter().map(item).collect::<Result<_, _>>()? }
            }
            Verb::Progress => progress(&members)?,
            Verb::Complete => {
                members.only(&["run", "claims", "summary"])?;
                let claims = members.list("claims", 0, MAX_CLAIMS)?;
                Word::Complete {
                    claims: claims.iter().map(claim).collect::<Result<_, _>>()?,
                    summary: members.optional("summary", MAX_SUMMARY_CHARS)?,
                }
            }
        };
        Ok(Self { run, word })
    }
}

fn progress(members: &Members<'_>) -> Result<Word, Malformed> {
    members.only(&["run", "iterations", "model_calls", "currency"])?;
    let model_calls = match members.0.member("model_calls") {
        None => Vec::new(),
        Some(_) => members.list("model_calls", 1, MAX_MODEL_CALLS)?.to_vec(),
    };
    let model_calls: Vec<ModelCall> =
        model_calls.iter().map(model_call).collect::<Result<_, _>>()?;
    let iterations = members.amount("iterations")?;
    if iterations == 0 && model_calls.is_empty() {
        return Err(bad("iterations", "a number from 1, or `model_calls`"));
    }
    let currency = members.optional("currency", 3)?;
    if currency.as_ref().is_some_and(|c| c.len() != 3 || !c.bytes().all(|b| b.is_ascii_uppercase()))
    {
        return Err(bad("currency", "three capital letters, as `EUR`"));
    }
    Ok(Word::Progress { iterations, model_calls, currency })
}

fn bad(member: &str, expected: impl Into<String>) -> Malformed {
    // A name that the caller made up is shown shortened and without control characters.
    let member = member.chars().filter(|c| !c.is_control()).take(40).collect();
    Malformed { member, expected: expected.into() }
}

fn text_of(most: usize) -> String {
    format!("a text of 1 to {most} characters")
}

/// The members of an object that came from outside.
struct Members<'o>(&'o Object);

impl<'o> Members<'o> {
    fn of(json: &'o Json, member: &str) -> Result<Self, Malformed> {
        json.as_object().map(Self).ok_or_else(|| bad(member, "objects"))
    }

    fn only(&self, known: &[&str]) -> Result<(), Malformed> {
        match self.0.iter().find(|(name, _)| !known.contains(name)) {
            Some((name, _)) => Err(bad(name, "no such member")),
            None => Ok(()),
        }
    }

    fn optional(&self, name: &str, most: usize) -> Result<Option<String>, Malformed> {
        let Some(json) = self.0.member(name) else { return Ok(None) };
        let text = json.as_str().filter(|t| !t.trim().is_empty() && t.chars().count() <= most);
        text.map(|text| Some(text.to_owned())).ok_or_else(|| bad(name, text_of(most)))
    }

    fn text(&self, name: &str, most: usize) -> Result<String, Malformed> {
        self.optional(name, most)?.ok_or_else(|| bad(name, text_of(most)))
    }

    fn amount(&self, name: &str) -> Result<u64, Malformed> {
        let Some(json) = self.0.member(name) else { return Ok(0) };
        let number = json.as_number().and_then(|n| n.as_plain_integer());
        let number = number.and_then(|n| u64::try_from(n).ok()).filter(|n| *n <= MAX_AMOUNT);
        number.ok_or_else(|| bad(name, format!("a whole number from 0 to {MAX_AMOUNT}")))
    }

    fn list(&self, name: &str, least: usize, most: usize) -> Result<&'o [Json], Malformed> {
        let list = self.0.member(name).and_then(Json::as_array);
        let list = list.filter(|list| (least..=most).contains(&list.len()));
        list.ok_or_else(|| bad(name, format!("a list of {least} to {most}")))
    }

    fn digest(&self, name: &str) -> Result<Option<Digest>, Malformed> {
        let Some(json) = self.0.member(name) else { return Ok(None) };
        let digest = json.as_str().and_then(sha256_of);
        digest.map(Some).ok_or_else(|| bad(name, "a SHA-256, 64 hex digits or base64url"))
    }
}

/// A SHA-256 in one of the two forms in which programs print it.
fn sha256_of(text: &str) -> Option<Digest> {
    let bytes: Vec<u8> = match text.len() {
        64 => {
            let nibbles: Option<Vec<u8>> =
                text.chars().map(|c| c.to_digit(16).and_then(|n| u8::try_from(n).ok())).collect();
            nibbles?
                .chunks_exact(2)
                .map(|pair| pair.iter().fold(0, |sum, n| sum << 4 | n))
                .collect()
        }
        _ => from_base64url(text)?,
    };
    <[u8; 32]>::try_from(bytes).ok().map(Digest::from_array)
}

fn item(json: &Json) -> Result<Item, Malformed> {
    let members = Members::of(json, "items")?;
    members.only(&["kind", "sha256", "source", "label"])?;
    let kind = members.text("kind", MAX_NAME_CHARS)?;
    let kind = ItemKind::ALL.into_iter().find(|known| known.as_str() == kind);
    Ok(Item {
        kind: kind.ok_or_else(|| bad("kind", "document, memory, prompt or tool_output"))?,
        digest: members.digest("sha256")?.ok_or_else(|| bad("sha256", "a SHA-256"))?,
        source: members.text("source", MAX_SOURCE_CHARS)?,
        label: members.optional("label", MAX_NAME_CHARS)?,
    })
}

fn model_call(json: &Json) -> Result<ModelCall, Malformed> {
    let members = Members::of(json, "model_calls")?;
    members.only(&["model", "input_tokens", "output_tokens", "cost_micros"])?;
    Ok(ModelCall {
        model: members.text("model", MAX_NAME_CHARS)?,
        input_tokens: members.amount("input_tokens")?,
        output_tokens: members.amount("output_tokens")?,
        cost_micros: members.amount("cost_micros")?,
    })
}

fn claim(json: &Json) -> Result<Claim, Malformed> {
    let members = Members::of(json, "claims")?;
    members.only(&["criterion", "statement", "receipt", "check"])?;
    let by = match (members.0.member("receipt"), members.0.member("check")) {
        (None, None) => Backed::Word,
        (Some(receipt), None) => {
            let receipt = receipt.as_str().and_then(|id| ActionId::parse(id).ok());
            Backed::Receipt(receipt.ok_or_else(|| bad("receipt", "an action's id"))?)
        }
        (None, Some(check)) => {
            let check = Members::of(check, "check")?;
            check.only(&["name", "passed", "output_sha256"])?;
            let passed = check.0.member("passed").and_then(Json::as_bool);
            Backed::Check {
                name: check.text("name", MAX_NAME_CHARS)?,
                passed: passed.ok_or_else(|| bad("passed", "true or false"))?,
                output: check.digest("output_sha256")?,
            }
        }
        (Some(_), Some(_)) => return Err(bad("check", "either `receipt` or `check`")),
    };
    Ok(Claim {
        criterion: members.text("criterion", MAX_NAME_CHARS)?,
        statement: members.optional("statement", MAX_STATEMENT_CHARS)?,
        by,
    })
}

#[cfg(test)]
mod tests;
