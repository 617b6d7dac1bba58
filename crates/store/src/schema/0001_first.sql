-- The first schema. `org` is the first column of every key: one installation is
-- one organisation today, and many can share a machine later. Times are
-- milliseconds since the epoch, UTC. Digests and thumbprints are 32-byte blobs.

-- The ledger's staging: one row per entry, `idx` is its index in the log.
-- Everything but `leaf` repeats members of the leaf, for queries.
CREATE TABLE entries (
    org        TEXT    NOT NULL,
    idx        INTEGER NOT NULL,
    id         TEXT    NOT NULL,
    time       INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    maker      TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    principal  TEXT,
    agent      TEXT,
    instance   TEXT,
    workflow   TEXT,
    task       TEXT,
    run        TEXT,
    grant_id   TEXT,
    delegation TEXT,
    action     TEXT,
    tool       TEXT,
    decision   TEXT,
    reason     TEXT,
    leaf_hash  BLOB    NOT NULL,
    leaf       BLOB    NOT NULL,
    PRIMARY KEY (org, idx)
) STRICT;
CREATE UNIQUE INDEX entries_id ON entries (org, id);
CREATE UNIQUE INDEX entries_maker ON entries (org, maker, seq);
CREATE INDEX entries_time ON entries (org, time);
CREATE INDEX entries_kind ON entries (org, kind, idx);
CREATE INDEX entries_principal ON entries (org, principal, idx) WHERE principal IS NOT NULL;
CREATE INDEX entries_agent ON entries (org, agent, idx) WHERE agent IS NOT NULL;
CREATE INDEX entries_task ON entries (org, task, idx) WHERE task IS NOT NULL;
CREATE INDEX entries_action ON entries (org, action, idx) WHERE action IS NOT NULL;
CREATE INDEX entries_tool ON entries (org, tool, idx) WHERE tool IS NOT NULL;
CREATE INDEX entries_decision ON entries (org, decision, idx) WHERE decision IS NOT NULL;

-- Each maker's place in its own sequence.
CREATE TABLE makers (
    org      TEXT    NOT NULL,
    maker    TEXT    NOT NULL,
    next_seq INTEGER NOT NULL,
    prev     BLOB    NOT NULL,
    PRIMARY KEY (org, maker)
) STRICT, WITHOUT ROWID;

-- The texts behind an entry's commitments, encrypted under a key of their own.
-- Erasing sets both columns to NULL; the row stays as the mark of erasure.
CREATE TABLE sealed (
    org        TEXT NOT NULL,
    entry      TEXT NOT NULL,
    key        BLOB,
    ciphertext BLOB,
    PRIMARY KEY (org, entry)
) STRICT;

-- The last published checkpoint, so that losing the file never leads to
-- signing a tree that is not its continuation.
CREATE TABLE checkpoint (
    org  TEXT    NOT NULL PRIMARY KEY,
    size INTEGER NOT NULL,
    note BLOB    NOT NULL
) STRICT;

-- Allowed calls and what became of them: a projection of action.decided and
-- action.completed.
CREATE TABLE actions (
    org       TEXT    NOT NULL,
    action    TEXT    NOT NULL,
    decided   INTEGER NOT NULL,
    maker     TEXT    NOT NULL,
    completed INTEGER,
    outcome   TEXT,
    PRIMARY KEY (org, action)
) STRICT, WITHOUT ROWID;
CREATE INDEX actions_open ON actions (org, decided) WHERE completed IS NULL;

-- Projections. `entry` is the id of the entry that wrote the row; changes of
-- status keep it.

CREATE TABLE principals (
    org    TEXT NOT NULL,
    alias  TEXT NOT NULL,
    issuer TEXT,
    id     TEXT,
    jwk    TEXT NOT NULL,
    status TEXT NOT NULL,
    entry  TEXT NOT NULL,
    PRIMARY KEY (org, alias)
) STRICT;
CREATE UNIQUE INDEX principals_id ON principals (org, issuer, id) WHERE id IS NOT NULL;
CREATE INDEX principals_entry ON principals (org, entry);

CREATE TABLE agents (
    org       TEXT NOT NULL,
    id        TEXT NOT NULL,
    owner     TEXT NOT NULL,
    status    TEXT NOT NULL,
    publisher TEXT,
    version   TEXT,
    artifact  BLOB,
    entry     TEXT NOT NULL,
    PRIMARY KEY (org, id),
    FOREIGN KEY (org, owner) REFERENCES principals (org, alias)
) STRICT;
CREATE INDEX agents_owner ON agents (org, owner);

CREATE TABLE instances (
    org          TEXT NOT NULL,
    id           TEXT NOT NULL,
    agent        TEXT NOT NULL,
    holder       BLOB NOT NULL,
    holder_jwk   TEXT NOT NULL,
    identity_jwk TEXT NOT NULL,
    statement    TEXT NOT NULL,
    status       TEXT NOT NULL,
    entry        TEXT NOT NULL,
    PRIMARY KEY (org, id),
    FOREIGN KEY (org, agent) REFERENCES agents (org, id)
) STRICT;
CREATE UNIQUE INDEX instances_holder ON instances (org, holder);
CREATE INDEX instances_agent ON instances (org, agent);

CREATE TABLE workflows (
    org       TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    digest    BLOB    NOT NULL,
    document  TEXT    NOT NULL,
    published INTEGER NOT NULL,
    current   INTEGER NOT NULL,
    entry     TEXT    NOT NULL,
    PRIMARY KEY (org, id, digest)
) STRICT;
CREATE UNIQUE INDEX workflows_current ON workflows (org, id) WHERE current = 1;

