//! `inspect`: what is in a file, without trusting it.

use std::io::Read as _;

use bailiwick_authority::inspect::{MAX_BYTES, inspect};
use bailiwick_core::json::{Json, Object};

use crate::args::InspectArgs;
use crate::error::CliError;
use crate::keyfile;
use crate::output::{Output, pretty};

pub(super) fn run(args: &InspectArgs, out: Output) -> Result<(), CliError> {
    let max = MAX_BYTES as u64;
    let bytes = if args.file.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin()
            .take(max)
            .read_to_end(&mut bytes)
            .map_err(|e| CliError::file(&args.file, "read", &e))?;
        bytes
    } else {
        keyfile::read_up_to(&args.file, max)?
    };
    let found = inspect(&bytes)?;
    let text = format!(
        "{}\n\nread without verifying any signature: a verifier needs the issuer's key",
        pretty(&found)
    );
    let object = match found {
        Json::Object(o) => o,
        other => Object::new().with("found", other),
    };
    out.result(object, text);
    Ok(())
}
