//! The files that pages name: one stylesheet, the script of every page and the one
//! that checks proofs, one mark. They are in
//! the binary, so that a page and its files are always of one version.

use bailiwick_core::crypto::{base64url, sha256};

/// A file under `/static/`.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its name.
    pub name: &'static str,
    /// Its media type.
    pub media_type: &'static str,
    /// Its bytes.
    pub bytes: &'static [u8],
}

/// Every file.
pub const ASSETS: [Asset; 4] = [
    Asset {
        name: "console.css",
        media_type: "text/css; charset=utf-8",
        bytes: include_bytes!("../../assets/console.css"),
    },
    Asset {
        name: "console.js",
        media_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../../assets/console.js"),
    },
    Asset {
        name: "proof.js",
        media_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../../assets/proof.js"),
    },
    Asset {
        name: "mark.svg",
        media_type: "image/svg+xml",
        bytes: include_bytes!("../../assets/mark.svg"),
    },
];

impl Asset {
    /// The file of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        ASSETS.iter().find(|asset| asset.name == name)
    }

    /// Its entity tag: strong, over the bytes.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"{}\"", base64url(sha256(self.bytes).bytes()))
    }
}
