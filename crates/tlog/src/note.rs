//! Signed notes: a text and signature lines (signed-note, "Format").

use std::fmt;

use thiserror::Error;

use crate::hash::{decode_base64, encode_base64};
use crate::key::name_is_valid;

/// The longest note we read, in bytes: 32 signatures of the largest post-quantum kind fit.
pub const MAX_NOTE_BYTES: usize = 256 * 1024;
/// The most signature lines we read. The specification asks for at least 16.
pub const MAX_SIGNATURES: usize = 32;

/// A note that is well-formed; nothing in it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    // INVARIANT: `text` ends in a newline, holds no control character but newlines, and
    // `signatures` is not empty and names no key twice.
    text: String,
    signatures: Vec<NoteSignature>,
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoteSignature {
    pub(crate) name: String,
    pub(crate) id: [u8; 4],
    pub(crate) bytes: Vec<u8>,
}

impl NoteSignature {
    fn parse(line: &str) -> Option<Self> {
        let (name, blob) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        let blob = decode_base64(blob)?;
        let (id, bytes) = blob.split_first_chunk::<4>()?;
        (name_is_valid(name) && !bytes.is_empty()).then(|| Self {
            name: name.to_owned(),
            id: *id,
            bytes: bytes.to_vec(),
        })
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blob = self.id.to_vec();
        blob.extend(&self.bytes);
        writeln!(f, "\u{2014} {} {}", self.name, encode_base64(&blob))
    }
}

impl Note {
    /// A note with its first signature. `text` is one we formatted.
    pub(crate) fn new(text: String, signature: NoteSignature) -> Self {
        Self { text, signatures: vec![signature] }
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLarge { found: bytes.len() });
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::Encoding)?;
        if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err(NoteError::Encoding);
        }
        // The text is separated from the signatures by the last empty line.
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::Separator)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Trailing)?;
        let mut signatures: Vec<NoteSignature> = Vec::new();
        for (number, line) in lines.split('\n').enumerate() {
            if number >= MAX_SIGNATURES {
                return Err(NoteError::TooManySignatures);
            }
            let signature =
                NoteSignature::parse(line).ok_or(NoteError::SignatureLine { line: number + 1 })?;
            refuse_duplicate(&signatures, &signature)?;
            signatures.push(signature);
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The one signature line of this key.
    pub(crate) fn signature(&self, name: &str, id: [u8; 4]) -> Option<&[u8]> {
        self.signatures
            .iter()
            .find(|signature| signature.name == name && signature.id == id)
            .map(|signature| signature.bytes.as_slice())
    }

    pub(crate) fn add(&mut self, signature: NoteSignature) -> Result<(), NoteError> {
        if self.signatures.len() >= MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        refuse_duplicate(&self.signatures, &signature)?;
        self.signatures.push(signature);
        Ok(())
    }
}

/// The specification lets a verifier skip a second line of one key. We refuse it: two lines of one
/// key are never made by us, and skipping one would leave bytes that no signature vouches for.
fn refuse_duplicate(known: &[NoteSignature], new: &NoteSignature) -> Result<(), NoteError> {
    if known.iter().any(|known| known.name == new.name && known.id == new.id) {
        return Err(NoteError::DuplicateSignature { name: new.name.clone() });
    }
    Ok(())
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| signature.fmt(f))
    }
}

/// Bytes are not a signed note.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoteError {
    /// Two signature lines have the same key name and id.
    #[error("two signature lines are by the same key of `{name}`")]
    DuplicateSignature {
        /// The key name.
        name: String,
    },
    /// Not UTF-8, or with a control character other than newline.
    #[error("the note is not UTF-8 text without control characters")]
    Encoding,
    /// No empty line between text and signatures.
    #[error("no empty line separates the note's text from its signatures")]
    Separator,
    /// A signature line is malformed.
    #[error("signature line {line} is not `\u{2014} name base64`")]
    SignatureLine {
        /// Which line of the signatures, from 1.
        line: usize,
    },
    /// The note is too long.
    #[error("the note has {found} bytes, expected at most {MAX_NOTE_BYTES}")]
    TooLarge {
        /// Its length in bytes.
        found: usize,
    },
    /// Too many signature lines.
    #[error("the note has more than {MAX_SIGNATURES} signature lines")]
    TooManySignatures,
    /// The last signature line does not end in a newline.
    #[error("the note does not end with the newline of a signature line")]
    Trailing,
}

