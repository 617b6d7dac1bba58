//! A listing that comes in pages: each is narrowed, none is skipped.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::response::IntoResponse as _;
use bailiwick_core::ids::ServerName;
use bailiwick_demo::agent::{Connection, Era};
use bailiwick_gateway::ports::Catalogue as _;
use serde_json::{Value, json};

use crate::sessions::{id_of, open, presented};
use crate::support::{CREDENTIAL, OWN, SHOWN, World, listen, send};

/// A tool server that lists these tools two at a time, and the cursors that it
/// was given.
async fn in_pages(tools: Vec<Value>) -> (String, Arc<Mutex<Vec<String>>>) {
    let cursors = Arc::<Mutex<Vec<String>>>::default();
    let told = cursors.clone();
    let app = Router::new().fallback(move |body: Bytes| {
        let (tools, cursors) = (tools.clone(), told.clone());
        async move {
            let message: Value = serde_json::from_slice(&body).unwrap_or_default();
            let result = match message["method"].as_str() {
                Some("tools/list") => {
                    let cursor = message["params"]["cursor"].as_str().unwrap_or("0+=");
                    cursors.lock().unwrap().push(cursor.to_owned());
                    let from: usize = cursor.trim_end_matches("+=").parse().unwrap();
                    let page: Vec<_> = tools.iter().skip(from).take(2).collect();
                    let mut result = json!({"tools": page, "ttlMs": 9, "cacheScope": "public"});
                    if from + 2 < tools.len() {
                        result["nextCursor"] = json!(format!("{}+=", from + 2));
                    }
                    result
                }
                _ => json!({
                    "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                    "serverInfo": {"name": "x", "version": "1"},
                }),
            };
            let text = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
            let headers = [("content-type", "application/json"), ("mcp-session-id", "up")];
            (headers, text.to_string()).into_response()
        }
    });
    (listen(app).await.0, cursors)
}

#[tokio::test]
async fn every_page_shows_what_the_caller_may_use_and_the_next_cursor() {
    let world = World::new().await;
    world.gateway.check_pins().await;
    let desk = Connection::new(world.desk.url(), "desk", Era::Stateless).with_bearer(CREDENTIAL);
    let desk = desk.connect().await.unwrap();
    let mut tools: Vec<Value> =
        desk.list_tools().await.unwrap().iter().map(|tool| json!(tool)).collect();
    desk.close().await;
    // One that nobody accepted, under a name like one that the caller may use.
    let mut squatter = tools.iter().find(|tool| tool["name"] == "get_ticket").unwrap().clone();
    squatter["name"] = json!("get_ticket_now");
    tools.push(squatter);
    let names: Vec<String> =
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect();
    let (url, cursors) = in_pages(tools).await;
    let name = ServerName::parse("support-desk").unwrap();
    let mut server = (*world.catalogue.server(&name).unwrap().unwrap()).clone();
    server.url = url.parse().unwrap();
    world.catalogue.put(server);
    let runner = world.runner();
    let session = id_of(&open(&world, &runner).await);
    for era in [Era::Sessions, Era::Stateless] {
        cursors.lock().unwrap().clear();
        let mut cursor = None::<Value>;
        let (mut shown, mut pages) = (Vec::new(), Vec::new());
        loop {
            let mut params = json!({});
            if let Some(cursor) = &cursor {
                params["cursor"] = cursor.clone();
            }
            let mut headers = presented(&world, &runner, "POST", Some(&session));
            if era == Era::Stateless {
                headers.retain(|(name, _)| !name.starts_with("mcp-"));
                headers.push(("mcp-protocol-version", "2026-07-28".to_owned()));
                headers.push(("mcp-method", "tools/list".to_owned()));
                params["_meta"] = json!({
                    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientCapabilities": {},
                });
            }
            let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params});
            let page = send("POST", &world.url(), &headers, body.to_string()).await.json();
            let result = &page["result"];
            assert_eq!((&result["cacheScope"], &result["ttlMs"]), (&json!("private"), &json!(0)));
            let listed = result["tools"].as_array().unwrap();
            pages.push(listed.len());
            shown.extend(listed.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()));
            cursor = result.get("nextCursor").cloned();
            if cursor.is_none() {
                break;
            }
        }
        shown.sort();
        assert_eq!(shown, SHOWN, "{era:?}");
        // The gateway's own tools stand on the first page alone.
        pages[0] -= OWN;
        assert_eq!(pages.len(), names.len().div_ceil(2), "{era:?} {pages:?}");
        assert!(pages.contains(&0), "a page may be empty and another follow: {pages:?}");
        let asked = cursors.lock().unwrap().clone();
        let expected: Vec<_> =
            (0..names.len()).step_by(2).map(|from| format!("{from}+=")).collect();
        assert_eq!(asked, expected, "cursors are the tool server's, unchanged");
    }
}
