//! Who has a task: the delegations of one task across agents, as a tree and as
//! the list that says the same.

use askama::Template;
use bailiwick_core::guarantee::Guarantee;

use super::drawing::{Line, NODE_HEIGHT, NODE_WIDTH, Point, curve, gap, short_name};
use super::{Frame, GrantLine, Moment, Text};

/// Delegations that are drawn at most; the list has more.
pub(super) const MAX_DRAWN: usize = 60;

const GAP_Y: i32 = 20;
const MARGIN: i32 = 12;

/// How a delegation stands, as far as people are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopStanding {
    /// It can be used.
    Live,
    /// It begins later.
    NotYet,
    /// It was handed over, and nobody answered yet.
    Offered,
    /// It was handed over and taken over.
    Accepted,
    /// Whoever took it over gave it back.
    Returned,
    /// It was handed over and turned down.
    Rejected,
    /// It was handed over, and nobody answered in time.
    Lapsed,
    /// It has ended by itself.
    Ended,
    /// What it comes under is stopped.
    Stopped,
    /// It, or something that it rests on, was taken back.
    Revoked,
}

impl HopStanding {
    /// In a word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::NotYet => "not yet begun",
            Self::Offered => "waiting",
            Self::Accepted => "taken over",
            Self::Returned => "given back",
            Self::Rejected => "turned down",
            Self::Lapsed => "not answered",
            Self::Ended => "expired",
            Self::Stopped => "stopped",
            Self::Revoked => "revoked",
        }
    }

    /// The badge's class.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Live | Self::Accepted => "good",
            Self::Offered => "warn",
            Self::NotYet | Self::Returned | Self::Lapsed | Self::Ended => "plain",
            Self::Rejected | Self::Stopped | Self::Revoked => "bad",
        }
    }

    /// Whether it permits nothing for good, whatever comes.
    #[must_use]
    pub const fn is_void(self) -> bool {
        matches!(self, Self::Rejected | Self::Lapsed | Self::Revoked)
    }

    /// How what comes under `above` stands at best.
    #[must_use]
    pub const fn under(self, above: Self) -> Self {
        match (above, self) {
            (_, Self::Rejected | Self::Lapsed | Self::Revoked) => self,
            (Self::Revoked, _) => Self::Revoked,
            (_, Self::Ended) | (Self::Ended, _) => Self::Ended,
            (Self::Stopped, _) => Self::Stopped,
            (Self::NotYet, Self::Live) => Self::NotYet,
            _ => self,
        }
    }
}

/// How a holder came to its delegation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopBy {
    /// The authority issued it under a grant.
    Grant,
    /// A holder derived it; by no recorded handoff.
    Derived,
    /// By a handoff, that sure.
    Handoff(Guarantee),
}

impl HopBy {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Grant => "issued under the grant",
            Self::Derived => "derived from the one above",
            Self::Handoff(_) => "handed over",
        }
    }

    /// How sure the holder is who it is.
    #[must_use]
    pub const fn guarantee(self) -> &'static str {
        match self {
            Self::Handoff(guarantee) => guarantee.as_str(),
            Self::Grant | Self::Derived => Guarantee::Key.as_str(),
        }
    }
}

/// One delegation. They are listed parents first, each followed by what comes
/// under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HopLine {
    /// Its parent's place in the list; `None`: the principal.
    pub parent: Option<usize>,
    /// Its token hash.
    pub token: String,
    /// The holder's agent and instance; `None`: no instance that is known here.
    pub holder: Option<(Text, Text)>,
    /// How the holder came to it.
    pub by: HopBy,
    /// From when: when it was issued, offered or first seen.
    pub since: Moment,
    /// Until when; `None`: not known before it is used.
    pub until: Option<Moment>,
    /// How it stands.
    pub standing: HopStanding,
    /// The tools that it permits, where that is known.
    pub scope: Vec<Text>,
    /// Whether tokens between it and its parent were never seen in a call.
    pub is_remote: bool,
    /// The handoff's page.
    pub handoff: Option<String>,
    /// The pages that take it back, or stop its holder.
    pub ends: Vec<(&'static str, String)>,
    /// How many lists end after it.
    pub closes: usize,
    /// Whether something comes under it.
    pub has_children: bool,
}

impl HopLine {
    /// Says of each whether a list begins under it, and how many end after it.
    pub fn nest(lines: &mut [Self]) {
        let mut depths = Vec::new();
        for line in lines.iter() {
            let above = line.parent.and_then(|at| depths.get(at).copied());
            depths.push(above.map_or(0usize, |depth| depth + 1));
        }
        let next = depths.iter().skip(1).copied().chain([0]);
        for ((line, depth), next) in lines.iter_mut().zip(&depths).zip(next) {
            line.has_children = next > *depth;
            line.closes = depth.saturating_sub(next);
        }
    }

