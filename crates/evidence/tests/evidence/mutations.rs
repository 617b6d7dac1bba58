//! Lies, by those who can sign them and by those who cannot: each is found by
//! the check that is meant for it.

use bailiwick_core::crypto::{Signer, sha256};
use bailiwick_core::grant::Statement;
use bailiwick_core::ids::{AgentId, GrantId, OrgId, PrincipalId, TaskId, WorkflowId};
use bailiwick_core::json::Json;
use bailiwick_core::ledger::{Event, Kind};
use bailiwick_core::time::Timestamp;
use bailiwick_evidence::trust::{Role, Trust};
use bailiwick_evidence::{Bundle, Check, verify};
use bailiwick_tlog::LogKey;

use crate::world::{
    Ledger, ORIGIN, Plan, START, Story, at, instance, key, object, plan, seed, trust, witness_key,
};

/// The first check that fails, or `None` when everything holds.
fn fails(bytes: &str, trust: &Trust, ledger: Option<&Ledger>) -> Option<(Check, String)> {
    let kept: Vec<_> = ledger.iter().map(|l| l.checkpoint.clone()).collect();
    let verdict = verify(bytes.as_bytes(), trust, &kept);
    // INVARIANT: checks are made in order, and none after the first failure.
    if let Err(failure) = &verdict.result {
        assert!(!verdict.passed.contains(&failure.check));
        assert!(verdict.passed.iter().all(|c| *c < failure.check));
        assert!(verdict.report().starts_with("EVIDENCE DOES NOT HOLD"));
    }
    verdict.result.err().map(|f| (f.check, f.found))
}

fn expect(name: &str, expected: Check, found: Option<(Check, String)>) {
    match found {
        Some((check, _)) if check == expected => {}
        other => panic!(
            "{name}: expected `{}` to fail, got {other:?}",
            expected.id()
        ),
    }
}

// What happened is changed: everybody signs it as it then is.

