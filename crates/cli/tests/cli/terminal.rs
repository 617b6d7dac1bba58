//! Approvers at a terminal, a real one (tmux): what a call hides is written out,
//! and what they decide is said.

use std::process::Command;
use std::time::{Duration, Instant};

use bailiwick_testkit::World;
use bailiwick_testkit::world::OWNER;
use serde_json::json;

use crate::EXE;
use crate::approvals_people::{asking_about, data, waiting};

/// A terminal of 100 columns with a shell in it.
struct Terminal {
    socket: String,
}

impl Terminal {
    fn open(world: &World) -> Self {
        let terminal = Self { socket: world.path("tmux") };
        let home = world.base.path().display().to_string();
        let shell = "exec env -i TERM=screen LANG=C.UTF-8 PATH=/usr/bin:/bin PS1='$ ' sh";
        terminal.tmux(&["new-session", "-d", "-x", "100", "-y", "60", "-c", &home, shell]);
        terminal
    }

    fn tmux(&self, args: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.args(["-u", "-f", "/dev/null", "-S", &self.socket]).args(args);
        let out = command.output().expect("tmux is installed");
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// Types a command; gives what the screen shows once this is on it.
    fn types(&self, line: &str, until: &str) -> String {
        self.tmux(&["send-keys", "-l", line]);
        self.tmux(&["send-keys", "Enter"]);
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let screen = self.tmux(&["capture-pane", "-p"]);
            if screen.contains(until) {
                return screen;
            }
            assert!(Instant::now() < deadline, "no `{until}`:\n{screen}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-S", &self.socket, "kill-server"]).status();
    }
}

#[test]
fn a_terminal_shows_what_a_call_hides_and_an_approver_decides_there() {
    let world = asking_about("refund_order");
    let key = world.path("owner-approver.json");
    world.ok(&["approvals", "key", "new", "--for", OWNER, "--out", &key]);
    let chain = world.delegate(&["refund:10072"], &[]);
    let reason = "broken\u{202e}dnufer\u{1b}[2J\u{1b}[1;1HAPPROVED BY EVERYBODY";
    let call = || {
        let arguments = json!({"order_id": 10072, "amount_cents": 500, "reason": reason});
        world.call(&chain, "refund_order", arguments)
    };
    let id = waiting(&call());

    let terminal = Terminal::open(&world);
    let bailiwick = |rest: &str| {
        format!(
            "clear; {EXE} --data-dir {} approvals {rest}; echo \"ended $?\"",
            world.data.display()
        )
    };
    let listed = terminal.types(&bailiwick("list"), "ended 0");
    assert!(listed.contains(&id) && listed.contains("refund_order"), "{listed}");
    let shown = terminal.types(&bailiwick(&format!("show {id}")), "ended 0");
    // The screen was not cleared, and nothing was written at its top.
    assert!(shown.contains("refund_order") && shown.contains("10072"), "{shown}");
    assert!(!shown.lines().any(|line| line.starts_with("APPROVED")), "{shown}");
    let joined = shown.replace('\n', "");
    assert!(joined.contains("\\u{202e}") && joined.contains("\\u001b[2J"), "{shown}");
    assert!(!joined.contains('\u{202e}'));

    let deny = bailiwick(&format!("deny {id} --key {key} --note no"));
    let denied = terminal.types(&deny, "ended 0");
    assert!(denied.contains("denied"), "{denied}");
    assert_eq!(data(&call())["code"], "approval-denied");
}
