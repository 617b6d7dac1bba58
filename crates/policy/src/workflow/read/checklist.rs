//! Reading the checklist: data sources, completion, review, rollback,
//! evaluation and runs.

use std::collections::BTreeSet;

use bailiwick_core::ids::{ServerName, ToolId};
use bailiwick_core::json::{Json, Object};

use super::super::problem::Place;
use super::super::yaml::{Node, Value};
use super::{Code, Members, Reading};
use crate::catalogue::{Catalogue, Rating};
use crate::checklist::{
    Backing, Checklist, Criterion, DataSources, Expectation, Pointer, Review, ReviewWhen, Rollback,
    RollbackStep, Runs, is_broken, placeholder, texts,
};
use crate::grades::Effect;
use crate::limits::{
    MAX_CHECK_ARGUMENT_BYTES, MAX_CHECKLIST_ID_CHARS, MAX_CRITERIA, MAX_EXPECTATIONS,
    MAX_REVIEW_EVERY, MAX_REVIEWERS, MAX_ROLLBACK_STEPS, MAX_SOURCES,
};

const BACKINGS: &str = "write `self_report`, `self_check`, `review`, `{tool: TOOL}`, `{tool_check: TOOL, arguments: {…}, expect: […]}` or `{check: NAME}`";

/// What a workflow must not say itself, because it would run it.
const EXECUTED: &[&str] = &["command", "url", "script", "exec", "shell"];

impl Reading {
    /// The checklist's members of a workflow file. Without a catalogue tools are
    /// not looked up.
    pub(super) fn checklist(
        &mut self,
        top: &Members<'_>,
        catalogue: Option<&Catalogue>,
    ) -> Option<Checklist> {
        let data_sources = match top.node("data_sources") {
            Some(node) => self.within("data_sources", |r| r.sources(node, catalogue)).map(Some),
            None => Some(None),
        };
        let completion = match top.node("completion") {
            Some(node) => self.within("completion", |r| r.criteria(node, catalogue)),
            None => Some(Vec::new()),
        };
        let review = match top.node("review") {
            Some(node) => self.within("review", |r| r.review(node)).map(Some),
            None => Some(None),
        };
        let rollback = match top.node("rollback") {
            Some(node) => self.within("rollback", |r| r.rollback(node, catalogue)),
            None => Some(Vec::new()),
        };
        let evaluation = match top.node("evaluation") {
            Some(node) => self.within("evaluation", |r| r.evaluation(node)).map(Some),
            None => Some(None),
        };
        let runs = match top.node("runs") {
            Some(node) => self.within("runs", |r| r.grade(node)),
            None => Some(Runs::default()),
        };
        Some(Checklist {
            data_sources: data_sources?,
            completion: completion?,
            review: review?,
            rollback: rollback?,
            evaluation: evaluation?,
            runs: runs?,
        })
    }

    fn at_most(&mut self, found: usize, most: usize, at: Place, what: &str) {
        if found > most {
            let message = format!("there are {found} {what}, more than {most}");
            self.report(Code::OutOfRange, at, message, "name fewer");
        }
    }

    fn sources(&mut self, node: &Node, catalogue: Option<&Catalogue>) -> Option<DataSources> {
        let members = self.members(node, &["tool_servers", "classes", "context"])?;
        let servers = self.field(&members, "tool_servers", |r, node| {
            let servers: BTreeSet<ServerName> = r.set(node, |r, item| r.listed(item, catalogue))?;
            r.at_most(servers.len(), MAX_SOURCES, node.at, "tool servers");
            Some(servers)
        });
        let mut labels = |name: &str| match members.node(name) {
            Some(node) => self.within(name, |r| {
                let labels = r.set(node, Self::label)?;
                r.at_most(labels.len(), MAX_SOURCES, node.at, "sources");
                Some(labels)
            }),
            None => Some(BTreeSet::new()),
        };
        let (classes, context) = (labels("classes"), labels("context"));
        Some(DataSources { tool_servers: servers?, classes: classes?, context: context? })
    }

