//! What happened, newest first, and one entry.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_store::{Filter, Found, SEARCH_WINDOW, StoredEntry};
use url::form_urlencoded::Serializer;

use super::views::entry_line;
use super::{Failure, Form, Inner, Me, Visit, json, page};
use crate::console::{ActivityFilter, ActivityPage, EntryPage, Member, Section, Text};
use crate::people::roles::Deed;

/// Entries on one page.
pub(super) const PAGE: u32 = 50;

/// What the list is narrowed to, as the address says it.
#[derive(Clone, Default)]
struct Query {
    agent: String,
    tool: String,
    task: String,
    kind: String,
    decision: String,
    before: Option<u64>,
}

impl Query {
    fn read(query: &str) -> Self {
        let form = Form::parse(query.as_bytes());
        let text = |name| form.first(name).trim().to_owned();
        Self {
            agent: text("agent"),
            tool: text("tool"),
            task: text("task"),
            kind: text("kind"),
            decision: text("decision"),
            before: form.number("before").ok().flatten(),
        }
    }

    /// The address of the same list at `path`; of its older part with `before`.
    fn at(&self, path: &str, before: Option<u64>) -> String {
        let mut query = Serializer::new(String::new());
        let members = [
            ("agent", &self.agent),
            ("tool", &self.tool),
            ("task", &self.task),
            ("kind", &self.kind),
            ("decision", &self.decision),
        ];
        for (name, value) in members.iter().filter(|(_, value)| !value.is_empty()) {
            query.append_pair(name, value);
        }
        if let Some(index) = before {
            query.append_pair("before", &index.to_string());
        }
        match query.finish() {
            query if query.is_empty() => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }

    fn filter(&self, me: &Me, limit: u32) -> Filter {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let own_only = !me.may(Deed::SeeActivity);
        Filter {
            // SECURITY: without the role only what concerns the person.
            principal: own_only.then(|| me.person.principal.alias.to_string()),
            agent: text(&self.agent),
            task: text(&self.task),
            tool: text(&self.tool),
            decision: text(&self.decision),
            kind: Kind::parse(&self.kind),
            before: self.before,
            limit,
            ..Filter::default()
        }
    }
}

/// Cuts what was found to a page; gives the index before which the next one
/// begins, if there is one.
pub(super) fn cut(found: &mut Found) -> Option<u64> {
    let most = usize::try_from(PAGE).unwrap_or(usize::MAX);
    let more = found.entries.len() > most;
    found.entries.truncate(most);
    let last = found.entries.last().filter(|_| more).map(|entry| entry.index);
    last.or(found.looked_to)
}

/// Says what is newest, for the page that reads itself again.
fn mark_of(entries: &[StoredEntry]) -> String {
    entries.first().map_or_else(|| "none".to_owned(), |entry| entry.index.to_string())
}

pub(super) async fn list(visit: Visit) -> Response {
    let query = Query::read(visit.query());
    visit
        .read(move |cx, me| {
            let filter = query.filter(me, PAGE + 1);
            let mut found =
                cx.authority.store().read(|view| view.search(&filter, SEARCH_WINDOW))?;
            let older = cut(&mut found).map(|index| query.at("/activity", Some(index)));
            let template = ActivityPage {
                frame: cx.frame(Some(me), Some(Section::Activity)),
                entries: found.entries.iter().map(entry_line).collect(),
                filter: ActivityFilter {
                    agent: Text::of(&query.agent),
                    tool: Text::of(&query.tool),
                    task: Text::of(&query.task),
                    kind: Text::of(&query.kind),
                    decision: Text::of(&query.decision),
                },
                kinds: Kind::ALL.iter().map(|kind| kind.as_str()).collect(),
                older,
                own_only: !me.may(Deed::SeeActivity),
                mark: mark_of(&found.entries),
                live: query.before.is_none().then(|| query.at("/activity/mark", None)),
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

pub(super) async fn mark(visit: Visit) -> Response {
    let query = Query::read(visit.query());
    visit
        .read(move |cx, me| {
            let filter = query.filter(me, 1);
            let found = cx.authority.store().read(|view| view.search(&filter, SEARCH_WINDOW))?;
            Ok(json(Object::new().with("mark", mark_of(&found.entries))))
        })
        .await
}

/// The entry of this number, for somebody who may read it.
pub(super) fn visible(cx: &Inner, me: &Me, index: &str) -> Result<StoredEntry, Failure> {
    let index: u64 = index.parse().map_err(|_| Failure::NotFound)?;
    let found = cx.authority.store().read(|view| view.entry(index))?;
    let found = found.filter(|entry| {
        let own = entry.subjects.principal.as_deref() == Some(me.person.principal.alias.as_str());
        own || me.may(Deed::SeeActivity)
    });
    found.ok_or(Failure::NotFound)
}

pub(super) async fn entry(Path(index): Path<String>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let entry = visible(cx, me, &index)?;
            let leaf = Json::parse(&entry.leaf, &JsonLimits::DEFAULT).ok();
            let members = leaf.as_ref().and_then(Json::as_object);
            let none = Object::new();
            let members = members.unwrap_or(&none);
            let part = |name| members.member(name).and_then(Json::as_object).unwrap_or(&none);
            let is_decision = entry.kind == Kind::ActionDecided.as_str();
            let template = EntryPage {
                frame: cx.frame(Some(me), Some(Section::Activity)),
                entry: entry_line(&entry),
                subjects: subjects(&entry),
                made: listed(members, |name| MADE.contains(&name)),
                body: listed(part("body"), |_| true),
                commitments: listed(part("commits"), |_| true),
                leaf_hash: entry.leaf_hash.to_string(),
                leaf: Text::of(leaf.as_ref().map(Json::canonical).unwrap_or_default()),
                explained: entry
                    .subjects
                    .action
                    .as_ref()
                    .filter(|_| is_decision && me.may(Deed::SeePolicy))
                    .map(|action| format!("/policy/explain/{action}")),
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

/// Members of a leaf that say who made it.
const MADE: [&str; 4] = ["maker", "org", "sig", "v"];

fn listed(object: &Object, wanted: impl Fn(&str) -> bool) -> Vec<Member> {
    let members = object.iter().filter(|(name, _)| wanted(name));
    members
        .map(|(name, value)| Member {
            name: Text::of(name),
            value: value.as_str().map_or_else(|| Text::of_json(value), Text::of),
        })
        .collect()
}

fn subjects(entry: &StoredEntry) -> Vec<(&'static str, Text)> {
    let said = entry.subjects.members();
    said.into_iter().filter_map(|(name, value)| Some((name, Text::of(value.as_ref()?)))).collect()
}
