//! From a revocation to the first denial, both through public HTTP, while
//! others exchange tokens and call tools.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bailiwick_testkit::present::fresh_id;

use super::Stage;
use super::agents::{Agents, Wanted, token};
use super::table::{Report, Table};
use crate::Failure;
use crate::figure::proxy::echoes;
use crate::load::{Connection, Prepared};
use crate::machine::Machine;
use crate::measure::{percentile, sorted};
use crate::place::Place;

/// Connections that exchange tokens, and that call a tool, all the while.
const LOADS: [usize; 2] = [4, 4];
/// Clients: one for each exchanging connection and the measured one.
const CLIENTS: usize = 64;
/// Allowed calls before the token is taken back.
const BEFORE: u64 = 2;

const ABOUT: &str = "an access token is taken back at `/revoke` while its holder calls a tool in a \
closed loop. The time runs from the sending of the revocation to the arrival of the first denial; \
beside it, from the answer to the revocation to that arrival. Calls that were sent after that \
answer and still allowed are counted: there may be none.";

/// What one revocation came to.
struct Measured {
    from_sent_ms: f64,
    from_answered_ms: f64,
    allowed_after: u64,
}

pub(crate) fn report(rounds: u32, place: &Place) -> Result<Report, Failure> {
    let folder = place.folder()?;
    let stage = Stage::set_up(folder.path())?;
    let mut agents = Agents::register(&stage.installed, CLIENTS)?;
    let address = stage.installed.address;
    let mut measured = Vec::new();
    let (mut seconds, mut served) = (0.0, [0; LOADS.len()]);
    // An identity token lasts for some minutes, so the rounds come in parts.
    let mut left = rounds;
    while left > 0 {
        let part = left.min(50);
        left -= part;
        agents.renew(&stage.installed)?;
        let counts = LOADS.map(|_| AtomicU64::new(0));
        let began = Instant::now();
        measured.extend(under_load(&agents, address, part, &counts)?);
        seconds += began.elapsed().as_secs_f64();
        for (sum, count) in served.iter_mut().zip(&counts) {
            *sum += count.load(Ordering::Relaxed);
        }
    }
    Ok(Report {
        figure: "authority revocation",
        about: ABOUT,
        machine: Machine::here(),
        file_system: place.file_system().to_owned(),
        tables: Vec::<Table>::new(),
        notes: notes(&measured, seconds, served),
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn notes(measured: &[Measured], seconds: f64, served: [u64; LOADS.len()]) -> Vec<String> {
    let line = |name: &str, values: Vec<f64>| {
        let sorted = sorted(values);
        let at = |percent| percentile(&sorted, percent);
        format!("{name}  p50 {:7.2} ms   p99 {:7.2} ms   max {:7.2} ms", at(50), at(99), at(100))
    };
    let late: u64 = measured.iter().map(|m| m.allowed_after).sum();
    let [exchanges, calls] = served.map(|count| count as f64 / seconds);
    vec![
        line("sent → denied    ", measured.iter().map(|m| m.from_sent_ms).collect()),
        line("answered → denied", measured.iter().map(|m| m.from_answered_ms).collect()),
        format!("{} revocations; {late} calls sent after the answer were allowed", measured.len()),
        format!("meanwhile {exchanges:.0} exchanges and {calls:.0} calls a second"),
    ]
}

/// So many revocations, one after the other, beside the load.
fn under_load(
    agents: &Agents,
    address: SocketAddr,
    rounds: u32,
    counts: &[AtomicU64; LOADS.len()],
) -> Result<Vec<Measured>, Failure> {
    let done = AtomicBool::new(false);
    let [exchanging, calling] = LOADS;
    let [exchanges, calls] = counts;
    std::thread::scope(|scope| {
        let mut load = Vec::new();
        for n in 1..=exchanging {
            let done = &done;
            load.push(scope.spawn(move || exchange_on(agents, address, n, done, exchanges)));
        }
        for n in 1..=calling {
            let (number, done) = (exchanging + n, &done);
            load.push(scope.spawn(move || call_on(agents, address, number, done, calls)));
        }
        let measured: Result<Vec<Measured>, String> =
            (0..rounds).map(|_| one(agents, address).map_err(|e| e.to_string())).collect();
        done.store(true, Ordering::Relaxed);
        for thread in load {
            thread.join().map_err(|_| "a connection's thread panicked")??;
        }
        Ok(measured?)
    })
}

type Told = Result<(), String>;

fn told(e: impl std::fmt::Display) -> String {
    e.to_string()
}

fn exchange_on(
    agents: &Agents,
    address: SocketAddr,
    number: usize,
    done: &AtomicBool,
    count: &AtomicU64,
) -> Told {
    let mut connection = Connection::open(address, number).map_err(told)?;
    let mut client = number;
    while !done.load(Ordering::Relaxed) {
        client += LOADS.len() + number;
        let request = agents.exchange(client, Wanted::Root).map_err(told)?;
        let answer = connection.send(&Prepared::new(&request, |_| true)).map_err(told)?;
        token(&answer).ok_or_else(|| format!("no token: {} {}", answer.status, answer.text()))?;
        count.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn call_on(
    agents: &Agents,
    address: SocketAddr,
    number: usize,
    done: &AtomicBool,
    count: &AtomicU64,
) -> Told {
    let mut connection = Connection::open(address, number).map_err(told)?;
    let token = fetched(agents, &mut connection, number).map_err(told)?;
    while !done.load(Ordering::Relaxed) {
        let text = fresh_id();
        let request = Prepared::new(&agents.call(&token, &text), |_| true);
        let answer = connection.send(&request).map_err(told)?;
        if !echoes(&answer, &text) {
            return Err(format!("a wrong answer: {} {}", answer.status, answer.text()));
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// A fresh access token.
fn fetched(agents: &Agents, on: &mut Connection, number: usize) -> Result<String, Failure> {
    let request = agents.exchange(number, Wanted::Access)?;
    let answer = on.send(&Prepared::new(&request, |_| true))?;
    let found = token(&answer);
    Ok(found.ok_or_else(|| format!("no token: {} {}", answer.status, answer.text()))?)
}

/// One token, called with until it is denied, and taken back meanwhile.
fn one(agents: &Agents, address: SocketAddr) -> Result<Measured, Failure> {
    let mut revoking = Connection::open(address, 200)?;
    let token = fetched(agents, &mut revoking, 0)?;
    let allowed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| call_until_denied(agents, address, &token, &allowed));
        while allowed.load(Ordering::Acquire) < BEFORE && !holder.is_finished() {
            std::thread::sleep(Duration::from_micros(200));
        }
        let request = Prepared::new(&agents.give_back(0, &token), |_| true);
        let sent = Instant::now();
        let answer = revoking.send(&request)?;
        let answered = Instant::now();
        if answer.status != 200 {
            return Err(format!("not revoked: {} {}", answer.status, answer.text()).into());
        }
        let calls = holder.join().map_err(|_| "the holder's thread panicked")??;
        let ms = |from: Instant| calls.denied.saturating_duration_since(from).as_secs_f64() * 1e3;
        let late = calls.allowed.iter().filter(|sent| **sent > answered).count();
        let allowed_after = u64::try_from(late)?;
        Ok(Measured { from_sent_ms: ms(sent), from_answered_ms: ms(answered), allowed_after })
    })
}

struct Calls {
    /// When each allowed call was sent.
    allowed: Vec<Instant>,
    /// When the first denial arrived.
    denied: Instant,
}

fn call_until_denied(
    agents: &Agents,
    address: SocketAddr,
    token: &str,
    count: &AtomicU64,
) -> Result<Calls, String> {
    let mut connection = Connection::open(address, 201).map_err(told)?;
    let mut allowed = Vec::new();
    loop {
        let text = fresh_id();
        let request = Prepared::new(&agents.call(token, &text), |_| true);
        let sent = Instant::now();
        let answer = connection.send(&request).map_err(told)?;
        let arrived = Instant::now();
        if echoes(&answer, &text) {
            allowed.push(sent);
            count.fetch_add(1, Ordering::Release);
        } else if answer.text().contains("revoked") {
            return Ok(Calls { allowed, denied: arrived });
        } else {
            return Err(format!("a wrong answer: {} {}", answer.status, answer.text()));
        }
        if allowed.len() > 10_000 {
            return Err("ten thousand calls and no denial".to_owned());
        }
    }
}