    /// A tool server of the catalogue.
    fn listed(&mut self, node: &Node, catalogue: Option<&Catalogue>) -> Option<ServerName> {
        let name: ServerName = self.id(node)?;
        if catalogue.is_some_and(|c| !c.servers().any(|(known, _)| *known == name)) {
            let message = format!("the catalogue has no tool server `{name}`");
            let remedy = "rate its tools under `tool_servers`, or drop it here";
            self.report(Code::ToolUnknown, node.at, message, remedy);
        }
        Some(name)
    }

    fn criteria(&mut self, node: &Node, catalogue: Option<&Catalogue>) -> Option<Vec<Criterion>> {
        let count = self.list(node)?.len();
        self.at_most(count, MAX_CRITERIA, node.at, "criteria");
        self.not_empty(count == 0, node.at, "criterion");
        let mut seen = BTreeSet::new();
        let mut criteria = Vec::new();
        for (n, item) in self.list(node)?.iter().take(MAX_CRITERIA).enumerate() {
            let read = self.within(&n.saturating_add(1).to_string(), |r| {
                let members = r.members(item, &["id", "says", "by", "changed_by"])?;
                let id = r.named_once(&members, &mut seen);
                let says = r.field(&members, "says", Self::label);
                let by = r.field(&members, "by", |r, node| r.backing(node, catalogue));
                let changed_by = match members.node("changed_by") {
                    Some(node) => r.within("changed_by", |r| {
                        let tool = |r: &mut Self, node: &Node| r.writer(node, catalogue);
                        r.some(node, tool).map(Some)
                    }),
                    None => Some(None),
                };
                Some(Criterion { id: id?, says: says?, by: by?, changed_by: changed_by? })
            });
            criteria.push(read);
        }
        criteria.into_iter().collect()
    }

    /// The member `id`: a name that no other item of the list has.
    fn named_once(&mut self, members: &Members<'_>, seen: &mut BTreeSet<String>) -> Option<String> {
        self.field(members, "id", |r, node| {
            let id = r.checklist_name(node)?;
            if !seen.insert(id.clone()) {
                let message = format!("the id `{id}` stands in the list already");
                r.report(Code::ListedTwice, node.at, message, "give each its own id");
            }
            Some(id)
        })
    }

    fn checklist_name(&mut self, node: &Node) -> Option<String> {
        let text = self.label(node)?;
        let fits = text.len() <= MAX_CHECKLIST_ID_CHARS
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if !fits {
            let message = format!("`{}` is no name", text.escape_debug());
            let remedy = format!(
                "use letters, digits, `.`, `_` and `-`, a letter or digit first, at most {MAX_CHECKLIST_ID_CHARS}"
            );
            self.report(Code::Identifier, node.at, message, remedy);
            return None;
        }
        Some(text)
    }

    /// A tool of the catalogue with its rating, if there is a catalogue.
    fn rated(
        &mut self,
        node: &Node,
        catalogue: Option<&Catalogue>,
    ) -> Option<(ToolId, Option<Rating>)> {
        let text = self.label(node)?;
        let tool = self.tool_named(&text, node.at)?;
        match catalogue {
            Some(catalogue) => {
                let rating = self.catalogued(&tool, catalogue, node.at)?;
                Some((tool, Some(rating)))
            }
            None => Some((tool, None)),
        }
    }

    /// A tool that changes something.
    fn writer(&mut self, node: &Node, catalogue: Option<&Catalogue>) -> Option<ToolId> {
        let (tool, rating) = self.rated(node, catalogue)?;
        if rating.is_some_and(|r| r.effect == Effect::Read) {
            let message = format!("the tool `{tool}` only reads and changes nothing");
            self.report(Code::Value, node.at, message, "name a tool that writes");
        }
        Some(tool)
    }

