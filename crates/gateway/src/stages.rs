//! The stages that every action passes (DESIGN §4), one module each.
//!
//! Each stage takes the value that only the one before can make. The last
//! value, [`effect::Recorded`]`<Permit>`, is the only thing that a tool server
//! is called with: a call without a permit, or before its record, does not
//! compile.

pub mod approval;
pub mod authority;
pub mod boundary;
pub mod effect;
pub mod evidence;
pub mod identity;
pub mod policy;

use bailiwick_core::aat::verify::{Chain, Present, Verified};
use bailiwick_core::accountable::{Accountable, Facts};
use bailiwick_core::denial::Denial;
use bailiwick_policy::decide::Finding;
use bailiwick_policy::in_force::Heard;
use bailiwick_policy::permit::{Ask, Permit, Refusal};

use authority::Ground;

/// A caller that proved possession.
pub(crate) trait Known: Send + Sync {
    /// Its chain.
    fn chain(&self) -> &Chain;
    /// What was established about it.
    fn facts(&self) -> &Facts;
}

macro_rules! known {
    ($type:ty, $this:ident => $inner:expr) => {
        impl Known for $type {
            fn chain(&self) -> &Chain {
                let $this = self;
                $inner.chain()
            }
            fn facts(&self) -> &Facts {
                let $this = self;
                $inner.facts()
            }
        }
    };
}

known!(Refusal, this => this.verified());
known!(Ask, this => this.case().verified());
known!(Permit, this => this.case().verified());

impl Known for Box<Present<Accountable>> {
    fn chain(&self) -> &Chain {
        Present::chain(self)
    }
    fn facts(&self) -> &Facts {
        Present::facts(self)
    }
}

impl Known for Verified<Accountable> {
    fn chain(&self) -> &Chain {
        Verified::chain(self)
    }
    fn facts(&self) -> &Facts {
        Verified::facts(self)
    }
}

/// A request that a stage stopped.
pub(crate) struct Stopped {
    pub(crate) denial: Denial,
    /// Who asked, once that is known.
    pub(crate) known: Option<Box<dyn Known>>,
    /// The rule that settled it.
    pub(crate) finding: Option<Finding>,
    /// What the organisation's bundles said, if it came to them.
    pub(crate) heard: Option<Heard>,
    /// What the catalogue says of the tool, once that was looked up.
    pub(crate) ground: Option<Ground>,
    /// Whether a person is asked for (which denies until approvals exist).
    pub(crate) approval_required: bool,
    /// The session of the request is not one that stands: HTTP 404, so that
    /// the client opens another.
    pub(crate) session_ended: bool,
}

impl Stopped {
    pub(crate) fn stranger(denial: Denial) -> Self {
        Self {
            denial,
            known: None,
            finding: None,
            heard: None,
            ground: None,
            approval_required: false,
            session_ended: false,
        }
    }

    pub(crate) fn known(denial: Denial, who: impl Known + 'static) -> Self {
        Self { known: Some(Box::new(who)), ..Self::stranger(denial) }
    }

    /// The same, on what the catalogue says of the tool.
    pub(crate) fn on(self, ground: Ground) -> Self {
        Self { ground: Some(ground), ..self }
    }
}
