//! Heads that two parties could read differently. Wiring: `serve` on loopback with a service
//! that counts what reaches it, spoken to byte by byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use bailiwick_gateway::{Bounds, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A service that answers with the body that it got.
struct Echo {
    address: std::net::SocketAddr,
    reached: Arc<AtomicUsize>,
}

impl Echo {
    async fn start() -> Self {
        let reached = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&reached);
        let router = Router::new().fallback(async move |body: Bytes| {
            counted.fetch_add(1, Ordering::SeqCst);
            body
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, router, Bounds::new(8), None, std::future::pending()));
        Self { address, reached }
    }

    /// All that is answered to these bytes, each part sent by itself, until the end of the
    /// connection.
    async fn says(&self, parts: &[&str]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        for part in parts {
            stream.write_all(part.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        stream.shutdown().await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        said
    }

    fn reached(&self) -> usize {
        self.reached.swap(0, Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_head_that_can_be_read_in_two_ways_reaches_nothing() {
    let echo = Echo::start().await;
    for (head, code) in [
        ("GET /a#x HTTP/1.1\r\nHost: h\r\n\r\n", "target-fragment"),
        ("GET http://h/a#x HTTP/1.1\r\nHost: h\r\n\r\n", "target-fragment"),
        ("GET http://other/a HTTP/1.1\r\nHost: h\r\n\r\n", "target-authority"),
        ("GET http://h:1/a HTTP/1.1\r\nHost: h\r\n\r\n", "target-authority"),
        ("GET http://h/a HTTP/1.1\r\n\r\n", "target-authority"),
        (
            "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "length-ambiguous",
        ),
        (
            "POST /a HTTP/1.1\nhost: h\ntransfer-encoding: chunked\ncontent-length: 3\n\n0\r\n\r\n",
            "length-ambiguous",
        ),
    ] {
        // Alone, after a request that is well, and torn in the middle.
        let well = format!("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody{head}");
        let (left, right) = head.split_at(9);
        for (parts, before) in [(vec![head], 0), (vec![&well], 1), (vec![left, right], 0)] {
            let said = echo.says(&parts).await;
            assert_eq!(echo.reached(), before, "{parts:?}: {said}");
            assert!(said.contains("400 Bad Request") && said.contains(code), "{parts:?}: {said}");
            assert!(said.contains("connection: close"), "{said}");
        }
    }
}

#[tokio::test]
async fn requests_that_are_well_follow_each_other_on_one_connection() {
    let echo = Echo::start().await;
    let get = "GET /a?b=%23 HTTP/1.1\r\nHost: h\r\n\r\n";
    let absolute = "\r\nGET http://H/a HTTP/1.1\r\nhost: h\r\n\r\n";
    // What a body holds is no head.
    let body = "GET /#x HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: x\r\n\r\n";
    let post = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len());
    let chunked =
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na#b\r\n0\r\n\r\n";
    let all = [get, absolute, &post, body, get, chunked].concat();
    let said = echo.says(&[&all]).await;
    assert_eq!(echo.reached(), 5, "{said}");
    assert!(!said.contains("400 Bad Request") && said.ends_with("a#b"), "{said}");
    let said = echo.says(&[get, &post, &body[..7], &body[7..], absolute, chunked]).await;
    assert_eq!(echo.reached(), 4, "{said}");
    // Where the next head begins after pieces cannot be told: nothing follows them.
    let said = echo.says(&[&[chunked, get].concat()]).await;
    assert_eq!(echo.reached(), 1, "{said}");
    assert!(said.contains("connection: close"), "{said}");
}
