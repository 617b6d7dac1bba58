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
//! | `principal.added` | principal | `alias`, `jwk`, `thumbprint` | `principal` = `{issuer, id}` |
//! | `principal.changed` | principal, reason: `offboarded`? | `status`; when offboarded `by`, `session_of?` | |
//! | `principal.invited` | principal, reason: `recovery`? | `until`, `by`: `operator` or `owner`, `session_of?` (alias) | |
//! | `credential.added` | principal | `credential`, `credential_kind`, `lookup`, `jwk?` | `label` of a passkey, `login` = `{issuer, subject}` |
//! | `credential.changed` | principal | `credential`, `status`, `by?` and `session_of?` when an administrator did it, `restated?`: a login states other groups or claims | |
//! | `credential.trusted` | principal | `credential`, `by` (alias) | |
//! | `approval.decided` | principal (approver), agent, workflow, task | `approval`, `asked` (entry), `verdict`, `grade`, `credential`, `action_digest`, `policy`, `rule`, `expires` | `signed`, `note?`, `suggestion?` |
//! | `authority.requested` | principal, agent, instance, workflow, task, grant, delegation (leaf) | `request`, `holder`, `root`, `seconds`, `expires`, `row` | `scope`, `reason` |
//! | `authority.granted` | principal (who granted), agent, workflow, task, grant | `request`, `asked` (entry), `grant`, `row` | |
//! | `authority.refused` | principal (who refused), agent, workflow, task | `request`, `asked` (entry), `session_of?`, `row` | `signed?`, `note?` |
//! | `standing.approved` | principal (approver), agent, workflow, task, tool | `standing`, `digest` (of the terms), `grade`, `credential`, `row` | `terms`, `signed`, `note?` |
//! | `standing.revoked` | principal?, agent, workflow, task, tool | `standing`, `by`: `operator` or `principal`, `session_of?` (alias), `row` | `reason` |
//! | `check.started` | principal, agent, workflow, task, run, grant (the run's), tool | `criterion`, `session_of?`, `row` | |
//! | `rollback.started` | principal, agent, workflow, task, run, grant (the run's), tool? | `step`, `undoes?` (action), `session_of?`, `row` | |
//! | `run.checked` | principal, agent, workflow, task, run, grant (the run's) | `criterion`, `by`: `check:NAME` or `tool:ID`, `verdict`: `holds`, `does_not_hold` or `not_run`, `receipt?` (action), `derived`, `row` | `output?` |
//! | `role.changed` | principal | `role`, `held` | |
//! | `authorization.refused` | principal, agent, reason | `by`: `principal` or `authority` | `client?` |
//! | `agent.added` | principal (owner), agent | `agent`, `owner` (alias), `spiffe_id`, `artifact?` | |
//! | `agent.changed` | agent | `status` | |
//! | the same, moved | principal (owner), agent, reason: `transferred` | `owner`, `former_owner` (aliases), `by`, `session_of?` | |
//! | `instance.enrolled` | principal (owner), agent, instance | `instance`, `agent`, `owner` (alias), `holder`, `identity` (thumbprints), `enrolment_digest`, `spiffe_id`, `guarantee`, `isolation?`, `invitation?` (the entry) | `enrolment` = the signed statement |
//! | `instance.invited` | agent | `until`, `by`: `operator` or `principal`, `session_of?` (alias) | |
//! | `instance.changed` | agent, instance | `status` | |
//! | `client.registered`, `client.changed` | principal (owner, when mapped), agent, instance | `source`, `status`, `agent?`, `instance?`, `owner?`, `guarantee?` | `client` = `{id, name}` |
//! | `peer.handshake` | agent, instance (who asked) | `transcript`, `initiator`, `responder`: `{spiffe_id, agent, instance, holder, not_after}`, `capabilities`, `channel`: `tls-exporter` or `none`, `row` | `handshake` = its record |
//! | `peer.refused` | agent, instance (who turned away), reason | `code` | `claimed` = the SPIFFE ID that the other side claimed |
//! | `handoff.offered` | principal, agent, instance (the giver), workflow, task, grant, delegation (the child) | `handoff`, `hash`, `transcript`, `from`, `to`, `holder`, `root`, `parent`, `leaf`, `guarantee`, `claims` (their grades), `expires`, `owner?` (alias: who answers for a taker of another trust domain), `row` | `offer`, `chain` |
//! | `handoff.accepted`, `handoff.rejected` | the same, of the taker | `handoff`, `hash`, `from`, `to`, `guarantee`, `row` | `answer` |
//! | `handoff.returned` | the same, of the taker | `handoff`, `hash`, `status`, `claims` (their grades), `row` | `return` |
//! | `failure.detected` | agent, workflow, task, run, tool, reason | `failure`, `what`, `suggested`, `source` (the entry that shows it), `again?` (the resolved failure that it repeats), `row` | |
//! | `failure.classified` | principal (who said so), agent, workflow, task, run, tool | `failure`, `class`, `suggested`, `by`: `person` or `operator`, `owner` (alias), `row` | `note?` |
//! | `failure.resolved` | the same | `failure`, `regression`, `cases?` (digest of the file), `by`: `person`, `operator` or `authority`, `source?`, `row` | `link?`, `why?` |
//! | `identity.issued` | agent, instance | `instance`, `agent`, `spiffe_id`, `key` (thumbprint), `jti`, `not_after`; of SVIDs `x509` with `authority` (thumbprint) and `serial` | |
//! | `workflow.published` | principal (owner), workflow | `workflow`, `digest`, `level` | `document` = the canonical form, whose SHA-256 is the digest |
//! | `tool_server.added` | | `server`, `replaced` | |
//! | `tool.pinned` | tool | `tool`, `server`, `digest`, `previous?`, `flags` | `definition` |
//! | `task.created` | principal, agent, workflow, task | `task`, `workflow`, `workflow_digest` | `purpose` |
//! | `grant.recorded` | principal, agent, workflow, task, grant | `grant`, `digest`, `workflow_digest`, `key` or `signed_by`, `credential?`, `not_before`, `not_after`, `max_depth`, `audience`, `guarantee?`, `signed`, `request?` | `statement`, `signature` |
//! | `delegation.issued` | principal, agent, instance, workflow, task, grant, delegation (root) | `root`, `grant`, `holder`, `grant_digest`, `not_before`, `not_after`, `max_depth`, `audience` | `token` |
//! | `entitlements.published` | | `digest` | `document` = the canonical form, whose SHA-256 is the digest |
//! | `policy.published` | | `digest`, `before`, `files`, `policies` (counts) | `document` = the canonical form, whose SHA-256 is the digest |
//! | `policy.candidate` | | the same; `digest` null: there is none any more | `document`? |
//! | `key.changed` | reason: `rotated` or `compromised` | `purpose`, `old` (thumbprint), `accepted_until`, `new?: {kid, jwk}`, `since?` | |
//! | `provider.key_changed` | | `issuer`, `client_id`, `jwk`, `status`: `active` or `retired` | |
//! | `trust_domain.key_used` | | `trust_domain`, `issuer`, `jwk` | |
//! | `revoked` | the subject's own, reason | `by`: `operator` or `principal`, `key?`, `session_of?` (alias), `approval?` and `approver?` (alias) of the verdict with which it was taken back, `row` | `statement?`, `detail?` |
//! | `plaintext.erased` | principal, action | `by`, `entries`: whose texts went | |
//!
//! Whatever somebody changed while signed in has `session_of`, their alias.
//!
//! Times in bodies are seconds since the epoch.

pub mod agents;
pub mod approvals;
pub mod approvers;
pub mod autonomy;
pub mod checks;
pub mod clients;
pub mod credentials;
pub mod delegations;
pub mod entitlements;
pub mod erasure;
pub mod errands;
pub mod failures;
pub mod handoffs;
pub mod identities;
pub mod init;
pub mod instances;
pub mod keys;
pub mod life;
pub mod logins;
pub mod pins;
pub mod policies;
pub mod principals;
pub mod provider_keys;
pub mod requests;
pub mod revocations;
pub mod roles;
pub mod runs;
pub mod standings;
pub mod stops;
pub mod suggestions;
pub mod svids;
pub mod tasks;
pub mod tool_servers;
pub mod trust;
pub mod trust_domains;
pub mod vault;
pub mod workflows;
