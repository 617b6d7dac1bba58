//! A named check that means harm, beside a real `serve`: it gets at no key, no
//! environment and no port, writes nothing of the server's, and ends in time. As the
//! checks of root's servers run (as another user), and everybody else's (in
//! namespaces).

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bailiwick_testkit::present::Chain;
use bailiwick_testkit::process::{Answer, Daemon};
use bailiwick_testkit::{World, world};
use serde_json::Value;

use crate::EXE;
use crate::checks::{SCOPE, claimed};

/// Stands in the server's environment.
const CANARY: &str = "Environment-Canary-4711";
/// Users of every Debian machine as whom nothing runs: a limit on processes is their
/// user's, so no other test's checks are held up.
const CHECKER: &str = "games";
const SERVER: [&str; 3] = ["--reuid=7", "--regid=7", "--clear-groups"];

/// Tries what no check may do, and says of each whether it got there.
const PROBE: &str = r#"
got() { if eval "$2" >/dev/null 2>&1; then echo "$1 reached"; else echo "$1 kept"; fi; }
got key "cat $DATA/keys/issuer.jwk"
got texts "cat $DATA/keys/plaintext.jwk"
got state "head -c 1 $DATA/state.db"
got list "ls $DATA/keys"
got config "printf '' >> $DATA/bailiwick.toml"
got planted "touch $DATA/planted"
got beside "touch $BASE/planted"
got environ "grep -qs Environment-Canary /proc/[0-9]*/environ"
got variable "env | grep Environment-Canary"
got port "exec 3<>/dev/tcp/127.0.0.1/$PORT"
"#;

/// Takes more memory than it has, then as many processes as it gets.
const GREED: &str = r#"
echo "memory $(head -c 400000000 /dev/zero | tail -c 300000000 | wc -c)"
n=$(dash -c 'i=0; while [ $i -lt 400 ]; do sleep LONG >/dev/null 2>&1 & i=$((i+1)); echo $i; done' 2>/dev/null | tail -n 1)
if [ "$n" -gt 9 ] && [ "$n" -lt 257 ]; then echo "processes bounded"; else echo "processes $n"; fi
"#;

/// Writes where only the system may.
const SYSTEM: &str = "for f in /etc/passwd /usr/bin/true; do if touch $f.planted || { [ -e $f ] && touch -c $f; }; \
    then echo reached; else echo kept; fi; done 2>/dev/null; grep CapEff /proc/self/status; \
    touch /tmp/$MARK && echo written";

/// An installation with checks that mean harm, whose server is not started yet.
struct Attacked {
    world: World,
    /// What stands before every command of the server's user.
    before: Vec<&'static str>,
    exe: PathBuf,
    chain: Chain,
    mark: String,
}

impl Attacked {
    /// Checks run as `user` of the host, or in namespaces where it is empty; then the
    /// server is not root.
    fn new(user: &str) -> Self {
        let mut world = World::new(EXE);
        let base = world.base.path().to_owned();
        // The folder around is open: what keeps the data dir is its own.
        std::fs::set_permissions(&base, std::fs::Permissions::from_mode(0o755)).unwrap();
        publish(&world);
        let chain = world.delegate(&SCOPE, &[]);
        world.stop_serve();
        let mark = format!("bailiwick-check-mark-{}-{user}", std::process::id());
        let text = checks(&world, user, &mark);
        let file = world.data.join("bailiwick.toml");
        let before = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{before}\n{text}")).unwrap();
        let (mut before, mut exe) = (Vec::new(), PathBuf::from(EXE));
        if user.is_empty() && rustix::process::geteuid().is_root() {
            let credential = base.join("desk/credential");
            let owned = [&world.data, &credential];
            let status = Command::new("chown").args(["-R", "7:7"]).args(owned).status();
            assert!(status.unwrap().success());
            before = [&["setpriv"], &SERVER[..], &["--"]].concat();
            // Where the build lies, others may not read.
            exe = base.join("bailiwick");
            // By another process: what this one holds open for writing is not run.
            assert!(Command::new("cp").args([Path::new(EXE), &exe]).status().unwrap().success());
        }
        Self { world, before, exe, chain, mark }
    }

