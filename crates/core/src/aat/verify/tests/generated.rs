//! Random derivations: chains whose every link is well signed by the holder of
//! the one above, and narrows it honestly, or does not.
//!
//! The tokens are written here, not by [`make`](crate::aat::make), which would
//! refuse to make the bad ones.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::aat::jws::sign;
use crate::aat::{DETAILS_TYPE, TOKEN_TYPE};
use crate::accountable::{BUDGET, TASK};
use crate::limits::JsonLimits;

pub(super) const TOOLS: [&str; 2] = [TOOL, "mcp:desk:tools/read"];
const ARGUMENTS: [&str; 2] = ["amount", "path"];
const MEMBERS: [&str; 6] = [
    "max_calls",
    "max_calls/mcp:desk:tools/read",
    SUM,
    "per/60/max_calls",
    "per/300/max_calls/mcp:desk:tools/read",
    "per/300/sum/mcp:desk:tools/refund/amount",
];
/// The least that a first limit is.
const FIRST: [u64; 6] = [2, 1, 60, 1, 1, 40];

/// For each argument, constraints each of which narrows the one before. All of
/// them permit [`lowest`].
const LADDERS: [&[&str]; 2] = [
    &[
        r#"{"constraint_type":"wildcard"}"#,
        r#"{"constraint_type":"range"}"#,
        r#"{"constraint_type":"range","min":0,"max":100}"#,
        r#"{"constraint_type":"range","min":0,"max":100,"max_inclusive":false}"#,
        r#"{"constraint_type":"exact","value":20}"#,
    ],
    &[
        r#"{"constraint_type":"wildcard"}"#,
        r#"{"constraint_type":"path_under","root":"/"}"#,
        r#"{"constraint_type":"path_under","root":"/a"}"#,
        r#"{"constraint_type":"one_of","values":["/a/b","/a/c"]}"#,
        r#"{"constraint_type":"exact","value":"/a/b"}"#,
    ],
];

/// Constraints on no ladder: wider, narrower, beside, or not comparable.
const BESIDE: &[&str] = &[
    r#"{"constraint_type":"range","max":1000}"#,
    r#"{"constraint_type":"range","min":20}"#,
    r#"{"constraint_type":"exact","value":100}"#,
    r#"{"constraint_type":"exact","value":"/b"}"#,
    r#"{"constraint_type":"one_of","values":[20,100,"/a/b","/b"]}"#,
    r#"{"constraint_type":"not_one_of","excluded":[20]}"#,
    r#"{"constraint_type":"not_one_of","excluded":[]}"#,
    r#"{"constraint_type":"any","constraints":[{"constraint_type":"range"},{"constraint_type":"length","max":4}]}"#,
    r#"{"constraint_type":"all","constraints":[{"constraint_type":"range","min":0},{"constraint_type":"wildcard"}]}"#,
    r#"{"constraint_type":"path_under","root":"/b"}"#,
    r#"{"constraint_type":"pattern","glob":"/a/*"}"#,
    r#"{"constraint_type":"length","max":4}"#,
    r#"{"constraint_type":"subset","allowed":[20]}"#,
];

