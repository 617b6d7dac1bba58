use proptest::prelude::*;

use super::*;

pub(crate) const BUNDLED: &str = include_str!("../../../../workflows/support-tickets.yaml");

/// The smallest workflow that says something.
const SMALL: &str = r#"workflow: w
version: "1"
owner: user:o
purpose: p
agents: [agent:a]
level: bounded
window_seconds: 60
max_depth: 1
tool_servers:
  d:
    tools:
      get: {risk: low, effect: read}
      put: {risk: high, effect: write}
shorthands:
  "t:{id}":
    parameters: {id: integer}
    tools:
      d/get: {id: "{id}"}
"#;

fn problems(text: &str) -> Vec<Problem> {
    Workflow::parse(text).expect_err(text)
}

#[test]
fn the_bundled_workflow_is_well_formed() {
    let workflow = Workflow::parse(BUNDLED).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>())
    });
    assert_eq!(workflow.id.as_str(), "support-tickets");
    assert_eq!(workflow.catalogue.tools().count(), 9);
    assert!(workflow.permits_agent(&AgentId::parse("agent:order-reader").unwrap()));
    assert!(!workflow.permits_agent(&AgentId::parse("agent:other").unwrap()));
}

#[test]
fn the_manual_shows_the_bundled_workflow_and_names_every_member() {
    let manual = include_str!("../../../../docs/workflows.md");
    assert!(manual.contains(&format!("```yaml\n{BUNDLED}```")), "copy the file into the manual");
    for member in [
        read::TOP,
        &["risk", "effect", "data", "idempotent", "timeout_seconds", "max_calls"],
        &["personal", "resource"],
    ]
    .concat()
    {
        assert!(
            manual.contains(&format!("| `{member}`")) || manual.contains(&format!("`{member}`:")),
            "{member}"
        );
    }
}

#[test]
fn a_tool_server_asks_nothing_unless_its_entry_lists_it() {
    use crate::grades::Question;
    let server = bailiwick_core::ids::ServerName::parse("d").unwrap();
    let none = Workflow::parse(SMALL).unwrap();
    assert_eq!(none.catalogue.questions(&server).count(), 0);
    assert!(!none.canonical_json().contains("questions"), "older digests stay");
    let empty = SMALL.replacen("  d:\n", "  d:\n    questions: []\n", 1);
    assert_eq!(Workflow::parse(&empty).unwrap().digest(), none.digest());
    let listed = SMALL.replacen("  d:\n", "  d:\n    questions: [sampling, roots]\n", 1);
    let listed = Workflow::parse(&listed).unwrap();
    let asked: Vec<_> = listed.catalogue.questions(&server).collect();
    assert_eq!(asked, [Question::Roots, Question::Sampling]);
    assert_ne!(listed.digest(), none.digest());
    assert_eq!(Workflow::parse(&listed.canonical_json()).unwrap(), listed);
    let other = bailiwick_core::ids::ServerName::parse("e").unwrap();
    assert_eq!(listed.catalogue.questions(&other).count(), 0);
    for bad in ["[everything]", "[roots, roots]", "sampling", "[Sampling]"] {
        problems(&SMALL.replacen("  d:\n", &format!("  d:\n    questions: {bad}\n"), 1));
    }
}

#[test]
fn a_call_goes_on_as_a_task_only_where_the_entry_says_for_how_long() {
    let server = bailiwick_core::ids::ServerName::parse("d").unwrap();
    let none = Workflow::parse(SMALL).unwrap();
    assert_eq!(none.catalogue.task_seconds(&server), None);
    assert!(!none.canonical_json().contains("task_seconds"), "older digests stay");
    let with =
        |value: &str| SMALL.replacen("  d:\n", &format!("  d:\n    task_seconds: {value}\n"), 1);
    let listed = Workflow::parse(&with("900")).unwrap();
    assert_eq!(listed.catalogue.task_seconds(&server), Some(900));
    assert_eq!(Workflow::parse(&listed.canonical_json()).unwrap(), listed);
    let other = bailiwick_core::ids::ServerName::parse("e").unwrap();
    assert_eq!(listed.catalogue.task_seconds(&other), None);
    for bad in ["0", "-1", "86401", "true", "[900]", "1.5"] {
        problems(&with(bad));
    }
}

