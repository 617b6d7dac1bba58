//! A support desk as an MCP tool server over streamable HTTP.
//!
//! It serves both protocol eras, 2025-11-25 (sessions) and 2026-07-28 (stateless), at `/mcp`, to callers that
//! present its one credential. What it executes it writes to a call log of its own before it executes it, so that the log
//! can be compared with a ledger that somebody else keeps.

mod credential;
mod database;
mod definitions;
mod quirk;
mod seed;
mod server;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use axum::{Router, middleware, serve::ListenerExt as _};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub use database::{LoggedCall, Refusal, RefusalReason};
pub use quirk::{Quirk, UnknownQuirk};
pub use seed::{
    CUSTOMER_OF_TICKET_8821, CUSTOMER_OF_TICKET_9000, ORDER_OF_TICKET_8821, ORDER_OF_TICKET_9000,
    orders_of,
};

use credential::Credential;
use database::Database;
use quirk::QuirkSwitch;
use server::Desk;

/// Path of the MCP endpoint on the desk's listener.
pub const MCP_PATH: &str = "/mcp";

/// The one resource the desk serves: its refund policy, as Markdown.
pub const REFUND_POLICY_URI: &str = "desk://policy/refunds";

/// The one prompt the desk serves; argument `ticket_id`.
pub const REPLY_PROMPT: &str = "reply_to_ticket";

/// Longest request body the desk reads, in bytes.
const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// How long a shutdown waits for calls in flight before it drops them.
const DRAIN: Duration = Duration::from_secs(5);

/// What the desk needs to start.
#[derive(Clone, Debug)]
pub struct DeskConfig {
    /// SQLite file, made and filled with the seeded data when it does not exist.
    pub database: PathBuf,
    /// File with the credential callers must present as `Authorization: Bearer`; surrounding white space is ignored.
    pub credential_file: PathBuf,
    /// Port on 127.0.0.1; 0 lets the system choose.
    pub port: u16,
    /// Answer 2026-07-28 calls with `application/json`; otherwise as an event stream. 2025-11-25 sessions
    /// always answer as event streams.
    pub json_response: bool,
    /// Misbehave in this way from the start (tests only).
    pub quirk: Quirk,
}

impl DeskConfig {
    /// A desk on a free port with its data in `database` and its credential in `credential_file`.
    pub fn new(database: impl Into<PathBuf>, credential_file: impl Into<PathBuf>) -> Self {
        Self {
            database: database.into(),
            credential_file: credential_file.into(),
            port: 0,
            json_response: true,
            quirk: Quirk::None,
        }
    }
}

/// Why the desk could not start, or could not read its own data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeskError {
    /// The port could not be bound.
    #[error("cannot listen on `{addr}`: {source}")]
    Bind {
        /// Address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The credential file could not be read.
    #[error("cannot read the credential file `{}`: {source}", path.display())]
    CredentialFile {
        /// File asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The credential file holds no usable credential.
    #[error("the credential file `{}` must hold at least {min} visible ASCII characters, found {found}", path.display())]
    CredentialWeak {
        /// File asked for.
        path: PathBuf,
        /// Fewest characters accepted.
        min: usize,
        /// Characters found (0 when some were not visible ASCII).
        found: usize,
    },
    /// The database could not be opened, read or written.
    #[error("the desk's database failed: {source}")]
    Database {
        /// What SQLite said.
        #[from]
        source: rusqlite::Error,
    },
}

impl DeskError {
    /// Stable kebab-case name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bind { .. } => "desk-bind",
            Self::CredentialFile { .. } => "desk-credential-file",
            Self::CredentialWeak { .. } => "desk-credential-weak",
            Self::Database { .. } => "desk-database",
        }
    }

    /// What the operator should do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Bind { .. } => "choose another port, or 0 for a free one",
            Self::CredentialFile { .. } => {
                "write the credential to that file and let this user read it"
            }
            Self::CredentialWeak { .. } => {
                "write a longer random credential, for example 32 random bytes in hexadecimal"
            }
            Self::Database { .. } => {
                "check that the file's folder exists, is writable and has space left"
            }
        }
    }
}

