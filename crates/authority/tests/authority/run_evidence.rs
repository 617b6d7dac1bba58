//! What counts as evidence of a run, and what its undoing is known by: nothing that
//! whoever wants it could say.

use bailiwick_authority::rules::checks::MAX_SUBJECTS;
use bailiwick_authority::rules::checks::Verdict;
use bailiwick_authority::rules::delegations::Issued;
use bailiwick_authority::rules::errands::{ERRAND_SECONDS, UndoState};
use bailiwick_authority::rules::requests::Asker;
use bailiwick_authority::{Checked, NamedResult, Refusal, Undo};
use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::grant::Request;
use bailiwick_core::ids::{ActionId, EntryId, RunId, ToolId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Disclosure, Event, Kind, Subjects};
use bailiwick_policy::run::{Said, Verb};
use bailiwick_store::StoreError;

use crate::requests::asker;
use crate::support::*;

const NOTE: &str = "mcp:support-desk:tools/add_note";
const TICKET: &str = "mcp:support-desk:tools/get_ticket";
const CRITERIA: &str = r#"  - {id: noted, says: The ticket has a note., by: {tool: support-desk/add_note}}
  - id: read-back
    says: The desk shows it.
    by:
      tool_check: support-desk/get_ticket
      arguments: {ticket_id: "{argument:ticket_id}"}
      expect: [{at: /ticket_id, equals: "{argument:ticket_id}"}]
    changed_by: [support-desk/add_note]
"#;
const NAMED: &str = "  - {id: books-agree, says: The books agree., by: {check: books}}\n";

/// A task whose workflow has these criteria, with an open run of it.
struct Scene {
    world: World,
    who: Asker,
    run: RunId,
}

/// One call, as the gateway would write it.
struct Made<'a> {
    run: Option<&'a RunId>,
    tool: &'a str,
    by: &'a str,
    enforcement: &'a str,
    arguments: &'a str,
    decision: &'a str,
    outcome: Option<&'a str>,
    result: &'a str,
    granted: Option<&'a Issued>,
    errand: Option<(&'a EntryId, &'a RunId)>,
}

impl Default for Made<'_> {
    fn default() -> Self {
        Self {
            run: None,
            tool: NOTE,
            by: "agent:support-runner",
            enforcement: "gateway",
            arguments: r#"{"ticket_id":8821,"text":"done"}"#,
            decision: "allow",
            outcome: Some("ok"),
            result: r#"{"content":[]}"#,
            granted: None,
            errand: None,
        }
    }
}

