//! What a rogue agent would do; the gateway must not fall for it.

use std::path::Path;

use bailiwick_core::aat::jws;
use bailiwick_core::aat::make::Seen;
use bailiwick_core::aat::{DETAILS_TYPE, TOKEN_TYPE};
use bailiwick_core::crypto::Signer as _;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::ChainLimits;

use crate::chainfile::ChainFile;
use crate::error::CliError;
use crate::host;
use crate::keyfile::InstanceKeys;

/// Signs a child of the chain for the same key that adds `tool` with any
/// arguments. `attenuate` refuses to make it, so this signs by hand.
pub(super) fn widen(chain: &Path, key: &Path, tool: &str, out: &Path) -> Result<(), CliError> {
    let keys = InstanceKeys::read(key)?;
    let mut chain = ChainFile::read(chain)?;
    let parent = Seen::parse(chain.leaf(), &ChainLimits::DEFAULT)?;
    let mut tools = match parent.scope.to_json() {
        Json::Object(tools) => tools,
        _ => Object::new(),
    };
    tools.insert(tool, Object::new());
    let entry = Object::new().with("type", DETAILS_TYPE).with("tools", tools);
    let claims = Object::new()
        .with("jti", host::fresh_id()?)
        .with("iss", keys.holder.public_key().thumbprint().to_uri())
        .with("iat", host::now().seconds())
        .with("exp", parent.exp)
        .with("cnf", Object::new().with("jwk", keys.holder.public_key().to_jwk()))
        .with("del_depth", parent.depth.saturating_add(1))
        .with("del_max_depth", parent.max_depth)
        .with("par_hash", parent.hash)
        .with("authorization_details", vec![Json::from(entry)]);
    chain.chain.push(jws::sign(TOKEN_TYPE, None, &claims.into(), &keys.holder));
    chain.write(out)
}
