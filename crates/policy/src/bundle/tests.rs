use bailiwick_core::ids::{AgentId, ToolId};
use proptest::prelude::*;

use super::*;
use crate::Policies;
use crate::catalogue::Rating;
use crate::decide::tests::{ids, rating, strong, universe};
use crate::decide::{PolicyDecision, decide};
use crate::grades::{Effect as Doing, Level, Risk};

fn bundle(text: &str) -> Result<Bundle, Vec<BundleProblem>> {
    Bundle::parse([("a.cedar".to_owned(), text.to_owned())])
}

/// The rules and the bundle.
fn together(input: &PolicyInput<'_>, bundle: &Bundle) -> PolicyDecision {
    Policies::enforcing(bundle.clone()).decide(input).0
}

fn object(text: &str) -> Object {
    Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap().as_object().unwrap().clone()
}

/// The answer of `text` beside a permit for everything, on a call with
/// `arguments`, with the rule that settled it.
fn asked(text: &str, arguments: &str) -> (Answer, String) {
    let permit = r#"@id("all") @reason("everything") permit (principal, action, resource);"#;
    let bundle = bundle(&format!("{permit}\n{text}")).unwrap();
    let mut ids = ids();
    ids.arguments = object(arguments);
    let rating = rating(Risk::Low, Doing::Write);
    let input = strong(&ids, Some(&rating));
    let evaluation = bundle.evaluate(&input).unwrap();
    let finding = match bundle.ask(&input).1 {
        Verdict::Allow(f) | Verdict::Approval(f) | Verdict::Deny(f) => f,
        Verdict::Silent => panic!("a bundle is never silent"),
    };
    (evaluation.answer, finding.rule.into_owned())
}

fn forbid(when: &str) -> String {
    format!(
        r#"@id("x") @reason("because") forbid (principal, action, resource) when {{ {when} }};"#
    )
}

#[test]
fn shipped_guardrails_answer_as_the_built_in_rules() {
    let guardrails = Bundle::guardrails().unwrap();
    let mut asked = 0;
    universe(|input| {
        let evaluation = guardrails.evaluate(input).unwrap();
        assert_eq!(evaluation.answer.as_str(), decide(input).as_str(), "{input:?} {evaluation:?}");
        assert_eq!(evaluation.errors, BTreeSet::new());
        // Beside the built-in rules they change neither the answer nor its rule.
        assert_eq!(together(input, &guardrails), decide(input));
        asked += 1;
    });
    assert!(asked > 500, "{asked}");
}

#[test]
fn listed_reads_of_low_risk_need_no_proof() {
    let guardrails = Bundle::guardrails().unwrap();
    let ids = ids();
    for (risk, effect, bearer) in [
        (Risk::Low, Doing::Read, true),
        (Risk::Low, Doing::Read, false),
        (Risk::Medium, Doing::Read, true),
        (Risk::Low, Doing::Write, true),
    ] {
        let rating = Rating { bearer, ..rating(risk, effect) };
        let input = PolicyInput {
            assurance: crate::grades::Assurance::None,
            ..strong(&ids, Some(&rating))
        };
        let answer = guardrails.evaluate(&input).unwrap().answer;
        assert_eq!(answer.as_str(), decide(&input).as_str(), "{rating:?}");
    }
}

