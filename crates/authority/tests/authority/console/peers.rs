//! Peers, handoffs and the lineage of a task: who sees what, and that what
//! agents say is shown as text.

use bailiwick_authority::people::roles::Role;
use bailiwick_authority::{DelegationRef, Target};
use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::{EntryId, HandoffId};
use bailiwick_core::json::Object;
use bailiwick_core::ledger::{Event, Kind, Subjects};
use bailiwick_core::peer::claim::{Claim, Provenance};
use bailiwick_core::peer::handoff::{Answer, ContextItem};
use bailiwick_core::peer::returned::{Return, Status};
use bailiwick_store::{Derived, Handoff, HandoffState, Row, StoreError};

use super::Served;
use crate::handoffs::{A, B, Desk, hash};
use crate::support::{World, installation, key, principal};

const HOSTILE: &str = "<script>alert(1)</script>\"><img src=x onerror=alert(1)> \u{202e}txet\u{200b} \
    javascript:alert(1) {{7*7}} ' onfocus='x";

fn served(world: World) -> Served {
    Served::of(world, tokio::runtime::Runtime::new().unwrap(), Vec::new())
}

/// A handoff whose every text is hostile, accepted and given back.
pub(crate) fn played(desk: &Desk) -> HandoffId {
    let a = &desk.world.authority;
    let (_, record, chain, mut offer) = desk.offered();
    offer.purpose = HOSTILE.to_owned();
    offer.constraints = vec![HOSTILE.to_owned()];
    offer.context = vec![ContextItem {
        digest: sha256(b"x"),
        source: HOSTILE.to_owned(),
        label: HOSTILE.to_owned(),
    }];
    let claim = |speaker: &str| Claim {
        statement: HOSTILE.to_owned(),
        speaker: speaker.to_owned(),
        provenance: Provenance::None,
    };
    offer.claims = vec![claim(&desk.a.spiffe_id)];
    let signed = offer.sign(&key(A)).unwrap();
    a.handoff_offer(&signed, &record.to_json(), &chain).unwrap();
    let accepted = desk.answer(&signed, &Answer::Accepted, Guarantee::Jwt, B);
    a.handoff_answer(&hash(&signed), &accepted).unwrap();
    let back = Return {
        handoff: hash(&signed),
        status: Status::Done,
        claims: vec![claim(&format!("spiffe://{HOSTILE}"))],
    };
    let back = back.sign(desk.world.now(), &key(B)).unwrap();
    a.handoff_return(&hash(&signed), &back).unwrap();
    offer.id
}

/// An honest offer, turned down in hostile words.
pub(crate) fn turned_down(desk: &Desk) -> HandoffId {
    let (signed, record, chain, offer) = desk.offered();
    let a = &desk.world.authority;
    a.handoff_offer(&signed, &record.to_json(), &chain).unwrap();
    let no = Answer::Rejected { reason: HOSTILE.chars().take(100).collect() };
    let rejected = desk.answer(&signed, &no, Guarantee::Jwt, B);
    a.handoff_answer(&hash(&signed), &rejected).unwrap();
    offer.id
}

/// Rows as if they had been handed over: `n` of them, one a second.
fn many(world: &World, like: &Handoff, n: u32) {
    let maker = installation().makers[0].id.clone();
    let (now, like) = (world.now(), like.clone());
    let written = world.authority.store().write(move |tx| {
        for nth in 0..n {
            let mut random = [0; 10];
            random[..4].copy_from_slice(&nth.to_be_bytes());
            let digest = |what: &str| sha256(format!("{what} {nth}").as_bytes());
            let offered = now.plus_seconds(1 + i64::from(nth));
            let row = Row::Handoff(Box::new(Handoff {
                id: HandoffId::mint(offered, random),
                state: HandoffState::Offered,
                hash: digest("hash"),
                challenge: digest("challenge"),
                leaf: digest("leaf"),
                offered,
                settled: None,
                returned: None,
                return_entry: None,
                ..like.clone()
            }));
            tx.record(&maker, &*key(2), event(offered, random, Kind::HandoffOffered), &row)?;
        }
        Ok::<_, StoreError>(())
    });
    written.wait().unwrap();
}

fn event(time: bailiwick_core::time::Timestamp, random: [u8; 10], kind: Kind) -> Event {
    Event {
        id: EntryId::mint(time, random),
        org: installation().org,
        time,
        kind,
        subjects: Subjects::default(),
        body: Object::new(),
        disclosures: Vec::new(),
    }
}

fn row_of(served: &Served, id: &HandoffId) -> Handoff {
    let read = served.world.authority.store().read(|view| view.handoff(id));
    let read: Result<_, StoreError> = read;
    read.unwrap().unwrap().row
}

