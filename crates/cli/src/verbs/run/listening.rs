//! Where a sidecar is reached by its program.

use std::path::Path;

use tokio::net::{TcpListener, UnixListener};

use super::place::{INNER_PORT, SOCKET};
use crate::args::Network;
use crate::bridge::Side;
use crate::error::CliError;

/// Connections that the program may hold open.
const CONNECTIONS: usize = 256;

/// Where the sidecar is reached.
pub(super) struct Listening {
    pub(super) port: u16,
    at: Listener,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listening {
    pub(super) async fn begin(network: Network, folder: &Path) -> Result<Self, CliError> {
        let failed = |e: std::io::Error| {
            CliError::environment("listen", format!("cannot listen: {e}"), "run it again")
        };
        match network {
            Network::Host => {
                let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
                let port = listener.local_addr().map_err(failed)?.port();
                Ok(Self { port, at: Listener::Tcp(listener) })
            }
            Network::Gateway => {
                let listener = UnixListener::bind(folder.join(SOCKET)).map_err(failed)?;
                Ok(Self { port: INNER_PORT, at: Listener::Unix(listener) })
            }
        }
    }

    pub(super) async fn serve(self, side: Side) {
        match self.at {
            Listener::Tcp(listener) => {
                let bounds = bailiwick_gateway::Bounds::new(CONNECTIONS);
                bailiwick_gateway::serve(
                    listener,
                    side.router(),
                    bounds,
                    None,
                    std::future::pending(),
                )
                .await;
            }
            Listener::Unix(listener) => {
                if let Err(error) = axum::serve(listener, side.router()).await {
                    tracing::error!(%error, "the sidecar serves no more");
                }
            }
        }
    }
}
