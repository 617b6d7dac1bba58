//! The pure decision point: workflows, scope expansion, catalogue and policy.
