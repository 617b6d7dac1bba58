//! Programs as tool servers, on their standard streams: what others publish,
//! unchanged, and what lies.

use std::path::Path;
use std::time::{Duration, Instant};

use bailiwick_core::ids::ServerName;
use bailiwick_core::json::Json;
use bailiwick_gateway::stdio::{Listing, Program, ProgramError, Secret, list};

use crate::support::install_tls_provider;

/// A published server, where `scripts/test` installs it.
pub(crate) fn published(name: &str, arguments: &[&str]) -> Program {
    let main = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../clients/node_modules/@modelcontextprotocol")
        .join(name)
        .join("dist/index.js");
    let mut all = vec![main.into_os_string()];
    all.extend(arguments.iter().map(Into::into));
    Program {
        command: "node".into(),
        arguments: all,
        environment: vec![("PATH".into(), std::env::var_os("PATH").unwrap())],
        secrets: Vec::new(),
        has_account: false,
        directory: None,
    }
}

/// A program in Python that answers as `body` says: `read()` gives the next
/// message, `say(…)` writes a line.
pub(crate) fn python(body: &str) -> Program {
    let text = format!(
        "import json, os, sys, time\n\
         def read():\n    line = sys.stdin.readline()\n    if not line: sys.exit(0)\n    return json.loads(line)\n\
         def say(x):\n    sys.stdout.write((x if isinstance(x, str) else json.dumps(x)) + '\\n'); sys.stdout.flush()\n\
         def result(m, r): say({{'jsonrpc': '2.0', 'id': m['id'], 'result': r}})\n\
         def hello(m): result(m, {{'protocolVersion': '2025-11-25', 'capabilities': {{'tools': {{}}}}, 'serverInfo': {{'name': 'x', 'version': '1'}}}})\n\
         {body}"
    );
    Program {
        command: "python3".into(),
        arguments: vec!["-c".into(), text.into()],
        environment: vec![("PATH".into(), std::env::var_os("PATH").unwrap())],
        secrets: Vec::new(),
        has_account: false,
        directory: None,
    }
}

async fn listing(program: &Program, limit: Duration) -> Result<Listing, ProgramError> {
    install_tls_provider();
    list(program, &ServerName::parse("local").unwrap(), limit).await
}

fn names(items: &[Json]) -> Vec<&str> {
    items.iter().map(|i| i.as_object().unwrap().member("name").unwrap().as_str().unwrap()).collect()
}

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn published_programs_are_listed() {
    let memory = listing(&published("server-memory", &[]), PATIENCE).await.unwrap();
    assert!(names(&memory.tools).contains(&"create_entities"), "{memory:?}");
    let here = env!("CARGO_MANIFEST_DIR");
    let files = listing(&published("server-filesystem", &[here]), PATIENCE).await.unwrap();
    assert!(names(&files.tools).contains(&"read_text_file"), "{files:?}");
    assert!(files.prompts.is_empty(), "it offers none");
    let all = listing(&published("server-everything", &[]), PATIENCE).await.unwrap();
    assert!(names(&all.tools).contains(&"echo"), "{all:?}");
    assert!(!all.prompts.is_empty() && !all.resources.is_empty(), "{all:?}");
    assert!(!all.resource_templates.is_empty(), "{all:?}");
}

#[tokio::test]
async fn what_is_no_server_is_told_by_name_and_in_time() {
    let missing = Program { command: "no-such-program".into(), ..python("") };
    assert_eq!(listing(&missing, PATIENCE).await.unwrap_err().code(), "program-start");
    let max = 16 << 20;
    for (body, code) in [
        ("sys.exit(3)", "upstream-broken"),
        ("while True: read()", "upstream-timeout"),
        (
            "while True: read(); say('{\"jsonrpc\": \"2.0\", \"id\": 1, \"id\": 2}')",
            "upstream-garbage",
        ),
        (&format!("read(); say('{{' + 'x' * {max}); time.sleep(9)"), "upstream-too-large"),
        (
            "while True:\n    m = read()\n    if 'id' in m: say({'jsonrpc': '2.0', 'id': m['id'], 'error': {'code': -32601, 'message': 'no'}})",
            "upstream-garbage",
        ),
        (
            // A listing that never ends.
            "hello(read())\nwhile True:\n    m = read()\n    if 'id' in m: result(m, {'tools': [], 'nextCursor': 'x'})",
            "upstream-too-large",
        ),
    ] {
        let began = Instant::now();
        let failed = listing(&python(body), Duration::from_secs(2)).await.unwrap_err();
        assert_eq!(failed.code(), code, "{body}");
        assert!(began.elapsed() < Duration::from_secs(9), "{body}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_program_inherits_nothing_and_its_secret_is_never_shown() {
    let body = "hello(read())\n\
        while True:\n    m = read()\n    if 'id' in m: result(m, {'tools': [{'name': n, 'inputSchema': {}} for n in (sorted(os.environ) if not os.environ.get('SHOW') else os.environ.values())]})";
    let mut program = python(body);
    program.secrets = vec![("TOKEN".into(), Secret::new("s3cret-0123456789"))];
    let found = listing(&program, PATIENCE).await.unwrap();
    let found = names(&found.tools);
    // A shell that starts Python may add names of its own.
    assert!(found.contains(&"TOKEN") && found.contains(&"PATH"), "{found:?}");
    assert!(std::env::var_os("HOME").is_some(), "there is something to inherit");
    assert!(!found.contains(&"HOME") && found.iter().all(|n| !n.contains("CARGO")), "{found:?}");
    program.environment.push(("SHOW".into(), "1".into()));
    assert_eq!(listing(&program, PATIENCE).await.unwrap_err().code(), "upstream-leak");
}