    fn backing(&mut self, node: &Node, catalogue: Option<&Catalogue>) -> Option<Backing> {
        if let Value::Text(text) = &node.value {
            let backing = match text.as_str() {
                "self_report" => Backing::SelfReport,
                "self_check" => Backing::SelfCheck,
                "review" => Backing::Review,
                other => {
                    let message = format!("`{}` shows nothing", other.escape_debug());
                    self.report(Code::Value, node.at, message, BACKINGS);
                    return None;
                }
            };
            return Some(backing);
        }
        self.not_executed(node)?;
        let members =
            self.members(node, &["tool", "tool_check", "arguments", "expect", "check"])?;
        let forms = ["tool", "tool_check", "check"].map(|name| members.node(name));
        let [tool, tool_check, check] = forms;
        let asked = tool_check.is_some();
        let extra = !asked && ["arguments", "expect"].iter().any(|m| members.node(m).is_some());
        if forms.iter().flatten().count() != 1 || extra {
            let message = "it is not clear by what the criterion is shown";
            self.report(Code::Value, node.at, message, BACKINGS);
            return None;
        }
        if let Some(node) = tool {
            let (tool, _) = self.within("tool", |r| r.rated(node, catalogue))?;
            return Some(Backing::Tool { tool });
        }
        if let Some(node) = check {
            let check = self.within("check", |r| r.checklist_name(node))?;
            return Some(Backing::NamedCheck { check });
        }
        let (tool, rating) =
            self.field(&members, "tool_check", |r, node| r.rated(node, catalogue))?;
        if rating.is_some_and(|r| r.effect != Effect::Read) {
            let message = format!("the tool `{tool}` writes: a check must not change anything");
            let remedy =
                "check with a tool that only reads, or write `{tool: …}` for a call of the run";
            self.report(Code::CheckWrites, node.at, message, remedy);
        }
        let arguments = self.template(&members)?;
        let expect = self.field(&members, "expect", |r, node| {
            let count = r.list(node)?.len();
            r.at_most(count, MAX_EXPECTATIONS, node.at, "expectations");
            r.not_empty(count == 0, node.at, "expectation");
            r.each(node, Self::expectation)
        });
        Some(Backing::ToolCheck { tool, arguments, expect: expect? })
    }

    /// SECURITY: whoever may publish a workflow must not thereby run programs or
    /// make the server fetch what they name.
    fn not_executed(&mut self, node: &Node) -> Option<()> {
        for member in self.map(node)? {
            if EXECUTED.contains(&member.name.as_str()) {
                let message = format!("a workflow names checks, it has no `{}`", member.name);
                let remedy = "write `{check: NAME}`; checks are named in server configuration, where the operator says what each runs";
                self.report(Code::CheckExecuted, member.at, message, remedy);
                return None;
            }
        }
        Some(())
    }

    fn expectation(&mut self, node: &Node) -> Option<Expectation> {
        let members = self.members(node, &["at", "equals"])?;
        let at = self.field(&members, "at", |r, node| {
            let Value::Text(text) = &node.value else {
                r.wrong_type(node, "a JSON pointer");
                return None;
            };
            match Pointer::parse(text) {
                Ok(_) => Some(text.clone()),
                Err(e) => {
                    let message = format!("`{}`: {e}", text.escape_debug());
                    r.report(Code::Pointer, node.at, message, "write the place as RFC 6901 does");
                    None
                }
            }
        });
        let equals = self.field(&members, "equals", |r, node| {
            let value = node.to_json();
            r.whole(&value, node.at);
            Some(value)
        });
        Some(Expectation { at: at?, equals: equals? })
    }

    /// The optional member `arguments`.
    fn template(&mut self, members: &Members<'_>) -> Option<Object> {
        let Some(node) = members.node("arguments") else { return Some(Object::new()) };
        self.within("arguments", |r| {
            r.map(node)?;
            let value = node.to_json();
            if value.canonical().len() > MAX_CHECK_ARGUMENT_BYTES {
                let message =
                    format!("the arguments have more than {MAX_CHECK_ARGUMENT_BYTES} bytes");
                r.report(Code::OutOfRange, node.at, message, "shorten them");
            }
            r.whole(&value, node.at);
            match value {
                Json::Object(arguments) => Some(arguments),
                _ => None,
            }
        })
    }

