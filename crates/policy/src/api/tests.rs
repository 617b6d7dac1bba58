use super::openapi;
use super::*;
use crate::catalogue::Definition;

pub(super) const ORDERS: &str = r##"{
  "openapi": "3.1.0", "info": {"title": "Orders", "version": "1"},
  "paths": {
    "/orders/{id}": {
      "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "integer"}}],
      "get": {"operationId": "getOrder", "parameters": [
        {"name": "expand", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
        {"name": "q", "in": "query", "schema": {"type": "string"}},
        {"name": "deep", "in": "query", "schema": {"type": "boolean"}},
        {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
        {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}}]},
      "put": {"operationId": "putOrder", "requestBody": {"required": true, "content": {
        "application/json": {"schema": {"type": "object", "properties": {"id": {"type": "integer"}}}}}}}
    },
    "/orders/all": {"get": {"operationId": "allOrders"}},
    "/notes/{name}": {"get": {"operationId": "getNote", "parameters": [
      {"name": "name", "in": "path", "required": true, "schema": {"type": "string"}}]}},
    "/notes/secret": {"delete": {"operationId": "burn"}},
    "/orders": {"post": {"operationId": "addOrder", "requestBody": {"required": true, "content": {
      "application/json": {"schema": {"$ref": "#/components/schemas/New"}}}}}}
  },
  "components": {"schemas": {"New": {"type": "object", "title": "N", "required": ["sku"],
    "properties": {"sku": {"type": "string"}, "count": {"type": "integer"}}, "additionalProperties": false}}}
}"##;

pub(super) fn operations(text: &str) -> Vec<Operation> {
    let described = openapi::read(text).unwrap();
    let items = described.listing.as_object().unwrap().member("operations").unwrap();
    let read = |item| Operation::of(&Definition::of_operation(item).unwrap()).unwrap();
    items.as_array().unwrap().iter().map(read).collect()
}

type Headers<'a> = &'a [(&'a str, &'a [u8])];
const JSON: (&str, &[u8]) = ("content-type", b"application/json");

