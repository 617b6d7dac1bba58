//! Stage 7, and the record of stage 6: what the ledger says about an action.
//! It always runs: an allowed call, a denied one and its outcome each become
//! an entry. Leaves hold ids, codes, times and commitments only.

use bailiwick_core::aat::verify::Chain;
use bailiwick_core::accountable::{Facts, Hop};
use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::denial::Denial;
use bailiwick_core::guarantee::Assurance;
use bailiwick_core::ids::{EntryId, RunId, ServerName};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Disclosure, Event, Kind, Subjects};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::decide::Finding;
use bailiwick_policy::in_force::Heard;

use super::approval::{NewHold, Used};
use super::authority::Ground;
use super::boundary::Presentation;
use crate::gateway::Inner;
use crate::ports::Derivation;
use crate::questions::Answered;
use crate::strangers::Uncounted;

mod draw;
mod names;
mod retained;

pub(crate) use draw::Draw;
use names::Names;
use retained::{claimed, inputs};

/// Bytes of arguments of a denied call that are kept.
const MAX_DENIED_ARGUMENT_BYTES: usize = 64 * 1024;

/// A decision about to be written.
pub(crate) struct Decision<'a> {
    pub(crate) now: Timestamp,
    pub(crate) server: &'a ServerName,
    /// The tool id, or the reserved name of another message.
    pub(crate) action: Option<&'a str>,
    pub(crate) arguments: Option<&'a Object>,
    pub(crate) presentation: Option<&'a Presentation>,
    pub(crate) known: Option<(&'a Chain, &'a Facts)>,
    /// `allow`, `deny` or `approval_required`.
    pub(crate) decision: &'static str,
    pub(crate) denial: Option<&'a Denial>,
    pub(crate) finding: Option<&'a Finding>,
    /// What the organisation's bundles said, where they were asked.
    pub(crate) heard: Option<&'a Heard>,
    pub(crate) ground: Option<&'a Ground>,
    pub(crate) assurance: Assurance,
    pub(crate) enforcement: &'static str,
    /// The question that people are asked from now on.
    pub(crate) asking: Option<&'a NewHold>,
    /// The approval that is spent.
    pub(crate) used: Option<&'a Used>,
    /// The run to which the call belongs.
    pub(crate) run: Option<&'a RunId>,
}

impl Decision<'_> {
    /// What the entry says of people's part in it.
    fn approval(&self) -> Option<Object> {
        if let Some(new) = self.asking {
            return Some(
                Object::new()
                    .with("id", &new.id)
                    .with("policy", new.policy)
                    .with("needed", new.needed)
                    .with("expires", new.expires.seconds()),
            );
        }
        self.used.map(Used::to_json)
    }
}

/// What an action's digest is made of (DESIGN §2).
pub(crate) struct Preimage<'a> {
    pub(crate) salt: [u8; 32],
    pub(crate) server: &'a ServerName,
    pub(crate) tool: &'a str,
    pub(crate) pin: Option<Digest>,
    pub(crate) arguments: &'a Object,
    pub(crate) chain: &'a Chain,
    pub(crate) facts: &'a Facts,
    pub(crate) audience: &'a str,
}

/// The text whose SHA-256 is the action's digest, as JSON.
pub(crate) fn preimage(of: &Preimage<'_>) -> Json {
    Object::new()
        .with("v", 1u64)
        .with("salt", bailiwick_core::crypto::base64url(&of.salt))
        .with("server", of.server)
        .with("tool", of.tool)
        .with("pin", of.pin)
        .with("arguments", of.arguments.clone())
        .with("principal", &of.facts.authority.principal)
        .with("root", of.chain.root_hash())
        .with("leaf", of.chain.leaf_hash())
        .with("instance", of.facts.caller().map(|h| h.instance.as_str()))
        .with("task", &of.facts.authority.task)
        .with("audience", of.audience)
        .into()
}

/// An event and the action's digest, if the action was known well enough.
pub(crate) struct Drafted {
    pub(crate) event: Event,
    pub(crate) action_digest: Option<Digest>,
}

fn text_array<'a>(items: impl Iterator<Item = &'a String>) -> Json {
    Json::Array(items.map(|t| Json::from(t.as_str())).collect())
}

