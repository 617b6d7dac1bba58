//! Why something was decided, and what another bundle would have decided.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_core::crypto::Digest;
use bailiwick_core::denial::Reason;
use bailiwick_core::ids::{ActionId, Alias};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_evidence::retained::{NotReplayable, Retained};
use bailiwick_policy::bundle::About;
use bailiwick_policy::decide::{PolicyDecision, Rule};
use bailiwick_policy::{Bundle, Policies};
use bailiwick_store::{Filter, Place, StoredEntry};

use super::Authority;
use crate::refusal::Refusal;
use crate::rules::policies::replayed;

/// Decisions that [`Authority::replay_last`] makes again at most: each opens the
/// text that was retained with it.
pub const MAX_REPLAYED: u32 = 1_000;
/// Entries read at a time.
const BATCH: u32 = 1_000;

/// A policy that is named by a decision.
#[derive(Clone, Debug)]
pub struct SaidPolicy {
    /// Its id.
    pub id: String,
    /// What it says; `None` where its bundle is not kept.
    pub about: Option<About>,
}

/// Which bundle was asked.
#[derive(Clone, Debug)]
pub struct SaidBundle {
    /// Its digest.
    pub digest: Digest,
    /// The bundle, where it is kept.
    pub kept: Option<Arc<Bundle>>,
}

/// What one bundle said of a call.
#[derive(Clone, Debug)]
pub struct SaidWord {
    /// What the bundle was published for.
    pub place: Place,
    /// The bundle.
    pub bundle: SaidBundle,
    /// What it answered.
    pub answer: String,
    /// The policies behind it.
    pub policies: Vec<SaidPolicy>,
}

/// Why a call was decided as it was, from its entry alone: no text is opened.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The call.
    pub action: ActionId,
    /// The number of the decision's entry.
    pub entry: u64,
    /// When.
    pub at: Timestamp,
    /// The principal's alias.
    pub principal: Option<String>,
    /// The agent.
    pub agent: Option<String>,
    /// The tool.
    pub tool: Option<String>,
    /// `allow`, `deny` or `approval_required`.
    pub decision: String,
    /// The reason's code.
    pub reason: Option<String>,
    /// The rule that settled it; `None`: it did not come to policy.
    pub rule: Option<String>,
    /// What the rule says or, without one, the reason.
    pub sentence: Option<String>,
    /// What the organisation's bundles said.
    pub words: Vec<SaidWord>,
}

/// The sentence of a rule: a built-in one's, or that of a policy.
fn sentence(rule: &str, bundle: Option<&Bundle>) -> Option<String> {
    match rule.strip_prefix("policy:") {
        Some(id) => Some(bundle?.policy(id)?.reason.clone()),
        None => Rule::ALL.iter().find(|r| r.id() == rule).map(|rule| rule.explanation().to_owned()),
    }
}

/// A decision that would be another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flip {
    /// The call.
    pub action: String,
    /// When it was decided.
    pub at: Timestamp,
    /// The agent.
    pub agent: String,
    /// The tool.
    pub tool: String,
    /// What was decided.
    pub was: String,
    /// What would be.
    pub would: &'static str,
    /// By which rule.
    pub rule: String,
    /// What the rule says.
    pub sentence: String,
}

/// Past decisions made again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// Those that stay as they were.
    pub same: u64,
    /// Those of them that ask for a person and have one's approval on record.
    pub approved: u64,
    /// Those that would be others, as many as were asked for.
    pub flips: Vec<Flip>,
    /// All that would be others, by what they were and would be.
    pub by_change: BTreeMap<String, u64>,
    /// All that would be others, by the rule that settles them.
    pub by_rule: BTreeMap<String, u64>,
    /// Those that cannot be made again.
    pub not_replayable: BTreeMap<NotReplayable, u64>,
}

impl Replay {
    /// How many would be others.
    #[must_use]
    pub fn flipped(&self) -> u64 {
        self.by_change.values().sum()
    }

    fn take(
        &mut self,
        policies: &Policies,
        entry: &StoredEntry,
        read: Result<Retained, NotReplayable>,
        most: usize,
    ) {
        let retained = match read {
            Ok(retained) => retained,
            Err(why) => {
                *self.not_replayable.entry(why).or_default() += 1;
                return;
            }
        };
        let (decision, _) = policies.decide(&retained.call.input());
        if decision.as_str() == retained.decision {
            self.same += 1;
            return;
        }
        // The approval on record is for this very call, so it counts as it did.
        if retained.approved && matches!(decision, PolicyDecision::ApprovalRequired(_)) {
            self.same += 1;
            self.approved += 1;
            return;
        }
        let finding = decision.finding();
        let change = format!("{} -> {}", retained.decision, decision.as_str());
        *self.by_change.entry(change).or_default() += 1;
        *self.by_rule.entry(finding.rule.to_string()).or_default() += 1;
        if self.flips.len() < most {
            self.flips.push(Flip {
                action: entry.subjects.action.clone().unwrap_or_default(),
                at: entry.time,
                agent: retained.call.agent.to_string(),
                tool: retained.call.tool.to_string(),
                was: retained.decision,
                would: decision.as_str(),
                rule: finding.rule.to_string(),
                sentence: finding.reason.to_string(),
            });
        }
    }
}

