//! Keys that principals make themselves, and the public part that is registered.

use std::path::{Path, PathBuf};

use bailiwick_authority::Refusal;
use bailiwick_core::ids::PrincipalId;
use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::json::{Json, Object};

use crate::error::CliError;
use crate::keyfile::{self, Algorithm, PrincipalKey, Reserved};
use crate::output::Output;

/// A file named after a principal.
pub(super) fn file(id: &PrincipalId, ending: &str) -> PathBuf {
    format!("{}.{ending}", id.as_str().replace(':', "-")).into()
}

/// Makes a key where it stays.
pub(super) fn make(
    id: &PrincipalId,
    algorithm: Algorithm,
    key: Option<PathBuf>,
    jwk: Option<PathBuf>,
    out: Output,
) -> Result<(), CliError> {
    let (key, jwk) =
        (key.unwrap_or_else(|| file(id, "key")), jwk.unwrap_or_else(|| file(id, "jwk")));
    let place = Reserved::new(&jwk)?;
    let made = PrincipalKey::create(&key, id, algorithm)?;
    place.write(&Json::from(made.jwk()).canonical())?;
    let thumbprint = made.key.verifying_key().thumbprint();
    let object = Object::new()
        .with("principal", id)
        .with("key", key.display().to_string())
        .with("jwk", jwk.display().to_string())
        .with("thumbprint", thumbprint);
    let text = format!(
        "made a key for {id}\n  private key  {} (stays here, mode 0600)\n  public key   {}\n  thumbprint   {thumbprint}",
        key.display(),
        jwk.display(),
    );
    out.result(object, text);
    out.next(&[&format!(
        "bailiwick principal add {id} --jwk {}   # on the authority's host, with the public file alone",
        jwk.display()
    )]);
    Ok(())
}

/// Reads a public JWK. A private one is refused before anything is done with
/// it: it has no business on this machine.
pub(in crate::verbs) fn read_public(path: &Path) -> Result<Object, CliError> {
    let json = keyfile::read_json(path)?;
    let Json::Object(jwk) = json else {
        return Err(CliError::usage(
            "jwk-malformed",
            format!("`{}` is no JWK", path.display()),
            "pass one public JWK (RFC 7517), Ed25519 or P-256",
        ));
    };
    VerifyingKey::from_jwk(&jwk).map_err(Refusal::from)?;
    Ok(jwk)
}
