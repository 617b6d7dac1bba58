//! Server-sent events, read piece by piece with a bound on each event.

/// An event is larger than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTooLarge;

/// Collects the `data` of events; ids, names and retry times are dropped, so
/// that no client resumes a stream here that only the tool server knows.
#[derive(Debug)]
pub struct Reader {
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    after_cr: bool,
    max: usize,
}

impl Reader {
    /// A reader of events of at most `max` bytes.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { line: Vec::new(), data: Vec::new(), has_data: false, after_cr: false, max }
    }

    /// Takes a piece of the stream; gives the data of every event that ended
    /// in it and is not empty.
    ///
    /// # Errors
    /// [`EventTooLarge`].
    pub fn feed(&mut self, piece: &[u8]) -> Result<Vec<Vec<u8>>, EventTooLarge> {
        let mut events = Vec::new();
        for byte in piece {
            let after_cr = std::mem::replace(&mut self.after_cr, *byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => {
                    if let Some(event) = self.end_line() {
                        events.push(event);
                    }
                }
                other => {
                    self.line.push(*other);
                    if self.line.len().saturating_add(self.data.len()) > self.max {
                        return Err(EventTooLarge);
                    }
                }
            }
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Option<Vec<u8>> {
        if self.line.is_empty() {
            self.has_data = false;
            let data = std::mem::take(&mut self.data);
            return (!data.is_empty()).then_some(data);
        }
        if let Some(value) = self.line.strip_prefix(b"data") {
            let value = match value.strip_prefix(b":") {
                Some(value) => Some(value.strip_prefix(b" ").unwrap_or(value)),
                None => value.is_empty().then_some(value),
            };
            if let Some(value) = value {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
                self.has_data = true;
            }
        }
        self.line.clear();
        None
    }
}

/// One event with `data`, which has no line breaks.
#[must_use]
pub fn event(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len().saturating_add(8));
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\n\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_whatever_the_pieces_and_line_ends() {
        let stream = b":hello\r\ndata: \r\nid: 0\r\nretry: 3000\r\n\r\ndata: {\"a\":1}\nid: 1\n\ndata:x\ndata: y\n\ndata: late";
        for size in 1..stream.len() {
            let mut reader = Reader::new(100);
            let mut events = Vec::new();
            for piece in stream.chunks(size) {
                events.extend(reader.feed(piece).unwrap());
            }
            assert_eq!(events, vec![b"{\"a\":1}".to_vec(), b"x\ny".to_vec()], "{size}");
        }
    }

    #[test]
    fn an_event_without_end_is_cut_off() {
        let mut reader = Reader::new(100);
        assert_eq!(reader.feed(&[b'x'; 101]), Err(EventTooLarge));
        let mut reader = Reader::new(100);
        let lines = b"data: 0123456789\n".repeat(12);
        assert_eq!(reader.feed(&lines), Err(EventTooLarge));
    }
}
