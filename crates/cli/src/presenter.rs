//! The agent's side: presents a chain with proofs by the instance's holder key.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bailiwick_core::aat::make::{ProofFor, Seen, prove_unchecked};
use bailiwick_core::crypto::{Digest, SigningKey, from_base64url};
use bailiwick_core::dpop;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::{ChainLimits, JsonLimits};
use bailiwick_core::time::Timestamp;
use bailiwick_demo::agent::{MessageHeaders, PresentError, Presentation, Presenter};
use rmcp::model::JsonObject;

use crate::chainfile::ChainFile;
use crate::error::CliError;
use crate::host;

/// A chain, and what of its last token goes into proofs.
struct Shown {
    chain: ChainFile,
    leaf_jti: String,
    leaf_hash: Digest,
    expires: Timestamp,
}

impl Shown {
    /// No chain: a gateway refuses whatever presents it.
    fn nothing() -> Self {
        let chain = ChainFile { chain: Vec::new(), audience: String::new() };
        let leaf_hash = Digest::from_array([0; 32]);
        Self { chain, leaf_jti: String::new(), leaf_hash, expires: Timestamp::from_seconds(0) }
    }

    fn new(chain: ChainFile) -> Result<Self, CliError> {
        let seen = Seen::parse(chain.leaf(), &ChainLimits::DEFAULT)?;
        let expires = expires_of(chain.leaf());
        Ok(Self { leaf_jti: seen.jti, leaf_hash: seen.hash, expires, chain })
    }
}

/// When a token says that it ends; nobody here verifies it.
fn expires_of(token: &str) -> Timestamp {
    let claims = token.split('.').nth(1).and_then(from_base64url);
    let claims = claims.and_then(|bytes| Json::parse(&bytes, &JsonLimits::DEFAULT).ok());
    let exp = claims.as_ref().and_then(|c| c.as_object()?.member("exp")?.as_number());
    let seconds = exp.and_then(|exp| exp.as_plain_integer()).unwrap_or(0);
    Timestamp::from_seconds(seconds)
}

/// Signs calls and messages for one chain.
pub(crate) struct ChainPresenter {
    shown: Mutex<Arc<Shown>>,
    /// What was taken over from a peer. It is presented in place of the own
    /// chain, also when it has run out: one task is not gone on with under
    /// another's authority.
    taken: Mutex<Option<Arc<Shown>>>,
    /// Where the chain is looked for again.
    file: Option<PathBuf>,
    key: SigningKey,
    /// What was asked for beside it.
    asked: Mutex<Vec<AskedFor>>,
}

/// Requests that are remembered at once: as many as a task may have waiting, and
/// those that were granted before.
const MAX_ASKED: usize = 16;
/// Milliseconds before its end at which a further chain is asked for anew.
const RENEW_BEFORE_MS: i64 = 5_000;

/// A request for more authority, and what it brought.
struct AskedFor {
    request: String,
    granted: Option<Arc<Shown>>,
}

impl AskedFor {
    /// The chain that it brought, while it can be used at `now`.
    fn usable(&self, now: Timestamp) -> Option<&Arc<Shown>> {
        self.granted.as_ref().filter(|shown| shown.expires.millis_since(now) > RENEW_BEFORE_MS)
    }
}

impl ChainPresenter {
    /// `key` need not be the leaf's holder: what a gateway says to that is
    /// its own matter (and part of the demonstration).
    pub(crate) fn new(chain: ChainFile, key: SigningKey) -> Result<Self, CliError> {
        Ok(Self::showing(Shown::new(chain)?, key))
    }

    /// One that has no chain of its own, and presents what is taken over.
    pub(crate) fn without_chain(key: SigningKey) -> Self {
        Self::showing(Shown::nothing(), key)
    }

    fn showing(shown: Shown, key: SigningKey) -> Self {
        let shown = Mutex::new(Arc::new(shown));
        Self { shown, taken: Mutex::default(), file: None, key, asked: Mutex::default() }
    }

    fn taken(&self) -> MutexGuard<'_, Option<Arc<Shown>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Presents what was taken over from a peer, until [`Self::give_up`].
    pub(crate) fn take_over(&self, chain: ChainFile) -> Result<(), CliError> {
        let shown = Arc::new(Shown::new(chain)?);
        *self.taken() = Some(shown);
        Ok(())
    }

    /// Presents the own chain again, if the leaf that is presented is this one.
    pub(crate) fn give_up(&self, leaf: Digest) {
        let mut taken = self.taken();
        if taken.as_ref().is_some_and(|shown| shown.leaf_hash == leaf) {
            *taken = None;
        }
    }

    /// Whether there is anything to present.
    pub(crate) fn has_chain(&self) -> bool {
        !self.chain().is_empty()
    }

    /// The tokens that are presented now, root first.
    pub(crate) fn chain(&self) -> Vec<String> {
        self.shown().chain.chain.clone()
    }

    /// The hash of the last of them.
    pub(crate) fn leaf(&self) -> Digest {
        self.shown().leaf_hash
    }

    /// The same, and takes up what `delegation renew` puts into `file`: a run
    /// outlives its roots.
    pub(crate) fn following(self, file: &Path) -> Self {
        Self { file: Some(file.to_owned()), ..self }
    }

