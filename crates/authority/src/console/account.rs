//! Login, enrolment of a passkey, and one's own passkeys.

use askama::Template;

use super::{EntryLine, Frame, Moment, Text};
use crate::OwnPasskey;

/// An OpenID Connect provider that people may log in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// What the button says.
    pub name: Text,
    /// Where it leads.
    pub path: String,
}

/// `/login`
#[derive(Clone, Debug, Template)]
#[template(path = "login.html")]
pub struct LoginPage {
    /// The frame.
    pub frame: Frame,
    /// Where to go afterwards: a path of ours.
    pub next: String,
    /// Providers, if any.
    pub providers: Vec<Provider>,
    /// What led here, for example that a session ended.
    pub notice: Option<String>,
}

/// `/enrol/{secret}`: the first passkey, by a one-time link.
#[derive(Clone, Debug, Template)]
#[template(path = "enrol.html")]
pub struct EnrolPage {
    /// The frame.
    pub frame: Frame,
    /// Whose passkey it will be.
    pub principal: Text,
    /// Until when the link may be used.
    pub until: Moment,
}

/// One passkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeyLine {
    /// Its id, for the form.
    pub id: String,
    /// Its name.
    pub label: Text,
    /// When it was added.
    pub added: Moment,
    /// When it was last used.
    pub used: Option<Moment>,
}

impl PasskeyLine {
    /// A passkey as its page shows it.
    #[must_use]
    pub fn of(passkey: &OwnPasskey) -> Self {
        Self {
            id: passkey.id.clone(),
            label: Text::of(&passkey.label),
            added: Moment::of(passkey.added),
            used: passkey.used.map(Moment::of),
        }
    }
}

/// A login at an identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginLine {
    /// Where.
    pub provider: Text,
    /// As whom.
    pub subject: Text,
    /// When it was added.
    pub added: Moment,
}

/// `/account`
#[derive(Clone, Debug, Template)]
#[template(path = "passkeys.html")]
pub struct PasskeysPage {
    /// The frame.
    pub frame: Frame,
    /// The person's passkeys.
    pub passkeys: Vec<PasskeyLine>,
    /// Their logins that count.
    pub logins: Vec<LoginLine>,
    /// Providers at which they can add one.
    pub providers: Vec<Provider>,
    /// What happened to the account, newest first.
    pub entries: Vec<EntryLine>,
}
