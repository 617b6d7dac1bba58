//! Handshakes and handoffs: recorded, answered, given back, seen.

use bailiwick_core::aat::verify::{Chain, Context, Profile as _, ProofPolicy, Unverified};
use bailiwick_core::accountable::{
    Accountable, Facts, Inputs, Question, Registry, Standing, Unavailable,
};
use bailiwick_core::crypto::Digest;
use bailiwick_core::denial::Denial;
use bailiwick_core::guarantee::Grade;
use bailiwick_core::ids::{EntryId, HandoffId, TaskId};
use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::{ChainLimits, JsonLimits};
use bailiwick_core::peer::claim::{Claim, Receipt, Sources};
use bailiwick_core::peer::handoff::{Answer, Offered};
use bailiwick_core::peer::record::{Proven, Record};
use bailiwick_core::peer::returned::Return;
use bailiwick_core::time::Timestamp;
use bailiwick_core::wit::read_instance_spiffe_id;
use bailiwick_store::{
    Filter, Handoff, HandoffState, Instance, MAX_HANDOFFS, Spent, Status, StoreError, Stored,
    StoredEntry, Tx, View,
};

use super::identities::admitted;
use super::people::SignedIn;
use super::{Authority, Inner, disclosed};
use crate::people::roles::{Deed, require};
use crate::refusal::Refusal;
use crate::rules::handoffs::{self, HandoffRefusal, Offering, Side};
use crate::rules::requests;
use crate::standing;

mod lineage;
mod shown;
pub use lineage::{Flow, Trail};
mod sides;
pub use shown::{Known, ListedHandoff, ShownHandoff};

use sides::{holder_key, registered, taker_key, write_handshake};

/// What the guard against too many reports calls itself.
const SLOTS: &str = "peer-refusal-slot";
/// Bytes of a code or name in a report at most.
const MAX_CODE_BYTES: usize = 64;
const MAX_CLAIMED_BYTES: usize = 2_048;
/// Seconds over which reports of one instance are counted.
const REFUSALS_SECONDS: i64 = 60;

/// The registry as of one transaction.
struct InView<'a> {
    cx: &'a Inner,
    view: &'a View<'a>,
    now: Timestamp,
    /// The taker, if it is of another trust domain.
    expected: Option<&'a standing::Expected<'a>>,
}

impl Registry for InView<'_> {
    fn standing(&self, question: &Question<'_>) -> Result<Standing, Unavailable> {
        let source = standing::Revoked::Direct(self.now);
        let issuer = &self.cx.installation.issuer;
        let by = (source, &*self.cx.ceilings);
        let mut standing = standing::expecting(self.view, issuer, question, by, self.expected)
            .map_err(|_: StoreError| Unavailable)?;
        // Nobody acts here: what is looked at is whether it may be taken over now.
        if standing.revoked.as_deref() == Some("handoff") {
            standing.revoked = None;
        }
        Ok(standing)
    }
}

/// Where the claims of one task are looked up.
struct Lookup<'a> {
    cx: &'a Inner,
    view: &'a View<'a>,
    task: &'a TaskId,
}

impl Sources for Lookup<'_> {
    fn receipt(&self, entry: &EntryId) -> Option<Receipt> {
        let cited = self.view.entry_by_id(entry).ok()??;
        let action = cited.subjects.action.as_ref()?.parse().ok()?;
        let all = self.view.entries_of_action(&action).ok()?;
        let done = all.iter().find(|e| e.kind == Kind::ActionCompleted.as_str())?;
        let leaf = Json::parse(&done.leaf, &JsonLimits::DEFAULT).ok()?;
        let body = leaf.as_object()?.member("body")?.as_object()?;
        // SECURITY: what another enforcement point said of its own call was seen
        // by nobody here.
        if body.member("reported").is_some() {
            return None;
        }
        let result = disclosed(self.view, &done.id, "result").ok()??;
        let digest = result.as_object()?.member("sha256")?.as_str()?;
        Some(Receipt {
            same_lineage: done.subjects.task.as_deref() == Some(self.task.as_str()),
            result: Digest::from_text(digest)?,
        })
    }

    fn key(&self, speaker: &str) -> Option<VerifyingKey> {
        let (_, id) = read_instance_spiffe_id(speaker, &self.cx.installation.trust_domain)?;
        let instance = self.view.instance(&id).ok()??;
        (instance.status == Status::Active)
            .then(|| holder_key(&instance))?
            .map(VerifyingKey::Ed25519)
    }
}

