//! The pure heart of Bailiwick: delegation tokens, constraints, possession, verification and ledger entries. No clock, randomness or I/O.
