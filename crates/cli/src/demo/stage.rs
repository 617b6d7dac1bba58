//! The demo from its first line to its last: where it plays, what it counts and
//! what it leaves.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bailiwick_core::json::Object;

use crate::error::{CliError, ended};
use crate::host;
use crate::output::Output;

use super::handoff::Handed;
use super::people::{self, Cast, arg};
use super::record::Played;

/// A running demo.
pub(super) struct Stage {
    pub(super) cast: Cast,
    pub(super) out: Output,
    /// Every line that the gateway decided.
    pub(super) played: Vec<Played>,
    /// The action that a person approved.
    pub(super) approved: Option<String>,
    /// What came of the second act.
    pub(super) handed: Option<Handed>,
    lines: u32,
    surprises: u32,
}

impl Stage {
    /// Counts a line of the demo.
    pub(super) fn count(&mut self, as_expected: bool) {
        self.lines = self.lines.saturating_add(1);
        self.surprises = self.surprises.saturating_add(u32::from(!as_expected));
    }
}

/// How a line begins.
pub(super) fn mark(ok: bool) -> &'static str {
    if ok { "✓" } else { "✗ NOT AS EXPECTED:" }
}

/// What leads from here to a set-up of one's own.
const AROUND_YOURS: &str = "
around a tool server that you start as a program, after `bailiwick init --yes --me user:NAME`:
  bailiwick catalogue learn files --reads read_text_file --publish -- npx -y @modelcontextprotocol/server-filesystem DIR
  bailiwick wrap --task 'read my notes' -- npx -y @modelcontextprotocol/server-filesystem DIR

around the servers in a client's configuration; the second line is printed by the first, with its arguments:
  bailiwick import ~/.cursor/mcp.json --out protected --yes
  bailiwick catalogue learn NAME --out protected/NAME.yaml -- COMMAND";

/// Plays the demo; `dir` is where its data goes.
pub(super) fn play(dir: Option<&Path>, keep: bool, out: Output) -> Result<ExitCode, CliError> {
    let base = base(dir)?;
    let temporary = dir.is_none();
    let where_it_is = match temporary {
        true => format!(
            "playing in {}, a temporary folder (--data-dir DIR chooses another)\n",
            base.display()
        ),
        false => format!("playing in {}\n", base.display()),
    };
    out.say(where_it_is);
    let played = perform(&base, temporary, keep, out);
    if played.is_err() {
        out.say(format!(
            "\ncut short; what was made so far, private keys included, is in {}",
            base.display()
        ));
    }
    played
}

fn perform(base: &Path, temporary: bool, keep: bool, out: Output) -> Result<ExitCode, CliError> {
    // Caught from now on: whoever stops the demo stops its servers as well.
    let runtime = crate::verbs::runtime()?;
    let stop = {
        let _inside = runtime.enter();
        crate::verbs::end_signal()
    };
    let cast = people::assemble(base, out)?;
    let mut stage = Stage {
        cast,
        out,
        played: Vec::new(),
        approved: None,
        handed: None,
        lines: 0,
        surprises: 0,
    };
    stage.story()?;
    stage.second_act()?;
    stage.third_act(base)?;
    stage.aftermath(base)?;
    let ok = stage.surprises == 0;
    out.result(
        Object::new()
            .with("event", "end")
            .with("ok", ok)
            .with("scenes", u64::from(stage.lines))
            .with("surprises", u64::from(stage.surprises))
            .with("data", arg(base))
            .with("temporary", temporary)
            .with("url", stage.cast.url.as_str()),
        format!(
            "\n{} of {} lines came out as expected\n{}",
            stage.lines.saturating_sub(stage.surprises),
            stage.lines,
            what_is_left(base, temporary),
        ),
    );
    if keep {
        out.say(format!(
            "\nstill serving: gateway {}, support desk {}\nCtrl-C stops everything",
            stage.cast.url, stage.cast.desk_url,
        ));
        runtime.block_on(stop);
    }
    stage.cast.serve.stop()?;
    stage.cast.desk.stop()?;
    let d = arg(&stage.cast.data);
    let (bundle, trust) = (arg(&base.join("evidence.json")), arg(&base.join("trust.json")));
    let mut next = vec![
        format!("bailiwick audit query --data-dir {d}"),
        format!("bailiwick audit verify --data-dir {d}"),
        format!(
            "bailiwick audit verify --ledger {d}/ledger --trust {trust}   # as an outsider, without any key"
        ),
        format!("bailiwick evidence verify {bundle} --trust {trust}"),
        format!("bailiwick run list --data-dir {d}"),
        format!("bailiwick failure list --data-dir {d}"),
        format!("bailiwick autonomy show support-tickets --data-dir {d}"),
    ];
    if temporary {
        next.push(format!("rm -r {}   # when you have seen enough", base.display()));
    }
    let next: Vec<&str> = next.iter().map(String::as_str).collect();
    out.next(&next);
    out.say(AROUND_YOURS);
    Ok(ended(ok))
}

fn what_is_left(base: &Path, temporary: bool) -> String {
    let base = base.display();
    match temporary {
        true => format!(
            "the data is in {base}: a temporary folder, with the private keys of everybody in this play;\nremove it when you have seen enough, or play with --data-dir DIR to keep it where you want it",
        ),
        false => format!("the data is in {base}, with the private keys of everybody in this play"),
    }
}

/// A new absolute folder.
fn base(dir: Option<&Path>) -> Result<PathBuf, CliError> {
    let path = match dir {
        Some(dir) => std::path::absolute(dir).map_err(|e| CliError::file(dir, "resolve", &e))?,
        None => std::env::temp_dir().join(format!("bailiwick-demo-{}", host::fresh_id()?)),
    };
    if path.join("authority").exists() {
        return Err(CliError::usage(
            "demo-dir-used",
            format!("`{}` holds an earlier demo", path.display()),
            "choose another --data-dir, or remove it",
        ));
    }
    bailiwick_store::create_private_dir(&path)?;
    Ok(path)
}