    /// The holder's agent.
    #[must_use]
    pub fn agent(&self) -> &str {
        self.holder.as_ref().map_or("an unknown holder", |(agent, _)| agent.as_str())
    }
}

/// A box of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeNode {
    /// Its corner.
    pub at: Point,
    /// Who.
    pub label: Text,
    /// The whole name.
    pub name: Text,
    /// How it stands, and how sure its holder is who it is.
    pub sub: String,
    /// The class of the box.
    pub class: &'static str,
    /// Its place in the list, from 1; 0: the principal.
    pub number: usize,
}

/// A line of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeLine {
    /// The path's commands.
    pub path: String,
    /// The line's classes.
    pub class: &'static str,
    /// The id of its tip.
    pub tip: &'static str,
    /// Whether it is drawn as two.
    pub is_double: bool,
}

/// The tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Pixels.
    pub width: i32,
    /// Pixels.
    pub height: i32,
    /// The principal, then the delegations.
    pub nodes: Vec<TreeNode>,
    /// What connects them.
    pub lines: Vec<TreeLine>,
    /// Delegations that are only in the list.
    pub left_out: usize,
}

impl Tree {
    /// Draws the first of a list of delegations under their principal.
    #[must_use]
    pub fn of(principal: &Text, hops: &[HopLine]) -> Self {
        let drawn = hops.get(..hops.len().min(MAX_DRAWN)).unwrap_or_default();
        // Number 0 is the principal, a hop's is its place and one.
        let parent_of = |hop: &HopLine| hop.parent.map_or(0, |at| at + 1);
        let places = Self::places(&drawn.iter().map(parent_of).collect::<Vec<_>>());
        let at = |number: usize| places.get(number).copied().unwrap_or_default();
        let mut nodes = vec![TreeNode {
            at: at(0),
            label: Text::short(principal.as_str(), 16),
            name: principal.clone(),
            sub: "principal".to_owned(),
            class: "principal",
            number: 0,
        }];
        let mut lines = Vec::new();
        for (number, hop) in (1..).zip(drawn) {
            nodes.push(TreeNode {
                at: at(number),
                label: short_name(hop.agent()),
                name: Text::of(hop.agent()),
                sub: format!("{} · {}", hop.standing.word(), hop.by.guarantee()),
                class: hop.standing.class(),
                number,
            });
            lines.push(Self::line(hop, at(parent_of(hop)), at(number)));
        }
        let far = |of: fn(&Point) -> i32| places.iter().map(of).max().unwrap_or(0);
        Self {
            width: far(|p| p.x).saturating_add(NODE_WIDTH + MARGIN),
            height: far(|p| p.y).saturating_add(NODE_HEIGHT + MARGIN),
            nodes,
            lines,
            left_out: hops.len().saturating_sub(drawn.len()),
        }
    }

    /// Corners of the principal and of each hop, from each hop's parent's number.
    fn places(parents: &[usize]) -> Vec<Point> {
        let mut depths = vec![0i32];
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); parents.len() + 1];
        for (number, parent) in (1..).zip(parents) {
            let above = depths.get(*parent).copied().unwrap_or(0);
            depths.push(above.saturating_add(1));
            children.get_mut(*parent).into_iter().for_each(|c| c.push(number));
        }
        let mut next = MARGIN;
        let mut heights = vec![0i32; depths.len()];
        for (height, below) in heights.iter_mut().zip(&children) {
            if below.is_empty() {
                *height = next;
                next = next.saturating_add(NODE_HEIGHT + GAP_Y);
            }
        }
        // What comes under something has a higher number.
        for (number, below) in children.iter().enumerate().rev() {
            let of = |n: Option<&usize>| n.and_then(|n| heights.get(*n)).copied();
            if let (Some(first), Some(last)) = (of(below.first()), of(below.last())) {
                let middle = first.saturating_add(last) / 2;
                heights.get_mut(number).into_iter().for_each(|y| *y = middle);
            }
        }
        let columns = depths.iter().max().map_or(1, |deepest| deepest.saturating_add(1));
        let gap = gap(usize::try_from(columns).unwrap_or(1));
        let step = NODE_WIDTH.saturating_add(gap);
        let column = |depth: i32| MARGIN.saturating_add(depth.saturating_mul(step));
        depths.into_iter().zip(heights).map(|(d, y)| Point { x: column(d), y }).collect()
    }

    fn line(hop: &HopLine, from: Point, to: Point) -> TreeLine {
        let points = [from.and(NODE_WIDTH, NODE_HEIGHT / 2), to.and(0, NODE_HEIGHT / 2)];
        let is_void = hop.standing.is_void();
        let path = curve(&points);
        let tip = if is_void { "tip-void" } else { "tip" };
        match hop.by {
            HopBy::Handoff(guarantee) => {
                let line = Line { guarantee, is_void };
                let (class, is_double) = (line.class(), line.is_double());
                TreeLine { path, class, tip, is_double }
            }
            HopBy::Grant | HopBy::Derived => {
                let class = if is_void { "line own void" } else { "line own" };
                TreeLine { path, class, tip, is_double: false }
            }
        }
    }
}