impl NoteError {
    /// A stable kebab-case code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::DuplicateSignature { .. } => "tlog-note-duplicate-signature",
            Self::Encoding => "tlog-note-encoding",
            Self::Separator => "tlog-note-separator",
            Self::SignatureLine { .. } => "tlog-note-signature-line",
            Self::TooLarge { .. } => "tlog-note-too-large",
            Self::TooManySignatures => "tlog-note-too-many-signatures",
            Self::Trailing => "tlog-note-trailing",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::DuplicateSignature { .. } => "remove one of the two signature lines",
            Self::Encoding | Self::Separator | Self::SignatureLine { .. } | Self::Trailing => {
                "fetch the note again and keep it byte for byte, with its last newline"
            }
            Self::TooLarge { .. } | Self::TooManySignatures => {
                "remove signatures that nobody needs"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::LogKey;

    const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    /// From the documentation of golang.org/x/mod/sumdb/note.
    const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\
        \n\
        \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n\
        \u{2014} EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

    #[test]
    fn the_known_note_is_read_verified_and_written_unchanged() {
        let note = Note::parse(NOTE.as_bytes()).unwrap();
        assert_eq!(note.to_string(), NOTE);
        let key = LogKey::parse(VKEY).unwrap();
        let signature = note.signature(key.name(), key.id()).unwrap();
        assert!(key.verify(note.text().as_bytes(), signature));
        assert!(!key.verify(b"another text\n", signature));
        assert!(!key.verify(note.text().as_bytes(), &signature[..63]));
        let other = note.signature("EnochRoot", [0xaf, 0x0c, 0xfe, 0x78]).unwrap();
        assert!(!key.verify(note.text().as_bytes(), other));
        assert_eq!(note.signature("PeterNeumann", [0; 4]), None);
    }

    #[test]
    fn the_text_ends_at_the_last_empty_line() {
        let text = "one\n\ntwo\n";
        let note = Note::parse(format!("{text}\n\u{2014} k AAAAAAA=\n").as_bytes()).unwrap();
        assert_eq!(note.text(), text);
    }

    #[test]
    fn a_malformed_note_is_refused_by_name() {
        let line = "\u{2014} k AAAAAAA=\n";
        let code = |note: &[u8]| Note::parse(note).unwrap_err().code();
        let text = |rest: &str| format!("text\n{rest}");
        for (note, expected) in [
            (String::new(), "tlog-note-separator"),
            (text(line), "tlog-note-separator"),
            (text("\n"), "tlog-note-trailing"),
            (text(&format!("\n{}", line.trim_end())), "tlog-note-trailing"),
            (text(&format!("\n{line}x")), "tlog-note-trailing"),
            (text(&format!("\n{line}x\n")), "tlog-note-signature-line"),
            (text(&format!("\n{line}\n")), "tlog-note-trailing"),
            (text(&format!("\n{line}{line}")), "tlog-note-duplicate-signature"),
            (text("\n- k AAAAAAA=\n"), "tlog-note-signature-line"),
            (text("\n\u{2014} AAAAAAA=\n"), "tlog-note-signature-line"),
            (text("\n\u{2014}  AAAAAAA=\n"), "tlog-note-signature-line"),
            (text("\n\u{2014} k+l AAAAAAA=\n"), "tlog-note-signature-line"),
            (text("\n\u{2014} k\u{a0}l AAAAAAA=\n"), "tlog-note-signature-line"),
            (text("\n\u{2014} k AAAAAA==\n"), "tlog-note-signature-line"),
            (text("\n\u{2014} k AAAAAAB=\n"), "tlog-note-signature-line"),
            (text("\n\u{2014} k AAAAAAA\n"), "tlog-note-signature-line"),
            (text("\n\u{2014} k AAAAAAA= \n"), "tlog-note-signature-line"),
            (text(&format!("\r\n\n{line}")), "tlog-note-encoding"),
            (text(&format!("\0\n\n{line}")), "tlog-note-encoding"),
        ] {
            assert_eq!(code(note.as_bytes()), expected, "{note:?}");
        }
        assert_eq!(code(b"\xff\n\nx"), "tlog-note-encoding");
        assert_eq!(code(&vec![b'a'; MAX_NOTE_BYTES + 1]), "tlog-note-too-large");
    }

    #[test]
    fn thirty_two_signatures_are_read_and_no_more() {
        let lines: Vec<String> = (0..33).map(|i| format!("\u{2014} k{i} AAAAAAA=\n")).collect();
        let note = |count: usize| format!("text\n\n{}", lines[..count].concat());
        let mut full = Note::parse(note(32).as_bytes()).unwrap();
        let error = Note::parse(note(33).as_bytes()).unwrap_err();
        assert_eq!(error.code(), "tlog-note-too-many-signatures");
        let more = NoteSignature { name: "more".to_owned(), id: [0; 4], bytes: vec![0] };
        assert_eq!(full.add(more).unwrap_err(), NoteError::TooManySignatures);
        let mut one = Note::parse(note(1).as_bytes()).unwrap();
        let again = NoteSignature { name: "k0".to_owned(), id: [0; 4], bytes: vec![9] };
        assert_eq!(one.add(again).unwrap_err().code(), "tlog-note-duplicate-signature");
        assert!(!error.remedy().is_empty());
    }
}
