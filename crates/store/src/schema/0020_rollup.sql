-- Decided calls of hours that are over, added up by what figures are asked for, so
-- that a figure over months reads some rows for each hour however many agents and tools
-- there are. `sets` says which members a row names; the others are empty.
-- 1 workflow, 2 workflow and version, 4 agent, 8 tool, and their unions; 15 is
-- everything, since the beginning.

CREATE TABLE calls_rolled (
    org             TEXT    NOT NULL,
    sets            INTEGER NOT NULL,
    agent           TEXT    NOT NULL,
    tool            TEXT    NOT NULL,
    workflow_digest TEXT    NOT NULL,
    hour            INTEGER NOT NULL,
    workflow        TEXT    NOT NULL,
    decision        TEXT    NOT NULL,
    reason          TEXT    NOT NULL,
    calls           INTEGER NOT NULL,
    PRIMARY KEY (org, sets, agent, tool, workflow_digest, hour, workflow, decision, reason)
) STRICT, WITHOUT ROWID;
CREATE INDEX calls_rolled_hour ON calls_rolled (org, sets, hour, workflow, workflow_digest, agent,
    tool, calls);

-- The first hour that is not added up yet.
CREATE TABLE calls_rolled_upto (
    org  TEXT    NOT NULL PRIMARY KEY,
    hour INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