fn bad(member: &'static str) -> HandoffRefusal {
    bailiwick_core::peer::handoff::HandoffError::Malformed { member }.into()
}

impl Authority {
    /// What a chain is judged by, without a call.
    fn judging<T>(
        &self,
        cx: &Inner,
        now: Timestamp,
        judge: impl FnOnce(&Context<'_>) -> Result<T, Denial>,
    ) -> Result<T, Refusal> {
        let (anchors, audiences) = (self.anchors()?, [cx.installation.audience()]);
        let context = Context {
            now,
            anchors: &anchors,
            audiences: &audiences,
            require_chain_audience: true,
            proof: ProofPolicy { require_audience: true, accepted_nonces: None, used: &[] },
            limits: &ChainLimits::DEFAULT,
        };
        Ok(judge(&context).map_err(HandoffRefusal::from)?)
    }

    /// Verifies a chain's signatures and windows.
    fn chain(&self, cx: &Inner, tokens: &[String], now: Timestamp) -> Result<Chain, Refusal> {
        self.judging(cx, now, |context| {
            let unverified = Unverified::parse(tokens, context.limits)?;
            Chain::verify::<Accountable>(&unverified, context)
        })
    }

    /// What a verified chain rests on, which must stand at this moment.
    fn facts(
        &self,
        cx: &Inner,
        view: &View<'_>,
        chain: &Chain,
        now: Timestamp,
        expected: Option<&standing::Expected<'_>>,
    ) -> Result<Facts, Refusal> {
        let registry = InView { cx, view, now, expected };
        let inputs = Inputs { registry: &registry, staleness_bound: 0 };
        self.judging(cx, now, |context| {
            Accountable::account(chain, context, inputs).map_err(|refused| refused.denial)
        })
    }

    /// Records a handshake of two registered agents; one that was recorded before
    /// is as good. Gives its transcript and the two sides.
    ///
    /// # Errors
    /// [`HandoffRefusal`].
    pub fn peer_handshake(&self, record: &Json) -> Result<Proven, Refusal> {
        let record = Record::read(record).map_err(HandoffRefusal::from)?;
        let (cx, now) = (self.now(), self.0.host.now());
        let proven = self.0.store.read(|view| cx.proven(view, &record, now))?;
        self.transact(move |cx, tx, moment| {
            write_handshake(cx, tx, moment, &record, &proven)?;
            Ok(proven)
        })
    }

    /// Records an offer, with the handshake on which it rests.
    ///
    /// # Errors
    /// [`HandoffRefusal`].
    pub fn handoff_offer(
        &self,
        signed: &str,
        handshake: &Json,
        tokens: &[String],
    ) -> Result<ShownHandoff, Refusal> {
        let record = Record::read(handshake).map_err(HandoffRefusal::from)?;
        let (signed, tokens) = (signed.to_owned(), tokens.to_vec());
        let authority = self.clone();
        // SECURITY: whoever sends what nobody signed does not occupy the writer.
        let (cx, now) = (self.now(), self.0.host.now());
        let proven = self.0.store.read(|view| cx.proven(view, &record, now))?;
        let chain = self.chain(&cx, &tokens, now)?;
        self.transact(move |cx, tx, moment| {
            let now = moment.now();
            let (_, taker) = proven.maker_of(&signed).ok_or_else(|| bad("iss"))?;
            let holder = taker.holder.thumbprint();
            let expected = standing::Expected { holder, spiffe_id: &taker.spiffe_id };
            let (to, domain) = registered(cx, tx, taker, now)?;
            let expected = domain.as_ref().map(|_| &expected);
            let facts = authority.facts(cx, tx, &chain, now, expected)?;
            let child = handoffs::child(&chain, &facts).ok_or_else(|| bad("chain"))?;
            let offered =
                Offered::witness(&signed, &proven, &child, now).map_err(HandoffRefusal::from)?;
            if tx.handoff_by_hash(&offered.hash())?.is_some() {
                return Err(HandoffRefusal::Repeated.into());
            }
            let offer = offered.offer();
            let (giver, _) = proven.sides(&offer.from).ok_or_else(|| bad("iss"))?;
            let (from, of_giver) = registered(cx, tx, giver, now)?;
            // SECURITY: what is handed over here is an agent's of here.
            if of_giver.is_some() {
                return Err(
                    HandoffRefusal::Unregistered { claimed: giver.spiffe_id.clone() }.into()
                );
            }
            let grades = graded(cx, tx, &offer.task, &offer.from, &offer.claims)?;
            let since = now.plus_seconds(-handoffs::FLOOD_SECONDS);
            let version = tx
                .workflow_version(&facts.authority.workflow, &facts.authority.workflow_digest)?
                .ok_or_else(|| Refusal::unknown("workflow version", &facts.authority.workflow))?;
            let offering = Offering {
                offered: &offered,
                signed: &signed,
                chain: &chain,
                tokens: &tokens,
                facts: &facts,
                from: &from,
                to: &to,
                domain: domain.as_ref(),
                workflow: &*cx.parsed.of(&version)?,
                policies: &cx.bundles.of(tx)?,
                grades: &grades,
                flood: tx.offers_of(&from.instance, since, now)?,
            };
            let plan = handoffs::offer(moment, &cx.installation, &offering)?;
            write_handshake(cx, tx, moment, &record, &proven)?;
            let row = cx.write(tx, plan).map_err(|refusal| match refusal {
                // A challenge is answered once, and a child handed over once.
                Refusal::Store(StoreError::Conflict { .. }) => HandoffRefusal::Repeated.into(),
                other => other,
            })?;
            shown::of(cx, tx, &row, now)
        })
    }

    /// Records the taker's answer to the offer of this hash, once: the acceptance
    /// is spent with its entry.
    ///
    /// # Errors
    /// [`HandoffRefusal`]; [`Refusal::Unknown`] for a hash of no offer.
    pub fn handoff_answer(&self, hash: &Digest, signed: &str) -> Result<ShownHandoff, Refusal> {
        let (hash, signed) = (*hash, signed.to_owned());
        let authority = self.clone();
        self.transact(move |cx, tx, moment| {
            let now = moment.now();
            let handoff = by_hash(tx, &hash)?;
            handoffs::expect(&handoff, "offered", now)?;
            let holder = taker_key(cx, tx, &handoff, now)?;
            let answered = Answer::verify(&signed, holder, hash).map_err(HandoffRefusal::from)?;
            if answered.answer == Answer::Accepted {
                // SECURITY: what was revoked, stopped or ended since the offer is
                // not taken over: A's handoffs die with A.
                let tokens = shown::tokens(tx, &handoff)?;
                let taker = (handoff.holder, handoff.to_id.as_str());
                let expected = standing::Expected { holder: taker.0, spiffe_id: taker.1 };
                let expected = handoff.owner.as_ref().map(|_| &expected);
                let chain = authority.chain(cx, &tokens, now)?;
                authority.facts(cx, tx, &chain, now, expected)?;
            }
            let unknown = || Refusal::unknown("handshake", handoff.transcript);
            let handshake = tx.handshake(&handoff.transcript)?.ok_or_else(unknown)?;
            let at = &cx.installation;
            let plan = handoffs::answer(moment, at, &handoff, &handshake, &answered, &signed)?;
            let row = cx.write(tx, plan)?;
            shown::of(cx, tx, &row, now)
        })
    }

    /// Records what the taker gives back, once.
    ///
    /// # Errors
    /// [`HandoffRefusal`]; [`Refusal::Unknown`] for a hash of no offer.
    pub fn handoff_return(&self, hash: &Digest, signed: &str) -> Result<ShownHandoff, Refusal> {
        let (hash, signed) = (*hash, signed.to_owned());
        self.transact(move |cx, tx, moment| {
            let now = moment.now();
            let handoff = by_hash(tx, &hash)?;
            handoffs::expect(&handoff, "accepted", now)?;
            let holder = taker_key(cx, tx, &handoff, now)?;
            let back = Return::verify(&signed, holder, hash).map_err(HandoffRefusal::from)?;
            let grades = graded(cx, tx, &handoff.task, &handoff.to_id, &back.claims)?;
            let told = (&back, grades.as_slice());
            let plan = handoffs::returned(moment, &cx.installation, &handoff, told, &signed)?;
            let row = cx.write(tx, plan)?;
            shown::of(cx, tx, &row, now)
        })
    }

    /// A handoff as its two sides see it: whoever has the offer has its hash.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn handoff_by_hash(&self, hash: &Digest) -> Result<ShownHandoff, Refusal> {
        let (now, cx) = (self.0.host.now(), self.now());
        self.0.store.read(|view| shown::of(&cx, view, &*by_hash(view, hash)?, now))
    }