/// A desk that is serving. Dropping it stops it without draining; [`RunningDesk::shutdown`] drains.
#[derive(Debug)]
pub struct RunningDesk {
    addr: SocketAddr,
    database: Arc<Database>,
    quirk: QuirkSwitch,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl RunningDesk {
    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL of its MCP endpoint.
    pub fn url(&self) -> String {
        format!("http://{}{MCP_PATH}", self.addr)
    }

    /// Makes the running desk misbehave, or behave again (tests only).
    pub fn set_quirk(&self, quirk: Quirk) {
        self.quirk.set(quirk);
    }

    /// Every call this desk's database has seen executed, oldest first.
    ///
    /// # Errors
    /// [`DeskError::Database`] when the log cannot be read.
    pub fn call_log(&self) -> Result<Vec<LoggedCall>, DeskError> {
        self.database.call_log()
    }

    /// Every request refused for want of the credential, oldest first (the newest 10,000).
    ///
    /// # Errors
    /// [`DeskError::Database`] when the log cannot be read.
    pub fn refusals(&self) -> Result<Vec<Refusal>, DeskError> {
        self.database.refusals()
    }

    /// Stops accepting, ends sessions and streams, waits up to five seconds for calls in flight.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if tokio::time::timeout(DRAIN, &mut self.served).await.is_err() {
            tracing::warn!("calls were still in flight when the desk stopped");
        }
    }
}

impl Drop for RunningDesk {
    fn drop(&mut self) {
        self.stop.cancel();
        self.served.abort();
    }
}

/// Reads the call log of a desk that runs in another process, or no longer runs.
///
/// # Errors
/// [`DeskError::Database`] when `database` is missing or is not a desk's file.
pub fn read_call_log(database: &std::path::Path) -> Result<Vec<LoggedCall>, DeskError> {
    Database::open_existing(database)?.call_log()
}

/// Reads the refusals of a desk that runs in another process, or no longer runs.
///
/// # Errors
/// [`DeskError::Database`] when `database` is missing or is not a desk's file.
pub fn read_refusals(database: &std::path::Path) -> Result<Vec<Refusal>, DeskError> {
    Database::open_existing(database)?.refusals()
}

/// Starts a desk and returns once it listens.
///
/// # Errors
/// [`DeskError`] when the credential, the database or the port is not usable.
pub async fn serve(config: DeskConfig) -> Result<RunningDesk, DeskError> {
    let credential = Arc::new(Credential::read(&config.credential_file)?);
    let database = Arc::new(Database::open(&config.database)?);
    let quirk = QuirkSwitch::new(config.quirk);
    let stop = CancellationToken::new();

    let desk = Desk::new(Arc::clone(&database), quirk.clone());
    let mcp = StreamableHttpService::new(
        move || Ok(desk.clone()),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default()
            .with_json_response(config.json_response)
            .with_max_request_body_bytes(MAX_REQUEST_BYTES)
            .enforce_origin_validation()
            .with_cancellation_token(stop.child_token()),
    );
    let app = Router::new()
        .route_service(MCP_PATH, mcp)
        .layer(middleware::from_fn_with_state(quirk.clone(), quirk::misbehave))
        // SECURITY: the outermost layer, so that nothing of a request without the credential is read.
        .layer(middleware::from_fn_with_state(
            credential::Guard { credential, database: Arc::clone(&database) },
            credential::require,
        ));

    let asked = SocketAddr::from((Ipv4Addr::LOCALHOST, config.port));
    let bind_error = |source| DeskError::Bind { addr: asked, source };
    let listener = TcpListener::bind(asked).await.map_err(bind_error)?;
    let addr = listener.local_addr().map_err(bind_error)?;
    let listener = listener.tap_io(|stream| {
        // Without it Nagle and delayed acknowledgements cost some 40 ms a call.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "could not set TCP_NODELAY");
        }
    });

    let stopped = stop.clone();
    let served = tokio::spawn(async move {
        let server = axum::serve(listener, app)
            .with_graceful_shutdown(async move { stopped.cancelled().await });
        if let Err(error) = server.await {
            tracing::error!(%error, "the desk stopped serving");
        }
    });
    tracing::info!(%addr, "support desk listens");
    Ok(RunningDesk { addr, database, quirk, stop, served })
}
