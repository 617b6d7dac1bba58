-- Stops of an agent, a task, a workflow or everything, and what people signed
-- so that they end. Stops and revocations have their numbers in common: they are
-- followed together.

CREATE TABLE stops (
    org           TEXT    NOT NULL,
    id            TEXT    NOT NULL,
    target        TEXT    NOT NULL,
    stopped_by    TEXT    NOT NULL,
    principal     TEXT,
    reason        BLOB    NOT NULL,
    stopped       INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    resumed       INTEGER,
    resumed_seq   INTEGER,
    resumed_by    TEXT,
    resumed_entry TEXT,
    entry         TEXT    NOT NULL,
    PRIMARY KEY (org, id)
) STRICT;
CREATE UNIQUE INDEX stops_standing ON stops (org, target) WHERE resumed IS NULL;
CREATE INDEX stops_seq ON stops (org, seq);
CREATE INDEX stops_resumed_seq ON stops (org, resumed_seq);
CREATE INDEX stops_stopped ON stops (org, stopped);

-- One person agrees once at a time; who signs again replaces what they signed.
CREATE TABLE resumptions (
    org        TEXT    NOT NULL,
    stop       TEXT    NOT NULL,
    principal  TEXT    NOT NULL,
    credential TEXT    NOT NULL,
    grade      TEXT    NOT NULL,
    signed     INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    entry      TEXT    NOT NULL,
    PRIMARY KEY (org, stop, principal)
) STRICT;
