//! Values that plain `serde_json` writes in their canonical form.
//!
//! A canonicalizer cannot know what it is given: it keeps, reads and sorts every
//! name of every object again. Most of what is written here has names in ASCII
//! and whole numbers only. Of those the two writers differ in nothing but the
//! order of members, and that is set beforehand.

use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};

use super::Json;

/// Whether the order of a value's names as bytes is their order as UTF-16 code
/// units (RFC 8785 §3.2.3), and its numbers are integers that are exact doubles.
pub(super) fn is_plain(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(_) | Json::String(_) => true,
        Json::Number(n) => n.as_exact_integer().is_some(),
        Json::Array(a) => a.iter().all(is_plain),
        Json::Object(o) => o.iter().all(|(name, value)| name.is_ascii() && is_plain(value)),
    }
}

/// A value whose members are written in order.
pub(super) struct InOrder<'a>(pub(super) &'a Json);

impl Serialize for InOrder<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Json::Array(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(&InOrder(item))?;
                }
                seq.end()
            }
            Json::Object(object) => {
                let mut members: Vec<(&str, &Json)> = object.iter().collect();
                members.sort_unstable_by_key(|(name, _)| *name);
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, &InOrder(value))?;
                }
                map.end()
            }
            other => other.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::{Number, Object, canonical};

    fn json() -> impl Strategy<Value = Json> {
        let number = prop_oneof![
            any::<i64>().prop_map(|n| n.to_string()),
            (-(1_i64 << 54)..(1 << 54)).prop_map(|n| n.to_string()),
            any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
            Just("-0".to_owned()),
            Just("1.0".to_owned()),
        ];
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            number.prop_map(|n| Number::from_text(&n).map_or(Json::Null, Json::Number)),
            any::<String>().prop_map(Json::from),
            "[\u{0}-\u{24}\\\\\u{7e}-\u{a0}\u{2028}\u{d7ff}\u{e000}\u{1f600}]*"
                .prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            let name = prop_oneof!["[\u{0}-\u{7f}]{0,4}", "[a\u{7f}-\u{ff}\u{e000}\u{1f600}]{0,3}"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
                prop::collection::vec((name, inner), 0..6)
                    .prop_map(|members| Json::Object(Object::from_iter(members))),
            ]
        })
    }

    proptest! {
        #[test]
        fn both_writers_agree_on_every_value(value in json()) {
            prop_assert_eq!(value.canonical(), canonical(&value));
        }
    }

    #[test]
    fn what_the_writers_do_not_share_is_not_plain() {
        let plain = |text: &str| {
            is_plain(&Json::parse(text.as_bytes(), &crate::limits::JsonLimits::DEFAULT).unwrap())
        };
        assert!(plain(r#"{"b":[1,-2,null],"a":{"e":"é"}}"#));
        for text in
            ["1.5", "1.0", "-0", "1e2", "9007199254740993", r#"{"é":1}"#, r#"[{"\ue000":1}]"#]
        {
            assert!(!plain(text), "{text}");
        }
    }
}
