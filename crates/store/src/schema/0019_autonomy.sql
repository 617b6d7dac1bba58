-- How far workflows' agents may act without a person: each change, the newest
-- counts; a workflow without any is as its first version says.

CREATE TABLE autonomy (
    org      TEXT    NOT NULL,
    workflow TEXT    NOT NULL,
    n        INTEGER NOT NULL,
    level    TEXT    NOT NULL,
    version  BLOB,
    cause    TEXT    NOT NULL,
    changed  INTEGER NOT NULL,
    entry    TEXT    NOT NULL,
    PRIMARY KEY (org, workflow, n)
) STRICT;

-- What people signed so that it is raised, by the digest of what they signed.
CREATE TABLE autonomy_signatures (
    org        TEXT    NOT NULL,
    workflow   TEXT    NOT NULL,
    statement  BLOB    NOT NULL,
    principal  TEXT    NOT NULL,
    credential TEXT    NOT NULL,
    grade      TEXT    NOT NULL,
    until      INTEGER NOT NULL,
    signed     INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    entry      TEXT    NOT NULL,
    PRIMARY KEY (org, workflow, statement, principal)
) STRICT;
CREATE INDEX autonomy_signatures_expires ON autonomy_signatures (org, workflow, expires);

-- Whether a run that was claimed waits for others alone: whoever checks or reviews it.
ALTER TABLE runs ADD COLUMN pending INTEGER NOT NULL DEFAULT 0;

-- Runs that failed lately, for error budgets.
CREATE INDEX runs_failed ON runs (org, workflow, ended) WHERE complete = 0;
CREATE INDEX run_reviews_made ON run_reviews (org, made);
