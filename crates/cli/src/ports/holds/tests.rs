//! The right of who approved is looked at again in the transaction that records
//! the call, over a real store.

use std::sync::Arc;

use bailiwick_core::approval::standing::{Bounds, Terms, Use, exactly};
use bailiwick_core::approval::{Signed, Verdict};
use bailiwick_core::crypto::{SigningKey, sha256};
use bailiwick_core::ids::{Alias, OrgId, PrincipalId, StandingId, ToolId};
use bailiwick_core::jose::JwsSigner as _;
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Disclosure;
use bailiwick_policy::approvers::{Approvals, Lost, Matter};
use bailiwick_policy::grades::Risk;
use bailiwick_store::{
    Credential, CredentialKind, Options, PlaintextKey, Principal, Said, StandingApproved,
    StandingSignature, Status, Verdict as VerdictRow,
};

use super::*;

const TOOL: &str = "mcp:desk:tools/get_ticket";
const CREDENTIAL: &str = "018cc251-f400-7000-8000-000000000009";

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32]).unwrap()
}

fn maker() -> Maker {
    Maker { id: "gateway:test".into(), key: Arc::new(key(3)) }
}

/// A store in which user:9 has the role `approver` and a key.
struct Desk {
    _dir: tempfile::TempDir,
    store: Store,
    alias: Alias,
    now: Timestamp,
}

fn event(kind: Kind, disclosures: Vec<(String, Disclosure)>) -> Event {
    let now = host::now();
    Event {
        id: EntryId::mint(now, host::random().unwrap()),
        org: OrgId::parse("default").unwrap(),
        time: now,
        kind,
        subjects: Subjects { agent: Some("agent:runner".into()), ..Subjects::default() },
        body: Object::new(),
        disclosures,
    }
}

