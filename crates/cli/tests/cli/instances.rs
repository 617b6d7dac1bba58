//! `instance invite`, `join` and `identity`: enrolment over the network with a
//! real `serve`, and identity tokens that are renewed.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bailiwick_core::crypto::from_base64url;
use bailiwick_testkit::present::{Call, Chain, Holder};
use bailiwick_testkit::world::{OWNER, PRINCIPAL, READER, RUNNER, command, free_port};
use bailiwick_testkit::{Answer, World};
use serde_json::{Value, json};

use crate::EXE;

fn said(world: &World, args: &[&str]) -> Answer {
    let mut command = command(Path::new(EXE), world.base.path());
    Answer::of(command.arg("--data-dir").arg(&world.data).args(args))
}

/// On a host that has no data dir, as an instance's own.
fn elsewhere(home: &Path, args: &[&str]) -> Answer {
    Answer::of(command(Path::new(EXE), home).arg("--json").args(args))
}

fn invite(world: &World, agent: &str) -> String {
    let invited = world.ok(&["instance", "invite", "--agent", agent]);
    assert_eq!(
        (&invited["agent"], &invited["authority"]),
        (&json!(agent), &json!(world.public_url))
    );
    invited["enrolment_token"].as_str().unwrap().to_owned()
}

struct Join<'a> {
    authority: &'a str,
    token: &'a str,
    agent: &'a str,
    owner: &'a str,
}

impl<'a> Join<'a> {
    fn of(world: &'a World, token: &'a str) -> Self {
        Self { authority: &world.public_url, token, agent: RUNNER, owner: OWNER }
    }

    /// The answer, from a host of its own with a key file of this name.
    fn run(&self, home: &Path, key: &str) -> Answer {
        elsewhere(
            home,
            &[
                "instance",
                "join",
                "--authority",
                self.authority,
                "--token",
                self.token,
                "--agent",
                self.agent,
                "--owner",
                self.owner,
                "--key",
                key,
                "--identity",
                "identity.jwt",
            ],
        )
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn claims(token: &str) -> Value {
    let payload = token.trim().split('.').nth(1).expect("a JWS has a payload");
    serde_json::from_slice(&from_base64url(payload).unwrap()).unwrap()
}

#[test]
fn an_instance_joins_over_the_network_acts_and_renews_its_identity() {
    let world = World::new(EXE);
    let host = tempfile::tempdir().unwrap();
    let token = invite(&world, RUNNER);
    let joined = Join::of(&world, &token).run(host.path(), "key.json");
    assert_eq!(joined.status, 0, "{}{}", joined.out, joined.err);
    let joined = joined.json();
    let instance = joined["instance"].as_str().unwrap().to_owned();
    assert!(joined["spiffe_id"].as_str().unwrap().ends_with(&format!("/{instance}")), "{joined}");
    for file in ["key.json", "identity.jwt"] {
        assert_eq!(mode(&host.path().join(file)), 0o600, "{file}");
    }
    let first = std::fs::read_to_string(host.path().join("identity.jwt")).unwrap();
    assert_eq!(claims(&first)["sub"], joined["spiffe_id"]);
    assert_eq!(claims(&first)["iss"], world.public_url.as_str());

    // It is enrolled: a delegation to it is used with the key that it made.
    let listed = world.ok(&["instance", "list"]);
    assert!(listed.to_string().contains(&instance), "{listed}");
    let chain = world.delegate(&["ticket:8821"], &["--instance", &instance]);
    let holder = Holder::read(host.path());
    let call = |chain: &Chain| {
        world.send(&Call::new(chain, &holder.key, "get_ticket", json!({"ticket_id": 8821})))
    };
    world.assert_allowed(&call(&chain), "ok");

    // Renewed with the identity key alone: to a file, or to standard output.
    let url = world.public_url.clone();
    let renew = |more: &[&str]| {
        let who = ["instance", "identity", "--authority", &url, "--key", "key.json"];
        elsewhere(host.path(), &[&who[..], more].concat())
    };
    let renewed = renew(&["--out", "next.jwt"]);
    assert_eq!(renewed.status, 0, "{}{}", renewed.out, renewed.err);
    let next = std::fs::read_to_string(host.path().join("next.jwt")).unwrap();
    assert_eq!(mode(&host.path().join("next.jwt")), 0o600);
    assert_ne!(next, first);
    assert_eq!(claims(&next)["sub"], claims(&first)["sub"]);
    assert_eq!(renew(&[]).json()["instance"], instance.as_str());

    // Retired, it gets no identity and its chain ends.
    world.ok(&["instance", "retire", &instance]);
    let refused = renew(&[]);
    assert_eq!((refused.status, refused.code().as_str()), (1, "instance-unsuitable"));
    world.assert_not_authenticated(&call(&chain), "instance-inactive");
    assert_eq!(world.ok(&["audit", "verify"])["holds"], true);
}

#[test]
fn a_token_enrols_one_instance_of_its_agent_under_its_owner_once() {
    let world = World::new(EXE);
    let host = tempfile::tempdir().unwrap();
    let gone = (1, "link-used-or-expired");
    let answer = |join: Join<'_>, key: &str| {
        let answer = join.run(host.path(), key);
        (answer.status, answer.code())
    };
    let refused = |join: Join<'_>, key: &str, expected: (i32, &str)| {
        let (status, code) = answer(join, key);
        assert_eq!((status, code.as_str()), expected, "{key}");
    };
    let before = world.ok(&["instance", "list"])["instances"].as_array().unwrap().len();
    let made_up = "A".repeat(43);
    refused(Join::of(&world, &made_up), "a.json", gone);
    refused(Join::of(&world, "short"), "b.json", (2, "request-malformed"));
    // For another agent, or under another owner, it is spent for nothing.
    let token = invite(&world, READER);
    refused(Join::of(&world, &token), "c.json", gone);
    let token = invite(&world, RUNNER);
    let join = Join { owner: PRINCIPAL, ..Join::of(&world, &token) };
    refused(join, "d.json", (1, "enrolment-other-owner"));
    assert!(!host.path().join("d.json").exists(), "keys that are not enrolled are nobody's");
    refused(Join::of(&world, &token), "e.json", gone);
    // Enrolled for another authority it would be another's.
    let token = invite(&world, RUNNER);
    let port = free_port().to_string();
    let away = format!("http://localhost:{port}");
    refused(Join { authority: &away, ..Join::of(&world, &token) }, "f.json", (3, "authority-away"));
    let joined = Join::of(&world, &token).run(host.path(), "g.json");
    assert_eq!(joined.status, 0, "the token was not spent: {}", joined.out);
    refused(Join::of(&world, &token), "h.json", gone);
    // A key file is never overwritten.
    let token = invite(&world, RUNNER);
    let (status, _) = answer(Join::of(&world, &token), "g.json");
    assert_eq!(status, 3);
    let after = world.ok(&["instance", "list"])["instances"].as_array().unwrap().len();
    assert_eq!(after, before + 1);
    // Wrong names, before anything is made or sent.
    let join = Join { agent: "runner", ..Join::of(&world, &token) };
    refused(join, "i.json", (2, "id-malformed"));
    assert!(!host.path().join("i.json").exists());
    let unknown = world.run(&["instance", "invite", "--agent", "agent:nobody"]);
    assert_eq!((unknown.status, unknown.code().as_str()), (4, "unknown-name"));
}

