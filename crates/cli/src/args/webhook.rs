//! Arguments about webhooks.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum WebhookVerb {
    /// The webhooks of the configuration, and how they fare.
    List,
    /// Send a message of the type `webhook.test` now, and say what the receiver answers.
    Test {
        /// The webhook's name.
        name: String,
    },
}
