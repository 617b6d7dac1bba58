//! Following a reference to a secret.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bailiwick_gateway::ports::VaultFault;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

use super::form::{Source, is_name};
use crate::keyfile;

/// Bytes of a secret at most.
const MAX_SECRET: u64 = 16 << 10;
/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A fault with this code.
pub(super) const fn fault(code: &'static str) -> VaultFault {
    VaultFault { code }
}

/// The secret that a source leads to, without white space around it.
pub(super) async fn read(source: &Source) -> Result<Zeroizing<String>, VaultFault> {
    let bytes = match source {
        Source::Value(value) => return Ok(Zeroizing::new(value.clone())),
        Source::File(path) => file(Path::new(path))?,
        Source::Credential(name) => credential(name)?,
        Source::Exec(words) => exec(words, PATIENCE).await?,
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| fault("credential-not-text"))?.trim();
    if text.is_empty() {
        return Err(fault("credential-empty"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

fn file(path: &Path) -> Result<Zeroizing<Vec<u8>>, VaultFault> {
    keyfile::read_private(path).map_err(|e| match e.code.as_str() {
        "key-permissions" => fault("credential-permissions"),
        _ => fault("credential-unreadable"),
    })
}

/// A file of the folder that systemd makes for a service alone. Its mode is
/// systemd's: an access list may show as permissions of a group.
fn credential(name: &str) -> Result<Zeroizing<Vec<u8>>, VaultFault> {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY");
    let folder = folder.ok_or(fault("credentials-directory-missing"))?;
    if !is_name(name) {
        return Err(fault("credential-unreadable"));
    }
    let path = Path::new(&folder).join(name);
    let read = keyfile::read_up_to(&path, MAX_SECRET);
    read.map(Zeroizing::new).map_err(|_| fault("credential-unreadable"))
}

/// Ends the command with all that it started, unless it ended by itself.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // It was not waited for: its number is still its own.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

/// What a command prints. It gets no environment, no input and no place to
/// complain: what it says may hold the secret.
async fn exec(words: &[String], limit: Duration) -> Result<Zeroizing<Vec<u8>>, VaultFault> {
    let (command, arguments) = words.split_first().ok_or(fault("credential-command"))?;
    let child = Command::new(command)
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|_| fault("credential-command"))?;
    let mut group = Group(child);
    let output = group.0.stdout.take().ok_or(fault("credential-command"))?;
    let work = async {
        let mut bytes = Zeroizing::new(Vec::new());
        let read = output.take(MAX_SECRET.saturating_add(1)).read_to_end(&mut bytes).await;
        read.map_err(|_| fault("credential-command-failed"))?;
        if u64::try_from(bytes.len()).is_ok_and(|n| n > MAX_SECRET) {
            return Err(fault("credential-too-large"));
        }
        match group.0.wait().await {
            Ok(status) if status.success() => Ok(bytes),
            _ => Err(fault("credential-command-failed")),
        }
    };
    let done = tokio::time::timeout(limit, work).await;
    done.unwrap_or(Err(fault("credential-command-timeout")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Source {
        Source::Exec(vec!["/bin/sh".into(), "-c".into(), script.into()])
    }

    async fn failed(source: &Source) -> &'static str {
        read(source).await.err().map_or("", |fault| fault.code)
    }

    #[tokio::test]
    async fn a_command_gives_what_it_prints_and_knows_nothing_of_ours() {
        assert_eq!(&**read(&sh("echo the-secret")).await.unwrap(), "the-secret");
        // What a shell sets by itself is all there is.
        let environment = read(&sh("export -p; echo end")).await.unwrap();
        assert!(
            !environment.contains("HOME=") && !environment.contains("CARGO"),
            "a variable passed"
        );
        assert_eq!(&**read(&sh("cat; pwd")).await.unwrap(), "/");
    }

    #[tokio::test]
    async fn a_command_that_fails_floods_or_says_nothing_gives_no_secret() {
        assert_eq!(failed(&sh("echo secret; exit 3")).await, "credential-command-failed");
        assert_eq!(failed(&sh("yes")).await, "credential-too-large");
        assert_eq!(failed(&sh("exit 0")).await, "credential-empty");
        assert_eq!(failed(&sh("printf '\\377'")).await, "credential-not-text");
        let missing = Source::Exec(vec!["/nowhere/at/all".into()]);
        assert_eq!(failed(&missing).await, "credential-command");
    }

    #[tokio::test]
    async fn a_command_that_takes_too_long_ends_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let script = format!("(sleep 2; touch '{}') & sleep 60", mark.display());
        let words = ["/bin/sh".to_owned(), "-c".to_owned(), script];
        let late = exec(&words, Duration::from_millis(300)).await;
        assert_eq!(late.err().map(|f| f.code), Some("credential-command-timeout"));
        tokio::time::sleep(Duration::from_millis(2500)).await;
        assert!(!mark.exists(), "what it started went on");
    }

    #[tokio::test]
    async fn a_file_that_others_can_read_gives_no_secret() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let source = Source::File(path.display().to_string());
        assert_eq!(failed(&source).await, "credential-unreadable");
        std::fs::write(&path, "the-secret\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(failed(&source).await, "credential-permissions");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(&**read(&source).await.unwrap(), "the-secret");
    }
}
