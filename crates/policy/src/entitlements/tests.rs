use proptest::prelude::*;

use super::*;
use crate::expand::expand;
use crate::workflow::Workflow;

const BUNDLED: &str = include_str!("../../../../workflows/support-tickets.yaml");

const DOCUMENT: &str = "
rules:
  - who: {principals: ['user:142']}
    may_do:
      - {workflow: support-tickets, scope: '*', max_risk: critical}
    may_grant:
      - {workflow: support-tickets, scope: ['ticket:{id}', 'orders:read'], max_risk: medium,
         max_window_seconds: 3600, max_depth: 1}
  - who: {groups: [refunds, leads], claims: {department: sales}}
    may_grant:
      - {workflow: '*', scope: ['refund:4711'], max_risk: high, max_depth: 0}
  - who: {everybody: true}
    may_do:
      - {workflow: support-tickets, scope: ['policies:read'], max_risk: low}
";

struct Person {
    principal: PrincipalId,
    groups: BTreeSet<String>,
    claims: BTreeMap<String, String>,
}

impl Person {
    fn new(principal: &str, groups: &[&str], claims: &[(&str, &str)]) -> Self {
        Self {
            principal: PrincipalId::parse(principal).unwrap(),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
            claims: claims.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        }
    }

    fn who(&self) -> Who<'_> {
        Who { principal: &self.principal, groups: &self.groups, claims: &self.claims }
    }
}

fn ask(ceiling: &Ceiling, scope: &[&str], window_seconds: u64, max_depth: u64) -> String {
    let workflow = Workflow::parse(BUNDLED).unwrap();
    let scope: Vec<String> = scope.iter().map(|s| (*s).to_owned()).collect();
    let expansion = expand(&workflow, &scope).unwrap();
    let asked =
        Asked { workflow: &workflow.id, parts: &expansion.parts, window_seconds, max_depth };
    match ceiling.permits_grant(&asked) {
        Ok(()) => {
            assert!(ceiling.honours(&asked).is_ok(), "what may be granted is honoured");
            "permitted".to_owned()
        }
        Err(exceeded) => {
            assert!(!exceeded.remedy().is_empty());
            format!("{}: {exceeded}", exceeded.code())
        }
    }
}

fn document() -> Entitlements {
    Entitlements::parse(DOCUMENT).unwrap()
}

#[test]
fn a_grant_is_bounded_by_what_its_principal_may_do_and_grant() {
    let ceiling = document().ceiling(&Person::new("user:142", &[], &[]).who());
    assert_eq!(ask(&ceiling, &["ticket:8821", "orders:read"], 3600, 1), "permitted");
    for (scope, window, depth, refusal) in [
        (
            &["ticket:8821", "refund:4711"][..],
            60,
            0,
            "entitlement-scope: the principal may not grant `refund:4711`",
        ),
        (
            &["ticket:8821"],
            3601,
            0,
            "entitlement-window: the principal may grant `ticket:8821` for 3600 seconds, and 3601 are asked for",
        ),
        (
            &["ticket:8821"],
            60,
            2,
            "entitlement-depth: the principal may grant `ticket:8821` with depth 1, and 2 is asked for",
        ),
    ] {
        assert_eq!(ask(&ceiling, scope, window, depth), refusal);
    }
}

#[test]
fn nobody_grants_what_they_may_not_do() {
    let lead = Person::new("user:7", &["leads"], &[("department", "sales")]);
    let ceiling = document().ceiling(&lead.who());
    let refused = ask(&ceiling, &["refund:4711"], 60, 0);
    assert_eq!(refused, "entitlement-scope: the principal may not do `refund:4711`");
}

#[test]
fn with_a_document_whoever_is_in_no_rule_may_nothing() {
    // Everybody may read policies; nobody may grant that.
    let nobody = Person::new("user:7", &[], &[]);
    let ceiling = document().ceiling(&nobody.who());
    let refused = ask(&ceiling, &["policies:read"], 60, 0);
    assert_eq!(
        refused,
        "entitlement-workflow: the principal may grant nothing under workflow `support-tickets`"
    );
    let empty = Entitlements::parse("rules: []").unwrap();
    assert!(ask(&empty.ceiling(&nobody.who()), &["policies:read"], 60, 0).contains("workflow"));
    // Without one, whatever the workflow allows.
    assert_eq!(ask(&Ceiling::of_workflows(), &["refund:4711"], 86_400, 9), "permitted");
}

