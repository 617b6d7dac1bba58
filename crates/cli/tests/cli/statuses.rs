//! Exit statuses are the same for every verb: 2 for what the user got wrong,
//! 3 for what is not there to be reached, 4 for what nobody knows.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;

use bailiwick_testkit::World;
use bailiwick_testkit::world::{PRINCIPAL, READER, RUNNER};

use crate::command_line::{initialised, run, verbs};

/// A line as somebody types it.
fn typed(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn assert_ends(home: &Path, line: &str, status: i32) -> String {
    let answer = run(home, &[&["--json"], &typed(line)[..]].concat());
    assert_eq!(answer.status, status, "`{line}`: {}{}", answer.out, answer.err);
    let error = &answer.json()["error"];
    for member in ["code", "message", "remedy"] {
        assert!(error[member].as_str().is_some_and(|t| !t.is_empty()), "`{line}`: {error}");
    }
    error.to_string()
}

/// Lines with a bad flag value, a malformed name or a file that is missing, no
/// file, not JSON or something else than the verb takes.
const WRONG: &[&str] = &[
    "a2a add a/b --url http://localhost:9 --agent agent:a",
    "a2a add desk --url http://localhost:9 --agent nobody",
    "a2a show a/b",
    "agent add nobody --owner user:1",
    "agent add agent:a --owner nobody",
    "agent add agent:a --owner user:1 --artifact short",
    "agent resume nobody",
    "agent retire nobody",
    "agent suspend nobody",
    "agent transfer agent:a --to nobody",
    "approvals show nothing",
    "approvals approve nothing --key key",
    "approvals approve 018cc251-f400-7101-8101-010101010101 --key missing",
    "approvals deny 018cc251-f400-7101-8101-010101010101 --key list.json",
    "approvals metrics --since soon",
    "approvals standing approve nothing --key key --count 1 --for 1h",
    "approvals standing sign nothing --key key",
    "approvals standing show nothing",
    "approvals standing revoke nothing --reason r",
    "approvals key new --out approver.key",
    "approvals key new --for nobody --out approver.key",
    "approvals key list",
    "approvals vouch credential",
    "attenuate --chain missing --key key --to doc --out o",
    "attenuate --chain folder --key key --to doc --out o",
    "attenuate --chain bad.json --key key --to doc --out o",
    "attenuate --chain list.json --key key --to doc --out o",
    "audit checkpoint --nonsense",
    "audit erase nothing --yes",
    "audit query --from yesterday",
    "audit query --principal nobody",
    "audit query --decision maybe",
    "audit query --limit many",
    "audit show 1 --nonsense",
    "audit tail --lines many",
    "audit verify --since missing",
    "audit verify --since bad.json",
    "audit verify --trust missing",
    "audit verify --trust list.json",
    "audit verify --ledger missing --trust trust.json",
    "call --url http://localhost:9/mcp/s --chain missing --key key",
    "call --url http://localhost:9/mcp/s --chain list.json --key one.key",
    "call --url http://localhost:9/mcp/s --presentation bad.json tool",
    "call --url http://localhost:9/mcp/s --presentation missing tool",
    "call --url http://localhost:9/mcp/s tool argument",
    "catalogue accept nothing A",
    "catalogue diff nothing",
    "catalogue learn a/b --url http://localhost:9/mcp",
    "catalogue learn desk --env A=1 --env A=2 -- true",
    "catalogue learn desk --env LD_PRELOAD=x -- true",
    "catalogue learn desk --url http://localhost:9/mcp --credential missing",
    "catalogue quarantine nothing",
    "catalogue show nothing",
    "client add missing",
    "client add bad.json",
    "client add list.json",
    "client map c --agent nobody",
    "client resume",
    "client retire",
    "client suspend",
    "completions nonsense",
    "config check --nonsense",
    "config show --nonsense",
    "connect http://localhost:9/mcp/s --key missing --chain one.json",
    "delegate --key missing --out o --agent agent:a --scope s --purpose p",
    "delegate --key list.json --out o --agent agent:a --scope s --purpose p",
    "delegate --key one.key --out o --agent nobody --scope s --purpose p",
    "delegate --key one.key --out o --agent agent:a --scope s --purpose p --for 15",
    "delegate --key one.key --out o --agent agent:a --scope s --purpose p --budget x",
    "delegate --key one.key --out o --agent agent:a --scope s --purpose p --max-depth deep",
    "delegate --key one.key --out o --request missing",
    "delegate --key one.key --out o --request bad.json",
    "delegate --key one.key --out o --request list.json",
    "delegation list --grant nothing",
    "delegation reissue --grant nothing --out o",
    "delegation renew --authority http://localhost:9 --key one.key --grant nothing --out o",
    "delegation renew --authority http://localhost:9 --key missing --grant 0198c1b2-0000-7000-8000-000000000001 --out o",
    "demo nonsense",
    "doctor --nonsense",
    "entitlements check missing",
    "entitlements check bad.json",
    "entitlements publish list.json",
    "entitlements show --nonsense",
    "evidence get nothing -o o",
    "evidence verify bad.json --trust missing",
    "evidence verify missing --trust trust.json",
    "evidence verify bad.json --trust list.json",
    "evidence verify bad.json --trust trust.json --kept list.json",
    "grant list --principal nobody",
    "grant show nothing",
    "handoff show nothing",
    "handoff verify missing --trust trust.json",
    "handoff verify list.json",
    "init --yes --data-dir new --public-url localhost",
    "init --yes --data-dir new --listen here",
    "init --yes --data-dir new --owner nobody",
    "import missing",
    "import list.json",
    "inspect missing",
    "inspect folder",
    "inspect bad.json",
    "inspect list.json",
    "instance enrol missing",
    "instance enrol bad.json",
    "instance enrol list.json",
    "instance identity --authority http://localhost:9 --key missing",
    "instance identity --authority http://localhost:9 --key list.json",
    "instance invite --agent nobody",
    "instance join --authority http://localhost:9 --token t --agent nobody --owner user:1 --key k",
    "instance new --agent nobody --owner user:1 --key k --out d",
    "instance retire nothing",
    "instance svid --authority localhost --key missing --out o",
    "instance svid --authority http://localhost:9 --key list.json --out o",
    "keys compromise issuer --since yesterday",
    "keys rotate nonsense",
    "keys trust",
    "login",
    "logout",
    "principal add nobody",
    "principal add user:2 --role king",
    "principal add service:s --jwk missing",
    "policy candidate missing",
    "policy check missing",
    "policy check folder",
    "policy explain nothing",
    "policy explain --call bad.json",
    "policy publish folder",
    "policy replay missing",
    "policy show --digest short",
    "policy test missing",
    "principal add service:s --jwk bad.json",
    "principal key nobody --key k --jwk j",
    "principal key service:s --algorithm RS256 --key k --jwk j",
    "principal link nobody",
    "principal login nobody",
    "principal offboard nobody --reason r",
    "principal passkey list nobody",
    "principal passkey remove nobody",
    "principal recover nobody",
    "principal resume nobody",
    "principal retire nobody",
    "principal role nobody owner",
    "principal role user:1 king",
    "principal suspend nobody",
    "requests show nothing",
    "requests grant nothing --key key",
    "requests refuse nothing --key key --note n",
    "resume nothing --key key",
    "revoke agent nobody --reason r",
    "revoke delegation short --reason r",
    "revoke delegation --chain missing --reason r",
    "revoke delegation --chain list.json --reason r",
    "revoke everything x --reason r",
    "revoke grant nothing --reason r",
    "revoke grant 0198c1b2-0000-7000-8000-000000000001 --reason r --key missing",
    "run --task t --scope ticket:1 --key missing --env absent -- true",
    "run --task t --scope ticket:1 --key missing --isolation none --read . -- true",
    "scope explain ticket:1 --file missing",
    "scope explain ticket:1 --file bad.json",
    "serve --listen here",
    "peers more",
    "stop nobody --reason r",
    "stops show nothing",
    "task new --workflow w/w --agent agent:a --principal user:1 --purpose p",
    "task new --workflow w --agent nobody --principal user:1 --purpose p",
    "tool-server add a/b --url http://localhost:9/mcp",
    "tool-server add desk --url http://localhost:9/mcp --credential missing",
    "tool-server identity a/b shared",
    "tool-server identity desk nobody",
    "tool-server pin a/b",
    "tool-server pin desk --env A=1",
    "vault remove a/b",
    "vault remove desk --env A --principal user:1",
    "vault remove desk --principal nobody",
    "vault rotate-key --nonsense",
    "vault set a/b --bearer --secret-from credential:x",
    "vault set desk --bearer --basic u --secret-from credential:x",
    "vault set desk --bearer --secret-file missing",
    "vault set desk --bearer --secret-from nothing",
    "vault set desk --bearer --secret-from exec:sh",
    "vault set desk --env A-B --secret-from credential:x",
    "vault set desk --env A --principal user:1 --secret-from credential:x",
    "vault set desk --header Host --secret-from credential:x",
    "vault set desk --oauth-token-url http://as.example --oauth-client-id c --secret-from credential:x",
    "webhook test",
    "whoami",
    "autonomy lower a/b --to manual --reason r",
    "autonomy lower w --to much --reason r",
    "autonomy raise a/b --key missing",
    "autonomy raise w --key missing",
    "autonomy show a/b",
    "failure classify nothing --class prompt",
    "failure regression nothing --out o",
    "failure resolve nothing --dismiss --why w",
    "failure show nothing",
    "failure trends --days much",
    "metrics compare --workflow a/b --before x --after y",
    "metrics unused --workflow a/b",
    "run check nothing",
    "run report nothing",
    "run review nothing --verdict accepted",
    "run rollback nothing",
    "run show nothing",
    "runs check nothing",
    "runs report nothing",
    "runs review nothing --verdict accepted",
    "runs rollback nothing",
    "runs show nothing",
    "workflow check missing",
    "workflow check folder",
    "workflow check bad.json",
    "workflow check missing --require much",
    "workflow diff missing",
    "workflow diff w short short",
    "workflow diff w only-one",
    "workflow history a/b",
    "workflow init --tool-server a/b --out o",
    "workflow publish list.json",
    "workflow publish list.json --author nobody",
    "workflow show a/b",
    "workflow show w --version short",
    "wrap --server /x -- true",
];

#[test]
fn whatever_the_user_got_wrong_ends_with_status_2_for_every_verb() {
    let (base, _data) = initialised();
    let home = base.path();
    fs::create_dir(home.join("folder")).unwrap();
    fs::write(home.join("bad.json"), "{\"a\": ").unwrap();
    bailiwick_testkit::world::private(&home.join("list.json"), "[]");
    assert_eq!(run(home, &["principal", "add", "user:1", "--key", "one.key"]).status, 0);
    assert_eq!(run(home, &["keys", "trust", "-o", "trust.json"]).status, 0);
    for line in WRONG {
        assert_ends(home, line, 2);
    }
    // Every verb but the lists has a line, so that a new one gets one.
    for verb in verbs(home, &[]) {
        let verb = verb.join(" ");
        let help = run(home, &[&typed(&verb)[..], &["--help"]].concat()).out;
        let is_leaf = !help.contains("Commands:\n") || verb == "demo";
        if is_leaf && !verb.is_empty() && !verb.ends_with(" list") {
            let has_line =
                WRONG.iter().any(|line| line.starts_with(&format!("{verb} ")) || *line == verb);
            assert!(has_line, "`{verb}` has no line with wrong input");
        }
    }
    // Nothing was done by halves.
    for name in ["o", "k", "d", "new"] {
        assert!(!home.join(name).exists(), "{name} was made");
    }
}

/// Every verb that takes an authority's URL.
const AT_AUTHORITIES: &[&str] = &[
    "--at URL grant list",
    "login URL --no-browser",
    "logout URL",
    "whoami URL",
    "instance new --authority URL --agent agent:a --owner user:1 --key k --out d",
    "instance join --authority URL --token t --agent agent:a --owner user:1 --key k",
    "instance identity --authority URL --key instance.key",
    "delegation renew --authority URL --key instance.key --grant 0198c1b2-0000-7000-8000-000000000001 --out o",
    "delegate --authority URL --key one.key --agent agent:a --scope s --purpose p --out o",
];

#[test]
fn a_malformed_url_is_told_in_the_same_words_by_every_verb() {
    let (base, _data) = initialised();
    let home = base.path();
    assert_eq!(run(home, &["principal", "add", "user:1", "--key", "one.key"]).status, 0);
    let keys = "instance new --agent agent:a --owner user:1 --key instance.key --out doc";
    assert_eq!(run(home, &typed(keys)).status, 0);
    for (url, said, example) in [
        ("localhost:8443", "does not begin with https://", "http://localhost:8443"),
        ("gate.example.com", "does not begin with https://", "https://gate.example.com"),
        ("http://gate.example.com", "plain http", "https://gate.example.com"),
        ("https://gate.example.com/mcp/desk", "has a path", "https://gate.example.com"),
        ("https://", "cannot be read", "https://gate.example.com"),
        ("ftp://gate.example.com", "neither", "https://gate.example.com"),
    ] {
        for line in AT_AUTHORITIES {
            let error = assert_ends(home, &line.replace("URL", url), 2);
            for fact in ["\"authority-url\"", said, &format!("write it as {example}\"")] {
                assert!(error.contains(fact), "`{line}` at {url} says not `{fact}`: {error}");
            }
        }
    }
    for (line, code) in [
        ("call --url URL tool", "endpoint-url"),
        ("tool-server add desk --url URL", "tool-server-url"),
    ] {
        for url in
            ["localhost:8443/mcp/desk", "ftp://localhost/mcp/desk", "http://gate.example/mcp"]
        {
            let error = assert_ends(home, &line.replace("URL", url), 2);
            assert!(error.contains(code) && error.contains("write it as http"), "{error}");
        }
    }
    let bare = assert_ends(home, "call --url http://localhost:7417/ tool", 2);
    assert!(bare.contains("http://localhost:7417/mcp/SERVER"), "{bare}");
    for name in ["o", "k", "d"] {
        assert!(!home.join(name).exists(), "{name} was made");
    }
}

/// A web server of another kind.
fn another_server() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.read(&mut [0; 8192]);
            let _ = stream.write_all(
                b"HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\ncontent-length: 4\r\nconnection: close\r\n\r\n<p>\n",
            );
        }
    });
    url
}

