//! How sure we are: of a peer ([`Guarantee`]), of possession ([`Assurance`]) and
//! of what somebody says ([`Grade`]).

/// A text that names no level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such level")]
pub struct UnknownLevel;

macro_rules! levels {
    ($(#[$doc:meta])* $type:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize,
        )]
        pub enum $type { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)* }

        impl $type {
            /// Every level, weakest first.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Reads its name.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::str::FromStr for $type {
            type Err = UnknownLevel;
            fn from_str(text: &str) -> Result<Self, UnknownLevel> {
                Self::parse(text).ok_or(UnknownLevel)
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

levels! {
    /// How a peer's identity was proved; a chain has its weakest hop's.
    Guarantee {
        /// An enrolled key signed.
        Key = "key",
        /// A JWT from its trust domain named it.
        Jwt = "jwt",
        /// It authenticated by mutual TLS.
        Mtls = "mtls",
        /// Its workload was attested.
        Attested = "attested",
    }
}

levels! {
    /// What keeps an instance's program from its keys, as the instance's host
    /// states in the enrolment; a chain has its weakest hop's.
    Isolation {
        /// Nothing.
        None = "none",
        /// The enrolment does not say.
        Unstated = "unstated",
        /// The program runs as another user of the host.
        User = "user",
        /// The program runs in namespaces of its own.
        Namespaces = "namespaces",
    }
}

impl Isolation {
    /// Its name, if the enrolment says anything; records have no member
    /// otherwise.
    #[must_use]
    pub const fn stated(self) -> Option<&'static str> {
        match self {
            Self::Unstated => None,
            stated => Some(stated.as_str()),
        }
    }

    /// Reads a record's member; `None` if that is no word for it.
    #[must_use]
    pub fn recorded(member: Option<&crate::json::Json>) -> Option<Self> {
        let Some(stated) = member else { return Some(Self::Unstated) };
        Self::parse(stated.as_str()?).filter(|stated| *stated != Self::Unstated)
    }
}

levels! {
    /// How well a claim is founded, as its reader finds out; policy can ask for
    /// one.
    Grade {
        /// Somebody says so.
        Asserted = "asserted",
        /// A peer that is identified signed it.
        Signed = "signed",
        /// The ledger has the output that it rests on.
        Proven = "proven",
    }
}

levels! {
    /// What possession was proved for a call.
    Assurance {
        /// A bearer token: nothing was proved.
        None = "none",
        /// DPoP: possession of the token's key.
        Token = "token",
        /// DPoP and a signature over the body.
        Request = "request",
        /// A proof over tool and arguments.
        Arguments = "arguments",
    }
}