impl Scene {
    fn new(criteria: &str) -> Self {
        let world = World::desk();
        let (before, rest) = WORKFLOW.split_once("completion:\n").unwrap();
        let (_, after) = rest.split_once("review:\n").unwrap();
        let text = format!("{before}completion:\n{criteria}\nreview:\n{after}");
        world.authority.workflow_publish(&text).unwrap();
        let who = asker(&world, &delegated(&world, ("user:142", 11), "agent:support-runner"));
        let mut scene = Self { run: world.jti().parse().unwrap(), world, who };
        let begun = scene.say(Verb::Begin, r#"{"goal": "answer the ticket"}"#).unwrap();
        scene.run = text_of(&begun, "run").parse().unwrap();
        scene
    }

    fn say(&self, verb: Verb, text: &str) -> Result<Json, Refusal> {
        let said = Said::parse(verb, json(text).as_object().unwrap()).unwrap();
        self.world.authority.run_said(&self.who, &said).map(Json::from)
    }

    fn claim(&self) {
        self.say(Verb::Complete, r#"{"claims": []}"#).unwrap();
    }

    /// A call of this run.
    fn own(&self, made: Made<'_>) -> ActionId {
        self.made(Made { run: Some(&self.run), ..made })
    }

    fn made(&self, made: Made<'_>) -> ActionId {
        let id: EntryId = self.world.jti().parse().unwrap();
        let owner = self.world.authority.principal(&principal("user:owner")).unwrap().row.alias;
        let subjects = Subjects {
            action: Some(id.to_string()),
            agent: Some(made.by.into()),
            principal: made.granted.map(|_| owner.to_string()),
            grant: made.granted.map(|issued| issued.grant.to_string()),
            run: made.run.map(ToString::to_string),
            tool: Some(made.tool.into()),
            decision: Some(made.decision.into()),
            ..Subjects::default()
        };
        let hop = Object::new().with("agent", made.by);
        let mut body =
            Object::new().with("hops", vec![Json::from(hop)]).with("enforcement", made.enforcement);
        if let Some((entry, run)) = made.errand {
            body.insert("errand", Object::new().with("entry", entry).with("run", run));
        }
        let event = |id: EntryId, kind, subjects: Subjects, body, (field, value): (&str, Json)| {
            let disclosure = Disclosure { salt: [7; 32], value };
            let disclosures = vec![(field.to_owned(), disclosure)];
            let (org, time) = (installation().org, self.world.now());
            Event { id, org, time, kind, subjects, body, disclosures }
        };
        let arguments = ("arguments", json(made.arguments));
        self.write(event(id.clone(), Kind::ActionDecided, subjects.clone(), body, arguments));
        if let Some(outcome) = made.outcome {
            let subjects = Subjects { decision: None, reason: Some(outcome.into()), ..subjects };
            let digest = sha256(json(made.result).canonical().as_bytes());
            let result =
                ("result", Object::new().with("sha256", digest).with("bytes", 1u64).into());
            let body = Object::new().with("is_error", outcome != "ok");
            let id = self.world.jti().parse().unwrap();
            self.write(event(id, Kind::ActionCompleted, subjects, body, result));
        }
        id.as_str().parse().unwrap()
    }

    fn write(&self, event: Event) {
        let maker = installation().makers[1].id.clone();
        let store = self.world.authority.store();
        let written: Result<_, StoreError> =
            store.write(move |tx| tx.append(&maker, &*key(3), event).map(|_| ())).wait();
        written.unwrap();
    }

    /// What was found of a criterion: the finding, the grade, and who says so.
    fn found(&self, criterion: &str) -> (String, Option<String>, Option<String>) {
        let shown = self.world.authority.run_read(None, &self.run).unwrap();
        let derived = shown.derived;
        let (_, found) =
            derived.completion.criteria.iter().find(|(id, _)| id == criterion).unwrap();
        let by = found.by().map(|by| derived.evidence[by].by.clone());
        (found.as_str().to_owned(), found.grade().map(|g| g.as_str().to_owned()), by)
    }

    fn finding(&self, criterion: &str) -> String {
        self.found(criterion).0
    }

    /// A read of a ticket by a checker whom the owner sent, and its taking up.
    fn check(&self, owner: &Issued, ticket: u64, shows: u64) -> Result<Verdict, Refusal> {
        self.check_as(owner, ticket, shows, "gateway")
    }

    fn check_as(
        &self,
        owner: &Issued,
        ticket: u64,
        shows: u64,
        enforcement: &str,
    ) -> Result<Verdict, Refusal> {
        let result = format!(r#"{{"structuredContent":{{"ticket_id":{shows}}}}}"#);
        let action = self.made(Made {
            tool: TICKET,
            by: "agent:order-reader",
            enforcement,
            arguments: &format!(r#"{{"ticket_id":{ticket}}}"#),
            result: &result,
            granted: Some(owner),
            ..Made::default()
        });
        let checked = Checked { criterion: "read-back".into(), action, result: json(&result) };
        let taken = self.world.authority.take_up_check(None, &self.run, &checked);
        taken.map(|taken| taken.verdict)
    }

    fn owner(&self) -> Issued {
        delegated(&self.world, ("user:owner", 10), "agent:order-reader")
    }

    fn note(&self, ticket: u64) -> ActionId {
        let arguments = format!(r#"{{"ticket_id":{ticket},"text":"done"}}"#);
        self.own(Made { arguments: &arguments, ..Made::default() })
    }
}

fn delegated(world: &World, (name, seed): (&str, u8), agent_name: &str) -> Issued {
    let request = Request {
        principal: principal(name),
        agent: agent(agent_name),
        ..world.request(&["ticket:8821"], 15)
    };
    let prepared = world.prepare(&request).unwrap();
    let signed = prepared.statement.sign(&*key(seed));
    world.authority.submit(&prepared, &signed, None).unwrap()
}

fn text_of(json: &Json, name: &str) -> String {
    json.as_object().unwrap().member(name).unwrap().as_str().unwrap().to_owned()
}

fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> &'static str {
    result.unwrap_err().code()
}

#[test]
fn what_another_enforcement_point_reports_is_a_word_and_no_observation() {
    for claimed in [true, false] {
        let scene = Scene::new(CRITERIA);
        let call = scene.own(Made { enforcement: "external", ..Made::default() });
        let claims = match claimed {
            true => format!(r#"{{"claims": [{{"criterion": "noted", "receipt": "{call}"}}]}}"#),
            false => r#"{"claims": []}"#.to_owned(),
        };
        scene.say(Verb::Complete, &claims).unwrap();
        let (finding, grade, _) = scene.found("noted");
        assert_eq!((finding.as_str(), grade.as_deref()), ("too_weak", Some("self_check")));
        let shown = scene.world.authority.run_read(None, &scene.run).unwrap();
        let evidence = shown.derived.evidence;
        assert!(!evidence.is_empty());
        for item in evidence {
            assert_eq!(item.by, "reported by an external enforcement point");
        }
    }
    // Nor does it hide what the gateway saw.
    let scene = Scene::new(CRITERIA);
    scene.own(Made::default());
    scene.claim();
    assert_eq!(scene.finding("noted"), "met");
    // What is reported as not executed may have been.
    let scene = Scene::new(CRITERIA);
    scene.own(Made::default());
    let outcome = Some("not_executed");
    scene.own(Made { enforcement: "external", outcome, ..Made::default() });
    scene.claim();
    assert_eq!(scene.finding("noted"), "stale");
}

#[test]
fn an_answer_that_the_gateway_did_not_see_checks_nothing() {
    let scene = Scene::new(CRITERIA);
    scene.note(8821);
    scene.claim();
    let owner = scene.owner();
    let refused = scene.check_as(&owner, 8821, 8821, "external").unwrap_err();
    assert_eq!(refused.code(), "check-shows-nothing");
    assert!(refused.to_string().contains("did not see it"), "{refused}");
    assert_eq!(scene.finding("read-back"), "missing");
    assert_eq!(scene.check(&owner, 8821, 8821).unwrap(), Verdict::Holds);
    assert_eq!(scene.finding("read-back"), "met");
}

#[test]
fn a_run_is_checked_for_everything_that_it_changed_and_its_agent_does_not_choose() {
    let scene = Scene::new(CRITERIA);
    scene.note(8821);
    scene.note(9000);
    // As many calls of no consequence as there may be, about something else.
    for _ in 0..201 {
        scene.own(Made { tool: TICKET, arguments: r#"{"ticket_id":1}"#, ..Made::default() });
    }
    // And one that failed, as whoever made it says.
    scene.own(Made {
        enforcement: "external",
        outcome: Some("error"),
        arguments: r#"{"ticket_id":7,"text":"x"}"#,
        ..Made::default()
    });
    scene.claim();
    let checks = scene.world.authority.run_checks(None, &scene.run).unwrap().to_json();
    let due = checks.member("checks").unwrap().as_array().unwrap();
    let tickets: Vec<String> = due
        .iter()
        .map(|due| due.as_object().unwrap().member("arguments").unwrap().canonical())
        .collect();
    assert_eq!(tickets, [r#"{"ticket_id":7}"#, r#"{"ticket_id":9000}"#, r#"{"ticket_id":8821}"#]);
    let owner = scene.owner();
    let refused = scene.check(&owner, 1, 1).unwrap_err();
    assert!(refused.to_string().contains("arguments are others"), "{refused}");
    assert_eq!(scene.check(&owner, 8821, 8821).unwrap(), Verdict::Holds);
    assert_eq!(scene.finding("read-back"), "missing", "two are left");
    assert_eq!(scene.check(&owner, 9000, 1).unwrap(), Verdict::DoesNotHold);
    assert_eq!(scene.finding("read-back"), "contradicted");
    assert_eq!(scene.check(&owner, 7, 7).unwrap(), Verdict::Holds);
    assert_eq!(scene.finding("read-back"), "contradicted", "one of them does not hold");
    for ticket in [7, 8821, 9000] {
        assert_eq!(scene.check(&owner, ticket, ticket).unwrap(), Verdict::Holds);
    }
    assert_eq!(scene.finding("read-back"), "met");
}

#[test]
fn a_run_that_changed_too_much_to_be_checked_is_not_checked_in_part() {
    let scene = Scene::new(CRITERIA);
    for ticket in 0..=MAX_SUBJECTS {
        scene.note(u64::try_from(ticket).unwrap());
    }
    scene.claim();
    let owner = scene.owner();
    assert_eq!(code(scene.check(&owner, 1, 1)), "check-changes-too-many");
    assert_eq!(scene.finding("read-back"), "missing");
    let checks = scene.world.authority.run_checks(None, &scene.run).unwrap().to_json();
    assert!(Json::from(checks).canonical().contains("more than can be checked"));
}

#[test]
fn a_tools_output_is_declared_only_as_the_gateway_recorded_it() {
    let scene = Scene::new(CRITERIA);
    let result = r#"{"content":[],"structuredContent":{"a":1}}"#;
    let digest = sha256(json(result).canonical().as_bytes());
    let read = |made: Made<'_>| scene.own(Made { tool: TICKET, result, ..made });
    let (ok, failed, outside) = (
        read(Made::default()),
        read(Made { outcome: Some("error"), ..Made::default() }),
        read(Made { enforcement: "external", ..Made::default() }),
    );
    for (source, digest, undeclared) in [
        (&ok, digest, "[]"),
        (&ok, sha256(b"made up"), "[2]"),
        (&failed, digest, "[3]"),
        (&outside, digest, "[4]"),
    ] {
        let note = format!(
            r#"{{"items": [{{"kind": "tool_output", "sha256": "{digest}", "source": "{source}"}}]}}"#
        );
        let answer = scene.say(Verb::Context, &note).unwrap();
        let told = answer.as_object().unwrap().member("undeclared").unwrap().canonical();
        assert_eq!(told, undeclared);
    }
}

#[test]
fn a_check_that_was_told_of_less_than_happened_since_is_stale() {
    let scene = Scene::new(&format!("{CRITERIA}{NAMED}"));
    let note = scene.note(8821);
    scene.claim();
    let authority = &scene.world.authority;
    let (_, seen) = authority.check_input(&scene.run, "books-agree").unwrap();
    // While it looks at the books somebody begins to undo what they are about.
    let root = sha256(b"root");
    start(&scene, &note, root).unwrap();
    let result = NamedResult {
        criterion: "books-agree".into(),
        check: "books".into(),
        verdict: Verdict::Holds,
        output: "fine".into(),
        seen,
    };
    authority.record_named_check(&scene.run, &result).unwrap();
    assert_eq!(scene.finding("books-agree"), "stale");
    let (_, seen) = authority.check_input(&scene.run, "books-agree").unwrap();
    authority.record_named_check(&scene.run, &NamedResult { seen, ..result }).unwrap();
    assert_eq!(scene.finding("books-agree"), "met");
}

fn start(scene: &Scene, note: &ActionId, root: Digest) -> Result<Undo, Refusal> {
    let step = ("note-withdrawn", Some(note));
    scene.world.authority.start_rollback(None, &scene.run, step, Some(root))
}

fn state(scene: &Scene) -> UndoState {
    scene.world.authority.rollback_plan(None, &scene.run).unwrap()[0].state
}

const WITHDRAWN: &str = r#"{"ticket_id":8821,"text":"The note before this one was withdrawn."}"#;

fn awaited(scene: &Scene, root: &Digest, arguments: &str) -> Option<(EntryId, RunId)> {
    let (tool, arguments) = (ToolId::parse(NOTE).unwrap(), json(arguments));
    let arguments = arguments.as_object().unwrap();
    scene.world.authority.awaited_errand((root, &tool), arguments, scene.world.now()).unwrap()
}

#[test]
fn a_step_is_undone_by_one_call_that_somebody_claimed_before() {
    let scene = Scene::new(CRITERIA);
    let note = scene.note(8821);
    scene.claim();
    let root = sha256(b"root");
    let step = ("note-withdrawn", Some(&note));
    let none = scene.world.authority.start_rollback(None, &scene.run, step, None);
    assert_eq!(code(none), "rollback-no-delegation");
    assert_eq!(start(&scene, &note, root).unwrap().state, UndoState::Started);
    let size = scene.world.log_size();
    for other in [root, sha256(b"another")] {
        assert_eq!(code(start(&scene, &note, other)), "rollback-started");
    }
    assert_eq!(scene.world.log_size(), size, "nothing was written");
    // Equal calls of anybody else, and more of them than are looked through.
    for _ in 0..3 {
        scene.made(Made { arguments: WITHDRAWN, ..Made::default() });
    }
    assert_eq!(state(&scene), UndoState::Started);
    // Its call is known by delegation, tool and arguments, all of them.
    assert_eq!(awaited(&scene, &sha256(b"another"), WITHDRAWN), None);
    assert_eq!(awaited(&scene, &root, r#"{"ticket_id":8821}"#), None);
    let (entry, run) = awaited(&scene, &root, WITHDRAWN).unwrap();
    assert_eq!(run, scene.run);
    // It fails: then it may be started again, and that time it is done.
    let errand = Some((&entry, &run));
    let failed = Some("timeout");
    scene.made(Made { arguments: WITHDRAWN, errand, outcome: failed, ..Made::default() });
    assert_eq!((state(&scene), awaited(&scene, &root, WITHDRAWN)), (UndoState::Failed, None));
    start(&scene, &note, root).unwrap();
    let (entry, run) = awaited(&scene, &root, WITHDRAWN).unwrap();
    scene.made(Made { arguments: WITHDRAWN, errand: Some((&entry, &run)), ..Made::default() });
    assert_eq!(state(&scene), UndoState::Done);
    // As long ago as it may be, and however much happened since.
    for _ in 0..201 {
        scene.made(Made { arguments: r#"{"ticket_id":1,"text":"x"}"#, ..Made::default() });
    }
    assert_eq!(state(&scene), UndoState::Done);
    let size = scene.world.log_size();
    assert_eq!(start(&scene, &note, root).unwrap().state, UndoState::Done);
    assert_eq!(scene.world.log_size(), size, "nothing was written");
}

#[test]
fn a_claim_of_which_nothing_comes_ends_and_so_does_one_that_was_denied() {
    let scene = Scene::new(CRITERIA);
    let note = scene.note(8821);
    scene.claim();
    let root = sha256(b"root");
    start(&scene, &note, root).unwrap();
    let (entry, run) = awaited(&scene, &root, WITHDRAWN).unwrap();
    let errand = Some((&entry, &run));
    scene.made(Made {
        arguments: WITHDRAWN,
        errand,
        decision: "deny",
        outcome: None,
        ..Made::default()
    });
    assert_eq!(state(&scene), UndoState::Open);
    start(&scene, &note, root).unwrap();
    scene.world.host.advance(ERRAND_SECONDS * 1_000);
    assert_eq!((state(&scene), awaited(&scene, &root, WITHDRAWN)), (UndoState::Open, None));
}

#[test]
fn what_is_undone_is_shown_again_only_after_the_call_that_undid_it() {
    let scene = Scene::new(&format!("{CRITERIA}{NAMED}"));
    let note = scene.note(8821);
    scene.claim();
    let root = sha256(b"root");
    start(&scene, &note, root).unwrap();
    let (entry, run) = awaited(&scene, &root, WITHDRAWN).unwrap();
    let made = Made { arguments: WITHDRAWN, errand: Some((&entry, &run)), ..Made::default() };
    scene.made(Made { outcome: None, ..made });
    let asked = scene.world.authority.check_input(&scene.run, "books-agree");
    assert_eq!(code(asked), "run-under-way");
    assert_eq!(scene.finding("noted"), "stale");
    // Its call is none of the run's: it brings no receipt.
    let shown = scene.world.authority.run_read(None, &scene.run).unwrap();
    assert_eq!(shown.calls.iter().map(|calls| calls.calls).sum::<u64>(), 1);
}

#[test]
fn a_check_is_announced_by_who_may_and_only_what_is_due() {
    let scene = Scene::new(CRITERIA);
    scene.note(8821);
    let (authority, root) = (&scene.world.authority, sha256(b"root"));
    let announce = |criterion: &str, arguments: &str| {
        let arguments = json(arguments);
        let arguments = (arguments.as_object().unwrap(), root);
        authority.announce_check(None, &scene.run, criterion, arguments)
    };
    assert_eq!(code(announce("read-back", r#"{"ticket_id":8821}"#)), "run-open");
    scene.claim();
    assert_eq!(code(announce("noted", r#"{"ticket_id":8821}"#)), "check-unknown");
    let other = announce("read-back", r#"{"ticket_id":1}"#);
    assert_eq!(code(other), "check-other-arguments");
    announce("read-back", r#"{"ticket_id":8821}"#).unwrap();
    let tool = ToolId::parse(TICKET).unwrap();
    let arguments = Object::new().with("ticket_id", 8821u64);
    let waits = |root: &Digest| {
        authority.awaited_errand((root, &tool), &arguments, scene.world.now()).unwrap()
    };
    assert_eq!(waits(&root).unwrap().1, scene.run);
    assert_eq!(waits(&sha256(b"another")), None);
}

#[test]
fn errands_and_what_came_of_them_are_made_again_from_the_ledger() {
    let scene = Scene::new(CRITERIA);
    let note = scene.note(8821);
    scene.claim();
    let root = sha256(b"root");
    start(&scene, &note, root).unwrap();
    let (entry, run) = awaited(&scene, &root, WITHDRAWN).unwrap();
    scene.made(Made { arguments: WITHDRAWN, errand: Some((&entry, &run)), ..Made::default() });
    let store = scene.world.authority.store();
    let rebuilt: Result<_, StoreError> = store.write(|tx| tx.rebuild().map(|_| ())).wait();
    rebuilt.unwrap();
    assert_eq!(state(&scene), UndoState::Done);
}