#[test]
fn a_url_where_nobody_or_somebody_else_answers_says_who() {
    let world = World::new(crate::EXE);
    let home = world.base.path();
    let (chain, key) = (world.chain().path(), world.runner.key_file());
    let principal = world.principal_key();
    let other = another_server();
    let tls = other.replace("http://", "https://");
    let nobody = "http://127.0.0.1:9".to_owned();
    for (url, code, said) in [
        (&nobody, "authority-away", "cannot be reached"),
        (&tls, "authority-away", "cannot be reached"),
        (&other, "not-an-authority", "HTTP 404 Not Found, text/html"),
    ] {
        for line in [
            format!("instance identity --authority {url} --key {key}"),
            format!(
                "instance join --authority {url} --token t --agent {RUNNER} --owner user:owner --key joined"
            ),
            format!(
                "delegation renew --authority {url}/ --key {key} --grant 0198c1b2-0000-7000-8000-000000000001 --out o"
            ),
            format!(
                "delegate --authority {url} --key {principal} --agent {RUNNER} --scope orders:read --purpose p --out o"
            ),
        ] {
            let error = assert_ends(home, &line, 3);
            for fact in [code, said, url.as_str()] {
                assert!(error.contains(fact), "`{line}` says not `{fact}`: {error}");
            }
            assert!(!error.contains("builder"), "{error}");
            // The same line can be typed again with the right URL.
            assert!(!home.join("joined").exists() && !home.join("o").exists());
        }
    }
    let call = |url: &str, more: &str| {
        assert_ends(home, &format!("call --url {url} --chain {chain} --key {key} {more}"), 3)
    };
    for more in ["", "get_ticket ticket_id=8821"] {
        let away = call(&format!("{nobody}/mcp/support-desk"), more);
        assert!(away.contains("cannot be reached: ") && away.contains("refused"), "{away}");
        let foreign = call(&format!("{other}/mcp/support-desk"), more);
        assert!(
            foreign.contains("no Bailiwick gateway: HTTP 404 Not Found, text/html"),
            "{foreign}"
        );
        let beside = call(&format!("{}/support-desk", world.public_url), more);
        assert!(beside.contains("no tool server's endpoint"), "{beside}");
        assert!(beside.contains(&format!("{}/mcp/SERVER", world.public_url)), "{beside}");
    }
    // A call without the opening has its own answer, and the same status.
    let direct = format!(
        "call --direct --url {other}/mcp/support-desk --chain {chain} --key {key} get_ticket ticket_id=8821"
    );
    let direct = run(home, &typed(&direct));
    assert_eq!(direct.status, 3, "{}", direct.out);
    assert!(direct.out.contains("HTTP 404 Not Found, text/html"), "{}", direct.out);
}

