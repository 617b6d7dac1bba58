//! The load: blocking keep-alive connections with a thread each, so that what
//! the client itself costs is small and the same for every side.

use std::io::{Error, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bailiwick_testkit::http::{Request, Response};
use serde_json::Value;

use crate::Failure;
use crate::measure::sorted;

/// How long an answer may take before the figure fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request as it goes over the wire, and the text that must come back.
pub(crate) struct Prepared {
    bytes: Vec<u8>,
    text: String,
}

impl Prepared {
    pub(crate) fn new(request: &Request, text: String) -> Self {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n",
            request.method,
            request.path,
            request.body.len()
        );
        for (name, value) in &request.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&request.body);
        Self { bytes, text }
    }

    /// Whether the answer is the tool's, to this call.
    fn is_answered_by(&self, answer: &Response) -> bool {
        let message = answer.json();
        let echoed = message.pointer("/result/content/0/text").and_then(Value::as_str);
        let is_error = message.pointer("/result/isError").and_then(Value::as_bool);
        answer.status == 200 && echoed == Some(&self.text) && is_error != Some(true)
    }
}

/// What one turn took.
pub(crate) struct Turn {
    /// Sorted.
    pub(crate) latencies_ms: Vec<f64>,
    pub(crate) seconds: f64,
}

/// Sends all requests over so many connections, each of which takes the next
/// request once it has its answer.
///
/// # Errors
/// When a connection breaks, or an answer is not the expected one.
pub(crate) fn drive(
    address: SocketAddr,
    requests: &[Prepared],
    concurrency: usize,
) -> Result<Turn, Failure> {
    let connections: Vec<Connection> =
        (0..concurrency).map(|_| Connection::open(address)).collect::<Result<_, _>>()?;
    let (next, barrier) = (AtomicUsize::new(0), Barrier::new(concurrency));
    let work = |connection| one_by_one(connection, requests, &next, &barrier);
    let workers: Vec<_> = std::thread::scope(|scope| {
        let started: Vec<_> =
            connections.into_iter().map(|c| scope.spawn(move || work(c))).collect();
        started.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    let (mut latencies, mut spans) = (Vec::with_capacity(requests.len()), Vec::new());
    for worker in workers {
        let worker = worker.map_err(|_| "a connection's thread panicked")??;
        spans.push((worker.start, worker.end));
        for (at, ms, answer) in worker.answers {
            if !requests.get(at).is_some_and(|request| request.is_answered_by(&answer)) {
                return Err(format!("a wrong answer: {} {}", answer.status, answer.text()).into());
            }
            latencies.push(ms);
        }
    }
    let start = spans.iter().map(|(start, _)| *start).min().ok_or("no connection")?;
    let end = spans.iter().map(|(_, end)| *end).max().ok_or("no connection")?;
    let seconds = end.duration_since(start).as_secs_f64();
    Ok(Turn { latencies_ms: sorted(latencies), seconds })
}

struct Worker {
    start: Instant,
    end: Instant,
    /// Which request, milliseconds, what came.
    answers: Vec<(usize, f64, Response)>,
}

fn one_by_one(
    mut connection: Connection,
    requests: &[Prepared],
    next: &AtomicUsize,
    barrier: &Barrier,
) -> Result<Worker, Error> {
    let mut answers = Vec::with_capacity(requests.len());
    barrier.wait();
    let start = Instant::now();
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        let Some(request) = requests.get(at) else { break };
        let sent = Instant::now();
        let answer = connection.exchange(&request.bytes)?;
        answers.push((at, sent.elapsed().as_secs_f64() * 1e3, answer));
    }
    Ok(Worker { start, end: Instant::now(), answers })
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self, Error> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Sends a request and reads its whole answer.
    fn exchange(&mut self, request: &[u8]) -> Result<Response, Error> {
        self.stream.write_all(request)?;
        self.received.clear();
        let mut piece = [0; 16 * 1024];
        loop {
            let read = self.stream.read(&mut piece)?;
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.received.extend(piece.iter().take(read));
            if let Some(answer) = whole(&self.received) {
                return Ok(answer);
            }
        }
    }
}

/// The answer, once it is there from its first line to its end.
fn whole(received: &[u8]) -> Option<Response> {
    let end = received.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(received.get(..end)?).ok()?;
    let rest = received.get(end + 4..)?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let header = |name: &str| {
        let mut headers = head.split("\r\n").filter_map(|line| line.split_once(':'));
        headers.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let body = if header("transfer-encoding") == Some("chunked") {
        unchunked(rest)?
    } else {
        let length: usize = header("content-length").unwrap_or("0").parse().ok()?;
        rest.get(..length)?.to_vec()
    };
    Some(Response { status, headers: Vec::new(), body })
}

/// The body without its coding, once its last piece is there.
fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n")?;
        let size = std::str::from_utf8(rest.get(..end)?).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        let piece = rest.get(end + 2..end + 2 + size)?;
        rest = rest.get(end + 2 + size..)?.strip_prefix(b"\r\n")?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(received: &str) -> Option<String> {
        whole(received.as_bytes()).map(|answer| answer.text())
    }

    #[test]
    fn an_answer_is_whole_only_with_its_last_byte() {
        let sized = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                       2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n";
        for answer in [sized, chunked] {
            assert_eq!(body(answer).as_deref(), Some("body"));
            assert!((0..answer.len()).all(|n| answer.get(..n).is_some_and(|a| body(a).is_none())));
        }
    }

    #[test]
    fn only_the_text_that_was_sent_is_an_answer() {
        let request = Request::post("/mcp", "{}");
        let prepared = Prepared::new(&request, "mine".to_owned());
        let answer = |status, body: &str| Response {
            status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        };
        let mine = r#"{"id":7,"result":{"content":[{"text":"mine"}]}}"#;
        assert!(prepared.is_answered_by(&answer(200, mine)));
        assert!(prepared.is_answered_by(&answer(200, &format!("data: {mine}\n\n"))));
        assert!(!prepared.is_answered_by(&answer(500, mine)));
        assert!(!prepared.is_answered_by(&answer(200, &mine.replace("mine", "another"))));
        let failed = mine.replace("{\"content", "{\"isError\":true,\"content");
        assert!(!prepared.is_answered_by(&answer(200, &failed)));
        assert!(!prepared.is_answered_by(&answer(200, r#"{"id":7,"error":{"code":-32000}}"#)));
    }
}
