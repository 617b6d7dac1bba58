//! The same operations for a program that speaks no MCP: JSON over HTTP on a
//! Unix socket that its owner alone can open.

use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use tokio::net::UnixListener;

use super::{Peers, Told, tools};
use crate::error::CliError;

/// Bytes of a request at most: context is the largest part of one.
const MAX_REQUEST: usize = 4 << 20;

fn in_use(path: &Path) -> CliError {
    CliError::environment(
        "peer-api-in-use",
        format!("`{}` is there already", path.display()),
        "stop what uses it, or choose another path",
    )
}

/// The socket's file, which goes with it.
struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// SECURITY: the file has its mode before anybody can find it, because whoever
/// opens it uses the instance's delegations.
fn bind(path: &Path) -> Result<(UnixListener, Place), CliError> {
    let failed = |e: std::io::Error| CliError::file(path, "make", &e);
    match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(failed(e)),
        // One that nobody answers is what a killed process left.
        Ok(found) if found.file_type().is_socket() => {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(in_use(path));
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
        Ok(_) => return Err(in_use(path)),
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let hidden = tempfile::Builder::new()
        .prefix(".peer-api")
        .tempdir_in(folder.unwrap_or(Path::new(".")))
        .map_err(failed)?;
    let made = hidden.path().join("socket");
    let listener = UnixListener::bind(&made).map_err(failed)?;
    std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    std::fs::rename(&made, path).map_err(failed)?;
    Ok((listener, Place(path.to_owned())))
}

/// Serves the operations at `path` for as long as it is polled; the socket is
/// there when this returns.
pub(crate) fn serve(
    peers: &Arc<Peers>,
    path: &Path,
) -> Result<impl Future<Output = ()> + Send + use<>, CliError> {
    let (listener, place) = bind(path)?;
    let router = Router::new().route("/{operation}", post(answer)).with_state(Arc::clone(peers));
    Ok(async move {
        let _place = place;
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the socket for other agents serves no more");
        }
    })
}

async fn answer(
    State(peers): State<Arc<Peers>>,
    axum::extract::Path(operation): axum::extract::Path<String>,
    request: Request,
) -> Response {
    if !tools::is_own(&operation) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let asked = async {
        let malformed = || {
            Told::new(
                "request-malformed",
                "the body is no JSON object",
                "send the arguments as JSON",
            )
        };
        let body = axum::body::to_bytes(request.into_body(), MAX_REQUEST).await;
        let body = body.map_err(|_| malformed())?;
        let limits = JsonLimits { max_bytes: MAX_REQUEST, ..JsonLimits::DEFAULT };
        let arguments = match body.is_empty() {
            true => Object::new(),
            false => match Json::parse(&body, &limits) {
                Ok(Json::Object(arguments)) => arguments,
                _ => return Err(malformed()),
            },
        };
        peers.call(&operation, &arguments).await
    };
    let (status, media, body) = match asked.await {
        Ok(answer) => (StatusCode::OK, "application/json", answer),
        Err(told) => (StatusCode::UNPROCESSABLE_ENTITY, "application/problem+json", problem(&told)),
    };
    (status, [(header::CONTENT_TYPE, media)], Body::from(Json::from(body).canonical()))
        .into_response()
}

/// Problem details (RFC 9457).
fn problem(told: &Told) -> Object {
    Object::new()
        .with("type", format!("urn:bailiwick:problem:{}", told.code))
        .with("title", told.code.as_str())
        .with("detail", told.message.as_str())
        .with("remedy", told.remedy.as_str())
}