    /// Placeholders stand for whole values.
    fn whole(&mut self, value: &Json, at: Place) {
        if let Some(broken) = texts(value).into_iter().find(|t| is_broken(t)) {
            let message = format!("`{}` is no placeholder", broken.escape_debug());
            let remedy = "write `{argument:NAME}` as the whole text";
            self.report(Code::Placeholder, at, message, remedy);
        }
    }

    fn review(&mut self, node: &Node) -> Option<Review> {
        let members = self.members(node, &["by", "when"])?;
        let by = self.field(&members, "by", |r, node| {
            let by = r.some(node, Self::grade)?;
            r.at_most(by.len(), MAX_REVIEWERS, node.at, "reviewers");
            Some(by)
        });
        let when = self.field(&members, "when", |r, node| match &node.value {
            Value::Text(text) if text == "always" => Some(ReviewWhen::Always),
            Value::Text(text) if text == "incomplete" => Some(ReviewWhen::Incomplete),
            Value::Map(_) => {
                let members = r.members(node, &["every"])?;
                let nth = r.field(&members, "every", |r, n| r.integer(n, 1, MAX_REVIEW_EVERY))?;
                Some(ReviewWhen::Every { nth: u32::try_from(nth).ok()? })
            }
            _ => {
                let message = "it is not clear which runs are reviewed";
                let remedy = "write `always`, `incomplete` or `{every: NUMBER}`";
                r.report(Code::Value, node.at, message, remedy);
                None
            }
        });
        Some(Review { by: by?, when: when? })
    }

    fn rollback(
        &mut self,
        node: &Node,
        catalogue: Option<&Catalogue>,
    ) -> Option<Vec<RollbackStep>> {
        let count = self.list(node)?.len();
        self.at_most(count, MAX_ROLLBACK_STEPS, node.at, "steps");
        self.not_empty(count == 0, node.at, "step");
        let mut seen = BTreeSet::new();
        let mut steps = Vec::new();
        for (n, item) in self.list(node)?.iter().take(MAX_ROLLBACK_STEPS).enumerate() {
            let read = self.within(&n.saturating_add(1).to_string(), |r| {
                let members = r.members(item, &["id", "says", "how"])?;
                let id = r.named_once(&members, &mut seen);
                let says = r.field(&members, "says", Self::label);
                let how = r.field(&members, "how", |r, node| r.undoing(node, catalogue));
                Some(RollbackStep { id: id?, says: says?, how: how? })
            });
            steps.push(read);
        }
        steps.into_iter().collect()
    }

    fn undoing(&mut self, node: &Node, catalogue: Option<&Catalogue>) -> Option<Rollback> {
        if let Value::Text(text) = &node.value {
            if text == "manual" {
                return Some(Rollback::Manual);
            }
            let message = format!("`{}` undoes nothing", text.escape_debug());
            let remedy = "write `manual` or `{tool: TOOL, arguments: {…}, undoes: TOOL}`";
            self.report(Code::Value, node.at, message, remedy);
            return None;
        }
        self.not_executed(node)?;
        let members = self.members(node, &["tool", "arguments", "undoes"])?;
        let tool = self.field(&members, "tool", |r, node| r.rated(node, catalogue));
        let undoes = match members.node("undoes") {
            Some(node) => self.within("undoes", |r| r.writer(node, catalogue)).map(Some),
            None => Some(None),
        };
        let (arguments, undoes) = (self.template(&members)?, undoes?);
        let filled = Json::from(arguments.clone());
        let takes = texts(&filled).into_iter().any(|t| placeholder(t).is_some());
        if takes && undoes.is_none() {
            let message =
                "`{argument:…}` is filled from the call that is undone, and none is named";
            let remedy = "add `undoes` with the tool whose call this step undoes";
            self.report(Code::Placeholder, node.at, message, remedy);
        }
        let (tool, _) = tool?;
        Some(Rollback::Tool { tool, arguments, undoes })
    }
}
