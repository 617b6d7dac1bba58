//! Peers and the tree of a task: drawn, reached by keyboard, and the same as
//! their lists.

use bailiwick_authority::rules::agents::Provenance;
use bailiwick_authority::{Authority, Maker};
use bailiwick_core::aat::make::{self, Content, Seen};
use bailiwick_core::crypto::{Digest, Signer as _, sha256};
use bailiwick_core::enrolment::{IdentitySigningKey, Statement};
use bailiwick_core::guarantee::{Grade, Guarantee};
use bailiwick_core::ids::{AgentId, EntryId, GrantId, HandoffId, InstanceId, OrgId, TaskId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Disclosure, Event, Kind, Subjects};
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::peer::claim::{Claim, Provenance as Founded};
use bailiwick_core::peer::handoff::{ContextItem, Offer};
use bailiwick_core::peer::returned::{Return, Status};
use bailiwick_core::wit::instance_spiffe_id;
use bailiwick_store::{Delegation, Derived, Handoff, HandoffState, Handshake, Row, StoreError};
use bailiwick_testkit::browser::Browser;

use crate::consent::enrol;
use crate::site::{Site, identity_document, key, now, principal};

const RUNNER: &str = "support-runner";

/// What was played.
pub(crate) struct Played {
    pub(crate) handoff: HandoffId,
    pub(crate) refused: HandoffId,
    pub(crate) task: TaskId,
    pub(crate) between: String,
}

/// Everything that a handoff is made from.
struct Stage<'a> {
    authority: &'a Authority,
    root: Delegation,
    runner: InstanceId,
    like: Handoff,
    nth: u8,
}

fn agent(name: &str) -> AgentId {
    AgentId::parse(&format!("agent:{name}")).unwrap()
}

fn instance(name: &str) -> InstanceId {
    let mut random = [7; 10];
    random[..6].copy_from_slice(&sha256(name.as_bytes()).bytes()[..6]);
    InstanceId::mint(bailiwick_core::time::Timestamp::from_seconds(1_795_000_000), random)
}

fn enrolled(a: &Authority, name: &str, seed: u8) {
    a.agent_add(&agent(name), &principal("user:owner"), Provenance::default()).unwrap();
    let identity = IdentitySigningKey::from_pkcs8(&identity_document()).unwrap();
    let statement = Statement {
        instance: instance(name),
        agent: agent(name),
        owner: principal("user:owner"),
        audience: a.installation().issuer.clone(),
        made_at: now(),
        holder: key(seed).public_key(),
        identity: identity.public_key(),
        isolation: bailiwick_core::guarantee::Isolation::Unstated,
    };
    a.instance_enrol(&statement.sign(&*key(seed), &identity).unwrap()).unwrap();
}

fn disclosure(field: &str, value: impl Into<Json>) -> (String, Disclosure) {
    (field.to_owned(), Disclosure { salt: [4; 32], value: value.into() })
}

