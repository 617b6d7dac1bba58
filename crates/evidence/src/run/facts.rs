//! From the entries to what they say of the run.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_core::ids::{ActionId, ToolId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_policy::Workflow;
use bailiwick_policy::checklist::Backing;
use bailiwick_policy::completion::{Change, Evidence, REPORTED, derive, of_receipt};
use bailiwick_policy::grades::{Effect, EvidenceGrade};

use super::leaf::{Leaf, number, objects, text};
use super::{
    Approval, Call, ContextItem, Count, CriterionFound, EvidenceItem, Moment, Path, ReviewItem,
    RunReport, Spent, Told, plain,
};

/// An allowed call with where it stands.
struct Placed {
    tool: ToolId,
    action: String,
    agent: String,
    outcome: Option<String>,
    decided: u64,
    over: Option<u64>,
    /// Whether another enforcement point made it.
    external: bool,
    /// The entry of the errand that it takes up.
    errand: Option<String>,
}

impl RunReport {
    /// What `leaves` say of the run. `stated` are the run's calls by tool and
    /// decision where not all of them are here.
    pub(super) fn of(leaves: &[Leaf], stated: &[Count]) -> Result<Self, &'static str> {
        let mut starts = leaves.iter().filter(|leaf| leaf.kind == Kind::RunStarted);
        let start = starts.next().ok_or("run.started")?;
        if starts.next().is_some() {
            return Err("run.started");
        }
        let row = start.row().ok_or("run.started")?;
        let id = text(row, "id").ok_or("run.started")?;
        let of_run: Vec<&Leaf> =
            leaves.iter().filter(|leaf| leaf.subject("run") == Some(&id)).collect();
        referred(leaves, &of_run, row)?;
        let calls = calls(&of_run);
        let listed = counted(&calls);
        let counts = if stated.is_empty() { listed.clone() } else { stated.to_vec() };
        let sum = |counts: &[Count]| counts.iter().map(|c| c.calls).fold(0, u64::saturating_add);
        let ended =
            of_run.iter().find(|leaf| matches!(leaf.kind, Kind::RunClaimed | Kind::RunAbandoned));
        let need = |name: &str| text(row, name).ok_or("run.started");
        let mut report = Self {
            task: need("task")?,
            attempt: number(row, "attempt"),
            workflow: need("workflow")?,
            workflow_digest: need("workflow_digest")?,
            agent: need("agent")?,
            instance: need("instance")?,
            principal: need("principal")?,
            grant: need("grant")?,
            goal: told(start, "goal"),
            instruction: told(start, "instruction_sha256"),
            started: start.time,
            ended: ended.map(|leaf| leaf.time),
            state: match ended.map(|leaf| leaf.kind) {
                Some(Kind::RunClaimed) => "claimed".to_owned(),
                Some(_) => "abandoned".to_owned(),
                None => "open".to_owned(),
            },
            context: context(&of_run),
            omitted: sum(&counts).saturating_sub(sum(&listed)),
            unshown: unshown(&of_run)?,
            counts,
            paths: paths(&of_run),
            approvals: approvals(leaves),
            calls,
            criteria: None,
            complete: None,
            evidence: Vec::new(),
            reviews: reviews(&of_run),
            spent: spent(&of_run),
            timeline: leaves.iter().map(moment).collect(),
            run: id,
        };
        report.derive(leaves, &of_run);
        Ok(report)
    }

    /// Derives the completion again, where the workflow's text is here.
    fn derive(&mut self, leaves: &[Leaf], of_run: &[&Leaf]) {
        let placed = placed(leaves);
        let evidence = evidence(of_run, &placed);
        let workflow = workflow(leaves, &self.workflow_digest);
        let mut all = evidence;
        if let Some(workflow) = &workflow {
            // What the agent claimed by the same call says the same.
            let found = observed(workflow, of_run, &placed);
            let is_new = |e: &Evidence| !all.iter().any(|known| known == e);
            let found: Vec<Evidence> = found.into_iter().filter(is_new).collect();
            all.extend(found);
        }
        self.evidence = all.iter().map(item).collect();
        let Some(workflow) = workflow else { return };
        let criteria = &workflow.checklist.completion;
        let writes: BTreeSet<ToolId> = workflow
            .catalogue
            .tools()
            .filter(|(_, rating)| rating.effect == Effect::Write)
            .map(|(tool, _)| tool)
            .collect();
        let changes = changes(of_run, &placed, criteria, &writes);
        let derived = derive(criteria, &writes, &all, &changes);
        let held = derived.is_complete() && !self.is_rejected();
        self.complete = Some(self.state == "claimed" && held);
        let reasons = derived.reasons();
        let found = criteria.iter().zip(&derived.criteria).zip(reasons);
        let found = found.map(|((criterion, (_, finding)), why)| CriterionFound {
            id: criterion.id.clone(),
            says: criterion.says.clone(),
            least: criterion.by.least().as_str().to_owned(),
            finding: finding.as_str().to_owned(),
            grade: finding.grade().map(|grade| grade.as_str().to_owned()),
            why,
        });
        self.criteria = Some(found.collect());
    }
}

