//! DPoP proofs. The target signs what the fuzzer writes with the holder's key: an accepted proof
//! says what it must.
//!
//! Input: header, claims; or one field: the proof as it is.
#![no_main]

use std::sync::LazyLock;

use bailiwick_core::aat::verify::{Core, Unverified, verify_presence};
use bailiwick_core::crypto::{Signer, base64url};
use bailiwick_core::dpop::{
    Moment, Nonces, Request, access_token_hash, prove, verify_for_key,
};
use bailiwick_core::json::Json;
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_fuzz::{AUDIENCE, CASES, JSON, KEYS, context, fields, joined, payload, seed};
use libfuzzer_sys::fuzz_target;

const URI: &str = "https://tools.example.com/mcp/desk";
const NOW: i64 = 1_704_067_500;

/// The first case: a root that its holder, the second key, presents alone.
static CHAIN: LazyLock<&[String]> = LazyLock::new(|| &CASES[0].chain);
static MADE: LazyLock<String> = LazyLock::new(|| {
    prove(
        &KEYS[1],
        "jti-1",
        Timestamp::from_seconds(NOW),
        "POST",
        URI,
        &CHAIN[0],
    )
});

fn seeds() -> Vec<Vec<u8>> {
    let header = MADE
        .split('.')
        .next()
        .and_then(bailiwick_core::crypto::from_base64url);
    let fields = [
        header.expect("a header"),
        payload(&MADE).expect("a payload"),
    ];
    let [header, claims] = &fields;
    let respelled = std::str::from_utf8(claims)
        .expect("claims are text")
        .replace("tools.example.com", "Tools.EXAMPLE.com:443");
    vec![
        joined(&fields),
        joined(&[header.as_slice(), respelled.as_bytes()]),
        MADE.clone().into_bytes(),
    ]
}

fuzz_target!(
    init: seed(seeds()),
    |data: &[u8]| {
        let Some(fields) = fields(data) else { return };
        let proof = match fields.as_slice() {
            [proof] => (*proof).to_owned(),
            [header, claims] => {
                let (header, claims) = (header.as_bytes(), claims.as_bytes());
                let input = format!("{}.{}", base64url(header), base64url(claims));
                let signature = base64url(&KEYS[1].sign(input.as_bytes()));
                format!("{input}.{signature}")
            }
            _ => return,
        };
        // The same proof by any key, where no token is presented.
        let request = Request { proof: &proof, method: "POST", uri: URI };
        let moment = Moment {
            now: Timestamp::from_seconds(NOW),
            window_seconds: 60,
            nonces: Nonces::NotAsked,
        };
        if let Ok(possession) = verify_for_key(&request, &moment) {
            assert_eq!(possession.thumbprint, possession.key.thumbprint());
            assert!((NOW - possession.iat).abs() <= 60 && !possession.jti.is_empty());
        }
        let limits = ChainLimits::DEFAULT;
        let audiences = [AUDIENCE.to_owned()];
        let context = context(NOW, &audiences, &limits);
        let chain = Unverified::parse(&CHAIN, &limits).expect("the vector is well-formed");
        let Ok((_, accepted)) =
            verify_presence::<Core>(&chain, &CHAIN[0], &request, &context, ())
        else {
            return;
        };
        assert!((NOW - accepted.iat).abs() <= limits.pop_window && !accepted.jti.is_empty());
        let claims = payload(&proof).and_then(|p| Json::parse(&p, &JSON).ok()).expect("claims");
        let text = |name: &str| claims.as_object()?.member(name)?.as_str().map(str::to_owned);
        assert_eq!(text("htm").as_deref(), Some("POST"));
        // Scheme, host and default port may be spelled otherwise (RFC 9449 §4.3).
        let same = |uri: &str| url::Url::parse(uri).expect("an accepted `htu` is a URI");
        assert_eq!(text("htu").map(|htu| same(&htu)), Some(same(URI)));
        assert_eq!(text("ath"), Some(access_token_hash(&CHAIN[0])));
    }
);