/// `/tasks/{id}`
#[derive(Clone, Debug, Template)]
#[template(path = "task.html")]
pub struct TaskPage {
    /// The frame.
    pub frame: Frame,
    /// Its id.
    pub task: String,
    /// On whose authority; `None` once the name was erased.
    pub principal: Option<Text>,
    /// The purpose, while its text is kept.
    pub purpose: Option<Text>,
    /// The workflow.
    pub workflow: Text,
    /// The agent that it was given to.
    pub agent: Text,
    /// When it was minted.
    pub created: Moment,
    /// The grants that it rests on.
    pub grants: Vec<GrantLine>,
    /// The delegations.
    pub hops: Vec<HopLine>,
    /// The same as a drawing.
    pub tree: Tree,
    /// Whether there are more delegations than are listed.
    pub is_cut: bool,
    /// The page that stops it, for whoever may.
    pub stop: Option<String>,
}

#[cfg(test)]
mod tests {
    use bailiwick_core::time::Timestamp;

    use super::*;

    fn hop(parent: Option<usize>) -> HopLine {
        HopLine {
            parent,
            token: String::new(),
            holder: None,
            by: HopBy::Derived,
            since: Moment::of(Timestamp::from_seconds(0)),
            until: None,
            standing: HopStanding::Live,
            scope: Vec::new(),
            is_remote: false,
            handoff: None,
            ends: Vec::new(),
            closes: 0,
            has_children: false,
        }
    }

    #[test]
    fn lists_open_and_close_as_often_as_each_other() {
        let mut hops: Vec<HopLine> =
            [None, Some(0), Some(1), Some(0), None, Some(4)].map(hop).into_iter().collect();
        HopLine::nest(&mut hops);
        let said: Vec<_> = hops.iter().map(|h| (h.has_children, h.closes)).collect();
        let no = (false, 0);
        assert_eq!(said, [(true, 0), (true, 0), (false, 1), (false, 1), (true, 0), (false, 1)]);
        assert_ne!(said.first(), Some(&no));
        let opened = hops.iter().filter(|h| h.has_children).count();
        assert_eq!(opened, hops.iter().map(|h| h.closes).sum::<usize>());
    }

    #[test]
    fn nothing_stands_better_than_what_it_comes_under() {
        use HopStanding::*;
        for (own, above, stands) in [
            (Accepted, Revoked, Revoked),
            (Offered, Ended, Ended),
            (Live, Stopped, Stopped),
            (Rejected, Revoked, Rejected),
            (Accepted, Live, Accepted),
            (Live, NotYet, NotYet),
            (Ended, Stopped, Ended),
        ] {
            assert_eq!(own.under(above), stands, "{own:?} under {above:?}");
        }
    }

    #[test]
    fn a_tree_stands_apart_and_is_bounded() {
        let hops: Vec<HopLine> =
            [None, Some(0), Some(0), Some(2), None].map(hop).into_iter().collect();
        let tree = Tree::of(&Text::of("user:142"), &hops);
        assert_eq!((tree.nodes.len(), tree.lines.len()), (6, 5));
        for (nth, one) in tree.nodes.iter().enumerate() {
            for other in tree.nodes.iter().skip(nth + 1) {
                let apart = (one.at.x - other.at.x).abs() >= NODE_WIDTH
                    || (one.at.y - other.at.y).abs() >= NODE_HEIGHT;
                assert!(apart, "{one:?} {other:?}");
            }
        }
        let many: Vec<HopLine> = (0..200).map(|_| hop(None)).collect();
        let tree = Tree::of(&Text::of("user:142"), &many);
        assert_eq!((tree.nodes.len(), tree.left_out), (MAX_DRAWN + 1, 140));
    }
}