    /// What to present from now on.
    pub(crate) fn take_up(&self, chain: ChainFile) -> Result<(), CliError> {
        let fresh = Arc::new(Shown::new(chain)?);
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// One chain to stay with for all of one message.
    pub(crate) fn moment(&self) -> Moment<'_> {
        Moment { shown: self.shown(), key: &self.key, is_sibling: false }
    }

    fn asked(&self) -> MutexGuard<'_, Vec<AskedFor>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything was asked for beside the chain. That is for the own task,
    /// and none of it for one that was taken over.
    pub(crate) fn has_asked(&self) -> bool {
        self.taken().is_none() && !self.asked().is_empty()
    }

    /// Requests whose answer is not known, or not any more.
    pub(crate) fn to_ask(&self) -> Vec<String> {
        let now = host::now();
        let open = |asked: &&AskedFor| asked.usable(now).is_none();
        self.asked().iter().filter(open).map(|asked| asked.request.clone()).collect()
    }

    /// Further chains of the same task that can be used now.
    pub(crate) fn siblings(&self) -> Vec<Moment<'_>> {
        if self.taken().is_some() {
            return Vec::new();
        }
        let now = host::now();
        let moment = |shown: &Arc<Shown>| Moment {
            shown: Arc::clone(shown),
            key: &self.key,
            is_sibling: true,
        };
        self.asked().iter().filter_map(|asked| asked.usable(now)).map(moment).collect()
    }

    /// What a request was answered; true, when it brought a chain.
    pub(crate) fn answered(
        &self,
        request: &str,
        status: &str,
        chain: Option<ChainFile>,
    ) -> Result<bool, CliError> {
        let granted = match (status, chain) {
            ("granted", Some(chain)) => Some(Arc::new(Shown::new(chain)?)),
            ("pending", _) => None,
            _ => {
                self.forget(request);
                return Ok(false);
            }
        };
        let (mut asked, taken_up) = (self.asked(), granted.is_some());
        match asked.iter_mut().find(|asked| asked.request == request) {
            Some(known) => known.granted = granted,
            None => {
                // The oldest makes room.
                if asked.len() >= MAX_ASKED {
                    asked.remove(0);
                }
                asked.push(AskedFor { request: request.to_owned(), granted });
            }
        }
        Ok(taken_up)
    }

    /// Nothing more comes of a request.
    pub(crate) fn forget(&self, request: &str) {
        self.asked().retain(|asked| asked.request != request);
    }

    /// What to present now. A file that cannot be read changes nothing: the
    /// chain of before says by itself when it is over.
    fn shown(&self) -> Arc<Shown> {
        if let Some(taken) = &*self.taken() {
            return Arc::clone(taken);
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.file.as_deref().and_then(|file| ChainFile::read(file).ok());
        if let Some(found) = found
            && found.leaf() != shown.chain.leaf()
            && let Ok(found) = Shown::new(found)
        {
            *shown = Arc::new(found);
        }
        Arc::clone(&shown)
    }
}

fn strict(arguments: &JsonObject) -> Result<Object, PresentError> {
    let text = serde_json::to_vec(arguments).map_err(|e| PresentError::new(e.to_string()))?;
    match Json::parse(&text, &JsonLimits::DEFAULT) {
        Ok(Json::Object(o)) => Ok(o),
        Ok(_) => Err(PresentError::new("arguments are no object")),
        Err(e) => Err(PresentError::new(e.to_string())),
    }
}

/// The chain of one moment, and the key that proves it.
pub(crate) struct Moment<'a> {
    shown: Arc<Shown>,
    key: &'a SigningKey,
    is_sibling: bool,
}

impl Moment<'_> {
    /// Whether it is a further chain.
    pub(crate) fn is_sibling(&self) -> bool {
        self.is_sibling
    }

    /// The root's text: a session ends with it.
    pub(crate) fn root(&self) -> &str {
        self.shown.chain.chain.first().map_or("", String::as_str)
    }

    /// Chain and proof for a call.
    pub(crate) fn for_call(
        &self,
        tool_id: &str,
        arguments: &Object,
    ) -> Result<Presentation, CliError> {
        let jti = host::fresh_id()?;
        let audience = Some(self.shown.chain.audience.as_str()).filter(|a| !a.is_empty());
        let proof = ProofFor {
            jti: &jti,
            now: host::now(),
            tool: tool_id,
            arguments,
            audience,
            nonce: None,
        };
        let shown = &self.shown;
        let aat_pop = prove_unchecked(&shown.leaf_jti, shown.leaf_hash, &proof, self.key);
        Ok(Presentation { aat_chain: shown.chain.chain.clone(), aat_pop })
    }

    /// Chain and proof for any other message.
    pub(crate) fn for_message(&self, method: &str, url: &str) -> Result<MessageHeaders, CliError> {
        let jti = host::fresh_id()?;
        let leaf = self.shown.chain.leaf();
        Ok(MessageHeaders {
            aat_chain: self.shown.chain.chain.join(","),
            dpop: dpop::prove(self.key, &jti, host::now(), method, url, leaf),
        })
    }
}

impl Presenter for ChainPresenter {
    fn for_call(
        &self,
        tool_id: &str,
        arguments: &JsonObject,
    ) -> Result<Presentation, PresentError> {
        let arguments = strict(arguments)?;
        self.moment().for_call(tool_id, &arguments).map_err(|e| PresentError::new(e.message))
    }

    fn for_message(&self, method: &str, url: &str) -> Result<MessageHeaders, PresentError> {
        self.moment().for_message(method, url).map_err(|e| PresentError::new(e.message))
    }
}
