//! `import`: from the configuration of an MCP client to tool servers of ours.
//!
//! Nothing is started, reached or catalogued by it, and the file stays as it
//! is: what it makes is a folder to look at, and the commands that come next.

use std::path::{Path, PathBuf};

use bailiwick_core::json::{Json, Object};
use bailiwick_store::create_private_dir;

use crate::args::ImportArgs;
use crate::client_config::{self, Found, How, Imported, Place, Value};
use crate::error::CliError;
use crate::keyfile;
use crate::output::{Output, one_line};

pub(super) fn run(args: &ImportArgs, out: Output) -> Result<(), CliError> {
    let json = keyfile::read_json(&args.file)?;
    let folder =
        std::path::absolute(&args.out).map_err(|e| CliError::file(&args.out, "resolve", &e))?;
    let credentials = folder.join("credentials");
    let servers = client_config::read(&json, &credentials.display().to_string())?;
    if folder.exists() {
        return Err(CliError::environment(
            "file-exists",
            format!("`{}` exists already, and nothing is replaced", folder.display()),
            "choose another folder with --out, or move this one away",
        ));
    }
    create_private_dir(&credentials)?;
    for found in servers.iter().flat_map(|server| &server.found) {
        keyfile::write_new(&credentials.join(&found.file), &found.value)?;
    }
    let all: Object =
        servers.iter().map(|s| (s.name.to_string(), Json::from(s.config.clone()))).collect();
    let text = Json::from(Object::new().with("mcpServers", all)).canonical();
    keyfile::write_new(&folder.join("servers.json"), &text)?;
    report(&servers, &folder, out);
    Ok(())
}

fn report(servers: &[Imported], folder: &Path, out: Output) {
    let mut lines = vec![format!("read {} tool servers into {}", servers.len(), folder.display())];
    let (mut list, mut next) = (Vec::new(), Vec::new());
    for server in servers {
        let how = match &server.how {
            How::Url(url) => format!("at {url}"),
            How::Program { command, .. } => format!("the program {command}"),
        };
        lines.push(format!("  {} ({}), {}", server.name, one_line(&server.was), one_line(&how)));
        for found in &server.found {
            let (place, name) = (found.place.as_str(), one_line(&found.name));
            let sent = if is_sent(server, found) { "" } else { "; the gateway cannot send it yet" };
            lines.push(format!(
                "    credential in the {place}: {name}, now in credentials/{}{sent}",
                found.file
            ));
        }
        let command = learn(server, folder);
        list.push(Json::from(
            Object::new()
                .with("tool_server", &server.name)
                .with("was", server.was.as_str())
                .with(
                    "credentials",
                    server.found.iter().map(|f| found_json(server, f)).collect::<Vec<_>>(),
                )
                .with("next", command.as_str()),
        ));
        next.push(command);
    }
    lines.push(
        "The file that you named still holds the credentials: remove them there once this works."
            .to_owned(),
    );
    let said =
        Object::new().with("folder", folder.display().to_string()).with("tool_servers", list);
    out.result(said, lines.join("\n"));
    next.push(format!(
        "bailiwick workflow publish {}   # each, once you rated its tools",
        word(&folder.join("NAME.yaml").display().to_string())
    ));
    out.next(&next.iter().map(String::as_str).collect::<Vec<_>>());
}

fn found_json(server: &Imported, found: &Found) -> Json {
    Object::new()
        .with("place", found.place.as_str())
        .with("name", found.name.as_str())
        .with("file", found.file.as_str())
        .with("sent", is_sent(server, found))
        .into()
}

/// The gateway sends a bearer token, and gives a program its environment.
fn is_sent(server: &Imported, found: &Found) -> bool {
    match &server.how {
        How::Url(_) => {
            found.place == Place::Header && found.name.eq_ignore_ascii_case("authorization")
        }
        How::Program { .. } => true,
    }
}

/// The command that reads what the server offers and proposes a workflow, as
/// it is typed into a shell. Credentials are named by their files.
fn learn(server: &Imported, folder: &Path) -> String {
    let path = |path: PathBuf| word(&path.display().to_string());
    let file = |name: &str| path(folder.join("credentials").join(name));
    let proposed = path(folder.join(format!("{}.yaml", server.name)));
    let name = &server.name;
    match &server.how {
        How::Url(url) => {
            let sent = server.found.iter().find(|found| is_sent(server, found));
            let credential = sent.map(|f| format!(" --credential {}", file(&f.file)));
            let credential = credential.unwrap_or_default();
            format!(
                "bailiwick catalogue learn {name} --url {}{credential} --out {proposed}",
                word(url)
            )
        }
        How::Program { command, arguments, environment } => {
            let shell = |value: &Value| match value {
                Value::Plain(text) => word(text),
                Value::Kept(kept) => format!("\"$(cat {})\"", file(kept)),
            };
            let mut before = String::new();
            let mut passed = String::new();
            for (variable, value) in environment {
                before.push_str(&format!("{}={} ", variable, shell(value)));
                passed.push_str(&format!(" --env {}", word(variable)));
            }
            let mut all = vec![word(command)];
            all.extend(arguments.iter().map(shell));
            format!(
                "{before}bailiwick catalogue learn {name}{passed} --out {proposed} -- {}",
                all.join(" ")
            )
        }
    }
}

/// A text as one word of a shell.
fn word(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/@%+,=".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
