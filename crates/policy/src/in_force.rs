//! What the organisation has published, asked beside the built-in rules.

use std::borrow::Cow;
use std::sync::Arc;

use bailiwick_core::crypto::Digest;
use bailiwick_core::json::{Json, Object};

use crate::bundle::{Bundle, Evaluation};
use crate::decide::{Finding, PolicyDecision, PolicyInput, Rule, Verdict, combine};
use crate::limits::MAX_REASONS;

/// The bundles that are asked about a call. The default is none of either:
/// then everything is denied.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    /// The one in force.
    pub enforced: Option<Arc<Bundle>>,
    /// One that is evaluated beside it and recorded. It never decides.
    pub candidate: Option<Arc<Bundle>>,
}

/// What one bundle said of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Which bundle.
    pub bundle: Digest,
    /// What it said.
    pub evaluation: Evaluation,
}

/// What the bundles said of a call, for the record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The one in force.
    pub enforced: Option<Word>,
    /// The candidate.
    pub candidate: Option<Word>,
}

impl Policies {
    /// Only an enforced bundle.
    #[must_use]
    pub fn enforcing(bundle: Bundle) -> Self {
        Self { enforced: Some(Arc::new(bundle)), candidate: None }
    }

    /// Decides by the built-in rules and the bundle in force; the strictest
    /// word counts. The candidate is heard and changes nothing.
    #[must_use]
    pub fn decide(&self, input: &PolicyInput<'_>) -> (PolicyDecision, Heard) {
        let mut heard = Heard::default();
        let verdict = match &self.enforced {
            Some(bundle) => {
                let (evaluation, verdict) = bundle.ask(input);
                heard.enforced = Some(Word { bundle: bundle.digest(), evaluation });
                verdict
            }
            None => Verdict::Deny(Finding {
                rule: Cow::Borrowed("policy"),
                reason: Cow::Borrowed("the organisation has published no policy"),
                denial_code: "no-policy",
            }),
        };
        heard.candidate = self
            .candidate
            .as_ref()
            .map(|bundle| Word { bundle: bundle.digest(), evaluation: bundle.ask(input).0 });
        (combine(Rule::verdicts(input).chain([verdict])), heard)
    }
}

impl Word {
    /// Names of the policies behind the answer, as records have them:
    /// `policy:refund-cap`. Those that failed, if any did.
    pub fn reasons(&self) -> impl ExactSizeIterator<Item = String> {
        self.evaluation.grounds().iter().map(|id| format!("policy:{id}"))
    }

    /// As it stands in a decision entry. Of very many policies the first are
    /// named and the others counted.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let all = self.reasons();
        let more = all.len().saturating_sub(MAX_REASONS);
        let mut object = Object::new()
            .with("bundle", self.bundle)
            .with("answer", self.evaluation.answer.as_str())
            .with("reasons", all.take(MAX_REASONS).map(Json::from).collect::<Vec<_>>());
        if more > 0 {
            object.insert("more", u64::try_from(more).unwrap_or(u64::MAX));
        }
        object.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Answer;
    use crate::catalogue::Rating;
    use crate::decide::decide;
    use crate::decide::tests::{ids, rating, strong};
    use crate::grades::{Effect, Risk};

    const ALL: &str = "@id(\"all\") @reason(\"r\") permit (principal, action, resource);";
    const NONE: &str = "@id(\"none\") @reason(\"r\") forbid (principal, action, resource);";

    fn bundle(text: &str) -> Arc<Bundle> {
        Arc::new(Bundle::parse([("a.cedar".to_owned(), text.to_owned())]).unwrap())
    }

    fn low_read() -> Rating {
        rating(Risk::Low, Effect::Read)
    }

    #[test]
    fn without_a_bundle_everything_is_denied() {
        let (ids, rating) = (ids(), low_read());
        let input = strong(&ids, Some(&rating));
        assert_eq!(decide(&input).as_str(), "allow");
        for candidate in [None, Some(bundle(ALL))] {
            let policies = Policies { enforced: None, candidate };
            let (decision, heard) = policies.decide(&input);
            assert_eq!((decision.as_str(), decision.finding().denial_code), ("deny", "no-policy"));
            assert_eq!(heard.enforced, None);
        }
    }

    #[test]
    fn candidate_is_heard_and_never_decides() {
        let (ids, rating) = (ids(), low_read());
        let input = strong(&ids, Some(&rating));
        for (enforced, candidate, decided, heard_says) in
            [(ALL, NONE, "allow", Answer::Deny), (NONE, ALL, "deny", Answer::Allow)]
        {
            let alone = Policies { enforced: Some(bundle(enforced)), candidate: None };
            let both = Policies { candidate: Some(bundle(candidate)), ..alone.clone() };
            let (decision, heard) = both.decide(&input);
            assert_eq!(decision.as_str(), decided);
            assert_eq!(alone.decide(&input).0, decision);
            let word = heard.candidate.unwrap();
            assert_eq!(
                (word.bundle, word.evaluation.answer),
                (bundle(candidate).digest(), heard_says)
            );
        }
    }

    #[test]
    fn record_names_bundle_and_policies_up_to_a_bound() {
        let (ids, rating) = (ids(), low_read());
        let input = strong(&ids, Some(&rating));
        let many: String =
            (0..MAX_REASONS + 3).map(|i| ALL.replace("all", &format!("p{i}"))).collect();
        for (text, named, more) in [(ALL, 1, None), (&*many, MAX_REASONS, Some(3))] {
            let bundle = bundle(text);
            let policies = Policies { enforced: Some(Arc::clone(&bundle)), candidate: None };
            let json = policies.decide(&input).1.enforced.unwrap().to_json();
            let member = |name| json.as_object().unwrap().member(name).cloned();
            assert_eq!(member("bundle"), Some(Json::from(bundle.digest())));
            assert_eq!(member("answer"), Some(Json::from("allow")));
            let reasons = member("reasons").unwrap();
            let reasons = reasons.as_array().unwrap();
            assert_eq!(reasons.len(), named);
            assert!(reasons[0].as_str().unwrap().starts_with("policy:"));
            assert_eq!(member("more"), more.map(|n: u64| Json::from(n)));
        }
    }
}
