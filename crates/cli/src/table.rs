//! Tables for people, and what the ledger says of an action as a row of one.

use bailiwick_core::json::{Json, Object};

/// The columns of an action.
pub(crate) const ACTION_COLUMNS: [&str; 7] =
    ["user", "agent", "task", "requested", "decision", "reason", "outcome"];

/// What stands where nothing is known or nothing applies.
pub(crate) const NONE: &str = "–";

/// An action as `audit query` gives it, by [`ACTION_COLUMNS`].
pub(crate) fn action_row(action: &Object, outcome: &str) -> [String; 7] {
    let text = |member: &str| action.member(member).and_then(Json::as_str);
    let known = text("agent").is_some();
    let user = match (text("principal_id").or_else(|| text("principal")), known) {
        (Some(user), _) => user,
        (None, true) => NONE,
        (None, false) => "not authenticated",
    };
    [
        user.to_owned(),
        text("agent").map_or(NONE, |a| a.trim_start_matches("agent:")).to_owned(),
        text("task").map_or_else(|| NONE.to_owned(), short),
        text("tool").map_or(NONE, operation).to_owned(),
        text("decision").unwrap_or(NONE).to_owned(),
        text("reason").unwrap_or(NONE).to_owned(),
        outcome.to_owned(),
    ]
}

/// The end of a tool id, after the tool server: `tools/` goes without saying.
pub(crate) fn operation(tool: &str) -> &str {
    let operation = tool.splitn(3, ':').nth(2).unwrap_or(tool);
    operation.strip_prefix("tools/").or(operation.strip_prefix("rpc:")).unwrap_or(operation)
}

/// The end of an id: ids of one day begin alike.
fn short(id: &str) -> String {
    match id.char_indices().rev().nth(7) {
        Some((at, _)) if at > 0 => format!("…{}", id.get(at..).unwrap_or(id)),
        _ => id.to_owned(),
    }
}

/// Columns as wide as their widest cell, under their heads.
pub(crate) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize, head: &str| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).chain([head.chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = heads.iter().enumerate().map(|(i, head)| width(i, head)).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<String> =
            cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&mut heads.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

/// The same, or a sentence where there is no row.
pub(crate) fn table_or(heads: &[&str], rows: &[Vec<String>], none: &str) -> String {
    if rows.is_empty() { none.to_owned() } else { table(heads, rows) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "–".to_owned()], vec!["long".to_owned(), "b".to_owned()]];
        assert_eq!(table(&["x", "head"], &rows), "x     head\na     –\nlong  b");
        assert_eq!(table(&["x"], &[]), "x");
    }

    #[test]
    fn a_stranger_is_shown_as_one_and_ids_by_their_end() {
        let stranger = Object::new().with("decision", "deny").with("reason", "proof-invalid");
        let row = action_row(&stranger, "not_executed");
        assert_eq!(
            row,
            ["not authenticated", "–", "–", "–", "deny", "proof-invalid", "not_executed"]
        );
        let known = Object::new()
            .with("principal_id", "user:1")
            .with("agent", "agent:a")
            .with("task", "0193aaaa-0000-7000-8000-0123456789ab")
            .with("tool", "mcp:desk:tools/get")
            .with("decision", "allow");
        assert_eq!(
            action_row(&known, "ok"),
            ["user:1", "a", "…456789ab", "get", "allow", "–", "ok"]
        );
        assert_eq!(operation("mcp:desk:rpc:server/discover"), "server/discover");
        assert_eq!(operation("mcp:desk:resources/read"), "resources/read");
    }
}