    /// Takes an instance's word that it turned somebody away. Beyond a few a
    /// minute the words are dropped.
    ///
    /// # Errors
    /// [`Refusal::IdentityRequest`].
    pub fn peer_refused(&self, signed: &str) -> Result<(), Refusal> {
        let signed = signed.to_owned();
        self.transact(move |cx, tx, moment| {
            let now = moment.now();
            let (instance, fresh) = admitted(cx, tx, moment, &signed, handoffs::REFUSAL_TYPE)?;
            if instance.status != Status::Active {
                return Err(Refusal::IdentityRequest { what: "it names no active instance" });
            }
            let text = |member: &str, most: usize| {
                let text = fresh.claims.member(member).and_then(Json::as_str)?;
                (!text.is_empty() && text.len() <= most).then(|| text.to_owned())
            };
            let code = text("code", MAX_CODE_BYTES).filter(|code| {
                code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            });
            let malformed = || Refusal::IdentityRequest { what: "it is malformed" };
            let code = code.ok_or_else(malformed)?;
            let claimed = text("claimed", MAX_CLAIMED_BYTES).ok_or_else(malformed)?;
            if !has_room(tx, &instance, now)? {
                return Ok(());
            }
            let by = Side { agent: instance.agent.clone(), instance: instance.id.clone() };
            let plan = handoffs::refused(moment, &cx.installation, &by, &code, &claimed)?;
            cx.write(tx, plan)
        })
    }

