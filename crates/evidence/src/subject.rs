//! The members by which entries are looked up.

use bailiwick_core::ledger::{Entry, Subjects};

macro_rules! subjects {
    ($($variant:ident, $name:literal, $field:ident;)*) => {
        /// A subject member of an entry.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Subject { $(#[doc = concat!("`", $name, "`")] $variant,)* }

        impl Subject {
            /// Its name in the entry.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Its value in these subjects.
            #[must_use]
            pub fn of(self, subjects: &Subjects) -> Option<&str> {
                match self { $(Self::$variant => subjects.$field.as_deref(),)* }
            }
        }
    };
}

subjects! {
    Action, "action", action;
    Agent, "agent", agent;
    Delegation, "delegation", delegation;
    Grant, "grant", grant;
    Instance, "instance", instance;
    Principal, "principal", principal;
    Task, "task", task;
    Tool, "tool", tool;
    Workflow, "workflow", workflow;
}

impl Subject {
    pub(crate) fn of_entry(self, entry: &Entry) -> Option<&str> {
        self.of(&entry.subjects)
    }
}
