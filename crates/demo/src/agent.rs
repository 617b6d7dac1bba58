//! An agent's side of a call: an MCP client that presents its authority to a gateway.
//!
//! The protocol is `rmcp`'s; this module adds the presentation at the HTTP layer, so that every attempt, a retry
//! included, carries a fresh one. Keys stay behind the [`Presenter`].

mod direct;
mod outcome;
mod presenter;
mod transport;

use std::{sync::Arc, time::Duration};

use rmcp::{
    ClientCacheConfig, ClientLifecycleMode, RoleClient, ServiceError,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ClientConfig,
        GetPromptRequestParams, GetPromptResponse, GetPromptResult, Implementation, JsonObject,
        Prompt, ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse,
        ReadResourceResult, Resource, Tool,
    },
    service::{RunningService, serve_client_with_lifecycle},
    transport::{
        StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig,
    },
};

pub use direct::DirectCaller;
pub use outcome::{AgentError, CallOutcome, Denial, Outcome};
pub use presenter::{
    FixedPresenter, MessageHeaders, PRESENTATION_META_KEY, PresentError, Presentation, Presenter,
    RecordingPresenter,
};

/// Longest an agent waits for an answer unless told otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// Which MCP protocol an agent speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Era {
    /// 2025-11-25: `initialize`, a session, an event stream.
    Sessions,
    /// 2026-07-28: `server/discover`, then each request stands for itself.
    Stateless,
}

impl Era {
    /// Both, oldest first.
    pub const ALL: [Self; 2] = [Self::Sessions, Self::Stateless];

    /// The protocol version as MCP writes it.
    pub fn version(self) -> &'static str {
        match self {
            Self::Sessions => "2025-11-25",
            Self::Stateless => "2026-07-28",
        }
    }

    fn lifecycle(self) -> ClientLifecycleMode {
        match self {
            Self::Sessions => ClientLifecycleMode::Initialize,
            Self::Stateless => ClientLifecycleMode::Discover {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            },
        }
    }
}

/// Where and how to connect.
#[derive(Clone)]
pub struct Connection {
    url: String,
    server: String,
    era: Era,
    presenter: Option<Arc<dyn Presenter>>,
    bearer: Option<String>,
    timeout: Duration,
}

impl Connection {
    /// A connection to the MCP endpoint `url`, behind which is the tool server that the gateway calls `server`.
    pub fn new(url: impl Into<String>, server: impl Into<String>, era: Era) -> Self {
        Self {
            url: url.into(),
            server: server.into(),
            era,
            presenter: None,
            bearer: None,
            timeout: DEFAULT_TIMEOUT,
        }
    }

    /// Presents authority with every message.
    #[must_use]
    pub fn presenting(mut self, presenter: Arc<dyn Presenter>) -> Self {
        self.presenter = Some(presenter);
        self
    }

    /// Sends `Authorization: Bearer` with every message, as a gateway does towards a tool server.
    #[must_use]
    pub fn with_bearer(mut self, credential: impl Into<String>) -> Self {
        self.bearer = Some(credential.into());
        self
    }

    /// Waits at most this long for the connection and for each answer.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Connects: `initialize` or `server/discover`, by [`Era`].
    ///
    /// # Errors
    /// [`AgentError::Denied`] when the other side refuses this caller, otherwise [`AgentError::Transport`].
    pub async fn connect(self) -> Result<AgentClient, AgentError> {
        let http =
            transport::PresentingHttp::new(transport::http_client()?, self.server, self.presenter);
        let mut config = StreamableHttpClientTransportConfig::with_uri(self.url);
        config.auth_header = self.bearer;
        let client = ClientConfig::new(
            ClientCapabilities::default(),
            Implementation::new("bailiwick-agent", env!("CARGO_PKG_VERSION")),
        )
        .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE);
        let connecting = serve_client_with_lifecycle(
            client,
            StreamableHttpClientTransport::with_client(http, config),
            self.era.lifecycle(),
        );
        let service = tokio::time::timeout(self.timeout, connecting)
            .await
            .map_err(|_| AgentError::timed_out(self.timeout))?
            .map_err(|error| AgentError::from_initialize(&error))?;
        // SECURITY: a cached list or resource would be an answer that nobody decided on, and by default rmcp even
        // serves an expired one when the request is refused.
        service.set_response_cache_config(ClientCacheConfig::disabled()).await;
        Ok(AgentClient { service, timeout: self.timeout })
    }
}

