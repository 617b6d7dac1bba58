use std::collections::BTreeSet;

use super::*;

pub(crate) fn rating(risk: Risk, effect: Effect) -> Rating {
    Rating {
        owner: None,
        risk,
        effect,
        data: BTreeSet::new(),
        idempotent: false,
        timeout_seconds: None,
        bearer: false,
        personal: Personal::Unstated,
    }
}

pub(crate) struct Ids {
    pub(crate) agent: AgentId,
    pub(crate) tool: ToolId,
    pub(crate) principal: PrincipalId,
    pub(crate) task: TaskId,
    pub(crate) workflow: WorkflowId,
    pub(crate) arguments: Object,
}

pub(crate) fn ids() -> Ids {
    Ids {
        principal: PrincipalId::parse("user:142").unwrap(),
        task: TaskId::mint(Timestamp::from_seconds(1_700_000_000), [7; 10]),
        workflow: WorkflowId::parse("support-tickets").unwrap(),
        arguments: Object::new(),
        agent: AgentId::parse("agent:runner").unwrap(),
        tool: ToolId::parse("mcp:desk:tools/get").unwrap(),
    }
}

/// The strongest caller at level `bounded`.
pub(crate) fn strong<'a>(ids: &'a Ids, rating: Option<&'a Rating>) -> PolicyInput<'a> {
    PolicyInput {
        agent: &ids.agent,
        tool: &ids.tool,
        rating,
        level: Level::Bounded,
        source: None,
        runs: Runs::Optional,
        run: RunState::None,
        assurance: Assurance::Arguments,
        guarantee: Guarantee::Attested,
        isolation: Isolation::Namespaces,
        consent: Consent::Signed,
        upstream: Upstream::Apart,
        call: CallFacts {
            principal: &ids.principal,
            task: &ids.task,
            workflow: &ids.workflow,
            arguments: &ids.arguments,
            hops: 1,
            staleness_ms: 0,
            now: Timestamp::from_seconds(1_700_000_000),
        },
    }
}

fn outcome(decision: &PolicyDecision) -> (&str, &str) {
    (decision.as_str(), &decision.finding().rule)
}

