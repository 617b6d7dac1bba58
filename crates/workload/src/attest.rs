//! Whom the Workload API answers.
//!
//! The kernel says which process and user connected. A process id can be given to
//! another process once its own has ended, so that what `/proc` says of a number
//! is only taken while a pidfd for it says that the process lives, and of a
//! process that began before it connected.
//!
//! SECURITY: between processes of one user nothing here is a wall: one can trace
//! another and speak through it. `run` makes that wall where the host lets it.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::time::{ClockId, clock_gettime};
use tokio::net::UnixStream;

/// Generations that are followed upwards at most.
const MAX_DEPTH: usize = 64;

/// A process that is held: its number is nobody else's while it lives.
#[derive(Debug)]
struct Held {
    pid: Pid,
    fd: OwnedFd,
}

impl Held {
    fn open(pid: Pid) -> Option<Self> {
        Some(Self { pid, fd: pidfd_open(pid, PidfdFlags::empty()).ok()? })
    }

    /// A pidfd can be read from when its process has ended.
    fn lives(&self) -> bool {
        let mut polled = [PollFd::new(&self.fd, PollFlags::IN)];
        poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) == Ok(0)
    }

    /// What the kernel says of it, while it lived.
    fn stat(&self) -> Option<Stat> {
        let stat = read(self.pid, "stat").and_then(|text| Stat::parse(&text));
        stat.filter(|_| self.lives())
    }
}

#[expect(clippy::disallowed_methods, reason = "what the kernel says of a process is in /proc")]
fn read(pid: Pid, name: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{}/{name}", pid.as_raw_nonzero())).ok()
}

/// Of `/proc/PID/stat` (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: Option<Pid>,
    /// Ticks between the start of the system and that of the process.
    began: u64,
}

impl Stat {
    /// The second field is a name that the process chose; it ends with the last
    /// parenthesis.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        // Field 3 comes first, the parent is field 4, the start field 22.
        let parent = fields.nth(1)?.parse().ok()?;
        let began = fields.nth(17)?.parse().ok()?;
        Some(Self { parent: Pid::from_raw(parent), began })
    }
}

/// The process that `run` started, once it has.
#[derive(Clone, Debug, Default)]
pub struct Root(Arc<OnceLock<Held>>);

impl Root {
    /// Says which it is: a child of this process that was not waited for. `false`
    /// when it is said already or the process cannot be held.
    pub fn is(&self, child: u32) -> bool {
        let pid = i32::try_from(child).ok().and_then(Pid::from_raw);
        pid.and_then(Held::open).is_some_and(|held| self.0.set(held).is_ok())
    }
}

/// Who is admitted.
#[derive(Clone, Debug)]
pub enum Admits {
    /// Every process of this user.
    User {
        /// The user.
        uid: u32,
    },
    /// What descends from one process, and is of this user.
    Descendants {
        /// The process.
        root: Root,
        /// The user.
        uid: u32,
    },
}

/// A process that was admitted.
#[derive(Debug)]
pub struct Caller {
    process: Held,
    /// Its user.
    pub uid: u32,
    /// What it runs, as the kernel names it.
    pub exe: String,
    /// Its control group.
    pub cgroup: String,
    /// What it was admitted by: `user`, or `ancestry`.
    pub by: &'static str,
}

impl Caller {
    /// Its number.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.pid.as_raw_nonzero().get()
    }

    /// Whether it still lives: a connection that it left to somebody else is
    /// answered no more.
    #[must_use]
    pub fn lives(&self) -> bool {
        self.process.lives()
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uid, by, .. } = self;
        write!(f, "process {} of user {uid}, admitted by {by}", self.pid())
    }
}

/// A process that is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// The kernel does not say who it is, or it is in none of our namespaces.
    #[error("the caller's process is not known")]
    Unknown,
    /// Another user's.
    #[error("the caller is of another user")]
    User,
    /// It ended, or its number was given to another process.
    #[error("the caller's process has ended")]
    Ended,
    /// It does not descend from what `run` started.
    #[error("the caller was not started by this run")]
    Stranger,
}

/// The time since the system began, in the ticks of `/proc`, rounded up.
fn ticks() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let per_second = rustix::param::clock_ticks_per_second();
    let part = u64::try_from(now.tv_nsec).unwrap_or_default().saturating_mul(per_second);
    u64::try_from(now.tv_sec)
        .unwrap_or_default()
        .saturating_mul(per_second)
        .saturating_add(part / 1_000_000_000)
        .saturating_add(1)
}

