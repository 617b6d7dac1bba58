//! Where an agent's program runs: in namespaces of its own (made by bubblewrap),
//! as another user, or unisolated, which is said and recorded.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bailiwick_core::guarantee;
use tokio::process::Command;

use super::covers::Covers;
use crate::args::{self, Network, PlaceArgs};
use crate::error::CliError;

/// The port at which the sidecar is reached in a network of the program's own,
/// where nobody else listens.
pub(super) const INNER_PORT: u16 = 7418;
/// Where the sidecar's folder is seen in namespaces.
const INNER_DIR: &str = "/run/bailiwick";
/// Where this program is seen there.
const INNER_DOOR: &str = "/run/bailiwick-door";
/// The home of a program in namespaces; it ends with them.
const INNER_HOME: &str = "/home/agent";
/// The sidecar's socket, in its folder.
pub(super) const SOCKET: &str = "sidecar.sock";
/// Folders of the system that every program needs, read only.
const SYSTEM: &[&str] =
    &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt"];

/// What a program in namespaces has its own of.
const OWN: &[&str] = &["/proc", "/dev", "/run", "/tmp", "/home"];

/// What keeps the program from the sidecar's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Isolation {
    /// User, mount, process, IPC and host name spaces of its own; a network of its
    /// own by option.
    Namespaces,
    /// Another user of the host.
    User { name: String, uid: u32, gid: u32 },
    /// Nothing.
    None,
}

impl Isolation {
    /// What the enrolment states.
    pub(super) const fn recorded(&self) -> guarantee::Isolation {
        match self {
            Self::Namespaces => guarantee::Isolation::Namespaces,
            Self::User { .. } => guarantee::Isolation::User,
            Self::None => guarantee::Isolation::None,
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        self.recorded().as_str()
    }
}

/// Why namespaces cannot be had here.
fn namespaces() -> Result<(), String> {
    let probe = std::process::Command::new("bwrap")
        .args(["--unshare-user", "--unshare-pid", "--unshare-net", "--ro-bind", "/", "/"])
        .args(["--proc", "/proc", "--dev", "/dev", "--", "true"])
        .stdin(Stdio::null())
        .output();
    match probe {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(said.lines().next().unwrap_or("it does not say why").to_owned())
        }
        Err(_) => Err("bubblewrap (bwrap) is not installed".to_owned()),
    }
}

/// What was asked for, or the best that the host allows.
pub(super) fn choose(args: &PlaceArgs) -> Result<(Isolation, Option<CliError>), CliError> {
    let chosen = match (&args.user, args.isolation) {
        (Some(name), _) => (user(name)?, None),
        (None, args::Isolation::None) => (Isolation::None, None),
        (None, asked) => match namespaces() {
            Ok(()) => (Isolation::Namespaces, None),
            Err(why) if asked == args::Isolation::Namespaces => return Err(not_isolated(&why)),
            Err(why) => (Isolation::None, Some(not_isolated(&why))),
        },
    };
    let own_view = chosen.0 == Isolation::Namespaces;
    if !own_view && args.network == Network::Gateway {
        return Err(CliError::environment(
            "network-not-isolated",
            "the program's network can only be closed in namespaces",
            "install bubblewrap, or leave out --network gateway and --user",
        ));
    }
    let nothing_named = args.read.is_empty() && args.write.is_empty();
    if !own_view && !nothing_named {
        return Err(CliError::usage(
            "argument-surplus",
            "--read and --write say what is seen in namespaces, and there are none",
            "leave them out, or install bubblewrap",
        ));
    }
    Ok(chosen)
}

fn not_isolated(why: &str) -> CliError {
    CliError::environment(
        "isolation-unavailable",
        format!("the host allows no namespaces: {why}"),
        "install bubblewrap and allow unprivileged user namespaces, or run as root with --user NAME",
    )
}

/// A user of the host, by `id`.
fn user(name: &str) -> Result<Isolation, CliError> {
    let number = |flag: &str| {
        let output = std::process::Command::new("id").args([flag, "--", name]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse::<u32>().ok()
    };
    let unknown = || {
        CliError::not_found(
            "user-unknown",
            format!("this host has no user `{name}`"),
            "name a user that exists and is nobody's else",
        )
    };
    let (uid, gid) = (number("-u").ok_or_else(unknown)?, number("-g").ok_or_else(unknown)?);
    let own = rustix::process::geteuid();
    if !own.is_root() {
        return Err(CliError::environment(
            "user-not-root",
            "only root can run a program as another user",
            "run it as root, or leave out --user for namespaces",
        ));
    }
    if uid == own.as_raw() {
        return Err(CliError::usage(
            "user-same",
            format!("`{name}` is who runs the sidecar"),
            "name another user",
        ));
    }
    Ok(Isolation::User { name: name.to_owned(), uid, gid })
}

/// All that a program's place is made of.
pub(super) struct Place<'a> {
    pub(super) isolation: &'a Isolation,
    pub(super) args: &'a PlaceArgs,
    /// The sidecar's folder; the program may read what is in it.
    pub(super) sidecar: &'a Path,
    /// What the program must not see, wherever it lies.
    pub(super) hidden: Vec<PathBuf>,
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) command: &'a [OsString],
}