impl Authority {
    /// Why a call was decided as it was.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::Store`].
    pub fn explain(&self, action: &ActionId) -> Result<Explanation, Refusal> {
        let entries = self.read(|view| view.entries_of_action(action))?;
        let decided = entries.into_iter().find(|e| e.kind == Kind::ActionDecided.as_str());
        let decided = decided.ok_or_else(|| Refusal::unknown("action", action))?;
        let leaf = Json::parse(&decided.leaf, &JsonLimits::DEFAULT).ok();
        let none = Object::new();
        let leaf = leaf.as_ref().and_then(Json::as_object).unwrap_or(&none);
        let body = leaf.member("body").and_then(Json::as_object).unwrap_or(&none);
        let rule = body.member("rule").and_then(Json::as_str).map(str::to_owned);
        let words: Vec<SaidWord> = [("policy", Place::Enforced), ("candidate", Place::Candidate)]
            .into_iter()
            .filter_map(|(name, place)| self.word(place, body.member(name)?.as_object()?))
            .collect();
        let enforced = words.iter().find(|word| word.place == Place::Enforced);
        let enforced = enforced.and_then(|word| word.bundle.kept.as_deref());
        let s = decided.subjects;
        let sentence = match &rule {
            Some(rule) => sentence(rule, enforced),
            None => {
                let reason = s.reason.as_deref().and_then(Reason::parse);
                Some(reason.map_or("it did not come to policy", Reason::message).to_owned())
            }
        };
        Ok(Explanation {
            action: action.clone(),
            entry: decided.index,
            at: decided.time,
            principal: s.principal,
            agent: s.agent,
            tool: s.tool,
            decision: s.decision.unwrap_or_default(),
            reason: s.reason,
            rule,
            sentence,
            words,
        })
    }

    /// A recorded word: the bundle, what it answered, and by which policies.
    fn word(&self, place: Place, word: &Object) -> Option<SaidWord> {
        let digest = Digest::from_text(word.member("bundle")?.as_str()?)?;
        let kept = self.policy_of(&digest).ok().map(Arc::new);
        let reasons = word.member("reasons")?.as_array()?.iter().filter_map(Json::as_str);
        let policies = reasons.map(|name| {
            let id = name.strip_prefix("policy:").unwrap_or(name);
            let about = kept.as_ref().and_then(|bundle| bundle.policy(id)).cloned();
            SaidPolicy { id: id.to_owned(), about }
        });
        Some(SaidWord {
            place,
            answer: word.member("answer")?.as_str()?.to_owned(),
            policies: policies.collect(),
            bundle: SaidBundle { digest, kept },
        })
    }

    /// Makes every decision since `since` again under `policies`; lists at most
    /// `most` that would be others. The caller records that texts were read.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn replay_since(
        &self,
        policies: &Policies,
        since: Option<Timestamp>,
        most: usize,
    ) -> Result<Replay, Refusal> {
        let mut replay = Replay::default();
        let mut from = 0;
        loop {
            let entries = self.read(|view| view.tail(from, BATCH))?;
            let Some(last) = entries.last() else { return Ok(replay) };
            from = last.index.saturating_add(1);
            for entry in &entries {
                let wanted = since.is_none_or(|since| entry.time >= since);
                if wanted && entry.kind == Kind::ActionDecided.as_str() {
                    replay.take(policies, entry, self.retained(entry)?, most);
                }
            }
        }
    }

    /// Makes the newest `last` decisions, at most [`MAX_REPLAYED`], again under a
    /// bundle that was published; lists at most `most` that would be others.
    /// That their texts were read becomes an entry first.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] for a bundle that was never published;
    /// [`Refusal::Store`].
    pub fn replay_last(
        &self,
        digest: &Digest,
        last: u32,
        most: usize,
        by: &Alias,
    ) -> Result<Replay, Refusal> {
        let policies = Policies::enforcing(self.policy_of(digest)?);
        let (digest, by) = (*digest, by.clone());
        self.commit(move |cx, _, moment| replayed(moment, &cx.installation, digest, &by))?;
        let filter = Filter {
            kind: Some(Kind::ActionDecided),
            limit: last.min(MAX_REPLAYED),
            ..Filter::default()
        };
        let mut replay = Replay::default();
        for entry in self.read(|view| view.query(&filter))? {
            replay.take(&policies, &entry, self.retained(&entry)?, most);
        }
        Ok(replay)
    }

    fn retained(&self, entry: &StoredEntry) -> Result<Result<Retained, NotReplayable>, Refusal> {
        let leaf = Json::parse(&entry.leaf, &JsonLimits::DEFAULT).ok();
        let texts = self.read(|view| view.read_plaintext(&entry.id))?.unwrap_or_default();
        let leaf = leaf.as_ref().and_then(Json::as_object).ok_or(NotReplayable::Partial);
        Ok(leaf.and_then(|leaf| Retained::read(leaf, &texts)))
    }
}
