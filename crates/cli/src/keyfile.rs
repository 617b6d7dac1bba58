//! Key files: private keys as JWK, mode 0600, never overwritten.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsBigEndian as _, EcPrivateKeyBin};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use bailiwick_core::crypto::{P256SigningKey, Signer, SigningKey, base64url, from_base64url};
use bailiwick_core::enrolment::IdentitySigningKey;
use bailiwick_core::ids::{AgentId, InstanceId, PrincipalId};
use bailiwick_core::jose::JwsSigner;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use zeroize::Zeroizing;

use crate::error::{Class, CliError};
use crate::host;

/// Bytes of a key or configuration file at most.
const MAX_FILE: u64 = 1 << 20;

/// Writes a new file with mode 0600; an existing one is never replaced.
pub(crate) fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    Reserved::new(path)?.write(text)
}

/// A new file with mode 0600 that is there before what it is for is done, so
/// that nothing is done for which there is no place. Removed again unless it
/// is written.
pub(crate) struct Reserved {
    path: PathBuf,
    file: fs::File,
    written: bool,
}

impl Reserved {
    pub(crate) fn new(path: &Path) -> Result<Self, CliError> {
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => CliError::environment(
                "file-exists",
                format!("`{}` exists already, and nothing is replaced", path.display()),
                "choose another name, or move the file away",
            ),
            _ => CliError::file(path, "create", &e),
        })?;
        Ok(Self { path: path.to_owned(), file, written: false })
    }

    pub(crate) fn write(mut self, text: &str) -> Result<(), CliError> {
        self.file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_all())
            .map_err(|e| CliError::file(&self.path, "write", &e))?;
        self.written = true;
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.written {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What is wrong with a file of our own, which nobody named, is the
/// installation's fault.
pub(crate) fn own<T>(read: Result<T, CliError>) -> Result<T, CliError> {
    read.map_err(|e| CliError { class: Class::Environment, ..e })
}

/// A file that was named and cannot be read.
fn unreadable(path: &Path, e: &std::io::Error) -> CliError {
    CliError { class: Class::Usage, ..CliError::file(path, "read", e) }
}

/// Strict JSON from a file.
pub(crate) fn json(path: &Path, bytes: &[u8]) -> Result<Json, CliError> {
    Json::parse(bytes, &JsonLimits::DEFAULT).map_err(|e| {
        let message = format!("`{}`: {e}", path.display());
        CliError::usage(e.code(), message, "check the file; it must be strict JSON")
    })
}

/// Reads a private file; refuses one that group or others can read.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let mode = fs::metadata(path).map_err(|e| unreadable(path, &e))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(CliError::environment(
            "key-permissions",
            format!("`{}` is readable by others (mode {:o})", path.display(), mode & 0o777),
            format!("chmod 600 '{}'", path.display()),
        ));
    }
    Ok(Zeroizing::new(read(path)?))
}

/// Reads a file within the size limit.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    read_up_to(path, MAX_FILE)
}

/// Reads a file of at most `max` bytes.
pub(crate) fn read_up_to(path: &Path, max: u64) -> Result<Vec<u8>, CliError> {
    let file = fs::File::open(path).map_err(|e| unreadable(path, &e))?;
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| unreadable(path, &e))?;
    if u64::try_from(bytes.len()).is_ok_and(|n| n > max) {
        return Err(CliError::usage(
            "file-too-large",
            format!("`{}` has more than {max} bytes", path.display()),
            "pass the right file",
        ));
    }
    Ok(bytes)
}

/// Reads strict JSON.
pub(crate) fn read_json(path: &Path) -> Result<Json, CliError> {
    json(path, &read(path)?)
}

fn malformed(path: &Path) -> CliError {
    CliError::usage(
        "key-file-malformed",
        format!("`{}` is not a key file of the expected kind", path.display()),
        "pass the file that `bailiwick` wrote",
    )
}

/// A fresh Ed25519 seed.
pub(crate) fn fresh_seed() -> Result<Zeroizing<[u8; 32]>, CliError> {
    Ok(Zeroizing::new(host::random()?))
}

