//! The report of a run: made of its entries, shown, and verified offline.

use bailiwick_core::crypto::sha256;
use bailiwick_core::ids::{ActionId, EntryId, GrantId, OrgId, RunId, TaskId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Disclosure, Event, Kind, Subjects};
use bailiwick_evidence::bundle::{Fields, Receipt};
use bailiwick_evidence::run::{Count, ReportCheck, ReportVerdict};
use bailiwick_evidence::trust::Role;
use bailiwick_evidence::{ReportFile, Source as _, is_report, verify_report};
use bailiwick_policy::Workflow;
use bailiwick_tlog::TlogProof;

use crate::ledger::Ledger;
use crate::world::{Story, action, at, instance, json, seed, trust};

const WORKFLOW: &str = "workflow: tickets\nversion: '1'\nowner: user:owner\npurpose: p\nagents: [agent:runner]\n\
    level: bounded\nwindow_seconds: 60\nmax_depth: 1\nbudget: {max_calls: 9}\n\
    tool_servers: {desk: {tools: {add_note: {risk: low, effect: write}, get_ticket: {risk: low, effect: read}}}}\n\
    shorthands: {'all': {tools: {desk/get_ticket: any}}}\n\
    completion:\n\
    - {id: note-written, says: The ticket has a note., by: {tool: desk/add_note}}\n\
    - {id: books-agree, says: The books agree., by: {check: books}}\n";

const SAYS: &str = "The books agree.";

const NOTE: &str = "mcp:desk:tools/add_note";
const READ: &str = "mcp:desk:tools/get_ticket";
const PRINCIPAL: &str = "018cc251-f400-4000-8000-0000000000a1";
const REVIEWER: &str = "018cc251-f400-4000-8000-0000000000a2";

fn run() -> String {
    RunId::mint(at(10), [0x11; 10]).to_string()
}

fn call(n: u8) -> String {
    ActionId::mint(at(20), [n; 10]).to_string()
}

/// A run that happened, before anybody wrote it down.
struct Run {
    goal: &'static str,
    source: &'static str,
    /// What a criterion of the workflow says.
    says: &'static str,
    holds: bool,
    calls_after: bool,
    /// Another enforcement point made the call.
    external: bool,
    /// It is undone while it is checked: the last entry that the check was told of.
    undone: Option<u64>,
}

const ORDINARY: Run = Run {
    goal: "answer ticket 8821",
    source: "somebody's notes",
    says: SAYS,
    holds: true,
    calls_after: false,
    external: false,
    undone: None,
};

/// The workflow whose second criterion says this, if there can be one.
fn workflow(says: &str) -> Option<Workflow> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == ' ';
    let escaped = says.chars().map(|c| match plain(c) {
        true => c.to_string(),
        false => format!("\\U{:08x}", u32::from(c)),
    });
    let text = format!("\"{}\"", escaped.collect::<String>());
    Workflow::parse(&WORKFLOW.replace(SAYS, &text)).ok()
}