impl Place<'_> {
    /// The sidecar's folder as the program sees it.
    pub(super) fn seen(isolation: &Isolation, sidecar: &Path) -> PathBuf {
        match isolation {
            Isolation::Namespaces => INNER_DIR.into(),
            Isolation::User { .. } | Isolation::None => sidecar.to_owned(),
        }
    }

    /// The command that puts the program into its place.
    pub(super) fn command(&self) -> Result<Command, CliError> {
        let (program, arguments) =
            self.command.split_first().ok_or_else(super::super::wrap::no_command)?;
        let mut command = match self.isolation {
            Isolation::Namespaces => self.in_namespaces(program, arguments)?,
            Isolation::User { uid, gid, .. } => {
                let home = self.home()?;
                // SECURITY: the folder last. From then on the user may put links there, and
                // nothing more is given away by name.
                for path in [home.as_path(), self.sidecar] {
                    lchown(path, Some(*uid), Some(*gid))
                        .map_err(|e| CliError::file(path, "give away", &e))?;
                }
                let mut command = in_session("setpriv")?;
                command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}"));
                command.args(["--clear-groups", "--no-new-privs", "--inh-caps=-all", "--"]);
                command.arg(program).args(arguments).env_clear().env("HOME", home);
                command
            }
            Isolation::None => {
                let mut command = in_session(program)?;
                command.args(arguments).env_clear().env("HOME", self.home()?);
                command
            }
        };
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.kill_on_drop(true);
        Ok(command)
    }

    fn home(&self) -> Result<PathBuf, CliError> {
        let home = self.sidecar.join("home");
        std::fs::create_dir(&home).map_err(|e| CliError::file(&home, "make", &e))?;
        Ok(home)
    }

    /// What can be wrong with the place, before anything is granted for it; gives what should
    /// be better.
    pub(super) fn check(&self) -> Result<Option<CliError>, CliError> {
        match self.isolation {
            Isolation::Namespaces => Ok(self.views()?.covers.warning()),
            Isolation::User { .. } | Isolation::None => {
                places(self.program()?, &current_dir()?).map(|_| None)
            }
        }
    }

    fn program(&self) -> Result<&OsString, CliError> {
        self.command.first().ok_or_else(super::super::wrap::no_command)
    }

    /// What is shown and what is hidden, by its real place.
    fn views(&self) -> Result<Views, CliError> {
        let work = current_dir()?;
        let read: Vec<PathBuf> = self.args.read.iter().map(absolute).collect::<Result<_, _>>()?;
        let write: Vec<PathBuf> = self.args.write.iter().map(absolute).collect::<Result<_, _>>()?;
        let hidden: Vec<PathBuf> = self.hidden.iter().filter_map(|p| absolute(p).ok()).collect();
        for seen in read.iter().chain(&write).chain([&work]) {
            if let Some(inside) = hidden.iter().find(|hidden| seen.starts_with(hidden)) {
                return Err(CliError::usage(
                    "place-inside-secrets",
                    format!(
                        "`{}` lies in `{}`, which the program must not see",
                        seen.display(),
                        inside.display()
                    ),
                    "start it in another folder, or name another path",
                ));
            }
            // SECURITY: what is bound later lies over these, and would show the host's.
            if OWN.iter().any(|own| Path::new(own).starts_with(seen)) {
                return Err(CliError::usage(
                    "place-too-wide",
                    format!("`{}` holds what the program has its own of", seen.display()),
                    "start it in a folder of its own, and name what it needs by itself",
                ));
            }
        }
        let program = visible(self.program()?, &work, read.iter().chain(&write))?;
        let shown: Vec<&Path> = SYSTEM
            .iter()
            .map(Path::new)
            .chain(read.iter().chain(&write).chain([&work]).map(PathBuf::as_path))
            .collect();
        let needed: Vec<&Path> = shown.iter().copied().chain([program.as_path()]).collect();
        let covers = Covers::new(&self.hidden, &shown, &needed);
        Ok(Views { work, read, write, covers })
    }

    /// A root of its own: the system read only, the folder it starts in, and what
    /// was named. Processes, temporary files and sockets of others are not there.
    fn in_namespaces(&self, program: &OsStr, arguments: &[OsString]) -> Result<Command, CliError> {
        let Views { work, read, write, covers } = self.views()?;
        let mut command = Command::new("bwrap");
        command.args(["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]);
        command.args(["--unshare-cgroup-try", "--die-with-parent", "--cap-drop", "ALL"]);
        if terminal_takes_input() {
            command.arg("--new-session");
        }
        for folder in SYSTEM {
            command.args(["--ro-bind-try", folder, folder]);
        }
        command.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/run"]);
        command.args(["--tmpfs", "/home", "--dir", INNER_HOME, "--setenv", "HOME", INNER_HOME]);
        let mut bind = |how: &str, path: &Path| {
            command.arg(how).arg(path).arg(path);
        };
        read.iter().for_each(|path| bind("--ro-bind", path));
        bind("--bind", &work);
        write.iter().for_each(|path| bind("--bind", path));
        // Later mounts lie over earlier ones.
        for folder in &covers.folders {
            command.arg("--tmpfs").arg(folder);
        }
        for file in &covers.files {
            command.arg("--ro-bind").arg("/dev/null").arg(file);
        }
        command.arg("--ro-bind").arg(self.sidecar).arg(INNER_DIR).arg("--chdir").arg(&work);
        command.env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            // For bubblewrap to be found; the program's own is among its variables.
            command.env("PATH", path);
        }
        if self.args.network == Network::Gateway {
            let own =
                std::env::current_exe().map_err(|e| CliError::file(".".as_ref(), "find", &e))?;
            command.arg("--unshare-net").arg("--ro-bind").arg(own).arg(INNER_DOOR);
            command.args(["--", INNER_DOOR, "run-door", "--port", &INNER_PORT.to_string()]);
            command.arg("--socket").arg(Path::new(INNER_DIR).join(SOCKET));
        }
        command.arg("--").arg(program).args(arguments);
        Ok(command)
    }
}

