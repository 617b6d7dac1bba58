//! Pure tiled-log maths: hashes, tiles, checkpoints, proofs and the append plan as data.
