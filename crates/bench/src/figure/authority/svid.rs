//! SVIDs: how many an authority issues in a second, and what a rotation of all
//! instances costs it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bailiwick_authority::Authority;
use bailiwick_authority::rules::identities::request_claims;
use bailiwick_authority::rules::svids::{self, REQUEST_TYPE};
use bailiwick_core::crypto::Signer as _;
use bailiwick_core::crypto::{P256SigningKey, SigningKey};
use bailiwick_core::enrolment::Statement;
use bailiwick_core::guarantee::Isolation;
use bailiwick_core::ids::{AgentId, InstanceId, PrincipalId};
use bailiwick_core::jose;
use bailiwick_testkit::present::{fresh_id, fresh_key, now};

use super::Stage;
use super::inside::{self, Inside};
use super::table::{Report, Table};
use crate::Failure;
use crate::installation::AGENT;
use crate::machine::Machine;
use crate::measure::{percentile, sorted};
use crate::place::Place;
use crate::usage;

const OWNER: &str = "user:owner";
/// Signatures and verifications of the bare side.
const BARE: u32 = 2_000;

const ABOUT: &str = "so many instances are on record, and each gets its SVIDs once: an X.509-SVID \
and a WIT-SVID for a fresh key, with the entry that names them durable before they are handed out. \
Requests and keys are made before the clock starts. Bare: the two verifications and two signatures \
on P-256 that one issuance needs, on one core.";

/// An instance that asks.
struct Asking {
    id: InstanceId,
    identity: P256SigningKey,
}

pub(crate) fn report(many: u32, sidecars: u32, place: &Place) -> Result<Report, Failure> {
    let folder = place.folder()?;
    let mut stage = Stage::set_up(folder.path())?;
    stage.installed.stop()?;
    let inside = inside::open(&stage.installed.data(), &stage.installed.url())?;
    let began = Instant::now();
    let all = enrolled(&inside, many, sidecars)?;
    let mut notes = vec![format!(
        "{many} instances enrolled in {:.1} s, by {sidecars} at a time",
        began.elapsed().as_secs_f64()
    )];
    notes.push(bundle(&inside.authority, "before")?);
    notes.extend(rotated(&inside, &all, sidecars)?);
    notes.push(bundle(&inside.authority, "after")?);
    notes.push(bare()?);
    Ok(Report {
        figure: "authority svid",
        about: ABOUT,
        machine: Machine::here(),
        file_system: place.file_system().to_owned(),
        tables: Vec::<Table>::new(),
        notes,
    })
}

/// Does `work` for each of `items`, by so many threads; the first failure ends it.
fn each<T: Sync, R: Send>(
    items: &[T],
    threads: u32,
    work: impl Fn(&T) -> Result<R, String> + Sync,
) -> Result<Vec<R>, Failure> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push(work(item)?);
        }
        Ok::<_, String>(done)
    };
    let parts: Vec<Result<Vec<R>, String>> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let joined = running.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.map(|part| part.unwrap_or_else(|_| Err("a thread ended".to_owned()))).collect()
    });
    let mut all = Vec::new();
    for part in parts {
        all.extend(part?);
    }
    Ok(all)
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn fresh() -> Result<P256SigningKey, String> {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(said)?;
    P256SigningKey::from_pkcs8(pair.to_pkcs8v1().map_err(said)?.as_ref()).map_err(said)
}

fn random() -> [u8; 10] {
    let mut bytes = [0; 10];
    // Without entropy ids repeat, and then the store refuses the entry.
    let _ = getrandom::fill(&mut bytes);
    bytes
}

fn enrolled(inside: &Inside, many: u32, threads: u32) -> Result<Vec<Asking>, Failure> {
    let (agent, owner) = (AgentId::parse(AGENT)?, PrincipalId::parse(OWNER)?);
    let numbers: Vec<u32> = (0..many).collect();
    each(&numbers, threads, |_| {
        let (holder, identity): (SigningKey, _) = (fresh_key(), fresh()?);
        let statement = Statement {
            instance: InstanceId::mint(now(), random()),
            agent: agent.clone(),
            owner: owner.clone(),
            audience: inside.installation.issuer.clone(),
            made_at: now(),
            holder: holder.public_key(),
            identity: identity.public_key(),
            isolation: Isolation::Unstated,
        };
        let signed = statement.sign(&holder, &identity).map_err(said)?;
        inside.authority.instance_enrol(&signed).map_err(said)?;
        Ok(Asking { id: statement.instance, identity })
    })
}

/// One issuance for each.
fn rotated(inside: &Inside, all: &[Asking], threads: u32) -> Result<Vec<String>, Failure> {
    let issuer = &inside.installation.issuer;
    // In parts, so that no request is too old when its turn comes.
    let (mut seconds, mut cpu, mut took) = (0.0, 0.0, Vec::new());
    let pid = std::process::id();
    for part in all.chunks(2_000) {
        let requests = each(part, threads, |asking| {
            let csr = bailiwick_svid::request(&fresh()?).map_err(said)?;
            let claims = request_claims(&asking.id, issuer, now(), &fresh_id());
            let claims = svids::request_claims(claims, &csr, None);
            jose::sign(REQUEST_TYPE, None, &claims, &asking.identity).map_err(said)
        })?;
        let (began, used) = (Instant::now(), usage::cpu_us(pid)?);
        took.extend(each(&requests, threads, |request| {
            let began = Instant::now();
            inside.authority.svid_issue(request).map_err(said)?;
            Ok(began.elapsed().as_secs_f64() * 1e3)
        })?);
        seconds += began.elapsed().as_secs_f64();
        cpu += usage::cpu_us(pid)? - used;
    }
    let count = f64::from(u32::try_from(all.len())?);
    let took = sorted(took);
    Ok(vec![
        format!(
            "SVIDs for all of them in {seconds:.1} s: {:.0} in a second; {:.0} µs of CPU each",
            count / seconds,
            cpu / count
        ),
        format!(
            "one takes {:.1} ms (median), {:.1} ms (99 %), {threads} at a time",
            percentile(&took, 50),
            percentile(&took, 99)
        ),
        format!("resident memory of the process: {:.0} MiB", usage::rss_mib(pid)?),
    ])
}

/// What the bundle takes; it has keys, and nothing of instances.
fn bundle(authority: &Authority, when: &str) -> Result<String, Failure> {
    let began = Instant::now();
    let times = 100;
    let mut bytes = 0;
    for _ in 0..times {
        bytes = authority.trust_bundle().canonical().len();
    }
    let each = began.elapsed().as_secs_f64() * 1e6 / f64::from(times);
    let rss = usage::rss_mib(std::process::id())?;
    Ok(format!("the trust bundle {when}: {bytes} bytes in {each:.0} µs; process {rss:.0} MiB"))
}

fn bare() -> Result<String, Failure> {
    let key = fresh()?;
    let message = [7; 400];
    let signature = key.sign(&message)?;
    let began = Instant::now();
    for _ in 0..BARE {
        for _ in 0..2 {
            key.sign(&message)?;
            if !key.public_key().verify(&message, &signature) {
                return Err("a signature does not hold".into());
            }
        }
    }
    let each = began.elapsed().as_secs_f64() / f64::from(BARE);
    Ok(format!("bare: {:.0} µs each, {:.0} in a second on one core", each * 1e6, 1.0 / each))
}
