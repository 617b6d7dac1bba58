//! Somebody without keys splices a bundle; the digest is made anew.

use bailiwick_core::ids::{ActionId, EntryId};
use bailiwick_core::ledger::Kind;
use bailiwick_evidence::bundle::Receipt;
use bailiwick_evidence::{Bundle, Check, assemble};

use super::{expect, fails, other_log};
use crate::world::{at, plan, trust};

fn receipt(bundle: &mut Bundle, kind: Kind, nth: usize) -> &mut Receipt {
    bundle.receipts.iter_mut().filter(|r| r.name == kind).nth(nth).unwrap()
}

#[test]
fn a_spliced_bundle_is_found() {
    use Check::{
        Agreement, Decision, Disclosures, Enrolment, Grant, Inclusion, Makers, Principal, Tool,
    };
    type Edit = fn(&mut Bundle);
    let table: &[(&str, Check, Edit)] = &[
        ("an entry was edited", Makers, |b| {
            let entry = &mut receipt(b, Kind::GrantRecorded, 0).entry;
            *entry = entry.replace("\"signed\":true", "\"signed\":false");
        }),
        ("an entry is named otherwise", Makers, |b| {
            receipt(b, Kind::ToolPinned, 0).name = Kind::AgentAdded;
        }),
        ("an entry stands there twice", Makers, |b| {
            let copy = b.receipts[0].clone();
            b.receipts.push(copy);
        }),
        ("a receipt is of another log", Inclusion, |b| {
            let theirs = other_log().bundle().receipts;
            receipt(b, Kind::GrantRecorded, 0).proof =
                theirs.into_iter().find(|r| r.name == Kind::GrantRecorded).unwrap().proof;
        }),
        ("all receipts are of another log", Inclusion, |b| *b = other_log().bundle()),
        ("two proofs are exchanged", Inclusion, |b| {
            let proof = b.receipts[0].proof.clone();
            b.receipts[0].proof = std::mem::replace(&mut b.receipts[1].proof, proof);
        }),
        ("a proof has another index", Inclusion, |b| {
            let proof = &mut receipt(b, Kind::ToolPinned, 0).proof;
            *proof = proof.replace("index 1\n", "index 2\n");
        }),
        ("a proof carries something extra", Inclusion, |b| {
            let proof = &mut receipt(b, Kind::ToolPinned, 0).proof;
            *proof = proof.replace("@v1\n", "@v1\nextra AAAA\n");
        }),
        ("a receipt is under an older checkpoint", Inclusion, |b| {
            let mut shorter = plan();
            shorter.outcome = None;
            // Enrolments differ from ledger to ledger, the first entries do not.
            let older = shorter.story().seal().bundle().receipts;
            receipt(b, Kind::WorkflowPublished, 0).proof =
                older.into_iter().find(|r| r.name == Kind::WorkflowPublished).unwrap().proof;
        }),
        ("a disclosed value was edited", Disclosures, |b| {
            let (_, fields) = b.disclosures.iter_mut().find(|(_, f)| f[0].0 == "purpose").unwrap();
            fields[0].1.value = "something else".into();
        }),
        ("a salt was edited", Disclosures, |b| b.disclosures[0].1[0].1.salt[0] ^= 1),
        ("a field is disclosed under another name", Disclosures, |b| {
            b.disclosures[0].1[0].0 = "purpose".into();
        }),
        ("a disclosure without receipt", Disclosures, |b| {
            b.receipts.retain(|r| r.name != Kind::TaskCreated);
        }),
        ("a needed disclosure is withheld", Disclosures, |b| {
            b.disclosures[0].1.retain(|(field, _)| field != "inputs");
        }),
        ("the grant's signature is withheld", Disclosures, |b| {
            for (_, fields) in &mut b.disclosures {
                fields.retain(|(field, _)| field != "signature");
            }
        }),
        ("the principal's receipt is missing", Principal, |b| {
            drop_with_disclosures(b, Kind::PrincipalAdded);
        }),
        ("the grant's receipt is missing", Grant, |b| {
            drop_with_disclosures(b, Kind::GrantRecorded)
        }),
        ("the enrolments are missing", Enrolment, |b| {
            drop_with_disclosures(b, Kind::InstanceEnrolled);
        }),
        ("the agents are missing", Enrolment, |b| drop_with_disclosures(b, Kind::AgentAdded)),
        ("the root's receipt is missing", Agreement, |b| {
            drop_with_disclosures(b, Kind::DelegationIssued);
        }),
        ("the task is missing", Agreement, |b| drop_with_disclosures(b, Kind::TaskCreated)),
        ("the workflow is missing", Agreement, |b| {
            drop_with_disclosures(b, Kind::WorkflowPublished);
        }),
        ("the pin is missing", Tool, |b| drop_with_disclosures(b, Kind::ToolPinned)),
        ("the decision is missing", Decision, |b| drop_with_disclosures(b, Kind::ActionDecided)),
        ("the bundle is about another action", Decision, |b| {
            b.action = ActionId::mint(at(1), [9; 10]);
        }),
    ];
    let ledger = plan().story().seal();
    for (name, check, edit) in table {
        let mut bundle = ledger.bundle();
        edit(&mut bundle);
        bundle.disclosures.retain(|(_, fields)| !fields.is_empty());
        expect(name, *check, fails(&bundle.to_text(), &trust(), None));
    }
}

fn drop_with_disclosures(bundle: &mut Bundle, kind: Kind) {
    for receipt in bundle.receipts.iter().filter(|r| r.name == kind) {
        bundle.disclosures.retain(|(id, _)| !receipt.entry.contains(&format!("\"id\":\"{id}\"")));
    }
    bundle.receipts.retain(|r| r.name != kind);
}

/// The same call again in one log, with another outcome.
#[test]
fn the_outcome_of_another_action_cannot_stand_in() {
    let mut story = plan().story();
    // A second decision with its own outcome, in the same log.
    let (mut decided, mut completed) = {
        let n = story.events.len();
        (story.events[n - 2].clone(), story.events[n - 1].clone())
    };
    let id = ActionId::mint(at(70), [0xad; 10]);
    decided.1.id = EntryId::mint(at(70), [1; 10]);
    decided.1.subjects.action = Some(id.to_string());
    completed.1.id = EntryId::mint(at(70), [2; 10]);
    completed.1.subjects.action = Some(id.to_string());
    completed.1.subjects.reason = Some("error".into());
    completed.1.body.insert("decided", decided.1.id.as_str());
    story.events.extend([decided, completed]);
    let ledger = story.seal();
    let mut bundle = ledger.bundle();
    let theirs = assemble(&ledger, &id).unwrap();
    let theirs = theirs.receipts.into_iter().find(|r| r.name == Kind::ActionCompleted).unwrap();
    *receipt(&mut bundle, Kind::ActionCompleted, 0) = theirs.clone();
    expect("replaced", Check::Outcome, fails(&bundle.to_text(), &trust(), None));
    let mut bundle = ledger.bundle();
    bundle.receipts.push(theirs);
    expect("added", Check::Outcome, fails(&bundle.to_text(), &trust(), None));
}