/// Nothing is here but what the run refers to: its own entries, the version by which it
/// is judged, the words because of which its calls were allowed, and the calls that
/// speak for a criterion.
fn referred(leaves: &[Leaf], of_run: &[&Leaf], run: &Object) -> Result<(), &'static str> {
    let id = text(run, "id");
    let version = text(run, "workflow_digest");
    let words: BTreeSet<&str> = of_run
        .iter()
        .filter(|leaf| leaf.kind == Kind::ActionDecided)
        .flat_map(|leaf| {
            let verdicts = leaf.listed("approval", "verdicts");
            verdicts.into_iter().chain(leaf.listed("approval", "signatures"))
        })
        .collect();
    let rows = of_run.iter().filter_map(|leaf| leaf.row());
    let receipts: BTreeSet<String> = rows
        .flat_map(|row| objects(row, "evidence"))
        .filter_map(|item| text(item, "action"))
        .collect();
    let is_referred = |leaf: &&Leaf| {
        leaf.subject("run") == id.as_deref()
            || match leaf.kind {
                Kind::WorkflowPublished => {
                    leaf.body("digest").and_then(Json::as_str) == version.as_deref()
                }
                Kind::ApprovalDecided | Kind::StandingApproved => words.contains(leaf.id.as_str()),
                Kind::ActionDecided | Kind::ActionCompleted => {
                    leaf.subject("action").is_some_and(|action| receipts.contains(action))
                }
                _ => false,
            }
    };
    match leaves.iter().all(|leaf| is_referred(&leaf)) {
        true => Ok(()),
        false => Err("an entry that the run does not refer to"),
    }
}

/// Entries of the run before the last one here that are not here, by their numbers;
/// those that were made before entries were numbered have none, and count.
fn unshown(of_run: &[&Leaf]) -> Result<Option<u64>, &'static str> {
    let numbered: Vec<u64> = of_run.iter().filter_map(|leaf| leaf.run_seq).collect();
    let numbers: BTreeSet<u64> = numbered.iter().copied().collect();
    let Some(last) = numbers.last() else { return Ok(None) };
    let here = u64::try_from(of_run.len()).unwrap_or(u64::MAX);
    match last.checked_sub(here) {
        Some(unshown) if numbers.len() == numbered.len() => Ok(Some(unshown)),
        _ => Err("the numbers of the run's entries"),
    }
}

/// A text that an entry committed to.
fn told(leaf: &Leaf, field: &str) -> Told {
    let text = leaf.value(field).and_then(Json::as_str).map(str::to_owned);
    Told { commitment: leaf.commitment(field), text }
}

fn context(of_run: &[&Leaf]) -> Vec<ContextItem> {
    let mut found = Vec::new();
    for leaf in of_run.iter().filter(|leaf| leaf.kind == Kind::RunContext) {
        let Some(row) = leaf.row() else { continue };
        // What the agent called it is behind the entry.
        let named = leaf.value("items").and_then(Json::as_array).unwrap_or_default();
        let named: Vec<&Object> = named.iter().filter_map(Json::as_object).collect();
        for item in objects(row, "items") {
            let declared = item.member("declared").and_then(Json::as_bool) == Some(true);
            let (n, source) = (number(item, "n"), text(item, "source"));
            let source = match declared {
                true => source,
                false => {
                    let told = named.iter().find(|named| number(named, "n") == n);
                    told.and_then(|told| text(told, "source"))
                }
            };
            found.push(ContextItem {
                n,
                kind: text(item, "kind").unwrap_or_default(),
                sha256: text(item, "digest").unwrap_or_default(),
                source,
                declared,
            });
        }
    }
    found
}