    /// Handoffs, the newest first; of one task in their order. For whom: those of
    /// `who`'s own tasks, and everybody's for whoever sees everything by role;
    /// `None`: whoever has the data dir.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn handoffs(
        &self,
        who: Option<&SignedIn>,
        task: Option<&TaskId>,
        limit: u32,
    ) -> Result<Vec<ListedHandoff>, Refusal> {
        let now = self.0.host.now();
        self.0.store.read(|view| {
            let mut seen = Vec::new();
            for handoff in view.handoffs(task, limit)? {
                if may_see(who, &handoff) {
                    seen.push(ListedHandoff::of(view, handoff, now)?);
                }
            }
            Ok(seen)
        })
    }

    /// A handoff with its texts; that they were read is an entry.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], also for what one may not see.
    pub fn handoff_read(
        &self,
        who: Option<&SignedIn>,
        id: &HandoffId,
    ) -> Result<ShownHandoff, Refusal> {
        let (now, cx) = (self.0.host.now(), self.now());
        let (entry, shown) = self.0.store.read(|view| {
            let unknown = || Refusal::unknown("handoff", id);
            let handoff = view.handoff(id)?.filter(|h| may_see(who, h)).ok_or_else(unknown)?;
            let shown = shown::of(&cx, view, &handoff, now)?;
            Ok::<_, Refusal>((handoff.entry, shown))
        })?;
        let (id, by) = (id.clone(), if who.is_some() { "principal" } else { "operator" });
        self.commit(move |cx, _, moment| {
            let what = ("handoff", id.as_str());
            requests::texts_read(moment, &cx.installation, what, &entry, by)
        })?;
        Ok(shown)
    }
}

