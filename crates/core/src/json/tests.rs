use super::*;

fn parse(text: &str) -> Result<Json, JsonError> {
    Json::parse(text.as_bytes(), &JsonLimits::DEFAULT)
}

#[test]
fn duplicate_members_are_refused_at_any_depth_and_in_any_spelling() {
    for text in [r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#, r#"[{"x":{"b":1,"b":1}}]"#] {
        assert_eq!(parse(text).unwrap_err(), JsonError::DuplicateMember, "{text}");
    }
    let many: String = (0..40).map(|i| format!("\"k{i}\":0,")).collect();
    assert!(parse(&format!("{{{many}\"z\":1}}")).is_ok());
    assert_eq!(parse(&format!("{{{many}\"k3\":1}}")).unwrap_err(), JsonError::DuplicateMember);
    assert_eq!(
        parse(&format!("{{{many}\"z\":1,\"z\":2}}")).unwrap_err(),
        JsonError::DuplicateMember
    );
}

#[test]
fn malformed_texts_are_refused() {
    for text in [
        "",
        "{",
        "[1,]",
        "{\"a\":}",
        "01",
        "+1",
        "1.",
        ".5",
        "1e",
        "NaN",
        "nul",
        "\"\\ud800\"",
        "\"\\udc00x\"",
        "\"\u{1}\"",
        "1 2",
        "{a:1}",
        "'a'",
        "1e400",
        "-1e400",
        "[1]x",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
    assert_eq!(Json::parse(b"\"\xff\"", &JsonLimits::DEFAULT), Err(JsonError::NotUtf8));
}

#[test]
fn depth_size_and_count_are_bounded() {
    let nest = |n: usize| "[".repeat(n) + &"]".repeat(n);
    assert!(parse(&nest(96)).is_ok());
    assert_eq!(parse(&nest(97)), Err(JsonError::TooLarge { what: "depth" }));
    assert_eq!(parse(&nest(5000)), Err(JsonError::TooLarge { what: "depth" }));
    let limits = JsonLimits { max_values: 5, ..JsonLimits::DEFAULT };
    assert!(Json::parse(b"[1,2,3,4]", &limits).is_ok());
    assert_eq!(Json::parse(b"[1,2,3,4,5]", &limits), Err(JsonError::TooLarge { what: "values" }));
    let limits = JsonLimits { max_bytes: 3, ..JsonLimits::DEFAULT };
    assert_eq!(Json::parse(b"[12]", &limits), Err(JsonError::TooLarge { what: "bytes" }));
}

#[test]
fn numbers_keep_their_text_wherever_they_stand() {
    let v = parse(r#"{"a":"12 -3","b":[-0,1.50,{"c\"5":1e2}],"d":9007199254740993}"#).unwrap();
    let o = v.as_object().unwrap();
    let b = o.member("b").unwrap().as_array().unwrap();
    assert_eq!(b[0].as_number().unwrap().text(), "-0");
    assert_eq!(b[1].as_number().unwrap().text(), "1.50");
    let c = b[2].as_object().unwrap().member("c\"5").unwrap();
    assert_eq!(c.as_number().unwrap().text(), "1e2");
    assert_eq!(o.member("d").unwrap().as_number().unwrap().text(), "9007199254740993");
    assert!(!v.is_admissible());
}

#[test]
fn equality_is_equality_of_canonical_forms() {
    assert_eq!(parse("[1.0,-0,{\"a\":1,\"b\":2}]"), parse("[1e0,0,{\"b\":2,\"a\":1}]"));
    assert_ne!(parse("[1,2]"), parse("[2,1]"));
    assert_ne!(parse("1"), parse("\"1\""));
    assert_ne!(parse("{\"a\":1}"), parse("{\"a\":1,\"b\":1}"));
}

#[test]
fn canonical_forms_and_admissibility_agree_with_the_vectors() {
    let vectors = include_bytes!("../../../../vectors/aat-02.json");
    let limits = JsonLimits { max_bytes: 1 << 24, max_depth: 64, max_values: 1_000_000 };
    let vectors = Json::parse(vectors, &limits).unwrap();
    let vectors = vectors.as_object().unwrap();
    for case in vectors.member("jcs").unwrap().as_array().unwrap() {
        let case = case.as_object().unwrap();
        let text = case.member("text").unwrap().as_str().unwrap();
        let jcs = case.member("jcs").unwrap().as_str().unwrap();
        assert_eq!(parse(text).unwrap().canonical(), jcs);
    }
    let numbers = vectors.member("numbers").unwrap().as_array().unwrap();
    assert!(numbers.len() >= 42);
    for case in numbers {
        let case = case.as_object().unwrap();
        let text = case.member("text").unwrap().as_str().unwrap();
        let admissible = case.member("admissible").unwrap().as_bool().unwrap();
        match (parse(text), case.member("jcs").unwrap().as_str()) {
            (Ok(v), Some(jcs)) => {
                assert_eq!(v.canonical(), jcs, "{text}");
                assert_eq!(v.is_admissible(), admissible, "{text}");
            }
            (Err(_), None) => assert!(!admissible),
            (got, expected) => panic!("{text}: {got:?} against {expected:?}"),
        }
    }
}
