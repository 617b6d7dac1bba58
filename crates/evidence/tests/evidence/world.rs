//! A whole ledger in memory, with real keys, seals, chains and proofs: what
//! authority and gateway write for one call, on which tests then turn screws.

use std::collections::BTreeMap;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use bailiwick_core::aat::jws::Compact;
use bailiwick_core::aat::make::{Content, ProofFor, Seen, derive, issue, prove_unchecked};
use bailiwick_core::accountable::{Authority, GrantStanding, Hop, Standing};
use bailiwick_core::constraint::Dialect;
use bailiwick_core::crypto::{Digest, Signer, SigningKey, base64url, sha256};
use bailiwick_core::enrolment::{self, IdentitySigningKey};
use bailiwick_core::grant::Statement;
use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::{
    ActionId, AgentId, Alias, EntryId, GrantId, InstanceId, OrgId, PrincipalId, TaskId, WorkflowId,
};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Disclosure, Event, Kind, MakerPosition, Subjects};
use bailiwick_core::limits::{ChainLimits, JsonLimits};
use bailiwick_core::scope::Scope;
use bailiwick_core::time::Timestamp;
use bailiwick_evidence::trust::{IssuerKey, Maker, Role, Trust, Validity};
use bailiwick_tlog::{LogKey, WitnessKey};

use crate::ledger::Ledger;

pub const LIMITS: ChainLimits = ChainLimits::DEFAULT;
pub const ISSUER: &str = "http://localhost:4000";
pub const AUDIENCE: &str = "http://localhost:4000/mcp";
pub const ORIGIN: &str = "localhost/log";
pub const TOOL: &str = "mcp:support-desk:tools/get_order";
pub const START: i64 = 1_795_000_000;

/// Seeds of the keys; others stand for strangers.
pub mod seed {
    pub const ISSUER: u8 = 1;
    pub const AUTHORITY: u8 = 2;
    pub const GATEWAY: u8 = 3;
    pub const PRINCIPAL: u8 = 4;
    pub const OWNER: u8 = 5;
    pub const RUNNER: u8 = 6;
    pub const READER: u8 = 7;
    pub const LOG: u8 = 8;
    pub const WITNESS: u8 = 9;
    pub const STRANGER: u8 = 66;
}

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(START + seconds)
}

pub fn json(text: &str) -> Json {
    Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap()
}

pub fn object(text: &str) -> Object {
    json(text).as_object().unwrap().clone()
}

pub fn action() -> ActionId {
    ActionId::mint(at(60), [0xac; 10])
}

fn alias(n: u8) -> String {
    Alias::mint(at(0), [n; 10]).to_string()
}

pub fn instance(n: u8) -> InstanceId {
    InstanceId::mint(at(0), [n; 10])
}

/// What happened, before anybody wrote it down.
pub struct Plan {
    pub statement: Statement,
    pub grant_seed: u8,
    pub signed: bool,
    pub issuer_seed: u8,
    pub claims: fn(&mut Authority),
    pub root: fn(&mut Content),
    pub child: fn(&mut Content),
    pub prover_seed: u8,
    pub tool: String,
    pub arguments: Object,
    pub proved_arguments: Option<Object>,
    pub proof_audience: Option<&'static str>,
    pub enrolment: fn(&mut enrolment::Statement),
    pub standing: fn(&mut Standing),
    pub decision: &'static str,
    pub reason: Option<&'static str>,
    pub outcome: Option<&'static str>,
    pub now: Timestamp,
}