/// Whether somebody may see a handoff: the principal of its task, and whoever
/// sees everything by role.
fn may_see(who: Option<&SignedIn>, handoff: &Handoff) -> bool {
    who.is_none_or(|who| {
        handoff.principal == who.principal.alias || require(&who.roles, Deed::SeeActivity).is_ok()
    })
}

/// The taker's signed answer, if it gave one and the text is kept.
pub(super) fn answer_of(view: &View<'_>, handoff: &Handoff) -> Result<Option<Json>, Refusal> {
    match answer_entry(view, handoff)? {
        Some(entry) => Ok(disclosed(view, &entry.id, "answer")?),
        None => Ok(None),
    }
}

/// The entry of the taker's answer, if it gave one.
fn answer_entry(view: &View<'_>, handoff: &Handoff) -> Result<Option<StoredEntry>, StoreError> {
    let kind = match handoff.state {
        HandoffState::Offered => return Ok(None),
        HandoffState::Accepted => Kind::HandoffAccepted,
        HandoffState::Rejected => Kind::HandoffRejected,
    };
    let task = Some(handoff.task.to_string());
    let filter = Filter { task, kind: Some(kind), limit: MAX_HANDOFFS, ..Filter::default() };
    let is_it = |leaf: &[u8]| {
        let leaf = Json::parse(leaf, &JsonLimits::DEFAULT).ok()?;
        let body = leaf.as_object()?.member("body")?.as_object()?.clone();
        (body.member("handoff")?.as_str()? == handoff.id.as_str()).then_some(())
    };
    Ok(view.query(&filter)?.into_iter().find(|e| is_it(&e.leaf).is_some()))
}

fn by_hash(view: &View<'_>, hash: &Digest) -> Result<Stored<Handoff>, Refusal> {
    view.handoff_by_hash(hash)?.ok_or_else(|| Refusal::unknown("handoff", hash))
}

/// The grade of every claim that `from` hands over.
fn graded(
    cx: &Inner,
    view: &View<'_>,
    task: &TaskId,
    from: &str,
    claims: &[Claim],
) -> Result<Vec<Grade>, HandoffRefusal> {
    let sources = Lookup { cx, view, task };
    let grade = |claim: &Claim| claim.grade(from, &sources);
    let grades = claims.iter().map(grade).collect::<Result<_, _>>();
    Ok(grades.map_err(bailiwick_core::peer::handoff::HandoffError::from)?)
}

/// Whether an instance is heard once more in this minute.
fn has_room(tx: &mut Tx<'_>, instance: &Instance, now: Timestamp) -> Result<bool, StoreError> {
    let minute = now.seconds().div_euclid(REFUSALS_SECONDS);
    let expires = now.plus_seconds(REFUSALS_SECONDS.saturating_mul(2));
    for slot in 0..handoffs::MAX_REFUSALS {
        let name = format!("{} {minute} {slot}", instance.id);
        let key = bailiwick_core::crypto::sha256(name.as_bytes());
        if tx.spend_proof(SLOTS, &key, expires)? != Spent::Already {
            return Ok(true);
        }
    }
    Ok(false)
}