#[test]
fn peers_are_for_whoever_sees_activity_and_a_task_for_its_principal_too() {
    let desk = Desk::new();
    let (handoff, task) = (played(&desk), desk.task.clone());
    let served = served(desk.world);
    let a = &served.world.authority;
    let pages = ["/peers".to_owned(), format!("/handoffs/{handoff}"), format!("/tasks/{task}")];
    for page in &pages {
        assert_eq!(served.get(page, None).status, 303, "{page}");
    }
    let seen = |name: &str| {
        let me = served.sign_in(name);
        pages.each_ref().map(|page| served.get(page, Some(&me)).status)
    };
    // The principal of the task; somebody else; by role.
    assert_eq!(seen("user:142"), [404, 200, 200]);
    assert_eq!(seen("user:143"), [404, 404, 404]);
    assert_eq!(seen("user:owner"), [200, 200, 200]);
    for (role, status) in
        [(Role::Approver, 404), (Role::Developer, 404), (Role::Operator, 200), (Role::Auditor, 200)]
    {
        a.role_change(&principal("user:143"), role, true).unwrap();
        assert_eq!(seen("user:143"), [status; 3], "{role}");
        a.role_change(&principal("user:143"), role, false).unwrap();
    }
    // Nothing is told apart from what is not there.
    let (owner, other) = (served.sign_in("user:owner"), served.sign_in("user:143"));
    for path in [
        "/handoffs/x",
        "/tasks/x",
        "/tasks/..%2f..",
        "/peers?from=x&to=y",
        "/peers?from=agent:a",
        "/peers?before=x",
    ] {
        assert_eq!(served.get(path, Some(&owner)).status, 404, "{path}");
    }
    let theirs = served.get(&pages[1], Some(&other)).body;
    let none = served.get("/handoffs/01900000-0000-7000-8000-000000000000", Some(&other)).body;
    assert!(theirs.contains("There is nothing here") && none.contains("There is nothing here"));
    // Each reading of the texts is an entry; one that was refused is none.
    let before = served.count("plaintext.read");
    served.get(&pages[1], Some(&other));
    assert_eq!(served.count("plaintext.read"), before);
    served.get(&pages[1], Some(&owner));
    assert_eq!(served.count("plaintext.read"), before + 1);
}

