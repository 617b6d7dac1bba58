//! A maker lies: its seal is good, its word is not.

use bailiwick_core::crypto::{Signer, sha256};
use bailiwick_core::grant::Statement;
use bailiwick_core::ids::{EntryId, GrantId, OrgId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Event, Kind};
use bailiwick_evidence::Check;
use bailiwick_evidence::trust::Role;

use super::{expect, fails};
use crate::world::{START, Story, at, instance, json, key, object, plan, seed, trust};

const DECIDED: Kind = Kind::ActionDecided;

fn decided(story: &mut Story) -> &mut Event {
    story.event(DECIDED, 1)
}

fn reseal_action(story: &mut Story, edit: impl Fn(&mut Object)) {
    let mut preimage = story.value(DECIDED, 1, "action").as_object().unwrap().clone();
    edit(&mut preimage);
    let digest = sha256(Json::from(preimage.clone()).canonical().as_bytes());
    *story.value(DECIDED, 1, "action") = preimage.into();
    story.body(DECIDED, 1, "action_digest", digest);
}

#[test]
fn a_makers_lie_is_found() {
    use Check::*;
    type Edit = fn(&mut Story);
    let table: &[(&str, Check, Edit)] = &[
        ("another organisation's entry", Makers, |s| {
            decided(s).org = OrgId::parse("other").unwrap();
        }),
        ("the authority decides", Makers, |s| {
            let i = s.events.iter().rposition(|(_, e)| e.kind == DECIDED).unwrap();
            s.events[i].0 = Role::Authority;
        }),
        ("the gateway grants", Makers, |s| {
            let i = s.place(Kind::GrantRecorded);
            s.events[i].0 = Role::Gateway;
        }),
        ("the gateway enrols", Makers, |s| {
            let i = s.place(Kind::InstanceEnrolled);
            s.events[i].0 = Role::Gateway;
        }),
        ("the registration's key is another", Principal, |s| {
            let jwk = key(seed::STRANGER).public_key().to_jwk();
            s.body(Kind::PrincipalAdded, 0, "jwk", jwk);
        }),
        ("the registration's alias is another", Principal, |s| {
            s.body(Kind::PrincipalAdded, 0, "alias", "x");
        }),
        ("the disclosed principal has a member more", Principal, |s| {
            let value = s.value(Kind::PrincipalAdded, 0, "principal");
            *value = value.as_object().unwrap().clone().with("also", "user:1").into();
        }),
        ("key and thumbprint of the registration are replaced", Grant, |s| {
            let public = key(seed::STRANGER).public_key();
            s.body(Kind::PrincipalAdded, 0, "jwk", public.to_jwk());
            s.body(Kind::PrincipalAdded, 0, "thumbprint", public.thumbprint());
        }),
        ("the grant's digest is another", Grant, |s| {
            s.body(Kind::GrantRecorded, 0, "digest", sha256(b"x"));
        }),
        ("the grant's window is another", Grant, |s| {
            s.body(Kind::GrantRecorded, 0, "not_after", START + 9000);
        }),
        ("the statement was widened after it was signed", Grant, |s| {
            let value = s.value(Kind::GrantRecorded, 0, "statement");
            let mut statement = Statement::from_json(value).unwrap();
            statement.not_after += 1;
            *value = statement.to_json();
            s.body(Kind::GrantRecorded, 0, "digest", statement.digest());
            s.body(Kind::GrantRecorded, 0, "not_after", statement.not_after);
        }),
        ("the statement has a member more", Grant, |s| {
            let value = s.value(Kind::GrantRecorded, 0, "statement");
            *value = value.as_object().unwrap().clone().with("also", "refunds").into();
        }),
        ("the grant is in the log before its principal", Grant, |s| {
            let (from, to) = (s.place(Kind::GrantRecorded), s.place(Kind::PrincipalAdded));
            let grant = s.events.remove(from);
            s.events.insert(to, grant);
        }),
        ("the enrolment's digest is another", Enrolment, |s| {
            s.body(Kind::InstanceEnrolled, 1, "enrolment_digest", sha256(b"x"));
        }),
        ("the enrolment is of another instance", Enrolment, |s| {
            let first = s.value(Kind::InstanceEnrolled, 0, "enrolment").clone();
            *s.value(Kind::InstanceEnrolled, 1, "enrolment") = first;
        }),
        ("the enrolled holder is another", Enrolment, |s| {
            let holder = key(seed::STRANGER).public_key().thumbprint();
            s.body(Kind::InstanceEnrolled, 1, "holder", holder);
        }),
        ("the enrolment has lost a signature", Enrolment, |s| {
            let value = s.value(Kind::InstanceEnrolled, 1, "enrolment");
            let mut o = value.as_object().unwrap().clone();
            let signatures = o.member("signatures").unwrap().as_array().unwrap()[..1].to_vec();
            o.insert("signatures", signatures);
            *value = o.into();
        }),
        ("the instance is said to be another agent's", Enrolment, |s| {
            s.body(Kind::InstanceEnrolled, 1, "agent", "agent:support-runner");
        }),
        ("the agent has another owner", Enrolment, |s| {
            let alias = s.event(Kind::PrincipalAdded, 0).subjects.principal.clone();
            s.body(Kind::AgentAdded, 1, "owner", alias.as_deref());
        }),
        ("agent and instance have another owner", Enrolment, |s| {
            let alias = s.event(Kind::PrincipalAdded, 0).subjects.principal.clone();
            s.body(Kind::AgentAdded, 1, "owner", alias.as_deref());
            s.body(Kind::InstanceEnrolled, 1, "owner", alias.as_deref());
        }),
        ("the guarantee is none that is known", Enrolment, |s| {
            s.body(Kind::InstanceEnrolled, 1, "guarantee", "certain");
        }),
        ("the guarantee is better than the enrolment's", Enrolment, |s| {
            let hops = decided(s).body.member("hops").unwrap().canonical();
            let hops = hops.replace("\"guarantee\":\"key\"", "\"guarantee\":\"attested\"");
            s.body(DECIDED, 1, "hops", json(&hops));
        }),
        ("the isolation is better than the enrolment's", Enrolment, |s| {
            let hops = decided(s).body.member("hops").unwrap().canonical();
            let better = "\"guarantee\":\"key\",\"isolation\":\"namespaces\"";
            s.body(DECIDED, 1, "hops", json(&hops.replace("\"guarantee\":\"key\"", better)));
        }),
        ("the decision lost a hop", Enrolment, |s| {
            let hops = decided(s).body.member("hops").unwrap().as_array().unwrap()[..1].to_vec();
            s.body(DECIDED, 1, "hops", hops);
        }),
        ("the hops are exchanged", Enrolment, |s| {
            let hops = decided(s).body.member("hops").unwrap().as_array().unwrap();
            let hops: Vec<Json> = hops.iter().rev().cloned().collect();
            s.body(DECIDED, 1, "hops", hops);
        }),
        ("the leaf was enrolled after the call", Enrolment, |s| {
            let i = s.events.iter().rposition(|(_, e)| e.kind == Kind::InstanceEnrolled).unwrap();
            let enrolled = s.events.remove(i);
            s.events.push(enrolled);
        }),
        ("the audience is not the organisation's", Delegation, |s| {
            s.body(DECIDED, 1, "audience", "https://elsewhere/mcp");
        }),
        ("the chain lost its root", Enrolment, |s| {
            let chain = s.value(DECIDED, 1, "chain");
            *chain = chain.as_array().unwrap()[1..].to_vec().into();
        }),
        ("the chain is reversed", Enrolment, |s| {
            let chain = s.value(DECIDED, 1, "chain");
            let reversed: Vec<Json> = chain.as_array().unwrap().iter().rev().cloned().collect();
            *chain = reversed.into();
        }),
        ("the arguments are others than those proved", Delegation, |s| {
            *s.value(DECIDED, 1, "arguments") = object(r#"{"order":"o-18"}"#).into();
        }),
        ("the time of the decision was moved", Delegation, |s| decided(s).time = at(95)),
        ("the digest of the inputs is another", Delegation, |s| {
            s.body(DECIDED, 1, "inputs", sha256(b"x"));
        }),
        ("the staleness bound is gone", Delegation, |s| {
            let value = s.value(DECIDED, 1, "inputs");
            let mut inputs = value.as_object().unwrap().clone();
            inputs.remove("staleness_bound");
            *value = inputs.into();
        }),
        ("the decision names another workflow version", Agreement, |s| {
            let mut other = s.events[0].clone();
            other.1.id = EntryId::mint(at(0), [1; 10]);
            other.1.body.insert("digest", sha256(b"other"));
            s.events.insert(0, other);
            s.body(DECIDED, 1, "workflow_digest", sha256(b"other"));
        }),
        ("the decision names another grant digest", Agreement, |s| {
            s.body(DECIDED, 1, "grant_digest", sha256(b"other"));
        }),
        ("the decision names another end", Agreement, |s| {
            s.body(DECIDED, 1, "not_after", START + 601);
        }),
        ("the decision names another leaf", Agreement, |s| {
            decided(s).subjects.delegation = Some(sha256(b"other").to_string());
        }),
        ("the decision names another agent", Agreement, |s| {
            decided(s).subjects.agent = Some("agent:support-runner".into());
        }),
        ("the decision names another instance", Agreement, |s| {
            decided(s).subjects.instance = Some(instance(1).to_string());
        }),
        ("the issued root has another holder", Agreement, |s| {
            s.body(Kind::DelegationIssued, 0, "holder", sha256(b"other"));
        }),
        ("the issued root has another end", Agreement, |s| {
            s.body(Kind::DelegationIssued, 0, "not_after", START + 1);
        }),
        ("the issued root is of another grant", Agreement, |s| {
            s.body(Kind::DelegationIssued, 0, "grant", GrantId::mint(at(9), [9; 10]).as_str());
        }),
        ("the root was issued before the grant was recorded", Agreement, |s| {
            let (grant, root) = (s.place(Kind::GrantRecorded), s.place(Kind::DelegationIssued));
            s.events.swap(grant, root);
        }),
        ("the task was created after the grant", Agreement, |s| {
            let (task, grant) = (s.place(Kind::TaskCreated), s.place(Kind::GrantRecorded));
            s.events.swap(task, grant);
        }),
        ("the task has another purpose", Agreement, |s| {
            *s.value(Kind::TaskCreated, 0, "purpose") = "something else".into();
        }),
        ("the task is of another workflow", Agreement, |s| {
            s.body(Kind::TaskCreated, 0, "workflow", "other");
        }),
        ("the pin is of another server", Tool, |s| {
            s.body(Kind::ToolPinned, 0, "server", "elsewhere");
        }),
        ("the call was allowed without a pin", Tool, |s| {
            decided(s).body.remove("pin");
        }),
        ("the action digest is another", Action, |s| {
            s.body(DECIDED, 1, "action_digest", sha256(b"other"));
        }),
        ("the action is of another principal", Action, |s| {
            reseal_action(s, |p| p.insert("principal", "user:143"));
        }),
        ("the action has other arguments", Action, |s| {
            reseal_action(s, |p| p.insert("arguments", object(r#"{"order":"o-18"}"#)));
        }),
        ("the action is for another gateway", Action, |s| {
            reseal_action(s, |p| p.insert("audience", "https://elsewhere/mcp"));
        }),
        ("the action has another pin", Action, |s| {
            reseal_action(s, |p| p.insert("pin", sha256(b"other")));
        }),
        ("the action has a member more", Action, |s| {
            reseal_action(s, |p| p.insert("also", true));
        }),
        ("the action has a short salt", Action, |s| {
            reseal_action(s, |p| p.insert("salt", "AAAA"));
        }),
        ("the decision is of another server", Tool, |s| {
            s.body(DECIDED, 1, "server", "elsewhere");
        }),
        ("the assurance is none that was proved", Decision, |s| {
            s.body(DECIDED, 1, "assurance", "token");
        }),
        ("the guarantee is better than the weakest hop's", Decision, |s| {
            s.body(DECIDED, 1, "guarantee", "attested");
        }),
        ("the staleness is smaller than it was", Decision, |s| {
            s.body(DECIDED, 1, "staleness_ms", 1u64);
        }),
        ("the call was made by nobody that is known", Decision, |s| {
            s.body(DECIDED, 1, "enforcement", "none");
        }),
        ("the outcome is of another decision", Outcome, |s| {
            let first = s.event(DECIDED, 0).id.clone();
            s.body(Kind::ActionCompleted, 0, "decided", first.as_str());
        }),
        ("the outcome is of another agent", Outcome, |s| {
            s.event(Kind::ActionCompleted, 0).subjects.agent = Some("agent:x".into());
        }),
        ("the outcome is of another tool", Outcome, |s| {
            s.event(Kind::ActionCompleted, 0).subjects.tool = None;
        }),
        ("the outcome was known before the decision", Outcome, |s| {
            let last = s.events.pop().unwrap();
            let at = s.events.len() - 1;
            s.events.insert(at, last);
        }),
    ];
    for (name, check, edit) in table {
        let mut story = plan().story();
        edit(&mut story);
        expect(name, *check, fails(&story.seal().text(), &trust(), None));
    }
}
