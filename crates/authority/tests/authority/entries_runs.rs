//! What is written of a run, byte for byte, as the rules say it.

use std::collections::BTreeMap;

use bailiwick_authority::Installation;
use bailiwick_authority::host::Moment;
use bailiwick_authority::plan::{Plan, Step};
use bailiwick_authority::rules::checks::{self, Made};
use bailiwick_authority::rules::errands;
use bailiwick_authority::rules::requests::Asker;
use bailiwick_authority::rules::runs::{
    self, Claiming, Ground, Noting, Reviewing, Why, abandon, begin, claim, context, progress,
};
use bailiwick_core::crypto::{Signer as _, sha256};
use bailiwick_core::ids::{ActionId, Alias, GrantId, InstanceId, TaskId, ToolId, WorkflowId};
use bailiwick_policy::Workflow;
use bailiwick_policy::completion::{Completion, Finding};
use bailiwick_policy::grades::EvidenceGrade;
use bailiwick_policy::run::{Backed, Claim, Item, ItemKind, ModelCall};
use bailiwick_store::{
    Errand, ErrandCall, ErrandKind, ReviewVerdict, Run, RunEvidence, RunState, Task,
};

use crate::golden::{self, Golden};
use crate::support::*;

const CHECKLIST: &str = "
data_sources: {tool_servers: [desk], classes: [ticket], context: [refund-policy]}
completion:
  - {id: note-written, says: The ticket has a note., by: self_report}
";

fn alias(n: u8) -> Alias {
    Alias::parse(&format!("018cc251-f400-4000-8000-00000000000{n}")).unwrap()
}

fn asker(world: &World) -> Asker {
    Asker {
        principal: alias(1),
        agent: agent("agent:support-runner"),
        instance: InstanceId::mint(world.now(), [5; 10]),
        holder: key(21).public_key().thumbprint(),
        task: TaskId::mint(world.now(), [6; 10]),
        grant: GrantId::mint(world.now(), [7; 10]),
        root: sha256(b"root"),
        leaf: sha256(b"leaf"),
    }
}

fn keep(found: &mut BTreeMap<String, Golden>, step: &Step) {
    let maker = installation().makers.remove(0).id;
    let golden = Golden::seal(&step.event, &maker, &key(2));
    found.insert(step.event.kind.as_str().to_owned(), golden);
}

fn kept<T>(found: &mut BTreeMap<String, Golden>, plan: Plan<T>) -> T {
    for step in &plan.steps {
        keep(found, step);
    }
    plan.outcome
}

