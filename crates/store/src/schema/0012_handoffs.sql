-- Agents that proved to each other who they are.
CREATE TABLE handshakes (
    org        TEXT    NOT NULL,
    transcript BLOB    NOT NULL,
    initiator  TEXT    NOT NULL,
    responder  TEXT    NOT NULL,
    bound      INTEGER NOT NULL,
    seen       INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    entry      TEXT    NOT NULL,
    PRIMARY KEY (org, transcript)
) STRICT;
CREATE INDEX handshakes_seen ON handshakes (org, seen);

-- Tasks that one agent hands to another. A challenge is answered once, and an
-- offer once.
CREATE TABLE handoffs (
    org          TEXT    NOT NULL,
    id           TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    hash         BLOB    NOT NULL,
    transcript   BLOB    NOT NULL,
    challenge    BLOB    NOT NULL,
    principal    TEXT    NOT NULL,
    workflow     TEXT    NOT NULL,
    task         TEXT    NOT NULL,
    grant_id     TEXT    NOT NULL,
    root         BLOB    NOT NULL,
    parent       BLOB    NOT NULL,
    leaf         BLOB    NOT NULL,
    from_id      TEXT    NOT NULL,
    from_agent   TEXT    NOT NULL,
    from_instance TEXT   NOT NULL,
    to_id        TEXT    NOT NULL,
    to_agent     TEXT    NOT NULL,
    to_instance  TEXT    NOT NULL,
    holder       BLOB    NOT NULL,
    guarantee    TEXT    NOT NULL,
    claims       TEXT,
    offered      INTEGER NOT NULL,
    expires      INTEGER NOT NULL,
    settled      INTEGER,
    returned     INTEGER,
    return_entry TEXT,
    entry        TEXT    NOT NULL,
    PRIMARY KEY (org, id)
) STRICT;
CREATE UNIQUE INDEX handoffs_hash ON handoffs (org, hash);
CREATE UNIQUE INDEX handoffs_challenge ON handoffs (org, holder, challenge);
CREATE UNIQUE INDEX handoffs_leaf ON handoffs (org, leaf);
CREATE INDEX handoffs_task ON handoffs (org, task, offered);
CREATE INDEX handoffs_from ON handoffs (org, from_instance, offered);
CREATE INDEX handoffs_offered ON handoffs (org, offered);

-- How surely the instance that a root was issued to was known then.
ALTER TABLE delegations ADD COLUMN guarantee TEXT NOT NULL DEFAULT 'key';
