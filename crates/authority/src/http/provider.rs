//! Requests to an identity provider that the operator configured.
//!
//! SECURITY: the operator names the provider, but the provider's own metadata
//! names where its keys and tokens are. So: https; the name is resolved once
//! and the connection goes to that very address; no address that is not a
//! public one, unless the operator says that the provider is inside; no
//! redirect, proxy or cookie; 256 KiB and five seconds.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use url::{Host, Url};

use super::fetch::is_public;

/// Bytes of an answer at most: a large provider's keys and metadata.
const MAX_BYTES: usize = 256 << 10;
/// For all of it: looking the name up, connecting, reading.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where a provider may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// On the public Internet, by https.
    #[default]
    Public,
    /// Also in the operator's own network, by https, and on this very machine,
    /// there in the clear too.
    Inside,
}

/// Why a provider gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderHttpError {
    /// An address where nobody may have us connect.
    #[error("the provider's address is not allowed")]
    Address,
    /// No HTTP client can be made.
    #[error("no HTTP client can be made")]
    Client,
    /// In the clear over a network.
    #[error("the provider is not reached by https")]
    Clear,
    /// Too large.
    #[error("the provider's answer is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// No connection, it broke, or it took too long.
    #[error("the provider cannot be reached")]
    Unreachable,
}

/// The one way to a provider.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProviderHttp {
    /// Where it may be.
    pub network: Network,
}

impl<'c> AsyncHttpClient<'c> for ProviderHttp {
    type Error = ProviderHttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Self::Error>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let work = self.send(request);
            let late = Err(ProviderHttpError::Unreachable);
            tokio::time::timeout(TIMEOUT, work).await.unwrap_or(late)
        })
    }
}

impl ProviderHttp {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ProviderHttpError> {
        let url: Url =
            request.uri().to_string().parse().map_err(|_| ProviderHttpError::Unreachable)?;
        let addresses = self.addresses(&url).await?;
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .timeout(TIMEOUT);
        if let Some(Host::Domain(name)) = url.host() {
            builder = builder.resolve_to_addrs(name, &addresses);
        }
        let client = builder.build().map_err(|_| ProviderHttpError::Client)?;
        let (parts, body) = request.into_parts();
        let sent = client.request(parts.method, url).headers(parts.headers).body(body).send();
        let mut answer = sent.await.map_err(|_| ProviderHttpError::Unreachable)?;
        let mut response = http::Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            response = response.header(name, value);
        }
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|_| ProviderHttpError::Unreachable)? {
            if body.len().saturating_add(piece.len()) > MAX_BYTES {
                return Err(ProviderHttpError::TooLarge);
            }
            body.extend_from_slice(&piece);
        }
        response.body(body).map_err(|_| ProviderHttpError::Unreachable)
    }

    /// Where `url` leads: one address is enough to refuse all.
    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, ProviderHttpError> {
        let port = url.port_or_known_default().ok_or(ProviderHttpError::Unreachable)?;
        let found: Vec<SocketAddr> = match url.host() {
            Some(Host::Ipv4(ip)) => vec![(ip, port).into()],
            Some(Host::Ipv6(ip)) => vec![(ip, port).into()],
            Some(Host::Domain(name)) => tokio::net::lookup_host((name, port))
                .await
                .map_err(|_| ProviderHttpError::Unreachable)?
                .collect(),
            None => return Err(ProviderHttpError::Unreachable),
        };
        let inside = self.network == Network::Inside;
        let allowed = |ip: IpAddr| is_public(ip) || (inside && is_inside(ip));
        if found.is_empty() {
            return Err(ProviderHttpError::Unreachable);
        }
        if found.iter().any(|address| !allowed(address.ip())) {
            return Err(ProviderHttpError::Address);
        }
        let here = inside && found.iter().all(|address| address.ip().is_loopback());
        match url.scheme() {
            "https" => Ok(found),
            "http" if here => Ok(found),
            _ => Err(ProviderHttpError::Clear),
        }
    }
}

/// This machine and private networks, but not link-local addresses, where
/// clouds keep their machines' secrets.
fn is_inside(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private(),
        // fc00::/7, RFC 4193.
        IpAddr::V6(ip) => {
            let [first, ..] = ip.octets();
            ip.is_loopback() || first & 0xfe == 0xfc && ip != CLOUD_METADATA
        }
    }
}

/// A unique local address that one cloud answers with its machines' secrets.
const CLOUD_METADATA: std::net::Ipv6Addr =
    std::net::Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(url: &str, network: Network) -> Result<HttpResponse, ProviderHttpError> {
        let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let request = http::Request::get(url).body(Vec::new()).unwrap();
        ProviderHttp { network }.call(request).await
    }

    #[tokio::test]
    async fn an_address_inside_is_connected_to_only_if_the_operator_says_so() {
        for url in
            ["https://127.0.0.1/", "https://localhost/", "https://10.0.0.1/", "https://[::1]/"]
        {
            let refusal = get(url, Network::Public).await.unwrap_err();
            assert_eq!(refusal, ProviderHttpError::Address, "{url}");
        }
        for url in [
            "https://169.254.169.254/",
            "https://[fd00:ec2::254]/",
            "https://[fe80::1]/",
            "https://0.0.0.0/",
        ] {
            for network in [Network::Public, Network::Inside] {
                let refusal = get(url, network).await.unwrap_err();
                assert_eq!(refusal, ProviderHttpError::Address, "{url}");
            }
        }
    }

    #[tokio::test]
    async fn nothing_goes_over_a_network_in_the_clear() {
        for url in ["http://10.0.0.1/", "http://1.1.1.1/", "ftp://127.0.0.1:1/"] {
            let refusal = get(url, Network::Inside).await.unwrap_err();
            assert_eq!(refusal, ProviderHttpError::Clear, "{url}");
        }
    }
}
