//! Agents' cards against their pins.

use std::time::Duration;

use bailiwick_core::crypto::Digest;
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::jose::VerifyingKey;
use bailiwick_policy::a2a::card::{Accepted, CARD, Card, CardRefused, Presented};
use bailiwick_policy::catalogue::Definition;

use super::{Pins, State, Watched};
use crate::gateway::Inner;
use crate::ports::{PinMismatch, ToolServer};
use crate::upstream::{Failure, Upstream};

/// Why there is no card.
#[derive(Clone, Debug)]
pub(crate) enum NoCard {
    /// The agent does not answer.
    Failed(Failure),
    /// It is none that counts.
    Refused(CardRefused),
}

/// The card that an agent shows where it is catalogued, signed by one of `keys`.
pub(crate) async fn fetch(
    upstream: &Upstream,
    limit: Duration,
    server: &ToolServer,
    keys: &[VerifyingKey],
) -> Result<Card, NoCard> {
    let json = upstream.card(server, limit).await.map_err(NoCard::Failed)?;
    let card = Presented::read(&json).and_then(|presented| presented.verify(keys));
    card.and_then(|signed| signed.at(&server.url)).map_err(NoCard::Refused)
}

impl Pins {
    /// Whether an agent's card is the accepted one, on an answer not older than
    /// the bound.
    ///
    /// # Errors
    /// [`Reason::AgentCardRefused`] for a card that does not count,
    /// [`Reason::ToolChanged`] for one that nobody accepted,
    /// [`Reason::UpstreamUnavailable`] when there is none to be had.
    pub(crate) async fn ensure_card(
        &self,
        gateway: &Inner,
        server: &ToolServer,
        accepted: &Accepted,
        pin: Digest,
        bound_seconds: i64,
    ) -> Result<(), Denial> {
        let watched = self.watched(&server.name);
        if !watched.is_fresh(gateway.ports.host.now(), bound_seconds) {
            let _one = watched.checking.lock().await;
            if !watched.is_fresh(gateway.ports.host.now(), bound_seconds) {
                compare(gateway, server, &watched, accepted, pin).await.map_err(|failure| {
                    tracing::warn!(?failure, server = %server.name, "cannot read the agent's card");
                    Denial::new(Reason::UpstreamUnavailable).about(server.name.as_str())
                })?;
            }
        }
        let state = watched.state();
        if state.found.get(CARD) == Some(&pin) {
            return Ok(());
        }
        Err(match state.refused {
            Some(code) => Denial::new(Reason::AgentCardRefused).about(code),
            None => Denial::new(Reason::ToolChanged).about(CARD),
        })
    }

    /// Compares an agent's card with the accepted one now.
    pub(super) async fn check_card(
        &self,
        gateway: &Inner,
        server: &ToolServer,
        accepted: &Accepted,
        pin: Digest,
    ) -> Result<(), Failure> {
        let watched = self.watched(&server.name);
        let _one = watched.checking.lock().await;
        compare(gateway, server, &watched, accepted, pin).await
    }
}

async fn compare(
    gateway: &Inner,
    server: &ToolServer,
    watched: &Watched,
    accepted: &Accepted,
    pin: Digest,
) -> Result<(), Failure> {
    // As of before the question: a change during it is found next time.
    let at = gateway.ports.host.now();
    let keys: Vec<VerifyingKey> =
        accepted.keys.iter().chain(server.signers.iter()).copied().collect();
    let fetched = fetch(&gateway.upstream, gateway.config.message_timeout, server, &keys).await;
    let (definition, refused) = match fetched {
        Ok(card) => {
            (Definition::of_card(&card.definition(&accepted.agent, &accepted.keys)).ok(), None)
        }
        Err(NoCard::Refused(refused)) => (None, Some(refused.code())),
        Err(NoCard::Failed(failure)) => return Err(failure),
    };
    let mismatch = {
        let mut state = watched.state();
        state.checked = Some(at);
        state.refused = refused;
        state.found.remove(CARD);
        let found = definition.as_ref().map(Definition::digest);
        if let Some(found) = found {
            state.found.insert(CARD.to_owned(), found);
        }
        if found == Some(pin) {
            // Should it change again later, that is news.
            state.reported.clear();
            None
        } else {
            differs(&mut state, server, pin, definition.as_ref(), refused)
        }
    };
    mismatch.into_iter().for_each(|m| gateway.ports.catalogue.pin_mismatch(m));
    Ok(())
}

fn differs(
    state: &mut State,
    server: &ToolServer,
    pin: Digest,
    definition: Option<&Definition>,
    refused: Option<&'static str>,
) -> Option<PinMismatch> {
    let found = definition.map(Definition::digest);
    let key = (refused.unwrap_or(CARD).to_owned(), Some(pin), found);
    state.reported.insert(key).then(|| PinMismatch {
        server: server.name.clone(),
        operation: CARD.to_owned(),
        pinned: Some(pin),
        found,
        definition: definition.map(Definition::to_json),
        why: refused,
    })
}
