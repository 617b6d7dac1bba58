//! An installation: what `init` makes, what `serve` refuses to start with, what
//! the configuration may say and what `doctor` finds.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bailiwick_testkit::world::{RUNNER, command, files, free_port};
use bailiwick_testkit::{Answer, Daemon, World};
use serde_json::{Value, json};

use crate::EXE;

/// Runs the binary in a folder.
fn run(home: &Path, args: &[&str]) -> Answer {
    Answer::of(command(Path::new(EXE), home).args(args))
}

/// A data dir that was just initialised.
fn initialised() -> (tempfile::TempDir, PathBuf) {
    let base = tempfile::tempdir().unwrap();
    let listen = format!("127.0.0.1:{}", free_port());
    let answer = run(base.path(), &["init", "--yes", "--listen", &listen]);
    assert_eq!(answer.status, 0, "{}", answer.err);
    let data = base.path().join("bailiwick-data");
    (base, data)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn init_makes_private_files_and_asks_unless_told_not_to() {
    let base = tempfile::tempdir().unwrap();
    let asked = run(base.path(), &["--json", "init"]);
    assert_eq!((asked.status, asked.code().as_str()), (2, "no-terminal"), "{}", asked.out);
    assert!(!base.path().join("bailiwick-data").exists(), "nothing was made");
    let (_base, data) = initialised();
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("keys")), 0o700);
    let made = files(&data);
    assert!(made.len() >= 8, "{made:?}");
    for file in made {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    // Another installation has other keys.
    let (_other, theirs) = initialised();
    for file in files(&data.join("keys")) {
        let name = file.file_name().unwrap();
        // A certificate's name is that of its key.
        let theirs = fs::read(theirs.join("keys").join(name)).unwrap_or_default();
        assert_ne!(fs::read(&file).unwrap(), theirs, "{}", file.display());
    }
}

#[test]
fn keys_that_commands_write_are_private() {
    let world = World::new(EXE);
    let chain = world.chain();
    for path in ["principal/key.json", "owner/key.json", "runner/key.json"] {
        assert_eq!(mode(Path::new(&world.path(path))), 0o600, "{path}");
    }
    assert_eq!(mode(&chain.file), 0o600);
    // One that others can read is not used.
    let key = world.principal_key();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = world.run(&[
        "delegate",
        "--agent",
        RUNNER,
        "--scope",
        "orders:read",
        "--purpose",
        "x",
        "--key",
        &key,
        "--out",
        &world.path("x.json"),
    ]);
    assert_eq!((refused.status, refused.code().as_str()), (3, "key-permissions"));
}

