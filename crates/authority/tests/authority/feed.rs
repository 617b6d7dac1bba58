//! Revocations followed over real HTTP.

use crate::support::*;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bailiwick_authority::feed::client::Subscription;
use bailiwick_authority::feed::server::RevocationServer;
use bailiwick_authority::feed::{PATH, STREAM_PATH, proof, signed};
use bailiwick_authority::follower::{Batch, RevocationFeed as _, RevocationFollower};
use bailiwick_authority::people::roles::Role;
use bailiwick_authority::rules::agents::Provenance;
use bailiwick_authority::{Installation, Maker, Sayer, Target};
use bailiwick_core::approval::Signed;
use bailiwick_core::crypto::Signer as _;
use bailiwick_core::stop::StopTarget;
use bailiwick_core::time::Timestamp;
use bailiwick_store::Subject;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// An authority that serves, and a way to it that can be cut.
struct Served {
    world: Arc<World>,
    issuer: String,
    pipes: Arc<Mutex<Vec<JoinHandle<()>>>>,
    connections: Arc<AtomicUsize>,
}

impl Served {
    async fn start() -> Self {
        let behind = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://localhost:{}", front.local_addr().unwrap().port());
        let world = World::of(Installation { issuer: issuer.clone(), ..installation() });
        world.authority.init().unwrap();
        world
            .authority
            .principal_add(&principal("user:owner"), Some(&key(10).public_key().to_jwk()))
            .unwrap();
        let server = RevocationServer::new(world.authority.clone());
        let to = behind.local_addr().unwrap();
        let router = server.router();
        tokio::spawn(async move { axum::serve(behind, router).await });
        tokio::spawn(async move { server.tend().await });
        let served = Self {
            world: Arc::new(world),
            issuer,
            pipes: Arc::default(),
            connections: Arc::default(),
        };
        served.forward(front, to);
        served
    }

    fn forward(&self, front: TcpListener, to: SocketAddr) {
        let (pipes, connections) = (Arc::clone(&self.pipes), Arc::clone(&self.connections));
        tokio::spawn(async move {
            while let Ok((mut here, _)) = front.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let pipe = tokio::spawn(async move {
                    let mut there = TcpStream::connect(to).await.unwrap();
                    let _ = copy_bidirectional(&mut here, &mut there).await;
                });
                pipes.lock().unwrap().push(pipe);
            }
        });
    }

    fn cut(&self) {
        self.pipes.lock().unwrap().drain(..).for_each(|pipe| pipe.abort());
    }

    fn subscription(&self) -> Subscription {
        subscription(&self.issuer, &self.world)
    }

    /// Registers an agent and revokes it.
    async fn revoke(&self, n: usize) -> Subject {
        let world = Arc::clone(&self.world);
        let id = agent(&format!("agent:a{n}"));
        let subject = Subject::Agent { id: id.clone() };
        let revoked = tokio::task::spawn_blocking(move || {
            let owner = principal("user:owner");
            world.authority.agent_add(&id, &owner, Provenance::default()).unwrap();
            world.authority.revoke(&Target::Agent(id), "finished", None).unwrap();
        });
        revoked.await.unwrap();
        subject
    }
}