/// The private JWK of a seed.
fn private_jwk(seed: &[u8; 32]) -> Result<Object, CliError> {
    let key = signing_key(seed)?;
    Ok(key.public_key().to_jwk().with("d", base64url(seed)))
}

/// The signing key of a seed.
pub(crate) fn signing_key(seed: &[u8; 32]) -> Result<SigningKey, CliError> {
    SigningKey::from_seed(seed)
        .map_err(|e| CliError::environment("key", e.to_string(), "make a new key"))
}

fn seed_of(jwk: &Object) -> Option<Zeroizing<[u8; 32]>> {
    let d = Zeroizing::new(from_base64url(jwk.member("d")?.as_str()?)?);
    Some(Zeroizing::new(d.as_slice().try_into().ok()?))
}

/// Writes a fresh plain Ed25519 key and returns it.
pub(crate) fn create_key(path: &Path) -> Result<SigningKey, CliError> {
    let seed = fresh_seed()?;
    write_new(path, &Json::Object(private_jwk(&seed)?).canonical())?;
    signing_key(&seed)
}

/// Writes a fresh key of the kind that a file of this name holds.
pub(crate) fn create(name: &str, path: &Path) -> Result<(), CliError> {
    if name.starts_with("identity.") || name.starts_with("svid.") {
        return create_identity(path);
    }
    create_key(path).map(|_| ())
}

/// Writes a fresh P-256 key for identity tokens or SVIDs.
fn create_identity(path: &Path) -> Result<(), CliError> {
    let document = fresh_p256()?;
    let identity = IdentitySigningKey::from_pkcs8(document.as_ref())
        .map_err(|e| CliError::environment("key", e.to_string(), "try again"))?;
    let file = identity.public_key().to_jwk().with("pkcs8", base64url(document.as_ref()));
    write_new(path, &Json::Object(file).canonical())
}

/// Reads a P-256 key for identity tokens or SVIDs.
pub(crate) fn read_identity(path: &Path) -> Result<IdentitySigningKey, CliError> {
    let json = json(path, &read_private(path)?)?;
    let text = json.as_object().and_then(|o| o.member("pkcs8")?.as_str());
    let document = text.and_then(from_base64url).map(Zeroizing::new);
    let document = document.ok_or_else(|| malformed(path))?;
    IdentitySigningKey::from_pkcs8(&document).map_err(|_| malformed(path))
}

/// A fresh P-256 key as PKCS#8; the library's type clears itself.
fn fresh_p256() -> Result<aws_lc_rs::pkcs8::Document, CliError> {
    let rng = aws_lc_rs::rand::SystemRandom::new();
    EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng)
        .map_err(|_| CliError::environment("key", "cannot make an identity key", "try again"))
}

/// A fresh P-256 key as a private JWK (RFC 7518 §6.2.2).
fn fresh_p256_jwk() -> Result<Object, CliError> {
    let failed = || CliError::environment("key", "cannot make a P-256 key", "try again");
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| failed())?;
    let secret: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().map_err(|_| failed())?;
    let [4, point @ ..] = pair.public_key().as_ref() else { return Err(failed()) };
    let (x, y) = point.split_at_checked(32).ok_or_else(failed)?;
    let public = Object::new().with("kty", "EC").with("crv", "P-256");
    let public = public.with("x", base64url(x)).with("y", base64url(y));
    Ok(public.with("d", base64url(secret.as_ref())))
}

/// Reads a plain Ed25519 key.
pub(crate) fn read_key(path: &Path) -> Result<SigningKey, CliError> {
    signing_key(&*read_seed(path)?)
}

/// Reads a plain Ed25519 key's seed.
pub(crate) fn read_seed(path: &Path) -> Result<Zeroizing<[u8; 32]>, CliError> {
    let json = json(path, &read_private(path)?)?;
    json.as_object().and_then(seed_of).ok_or_else(|| malformed(path))
}

