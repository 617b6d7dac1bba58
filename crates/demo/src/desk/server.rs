//! The desk as an MCP server: checks arguments, logs the call, executes it.

use std::{sync::Arc, time::Duration};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock,
        GetPromptRequestParams, GetPromptResponse, GetPromptResult, Implementation, JsonObject,
        ListPromptsResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
        PromptMessage, ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse,
        ReadResourceResult, ResourceContents, Role, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    DeskError, REFUND_POLICY_URI, REPLY_PROMPT,
    database::{Database, NewCall, Refund},
    definitions::{self, MAX_QUERY_CHARS, MAX_SLOW_SECONDS, MAX_TEXT_CHARS},
    quirk::QuirkSwitch,
};

/// The MCP handler; each request or session gets a clone.
#[derive(Clone)]
pub(super) struct Desk {
    database: Arc<Database>,
    quirk: QuirkSwitch,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddNote {
    ticket_id: i64,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderId {
    order_id: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TicketId {
    ticket_id: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CustomerId {
    customer_id: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefundOrder {
    order_id: i64,
    amount_cents: i64,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchCustomers {
    query: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SlowReport {
    seconds: u64,
}

/// A call whose arguments were found good.
enum Call {
    AddNote(AddNote),
    GetOrder(OrderId),
    GetTicket(TicketId),
    ListOrders(CustomerId),
    RefundOrder(RefundOrder),
    SearchCustomers(SearchCustomers),
    SlowReport(SlowReport),
}

fn parse<T: DeserializeOwned>(arguments: &JsonObject) -> Result<T, ErrorData> {
    serde_json::from_value(Value::Object(arguments.clone()))
        .map_err(|error| ErrorData::invalid_params(format!("invalid arguments: {error}"), None))
}

fn within(good: bool, member: &str) -> Result<(), ErrorData> {
    if good {
        Ok(())
    } else {
        Err(ErrorData::invalid_params(
            format!("invalid arguments: `{member}` is out of range"),
            None,
        ))
    }
}

fn text_within(text: &str, longest: usize, member: &str) -> Result<(), ErrorData> {
    within((1..=longest).contains(&text.chars().count()), member)
}

impl Call {
    /// Checks name and arguments against what [`definitions::tools`] promises.
    fn parse(name: &str, arguments: &JsonObject) -> Result<Self, ErrorData> {
        match name {
            "add_note" => {
                let call: AddNote = parse(arguments)?;
                text_within(&call.text, MAX_TEXT_CHARS, "text")?;
                Ok(Self::AddNote(call))
            }
            "get_order" => Ok(Self::GetOrder(parse(arguments)?)),
            "get_ticket" => Ok(Self::GetTicket(parse(arguments)?)),
            "list_orders" => Ok(Self::ListOrders(parse(arguments)?)),
            "refund_order" => {
                let call: RefundOrder = parse(arguments)?;
                within((1..=10_000_000).contains(&call.amount_cents), "amount_cents")?;
                text_within(&call.reason, MAX_TEXT_CHARS, "reason")?;
                Ok(Self::RefundOrder(call))
            }
            "search_customers" => {
                let call: SearchCustomers = parse(arguments)?;
                text_within(&call.query, MAX_QUERY_CHARS, "query")?;
                Ok(Self::SearchCustomers(call))
            }
            "slow_report" => {
                let call: SlowReport = parse(arguments)?;
                within(call.seconds <= MAX_SLOW_SECONDS, "seconds")?;
                Ok(Self::SlowReport(call))
            }
            _ => Err(ErrorData::invalid_params(format!("unknown tool `{name}`"), None)),
        }
    }
}

fn failed(error: &DeskError) -> ErrorData {
    tracing::error!(%error, "the desk's database failed");
    ErrorData::internal_error("the desk's database failed", None)
}

/// A result for the tool's user: the value, or a sentence marked as an error.
fn answer(value: Option<Value>, otherwise: impl FnOnce() -> String) -> CallToolResult {
    match value {
        Some(value) => CallToolResult::structured(value),
        None => CallToolResult::error(vec![ContentBlock::text(otherwise())]),
    }
}

impl Desk {
    pub(super) fn new(database: Arc<Database>, quirk: QuirkSwitch) -> Self {
        Self { database, quirk }
    }

    /// Writes the call log entry; nothing may be executed before it is written.
    fn log(
        &self,
        tool: &str,
        arguments: &Value,
        context: &RequestContext<RoleServer>,
    ) -> Result<i64, ErrorData> {
        let meta = serde_json::to_string(&context.meta).unwrap_or_default();
        let protocol =
            context.protocol_version().map(|version| version.to_string()).unwrap_or_default();
        let call = NewCall {
            tool,
            arguments: &arguments.to_string(),
            meta: &meta,
            request_id: &context.id.to_string(),
            protocol: &protocol,
        };
        self.database.log_call(&call).map_err(|error| failed(&error))
    }

    fn ended(&self, number: i64, outcome: &str) -> Result<(), ErrorData> {
        self.database.log_outcome(number, outcome).map_err(|error| failed(&error))
    }

    async fn execute(&self, call: Call) -> Result<CallToolResult, DeskError> {
        let database = &self.database;
        Ok(match call {
            Call::AddNote(AddNote { ticket_id, text }) => {
                let added = database.add_note(ticket_id, &text)?;
                answer(added.then(|| json!({"ticket_id": ticket_id, "added": true})), || {
                    no_such("ticket", ticket_id)
                })
            }
            Call::GetOrder(OrderId { order_id }) => {
                let order = database.order(order_id)?;
                answer(order.map(|order| json!(order)), || no_such("order", order_id))
            }
            Call::GetTicket(TicketId { ticket_id }) => {
                let ticket = database.ticket(ticket_id)?;
                answer(ticket.map(|ticket| json!(ticket)), || no_such("ticket", ticket_id))
            }
            Call::ListOrders(CustomerId { customer_id }) => {
                let orders = database.orders(customer_id)?;
                answer((!orders.is_empty()).then(|| json!({"orders": orders})), || {
                    no_such("customer", customer_id)
                })
            }
            Call::RefundOrder(RefundOrder { order_id, amount_cents, reason }) => {
                match database.refund(order_id, amount_cents, &reason)? {
                    Refund::NoSuchOrder => answer(None, || no_such("order", order_id)),
                    Refund::TooMuch { left_cents } => answer(None, || {
                        format!("only {left_cents} cents are left to refund of order {order_id}")
                    }),
                    made @ Refund::Made { .. } => answer(Some(json!(made)), String::new),
                }
            }
            Call::SearchCustomers(SearchCustomers { query }) => {
                answer(Some(json!({"customers": database.search_customers(&query)?})), String::new)
            }
            Call::SlowReport(SlowReport { seconds }) => {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                let [tickets, orders, customers] = database.counts()?;
                answer(
                    Some(json!({"tickets": tickets, "orders": orders, "customers": customers})),
                    String::new,
                )
            }
        })
    }
}

fn no_such(what: &str, id: i64) -> String {
    format!("there is no {what} {id}")
}

impl ServerHandler for Desk {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_prompts()
            .enable_resources()
            .enable_tools()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("support-desk", env!("CARGO_PKG_VERSION")))
            .with_instructions("A support desk: tickets, orders, customers.")
    }

    fn supported_protocol_versions(&self) -> std::borrow::Cow<'static, [ProtocolVersion]> {
        std::borrow::Cow::Borrowed(&[ProtocolVersion::V_2025_11_25, ProtocolVersion::V_2026_07_28])
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(definitions::tools(self.quirk.now()))
            .with_ttl_ms(0)
            .with_cache_scope(CacheScope::Private))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        definitions::tools(self.quirk.now()).into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let call = Call::parse(&request.name, &arguments)?;
        let number = self.log(&request.name, &Value::Object(arguments), &context)?;
        let result = self.execute(call).await;
        let good = matches!(&result, Ok(result) if result.is_error != Some(true));
        self.ended(number, if good { "ok" } else { "error" })?;
        result.map(Into::into).map_err(|error| failed(&error))
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(vec![definitions::resource()])
            .with_ttl_ms(0)
            .with_cache_scope(CacheScope::Private))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        if request.uri != REFUND_POLICY_URI {
            return Err(ErrorData::resource_not_found(
                format!("there is no resource `{}`", request.uri),
                None,
            ));
        }
        let number = self.log("resources/read", &json!({"uri": request.uri}), &context)?;
        self.ended(number, "ok")?;
        let contents = ResourceContents::text(definitions::REFUND_POLICY, request.uri)
            .with_mime_type("text/markdown");
        Ok(ReadResourceResult::new(vec![contents])
            .with_ttl_ms(0)
            .with_cache_scope(CacheScope::Private)
            .into())
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(vec![definitions::prompt()])
            .with_ttl_ms(0)
            .with_cache_scope(CacheScope::Private))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        if request.name != REPLY_PROMPT {
            return Err(ErrorData::invalid_params(
                format!("unknown prompt `{}`", request.name),
                None,
            ));
        }
        let arguments = request.arguments.unwrap_or_default();
        // Prompt arguments are strings in MCP, unlike those of tools.
        let ticket_id =
            arguments.get("ticket_id").and_then(Value::as_str).and_then(|text| text.parse().ok());
        let (1, Some(ticket_id)) = (arguments.len(), ticket_id) else {
            return Err(ErrorData::invalid_params(
                "the prompt takes `ticket_id`, a number as a string",
                None,
            ));
        };
        let number =
            self.log(&format!("prompts/{REPLY_PROMPT}"), &Value::Object(arguments), &context)?;
        let ticket = self.database.ticket(ticket_id).map_err(|error| failed(&error))?;
        self.ended(number, if ticket.is_some() { "ok" } else { "error" })?;
        let Some(ticket) = ticket else {
            return Err(ErrorData::invalid_params(no_such("ticket", ticket_id), None));
        };
        let text = format!("Draft a short, friendly reply to this ticket:\n{}", json!(ticket));
        Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)])
            .with_description("Drafts a reply to a ticket.")
            .into())
    }
}
