//! Servers that this program plays in processes of their own.

pub(crate) mod echo;
pub(crate) mod forward;

use std::net::Ipv4Addr;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;

use crate::Failure;

/// Serves `router` on a free port of loopback until the process is killed, and
/// says where.
fn run(router: Router) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        println!("{}", serde_json::json!({"event": "listening", "address": address.to_string()}));
        let listener = listener.tap_io(|stream| {
            // Without it Nagle and delayed acknowledgements cost some 40 ms a
            // call; a connection that does not take it shows in the figure.
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, router).await?;
        Ok(())
    })
}
