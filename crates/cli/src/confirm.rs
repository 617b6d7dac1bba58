//! Asking a person at the terminal before something is done.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use crate::error::CliError;
use crate::output::printable;

/// Whether the person says yes to `question`. Where there is no terminal to ask at,
/// `--yes` is asked for instead; `what` names the verb and what it asks about.
///
/// # Errors
/// `no-terminal`; an answer that cannot be read.
pub(crate) fn confirmed(question: &str, what: &str) -> Result<bool, CliError> {
    if !std::io::stdin().is_terminal() {
        return Err(CliError::usage(
            "no-terminal",
            format!("{what}, and there is no terminal to ask"),
            "pass --yes",
        ));
    }
    let mut err = std::io::stderr().lock();
    let _ = write!(err, "{} [y/N] ", printable(question));
    let _ = err.flush();
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|e| CliError::file(Path::new("standard input"), "read", &e))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
