//! Both sides of a handoff in one file.
//!
//! ```text
//! cargo run -p bailiwick-peer --example handoff -- \
//!     http://localhost:8443 giver/key.json giver/chain.json taker/key.json agent:billing-specialist
//! ```
//!
//! The two instances are enrolled (`bailiwick instance new`, `instance enrol`), the chain is the
//! giver's (`bailiwick delegate`, with `--max-depth` 1 or more), and the workflow lists both agents.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program: it prints, and reads its files and its clock"
)]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bailiwick_core::aat::make::Seen;
use bailiwick_core::crypto::{P256SigningKey, SigningKey, from_base64url};
use bailiwick_core::ids::AgentId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::{ChainLimits, JsonLimits};
use bailiwick_core::peer::claim::{Claim, Provenance};
use bailiwick_core::peer::returned::Status;
use bailiwick_core::time::Timestamp;
use bailiwick_peer::{
    Authority, Context, Host, Instance, Keys, Limits, Loopback, Proposal, Stands, Taker,
};

type Failure = Box<dyn std::error::Error>;

struct Machine;

impl Host for Machine {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn fill(&self, out: &mut [u8]) -> bool {
        getrandom::fill(out).is_ok()
    }
}

/// The keys in a file of `instance new`.
fn keys(file: &str) -> Result<Keys, Failure> {
    let json = Json::parse(&std::fs::read(file)?, &JsonLimits::DEFAULT)?;
    let o = json.as_object().ok_or("no key file")?;
    let text =
        |o: &Object, member: &str| o.member(member).and_then(Json::as_str).map(str::to_owned);
    let bytes = |text: Option<String>| text.as_deref().and_then(from_base64url);
    let holder = o.member("holder").and_then(Json::as_object).ok_or("no holder key")?;
    let seed: [u8; 32] =
        bytes(text(holder, "d")).and_then(|d| d.try_into().ok()).ok_or("no holder key")?;
    let identity = bytes(text(o, "identity_pkcs8")).ok_or("no identity key")?;
    Ok(Keys {
        instance: text(o, "instance").ok_or("no instance")?.parse()?,
        holder: SigningKey::from_seed(&seed)?,
        identity: P256SigningKey::from_pkcs8(&identity)?,
    })
}

fn instance(authority: &str, file: &str) -> Result<Arc<Instance>, Failure> {
    let (transport, host) = (Arc::new(Loopback::new()?), Arc::new(Machine));
    Ok(Instance::new(keys(file)?, Authority::new(authority)?, Vec::new(), transport, host))
}

/// Who takes over: two calls, and what comes back.
async fn take(taker: Taker) -> Result<(), Failure> {
    let offer = taker.next().await;
    println!("taker: {} offers: {}", offer.offer().from, offer.offer().purpose);
    for claim in offer.claims() {
        println!("taker:   {} says ({}): {}", claim.speaker, claim.grade.as_str(), claim.statement);
    }
    let taken = offer.accept().await?;
    // Here the taker calls tools with `taken.chain()` and proofs by its holder key.
    println!("taker: took over task {}", taken.task());
    let claim = Claim {
        statement: "the refund is due".to_owned(),
        speaker: taken.offer().to.clone(),
        provenance: Provenance::None,
    };
    taken.give_back(Status::Done, vec![claim]).await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [authority, giver_key, chain, taker_key, taker_agent] = args.as_slice() else {
        return Err("AUTHORITY GIVER_KEY CHAIN TAKER_KEY TAKER_AGENT".into());
    };
    let taker = Taker::new(instance(authority, taker_key)?, Limits::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = taker.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let taking = tokio::spawn(async move { take(taker).await.map_err(|e| e.to_string()) });

    // Who gives: three calls.
    let giver = instance(authority, giver_key)?;
    let me = giver.credentials().await?;
    let audience = AgentId::parse(taker_agent)?.spiffe_id(&me.trust_domain);
    let mut meeting = giver.greet(&url, &audience, "decide on a refund").await?;
    println!("giver: met {} ({})", meeting.peer().spiffe_id, meeting.peer().guarantee);
    let chain = Json::parse(&std::fs::read(chain)?, &JsonLimits::DEFAULT)?;
    let chain =
        chain.as_object().and_then(|o| o.member("aat_chain")?.as_array()).ok_or("no chain")?;
    let chain: Vec<String> = chain.iter().filter_map(|t| t.as_str().map(str::to_owned)).collect();
    let leaf = Seen::parse(chain.last().ok_or("no chain")?, &ChainLimits::DEFAULT)
        .map_err(|denial| denial.to_string())?;
    let proposal = Proposal {
        chain,
        purpose: "decide on the refund of order 4711".to_owned(),
        scope: leaf.scope,
        budget: Object::new(),
        seconds: 300,
        answer_seconds: 60,
        context: vec![Context {
            bytes: b"the parcel never came".to_vec(),
            source: "ticket 8821".to_owned(),
            label: "ticket".to_owned(),
        }],
        claims: Vec::new(),
        constraints: vec!["no more than the price of the order".to_owned()],
    };
    let mut handed = meeting.offer(proposal).await?;
    let stands = handed.answered(Duration::from_secs(30)).await?;
    println!("giver: {}", stands.as_str());
    if matches!(stands, Stands::Accepted | Stands::Returned) {
        let back = handed.returned(Duration::from_secs(30)).await?;
        for claim in back.claims {
            println!(
                "giver: {} says ({}): {}",
                claim.speaker,
                claim.grade.as_str(),
                claim.statement
            );
        }
    }
    Ok(taking.await??)
}
