//! Events from a tool server: they do not depend on how the network cut the stream.
#![no_main]

use bailiwick_fuzz::seed;
use libfuzzer_sys::fuzz_target;

// A private module of the gateway, compiled here as it is.
#[allow(dead_code, unreachable_pub, reason = "the target uses a part of it")]
#[path = "../../crates/gateway/src/sse.rs"]
mod sse;

const MAX_BYTES: usize = 256;

fuzz_target!(
    init: seed(["data: {\"a\":1}\n\n", "id: 1\r\nevent: x\r\ndata: a\r\ndata: b\r\n\r\n", ": c\n\n"]),
    |data: &[u8]| {
        let Ok(whole) = sse::Reader::new(MAX_BYTES).feed(data) else { return };
        let mut reader = sse::Reader::new(MAX_BYTES);
        let mut pieces = Vec::new();
        for byte in data {
            pieces.extend(reader.feed(&[*byte]).expect("what is accepted whole is in pieces"));
        }
        assert_eq!(whole, pieces);
        for event in whole {
            assert!(event.len() <= MAX_BYTES && !event.is_empty());
            // What is written is canonical JSON, which has no line break.
            if event.contains(&b'\n') {
                continue;
            }
            let written = sse::event(&event);
            let again = sse::Reader::new(usize::MAX).feed(&written);
            assert_eq!(again.as_deref(), Ok([event].as_slice()), "an event reads back");
        }
    }
);
