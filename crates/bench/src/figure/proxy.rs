//! One MCP call through the gateway, beside a direct one and one through a
//! bare reverse proxy. Every server is a process of its own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bailiwick_testkit::http::{Request, Response};
use bailiwick_testkit::present::{Call, PRESENTATION, fresh_id};
use serde_json::{Value, json};

mod table;

use table::{Load, Report, Rounds};

use crate::Failure;
use crate::installation::{self, Installation, started};
use crate::load::{Prepared, Turn, drive};
use crate::machine::Machine;
use crate::measure::{median, sorted};
use crate::place::Place;
use crate::server::echo::{PATH, TOOL};
use crate::usage;

/// Calls at the same time.
const CONCURRENCY: [usize; 3] = [1, 32, 256];
/// How often the gateway is started for the time that this takes.
const STARTS: usize = 5;
/// Calls before the first round.
const WARM_UP: u32 = 500;
/// Longer than the gateway's background work sleeps between two runs.
const PAUSE: Duration = Duration::from_millis(600);

const ABOUT: &str = "one `tools/call` (2026-07-28, stateless, streamable HTTP) of a tool that \
echoes, by keep-alive connections on loopback; client, server and whatever stands between share \
the machine. The gateway verifies chain and proof, decides and records durably before it \
forwards, and records the outcome. CPU and memory are those of the process that the client \
talks to.";

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    /// Calls of each side in one round.
    pub(crate) calls: u32,
}

/// One side: a server and how a call of it looks.
struct Side<'a> {
    name: &'static str,
    address: SocketAddr,
    pid: u32,
    /// It goes on working when all is answered.
    has_background: bool,
    request: Box<dyn Fn(&str) -> Request + 'a>,
}

pub(crate) fn report(plan: Plan, place: &Place) -> Result<Report, Failure> {
    let own = std::env::current_exe()?;
    let gateway = installation::beside(&own)?;
    let folder = place.folder()?;
    let (echo, upstream) = started(&own, folder.path(), &["serve-echo"])?;
    let to = format!("http://{upstream}");
    let (bare, forwarder) = started(&own, folder.path(), &["serve-bare-proxy", "--to", &to])?;
    let mut installed = Installation::set_up(&gateway, folder.path(), &format!("{to}{PATH}"))?;
    let mut starts = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        installed.stop()?;
        let began = Instant::now();
        installed.start()?;
        starts.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    std::thread::sleep(PAUSE);
    let rest_mib = usage::rss_mib(installed.pid())?;
    let sides = [
        side("direct", upstream, echo.pid()),
        side("bare reverse proxy", forwarder, bare.pid()),
        Side {
            name: "bailiwick",
            address: installed.address,
            pid: installed.pid(),
            has_background: true,
            request: Box::new(|text| installed.call(text)),
        },
    ];
    let loads = CONCURRENCY.map(|concurrency| load(plan, &sides, concurrency));
    Ok(Report {
        figure: "proxy",
        about: ABOUT,
        machine: Machine::here(),
        file_system: place.file_system().to_owned(),
        rounds: plan.rounds,
        calls: plan.calls,
        start_ms: median(&sorted(starts)),
        rest_mib,
        loads: loads.into_iter().collect::<Result<_, _>>()?,
    })
}

/// A side that asks for no presentation.
fn side(name: &'static str, address: SocketAddr, pid: u32) -> Side<'static> {
    let request = Box::new(|text: &str| {
        let arguments = json!({"text": text});
        let (tokens, proof) = (Vec::new(), String::new());
        let call = Call { tool: TOOL.to_owned(), arguments, tokens, proof };
        let mut message = call.message();
        let meta = message.pointer_mut("/params/_meta").and_then(Value::as_object_mut);
        meta.and_then(|meta| meta.remove(PRESENTATION));
        Request { path: PATH.to_owned(), ..call.with_body(message.to_string()) }
    });
    Side { name, address, pid, has_background: false, request }
}

fn load(plan: Plan, sides: &[Side<'_>], concurrency: usize) -> Result<Load, Failure> {
    let mut rounds: Vec<Rounds> = sides.iter().map(|side| Rounds::new(side.name)).collect();
    for side in sides {
        side.turn(plan.calls.min(WARM_UP), concurrency)?;
    }
    for _ in 0..plan.rounds {
        for (side, rounds) in sides.iter().zip(&mut rounds) {
            let before = usage::cpu_us(side.pid)?;
            rounds.add(&side.turn(plan.calls, concurrency)?);
            rounds.cpu_us += usage::cpu_us(side.pid)? - before;
            rounds.rss_mib = usage::rss_mib(side.pid)?;
        }
    }
    Load::of(concurrency, &rounds)
}

/// Whether the answer is the tool's, to this call.
pub(crate) fn echoes(answer: &Response, text: &str) -> bool {
    let message = answer.json();
    let echoed = message.pointer("/result/content/0/text").and_then(Value::as_str);
    let is_error = message.pointer("/result/isError").and_then(Value::as_bool);
    answer.status == 200 && echoed == Some(text) && is_error != Some(true)
}

impl Side<'_> {
    /// One turn. Requests are made, and signed, before its clock starts; a
    /// proof is fresh for 30 seconds.
    fn turn(&self, calls: u32, concurrency: usize) -> Result<Turn, Failure> {
        let run = fresh_id();
        let prepared = |n| {
            let text = format!("call {n} of run {run}");
            let request = (self.request)(&text);
            Prepared::new(&request, move |answer| echoes(answer, &text))
        };
        let requests: Vec<Prepared> = (0..calls).map(prepared).collect();
        let turn = drive(self.address, &requests, concurrency)
            .map_err(|failure| format!("{}: {failure}", self.name))?;
        if self.has_background {
            self.settle()?;
        }
        Ok(turn)
    }

    /// Waits until its background work is done, so that nobody else pays for
    /// it.
    fn settle(&self) -> Result<(), Failure> {
        let mut before = usage::cpu_us(self.pid)?;
        for _ in 0..10 {
            std::thread::sleep(PAUSE);
            let after = usage::cpu_us(self.pid)?;
            if after - before <= 2.0 * usage::TICK_US {
                break;
            }
            before = after;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_that_was_sent_is_an_answer() {
        let answer = |status, body: &str| Response {
            status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        };
        let mine = r#"{"id":7,"result":{"content":[{"text":"mine"}]}}"#;
        assert!(echoes(&answer(200, mine), "mine"));
        assert!(echoes(&answer(200, &format!("data: {mine}\n\n")), "mine"));
        assert!(!echoes(&answer(500, mine), "mine"));
        assert!(!echoes(&answer(200, &mine.replace("mine", "another")), "mine"));
        let failed = mine.replace("{\"content", "{\"isError\":true,\"content");
        assert!(!echoes(&answer(200, &failed), "mine"));
        assert!(!echoes(&answer(200, r#"{"id":7,"error":{"code":-32000}}"#), "mine"));
    }
}
