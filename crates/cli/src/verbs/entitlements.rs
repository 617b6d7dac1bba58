//! `entitlements`: what principals may do and grant at most.

use std::path::Path;

use bailiwick_core::json::{Json, Object};
use bailiwick_policy::Entitlements;

use super::workflow::invalid;
use crate::args::EntitlementsVerb;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::keyfile;
use crate::output::Output;

/// Reads a document; all its problems make one error.
fn read(path: &Path) -> Result<(String, Entitlements), CliError> {
    let text = String::from_utf8(keyfile::read(path)?).map_err(|_| {
        CliError::usage("entitlements-not-utf8", "the file is not UTF-8", "save it as UTF-8")
    })?;
    let parsed = Entitlements::parse(&text)
        .map_err(|problems| invalid(path, "document of entitlements", &problems))?;
    Ok((text, parsed))
}

pub(super) fn run(verb: EntitlementsVerb, dir: &Path, out: Output) -> Result<(), CliError> {
    match verb {
        EntitlementsVerb::Check { file } => {
            let (_, parsed) = read(&file)?;
            out.result(
                Object::new().with("digest", parsed.digest()),
                format!("the entitlements are valid\n  digest  {}", parsed.digest()),
            );
            out.next(&[&format!("bailiwick entitlements publish {}", file.display())]);
        }
        EntitlementsVerb::Publish { file } => {
            let (text, _) = read(&file)?;
            let published = DataDir::open(dir)?.authority.entitlements_publish(&text)?;
            let object =
                Object::new().with("digest", published.digest).with("changed", published.changed);
            let text = if published.changed {
                format!("entitlements {} are in force", published.digest)
            } else {
                "these entitlements are in force already".to_owned()
            };
            out.result(object, text);
        }
        EntitlementsVerb::Show => match DataDir::open(dir)?.authority.entitlements()? {
            None => out.result(
                Object::new().with("published", Json::Null),
                "no entitlements are published: whatever the workflows allow may be granted",
            ),
            Some(stored) => {
                let document = Entitlements::parse(&stored.document).map(|e| e.to_json());
                let object = Object::new()
                    .with("published", stored.published.to_string())
                    .with("digest", stored.digest)
                    .with("document", document.unwrap_or(Json::Null));
                out.result(object, stored.document.trim_end());
            }
        },
    }
    Ok(())
}