fn ask(line: &str, headers: Headers<'_>, body: &str) -> Result<(String, String), &'static str> {
    let all = operations(ORDERS);
    let (method, target) = line.split_once(' ').unwrap();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let limits = JsonLimits::DEFAULT;
    let incoming =
        Incoming { method, path, query, headers, body: body.as_bytes(), limits: &limits };
    let found = matching(all.iter().map(|o| (o, ())), &incoming);
    let (operation, (), arguments) = found.map_err(|e| e.code())?;
    // Law: the request that is built anew has the same arguments.
    let built = operation.request(&arguments).unwrap();
    let mut again: Vec<(&str, &[u8])> =
        built.headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
    again.push(JSON);
    let rebuilt = Incoming {
        method: built.verb.as_str(),
        path: &built.path,
        query: built.query.as_deref(),
        headers: &again,
        body: built.body.as_deref().unwrap_or_default(),
        limits: &limits,
    };
    assert_eq!(operation.arguments(&rebuilt).as_ref(), Ok(&arguments), "{line}");
    Ok((operation.name().to_owned(), Json::from(arguments).canonical()))
}

fn is(line: &str, headers: Headers<'_>, body: &str, name: &str, arguments: &str) {
    assert_eq!(ask(line, headers, body), Ok((name.to_owned(), arguments.to_owned())), "{line}");
}

#[test]
fn a_described_request_has_its_arguments() {
    is("GET /orders/10072", &[], "", "getOrder", r#"{"id":10072}"#);
    is(
        "GET /orders/7?expand=a&expand=b%20c&q=x%26y&deep=true",
        &[("if-none-match", b"\"v1\""), ("user-agent", b"curl"), ("x-trace", b"1")],
        "",
        "getOrder",
        r#"{"deep":true,"expand":["a","b c"],"id":7,"if-none-match":"\"v1\"","q":"x&y"}"#,
    );
    is("GET /notes/a%20b", &[], "", "getNote", r#"{"name":"a b"}"#);
    is("POST /orders", &[JSON], r#"{"sku":"a","count":2}"#, "addOrder", r#"{"count":2,"sku":"a"}"#);
    // A member that has a parameter's name makes the whole body one argument.
    is("PUT /orders/1", &[JSON], r#"{"id":2}"#, "putOrder", r#"{"body":{"id":2},"id":1}"#);
}

#[test]
fn what_could_be_read_as_another_path_is_refused() {
    for line in [
        "GET /orders//7",
        "GET /orders/7/",
        "GET orders/7",
        "GET /orders/../orders/7",
        "GET /orders/%2e%2e/x",
        "GET /orders/.",
        "GET /notes/%2E%2E",
        "GET /notes/a%2Fb",
        "GET /notes/a%2fb",
        "GET /notes/a%5Cb",
        "GET /notes/a%252Fb",
        "GET /notes/a;role=admin",
        "GET /notes/a%3Bb",
        "GET /notes/a%00",
        "GET /notes/a%0D%0Ab",
        "GET /notes/%61",
        "GET /notes/%c3%a9",
        "GET /notes/%C0%AF",
        "GET /notes/e%CC%81",
        "GET /notes/a%E2%80%8B",
        "GET /notes/%E2%80%AEa",
        "GET /notes/a%",
        "GET /notes/a%4",
        "GET /notes/a#b",
        "GET /notes/é",
        "GET /notes/a b",
    ] {
        let code = ask(line, &[], "").unwrap_err();
        assert!(["api-path-spelling", "api-path-unknown"].contains(&code), "{line}: {code}");
    }
}

#[test]
fn a_path_that_another_operation_could_be_meant_by_is_not_a_parameters_value() {
    // The server has a route of its own there, whatever the method and case.
    for line in ["GET /notes/secret", "GET /notes/SECRET", "GET /notes/Secret"] {
        let code = ask(line, &[], "").unwrap_err();
        assert!(["api-path-unknown", "api-method-unknown"].contains(&code), "{line}: {code}");
    }
    is("GET /orders/all", &[], "", "allOrders", "{}");
    let note = operations(ORDERS).into_iter().find(|o| o.name() == "getNote").unwrap();
    for name in ["secret", "..", "a/b", "", "a%2Fb", "a\u{200b}"] {
        assert!(note.request(&Object::new().with("name", name)).is_err(), "{name}");
    }
}

#[test]
fn values_have_one_spelling() {
    for (line, code) in [
        ("GET /orders/07", "api-value-spelling"),
        ("GET /orders/+7", "api-value-spelling"),
        ("GET /orders/7.0", "api-value-spelling"),
        ("GET /orders/-0", "api-value-spelling"),
        ("GET /orders/9007199254740993", "api-value-spelling"),
        ("GET /orders/%D9%A7", "api-value-spelling"),
        ("GET /orders/7?deep=TRUE", "api-value-spelling"),
        ("GET /orders/7?deep=1", "api-value-spelling"),
    ] {
        assert_eq!(ask(line, &[], ""), Err(code), "{line}");
    }
}

#[test]
fn a_query_has_described_parameters_once_each() {
    for (query, code) in [
        ("", "api-query-spelling"),
        ("q", "api-query-spelling"),
        ("q=a+b", "api-query-spelling"),
        ("q=a&", "api-query-spelling"),
        ("&q=a", "api-query-spelling"),
        ("q=%zz", "api-query-spelling"),
        ("%71=a", "api-query-spelling"),
        ("q=a;deep=true", "api-query-spelling"),
        ("q=a&q=b", "api-parameter-twice"),
        ("Q=a", "api-parameter-unknown"),
        ("q[]=a", "api-query-spelling"),
        ("admin=true", "api-parameter-unknown"),
        ("id=8", "api-parameter-unknown"),
    ] {
        assert_eq!(ask(&format!("GET /orders/7?{query}"), &[], ""), Err(code), "{query}");
    }
}

#[test]
fn every_header_that_matters_is_named_for_those_who_pass_requests_on() {
    let mut read: Vec<&str> = HEADER_PARAMETERS.iter().chain(&OVERRIDES).copied().collect();
    read.extend(["content-encoding", "content-type"]);
    read.sort_unstable();
    assert_eq!(read, HEADERS_READ);
}

#[test]
fn headers_make_no_other_request_of_it() {
    let line = "GET /orders/7";
    for (headers, code) in [
        (&[("x-http-method-override", &b"DELETE"[..])][..], "api-override"),
        (&[("x-original-url", b"/admin")], "api-override"),
        (&[("if-match", b"\"v1\"")], "api-parameter-unknown"),
        (&[("if-none-match", b"a"), ("if-none-match", b"b")], "api-parameter-twice"),
        (&[("if-none-match", b"a\x00")], "api-value-spelling"),
        (&[("if-none-match", b" a")], "api-value-spelling"),
        (&[("if-none-match", b"\xff")], "api-value-spelling"),
        (&[("content-encoding", b"gzip")], "api-body-type"),
    ] {
        assert_eq!(ask(line, headers, ""), Err(code), "{headers:?}");
    }
}

#[test]
fn a_body_is_one_strict_json_text_where_one_is_described() {
    let post = |headers, body: &str| ask("POST /orders", headers, body).unwrap_err();
    assert_eq!(ask("GET /orders/7", &[JSON], "{}"), Err("api-body-unexpected"));
    assert_eq!(post(&[JSON], ""), "api-body-missing");
    for (headers, body, code) in [
        (&[JSON][..], r#"{"sku":"a","sku":"b"}"#, "api-body-malformed"),
        (&[JSON], r#"{"sku":"a"} {}"#, "api-body-malformed"),
        (&[JSON], r#"{"sku":"\ud800"}"#, "api-body-malformed"),
        (&[JSON], r#"["sku"]"#, "api-body-form"),
        (&[JSON], r#"{"sku":"a","count":9007199254740993}"#, "api-number-inexact"),
        (&[JSON], r#"{"sku":"a","$input":{}}"#, "api-argument-reserved"),
        (&[JSON], r#"{"sku":"a","$state":""}"#, "api-argument-reserved"),
        (&[], r#"{"sku":"a"}"#, "api-body-type"),
        (&[JSON, JSON], r#"{"sku":"a"}"#, "api-body-type"),
        (&[("content-type", b"text/plain")], r#"{"sku":"a"}"#, "api-body-type"),
        (&[("content-type", b"application/json; charset=utf-7")], "{}", "api-body-type"),
        (&[("content-type", b"application/x-www-form-urlencoded")], "sku=a", "api-body-type"),
        (&[JSON, ("content-encoding", b"gzip")], r#"{"sku":"a"}"#, "api-body-type"),
    ] {
        assert_eq!(post(headers, body), code, "{body}");
    }
}

#[test]
fn a_method_is_the_operations_own() {
    for line in ["DELETE /orders/7", "get /orders/7", "HEAD /orders/7", "OPTIONS /orders/7"] {
        assert_eq!(ask(line, &[], ""), Err("api-method-unknown"), "{line}");
    }
    assert_eq!(ask("GET /admin", &[], ""), Err("api-path-unknown"));
}

/// The arguments of the request that is built from `arguments`; nothing, where
/// none is.
fn again(name: &str, arguments: &Object) -> Option<Result<Object, Undescribed>> {
    let operation = operations(ORDERS).into_iter().find(|o| o.name() == name).unwrap();
    let built = operation.request(arguments).ok()?;
    let mut headers: Vec<(&str, &[u8])> =
        built.headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    headers.push(JSON);
    Some(operation.arguments(&Incoming {
        method: built.verb.as_str(),
        path: &built.path,
        query: built.query.as_deref(),
        headers: &headers,
        body: built.body.as_deref().unwrap_or_default(),
        limits: &JsonLimits::DEFAULT,
    }))
}

proptest::proptest! {
    #[test]
    fn a_request_has_the_arguments_that_it_was_built_from(
        id in proptest::prelude::any::<i64>(),
        text in "\\PC{0,12}|[ -~]{0,12}",
        tag in "[ -~]{1,8}",
    ) {
        let order = Object::new()
            .with("id", id)
            .with("q", text.as_str())
            .with("expand", vec![Json::from(text.as_str()), Json::from("b")])
            .with("if-none-match", tag.as_str());
        let note = Object::new().with("name", text.as_str());
        let new = Object::new().with("sku", text.as_str()).with("count", id);
        for (name, arguments) in [("getOrder", order), ("getNote", note), ("addOrder", new)] {
            if let Some(read) = again(name, &arguments) {
                proptest::prop_assert_eq!(read, Ok(arguments));
            }
        }
    }
}
