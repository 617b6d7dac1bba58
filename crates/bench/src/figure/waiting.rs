//! Calls that wait for people, in one process that serves: what they hold there,
//! and how long it takes to hear that one still waits.

use std::fmt;

use bailiwick_testkit::http::Response;
use bailiwick_testkit::present::{Call, Chain};
use serde::Serialize;
use serde_json::json;

use crate::Failure;
use crate::installation::{AGENT, Installation, SCOPE, beside, started};
use crate::load::{Prepared, Turn, drive};
use crate::machine::Machine;
use crate::measure::{median, percentile, sorted};
use crate::place::Place;
use crate::server::echo::{PATH, TOOL};
use crate::usage;

/// So often one task may ask within ten minutes.
const OF_A_TASK: u32 = 20;
/// Connections at a time.
const CONCURRENCY: usize = 8;

const ASK: &str = r#"
@id("all")
@reason("the rules decide")
permit (principal, action, resource);
@id("ask")
@reason("a person looks at every call")
@approval
forbid (principal, action, resource);
"#;

const ABOUT: &str = "so many different calls of many tasks are made to wait for people in one \
process that serves; then each is sent again, round after round, with a fresh proof through all \
stages, and hears that it still waits. Memory is resident memory of that process: when one call \
waits and was sent as often, when all wait, and after the last round.";

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    /// Calls that wait.
    pub(crate) calls: u32,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    figure: &'static str,
    about: &'static str,
    machine: Machine,
    file_system: String,
    calls: u32,
    rounds: u32,
    memory_mib: Memory,
    threads: [u32; 2],
    asked: Times,
    asked_again: Times,
}

#[derive(Clone, Debug, Serialize)]
struct Memory {
    before: f64,
    waiting: f64,
    at_the_end: f64,
}

/// Medians over the rounds.
#[derive(Clone, Debug, Serialize)]
struct Times {
    p50_ms: f64,
    p99_ms: f64,
    per_s: f64,
}

impl Times {
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    fn of(turns: &[Turn]) -> Self {
        let middle = |of: &dyn Fn(&Turn) -> f64| median(&sorted(turns.iter().map(of).collect()));
        Self {
            p50_ms: middle(&|turn| percentile(&turn.latencies_ms, 50)),
            p99_ms: middle(&|turn| percentile(&turn.latencies_ms, 99)),
            per_s: middle(&|turn| turn.latencies_ms.len() as f64 / turn.seconds),
        }
    }
}

pub(crate) fn report(plan: Plan, place: &Place) -> Result<Report, Failure> {
    let own = std::env::current_exe()?;
    let folder = place.folder()?;
    let (_echo, upstream) = started(&own, folder.path(), &["serve-echo"])?;
    let upstream = format!("http://{upstream}{PATH}");
    let mut installed = Installation::set_up(&beside(&own)?, folder.path(), &upstream)?;
    let chains = chains(&installed, plan.calls)?;
    installed.stop()?;
    let policy = folder.path().join("asking");
    std::fs::create_dir(&policy)?;
    std::fs::write(policy.join("ask.cedar"), ASK)?;
    installed.cli.run(&["policy", "publish", &policy.display().to_string()])?;
    installed.start()?;
    // One call that waits, as often as there will be calls: what they cost anyway is there
    // before.
    let own = [installed.chain.clone()];
    turn(&installed, &own, 1, |_| 0)?;
    turn(&installed, &own, plan.calls, |_| 0)?;
    let before = (usage::rss_mib(installed.pid())?, usage::threads(installed.pid())?);
    let asked = turn(&installed, &chains, plan.calls, |n| n)?;
    let (waiting, threads) = (usage::rss_mib(installed.pid())?, usage::threads(installed.pid())?);
    let again: Result<Vec<Turn>, Failure> =
        (0..plan.rounds).map(|_| turn(&installed, &chains, plan.calls, |n| n)).collect();
    let again = again?;
    Ok(Report {
        figure: "waiting",
        about: ABOUT,
        machine: Machine::here(),
        file_system: place.file_system().to_owned(),
        calls: plan.calls,
        rounds: plan.rounds,
        memory_mib: Memory {
            before: before.0,
            waiting,
            at_the_end: usage::rss_mib(installed.pid())?,
        },
        threads: [before.1, threads],
        asked: Times::of(&[asked]),
        asked_again: Times::of(&again),
    })
}

/// A delegation, and so a task, for every twenty calls.
fn chains(installed: &Installation, calls: u32) -> Result<Vec<Chain>, Failure> {
    let one = |n: u32| -> Result<Chain, Failure> {
        let file = installed.cli.folder.join(format!("chain-{n}.json"));
        let granted = ["--agent", AGENT, "--scope", SCOPE, "--purpose", "measure", "--for", "1h"];
        let out = file.display().to_string();
        let signed = ["--key", "principal.json", "--out", &out];
        installed.cli.run(&[&["delegate"], &granted[..], &signed].concat())?;
        Ok(Chain::read(&file))
    };
    (0..calls.div_ceil(OF_A_TASK)).map(one).collect()
}

/// So many calls, spread over the chains; `which` says of each which one it is.
fn turn(
    installed: &Installation,
    chains: &[Chain],
    calls: u32,
    which: fn(u32) -> u32,
) -> Result<Turn, Failure> {
    let prepared = |(n, chain): (u32, &Chain)| {
        let arguments = json!({"text": format!("call {}", which(n))});
        let call = Call::new(chain, &installed.holder.key, TOOL, arguments);
        Prepared::new(&call.request(), waits)
    };
    let requests: Vec<Prepared> = (0..calls).zip(chains.iter().cycle()).map(prepared).collect();
    drive(installed.address, &requests, CONCURRENCY)
}

fn waits(answer: &Response) -> bool {
    answer.json().pointer("/error/data/code").is_some_and(|code| code == "approval-required")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.figure, self.about)?;
        writeln!(f, "{}; ledger on {}\n", self.machine, self.file_system)?;
        let (memory, [before, waiting]) = (&self.memory_mib, self.threads);
        let grown = (memory.waiting - memory.before) * 1024.0 / f64::from(self.calls);
        writeln!(f, "{} calls wait", self.calls)?;
        writeln!(
            f,
            "memory   before {:.1} MiB   waiting {:.1} MiB ({grown:.1} KiB a call)   after the rounds {:.1} MiB",
            memory.before, memory.waiting, memory.at_the_end
        )?;
        writeln!(f, "threads  before {before}   waiting {waiting}")?;
        let line = |name: &str, times: &Times| {
            let Times { p50_ms, p99_ms, per_s } = times;
            format!("{name}  p50 {p50_ms:8.3} ms   p99 {p99_ms:8.3} ms   {per_s:6.0} a second")
        };
        writeln!(f, "{}", line("first asked", &self.asked))?;
        write!(f, "{}", line("asked again", &self.asked_again))?;
        write!(f, "\nmedians of {} rounds, {CONCURRENCY} at a time", self.rounds)
    }
}
