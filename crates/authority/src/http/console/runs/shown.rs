//! From a run's records to what its page shows.

use std::collections::BTreeMap;

use bailiwick_core::ids::Alias;
use bailiwick_policy::Workflow;
use bailiwick_policy::completion::Finding;
use bailiwick_store::{
    ContextKind, ReviewVerdict, RunCalls, RunContext, RunSpent, RunState, StoreError,
};

use super::super::workflows::backing;
use super::super::{Failure, Inner};
use crate::completion::Derived;
use crate::console::{
    CallLine, ContextItemLine, EvidenceLine, FoundLine, Moment, Reviewing, RunLine, RunReviewLine,
    SpentLine, Text, UndoLine,
};
use crate::rules::errands::UndoState;
use crate::rules::runs::UNDECLARED;
use crate::{ListedRun, SeenRun, ShownReview, Undo, UndoHow};

const ERASED: &str = "somebody whose name was erased";

const fn verdict_word(verdict: ReviewVerdict) -> (&'static str, &'static str) {
    match verdict {
        ReviewVerdict::Accepted => ("accepted", "good"),
        ReviewVerdict::Corrected => ("corrected", "warn"),
        ReviewVerdict::Rejected => ("rejected", "bad"),
    }
}

pub(super) fn line(listed: &ListedRun) -> RunLine {
    let run = &listed.run;
    let state = match (listed.state, run.complete) {
        (RunState::Open, _) => ("open", "plain"),
        (RunState::Abandoned, _) => ("abandoned", "bad"),
        (RunState::Claimed, Some(true)) => ("complete", "good"),
        (RunState::Claimed, _) => ("incomplete", "warn"),
    };
    RunLine {
        id: run.id.to_string(),
        path: format!("/runs/{}", run.id),
        workflow: Text::of(run.workflow.as_str()),
        agent: Text::of(run.agent.as_str()),
        principal: listed.principal.as_ref().map(|id| Text::of(id.as_str())),
        attempt: run.attempt,
        state,
        review: run.review.map(verdict_word),
        started: Moment::of(run.started),
        ended: run.ended.map(Moment::of),
    }
}

/// Whether it counts as complete, in a sentence.
pub(super) fn verdict(listed: &ListedRun) -> Text {
    let run = &listed.run;
    Text::of(match (listed.state, run.review, run.complete) {
        (RunState::Open, ..) => "It goes on: its agent has not said that it is complete.",
        (RunState::Abandoned, ..) => "It was abandoned: its agent never said that it is complete.",
        (_, Some(ReviewVerdict::Rejected), _) => "It does not count: a person rejected it.",
        (.., Some(true)) => "It counts as complete: every criterion is met.",
        _ => "Its agent said so, and it does not count as complete.",
    })
}

pub(super) fn context(item: &RunContext) -> ContextItemLine {
    let is_call = item.kind == ContextKind::ToolOutput && item.declared;
    ContextItemLine {
        kind: match item.kind {
            ContextKind::Document => "document",
            ContextKind::Memory => "memory",
            ContextKind::Prompt => "prompt",
            ContextKind::ToolOutput => "tool output",
        },
        digest: item.digest.to_string(),
        source: Text::short(&item.source, 200),
        is_named: item.declared || item.source != UNDECLARED,
        call: is_call.then(|| {
            let query: String =
                url::form_urlencoded::byte_serialize(item.source.as_bytes()).collect();
            format!("/ledger?entry={query}")
        }),
        label: Text::of(if item.label == "declared" || item.label == "undeclared" {
            ""
        } else {
            &item.label
        }),
        declared: item.declared,
    }
}

/// Calls by tool, with how many there are in all.
pub(super) fn calls(all: &[RunCalls]) -> (Vec<CallLine>, u64) {
    let mut tools: BTreeMap<&str, CallLine> = BTreeMap::new();
    let mut total = 0u64;
    for counted in all {
        let tool = if counted.tool.is_empty() { "no tool was named" } else { &counted.tool };
        let line = tools.entry(&counted.tool).or_insert_with(|| CallLine {
            tool: Text::of(tool),
            allowed: 0,
            asked: 0,
            denied: 0,
            reasons: Vec::new(),
        });
        total = total.saturating_add(counted.calls);
        let count = match counted.decision.as_str() {
            "allow" => &mut line.allowed,
            "deny" => {
                line.reasons.push(Text::of(format!("{} × {}", counted.calls, counted.reason)));
                &mut line.denied
            }
            _ => &mut line.asked,
        };
        *count = count.saturating_add(counted.calls);
    }
    (tools.into_values().collect(), total)
}

const fn finding(found: Finding) -> (&'static str, &'static str) {
    match found {
        Finding::Met { .. } => ("met", "good"),
        Finding::Contradicted { .. } => ("contradicted", "bad"),
        Finding::Stale { .. } => ("stale", "warn"),
        Finding::TooWeak { .. } => ("too weak", "warn"),
        Finding::Missing => ("missing", "bad"),
    }
}

pub(super) fn criteria(workflow: &Workflow, derived: &Derived) -> Vec<FoundLine> {
    let reasons = derived.completion.reasons();
    let found = derived.completion.criteria.iter().zip(&reasons);
    found
        .filter_map(|((id, found), reason)| {
            let criterion = workflow.checklist.completion.iter().find(|c| c.id == *id)?;
            // The id stands beside it.
            let sentence = reason.strip_prefix(&format!("`{id}` ")).unwrap_or(reason);
            Some(FoundLine {
                id: Text::of(id),
                says: Text::of(&criterion.says),
                by: backing(&criterion.by),
                finding: finding(*found),
                grade: found.grade().map(|grade| grade.as_str()),
                least: criterion.by.least().as_str(),
                sentence: Text::of(format!("It {}.", sentence.replace('`', ""))),
            })
        })
        .collect()
}

