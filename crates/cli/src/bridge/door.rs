//! Where the gateway is: behind a URL, or in this process.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use bailiwick_core::ids::ServerName;
use bailiwick_gateway::Gateway;
use bailiwick_gateway::own::{self, Own};

use crate::error::CliError;
use crate::web;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// A way to a gateway.
pub(crate) enum Door {
    /// Over HTTP.
    Url(reqwest::Client),
    /// In this process.
    Inside(Gateway),
}

impl Door {
    /// Over HTTP: it follows no redirect and uses no proxy, because a proof
    /// names the URL it is for. Answers may take as long as the gateway lets
    /// them.
    pub(crate) fn url() -> Result<Self, CliError> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .build()
            .map_err(|e| CliError::environment("http-client", e.to_string(), "try again"))?;
        Ok(Self::Url(client))
    }

    pub(super) async fn send(
        &self,
        server: &ServerName,
        request: Request<Bytes>,
    ) -> Result<Response<Body>, String> {
        match self {
            Self::Inside(gateway) => {
                let request = request.map(Body::from);
                if Own::at_path(request.uri().path()).is_some() {
                    return Ok(own::answer(gateway, request).await);
                }
                Ok(bailiwick_gateway::http::answer(gateway, server.clone(), request).await)
            }
            Self::Url(client) => {
                let request = reqwest::Request::try_from(request).map_err(|e| web::cause(&e))?;
                let response = client.execute(request).await.map_err(|e| web::cause(&e))?;
                Ok(Response::from(response).map(Body::new))
            }
        }
    }
}
