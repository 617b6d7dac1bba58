//! Presentations: chains and proofs as an agent makes them, and as an attacker
//! would.

use std::path::{Path, PathBuf};

use bailiwick_core::aat::make::{ProofFor, Seen, prove_unchecked};
use bailiwick_core::aat::{DETAILS_TYPE, TOKEN_TYPE, jws};
use bailiwick_core::crypto::{PublicKey, Signer as _, SigningKey, from_base64url};
use bailiwick_core::ids::uuid_v7;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::{ChainLimits, JsonLimits};
use bailiwick_core::time::Timestamp;
use serde_json::{Value, json};

use crate::http::Request;

/// The member of `_meta` that carries a presentation.
pub const PRESENTATION: &str = "io.bailiwick/presentation";
/// The tool server of every test.
pub const SERVER: &str = "support-desk";
/// The stateless protocol.
pub const STATELESS: &str = "2026-07-28";
/// The protocol with sessions.
pub const SESSIONS: &str = "2025-11-25";

/// Now.
#[must_use]
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_millis(since.expect("after 1970").as_millis().try_into().expect("fits"))
}

/// A fresh id.
#[must_use]
pub fn fresh_id() -> String {
    let mut random = [0; 10];
    getrandom::fill(&mut random).expect("there is entropy");
    uuid_v7(now(), random)
}

/// A key that nobody knows.
#[must_use]
pub fn fresh_key() -> SigningKey {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("there is entropy");
    SigningKey::from_seed(&seed).expect("a seed is a key")
}

/// A JSON object of ours from serde's.
#[must_use]
pub fn object(value: &Value) -> Object {
    match Json::parse(value.to_string().as_bytes(), &JsonLimits::DEFAULT) {
        Ok(Json::Object(o)) => o,
        other => panic!("no object: {other:?}"),
    }
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("the file is there");
    serde_json::from_str(&text).expect("the file is JSON")
}

/// The signing key of a private JWK.
#[must_use]
pub fn key_of_jwk(jwk: &Value) -> SigningKey {
    let seed = from_base64url(jwk["d"].as_str().expect("a private JWK")).expect("base64url");
    SigningKey::from_seed(&seed.try_into().expect("32 bytes")).expect("a key")
}

/// The signing key in a file that holds one private JWK.
#[must_use]
pub fn key_file(path: &Path) -> SigningKey {
    key_of_jwk(&read(path))
}

/// An instance with the keys in its folder.
#[derive(Debug)]
pub struct Holder {
    /// Its folder.
    pub home: PathBuf,
    /// Its id.
    pub instance: String,
    /// Signs chains and proofs.
    pub key: SigningKey,
}

impl Holder {
    /// Reads the folder that `instance new` wrote.
    #[must_use]
    pub fn read(home: &Path) -> Self {
        let file = read(&home.join("key.json"));
        Self {
            home: home.to_owned(),
            instance: file["instance"].as_str().expect("an instance").to_owned(),
            key: key_of_jwk(&file["holder"]),
        }
    }

    /// The key file.
    #[must_use]
    pub fn key_file(&self) -> String {
        self.home.join("key.json").display().to_string()
    }

    /// The enrolment document.
    #[must_use]
    pub fn document(&self) -> String {
        self.home.join("enrolment.json").display().to_string()
    }
}

/// Tokens, root first, and the file they lie in.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Compact tokens.
    pub tokens: Vec<String>,
    /// The chain file, where there is one.
    pub file: PathBuf,
    /// The gateway's audience.
    pub audience: String,
}

impl Chain {
    /// Reads a chain file.
    #[must_use]
    pub fn read(file: &Path) -> Self {
        let json = read(file);
        let tokens = json["aat_chain"].as_array().expect("tokens");
        Self {
            tokens: tokens.iter().map(|t| t.as_str().expect("text").to_owned()).collect(),
            file: file.to_owned(),
            audience: json["audience"].as_str().expect("an audience").to_owned(),
        }
    }

    /// The same audience with other tokens.
    #[must_use]
    pub fn of(&self, tokens: Vec<String>) -> Self {
        Self { tokens, ..self.clone() }
    }

    /// With one more token.
    #[must_use]
    pub fn and(&self, token: String) -> Self {
        let mut tokens = self.tokens.clone();
        tokens.push(token);
        self.of(tokens)
    }

    /// The last token.
    #[must_use]
    pub fn leaf(&self) -> &str {
        self.tokens.last().map_or("", String::as_str)
    }

    /// The file as an argument.
    #[must_use]
    pub fn path(&self) -> String {
        self.file.display().to_string()
    }

    /// The hash of the last token.
    #[must_use]
    pub fn hash(&self) -> String {
        seen(self.leaf()).hash.to_string()
    }

