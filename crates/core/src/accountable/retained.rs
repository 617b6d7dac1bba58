//! The JSON form of a [`Standing`]: retained beside a decision, so that it can
//! be made again later from the same values.

use super::{Account, GrantStanding, Hop, Standing};
use crate::crypto::Digest;
use crate::guarantee::{Guarantee, Isolation};
use crate::ids::{AgentId, HandoffId, InstanceId, PrincipalId};
use crate::json::{Json, Object};
use crate::time::Timestamp;

impl Standing {
    /// `{hops, principal_active, principal_alias, grant, revoked,
    /// revocations_as_of, last_durable, exceeds?, stop?}`; what is unknown is `null`, times are
    /// RFC 3339.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let hops: Vec<Json> =
            self.hops.iter().map(|h| h.as_ref().map(hop_to_json).into()).collect();
        let grant = self.grant.as_ref().map(|g| {
            let grant = Object::new()
                .with("digest", g.digest)
                .with("not_after", g.not_after.to_string())
                .with("attested", g.attested)
                .with("ended", g.ended);
            match g.account {
                Some(account) => grant
                    .with("account", account.digest)
                    .with("account_not_after", account.not_after.to_string()),
                None => grant,
            }
        });
        let mut standing = Object::new()
            .with("hops", hops)
            .with("principal_active", self.principal_active)
            .with("principal_alias", self.principal_alias.as_deref())
            .with("grant", grant)
            .with("revoked", self.revoked.as_deref())
            .with("revocations_as_of", self.revocations_as_of.to_string())
            .with("last_durable", self.last_durable.to_string());
        if let Some(exceeds) = &self.exceeds {
            standing.insert("exceeds", exceeds.as_str());
        }
        if let Some(stop) = &self.stop {
            standing.insert("stop", stop.as_str());
        }
        standing.into()
    }

    /// Reads what [`Standing::to_json`] wrote; `None` when it is anything else.
    #[must_use]
    pub fn from_json(json: &Json) -> Option<Self> {
        let o = json.as_object()?;
        let time = |name| o.member(name)?.as_str()?.parse::<Timestamp>().ok();
        let standing = Self {
            hops: o
                .member("hops")?
                .as_array()?
                .iter()
                .map(|h| optional(h, hop_from_json))
                .collect::<Option<_>>()?,
            principal_active: o.member("principal_active")?.as_bool()?,
            principal_alias: optional(o.member("principal_alias")?, text)?,
            grant: optional(o.member("grant")?, grant_from_json)?,
            revoked: optional(o.member("revoked")?, text)?,
            exceeds: match o.member("exceeds") {
                None => None,
                Some(code) => Some(text(code)?),
            },
            stop: match o.member("stop") {
                None => None,
                Some(what) => Some(text(what)?),
            },
            revocations_as_of: time("revocations_as_of")?,
            last_durable: time("last_durable")?,
        };
        (standing.to_json() == *json).then_some(standing)
    }
}

fn hop_to_json(hop: &Hop) -> Object {
    let object = Object::new()
        .with("instance", &hop.instance)
        .with("agent", &hop.agent)
        .with("owner", hop.owner.as_ref().map(PrincipalId::as_str))
        .with("instance_active", hop.instance_active)
        .with("agent_active", hop.agent_active)
        .with("guarantee", hop.guarantee.as_str());
    let object = match hop.isolation.stated() {
        None => object,
        Some(stated) => object.with("isolation", stated),
    };
    let object = match &hop.handoff {
        None => object,
        Some(handoff) => object.with("handoff", handoff),
    };
    match hop.domain_as_of {
        None => object,
        Some(as_of) => object.with("domain_as_of", as_of.to_string()),
    }
}

fn hop_from_json(json: &Json) -> Option<Hop> {
    let o = json.as_object()?;
    Some(Hop {
        instance: InstanceId::parse(o.member("instance")?.as_str()?).ok()?,
        agent: AgentId::parse(o.member("agent")?.as_str()?).ok()?,
        owner: optional(o.member("owner")?, |j| PrincipalId::parse(j.as_str()?).ok())?,
        instance_active: o.member("instance_active")?.as_bool()?,
        agent_active: o.member("agent_active")?.as_bool()?,
        guarantee: Guarantee::parse(o.member("guarantee")?.as_str()?)?,
        handoff: match o.member("handoff") {
            None => None,
            Some(id) => Some(HandoffId::parse(id.as_str()?).ok()?),
        },
        isolation: Isolation::recorded(o.member("isolation"))?,
        domain_as_of: match o.member("domain_as_of") {
            None => None,
            Some(as_of) => Some(as_of.as_str()?.parse().ok()?),
        },
    })
}

fn grant_from_json(json: &Json) -> Option<GrantStanding> {
    let o = json.as_object()?;
    Some(GrantStanding {
        digest: Digest::from_text(o.member("digest")?.as_str()?)?,
        not_after: o.member("not_after")?.as_str()?.parse().ok()?,
        attested: o.member("attested")?.as_bool()?,
        ended: o.member("ended")?.as_bool()?,
        account: match o.member("account") {
            None => None,
            Some(account) => Some(Account {
                digest: Digest::from_text(account.as_str()?)?,
                not_after: o.member("account_not_after")?.as_str()?.parse().ok()?,
            }),
        },
    })
}

fn text(json: &Json) -> Option<String> {
    json.as_str().map(str::to_owned)
}

/// `Some(None)` for `null`; `None` when `read` cannot read it.
fn optional<T>(json: &Json, read: impl Fn(&Json) -> Option<T>) -> Option<Option<T>> {
    if *json == Json::Null { Some(None) } else { read(json).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_reads_back_and_nothing_else_is_one() {
        let now = Timestamp::from_millis(1_704_067_500_042);
        let standing = Standing {
            hops: vec![
                Some(Hop {
                    instance: InstanceId::mint(now, [1; 10]),
                    agent: AgentId::parse("agent:a").unwrap(),
                    owner: Some(PrincipalId::parse("user:7").unwrap()),
                    instance_active: true,
                    agent_active: false,
                    guarantee: Guarantee::Mtls,
                    handoff: Some(HandoffId::mint(now, [3; 10])),
                    isolation: Isolation::Namespaces,
                    domain_as_of: Some(now),
                }),
                None,
            ],
            principal_active: true,
            principal_alias: None,
            grant: Some(GrantStanding {
                digest: Digest::from_array([3; 32]),
                not_after: now,
                attested: false,
                ended: true,
                account: Some(Account {
                    digest: Digest::from_array([4; 32]),
                    not_after: now.plus_seconds(60),
                }),
            }),
            revoked: Some("task".into()),
            stop: Some("everything".into()),
            exceeds: None,
            revocations_as_of: now,
            last_durable: now,
        };
        let json = standing.to_json();
        let read = Standing::from_json(&json).unwrap();
        assert_eq!((read.to_json(), read.hops), (json.clone(), standing.hops));
        let more = json.as_object().unwrap().clone().with("more", true);
        assert!(Standing::from_json(&more.into()).is_none());
        let beyond = Standing {
            exceeds: Some("entitlement-scope".into()),
            ..Standing::from_json(&json).unwrap()
        };
        let read = Standing::from_json(&beyond.to_json()).unwrap();
        assert_eq!(read.exceeds.as_deref(), Some("entitlement-scope"));
        let mut less = json.as_object().unwrap().clone();
        less.remove("revoked");
        assert!(Standing::from_json(&less.into()).is_none());
    }
}
