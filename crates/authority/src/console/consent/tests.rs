//! The page is read back as a browser would, and compared with the statement.

use bailiwick_core::crypto::sha256;
use bailiwick_core::ids::{AgentId, GrantId, OrgId, PrincipalId, TaskId, WorkflowId};
use bailiwick_core::limits::JsonLimits;
use scraper::{Html, Selector};

use super::*;
use crate::console::Person;

const TOOLS: &str = r#"{
    "mcp:support-desk:tools/get_ticket": {"ticket_id": {"constraint_type": "exact", "value": 8821}},
    "mcp:support-desk:tools/refund_order": {
        "amount_cents": {"constraint_type": "range", "min": 1, "max": 10000},
        "order_id": {"constraint_type": "exact", "value": 17},
        "reason": {"constraint_type": "length", "min": 1, "max": 2000, "optional": true}}
}"#;

fn statement() -> Statement {
    let now = Timestamp::from_seconds(1_800_000_000);
    let tools = Json::parse(TOOLS.as_bytes(), &JsonLimits::DEFAULT).unwrap();
    Statement {
        id: GrantId::mint(now, [1; 10]),
        org: OrgId::parse("default").unwrap(),
        principal_issuer: "http://localhost:4000".into(),
        principal: PrincipalId::parse("user:142").unwrap(),
        agent: AgentId::parse("agent:support-runner").unwrap(),
        task: TaskId::mint(now, [2; 10]),
        purpose: "resolve <b>ticket</b> \u{202e}8821 & \"more\"".into(),
        workflow: WorkflowId::parse("support-tickets").unwrap(),
        workflow_digest: sha256(b"w"),
        requested: vec!["ticket:8821".into(), "refund:17".into()],
        tools: tools.as_object().unwrap().clone(),
        not_before: 1_800_000_000,
        not_after: 1_800_002_700,
        max_depth: 2,
        budget: Object::new()
            .with("max_calls", 500u64)
            .with("per/3600/max_calls", 20u64)
            .with("sum/mcp:support-desk:tools/refund_order/amount_cents", 20_000u64),
        audience: vec!["http://localhost:4000/mcp".into()],
        salt: [3; 32],
        request: None,
    }
}

fn page(statement: &Statement) -> String {
    let person = Person { name: Text::of("user:142"), roles: Vec::new(), csrf: "TOKEN".into() };
    let beside = Beside {
        frame: Frame { person: Some(person), ..Frame::default() },
        path: "/consent/X".into(),
        client: ClientCard {
            name: Text::of("Inspector</script>"),
            id: Text::of("https://client.example/metadata"),
            returns_to: Text::of("client.example"),
            is_local: false,
        },
        agent: AgentCard {
            id: Text::of("agent:somebody-else"),
            owner: Some(Text::of("user:owner")),
            publisher: None,
            version: None,
            artifact: None,
        },
        catalogue: None,
        signing: Signing::Passkey { credentials: "QUFB".into(), relying_party: "localhost".into() },
        is_narrowed: false,
        notice: None,
    };
    ConsentPage::of(statement, beside).unwrap().render().unwrap()
}

struct Read(Html);

impl Read {
    fn all(&self, selector: &str) -> Vec<scraper::ElementRef<'_>> {
        self.0.select(&Selector::parse(selector).unwrap()).collect()
    }

    fn texts(&self, selector: &str) -> Vec<String> {
        self.all(selector)
            .iter()
            .map(|e| e.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }

    fn field(&self, name: &str) -> String {
        let found = self.texts(&format!("[data-field={name}]"));
        assert_eq!(found.len(), 1, "{name}");
        found.into_iter().next().unwrap()
    }

    fn attribute(&self, selector: &str, name: &str) -> Vec<String> {
        self.all(selector).iter().map(|e| e.attr(name).unwrap().to_owned()).collect()
    }
}

#[test]
fn the_page_says_every_member_of_the_statement_that_is_signed() {
    let statement = statement();
    let read = Read(Html::parse_document(&page(&statement)));
    assert_eq!(read.field("id"), statement.id.as_str());
    assert_eq!(read.field("org"), statement.org.as_str());
    assert_eq!(read.field("principal_issuer"), statement.principal_issuer);
    assert_eq!(read.field("principal"), statement.principal.as_str());
    assert_eq!(read.field("agent"), statement.agent.as_str());
    assert_eq!(read.field("task"), statement.task.as_str());
    assert_eq!(read.field("purpose"), Text::of(&statement.purpose).as_str());
    assert_eq!(read.field("workflow"), statement.workflow.as_str());
    assert_eq!(read.field("workflow_digest"), statement.workflow_digest.to_string());
    assert_eq!(read.texts("[data-requested]"), statement.requested);
    assert_eq!(read.texts("[data-audience]"), statement.audience);
    let time = |name: &str| {
        let found = read.attribute(&format!("[data-field={name}] time"), "datetime");
        found.first().unwrap().parse::<Timestamp>().unwrap().seconds()
    };
    assert_eq!(time("not_before"), statement.not_before);
    assert_eq!(time("not_after"), statement.not_after);
    let depth = read.attribute("[data-field=max_depth]", "data-value");
    assert_eq!(depth, [statement.max_depth.to_string()]);
    let budget: Vec<(String, String)> = read
        .attribute("[data-budget]", "data-budget")
        .into_iter()
        .zip(read.attribute("[data-budget]", "data-value"))
        .collect();
    let expected: Vec<(String, String)> =
        statement.budget.iter().map(|(m, v)| (m.to_owned(), v.canonical())).collect();
    assert_eq!(budget, expected);
    // Each tool with each argument's rule in words, and no other.
    let tools: Vec<(String, Vec<(String, String)>)> = read
        .all("[data-tool]")
        .iter()
        .map(|tool| {
            let (argument, words) =
                (Selector::parse("[data-argument]").unwrap(), Selector::parse("dd").unwrap());
            let arguments = tool.select(&argument).map(|a| {
                let words = a.select(&words).next().unwrap();
                (a.attr("data-argument").unwrap().to_owned(), words.text().collect())
            });
            (tool.attr("data-tool").unwrap().to_owned(), arguments.collect())
        })
        .collect();
    let expected: Vec<(String, Vec<(String, String)>)> = statement
        .tools
        .iter()
        .map(|(tool, map)| {
            let arguments = map.as_object().unwrap().iter();
            let arguments =
                arguments.map(|(n, c)| (n.to_owned(), Text::of(describe(c)).to_string()));
            (tool.to_owned(), arguments.collect())
        })
        .collect();
    assert_eq!(tools, expected);
    // What the passkey signs is this statement's digest.
    assert_eq!(read.field("digest"), statement.digest().to_string());
    let challenge = read.attribute("[data-sign]", "data-challenge");
    assert_eq!(challenge, [base64url(statement.digest().bytes())]);
}

