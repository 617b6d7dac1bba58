use super::*;

fn bundled(level: &str) -> Workflow {
    let text = include_str!("../../../../workflows/support-tickets.yaml");
    let declared = "level: bounded";
    assert!(text.contains(declared));
    Workflow::parse(&text.replace(declared, &format!("level: {level}"))).unwrap()
}

/// The same without a part of its checklist.
fn incomplete() -> Workflow {
    let mut workflow = bundled("bounded");
    workflow.checklist.completion.clear();
    workflow
}

fn who(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}

const fn lowered(level: Level) -> Standing {
    Standing { level, version: None }
}

#[test]
fn the_least_of_word_checklist_and_past_is_in_force() {
    let bounded = bundled("bounded");
    assert_eq!(in_force(&bounded, None), Level::Bounded);
    assert_eq!(in_force(&bundled("supervised"), None), Level::Supervised);
    for level in Level::ALL {
        assert_eq!(in_force(&bounded, Some(&lowered(*level))), (*level).min(Level::Bounded));
        assert_eq!(in_force(&incomplete(), Some(&lowered(*level))), Level::Manual);
    }
    assert_eq!(in_force(&incomplete(), None), Level::Manual);
}

#[test]
fn nothing_starts_autonomous_and_what_was_raised_is_one_version() {
    let mut workflow = bundled("autonomous");
    workflow.checklist.runs = crate::checklist::Runs::Required;
    if workflow.supports() < Level::Autonomous {
        // The bundled checklist supports less; the past never adds to it.
        let raised = Standing { level: Level::Autonomous, version: Some(workflow.digest()) };
        assert_eq!(in_force(&workflow, Some(&raised)), workflow.supports());
        return;
    }
    assert_eq!(in_force(&workflow, None), FIRST);
    let raised = Standing { level: Level::Autonomous, version: Some(workflow.digest()) };
    assert_eq!(in_force(&workflow, Some(&raised)), Level::Autonomous);
    let other = Standing { version: Some(Digest::from_array([9; 32])), ..raised };
    assert_eq!(in_force(&workflow, Some(&other)), FIRST);
}

#[test]
fn levels_have_neighbours() {
    assert_eq!((below(Level::Manual), above(Level::Autonomous)), (None, None));
    for pair in Level::ALL.windows(2) {
        assert_eq!((above(pair[0]), below(pair[1])), (Some(pair[1]), Some(pair[0])));
    }
}

#[test]
fn a_raise_is_to_the_next_level_within_word_and_checklist() {
    let bounded = bundled("bounded");
    assert_eq!(next(&bounded, Some(&lowered(Level::Manual))), Ok(Level::Supervised));
    assert_eq!(next(&bounded, Some(&lowered(Level::Supervised))), Ok(Level::Bounded));
    assert_eq!(next(&bounded, None).unwrap_err().code(), "autonomy-declared");
    assert_eq!(next(&incomplete(), None).unwrap_err().code(), "autonomy-checklist");
}

#[test]
fn owner_and_somebody_else_with_a_role_who_did_not_write_it() {
    let workflow = bundled("bounded");
    let owner = workflow.owner.clone();
    let (author, other) = (who("user:author"), who("user:other"));
    let part = |who: &PrincipalId, role| part(&workflow, Some(&author), who, role);
    assert_eq!(part(&owner, false), Ok(Part::Owner));
    assert_eq!(part(&other, true), Ok(Part::Second));
    assert_eq!(part(&other, false), Err(RaiseError::Signer));
    assert_eq!(part(&author, true), Err(RaiseError::Signer));
    // Whatever roles the owner has, theirs is one signature.
    assert_eq!(part(&owner, true), Ok(Part::Owner));
}
