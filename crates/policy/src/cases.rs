//! Cases beside a bundle: calls and what is expected of it.

use std::collections::BTreeSet;

use bailiwick_core::ids::FailureId;
use bailiwick_core::json::Json;

use crate::bundle::{Answer, Evaluation};
use crate::call::Call;
use crate::decide::PolicyDecision;
use crate::in_force::Policies;
use crate::workflow::{Place, Problem, read_cases};

/// One case.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What it shows, in words.
    pub name: String,
    /// Where it stands in its file.
    pub at: Place,
    /// The call.
    pub call: Call,
    /// What the built-in rules and the bundle together must say.
    pub expect: Answer,
    /// What the bundle alone must say, where the case states it.
    pub bundle: Option<Answer>,
    /// Exactly the policies behind the bundle's answer, where the case states
    /// them.
    pub policies: Option<BTreeSet<String>>,
}

/// What a case came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// What policy said.
    pub decision: PolicyDecision,
    /// What the bundle alone said.
    pub evaluation: Option<Evaluation>,
    /// Each expectation that was not met, as a sentence.
    pub failures: Vec<String>,
}

/// Reads a file of cases, as `docs/policy.md` has it.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(text: &str) -> Result<Vec<Case>, Vec<Problem>> {
    read_cases(text)
}

/// What the case of a failure is called.
#[must_use]
pub fn case_name(failure: &FailureId) -> String {
    format!("failure {failure}")
}

/// A case as an item of a file's list `cases`; JSON within YAML, so that no text of a
/// record is anything but a text.
#[must_use]
pub fn written(name: &str, call: &Call, expect: Answer) -> String {
    format!(
        "  - name: {}\n    call: {}\n    expect: {}\n",
        Json::from(name).canonical(),
        Json::from(call.to_json()).canonical(),
        expect.as_str()
    )
}

fn listed(ids: &BTreeSet<String>) -> String {
    if ids.is_empty() {
        return "none".to_owned();
    }
    let ids: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
    ids.join(", ")
}

impl Case {
    /// Puts the case's call to a bundle.
    #[must_use]
    pub fn put_to(&self, policies: &Policies) -> Tried {
        let (decision, heard) = policies.decide(&self.call.input());
        let evaluation = heard.enforced.map(|word| word.evaluation);
        let mut failures = Vec::new();
        if decision.as_str() != self.expect.as_str() {
            failures.push(format!(
                "expected `{}`, got `{}` by `{}`: {}",
                self.expect.as_str(),
                decision.as_str(),
                decision.finding().rule,
                decision.finding().reason,
            ));
        }
        let said = evaluation.as_ref().map(|e| (e.answer, e.grounds()));
        if let Some(expected) = self.bundle
            && said.is_none_or(|(answer, _)| answer != expected)
        {
            let found = said.map_or("nothing", |(answer, _)| answer.as_str());
            let expected = expected.as_str();
            failures.push(format!("expected `{expected}` of the bundle, got `{found}`"));
        }
        if let Some(expected) = &self.policies
            && said.is_none_or(|(_, grounds)| grounds != expected)
        {
            let found = said.map_or_else(|| "none".to_owned(), |(_, grounds)| listed(grounds));
            let expected = listed(expected);
            failures.push(format!("expected the policies {expected}, found {found}"));
        }
        Tried { decision, evaluation, failures }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bundle;

    const CASES: &str = r#"
defaults:
  agent: agent:support-runner
  tool: mcp:support-desk:tools/refund_order
  risk: medium
  effect: write
  level: bounded
cases:
  - name: a refund below the cap
    call: {arguments: {amount_cents: 10000}}
    expect: allow
    bundle: allow
    policies: [all]
  - name: a refund above it
    call:
      arguments: {amount_cents: 10001}
    expect: deny
    policies: [cap]
  - name: the rules hold what the bundle lets pass
    call: {level: manual, arguments: {}}
    expect: approval_required
    bundle: allow
"#;

    fn policies() -> Policies {
        let text = r#"@id("all") @reason("r") permit (principal, action, resource);
            @id("cap") @reason("r") forbid (principal, action, resource) when {
              context.arguments.integers.hasTag("amount_cents") &&
              context.arguments.integers.getTag("amount_cents") > 10000 };"#;
        Policies::enforcing(Bundle::parse([("a.cedar".to_owned(), text.to_owned())]).unwrap())
    }

    #[test]
    fn cases_are_read_and_hold() {
        let cases = parse(CASES).unwrap();
        assert_eq!(cases.len(), 3);
        assert_eq!(cases[1].at.line, 14);
        for case in &cases {
            assert_eq!(case.put_to(&policies()).failures, Vec::<String>::new(), "{}", case.name);
        }
    }

    #[test]
    fn a_written_case_reads_back_as_the_same_call() {
        let mut call = parse(CASES).unwrap().remove(1).call;
        let odd = "*a: &b !!c # \u{2028}\u{202e}\n\"- x\": \\";
        call.arguments.insert("text", odd);
        call.rating.data.insert("yes".to_owned());
        call.source = Some(crate::grades::Source::Undeclared);
        let file = format!("cases:\n{}", written(odd, &call, Answer::Deny));
        let read = parse(&file).unwrap();
        assert_eq!((read[0].call.clone(), read[0].expect), (call, Answer::Deny));
        assert_eq!(read[0].name, odd);
    }

    #[test]
    fn each_expectation_that_is_not_met_is_told() {
        let wrong = CASES.replace("10001", "1").replace(
            "bundle: allow\n    policies: [all]",
            "bundle: deny\n    policies: [cap, all]",
        );
        let told: Vec<Vec<String>> =
            parse(&wrong).unwrap().iter().map(|c| c.put_to(&policies()).failures).collect();
        assert_eq!(told[0].len(), 2, "{told:?}");
        assert!(told[0][0].contains("expected `deny` of the bundle, got `allow`"), "{told:?}");
        assert!(told[0][1].contains("the policies `all`, `cap`, found `all`"), "{told:?}");
        assert!(told[1][0].starts_with("expected `deny`, got `allow`"), "{told:?}");
        // Without a bundle nothing holds that counts on one.
        let none = parse(CASES).unwrap()[0].put_to(&Policies::default());
        assert_eq!(none.failures.len(), 3, "{none:?}");
    }

    #[test]
    fn what_is_wrong_with_a_file_of_cases_is_told_with_its_line() {
        for (from, to, code) in [
            ("risk: medium", "risk: huge", "workflow-value-unknown"),
            ("expect: deny", "expect: maybe", "workflow-value-unknown"),
            ("  risk: medium\n", "", "workflow-member-missing"),
            ("policies: [cap]", "policy: [cap]", "workflow-member-unknown"),
            ("call: {level: manual", "call: {hops: 0, level: manual", "workflow-out-of-range"),
        ] {
            let problems = parse(&CASES.replace(from, to)).unwrap_err();
            assert!(problems.iter().any(|p| p.code() == code && p.at.is_some()), "{problems:?}");
        }
        assert!(parse("cases: []").is_err());
        assert!(Call::parse("agent: agent:a").is_err());
    }
}
