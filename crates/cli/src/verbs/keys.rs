//! `keys`: what others need to verify us.

use std::path::Path;

use bailiwick_core::json::Object;

use crate::args::KeysVerb;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::keyfile;
use crate::output::Output;

pub(super) fn run(verb: KeysVerb, dir: &Path, out: Output) -> Result<(), CliError> {
    let KeysVerb::Trust { output } = verb;
    let trust = DataDir::open(dir)?.authority.trust()?;
    keyfile::write_new(&output, &trust.to_json().canonical())?;
    let fingerprint = trust.fingerprint();
    out.result(
        Object::new()
            .with("trust", output.display().to_string())
            .with("fingerprint", fingerprint.as_str()),
        format!(
            "wrote {}\n  fingerprint {fingerprint}\ncompare the fingerprint over another channel before you rely on the file",
            output.display()
        ),
    );
    out.next(&[&format!("bailiwick evidence verify BUNDLE --trust {}", output.display())]);
    Ok(())
}
