use super::*;
use crate::host::Host;

struct Fixed(u8);
impl Host for Fixed {
    fn now(&self) -> Timestamp {
        at(0)
    }
    fn fill(&self, out: &mut [u8]) -> bool {
        out.fill(self.0);
        true
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_800_000_000 + seconds)
}

fn secret(byte: u8) -> Secret {
    Secret::mint(&Moment::of(&Fixed(byte))).unwrap()
}

fn session() -> Session {
    let alias = Alias::parse("0b6f0a6e-6a5e-4f3a-9d8b-0d6a1c2b3d4e").unwrap();
    Session::begin(alias, Method::Passkey, at(0))
}

#[test]
fn a_session_ends_when_idle_and_however_busy_it_is() {
    let mut session = session();
    assert_eq!(session.check(at(IDLE_SECONDS - 1)), Ok(()));
    assert_eq!(session.check(at(IDLE_SECONDS)), Err(SessionError::Idle));
    session.seen = at(ABSOLUTE_SECONDS - 1);
    assert_eq!(session.check(at(ABSOLUTE_SECONDS - 1)), Ok(()));
    assert_eq!(session.check(at(ABSOLUTE_SECONDS)), Err(SessionError::Ended));
    assert_eq!(session.check(at(-1)), Err(SessionError::Ended));
    assert_eq!(session.expires(), at(ABSOLUTE_SECONDS));
}

#[test]
fn being_busy_does_not_make_a_proof_fresh() {
    let session = session();
    let later = session.touched(at(FRESH_SECONDS)).unwrap();
    assert_eq!(later.check_fresh(at(FRESH_SECONDS)), Err(SessionError::NotFresh));
    assert_eq!(session.check_fresh(at(FRESH_SECONDS - 1)), Ok(()));
    assert_eq!(session.check_fresh(at(-1)), Err(SessionError::NotFresh));
    assert_eq!(session.touched(at(TOUCH_SECONDS - 1)), None);
}

#[test]
fn a_session_reads_back_and_nothing_else_is_one() {
    let session = session();
    assert_eq!(Session::from_json(&session.to_json()), Some(session));
    assert_eq!(Session::from_json(&Object::new().into()), None);
}

#[test]
fn a_csrf_token_is_its_own_sessions_only() {
    let (ours, theirs) = (secret(1), secret(2));
    assert_eq!(ours.check_csrf(&ours.csrf_token()), Ok(()));
    for bad in ["", &theirs.csrf_token(), &ours.reveal(), &ours.csrf_token()[..42]] {
        assert_eq!(ours.check_csrf(bad), Err(SessionError::CsrfToken), "{bad}");
    }
    assert_ne!(ours.csrf_token(), base64url(ours.hash().bytes()));
    assert_eq!(format!("{ours:?}"), "Secret(…)");
}

#[test]
fn cookies_over_https_are_bound_to_the_host_and_scripts_never_see_them() {
    let https = Cookies::of("https://bailiwick.example");
    let set = https.set(Cookie::Session, &secret(1));
    assert!(set.starts_with("__Host-bailiwick=AQEB"), "{set}");
    for flag in ["; Path=/;", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
        assert!(set.contains(flag) && https.clear(Cookie::Session).contains(flag), "{flag}");
    }
    assert!(!set.contains("Domain"));
    let http = Cookies::of("http://localhost:4000");
    let set = http.set(Cookie::Session, &secret(1));
    assert!(set.starts_with("bailiwick=") && !set.contains("Secure"), "{set}");
}

#[test]
fn a_cookie_that_is_given_twice_is_nobodys() {
    let cookies = Cookies::of("https://bailiwick.example");
    let one = format!("a=b; __Host-bailiwick={}", secret(1).reveal());
    let two = format!("__Host-bailiwick={}", secret(2).reveal());
    let found = |headers: &[&str]| {
        cookies.find(Cookie::Session, headers.iter().copied()).map(|s| s.reveal())
    };
    assert_eq!(found(&[&one]), Some(secret(1).reveal()));
    assert_eq!(found(&[&one, &two]), None);
    assert_eq!(found(&[&format!("{one}; {two}")]), None);
    // Another scheme's name, another purpose's, and what is no secret.
    for bad in ["bailiwick=AQEB", "__Host-bailiwick-login=AQEB", "__Host-bailiwick=short", ""] {
        assert_eq!(found(&[bad]), None, "{bad}");
    }
}

#[test]
fn a_change_asked_for_by_another_site_is_refused() {
    let ours = "https://bailiwick.example";
    assert_eq!(check_origin(ours, Some(ours), Some("same-origin")), Ok(()));
    assert_eq!(check_origin(ours, Some(ours), None), Ok(()));
    assert_eq!(check_origin(ours, None, Some("same-origin")), Ok(()));
    assert_eq!(check_origin(ours, Some("null"), Some("same-origin")), Ok(()));
    for (origin, site) in [
        (None, None),
        (None, Some("none")),
        (Some("null"), None),
        (Some("null"), Some("cross-site")),
        (Some("https://evil.example"), Some("same-origin")),
        (Some("https://bailiwick.example.evil"), None),
        (Some("http://bailiwick.example"), None),
        (Some(ours), Some("cross-site")),
        (Some(ours), Some("same-site")),
    ] {
        let refused = check_origin(ours, origin, site);
        assert_eq!(refused, Err(SessionError::CrossSite), "{origin:?} {site:?}");
    }
}

#[test]
fn a_login_leads_back_to_pages_of_ours_only() {
    for good in ["/", "/grants", "/authorize?client_id=https%3A%2F%2Fx&state=a", "/consent/AQEB"] {
        assert_eq!(local_path(good), Some(good));
    }
    for bad in [
        "",
        "grants",
        "//evil.example",
        "/\\evil.example",
        "https://evil.example/",
        "/\t/evil.example",
        "/a b",
        "javascript:alert(1)",
        "/ä",
    ] {
        assert_eq!(local_path(bad), None, "{bad}");
    }
}