/// What a principal signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Algorithm {
    /// RFC 9864.
    #[value(name = "Ed25519")]
    Ed25519,
    /// ECDSA on P-256 (RFC 7518 §3.4).
    #[value(name = "ES256")]
    Es256,
}

/// A principal's own signing key.
pub(crate) struct PrincipalKey {
    /// The principal.
    pub(crate) id: PrincipalId,
    /// Its key.
    pub(crate) key: Box<dyn JwsSigner>,
}

impl PrincipalKey {
    /// Makes the key and writes the file.
    pub(crate) fn create(
        path: &Path,
        id: &PrincipalId,
        algorithm: Algorithm,
    ) -> Result<Self, CliError> {
        let jwk = match algorithm {
            Algorithm::Ed25519 => private_jwk(&*fresh_seed()?)?,
            Algorithm::Es256 => fresh_p256_jwk()?,
        };
        let key = principal_key(&jwk).ok_or_else(|| malformed(path))?;
        let file = Object::new().with("principal", id).with("key", jwk);
        write_new(path, &Json::Object(file).canonical())?;
        Ok(Self { id: id.clone(), key })
    }

    /// The public JWK.
    pub(crate) fn jwk(&self) -> Object {
        self.key.verifying_key().to_jwk()
    }

    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<Self, CliError> {
        let json = json(path, &read_private(path)?)?;
        let o = json.as_object().ok_or_else(|| malformed(path))?;
        let id = o.member("principal").and_then(Json::as_str).ok_or_else(|| malformed(path))?;
        let key = o.member("key").and_then(Json::as_object).and_then(principal_key);
        Ok(Self { id: PrincipalId::parse(id)?, key: key.ok_or_else(|| malformed(path))? })
    }
}

/// The key of a private JWK.
fn principal_key(jwk: &Object) -> Option<Box<dyn JwsSigner>> {
    if jwk.member("kty").and_then(Json::as_str) == Some("EC") {
        return Some(Box::new(P256SigningKey::from_jwk(jwk).ok()?));
    }
    Some(Box::new(signing_key(&*seed_of(jwk)?).ok()?))
}

/// An instance's two keys. They are made and stay on its host.
pub(crate) struct InstanceKeys {
    /// The instance.
    pub(crate) instance: InstanceId,
    /// Signs chains and proofs.
    pub(crate) holder: SigningKey,
    /// Signs as the instance's identity.
    pub(crate) identity: IdentitySigningKey,
}

impl InstanceKeys {
    /// Makes both keys and writes the file.
    pub(crate) fn create(path: &Path, agent: &AgentId) -> Result<Self, CliError> {
        let file = Self::fresh(agent)?;
        write_new(path, &file.canonical())?;
        Self::from_json(&file).ok_or_else(|| malformed(path))
    }

    /// Makes both keys, as their file has them.
    pub(crate) fn fresh(agent: &AgentId) -> Result<Json, CliError> {
        let instance = InstanceId::mint(host::now(), host::random()?);
        let seed = fresh_seed()?;
        let document = fresh_p256()?;
        let file = Object::new()
            .with("instance", &instance)
            .with("agent", agent)
            .with("holder", private_jwk(&seed)?)
            .with("identity_pkcs8", base64url(document.as_ref()));
        Ok(file.into())
    }

    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<Self, CliError> {
        Self::from_json(&json(path, &read_private(path)?)?).ok_or_else(|| malformed(path))
    }

    /// The keys of a file's content.
    pub(crate) fn from_json(file: &Json) -> Option<Self> {
        let o = file.as_object()?;
        let text = |m: &str| o.member(m).and_then(Json::as_str);
        let seed = o.member("holder").and_then(Json::as_object).and_then(seed_of)?;
        let document = Zeroizing::new(from_base64url(text("identity_pkcs8")?)?);
        Some(Self {
            instance: InstanceId::parse(text("instance")?).ok()?,
            holder: signing_key(&seed).ok()?,
            identity: IdentitySigningKey::from_pkcs8(&document).ok()?,
        })
    }
}
