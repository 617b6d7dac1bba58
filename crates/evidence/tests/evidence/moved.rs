//! An agent that moved to another owner: evidence of before and after holds,
//! and nobody can be made its owner in hindsight.

use bailiwick_core::json::Object;
use bailiwick_core::ledger::{Event, Kind, Subjects};
use bailiwick_evidence::Check;
use bailiwick_evidence::trust::Role;

use crate::world::{Story, at, plan};

const RUNNER: &str = "agent:support-runner";

/// Where the move of the runner stands: before its enrolment, or after it.
fn moved(before_enrolment: bool) -> Story {
    let mut story = plan().story();
    let owner = story.event(Kind::AgentAdded, 0).body.member("owner").unwrap().clone();
    let other = story.event(Kind::PrincipalAdded, 0).body.member("alias").unwrap().clone();
    let kind = if before_enrolment { Kind::InstanceEnrolled } else { Kind::TaskCreated };
    let place = story.place(kind);
    // What the runner enrolled names the owner of that moment.
    let (first, then) = if before_enrolment { (other, owner) } else { (owner, other) };
    story.body(Kind::AgentAdded, 0, "owner", first.clone());
    let like = story.event(Kind::AgentAdded, 0).clone();
    let event = Event {
        id: bailiwick_core::ids::EntryId::mint(at(3), [0x77; 10]),
        kind: Kind::AgentChanged,
        subjects: Subjects { agent: Some(RUNNER.into()), ..Subjects::default() },
        body: Object::new().with("owner", then).with("former_owner", first),
        disclosures: Vec::new(),
        ..like
    };
    story.events.insert(place, (Role::Authority, event));
    story
}

#[test]
fn an_enrolment_under_the_new_owner_is_proved_by_the_move() {
    let verdict = moved(true).seal().verdict();
    assert_eq!(verdict.passed, Check::ALL, "{:?}", verdict.result);
}

#[test]
fn an_enrolment_names_the_owner_of_its_own_time() {
    // Without the entry of the move nobody knows the new owner.
    let mut bundle = moved(true).seal().bundle();
    bundle.receipts.retain(|receipt| receipt.name != Kind::AgentChanged);
    let trust = crate::world::trust();
    let verdict = bailiwick_evidence::verify(bundle.to_text().as_bytes(), &trust, &[]);
    assert_eq!(verdict.result.unwrap_err().check, Check::Enrolment);
    // What was enrolled under the former owner is none of the new one's: the
    // decision after the move cannot have found it so.
    let verdict = moved(false).seal().verdict();
    let failure = verdict.result.unwrap_err();
    assert_eq!(failure.found, "the retained inputs contradict the enrolments");
}