#[test]
fn the_digest_does_not_depend_on_comments_formatting_order_or_short_forms() {
    let one = Workflow::parse(SMALL).unwrap();
    let other = r#"
# the same
version: "1"
workflow: "w"
purpose: 'p'
owner: user:o
level: bounded
max_depth: 1
agents:
- agent:a
window_seconds: 60
shorthands: {"t:{id}": {tools: {"mcp:d:tools/get": {id: {value: "{id}", constraint_type: exact}}}, parameters: {id: {type: integer}}}}
tool_servers: {d: {tools: {put: {effect: write, risk: high, idempotent: false, data: []}, get: {effect: read, risk: low}}}}
"#;
    assert_eq!(Workflow::parse(other).unwrap().digest(), one.digest());
}

#[test]
fn the_digest_changes_with_everything_that_is_said() {
    let one = Workflow::parse(SMALL).unwrap().digest();
    for (from, to) in [
        ("workflow: w", "workflow: x"),
        ("\"1\"", "\"2\""),
        ("user:o", "user:x"),
        ("purpose: p", "purpose: q"),
        ("[agent:a]", "[agent:a, agent:b]"),
        ("level: bounded", "level: manual"),
        ("window_seconds: 60", "window_seconds: 61"),
        ("max_depth: 1", "max_depth: 2"),
        ("max_depth: 1", "max_depth: 1\nbudget: {max_calls: 5}"),
        ("max_depth: 1", "max_depth: 1\nbudget: {per/60/max_calls: 5}"),
        ("risk: low", "risk: medium"),
        ("effect: read}", "effect: write}"),
        ("effect: read}", "effect: read, idempotent: true}"),
        ("effect: read}", "effect: read, data: [x]}"),
        ("effect: read}", "effect: read, timeout_seconds: 5}"),
        ("effect: read}", "effect: read, bearer: true}"),
        ("effect: read}", "effect: read, personal: false}"),
        ("effect: read}", "effect: read, resource: id}"),
        ("id: integer", "id: string"),
        ("id: integer", "id: {type: integer, constraint: {constraint_type: range, min: 1}}"),
        ("d/get: {id: \"{id}\"}", "d/get: {id: \"{id}\", x: 1}"),
        ("\"t:{id}\":", "\"u:{id}\":"),
    ] {
        let changed = SMALL.replacen(from, to, 1);
        let digest = Workflow::parse(&changed).unwrap_or_else(|p| panic!("{to}: {p:?}")).digest();
        assert_ne!(digest, one, "{to}");
    }
}

#[test]
fn the_canonical_form_is_itself_a_workflow_with_the_same_digest() {
    for text in [SMALL, BUNDLED] {
        let workflow = Workflow::parse(text).unwrap();
        let again = Workflow::parse(&workflow.canonical_json()).unwrap();
        assert_eq!(again, workflow);
        assert_eq!(again.digest(), workflow.digest());
    }
}

