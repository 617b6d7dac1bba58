//! Where a check runs: as another user, or in namespaces of its own; never beside
//! the server's keys.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::config::check::CheckOptions;

/// Folders of the system that programs need, read only.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    // SECURITY: of what the host is configured with, only how libraries are found.
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
];
/// Bytes of a file that a check writes at most, and of its temporary files in all where
/// these are its own.
const MAX_WRITTEN: &str = "67108864";
/// Where a check in namespaces has its working directory.
const INNER: &str = "/tmp/check";
/// The only `PATH` that a check gets.
pub(super) const PATH: &str = "/usr/bin:/bin";
/// Group and world may write.
const OTHERS_WRITE: u32 = 0o022;
/// `O_CLOEXEC`, as the kernel shows it.
const CLOSED_BY_EXEC: u32 = 0o2_000_000;
/// A folder in which only owners may rename.
const STICKY: u32 = 0o1000;

/// A place that was tried: a program can be run there.
#[derive(Debug)]
pub(super) struct Place {
    /// What stands before the program.
    before: Vec<OsString>,
    /// The program, where it really is.
    program: PathBuf,
    /// As whom, where that is another user of the host.
    pub(super) user: Option<(u32, u32)>,
}

impl Place {
    /// The place of a check whose working directory is `work`, or why there is none.
    pub(super) async fn find(options: &CheckOptions, work: &Path) -> Result<Self, String> {
        let own = rustix::process::geteuid();
        let program = options.command.first().map(Path::new).ok_or("it names no program")?;
        let program = trusted(program, own.as_raw())?;
        let (limits, closing) = (limits(options), closing(&inherited()?));
        let (candidates, user) = match own.is_root() {
            true => {
                let (uid, gid) = user(&options.user, own.as_raw()).await?;
                (as_user(uid, gid), Some((uid, gid)))
            }
            false => (vec![in_namespaces(&program, work)], None),
        };
        let mut why = String::new();
        for candidate in candidates {
            let before = [closing.clone(), candidate, limits.clone()].concat();
            let place = Self { before, program: program.clone(), user };
            match place.holds().await {
                Ok(()) => return Ok(place),
                Err(said) => why = said,
            }
        }
        // SECURITY: never unisolated.
        Err(format!("it cannot be isolated here: {why}"))
    }

    /// The check's own command, without what it is told.
    pub(super) fn command(&self, options: &CheckOptions, work: &Path) -> Command {
        let mut command = self.of(&self.program);
        command.args(options.command.iter().skip(1));
        command.env_clear().env("PATH", PATH).current_dir(work);
        command
    }

    fn of(&self, program: &Path) -> Command {
        // It does not fork: a process that was just started leads no group.
        let mut command = Command::new("setsid");
        command.args(&self.before).arg(program);
        command
    }