/// Writes a decision down.
pub(crate) fn decided(gateway: &Inner, mut draw: Draw<'_>, decision: &Decision<'_>) -> Drafted {
    let mut subjects = Subjects {
        action: Some(draw.id.to_string()),
        decision: Some(decision.decision.to_owned()),
        reason: decision.denial.map(|d| d.reason.code().to_owned()),
        ..Subjects::default()
    };
    let mut body = Object::new();
    let mut disclosures = Vec::with_capacity(5);
    if let Some(denial) = decision.denial {
        body.insert("stage", denial.reason.stage().as_str());
        if let Some(step) = denial.step {
            body.insert("step", step);
        }
        if let Some(token) = denial.token {
            body.insert("token", u64::try_from(token).unwrap_or(u64::MAX));
        }
        if let Some(subject) = &denial.subject {
            disclosures.push(("detail".to_owned(), draw.disclose(subject.as_str())));
        }
    }
    let mut action_digest = None;
    match decision.known {
        Some((chain, facts)) => {
            known_subjects(&mut subjects, chain, facts);
            subjects.run = decision.run.map(RunId::to_string);
            let names = Names::of(gateway, decision, facts);
            body.insert("server", names.server);
            subjects.tool = names.action.map(str::to_owned);
            if let Some(chosen) = names.chosen {
                disclosures.push(("tool".to_owned(), draw.disclose(chosen)));
            }
            action_digest =
                known_body(gateway, &mut draw, &mut body, &mut disclosures, decision, chain, facts);
        }
        None => disclosures.push(("claimed".to_owned(), draw.disclose(claimed(decision)))),
    }
    let event = Event {
        id: draw.id,
        org: gateway.config.org.clone(),
        time: decision.now,
        kind: Kind::ActionDecided,
        subjects,
        body,
        disclosures,
    };
    Drafted { event, action_digest }
}

fn known_subjects(subjects: &mut Subjects, chain: &Chain, facts: &Facts) {
    let caller = facts.caller();
    subjects.principal = facts.standing.principal_alias.clone();
    subjects.agent = caller.map(|hop| hop.agent.to_string());
    subjects.instance = caller.map(|hop| hop.instance.to_string());
    subjects.workflow = Some(facts.authority.workflow.to_string());
    subjects.task = Some(facts.authority.task.to_string());
    subjects.grant = Some(facts.authority.grant.to_string());
    subjects.delegation = Some(chain.leaf_hash().to_string());
}

fn known_body(
    gateway: &Inner,
    draw: &mut Draw<'_>,
    body: &mut Object,
    disclosures: &mut Vec<(String, Disclosure)>,
    decision: &Decision<'_>,
    chain: &Chain,
    facts: &Facts,
) -> Option<Digest> {
    let hop = |hop: &Hop| -> Json {
        let stated = Object::new()
            .with("instance", &hop.instance)
            .with("agent", &hop.agent)
            .with("spiffe_id", hop.agent.spiffe_id(&gateway.config.trust_domain))
            .with("guarantee", hop.guarantee.as_str());
        let stated = match hop.isolation.stated() {
            None => stated,
            Some(isolation) => stated.with("isolation", isolation),
        };
        match &hop.handoff {
            None => stated.into(),
            Some(handoff) => stated.with("handoff", handoff).into(),
        }
    };
    let pin = decision.ground.and_then(|g| g.pin);
    body.insert("pin", pin);
    body.insert("root", chain.root_hash());
    body.insert("assurance", decision.assurance.as_str());
    body.insert("guarantee", facts.guarantee.as_str());
    body.insert("hops", facts.hops.iter().map(hop).collect::<Vec<_>>());
    if let Some(nbf) = not_before(chain) {
        body.insert("not_before", nbf);
    }
    body.insert("not_after", chain.expires());
    body.insert("staleness_ms", facts.staleness_ms);
    body.insert("workflow_digest", facts.authority.workflow_digest);
    body.insert("grant_digest", facts.authority.grant_digest);
    body.insert("audience", gateway.audience.as_str());
    body.insert("enforcement", decision.enforcement);
    if let Some(finding) = decision.finding {
        body.insert("rule", finding.rule.as_ref());
    }
    let words =
        decision.heard.map(|heard| [("policy", &heard.enforced), ("candidate", &heard.candidate)]);
    for (name, word) in words.into_iter().flatten() {
        if let Some(word) = word {
            body.insert(name, word.to_json());
        }
    }
    if let Some(errand) = decision.ground.and_then(|ground| ground.errand.as_ref()) {
        let named = Object::new().with("entry", &errand.entry).with("run", &errand.run);
        body.insert("errand", named);
    }
    if let Some(ground) = decision.ground {
        body.insert("risk", ground.rating.risk.as_str());
        if let Some(identity) = ground.identity {
            body.insert("upstream_identity", identity.as_str());
        }
    }
    if let Some(approval) = decision.approval() {
        body.insert("approval", approval);
    }
    let mut digest = None;
    if let (Some(tool), Some(arguments)) = (decision.action, decision.arguments) {
        let preimage = preimage(&Preimage {
            salt: match decision.used.and_then(Used::approval) {
                Some(used) => used.salt,
                None => draw.salt(),
            },
            server: decision.server,
            tool,
            pin,
            arguments,
            chain,
            facts,
            audience: &gateway.audience,
        });
        let text = preimage.canonical();
        let action = sha256(text.as_bytes());
        body.insert("action_digest", action);
        digest = Some(action);
        // What was refused may be large and is kept only up to a bound; the
        // digests stand in the entry either way.
        if decision.denial.is_none() || text.len() <= MAX_DENIED_ARGUMENT_BYTES {
            disclosures.push(("arguments".to_owned(), draw.disclose(arguments.clone())));
            disclosures.push(("action".to_owned(), draw.disclose(preimage)));
        }
    }
    if let Some(presentation) = decision.presentation {
        disclosures
            .push(("chain".to_owned(), draw.disclose(text_array(presentation.chain.iter()))));
        disclosures.push(("proof".to_owned(), draw.disclose(presentation.proof.as_str())));
    }
    let retained = draw.disclose(inputs(gateway, decision, chain, facts));
    body.insert("inputs", retained.commitment());
    disclosures.push(("inputs".to_owned(), retained));
    digest
}

