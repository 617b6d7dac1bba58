//! What the authority writes, byte for byte: one entry of each of its kinds,
//! from a fixed clock, fixed keys and fixed random bytes.

use std::collections::BTreeMap;

use crate::golden::{self, Golden};
use crate::support::*;

use bailiwick_authority::Keys;
use bailiwick_authority::host::Moment;
use bailiwick_authority::keyring::{AnyKey, Purpose};
use bailiwick_authority::people::passkeys::Enrolled;
use bailiwick_authority::people::roles::Role;
use bailiwick_authority::people::sessions::{Method, Session};
use bailiwick_authority::plan::Plan;
use bailiwick_authority::rules;
use bailiwick_authority::rules::agents::Provenance;
use bailiwick_authority::rules::approvals::{Saying, question, say};
use bailiwick_authority::rules::approvers::{Voucher, vouch};
use bailiwick_authority::rules::clients::NewClient;
use bailiwick_authority::rules::credentials::{Beside, add_passkey};
use bailiwick_authority::rules::identities;
use bailiwick_authority::rules::keys::{Change, Why};
use bailiwick_authority::rules::life::Administrator;
use bailiwick_authority::rules::provider_keys::used;
use bailiwick_authority::rules::requests::{self, Answering, Asker, Ground, Wanted};
use bailiwick_authority::rules::standings::{self, By, Signing};
use bailiwick_authority::rules::stops::{self, resume, stop};
use bailiwick_authority::rules::svids;
use bailiwick_authority::rules::tool_servers::NewServer;
use bailiwick_authority::{
    DelegationRef, Erasure, NewCredential, PrepareOptions, SignedIn, Target,
};
use bailiwick_core::approval::standing::{Bounds, Terms, Use, exactly};
use bailiwick_core::approval::{Grade, Signed, Verdict};
use bailiwick_core::autonomy::Raise;
use bailiwick_core::crypto::P256SigningKey;
use bailiwick_core::crypto::{Signer as _, sha256};
use bailiwick_core::grant::{Request, Statement};
use bailiwick_core::ids::{
    Alias, ApprovalId, EntryId, InstanceId, RunId, ServerName, StandingId, TaskId, ToolId,
    WorkflowId,
};
use bailiwick_core::jose::{ThirdPartyKey, VerifyingKey};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Event, Kind, Subjects};
use bailiwick_core::stop::{Resumption, StopTarget};
use bailiwick_policy::autonomy::Part;
use bailiwick_policy::catalogue::DefinitionKind;
use bailiwick_policy::checklist::ErrorBudget;
use bailiwick_policy::{Bundle, Workflow};
use bailiwick_store::{
    Approval, ApprovalState, ClientSource, IdentityMode, Instance, Place, Row, Status, StoreError,
    Task, VaultKey,
};

/// Kinds that other makers write: the gateway, or whoever reads texts.
const ELSEWHERE: [Kind; 7] = [
    Kind::ApprovalVoided,
    Kind::ActionDecided,
    Kind::ActionCompleted,
    Kind::DelegationSeen,
    Kind::DenialsSuppressed,
    Kind::PlaintextRead,
    Kind::ToolChanged,
];

/// The first entry of each kind that is in the ledger and not in `found`.
fn collect(world: &World, found: &mut BTreeMap<String, Golden>) {
    let store = world.authority.store();
    let entries = store.read(|view| -> Result<_, StoreError> { view.tail(0, 1000) }).unwrap();
    for entry in entries {
        let texts = store.read(|view| -> Result<_, StoreError> { view.read_plaintext(&entry.id) });
        found.entry(entry.kind.clone()).or_insert_with(|| Golden {
            kind: entry.kind,
            maker: entry.maker,
            key: key(2).public_key().to_jwk(),
            leaf: String::from_utf8(entry.leaf).unwrap(),
            disclosures: texts.unwrap().unwrap_or_default(),
        });
    }
}

/// The signature by the identity key is another one each time, so the golden
/// entry brings the request that it is about.
fn enrolment(world: &World) -> Json {
    if !golden::folder().join("instance.enrolled.json").exists() {
        let identity = identity();
        let statement = world.statement("agent:runner", 21, &identity);
        return statement.sign(&*key(21), &identity).unwrap();
    }
    let entry = golden::read("instance.enrolled");
    let (_, disclosed) = entry.disclosures.into_iter().find(|(f, _)| f == "enrolment").unwrap();
    disclosed.value
}

