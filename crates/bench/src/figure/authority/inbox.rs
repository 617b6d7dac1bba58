//! Calls that wait for people: how long a part of a long list takes, and how
//! long it takes from an approval to its effect.

use std::time::Instant;

use bailiwick_authority::{InboxQuery, Sayer};
use bailiwick_core::approval::{Signed, Verdict};
use bailiwick_core::crypto::sha256;
use bailiwick_core::ids::{
    AgentId, ApprovalId, EntryId, InstanceId, PrincipalId, ServerName, TaskId, ToolId, WorkflowId,
};
use bailiwick_core::jose::JwsSigner as _;
use bailiwick_core::json::Object;
use bailiwick_core::ledger::{Event, Kind, Subjects};
use bailiwick_store::{Approval, ApprovalState, Row, StoreError};
use bailiwick_testkit::present::{SERVER, fresh_id, key_of_jwk, now};
use serde_json::Value;

use super::Stage;
use super::inside::{self, Inside};
use super::table::{Report, Table};
use crate::Failure;
use crate::figure::proxy::echoes;
use crate::installation::PRINCIPAL;
use crate::load::{Connection, Prepared};
use crate::machine::Machine;
use crate::measure::{percentile, sorted};
use crate::place::Place;
use crate::server::echo::TOOL;

const OWNER: &str = "user:owner";
/// Rows in one transaction.
const TOGETHER: u32 = 500;
/// Calls on one page.
const PAGE: u32 = 50;
/// Calls that one task may ask for within ten minutes.
const MOST_ASKED: u32 = 20;

const ASK: &str = r#"
@id("all")
@reason("measured")
permit (principal, action, resource);
@id("ask-first")
@reason("measured")
@approval
forbid (principal, action, resource == Tool::"mcp:support-desk:tools/echo");
"#;

const ABOUT: &str = "so many calls wait; 50 of them are listed, as the console and the API list \
them, from the first on, from the middle on, by words that stand in a few names, in none, and by \
an agent. Approved: from handing over the signed verdict, by another process on the data dir as \
`approvals approve` does, to the arrival of the tool's answer to the call that is sent again.";

pub(crate) fn report(rounds: u32, many: u32, place: &Place) -> Result<Report, Failure> {
    let folder = place.folder()?;
    let mut stage = Stage::set_up(folder.path())?;
    std::fs::create_dir(folder.path().join("asking"))?;
    std::fs::write(folder.path().join("asking/ask.cedar"), ASK)?;
    let cli = &stage.installed.cli;
    cli.run(&["policy", "publish", "asking"])?;
    cli.run(&["approvals", "key", "new", "--for", OWNER, "--out", "approver.key"])?;
    stage.installed.stop()?;
    let inside = inside::open(&stage.installed.data(), &stage.installed.url())?;
    fill(&inside, many)?;
    let mut notes = vec![format!("{many} calls wait; {rounds} reads of each")];
    notes.extend(listed(&inside, rounds)?);
    stage.installed.start()?;
    notes.push(effects(&stage, &inside, rounds.min(MOST_ASKED))?);
    Ok(Report {
        figure: "authority inbox",
        about: ABOUT,
        machine: Machine::here(),
        file_system: place.file_system().to_owned(),
        tables: Vec::<Table>::new(),
        notes,
    })
}

