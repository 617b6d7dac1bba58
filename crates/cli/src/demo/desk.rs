//! The support desk as a process of its own.

use std::path::PathBuf;
use std::process::ExitCode;

use bailiwick_core::json::Object;
use bailiwick_demo::desk::{DeskConfig, Quirk, serve};

use crate::error::CliError;
use crate::output::Output;
use crate::verbs;

pub(super) fn run(
    database: PathBuf,
    credential: PathBuf,
    port: u16,
    quirk: &str,
    out: Output,
) -> Result<ExitCode, CliError> {
    let quirk: Quirk = quirk.parse().map_err(|_| {
        CliError::usage(
            "quirk-unknown",
            "no such quirk",
            "use none, changed-description, garbage-answer or huge-answer",
        )
    })?;
    verbs::runtime()?.block_on(async move {
        let config = DeskConfig { port, quirk, ..DeskConfig::new(database, credential) };
        let desk = serve(config)
            .await
            .map_err(|e| CliError::environment(e.code(), e.to_string(), e.remedy()))?;
        let stop = verbs::end_signal();
        out.result(
            Object::new().with("event", "listening").with("url", desk.url()),
            format!("support desk at {}", desk.url()),
        );
        stop.await;
        desk.shutdown().await;
        Ok(ExitCode::SUCCESS)
    })
}
