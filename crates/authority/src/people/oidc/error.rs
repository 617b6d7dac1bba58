//! Why a login at a provider, or what rests on it, did not succeed.

use bailiwick_core::id_token::IdTokenProblem;

use crate::http::provider::ProviderHttpError;
use crate::rules::logins::MAX_LOGINS;

/// A login that did not succeed. Nothing was issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// The provider gave no answer.
    #[error("the identity provider does not answer: {0}")]
    Unreachable(ProviderHttpError),
    /// The configuration cannot be used.
    #[error("the identity provider's configured `{member}` cannot be used: expected {expected}")]
    Config {
        /// Which member.
        member: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Its metadata or keys cannot be used, or are another provider's.
    #[error("the identity provider's metadata cannot be used: {problem}")]
    Metadata {
        /// Why.
        problem: &'static str,
    },
    /// The answer belongs to no login that this browser began.
    #[error("the login was not begun in this browser, or was finished already")]
    State,
    /// The answer is another provider's.
    #[error("the answer does not come from the provider where the login began")]
    MixUp,
    /// The provider or the person said no.
    #[error("the identity provider refused the login: `{code}`")]
    Refused {
        /// Its error code.
        code: String,
    },
    /// No code and no error, or malformed.
    #[error("the identity provider's answer is malformed")]
    Answer,
    /// The code was not exchanged.
    #[error("the identity provider did not accept the login's code")]
    Exchange,
    /// A claim that the operator named has another form.
    #[error("the identity provider's claim `{claim}` has another form than expected")]
    Claim {
        /// Which.
        claim: String,
    },
    /// The `id_token` does not hold.
    #[error("the identity provider's `id_token` does not hold: {0}")]
    IdToken(#[from] IdTokenProblem),
    /// No principal is known by this login, or it may not sign in.
    #[error("no principal that may sign in is known by the login `{subject}` at `{provider}`")]
    Unknown {
        /// The provider's name here.
        provider: String,
        /// `sub` there.
        subject: String,
    },
    /// The principal is outside what the provider may speak for.
    #[error("the provider `{provider}` may not speak for this principal")]
    Namespace {
        /// The provider's name here.
        provider: String,
    },
    /// No name can be made for a person who comes for the first time.
    #[error("the login's `{claim}` gives no name for a principal that `{provider}` may speak for")]
    Name {
        /// The provider's name here.
        provider: String,
        /// The claim that the name would be made of.
        claim: String,
    },
    /// The name that a person who comes for the first time would get is taken.
    #[error("the name that the login `{subject}` at `{provider}` would get is somebody's already")]
    NameTaken {
        /// The provider's name here.
        provider: String,
        /// `sub` there.
        subject: String,
    },
    /// The login is, or was, another principal's, or was taken away.
    #[error("this login belongs, or belonged, to another principal, or was taken away")]
    Taken,
    /// The person has as many logins as one may add.
    #[error("a person adds at most {MAX_LOGINS} logins")]
    TooMany,
    /// The person signs in elsewhere than at this provider.
    #[error("you are not known by a login at this provider")]
    NotTheirs,
}

impl OidcError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "provider-unreachable",
            Self::Config { .. } => "provider-config-invalid",
            Self::Metadata { .. } => "provider-metadata-invalid",
            Self::State => "login-state-unknown",
            Self::MixUp => "login-other-provider",
            Self::Refused { .. } => "login-refused",
            Self::Answer => "login-answer-malformed",
            Self::Exchange => "login-code-refused",
            Self::Claim { .. } => "login-claim-malformed",
            Self::IdToken(problem) => problem.code(),
            Self::Unknown { .. } => "login-unknown",
            Self::Namespace { .. } => "login-outside-namespace",
            Self::Name { .. } => "login-name-unusable",
            Self::NameTaken { .. } => "login-name-taken",
            Self::Taken => "login-taken",
            Self::TooMany => "logins-too-many",
            Self::NotTheirs => "login-not-theirs",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreachable(ProviderHttpError::Address) => {
                "ask the operator: a provider in the own network needs `network = \"inside\"`"
            }
            Self::Unreachable(_) => "try again later, or sign in another way",
            Self::Config { .. } | Self::Metadata { .. } | Self::Claim { .. } => {
                "tell the operator; until it is mended, sign in another way"
            }
            Self::State | Self::MixUp | Self::Answer | Self::Exchange => "begin the login again",
            Self::Refused { .. } => "log in with an account that may use this installation",
            Self::IdToken(problem) => problem.remedy(),
            Self::NameTaken { .. } | Self::Unknown { .. } => {
                "ask an operator to register this login for you"
            }
            Self::Namespace { .. } => {
                "ask the operator: `principals` of this provider does not name you"
            }
            Self::Name { .. } => "ask an operator to register you and this login",
            Self::Taken => "use a login that was nobody else's, or ask an operator to give it back",
            Self::TooMany => "have an operator take one away first",
            Self::NotTheirs => "sign where you are known, or ask an operator to register the login",
        }
    }

    /// Whether the provider may have a key that is not known here yet.
    pub(super) fn is_unknown_key(&self) -> bool {
        use bailiwick_core::jose::JoseError;
        matches!(self, Self::IdToken(IdTokenProblem::Jws(JoseError::UnknownKey)))
    }
}
