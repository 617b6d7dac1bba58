//! biscuit-auth 6: Datalog tokens. It has no proof of possession.

use std::time::Duration;

use biscuit_auth::builder::{Algorithm, AuthorizerBuilder, BlockBuilder, Fact, fact, int, string};
use biscuit_auth::builder_ext::AuthorizerExt;
use biscuit_auth::{AuthorizerLimits, Biscuit, KeyPair, PublicKey, UnverifiedBiscuit};

use crate::Failure;
use crate::fixture::{AMOUNT, AMOUNT_MAX, CURRENCY, NOW, ORDER, ORDERS, TOOL};

/// A token of some blocks as text.
pub(crate) struct Biscuits {
    token: String,
    root: PublicKey,
    next: KeyPair,
    block: BlockBuilder,
}

impl Biscuits {
    /// A token of `depth` blocks. The first has the three constraints and an
    /// end; each later one an earlier end, which is the least that a derived
    /// token of ours states.
    pub(crate) fn chain(depth: usize) -> Result<Self, Failure> {
        let root = KeyPair::new_with_algorithm(Algorithm::Ed25519);
        let end = NOW + 3600;
        let expiry = format!("check if time($t), $t < {end}");
        let [first, second] = ORDERS;
        let mut token = Biscuit::builder()
            .check(format!("check if tool(\"{TOOL}\")").as_str())?
            .check(
                format!("check if order_id($o), [\"{first}\", \"{second}\"].contains($o)").as_str(),
            )?
            .check(format!("check if amount($a), $a >= 0, $a <= {AMOUNT_MAX}").as_str())?
            .check(format!("check if currency(\"{CURRENCY}\")").as_str())?
            .check(expiry.as_str())?
            .build(&root)?;
        let block = BlockBuilder::new().check(expiry.as_str())?;
        for _ in 1..depth {
            let next = KeyPair::new_with_algorithm(Algorithm::Ed25519);
            token = token.append_with_keypair(&next, block.clone())?;
        }
        Ok(Self {
            token: token.to_base64()?,
            root: root.public(),
            next: KeyPair::new_with_algorithm(Algorithm::Ed25519),
            block,
        })
    }

    fn authorized(&self) -> Result<usize, biscuit_auth::error::Token> {
        let token = Biscuit::from_base64(&self.token, self.root)?;
        let facts: [Fact; 5] = [
            fact("tool", &[string(TOOL)]),
            fact("order_id", &[string(ORDER)]),
            fact("amount", &[int(AMOUNT)]),
            fact("currency", &[string(CURRENCY)]),
            fact("time", &[int(NOW)]),
        ];
        let mut authorizer = AuthorizerBuilder::new();
        for fact in facts {
            authorizer = authorizer.fact(fact)?;
        }
        // The default limit of one millisecond would make noise a denial.
        let limits =
            AuthorizerLimits { max_time: Duration::from_secs(1), ..AuthorizerLimits::default() };
        authorizer.allow_all().build(&token)?.authorize_with_limits(limits)
    }

    /// The call, without possession.
    pub(crate) fn verify_without_proof(&self) -> bool {
        self.authorized().is_ok()
    }

    /// One hop, from text to text, without verifying what is there.
    pub(crate) fn attenuate(&self) -> bool {
        UnverifiedBiscuit::from_base64(&self.token)
            .and_then(|token| token.append_with_keypair(&self.next, self.block.clone()))
            .and_then(|token| token.to_base64())
            .is_ok()
    }
}