    /// Whether a program can be run there: what fails in between could pass for a
    /// check that says no.
    async fn holds(&self) -> Result<(), String> {
        let mut command = self.of(Path::new("/bin/true"));
        let tried = command.env_clear().env("PATH", PATH).stdin(Stdio::null()).output().await;
        match tried {
            Ok(tried) if tried.status.success() => Ok(()),
            Ok(tried) => {
                let said = String::from_utf8_lossy(&tried.stderr);
                Err(said.lines().next().unwrap_or("it does not say why").to_owned())
            }
            Err(e) => Err(e.to_string()),
        }
    }
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn limits(options: &CheckOptions) -> Vec<OsString> {
    let bytes = options.memory_mb.saturating_mul(1 << 20);
    let (memory, written) = (format!("--as={bytes}"), format!("--fsize={MAX_WRITTEN}"));
    words(&[
        "prlimit",
        memory.as_str(),
        "--core=0",
        "--nofile=256",
        "--nproc=256",
        written.as_str(),
        "--",
    ])
}

/// Files that this process was started with, open in whatever it starts: its own are
/// never.
fn inherited() -> Result<Vec<u32>, String> {
    let fault = |e: std::io::Error| format!("its open files cannot be told: {e}");
    let mut found = Vec::new();
    for file in std::fs::read_dir("/proc/self/fdinfo").map_err(fault)? {
        let file = file.map_err(fault)?;
        let number: Option<u32> = file.file_name().to_str().and_then(|name| name.parse().ok());
        // What was closed meanwhile is nobody's.
        let told = std::fs::read_to_string(file.path()).unwrap_or_default();
        let flags = told.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
        if let (Some(number), Some(flags)) = (number, flags)
            && number > 2
            && flags & CLOSED_BY_EXEC == 0
        {
            found.push(number);
        }
    }
    Ok(found)
}

/// What closes them, where there are any.
fn closing(files: &[u32]) -> Vec<OsString> {
    if files.is_empty() {
        return Vec::new();
    }
    let closed: Vec<String> = files.iter().map(|file| format!("{file}>&-")).collect();
    let script = format!("exec {}; exec \"$@\"", closed.join(" "));
    words(&["bash", "--norc", "--noprofile", "-c", script.as_str(), "check"])
}

/// As a user of the host: with processes and a network of its own where the kernel
/// lets us, so that nothing is left of it and nothing is reached.
fn as_user(uid: u32, gid: u32) -> Vec<Vec<OsString>> {
    let (uid, gid) = (format!("--reuid={uid}"), format!("--regid={gid}"));
    let user = [
        "setpriv",
        uid.as_str(),
        gid.as_str(),
        "--clear-groups",
        "--no-new-privs",
        "--inh-caps=-all",
        "--",
    ];
    let apart =
        ["unshare", "--pid", "--mount-proc", "--net", "--ipc", "--fork", "--kill-child", "--"];
    vec![words(&[&apart[..], &user[..]].concat()), words(&user)]
}

/// In namespaces of its own, where it sees the system, itself and nothing else.
fn in_namespaces(program: &Path, work: &Path) -> Vec<OsString> {
    let mut all = words(&["bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc"]);
    all.extend(words(&["--unshare-uts", "--unshare-net", "--unshare-cgroup-try"]));
    all.extend(words(&["--die-with-parent", "--new-session", "--cap-drop", "ALL"]));
    all.extend(words(&["--uid", "65534", "--gid", "65534"]));
    for folder in SYSTEM {
        all.extend(words(&["--ro-bind-try", folder, folder]));
    }
    all.extend(words(&[
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--size",
        MAX_WRITTEN,
        "--tmpfs",
        "/tmp",
    ]));
    all.extend([OsString::from("--ro-bind"), program.into(), program.into()]);
    all.extend([OsString::from("--bind"), work.into(), INNER.into()]);
    // What the folders above are mounted in takes nothing either: it has no `--size`.
    all.extend(words(&["--remount-ro", "/dev", "--remount-ro", "/"]));
    all.extend(words(&["--chdir", INNER, "--"]));
    all
}

/// A user of the host whom a check may run as.
async fn user(name: &str, own: u32) -> Result<(u32, u32), String> {
    if name.is_empty() {
        return Err("the server is root, and the check names no `user`".to_owned());
    }
    let number = async |flag: &str| {
        let asked = Command::new("id").args([flag, "--", name]).output().await.ok()?;
        String::from_utf8(asked.stdout).ok()?.trim().parse::<u32>().ok()
    };
    let found = (number("-u").await, number("-g").await);
    let (Some(uid), Some(gid)) = found else {
        return Err(format!("this host has no user `{name}`"));
    };
    // SECURITY: neither root nor whoever can read the server's keys.
    if uid == 0 || gid == 0 || uid == own {
        return Err(format!("`{name}` is root, or who runs the server"));
    }
    Ok((uid, gid))
}

/// The program where it really is, if nobody but root or the server's user can put
/// another one in its place.
fn trusted(program: &Path, own: u32) -> Result<PathBuf, String> {
    let shown = program.display();
    let real = std::fs::canonicalize(program).map_err(|e| format!("`{shown}`: {e}"))?;
    for (i, place) in real.ancestors().enumerate() {
        let data = std::fs::metadata(place).map_err(|e| format!("`{}`: {e}", place.display()))?;
        if i == 0 && !data.is_file() {
            return Err(format!("`{shown}` is no file"));
        }
        // Where only owners rename, others may write beside what is ours.
        let open = data.mode() & OTHERS_WRITE != 0 && (i == 0 || data.mode() & STICKY == 0);
        if ![0, own].contains(&data.uid()) || open {
            return Err(format!(
                "`{}` is not owned by root or the server's user, or others can write to it",
                place.display()
            ));
        }
    }
    Ok(real)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn in_namespaces_it_sees_what_programs_need_and_no_more() {
        let shown = in_namespaces(Path::new("/usr/bin/check"), Path::new("/tmp/work"));
        let mounted = |what: &str, folder: &str| shown.windows(2).any(|w| w == [what, folder]);
        let binds = ["--bind", "--ro-bind", "--ro-bind-try", "--dev-bind"];
        for hidden in ["/", "/etc", "/opt", "/home", "/var", "/root", "/srv"] {
            assert!(!binds.iter().any(|bind| mounted(bind, hidden)), "{hidden}");
        }
        // What the others are mounted in is no place to write to.
        assert!(mounted("--remount-ro", "/") && mounted("--remount-ro", "/dev"));
        let unshares = ["--unshare-pid", "--unshare-net", "--unshare-user", "--proc"];
        assert!(unshares.iter().all(|word| shown.iter().any(|shown| shown == word)));
    }

    #[test]
    fn a_program_that_others_can_replace_is_not_run() {
        let own = rustix::process::geteuid().as_raw();
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("checks");
        std::fs::create_dir(&inside).unwrap();
        let program = inside.join("check");
        std::fs::write(&program, "#!/bin/sh\n").unwrap();
        let mode = |path: &Path, mode: u32| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(&inside, 0o755);
        mode(&program, 0o755);
        assert!(trusted(&program, own).is_ok());
        mode(&program, 0o775);
        assert!(trusted(&program, own).unwrap_err().contains("others can write"));
        mode(&program, 0o755);
        mode(&inside, 0o777);
        assert!(trusted(&program, own).unwrap_err().contains("others can write"));
        mode(&inside, 0o755);
        assert!(trusted(&inside, own).unwrap_err().contains("no file"));
        assert!(trusted(Path::new("/nowhere/check"), own).is_err());
        // Somebody else's, and we are neither them nor root.
        if own != 0 {
            return;
        }
        std::os::unix::fs::chown(&program, Some(65_534), None).unwrap();
        assert!(trusted(&program, own).unwrap_err().contains("owned"));
        // A link is looked at where it leads.
        let link = inside.join("link");
        std::os::unix::fs::symlink(&program, &link).unwrap();
        assert!(trusted(&link, own).unwrap_err().contains("owned"));
    }

    #[tokio::test]
    async fn a_check_runs_neither_as_root_nor_as_the_server_nor_as_nobody_known() {
        let own = rustix::process::geteuid().as_raw();
        for bad in ["", "root", "no-such-user-here"] {
            assert!(user(bad, own).await.is_err(), "{bad}");
        }
        let (uid, _) = user("nobody", own).await.unwrap();
        assert!(user("nobody", uid).await.is_err());
    }
}
