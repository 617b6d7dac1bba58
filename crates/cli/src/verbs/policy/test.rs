//! `policy test`: the cases that lie beside a bundle.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use bailiwick_core::json::{Json, Object};
use bailiwick_policy::{Policies, cases};

use crate::bundle_dir;
use crate::error::{CliError, ended};
use crate::output::Output;

pub(super) fn run(folder: &Path, out: Output) -> Result<ExitCode, CliError> {
    let (bundle, files) = bundle_dir::read_with_cases(folder)?;
    let mut cases = Vec::new();
    for (file, text) in &files {
        let read = cases::parse(text).map_err(|problems| {
            super::super::workflow::invalid(&folder.join(file), "file of cases", &problems)
        })?;
        cases.extend(read.into_iter().map(|case| (file, case)));
    }
    if cases.is_empty() {
        return Err(CliError::usage(
            "policy-no-cases",
            format!("there are no cases in `{}`", folder.display()),
            "write some into a .yaml file beside the policies; docs/policy.md shows how",
        ));
    }
    let mut silent: BTreeSet<String> = bundle.policies().map(|p| p.id.clone()).collect();
    let policies = Policies::enforcing(bundle);
    let (mut items, mut lines, mut failed) = (Vec::new(), Vec::new(), 0usize);
    for (file, case) in &cases {
        let tried = case.put_to(&policies);
        if let Some(evaluation) = &tried.evaluation {
            silent.retain(|id| !evaluation.grounds().contains(id));
        }
        let holds = tried.failures.is_empty();
        lines.push(format!("  {}  {}", if holds { "ok  " } else { "FAIL" }, case.name));
        if !holds {
            failed += 1;
            lines.push(format!("        {}", place(folder, file, case.at.line)));
            lines.extend(tried.failures.iter().map(|failure| format!("        {failure}")));
        }
        let failures: Vec<Json> = tried.failures.iter().map(|f| Json::from(f.as_str())).collect();
        items.push(Json::from(
            Object::new()
                .with("name", case.name.as_str())
                .with("file", file.as_str())
                .with("line", case.at.line)
                .with("holds", holds)
                .with("decision", tried.decision.as_str())
                .with("rule", tried.decision.finding().rule.as_ref())
                .with("failures", failures),
        ));
    }
    lines.push(format!("{} of {} cases hold", cases.len().saturating_sub(failed), cases.len()));
    if !silent.is_empty() {
        let ids: Vec<&str> = silent.iter().map(String::as_str).collect();
        lines.push(format!("no case is settled by: {}", ids.join(", ")));
    }
    let silent: Vec<Json> = silent.iter().map(|id| Json::from(id.as_str())).collect();
    let object =
        Object::new().with("ok", failed == 0).with("cases", items).with("not_settling", silent);
    out.result(object, lines.join("\n"));
    Ok(ended(failed == 0))
}

fn place(folder: &Path, file: &str, line: u64) -> String {
    format!("{}:{line}", folder.join(file).display())
}