/// What speaks for the criteria; with `names`, people by theirs.
pub(super) fn evidence(
    cx: &Inner,
    derived: &Derived,
    names: bool,
) -> Result<Vec<EvidenceLine>, Failure> {
    let lines = cx.authority.store().read(|view| {
        let line = |item: &bailiwick_policy::completion::Evidence| {
            let person = match Alias::parse(&item.by) {
                Ok(alias) => Some(view.principal_by_alias(&alias)?.and_then(|p| p.row.id)),
                Err(_) => None,
            };
            Ok::<_, StoreError>(EvidenceLine {
                criterion: Text::of(&item.criterion),
                grade: item.grade.as_str(),
                holds: item.holds,
                by: Text::of(match &person {
                    None => item.by.as_str(),
                    Some(_) if !names => "a person",
                    Some(Some(id)) => id.as_str(),
                    Some(None) => ERASED,
                }),
                action: item.action.as_ref().map(|action| action.to_string()),
                at: names.then_some(item.at),
            })
        };
        derived.evidence.iter().map(line).collect::<Result<Vec<_>, _>>()
    });
    Ok(lines?)
}

pub(super) fn reviews(all: &[ShownReview], names: bool) -> Vec<RunReviewLine> {
    let line = |review: &ShownReview| RunReviewLine {
        verdict: verdict_word(review.verdict),
        who: Text::of(match &review.reviewer {
            _ if !names => "a reviewer",
            Some(id) => id.as_str(),
            None => ERASED,
        }),
        at: Moment::of(review.made),
        what: review.what.as_ref().map(|text| Text::short(text, 4_000)),
        why: review.why.as_ref().map(|text| Text::short(text, 4_000)),
        is_erased: review.is_erased,
    };
    all.iter().map(line).collect()
}

pub(super) fn reviewing(seen: &SeenRun) -> Reviewing {
    if !seen.may_review {
        return match seen.has_texts {
            true => Reviewing::Not("Its workflow lets others review it."),
            false => Reviewing::No,
        };
    }
    if seen.shown.listed.run.state == RunState::Open {
        return Reviewing::Not("It is reviewed when it has ended.");
    }
    let all = seen.workflow.checklist.completion.iter();
    Reviewing::May(all.map(|c| (Text::of(&c.id), Text::of(&c.says))).collect())
}

pub(super) fn spent(spent: &RunSpent) -> Vec<SpentLine> {
    let line = |name, value: String| SpentLine { name, value: Text::of(value) };
    let cost = match &spent.currency {
        Some(currency) => {
            format!("{} {currency}", bailiwick_policy::checklist::Bound::decimal(spent.cost_micros))
        }
        None => "none was noted".to_owned(),
    };
    vec![
        line("Iterations", spent.iterations.to_string()),
        line("Model calls", spent.model_calls.to_string()),
        line("Tokens read", spent.input_tokens.to_string()),
        line("Tokens written", spent.output_tokens.to_string()),
        line("Cost", cost),
    ]
}

pub(super) fn undo(undo: &Undo) -> UndoLine {
    UndoLine {
        step: Text::of(&undo.step),
        says: Text::of(&undo.says),
        how: Text::of(match &undo.how {
            UndoHow::Manual => "by a person".to_owned(),
            UndoHow::Tool { tool, arguments: Ok(_) } => format!("a call of {tool}"),
            UndoHow::Tool { tool, arguments: Err(why) } => {
                format!("a call of {tool}: {}", why.to_string().replace('`', ""))
            }
        }),
        state: match undo.state {
            UndoState::Open => ("open", "plain"),
            UndoState::Started => ("started", "warn"),
            UndoState::Failed => ("failed", "bad"),
            UndoState::Done => ("done", "good"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_a_tool_are_one_line_whatever_was_decided() {
        let of = |tool: &str, decision: &str, reason: &str, calls| RunCalls {
            tool: tool.to_owned(),
            decision: decision.to_owned(),
            reason: reason.to_owned(),
            calls,
        };
        let all = [
            of("mcp:desk:tools/get", "allow", "", 90_000),
            of("mcp:desk:tools/get", "deny", "argument-not-delegated", 3),
            of("mcp:desk:tools/get", "deny", "budget-spent", 2),
            of("mcp:desk:tools/pay", "approval_required", "high-risk", 1),
            of("", "deny", "malformed", 1),
        ];
        let (lines, total) = calls(&all);
        assert_eq!(total, 90_007);
        let said: Vec<_> =
            lines.iter().map(|l| (l.tool.as_str(), l.allowed, l.asked, l.denied)).collect();
        assert_eq!(
            said,
            [
                ("no tool was named", 0, 0, 1),
                ("mcp:desk:tools/get", 90_000, 0, 5),
                ("mcp:desk:tools/pay", 0, 1, 0),
            ]
        );
        assert_eq!(lines[1].reasons[0].as_str(), "3 × argument-not-delegated");
    }

    #[test]
    fn costs_are_said_exactly() {
        let run = RunSpent {
            cost_micros: 420_001,
            currency: Some("EUR".to_owned()),
            ..RunSpent::default()
        };
        assert_eq!(spent(&run)[4].value.as_str(), "0.420001 EUR");
        assert_eq!(spent(&RunSpent::default())[4].value.as_str(), "none was noted");
    }
}
