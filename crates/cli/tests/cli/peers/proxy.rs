//! Whoever is between two agents: keeps what went over the wire, and changes it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use bailiwick_testkit::http::{Request, Response};
use serde_json::Value;

/// One message as it went over the wire.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) path: String,
    pub(super) body: Vec<u8>,
}

impl Sent {
    /// The very bytes again.
    pub(super) fn replay(&self, to: SocketAddr) -> Response {
        Request::post(&self.path, self.body.clone()).send(to).expect("it answers")
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

type Change = Box<dyn FnMut(&str, &mut Value) + Send>;

#[derive(Default)]
struct Between {
    sent: Vec<Sent>,
    asked: Option<Change>,
    answered: Option<Change>,
}

/// A proxy in front of `to`.
#[derive(Clone)]
pub(super) struct Proxy {
    pub(super) at: SocketAddr,
    between: Arc<Mutex<Between>>,
}

impl Proxy {
    pub(super) fn before(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = listener.local_addr().unwrap();
        let between = Arc::new(Mutex::new(Between::default()));
        let shared = Arc::clone(&between);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, to, &shared));
            }
        });
        Self { at, between }
    }

    /// Changes what is asked from now on.
    pub(super) fn change(&self, change: impl FnMut(&str, &mut Value) + Send + 'static) {
        self.between.lock().unwrap().asked = Some(Box::new(change));
    }

    /// Changes what is answered from now on.
    pub(super) fn change_answers(&self, change: impl FnMut(&str, &mut Value) + Send + 'static) {
        self.between.lock().unwrap().answered = Some(Box::new(change));
    }

    /// The last message to a path.
    pub(super) fn last(&self, path: &str) -> Sent {
        let between = self.between.lock().unwrap();
        let last = between.sent.iter().rev().find(|sent| sent.path == path);
        last.unwrap_or_else(|| panic!("nothing went to {path}")).clone()
    }
}

fn serve(stream: TcpStream, to: SocketAddr, between: &Mutex<Between>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
    let mut stream = stream;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a header");
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(told) = line.strip_prefix("content-length:") {
                length = told.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        if let Some(change) = &mut between.lock().unwrap().asked {
            let mut json = serde_json::from_slice(&body).expect("JSON");
            change(&path, &mut json);
            body = json.to_string().into_bytes();
        }
        let Ok(answer) = Request::post(&path, body.clone()).send(to) else { return };
        let mut json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let mut state = between.lock().unwrap();
        if let Some(change) = &mut state.answered {
            change(&path, &mut json);
        }
        let (status, text) = (answer.status, json.to_string());
        state.sent.push(Sent { path, body });
        drop(state);
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            text.len()
        );
        if stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(text.as_bytes()))
            .is_err()
        {
            return;
        }
    }
}