pub fn plan() -> Plan {
    Plan {
        statement: Statement {
            id: GrantId::mint(at(5), [0x61; 10]),
            org: OrgId::parse("default").unwrap(),
            principal_issuer: ISSUER.into(),
            principal: PrincipalId::parse("user:142").unwrap(),
            agent: AgentId::parse("agent:support-runner").unwrap(),
            task: TaskId::mint(at(4), [0x7a; 10]),
            purpose: "resolve support ticket".into(),
            workflow: WorkflowId::parse("support-tickets").unwrap(),
            workflow_digest: sha256(b"workflow"),
            requested: vec!["ticket:8821".into(), "orders:read".into()],
            tools: object(
                r#"{"mcp:support-desk:tools/get_ticket":{"id":{"constraint_type":"exact","value":8821}},
                    "mcp:support-desk:tools/get_order":{"order":{"constraint_type":"one_of","values":["o-17","o-18"]}}}"#,
            ),
            not_before: START,
            not_after: START + 900,
            max_depth: 2,
            budget: object(r#"{"max_calls":10}"#),
            audience: vec![AUDIENCE.into()],
            salt: [3; 32],
            request: None,
        },
        grant_seed: seed::PRINCIPAL,
        signed: true,
        issuer_seed: seed::ISSUER,
        claims: |_| {},
        root: |_| {},
        child: |_| {},
        prover_seed: seed::READER,
        tool: TOOL.into(),
        arguments: object(r#"{"order":"o-17"}"#),
        proved_arguments: None,
        proof_audience: Some(AUDIENCE),
        enrolment: |_| {},
        standing: |_| {},
        decision: "allow",
        reason: None,
        outcome: Some("ok"),
        now: at(60),
    }
}

pub fn identity() -> IdentitySigningKey {
    let document =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .unwrap();
    IdentitySigningKey::from_pkcs8(document.as_ref()).unwrap()
}

/// Events in log order, not yet sealed: what a maker is about to write.
pub struct Story {
    pub events: Vec<(Role, Event)>,
    pub action: ActionId,
}

impl Story {
    fn tell(&mut self, role: Role, time: Timestamp, kind: Kind, subjects: Subjects, body: Object) {
        let n = u8::try_from(self.events.len()).unwrap();
        self.events.push((
            role,
            Event {
                id: EntryId::mint(time, [0xe0 | n; 10]),
                org: OrgId::parse("default").unwrap(),
                time,
                kind,
                subjects,
                body,
                disclosures: Vec::new(),
            },
        ));
    }

    fn disclose(&mut self, field: &str, value: impl Into<Json>) {
        let salt = sha256(format!("{}{field}", self.events.len()).as_bytes());
        let (_, event) = self.events.last_mut().unwrap();
        event
            .disclosures
            .push((field.into(), Disclosure { salt: *salt.bytes(), value: value.into() }));
    }

    /// The `nth` event of a kind, to be falsified before its maker seals it.
    pub fn event(&mut self, kind: Kind, nth: usize) -> &mut Event {
        &mut self.events.iter_mut().filter(|(_, e)| e.kind == kind).nth(nth).unwrap().1
    }

    /// The authority published a policy before everything else, and the gateway
    /// put the call to it: `word` is what it recorded.
    pub fn put_to_policy(&mut self, bundle: &bailiwick_policy::Bundle, word: Json) {
        let document = bundle.to_json();
        let event = Event {
            id: EntryId::mint(at(0), [0xd0; 10]),
            org: OrgId::parse("default").unwrap(),
            time: at(0),
            kind: Kind::PolicyPublished,
            subjects: Subjects::default(),
            body: Object::new().with("digest", bundle.digest()),
            disclosures: vec![(
                "document".into(),
                Disclosure { salt: [0x0d; 32], value: document },
            )],
        };
        self.events.insert(0, (Role::Authority, event));
        self.body(Kind::ActionDecided, 1, "policy", word);
        let inputs = self.value(Kind::ActionDecided, 1, "inputs");
        let policy = Object::new().with("bundle", bundle.digest());
        *inputs = inputs.as_object().unwrap().clone().with("policy", policy).into();
    }

    /// The policy's publication comes after everything else.
    pub fn publish_policy_last(&mut self) {
        let at = self.place(Kind::PolicyPublished);
        let event = self.events.remove(at);
        self.events.push(event);
    }

    pub fn place(&self, kind: Kind) -> usize {
        self.events.iter().position(|(_, e)| e.kind == kind).unwrap()
    }

    pub fn body(&mut self, kind: Kind, nth: usize, name: &str, value: impl Into<Json>) {
        self.event(kind, nth).body.insert(name, value);
    }

    pub fn value(&mut self, kind: Kind, nth: usize, field: &str) -> &mut Json {
        let event = self.event(kind, nth);
        &mut event.disclosures.iter_mut().find(|(f, _)| f == field).unwrap().1.value
    }

    pub fn seal(&self) -> Ledger {
        self.seal_into(seed::LOG)
    }

    pub fn seal_into(&self, log_seed: u8) -> Ledger {
        let mut positions = [MakerPosition::START; 2];
        let mut of_runs: BTreeMap<String, u64> = BTreeMap::new();
        let mut leaves = Vec::new();
        let mut values = BTreeMap::new();
        for (role, event) in &self.events {
            let (maker, seed, slot) = match role {
                Role::Authority => ("authority:a", seed::AUTHORITY, 0),
                Role::Gateway => ("gateway:g", seed::GATEWAY, 1),
            };
            let run_seq = event.subjects.run.clone().map(|run| {
                let number = of_runs.entry(run).or_default();
                *number += 1;
                *number
            });
            let prepared = bailiwick_core::ledger::Prepared::from(event.clone());
            let sealed = prepared.seal(maker, positions[slot], run_seq, &key(seed)).unwrap();
            positions[slot] = sealed.next;
            for (field, disclosure) in &event.disclosures {
                values.insert((event.id.clone(), field.clone()), disclosure.clone());
            }
            leaves.push((event.kind, event.subjects.clone(), sealed.bytes));
        }
        Ledger::new(leaves, values, log_seed)
    }
}

impl Plan {
    /// Authority and gateway do their work.
    pub fn story(&self) -> Story {
        let statement = &self.statement;
        let mut story = Story { events: Vec::new(), action: action() };
        let (principal, owner) = (alias(0xa1), alias(0xa2));
        let authority = Role::Authority;
        let tool_pin = sha256(b"definition").to_string();

        let workflow =
            || Subjects { workflow: Some(statement.workflow.to_string()), ..Subjects::default() };
        story.tell(
            authority,
            at(0),
            Kind::WorkflowPublished,
            workflow(),
            Object::new().with("workflow", &statement.workflow).with("digest", sha256(b"workflow")),
        );
        let tool = Subjects { tool: Some(self.tool.clone()), ..Subjects::default() };
        story.tell(
            authority,
            at(0),
            Kind::ToolPinned,
            tool,
            Object::new()
                .with("tool", self.tool.as_str())
                .with("server", "support-desk")
                .with("digest", tool_pin.as_str()),
        );
        for (alias, id, seed) in
            [(&principal, "user:142", seed::PRINCIPAL), (&owner, "user:7", seed::OWNER)]
        {
            let public = key(seed).public_key();
            story.tell(
                authority,
                at(1),
                Kind::PrincipalAdded,
                Subjects { principal: Some(alias.clone()), ..Subjects::default() },
                Object::new()
                    .with("alias", alias.as_str())
                    .with("thumbprint", public.thumbprint())
                    .with("jwk", public.to_jwk()),
            );
            story.disclose("principal", Object::new().with("issuer", ISSUER).with("id", id));
        }
        let agents = ["agent:support-runner", "agent:order-reader"];
        for agent in agents {
            story.tell(
                authority,
                at(2),
                Kind::AgentAdded,
                Subjects { agent: Some(agent.into()), ..Subjects::default() },
                Object::new().with("agent", agent).with("owner", owner.as_str()),
            );
        }
        for (n, seed) in [(1, seed::RUNNER), (2, seed::READER)] {
            let identity = identity();
            let mut enrolled = enrolment::Statement {
                instance: instance(n),
                agent: AgentId::parse(agents[usize::from(n) - 1]).unwrap(),
                owner: PrincipalId::parse("user:7").unwrap(),
                audience: ISSUER.into(),
                made_at: at(3),
                holder: key(seed).public_key(),
                identity: identity.public_key(),
                isolation: bailiwick_core::guarantee::Isolation::Unstated,
            };
            (self.enrolment)(&mut enrolled);
            let request = enrolled.sign(&key(seed), &identity).unwrap();
            story.tell(
                authority,
                at(3),
                Kind::InstanceEnrolled,
                Subjects {
                    agent: Some(enrolled.agent.to_string()),
                    instance: Some(enrolled.instance.to_string()),
                    ..Subjects::default()
                },
                Object::new()
                    .with("instance", &enrolled.instance)
                    .with("agent", &enrolled.agent)
                    .with("owner", owner.as_str())
                    .with("holder", enrolled.holder.thumbprint())
                    .with("enrolment_digest", enrolment::Statement::digest(&request))
                    .with("guarantee", "key"),
            );
            story.disclose("enrolment", request);
        }
        let task = Subjects { task: Some(statement.task.to_string()), ..workflow() };
        story.tell(
            authority,
            at(4),
            Kind::TaskCreated,
            task.clone(),
            Object::new().with("task", &statement.task).with("workflow", &statement.workflow),
        );
        story.disclose("purpose", "resolve support ticket");
        let granted = Subjects {
            principal: Some(principal.clone()),
            agent: Some(statement.agent.to_string()),
            grant: Some(statement.id.to_string()),
            ..task
        };
        story.tell(
            authority,
            at(5),
            Kind::GrantRecorded,
            granted.clone(),
            Object::new()
                .with("grant", &statement.id)
                .with("digest", statement.digest())
                .with("not_before", statement.not_before)
                .with("not_after", statement.not_after)
                .with("signed", self.signed),
        );
        story.disclose("statement", statement.to_json());
        if self.signed {
            story.disclose("signature", statement.sign(&key(self.grant_seed)));
        }

        // The chain: a root for the runner, a narrower child for the reader.
        let mut claims = Authority {
            principal: statement.principal.clone(),
            agent: statement.agent.clone(),
            client: None,
            task: statement.task.clone(),
            purpose: statement.purpose.clone(),
            workflow: statement.workflow.clone(),
            workflow_digest: statement.workflow_digest,
            grant: statement.id.clone(),
            grant_digest: statement.digest(),
        };
        (self.claims)(&mut claims);
        let scope = |tools: &Object| Scope::parse(tools, Dialect::Extended, 32).unwrap();
        let mut content = Content {
            jti: "root".into(),
            now: at(10),
            exp: START + 900,
            nbf: None,
            holder: key(seed::RUNNER).public_key(),
            scope: scope(&plan().statement.tools),
            max_depth: 2,
            aud: vec![AUDIENCE.into()],
            budget: object(r#"{"max_calls":10}"#),
        };
        (self.root)(&mut content);
        let issuer = key(self.issuer_seed);
        let root = issue(ISSUER, &content, &claims.to_claims(), &issuer, &LIMITS).unwrap();
        let mut narrower = Content {
            jti: "leaf".into(),
            now: at(20),
            exp: START + 600,
            nbf: None,
            holder: key(seed::READER).public_key(),
            scope: scope(&object(
                r#"{"mcp:support-desk:tools/get_order":{"order":{"constraint_type":"exact","value":"o-17"}}}"#,
            )),
            max_depth: 1,
            aud: vec![],
            budget: Object::new(),
        };
        (self.child)(&mut narrower);
        let leaf = derive(&root, &narrower, &key(seed::RUNNER), &LIMITS).unwrap();
        let hash = |token: &str| Compact::parse(token).unwrap().hash();
        let (root_hash, leaf_hash) = (hash(&root), hash(&leaf));
        story.tell(
            authority,
            at(10),
            Kind::DelegationIssued,
            Subjects { delegation: Some(root_hash.to_string()), ..granted.clone() },
            Object::new()
                .with("root", root_hash)
                .with("grant", &statement.id)
                .with("holder", key(seed::RUNNER).public_key().thumbprint())
                .with("not_after", content.exp),
        );
        story.disclose("token", root.as_str());
        self.refuse_a_stranger(&mut story);
        self.decide(&mut story, granted, [&root, &leaf], [root_hash, leaf_hash], &tool_pin);
        story
    }

    /// Another entry of the same gateway: a proof by a stranger's key.
    fn refuse_a_stranger(&self, story: &mut Story) {
        story.tell(
            Role::Gateway,
            at(50),
            Kind::ActionDecided,
            Subjects {
                action: Some(ActionId::mint(at(50), [0x5a; 10]).to_string()),
                decision: Some("deny".into()),
                reason: Some("proof-invalid".into()),
                ..Subjects::default()
            },
            Object::new().with("stage", "identity").with("step", "7b"),
        );
    }

    /// The gateway's record of the call.
    fn decide(
        &self,
        story: &mut Story,
        granted: Subjects,
        chain: [&str; 2],
        [root, leaf]: [Digest; 2],
        pin: &str,
    ) {
        let leaf_jti = Seen::parse(chain[1], &LIMITS).unwrap().jti;
        let proof_for = ProofFor {
            jti: "proof",
            now: self.now,
            tool: &self.tool,
            arguments: self.proved_arguments.as_ref().unwrap_or(&self.arguments),
            audience: self.proof_audience,
            nonce: None,
        };
        let proof = prove_unchecked(&leaf_jti, leaf, &proof_for, &key(self.prover_seed));
        let hop = |n: u8, agent: &str| Hop {
            instance: instance(n),
            agent: AgentId::parse(agent).unwrap(),
            owner: Some(PrincipalId::parse("user:7").unwrap()),
            instance_active: true,
            agent_active: true,
            guarantee: Guarantee::Key,
            handoff: None,
            isolation: bailiwick_core::guarantee::Isolation::Unstated,
            domain_as_of: None,
        };
        let hops = [hop(1, "agent:support-runner"), hop(2, "agent:order-reader")];
        let stated: Vec<Json> = hops
            .iter()
            .map(|h| {
                Object::new()
                    .with("instance", &h.instance)
                    .with("agent", &h.agent)
                    .with("spiffe_id", h.agent.spiffe_id("localhost"))
                    .with("guarantee", h.guarantee.as_str())
                    .into()
            })
            .collect();
        let preimage = Object::new()
            .with("v", 1u64)
            .with("salt", base64url(&[0x5a; 32]))
            .with("server", "support-desk")
            .with("tool", self.tool.as_str())
            .with("pin", pin)
            .with("arguments", self.arguments.clone())
            .with("principal", &self.statement.principal)
            .with("root", root)
            .with("leaf", leaf)
            .with("instance", &instance(2))
            .with("task", &self.statement.task)
            .with("audience", AUDIENCE);
        let subjects = Subjects {
            agent: Some("agent:order-reader".into()),
            instance: Some(instance(2).to_string()),
            delegation: Some(leaf.to_string()),
            action: Some(story.action.to_string()),
            tool: Some(self.tool.clone()),
            decision: Some(self.decision.into()),
            reason: self.reason.map(str::to_owned),
            ..granted.clone()
        };
        let mut standing = Standing {
            hops: hops.into_iter().map(Some).collect(),
            principal_active: true,
            principal_alias: granted.principal.clone(),
            grant: Some(GrantStanding {
                digest: self.statement.digest(),
                not_after: Timestamp::from_seconds(self.statement.not_after),
                attested: !self.signed,
                ended: false,
                account: None,
            }),
            revoked: None,
            stop: None,
            exceeds: None,
            revocations_as_of: Timestamp::from_millis(self.now.millis() - 12),
            last_durable: Timestamp::from_millis(self.now.millis() - 12),
        };
        (self.standing)(&mut standing);
        let staleness = self.now.millis_since(standing.revocations_as_of);
        story.tell(
            Role::Gateway,
            self.now,
            Kind::ActionDecided,
            subjects.clone(),
            Object::new()
                .with("server", "support-desk")
                .with("pin", pin)
                .with("root", root)
                .with("assurance", "arguments")
                .with("guarantee", "key")
                .with("hops", stated)
                .with("not_after", START + 600)
                .with("staleness_ms", staleness)
                .with("workflow_digest", self.statement.workflow_digest)
                .with("grant_digest", self.statement.digest())
                .with("audience", AUDIENCE)
                .with("action_digest", sha256(Json::from(preimage.clone()).canonical().as_bytes()))
                .with("enforcement", "gateway"),
        );
        let tokens: Vec<Json> = chain.iter().map(|t| Json::from(*t)).collect();
        story.disclose("arguments", self.arguments.clone());
        story.disclose("action", preimage);
        story.disclose("chain", tokens);
        story.disclose("proof", proof);
        story.disclose(
            "inputs",
            Object::new()
                .with("v", 1u64)
                .with("standing", standing.to_json())
                .with("staleness_bound", 10i64),
        );
        let decided = story.events.last().unwrap().1.id.clone();
        if let Some(outcome) = self.outcome {
            story.tell(
                Role::Gateway,
                Timestamp::from_millis(self.now.millis() + 31),
                Kind::ActionCompleted,
                Subjects { decision: None, reason: Some(outcome.into()), ..subjects },
                Object::new().with("decided", &decided).with("duration_ms", 31u64),
            );
        }
    }
}

pub fn witness_key(seed: u8) -> WitnessKey {
    WitnessKey::new("witness.example/w", *key(seed).public_key().as_bytes()).unwrap()
}

pub fn trust() -> Trust {
    let public = |seed| key(seed).public_key();
    Trust {
        org: OrgId::parse("default").unwrap(),
        issuers: vec![IssuerKey {
            uri: ISSUER.into(),
            key: public(seed::ISSUER),
            validity: Validity::ALWAYS,
        }],
        log: LogKey::new(ORIGIN, *public(seed::LOG).as_bytes()).unwrap(),
        makers: vec![
            Maker {
                id: "authority:a".into(),
                key: public(seed::AUTHORITY),
                role: Role::Authority,
                validity: Validity::ALWAYS,
            },
            Maker {
                id: "gateway:g".into(),
                key: public(seed::GATEWAY),
                role: Role::Gateway,
                validity: Validity::ALWAYS,
            },
        ],
        witnesses: vec![],
        quorum: 0,
        audiences: vec![AUDIENCE.into()],
        approvers: None,
        id_tokens: vec![],
        identities: vec![],
    }
}
