//! Every case of the project's vectors, by the same code as the runner.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "../examples/conformance/cases.rs"]
mod cases;

#[test]
fn every_vector_has_the_expected_verdict_and_the_first_failing_step() {
    let results = cases::run(include_bytes!("../../../vectors/aat-02.json")).unwrap();
    assert!(results.len() >= 445 + 42 + 10);
    let failed: Vec<_> = results.iter().filter(|r| r.failure.is_some()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let mislabelled: Vec<_> =
        results.iter().filter(|r| r.label_agrees == Some(false)).map(|r| &r.id).collect();
    // Denied all the same, earlier than the step that the suite names: bad
    // framing before any header (J.14.b, X.2c.4, X.4a.1, X.2.4), numbers beyond
    // every integer or double when the JSON is read (X.3h.2, X.3n.30, X.6b.19),
    // and a holder key on another curve where it is stated (X.4a.8).
    assert_eq!(
        mislabelled,
        ["J.14.b", "X.2c.4", "X.3h.2", "X.3n.30", "X.4a.1", "X.4a.8", "X.6b.19", "X.2.4"]
    );
}
