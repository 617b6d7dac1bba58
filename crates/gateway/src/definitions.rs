//! What a tool server says its tools are, read for a person who will pin them.

use std::sync::Arc;

use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::a2a::card::Card;
use bailiwick_policy::catalogue::DefinitionKind;

use crate::gateway::Gateway;
use crate::pins::{self, NoCard};
use crate::ports::{ToolServer, VaultFault};

/// Why a tool server's definitions could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ListError {
    /// The stable code.
    pub code: &'static str,
    message: String,
    /// What to do about it.
    pub remedy: &'static str,
}

impl Gateway {
    /// A tool server with the gateway's own credential, to read its definitions.
    ///
    /// # Errors
    /// [`VaultFault`].
    pub async fn with_own_credential(
        &self,
        server: Arc<ToolServer>,
    ) -> Result<Arc<ToolServer>, VaultFault> {
        self.broker.equip_own(server).await
    }

    /// The card that an agent shows at `server`, signed by one of `keys`.
    ///
    /// # Errors
    /// [`ListError`].
    pub async fn agent_card(
        &self,
        server: &ToolServer,
        keys: &[VerifyingKey],
    ) -> Result<Card, ListError> {
        let limit = self.config.message_timeout;
        pins::fetch(&self.upstream, limit, server, keys).await.map_err(|no| match no {
            NoCard::Failed(failure) => {
                let (code, message, remedy) = failure.words();
                ListError { code, message: message.to_owned(), remedy }
            }
            NoCard::Refused(refused) => ListError {
                code: refused.code(),
                message: refused.to_string(),
                remedy: refused.remedy(),
            },
        })
    }

    /// Whether a tool server lists any resource, or a pattern of some.
    pub async fn has_resources(&self, server: &ToolServer) -> bool {
        for (method, member) in
            [("resources/list", "resources"), ("resources/templates/list", "resourceTemplates")]
        {
            let limit = self.config.message_timeout;
            let items = pins::list_all(&self.upstream, limit, server, method, member).await;
            if items.is_ok_and(|items| !items.is_empty()) {
                return true;
            }
        }
        false
    }

    /// The whole listing of one kind, as `{"tools": […]}` or
    /// `{"prompts": […]}`, read as the gateway reads it when it compares pins.
    ///
    /// # Errors
    /// [`ListError`].
    pub async fn definitions(
        &self,
        server: &ToolServer,
        kind: DefinitionKind,
    ) -> Result<Json, ListError> {
        let member = kind.member();
        let method = match kind {
            DefinitionKind::Tool => "tools/list",
            DefinitionKind::Prompt => "prompts/list",
            // Nobody lists them: a person brings the API's file, and a card is no
            // listing.
            DefinitionKind::Card | DefinitionKind::Operation => {
                return Ok(Object::new().with(member, Vec::new()).into());
            }
        };
        let limit = self.config.message_timeout;
        let listed = pins::list_all(&self.upstream, limit, server, method, member).await;
        let items = listed.map_err(|failure| {
            let (code, message, remedy) = failure.words();
            ListError { code, message: message.to_owned(), remedy }
        })?;
        Ok(Object::new().with(member, items).into())
    }
}
