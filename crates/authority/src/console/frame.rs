//! What every page has: navigation, who is signed in, and where.

use crate::console::Text;
use crate::people::roles::{Deed, Role, require};

/// The sections of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The overview.
    Home,
    /// Calls that wait for a person.
    Approvals,
    /// What agents ask for that they lack.
    Requests,
    /// What is stopped.
    Stops,
    /// One's own grants and delegations.
    Grants,
    /// One's own accounts at tool servers.
    Accounts,
    /// Published checklists.
    Workflows,
    /// Attempts at tasks.
    Runs,
    /// What went wrong, and what is learned from it.
    Failures,
    /// How well agents work.
    Figures,
    /// Agents.
    Agents,
    /// Agents as peers of each other.
    Peers,
    /// OAuth clients.
    Clients,
    /// Tools and their definitions.
    Catalogue,
    /// People, for owners.
    People,
    /// The ledger's entries.
    Activity,
    /// Search over the whole ledger.
    Ledger,
    /// The organisation's policy.
    Policy,
    /// The installation's names, limits and keys.
    Settings,
    /// One's own passkeys.
    Account,
}

impl Section {
    /// Its name and path.
    #[must_use]
    pub const fn link(self) -> (&'static str, &'static str) {
        match self {
            Self::Home => ("Overview", "/"),
            Self::Approvals => ("Approvals", "/approvals"),
            Self::Requests => ("Requests", "/requests"),
            Self::Stops => ("Stops", "/stops"),
            Self::Grants => ("My grants", "/grants"),
            Self::Accounts => ("Accounts", "/accounts"),
            Self::Workflows => ("Workflows", "/workflows"),
            Self::Runs => ("Runs", "/runs"),
            Self::Failures => ("Failures", "/failures"),
            Self::Figures => ("Figures", "/figures"),
            Self::Agents => ("Agents", "/agents"),
            Self::Peers => ("Peers", "/peers"),
            Self::Clients => ("Clients", "/clients"),
            Self::Catalogue => ("Catalogue", "/catalogue"),
            Self::People => ("People", "/people"),
            Self::Activity => ("Activity", "/activity"),
            Self::Ledger => ("Ledger", "/ledger"),
            Self::Policy => ("Policy", "/policy"),
            Self::Settings => ("Settings", "/settings"),
            Self::Account => ("Passkeys", "/account"),
        }
    }
}

/// The signed-in person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The principal's name.
    pub name: Text,
    /// Their roles.
    pub roles: Vec<Role>,
    /// The session's CSRF token, for every form.
    pub csrf: String,
}

/// Sections that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkGroup {
    /// What they are about.
    pub name: &'static str,
    /// The links.
    pub links: Vec<Link>,
}

/// The frame of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Which installation this is: the host that people know.
    pub host: String,
    /// Who is signed in.
    pub person: Option<Person>,
    /// Whether everything is stopped.
    pub all_stopped: bool,
    /// The section that the page belongs to.
    pub here: Option<Section>,
}

/// One link of the navigation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: &'static str,
    /// Its path.
    pub path: &'static str,
    /// Whether the page belongs there.
    pub here: bool,
}

/// Every section of the navigation in its order, with what opens it.
const GROUPS: [(&str, &[(Section, Deed)]); 4] = [
    (
        "For you",
        &[
            (Section::Home, Deed::TendOwn),
            (Section::Approvals, Deed::TendOwn),
            (Section::Requests, Deed::TendOwn),
            (Section::Stops, Deed::Stop),
            (Section::Grants, Deed::TendOwn),
            (Section::Accounts, Deed::TendOwn),
        ],
    ),
    (
        "Work",
        &[
            (Section::Workflows, Deed::SeeCatalogue),
            (Section::Runs, Deed::TendOwn),
            (Section::Failures, Deed::SeeFailures),
            (Section::Figures, Deed::SeeFigures),
        ],
    ),
    (
        "Who acts, with what",
        &[
            (Section::Agents, Deed::TendOwn),
            (Section::Peers, Deed::SeeActivity),
            (Section::Clients, Deed::SeeClients),
            (Section::Catalogue, Deed::SeeCatalogue),
            (Section::People, Deed::TendPeople),
        ],
    ),
    (
        "Record and rules",
        &[
            (Section::Activity, Deed::TendOwn),
            (Section::Ledger, Deed::SeeActivity),
            (Section::Policy, Deed::SeePolicy),
            (Section::Settings, Deed::SeeSettings),
        ],
    ),
];

impl Frame {
    /// The sections that this person can open, those that belong together in one
    /// group.
    #[must_use]
    pub fn groups(&self) -> Vec<LinkGroup> {
        let Some(person) = &self.person else { return Vec::new() };
        let link = |section: Section| {
            let (name, path) = section.link();
            Link { name, path, here: self.here == Some(section) }
        };
        let group = |(name, sections): &(&'static str, &[(Section, Deed)])| {
            let open = sections.iter().filter(|(_, deed)| require(&person.roles, *deed).is_ok());
            LinkGroup { name, links: open.map(|(section, _)| link(*section)).collect() }
        };
        let groups = GROUPS.iter().map(group);
        groups.filter(|group| !group.links.is_empty()).collect()
    }

    /// The CSRF token; empty when nobody is signed in, which no check accepts.
    #[must_use]
    pub fn csrf(&self) -> &str {
        self.person.as_ref().map_or("", |person| &person.csrf)
    }

    /// Whether the page offers to stop everything.
    #[must_use]
    pub fn offers_stop(&self) -> bool {
        !self.all_stopped && self.may(Deed::StopEverything)
    }

    /// Whether the person may do this: pages leave out what they may not, and
    /// the endpoints ask again.
    #[must_use]
    pub fn may(&self, deed: Deed) -> bool {
        self.person.as_ref().is_some_and(|person| require(&person.roles, deed).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_navigation_has_what_the_roles_open() {
        let names = |roles: &[Role]| {
            let person =
                Person { name: Text::of("user:a"), roles: roles.to_vec(), csrf: "t".to_owned() };
            let frame = Frame { person: Some(person), ..Frame::default() };
            let groups = frame.groups();
            groups.iter().flat_map(|group| &group.links).map(|l| l.name).collect::<Vec<_>>()
        };
        assert_eq!(
            names(&[]),
            [
                "Overview",
                "Approvals",
                "Requests",
                "My grants",
                "Accounts",
                "Runs",
                "Agents",
                "Activity"
            ]
        );
        assert_eq!(
            names(&[Role::Auditor]),
            [
                "Overview",
                "Approvals",
                "Requests",
                "My grants",
                "Accounts",
                "Workflows",
                "Runs",
                "Failures",
                "Figures",
                "Agents",
                "Peers",
                "Clients",
                "Catalogue",
                "Activity",
                "Ledger",
                "Policy",
                "Settings"
            ]
        );
        assert_eq!(
            names(&[Role::Owner]),
            [
                "Overview",
                "Approvals",
                "Requests",
                "Stops",
                "My grants",
                "Accounts",
                "Workflows",
                "Runs",
                "Failures",
                "Figures",
                "Agents",
                "Peers",
                "Clients",
                "Catalogue",
                "People",
                "Activity",
                "Ledger",
                "Policy",
                "Settings"
            ]
        );
        assert!(Frame::default().groups().is_empty() && !Frame::default().offers_stop());
        assert!(!Frame::default().may(Deed::TendOwn));
    }
}
