//! The rules: pure functions from the state and a request to a plan.
//!
//! They read no state themselves and have no effect: what they need stands in
//! their arguments, and what shall happen stands in the [`Plan`](crate::plan::Plan).
//!
//! # What the entries say
//!
//! Beside the members that every entry has. Names in `code font` under
//! *commits* are disclosures; every entry with a row that is not public also
//! commits to `row`.
//!
//! | kind | subjects | body | commits |
//! |---|---|---|---|
//! | `log.started` | | `org`, `trust_domain`, `issuer: {uri, jwk}`, `log: {origin, vkey}`, `makers: [{id, jwk, role}]`, `audience: [..]` | |
//! | `principal.added` | principal | `alias`, `jwk`, `thumbprint` | `principal` = `{issuer, subject}` |
//! | `principal.changed` | principal | `status` | |
//! | `agent.added` | principal (owner), agent | `owner` (alias), `spiffe_id`, `artifact?` | |
//! | `agent.changed` | agent | `status` | |
//! | `instance.enrolled` | principal (owner), agent, instance | `holder`, `identity` (thumbprints), `statement` (digest), `spiffe_id`, `guarantee` | `enrolment` = the signed statement |
//! | `instance.changed` | agent, instance | `status` | |
//! | `workflow.published` | principal (owner), workflow | `digest`, `level` | `document` = the canonical form, whose SHA-256 is the digest |
//! | `tool_server.added` | | `server`, `replaced` | |
//! | `tool.pinned` | tool | `server`, `digest`, `previous?`, `flags` | `definition` |
//! | `task.created` | principal, agent, workflow, task | `workflow_digest` | `purpose` |
//! | `grant.recorded` | principal, agent, workflow, task, grant | `digest`, `workflow_digest`, `key`, `not_before`, `not_after`, `max_depth`, `audience`, `attested` | `statement`, `proof` |
//! | `delegation.issued` | principal, agent, instance, workflow, task, grant, delegation (root) | `root`, `holder`, `grant_digest`, `not_before`, `not_after`, `max_depth`, `audience` | `token` |
//! | `revoked` | the subject's own | `by`: `operator` or `principal`, `key?` | `statement?`, `detail?` |

pub mod agents;
pub mod delegations;
pub mod init;
pub mod instances;
pub mod pins;
pub mod principals;
pub mod revocations;
pub mod tasks;
pub mod tool_servers;
pub mod trust;
pub mod workflows;