/// The derived tokens of a known caller's chain, parents first.
pub(crate) fn derived(chain: &Chain, facts: &Facts) -> Vec<Derivation> {
    let links = chain.links();
    let pairs = links.iter().zip(links.iter().skip(1)).zip(facts.hops.iter().skip(1));
    pairs
        .zip(1..)
        .map(|(((parent, link), hop), depth)| Derivation {
            token: link.hash,
            parent: parent.hash,
            root: chain.root_hash(),
            depth,
            holder: link.claims.holder.thumbprint(),
            agent: hop.agent.clone(),
            instance: hop.instance.clone(),
            expires: Timestamp::from_seconds(link.claims.exp),
        })
        .collect()
}

/// The latest start of the chain's tokens, seconds.
fn not_before(chain: &Chain) -> Option<i64> {
    let nbf = |claims: &Object| claims.member("nbf")?.as_number()?.as_plain_integer();
    chain.links().iter().filter_map(|l| nbf(&l.claims.all)).max()
}

/// What became of an allowed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The tool answered.
    Ok,
    /// The tool answered with an error, or not as the protocol wants it.
    Error,
    /// It did not answer in time; it may have had its effect.
    Timeout,
    /// The call never reached the tool.
    NotExecuted,
    /// The connection broke: whether it had its effect is not known.
    Unknown,
}

impl Outcome {
    /// Reads its name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let all = [Self::Ok, Self::Error, Self::Timeout, Self::NotExecuted, Self::Unknown];
        all.into_iter().find(|outcome| outcome.as_str() == name)
    }

    /// Its name in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::NotExecuted => "not_executed",
            Self::Unknown => "unknown",
        }
    }
}

/// What is known of a finished call.
pub(crate) struct Finished {
    pub(crate) outcome: Outcome,
    pub(crate) duration_ms: i64,
    pub(crate) bytes: usize,
    pub(crate) is_error: bool,
    /// Digest of the result's canonical form.
    pub(crate) result: Option<Digest>,
    /// Another enforcement point made the call: whether it said what came of
    /// it.
    pub(crate) reported: Option<bool>,
    /// What the agent's client answered to the tool server's questions.
    pub(crate) answers: Vec<Answered>,
}

/// Writes an outcome down; `subjects` are those of the decision.
pub(crate) fn completed(
    gateway: &Inner,
    subjects: &Subjects,
    decided: &EntryId,
    finished: &Finished,
) -> Event {
    let now = gateway.ports.host.now();
    let mut draw = Draw::new(gateway.ports.host.as_ref(), now);
    let bytes = u64::try_from(finished.bytes).unwrap_or(u64::MAX);
    let body = Object::new()
        .with("decided", decided)
        .with("duration_ms", finished.duration_ms)
        .with("bytes", bytes)
        .with("is_error", finished.is_error);
    let body = match finished.reported {
        Some(reported) => body.with("reported", reported),
        None => body,
    };
    let result = finished.result.map(|digest| {
        let result = Object::new().with("sha256", digest).with("bytes", bytes);
        ("result".to_owned(), draw.disclose(result))
    });
    let answers = (!finished.answers.is_empty()).then(|| {
        let answers: Vec<Json> = finished.answers.iter().map(|a| a.to_json()).collect();
        ("answers".to_owned(), draw.disclose(answers))
    });
    let subjects = Subjects {
        decision: None,
        reason: Some(finished.outcome.as_str().to_owned()),
        ..subjects.clone()
    };
    Event {
        id: draw.id.clone(),
        org: gateway.config.org.clone(),
        time: now,
        kind: Kind::ActionCompleted,
        subjects,
        body,
        disclosures: result.into_iter().chain(answers).collect(),
    }
}

/// How many denials were not written one by one.
pub(crate) fn suppressed(gateway: &Inner, counted: &Uncounted) -> Event {
    let now = gateway.ports.host.now();
    let draw = Draw::new(gateway.ports.host.as_ref(), now);
    Event {
        id: draw.id,
        org: gateway.config.org.clone(),
        time: now,
        kind: Kind::DenialsSuppressed,
        subjects: Subjects::default(),
        body: Object::new()
            .with("count", counted.count)
            .with("unwritten", counted.unwritten)
            .with("from", counted.since.to_string())
            .with("to", now.to_string()),
        disclosures: Vec::new(),
    }
}
