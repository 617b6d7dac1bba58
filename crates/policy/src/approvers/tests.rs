use proptest::prelude::*;

use super::*;

fn user(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}

fn groups(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn rules(by: &[&str]) -> Approvals {
    Approvals { by: by.iter().map(|a| a.parse().unwrap()).collect(), ..Approvals::default() }
}

/// Asks whether `who` may decide on a call for `user:142`.
fn asked(rules: &Approvals, who: &str, has_role: bool, in_groups: &[&str]) -> Result<(), Barred> {
    let [principal, workflow_owner, tool_owner] =
        ["user:142", "user:owner", "user:payments"].map(user);
    let held = Held {
        principal: &principal,
        workflow_owner: &workflow_owner,
        tool_owner: &tool_owner,
        risk: Risk::High,
    };
    let (id, groups) = (user(who), groups(in_groups));
    rules.may_decide(&Decider { id: &id, has_role, groups: &groups }, &held)
}

#[test]
fn whoever_fits_one_of_the_named_may_decide_and_nobody_else() {
    for (by, who, has_role, in_groups, may) in [
        ("approvers", "user:9", true, &[][..], true),
        ("approvers", "user:owner", false, &[], false),
        ("workflow-owner", "user:owner", false, &[], true),
        ("workflow-owner", "user:payments", true, &[], false),
        ("tool-owner", "user:payments", false, &[], true),
        ("tool-owner", "user:owner", true, &[], false),
        ("group:finance", "user:9", false, &["finance"], true),
        ("group:finance", "user:9", true, &["finances"], false),
        ("user:7", "user:7", false, &[], true),
        ("user:7", "user:77", true, &["7"], false),
    ] {
        let judged = asked(&rules(&[by]), who, has_role, in_groups);
        assert_eq!(judged.is_ok(), may, "{by}: {who}");
    }
    let default = Approvals::default();
    assert_eq!(asked(&default, "user:owner", false, &[]), Ok(()));
    assert_eq!(asked(&default, "user:9", true, &[]), Ok(()));
    assert_eq!(asked(&default, "user:9", false, &["approvers"]), Err(Barred::NotNamed));
}

#[test]
fn a_service_decides_nothing_whatever_it_holds() {
    let rules = rules(&["approvers", "group:finance"]);
    assert_eq!(asked(&rules, "service:billing", true, &["finance"]), Err(Barred::NotNamed));
    assert_eq!("service:billing".parse::<Approver>(), Err(ApproverError));
}

#[test]
fn with_separation_the_agents_own_principal_does_not_decide() {
    let together = rules(&["user:142", "user:7"]);
    assert_eq!(asked(&together, "user:142", false, &[]), Ok(()));
    let apart = Approvals { separate: true, ..together };
    assert_eq!(asked(&apart, "user:142", false, &[]), Err(Barred::OwnCall));
    assert_eq!(asked(&apart, "user:7", false, &[]), Ok(()));
}

#[test]
fn a_key_file_approves_up_to_the_bound_and_a_passkey_everything() {
    let id = user("user:1");
    for bound in Risk::ALL {
        let rules = Approvals { key_max_risk: *bound, ..Approvals::default() };
        for risk in Risk::ALL {
            let held =
                Held { principal: &id, workflow_owner: &id, tool_owner: &id, risk: *risk };
            assert_eq!(rules.may_approve_by(Grade::Passkey, &held), Ok(()));
            assert_eq!(rules.may_approve_by(Grade::Key, &held).is_ok(), risk <= bound);
        }
    }
    assert_eq!(Approvals::default().key_max_risk, Risk::Medium);
}

proptest! {
    #[test]
    fn what_names_an_approver_reads_back(text in "(group:[a-z ]{1,9}|user:[a-z0-9]{1,9}|[a-z:-]{0,16})") {
        if let Ok(approver) = text.parse::<Approver>() {
            prop_assert_eq!(approver.to_string(), text);
        }
    }
}