/// Lets so many calls wait, of a hundred agents, each of a task of its own.
fn fill(inside: &Inside, many: u32) -> Result<(), Failure> {
    let principal = inside.authority.principal(&PrincipalId::parse(PRINCIPAL)?)?.row.alias;
    let workflow = WorkflowId::parse("echo")?;
    let version = inside.authority.store().read(|view| view.workflow(&workflow))?;
    let version = version.ok_or("the workflow is published")?.row.digest;
    let mut held = Vec::new();
    for n in 0..many {
        let at = now();
        held.push(Approval {
            id: ApprovalId::mint(at, random()),
            state: ApprovalState::Pending,
            action: sha256(&n.to_be_bytes()),
            policy: sha256(b"policy"),
            rule: "policy:ask-first".into(),
            risk: if n % 10 == 0 { "high" } else { "low" }.into(),
            server: ServerName::parse(SERVER)?,
            tool: ToolId::parse(&format!("mcp:{SERVER}:tools/{TOOL}-{}", n % 50))?,
            principal: principal.clone(),
            agent: AgentId::parse(&format!("agent:caller-{}", n % 100))?,
            instance: Some(InstanceId::mint(at, random())),
            workflow: workflow.clone(),
            workflow_digest: version,
            task: TaskId::mint(at, random()),
            root: sha256(b"root"),
            leaf: sha256(b"leaf"),
            needed: 1,
            asked: at,
            expires: at.plus_seconds(86_400),
            settled: None,
        });
    }
    let together = usize::try_from(TOGETHER)?;
    for part in held.chunks(together) {
        let (part, org) = (part.to_vec(), inside.installation.org.clone());
        let maker = inside.installation.makers.first().ok_or("a maker")?.id.clone();
        let key = std::sync::Arc::clone(&inside.keys.maker);
        let written = inside.authority.store().write(move |tx| -> Result<(), StoreError> {
            for approval in part {
                let event = Event {
                    id: EntryId::mint(approval.asked, random()),
                    org: org.clone(),
                    time: approval.asked,
                    kind: Kind::ActionDecided,
                    subjects: Subjects {
                        decision: Some("approval_required".into()),
                        ..Subjects::default()
                    },
                    body: Object::new(),
                    disclosures: Vec::new(),
                };
                tx.record(&maker, &*key, event, &Row::Approval(Box::new(approval)))?;
            }
            Ok(())
        });
        written.wait()?;
    }
    Ok(())
}

fn random() -> [u8; 10] {
    let mut bytes = [0; 10];
    // Without entropy ids repeat, and then the store refuses the entry.
    let _ = getrandom::fill(&mut bytes);
    bytes
}

fn listed(inside: &Inside, rounds: u32) -> Result<Vec<String>, Failure> {
    let page = InboxQuery { limit: PAGE, ..InboxQuery::default() };
    let all = InboxQuery { limit: 500, ..InboxQuery::default() };
    let middle = inside.authority.inbox(None, &all)?.next;
    let words = |text: &str| InboxQuery { search: Some(text.to_owned()), ..page.clone() };
    let sides = [
        ("the first 50           ", page.clone()),
        ("50 from the middle on  ", InboxQuery { after: middle, ..page.clone() }),
        ("words in a few names   ", words("echo-7 caller-57")),
        ("words in none          ", words("nobody has this")),
        ("of one agent           ", InboxQuery { agent: Some("agent:caller-57".into()), ..page }),
    ];
    let mut lines = Vec::new();
    for (name, query) in sides {
        let mut taken = Vec::new();
        for _ in 0..rounds {
            let began = Instant::now();
            inside.authority.inbox(None, &query)?;
            taken.push(began.elapsed().as_secs_f64() * 1e3);
        }
        lines.push(line(name, taken));
    }
    Ok(lines)
}

fn line(name: &str, taken_ms: Vec<f64>) -> String {
    let sorted = sorted(taken_ms);
    let at = |percent| percentile(&sorted, percent);
    format!("{name}  p50 {:7.2} ms   p99 {:7.2} ms   max {:7.2} ms", at(50), at(99), at(100))
}

/// Asks, approves and sends again.
fn effects(stage: &Stage, inside: &Inside, rounds: u32) -> Result<String, Failure> {
    let installed = &stage.installed;
    let file = std::fs::read_to_string(installed.cli.folder.join("approver.key"))?;
    let file: Value = serde_json::from_str(&file)?;
    let approver = key_of_jwk(file.get("key").ok_or("an approver key")?);
    let mut connection = Connection::open(installed.address, 1)?;
    let mut taken = Vec::new();
    for _ in 0..rounds {
        let text = fresh_id();
        let asked = connection.send(&Prepared::new(&installed.call(&text), |_| true))?;
        let id = asked.json().pointer("/error/data/approval/id").cloned();
        let id = id.as_ref().and_then(Value::as_str).ok_or("the call waits")?;
        let id = ApprovalId::parse(id)?;
        let question = inside.authority.approval_read(None, &id)?.question;
        let signed = Signed::Key(question.sign(Verdict::Approve, &approver)?);
        let sayer = Sayer::Key(approver.verifying_key().thumbprint());
        let began = Instant::now();
        inside.authority.approval_say(sayer, &id, Verdict::Approve, signed, None)?;
        let answer = connection.send(&Prepared::new(&installed.call(&text), |_| true))?;
        if !echoes(&answer, &text) {
            return Err(format!("not allowed: {} {}", answer.status, answer.text()).into());
        }
        taken.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(line("approved → effect      ", taken))
}
