use bailiwick_core::ids::ToolId;
use proptest::prelude::*;

use super::*;
use crate::checklist::Backing;

fn tool(name: &str) -> ToolId {
    ToolId::parse(&format!("mcp:desk:tools/{name}")).unwrap()
}

fn writes() -> BTreeSet<ToolId> {
    [tool("add_note"), tool("set_status")].into()
}

fn criterion(by: Backing, changed_by: Option<&[&str]>) -> Criterion {
    let changed_by = changed_by.map(|names| names.iter().map(|name| tool(name)).collect());
    Criterion { id: "done".to_owned(), says: "it is done".to_owned(), by, changed_by }
}

fn observed() -> Criterion {
    criterion(Backing::Tool { tool: tool("add_note") }, None)
}

fn says(grade: EvidenceGrade, holds: bool, at: u64) -> Evidence {
    Evidence {
        criterion: "done".to_owned(),
        grade,
        holds,
        action: None,
        by: "agent:runner".to_owned(),
        at,
    }
}

fn change(name: &str, at: u64) -> Change {
    Change { tool: tool(name), at }
}

fn only(criterion: &Criterion, evidence: &[Evidence], changes: &[Change]) -> Finding {
    let completion = derive(std::slice::from_ref(criterion), &writes(), evidence, changes);
    completion.criteria[0].1
}

const HUMAN: EvidenceGrade = EvidenceGrade::Human;
const INDEPENDENT: EvidenceGrade = EvidenceGrade::Independent;
const OBSERVED: EvidenceGrade = EvidenceGrade::Observed;
const REPORT: EvidenceGrade = EvidenceGrade::SelfReport;

#[test]
fn an_agents_word_does_not_meet_a_criterion_that_a_tool_must_show() {
    let found = only(&observed(), &[says(REPORT, true, 9)], &[]);
    assert_eq!(found, Finding::TooWeak { best: REPORT, least: OBSERVED });
    assert_eq!(only(&observed(), &[], &[]), Finding::Missing);
    let found = only(&observed(), &[says(OBSERVED, true, 9)], &[]);
    assert_eq!(found, Finding::Met { grade: OBSERVED, by: 0 });
}

#[test]
fn a_receipt_is_not_made_stale_by_its_own_call_but_by_a_later_one() {
    let receipt = says(OBSERVED, true, 9);
    let own = change("add_note", 9);
    let later = change("set_status", 10);
    let found = only(&observed(), std::slice::from_ref(&receipt), std::slice::from_ref(&own));
    assert!(found.is_met());
    let found = only(&observed(), std::slice::from_ref(&receipt), &[own.clone(), later.clone()]);
    assert_eq!(found, Finding::Stale { grade: OBSERVED, by: 0 });
    // Where the workflow says that nothing else changes it, nothing else does.
    let closed = criterion(Backing::Tool { tool: tool("add_note") }, Some(&["add_note"]));
    assert!(only(&closed, &[receipt], &[own, later]).is_met());
}

#[test]
fn what_is_still_under_way_leaves_every_finding_open() {
    let found = only(&observed(), &[says(OBSERVED, true, 9)], &[change("set_status", u64::MAX)]);
    assert_eq!(found, Finding::Stale { grade: OBSERVED, by: 0 });
}

#[test]
fn reads_make_nothing_stale() {
    assert!(only(&observed(), &[says(OBSERVED, true, 9)], &[change("get_ticket", 10)]).is_met());
}

#[test]
fn a_stronger_no_outweighs_a_weaker_yes_however_new() {
    let evidence = [says(INDEPENDENT, false, 3), says(OBSERVED, true, 9)];
    assert_eq!(
        only(&observed(), &evidence, &[]),
        Finding::Contradicted { grade: INDEPENDENT, by: 0 }
    );
    // Nor does a change do away with it; a newer one of its own grade does.
    let changed = [change("set_status", 5)];
    assert!(!only(&observed(), &evidence, &changed).is_met());
    let again = [evidence[0].clone(), evidence[1].clone(), says(INDEPENDENT, true, 8)];
    assert_eq!(only(&observed(), &again, &changed), Finding::Met { grade: INDEPENDENT, by: 2 });
}

#[test]
fn among_equals_the_newest_counts_and_a_tie_is_a_no() {
    let review = criterion(Backing::Review, None);
    let evidence = [says(HUMAN, true, 3), says(HUMAN, false, 4)];
    assert_eq!(only(&review, &evidence, &[]), Finding::Contradicted { grade: HUMAN, by: 1 });
    let evidence = [says(HUMAN, false, 3), says(HUMAN, true, 4)];
    assert!(only(&review, &evidence, &[]).is_met());
    let evidence = [says(HUMAN, false, 4), says(HUMAN, true, 4)];
    assert!(!only(&review, &evidence, &[]).is_met());
}

#[test]
fn without_criteria_nothing_is_complete() {
    let completion = derive(&[], &writes(), &[says(HUMAN, true, 1)], &[]);
    assert!(!completion.is_complete());
    assert_eq!(completion.reasons().len(), 1);
}

