use bailiwick_core::crypto::{SigningKey, sha256};
use bailiwick_core::ids::ApprovalId;
use bailiwick_core::jose::{JwsSigner as _, VerifyingKey};
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
            let held = Held { principal: &id, workflow_owner: &id, tool_owner: &id, risk: *risk };
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

/// A held call, and people with a key file each.
struct Table {
    question: Question,
    rules: Approvals,
    people: Vec<(PrincipalId, SigningKey)>,
    now: Timestamp,
}

/// What one of them says, and whether they have the role `approver`.
type Spoken = (usize, Verdict, bool);

impl Table {
    fn new(needed: u64) -> Self {
        let now = Timestamp::from_seconds(1_704_067_500);
        let question = Question {
            id: ApprovalId::mint(now, [1; 10]),
            action: sha256(b"action"),
            policy: sha256(b"policy"),
            rule: "policy:refunds".to_owned(),
            expires: now.plus_seconds(600),
        };
        let by = [Approver::Role].into();
        let rules = Approvals { by, needed, key_max_risk: Risk::High, ..Approvals::default() };
        let people = (0..3u8).map(|n| (user(&format!("user:{n}")), key(n))).collect();
        Self { question, rules, people, now }
    }

    fn settle(&self, spoken: &[Spoken], risk: Risk) -> Result<(), Unsettled> {
        let nobody = user("user:142");
        let held = Held { principal: &nobody, workflow_owner: &nobody, tool_owner: &nobody, risk };
        let groups = BTreeSet::new();
        let keys: Vec<[VerifyingKey; 1]> =
            self.people.iter().map(|(_, key)| [key.verifying_key()]).collect();
        let signed: Vec<Signed> = spoken
            .iter()
            .map(|(who, verdict, _)| {
                Signed::Key(self.question.sign(*verdict, &self.people[*who].1).unwrap())
            })
            .collect();
        let voices: Vec<Voice<'_>> = spoken
            .iter()
            .zip(&signed)
            .map(|((who, verdict, has_role), signed)| Voice {
                who: Decider { id: &self.people[*who].0, has_role: *has_role, groups: &groups },
                verdict: *verdict,
                signed,
                registered: Registered { passkeys: &[], keys: &keys[*who], relying_party: None },
            })
            .collect();
        let settled = self.rules.settle(&self.question, &held, &voices, self.now);
        settled.map(|approved| {
            assert_eq!(approved.question(), &self.question);
            assert_eq!(approved.grade(), Grade::Key);
        })
    }
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number + 1; 32]).unwrap()
}

const YES: Verdict = Verdict::Approve;
const NO: Verdict = Verdict::Deny;

#[test]
fn as_many_different_people_as_are_needed_must_approve() {
    let table = Table::new(2);
    let waiting = |missing| Err(Unsettled::Waiting { missing, lost: None });
    assert_eq!(table.settle(&[], Risk::High), waiting(2));
    assert_eq!(table.settle(&[(0, YES, true)], Risk::High), waiting(1));
    // Twice the same person is one person.
    assert_eq!(table.settle(&[(0, YES, true), (0, YES, true)], Risk::High), waiting(1));
    assert_eq!(table.settle(&[(0, YES, true), (1, YES, true)], Risk::High), Ok(()));
}

#[test]
fn one_denial_by_somebody_who_may_ends_it() {
    let table = Table::new(1);
    assert_eq!(table.settle(&[(0, YES, true), (1, NO, true)], Risk::High), Err(Unsettled::Denied));
    // Of somebody who may not it is nothing.
    assert_eq!(table.settle(&[(0, YES, true), (1, NO, false)], Risk::High), Ok(()));
}

#[test]
fn who_lost_the_right_meanwhile_does_not_count() {
    let table = Table::new(1);
    let lost = Some(Lost::Barred(Barred::NotNamed));
    let settled = table.settle(&[(0, YES, false)], Risk::High);
    assert_eq!(settled, Err(Unsettled::Waiting { missing: 1, lost }));
    let lost = Some(Lost::Barred(Barred::GradeTooLow));
    let settled = table.settle(&[(0, YES, true)], Risk::Critical);
    assert_eq!(settled, Err(Unsettled::Waiting { missing: 1, lost }));
    // To deny any signature is enough.
    assert_eq!(table.settle(&[(0, NO, true)], Risk::Critical), Err(Unsettled::Denied));
}

#[test]
fn after_its_end_nothing_is_approved() {
    let mut table = Table::new(1);
    table.now = table.question.expires.plus_seconds(-1);
    assert_eq!(table.settle(&[(0, YES, true)], Risk::High), Ok(()));
    table.now = table.question.expires;
    assert_eq!(table.settle(&[(0, YES, true)], Risk::High), Err(Unsettled::Expired));
}

#[test]
fn a_signature_for_another_question_does_not_count() {
    let table = Table::new(1);
    let mut other = Table::new(1);
    other.question.action = sha256(b"another");
    let signed = Signed::Key(other.question.sign(YES, &table.people[0].1).unwrap());
    let groups = BTreeSet::new();
    let keys = [table.people[0].1.verifying_key()];
    let voice = Voice {
        who: Decider { id: &table.people[0].0, has_role: true, groups: &groups },
        verdict: YES,
        signed: &signed,
        registered: Registered { passkeys: &[], keys: &keys, relying_party: None },
    };
    let id = user("user:142");
    let held = Held { principal: &id, workflow_owner: &id, tool_owner: &id, risk: Risk::High };
    let settled = table.rules.settle(&table.question, &held, &[voice], table.now).map(drop);
    let lost = Some(Lost::Signature(ApprovalError::OtherQuestion));
    assert_eq!(settled, Err(Unsettled::Waiting { missing: 1, lost }));
}