/// Every input there is.
pub(crate) fn universe(mut visit: impl FnMut(&PolicyInput<'_>)) {
    let ids = ids();
    for (risk, effect) in Risk::ALL.iter().flat_map(|r| Effect::ALL.iter().map(move |e| (*r, *e))) {
        let rating = rating(risk, effect);
        for level in Level::ALL {
            for assurance in Assurance::ALL {
                for guarantee in Guarantee::ALL {
                    for (consent, isolation) in Consent::ALL
                        .iter()
                        .flat_map(|c| Isolation::ALL.iter().map(move |i| (*c, *i)))
                    {
                        visit(&PolicyInput {
                            level: *level,
                            assurance: *assurance,
                            guarantee: *guarantee,
                            isolation,
                            consent,
                            ..strong(&ids, Some(&rating))
                        });
                    }
                }
            }
        }
    }
}

#[test]
fn each_level_asks_for_people_as_its_row_says() {
    use Effect::{Read, Write};
    let ids = ids();
    for (level, risk, effect, expected) in [
        (Level::Manual, Risk::Low, Read, ("allow", "within-level")),
        (Level::Manual, Risk::Medium, Read, ("allow", "within-level")),
        (Level::Manual, Risk::High, Read, ("approval_required", "manual-read")),
        (Level::Manual, Risk::Critical, Read, ("approval_required", "critical-risk")),
        (Level::Manual, Risk::Low, Write, ("approval_required", "manual-effect")),
        (Level::Manual, Risk::High, Write, ("approval_required", "manual-effect")),
        (Level::Supervised, Risk::High, Read, ("allow", "within-level")),
        (Level::Supervised, Risk::Low, Write, ("allow", "within-level")),
        (Level::Supervised, Risk::Medium, Write, ("approval_required", "supervised-effect")),
        (Level::Supervised, Risk::High, Write, ("approval_required", "supervised-effect")),
        (Level::Bounded, Risk::High, Write, ("allow", "within-level")),
        (Level::Bounded, Risk::Critical, Write, ("approval_required", "critical-risk")),
        (Level::Bounded, Risk::Critical, Read, ("approval_required", "critical-risk")),
        (Level::Autonomous, Risk::High, Write, ("allow", "within-level")),
        (Level::Autonomous, Risk::Critical, Write, ("approval_required", "critical-risk")),
    ] {
        let rating = rating(risk, effect);
        let decision = decide(&PolicyInput { level, ..strong(&ids, Some(&rating)) });
        assert_eq!(outcome(&decision), expected, "{level} {risk} {effect}");
    }
}

#[test]
fn effects_of_high_risk_by_a_program_that_nothing_isolates_need_a_person() {
    use Effect::{Read, Write};
    let ids = ids();
    let (asks, passes) = ("unisolated-effect", "within-level");
    for (isolation, risk, effect, rule) in [
        (Isolation::None, Risk::High, Write, asks),
        (Isolation::None, Risk::High, Read, passes),
        (Isolation::None, Risk::Medium, Write, passes),
        (Isolation::Unstated, Risk::High, Write, passes),
        (Isolation::User, Risk::High, Write, passes),
    ] {
        let rating = rating(risk, effect);
        let decision = decide(&PolicyInput { isolation, ..strong(&ids, Some(&rating)) });
        let expected = if rule == asks { "approval_required" } else { "allow" };
        assert_eq!(outcome(&decision), (expected, rule), "{isolation} {risk} {effect}");
    }
}

#[test]
fn a_tool_without_a_rating_is_denied() {
    let ids = ids();
    let decision = decide(&strong(&ids, None));
    assert_eq!(outcome(&decision), ("deny", "uncatalogued"));
    assert_eq!(decision.finding().denial_code, "tool-not-catalogued");
}

#[test]
fn weak_proof_weak_peers_and_unsigned_grants_are_denied() {
    use Effect::{Read, Write};
    let ids = ids();
    let (signed, attested) = (Consent::Signed, Consent::Attested);
    let (weak, forbidden) = ("assurance-too-low", "policy-denied");
    let (sure, key) = (Guarantee::Attested, Guarantee::Key);
    for (risk, effect, assurance, guarantee, consent, rule, code) in [
        (Risk::Low, Read, Assurance::None, sure, signed, "no-assurance", weak),
        (Risk::Low, Write, Assurance::Token, sure, signed, "assurance-floor", weak),
        (Risk::Medium, Write, Assurance::Request, sure, signed, "assurance-floor", weak),
        (Risk::High, Read, Assurance::Request, sure, signed, "assurance-floor", weak),
        (Risk::Critical, Write, Assurance::Arguments, key, signed, "guarantee-floor", forbidden),
        (
            Risk::Medium,
            Read,
            Assurance::Arguments,
            sure,
            attested,
            "attested-grant",
            "attested-grant-capped",
        ),
    ] {
        let rating = rating(risk, effect);
        let input = PolicyInput { assurance, guarantee, consent, ..strong(&ids, Some(&rating)) };
        let decision = decide(&input);
        assert_eq!(outcome(&decision), ("deny", rule));
        assert_eq!(decision.finding().denial_code, code);
    }
}

#[test]
fn what_the_floors_permit_is_allowed() {
    use Effect::{Read, Write};
    let ids = ids();
    for (risk, effect, assurance, guarantee, consent) in [
        (Risk::Medium, Read, Assurance::Token, Guarantee::Key, Consent::Signed),
        (Risk::Low, Write, Assurance::Request, Guarantee::Key, Consent::Signed),
        (Risk::High, Write, Assurance::Arguments, Guarantee::Key, Consent::Signed),
        (Risk::Low, Write, Assurance::Arguments, Guarantee::Key, Consent::Attested),
    ] {
        let rating = rating(risk, effect);
        let input = PolicyInput { assurance, guarantee, consent, ..strong(&ids, Some(&rating)) };
        assert_eq!(outcome(&decide(&input)), ("allow", "within-level"));
    }
}

/// `deny` < `approval_required` < `allow`.
fn leniency(decision: &PolicyDecision) -> u8 {
    match decision {
        PolicyDecision::Deny(_) => 0,
        PolicyDecision::ApprovalRequired(_) => 1,
        PolicyDecision::Allow(_) => 2,
    }
}

#[test]
fn nothing_gets_stricter_by_more_trust_or_more_lenient_by_more_risk() {
    universe(|input| {
        let here = leniency(&decide(input));
        let better = |changed: PolicyInput<'_>| {
            assert!(leniency(&decide(&changed)) >= here, "{input:?} then {changed:?}");
        };
        for level in Level::ALL.iter().filter(|l| **l > input.level) {
            better(PolicyInput { level: *level, ..input.clone() });
        }
        for assurance in Assurance::ALL.iter().filter(|a| **a > input.assurance) {
            better(PolicyInput { assurance: *assurance, ..input.clone() });
        }
        for guarantee in Guarantee::ALL.iter().filter(|g| **g > input.guarantee) {
            better(PolicyInput { guarantee: *guarantee, ..input.clone() });
        }
        for isolation in Isolation::ALL.iter().filter(|i| **i > input.isolation) {
            better(PolicyInput { isolation: *isolation, ..input.clone() });
        }
        better(PolicyInput { consent: Consent::Signed, ..input.clone() });
        let now = input.rating.unwrap();
        for risk in Risk::ALL.iter().filter(|r| **r < now.risk) {
            let rating = rating(*risk, now.effect);
            better(PolicyInput { rating: Some(&rating), ..input.clone() });
        }
        let rating = rating(now.risk, Effect::Read);
        better(PolicyInput { rating: Some(&rating), ..input.clone() });
    });
}