/// Connects an agent to the gateway's endpoint for one tool server.
///
/// # Errors
/// As [`Connection::connect`].
pub async fn connect(
    url: &str,
    server_name: &str,
    era: Era,
    presenter: Arc<dyn Presenter>,
) -> Result<AgentClient, AgentError> {
    Connection::new(url, server_name, era).presenting(presenter).connect().await
}

/// An agent's open MCP connection.
pub struct AgentClient {
    service: RunningService<RoleClient, ClientConfig>,
    timeout: Duration,
}

impl AgentClient {
    /// The protocol version that was agreed on.
    pub fn protocol_version(&self) -> Option<String> {
        self.service.peer_info().map(|info| info.protocol_version.to_string())
    }

    async fn within<T>(
        &self,
        request: impl Future<Output = Result<T, ServiceError>>,
    ) -> Result<T, AgentError> {
        match tokio::time::timeout(self.timeout, request).await {
            Ok(result) => result.map_err(|error| AgentError::from_service(&error)),
            Err(_) => Err(AgentError::timed_out(self.timeout)),
        }
    }

    /// The tools this agent is shown.
    ///
    /// # Errors
    /// [`AgentError`] when the list was refused or did not arrive.
    pub async fn list_tools(&self) -> Result<Vec<Tool>, AgentError> {
        self.within(self.service.list_all_tools()).await
    }

    /// The resources this agent is shown.
    ///
    /// # Errors
    /// [`AgentError`] when the list was refused or did not arrive.
    pub async fn list_resources(&self) -> Result<Vec<Resource>, AgentError> {
        self.within(self.service.list_all_resources()).await
    }

    /// The prompts this agent is shown.
    ///
    /// # Errors
    /// [`AgentError`] when the list was refused or did not arrive.
    pub async fn list_prompts(&self) -> Result<Vec<Prompt>, AgentError> {
        self.within(self.service.list_all_prompts()).await
    }

    /// Reads the tools' definitions: from then on calls repeat in headers the arguments that these mark with
    /// `x-mcp-header` (2026-07-28). A listing that is refused changes nothing: the call says why.
    pub async fn learn(&self) {
        if let Err(error) = self.list_tools().await {
            tracing::debug!(?error, "no definitions were read");
        }
    }

    /// Calls a tool, once: neither a refusal nor a request for input is answered.
    pub async fn call_tool(&self, name: &str, arguments: JsonObject) -> CallOutcome {
        let params = CallToolRequestParams::new(name.to_owned()).with_arguments(arguments);
        match self.within(self.service.call_tool_once(params)).await {
            Ok(CallToolResponse::Complete(result)) => Outcome::of_tool(result),
            Ok(_) => Outcome::unsupported(),
            Err(error) => error.into(),
        }
    }

    /// Reads a resource.
    pub async fn read_resource(&self, uri: &str) -> Outcome<ReadResourceResult> {
        match self
            .within(self.service.read_resource_once(ReadResourceRequestParams::new(uri)))
            .await
        {
            Ok(ReadResourceResponse::Complete(result)) => Outcome::Allowed(result),
            Ok(_) => Outcome::unsupported(),
            Err(error) => error.into(),
        }
    }

    /// Gets a prompt; its arguments are strings.
    pub async fn get_prompt(&self, name: &str, arguments: JsonObject) -> Outcome<GetPromptResult> {
        let mut params = GetPromptRequestParams::new(name);
        params.arguments = Some(arguments);
        match self.within(self.service.get_prompt_once(params)).await {
            Ok(GetPromptResponse::Complete(result)) => Outcome::Allowed(result),
            Ok(_) => Outcome::unsupported(),
            Err(error) => error.into(),
        }
    }

    /// Ends the session, if there is one, and closes the connection.
    pub async fn close(mut self) {
        if let Err(error) = self.service.close().await {
            tracing::debug!(%error, "the client's task failed while closing");
        }
    }
}

/// What a call of a tool gives when it is allowed.
pub type ToolResult = CallToolResult;
