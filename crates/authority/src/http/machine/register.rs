//! Dynamic registration (RFC 7591), for clients that publish no document.

use bailiwick_core::limits::JsonLimits;
use bailiwick_store::ClientSource;

use super::*;
use crate::oauth::client::{ClientId, ClientMetadata, Source};
use crate::rules::clients::NewClient;

const MAX_METADATA: usize = 16 * 1024;
const JSON: JsonLimits = JsonLimits { max_bytes: MAX_METADATA, max_depth: 8, max_values: 512 };

pub(super) async fn register(State(machine): State<Machine>, request: Request) -> Response {
    match registered(&machine, request).await {
        Ok(body) => answer::created(&body),
        Err(error) => answer::refused(&error),
    }
}

async fn registered(machine: &Machine, request: Request) -> Result<Json, OAuthError> {
    let cx = &machine.0;
    let from = address(&request);
    cx.addresses.admit(from, cx.now()).map_err(OAuthError::rate_limited)?;
    // Whoever it is leaves an entry behind.
    cx.registrations.admit(from, cx.now()).map_err(OAuthError::rate_limited)?;
    let (parts, body) = request.into_parts();
    answer::content_type(&parts.headers, "application/json")?;
    let body = answer::read(body, MAX_METADATA).await?;
    let bad = |text: String| {
        OAuthError::new(Code::InvalidClientMetadata, "client-metadata-malformed", text)
    };
    let json = Json::parse(&body, &JSON).map_err(|e| bad(format!("the body: {e}")))?;
    let object = json.as_object().ok_or_else(|| bad("the body is no JSON object".to_owned()))?;
    let metadata = ClientMetadata::parse(object, Source::Dynamic)?;
    let authority = cx.authority.clone();
    let client = blocking(move || {
        let unavailable = |_| OAuthError::unavailable("registration");
        let moment = crate::host::Moment::of(authority.host());
        let id = ClientId::mint(moment.random().map_err(unavailable)?).to_string();
        let new = NewClient {
            name: metadata.name.clone().unwrap_or_else(|| "unnamed client".to_owned()),
            id,
            source: ClientSource::Dynamic,
            metadata: Json::from(metadata.to_json()).canonical(),
        };
        let client = authority.client_register(new).map_err(unavailable)?;
        Ok((client, metadata))
    });
    let (client, metadata) = client.await?;
    let answer = metadata
        .to_json()
        .with("client_id", client.id.as_str())
        .with("client_id_issued_at", client.registered.seconds());
    Ok(answer.into())
}