impl Run {
    fn story(&self) -> Story {
        let mut story = Story { events: Vec::new(), action: action() };
        let workflow = workflow(self.says).unwrap();
        let digest = workflow.digest();
        let none = Subjects::default();
        let published = Subjects { workflow: Some("tickets".into()), ..none };
        let body = Object::new().with("workflow", "tickets").with("digest", digest);
        tell(&mut story, Role::Authority, 1, Kind::WorkflowPublished, published, body);
        disclose(&mut story, "document", workflow.to_json());
        let row = object_of(&format!(
            r#"{{"row":"run","id":"{}","state":"open","task":"{}","attempt":2,"workflow":"tickets","workflow_digest":"{digest}","agent":"agent:runner","instance":"{}","principal":"{PRINCIPAL}","grant":"{}","root":"{}","goal":"{}","started":"2027-01-15T08:00:10Z","deadline":"2027-01-15T09:00:10Z"}}"#,
            run(),
            TaskId::mint(at(2), [2; 10]),
            instance(7),
            GrantId::mint(at(3), [3; 10]),
            sha256(b"root"),
            sha256(b"keyed"),
        ));
        self.told(&mut story, 10, Kind::RunStarted, row);
        disclose(&mut story, "goal", self.goal);
        let items = format!(
            r#"{{"row":"run_context","items":[{}]}}"#,
            [(1, "handbook", true), (2, "undeclared", false)]
                .map(|(n, source, declared)| format!(
                    r#"{{"run":"{}","n":{n},"kind":"document","digest":"{}","source":"{source}","label":"declared","declared":{declared},"noted":"2027-01-15T08:00:12Z"}}"#,
                    run(),
                    sha256(source.as_bytes()),
                ))
                .join(",")
        );
        self.told(&mut story, 12, Kind::RunContext, object_of(&items));
        let named = Object::new().with("n", 2u64).with("source", self.source);
        disclose(&mut story, "items", vec![Json::from(named)]);
        let more = r#"{"row":"run_progress","run":"r","more":{"iterations":3,"model_calls":2,"input_tokens":900,"output_tokens":40,"cost_micros":1250000,"currency":"EUR"},"deadline":"2027-01-15T09:00:10Z"}"#;
        self.told(&mut story, 14, Kind::RunProgress, object_of(more));
        self.call(&mut story, 20, 1, NOTE, "allow", "ok");
        self.call(&mut story, 22, 2, READ, "deny", "argument-not-delegated");
        let ended = format!(
            r#"{{"row":"run_ended","run":"r","state":"claimed","complete":false,"evidence":[{{"run":"r","n":1,"criterion":"note-written","grade":"observed","holds":true,"action":"{}","by":"agent:runner","made":"2027-01-15T08:00:30Z"}}]}}"#,
            call(1)
        );
        if self.calls_after {
            self.call(&mut story, 28, 3, NOTE, "allow", "error");
        }
        self.told(&mut story, 30, Kind::RunClaimed, object_of(&ended));
        if self.undone.is_some() {
            self.told(&mut story, 32, Kind::RollbackStarted, Object::new());
        }
        let seen = self.undone.map(|seen| format!(r#","seen":{seen}"#)).unwrap_or_default();
        let checked = format!(
            r#"{{"row":"run_complete","run":"r","complete":{},"evidence":[{{"run":"r","n":2,"criterion":"books-agree","grade":"independent","holds":{},"by":"check:books","made":"2027-01-15T08:00:35Z"{seen}}}]}}"#,
            self.holds, self.holds
        );
        self.told(&mut story, 35, Kind::RunChecked, object_of(&checked));
        let (_, event) = story.events.last_mut().unwrap();
        for (name, value) in
            [("criterion", "books-agree"), ("by", "check:books"), ("verdict", "holds")]
        {
            event.body.insert(name, value);
        }
        let reviewed = format!(
            r#"{{"row":"run_reviewed","review":{{"run":"r","n":1,"verdict":"accepted","reviewer":"{REVIEWER}","made":"2027-01-15T08:00:40Z"}},"complete":true,"evidence":[]}}"#
        );
        self.told(&mut story, 40, Kind::RunReviewed, object_of(&reviewed));
        story
    }

    fn subjects(&self) -> Subjects {
        Subjects {
            principal: Some(PRINCIPAL.into()),
            agent: Some("agent:runner".into()),
            workflow: Some("tickets".into()),
            run: Some(run()),
            ..Subjects::default()
        }
    }

    fn told(&self, story: &mut Story, seconds: i64, kind: Kind, row: Object) {
        let body = Object::new().with("row", row);
        tell(story, Role::Authority, seconds, kind, self.subjects(), body);
    }

    fn call(
        &self,
        story: &mut Story,
        seconds: i64,
        n: u8,
        tool: &str,
        decision: &str,
        reason: &str,
    ) {
        let allowed = decision == "allow";
        let subjects = Subjects {
            action: Some(call(n)),
            tool: Some(tool.into()),
            decision: Some(decision.into()),
            reason: (!allowed).then(|| reason.to_owned()),
            ..self.subjects()
        };
        let hop = Object::new().with("agent", "agent:runner").with("instance", &instance(7));
        let mut body = Object::new().with("hops", vec![Json::from(hop)]);
        if self.external {
            body.insert("enforcement", "external");
        }
        tell(story, Role::Gateway, seconds, Kind::ActionDecided, subjects.clone(), body);
        if allowed {
            let subjects = Subjects { decision: None, reason: Some(reason.to_owned()), ..subjects };
            tell(story, Role::Gateway, seconds + 1, Kind::ActionCompleted, subjects, Object::new());
        }
    }
}

fn object_of(text: &str) -> Object {
    json(text).as_object().unwrap().clone()
}

fn tell(story: &mut Story, role: Role, seconds: i64, kind: Kind, subjects: Subjects, body: Object) {
    let n = u8::try_from(story.events.len()).unwrap();
    let (id, time) = (EntryId::mint(at(seconds), [0x40 | n; 10]), at(seconds));
    let org = OrgId::parse("default").unwrap();
    let event = Event { id, org, time, kind, subjects, body, disclosures: Vec::new() };
    story.events.push((role, event));
}

fn disclose(story: &mut Story, field: &str, value: impl Into<Json>) {
    let salt = sha256(format!("{}{field}", story.events.len()).as_bytes());
    let (_, event) = story.events.last_mut().unwrap();
    event.disclosures.push((field.into(), Disclosure { salt: *salt.bytes(), value: value.into() }));
}

/// The parts of a report of everything in the log.
fn parts(ledger: &Ledger) -> (Vec<Receipt>, Vec<(EntryId, Fields)>) {
    let size = ledger.checkpoint.unverified().size();
    let mut receipts = Vec::new();
    for ((kind, _, bytes), index) in ledger.leaves.iter().zip(0..) {
        let proof = ledger.inclusion_proof(index, size).unwrap();
        let proof = TlogProof::new(proof, ledger.checkpoint.clone()).unwrap();
        let entry = String::from_utf8(bytes.clone()).unwrap();
        receipts.push(Receipt { name: *kind, entry, proof: proof.to_string() });
    }
    let mut disclosures: Vec<(EntryId, Fields)> = Vec::new();
    for ((entry, field), disclosure) in &ledger.values {
        let fields = vec![(field.clone(), disclosure.clone())];
        disclosures.push((entry.clone(), fields));
    }
    (receipts, disclosures)
}

fn file(run: &Run) -> ReportFile {
    let (receipts, disclosures) = parts(&run.story().seal());
    ReportFile::new(receipts, disclosures, Vec::new()).unwrap()
}

fn verified(text: &str) -> ReportVerdict {
    verify_report(text.as_bytes(), &trust(), &[])
}

fn failed(verdict: &ReportVerdict) -> (ReportCheck, &str) {
    match &verdict.result {
        Err((check, found)) => (*check, found),
        Ok(_) => panic!("it holds"),
    }
}

/// A difference is written beside the target, to be looked at and taken over.
fn golden(text: &str, name: &str, expected: &str) {
    if text != expected {
        let path = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
        std::fs::write(&path, text).unwrap();
        panic!("`{name}` differs; see {path}");
    }
}

#[test]
fn a_report_is_what_a_person_reads_in_each_form() {
    let file = file(&ORDINARY);
    let report = file.report();
    golden(&report.to_markdown(), "run.md", include_str!("../golden/run.md"));
    let json = report.to_json().canonical() + "\n";
    golden(&json, "run.json", include_str!("../golden/run.json"));
    let html = report.to_html();
    assert!(html.contains("@media print") && html.contains("prefers-color-scheme:dark"));
    for needs in ["<script", "<link", "src=", "href=", "@import", "url("] {
        assert!(!html.contains(needs), "{needs}");
    }
    for question in bailiwick_evidence::run::QUESTIONS {
        assert!(html.contains(&format!("<h2>{question}</h2>")), "{question}");
    }
}

#[test]
fn a_report_is_verified_offline_and_says_what_it_does_not_prove() {
    let text = file(&ORDINARY).to_text();
    assert!(is_report(text.as_bytes()));
    let verdict = verified(&text);
    assert_eq!(verdict.passed, ReportCheck::ALL, "{:?}", verdict.result);
    let proven = verdict.result.as_ref().unwrap();
    assert_eq!(proven.report.complete, Some(true));
    assert!(verdict.report().contains("REPORT HOLDS"), "{}", verdict.report());
    assert!(verdict.report().contains("not proved"));
    let again = ReportFile::parse(text.as_bytes()).unwrap();
    assert_eq!(again.to_text(), text);
}

#[test]
fn what_was_found_against_a_criterion_or_changed_since_leaves_it_incomplete() {
    let refused = file(&Run { holds: false, ..ORDINARY });
    assert_eq!(refused.report().complete, Some(false));
    let findings = |file: &ReportFile| -> Vec<String> {
        file.report().criteria.iter().flatten().map(|c| c.finding.clone()).collect()
    };
    assert_eq!(findings(&refused), ["met", "contradicted"]);
    // A later call of the same tool that did not go well leaves open what it did.
    let stale = file(&Run { calls_after: true, ..ORDINARY });
    assert_eq!(findings(&stale), ["stale", "met"]);
    assert_eq!(stale.report().complete, Some(false));
}

#[test]
fn what_another_enforcement_point_reported_is_a_word_whatever_was_written_of_it() {
    let reported = file(&Run { external: true, ..ORDINARY });
    let report = reported.report();
    let found = &report.criteria.as_ref().unwrap()[0];
    assert_eq!((found.finding.as_str(), found.grade.as_deref()), ("too_weak", Some("self_check")));
    assert_eq!(report.complete, Some(false));
    let said = "reported by an external enforcement point";
    assert_eq!(report.evidence[0].by, said);
    assert!(report.calls[0].external);
    assert!(report.to_markdown().contains(&format!("ok ({said})")));
}

#[test]
fn a_check_stands_where_it_was_told_what_it_looks_at() {
    let findings = |file: &ReportFile| -> Vec<String> {
        file.report().criteria.iter().flatten().map(|c| c.finding.clone()).collect()
    };
    assert_eq!(findings(&file(&Run { undone: Some(7), ..ORDINARY })), ["stale", "stale"]);
    assert_eq!(findings(&file(&Run { undone: Some(8), ..ORDINARY })), ["stale", "met"]);
}

/// The report's text with its own digest after `edit`: whoever tampers mends that too.
fn tampered(edit: impl FnOnce(&mut Object)) -> String {
    let text = file(&ORDINARY).to_text();
    let mut top = object_of(&text);
    top.remove("digest");
    edit(&mut top);
    let digest = sha256(Json::from(top.clone()).canonical().as_bytes());
    Json::from(top.with("digest", digest)).canonical() + "\n"
}

fn member(top: &Object, name: &str) -> Object {
    top.member(name).unwrap().as_object().unwrap().clone()
}

#[test]
fn what_a_report_says_and_its_entries_do_not_is_found() {
    let said = [
        ("complete", Json::from(false)),
        ("state", Json::from("open")),
        ("agent", Json::from("agent:other")),
        ("calls", Json::from(Vec::<Json>::new())),
        ("context", Json::from(Vec::<Json>::new())),
        ("goal", Json::from(Object::new().with("text", "another goal"))),
        ("evidence", Json::from(Vec::<Json>::new())),
        ("criteria", Json::Null),
        ("spent", Json::from(Object::new().with("cost_micros", 1u64))),
        ("reviews", Json::from(Vec::<Json>::new())),
        ("timeline", Json::from(Vec::<Json>::new())),
    ];
    for (name, value) in said {
        let text = tampered(|top| {
            let report = member(top, "report").with(name, value);
            top.insert("report", report);
        });
        let verdict = verified(&text);
        let (check, found) = failed(&verdict);
        assert_eq!(check, ReportCheck::Follows, "{name}");
        assert!(found.contains(&format!("`{name}`")), "{found}");
    }
    let more = tampered(|top| {
        let report = member(top, "report").with("praise", "well done");
        top.insert("report", report);
    });
    assert_eq!(failed(&verified(&more)).0, ReportCheck::Follows);
}

#[test]
fn entries_that_were_changed_moved_or_made_up_are_found() {
    // A leaf with another outcome: its maker's signature does not hold any more.
    let text = tampered(|top| {
        let mut receipts = top.member("receipts").unwrap().as_array().unwrap().to_vec();
        for receipt in &mut receipts {
            let object = receipt.as_object().unwrap();
            let leaf = object.member("entry").unwrap().as_str().unwrap();
            let changed = leaf.replace("argument-not-delegated", "tool-not-delegated");
            *receipt = object.clone().with("entry", changed).into();
        }
        top.insert("receipts", receipts);
    });
    // Either it says other things now, or the signature is looked at first.
    assert_eq!(failed(&verified(&text)).0, ReportCheck::Makers);
    // A proof of another entry.
    let text = tampered(|top| {
        let mut receipts = top.member("receipts").unwrap().as_array().unwrap().to_vec();
        let proof = |r: &Json| r.as_object().unwrap().member("proof").unwrap().clone();
        let (a, b) = (proof(&receipts[1]), proof(&receipts[2]));
        receipts[1] = receipts[1].as_object().unwrap().clone().with("proof", b).into();
        receipts[2] = receipts[2].as_object().unwrap().clone().with("proof", a).into();
        top.insert("receipts", receipts);
    });
    assert_eq!(failed(&verified(&text)).0, ReportCheck::Inclusion);
    // Another goal than the one that was committed to.
    let text = tampered(|top| {
        let disclosures = member(top, "disclosures");
        let mut changed = Object::new();
        for (id, fields) in disclosures.iter() {
            let text = fields.canonical().replace("answer ticket 8821", "answer ticket 1");
            changed.insert(id, json(&text));
        }
        top.insert("disclosures", changed);
    });
    assert_eq!(failed(&verified(&text)).0, ReportCheck::Disclosures);
    // Another log, and other makers.
    let other = |ledger: &Ledger| {
        let (receipts, disclosures) = parts(ledger);
        ReportFile::new(receipts, disclosures, Vec::new()).unwrap().to_text()
    };
    let stranger = other(&ORDINARY.story().seal_into(seed::STRANGER));
    assert_eq!(failed(&verified(&stranger)).0, ReportCheck::Inclusion);
    let mut forged = ORDINARY.story();
    for (role, event) in &mut forged.events {
        // The gateway says that the run is complete: that is not its to say.
        if event.kind == Kind::RunChecked {
            *role = Role::Gateway;
        }
    }
    assert_eq!(failed(&verified(&other(&forged.seal()))).0, ReportCheck::Makers);
    // Bytes that were damaged.
    let text = file(&ORDINARY).to_text();
    assert_eq!(failed(&verified(&text.replace("note", "nota"))).0, ReportCheck::File);
    assert_eq!(failed(&verified(&format!("{text}\n"))).0, ReportCheck::File);
}

#[test]
fn calls_that_are_only_counted_are_told_so_and_agree_with_the_numbers_of_the_entries() {
    let count = |tool: &str, decision: &str, reason: &str, calls| Count {
        tool: tool.into(),
        decision: decision.into(),
        reason: reason.into(),
        calls,
    };
    let counts = |notes, reads| {
        vec![count(NOTE, "allow", "", notes), count(READ, "deny", "argument-not-delegated", reads)]
    };
    let (mut receipts, disclosures) = parts(&ORDINARY.story().seal());
    receipts.retain(|receipt| !receipt.entry.contains("argument-not-delegated"));
    let made = |stated| ReportFile::new(receipts.clone(), disclosures.clone(), stated).unwrap();
    let long = made(counts(1, 1));
    assert_eq!((long.report().omitted, long.report().unshown), (1, Some(1)));
    assert!(long.report().to_markdown().contains("1 calls are counted here and not listed"));
    assert!(long.report().standing().contains("by those of its entries that are shown"));
    let verdict = verified(&long.to_text());
    assert!(verdict.holds() && verdict.report().contains("the authority's count"));
    // Fewer than are listed, more than have numbers, and none at all.
    for stated in [counts(0, 1), counts(1, 100_000), Vec::new()] {
        let (check, _) = failed(&verified(&made(stated.clone()).to_text()));
        assert_eq!(check, ReportCheck::Follows, "{stated:?}");
    }
}

/// Whoever passes a report on cannot leave out what speaks against the run.
#[test]
fn no_entry_can_be_left_out_between_two_others_and_a_report_says_where_it_ends() {
    let (receipts, disclosures) = parts(&ORDINARY.story().seal());
    let without = |kind: Kind| {
        let mut left: Vec<Receipt> = receipts.clone();
        left.retain(|receipt| receipt.name != kind);
        let here = |id: &EntryId| left.iter().any(|receipt| receipt.entry.contains(id.as_str()));
        let told = disclosures.iter().filter(|(id, _)| here(id)).cloned().collect();
        ReportFile::new(left, told, Vec::new()).unwrap().to_text()
    };
    for kind in [Kind::RunContext, Kind::RunProgress, Kind::ActionCompleted, Kind::RunChecked] {
        let verdict = verified(&without(kind));
        let (check, found) = failed(&verdict);
        assert_eq!(check, ReportCheck::Follows, "{kind:?}");
        assert!(found.contains("left out"), "{found}");
    }
    // What came last is a report of before it.
    let verdict = verified(&without(Kind::RunReviewed));
    let said = verdict.report();
    assert!(verdict.holds() && said.contains("every entry of the run, up to entry "), "{said}");
    assert!(said.contains("that nothing came after the last entry shown"), "{said}");
    assert!(!said.contains(" 40Z"), "{said}");
}

#[test]
fn a_run_that_a_person_rejected_says_so() {
    let mut story = ORDINARY.story();
    let (_, event) = story.events.last_mut().unwrap();
    let row = event.body.member("row").unwrap().canonical().replace("accepted", "rejected");
    event.body.insert("row", json(&row));
    disclose(&mut story, "what", "Everything.");
    disclose(&mut story, "why", "The note is of another ticket.");
    let (receipts, disclosures) = parts(&story.seal());
    let file = ReportFile::new(receipts, disclosures, Vec::new()).unwrap();
    let text = file.report().to_markdown();
    assert!(text.contains("does not count as complete: a person rejected it"), "{text}");
    assert!(text.contains("The note is of another ticket."), "{text}");
    assert!(verified(&file.to_text()).report().contains("a person rejected it"));
}

/// Entries of something else, with good proofs under the same checkpoint.
#[test]
fn an_entry_that_the_run_does_not_refer_to_makes_no_report() {
    let other = Subjects { principal: Some(REVIEWER.into()), ..Subjects::default() };
    let called = Subjects {
        action: Some(call(9)),
        tool: Some(NOTE.into()),
        decision: Some("allow".into()),
        ..Subjects::default()
    };
    let verdict = Object::new().with("verdict", "approved");
    let version = Object::new().with("digest", sha256(b"another version"));
    for (role, kind, subjects, body) in [
        (Role::Authority, Kind::ApprovalDecided, other.clone(), verdict.clone()),
        (Role::Authority, Kind::StandingApproved, other.clone(), verdict),
        (Role::Authority, Kind::WorkflowPublished, other.clone(), version),
        (Role::Authority, Kind::FailureDetected, other, Object::new()),
        (Role::Gateway, Kind::ActionDecided, called, Object::new()),
    ] {
        let mut story = ORDINARY.story();
        tell(&mut story, role, 50, kind, subjects, body);
        let (receipts, disclosures) = parts(&story.seal());
        let made = ReportFile::new(receipts, disclosures, Vec::new());
        assert!(made.is_err(), "{kind:?}");
    }
}

#[test]
fn what_was_erased_is_said_to_be_erased_and_the_rest_holds() {
    let ledger = ORDINARY.story().seal();
    let (receipts, mut disclosures) = parts(&ledger);
    disclosures.retain(|(_, fields)| fields.iter().all(|(field, _)| field == "document"));
    let erased = ReportFile::new(receipts.clone(), disclosures, Vec::new()).unwrap();
    let text = erased.report().to_markdown();
    assert!(text.contains("text was erased") && !text.contains("8821"), "{text}");
    assert!(text.contains("its name was erased"), "{text}");
    assert!(verified(&erased.to_text()).holds());
    // Without the workflow's text nothing can be derived, and nothing is said.
    let bare = ReportFile::new(receipts, Vec::new(), Vec::new()).unwrap();
    assert_eq!((bare.report().complete, &bare.report().criteria), (None, &None));
    assert!(bare.report().to_markdown().contains("cannot be derived here"));
    assert!(verified(&bare.to_text()).holds());
}

/// Texts that others would have a browser or a terminal obey.
const CORPUS: &[&str] = &[
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'><svg/onload=alert(1)>",
    "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "<!--<script>-->",
    "]]><script>alert(1)</script>",
    "javascript:alert(1)",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "`${alert(1)}`",
    "| a | b |\n|---|---|\n# Heading\n[x](javascript:alert(1))",
    "![x](https://evil.example/pixel.png)",
    "<https://evil.example>",
    "https://evil.example and www.evil.example",
    "# heading",
    "- item",
    "\u{1b}[31mred\u{7}",
    "right \u{202e}left\u{2066} hidden \u{200b}",
    "line\u{2028}separator\u{85}next",
    "\0nul",
];

/// Markdown without what a backslash makes plain: what is left is markup.
fn unescaped(markdown: &str) -> String {
    let mut left = String::new();
    let mut chars = markdown.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            c => left.push(c),
        }
    }
    left
}

