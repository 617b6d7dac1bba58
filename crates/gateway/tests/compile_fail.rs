//! What must not compile: a permit out of nothing, a call before its record.
#![allow(clippy::panic, reason = "tests fail by panicking")]

#[test]
fn witnesses_cannot_be_forged() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}
