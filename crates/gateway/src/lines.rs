//! Lines of a stream, read with a bound on each.

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// A line is longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// What was read of it.
    pub bytes: usize,
}

/// Reads lines.
#[derive(Debug)]
pub struct Lines<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    max: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// A reader of lines of at most `max` bytes.
    #[must_use]
    pub fn new(input: R, max: usize) -> Self {
        Self { input: BufReader::new(input), line: Vec::new(), max }
    }

    /// The next line without its end; `None` at the end of the stream, where a
    /// line without an end is no line. After [`TooLong`] nothing more can be
    /// read.
    ///
    /// # Errors
    /// [`TooLong`].
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        loop {
            let Ok(piece) = self.input.fill_buf().await else { return Ok(None) };
            if piece.is_empty() {
                return Ok(None);
            }
            let end = piece.iter().position(|b| *b == b'\n');
            let (text, used) = match end {
                Some(end) => (piece.get(..end).unwrap_or_default(), end.saturating_add(1)),
                None => (piece, piece.len()),
            };
            let bytes = self.line.len().saturating_add(text.len());
            if bytes > self.max {
                return Err(TooLong { bytes });
            }
            self.line.extend_from_slice(text);
            self.input.consume(used);
            if end.is_some() {
                return Ok(Some(std::mem::take(&mut self.line)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_read_whole_and_a_long_one_ends_it() {
        let mut lines = Lines::new(&b"one\n\ntwo\r\nxxxxxxxxxxx"[..], 10);
        for line in ["one", "", "two\r"] {
            assert_eq!(lines.next().await, Ok(Some(line.as_bytes().to_vec())));
        }
        assert_eq!(lines.next().await, Err(TooLong { bytes: 11 }));
        assert_eq!(Lines::new(&b"half"[..], 10).next().await, Ok(None));
    }
}