#[test]
fn no_input_is_allowed_without_proof_or_at_critical_risk() {
    universe(|input| {
        if matches!(decide(input), PolicyDecision::Allow(_)) {
            assert!(input.assurance > Assurance::None);
            assert!(input.rating.unwrap().risk < Risk::Critical);
        }
    });
}

fn finding(rule: &'static str) -> Finding {
    Finding {
        rule: Cow::Borrowed(rule),
        reason: Cow::Borrowed("because"),
        denial_code: "policy-denied",
    }
}

#[test]
fn a_denial_wins_then_approval_then_allow_wherever_they_stand() {
    let (allow, ask, deny) = (
        Verdict::Allow(finding("a")),
        Verdict::Approval(finding("b")),
        Verdict::Deny(finding("c")),
    );
    let all = [allow, ask, deny, Verdict::Silent];
    for x in &all {
        for y in &all {
            for z in &all {
                let decision = combine([x.clone(), y.clone(), z.clone()]);
                let has = |f: fn(&Verdict) -> bool| [x, y, z].into_iter().any(f);
                let expected = if has(|v| matches!(v, Verdict::Deny(_))) {
                    ("deny", "c")
                } else if has(|v| matches!(v, Verdict::Approval(_))) {
                    ("approval_required", "b")
                } else if has(|v| matches!(v, Verdict::Allow(_))) {
                    ("allow", "a")
                } else {
                    ("deny", "default-deny")
                };
                assert_eq!(outcome(&decision), expected);
            }
        }
    }
}

#[test]
fn a_guardrail_can_forbid_or_ask_but_never_overrule_a_built_in_denial() {
    let ids = ids();
    let rating = rating(Risk::Low, Effect::Read);
    let input = strong(&ids, Some(&rating));
    let (deny, allow) = (Verdict::Deny(finding("org")), Verdict::Allow(finding("org")));
    let with = |input: &PolicyInput<'_>, verdict: &Verdict| {
        combine(Rule::verdicts(input).chain([verdict.clone()]))
    };
    assert_eq!(outcome(&with(&input, &deny)), ("deny", "org"));
    let bearer = PolicyInput { assurance: Assurance::None, ..input };
    assert_eq!(outcome(&with(&bearer, &allow)), ("deny", "no-assurance"));
}

