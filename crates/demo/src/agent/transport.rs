//! rmcp's HTTP layer with the presentation added to every message that leaves.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use futures_util::stream::BoxStream;
use http::{HeaderName, HeaderValue};
use rmcp::{
    model::{ClientJsonRpcMessage, ClientRequest, GetMeta as _, JsonObject},
    transport::streamable_http_client::{
        SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
        StreamableHttpResponseLimits,
    },
};
use serde_json::Value;
use sse_stream::Sse;

use super::{
    AgentError,
    presenter::{MessageHeaders, PRESENTATION_META_KEY, PresentError, Presenter},
};

const AAT_CHAIN: HeaderName = HeaderName::from_static("aat-chain");
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

type HttpError = StreamableHttpError<reqwest::Error>;
type Headers = HashMap<HeaderName, HeaderValue>;

/// The agent's HTTP client. It follows no redirect and uses no proxy, because a proof names the URL it is for.
///
/// When the binary is built with TLS, a rustls provider must have been installed before.
pub(super) fn http_client() -> Result<reqwest::Client, AgentError> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .build()
        .map_err(|error| AgentError::transport(&error))
}

/// A [`StreamableHttpClient`] that signs.
#[derive(Clone)]
pub(super) struct PresentingHttp {
    http: reqwest::Client,
    server: Arc<str>,
    presenter: Option<Arc<dyn Presenter>>,
}

/// How a gateway's own `requestState` begins.
const WAITING: &str = "bailiwick-approval.";

/// The tool id and the arguments that a proof is made over, for a request that is a call.
fn call_of(server: &str, request: &ClientRequest) -> Option<(String, JsonObject)> {
    let (id, arguments, input, state) = match request {
        ClientRequest::CallToolRequest(call) => (
            format!("mcp:{server}:tools/{}", call.params.name),
            call.params.arguments.clone().unwrap_or_default(),
            &call.params.input_responses,
            &call.params.request_state,
        ),
        ClientRequest::GetPromptRequest(get) => (
            format!("mcp:{server}:prompts/{}", get.params.name),
            get.params.arguments.clone().unwrap_or_default(),
            &get.params.input_responses,
            &get.params.request_state,
        ),
        ClientRequest::ReadResourceRequest(read) => (
            format!("mcp:{server}:resources/read"),
            JsonObject::from_iter([("uri".to_owned(), Value::from(read.params.uri.clone()))]),
            &read.params.input_responses,
            &read.params.request_state,
        ),
        _ => return None,
    };
    let mut arguments = arguments;
    // What the gateway asked itself, of a call that waits for a person, is no part of the call.
    if state.as_ref().is_some_and(|state| state.starts_with(WAITING)) {
        return Some((id, arguments));
    }
    if let Some(input) = input {
        // `$input` is reserved: what the server asked for is part of what is signed.
        arguments.insert("$input".to_owned(), serde_json::to_value(input).unwrap_or_default());
    }
    if let Some(state) = state {
        arguments.insert("$state".to_owned(), Value::from(state.clone()));
    }
    Some((id, arguments))
}

/// RFC 9449 §4.2: `htu` is the URL without query and fragment.
fn endpoint(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

fn refused(error: PresentError) -> HttpError {
    StreamableHttpError::Io(io::Error::other(error))
}

fn header(value: &str) -> Result<HeaderValue, HttpError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        refused(PresentError::new("the presenter gave characters that no header can carry"))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

impl PresentingHttp {
    pub(super) fn new(
        http: reqwest::Client,
        server: String,
        presenter: Option<Arc<dyn Presenter>>,
    ) -> Self {
        Self { http, server: server.into(), presenter }
    }

    fn sign_message(
        &self,
        method: &str,
        url: &str,
        headers: &mut Headers,
    ) -> Result<(), HttpError> {
        if let Some(presenter) = &self.presenter {
            let MessageHeaders { aat_chain, dpop } =
                presenter.for_message(method, endpoint(url)).map_err(refused)?;
            headers.insert(AAT_CHAIN, header(&aat_chain)?);
            headers.insert(DPOP, header(&dpop)?);
        }
        Ok(())
    }

    fn sign_post(
        &self,
        url: &str,
        message: &mut ClientJsonRpcMessage,
        headers: &mut Headers,
    ) -> Result<(), HttpError> {
        if let (ClientJsonRpcMessage::Request(request), Some(presenter)) =
            (&mut *message, &self.presenter)
            && let Some((id, arguments)) = call_of(&self.server, &request.request)
        {
            let presentation = presenter.for_call(&id, &arguments).map_err(refused)?;
            let presentation = serde_json::to_value(presentation)?;
            request.request.get_meta_mut().insert(PRESENTATION_META_KEY.to_owned(), presentation);
            return Ok(());
        }
        self.sign_message("POST", url, headers)
    }
}

impl StreamableHttpClient for PresentingHttp {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<StreamableHttpPostResponse, HttpError> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(
            uri,
            message,
            session_id,
            auth_header,
            custom_headers,
            limits,
        )
        .await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        mut message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        mut custom_headers: Headers,
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, HttpError> {
        self.sign_post(&uri, &mut message, &mut custom_headers)?;
        self.http
            .post_message_with_response_limits(
                uri,
                message,
                session_id,
                auth_header,
                custom_headers,
                limits,
            )
            .await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        auth_header: Option<String>,
        mut custom_headers: Headers,
    ) -> Result<(), HttpError> {
        self.sign_message("DELETE", &uri, &mut custom_headers)?;
        self.http.delete_session(uri, session_id, auth_header, custom_headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, HttpError> {
        let limit = StreamableHttpResponseLimits::default().max_sse_event_size;
        self.get_stream_with_max_sse_event_size(
            uri,
            session_id,
            last_event_id,
            auth_header,
            custom_headers,
            limit,
        )
        .await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        mut custom_headers: Headers,
        max_sse_event_size: usize,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, HttpError> {
        self.sign_message("GET", &uri, &mut custom_headers)?;
        self.http
            .get_stream_with_max_sse_event_size(
                uri,
                session_id,
                last_event_id,
                auth_header,
                custom_headers,
                max_sse_event_size,
            )
            .await
    }
}
