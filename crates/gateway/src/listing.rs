//! Listings, narrowed to what the presented delegation permits and what is
//! pinned. What is not shown cannot be told from what does not exist.

use bailiwick_core::ids::ToolId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::scope::Scope;
use bailiwick_policy::Workflow;
use bailiwick_policy::catalogue::DefinitionKind;
use bailiwick_policy::mcp_methods::{Era, Filter};

use crate::gateway::Inner;
use crate::ports::ToolServer;
use crate::relay::may_read;
use crate::stages::effect::uncached;

/// Whose view it is.
pub(crate) struct View<'a> {
    pub(crate) gateway: &'a Inner,
    pub(crate) server: &'a ToolServer,
    pub(crate) workflow: &'a Workflow,
    pub(crate) scope: &'a Scope,
    pub(crate) era: Era,
}

impl View<'_> {
    /// Whether the delegation has this operation and the workflow rates it.
    fn has(&self, operation: &str) -> bool {
        let id = format!("mcp:{}:{operation}", self.server.name);
        self.scope.rules(&id).is_some()
            && ToolId::parse(&id).is_ok_and(|id| self.workflow.catalogue.rating(&id).is_some())
    }

    fn reads(&self, uri: &str) -> bool {
        self.has("resources/read") && may_read(self.scope, self.server, uri)
    }

    /// Whether a request that is narrowed before it is sent may be sent.
    pub(crate) fn permits(&self, filter: Filter, params: Option<&Object>) -> bool {
        let text = |o: &Object, member: &str| -> Option<String> {
            o.member(member)?.as_str().map(str::to_owned)
        };
        match filter {
            Filter::Tools | Filter::Prompts | Filter::Resources | Filter::ResourceTemplates => true,
            Filter::ResourceUri => {
                params.and_then(|p| text(p, "uri")).is_some_and(|uri| self.reads(&uri))
            }
            Filter::CompletionRef => {
                let reference = params.and_then(|p| p.member("ref")?.as_object());
                let Some(reference) = reference else { return false };
                match text(reference, "type").as_deref() {
                    Some("ref/prompt") => text(reference, "name").is_some_and(|name| {
                        let operation = format!("prompts/{name}");
                        self.has(&operation) && self.server.pins.contains_key(&operation)
                    }),
                    // A template is listed when anything may be read.
                    Some("ref/resource") => self.has("resources/read"),
                    _ => false,
                }
            }
            Filter::Subscriptions => {
                let asked = params
                    .and_then(|p| p.member("notifications")?.as_object())
                    .and_then(|n| n.member("resourceSubscriptions"));
                match asked {
                    None => true,
                    Some(Json::Array(uris)) => {
                        uris.iter().all(|uri| uri.as_str().is_some_and(|uri| self.reads(uri)))
                    }
                    Some(_) => false,
                }
            }
        }
    }

    /// Narrows an answer.
    pub(crate) fn narrow(&self, filter: Filter, result: &mut Object) {
        let (member, shown): (&str, &dyn Fn(&Json) -> bool) = match filter {
            Filter::Tools => ("tools", &|item| self.shows(DefinitionKind::Tool, "tools", item)),
            Filter::Prompts => {
                ("prompts", &|item| self.shows(DefinitionKind::Prompt, "prompts", item))
            }
            Filter::Resources => {
                ("resources", &|item| text_of(item, "uri").is_some_and(|uri| self.reads(uri)))
            }
            Filter::ResourceTemplates => ("resourceTemplates", &|_| self.has("resources/read")),
            Filter::CompletionRef | Filter::ResourceUri | Filter::Subscriptions => return,
        };
        let items = match result.remove(member) {
            Some(Json::Array(items)) => items.into_iter().filter(|item| shown(item)).collect(),
            _ => Vec::new(),
        };
        result.insert(member, items);
        uncached(result, self.era);
    }

    fn shows(&self, kind: DefinitionKind, plural: &str, item: &Json) -> bool {
        // Every definition that passes is held against its pin, also those
        // that this caller is not shown.
        let is_pinned = self.gateway.pins.observe(self.gateway, self.server, kind, item);
        is_pinned && text_of(item, "name").is_some_and(|name| self.has(&format!("{plural}/{name}")))
    }
}

fn text_of<'j>(item: &'j Json, member: &str) -> Option<&'j str> {
    item.as_object()?.member(member)?.as_str()
}
