//! Grants that stand while their principal is absent: an instance gets the next
//! root by its own keys, as long as the grant stands, and not one longer.

use bailiwick_authority::rules::identities::{REQUEST_TYPE, request_claims};
use bailiwick_authority::{DelegationRef, Target};
use bailiwick_core::aat::jws::Compact;
use bailiwick_core::enrolment::IdentitySigningKey;
use bailiwick_core::ids::GrantId;
use bailiwick_core::jose::JwsSigner;
use bailiwick_core::wit::instance_spiffe_id;
use bailiwick_store::Instance;

use super::grants::{Services, claims};
use super::*;
use crate::support::identity;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
const DELEGATION: &str = "urn:bailiwick:token-type:delegation";
const GRANT: &str = "urn:bailiwick:token-type:grant";

/// An instance that runs alone: its keys, and nothing else.
struct Runner<'s> {
    served: &'s Served,
    identity: IdentitySigningKey,
    instance: Instance,
    name: String,
}

impl<'s> Runner<'s> {
    fn enrol(served: &'s Served, agent: &str, seed: u8) -> Self {
        let (world, identity) = (&served.world, identity());
        let statement = world.statement(agent, seed, &identity);
        let enrolled = statement.sign(&*key(seed), &identity).unwrap();
        let instance = world.authority.instance_enrol(&enrolled).unwrap();
        let name = instance_spiffe_id("example.test", &instance.agent, &instance.id);
        Self { served, identity, instance, name }
    }

    fn identity_token(&self, jti: &str) -> String {
        let world = &self.served.world;
        let claims = request_claims(&self.instance.id, URL, world.now(), jti);
        let request = jose::sign(REQUEST_TYPE, None, &claims, &self.identity).unwrap();
        world.authority.identity_renew(&request).unwrap().token
    }

    fn assertion(&self, jti: &str, signer: &dyn JwsSigner) -> String {
        let claims = claims(self.served, &self.name, jti, &[]);
        jose::sign("client-authentication+jwt", None, &claims.into(), signer).unwrap()
    }

    fn proof(&self, jti: &str) -> String {
        let jwk = self.identity.public_key().to_jwk();
        let header = Object::new().with("typ", "dpop+jwt").with("jwk", jwk);
        let claims = Object::new()
            .with("jti", jti)
            .with("htm", "POST")
            .with("htu", format!("{URL}/token"))
            .with("iat", self.served.world.now().seconds());
        format!("DPoP: {}", sign_with(header, &claims.into(), &self.identity).unwrap())
    }

    /// Asks for a root under `grant`, as the instance; `jti` names the request.
    fn ask(&self, grant: &GrantId, jti: &str, changes: &[(&str, &str)], proves: bool) -> Answer {
        let token = self.identity_token(jti);
        let assertion = self.assertion(jti, &self.identity);
        let mut pairs = vec![
            ("grant_type", EXCHANGE),
            ("client_assertion_type", ASSERTION),
            ("client_assertion", assertion.as_str()),
            ("subject_token", grant.as_str()),
            ("subject_token_type", GRANT),
            ("actor_token", token.as_str()),
            ("actor_token_type", JWT),
            ("requested_token_type", DELEGATION),
        ];
        for (name, value) in changes {
            pairs.retain(|(n, _)| n != name);
            pairs.push((name, value));
        }
        let proof = self.proof(jti);
        let headers: &[&str] = if proves { &[&proof] } else { &[] };
        self.served.post("/token", &pairs, headers)
    }

    fn renew(&self, grant: &GrantId, jti: &str) -> Answer {
        self.ask(grant, jti, &[], true)
    }
}

fn refused(answer: &Answer) -> (u16, String) {
    assert!(answer.text("access_token").is_empty(), "{}", answer.body);
    answer.error()
}