#[test]
fn texts_from_outside_are_text_in_every_form() {
    // Most may also stand in a workflow.
    let stands = |text: &&&str| workflow(text).is_some();
    assert!(CORPUS.iter().filter(stands).count() > CORPUS.len() / 2);
    for text in CORPUS {
        let says = if stands(&text) { text } else { SAYS };
        let run = Run { goal: text, source: text, says, ..ORDINARY };
        let file = file(&run);
        let html = file.report().to_html();
        let body = html.split_once("</style>").unwrap().1;
        for (open, close) in [("<script", "</script"), ("<img", "<svg"), ("<!--", "-->")] {
            assert!(!body.contains(open) && !body.contains(close), "{text:?}: {html}");
        }
        // Tags are ours alone, and none has what the text brought.
        for tag in body.split('<').skip(1) {
            let (tag, rest) = tag.split_once('>').unwrap();
            assert!(!tag.contains("alert") && !tag.contains("onerror"), "{tag}");
            assert!(!rest.contains('>'), "{rest}");
        }
        let markdown = file.report().to_markdown();
        let bare = unescaped(&markdown);
        for bad in ["<", "\n# Heading", "> #", "](", "![", "`", "~~", "://"] {
            assert!(!bare.contains(bad), "{bad}: {markdown}");
        }
        let invisible = |c: char| {
            c.is_control() && c != '\n'
                || ('\u{2028}'..='\u{202e}').contains(&c)
                || ('\u{2066}'..='\u{2069}').contains(&c)
                || c == '\u{200b}'
        };
        for shown in [&html, &markdown, &verified(&file.to_text()).report()] {
            assert!(!shown.contains(invisible), "{text:?}: {shown}");
        }
        assert!(verified(&file.to_text()).holds(), "{text:?}");
    }
}
