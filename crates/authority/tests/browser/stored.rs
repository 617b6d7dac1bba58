//! Texts that strangers write, on every page that shows them: none becomes
//! markup, none runs, none turns the text around it.

use bailiwick_authority::rules::agents::Provenance;
use bailiwick_authority::rules::clients::NewClient;
use bailiwick_authority::rules::tool_servers::NewServer;
use bailiwick_authority::{Authority, PrepareOptions};
use bailiwick_core::crypto::Signer as _;
use bailiwick_core::grant::Request;
use bailiwick_core::ids::{AgentId, RunId, ServerName, WorkflowId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::stop::StopTarget;
use bailiwick_policy::Bundle;
use bailiwick_policy::catalogue::DefinitionKind;
use bailiwick_store::{ClientSource, IdentityMode, Place, StoreError};
use bailiwick_testkit::browser::Browser;

use crate::consent::enrol;
use crate::site::{Site, key, now, principal};

/// Ways in which a text was ever taken for something else. What runs would set
/// `__x`; what becomes an element is found by [`PLANTED`].
const CORPUS: &[&str] = &[
    "<script>__x=1</script>",
    "</script><script>__x=1</script>",
    "<ScRiPt src=data:text/javascript,__x=1></sCrIpT>",
    "<script\u{0c}>__x=1</script\n>",
    "<<script>__x=1//<</script>",
    "<img src=x onerror=__x=1>",
    "<img/src='x'/onerror='__x=1'/>",
    "<IMG \"\"\"><SCRIPT>__x=1</SCRIPT>\">",
    "<svg onload=__x=1>",
    "<svg><script>__x=1</script></svg>",
    "<svg><animate onbegin=__x=1 attributeName=x dur=1s>",
    "<svg><foreignObject><body onload=__x=1></foreignObject></svg>",
    "<math><mi//xlink:href=\"data:x,<script>__x=1</script>\">",
    "<iframe srcdoc='<script>parent.__x=1</script>'></iframe>",
    "<iframe src=javascript:parent.__x=1></iframe>",
    "<object data=data:text/html,<script>__x=1</script>></object>",
    "<embed src=javascript:__x=1>",
    "<body onload=__x=1>",
    "<details open ontoggle=__x=1>x</details>",
    "<input autofocus onfocus=__x=1>",
    "<select autofocus onfocus=__x=1></select>",
    "<textarea autofocus onfocus=__x=1></textarea>",
    "</textarea><script>__x=1</script>",
    "</title><script>__x=1</script>",
    "</style><style>*{display:none}</style>",
    "<style>@import 'javascript:__x=1';</style>",
    "<link rel=stylesheet href=data:text/css,*{display:none}>",
    "<meta http-equiv=refresh content='0;url=javascript:__x=1'>",
    "<base href=//evil.example/>",
    "<form action=//evil.example/><button>x</button></form>",
    "<a href=javascript:__x=1 id=planted>x</a>",
    "javascript:__x=1",
    "JaVaScRiPt&#58;__x=1",
    "\" onmouseover=\"__x=1\" x=\"",
    "' onmouseover='__x=1' x='",
    "\"><script>__x=1</script>",
    "'><script>__x=1</script>",
    "`><script>__x=1</script>",
    "--><script>__x=1</script>",
    "]]><script>__x=1</script>",
    "&lt;script&gt;__x=1&lt;/script&gt;",
    "&#60;script&#62;__x=1&#60;/script&#62;",
    "&amp;lt;img src=x onerror=__x=1&amp;gt;",
    "%3Cscript%3E__x=1%3C/script%3E",
    "\\u003cscript\\u003e__x=1\\u003c/script\\u003e",
    "<template><script>__x=1</script></template><x-planted>",
    "{{constructor.constructor('__x=1')()}}",
    "${__x=1} #{__x=1} <%= __x=1 %> {% __x %}",
    "{\"a\":\"</script><script>__x=1</script>\"}",
    "safe\u{202e}gnp.exe <b>turned</b>",
    "\u{2066}isolated\u{2069}\u{200b}\u{feff}\u{ad}",
    "line\none\r\ntwo\ttabbed\u{2028}three\u{b}four",
    "\u{1b}[31mred\u{7}\u{8}",
    "مرحبا بالعالم <i>עברית</i>",
    "\u{e0041}\u{e0042}tagged\u{e007f}",
    "a\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}piled",
    "<noscript><p title=\"</noscript><img src=x onerror=__x=1>\">",
    "<xmp><p title=\"</xmp><img src=x onerror=__x=1>\">",
    "<plaintext><script>__x=1</script>",
];

/// What is on the page that no page of ours has.
const PLANTED: &str = "const found = [];
    const strange = 'img, iframe, object, embed, math, style, base, video, audio, marquee, xmp, \
        plaintext, x-planted, foreignObject, animate, svg script, body script, #planted, main form[action*=evil], \
        meta[http-equiv], template, noscript p[title]';
    for (const e of document.querySelectorAll(strange)) found.push(e.outerHTML.slice(0, 200));
    for (const e of document.querySelectorAll('script')) {
      if (!(e.getAttribute('src') || '').startsWith('/static/')) found.push(e.outerHTML.slice(0, 200));
    }
    for (const e of document.querySelectorAll('link')) {
      if (!(e.getAttribute('href') || '').startsWith('/static/')) found.push(e.outerHTML.slice(0, 200));
    }
    for (const e of document.querySelectorAll('*')) {
      for (const a of e.attributes) {
        if (a.name.startsWith('on') || a.name === 'style') found.push(`${a.name} on ${e.outerHTML.slice(0, 200)}`);
        if (['href', 'src', 'action', 'formaction'].includes(a.name) && /^\\s*javascript:/i.test(a.value))
          found.push(`${a.value} on ${e.tagName}`);
      }
    }
    const hidden = document.documentElement.textContent.match(/[\\u202a-\\u202e\\u2066-\\u2069\\u200b\\ufeff\\u0000-\\u0008\\u000b\\u001b]/);
    if (hidden) found.push(`a character that is not seen: ${hidden[0].codePointAt(0).toString(16)}`);
    if (window.__x !== undefined) found.push('a script ran');
    return found.concat(window.__violations);";

/// Keeps what the policy of the page forbade: an attempt is a failure, too.
const WATCH: &str = "window.__violations = [];
    document.addEventListener('securitypolicyviolation',
      (e) => window.__violations.push(`${e.violatedDirective}: ${e.blockedURI}`));";

fn agent(nth: usize) -> AgentId {
    AgentId::parse(&format!("agent:hostile-{nth}")).unwrap()
}

/// Puts each text wherever somebody may write one; gives the pages that show it.
fn planted(a: &Authority, tools: &mut Vec<Json>, nth: usize, text: &str) -> Vec<String> {
    let mut pages = Vec::new();
    let hostile = || Some(text.to_owned());
    let provenance = Provenance { publisher: hostile(), version: hostile(), artifact: None };
    a.agent_add(&agent(nth), &principal("user:owner"), provenance).unwrap();
    pages.push(format!("/agents/{}", agent(nth)));

    a.client_register(NewClient {
        id: format!("client-hostile-{nth}"),
        source: ClientSource::Dynamic,
        name: text.to_owned(),
        metadata: Json::from(
            Object::new()
                .with("client_name", text)
                .with("redirect_uris", vec![Json::from(format!("http://127.0.0.1/{nth}"))]),
        )
        .canonical(),
    })
    .unwrap();

    let properties = Object::new().with("q", Object::new().with("description", text));
    let schema = Object::new().with("type", "object").with("properties", properties);
    let tool = Object::new()
        .with("name", format!("tool_{nth}"))
        .with("title", text)
        .with("description", text)
        .with("inputSchema", schema);
    tools.push(tool.into());
    pages.push(format!("/catalogue/tool?id=mcp:hostile:tools/tool_{nth}"));

    let stop = a.stop(&StopTarget::Agent(agent(nth)), text).unwrap().stop;
    pages.push(format!("/stops/{stop}"));

    let waiting = crate::approvals::waits(a, text);
    pages.push(format!("/approvals/{waiting}"));

    let request = Request {
        principal: principal("user:said"),
        agent: AgentId::parse("agent:support-runner").unwrap(),
        scope: vec!["ticket:8821".to_owned()],
        expires_at: now().plus_seconds(1800),
        purpose: text.to_owned(),
        workflow: Some(WorkflowId::parse("support-tickets").unwrap()),
    };
    let Ok(prepared) = a.prepare(&request, &PrepareOptions::default()) else { return pages };
    let signed = prepared.statement.sign(&*key(31));
    let issued = a.submit(&prepared, &signed, None).unwrap();
    pages.push(format!("/grants/{}", issued.grant));
    pages.push(format!("/grants/{}/revoke", issued.grant));
    pages.push(format!("/tasks/{}", issued.task));

    // Goals, sources of context, claims, reviews, notes on failures.
    let done = crate::work::play(a, &issued.grant, text);
    pages.push(format!("/runs/{}", done.run));
    pages.push(format!("/runs/{}", done.open));
    pages.push(format!("/failures/{}", done.failure));
    let asked: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    pages.push(format!("/runs?workflow={asked}&agent={asked}&task={asked}&state={asked}"));
    pages.push(format!("/figures?workflow={asked}&version={asked}&agent={asked}&tool={asked}"));
    pages.push(format!("/figures/compare?workflow={asked}&before={asked}&after={asked}"));

    if let Some(workflow) = published(a, nth, text) {
        pages.extend(workflow);
    }

    // What is asked for in an address comes back on the page.
    let asked: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    pages.push(format!("/ledger?entry={asked}&agent={asked}&since={asked}&kind={asked}"));
    pages.push(format!("/activity?agent={asked}&tool={asked}&task={asked}&kind={asked}"));
    pages.push(format!("/approvals?search={asked}&agent={asked}&risk={asked}"));
    pages.push(format!("/policy?digest={asked}"));
    pages
}

/// A workflow that says this wherever it says something; its pages, if there can be one.
fn published(a: &Authority, nth: usize, text: &str) -> Option<[String; 2]> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == ' ';
    let escaped = text.chars().map(|c| match plain(c) {
        true => c.to_string(),
        false => format!("\\U{:08x}", u32::from(c)),
    });
    let text = format!("\"{}\"", escaped.collect::<String>());
    let document = |text: &str| {
        format!(
            "workflow: hostile-{nth}
version: {text}
owner: user:owner
purpose: {text}
agents: [agent:support-runner]
level: manual
window_seconds: 3600
max_depth: 1
budget: {{max_calls: 5}}
tool_servers: {{support-desk: {{tools: {{get_ticket: {{risk: low, effect: read, data: [ticket], personal: false}}}}}}}}
shorthands: {{all: {{tools: {{support-desk/get_ticket: any}}}}}}
completion: [{{id: done, says: {text}, by: self_report}}]
review: {{by: [owner], when: incomplete}}
rollback: [{{id: undo, says: {text}, how: manual}}]
"
        )
    };
    a.workflow_publish(&document("\"1\"")).unwrap();
    let id = WorkflowId::parse(&format!("hostile-{nth}")).unwrap();
    let digest = || a.workflow(&id).unwrap().1.digest();
    let before = digest();
    let full = document(&text);
    // A version is one short word to some: then the rest alone.
    let short = full.replacen(&format!("version: {text}"), "version: \"2\"", 1);
    a.workflow_publish(&full).or_else(|_| a.workflow_publish(&short)).ok()?;
    let changes = format!("/workflows/{id}/changes?from={before}&to={}", digest());
    Some([format!("/workflows/{id}"), changes])
}

