//! `catalogue`: what the tools say they are, and the person who accepts it.

mod learn;

use std::path::Path;

use bailiwick_authority::Catalogued;
use bailiwick_authority::console::Text;
use bailiwick_authority::rules::life::Administrator;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{ServerName, ToolId};
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::catalogue::{Difference, Flag};

use crate::args::CatalogueVerb;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::output::Output;
use crate::table::table_or;

pub(super) fn run(
    verb: CatalogueVerb,
    dir: &Path,
    logins: Option<&Path>,
    out: Output,
) -> Result<(), CliError> {
    let data = DataDir::open(dir)?;
    match verb {
        CatalogueVerb::List { server } => list(&data, server.as_deref(), out),
        CatalogueVerb::Show { tool } => {
            let tool = data.authority.catalogued_tool(&ToolId::parse(&tool)?)?;
            let mut lines = head(&tool);
            lines.extend(tool.differences.iter().map(|d| {
                format!(
                    "  {:<44} {}",
                    shown(&d.place),
                    value(d.after.as_ref().or(d.before.as_ref()))
                )
            }));
            out.result(object(&tool), lines.join("\n"));
            Ok(())
        }
        CatalogueVerb::Diff { tool } => diff(&data, tool.as_deref(), out),
        CatalogueVerb::Accept { tool, digest } => accept(&data, &tool, &digest, out),
        CatalogueVerb::Learn(args) => learn::run(&data, &args, logins, out),
        CatalogueVerb::Quarantine { tool, reason } => {
            let tool = ToolId::parse(&tool)?;
            data.authority.definition_quarantine(&tool, &reason, &Administrator::OnHost)?;
            let said = Object::new().with("tool", &tool).with("state", "quarantined");
            out.result(said, format!("withdrew {tool}: calls are denied, within a second"));
            out.next(&[&format!("bailiwick catalogue show {tool}   # and accept it again")]);
            Ok(())
        }
    }
}

/// What cannot be seen is written out.
fn shown(text: &str) -> String {
    Text::of(text).to_string()
}

fn value(text: Option<&String>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| shown(text))
}

fn list(data: &DataDir, server: Option<&str>, out: Output) -> Result<(), CliError> {
    let server = server.map(ServerName::parse).transpose()?;
    let mut all = data.authority.catalogued()?;
    all.retain(|t| server.as_ref().is_none_or(|server| t.tool.server() == server.as_str()));
    let lines: Vec<Vec<String>> = all
        .iter()
        .map(|t| {
            vec![shown(t.tool.as_str()), t.state().as_str().to_owned(), codes(&t.flags).join(", ")]
        })
        .collect();
    let tools: Vec<Json> = all.iter().map(|t| brief(t).into()).collect();
    let heads = ["tool", "state", "signs"];
    out.result(
        Object::new().with("tools", tools),
        table_or(&heads, &lines, "no tool is known; read some with `bailiwick tool-server pin`"),
    );
    if all.iter().any(|t| t.state().waits()) {
        out.next(&["bailiwick catalogue diff   # what waits for a person"]);
    }
    Ok(())
}

/// The codes of the signs, each once.
fn codes(flags: &[Flag]) -> Vec<&'static str> {
    let mut codes: Vec<_> = flags.iter().map(|f| f.suspicion.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

fn brief(tool: &Catalogued) -> Object {
    Object::new()
        .with("tool", &tool.tool)
        .with("state", tool.state().as_str())
        .with("pinned", tool.pin.as_ref().map(|pin| Json::from(pin.digest)))
        .with("waiting", tool.candidate.as_ref().map(|c| Json::from(c.digest)))
        .with("flags", codes(&tool.flags).into_iter().map(Json::from).collect::<Vec<_>>())
}

fn object(tool: &Catalogued) -> Object {
    let flag = |f: &Flag| -> Json {
        Object::new()
            .with("code", f.suspicion.as_str())
            .with("sentence", f.suspicion.sentence())
            .with("place", f.place.as_str())
            .with("found", f.found.as_str())
            .into()
    };
    let difference = |d: &Difference| -> Json {
        Object::new()
            .with("place", d.place.as_str())
            .with("before", d.before.as_deref())
            .with("after", d.after.as_deref())
            .into()
    };
    brief(tool)
        .with("flags", tool.flags.iter().map(flag).collect::<Vec<_>>())
        .with("differences", tool.differences.iter().map(difference).collect::<Vec<_>>())
}

/// The tool, how it stands, and the signs.
fn head(tool: &Catalogued) -> Vec<String> {
    let mut lines = vec![format!("{}: {}", shown(tool.tool.as_str()), tool.state().as_str())];
    if let Some(pin) = &tool.pin {
        lines.push(format!("  accepted {}", pin.digest));
    }
    if let Some(candidate) = &tool.candidate {
        lines.push(format!("  waiting  {} (seen {})", candidate.digest, candidate.seen));
    }
    for flag in &tool.flags {
        let (code, sentence) = (flag.suspicion.as_str(), flag.suspicion.sentence());
        let (place, found) = (shown(&flag.place), shown(&flag.found));
        lines.push(format!("  ! {code}: {sentence} (in {place}: {found})"));
    }
    lines
}

fn diff(data: &DataDir, tool: Option<&str>, out: Output) -> Result<(), CliError> {
    let tools = match tool {
        Some(tool) => vec![data.authority.catalogued_tool(&ToolId::parse(tool)?)?],
        None => {
            let mut all = data.authority.catalogued()?;
            all.retain(|tool| tool.state().waits());
            all
        }
    };
    let mut lines = Vec::new();
    for tool in &tools {
        lines.extend(head(tool));
        // Without something that waits there is nothing to compare with.
        for d in tool.differences.iter().filter(|_| tool.candidate.is_some()) {
            lines.push(format!("  {}", shown(&d.place)));
            lines.extend(d.before.as_ref().map(|text| format!("    - {}", shown(text))));
            lines.extend(d.after.as_ref().map(|text| format!("    + {}", shown(text))));
        }
    }
    let text =
        if lines.is_empty() { "nothing waits for a person".to_owned() } else { lines.join("\n") };
    let list: Vec<Json> = tools.iter().map(|tool| object(tool).into()).collect();
    out.result(Object::new().with("tools", list), text);
    let mut waiting = tools.iter().filter(|tool| tool.state().waits());
    if let Some(line) = waiting.find_map(accepting) {
        out.next(&[&line]);
    }
    Ok(())
}

/// The command by which a person accepts what waits.
///
/// SECURITY: the name is the tool server's. One that would leave its quotes in a shell is in no
/// command that we print.
fn accepting(tool: &Catalogued) -> Option<String> {
    let (name, digest) = (shown(tool.tool.as_str()), tool.digest()?);
    (!name.contains('\'')).then(|| format!("bailiwick catalogue accept '{name}' {digest}"))
}

fn accept(data: &DataDir, tool: &str, digest: &str, out: Output) -> Result<(), CliError> {
    let tool = ToolId::parse(tool)?;
    let digest = Digest::from_text(digest).ok_or_else(|| {
        CliError::usage(
            "digest-malformed",
            "the digest is no SHA-256 in base64url",
            "copy it from `bailiwick catalogue diff`",
        )
    })?;
    let pin = data.authority.definition_accept(&tool, &digest, &Administrator::OnHost)?;
    let said = Object::new().with("tool", &tool).with("digest", pin.digest);
    out.result(said, format!("accepted {} as {}", shown(tool.as_str()), pin.digest));
    Ok(())
}
