//! Which authorization server a tool server has (RFC 9728), and where its
//! endpoints are (RFC 8414, or OpenID Connect Discovery).

use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use oauth2::AsyncHttpClient as _;
use url::Url;

use super::{AccountConfig, AccountError, Site, TokenSite};
use crate::http::provider::{ProviderHttp, ProviderHttpError};

const LIMITS: JsonLimits = JsonLimits { max_bytes: 64 << 10, max_depth: 8, max_values: 2000 };

const fn bad(problem: &'static str) -> AccountError {
    AccountError::Metadata { problem }
}

impl AccountConfig {
    /// The authorization server for the tool server at `resource`, as it is
    /// now.
    ///
    /// # Errors
    /// [`AccountError::Unreachable`], [`AccountError::Metadata`].
    pub async fn discover(&self, resource: &str) -> Result<Site, AccountError> {
        if let Some(endpoints) = &self.endpoints {
            return Ok(Site {
                authorization: endpoints.authorization.clone(),
                sends_issuer: false,
                tokens: self.tokens(
                    resource,
                    self.issuer.clone(),
                    endpoints.token.clone(),
                    endpoints.revocation.clone(),
                ),
            });
        }
        let issuer = match &self.issuer {
            Some(issuer) => issuer.clone(),
            None => self.named_by(resource).await?,
        };
        let url = self.place(&issuer).ok_or(bad("its issuer is no https:// URL"))?;
        for place in metadata_places(&url) {
            if let Some(said) = self.get(&place).await? {
                return self.read(resource, &issuer, &said);
            }
        }
        Err(bad("it publishes no metadata"))
    }

    fn tokens(
        &self,
        resource: &str,
        issuer: Option<String>,
        token: String,
        revocation: Option<String>,
    ) -> TokenSite {
        let (client_id, resource) = (self.client_id.clone(), resource.to_owned());
        TokenSite { issuer, token, revocation, client_id, resource }
    }

    /// The authorization server that the tool server names (RFC 9728 §3).
    async fn named_by(&self, resource: &str) -> Result<String, AccountError> {
        let url = self.place(resource).ok_or(bad("the tool server has no https:// URL"))?;
        for place in inserted(&url, "oauth-protected-resource") {
            let Some(said) = self.get(&place).await? else { continue };
            let same =
                |text: &str| text == resource || Url::parse(text).is_ok_and(|stated| stated == url);
            // SECURITY: what another resource says of itself is not about this
            // one (RFC 9728 §3.3).
            if !said.member("resource").and_then(Json::as_str).is_some_and(same) {
                return Err(bad("the tool server's metadata is about another resource"));
            }
            let servers = said.member("authorization_servers").and_then(Json::as_array);
            let first = servers.and_then(|all| all.first()?.as_str());
            return first.map(str::to_owned).ok_or(bad("the tool server names none"));
        }
        Err(bad("the tool server does not say which it is"))
    }

    fn read(&self, resource: &str, issuer: &str, said: &Object) -> Result<Site, AccountError> {
        let text = |name: &str| said.member(name).and_then(Json::as_str);
        // RFC 8414 §3.3.
        if text("issuer") != Some(issuer) {
            return Err(bad("it states another issuer"));
        }
        // SECURITY: one that the operator did not name could lead a code that an
        // honest server gave to endpoints of its own.
        let origin = self.issuer.is_none().then(|| self.place(issuer).map(|url| url.origin()));
        let place = |name: &str| {
            let url = text(name).and_then(|text| Some((text, self.place(text)?)));
            url.filter(|(_, url)| origin.as_ref().is_none_or(|o| *o == Some(url.origin())))
                .map(|(text, _)| text.to_owned())
        };
        let methods = said.member("code_challenge_methods_supported").and_then(Json::as_array);
        if !methods.is_some_and(|all| all.iter().any(|method| method.as_str() == Some("S256"))) {
            return Err(bad("it does not say that it supports PKCE with S256"));
        }
        let token = place("token_endpoint").ok_or(bad("it has no usable token endpoint"))?;
        let authorization = place("authorization_endpoint")
            .ok_or(bad("it has no usable authorization endpoint"))?;
        let sends = said.member("authorization_response_iss_parameter_supported");
        let (issuer, revocation) = (Some(issuer.to_owned()), place("revocation_endpoint"));
        Ok(Site {
            authorization,
            sends_issuer: sends.and_then(Json::as_bool).unwrap_or(false),
            tokens: self.tokens(resource, issuer, token, revocation),
        })
    }