/// One entry of each kind that is about a run.
pub(crate) fn of_runs(found: &mut BTreeMap<String, Golden>) {
    let world = World::bare();
    let (moment, installation) = (Moment::of(&*world.host), installation());
    let workflow = Workflow::parse(&format!("{}{CHECKLIST}", golden::WORKFLOW)).unwrap();
    let who = asker(&world);
    let task = Task {
        id: who.task.clone(),
        workflow: WorkflowId::parse("tickets").unwrap(),
        workflow_digest: sha256(b"workflow"),
        agent: who.agent.clone(),
        principal: who.principal.clone(),
        created: world.now(),
    };
    let ends = world.now().plus_seconds(900);
    let ground = Ground {
        task: &task,
        workflow: &workflow,
        ends,
        attempts: 0,
        hourly: 0,
        open: None,
        goal_digest: sha256(b"keyed"),
    };
    let goal = ("answer the ticket", Some(sha256(b"instruction")));
    let begun = begin(&moment, &installation, &who, goal, &ground).unwrap();
    let run: Run = kept(found, begun);
    let noting = Noting { run: &run, asker: &who, ends };
    let items = [
        Item {
            kind: ItemKind::Document,
            digest: sha256(b"policy"),
            source: "refund-policy".into(),
            label: None,
        },
        Item {
            kind: ItemKind::Memory,
            digest: sha256(b"memory"),
            source: "last week".into(),
            label: Some("mine".into()),
        },
    ];
    let about = (&workflow, 0, [].as_slice());
    let noted = context(&moment, &installation, &noting, &items, about).unwrap();
    kept(found, noted);
    let call = ModelCall {
        model: "a-model".into(),
        input_tokens: 1200,
        output_tokens: 80,
        cost_micros: 4_500,
    };
    let took = (2, std::slice::from_ref(&call), Some("EUR"));
    kept(found, progress(&moment, &installation, &noting, took).unwrap());
    let claims = [Claim {
        criterion: "note-written".into(),
        statement: Some("it is there".into()),
        by: Backed::Word,
    }];
    let claiming =
        Claiming { claims: &claims, summary: Some("answered"), workflow: &workflow, receipts: &[] };
    let evidence = claiming.evidence(&run, 0, world.now()).unwrap();
    let open = Completion {
        criteria: vec![(
            "note-written".into(),
            Finding::TooWeak { best: EvidenceGrade::SelfReport, least: EvidenceGrade::Observed },
        )],
    };
    let claimed = claim(&moment, &installation, &noting, &claiming, evidence, &open).unwrap();
    kept(found, claimed);
    keep(found, &abandon(&moment, &installation, &run, Why::Idle).unwrap());
    let said = Reviewing {
        verdict: ReviewVerdict::Corrected,
        criteria: None,
        what: Some("the tone".into()),
        why: Some("too short".into()),
    };
    let ended = Run { state: RunState::Claimed, ..run.clone() };
    let reviewer = alias(2);
    let about = (&ended, &reviewer, 1);
    let word = said.evidence(&ended, &workflow, &[], (&reviewer, &moment)).unwrap();
    let reviewed = runs::review(&moment, &installation, about, &said, None, (word, false)).unwrap();
    kept(found, reviewed);
    checked_and_undone(found, &ended, (&moment, &installation));
}

/// A check by somebody else, and the start of the plan that undoes it.
fn checked_and_undone(
    found: &mut BTreeMap<String, Golden>,
    ended: &Run,
    (moment, installation): (&Moment<'_>, &Installation),
) {
    let evidence = RunEvidence {
        run: ended.id.clone(),
        n: 2,
        criterion: "note-written".into(),
        grade: "independent".into(),
        holds: true,
        action: None,
        by: "check:books".into(),
        made: moment.now(),
        seen: Some(3),
    };
    let completion = Completion { criteria: vec![("note-written".into(), Finding::Missing)] };
    let made = Made {
        criterion: "note-written",
        by: "check:books".into(),
        verdict: checks::Verdict::Holds,
        receipt: None,
        evidence: Some(evidence),
        output: Some("fine"),
        completion: &completion,
        complete: false,
        pending: false,
    };
    kept(found, checks::record(moment, installation, ended, made).unwrap());
    let (tool, call) =
        (ToolId::parse("mcp:desk:tools/add_note").unwrap(), ActionId::mint(moment.now(), [9; 10]));
    let arguments = sha256(b"arguments");
    let undone = Errand {
        run: ended.id.clone(),
        what: ErrandKind::Rollback,
        name: "note-withdrawn".into(),
        undoes: Some(call),
        call: Some(ErrandCall { root: sha256(b"root"), tool, arguments }),
        until: moment.now().plus_seconds(300),
    };
    let checked = Errand {
        what: ErrandKind::Check,
        name: "note-written".into(),
        undoes: None,
        ..undone.clone()
    };
    kept(found, errands::start(moment, installation, ended, undone).unwrap());
    kept(found, errands::start(moment, installation, ended, checked).unwrap());
}

#[test]
fn the_authority_writes_the_golden_entries_of_runs() {
    let mut found = BTreeMap::new();
    of_runs(&mut found);
    for (name, written) in &found {
        golden::check(name, written);
    }
    assert_eq!(found.len(), 9);
}
