//! People's approval of an action: their signatures, and that they were enough
//! and those who might, by the workflow's own rules.

use bailiwick_core::approval::standing::{Bounds, Terms, Use, exactly};
use bailiwick_core::approval::{Question, Verdict, policy_version};
use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::ids::{ApprovalId, EntryId, StandingId, ToolId};
use bailiwick_core::jose::JwsSigner as _;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Disclosure, Event, Kind, Subjects};
use bailiwick_evidence::trust::Role;
use bailiwick_evidence::verdict::{Approval, ApprovalOf, Right};
use bailiwick_evidence::{Check, Verdict as Verified};
use bailiwick_policy::Workflow;

use crate::world::{Story, TOOL, at, key, plan, seed};

const CREDENTIAL: &str = "018f0000-0000-7000-8000-000000000002";
const RULE: &str = "policy:ask-first";
const DECIDED: Kind = Kind::ActionDecided;
/// The seed of the approver's key.
const APPROVER: u8 = 31;

fn workflow(approvals: &str) -> Workflow {
    let text = format!(
        r#"workflow: support-tickets
version: "1"
owner: user:7
purpose: Resolve customers' tickets.
agents: [agent:support-runner, agent:order-reader]
level: bounded
window_seconds: 3600
max_depth: 2
budget: {{max_calls: 10}}
tool_servers:
  support-desk:
    tools:
      get_order: {{risk: medium, effect: read, idempotent: true, data: [order]}}
shorthands:
  "order:{{id}}":
    parameters: {{id: string}}
    tools:
      support-desk/get_order: {{order: "{{id}}"}}
{approvals}"#
    );
    Workflow::parse(&text).unwrap()
}

/// A call that `user:7` approved under a workflow with these rules, before
/// anybody wrote it down.
struct Told {
    story: Story,
    policy: Digest,
    owner: Option<String>,
}

impl Told {
    fn new(approvals: &str) -> Self {
        let workflow = workflow(approvals);
        let mut plan = plan();
        plan.statement.workflow_digest = workflow.digest();
        let mut story = plan.story();
        story.body(Kind::WorkflowPublished, 0, "digest", workflow.digest());
        let document = Disclosure { salt: [0x44; 32], value: workflow.to_json() };
        let published = story.event(Kind::WorkflowPublished, 0);
        published.disclosures.push(("document".into(), document));
        story.body(DECIDED, 1, "rule", RULE);
        let owner = story.event(Kind::PrincipalAdded, 1).subjects.principal.clone();
        let policy = policy_version(None, workflow.digest());
        let mut told = Self { story, policy, owner };
        let public = key(APPROVER).verifying_key();
        let enrolled = Object::new()
            .with("credential", CREDENTIAL)
            .with("credential_kind", "approver")
            .with("lookup", public.thumbprint())
            .with("jwk", public.to_jwk())
            .with("trusted", at(4).seconds());
        let subjects = Subjects { principal: told.owner.clone(), ..Subjects::default() };
        told.insert(Kind::CredentialAdded, 4, subjects, enrolled, Vec::new());
        told
    }

    /// Writes an entry of the authority, before the grant or before the decision.
    fn insert(
        &mut self,
        kind: Kind,
        seconds: i64,
        subjects: Subjects,
        body: Object,
        texts: Vec<(&str, Json)>,
    ) -> EntryId {
        let before = if seconds < 5 { Kind::GrantRecorded } else { Kind::ActionCompleted };
        let place = self.story.place(before) - usize::from(seconds >= 5);
        let n = u8::try_from(self.story.events.len()).unwrap();
        let disclosed = |value: Json| Disclosure { salt: [n; 32], value };
        let event = Event {
            id: EntryId::mint(at(seconds), [n; 10]),
            time: at(seconds),
            kind,
            subjects,
            body,
            disclosures: texts.into_iter().map(|(f, v)| (f.to_owned(), disclosed(v))).collect(),
            ..self.story.event(Kind::PrincipalAdded, 0).clone()
        };
        let id = event.id.clone();
        self.story.events.insert(place, (Role::Authority, event));
        id
    }

    fn about(&mut self) -> Subjects {
        let task = self.story.event(DECIDED, 1).subjects.task.clone();
        Subjects { principal: self.owner.clone(), task, ..Subjects::default() }
    }

    fn body(&mut self, name: &str) -> Digest {
        let value = self.story.event(DECIDED, 1).body.member(name).and_then(Json::as_str);
        Digest::from_text(value.unwrap()).unwrap()
    }

    fn question(&mut self) -> Question {
        Question {
            id: ApprovalId::mint(at(50), [0x51; 10]),
            action: self.body("action_digest"),
            policy: self.policy,
            rule: RULE.into(),
            expires: at(900),
        }
    }