fn calls(of_run: &[&Leaf]) -> Vec<Call> {
    let mut outcomes = BTreeMap::new();
    for leaf in of_run.iter().filter(|leaf| leaf.kind == Kind::ActionCompleted) {
        if let (Some(action), Some(outcome)) = (leaf.subject("action"), leaf.subject("reason")) {
            outcomes.insert(action, outcome);
        }
    }
    let decided = of_run.iter().filter(|leaf| leaf.kind == Kind::ActionDecided);
    let call = |leaf: &&Leaf| {
        let own = |name: &str| leaf.subject(name).map(str::to_owned);
        let outcome = leaf.subject("action").and_then(|action| outcomes.get(action));
        Call {
            index: leaf.index,
            at: leaf.time,
            action: own("action"),
            tool: own("tool"),
            agent: own("agent"),
            decision: own("decision").unwrap_or_default(),
            reason: own("reason"),
            outcome: outcome.map(|outcome| (*outcome).to_owned()),
            external: is_external(leaf),
        }
    };
    decided.map(call).collect()
}

/// Whether another enforcement point made the call that a decision is about.
fn is_external(decided: &Leaf) -> bool {
    let enforcement = decided.body("enforcement").and_then(Json::as_str);
    enforcement.is_some_and(|enforcement| enforcement != "gateway")
}

fn counted(calls: &[Call]) -> Vec<Count> {
    let mut counts: BTreeMap<(String, String, String), u64> = BTreeMap::new();
    for call in calls {
        let reason = match call.decision.as_str() {
            "allow" => String::new(),
            _ => call.reason.clone().unwrap_or_default(),
        };
        let key = (call.tool.clone().unwrap_or_default(), call.decision.clone(), reason);
        *counts.entry(key).or_default() += 1;
    }
    let count = |((tool, decision, reason), calls)| Count { tool, decision, reason, calls };
    counts.into_iter().map(count).collect()
}

fn paths(of_run: &[&Leaf]) -> Vec<Path> {
    let mut paths: BTreeMap<Vec<(String, String)>, u64> = BTreeMap::new();
    for leaf in of_run.iter().filter(|leaf| leaf.kind == Kind::ActionDecided) {
        let hops = leaf.body("hops").and_then(Json::as_array).unwrap_or_default();
        let hop = |hop: &Json| {
            let hop = hop.as_object()?;
            Some((text(hop, "agent")?, text(hop, "instance").unwrap_or_default()))
        };
        *paths.entry(hops.iter().filter_map(hop).collect()).or_default() += 1;
    }
    paths.into_iter().map(|(hops, calls)| Path { hops, calls }).collect()
}

fn approvals(leaves: &[Leaf]) -> Vec<Approval> {
    let of = |leaf: &Leaf| {
        let verdict = match leaf.kind {
            Kind::ApprovalDecided => leaf.body("verdict")?.as_str()?,
            Kind::StandingApproved => "standing",
            _ => return None,
        };
        Some(Approval {
            at: leaf.time,
            approver: leaf.subject("principal")?.to_owned(),
            verdict: verdict.to_owned(),
            index: leaf.index,
        })
    };
    leaves.iter().filter_map(of).collect()
}

fn reviews(of_run: &[&Leaf]) -> Vec<ReviewItem> {
    let of = |leaf: &&Leaf| {
        let review = leaf.row()?.member("review")?.as_object()?;
        Some(ReviewItem {
            at: leaf.time,
            verdict: text(review, "verdict")?,
            reviewer: text(review, "reviewer")?,
            what: told(leaf, "what"),
            why: told(leaf, "why"),
        })
    };
    of_run.iter().filter(|leaf| leaf.kind == Kind::RunReviewed).filter_map(of).collect()
}

fn spent(of_run: &[&Leaf]) -> Spent {
    let mut all = Spent::default();
    for leaf in of_run.iter().filter(|leaf| leaf.kind == Kind::RunProgress) {
        let more = leaf.row().and_then(|row| row.member("more")?.as_object());
        let Some(more) = more else { continue };
        let add = |sum: &mut u64, name: &str| *sum = sum.saturating_add(number(more, name));
        add(&mut all.iterations, "iterations");
        add(&mut all.model_calls, "model_calls");
        add(&mut all.input_tokens, "input_tokens");
        add(&mut all.output_tokens, "output_tokens");
        add(&mut all.cost_micros, "cost_micros");
        all.currency = all.currency.or_else(|| text(more, "currency"));
    }
    all
}

