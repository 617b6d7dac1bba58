use bailiwick_core::constraint::Dialect;
use bailiwick_core::ids::ServerName;
use bailiwick_core::limits::JsonLimits;

use super::*;
use crate::oauth::error::OAuthError;

const GET: &str = "mcp:desk:tools/get_order";
const REFUND: &str = "mcp:desk:tools/refund_order";
const OTHER: &str = "mcp:mail:tools/send";

fn object(text: &str) -> Object {
    match Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap() {
        Json::Object(object) => object,
        other => panic!("{other}"),
    }
}

fn scope_of(tools: &[(&str, &str)]) -> Scope {
    let map: Object =
        tools.iter().map(|(tool, rules)| ((*tool).to_owned(), object(rules).into())).collect();
    Scope::parse(&map, Dialect::Extended, 32).unwrap()
}

const ONE: &str = r#"{"order_id":{"constraint_type":"exact","value":1}}"#;
const UP_TO_9: &str = r#"{"order_id":{"constraint_type":"range","min":0,"max":9}}"#;

fn thumbprint(byte: u8) -> Thumbprint {
    Thumbprint::from_array([byte; 32])
}

fn agent(name: &str) -> AgentId {
    AgentId::parse(name).unwrap()
}

fn server(name: &str) -> Option<Resource> {
    Some(Resource::Server(ServerName::parse(name).unwrap()))
}

const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

/// A good exchange for a root; tests change one thing of it.
#[derive(Clone)]
struct World {
    subject: Subject,
    actor: Actor,
    client_agent: Option<AgentId>,
    client_key: Option<Thumbprint>,
    proof_key: Option<Thumbprint>,
    grant: Option<Standing>,
    bounds: Vec<Bound>,
    bearer_tools: BTreeSet<ToolId>,
    asked: Asked,
}

impl World {
    fn good() -> Self {
        let runner = agent("agent:runner");
        let principal = PrincipalId::parse("user:142").unwrap();
        let wide = scope_of(&[(GET, UP_TO_9), (REFUND, UP_TO_9), (OTHER, UP_TO_9)]);
        let narrow = scope_of(&[(GET, UP_TO_9), (OTHER, ONE)]);
        let bound = |part, scope: &Scope, seconds, depth| Bound {
            scope: Some(scope.clone()),
            not_after: Some(NOW.plus_seconds(seconds)),
            max_depth: Some(depth),
            ..Bound::new(part)
        };
        Self {
            subject: Subject {
                principal: principal.clone(),
                may_act: vec![runner.clone()],
                actors: vec![],
            },
            actor: Actor { agent: runner.clone(), holder: thumbprint(1), identity: thumbprint(2) },
            client_agent: Some(runner.clone()),
            client_key: Some(thumbprint(2)),
            proof_key: Some(thumbprint(2)),
            grant: Some(Standing {
                id: GrantId::mint(NOW, [1; 10]),
                principal,
                agent: runner,
                not_before: NOW,
                not_after: NOW.plus_seconds(7200),
                ended: false,
            }),
            bounds: vec![
                bound(Part::Subject, &wide, 7200, 3),
                bound(Part::Grant, &narrow, 7200, 2),
                bound(Part::Policy, &wide, 3600, 5),
            ],
            bearer_tools: BTreeSet::new(),
            asked: Asked {
                kind: TokenType::Delegation,
                resource: None,
                scope: None,
                not_after: None,
                max_depth: None,
                budget: Object::new(),
                holder: None,
            },
        }
    }

    fn decide(&self) -> Result<Granted, ExchangeRefusal> {
        decide(&Exchange {
            now: NOW,
            subject: &self.subject,
            actor: &self.actor,
            client_agent: self.client_agent.as_ref(),
            client_key: self.client_key,
            proof_key: self.proof_key,
            grant: self.grant.as_ref(),
            bounds: &self.bounds,
            bearer_tools: &self.bearer_tools,
            asked: &self.asked,
        })
    }
}

/// The code of the refusal when one thing of a good exchange is changed.
fn refused(change: impl FnOnce(&mut World)) -> &'static str {
    let mut world = World::good();
    change(&mut world);
    let refusal = world.decide().unwrap_err();
    assert!(!refusal.remedy().is_empty());
    let error = OAuthError::from(refusal.clone());
    assert_eq!(error.reason, refusal.code());
    refusal.code()
}