    /// The approver said so, and the decision names it.
    fn approved(mut self) -> Self {
        let question = self.question();
        let signed = question.sign(Verdict::Approve, &key(APPROVER)).unwrap();
        let body = Object::new()
            .with("approval", &question.id)
            .with("verdict", "approve")
            .with("grade", "key")
            .with("credential", CREDENTIAL)
            .with("action_digest", question.action);
        let about = self.about();
        let entry =
            self.insert(Kind::ApprovalDecided, 55, about, body, vec![("signed", signed.into())]);
        let approval = Object::new()
            .with("id", &question.id)
            .with("policy", question.policy)
            .with("expires", question.expires.seconds())
            .with("grade", "key")
            .with("verdicts", vec![Json::from(&entry)]);
        self.story.body(DECIDED, 1, "approval", approval);
        self
    }

    /// Terms that cover the call.
    fn terms(&mut self) -> Terms {
        let arguments = self.story.value(DECIDED, 1, "arguments").as_object().unwrap().clone();
        let call = Use {
            root: self.body("root"),
            tool: TOOL,
            pin: Some(self.body("pin")),
            arguments: &arguments,
            policy: self.policy,
            rule: RULE,
        };
        let bounds = Bounds {
            arguments: exactly(&arguments).unwrap(),
            count: 3,
            from: at(50),
            until: at(500),
        };
        let id = StandingId::mint(at(50), [0x52; 10]);
        Terms::new(id, ToolId::parse(TOOL).unwrap(), &call, bounds).unwrap()
    }

    /// The approver signed `terms`, and the decision names them.
    fn standing(mut self, terms: &Terms) -> Self {
        let signed = terms.sign(&key(APPROVER)).unwrap();
        self.stands(terms, signed);
        self
    }

    fn stands(&mut self, terms: &Terms, signed: String) {
        let body = Object::new()
            .with("standing", &terms.id)
            .with("digest", terms.digest())
            .with("grade", "key")
            .with("credential", CREDENTIAL);
        let about = self.about();
        let texts = vec![("terms", terms.statement()), ("signed", signed.into())];
        let entry = self.insert(Kind::StandingApproved, 55, about, body, texts);
        let approval = Object::new()
            .with("standing", &terms.id)
            .with("policy", self.policy)
            .with("grade", "key")
            .with("signatures", vec![Json::from(&entry)]);
        self.story.body(DECIDED, 1, "approval", approval);
    }

    fn role(mut self, seconds: i64, held: bool) -> Self {
        let subjects = Subjects { principal: self.owner.clone(), ..Subjects::default() };
        let body = Object::new().with("role", "approver").with("held", held);
        self.insert(Kind::RoleChanged, seconds, subjects, body, Vec::new());
        self
    }

    fn verified(&self) -> Verified {
        self.story.seal().verdict()
    }

    #[track_caller]
    fn proven(&self) -> (Approval, Vec<&'static str>) {
        match self.verified().result {
            Ok(proven) => {
                let gaps = proven.not_proved();
                (proven.authority.unwrap().approval.unwrap(), gaps)
            }
            Err(failure) => panic!("{failure:?}"),
        }
    }

    #[track_caller]
    fn fails(&self, found: &str) {
        let failure = self.verified().result.unwrap_err();
        assert_eq!(failure.check, Check::Approval, "{failure:?}");
        assert!(failure.found.contains(found), "{failure:?}");
    }
}

fn rules(rules: &str) -> Told {
    Told::new(&format!("approvals: {{{rules}}}\n")).approved()
}

#[test]
fn who_the_workflow_names_or_who_answers_for_it_is_proved_to_be_that() {
    for text in ["by: [workflow-owner]", "by: [\"user:7\"]", "by: [tool-owner, approvers]"] {
        let (approval, gaps) = rules(text).proven();
        assert_eq!((approval.needed, approval.approvers[0].right), (Some(1), Right::Named));
        assert!(gaps.iter().all(|gap| !gap.contains("approver had")), "{gaps:?}");
    }
    let report = rules("by: [workflow-owner]").verified().report();
    assert!(report.contains("named by the workflow"), "{report}");
}

#[test]
fn fewer_than_the_workflow_asks_for_are_no_approval() {
    rules("by: [workflow-owner, approvers], needed: 2").fails("1 approved");
}

#[test]
fn somebody_whom_the_rules_do_not_name_approved_nothing() {
    rules("by: [\"user:8\"]").fails("does not name user:7");
    // The role is one that an entry gave, and that none took since.
    rules("by: [approvers]").fails("does not name user:7");
    let (approval, gaps) = rules("by: [approvers]").role(4, true).proven();
    assert_eq!(approval.approvers[0].right, Right::Role);
    assert!(gaps.iter().any(|gap| gap.starts_with("that an approver had not lost the role")));
    let lost = rules("by: [approvers]").role(3, true).role(4, false);
    lost.fails("does not name user:7");
}