#[test]
fn one_open_criterion_leaves_the_run_incomplete_and_is_named() {
    let mut second = observed();
    second.id = "read-back".to_owned();
    let completion = derive(&[observed(), second], &writes(), &[says(OBSERVED, true, 2)], &[]);
    assert!(!completion.is_complete());
    assert_eq!(
        completion.reasons(),
        [
            "`done` is met: the ledger has the outcome of the call",
            "`read-back` is open: nothing speaks for it",
        ]
    );
    assert_eq!(
        completion.to_json().canonical(),
        r#"{"complete":false,"criteria":[{"criterion":"done","finding":"met","grade":"observed"},{"criterion":"read-back","finding":"missing"}]}"#
    );
}

/// What the rules say, in another way: is there a yes that nothing beats?
fn oracle(criterion: &Criterion, evidence: &[Evidence], changes: &[Change]) -> bool {
    let changing = |c: &&Change| match &criterion.changed_by {
        Some(tools) => tools.contains(&c.tool),
        None => writes().contains(&c.tool),
    };
    let counts = |e: &&Evidence| e.criterion == criterion.id && e.grade >= criterion.by.least();
    let fresh = |e: &Evidence| !changes.iter().filter(changing).any(|c| c.at > e.at);
    evidence.iter().filter(counts).any(|yes| {
        let beaten = evidence.iter().filter(counts).any(|no| {
            !no.holds && (no.grade > yes.grade || (no.grade == yes.grade && no.at >= yes.at))
        });
        yes.holds && fresh(yes) && !beaten
    })
}

fn any_evidence() -> impl Strategy<Value = Evidence> {
    let grades = prop::sample::select(EvidenceGrade::ALL.to_vec());
    (grades, any::<bool>(), 0..12u64, prop::sample::select(vec!["done", "other"])).prop_map(
        |(grade, holds, at, criterion)| Evidence {
            criterion: criterion.to_owned(),
            ..says(grade, holds, at)
        },
    )
}

fn any_change() -> impl Strategy<Value = Change> {
    (prop::sample::select(vec!["add_note", "set_status", "get_ticket"]), 0..12u64)
        .prop_map(|(name, at)| change(name, at))
}

fn any_criterion() -> impl Strategy<Value = Criterion> {
    let backings = vec![
        Backing::SelfReport,
        Backing::SelfCheck,
        Backing::Tool { tool: tool("add_note") },
        Backing::NamedCheck { check: "books".to_owned() },
        Backing::Review,
    ];
    let changed_by: Vec<Option<&[&str]>> =
        vec![None, Some(&[]), Some(&["add_note"]), Some(&["get_ticket"])];
    (prop::sample::select(backings), prop::sample::select(changed_by))
        .prop_map(|(by, changed_by)| criterion(by, changed_by))
}

proptest! {
    #[test]
    fn it_agrees_with_the_slow_and_obvious(
        c in any_criterion(),
        evidence in prop::collection::vec(any_evidence(), 0..8),
        changes in prop::collection::vec(any_change(), 0..5),
    ) {
        prop_assert_eq!(only(&c, &evidence, &changes).is_met(), oracle(&c, &evidence, &changes));
    }

    #[test]
    fn a_change_never_makes_a_criterion_met(
        c in any_criterion(),
        evidence in prop::collection::vec(any_evidence(), 0..8),
        changes in prop::collection::vec(any_change(), 0..5),
        more in any_change(),
    ) {
        let before = only(&c, &evidence, &changes);
        let mut changes = changes;
        changes.push(more);
        prop_assert!(before.is_met() || !only(&c, &evidence, &changes).is_met());
    }

    #[test]
    fn weaker_evidence_never_changes_what_stronger_met(
        c in any_criterion(),
        evidence in prop::collection::vec(any_evidence(), 1..8),
        changes in prop::collection::vec(any_change(), 0..5),
        more in any_evidence(),
    ) {
        let before = only(&c, &evidence, &changes);
        if let Finding::Met { grade, .. } = before && more.grade < grade {
            let mut evidence = evidence;
            evidence.push(more);
            prop_assert_eq!(only(&c, &evidence, &changes), before);
        }
    }

    #[test]
    fn the_order_of_what_is_given_does_not_matter(
        c in any_criterion(),
        evidence in prop::collection::vec(any_evidence(), 0..8),
        changes in prop::collection::vec(any_change(), 0..5),
    ) {
        let before = only(&c, &evidence, &changes);
        let (mut evidence, mut changes) = (evidence, changes);
        evidence.reverse();
        changes.reverse();
        let after = only(&c, &evidence, &changes);
        prop_assert_eq!((before.as_str(), before.grade()), (after.as_str(), after.grade()));
    }
}

#[test]
fn a_reported_call_is_a_word_and_an_observed_one_what_it_was() {
    for grade in EvidenceGrade::ALL.iter().copied() {
        assert_eq!(of_receipt(grade, false), grade);
        let reported = of_receipt(grade, true);
        let is_call = matches!(grade, EvidenceGrade::Observed | EvidenceGrade::Independent);
        assert_eq!(reported, if is_call { EvidenceGrade::SelfCheck } else { grade });
    }
}