#[test]
fn ceilings_are_of_every_form_of_budget_and_of_windows() {
    let budget = "budget:\n  max_calls: 9\n  per/3600/max_calls: 5\n  \
                  per/60/max_calls/mcp:d:tools/get: 2\n  sum/mcp:d:tools/put/cents: 700";
    let text = SMALL.replacen("max_depth: 1", &format!("max_depth: 1\n{budget}"), 1);
    let workflow = Workflow::parse(&text).unwrap();
    insta::assert_snapshot!(Json::from(workflow.budget.to_object()).canonical(), @r#"{"max_calls":9,"per/3600/max_calls":5,"per/60/max_calls/mcp:d:tools/get":2,"sum/mcp:d:tools/put/cents":700}"#);
    assert_eq!(workflow.budget.max_calls(), Some(9));
    assert_eq!(Workflow::parse(&workflow.canonical_json()).unwrap(), workflow);
}

#[test]
fn the_bundled_workflow_keeps_its_canonical_form() {
    // A change of this snapshot without a change of the file is a change of
    // every published digest.
    insta::assert_snapshot!(Workflow::parse(BUNDLED).unwrap().canonical_json());
}

/// One edit of the small workflow per code; the line where the problem stands.
const WRONG: &[(&str, &str, &str, u64)] = &[
    (
        "workflow-shorthand-ambiguous",
        "shorthands:\n",
        "shorthands:\n  \"t:7\":\n    tools: {d/get: any}\n",
        17,
    ),
    ("workflow-anchor", "purpose: p", "purpose: &x p", 4),
    ("workflow-anchor", "purpose: p", "purpose: *x", 4),
    (
        "workflow-constraint-invalid",
        "{id: \"{id}\"}",
        "{id: \"{id}\", x: {constraint_type: nonsense}}",
        18,
    ),
    (
        "workflow-constraint-invalid",
        "{id: \"{id}\"}",
        "{id: \"{id}\", x: {constraint_type: range, min: 2, max: 1}}",
        18,
    ),
    ("workflow-constraint-invalid", "{id: \"{id}\"}", "{id: \"{id}\", x: []}", 18),
    ("workflow-constraint-invalid", "{id: \"{id}\"}", "{id: \"{id}\", x: }", 18),
    ("workflow-constraint-invalid", "{id: \"{id}\"}", "{id: \"{id}\", \"*\": 1}", 18),
    (
        "workflow-constraint-invalid",
        "{id: \"{id}\"}",
        "{id: \"{id}\", \"*\": {constraint_type: wildcard, optional: true}}",
        18,
    ),
    (
        "workflow-constraint-invalid",
        "id: integer",
        "id: {type: integer, constraint: {constraint_type: x}}",
        16,
    ),
    ("workflow-empty", "purpose: p", "purpose: \" \"", 4),
    ("workflow-empty", "[agent:a]", "[]", 5),
    ("workflow-empty", "d/get: {id: \"{id}\"}", "d/get: {}", 18),
    ("workflow-identifier-invalid", "user:o", "o", 3),
    ("workflow-identifier-invalid", "agent:a", "a", 5),
    ("workflow-identifier-invalid", "workflow: w", "workflow: \"a b\"", 1),
    ("workflow-identifier-invalid", "d/get:", "get:", 18),
    ("workflow-listed-twice", "[agent:a]", "[agent:a, agent:a]", 5),
    (
        "workflow-listed-twice",
        "d/get: {id: \"{id}\"}",
        "d/get: {id: \"{id}\"}\n      \"mcp:d:tools/get\": {id: \"{id}\"}",
        19,
    ),
    ("workflow-malformed", "level: bounded", "level: [bounded", 7),
    ("workflow-malformed", "level: bounded", "level: bounded\n---\nx: 1", 7),
    ("workflow-malformed", "level: bounded", "level: !secret bounded", 6),
    ("workflow-member-missing", "version: \"1\"\n", "", 1),
    ("workflow-member-missing", "{risk: low, effect: read}", "{risk: low}", 12),
    ("workflow-member-missing", "{risk: low, effect: read}", "{effect: read}", 12),
    ("workflow-member-twice", "purpose: p", "purpose: p\npurpose: q", 5),
    (
        "workflow-member-twice",
        "{risk: low, effect: read}",
        "{risk: low, risk: high, effect: read}",
        12,
    ),
    ("workflow-member-unknown", "purpose: p", "purpose: p\npurpos: q", 5),
    ("workflow-member-unknown", "effect: read}", "effect: read, readOnlyHint: true}", 12),
    ("workflow-member-unknown", "max_depth: 1", "max_depth: 1\nrollback_plan: none", 9),
    ("workflow-member-unknown", "max_depth: 1", "max_depth: 1\nbudget: {max_call: 1}", 9),
    ("workflow-member-unknown", "max_depth: 1", "max_depth: 1\nbudget: {per/0/max_calls: 1}", 9),
    ("workflow-member-unknown", "max_depth: 1", "max_depth: 1\nbudget: {per/060/max_calls: 1}", 9),
    (
        "workflow-member-unknown",
        "max_depth: 1",
        "max_depth: 1\nbudget: {per/31536001/max_calls: 1}",
        9,
    ),
    ("workflow-identifier-invalid", "max_depth: 1", "max_depth: 1\nbudget: {max_calls/get: 1}", 9),
    (
        "workflow-tool-unknown",
        "max_depth: 1",
        "max_depth: 1\nbudget: {per/60/max_calls/mcp:d:tools/got: 1}",
        9,
    ),
    ("workflow-out-of-range", "max_depth: 1", "max_depth: 1\nbudget: {per/60/max_calls: 0}", 9),
    ("workflow-bearer-too-risky", "effect: write}", "effect: write, bearer: true}", 13),
    ("workflow-number-invalid", "window_seconds: 60", "window_seconds: 0x3c", 7),
    ("workflow-number-invalid", "window_seconds: 60", "window_seconds: 6_0", 7),
    ("workflow-number-invalid", "{id: \"{id}\"}", "{id: \"{id}\", x: 9007199254740993}", 18),
    ("workflow-open-write", "d/get: {id: \"{id}\"}", "d/put: any\n      d/get: {id: \"{id}\"}", 18),
    (
        "workflow-open-write",
        "d/get:",
        "d/put: {id: \"{id}\", \"*\": {constraint_type: wildcard}}\n      d/get:",
        18,
    ),
    ("workflow-out-of-range", "window_seconds: 60", "window_seconds: 0", 7),
    ("workflow-out-of-range", "window_seconds: 60", "window_seconds: 60.5", 7),
    ("workflow-out-of-range", "max_depth: 1", "max_depth: 9", 8),
    ("workflow-out-of-range", "max_depth: 1", "max_depth: -1", 8),
    ("workflow-parameter-unknown", "    parameters: {id: integer}\n", "", 15),
    ("workflow-parameter-unknown", "{id: \"{id}\"}", "{id: \"{id}\", x: \"{y}\"}", 18),
    ("workflow-parameter-unused", "{id: \"{id}\"}", "{id: 1}", 15),
    ("workflow-parameter-unused", "{id: integer}", "{id: integer, more: string}", 15),
    (
        "workflow-personal-twice",
        "effect: read}",
        "effect: read, personal: false, resource: id}",
        12,
    ),
    ("workflow-shorthand-invalid", "\"t:{id}\":", "\"t:x{id}\":", 15),
    ("workflow-shorthand-invalid", "\"t:{id}\":", "\"{id}\":", 15),
    ("workflow-shorthand-invalid", "\"t:{id}\":", "\"t:{id}:{id}\":", 15),
    ("workflow-shorthand-invalid", "\"t:{id}\":", "\"t::{id}\":", 15),
    ("workflow-tool-unknown", "d/get:", "d/got:", 18),
    ("workflow-tool-unknown", "d/get:", "e/get:", 18),
    (
        "workflow-tool-unknown",
        "d/get: {id: \"{id}\"}",
        "\"mcp:d:resources/read\": {uri: \"{id}\"}",
        18,
    ),
    (
        "workflow-check-executed",
        "max_depth: 1",
        "max_depth: 1\ncompletion:\n  - {id: a, says: s, by: {command: rm}}",
        10,
    ),
    (
        "workflow-check-executed",
        "max_depth: 1",
        "max_depth: 1\ncompletion:\n  - {id: a, says: s, by: {url: \"http://x\"}}",
        10,
    ),
    (
        "workflow-check-executed",
        "max_depth: 1",
        "max_depth: 1\nrollback:\n  - {id: a, says: s, how: {script: x}}",
        10,
    ),
    (
        "workflow-check-writes",
        "max_depth: 1",
        "max_depth: 1\ncompletion:\n  - {id: a, says: s, by: {tool_check: d/put, expect: [{at: /x, equals: 1}]}}",
        10,
    ),
    (
        "workflow-pointer-invalid",
        "max_depth: 1",
        "max_depth: 1\ncompletion:\n  - {id: a, says: s, by: {tool_check: d/get, expect: [{at: x, equals: 1}]}}",
        10,
    ),
    (
        "workflow-placeholder-invalid",
        "max_depth: 1",
        "max_depth: 1\ncompletion:\n  - {id: a, says: s, by: {tool_check: d/get, expect: [{at: /x, equals: \"a{argument:id}\"}]}}",
        10,
    ),
    (
        "workflow-placeholder-invalid",
        "max_depth: 1",
        "max_depth: 1\ncompletion:\n  - {id: a, says: s, by: {tool_check: d/get, arguments: {id: \"{argument:}\"}, expect: [{at: /x, equals: 1}]}}",
        10,
    ),
    (
        "workflow-empty",
        "max_depth: 1",
        "max_depth: 1\ncompletion:\n  - {id: a, says: s, by: {tool_check: d/get, expect: []}}",
        10,
    ),
    (
        "workflow-member-missing",
        "max_depth: 1",
        "max_depth: 1\ncompletion:\n  - {id: a, says: s, by: {tool_check: d/get}}",
        10,
    ),
    (
        "workflow-tool-unknown",
        "max_depth: 1",
        "max_depth: 1\ncompletion:\n  - {id: a, says: s, by: {tool: d/got}}",
        10,
    ),
    (
        "workflow-tool-unknown",
        "max_depth: 1",
        "max_depth: 1\ncompletion:\n  - {id: a, says: s, by: {tool_check: e/get, expect: [{at: /x, equals: 1}]}}",
        10,
    ),
    (
        "workflow-value-unknown",
        "max_depth: 1",
        "max_depth: 1\ncompletion:\n  - {id: a, says: s, by: {tool: d/put, check: lint}}",
        10,
    ),
    (
        "workflow-value-unknown",
        "max_depth: 1",
        "max_depth: 1\ncompletion:\n  - {id: a, says: s, by: {tool: d/put, expect: [{at: /x, equals: 1}]}}",
        10,
    ),
    (
        "workflow-value-unknown",
        "max_depth: 1",
        "max_depth: 1\ncompletion:\n  - {id: a, says: s, by: {}}",
        10,
    ),
    (
        "workflow-value-unknown",
        "max_depth: 1",
        "max_depth: 1\ncompletion:\n  - {id: a, says: s, by: trust_me}",
        10,
    ),
    (
        "workflow-identifier-invalid",
        "max_depth: 1",
        "max_depth: 1\ncompletion:\n  - {id: a, says: s, by: {check: \"rm -rf /\"}}",
        10,
    ),
    (
        "workflow-type-wrong",
        "max_depth: 1",
        "max_depth: 1\ncompletion:\n  - {id: a, says: s, by: 7}",
        10,
    ),
    (
        "workflow-identifier-invalid",
        "max_depth: 1",
        "max_depth: 1\ncompletion:\n  - {id: \"a b\", says: s, by: review}",
        10,
    ),
    (
        "workflow-member-missing",
        "max_depth: 1",
        "max_depth: 1\ncompletion:\n  - {id: a, by: review}",
        10,
    ),
    (
        "workflow-empty",
        "max_depth: 1",
        "max_depth: 1\ncompletion:\n  - {id: a, says: \" \", by: review}",
        10,
    ),
    ("workflow-empty", "max_depth: 1", "max_depth: 1\ncompletion: []", 9),
    (
        "workflow-listed-twice",
        "max_depth: 1",
        "max_depth: 1\ncompletion:\n  - {id: a, says: s, by: review}\n  - {id: a, says: t, by: review}",
        11,
    ),
    (
        "workflow-value-unknown",
        "max_depth: 1",
        "max_depth: 1\ncompletion:\n  - {id: a, says: s, by: review, changed_by: [d/get]}",
        10,
    ),
    (
        "workflow-empty",
        "max_depth: 1",
        "max_depth: 1\ncompletion:\n  - {id: a, says: s, by: review, changed_by: []}",
        10,
    ),
    (
        "workflow-listed-twice",
        "max_depth: 1",
        "max_depth: 1\nrollback:\n  - {id: a, says: s, how: manual}\n  - {id: a, says: t, how: manual}",
        11,
    ),
    (
        "workflow-tool-unknown",
        "max_depth: 1",
        "max_depth: 1\nrollback:\n  - {id: a, says: s, how: {tool: d/got}}",
        10,
    ),
    (
        "workflow-value-unknown",
        "max_depth: 1",
        "max_depth: 1\nrollback:\n  - {id: a, says: s, how: never}",
        10,
    ),
    (
        "workflow-value-unknown",
        "max_depth: 1",
        "max_depth: 1\nrollback:\n  - {id: a, says: s, how: {tool: d/put, undoes: d/get}}",
        10,
    ),
    (
        "workflow-placeholder-invalid",
        "max_depth: 1",
        "max_depth: 1\nrollback:\n  - {id: a, says: s, how: {tool: d/put, arguments: {id: \"{argument:id}\"}}}",
        10,
    ),
    ("workflow-empty", "max_depth: 1", "max_depth: 1\nrollback: []", 9),
    ("workflow-tool-unknown", "max_depth: 1", "max_depth: 1\ndata_sources: {tool_servers: [e]}", 9),
    ("workflow-member-missing", "max_depth: 1", "max_depth: 1\ndata_sources: {classes: [x]}", 9),
    (
        "workflow-listed-twice",
        "max_depth: 1",
        "max_depth: 1\ndata_sources: {tool_servers: [d], classes: [x, x]}",
        9,
    ),
    (
        "workflow-value-unknown",
        "max_depth: 1",
        "max_depth: 1\nreview: {by: [\"role:king\"], when: always}",
        9,
    ),
    ("workflow-empty", "max_depth: 1", "max_depth: 1\nreview: {by: [], when: always}", 9),
    (
        "workflow-value-unknown",
        "max_depth: 1",
        "max_depth: 1\nreview: {by: [owner], when: sometimes}",
        9,
    ),
    (
        "workflow-out-of-range",
        "max_depth: 1",
        "max_depth: 1\nreview: {by: [owner], when: {every: 0}}",
        9,
    ),
    (
        "workflow-out-of-range",
        "max_depth: 1",
        "max_depth: 1\nevaluation: {targets: {task_success_rate: {at_least: 1.1}}, window_days: 30, minimum_runs: 20, confidence_percent: 95}",
        9,
    ),
    (
        "workflow-out-of-range",
        "max_depth: 1",
        "max_depth: 1\nevaluation: {targets: {task_success_rate: {at_least: 0}}, window_days: 30, minimum_runs: 20, confidence_percent: 95}",
        9,
    ),
    (
        "workflow-out-of-range",
        "max_depth: 1",
        "max_depth: 1\nevaluation: {targets: {blocked_call_rate: {at_most: 1}}, window_days: 30, minimum_runs: 20, confidence_percent: 95}",
        9,
    ),
    (
        "workflow-out-of-range",
        "max_depth: 1",
        "max_depth: 1\nevaluation: {targets: {task_success_rate: {at_least: 0.0000001}}, window_days: 30, minimum_runs: 20, confidence_percent: 95}",
        9,
    ),
    (
        "workflow-out-of-range",
        "max_depth: 1",
        "max_depth: 1\nevaluation: {targets: {task_success_rate: {at_least: 0.9}}, window_days: 30, minimum_runs: 20, confidence_percent: 79}",
        9,
    ),
    (
        "workflow-out-of-range",
        "max_depth: 1",
        "max_depth: 1\nevaluation: {targets: {task_success_rate: {at_least: 0.9}}, window_days: 30, minimum_runs: 20, confidence_percent: 100}",
        9,
    ),
    (
        "workflow-value-unknown",
        "max_depth: 1",
        "max_depth: 1\nevaluation: {targets: {task_success_rate: {at_most: 0.9}}, window_days: 30, minimum_runs: 20, confidence_percent: 95}",
        9,
    ),
    (
        "workflow-value-unknown",
        "max_depth: 1",
        "max_depth: 1\nevaluation: {targets: {blocked_call_rate: {at_least: 0.9}}, window_days: 30, minimum_runs: 20, confidence_percent: 95}",
        9,
    ),
    (
        "workflow-value-unknown",
        "max_depth: 1",
        "max_depth: 1\nevaluation: {targets: {blocked_call_rate: {}}, window_days: 30, minimum_runs: 20, confidence_percent: 95}",
        9,
    ),
    (
        "workflow-value-unknown",
        "max_depth: 1",
        "max_depth: 1\nevaluation: {targets: {quality: {at_least: 0.9}}, window_days: 30, minimum_runs: 20, confidence_percent: 95}",
        9,
    ),
    (
        "workflow-type-wrong",
        "max_depth: 1",
        "max_depth: 1\nevaluation: {targets: {task_success_rate: {at_least: \"0.9\"}}, window_days: 30, minimum_runs: 20, confidence_percent: 95}",
        9,
    ),
    (
        "workflow-empty",
        "max_depth: 1",
        "max_depth: 1\nevaluation: {targets: {}, window_days: 30, minimum_runs: 20, confidence_percent: 95}",
        9,
    ),
    ("workflow-value-unknown", "max_depth: 1", "max_depth: 1\nruns: sometimes", 9),
    ("workflow-type-wrong", "agents: [agent:a]", "agents: agent:a", 5),
    ("workflow-type-wrong", "version: \"1\"", "version: 1", 2),
    ("workflow-type-wrong", "{risk: low, effect: read}", "low", 12),
    ("workflow-type-wrong", "effect: read}", "effect: read, idempotent: yes}", 12),
    ("workflow-value-unknown", "risk: low", "risk: lowish", 12),
    ("workflow-value-unknown", "level: bounded", "level: free", 6),
    ("workflow-value-unknown", "id: integer", "id: float", 16),
    ("workflow-value-unknown", "d/get: {id: \"{id}\"}", "d/get: all", 18),
];

#[test]
fn each_kind_of_mistake_is_named_with_its_line_and_a_remedy() {
    for (code, from, to, line) in WRONG {
        assert!(SMALL.contains(from), "{from}");
        let text = SMALL.replacen(from, to, 1);
        let found = problems(&text);
        let problem = found.iter().find(|p| p.code() == *code);
        let Some(problem) = problem else { panic!("{code} after {to}: {found:?}") };
        assert_eq!(problem.at.map(|p| p.line), Some(*line), "{code} after {to}: {problem}");
        assert!(!problem.message.is_empty() && !problem.remedy.is_empty(), "{problem}");
        assert!(!problem.to_string().contains('\n'), "{problem}");
    }
}

#[test]
fn every_code_has_a_mistake_that_shows_it() {
    let shown: BTreeSet<&str> =
        WRONG.iter().map(|(code, ..)| *code).chain(["workflow-too-large"]).collect();
    let all: BTreeSet<&str> = ProblemCode::ALL.iter().map(|c| c.as_str()).collect();
    assert_eq!(shown, all);
}

#[test]
fn too_large_too_deep_and_too_many_are_refused() {
    let long = format!("{SMALL}#{}", "x".repeat(crate::limits::MAX_WORKFLOW_BYTES));
    let deep =
        SMALL.replace("purpose: p", &format!("purpose: {}{}", "[".repeat(60), "]".repeat(60)));
    let many = SMALL.replace("purpose: p", &format!("purpose: [{}]", "1,".repeat(60_000)));
    for text in [long, deep, many] {
        let found = problems(&text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].code, ProblemCode::TooLarge, "{}", found[0]);
    }
}