#[test]
fn a_rule_speaks_of_those_who_fit_all_that_it_names() {
    let halves = |person: &Person| document().ceiling(&person.who()).0.unwrap();
    for (groups, claims, fits) in [
        (&["leads"][..], &[("department", "sales")][..], true),
        (&["refunds", "other"], &[("department", "sales"), ("more", "x")], true),
        (&["leads"], &[], false),
        (&["leads"], &[("department", "Sales")], false),
        (&[], &[("department", "sales")], false),
    ] {
        let found = halves(&Person::new("user:7", groups, claims));
        assert_eq!(!found.may_grant.is_empty(), fits, "{groups:?} {claims:?}");
    }
}

#[test]
fn the_risk_of_a_tool_is_bounded() {
    let text = DOCUMENT.replace("max_risk: medium", "max_risk: low");
    let text = text.replace("'orders:read'", "'orders:read', 'refund:{order}'");
    let workflow = Workflow::parse(BUNDLED).unwrap();
    let refund = workflow.shorthands.iter().map(|s| s.template().to_owned());
    let refund = refund.into_iter().find(|t| t.starts_with("refund:")).unwrap();
    let text = text.replace("refund:{order}", &refund);
    let document = Entitlements::parse(&text).unwrap();
    let ceiling = document.ceiling(&Person::new("user:142", &[], &[]).who());
    let refused = ask(&ceiling, &["refund:4711"], 60, 0);
    assert!(
        refused.starts_with("entitlement-risk: the principal may grant up to low"),
        "{refused}"
    );
    assert!(refused.contains("refund_order"), "{refused}");
}

#[test]
fn one_allowance_has_to_fit_whole() {
    // Two halves of an allowance are none.
    let text = "rules: [{who: {everybody: true}, may_do: [{workflow: '*', scope: '*', max_risk: critical}], may_grant: [
        {workflow: '*', scope: '*', max_risk: critical, max_window_seconds: 60},
        {workflow: '*', scope: '*', max_risk: low, max_window_seconds: 3600}]}]";
    let ceiling =
        Entitlements::parse(text).unwrap().ceiling(&Person::new("user:7", &[], &[]).who());
    assert_eq!(ask(&ceiling, &["refund:4711"], 60, 0), "permitted");
    assert!(ask(&ceiling, &["refund:4711"], 61, 0).starts_with("entitlement-window"));
}

#[test]
fn a_document_reads_back_from_its_json_and_its_digest_is_of_what_it_says() {
    let document = document();
    let again = Entitlements::parse(&document.to_json().canonical()).unwrap();
    assert_eq!(again, document);
    let commented = format!("# a comment\n{DOCUMENT}");
    assert_eq!(Entitlements::parse(&commented).unwrap().digest(), document.digest());
    let other = Entitlements::parse(&DOCUMENT.replace("3600", "3601")).unwrap();
    assert_ne!(other.digest(), document.digest());
}

#[test]
fn mistakes_are_named_with_their_place() {
    let problems = |text: &str| -> Vec<String> {
        let problems = Entitlements::parse(text).unwrap_err();
        problems.iter().map(|p| format!("{} {}", p.code(), p.path)).collect()
    };
    for (text, expected) in [
        ("rule: []", "workflow-member-unknown "),
        ("rules: {}", "workflow-type-wrong rules"),
        ("rules: [{may_do: []}]", "workflow-member-missing rules > 1"),
        ("rules: [{who: {}}]", "workflow-value-unknown rules > 1 > who"),
        ("rules: [{who: {everybody: false}}]", "workflow-value-unknown rules > 1 > who"),
        (
            "rules: [{who: {everybody: true, groups: [a]}}]",
            "workflow-value-unknown rules > 1 > who",
        ),
        ("rules: [{who: {groups: []}}]", "workflow-empty rules > 1 > who > groups"),
        (
            "rules: [{who: {principals: [a b]}}]",
            "workflow-identifier-invalid rules > 1 > who > principals",
        ),
        ("rules: [{who: {claims: {a: 1}}}]", "workflow-type-wrong rules > 1 > who > claims > a"),
        (
            "rules: [{who: {groups: [a]}, may_do: [{workflow: w, scope: '*'}]}]",
            "workflow-member-missing rules > 1 > may_do > 1",
        ),
        (
            "rules: [{who: {groups: [a]}, may_do: [{workflow: w, scope: all, max_risk: low}]}]",
            "workflow-type-wrong rules > 1 > may_do > 1 > scope",
        ),
        (
            "rules: [{who: {groups: [a]}, may_do: [{workflow: w, scope: '*', max_risk: tiny}]}]",
            "workflow-value-unknown rules > 1 > may_do > 1 > max_risk",
        ),
    ] {
        let found = problems(text);
        assert!(found.iter().any(|p| p == expected), "{text}: {found:?}");
    }
}