#[test]
fn people_read_what_to_do_next_and_the_token_stands_alone() {
    let world = World::new(EXE);
    let invited = said(&world, &["instance", "invite", "--agent", RUNNER]);
    assert_eq!(invited.status, 0, "{}", invited.err);
    let token = invited.out.lines().next().unwrap().to_owned();
    assert_eq!(token.len(), 43);
    let next = format!("bailiwick instance join --authority {}", world.public_url);
    assert!(invited.out.contains(&next), "{}", invited.out);
    // A token is in no command that is printed to be copied into a shell.
    assert_eq!(invited.out.matches(&token).count(), 1);
    let host = tempfile::tempdir().unwrap();
    let mut joining = command(Path::new(EXE), host.path());
    joining.args(["instance", "join", "--authority", &world.public_url, "--token", &token]);
    joining.args(["--agent", RUNNER, "--owner", OWNER, "--key", "key.json"]);
    let joined = Answer::of(&mut joining);
    assert_eq!(joined.status, 0, "{}", joined.err);
    assert!(joined.out.contains("stays here, mode 0600"), "{}", joined.out);
    assert!(joined.out.contains("bailiwick instance identity"), "{}", joined.out);
    assert!(!joined.out.contains(&token), "{}", joined.out);
}

#[test]
fn an_identity_that_is_kept_survives_an_authority_that_is_away() {
    let mut world = World::new(EXE);
    let host = tempfile::tempdir().unwrap();
    let token = invite(&world, RUNNER);
    assert_eq!(Join::of(&world, &token).run(host.path(), "key.json").status, 0);
    world.kill_serve();
    let mut keeping = command(Path::new(EXE), host.path());
    keeping.args(["instance", "identity", "--authority", &world.public_url, "--key", "key.json"]);
    keeping.args(["--out", "kept.jwt", "--keep"]);
    let mut keeping = keeping.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert!(keeping.try_wait().unwrap().is_none(), "it waits for the authority to come back");
    assert!(!host.path().join("kept.jwt").exists());
    world.start_serve();
    let began = Instant::now();
    while !host.path().join("kept.jwt").exists() {
        assert!(began.elapsed() < Duration::from_secs(30), "it did not try again");
        std::thread::sleep(Duration::from_millis(100));
    }
    keeping.kill().unwrap();
    keeping.wait().unwrap();
    let kept = std::fs::read_to_string(host.path().join("kept.jwt")).unwrap();
    assert!(claims(&kept)["sub"].as_str().unwrap().starts_with("spiffe://"));
}