fn subscription(issuer: &str, world: &World) -> Subscription {
    let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Subscription {
        issuer: issuer.to_owned(),
        keys: vec![key(6).public_key()],
        maker: Maker::gateway(key(3).public_key()).id,
        key: key(3),
        http: reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap(),
        host: Arc::clone(&world.host) as _,
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) -> Duration {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    begin.elapsed()
}

fn knows(follower: &RevocationFollower, subject: &Subject) -> bool {
    follower.look(std::slice::from_ref(subject)).0.is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_is_soon_known_elsewhere_and_the_heartbeat_goes_on() {
    let served = Served::start().await;
    let early = served.revoke(0).await;
    let follower = Arc::new(RevocationFollower::waiting());
    let (subscription, following) = (served.subscription(), Arc::clone(&follower));
    let task = tokio::spawn(async move { subscription.follow(&following).await });
    until("what was there before is known", || knows(&follower, &early)).await;
    for n in 1..=50 {
        let subject = served.revoke(n).await;
        until("it is known", || knows(&follower, &subject)).await;
    }
    // Without news, the signed heartbeat says until when everything is known.
    let before = follower.as_of();
    served.world.host.advance(1_500);
    until("the heartbeat comes", || follower.as_of() > before).await;
    assert_eq!(follower.as_of(), served.world.now());
    assert_eq!(served.connections.load(Ordering::SeqCst), 1, "all of it on one stream");
    task.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_cut_goes_on_where_it_was() {
    let served = Served::start().await;
    let follower = Arc::new(RevocationFollower::waiting());
    let (subscription, following) = (served.subscription(), Arc::clone(&follower));
    let task = tokio::spawn(async move { subscription.follow(&following).await });
    for n in 0..5 {
        let before = served.revoke(2 * n).await;
        until("it is known", || knows(&follower, &before)).await;
        served.cut();
        let meanwhile = served.revoke(2 * n + 1).await;
        until("what came meanwhile is known", || knows(&follower, &meanwhile)).await;
    }
    assert_eq!(follower.position(), 10, "each once, none missing");
    assert!(served.connections.load(Ordering::SeqCst) >= 6);
    task.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_batch_can_be_asked_for_and_gone_on_from() {
    let served = Served::start().await;
    for n in 0..3 {
        served.revoke(n).await;
    }
    let follower = RevocationFollower::waiting();
    let subscription = served.subscription();
    assert_eq!(subscription.ask(&follower).await.unwrap(), 3);
    assert_eq!(subscription.ask(&follower).await.unwrap(), 0);
    let last = served.revoke(3).await;
    assert_eq!(subscription.ask(&follower).await.unwrap(), 1);
    assert!(knows(&follower, &last));
    assert_eq!(follower.as_of(), served.world.now());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_no_gateway_learns_nothing() {
    let served = Served::start().await;
    served.revoke(0).await;
    let http = served.subscription().http;
    let now = served.world.now();
    let gateway = Maker::gateway(key(3).public_key()).id;
    let authority = Maker::authority(key(2).public_key()).id;
    for path in [PATH, STREAM_PATH] {
        let url = format!("{}{path}", served.issuer);
        let other = format!("{}/mcp", served.issuer);
        for value in [
            None,
            Some("Bearer secret".to_owned()),
            // A forger, the authority's own maker, another URL, another time.
            Some(proof::make(&gateway, &url, now, &*key(9))),
            Some(proof::make(&authority, &url, now, &*key(2))),
            Some(proof::make(&gateway, &other, now, &*key(3))),
            Some(proof::make(&gateway, &url, now.plus_seconds(-31), &*key(3))),
        ] {
            let mut request = http.get(&url);
            if let Some(value) = &value {
                request = request.header("authorization", value);
            }
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 401, "{value:?}");
            assert_eq!(answer.headers()["www-authenticate"], "Bailiwick-Gateway");
            let text = answer.text().await.unwrap();
            assert!(text.contains("not-a-gateway") && !text.contains("rows"), "{text}");
        }
        let good = proof::make(&gateway, &url, now, &*key(3));
        for after in ["-1", "1.0", "x", "01", "99999999999999999999", "1&after=2"] {
            let request = http.get(format!("{url}?after={after}"));
            let answer = request.header("authorization", &good).send().await.unwrap();
            assert_eq!(answer.status(), 400, "{after}");
        }
        let request = http.get(&url).header("authorization", &good).header("last-event-id", "x");
        assert_eq!(request.send().await.unwrap().status(), 400);
    }
}

/// A server that answers `GET /revocations` with the same body each time.
async fn forger(body: impl Fn(&str, &World) -> String) -> (Subscription, World) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let world = World::desk();
    let text = body(&issuer, &world);
    let router = Router::new().route(PATH, get(move || async move { text.clone() }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (subscription(&issuer, &world), world)
}

/// A batch as the desk's own state gives it, after two revocations.
fn batch(world: &World) -> Batch {
    for name in ["agent:support-runner", "agent:order-reader"] {
        world.authority.revoke(&Target::Agent(agent(name)), "finished", None).unwrap();
    }
    world.authority.feed().since(0).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_incomplete_and_old_batches_are_refused_and_nothing_is_believed() {
    type Forge = fn(&mut Batch, &World);
    let seal = |by: u8, forge: Forge| {
        move |issuer: &str, world: &World| {
            let mut batch = batch(world);
            forge(&mut batch, world);
            signed::seal(issuer, 0, &batch, &*key(by)).canonical()
        }
    };
    let old = |batch: &mut Batch, world: &World| batch.as_of = world.now().plus_seconds(-6);
    let early = |batch: &mut Batch, world: &World| batch.as_of = world.now().plus_seconds(6);
    let cases: Vec<(u8, Forge, &str)> = vec![
        (9, |_, _| (), "feed-forged"),
        (6, |b, _| drop(b.rows.remove(0)), "feed-gap"),
        (6, |b, _| b.rows.swap(0, 1), "feed-gap"),
        (6, |b, _| b.next += 1, "feed-gap"),
        (6, |b, _| b.previous = Some(b.rows[0].entry.clone()), "feed-not-continued"),
        (6, old, "feed-stale"),
        (6, early, "feed-stale"),
    ];
    for (by, forge, code) in cases {
        let (subscription, _world) = forger(seal(by, forge)).await;
        let follower = RevocationFollower::waiting();
        let error = subscription.ask(&follower).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(!error.remedy().is_empty());
        assert_eq!(follower.position(), 0);
        assert_eq!(follower.as_of(), Timestamp::from_millis(0), "nothing is known to be fresh");
    }
    let (subscription, _world) = forger(seal(6, |_, _| ())).await;
    let follower = RevocationFollower::waiting();
    assert_eq!(subscription.ask(&follower).await.unwrap(), 2);
    // The same again is the answer to another question by now.
    assert_eq!(subscription.ask(&follower).await.unwrap_err().code(), "feed-forged");
    assert_eq!(follower.position(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_falls_silent_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let world = World::desk();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let hang = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        async {
            Body::from_stream(futures_util::stream::pending::<Result<String, std::io::Error>>())
        }
    };
    let router = Router::new().route(STREAM_PATH, get(hang));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let subscription = subscription(&issuer, &world);
    let follower = Arc::new(RevocationFollower::waiting());
    let following = Arc::clone(&follower);
    let task = tokio::spawn(async move { subscription.follow(&following).await });
    let waited = until("it comes again", || asked.load(Ordering::SeqCst) >= 2).await;
    assert!(waited > Duration::from_secs(2), "{waited:?}");
    assert_eq!(follower.as_of(), Timestamp::from_millis(0));
    task.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_and_its_end_are_soon_known_elsewhere() {
    let served = Served::start().await;
    let owner = principal("user:owner");
    let public = bailiwick_core::jose::VerifyingKey::Ed25519(key(40).public_key());
    let world = Arc::clone(&served.world);
    let work = move || {
        world.authority.role_change(&owner, Role::Owner, true).unwrap();
        world.authority.approver_key_add(&owner, &public, "key").unwrap();
        world.authority.stop(&StopTarget::Everything, "a drill").unwrap().stop
    };
    let stop = tokio::task::spawn_blocking(work).await.unwrap();
    let follower = Arc::new(RevocationFollower::waiting());
    let (subscription, following) = (served.subscription(), Arc::clone(&follower));
    let task = tokio::spawn(async move { subscription.follow(&following).await });
    let stopped = || follower.stopped(&[StopTarget::Everything]).is_some();
    until("the stop is known", stopped).await;
    served.cut();
    let world = Arc::clone(&served.world);
    let work = move || {
        let expires = world.now().plus_seconds(60);
        let listed = world.authority.stop_shown(None, &stop).unwrap();
        let signed = listed.resumption(expires).sign(&*key(40)).unwrap();
        let sayer = Sayer::Key(key(40).public_key().thumbprint());
        world.authority.resume(sayer, &stop, expires, Signed::Key(signed)).unwrap();
    };
    tokio::task::spawn_blocking(work).await.unwrap();
    until("its end is known", || !stopped()).await;
    task.abort();
}
