//! The stop button: asking why, what is stopped, and resuming it.

use askama::Template;

use super::{Frame, Moment, Text};

/// One stop in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopLine {
    /// Its id.
    pub id: String,
    /// What it stops.
    pub target: Text,
    /// Why; `None` once erased.
    pub reason: Option<Text>,
    /// Who stopped it.
    pub by: Text,
    /// When.
    pub at: Moment,
    /// Whether it stands.
    pub stands: bool,
}

impl StopLine {
    /// In a word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        if self.stands { "stopped" } else { "resumed" }
    }

    /// The badge's class.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        if self.stands { "bad" } else { "good" }
    }
}

/// `/stop?target=…`
#[derive(Clone, Debug, Template)]
#[template(path = "stop.html")]
pub struct StopPage {
    /// The frame.
    pub frame: Frame,
    /// What would be stopped.
    pub target: Text,
    /// Whether that is everything.
    pub everything: bool,
}

/// `/stops`
#[derive(Clone, Debug, Template)]
#[template(path = "stops.html")]
pub struct StopsPage {
    /// The frame.
    pub frame: Frame,
    /// What is stopped now.
    pub standing: Vec<StopLine>,
    /// The newest of those that ended.
    pub ended: Vec<StopLine>,
    /// Whether this person may stop what is not their own.
    pub can_stop: bool,
}

/// What somebody signed so that a stop ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumedLine {
    /// Who.
    pub who: Text,
    /// How.
    pub grade: Text,
    /// When.
    pub at: Moment,
    /// Until when it counts.
    pub until: Moment,
}

/// How this person can resume it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resuming {
    /// With one of these passkeys.
    Passkey {
        /// Their ids, base64url, between blanks.
        credentials: String,
        /// Where passkeys are used.
        relying_party: String,
        /// What is signed, base64url.
        challenge: String,
        /// Until when it would count, Unix seconds.
        expires: i64,
    },
    /// Not, and why.
    Not(String),
}

/// `/stops/{id}`
#[derive(Clone, Debug, Template)]
#[template(path = "stop_shown.html")]
pub struct StopShownPage {
    /// The frame.
    pub frame: Frame,
    /// The stop.
    pub line: StopLine,
    /// The commitment to the reason.
    pub reason_digest: String,
    /// Who signed last, and when it ended.
    pub resumed: Option<(Text, Moment)>,
    /// How many owners must sign.
    pub needed: usize,
    /// What owners signed.
    pub signed: Vec<ResumedLine>,
    /// How this person can resume it.
    pub resuming: Resuming,
}