/// What stands in a report as a file that no report of ours has.
const IN_REPORT: &str = "const found = [];
    const strange = 'script, img, iframe, object, embed, math, svg, link, base, video, form, a, input, button, textarea, \
        template, style ~ style, body style, x-planted, meta[http-equiv=refresh]';
    for (const e of document.querySelectorAll(strange)) found.push(e.outerHTML.slice(0, 200));
    for (const e of document.querySelectorAll('*')) {
      for (const a of e.attributes) if (a.name.startsWith('on')) found.push(`${a.name} on ${e.outerHTML.slice(0, 200)}`);
    }
    const hidden = document.documentElement.textContent.match(/[\\u202a-\\u202e\\u2066-\\u2069\\u200b\\ufeff\\u0000-\\u0008\\u000b\\u001b]/);
    if (hidden) found.push(`a character that is not seen: ${hidden[0].codePointAt(0).toString(16)}`);
    if (window.__x !== undefined) found.push('a script ran');
    return found;";

/// A policy whose reasons and comments are all of them.
fn policy() -> Bundle {
    let mut text = String::new();
    for (nth, hostile) in CORPUS.iter().enumerate() {
        let reason = Json::from(hostile.replace(|c: char| c.is_control() || !c.is_ascii(), "?"));
        let comment: String =
            hostile.chars().filter(|c| !c.is_control() && *c != '\u{2028}').collect();
        text.push_str(&format!(
            "// {comment}\n@id(\"p{nth}\") @reason({}) permit (principal, action, resource);\n",
            reason.canonical()
        ));
    }
    Bundle::parse([("hostile.cedar".to_owned(), text)]).unwrap()
}