#[test]
fn serve_does_not_start_with_keys_that_others_can_read() {
    let (base, data) = initialised();
    for name in [
        "issuer.jwk",
        "authority.jwk",
        "gateway.jwk",
        "log.jwk",
        "plaintext.jwk",
        "identity.jwk",
        "snapshot.jwk",
        "svid.jwk",
        "admin.credential",
    ] {
        let file = data.join("keys").join(name);
        for open in [0o640, 0o604] {
            fs::set_permissions(&file, fs::Permissions::from_mode(open)).unwrap();
            let answer = run(base.path(), &["--json", "serve"]);
            assert_eq!(answer.status, 3, "{name}: {}", answer.out);
            assert_eq!(answer.code(), "key-permissions", "{name}: {}", answer.out);
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn serve_says_where_it_listens_and_why_it_cannot() {
    let (base, _data) = initialised();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let answer = run(base.path(), &["--json", "serve", "--listen", &listen]);
    assert_eq!((answer.status, answer.code().as_str()), (3, "cannot-listen"), "{}", answer.out);
    let answer = run(base.path(), &["--json", "serve", "--listen", "not an address"]);
    assert_ne!(answer.status, 0);
    let mut serve = command(Path::new(EXE), base.path());
    serve.args(["--json", "serve", "--listen", "127.0.0.1:0"]);
    let serve = Daemon::start(&mut serve, &base.path().join("log")).unwrap();
    let address = serve.said["listening"].as_str().unwrap();
    assert!(address.starts_with("127.0.0.1:") && !address.ends_with(":0"), "{address}");
    // Nobody who goes by the installation's name finds that port.
    assert_eq!(warnings(&serve.said), ["public-url-port"]);
    // A second one on the same data dir would need the same replay guard.
    let second = run(base.path(), &["--json", "serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.status, 3, "{}", second.out);
    assert!(!second.code().is_empty(), "{}", second.out);
    assert!(serve.stop().success());
}

/// The codes of what `serve` warned of.
fn warnings(said: &Value) -> Vec<&str> {
    let warnings = said["warnings"].as_array().unwrap();
    for warning in warnings {
        for member in ["message", "remedy"] {
            assert!(warning[member].as_str().is_some_and(|t| !t.is_empty()), "{warning}");
        }
    }
    warnings.iter().map(|w| w["code"].as_str().unwrap()).collect()
}

#[test]
fn serve_warns_when_agents_miss_it_and_speaks_no_plain_http_to_other_hosts() {
    let (base, data) = initialised();
    let config = fs::read_to_string(data.join("bailiwick.toml")).unwrap();
    let named = config.split("public_url = \"http://localhost:").nth(1).unwrap();
    let port: String = named.chars().take_while(char::is_ascii_digit).collect();
    let said = |listen: &str, environment: &[(&str, &str)]| {
        let mut serve = command(Path::new(EXE), base.path());
        serve.envs(environment.iter().copied()).args(["--json", "serve"]);
        if !listen.is_empty() {
            serve.args(["--listen", listen]);
        }
        let serve = Daemon::start(&mut serve, &base.path().join("log")).unwrap();
        let said = serve.said.clone();
        assert!(serve.stop().success());
        said
    };
    assert!(warnings(&said("", &[])).is_empty());
    let open = format!("0.0.0.0:{port}");
    let mut by_environment = command(Path::new(EXE), base.path());
    by_environment.env("BAILIWICK_LISTEN", &open).args(["--json", "serve"]);
    for answer in
        [run(base.path(), &["--json", "serve", "--listen", &open]), Answer::of(&mut by_environment)]
    {
        let found = (answer.status, answer.code());
        assert_eq!(found, (2, "listening-in-the-clear".to_owned()), "{}", answer.out);
    }
    let other = said("127.0.0.1:0", &[]);
    assert_eq!(warnings(&other), ["public-url-port"]);
    let text = other["warnings"][0].to_string();
    let listening = other["listening"].as_str().unwrap();
    for fact in [listening, &port, "public_url"] {
        assert!(text.contains(fact), "{text} does not name {fact}");
    }
    // People read the same on standard error.
    let log = base.path().join("log-of-text");
    let mut serve = command(Path::new(EXE), base.path());
    serve.args(["serve", "--listen", "127.0.0.1:0"]);
    serve.stdout(std::process::Stdio::null()).stderr(fs::File::create(&log).unwrap());
    let mut serve = serve.spawn().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let read = || fs::read_to_string(&log).unwrap();
    while !read().contains("  try: ") && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    serve.kill().unwrap();
    serve.wait().unwrap();
    let log = read();
    let warned = log.lines().any(|l| l.starts_with("warning: ") && l.contains("[public-url-port]"));
    assert!(warned, "{log}");
}

#[test]
fn the_configuration_is_checked_shown_and_overridden_in_order() {
    let (base, data) = initialised();
    let home = base.path();
    let ok = run(home, &["--json", "config", "check"]);
    assert_eq!((ok.status, &ok.json()["ok"]), (0, &json!(true)), "{}", ok.out);
    let shown = run(home, &["--json", "config", "show"]).json();
    let options = shown.as_object().unwrap();
    assert!(options.len() >= 14, "{shown}");
    for (name, option) in options {
        if ["account", "check", "federates_with", "provider", "webhook"].contains(&name.as_str()) {
            assert!(option.is_array(), "{option}");
            continue;
        }
        for member in ["value", "range", "meaning", "an_attacker_gains"] {
            assert!(!option[member].is_null(), "{name} has no {member}");
        }
    }
    // No security switch by environment: two harmless ones, and no more.
    let by_environment: Vec<&String> =
        options.iter().filter(|(_, o)| !o["environment"].is_null()).map(|(n, _)| n).collect();
    assert_eq!(by_environment, ["listen", "log"]);
    let mut with = command(Path::new(EXE), home);
    with.env("BAILIWICK_LOG", "debug").env("BAILIWICK_PUBLISH_LEDGER", "true");
    let shown = Answer::of(with.args(["--json", "config", "show"])).json();
    assert_eq!(shown["log"]["value"], "debug");
    assert_eq!(shown["publish_ledger"]["value"], false);

    let mut wrong = command(Path::new(EXE), home);
    let wrong = Answer::of(wrong.env("BAILIWICK_LISTEN", "here").args(["config", "check"]));
    assert_eq!(wrong.status, 2, "{}", wrong.err);
    assert!(wrong.err.contains("environment variable BAILIWICK_LISTEN: "), "{}", wrong.err);

    let file = data.join("bailiwick.toml");
    let text = fs::read_to_string(&file).unwrap();
    for (from, to, code) in [
        ("staleness_seconds = 10", "staleness_seconds = 3600", "config-out-of-range"),
        ("staleness_seconds = 10", "staleness_secondz = 10", "config-malformed"),
        ("staleness_seconds = 10", "staleness_seconds = \"ten\"", "config-malformed"),
        ("staleness_seconds = 10", "staleness_seconds = ", "config-malformed"),
        ("http://localhost:", "http://gate.example.com:", "config-out-of-range"),
    ] {
        assert!(text.contains(from), "{text}");
        fs::write(&file, text.replace(from, to)).unwrap();
        for args in [&["--json", "config", "check"][..], &["--json", "serve"]] {
            let answer = run(home, args);
            assert_eq!((answer.status, answer.code().as_str()), (2, code), "{to}: {}", answer.out);
        }
    }
}

#[test]
fn doctor_says_what_is_well_and_what_is_not() {
    let mut world = World::new(EXE);
    let well = world.run(&["doctor"]);
    assert_eq!((well.status, &well.json()["ok"]), (0, &json!(true)), "{}", well.out);
    let failing = |world: &World| -> Vec<Value> {
        let answer = world.run(&["doctor"]);
        assert_eq!(answer.status, 1, "{}", answer.out);
        let checks = answer.json()["checks"].as_array().unwrap().clone();
        checks.into_iter().filter(|c| c["ok"] == false).collect()
    };
    world.stop_desk();
    let away = failing(&world);
    assert_eq!((away.len(), &away[0]["code"]), (1, &json!("tool-server-away")), "{away:?}");
    world.start_desk("none");
    let key = world.data.join("keys/plaintext.jwk");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let open = failing(&world);
    assert_eq!(open[0]["code"], "key-permissions", "{open:?}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    // A tool server that serves anybody can be reached round the gateway.
    let open = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}/mcp", open.local_addr().unwrap());
    std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        while let Ok((mut stream, _)) = open.accept() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    world.ok(&["tool-server", "add", "open-desk", "--url", &url]);
    let bypass = failing(&world);
    assert!(bypass.iter().any(|c| c["code"] == "bypass-possible"), "{bypass:?}");
    assert!(bypass.iter().all(|c| c["remedy"].is_string()), "{bypass:?}");
    // Where there is no data dir, that is the one thing to say.
    let nowhere = tempfile::tempdir().unwrap();
    let none = run(nowhere.path(), &["--json", "doctor", "--data-dir", "not-there"]);
    assert_eq!(none.status, 1, "{}", none.out);
    let none = none.json()["checks"].clone();
    assert_eq!((none.as_array().unwrap().len(), &none[0]["code"]), (1, &json!("no-data-dir")));
    let remedy = none[0]["remedy"].as_str().unwrap();
    assert!(remedy.contains("bailiwick init --data-dir not-there"), "{remedy}");
    assert!(!nowhere.path().join("not-there").exists());
    // A fresh installation can delegate nothing yet.
    let (base, _data) = initialised();
    let fresh = run(base.path(), &["--json", "doctor"]);
    assert_eq!(fresh.status, 1, "{}", fresh.out);
    assert!(fresh.out.contains("no-workflow"), "{}", fresh.out);
}

#[test]
fn an_init_that_was_cut_off_goes_on_and_replaces_nothing() {
    let (home, data) = initialised();
    let issuer = std::fs::read(data.join("keys/issuer.jwk")).unwrap();
    let init = ["init", "--yes", "--data-dir", data.to_str().unwrap()];
    // Cut off before the state was made, while the third file was written.
    for name in ["state.db", "state.db-wal", "state.db-shm", "keys/log.jwk", "bailiwick.toml"] {
        let _ = std::fs::remove_file(data.join(name));
    }
    std::fs::remove_dir_all(data.join("ledger")).unwrap();
    std::fs::write(data.join("keys/gateway.jwk"), "").unwrap();
    let answer = run(home.path(), &init);
    assert_eq!(answer.status, 0, "{}{}", answer.out, answer.err);
    assert_eq!(std::fs::read(data.join("keys/issuer.jwk")).unwrap(), issuer);
    let verified = run(home.path(), &["audit", "verify", "--data-dir", data.to_str().unwrap()]);
    assert_eq!(verified.status, 0, "{}", verified.out);
    // A key that is lost beside a state is not made anew.
    std::fs::remove_file(data.join("keys/issuer.jwk")).unwrap();
    let answer = run(home.path(), &init);
    assert_eq!(answer.status, 1, "{}", answer.err);
    assert!(answer.err.contains("already-initialised"), "{}", answer.err);
    assert!(!data.join("keys/issuer.jwk").exists());
}

#[test]
fn another_public_url_is_refused_and_the_right_one_is_named() {
    let mut world = World::new(EXE);
    world.stop_serve();
    let file = world.data.join("bailiwick.toml");
    let text = fs::read_to_string(&file).unwrap();
    let begun = format!("public_url = \"{}\"", world.public_url);
    assert!(text.contains(&begun), "{text}");
    let moved = text.replace(&begun, "public_url = \"https://bailiwick.example\"");
    fs::write(&file, moved).unwrap();
    let refused = world.run(&["agent", "list"]);
    assert_eq!((refused.status, refused.code().as_str()), (2, "public-url-moved"));
    let remedy = refused.json()["error"]["remedy"].as_str().unwrap().to_owned();
    assert!(remedy.contains(&begun), "{remedy}");
    fs::write(&file, text).unwrap();
    world.ok(&["agent", "list"]);
}