#[test]
fn what_really_happened_otherwise_is_found() {
    use Check::*;
    type Edit = fn(&mut Plan);
    let table: &[(&str, Check, Edit)] = &[
        ("the grant is signed by a stranger", Grant, |p| {
            p.grant_seed = seed::STRANGER
        }),
        ("the grant is signed by the agent's owner", Grant, |p| {
            p.grant_seed = seed::OWNER
        }),
        ("the grant is of another principal", Grant, |p| {
            p.statement.principal = PrincipalId::parse("user:143").unwrap();
        }),
        ("the grant's principal has another issuer", Grant, |p| {
            p.statement.principal_issuer = "https://elsewhere".into();
        }),
        ("the grant is of another organisation", Grant, |p| {
            p.statement.org = OrgId::parse("other").unwrap();
        }),
        ("the enrolment is for another authority", Enrolment, |p| {
            p.enrolment = |s| s.audience = "https://elsewhere".into();
        }),
        ("the enrolment names another owner", Enrolment, |p| {
            p.enrolment = |s| s.owner = PrincipalId::parse("user:142").unwrap();
        }),
        ("the root is signed by a stranger", Delegation, |p| {
            p.issuer_seed = seed::STRANGER
        }),
        (
            "the root is signed by the authority's maker key",
            Delegation,
            |p| {
                p.issuer_seed = seed::AUTHORITY;
            },
        ),
        ("the proof is by the parent's key", Delegation, |p| {
            p.prover_seed = seed::RUNNER
        }),
        ("the proof is by a stranger", Delegation, |p| {
            p.prover_seed = seed::STRANGER
        }),
        ("the proof is for other arguments", Delegation, |p| {
            p.proved_arguments = Some(object(r#"{"order":"o-18"}"#));
        }),
        ("the proof is for another gateway", Delegation, |p| {
            p.proof_audience = Some("https://elsewhere/mcp");
        }),
        ("the proof names no gateway", Delegation, |p| {
            p.proof_audience = None
        }),
        ("the leaf had run out", Delegation, |p| p.now = at(600)),
        ("the leaf was not valid yet", Delegation, |p| {
            p.child = |c| c.nbf = Some(START + 61)
        }),
        ("revocations were stale", Delegation, |p| {
            p.standing = |s| s.revocations_as_of = at(49);
        }),
        ("the clock was behind", Delegation, |p| {
            p.standing = |s| s.last_durable = at(61)
        }),
        ("the principal was suspended", Delegation, |p| {
            p.standing = |s| s.principal_active = false;
        }),
        ("an instance was suspended", Delegation, |p| {
            p.standing = |s| s.hops[0].as_mut().unwrap().instance_active = false;
        }),
        (
            "the retained inputs name another instance",
            Delegation,
            |p| {
                p.standing = |s| s.hops[1].as_mut().unwrap().instance = instance(9);
            },
        ),
        (
            "the retained inputs know a better guarantee",
            Delegation,
            |p| {
                p.standing = |s| {
                    s.hops[1].as_mut().unwrap().guarantee =
                        bailiwick_core::guarantee::Guarantee::Attested;
                };
            },
        ),
        ("the retained inputs lack a hop", Delegation, |p| {
            p.standing = |s| s.hops[1] = None
        }),
        ("the retained inputs have another alias", Delegation, |p| {
            p.standing = |s| s.principal_alias = Some("somebody".into());
        }),
        ("the grant permits fewer tools than the root", Scope, |p| {
            p.statement.tools = object(
                r#"{"mcp:support-desk:tools/get_order":{"order":{"constraint_type":"one_of","values":["o-17","o-18"]}}}"#,
            );
        }),
        ("the grant permits fewer values than the root", Scope, |p| {
            p.statement.tools = object(
                r#"{"mcp:support-desk:tools/get_ticket":{"id":{"constraint_type":"exact","value":8821}},
                    "mcp:support-desk:tools/get_order":{"order":{"constraint_type":"exact","value":"o-17"}}}"#,
            );
        }),
        ("the root may go deeper than the grant", Scope, |p| {
            p.root = |c| c.max_depth = 3
        }),
        ("the root's budget is larger", Scope, |p| {
            p.root = |c| c.budget = object(r#"{"max_calls":11}"#);
        }),
        ("the root lost the budget", Scope, |p| {
            p.root = |c| c.budget = object("{}")
        }),
        ("the root reaches another gateway", Scope, |p| {
            p.root = |c| c.aud.push("https://elsewhere/mcp".into());
        }),
        ("the root outlives the grant", Agreement, |p| {
            p.root = |c| c.exp = START + 901
        }),
        ("the root begins before the grant", Agreement, |p| {
            p.root = |c| c.now = at(-1);
        }),
        ("the root says another purpose", Agreement, |p| {
            p.claims = |a| a.purpose = "something else".into();
        }),
        (
            "the grant says another purpose than the task",
            Agreement,
            |p| {
                p.statement.purpose = "something else".into();
            },
        ),
        ("the root says another task", Agreement, |p| {
            p.claims = |a| a.task = TaskId::mint(at(9), [9; 10]);
        }),
        ("the root says another workflow", Agreement, |p| {
            p.claims = |a| a.workflow = WorkflowId::parse("other").unwrap();
        }),
        ("the root says another workflow version", Agreement, |p| {
            p.claims = |a| a.workflow_digest = sha256(b"other");
        }),
        ("the root says another principal", Agreement, |p| {
            p.claims = |a| a.principal = PrincipalId::parse("user:143").unwrap();
        }),
        ("the root says another grant", Agreement, |p| {
            p.claims = |a| a.grant = GrantId::mint(at(9), [9; 10]);
        }),
        (
            "the root says another agent than the grant",
            Agreement,
            |p| {
                p.statement.agent = AgentId::parse("agent:order-reader").unwrap();
                p.claims = |a| a.agent = AgentId::parse("agent:support-runner").unwrap();
            },
        ),
        ("the call was outside the scope", Decision, |p| {
            p.arguments = object(r#"{"order":"o-18"}"#);
        }),
        ("the tool was not delegated", Decision, |p| {
            p.tool = "mcp:support-desk:tools/refund".into();
        }),
        ("the delegation was revoked", Decision, |p| {
            p.standing = |s| s.revoked = Some("delegation".into());
        }),
        ("the grant had ended", Decision, |p| {
            p.standing = |s| s.grant.as_mut().unwrap().ended = true;
        }),
        ("the grant was not on record", Decision, |p| {
            p.standing = |s| s.grant = None
        }),
        ("a permitted call was denied by scope", Decision, |p| {
            (p.decision, p.reason, p.outcome) = ("deny", Some("argument-not-delegated"), None);
        }),
        ("the denial has an unknown reason", Decision, |p| {
            (p.decision, p.reason, p.outcome) = ("deny", Some("because"), None);
        }),
        ("the decision is none", Decision, |p| p.decision = "maybe"),
        ("an allowed call has a reason to deny", Decision, |p| {
            p.reason = Some("revoked")
        }),
        ("a denied call has an outcome", Outcome, |p| {
            (p.decision, p.reason) = ("deny", Some("policy-denied"));
        }),
        ("the outcome is none that is known", Outcome, |p| {
            p.outcome = Some("fine")
        }),
    ];
    for (name, check, edit) in table {
        let mut plan = plan();
        edit(&mut plan);
        let ledger = plan.story().seal();
        expect(name, *check, fails(&ledger.text(), &trust(), None));
    }
    assert!(table.len() >= 40);
}

// A maker lies: its seal is good, its word is not.

const DECIDED: Kind = Kind::ActionDecided;

fn decided(story: &mut Story) -> &mut Event {
    story.event(DECIDED, 1)
}

fn reseal_action(story: &mut Story, edit: impl Fn(&mut bailiwick_core::json::Object)) {
    let mut preimage = story
        .value(DECIDED, 1, "action")
        .as_object()
        .unwrap()
        .clone();
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
            let i = s
                .events
                .iter()
                .rposition(|(_, e)| e.kind == DECIDED)
                .unwrap();
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
        (
            "the disclosed principal has a member more",
            Principal,
            |s| {
                let value = s.value(Kind::PrincipalAdded, 0, "principal");
                *value = value
                    .as_object()
                    .unwrap()
                    .clone()
                    .with("also", "user:1")
                    .into();
            },
        ),
        (
            "key and thumbprint of the registration are replaced",
            Grant,
            |s| {
                let public = key(seed::STRANGER).public_key();
                s.body(Kind::PrincipalAdded, 0, "jwk", public.to_jwk());
                s.body(Kind::PrincipalAdded, 0, "thumbprint", public.thumbprint());
            },
        ),
        ("the grant's digest is another", Grant, |s| {
            s.body(Kind::GrantRecorded, 0, "digest", sha256(b"x"));
        }),
        ("the grant's window is another", Grant, |s| {
            s.body(Kind::GrantRecorded, 0, "not_after", START + 9000);
        }),
        (
            "the statement was widened after it was signed",
            Grant,
            |s| {
                let value = s.value(Kind::GrantRecorded, 0, "statement");
                let mut statement = Statement::from_json(value).unwrap();
                statement.not_after += 1;
                *value = statement.to_json();
                s.body(Kind::GrantRecorded, 0, "digest", statement.digest());
                s.body(Kind::GrantRecorded, 0, "not_after", statement.not_after);
            },
        ),
        ("the statement has a member more", Grant, |s| {
            let value = s.value(Kind::GrantRecorded, 0, "statement");
            *value = value
                .as_object()
                .unwrap()
                .clone()
                .with("also", "refunds")
                .into();
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
        (
            "the instance is said to be another agent's",
            Enrolment,
            |s| {
                s.body(Kind::InstanceEnrolled, 1, "agent", "agent:support-runner");
            },
        ),
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
        (
            "the guarantee is better than the enrolment's",
            Enrolment,
            |s| {
                let hops = decided(s).body.member("hops").unwrap().canonical();
                let hops = hops.replace("\"guarantee\":\"key\"", "\"guarantee\":\"attested\"");
                s.body(DECIDED, 1, "hops", crate::world::json(&hops));
            },
        ),
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
            let i = s
                .events
                .iter()
                .rposition(|(_, e)| e.kind == Kind::InstanceEnrolled)
                .unwrap();
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
        (
            "the arguments are others than those proved",
            Delegation,
            |s| {
                *s.value(DECIDED, 1, "arguments") = object(r#"{"order":"o-18"}"#).into();
            },
        ),
        ("the time of the decision was moved", Delegation, |s| {
            decided(s).time = at(95)
        }),
        ("the digest of the inputs is another", Delegation, |s| {
            s.body(DECIDED, 1, "inputs", sha256(b"x"));
        }),
        ("the staleness bound is gone", Delegation, |s| {
            let value = s.value(DECIDED, 1, "inputs");
            let mut inputs = value.as_object().unwrap().clone();
            inputs.remove("staleness_bound");
            *value = inputs.into();
        }),
        (
            "the decision names another workflow version",
            Agreement,
            |s| {
                let mut other = s.events[0].clone();
                other.1.id = bailiwick_core::ids::EntryId::mint(at(0), [1; 10]);
                other.1.body.insert("digest", sha256(b"other"));
                s.events.insert(0, other);
                s.body(DECIDED, 1, "workflow_digest", sha256(b"other"));
            },
        ),
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
            s.body(
                Kind::DelegationIssued,
                0,
                "grant",
                GrantId::mint(at(9), [9; 10]).as_str(),
            );
        }),
        (
            "the root was issued before the grant was recorded",
            Agreement,
            |s| {
                let (grant, root) = (
                    s.place(Kind::GrantRecorded),
                    s.place(Kind::DelegationIssued),
                );
                s.events.swap(grant, root);
            },
        ),
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
        (
            "the guarantee is better than the weakest hop's",
            Decision,
            |s| {
                s.body(DECIDED, 1, "guarantee", "attested");
            },
        ),
        ("the staleness is smaller than it was", Decision, |s| {
            s.body(DECIDED, 1, "staleness_ms", 1u64);
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

// Somebody without keys splices a bundle; the digest is made anew.

fn receipt(
    bundle: &mut Bundle,
    kind: Kind,
    nth: usize,
) -> &mut bailiwick_evidence::bundle::Receipt {
    bundle
        .receipts
        .iter_mut()
        .filter(|r| r.name == kind)
        .nth(nth)
        .unwrap()
}

/// The same events by the same makers, sequenced by another log.
fn other_log() -> Ledger {
    plan().story().seal_into(seed::STRANGER)
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
            receipt(b, Kind::GrantRecorded, 0).proof = theirs
                .into_iter()
                .find(|r| r.name == Kind::GrantRecorded)
                .unwrap()
                .proof;
        }),
        ("all receipts are of another log", Inclusion, |b| {
            *b = other_log().bundle()
        }),
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
            receipt(b, Kind::WorkflowPublished, 0).proof = older
                .into_iter()
                .find(|r| r.name == Kind::WorkflowPublished)
                .unwrap()
                .proof;
        }),
        ("a disclosed value was edited", Disclosures, |b| {
            let (_, fields) = b
                .disclosures
                .iter_mut()
                .find(|(_, f)| f[0].0 == "purpose")
                .unwrap();
            fields[0].1.value = "something else".into();
        }),
        ("a salt was edited", Disclosures, |b| {
            b.disclosures[0].1[0].1.salt[0] ^= 1
        }),
        (
            "a field is disclosed under another name",
            Disclosures,
            |b| {
                b.disclosures[0].1[0].0 = "purpose".into();
            },
        ),
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
        ("the agents are missing", Enrolment, |b| {
            drop_with_disclosures(b, Kind::AgentAdded)
        }),
        ("the root's receipt is missing", Agreement, |b| {
            drop_with_disclosures(b, Kind::DelegationIssued);
        }),
        ("the task is missing", Agreement, |b| {
            drop_with_disclosures(b, Kind::TaskCreated)
        }),
        ("the workflow is missing", Agreement, |b| {
            drop_with_disclosures(b, Kind::WorkflowPublished);
        }),
        ("the pin is missing", Tool, |b| {
            drop_with_disclosures(b, Kind::ToolPinned)
        }),
        ("the decision is missing", Decision, |b| {
            drop_with_disclosures(b, Kind::ActionDecided)
        }),
        ("the bundle is about another action", Decision, |b| {
            b.action = bailiwick_core::ids::ActionId::mint(at(1), [9; 10]);
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
        bundle
            .disclosures
            .retain(|(id, _)| !receipt.entry.contains(&format!("\"id\":\"{id}\"")));
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
    let id = bailiwick_core::ids::ActionId::mint(at(70), [0xad; 10]);
    decided.1.id = bailiwick_core::ids::EntryId::mint(at(70), [1; 10]);
    decided.1.subjects.action = Some(id.to_string());
    completed.1.id = bailiwick_core::ids::EntryId::mint(at(70), [2; 10]);
    completed.1.subjects.action = Some(id.to_string());
    completed.1.subjects.reason = Some("error".into());
    completed.1.body.insert("decided", decided.1.id.as_str());
    story.events.extend([decided, completed]);
    let ledger = story.seal();
    let mut bundle = ledger.bundle();
    let theirs = bailiwick_evidence::assemble(&ledger, &id).unwrap();
    let theirs = theirs
        .receipts
        .into_iter()
        .find(|r| r.name == Kind::ActionCompleted)
        .unwrap();
    *receipt(&mut bundle, Kind::ActionCompleted, 0) = theirs.clone();
    expect(
        "replaced",
        Check::Outcome,
        fails(&bundle.to_text(), &trust(), None),
    );
    let mut bundle = ledger.bundle();
    bundle.receipts.push(theirs);
    expect(
        "added",
        Check::Outcome,
        fails(&bundle.to_text(), &trust(), None),
    );
}

// The verifier trusts others.

#[test]
fn under_another_trust_nothing_holds() {
    use Check::*;
    type Edit = fn(&mut Trust);
    let table: &[(&str, Check, Edit)] = &[
        ("another log key", Inclusion, |t| {
            t.log = LogKey::new(ORIGIN, *key(seed::STRANGER).public_key().as_bytes()).unwrap();
        }),
        ("another origin", Inclusion, |t| {
            t.log = LogKey::new("other/log", *key(seed::LOG).public_key().as_bytes()).unwrap();
        }),
        ("another issuer key", Delegation, |t| {
            t.issuers[0].key = key(seed::STRANGER).public_key();
        }),
        ("another issuer", Enrolment, |t| {
            t.issuers[0].uri = "https://elsewhere".into()
        }),
        ("no issuer", Enrolment, |t| t.issuers.clear()),
        ("the issuer's key was retired", Delegation, |t| {
            t.issuers[0].validity.not_after = Some(at(60));
        }),
        ("another gateway key", Makers, |t| {
            t.makers[1].key = key(seed::STRANGER).public_key()
        }),
        ("another authority key", Makers, |t| {
            t.makers[0].key = key(seed::STRANGER).public_key()
        }),
        ("the gateway is not listed", Makers, |t| {
            drop(t.makers.remove(1))
        }),
        ("the authority is not listed", Makers, |t| {
            drop(t.makers.remove(0))
        }),
        ("the gateway is an authority", Makers, |t| {
            t.makers[1].role = Role::Authority
        }),
        ("the gateway's key came later", Makers, |t| {
            t.makers[1].validity.not_before = Some(Timestamp::from_millis(at(60).millis() + 1));
        }),
        ("the gateway's key was retired", Makers, |t| {
            t.makers[1].validity.not_after = Some(at(60));
        }),
        ("another organisation", Makers, |t| {
            t.org = OrgId::parse("other").unwrap()
        }),
        ("another audience", Delegation, |t| {
            t.audiences = vec!["https://elsewhere/mcp".into()]
        }),
        ("a witness is asked for", Witnesses, |t| {
            t.witnesses = vec![witness_key(seed::WITNESS)];
            t.quorum = 1;
        }),
    ];
    let text = plan().story().seal().text();
    assert_eq!(fails(&text, &trust(), None), None);
    for (name, check, edit) in table {
        let mut trust = trust();
        edit(&mut trust);
        expect(name, *check, fails(&text, &trust, None));
    }
}

#[test]
fn a_forked_log_is_found_by_who_kept_a_checkpoint() {
    let honest = plan().story().seal();
    // The operator rewrites one decision and signs the tree anew.
    let mut story = plan().story();
    story.event(Kind::ActionCompleted, 0).subjects.reason = Some("error".into());
    let fork = story.seal();
    assert_eq!(fails(&fork.text(), &trust(), None), None);
    let found = fails(&fork.text(), &trust(), Some(&honest));
    assert!(
        found
            .as_ref()
            .is_some_and(|(_, f)| f.starts_with("diverged")),
        "{found:?}"
    );
    expect("a kept checkpoint", Check::Witnesses, found);
    // A kept checkpoint of another log is a mistake, not a comfort.
    let found = fails(&honest.text(), &trust(), Some(&other_log()));
    expect("another log's checkpoint", Check::Witnesses, found);
}

#[test]
fn a_forged_cosignature_is_invalid() {
    let mut ledger = plan().story().seal();
    ledger.cosign(seed::STRANGER);
    let mut trust = trust();
    trust.witnesses = vec![witness_key(seed::WITNESS)];
    let found = fails(&ledger.text(), &trust, None);
    assert!(
        found
            .as_ref()
            .is_some_and(|(_, f)| f.starts_with("invalid")),
        "{found:?}"
    );
    expect("forged", Check::Witnesses, found);
}