/// A program in a session of its own: it has no terminal to type into, from which a shell of the
/// host would read (TIOCSTI), and a process group that can be ended with it.
fn in_session(program: impl AsRef<OsStr>) -> Result<Command, CliError> {
    places("setsid".as_ref(), Path::new("/")).map_err(|_| {
        CliError::environment("setsid-missing", "there is no `setsid` here", "install util-linux")
    })?;
    // It does not fork: a process that was just started leads no group.
    let mut command = Command::new("setsid");
    command.arg(program);
    Ok(command)
}

/// What a program in namespaces is shown, and what it is not.
struct Views {
    work: PathBuf,
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
    covers: Covers,
}

fn current_dir() -> Result<PathBuf, CliError> {
    std::env::current_dir().map_err(|e| CliError::file(".".as_ref(), "find", &e))
}

fn absolute(path: &PathBuf) -> Result<PathBuf, CliError> {
    std::fs::canonicalize(path).map_err(|e| {
        CliError::usage(
            "path-missing",
            format!("`{}` cannot be used: {e}", path.display()),
            "name what exists",
        )
    })
}

/// Where a program is found: by its path, or in the folders of `PATH`, in their order.
fn places(program: &OsStr, work: &Path) -> Result<Vec<PathBuf>, CliError> {
    let found: Vec<PathBuf> = if Path::new(program).components().count() > 1 {
        vec![work.join(program)]
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|dir| dir.join(program)).collect()
    };
    let found: Vec<PathBuf> = found.into_iter().filter(|p| p.is_file()).collect();
    if found.is_empty() {
        return Err(CliError::not_found(
            "program-unknown",
            format!("there is no program `{}`", Path::new(program).display()),
            "check its name and PATH",
        ));
    }
    Ok(found)
}

/// Whether the program can be found where it will be looked for: folders of `PATH` that are not
/// shown are not there, so that the next one counts. Gives its real place.
fn visible<'p>(
    program: &OsStr,
    work: &'p Path,
    named: impl Iterator<Item = &'p PathBuf>,
) -> Result<PathBuf, CliError> {
    let shown: Vec<&Path> = named.map(PathBuf::as_path).chain([work]).collect();
    let shown = |path: &Path| {
        SYSTEM.iter().map(Path::new).chain(shown.iter().copied()).any(|s| path.starts_with(s))
    };
    let mut hidden = PathBuf::new();
    for found in places(program, work)? {
        let real = std::fs::canonicalize(&found).unwrap_or_else(|_| found.clone());
        match (shown(&found), shown(&real)) {
            (true, true) => return Ok(real),
            // It would be found there, and lead nowhere.
            (true, false) => return Err(not_visible(&real)),
            (false, _) => hidden = found,
        }
    }
    Err(not_visible(&hidden))
}

fn not_visible(program: &Path) -> CliError {
    CliError::usage(
        "program-not-visible",
        format!("`{}` lies where the program's namespaces do not reach", program.display()),
        "show its folder, and that of what it needs, with --read DIR; for a shim name what it leads to, such as /usr/bin/python3",
    )
}

/// Whether the kernel lets a program type into the terminal it was started from;
/// then it gets a session of its own, without job control.
fn terminal_takes_input() -> bool {
    std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").map_or(true, |t| t.trim() != "0")
}
