//! `config`: the configuration in force.

use std::path::Path;

use bailiwick_core::json::Object;

use crate::args::ConfigVerb;
use crate::config::{Config, FILE, OPTIONS};
use crate::error::CliError;
use crate::output::Output;

pub(super) fn run(verb: ConfigVerb, dir: &Path, out: Output) -> Result<(), CliError> {
    let config = Config::load(dir)?;
    match verb {
        ConfigVerb::Check => {
            let file = dir.join(FILE);
            let found = file.exists();
            let text = if found {
                format!("`{}` is valid", file.display())
            } else {
                format!("there is no `{}`; the defaults are in force", file.display())
            };
            let file = found.then(|| file.display().to_string());
            out.result(Object::new().with("ok", true).with("file", file), text);
        }
        ConfigVerb::Show => {
            let mut text = String::new();
            for row in OPTIONS {
                text.push_str(&format!(
                    "{} = {}\n  {}\n  range: {}{}\n  who controls it gains: {}\n\n",
                    row.name,
                    config.value(row.name),
                    row.meaning,
                    row.range,
                    row.env.map(|e| format!("; environment: {e}")).unwrap_or_default(),
                    row.attacker,
                ));
            }
            out.result(config.to_json(), text.trim_end());
        }
    }
    Ok(())
}