impl Desk {
    fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::new(
            OrgId::parse("default").unwrap(),
            PlaintextKey::new([5; 32]),
            Arc::new(|out: &mut [u8]| getrandom::fill(out).is_ok()),
        );
        let store = Store::open(dir.path(), options).unwrap();
        let now = host::now();
        let desk = Self { _dir: dir, store, alias: Alias::mint(now, [9; 10]), now };
        desk.write(
            Kind::PrincipalAdded,
            Row::Principal(Principal {
                alias: desk.alias.clone(),
                issuer: Some("http://x".into()),
                id: Some(PrincipalId::parse("user:9").unwrap()),
                jwk: None,
                status: Status::Active,
            }),
        );
        desk.set_role(true);
        desk.write(Kind::CredentialAdded, desk.credential(Status::Active));
        desk
    }

    fn credential(&self, status: Status) -> Row {
        let jwk = Object::new().with("jwk", key(9).verifying_key().to_jwk());
        Row::Credential(Credential {
            id: CREDENTIAL.into(),
            principal: self.alias.clone(),
            kind: CredentialKind::Approver,
            lookup: sha256(b"a key"),
            data: Json::from(jwk).canonical(),
            label: "key".into(),
            status,
            added: self.now,
            trusted: Some(self.now),
        })
    }

    fn write(&self, kind: Kind, row: Row) {
        self.disclose(kind, row, Vec::new());
    }

    fn disclose(&self, kind: Kind, row: Row, disclosures: Vec<(String, Disclosure)>) {
        let written = self.store.write(move |tx| -> Result<(), StoreError> {
            let maker = maker();
            tx.record(&maker.id, &*maker.key, event(kind, disclosures), &row).map(drop)
        });
        written.wait().unwrap();
    }

    fn set_role(&self, held: bool) {
        let (principal, role) = (self.alias.clone(), "approver".to_owned());
        self.write(Kind::RoleChanged, Row::Role { principal, role, held });
    }

    fn set_status(&self, status: Status) {
        let alias = self.alias.clone();
        self.write(Kind::PrincipalChanged, Row::PrincipalStatus { alias, status });
    }

    /// A call that user:9 approved, as stage 5 lets it pass.
    fn approved(&self) -> Used {
        let row = approval(&self.alias, self.now);
        let question = question(&row);
        let signed = question.sign(Verdict::Approve, &key(9)).unwrap();
        self.write(Kind::ActionDecided, Row::Approval(Box::new(row)));
        let verdict = VerdictRow {
            approval: question.id.clone(),
            approver: self.alias.clone(),
            verdict: Said::Approve,
            grade: "key".into(),
            credential: CREDENTIAL.into(),
            signed,
            said: self.now,
        };
        self.write(Kind::ApprovalDecided, Row::Verdict(verdict));
        let spoken = self.store.read(|view| spoken(view, &question.id, host::now())).unwrap();
        let held = HeldCall {
            question,
            salt: [0; 32],
            entry: event(Kind::ActionDecided, Vec::new()).id,
            spoken,
            suggestion: None,
            relying_party: None,
        };
        let matter = matter();
        let approved = matter.settle(&held.question, &held.spoken, host::now()).unwrap();
        Used::held(held, &approved, matter, "fold".into())
    }

    /// A standing approval for two calls that user:9 signed, and a call that it
    /// covers.
    fn standing(&self) -> Used {
        let row = approval(&self.alias, self.now);
        let terms = terms(&row, self.now);
        let signed = Signed::Key(terms.sign(&key(9)).unwrap());
        let disclosed = |value: Json| Disclosure { salt: [1; 32], value };
        let standing = Standing {
            id: terms.id.clone(),
            state: StandingState::Active,
            digest: terms.digest(),
            approval: row.id,
            policy: row.policy,
            rule: row.rule,
            risk: row.risk,
            server: row.server,
            tool: row.tool,
            principal: row.principal,
            agent: row.agent,
            workflow: row.workflow,
            workflow_digest: row.workflow_digest,
            task: row.task,
            root: row.root,
            needed: 1,
            count: terms.count,
            used: 0,
            starts: terms.from,
            ends: terms.until,
        };
        let signature = StandingSignature {
            standing: terms.id.clone(),
            approver: self.alias.clone(),
            grade: "key".into(),
            credential: CREDENTIAL.into(),
            said: self.now,
        };
        let approved = StandingApproved { standing, signature };
        let texts = vec![
            ("terms".to_owned(), disclosed(terms.statement())),
            ("signed".to_owned(), disclosed(signed.to_text().into())),
        ];
        let row = Row::StandingApproved(Box::new(approved));
        self.disclose(Kind::StandingApproved, row, texts);
        let maker = CurrentMaker::new(maker());
        let holds = StoreHolds::new(self.store.clone(), maker, "http://127.0.0.1");
        let mut found = holds.standings(&terms.root, TOOL, host::now()).unwrap();
        let standing = found.pop().unwrap();
        let matter = matter();
        let settled = matter.settle_standing(&standing.terms, &standing.signed, host::now());
        let used = UsedStanding::new(standing, &settled.unwrap(), matter, None, "fold".into());
        Used::Standing(Box::new(used))
    }

    fn spend(&self, used: &Used) -> Result<(), RecordRefusal> {
        let used = used.clone();
        let spent = self.store.write(move |tx| {
            let event = event(Kind::ActionDecided, Vec::new());
            spend(tx, &maker(), event, &used).map(drop)
        });
        spent.wait().map_err(|stop| match stop {
            Stop::Refused(refusal) => refusal,
            Stop::Store(error) => panic!("{error}"),
        })
    }
}

fn approval(alias: &Alias, now: Timestamp) -> Approval {
    Approval {
        id: ApprovalId::mint(now, [4; 10]),
        state: ApprovalState::Pending,
        action: sha256(b"action"),
        policy: sha256(b"policy"),
        rule: "policy:ask-first".into(),
        risk: "medium".into(),
        server: "desk".parse().unwrap(),
        tool: ToolId::parse(TOOL).unwrap(),
        principal: alias.clone(),
        agent: "agent:runner".parse().unwrap(),
        instance: Some("018cc251-f400-7000-8000-000000000001".parse().unwrap()),
        workflow: "tickets".parse().unwrap(),
        workflow_digest: sha256(b"workflow"),
        task: "018cc251-f400-7000-8000-000000000002".parse().unwrap(),
        root: sha256(b"root"),
        leaf: sha256(b"leaf"),
        needed: 1,
        asked: now,
        expires: Timestamp::from_seconds(now.seconds() + 600),
        settled: None,
    }
}

fn terms(about: &Approval, now: Timestamp) -> Terms {
    let arguments = Object::new().with("ticket_id", 8821u64);
    let call = Use {
        root: about.root,
        tool: TOOL,
        pin: None,
        arguments: &arguments,
        policy: about.policy,
        rule: &about.rule,
    };
    let bounds = Bounds {
        arguments: exactly(&arguments).unwrap(),
        count: 2,
        from: now,
        until: now.plus_seconds(600),
    };
    let id = StandingId::mint(now, [6; 10]);
    Terms::new(id, about.tool.clone(), &call, bounds).unwrap()
}