/// Writes what a rule decided on, as the service does.
pub(crate) fn write<T>(world: &World, plan: Plan<T>) {
    let maker = installation().makers[0].id.clone();
    let steps = plan.steps;
    let done = world.authority.store().write(move |tx| -> Result<(), StoreError> {
        for step in steps {
            match &step.row {
                Some(row) => tx.record(&maker, &*key(2), step.event, row)?,
                None => tx.append(&maker, &*key(2), step.event)?,
            };
        }
        Ok(())
    });
    done.wait().unwrap();
}

/// Entries around what libraries draw at random. The rule is given a passkey
/// and an enrolled key that stay the same: what it writes does not hold the
/// signatures that differ each time.
fn drawn_elsewhere(world: &World, instance: &Instance) {
    let a = &world.authority;
    let owner = a.principal(&principal("user:owner")).unwrap();
    a.enrolment_link(&principal("user:owner")).unwrap();
    a.instance_invite(&instance.agent).unwrap();
    let jwk = json(
        r#"{"crv":"P-256","kty":"EC","x":"YP7UuiVanTHJYet0xjVtaMBJuJI7YfpsmlnNJyjAGYo","y":"eQP-EAigKoX_WNnskLaYnkhmV6LM8PEDpqvkGNMhYGI"}"#,
    );
    let made = Enrolled {
        id: "cGFzc2tleQ".into(),
        jwk: jwk.as_object().unwrap().clone(),
        kept: r#"{"cred":{"counter":0}}"#.into(),
    };
    let moment = Moment::of(&*world.host);
    let beside = Beside { existing: &[], is_taken: false, is_first: false };
    let added = add_passkey(&moment, &installation(), &owner, &made, "Work laptop", beside);
    let added = added.unwrap();
    let credential = added.outcome.clone();
    write(world, added);
    let name = principal("user:other");
    a.principal_add(&name, Some(&key(13).public_key().to_jwk())).unwrap();
    let other = a.principal(&name).unwrap();
    let mut old = credential.clone();
    (old.principal, old.added) = (other.alias.clone(), moment.now().plus_seconds(-86_400));
    let voucher = Voucher { owner: &other, credential: Some(&old), is_first: false };
    write(world, vouch(&moment, &installation(), &credential, voucher).unwrap());
    write(world, verdict(world, &moment, &owner.alias));
    a.passkeys_lost(&principal("user:owner"), None, &Administrator::OnHost).unwrap();

    let active = Instance { status: Status::Active, ..instance.clone() };
    let runner = a.agents().unwrap().into_iter().find(|x| x.id == instance.agent).unwrap();
    let known = identities::Known {
        instance: &active,
        agent: Some(&runner),
        owner: Some(&owner),
        revoked: None,
    };
    write(world, identities::issue(&moment, &installation(), &keys(), known).unwrap());

    let all = "[{workflow: '*', scope: '*', max_risk: critical}]";
    let rules = format!("rules: [{{who: {{everybody: true}}, may_do: {all}, may_grant: {all}}}]");
    a.entitlements_publish(&rules).unwrap();
    let person = SignedIn {
        id: principal("user:owner"),
        roles: Vec::new(),
        session: Session::begin(owner.alias.clone(), Method::Passkey, world.now()),
        principal: owner.row,
    };
    let page =
        a.consent_begin(&person, &crate::people::asks("client-1", &["ticket:8821"])).unwrap();
    a.consent_deny(&page, &person).unwrap();
}

/// A call that waits for a person.
fn waiting(world: &World, principal: &Alias) -> Approval {
    Approval {
        id: ApprovalId::mint(world.now(), [4; 10]),
        state: ApprovalState::Pending,
        action: sha256(b"action"),
        policy: sha256(b"policy"),
        rule: "policy:ask-first".into(),
        risk: "high".into(),
        server: ServerName::parse("desk").unwrap(),
        tool: ToolId::parse("mcp:desk:tools/get_ticket").unwrap(),
        principal: principal.clone(),
        agent: agent("agent:runner"),
        instance: Some(InstanceId::mint(world.now(), [5; 10])),
        workflow: WorkflowId::parse("tickets").unwrap(),
        workflow_digest: sha256(b"workflow"),
        task: TaskId::mint(world.now(), [6; 10]),
        root: sha256(b"root"),
        leaf: sha256(b"leaf"),
        needed: 1,
        asked: world.now(),
        expires: world.now().plus_seconds(600),
        settled: None,
    }
}

