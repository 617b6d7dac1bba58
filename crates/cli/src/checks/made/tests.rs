use std::path::Path;

use bailiwick_core::limits::JsonLimits;

use super::*;

/// A check that runs `script`, as another user or in namespaces, as this host allows.
fn options(script: &str, seconds: u64) -> CheckOptions {
    let root = rustix::process::geteuid().is_root();
    CheckOptions {
        name: "books".to_owned(),
        command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        user: if root { "nobody".to_owned() } else { String::new() },
        seconds,
        memory_mb: 256,
    }
}

fn input() -> Input {
    let text = br#"{"criterion":"done","run":"r-1","task":"t-1","workflow":"tickets"}"#;
    Input(Json::parse(text, &JsonLimits::DEFAULT).unwrap())
}

async fn check(script: &str) -> (Verdict, String) {
    made(&options(script, 20), &input()).await
}

#[tokio::test]
async fn its_status_is_its_verdict() {
    assert_eq!(check("echo fine").await, (Verdict::Holds, "fine\n".to_owned()));
    assert_eq!(check("echo wrong; exit 1").await, (Verdict::DoesNotHold, "wrong\n".to_owned()));
    // The first process of a namespace of its own cannot kill itself; its child can.
    for other in ["exit 2", "exit 77", "sh -c 'kill -9 $$'"] {
        assert_eq!(check(other).await.0, Verdict::NotRun, "{other}");
    }
}

#[tokio::test]
async fn what_cannot_be_run_says_neither_yes_nor_no() {
    let mut missing = options("", 20);
    missing.command = vec!["/usr/bin/no-such-check".to_owned()];
    let (verdict, why) = made(&missing, &input()).await;
    assert_eq!(verdict, Verdict::NotRun, "{why}");
    // Found, and not a program.
    missing.command = vec!["/etc/hostname".to_owned()];
    assert_eq!(made(&missing, &input()).await.0, Verdict::NotRun);
    if rustix::process::geteuid().is_root() {
        let mut nobody = options("exit 0", 20);
        nobody.user = String::new();
        let (verdict, why) = made(&nobody, &input()).await;
        assert!(verdict == Verdict::NotRun && why.contains("user"), "{why}");
    }
}

#[tokio::test]
async fn it_is_told_of_the_run_and_of_nothing_else() {
    let (verdict, said) = check("env | sort; cat").await;
    assert_eq!(verdict, Verdict::Holds);
    for line in [
        "BAILIWICK_CRITERION=done",
        "BAILIWICK_RUN=r-1",
        "BAILIWICK_TASK=t-1",
        "BAILIWICK_WORKFLOW=tickets",
        "PATH=/usr/bin:/bin",
    ] {
        assert!(said.lines().any(|l| l == line), "{said}");
    }
    assert!(said.ends_with(&input().0.canonical()), "{said}");
    // A shell adds PWD, SHLVL and _ of its own.
    let named: Vec<&str> =
        said.lines().filter_map(|l| l.split_once('=')).map(|(name, _)| name).collect();
    let own = ["PWD", "OLDPWD", "SHLVL", "_"];
    assert_eq!(named.iter().filter(|name| !own.contains(name)).count(), 5, "{said}");
}

#[tokio::test]
async fn it_is_neither_root_nor_the_server_and_has_an_empty_folder_that_goes() {
    let (verdict, said) =
        check("id -u; id -G; pwd; ls -A | wc -l; grep NoNewPrivs /proc/self/status").await;
    assert_eq!(verdict, Verdict::Holds, "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_ne!(lines[0], rustix::process::geteuid().as_raw().to_string());
    assert!(!lines[1].split(' ').any(|group| group == "0"), "{said}");
    assert_eq!(lines[3].trim(), "0");
    assert_eq!(lines[4].split_whitespace().nth(1), Some("1"));
    assert!(!lines[2].starts_with("/tmp/bailiwick-check-") || !Path::new(lines[2]).exists());
}

#[tokio::test]
async fn it_inherits_no_open_file() {
    let file = tempfile::tempfile().unwrap();
    // As whoever started this process may have left one.
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let (_, said) = check("ls /proc/self/fd | wc -l").await;
    // 0, 1, 2 and the folder that `ls` reads.
    assert_eq!(said.trim(), "4");
    drop(file);
}

#[tokio::test]
async fn what_takes_too_long_is_killed_with_all_that_it_started() {
    let marker = format!("sleep 98{}", std::process::id());
    let script = format!("{marker} & {marker}");
    let (verdict, why) = made(&options(&script, 1), &input()).await;
    assert_eq!((verdict, why.as_str()), (Verdict::NotRun, "it took longer than 1 seconds"));
    for _ in 0..100 {
        if !runs(&marker) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("what it started goes on");
}

/// Whether some process has this command line.
fn runs(command: &str) -> bool {
    let wanted = command.replace(' ', "\0");
    std::fs::read_dir("/proc").unwrap().filter_map(Result::ok).any(|process| {
        let line = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        line.trim_end_matches('\0') == wanted
    })
}

#[tokio::test]
async fn memory_and_output_have_limits() {
    let (verdict, why) = check("head -c 70000 /dev/zero").await;
    assert!(verdict == Verdict::NotRun && why.contains("more than 65536"), "{why}");
    let (_, limit) = check("ulimit -v").await;
    assert_eq!(limit.trim(), (256 * 1024).to_string());
}

#[tokio::test]
async fn a_check_that_reads_nothing_of_a_large_input_still_ends() {
    let large = Json::from("x".repeat(1 << 20));
    let (verdict, said) = made(&options("echo done", 20), &Input(large)).await;
    assert_eq!((verdict, said.as_str()), (Verdict::Holds, "done\n"));
}

#[tokio::test]
async fn what_it_writes_has_a_bound() {
    let script = "head -c 70000000 /dev/zero > big; test $(wc -c < big) -le 67108864";
    assert_eq!(check(script).await.0, Verdict::Holds);
}