    /// A further token for `holder` with the rights of the last one, signed by
    /// `signer` after `edit` changed its claims. Nothing is checked.
    #[must_use]
    pub fn child(
        &self,
        signer: &SigningKey,
        holder: &PublicKey,
        edit: impl FnOnce(&mut Object),
    ) -> Self {
        let parent = seen(self.leaf());
        let details =
            Object::new().with("type", DETAILS_TYPE).with("tools", parent.scope.to_json());
        let mut claims = Object::new()
            .with("jti", fresh_id())
            .with("iss", signer.public_key().thumbprint().to_uri())
            .with("iat", now().seconds().max(parent.iat))
            .with("exp", parent.exp)
            .with("cnf", Object::new().with("jwk", holder.to_jwk()))
            .with("del_depth", parent.depth + 1)
            .with("del_max_depth", parent.max_depth)
            .with("par_hash", parent.hash)
            .with("authorization_details", vec![Json::from(details)]);
        edit(&mut claims);
        self.and(jws::sign(TOKEN_TYPE, None, &claims.into(), signer))
    }

    /// The root signed again by `issuer` after `edit` changed its claims.
    #[must_use]
    pub fn reissued(&self, issuer: &SigningKey, edit: impl FnOnce(&mut Object)) -> Self {
        let mut claims = seen(&self.tokens[0]).claims;
        edit(&mut claims);
        let kid = issuer.public_key().thumbprint().to_string();
        self.of(vec![jws::sign(TOKEN_TYPE, Some(&kid), &claims.into(), issuer)])
    }
}

/// A token as its holder reads it.
#[must_use]
pub fn seen(token: &str) -> Seen {
    Seen::parse(token, &ChainLimits::DEFAULT).expect("a token")
}

/// One call of a tool, as it will be sent.
#[derive(Clone, Debug)]
pub struct Call {
    /// The tool's name in the request.
    pub tool: String,
    /// Its arguments in the request.
    pub arguments: Value,
    /// The chain.
    pub tokens: Vec<String>,
    /// The proof.
    pub proof: String,
}

/// What a proof says; each part can be made to lie.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// `jti`.
    pub jti: String,
    /// The tool id.
    pub tool: String,
    /// The arguments.
    pub arguments: Value,
    /// The audience.
    pub audience: Option<String>,
    /// Seconds that `iat` is ahead of the clock.
    pub ahead: i64,
}

impl Call {
    /// A call with a proof for exactly this call.
    #[must_use]
    pub fn new(chain: &Chain, key: &SigningKey, tool: &str, arguments: Value) -> Self {
        Self::claiming(chain, key, tool, arguments, |_| {})
    }

    /// A call whose proof says what `lie` makes of it.
    #[must_use]
    pub fn claiming(
        chain: &Chain,
        key: &SigningKey,
        tool: &str,
        arguments: Value,
        lie: impl FnOnce(&mut Claimed),
    ) -> Self {
        let mut claimed = Claimed {
            jti: fresh_id(),
            tool: format!("mcp:{SERVER}:tools/{tool}"),
            arguments: arguments.clone(),
            audience: Some(chain.audience.clone()),
            ahead: 0,
        };
        lie(&mut claimed);
        // Read without any rule: the leaf may be one that no reader accepts.
        let leaf = jws::Compact::parse(chain.leaf()).expect("a compact token");
        let claims: Value = serde_json::from_slice(leaf.payload()).expect("claims are JSON");
        let jti = claims["jti"].as_str().expect("a token has an id");
        let arguments_claimed = object(&claimed.arguments);
        let proof = ProofFor {
            jti: &claimed.jti,
            now: now().plus_seconds(claimed.ahead),
            tool: &claimed.tool,
            arguments: &arguments_claimed,
            audience: claimed.audience.as_deref(),
            nonce: None,
        };
        Self {
            tool: tool.to_owned(),
            arguments,
            tokens: chain.tokens.clone(),
            proof: prove_unchecked(jti, leaf.hash(), &proof, key),
        }
    }

    /// The JSON-RPC message (stateless protocol).
    #[must_use]
    pub fn message(&self) -> Value {
        json!({
            "jsonrpc": "2.0",
            "id": 7,
            "method": "tools/call",
            "params": {
                "name": self.tool,
                "arguments": self.arguments,
                "_meta": {
                    "io.modelcontextprotocol/protocolVersion": STATELESS,
                    "io.modelcontextprotocol/clientCapabilities": {},
                    PRESENTATION: {"aat_chain": self.tokens, "aat_pop": self.proof},
                },
            },
        })
    }

    /// The request with `body` in place of its message.
    #[must_use]
    pub fn with_body(&self, body: impl Into<Vec<u8>>) -> Request {
        Request::post(format!("/mcp/{SERVER}"), body)
            .with("mcp-protocol-version", STATELESS)
            .with("mcp-method", "tools/call")
            .with("mcp-name", &self.tool)
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> Request {
        self.with_body(self.message().to_string())
    }
}

/// The headers of a message that is not a call: chain and DPoP proof.
#[must_use]
pub fn signed(
    request: Request,
    chain: &Chain,
    key: &SigningKey,
    method: &str,
    url: &str,
) -> Request {
    let proof = bailiwick_core::dpop::prove(key, &fresh_id(), now(), method, url, chain.leaf());
    request.with("aat-chain", &chain.tokens.join(",")).with("dpop", &proof)
}

/// A message of the protocol with sessions.
#[must_use]
pub fn in_session(session: Option<&str>, message: &Value) -> Request {
    let request = Request::post(format!("/mcp/{SERVER}"), message.to_string())
        .with("mcp-protocol-version", SESSIONS);
    match session {
        Some(id) => request.with("mcp-session-id", id),
        None => request.without("mcp-protocol-version"),
    }
}