impl Admits {
    /// Judges who connected, right after the connection was accepted.
    ///
    /// # Errors
    /// See [`NotAdmitted`].
    pub(crate) fn judge(&self, stream: &UnixStream) -> Result<Caller, NotAdmitted> {
        let accepted = ticks();
        let peer = rustix::net::sockopt::socket_peercred(stream.as_fd())
            .map_err(|_| NotAdmitted::Unknown)?;
        let uid = match self {
            Self::User { uid } | Self::Descendants { uid, .. } => *uid,
        };
        if peer.uid.as_raw() != uid {
            return Err(NotAdmitted::User);
        }
        let process = Held::open(peer.pid).ok_or(NotAdmitted::Ended)?;
        let stat = process.stat().ok_or(NotAdmitted::Ended)?;
        // SECURITY: whoever connected was there before it did.
        if stat.began > accepted {
            return Err(NotAdmitted::Ended);
        }
        let by = match self {
            Self::User { .. } => "user",
            Self::Descendants { root, .. } => {
                descends(&process, stat, root)?;
                "ancestry"
            }
        };
        let exe = std::fs::read_link(format!("/proc/{}/exe", peer.pid.as_raw_nonzero()));
        let exe = exe.map(|path| path.display().to_string()).unwrap_or_default();
        let cgroup = read(peer.pid, "cgroup").unwrap_or_default().trim().to_owned();
        if !process.lives() {
            return Err(NotAdmitted::Ended);
        }
        Ok(Caller { process, uid, exe, cgroup, by })
    }
}

/// Follows parents upwards to the root, each held while the next is looked at.
fn descends(process: &Held, stat: Stat, root: &Root) -> Result<(), NotAdmitted> {
    let root = root.0.get().filter(|root| root.lives()).ok_or(NotAdmitted::Stranger)?;
    if process.pid == root.pid {
        return Ok(());
    }
    let mut chain: Vec<Held> = Vec::new();
    let mut next = stat.parent;
    while chain.len() < MAX_DEPTH {
        let parent = next.ok_or(NotAdmitted::Stranger)?;
        if parent == root.pid {
            // Nobody of the chain ended meanwhile, so that no number changed hands.
            let whole = chain.iter().all(Held::lives) && process.lives() && root.lives();
            return if whole { Ok(()) } else { Err(NotAdmitted::Ended) };
        }
        let held = Held::open(parent).ok_or(NotAdmitted::Stranger)?;
        let child = chain.last().unwrap_or(process);
        // The number was read before the process was held: it is still its parent.
        if child.stat().ok_or(NotAdmitted::Ended)?.parent != Some(parent) {
            return Err(NotAdmitted::Stranger);
        }
        next = held.stat().ok_or(NotAdmitted::Stranger)?.parent;
        chain.push(held);
    }
    Err(NotAdmitted::Stranger)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_name_with_parentheses_says_nothing_of_the_parent() {
        let text = "41 (a) R 7 (b) S 1 41 41 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 9876 1 2";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.parent, stat.began), (Pid::from_raw(1), 9876));
        assert_eq!(Stat::parse("41 (a) R"), None);
        assert_eq!(Stat::parse(""), None);
    }

    fn holds(pid: u32, root: &Root) -> Result<(), NotAdmitted> {
        let held = Held::open(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()).unwrap();
        let stat = held.stat().unwrap();
        descends(&held, stat, root)
    }

    #[test]
    fn only_what_descends_from_the_root_does() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = std::io::BufReader::new(shell.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        let grandchild: u32 = line.trim().parse().unwrap();
        let mut stranger = Command::new("sleep").arg("60").spawn().unwrap();

        let root = Root::default();
        assert_eq!(holds(grandchild, &root), Err(NotAdmitted::Stranger), "before it is said");
        assert!(root.is(shell.id()));
        assert!(!root.is(stranger.id()), "it is said once");
        assert_eq!(holds(shell.id(), &root), Ok(()));
        assert_eq!(holds(grandchild, &root), Ok(()));
        assert_eq!(holds(stranger.id(), &root), Err(NotAdmitted::Stranger));
        assert_eq!(holds(std::process::id(), &root), Err(NotAdmitted::Stranger), "the parent");

        // A process whose parent ended belongs to nobody here.
        shell.kill().unwrap();
        shell.wait().unwrap();
        assert_eq!(holds(grandchild, &root), Err(NotAdmitted::Stranger));
        let held = Held::open(Pid::from_raw(i32::try_from(stranger.id()).unwrap()).unwrap());
        let held = held.unwrap();
        assert!(held.lives() && held.stat().is_some());
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        assert!(!held.lives() && held.stat().is_none(), "nothing is said of one that ended");
        let _ = Command::new("kill").arg(grandchild.to_string()).status();
    }

    #[tokio::test]
    async fn who_connected_is_judged_by_user_and_by_ancestry() {
        let (here, _there) = UnixStream::pair().unwrap();
        let uid = rustix::process::getuid().as_raw();
        let caller = Admits::User { uid }.judge(&here).unwrap();
        assert_eq!((caller.pid().unsigned_abs(), caller.uid), (std::process::id(), uid));
        assert!(caller.lives() && caller.by == "user" && !caller.exe.is_empty());
        let other = Admits::User { uid: uid.wrapping_add(1) }.judge(&here);
        assert_eq!(other.unwrap_err(), NotAdmitted::User);
        let root = Root::default();
        let stranger = Admits::Descendants { root: root.clone(), uid }.judge(&here);
        assert_eq!(stranger.unwrap_err(), NotAdmitted::Stranger);
    }
}
