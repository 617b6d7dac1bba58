-- Whether another enforcement point than the gateway made a call: then what became of
-- it is somebody's word.
ALTER TABLE actions ADD COLUMN external INTEGER NOT NULL DEFAULT 0;
UPDATE actions SET external = 1
 WHERE (SELECT json_extract(CAST(e.leaf AS TEXT), '$.body.enforcement')
        FROM entries e WHERE e.org = actions.org AND e.idx = actions.decided) <> 'gateway';

-- The index of the last entry that somebody saw who says something of a run.
ALTER TABLE run_evidence ADD COLUMN seen INTEGER;

-- Calls that are made because of a run that is over, and are none of its own: steps of
-- its rollback plan, and checks. Steps that a person does have no call.
CREATE TABLE errands (
    org       TEXT    NOT NULL,
    run       TEXT    NOT NULL,
    what      TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    undoes    TEXT,
    root      BLOB,
    tool      TEXT,
    arguments BLOB,
    until     INTEGER NOT NULL,
    entry     TEXT    NOT NULL,
    PRIMARY KEY (org, entry)
) STRICT;
CREATE INDEX errands_run ON errands (org, run, what, name);
CREATE INDEX errands_call ON errands (org, root, tool, arguments) WHERE root IS NOT NULL;

-- The decision that an errand was announced for: a projection of action.decided.
CREATE TABLE errand_calls (
    org      TEXT    NOT NULL,
    errand   TEXT    NOT NULL,
    decided  INTEGER NOT NULL,
    action   TEXT    NOT NULL,
    decision TEXT    NOT NULL,
    PRIMARY KEY (org, errand, decided)
) STRICT, WITHOUT ROWID;