CREATE TABLE tool_servers (
    org           TEXT NOT NULL,
    name          TEXT NOT NULL,
    url           TEXT NOT NULL,
    credential    TEXT,
    identity_mode TEXT NOT NULL,
    status        TEXT NOT NULL,
    entry         TEXT NOT NULL,
    PRIMARY KEY (org, name)
) STRICT;

CREATE TABLE pins (
    org        TEXT    NOT NULL,
    tool       TEXT    NOT NULL,
    server     TEXT    NOT NULL,
    digest     BLOB    NOT NULL,
    definition TEXT    NOT NULL,
    status     TEXT    NOT NULL,
    pinned     INTEGER NOT NULL,
    entry      TEXT    NOT NULL,
    PRIMARY KEY (org, tool),
    FOREIGN KEY (org, server) REFERENCES tool_servers (org, name)
) STRICT;
CREATE INDEX pins_server ON pins (org, server, tool);

CREATE TABLE tasks (
    org             TEXT    NOT NULL,
    id              TEXT    NOT NULL,
    workflow        TEXT    NOT NULL,
    workflow_digest BLOB    NOT NULL,
    agent           TEXT    NOT NULL,
    principal       TEXT    NOT NULL,
    created         INTEGER NOT NULL,
    entry           TEXT    NOT NULL,
    PRIMARY KEY (org, id),
    FOREIGN KEY (org, workflow, workflow_digest) REFERENCES workflows (org, id, digest),
    FOREIGN KEY (org, agent) REFERENCES agents (org, id),
    FOREIGN KEY (org, principal) REFERENCES principals (org, alias)
) STRICT;
CREATE INDEX tasks_workflow ON tasks (org, workflow, workflow_digest);
CREATE INDEX tasks_agent ON tasks (org, agent);
CREATE INDEX tasks_principal ON tasks (org, principal);

CREATE TABLE grants (
    org       TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    digest    BLOB    NOT NULL,
    task      TEXT    NOT NULL,
    agent     TEXT    NOT NULL,
    principal TEXT    NOT NULL,
    attested  INTEGER NOT NULL,
    starts    INTEGER NOT NULL,
    expires   INTEGER NOT NULL,
    entry     TEXT    NOT NULL,
    PRIMARY KEY (org, id),
    FOREIGN KEY (org, task) REFERENCES tasks (org, id)
) STRICT;
CREATE UNIQUE INDEX grants_digest ON grants (org, digest);
CREATE INDEX grants_task ON grants (org, task);
CREATE INDEX grants_principal ON grants (org, principal);

-- Roots that the authority issued; the token's text lies in `sealed`.
CREATE TABLE delegations (
    org      TEXT    NOT NULL,
    root     BLOB    NOT NULL,
    grant_id TEXT    NOT NULL,
    task     TEXT    NOT NULL,
    agent    TEXT    NOT NULL,
    holder   BLOB    NOT NULL,
    issued   INTEGER NOT NULL,
    expires  INTEGER NOT NULL,
    entry    TEXT    NOT NULL,
    PRIMARY KEY (org, root),
    FOREIGN KEY (org, grant_id) REFERENCES grants (org, id),
    FOREIGN KEY (org, task) REFERENCES tasks (org, id)
) STRICT;
CREATE INDEX delegations_grant ON delegations (org, grant_id);
CREATE INDEX delegations_task ON delegations (org, task);
CREATE INDEX delegations_agent ON delegations (org, agent);

-- Derived tokens, as seen.
CREATE TABLE derived (
    org     TEXT    NOT NULL,
    token   BLOB    NOT NULL,
    parent  BLOB    NOT NULL,
    root    BLOB    NOT NULL,
    depth   INTEGER NOT NULL,
    holder  BLOB    NOT NULL,
    seen    INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    entry   TEXT    NOT NULL,
    PRIMARY KEY (org, token)
) STRICT;
CREATE INDEX derived_root ON derived (org, root);

-- What no longer holds, in order. `root` is empty except for a holder key
-- barred under one root.
CREATE TABLE revocations (
    org    TEXT    NOT NULL,
    seq    INTEGER NOT NULL,
    kind   TEXT    NOT NULL,
    key    TEXT    NOT NULL,
    root   BLOB    NOT NULL,
    reason TEXT    NOT NULL,
    time   INTEGER NOT NULL,
    entry  TEXT    NOT NULL,
    PRIMARY KEY (org, seq)
) STRICT;
CREATE UNIQUE INDEX revocations_subject ON revocations (org, kind, key, root);

-- Guards that live only here: they are not projections of the ledger.

CREATE TABLE spent_proofs (
    org      TEXT    NOT NULL,
    audience TEXT    NOT NULL,
    jti      BLOB    NOT NULL,
    expires  INTEGER NOT NULL,
    PRIMARY KEY (org, audience, jti)
) STRICT, WITHOUT ROWID;
CREATE INDEX spent_proofs_expires ON spent_proofs (org, expires);

-- Everything that expired before `horizon` may have been forgotten.
CREATE TABLE guards (
    org     TEXT    NOT NULL PRIMARY KEY,
    horizon INTEGER NOT NULL
) STRICT;

CREATE TABLE budgets (
    org     TEXT    NOT NULL,
    account BLOB    NOT NULL,
    counter TEXT    NOT NULL,
    spent   INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (org, account, counter)
) STRICT, WITHOUT ROWID;
CREATE INDEX budgets_expires ON budgets (org, expires);
