//! `run report`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use bailiwick_authority::Refusal;
use bailiwick_authority::rules::checks::CheckError;
use bailiwick_core::ids::RunId;
use bailiwick_core::json::{Json, Object};
use bailiwick_evidence::{ReportError, ReportFile};

use crate::args::ReportFormat;
use crate::error::CliError;
use crate::keyfile;
use crate::output::Output;
use crate::verbs::place::Place;

/// How often an authority elsewhere is asked whether it has published the run's last
/// entries, and in between.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

fn told(e: ReportError) -> CliError {
    let (code, remedy) = (e.code(), e.remedy());
    CliError::environment(code, e.to_string(), remedy)
}

impl Place {
    fn run_report(&self, id: &RunId) -> Result<ReportFile, CliError> {
        match self {
            Self::Here(data) => {
                data.sequence()?;
                Ok(data.authority.run_report(None, id)?)
            }
            Self::At(login) => {
                let late = Refusal::from(CheckError::NotPublished);
                let mut tries = 0;
                let answer = loop {
                    match Self::get(login, &format!("/runs/{id}/report")) {
                        Err(e) if e.code == late.code() && tries < TRIES => {
                            tries += 1;
                            std::thread::sleep(PAUSE);
                        }
                        answer => break answer?,
                    }
                };
                let mut text = Json::from(answer).canonical();
                text.push('\n');
                ReportFile::parse(text.as_bytes()).map_err(told)
            }
        }
    }
}

pub(super) fn run(
    id: &RunId,
    format: Option<ReportFormat>,
    output: Option<&Path>,
    place: &Place,
    out: Output,
) -> Result<ExitCode, CliError> {
    let file = place.run_report(id)?;
    let report = file.report();
    let format = format.unwrap_or(match out.json {
        true => ReportFormat::Json,
        false => ReportFormat::Md,
    });
    let text = match format {
        ReportFormat::Md => report.to_markdown(),
        ReportFormat::Html => report.to_html(),
        ReportFormat::Json => file.to_text(),
    };
    let Some(output) = output else {
        let object = match (format, file.to_json()) {
            (ReportFormat::Json, Json::Object(object)) => object,
            _ => Object::new().with("run", id).with("report", text.as_str()),
        };
        out.result(object, text.trim_end());
        return Ok(ExitCode::SUCCESS);
    };
    keyfile::write_new(output, &text)?;
    let object = Object::new()
        .with("run", id)
        .with("file", output.display().to_string())
        .with("complete", report.complete)
        .with("digest", file.digest());
    out.result(object, format!("wrote the report of {id} to {}", output.display()));
    if format == ReportFormat::Json {
        out.next(&[
            "bailiwick keys trust -o trust.json   # once; compare its fingerprint",
            &format!("bailiwick evidence verify {} --trust trust.json", output.display()),
        ]);
    }
    Ok(ExitCode::SUCCESS)
}