#[test]
fn what_was_not_asked_for_is_what_all_parts_allow() {
    let granted = World::good().decide().unwrap();
    assert_eq!(granted.output, Output::Root);
    assert_eq!(granted.resource, Resource::Gateway);
    assert_eq!(granted.scope, scope_of(&[(GET, UP_TO_9), (OTHER, ONE)]));
    assert_eq!(granted.not_after, NOW.plus_seconds(3600));
    assert_eq!(granted.max_depth, 2);
}

#[test]
fn client_actor_and_proof_are_of_one_instance() {
    assert_eq!(refused(|w| w.client_agent = None), "client-unmapped");
    assert_eq!(refused(|w| w.client_agent = Some(agent("agent:other"))), "client-other-agent");
    assert_eq!(refused(|w| w.client_key = Some(thumbprint(9))), "client-key-other");
    assert_eq!(refused(|w| w.proof_key = Some(thumbprint(9))), "proof-other");
    assert_eq!(refused(|w| w.proof_key = None), "proof-missing");
    assert_eq!(refused(|w| w.asked.holder = Some(thumbprint(2))), "holder-other");
    let mut world = World::good();
    world.asked.holder = Some(thumbprint(1));
    world.proof_key = Some(thumbprint(1));
    world.client_key = None;
    assert!(world.decide().is_ok());
}

#[test]
fn the_subject_token_must_let_the_actor_act() {
    assert_eq!(refused(|w| w.subject.may_act.clear()), "actor-not-permitted");
    assert_eq!(refused(|w| w.subject.may_act = vec![agent("agent:other")]), "actor-not-permitted");
}

#[test]
fn inner_actors_only_ever_deny() {
    let actors = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let many: Vec<String> = (0..9).map(|i| format!("agent:a{i}")).collect();
    assert_eq!(refused(|w| w.subject.actors = many.clone()), "actors-too-deep");
    let cycle = actors(&["agent:a", "agent:b", "agent:a"]);
    assert_eq!(refused(|w| w.subject.actors = cycle), "actors-cyclic");
    let again = actors(&["agent:a", "agent:runner"]);
    assert_eq!(refused(|w| w.subject.actors = again), "actors-cyclic");
    // To stand among the inner actors gives nothing.
    let inner = actors(&["agent:a", "agent:b"]);
    assert_eq!(
        refused(|w| {
            w.subject.actors = inner;
            w.subject.may_act = vec![agent("agent:a")];
        }),
        "actor-not-permitted"
    );
    let mut world = World::good();
    world.subject.actors = actors(&["agent:runner"]);
    assert!(world.decide().is_ok());
}

#[test]
fn a_grant_of_these_parties_must_stand() {
    assert_eq!(refused(|w| w.grant = None), "grant-missing");
    let grant = |w: &mut World, change: fn(&mut Standing)| change(w.grant.as_mut().unwrap());
    assert_eq!(refused(|w| grant(w, |g| g.ended = true)), "grant-not-standing");
    assert_eq!(refused(|w| grant(w, |g| g.not_after = NOW)), "grant-not-standing");
    assert_eq!(refused(|w| grant(w, |g| g.not_before = NOW.plus_seconds(1))), "grant-not-standing");
    let other = |g: &mut Standing| g.principal = PrincipalId::parse("user:143").unwrap();
    assert_eq!(refused(|w| grant(w, other)), "grant-other");
    assert_eq!(refused(|w| grant(w, |g| g.agent = agent("agent:other"))), "grant-other");
    // A subject token at its end gives nothing, however long the grant stands.
    assert_eq!(refused(|w| w.bounds[0].not_after = Some(NOW)), "grant-not-standing");
}