/// Opens a page and tells what is wrong with it.
async fn judged(browser: &Browser, url: &str) -> Vec<String> {
    browser.open(url).await;
    browser.text("main h1").await;
    let found = browser.script(PLANTED).await;
    found.as_array().unwrap().iter().map(|f| format!("{url}: {f}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_of_a_stranger_becomes_markup_on_any_page() {
    assert!(CORPUS.len() >= 40);
    let (site, browser) = (Site::start().await, Browser::start().await);
    let document = crate::accessibility::instance(&site);
    site.ask(move |a| a.instance_enrol(&document).map(drop).unwrap()).await;
    enrol(&browser, &site, "user:owner").await;
    browser.on_every_page(WATCH).await;
    let pages = site
        .ask(|a| {
            let jwk = key(31).public_key().to_jwk();
            a.principal_add(&principal("user:said"), Some(&jwk)).unwrap();
            let server = ServerName::parse("hostile").unwrap();
            a.tool_server_add(NewServer {
                name: server.clone(),
                url: "http://127.0.0.1:9/mcp".into(),
                credential: None,
                identity_mode: IdentityMode::Shared,
                replace: false,
            })
            .unwrap();
            let (mut tools, mut pages) = (Vec::new(), Vec::new());
            for (nth, text) in CORPUS.iter().enumerate() {
                pages.extend(planted(a, &mut tools, nth, text));
            }
            let listing = Object::new().with("tools", tools).into();
            a.pin(&server, DefinitionKind::Tool, &listing, &[]).unwrap();
            a.policy_publish(Place::Enforced, policy()).unwrap();
            let newest = a.store().read(|v| v.log_size()).map_err(|e: StoreError| e).unwrap();
            pages.extend((newest - 5..newest).map(|index| format!("/activity/{index}")));
            pages
        })
        .await;
    let mut wrong = Vec::new();
    let lists = [
        "/",
        "/agents",
        "/clients",
        "/catalogue",
        "/grants",
        "/approvals",
        "/stops",
        "/activity",
        "/ledger",
        "/policy",
        "/settings",
        "/peers",
        "/workflows",
        "/workflows/support-tickets",
        "/runs",
        "/failures",
        "/figures",
        "/people",
        "/requests",
    ];
    let pages: Vec<String> = lists.iter().map(|path| (*path).to_owned()).chain(pages).collect();
    assert!(pages.len() > CORPUS.len() * 9, "{}", pages.len());
    for path in &pages {
        wrong.extend(judged(&browser, &format!("{}{path}", site.url)).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    browser.picture("hostile-texts").await;
    let hostile = pages.iter().filter(|path| path.starts_with("/workflows/hostile-"));
    assert!(hostile.count() > CORPUS.len(), "workflows say them, too");

    // The reports of the same runs, as files that are opened.
    site.publish().await;
    let folder = tempfile::tempdir().unwrap();
    let mut reports = 0;
    for path in pages.iter().filter(|path| path.starts_with("/runs/")) {
        let run = RunId::parse(path.trim_start_matches("/runs/")).unwrap();
        let html = site.ask(move |a| a.run_report(None, &run).unwrap().report().to_html()).await;
        let file = folder.path().join(format!("{reports}.html"));
        std::fs::write(&file, html).unwrap();
        browser.open(&format!("file://{}", file.display())).await;
        let found = browser.script(IN_REPORT).await;
        assert_eq!(found, serde_json::json!([]), "{path}");
        reports += 1;
    }
    assert!(reports > CORPUS.len(), "{reports}");
    browser.open(&format!("{}/", site.url)).await;
    browser.text("main h1").await;

    // The judge finds what it is there to find.
    browser.script("document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=x onerror=__x=1>')").await;
    let found = browser.script(PLANTED).await;
    assert!(found.as_array().unwrap().len() >= 2, "{found}");
}
