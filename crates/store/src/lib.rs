//! Persistence by guarantee: SQLite state, the staged ledger, tiles on disk.
