//! One call put to an organisation's policy, at growing bundles.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bailiwick_core::ids::{AgentId, PrincipalId, TaskId, ToolId, WorkflowId};
use bailiwick_core::json::Object;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Bundle;
use bailiwick_policy::bundle::Answer;
use bailiwick_policy::catalogue::Rating;
use bailiwick_policy::decide::{CallFacts, PolicyInput};
use bailiwick_policy::grades::{Assurance, Consent, Effect, Guarantee, Isolation, Level, Risk};

use crate::Failure;
use crate::machine::Machine;
use crate::measure::{Plan, Side, turns};
use crate::report::{Comparison, Report};

const SMALL: &str = "10 policies, sliced";

const ABOUT: &str = "one call put to a bundle whose policies name an agent and a tool each, \
besides one permit for everything; the call is said in Cedar anew every time. Unsliced: Cedar is \
given every policy.";

pub(crate) fn report(plan: &Plan) -> Result<Report, Failure> {
    let now = Timestamp::from_seconds(1_700_000_000);
    let (agent, tool) = (AgentId::parse("agent:a1")?, ToolId::parse("mcp:desk:tools/t1")?);
    let (principal, task) = (PrincipalId::parse("user:142")?, TaskId::mint(now, [7; 10]));
    let workflow = WorkflowId::parse("support-tickets")?;
    let arguments = Object::new().with("order_id", 10_072u64).with("amount_cents", 4_200u64);
    let rating = Rating {
        owner: None,
        risk: Risk::High,
        effect: Effect::Write,
        data: BTreeSet::from(["order".to_owned()]),
        idempotent: false,
        timeout_seconds: None,
        bearer: false,
        personal: bailiwick_policy::catalogue::Personal::No,
    };
    let input = PolicyInput {
        agent: &agent,
        tool: &tool,
        rating: Some(&rating),
        level: Level::Bounded,
        source: None,
        runs: bailiwick_policy::grades::Runs::Optional,
        run: bailiwick_policy::grades::RunState::None,
        assurance: Assurance::Arguments,
        guarantee: Guarantee::Key,
        isolation: Isolation::Unstated,
        consent: Consent::Signed,
        upstream: bailiwick_policy::decide::Upstream::Apart,
        call: CallFacts {
            principal: &principal,
            task: &task,
            workflow: &workflow,
            arguments: &arguments,
            hops: 1,
            staleness_ms: 0,
            now,
        },
    };
    let bundles = [10, 1_000, 10_000]
        .into_iter()
        .map(|count| Ok((count, bundle(count)?)))
        .collect::<Result<Vec<_>, Failure>>()?;
    let whole: Vec<_> = bundles.iter().map(|(count, b)| (*count, b.unsliced())).collect();
    let mut sides = Vec::new();
    for (how, bundles) in [("sliced", &bundles), ("unsliced", &whole)] {
        for (count, bundle) in bundles {
            let allows = || bundle.evaluate(&input).is_ok_and(|e| e.answer == Answer::Allow);
            sides.push(Side::new(format!("{count} policies, {how}"), allows));
        }
    }
    let timings = turns(plan, &mut sides, SMALL)?;
    Ok(Report {
        figure: "policy",
        about: ABOUT,
        machine: Machine::here(),
        comparisons: vec![Comparison { title: "one call".to_owned(), against: SMALL, timings }],
    })
}

/// `count` policies, of which one concerns the call.
fn bundle(count: usize) -> Result<Bundle, Failure> {
    let mut text =
        "@id(\"all\") @reason(\"everything\") permit (principal, action, resource);\n".to_owned();
    for i in 1..count {
        writeln!(
            text,
            "@id(\"p{i}\") @reason(\"a cap\") forbid (principal == Agent::\"agent:a{i}\", action, \
             resource == Tool::\"mcp:desk:tools/t{i}\") when {{ \
             context.arguments.integers.hasTag(\"amount_cents\") && \
             context.arguments.integers.getTag(\"amount_cents\") > 10000 }};"
        )?;
    }
    Bundle::parse([("bench.cedar".to_owned(), text)])
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<String>().into())
}