#[test]
fn strictest_word_of_rules_and_bundle_wins() {
    let ids = ids();
    let rating = rating(Risk::Low, Doing::Read);
    let input = strong(&ids, Some(&rating));
    assert_eq!(decide(&input).as_str(), "allow");
    let denies = bundle(&forbid(r#"resource.risk == Risk::"low""#)).unwrap();
    let decision = together(&input, &denies);
    assert_eq!((decision.as_str(), decision.finding().rule.as_ref()), ("deny", "policy:x"));
    // The bundle cannot let pass what the rules hold.
    let permits = bundle(r#"@id("p") @reason("r") permit (principal, action, resource);"#).unwrap();
    let manual = PolicyInput { level: Level::Manual, ..input };
    let writes = Rating { effect: Doing::Write, ..rating.clone() };
    let manual = PolicyInput { rating: Some(&writes), ..manual };
    assert_eq!(together(&manual, &permits).as_str(), "approval_required");
}

#[test]
fn without_a_permit_everything_is_denied() {
    let ids = ids();
    let rating = rating(Risk::Low, Doing::Read);
    let only = bundle(&forbid(r#"resource.risk == Risk::"high""#)).unwrap();
    match together(&strong(&ids, Some(&rating)), &only) {
        PolicyDecision::Deny(finding) => assert_eq!(finding.denial_code, "no-policy"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn forbid_with_approval_asks_and_a_plain_forbid_wins_over_it() {
    let ask = r#"@id("ask") @reason("r") @approval
        forbid (principal, action, resource) when { context.hops == 1 };"#;
    assert_eq!(asked(ask, "{}"), (Answer::ApprovalRequired, "policy:ask".to_owned()));
    let both = format!("{ask}\n{}", forbid("context.hops == 1"));
    assert_eq!(asked(&both, "{}"), (Answer::Deny, "policy:x".to_owned()));
    // It adds no authority: where nothing permits, nobody is asked.
    let ids = ids();
    let rating = rating(Risk::Low, Doing::Read);
    let alone = bundle(ask).unwrap().evaluate(&strong(&ids, Some(&rating))).unwrap();
    assert_eq!(alone.answer, Answer::Deny);
}

#[test]
fn policy_that_fails_denies_and_is_named() {
    let overflow = r#"context.arguments.integers.hasTag("n") &&
        context.arguments.integers.getTag("n") * 9007199254740991 > 0"#;
    for policy in [
        forbid(overflow),
        format!(
            r#"@id("x") @reason("r") permit (principal, action, resource) when {{ {overflow} }};"#
        ),
        format!(
            r#"@id("x") @reason("r") @approval forbid (principal, action, resource) when {{ {overflow} }};"#
        ),
    ] {
        assert_eq!(asked(&policy, r#"{"n":9007199254740991}"#), (Answer::Deny, "policy:x".into()));
        let decided = asked(&policy, r#"{"n":0}"#);
        assert_eq!(decided.0, Answer::Allow, "{policy}");
    }
    let text = format!("{}\n", forbid(overflow));
    let mut ids = ids();
    ids.arguments = object(r#"{"n":9007199254740991}"#);
    let rating = rating(Risk::Low, Doing::Read);
    match together(&strong(&ids, Some(&rating)), &bundle(&text).unwrap()) {
        PolicyDecision::Deny(finding) => assert_eq!(finding.denial_code, "policy-error"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn arguments_are_seen_by_kind() {
    let all = r#"{"t":"x","n":7,"e":1e2,"f":true,"l":["b","a","a"],"o":{"p":{"q":"deep"}},
        "half":0.5,"big":9007199254740993,"no":null,"m":[1],"a/b":"slash","empty":{}}"#;
    for holds in [
        r#"context.arguments.texts.hasTag("t") && context.arguments.texts.getTag("t") == "x""#,
        r#"context.arguments.integers.hasTag("n") && context.arguments.integers.getTag("n") == 7"#,
        r#"context.arguments.integers.hasTag("e") && context.arguments.integers.getTag("e") == 100"#,
        r#"context.arguments.flags.hasTag("f") && context.arguments.flags.getTag("f")"#,
        r#"context.arguments.lists.hasTag("l") && context.arguments.lists.getTag("l") == ["a", "b"]"#,
        r#"context.arguments.texts.hasTag("o/p/q") && context.arguments.texts.getTag("o/p/q") == "deep""#,
        r#"context.arguments.texts.hasTag("a~1b")"#,
        r#"context.arguments.names.containsAll(["t", "o", "o/p", "o/p/q", "half", "empty"])"#,
        r#"context.arguments.untyped == ["half", "big", "no", "m"]"#,
        r#"context.time > datetime("2023-11-14") && context.time < datetime("2023-11-15")"#,
        r#"context.principal == Principal::"user:142" && context.workflow == Workflow::"support-tickets""#,
        r#"principal == Agent::"agent:runner" && action == Action::"call""#,
        r#"resource in ToolServer::"desk" && resource == Tool::"mcp:desk:tools/get""#,
    ] {
        let (answer, _) = asked(&forbid(holds), all);
        assert_eq!(answer, Answer::Deny, "{holds}");
    }
    for fails in [
        r#"context.arguments.texts.hasTag("a/b")"#,
        r#"context.arguments.texts.hasTag("n")"#,
        r#"context.arguments.integers.hasTag("big")"#,
        r#"resource in ToolServer::"other""#,
    ] {
        let (answer, _) = asked(&forbid(fails), all);
        assert_eq!(answer, Answer::Allow, "{fails}");
    }
}

#[test]
fn wrong_bundle_is_refused_whole_with_file_and_line() {
    use BundleProblemCode as Code;
    let long = format!("context.hops == {}1", "1 + ".repeat(300));
    let deep = format!("{}context.hops == 1{}", "(".repeat(40), ")".repeat(40));
    let sized = format!(r#"context.task == Task::"{}""#, "x".repeat(9000));
    for (text, code) in [
        ("permit (principal, action, resource)".to_owned(), Code::Syntax),
        ("permit (principal, action, resource);".to_owned(), Code::Id),
        (r#"@id("A b") @reason("r") permit (principal, action, resource);"#.into(), Code::Id),
        (r#"@id("a") permit (principal, action, resource);"#.into(), Code::Reason),
        (r#"@id("a") @reason(" ") permit (principal, action, resource);"#.into(), Code::Reason),
        (
            r#"@id("a") @reason("r") @aproval forbid (principal, action, resource);"#.into(),
            Code::Annotation,
        ),
        (
            r#"@id("a") @reason("r") @approval("why") forbid (principal, action, resource);"#
                .into(),
            Code::Annotation,
        ),
        (
            r#"@id("a") @reason("r") @approval permit (principal, action, resource);"#.into(),
            Code::Annotation,
        ),
        (
            r#"@id("a") @reason("r") permit (principal == ?principal, action, resource);"#.into(),
            Code::Template,
        ),
        (forbid(r#"resource.risk == Risk::"hihg""#), Code::Type),
        (forbid(r#"resource.rysk == Risk::"high""#), Code::Type),
        (forbid(r#"context.arguments.texts.getTag("x") == "y""#), Code::Type),
        (forbid(r#"resource.risk == "high""#), Code::Type),
        (forbid(r#"action == Action::"delete""#), Code::Type),
        (forbid("1 == 2"), Code::Type),
        (forbid(&long), Code::TooLarge),
        (forbid(&deep), Code::TooLarge),
        (forbid(&sized), Code::TooLarge),
    ] {
        let file = format!("\n// a comment\n\n{text}");
        let problems = bundle(&file).expect_err(&text);
        assert_eq!(problems[0].code, code, "{text}: {problems:?}");
        let (name, line) = problems[0].place.clone().unwrap();
        assert_eq!((name.as_str(), line), ("a.cedar", 4), "{text}: {problems:?}");
    }
    assert_eq!(bundle("").unwrap_err()[0].code, Code::Empty);
    let twice = forbid("context.hops == 2").repeat(2);
    assert_eq!(bundle(&twice).unwrap_err()[0].code, Code::IdRepeated);
    // One wrong file refuses the others with it.
    let good = r#"@id("p") @reason("r") permit (principal, action, resource);"#;
    let files = [("a.cedar", good), ("b/c.cedar", "permit(")];
    let problems = Bundle::parse(files.map(|(n, t)| (n.to_owned(), t.to_owned()))).unwrap_err();
    assert_eq!(problems[0].place.as_ref().unwrap().0, "b/c.cedar");
    for name in ["", "a.txt", "../a.cedar", "/a.cedar", ".a.cedar", "a b.cedar"] {
        let problems = Bundle::parse([(name.to_owned(), good.to_owned())]).unwrap_err();
        assert_eq!(problems[0].code, Code::Name, "{name}");
    }
}

#[test]
fn deepest_policies_are_read_and_evaluated_on_a_small_stack() {
    let ands = |n| vec!["context.hops == 1"; n].join(" && ");
    let ifs = |n| format!("{}false", "if context.hops == 2 then true else ".repeat(n));
    let sums = |n| format!("context.hops == {}", vec!["1"; n].join(" + "));
    let sets = |n| {
        let (open, close) = ("[".repeat(n), "]".repeat(n));
        format!("{open}context.hops{close} == {open}1{close}")
    };
    let run = move || {
        // None of them fails: a decision must not depend on the stack.
        assert_eq!(asked(&forbid(&ands(25)), "{}").0, Answer::Deny);
        assert_eq!(asked(&forbid(&ifs(25)), "{}").0, Answer::Allow);
        assert_eq!(asked(&forbid(&sums(25)), "{}").0, Answer::Allow);
        assert_eq!(asked(&forbid(&sets(25)), "{}").0, Answer::Deny);
        // Deeper ones are refused, by the first look or by their form.
        for deep in [ands(33), ands(200), ifs(32), ifs(200), sums(34), sums(2000), sets(60)] {
            let problems = bundle(&forbid(&deep)).unwrap_err();
            assert_eq!(problems[0].code, BundleProblemCode::TooLarge, "{deep}");
        }
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap();
    thread.join().unwrap();
}

#[test]
fn document_reads_back_to_the_same_digest() {
    let bundle = Bundle::guardrails().unwrap();
    let again = Bundle::from_document(&bundle.to_json().canonical()).unwrap();
    assert_eq!(again.digest(), bundle.digest());
    assert_eq!(again.policies().len(), bundle.policies().len());
    for bad in ["", "{}", "[]", r#"{"schema":"2","files":{}}"#, r#"{"schema":"1","files":{}}"#] {
        assert!(Bundle::from_document(bad).is_err(), "{bad}");
    }
}

#[test]
fn every_guardrail_is_named_and_explained() {
    let bundle = Bundle::guardrails().unwrap();
    assert_eq!(bundle.unscoped(), bundle.policies().len());
    for about in bundle.policies() {
        assert!(about.reason.len() > 30, "{about:?}");
    }
}

const AGENTS: [&str; 3] = ["agent:a", "agent:b", "agent:c"];
const TOOLS: [&str; 4] =
    ["mcp:s:tools/x", "mcp:s:tools/y", "mcp:t:tools/x", "mcp:t:resources/read"];

fn head() -> impl Strategy<Value = String> {
    let agent = proptest::sample::select(AGENTS.to_vec());
    let tool = proptest::sample::select(TOOLS.to_vec());
    let server = proptest::sample::select(vec!["s", "t"]);
    let principal = prop_oneof![
        Just("principal".to_owned()),
        Just("principal is Agent".to_owned()),
        agent.clone().prop_map(|a| format!("principal == Agent::\"{a}\"")),
        agent.clone().prop_map(|a| format!("principal in Agent::\"{a}\"")),
        agent.prop_map(|a| format!("principal is Agent in Agent::\"{a}\"")),
    ];
    let resource = prop_oneof![
        Just("resource".to_owned()),
        Just("resource is Tool".to_owned()),
        tool.clone().prop_map(|t| format!("resource == Tool::\"{t}\"")),
        tool.prop_map(|t| format!("resource in Tool::\"{t}\"")),
        server.clone().prop_map(|s| format!("resource in ToolServer::\"{s}\"")),
        server.prop_map(|s| format!("resource is Tool in ToolServer::\"{s}\"")),
    ];
    let action = proptest::sample::select(vec![
        "action",
        "action == Action::\"call\"",
        "action in [Action::\"call\", Action::\"read\"]",
    ]);
    (principal, action, resource).prop_map(|(p, a, r)| format!("({p}, {a}, {r})"))
}

fn policy() -> impl Strategy<Value = String> {
    let does = proptest::sample::select(vec!["permit", "permit", "forbid", "@approval forbid"]);
    let condition = proptest::sample::select(vec![
        "",
        "when { context.hops == 1 }",
        "when { context.hops == 2 }",
        "unless { resource.idempotent }",
        // Fails where the number is large.
        "when { context.staleness_ms * 9007199254740991 >= 0 }",
    ]);
    (does, head(), condition).prop_map(|(does, head, condition)| {
        let (annotation, does) = does.rsplit_once(' ').unwrap_or(("", does));
        format!("{annotation} {does} {head} {condition};")
    })
}

proptest! {
    // Reading a bundle takes most of the time.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn slicing_changes_neither_answer_nor_grounds_nor_errors(
        policies in proptest::collection::vec(policy(), 1..12),
        staleness_ms in proptest::sample::select(vec![0, 9_007_199_254_740_991]),
        hops in 1usize..3,
    ) {
        let text: String = policies
            .iter()
            .enumerate()
            .map(|(i, p)| format!("@id(\"p{i}\") @reason(\"r\") {p}\n"))
            .collect();
        // Heads that contradict each other are refused by the validator.
        let Ok(sliced) = bundle(&text) else { return Ok(()) };
        let whole = sliced.unsliced();
        let mut ids = ids();
        let rating = rating(Risk::Low, Doing::Read);
        for agent in AGENTS {
            for tool in TOOLS {
                ids.agent = AgentId::parse(agent).unwrap();
                ids.tool = ToolId::parse(tool).unwrap();
                let mut input = strong(&ids, Some(&rating));
                input.call.staleness_ms = staleness_ms;
                input.call.hops = hops;
                prop_assert_eq!(
                    sliced.evaluate(&input).unwrap(),
                    whole.evaluate(&input).unwrap(),
                    "{} {}\n{}", agent, tool, text
                );
            }
        }
    }
}
