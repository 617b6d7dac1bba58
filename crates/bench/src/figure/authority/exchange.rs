//! Token exchanges: through the token endpoint of a serving authority, and the
//! same work without HTTP.

use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bailiwick_authority::oauth::parameters::Parameters;
use bailiwick_authority::oauth::token::{Presented, TokenForm};
use bailiwick_core::crypto::{Signer as _, SigningKey, from_base64url};
use bailiwick_core::dpop::{self, Moment, Nonces};
use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::json::Json;
use bailiwick_core::limits::JsonLimits;
use bailiwick_testkit::present::{key_file, now};

use super::agents::{Agents, Wanted, token};
use super::inside::{self, Inside};
use super::table::{Report, Rounds, Table};
use super::{Plan, Stage};
use crate::Failure;
use crate::load::{Prepared, Turn, drive};
use crate::machine::Machine;
use crate::measure::sorted;
use crate::place::Place;
use crate::usage;

/// Requests at the same time.
const CONCURRENCY: [usize; 3] = [1, 16, 64];
const WARM_UP: u32 = 400;

const ABOUT: &str = "one RFC 8693 exchange at `/token`: a principal's signed statement as subject, \
an instance's identity token as actor, a DPoP proof, and a grant on record. All of it is verified, \
the token is signed, and its ledger entry is durable (fsync) before the answer. `without HTTP` is \
the same from the form to the answer within this process. `signatures alone` are those that an \
exchange cannot do without: three verified (Ed25519 twice, ES256 once), two made. CPU and memory \
are those of the process that serves.";

pub(crate) fn report(plan: Plan, place: &Place) -> Result<Report, Failure> {
    let folder = place.folder()?;
    let mut stage = Stage::set_up(folder.path())?;
    let most = CONCURRENCY.into_iter().max().unwrap_or(1);
    let mut agents = Agents::register(&stage.installed, most)?;
    let mut tables = Vec::new();
    for concurrency in CONCURRENCY {
        agents.renew(&stage.installed)?;
        tables.push(served(plan, &stage, &agents, concurrency)?);
    }
    agents.renew(&stage.installed)?;
    let (data, url) = (stage.installed.data(), stage.installed.url());
    stage.installed.stop()?;
    let inside = inside::open(&data, &url)?;
    for (concurrency, table) in CONCURRENCY.into_iter().zip(&mut tables) {
        let mut rounds = Rounds::new("without HTTP, root");
        called(&inside, &agents, plan.requests.min(WARM_UP), concurrency)?;
        for _ in 0..plan.rounds {
            let before = usage::cpu_us(std::process::id())?;
            rounds.add(&called(&inside, &agents, plan.requests, concurrency)?);
            rounds.cpu_us += usage::cpu_us(std::process::id())? - before;
            rounds.rss_mib = usage::rss_mib(std::process::id())?;
        }
        table.sides.push(rounds.side());
    }
    if let Some(first) = tables.first_mut() {
        first.sides.push(signatures(plan, &agents, &data)?.side());
    }
    Ok(Report {
        figure: "authority exchange",
        about: ABOUT,
        machine: Machine::here(),
        file_system: place.file_system().to_owned(),
        tables,
        notes: vec![format!("medians of {} rounds of {} requests", plan.rounds, plan.requests)],
    })
}

/// Exchanges through HTTP, in turns for roots and for access tokens.
fn served(
    plan: Plan,
    stage: &Stage,
    agents: &Agents,
    concurrency: usize,
) -> Result<Table, Failure> {
    let (address, pid) = (stage.installed.address, stage.installed.pid());
    let turn = |wanted, requests: u32| -> Result<Turn, Failure> {
        let prepare = |n: u32| -> Result<Prepared, Failure> {
            let request = agents.exchange(usize::try_from(n)?, wanted)?;
            Ok(Prepared::new(&request, |answer| token(answer).is_some()))
        };
        let requests = (0..requests).map(prepare).collect::<Result<Vec<_>, _>>()?;
        drive(address, &requests, concurrency)
    };
    let mut sides = [
        (Wanted::Root, Rounds::new("over HTTP, root")),
        (Wanted::Access, Rounds::new("over HTTP, access token")),
    ];
    for (wanted, _) in &sides {
        turn(*wanted, plan.requests.min(WARM_UP))?;
    }
    for _ in 0..plan.rounds {
        for (wanted, rounds) in &mut sides {
            let before = usage::cpu_us(pid)?;
            rounds.add(&turn(*wanted, plan.requests)?);
            rounds.cpu_us += usage::cpu_us(pid)? - before;
            rounds.rss_mib = usage::rss_mib(pid)?;
        }
    }
    let title = format!("{concurrency} at a time");
    Ok(Table { title, sides: sides.iter().map(|(_, rounds)| rounds.side()).collect() })
}

