//! The desk's one credential: who does not present it gets 401 and a line in the refusal log.

use std::{fs, path::Path, sync::Arc};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{
    DeskError,
    database::{Database, RefusalReason},
};

/// Fewest characters of a credential.
const MIN_CHARS: usize = 16;

/// The expected credential, wiped on drop and never shown.
pub(super) struct Credential(Zeroizing<String>);

impl Credential {
    /// Reads the credential file.
    #[expect(clippy::disallowed_methods, reason = "a tool server is a program of its own")]
    pub(super) fn read(path: &Path) -> Result<Self, DeskError> {
        let text = fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|source| DeskError::CredentialFile { path: path.to_owned(), source })?;
        let trimmed = text.trim();
        let visible = trimmed.bytes().all(|byte| byte.is_ascii_graphic());
        let found = if visible { trimmed.len() } else { 0 };
        if found < MIN_CHARS {
            return Err(DeskError::CredentialWeak { path: path.to_owned(), min: MIN_CHARS, found });
        }
        Ok(Self(Zeroizing::new(trimmed.to_owned())))
    }

    /// Whether these headers carry the credential, once, as a bearer token.
    fn verify(&self, headers: &HeaderMap) -> Result<(), RefusalReason> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(if headers.contains_key(header::AUTHORIZATION) {
                RefusalReason::Malformed
            } else {
                RefusalReason::Missing
            });
        };
        let presented = value
            .as_bytes()
            .split_at_checked(7)
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "))
            .map(|(_, token)| token)
            .ok_or(RefusalReason::Malformed)?;
        // SECURITY: the comparison takes the same time wherever the first difference is. The length may show.
        if bool::from(presented.ct_eq(self.0.as_bytes())) {
            Ok(())
        } else {
            Err(RefusalReason::Wrong)
        }
    }
}

/// What [`require`] needs.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) credential: Arc<Credential>,
    pub(super) database: Arc<Database>,
}

/// Lets a request pass only with the credential (RFC 6750 §3).
pub(super) async fn require(
    State(guard): State<Guard>,
    mut request: Request,
    next: Next,
) -> Response {
    match guard.credential.verify(request.headers()) {
        Ok(()) => {
            request.headers_mut().remove(header::AUTHORIZATION);
            next.run(request).await
        }
        Err(reason) => {
            tracing::warn!(reason = reason.as_str(), method = %request.method(), "refused a caller without the credential");
            if let Err(error) = guard.database.log_refusal(reason, request.method().as_str()) {
                tracing::error!(%error, "could not log a refusal");
            }
            let challenge =
                HeaderValue::from_static("Bearer realm=\"support desk\", error=\"invalid_token\"");
            let mut response = (StatusCode::UNAUTHORIZED, "unauthorized\n").into_response();
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        map
    }

    fn credential() -> Credential {
        Credential(Zeroizing::new("0123456789abcdef".to_owned()))
    }

    #[test]
    fn the_right_credential_passes_whatever_the_case_of_the_scheme() {
        assert_eq!(credential().verify(&headers(&["Bearer 0123456789abcdef"])), Ok(()));
        assert_eq!(credential().verify(&headers(&["bearer 0123456789abcdef"])), Ok(()));
    }

    #[test]
    fn anything_else_is_refused() {
        for (values, reason) in [
            (&[][..], RefusalReason::Missing),
            (&["Bearer 0123456789abcdee"], RefusalReason::Wrong),
            (&["Bearer 0123456789abcde"], RefusalReason::Wrong),
            (&["Bearer "], RefusalReason::Wrong),
            (&["Basic 0123456789abcdef"], RefusalReason::Malformed),
            (&["0123456789abcdef"], RefusalReason::Malformed),
            (&["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"], RefusalReason::Malformed),
        ] {
            assert_eq!(credential().verify(&headers(values)), Err(reason), "{values:?}");
        }
    }

    #[test]
    fn a_short_or_unprintable_credential_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credential");
        for text in ["", "short", "0123456789 abcdef", "0123456789abcdéf"] {
            fs::write(&path, text).unwrap();
            assert_eq!(
                Credential::read(&path).err().unwrap().code(),
                "desk-credential-weak",
                "{text:?}"
            );
        }
        fs::write(&path, "0123456789abcdef\n").unwrap();
        assert!(Credential::read(&path).is_ok());
        assert_eq!(
            Credential::read(&dir.path().join("none")).err().unwrap().code(),
            "desk-credential-file"
        );
    }
}
