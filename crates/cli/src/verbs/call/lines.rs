//! Calls from standard input over one connection, as an agent that stays makes
//! them: a JSON object a line, an answer a line.

use std::io::BufRead as _;
use std::process::ExitCode;

use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_demo::agent::AgentClient;
use rmcp::model::JsonObject;

use crate::error::CliError;
use crate::output::Output;

use super::{list, show};

/// Lines that wait for their turn at most.
const WAITING: usize = 16;

/// Serves standard input to its end.
pub(super) async fn serve(client: AgentClient, out: Output) -> Result<ExitCode, CliError> {
    let protocol = client.protocol_version();
    out.result(
        Object::new().with("event", "connected").with("protocol", protocol.clone()),
        format!("connected, protocol {}", protocol.as_deref().unwrap_or_default()),
    );
    let served = answer_all(&client, protocol.as_deref(), out).await;
    client.close().await;
    served
}

async fn answer_all(
    client: &AgentClient,
    protocol: Option<&str>,
    out: Output,
) -> Result<ExitCode, CliError> {
    let mut lines = standard_input();
    let mut worst = ExitCode::SUCCESS;
    while let Some(line) = lines.recv().await {
        let line = line.map_err(|e| {
            CliError::environment("file", format!("cannot read standard input: {e}"), "try again")
        })?;
        if line.trim().is_empty() {
            continue;
        }
        let code = match wanted(&line)? {
            None => list(client, out).await,
            Some((tool, arguments)) => {
                let outcome = client.call_tool(&tool, arguments).await;
                show(&outcome, protocol.map(str::to_owned), out)
            }
        };
        if code != ExitCode::SUCCESS {
            worst = code;
        }
    }
    Ok(worst)
}

/// Read by a thread of its own: the connection goes on while nobody types.
fn standard_input() -> tokio::sync::mpsc::Receiver<std::io::Result<String>> {
    let (send, receive) = tokio::sync::mpsc::channel(WAITING);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if send.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receive
}

/// The tool and its arguments; none when the tools are to be listed.
fn wanted(line: &str) -> Result<Option<(String, JsonObject)>, CliError> {
    let malformed = |what: &str| {
        CliError::usage(
            "line-malformed",
            what,
            r#"write {"tool": NAME, "arguments": {…}} on one line, or {} to list the tools"#,
        )
    };
    let Json::Object(o) = Json::parse(line.as_bytes(), &JsonLimits::DEFAULT)? else {
        return Err(malformed("the line is no JSON object"));
    };
    if let Some((other, _)) = o.iter().find(|(name, _)| !matches!(*name, "tool" | "arguments")) {
        return Err(malformed(&format!("a call has no member `{other}`")));
    }
    let arguments = match o.member("arguments") {
        None => JsonObject::new(),
        Some(Json::Object(given)) => {
            serde_json::from_str(&Json::from(given.clone()).canonical())
                .map_err(|e| malformed(&format!("the arguments cannot be sent: {e}")))?
        }
        Some(_) => return Err(malformed("`arguments` is no JSON object")),
    };
    match o.member("tool") {
        Some(tool) => match tool.as_str() {
            Some(tool) => Ok(Some((tool.to_owned(), arguments))),
            None => Err(malformed("`tool` is no text")),
        },
        None if arguments.is_empty() => Ok(None),
        None => Err(malformed("there are arguments and no tool")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_tool_or_lists_and_anything_else_is_refused() {
        assert!(wanted("{}").unwrap().is_none());
        let (tool, arguments) = wanted(r#"{"tool":"t","arguments":{"a":1}}"#).unwrap().unwrap();
        assert_eq!((tool.as_str(), arguments.len()), ("t", 1));
        assert!(wanted(r#"{"tool":"t"}"#).unwrap().unwrap().1.is_empty());
        for bad in
            ["[]", r#"{"tool":1}"#, r#"{"arguments":{"a":1}}"#, r#"{"tool":"t","arguments":[]}"#]
        {
            assert_eq!(wanted(bad).unwrap_err().code, "line-malformed", "{bad}");
        }
        assert_eq!(wanted(r#"{"tool":"t","x":1}"#).unwrap_err().code, "line-malformed");
        assert_eq!(wanted(r#"{"tool":"t","tool":"u"}"#).unwrap_err().code, "json-duplicate-member");
    }
}
