//! An agent's instance that exchanges tokens: a principal's signed word as
//! subject, its own identity token as actor, a DPoP proof by its holder key.

use bailiwick_core::crypto::{Signer as _, SigningKey};
use bailiwick_core::dpop;
use bailiwick_core::jose::{sign, sign_with};
use bailiwick_core::json::{Json, Object};
use bailiwick_testkit::http::{Request, Response};
use bailiwick_testkit::present::{Call, PRESENTATION, SERVER, fresh_id, key_of_jwk, now};
use serde_json::{Value, json};

use crate::Failure;
use crate::installation::{AGENT, Installation, PRINCIPAL, SCOPE};
use crate::server::echo::TOOL;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A delegation token.
    Root,
    /// An access token bound to the holder's key.
    Access,
}

/// One instance with as many clients as there are connections: rate limits are
/// per client.
pub(super) struct Agents {
    url: String,
    identity: String,
    principal: SigningKey,
    holder: SigningKey,
    clients: Vec<String>,
}

impl Agents {
    pub(super) fn register(installed: &Installation, clients: usize) -> Result<Self, Failure> {
        let cli = &installed.cli;
        let metadata = json!({"client_name": "bench", "grant_types": [EXCHANGE]});
        std::fs::write(cli.folder.join("client.json"), metadata.to_string())?;
        let register = |_| -> Result<String, Failure> {
            let answer = cli.run(&["client", "add", "client.json", "--agent", AGENT])?;
            let said: Value = serde_json::from_str(answer.out.lines().next().unwrap_or_default())?;
            let id = said.get("client_id").and_then(Value::as_str);
            Ok(id.ok_or("a client has an id")?.to_owned())
        };
        let clients = (0..clients).map(register).collect::<Result<_, _>>()?;
        let read = |file: &str| -> Result<Value, Failure> {
            Ok(serde_json::from_str(&std::fs::read_to_string(cli.folder.join(file))?)?)
        };
        let principal = read("principal.json")?;
        let key = read("key.json")?;
        let of = |file: &Value, member: &str| file.get(member).map(key_of_jwk);
        let mut agents = Self {
            url: installed.url(),
            identity: String::new(),
            principal: of(&principal, "key").ok_or("a principal has a key")?,
            holder: of(&key, "holder").ok_or("an instance has a holder key")?,
            clients,
        };
        agents.renew(installed)?;
        Ok(agents)
    }

    /// Takes a fresh identity token; one lasts for a few minutes.
    pub(super) fn renew(&mut self, installed: &Installation) -> Result<(), Failure> {
        let args = ["instance", "identity", "--authority", &self.url, "--key", "key.json"];
        installed.cli.run(&[&args[..], &["--out", "identity.jwt"]].concat())?;
        let text = std::fs::read_to_string(installed.cli.folder.join("identity.jwt"))?;
        self.identity = text.trim().to_owned();
        Ok(())
    }

    /// The client of a number.
    pub(super) fn client(&self, number: usize) -> &str {
        let at = number.checked_rem(self.clients.len()).unwrap_or_default();
        self.clients.get(at).map_or("", String::as_str)
    }

    pub(super) const fn holder(&self) -> &SigningKey {
        &self.holder
    }

    pub(super) const fn principal(&self) -> &SigningKey {
        &self.principal
    }

    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    pub(super) fn resource(&self) -> String {
        format!("{}/mcp/{SERVER}", self.url)
    }

    /// The principal's word that the agent may act, to be used once.
    pub(super) fn subject(&self) -> Result<String, Failure> {
        let claims = Object::new()
            .with("iss", PRINCIPAL)
            .with("sub", PRINCIPAL)
            .with("aud", self.url.as_str())
            .with("exp", now().plus_seconds(120).seconds())
            .with("jti", fresh_id())
            .with("may_act", Object::new().with("sub", AGENT));
        Ok(sign("JWT", None, &claims.into(), &self.principal)?)
    }

    /// A proof for one request to the token endpoint.
    pub(super) fn proof(&self) -> Result<String, Failure> {
        let jwk = self.holder.public_key().to_jwk();
        let header = Object::new().with("typ", "dpop+jwt").with("jwk", jwk);
        let claims = Object::new()
            .with("jti", fresh_id())
            .with("htm", "POST")
            .with("htu", format!("{}/token", self.url))
            .with("iat", now().seconds());
        Ok(sign_with(header, &Json::from(claims), &self.holder)?)
    }

    /// The form of one exchange. Nothing in it needs escapes.
    pub(super) fn form(&self, number: usize, wanted: Wanted) -> Result<String, Failure> {
        let (subject, client) = (self.subject()?, self.client(number));
        let mut form = format!(
            "grant_type={EXCHANGE}&client_id={client}&subject_token={subject}\
             &subject_token_type={JWT}&actor_token={}&actor_token_type={JWT}",
            self.identity
        );
        match wanted {
            Wanted::Root => {
                form.push_str("&requested_token_type=urn:bailiwick:token-type:delegation");
            }
            Wanted::Access => {
                form.push_str(&format!("&resource={}&scope={SCOPE}", self.resource()));
            }
        }
        Ok(form)
    }

    /// The request of one exchange.
    pub(super) fn exchange(&self, number: usize, wanted: Wanted) -> Result<Request, Failure> {
        let proof = self.proof()?;
        let form = self.form(number, wanted)?;
        let request = Request::post("/token", form).without("accept");
        Ok(request.with("content-type", "application/x-www-form-urlencoded").with("dpop", &proof))
    }

    /// The request that gives an access token back.
    pub(super) fn give_back(&self, number: usize, token: &str) -> Request {
        let form = format!("client_id={}&token={token}", self.client(number));
        let request = Request::post("/revoke", form).without("accept");
        request.with("content-type", "application/x-www-form-urlencoded")
    }

    /// A call of the tool with an access token and a fresh proof.
    pub(super) fn call(&self, token: &str, text: &str) -> Request {
        let arguments = json!({"text": text});
        let (tokens, proof) = (Vec::new(), String::new());
        let call = Call { tool: TOOL.to_owned(), arguments, tokens, proof };
        let mut message = call.message();
        let meta = message.pointer_mut("/params/_meta").and_then(Value::as_object_mut);
        meta.and_then(|meta| meta.remove(PRESENTATION));
        let uri = self.resource();
        let proof = dpop::prove(&self.holder, &fresh_id(), now(), "POST", &uri, token);
        call.with_body(message.to_string())
            .with("authorization", &format!("DPoP {token}"))
            .with("dpop", &proof)
    }
}

/// The token of an answer, if it gives one.
pub(super) fn token(answer: &Response) -> Option<String> {
    if answer.status != 200 {
        return None;
    }
    answer.json().get("access_token").and_then(Value::as_str).map(str::to_owned)
}