/// The same work without HTTP: what the endpoint's handler does.
fn called(
    inside: &Inside,
    agents: &Agents,
    requests: u32,
    concurrency: usize,
) -> Result<Turn, Failure> {
    let prepare = |n: u32| -> Result<(String, String), Failure> {
        Ok((agents.form(usize::try_from(n)?, Wanted::Root)?, agents.proof()?))
    };
    let requests = (0..requests).map(prepare).collect::<Result<Vec<_>, _>>()?;
    let issuer = &inside.installation.issuer;
    let uri = format!("{issuer}/token");
    let exchange = |(form, proof): &(String, String)| -> Result<(), String> {
        let parameters = Parameters::parse(form).map_err(|e| e.to_string())?;
        let presented = Presented::read(&parameters).map_err(|e| e.to_string())?;
        let form = TokenForm::read(&parameters, issuer).map_err(|e| e.to_string())?;
        let request = dpop::Request { proof, method: "POST", uri: &uri };
        let moment = Moment { now: now(), window_seconds: 60, nonces: Nonces::NotAsked };
        let proof = dpop::verify_for_key(&request, &moment).map_err(|e| e.to_string())?;
        let answer = inside.authority.token(&presented, &form, Some(&proof), true);
        let answer = answer.map_err(|e| e.to_string())?;
        if answer.to_json().canonical().is_empty() { Err("no answer".to_owned()) } else { Ok(()) }
    };
    let (next, barrier) = (AtomicUsize::new(0), Barrier::new(concurrency.saturating_add(1)));
    let one_by_one = || -> Result<Vec<f64>, String> {
        let mut taken = Vec::new();
        barrier.wait();
        while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
            let began = Instant::now();
            exchange(request)?;
            taken.push(began.elapsed().as_secs_f64() * 1e3);
        }
        Ok(taken)
    };
    let (mut latencies, mut seconds) = (Vec::new(), 0.0);
    std::thread::scope(|scope| -> Result<(), Failure> {
        let started: Vec<_> = (0..concurrency).map(|_| scope.spawn(one_by_one)).collect();
        barrier.wait();
        let began = Instant::now();
        for thread in started {
            latencies.extend(thread.join().map_err(|_| "a thread panicked")??);
        }
        seconds = began.elapsed().as_secs_f64();
        Ok(())
    })?;
    Ok(Turn { latencies_ms: sorted(latencies), seconds })
}

/// The signatures of one exchange and nothing else.
fn signatures(plan: Plan, agents: &Agents, data: &Path) -> Result<Rounds, Failure> {
    let subject = agents.subject()?;
    let proof = agents.proof()?;
    let jwk: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(data.join("keys/identity.jwk"))?)?;
    let mut jwk = Json::parse(jwk.to_string().as_bytes(), &JsonLimits::DEFAULT)?;
    if let Json::Object(jwk) = &mut jwk {
        jwk.remove("pkcs8");
    }
    let identity = VerifyingKey::from_jwk(jwk.as_object().ok_or("a JWK is an object")?)?;
    let of = |key: &SigningKey| VerifyingKey::Ed25519(key.public_key());
    let checks = [
        (subject.as_str(), of(agents.principal())),
        (proof.as_str(), of(agents.holder())),
        (agents.identity(), identity),
    ];
    let checks = checks.into_iter().map(|(text, key)| {
        let (input, signature) = text.rsplit_once('.').ok_or("a compact token")?;
        Ok((input, from_base64url(signature).ok_or("base64url")?, key))
    });
    let checks = checks.collect::<Result<Vec<_>, Failure>>()?;
    let signer = key_file(&data.join("keys/issuer.jwk"));
    let message = vec![7_u8; 1200];
    let mut rounds = Rounds::new("signatures alone");
    for _ in 0..plan.rounds {
        let before = usage::cpu_us(std::process::id())?;
        let (mut latencies, start) = (Vec::new(), Instant::now());
        for _ in 0..plan.requests {
            let began = Instant::now();
            if !checks.iter().all(|(input, by, key)| key.verify(input.as_bytes(), by)) {
                return Err("a signature does not hold".into());
            }
            let made = [signer.sign(&message), signer.sign(&message)];
            std::hint::black_box(made);
            latencies.push(began.elapsed().as_secs_f64() * 1e3);
        }
        let seconds = start.elapsed().as_secs_f64();
        rounds.add(&Turn { latencies_ms: sorted(latencies), seconds });
        rounds.cpu_us += usage::cpu_us(std::process::id())? - before;
    }
    Ok(rounds)
}
