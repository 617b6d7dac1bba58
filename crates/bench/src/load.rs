//! The load: blocking keep-alive connections with a thread each, so that what
//! the client itself costs is small and the same for every side.
//!
//! Every connection comes from an address of its own: rate limits are per
//! address, and a figure is not about them.

use std::io::{Error, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bailiwick_testkit::http::{Request, Response};
use tokio::net::TcpSocket;

use crate::Failure;
use crate::measure::sorted;

/// How long an answer may take before the figure fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether an answer is the expected one.
type Expected = Box<dyn Fn(&Response) -> bool + Send + Sync>;

/// A request as it goes over the wire, and what must come back.
pub(crate) struct Prepared {
    bytes: Vec<u8>,
    expected: Expected,
}

impl Prepared {
    pub(crate) fn new(
        request: &Request,
        expected: impl Fn(&Response) -> bool + Send + Sync + 'static,
    ) -> Self {
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
        Self { bytes, expected: Box::new(expected) }
    }
}

/// What one turn took.
#[derive(Clone, Debug)]
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
        (0..concurrency).map(|n| Connection::open(address, n)).collect::<Result<_, _>>()?;
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
            if !requests.get(at).is_some_and(|request| (request.expected)(&answer)) {
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

pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// Connects from the loopback address of this number.
    pub(crate) fn open(address: SocketAddr, number: usize) -> Result<Self, Error> {
        let stream = from(address, number)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Sends a request and gives its whole answer, expected or not.
    pub(crate) fn send(&mut self, request: &Prepared) -> Result<Response, Error> {
        self.exchange(&request.bytes)
    }

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

/// The whole network 127.0.0.0/8 is this machine; the standard library binds no
/// socket before it connects.
fn from(address: SocketAddr, number: usize) -> Result<TcpStream, Error> {
    let [third, fourth] = u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes();
    let own = IpAddr::V4(Ipv4Addr::new(127, 1, third, fourth.saturating_add(1)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let stream = runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(own, 0))?;
        socket.connect(address).await?.into_std()
    })?;
    stream.set_nonblocking(false)?;
    Ok(stream)
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
}