#[test]
fn what_is_asked_for_beyond_any_part_is_refused_by_name() {
    for part in 0..3 {
        let only_one = scope_of(&[(GET, ONE)]);
        let mut world = World::good();
        world.bounds[part].scope = Some(only_one);
        world.asked.scope = Some(scope_of(&[(GET, UP_TO_9)]));
        let refusal = world.decide().unwrap_err();
        let ExchangeRefusal::Beyond { part: named, what } = refusal else { panic!() };
        assert_eq!(named, world.bounds[part].part);
        assert!(what.contains(GET), "{what}");
    }
    let code = refused(|w| w.asked.scope = Some(scope_of(&[(REFUND, ONE)])));
    assert_eq!(code, "beyond-bound");
    assert_eq!(refused(|w| w.asked.max_depth = Some(3)), "beyond-bound");
    assert_eq!(
        refused(|w| {
            w.bounds[1].budget = object(r#"{"max_calls":5,"per/60/max_calls":5}"#);
            w.asked.budget = object(r#"{"max_calls":6}"#);
        }),
        "beyond-bound"
    );
    assert_eq!(refused(|w| w.asked.scope = Some(Scope::empty())), "nothing-left");
    assert_eq!(refused(|w| w.bounds[0].scope = Some(scope_of(&[(REFUND, ONE)]))), "nothing-left");
    assert_eq!(refused(|w| w.bounds.clear()), "nothing-left");
}

#[test]
fn what_is_granted_is_never_longer_wider_or_deeper_than_any_part() {
    let lengths = [1, 600, 5000, 100_000];
    let scopes = [
        None,
        Some(scope_of(&[(GET, ONE)])),
        Some(scope_of(&[(GET, UP_TO_9)])),
        Some(scope_of(&[(GET, UP_TO_9), (REFUND, ONE)])),
    ];
    let mut granted_any = 0;
    for (i, length) in lengths.iter().enumerate() {
        for asked in &scopes {
            for bound in scopes.iter().flatten() {
                let mut world = World::good();
                world.bounds[i % 3].scope = Some(bound.clone());
                world.bounds[i % 3].not_after = Some(NOW.plus_seconds(*length));
                world.bounds[i % 3].budget = object(r#"{"max_calls":7}"#);
                world.asked.scope.clone_from(asked);
                world.asked.not_after = Some(NOW.plus_seconds(5001));
                world.asked.budget = object(r#"{"max_calls":3,"max_calls/mcp:d:tools/t":1}"#);
                let Ok(granted) = world.decide() else { continue };
                granted_any += 1;
                for b in &world.bounds {
                    assert_eq!(b.scope.as_ref().unwrap().covers(&granted.scope), Ok(()));
                    assert!(granted.not_after <= b.not_after.unwrap());
                    assert!(granted.max_depth <= b.max_depth.unwrap());
                    assert_eq!(budget_beyond(&b.budget, &granted.budget), None);
                }
                assert!(granted.not_after <= NOW.plus_seconds(5001));
                assert_eq!(granted.budget, world.asked.budget);
                if let Some(asked) = asked {
                    assert_eq!(asked.covers(&granted.scope), Ok(()));
                }
            }
        }
    }
    assert!(granted_any > 10);
}

#[test]
fn the_smallest_of_every_budget_counts() {
    let mut world = World::good();
    world.bounds[0].budget =
        object(r#"{"max_calls":5,"max_calls/mcp:d:tools/t":9,"per/60/max_calls":3}"#);
    world.bounds[1].budget =
        object(r#"{"max_calls":9,"max_calls/mcp:d:tools/t":2,"per/60/max_calls":4}"#);
    world.asked.budget = object(r#"{"per/3600/max_calls":7}"#);
    let granted = world.decide().unwrap();
    let met = r#"{"max_calls":5,"max_calls/mcp:d:tools/t":2,"per/60/max_calls":3,"per/3600/max_calls":7}"#;
    assert_eq!(granted.budget, object(met));
}

#[test]
fn an_access_token_is_for_one_tool_server_and_holds_its_tools_only() {
    let access = |w: &mut World| w.asked.kind = TokenType::AccessToken;
    assert_eq!(refused(access), "target");
    assert_eq!(
        refused(|w| {
            access(w);
            w.asked.resource = Some(Resource::Gateway);
        }),
        "target"
    );
    assert_eq!(refused(|w| w.asked.resource = server("desk")), "target");
    let mut world = World::good();
    access(&mut world);
    world.asked.resource = server("desk");
    let granted = world.decide().unwrap();
    assert_eq!(granted.output, Output::Bound { key: thumbprint(2) });
    assert_eq!(granted.scope, scope_of(&[(GET, UP_TO_9)]));
    assert_eq!(granted.max_depth, 0);
    world.asked.resource = server("nowhere");
    assert_eq!(world.decide().unwrap_err().code(), "nothing-left");
}

#[test]
fn without_a_key_only_listed_tools_and_only_for_minutes() {
    let mut world = World::good();
    world.proof_key = None;
    world.client_key = None;
    world.asked.kind = TokenType::AccessToken;
    world.asked.resource = server("desk");
    assert_eq!(world.decide().unwrap_err().code(), "bearer-tool");
    world.bearer_tools = BTreeSet::from([ToolId::parse(GET).unwrap()]);
    let granted = world.decide().unwrap();
    assert_eq!(granted.output, Output::Bearer);
    assert_eq!(granted.not_after, NOW.plus_seconds(MAX_BEARER_SECONDS));
}
