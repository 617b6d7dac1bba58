//! A report as Markdown.

use std::fmt::Write as _;

use super::{QUESTIONS, RunReport, plain};

/// Text from outside in Markdown: on one line, nothing in it is markup or a link.
fn shown(text: &str) -> String {
    let text = plain(text);
    let mut safe = String::with_capacity(text.len());
    for (i, c) in text.char_indices() {
        let rest = text.get(i..).unwrap_or_default();
        let is_markup = match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '<' | '>' | '&' | '~' | '@' => true,
            // What begins a heading, a list or a rule begins the line.
            '#' | '-' | '+' | '=' => i == 0,
            // Links are made of plain addresses too.
            ':' => rest.starts_with(":/"),
            '.' => text.get(..i).is_some_and(|before| before.to_lowercase().ends_with("www")),
            _ => false,
        };
        if is_markup {
            safe.push('\\');
        }
        safe.push(c);
    }
    safe
}

struct Page(String);

impl Page {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.0, "{text}");
    }

    fn heading(&mut self, level: usize, text: &str) {
        let _ = writeln!(self.0, "\n{} {text}\n", "#".repeat(level));
    }

    fn item(&mut self, name: &str, text: &str) {
        let _ = writeln!(self.0, "- {name}: {}", shown(text));
    }

    /// A table; nothing but its empty word where there are no rows.
    fn table(&mut self, names: &[&str], rows: Vec<Vec<String>>, none: &str) {
        if rows.is_empty() {
            self.line(none);
            return;
        }
        let _ = writeln!(self.0, "| {} |", names.join(" | "));
        let _ = writeln!(self.0, "|{}", "---|".repeat(names.len()));
        for row in rows {
            let cells: Vec<String> = row.iter().map(|cell| shown(cell)).collect();
            let _ = writeln!(self.0, "| {} |", cells.join(" | "));
        }
    }
}

impl RunReport {
    /// The report as Markdown. Texts from outside are no markup.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut page = Page(format!("# Run {}\n\n{}\n\n", shown(&self.run), self.standing()));
        page.item("task", &format!("{}, attempt {}", self.task, self.attempt));
        page.item("workflow", &format!("{} ({})", self.workflow, self.workflow_digest));
        page.item("agent", &format!("{}, instance {}", self.agent, self.instance));
        page.item("on the authority of", &format!("{}, grant {}", self.principal, self.grant));
        page.item("time", &self.time());
        page.item("shown", &self.shown_note());
        let [goal, context, tools, why] = QUESTIONS;
        page.heading(2, goal);
        page.line(&format!("> {}", shown(self.goal_shown())));
        if let Some(instruction) = &self.instruction.text {
            page.line("");
            page.item("SHA-256 of the principal's instruction", instruction);
        }
        page.heading(2, context);
        page.table(&["n", "kind", "source", "SHA-256"], self.context_rows(), "None was noted.");
        page.heading(2, tools);
        page.table(
            &["tool", "decision", "reason", "calls"],
            self.count_rows(),
            "No tool was called.",
        );
        if let Some(note) = self.omitted_note() {
            page.line(&format!("\n{note}"));
        }
        if !self.calls.is_empty() {
            page.heading(3, "Calls");
            let names = ["entry", "time", "tool", "agent", "decision", "outcome"];
            page.table(&names, self.call_rows(), "");
        }
        page.heading(3, "Delegation");
        for (depth, text) in self.tree() {
            page.line(&format!("{}- {}", "  ".repeat(depth), shown(&text)));
        }
        page.heading(3, "Approvals");
        page.table(
            &["entry", "time", "approver", "said"],
            self.approval_rows(),
            "No call was approved by a person.",
        );
        page.heading(2, why);
        page.line(self.standing());
        page.line("");
        page.table(
            &["criterion", "must hold", "finding", "least", "grade", "why"],
            self.criterion_rows(),
            "No criterion can be shown.",
        );
        page.heading(3, "Evidence");
        let names = ["criterion", "grade", "says", "by", "receipt", "entry"];
        page.table(&names, self.evidence_rows(), "There is none.");
        page.heading(3, "Reviews");
        let names = ["time", "verdict", "reviewer", "what", "why"];
        page.table(&names, self.review_rows(), "Nobody reviewed it.");
        page.heading(2, "Costs");
        for (name, value) in self.spent_rows() {
            page.item(name, &value);
        }
        page.heading(2, "Timeline and receipts");
        let names = ["entry", "time", "what", "id", "leaf hash"];
        page.table(&names, self.timeline_rows(), "");
        page.0
    }
}
