//! The listener's certificate and key, from two files that may change while
//! `serve` runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_gateway::Tls;
use zeroize::Zeroizing;

use crate::config::{Config, host_of};
use crate::error::CliError;
use crate::host;
use crate::keyfile;

/// The files and what is served of them.
pub(crate) struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
    tls: Arc<Tls>,
    /// What was last looked at, acceptable or not: said once, not every second.
    looked: Mutex<Looked>,
}

#[derive(Clone, PartialEq, Eq)]
enum Looked {
    Bytes(Digest),
    Unreadable(String),
}

struct Read {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Read {
    fn digest(&self) -> Digest {
        let key = sha256(&self.key);
        sha256(&[key.bytes().as_slice(), &self.certificate].concat())
    }
}

impl TlsFiles {
    /// Reads the files that the configuration names, relative to the data dir;
    /// `None` when it names none.
    pub(crate) fn open(dir: &Path, config: &Config) -> Result<Option<Self>, CliError> {
        if !config.tls.is_set() {
            return Ok(None);
        }
        let (certificate, key) = (dir.join(&config.tls.certificate), dir.join(&config.tls.key));
        let read = read(&certificate, &key)?;
        let host = host_of(&config.public_url());
        let tls = Arc::new(Tls::new(&host, &read.certificate, &read.key, host::now())?);
        let looked = Mutex::new(Looked::Bytes(read.digest()));
        Ok(Some(Self { certificate, key, tls, looked }))
    }

    /// What the listener serves.
    pub(crate) fn tls(&self) -> Arc<Tls> {
        Arc::clone(&self.tls)
    }

    /// Takes changed files up. Files that cannot be served change nothing: the
    /// certificate in use stays in use, and the log says why.
    pub(crate) fn reload(&self) {
        let kept = |e: &CliError| {
            tracing::error!(code = %e.code, remedy = %e.remedy, "the certificate in use stays in use: {}", e.message);
        };
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let read = match read(&self.certificate, &self.key) {
            Ok(read) => read,
            Err(e) => {
                let found = Looked::Unreadable(e.message.clone());
                if *looked != found {
                    kept(&e);
                    *looked = found;
                }
                return;
            }
        };
        let found = Looked::Bytes(read.digest());
        if *looked == found {
            return;
        }
        *looked = found;
        match self.tls.replace(&read.certificate, &read.key, host::now()) {
            Ok(()) => tracing::info!("a new certificate is in use for new connections"),
            Err(e) => kept(&e.into()),
        }
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Read, CliError> {
    Ok(Read {
        certificate: keyfile::own(keyfile::read(certificate))?,
        key: keyfile::own(keyfile::read_private(key))?,
    })
}