/// Allowed calls, of the run and of those who checked it.
fn placed(leaves: &[Leaf]) -> Vec<Placed> {
    let mut over = BTreeMap::new();
    for leaf in leaves.iter().filter(|leaf| leaf.kind == Kind::ActionCompleted) {
        if let Some(action) = leaf.subject("action") {
            over.insert(action, (leaf.index, leaf.subject("reason").map(str::to_owned)));
        }
    }
    let allowed = leaves.iter().filter(|leaf| {
        leaf.kind == Kind::ActionDecided && leaf.subject("decision") == Some("allow")
    });
    let place = |leaf: &Leaf| {
        let action = leaf.subject("action")?;
        let over = over.get(action);
        Some(Placed {
            tool: ToolId::parse(leaf.subject("tool")?).ok()?,
            action: action.to_owned(),
            agent: leaf.subject("agent").unwrap_or_default().to_owned(),
            outcome: over.and_then(|(_, outcome)| outcome.clone()),
            decided: leaf.index,
            over: over.map(|(index, _)| *index),
            external: is_external(leaf),
            errand: leaf.body("errand").and_then(|errand| text(errand.as_object()?, "entry")),
        })
    };
    allowed.filter_map(place).collect()
}

/// What the run's entries say for and against criteria, each at its place.
fn evidence(of_run: &[&Leaf], placed: &[Placed]) -> Vec<Evidence> {
    let mut found = Vec::new();
    for leaf in of_run {
        let Some(row) = leaf.row() else { continue };
        for item in objects(row, "evidence") {
            let Some(grade) = text(item, "grade").and_then(|grade| grade.parse().ok()) else {
                continue;
            };
            let action = text(item, "action");
            let call = placed.iter().find(|call| Some(&call.action) == action.as_ref());
            let external = call.is_some_and(|call| call.external);
            // As where it was derived first: a receipt stands at its outcome, what
            // somebody else read may have been read when it was decided, and a check
            // knows what it was told of.
            let at = match (grade, call) {
                _ if item.member("seen").is_some() => number(item, "seen"),
                (EvidenceGrade::Observed | EvidenceGrade::SelfCheck, Some(call)) => {
                    call.over.unwrap_or(leaf.index)
                }
                (EvidenceGrade::Independent, Some(call)) => call.decided,
                _ => leaf.index,
            };
            let by = text(item, "by").unwrap_or_default();
            found.push(Evidence {
                criterion: text(item, "criterion").unwrap_or_default(),
                grade: of_receipt(grade, external),
                holds: item.member("holds").and_then(Json::as_bool) == Some(true),
                action: action.and_then(|action| ActionId::parse(&action).ok()),
                by: if external { REPORTED.to_owned() } else { by },
                at,
            });
        }
    }
    found
}

/// The newest calls of each criterion's tool that went well, claimed or not: as the
/// gateway saw it, and as others report it.
fn observed(workflow: &Workflow, of_run: &[&Leaf], placed: &[Placed]) -> Vec<Evidence> {
    let mine = in_run(of_run);
    let mut found = Vec::new();
    for criterion in &workflow.checklist.completion {
        let Backing::Tool { tool } = &criterion.by else { continue };
        for external in [false, true] {
            let well = placed.iter().filter(|call| {
                call.tool == *tool
                    && call.external == external
                    && call.outcome.as_deref() == Some("ok")
                    && mine.contains(call.action.as_str())
            });
            let Some(call) = well.max_by_key(|call| call.over) else { continue };
            found.push(Evidence {
                criterion: criterion.id.clone(),
                grade: of_receipt(EvidenceGrade::Observed, external),
                holds: true,
                action: ActionId::parse(&call.action).ok(),
                by: if external { REPORTED.to_owned() } else { call.agent.clone() },
                at: call.over.unwrap_or(call.decided),
            });
        }
    }
    found
}

fn in_run<'l>(of_run: &[&'l Leaf]) -> BTreeSet<&'l str> {
    of_run.iter().filter_map(|leaf| leaf.subject("action")).collect()
}