#[test]
fn all_problems_come_at_once_in_the_order_of_the_file() {
    let text = SMALL
        .replace("user:o", "o")
        .replace("level: bounded", "level: free")
        .replace("risk: low", "rsk: low")
        .replace("d/get", "d/gett");
    let found = problems(&text);
    let shown: String = found.iter().map(|p| format!("{p}\n")).collect();
    insta::assert_snapshot!(shown);
}

#[test]
fn a_file_full_of_mistakes_reports_the_first_of_them() {
    let wrong: String = (0..2000).map(|i| format!("      d/no{i}: any\n")).collect();
    let text = SMALL.replace("      d/get: {id: \"{id}\"}\n", &wrong);
    let found = problems(&text);
    assert_eq!(found.len(), crate::limits::MAX_PROBLEMS);
    assert!(found.windows(2).all(|w| w[0].at <= w[1].at));
}

#[test]
fn a_problem_shows_as_json() {
    let found = problems(&SMALL.replace("user:o", "o"));
    insta::assert_snapshot!(found[0].to_json().canonical());
}

#[test]
fn a_file_that_is_no_map_is_refused() {
    for text in ["", "# nothing", "just text", "[1, 2]", "42", "~"] {
        assert_eq!(problems(text)[0].code, ProblemCode::Type, "{text:?}");
    }
}