#[test]
fn rule_ids_are_unique_and_every_rule_decides_something() {
    let ids: BTreeSet<&str> = Rule::ALL.iter().map(|r| r.id()).collect();
    assert_eq!(ids.len(), Rule::ALL.len());
    let mut spoke = BTreeSet::from([Rule::Uncatalogued]);
    universe(|input| {
        for upstream in [Upstream::Apart, Upstream::Bound, Upstream::Shared] {
            let (source, runs) = (Some(Source::Undeclared), Runs::Required);
            let input = PolicyInput { upstream, source, runs, ..input.clone() };
            let spoken = Rule::ALL.iter().filter(|r| r.judge(&input) != Verdict::Silent);
            spoke.extend(spoken.copied());
        }
    });
    assert_eq!(spoke.len(), Rule::ALL.len());
}

#[test]
fn every_denial_code_is_a_reason_that_the_gateway_knows() {
    use bailiwick_core::denial::Reason;
    for code in Rule::ALL.iter().map(|r| r.denial_code()).chain(["no-policy"]) {
        assert!(code.is_empty() || Reason::parse(code).is_some(), "{code}");
    }
}

#[test]
fn a_bearer_reaches_only_reads_of_low_risk_that_are_listed_for_it() {
    let ids = ids();
    for (risk, effect) in Risk::ALL.iter().flat_map(|r| Effect::ALL.iter().map(move |e| (*r, *e))) {
        for bearer in [false, true] {
            let rating = Rating { bearer, ..rating(risk, effect) };
            let input = strong(&ids, Some(&rating));
            let decided = decide(&PolicyInput { assurance: Assurance::None, ..input.clone() });
            let listed = bearer && (risk, effect) == (Risk::Low, Effect::Read);
            let expected = if listed { "allow" } else { "deny" };
            assert_eq!(decided.as_str(), expected, "{risk} {effect} {bearer}");
            // It takes nothing from whoever proves more.
            let unlisted = Rating { bearer: false, ..rating.clone() };
            assert_eq!(decide(&input), decide(&strong(&ids, Some(&unlisted))));
        }
    }
}

