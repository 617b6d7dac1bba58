//! tenuo 0.3: CBOR warrants with a holder's signature per call.

use std::collections::HashMap;
use std::time::Duration;

use tenuo::constraints::{ConstraintSet, ConstraintValue, Exact, OneOf, Range};
use tenuo::planes::Authorizer;
use tenuo::warrant::Warrant;
use tenuo::{Signature, SigningKey, wire};

use crate::Failure;
use crate::fixture::{AMOUNT, AMOUNT_MAX, CURRENCY, ORDER, ORDERS, TOOL};

/// A chain as text, with a proof.
pub(crate) struct Tenuo {
    authorizer: Authorizer,
    tokens: Vec<String>,
    arguments: HashMap<String, ConstraintValue>,
    proof: Signature,
    wrong_proof: Signature,
    leaf: Warrant,
    holder: SigningKey,
    next: SigningKey,
}

fn constraints() -> Result<ConstraintSet, Failure> {
    Ok(ConstraintSet::from_iter([
        ("amount".to_owned(), Range::new(Some(0.0), Some(AMOUNT_MAX as f64))?.into()),
        ("currency".to_owned(), Exact::new(CURRENCY).into()),
        ("order_id".to_owned(), OneOf::new(ORDERS).into()),
    ]))
}

impl Tenuo {
    /// A chain of `depth` warrants, a new key each.
    pub(crate) fn chain(depth: usize) -> Result<Self, Failure> {
        let issuer = SigningKey::generate();
        let mut holder = SigningKey::generate();
        let mut leaf = Warrant::builder()
            .capability(TOOL, constraints()?)
            .ttl(Duration::from_secs(3600))
            .holder(holder.public_key())
            .build(&issuer)?;
        let mut tokens = vec![wire::encode_base64(&leaf)?];
        for _ in 1..depth {
            let next = SigningKey::generate();
            leaf = leaf.attenuate().inherit_all().holder(next.public_key()).build(&holder)?;
            holder = next;
            tokens.push(wire::encode_base64(&leaf)?);
        }
        let arguments = HashMap::from([
            ("order_id".to_owned(), ConstraintValue::from(ORDER)),
            ("amount".to_owned(), ConstraintValue::from(AMOUNT)),
            ("currency".to_owned(), ConstraintValue::from(CURRENCY)),
        ]);
        let next = SigningKey::generate();
        Ok(Self {
            authorizer: Authorizer::new().with_trusted_root(issuer.public_key()),
            proof: leaf.sign(&holder, TOOL, &arguments)?,
            wrong_proof: leaf.sign(&next, TOOL, &arguments)?,
            tokens,
            arguments,
            leaf,
            holder,
            next,
        })
    }

    fn decode(&self) -> Option<Vec<Warrant>> {
        self.tokens.iter().map(|t| wire::decode_base64(t).ok()).collect()
    }

    fn allowed_with(&self, proof: &Signature) -> bool {
        self.decode().is_some_and(|chain| {
            self.authorizer.check_chain(&chain, TOOL, &self.arguments, Some(proof), &[]).is_ok()
        })
    }

    /// The whole call.
    pub(crate) fn verify(&self) -> bool {
        self.allowed_with(&self.proof)
    }

    /// The whole call, with a proof by another key.
    pub(crate) fn deny_wrong_proof(&self) -> bool {
        !self.allowed_with(&self.wrong_proof)
    }

    /// The call without possession.
    pub(crate) fn verify_without_proof(&self) -> bool {
        self.decode().is_some_and(|chain| {
            self.authorizer.verify_chain(&chain).is_ok()
                && chain
                    .last()
                    .is_some_and(|leaf| leaf.check_constraints(TOOL, &self.arguments).is_ok())
        })
    }

    /// One hop, from text to text.
    pub(crate) fn attenuate(&self) -> bool {
        let Some(parent) = self.tokens.last().and_then(|t| wire::decode_base64(t).ok()) else {
            return false;
        };
        parent
            .attenuate()
            .inherit_all()
            .holder(self.next.public_key())
            .build(&self.holder)
            .and_then(|child| wire::encode_base64(&child))
            .is_ok()
    }

    /// One hop from a warrant in memory to one in memory.
    pub(crate) fn attenuate_in_memory(&self) -> bool {
        self.leaf
            .attenuate()
            .inherit_all()
            .holder(self.next.public_key())
            .build(&self.holder)
            .is_ok()
    }
}