    /// A command as the server's user.
    fn command(&self) -> Command {
        let mut words = self.before.iter().map(PathBuf::from).chain([self.exe.clone()]);
        let mut command = world::command(&words.next().unwrap(), self.world.base.path());
        command.args(words).args(["--json", "--data-dir"]).arg(&self.world.data);
        command
    }

    fn serve(&mut self) {
        let mut command = self.command();
        command.arg("serve").env("CHECKED_SECRET", CANARY);
        let log = self.world.base.path().join("attacked.log");
        self.world.serve = Some(Daemon::start(&mut command, &log).unwrap());
    }

    fn ok(&self, args: &[&str]) -> Value {
        let answer = Answer::of(self.command().args(args));
        assert_eq!(answer.status, 0, "{args:?}: {}{}", answer.out, answer.err);
        answer.json()
    }

    /// The report of a run, once every check was made.
    fn report(&self, run: &str) -> Value {
        for _ in 0..480 {
            let answer = Answer::of(self.command().args(["run", "report", run]));
            // It says so while its newest entry is not published yet.
            let report = match answer.status {
                0 => answer.json()["report"].clone(),
                _ => Value::Null,
            };
            if report["timeline"].to_string().matches("run.checked").count() == NAMES.len() {
                return report;
            }
            std::thread::sleep(Duration::from_millis(250));
        }
        panic!("the run was not checked: {}", self.world.serve.as_ref().unwrap().errors());
    }

    /// What each check said, or why it was not run: its verdict and its output.
    fn said(&self, name: &str) -> (String, String) {
        let tail = Answer::of(self.command().args(["audit", "tail", "-n", "1000"]));
        let entries = tail.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let of = |e: &Value| e["kind"] == "run.checked" && e["body"]["criterion"] == name;
        let entry = entries.into_iter().find(of).unwrap();
        let id = entry["id"].as_str().unwrap();
        let shown = self.ok(&["audit", "show", id, "--plaintext"]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&entry["body"]["verdict"]), text(&shown["plaintext"]["output"]))
    }

    /// The probe with what it looks for.
    fn probe(world: &World) -> String {
        let (data, base) = (world.data.display(), world.base.path().display());
        format!("DATA={data}; BASE={base}; PORT={}\n{PROBE}", world.address.port())
    }
}

const NAMES: [&str; 5] = ["probe", "system", "greed", "late", "loud"];

/// Seconds that no other program of this host sleeps.
fn long(user: &str) -> String {
    format!("{}{}", 60 + user.len(), std::process::id())
}

/// The checks' tables.
fn checks(world: &World, user: &str, mark: &str) -> String {
    let scripts = [
        Attacked::probe(world),
        format!("MARK={mark}; {SYSTEM}"),
        GREED.replace("LONG", &long(user)),
        "sleep LONG & sleep LONG".replace("LONG", &long(user)),
        "head -c 10000000 /dev/zero | tr '\\0' x".to_owned(),
    ];
    let table = |(name, script): (&str, String)| {
        let seconds = if name == "late" { 1 } else { 60 };
        format!(
            "[[check]]\nname = \"{name}\"\ncommand = [\"/bin/bash\", \"-c\", {script:?}]\nuser = \"{user}\"\nseconds = {seconds}\nmemory_mb = 128\n"
        )
    };
    NAMES.into_iter().zip(scripts).map(table).collect()
}

/// The workflow with a criterion for each check.
fn publish(world: &World) {
    let text = include_str!("../../../../workflows/support-tickets.yaml");
    let (before, rest) = text.split_once("  - id: ticket-read-back").unwrap();
    let (_, after) = rest.split_once("\nreview:").unwrap();
    let criterion =
        |name: &&str| format!("  - {{id: {name}, says: It is well., by: {{check: {name}}}}}\n");
    let criteria: String = NAMES.iter().map(criterion).collect();
    let file = world.path("hostile.yaml");
    std::fs::write(&file, format!("{before}{criteria}\nreview:{after}")).unwrap();
    world.ok(&["workflow", "publish", &file]);
}

/// Whether some process has this command line.
fn runs(command: &str) -> bool {
    let wanted = command.replace(' ', "\0");
    std::fs::read_dir("/proc").unwrap().filter_map(Result::ok).any(|process| {
        let line = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        line.trim_end_matches('\0') == wanted
    })
}

/// Whether this host lets us.
fn can(command: &[&str]) -> bool {
    let mut line = Command::new(command[0]);
    line.args(&command[1..]).output().unwrap().status.success()
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).collect()
}

