//! The gateway of a data dir inside another program, without a listener of its own: with
//! [`bailiwick_gateway::layer::Authorize`] a service is its own enforcement point, and the real
//! store is behind it. `bailiwick init` makes the data dir, and every command works on it beside.
//!
//! What the program decides is guarded, recorded and proved like what `bailiwick serve` decides:
//! registry, revocations, spent proofs and budgets are in the one state, in the transaction of the
//! decision. `crates/cli/examples/embedded.rs` is a whole program.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::ids::ServerName;
use bailiwick_gateway::Gateway;
use bailiwick_gateway::stdio::Program;
use bailiwick_store::Joined;

use crate::datadir::DataDir;
use crate::error::CliError;
use crate::ports::StoreCatalogue;
use crate::verbs::serve::{self, Background};

/// A gateway, and what runs beside it: entries are published, keys that are replaced are taken up,
/// what killed processes left is ended. Dropped without [`Embedded::stop`], calls under way are
/// recorded as unknown by whoever comes next.
pub struct Embedded {
    data: Arc<DataDir>,
    gateway: Gateway,
    background: Background,
    // Last: its calls are this process's until nothing else is left.
    _joined: Joined,
}

/// Why a data dir cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} [{code}]; {remedy}")]
pub struct OpenError {
    code: String,
    message: String,
    remedy: String,
}

impl OpenError {
    /// The stable code, as the command line has it.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What to do.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl From<CliError> for OpenError {
    fn from(CliError { code, message, remedy, .. }: CliError) -> Self {
        Self { code, message, remedy }
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("dir", &self.data.dir).finish_non_exhaustive()
    }
}

impl Embedded {
    /// Opens a data dir that `bailiwick init` made. Call it inside a multi-threaded runtime of
    /// tokio; it reads files before it returns.
    ///
    /// # Errors
    /// What is wrong with the folder, its keys or its state.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        // Whoever installed another provider decided that.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let data = Arc::new(DataDir::open(dir)?);
        serve::check_modes(&data)?;
        Ok(Self::start(data, Vec::new())?)
    }

    /// The same, of which the tool servers in `programs` are started here.
    pub(crate) fn start(
        data: Arc<DataDir>,
        programs: Vec<(ServerName, Program)>,
    ) -> Result<Self, CliError> {
        let joined = serve::join(&data)?;
        let catalogue = Arc::new(StoreCatalogue::new(data.store().clone(), data.gateway.clone()));
        let gateway = serve::gateway_with(&data, catalogue, programs)?;
        let mut background = Background::start(&data);
        background.follow_keys(&data, &gateway);
        background.tend(&gateway);
        Ok(Self { data, gateway, background, _joined: joined })
    }

    /// The gateway, for any number of layers.
    #[must_use]
    pub fn gateway(&self) -> Gateway {
        self.gateway.clone()
    }

    /// Takes no new calls, waits for those under way (`drain_seconds`), and publishes what was
    /// recorded.
    pub async fn stop(self) {
        let drain = Duration::from_secs(self.data.config.drain_seconds);
        if !self.gateway.drain(drain).await {
            tracing::warn!("calls are still under way; they are recorded as unknown");
        }
        self.background.stop();
        let last = Arc::clone(&self.data);
        let sequenced = tokio::task::spawn_blocking(move || last.sequence()).await;
        if !matches!(sequenced, Ok(Ok(()))) {
            tracing::warn!("the last entries are durable but not yet published");
        }
    }
}