impl Stage<'_> {
    fn write(
        &mut self,
        kind: Kind,
        disclosures: Vec<(String, Disclosure)>,
        row: Option<Row>,
    ) -> EntryId {
        self.nth += 1;
        let id = EntryId::mint(now(), [self.nth; 10]);
        let text = |text: &str| Some(text.to_owned());
        let event = Event {
            id: id.clone(),
            org: OrgId::parse("default").unwrap(),
            time: now(),
            kind,
            subjects: Subjects {
                principal: text(self.like.principal.as_str()),
                agent: text(self.like.from_agent.as_str()),
                task: text(self.like.task.as_str()),
                ..Subjects::default()
            },
            body: Object::new(),
            disclosures,
        };
        let maker = Maker::authority(key(2).public_key()).id;
        let written = self.authority.store().write(move |tx| {
            match &row {
                Some(row) => tx.record(&maker, &*key(2), event, row)?,
                None => tx.append(&maker, &*key(2), event)?,
            };
            Ok::<_, StoreError>(())
        });
        written.wait().unwrap();
        id
    }

    /// A handoff without its texts.
    fn hand(
        &mut self,
        (from, to): (&str, &str),
        parent: Digest,
        guarantee: Guarantee,
        state: HandoffState,
    ) -> Handoff {
        let row = Handoff {
            guarantee,
            state,
            parent,
            offered: now(),
            expires: now().plus_seconds(600),
            settled: (state != HandoffState::Offered).then(now),
            ..self.between(from, to)
        };
        self.write(Kind::HandoffOffered, Vec::new(), Some(Row::Handoff(Box::new(row.clone()))));
        row
    }

    fn between(&self, from: &str, to: &str) -> Handoff {
        let digest = |what: u8| sha256(&[self.nth, what]);
        let instance = |name: &str| {
            if name == RUNNER { self.runner.clone() } else { instance(name) }
        };
        let id = |name: &str| instance_spiffe_id("example.test", &agent(name), &instance(name));
        Handoff {
            id: HandoffId::mint(now(), [self.nth; 10]),
            hash: digest(1),
            challenge: digest(2),
            leaf: digest(3),
            from_id: id(from),
            from_agent: agent(from),
            from_instance: instance(from),
            to_id: id(to),
            to_agent: agent(to),
            to_instance: instance(to),
            returned: None,
            return_entry: None,
            ..self.like.clone()
        }
    }

    /// A handoff from the runner with every text, given back.
    fn whole(&mut self, to: &str, to_seed: u8) -> Handoff {
        let a = self.authority;
        let root = self.root.root;
        let read = a.store().read(|view| view.delegation_token(&root));
        let read: Result<_, StoreError> = read;
        let parent = read.unwrap().unwrap();
        let seen = Seen::parse(&parent, &ChainLimits::DEFAULT).unwrap();
        let content = Content {
            jti: bailiwick_core::ids::uuid_v7(now(), [9; 10]),
            now: now(),
            exp: now().seconds() + 600,
            nbf: None,
            holder: key(to_seed).public_key(),
            scope: seen.scope,
            max_depth: seen.max_depth,
            aud: vec![],
            budget: Object::new(),
        };
        let limits = &ChainLimits::DEFAULT;
        let child = make::derive(&parent, &content, &*key(21), limits).unwrap();
        let leaf = Seen::parse(&child, limits).unwrap().hash;
        let row = Handoff { leaf, guarantee: Guarantee::Mtls, ..self.between(RUNNER, to) };
        let claim = |statement: &str, speaker: &str| Claim {
            statement: statement.to_owned(),
            speaker: speaker.to_owned(),
            provenance: Founded::None,
        };
        let offer = Offer {
            id: row.id.clone(),
            from: row.from_id.clone(),
            to: row.to_id.clone(),
            holder: key(to_seed).public_key().thumbprint(),
            handshake: row.transcript,
            challenge: [8; 32],
            task: row.task.clone(),
            purpose: "Is a refund due for order 10072?".to_owned(),
            leaf,
            context: vec![ContextItem {
                digest: sha256(b"the ticket"),
                source: "mcp:support-desk:tools/get_ticket".to_owned(),
                label: "ticket".to_owned(),
            }],
            claims: vec![
                claim("the parcel arrived broken", &row.from_id),
                claim(
                    "the customer has never asked before",
                    "spiffe://example.test/agent/mail-writer/elsewhere",
                ),
            ],
            constraints: vec!["answer within ten minutes; write to nobody".to_owned()],
            guarantee: Guarantee::Mtls,
            issued_at: now().seconds(),
            expires_at: now().seconds() + 600,
        };
        let signed = offer.sign(&key(21)).unwrap();
        let hash = sha256(signed.as_bytes());
        let claims = vec![claim("the order was paid and never delivered", &row.to_id)];
        let back = Return { handoff: hash, status: Status::Done, claims };
        let back = back.sign(now(), &key(to_seed)).unwrap();
        let texts = vec![disclosure("return", back)];
        let returned = self.write(Kind::HandoffReturned, texts, None);
        let row = Handoff {
            hash,
            parent: root,
            holder: key(to_seed).public_key().thumbprint(),
            state: HandoffState::Accepted,
            claims: Some(Grade::Asserted),
            settled: Some(now()),
            returned: Some(now()),
            return_entry: Some(returned),
            ..row
        };
        let chain = vec![Json::from(parent.as_str()), Json::from(child.as_str())];
        let texts = vec![disclosure("offer", signed), disclosure("chain", chain)];
        self.write(Kind::HandoffOffered, texts, Some(Row::Handoff(Box::new(row.clone()))));
        row
    }
}

