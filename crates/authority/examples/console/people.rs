//! The pages about people.

use askama::Template;
use bailiwick_authority::console::{
    AgentLine, EntryLine, HeirChoice, LinkPage, OffboardPage, PasskeyLine, PeoplePage, PersonLine,
    PersonPage, Section, Text,
};
use bailiwick_store::Status;

use super::{agent, entries, frame, moment};

fn person(name: &str, roles: &[&str], passkeys: usize, status: Status) -> PersonLine {
    PersonLine {
        name: Some(Text::of(name)),
        path: format!("/people/{name}"),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        passkeys,
        agents: 2,
        status,
        revoked: status == Status::Retired,
    }
}

/// What an account's page says about the account.
pub(crate) fn history() -> Vec<EntryLine> {
    let mut made = entries().remove(0);
    made.what = "Passkey link made".to_owned();
    (made.agent, made.decision) = (None, None);
    vec![made]
}

pub(crate) fn page(name: &str) -> Option<String> {
    let agents: Vec<AgentLine> = vec![
        agent("agent:support-runner", Status::Active, 2),
        agent("agent:night-shift", Status::Suspended, 1),
    ];
    let html = match name {
        "people" => PeoplePage {
            next: None,
            frame: frame(Some(Section::People)),
            people: vec![
                person("user:alice", &["owner", "auditor"], 2, Status::Active),
                person("user:bob", &[], 1, Status::Active),
                person("service:billing", &[], 0, Status::Active),
                person("user:carol", &["operator"], 1, Status::Suspended),
                PersonLine { name: None, ..person("", &[], 0, Status::Retired) },
                person("user:mallory", &[], 0, Status::Retired),
            ],
        }
        .render(),
        "person" => PersonPage {
            frame: frame(Some(Section::People)),
            person: person("user:bob", &["operator"], 1, Status::Active),
            alias: "018cc251-f400-4000-8000-000000000001".into(),
            is_self: false,
            grants: 3,
            passkeys: vec![PasskeyLine {
                id: "a".into(),
                label: Text::of("Work laptop"),
                added: moment(-900_000),
                used: Some(moment(-60)),
            }],
            agents,
            workflows: Vec::new(),
        }
        .render(),
        "offboard" => OffboardPage {
            frame: frame(Some(Section::People)),
            name: Text::of("user:bob"),
            path: "/people/x".into(),
            grants: 3,
            agents: agents.iter().map(|agent| agent.id.clone()).collect(),
            heirs: vec![HeirChoice { alias: "x".into(), name: Text::of("user:alice") }],
            workflows: vec!["support-tickets".into()],
        }
        .render(),
        "link" => LinkPage {
            frame: frame(Some(Section::People)),
            name: Text::of("user:bob"),
            path: "/people/x".into(),
            link: "https://bailiwick.example/enrol/dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
                .into(),
            until: moment(86_400),
        }
        .render(),
        _ => return None,
    };
    Some(html.unwrap())
}