#[test]
fn behind_a_shared_account_only_what_is_nobodys_own_or_fixed_passes_without_a_person() {
    use bailiwick_core::constraint::{Constraint, Dialect};
    use bailiwick_core::json::Json;
    use bailiwick_core::limits::JsonLimits;

    let rules = |constraint: &str, optional: bool| {
        let json = Json::parse(constraint.as_bytes(), &JsonLimits::DEFAULT).unwrap();
        let constraint = Constraint::parse(&json, Dialect::Extended, 4).unwrap();
        ArgumentRules::new([("ticket_id".to_owned(), constraint, optional)], false).unwrap()
    };
    let exact = rules(r#"{"constraint_type":"exact","value":8821}"#, false);
    let either = rules(r#"{"constraint_type":"one_of","values":[1,2]}"#, false);
    let loose = rules(r#"{"constraint_type":"range","min":1}"#, false);
    let optional = rules(r#"{"constraint_type":"exact","value":8821}"#, true);
    let named = |name: &str| Personal::ByArgument(name.to_owned());
    let shared = Some(UpstreamIdentity::Shared);
    let own = Some(UpstreamIdentity::Principal);
    for (identity, personal, rules, expected) in [
        (shared, Personal::Unstated, Some(&exact), Upstream::Shared),
        (shared, Personal::No, None, Upstream::Apart),
        (shared, named("ticket_id"), Some(&exact), Upstream::Bound),
        (shared, named("ticket_id"), Some(&either), Upstream::Bound),
        (shared, named("ticket_id"), Some(&loose), Upstream::Shared),
        (shared, named("ticket_id"), Some(&optional), Upstream::Shared),
        (shared, named("ticket_id"), None, Upstream::Shared),
        (shared, named("order_id"), Some(&exact), Upstream::Shared),
        (own, Personal::Unstated, None, Upstream::Apart),
        (None, Personal::Unstated, None, Upstream::Apart),
    ] {
        let rating = Rating { personal, ..rating(Risk::Low, Effect::Read) };
        let upstream = Upstream::of(identity, &rating, rules);
        assert_eq!(upstream, expected, "{identity:?} {rating:?}");
        let ids = ids();
        let decision = decide(&PolicyInput { upstream, ..strong(&ids, Some(&rating)) });
        let asked = ("approval_required", "shared-identity");
        let passes = ("allow", "within-level");
        let expected = if expected == Upstream::Shared { asked } else { passes };
        assert_eq!(outcome(&decision), expected);
    }
}

#[test]
fn a_read_from_what_the_data_sources_do_not_list_is_denied() {
    let ids = ids();
    for (source, effect, expected) in [
        (Some(Source::Undeclared), Effect::Read, ("deny", "undeclared-source")),
        (Some(Source::Declared), Effect::Read, ("allow", "within-level")),
        (None, Effect::Read, ("allow", "within-level")),
        (Some(Source::Undeclared), Effect::Write, ("allow", "within-level")),
    ] {
        let rating = rating(Risk::Low, effect);
        let decision = decide(&PolicyInput { source, ..strong(&ids, Some(&rating)) });
        assert_eq!(outcome(&decision), expected, "{source:?} {effect}");
    }
    let rating = rating(Risk::Low, Effect::Read);
    let source = Some(Source::Undeclared);
    let decision = decide(&PolicyInput { source, ..strong(&ids, Some(&rating)) });
    assert_eq!(decision.finding().denial_code, "source-undeclared");
}

#[test]
fn a_source_is_declared_with_its_server_and_every_class_of_its_data() {
    use crate::checklist::DataSources;
    let tool = ids().tool;
    let of = |server: &str, classes: &[&str], data: &[&str]| {
        let sources = DataSources {
            tool_servers: [server.parse().unwrap()].into(),
            classes: classes.iter().map(|c| (*c).to_owned()).collect(),
            context: BTreeSet::new(),
        };
        let data = data.iter().map(|c| (*c).to_owned()).collect();
        let rating = Rating { data, ..rating(Risk::Low, Effect::Read) };
        Source::of(Some(&sources), &tool, &rating)
    };
    assert_eq!(of("desk", &["a", "b"], &["a"]), Some(Source::Declared));
    assert_eq!(of("desk", &["a"], &["a", "b"]), Some(Source::Undeclared));
    assert_eq!(of("desk", &[], &["a"]), Some(Source::Undeclared));
    assert_eq!(of("desk", &[], &[]), Some(Source::Declared), "by its server alone");
    assert_eq!(of("desk2", &["a"], &["a"]), Some(Source::Undeclared));
    assert_eq!(of("desk2", &["a"], &[]), Some(Source::Undeclared));
    assert_eq!(Source::of(None, &tool, &rating(Risk::Low, Effect::Read)), None);
}

#[test]
fn where_runs_are_required_a_call_outside_of_one_is_denied() {
    let ids = ids();
    for (runs, run, expected) in [
        (Runs::Required, RunState::None, ("deny", "outside-run")),
        (Runs::Required, RunState::Open, ("allow", "within-level")),
        (Runs::Optional, RunState::None, ("allow", "within-level")),
        (Runs::Optional, RunState::Open, ("allow", "within-level")),
    ] {
        for effect in Effect::ALL {
            let rating = rating(Risk::Low, *effect);
            let decision = decide(&PolicyInput { runs, run, ..strong(&ids, Some(&rating)) });
            assert_eq!(outcome(&decision), expected, "{runs} {run} {effect}");
        }
    }
}
