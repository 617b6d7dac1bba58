//! Chain files: what an instance carries to present its authority.

use std::path::Path;

use bailiwick_core::json::{Json, Object};

use crate::error::CliError;
use crate::keyfile;

/// A chain, root first, and the gateway it is meant for.
#[derive(Clone, Debug)]
pub(crate) struct ChainFile {
    /// Compact tokens, root first.
    pub(crate) chain: Vec<String>,
    /// The gateway's audience.
    pub(crate) audience: String,
}

impl ChainFile {
    pub(crate) fn to_json(&self) -> Object {
        Object::new()
            .with(
                "aat_chain",
                self.chain.iter().map(|t| Json::from(t.as_str())).collect::<Vec<_>>(),
            )
            .with("audience", self.audience.as_str())
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), CliError> {
        keyfile::write_new(path, &Json::Object(self.to_json()).canonical())
    }

    pub(crate) fn read(path: &Path) -> Result<Self, CliError> {
        let json = keyfile::read_json(path)?;
        let malformed = || {
            CliError::usage(
                "chain-file-malformed",
                format!("`{}` is no chain file", path.display()),
                "pass the file that `bailiwick delegate` or `attenuate` wrote",
            )
        };
        json.as_object().and_then(Self::of_json).ok_or_else(malformed)
    }

    /// From a chain file's members.
    pub(crate) fn of_json(o: &Object) -> Option<Self> {
        let chain: Vec<String> = o
            .member("aat_chain")
            .and_then(Json::as_array)
            .and_then(|a| a.iter().map(|t| t.as_str().map(str::to_owned)).collect())
            .filter(|c: &Vec<String>| !c.is_empty())?;
        let audience = o.member("audience").and_then(Json::as_str).unwrap_or_default().to_owned();
        Some(Self { chain, audience })
    }

    /// The leaf.
    pub(crate) fn leaf(&self) -> &str {
        self.chain.last().map_or("", String::as_str)
    }
}
