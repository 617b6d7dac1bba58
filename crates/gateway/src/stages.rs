//! The stages that every action passes (DESIGN §4), one module each.
//!
//! Each stage takes the value that only the one before can make. The last
//! value, [`effect::Recorded`]`<Permit>`, is the only thing that a tool server
//! is called with: a call without a permit, or before its record, does not
//! compile. Each of the examples below that must not compile stands beside one
//! that does and differs in the forbidden expression only.
//!
//! A permit is not enough to call a tool server: the decision must be recorded.
//!
//! ```
//! use bailiwick_gateway::Gateway;
//! use bailiwick_gateway::stages::effect::{Events, Recorded, call};
//! use bailiwick_policy::permit::Permit;
//! async fn ordered(gateway: &Gateway, recorded: Recorded<Permit>, events: Events) {
//!     call(gateway, recorded, events).await;
//! }
//! ```
//! ```compile_fail,E0308
//! use bailiwick_gateway::Gateway;
//! use bailiwick_gateway::stages::effect::{Events, Recorded, call};
//! use bailiwick_policy::permit::Permit;
//! async fn bypass(gateway: &Gateway, recorded: Permit, events: Events) {
//!     call(gateway, recorded, events).await;
//! }
//! ```
//!
//! Nobody but the recording of a decision makes its witness, and nobody but the
//! rules makes a permit.
//!
//! ```
//! use bailiwick_gateway::stages::effect::Recorded;
//! use bailiwick_policy::permit::{Case, Permit};
//! fn kept(recorded: Recorded<Permit>, permit: Permit) -> (Recorded<Permit>, Permit) {
//!     (recorded, permit)
//! }
//! fn read(permit: &Permit) -> &Case {
//!     permit.case()
//! }
//! ```
//! ```compile_fail
//! use bailiwick_gateway::stages::effect::Recorded;
//! use bailiwick_policy::permit::Permit;
//! fn forge(permit: Permit) -> Recorded<Permit> {
//!     Recorded { permit }
//! }
//! ```
//! ```compile_fail,E0451
//! use bailiwick_policy::permit::{Case, Permit};
//! fn forge(case: Case) -> Permit {
//!     Permit { case }
//! }
//! ```
//!
//! What only the draft's rules verified cannot become a permit.
//!
//! ```
//! use bailiwick_core::aat::verify::Verified;
//! use bailiwick_core::accountable::Accountable;
//! use bailiwick_policy::permit::{Circumstances, Ruling, rule};
//! use bailiwick_policy::{Policies, Workflow};
//! fn ruled(verified: Verified<Accountable>, workflow: &Workflow, c: Circumstances) -> Ruling {
//!     rule(verified, workflow, &Policies::default(), c)
//! }
//! ```
//! ```compile_fail,E0308
//! use bailiwick_core::aat::verify::{Core, Verified};
//! use bailiwick_policy::permit::{Circumstances, Ruling, rule};
//! use bailiwick_policy::{Policies, Workflow};
//! fn shortcut(verified: Verified<Core>, workflow: &Workflow, c: Circumstances) -> Ruling {
//!     rule(verified, workflow, &Policies::default(), c)
//! }
//! ```
//!
//! A stage's output has no public constructor, so no stage can be skipped.
//!
//! ```
//! use bailiwick_gateway::stages::approval::Cleared;
//! use bailiwick_gateway::stages::authority::Covered;
//! fn both(covered: Covered, cleared: Cleared) -> (Covered, Cleared) {
//!     (covered, cleared)
//! }
//! ```
//! ```compile_fail,E0616
//! use bailiwick_gateway::stages::authority::Covered;
//! fn skip(covered: Covered) {
//!     let _ = covered.call;
//! }
//! ```

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
use bailiwick_core::ids::RunId;
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
    pub(crate) heard: Option<Box<Heard>>,
    /// What the catalogue says of the tool, once that was looked up.
    pub(crate) ground: Option<Ground>,
    /// The run to which the call belongs, once its denial is recorded.
    pub(crate) run: Option<RunId>,
    /// Whether it was stopped because a person has to decide.
    pub(crate) approval_required: bool,
    /// What people are asked about it.
    pub(crate) holding: Option<approval::Holding>,
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
            run: None,
            approval_required: false,
            holding: None,
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