/// Seven agents at work on the task of a grant, under the runner's delegation.
pub(crate) fn play(a: &Authority, grant: &GrantId) -> Played {
    use Guarantee::{Attested, Jwt, Key, Mtls};
    use HandoffState::{Accepted, Offered, Rejected};
    let runner: Result<_, StoreError> = a.store().read(|view| view.instances(Some(&agent(RUNNER))));
    let runner = runner.unwrap().remove(0).row;
    let root = a.delegations(grant).unwrap();
    let root = root.into_iter().map(|d| d.row).find(|d| d.holder == runner.holder).unwrap();
    let found: Result<_, StoreError> = a.store().read(|view| view.task(&root.task));
    let task = found.unwrap().unwrap().row;
    let others = [
        "order-reader",
        "billing-specialist",
        "refund-checker",
        "parcel-tracker",
        "translator",
        "mail-writer",
    ];
    for (seed, name) in (22..).zip(others) {
        enrolled(a, name, seed);
    }
    let spiffe = |name: &str| instance_spiffe_id("example.test", &agent(name), &instance(name));
    let like = Handoff {
        id: HandoffId::mint(now(), [0; 10]),
        state: Offered,
        hash: sha256(b"h"),
        transcript: sha256(b"t"),
        challenge: sha256(b"c"),
        principal: task.principal.clone(),
        workflow: task.workflow.clone(),
        task: task.id.clone(),
        grant: grant.clone(),
        root: root.root,
        parent: root.root,
        leaf: sha256(b"l"),
        from_id: spiffe(RUNNER),
        from_agent: agent(RUNNER),
        from_instance: runner.id.clone(),
        to_id: spiffe("order-reader"),
        to_agent: agent("order-reader"),
        to_instance: instance("order-reader"),
        holder: key(22).public_key().thumbprint(),
        guarantee: Jwt,
        claims: None,
        offered: now(),
        expires: now().plus_seconds(600),
        settled: None,
        returned: None,
        owner: None,
        return_entry: None,
    };
    let top = root.root;
    let mut stage = Stage { authority: a, root, runner: runner.id.clone(), like, nth: 100 };
    for (bound, transcript) in [(true, b"t"), (false, b"u")] {
        let shaken = Handshake {
            transcript: sha256(transcript),
            initiator: spiffe(RUNNER),
            responder: spiffe("billing-specialist"),
            bound,
            seen: now(),
            expires: now().plus_seconds(600),
        };
        stage.write(Kind::PeerHandshake, Vec::new(), Some(Row::Handshake(shaken)));
    }
    let whole = stage.whole("billing-specialist", 23);
    let billing = ("billing-specialist", "refund-checker");
    let checked = stage.hand(billing, whole.leaf, Attested, Accepted);
    stage.hand(("refund-checker", "translator"), checked.leaf, Jwt, Offered);
    stage.hand((RUNNER, "order-reader"), top, Jwt, Accepted);
    let refused = stage.hand((RUNNER, "parcel-tracker"), top, Key, Rejected);
    stage.hand(("billing-specialist", "mail-writer"), whole.leaf, Mtls, Accepted);
    // Others, of tasks that are not this one's.
    let others = [
        (RUNNER, "order-reader", Key),
        (RUNNER, "order-reader", Jwt),
        (RUNNER, "order-reader", Jwt),
        ("order-reader", "parcel-tracker", Key),
        ("order-reader", "parcel-tracker", Key),
        ("parcel-tracker", "order-reader", Jwt),
        (RUNNER, "translator", Mtls),
        ("translator", "mail-writer", Attested),
        ("order-reader", "mail-writer", Jwt),
    ];
    let own = std::mem::replace(&mut stage.like.task, TaskId::mint(now(), [1; 10]));
    for (from, to, guarantee) in others {
        stage.hand((from, to), top, guarantee, Accepted);
    }
    stage.like.task = own;
    let derived = Derived {
        token: sha256(b"narrowed by its holder"),
        parent: top,
        root: top,
        depth: 1,
        holder: runner.holder,
        seen: now(),
        expires: now().plus_seconds(300),
    };
    stage.write(Kind::ActionDecided, Vec::new(), Some(Row::Derived(derived)));
    let between = format!("/peers?from=agent%3A{RUNNER}&to=agent%3Aorder-reader");
    Played { handoff: whole.id, refused: refused.id, task: task.id, between }
}

