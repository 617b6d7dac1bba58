-- Whose the tasks and contexts of agents behind the gateway are. They are no
-- projections: an agent names them, and the ledger does not. A row that is lost
-- makes its task nobody's.

CREATE TABLE peer_tasks (
    org    TEXT    NOT NULL,
    server TEXT    NOT NULL,
    task   TEXT    NOT NULL,
    owner  BLOB    NOT NULL,
    ended  INTEGER NOT NULL,
    seen   INTEGER NOT NULL,
    PRIMARY KEY (org, server, task)
) STRICT;
CREATE INDEX peer_tasks_seen ON peer_tasks (org, seen);

CREATE TABLE peer_contexts (
    org     TEXT    NOT NULL,
    server  TEXT    NOT NULL,
    context TEXT    NOT NULL,
    owner   BLOB    NOT NULL,
    seen    INTEGER NOT NULL,
    PRIMARY KEY (org, server, context)
) STRICT;
CREATE INDEX peer_contexts_seen ON peer_contexts (org, seen);
