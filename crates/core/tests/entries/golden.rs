//! Golden entries: `vectors/entries/KIND.json`, and `KIND+CASE.json` for
//! further cases of a kind. Tests of other crates include this file: wherever a
//! maker is, its test writes an entry from a fixed clock, key and random bytes
//! and holds it against the file, byte for byte.
//!
//! With `BAILIWICK_WRITE_VECTORS=1` in the environment the makers' tests write
//! the files instead. What changes then is the form of the ledger: entries
//! written before must still open and verify.
#![allow(dead_code, reason = "each test uses some of it")]

use std::path::PathBuf;

use bailiwick_core::crypto::{PublicKey, Signer, SigningKey, sha256};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Disclosure, Event, MakerPosition};
use bailiwick_core::limits::JsonLimits;

/// A maker's leaf with everything that it committed to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Golden {
    pub(crate) kind: String,
    /// The maker's name in the trust file.
    pub(crate) maker: String,
    pub(crate) key: Object,
    pub(crate) leaf: String,
    pub(crate) disclosures: Vec<(String, Disclosure)>,
}

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/entries")
}

pub(crate) fn strict(text: &[u8]) -> Json {
    Json::parse(text, &JsonLimits::DEFAULT).unwrap()
}

/// The kinds' files, by name without `.json`, in order.
pub(crate) fn names() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_suffix(".json").expect("only JSON files lie here").to_owned())
        .collect();
    names.sort();
    names
}

pub(crate) fn read(name: &str) -> Golden {
    let path = folder().join(format!("{name}.json"));
    let text = std::fs::read(&path).unwrap_or_else(|e| {
        panic!("{}: {e}; a kind without a golden file has no frozen form", path.display())
    });
    Golden::of(&strict(&text))
}

/// The value of `leaf` is one of what is written: an exact text, and the same
/// as `entry` for people to read.
pub(crate) fn shown(name: &str) -> (String, Json) {
    let file = std::fs::read(folder().join(format!("{name}.json"))).unwrap();
    let file = strict(&file);
    let file = file.as_object().unwrap();
    let leaf = file.member("leaf").unwrap().as_str().unwrap().to_owned();
    (leaf, file.member("entry").unwrap().clone())
}

/// The maker wrote `written`; the file must say the same.
pub(crate) fn check(name: &str, written: &Golden) {
    let path = folder().join(format!("{name}.json"));
    if std::env::var_os("BAILIWICK_WRITE_VECTORS").is_some_and(|v| v == "1") {
        // A file that says the same stays as it is.
        if !path.exists() || read(name) != *written {
            std::fs::write(path, written.text()).unwrap();
        }
    }
    let golden = read(name);
    assert_eq!(written.leaf, golden.leaf, "the leaf of `{name}` is another one");
    assert_eq!(*written, golden, "what `{name}` discloses is something else");
}

impl Golden {
    /// A gateway's or authority's event, sealed as its maker's first entry.
    pub(crate) fn seal(event: &Event, maker: &str, key: &SigningKey) -> Self {
        let sealed = event.seal(maker, MakerPosition::START, key).unwrap();
        Self {
            kind: event.kind.as_str().to_owned(),
            maker: maker.to_owned(),
            key: key.public_key().to_jwk(),
            leaf: String::from_utf8(sealed.bytes).unwrap(),
            disclosures: event.disclosures.clone(),
        }
    }

    fn of(file: &Json) -> Self {
        let file = file.as_object().unwrap();
        let text = |name: &str| file.member(name).unwrap().as_str().unwrap().to_owned();
        let maker = file.member("maker").unwrap().as_object().unwrap();
        let disclosures = file.member("disclosures").unwrap().as_object().unwrap();
        Self {
            kind: text("kind"),
            maker: maker.member("id").unwrap().as_str().unwrap().to_owned(),
            key: maker.member("jwk").unwrap().as_object().unwrap().clone(),
            leaf: text("leaf"),
            disclosures: disclosures
                .iter()
                .map(|(field, d)| (field.to_owned(), Disclosure::from_json(d).unwrap()))
                .collect(),
        }
    }

    pub(crate) fn public_key(&self) -> PublicKey {
        PublicKey::from_jwk(&self.key).unwrap()
    }

    fn text(&self) -> String {
        let disclosures: Object =
            self.disclosures.iter().map(|(f, d)| (f.clone(), d.to_json())).collect();
        let maker = Object::new().with("id", self.maker.as_str()).with("jwk", self.key.clone());
        let file: Json = Object::new()
            .with("kind", self.kind.as_str())
            .with("maker", maker)
            .with("leaf", self.leaf.as_str())
            .with("sha256", sha256(self.leaf.as_bytes()))
            .with("entry", strict(self.leaf.as_bytes()))
            .with("disclosures", disclosures)
            .into();
        let mut text = String::new();
        pretty(&file, 0, &mut text);
        text + "\n"
    }
}

/// Members in the order in which they stand here at the top, and in that of their names below: in
/// what makers disclose the order is that of whoever made it, and may change with the build.
fn pretty(json: &Json, depth: usize, out: &mut String) {
    let line = |depth: usize| format!("\n{}", "  ".repeat(depth));
    let items: Vec<(String, &Json)> = match json {
        Json::Object(o) if !o.is_empty() => {
            out.push('{');
            let mut members: Vec<(&str, &Json)> = o.iter().collect();
            if depth > 0 {
                members.sort_unstable_by_key(|(name, _)| *name);
            }
            let named = |(n, v)| (format!("{}: ", Json::from(n).canonical()), v);
            members.into_iter().map(named).collect()
        }
        Json::Array(a) if !a.is_empty() => {
            out.push('[');
            a.iter().map(|v| (String::new(), v)).collect()
        }
        other => return out.push_str(&other.canonical()),
    };
    let last = items.len() - 1;
    for (i, (name, value)) in items.into_iter().enumerate() {
        out.push_str(&line(depth + 1));
        out.push_str(&name);
        pretty(value, depth + 1, out);
        if i < last {
            out.push(',');
        }
    }
    out.push_str(&line(depth));
    out.push(if matches!(json, Json::Object(_)) { '}' } else { ']' });
}

/// A workflow that changes for no other reason than these files.
pub(crate) const WORKFLOW: &str = r#"workflow: tickets
version: "1"
owner: user:owner
purpose: Resolve customers' tickets.
agents: [agent:runner, agent:reader]
level: bounded
window_seconds: 3600
max_depth: 2
budget: {max_calls: 10}
tool_servers:
  desk:
    tools:
      get_ticket: {risk: low, effect: read, idempotent: true, data: [ticket]}
shorthands:
  "ticket:{id}":
    parameters: {id: integer}
    tools:
      desk/get_ticket: {ticket_id: "{id}"}
"#;

/// The tool's definition in a listing.
pub(crate) const TOOL: &str = r#"{"name":"get_ticket","description":"Reads a ticket.","inputSchema":{"type":"object","properties":{"ticket_id":{"type":"integer"}},"required":["ticket_id"],"additionalProperties":false}}"#;