fn matter() -> Matter {
    let user = |name: &str| PrincipalId::parse(name).unwrap();
    Matter {
        rules: Approvals::default(),
        principal: user("user:142"),
        workflow_owner: user("user:owner"),
        tool_owner: user("user:owner"),
        risk: Risk::Medium,
        relying_party: None,
    }
}

type Change = fn(&Desk);

/// What ends somebody's right between stage 5 and the record, and what undoes it.
fn ends() -> [(Change, Change); 3] {
    [
        (|desk| desk.set_role(false), |desk| desk.set_role(true)),
        (|desk| desk.set_status(Status::Suspended), |desk| desk.set_status(Status::Active)),
        (
            |desk| desk.write(Kind::CredentialChanged, desk.credential(Status::Retired)),
            |desk| desk.write(Kind::CredentialChanged, desk.credential(Status::Active)),
        ),
    ]
}

fn is_lost(spent: &Result<(), RecordRefusal>) -> bool {
    matches!(spent, Err(RecordRefusal::ApprovalLost { why: Unsettled::Waiting { missing: 1, .. } }))
}

#[test]
fn who_loses_the_right_between_stage_5_and_the_record_has_approved_nothing() {
    let desk = Desk::open();
    let used = desk.approved();
    for (end, undo) in ends() {
        end(&desk);
        let spent = desk.spend(&used);
        assert!(is_lost(&spent), "{spent:?}");
        undo(&desk);
    }
    // Nothing was spent by that, and with the right it is, once.
    assert_eq!(desk.spend(&used), Ok(()));
    assert_eq!(desk.spend(&used), Err(RecordRefusal::ApprovalSpent));
}

#[test]
fn the_reason_for_a_lost_voice_is_the_one_that_stage_5_gives() {
    let desk = Desk::open();
    let used = desk.approved();
    desk.set_role(false);
    let Err(RecordRefusal::ApprovalLost { why: Unsettled::Waiting { lost: Some(lost), .. } }) =
        desk.spend(&used)
    else {
        panic!("a lost voice");
    };
    assert!(matches!(lost, Lost::Barred(barred) if barred.code() == "approver-not-named"));
}

#[test]
fn a_standing_approval_is_asked_again_and_used_as_often_as_it_says() {
    let desk = Desk::open();
    let used = desk.standing();
    for (end, undo) in ends() {
        end(&desk);
        let spent = desk.spend(&used);
        assert!(is_lost(&spent), "{spent:?}");
        undo(&desk);
    }
    assert_eq!(desk.spend(&used), Ok(()));
    assert_eq!(desk.spend(&used), Ok(()));
    assert_eq!(desk.spend(&used), Err(RecordRefusal::ApprovalSpent));
}

#[test]
fn what_was_revoked_since_stage_5_looked_lets_nothing_pass() {
    let desk = Desk::open();
    let used = desk.standing();
    let Used::Standing(standing) = &used else { panic!("a standing approval") };
    let row = Row::StandingRevoked { standing: standing.terms.id.clone() };
    desk.write(Kind::StandingRevoked, row);
    assert_eq!(desk.spend(&used), Err(RecordRefusal::ApprovalSpent));
}

#[test]
fn the_state_of_standing_approvals_is_made_again_from_the_ledger() {
    let desk = Desk::open();
    let used = desk.standing();
    assert_eq!(desk.spend(&used), Ok(()));
    let read = || desk.store.read(|view| view.all_standings(9)).unwrap();
    let before = read();
    assert_eq!((before.len(), before[0].used), (1, 1));
    desk.store.write(|tx| tx.rebuild().map(drop)).wait().unwrap();
    assert_eq!(read(), before);
}

#[test]
fn held_calls_whose_texts_were_erased_stay_as_they_are_when_the_state_is_made_again() {
    let desk = Desk::open();
    let used = desk.approved();
    assert_eq!(desk.spend(&used), Ok(()));
    let Used::Approval(spent) = &used else { panic!("a single approval") };
    let id = spent.question.id.clone();
    let read = || desk.store.read(|view| view.approval(&id)).unwrap().unwrap();
    let said = desk.store.read(|view| view.verdicts(&id)).unwrap().remove(0).entry;
    let erased = desk.store.write(move |tx| -> Result<(), StoreError> {
        let maker = maker();
        let event = event(Kind::PlaintextErased, Vec::new());
        tx.erase(&maker.id, &*maker.key, event, &[said]).map(drop)
    });
    erased.wait().unwrap();
    desk.store.write(|tx| tx.rebuild().map(drop)).wait().unwrap();
    assert_eq!(read().state, ApprovalState::Spent);
}
