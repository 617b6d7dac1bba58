//! One check that is made: a program with an input, a time, a memory and an end.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::Stdio;
use std::time::Duration;

use bailiwick_authority::rules::checks::{MAX_OUTPUT_BYTES, Verdict};
use bailiwick_core::json::Json;
use bailiwick_gateway::group::Group;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Child;

use super::place::Place;
use crate::config::check::CheckOptions;

/// What a check is told, on its standard input.
pub(super) struct Input(pub(super) Json);

impl Input {
    fn text(&self, name: &str) -> &str {
        self.0.as_object().and_then(|told| told.member(name)?.as_str()).unwrap_or_default()
    }
}

/// Runs a check; gives its verdict, and what it printed or why it was not run.
pub(super) async fn made(options: &CheckOptions, input: &Input) -> (Verdict, String) {
    run(options, input).await.unwrap_or_else(|why| (Verdict::NotRun, why))
}

async fn run(options: &CheckOptions, input: &Input) -> Result<(Verdict, String), String> {
    // It ends with this, whatever comes of the check.
    let work = tempfile::Builder::new()
        .prefix("bailiwick-check-")
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir()
        .map_err(|e| format!("it has no working directory: {e}"))?;
    let place = Place::find(options, work.path()).await?;
    if let Some((uid, gid)) = place.user {
        chown(work.path(), Some(uid), Some(gid)).map_err(|e| e.to_string())?;
    }
    let mut command = place.command(options, work.path());
    for (variable, member) in [
        ("BAILIWICK_RUN", "run"),
        ("BAILIWICK_TASK", "task"),
        ("BAILIWICK_WORKFLOW", "workflow"),
        ("BAILIWICK_CRITERION", "criterion"),
    ] {
        command.env(variable, input.text(member));
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.kill_on_drop(true);
    let mut child = command.spawn().map_err(|e| format!("it cannot be started: {e}"))?;
    let told = tell(&mut child, input.0.canonical());
    let said = listen(&mut child);
    let group = Group::of(child).map_err(|e| format!("it cannot be started: {e}"))?;
    let limit = Duration::from_secs(options.seconds);
    let ended = tokio::time::timeout(limit, async {
        let said = said.await;
        // Whatever it left running holds nothing up.
        if said.is_ok() {
            group.exited().await;
        }
        said
    })
    .await;
    told.abort();
    let status = group.end().await.map_err(|e| e.to_string())?;
    let said = ended.map_err(|_| format!("it took longer than {} seconds", options.seconds))??;
    let said = String::from_utf8_lossy(&said).into_owned();
    Ok(match status.code() {
        Some(0) => (Verdict::Holds, said),
        Some(1) => (Verdict::DoesNotHold, said),
        Some(code) => (Verdict::NotRun, format!("it ended with status {code}\n{said}")),
        None => (Verdict::NotRun, format!("it was killed\n{said}")),
    })
}

/// Gives it its input; a check that does not read it is none the worse.
fn tell(child: &mut Child, text: String) -> tokio::task::JoinHandle<()> {
    let stdin = child.stdin.take();
    tokio::spawn(async move {
        if let Some(mut stdin) = stdin {
            let _ = stdin.write_all(text.as_bytes()).await;
        }
    })
}

/// What it prints until it ends or closes its output, as much as is kept.
fn listen(child: &mut Child) -> impl Future<Output = Result<Vec<u8>, String>> + use<> {
    let stdout = child.stdout.take();
    async move {
        let mut said = Vec::new();
        let Some(stdout) = stdout else { return Ok(said) };
        let most = u64::try_from(MAX_OUTPUT_BYTES).unwrap_or(u64::MAX).saturating_add(1);
        let read = stdout.take(most).read_to_end(&mut said).await;
        read.map_err(|e| format!("its output cannot be read: {e}"))?;
        match said.len() > MAX_OUTPUT_BYTES {
            true => Err(format!("it printed more than {MAX_OUTPUT_BYTES} bytes")),
            false => Ok(said),
        }
    }
}

#[cfg(test)]
mod tests;
