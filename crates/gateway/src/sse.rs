//! Server-sent events, read piece by piece with a bound on each event.

/// An event is larger than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTooLarge;

/// Longest event id that is remembered, in bytes.
const MAX_ID_BYTES: usize = 1024;

/// Collects the `data` of events; names are dropped. Ids and retry times are
/// for whoever reads here, and pass no further: a stream is resumed where it
/// came from.
#[derive(Debug)]
pub struct Reader {
    line: Vec<u8>,
    data: Vec<u8>,
    id: Option<Vec<u8>>,
    last_id: Option<String>,
    retry_ms: Option<u64>,
    has_data: bool,
    after_cr: bool,
    max: usize,
}

impl Reader {
    /// A reader of events of at most `max` bytes.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            line: Vec::new(),
            data: Vec::new(),
            id: None,
            last_id: None,
            retry_ms: None,
            has_data: false,
            after_cr: false,
            max,
        }
    }

    /// The id of the last event that had one; nothing, if a header cannot say
    /// it.
    #[must_use]
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// How many milliseconds to wait before the stream is resumed, if the
    /// sender said so.
    #[must_use]
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    /// The connection broke: what was not complete is lost, and the next bytes
    /// are those of another one.
    pub fn reconnect(&mut self) {
        self.line.clear();
        self.data.clear();
        self.id = None;
        self.has_data = false;
        self.after_cr = false;
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
            if let Some(id) = self.id.take() {
                let plain = id.len() <= MAX_ID_BYTES && id.iter().all(u8::is_ascii_graphic);
                let id = String::from_utf8(id).ok();
                self.last_id = id.filter(|id| plain && !id.is_empty());
            }
            self.has_data = false;
            let data = std::mem::take(&mut self.data);
            return (!data.is_empty()).then_some(data);
        }
        if let Some(value) = field(&self.line, b"data") {
            if self.has_data {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(value);
            self.has_data = true;
        } else if let Some(id) = field(&self.line, b"id") {
            self.id = Some(id.to_vec());
        } else if let Some(retry) = field(&self.line, b"retry") {
            let digits = std::str::from_utf8(retry).ok().and_then(|text| text.parse().ok());
            self.retry_ms = digits.or(self.retry_ms);
        }
        self.line.clear();
        None
    }
}

/// The value of a line, if it is of this field.
fn field<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let value = line.strip_prefix(name)?;
    match value.strip_prefix(b":") {
        Some(value) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        None => value.is_empty().then_some(value),
    }
}

/// How long a client waits before it comes back, in milliseconds.
const RETRY_MS: u16 = 500;

/// The same with an id. One without data says only from where a client can go
/// on, and when.
#[must_use]
pub fn numbered(id: &str, data: &[u8]) -> Vec<u8> {
    let mut out = format!("id: {id}\n").into_bytes();
    if data.is_empty() {
        out.extend_from_slice(format!("retry: {RETRY_MS}\n").as_bytes());
    }
    out.extend_from_slice(&event(data));
    out
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
    fn the_last_complete_event_is_the_one_to_go_on_from() {
        let mut reader = Reader::new(100);
        assert_eq!((reader.last_id(), reader.retry_ms()), (None, None));
        reader
            .feed(b"id: a1\nretry: 250\ndata: \n\nid: a2\ndata: x\n\nid: a3\ndata: half")
            .unwrap();
        assert_eq!((reader.last_id(), reader.retry_ms()), (Some("a2"), Some(250)));
        reader.reconnect();
        assert_eq!(reader.feed(b"data: y\n\n").unwrap(), vec![b"y".to_vec()]);
        assert_eq!(reader.last_id(), Some("a2"));
        // What no header can say is no place to go on from.
        for id in ["a\u{e9}", "a b", &"x".repeat(2000)] {
            let mut reader = Reader::new(5000);
            reader.feed(format!("id: {id}\ndata: x\nretry: soon\n\n").as_bytes()).unwrap();
            assert_eq!((reader.last_id(), reader.retry_ms()), (None, None));
        }
        let written = numbered("f.7", b"{}");
        assert_eq!(reader.feed(&written).unwrap(), vec![b"{}".to_vec()]);
        assert_eq!(reader.last_id(), Some("f.7"));
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
