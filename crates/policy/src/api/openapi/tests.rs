use super::*;
use crate::api::tests::{ORDERS, operations};

fn item(text: &str, name: &str) -> Json {
    let described = read(text).unwrap();
    let items = described.listing.as_object().unwrap().member("operations").unwrap();
    let is = |i: &&Json| i.as_object().unwrap().member("name").unwrap().as_str() == Some(name);
    items.as_array().unwrap().iter().find(is).unwrap().clone()
}

fn left_out(paths: &str) -> Vec<&'static str> {
    let text = format!(r#"{{"openapi":"3.1.0","paths":{paths}}}"#);
    let described = read(&text).unwrap();
    described.left_out.into_iter().map(|l| l.why).collect()
}

#[test]
fn a_definition_stands_alone() {
    let made = item(ORDERS, "addOrder").canonical();
    assert!(!made.contains("$ref"), "{made}");
    assert_eq!(
        made,
        r#"{"body":{"form":"members","required":true},"inputSchema":{"additionalProperties":false,"properties":{"count":{"type":"integer"},"sku":{"type":"string"}},"required":["sku"],"type":"object"},"method":"POST","name":"addOrder","path":"/orders"}"#
    );
    let order = item(ORDERS, "getOrder").canonical();
    assert!(order.contains(r#""except":["/orders/all"]"#), "{order}");
    assert!(!order.contains("X-Trace") && !order.contains("x-trace"), "{order}");
}

#[test]
fn yaml_and_the_old_dialect_are_read_alike() {
    let yaml = "
openapi: 3.0.3
info: {title: T, version: '1'}
paths:
  /a/{id}:
    get:
      operationId: get_a
      parameters:
        - name: id
          in: path
          required: true
          schema: {type: integer, minimum: 1, exclusiveMinimum: true}
        - $ref: '#/components/parameters/State'
      responses:
        200: {description: fine}
components:
  parameters:
    State: {name: state, in: query, schema: {type: string, nullable: true, enum: [open, closed]}}
";
    let made = item(yaml, "get_a").canonical();
    assert!(made.contains(r#""id":{"exclusiveMinimum":1,"type":"integer"}"#), "{made}");
    assert!(made.contains(r#""state":{"enum":["open","closed",null],"type":"string"}"#), "{made}");
}

#[test]
fn optional_values_as_generators_write_them_are_simple() {
    let text = r#"{"openapi":"3.1.0","paths":{"/a":{"get":{"operationId":"a","parameters":[
        {"name":"n","in":"query","required":false,"schema":{"anyOf":[{"type":"integer"},{"type":"null"}],"title":"N"}},
        {"name":"t","in":"query","schema":{"type":["string","null"]}}]}}}}"#;
    let made = item(text, "a").canonical();
    assert!(made.contains(r#""n":{"type":"integer"},"t":{"type":"string"}"#), "{made}");
}

#[test]
fn what_cannot_be_carried_in_one_way_is_left_out_and_named() {
    for (paths, why) in [
        (r#"{"/f/{a}.json":{"get":{}}}"#, "only a part"),
        (r#"{"/f/{a}":{"get":{}}}"#, "not described"),
        (
            r#"{"/f":{"get":{"parameters":[{"name":"c","in":"cookie","required":true,"schema":{"type":"string"}}]}}}"#,
            "cookie",
        ),
        (
            r#"{"/f":{"get":{"parameters":[{"name":"X-Key","in":"header","required":true,"schema":{"type":"string"}}]}}}"#,
            "header",
        ),
        (
            r#"{"/f":{"get":{"parameters":[{"name":"o","in":"query","required":true,"schema":{"type":"object"}}]}}}"#,
            "simple value",
        ),
        (
            r##"{"/f":{"post":{"requestBody":{"required":true,"content":{"application/json":{"schema":{"$ref":"http://x/y"}}}}}}}"##,
            "leads nowhere",
        ),
        (
            r#"{"/f":{"post":{"requestBody":{"required":true,"content":{"text/csv":{}}}}}}"#,
            "not application/json",
        ),
        (r#"{"/f":{"get":{"operationId":"a b"}}}"#, "its name"),
        (r#"{"/f":{"get":{"operationId":"x"}},"/g":{"get":{"operationId":"x"}}}"#, "same name"),
    ] {
        let found = left_out(paths);
        assert!(!found.is_empty() && found.iter().all(|w| w.contains(why)), "{paths}: {found:?}");
    }
    let itself = r##"{"openapi":"3.1.0","paths":{"/f":{"post":{"requestBody":{"required":true,"content":
        {"application/json":{"schema":{"$ref":"#/components/schemas/N"}}}}}}},"components":{"schemas":
        {"N":{"type":"object","properties":{"next":{"$ref":"#/components/schemas/N"}}}}}}"##;
    assert_eq!(read(itself).unwrap().left_out[0].why, "a schema contains itself");
}

#[test]
fn a_schema_bomb_ends() {
    let mut schemas = String::from(r#""S0":{"type":"string"}"#);
    for n in 1..30 {
        let reference = format!(r##"{{"$ref":"#/components/schemas/S{}"}}"##, n - 1);
        schemas.push_str(&format!(
            r#","S{n}":{{"type":"object","properties":{{"a":{reference},"b":{reference}}}}}"#
        ));
    }
    let text = format!(
        r##"{{"openapi":"3.1.0","paths":{{"/f":{{"post":{{"requestBody":{{"required":true,"content":
        {{"application/json":{{"schema":{{"$ref":"#/components/schemas/S29"}}}}}}}}}}}}}},"components":{{"schemas":{{{schemas}}}}}}}"##
    );
    assert_eq!(read(&text).unwrap().left_out[0].why, "its schemas are too many or too deep");
}

#[test]
fn other_files_are_refused_with_a_code() {
    for (text, code) in [
        ("{", "openapi-unreadable"),
        (r#"{"openapi":"3.1.0","openapi":"3.0.0","paths":{}}"#, "openapi-unreadable"),
        ("a: &x 1\nb: *x", "openapi-unreadable"),
        (r#"{"swagger":"2.0","paths":{}}"#, "openapi-version"),
        (r#"{"openapi":"3.1.0"}"#, "openapi-no-paths"),
    ] {
        assert_eq!(read(text).unwrap_err().code(), code, "{text}");
    }
    assert_eq!(operations(ORDERS).len(), 6);
}

#[test]
fn two_templates_of_one_path_leave_it_to_nobody() {
    let text = r#"{"openapi":"3.1.0","paths":{
        "/a/{x}/c":{"parameters":[{"name":"x","in":"path","required":true,"schema":{"type":"string"}}],"get":{"operationId":"one"}},
        "/a/b/{y}":{"parameters":[{"name":"y","in":"path","required":true,"schema":{"type":"string"}}],"get":{"operationId":"two"}}}}"#;
    let all = operations(text);
    let one = &all[0];
    assert!(one.request(&Object::new().with("x", "z")).is_ok());
    assert!(one.request(&Object::new().with("x", "b")).is_err());
    assert!(all[1].request(&Object::new().with("y", "c")).is_err());
}