#[test]
fn what_nobody_knows_ends_with_status_4() {
    let world = World::new(crate::EXE);
    let none = "0198c1b2-0000-7000-8000-000000000001";
    for line in [
        "agent add agent:new --owner user:nobody".to_owned(),
        "agent suspend agent:nobody".to_owned(),
        format!("agent transfer {READER} --to user:nobody"),
        "audit show 99999".to_owned(),
        "audit query --task nothing".to_owned(),
        "audit query --tool nothing".to_owned(),
        "client suspend nobody".to_owned(),
        format!("delegation list --grant {none}"),
        format!("evidence get {none} -o o"),
        format!("grant show {none}"),
        "instance invite --agent agent:nobody".to_owned(),
        format!("instance retire {none}"),
        "principal suspend user:nobody".to_owned(),
        "principal offboard user:nobody --reason r".to_owned(),
        format!("revoke grant {none} --reason r"),
        format!("task new --workflow nothing --agent {RUNNER} --principal {PRINCIPAL} --purpose p"),
        "tool-server pin nobody".to_owned(),
        "workflow history nothing".to_owned(),
        "workflow init --tool-server nothing".to_owned(),
        "workflow show nothing".to_owned(),
    ] {
        let answer = world.run(&typed(&line));
        assert_eq!(answer.status, 4, "`{line}`: {}", answer.out);
        assert!(
            ["unknown-name", "not-found", "evidence-not-found", "no-accepted-tool"]
                .contains(&answer.code().as_str()),
            "{line}: {}",
            answer.out
        );
    }
}
