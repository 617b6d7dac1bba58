//! What a rule answers: the entries to append, the rows to write, the outcome.

use bailiwick_core::ids::{EntryId, OrgId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Disclosure, Event, Kind, Subjects};
use bailiwick_store::Row;

use crate::host::Moment;
use crate::refusal::Refusal;

/// One entry, and the row that is its projection.
#[derive(Clone, Debug)]
pub struct Step {
    /// The entry.
    pub event: Event,
    /// The row, if the entry changes the state.
    pub row: Option<Row>,
    /// Entries whose texts go; the entry lists them.
    pub erases: Vec<EntryId>,
}

/// Everything that a rule decided on; written together or not at all, in order.
#[derive(Clone, Debug)]
#[must_use = "nothing happens until the plan is written"]
pub struct Plan<T> {
    /// The entries, in order.
    pub steps: Vec<Step>,
    /// What to answer.
    pub outcome: T,
}

impl<T> Plan<T> {
    /// A plan that changes nothing.
    pub const fn nothing(outcome: T) -> Self {
        Self { steps: Vec::new(), outcome }
    }

    /// A plan of one step.
    pub fn one(step: Step, outcome: T) -> Self {
        Self { steps: vec![step], outcome }
    }

    /// The same plan with another answer.
    pub fn map<U>(self, answer: impl FnOnce(T) -> U) -> Plan<U> {
        Plan { steps: self.steps, outcome: answer(self.outcome) }
    }
}

impl Step {
    /// A step of this kind at this moment.
    ///
    /// # Errors
    /// [`Refusal::NoEntropy`].
    pub(crate) fn new(moment: &Moment<'_>, org: &OrgId, kind: Kind) -> Result<Self, Refusal> {
        Ok(Self {
            event: Event {
                id: EntryId::mint(moment.now(), moment.random()?),
                org: org.clone(),
                time: moment.now(),
                kind,
                subjects: Subjects::default(),
                body: Object::new(),
                disclosures: Vec::new(),
            },
            row: None,
            erases: Vec::new(),
        })
    }

    pub(crate) fn about(mut self, set: impl FnOnce(&mut Subjects)) -> Self {
        set(&mut self.event.subjects);
        self
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.event.body.insert(name, value);
        self
    }

    /// A member that not every entry of the kind has.
    pub(crate) fn with_some(self, name: &str, value: Option<impl Into<Json>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Commits to `value` under a fresh salt.
    pub(crate) fn commit(
        mut self,
        moment: &Moment<'_>,
        field: &str,
        value: impl Into<Json>,
    ) -> Result<Self, Refusal> {
        let disclosure = Disclosure { salt: moment.random()?, value: value.into() };
        self.event.disclosures.push((field.to_owned(), disclosure));
        Ok(self)
    }

    pub(crate) fn row(mut self, row: Row) -> Self {
        self.row = Some(row);
        self
    }
}