    /// A JSON object; `None` where there is nothing.
    async fn get(&self, url: &Url) -> Result<Option<Object>, AccountError> {
        let request = http::Request::get(url.as_str())
            .header(http::header::ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|_| bad("its metadata has no usable address"))?;
        let http = ProviderHttp { network: self.network };
        let answer = http.call(request).await.map_err(AccountError::Unreachable)?;
        match answer.status().as_u16() {
            200 => match Json::parse(answer.body(), &LIMITS) {
                Ok(Json::Object(said)) => Ok(Some(said)),
                _ => Err(bad("it is malformed")),
            },
            429 | 500.. => Err(AccountError::Unreachable(ProviderHttpError::Unreachable)),
            _ => Ok(None),
        }
    }
}

/// `/.well-known/NAME` before the path of `url`, and without the path.
fn inserted(url: &Url, name: &str) -> Vec<Url> {
    let path = url.path().trim_end_matches('/');
    let mut places = Vec::new();
    for path in [path, ""] {
        let mut place = url.clone();
        place.set_path(&format!("/.well-known/{name}{path}"));
        place.set_query(None);
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

/// Where an issuer's metadata may be (RFC 8414 §3, OpenID Connect Discovery §4).
fn metadata_places(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/').to_owned();
    let mut places = Vec::new();
    for at in [
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("/.well-known/openid-configuration{path}"),
        format!("{path}/.well-known/openid-configuration"),
    ] {
        let mut place = issuer.clone();
        place.set_path(&at);
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(places: &[Url]) -> Vec<&str> {
        places.iter().map(Url::as_str).collect()
    }

    #[test]
    fn metadata_is_looked_for_where_the_standards_say() {
        let url = Url::parse("https://as.example/tenant/").unwrap();
        assert_eq!(
            texts(&metadata_places(&url)),
            [
                "https://as.example/.well-known/oauth-authorization-server/tenant",
                "https://as.example/.well-known/openid-configuration/tenant",
                "https://as.example/tenant/.well-known/openid-configuration",
            ]
        );
        let url = Url::parse("https://mail.example/mcp?x=1").unwrap();
        assert_eq!(
            texts(&inserted(&url, "oauth-protected-resource")),
            [
                "https://mail.example/.well-known/oauth-protected-resource/mcp",
                "https://mail.example/.well-known/oauth-protected-resource",
            ]
        );
    }

    #[test]
    fn a_server_that_nobody_named_has_all_its_endpoints_in_one_place() {
        let said = |token: &str| {
            Object::new()
                .with("issuer", "https://as.example")
                .with("authorization_endpoint", "https://as.example/authorize")
                .with("token_endpoint", token)
                .with("revocation_endpoint", token)
                .with("code_challenge_methods_supported", vec![Json::from("S256")])
        };
        let read = |issuer: Option<&str>, token: &str| {
            let config = AccountConfig {
                server: bailiwick_core::ids::ServerName::parse("mail").unwrap(),
                client_id: "bailiwick".to_owned(),
                client_secret: None,
                issuer: issuer.map(str::to_owned),
                endpoints: None,
                scopes: Vec::new(),
                network: crate::http::provider::Network::Public,
            };
            config.read("https://mail.example/mcp", "https://as.example", &said(token))
        };
        assert!(read(None, "https://as.example/token").is_ok());
        assert!(read(None, "https://rogue.example/token").is_err());
        assert!(read(Some("https://as.example"), "https://tokens.example/token").is_ok());
    }
}