#[test]
fn a_run_outlives_its_roots_and_ends_with_the_grants_window() {
    let services = Services::start();
    let served = &services.served;
    // The only instance has key 21; another one runs through the night.
    let (grant, _) = services.grant("g1");
    let runner = Runner::enrol(served, "agent:support-runner", 31);
    let mut roots = Vec::new();
    for round in 0..3 {
        let answer = runner.renew(&grant, &format!("r{round}"));
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.text("refresh_token").is_empty());
        assert_eq!(answer.text("grant_id"), grant.as_str());
        let root = answer.text("access_token");
        assert_eq!(served.world.verdict(&[&root], 31), "allow");
        roots.push(root);
        served.world.host.advance(14 * 60_000);
        // No root is longer than a quarter of an hour.
        if let [.., before, _] = roots.as_slice() {
            assert_eq!(served.world.verdict(&[before], 31), "token-expired");
        }
        if round == 1 {
            // Two minutes are left of the grant's thirty, and of the root.
            let answer = runner.renew(&grant, "last");
            let left = json(&answer.body);
            let left = left.as_object().unwrap().member("expires_in").unwrap().as_number().unwrap();
            assert!((1..=120).contains(&left.as_plain_integer().unwrap()), "{}", answer.body);
            break;
        }
    }
    served.world.host.advance(2 * 60_000 + 1000);
    let over = runner.renew(&grant, "over");
    assert_eq!(refused(&over), (400, "invalid_grant".to_owned()), "{}", over.body);
}

#[test]
fn who_showed_its_identity_token_is_known_better_than_by_its_key() {
    use bailiwick_core::guarantee::Guarantee;
    let services = Services::start();
    let world = &services.served.world;
    let (grant, _) = services.grant("g1");
    let runner = Runner::enrol(&services.served, "agent:support-runner", 31);
    let root = runner.renew(&grant, "r1").text("access_token");
    let facts = |root: &str, holder: u8| world.call(&[root], holder).unwrap().facts().guarantee;
    assert_eq!(facts(&root, 31), Guarantee::Jwt);
    // A root that was bound to an enrolled key, unseen.
    let unseen = world.authority.reissue(&grant, Some(&runner.instance.id)).unwrap();
    assert_eq!(facts(&unseen.token, 31), Guarantee::Key);
    // The chain has its weakest hop's.
    let child = world.derive(&root, 31, 22);
    assert_eq!(world.call(&[&root, &child], 22).unwrap().facts().guarantee, Guarantee::Key);
}

