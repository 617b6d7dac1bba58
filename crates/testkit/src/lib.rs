//! Development only: clocks, faulty stores, vector reader, fixtures.
