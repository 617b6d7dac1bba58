//! Search over the whole ledger, and what a browser needs to check an entry by
//! itself.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::ids::{ActionId, EntryId, PrincipalId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Filter, Found, SEARCH_WINDOW, StoreError, View};
use url::form_urlencoded::Serializer;

use super::activity::{PAGE, cut, visible};
use super::views::entry_line;
use super::{Failure, Form, Inner, Visit, json, page, see};
use crate::console::{LedgerFilter, LedgerPage, Section, Text};
use crate::people::roles::Deed;
use crate::refusal::Refusal;

/// The fields of a search, in the order of the form.
const FIELDS: [&str; 8] =
    ["principal", "agent", "task", "tool", "kind", "decision", "since", "until"];

/// What is looked for, as the address says it.
struct Query {
    entry: String,
    fields: [String; FIELDS.len()],
    before: Option<u64>,
}

impl Query {
    fn read(query: &str) -> Self {
        let form = Form::parse(query.as_bytes());
        Self {
            entry: form.first("entry").trim().to_owned(),
            fields: FIELDS.map(|name| form.first(name).trim().to_owned()),
            before: form.number("before").ok().flatten(),
        }
    }

    fn field(&self, name: &str) -> &str {
        let found = FIELDS.iter().zip(&self.fields).find(|(field, _)| **field == name);
        found.map_or("", |(_, value)| value)
    }

    fn older(&self, before: u64) -> String {
        let mut query = Serializer::new(String::new());
        for (name, value) in FIELDS.iter().zip(&self.fields).filter(|(_, v)| !v.is_empty()) {
            query.append_pair(name, value);
        }
        query.append_pair("before", &before.to_string());
        format!("/ledger?{}", query.finish())
    }

    /// What the store is asked, or what of the search is not understood.
    fn filter(&self, cx: &Inner) -> Result<Result<Filter, &'static str>, Failure> {
        let text = |name| Some(self.field(name).to_owned()).filter(|text| !text.is_empty());
        let mut filter = Filter {
            principal: text("principal"),
            agent: text("agent"),
            task: text("task"),
            tool: text("tool"),
            decision: text("decision"),
            before: self.before,
            limit: PAGE + 1,
            ..Filter::default()
        };
        // Entries name principals by their aliases; people know the names.
        if let Ok(id) = PrincipalId::parse(self.field("principal")) {
            match cx.authority.principal(&id) {
                Ok(found) => filter.principal = Some(found.alias.to_string()),
                Err(Refusal::Unknown { .. }) => return Ok(Err("Nobody has this name.")),
                Err(other) => return Err(other.into()),
            }
        }
        if let Some(kind) = text("kind") {
            let Some(kind) = Kind::parse(&kind) else {
                return Ok(Err("There is no such kind of entry."));
            };
            filter.kind = Some(kind);
        }
        for (name, place) in [("since", &mut filter.since), ("until", &mut filter.until)] {
            match (text(name), text(name).and_then(|text| time(&text))) {
                (Some(_), None) => {
                    return Ok(Err("Write a time as 2026-11-27T18:30, which is UTC."));
                }
                (_, found) => *place = found,
            }
        }
        Ok(Ok(filter))
    }
}

/// A time as a browser's field sends it, or as people write one; without a zone
/// it is UTC.
fn time(text: &str) -> Option<Timestamp> {
    let whole = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        16 => format!("{text}:00Z"),
        19 => format!("{text}Z"),
        _ => text.to_owned(),
    };
    whole.parse().ok()
}

/// The number of the entry that somebody means by a number, its id, or the id
/// of a call, whose decision it is then.
fn find(cx: &Inner, text: &str) -> Result<Option<u64>, StoreError> {
    cx.authority.store().read(|view| {
        if let Ok(index) = text.parse::<u64>() {
            return Ok(view.entry(index)?.map(|entry| entry.index));
        }
        if let Ok(id) = EntryId::parse(text)
            && let Some(entry) = view.entry_by_id(&id)?
        {
            return Ok(Some(entry.index));
        }
        let Ok(action) = ActionId::parse(text) else { return Ok(None) };
        Ok(view.entries_of_action(&action)?.first().map(|entry| entry.index))
    })
}

pub(super) async fn search(visit: Visit) -> Response {
    let query = Query::read(visit.query());
    visit
        .read(move |cx, me| {
            me.require(Deed::SeeActivity)?;
            let filter = match query.entry.as_str() {
                "" => query.filter(cx)?,
                entry => match find(cx, entry)? {
                    Some(index) => return Ok(see(&format!("/activity/{index}"))),
                    None => Err("No entry has this number or id."),
                },
            };
            let (mut found, problem) = match filter {
                Ok(filter) => {
                    let search = |view: &View<'_>| view.search(&filter, SEARCH_WINDOW);
                    (cx.authority.store().read(search)?, None)
                }
                Err(said) => (Found::default(), Some(said)),
            };
            let looked_to = found.looked_to;
            let next = cut(&mut found);
            let text = |name| Text::of(query.field(name));
            let size = cx.authority.store().read(|view| view.log_size())?;
            let tree = cx.authority.store().checkpoint().ok().flatten();
            let template = LedgerPage {
                frame: cx.frame(Some(me), Some(Section::Ledger)),
                filter: LedgerFilter {
                    entry: Text::of(&query.entry),
                    principal: text("principal"),
                    agent: text("agent"),
                    task: text("task"),
                    tool: text("tool"),
                    kind: text("kind"),
                    decision: text("decision"),
                    since: text("since"),
                    until: text("until"),
                },
                kinds: Kind::ALL.iter().map(|kind| kind.as_str()).collect(),
                entries: found.entries.iter().map(entry_line).collect(),
                older: next.map(|index| query.older(index)),
                looked_to: looked_to.filter(|index| next == Some(*index)),
                is_newest: query.before.is_none(),
                size,
                tree: tree.map(|checkpoint| checkpoint.unverified().size()),
                problem,
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

pub(super) async fn proof(Path(index): Path<String>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let entry = visible(cx, me, &index)?;
            let Some(proof) = cx.authority.store().inclusion(entry.index)? else {
                return Ok(json(Object::new().with("published", false)));
            };
            let hashes = proof.hashes().iter().map(|hash| Json::from(hash.to_string()));
            let leaf = String::from_utf8(entry.leaf).map_err(|_| Failure::NotFound)?;
            let answer = Object::new()
                .with("published", true)
                .with("index", entry.index)
                .with("id", entry.id.as_str())
                .with("leaf", leaf)
                .with("hashes", hashes.collect::<Vec<_>>())
                .with("checkpoint", proof.checkpoint().to_string())
                .with("trust", cx.authority.trust()?.to_json().canonical());
            Ok(json(answer))
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_a_zone_is_utc() {
        let expected = Some(Timestamp::from_seconds(1_704_067_200));
        for text in
            ["2024-01-01", "2024-01-01T00:00", "2024-01-01T00:00:00", "2024-01-01T00:00:00Z"]
        {
            assert_eq!(time(text), expected, "{text}");
        }
        for bad in ["yesterday", "2024-13-01", "", "2024-01-01T00:00+99:00"] {
            assert_eq!(time(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_older_part_is_the_same_search() {
        let query = Query::read("agent=agent%3Aa+&decision=deny&before=70&entry=");
        assert_eq!(query.older(20), "/ledger?agent=agent%3Aa&decision=deny&before=20");
        assert_eq!(query.before, Some(70));
    }
}
