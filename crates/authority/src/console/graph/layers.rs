//! Layers, and the order within each: arrows go from left to right where they
//! can, and cross little (Sugiyama's method, with as many steps as a small graph
//! needs).

use std::collections::{BTreeMap, BTreeSet};

/// Passes over the layers.
const SWEEPS: usize = 6;

/// One arrow's way through the layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// Which arrow.
    pub(super) number: usize,
    /// What it passes, from left to right: nodes and lanes.
    pub(super) items: Vec<usize>,
    /// Whether the arrow goes from right to left.
    pub(super) is_back: bool,
}

/// What stands in which layer. Items below `nodes` are nodes, the others lanes
/// of arrows that pass a layer by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) nodes: usize,
    pub(super) items: usize,
    pub(super) layers: Vec<Vec<usize>>,
    pub(super) routes: Vec<Route>,
}

impl Layout {
    /// Of `nodes` nodes with arrows `(from, to)` between them.
    pub(super) fn of(nodes: usize, arrows: &[(usize, usize)]) -> Self {
        let order = line_up(nodes, arrows);
        let place: BTreeMap<usize, usize> =
            order.iter().enumerate().map(|(at, node)| (*node, at)).collect();
        let turned = |(from, to): (usize, usize)| {
            let is_back = place.get(&from) > place.get(&to);
            if is_back { (to, from, true) } else { (from, to, false) }
        };
        let layer = layer_of(&order, arrows.iter().map(|arrow| turned(*arrow)));
        let last = layer.values().copied().max().unwrap_or(0);
        let mut layers: Vec<Vec<usize>> = vec![Vec::new(); last + 1];
        for node in &order {
            let at = layer.get(node).copied().unwrap_or(0);
            layers.get_mut(at).into_iter().for_each(|l| l.push(*node));
        }
        let mut items = nodes;
        let mut routes = Vec::new();
        for (number, arrow) in arrows.iter().enumerate() {
            let (left, right, is_back) = turned(*arrow);
            let mut passed = vec![left];
            if left != right {
                let first = layer.get(&left).map_or(1, |l| l + 1);
                for at in first..layer.get(&right).copied().unwrap_or(0) {
                    layers.get_mut(at).into_iter().for_each(|l| l.push(items));
                    passed.push(items);
                    items += 1;
                }
                passed.push(right);
            }
            routes.push(Route { number, items: passed, is_back });
        }
        let mut layout = Self { nodes, items, layers, routes };
        layout.uncross();
        layout
    }

    /// Puts each item where its neighbours are, to and fro.
    fn uncross(&mut self) {
        let mut before: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        let mut after: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for route in &self.routes {
            for pair in route.items.windows(2) {
                if let [left, right] = pair {
                    before.entry(*right).or_default().insert(*left);
                    after.entry(*left).or_default().insert(*right);
                }
            }
        }
        for sweep in 0..SWEEPS {
            if sweep % 2 == 0 {
                sort_by_neighbours(self.layers.iter_mut(), &before);
            } else {
                sort_by_neighbours(self.layers.iter_mut().rev(), &after);
            }
        }
    }
}

fn sort_by_neighbours<'a>(
    layers: impl Iterator<Item = &'a mut Vec<usize>>,
    neighbours: &BTreeMap<usize, BTreeSet<usize>>,
) {
    /// Places are told in parts of the layer: layers are of different length.
    const PARTS: usize = 10_000;
    let mut place: BTreeMap<usize, usize> = BTreeMap::new();
    for layer in layers {
        let parts = |at: usize, of: usize| (2 * at + 1) * PARTS / (2 * of.max(1));
        let all = layer.len();
        let mut wanted: Vec<(usize, usize)> = Vec::new();
        for (at, item) in layer.iter().enumerate() {
            let next = neighbours.get(item).into_iter().flatten();
            let places: Vec<usize> = next.filter_map(|n| place.get(n).copied()).collect();
            let mean = places.iter().sum::<usize>().checked_div(places.len());
            wanted.push((mean.unwrap_or_else(|| parts(at, all)), *item));
        }
        wanted.sort_by_key(|(at, _)| *at);
        *layer = wanted.into_iter().map(|(_, item)| item).collect();
        place.extend(layer.iter().enumerate().map(|(at, item)| (*item, parts(at, all))));
    }
}

/// The nodes in a line in which few arrows go back (Eades, Lin, Smyth: take away
/// what only gives, what only takes, else what gives most beyond what it takes).
fn line_up(nodes: usize, arrows: &[(usize, usize)]) -> Vec<usize> {
    let mut left: BTreeSet<usize> = (0..nodes).collect();
    let (mut begins, mut ends) = (Vec::new(), Vec::new());
    while let Some(first) = left.first().copied() {
        let degree = |node: usize| {
            let among =
                |a: &&(usize, usize)| a.0 != a.1 && left.contains(&a.0) && left.contains(&a.1);
            let near = arrows.iter().filter(among);
            near.fold((0i64, 0i64), |(gives, takes), (from, to)| {
                (gives + i64::from(*from == node), takes + i64::from(*to == node))
            })
        };
        let degrees: Vec<(usize, (i64, i64))> = left.iter().map(|n| (*n, degree(*n))).collect();
        if let Some((node, _)) = degrees.iter().find(|(_, (_, takes))| *takes == 0) {
            begins.push(*node);
            left.remove(node);
        } else if let Some((node, _)) = degrees.iter().find(|(_, (gives, _))| *gives == 0) {
            ends.push(*node);
            left.remove(node);
        } else {
            let most = degrees.iter().rev().max_by_key(|(_, (gives, takes))| gives - takes);
            let node = most.map_or(first, |(node, _)| *node);
            begins.push(node);
            left.remove(&node);
        }
    }
    begins.extend(ends.into_iter().rev());
    begins
}

/// One layer further to the right than whatever hands to it.
fn layer_of(
    order: &[usize],
    arrows: impl Iterator<Item = (usize, usize, bool)>,
) -> BTreeMap<usize, usize> {
    let mut takers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (left, right, _) in arrows.filter(|(left, right, _)| left != right) {
        takers.entry(left).or_default().push(right);
    }
    let mut layer: BTreeMap<usize, usize> = BTreeMap::new();
    for node in order {
        let at = *layer.entry(*node).or_default();
        for taker in takers.get(node).into_iter().flatten() {
            let after = layer.entry(*taker).or_default();
            *after = (*after).max(at + 1);
        }
    }
    layer
}