#[test]
fn what_agents_say_is_shown_as_text() {
    let desk = Desk::new();
    let (hostile, refused, task) = (played(&desk), turned_down(&desk), desk.task.clone());
    let served = served(desk.world);
    let owner = served.sign_in("user:owner");
    let page = |path: &str| {
        let answer = served.get(path, Some(&owner));
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{path}");
        let body = answer.body;
        for bad in ["<script>alert", "<img", "onerror=alert(1)>", "style=", "\u{202e}", "\u{200b}"]
        {
            assert!(!body.contains(bad), "{path}: {bad}: {body}");
        }
        let html = scraper::Html::parse_document(&body);
        let any = |what: &str| html.select(&scraper::Selector::parse(what).unwrap()).count();
        assert_eq!((any("script"), any("script[src]"), any("[onfocus]")), (1, 1, 0), "{path}");
        body
    };
    let shown = page(&format!("/handoffs/{hostile}"));
    // Purpose, constraint, source, label, and both claims; who is said to speak.
    assert_eq!(shown.matches("\\u{202e}txet\\u{200b}").count(), 7, "{shown}");
    for part in ["given back", "signed", "asserted", "agent:support-runner", "get_order", "done"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let shown = page(&format!("/handoffs/{refused}"));
    assert!(shown.contains("turned down") && shown.contains("\\u{202e}"), "{shown}");
    page("/peers");
    page(&format!("/tasks/{task}"));
}

#[test]
fn the_tree_of_a_task_says_how_each_delegation_stands() {
    let desk = Desk::new();
    let handoff = played(&desk);
    desk.world.host.advance(1_000);
    let refused = turned_down(&desk);
    let task = format!("/tasks/{}", desk.task);
    let served = served(desk.world);
    let me = served.sign_in("user:142");
    let row = row_of(&served, &handoff);
    // The taker derives one more; a call has shown it.
    let maker = installation().makers[0].id.clone();
    let (now, leaf) = (served.now(), row.leaf);
    let derived = Row::Derived(Derived {
        token: sha256(b"derived"),
        parent: leaf,
        root: row.root,
        depth: 2,
        holder: row.holder,
        seen: now,
        expires: now.plus_seconds(60),
    });
    let write = served.world.authority.store().write(move |tx| {
        tx.record(&maker, &*key(2), event(now, [3; 10], Kind::ActionDecided), &derived)
    });
    let written: Result<_, StoreError> = write.wait();
    written.unwrap();

    let states = |body: &str| {
        let html = scraper::Html::parse_document(body);
        let all = |what: &str| {
            let selector = scraper::Selector::parse(what).unwrap();
            html.select(&selector).map(|e| e.text().collect::<String>()).collect::<Vec<_>>()
        };
        let drawn = all(".g-node:not(.principal) .g-sub");
        let word = |sub: &String| sub.split(" · ").next().unwrap().to_owned();
        let drawn: Vec<String> = drawn.iter().map(word).collect();
        let listed = all(".lineage .hop-head strong + .badge");
        let nested = all(".lineage ol ol .hop-head strong");
        assert_eq!(drawn, listed, "{body}");
        (drawn, nested)
    };
    let body = served.get(&task, Some(&me)).body;
    let (drawn, nested) = states(&body);
    assert_eq!(drawn, ["live", "given back", "live", "turned down"]);
    assert_eq!(nested, ["agent:order-reader"]);
    for part in [
        "user:142".to_owned(),
        format!("href=\"/handoffs/{handoff}\""),
        format!("href=\"/handoffs/{refused}\""),
        format!("href=\"/delegations/{}/revoke\"", row.root),
    ] {
        assert!(body.contains(&part), "{part}: {body}");
    }
    // Grant, entry and handoff lead there.
    let link = format!("href=\"{task}\"");
    let grant = format!("/grants/{}", row.grant);
    for path in [&grant, &format!("/handoffs/{handoff}")] {
        assert!(served.get(path, Some(&me)).body.contains(&link), "{path}");
    }
    // Everything goes with what it comes under.
    let root = Target::Delegation(DelegationRef::Hash(row.root));
    served.world.authority.revoke(&root, "over", None).unwrap();
    let (drawn, _) = states(&served.get(&task, Some(&me)).body);
    assert_eq!(drawn, ["revoked", "revoked", "revoked", "turned down"]);
    assert!(served.get(&format!("/handoffs/{handoff}"), Some(&me)).body.contains("revoked"));
}

#[test]
fn handoffs_are_listed_a_page_at_a_time_and_counted_between_agents() {
    let desk = Desk::new();
    let first = played(&desk);
    let served = served(desk.world);
    let row = row_of(&served, &first);
    many(&served.world, &row, 60);
    let owner = served.sign_in("user:owner");
    let (from, to) = ("agent%3Asupport-runner", "agent%3Aorder-reader");
    for start in ["/peers".to_owned(), format!("/peers?from={from}&to={to}")] {
        let (mut path, mut seen) = (start, Vec::new());
        for _ in 0..5 {
            let body = served.get(&path, Some(&owner)).body;
            assert!(body.contains(">61</a>"), "{body}");
            let html = scraper::Html::parse_document(&body);
            let links = |what: &str| {
                let selector = scraper::Selector::parse(what).unwrap();
                let found = html.select(&selector).filter_map(|e| e.attr("href"));
                found.map(str::to_owned).collect::<Vec<_>>()
            };
            seen.extend(links("a.row[href^='/handoffs/']"));
            match links(".more a.button").first() {
                Some(older) => path = older.trim_end_matches("#handoffs").to_owned(),
                None => break,
            }
        }
        assert_eq!((seen.len(), seen.last()), (61, Some(&format!("/handoffs/{first}"))));
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 61);
    }
    let none = served.get(&format!("/peers?from={to}&to={from}"), Some(&owner)).body;
    assert!(!none.contains("href=\"/handoffs/"));
    // From where there is none, nothing follows.
    let before = HandoffId::mint(served.now(), [9; 10]);
    assert_eq!(served.get(&format!("/peers?before={before}"), Some(&owner)).status, 404);
    // The drawing leads to the list, and only so many delegations are listed.
    let body = served.get("/peers", Some(&owner)).body;
    assert!(
        body.contains("/peers?from=agent%3Asupport-runner&#38;to=agent%3Aorder-reader#handoffs")
    );
    many_more(&served, &row);
    let body = served.get(&format!("/tasks/{}", row.task), Some(&owner)).body;
    assert!(body.contains("There are more delegations than are listed"));
    assert_eq!(body.matches("<li id=\"hop-").count(), 101);
}

/// As many again, later on.
fn many_more(served: &Served, like: &Handoff) {
    served.world.host.advance(100_000);
    let like = Handoff { parent: Digest::from_array([1; 32]), ..like.clone() };
    let maker = installation().makers[0].id.clone();
    let now = served.now();
    let written = served.world.authority.store().write(move |tx| {
        for nth in 0..60u8 {
            let random = [7, 7, 7, 7, 7, 7, 7, 7, 7, nth];
            let row = Row::Handoff(Box::new(Handoff {
                id: HandoffId::mint(now, random),
                hash: sha256(&[nth, 1]),
                challenge: sha256(&[nth, 2]),
                leaf: sha256(&[nth, 3]),
                offered: now,
                ..like.clone()
            }));
            tx.record(&maker, &*key(2), event(now, random, Kind::HandoffOffered), &row)?;
        }
        Ok::<_, StoreError>(())
    });
    written.wait().unwrap();
}

#[test]
fn without_handoffs_the_page_says_how_to_begin() {
    let served = Served::start();
    let owner = served.sign_in("user:owner");
    let body = served.get("/peers", Some(&owner)).body;
    for part in ["No agent has handed anything", "--peer-listen", "agent:order-reader"] {
        assert!(body.contains(part), "{part}: {body}");
    }
    assert!(!body.contains("id=\"graph-title\""));
}