/// One argument's rule and whether it may be absent.
type Rule = Option<(&'static str, bool)>;

#[derive(Clone, Debug)]
struct Map {
    open: bool,
    rules: [Rule; 2],
}

/// What one token says.
#[derive(Clone, Debug)]
struct Statement {
    maps: [Option<Map>; 2],
    iat: i64,
    exp: i64,
    nbf: Option<i64>,
    depth: i64,
    max_depth: i64,
    budget: [Option<u64>; 6],
    aud: Option<&'static str>,
    /// A claim that only a root may state.
    stated: Option<(&'static str, &'static str)>,
    holder: u8,
}

/// How a token differs from its parent.
#[derive(Clone, Debug)]
pub(super) struct Change {
    rungs: [[usize; 2]; 2],
    required: [[bool; 2]; 2],
    closed: [bool; 2],
    without_second: bool,
    earlier: i64,
    later: Option<i64>,
    less: [Option<u64>; 6],
    holder: u8,
    odd: Option<Odd>,
}

/// Something that a derivation may be refused for, or not.
#[derive(Clone, Debug)]
enum Odd {
    Rule { tool: usize, argument: usize, rule: Rule },
    Open { tool: usize },
    Anything { tool: usize },
    Exp(i64),
    Iat(i64),
    Nbf(Option<i64>),
    Depth(i64),
    MaxDepth(i64),
    Budget { member: usize, limit: Option<u64> },
    Aud(Option<&'static str>),
    Stated(&'static str, &'static str),
}

fn rule() -> impl Strategy<Value = Rule> {
    let texts: Vec<&'static str> =
        LADDERS.iter().copied().flatten().chain(BESIDE).copied().collect();
    prop::option::weighted(0.9, (select(texts), any::<bool>()))
}

fn odd() -> impl Strategy<Value = Odd> {
    let seconds = || select(vec![-100_i64, -1, 1, 100]);
    prop_oneof![
        8 => (0..2_usize, 0..2_usize, rule())
            .prop_map(|(tool, argument, rule)| Odd::Rule { tool, argument, rule }),
        1 => (0..2_usize).prop_map(|tool| Odd::Open { tool }),
        1 => (0..2_usize).prop_map(|tool| Odd::Anything { tool }),
        1 => seconds().prop_map(Odd::Exp),
        1 => seconds().prop_map(Odd::Iat),
        1 => prop::option::of(seconds()).prop_map(Odd::Nbf),
        1 => (-1..2_i64).prop_map(Odd::Depth),
        1 => (-1..4_i64).prop_map(Odd::MaxDepth),
        2 => (0..MEMBERS.len(), prop::option::of(0..8_u64))
            .prop_map(|(member, limit)| Odd::Budget { member, limit }),
        1 => select(vec![None, Some(GATEWAY), Some("https://elsewhere.example")])
            .prop_map(Odd::Aud),
        1 => select(vec![("sub", "user:142"), ("sub", "user:1"), (TASK, "task"), ("scope", "x")])
            .prop_map(|(claim, value)| Odd::Stated(claim, value)),
    ]
}

fn change(odd: BoxedStrategy<Option<Odd>>) -> impl Strategy<Value = Change> {
    use prop::array::{uniform2, uniform6};
    let flag = || prop::bool::weighted(0.3);
    (
        uniform2(uniform2(select(vec![0, 0, 0, 1, 2_usize]))),
        uniform2(uniform2(flag())),
        uniform2(flag()),
        prop::bool::weighted(0.2),
        0..100_i64,
        prop::option::of(0..50_i64),
        uniform6(prop::option::of(0..4_u64)),
        // Few holders, so that the same key often signs in several places.
        1..4_u8,
        odd,
    )
        .prop_map(
            |(rungs, required, closed, without_second, earlier, later, less, holder, odd)| Change {
                rungs,
                required,
                closed,
                without_second,
                earlier,
                later,
                less,
                holder,
                odd,
            },
        )
}

/// Derivations of which each narrows its parent as the draft allows; the first
/// change makes the root.
pub(super) fn honest() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec(change(Just(None).boxed()), 1..5)
}

/// Derivations of which some do what they may not, or what is merely unusual.
pub(super) fn any_derivations() -> impl Strategy<Value = Vec<Change>> {
    let odd = prop::option::weighted(0.4, odd()).boxed();
    (change(Just(None).boxed()), prop::collection::vec(change(odd), 1..4)).prop_map(
        |(root, mut rest)| {
            rest.insert(0, root);
            rest
        },
    )
}

/// Two honest chains of the same holders that differ in one link, and so in all
/// below it: each signature holds in either.
pub(super) fn twins() -> impl Strategy<Value = (Vec<Change>, Vec<Change>)> {
    let other = change(Just(None).boxed());
    (prop::collection::vec(change(Just(None).boxed()), 2..5), any::<prop::sample::Index>(), other)
        .prop_map(|(one, at, other)| {
            let mut two = one.clone();
            let changed = &mut two[at.index(one.len() - 1)];
            *changed = Change { holder: changed.holder, ..other };
            (one, two)
        })
}

impl Statement {
    /// What every root is narrowed from.
    fn widest() -> Self {
        Self {
            maps: [0, 1].map(|_| Some(Map { open: true, rules: [None, None] })),
            iat: NOW - 60,
            exp: NOW + 600,
            nbf: None,
            depth: -1,
            max_depth: 4,
            budget: [None; 6],
            aud: Some(GATEWAY),
            stated: None,
            holder: 0,
        }
    }

    fn narrowed(&self, change: &Change) -> Self {
        let mut next = self.clone();
        next.depth += 1;
        next.exp -= change.earlier;
        next.holder = change.holder;
        if let Some(later) = change.later {
            next.nbf = Some(next.nbf.map_or(NOW - 200, |nbf| (nbf + later).min(NOW)));
        }
        for ((limit, less), first) in next.budget.iter_mut().zip(change.less).zip(FIRST) {
            *limit = match (*limit, less) {
                (Some(limit), Some(less)) => Some(limit.saturating_sub(less)),
                (None, Some(less)) => Some(first + less),
                (limit, None) => limit,
            };
        }
        if change.without_second {
            next.maps[1] = None;
        }
        for (tool, map) in next.maps.iter_mut().enumerate() {
            let Some(map) = map else { continue };
            map.open &= !change.closed[tool];
            for (argument, rule) in map.rules.iter_mut().enumerate() {
                let ladder = LADDERS[argument];
                let required = change.required[tool][argument];
                let climbed = change.rungs[tool][argument];
                *rule = match *rule {
                    // What only `*` admitted is named, at the latest when it goes.
                    None if climbed > 0 || !map.open => {
                        Some((ladder[climbed.min(ladder.len() - 1)], !required))
                    }
                    None => None,
                    Some((text, optional)) => {
                        let rung = ladder.iter().position(|t| *t == text);
                        let next = rung.map(|r| ladder[(r + climbed).min(ladder.len() - 1)]);
                        Some((next.unwrap_or(text), optional && !required))
                    }
                };
            }
        }
        if let Some(odd) = &change.odd {
            next.apply(odd);
        }
        next
    }

    fn apply(&mut self, odd: &Odd) {
        let opened = || Map { open: true, rules: [None, None] };
        match odd {
            Odd::Rule { tool, argument, rule } => {
                self.maps[*tool].get_or_insert_with(opened).rules[*argument] = *rule;
            }
            Odd::Open { tool } => self.maps[*tool].get_or_insert_with(opened).open = true,
            Odd::Anything { tool } => self.maps[*tool] = Some(opened()),
            Odd::Exp(by) => self.exp += by,
            Odd::Iat(by) => self.iat += by,
            Odd::Nbf(by) => self.nbf = by.map(|by| self.nbf.unwrap_or(NOW) + by),
            Odd::Depth(by) => self.depth += by,
            Odd::MaxDepth(max) => self.max_depth = *max,
            Odd::Budget { member, limit } => self.budget[*member] = *limit,
            Odd::Aud(aud) => self.aud = *aud,
            Odd::Stated(claim, value) => self.stated = Some((claim, value)),
        }
    }

    fn tools(&self) -> Json {
        let rule = |text: &str, optional: bool| {
            let rule = Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap();
            let rule = rule.as_object().unwrap().clone();
            if optional { rule.with("optional", true) } else { rule }
        };
        let mut tools = Object::new();
        for (tool, map) in TOOLS.iter().zip(&self.maps) {
            let Some(map) = map else { continue };
            let mut arguments = Object::new();
            for (argument, found) in ARGUMENTS.iter().zip(&map.rules) {
                if let Some((text, optional)) = found {
                    arguments.insert(*argument, rule(text, *optional));
                }
            }
            if map.open {
                arguments.insert("*", rule(LADDERS[0][0], false));
            }
            tools.insert(*tool, arguments);
        }
        tools.into()
    }

    /// The token, signed by the holder of `parent`, or as a root.
    fn token(&self, parent: Option<(&Self, &str)>) -> String {
        let details = Object::new().with("type", DETAILS_TYPE).with("tools", self.tools());
        let mut claims = Object::new()
            // The same at the same depth of every chain: a proof names it.
            .with("jti", format!("token-{}", parent.map_or(0, |(p, _)| p.depth + 1)))
            .with("iat", self.iat)
            .with("exp", self.exp)
            .with("cnf", Object::new().with("jwk", key(self.holder).public_key().to_jwk()))
            .with("del_depth", self.depth)
            .with("del_max_depth", self.max_depth)
            .with("authorization_details", vec![details.into()]);
        let budget = MEMBERS.iter().zip(self.budget).filter_map(|(m, limit)| Some((m, limit?)));
        let budget: Object = budget.map(|(m, limit)| ((*m).to_owned(), limit.into())).collect();
        if !budget.is_empty() {
            claims.insert(BUDGET, budget);
        }
        if let Some(nbf) = self.nbf {
            claims.insert("nbf", nbf);
        }
        if let Some(aud) = self.aud {
            claims.insert("aud", aud);
        }
        if let Some((claim, value)) = self.stated {
            claims.insert(claim, value);
        }
        let signer = match parent {
            None => {
                claims.insert("iss", "https://issuer.example");
                for (name, value) in authority().to_claims().iter() {
                    claims.insert(name, value.clone());
                }
                key(0)
            }
            Some((parent, token)) => {
                claims.insert("iss", key(parent.holder).public_key().thumbprint().to_uri());
                claims.insert("par_hash", Compact::parse(token).unwrap().hash());
                key(parent.holder)
            }
        };
        sign(TOKEN_TYPE, None, &claims.into(), &signer)
    }
}

/// The chain of these changes, root first.
pub(super) fn chain(changes: &[Change]) -> Vec<String> {
    let mut above = Statement::widest();
    let mut tokens: Vec<String> = Vec::new();
    for change in changes {
        let statement = above.narrowed(change);
        let parent = tokens.last().map(|token| (&above, token.as_str()));
        let token = statement.token(parent);
        tokens.push(token);
        above = statement;
    }
    tokens
}

/// A call at a moment.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    tool: &'static str,
    arguments: Object,
    now: i64,
}

