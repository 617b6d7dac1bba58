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
    let other = who("user:other");
    let part = |who: &PrincipalId, role, wrote| part(&workflow, who, (role, wrote));
    assert_eq!(part(&owner, false, false), Ok(Part::Owner));
    assert_eq!(part(&other, true, false), Ok(Part::Second));
    assert_eq!(part(&other, false, false), Err(RaiseError::Signer));
    assert_eq!(part(&other, true, true), Err(RaiseError::Signer));
    // Whatever roles the owner has, theirs is one signature.
    assert_eq!(part(&owner, true, true), Ok(Part::Owner));
}

/// The bundled workflow at any level, with nothing that caps it.
fn complete(level: Level) -> Workflow {
    let mut workflow = bundled(level.as_str());
    workflow.checklist.runs = crate::checklist::Runs::Required;
    workflow
}

#[test]
fn publishing_raises_nothing_and_what_it_lowers_is_lowered_for_every_version() {
    let change = |from, level| Some(Publication { from, level });
    let (manual, bounded) = (complete(Level::Manual), complete(Level::Bounded));
    assert_eq!(at_publication(None, None, &bounded), None, "a first version begins as it says");
    assert_eq!(at_publication(Some(&bounded), None, &bounded), None);
    let raised_by_file = at_publication(Some(&manual), None, &bounded);
    assert_eq!(raised_by_file, change(Level::Bounded, Level::Manual));
    let lower = at_publication(Some(&bounded), None, &manual);
    assert_eq!(lower, change(Level::Bounded, Level::Manual));
    // What was raised was one version.
    let autonomous = complete(Level::Autonomous);
    let raised = Standing { level: Level::Autonomous, version: Some(autonomous.digest()) };
    assert_eq!(in_force(&autonomous, Some(&raised)), Level::Autonomous);
    let again = at_publication(Some(&autonomous), Some(&raised), &complete(Level::Autonomous));
    assert_eq!(again, change(Level::Autonomous, Level::Bounded));
    // A checklist that is completed says what it said, and no more than the one before it.
    let says = |level: &str| {
        let mut workflow = bundled(level);
        workflow.checklist.completion.clear();
        workflow
    };
    assert_eq!(in_force(&says("bounded"), None), Level::Manual);
    assert_eq!(at_publication(Some(&says("bounded")), None, &bounded), None);
    for first in [manual.clone(), says("manual")] {
        // SECURITY: nor by way of one that is not complete.
        let held = change(Level::Bounded, Level::Manual);
        assert_eq!(at_publication(Some(&first), None, &bounded), held);
        assert_eq!(at_publication(Some(&first), None, &says("bounded")), held);
    }
    // Emptied, it binds what was delegated before, and so it does when it is filled again.
    let emptied = at_publication(Some(&bounded), None, &says("bounded"));
    assert_eq!(emptied, change(Level::Bounded, Level::Manual));
}

/// Whatever is published, lowered or raised, in any order: no version goes further than
/// the current one, and only a raise goes higher.
#[test]
fn no_order_of_publishing_goes_higher_than_before() {
    let versions: Vec<Workflow> = Level::ALL.iter().map(|level| complete(*level)).collect();
    let mut states = vec![(0_usize, None::<Standing>, vec![0_usize])];
    states.extend((1..versions.len()).map(|i| (i, None, vec![i])));
    for _ in 0..4 {
        let mut next = Vec::new();
        for (current, standing, published) in states {
            let before = in_force(&versions[current], standing.as_ref());
            for new in 0..versions.len() {
                let change =
                    at_publication(Some(&versions[current]), standing.as_ref(), &versions[new]);
                let standing =
                    change.map(|change| lowered(change.level)).or_else(|| standing.clone());
                let after = in_force(&versions[new], standing.as_ref());
                assert!(after <= before, "{current} {new}");
                let mut published = published.clone();
                published.push(new);
                for version in &published {
                    let of = in_force(&versions[*version], standing.as_ref());
                    assert!(of <= after, "a delegation under {version} goes further than {new}");
                }
                next.push((new, standing, published));
            }
        }
        states = next;
    }
}