fn changes(
    of_run: &[&Leaf],
    placed: &[Placed],
    criteria: &[bailiwick_policy::checklist::Criterion],
    writes: &BTreeSet<ToolId>,
) -> Vec<Change> {
    let mine = in_run(of_run);
    let changed = placed.iter().filter(|call| {
        (call.external || call.outcome.as_deref() != Some("not_executed"))
            && mine.contains(call.action.as_str())
    });
    let mut changes: Vec<Change> = changed
        .map(|call| Change { tool: call.tool.clone(), at: call.over.unwrap_or(u64::MAX) })
        .collect();
    let undone: Vec<_> = of_run.iter().filter(|leaf| leaf.kind == Kind::RollbackStarted).collect();
    let starts = undone.iter().map(|leaf| leaf.index);
    let undoing = placed.iter().filter(|call| {
        call.errand.as_ref().is_some_and(|errand| undone.iter().any(|leaf| leaf.id == *errand))
    });
    let over = undoing.map(|call| call.over.unwrap_or(u64::MAX));
    if let Some(at) = starts.chain(over).max() {
        let named = criteria.iter().filter_map(|c| c.changed_by.as_ref()).flatten();
        let all: BTreeSet<&ToolId> = writes.iter().chain(named).collect();
        changes.extend(all.into_iter().map(|tool| Change { tool: tool.clone(), at }));
    }
    changes
}

fn workflow(leaves: &[Leaf], digest: &str) -> Option<Workflow> {
    let published = leaves.iter().find(|leaf| {
        leaf.kind == Kind::WorkflowPublished
            && leaf.body("digest").and_then(Json::as_str) == Some(digest)
    })?;
    let workflow = Workflow::parse(&published.value("document")?.canonical()).ok()?;
    (workflow.digest().to_string() == digest).then_some(workflow)
}

fn item(evidence: &Evidence) -> EvidenceItem {
    EvidenceItem {
        criterion: evidence.criterion.clone(),
        grade: evidence.grade.as_str().to_owned(),
        holds: evidence.holds,
        by: evidence.by.clone(),
        action: evidence.action.as_ref().map(ToString::to_string),
        index: evidence.at,
    }
}

fn moment(leaf: &Leaf) -> Moment {
    Moment {
        index: leaf.index,
        at: leaf.time,
        what: happened(leaf),
        kind: leaf.kind.as_str().to_owned(),
        entry: leaf.id.clone(),
        leaf_hash: leaf.hash.clone(),
    }
}

/// What an entry says, in a sentence.
fn happened(leaf: &Leaf) -> String {
    let subject = |name: &str| plain(leaf.subject(name).unwrap_or("?"));
    let body = |name: &str| plain(leaf.body(name).and_then(Json::as_str).unwrap_or("?"));
    let empty = Object::new();
    let row = leaf.row().unwrap_or(&empty);
    match leaf.kind {
        Kind::WorkflowPublished => format!("workflow {} was published", subject("workflow")),
        Kind::RunStarted => format!("{} started the run", subject("agent")),
        Kind::RunContext => format!("{} items of context were noted", objects(row, "items").len()),
        Kind::RunProgress => "the agent stated what the run took".to_owned(),
        Kind::ActionDecided => match leaf.subject("reason") {
            Some(reason) if leaf.subject("decision") != Some("allow") => format!(
                "{} of {} by {}: {}",
                subject("decision"),
                subject("tool"),
                subject("agent"),
                plain(reason)
            ),
            _ => format!("{} of {} by {}", subject("decision"), subject("tool"), subject("agent")),
        },
        Kind::ActionCompleted => format!("{}: {}", subject("tool"), subject("reason")),
        Kind::ApprovalDecided => format!("{} said: {}", subject("principal"), body("verdict")),
        Kind::StandingApproved => {
            format!("{} signed a standing approval", subject("principal"))
        }
        Kind::RunClaimed => format!("{} said that the run is complete", subject("agent")),
        Kind::RunAbandoned => "the run was abandoned".to_owned(),
        Kind::RunChecked => {
            format!("{} on `{}`: {}", body("by"), body("criterion"), body("verdict"))
        }
        Kind::RunReviewed => {
            let review = row.member("review").and_then(Json::as_object).unwrap_or(&empty);
            let said = text(review, "verdict").unwrap_or_default();
            format!("a person {} the run", plain(&said))
        }
        Kind::CheckStarted => format!("a check of `{}` was started", body("criterion")),
        Kind::RollbackStarted => {
            format!("step `{}` of the rollback plan was started", body("step"))
        }
        Kind::AutonomyLowered => {
            format!("the workflow's autonomy was lowered to `{}`: {}", body("to"), body("cause"))
        }
        Kind::FailureDetected => "a failure was noted".to_owned(),
        Kind::FailureClassified => "a person said what kind of failure it was".to_owned(),
        Kind::FailureResolved => "a failure was resolved".to_owned(),
        other => other.as_str().to_owned(),
    }
}
