//! The tree as a compact range: the root of any number of leaves in O(log n) memory.

use crate::hash::{Hash, empty_root, node_hash};

/// Hashes leaves one after the other and can tell the root at every size on the way. Holds one
/// hash for each complete subtree, at most 64.
#[derive(Debug, Clone, Default)]
pub struct TreeHasher {
    size: u64,
    // INVARIANT: one hash per set bit of `size`, the largest subtree first.
    subtrees: Vec<Hash>,
}

impl TreeHasher {
    /// The empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.subtrees.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.subtrees.push(hash);
        self.size += 1;
    }

    /// Number of leaves so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root of the leaves so far.
    #[must_use]
    pub fn root(&self) -> Hash {
        fold_right(self.subtrees.iter().copied()).unwrap_or_else(empty_root)
    }

    /// The roots of the complete subtrees, the largest first.
    pub(crate) fn into_subtrees(self) -> Vec<Hash> {
        self.subtrees
    }
}

/// The root over complete subtrees of falling size, given from left to right.
pub(crate) fn fold_right(subtrees: impl DoubleEndedIterator<Item = Hash>) -> Option<Hash> {
    subtrees.rev().reduce(|right, left| node_hash(&left, &right))
}

/// The root over `hashes` as leaves; `None` for none. `hashes` may have any length: a power of two
/// gives a complete subtree.
pub(crate) fn root_of(hashes: &[Hash]) -> Option<Hash> {
    let mut tree = TreeHasher::new();
    for hash in hashes {
        tree.push(*hash);
    }
    (!hashes.is_empty()).then(|| tree.root())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    /// The reference tree of certificate-transparency (`merkletree/merkle_tree_test.cc`).
    #[test]
    fn roots_are_those_of_the_rfc_6962_reference_tree() {
        let leaves = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = TreeHasher::new();
        assert_eq!(tree.root(), empty_root());
        for (leaf, root) in leaves.iter().zip(roots) {
            tree.push(leaf_hash(&hex(leaf)));
            assert_eq!(format!("{:x}", tree.root()), root);
        }
        assert_eq!(tree.size(), 8);
    }

    /// RFC 9162 section 2.1.1, word for word.
    fn slow_root(leaves: &[Hash]) -> Hash {
        match leaves.len() {
            0 => empty_root(),
            1 => leaves[0],
            n => {
                let k = n.next_power_of_two() / 2;
                node_hash(&slow_root(&leaves[..k]), &slow_root(&leaves[k..]))
            }
        }
    }

    #[test]
    fn the_compact_range_agrees_with_the_definition_at_every_size() {
        let leaves: Vec<Hash> = (0..600_u32).map(|i| leaf_hash(&i.to_be_bytes())).collect();
        let mut tree = TreeHasher::new();
        for (at, leaf) in leaves.iter().enumerate() {
            tree.push(*leaf);
            assert_eq!(tree.root(), slow_root(&leaves[..=at]));
            assert!(tree.subtrees.len() <= 10);
        }
    }
}
