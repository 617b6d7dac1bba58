-- Attempts at tasks: what they used, what they claim, what people said of them.
-- Goals, instructions, sources and texts are behind the entries' commitments.

CREATE TABLE runs (
    org             TEXT    NOT NULL,
    id              TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    task            TEXT    NOT NULL,
    attempt         INTEGER NOT NULL,
    workflow        TEXT    NOT NULL,
    workflow_digest BLOB    NOT NULL,
    agent           TEXT    NOT NULL,
    instance        TEXT    NOT NULL,
    principal       TEXT    NOT NULL,
    grant_id        TEXT    NOT NULL,
    root            BLOB    NOT NULL,
    goal            BLOB    NOT NULL,
    instructed      INTEGER NOT NULL,
    started         INTEGER NOT NULL,
    deadline        INTEGER NOT NULL,
    ended           INTEGER,
    complete        INTEGER,
    review          TEXT,
    iterations      INTEGER NOT NULL DEFAULT 0,
    model_calls     INTEGER NOT NULL DEFAULT 0,
    input_tokens    INTEGER NOT NULL DEFAULT 0,
    output_tokens   INTEGER NOT NULL DEFAULT 0,
    cost_micros     INTEGER NOT NULL DEFAULT 0,
    currency        TEXT,
    entry           TEXT    NOT NULL,
    PRIMARY KEY (org, id),
    FOREIGN KEY (org, task) REFERENCES tasks (org, id)
) STRICT;
CREATE UNIQUE INDEX runs_open ON runs (org, task) WHERE state = 'open';
CREATE INDEX runs_task ON runs (org, task, started);
CREATE INDEX runs_started ON runs (org, started);
CREATE INDEX runs_workflow ON runs (org, workflow, started);
CREATE INDEX runs_agent ON runs (org, agent, started);
CREATE INDEX runs_principal ON runs (org, principal, started);
CREATE INDEX runs_state ON runs (org, state, started);
CREATE INDEX runs_deadline ON runs (org, deadline, id) WHERE state = 'open';
CREATE INDEX runs_unreviewed ON runs (org, ended) WHERE state = 'claimed' AND review IS NULL;

-- What a run used: by digest, each under a name that its agent gave the source.
CREATE TABLE run_context (
    org      TEXT    NOT NULL,
    run      TEXT    NOT NULL,
    n        INTEGER NOT NULL,
    kind     TEXT    NOT NULL,
    digest   BLOB    NOT NULL,
    source   TEXT    NOT NULL,
    label    TEXT    NOT NULL,
    declared INTEGER NOT NULL,
    noted    INTEGER NOT NULL,
    entry    TEXT    NOT NULL,
    PRIMARY KEY (org, run, n)
) STRICT;
CREATE INDEX run_context_undeclared ON run_context (org, run) WHERE declared = 0;

-- What speaks for a criterion of a run's workflow, and how strongly.
CREATE TABLE run_evidence (
    org       TEXT    NOT NULL,
    run       TEXT    NOT NULL,
    n         INTEGER NOT NULL,
    criterion TEXT    NOT NULL,
    grade     TEXT    NOT NULL,
    holds     INTEGER NOT NULL,
    action    TEXT,
    by_whom   TEXT    NOT NULL,
    made      INTEGER NOT NULL,
    entry     TEXT    NOT NULL,
    PRIMARY KEY (org, run, n)
) STRICT;

-- What people said of a run, in order; the last one counts.
CREATE TABLE run_reviews (
    org      TEXT    NOT NULL,
    run      TEXT    NOT NULL,
    n        INTEGER NOT NULL,
    verdict  TEXT    NOT NULL,
    reviewer TEXT    NOT NULL,
    made     INTEGER NOT NULL,
    entry    TEXT    NOT NULL,
    PRIMARY KEY (org, run, n)
) STRICT;

CREATE INDEX entries_run ON entries (org, run, idx) WHERE run IS NOT NULL;

-- What a run's completion is derived from, without its entries: so it is quick for a
-- run of very many calls.
CREATE INDEX entries_run_calls ON entries (org, run, kind, decision, tool, action, agent)
    WHERE run IS NOT NULL;

-- Calls of a run by tool and decision: counted with each entry, so that a run of
-- very many calls opens as fast as one of few.
CREATE TABLE run_calls (
    org      TEXT    NOT NULL,
    run      TEXT    NOT NULL,
    tool     TEXT    NOT NULL,
    decision TEXT    NOT NULL,
    reason   TEXT    NOT NULL,
    calls    INTEGER NOT NULL,
    PRIMARY KEY (org, run, tool, decision, reason)
) STRICT, WITHOUT ROWID;
