//! Canonical JSON (RFC 8785).
//!
//! Texts and numbers are written by libraries; what is done here is the order
//! of members (§3.2.3), which a library can only restore by reading every name
//! again. A third of what a ledger entry cost was that. The tests hold this
//! against the library, as the fuzz target `json` does.

use std::cmp::Ordering;

use super::{Json, Number, Object};

/// The largest integer up to which every one is a double of its own.
const MAX_EXACT: u64 = 1 << 53;

/// Appends the canonical form of `json`.
pub(super) fn write(json: &Json, out: &mut Vec<u8>) {
    match json {
        Json::Null => out.extend_from_slice(b"null"),
        Json::Bool(true) => out.extend_from_slice(b"true"),
        Json::Bool(false) => out.extend_from_slice(b"false"),
        Json::Number(number) => write_number(number, out),
        Json::String(text) => write_text(text, out),
        Json::Array(elements) => {
            out.push(b'[');
            for (i, element) in elements.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(element, out);
            }
            out.push(b']');
        }
        Json::Object(object) => write_object(object, out),
    }
}

fn write_object(object: &Object, out: &mut Vec<u8>) {
    let mut members: Vec<(&str, &Json)> = object.iter().collect();
    // No name stands there twice.
    members.sort_unstable_by(|(a, _), (b, _)| order(a, b));
    out.push(b'{');
    for (i, (name, value)) in members.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_text(name, out);
        out.push(b':');
        write(value, out);
    }
    out.push(b'}');
}

/// By UTF-16 code units (§3.2.3), which is the order of bytes for ASCII.
fn order(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}

/// Escapes what must be escaped and nothing else (§3.2.2.2), as serde_json does.
fn write_text(text: &str, out: &mut Vec<u8>) {
    // Writing a text into memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

fn write_number(number: &Number, out: &mut Vec<u8>) {
    match number.as_plain_integer() {
        Some(i) if i.unsigned_abs() <= MAX_EXACT => {
            out.extend_from_slice(number.text().as_bytes());
        }
        // As ECMAScript writes a double (§3.2.2.3).
        _ => {
            let text = serde_json_canonicalizer::to_string(&number.value());
            out.extend_from_slice(text.unwrap_or_default().as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number() -> impl Strategy<Value = Json> {
        let text = "-?(0|[1-9][0-9]{0,20})([.][0-9]{1,8})?([eE][-+]?[0-9]{1,2})?";
        let written = text.prop_filter_map("finite", |text| Number::from_text(&text));
        prop_oneof![
            any::<i64>().prop_map(Json::from),
            any::<u64>().prop_map(Json::from),
            written.prop_map(Json::from)
        ]
    }

    fn json() -> impl Strategy<Value = Json> {
        let text = prop_oneof![any::<String>(), "[a-z]{0,3}", "[\u{0}-\u{7f}]{0,4}"];
        // Beyond the first plane the order of UTF-16 is not that of UTF-8.
        let name = prop_oneof![any::<String>(), "[\u{e000}\u{ffff}\u{10000}a-c]{0,3}"];
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            number(),
            text.prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 48, 8, move |inner| {
            let members = prop::collection::vec((name.clone(), inner.clone()), 0..8);
            prop_oneof![
                prop::collection::vec(inner, 0..6).prop_map(Json::Array),
                members.prop_map(|m| Json::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_the_library_writes(json in json()) {
            let library = serde_json_canonicalizer::to_string(&json).unwrap();
            prop_assert_eq!(json.canonical(), library);
        }
    }

    #[test]
    fn members_stand_in_the_order_of_utf_16() {
        let names = ["\u{10000}", "\u{e000}", "b", "a", "é", "", "aa"];
        let object: Object = names.iter().map(|n| ((*n).to_owned(), Json::Null)).collect();
        let text = Json::from(object).canonical();
        assert_eq!(
            text,
            "{\"\":null,\"a\":null,\"aa\":null,\"b\":null,\"é\":null,\"\u{10000}\":null,\"\u{e000}\":null}"
        );
    }
}
