//! Arguments of the operations, read strictly: what is not understood is
//! refused, not left out.

use bailiwick_core::crypto::Digest;
use bailiwick_core::json::{Json, Object};

use super::Told;

/// Names that are known of an operation's arguments.
pub(super) struct Asked<'a>(&'a Object);

fn bad(name: &str) -> Told {
    let name: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
    Told::new(
        "argument-malformed",
        format!("`{name}` is missing, malformed or not known"),
        "call it as its description says",
    )
}

impl<'a> Asked<'a> {
    /// The arguments, none of which is another than `known`.
    pub(super) fn new(arguments: &'a Object, known: &[&str]) -> Result<Self, Told> {
        match arguments.iter().find(|(name, _)| !known.contains(name)) {
            Some((name, _)) => Err(bad(name)),
            None => Ok(Self(arguments)),
        }
    }

    fn read<T>(&self, name: &str, read: impl Fn(&Json) -> Option<T>) -> Result<Option<T>, Told> {
        match self.0.member(name) {
            None => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| bad(name)),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Told> {
        self.read(name, |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn needed(&self, name: &str) -> Result<String, Told> {
        self.text(name)?.ok_or_else(|| bad(name))
    }

    pub(super) fn seconds(&self, name: &str) -> Result<Option<u64>, Told> {
        self.read(name, |value| u64::try_from(value.as_number()?.as_plain_integer()?).ok())
    }

    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, Told> {
        let texts = |value: &Json| -> Option<Vec<String>> {
            value.as_array()?.iter().map(|t| t.as_str().map(str::to_owned)).collect()
        };
        Ok(self.read(name, texts)?.unwrap_or_default())
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<Object>, Told> {
        self.read(name, |value| value.as_object().cloned())
    }

    pub(super) fn digest(&self, name: &str) -> Result<Option<Digest>, Told> {
        self.read(name, |value| Digest::from_text(value.as_str()?))
    }

    /// A list of objects with texts of these names, of which the first
    /// `needed` must be there.
    pub(super) fn records<const N: usize>(
        &self,
        name: &str,
        members: [&str; N],
        needed: usize,
    ) -> Result<Vec<[Option<String>; N]>, Told> {
        let Some(list) = self.read(name, |value| value.as_array().map(<[Json]>::to_vec))? else {
            return Ok(Vec::new());
        };
        list.iter()
            .map(|item| {
                let item = item.as_object().ok_or_else(|| bad(name))?;
                let item = Asked::new(item, &members)?;
                let mut texts = [const { None }; N];
                for (at, (slot, member)) in texts.iter_mut().zip(members).enumerate() {
                    *slot = item.text(member)?;
                    if slot.is_none() && at < needed {
                        return Err(bad(member));
                    }
                }
                Ok(texts)
            })
            .collect()
    }
}
