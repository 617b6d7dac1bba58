//! Reads a conformance file and judges each of its cases.

use bailiwick_core::aat::verify::{Anchors, Call, Context, Core, ProofPolicy, Unverified, verify};
use bailiwick_core::crypto::PublicKey;
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::{ChainLimits, JsonLimits};
use bailiwick_core::time::Timestamp;

/// The verdict on one case.
#[derive(Debug)]
pub(crate) struct CaseResult {
    /// The case's id, or the name of a table row.
    pub(crate) id: String,
    /// Why it failed; `None` when it passed.
    pub(crate) failure: Option<String>,
    /// Whether the step of a denial was the first one expected; `None` for
    /// permits and where the suite names none. The verdict alone is binding.
    pub(crate) label_agrees: Option<bool>,
}

/// Runs every case, number and canonical form of a file.
pub(crate) fn run(bytes: &[u8]) -> Result<Vec<CaseResult>, String> {
    let limits = JsonLimits { max_bytes: 256 << 20, max_depth: 64, max_values: 50_000_000 };
    let file = Json::parse(bytes, &limits).map_err(|e| e.to_string())?;
    let file = file.as_object().ok_or("not an object")?;
    let defaults = parameters(file.member("parameters"), ChainLimits::DEFAULT)?;
    let mut results = Vec::new();
    for case in array(file, "cases") {
        let case = case.as_object().ok_or("a case is not an object")?;
        let id = text(case, "id").unwrap_or("?").to_owned();
        results.push(match judge(case, defaults) {
            Ok(label_agrees) => CaseResult { id, failure: None, label_agrees },
            Err(failure) => CaseResult { id, failure: Some(failure), label_agrees: None },
        });
    }
    for row in array(file, "numbers") {
        results.push(table_row(row, "number", |row| {
            let expected = row.member("admissible").and_then(Json::as_bool);
            let got = read(row).map(|v| v.is_admissible()).unwrap_or(false);
            let jcs = read(row).map(|v| v.canonical());
            expected == Some(got) && jcs.as_deref() == row.member("jcs").and_then(Json::as_str)
        }));
    }
    for row in array(file, "jcs") {
        results.push(table_row(row, "jcs", |row| {
            read(row).map(|v| v.canonical()).as_deref() == row.member("jcs").and_then(Json::as_str)
        }));
    }
    Ok(results)
}

fn read(row: &Object) -> Option<Json> {
    Json::parse(text(row, "text")?.as_bytes(), &JsonLimits::DEFAULT).ok()
}

fn table_row(row: &Json, what: &str, holds: impl Fn(&Object) -> bool) -> CaseResult {
    let holds = row.as_object().is_some_and(holds);
    CaseResult {
        id: format!("{what} {row}"),
        failure: (!holds).then(|| "the expected form was not reached".to_owned()),
        label_agrees: None,
    }
}

fn array<'a>(o: &'a Object, name: &str) -> &'a [Json] {
    o.member(name).and_then(Json::as_array).unwrap_or_default()
}

fn text<'a>(o: &'a Object, name: &str) -> Option<&'a str> {
    o.member(name).and_then(Json::as_str)
}

fn strings(o: &Object, name: &str) -> Vec<String> {
    array(o, name).iter().filter_map(|s| s.as_str().map(str::to_owned)).collect()
}

fn parameters(json: Option<&Json>, mut limits: ChainLimits) -> Result<ChainLimits, String> {
    let Some(o) = json.and_then(Json::as_object) else { return Ok(limits) };
    for (name, value) in o.iter() {
        let value = value
            .as_number()
            .and_then(|n| n.as_plain_integer())
            .ok_or_else(|| format!("parameter {name} is no integer"))?;
        let size = usize::try_from(value).map_err(|e| e.to_string())?;
        match name {
            "max_iat_skew" => limits.max_iat_skew = value,
            "max_token_lifetime" => limits.max_token_lifetime = value,
            "max_delegation_depth" => limits.max_delegation_depth = size as u64,
            "max_constraint_depth" => limits.max_constraint_depth = size,
            "max_token_size" => limits.max_token_size = size,
            "max_chain_size" => limits.max_chain_size = size,
            "pop_window" => limits.pop_window = value,
            _ => return Err(format!("unknown parameter {name}")),
        }
    }
    Ok(limits)
}

fn anchors(case: &Object) -> Result<Anchors, String> {
    let pairs = array(case, "trust_anchors")
        .iter()
        .map(|a| {
            let a = a.as_object()?;
            let key = PublicKey::from_jwk(a.member("jwk")?.as_object()?).ok()?;
            Some((text(a, "issuer")?.to_owned(), key))
        })
        .collect::<Option<Vec<_>>>()
        .ok_or("malformed trust anchor")?;
    Anchors::new(pairs).map_err(|e| e.to_string())
}

/// `Ok` with whether the label agrees, or why the verdict is not the expected.
fn judge(case: &Object, defaults: ChainLimits) -> Result<Option<bool>, String> {
    let expected = case.member("expected").and_then(Json::as_object).ok_or("no expectation")?;
    let limits = parameters(case.member("parameters"), defaults)?;
    match (text(expected, "verdict"), decide(case, &limits)?) {
        (Some("PERMIT"), Ok(())) => Ok(None),
        (Some("PERMIT"), Err(denial)) => Err(format!("expected PERMIT, denied: {denial}")),
        (Some("DENY"), Ok(())) => Err("expected DENY, permitted".to_owned()),
        (Some("DENY"), Err(denial)) => {
            let Some(step) = text(expected, "step") else { return Ok(None) };
            let other = strings(expected, "step_in_other_order");
            let single = text(expected, "step_in_other_order");
            Ok(Some(
                denial.step.is_some_and(|s| {
                    s == step || single == Some(s) || other.iter().any(|o| o == s)
                }),
            ))
        }
        (verdict, _) => Err(format!("unknown verdict {verdict:?}")),
    }
}

fn decide(case: &Object, limits: &ChainLimits) -> Result<Result<(), Denial>, String> {
    let now = case
        .member("now")
        .and_then(Json::as_number)
        .and_then(|n| n.as_plain_integer())
        .ok_or("no time")?;
    let anchors = anchors(case)?;
    let audiences = strings(case, "audience");
    let empty = Object::new();
    let policy = case.member("policy").and_then(Json::as_object).unwrap_or(&empty);
    let flag = |name| policy.member(name).and_then(Json::as_bool).unwrap_or(false);
    let nonces = policy.member("accepted_nonces").map(|_| strings(policy, "accepted_nonces"));
    let used = strings(policy, "used_pop_jtis");
    let context = Context {
        now: Timestamp::from_seconds(now),
        anchors: &anchors,
        audiences: &audiences,
        require_chain_audience: flag("require_chain_audience"),
        proof: ProofPolicy {
            require_audience: flag("require_pop_audience"),
            accepted_nonces: nonces.as_deref(),
            used: &used,
        },
        limits,
    };
    // Arguments that are not strict JSON are refused before step 1.
    let arguments = text(case, "args_text").ok_or("no arguments")?;
    let arguments = match Json::parse(arguments.as_bytes(), &limits.json) {
        Ok(arguments) => arguments,
        Err(_) => return Ok(Err(Denial::new(Reason::JsonMalformed))),
    };
    let tool = text(case, "tool").ok_or("no tool")?;
    let chain = strings(case, "chain");
    let proof = text(case, "pop").unwrap_or_default();
    Ok(Call::new(tool, &arguments).and_then(|call| {
        let chain = Unverified::parse(&chain, limits)?;
        verify::<Core>(&chain, proof, &call, &context, ()).map(|_| ())
    }))
}