/// A person signs that such calls may be made again, and takes it back.
fn stands(world: &World, approver: &Alias) {
    let (held, moment) = (waiting(world, approver), Moment::of(&*world.host));
    let arguments = Object::new().with("ticket_id", 8821u64);
    let call = Use {
        root: held.root,
        tool: held.tool.as_str(),
        pin: Some(sha256(b"definition")),
        arguments: &arguments,
        policy: held.policy,
        rule: &held.rule,
    };
    let bounds = Bounds {
        arguments: exactly(&arguments).unwrap(),
        count: 5,
        from: world.now(),
        until: world.now().plus_seconds(600),
    };
    let id = StandingId::mint(world.now(), [8; 10]);
    let terms = Terms::new(id, held.tool.clone(), &call, bounds).unwrap();
    let signed = Signed::Key(terms.sign(&*key(12)).unwrap());
    let signing = Signing {
        approver,
        grade: Grade::Key,
        credential: "018cc251-f400-7000-8000-000000000009",
        signed: &signed,
        note: Some("for today"),
    };
    write(world, standings::approve(&moment, &installation(), &held, &terms, &signing).unwrap());
    let store = world.authority.store();
    let standing = store.read(|view| view.standing(&terms.id)).unwrap().unwrap();
    let by = By::Session(approver);
    write(world, standings::revoke(&moment, &installation(), &standing, by, "enough").unwrap());
}

/// What a person said about a call that waits.
fn verdict(world: &World, moment: &Moment<'_>, approver: &Alias) -> Plan<()> {
    let waiting = waiting(world, approver);
    let asked = Event {
        id: EntryId::mint(world.now(), [7; 10]),
        org: installation().org,
        time: world.now(),
        kind: Kind::Revoked,
        subjects: Subjects::default(),
        body: Object::new(),
        disclosures: Vec::new(),
    };
    let (entry, row) = (asked.id.clone(), Row::Approval(Box::new(waiting.clone())));
    let maker = installation().makers[0].id.clone();
    let done = world.authority.store().write(move |tx| -> Result<(), StoreError> {
        tx.record(&maker, &*key(2), asked, &row).map(drop)
    });
    done.wait().unwrap();
    let signed = Signed::Key(question(&waiting).sign(Verdict::Approve, &*key(12)).unwrap());
    let saying = Saying {
        approver,
        verdict: Verdict::Approve,
        grade: Grade::Key,
        credential: "018cc251-f400-7000-8000-000000000009",
        signed: &signed,
        note: Some("looked at it"),
        suggestion: None,
    };
    say(moment, &installation(), &waiting, &entry, &saying).unwrap()
}

/// An agent asks for more twice: somebody grants the one and refuses the other.
fn asking_for_more(world: &World, instance: &Instance, under: &Statement) {
    let (moment, installation) = (Moment::of(&*world.host), installation());
    let owner = world.authority.principal(&principal("user:owner")).unwrap();
    let asker = Asker {
        principal: owner.alias.clone(),
        agent: instance.agent.clone(),
        instance: instance.id.clone(),
        holder: instance.holder,
        task: under.task.clone(),
        grant: under.id.clone(),
        root: sha256(b"root"),
        leaf: sha256(b"leaf"),
    };
    let task = Task {
        id: under.task.clone(),
        workflow: under.workflow.clone(),
        workflow_digest: under.workflow_digest,
        agent: instance.agent.clone(),
        principal: owner.alias.clone(),
        created: world.now(),
    };
    let workflow = Workflow::parse(golden::WORKFLOW).unwrap();
    let ends = world.now().plus_seconds(900);
    let ground = Ground { task: &task, workflow: &workflow, ends, hourly: 0, open: 0 };
    let scope = vec!["ticket:9000".to_owned()];
    let wanted = Wanted { scope: scope.clone(), reason: "it is linked".into(), seconds: Some(60) };
    let asked = |world: &World| {
        let plan = requests::ask(&moment, &installation, &asker, &wanted, &ground).unwrap();
        let (request, entry) = (plan.outcome.clone(), plan.steps[0].event.id.clone());
        write(world, plan);
        (request, entry)
    };
    let (request, entry) = asked(world);
    let answering = Answering {
        request: &request,
        asked: &entry,
        scope: &scope,
        under,
        account: under.digest(),
    };
    let step = requests::granted(&moment, &installation, &answering, under, &owner.alias);
    write(world, Plan { steps: vec![step.unwrap()], outcome: () });
    let (request, entry) = asked(world);
    let about = (&request, &entry);
    let signed = requests::sign_refusal(&request.id, &*key(10)).unwrap();
    let note = Some("not for this ticket");
    let by = &owner.alias;
    let plan = requests::refuse(&moment, &installation, about, by, Some(&signed), note);
    write(world, plan.unwrap());
}