#[test]
fn no_text_can_change_how_the_page_is_read() {
    let html = page(&statement());
    assert!(!html.contains('\u{202e}') && html.contains("\\u{202e}8821"));
    assert!(!html.contains("<b>ticket") && !html.contains("Inspector</script>"));
    // The agent's name is the statement's, whatever the registry's card says.
    assert!(!html.contains("agent:somebody-else"));
}

#[test]
fn the_page_has_no_inline_script_or_style_and_each_form_its_token() {
    let html = page(&statement());
    let read = Read(Html::parse_document(&html));
    let scripts = read.all("script");
    assert!(scripts.iter().all(|s| s.attr("src") == Some("/static/console.js")));
    assert!(read.all("style, [style], [onclick], [onsubmit], [onload]").is_empty());
    let forms = read.all("form[method=post]");
    assert!(forms.len() >= 2);
    for form in forms {
        let token = form.select(&Selector::parse("input[name=csrf]").unwrap()).next().unwrap();
        assert_eq!(token.attr("value"), Some("TOKEN"));
    }
}

#[test]
fn every_input_has_a_label_and_headings_do_not_jump() {
    let read = Read(Html::parse_document(&page(&statement())));
    for input in read.all("input:not([type=hidden]), select, textarea") {
        let id = input.attr("id").unwrap();
        assert!(!read.all(&format!("label[for='{id}']")).is_empty(), "{id}");
    }
    assert_eq!(read.all("h1").len(), 1);
    assert!(read.all("h3, h4").is_empty());
    assert_eq!(read.all("main").len(), 1);
    assert_eq!(read.attribute("html", "lang"), ["en"]);
}

#[test]
fn a_rule_that_cannot_be_shown_is_not_signed() {
    let mut bad = statement();
    bad.tools = Object::new().with("mcp:d:tools/x", "anything");
    let beside = Beside {
        frame: Frame::default(),
        path: String::new(),
        client: ClientCard {
            name: Text::default(),
            id: Text::default(),
            returns_to: Text::default(),
            is_local: true,
        },
        agent: AgentCard {
            id: Text::default(),
            owner: None,
            publisher: None,
            version: None,
            artifact: None,
        },
        catalogue: None,
        signing: Signing::Impossible,
        is_narrowed: false,
        notice: None,
    };
    let refused = ConsentPage::of(&bad, beside).unwrap_err();
    assert_eq!(refused, GrantError::Member { member: "tools" });
}

#[test]
fn durations_are_said_in_two_units_at_most() {
    for (seconds, words) in [
        (45, "45 seconds"),
        (60, "1 minute"),
        (2700, "45 minutes"),
        (3600, "1 hour"),
        (5400, "1 hour 30 minutes"),
        (86_400, "1 day"),
        (90_000, "1 day 1 hour"),
    ] {
        assert_eq!(duration(seconds), words);
    }
}

#[test]
fn a_budget_is_said_in_words_with_its_windows() {
    let tool = "mcp:desk:tools/pay";
    for (member, words) in [
        ("max_calls".to_owned(), "at most 20 calls in all"),
        (format!("max_calls/{tool}"), "at most 20 calls of mcp:desk:tools/pay"),
        ("per/3600/max_calls".to_owned(), "at most 20 calls an hour"),
        ("per/86400/max_calls".to_owned(), "at most 20 calls a day"),
        ("per/60/max_calls".to_owned(), "at most 20 calls a minute"),
        ("per/1/max_calls".to_owned(), "at most 20 calls a second"),
        ("per/90/max_calls".to_owned(), "at most 20 calls every 90 seconds"),
        ("per/3660/max_calls".to_owned(), "at most 20 calls every 61 minutes"),
        ("per/604800/max_calls".to_owned(), "at most 20 calls every 7 days"),
        (
            format!("per/86400/sum/{tool}/cents"),
            "all cents of mcp:desk:tools/pay together at most 20 a day",
        ),
        ("per/0/max_calls".to_owned(), "per/0/max_calls: 20"),
    ] {
        let limits = Limit::list(&Object::new().with(member, 20u64));
        assert_eq!(limits[0].words, Text::of(words));
    }
}