#[tokio::test(flavor = "multi_thread")]
async fn drawings_lead_to_agents_lists_and_handoffs_by_keyboard() {
    let (site, browser) = (Site::start().await, Browser::start().await);
    enrol(&browser, &site, "user:owner").await;
    let url = site.url.clone();
    site.ask(move |a| {
        let identity = IdentitySigningKey::from_pkcs8(&identity_document()).unwrap();
        let statement = Statement {
            instance: InstanceId::mint(now(), [7; 10]),
            agent: agent(RUNNER),
            owner: principal("user:owner"),
            audience: url,
            made_at: now(),
            holder: key(21).public_key(),
            identity: identity.public_key(),
            isolation: bailiwick_core::guarantee::Isolation::Unstated,
        };
        a.instance_enrol(&statement.sign(&*key(21), &identity).unwrap()).map(drop).unwrap();
    })
    .await;
    browser
        .open(&site.authorize("client-1", &[("authorization_details", crate::consent::DETAILS)]))
        .await;
    browser.arrive("/consent/").await;
    browser.click("[data-sign] button").await;
    browser.arrive("/callback").await;
    let played = site
        .ask(|a| {
            let alias = a.principal(&principal("user:owner")).unwrap().row.alias;
            let grants = a.store().read(|view| view.grants_of_principal(&alias, 10));
            let grant = grants.map_err(|e: StoreError| e).unwrap()[0].row.id.clone();
            a.reissue(&grant, None).unwrap();
            play(a, &grant)
        })
        .await;
    browser.open(&format!("{}/peers", site.url)).await;
    assert_eq!(browser.count("svg .g-node").await, 7);
    let arrows = browser.count("svg .g-edge").await;
    assert_eq!(arrows, browser.count("[aria-labelledby=numbers] tbody tr").await);
    // Every box and arrow is in the order of the keyboard, with a name.
    let reached = browser
        .script(
            "return [...document.querySelectorAll('svg a')].filter((a) => { a.focus(); \
                 return document.activeElement === a && (a.getAttribute('aria-label') || a.textContent); }).length",
        )
        .await;
    assert_eq!(reached.as_u64(), Some(u64::try_from(arrows + 7).unwrap()));
    browser
        .script(
            "document.querySelector('svg .g-edge').dispatchEvent(new MouseEvent('click', \
                    { bubbles: true }))",
        )
        .await;
    browser.arrive("#handoffs").await;
    assert!(browser.text("[aria-labelledby=handoffs] .sub").await.contains("From agent:"));
    browser.open(&format!("{}/tasks/{}", site.url, played.task)).await;
    assert_eq!(browser.count("svg a.g-node").await, browser.count(".lineage .hop").await);
    browser.click(&format!(".lineage a[href='/handoffs/{}']", played.handoff)).await;
    browser.arrive("/handoffs/").await;
    let page = browser.text("main").await;
    for part in ["Is a refund due", "given back", "asserted", "signed", "get_order"] {
        assert!(page.contains(part), "{part}: {page}");
    }
}