#[test]
fn a_group_is_said_to_be_on_record_only() {
    let (approval, gaps) = rules("by: [\"group:finance\"]").proven();
    assert_eq!(approval.approvers[0].right, Right::Group);
    assert!(gaps.iter().any(|gap| gap.starts_with("that an approver was in a group")), "{gaps:?}");
}

#[test]
fn separation_and_the_bound_of_key_files_are_asked_again() {
    rules("by: [workflow-owner], key_max_risk: low").fails("with a passkey");
    let mut told = rules("by: [workflow-owner], separate: true");
    assert_eq!(told.proven().0.needed, Some(1));
    // The approver is the principal for whom the agent acts.
    told = Told::new("approvals: {by: [\"user:142\"], separate: true}\n");
    let principal = told.story.event(Kind::PrincipalAdded, 0).subjects.principal.clone();
    told.story.event(Kind::CredentialAdded, 0).subjects.principal = principal.clone();
    told.owner = principal;
    told.approved().fails("your own authority");
}

#[test]
fn without_the_workflows_text_its_rules_are_said_to_be_unproved() {
    let mut told = rules("by: [workflow-owner]");
    told.story.event(Kind::WorkflowPublished, 0).disclosures.clear();
    let (approval, gaps) = told.proven();
    assert_eq!((approval.needed, approval.approvers[0].right), (None, Right::Unknown));
    assert!(gaps.iter().any(|gap| gap.starts_with("how many had to approve")), "{gaps:?}");
    // Another text is not the workflow's.
    let mut told = rules("by: [workflow-owner, approvers], needed: 2");
    let other = workflow("approvals: {by: [workflow-owner]}\n");
    *told.story.value(Kind::WorkflowPublished, 0, "document") = other.to_json();
    told.fails("the workflow's digest differs");
}

#[test]
fn terms_that_cover_the_call_are_proved_with_who_signed_them() {
    let mut told = Told::new("approvals: {by: [workflow-owner]}\n");
    let terms = told.terms();
    let told = told.standing(&terms);
    let (approval, gaps) = told.proven();
    assert_eq!(approval.of, ApprovalOf::Standing(Box::new(terms)));
    assert_eq!((approval.needed, approval.approvers[0].right), (Some(1), Right::Named));
    assert!(gaps.iter().any(|gap| gap.starts_with("that the standing approval was not taken")));
    assert!(told.verified().report().contains("the same again"));
}

#[test]
fn terms_for_another_call_another_time_or_other_people_prove_nothing() {
    let with = |edit: fn(Terms) -> Terms| {
        let mut told = Told::new("approvals: {by: [workflow-owner]}\n");
        let terms = edit(told.terms());
        told.standing(&terms)
    };
    let elsewhere = "does not cover this call";
    with(|mut terms| {
        terms.root = sha256(b"another");
        terms
    })
    .fails(elsewhere);
    with(|mut terms| {
        terms.pin = None;
        terms
    })
    .fails(elsewhere);
    with(|mut terms| {
        terms.policy = sha256(b"older");
        terms
    })
    .fails(elsewhere);
    with(|mut terms| {
        terms.rule = "policy:another".into();
        terms
    })
    .fails(elsewhere);
    with(|mut terms| {
        terms.from = at(61);
        terms
    })
    .fails("did not last");
    with(|mut terms| {
        terms.until = at(58);
        terms
    })
    .fails("did not last");
    let mut told = Told::new("approvals: {by: [workflow-owner]}\n");
    let terms = told.terms();
    let mut told = told.standing(&terms);
    *told.story.value(DECIDED, 1, "arguments") = Object::new().with("order", "o-18").into();
    assert!(told.verified().result.is_err());
    let mut told = Told::new("approvals: {by: [\"user:8\"]}\n");
    let terms = told.terms();
    told.standing(&terms).fails("does not name user:7");
}

#[test]
fn a_verdicts_signature_is_none_on_terms_and_the_reverse() {
    let mut told = Told::new("approvals: {by: [workflow-owner]}\n");
    let (terms, question) = (told.terms(), told.question());
    let verdict = question.sign(Verdict::Approve, &key(APPROVER)).unwrap();
    told.stands(&terms, verdict);
    told.fails("the signed verdict is refused");
    let mut told = rules("by: [workflow-owner]");
    let signed = told.terms().sign(&key(APPROVER)).unwrap();
    *told.story.value(Kind::ApprovalDecided, 0, "signed") = signed.into();
    told.fails("the signed verdict is refused");
    let signed = told.question().sign(Verdict::Approve, &key(seed::STRANGER)).unwrap();
    *told.story.value(Kind::ApprovalDecided, 0, "signed") = signed.into();
    told.fails("not signed with a key");
}
