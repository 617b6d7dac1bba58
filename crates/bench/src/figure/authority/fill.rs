//! Fills a data dir as the product would over months: grants that principals
//! signed, delegations issued under them by the product's own rule, half of
//! them revoked. Only the transactions are larger: a thousand entries each.

use std::sync::Arc;

use bailiwick_authority::host::Moment;
use bailiwick_authority::oauth::status_list::PLACES;
use bailiwick_authority::plan::Step;
use bailiwick_authority::rules::delegations::{Recipient, issue};
use bailiwick_authority::rules::revocations::{By, Resolved, revoke};
use bailiwick_authority::{Maker, PrepareOptions};
use bailiwick_core::constraint::Dialect;
use bailiwick_core::crypto::SigningKey;
use bailiwick_core::grant::{Request, Statement};
use bailiwick_core::ids::{AgentId, PrincipalId};
use bailiwick_core::ledger::Subjects;
use bailiwick_core::scope::Scope;
use bailiwick_store::{Instance, Principal, StoreError, Subject};
use bailiwick_testkit::present::now;

use super::inside::{Here, Inside};
use crate::Failure;
use crate::installation::{AGENT, PRINCIPAL, SCOPE};

/// Delegations under one grant.
const UNDER_ONE: u32 = 1_000;
/// Entries in one transaction.
const TOGETHER: usize = 1_000;
/// Transactions that wait for the writer at most.
const AHEAD: usize = 4;

/// Writes so many live delegations, and as many revoked ones.
pub(super) fn fill(inside: &Inside, principal: &SigningKey, count: u32) -> Result<(), Failure> {
    let id = PrincipalId::parse(PRINCIPAL)?;
    let granting = inside.authority.principal(&id)?.row;
    let agent = AgentId::parse(AGENT)?;
    let instances = inside.authority.instances(Some(&agent))?;
    let instance = instances.first().ok_or("the agent has an instance")?;
    let mut writing = Writing::new(inside);
    // Grants draw the places of their own roots in the first list.
    let grants = (0..count.div_ceil(UNDER_ONE)).map(|_| granted(inside, principal));
    let grants = grants.collect::<Result<Vec<_>, _>>()?;
    let (mut place, mut left) = (PLACES, count);
    for statement in &grants {
        let part = left.min(UNDER_ONE);
        left -= part;
        for n in 0..part * 2 {
            let (step, root) = issued(inside, statement, &granting, instance, place)?;
            place = place.saturating_add(1);
            writing.take(step)?;
            if n % 2 == 1 {
                for step in revoked(inside, root)? {
                    writing.take(step)?;
                }
            }
        }
    }
    writing.end()
}

/// A grant that the principal signs.
fn granted(inside: &Inside, principal: &SigningKey) -> Result<Statement, Failure> {
    let request = Request {
        principal: PrincipalId::parse(PRINCIPAL)?,
        agent: AgentId::parse(AGENT)?,
        scope: vec![SCOPE.to_owned()],
        expires_at: now().plus_seconds(3000),
        purpose: "fill the store".to_owned(),
        workflow: None,
    };
    let prepared = inside.authority.prepare(&request, &PrepareOptions::default())?;
    let signed = prepared.statement.sign(principal);
    inside.authority.submit(&prepared, &signed, None)?;
    Ok(prepared.statement)
}

fn issued(
    inside: &Inside,
    statement: &Statement,
    principal: &Principal,
    instance: &Instance,
    place: u32,
) -> Result<(Step, Subject), Failure> {
    let moment = Moment::of(&Here);
    let scope = Scope::parse(&statement.tools, Dialect::Extended, 16)?;
    let guarantee = bailiwick_core::guarantee::Guarantee::Key;
    let to = Recipient::Holder { instance, status_index: Some(place), guarantee };
    let (installation, keys) = (&inside.installation, &inside.keys);
    let (step, issued) = issue(&moment, installation, keys, statement, &scope, principal, to)?;
    Ok((step, Subject::Delegation { token: issued.root }))
}

fn revoked(inside: &Inside, subject: Subject) -> Result<Vec<Step>, Failure> {
    let about = Subjects { delegation: Some(subject.key()), ..Subjects::default() };
    let resolved = Resolved { subject, bars: None, about, author: None };
    let moment = Moment::of(&Here);
    let installation = &inside.installation;
    let plan = revoke(&moment, installation, &resolved, "filled", None, By::Operator, &[])?;
    Ok(plan.steps)
}

/// Hands steps to the store in large transactions.
struct Writing<'a> {
    inside: &'a Inside,
    maker: Arc<str>,
    waiting: Vec<Step>,
    handed: std::collections::VecDeque<bailiwick_store::Pending<(), StoreError>>,
}

impl<'a> Writing<'a> {
    fn new(inside: &'a Inside) -> Self {
        let maker = Maker::authority(inside.keys.maker.public_key()).id.into();
        Self { inside, maker, waiting: Vec::new(), handed: std::collections::VecDeque::new() }
    }

    fn take(&mut self, step: Step) -> Result<(), Failure> {
        self.waiting.push(step);
        if self.waiting.len() >= TOGETHER { self.hand_in() } else { Ok(()) }
    }

    fn hand_in(&mut self) -> Result<(), Failure> {
        let steps = std::mem::take(&mut self.waiting);
        let (maker, key) = (Arc::clone(&self.maker), Arc::clone(&self.inside.keys.maker));
        self.handed.push_back(self.inside.authority.store().write(move |tx| {
            for Step { event, row, .. } in steps {
                match &row {
                    Some(row) => tx.record(&maker, &*key, event, row)?,
                    None => tx.append(&maker, &*key, event)?,
                };
            }
            Ok(())
        }));
        while self.handed.len() > AHEAD {
            self.one()?;
        }
        Ok(())
    }

    fn one(&mut self) -> Result<(), Failure> {
        match self.handed.pop_front() {
            Some(pending) => Ok(pending.wait()?),
            None => Ok(()),
        }
    }

    fn end(mut self) -> Result<(), Failure> {
        self.hand_in()?;
        while !self.handed.is_empty() {
            self.one()?;
        }
        Ok(())
    }
}