prop_compose! {
    fn allowance()(
        workflow in prop_oneof![Just(None), Just(Some("support-tickets")), Just(Some("other"))],
        scope in prop_oneof![
            Just(None),
            Just(Some(vec!["ticket:8821"])),
            Just(Some(vec!["orders:read", "ticket:8821"])),
            Just(Some(vec!["policies:read"])),
        ],
        risk in 0..4usize,
        max_window_seconds in 1..100u64,
        max_depth in 0..4u64,
    ) -> Allowance {
        Allowance {
            workflow: workflow.map(|w| WorkflowId::parse(w).unwrap()),
            scope: scope.map(|s| s.into_iter().map(str::to_owned).collect()),
            max_risk: Risk::ALL[risk],
            max_window_seconds,
            max_depth,
        }
    }
}

fn allowances() -> impl Strategy<Value = Vec<Allowance>> {
    prop::collection::vec(allowance(), 0..4)
}

proptest! {
    #[test]
    fn a_smaller_ceiling_never_permits_more(
        may_do in allowances(),
        may_grant in allowances(),
        drop in 0..4usize,
        narrow in 0..5usize,
        grant in any::<bool>(),
        shorthands in prop::sample::subsequence(vec!["ticket:8821", "orders:read", "policies:read", "refund:4711"], 1..4),
        window in 1..100u64,
        depth in 0..4u64,
    ) {
        let larger = Halves { may_do, may_grant };
        let mut smaller = larger.clone();
        let half = if grant { &mut smaller.may_grant } else { &mut smaller.may_do };
        if narrow == 0 {
            // An allowance goes.
            half.truncate(drop);
        } else if let Some(one) = half.get_mut(drop) {
            match narrow {
                1 => one.max_risk = Risk::Low,
                2 => one.max_window_seconds /= 2,
                3 => one.max_depth = one.max_depth.saturating_sub(1),
                _ => one.scope = Some(["policies:read".to_owned()].into()),
            }
        }
        // Narrowing the scope narrows only where there was one like it.
        let is_narrower = narrow != 4 || larger_scope_covers(&larger, grant, drop);
        prop_assume!(is_narrower);
        let (larger, smaller) = (Ceiling(Some(larger)), Ceiling(Some(smaller)));
        let workflow = Workflow::parse(BUNDLED).unwrap();
        let shorthands: Vec<String> = shorthands.into_iter().map(str::to_owned).collect();
        let expansion = expand(&workflow, &shorthands).unwrap();
        let asked = Asked {
            workflow: &workflow.id,
            parts: &expansion.parts,
            window_seconds: window,
            max_depth: depth,
        };
        for permits in [Ceiling::permits_grant, Ceiling::honours] {
            if permits(&smaller, &asked).is_ok() {
                prop_assert!(permits(&larger, &asked).is_ok());
            }
        }
    }

    #[test]
    fn asking_for_less_is_never_refused_where_more_was_permitted(
        may_do in allowances(),
        may_grant in allowances(),
        window in 2..100u64,
        depth in 1..4u64,
    ) {
        let ceiling = Ceiling(Some(Halves { may_do, may_grant }));
        if ask(&ceiling, &["ticket:8821", "orders:read"], window, depth) == "permitted" {
            for (scope, window, depth) in [
                (&["ticket:8821"][..], window, depth),
                (&["orders:read"], window, depth),
                (&["ticket:8821", "orders:read"], window - 1, depth),
                (&["ticket:8821", "orders:read"], window, depth - 1),
            ] {
                prop_assert_eq!(ask(&ceiling, scope, window, depth), "permitted");
            }
        }
    }
}

fn larger_scope_covers(halves: &Halves, grant: bool, at: usize) -> bool {
    let half = if grant { &halves.may_grant } else { &halves.may_do };
    half.get(at).is_none_or(|a| a.scope.as_ref().is_none_or(|s| s.contains("policies:read")))
}
