//! Who hands what to whom as a drawing: agents in layers from left to right, an
//! arrow for each pair. It is a function of what is drawn; the same counts give
//! the same picture.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_core::guarantee::Guarantee;

use super::Text;
use super::drawing::{
    Line, NODE_HEIGHT, NODE_WIDTH, Pill, Point, curve, gap, on_curve, short_name,
};

mod layers;

/// Agents that are drawn at most: the busiest.
pub(super) const MAX_NODES: usize = 40;
/// Arrows that are drawn at most: the busiest.
pub(super) const MAX_ARROWS: usize = 80;

const GAP_Y: i32 = 24;
/// The height of the lane of an arrow that passes a layer by.
const LANE: i32 = 18;
const MARGIN: i32 = 12;

/// What is drawn of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vertex {
    /// Its name.
    pub agent: String,
    /// What stands under the name.
    pub sub: String,
    /// Whether it may act.
    pub is_active: bool,
}

/// What is drawn between two agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrow {
    /// Who hands over.
    pub from: String,
    /// To whom.
    pub to: String,
    /// How often.
    pub count: u64,
    /// How many of them came to nothing: turned down, run out or revoked.
    pub failed: u64,
    /// How sure the two were of each other when they were least so.
    pub guarantee: Guarantee,
    /// The list of them.
    pub href: String,
}

/// An agent in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedNode {
    /// Its corner.
    pub at: Point,
    /// Its name as far as it fits.
    pub label: Text,
    /// Its whole name.
    pub agent: Text,
    /// Its page.
    pub href: String,
    /// What stands under the name.
    pub sub: Text,
    /// Whether it may act.
    pub is_active: bool,
}

/// An arrow in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedArrow {
    /// How it is drawn.
    pub line: Line,
    /// The path's commands.
    pub path: String,
    /// What it says.
    pub pill: Pill,
    /// The same in words, for who does not see it.
    pub words: Text,
    /// The list of what it stands for.
    pub href: String,
}

/// The drawing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// Pixels.
    pub width: i32,
    /// Pixels.
    pub height: i32,
    /// Agents.
    pub nodes: Vec<PlacedNode>,
    /// Arrows.
    pub arrows: Vec<PlacedArrow>,
    /// Agents that are not drawn.
    pub agents_left_out: usize,
    /// Pairs that are not drawn.
    pub arrows_left_out: usize,
}

impl Graph {
    /// Draws the busiest of them. An arrow between agents of no vertex is drawn
    /// all the same.
    #[must_use]
    pub fn of(vertices: &[Vertex], arrows: &[Arrow]) -> Self {
        let mut busy: BTreeMap<&str, u64> = BTreeMap::new();
        for arrow in arrows {
            for end in [&arrow.from, &arrow.to] {
                let sum = busy.entry(end).or_default();
                *sum = sum.saturating_add(arrow.count);
            }
        }
        let mut names: Vec<(&str, u64)> = busy.into_iter().collect();
        names.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let agents_left_out = names.len().saturating_sub(MAX_NODES);
        names.truncate(MAX_NODES);
        let names: BTreeSet<&str> = names.into_iter().map(|(name, _)| name).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let number: BTreeMap<&str, usize> =
            names.iter().enumerate().map(|(n, name)| (*name, n)).collect();
        let mut drawn: Vec<(usize, usize, &Arrow)> = arrows
            .iter()
            .filter(|a| a.from != a.to)
            .filter_map(|a| Some((*number.get(&*a.from)?, *number.get(&*a.to)?, a)))
            .collect();
        drawn.sort_by(|a, b| b.2.count.cmp(&a.2.count).then((a.0, a.1).cmp(&(b.0, b.1))));
        drawn.truncate(MAX_ARROWS);
        let pairs: Vec<(usize, usize)> = drawn.iter().map(|(from, to, _)| (*from, *to)).collect();
        let layout = layers::Layout::of(names.len(), &pairs);
        let place = Placing::of(&layout);
        let about: BTreeMap<&str, &Vertex> = vertices.iter().map(|v| (&*v.agent, v)).collect();
        let nodes = names.iter().enumerate();
        let nodes = nodes.map(|(n, name)| placed(name, about.get(name).copied(), place.at(n)));
        let mut pills: Vec<Pill> = Vec::new();
        let placed = drawn.iter().zip(&layout.routes).map(|((.., arrow), route)| {
            let points = place.points(route);
            let pill = free(&points, &pill_of(arrow), &pills);
            pills.push(pill.clone());
            PlacedArrow {
                line: Line { guarantee: arrow.guarantee, is_void: arrow.failed >= arrow.count },
                path: curve(&points),
                pill,
                words: words(arrow),
                href: arrow.href.clone(),
            }
        });
        Self {
            width: place.width,
            height: place.height,
            arrows_left_out: arrows.len().saturating_sub(drawn.len()),
            agents_left_out,
            arrows: placed.collect(),
            nodes: nodes.collect(),
        }
    }
}