/// That a provider's key signed a grant for the first time, as the rule says it.
fn provider_key(world: &World) -> Golden {
    let key = ThirdPartyKey::Own(VerifyingKey::Ed25519(key(30).public_key()));
    let moment = Moment::of(&*world.host);
    let provider = crate::logins::provider("user:*", false);
    let published = std::slice::from_ref(&key);
    let plan = used(&moment, &installation(), &provider, &key, published, &[]).unwrap();
    let maker = installation().makers.remove(0).id;
    Golden::seal(&plan.steps[0].event, &maker, &crate::support::key(2))
}

/// A handshake rests on a key of another trust domain, as the rule says it.
fn foreign_key() -> Golden {
    let world = World::bare();
    let moment = Moment::of(&*world.host);
    let domain = bailiwick_store::TrustDomain {
        name: "b.example".to_owned(),
        issuer: "https://b.example".to_owned(),
        owner: Alias::parse("018cc251-f400-4000-8000-000000000001").unwrap(),
        tools: Vec::new(),
        max_guarantee: bailiwick_core::guarantee::Guarantee::Key,
    };
    // RFC 7515 §A.3.1.
    let jwk = Object::new()
        .with("kty", "EC")
        .with("crv", "P-256")
        .with("x", "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU")
        .with("y", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    let key = VerifyingKey::from_jwk(&jwk).unwrap();
    let step = bailiwick_authority::rules::trust_domains::used(
        &moment,
        &installation(),
        &domain,
        &key,
        &[],
    );
    let maker = installation().makers.remove(0).id;
    Golden::seal(&step.unwrap().unwrap().event, &maker, &crate::support::key(2))
}

/// Everything is stopped, and two owners sign that it goes on, as the rules say it.
fn stops(found: &mut BTreeMap<String, Golden>) {
    let world = World::bare();
    let moment = Moment::of(&*world.host);
    let maker = installation().makers.remove(0).id;
    let alias = |n: u8| Alias::parse(&format!("018cc251-f400-4000-8000-00000000000{n}")).unwrap();
    let target = StopTarget::Everything;
    let nobody = Subjects::default;
    let plan =
        stop(&moment, &installation(), &target, nobody(), "a drill", Some(&alias(1))).unwrap();
    let Some(Row::Stop(row)) = plan.steps[0].row.clone() else { panic!("no stop") };
    found.insert("stopped".to_owned(), Golden::seal(&plan.steps[0].event, &maker, &key(2)));
    let expires = world.now().plus_seconds(300);
    let asked = Resumption { stop: row.id.clone(), target, reason: row.reason, expires };
    let signed = Signed::Key(asked.sign(&*key(12)).unwrap());
    for (others, kind) in [(0, "resume.signed"), (1, "resumed")] {
        let signing = stops::Signing {
            owner: &alias(2),
            grade: Grade::Key,
            credential: "018cc251-f400-7000-8000-000000000009",
            signed: &signed,
            expires,
        };
        let known = (others, 2);
        let plan = resume(&moment, &installation(), &row, nobody(), &signing, known).unwrap();
        found.insert(kind.to_owned(), Golden::seal(&plan.steps[0].event, &maker, &key(2)));
    }
}

/// A workflow is lowered by a failed run, and two people sign that it is raised.
fn autonomy(found: &mut BTreeMap<String, Golden>) {
    let world = World::bare();
    let moment = Moment::of(&*world.host);
    let maker = installation().makers.remove(0).id;
    let seal = |step: &bailiwick_authority::plan::Step| {
        Golden::seal(&step.event, &maker, &crate::support::key(2))
    };
    let workflow = Workflow::parse(CHECKLIST).unwrap();
    let budget = ErrorBudget { failed_runs: 1, window_hours: 24 };
    let run = RunId::parse("018cc251-f400-7000-8000-000000000007").unwrap();
    let spent =
        rules::autonomy::spend(&moment, &installation(), &workflow, None, &budget, 2, Some(&run));
    let step = spent.unwrap().steps.remove(0);
    let Some(Row::Autonomy { autonomy: last, .. }) = step.row.clone() else { panic!("no change") };
    found.insert("autonomy.lowered".to_owned(), seal(&step));
    let raise = Raise {
        workflow: workflow.id.clone(),
        version: workflow.digest(),
        from: "supervised".to_owned(),
        to: "bounded".to_owned(),
        changes: last.n,
        figures: bailiwick_core::crypto::sha256(b"{}"),
        until: world.now(),
        expires: world.now().plus_seconds(3_600),
    };
    let signed = Signed::Key(raise.sign(&*key(12)).unwrap());
    let alias = Alias::parse("018cc251-f400-4000-8000-000000000002").unwrap();
    for (other, kind) in [(false, "autonomy.signed"), (true, "autonomy.raised")] {
        let signing = rules::autonomy::Signing {
            who: &alias,
            part: Part::Second,
            grade: Grade::Key,
            credential: "018cc251-f400-7000-8000-000000000009",
            signed: &signed,
        };
        let (last, installation) = (Some(&last), installation());
        let plan =
            rules::autonomy::sign(&moment, &installation, &workflow, last, &raise, &signing, other);
        found.insert(kind.to_owned(), seal(&plan.unwrap().steps[0]));
    }
}

/// A version with a complete checklist; it never changes.
const CHECKLIST: &str = r#"
workflow: desk
version: "1"
owner: user:owner
purpose: Answer tickets.
agents: [agent:runner]
level: bounded
window_seconds: 3600
max_depth: 1
budget: {max_calls: 10}
tool_servers:
  desk:
    tools:
      note: {risk: low, effect: write, data: [ticket], personal: false}
shorthands:
  "note":
    tools:
      desk/note: {text: {constraint_type: length, min: 1, max: 100}}
data_sources: {tool_servers: [desk], classes: [ticket], context: []}
completion:
  - {id: noted, says: There is a note., by: {tool: desk/note}}
review: {by: [owner], when: incomplete}
rollback:
  - {id: withdraw, says: Write that the note is wrong., how: manual}
evaluation:
  targets: {task_success_rate: {at_least: 0.9}}
  window_days: 30
  minimum_runs: 5
  confidence_percent: 95
  error_budget: {failed_runs: 1, window_hours: 24}
"#;

#[test]
fn the_authority_writes_the_golden_entries() {
    let world = World::bare();
    let a = &world.authority;
    a.init().unwrap();
    for (name, seed) in [("user:owner", 10), ("user:142", 11)] {
        a.principal_add(&principal(name), Some(&key(seed).public_key().to_jwk())).unwrap();
    }
    a.workflow_publish(golden::WORKFLOW).unwrap();
    for name in ["agent:runner", "agent:reader"] {
        a.agent_add(&agent(name), &principal("user:owner"), Provenance::default()).unwrap();
    }
    let instance = a.instance_enrol(&enrolment(&world)).unwrap();
    let server = ServerName::parse("desk").unwrap();
    a.tool_server_add(NewServer {
        name: server.clone(),
        url: "http://127.0.0.1:9/mcp".into(),
        credential: Some("file:desk.credential".into()),
        identity_mode: IdentityMode::Shared,
        replace: false,
    })
    .unwrap();
    let listing = json(&format!("{{\"tools\":[{}]}}", golden::TOOL));
    a.pin(&server, DefinitionKind::Tool, &listing, &[]).unwrap();
    let request = Request {
        principal: principal("user:142"),
        agent: agent("agent:runner"),
        scope: vec!["ticket:8821".into()],
        expires_at: world.now().plus_seconds(900),
        purpose: "resolve ticket".into(),
        workflow: None,
    };
    let prepared = a.prepare(&request, &PrepareOptions::default()).unwrap();
    let signed = prepared.statement.sign(&*key(11));
    let issued = a.submit(&prepared, &signed, None).unwrap();
    let token = DelegationRef::Tokens(vec![issued.token]);
    a.revoke(&Target::Delegation(token), "finished", None).unwrap();
    a.agent_status(&agent("agent:reader"), Status::Suspended).unwrap();
    a.instance_retire(&instance.id).unwrap();
    a.principal_status(&principal("user:142"), Status::Suspended).unwrap();
    let mut found = BTreeMap::new();
    collect(&world, &mut found);
    a.erase(&Erasure::Principal(principal("user:142"))).unwrap();
    let client = a
        .client_register(NewClient {
            id: "client-1".into(),
            source: ClientSource::Configured,
            name: "desk assistant".into(),
            metadata: "{}".into(),
        })
        .unwrap();
    a.client_map(&client.id, &agent("agent:runner")).unwrap();
    a.role_change(&principal("user:owner"), Role::Operator, true).unwrap();
    a.entitlements_publish("rules: [{who: {everybody: true}}]").unwrap();
    a.key_changed(Change {
        purpose: Purpose::Issuer,
        old: AnyKey::Ed25519(key(1).public_key()),
        new: Some(AnyKey::Ed25519(key(7).public_key())),
        why: Why::Compromised { since: world.now() },
    })
    .unwrap();
    drawn_elsewhere(&world, &instance);
    collect(&world, &mut found);
    found.insert("provider.key_changed".to_owned(), provider_key(&world));
    found.insert("trust_domain.key_used".to_owned(), foreign_key());
    stops(&mut found);
    autonomy(&mut found);
    crate::entries_runs::of_runs(&mut found);
    found.extend(crate::failures::entries());
    let tool = a.pins(&server).unwrap().remove(0).row.tool;
    a.definition_quarantine(&tool, "suspected", &Administrator::OnHost).unwrap();
    let text = "@id(\"all\") @reason(\"everything\") permit (principal, action, resource);";
    let bundle = Bundle::parse([("golden.cedar".to_owned(), text.to_owned())]).unwrap();
    for place in [Place::Enforced, Place::Candidate] {
        a.policy_publish(place, bundle.clone()).unwrap();
    }
    let (old, new) = (VaultKey::new([1; 32]), VaultKey::new([2; 32]));
    let credential = NewCredential {
        server: server.clone(),
        principal: Some(principal("user:owner")),
        kind: "bearer",
        source: "value",
        sealed: zeroize::Zeroizing::new(b"a-credential-of-theirs".to_vec()),
    };
    a.vault_set(credential, &old).unwrap();
    assert_eq!(a.vault_rekey(&old, &new).unwrap(), 1);
    a.vault_remove(&server, Some(&principal("user:owner"))).unwrap();
    stands(&world, &a.principal(&principal("user:owner")).unwrap().row.alias);
    asking_for_more(&world, &instance, &prepared.statement);
    collect(&world, &mut found);
    collect(&crate::handoffs::played(), &mut found);

    for kind in Kind::ALL.iter().filter(|kind| !ELSEWHERE.contains(kind)) {
        let name = kind.as_str();
        let written = found.remove(name).unwrap_or_else(|| panic!("no `{name}` was written"));
        golden::check(name, &written);
    }
    assert!(found.is_empty(), "{:?}", found.keys());
}

/// The same kind as for an identity token, with what a certificate adds.
#[test]
fn the_authority_writes_the_golden_entry_of_svids() {
    let world = World::bare();
    let a = &world.authority;
    a.init().unwrap();
    let name = principal("user:owner");
    a.principal_add(&name, Some(&key(10).public_key().to_jwk())).unwrap();
    a.agent_add(&agent("agent:runner"), &name, Provenance::default()).unwrap();
    let instance = a.instance_enrol(&enrolment(&world)).unwrap();
    let (owner, runner) = (a.principal(&name).unwrap(), a.agents().unwrap().remove(0));
    let known = identities::Known {
        instance: &instance,
        agent: Some(&runner),
        owner: Some(&owner),
        revoked: None,
    };
    // RFC 7515 §A.3.1: signatures differ each time, and stand in no entry.
    let jwk = json(
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#,
    );
    let own = || P256SigningKey::from_jwk(jwk.as_object().unwrap()).unwrap();
    let keys = Keys { svid: svid_authority_of(own()), ..keys() };
    let asked = svids::Asked { key: own().public_key(), seconds: 600 };
    let moment = Moment::of(&*world.host);
    let plan = svids::issue(&moment, &installation(), &keys, known, &asked).unwrap();
    let maker = installation().makers[0].id.clone();
    let written = Golden::seal(&plan.steps[0].event, &maker, &key(2));
    golden::check("identity.issued+svid", &written);
}
