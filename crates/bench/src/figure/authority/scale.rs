//! Calls and exchanges with few delegations on record and with many, in turns
//! within one run.

use std::path::Path;
use std::time::{Duration, Instant};

use bailiwick_testkit::present::fresh_id;

use super::agents::{Agents, Wanted, token};
use super::fill::fill;
use super::inside;
use super::table::{Report, Rounds, Table};
use super::{Plan, Stage};
use crate::Failure;
use crate::figure::proxy::echoes;
use crate::load::{Prepared, drive};
use crate::machine::Machine;
use crate::place::Place;
use crate::usage;

const CONCURRENCY: usize = 8;
const CLIENTS: usize = 16;
const PAUSE: Duration = Duration::from_millis(500);
/// How long the tree over a filled ledger may take to be published.
const PATIENCE: Duration = Duration::from_secs(1800);

const ABOUT: &str = "two installations side by side, one with few delegations on record and one \
with many, as many revoked as live. A call is decided by its token chain and recorded; an exchange \
issues a token. Each store was filled by the product's own rules in large transactions, published, \
and served afresh.";

pub(crate) fn report(plan: Plan, counts: &[u32], place: &Place) -> Result<Report, Failure> {
    let mut notes = vec![format!(
        "medians of {} rounds of {} requests, {CONCURRENCY} at a time",
        plan.rounds, plan.requests
    )];
    let folders = counts.iter().map(|_| place.folder()).collect::<Result<Vec<_>, _>>()?;
    let mut sides = Vec::new();
    for (count, folder) in counts.iter().zip(&folders) {
        let began = Instant::now();
        sides.push(Filled::set_up(folder.path(), *count)?);
        notes.push(format!(
            "{count} live and {count} revoked: {:.1} GiB on disk, filled and published in {:.0} s",
            gibibytes(folder.path())?,
            began.elapsed().as_secs_f64()
        ));
    }
    let tables = [("a call", Work::Call), ("an exchange", Work::Exchange)]
        .map(|(title, work)| table(plan, title, work, &mut sides));
    Ok(Report {
        figure: "authority scale",
        about: ABOUT,
        machine: Machine::here(),
        file_system: place.file_system().to_owned(),
        tables: tables.into_iter().collect::<Result<_, _>>()?,
        notes,
    })
}

#[derive(Clone, Copy)]
enum Work {
    Call,
    Exchange,
}

/// An installation with so many delegations, serving.
struct Filled {
    count: u32,
    stage: Stage,
    agents: Agents,
}

impl Filled {
    fn set_up(folder: &Path, count: u32) -> Result<Self, Failure> {
        let mut stage = Stage::set_up(folder)?;
        let mut agents = Agents::register(&stage.installed, CLIENTS)?;
        let (data, url) = (stage.installed.data(), stage.installed.url());
        stage.installed.stop()?;
        fill(&inside::open(&data, &url)?, agents.principal(), count)?;
        // Once to publish the tree, once afresh, so that memory is that of
        // serving.
        stage.installed.start()?;
        settle(stage.installed.pid())?;
        stage.installed.stop()?;
        stage.installed.start()?;
        settle(stage.installed.pid())?;
        agents.renew(&stage.installed)?;
        Ok(Self { count, stage, agents })
    }

    fn prepare(&self, work: Work, n: u32) -> Result<Prepared, Failure> {
        match work {
            Work::Call => {
                let text = format!("{} {n}", fresh_id());
                let request = self.stage.installed.call(&text);
                Ok(Prepared::new(&request, move |answer| echoes(answer, &text)))
            }
            Work::Exchange => {
                let request = self.agents.exchange(usize::try_from(n)?, Wanted::Root)?;
                Ok(Prepared::new(&request, |answer| token(answer).is_some()))
            }
        }
    }
}

fn table(plan: Plan, title: &str, work: Work, sides: &mut [Filled]) -> Result<Table, Failure> {
    let name = |side: &Filled| format!("{} live, {} revoked", side.count, side.count);
    let mut rounds: Vec<Rounds> = sides.iter().map(|side| Rounds::new(name(side))).collect();
    // The first round warms up.
    for round in 0..=plan.rounds {
        for (side, rounds) in sides.iter_mut().zip(&mut rounds) {
            let pid = side.stage.installed.pid();
            side.agents.renew(&side.stage.installed)?;
            let requests =
                (0..plan.requests).map(|n| side.prepare(work, n)).collect::<Result<Vec<_>, _>>()?;
            let before = usage::cpu_us(pid)?;
            let turn = drive(side.stage.installed.address, &requests, CONCURRENCY)?;
            if round > 0 {
                rounds.add(&turn);
                rounds.cpu_us += usage::cpu_us(pid)? - before;
                rounds.rss_mib = usage::rss_mib(pid)?;
            }
            settle(pid)?;
        }
    }
    let title = title.to_owned();
    Ok(Table { title, sides: rounds.iter().map(Rounds::side).collect() })
}

/// Waits until the process has nothing more to do.
fn settle(pid: u32) -> Result<(), Failure> {
    let began = Instant::now();
    let mut before = usage::cpu_us(pid)?;
    while began.elapsed() < PATIENCE {
        std::thread::sleep(PAUSE);
        let after = usage::cpu_us(pid)?;
        if after - before <= 3.0 * usage::TICK_US {
            return Ok(());
        }
        before = after;
    }
    Err("the tree is not published after half an hour".into())
}

/// What lies below a folder.
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn gibibytes(folder: &Path) -> Result<f64, Failure> {
    let mut bytes = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(folder)? {
            let item = item?;
            let metadata = item.metadata()?;
            if metadata.is_dir() {
                folders.push(item.path());
            } else {
                bytes += metadata.len();
            }
        }
    }
    Ok(bytes as f64 / f64::from(1 << 30))
}