fn placed(name: &str, vertex: Option<&Vertex>, at: Point) -> PlacedNode {
    PlacedNode {
        at,
        label: short_name(name),
        agent: Text::of(name),
        href: format!("/agents/{name}"),
        sub: Text::of(vertex.map_or("not registered here", |v| &v.sub)),
        is_active: vertex.is_some_and(|v| v.is_active),
    }
}

fn pill_of(arrow: &Arrow) -> String {
    match arrow.failed {
        0 => arrow.count.to_string(),
        failed => format!("{} ×{failed}", arrow.count),
    }
}

fn words(arrow: &Arrow) -> Text {
    let times = if arrow.count == 1 { "one task" } else { "tasks" };
    let count = if arrow.count == 1 { String::new() } else { format!("{} ", arrow.count) };
    let failed = match arrow.failed {
        0 => String::new(),
        n => format!(", {n} of them turned down, run out or revoked"),
    };
    let (from, to, guarantee) = (&arrow.from, &arrow.to, arrow.guarantee);
    Text::of(format!("{from} handed {count}{times} to {to}{failed}; guarantee {guarantee}"))
}

/// A place on the arrow where its text is over no other one.
fn free(points: &[Point], text: &str, taken: &[Pill]) -> Pill {
    const PLACES: [i32; 7] = [40, 50, 32, 60, 24, 68, 18];
    let at = |percent: i32| Pill::of(on_curve(points, percent), text);
    let found = PLACES.into_iter().map(at).find(|pill| !taken.iter().any(|t| t.covers(pill)));
    found.unwrap_or_else(|| at(40))
}

/// Where everything of a layout stands.
struct Placing {
    width: i32,
    height: i32,
    /// The corner and height of each item.
    boxes: Vec<(Point, i32)>,
    /// Of each item: where its arrows begin and end, by the neighbour and route.
    ports: BTreeMap<(usize, bool, usize), i32>,
}

impl Placing {
    fn of(layout: &layers::Layout) -> Self {
        let tall = |item: usize| if item < layout.nodes { NODE_HEIGHT } else { LANE };
        let whole = |layer: &Vec<usize>| {
            let sum: i32 = layer.iter().map(|item| tall(*item).saturating_add(GAP_Y)).sum();
            sum.saturating_sub(GAP_Y)
        };
        let tallest = layout.layers.iter().map(whole).max().unwrap_or(0).max(NODE_HEIGHT);
        let mut boxes = vec![(Point::default(), 0); layout.items];
        let gap = gap(layout.layers.len());
        let mut x = MARGIN;
        for layer in &layout.layers {
            let mut y = MARGIN.saturating_add(tallest.saturating_sub(whole(layer)) / 2);
            for item in layer {
                if let Some(place) = boxes.get_mut(*item) {
                    *place = (Point { x, y }, tall(*item));
                }
                y = y.saturating_add(tall(*item)).saturating_add(GAP_Y);
            }
            x = x.saturating_add(NODE_WIDTH).saturating_add(gap);
        }
        let width = x.saturating_sub(gap).saturating_add(MARGIN);
        let height = tallest.saturating_add(2 * MARGIN);
        let mut placing = Self { width, height, boxes, ports: BTreeMap::new() };
        placing.ports = placing.ports_of(layout);
        placing
    }

    fn at(&self, item: usize) -> Point {
        self.boxes.get(item).map(|(corner, _)| *corner).unwrap_or_default()
    }

    fn middle(&self, item: usize) -> i32 {
        self.boxes.get(item).map_or(0, |(corner, height)| corner.y.saturating_add(height / 2))
    }

    /// Spreads what meets a side over its height, in the order of where it goes.
    fn ports_of(&self, layout: &layers::Layout) -> BTreeMap<(usize, bool, usize), i32> {
        let mut met: BTreeMap<(usize, bool), Vec<(i32, usize)>> = BTreeMap::new();
        for (nth, route) in layout.routes.iter().enumerate() {
            for pair in route.items.windows(2) {
                let [left, right] = pair else { continue };
                let to_right = (self.middle(*right), nth);
                met.entry((*left, true)).or_default().push(to_right);
                met.entry((*right, false)).or_default().push((self.middle(*left), nth));
            }
        }
        let mut ports = BTreeMap::new();
        for ((item, is_right), mut ends) in met {
            ends.sort_unstable();
            let (corner, height) = self.boxes.get(item).copied().unwrap_or_default();
            let steps = i32::try_from(ends.len()).unwrap_or(i32::MAX).saturating_add(1);
            for (step, (_, route)) in (1..).zip(ends) {
                let y = corner.y.saturating_add(height.saturating_mul(step) / steps);
                ports.insert((item, is_right, route), y);
            }
        }
        ports
    }

