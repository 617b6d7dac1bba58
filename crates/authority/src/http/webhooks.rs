//! Sending a message to a webhook's receiver.
//!
//! SECURITY: as to a provider: https, or in the clear on this very machine; the
//! name is resolved once; private addresses only where the operator says so; no
//! redirect, proxy or cookie; five seconds. What the receiver answers is
//! thrown away: only its status counts.

use http::{StatusCode, header};
use openidconnect::AsyncHttpClient as _;
use url::Url;

use super::provider::{Network, ProviderHttp, ProviderHttpError};
use crate::webhooks::Message;

/// Why a receiver did not take a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It is where nobody may have us connect.
    #[error("the receiver's address is not allowed")]
    Address,
    /// In the clear over a network.
    #[error("the receiver is not reached by https")]
    Clear,
    /// No connection, it broke, or it took too long.
    #[error("the receiver cannot be reached, or did not answer within five seconds")]
    Unreachable,
    /// It answered with another status than 2xx; redirects are not followed.
    #[error("the receiver answered {status}, expected 2xx")]
    Status {
        /// Which.
        status: u16,
    },
}

impl From<ProviderHttpError> for SendError {
    fn from(error: ProviderHttpError) -> Self {
        match error {
            ProviderHttpError::Address => Self::Address,
            ProviderHttpError::Clear => Self::Clear,
            ProviderHttpError::Client
            | ProviderHttpError::TooLarge
            | ProviderHttpError::Unreachable => Self::Unreachable,
        }
    }
}

impl SendError {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Address => "webhook-address",
            Self::Clear => "webhook-in-the-clear",
            Self::Unreachable => "webhook-unreachable",
            Self::Status { .. } => "webhook-status",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Address => "set `network = \"inside\"` if the receiver is in your own network",
            Self::Clear => "give the receiver an https:// URL",
            Self::Unreachable => "see to it that the receiver runs and answers at once",
            Self::Status { .. } => {
                "look at the receiver's log: it should answer 2xx as soon as it has the message"
            }
        }
    }

    /// Whether another try is no use: the receiver says that it is gone.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Status { status } if status == StatusCode::GONE.as_u16())
    }
}

/// Sends one message.
///
/// # Errors
/// See [`SendError`].
pub async fn send(url: &Url, network: Network, message: &Message) -> Result<(), SendError> {
    let request = http::Request::post(url.as_str())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, "bailiwick-webhook")
        .header("webhook-id", &message.id)
        .header("webhook-timestamp", message.seconds)
        .header("webhook-signature", &message.signature)
        .body(message.body.clone().into_bytes())
        .map_err(|_| SendError::Unreachable)?;
    let answer = ProviderHttp { network }.call(request).await;
    let status = answer?.status();
    if status.is_success() { Ok(()) } else { Err(SendError::Status { status: status.as_u16() }) }
}
