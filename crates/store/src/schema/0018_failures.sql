-- Failures from which something is learned: detected in the ledger, classified and
-- resolved by people. `fold` is what equal ones have in common: of these one is
-- unresolved at a time.

CREATE TABLE failures (
    org        TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    what       TEXT    NOT NULL,
    fold       TEXT    NOT NULL,
    workflow   TEXT,
    version    TEXT,
    agent      TEXT,
    task       TEXT,
    run        TEXT,
    action     TEXT,
    tool       TEXT,
    reason     TEXT    NOT NULL,
    suggested  TEXT    NOT NULL,
    class      TEXT,
    classifier TEXT,
    owner      TEXT,
    regression TEXT,
    cases      BLOB,
    again      TEXT,
    source     TEXT    NOT NULL,
    detected   INTEGER NOT NULL,
    classified INTEGER,
    resolved   INTEGER,
    said       TEXT,
    mended     TEXT,
    entry      TEXT    NOT NULL,
    PRIMARY KEY (org, id)
) STRICT;
CREATE UNIQUE INDEX failures_fold ON failures (org, fold) WHERE state <> 'resolved';
CREATE INDEX failures_fold_all ON failures (org, fold, detected);
CREATE INDEX failures_detected ON failures (org, detected);
CREATE INDEX failures_state ON failures (org, state, detected);
CREATE INDEX failures_workflow ON failures (org, workflow, detected);
CREATE INDEX failures_task ON failures (org, task) WHERE task IS NOT NULL;
CREATE INDEX failures_run ON failures (org, run) WHERE run IS NOT NULL;

-- How often one was seen. No projection: counted up to the place in the ledger below,
-- together with it.
CREATE TABLE failures_seen (
    org     TEXT    NOT NULL,
    failure TEXT    NOT NULL,
    times   INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    PRIMARY KEY (org, failure)
) STRICT, WITHOUT ROWID;

-- The first entry of the ledger in which no failure was looked for yet.
CREATE TABLE failures_upto (
    org  TEXT    NOT NULL PRIMARY KEY,
    upto INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