    /// The points of a route, from where it begins to where it ends.
    fn points(&self, route: &layers::Route) -> Vec<Point> {
        let port = |item: usize, is_right: bool| {
            let y = self.ports.get(&(item, is_right, route.number)).copied();
            let x = self.at(item).x.saturating_add(if is_right { NODE_WIDTH } else { 0 });
            Point { x, y: y.unwrap_or_else(|| self.middle(item)) }
        };
        let mut points = Vec::new();
        for pair in route.items.windows(2) {
            if let [left, right] = pair {
                points.extend([port(*left, true), port(*right, false)]);
            }
        }
        if route.is_back {
            points.reverse();
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrow(from: &str, to: &str, count: u64) -> Arrow {
        Arrow {
            from: format!("agent:{from}"),
            to: format!("agent:{to}"),
            count,
            failed: 0,
            guarantee: Guarantee::Jwt,
            href: String::new(),
        }
    }

    fn node<'a>(graph: &'a Graph, name: &str) -> &'a PlacedNode {
        graph.nodes.iter().find(|n| n.agent.as_str() == format!("agent:{name}")).unwrap()
    }

    #[test]
    fn agents_stand_to_the_right_of_whoever_hands_to_them() {
        let arrows =
            [arrow("a", "b", 3), arrow("b", "c", 2), arrow("a", "c", 1), arrow("a", "d", 1)];
        let graph = Graph::of(&[], &arrows);
        let x = |name: &str| node(&graph, name).at.x;
        assert!(x("a") < x("b") && x("b") < x("c") && x("a") < x("d"));
        assert_eq!((graph.nodes.len(), graph.arrows.len()), (4, 4));
        // The same counts in another order give the same picture.
        let mut turned = arrows.to_vec();
        turned.reverse();
        assert_eq!(Graph::of(&[], &turned), graph);
    }

    #[test]
    fn loops_are_drawn_and_end() {
        let arrows =
            [arrow("a", "b", 1), arrow("b", "a", 1), arrow("b", "c", 1), arrow("c", "a", 1)];
        let graph = Graph::of(&[], &arrows);
        assert_eq!((graph.nodes.len(), graph.arrows.len()), (3, 4));
        assert!(graph.arrows.iter().all(|a| a.path.starts_with('M')));
        let own = Graph::of(&[], &[arrow("a", "a", 1)]);
        assert_eq!((own.nodes.len(), own.arrows.len(), own.arrows_left_out), (1, 0, 1));
        assert!(Graph::of(&[], &[]).nodes.is_empty());
    }

    #[test]
    fn nothing_stands_over_anything_and_all_of_it_inside() {
        let mut arrows = Vec::new();
        for from in 0..12u64 {
            for to in 0..12u64 {
                if (from * 7 + to * 3) % 5 == 0 && from != to {
                    arrows.push(arrow(&format!("n{from}"), &format!("n{to}"), from + to));
                }
            }
        }
        let graph = Graph::of(&[], &arrows);
        for (nth, one) in graph.nodes.iter().enumerate() {
            assert!(one.at.x >= 0 && one.at.x + NODE_WIDTH <= graph.width);
            assert!(one.at.y >= 0 && one.at.y + NODE_HEIGHT <= graph.height);
            for other in graph.nodes.iter().skip(nth + 1) {
                let apart_x = (one.at.x - other.at.x).abs() >= NODE_WIDTH;
                let apart_y = (one.at.y - other.at.y).abs() >= NODE_HEIGHT;
                assert!(apart_x || apart_y, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn beyond_the_bounds_the_busiest_are_drawn_and_the_rest_is_counted() {
        let arrows: Vec<Arrow> =
            (0..100u64).map(|n| arrow(&format!("giver-{n:03}"), "taker", 100 - n)).collect();
        let graph = Graph::of(&[], &arrows);
        assert_eq!((graph.nodes.len(), graph.agents_left_out), (MAX_NODES, 61));
        assert_eq!((graph.arrows.len(), graph.arrows_left_out), (39, 61));
        assert!(graph.nodes.iter().any(|n| n.agent.as_str() == "agent:giver-000"));
        assert!(!graph.nodes.iter().any(|n| n.agent.as_str() == "agent:giver-099"));
    }
}
