//! A report as one HTML file that needs nothing else: no script, its style inside,
//! readable on paper, in the dark and on a phone.

use std::fmt::Write as _;

use super::{QUESTIONS, RunReport, plain};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1b1f;--paper:#fff;--line:#c9c9d2;--soft:#f3f3f6;--good:#17633a;--bad:#a3231f}\
@media (prefers-color-scheme:dark){:root{--ink:#e8e8ee;--paper:#16161a;--line:#4a4a55;--soft:#222229;--good:#7fd6a4;--bad:#ff9a93}}\
*{box-sizing:border-box}\
body{margin:0 auto;max-width:70rem;padding:1.5rem;font:1rem/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);overflow-wrap:anywhere}\
h1{font-size:1.4rem}h2{font-size:1.2rem;margin-top:2rem;border-bottom:1px solid var(--line)}h3{font-size:1rem}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem}dt{font-weight:600}dd{margin:0}\
blockquote{margin:0;padding:.6rem 1rem;background:var(--soft);border-left:4px solid var(--line);white-space:pre-wrap}\
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.875rem;overflow-wrap:break-word}\
th,td{text-align:left;vertical-align:top;padding:.25rem .5rem;border-bottom:1px solid var(--line)}th{background:var(--soft)}\
.standing{font-weight:600;font-size:1.1rem}.good{color:var(--good)}.bad{color:var(--bad)}\
@media (max-width:40rem){dl{grid-template-columns:1fr}body{padding:.75rem}}\
@media print{:root{color-scheme:light;--ink:#000;--paper:#fff;--soft:#fff}body{max-width:none;padding:0;font-size:.8rem}\
h2{break-after:avoid}tr,blockquote{break-inside:avoid}.wide{overflow:visible}thead{display:table-header-group}}";

/// Text from outside in HTML.
fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '`' => safe.push_str("&#96;"),
            c => safe.push(c),
        }
    }
    safe
}

struct Page(String);

impl Page {
    fn raw(&mut self, html: &str) {
        self.0.push_str(html);
        self.0.push('\n');
    }

    fn heading(&mut self, level: u8, text: &str) {
        let _ = writeln!(self.0, "<h{level}>{}</h{level}>", shown(text));
    }

    fn paragraph(&mut self, text: &str) {
        let _ = writeln!(self.0, "<p>{}</p>", shown(text));
    }

    fn list(&mut self, items: &[(&str, String)]) {
        self.raw("<dl>");
        for (name, value) in items {
            let _ = writeln!(self.0, "<dt>{}</dt><dd>{}</dd>", shown(name), shown(value));
        }
        self.raw("</dl>");
    }

    fn table(&mut self, names: &[&str], rows: Vec<Vec<String>>, none: &str) {
        if rows.is_empty() {
            self.paragraph(none);
            return;
        }
        self.raw("<div class=\"wide\" tabindex=\"0\"><table><thead><tr>");
        for name in names {
            let _ = write!(self.0, "<th scope=\"col\">{}</th>", shown(name));
        }
        self.raw("</tr></thead><tbody>");
        for row in rows {
            let cells: Vec<String> =
                row.iter().map(|cell| format!("<td>{}</td>", shown(cell))).collect();
            let _ = writeln!(self.0, "<tr>{}</tr>", cells.concat());
        }
        self.raw("</tbody></table></div>");
    }

    fn tree(&mut self, nodes: &[(usize, String)]) {
        let mut open = 0;
        for (depth, text) in nodes {
            let wanted = depth.saturating_add(1);
            while open < wanted {
                self.raw("<ul>");
                open += 1;
            }
            while open > wanted {
                self.raw("</ul>");
                open -= 1;
            }
            let _ = writeln!(self.0, "<li>{}</li>", shown(text));
        }
        for _ in 0..open {
            self.raw("</ul>");
        }
    }
}

impl RunReport {
    /// The report as one HTML file. Texts from outside are escaped; there is no script,
    /// and a policy in the file says so too.
    #[must_use]
    pub fn to_html(&self) -> String {
        let mut page = Page(String::with_capacity(16 * 1024));
        page.raw("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
        page.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">");
        page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
        page.raw(&format!(
            "<title>Run {}</title><style>{STYLE}</style></head><body><main>",
            shown(&self.run)
        ));
        page.heading(1, &format!("Run {}", self.run));
        let class = match self.complete {
            Some(true) => "standing good",
            _ => "standing bad",
        };
        page.raw(&format!("<p class=\"{class}\">{}</p>", shown(self.standing())));
        page.list(&[
            ("Task", format!("{}, attempt {}", self.task, self.attempt)),
            ("Workflow", format!("{} ({})", self.workflow, self.workflow_digest)),
            ("Agent", format!("{}, instance {}", self.agent, self.instance)),
            ("On the authority of", format!("{}, grant {}", self.principal, self.grant)),
            ("Time", self.time()),
            ("Shown", self.shown_note()),
        ]);
        let [goal, context, tools, why] = QUESTIONS;
        page.heading(2, goal);
        page.raw(&format!("<blockquote>{}</blockquote>", shown(self.goal_shown())));
        if let Some(instruction) = &self.instruction.text {
            page.list(&[("SHA-256 of the principal's instruction", instruction.clone())]);
        }
        page.heading(2, context);
        page.table(&["n", "kind", "source", "SHA-256"], self.context_rows(), "None was noted.");
        page.heading(2, tools);
        let names = ["tool", "decision", "reason", "calls"];
        page.table(&names, self.count_rows(), "No tool was called.");
        if let Some(note) = self.omitted_note() {
            page.paragraph(&note);
        }
        if !self.calls.is_empty() {
            page.heading(3, "Calls");
            let names = ["entry", "time", "tool", "agent", "decision", "outcome"];
            page.table(&names, self.call_rows(), "");
        }
        page.heading(3, "Delegation");
        page.tree(&self.tree());
        page.heading(3, "Approvals");
        let names = ["entry", "time", "approver", "said"];
        page.table(&names, self.approval_rows(), "No call was approved by a person.");
        self.completion(&mut page, why);
        page.heading(2, "Costs");
        page.list(&self.spent_rows());
        page.heading(2, "Timeline and receipts");
        let names = ["entry", "time", "what", "id", "leaf hash"];
        page.table(&names, self.timeline_rows(), "");
        page.raw("</main></body></html>");
        page.0
    }

    fn completion(&self, page: &mut Page, why: &str) {
        page.heading(2, why);
        page.paragraph(self.standing());
        let names = ["criterion", "must hold", "finding", "least", "grade", "why"];
        page.table(&names, self.criterion_rows(), "No criterion can be shown.");
        page.heading(3, "Evidence");
        let names = ["criterion", "grade", "says", "by", "receipt", "entry"];
        page.table(&names, self.evidence_rows(), "There is none.");
        page.heading(3, "Reviews");
        let names = ["time", "verdict", "reviewer", "what", "why"];
        page.table(&names, self.review_rows(), "Nobody reviewed it.");
    }
}