/// What every honest chain permits.
pub(super) fn lowest() -> Asked {
    let arguments = Object::new().with("amount", 20u64).with("path", "/a/b");
    Asked { tool: TOOLS[0], arguments, now: NOW }
}

pub(super) fn asked() -> impl Strategy<Value = Asked> {
    let amounts = [20u64, 20, 20, 50, 0, 100, 1000].map(|n| Some(Json::from(n)));
    let amounts = amounts.into_iter().chain([None, Some(Json::from("20"))]);
    let paths = ["/a/b", "/a/b", "/a/b", "/a/c", "/a", "/b", "/a/../b"].map(|p| Some(p.into()));
    let paths = paths.into_iter().chain([None, Some(Json::Null)]);
    let moments = [0, 0, 0, 0, -1, -95, 300, 599];
    (
        select(vec![TOOLS[0], TOOLS[0], TOOLS[1]]),
        select(amounts.collect::<Vec<_>>()),
        select(paths.collect::<Vec<Option<Json>>>()),
        prop::bool::weighted(0.1),
        select(moments.to_vec()),
    )
        .prop_map(|(tool, amount, path, more, after)| {
            let mut arguments = Object::new();
            let more = more.then(|| Json::from(1u64));
            for (name, value) in [("amount", amount), ("path", path), ("more", more)] {
                if let Some(value) = value {
                    arguments.insert(name, value);
                }
            }
            Asked { tool, arguments, now: NOW + after }
        })
}

/// The call under these tokens, proved now by whoever holds the last one.
pub(super) fn presented(tokens: &[String], asked: &Asked) -> Presented {
    let mut presented = Presented::unproved(tokens.to_vec());
    presented.tool = asked.tool.to_owned();
    presented.arguments = asked.arguments.clone();
    presented.now = asked.now;
    presented.prove(asked.now, &holder(tokens));
    presented
}

/// The key that the last token names, whatever else it says.
pub(super) fn holder(tokens: &[String]) -> SigningKey {
    let token = Compact::parse(tokens.last().unwrap()).unwrap();
    let claims = token.claims(&JsonLimits::DEFAULT).unwrap();
    let jwk = claims.member("cnf").unwrap().as_object().unwrap().member("jwk").unwrap();
    (0..4).map(key).find(|key| Json::from(key.public_key().to_jwk()) == *jwk).unwrap()
}