#[test]
fn nothing_is_issued_once_anything_behind_the_grant_was_taken_back() {
    use crate::support::principal;
    type Choose = fn(&GrantId, &Runner<'_>) -> Target;
    let cases: [(&str, Choose); 5] = [
        ("grant", |grant, _| Target::Grant(grant.clone())),
        ("principal", |_, _| Target::Principal(principal("service:billing"))),
        ("agent", |_, _| Target::Agent(agent("agent:support-runner"))),
        ("instance", |_, runner| Target::Instance(runner.instance.id.clone())),
        ("workflow", |_, _| {
            Target::Workflow(bailiwick_core::ids::WorkflowId::parse("support-tickets").unwrap())
        }),
    ];
    for (what, choose) in cases {
        let services = Services::start();
        let (grant, _) = services.grant("g1");
        let runner = Runner::enrol(&services.served, "agent:support-runner", 31);
        assert_eq!(runner.renew(&grant, "r1").status, 200, "{what}");
        // What is sent afterwards was made before, where it could be.
        let token = runner.identity_token("before");
        services
            .served
            .world
            .authority
            .revoke(&choose(&grant, &runner), "case-closed", None)
            .unwrap();
        let assertion = runner.assertion("after", &runner.identity);
        let proof = runner.proof("after");
        let pairs = [
            ("grant_type", EXCHANGE),
            ("client_assertion_type", ASSERTION),
            ("client_assertion", assertion.as_str()),
            ("subject_token", grant.as_str()),
            ("subject_token_type", GRANT),
            ("actor_token", token.as_str()),
            ("actor_token_type", JWT),
            ("requested_token_type", DELEGATION),
        ];
        let answer = services.served.post("/token", &pairs, &[&proof]);
        let (status, _) = refused(&answer);
        assert!((400..=401).contains(&status), "{what}: {}", answer.body);
    }
}

#[test]
fn a_root_that_was_taken_back_is_not_replaced_without_its_principal() {
    let services = Services::start();
    let world = &services.served.world;
    let (grant, _) = services.grant("g1");
    let runner = Runner::enrol(&services.served, "agent:support-runner", 31);
    let other = Runner::enrol(&services.served, "agent:support-runner", 32);
    let root = runner.renew(&grant, "r1").text("access_token");
    let hash = Compact::parse(&root).unwrap().hash();
    let target = Target::Delegation(DelegationRef::Hash(hash));
    world.authority.revoke(&target, "misbehaves", None).unwrap();
    let answer = runner.renew(&grant, "r2");
    assert_eq!(refused(&answer), (400, "invalid_grant".to_owned()));
    assert!(answer.text("error_description").contains("revoked"), "{}", answer.body);
    world.host.advance(20 * 60_000);
    assert_eq!(refused(&runner.renew(&grant, "r3")), (400, "invalid_grant".to_owned()));
    // The grant itself stands.
    assert_eq!(other.renew(&grant, "o1").status, 200);
}

#[test]
fn only_an_instance_of_the_grants_agent_gets_roots_and_only_by_its_own_keys() {
    let services = Services::start();
    let served = &services.served;
    let (grant, _) = services.grant("g1");
    let runner = Runner::enrol(served, "agent:support-runner", 31);
    let stranger = Runner::enrol(served, "agent:order-reader", 32);
    // Another agent's grant is as good as none.
    let theirs = stranger.renew(&grant, "s1");
    let none = stranger.renew(&GrantId::mint(served.world.now(), [9; 10]), "s2");
    assert_eq!(refused(&theirs), (400, "invalid_grant".to_owned()));
    assert_eq!(theirs.body, none.body);
    let no_id = runner.ask(&grant, "s3", &[("subject_token", "x")], true);
    assert_eq!(no_id.body, none.body);
    // The identity token is no bearer's.
    let unproved = runner.ask(&grant, "u1", &[], false);
    assert_eq!(refused(&unproved), (400, "invalid_dpop_proof".to_owned()));
    // Nor is a registered client that shows it without a key.
    let token = runner.identity_token("c1");
    let pairs = [
        ("grant_type", EXCHANGE),
        ("client_id", "exchanger"),
        ("subject_token", grant.as_str()),
        ("subject_token_type", GRANT),
        ("actor_token", token.as_str()),
        ("actor_token_type", JWT),
        ("requested_token_type", ACCESS),
        ("resource", RESOURCE),
    ];
    let metadata = format!(r#"{{"grant_types":["{EXCHANGE}"]}}"#);
    let (id, source, name) = ("exchanger".to_owned(), ClientSource::Configured, "E".to_owned());
    let a = &served.world.authority;
    a.client_register(NewClient { id, source, name, metadata }).unwrap();
    a.client_map("exchanger", &agent("agent:support-runner")).unwrap();
    let bearer = served.post("/token", &pairs, &[]);
    assert_eq!(refused(&bearer), (400, "invalid_dpop_proof".to_owned()), "{}", bearer.body);
    // With its proof it gets an access token, which ends with the rest.
    let bound = served.post("/token", &pairs, &[&runner.proof("c2")]);
    assert_eq!((bound.status, bound.text("token_type").as_str()), (200, "DPoP"), "{}", bound.body);
    // Its own name is opened by its own key alone, for itself alone.
    let forged = runner.assertion("f1", &*key(31));
    let forged = runner.ask(&grant, "f2", &[("client_assertion", &forged)], true);
    assert_eq!(refused(&forged), (401, "invalid_client".to_owned()));
    let twin = Runner::enrol(served, "agent:support-runner", 33);
    let lent = twin.identity_token("t1");
    let lent = runner.ask(&grant, "t2", &[("actor_token", &lent)], true);
    assert_eq!(refused(&lent), (401, "invalid_client".to_owned()), "{}", lent.body);
    // And for delegations: an access token is a registered client's.
    let changes = [("requested_token_type", ACCESS), ("resource", RESOURCE)];
    let access = runner.ask(&grant, "a1", &changes, true);
    assert_eq!(refused(&access), (400, "unauthorized_client".to_owned()));
    assert_eq!(runner.renew(&grant, "r1").status, 200);
}

#[test]
fn what_is_asked_for_beyond_the_grant_is_refused_by_name() {
    let services = Services::start();
    let (grant, _) = services.grant("g1");
    let runner = Runner::enrol(&services.served, "agent:support-runner", 31);
    for (i, (members, names)) in [
        (r#""scope":["ticket:1"]"#, "beyond the grant"),
        (r#""max_depth":2"#, "beyond the grant"),
        (r#""budget":{"max_calls":21}"#, "beyond the grant"),
    ]
    .into_iter()
    .enumerate()
    {
        let details = format!(r#"[{{"type":"urn:bailiwick:delegation",{members}}}]"#);
        let changes = [("authorization_details", details.as_str())];
        let answer = runner.ask(&grant, &format!("b{i}"), &changes, true);
        let expected = (400, "invalid_authorization_details".to_owned());
        assert_eq!(refused(&answer), expected, "{members}: {}", answer.body);
        assert!(answer.text("error_description").contains(names), "{}", answer.body);
    }
    // Asking for longer gives what there is.
    let long = r#"[{"type":"urn:bailiwick:delegation","expires_in":86400}]"#;
    let answer = runner.ask(&grant, "l1", &[("authorization_details", long)], true);
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// Everybody may do and grant these shorthands.
fn entitlements(scope: &str) -> String {
    let allowed = format!("[{{workflow: support-tickets, scope: {scope}, max_risk: critical}}]");
    format!("rules: [{{who: {{everybody: true}}, may_do: {allowed}, may_grant: {allowed}}}]")
}

#[test]
fn the_principals_present_ceiling_bounds_exchange_and_refresh_by_name() {
    let services = Services::start();
    let served = &services.served;
    let a = &served.world.authority;
    a.entitlements_publish(&entitlements("'*'")).unwrap();
    let (grant, _) = services.grant("g1");
    let code = served.code("client-1", &[]);
    let runner = Runner::enrol(served, "agent:support-runner", 31);
    assert_eq!(runner.renew(&grant, "r1").status, 200);
    let first = served.redeem(&code, &[], &[&served.proof(50, "p1", None)]);
    assert_eq!(first.status, 200, "{}", first.body);
    // Orders may not be read any more.
    a.entitlements_publish(&entitlements("['ticket:{id}']")).unwrap();
    let narrowed = r#"[{"type":"urn:bailiwick:delegation","scope":["orders:read"]}]"#;
    let asked = runner.ask(&grant, "r2", &[("authorization_details", narrowed)], true);
    let names = |answer: &Answer| {
        assert!(
            answer.text("error_description").contains("principal's ceiling"),
            "{}",
            answer.body
        );
        refused(answer)
    };
    assert_eq!(names(&asked), (400, "invalid_authorization_details".to_owned()));
    let refreshed =
        served.refresh(&first.text("refresh_token"), &[], &[&served.proof(50, "p2", None)]);
    assert_eq!(names(&refreshed), (400, "invalid_grant".to_owned()));
    let unsaid = runner.renew(&grant, "r3");
    assert_eq!(names(&unsaid), (400, "invalid_authorization_details".to_owned()));
    a.entitlements_publish(&entitlements("'*'")).unwrap();
    assert_eq!(runner.renew(&grant, "r4").status, 200);
}