/// Plays all of it; what only this way of running them keeps is looked at by the
/// caller, who is given what the check said that wrote elsewhere.
fn attack(user: &str) -> (Attacked, String) {
    let mut attacked = Attacked::new(user);
    attacked.serve();
    let run = claimed(&attacked.world, &attacked.chain, "answer the ticket");
    let report = attacked.report(&run);
    let criteria = report["criteria"].as_array().unwrap();
    let found = |name: &str| criteria.iter().find(|c| c["id"] == name).unwrap()["finding"].clone();
    let (_, probed) = attacked.said("probe");
    let names = |text: &str| -> Vec<String> {
        text.lines().filter_map(|l| l.split_once(' ')).map(|(name, _)| name.to_owned()).collect()
    };
    assert_eq!(lines(&probed).len(), PROBE.matches("\ngot ").count(), "{probed}");
    let reached: Vec<&str> = lines(&probed).into_iter().filter(|l| l.contains("reached")).collect();
    // A kernel that gives root no network of its own leaves a check of root's the host's.
    let host = !user.is_empty() && !can(&["unshare", "--net", "true"]);
    assert_eq!(reached, if host { &["port reached"][..] } else { &[] }, "{probed}");
    let (verdict, greed) = attacked.said("greed");
    assert_eq!(lines(&greed), ["memory 0", "processes bounded"]);
    assert_eq!(verdict, "holds");
    let (verdict, why) = attacked.said("late");
    assert_eq!((verdict.as_str(), why.as_str()), ("not_run", "it took longer than 1 seconds"));
    let (verdict, why) = attacked.said("loud");
    assert_eq!((verdict.as_str(), why.as_str()), ("not_run", "it printed more than 65536 bytes"));
    // What did not end as a check does says neither yes nor no.
    for (name, finding) in
        [("probe", "met"), ("greed", "met"), ("late", "missing"), ("loud", "missing")]
    {
        assert_eq!(found(name), finding, "{name}: {report}");
    }
    assert_eq!(report["complete"], false);
    // Nothing of them goes on.
    let sleeper = format!("sleep {}", long(user));
    let goes_on = (0..100).all(|_| {
        std::thread::sleep(Duration::from_millis(20));
        runs(&sleeper)
    });
    assert!(!goes_on, "{sleeper}");
    // The server is none the worse, and the ledger has it all.
    assert_eq!(attacked.ok(&["audit", "verify"])["holds"], true);
    for planted in [attacked.world.data.join("planted"), attacked.world.base.path().join("planted")]
    {
        assert!(!planted.exists(), "{}", planted.display());
    }

    // The probe finds what is there to find: as the server's user, beside it, it does.
    let mut beside = Command::new("/bin/bash");
    beside.args(["-c", &Attacked::probe(&attacked.world)]).env("CHECKED_SECRET", CANARY);
    let beside = String::from_utf8(beside.output().unwrap().stdout).unwrap();
    assert!(!beside.contains("kept"), "{beside}");
    assert_eq!(names(&beside), names(&probed));
    let (_, system) = attacked.said("system");
    (attacked, system)
}

#[test]
fn a_hostile_check_of_a_server_that_is_root_gets_nowhere() {
    if !rustix::process::geteuid().is_root() {
        // Then there is no such server: the other test is all there is.
        return;
    }
    let (attacked, system) = attack(CHECKER);
    let system = lines(&system);
    assert_eq!(system[..2], ["kept", "kept"], "{system:?}");
    assert!(system[2].ends_with("0000000000000000"), "{system:?}");
    // It writes what its user may: to a folder for everybody, as that user.
    let mark = Path::new("/tmp").join(&attacked.mark);
    let data = std::fs::metadata(&mark).unwrap();
    std::fs::remove_file(&mark).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&data), 5);
}

#[test]
fn a_hostile_check_in_namespaces_gets_nowhere_and_writes_nothing() {
    let (attacked, system) = attack("");
    let system = lines(&system);
    assert_eq!(system[..2], ["kept", "kept"], "{system:?}");
    assert!(system[2].ends_with("0000000000000000"), "{system:?}");
    // Its own `/tmp` went with it.
    assert_eq!(system[3], "written");
    assert!(!Path::new("/tmp").join(&attacked.mark).exists());
}
