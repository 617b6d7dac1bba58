//! What a report shows, in rows: the same for every form.

use std::collections::BTreeMap;

use bailiwick_policy::completion::REPORTED;

use super::{Path, RunReport};

fn or_dash(text: Option<&String>) -> String {
    text.cloned().unwrap_or_else(|| "-".to_owned())
}

impl RunReport {
    pub(super) fn time(&self) -> String {
        match self.ended {
            Some(ended) => format!("{} to {ended}", self.started),
            None => format!("{}, it goes on", self.started),
        }
    }

    pub(super) fn goal_shown(&self) -> &str {
        self.goal.text.as_deref().unwrap_or("The goal's text was erased, or is not disclosed here.")
    }

    pub(super) fn context_rows(&self) -> Vec<Vec<String>> {
        let row = |item: &super::ContextItem| {
            let source = match (&item.source, item.declared) {
                (Some(source), true) => source.clone(),
                (Some(source), false) => format!("{source} (undeclared)"),
                (None, _) => "undeclared; its name was erased or is not disclosed".to_owned(),
            };
            vec![item.n.to_string(), item.kind.clone(), source, item.sha256.clone()]
        };
        self.context.iter().map(row).collect()
    }

    pub(super) fn count_rows(&self) -> Vec<Vec<String>> {
        let row = |count: &super::Count| {
            let tool = if count.tool.is_empty() { "-" } else { &count.tool };
            let reason = if count.reason.is_empty() { "-" } else { &count.reason };
            vec![
                tool.to_owned(),
                count.decision.clone(),
                reason.to_owned(),
                count.calls.to_string(),
            ]
        };
        self.counts.iter().map(row).collect()
    }

    pub(super) fn omitted_note(&self) -> Option<String> {
        (self.omitted > 0).then(|| {
            format!(
                "{} calls are counted here and not listed: of a run so long only the first and the last {} are, and those that the findings rest on.",
                self.omitted,
                super::LISTED_CALLS
            )
        })
    }

    /// Which entries of the run are here.
    pub(super) fn shown_note(&self) -> String {
        let last = self.timeline.iter().map(|moment| (moment.index, moment.at)).max();
        let upto =
            last.map_or_else(String::new, |(index, at)| format!(", up to entry {index} ({at})"));
        match self.unshown {
            Some(0) => format!("every entry of the run{upto}"),
            Some(many) => format!("all but {many} entries of the run{upto}"),
            None => format!("entries of the run that are not numbered{upto}"),
        }
    }

    pub(super) fn call_rows(&self) -> Vec<Vec<String>> {
        let row = |call: &super::Call| {
            let decision = match &call.reason {
                Some(reason) if call.decision != "allow" => format!("{} ({reason})", call.decision),
                _ => call.decision.clone(),
            };
            vec![
                call.index.to_string(),
                call.at.to_string(),
                or_dash(call.tool.as_ref()),
                or_dash(call.agent.as_ref()),
                decision,
                match (&call.outcome, call.external) {
                    (Some(outcome), true) => format!("{outcome} ({REPORTED})"),
                    (outcome, _) => or_dash(outcome.as_ref()),
                },
            ]
        };
        self.calls.iter().map(row).collect()
    }

    /// The delegation tree from the principal on, each node with its depth, in the
    /// order in which it is read.
    pub(super) fn tree(&self) -> Vec<(usize, String)> {
        let mut calls: BTreeMap<Vec<(String, String)>, u64> = BTreeMap::new();
        for Path { hops, calls: by_it } in &self.paths {
            for depth in 1..=hops.len() {
                let way = hops.get(..depth).unwrap_or_default().to_vec();
                let here = if depth == hops.len() { *by_it } else { 0 };
                *calls.entry(way).or_default() += here;
            }
        }
        let mut nodes = vec![(0, format!("{} (principal)", self.principal))];
        nodes.extend(calls.into_iter().filter_map(|(way, calls)| {
            let (agent, instance) = way.last()?;
            let made = match calls {
                0 => String::new(),
                1 => ", 1 call listed".to_owned(),
                n => format!(", {n} calls listed"),
            };
            Some((way.len(), format!("{agent}, instance {instance}{made}")))
        }));
        nodes
    }

    pub(super) fn approval_rows(&self) -> Vec<Vec<String>> {
        let row = |a: &super::Approval| {
            vec![a.index.to_string(), a.at.to_string(), a.approver.clone(), a.verdict.clone()]
        };
        self.approvals.iter().map(row).collect()
    }

    pub(super) fn criterion_rows(&self) -> Vec<Vec<String>> {
        let row = |c: &super::CriterionFound| {
            vec![
                c.id.clone(),
                c.says.clone(),
                c.finding.replace('_', " "),
                c.least.replace('_', " "),
                or_dash(c.grade.as_ref()).replace('_', " "),
                c.why.clone(),
            ]
        };
        self.criteria.iter().flatten().map(row).collect()
    }

    pub(super) fn evidence_rows(&self) -> Vec<Vec<String>> {
        let row = |e: &super::EvidenceItem| {
            vec![
                e.criterion.clone(),
                e.grade.replace('_', " "),
                if e.holds { "yes" } else { "no" }.to_owned(),
                e.by.clone(),
                or_dash(e.action.as_ref()),
                e.index.to_string(),
            ]
        };
        self.evidence.iter().map(row).collect()
    }

    pub(super) fn review_rows(&self) -> Vec<Vec<String>> {
        let told = |told: &super::Told| match (&told.text, &told.commitment) {
            (Some(text), _) => text.clone(),
            (None, Some(_)) => "erased, or not disclosed here".to_owned(),
            (None, None) => "-".to_owned(),
        };
        let row = |r: &super::ReviewItem| {
            let (at, verdict) = (r.at.to_string(), r.verdict.clone());
            vec![at, verdict, r.reviewer.clone(), told(&r.what), told(&r.why)]
        };
        self.reviews.iter().map(row).collect()
    }

    pub(super) fn spent_rows(&self) -> Vec<(&'static str, String)> {
        let spent = &self.spent;
        let cost = spent.cost().unwrap_or_else(|| "none was stated".to_owned());
        vec![
            ("Iterations, as its agent states them", spent.iterations.to_string()),
            ("Model calls", spent.model_calls.to_string()),
            ("Tokens read", spent.input_tokens.to_string()),
            ("Tokens written", spent.output_tokens.to_string()),
            ("Cost", cost),
        ]
    }

    pub(super) fn timeline_rows(&self) -> Vec<Vec<String>> {
        let row = |m: &super::Moment| {
            let (index, at) = (m.index.to_string(), m.at.to_string());
            vec![index, at, m.what.clone(), m.entry.clone(), m.leaf_hash.clone()]
        };
        self.timeline.iter().map(row).collect()
    }
}
