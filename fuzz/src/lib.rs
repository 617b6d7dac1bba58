//! What the targets share: fields within one input, keys, and seeds from the vectors.

use std::path::Path;
use std::sync::LazyLock;

use bailiwick_core::aat::DETAILS_TYPE;
use bailiwick_core::aat::verify::{Anchors, Context, ProofPolicy};
use bailiwick_core::crypto::{PublicKey, SigningKey};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::{ChainLimits, JsonLimits};
use bailiwick_core::time::Timestamp;

#[allow(dead_code, reason = "the targets use a part of it")]
pub mod oauth;

/// Separates the fields of an input; no JSON text and no token contains it.
pub const SEPARATOR: u8 = 0x1f;

/// The audience of the vectors.
pub const AUDIENCE: &str = "https://tools.example.com";

/// Limits on the inputs' own JSON.
pub const JSON: JsonLimits = JsonLimits::DEFAULT;

/// The fields of an input, as text; nothing if one is not UTF-8.
pub fn fields(data: &[u8]) -> Option<Vec<&str>> {
    data.split(|b| *b == SEPARATOR)
        .map(|field| std::str::from_utf8(field).ok())
        .collect()
}

/// One input of these fields.
pub fn joined<T: AsRef<[u8]>>(fields: &[T]) -> Vec<u8> {
    fields
        .iter()
        .map(AsRef::as_ref)
        .collect::<Vec<_>>()
        .join(&SEPARATOR)
}

/// A case of the vectors.
#[derive(Debug)]
pub struct Case {
    /// The tool.
    pub tool: String,
    /// The arguments as text.
    pub arguments: String,
    /// Seconds.
    pub now: String,
    /// Tokens, root first.
    pub chain: Vec<String>,
    /// The proof.
    pub proof: String,
}

/// The vectors.
pub static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let text = include_bytes!("../../vectors/aat-02.json");
    let limits = JsonLimits {
        max_bytes: 64 << 20,
        max_depth: 96,
        max_values: 10_000_000,
    };
    let file = Json::parse(text, &limits).expect("the vectors are JSON");
    let cases = file.as_object().and_then(|f| f.member("cases")?.as_array());
    cases
        .unwrap_or_default()
        .iter()
        .filter_map(|c| case(c.as_object()?))
        .collect()
});

fn case(o: &Object) -> Option<Case> {
    let text = |name: &str| o.member(name)?.as_str().map(str::to_owned);
    let chain = o
        .member("chain")?
        .as_array()?
        .iter()
        .map(|t| t.as_str().map(str::to_owned));
    Some(Case {
        tool: text("tool")?,
        arguments: text("args_text")?,
        now: o.member("now")?.to_string(),
        chain: chain.collect::<Option<_>>()?,
        proof: text("pop").unwrap_or_default(),
    })
}

/// The keys of the vectors: their seeds are one byte, repeated. The first is the issuer's.
pub static KEYS: LazyLock<Vec<SigningKey>> = LazyLock::new(|| {
    (1..=5u8)
        .map(|n| SigningKey::from_seed(&[n; 32]).expect("a seed"))
        .collect()
});

/// The issuer of the vectors, as the only one trusted.
pub static ANCHORS: LazyLock<Anchors> = LazyLock::new(|| {
    Anchors::new(vec![("https://auth.example.com".to_owned(), public_key(0))]).expect("an anchor")
});

/// The public half of [`KEYS`].
pub fn public_key(index: usize) -> PublicKey {
    use bailiwick_core::crypto::Signer;
    KEYS[index].public_key()
}

/// An enforcement point at `now` whose audience is [`AUDIENCE`].
pub fn context<'a>(now: i64, audiences: &'a [String], limits: &'a ChainLimits) -> Context<'a> {
    Context {
        now: Timestamp::from_seconds(now),
        anchors: &ANCHORS,
        audiences,
        require_chain_audience: false,
        proof: ProofPolicy::default(),
        limits,
    }
}

/// Writes the seeds of a target into the folder that `cargo xtask fuzz` names. libFuzzer calls
/// this before it reads its corpus.
pub fn seed<T: AsRef<[u8]>>(seeds: impl IntoIterator<Item = T>) {
    let Some(folder) = std::env::var_os("BAILIWICK_FUZZ_SEEDS") else {
        return;
    };
    for (number, seed) in seeds.into_iter().enumerate() {
        let path = Path::new(&folder).join(format!("seed-{number:05}"));
        std::fs::write(path, seed).expect("the folder of seeds can be written");
    }
}

/// Every payload in the vectors, decoded.
pub fn payloads() -> impl Iterator<Item = Vec<u8>> {
    CASES
        .iter()
        .flat_map(|c| c.chain.iter().chain([&c.proof]))
        .filter_map(|token| payload(token))
}

/// The payload of a compact token.
pub fn payload(token: &str) -> Option<Vec<u8>> {
    bailiwick_core::crypto::from_base64url(token.split('.').nth(1)?)
}

/// The `tools` maps of a token's claims.
pub fn tools(claims: &Json) -> Option<&Object> {
    let details = claims
        .as_object()?
        .member("authorization_details")?
        .as_array()?;
    // An entry of another type may have `tools` of its own: it says nothing here (§3.3).
    let ours = |d: &&Object| d.member("type").and_then(Json::as_str) == Some(DETAILS_TYPE);
    let entry = details.iter().filter_map(Json::as_object).find(ours)?;
    entry.member("tools")?.as_object()
}

/// What the readers of [`oauth`] take from the authority's module of this name.
pub mod rules {
    /// Grants that were prepared.
    pub mod delegations {
        use bailiwick_core::json::Json;

        /// A prepared grant, unread: what it says is read elsewhere.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Prepared(Json);

        impl Prepared {
            /// Takes any object.
            pub fn from_json(json: &Json) -> Result<Self, &'static str> {
                json.as_object().map(|_| Self(json.clone())).ok_or("it is no object")
            }
        }
    }
}
