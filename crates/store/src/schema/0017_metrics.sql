-- Decided calls by the hour: counted with each entry, so that figures over months
-- read as many rows as there were hours and kinds of call, not calls. `hour` is the
-- number of whole hours since the epoch, `workflow_digest` the version's digest as
-- entries write it; what an entry does not name is empty. `reason` is a denial's.

CREATE TABLE calls_hourly (
    org             TEXT    NOT NULL,
    hour            INTEGER NOT NULL,
    workflow        TEXT    NOT NULL,
    workflow_digest TEXT    NOT NULL,
    agent           TEXT    NOT NULL,
    tool            TEXT    NOT NULL,
    decision        TEXT    NOT NULL,
    reason          TEXT    NOT NULL,
    calls           INTEGER NOT NULL,
    PRIMARY KEY (org, hour, workflow, workflow_digest, agent, tool, decision, reason)
) STRICT, WITHOUT ROWID;

-- What was decided before is counted once, from the leaves.
INSERT INTO calls_hourly (org, hour, workflow, workflow_digest, agent, tool, decision, reason, calls)
SELECT org, time / 3600000, coalesce(workflow, ''),
       coalesce(json_extract(CAST(leaf AS TEXT), '$.body.workflow_digest'), ''),
       coalesce(agent, ''), coalesce(tool, ''), coalesce(decision, ''),
       CASE decision WHEN 'allow' THEN '' ELSE coalesce(reason, '') END, count(*)
FROM entries WHERE kind = 'action.decided'
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;

-- How the figures find what happened in a span of time.
CREATE INDEX runs_measured ON runs (org, ended, workflow, workflow_digest, agent, id, task, state,
    complete, review, iterations, cost_micros, currency) WHERE ended IS NOT NULL;
CREATE INDEX approvals_settled ON approvals (org, settled) WHERE settled IS NOT NULL;
CREATE INDEX delegations_issued ON delegations (org, issued);
CREATE INDEX grants_expires ON grants (org, expires);
CREATE INDEX revocations_time ON revocations (org, time);
