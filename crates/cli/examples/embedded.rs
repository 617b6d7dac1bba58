//! A service that is its own gateway, on a data dir that `bailiwick init` made: whoever calls it
//! shows chain and proof, and what it does is in the ledger. `bailiwick serve` may run beside it.
//!
//!     bailiwick init --yes
//!     bailiwick catalogue learn orders --openapi orders.openapi.yaml --url http://127.0.0.1:8080 --out orders.yaml
//!     cargo run -p bailiwick --example embedded -- bailiwick-data 127.0.0.1:8080

use std::error::Error;
use std::future::Future;
use std::path::Path;

use axum::routing::get;
use axum::{Extension, Router};
use bailiwick::embedded::Embedded;
use bailiwick_core::ids::ServerName;
use bailiwick_core::json::Json;
use bailiwick_gateway::layer::{Authorize, Checked};
use tokio::net::TcpListener;
use tower_layer::Layer as _;

type Failed = Box<dyn Error + Send + Sync>;

/// The service, behind the gateway as the API `orders` of its catalogue. A handler acts on the
/// arguments that were checked, and knows for whom.
fn app(embedded: &Embedded) -> Result<Router, Failed> {
    let order = async |Extension(call): Extension<Checked>| {
        let id = call.arguments.member("id").map(Json::canonical).unwrap_or_default();
        let (agent, whose) = (&call.agent, &call.authority.principal);
        format!("order {id}, read by {agent} for {whose} ({})", call.authority.purpose)
    };
    let service = Router::new().route("/orders/{id}", get(order));
    let behind = Authorize::new(embedded.gateway(), ServerName::parse("orders")?).layer(service);
    Ok(Router::new().fallback_service(behind))
}

/// Serves until `stop`; what is under way then is answered and recorded.
pub(crate) async fn serve(
    data_dir: &Path,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failed> {
    let embedded = Embedded::open(data_dir)?;
    axum::serve(listener, app(&embedded)?).with_graceful_shutdown(stop).await?;
    embedded.stop().await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data_dir, address] = arguments.as_slice() else {
        return Err("pass the data dir, and ADDRESS:PORT to listen on".into());
    };
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    serve(Path::new(data_dir), TcpListener::bind(address).await?, stop).await
}