#[test]
fn a_string_in_quotes_is_never_a_number() {
    let text = SMALL.replace("{id: \"{id}\"}", "{id: \"{id}\", x: \"1\"}");
    let workflow = Workflow::parse(&text).unwrap();
    assert!(workflow.canonical_json().contains(r#""x":{"constraint_type":"exact","value":"1"}"#));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[ -~\n]{0,200}") {
        let _ = Workflow::parse(&text);
    }

    #[test]
    fn no_edit_of_a_good_file_makes_the_reader_panic(at in 0..BUNDLED.len(), with in "[ -~\n]{0,3}") {
        let mut text = BUNDLED.to_owned();
        if text.is_char_boundary(at) {
            text.replace_range(at..=at, &with);
        }
        if let Ok(workflow) = Workflow::parse(&text) {
            // What is accepted reads back as the same.
            let again = Workflow::parse(&workflow.canonical_json()).unwrap();
            prop_assert_eq!(again.digest(), workflow.digest());
        }
    }
}

#[test]
fn only_reads_of_low_risk_are_listed_for_bearers() {
    for (from, to) in [
        ("risk: low, effect: read}", "risk: medium, effect: read, bearer: true}"),
        ("effect: write", "bearer: true, effect: write"),
    ] {
        let text = SMALL.replacen(from, to, 1);
        assert_ne!(text, SMALL, "{to}");
        let problems = Workflow::parse(&text).unwrap_err();
        let codes: Vec<_> = problems.iter().map(|p| p.code.as_str()).collect();
        assert_eq!(codes, ["workflow-bearer-too-risky"], "{to}");
    }
}

#[test]
fn a_checklist_has_bounds() {
    use crate::limits::{
        MAX_CHECK_ARGUMENT_BYTES, MAX_CHECKLIST_ID_CHARS, MAX_CRITERIA, MAX_EXPECTATIONS,
        MAX_LABEL_CHARS, MAX_REVIEWERS, MAX_ROLLBACK_STEPS, MAX_SOURCES,
    };
    let with = |checklist: &str| format!("{SMALL}{checklist}\n");
    let list = |most: usize, item: &dyn Fn(usize) -> String| -> [String; 2] {
        [most, most + 1].map(|count| (0..count).map(item).collect::<Vec<_>>().join(", "))
    };
    let criteria = list(MAX_CRITERIA, &|i| format!("{{id: c{i}, says: s, by: review}}"));
    let steps = list(MAX_ROLLBACK_STEPS, &|i| format!("{{id: c{i}, says: s, how: manual}}"));
    let classes = list(MAX_SOURCES, &|i| format!("c{i}"));
    let people = list(MAX_REVIEWERS, &|i| format!("\"user:{i}\""));
    let expected = list(MAX_EXPECTATIONS, &|i| format!("{{at: /a{i}, equals: 1}}"));
    let ids = [MAX_CHECKLIST_ID_CHARS, MAX_CHECKLIST_ID_CHARS + 1].map(|n| "x".repeat(n));
    let says = [MAX_LABEL_CHARS, MAX_LABEL_CHARS + 1].map(|n| "x".repeat(n));
    // `{"a":""}` has 8 bytes.
    let long = [MAX_CHECK_ARGUMENT_BYTES - 8, MAX_CHECK_ARGUMENT_BYTES - 7].map(|n| "x".repeat(n));
    let check = "{tool_check: d/get, arguments: {a: ARGUMENT}, expect: [EXPECT]}";
    let backed = |by: String| format!("completion: [{{id: a, says: s, by: {by}}}]");
    for (what, [fits, exceeds]) in [
        ("criteria", criteria.map(|c| format!("completion: [{c}]"))),
        ("steps", steps.map(|s| format!("rollback: [{s}]"))),
        (
            "classes",
            classes.clone().map(|c| format!("data_sources: {{tool_servers: [d], classes: [{c}]}}")),
        ),
        (
            "context",
            classes.map(|c| format!("data_sources: {{tool_servers: [d], context: [{c}]}}")),
        ),
        ("reviewers", people.map(|p| format!("review: {{by: [{p}], when: always}}"))),
        ("id", ids.map(|id| format!("completion: [{{id: {id}, says: s, by: review}}]"))),
        ("says", says.map(|s| format!("completion: [{{id: a, says: {s}, by: review}}]"))),
        (
            "expectations",
            expected.map(|e| backed(check.replace("ARGUMENT", "1").replace("EXPECT", &e))),
        ),
        (
            "arguments",
            long.map(|l| {
                backed(check.replace("ARGUMENT", &l).replace("EXPECT", "{at: /x, equals: 1}"))
            }),
        ),
    ] {
        if let Err(problems) = Workflow::parse(&with(&fits)) {
            panic!("{what}: {problems:?}");
        }
        assert!(!problems(&with(&exceeds)).is_empty(), "{what}");
    }
}
